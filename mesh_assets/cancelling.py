"""Take back what somebody asked for: a launch of a pipeline, or a backfill, with the runs that are at work for it."""

from collections.abc import Collection

from mesh_assets import catalog, pipelines
from mesh_assets.domain import Pipeline
from mesh_assets.environment import Environment
from mesh_assets.launches import Backfill


def cancel_pipeline(env: Environment, pipeline: Pipeline, *, by: str = "") -> catalog.Json:
    """End the launch of a pipeline that goes on, and every run that is at work on its tables.

    Returns:
        The JSON of `mesh pipeline show`, with the runs under `ended_runs`.

    Raises:
        UsageError: No launch of it goes on.
    """
    from mesh_assets.orchestration import ending

    who = by or env.lake.author
    # The record comes first: from then on nothing is asked for any more, so that no run follows those that are ended.
    report = catalog.cancel(env, pipeline, by=who, running=ending.at_work(env))
    return {**report, "ended_runs": _ended(env, pipelines.scope(env.mesh, pipeline), who)}


def cancel_backfill(env: Environment, backfill: Backfill, *, by: str = "") -> catalog.Json:
    """End a backfill, and every run that is at work for it.

    Returns:
        The JSON of `mesh backfill show`, with the runs under `ended_runs`.

    Raises:
        UsageError: It has ended.
    """
    from mesh_assets.orchestration import ending

    who = by or env.lake.author
    report = catalog.cancel_backfill(env, backfill, by=who, running=ending.at_work(env))
    tables = {row["table"].replace("/", ".", 1) for row in report["tables"]}
    return {**report, "ended_runs": _ended(env, tables & env.mesh.tables.keys(), who)}


def _ended(env: Environment, tables: Collection[str], by: str) -> list[catalog.Json]:
    from mesh_assets.orchestration import ending

    return [
        {"run": one.run, "tables": [catalog.spelt(name) for name in one.tables], "over": one.over}
        for one in ending.end(env, tables, by)
    ]
