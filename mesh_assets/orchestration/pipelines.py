"""Horizontal pipelines in Dagster: a job that launches each, on its schedule if it has one, and a sensor that ends launches."""

import re
import zlib
from collections.abc import Sequence

import dagster as dg

from mesh_assets.domain import Mesh, Pipeline
from mesh_assets.orchestration.tables import OpenEnvironment
from mesh_assets.settings import Settings

PREFIX = "launch__"
SENSOR = "mesh__pipelines"


def jobs(mesh: Mesh, open_environment: OpenEnvironment, only: str | None) -> list[dg.JobDefinition]:
    """One per pipeline, in one code location of the mesh: that of the first table it delivers.

    It asks for the pipeline and ends; the sensors of each domain build what it needs, wherever that is.
    """
    return [_job(pipeline, open_environment) for pipeline in _here(mesh, only)]


def schedules(mesh: Mesh, only: str | None, settings: Settings | None) -> list[dg.ScheduleDefinition]:
    """One per pipeline that has a schedule, running from the start; none in a kitchen."""
    if (settings or Settings()).kitchen:
        return []
    return [
        dg.ScheduleDefinition(
            name=name_of(pipeline),
            job_name=name_of(pipeline),
            cron_schedule=pipeline.schedule,
            execution_timezone=pipeline.time_zone,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description=f"Launches {pipeline.name}.",
        )
        for pipeline in _here(mesh, only)
        if pipeline.schedule
    ]


def sensors(
    mesh: Mesh, open_environment: OpenEnvironment, only: str | None, interval: int
) -> list[dg.SensorDefinition]:
    """One that ends launches of which nothing is left to do, where there are pipelines."""
    if not _here(mesh, only):
        return []

    @dg.sensor(
        name=SENSOR if only is None else f"{only}__pipelines",
        minimum_interval_seconds=interval,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ends launches of horizontal pipelines when everything is delivered, or nothing more can be.",
    )
    def sensor(_context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from mesh_assets import catalog

        ended = catalog.settle(open_environment())
        return dg.SkipReason(f"{len(ended)} launches ended")

    return [sensor]


def name_of(pipeline: Pipeline) -> str:
    """Of its job and its schedule: no two pipelines' are the same, else Dagster would load none of the location."""
    inner = pipeline.name.replace("/", "__", 1)
    spelt = re.sub(r"\W", "_", inner, flags=re.ASCII)
    if spelt == inner and "__" not in pipeline.name:
        return PREFIX + spelt
    return f"{PREFIX}{spelt}_{zlib.crc32(pipeline.name.encode()):08x}"


def _here(mesh: Mesh, only: str | None) -> Sequence[Pipeline]:
    first = {name: one.delivers[0].partition(".")[0] for name, one in mesh.pipelines.items()}
    return [one for name, one in mesh.pipelines.items() if only in (None, first[name])]


def _job(pipeline: Pipeline, open_environment: OpenEnvironment) -> dg.JobDefinition:
    @dg.op(name=f"{name_of(pipeline)}__op")
    def op(context: dg.OpExecutionContext) -> None:
        from mesh_assets.launches import Launches

        by = "schedule" if "dagster/schedule_name" in context.run.tags else "Dagster"
        made = Launches(open_environment().ledger.store).start(pipeline.name, by)
        context.log.info("launch %s of %s; `mesh pipeline show %s` follows it", made.id, pipeline.name, pipeline.name)

    @dg.job(
        name=name_of(pipeline),
        description=f"Launches {pipeline.name}: {pipeline.title or ', '.join(pipeline.delivers)}.",
    )
    def job() -> None:
        op()

    return job
