"""Connections to a database in SQLite that stay open: for a short transaction, opening and closing one is most of the work.

Closing the last connection also copies the database's log into it, and waits for the disk. A connection that is kept is not
carried over a fork, and not used when its file was deleted or replaced meanwhile. A commit does not wait for the disk: after a
power cut the last transactions may be missing, and none is half there.
"""

import atexit
import os
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy import event, exc

if TYPE_CHECKING:
    import sqlite3

TIMEOUT = 30.0
"""Seconds that a writer waits for another."""
PAGES = 250
"""Of 4 KB, to which a database's log grows before it is copied into it: it is on the disk beside it, and disks are small."""
_engines: WeakSet[sa.Engine] = WeakSet()
_left: list[sa.Pool] = []


def engine(url: str) -> sa.Engine:
    """An engine for a file, named as `sqlite:///` and the path; for many threads."""
    made = sa.create_engine(url, connect_args={"timeout": TIMEOUT})
    event.listen(made, "connect", _opened)
    event.listen(made, "checkout", _still_there)
    _engines.add(made)
    return made


def _opened(connection: "sqlite3.Connection", record: sa.pool.ConnectionPoolEntry) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {PAGES}")
    path = connection.execute("PRAGMA database_list").fetchall()[0][2]
    record.info["file"] = path, _identity(path)


def _still_there(_: "sqlite3.Connection", record: sa.pool.ConnectionPoolEntry, __: object) -> None:
    path, was = record.info["file"]
    if was != _identity(path):
        raise exc.DisconnectionError(f"{path} is another file by now")


def _identity(path: str) -> tuple[int, int] | None:
    with suppress(OSError):
        found = os.stat(path)  # noqa: PTH116 - asked for every transaction: a Path is ten times as dear
        return found.st_dev, found.st_ino
    return None


def _begin_anew() -> None:
    """A forked child opens connections of its own; those of its parent stay as they are, unused and unclosed."""
    for made in list(_engines):
        _left.append(made.pool)
        sa.Engine.dispose(made, close=False)


def _close() -> None:
    """Whoever closes a database last tidies it up: its log is copied into it, and is no file of its own any more."""
    for made in list(_engines):
        sa.Engine.dispose(made)


os.register_at_fork(after_in_child=_begin_anew)
atexit.register(_close)
