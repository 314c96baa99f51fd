"""Ending runs before they have come to anything, by what Dagster has for that: its run coordinator and launcher."""

import os
import signal
import socket
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import dagster as dg

from mesh_assets import step
from mesh_assets.environment import Environment
from mesh_assets.orchestration import instance, progress

PATIENCE = 30.0
"""Seconds for a run to end: a program has ten of them for what it must put away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run that was told to end.

    Attributes:
        tables: Those of it that somebody cancelled, and that had not come to anything.
        over: Whether it has ended by now.
    """

    run: str
    tables: tuple[str, ...]
    over: bool = field(compare=False)


def at_work(env: Environment) -> Mapping[str, str]:
    """Tables that a run has taken on and that have not come to anything yet: table -> run."""
    with instance.open_instance(env.home) as storage:
        return _at_work(env, storage)


def end(env: Environment, tables: Collection[str], by: str, *, patience: float = PATIENCE) -> tuple[Ended, ...]:
    """End the runs that have taken on these tables, and wait until they have ended.

    What they have published stays. Of the others of these tables it is kept that they were cancelled, so that nobody
    builds them again at once; what the runs have taken along beside them is due as before.

    Args:
        env: The environment.
        tables: Names.
        by: Who asks for it.
        patience: Seconds to wait at most.
    """
    with instance.open_instance(env.home) as storage:
        runs: dict[str, list[str]] = {}
        for name, run in _at_work(env, storage).items():
            if name in tables:
                runs.setdefault(run, []).append(name)
        found = {run: storage.get_run_by_id(run) for run in runs}
        done = {}
        for run, record in found.items():
            # First on record, then ended: while the run goes on its tables are `running`, whatever was tried before.
            done[run] = [name for name in runs[run] if record is not None and _note(env, record, name, by)]
            if record is not None:
                _terminate(storage, record)
        left = {run for run, record in found.items() if record is not None}
        deadline = time.monotonic() + patience
        while left and time.monotonic() < deadline:
            left = {run for run in left if not _is_over(storage, run)}
            if left:
                time.sleep(0.1)
    return tuple(
        Ended(run=run, tables=tuple(done[run]), over=run not in left)
        for run, record in found.items()
        if record is not None
    )


def note_interrupted(env: Environment, run: str, tables: Collection[str], by: str) -> None:
    """Keep that somebody ended a run of this process, of which it came to nothing with these tables."""
    with instance.open_instance(env.home) as storage:
        record = storage.get_run_by_id(run)
    for name in tables:
        if record is not None:
            _note(env, record, name, by)


def _at_work(env: Environment, storage: dg.DagsterInstance) -> Mapping[str, str]:
    taken = {**progress.running(storage, env.mesh), **env.ledger.building()}
    tried = {(run, attempt.table) for run in set(taken.values()) for attempt in env.ledger.of_run(run)}
    return {name: run for name, run in taken.items() if (run, name) not in tried}


def _note(env: Environment, run: dg.DagsterRun, name: str, by: str) -> bool:
    """Keep that a table was cancelled, where nothing is kept of it in this run."""
    if any(attempt.table == name for attempt in env.ledger.of_run(run.run_id)):
        return False
    some_days = "dagster/asset_partition_range_start" in run.tags or "dagster/partition" in run.tags
    if some_days and name in env.ledger.versions():
        return True  # a few days are not the table: it stands where it stood
    step.failed(env, env.mesh.tables[name], run=run.run_id, message=f"cancelled by {by}", status="cancelled")
    return True


def _terminate(storage: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    if run.is_finished:
        return
    tag = run.tags.get(progress.PROCESS)
    if tag is None:
        storage.run_coordinator.cancel_run(run.run_id)
        return
    # A run that a command executes itself has no launcher that could end it: it is interrupted as by Ctrl-C.
    host, pid, _ = tag.split("|")
    if host == socket.gethostname() and not progress.is_dead(storage, run) and int(pid) != os.getpid():
        storage.report_run_canceling(run)
        os.kill(int(pid), signal.SIGINT)


def _is_over(storage: dg.DagsterInstance, run: str) -> bool:
    record = storage.get_run_by_id(run)
    return record is None or record.is_finished
