"""The database behind the ledger: SQLite in WAL mode by default, PostgreSQL beside a PostgreSQL lake.

Rooms that keep a record define their tables in a `MetaData` of their own and `ensure` them on the ledger's store.
"""

import re
import weakref
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.dialects import postgresql, sqlite

from mesh_assets import sqlitefile
from mesh_assets.domain import LakeConfig
from mesh_assets.errors import RunError

if TYPE_CHECKING:
    import sqlite3

VERSION = 1
"""Of the tables. A ledger of another version is not opened: a newer mesh has written it, or it needs a migration."""
_about = sa.Table("about", sa.MetaData(), sa.Column("version", sa.Integer, primary_key=True))


def now() -> str:
    """The moment by this host's clock, as `spelt`: it sorts as it reads."""
    return spelt(datetime.now(UTC))


def spelt(moment: datetime) -> str:
    """A moment as ISO text in UTC, to the microsecond."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


class Store:
    """One environment's record on disk. Safe for many threads and processes."""

    def __init__(self, home: Path, config: LakeConfig | None = None) -> None:
        self._engine = _engine(home / "ledger.sqlite", config or LakeConfig())
        self._made: dict[sa.MetaData, int] = {}  # with how many tables: another module of a room may bring more
        weakref.finalize(self, self._engine.dispose)  # pooled connections end with the store, not with the interpreter

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()

    def ensure(self, tables: sa.MetaData) -> None:
        """Make the tables that are not there yet; asked again for the same, there is nothing to do.

        Raises:
            RunError: The database cannot be used, or another version of mesh_assets has written it.
        """
        if self._made.get(tables) == len(tables.tables):
            return
        try:
            _create(self._engine, tables)
        except exc.DBAPIError as error:
            raise _unusable(error, self._engine) from None
        self._made[tables] = len(tables.tables)

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """One short transaction that writes nothing: it waits for nobody."""
        return self._transact(self._engine.execution_options(mesh_reads=True))

    def writing(self) -> AbstractContextManager[sa.Connection]:
        """One short transaction; writers queue."""
        return self._transact(self._engine)

    @contextmanager
    def _transact(self, engine: sa.Engine) -> Generator[sa.Connection]:
        try:
            with engine.begin() as db:
                yield db
        except exc.DatabaseError as error:
            # The bare class is a damaged file; its other kinds are mistakes of ours.
            if isinstance(error, exc.OperationalError) or type(error) is exc.DatabaseError:
                raise _unusable(error, self._engine) from None
            raise
        except exc.InterfaceError as error:
            raise _unusable(error, self._engine) from None

    def copy(self, home: Path, config: LakeConfig, *, without: Iterable[str] | None) -> None:
        """A copy of everything, for an environment that goes its own way from here on; some tables are left empty.

        Args:
            home: Of that environment.
            config: Its lake.
            without: Tables that are left empty; None: all of them.

        Raises:
            RunError: It cannot be written.
        """
        left = None if without is None else frozenset(without)
        try:
            if self._engine.dialect.name == "postgresql":
                _copy_schema(self._engine, f"{config.schema}_ledger", left)
            else:
                _copy_file(Path(str(self._engine.url.database)), home / "ledger.sqlite", left)
        except (exc.DBAPIError, OSError) as error:
            raise _unusable(error, self._engine) from None

    def remove_copy(self, config: LakeConfig) -> None:
        """Delete what `copy` has made in the same database; a copy that is a file goes with its folder."""
        if self._engine.dialect.name == "postgresql":
            with self.writing() as db:
                db.execute(sa.schema.DropSchema(f"{config.schema}_ledger", cascade=True, if_exists=True))

    def allow(self, config: LakeConfig, role: str) -> None:
        """Let another role of the same database work in what `copy` has made there."""
        from mesh_assets.lake.catalog import allowing

        if self._engine.dialect.name == "postgresql":
            with self.writing() as db:
                for statement in allowing(f"{config.schema}_ledger", role):
                    db.exec_driver_sql(statement)

    def alone(self, db: sa.Connection, name: str) -> None:
        """Until the transaction ends, nobody else goes on who asked for the same name; SQLite has one writer anyway."""
        if self._engine.dialect.name == "postgresql":
            db.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})

    def moment(self, db: sa.Connection) -> datetime:
        """The moment by the database's clock, the same for every host that uses it."""
        if self._engine.dialect.name == "postgresql":
            return db.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return datetime.now(UTC)  # a file of this host

    def put(self, db: sa.Connection, table: sa.Table, rows: dict | list[dict], *, replace: bool = False) -> None:
        """Add rows; those whose key is there already stay as they are, or are replaced."""
        dialect = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        insert = dialect.insert(table)
        keys = [column.name for column in table.primary_key]
        if not replace:
            db.execute(insert.on_conflict_do_nothing(index_elements=keys), rows)
            return
        rest = {c.name: insert.excluded[c.name] for c in table.columns if c.name not in keys}
        db.execute(insert.on_conflict_do_update(index_elements=keys, set_=rest), rows)


def _engine(path: Path, config: LakeConfig) -> sa.Engine:
    if config.catalog.startswith(("postgres:", "postgresql:")):
        return _postgres_engine(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sqlitefile.engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _prepare(connection: "sqlite3.Connection", _record: object) -> None:
        connection.isolation_level = None  # ours to begin: the driver would begin too late for IMMEDIATE
        connection.execute("PRAGMA journal_mode=WAL")

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


def _copy_file(source: Path, target: Path, without: frozenset[str] | None) -> None:
    import sqlite3

    target.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(source, timeout=sqlitefile.TIMEOUT)) as a, closing(sqlite3.connect(target)) as b:
        a.backup(b)
        present = {name for (name,) in b.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for name in sorted(present if without is None else present & without):
            b.execute(f'DELETE FROM "{name}"')
        b.commit()


def _copy_schema(engine: sa.Engine, schema: str, without: frozenset[str] | None) -> None:
    source = (engine.get_execution_options().get("schema_translate_map") or {})[None]
    with engine.begin() as db:
        db.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        db.execute(sa.schema.CreateSchema(schema))
        found = db.execute(sa.text("SELECT tablename FROM pg_tables WHERE schemaname = :s ORDER BY 1"), {"s": source})
        for (name,) in found.all():
            db.exec_driver_sql(f'CREATE TABLE "{schema}"."{name}" (LIKE "{source}"."{name}" INCLUDING ALL)')
            if without is not None and name not in without:
                db.exec_driver_sql(f'INSERT INTO "{schema}"."{name}" SELECT * FROM "{source}"."{name}"')
        # A counter of its own: the copied default would count on with the original's.
        counted = db.execute(
            sa.text(
                "SELECT table_name, column_name FROM information_schema.columns "
                "WHERE table_schema = :s AND column_default LIKE 'nextval%'"
            ),
            {"s": schema},
        )
        for table, column in counted.all():
            counter = f'"{schema}"."{table}_{column}_seq"'
            db.exec_driver_sql(f'CREATE SEQUENCE {counter} OWNED BY "{schema}"."{table}"."{column}"')
            db.exec_driver_sql(f'ALTER TABLE "{schema}"."{table}" ALTER "{column}" SET DEFAULT nextval(\'{counter}\')')
            db.exec_driver_sql(
                f'SELECT setval(\'{counter}\', (SELECT coalesce(max("{column}"), 0) + 1 FROM "{schema}"."{table}"))'
            )


def _create(engine: sa.Engine, tables: sa.MetaData) -> None:
    schema = (engine.get_execution_options().get("schema_translate_map") or {}).get(None)
    with engine.begin() as db:
        if schema:
            # Two processes that create the ledger at once would collide within PostgreSQL's own catalogue.
            db.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": schema})
            there = sa.text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
            if not db.execute(there, {"name": schema}).scalar():  # `IF NOT EXISTS` asks for the right to make it
                db.execute(sa.schema.CreateSchema(schema))
        _about.metadata.create_all(db)
        tables.create_all(db)
        found = db.execute(sa.select(_about.c.version)).scalar()
        if found is None:
            db.execute(_about.insert().values(version=VERSION))
        elif found != VERSION:
            mend = "Use the version of mesh_assets that wrote it; a newer one writes ledgers that this one cannot read."
            raise RunError(f"the ledger is of version {found}, this mesh_assets reads version {VERSION}\n    {mend}")


def _unusable(error: Exception, engine: sa.Engine) -> RunError:
    from mesh_assets.lake.trouble import without_passwords

    reason = without_passwords(str(getattr(error, "orig", error)).strip().splitlines()[0])
    file = engine.url.database if engine.dialect.name == "sqlite" else ""
    mend = "Is its folder writable, its disk not full, its database up?"
    if file and re.search("malformed|not a database", reason):
        mend = "Put back a copy; or move it away, with its `-wal` and `-shm`: what is published is read again from the lake."
    return RunError(f"the ledger {f'{file} ' if file else ''}cannot be used: {reason}\n    {mend}")
