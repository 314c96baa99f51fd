"""This process's DuckDB databases, in memory: one per lake, its extensions loaded once.

Loading them takes some 30 ms, attaching a lake 10 ms. So a database that is not needed any more is kept for the next lake,
such as a fork.

DuckDB would check 70 MB of extensions against their signatures in every database, half a second of work. They come from
wheels that pip has checked against the lock's hashes, beside Python code that nobody signs, so that is not done; and from
then on the database loads nothing unsigned.

A database remembers how the columns of the files that it has met are named. DuckLake 1.5.5 frees what it uses when it learns
the same names twice (ducklake#1431: sometimes a crash), which happens after it has learned names on SQLite while another
process published new ones. So a session never begins in a database that may have learned names at such a moment.
"""

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mesh_assets.lake.extensions import extension_file
from mesh_assets.lake.sqltext import text
from mesh_assets.lake.trouble import explained

if TYPE_CHECKING:
    import duckdb

    Connection = duckdb.DuckDBPyConnection


@dataclass(frozen=True)
class Names:
    """The newest names of files' columns in a lake's catalog."""

    newest: object
    #: What the catalog's files looked like, where no change of them can go unseen since.
    files: object = field(default=None, compare=False)


@dataclass
class _Attached:
    """A database with a lake."""

    con: "Connection"
    #: Whatever names of columns were learned here were learned while these were the newest.
    names: Names | None
    sessions: int = 0
    #: With those that only look at the catalog.
    users: int = 0
    doubtful: bool = False


@dataclass(frozen=True)
class Source:
    """A lake, as far as databases need to know it."""

    identity: tuple[object, ...]
    extensions: tuple[str, ...]
    attach: Callable[["Connection"], None]
    #: The newest names of columns, given those of the last time; None where they are safe to learn at any moment.
    names: Callable[["Connection", Names | None], Names | None]

    @property
    def key(self) -> tuple[object, ...]:
        """By process: a forked child must not touch its parent's databases."""
        return (os.getpid(), *self.identity)


_attached: dict[tuple[object, ...], _Attached] = {}
#: By the `id` of the connection that the session has.
_sessions: dict[int, _Attached] = {}
#: Without a lake, by process and extensions.
_idle: dict[tuple[object, ...], list["Connection"]] = {}
FETCHES_NOTHING = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
_lock = threading.RLock()


def fresh(extensions: tuple[str, ...]) -> "Connection":
    """A database of its own. It fetches nothing, writes nothing to the home folder, and knows no Python variable."""
    import duckdb

    with explained("Opening DuckDB"):
        con = duckdb.connect(config=FETCHES_NOTHING | {"allow_unsigned_extensions": "true"})
        for name in extensions:
            con.execute(f"LOAD {text(str(extension_file(name)))}")
        con.execute("SET GLOBAL allow_unsigned_extensions = false")  # there is no way back while it is open
        con.execute("SET GLOBAL TimeZone = 'UTC'")  # a query must mean the same wherever it runs
        con.execute("SET GLOBAL python_enable_replacements = false")
        con.execute("SET GLOBAL allow_persistent_secrets = false")
    return con


@contextmanager
def loaded(extensions: tuple[str, ...]) -> Generator["Connection"]:
    """A database without a lake, for a moment; it must be left without one."""
    con = _take(extensions)
    yield con
    _keep(extensions, con)


@contextmanager
def catalog(lake: Source) -> Generator["Connection"]:
    """A connection to a database with this lake attached, for its catalog's tables alone: no file is read."""
    with _lock:
        attached = _current(lake)
        attached.users += 1
        con = attached.con.cursor()
    try:
        yield con
    finally:
        with _lock:
            con.close()
            _left(lake, attached)


@contextmanager
def session(lake: Source) -> Generator["Connection"]:
    """A connection to a database with this lake attached, for reading what is published now and for publishing."""
    with _lock:
        attached = _current(lake)
        names = lake.names(attached.con, attached.names)
        if names != attached.names and attached.sessions:  # these may be learning names at this very moment
            _retire(lake, attached)
            attached = _current(lake)
        else:
            attached.names = names
        attached.sessions += 1
        attached.users += 1
        con = attached.con.cursor()
        _sessions[id(con)] = attached
    try:
        yield con
    finally:
        with _lock:
            del _sessions[id(con)]
            con.close()
            attached.sessions -= 1
            if not attached.doubtful and _moved(lake, attached):
                _retire(lake, attached)
            _left(lake, attached)


@contextmanager
def publisher(lake: Source, con: "Connection") -> Generator["Connection"]:
    """A connection that can publish what this one has: itself, or one to another database where that is safer.

    Use it while nobody else can publish.
    """
    with _lock:
        attached = _sessions.get(id(con))
        safe = attached and not attached.doubtful and attached.sessions == 1 and not _moved(lake, attached)
        if attached and not safe and not attached.doubtful:
            _retire(lake, attached)
    if attached and safe:
        yield con
        attached.names = lake.names(attached.con, None)
    else:
        with session(lake) as other, publisher(lake, other) as safer:
            yield safer


def release(lake: Source) -> None:
    """Detach a lake; its next use attaches it again."""
    with _lock:
        if attached := _attached.get(lake.key):
            _retire(lake, attached)


def _current(lake: Source) -> _Attached:
    if lake.key not in _attached:
        con = _take(lake.extensions)
        lake.attach(con)
        _attached[lake.key] = _Attached(con, lake.names(con, None))
    return _attached[lake.key]


def _moved(lake: Source, attached: _Attached) -> bool:
    try:
        names = lake.names(attached.con, attached.names)
    except Exception:  # noqa: BLE001 (its catalog is gone, or cannot be read: nobody knows)
        return True
    moved, attached.names = names != attached.names, names
    return moved


def _retire(lake: Source, attached: _Attached) -> None:
    """No session begins here any more; those that read go on."""
    attached.doubtful = True
    if _attached.get(lake.key) is attached:
        del _attached[lake.key]
    if not attached.users:
        _detach(lake, attached)


def _left(lake: Source, attached: _Attached) -> None:
    attached.users -= 1
    if attached.doubtful and not attached.users:
        _detach(lake, attached)


def _detach(lake: Source, attached: _Attached) -> None:
    with suppress(Exception):  # somebody is still reading: then it goes with its last cursor
        attached.con.execute("DETACH mesh")
        _keep(lake.extensions, attached.con)


def _take(extensions: tuple[str, ...]) -> "Connection":
    with _lock:
        idle = _idle.get((os.getpid(), *extensions))
        if idle:
            return idle.pop()
    return fresh(extensions)


def _keep(extensions: tuple[str, ...], con: "Connection") -> None:
    with _lock:
        _idle.setdefault((os.getpid(), *extensions), []).append(con)
