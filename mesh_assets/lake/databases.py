"""This process's DuckDB databases, in memory: one per lake, its extensions loaded once.

Loading them takes some 30 ms, attaching a lake 10 ms. So a database that is not needed any more is kept for the next lake,
such as a fork.

DuckDB would check 70 MB of extensions against their signatures in every database, half a second of work. They come from
wheels that pip has checked against the lock's hashes, beside Python code that nobody signs, so that is not done; and from
then on the database loads nothing unsigned.
"""

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mesh_assets.lake.extensions import extension_file
from mesh_assets.lake.sqltext import text
from mesh_assets.lake.trouble import explained

if TYPE_CHECKING:
    import duckdb

#: By process (a forked child must not touch its parent's) and catalog.
_attached: dict[tuple[object, ...], "duckdb.DuckDBPyConnection"] = {}
#: Without a lake, by process and extensions.
_idle: dict[tuple[object, ...], list["duckdb.DuckDBPyConnection"]] = {}
FETCHES_NOTHING = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
_lock = threading.RLock()


def fresh(extensions: tuple[str, ...]) -> "duckdb.DuckDBPyConnection":
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
def loaded(extensions: tuple[str, ...]) -> Generator["duckdb.DuckDBPyConnection"]:
    """A database without a lake, for a moment; it must be left without one."""
    con = _take(extensions)
    yield con
    _keep(extensions, con)


def shared(
    identity: tuple[object, ...], extensions: tuple[str, ...], attach: Callable[["duckdb.DuckDBPyConnection"], None]
) -> "duckdb.DuckDBPyConnection":
    """The one database with a lake attached. Use cursors of it."""
    key = (os.getpid(), *identity)
    with _lock:
        if key not in _attached:
            con = _take(extensions)
            attach(con)
            _attached[key] = con
        return _attached[key]


def release(identity: tuple[object, ...], extensions: tuple[str, ...]) -> None:
    """Detach a lake; its next use attaches it again."""
    with _lock:
        con = _attached.pop((os.getpid(), *identity), None)
    if con:
        with suppress(Exception):  # somebody is still reading: then it goes with its last cursor
            con.execute("DETACH mesh")
            _keep(extensions, con)


def _take(extensions: tuple[str, ...]) -> "duckdb.DuckDBPyConnection":
    with _lock:
        idle = _idle.get((os.getpid(), *extensions))
        if idle:
            return idle.pop()
    return fresh(extensions)


def _keep(extensions: tuple[str, ...], con: "duckdb.DuckDBPyConnection") -> None:
    with _lock:
        _idle.setdefault((os.getpid(), *extensions), []).append(con)
