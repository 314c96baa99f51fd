"""What Dagster's event log does not hold: pins, versions, attempts, admissions, leases.

Versions are an index of the lake's commits and can be rebuilt from them (`Ledger.index`); everything else is small and
is kept here alone. SQLite in WAL mode by default, PostgreSQL beside a PostgreSQL lake: one module, one set of tables.
"""

import os
import socket
import threading
import weakref
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.dialects import postgresql, sqlite

from mesh_assets.domain import LakeConfig
from mesh_assets.errors import RunError

if TYPE_CHECKING:
    import sqlite3

_schema = sa.MetaData()
VERSION = 1
"""Of the tables below. A ledger of another version is not opened: a newer mesh has written it, or it needs a migration."""
_about = sa.Table("about", _schema, sa.Column("version", sa.Integer, primary_key=True))
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


class Input(TypedDict):
    """One input as a build read it; `version` is None while the same commit is still to publish it."""

    version: int | None
    fingerprint: str


class Record(TypedDict, total=False):
    """What is kept of a build: in the lake's commit of a version, and in the ledger of every attempt.

    `tried`, `code`, `contract` and `raw` are what `due` compares; `inputs` is what was read, `tried` what was on offer.
    """

    tried: dict[str, str]
    code: str
    contract: str
    contract_version: str
    raw: str
    inputs: dict[str, Input]
    held: list[str]
    generation: dict[str, str]
    fingerprint: str
    rows: int | None
    columns: list[list[str]]
    tests: dict[str, int]
    toolchain: str
    seconds: float
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


def now() -> str:
    """The moment in UTC as ISO text, to the microsecond: it sorts as it reads."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Ledger:
    """The record of one environment. Safe for many threads and processes; every method is one short transaction."""

    def __init__(self, home: Path, config: LakeConfig | None = None, *, lease_seconds: float = 60.0) -> None:
        self.lease_seconds = lease_seconds
        self._path = home / "ledger.sqlite"
        self._engine = _engine(self._path, config or LakeConfig())
        weakref.finalize(self, self._engine.dispose)  # pooled connections end with the ledger, not with the interpreter
        try:
            _create(self._engine)
        except exc.DBAPIError as error:
            raise _unusable(error) from None

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()

    # -- pins ---------------------------------------------------------------------------------------------------------

    def pin(self, run: str, head: Callable[[], int]) -> int:
        """The snapshot at which `run` reads: the first step that asks wins, all others get the same."""
        with self._read() as db:
            found = db.execute(sa.select(_pins.c.snapshot).where(_pins.c.run == run)).scalar()
        if found is not None:
            return found
        snapshot = head()
        with self._begin() as db:
            self._put(db, _pins, {"run": run, "snapshot": snapshot, "at": now()})
            return db.execute(sa.select(_pins.c.snapshot).where(_pins.c.run == run)).scalar_one()

    # -- versions -----------------------------------------------------------------------------------------------------

    def indexed(self) -> int:
        """The newest version in the index; 0 when there is none."""
        with self._read() as db:
            return db.execute(sa.select(sa.func.max(_versions.c.version))).scalar() or 0

    def index(self, versions: Iterable[Version]) -> None:
        """Add versions that the lake's commits speak of; known ones are left as they are."""
        rows = [_row(version) for version in versions]
        if rows:
            with self._begin() as db:
                self._put(db, _versions, rows)

    def versions(self, *, upto: int | None = None, run: str | None = None) -> dict[str, Version]:
        """The newest version of every table, by table; with `upto`, as that snapshot and `run` itself see it."""
        seen = _versions.c.version <= upto if upto is not None else sa.true()
        if run is not None:
            seen = sa.or_(seen, _versions.c.run == run)
        newest = sa.select(_versions.c.table, sa.func.max(_versions.c.version).label("version")).where(seen)
        newest = newest.group_by(_versions.c.table).subquery()
        query = sa.select(_versions).join(
            newest, sa.and_(_versions.c.table == newest.c.table, _versions.c.version == newest.c.version)
        )
        with self._read() as db:
            return {row.table: Version(**row._asdict()) for row in db.execute(query)}

    def history(self, table: str, *, limit: int = 100) -> tuple[Version, ...]:
        """Versions of one table, newest first."""
        query = sa.select(_versions).where(_versions.c.table == table).order_by(_versions.c.version.desc()).limit(limit)
        with self._read() as db:
            return tuple(Version(**row._asdict()) for row in db.execute(query))

    def fingerprint(self, table: str, version: int) -> str:
        """Of one version's content."""
        query = sa.select(_versions.c.record).where(_versions.c.table == table, _versions.c.version == version)
        with self._read() as db:
            return str(db.execute(query).scalar_one()["fingerprint"])

    # -- attempts -----------------------------------------------------------------------------------------------------

    def attempted(self, attempt: Attempt) -> None:
        """Keep what came of a try."""
        with self._begin() as db:
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
        with self._read() as db:
            rows = db.execute(sa.select(_attempts).where(_attempts.c.id.in_(newest)))
            return {row.table: _attempt(row) for row in rows}

    def of_run(self, run: str) -> tuple[Attempt, ...]:
        """Everything that one run tried, in the order it happened."""
        with self._read() as db:
            rows = db.execute(sa.select(_attempts).where(_attempts.c.run == run).order_by(_attempts.c.id))
            return tuple(map(_attempt, rows))

    # -- admissions and results -----------------------------------------------------------------------------------------

    def judged(self, reader: str, table: str, version: int, contract: str) -> Admission | None:
        """The verdict on this version under this contract, or None when nobody has judged it yet."""
        c = _admissions.c
        where = (c.reader == reader, c.table == table, c.version == version, c.contract == contract)
        with self._read() as db:
            row = db.execute(sa.select(_admissions).where(*where)).first()
        return _admission(row) if row else None

    def judge(self, admission: Admission) -> None:
        """Keep a verdict; the first one on a version stays."""
        with self._begin() as db:
            self._put(db, _admissions, _row(admission) | {"at": now()})

    def last_admitted(self, reader: str, table: str, before: int) -> int | None:
        """The newest version before this one that the reader has admitted, under whatever contract it had then."""
        c = _admissions.c
        query = sa.select(sa.func.max(c.version)).where(
            c.reader == reader, c.table == table, c.version < before, c.admitted.is_(True)
        )
        with self._read() as db:
            return db.execute(query).scalar()

    def keep_results(
        self, table: str, version: int, contract: str, results: Sequence[Mapping[str, object]], run: str
    ) -> None:
        """Keep what the tests of a contract said about a version; a later run of the same tests replaces it."""
        values = {"table": table, "version": version, "contract": contract, "results": list(results), "run": run}
        with self._begin() as db:
            self._put(db, _results, values | {"at": now()}, replace=True)

    def results(
        self, table: str, version: int, contract: str, *, run: str | None = None
    ) -> tuple[dict[str, Any], ...] | None:
        """What the tests of this contract said about this version (in `run`), or None when they did not run on it."""
        c = _results.c
        query = sa.select(c.results).where(c.table == table, c.version == version, c.contract == contract)
        if run is not None:
            query = query.where(c.run == run)
        with self._read() as db:
            found = db.execute(query).scalar()
        return None if found is None else tuple(found)

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
            with suppress(exc.SQLAlchemyError, RunError), self._begin() as db:
                db.execute(_leases.delete().where(_leases.c.table.in_(tables), _leases.c.holder == _me(run)))

    def building(self) -> dict[str, str]:
        """Tables that a live step holds: table -> run."""
        with self._read() as db:
            rows = db.execute(sa.select(_leases)).all()
        return {row.table: row.run for row in rows if self._alive(row.holder, row.beat)}

    def _take(self, tables: Sequence[str], run: str, wait: float) -> None:
        pause = threading.Event()
        waited = 0.0
        while True:
            with self._begin() as db:
                held = db.execute(sa.select(_leases).where(_leases.c.table.in_(tables))).all()
                busy = [row for row in held if row.holder != _me(run) and self._alive(row.holder, row.beat)]
                if not busy:
                    rows = [{"table": t, "run": run, "holder": _me(run), "beat": now()} for t in sorted(tables)]
                    self._put(db, _leases, rows, replace=True)
                    return
            if waited >= wait:
                message = f"{busy[0].table.replace('.', '/')} is being built by run {busy[0].run}"
                raise RunError(f"{message}\n    Wait until it has finished, or stop that run.")
            pause.wait(0.2)
            waited += 0.2

    def _keep_alive(self, tables: Sequence[str], run: str, done: threading.Event) -> None:
        while not done.wait(self.lease_seconds / 4):
            # A beat that is missed because the database is busy is made up for by the next one.
            with suppress(exc.SQLAlchemyError, RunError), self._begin() as db:
                mine = sa.and_(_leases.c.table.in_(tables), _leases.c.holder == _me(run))
                db.execute(_leases.update().where(mine).values(beat=now()))

    def _alive(self, holder: str, beat: str) -> bool:
        host, pid, started, _run = holder.split("|", 3)
        if host == socket.gethostname():
            return process_started(int(pid)) == started
        age = datetime.now(UTC) - datetime.fromisoformat(beat)
        return age.total_seconds() < self.lease_seconds

    # -- raw files --------------------------------------------------------------------------------------------------------

    def hashes(self) -> dict[str, tuple[str, str]]:
        """Content hashes of raw files seen before: path -> (stamp, sha256)."""
        with self._read() as db:
            return {row.path: (row.stamp, row.sha256) for row in db.execute(sa.select(_raw_files))}

    def keep_hashes(self, hashes: Mapping[str, tuple[str, str]]) -> None:
        """Remember content hashes, so that a file is read again only when its stamp has changed."""
        rows = [{"path": path, "stamp": stamp, "sha256": sha} for path, (stamp, sha) in sorted(hashes.items())]
        if rows:
            with self._begin() as db:
                self._put(db, _raw_files, rows, replace=True)

    # -- plumbing -----------------------------------------------------------------------------------------------------

    def _read(self) -> AbstractContextManager[sa.Connection]:
        """As `_begin`, for one that writes nothing: it waits for nobody."""
        return self._begin(self._engine.execution_options(mesh_reads=True))

    @contextmanager
    def _begin(self, engine: sa.Engine | None = None) -> Generator[sa.Connection]:
        try:
            with (engine or self._engine).begin() as db:
                yield db
        except exc.OperationalError as error:
            raise _unusable(error) from None

    def _put(self, db: sa.Connection, table: sa.Table, rows: dict | list[dict], *, replace: bool = False) -> None:
        dialect = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        insert = dialect.insert(table)
        keys = [column.name for column in table.primary_key]
        if not replace:
            db.execute(insert.on_conflict_do_nothing(index_elements=keys), rows)
            return
        rest = {c.name: insert.excluded[c.name] for c in table.columns if c.name not in keys}
        db.execute(insert.on_conflict_do_update(index_elements=keys, set_=rest), rows)


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


def _me(run: str) -> str:
    return f"{socket.gethostname()}|{os.getpid()}|{process_started(os.getpid())}|{run}"


def _row(item: Version | Admission) -> dict:
    row = {name: getattr(item, name) for name in item.__slots__}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in row.items()}


def _attempt(row: sa.Row) -> Attempt:
    return Attempt(table=row.table, run=row.run, outcome=row.outcome, head=row.head, record=row.record, at=row.at)


def _admission(row: sa.Row) -> Admission:
    values = {name: value for name, value in row._asdict().items() if name != "at"}
    return Admission(**values)


def _engine(path: Path, config: LakeConfig) -> sa.Engine:
    if config.catalog.startswith(("postgres:", "postgresql:")):
        return _postgres_engine(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 30.0}, poolclass=sa.NullPool)

    @event.listens_for(engine, "connect")
    def _prepare(connection: "sqlite3.Connection", _record: object) -> None:
        connection.isolation_level = None  # ours to begin: the driver would begin too late for IMMEDIATE
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # Take the write lock first: upgrading a read to a write is refused at once when another has written.
        reads = connection.get_execution_options().get("mesh_reads")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _postgres_engine(config: LakeConfig) -> sa.Engine:
    import psycopg

    # `postgres:` is ours, before a connection string; `postgresql://…` is one itself.
    address = config.catalog.removeprefix("postgres:")
    schema = f"{config.schema}_ledger"
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(address), pool_pre_ping=True)
    return engine.execution_options(schema_translate_map={None: schema})


def _create(engine: sa.Engine) -> None:
    schema = (engine.get_execution_options().get("schema_translate_map") or {}).get(None)
    with engine.begin() as db:
        if schema:
            # Two processes that create the ledger at once would collide within PostgreSQL's own catalogue.
            db.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": schema})
            db.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
        _schema.create_all(db)
        found = db.execute(sa.select(_about.c.version)).scalar()
        if found is None:
            db.execute(_about.insert().values(version=VERSION))
        elif found != VERSION:
            mend = "Use the version of mesh_assets that wrote it; a newer one writes ledgers that this one cannot read."
            raise RunError(f"the ledger is of version {found}, this mesh_assets reads version {VERSION}\n    {mend}")


def _unusable(error: Exception) -> RunError:
    from mesh_assets.lake.trouble import without_passwords

    reason = without_passwords(str(getattr(error, "orig", error)).strip().splitlines()[0])
    return RunError(
        f"the ledger cannot be used: {reason}\n    Is its folder writable, its disk not full, its database up?"
    )
