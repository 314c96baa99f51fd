"""`mesh run`: what a person names, what it needs, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from mesh_assets import catalog, order, pipelines
from mesh_assets.domain import Pipeline
from mesh_assets.environment import Environment
from mesh_assets.launches import Backfills, Launches
from mesh_assets.settings import Settings


class Progress(Protocol):
    """Told of the work as it goes on."""

    def starting(self) -> None:
        """There is something to do, and Dagster is being loaded."""

    def __call__(self, env: Environment, run: str, tables: Sequence[str]) -> None:
        """A run starts, that will build these tables."""

    def done(self) -> None:
        """Nothing more will come."""


def run_mesh(
    env: Environment,
    names: Sequence[str],
    *,
    downstream: bool = False,
    force: bool = False,
    tick: bool = True,
    settings: Settings | None = None,
    progress: Progress,
) -> catalog.Json:
    """Build what is due of the named tables, with what they need and, if asked, with what rests on them.

    Dagster is imported only when there is something to do. With `tick`, what is named is due also when its schedule has not come.

    Returns:
        The JSON of `mesh run`; without names, of every table.
    """
    asked = catalog.named(env.mesh, names)
    wanted = catalog.with_downstream(env.mesh, asked) if downstream else asked
    scope = catalog.with_upstream(env.mesh, wanted)
    by_name = asked if names and tick else frozenset()
    runs: tuple[str, ...] = ()
    failed: Mapping[str, str] = {}
    elsewhere: Mapping[str, str] = {}
    broken: Mapping[str, str] = {name: "\n".join(map(str, told)) for name, told in env.mesh.broken.items()}
    if force or _something_is_due(env, scope, by_name):
        progress.starting()
        from mesh_assets.orchestration.run import run

        try:
            done = run(
                env,
                scope,
                asked=by_name,
                force=wanted if force else frozenset(),
                settings=settings,
                started=lambda run_id, tables: progress(env, run_id, tables),
            )
        finally:
            progress.done()
        runs, broken, failed, elsewhere = done.runs, {**broken, **done.broken}, done.failed, done.running
    built = {attempt.table for run_id in runs for attempt in env.ledger.of_run(run_id)}
    return catalog.run_report(env, runs, wanted | built | set(failed), broken, failed, elsewhere)


def run_pipeline(
    env: Environment, name: str, *, settings: Settings | None = None, progress: Progress, by: str = ""
) -> catalog.Json:
    """Launch a horizontal pipeline, or go on with the launch that was broken off, and build all that it needs.

    What has succeeded since the launch is not done again.

    Returns:
        The JSON of `mesh run` of all its tables, with the launch under `pipeline`.

    Raises:
        UsageError: There is no such pipeline.
        KeyboardInterrupt: Somebody pressed Ctrl-C: the launch is cancelled, if it began here.
    """
    pipeline, who = catalog.pipeline_named(env, name), by or env.lake.author
    launches = Launches(env.ledger.store)
    before = {one.id for one in launches.going_on()}
    launch = launches.start(pipeline.name, who)
    scope = pipelines.scope(env.mesh, pipeline)
    watched = _Watched(progress)
    try:
        # The launch itself asks for what was not tried since; to name it would ask for everything again.
        report = run_mesh(env, [*map(catalog.spelt, scope)], tick=False, settings=settings, progress=watched)
    except KeyboardInterrupt:
        _cancelled(env, pipeline, watched, frozenset(scope), who, own=launch.id not in before)
        raise
    catalog.settle(env)
    return {**report, "pipeline": catalog.pipeline_report(env, pipeline, launch.id)}


class _Watched:
    """Progress that remembers the last run, so that it can be said of it that it was cancelled."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.run, self.tables = "", tuple[str, ...]()

    def starting(self) -> None:
        self._progress.starting()

    def __call__(self, env: Environment, run: str, tables: Sequence[str]) -> None:
        self.run, self.tables = run, tuple(tables)
        self._progress(env, run, tables)

    def done(self) -> None:
        self._progress.done()


def _cancelled(
    env: Environment, pipeline: Pipeline, watched: _Watched, scope: frozenset[str], by: str, *, own: bool
) -> None:
    """What Ctrl-C means for a launch: one that began here is over, and its tables are not built again by the daemon."""
    from mesh_assets.orchestration import ending

    launches = Launches(env.ledger.store)
    if not own or all(one.pipeline != pipeline.name for one in launches.going_on()):
        return  # somebody else's, who may still want it; or it was cancelled from elsewhere
    catalog.cancel(env, pipeline, by=by, running=dict.fromkeys(watched.tables, watched.run))
    if watched.run:
        ending.note_interrupted(env, watched.run, scope.intersection(watched.tables), by)


def run_backfill(
    env: Environment, plan: catalog.Plan, *, settings: Settings | None = None, progress: Progress, by: str = ""
) -> catalog.Json:
    """Build some partitions of a table again, and everything downstream that is made from them.

    Where the same backfill was broken off, it goes on: what has succeeded since is not done again.

    Returns:
        The JSON of `mesh run` of all its tables, with the backfill under `backfill`.
    """
    backfill = Backfills(env.ledger.store).start(plan.table, plan.days, by or env.lake.author)
    scope = [catalog.spelt(table) for table in plan.reach]
    report = run_mesh(env, scope, tick=False, settings=settings, progress=progress)
    catalog.settle_backfills(env)
    return {**report, "backfill": catalog.backfill_report(env, catalog.backfill_named(env, backfill.id))}


def _something_is_due(env: Environment, scope: frozenset[str], asked: frozenset[str]) -> bool:
    state = env.state()
    state = replace(state, ticked=state.ticked | asked)
    return bool(order.due(env.mesh, state, retry_failed=True, only=scope).build)
