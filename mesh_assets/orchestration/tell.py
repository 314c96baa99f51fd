"""Outcomes and test results in Dagster's words: metadata, check specs, check results."""

import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import dagster as dg

from mesh_assets import address, deprecation
from mesh_assets.account.expected import promised
from mesh_assets.contract import Column, Contract, Kind, Severity
from mesh_assets.domain import Mesh, OnFailure, Table
from mesh_assets.schemas.written import tests_of
from mesh_assets.settings import Settings

Metadata = dict[str, Any]
"""Dagster's raw metadata: numbers, texts, and values of its own."""

if TYPE_CHECKING:
    from mesh_assets.environment import Environment
    from mesh_assets.step import Outcome

SHORTEST = timedelta(minutes=1)
"""Dagster's own: a freshness policy cannot ask for more."""
IMPLIED = {
    Kind.COLUMNS: "Every column of the contract is there.",
    Kind.TYPES: "Every column has the type that the contract says.",
    Kind.PRIMARY_KEY: "Every row has a key, and no other row has the same.",
}
"""What a test asks that nobody had to write."""


def table_schema(contract: Contract | None, columns: Sequence[Sequence[str]]) -> dg.TableSchema:
    """Columns as they are, with what the contract says of them. A constraint is what no published version can break."""
    known = {column.name: column for column in contract.columns} if contract else {}
    tests = tests_of(contract)
    sure = {(test.kind, column) for test in tests if test.severity is Severity.ERROR for column in test.columns}
    return dg.TableSchema([_column(name, kind, known.get(name), sure) for name, kind in columns])


def definition_metadata(table: Table) -> Metadata:
    """What is known of a table before it was ever built."""
    metadata: Metadata = {"dagster/table_name": table.name, "mesh/toolchain": table.toolchain.value}
    if table.contract:
        columns = [(column.name, column.type) for column in table.contract.columns]
        metadata["dagster/column_schema"] = table_schema(table.contract, columns)
        metadata["mesh/contract"] = f"{table.contract.id} {table.contract.version}"
    if table.port and table.port.deprecated:
        metadata["mesh/deprecated"] = True
        if table.port.sunset:
            metadata["mesh/sunset"] = table.port.sunset
        if table.port.successor:
            metadata["mesh/successor"] = dg.MetadataValue.asset(dg.AssetKey([table.domain, table.port.successor]))
    return metadata


def role_tags(table: Table) -> dict[str, str]:
    """By which Dagster's own selection finds ports, and those that nobody should begin to read."""
    tags = {"mesh/role": "output_port" if table.port else "private"}
    return tags | {"mesh/lifecycle": "deprecated"} if table.port and table.port.deprecated else tags


def column_lineage(env: "Environment", table: Table, columns: Sequence[Sequence[str]]) -> Metadata:
    """What each column is made of, where the table's SQL tells it; nothing where it does not."""
    from mesh_assets.catalog.columns import Followed

    made = Followed(env).made_of(table)
    deps = {
        column: [
            dg.TableColumnDep(asset_key=dg.AssetKey(source.split(".")), column_name=name)
            for source, name in made[column.lower()]
        ]
        for column, _ in columns
        if made.get(column.lower())
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps)} if deps else {}


def outcome_metadata(table: Table, outcome: "Outcome", uri: str) -> Metadata:
    """What a build says of itself. `mesh/inputs` names the version of every input that was read."""
    inputs = {name.replace(".", "/", 1): reading.version for name, reading in outcome.readings.items()}
    held = [name.replace(".", "/", 1) for name, reading in outcome.readings.items() if reading.held]
    metadata: Metadata = {
        "mesh/version": outcome.version,
        "mesh/pin": outcome.pin,
        "mesh/inputs": dg.MetadataValue.json(inputs),
        "mesh/unchanged": outcome.status == "unchanged",
        "dagster/table_name": table.name,
        "dagster/uri": uri,
        "dagster/column_schema": table_schema(table.contract, outcome.columns),
    }
    if outcome.rows is not None:
        metadata["dagster/row_count"] = outcome.rows
    if outcome.quarantined:
        metadata["mesh/quarantined_rows"] = int(outcome.quarantined.get("rows", 0))
        metadata["mesh/quarantine"] = dg.MetadataValue.json(dict(outcome.quarantined))
    if held:
        metadata["mesh/held"] = dg.MetadataValue.json(held)
    if table.contract:
        metadata["mesh/contract"] = f"{table.contract.id} {table.contract.version}"
    return metadata


def check_specs(
    key: dg.AssetKey,
    contract: Contract | None,
    *,
    blocking: bool = True,
    partitions: dg.PartitionsDefinition | None = None,
) -> list[dg.AssetCheckSpec]:
    """One asset check per test, by its name; of a table with partitions, one that knows which of them it was executed for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # partitions of checks are new
        return _check_specs(key, contract, blocking=blocking, partitions=partitions)


def _check_specs(
    key: dg.AssetKey, contract: Contract | None, *, blocking: bool, partitions: dg.PartitionsDefinition | None
) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(
            test.name,
            asset=key,
            description=test.description or IMPLIED.get(test.kind),
            blocking=blocking and test.severity is Severity.ERROR,
            partitions_def=partitions,
        )
        for test in tests_of(contract)
    ]


def check_result(key: dg.AssetKey, item: Mapping[str, Any], *, warn_only: bool = False) -> dg.AssetCheckResult:
    """A test's result, as `audit.result_json` spells it."""
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=str(item["name"]),
        passed=item["status"] == "pass",
        severity=_severity(item, warn_only=warn_only),
        description=str(item.get("message") or "") or None,
        metadata=check_metadata(item),
    )


def check_metadata(item: Mapping[str, Any]) -> Metadata:
    """Counts as numbers, the query, and the failing rows as a table."""
    total, failing = int(item["total_rows"]), int(item["failing_rows"])
    metadata: Metadata = {
        "failing_rows": failing,
        "total_rows": total,
        "fail_rate": dg.MetadataValue.float(round(failing / total, 6) if total else 0.0),
        "type": str(item["type"]),
    }
    if item.get("quarantined_rows"):
        metadata["quarantined_rows"] = int(item["quarantined_rows"])
    if item.get("query"):
        metadata["query"] = dg.MetadataValue.md(f"```sql\n{item['query']}\n```")
    if rows := item.get("sample"):
        metadata["failing_sample"] = _sample(rows)
    return metadata


def asset_description(mesh: Mesh, table: Table) -> str:
    """What the table is, whose, and who reads it, in Markdown."""
    domain = mesh.domains[table.domain]
    lines = [table.contract.description if table.contract else "", ""]
    kind = "Output port" if table.port else "Private table"
    lines.append(f"**{kind}** of *{domain.title or domain.name}*, owned by {domain.team.name or 'nobody yet'}.")
    readers = [name for name, other in mesh.domains.items() if other.input(table.name)] if table.port else []
    if readers:
        lines.append(f"Read by: {', '.join(readers)}.")
    if ending := deprecation.deprecated(mesh, table):
        said = ending.sentence(datetime.now(UTC).date())
        lines += ["", f"**{said[0].upper()}{said[1:]}.**"]
    lines += ["", *questions(table)] if table.port else []
    return "\n".join(lines).strip()


def questions(table: Table) -> list[str]:
    """The five questions about a table as links into the portal, as a table in Markdown.

    They hold on any host name, and under Dagster's path prefix; where the portal has another address, `MESH_PORTAL_URL` says so.
    """
    urls = address.urls(address.Address(domain=table.domain, table=table.short), _portal())
    asked = [f"[{address.QUESTIONS[word].rstrip('?')}]({url})" for word, url in urls.items()]
    heads = [word.capitalize() if word != "with" else "With what" for word in urls]
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", f"| {' | '.join(asked)} |"]


@cache
def _portal() -> str:
    settings = Settings()
    return settings.portal_url or settings.portal_prefix


def is_warning(mode: OnFailure) -> bool:
    """Whether a reader only wants to be told when its expectations fail."""
    return mode is OnFailure.WARN


def _severity(item: Mapping[str, Any], *, warn_only: bool) -> dg.AssetCheckSeverity:
    # A rule that has set rows aside is one of severity error, and still its version is published.
    warning = warn_only or item["severity"] == Severity.WARNING.value or item["status"] == "warn"
    return dg.AssetCheckSeverity.WARN if warning else dg.AssetCheckSeverity.ERROR


def _sample(rows: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    names = list(dict.fromkeys(name for row in rows for name in row))
    records = [dg.TableRecord({name: _cell(row.get(name)) for name in names}) for row in rows]
    return dg.MetadataValue.table(records, schema=dg.TableSchema([dg.TableColumn(name) for name in names]))


def _cell(value: object) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _column(name: str, kind: str, known: Column | None, sure: set[tuple[Kind, str]]) -> dg.TableColumn:
    if known is None:
        return dg.TableColumn(name, kind)
    filled = (Kind.REQUIRED, name) in sure or (Kind.PRIMARY_KEY, name) in sure
    constraints = dg.TableColumnConstraints(nullable=not filled, unique=(Kind.UNIQUE, name) in sure)
    unit = f" [{known.unit}]" if known.unit else ""
    tags = {tag: "" for tag in known.tags if tag.replace("_", "").replace("-", "").isalnum()}
    if known.classification:
        tags["classification"] = known.classification
    return dg.TableColumn(
        name, kind, description=f"{known.description}{unit}" or None, constraints=constraints, tags=tags
    )


def freshness_policy(table: Table) -> dg.FreshnessPolicy | None:
    """The promise of a table, in Dagster's words; what was only learned, or is a schedule, is none."""
    expected = promised(table.contract, table.expected_by)
    if expected is None:
        return None
    if expected.within is not None:
        return dg.FreshnessPolicy.time_window(fail_window=max(expected.within, SHORTEST))
    return dg.FreshnessPolicy.cron(
        deadline_cron=expected.cron, lower_bound_delta=expected.lower, timezone=expected.zone
    )
