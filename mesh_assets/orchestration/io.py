"""Ordinary `@dg.asset` functions: the IO manager stages, audits and publishes what they return."""

from typing import TYPE_CHECKING, cast

import dagster as dg

from mesh_assets import python
from mesh_assets.domain import Table
from mesh_assets.errors import RunError
from mesh_assets.orchestration import keys, tell
from mesh_assets.orchestration.tables import OpenEnvironment, is_forced, told_failures

if TYPE_CHECKING:
    import duckdb
    from dagster._core.execution.context.system import StepExecutionContext

    from mesh_assets.admission import Reading
    from mesh_assets.environment import Environment
    from mesh_assets.partitions import Partition
    from mesh_assets.step import Outcome


class LakeIO(dg.IOManager):
    """Registered as `io_manager`, so that it also loads the inputs of every Python asset.

    A failed audit raises in the asset's own step: then there is no materialisation, and no selection of checks gets past.
    """

    def __init__(self, open_environment: OpenEnvironment) -> None:
        self._open = open_environment

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Publish what the asset returned, if its tests allow."""
        from mesh_assets import build

        env = self._open()
        table = env.mesh.tables[keys.table(context.asset_key)]
        what = table.name.replace(".", "/", 1)
        step = context.step_context
        with told_failures():
            outcome = build.build(
                env,
                table,
                lambda con, _partition: python.register(con, obj, what),
                run=step.run_id,
                full=is_forced(step.dagster_run, table.name),
                partition=_partition(context),
            )
            _report_checks(step, context.asset_key, table, outcome)
            if outcome.status in ("held", "skipped"):
                raise RunError(outcome.message)
        # The fingerprint as data version: what Dagster calls unchanged is what the lake calls unchanged.
        step.set_data_version(context.asset_key, dg.DataVersion(outcome.fingerprint))
        context.add_output_metadata(tell.outcome_metadata(table, outcome, env.lake.folder(table.name).as_uri()))

    def load_input(self, context: dg.InputContext) -> object:
        """The version of the input that this run sees, admitted by the reader, as the frame its annotation names."""
        env = self._open()
        upstream = context.upstream_output.asset_key if context.upstream_output else context.asset_key
        name = keys.table(upstream)
        with told_failures(), env.lake.session() as con:
            reading = _read(env, context, name, con)
            env.lake.show(con, name, cast("int", reading.version))  # nothing else is built together with it
            context.add_input_metadata({"mesh/version": reading.version})
            domain, _, short = name.partition(".")
            kind = context.dagster_type.typing_type
            return python.detached(con.sql(f'FROM "{domain}"."{short}"'), kind)


def _read(env: "Environment", context: dg.InputContext, name: str, con: "duckdb.DuckDBPyConnection") -> "Reading":
    """The admission rule is that of the domain whose assets the step builds."""
    from mesh_assets import admission
    from mesh_assets.step import failed

    step = context.step_context
    made = keys.made_by(step.job_def, step.node_handle)
    reader = made[0].partition(".")[0]
    env.sync()
    seen = env.seen(upto=env.pin(step.run_id), run=step.run_id)
    try:
        return admission.read(env, reader, name, seen, step.run_id, con)
    except admission.NotAdmittedError as error:
        for item in made:
            failed(env, env.mesh.tables[item], run=step.run_id, message=str(error), status="held")
        raise


def _partition(context: dg.OutputContext) -> "Partition | None":
    from mesh_assets.partitions import Partition

    if not context.has_asset_partitions:
        return None
    window = context.asset_partitions_time_window
    return Partition(start=window.start.date().isoformat(), end=window.end.date().isoformat())


def _report_checks(step: "StepExecutionContext", key: dg.AssetKey, table: Table, outcome: "Outcome") -> None:
    """Show the results at once: the asset's step may be about to fail, and its checks run after it.

    They are events of the run. Without a run, Dagster would take them for checks of the version before.
    """
    from dagster._core.events import DagsterEvent

    from mesh_assets.audit.words import result_json

    for result in outcome.results:
        told = tell.check_result(key, result_json(result, table.name))
        evaluation = dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=str(told.check_name),
            passed=told.passed,
            severity=told.severity,
            description=told.description,
            metadata=told.metadata,
            blocking=False,
        )
        DagsterEvent.asset_check_evaluation(step, evaluation)
