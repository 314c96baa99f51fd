"""A few failing rows, fit to be shown: plain values, only the columns that help, masked ones never read."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

import duckdb

from mesh_assets.audit.contents import VIRTUAL
from mesh_assets.audit.questions import Question
from mesh_assets.audit.values import ColumnType, Family, quoted
from mesh_assets.contract import Contract, Kind, Test

MASK = "•••"
COLUMNS = 8
LONGEST = 200
_AS_TEXT = (Family.DATE, Family.TIMESTAMP, Family.TIME, Family.UUID)  # Python's own types end at the year 9999


def shown(
    con: duckdb.DuckDBPyConnection, question: Question, types: Mapping[str, ColumnType], contract: Contract, limit: int
) -> tuple[dict[str, object], ...]:
    """Rows that the question counts; none when they cannot be fetched, for the count stands without them."""
    names = columns_shown(question.test, types, contract)
    listed = ", ".join(selected(name, types[name], contract) for name in names)
    try:
        rows = con.execute(f"SELECT {listed} {question.rows} LIMIT {limit}").fetchall()
    except duckdb.BinderException:  # the failing rows are no rows of the table, but of some of its columns
        return _fewer(con, question, names, types, contract, limit)
    except duckdb.Error:
        return ()
    return tuple({name: plain(value) for name, value in zip(names, row, strict=True)} for row in rows)


def shown_at(
    con: duckdb.DuckDBPyConnection,
    rows: str,
    questions: Sequence[Question],
    types: Mapping[str, ColumnType],
    contract: Contract,
) -> Mapping[tuple[str, int], dict[str, object]]:
    """Rows by file and number within it, each with every column that one of the questions shows; none if they cannot be fetched.

    Args:
        con: A connection.
        rows: What follows `SELECT …`, as `Question.rows`; it has the virtual columns too.
        questions: That these rows are counted by.
        types: Of the table's columns.
        contract: Of the table.
    """
    names = list(dict.fromkeys(name for one in questions for name in columns_shown(one.test, types, contract)))
    listed = ", ".join([*(selected(name, types[name], contract) for name in names), *VIRTUAL])
    try:
        found = con.execute(f"SELECT {listed} {rows}").fetchall()
    except duckdb.InterruptException:
        raise
    except duckdb.Error:  # each on its own, then
        return {}
    return {
        (file, place): {name: plain(value) for name, value in zip(names, values, strict=True)}
        for *values, file, place in found
    }


def _fewer(
    con: duckdb.DuckDBPyConnection,
    question: Question,
    names: list[str],
    types: Mapping[str, ColumnType],
    contract: Contract,
    limit: int,
) -> tuple[dict[str, object], ...]:
    try:
        there = {row[0] for row in con.execute(f"DESCRIBE SELECT * {question.rows}").fetchall()}
        if not (left := [name for name in names if name in there]):
            return ()
        listed = ", ".join(selected(name, types[name], contract) for name in left)
        rows = con.execute(f"SELECT {listed} {question.rows} LIMIT {limit}").fetchall()
    except duckdb.Error:
        return ()
    return tuple({name: plain(value) for name, value in zip(left, row, strict=True)} for row in rows)


def plain(value: object) -> object:
    """The value as JSON can hold it; text is cut to 200 characters."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return value if len(value) <= LONGEST else f"{value[:LONGEST]}…"
        case bytes() | bytearray():
            return f"{len(value)} bytes"
        case Decimal():
            return f"{value:f}"
        case dt.datetime():
            return value.isoformat(" ")
        case dt.date() | dt.time():
            return value.isoformat()
        case list() | tuple():
            return [plain(item) for item in value[:COLUMNS]]
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
    return plain(str(value))


def columns_shown(test: Test, types: Mapping[str, ColumnType], contract: Contract) -> list[str]:
    """Those of a row that are shown: those that find it, those that were tested, and a few more in the contract's order."""
    keys = [name for each in contract.tests if each.kind is Kind.PRIMARY_KEY for name in each.columns]
    keys += [column.name for column in contract.columns if column.primary_key]
    tested = list(test.columns)
    others = [column.name for column in contract.columns]
    first = dict.fromkeys(name for name in (*keys, *tested) if name in types)
    return list(dict.fromkeys([*first, *(name for name in others if name in types)]))[: max(COLUMNS, len(first))]


def selected(name: str, type_: ColumnType, contract: Contract) -> str:
    """A column of the table `_r` as it is shown; a masked one is not read."""
    column = f"_r.{quoted(name)}"
    if name in contract.masked:
        return f"'{MASK}'"
    if type_.family is Family.TIMESTAMPTZ:
        return f"CAST({column} AT TIME ZONE 'UTC' AS VARCHAR) || '+00'"
    return f"CAST({column} AS VARCHAR)" if type_.family in _AS_TEXT else column
