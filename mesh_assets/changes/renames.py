"""Is a column that is new the one that is gone, under another name? It is offered, never assumed: the owner says so."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mesh_assets.changes.model import Change, Kind
from mesh_assets.changes.shape import ColumnShape, Shape
from mesh_assets.domain import Mesh, Table

_ADDED = frozenset({Kind.COLUMN_ADDED, Kind.REQUIRED_COLUMN_ADDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """A column that is gone, and one that is new and looks like it.

    Attributes:
        port: `domain.table`.
        how: `code`: both are the same expression; `rows`: rows of the same key have the same values in both; `values`: the
            same values are in both, as often.
        likeness: 0 to 1. By code 1; by rows Cohen's kappa; by values the weighted Jaccard similarity.
        compared: Rows, or different values.
        others: New columns that look like it as much, and are called less like it.
    """

    port: str
    before: str
    after: str
    how: str
    likeness: float
    compared: int = 0
    others: tuple[str, ...] = ()

    @property
    def asks(self) -> str:
        """What a person is asked."""
        return f"Is `{self.after}` the former `{self.before}`?"

    @property
    def why(self) -> str:
        """In words."""
        match self.how:
            case "code":
                told = "the code makes both in the same way"
            case "rows":
                told = (
                    f"the values agree in {self.likeness:.0%} of {self.compared:,} rows of the same key, beyond chance"
                )
            case _:
                told = f"{self.likeness:.0%} of their values are the same, and as frequent ({self.compared:,} compared)"
        return told + (f"; as much like it: {', '.join(f'`{name}`' for name in self.others)}" if self.others else "")

    def mend(self, table: Table | None) -> str:
        """What to write, and where, if it is the same column."""
        where = f" in {table.contract.where.path}" if table and table.contract else ""
        return f"If it is the same column, write `customProperties: [{{property: cameFrom, value: {self.before}}}]` at `{self.after}`{where}."


def possible(changes: Iterable[Change]) -> bool:
    """Whether there is a column that is gone, and one that is new."""
    kinds = {change.kind for change in changes}
    return Kind.COLUMN_REMOVED in kinds and bool(kinds & _ADDED)


def by_code(port: str, old: Shape, new: Shape, was: Mapping[str, str], now: Mapping[str, str]) -> tuple[Rename, ...]:
    """Renames that the code itself tells.

    Args:
        was, now: The expression of each output column, canonical, by its name in lower case; plain columns of the same input
            are told as well.

    Returns:
        In the order of the old columns; a column whose expression is that of several is left out.
    """
    gone, fresh = apart(old, new)
    found = []
    for before in gone:
        expression = was.get(before.name.lower())
        same = [after for after in fresh if expression and now.get(after.name.lower()) == expression]
        if len(same) == 1 and [was.get(other.name.lower()) for other in gone].count(expression) == 1:
            found.append(Rename(port=port, before=before.name, after=same[0].name, how="code", likeness=1.0))
    return tuple(found)


def to_json(found: Iterable[Rename], mesh: Mesh) -> list[dict[str, object]]:
    """As `mesh impact` and the proposal tell them."""
    return [
        {
            "port": one.port.replace(".", "/", 1),
            "from": one.before,
            "to": one.after,
            "how": one.how,
            "likeness": round(one.likeness, 3),
            "compared": one.compared,
            "others": list(one.others),
            "asks": one.asks,
            "why": one.why,
            "mend": one.mend(mesh.tables.get(one.port)),
        }
        for one in found
    ]


def apart(old: Shape, new: Shape) -> tuple[list[ColumnShape], list[ColumnShape]]:
    """Columns that are gone, and those that are new; without those of which the contract says where they came from."""
    told = {name.lower() for column in new.columns for name in column.came_from}
    gone = [
        column for column in old.columns if column.name.lower() not in new.names and column.name.lower() not in told
    ]
    fresh = [column for column in new.columns if column.name.lower() not in old.names and not column.came_from]
    return gone, fresh
