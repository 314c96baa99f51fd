"""Whether a reader only hands a column on, or does with it what cannot fail: then no value of it can stop the reader.

Copying a value neither fails nor loses rows. Grouping by it, counting it, writing it as text never fails either, though there
may be other rows then. Who reads what comes out is asked in turn.
"""

from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from typing import TypeGuard

from mesh_assets.changes.lineage import Known, Lineage, SqlglotError, exp, parse
from mesh_assets.changes.model import Change, Kind
from mesh_assets.changes.texts import Text
from mesh_assets.contract import Contract, Test
from mesh_assets.contract import Kind as Asks

LOOSER = frozenset({Kind.NULL_ALLOWED, Kind.VALUES_ADDED, Kind.RANGE_WIDENED, Kind.FORMAT_REMOVED})
"""Changes after which there may be other values in the same columns of the same rows."""
OF_VALUES = frozenset(
    {Asks.NULL_VALUES, Asks.MISSING_VALUES, Asks.INVALID_VALUES, Asks.PATTERN, Asks.FORMAT, Asks.MULTIPLE_OF}
    | {Asks.MIN_LENGTH, Asks.MAX_LENGTH, Asks.REFERENCE, Asks.REQUIRED}
)
"""Rules that look at one value at a time: without them there may be other values, and no other rows."""
TOTAL = (exp.Alias, exp.Paren, exp.Upper, exp.Lower, exp.Trim, exp.Length, exp.DPipe, exp.TryCast, exp.RowNumber)
"""What has an answer for every value of every type. Comparing has not: DuckDB casts text to a number for it."""
OF_ROWS = (exp.Group, exp.Order, exp.Ordered, exp.Distinct, exp.Window, exp.Count, exp.Min, exp.Max, exp.AnyValue)
"""The same, of many rows."""
CONDITIONS = (exp.Not, exp.And, exp.Or, exp.Where, exp.Having, exp.Qualify)
OF_SHAPE = frozenset({Asks.COLUMNS, Asks.TYPES, Asks.ROW_COUNT})
"""Tests that no value can fail."""


def is_looser(change: Change) -> bool:
    """Whether a change lets other values into columns that stay, in the same rows."""
    if change.kind in (Kind.RULE_REMOVED, Kind.RULE_LOOSENED):
        return change.asks in OF_VALUES and bool(change.columns)
    return change.kind in LOOSER and bool(change.columns)


def only_hands_on(text: Text | None, read: Lineage, port: str, column: str) -> bool:
    """Whether all that a table's SQL does with a column of an input is to copy it to its output."""
    return _is_proven(text, read, port) and column.lower() not in _worked_on(_selects(text))


def _is_proven(text: Text | None, read: Lineage, port: str) -> TypeGuard[Text]:
    use = read.uses.get(port)
    return text is not None and not text.incremental and use is not None and use.known is Known.PROVEN


def _selects(text: Text) -> tuple[str, ...]:
    """A table's SELECT, and those that it reads by name: a name of one of them may be any other's."""
    return (text.sql, *(part.sql for part in text.parts.values()))


class Work(StrEnum):
    """What a SELECT does with a column, as far as its values matter."""

    VALUES = "values"  # what comes out of it may have other values, in the same rows
    ROWS = "rows"  # there may be other rows
    UNSURE = "unsure"  # it may fail


def worked(text: Text | None, read: Lineage, port: str, column: str) -> Work:
    """Whether what a table's SQL does with a column of an input may fail by its values."""
    return _worked(_selects(text), column.lower()) if _is_proven(text, read, port) else Work.UNSURE


def sees(contract: Contract | None, columns: frozenset[str]) -> bool:
    """Whether a contract has a test that may fail by values of these columns, which are in small letters."""
    if contract is None:
        return False
    return bool(contract.schemas) or any(_looks_at(test, columns) for test in contract.tests)


def _looks_at(test: Test, columns: frozenset[str]) -> bool:
    if test.kind in OF_SHAPE:
        return False
    return not test.columns or any(column.lower() in columns for column in test.columns)


@lru_cache(maxsize=4_000)
def _worked_on(selects: tuple[str, ...]) -> "frozenset[str] | _Everything":
    """Names that SELECTs compare, compute with or group by, and those of which such are made."""
    trees = _parsed(selects)
    if not trees or any(_is_unclear(node) for tree in trees for node in tree.walk()):
        return _Everything()
    copies = [copy for tree in trees for copy in _copies(tree)]
    renamed = {(node.name.lower(), alias.lower()) for node, alias in copies if alias}
    copied = {id(node) for node, _ in copies}
    found = {node.name.lower() for tree in trees for node in tree.find_all(exp.Column) if id(node) not in copied}
    found |= {
        name.name.lower() for tree in trees for join in tree.find_all(exp.Join) for name in join.args.get("using") or ()
    }
    while more := {name for name, alias in renamed if alias in found} - found:
        found |= more
    return frozenset(found)


def _parsed(selects: tuple[str, ...]) -> tuple[exp.Expr, ...]:
    """Their trees; none where one of them cannot be read."""
    try:
        found = [[statement for statement in parse(sql, read="duckdb") if statement is not None] for sql in selects]
    except (SqlglotError, ValueError, RecursionError):
        return ()
    return tuple(each[0] for each in found) if all(len(each) == 1 for each in found) else ()


@lru_cache(maxsize=4_000)
def _worked(selects: tuple[str, ...], column: str) -> Work:
    trees = _parsed(selects)
    if not trees or any(_is_unsure(node) for tree in trees for node in tree.walk()):
        return Work.UNSURE
    nodes = [node for tree in trees for node in tree.find_all(exp.Column)]
    names = {column}
    while more := {_projected(node) for node in nodes if node.name.lower() in names} - names - {""}:
        names |= more
    found = {_work_of(node) for node in nodes if node.name.lower() in names}
    if any(tree.find(exp.Group, exp.Distinct) for tree in trees):  # perhaps by this column, which a `*` brings along
        found.add(Work.ROWS)
    return max(found, key=tuple(Work).index, default=Work.VALUES)


def _is_unsure(node: exp.Expr) -> bool:
    if isinstance(node, exp.Group | exp.Distinct):
        return False
    if isinstance(node, exp.Star):
        return any(node.args.get(key) for key in ("replace", "rename"))
    return _is_unclear(node) or (isinstance(node, exp.Join) and bool(node.args.get("using")))


def _projected(column: exp.Column) -> str:
    """The name that what is made of a column is given, in small letters; empty where it is given none."""
    node: exp.Expr = column
    while node.parent is not None and not isinstance(node.parent, exp.Query):
        node = node.parent
    return node.alias_or_name.lower() if isinstance(node, exp.Alias | exp.Column) else ""


def _work_of(column: exp.Column) -> Work:
    """What is done with one mention of a column, up to the SELECT in which it stands."""
    work, node, is_condition = Work.VALUES, column.parent, False
    while node is not None and not isinstance(node, exp.Select):
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            is_condition = True
        elif isinstance(node, CONDITIONS):
            if not is_condition:
                return Work.UNSURE  # text that is taken for true or false
            work = Work.ROWS
        elif isinstance(node, OF_ROWS):
            work = Work.ROWS
        elif not isinstance(node, TOTAL) and not (isinstance(node, exp.Cast) and _is_text(node)):
            return Work.UNSURE
        node = node.parent
    above = node.parent if node is not None else column
    while isinstance(above, exp.Subquery | exp.SetOperation):
        above = above.parent
    return work if isinstance(above, exp.CTE | exp.From | exp.Join | None) else Work.UNSURE


def _is_text(cast: exp.Cast) -> bool:
    return cast.to.this in (exp.DataType.Type.VARCHAR, exp.DataType.Type.TEXT) and not cast.to.expressions


def _copies(tree: exp.Expr) -> Iterator[tuple[exp.Column, str]]:
    """Columns that are selected as they are, with the name that they are given; not those of a subquery in a condition."""
    for select in tree.find_all(exp.Select):
        above = select.parent
        while isinstance(above, exp.Subquery | exp.SetOperation):
            above = above.parent
        if not isinstance(above, exp.CTE | exp.From | exp.Join | None):
            continue
        for item in select.expressions:
            star = item.this if isinstance(item, exp.Column) else item
            renamed = star.args.get("rename") or () if isinstance(star, exp.Star) else ()
            for one in (item, *renamed):  # what a `*` replaces is worked on: it stands there as an expression
                column = one.this if isinstance(one, exp.Alias) else one
                if isinstance(column, exp.Column):
                    yield column, one.alias if isinstance(one, exp.Alias) else ""


def _is_unclear(node: exp.Expr) -> bool:
    """What compares values or gives columns other names without writing the columns."""
    if isinstance(node, exp.Group | exp.Distinct | exp.Pivot | exp.Columns | exp.Intersect | exp.Except):
        return True
    if isinstance(node, exp.Union):
        names = [[item.alias_or_name.lower() for item in side.selects] for side in (node.left, node.right)]
        return bool(node.args.get("distinct")) or names[0] != names[1]
    if isinstance(node, exp.Join):
        return str(node.args.get("method") or "").upper() == "NATURAL"
    return isinstance(node, exp.TableAlias) and bool(node.columns)


class _Everything:
    """Every name: what cannot be read may do anything."""

    def __contains__(self, _name: object) -> bool:
        return True
