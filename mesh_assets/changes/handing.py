"""Whether a reader only hands a column on: then no value of it can trouble the reader, whatever its rows are.

Copying a value neither fails nor loses rows. Who reads the copy is asked in turn.
"""

from collections.abc import Iterator
from functools import lru_cache

from mesh_assets.changes.lineage import Known, Lineage, SqlglotError, exp, parse
from mesh_assets.changes.model import Kind
from mesh_assets.changes.texts import Text
from mesh_assets.contract import Contract, Test
from mesh_assets.contract import Kind as Asks

LOOSER = frozenset({Kind.NULL_ALLOWED, Kind.VALUES_ADDED, Kind.RANGE_WIDENED, Kind.FORMAT_REMOVED})
"""Changes after which there may be other values in the same columns of the same rows."""
OF_SHAPE = frozenset({Asks.COLUMNS, Asks.TYPES, Asks.ROW_COUNT})
"""Tests that no value can fail."""


def only_hands_on(text: Text | None, read: Lineage, port: str, column: str) -> bool:
    """Whether all that a table's SQL does with a column of an input is to copy it to its output."""
    use = read.uses.get(port)
    if text is None or text.parts or text.incremental or use is None or use.known is not Known.PROVEN:
        return False
    return column.lower() not in _worked_on(text.sql)


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
def _worked_on(sql: str) -> "frozenset[str] | _Everything":
    """Names that a SELECT compares, computes with or groups by, and those of which such are made."""
    try:
        (tree,) = [statement for statement in parse(sql, read="duckdb") if statement is not None]
    except (SqlglotError, ValueError, RecursionError):
        return _Everything()
    if any(_is_unclear(node) for node in tree.walk()):
        return _Everything()
    renamed = {(node.name.lower(), alias.lower()) for node, alias in _copies(tree) if alias}
    copied = {id(node) for node, _ in _copies(tree)}
    found = {node.name.lower() for node in tree.find_all(exp.Column) if id(node) not in copied}
    found |= {name.name.lower() for join in tree.find_all(exp.Join) for name in join.args.get("using") or ()}
    while more := {name for name, alias in renamed if alias in found} - found:
        found |= more
    return frozenset(found)


def _copies(tree: exp.Expr) -> Iterator[tuple[exp.Column, str]]:
    """Columns that are selected as they are, with the name that they are given; not those of a subquery in a condition."""
    for select in tree.find_all(exp.Select):
        above = select.parent
        while isinstance(above, exp.Subquery | exp.SetOperation):
            above = above.parent
        if not isinstance(above, exp.CTE | exp.From | exp.Join | None):
            continue
        for item in select.expressions:
            column = item.this if isinstance(item, exp.Alias) else item
            if isinstance(column, exp.Column):
                yield column, item.alias if isinstance(item, exp.Alias) else ""


def _is_unclear(node: exp.Expr) -> bool:
    """What compares values or gives columns other names without writing the columns."""
    if isinstance(node, exp.Group | exp.Distinct | exp.Pivot | exp.Columns | exp.Intersect | exp.Except):
        return True
    if isinstance(node, exp.Union):
        names = [[item.alias_or_name.lower() for item in side.selects] for side in (node.left, node.right)]
        return bool(node.args.get("distinct")) or names[0] != names[1]
    if isinstance(node, exp.Join):
        return str(node.args.get("method") or "").upper() == "NATURAL"
    if isinstance(node, exp.Star):
        return any(node.args.get(key) for key in ("replace", "rename"))
    return isinstance(node, exp.TableAlias) and bool(node.columns)


class _Everything:
    """Every name: what cannot be read may do anything."""

    def __contains__(self, _name: object) -> bool:
        return True
