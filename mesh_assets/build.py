"""The life of a table: pin, stage, audit, publish. The one path by which anything is published.

Whoever runs it (Dagster, a test) gives a function that says how the table is computed, and tells of the outcome.
"""

import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from mesh_assets import history, order, provenance, quarantine, raw, synthetic
from mesh_assets.admission import Reading, relations, spelt
from mesh_assets.audit.contents import NOTHING_KNOWN, Knowledge
from mesh_assets.audit.execute import planned
from mesh_assets.audit.plan import Plan
from mesh_assets.audit.result import KEPT, Result, Status
from mesh_assets.audit.words import result_json
from mesh_assets.changes import judge
from mesh_assets.changes.likeness import by_data
from mesh_assets.changes.shape import shape_of
from mesh_assets.contract import Kind
from mesh_assets.domain import Load, Table, Toolchain
from mesh_assets.environment import Environment, contract_hash
from mesh_assets.errors import ConfigError, Place, RunError, Superseded
from mesh_assets.handover import unreadable
from mesh_assets.lake import Mode, Publication, Staged, masking
from mesh_assets.lake.sqltext import parquet
from mesh_assets.ledger import Input, Record
from mesh_assets.partitions import Partition
from mesh_assets.reading.source import read_text
from mesh_assets.reading.sqlplace import place_in, words_of
from mesh_assets.schemas.attached import audit
from mesh_assets.step import (
    Outcome,
    Step,
    basis,
    begin,
    disagreeing,
    end,
    kept_if_it_fails,
    overtaken,
    prepare,
    read_record,
)

if TYPE_CHECKING:
    import duckdb

NO_ROWS = quarantine.Beside()
LEASE_WAIT = 600.0
"""Seconds that a step waits for another run's step on the same table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A table's next version, staged and not yet judged.

    Attributes:
        publication: None when its toolchain left the table as it was.
        results: What its toolchain's own tests said.
        aside: Rows that are not in the publication any more, because they go into quarantine.
        own: When it was begun, and how many seconds it took, where it was built together with others.
    """

    table: Table
    readings: Mapping[str, Reading]
    tried: order.Attempt
    publication: Publication | None = None
    results: tuple[Result, ...] = ()
    aside: quarantine.SetAside | None = None
    own: Mapping[str, Any] = field(default_factory=dict)


Make = Callable[["duckdb.DuckDBPyConnection", Partition | None], str]
"""Computes a table: SQL over a connection in which every declared input is a view `domain.table`, and nothing else is."""


def build(
    env: Environment,
    table: Table,
    make: Make,
    *,
    run: str,
    closure: bool = False,
    retry: bool = False,
    full: bool = False,
    partition: Partition | None = None,
) -> Outcome:
    """Compute one table, and publish it if its tests allow.

    Args:
        env: Where it is read from and published to.
        table: What is built.
        make: How.
        run: Every step of one run reads at one snapshot.
        closure: Nothing is computed when nothing has changed since the last build: the version is confirmed.
        retry: With `closure`: a build that failed on the same inputs is tried again.
        full: An incremental table is loaded whole, as if for the first time.
        partition: Replace only this range of a partitioned table.

    Raises:
        RunError: The lake cannot be used, the table's code failed to give a table, another run builds it.
    """
    with env.ledger.lease([table.name], run, wait=LEASE_WAIT), env.lake.session() as con:
        step = begin(env, run, con, closure=closure, retry=retry, full=full, partition=partition)
        prepared = prepare(step, table)
        if isinstance(prepared, Outcome):
            return prepared
        readings, tried = prepared
        with kept_if_it_fails(step, [(table, tried)]):
            publication = _stage(step, table, readings, make)
            candidate = Candidate(table=table, readings=readings, tried=tried, publication=publication)
            return conclude(step, [candidate])[0]


def conclude(step: Step, candidates: Sequence[Candidate]) -> tuple[Outcome, ...]:
    """Audit and publish what one step has staged: all of it in one commit, or nothing of it."""
    judged = _judged(step, candidates)
    candidates = [candidate for candidate, _ in judged]
    if any(result.stops for _, results in judged for result in results):
        return tuple(_held(step, candidate, results, len(candidates)) for candidate, results in judged)
    try:
        shapes = _shapes(step, candidates)
    except BaseException:
        _discard(step, candidates)
        raise
    if any(shape.refused for shape in shapes.values()):
        return tuple(
            _held(step, candidate, results, len(candidates), shapes[candidate.table.name].refused)
            if candidate.table.name in shapes
            else _held(step, candidate, results, len(candidates))
            for candidate, results in judged
        )
    return _publish(step, judged, {name: shape.record for name, shape in shapes.items()})


def _judged(step: Step, candidates: Sequence[Candidate]) -> list[tuple[Candidate, tuple[Result, ...]]]:
    """What the tests say of the candidates, without the rows that go into quarantine.

    Clean candidates are audited once. What is set aside of one may be what another refers to, so that all are asked again.
    """
    now = list(candidates)
    try:
        for _ in range(len(candidates) + 1):
            built = {candidate.table.name: candidate for candidate in now}
            results = [_audit(step, candidate, built) for candidate in now]
            moved = False
            for place, found in enumerate(results):
                if (failing := quarantine.failing(found)) and (left := _apart(step, now[place], built, failing)):
                    now[place], moved = left, True
            if not moved:
                break
        return [
            (candidate, quarantine.told(found, candidate.aside, candidate.table))
            for candidate, found in zip(now, results, strict=True)
        ]
    except BaseException:
        _discard(step, now)
        raise


def _apart(
    step: Step, candidate: Candidate, built: Mapping[str, Candidate], found: Mapping[str, Result]
) -> Candidate | None:
    """The candidate without its failing rows; None when there is nothing to take out of it."""
    contract, publication = candidate.table.contract, candidate.publication
    if contract is None or publication is None or (candidate.aside and candidate.aside.mended is not None):
        return None
    related = _related(step, candidate, built)
    made = quarantine.apart(step, publication, contract, related, before=candidate.aside, found=found)
    return replace(candidate, publication=made[0], aside=made[1]) if made else None


def _shapes(step: Step, candidates: Sequence[Candidate]) -> Mapping[str, judge.Publishing]:
    """What the candidates' columns and promises mean for those who read them; a change that breaks a reader is refused."""
    changed = {
        each.table.name: (each.table, each.publication.staged.columns, _relation(step, each))
        for each in candidates
        if each.publication is not None and (each.publication.base is None or each.publication.mode is Mode.REPLACE)
    }
    incremental = {
        each.table.name: (each.table, _all_columns(step, each), _relation(step, each))
        for each in candidates
        if each.publication is not None and each.table.name not in changed
    }
    today = datetime.now(UTC).date()
    return judge.at_publishing(step.env, {**changed, **incremental}, run=step.run, today=today)


def _all_columns(step: Step, candidate: Candidate) -> tuple[tuple[str, str], ...]:
    """Of old and new rows together."""
    found = step.con.execute(f"DESCRIBE FROM {_relation(step, candidate)}").fetchall()
    return tuple((str(row[0]), str(row[1])) for row in found)


def test(
    env: Environment,
    table: Table,
    con: "duckdb.DuckDBPyConnection",
    *,
    version: int | None = None,
    candidate: Publication | None = None,
    cached: bool = True,
    sample: int = KEPT,
) -> tuple[Result, ...]:
    """The table's tests on a published version, or on a candidate as it would be once published.

    Args:
        env: Where it is.
        table: Whose tests.
        con: Of the environment's lake.
        version: The published version.
        candidate: What is tested instead.
        cached: What statistics and earlier verdicts say is used; else every row is read.
        sample: Failing rows of a test to show, at most.
    """
    if table.contract is None:
        return ()
    relation, related, known = _tested(env, table, con, candidate or (table.name, version or 0), cached=cached)
    found = audit(
        con,
        relation,
        table.contract,
        related=related,
        sample=sample,
        past=history.of(env, table.name, con, before=None if candidate else version),
        known=known,
    )
    return synthetic.comparable(env, table.name, found)


def explain(
    env: Environment,
    table: Table,
    con: "duckdb.DuckDBPyConnection",
    *,
    version: int | None = None,
    candidate: Publication | None = None,
    cached: bool = True,
) -> Plan | None:
    """How `test` would answer each test; nothing is read. None for a table without a contract."""
    if table.contract is None:
        return None
    relation, related, known = _tested(env, table, con, candidate or (table.name, version or 0), cached=cached)
    return planned(con, relation, table.contract, related=related, known=known)


def _tested(
    env: Environment,
    table: Table,
    con: "duckdb.DuckDBPyConnection",
    of: Publication | tuple[str, int],
    *,
    cached: bool,
) -> tuple[str, Callable[[str], str | None], Knowledge]:
    """The relation to test, other tables beside it, and what is known of them."""
    relation = env.lake.candidate(of) if isinstance(of, Publication) else env.lake.relation(*of)
    seen = env.seen()
    others = relations(env, seen)

    def read_at(name: str) -> Publication | tuple[str, int] | None:
        return of if name == table.name else (name, seen[name].version) if name in seen else None

    known = env.known(con, of, table.contract, read_at) if cached and table.contract else NOTHING_KNOWN
    return relation, lambda name: relation if name == table.name else others(name), known


def summary(results: Sequence[Result]) -> dict[str, int]:
    """How many tests passed, warned and failed; one that could not be executed counts as failed."""
    counts = {"pass": 0, "warn": 0, "fail": 0}
    for result in results:
        counts["fail" if result.status is Status.ERROR else result.status.value] += 1
    return counts


# -- stage --------------------------------------------------------------------------------------------------------------


def _stage(step: Step, table: Table, readings: Mapping[str, Reading], make: Make) -> Publication:
    """Write the result to files outside the published tables; no lock is held, however long it takes."""
    lake, con = step.env.lake, step.con
    for name, reading in readings.items():
        if reading.version is not None:
            lake.show(con, name, reading.version)
    previous = step.seen.get(table.name)
    incremental = table.load is not Load.FULL
    keeps_rows = incremental or (step.partition is not None and not step.covers(table))
    base = previous.version if previous and keeps_rows and not step.full else None
    staged = _compute(step, table, make, base)
    if base is not None and (odd := does_not_fit(dict(lake.columns(con, table.name, base)), staged)):
        lake.discard(staged)
        mend = f"Load it whole, if its inputs still hold every row: mesh run {spelt(table.name)} --force"
        raise RunError(f"{spelt(table.name)} keeps its old rows, and {odd}\n    {mend}")
    if base is None:
        return Publication(staged=staged, record={}, mode=Mode.REPLACE)
    if step.partition and table.partitions:
        range_ = (table.partitions.by, step.partition.start, step.partition.end)
        return Publication(staged=staged, record={}, mode=Mode.PARTITION, partition=range_, base=base)
    mode = Mode.APPEND if table.load is Load.APPEND else Mode.UPSERT
    return Publication(staged=staged, record={}, mode=mode, key=table.key, base=base)


def does_not_fit(old: Mapping[str, str], staged: Staged) -> str:
    """Why new rows cannot stand beside the old ones; a column more can, it is empty in these."""
    new = dict(staged.columns)
    if gone := [name for name in old if name not in new]:
        return f"column `{gone[0]}` is gone from the new ones"
    changed = [name for name in old if new[name] != old[name]]
    return f"column `{changed[0]}` is {new[changed[0]]} now, it was {old[changed[0]]}" if changed else ""


def _compute(step: Step, table: Table, make: Make, base: int | None) -> Staged:
    columns = table.contract.columns if table.contract else ()
    if table.load is not Load.FULL:
        _show_this(step, table, base)
    file = step.env.synthetic(table)
    query = make(step.con, step.partition) if file is None else f"FROM {parquet((str(file),))}"
    with _explained(step, table):
        if table.watched and file is None:
            query = _masked(step, table, query)
        return step.env.lake.stage(step.con, table.name, query, columns=columns)


def _masked(step: Step, table: Table, query: str) -> str:
    """What is read from raw files, in a kitchen that masks; everything else there is masked already."""
    names, key = step.env.masks(table.name)
    if not names or table.contract is None:
        return query
    there = {str(row[0]) for row in step.con.execute(f"DESCRIBE FROM (\n{query}\n)").fetchall()}
    types = {column.name: column.type for column in table.contract.columns if column.name in names & there}
    return masking.masked(f"(\n{query}\n)", types, key)


@contextmanager
def _explained(step: Step, table: Table) -> Generator[None]:
    """Where the file is that has to be mended, when a table cannot be computed."""
    import duckdb

    mesh = step.env.mesh
    if table.source is not None:
        with raw.explained(raw.folder_of(mesh, table), table.source):
            yield
        return
    try:
        yield
    except duckdb.Error as error:
        if table.program is not None and not isinstance(
            error, (duckdb.OutOfMemoryException, duckdb.InterruptException)
        ):
            raise unreadable(spelt(table.name), step.env.home / "steps" / table.name / step.run, error) from None
        if table.toolchain is not Toolchain.SQL:
            raise
        where = table.path.relative_to(mesh.root) if table.path.is_relative_to(mesh.root) else table.path
        told = words_of(str(error))
        if not isinstance(error, (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)):
            told = without_values(step, table, told)
        text = table.path.read_text(encoding="utf-8")
        found = place_in(_located(step, error, text), text, above=1)
        place = Place(str(where), *found) if found else where
        raise RunError(f"{place}: {told}") from None


def _located(step: Step, error: Exception, text: str) -> str:
    """The error with the line that it is about; of a query that is bound as a relation DuckDB does not say it."""
    import duckdb

    if "\nLINE " in str(error):
        return str(error)
    query = text.rstrip().rstrip(";")
    try:
        step.con.execute(f"DESCRIBE FROM (\n{query}\n)")
    except duckdb.Error as again:
        return str(again)
    return str(error)


def without_values(step: Step, table: Table, told: str) -> str:
    """DuckDB quotes the value that it stumbled over: not where that may be one which nobody may see."""
    tables = [step.env.mesh.tables[name] for name in (table.name, *table.inputs) if name in step.env.mesh.tables]
    if any(each.contract and each.contract.masked for each in tables):
        return re.sub(r"'[^']*'|\"[^\"]*\"", "'•••'", told)
    return told


def _show_this(step: Step, table: Table, version: int | None) -> None:
    """`this`: the table's own last version; before the first one an empty table of the contract's columns."""
    step.con.execute("DROP VIEW IF EXISTS this")
    if version is not None:
        step.env.lake.show(step.con, table.name, version, as_name="this")
    elif table.contract and table.contract.columns:
        empty = ", ".join(f'NULL::{column.type} AS "{column.name}"' for column in table.contract.columns)
        step.con.execute(f"CREATE VIEW this AS SELECT {empty} WHERE false")


# -- audit --------------------------------------------------------------------------------------------------------------


def _audit(step: Step, candidate: Candidate, built: Mapping[str, Candidate]) -> tuple[Result, ...]:
    """The contract's tests on what would be published; the toolchain's own results come after them."""
    contract, publication = candidate.table.contract, candidate.publication
    if contract is None:
        return candidate.results
    if publication is None and candidate.table.name not in step.seen:
        return candidate.results
    relation = _relation(step, candidate)
    of = publication or (candidate.table.name, step.seen[candidate.table.name].version)
    found = audit(
        step.con,
        relation,
        contract,
        related=_related(step, candidate, built),
        lost=publication.staged.lost if publication else {},
        lost_sample=publication.staged.lost_sample if publication else {},
        past=history.of(step.env, candidate.table.name, step.con, before=step.pin + 1),
        known=step.env.known(step.con, of, contract, lambda name: _read_at(step, candidate, built, name)),
    )
    return synthetic.comparable(step.env, candidate.table.name, (*found, *candidate.results))


def _related(step: Step, candidate: Candidate, built: Mapping[str, Candidate]) -> Callable[[str], str | None]:
    """SQL of other tables. What is built together, the table itself among it, is compared as it would be."""
    others = relations(step.env, step.seen, candidate.readings)
    return lambda name: _relation(step, built[name]) if _is_there(step, built, name) else others(name)


def _read_at(
    step: Step, candidate: Candidate, built: Mapping[str, Candidate], name: str
) -> Publication | tuple[str, int] | None:
    """What stands behind the relation of another table that a test refers to."""
    if _is_there(step, built, name) and built[name].publication:
        return built[name].publication
    reading = None if name in built else candidate.readings.get(name)
    if reading is not None and reading.version is not None:
        return name, reading.version
    return (name, step.seen[name].version) if name in step.seen else None


def _is_there(step: Step, built: Mapping[str, Candidate], name: str) -> bool:
    return name in built and (built[name].publication is not None or name in step.seen)


def _relation(step: Step, candidate: Candidate) -> str:
    """The table as it would be once published; as it is, when its toolchain left it so."""
    if candidate.publication is not None:
        return step.env.lake.candidate(candidate.publication)
    name = candidate.table.name
    return step.env.lake.relation(name, step.seen[name].version)


def _held(step: Step, candidate: Candidate, results: tuple[Result, ...], of: int, refused: str = "") -> Outcome:
    """Keep the candidate as quarantine, and readers at the last good version."""
    table, publication = candidate.table, candidate.publication
    tried = replace(candidate.tried, failed=True)
    stopping = _first_causes(results)
    if step.replay is not None:  # the rows wait on, and the table stands where it stood
        _discard(step, [candidate])
        said = refused or "; ".join(map(_finding, stopping))
        message = f"nothing of {spelt(table.name)} is replayed: {said}"
        return Outcome(table=table.name, status="held", pin=step.pin, results=results, message=message)
    if candidate.aside is not None and publication is not None:  # all of it is kept, for its owner to mend
        quarantine.forget(step, candidate.aside, whole=False)
        with suppress(OSError):
            step.env.lake.discard(publication.staged)
        candidate = replace(candidate, publication=candidate.aside.whole, aside=None)
        publication = candidate.publication
    if not stopping and not refused:
        _discard(step, [candidate])
        said = f"was built together with {of - 1} others, of which one is held; it is published with the next run"
        return end(step, table, candidate.tried, "skipped", said)
    hints = _other_names(step, candidate, stopping)
    folder = step.env.lake.quarantine(publication.staged, step.run) if publication else None
    version = step.seen[table.name].version if table.name in step.seen else None
    kept = f"readers keep version {version}" if version is not None else "it has no earlier version"
    said = refused or f"{spelt(table.name)} is held, {kept}: {'; '.join(map(_finding, stopping))}{hints}"
    record: Record = {
        "results": [result_json(result, table.name) for result in results],
        "quarantine": sorted(str(path) for path in folder.glob("*.parquet")) if folder else [],
        "rows": publication.staged.rows if publication else None,
        "candidate": _as_kept(publication),
        "tests": summary(results),
        **read_record(candidate.readings),
        **_own(candidate),
    }
    outcome = end(step, table, tried, "held", said, record)
    columns = publication.staged.columns if publication else ()
    return replace(outcome, results=results, readings=candidate.readings, columns=columns, quarantine=str(folder or ""))


def _other_names(step: Step, candidate: Candidate, stopping: Sequence[Result]) -> str:
    """For a column that is missing: the one that looks like it among those that are new; in lines of its own."""
    table, publication = candidate.table, candidate.publication
    if publication is None or table.name not in step.seen or all(r.test.kind is not Kind.COLUMNS for r in stopping):
        return ""
    lake, version = step.env.lake, step.seen[table.name].version
    shapes = shape_of(table, lake.columns(step.con, table.name, version)), shape_of(table, publication.staged.columns)
    found = by_data(step.con, table.name, shapes, (lake.relation(table.name, version), _relation(step, candidate)))
    mend = "Give it its old name back, or call it so in the contract, with `cameFrom`."
    return "".join(f"\n    {one.asks} {one.why}. {mend}" for one in found)


def _as_kept(publication: Publication | None) -> dict[str, Any]:
    """How the candidate's files were to meet the published rows, so that it can be tested again."""
    if publication is None:
        return {}
    return {
        "mode": str(publication.mode),
        "key": list(publication.key),
        "partition": list(publication.partition or ()),
        "base": publication.base,
        "columns": [list(column) for column in publication.staged.columns],
    }


def kept(table: str, files: Sequence[str], record: Record) -> Publication:
    """A held candidate again, from what was kept of it."""
    said = record.get("candidate") or {}
    partition = tuple(said.get("partition") or ())
    columns = tuple((name, kind) for name, kind in said.get("columns", ()))
    return Publication(
        staged=Staged(table=table, files=tuple(files), rows=record.get("rows") or 0, columns=columns),
        record={},
        mode=Mode(said.get("mode", "replace")),
        key=tuple(said.get("key") or ()),
        partition=cast("tuple[str, str, str]", partition) if partition else None,
        base=said.get("base"),
    )


def _first_causes(results: Sequence[Result]) -> list[Result]:
    """What holds a candidate; tests that could not be executed, because a column is missing, only when nothing else does."""
    stopping = [result for result in results if result.stops]
    return [result for result in stopping if result.status is not Status.ERROR] or stopping


def _finding(result: Result) -> str:
    if result.status is Status.ERROR:
        return result.message or f"{result.test.name} could not be executed"
    found = result.message or f"{result.failing_rows} of {result.total_rows} rows"
    return f"{result.test.name} failed ({found.rstrip('.')})"


# -- publish ------------------------------------------------------------------------------------------------------------


def _publish(
    step: Step, judged: Sequence[tuple[Candidate, tuple[Result, ...]]], shapes: Mapping[str, Mapping[str, Any]]
) -> tuple[Outcome, ...]:
    """One commit for everything that is new; what came out unchanged is confirmed, what is not ready is left."""
    env, head = step.env, step.env.lake.head()
    seen, latest = dict(step.seen), env.seen()
    outcomes, confirmed, new, unmoved = [], [], [], {}
    for staged, results in judged:
        candidate = _read_together(staged, seen)
        table = candidate.table
        if step.replay is None and (not_ready := _not_ready(step, candidate, seen)):
            _discard(step, [candidate])
            outcomes.append(not_ready)
            continue
        relation = _relation(step, candidate)
        fingerprint = env.lake.fingerprint(step.con, relation)
        rows = _count(step, relation)
        beside = quarantine.beside(step, candidate.publication, candidate.aside) if candidate.publication else NO_ROWS
        record = _version_record(step, candidate, results, seen, fingerprint, rows)
        if beside.record:
            record["quarantined"] = dict(beside.record)
        same = table.name in latest and latest[table.name].fingerprint == fingerprint and not beside.publication
        made = candidate.publication
        if made and table.name in latest and _has_lost_files(step, made, latest[table.name].version):
            same = False  # also the same rows are published: as they are, nobody can read them
            candidate = replace(candidate, publication=replace(made, anew=True))
        version = latest[table.name].version if same else None
        seen[table.name] = order.Seen(
            version=version or 0,  # of this very commit: nobody asks for it by number before there is one
            fingerprint=fingerprint,
            inputs={name: item["fingerprint"] for name, item in record["inputs"].items()},
            generation=record["generation"],
            held=frozenset(record["held"]),
        )
        if same:
            confirmed.append(candidate)
        elif candidate.publication is not None:
            told = cast("Record", {**record, **shapes.get(table.name, {})})
            new.append(replace(candidate.publication, record=told))
            if beside.publication is not None:
                new.append(beside.publication)
                unmoved[beside.publication.staged.table] = beside.moved
        outcomes.append((candidate, results, record, version))
    _discard(step, confirmed)
    try:
        published = _commit(step, new, unmoved)
    finally:
        for candidate, _ in judged:
            quarantine.forget(step, candidate.aside)
    return tuple(item if isinstance(item, Outcome) else _told(step, *item, published, head) for item in outcomes)


def _has_lost_files(step: Step, made: Publication, version: int) -> bool:
    """Whether what is loaded whole replaces a version of which somebody has removed files: DuckLake cannot delete its rows."""
    return made.mode is Mode.REPLACE and bool(step.env.lake.lost_files(step.con, made.staged.table, version))


def _count(step: Step, relation: str) -> int:
    (rows,) = step.con.execute(f"SELECT count(*) FROM {relation}").fetchone() or (0,)
    return int(rows)


def _read_together(candidate: Candidate, seen: Mapping[str, order.Seen]) -> Candidate:
    """With what it read of tables that the same step has built."""
    more = {name: seen[name] for name in candidate.table.inputs if name not in candidate.readings and name in seen}
    if not more:
        return candidate
    readings = {
        name: Reading(
            table=name, version=item.version or None, fingerprint=item.fingerprint, newest=item.version or None
        )
        for name, item in more.items()
    }
    offered = {name: item.fingerprint for name, item in more.items()}
    tried = replace(candidate.tried, inputs={**candidate.tried.inputs, **offered})
    return replace(candidate, readings={**candidate.readings, **readings}, tried=tried)


def _not_ready(step: Step, candidate: Candidate, seen: Mapping[str, order.Seen]) -> Outcome | None:
    """Asked again now that what was built together is known."""
    table = candidate.table
    if candidate.publication is None and table.name not in step.seen:
        return end(step, table, candidate.tried, "skipped", "its toolchain did not build it")
    held = frozenset(name for name, reading in candidate.readings.items() if reading.held)
    if found := order.disagreement(step.env.mesh, table.name, seen, held=held):
        return end(step, table, candidate.tried, "skipped", disagreeing(found))
    return None


def _commit(step: Step, publications: Sequence[Publication], unmoved: Mapping[str, int | None]) -> int | None:
    if not publications:
        return None
    try:
        version = step.env.lake.publish(
            step.con,
            publications,
            run=step.run,
            pin=step.pin,
            unmoved=unmoved,
            audit=lambda _: _refuse_when_overtaken(step, publications),
        )
    except Superseded:
        # Refused before anything was registered, or undone. After any other error the commit may stand: its files are left to
        # `clean`, which knows what is named by a version.
        with suppress(OSError):
            for publication in publications:
                step.env.lake.discard(publication.staged)
        raise
    step.env.sync()
    return version


def _refuse_when_overtaken(step: Step, publications: Sequence[Publication]) -> None:
    """Also by a run that has published nothing, since it found the newest version as it should be."""
    for publication in publications:
        if not publication.aside and (said := overtaken(step, publication.staged.table)):
            raise Superseded(f"{said}.\n    Nothing to do: what that run has found stands.")


def _version_record(
    step: Step,
    candidate: Candidate,
    results: Sequence[Result],
    seen: Mapping[str, order.Seen],
    fingerprint: str,
    rows: int,
) -> Record:
    table = candidate.table
    if step.replay is not None:
        return _of_replay(step, candidate, results, fingerprint, rows)
    held = frozenset(name for name, reading in candidate.readings.items() if reading.held)
    generation = order.generation(step.env.mesh, table.name, seen, fingerprint, held=held)
    if not step.settles(table):  # its other rows are of the generation before
        generation = step.seen[table.name].generation if table.name in step.seen else {}
    mesh = step.env.mesh
    return {
        **basis(candidate.tried),
        **read_record(candidate.readings),
        "made": provenance.of(mesh, table),
        "files": {}
        if step.env.synthetic(table)
        else raw.hashes(raw.folder_of(mesh, table), table.source, step.env.ledger.hashes()),
        "contract_version": table.contract.version if table.contract else "",
        "terms": _terms(step, table),
        "toolchain": table.toolchain.value,
        "fingerprint": fingerprint,
        "rows": rows,
        "columns": [list(column) for column in _columns(step, candidate)],
        "generation": dict(generation),
        "tests": summary(results),
        "seconds": round(time.monotonic() - step.started, 3),
        **_own(candidate),
        **_replaced(step, candidate),
    }


def _own(candidate: Candidate) -> Record:
    return {"own": dict(candidate.own)} if candidate.own else {}


def _terms(step: Step, table: Table) -> str:
    """The contract's text, kept for the pages of this version; empty where there is none."""
    if table.contract is None:
        return ""
    shown = table.contract.where.path
    try:
        text = read_text(step.env.mesh.root / shown, shown)
    except ConfigError:  # somebody has broken it, or taken it away, since the mesh was read
        return ""
    return step.env.ledger.keep_terms([text])[0]


def _of_replay(step: Step, candidate: Candidate, results: Sequence[Result], fingerprint: str, rows: int) -> Record:
    """The record of the version before, with more rows: nothing was read again, and its inputs are the same."""
    before: dict[str, Any] = dict(step.replay.record) if step.replay else {}
    generation = {
        name: fingerprint if name == candidate.table.name else root for name, root in before["generation"].items()
    }
    told = {
        **{key: value for key, value in before.items() if key not in ("own", "replaced", "quarantined")},
        **basis(candidate.tried),
        "fingerprint": fingerprint,
        "rows": rows,
        "columns": [list(column) for column in _columns(step, candidate)],
        "generation": generation,
        "tests": summary(results),
        "seconds": round(time.monotonic() - step.started, 3),
    }
    return cast("Record", told)


def _replaced(step: Step, candidate: Candidate) -> Record:
    """Which days of the version before were replaced, where not all of it was."""
    made = candidate.publication
    if made is None or made.mode is not Mode.PARTITION or made.partition is None:
        return {}
    _, start, end = made.partition
    return {"replaced": {"start": start, "end": end, "of": step.seen[candidate.table.name].fingerprint}}


def _columns(step: Step, candidate: Candidate) -> Sequence[tuple[str, str]]:
    if candidate.publication is not None:
        return candidate.publication.staged.columns
    return step.env.lake.columns(step.con, candidate.table.name, step.seen[candidate.table.name].version)


def _told(
    step: Step,
    candidate: Candidate,
    results: tuple[Result, ...],
    record: Record,
    confirmed: int | None,
    published: int | None,
    head: int,
) -> Outcome:
    """What came of one table; `head`: when it was asked whether its rows are as they were."""
    table = candidate.table
    version = cast("int", published if confirmed is None else confirmed)
    items = [result_json(result, table.name) for result in results]
    step.env.ledger.keep_results(table.name, version, contract_hash(table), items, step.run)
    status = "published" if confirmed is None else "unchanged"
    dated: dict[str, Input] = {
        name: {"version": item["version"] or published, "fingerprint": item["fingerprint"]}
        for name, item in record["inputs"].items()
    }
    said = _remarkable(candidate, record) if status == "published" else ""
    told: Record = {**record, "inputs": dated, "version": version}
    if confirmed is None:
        outcome = end(step, table, candidate.tried, status, said, told)
    else:
        with step.env.lake.still(table.name, head) as stands:
            status, said = (
                (status, said) if stands else ("skipped", f"{spelt(table.name)} was published by another run just now")
            )
            outcome = end(step, table, candidate.tried, status, said, told)
    return replace(
        outcome,
        version=version,
        rows=record["rows"],
        results=results,
        readings=candidate.readings,
        fingerprint=record["fingerprint"],
        columns=tuple((name, kind) for name, kind in record["columns"]),
        quarantined=record.get("quarantined") or {},
    )


def _remarkable(candidate: Candidate, record: Record) -> str:
    aside = record.get("quarantined", {}).get("rows", 0)
    words = f"{aside} of {record['quarantined']['staged']} rows are in quarantine" if aside else ""
    return "; ".join(filter(None, (words, _unnamed(candidate))))


def _unnamed(candidate: Candidate) -> str:
    """Columns that nobody has promised, tested or classified: an export that has grown, for one."""
    extra = candidate.publication.staged.extra if candidate.table.contract and candidate.publication else ()
    names = ", ".join(f"`{name}`" for name in extra)
    return f"published with what its contract does not name: {names}" if names else ""


def _discard(step: Step, candidates: Sequence[Candidate]) -> None:
    for candidate in candidates:
        if candidate.publication is not None:
            with suppress(OSError):
                step.env.lake.discard(candidate.publication.staged)
        quarantine.forget(step, candidate.aside)
