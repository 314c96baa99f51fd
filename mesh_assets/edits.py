"""The change log of contracts: who has saved what, when and how, from a page or a command; and what can be taken back.

The latest changes of one table's contract lie on each other like plates: the newest is taken back first, or the newest
few at once. What somebody has written into the file by hand in between is never lost: nothing below it can be taken back.
"""

import difflib
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from mesh_assets import authoring
from mesh_assets.address import NotFound
from mesh_assets.authoring import Edit, Overtaken
from mesh_assets.committing import Commit, Wanted
from mesh_assets.committing import write as write_and_commit
from mesh_assets.domain import Table
from mesh_assets.environment import Environment
from mesh_assets.errors import MeshError
from mesh_assets.reading.source import read_text
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
_more = sa.Table(
    "portal_edits_more",
    _schema,
    sa.Column("edit", sa.Text, primary_key=True),
    sa.Column("takes_back", sa.Text, nullable=False),  # a JSON list of ids
    sa.Column("branch", sa.Text, nullable=False),
    sa.Column("commit", sa.Text, nullable=False),
)
LATEST = 20
"""Changes of one contract that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One change of one contract.

    Attributes:
        table: `domain.table`.
        what: In words.
        by: Empty when nobody says who asks.
        undone: When it was taken back; empty: it was not.
        takes_back: Ids of the changes that it took back; empty for a change of its own.
        branch: On which it was committed; empty: it was not.
        commit: Empty when it was not committed.
        refused: Why it cannot be taken back now; empty: it can.
        newer: How many newer changes go with it when it is taken back.
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
    takes_back: tuple[str, ...] = ()
    branch: str = ""
    commit: str = ""
    refused: str = ""
    newer: int = 0

    @property
    def diff(self) -> str:
        """The change as a unified diff."""
        before, after = self.before.splitlines(keepends=True), self.after.splitlines(keepends=True)
        return "".join(difflib.unified_diff(before, after, self.file, self.file))

    def as_json(self) -> dict[str, Any]:
        """Without the two texts, but with what lies between them."""
        return {
            "id": self.id, "table": self.table.replace(".", "/", 1), "file": self.file, "what": self.what,
            "by": self.by, "at": self.at, "undone": self.undone, "takes_back": list(self.takes_back),
            "branch": self.branch, "commit": self.commit, "diff": self.diff,
            "can_undo": not self.refused, "why_not": self.refused, "newer": self.newer,
        }  # fmt: skip


def keep(
    env: Environment,
    table: str,
    edit: Edit,
    what: str,
    *,
    by: str,
    wanted: Wanted | None = None,
    takes_back: Sequence[str] = (),
) -> Kept:
    """Write the change's file, commit it where that is wanted, and then remember it.

    Raises:
        Overtaken: The file has changed since it was read; nothing is written.
        UsageError: It cannot be committed; nothing is written.
        RunError: As of `UsageError`, for what git or one of its hooks says.
    """
    env.ledger.store.ensure(_schema)
    if wanted is None:
        edit.write()
        made = Commit()
    else:
        made = write_and_commit(env.mesh.root, env.home, edit, f"{table.replace('.', '/', 1)}: {what}", wanted)
    found = Kept(
        id=uuid.uuid4().hex[:12], table=table, file=edit.shown, what=what, by=by, at=now(), undone="",
        before=edit.before, after=edit.after, takes_back=tuple(takes_back), branch=made.branch, commit=made.id,
    )  # fmt: skip
    columns = ("id", "table", "file", "what", "by", "at", "before", "after", "undone")
    more = {"takes_back": json.dumps(found.takes_back), "branch": found.branch, "commit": found.commit}
    with env.ledger.store.writing() as db:
        db.execute(_edits.insert().values({name: getattr(found, name) for name in columns}))
        db.execute(_more.insert().values(edit=found.id, **more))
        db.execute(_edits.update().where(_edits.c.id.in_(found.takes_back)).values(undone=found.at))
    return found


def recent(env: Environment, table: Table, limit: int = LATEST) -> tuple[Kept, ...]:
    """The latest of one table, the newest first; each says whether it can be taken back."""
    env.ledger.store.ensure(_schema)
    query = (
        sa.select(_edits, _more.c.takes_back, _more.c.branch, _more.c.commit)
        .outerjoin(_more, _more.c.edit == _edits.c.id)
        .where(_edits.c.table == table.name)
        .order_by(_edits.c.at.desc())
        .limit(limit)
    )
    with env.ledger.store.reading() as db:
        rows = [row._asdict() for row in db.execute(query)]
    log = [_kept(row) for row in rows]
    return judged(log, _now(env, table))


def undo(
    env: Environment, table: Table, edit: str, *, by: str, wanted: Wanted | None = None, dry: bool = False
) -> tuple[Edit, Kept | None]:
    """Take a change back, and those that are newer; the change of the file, and what is remembered of it.

    Args:
        edit: Its id; empty: the newest that stands.
        dry: Write nothing.

    Raises:
        NotFound: There is no such change.
        Overtaken: It cannot be taken back, with the reason.
    """
    log = recent(env, table)
    if not edit:
        if not _standing(log):
            raise NotFound("there is no change that could be taken back\n    `mesh test log` lists them.")
        edit = _standing(log)[0].id
    one = next((kept for kept in log if kept.id == edit), None)
    if one is None:
        raise NotFound("there is no such change\n    The last ones are on the page of the table's tests.")
    if one.refused:
        raise Overtaken(f"`{one.what}` cannot be taken back\n    {one.refused}")
    taken = taking(log, one)
    change = authoring.restored(env.mesh, table, before=one.before, after=taken[0].after)
    if dry:
        return change, None
    what = f"took back: {'; '.join(kept.what for kept in taken)}"
    kept = keep(env, table.name, change, what, by=by, wanted=wanted, takes_back=[each.id for each in taken])
    if one.takes_back:
        with env.ledger.store.writing() as db:
            db.execute(_edits.update().where(_edits.c.id.in_(one.takes_back)).values(undone=""))
    return change, kept


def taking(log: Sequence[Kept], one: Kept) -> list[Kept]:
    """What goes when a change is taken back: those that are newer and stand, and the change itself; the newest first."""
    return [one] if one.takes_back else [kept for kept in _standing(log) if kept.at >= one.at]


def judged(log: Sequence[Kept], text: str | None) -> tuple[Kept, ...]:
    """Each change with whether it can be taken back, and how many newer ones go with it.

    Args:
        log: The newest first.
        text: The file as it is now; None when it cannot be read.
    """
    found = {one.id: replace(one, refused="It was taken back already.") for one in log}
    expected, broken = text, ""
    for newer, one in enumerate(_standing(log)):
        if not broken and one.after != expected:
            what = f"{one.file} was changed by hand since" if newer == 0 else "The file was changed by hand after it"
            broken = f"{what}: to take it back would undo that, too. Change the rule by a new change."
        found[one.id] = replace(one, refused=broken, newer=newer)
        expected = one.before
    for one in log:
        if one.takes_back and not one.undone:
            found[one.id] = replace(one, refused=_refused(log, one, text))
    return tuple(found[one.id] for one in log)


def _kept(row: dict[str, Any]) -> Kept:
    words = {name: row[name] or "" for name in ("branch", "commit")}  # rows of older versions have none
    values: dict[str, Any] = {**row, **words, "takes_back": tuple(json.loads(row["takes_back"] or "[]"))}
    return Kept(**values)


def _standing(log: Iterable[Kept]) -> list[Kept]:
    """Changes that are in the file, as far as nobody has changed it by hand; the newest first."""
    return [one for one in log if not one.undone and not one.takes_back]


def _refused(log: Sequence[Kept], one: Kept, text: str | None) -> str:
    """Why what was taken back cannot be done again; empty: it can."""
    if one is not log[0] or any(other.takes_back for other in log if other.id in one.takes_back):
        return "Later changes stand on it."
    return "" if one.after == text else f"{one.file} was changed by hand since."


def _now(env: Environment, table: Table) -> str | None:
    if table.contract is None:
        return None
    shown = table.contract.where.path
    try:
        return read_text(env.mesh.root / shown, shown)
    except MeshError:
        return None
