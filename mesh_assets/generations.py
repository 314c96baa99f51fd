"""What each version stands for: root to fingerprint, now; and where two versions disagree.

A *root* begins generations: a source, a table without inputs, a table on a schedule of its own. What comes out of
everything else is compared by the roots it was made from, and by the *joints*: tables from which two inputs of some table
descend. A joint's content does not follow from the roots alone, since its code may have changed in between, or it waives
an input; so it is compared as well.

An input hands its generation on to an eager table, and to one on the same schedule. From an input to a table on another
schedule nothing is handed on, or those who read both would stand still until the schedule comes.

Recorded generations can be long, and almost all of it is current. So a version is held here as the set of what it saw
(bits of an integer), and only those that have moved on since with their stamps: its `lag`. At rest no record is read.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce
from operator import or_

from mesh_assets.domain import Consistency, Mesh, Table

UNKNOWN = "?"  # begins the stamp of what a record does not tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a table's last publish, or its later confirmation, says.

    Attributes:
        inputs: Every input to the fingerprint of the version that was read; of a held one, the older version's.
        generation: As `order.generation` gave it.
        held: Inputs read at an older, admitted version, because a `hold` port refused the current one.
    """

    version: int
    fingerprint: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    generation: Mapping[str, str] = field(default_factory=dict)
    held: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two inputs were made from different versions of `root`; `one` comes first among the table's inputs."""

    root: str
    one: str
    other: str


@dataclass(frozen=True, slots=True)
class _Stand:
    """What one version saw, itself too: tables as bits; those whose current version is another, with their stamps."""

    keys: int
    lag: Mapping[str, str] = field(default_factory=dict)
    behind: int = 0  # the keys of `lag`


class _Bits(dict[str, int]):
    """One bit for each table, in the order of the mesh; a table that has left it gets one when a record names it."""

    def __missing__(self, name: str) -> int:
        self[name] = 1 << len(self)
        return self[name]


def is_root(mesh: Mesh, table: Table) -> bool:
    """Whether its versions begin a generation: a source, or nothing hands its own on to it."""
    return table.watched or not any(hands_on(mesh, name, table) for name in table.inputs)


def hands_on(mesh: Mesh, name: str, reader: Table) -> bool:
    """Whether the reader carries the generation of this input on: not to a schedule that the input does not have."""
    if reader.automation == "eager":
        return True
    return name in mesh.tables and mesh.tables[name].automation == reader.automation


def waived(mesh: Mesh, reader: str, table: str) -> bool:
    """Whether domain `reader` declares that this input may be of another generation than its others."""
    port = mesh.port(reader, table)
    return port is not None and port.consistency is Consistency.LATEST


class Generations:
    """What the versions in `seen` stand for; worked out when asked for, each table once.

    A version whose inputs came out unchanged stands for their newer generation too, without being built again. Where its
    inputs have changed, or disagree among themselves by now, it stands for what its record says.

    A waived input (`latest`, or held) is not compared and hands nothing on. A table behind the waiver can so meet the
    waived root again by another way, at another version: that is what the waiver allows, and comparing it there would
    make readers wait for as long as somebody upstream holds a version back. What is kept: apart from waived inputs,
    everything that a version was made from is of one generation; hence all of it, where no table upstream waives. The
    waiving table itself is a joint like any other, so that nobody mixes two of *its* versions.
    """

    def __init__(self, mesh: Mesh, seen: Mapping[str, Seen]) -> None:
        self._mesh = mesh
        self._seen = seen
        self._waived = frozenset(
            (domain.name, port.table)
            for domain in mesh.domains.values()
            for port in domain.inputs
            if port.consistency is Consistency.LATEST
        )
        self._names = list(mesh.tables)
        self._bits = _Bits((name, 1 << place) for place, name in enumerate(self._names))
        self._roots = frozenset(name for name, table in mesh.tables.items() if is_root(mesh, table))
        scheduled = (name for name, table in mesh.tables.items() if table.automation != "eager")
        self._compared = self._roots.union(scheduled) | self._joints()
        self._stands: dict[str, _Stand] = {}

    def disagreement(self, inputs: Iterable[str]) -> Disagreement | None:
        """What two of these tables disagree on, or None: a root where there is one, the most upstream first."""
        return self._merge(self._known(inputs))[1]

    def of_new(self, table: str, fingerprint: str, inputs: Iterable[str]) -> Mapping[str, str]:
        """The generation of a version made from these inputs."""
        own = {table: fingerprint} if table in self._compared else {}
        reader = self._mesh.tables[table]
        stand, _ = self._merge(self._known(name for name in inputs if hands_on(self._mesh, name, reader)))
        told = stand.keys & ~stand.behind & self._compared_keys
        current = {name: self._current[name] for name in self._each(told)}
        return current | dict(stand.lag) | own

    def _known(self, inputs: Iterable[str]) -> list[str]:
        """Those of the inputs that have a version; what they stand for is worked out by then."""
        known = [name for name in inputs if name in self._mesh.tables and name in self._seen]
        todo = [name for name in known if name not in self._stands]
        while todo:  # not recursive: chains are long
            table = self._mesh.tables[todo[-1]]
            if table.name in self._stands:
                todo.pop()
            elif missing := [name for name in self._read(table) if name not in self._stands]:
                todo += missing
            else:
                self._stands[todo.pop()] = self._stand(table)
        return known

    def _read(self, table: Table) -> list[str]:
        """The inputs that the table's version was built from, as far as the mesh of today has them above it."""
        own = self._bits[table.name]
        return [i for i in self._built_from(table) if i in self._seen and self._bits.get(i, own) < own]

    def _built_from(self, table: Table) -> list[str]:
        seen = self._seen[table.name]
        return [i for i in seen.inputs if i not in seen.held and self._handed_on(i, table)]

    def _handed_on(self, name: str, reader: Table) -> bool:
        return (reader.domain, name) not in self._waived and hands_on(self._mesh, name, reader)

    def _stand(self, table: Table) -> _Stand:
        seen, own = self._seen[table.name], self._bits[table.name]
        read = self._read(table)
        if len(read) == len(self._built_from(table)) and all(seen.inputs[i] == self._seen[i].fingerprint for i in read):
            stand, found = self._merge(read)
            if not found:
                return _Stand(stand.keys | own, stand.lag, stand.behind)
        return self._recorded(table, read, own)

    def _recorded(self, table: Table, read: Iterable[str], own: int) -> _Stand:
        """What the record says. What it should tell by the mesh of today, and does not, agrees with nobody."""
        seen, current = self._seen[table.name], self._current
        told = self._keys(seen.generation)
        lag = {root: stamp for root, stamp in seen.generation.items() if current.get(root) != stamp}
        expected = reduce(or_, (self._stands[name].keys for name in read), 0)
        for root in self._each(expected & self._compared_keys & ~told):
            stamp = seen.inputs.get(root, f"{UNKNOWN}{table.name}@{seen.version}")
            if stamp != current.get(root):
                lag[root] = stamp
        lag.pop(table.name, None)
        return _Stand(told | expected | own, lag, self._keys(lag))

    def _merge(self, inputs: list[str]) -> tuple[_Stand, Disagreement | None]:
        """All inputs together, up to the first that disagrees with those before it."""
        merged = _Stand(0)
        for at, name in enumerate(inputs):
            stand = self._stands[name]
            if differs := self._differ(merged, stand):
                root = next(self._each(differs & self._root_keys or differs))
                one = next(i for i in inputs[:at] if self._stands[i].keys & self._bits[root])
                return merged, Disagreement(root, one, name)
            longer = merged.lag if len(merged.lag) >= len(stand.lag) else stand.lag
            behind = merged.behind | stand.behind
            lag = longer if len(longer) == behind.bit_count() else {**merged.lag, **stand.lag}
            merged = _Stand(merged.keys | stand.keys, lag, behind)
        return merged, None

    def _differ(self, one: _Stand, other: _Stand) -> int:
        """The keys that both saw, at different versions."""
        if not one.behind and not other.behind:
            return 0
        differs = one.keys & other.keys & (one.behind ^ other.behind)  # current here, an older version there
        if one.behind & other.behind and one.lag != other.lag:
            few, many = sorted((one.lag, other.lag), key=len)
            differs |= self._keys(root for root, stamp in few.items() if many.get(root, stamp) != stamp)
        return differs

    @cached_property
    def _current(self) -> dict[str, str]:
        return {name: seen.fingerprint for name, seen in self._seen.items()}

    @cached_property
    def _root_keys(self) -> int:
        return self._keys(self._roots)

    @cached_property
    def _compared_keys(self) -> int:
        return self._keys(self._compared)

    def _keys(self, roots: Iterable[str]) -> int:
        return reduce(or_, map(self._bits.__getitem__, roots), 0)

    def _each(self, keys: int) -> Iterator[str]:
        if keys and len(self._names) < len(self._bits):
            self._names = list(self._bits)
        while keys:
            low = keys & -keys
            yield self._names[low.bit_length() - 1]
            keys ^= low

    def _joints(self) -> frozenset[str]:
        """Tables that two inputs of one table descend from, or are: nothing else is ever compared.

        A version descends from what it was built from too, where its table has come to read something else since.
        """
        reach: dict[str, int] = {}
        shared = 0
        for name, table in self._mesh.tables.items():
            above = 0
            for read in table.inputs:
                if read in reach and (table.domain, read) not in self._waived:
                    shared |= above & reach[read]
                    above |= reach[read]
            before = self._seen[name].inputs if name in self._seen else ()
            if table.automation != "eager" or any(i not in table.inputs for i in before):
                handed = (i for i in {*table.inputs, *before} if i in reach and self._handed_on(i, table))
                above = reduce(or_, (reach[i] for i in handed), 0)
            reach[name] = above | self._bits[name]
        return frozenset(self._each(shared))
