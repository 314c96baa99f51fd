"""`mesh run`: what is due, built in order by Dagster, in this process."""

import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import dagster as dg
from sqlalchemy.exc import DBAPIError

from mesh_assets import order
from mesh_assets.account import loading
from mesh_assets.environment import Environment
from mesh_assets.errors import RunError
from mesh_assets.orchestration import account, instance, keys, progress, sensors, watching
from mesh_assets.orchestration.load import load
from mesh_assets.orchestration.tables import CLOSURE, FORCE
from mesh_assets.settings import Settings
from mesh_assets.step import first_lines

Started = Callable[[str, Sequence[str]], None]
"""Told of every run before it starts: its id, and the tables it will build."""


@dataclass(frozen=True, slots=True)
class Done:
    """Ids of the runs, in order (none when nothing was due).

    Attributes:
        broken: Domains that could not be loaded, with why.
        failed: Tables whose step ended before anything could be recorded of them, with why: a full disk, a lake that is away.
        running: Tables that another run has taken on and not ended, to its id.
    """

    runs: tuple[str, ...]
    broken: Mapping[str, str]
    failed: Mapping[str, str]
    running: Mapping[str, str]


def run(
    env: Environment,
    scope: frozenset[str],
    *,
    asked: frozenset[str] = frozenset(),
    force: frozenset[str] = frozenset(),
    settings: Settings | None = None,
    started: Started = lambda _run, _tables: None,
) -> Done:
    """Build what is due within `scope`, each table at most once on the same inputs, until nothing more is due.

    Args:
        env: The environment.
        scope: Tables that may be built.
        asked: Tables that a person named: due also when their schedule has not come, or when they are built by hand.
        force: Tables that are built although nothing has changed.
        settings: Default: from the environment variables.
        started: Told of every run before it starts.

    Raises:
        RunError: Dagster's own storage cannot be used: its disk is full, or another user's.
    """
    runs: list[str] = []
    failed: dict[str, str] = {}
    loaded = load(env.mesh.root, settings=settings)
    working = frozenset(name for name in scope if name.partition(".")[0] not in loaded.broken)
    with _dagsters_own_trouble(), instance.open_instance(env.home) as storage:
        loading.keep(env, loaded.broken, env.mesh.domains)
        sensors.end_dead_runs(storage, env)
        for group in _groups(env, storage, working, asked & working, force & working):
            run_id = str(uuid.uuid4())
            started(run_id, group)
            failed |= _execute(loaded.definitions, storage, env, group, run_id, force=force)
            runs.append(run_id)
        sensors.reconcile(storage, env, env.mesh, env.mesh.domains)
        for event in watching.look(env, watching.external_tables(env.mesh, tuple(env.mesh.domains)), {})[1]:
            storage.report_runless_asset_event(event)
        account.read_back(storage, env, frozenset(env.mesh.domains))
        account.told(env, storage)
        elsewhere = progress.running(storage, env.mesh)
    return Done(tuple(runs), {name: "\n".join(told) for name, told in loaded.broken.items()}, failed, elsewhere)


def _groups(
    env: Environment,
    storage: dg.DagsterInstance,
    scope: frozenset[str],
    asked: frozenset[str],
    force: frozenset[str],
) -> Iterator[tuple[str, ...]]:
    """What each run builds: the closure of what is due, then what has become due meanwhile."""
    tried: set[tuple[str, ...]] = set()
    first = True
    while True:
        state = env.state(running=progress.running(storage, env.mesh))
        state = replace(state, ticked=state.ticked | (asked if first else frozenset()))
        start = order.due(env.mesh, state, retry_failed=first, only=scope).build
        if force and first:
            start = (*start, *force)
        group = tuple(name for name in order.closure(env.mesh, state, start) if name in scope)
        # The same tables twice in a row means that nothing came of them; a person is told, nobody waits.
        if not group or group in tried:
            return
        tried.add(group)
        first = False
        yield from sensors.split(env.mesh, group)


def _execute(
    definitions: dg.Definitions,
    storage: dg.DagsterInstance,
    env: Environment,
    tables: Sequence[str],
    run_id: str,
    *,
    force: frozenset[str],
) -> dict[str, str]:
    """Run one group, and say of which tables nothing could be recorded, and why."""
    mesh = env.mesh
    job = definitions.resolve_implicit_global_asset_job_def()
    tags = {"mesh/trigger": "mesh run", progress.PROCESS: progress.process_tag()}
    state = order.State()
    if forced := sorted(force.intersection(tables)):
        tags[FORCE] = "*" if len(forced) == len(env.mesh.tables) else ",".join(forced)
    else:
        tags[CLOSURE] = "retry"
        state = env.state() if any(mesh.tables[name].partitions for name in tables) else state  # after the runs before
    done = job.execute_in_process(
        instance=storage,
        run_id=run_id,
        asset_selection=keys.selection(mesh, tables),  # recorded with the run: the sensors see what it will build
        raise_on_error=False,
        tags={name: value for name, value in (tags | sensors.range_tags(mesh, tables, state)).items() if value},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    if _was_interrupted(done):  # Dagster takes it for a failed step; whoever pressed the keys wants no further run
        storage.report_run_canceled(done.dagster_run, "Interrupted. What it had published stays.")
        raise KeyboardInterrupt
    recorded = {attempt.table for attempt in env.ledger.of_run(run_id)}
    return {name: why for name, why in _failures(done, tables).items() if name not in recorded}


def _was_interrupted(done: dg.ExecuteInProcessResult) -> bool:
    errors = [event.step_failure_data.error for event in done.all_events if event.is_step_failure]
    errors += [event.job_failure_data.error for event in done.all_events if event.is_run_failure]
    return any(error is not None and error.cls_name == dg.DagsterExecutionInterruptedError.__name__ for error in errors)


def _failures(done: dg.ExecuteInProcessResult, tables: Sequence[str]) -> dict[str, str]:
    """Tables whose steps failed, with the innermost reason; all of them when the run ended before its first step."""
    found = {}
    for event in done.all_events:
        if event.is_step_failure:
            found |= dict.fromkeys(keys.made_by(done.job_def, event.node_handle), _why(event.step_failure_data))
        elif event.is_run_failure and event.job_failure_data.first_step_failure_event is None:
            found = dict.fromkeys(tables, _why(event.job_failure_data)) | found
    return {name: found[name] for name in tables if name in found}


def _why(data: object) -> str:
    told = getattr(data, "user_failure_data", None)
    if told is not None and told.description:
        return told.description
    error = getattr(data, "error", None)
    while error is not None and error.cause is not None:
        error = error.cause
    return first_lines(error.message) if error else "the run ended before this table was built"


@contextmanager
def _dagsters_own_trouble() -> Generator[None]:
    """What keeps Dagster from its storage, as something that a person can mend."""
    try:
        yield
    except (DBAPIError, OSError) as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        mend = "Is its folder writable, its disk not full? What was published stays; run again."
        raise RunError(f"Dagster's record of runs cannot be kept: {reason}\n    {mend}") from error
