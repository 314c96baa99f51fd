"""A job that closes kitchens whose time has come, every hour. It never touches one that holds what was not promoted."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from mesh_assets.settings import Settings

JOB = "mesh__close_expired_kitchens"


def schedules(root: Path, settings: Settings | None) -> Sequence[dg.ScheduleDefinition]:
    """The schedule of production's code location; a kitchen's has none."""
    given = settings or Settings()
    if given.kitchen:
        return []

    @dg.op(name="close_expired_kitchens")
    def op(context: dg.OpExecutionContext) -> None:
        from mesh_assets.kitchen.maintenance import close_expired

        done = close_expired(root, given)
        context.log.info("closed: %s; kept, since they hold what was never promoted: %s", done["closed"], done["kept"])

    @dg.job(name=JOB, description="Closes kitchens whose time has come, unless they hold what was never promoted.")
    def job() -> None:
        op()

    return [
        dg.ScheduleDefinition(
            name=JOB, job=job, cron_schedule="17 * * * *", default_status=dg.DefaultScheduleStatus.RUNNING
        )
    ]
