"""Where DuckLake keeps its metadata: how it is attached, locked, read and copied. SQLite file or PostgreSQL schema."""

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast
from urllib.parse import quote

from mesh_assets.errors import RunError, UsageError
from mesh_assets.lake.databases import Names
from mesh_assets.lake.sqltext import quoted, text
from mesh_assets.lake.trouble import explained

if TYPE_CHECKING:
    import duckdb
    import psycopg

#: The alias of DuckLake's own metadata, once the lake is attached as `mesh`.
METADATA = "__ducklake_metadata_mesh"
#: DuckLake's format that the pinned extension reads and writes.
FORMAT = "1.0"
#: How long a publish waits for those before it; one takes some tens of milliseconds.
PATIENCE = 120.0
#: The time of a file's last change is that of a clock which ticks every 10 ms at the slowest, in nanoseconds.
CLOCK = 100_000_000


def server_of(conninfo: str) -> str:
    """`host:port` of a PostgreSQL connection string, which may leave out both.

    Raises:
        UsageError: It is none.
    """
    parts = _parts(conninfo)
    host = str(parts.get("host") or parts.get("hostaddr") or "localhost")
    return f"{quote(host, safe='[]:.-')}:{parts.get('port') or 5432}"


def database_of(conninfo: str) -> str:
    """The database that a PostgreSQL connection string leads to.

    Raises:
        UsageError: It is none.
    """
    parts = _parts(conninfo)
    return str(parts.get("dbname") or parts.get("user") or "postgres")


def _parts(conninfo: str) -> dict[str, object]:
    from psycopg.conninfo import conninfo_to_dict

    try:
        return dict(conninfo_to_dict(conninfo))
    except Exception:  # noqa: BLE001 - the parser raises several of its own
        raise UsageError("this is no connection string of PostgreSQL") from None


class SqliteCatalog:
    """The metadata in one SQLite file on a local disk, WAL; publishes queue at a lock file beside it.

    Within this process the file is only ever opened through DuckDB's SQLite extension: POSIX locks are the process's,
    so closing it from a second SQLite library (Python's), or from `open()`, would silently drop the locks that DuckDB
    holds, and another process could then overwrite the log that a reader is reading.
    """

    extensions = ("ducklake", "sqlite_scanner")
    options = {"meta_busy_timeout": 10000}  # noqa: RUF012 (never changed)
    prefix = f"{METADATA}."
    native = ""  # the same in the catalog's own SQL

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"SqliteCatalog({str(self.path)!r})"

    @property
    def identity(self) -> tuple[object, ...]:
        """Tells this catalog from every other, also from a later one at the same place."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            raise no_lake() from None
        return (str(self.path), stat.st_dev, stat.st_ino)

    @property
    def uri(self) -> str:
        """How DuckLake names it."""
        return f"sqlite:{self.path}"

    @property
    def address(self) -> str:
        """Where it is, as a URL; nothing of who signs in."""
        return f"ducklake://{quote(self.path.as_posix())}"

    def uri_from(self, folder: Path) -> str:
        """The same for a program that works in this folder."""
        return f"sqlite:{os.path.relpath(self.path, folder)}"

    def environment(self) -> dict[str, str]:
        """What another program needs to open it."""
        return {}

    def exists(self) -> bool:
        """Whether there is a file; `metadata` says whether it is a lake."""
        return self.path.exists()

    def metadata(self, con: "duckdb.DuckDBPyConnection") -> dict[str, str] | None:
        """DuckLake's settings; None when the file holds nothing; `RunError` when it holds something else."""
        if not self.exists():
            return None
        con.execute(f"ATTACH {text(str(self.path))} AS probe (TYPE sqlite, READ_ONLY)")
        try:
            tables = {
                name
                for (name,) in con.execute(
                    "SELECT name FROM sqlite_query('probe', 'SELECT name FROM sqlite_master')"
                ).fetchall()
            }
            if not tables:
                return None
            if "ducklake_metadata" not in tables:
                raise foreign(str(self.path))
            return dict(con.execute("SELECT key, value FROM probe.ducklake_metadata WHERE scope IS NULL").fetchall())
        finally:
            con.execute("DETACH probe")

    def attach(self, con: "duckdb.DuckDBPyConnection", *, read_only: bool) -> None:
        """Attach the lake as `mesh`."""
        flags = "META_BUSY_TIMEOUT 10000" + (", READ_ONLY" if read_only else "")
        con.execute(f"ATTACH {text(f'ducklake:sqlite:{self.path}')} AS mesh ({flags})")

    def newest_names(self, con: "duckdb.DuckDBPyConnection", last: Names | None) -> Names:
        """Tells the newest names of files' columns from all before; see `databases` for why they matter."""
        files = self._files()
        if last and last.files == files and files:
            return last
        newest = "SELECT mapping_id FROM ducklake_column_mapping ORDER BY rowid DESC LIMIT 1"
        return Names(con.execute(f"FROM sqlite_query({text(METADATA)}, {text(newest)})").fetchall(), files)

    def _files(self) -> tuple[int, ...]:
        """What changes with every commit, once the last one is so old that the file system's clock has moved on."""
        stats = []
        for file in (self.path, Path(f"{self.path}-wal")):
            with suppress(FileNotFoundError):
                stats.append(file.stat())
        if any(time.time_ns() - stat.st_mtime_ns < CLOCK for stat in stats):
            return ()
        return tuple(value for stat in stats for value in (stat.st_ino, stat.st_size, stat.st_mtime_ns))

    def build(self, con: "duckdb.DuckDBPyConnection", data: str) -> None:
        """Make the catalog beside its place and move it in whole: a kill leaves either none or all of it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(f".{self.path.name}.{os.getpid()}.{random.getrandbits(32):08x}")
        try:
            con.execute(
                f"ATTACH {text(f'ducklake:sqlite:{new}')} AS building (DATA_PATH {text(data)}, META_JOURNAL_MODE 'WAL')"
            )
            con.execute("CALL building.set_option('data_inlining_row_limit', 0)")
            con.execute("DETACH building")
            new.replace(self.path)
        finally:
            for leftover in (new, Path(f"{new}-wal"), Path(f"{new}-shm")):
                leftover.unlink(missing_ok=True)

    def relocate(self, con: "duckdb.DuckDBPyConnection", data: str) -> None:
        """Say where the data folder is now, after the lake's home has moved."""
        con.execute(f"ATTACH {text(str(self.path))} AS probe (TYPE sqlite)")
        try:
            con.execute(
                f"UPDATE probe.ducklake_metadata SET value = {text(data)} WHERE key = 'data_path' AND scope IS NULL"
            )
        finally:
            con.execute("DETACH probe")

    @contextmanager
    def locked(self, tables: Iterable[str] = ()) -> Generator[None]:  # noqa: ARG002 (one lock per lake: SQLite has one writer)
        """Alone at the catalog. A killed process frees it at once."""
        import fcntl

        self.path.parent.mkdir(parents=True, exist_ok=True)
        with Path(f"{self.path}.lock").open("a+", encoding="utf-8") as file:
            deadline = time.monotonic() + PATIENCE
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        file.seek(0)
                        message = (
                            f"Process {file.read() or '?'} has held the lake for {PATIENCE:.0f} s ({file.name}).\n"
                            "    Let it end, or end it."
                        )
                        raise RunError(message) from None
                    time.sleep(random.uniform(0.001, 0.01))  # noqa: S311 (jitter)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    @contextmanager
    def at_hand(self) -> Generator[None]:
        """Nothing: a file is at hand."""
        yield

    @contextmanager
    def committing(self) -> Generator[None]:
        """Within `locked`, alone at committing: which it is already."""
        yield

    @contextmanager
    def kept_open(self) -> Generator[None]:
        """Have the file open all the while, for processes that come and go.

        Who closes it last copies the log into it, alone. Whoever comes then has to wait, and DuckDB's SQLite, which is built
        without `usleep`, waits by whole seconds. It is open in a process of its own (see above), which ends with this one.
        """
        words = [sys.executable, "-I", "-S", "-c", _KEEP_OPEN, f"{self.path.absolute().as_uri()}?mode=rw"]
        keeper = subprocess.Popen(  # noqa: S603 (our own interpreter and script)
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        with keeper:
            cast("IO[bytes]", keeper.stdout).readline()  # nothing when it failed: then it is slower, that is all
            yield

    def forked(self, folder: Path) -> "SqliteCatalog":
        """Where `fork` puts a copy for this folder, made or not."""
        return SqliteCatalog(folder / "catalog.sqlite")

    def fork(self, folder: Path, statements: Sequence[str]) -> "SqliteCatalog":
        """A copy in `folder`, changed by the statements before anybody can see it."""
        new = self.forked(folder).path
        # In a process of its own: see the class about a second SQLite library in this one.
        done = subprocess.run(  # noqa: S603 (our own interpreter and script)
            [sys.executable, "-I", "-S", "-c", _COPY, str(self.path), str(new)],
            input=json.dumps(statements),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            message = f"Forking the lake: {done.stderr.strip().splitlines()[-1]}\n    Nothing was changed; run again."
            raise RunError(message)
        return SqliteCatalog(new)

    def guard(self, data: str) -> tuple[str, ...]:
        """Statements after which a clean-up in a fork never deletes a file that it inherited."""
        return (
            "DROP TRIGGER IF EXISTS mesh_delete_guard",
            # `../` leads out of every folder, also of one whose name a path begins with.
            "CREATE TRIGGER mesh_delete_guard BEFORE INSERT ON ducklake_files_scheduled_for_deletion "
            "WHEN instr(NEW.path, '../') > 0 OR (NEW.path_is_relative = 0 "
            f"AND substr(NEW.path, 1, {len(data)}) <> {text(data)}) BEGIN SELECT RAISE(IGNORE); END",
        )

    def remove(self) -> None:
        """Delete the catalog; for forks."""
        for file in (self.path, Path(f"{self.path}-wal"), Path(f"{self.path}-shm"), Path(f"{self.path}.lock")):
            file.unlink(missing_ok=True)


_KEEP_OPEN = """\
import sqlite3, sys
con = sqlite3.connect(sys.argv[1], uri=True)
con.execute("SELECT count(*) FROM sqlite_master").fetchall()
print("open", flush=True)
sys.stdin.read()
"""

_COPY = """
import json, os, sqlite3, sys
source, target = sys.argv[1:]
statements = json.load(sys.stdin)
source = source.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
a, b = sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30), sqlite3.connect(target)
a.backup(b)
b.isolation_level = None
b.execute("BEGIN")
for statement in statements:
    b.execute(statement)
b.execute("COMMIT")
b.execute("PRAGMA journal_mode = WAL")
b.close()
"""


class PostgresCatalog:
    """The metadata in one schema of a PostgreSQL database; publishes of the same table queue at an advisory lock."""

    extensions = ("ducklake", "postgres_scanner")

    def __init__(self, conninfo: str, schema: str) -> None:
        from psycopg.conninfo import conninfo_to_dict, make_conninfo

        try:
            parts = conninfo_to_dict(conninfo)
        except Exception:  # noqa: BLE001 - the parser raises several of its own
            message = (
                "`lake.catalog` is not a PostgreSQL connection string.\n"
                "    Write `postgres:host=… port=5432 dbname=… user=…`."
            )
            raise UsageError(message) from None
        self._password = str(parts.pop("password", "") or "")
        self._conninfo = make_conninfo("", **parts)
        self._holding = threading.local()  # the connection with which this thread holds the lake's locks
        self.schema = schema
        self.prefix = self.native = f"{quoted(schema)}."

    def __repr__(self) -> str:
        return f"PostgresCatalog({self._conninfo!r}, {self.schema!r})"

    @property
    def identity(self) -> tuple[object, ...]:
        """Tells this catalog from every other."""
        return (self._conninfo, self.schema)

    @property
    def uri(self) -> str:
        """How DuckLake names it; without the password."""
        return f"postgres:{self._conninfo}"

    @property
    def address(self) -> str:
        """Where it is, as a URL; nothing of who signs in."""
        return f"ducklake://{server_of(self._conninfo)}/{quote(database_of(self._conninfo))}/{quote(self.schema)}"

    def uri_from(self, folder: Path) -> str:  # noqa: ARG002 (a server is the same from everywhere)
        """The same for a program that works in this folder."""
        return self.uri

    @property
    def options(self) -> dict[str, object]:
        """What DuckLake must be told beside its name."""
        return {"metadata_schema": self.schema}

    def environment(self) -> dict[str, str]:
        """What another program needs to open it."""
        return {"PGPASSWORD": self._password} if self._password else {}

    def connect(self) -> "psycopg.Connection":
        """A connection of our own, beside DuckDB's."""
        import psycopg

        return psycopg.connect(self._conninfo, autocommit=True, connect_timeout=10, password=self._password or None)

    def rows(self, sql: str) -> list[tuple] | None:
        """What a query on the metadata gives; None when there is no lake."""
        from psycopg.errors import UndefinedTable

        with explained("Reading the lake's catalog"):
            mine = getattr(self._holding, "con", None)
            if mine and not mine.closed:  # as it is once the server was away
                return mine.execute(sql).fetchall()
            with suppress(UndefinedTable), self.connect() as con:
                return con.execute(sql).fetchall()  # ty: ignore
        return None

    def exists(self) -> bool:
        """Whether the schema has tables; `metadata` says whether it is a lake."""
        return bool(self.rows(f"SELECT 1 FROM pg_tables WHERE schemaname = {text(self.schema)} LIMIT 1"))

    def metadata(self, con: "duckdb.DuckDBPyConnection") -> dict[str, str] | None:  # noqa: ARG002 (as SqliteCatalog's)
        """DuckLake's settings; None when the schema holds nothing; `RunError` when it holds something else."""
        tables = {
            name
            for (name,) in self.rows(f"SELECT tablename FROM pg_tables WHERE schemaname = {text(self.schema)}") or ()
        }
        if not tables:
            return None
        if "ducklake_metadata" not in tables:
            raise foreign(f"schema `{self.schema}`")
        return dict(self.rows(f"SELECT key, value FROM {self.prefix}ducklake_metadata WHERE scope IS NULL") or ())

    def attach(self, con: "duckdb.DuckDBPyConnection", *, read_only: bool) -> None:
        """Attach the lake as `mesh`."""
        self._attach(con, "mesh", *(["READ_ONLY"] if read_only else []))

    def newest_names(self, con: "duckdb.DuckDBPyConnection", last: Names | None) -> None:
        """Nothing: all that a transaction reads here is of one moment."""

    def build(self, con: "duckdb.DuckDBPyConnection", data: str) -> None:
        """Make the catalog; a kill in between leaves one without the setting, which the next `create` mends."""
        self._attach(con, "building", f"DATA_PATH {text(data)}")
        con.execute("CALL building.set_option('data_inlining_row_limit', 0)")
        con.execute("DETACH building")

    def _attach(self, con: "duckdb.DuckDBPyConnection", alias: str, *flags: str) -> None:
        # As a secret, the password is neither in `duckdb_databases()` nor in DuckDB's errors.
        con.execute(f"CREATE OR REPLACE TEMPORARY SECRET mesh_catalog (TYPE postgres, PASSWORD {text(self._password)})")
        options = ", ".join([f"METADATA_SCHEMA {text(self.schema)}", "META_SECRET 'mesh_catalog'", *flags])
        con.execute(f"ATTACH {text(f'ducklake:postgres:{self._conninfo}')} AS {alias} ({options})")

    @contextmanager
    def locked(self, tables: Iterable[str] = ()) -> Generator[None]:
        """Alone at these tables; without tables, alone at the lake. A killed process frees them at once."""
        with explained("Waiting for the lake"):
            con = self.connect()
        try:
            with explained("Waiting for the lake"):
                con.execute(f"SET lock_timeout = {int(PATIENCE * 1000)}")  # ty: ignore
                names = sorted(tables)
                con.execute(f"SELECT pg_advisory_lock{'_shared' if names else ''}({self._key('')})")  # ty: ignore
                for name in names:
                    con.execute(f"SELECT pg_advisory_lock({self._key(name)})")  # ty: ignore
            before, self._holding.con = getattr(self._holding, "con", None), con
            try:
                yield
            finally:
                self._holding.con = before
        finally:
            with suppress(Exception):  # the server may be gone; its locks are gone with it
                con.close()

    @contextmanager
    def at_hand(self) -> Generator[None]:
        """Until the block ends, this thread asks over one connection: each of its own costs the server some milliseconds."""
        with explained("Reading the lake's catalog"):
            con = self.connect()
        before, self._holding.con = getattr(self._holding, "con", None), con
        try:
            yield
        finally:
            self._holding.con = before
            with suppress(Exception):  # the server may be gone
                con.close()

    @contextmanager
    def kept_open(self) -> Generator[None]:
        """Nothing to do: the server has it open."""
        yield

    @contextmanager
    def committing(self) -> Generator[None]:
        """Within `locked`, alone at committing: else commits would race for the next version and run out of retries."""
        con, key = self._holding.con, self._key("\0commit")
        con.execute(f"SELECT pg_advisory_lock({key})")
        try:
            yield
        finally:
            with suppress(Exception):  # the server may be gone; its locks are gone with it
                con.execute(f"SELECT pg_advisory_unlock({key})")

    def _key(self, name: str) -> int:
        return int.from_bytes(hashlib.sha256(f"mesh {self.schema} {name}".encode()).digest()[:8], signed=True)

    def forked(self, folder: Path) -> "PostgresCatalog":
        """Where `fork` puts a copy for this folder, made or not; the same for a fork of a fork."""
        stem = self.schema.partition("_fork_")[0][:30]
        new = PostgresCatalog(self._conninfo, f"{stem}_fork_{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}")
        new._password = self._password
        return new

    def fork(self, folder: Path, statements: Sequence[str]) -> "PostgresCatalog":
        """A copy in a schema of its own, changed by the statements before anybody can see it."""
        new = self.forked(folder)
        with explained("Forking the lake"), self.connect() as con, con.transaction():
            con.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            tables = con.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", [self.schema]
            ).fetchall()
            con.execute(f"CREATE SCHEMA {quoted(new.schema)}")  # ty: ignore
            for (table,) in tables:
                con.execute(
                    f"CREATE TABLE {new.prefix}{quoted(table)} (LIKE {self.prefix}{quoted(table)} INCLUDING ALL)"
                )  # ty: ignore
                con.execute(f"INSERT INTO {new.prefix}{quoted(table)} SELECT * FROM {self.prefix}{quoted(table)}")  # ty: ignore
            con.execute(f"SET LOCAL search_path = {quoted(new.schema)}")  # ty: ignore
            for statement in statements:
                con.execute(statement)  # ty: ignore
        return new

    def guard(self, data: str) -> tuple[str, ...]:
        """Statements after which a clean-up in a fork never deletes a file that it inherited."""
        return (
            "CREATE FUNCTION mesh_delete_guard() RETURNS trigger LANGUAGE plpgsql AS $guard$ BEGIN "
            "IF position('../' IN NEW.path) > 0 OR (NOT NEW.path_is_relative "
            f"AND NOT starts_with(NEW.path, {text(data)})) THEN RETURN NULL; END IF; RETURN NEW; END $guard$",
            "CREATE TRIGGER mesh_delete_guard BEFORE INSERT ON ducklake_files_scheduled_for_deletion "
            "FOR EACH ROW EXECUTE FUNCTION mesh_delete_guard()",
        )

    @property
    def user(self) -> str:
        """The role that it connects as; empty: the one that PostgreSQL takes by itself."""
        from psycopg.conninfo import conninfo_to_dict

        return str(conninfo_to_dict(self._conninfo).get("user") or "")

    def database(self) -> str:
        """Tells a database from every other: it has a number of its own on its server."""
        with explained("Reading the lake's catalog"), self.connect() as con:
            row = con.execute(
                "SELECT oid::text || ' ' || pg_postmaster_start_time()::text FROM pg_database "
                "WHERE datname = current_database()"
            ).fetchone()
        return str(row[0]) if row else ""

    def allow(self, role: str) -> None:
        """Let a role work in this catalog; it owns nothing there, so that it cannot take the guard away. For forks."""
        with explained("Forking the lake"), self.connect() as con:
            for statement in allowing(self.schema, role):
                con.execute(statement)  # ty: ignore

    def remove(self) -> None:
        """Delete the catalog; for forks."""
        with explained("Removing the fork"), self.connect() as con:
            con.execute(f"DROP SCHEMA IF EXISTS {quoted(self.schema)} CASCADE")  # ty: ignore


Catalog = SqliteCatalog | PostgresCatalog


def allowing(schema: str, role: str) -> tuple[str, ...]:
    """Statements after which a role can read and write what is in a schema, and add to it."""
    return (
        f"GRANT USAGE, CREATE ON SCHEMA {quoted(schema)} TO {quoted(role)}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {quoted(schema)} TO {quoted(role)}",
        f"GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA {quoted(schema)} TO {quoted(role)}",
    )


def no_lake() -> RunError:
    """The error for a place that holds nothing yet."""
    return RunError("There is no lake yet.\n    `mesh run` makes it.")


def foreign(where: str) -> RunError:
    """The error for a place that holds something else than a lake."""
    return RunError(f"{where} holds data that is not a lake.\n    Name an empty place in `lake.catalog` of mesh.yaml.")


def open_catalog(config: str, home: Path, schema: str) -> Catalog:
    """The catalog that `lake.catalog` names; empty: the one embedded in the mesh's home."""
    kind, _, rest = config.partition(":")
    if not config:
        return SqliteCatalog(home / "lake" / "catalog.sqlite")
    if kind == "sqlite" and rest:
        return SqliteCatalog((home / rest).resolve())
    if kind == "postgres" and rest:
        return PostgresCatalog(rest, schema)
    if kind == "postgresql" and rest.startswith("//"):
        return PostgresCatalog(config, schema)
    message = (
        "`lake.catalog` names no kind of catalog that we know.\n"
        "    Write `sqlite:PATH` or `postgres:CONNECTION STRING`."
    )
    raise UsageError(message)
