"""A world that tries to break the order of operations, with its own books.

Run: python -m tests.order_simulator [MESHES]

Random meshes (diamonds, several domains, schedules, waivers) live through random histories: raw files, code, contracts and
schedules change at any time; tables fail, come out unchanged, are refused by a reader's port; several runs at once, each at its
own pin, are killed before or after publishing, or are taken for dead and publish late. What is judged, by books that share
nothing with the code on trial:

1. What a table is built from is of one generation: there is one content for every table of the mesh from which all of it follows,
   by builds that happened (`Books.one_mesh`). Declared waivers apart. The same for what a version is recorded to stand for.
2. No table is started while something upstream is in progress or about to be.
3. Nothing is built twice on the same inputs, code, contract and files.
4. When the sources rest, everything settles. Who is behind has a failure upstream, by a way without waiver; who is not, has what
   a computation from nothing gives.
5. Where sources never rest, each closure run builds all of its tables.
6. No table goes back: what it is made from is never older than what it was made from before.

Kitchens change code beside all this and promote what they built, all of it at once, as `mesh kitchen promote` does: while nothing
that they read or replace has moved, and nobody else's code has. What they publish is judged like everything else.
"""

import hashlib
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mesh_assets import graph, order
from mesh_assets.contract import Contract, Kind, Test
from mesh_assets.domain import Consistency, Domain, InputPort, Mesh, OnFailure, Table, Toolchain
from mesh_assets.order import Seen, State


class Broken(AssertionError):  # noqa: N818 - the word of the tests
    """The order of operations has broken a promise."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What is on trial; the mutants replace one of them."""

    due: Callable[..., order.Decision] = order.due
    closure: Callable[..., tuple[str, ...]] = order.closure
    disagreement: Callable[..., object] = order.disagreement
    generation: Callable[..., Mapping[str, str]] = order.generation
    reason_to_build: Callable[..., str | None] = order.reason_to_build
    attempt: Callable[..., order.Attempt | None] = order.attempt
    recorded: Callable[[Mapping[str, Seen], Mapping[str, Seen]], Mapping[str, Seen]] = lambda pin, _now: pin
    moved: Callable[[int | None, int | None], bool] = lambda base, now: base != now


@dataclass(frozen=True, kw_only=True)
class Chances:
    """How often things happen, per tick."""

    raw: float = 0.12
    missing: float = 0.01
    tick: float = 0.1
    code: float = 0.02
    contract: float = 0.01
    automation: float = 0.003
    port: float = 0.005
    kill: float = 0.03
    fail: int = 9  # one attempt in so many
    refuse: int = 5  # one version in so many, at a port with a contract
    waiver: float = 0.25  # ports that declare one
    schedule: float = 0.15  # tables, and domains, that are not eager
    manual: bool = True  # tables that are built when asked for
    pause: float = 0  # a domain is paused, or resumed
    launch: float = 0  # a pipeline is launched: a table, with all that it is made of
    kitchen: float = 0  # one is opened
    restart: float = 0  # everything that runs ends at once, and nobody looks for a while
    domains: tuple[int, int] = (1, 4)
    tables: tuple[int, int] = (3, 14)  # beside the sources


SCHEDULES = ("0 6 * * *", "0 7 * * 1")
QUIET = Chances(raw=0, missing=0, tick=0, code=0, contract=0, automation=0, port=0, kill=0)
WORLDS = (  # by turns
    Chances(),
    Chances(waiver=0.8, refuse=2, fail=4, raw=0.3, schedule=0.03, code=0.005, kill=0.01),
    Chances(code=0.15, fail=3, kill=0.01, schedule=0.05),
    Chances(fail=4, waiver=0.1, schedule=0.4),
)
LAUNCHED = (
    Chances(pause=0.03, launch=0.04),
    Chances(pause=0.02, launch=0.1, fail=3, schedule=0.5, tick=0.02, code=0.01),
    Chances(pause=0.1, launch=0.02, waiver=0.5, refuse=3, kill=0.05),
)
KITCHENS = (
    Chances(kitchen=0.2, raw=0.03, code=0.005, contract=0.002, automation=0, port=0.001, missing=0.002),
    Chances(kitchen=0.2, raw=0.06, code=0, contract=0, automation=0, port=0, waiver=0.6, fail=30),
    Chances(kitchen=0.15, raw=0.05, fail=20, pause=0.02, launch=0.03, code=0.002, contract=0.001, port=0),
)
COMPANY = replace(KITCHENS[2], domains=(20, 20), tables=(30, 40), kitchen=0.3, restart=0.01)
"""Twenty domains."""
RESTLESS = replace(QUIET, raw=1, fail=0, refuse=0, waiver=0, tick=0.2, manual=False)


def digest(*what: object) -> int:
    """The same number in every process, unlike `hash`."""
    return int.from_bytes(hashlib.blake2b(repr(what).encode(), digest_size=6).digest())


@dataclass
class Books:
    """What really happened, and what follows from it."""

    seed: int
    derivations: dict[tuple[str, str], set[tuple[tuple[str, str], ...]]] = field(default_factory=dict)

    def value(self, table: Table, code: str, read: Iterable[tuple[str, str]]) -> str:
        """What a table contains; some are coarse, so that other inputs often give the same."""
        number = digest(table.name, code, tuple(read))
        return str(number % 3 if digest(table.name, self.seed) % 4 == 0 else number)

    def built(self, table: Table, content: str, read: Iterable[tuple[str, str]]) -> None:
        """Remember that this content came from these."""
        self.derivations.setdefault((table.name, content), set()).add(tuple(sorted(read)))

    def promise_less(self, changed: str, domain: str = "") -> None:
        """A schedule has changed, or a waiver was declared: nothing is promised about what was made before, there."""
        for (name, _), origins in self.derivations.items():
            reads = any(read == changed for origin in origins for read, _ in origin)
            if (name == changed and not domain) or (reads and name.startswith(domain)):
                origins.add(())

    def one_mesh(self, contents: Iterable[tuple[str, str]]) -> bool:
        """Whether one content per table exists from which all of these follow."""
        assigned = _joined({}, contents)
        return assigned is not None and self._explained(assigned, sorted(assigned))

    def _explained(self, assigned: dict[str, str], todo: list[str]) -> bool:
        if not todo:
            return True
        name = max(todo, key=_place)
        for origin in self.derivations.get((name, assigned[name]), ()):
            joined = _joined(assigned, origin)
            if joined is None:
                continue
            rest = {*todo, *(joined.keys() - assigned.keys())} - {name}
            if self._explained(joined, sorted(rest)):
                return True
        return False


def _joined(assigned: Mapping[str, str], contents: Iterable[tuple[str, str]]) -> dict[str, str] | None:
    joined = dict(assigned)
    for name, content in contents:
        if joined.setdefault(name, content) != content:
            return None
    return joined


def _place(table: str) -> int:
    return int(table[-2:])


@dataclass
class Run:
    """One run: its code is that of its launch, its pin is taken by its first step."""

    id: str
    mesh: Mesh
    todo: list[str]
    launched: int
    starts: int
    closure: bool
    pin: Mapping[str, Seen] | None = None
    pinned: int = 0
    own: dict[str, Seen] = field(default_factory=dict)
    step: "Step | None" = None
    skipped: list[str] = field(default_factory=list)
    dead_until: int = 0

    @property
    def view(self) -> dict[str, Seen]:
        """What its steps see."""
        return {**(self.pin or {}), **self.own}


@dataclass
class Step:
    """One table being computed."""

    table: str
    begun: int
    ends: int
    raw: str
    read: dict[str, str]
    held: frozenset[str]
    view: dict[str, Seen]
    refused: bool
    reason: str


@dataclass
class Kitchen:
    """A change of one table's code, and what was built with it and downstream of it, at one snapshot."""

    base: Mesh
    mesh: Mesh
    pin: Mapping[str, Seen]
    pinned: int
    promoted: int
    steps: list[Step]
    view: dict[str, Seen]


@dataclass
class World:
    """A mesh, its lake and ledger, its runs, and the books."""

    seed: int
    rules: Rules = field(default_factory=Rules)
    chances: Chances = field(default_factory=Chances)
    closures: bool | None = None  # launch by closure; None: now and then

    def __post_init__(self) -> None:
        self.rnd = random.Random(self.seed)
        self.books = Books(self.seed)
        self.now = 0
        self.seen: dict[str, Seen] = {}
        self.tried: dict[str, order.Attempt] = {}
        self.raw: dict[str, str] = {}
        self.tick_time: dict[str, int] = {}
        self.launched: dict[str, int] = {}
        self.paused: frozenset[str] = frozenset()
        self.pin_time: dict[str, int] = {}
        self.publish_pin: dict[str, int] = {}
        self.leases: dict[str, str] = {}
        self.admitted: dict[tuple[str, str], str] = {}
        self.last: dict[
            str, tuple[object, int]
        ] = {}  # table -> what the last attempt was made from, and when it was recorded
        self.made_from: dict[str, dict[str, int]] = {}  # table -> the versions that it was offered
        self.failed: dict[str, bool] = {}
        self.runs: list[Run] = []
        self.kitchens: list[Kitchen] = []
        self.down_until = 0
        self.waits: dict[
            str, list[int]
        ] = {}  # table -> moments since its inputs have moved, and those with no reason to wait
        self.stats: Counter[str] = Counter()
        self.builds: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self.mesh = self._new_mesh()
        for name in self._sources():
            self.raw[name] = "0"

    # -- the mesh ----------------------------------------------------------------------------------------------------------------

    def _new_mesh(self) -> Mesh:
        rnd = self.rnd
        domains = [f"d{i}" for i in range(rnd.randint(*self.chances.domains))]
        names: list[str] = []
        tables: dict[str, Table] = {}
        sources = rnd.randint(1, 4)
        scheduled = {name: self._schedule() for name in domains if rnd.random() < self.chances.schedule}
        for place in range(sources + rnd.randint(*self.chances.tables)):
            name = f"{rnd.choice(domains)}.t{place:02}"
            if place < sources:
                tables[name] = Table(
                    name=name, toolchain=Toolchain.SOURCE, code="0", automation=self._automation(self.chances.schedule)
                )
            else:
                inputs = tuple(sorted(rnd.sample(names, min(len(names), rnd.choice((0, 1, 1, 2, 2, 2, 3, 3, 3, 3))))))
                tables[name] = Table(
                    name=name,
                    toolchain=Toolchain.SQL,
                    code="0",
                    inputs=inputs,
                    automation=self._automation(self.chances.schedule),
                )
            if tables[name].domain in scheduled and rnd.random() < 0.8:
                tables[name] = replace(tables[name], automation=scheduled[tables[name].domain])
            if names and rnd.random() < 0.1:
                tables[name] = replace(tables[name], contract=_contract("0", (rnd.choice(names),)))
            names.append(name)
        ports = {
            domain: tuple(
                self._port(name)
                for name in names
                if any(
                    name in table.inputs and table.domain == domain != tables[name].domain for table in tables.values()
                )
            )
            for domain in domains
        }
        return Mesh(
            name="random",
            root=Path(),
            domains={name: Domain(name=name, path=Path(), inputs=ports[name]) for name in domains},
            tables=tables,
        )

    def _automation(self, chance: float) -> str:
        return self._schedule() if self.rnd.random() < chance else "eager"

    def _schedule(self) -> str:
        return self.rnd.choice((*SCHEDULES, "manual") if self.chances.manual else SCHEDULES)

    def _port(self, table: str) -> InputPort:
        if self.rnd.random() >= self.chances.waiver:
            return InputPort(table=table)
        kind = self.rnd.choice((Consistency.LATEST, OnFailure.HOLD, OnFailure.HOLD, OnFailure.STOP))
        if kind is Consistency.LATEST:
            return InputPort(table=table, consistency=kind)
        return InputPort(table=table, contract=_contract("0"), on_failure=OnFailure(kind))

    def _sources(self) -> list[str]:
        return [name for name, table in self.mesh.tables.items() if table.toolchain is Toolchain.SOURCE]

    def _change(self, name: str, **what: object) -> None:
        self.mesh = replace(self.mesh, tables={**self.mesh.tables, name: replace(self.mesh.tables[name], **what)})

    def _happen(self, chances: Chances) -> None:
        """Whatever people and operational systems do."""
        rnd = self.rnd
        for name in self._sources():
            if rnd.random() < chances.raw / (1 if chances.raw == 1 else len(self._sources())):
                self.raw[name] = str(self.now)
            elif rnd.random() < chances.missing:
                self.raw[name] = ""
        for name, table in self.mesh.tables.items():
            if table.automation == "manual" and rnd.random() < chances.tick:
                self.tick_time[name] = self.now
        for schedule in SCHEDULES:
            if rnd.random() < chances.tick:
                self.tick_time |= {
                    name: self.now for name, table in self.mesh.tables.items() if table.automation == schedule
                }
        name = rnd.choice(list(self.mesh.tables))
        table = self.mesh.tables[name]
        if rnd.random() < chances.code:
            self._new_code(table)
        if rnd.random() < chances.contract:
            self._change(name, contract=_contract(str(self.now), table.references))
        if rnd.random() < chances.automation:
            self._change(name, automation=self._automation(0.5))
            self.books.promise_less(name)
        if rnd.random() < chances.port:
            self._new_port()
        self._pause_and_launch(chances)

    def _pause_and_launch(self, chances: Chances) -> None:
        if chances.pause and self.rnd.random() < chances.pause:
            self.stats["pauses"] += 1
            self.paused ^= {self.rnd.choice(list(self.mesh.domains))}
        if chances.launch and self.rnd.random() < chances.launch:
            self.stats["launches"] += 1
            delivered = self.rnd.choice(list(self.mesh.tables))
            needed = graph.upstream(graph.graph_of(self.mesh), [delivered], include_self=True)
            self.launched |= dict.fromkeys(needed, self.now)

    def _new_code(self, table: Table) -> None:
        self.stats["code"] += 1
        above = [name for name in self.mesh.tables if _place(name) < _place(table.name)]
        inputs = table.inputs
        if inputs and self.rnd.random() < 0.4:
            inputs = tuple(sorted(self.rnd.sample(above, min(len(above), self.rnd.randint(1, 3)))))
        self._change(table.name, code=str(self.now), inputs=inputs)

    def _new_port(self) -> None:
        domains = [domain for domain in self.mesh.domains.values() if domain.inputs]
        if not domains:
            return
        domain = self.rnd.choice(domains)
        port = self.rnd.choice(domain.inputs)
        changed = self._port(port.table)
        if changed.contract:
            changed = replace(changed, contract=_contract(str(self.now)))
        self.books.promise_less(port.table, domain.name)
        inputs = tuple(changed if each is port else each for each in domain.inputs)
        self.mesh = replace(self.mesh, domains={**self.mesh.domains, domain.name: replace(domain, inputs=inputs)})

    # -- time --------------------------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """What lake and ledger know."""
        return State(
            seen=dict(self.seen),
            tried=dict(self.tried),
            running=dict(self.leases),
            ticked=self._ticked(),
            raw=dict(self.raw),
            retried=self._retried(),
            paused=self.paused,
        )

    def _ticked(self) -> frozenset[str]:
        ticked = frozenset(name for name, time in self.tick_time.items() if time > self.pin_time.get(name, -1))
        return ticked | self._retried()

    def _retried(self) -> frozenset[str]:
        """What a launch needs and that was not tried since."""
        return frozenset(name for name, time in self.launched.items() if time > self.pin_time.get(name, -1))

    def tick(self, chances: Chances) -> order.Decision:
        """One moment: things happen, runs start, steps begin and end."""
        self.now += 1
        self._happen(chances)
        if chances.restart and self.rnd.random() < chances.restart:
            self._restart()
        decision = self.rules.due(self.mesh, self.state())
        if self.now >= self.down_until:
            self._measure_delays(decision)
            self._launch(decision)
        for run in list(self.runs):
            self._advance(run, chances)
        if chances.kitchen and self.rnd.random() < chances.kitchen and len(self.kitchens) < 3:
            self._open_kitchen()
        for kitchen in [one for one in self.kitchens if one.promoted <= self.now]:
            self.kitchens.remove(kitchen)
            self._promote(kitchen)
        return decision

    def _launch(self, decision: order.Decision) -> None:
        self._check_no_glitch(decision.build)
        self._check_pauses(decision.build)
        if self.closures or (self.closures is None and self.rnd.random() < 0.1):
            taken = list(self.rules.closure(self.mesh, self.state(), decision.build))
            if taken:
                self._check_pauses(taken)
                self._start(taken, closure=True)
            return
        chosen = [name for name in decision.build if self.rnd.random() < 0.6]
        if chosen and self.rnd.random() < 0.3:
            self._start(chosen, closure=False)
            return
        for name in chosen:
            if len(self.runs) < 5:
                self._start([name], closure=False)

    def _start(self, tables: list[str], *, closure: bool) -> None:
        run = Run(
            id=f"run-{self.now}-{tables[0]}", mesh=self.mesh, todo=tables, launched=self.now,
            starts=self.now + self.rnd.choice((0, 0, 1, 3)), closure=closure,
        )  # fmt: skip
        for name in tables:
            if name in self.leases:
                raise Broken(f"{name} is started twice at once")
            self.leases[name] = run.id
        self.stats["runs"] += 1
        self.runs.append(run)

    def _advance(self, run: Run, chances: Chances) -> None:
        if run.dead_until:
            if self.now >= run.dead_until:
                self._release(run, run.mesh.tables)
                self.runs.remove(run)
            return
        if self.now < run.starts:
            return
        if run.pin is None:
            run.pin, run.pinned = dict(self.seen), self.now
        if self.rnd.random() < chances.kill:
            self._kill(run)
            return
        if run.step is None or self.now >= run.step.ends:
            if run.step is not None:
                self._finish(run, run.step)
            self._begin(run)
        if not run.todo and run.step is None:
            self.runs.remove(run)
            self._check_closure(run)

    def _kill(self, run: Run) -> None:
        """Dead, which its leases show only later; or only taken for dead, and still computing."""
        self.stats["killed"] += 1
        if self.rnd.random() < 0.3:
            self._release(run, run.mesh.tables)
            run.todo = []
        else:
            run.dead_until = self.now + self.rnd.randint(1, 8)

    def _restart(self) -> None:
        """The machine: what had not begun is forgotten, what had is dead, and some moments go by until anybody decides again."""
        self.stats["restarts"] += 1
        self.down_until = self.now + self.rnd.randint(1, 6)
        for run in list(self.runs):
            if run.pin is None:
                self._release(run, run.mesh.tables)
                self.runs.remove(run)
            elif not run.dead_until:
                run.dead_until = self.now + self.rnd.randint(1, 8)

    def _release(self, run: Run, tables: Iterable[str]) -> None:
        for name in tables:
            if self.leases.get(name) == run.id:
                del self.leases[name]

    # -- a step ------------------------------------------------------------------------------------------------------------------

    def _begin(self, run: Run) -> None:
        run.step = None
        while run.todo and run.step is None:
            name = run.todo.pop(0)
            run.step = self._step(run, name)
            if run.step is None:
                self._release(run, [name])

    def _step(self, run: Run, name: str) -> Step | None:
        """Asked again at the pin; None: nothing to do, or not now."""
        table, view = run.mesh.tables[name], run.view
        if any(i not in view for i in (*table.inputs, *table.references)) or (
            table.toolchain is Toolchain.SOURCE and not self.raw[name]
        ):
            run.skipped.append(name)
            return None
        state = State(seen=view, tried=self.tried, ticked=self._ticked(), raw=self.raw, retried=self._retried())
        reason = self.rules.reason_to_build(run.mesh, name, state)
        if reason is None:
            self.stats["nothing to do"] += 1
            return None
        read, held, refused = self._admit(run, table, view)
        if not refused and self.rules.disagreement(run.mesh, name, view, held=held):
            self.stats["disagrees at the pin"] += 1
            run.skipped.append(name)
            return None
        ends = self.now + self.rnd.randint(1, 6)
        return Step(name, self.now, ends, self.raw.get(name, ""), read, held, view, refused, reason)

    def _admit(self, run: Run, table: Table, view: Mapping[str, Seen]) -> tuple[dict[str, str], frozenset[str], bool]:
        """What is read, what of it is held, and whether the reader must stop."""
        read = {name: view[name].fingerprint for name in table.inputs}
        held = set()
        for name in table.inputs:
            port = run.mesh.port(table.domain, name)
            if port is None or port.contract is None or port.on_failure is OnFailure.WARN:
                continue
            if (
                self.chances.refuse == 0
                or digest(table.domain, name, read[name], port.contract.hash) % self.chances.refuse
            ):
                self.admitted[table.domain, name] = read[name]
            elif port.on_failure is OnFailure.HOLD and (table.domain, name) in self.admitted:
                read[name] = self.admitted[table.domain, name]
                held.add(name)
            else:
                return read, frozenset(held), True
        return read, frozenset(held), False

    def _finish(self, run: Run, step: Step) -> None:
        table = run.mesh.tables[step.table]
        run.step = None
        self._release(run, [table.name])
        if run.pinned < self.pin_time.get(table.name, -1):
            self.stats["superseded"] += 1
            return
        recorded = self.rules.recorded(step.view, {**self.seen, **run.own})
        made_from = _made_from(run.mesh, table, step)
        fails = step.refused or self._fails(table, made_from)
        self._check_not_twice(table, step, made_from)
        self.last[table.name] = made_from, self.now
        self.failed[table.name] = fails
        self.pin_time[table.name] = run.pinned
        attempt = self.rules.attempt(run.mesh, table.name, recorded, raw=step.raw, failed=fails, run=run.id)
        if attempt is not None:
            self.tried[table.name] = attempt
        self.stats["failed" if fails else "built"] += 1
        self.builds[table.name] += 1
        if not fails:
            self._publish(run, table, step, recorded)
            self._check_forward(step)

    def _publish(self, run: Run, table: Table, step: Step, recorded: Mapping[str, Seen]) -> None:
        run.own[table.name] = self.seen[table.name] = self._version(run.mesh, table, step, recorded, self.seen)

    def _version(
        self, mesh: Mesh, table: Table, step: Step, recorded: Mapping[str, Seen], seen: Mapping[str, Seen]
    ) -> Seen:
        """What is published where `seen` is what there was before."""
        strict = [
            (i, content) for i, content in step.read.items() if i not in step.held and not _latest(mesh, table, i)
        ]
        if not self.books.one_mesh(strict):
            raise Broken(f"{table.name} is built from mixed generations: {strict}")
        content = self.books.value(
            table, table.code, [*sorted(step.read.items()), *([("raw", step.raw)] if step.raw else [])]
        )
        by = (mesh, self.mesh)  # which may have changed meanwhile; see promise_less
        self.books.built(
            table, content, [(i, at) for i, at in strict if all(_hands_on(one, table.name, i) for one in by)]
        )
        before = seen.get(table.name)
        unchanged = before is not None and before.fingerprint == content
        stands = self.rules.generation(mesh, table.name, recorded, content, held=step.held)
        self.stats["unchanged"] += unchanged
        self.versions[table.name] += not unchanged
        self.stats["held"] += bool(step.held)
        made = Seen(
            version=before.version if before and unchanged else self.now,
            fingerprint=content,
            inputs={i: step.read[i] if i in step.held else recorded[i].fingerprint for i in table.inputs},
            generation=stands,
            held=step.held,
        )
        known = [(root, stamp) for root, stamp in stands.items() if not stamp.startswith("?")]
        if not self.books.one_mesh([*known, (table.name, content)]):
            raise Broken(f"{table.name} does not stand for {stands}")
        return made

    # -- kitchens ----------------------------------------------------------------------------------------------------------------

    def _open_kitchen(self) -> None:
        """Change the code of a table, and build it and what is downstream; a kitchen whose tests fail is closed."""
        built = [name for name, table in self.mesh.tables.items() if table.inputs and name in self.seen]
        if not built:
            return
        changed = self.rnd.choice(built)
        mesh = replace(
            self.mesh,
            tables={**self.mesh.tables, changed: replace(self.mesh.tables[changed], code=f"kitchen {self.now}")},
        )
        pin, steps = dict(self.seen), []
        run = Run(
            id=f"kitchen-{self.now}", mesh=mesh, todo=[], launched=self.now, starts=self.now, closure=True, pin=pin
        )
        after = graph.downstream(graph.graph_of(mesh), [changed], include_self=True)
        admitted = dict(self.admitted)  # its ledger is its own
        for name in [name for name in mesh.tables if name in after]:
            step = self._step(run, name)
            if step is None:
                continue
            table = mesh.tables[name]
            if step.refused or self._fails(table, _made_from(mesh, table, step)):
                steps = []
                break
            run.own[name] = self._version(mesh, table, step, step.view, run.view)
            steps.append(step)
        self.admitted = admitted
        self.stats["kitchens"] += 1
        if steps:
            promoted = self.now + self.rnd.randint(1, 12)
            self.kitchens.append(Kitchen(self.mesh, mesh, pin, self.now, promoted, steps, run.own))

    def _promote(self, kitchen: Kitchen) -> None:
        """All of it, or nothing: production must be as it was where the kitchen read and where it writes."""
        made = {step.table: kitchen.view[step.table] for step in kitchen.steps}
        written = {name for name, seen in made.items() if seen.version != _version(kitchen.pin, name)}
        touched = made.keys() | {i for step in kitchen.steps for i in step.read}
        moved = any(self.rules.moved(_version(kitchen.pin, i), _version(self.seen, i)) for i in touched)
        if moved or self.mesh is not kitchen.base:
            self.stats["promotions refused"] += 1
            return
        if self.leases.keys() & made.keys():
            self.stats["promotions waited"] += 1
            kitchen.promoted = self.now + 1
            self.kitchens.append(kitchen)
            return
        self.mesh = kitchen.mesh
        for step in kitchen.steps:
            table = self.mesh.tables[step.table]
            self.last[table.name] = _made_from(self.mesh, table, step), self.now
            self.failed[table.name] = False
            self.pin_time[table.name] = self.now  # what it was made from has not moved by now
            attempt = self.rules.attempt(self.mesh, table.name, step.view, raw="", failed=False, run="kitchen")
            if attempt is not None:
                self.tried[table.name] = attempt
            self.seen[table.name] = made[table.name]
            self._check_forward(step)
            if table.name in written:
                self.seen[table.name] = replace(made[table.name], version=self.now)
                self.builds[table.name] += 1
        self.stats["promoted"] += 1

    def _fails(self, table: Table, made_from: object) -> bool:
        return bool(self.chances.fail) and digest(self.seed, table.name, made_from) % self.chances.fail == 0

    # -- how long gates let one wait ---------------------------------------------------------------------------------------------

    def _measure_delays(self, decision: order.Decision) -> None:
        """From when a table's inputs have moved until it is due; in `delay` only moments at which nothing upstream was under way.

        Left out is who has a failure, or a pause, upstream: that it waits is what was asked for.
        """
        build = set(decision.build)
        for table in self.mesh.tables.values():
            if not table.inputs or table.automation != "eager" or table.domain in self.paused:
                self.waits.pop(table.name, None)
                continue
            if table.name in build:
                waited, alone = self.waits.pop(table.name, [0, 0])
                self.stats[f"wait {waited}"] += 1
                self.stats[f"delay {alone}"] += 1
            elif table.name in self.leases or not self._has_moved(table) or self._is_behind_trouble(table):
                self.waits.pop(table.name, None)
            else:
                wait = self.waits.setdefault(table.name, [0, 0])
                wait[0] += 1
                wait[1] += {*self.leases, *build}.isdisjoint(self._awaited(table.name))

    def _awaited(self, name: str) -> Iterator[str]:
        """As `_upstream`; a table on a schedule is followed as well, when it is asked for just now."""
        asked = self._ticked()
        for i in _upstream(self.mesh, name, self.paused):
            yield i
            if i in asked and self.mesh.tables[i].automation != "eager":
                yield from self._awaited(i)

    def _has_moved(self, table: Table) -> bool:
        before, _ = self.last.get(table.name, (None, 0))
        return all(i in self.seen for i in (*table.inputs, *table.references)) and (
            before is None or before[0] != tuple(self.seen[i].fingerprint for i in table.inputs)  # ty: ignore
        )

    def _is_behind_trouble(self, table: Table) -> bool:
        return any(
            self._is_stuck(name) or self.mesh.tables[name].domain in self.paused
            for name in _strict_upstream(self.mesh, table)
        )

    # -- what must hold ----------------------------------------------------------------------------------------------------------

    def _check_no_glitch(self, build: Iterable[str]) -> None:
        busy = {*self.leases, *build}
        for name in build:
            if above := busy & set(_upstream(self.mesh, name, self.paused)):
                raise Broken(f"{name} is due while {sorted(above)} upstream is due or running")

    def _check_pauses(self, build: Iterable[str]) -> None:
        if paused := [name for name in build if self.mesh.tables[name].domain in self.paused]:
            raise Broken(f"{paused} is to be built, and its domain is paused")

    def _check_not_twice(self, table: Table, step: Step, made_from: object) -> None:
        before, recorded_at = self.last.get(table.name, (None, 0))
        may = step.reason in ("schedule", "asked for") and table.name in {**self.tick_time, **self.launched}
        may = may or (step.reason == "retry" and table.name in self.launched)
        if made_from == before and step.begun > recorded_at and not may:
            raise Broken(f"{table.name} is built twice on the same inputs ({step.reason})")

    def _check_forward(self, step: Step) -> None:
        offered = {name: step.view[name].version for name in step.read}
        before = self.made_from.get(step.table, {})
        if back := [name for name in offered if offered[name] < before.get(name, 0)]:
            raise Broken(f"{step.table} goes back to older {back}")
        self.made_from[step.table] = offered

    def _check_closure(self, run: Run) -> None:
        if run.closure and self.closures and run.skipped:
            raise Broken(f"{run.id} took {run.skipped} along in vain")
        if run.closure:
            self.stats["closures"] += 1

    def rest(self) -> None:
        """Let the sources rest, resume what is paused, and look at what is left."""
        self.paused = frozenset()
        for name, raw in self.raw.items():
            self.raw[name] = raw if raw or self.rnd.random() < 0.3 else str(self.now)
        for _ in range(2000):
            decision = self.tick(QUIET)
            if not self.runs and not self.leases and not self.rules.due(self.mesh, self.state()).build:
                break
        else:
            raise Broken(f"does not settle: {decision.build}")
        for table in self.mesh.tables.values():
            if table.automation == "eager":
                self._check_settled(table)
                self._check_content(table)

    def _check_settled(self, table: Table) -> None:
        """Eager, and behind: only with a failure on the way, or something missing."""
        if any(i not in self.seen for i in (*table.inputs, *table.references)):
            return
        if table.toolchain is Toolchain.SOURCE and not self.raw[table.name]:
            return
        offered = tuple(self.seen[i].fingerprint for i in table.inputs)
        is_now = offered, table.inputs, table.code, order.promises(self.mesh, table.name), self.raw.get(table.name, "")
        before, _ = self.last.get(table.name, (None, 0))
        if before == is_now:
            return
        strict = [i for i in table.inputs if not _latest(self.mesh, table, i)]
        if len(strict) < 2 or not any(self._is_stuck(name) for name in _strict_upstream(self.mesh, table)):
            raise Broken(f"{table.name} has lost an update: made from {before}, not {is_now}")
        self.stats["left behind"] += 1

    def _is_stuck(self, name: str) -> bool:
        """Failed, or without what it needs; or scheduled, and behind what is on the same schedule."""
        table = self.mesh.tables[name]
        followed = [i for i in table.inputs if table.automation != "eager" and _hands_on(self.mesh, name, i)]
        return (
            name not in self.seen
            or self.failed.get(name, False)
            or any(i not in self.seen for i in (*table.inputs, *table.references))
            or any(self.seen[name].inputs.get(i) != self.seen[i].fingerprint for i in followed)
            or (table.toolchain is Toolchain.SOURCE and not self.raw[name])
        )

    def _check_content(self, table: Table) -> None:
        fresh = self._fresh(table.name)
        if fresh is not None and self.seen[table.name].fingerprint != fresh:
            raise Broken(f"{table.name} is not what its inputs make")

    def _fresh(self, name: str) -> str | None:
        """What the table would be, computed from nothing; None where something on the way failed, is missing or held."""
        table = self.mesh.tables[name]
        if name not in self.seen:
            return None
        if table.automation != "eager":
            followed = [i for i in {*table.inputs, *self.seen[name].inputs} if _hands_on(self.mesh, name, i)]
            behind = followed and (self._is_stuck(name) or any(self._fresh(i) is None for i in followed))
            return None if behind else self.seen[name].fingerprint
        if self._is_stuck(name) or self.seen[name].held:
            return None
        if table.toolchain is Toolchain.SOURCE:
            return self.books.value(table, table.code, [("raw", self.raw[name])])
        read = []
        for i in table.inputs:
            content = self._fresh(i)
            if content is None:
                return None
            read.append((i, content))
        return self.books.value(table, table.code, read)


def _contract(digest_: str, refers_to: Iterable[str] = ()) -> Contract:
    tests = (Test(name=name, kind=Kind.REFERENCE, arguments={"to_table": name}) for name in refers_to)
    return Contract(id="", version="", name="", columns=(), tests=tuple(tests), hash=digest_)


def _made_from(mesh: Mesh, table: Table, step: Step) -> tuple[object, ...]:
    """All that a result depends on."""
    offered = tuple(step.view[i].fingerprint for i in table.inputs)
    return offered, table.inputs, table.code, order.promises(mesh, table.name), step.raw


def _version(seen: Mapping[str, Seen], name: str) -> int | None:
    return seen[name].version if name in seen else None


def _latest(mesh: Mesh, table: Table, name: str) -> bool:
    port = mesh.port(table.domain, name)
    return port is not None and port.consistency is Consistency.LATEST


def _hands_on(mesh: Mesh, reader: str, name: str) -> bool:
    same = mesh.tables[reader].automation in ("eager", mesh.tables[name].automation)
    return same and not _latest(mesh, mesh.tables[reader], name)


def _upstream(mesh: Mesh, name: str, paused: frozenset[str] = frozenset()) -> Iterator[str]:
    """By a way of tables that follow; what is on a schedule, or paused, ends it."""
    for i in (*mesh.tables[name].inputs, *mesh.tables[name].references):
        yield i
        if mesh.tables[i].automation == "eager" and mesh.tables[i].domain not in paused:
            yield from _upstream(mesh, i, paused)


def _strict_upstream(mesh: Mesh, table: Table) -> Iterator[str]:
    for i in table.inputs:
        if not _latest(mesh, table, i):
            yield i
            yield from _strict_upstream(mesh, mesh.tables[i])


def simulate(seed: int, rules: Rules | None = None, worlds: Sequence[Chances] = WORLDS) -> Counter[str]:
    """One random mesh through a random history, with three rests.

    Raises:
        Broken: A promise was not kept.
    """
    world = World(seed, rules or Rules(), worlds[seed % len(worlds)])
    for _ in range(3):
        for _ in range(60):
            world.tick(world.chances)
        world.rest()
    return world.stats


def delays(stats: Mapping[str, int], word: str = "delay") -> list[int]:
    """How many moments tables have waited, in order."""
    counted = sorted((int(name.split()[1]), number) for name, number in stats.items() if name.startswith(f"{word} "))
    return [moments for moments, number in counted for _ in range(number)]


def simulate_restless(seed: int, rules: Rules | None = None, *, ticks: int = 150) -> Counter[str]:
    """One random mesh whose raw files all change at every moment; runs are closures.

    Raises:
        Broken: A promise was not kept.
    """
    world = World(seed, rules or Rules(), RESTLESS, closures=True)
    for _ in range(ticks):
        world.tick(RESTLESS)
    return world.stats


def starves(seed: int, rules: Rules | None = None, *, closures: bool = True) -> bool:
    """Whether, in a restless world, a table is left unbuilt while what it reads changes over and over."""
    world = World(seed, rules or Rules(), RESTLESS, closures=closures)
    for _ in range(300):
        world.tick(RESTLESS)
    return any(
        table.automation == "eager" and world.builds[name] <= 1 and any(world.versions[i] > 4 for i in table.inputs)
        for name, table in world.mesh.tables.items()
    )


if __name__ == "__main__":
    total: Counter[str] = Counter()
    for each in range(int(sys.argv[1]) if len(sys.argv) > 1 else 500):
        try:
            total += simulate(each)
            simulate_restless(each)
        except Broken as broken:
            total["broken"] += 1
            sys.stdout.write(f"{each}: {broken}\n")
    sys.stdout.write(f"{dict(total)}\n")
