"""A table built by a program in any language: it finds its inputs as files, and writes the table to a file.

Nothing here knows Dagster: who runs a step adds the variables of Dagster Pipes, and hears what the program says.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mesh_assets.domain import Table, Toolchain
from mesh_assets.errors import RunError
from mesh_assets.handover import Handover
from mesh_assets.settings import given

if TYPE_CHECKING:
    import duckdb

COMMON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TMP", "TEMP", "TERM")
"""What every program is given of the environment; the rest may hold secrets, and is given by name (`env:`) only."""
GRACE = 10.0
"""Seconds that a program which must end has for it."""
LAST = 20
"""Lines of a program's output that an error quotes."""
MOST = 1_000_000
"""Characters of a program's output that are told."""
SECRET = 4
"""Values of `env:` that are shorter are no secrets: they would be blotted out everywhere."""
Tell = Callable[[str], None]
"""Hears what the program writes to its standard output and error, a few lines at a time."""


def build(
    con: "duckdb.DuckDBPyConnection",
    handover: Handover,
    domain: Path,
    *,
    tell: Tell = lambda _text: None,
    variables: Mapping[str, str] | None = None,
    partition: tuple[str, str] | None = None,
) -> str:
    """Run a table's program on its inputs.

    Args:
        con: The step's connection: its declared inputs are views in it.
        handover: Where the files are.
        domain: The domain's folder, in which it runs.
        tell: Hears its output, without the values of its `env:`.
        variables: More for its environment: those of Dagster Pipes.
        partition: The half-open range that is asked for, as ISO dates.

    Returns:
        SQL that reads the table.

    Raises:
        RunError: It cannot be started, has failed, ran out of time, or wrote no table.
    """
    table, program = handover.table, handover.table.program
    if program is None:
        raise RunError(f"{table.name} has no program")
    handover.give(con)
    secrets = asked_for(table)
    environment = {**given(COMMON), **secrets, **mesh_variables(handover, partition), **(variables or {})}
    execute(
        words(handover, partition),
        domain,
        environment,
        timeout=program.timeout,
        tell=tell,
        secrets=secrets.values(),
        who=named(table),
    )
    return handover.take(con, named(table))


def asked_for(table: Table) -> dict[str, str]:
    """The environment variables that a table's program is given by name.

    Raises:
        RunError: One of them is not set.
    """
    wanted = table.program.env if table.program else ()
    found = given(wanted)
    if missing := [name for name in wanted if name not in found]:
        mend = "Set it where the mesh runs. In a kitchen, `kitchen.secrets` of mesh.yaml says what takes its place."
        raise RunError(f"{table.name} needs the environment variable {missing[0]}, which is not set\n    {mend}")
    return found


def words(handover: Handover, partition: tuple[str, str] | None) -> tuple[str, ...]:
    """The command that is started.

    Raises:
        RunError: What executes notebooks is not installed.
    """
    program = handover.table.program
    if program is None or not program.notebook:
        return program.command if program else ()
    if not all(find_spec(package) for package in ("papermill", "ipykernel")):
        raise RunError(
            "notebooks are executed by papermill, which is not installed\n    pip install 'mesh-assets[notebook]'"
        )
    told = mesh_variables(handover, partition).items()
    parameters = [word for name, value in told for word in ("-r", name, value)]
    start = [sys.executable, "-m", "papermill", program.notebook, str(executed(handover))]
    return (*start, "--cwd", ".", "--kernel", "python3", "--no-progress-bar", "--log-output", *parameters)


def executed(handover: Handover) -> Path:
    """The notebook as it was executed, with its results; also one that failed."""
    return handover.folder / "executed.ipynb"


def named(table: Table) -> str:
    """A table's program, for a sentence."""
    program = table.program
    if program is None or table.toolchain is Toolchain.DATABRICKS:
        return f"the program of {table.name}"
    if program.image:
        return f"`{program.image}`"
    return f"`{program.notebook}`" if program.notebook else spelt(program.command)


def mesh_variables(handover: Handover, partition: tuple[str, str] | None) -> dict[str, str]:
    """What tells a program what to do, where it does not ask Dagster Pipes."""
    told = {
        "MESH_TABLE": handover.table.name,
        "MESH_INPUTS": handover.told(handover.folder / "inputs"),
        "MESH_OUTPUT": handover.told(handover.output),
    }
    if partition:
        told |= {"MESH_PARTITION_START": partition[0], "MESH_PARTITION_END": partition[1]}
    return told


def execute(
    command: tuple[str, ...],
    folder: Path,
    environment: Mapping[str, str],
    *,
    timeout: float = 0.0,
    tell: Tell = lambda _text: None,
    secrets: Iterable[str] = (),
    who: str = "",
) -> None:
    """Run a command to its end. Whatever interrupts this call ends the program and all that it has started.

    Raises:
        RunError: It cannot be started, ended with another code than 0, or ran out of time.
    """
    who = who or spelt(command)
    process = _start(command, folder, environment, who)
    listener = _Listener(process.stdout, tell, [value for value in secrets if len(value) >= SECRET])
    with _ended(process), listener:
        code = _wait(process, timeout)
        if code is None:
            mend = "Raise `timeout:` of its table, or make it quicker."
            raise RunError(f"{who} was ended after {timeout:.0f} s\n    {mend}")
    if code:
        raise RunError(_failure(who, code, listener.last()))


def spelt(command: Iterable[str]) -> str:
    """A command as a person writes it."""
    return f"`{shlex.join(command)}`"


def _start(command: tuple[str, ...], folder: Path, environment: Mapping[str, str], who: str) -> subprocess.Popen[bytes]:
    program = command[0]
    found = str(folder / program) if "/" in program else shutil.which(program, path=environment.get("PATH"))
    if found is None:
        mend = "Install it there, or correct `command:` of its table."
        raise RunError(f"there is no program `{program}` where the mesh runs\n    {mend}")
    try:
        return subprocess.Popen(  # noqa: S603 - the domain's own command; no shell
            [found, *command[1:]],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        mend = "Is it executable, and is its first line `#!` and a program that is there?"
        raise RunError(f"{who} cannot be started: {error.strerror}\n    {mend}") from None


def _wait(process: subprocess.Popen[bytes], timeout: float) -> int | None:
    """Its exit code; None when its time is over. Wakes up every moment, for a signal may reach another thread first."""
    deadline = time.monotonic() + timeout if timeout else float("inf")
    while time.monotonic() < deadline:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(min(1.0, deadline - time.monotonic()))
    return process.poll()


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Generator[None]:
    """Leave nothing running: neither the program, nor what it has started."""
    try:
        yield
    except BaseException:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        raise
    finally:
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _failure(who: str, code: int, last: str) -> str:
    ended = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    # A list of tables has room for a few lines: what it wrote last comes first.
    said = next((line for line in reversed(last.splitlines()) if line.strip()), "it wrote nothing")
    return f"{who} {ended}; nothing is published: {said}\n{last}".rstrip()


class _Listener:
    """Reads what a program writes, tells it once a second, and keeps the last lines."""

    def __init__(self, stream: IO[bytes] | None, tell: Tell, secrets: list[str]) -> None:
        self._stream, self._tell, self._secrets = stream, tell, sorted(secrets, key=len, reverse=True)
        self._last: deque[str] = deque(maxlen=LAST)
        self._waiting: list[str] = []
        self._told = 0
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        """What it has started itself may hold the pipe open: that is ended with it, and not waited for."""
        self._thread.join(1.0)

    def last(self) -> str:
        """The end of what it has written."""
        return "\n".join(self._last)

    def _listen(self) -> None:
        stream, since = self._stream, time.monotonic()
        if stream is None:
            return
        with stream:
            for line in iter(lambda: stream.readline(65_536), b""):
                shown = self._without_secrets(line.decode("utf-8", "replace").rstrip("\r\n"))
                self._last.append(shown[:500])
                self._waiting.append(shown)
                if time.monotonic() - since > 1:
                    self._flush()
                    since = time.monotonic()
        self._flush()

    def _flush(self) -> None:
        text, self._waiting = "\n".join(self._waiting), []
        room = MOST - self._told
        if not text or room <= 0:
            return
        self._told += len(text)
        try:
            self._tell(text if len(text) <= room else f"{text[:room]}\n… what it writes from here on is not kept")
        except Exception as error:  # noqa: BLE001 - whoever listens must not stop the program
            sys.stderr.write(f"what a program wrote could not be logged: {error}\n")

    def _without_secrets(self, line: str) -> str:
        for value in self._secrets:
            line = line.replace(value, "•••")
        return line
