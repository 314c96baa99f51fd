"""What Dagster's event log does not hold: pins, versions, attempts, admissions, leases.

Versions are an index of the lake's commits and can be rebuilt from them (`Ledger.index`); everything else is small and
is kept here alone. SQLite in WAL mode by default, PostgreSQL beside a PostgreSQL lake: one module, one set of tables.
"""

import hashlib
import os
import socket
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc

from mesh_assets.domain import LakeConfig
from mesh_assets.errors import RunError
from mesh_assets.store import Store, now, spelt

_schema = sa.MetaData()
_pins = sa.Table(
    "pins",
    _schema,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("snapshot", sa.BigInteger, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
)
_versions = sa.Table(
    "versions",
    _schema,
    sa.Column("table", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("run", sa.Text, nullable=False, index=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("record", sa.JSON, nullable=False),
)
_attempts = sa.Table(
    "attempts",
    _schema,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("table", sa.Text, nullable=False, index=True),
    sa.Column("run", sa.Text, nullable=False, index=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("head", sa.BigInteger, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("record", sa.JSON, nullable=False),
)
_admissions = sa.Table(
    "admissions",
    _schema,
    sa.Column("reader", sa.Text, primary_key=True),
    sa.Column("table", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("contract", sa.Text, primary_key=True),
    sa.Column("admitted", sa.Boolean, nullable=False),
    sa.Column("results", sa.JSON, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
)
_results = sa.Table(
    "results",
    _schema,
    sa.Column("table", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("contract", sa.Text, primary_key=True),
    sa.Column("results", sa.JSON, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
)
_leases = sa.Table(
    "leases",
    _schema,
    sa.Column("table", sa.Text, primary_key=True),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("beat", sa.Text, nullable=False),
)
_raw_files = sa.Table(
    "raw_files",
    _schema,
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("stamp", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
)
_terms = sa.Table(
    "terms",
    _schema,
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
)


class Input(TypedDict):
    """One input as a build read it; `version` is None while the same commit is still to publish it."""

    version: int | None
    fingerprint: str


class Record(TypedDict, total=False):
    """What is kept of a build: in the lake's commit of a version, and in the ledger of every attempt.

    `tried`, `code`, `contract` and `raw` are what `due` compares; `inputs` is what was read, `tried` what was on offer.
    `made` is what it was made with (`provenance`), `files` the raw files of a source with their hashes. `terms` names the
    contract's text, as the ledger keeps it.
    `days` is the half-open range of partitions that was asked for; `replaced` is what of the version `of` (a fingerprint)
    was replaced, where the rest was kept. `own` is when its own part of a step began that builds several tables, and how
    many seconds that took; `seconds` is the whole step. `quarantined` says how many rows were staged, published and set aside.
    """

    tried: dict[str, str]
    code: str
    contract: str
    contract_version: str
    terms: str
    raw: str
    inputs: dict[str, Input]
    held: list[str]
    generation: dict[str, str]
    fingerprint: str
    rows: int | None
    columns: list[list[str]]
    tests: dict[str, int]
    toolchain: str
    made: dict[str, Any]
    files: dict[str, str]
    days: list[str]
    replaced: dict[str, str]
    quarantined: dict[str, Any]
    seconds: float
    own: dict[str, Any]
    pin: int
    version: int | None
    message: str
    results: list[dict[str, Any]]
    quarantine: list[str]
    candidate: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One published version, as its commit says."""

    table: str
    version: int
    run: str
    at: str
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One time that a table was tried: published, unchanged, failed, refused or skipped.

    Attributes:
        head: The lake's newest snapshot when it was recorded: a version above it is newer than this attempt.
        record: With `message` where it went wrong.
    """

    table: str
    run: str
    outcome: str
    head: int
    record: Record = field(default_factory=Record)
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A reader's verdict on one version of an input."""

    reader: str
    table: str
    version: int
    contract: str
    admitted: bool
    results: Sequence[Mapping[str, Any]] = ()
    run: str = ""


class Ledger:
    """The record of one environment. Safe for many threads and processes; every method is one short transaction."""

    def __init__(self, home: Path, config: LakeConfig | None = None, *, lease_seconds: float = 60.0) -> None:
        self.lease_seconds = lease_seconds
        self.store = Store(home, config)
        self.store.ensure(_schema)
        self._versions: dict[tuple[str, int, str], Version] = {}  # rows never change: their JSON is read once
        self._attempts: dict[tuple[int, str], Attempt] = {}
        self._kept_terms: set[str] = set()

    def close(self) -> None:
        """Give back every connection."""
        self.store.close()

    # -- pins ---------------------------------------------------------------------------------------------------------

    def pin(self, run: str, head: Callable[[], int]) -> int:
        """The snapshot at which `run` reads: the first step that asks wins, all others get the same."""
        with self.store.reading() as db:
            found = db.execute(sa.select(_pins.c.snapshot).where(_pins.c.run == run)).scalar()
        if found is not None:
            return found
        snapshot = head()
        with self.store.writing() as db:
            self.store.put(db, _pins, {"run": run, "snapshot": snapshot, "at": now()})
            return db.execute(sa.select(_pins.c.snapshot).where(_pins.c.run == run)).scalar_one()

    def pinned(self) -> set[int]:
        """Snapshots that runs of the last day have read at: some may still be reading."""
        since = (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="microseconds")
        with self.store.reading() as db:
            return set(db.execute(sa.select(_pins.c.snapshot).where(_pins.c.at > since)).scalars())

    def admitted(self) -> set[int]:
        """The newest version of each input that each reader has admitted: it may go on with it."""
        c = _admissions.c
        query = sa.select(sa.func.max(c.version)).where(c.admitted.is_(True)).group_by(c.reader, c.table)
        with self.store.reading() as db:
            return set(db.execute(query).scalars())

    # -- versions -----------------------------------------------------------------------------------------------------

    def indexed(self) -> int:
        """The newest version in the index; 0 when there is none."""
        with self.store.reading() as db:
            return db.execute(sa.select(sa.func.max(_versions.c.version))).scalar() or 0

    def index(self, versions: Iterable[Version]) -> None:
        """Add versions that the lake's commits speak of; known ones are left as they are."""
        rows = [_row(version) for version in versions]
        if rows:
            with self.store.writing() as db:
                self.store.put(db, _versions, rows)

    def versions(
        self, *, upto: int | None = None, run: str | None = None, tables: Sequence[str] | None = None
    ) -> dict[str, Version]:
        """The newest version of every table, by table; with `upto`, as that snapshot and `run` itself see it.

        Args:
            tables: Only these.
        """
        if tables is not None and len(tables) > AT_ONCE:
            found = self.versions(upto=upto, run=run)
            return {name: found[name] for name in tables if name in found}
        seen = _versions.c.version <= upto if upto is not None else sa.true()
        if run is not None:
            seen = sa.or_(seen, _versions.c.run == run)
        if tables is not None:
            seen = sa.and_(seen, _versions.c.table.in_(tables))
        newest = sa.select(_versions.c.table, sa.func.max(_versions.c.version).label("version")).where(seen)
        newest = newest.group_by(_versions.c.table).subquery()
        key = (_versions.c.table, _versions.c.version, _versions.c.run)
        query = sa.select(*key).join(
            newest, sa.and_(_versions.c.table == newest.c.table, _versions.c.version == newest.c.version)
        )

        def read(db: sa.Connection, wanted: Sequence[tuple]) -> dict[tuple, Version]:
            these = sa.select(_versions).where(sa.tuple_(*key).in_(wanted))
            return {(row.table, row.version, row.run): Version(**row._asdict()) for row in db.execute(these)}

        with self.store.reading() as db:
            found = _known(db, query, self._versions, read, whole=tables is None)
        return {version.table: version for version in found}

    def history(self, table: str, *, limit: int = 100) -> tuple[Version, ...]:
        """Versions of one table, newest first."""
        query = sa.select(_versions).where(_versions.c.table == table).order_by(_versions.c.version.desc()).limit(limit)
        with self.store.reading() as db:
            return tuple(Version(**row._asdict()) for row in db.execute(query))

    def published(self, *, after: int = 0, since: str = "", upto: str = "") -> tuple[tuple[str, int, str, str], ...]:
        """(table, version, run, when) of all that was published after a version, between two moments, in order."""
        c = _versions.c
        where = [c.version > after, *([c.at >= since] if since else []), *([c.at <= upto] if upto else [])]
        query = sa.select(c.table, c.version, c.run, c.at).where(*where).order_by(c.version, c.table)
        with self.store.reading() as db:
            return tuple((row.table, row.version, row.run, row.at) for row in db.execute(query))

    def version(self, table: str, version: int) -> Version | None:
        """One version of a table."""
        query = sa.select(_versions).where(_versions.c.table == table, _versions.c.version == version)
        with self.store.reading() as db:
            row = db.execute(query).first()
        return Version(**row._asdict()) if row else None

    def fingerprint(self, table: str, version: int) -> str:
        """Of one version's content."""
        query = sa.select(_versions.c.record).where(_versions.c.table == table, _versions.c.version == version)
        with self.store.reading() as db:
            return str(db.execute(query).scalar_one()["fingerprint"])

    # -- attempts -----------------------------------------------------------------------------------------------------

    def attempted(self, attempt: Attempt) -> None:
        """Keep what came of a try."""
        with self.store.writing() as db:
            values = {"table": attempt.table, "run": attempt.run, "at": now(), "head": attempt.head}
            db.execute(_attempts.insert().values(**values, outcome=attempt.outcome, record=dict(attempt.record)))

    def attempts(
        self, *, outcomes: Iterable[str] = (), upto: int | None = None, run: str | None = None, table: str | None = None
    ) -> dict[str, Attempt]:
        """The last attempt of every table (or of one), by table; `outcomes` and `upto` (with `run`'s own) narrow which count."""
        wanted = tuple(outcomes)
        where = _attempts.c.outcome.in_(wanted) if wanted else sa.true()
        if table is not None:
            where = sa.and_(where, _attempts.c.table == table)
        if upto is not None:
            where = sa.and_(where, sa.or_(_attempts.c.head <= upto, _attempts.c.run == (run or "")))
        newest = sa.select(sa.func.max(_attempts.c.id)).where(where).group_by(_attempts.c.table)
        key = (_attempts.c.id, _attempts.c.run)

        def read(db: sa.Connection, wanted: Sequence[tuple]) -> dict[tuple, Attempt]:
            these = sa.select(_attempts).where(_attempts.c.id.in_([number for number, _ in wanted]))
            return {(row.id, row.run): _attempt(row) for row in db.execute(these)}

        with self.store.reading() as db:
            found = _known(db, sa.select(*key).where(_attempts.c.id.in_(newest)), self._attempts, read)
        return {attempt.table: attempt for attempt in found}

    def of_run(self, run: str) -> tuple[Attempt, ...]:
        """Everything that one run tried, in the order it happened."""
        with self.store.reading() as db:
            rows = db.execute(sa.select(_attempts).where(_attempts.c.run == run).order_by(_attempts.c.id))
            return tuple(map(_attempt, rows))

    def tries(
        self, *, table: str | None = None, since: str = "", outcomes: Iterable[str] = (), limit: int = 200
    ) -> tuple[Attempt, ...]:
        """The newest attempts, of one table or of all, since a moment, with these outcomes; newest first."""
        wanted = tuple(outcomes)
        where = [_attempts.c.at >= since] if since else []
        where += [_attempts.c.table == table] if table is not None else []
        where += [_attempts.c.outcome.in_(wanted)] if wanted else []
        query = sa.select(_attempts).where(*where).order_by(_attempts.c.id.desc()).limit(limit)
        with self.store.reading() as db:
            return tuple(map(_attempt, db.execute(query)))

    def numbered(
        self, *, after: int = 0, since: str = "", numbers: Iterable[int] | None = None, limit: int = 1_000
    ) -> tuple[tuple[int, Attempt], ...]:
        """Attempts with their numbers, in order: after a number, since a moment, or these."""
        c = _attempts.c
        where = [c.id > after, *([c.at >= since] if since else [])]
        where += [c.id.in_(tuple(numbers))] if numbers is not None else []
        query = sa.select(_attempts).where(*where).order_by(c.id).limit(limit)
        with self.store.reading() as db:
            return tuple((row.id, _attempt(row)) for row in db.execute(query))

    def tried_in(self, runs: Iterable[str]) -> set[tuple[str, str]]:
        """(run, table) of everything that these runs tried."""
        c = _attempts.c
        with self.store.reading() as db:
            found = db.execute(sa.select(c.run, c.table).where(c.run.in_(tuple(runs))))
            return {(row.run, row.table) for row in found}

    def arrivals(self, since: str) -> dict[str, list[str]]:
        """When each table was published or confirmed, since a moment: ISO, oldest first."""
        confirmed = sa.and_(_attempts.c.at >= since, _attempts.c.outcome == "unchanged")
        found: dict[str, list[str]] = {}
        with self.store.reading() as db:
            published = db.execute(sa.select(_versions.c.table, _versions.c.at).where(_versions.c.at >= since)).all()
            again = db.execute(sa.select(_attempts.c.table, _attempts.c.at).where(confirmed)).all()
        for at, table in sorted((row.at, row.table) for row in (*published, *again)):
            found.setdefault(table, []).append(at)
        return found

    def mark(self) -> tuple[int, int, int]:
        """Three numbers of which one is another when anything was published, tried or judged since."""
        tables = (_versions, _attempts, _admissions, _results)
        with self.store.reading() as db:
            versions, attempts, *judged = (
                db.execute(sa.select(sa.func.max(t.c.id if t is _attempts else t.c.version))).scalar() or 0
                for t in tables
            )
            count = db.execute(sa.select(sa.func.count()).select_from(_admissions)).scalar_one()
        return versions, attempts, sum(judged) + count

    # -- admissions and results -----------------------------------------------------------------------------------------

    def judged(self, reader: str, table: str, version: int, contract: str) -> Admission | None:
        """The verdict on this version under this contract, or None when nobody has judged it yet."""
        c = _admissions.c
        where = (c.reader == reader, c.table == table, c.version == version, c.contract == contract)
        with self.store.reading() as db:
            row = db.execute(sa.select(_admissions).where(*where)).first()
        return _admission(row) if row else None

    def judge(self, admission: Admission) -> None:
        """Keep a verdict; the first one on a version stays."""
        with self.store.writing() as db:
            self.store.put(db, _admissions, _row(admission) | {"at": now()})

    def last_admitted(self, reader: str, table: str, before: int) -> int | None:
        """The newest version before this one that the reader has admitted, under whatever contract it had then."""
        c = _admissions.c
        query = sa.select(sa.func.max(c.version)).where(
            c.reader == reader, c.table == table, c.version < before, c.admitted.is_(True)
        )
        with self.store.reading() as db:
            return db.execute(query).scalar()

    def keep_results(
        self, table: str, version: int, contract: str, results: Sequence[Mapping[str, object]], run: str
    ) -> None:
        """Keep what the tests of a contract said about a version; a later run of the same tests replaces it."""
        values = {"table": table, "version": version, "contract": contract, "results": list(results), "run": run}
        with self.store.writing() as db:
            self.store.put(db, _results, values | {"at": now()}, replace=True)

    def results(
        self, table: str, version: int, contract: str, *, run: str | None = None
    ) -> tuple[dict[str, Any], ...] | None:
        """What the tests of this contract said about this version (in `run`), or None when they did not run on it."""
        c = _results.c
        query = sa.select(c.results).where(c.table == table, c.version == version, c.contract == contract)
        if run is not None:
            query = query.where(c.run == run)
        with self.store.reading() as db:
            found = db.execute(query).scalar()
        return None if found is None else tuple(found)

    def said(self, table: str, version: int, run: str, *, others: bool = False) -> tuple[dict[str, Any], ...] | None:
        """What tests said about this version in a run, whatever the contract; with `others` in any run, if not in this one."""
        c = _results.c
        query = sa.select(c.run, c.results).where(c.table == table, c.version == version).order_by(c.at)
        with self.store.reading() as db:
            found = db.execute(query).all()
        own = [row.results for row in found if row.run == run]
        chosen = own or ([row.results for row in found] if others else [])
        return tuple(chosen[0]) if chosen else None

    def test_history(self, table: str, *, limit: int = 30) -> tuple[tuple[int, str, Sequence[Mapping[str, Any]]], ...]:
        """What tests said about a table's last versions: (version, when, results), newest first."""
        c = _results.c
        query = sa.select(c.version, c.at, c.results).where(c.table == table).order_by(c.at.desc()).limit(limit)
        with self.store.reading() as db:
            return tuple((row.version, row.at, row.results) for row in db.execute(query))

    def admissions(self) -> tuple[tuple[Admission, str], ...]:
        """Every reader's last verdict on every input, with when."""
        c = _admissions.c
        newest = sa.select(c.reader, c.table, sa.func.max(c.at).label("at")).group_by(c.reader, c.table).subquery()
        same = (c.reader == newest.c.reader, c.table == newest.c.table, c.at == newest.c.at)
        with self.store.reading() as db:
            return tuple(
                (_admission(row), row.at) for row in db.execute(sa.select(_admissions).join(newest, sa.and_(*same)))
            )

    def refusals(self, since: str) -> tuple[tuple[str, str], ...]:
        """(table, when) of every version that a reader has refused, where the first did so since a moment."""
        c = _admissions.c
        first = sa.func.min(c.at).label("first")
        refused = sa.select(c.table, first).where(c.admitted.is_(False)).group_by(c.table, c.version)
        with self.store.reading() as db:
            return tuple((row.table, row.first) for row in db.execute(refused.having(first >= since)))

    # -- leases: who is building what ---------------------------------------------------------------------------------

    @contextmanager
    def lease(self, tables: Sequence[str], run: str, *, wait: float = 0.0) -> Generator[None]:
        """Hold `tables` for one step, all or none; a dead holder's lease is taken over.

        Raises:
            RunError: A live step of another run still holds one after `wait` seconds.
        """
        self._take(tables, run, wait)
        done = threading.Event()
        threading.Thread(target=self._keep_alive, args=(tables, run, done), daemon=True).start()
        try:
            yield
        finally:
            done.set()
            with suppress(exc.SQLAlchemyError, RunError), self.store.writing() as db:
                db.execute(_leases.delete().where(_leases.c.table.in_(tables), _leases.c.holder == _me(run)))

    def building(self) -> dict[str, str]:
        """Tables that a live step holds: table -> run."""
        with self.store.reading() as db:
            rows, moment = db.execute(sa.select(_leases)).all(), self.store.moment(db)
        return {row.table: row.run for row in rows if self._alive(row.holder, row.beat, moment)}

    def _take(self, tables: Sequence[str], run: str, wait: float) -> None:
        pause = threading.Event()
        waited = 0.0
        while True:
            with self.store.writing() as db:
                held = db.execute(sa.select(_leases).where(_leases.c.table.in_(tables))).all()
                moment = self.store.moment(db)
                busy = [row for row in held if row.holder != _me(run) and self._alive(row.holder, row.beat, moment)]
                if not busy:
                    beat = spelt(moment)
                    rows = [{"table": t, "run": run, "holder": _me(run), "beat": beat} for t in sorted(tables)]
                    self.store.put(db, _leases, rows, replace=True)
                    return
            if waited >= wait:
                message = f"{busy[0].table.replace('.', '/')} is being built by run {busy[0].run}"
                raise RunError(f"{message}\n    Wait until it has finished, or stop that run.")
            pause.wait(0.2)
            waited += 0.2

    def _keep_alive(self, tables: Sequence[str], run: str, done: threading.Event) -> None:
        while not done.wait(self.lease_seconds / 4):
            # A beat that is missed because the database is busy is made up for by the next one.
            with suppress(exc.SQLAlchemyError, RunError), self.store.writing() as db:
                mine = sa.and_(_leases.c.table.in_(tables), _leases.c.holder == _me(run))
                db.execute(_leases.update().where(mine).values(beat=spelt(self.store.moment(db))))

    def _alive(self, holder: str, beat: str, moment: datetime) -> bool:
        host, pid, started, _run = holder.split("|", 3)
        if host == socket.gethostname():
            return process_started(int(pid)) == started
        # Both by the database's clock: that of the holder's host may be minutes off.
        return (moment - datetime.fromisoformat(beat)).total_seconds() < self.lease_seconds

    # -- the texts of contracts -------------------------------------------------------------------------------------------

    def keep_terms(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Keep texts, each once; the name of each, which is its SHA-256."""
        rows = {hashlib.sha256(text.encode()).hexdigest(): text for text in texts}
        known = self._kept_terms & rows.keys()
        if new := [{"hash": name, "text": text} for name, text in rows.items() if name not in known]:
            with self.store.writing() as db:
                self.store.put(db, _terms, new)
            self._kept_terms |= rows.keys()
        return tuple(rows)

    def terms(self, names: Iterable[str]) -> dict[str, str]:
        """Texts by name; those that are not here are left out."""
        query = sa.select(_terms).where(_terms.c.hash.in_(tuple(names)))
        with self.store.reading() as db:
            return {row.hash: row.text for row in db.execute(query)}

    # -- raw files --------------------------------------------------------------------------------------------------------

    def hashes(self) -> dict[str, tuple[str, str]]:
        """Content hashes of raw files seen before: path -> (stamp, sha256)."""
        with self.store.reading() as db:
            return {row.path: (row.stamp, row.sha256) for row in db.execute(sa.select(_raw_files))}

    def keep_hashes(self, hashes: Mapping[str, tuple[str, str]]) -> None:
        """Remember content hashes, so that a file is read again only when its stamp has changed."""
        rows = [{"path": path, "stamp": stamp, "sha256": sha} for path, (stamp, sha) in sorted(hashes.items())]
        if rows:
            with self.store.writing() as db:
                self.store.put(db, _raw_files, rows, replace=True)


def confirmed(attempt: Attempt | None, version: Version | None) -> bool:
    """Whether an attempt, the last, has tested a version that was there already, and left it as it is."""
    if attempt is None or version is None or attempt.outcome != "unchanged":
        return False
    return attempt.record.get("version") == version.version


def process_started(pid: int) -> str:
    """What tells a process from a later one with the same number; empty when it is gone."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        state, *rest = text.rpartition(")")[2].split()
        return "" if state in "ZX" else rest[18]
    if Path("/proc/self/stat").exists():
        return ""
    try:  # no /proc on this system: the number must do
        os.kill(pid, 0)
    except OSError:
        return ""
    return "0"


def this_process() -> str:
    """Host, number and start of this process: tells it from every other, also from a later one of its number."""
    return f"{socket.gethostname()}|{os.getpid()}|{process_started(os.getpid())}"


def _me(run: str) -> str:
    return f"{this_process()}|{run}"


def _row(item: Version | Admission) -> dict:
    row = {name: getattr(item, name) for name in item.__slots__}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in row.items()}


Row = TypeVar("Row")
AT_ONCE = 500
"""Rows that one statement names: SQLite takes 32,766 values."""
SPARE = 1_000


def _known(
    db: sa.Connection,
    query: sa.Select,
    known: dict[tuple, Row],
    read: Callable[[sa.Connection, Sequence[tuple]], Mapping[tuple, Row]],
    *,
    whole: bool = True,
) -> list[Row]:
    """The rows whose keys a query gives; only those that were never read before are read.

    With `whole`, what the query does not give any more is let go of.

    Most of the time of a look at thousands of tables would go into the JSON of rows that have not changed.
    """
    keys = [tuple(row) for row in db.execute(query)]
    rows = {key: row for key in keys if (row := known.get(key)) is not None}
    missing = [key for key in keys if key not in rows]
    for start in range(0, len(missing), AT_ONCE):
        rows |= read(db, missing[start : start + AT_ONCE])
    known.update((key, rows[key]) for key in missing)
    if whole and len(known) > 2 * len(keys) + SPARE:  # others have taken their place
        for key in set(known).difference(keys):
            known.pop(key, None)
    return [rows[key] for key in keys]


def _attempt(row: sa.Row) -> Attempt:
    return Attempt(table=row.table, run=row.run, outcome=row.outcome, head=row.head, record=row.record, at=row.at)


def _admission(row: sa.Row) -> Admission:
    values = {name: value for name, value in row._asdict().items() if name != "at"}
    return Admission(**values)
