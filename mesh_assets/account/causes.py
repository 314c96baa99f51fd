"""Who caused it: every table that is in trouble, to the one table and domain from which that comes. Pure.

A failed table has its last good build beside it. What differs between the two entered somewhere upstream: the walk goes from
version to version, along inputs whose content changed, to tables whose own code, contract or files did. Code goes before
contracts and these before files, for files change every day; then the nearest. Lateness, disagreement and waiting are
traced along the inputs to what is in trouble, or late, there.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from mesh_assets import order
from mesh_assets.account.states import HINDERED, State, Status
from mesh_assets.domain import Mesh
from mesh_assets.order import Standing


class Kind(StrEnum):
    """What went wrong where the trouble comes from."""

    FILES = "files"  # raw files that are new, and bad
    NO_FILES = "no files"
    CODE = "code"  # the code changed, and what it gives is refused
    CONTRACT = "contract"  # a promise or an expectation changed
    FAILED = "failed"  # nothing of its own changed that would explain it
    LATE = "late"
    BROKEN = "broken"  # the domain's files cannot be loaded
    UNREACHABLE = "unreachable"  # nothing is heard of the domain's code location, so that nobody builds what is due


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One build of a table, good or not: what it was made from.

    Attributes:
        inputs: Every input to the fingerprint of what was on offer.
    """

    fingerprint: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    code: str = ""
    contract: str = ""
    raw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """Where the trouble of one table comes from.

    Attributes:
        cause: The table; of a domain that cannot be loaded, the table of it that is missed.
        domain: Whose that is.
        path: From the table in trouble to the cause, both included.
    """

    cause: str
    domain: str
    kind: Kind
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Causes:
    """Every table in trouble with its blame; and those that only lie behind one, by the input that they have it from.

    Attributes:
        behind: Tables that get nothing new because of trouble upstream: to the table in trouble itself.
        through: The same, and `order`'s waits: to the next input on the way there.
    """

    blames: Mapping[str, Blame]
    behind: Mapping[str, str] = field(default_factory=dict)
    through: Mapping[str, str] = field(default_factory=dict)


Builds = Callable[[str], Sequence[Build]]
"""Good builds of a table, newest first: published and confirmed."""
_RANK = (Kind.CODE, Kind.CONTRACT, Kind.FILES, Kind.FAILED)


def causes(
    mesh: Mesh,
    state: order.State,
    why: Mapping[str, order.Why],
    statuses: Mapping[str, Status],
    builds: Builds,
    *,
    refused: Mapping[str, str] | None = None,
    expected: Iterable[str] | None = None,
    unloadable: Iterable[str] = (),
    silent: Iterable[str] = (),
    known: Mapping[str, str] | None = None,
) -> Causes:
    """Where every trouble comes from.

    Args:
        mesh: Upstream before downstream, as it always is.
        state: As `due` was asked with.
        why: What `due` said.
        statuses: The state of every table.
        builds: Good builds of a table.
        refused: Tables to the input that their domain refuses.
        expected: Tables whose lateness counts; default: all that are late.
        unloadable: Domains whose code does not load.
        silent: Domains of whose code location nothing is heard.
        known: Tables that an incident is about to what is blamed in it, until they have caught up: where several could be
            blamed that stays, and who is late only because it has not caught up is no new cause.
    """
    it = _Search(mesh, state, builds, dict(refused or {}), frozenset(silent), dict(known or {}))
    counted = frozenset(statuses) if expected is None else frozenset(expected)
    blames: dict[str, Blame] = {}
    behind: dict[str, str] = {}
    through: dict[str, str] = {}
    broken = _not_loaded(mesh, why, unloadable)
    for name in mesh.tables:
        reason = why[name]
        blame = broken.get(name) or it.own(name, reason, blames)
        late = statuses[name].late and name in counted and reason.state is not Standing.MISSING
        if blame is None and (late or reason.state is Standing.DISAGREES):
            source = _trouble_above(mesh, name, behind, through)
            if source:
                blame = _further(name, through, blames[source])
            elif late:
                blame = it.lateness(name, why)
        if blame is not None:
            blames[name] = blame
            behind[name] = name
        elif source := _trouble_above(mesh, name, behind, through):
            behind[name] = source
    return Causes(blames=blames, behind=behind, through=through)


def _trouble_above(mesh: Mesh, name: str, behind: Mapping[str, str], through: dict[str, str]) -> str:
    """The table in trouble that this one lies behind; a table in trouble itself goes before one that lies behind another."""
    found = [i for i in mesh.tables[name].inputs if i in behind]
    if not found:
        return ""
    nearest = next((i for i in found if behind[i] == i), found[0])
    through[name] = nearest
    return behind[nearest]


def _further(name: str, through: Mapping[str, str], blame: Blame) -> Blame:
    """The same blame, from further down."""
    way, at = [name], name
    while at in through and through[at] not in way and at not in blame.path:
        at = through[at]
        way.append(at)
    rest = blame.path[blame.path.index(at) + 1 :] if at in blame.path else ()
    return Blame(cause=blame.cause, domain=blame.domain, kind=blame.kind, path=(*way, *rest))


def _not_loaded(mesh: Mesh, why: Mapping[str, order.Why], unloadable: Iterable[str]) -> dict[str, Blame]:
    """Tables that would be built if their domain's code did load; the first of each domain stands for it."""
    first: dict[str, str] = dict.fromkeys(unloadable, "")
    found = {}
    for name, table in mesh.tables.items():
        if table.domain in first and why[name].state in HINDERED:
            cause = first[table.domain] = first[table.domain] or name
            path = tuple(dict.fromkeys((name, cause)))
            found[name] = Blame(cause=cause, domain=table.domain, kind=Kind.BROKEN, path=path)
    return found


def _missing(mesh: Mesh, name: str, reason: order.Why, blames: Mapping[str, Blame]) -> Blame | None:
    table = mesh.tables[name]
    if not reason.tables:
        return Blame(cause=name, domain=table.domain, kind=Kind.NO_FILES, path=(name,))
    for missed in reason.tables:
        if missed in blames:
            blame = blames[missed]
            return Blame(cause=blame.cause, domain=blame.domain, kind=blame.kind, path=(name, *blame.path))
        if missed not in mesh.tables:
            domain = missed.partition(".")[0]
            kind = Kind.BROKEN if domain in mesh.broken else Kind.CODE
            return Blame(cause=missed, domain=domain, kind=kind, path=(name, missed))
    return None  # an input that is still to be built, or built when asked for: nobody's fault


@dataclass(frozen=True)
class _Search:
    mesh: Mesh
    state: order.State
    builds: Builds
    refused: Mapping[str, str]
    silent: frozenset[str]
    known: Mapping[str, str]

    def own(self, name: str, reason: order.Why, blames: Mapping[str, Blame]) -> Blame | None:
        """Of a table that failed, misses something, goes on without an input, or that nobody builds; else none."""
        if reason.state is Standing.FAILED:
            return self.failure(name)
        if reason.state is Standing.MISSING:
            return _missing(self.mesh, name, reason, blames)
        if reason.state is Standing.CURRENT and (held := self.held(name)):
            return self.hold(name, held)
        if reason.state is Standing.DUE and name.partition(".")[0] in self.silent:
            return self._blame(name, Kind.UNREACHABLE, (name,))
        return None

    def failure(self, name: str) -> Blame:
        """The walk from a failed table."""
        last = self.state.tried[name]
        bad = Build(inputs=last.inputs, code=last.code, contract=last.contract, raw=last.raw)
        good = next(iter(self.builds(name)), None)
        refused = self.refused.get(name, "")
        if good is None and not refused:
            return self._blame(name, Kind.FAILED, (name,))
        if refused and good is not None and good.contract == bad.contract and refused in self.mesh.tables:
            good = Build(
                inputs={**bad.inputs, refused: good.inputs.get(refused, "")},
                code=bad.code,
                contract=bad.contract,
                raw=bad.raw,
            )  # what it refused is what it is about, whatever else is new
        elif refused and good is None:
            return self._blame(refused, Kind.FAILED, (name, refused))
        blame = self._chosen(name, self._entered(name, bad, good or bad))
        if refused and blame.cause == name and blame.kind is Kind.CONTRACT:
            # All of the domain's tables that read the port are stopped by its one contract.
            port = f"{blame.domain}.in/{refused.replace('.', '__', 1)}"
            return self._blame(port, Kind.CONTRACT, (name, port))
        return blame

    def held(self, name: str) -> str:
        """An input that the table's domain refuses as it is now, and goes on without; empty: none."""
        seen = self.state.seen
        known = (i for i in sorted(seen[name].held) if i in seen and i in self.mesh.tables)
        return next((i for i in known if seen[name].inputs.get(i) != seen[i].fingerprint), "")

    def hold(self, name: str, held: str) -> Blame:
        """Where the version that is refused got what it is refused for."""
        good = Build(inputs=self.state.seen[name].inputs)
        bad = Build(inputs={**good.inputs, held: self.state.seen[held].fingerprint})
        found = self._entered(name, bad, good)
        return self._chosen(name, found) if found else self._blame(held, Kind.FAILED, (name, held))

    def lateness(self, name: str, why: Mapping[str, order.Why]) -> Blame:
        """A late table that nothing upstream explains: what it waits for, if it waits; what that was before stays."""
        kept = self.known.get(name, "")
        if kept in self.mesh.tables:
            return self._blame(kept, Kind.LATE, (name,) if kept == name else (name, kept))
        way = [name]
        while why[way[-1]].state is Standing.WAITS and why[way[-1]].tables[0] not in way:
            way.append(why[way[-1]].tables[0])
        return self._blame(way[-1], Kind.LATE, tuple(way))

    def _chosen(self, name: str, found: Mapping[str, tuple[Kind, tuple[str, ...]]]) -> Blame:
        if not found:
            return self._blame(name, Kind.FAILED, (name,))
        kept = self.known.get(name, "")
        best = min(found.values(), key=lambda item: _RANK.index(item[0]))[0]  # `min` keeps the first: the nearest
        cause = kept if kept in found else next(table for table, (kind, _) in found.items() if kind is best)
        kind, path = found[cause]
        return self._blame(cause, kind, path)

    def _blame(self, cause: str, kind: Kind, path: tuple[str, ...]) -> Blame:
        return Blame(cause=cause, domain=cause.partition(".")[0], kind=kind, path=path)

    def _entered(self, name: str, bad: Build, good: Build) -> dict[str, tuple[Kind, tuple[str, ...]]]:
        """Where what differs has entered, the nearest first: table to what differs there and the way to it."""
        found: dict[str, tuple[Kind, tuple[str, ...]]] = {}
        todo: list[tuple[str, Build, Build, tuple[str, ...]]] = [(name, bad, good, (name,))]
        seen: set[str] = {name}
        while todo:
            at, new, old, way = todo.pop(0)
            if new.code != old.code or new.inputs.keys() != old.inputs.keys():
                found.setdefault(at, (Kind.CODE, way))
            elif at == name and new.contract != old.contract:
                found.setdefault(at, (Kind.CONTRACT, way))
            elif new.raw != old.raw:
                found.setdefault(at, (Kind.FILES, way))
            for i, stamp in new.inputs.items():
                before = old.inputs.get(i)
                if i in seen or before is None or before == stamp:
                    continue
                seen.add(i)
                a, b = self._build(i, stamp), self._build(i, before)
                if a is None or b is None:
                    found.setdefault(i, (Kind.FAILED, (*way, i)))
                else:
                    todo.append((i, a, b, (*way, i)))
        return found

    def _build(self, name: str, fingerprint: str) -> Build | None:
        return next((build for build in self.builds(name) if build.fingerprint == fingerprint), None)


def in_trouble(status: Status) -> bool:
    """Whether a state is one that somebody must mend."""
    return status.state in (State.FAILED, State.FAILED_TESTS, State.HELD, State.MISSING) or status.late
