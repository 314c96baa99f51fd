"""Does what a condition says of a data file hold for ever? Only then may it be remembered."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache

import duckdb

from mesh_assets.audit.questions import Types

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


def basis(con: duckdb.DuckDBPyConnection, condition: str, types: Types) -> tuple[str, ...] | None:
    """What the condition's answer depends on beside its own words and a file's bytes; None: on more than can be named.

    It may call functions that give the same for the same values, and name columns of the table. What is unknown here does
    not last.
    """
    try:
        ((said,),) = con.execute("SELECT json_serialize_sql($1)", [f"SELECT 1 WHERE (\n{condition}\n)"]).fetchall()
        tree = json.loads(said)
        if tree.get("error") or len(tree["statements"]) != 1:
            return None
        names, found = {name.lower(): name for name in types}, set()
        if not _lasts(tree["statements"][0]["node"]["where_clause"], names, found):
            return None
        ((zone,),) = con.execute("SELECT current_setting('TimeZone')").fetchall()
    except (duckdb.Error, KeyError, ValueError, RecursionError):
        return None
    return (str(zone), *(f"{name} {types[name].name}" for name in sorted(found)))


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
