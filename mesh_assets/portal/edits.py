"""The change log: who has changed which contract from a page, when and how; with what it needs to be taken back."""

import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from mesh_assets.authoring import Edit
from mesh_assets.environment import Environment
from mesh_assets.store import now

_schema = sa.MetaData()
_edits = sa.Table(
    "portal_edits",
    _schema,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("table", sa.Text, nullable=False, index=True),
    sa.Column("file", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("before", sa.Text, nullable=False),
    sa.Column("after", sa.Text, nullable=False),
    sa.Column("undone", sa.Text, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One change of one contract.

    Attributes:
        table: `domain.table`.
        what: In words.
        by: Empty when nobody says who asks.
        undone: When it was taken back; empty: it was not.
    """

    id: str
    table: str
    file: str
    what: str
    by: str
    at: str
    before: str
    after: str
    undone: str

    def as_json(self) -> dict[str, Any]:
        """Without the two texts."""
        return {
            "id": self.id, "table": self.table.replace(".", "/", 1), "file": self.file, "what": self.what,
            "by": self.by, "at": self.at, "undone": self.undone,
        }  # fmt: skip


def keep(env: Environment, table: str, edit: Edit, what: str, *, by: str) -> str:
    """Write the change's file, and then remember it under the id that is given back.

    Raises:
        Overtaken: The file has changed since it was read; nothing is written.
    """
    env.ledger.store.ensure(_schema)
    edit.write()
    found = uuid.uuid4().hex[:12]
    row = {"id": found, "table": table, "file": edit.shown, "what": what, "by": by, "at": now(), "undone": ""}
    with env.ledger.store.writing() as db:
        db.execute(_edits.insert().values(**row, before=edit.before, after=edit.after))
    return found


def undone(env: Environment, edit: str) -> None:
    """Remember that it was taken back."""
    with env.ledger.store.writing() as db:
        db.execute(_edits.update().where(_edits.c.id == edit).values(undone=now()))


def find(env: Environment, edit: str) -> Kept | None:
    """One of them."""
    env.ledger.store.ensure(_schema)
    with env.ledger.store.reading() as db:
        row = db.execute(sa.select(_edits).where(_edits.c.id == edit)).first()
    return Kept(**row._asdict()) if row else None


def recent(env: Environment, table: str, limit: int = 10) -> tuple[Kept, ...]:
    """Those of one table, the newest first."""
    env.ledger.store.ensure(_schema)
    query = sa.select(_edits).where(_edits.c.table == table).order_by(_edits.c.at.desc()).limit(limit)
    with env.ledger.store.reading() as db:
        return tuple(Kept(**row._asdict()) for row in db.execute(query))
