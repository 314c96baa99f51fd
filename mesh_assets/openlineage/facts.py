"""What happened, as the ledger has it: builds of tables, and launches of pipelines. Nothing here knows OpenLineage."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mesh_assets import order, pipelines
from mesh_assets.changes.judge import cache_of
from mesh_assets.changes.lineage import Columns, Lineage, lineage
from mesh_assets.domain import Table
from mesh_assets.environment import Environment
from mesh_assets.launches import Launch
from mesh_assets.ledger import Attempt, Record, Version

Pairs = tuple[tuple[str, str], ...]
"""Columns: name and type."""


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


class Facts:
    """What the ledger of one environment knows; what was looked up once is not looked up again."""

    def __init__(self, env: Environment, launches: Iterable[Launch] = ()) -> None:
        """Facts of an environment, with the launches that what is asked of may have been built for."""
        self._env = env
        self._launches = sorted(launches, key=lambda one: (one.at, one.id))
        self._scopes: dict[str, frozenset[str]] = {}
        self._columns: dict[tuple[str, int], Pairs] = {}

    def of_attempt(self, attempt: Attempt) -> Built:
        """One attempt."""
        record, version = attempt.record, attempt.record.get("version")
        results: Sequence[Mapping[str, Any]] | None = None
        if attempt.outcome == "held":
            results = record.get("results")
        elif version is not None and attempt.outcome in ("published", "unchanged"):
            others = attempt.outcome == "published"
            results = self._env.ledger.said(attempt.table, version, attempt.run, others=others)
        end = datetime.fromisoformat(attempt.at)
        start = end - timedelta(seconds=record.get("seconds") or 0.0)
        return self._built(attempt.table, attempt.run, attempt.outcome, start, end, version, record, results)

    def of_version(self, version: Version) -> Built:
        """One version that no attempt has made: a kitchen's, or one that was put back."""
        at = datetime.fromisoformat(version.at)
        results = self._env.ledger.said(version.table, version.version, version.run, others=True)
        number, record = version.version, version.record
        return self._built(version.table, version.run, "promoted", at, at, number, record, results)

    def _built(
        self,
        name: str,
        run: str,
        outcome: str,
        start: datetime,
        end: datetime,
        version: int | None,
        record: Record,
        results: Sequence[Mapping[str, Any]] | None,
    ) -> Built:
        mesh, table = self._env.mesh, self._env.mesh.tables.get(name)
        same_code = table is not None and bool(table.code) and table.code == record.get("code")
        columns = self._columns_of(name, record)
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
            lineage=lineage(mesh, table, columns, cache_of(self._env)) if table is not None and same_code else None,
            launch=self._launch_of(name, start, end),
        )

    def _launch_of(self, name: str, start: datetime, end: datetime) -> Launch | None:
        """The launch that a table was built for: the first that went on then and needs it."""
        for launch in self._launches:
            over = bool(launch.ended) and end > datetime.fromisoformat(launch.ended)
            if launch.moment <= start and not over and name in self._scope(launch.pipeline):
                return launch
        return None

    def _scope(self, pipeline: str) -> frozenset[str]:
        if pipeline not in self._scopes:
            declared = self._env.mesh.pipelines.get(pipeline)
            self._scopes[pipeline] = frozenset(pipelines.scope(self._env.mesh, declared) if declared else ())
        return self._scopes[pipeline]

    def _columns_of(self, name: str, record: Record) -> Columns:
        """Names and types of the columns of what was read, and of what came out."""
        found: dict[str, Pairs] = {}
        for table, item in record.get("inputs", {}).items():
            number = item["version"]
            if number is None:
                continue
            if (table, number) not in self._columns:
                version = self._env.ledger.version(table, number)
                self._columns[table, number] = _pairs(version.record) if version is not None else ()
            if self._columns[table, number]:
                found[table] = self._columns[table, number]
        if record.get("columns"):
            found[name] = _pairs(record)
        return found


def _pairs(record: Record) -> Pairs:
    return tuple((column, kind) for column, kind in record.get("columns", ()))
