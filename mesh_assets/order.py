"""Order of operations, decided from state alone: which tables to build now, and for every other one why not.

Nothing here reads or writes anything. `mesh run`, the sensors, `mesh why` and the tests' simulator ask the same functions.
Why generations are never mixed, and what it costs: docs/explanation/order.md.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mesh_assets.domain import Mesh, OnFailure, Table, Toolchain
from mesh_assets.generations import Disagreement, Generations, Seen, is_root, waived
from mesh_assets.partitions import Partition

__all__ = [
    "Attempt",
    "Decision",
    "Disagreement",
    "Seen",
    "Standing",
    "State",
    "Why",
    "attempt",
    "closure",
    "disagreement",
    "due",
    "generation",
    "is_root",
    "promises",
    "reason_to_build",
]


class Standing(StrEnum):
    """Where a table stands, in one word."""

    DUE = "due"  # build it now
    RUNNING = "running"
    WAITS = "waits"  # something upstream is due or running
    MISSING = "missing"  # an input was never published, its domain is broken, or raw files are not there
    DISAGREES = "disagrees"  # its inputs are of different generations; it keeps its last version
    FAILED = "failed"  # on exactly these inputs; it keeps its last version
    SCHEDULED = "scheduled"  # something changed, its time has not come
    PAUSED = "paused"  # something changed, its domain is paused; it keeps its last version
    CANCELLED = "cancelled"  # somebody ended its step; it keeps its last version
    CURRENT = "current"
    ELSEWHERE = "elsewhere"  # its rows stay on another engine: nothing of it is built


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Where a table stands, and the sentence that says so to a person.

    Attributes:
        tables: The inputs that it is about, if any.
        root: Where those inputs disagree on it, the table that they saw at different versions.
    """

    state: Standing
    sentence: str
    tables: tuple[str, ...] = ()
    root: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A table's last publish, confirmation or failure, as `attempt` makes it.

    Attributes:
        inputs: Fingerprint of every input that the pin *offered*; where a port held one back, that of the refused version.
        raw: Content hash of a source's files; empty for other tables.
        failed: Nothing was published.
        cancelled: Of one that somebody ended before it came to anything, the sentence that says so; it is `failed` as well.
    """

    inputs: Mapping[str, str]
    code: str
    contract: str
    raw: str = ""
    failed: bool = False
    cancelled: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What lake and ledger know.

    Attributes:
        running: Table to the run that has taken it on; from the launch of the run, not from the step.
        ticked: Tables whose schedule has come, or that someone asked for, since their last attempt.
        raw: Source to content hash of its files now; empty or absent where there are none.
        asked_parts: Tables of which somebody wants some partitions again, to the sentence that says so.
        parts: Which days of a table are to be built, where not all of it: everything that has changed since it was built
            lies within these, or somebody asked for these. It decides nothing; a run is asked for this range.
        retried: Tables that are tried again where they failed, although nothing changed: a launch asks for them.
        paused: Domains of which nothing is built until somebody resumes them.
    """

    seen: Mapping[str, Seen] = field(default_factory=dict)
    tried: Mapping[str, Attempt] = field(default_factory=dict)
    running: Mapping[str, str] = field(default_factory=dict)
    ticked: frozenset[str] = frozenset()
    raw: Mapping[str, str] = field(default_factory=dict)
    retried: frozenset[str] = frozenset()
    asked_parts: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, Partition] = field(default_factory=dict)
    paused: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to build now, upstream before downstream, and a `Why` for every table of the mesh."""

    build: tuple[str, ...]
    why: Mapping[str, Why]


def due(mesh: Mesh, state: State, *, retry_failed: bool = False, only: frozenset[str] | None = None) -> Decision:
    """Tables to build now, each on its own or together in one run.

    Args:
        mesh: Upstream before downstream, as it always is.
        state: What lake and ledger know.
        retry_failed: Failed tables are due again, although nothing changed.
        only: Leave all others out of `build`; they are waited for nevertheless.
    """
    generations = Generations(mesh, state.seen)
    why: dict[str, Why] = {}
    unsettled: set[str] = set()
    for name, table in mesh.tables.items():
        if table.engine:  # there is nothing to build
            why[name] = Why(state=Standing.ELSEWHERE, sentence=f"stays on {table.engine}; `mesh test` tests it there")
            continue
        why[name] = _why(mesh, table, state, generations, unsettled, retry_failed=retry_failed)
        if why[name].state in (Standing.DUE, Standing.RUNNING, Standing.WAITS):
            unsettled.add(name)
    build = (name for name, reason in why.items() if reason.state is Standing.DUE)
    return Decision(build=tuple(name for name in build if only is None or name in only), why=why)


def reason_to_build(mesh: Mesh, table: str, state: State, *, retry_failed: bool = False) -> str | None:
    """What changed since the table's last attempt, for a person; None where building again would give the same.

    A tick is a reason of its own: code may look at the clock or outside, and a source must have looked at its files (where
    they are unchanged, that is recorded as a confirmation) before those on the same schedule go on.
    """
    it, last = mesh.tables[table], state.tried.get(table)
    if last is None:
        return "first build"
    if it.watched and state.raw.get(table, "") not in ("", last.raw):
        return "raw files changed" if it.toolchain is Toolchain.SOURCE else "changed where it is kept"
    if changed := [i for i in it.inputs if i in state.seen and state.seen[i].fingerprint != last.inputs.get(i)]:
        return f"{'input' if len(changed) == 1 else 'inputs'} {_listed(changed)} changed"
    if it.code != last.code:
        return "code changed"
    if promises(mesh, table) != last.contract:
        return "contract changed"
    if table in state.ticked and it.automation != "eager":
        return "asked for" if it.automation == "manual" else "schedule"
    if table in state.asked_parts:
        return state.asked_parts[table]
    return "retry" if last.failed and (retry_failed or table in state.retried) else None


def closure(mesh: Mesh, state: State, start: Iterable[str]) -> tuple[str, ...]:
    """What one run, at one pin, should take along, in order: `start`, and downstream all that is eager or ticked.

    Where sources never rest, runs of single tables can miss each other for ever: B is of a newer generation whenever C
    is done. A run of the closure of all that is due has both at its pin. So that two such runs cannot miss each other
    either, a table of `start` is left for the next run where its downstream meets that of a table in progress, or of
    another that is left. Roots in progress do not count: what they will publish begins a generation of its own. What
    cannot be built, since an input was never published, is left out, and so is what is paused.
    """
    follows = {name for name, table in mesh.tables.items() if _may_run(table, state) and name not in state.running}
    busy = {name for name in state.running if name in mesh.tables and not is_root(mesh, mesh.tables[name])}
    blocked = set(_downstream(mesh, follows, busy))
    wanted = {name for name in start if name in mesh.tables and name not in state.running}
    starts = {name for name in wanted if mesh.tables[name].domain not in state.paused}
    while left := starts & _reaching(mesh, follows | busy, blocked):
        starts -= left
        blocked.update(_downstream(mesh, follows, left))
    there, taken = set(state.seen), []
    for name in _downstream(mesh, follows, starts):
        if there.issuperset(_needs(mesh, mesh.tables[name])):
            there.add(name)
            taken.append(name)
    return tuple(taken)


def disagreement(
    mesh: Mesh, table: str, seen: Mapping[str, Seen], *, held: frozenset[str] = frozenset()
) -> Disagreement | None:
    """The root on which two inputs of the table are of different generations, or None: then it may be built.

    `due` asks this of the newest versions; the step asks again at its pin.

    Args:
        mesh: As the run has loaded it.
        table: The table about to be built.
        seen: What the step sees: its pin, and what its own run has published. Held inputs as the pin offers them.
        held: Inputs that a `hold` port has refused; the step reads an older, admitted version of them.
    """
    inputs = _strict(mesh, mesh.tables[table], held)
    return Generations(mesh, seen).disagreement(inputs)


def generation(
    mesh: Mesh, table: str, seen: Mapping[str, Seen], fingerprint: str, *, held: frozenset[str] = frozenset()
) -> Mapping[str, str]:
    """What a version of this table stands for that was built (or confirmed) from these inputs; recorded in its commit.

    Args:
        mesh: As for `disagreement`.
        table: The table that was built.
        seen: As for `disagreement`.
        fingerprint: Of the new version.
        held: As for `disagreement`.
    """
    inputs = _strict(mesh, mesh.tables[table], held)
    return Generations(mesh, seen).of_new(table, fingerprint, inputs)


def attempt(
    mesh: Mesh, table: str, seen: Mapping[str, Seen], *, raw: str = "", failed: bool = False, run: str = ""
) -> Attempt:
    """What to record of a publish, confirmation or failure, so that `due` compares like with like.

    Args:
        mesh: As the run has loaded it.
        table: The table that was tried.
        seen: What the step saw at its pin; never what there is by the time it ends, or updates get lost.
        raw: Hash of the files that a source has read.
        failed: Nothing was published.
        run: The run.
    """
    it = mesh.tables[table]
    return Attempt(
        inputs={name: seen[name].fingerprint for name in it.inputs if name in seen},
        code=it.code,
        contract=promises(mesh, table),
        raw=raw,
        failed=failed,
        run=run,
    )


def promises(mesh: Mesh, table: str) -> str:
    """Hash of the table's contract, and of those of the input ports it reads through: a relaxed port makes it due again."""
    it = mesh.tables[table]
    own = it.contract.hash if it.contract else ""
    foreign = [name for name in it.inputs if not name.startswith(f"{it.domain}.")]
    ports = [(name, port) for name in foreign if (port := mesh.port(it.domain, name)) and port.contract]
    if not ports:
        return own
    parts = [own, *(f"{name} {port.on_failure} {port.contract.hash}" for name, port in ports if port.contract)]
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def _why(
    mesh: Mesh, table: Table, state: State, generations: Generations, unsettled: set[str], *, retry_failed: bool
) -> Why:
    name, may_run = table.name, _may_run(table, state)
    if name in state.running:
        return Why(state=Standing.RUNNING, sentence=f"running in {state.running[name]}")
    if unknown := [i for i in table.inputs if i not in mesh.tables]:
        return _missing(unknown, f"reads {_listed(unknown)}, which could not be loaded")
    if may_run and (waits := next((i for i in _needs(mesh, table) if i in unsettled), "")):
        return Why(state=Standing.WAITS, sentence=f"waits for {_shown(waits)}", tables=(waits,))
    if unpublished := [i for i in _needs(mesh, table) if i not in state.seen]:
        words = "reads" if unpublished[0] in table.inputs else "its tests refer to"
        return _missing(unpublished, f"{words} {_listed(unpublished)}, never published")
    if table.watched and not state.raw.get(name):
        ours = table.toolchain is Toolchain.SOURCE
        return _missing([], "its raw files are missing" if ours else "it cannot be looked at where it is kept")
    reason = reason_to_build(mesh, name, state, retry_failed=retry_failed)
    if reason is None:
        return _at_rest(state, name)
    if table.domain in state.paused:
        return Why(state=Standing.PAUSED, sentence=f"{reason}; {table.domain} is paused")
    if not may_run:
        manual = table.automation == "manual"
        when = "is built when asked for" if manual else f"waits for its schedule {table.automation}"
        return Why(state=Standing.SCHEDULED, sentence=f"{reason}; {when}")
    if found := generations.disagreement(_strict(mesh, table, _still_held(mesh, table, state))):
        return Why(
            state=Standing.DISAGREES,
            sentence=f"{_shown(found.one)} and {_shown(found.other)} disagree on {_shown(found.root)}",
            tables=(found.one, found.other),
            root=found.root,
        )
    return Why(state=Standing.DUE, sentence=reason)


def _missing(tables: list[str], sentence: str) -> Why:
    return Why(state=Standing.MISSING, sentence=sentence, tables=tuple(tables))


def _at_rest(state: State, name: str) -> Why:
    last = state.tried[name]
    if last.cancelled:
        return Why(state=Standing.CANCELLED, sentence=f"{last.cancelled}, and nothing has changed since")
    if last.failed:
        run = f" in {last.run[:8]}" if last.run else ""
        return Why(state=Standing.FAILED, sentence=f"failed{run}, and nothing has changed since")
    return Why(state=Standing.CURRENT, sentence="up to date")


def _may_run(table: Table, state: State) -> bool:
    """A scheduled table's first build does not wait for its time: there is nothing to read yet. A manual one's does."""
    if table.domain in state.paused:
        return False
    if table.automation == "eager" or table.name in state.ticked or table.name in state.asked_parts:
        return True
    return table.automation != "manual" and table.name not in state.tried


def _strict(mesh: Mesh, table: Table, held: frozenset[str]) -> list[str]:
    return [name for name in table.inputs if name not in held and not waived(mesh, table.domain, name)]


def _still_held(mesh: Mesh, table: Table, state: State) -> frozenset[str]:
    """Inputs known to be refused: the version on offer is the one that the last publish found refused.

    A newer version may be admitted, so it counts as strict until a step has asked. What is assumed here is never more
    than what the step finds, or the two would send each other in circles.
    """
    seen, last = state.seen.get(table.name), state.tried.get(table.name)
    if not seen or not seen.held or not last or last.failed or last.contract != promises(mesh, table.name):
        return frozenset()
    return frozenset(
        name
        for name in seen.held
        if name in state.seen
        and last.inputs.get(name) == state.seen[name].fingerprint
        and (port := mesh.port(table.domain, name))
        and port.on_failure is OnFailure.HOLD
    )


def _downstream(mesh: Mesh, follows: set[str], start: Iterable[str]) -> list[str]:
    """`start`, and all of `follows` that it reaches, in order."""
    found = set(start)
    if found:
        for name, table in mesh.tables.items():
            if name in follows and not found.isdisjoint(_needs(mesh, table)):
                found.add(name)
    return [name for name in mesh.tables if name in found]


def _reaching(mesh: Mesh, follows: set[str], tables: Iterable[str]) -> set[str]:
    """The tables, and all that reach one of them through `follows`."""
    found = set(tables)
    if found:
        for name, table in reversed(tuple(mesh.tables.items())):
            if name in found and name in follows:
                found.update(_needs(mesh, table))
    return found


def _needs(mesh: Mesh, table: Table) -> tuple[str, ...]:
    """What it reads, and what its tests refer to: an unknown table of those is the tests' own affair."""
    return (*table.inputs, *(name for name in table.references if name in mesh.tables))


def _shown(table: str) -> str:
    return table.replace(".", "/", 1)


def _listed(tables: Iterable[str]) -> str:
    return ", ".join(_shown(name) for name in tables)
