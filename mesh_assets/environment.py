"""One environment: a mesh with its lake and its ledger, and what the three say together."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mesh_assets import order, pipelines, raw
from mesh_assets.audit.contents import Contents, Knowledge
from mesh_assets.contract import Contract
from mesh_assets.domain import InputPort, LakeConfig, Mesh, OnFailure, Table
from mesh_assets.errors import RunError
from mesh_assets.lake import Commit, Lake, Publication
from mesh_assets.launches import Launches
from mesh_assets.ledger import Attempt, Ledger, Record, Version
from mesh_assets.settings import Settings
from mesh_assets.verdicts import Verdicts

if TYPE_CHECKING:
    import duckdb

MASKS = "masks.json"
"""In the home of a kitchen that masks: its key, and which columns."""
TRIED = ("unchanged", "held", "failed")
"""Outcomes of an attempt that count as tried, beside a version."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A mesh with its lake and its ledger. Open one per process: connections are made when they are needed."""

    mesh: Mesh
    home: Path
    lake: Lake
    ledger: Ledger

    @classmethod
    def open(cls, mesh: Mesh, settings: Settings | None = None) -> "Environment":
        """The environment that `settings` and `mesh.yaml` name; lake and ledger are created when they are not there.

        Raises:
            RunError: The lake or the ledger cannot be used.
        """
        settings = settings or Settings()
        home = home_of(mesh, settings)
        config = address(mesh.lake, settings)
        lake = Lake(home, config, author=settings.author)
        lake.create()
        return cls(mesh, home, lake, Ledger(home, config, lease_seconds=settings.lease_seconds))

    def known(
        self,
        con: "duckdb.DuckDBPyConnection",
        of: Publication | tuple[str, int],
        contract: Contract,
        related: Callable[[str], Publication | tuple[str, int] | None] = lambda _: None,
    ) -> Knowledge:
        """What the audit of a candidate, or of a table's version, may use instead of reading rows.

        Args:
            con: Of this environment's lake.
            of: What is audited.
            contract: Whose tests.
            related: What another table is read at, by `domain.table`.
        """
        columns = {column for test in contract.tests for column in test.columns}

        def other(table: str) -> Contents | None:
            found = related(table)
            return self.lake.contents(con, found, ()) if found else None

        return Knowledge(
            contents=self.lake.contents(con, of, columns), related=other, memory=Verdicts(self.ledger.store)
        )

    def sync(self) -> None:
        """Bring the ledger's index of versions up to the lake's commits."""
        indexed = self.ledger.indexed()
        if indexed > self.lake.head():
            mend = f"Bring the lake back; or, to begin anew with what there is, delete the ledger in {self.home}."
            raise RunError(f"the ledger knows version {indexed}, the lake ends at {self.lake.head()}\n    {mend}")
        self.ledger.index(_versions(self.lake.commits(after=indexed)))

    def pin(self, run: str) -> int:
        """The snapshot that `run` reads at; the first step of the run decides it."""
        return self.ledger.pin(run, self.lake.head)

    def seen(self, *, upto: int | None = None, run: str | None = None) -> dict[str, order.Seen]:
        """What every published table stands for: now, or as `run` with its pin `upto` sees it."""
        confirmed = self.ledger.attempts(outcomes=("unchanged",), upto=upto, run=run)
        versions = self.ledger.versions(upto=upto, run=run)
        return {name: _seen(version, confirmed.get(name)) for name, version in versions.items()}

    def state(self, *, running: Mapping[str, str] | None = None, moment: datetime | None = None) -> order.State:
        """What `due` judges by. Reads the lake's new commits, and the raw files whose stamp has changed.

        Args:
            running: Tables that a launched run will build, beside those that a step builds right now.
            moment: The time to judge schedules by; default: now.
        """
        self.sync()
        seen, tried, times = self.seen(), {}, {}
        versions, last = self.ledger.versions(), self.ledger.attempts(outcomes=TRIED)
        for name in {**versions, **last}:
            newest = _newest(versions.get(name), last.get(name))
            began = timedelta(seconds=newest.record.get("seconds") or 0)
            tried[name], times[name] = _tried(newest), datetime.fromisoformat(newest.at) - began
        asked = self._asked_for(times)
        hashes = self.ledger.hashes()
        files = {table.name: self.raw(table, hashes) for table in self.mesh.tables.values() if table.watched}
        return order.State(
            seen=seen,
            tried=tried | self._refused(seen, tried),
            running={**self.ledger.building(), **(running or {})},
            ticked=ticked(self.mesh, times, moment or datetime.now(UTC)) | asked,
            raw=files,
            retried=asked,
            paused=frozenset(Launches(self.ledger.store).paused()),
        )

    def _asked_for(self, times: Mapping[str, datetime]) -> frozenset[str]:
        """Tables that launches of pipelines need and that were not tried since."""
        found: set[str] = set()
        for launch in Launches(self.ledger.store).going_on():
            if pipeline := self.mesh.pipelines.get(launch.pipeline):
                names = pipelines.scope(self.mesh, pipeline)
                found.update(name for name in names if name not in times or times[name] < launch.moment)
        return frozenset(found)

    def last_tried(self, table: str) -> order.Attempt | None:
        """What one table was last tried on; None when it never was."""
        versions = self.ledger.history(table, limit=1)
        attempt = self.ledger.attempts(outcomes=TRIED, table=table).get(table)
        if not versions and attempt is None:
            return None
        return _tried(_newest(versions[0] if versions else None, attempt))

    def _refused(self, seen: Mapping[str, order.Seen], tried: Mapping[str, order.Attempt]) -> dict[str, order.Attempt]:
        """Tables whose domain has refused an input as it is now, and stops: tried, and failed, on these inputs.

        Dagster skips a step whose input port failed, so that nobody else can record it.
        """
        found = {}
        for name in self.refusals(seen):
            last, now = tried.get(name), order.attempt(self.mesh, name, seen, failed=True)
            if last is None or (last.inputs, last.code, last.contract) != (now.inputs, now.code, now.contract):
                found[name] = now
        return found

    def refusals(self, seen: Mapping[str, order.Seen]) -> dict[str, str]:
        """Tables that cannot be built because their domain refuses an input as it is now: to that input."""
        stopped = [
            (domain.name, port.table)
            for domain in self.mesh.domains.values()
            for port in domain.inputs
            if self._stops(domain.name, port, seen)
        ]
        return {
            table.name: port
            for reader, port in stopped
            for table in self.mesh.tables.values()
            if table.domain == reader and port in table.inputs
        }

    def _stops(self, reader: str, port: InputPort, seen: Mapping[str, order.Seen]) -> bool:
        """Whether the reader has refused the version on offer, and has nothing to go on with."""
        if port.contract is None or port.on_failure is OnFailure.WARN or port.table not in seen:
            return False
        version = seen[port.table].version
        verdict = self.ledger.judged(reader, port.table, version, port.contract.hash)
        if verdict is None or verdict.admitted:
            return False
        return port.on_failure is OnFailure.STOP or self.ledger.last_admitted(reader, port.table, version) is None

    def masks(self, table: str) -> tuple[frozenset[str], str]:
        """Columns of a table whose values are masked here, and with what key: in a kitchen that masks."""
        path = self.home / MASKS
        if not path.is_file():
            return frozenset(), ""
        told = json.loads(path.read_text(encoding="utf-8"))
        return frozenset(told["columns"].get(table, ())), told["key"]

    def raw(self, table: Table, known: Mapping[str, tuple[str, str]] | None = None) -> str:
        """Content hash of a source's files now, or of an external table; empty for other tables, and where nothing is there.

        Args:
            table: The source.
            known: Hashes of files seen before; default: the ledger's.
        """
        if not table.watched:
            return ""
        known = self.ledger.hashes() if known is None else known
        if table.database is not None:
            from mesh_assets import external

            whole, fresh = external.version(table.name, table.database, known)
        elif table.source is not None:
            whole, fresh = raw.content(raw.folder_of(self.mesh, table), table.source, known)
        else:
            return ""
        self.ledger.keep_hashes(fresh)
        return whole


def home_of(mesh: Mesh, settings: Settings | None = None) -> Path:
    """Folder of everything that the mesh keeps."""
    return ((settings or Settings()).home or mesh.root / ".mesh").resolve()


def contract_hash(table: Table) -> str:
    """Of the table's contract; empty when it has none."""
    return table.contract.hash if table.contract else ""


def address(config: LakeConfig, settings: Settings) -> LakeConfig:
    """Where the lake is: what the settings say goes before mesh.yaml."""
    catalog = settings.lake_catalog or config.catalog
    data, schema = settings.lake_data or config.data, settings.lake_schema or config.schema
    return replace(config, catalog=catalog, data=data, schema=schema)


def _versions(commits: Iterable[Commit]) -> list[Version]:
    return [
        Version(
            table=name,
            version=commit.version,
            run=commit.run,
            at=commit.time.isoformat(timespec="microseconds"),
            record=_dated(record, commit),
        )
        for commit in commits
        for name, record in commit.tables.items()
    ]


def _dated(record: Mapping[str, Any], commit: Commit) -> Record:
    """Inputs that were published by the same commit have its version: it was not known before."""
    inputs = {name: {**item, "version": item["version"] or commit.version} for name, item in record["inputs"].items()}
    return cast("Record", {**record, "pin": commit.pin, "inputs": inputs})


def _seen(version: Version, confirmed: Attempt | None) -> order.Seen:
    """A version stands for the generation of its last confirmation, if there was one since."""
    record = version.record
    if confirmed and confirmed.head >= version.version:
        record = confirmed.record
    return order.Seen(
        version=version.version,
        fingerprint=version.record["fingerprint"],
        inputs={name: item["fingerprint"] for name, item in record["inputs"].items()},
        generation=dict(record["generation"]),
        held=frozenset(record.get("held", ())),
    )


def ticked(mesh: Mesh, last: Mapping[str, datetime], moment: datetime) -> frozenset[str]:
    """Tables on a schedule whose time has come since they were last tried. One never tried needs no tick."""
    from croniter import croniter

    scheduled = {name: table for name, table in mesh.tables.items() if table.automation not in ("eager", "manual")}
    return frozenset(
        name
        for name, table in scheduled.items()
        if name in last and croniter(table.automation, moment).get_prev(datetime) > last[name]
    )


def _newest(version: Version | None, attempt: Attempt | None) -> Version | Attempt:
    """The later of the two, of which there is one: a version above the attempt's head was published after it."""
    if version is not None and (attempt is None or version.version > attempt.head):
        return version
    return cast("Attempt", attempt)


def _tried(newest: Version | Attempt) -> order.Attempt:
    record = newest.record
    return order.Attempt(
        inputs=dict(record["tried"]),
        code=record["code"],
        contract=record["contract"],
        raw=record.get("raw", ""),
        failed=isinstance(newest, Attempt) and newest.outcome in ("held", "failed"),
        run=newest.run,
    )
