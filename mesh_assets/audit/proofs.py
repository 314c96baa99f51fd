"""What can be said of a test without reading all rows: by statistics, by order, by a bitmap, by what is known already.

Every proof here is exact: it holds for the rows, not for most of them. What cannot be proved is not decided here.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import duckdb

from mesh_assets.audit import inmemory
from mesh_assets.audit.contents import Bounds, DataFile
from mesh_assets.audit.limits import memory_limit
from mesh_assets.audit.questions import INTEGER_FORMATS, Types, length, missing_words, values
from mesh_assets.audit.values import HOLDS, CannotAnswer, ColumnType, Family, bound, literal, quoted
from mesh_assets.contract import Kind, Test

DENSE = 2**31
"""Widest range of a bitmap of DuckDB's: 256 MB."""
LARGE = 20_000_000
"""Rows from which keys are compared with a limit on memory: spilling is cheaper than a hash table that no cache holds."""
LEAN = 1_000_000_000


# -- statistics ---------------------------------------------------------------------------------------------------------


def counted(test: Test, condition: str, types: Types, file: DataFile) -> int | None:
    """How many rows of a file a test of single rows counts, where the statistics say it exactly; else None."""
    if not file.rows or condition == "FALSE":
        return 0
    if test.kind in (Kind.REQUIRED, Kind.NULL_VALUES):
        return _missing(test, types, file)
    if len(test.columns) != 1:
        return None
    type_, bounds = types[test.columns[0]], file.bounds.get(test.columns[0], Bounds())
    if test.kind is Kind.MISSING_VALUES:
        return _missing(test, types, file) if _no_word(test, type_, bounds) else None
    return 0 if _holds(test, type_, bounds) else None


def span(bounds: Bounds, type_: ColumnType) -> tuple[Any, Any] | None:
    """The least and the greatest value that a column can have, as Python orders them; None when that is not known."""
    try:
        lows, highs = ([_read(value, type_) for value in side] for side in (bounds.lows, bounds.highs))
    except (ValueError, InvalidOperation):
        return None
    return (min(lows), max(highs)) if lows and highs else None


def _read(value: str, type_: ColumnType) -> Any:  # noqa: ANN401 - as Python compares values of that type
    match type_.family:
        case Family.INTEGER:
            return int(value)
        case Family.DECIMAL:
            number = Decimal(value)
            if number.is_finite():
                return number
        case Family.DATE:
            return date.fromisoformat(value)
        case Family.TIMESTAMP | Family.TIMESTAMPTZ if type_.name != "TIMESTAMP_NS":
            moment = datetime.fromisoformat(value)
            if (moment.tzinfo is not None) is (type_.family is Family.TIMESTAMPTZ):
                return moment
        case Family.TEXT:
            return value.encode()
    raise ValueError(value)


def _missing(test: Test, types: Types, file: DataFile) -> int | None:
    """NaN is missing too, and statistics leave it out."""
    if any(types[column].family is Family.FLOAT for column in test.columns):
        return None
    nulls = [file.bounds.get(column, Bounds()).nulls for column in test.columns]
    if all(count == 0 for count in nulls):
        return 0
    return nulls[0] if len(nulls) == 1 and not file.deletes else None


def _no_word(test: Test, type_: ColumnType, bounds: Bounds) -> bool:
    """Whether no value can be one of those that stand for a missing one."""
    words = missing_words(test, type_)
    if not words:
        return True
    if type_.family is Family.TEXT:
        return words == [""] and bool(bounds.lows) and all(bounds.lows)
    found = span(bounds, type_) if type_.family in (Family.INTEGER, Family.DECIMAL) else None
    return found is not None and all(word < found[0] or word > found[1] for word in words)


def _holds(test: Test, type_: ColumnType, bounds: Bounds) -> bool:
    match test.kind:
        case kind if kind in HOLDS:
            return _within(*bound(kind, test.arguments.get("value"), type_), type_, bounds)
        case Kind.FORMAT if type_.family is Family.INTEGER:
            found, allowed = span(bounds, type_), INTEGER_FORMATS.get(str(test.arguments.get("format")))
            return bool(found and allowed) and allowed[0] <= found[0] and found[1] <= allowed[1]
        case Kind.MIN_LENGTH if type_.family is Family.TEXT:
            least = length(test)
            return least == 0 or (least == 1 and bool(bounds.lows) and all(bounds.lows))
        case Kind.INVALID_VALUES if type_.family is Family.INTEGER and "pattern" not in test.arguments:
            found, listed = span(bounds, type_), set(values(test, "valid_values", type_))
            return (
                found is not None and found[1] - found[0] < len(listed) and set(range(found[0], found[1] + 1)) <= listed
            )
    return False


def _within(operator: str, value: Any, type_: ColumnType, bounds: Bounds) -> bool:  # noqa: ANN401 - likewise
    if type_.name == "DOUBLE" and operator[0] == ">":  # NaN, of which nothing is known, breaks no minimum
        try:
            found = (min(map(float, bounds.lows)), 0.0) if bounds.lows else None
        except ValueError:
            return False
    else:
        found = None if type_.family is Family.TEXT else span(bounds, type_)
    if found is None:
        return False
    match operator:
        case ">=":
            return found[0] >= value
        case ">":
            return found[0] > value
        case "<=":
            return found[1] <= value
    return found[1] < value


# -- keys ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Columns in which no two rows may be equal.

    Attributes:
        known_only: Rows in which one of them is null do not count; else null is a value like any other.
    """

    columns: tuple[str, ...]
    types: Types
    known_only: bool

    def of(self, sql: str, where: str = "") -> str:
        """The keys of a relation, as a relation."""
        conditions = [f"({where})"] if where else []
        if self.known_only:
            conditions += [f"{quoted(column)} IS NOT NULL" for column in self.columns]
        names = ", ".join(map(quoted, self.columns))
        return f"(SELECT {names} FROM {sql}{' WHERE ' + ' AND '.join(conditions) if conditions else ''})"

    def search(
        self, con: duckdb.DuckDBPyConnection, keys: str, found: tuple | None, rows: int | None
    ) -> tuple[str, str]:
        """How it is proved that no two are equal (empty: it is not), and a condition that all equal ones fulfil, if any.

        Args:
            con: Outside a transaction.
            keys: As `of` gives them.
            found: Least and greatest value, of a single column.
            rows: About how many there are; None: nobody knows.
        """
        if len(self.columns) != 1:
            return "", ""
        (column,), (type_,) = self.columns, (self.types[self.columns[0]],)
        if type_.family in _IN_ORDER and _ascends(con, keys, column):
            return "rows come in ascending order", ""
        return inmemory.alone(con, keys, column, type_, found, rows) if found and rows else ("", "")

    def meet(self, con: duckdb.DuckDBPyConnection, old: str, new: str) -> bool:
        """Whether one of the new keys is among the old ones."""
        same = " AND ".join(f"_o.{quoted(column)} IS NOT DISTINCT FROM _n.{quoted(column)}" for column in self.columns)
        return con.execute(f"SELECT 1 FROM {old} AS _o SEMI JOIN {new} AS _n ON {same} LIMIT 1").fetchone() is not None

    def apart(self, file: DataFile, others: Sequence[DataFile]) -> bool:
        """Whether the statistics say that no key of the file is one of the others'."""
        return any(self._apart(column, file, others) for column in self.columns)

    def _apart(self, column: str, file: DataFile, others: Sequence[DataFile]) -> bool:
        type_, none = self.types[column], Bounds()
        here, there = file.bounds.get(column, none), [other.bounds.get(column, none) for other in others]
        if not self.known_only and here.nulls != 0 and any(each.nulls != 0 for each in there):
            return False
        ours, theirs = span(here, type_), [span(each, type_) for each in there]
        return ours is not None and all(
            each is not None and (each[1] < ours[0] or ours[1] < each[0]) for each in theirs
        )


_IN_ORDER = (Family.INTEGER, Family.DECIMAL, Family.TEXT, Family.DATE, Family.TIMESTAMP, Family.TIMESTAMPTZ)


def _ascends(con: duckdb.DuckDBPyConnection, keys: str, column: str) -> bool:
    """One pass that remembers one row, and ends at the first one that is out of order."""
    name = quoted(column)
    broken = f"SELECT {name} IS NULL OR {name} <= lag({name}) OVER () AS broken FROM {keys}"
    return con.execute(f"SELECT 1 FROM ({broken}) WHERE broken LIMIT 1").fetchone() is None


def contiguous(con: duckdb.DuckDBPyConnection, sql: str, column: str, type_: ColumnType) -> tuple[int, int] | None:
    """First and last of a column's values, when every whole number between them is one of them."""
    name = quoted(column)
    low, high, rows = con.execute(f"SELECT min({name}), max({name}), count({name}) FROM {sql}").fetchone() or (
        None,
        None,
        0,
    )
    if low is None or high is None or high - low + 1 > rows or high - low >= DENSE:
        return None
    ends = f"{literal(low, type_)}, {literal(high, type_)}"
    try:
        row = con.execute(f"SELECT bit_count(bitstring_agg({name}, {ends})) FROM {sql}").fetchone()
    except duckdb.InterruptException:
        raise
    except duckdb.Error:
        return None
    return (int(low), int(high)) if row and row[0] == high - low + 1 else None


@contextmanager
def lean(con: duckdb.DuckDBPyConnection, rows: int | None) -> Generator[None]:
    """A limit on memory while very many keys are compared: then DuckDB sorts them on disk, which costs less as well."""
    if rows is None or rows < LARGE:
        yield
        return
    with memory_limit(con, LEAN):
        yield


def checked(test: Test, condition: str, types: Types, files: Sequence[DataFile]) -> Mapping[str, int]:
    """What the statistics say of each file, by path; a file of which they say nothing is left out."""
    try:
        found = {file.path: counted(test, condition, types, file) for file in files}
    except (CannotAnswer, TypeError):  # values that Python cannot compare
        return {}
    return {path: count for path, count in found.items() if count is not None}
