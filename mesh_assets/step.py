"""One step of one run: what it sees at its pin, whether there is anything to build, and what is recorded of it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from mesh_assets import modules, order
from mesh_assets.admission import NotAdmittedError, Reading, read, spelt
from mesh_assets.audit.result import Result
from mesh_assets.domain import Table
from mesh_assets.environment import TRIED, Environment
from mesh_assets.errors import MeshError, Superseded
from mesh_assets.ledger import Attempt, Record, Version
from mesh_assets.partitions import Partition, whole

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of one run: what it sees.

    Attributes:
        seen: Every table at the pin, and what this run has published itself.
        con: A connection of its own.
        closure: Build only what has changed since it was last tried.
        retry: What failed on the same inputs is tried again.
        full: An incremental table is loaded whole, as if for the first time.
        replay: The version to which rows out of quarantine are added; nothing is read again.
    """

    env: Environment
    run: str
    pin: int
    seen: Mapping[str, order.Seen]
    con: "duckdb.DuckDBPyConnection"
    closure: bool = False
    retry: bool = False
    full: bool = False
    partition: Partition | None = None
    replay: Version | None = None
    started: float = field(default_factory=time.monotonic)

    def covers(self, table: Table) -> bool:
        """Whether this step builds every partition of the table so far."""
        if self.partition is None or table.partitions is None:
            return True
        there = whole(table.partitions, datetime.now(UTC).date(), closed=table.closed_partitions)
        return there is None or self.partition.covers(there)

    def settles(self, table: Table) -> bool:
        """Whether the table is up to date after this step: it builds all of it, or all that has changed since it was."""
        if self.partition is None or self.covers(table):
            return True
        changed = self.env.changed(table, self.seen, self.env.last_tried(table.name))
        return changed is not None and all(self.partition.covers(days) for days in changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one table in one run.

    Attributes:
        status: `published`; `unchanged` (nothing new, the last version is confirmed); `held` (a test of it failed, or
            an input was not admitted); `skipped` (its inputs are not ready); `failed` (its code did not give a table).
        version: The version that readers see now; None when there is none.
        quarantine: Where the files of a held candidate are.
        quarantined: Of a version: how many rows were staged, published and put into quarantine, and how many wait there.
    """

    table: str
    status: str
    version: int | None = None
    rows: int | None = None
    seconds: float = 0.0
    results: tuple[Result, ...] = ()
    readings: Mapping[str, Reading] = field(default_factory=dict)
    pin: int = 0
    fingerprint: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    message: str = ""
    quarantine: str = ""
    quarantined: Mapping[str, Any] = field(default_factory=dict)


def begin(
    env: Environment,
    run: str,
    con: "duckdb.DuckDBPyConnection",
    *,
    closure: bool = False,
    retry: bool = False,
    full: bool = False,
    partition: Partition | None = None,
) -> Step:
    """Pin: the snapshot that the whole run reads at, and what this step sees there."""
    pin = env.pin(run)
    env.sync()
    seen = env.seen(upto=pin, run=run)
    return Step(
        env=env, run=run, pin=pin, seen=seen, con=con, closure=closure, retry=retry, full=full, partition=partition
    )


def prepare(
    step: Step, table: Table, *, together: frozenset[str] = frozenset()
) -> tuple[Mapping[str, Reading], order.Attempt] | Outcome:
    """What the table reads in this step; or, when there is nothing to build, what came of it.

    Args:
        together: Tables that the same step builds; they are not read from the lake.
    """
    env = step.env
    inputs = [name for name in table.inputs if name not in together]
    tried = order.attempt(env.mesh, table.name, step.seen, raw=env.raw(table), run=step.run)
    if not step.settles(table):
        tried = of_a_part(env.last_tried(table.name))
    others = [name for name in table.references if name in env.mesh.tables and name not in together]
    if missing := [name for name in (*inputs, *others) if name not in step.seen]:
        return end(step, table, tried, "skipped", f"waits for {', '.join(map(spelt, missing))}: never published")
    try:
        readings = {name: read(env, table.domain, name, step.seen, step.run, step.con) for name in inputs}
    except NotAdmittedError as error:
        return end(step, table, replace(tried, failed=True), "held", str(error))
    held = frozenset(name for name, reading in readings.items() if reading.held)
    if not together and (found := order.disagreement(env.mesh, table.name, step.seen, held=held)):
        return end(step, table, tried, "skipped", disagreeing(found))
    if step.closure and step.covers(table) and not together:
        return _confirm(step, table, readings, tried) or (readings, tried)
    return readings, tried


def failed(env: Environment, table: Table, *, run: str, message: str, status: str = "failed") -> None:
    """Keep that a table could not be built in this run, where its code runs outside of `build`.

    Nothing is added when the run has already recorded what came of the table.
    """
    if any(attempt.table == table.name for attempt in env.ledger.of_run(run)):
        return
    with env.lake.session() as con:
        step = begin(env, run, con)
        tried = order.attempt(env.mesh, table.name, step.seen, raw=env.raw(table), failed=True, run=run)
        end(step, table, tried, status, first_lines(message))


def interrupting(error: BaseException | None) -> BaseException | None:
    """The interrupt behind an error; None where there is none, and where it is the error itself.

    DuckDB makes a `RuntimeError` of the Ctrl-C that reaches it within a query: nothing was wrong with the query.
    """
    if not isinstance(error, RuntimeError):
        return None
    behind = error.__cause__ or error.__context__
    return behind if behind is not None and not isinstance(behind, Exception) else None


class kept_if_it_fails:  # noqa: N801 - reads as a word in `with`
    """Keep that a table's code failed on these inputs, so that the same is not tried for ever."""

    def __init__(self, step: Step, tried: Sequence[tuple[Table, order.Attempt]]) -> None:
        self._step = step
        self._tried = tried

    def _is_published(self, table: Table) -> bool:
        """The commit stands, whatever went wrong after it."""
        step = self._step
        step.env.sync()
        newest = step.env.ledger.history(table.name, limit=1)
        return bool(newest) and newest[0].run == step.run

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        """Whatever a domain's code raises; a kill or an interrupt leaves no trace, and the table stays due."""
        if (interrupt := interrupting(error)) is not None:
            raise interrupt from None
        if isinstance(error, Exception) and not isinstance(error, Superseded):
            recorded = {attempt.table for attempt in self._step.env.ledger.of_run(self._step.run)}
            for table, tried in self._tried:
                if table.name in recorded or self._is_published(table):
                    continue
                end(self._step, table, replace(tried, failed=True), "failed", _words(self._step.env, table, error))


def _words(env: Environment, table: Table, error: Exception) -> str:
    """Why a table's code gave no table; of what its team's own Python raised, the line as well."""
    own = (
        "" if isinstance(error, MeshError) else modules.said(error, env.mesh.domains[table.domain].path, env.mesh.root)
    )
    return first_lines(own or str(error)) or type(error).__name__


def of_a_part(before: order.Attempt | None) -> order.Attempt:
    """A few partitions are not the table: it stands where it stood, and is due for whatever it was due for."""
    if before is None or before.failed:
        return order.Attempt(inputs={}, code="", contract="")
    return before


def _confirm(step: Step, table: Table, readings: Mapping[str, Reading], tried: order.Attempt) -> Outcome | None:
    """The last version again, when there is no reason to build; it stands for the newer generation from now on."""
    env = step.env
    last, before = step.seen.get(table.name), env.last_tried(table.name)
    known = {table.name: before} if before else {}
    # A run takes a table along that is not eager only because its time has come, or a person asked for it.
    asked = frozenset() if table.automation == "eager" else frozenset({table.name})
    state = order.State(seen=step.seen, tried=known, raw={table.name: tried.raw}, ticked=asked)
    if order.reason_to_build(env.mesh, table.name, state, retry_failed=step.retry):
        return None
    if last is None or before is None or before.failed:
        return end(step, table, tried, "skipped", "failed before on the same inputs, and nothing has changed since")
    version = next(item for item in env.ledger.history(table.name) if item.version == last.version)
    held = frozenset(name for name, reading in readings.items() if reading.held)
    generation = order.generation(env.mesh, table.name, step.seen, last.fingerprint, held=held)
    tested = env.ledger.attempts(outcomes=("published", "unchanged"), table=table.name).get(table.name)
    before_it = {key: value for key, value in version.record.items() if key != "own"}
    record: Record = {
        **cast("Record", before_it),
        **({"tests": tested.record["tests"]} if tested and "tests" in tested.record else {}),
        **read_record(readings),
        "generation": dict(generation),
        "version": last.version,
    }
    outcome = end(step, table, tried, "unchanged", "nothing has changed", record)
    return replace(
        outcome,
        rows=version.record.get("rows"),
        fingerprint=last.fingerprint,
        columns=tuple((name, kind) for name, kind in version.record.get("columns", ())),
    )


def end(
    step: Step, table: Table, tried: order.Attempt, status: str, message: str, record: Record | None = None
) -> Outcome:
    """Record the attempt, whatever came of it; of a run that another has overtaken, that it was."""
    env = step.env
    if status in TRIED and (newer := overtaken(step, table.name)):
        status, message = "skipped", newer
    seconds = round(time.monotonic() - step.started, 3)
    version = step.seen[table.name].version if table.name in step.seen else None
    told = {
        "version": version,
        **(record or {}),
        **basis(tried),
        "message": message,
        "seconds": seconds,
        "pin": step.pin,
    }
    if step.partition and table.partitions:
        told["days"] = [step.partition.start, step.partition.end]
    attempt = Attempt(table=table.name, run=step.run, outcome=status, head=env.lake.head(), record=cast("Record", told))
    env.ledger.attempted(attempt)
    return Outcome(table=table.name, status=status, version=version, seconds=seconds, pin=step.pin, message=message)


def overtaken(step: Step, table: str) -> str:
    """What is said where a run that read newer data has tried the table since, whatever came of it; else nothing.

    Who is taken for dead and is not comes back late. What it has made is older than what the other has found.
    """
    last = step.env.ledger.attempts(outcomes=TRIED, table=table).get(table)
    if last is None or last.run == step.run or not step.pin < (last.record.get("pin") or 0) <= step.env.lake.head():
        return ""
    return f"{spelt(table)} was tried by a run that read newer data (pin {last.record['pin']}, ours {step.pin})"


def basis(tried: order.Attempt) -> Record:
    """What was tried, as `due` compares it."""
    return {"tried": dict(tried.inputs), "code": tried.code, "contract": tried.contract, "raw": tried.raw}


def read_record(readings: Mapping[str, Reading]) -> Record:
    """What was read, and what of it was held back."""
    items = readings.values()
    return {
        "inputs": {item.table: {"version": item.version, "fingerprint": item.fingerprint} for item in items},
        "held": sorted(item.table for item in items if item.held),
    }


def disagreeing(found: order.Disagreement) -> str:
    """The sentence of two inputs that are of different generations."""
    return f"{spelt(found.one)} and {spelt(found.other)} disagree on {spelt(found.root)}"


def first_lines(text: str) -> str:
    """As much of an error as a list of tables has room for."""
    return "\n".join(text.strip().splitlines()[:5])
