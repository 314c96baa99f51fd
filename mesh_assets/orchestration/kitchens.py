"""A job that closes kitchens whose time has come, every hour. It never touches one that holds what was not promoted."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
from pydantic import Field

from mesh_assets.settings import Settings

JOB = "mesh__close_expired_kitchens"


class Asked(dg.Config):
    """What whoever launches the job by hand may ask for."""

    force: bool = Field(default=False, description="Also those that hold what was never promoted: it is lost.")


def schedules(root: Path, settings: Settings | None) -> Sequence[dg.ScheduleDefinition]:
    """The schedule of production's code location; a kitchen's has none."""
    given = settings or Settings()
    if given.kitchen:
        return []

    @dg.op(name="close_expired_kitchens")
    def op(context: dg.OpExecutionContext, config: Asked) -> None:
        from mesh_assets.kitchen.maintenance import close_expired

        done = close_expired(root, given, force=config.force)
        context.log.info("closed: %s", ", ".join(done.closed) or "none")
        for name, why in done.kept.items():
            context.log.warning("kept %s: %s. Close it all the same: mesh kitchen close %s --force", name, why, name)
        if done.failed:
            told = "; ".join(f"{name}: {why}" for name, why in done.failed.items())
            raise dg.Failure(f"could not be closed: {told}", allow_retries=False)

    @dg.job(
        name=JOB,
        description="Closes kitchens whose time has come. Those that hold what was never promoted it closes only when it is "
        "launched by hand with `force: true`.",
    )
    def job() -> None:
        op()

    return [
        dg.ScheduleDefinition(
            name=JOB, job=job, cron_schedule="17 * * * *", default_status=dg.DefaultScheduleStatus.RUNNING
        )
    ]
