"""What a step prints is kept in Dagster's log of it, and shown where it was going."""

import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from dagster._core.execution import compute_logs

INTERVAL = 0.1
"""Seconds between two looks at what was printed."""
PATIENCE = 5.0
"""Seconds that the end of a step waits for a terminal or pipe that takes no more."""
CHUNK = 1 << 16


def show_without_processes() -> None:
    """Let a thread show what is printed, where Dagster starts two processes for each stream of each step.

    A step with a process of its own waited for their end: half of the time between it and the next.
    """
    compute_logs.tail_to_stream = shown


@contextmanager
def shown(path: str, stream: IO[str]) -> Generator[None]:
    """Copy what is appended to a file to where `stream` goes now; at the end of the block, the rest of it.

    The stream writes to the file itself, so that the file has everything even when this process is killed. What cannot be shown,
    because nobody reads the pipe any more, is in the file only.
    """
    number = compute_logs._fileno(stream)  # noqa: SLF001 - as Dagster asks just after, for the stream's own way to the file
    if number is None:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_show, args=(Path(path), os.dup(number), ended), name="shown", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(PATIENCE)


def _show(path: Path, to: int, ended: threading.Event) -> None:
    with suppress(OSError), os.fdopen(to, "wb", buffering=0), path.open("rb") as file:
        last = False
        while not last:
            last = ended.is_set()  # asked before reading: what was printed until then is in the file
            while some := file.read(CHUNK):
                _write(to, some)
            ended.wait(INTERVAL)


def _write(to: int, some: bytes) -> None:
    while some:
        try:
            some = some[os.write(to, some) :]
        except BlockingIOError:  # a terminal that another program has told not to wait
            time.sleep(INTERVAL)
