"""Does what a condition says of a data file hold for ever? Only then may it be remembered."""

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

import duckdb

from mesh_assets.audit.questions import Types
from mesh_assets.audit.values import text

CHANGING = frozenset({"age", "version", "json_serialize_plan"})
"""DuckDB calls them constant, and they are not: `age(born)` counts to today."""
PLAIN = frozenset(
    {"regexp_matches", "length", "isnan", "isfinite", "abs", "round", "chr", "||", "%", "/", "+", "-", "*"}
)
"""Those that generated conditions call; for others DuckDB's list is asked, which takes a tenth of a second, once."""
_CLOCK = re.compile(r"current|local|now|today|random|uuid|transaction|txid|setting|variable", re.IGNORECASE)
_KNOWN = frozenset(
    {"COLUMN_REF", "CONSTANT", "FUNCTION", "COMPARISON", "CONJUNCTION", "OPERATOR", "CAST", "CASE", "BETWEEN"}
)
"""Classes of expressions that look at one row only; whatever else there is, is not remembered."""


Basis = tuple[str, ...]
"""What an answer depends on beside the condition's own words and a file's bytes."""


def bases(con: duckdb.DuckDBPyConnection, conditions: Iterable[str], types: Types) -> Mapping[str, Basis]:
    """Of each condition whose answer on a file lasts; those that depend on more than can be named are left out.

    A condition may call functions that give the same for the same values, and name columns of the table. What is unknown
    here does not last.
    """
    listed = sorted(set(conditions))
    if not listed:
        return {}
    queries = [f"SELECT 1 WHERE (\n{condition}\n)" for condition in listed]
    try:
        # As literals: the first parameter makes DuckDB import pandas, which takes most of a second.
        listing = ", ".join(map(text, queries))
        trees = con.execute(f"SELECT json_serialize_sql(q) FROM (SELECT unnest([{listing}]) AS q)").fetchall()
        ((zone,),) = con.execute("SELECT current_setting('TimeZone')").fetchall()
    except duckdb.InterruptException:
        raise
    except duckdb.Error:
        return {}
    found = {condition: _named(tree, types) for condition, (tree,) in zip(listed, trees, strict=True)}
    return {
        condition: (str(zone), *(f"{name} {types[name].name}" for name in sorted(names)))
        for condition, names in found.items()
        if names is not None
    }


def _named(told: str, types: Types) -> frozenset[str] | None:
    """The columns that it looks at; None when its answer does not last."""
    names, found = {name.lower(): name for name in types}, set()
    try:
        tree = json.loads(told)
        if tree.get("error") or len(tree["statements"]) != 1:
            return None
        lasts = _lasts(tree["statements"][0]["node"]["where_clause"], names, found)
    except (KeyError, ValueError, RecursionError):
        return None
    return frozenset(found) if lasts else None


def _lasts(part: object, names: Mapping[str, str], found: set[str]) -> bool:
    if isinstance(part, list):
        return all(_lasts(item, names, found) for item in part)
    if not isinstance(part, dict):
        return True
    match part.get("class"):
        case "COLUMN_REF":
            name = names.get(part["column_names"][0].lower())
            if name is None:
                return False
            found.add(name)
        case "CONSTANT":
            return True
        case "FUNCTION":
            name = str(part.get("function_name", "")).lower()
            if part.get("schema") not in ("", "main") or not (name in PLAIN or name in _constant(duckdb.__version__)):
                return False
        case str() as other if other not in _KNOWN:
            return False
    return all(_lasts(value, names, found) for value in part.values())


@lru_cache(maxsize=1)
def _constant(version: str) -> frozenset[str]:  # noqa: ARG001 - the key
    """Functions of DuckDB that give the same for the same values, whatever they are given."""
    with duckdb.connect() as con:
        rows = con.execute(
            "SELECT lower(function_name) FROM duckdb_functions() GROUP BY 1 "
            "HAVING bool_and(function_type = 'scalar' AND stability = 'CONSISTENT')"
        ).fetchall()
    return frozenset(name for (name,) in rows if not _CLOCK.search(name)) - CHANGING
