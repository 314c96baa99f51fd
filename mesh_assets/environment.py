"""One environment: a mesh with its lake and its ledger, and what the three say together."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mesh_assets import graph, order, pipelines, raw
from mesh_assets.audit.contents import Contents, Knowledge
from mesh_assets.contract import Contract
from mesh_assets.domain import InputPort, LakeConfig, Mesh, OnFailure, Table
from mesh_assets.errors import RunError, UsageError
from mesh_assets.lake import Commit, Lake, Publication
from mesh_assets.launches import Backfill, Backfills, Launches
from mesh_assets.ledger import Attempt, Ledger, Record, Version
from mesh_assets.partitions import Partition, aligned, changed_between, hull, joined, reached
from mesh_assets.settings import Settings
from mesh_assets.verdicts import Verdicts

if TYPE_CHECKING:
    import duckdb

MASKS = "masks.json"
"""In the home of a kitchen that masks: its key, and which columns."""
SYNTHETIC = "synthetic"
"""In the home of a kitchen of synthetic rows: a file of them for each source, and what is known of the kitchen as it was opened."""
TRIED = ("unchanged", "held", "failed", "cancelled")
"""Outcomes of an attempt that count as tried, beside a version."""


MANIFEST, PARSED = "manifest.json", "partial_parse.msgpack"
"""What dbt has said of a project, and what it starts from the next time (seconds become half a second); in the home by domain and content."""


def inherit_parsed(source: Path, target: Path) -> None:
    """Give a home what another one knows of dbt projects: it holds for their content, and asking again takes seconds."""
    for known in (file for name in (MANIFEST, PARSED) for file in (source / "dbt").glob(f"*/*/{name}")):
        kept = target / known.relative_to(source)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(known, kept)


def synthetic_file(home: Path, table: str) -> Path:
    """Where the synthetic rows of a source are, in a kitchen that has them."""
    return home / SYNTHETIC / f"{table}.parquet"


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
        _make(home)
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
        on_time = ticked(self.mesh, times, moment or datetime.now(UTC)) | asked
        again, behind, retried = self._backfilled(seen, tried, times)
        hashes = self.ledger.hashes()
        files = {table.name: self.raw(table, hashes) for table in self.mesh.tables.values() if table.watched}
        return order.State(
            seen=seen,
            tried=tried | self._refused(seen, tried),
            running={**self.ledger.building(), **(running or {})},
            ticked=on_time | behind | retried,
            raw=files,
            retried=asked | retried,
            asked_parts={name: told for name, (told, _) in again.items()},
            parts=self._parts(seen, tried, on_time, {name: days for name, (_, days) in again.items()}),
            paused=frozenset(
                name for one in Launches(self.ledger.store).paused() for name in (one, *self.mesh.parts(one))
            ),
        )

    def _asked_for(self, times: Mapping[str, datetime]) -> frozenset[str]:
        """Tables that launches of pipelines need and that were not tried since."""
        found: set[str] = set()
        for launch in Launches(self.ledger.store).going_on():
            if pipeline := self.mesh.pipelines.get(launch.pipeline):
                names = pipelines.scope(self.mesh, pipeline)
                found.update(name for name in names if name not in times or times[name] < launch.moment)
        return frozenset(found)

    def _backfilled(
        self,
        seen: Mapping[str, order.Seen],
        tried: Mapping[str, order.Attempt],
        times: Mapping[str, datetime],
    ) -> tuple[dict[str, tuple[str, Partition]], frozenset[str], frozenset[str]]:
        """What backfills still ask for.

        Returns:
            Tables with the sentence that says so and the days that are wanted; tables downstream of theirs of which an
            input has changed: they do not wait for their schedule; and those downstream that had failed, or were cancelled,
            before it was asked for: they are tried again.
        """
        again: dict[str, tuple[str, Partition]] = {}
        behind: set[str] = set()
        retried: set[str] = set()
        edges = graph.graph_of(self.mesh)
        for backfill in Backfills(self.ledger.store).going_on():
            table = self.mesh.tables.get(backfill.table)
            if table is None or table.partitions is None:
                continue
            if self.filled(backfill) is None:
                said, days = again.get(table.name, ("", backfill.days))
                told = f"{said} and " if said else ""
                again[table.name] = (
                    f"{told}backfill {backfill.id[:8]} of {backfill.days}",
                    joined(days, backfill.days),
                )
            after = graph.downstream(edges, [table.name])
            behind.update(name for name in after if self._has_new_inputs(name, seen, tried))
            retried.update(
                name for name in after if name in tried and tried[name].failed and times[name] < backfill.moment
            )
        return again, frozenset(behind), frozenset(retried)

    def filled(self, backfill: Backfill) -> Attempt | None:
        """The last try of a backfill's own table with these days, since it was asked for; None when there was none yet.

        What comes after that table is judged by its inputs.
        """
        tries = self.ledger.tries(table=backfill.table, since=backfill.at, outcomes=("published", *TRIED))
        return next((attempt for attempt in tries if _covers(attempt, backfill)), None)

    def _has_new_inputs(self, name: str, seen: Mapping[str, order.Seen], tried: Mapping[str, order.Attempt]) -> bool:
        before = tried[name].inputs if name in tried else {}
        return any(
            item in seen and seen[item].fingerprint != before.get(item) for item in self.mesh.tables[name].inputs
        )

    def _parts(
        self,
        seen: Mapping[str, order.Seen],
        tried: Mapping[str, order.Attempt],
        on_time: frozenset[str],
        again: Mapping[str, Partition],
    ) -> dict[str, Partition]:
        """Which days to build of each table of which not all is to be built."""
        found = {}
        for name, table in self.mesh.tables.items():
            eager = table.automation == "eager"
            if table.partitions is None or (name in on_time and not eager):
                continue  # whose time has come is built whole: its code may look at the clock, or outside
            changed = self.changed(table, seen, tried.get(name))
            if changed is None and (eager or name not in tried):
                continue  # all of it is due anyway
            days = hull([*(changed or ()), *([again[name]] if name in again else [])])
            if days and (days := aligned(table.partitions, days, _today(), closed=table.closed_partitions)):
                found[name] = days
        return found

    def changed(
        self, table: Table, seen: Mapping[str, order.Seen], last: order.Attempt | None
    ) -> tuple[Partition, ...] | None:
        """The days of a table with partitions that must be built again for it to be up to date; none: it is.

        Args:
            table: The table.
            seen: Every table now, or at a pin.
            last: What it was last tried on.

        Returns:
            None when it is not known, and all of it must be built: its code or its contract is another, it failed, it reads
            a version that its port holds on to, or an input has changed for which no mapping is declared, or as a whole.
        """
        mine = seen.get(table.name)
        if table.partitions is None or last is None or last.failed or mine is None or mine.held:
            return None
        if (last.code, last.contract) != (table.code, order.promises(self.mesh, table.name)):
            return None
        found: list[Partition] = []
        for name in table.inputs:
            if name not in seen or name not in last.inputs:
                return None
            if seen[name].fingerprint == last.inputs[name]:
                continue
            mapping, input_ = table.mappings.get(name), self.mesh.tables.get(name)
            if mapping is None or input_ is None or input_.partitions is None:
                return None
            days = self._changed_between(name, last.inputs[name], seen[name].version)
            if days is None:
                return None
            found += [reached(mapping, input_.partitions, one) for one in days]
        there = (aligned(table.partitions, one, _today(), closed=table.closed_partitions) for one in found)
        return tuple(one for one in there if one)

    def _changed_between(self, name: str, before: str, upto: int) -> tuple[Partition, ...] | None:
        versions = [
            (version.record["fingerprint"], *_replaced(version.record))
            for version in self.ledger.history(name)
            if version.version <= upto
        ]
        return changed_between(versions, before)

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

    def synthetic(self, table: Table) -> Path | None:
        """The file that a source is loaded from here instead of its own: in a kitchen of synthetic rows.

        Raises:
            RunError: The kitchen has no rows for it; real ones are not let in.
        """
        if not table.watched or not (self.home / SYNTHETIC).is_dir():
            return None
        file = synthetic_file(self.home, table.name)
        if file.is_file():
            return file
        named = table.name.replace(".", "/", 1)
        raise RunError(
            f"{named} has no synthetic rows: it was no source when this kitchen was opened\n"
            "    Try a new source in a kitchen without --synthetic."
        )

    def raw(self, table: Table, known: Mapping[str, tuple[str, str]] | None = None) -> str:
        """Content hash of a source's files now, or of an external table; empty for other tables, and where nothing is there.

        Args:
            table: The source.
            known: Hashes of files seen before; default: the ledger's.
        """
        if not table.watched or table.engine:
            return ""
        if (self.home / SYNTHETIC).is_dir():  # its rows are not changed as long as the kitchen is open
            file = synthetic_file(self.home, table.name)
            return f"{SYNTHETIC}-{file.stat().st_size}" if file.is_file() else SYNTHETIC
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


def _make(home: Path) -> None:
    """The home is made here, so that what keeps it from being one is not taken for a fault of the lake."""
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file" if home.is_file() else error.strerror
        mend = "Correct MESH_HOME, or take it out: without it, the home is `.mesh` beside mesh.yaml."
        raise RunError(f"{home} cannot be the home of the mesh: {reason}\n    {mend}") from None


def home_of(mesh: Mesh, settings: Settings | None = None) -> Path:
    """Folder of everything that the mesh keeps."""
    return ((settings or Settings()).home or mesh.root / ".mesh").resolve()


def never_published(*tables: Table) -> UsageError:
    """What to say to who wants rows that the lake has not."""
    names = [table.name.replace(".", "/", 1) for table in tables]
    if away := next((table for table in tables if table.engine), None):
        mend = "Ask there, or take `engine` out of its port: then it is copied."
        return UsageError(
            f"{away.name.replace('.', '/', 1)} stays on {away.engine}: its rows are not in the lake\n    {mend}"
        )
    return UsageError(f"{', '.join(names)} was never published\n    Build it first: mesh run {' '.join(names)}")


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


def _today() -> date:
    return datetime.now(UTC).date()


def _covers(attempt: Attempt, backfill: Backfill) -> bool:
    """Whether an attempt began since a backfill was asked for, and was for its days."""
    began = datetime.fromisoformat(attempt.at) - timedelta(seconds=attempt.record.get("seconds") or 0.0)
    start, end = attempt.record.get("days") or ("", "")
    return began >= backfill.moment and bool(end) and Partition(start=start, end=end).covers(backfill.days)


def _replaced(record: Record) -> tuple[Partition | None, str]:
    told = record.get("replaced")
    return (Partition(start=told["start"], end=told["end"]), told["of"]) if told else (None, "")


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
        failed=isinstance(newest, Attempt) and newest.outcome in ("held", "failed", "cancelled"),
        cancelled=record.get("message", "") if isinstance(newest, Attempt) and newest.outcome == "cancelled" else "",
        run=newest.run,
    )
