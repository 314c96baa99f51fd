"""Pandera's built-in checks as SQL that is true of the rows that pass, with the meaning of the reference.

Only what is exactly the same in DuckDB is said in SQL: a value of the column's own sort. Everything else (a float against
decimals, a date against moments, a word boundary) is left to the reference itself, which is slower and right.
"""

import datetime as dt
import math
import re
import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from mesh_assets.audit.values import ColumnType, Family, exact, literal, quoted, text
from mesh_assets.schemas.patterns import for_duckdb

_OPERATORS = {
    "equal_to": "=",
    "not_equal_to": "<>",
    "greater_than": ">",
    "greater_than_or_equal_to": ">=",
    "less_than": "<",
    "less_than_or_equal_to": "<=",
}
_EXACT_IN = {"FLOAT": 2**24, "DOUBLE": 2**53}
_HUGE = 2**127
_ROWS = frozenset({
    *_OPERATORS, "in_range", "isin", "notin", "str_matches", "str_contains", "str_startswith", "str_endswith", "str_length",
})  # fmt: skip
BUILT_IN = _ROWS | {"unique_values_eq"}
Arguments = Mapping[str, Any]


def holds(check: str, arguments: Arguments, name: str, type_: ColumnType) -> str | None:
    """SQL that is true, false or null of a value as the reference's check is; None where SQL cannot say it exactly.

    Raises:
        CannotAnswer: The reference cannot use the pattern.
    """
    column = quoted(name)
    if check in _OPERATORS:
        (value,) = arguments.values()
        return _compared(column, type_, _OPERATORS[check], value)
    match check:
        case "in_range":
            return _in_range(column, type_, arguments)
        case "isin" | "notin":
            (listed,) = arguments.values()
            return _listed(column, type_, listed, inside=check == "isin")
    if type_.family is not Family.TEXT:
        return None
    return _TEXT[check](column, arguments) if check in _TEXT else None


def whole(check: str, arguments: Arguments, name: str, type_: ColumnType) -> str | None:
    """SQL of one truth about a whole column, to be selected from the table; None where there is none."""
    if check != "unique_values_eq":
        return None
    column, values = quoted(name), _values(type_, arguments["values"])
    # Python compares the two sets: a list is never one.
    if not isinstance(arguments["values"], set | frozenset) or not values or type_.family is Family.FLOAT:
        return None
    listed = ", ".join(sorted(set(values)))
    count = len(set(values))
    return f"count(DISTINCT {column}) = {count} AND count(DISTINCT {column}) FILTER (WHERE {column} IN ({listed})) = {count}"


def _compared(column: str, type_: ColumnType, operator: str, value: object) -> str | None:
    if type_.family is Family.BOOLEAN and operator not in ("=", "<>"):
        return None
    if type_.family is Family.INTEGER and isinstance(value, float):
        return _whole_against_float(column, type_, operator, value)
    said = _literal(type_, value)
    if said is None:
        return None
    condition = f"{column} {operator} {said}"
    if type_.family is not Family.FLOAT:
        return condition
    # NaN is the greatest; asked for by name, for other writers leave it out of a file's statistics.
    return (
        f"({condition} OR isnan({column}))"
        if operator in (">", ">=", "<>")
        else f"({condition} AND NOT isnan({column}))"
    )


def _whole_against_float(column: str, type_: ColumnType, operator: str, value: float) -> str | None:
    if not math.isfinite(value):
        return None
    if type_.name in ("BIGINT", "UBIGINT"):
        return f"CAST({column} AS DOUBLE) {operator} {value!r}::DOUBLE"
    small = float(value).is_integer() and abs(value) <= _EXACT_IN["FLOAT"]
    return f"{column} {operator} {int(value)}" if small and "HUGE" not in type_.name else None


def _in_range(column: str, type_: ColumnType, arguments: Arguments) -> str | None:
    least = _compared(column, type_, ">=" if arguments.get("include_min", True) else ">", arguments["min_value"])
    most = _compared(column, type_, "<=" if arguments.get("include_max", True) else "<", arguments["max_value"])
    return None if least is None or most is None else f"({least} AND {most})"


def _listed(column: str, type_: ColumnType, listed: object, *, inside: bool) -> str | None:
    if isinstance(listed, str):  # its characters
        listed = list(listed)
    values = _values(type_, listed)
    if values is None:
        return None
    verdict = f"{column} IN ({', '.join(values)})" if values else f"CASE WHEN {column} IS NOT NULL THEN FALSE END"
    if values and type_.family is Family.FLOAT:
        verdict = f"({verdict} AND NOT isnan({column}))"
    return verdict if inside else f"NOT ({verdict})"


def _values(type_: ColumnType, listed: object) -> list[str] | None:
    """The values as SQL, null left out; None when one of them is of another sort than the column."""
    if not isinstance(listed, list | tuple | set | frozenset):
        return None
    found = []
    for value in listed:
        if value is None:
            continue
        if type_.family is Family.FLOAT and not isinstance(value, float):
            return None  # the reference has no whole numbers among floats
        if isinstance(value, int) and abs(value) >= 2**63:
            return None
        said = _literal(type_, value)
        if said is None:
            return None
        found.append(said)
    return found


def _literal(type_: ColumnType, value: object) -> str | None:
    """A value of the column's own sort as SQL."""
    match type_.family:
        case Family.INTEGER if type(value) is int and abs(value) < _HUGE:
            return str(value) if abs(value) < 2**63 else f"CAST('{value}' AS HUGEINT)"
        case Family.FLOAT if type(value) in (int, float):
            return _float(type_, value)
        case Family.DECIMAL if type(value) in (int, Decimal):
            return _decimal(type_, value)
        case Family.TEXT if type(value) is str:
            return text(value)
        case Family.BOOLEAN if type(value) is bool:
            return literal(value, type_)
        case Family.DATE if type(value) is dt.date:
            return literal(value, type_)
        case Family.TIMESTAMP if type(value) is dt.datetime and value.tzinfo is None:
            return literal(value, type_)
        case Family.TIMESTAMPTZ if type(value) is dt.datetime and value.tzinfo is not None:
            return _moment(type_, value)
        case Family.TIME if type(value) is dt.time and value.tzinfo is None:
            return literal(value, type_)
    return None


def _moment(type_: ColumnType, value: dt.datetime) -> str | None:
    try:
        return literal(value.astimezone(dt.UTC), type_)
    except OverflowError:  # before the year 1, or after 9999, in UTC
        return None


def _float(type_: ColumnType, value: Any) -> str | None:  # noqa: ANN401 - a number
    if isinstance(value, int):
        return literal(float(value), type_) if abs(value) <= _EXACT_IN[type_.name] else None
    if math.isnan(value):
        return None
    if type_.name == "FLOAT" and math.isfinite(value):
        try:
            if struct.unpack("f", struct.pack("f", value))[0] != value:
                return None
        except OverflowError:
            return None
    return literal(value, type_)


def _decimal(type_: ColumnType, value: Any) -> str | None:  # noqa: ANN401 - a number
    if isinstance(value, Decimal) and not value.is_finite():
        return None
    found = exact(value, type_)
    return None if found is None else literal(found, type_)


def _pattern(given: object) -> str | None:
    if isinstance(given, re.Pattern):
        return given.pattern if isinstance(given.pattern, str) else None
    return given if isinstance(given, str) else None


def _matches(column: str, arguments: Arguments) -> str | None:
    pattern = _pattern(arguments["pattern"])
    if pattern is None:
        return None
    return _found(column, pattern if pattern.startswith("^") else f"^{pattern}")


def _contains(column: str, arguments: Arguments) -> str | None:
    pattern = _pattern(arguments["pattern"])
    return None if pattern is None else _found(column, pattern)


def _found(column: str, pattern: str) -> str | None:
    said = for_duckdb(pattern)
    return None if said is None else f"regexp_matches({column}, {text(said)})"


def _length(column: str, arguments: Arguments) -> str | None:
    asked = {name: value for name, value in arguments.items() if value is not None}
    if not asked or any(type(value) is not int or not 0 <= value < 2**31 for value in asked.values()):
        return None
    if "exact_value" in asked:
        return f"length({column}) = {asked['exact_value']}"
    least = f"length({column}) >= {asked['min_value']}" if "min_value" in asked else ""
    most = f"length({column}) <= {asked['max_value']}" if "max_value" in asked else ""
    return f"({least} AND {most})" if least and most else least or most


def _side(function: str) -> Callable[[str, Arguments], str | None]:
    def said(column: str, arguments: Arguments) -> str | None:
        value = arguments["string"]
        return f"{function}({column}, {text(value)})" if isinstance(value, str) else None

    return said


_TEXT: Mapping[str, Callable[[str, Arguments], str | None]] = {
    "str_matches": _matches,
    "str_contains": _contains,
    "str_length": _length,
    "str_startswith": _side("starts_with"),
    "str_endswith": _side("ends_with"),
}
