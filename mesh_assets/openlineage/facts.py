"""What happened, as the ledger has it: builds of tables, and launches of pipelines. Nothing here knows OpenLineage."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from mesh_assets import order, pipelines
from mesh_assets.changes.judge import cache_of
from mesh_assets.changes.lineage import Columns, Lineage, lineage
from mesh_assets.domain import Mesh, Table
from mesh_assets.environment import Environment
from mesh_assets.launches import Launch, Launches
from mesh_assets.ledger import Attempt, Record, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """One time that a table was tried.

    Attributes:
        run: Of Dagster.
        outcome: `published`, `unchanged`, `held`, `failed` or `skipped`; `promoted` where a kitchen's files became a version.
        version: The version that readers saw afterwards; None when there was none.
        table: As the files have it now; None when they do not any more.
        same_code: The files still say how it was built then.
        same_contract: And what was promised.
        results: What its tests said in this run; None when they did not run.
        columns: Of the versions that it read, by table.
        lineage: What it reads of which column; None when that is not known.
        launch: The launch of a pipeline that it was built for.
    """

    name: str
    run: str
    outcome: str
    start: datetime
    end: datetime
    version: int | None
    record: Record
    table: Table | None = None
    same_code: bool = False
    same_contract: bool = False
    results: Sequence[Mapping[str, Any]] | None = None
    columns: Columns = field(default_factory=dict)
    lineage: Lineage | None = None
    launch: Launch | None = None

    @property
    def succeeded(self) -> bool:
        """Whether a version came out of it, new or as it was."""
        return self.outcome in ("published", "unchanged", "promoted")

    @property
    def inputs(self) -> dict[str, int | None]:
        """Tables that it read, at which version; what was on offer, where nothing was read."""
        if "inputs" in self.record:
            return {name: item["version"] for name, item in self.record["inputs"].items()}
        return dict.fromkeys(self.record.get("tried", ()))


def of_attempts(env: Environment, attempts: Iterable[Attempt]) -> tuple[Built, ...]:
    """What the ledger knows of attempts, in their order."""
    return _with_launches(env, [_of_attempt(env, each) for each in attempts])


def of_versions(env: Environment, versions: Iterable[Version]) -> tuple[Built, ...]:
    """The same of versions that no attempt has made: a kitchen's, and what was put back."""
    return _with_launches(env, [_of_version(env, each) for each in versions])


def launch_of(mesh: Mesh, launches: Iterable[Launch], built: Built) -> Launch | None:
    """The launch that a table was built for: the first that went on then and needs it."""
    for launch in sorted(launches, key=lambda one: (one.at, one.id)):
        pipeline = mesh.pipelines.get(launch.pipeline)
        if pipeline is None or built.start < launch.moment:
            continue
        if launch.ended and built.end > datetime.fromisoformat(launch.ended):
            continue
        if built.name in pipelines.scope(mesh, pipeline):
            return launch
    return None


def _with_launches(env: Environment, found: list[Built]) -> tuple[Built, ...]:
    if not found:
        return ()
    first = min(each.start for each in found).isoformat(timespec="microseconds")
    launches = Launches(env.ledger.store).since(first)
    if not launches:
        return tuple(found)
    return tuple(replace(each, launch=launch_of(env.mesh, launches, each)) for each in found)


def _of_attempt(env: Environment, attempt: Attempt) -> Built:
    record, version = attempt.record, attempt.record.get("version")
    results: Sequence[Mapping[str, Any]] | None = None
    if attempt.outcome == "held":
        results = record.get("results")
    elif version is not None and attempt.outcome in ("published", "unchanged"):
        results = env.ledger.said(attempt.table, version, attempt.run, others=attempt.outcome == "published")
    end = datetime.fromisoformat(attempt.at)
    start = end - timedelta(seconds=record.get("seconds") or 0.0)
    return _built(env, attempt.table, attempt.run, attempt.outcome, start, end, version, record, results)


def _of_version(env: Environment, version: Version) -> Built:
    at = datetime.fromisoformat(version.at)
    results = env.ledger.said(version.table, version.version, version.run, others=True)
    return _built(env, version.table, version.run, "promoted", at, at, version.version, version.record, results)


def _built(
    env: Environment,
    name: str,
    run: str,
    outcome: str,
    start: datetime,
    end: datetime,
    version: int | None,
    record: Record,
    results: Sequence[Mapping[str, Any]] | None,
) -> Built:
    mesh, table = env.mesh, env.mesh.tables.get(name)
    same_code = table is not None and bool(table.code) and table.code == record.get("code")
    columns = _columns(env, name, record)
    return Built(
        name=name,
        run=run,
        outcome=outcome,
        start=start,
        end=end,
        version=version,
        record=record,
        table=table,
        same_code=same_code,
        same_contract=table is not None and order.promises(mesh, name) == record.get("contract"),
        results=results,
        columns=columns,
        lineage=lineage(mesh, table, columns, cache_of(env)) if table is not None and same_code else None,
    )


def _columns(env: Environment, name: str, record: Record) -> Columns:
    """Names and types of the columns of what was read, and of what came out."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for table, item in record.get("inputs", {}).items():
        version = env.ledger.version(table, item["version"]) if item["version"] is not None else None
        if version is not None:
            found[table] = _pairs(version.record)
    if record.get("columns"):
        found[name] = _pairs(record)
    return found


def _pairs(record: Record) -> tuple[tuple[str, str], ...]:
    return tuple((column, kind) for column, kind in record.get("columns", ()))
