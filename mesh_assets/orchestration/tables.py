"""SQL files, raw files and `@mesh_assets.table` functions as assets: audit and publish happen within the op."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import dagster as dg

from mesh_assets import python, raw
from mesh_assets.domain import Mesh, Table, Toolchain
from mesh_assets.errors import MeshError
from mesh_assets.orchestration import keys, tell

# What builds a table (DuckDB, the ledger's SQLAlchemy) is imported when a step runs: every process that loads the mesh
# would pay for it.
if TYPE_CHECKING:
    import duckdb

    from mesh_assets import build
    from mesh_assets.environment import Environment
    from mesh_assets.partitions import Partition
    from mesh_assets.step import Outcome

OpenEnvironment = Callable[[], "Environment"]
Made = tuple["build.Make", tell.Metadata]
"""How a table is computed in one step, and what its program will have reported of it by then."""

CLOSURE = "mesh/closure"
"""Run tag: build only what has changed (`retry`: and what failed). Without it, as after a click, what was asked for is built."""

FORCE = "mesh/force"
"""Run tag: tables that are built although nothing has changed, the incremental ones whole; names, or `*`."""

PARTITIONS = {
    "daily": dg.DailyPartitionsDefinition,
    "weekly": dg.WeeklyPartitionsDefinition,
    "monthly": dg.MonthlyPartitionsDefinition,
}


def asset(
    mesh: Mesh,
    table: Table,
    made: "Callable[[dg.AssetExecutionContext, Environment], AbstractContextManager[Made]]",
    open_environment: OpenEnvironment,
) -> dg.AssetsDefinition:
    """One table as an asset whose checks are its contract's tests.

    The op can be subset, so that its checks run alone on the published version; what is published is always audited,
    whatever was selected. A version that is held, or whose inputs are not ready, is never materialised.
    """
    key = keys.of(table.name)

    @dg.multi_asset(
        name=table.name.replace(".", "__"),
        specs=[spec(mesh, table)],
        check_specs=tell.check_specs(key, table.contract, partitions=partitions(table)),
        partitions_def=partitions(table),
        backfill_policy=dg.BackfillPolicy.single_run() if table.partitions else None,
        can_subset=True,
    )
    def op(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        env = open_environment()
        with made(context, env) as (make, told):
            yield from run_table(context, env, table, make, told)

    return op


def always(make: "build.Make") -> "Callable[[dg.AssetExecutionContext, Environment], AbstractContextManager[Made]]":
    """What is computed the same way in every step, and has nothing to report."""
    return lambda _context, _env: nullcontext((make, {}))


def is_forced(run: dg.DagsterRun, table: str) -> bool:
    """Whether a person asked for this table to be built whole."""
    named = run.tags.get(FORCE, "").split(",")
    return table in named or "*" in named


def make_of(mesh: Mesh, table: Table, functions: dict[str, python.PythonTable]) -> "build.Make":
    """How a table of the library's own toolchains is computed."""
    if table.source is not None:
        folder, source = raw.folder_of(mesh, table), table.source
        return lambda _con, _partition: raw.query(folder, source, table.contract)
    if table.toolchain is Toolchain.PYTHON:
        function = functions[table.name]
        return lambda con, partition: _python(function, table, con, partition)
    return lambda con, partition: _sql(table, con, partition)


def spec(mesh: Mesh, table: Table) -> dg.AssetSpec:
    """Everything that Dagster shows of a table before it runs."""
    domain = mesh.domains[table.domain]
    owner = domain.team.owner
    made_with = table.toolchain.value.rpartition(".")[2]
    kinds = {made_with if table.toolchain is not Toolchain.SOURCE else "file", table.engine or "ducklake"}
    return dg.AssetSpec(
        keys.of(table.name),
        deps=[_dependency(mesh, table, key) for key in keys.read_by(mesh, table)],
        group_name=keys.group(mesh, table.domain),
        description=tell.asset_description(mesh, table),
        code_version=table.code[:16] or None,
        owners=[owner] if "@" in owner else None,
        kinds=kinds,
        tags=tell.role_tags(table),
        metadata=tell.definition_metadata(table),
        freshness_policy=tell.freshness_policy(table),
        skippable=True,
    )


def _dependency(mesh: Mesh, table: Table, key: dg.AssetKey) -> dg.AssetDep:
    """What a table's asset comes after; between partitions as declared, so that Dagster's own backfills follow it."""
    name = keys.table(key)
    mapping = None if keys.is_port(key) or name not in mesh.tables else table.mappings.get(name)
    if mapping is None:
        return dg.AssetDep(key)
    # That a reader's first partitions may ask for days before the input's is called beta.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        window = dg.TimeWindowPartitionMapping(
            start_offset=-mapping.before, end_offset=mapping.after, allow_nonexistent_upstream_partitions=True
        )
    return dg.AssetDep(key, partition_mapping=window)


def partitions(table: Table) -> dg.PartitionsDefinition | None:
    """Dagster's time partitions for the mesh's; the one that is open now is among them: its rows are wanted, too.

    An ordinary `@dg.asset` brings a definition of its own, which has closed ones only.
    """
    declared = table.partitions
    if declared is None:
        return None
    still_open = 0 if table.closed_partitions else 1
    return PARTITIONS[declared.every](start_date=declared.start, end_offset=still_open)


def run_table(
    context: dg.AssetExecutionContext, env: "Environment", table: Table, make: "build.Make", told: tell.Metadata
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """One step: build and tell, or only test what is published. `told`: what its program will have reported."""
    from mesh_assets import build

    op = context.op_execution_context
    wanted = {check.name for check in op.selected_asset_check_keys}
    key = keys.of(table.name)
    with told_failures():
        if not op.selected_asset_keys:
            yield from test_published(env, table, wanted, context.run.run_id)
            return
        outcome = build.build(
            env,
            table,
            make,
            run=context.run.run_id,
            closure=CLOSURE in context.run.tags,
            retry=context.run.tags.get(CLOSURE) == "retry",
            full=is_forced(context.run, table.name),
            partition=_partition(context),
        )
        yield from check_results(env, table, outcome, wanted)
        if outcome.status == "skipped":
            context.log.warning("%s: %s", table.name, outcome.message)
            return
        if outcome.status == "held":
            raise dg.Failure(outcome.message, metadata=_held_metadata(outcome), allow_retries=False)
        yield dg.MaterializeResult(
            asset_key=key,
            data_version=dg.DataVersion(outcome.fingerprint),
            metadata=told
            | tell.outcome_metadata(table, outcome, env.lake.folder(table.name).as_uri())
            | tell.column_lineage(env, table, outcome.columns),
        )


def check_results(
    env: "Environment", table: Table, outcome: "Outcome", wanted: set[str]
) -> Iterator[dg.AssetCheckResult]:
    """The results of an outcome's tests; those of the confirmed version when nothing had to be computed."""
    from mesh_assets.audit.words import result_json
    from mesh_assets.environment import contract_hash

    items = [result_json(result, table.name) for result in outcome.results]
    if not items and outcome.version is not None and outcome.status == "unchanged":
        items = env.ledger.results(table.name, outcome.version, contract_hash(table)) or []
    for item in items:
        if item["name"] in wanted:
            yield tell.check_result(keys.of(table.name), item)


def test_published(env: "Environment", table: Table, wanted: set[str], run: str) -> Iterator[dg.AssetCheckResult]:
    """Run a table's tests on its published version, and keep what they say; not twice within one run."""
    from mesh_assets import testing

    env.sync()
    if table.engine:
        yield from (
            tell.check_result(keys.of(table.name), item)
            for item in testing.elsewhere(env, table)
            if item["name"] in wanted
        )
        return
    seen = env.seen().get(table.name)
    if seen is None:
        mend = f"Build it first: mesh run {table.name.replace('.', '/', 1)}"
        raise dg.Failure(
            f"{table.name} was never published: there is nothing to test.\n    {mend}", allow_retries=False
        )
    for item in testing.published(env, table, seen.version, run):
        if item["name"] in wanted:
            yield tell.check_result(keys.of(table.name), item)


class told_failures:  # noqa: N801 - reads as a word in `with`
    """Show what a person can mend as Dagster's failure: its words, no traceback."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        """Translate; everything else goes on as it is."""
        from mesh_assets.step import interrupting

        if (interrupt := interrupting(error)) is not None:
            raise interrupt from None
        if isinstance(error, MeshError):
            raise dg.Failure(str(error), allow_retries=False) from None


def _python(
    function: python.PythonTable, table: Table, con: "duckdb.DuckDBPyConnection", partition: "Partition | None"
) -> str:
    """What the function returns; a relation that it is given knows the range that is asked for by the same variables as SQL."""
    from mesh_assets.partitions import as_variables

    con.execute(as_variables(table.partitions, partition))
    return python.call(function, con, table.domain)


def _sql(table: Table, con: "duckdb.DuckDBPyConnection", partition: "Partition | None") -> str:
    """The file's text; `getvariable('partition_start')` and `…_end` are the half-open range that is asked for."""
    from mesh_assets.partitions import as_variables

    con.execute(as_variables(table.partitions, partition))
    return table.path.read_text(encoding="utf-8").rstrip().rstrip(";")


def _partition(context: dg.AssetExecutionContext) -> "Partition | None":
    from mesh_assets.partitions import Partition

    if not (context.has_partition_key or context.has_partition_key_range):
        return None
    window = context.partition_time_window
    return Partition(start=window.start.date().isoformat(), end=window.end.date().isoformat())


def _held_metadata(outcome: "Outcome") -> tell.Metadata:
    return {"quarantine": outcome.quarantine} if outcome.quarantine else {}
