"""What the ledger keeps of changes: shapes, events, proposals, answers, and who was told when.

Events are an index of the lake's commits, like the versions: lost, they are read again. An event is one change of one port,
with an id made of the port and the two shapes; it is there once for every version that brought it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import sqlalchemy as sa

from mesh_assets.changes import model
from mesh_assets.changes.binding import columns_of
from mesh_assets.changes.model import Change, Kind
from mesh_assets.changes.shape import Shape, from_json, in_order, of_contract, to_json
from mesh_assets.deprecation import successors
from mesh_assets.environment import Environment
from mesh_assets.store import now

_schema = sa.MetaData()
_shapes = sa.Table(
    "port_shapes",
    _schema,
    sa.Column("table", sa.Text, primary_key=True),
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("shape", sa.JSON, nullable=False),
)
_events = sa.Table(
    "change_events",
    _schema,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("port", sa.Text, nullable=False, index=True),
    sa.Column("moment", sa.Text, nullable=False),
    sa.Column("old", sa.Text, nullable=False),
    sa.Column("new", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("changes", sa.JSON, nullable=False),
)
_proposals = sa.Table(
    "change_proposals",
    _schema,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("port", sa.Text, nullable=False, index=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("report", sa.JSON, nullable=False),
)
_answers = sa.Table(
    "change_answers",
    _schema,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, index=True),
    sa.Column("reader", sa.Text, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("until", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
)
_told = sa.Table(
    "change_told",
    _schema,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("reader", sa.Text, primary_key=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("how", sa.Text, nullable=False),
)
_marks = sa.Table(
    "change_marks",
    _schema,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
PROMISED, SHAPE, WAS, ORDER = "promised", "shape", "was", "order"
"""Keys of a version's record: the shape (where it is a new one), its hash, the hash of the shape before and the order of its columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A port has another shape since a version. `moment` is `publishing`, or `outside` for a source."""

    id: str
    version: int
    port: str
    moment: str
    old: str
    new: str
    at: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a reader has said to a proposal: `accept`, or `waive` until a day."""

    id: str
    reader: str
    answer: str
    who: str
    why: str
    until: str = ""
    at: str = ""

    def holds(self, today: date) -> bool:
        """Whether it still counts."""
        return self.answer == "accept" or (bool(self.until) and today.isoformat() <= self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A breaking change that was refused, and waits for its readers."""

    id: str
    port: str
    at: str
    run: str
    report: Mapping[str, Any] = field(default_factory=dict)


class ChangeRecord:
    """One environment's record of changes."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._store = env.ledger.store
        self._store.ensure(_schema)

    # -- shapes and events ---------------------------------------------------------------------------------------------

    def sync(self) -> None:
        """Bring events up to the lake's commits."""
        with self._store.reading() as db:
            mark = db.execute(sa.select(_marks.c.value).where(_marks.c.name == "commits")).scalar() or 0
        commits = self._env.lake.commits(after=mark)
        if not commits:
            return
        shapes, events = [], []
        known: dict[tuple[str, str], Shape] = {}
        follow = successors(self._env.mesh)
        for commit in commits:
            for table, record in commit.tables.items():
                told = record.get(PROMISED)
                if not isinstance(told, dict):
                    continue
                new = from_json(told)
                known[table, new.hash] = new
                shapes.append({"table": table, "hash": new.hash, "shape": to_json(new)})
                was = record.get(WAS)
                old = (known.get((table, str(was))) or self.shape(table, str(was))) if was else None
                if old is not None:
                    old = _ordered(old, record)
                    at = commit.time.isoformat(timespec="microseconds")
                    events.append(_event(table, old, new, commit.version, at, str(record.get("toolchain")), follow))
        with self._store.writing() as db:
            if shapes:
                self._store.put(db, _shapes, shapes)
            if events:
                self._store.put(db, _events, events)
            self._store.put(db, _marks, {"name": "commits", "value": commits[-1].version}, replace=True)

    def rebuild(self) -> int:
        """Read every commit of the lake again; how many events there are. Answers and waivers are left as they are."""
        with self._store.writing() as db:
            for table in (_events, _shapes, _marks):
                db.execute(table.delete())
        self.sync()
        return len(self.events())

    def shape(self, table: str, hash_: str) -> Shape | None:
        """A shape that a version had."""
        with self._store.reading() as db:
            query = sa.select(_shapes.c.shape).where(_shapes.c.table == table, _shapes.c.hash == hash_)
            told = db.execute(query).scalar()
        return from_json(told) if told else None

    def before_and_after(self, first: Event, last: Event) -> tuple[Shape | None, Shape | None]:
        """The shapes between which two events of a port lie, the columns of each in the order in which they stood."""
        old, new = self.shape(first.port, first.old), self.shape(last.port, last.new)
        began, ended = (self._env.ledger.version(event.port, event.version) for event in (first, last))
        return (
            _ordered(old, began.record) if old and began else old,
            in_order(new, columns_of(dict(ended.record))) if new and ended else new,
        )

    def current(self, table: str) -> tuple[Shape | None, bool]:
        """The shape of the last version, and whether its promises are known, or its columns alone; None without a version."""
        found = self._env.ledger.history(table, limit=1)
        if not found:
            return None, False
        record: Mapping[str, Any] = dict(found[0].record)
        if record.get(SHAPE) and (shape := self.shape(table, str(record[SHAPE]))):
            return in_order(shape, columns_of(record)), True
        return of_contract(None, columns_of(record)), False

    def served(self, table: str, major: str) -> tuple[Shape, ...]:
        """Every shape of a major version that was published, oldest first."""
        events = sorted(self.events(port=table), key=lambda event: event.version)
        hashes = [hash_ for event in events for hash_ in (event.old, event.new)]
        shapes = [self.shape(table, hash_) for hash_ in dict.fromkeys(hashes)]
        return tuple(shape for shape in shapes if shape is not None and shape.version.partition(".")[0] == major)

    def events(self, *, port: str | None = None, after: int = 0, limit: int = 20_000) -> tuple[Event, ...]:
        """Events of versions after `after`, oldest first."""
        where = [_events.c.version > after]
        if port is not None:
            where.append(_events.c.port == port)
        query = sa.select(_events).where(*where).order_by(_events.c.version, _events.c.port).limit(limit)
        with self._store.reading() as db:
            return tuple(_from_row(row) for row in db.execute(query))

    # -- proposals and answers -----------------------------------------------------------------------------------------

    def propose(self, id_: str, port: str, run: str, report: Mapping[str, Any]) -> None:
        """Keep that a change was refused, with the verdicts; the same change again replaces them."""
        row = {"id": id_, "port": port, "run": run, "report": dict(report), "at": now()}
        with self._store.writing() as db:
            self._store.put(db, _proposals, row, replace=True)

    def proposals(self) -> tuple[Proposal, ...]:
        """Every proposal, newest first."""
        with self._store.reading() as db:
            rows = db.execute(sa.select(_proposals).order_by(_proposals.c.at.desc()))
            return tuple(Proposal(**row._asdict()) for row in rows)

    def taken_back(self) -> frozenset[str]:
        """Ids of proposals that wait for nobody any more: what was tried of their port afterwards was something else."""
        found, newer = set(), set()
        last = self._env.ledger.attempts(outcomes=("published", "unchanged", "held"))
        for one in self.proposals():  # newest first
            tried = last.get(one.port)
            if one.port in newer or (tried is not None and tried.run != one.run and tried.at > one.at):
                found.add(one.id)
            newer.add(one.port)
        return frozenset(found)

    def answer(self, answer: Answer) -> None:
        """Keep what a reader says; its last word counts."""
        row = {name: getattr(answer, name) for name in ("id", "reader", "answer", "who", "why", "until")}
        with self._store.writing() as db:
            db.execute(_answers.insert().values(**row, at=now()))

    def answers(self, id_: str) -> dict[str, Answer]:
        """The last word of every reader on a change."""
        query = sa.select(_answers).where(_answers.c.id == id_).order_by(_answers.c.number)
        with self._store.reading() as db:
            rows = [row._asdict() for row in db.execute(query)]
        return {row["reader"]: Answer(**{key: value for key, value in row.items() if key != "number"}) for row in rows}

    # -- who was told --------------------------------------------------------------------------------------------------

    def tell(self, events: Iterable[Event], reader: str, how: str) -> None:
        """Keep that a reader was told of these events; the first time stays."""
        rows = [{"id": e.id, "version": e.version, "reader": reader, "at": now(), "how": how} for e in events]
        if rows:
            with self._store.writing() as db:
                self._store.put(db, _told, rows)

    def told_until(self, reader: str) -> int:
        """The newest version of whose change a reader was told; 0 when there is none."""
        query = sa.select(sa.func.max(_told.c.version)).where(_told.c.reader == reader)
        with self._store.reading() as db:
            return db.execute(query).scalar() or 0

    def told(self, id_: str | None = None) -> tuple[dict[str, Any], ...]:
        """Who was told when, oldest first."""
        query = sa.select(_told).order_by(_told.c.at)
        if id_ is not None:
            query = query.where(_told.c.id == id_)
        with self._store.reading() as db:
            return tuple(row._asdict() for row in db.execute(query))


def kept(old: Shape | None, new: Shape, *, promises_known: bool) -> dict[str, Any]:
    """What a version's record says of its shape: the whole of it only where it is a new one, or its columns come in another order."""
    told: dict[str, Any] = {SHAPE: new.hash}
    if old is None or not promises_known or not old.is_like(new):
        told[PROMISED] = to_json(new)
        if old is not None and promises_known:
            told |= {WAS: old.hash, ORDER: [column.name for column in old.columns]}
    return told


def _ordered(shape: Shape, record: Mapping[str, Any]) -> Shape:
    """The shape before a version, its columns as they stood then; versions from before that was kept say nothing of it."""
    told = record.get(ORDER)
    return in_order(shape, [(name, "") for name in told]) if isinstance(told, list) else shape


def changes_json(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """As the ledger keeps them."""
    return [
        {"kind": c.kind, "columns": list(c.columns), "before": c.before, "after": c.after, "name": c.name}
        for c in changes
    ]


def _event(
    table: str, old: Shape, new: Shape, version: int, at: str, toolchain: str, successors: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "id": model.event_id(table, old, new),
        "version": version,
        "port": table,
        "moment": "outside" if toolchain in ("source", "external") else "publishing",
        "old": old.hash,
        "new": new.hash,
        "at": at,
        "changes": changes_json(model.changes(table, old, new, successors)),
    }


def _from_row(row: sa.Row) -> Event:
    told: dict[str, Any] = row._asdict()
    changes = tuple(
        Change(
            port=told["port"],
            kind=Kind(item["kind"]),
            columns=tuple(item["columns"]),
            before=item["before"],
            after=item["after"],
            name=item["name"],
        )
        for item in told.pop("changes")
    )
    return Event(**told, changes=changes)
