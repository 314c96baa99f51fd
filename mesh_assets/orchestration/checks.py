"""The tests of ordinary `@dg.asset` tables, as checks that can run alone."""

from collections.abc import Iterator, Sequence

import dagster as dg

from mesh_assets.domain import Table
from mesh_assets.orchestration import keys, tell
from mesh_assets.orchestration.tables import OpenEnvironment, test_published, told_failures


def reporting(
    domain: str, tables: Sequence[Table], open_environment: OpenEnvironment
) -> list[dg.AssetChecksDefinition]:
    """One op for all of a domain's Python assets: it tests what is published, and stops nothing.

    Whether a version is published was decided before, in the asset's own step.
    """
    specs = [spec for table in tables for spec in tell.check_specs(keys.of(table.name), table.contract, blocking=False)]
    if not specs:
        return []

    @dg.multi_asset_check(name=f"{domain}__contracts", specs=specs, can_subset=True)
    def op(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        env = open_environment()
        chosen = context.op_execution_context.selected_asset_check_keys
        with told_failures():
            for table in tables:
                wanted = {check.name for check in chosen if check.asset_key == keys.of(table.name)}
                if wanted:
                    yield from test_published(env, table, wanted, context.run.run_id)

    return [op]
