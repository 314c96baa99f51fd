"""A storage library's complaint, as one that a person can mend; passwords stay out of it."""

import re
import sys
from collections.abc import Generator
from contextlib import contextmanager

from mesh_assets.errors import RunError

_MENDS = (
    ("no space left|disk full|disk is full|disk quota", "The disk is full: make room, then run again."),
    ("disk i/o error", "The disk is full or failing: make room, or look at it."),
    (
        "file too large|file size limit",
        "The file system or a limit of this process (ulimit -f) allows no file of that size.",
    ),
    (
        "permission denied|read-only file system|readonly database|not permitted",
        "Give this user the right to write there.",
    ),
    ("read-only mode|read-only transaction", "The lake was opened for reading: open it for writing."),
    ("database is locked", "Another program holds the catalog open for writing: close it, then run again."),
    (
        "connect|server closed|terminat|no route to host|could not translate host|password authentication|timed? ?out",
        "Is the PostgreSQL server of the catalog up, and are its address, user and password right (`lake.catalog`)?",
    ),
    (
        "lock timeout|canceling statement due to lock",
        "Another publish of the same table is taking long: run again when it is done.",
    ),
    ("malformed|not a database|disk image|corrupt", "The catalog is damaged: put back a copy of it."),
    (
        "no such file|cannot open file|no files found",
        "A file of the lake was removed by somebody: put it back, or build its table again: mesh run TABLE --force",
    ),
)
_PASSWORD = re.compile(r"""(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)|(://[^:/@\s]*:)[^@\s]*(@)""", re.IGNORECASE)


def without_passwords(message: str) -> str:
    """The message with every password of a connection string replaced."""
    return _PASSWORD.sub(lambda found: f"{found[1]}***" if found[1] else f"{found[3]}***{found[4]}", message)


def mend_of(message: str) -> str:
    """What to do about a storage error, or the empty text when it is not one that we know."""
    return next((mend for pattern, mend in _MENDS if re.search(pattern, message, re.IGNORECASE)), "")


def trouble(doing: str, error: BaseException) -> RunError:
    """A `RunError` that says what failed, in one line, and what to do."""
    message = without_passwords(" ".join(str(error).split()))[:400]
    return RunError(f"{doing}: {message}\n    {mend_of(str(error)) or 'Nothing was changed; run again.'}")


@contextmanager
def explained(doing: str, *, only_known: bool = False) -> Generator[None]:
    """Storage errors inside come out as `RunError`.

    Args:
        doing: What fails, as in `Publishing sales.orders`.
        only_known: Let through what is not plainly the storage's fault: a mistake in somebody's query, for one.
    """
    import duckdb

    psycopg = sys.modules.get("psycopg")  # slow to import, and where it was not, it cannot have raised
    others = (OSError, psycopg.Error) if psycopg else (OSError,)
    try:
        yield
    except (duckdb.Error, *others) as error:
        storage = isinstance(error, (duckdb.IOException, duckdb.HTTPException, *others))
        if only_known and not (storage and mend_of(str(error))):
            raise
        # The cause is dropped: its text may hold the connection string.
        raise trouble(doing, error) from None
