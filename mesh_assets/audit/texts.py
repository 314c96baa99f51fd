"""Patterns over very many texts: polars reads the files and looks, which takes half of what DuckDB needs.

A call of RE2 takes about 110 nanoseconds, whatever the pattern; polars takes 60, and is the reference anyway. Where texts are
listed once for many rows (a dictionary), DuckDB looks at the list, and nothing is faster.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from mesh_assets.audit.patterns import Engine, compiled
from mesh_assets.audit.plan import Plan, Rows
from mesh_assets.audit.questions import Types, pattern_of
from mesh_assets.audit.values import CannotAnswer, Family, quoted, text
from mesh_assets.contract import Test

if TYPE_CHECKING:
    import duckdb
    import polars as pl

MANY = 2_500_000
"""Rows from which it pays to import polars, which takes as long as it saves on two million."""
LOADED = 300_000
"""Rows from which it pays where polars is imported."""
PER_FILE = 10_000
"""Rows that files have to hold, on the average: of many small ones DuckDB is done sooner."""
ROWS, LISTED, LONGEST = 20_000, 1000, 1000
"""So many rows that do not match, so many different texts, and texts of so many characters are named to DuckDB at most."""


def narrowed(con: "duckdb.DuckDBPyConnection", plan: Plan, asked: Mapping[int, Rows]) -> dict[int, str]:
    """What is to be asked of the files that are read, by step; of patterns, the few texts there that do not match, or nothing.

    While polars looks, interrupting the connection has no effect: of ten million rows, for less than a second.

    Args:
        con: Outside a transaction.
        plan: Of which the steps are.
        asked: By number of the step, what it asks of the plan's files.
    """
    found = {number: rows.condition for number, rows in asked.items()}
    by_files: dict[tuple[str, ...], list[tuple[int, str, str]]] = defaultdict(list)
    for number, rows in asked.items():
        files = [file for _, files in rows.scans for file in files]
        paths, count = tuple(file.path for file in files), sum(file.rows for file in files)
        few = count < max(LOADED if "polars" in sys.modules else MANY, PER_FILE * (len(paths) - 1))
        if few or any("://" in path for path in paths):
            continue
        test = plan.steps[number].test
        if pattern := _pattern(con, test, plan.types):
            by_files[paths].append((number, test.columns[0], pattern))
    for paths, questions in by_files.items():
        left = _left_to_duckdb(con, paths, {column for _, column, _ in questions})
        for number, column, pattern in questions:
            unlike = None if column in left else _unlike(paths, column, pattern)
            if unlike is not None:
                found[number] = f"{quoted(column)} IN ({', '.join(map(text, unlike))})" if unlike else "FALSE"
    return found


def _pattern(con: "duckdb.DuckDBPyConnection", test: Test, types: Types) -> str:
    """In polars' words; empty where there is none, or where the two engines do not mean the same.

    They know other versions of Unicode, which properties of letters and letters without case show, and refuse other repeats.
    """
    import duckdb

    if len(test.columns) != 1 or types[test.columns[0]].family is not Family.TEXT:
        return ""
    written = pattern_of(test, types[test.columns[0]])
    if not isinstance(written, str) or any(part in written for part in ("\\p", "\\P", "(?i")):
        return ""
    try:
        con.execute(f"SELECT regexp_matches('', {text(compiled(written, Engine.DUCKDB))})")
        return compiled(written, Engine.POLARS)
    except duckdb.InterruptException:
        raise
    except (CannotAnswer, duckdb.Error):
        return ""


def _left_to_duckdb(con: "duckdb.DuckDBPyConnection", paths: Iterable[str], columns: Collection[str]) -> frozenset[str]:
    """Columns of which most parts of the files have a dictionary; all, when polars cannot open a file or DuckDB cannot."""
    import duckdb

    files = f"[{', '.join(map(text, paths))}]"
    query = (
        f"SELECT path_in_schema FROM parquet_metadata({files}) WHERE path_in_schema IN ({', '.join(map(text, sorted(columns)))}) "
        "GROUP BY path_in_schema HAVING count(*) FILTER (WHERE encodings LIKE '%DICTIONARY%') * 2 > count(*)"
    )
    try:
        if con.execute(f"SELECT 1 FROM parquet_schema({files}) WHERE converted_type = 'INTERVAL' LIMIT 1").fetchone():
            return frozenset(columns)
        return frozenset(name for (name,) in con.execute(query).fetchall())
    except duckdb.InterruptException:
        raise
    except duckdb.Error:
        return frozenset(columns)


def _unlike(paths: Iterable[str], column: str, pattern: str) -> tuple[str, ...] | None:
    """The different texts that do not match; None where there are many, or polars cannot read the files as one column of texts."""
    import polars as pl

    read = pl.scan_parquet(list(paths), glob=False, hive_partitioning=False, extra_columns="ignore")
    texts = read.select(pl.col(column).alias("text"))
    wrong = texts.filter(~pl.col("text").str.contains(pattern)).head(ROWS + 1)  # cut first: there may be very many
    try:
        if texts.collect_schema() != {"text": pl.String}:
            return None
        rows = _collected(wrong.select(pl.col("text").str.head(LONGEST + 1)))["text"]
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return None
    found = rows.unique().to_list()
    few = len(rows) <= ROWS and len(found) <= LISTED
    return tuple(sorted(found)) if few and not any(len(one) > LONGEST or "\0" in one for one in found) else None


def _collected(frame: "pl.LazyFrame") -> "pl.DataFrame":
    try:
        try:
            return frame.collect(engine="streaming")
        except KeyboardInterrupt:
            time.sleep(0)  # polars leaves the signal pending; it comes here, and not in somebody's clean-up
            raise
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None
