"""Changes to one report: who is hit, how sure that is, what the version needs, and whether it may be published."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mesh_assets.changes import model
from mesh_assets.changes.adapting import Readers
from mesh_assets.changes.byhand import by_hand
from mesh_assets.changes.byhand import to_json as by_hand_json
from mesh_assets.changes.impact import Evidence, Moved, TableVerdict, Verdict, assess, weakest, worst
from mesh_assets.changes.known import known_columns
from mesh_assets.changes.likeness import by_rows
from mesh_assets.changes.lineage import Columns, Known, Over
from mesh_assets.changes.model import MEANINGS, Change, Effect, Step
from mesh_assets.changes.record import Answer, ChangeRecord
from mesh_assets.changes.rehearse import Rehearsed, rehearse
from mesh_assets.changes.renames import possible
from mesh_assets.changes.renames import to_json as renames_json
from mesh_assets.changes.shape import Shape, shape_of
from mesh_assets.deprecation import successors
from mesh_assets.domain import Mesh, Table
from mesh_assets.environment import Environment

SCHEMA_VERSION = 1
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """What the changes mean for one domain that reads a port.

    Attributes:
        port: The input through which they arrive.
        hit: It reads something that has changed.
        tests: How many of its tests passed and failed on the candidate; None: they were not run.
        failing: Those that failed, as `mesh test --json` lists them.
        answer: What it has said to the proposal, and still holds.
    """

    domain: str
    port: str
    tables: tuple[str, ...]
    verdict: Verdict
    known: Known
    hit: bool
    evidence: tuple[Evidence, ...] = ()
    tests: tuple[int, int] | None = None
    failing: tuple[Mapping[str, Any], ...] = ()
    answer: Answer | None = None

    @property
    def stops(self) -> bool:
        """Whether nobody can say that it is not hurt, and it has not said that it may be."""
        return self.verdict is not Verdict.COMPATIBLE and self.answer is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Changes, and what they mean for every reader.

    Attributes:
        readers: In the order in which they would be hit.
        order: The tables behind the change, in the order in which they would be built.
        needed: The version step, by port; `declared` likewise.
    """

    changes: tuple[Change, ...]
    readers: tuple[Reader, ...]
    order: tuple[str, ...] = ()
    modes: Mapping[str, str]
    needed: Mapping[str, Step]
    declared: Mapping[str, Step]

    @property
    def breaks(self) -> bool:
        """Whether it breaks for someone, or nobody can tell."""
        return any(reader.verdict is not Verdict.COMPATIBLE for reader in self.readers)

    @property
    def too_small(self) -> tuple[str, ...]:
        """Ports whose contract's version steps less than it must."""
        return tuple(
            port
            for port, step in self.needed.items()
            if model.STEPS.index(self.declared.get(port, Step.NONE)) < model.STEPS.index(step)
        )


def cache_of(env: Environment) -> Path:
    """Where lineage is kept, by content."""
    return env.home / "cache" / "lineage"


def report(
    mesh: Mesh,
    columns: Columns,
    start: Mapping[str, Moved],
    *,
    cache: Path | None = None,
    runs: Mapping[str, Rehearsed] | None = None,
    answers: Mapping[str, Answer] | None = None,
    verdicts: Sequence[TableVerdict] | None = None,
    unread: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Report:
    """The report on changed tables.

    Args:
        mesh: The readers, as they are now.
        columns: Of every table, before the change.
        start: What has changed.
        cache: Where lineage is kept.
        runs: What readers' tests have said on candidates, by table.
        answers: What readers have said, and still holds, by domain.
        verdicts: Where `assess` was asked already.
        unread: Domains that cannot be loaded, with the ports that they read: what it means for them is not known.
    """
    found = verdicts if verdicts is not None else assess(mesh, columns, start, cache=cache)
    answered = [_answered(each, (runs or {}).get(each.table)) for each in found]
    readers = (
        *_readers(answered, runs or {}, answers or {}, frozenset(start)),
        *_unread(mesh, start, unread, answers or {}),
    )
    modes = {port: _mode(mesh, port) for port in start}
    return Report(
        changes=tuple(change for moved in start.values() for change in moved.changes),
        readers=readers,
        order=tuple(each.table for each in answered if each.hit),
        modes=modes,
        needed={port: needed(moved.changes, modes[port], readers) for port, moved in start.items()},
        declared={port: model.declared(moved.old.version, moved.new.version) for port, moved in start.items()},
    )


def unread_readers(env: Environment) -> dict[str, tuple[str, ...]]:
    """Domains that cannot be loaded, each with the ports that it reads: as its domain.yaml says, else as its last versions have done."""
    drafts = {draft.name: draft for draft in env.mesh.drafts if draft.name in env.mesh.broken}
    found = {}
    for name in env.mesh.broken:
        if name in drafts and drafts[name].readable:
            found[name] = tuple(one.table for one in drafts[name].domain.inputs)
        else:
            versions = [one for table, one in env.ledger.versions().items() if table.startswith(f"{name}.")]
            read = {port for one in versions for port in one.record.get("inputs") or ()}
            found[name] = tuple(sorted(port for port in read if not port.startswith(f"{name}.")))
    return found


def _unread(
    mesh: Mesh, start: Mapping[str, Moved], unread: Mapping[str, Sequence[str]], answers: Mapping[str, Answer]
) -> Iterator[Reader]:
    """A row for each domain that cannot be loaded and reads what has changed: never compatible, where old code may break."""
    for domain, ports in unread.items():
        for port in (port for port in ports if port in start):
            hit = any(MEANINGS[change.kind].backward is Effect.BREAKING for change in start[port].changes)
            where = mesh.broken[domain][0].where
            why = f"its files cannot be read, so nobody can tell: {mesh.broken[domain][0].what}"
            yield Reader(
                domain=domain,
                port=port,
                tables=(),
                verdict=Verdict.UNKNOWN if hit else Verdict.COMPATIBLE,
                known=Known.ASSUMED,
                hit=hit,
                evidence=(Evidence(where.path, where.line, where.column, why),) if hit else (),
                answer=answers.get(domain),
            )


def needed(changes: Iterable[Change], mode: str, readers: Iterable[Reader]) -> Step:
    """The step that a contract's version must make.

    What would break old SQL and is used by nobody breaks nobody: it needs a minor step. What would break the reading of old
    rows has no reader who could be asked.
    """
    hurt = any(reader.verdict is not Verdict.COMPATIBLE for reader in readers)
    steps = []
    for change in changes:
        step = change.step(mode)
        if step is Step.MAJOR and not hurt and _only_backward(change, mode):
            step = MEANINGS[change.kind].step
        steps.append(step)
    return max(steps, key=model.STEPS.index, default=Step.NONE)


def _only_backward(change: Change, mode: str) -> bool:
    asked_forward = mode.startswith(("forward", "full"))
    return not (asked_forward and MEANINGS[change.kind].forward is Effect.BREAKING)


def to_run(verdicts: Iterable[TableVerdict]) -> tuple[str, ...]:
    """Tables whose own tests decide, and those between: what one gives, the next reads."""
    return tuple(each.table for each in verdicts if each.hit and each.verdict is Verdict.UNKNOWN)


def with_runs(
    env: Environment, mesh: Mesh, verdicts: Sequence[TableVerdict], candidates: Mapping[str, str]
) -> dict[str, Rehearsed]:
    """Run every table that is hit and is not known to break, on the candidates."""
    wanted = [each.table for each in verdicts if each.hit and each.verdict is not Verdict.BREAKING]
    return rehearse(env, mesh, wanted, candidates) if wanted else {}


def _answered(found: TableVerdict, run: Rehearsed | None) -> TableVerdict:
    """A verdict that only tests could give, given; where no test can see what has changed, it stays open."""
    if run is None:
        return found
    if not run.ran:
        told = Evidence(*_place(found), f"its tests could not be run: {run.why}")
        return replace(found, evidence=(*found.evidence, told)) if found.run else found
    if run.failed:
        told = tuple(
            Evidence(*_place(found), str(item.get("message") or item["name"]), test=str(item["name"]))
            for item in run.failed
        )
        return replace(found, verdict=Verdict.BREAKING, evidence=(*found.evidence, *told), hit=True)
    if found.verdict is Verdict.UNKNOWN and not found.silent:
        return replace(found, verdict=Verdict.COMPATIBLE)
    return found


def _place(found: TableVerdict) -> tuple[str, int, int]:
    first = next(iter(found.evidence), None)
    return (first.path, first.line, first.column) if first else ("", 1, 1)


def _mode(mesh: Mesh, port: str) -> str:
    table = mesh.tables.get(port)
    return table.port.compatibility if table and table.port else "none"


def _readers(
    verdicts: Sequence[TableVerdict],
    runs: Mapping[str, Rehearsed],
    answers: Mapping[str, Answer],
    start: frozenset[str],
) -> Iterable[Reader]:
    """One row per reading domain and the port through which the change arrives; the changed tables' own domains left out."""
    owners = {name.partition(".")[0] for name in start}
    grouped: dict[tuple[str, str], list[TableVerdict]] = {}
    arrived: dict[tuple[str, str], str] = {}
    for each in verdicts:
        if each.domain in owners and all(port.partition(".")[0] == each.domain for port in each.ports):
            continue
        foreign = [port for port in each.ports if port.partition(".")[0] != each.domain]
        port = (
            foreign[0]
            if foreign
            else next((arrived[each.domain, p] for p in each.ports if (each.domain, p) in arrived), each.ports[0])
        )
        arrived[each.domain, each.table] = port
        grouped.setdefault((each.domain, port), []).append(each)
    for (domain, port), items in grouped.items():
        ran = [runs[each.table] for each in items if each.table in runs and runs[each.table].ran]
        yield Reader(
            domain=domain,
            port=port,
            tables=tuple(each.table for each in items),
            verdict=worst(each.verdict for each in items),
            known=weakest(each.known for each in items),
            hit=any(each.hit for each in items),
            evidence=tuple(dict.fromkeys(e for each in items for e in each.evidence)),
            tests=(sum(run.passed for run in ran), sum(len(run.failed) for run in ran)) if ran else None,
            failing=tuple(item for run in ran for item in run.failed),
            answer=answers.get(domain),
        )


def to_json(found: Report, base: str = "") -> Json:
    """The JSON of `mesh impact`, and what pages show of a change."""
    steps = [(found.declared.get(port, Step.NONE), step) for port, step in found.needed.items()]
    worst_step = max(steps, key=lambda pair: model.STEPS.index(pair[1]), default=(Step.NONE, Step.NONE))
    return {
        "schema_version": SCHEMA_VERSION,
        "base": base,
        "changes": [change_json(change, found) for change in found.changes],
        "readers": [reader_json(reader) for reader in found.readers],
        "order": [table.replace(".", "/", 1) for table in found.order],
        "version_step": {"declared": str(worst_step[0]), "needed": str(worst_step[1])},
        "versions": [
            {
                "port": port.replace(".", "/", 1),
                "compatibility": found.modes[port],
                "declared": str(found.declared[port]),
                "needed": str(step),
            }
            for port, step in found.needed.items()
        ],
    }


def change_json(change: Change, found: Report | None = None) -> Json:
    """One change."""
    mode = found.modes.get(change.port, "backward") if found else "backward"
    readers = found.readers if found else ()
    return {
        "id": change.id,
        "port": change.port.replace(".", "/", 1),
        "kind": str(change.kind),
        "column": change.column or None,
        "columns": list(change.columns),
        "from": change.before or None,
        "to": change.after or None,
        "rule": change.name or None,
        "effect": str(change.effect(mode)),
        "semver": str(needed([change], mode, readers)),
    }


def reader_json(reader: Reader) -> Json:
    """One reader's verdict."""
    return {
        "domain": reader.domain,
        "port": reader.port.replace(".", "/", 1),
        "tables": [table.replace(".", "/", 1) for table in reader.tables],
        "verdict": str(reader.verdict),
        "hit": reader.hit,
        "known": str(reader.known),
        "evidence": [
            {"path": e.path, "line": e.line, "column": e.column, "why": e.why, "test": e.test or None}
            for e in reader.evidence
        ],
        "tests": {"pass": reader.tests[0], "fail": reader.tests[1]} if reader.tests else None,
        "failing": [
            {
                "name": i["name"],
                "failing_rows": i.get("failing_rows", 0),
                "message": i.get("message", ""),
                "sample": i.get("sample", []),
            }
            for i in reader.failing
        ],
        "answer": {
            "answer": reader.answer.answer,
            "who": reader.answer.who,
            "why": reader.answer.why,
            "until": reader.answer.until or None,
        }
        if reader.answer
        else None,
    }


# -- at publishing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """What a candidate's shape means.

    Attributes:
        record: What its version's record says of its shape.
        refused: Why it must not be published; empty when it may.
    """

    record: Mapping[str, Any]
    refused: str = ""


def at_publishing(
    env: Environment,
    candidates: Mapping[str, tuple[Table, Sequence[tuple[str, str]], str]],
    *,
    run: str,
    today: date,
) -> dict[str, Publishing]:
    """Judge what one step is about to publish, each table against its last version.

    Args:
        candidates: By table: the table, the candidate's columns, SQL that reads the candidate.
        run: Kept with the proposal, where one is opened.
        today: The day by which waivers hold.
    """
    record = ChangeRecord(env)
    record.sync()
    found: dict[str, Publishing] = {}
    start: dict[str, Moved] = {}
    for name, (table, columns, _) in candidates.items():
        if table.port is None and not table.watched:
            continue
        old, known = record.current(name)
        new = shape_of(table, columns)
        found[name] = Publishing(record=_kept(old, new, known=known))
        if table.port is None or table.port.compatibility == "none" or old is None or old.is_like(new):
            continue
        seen = new if known else shape_of(replace(table, contract=None), columns)
        served = record.served(name, new.version.partition(".")[0]) if known else ()
        changes = model.against(name, [*served, old], seen, table.port.compatibility, successors(env.mesh))
        if changes:
            start[name] = Moved(old=old, new=seen, changes=changes)
    if start:
        relations = {name: relation for name, (_, _, relation) in candidates.items()}
        for name, why in _refusals(env, record, start, relations, run=run, today=today).items():
            found[name] = replace(found[name], refused=why)
    return found


def _kept(old: Shape | None, new: Shape, *, known: bool) -> Mapping[str, Any]:
    from mesh_assets.changes.record import kept

    return kept(old, new, promises_known=known)


def _refusals(
    env: Environment,
    record: ChangeRecord,
    start: Mapping[str, Moved],
    relations: Mapping[str, str],
    *,
    run: str,
    today: date,
) -> dict[str, str]:
    columns = known_columns(env)
    refused = {}
    for port, moved in start.items():  # each on its own: its readers must know whose change it is
        alone = {port: moved}
        verdicts = assess(env.mesh, columns, alone, cache=cache_of(env))
        runs = with_runs(env, env.mesh, verdicts, relations) if to_run(verdicts) else {}
        id_ = model.event_id(port, moved.old, moved.new)
        answers = {who: one for who, one in record.answers(id_).items() if one.holds(today)}
        found = report(
            env.mesh, columns, alone, runs=runs, answers=answers, verdicts=verdicts, unread=unread_readers(env)
        )
        if why := refusal(port, found, id_):
            table = env.mesh.tables[port]
            renames = by_rows(env, port, (moved.old, moved.new), relations[port]) if possible(moved.changes) else ()
            refused[port] = why + "".join(f"\n    {one.asks} {one.why}. {one.mend(table)}" for one in renames)
            now = Over({port: moved.columns}, columns)
            with closing(Readers(mesh=env.mesh, columns=columns, now=now, found=alone, cache=cache_of(env))) as readers:
                offered = readers.patches(each.table for each in verdicts if each.hit)
            told = {
                "renames": renames_json(renames, env.mesh),
                "patches": {name.replace(".", "/", 1): text for name, text in offered.items()},
                "by_hand": by_hand_json(by_hand(env.mesh, alone, verdicts, offered)),
            }
            record.propose(id_, port, run, to_json(found) | told)
    return refused


def refusal(port: str, found: Report, id_: str) -> str:
    """Why a change must not be published, in words; empty when it may."""
    mode = found.modes[port]
    asked = [change for change in found.changes if change.effect(mode) is Effect.BREAKING]
    spelt = port.replace(".", "/", 1)
    stopped = [r for r in found.readers if r.stops and (r.verdict is Verdict.BREAKING or asked)]
    mend = f"`mesh change show {id_}` says more. Take the change back, serve a new version beside the old one, or let its readers accept."
    if stopped:
        told = "; ".join(map(_said, stopped))
        return f"{spelt} is held, readers keep their version: it would break {told}\n    {mend}"
    declared_, needed_ = found.declared[port], found.needed[port]
    if needed_ is Step.MAJOR and declared_ is not Step.MAJOR and not any(r.answer for r in found.readers):
        kinds = ", ".join(sorted({str(change.kind) for change in asked}))
        what = f"{kinds} is a breaking change under `compatibility: {mode}`, and its contract's version makes no major step"
        return f"{spelt} is held, readers keep their version: {what} [M701]\n    {mend}"
    return ""


def _said(reader: Reader) -> str:
    code = [e for e in reader.evidence if not e.path.endswith(".yaml")]
    first = next((e for e in code if e.test), next(iter(code or reader.evidence), None))
    where = f" at {first.path}:{first.line}: {first.why}" if first else ""
    sure = "" if reader.verdict is Verdict.BREAKING else " (perhaps)"
    return f"{reader.domain}{sure}{where}"
