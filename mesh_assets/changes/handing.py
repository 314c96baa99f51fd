"""Whether a reader only hands a column on, and which of its tests may see other values of it.

Copying a value neither fails nor loses rows. What more is done with it `following` says. Who reads what comes out is asked in turn.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeGuard

from mesh_assets.changes.following import News, Rows
from mesh_assets.changes.lineage import Known, Lineage, SqlglotError, exp, parse
from mesh_assets.changes.model import Change, Kind
from mesh_assets.changes.texts import Text
from mesh_assets.contract import Contract, Severity, Test
from mesh_assets.contract import Kind as Asks

LOOSER = frozenset(
    {Kind.NULL_ALLOWED, Kind.VALUES_ADDED, Kind.RANGE_WIDENED, Kind.FORMAT_REMOVED, Kind.FORMAT_LOOSENED}
)
"""Changes after which there may be other values in the same columns of the same rows."""
OF_VALUES = frozenset(
    {Asks.NULL_VALUES, Asks.MISSING_VALUES, Asks.INVALID_VALUES, Asks.PATTERN, Asks.FORMAT, Asks.MULTIPLE_OF}
    | {Asks.MIN_LENGTH, Asks.MAX_LENGTH, Asks.REFERENCE, Asks.REQUIRED}
)
"""Rules that look at one value at a time: without them there may be other values, and no other rows."""
OF_SHAPE = frozenset({Asks.COLUMNS, Asks.TYPES, Asks.ROW_COUNT})
"""Tests that no value can fail."""
OF_ONE_ROW = frozenset(
    {Asks.REQUIRED, Asks.MINIMUM, Asks.MAXIMUM, Asks.EXCLUSIVE_MINIMUM, Asks.EXCLUSIVE_MAXIMUM}
    | {Asks.MULTIPLE_OF, Asks.PATTERN, Asks.FORMAT, Asks.MIN_LENGTH, Asks.MAX_LENGTH, Asks.REFERENCE}
)
"""Tests that look at one row at a time: they fail by what is in it, not by which others there are."""
OF_REPETITION = frozenset({Asks.UNIQUE, Asks.PRIMARY_KEY})
"""Tests that hold for some of the rows where they hold for all."""


def is_looser(change: Change) -> bool:
    """Whether a change lets other values into columns that stay, in the same rows."""
    if change.kind in (Kind.RULE_REMOVED, Kind.RULE_LOOSENED):
        return change.asks in OF_VALUES and bool(change.columns)
    return change.kind in LOOSER and bool(change.columns)


def news_of(change: Change) -> News:
    """What a looser promise lets in."""
    no_value = change.kind is Kind.NULL_ALLOWED or change.asks in (Asks.NULL_VALUES, Asks.REQUIRED)
    return News.NULLS if no_value else News.VALUES


def notices(test: Test, made: frozenset[str], rows: Rows) -> bool:
    """Whether a test may fail where these columns have other values, which are in small letters, and the rows are so."""
    if test.severity is not Severity.ERROR or test.kind in (Asks.COLUMNS, Asks.TYPES):
        return False
    if test.kind is Asks.ROW_COUNT:
        return rows is not Rows.SAME
    if test.kind is Asks.SQL and rows is Rows.SAME:
        return _names_any(str(test.arguments.get("query", "")), made)
    if not test.columns or rows is Rows.OTHER or any(column.lower() in made for column in test.columns):
        return True
    if rows is Rows.SAME or test.kind in OF_ONE_ROW:
        return False
    return rows is Rows.ONES or test.kind not in OF_REPETITION


def _names_any(query: str, columns: frozenset[str]) -> bool:
    """Whether a rule's own query may look at one of these columns."""
    rest = re.sub(r"count\s*\(\s*\*\s*\)", "", query.lower())
    return (
        "*" in rest or "columns" in rest or any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", rest) for name in columns)
    )


def only_hands_on(text: Text | None, read: Lineage, port: str, column: str) -> bool:
    """Whether all that a table's SQL does with a column of an input is to copy it to its output."""
    return _is_proven(text, read, port) and column.lower() not in _worked_on(_selects(text))


def _is_proven(text: Text | None, read: Lineage, port: str) -> TypeGuard[Text]:
    use = read.uses.get(port)
    return text is not None and not text.incremental and use is not None and use.known is Known.PROVEN


def _selects(text: Text) -> tuple[str, ...]:
    """A table's SELECT, and those that it reads by name: a name of one of them may be any other's."""
    return (text.sql, *(part.sql for part in text.parts.values()))


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
    left_out = {
        id(name)
        for tree in trees
        for star in tree.find_all(exp.Star)
        for name in star.args.get("except_") or star.args.get("except") or ()
    }
    found = {
        node.name.lower()
        for tree in trees
        for node in tree.find_all(exp.Column)
        if id(node) not in copied and id(node) not in left_out
    }
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
