"""Input ports as assets: `<reader>/in/<domain>__<port>` shows which versions a reader admits."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from mesh_assets import deprecation
from mesh_assets.domain import Domain, InputPort, Mesh, OnFailure
from mesh_assets.errors import RunError
from mesh_assets.orchestration import keys, tell
from mesh_assets.orchestration.tables import OpenEnvironment, told_failures

if TYPE_CHECKING:
    from mesh_assets.environment import Environment
    from mesh_assets.ledger import Admission


WHEN_REFUSED = {
    OnFailure.STOP: "the tables that read it are not built, and keep their last version",
    OnFailure.HOLD: "they are built from the last version that passed",
    OnFailure.WARN: "it is taken all the same, with a warning",
}


def assets(mesh: Mesh, domain: Domain, open_environment: OpenEnvironment) -> list[dg.AssetsDefinition]:
    """The input ports of a domain that have a contract."""
    return [_asset(mesh, domain, port, open_environment) for port in domain.inputs if port.contract]


def _asset(mesh: Mesh, domain: Domain, port: InputPort, open_environment: OpenEnvironment) -> dg.AssetsDefinition:
    key = keys.port(domain.name, port.table)
    spelt = port.table.replace(".", "/", 1)
    spec = dg.AssetSpec(
        key,
        deps=[keys.of(port.table)],
        group_name=keys.group(mesh, domain.name),
        kinds={"contract"},
        owners=[domain.team.owner] if "@" in domain.team.owner else None,
        tags={"mesh/role": "input_port"},
        description=(
            f"What *{domain.title or domain.name}* expects of **{spelt}**. "
            f"When a version fails these checks, {WHEN_REFUSED[port.on_failure]} (`on_failure: {port.on_failure.value}`)."
            f"{_ending(mesh, port)}"
        ),
        metadata={
            "mesh/on_failure": port.on_failure.value,
            "mesh/contract": f"{port.contract.id} {port.contract.version}" if port.contract else "",
        },
        skippable=True,
    )
    blocking = port.on_failure is OnFailure.STOP

    @dg.multi_asset(
        name=f"{domain.name}__in__{port.table.replace('.', '__')}",
        specs=[spec],
        check_specs=tell.check_specs(key, port.contract, blocking=blocking),
        can_subset=True,
    )
    def op(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        yield from _run(context, open_environment(), domain, port)

    return op


def _ending(mesh: Mesh, port: InputPort) -> str:
    """What a reader of a deprecated port should know."""
    table = mesh.tables.get(port.table)
    ending = deprecation.deprecated(mesh, table) if table else None
    return f"\n\n**It is {ending.sentence(datetime.now(UTC).date())}.**" if ending else ""


def _run(
    context: dg.AssetExecutionContext, env: "Environment", domain: Domain, port: InputPort
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    op = context.op_execution_context
    key = keys.port(domain.name, port.table)
    with told_failures():
        verdict = _judge(env, domain, port, context.run.run_id)
        wanted = {check.name for check in op.selected_asset_check_keys}
        for item in verdict.results:
            if item["name"] in wanted:
                yield tell.check_result(key, item, warn_only=tell.is_warning(port.on_failure))
        if op.selected_asset_keys:
            with _recorded(context, env, domain, port):
                yield _shown(env, domain, port, verdict)


@contextmanager
def _recorded(
    context: dg.AssetExecutionContext, env: "Environment", domain: Domain, port: InputPort
) -> Generator[None]:
    """Keep why the run's own readers of the port are held: Dagster skips their steps, which cannot say so themselves."""
    from mesh_assets import admission, step

    try:
        yield
    except admission.NotAdmittedError as error:
        for key in context.job_def.asset_layer.selected_asset_keys:
            table = env.mesh.tables.get(keys.table(key))
            if (
                table is not None
                and not keys.is_port(key)
                and key.path[0] == domain.name
                and port.table in table.inputs
            ):
                step.failed(env, table, run=context.run.run_id, message=str(error), status="held")
        raise


def _judge(env: "Environment", domain: Domain, port: InputPort, run: str) -> "Admission":
    from mesh_assets import admission

    env.sync()
    seen = env.seen(upto=env.pin(run), run=run)
    if port.table not in seen:
        raise RunError(f"{admission.spelt(port.table)} was never published: there is nothing to admit.")
    with env.lake.session() as con:
        return admission.judge(env, port, domain.name, seen[port.table].version, seen, run, con)


def _shown(env: "Environment", domain: Domain, port: InputPort, verdict: "Admission") -> dg.MaterializeResult:
    """The version that the reader goes on with; refused with nothing to go on with, it is not materialised."""
    from mesh_assets import admission

    chosen = admission.choose(env, port, domain.name, verdict)
    return dg.MaterializeResult(
        asset_key=keys.port(domain.name, port.table),
        data_version=dg.DataVersion(f"{port.table}@{chosen}"),
        metadata={
            "mesh/judged": verdict.version,
            "mesh/admitted": chosen,
            "mesh/held": chosen != verdict.version,
        },
    )
