"""A test, put as a question to the table: SQL that counts what it asks for, and SQL that shows it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from mesh_assets.audit import library
from mesh_assets.audit.patterns import Engine, compiled, whole
from mesh_assets.audit.values import (
    HOLDS,
    INTEGERS,
    NUMBERS,
    CannotAnswer,
    ColumnType,
    Family,
    bound,
    exact,
    literal,
    quoted,
    spelt,
    step,
    text,
)
from mesh_assets.contract import Kind, Test

Types = Mapping[str, ColumnType]
SHOWN = 100
"""Repeated keys whose rows are shown, at most: nobody can ask for more rows."""
OPPOSITE = {">=": "<", "<=": ">", ">": "<=", "<": ">="}
INTEGER_FORMATS = {
    f"{sign}{bits}": INTEGERS[("U" if sign == "u" else "") + name]
    for name, bits in {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}.items()
    for sign in "iu"
}
TYPED = (Family.DATE, Family.TIMESTAMP, Family.TIMESTAMPTZ, Family.TIME, Family.FLOAT, Family.DECIMAL)


@dataclass(frozen=True, slots=True)
class Question:
    """One test as SQL.

    Attributes:
        count: A query of one number.
        rows: What follows `SELECT …` to show the counted rows; the table is called `_r`.
        light: It needs one pass and no memory, so that it can share a statement with others.
        condition: What is true of the rows that are counted, where every row is judged by itself; else empty.
        target: The table that `condition` reads besides, if any, as `domain.table`.
    """

    test: Test
    count: str
    rows: str
    light: bool = True
    condition: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """Another table that a reference points to: its SQL and its columns."""

    sql: str
    types: Types


def question(test: Test, relation: str, types: Types, target: Callable[[str], Target]) -> Question:
    """The test as SQL over the relation, whose columns are known to be there.

    Raises:
        CannotAnswer: It makes no sense for a column of that type, or its arguments are not what they must be.
    """
    match test.kind:
        case Kind.UNIQUE | Kind.PRIMARY_KEY | Kind.DUPLICATE_VALUES:
            return _repeats(test, relation, types)
        case Kind.REFERENCE:
            return _reference(test, relation, types, target)
        case Kind.LIBRARY:
            return _of_library(test, relation, types, target)
    condition = fails(test, types)
    return Question(
        test,
        f"SELECT count(*) FROM {relation} WHERE {condition}",
        f"FROM (SELECT * FROM {relation} WHERE {condition}) AS _r",
        condition=condition,
    )


def fails(test: Test, types: Types) -> str:  # noqa: C901 - one line per kind
    """What is true of a row that the test counts, and of no other."""
    if test.kind is Kind.LIBRARY:
        return _fails_library(test, types)
    if test.kind in (Kind.REQUIRED, Kind.NULL_VALUES):
        return " OR ".join(missing(column, types[column]) for column in test.columns)
    if len(test.columns) != 1:
        msg = f"a test of kind `{test.kind}` is asked of one column, not {len(test.columns)}"
        raise CannotAnswer(msg)
    (name,) = test.columns
    type_, column = types[name], quoted(name)
    pattern = pattern_of(test, type_)
    if pattern is not None:
        return _unlike(column, type_, compiled(pattern, Engine.DUCKDB))
    match test.kind:
        case kind if kind in HOLDS:
            operator, value = bound(kind, test.arguments.get("value"), type_)
            wrong = f"{column} {OPPOSITE[operator]} {literal(value, type_)}"
            return _with_nan(wrong, column, type_, counts=operator[0] == "<")
        case Kind.MULTIPLE_OF:
            return _no_multiple(column, type_, test.arguments.get("value"))
        case Kind.PATTERN:
            return compiled(None, Engine.DUCKDB)  # and so says that it has none
        case Kind.FORMAT:
            return _misformed(column, type_, test.arguments.get("format"))
        case Kind.MIN_LENGTH | Kind.MAX_LENGTH:
            return (
                f"length({as_text(type_).format(column)}) {'<' if test.kind is Kind.MIN_LENGTH else '>'} {length(test)}"
            )
        case Kind.MISSING_VALUES:
            return _missing_values(name, type_, test)
        case Kind.INVALID_VALUES:
            return _invalid_values(column, type_, test)
    msg = f"tests of kind `{test.kind}` cannot be executed yet"
    raise CannotAnswer(msg)


def _fails_library(test: Test, types: Types) -> str:
    found = library.answer(library.Asked(test, types, "", lambda _: ("", {})))
    if isinstance(found, library.Rows):
        return found.condition
    msg = f"`{test.type}` looks at more than one row"
    raise CannotAnswer(msg)


def values(test: Test, argument: str, type_: ColumnType) -> list:
    """The listed values that the column's type can hold; null is left out."""
    listed = test.arguments.get(argument)
    if not isinstance(listed, list | tuple):
        msg = f"`{argument}` must be a list of values, not {spelt(listed)}"
        raise CannotAnswer(msg)
    found = [exact(value, type_) for value in listed if value is not None]
    return [value for value in found if value is not None]


def length(test: Test) -> int:
    """How long a text must be at least, or may be at most."""
    value = test.arguments.get("value")
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        msg = f"a length must be a whole number, not {spelt(value)}"
        raise CannotAnswer(msg)
    return min(value, 2**62)


def pattern_of_format(name: object, type_: ColumnType) -> str:
    """The regular expression of a format; empty for a column whose type says more than any format."""
    if type_.family in TYPED or (type_.family is Family.INTEGER and name in INTEGER_FORMATS):
        return ""
    return whole(str(name))


def missing(name: str, type_: ColumnType) -> str:
    """NaN counts as missing, as in the reference."""
    column = quoted(name)
    return f"({column} IS NULL OR isnan({column}))" if type_.family is Family.FLOAT else f"{column} IS NULL"


def _with_nan(condition: str, column: str, type_: ColumnType, *, counts: bool) -> str:
    """NaN is greater than every number, and equal to itself; it is asked for by name.

    DuckDB means the same, but decides by a file's least and greatest value, in which other writers leave NaN out.
    """
    if type_.family is not Family.FLOAT:
        return condition
    return f"{condition} OR isnan({column})" if counts else f"{condition} AND NOT isnan({column})"


def _no_multiple(column: str, type_: ColumnType, value: object) -> str:
    of = step(value, type_)
    if type_.family is Family.FLOAT:
        quotient = f"(CAST({column} AS DOUBLE) / {of!r}::DOUBLE)"
        near, relative = (1e-9, 1e-15) if type_.name == "DOUBLE" else (1e-6, 1e-6)
        off = f"abs({quotient} - round({quotient}))"
        return (
            f"NOT isfinite({column}) OR ({off} > {near!r}::DOUBLE AND {off} > abs({quotient}) * {relative!r}::DOUBLE)"
        )
    if type_.family is Family.DECIMAL and of > 1:
        return (
            f"{column} % {literal(Decimal(f'{of}e-{type_.scale}'), type_)} <> 0"
            if of <= type_.high
            else f"{column} <> 0"
        )
    if of == 1:
        return "FALSE"
    if of > INTEGERS["HUGEINT"][1]:
        return f"{column} <> 0"
    return f"{column} % {of} <> 0" if of <= type_.high else f"CAST({column} AS HUGEINT) % {of} <> 0"


def as_text(type_: ColumnType) -> str:
    """How such a column becomes text.

    Raises:
        CannotAnswer: It holds none.
    """
    if type_.family not in (Family.TEXT, Family.UUID):
        msg = f"it asks for text, and the column is {type_.name}"
        raise CannotAnswer(msg)
    return "{}" if type_.family is Family.TEXT else "CAST({} AS VARCHAR)"


def _unlike(column: str, type_: ColumnType, pattern: str) -> str:
    return f"NOT regexp_matches({as_text(type_).format(column)}, {text(pattern)})"


def pattern_of(test: Test, type_: ColumnType) -> object:
    """The pattern that every text of a column must match, as it is written; None where a test asks for something else, or for more."""
    match test.kind:
        case Kind.PATTERN:
            return test.arguments.get("pattern")
        case Kind.FORMAT:
            return pattern_of_format(test.arguments.get("format"), type_) or None
        case Kind.INVALID_VALUES if "valid_values" not in test.arguments:
            return test.arguments.get("pattern")
    return None


def _misformed(column: str, type_: ColumnType, name: object) -> str:
    if type_.family is Family.INTEGER:
        low, high = INTEGER_FORMATS[str(name)]
        low, high = literal(max(low, type_.low), type_), literal(min(high, type_.high), type_)
        return f"{column} < {low} OR {column} > {high}"
    return "FALSE"


def missing_words(test: Test, type_: ColumnType) -> list:
    """The values that stand for a missing one, besides null; where the test lists none, the empty text."""
    if "missing_values" in test.arguments:
        return values(test, "missing_values", type_)
    return [""] if type_.family is Family.TEXT else []


def _missing_values(name: str, type_: ColumnType, test: Test) -> str:
    listed, absent = missing_words(test, type_), missing(name, type_)
    return (
        f"{absent} OR {quoted(name)} IN ({', '.join(literal(value, type_) for value in listed)})" if listed else absent
    )


def _invalid_values(column: str, type_: ColumnType, test: Test) -> str:
    conditions = []
    if "valid_values" in test.arguments:
        listed = ", ".join(literal(value, type_) for value in values(test, "valid_values", type_))
        wrong = f"{column} NOT IN ({listed})" if listed else f"{column} IS NOT NULL"
        conditions.append(f"({_with_nan(wrong, column, type_, counts='nan' not in listed)})")
    if "pattern" in test.arguments:
        conditions.append(_unlike(column, type_, compiled(test.arguments["pattern"], Engine.DUCKDB)))
    if not conditions:
        msg = "`invalidValues` needs `validValues` or a `pattern` to know what is valid"
        raise CannotAnswer(msg)
    return " OR ".join(conditions)


def _repeats(test: Test, relation: str, types: Types) -> Question:
    """All rows that share their values with another row. `unique` takes null for a value, `duplicateValues` does not."""
    names = ", ".join(map(quoted, test.columns))
    condition, where = "count(*) > 1", ""
    if test.kind is Kind.PRIMARY_KEY:
        condition = " OR ".join([condition, *(missing(column, types[column]) for column in test.columns)])
    elif test.kind is Kind.DUPLICATE_VALUES:
        where = " WHERE " + " AND ".join(f"{quoted(column)} IS NOT NULL" for column in test.columns)
    groups = f"FROM {relation}{where} GROUP BY {names} HAVING {condition}"
    same = " AND ".join(f"_r.{quoted(column)} IS NOT DISTINCT FROM _g.{quoted(column)}" for column in test.columns)
    return Question(
        test,
        f"SELECT coalesce(sum(n), 0)::BIGINT FROM (SELECT count(*) AS n {groups})",
        f"FROM (SELECT * FROM {relation}) AS _r SEMI JOIN (SELECT {names} {groups} ORDER BY ALL LIMIT {SHOWN}) AS _g ON {same}"
        f" ORDER BY {', '.join(f'_r.{quoted(column)}' for column in test.columns)}",
        light=False,
    )


def _reference(test: Test, relation: str, types: Types, target: Callable[[str], Target]) -> Question:
    table, columns = str(test.arguments.get("to_table")), test.arguments.get("to_columns")
    if not isinstance(columns, list | tuple) or len(columns) != len(test.columns):
        msg = f"a reference to `{table}` needs as many columns there as here"
        raise CannotAnswer(msg)
    there = target(table)
    for ours, theirs in zip(test.columns, columns, strict=True):
        if theirs not in there.types:
            msg = f"`{table}` has no column `{theirs}`"
            raise CannotAnswer(msg)
        if not _comparable(types[ours], there.types[theirs]):
            msg = f"`{ours}` is {types[ours].name} and `{table}.{theirs}` is {there.types[theirs].name}: they do not compare"
            raise CannotAnswer(msg)
    same = " AND ".join(
        f"_r.{quoted(ours)} = _t.{quoted(theirs)}" for ours, theirs in zip(test.columns, columns, strict=True)
    )
    known = " AND ".join(f"_r.{quoted(ours)} IS NOT NULL" for ours in test.columns)
    rows = f"FROM (SELECT * FROM {relation}) AS _r ANTI JOIN (SELECT * FROM {there.sql}) AS _t ON {same} WHERE {known}"
    order = ", ".join(f"_r.{quoted(ours)}" for ours in test.columns)
    condition = ""
    if len(columns) == 1:
        key = quoted(columns[0])
        condition = f"{quoted(test.columns[0])} NOT IN (SELECT {key} FROM {there.sql} WHERE {key} IS NOT NULL)"
    return Question(
        test, f"SELECT count(*) {rows}", f"{rows} ORDER BY {order}", light=False, condition=condition, target=table
    )


def _of_library(test: Test, relation: str, types: Types, target: Callable[[str], Target]) -> Question:
    """A test of the library that counts rows; those that measure are answered by `measured.py`."""
    found = library.answer(library.Asked(test, types, relation, lambda name: _pair(target(name))))
    if isinstance(found, library.Rows):
        condition = found.condition
        rows = f"FROM (SELECT * FROM {relation} WHERE {condition}) AS _r"
        return Question(test, f"SELECT count(*) FROM {relation} WHERE {condition}", rows, condition=condition)
    if isinstance(found, library.Found):
        return Question(test, f"SELECT count(*) FROM ({found.query})", f"FROM ({found.query}) AS _r", light=False)
    msg = f"`{test.type}` measures, it counts no rows"
    raise CannotAnswer(msg)


def _pair(target: Target) -> tuple[str, Types]:
    return target.sql, target.types


def _comparable(ours: ColumnType, theirs: ColumnType) -> bool:
    return ours.name == theirs.name or ours.family is theirs.family or {ours.family, theirs.family} <= set(NUMBERS)
