"""What a query may take: time, and memory."""

import threading
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress

import duckdb

_limits = threading.RLock()


@contextmanager
def time_limit(con: duckdb.DuckDBPyConnection, seconds: float) -> Generator[None]:
    """Interrupts what the connection executes, after so many seconds."""
    over, lock = threading.Event(), threading.Lock()

    def stop() -> None:
        with lock:  # an interrupt after the query is done would hit the next one
            if not over.is_set():
                con.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            over.set()
        timer.cancel()


@contextmanager
def memory_limit(con: duckdb.DuckDBPyConnection, size: int) -> Generator[None]:
    """So many bytes for the whole database, for a moment; where more is in use already, its limit stays as it is."""
    with _limits:  # it is the process's
        before = _memory(con)
        with suppress(duckdb.Error):  # more than that is in use
            con.execute(f"SET memory_limit = '{size}B'")
        try:
            yield
        finally:
            con.execute(f"SET memory_limit = '{before}B'")


@contextmanager
def memory_more(con: duckdb.DuckDBPyConnection, size: int) -> Generator[int]:
    """So many bytes beside those that the database has in use; never more than it may take anyway. Yields what that comes to."""
    with _limits:
        row = con.execute("SELECT sum(memory_usage_bytes)::BIGINT FROM duckdb_memory()").fetchone()
        most = (row[0] if row and row[0] else 0) + size
        limit = _memory(con)
        with memory_limit(con, most) if most < limit else nullcontext():
            yield min(size, limit)


def _memory(con: duckdb.DuckDBPyConnection) -> int:
    """What the database may take, in bytes; half a digit more than it tells.

    It cuts the size to one digit, such as `1.8 GiB`: taken at its word, it would be given less each time.
    """
    ((told,),) = con.execute("SELECT current_setting('memory_limit')").fetchall()
    number, unit = told.split()
    return int((float(number) + 0.05) * 1024 ** ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB").index(unit))
