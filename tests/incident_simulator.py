"""Failures injected into the worlds of the order simulator, and what the mesh says of who caused them.

Run: python -m tests.incident_simulator [WORLDS]

A world of `tests/order_simulator.py` (its mesh, its runs, the real `order.due`) lives on with raw files that arrive all the time.
Then one thing goes wrong in it, and is mended a while later. What is judged: which domain each incident names, how many
incidents there were for the one cause, and whether all of them closed themselves. The account's own functions decide
(`status_of`, `causes`, `follow`); the simulator knows what it did, and they do not.
"""

import random
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from mesh_assets import graph, order
from mesh_assets.account.causes import Blame, Build, causes
from mesh_assets.account.expected import Expectation, Source
from mesh_assets.account.incidents import Incident, follow, known
from mesh_assets.account.states import Facts, status_of
from mesh_assets.domain import InputPort, Mesh, OnFailure, Table, Toolchain
from mesh_assets.errors import Place, Problem
from mesh_assets.order import Standing
from tests.order_simulator import Chances, Run, Step, World, _contract, digest

QUIET_WEEK = Chances(raw=0.25, missing=0, tick=0.1, code=0, contract=0, automation=0, port=0, kill=0.01, fail=0, refuse=0, waiver=0.2, schedule=0.08, manual=False)  # fmt: skip
"""Raw files arrive, schedules come, runs are killed; nothing is wrong but what is injected."""
LIKE_IT_ALL = replace(QUIET_WEEK, raw=0, tick=0.06, kill=0)
KINDS = ("bad files", "no files", "late files", "code raises", "bad content", "bad content far", "refused by a reader", "stricter reader", "domain broken")  # fmt: skip
START = datetime(2026, 1, 1, tzinfo=UTC)
TICK = timedelta(hours=1)


@dataclass
class Faulty(World):
    """A world in which one table can be made to fail, and in which others can fail because of its content."""

    chances: Chances = QUIET_WEEK
    failing: set[str] = field(default_factory=set)  # their code or their tests fail whatever comes
    bad: dict[str, set[str]] = field(default_factory=dict)  # table -> fingerprints that are bad, and published
    detects: dict[str, str] = field(default_factory=dict)  # table -> the table upstream whose bad content stops it
    made: dict[str, list[Build]] = field(default_factory=dict)
    came: dict[str, list[int]] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    messages: dict[str, bool] = field(default_factory=dict)  # table -> own tests failed
    stained: set[str] = field(default_factory=set)  # tables whose next content is bad
    silent: set[str] = field(default_factory=set)  # sources whose files do not come any more
    broken: str = ""  # a domain whose files cannot be read
    origins: dict[tuple[str, str], frozenset[str]] = field(
        default_factory=dict
    )  # content -> bad tables it was made from

    def __post_init__(self) -> None:
        super().__post_init__()
        due, closure = self.rules.due, self.rules.closure
        self.rules = replace(
            self.rules,
            due=lambda _mesh, state: due(self.loaded, state),
            closure=lambda _mesh, state, start: closure(self.loaded, state, start),
        )

    def _check_no_glitch(self, build: Iterable[str]) -> None:
        if not self.broken:  # what leads through a domain that cannot be loaded is no way
            super()._check_no_glitch(build)

    @property
    def loaded(self) -> Mesh:
        """The mesh without the domain whose files cannot be read."""
        if not self.broken:
            return self.mesh
        left = {name: table for name, table in self.mesh.tables.items() if table.domain != self.broken}
        problem = Problem("M002", "misspelt", Place(f"domains/{self.broken}/domain.yaml"), "Mend it.")
        return replace(self.mesh, tables=left, broken={self.broken: (problem,)})

    def _new_mesh(self) -> Mesh:
        """At least two domains: a failure that cannot leave its domain has nothing to show."""
        for _ in range(50):
            mesh = super()._new_mesh()
            if any(t.domain != mesh.tables[i].domain for t in mesh.tables.values() for i in t.inputs):
                return mesh
        return mesh

    def is_coarse(self, name: str) -> bool:
        """Whether its content is one of three, so that other inputs often give the same; see `Books.value`."""
        return digest(name, self.seed) % 4 == 0

    # -- what is injected ------------------------------------------------------------------------------------------------------

    def _happen(self, chances: Chances) -> None:
        kept = {name: self.raw[name] for name in self.silent}
        super()._happen(chances)
        self.raw |= kept

    def _fails(self, table: Table, made_from: object) -> bool:
        if table.name in self.failing:
            self.messages[table.name] = True
            return True
        watched = self.detects.get(table.name)
        read = made_from[0] if isinstance(made_from, tuple) else ()
        origins = frozenset().union(
            *(self.origins.get((i, f), frozenset()) for i, f in zip(table.inputs, read, strict=False))
        )
        self.messages[table.name] = True
        return watched in origins

    def _admit(
        self, run: Run, table: Table, view: Mapping[str, order.Seen]
    ) -> tuple[dict[str, str], frozenset[str], bool]:
        read, held, refused = super()._admit(run, table, view)
        for name in table.inputs:
            port = run.mesh.port(table.domain, name)
            if port is None or port.contract is None or port.on_failure is not OnFailure.STOP:
                continue
            strict = port.contract.hash.startswith("stricter")
            if strict or self.origins.get((name, view[name].fingerprint)):
                self.refusals[table.name] = name
                return read, held, True
        self.refusals.pop(table.name, None)
        return read, held, refused

    def _publish(self, run: Run, table: Table, step: Step, recorded: Mapping[str, order.Seen]) -> None:
        super()._publish(run, table, step, recorded)
        content = self.seen[table.name].fingerprint
        stains = frozenset().union(*(self.origins.get((i, f), frozenset()) for i, f in step.read.items()))
        if table.name in self.stained:
            stains |= {table.name}
        # Of few contents, one that was good before is no worse for what it was made from: the stain does not show in it.
        self.origins[table.name, content] = frozenset() if self.is_coarse(table.name) else stains
        tried = self.tried[table.name]
        build = Build(fingerprint=content, inputs=tried.inputs, code=tried.code, contract=tried.contract, raw=tried.raw)
        self.made.setdefault(table.name, []).insert(0, build)
        self.came.setdefault(table.name, []).append(self.now)

    # -- what the mesh says ----------------------------------------------------------------------------------------------------

    def expects(self, name: str) -> Expectation | None:
        """Sources are promised once a day, and what is made of them in three."""
        if self.mesh.tables[name].automation != "eager" or (name not in self.silent and name not in self.promised):
            return None
        within = (24 if self.mesh.tables[name].toolchain is Toolchain.SOURCE else 72) * TICK
        return Expectation(source=Source.PROMISE, words="in time", within=within, period=within)

    promised: frozenset[str] = frozenset()

    def look(self, before: tuple[Incident, ...]) -> tuple[Incident, ...]:
        """One look, as `account.look` takes it of lake and ledger."""
        now = START + self.now * TICK
        state = self.state()
        why = order.due(self.loaded, state).why
        refused = {
            t: port for t, port in self.refusals.items() if t in self.loaded.tables and why[t].state is Standing.FAILED
        }
        statuses = {name: status_of(why[name], self._facts(name, refused), now) for name in self.loaded.tables}
        found = causes(
            self.loaded,
            state,
            why,
            statuses,
            lambda name: self.made.get(name, ()),
            refused=refused,
            known=known(before),
        )
        reads = lambda _domain, port: (self.seen[port].version if port in self.seen else None, "")
        return follow(
            self.loaded, why, found, before, now.isoformat(), say=_say, reads=reads, confirmed=self._confirmed
        )

    def _confirmed(self, name: str) -> str:
        came = self.came.get(name)
        return (START + came[-1] * TICK).isoformat() if came else ""

    def _facts(self, name: str, refused: Mapping[str, str]) -> Facts:
        came = [START + at * TICK for at in self.came.get(name, ())]
        last = self.tried.get(name)
        return Facts(
            version=self.seen[name].version if name in self.seen else None,
            since=came[-1] if came else None,
            confirmed=came[-1] if came else None,
            before=came[-2] if len(came) > 1 else None,
            outcome="held" if last and last.failed else "published" if came else "",
            tests_failed=self.messages.get(name, False),
            refused=refused.get(name, ""),
            expectation=self.expects(name),
        )


def _say(blame: Blame) -> str:
    return f"{blame.kind} of {blame.cause}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one injected failure."""

    kind: str
    domain: str
    incidents: tuple[Incident, ...]
    before: int  # incidents that were open, or opened, with nothing wrong

    @property
    def opened(self) -> tuple[Incident, ...]:
        """Without those that turned out to be part of another."""
        return tuple(each for each in self.incidents if not each.into)

    @property
    def right(self) -> bool:
        """Whether every incident names the domain."""
        return bool(self.opened) and all(each.domain == self.domain for each in self.opened)

    @property
    def over(self) -> bool:
        """Whether all of them closed themselves."""
        return all(each.closed for each in self.incidents)


def inject(seed: int, kind: str) -> Outcome | None:
    """One failure in one world; None where this world has no place for it, or where it never showed."""
    world = Faulty(seed)
    rnd = random.Random(f"{seed} {kind}")
    for _ in range(30):
        world.tick(QUIET_WEEK)
    _settle(world)
    if any(name not in world.seen for name in world.mesh.tables):
        return None
    place = _place(world, kind, rnd)
    if place is None:
        return None
    cause, mend = place
    told: dict[str, Incident] = {}
    open_: tuple[Incident, ...] = ()
    false = len(world.look(()))
    for at in range(600):
        # Mended while the rest of the mesh goes on; after that it rests, so that everything can catch up.
        world.tick(QUIET_WEEK if at < 70 else LIKE_IT_ALL)
        if at == 60:
            mend()
        elif kind == "late files" and at > 60 and at % 20 == 0:  # they come again, as promised
            world.raw[cause] = str(at)
        now = world.look(open_)
        told |= {each.id: each for each in now}
        open_ = tuple(each for each in now if not each.closed)
        if at > 75 and not open_:
            break
    if not told:
        return None
    return Outcome(kind=kind, domain=cause.partition(".")[0], incidents=tuple(told.values()), before=false)


def _settle(world: Faulty) -> None:
    for _ in range(300):
        world.tick(LIKE_IT_ALL)
        if not world.runs and not order.due(world.mesh, world.state()).build:
            return


def _place(world: Faulty, kind: str, rnd: random.Random):  # noqa: PLR0912 - one branch per kind
    """Where it goes wrong, and how it is mended."""
    mesh = world.mesh
    edges = graph.graph_of(mesh)
    sources = [name for name, table in mesh.tables.items() if table.toolchain is Toolchain.SOURCE]
    crossing = lambda name: (
        {mesh.tables[t].domain for t in graph.downstream(edges, [name])} - {mesh.tables[name].domain}
    )
    eager = [
        n for n, table in mesh.tables.items() if table.automation == "eager" and table.inputs and not world.is_coarse(n)
    ]
    foreign = [(t, i) for t in eager for i in mesh.tables[t].inputs if i.partition(".")[0] != mesh.tables[t].domain]
    foreign = [(t, i) for t, i in foreign if not world.is_coarse(i)]
    if kind in ("bad files", "no files", "late files"):
        chosen = [
            name
            for name in sources
            if crossing(name) and mesh.tables[name].automation == "eager" and not world.is_coarse(name)
        ]
        if not chosen:
            return None
        cause = rnd.choice(chosen)
        if kind == "bad files":
            world.failing.add(cause)
            world.raw[cause] = "bad"
            return cause, lambda: (world.failing.discard(cause), world.raw.__setitem__(cause, "good"))
        world.silent.add(cause)
        if kind == "late files":
            above = {t: graph.upstream(edges, [t]) for t in graph.downstream(edges, [cause])}
            prompt = {t for t, way in above.items() if all(mesh.tables[i].automation == "eager" for i in way)}
            behind = {t for t in prompt if above[t] & set(sources) == {cause}}
            world.promised = frozenset(behind)
        else:
            world.raw[cause] = ""
        return cause, lambda: (world.silent.discard(cause), world.raw.__setitem__(cause, "again"))
    if kind in ("code raises", "bad content", "bad content far"):
        behind = {}
        for name in eager:
            others = [t for t in graph.downstream(edges, [name]) if mesh.tables[t].domain != mesh.tables[name].domain]
            near = [t for t in others if name in mesh.tables[t].inputs]
            behind[name] = {"code raises": others, "bad content": near}.get(kind, [t for t in others if t not in near])
        chosen = [name for name in eager if behind[name]]
        if not chosen:
            return None
        cause = rnd.choice(chosen)
        world._change(cause, code="new")
        if kind == "code raises":
            world.failing.add(cause)
            return cause, lambda: (world.failing.discard(cause), world._change(cause, code="newer"))
        world.stained.add(cause)
        world.detects[rnd.choice(sorted(behind[cause]))] = cause
        return cause, lambda: (world.stained.discard(cause), world._change(cause, code="newer"))
    if not foreign:
        return None
    table, port = rnd.choice(foreign)
    reader = mesh.tables[table].domain
    if kind == "domain broken":
        owner = mesh.tables[port].domain
        world.broken = owner
        return f"{owner}.", lambda: setattr(world, "broken", "")
    _with_port(world, reader, InputPort(table=port, contract=_contract("strict"), on_failure=OnFailure.STOP))
    _settle(world)
    if any(world.tried[t].failed for t in world.mesh.tables):
        return None
    if kind == "refused by a reader":
        if mesh.tables[port].toolchain is Toolchain.SOURCE:
            world.raw[port] = "stained"
        else:
            world._change(port, code="new")
        world.stained.add(port)
        again = lambda: world.raw.__setitem__(port, "clean") if port in sources else world._change(port, code="newer")
        return port, lambda: (world.stained.discard(port), again())
    _with_port(world, reader, InputPort(table=port, contract=_contract("stricter"), on_failure=OnFailure.STOP))
    relaxed = InputPort(table=port, contract=_contract("relaxed"), on_failure=OnFailure.STOP)
    return table, lambda: _with_port(world, reader, relaxed)


def _with_port(world: Faulty, reader: str, port: InputPort) -> None:
    domain = world.mesh.domains[reader]
    inputs = (*(each for each in domain.inputs if each.table != port.table), port)
    world.mesh = replace(world.mesh, domains={**world.mesh.domains, reader: replace(domain, inputs=inputs)})
    world.books.promise_less(port.table, reader)


def outcomes(count: int, first: int = 0) -> list[Outcome]:
    """So many injected failures that showed, of all kinds by turns."""
    found: list[Outcome] = []
    seed = first
    while len(found) < count:
        for kind in KINDS:
            if len(found) < count and (outcome := inject(seed, kind)) is not None:
                found.append(outcome)
        seed += 1
    return found


if __name__ == "__main__":
    told = outcomes(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
    for one in KINDS:
        mine = [each for each in told if each.kind == one]
        named = Counter(len(each.opened) for each in mine)
        right, over = sum(each.right for each in mine), sum(each.over for each in mine)
        sys.stdout.write(f"{one:22} {len(mine):4}: right {right}, incidents per cause {dict(named)}, closed {over}\n")
    every = sum(len(each.opened) for each in told)
    share = sum(each.right for each in told) / len(told)
    sys.stdout.write(f"{len(told)}: right domain {share:.1%}, incidents per cause {every / len(told):.3f}\n")
