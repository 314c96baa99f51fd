"""Launches of horizontal pipelines, backfills, and domains that are paused: what people and schedules have asked for, on record.

A launch builds nothing itself. It makes the tables that it needs due (`Environment.state`), in whatever code locations they
are, and the order of operations does the rest; so it outlives every process, and what has succeeded is not done again.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc

from mesh_assets.partitions import Partition
from mesh_assets.store import Store, now

TABLES = frozenset({"launches", "backfills", "paused"})
"""Of the database; a kitchen starts without their rows."""
_metadata = sa.MetaData()
_launches = sa.Table(
    "launches",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("pipeline", sa.Text, nullable=False, index=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("ended", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("record", sa.JSON, nullable=False),
)
_one_at_a_time = sa.Index(
    "launches_one_at_a_time",
    _launches.c.pipeline,
    unique=True,
    sqlite_where=_launches.c.ended == "",
    postgresql_where=_launches.c.ended == "",
)
_backfills = sa.Table(
    "backfills",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("table", sa.Text, nullable=False, index=True),
    sa.Column("start", sa.Text, nullable=False),
    sa.Column("end", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("ended", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("record", sa.JSON, nullable=False),
)
_each_once = sa.Index(
    "backfills_each_once",
    _backfills.c.table,
    _backfills.c.start,
    _backfills.c.end,
    unique=True,
    sqlite_where=_backfills.c.ended == "",
    postgresql_where=_backfills.c.ended == "",
)
_paused = sa.Table(
    "paused",
    _metadata,
    sa.Column("domain", sa.Text, primary_key=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One time that a pipeline was asked for.

    Attributes:
        by: Who or what asked: a person's name, `schedule`.
        ended: Empty while it goes on.
        outcome: Empty while it goes on; else `delivered`, `incomplete`, `failed` or `cancelled`.
        record: Of one that has ended, what `pipelines.report` said then.
    """

    id: str
    pipeline: str
    at: str
    by: str
    ended: str = ""
    outcome: str = ""
    record: Mapping[str, Any]

    @property
    def moment(self) -> datetime:
        """When it was asked for."""
        return datetime.fromisoformat(self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """Some partitions of a table that are to be built again, and everything downstream of them.

    Attributes:
        table: `domain.table`.
        start: The first day, ISO.
        end: The day after the last.
        by: Who asked.
        ended: Empty while it goes on.
        outcome: Empty while it goes on; else `delivered`, `incomplete`, `failed` or `cancelled`.
        record: Of one that has ended, what its report said then.
    """

    id: str
    table: str
    start: str
    end: str
    at: str
    by: str
    ended: str = ""
    outcome: str = ""
    record: Mapping[str, Any]

    @property
    def days(self) -> Partition:
        """What is to be built again."""
        return Partition(start=self.start, end=self.end)

    @property
    def moment(self) -> datetime:
        """When it was asked for."""
        return datetime.fromisoformat(self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A domain of which nothing is built for now."""

    domain: str
    at: str
    by: str
    why: str


Asked = TypeVar("Asked", Launch, Backfill)


class _Record(Generic[Asked]):
    """What was asked for and goes on until its end is written down; the same is asked for once at a time."""

    def __init__(self, store: Store, table: sa.Table, kind: type[Asked]) -> None:
        self._store, self._table, self._kind = store, table, kind
        store.ensure(_metadata)

    def end(self, id_: str, outcome: str, record: Mapping[str, Any]) -> bool:
        """Say how one ended; the first word stays.

        Returns:
            Whether it was still going on.
        """
        mine = sa.and_(self._table.c.id == id_, self._table.c.ended == "")
        with self._store.writing() as db:
            done = db.execute(
                self._table.update().where(mine).values(ended=now(), outcome=outcome, record=dict(record))
            )
            return done.rowcount == 1

    def going_on(self) -> Sequence[Asked]:
        """Those that have not ended, oldest first."""
        return self._read(sa.select(self._table).where(self._table.c.ended == "").order_by(self._table.c.at))

    def _start(self, new: Asked, same: Callable[[Asked], bool]) -> Asked:
        while True:
            with suppress(exc.IntegrityError), self._store.writing() as db:
                db.execute(self._table.insert().values(**{name: getattr(new, name) for name in self._kind.__slots__}))
                return new
            if there := [one for one in self.going_on() if same(one)]:
                return there[0]

    def _read(self, query: sa.Select) -> Sequence[Asked]:
        with self._store.reading() as db:
            return tuple(self._kind(**row._asdict()) for row in db.execute(query))


class Launches(_Record[Launch]):
    """The record of one environment."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, _launches, Launch)

    def start(self, pipeline: str, by: str) -> Launch:
        """Ask for a pipeline. While an earlier launch of it goes on, that one is given: two at once would be one."""
        new = Launch(id=str(uuid.uuid4()), pipeline=pipeline, at=now(), by=by, record={})
        return self._start(new, lambda one: one.pipeline == pipeline)

    def of(self, pipeline: str, *, limit: int = 20) -> Sequence[Launch]:
        """The launches of a pipeline, newest first."""
        query = (
            sa.select(_launches).where(_launches.c.pipeline == pipeline).order_by(_launches.c.at.desc()).limit(limit)
        )
        return self._read(query)

    def since(self, moment: str) -> Sequence[Launch]:
        """Launches that went on at a moment or later, oldest first."""
        c = _launches.c
        query = sa.select(_launches).where(sa.or_(c.ended == "", c.ended >= moment)).order_by(c.at, c.id)
        return self._read(query)

    def pause(self, domain: str, by: str, why: str) -> Pause:
        """Build nothing of a domain from now on; one that is paused already stays as it is."""
        values = {"domain": domain, "at": now(), "by": by, "why": why}
        with self._store.writing() as db:
            self._store.put(db, _paused, values)
            row = db.execute(sa.select(_paused).where(_paused.c.domain == domain)).one()
        return Pause(**row._asdict())

    def resume(self, domain: str) -> bool:
        """Build a domain again.

        Returns:
            Whether it was paused.
        """
        with self._store.writing() as db:
            return db.execute(_paused.delete().where(_paused.c.domain == domain)).rowcount == 1

    def paused(self) -> Mapping[str, Pause]:
        """Domains that are paused, by name, in the order of the names."""
        with self._store.reading() as db:
            rows = db.execute(sa.select(_paused).order_by(_paused.c.domain))
            return {row.domain: Pause(**row._asdict()) for row in rows}


class Backfills(_Record[Backfill]):
    """The backfills of one environment."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, _backfills, Backfill)

    def start(self, table: str, days: Partition, by: str) -> Backfill:
        """Ask for these days of a table again. While the same is being done, that is given."""
        new = Backfill(id=str(uuid.uuid4()), table=table, start=days.start, end=days.end, at=now(), by=by, record={})
        return self._start(new, lambda one: (one.table, one.days) == (table, days))

    def last(self, *, limit: int = 20) -> Sequence[Backfill]:
        """The newest first."""
        return self._read(sa.select(_backfills).order_by(_backfills.c.at.desc()).limit(limit))
