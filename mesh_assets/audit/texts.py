"""Patterns over very many texts: polars reads the files and looks, which takes half of what DuckDB needs.

A call of RE2 takes about 110 nanoseconds, whatever the pattern; polars takes 60, and is the reference anyway. Where texts are
listed once for many rows (a dictionary), DuckDB looks at the list, and nothing is faster.
"""

import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from mesh_assets.audit.patterns import Engine, compiled
from mesh_assets.audit.plan import Plan, Rows
from mesh_assets.audit.questions import Types, pattern_of_format
from mesh_assets.audit.values import CannotAnswer, Family, quoted, text
from mesh_assets.contract import Kind, Test

if TYPE_CHECKING:
    import duckdb

MANY = 2_500_000
"""Rows from which it pays to import polars, which takes as long as it saves on two million."""
LOADED = 300_000
"""Rows from which it pays where polars is imported."""
LISTED, CHARACTERS = 1000, 100_000
"""So many different texts that do not match, and so long in all, are named to DuckDB, which then counts their rows."""


def narrowed(con: "duckdb.DuckDBPyConnection", plan: Plan, asked: Mapping[int, Rows]) -> dict[int, str]:
    """What is to be asked of the files that are read, by step; of patterns, the few texts there that do not match, or nothing.

    Args:
        con: Outside a transaction.
        plan: Of which the steps are.
        asked: By number of the step, what it asks of the plan's files.
    """
    found = {number: rows.condition for number, rows in asked.items()}
    if any("INTERVAL" in type_.name for type_ in plan.types.values()):  # polars cannot open a file with such a column
        return found
    by_files: dict[tuple[str, ...], list[tuple[int, str, str]]] = defaultdict(list)
    for number, rows in asked.items():
        files = [file for _, files in rows.scans for file in files]
        paths = tuple(file.path for file in files)
        few = sum(file.rows for file in files) < (LOADED if "polars" in sys.modules else MANY)
        if few or any("://" in path for path in paths):
            continue
        test = plan.steps[number].test
        if pattern := pattern_of(test, plan.types):
            by_files[paths].append((number, test.columns[0], pattern))
    for paths, questions in by_files.items():
        listed = _listed_once(con, paths, {column for _, column, _ in questions})
        for number, column, pattern in questions:
            unlike = None if column in listed else _unlike(paths, column, pattern)
            if unlike is not None:
                found[number] = f"{quoted(column)} IN ({', '.join(map(text, unlike))})" if unlike else "FALSE"
    return found


def pattern_of(test: Test, types: Types) -> str:
    """What every text of a column must match, in polars' words; empty where a test asks for something else, or for more."""
    if len(test.columns) != 1 or types[test.columns[0]].family is not Family.TEXT:
        return ""
    try:
        match test.kind:
            case Kind.PATTERN:
                return compiled(test.arguments.get("pattern"), Engine.POLARS)
            case Kind.FORMAT:
                pattern = pattern_of_format(test.arguments.get("format"), types[test.columns[0]])
                return compiled(pattern, Engine.POLARS) if pattern else ""
            case Kind.INVALID_VALUES if "pattern" in test.arguments and "valid_values" not in test.arguments:
                return compiled(test.arguments["pattern"], Engine.POLARS)
    except CannotAnswer:
        pass
    return ""


def _listed_once(con: "duckdb.DuckDBPyConnection", paths: Iterable[str], columns: Collection[str]) -> frozenset[str]:
    """Columns of which most parts of the files have a dictionary; all, when a file cannot be read."""
    import duckdb

    query = (
        f"SELECT path_in_schema FROM parquet_metadata([{', '.join(map(text, paths))}]) "
        f"WHERE path_in_schema IN ({', '.join(map(text, sorted(columns)))}) "
        "GROUP BY path_in_schema HAVING count(*) FILTER (WHERE encodings LIKE '%DICTIONARY%') * 2 > count(*)"
    )
    try:
        return frozenset(name for (name,) in con.execute(query).fetchall())
    except duckdb.IOException:
        return frozenset(columns)


def _unlike(paths: Iterable[str], column: str, pattern: str) -> tuple[str, ...] | None:
    """The different texts that do not match; None where there are many, or polars cannot read the files as one column of texts."""
    import polars as pl

    read = pl.scan_parquet(list(paths), glob=False, hive_partitioning=False, extra_columns="ignore")
    texts = read.select(pl.col(column).alias("text"))
    wrong = texts.filter(~pl.col("text").str.contains(pattern)).unique().head(LISTED + 1)
    try:
        if texts.collect_schema() != {"text": pl.String}:
            return None
        found = wrong.collect(engine="streaming")["text"].to_list()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return None
    few = len(found) <= LISTED and sum(map(len, found)) <= CHARACTERS and not any("\0" in one for one in found)
    return tuple(sorted(found)) if few else None
