"""One check per input of a domain: is the port, with its last change, still what our code reads?"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from mesh_assets.domain import Domain, Table
from mesh_assets.orchestration import keys, tell
from mesh_assets.orchestration.tables import OpenEnvironment, told_failures

if TYPE_CHECKING:
    from mesh_assets.changes.compatible import Compatible

NAME = "schema_compatible_with_"


def check_keys(domain: Domain, own: Iterable[Table]) -> dict[str, dg.AssetCheckKey]:
    """By port: the check of the input port's asset; without a contract, of the domain's first table that reads it.

    Args:
        domain: The reader.
        own: Its tables.
    """
    found = {}
    first: dict[str, str] = {}
    for table in own:
        for name in table.inputs:
            first.setdefault(name, table.name)
    for entry in domain.inputs:
        if entry.contract is not None:
            key = keys.port(domain.name, entry.table)
        elif entry.table in first:
            key = keys.of(first[entry.table])
        else:
            continue
        found[entry.table] = dg.AssetCheckKey(key, NAME + entry.table.replace(".", "__", 1))
    return found


def reporting(
    domain: Domain, own: Iterable[Table], open_environment: OpenEnvironment
) -> list[dg.AssetChecksDefinition]:
    """One op for all inputs of a domain. It reports and stops nothing: what may be published was decided before."""
    wanted = check_keys(domain, own)
    if not wanted:
        return []
    specs = [_spec(port, key) for port, key in wanted.items()]

    @dg.multi_asset_check(name=f"{domain.name}__in__checks", specs=specs, can_subset=True)
    def op(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        yield from _run(context.op_execution_context.selected_asset_check_keys, wanted, domain.name, open_environment)

    return [op]


def _spec(port: str, key: dg.AssetCheckKey) -> dg.AssetCheckSpec:
    said = (
        f"Schema compatible with {port.replace('.', '/', 1)}: what its last change means for the code of this domain."
    )
    return dg.AssetCheckSpec(key.name, asset=key.asset_key, description=said)


def _run(
    chosen: Iterable[dg.AssetCheckKey],
    wanted: Mapping[str, dg.AssetCheckKey],
    domain: str,
    open_environment: OpenEnvironment,
) -> Iterator[dg.AssetCheckResult]:
    from mesh_assets.changes.compatible import compatible

    env, picked = open_environment(), frozenset(chosen)
    with told_failures():
        env.sync()
        today = datetime.now(UTC).date()
        for port, key in wanted.items():
            if key in picked:
                yield _result(key, compatible(env, domain, port, today=today))


def _result(key: dg.AssetCheckKey, found: "Compatible") -> dg.AssetCheckResult:
    metadata: tell.Metadata = {"verdict": str(found.verdict), "port": dg.MetadataValue.asset(keys.of(found.port))}
    if found.change:
        metadata |= {
            "change": found.change,
            "version": found.version,
            "changes": dg.MetadataValue.json([f"{c.kind} {c.column}".strip() for c in found.changes]),
            "built_on_it": found.built,
        }
    if found.evidence:
        rows = [
            dg.TableRecord({"where": f"{e.path}:{e.line}:{e.column}", "why": e.why, "test": e.test})
            for e in found.evidence
        ]
        columns = [dg.TableColumn(name) for name in ("where", "why", "test")]
        metadata["evidence"] = dg.MetadataValue.table(rows, schema=dg.TableSchema(columns))
    if found.answer:
        metadata["answer"] = f"{found.answer.answer} {found.answer.until}".strip()
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=found.fine,
        severity=dg.AssetCheckSeverity.WARN,
        description=found.why,
        metadata=metadata,
    )
