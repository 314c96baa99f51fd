"""Tables of databases that the mesh does not run: when they change, and a copy of what is in them."""

import hashlib
import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mesh_assets.domain import Database
from mesh_assets.errors import RunError
from mesh_assets.lake import databases
from mesh_assets.lake.sqltext import quoted, text
from mesh_assets.lake.trouble import without_passwords
from mesh_assets.raw import Hashes
from mesh_assets.settings import variable

if TYPE_CHECKING:
    import duckdb

ALIAS = "elsewhere"
EXTENSIONS = {"duckdb": (), "postgres": ("postgres_scanner",)}


def version(table: str, database: Database, known: Mapping[str, tuple[str, str]]) -> tuple[str, Hashes]:
    """What tells the state of the table from every other, and what is to be remembered of the look at it.

    A DuckDB file is told by its size and time; a table of a server by its rows, and that no more often than it says.

    Returns:
        An empty version when it cannot be looked at now: `trouble` says why.
    """
    try:
        if database.kind == "duckdb":
            return _stamp(database), {}
        key, now = f"external:{table}", time.time()
        if key in known and 0 <= now - float(known[key][0]) < database.every:
            return known[key][1], {}
        with connected(table, database) as con:
            found = _by_rows(con, database)
    except RunError:
        return "", {}
    return found, {key: (repr(now), found)}


def trouble(table: str, database: Database) -> str:
    """Why it cannot be looked at; empty when it can."""
    try:
        with connected(table, database) as con:
            con.execute(f"DESCRIBE {_relation(database)}")
    except RunError as error:
        return str(error)
    return ""


def copy(table: str, database: Database, to: Path) -> None:
    """Write the table to a Parquet file, as one transaction sees it.

    Raises:
        RunError: It cannot be read.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    with connected(table, database) as con:
        con.execute(f"COPY ({_relation(database)}) TO {text(str(to))} (FORMAT parquet)")


def described(table: str, database: Database) -> tuple[tuple[tuple[str, str], ...], int]:
    """Names and types of its columns, and how many rows it has now.

    Raises:
        RunError: It cannot be read.
    """
    with connected(table, database) as con:
        columns = con.execute(f"DESCRIBE {_relation(database)}").fetchall()
        ((rows,),) = con.execute(f"SELECT count(*) FROM ({_relation(database)})").fetchall()
    return tuple((str(row[0]), str(row[1])) for row in columns), int(rows)


@contextmanager
def connected(table: str, database: Database) -> Generator["duckdb.DuckDBPyConnection"]:
    """A connection of its own, with the database attached for reading.

    Raises:
        RunError: It cannot be reached, or what is asked cannot be answered.
    """
    import duckdb

    where = address(table, database)
    kind = f", TYPE postgres, SECRET {ALIAS}" if database.kind == "postgres" else ""
    con = databases.fresh(EXTENSIONS[database.kind])
    try:
        if database.kind == "postgres":  # an empty one: else it looks for those of the home folder
            con.execute(f"CREATE TEMPORARY SECRET {ALIAS} (TYPE postgres)")
        con.execute(f"ATTACH {text(where)} AS {ALIAS} (READ_ONLY{kind})")
        yield con
    except duckdb.Error as error:
        told = without_passwords(" ".join(str(error).replace(where, database.kind).split()))[:300]
        mend = "Is it up, does the user see the table, and does no other program hold the file open for writing?"
        raise RunError(f"{table} cannot be read where it is kept: {told}\n    {mend}") from None
    finally:
        con.close()


def address(table: str, database: Database) -> str:
    """The path or connection string; of a variable, what it holds.

    Raises:
        RunError: The variable is not set.
    """
    if not database.address.startswith("$"):
        return database.address
    name = database.address[1:]
    value = variable(name)
    if not value:
        mend = "Set it where the mesh runs. In a kitchen, `kitchen.secrets` of mesh.yaml says what takes its place."
        raise RunError(f"{table} needs the environment variable {name}, which is not set\n    {mend}")
    return value


def modified(database: Database) -> float:
    """When a DuckDB file was last written; 0 where there is none."""
    return max((told.st_mtime for told in _files(database)), default=0.0)


def _stamp(database: Database) -> str:
    """Of a file and its log."""
    parts = [f"{told.st_size}:{told.st_mtime_ns}:{told.st_ino}" for told in _files(database)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32] if parts else ""


def _files(database: Database) -> list[os.stat_result]:
    path = address("the table", database)
    found = []
    for name in (path, f"{path}.wal"):
        with suppress(OSError):
            found.append(Path(name).stat())
    return found


def _by_rows(con: "duckdb.DuckDBPyConnection", database: Database) -> str:
    relation = f"({_relation(database)}) AS r"
    names = [str(row[0]) for row in con.execute(f"DESCRIBE {_relation(database)}").fetchall()]
    if database.changed_by:
        query = f"SELECT count(*), max({quoted(database.changed_by)})::VARCHAR FROM {relation}"
    else:
        query = f"SELECT count(*), coalesce(sum(hash({', '.join(f'r.{quoted(name)}' for name in names)})::HUGEINT), 0) FROM {relation}"
    ((rows, mark),) = con.execute(query).fetchall()
    return hashlib.sha256(f"{names} {rows} {mark}".encode()).hexdigest()[:32]


def _relation(database: Database) -> str:
    return f"FROM {ALIAS}.{'.'.join(quoted(part) for part in database.relation.split('.'))}"
