"""Which kitchens there are, and what became of each: kept in production's ledger."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mesh_assets.errors import UsageError
from mesh_assets.kitchen.place import FILE
from mesh_assets.lake import Commit, Lake
from mesh_assets.ledger import Ledger, process_started, this_process
from mesh_assets.store import now

_schema = sa.MetaData()
_kitchens = sa.Table(
    "kitchens",
    _schema,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("parent", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("opened", sa.Text, nullable=False),
    sa.Column("expires", sa.Text, nullable=False),
    sa.Column("folder", sa.Text, nullable=False),
    sa.Column("branch", sa.Text, nullable=False),
    sa.Column("made_branch", sa.Boolean, nullable=False),
    sa.Column("tested", sa.JSON, nullable=False),
    sa.Column("promotion", sa.JSON, nullable=False),
)
_promotions = sa.Table(
    "promotions",
    _schema,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("kitchen", sa.Text, nullable=False, index=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("reverted", sa.BigInteger),
    sa.Column("record", sa.JSON, nullable=False),
)
TABLES = frozenset({"kitchens", "promotions"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kitchen on record.

    Attributes:
        state: `opening`, `open` or `closing`: what a kill has left in the first or the last is collected.
        holder: The process that opens or closes it.
        expires: When it may be closed by itself; empty: never.
        tested: What its last test said, and of which state; empty when it was never tested.
        promotion: What is being promoted right now; empty otherwise.
    """

    name: str
    state: str
    folder: str
    parent: str = ""
    owner: str = ""
    holder: str = ""
    opened: str = ""
    expires: str = ""
    branch: str = ""
    made_branch: bool = False
    tested: Mapping[str, Any] = field(default_factory=dict)
    promotion: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_abandoned(self) -> bool:
        """Whether a process that is gone has left it half open or half closed."""
        return self.state != "open" and not is_alive(self.holder)

    @property
    def is_lost(self) -> bool:
        """Whether it is open, and somebody has deleted its folder."""
        return self.state == "open" and not (Path(self.folder) / FILE).is_file()

    @property
    def standing(self) -> str:
        """Its state as a reader sees it: what has been left half made is `abandoned`, what has no folder is `lost`."""
        return "abandoned" if self.is_abandoned else "lost" if self.is_lost else self.state


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What a kitchen brought into production.

    Attributes:
        version: Of production's lake.
        reverted: The version that undid it; None while it stands.
        record: `tables`: to the versions before and after, None where there was none; `commit`: before and after.
    """

    run: str
    kitchen: str
    at: str
    version: int
    reverted: int | None
    record: Mapping[str, Any]


def as_promotion(kitchen: str, begun: Mapping[str, Any], version: int, after: str) -> Promotion:
    """What is kept of a promotion of which the lake has the commit.

    Args:
        kitchen: Its name.
        begun: What was kept when it began: `Row.promotion`.
        version: Of the lake.
        after: The commit of production's code with it; empty: the code was not merged.
    """
    return Promotion(
        run=str(begun["run"]),
        kitchen=kitchen,
        at=now(),
        version=version,
        reverted=None,
        record={
            "tables": {name: {"before": was, "after": version} for name, was in begun["tables"].items()},
            "commit": {**begun["commit"], "after": after},
            "waived": begun["waived"],
            "state": begun.get("state", ""),
            "features": begun.get("features", {}),
            "replayed": begun.get("replayed", []),
        },
    )


def published(lake: Lake, row: Row | None) -> Commit | None:
    """The lake's commit of a promotion that was cut off before all of it was done; None when there is none."""
    if row is None or not row.promotion:
        return None
    return next((commit for commit in lake.commits() if commit.run == row.promotion["run"]), None)


class Records:
    """The kitchens of one production. Every method is one short transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self.store = ledger.store
        self.store.ensure(_schema)

    def all(self) -> tuple[Row, ...]:
        """Every kitchen, the oldest first."""
        with self.store.reading() as db:
            return tuple(Row(**row._asdict()) for row in db.execute(sa.select(_kitchens).order_by(_kitchens.c.opened)))

    def get(self, name: str) -> Row | None:
        """One kitchen."""
        with self.store.reading() as db:
            row = db.execute(sa.select(_kitchens).where(_kitchens.c.name == name)).first()
        return Row(**row._asdict()) if row else None

    def claim(self, row: Row) -> None:
        """Begin one of this name.

        Raises:
            UsageError: There is one.
        """
        values = {name: getattr(row, name) for name in row.__slots__} | {"holder": this_process(), "opened": now()}
        with self.store.writing() as db:
            if db.execute(sa.select(_kitchens.c.name).where(_kitchens.c.name == row.name)).first():
                raise UsageError(
                    f"there is a kitchen `{row.name}`\n    Work in it, close it (mesh kitchen close {row.name}), "
                    "or take another name."
                )
            db.execute(_kitchens.insert().values(**values))

    def update(self, name: str, **values: object) -> None:
        """Change what is known of one."""
        with self.store.writing() as db:
            db.execute(_kitchens.update().where(_kitchens.c.name == name).values(**values))

    def closing(self, name: str) -> None:
        """It is being closed by this process."""
        self.update(name, state="closing", holder=this_process())

    def forget(self, name: str) -> None:
        """It is gone."""
        with self.store.writing() as db:
            db.execute(_kitchens.delete().where(_kitchens.c.name == name))

    def promoted(self, promotion: Promotion) -> None:
        """Keep what was promoted."""
        with self.store.writing() as db:
            values = {name: getattr(promotion, name) for name in promotion.__slots__}
            self.store.put(db, _promotions, values)

    def reverted(self, run: str, version: int) -> None:
        """A promotion was undone."""
        with self.store.writing() as db:
            db.execute(_promotions.update().where(_promotions.c.run == run).values(reverted=version))

    def promotions(self, kitchen: str = "") -> tuple[Promotion, ...]:
        """Of one kitchen, or of all, the newest first. They stay when the kitchen is closed."""
        query = sa.select(_promotions).order_by(_promotions.c.version.desc(), _promotions.c.at.desc())
        if kitchen:
            query = query.where(_promotions.c.kitchen == kitchen)
        with self.store.reading() as db:
            return tuple(Promotion(**row._asdict()) for row in db.execute(query))


def is_alive(holder: str) -> bool:
    """Whether a process still is; one of another host counts as living."""
    host, pid, started, *_ = [*holder.split("|"), "", "", ""]
    if host != socket.gethostname():
        return bool(holder)
    return process_started(int(pid or 0)) == started
