"""What each version stands for: root to fingerprint, now; and where two versions disagree.

A *root* begins generations: a source, a table without inputs, a table on a schedule of its own. What comes out of everything else
is compared by the roots it was made from, and by the *joints*: tables from which two inputs of some table descend. A joint's
content does not follow from the roots alone, since its code may have changed in between, or it waives an input; so it is
compared as well.

Recorded generations can be long, and almost all are current. So a version is held here as the set of what it saw (bits of an
integer) and only those of them that have moved on since: its `lag`. At rest no record is looked at.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mesh_assets.domain import Consistency, Mesh, Table, Toolchain

UNKNOWN = "?"  # begins the stamp of what a record does not tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a table's last publish, or its later confirmation, says.

    Attributes:
        inputs: Every input to the fingerprint of the version that was read; of a held one, the older version's.
        generation: As `generation` gave it.
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
    """What one version saw: roots and joints as bits, and the stamps of those whose current version is another."""

    keys: int
    lag: Mapping[str, str]


_NO_LAG: Mapping[str, str] = {}


def is_root(table: Table) -> bool:
    """Whether its versions begin a generation."""
    return table.toolchain is Toolchain.SOURCE or not table.inputs or table.automation != "eager"


def waived(mesh: Mesh, reader: str, table: str) -> bool:
    """Whether domain `reader` declares that this input may be of another generation than its others."""
    port = mesh.port(reader, table)
    return port is not None and port.consistency is Consistency.LATEST


class Generations:
    """What the versions in `seen` stand for; computed once, each table after its inputs.

    A version whose inputs came out unchanged stands for their newer generation too, without being built again. Where its inputs
    have changed, or disagree among themselves by now, it stands for what its record says.

    A waived input (`latest`, or held) is not compared and hands nothing on. A table behind the waiver can so meet the waived
    root again by another way, at another version: that is what the waiver allows, and comparing it there would make readers
    wait for as long as somebody upstream holds a version back. What is kept: apart from waived inputs, everything that a
    version was made from is of one generation; hence all of it, where no table upstream waives. The waiving table itself is a
    joint like any other, so that nobody mixes two of *its* versions.
    """

    def __init__(self, mesh: Mesh, seen: Mapping[str, Seen]) -> None:
        self._seen = seen
        self._waived = frozenset(
            (domain.name, port.table)
            for domain in mesh.domains.values()
            for port in domain.inputs
            if port.consistency is Consistency.LATEST
        )
        self._names = list(mesh.tables)
        self._bit = {name: 1 << place for place, name in enumerate(self._names)}
        self._roots = frozenset(name for name, table in mesh.tables.items() if is_root(table))
        self._compared = self._roots | self._joints(mesh)
        self._stands: dict[str, _Stand] = {}
        for name, table in mesh.tables.items():
            if name in seen:
                self._stands[name] = self._stand(table)

    def disagreement(self, inputs: Iterable[str]) -> Disagreement | None:
        """The first root on which two of these tables disagree, or None; roots before joints."""
        _, found = self._merge([name for name in inputs if name in self._stands])
        return min(found, key=lambda each: (each.root not in self._roots, each.root)) if found else None

    def of_new(self, table: str, fingerprint: str, inputs: Iterable[str]) -> Mapping[str, str]:
        """The generation of a version made from these inputs."""
        own = {table: fingerprint} if table in self._compared else {}
        if table in self._roots:
            return own
        stand, _ = self._merge([name for name in inputs if name in self._stands])
        current = {name: self._seen[name].fingerprint for name in self._each(stand.keys)}
        return current | dict(stand.lag) | own

    def _stand(self, table: Table) -> _Stand:
        name, seen = table.name, self._seen[table.name]
        own = self._bit[name] if name in self._compared else 0
        if name in self._roots:
            return _Stand(own, _NO_LAG)
        read = [i for i in seen.inputs if i not in seen.held and (table.domain, i) not in self._waived]
        known = [i for i in read if i in self._stands]
        if len(known) == len(read) and all(seen.inputs[i] == self._seen[i].fingerprint for i in read):
            stand, found = self._merge(read)
            if not found:
                return _Stand(stand.keys | own, stand.lag)
        return self._recorded(table, known, own)

    def _recorded(self, table: Table, read: Iterable[str], own: int) -> _Stand:
        """What the record says. What it should tell by the mesh of today, and does not, is unknown: it agrees with nobody."""
        seen = self._seen[table.name]
        lag = {
            root: stamp
            for root, stamp in seen.generation.items()
            if root not in self._seen or self._seen[root].fingerprint != stamp
        }
        keys = 0
        for root in seen.generation:
            keys |= self._key(root)
        expected = 0
        for name in read:
            expected |= self._stands[name].keys
        for root in self._each(expected & ~keys):
            stamp = seen.inputs.get(root, f"{UNKNOWN}{table.name}@{seen.version}")
            if stamp != self._seen[root].fingerprint:
                lag[root] = stamp
        lag.pop(table.name, None)
        return _Stand(keys | expected | own, lag)

    def _merge(self, inputs: list[str]) -> tuple[_Stand, list[Disagreement]]:
        """All inputs together; where they disagree, what the first says."""
        keys, lags = 0, []
        for name in inputs:
            keys |= self._stands[name].keys
            if self._stands[name].lag:
                lags.append(name)
        if not lags:
            return _Stand(keys, _NO_LAG), []
        lag: dict[str, str] = {}
        found = []
        for root in {root: None for name in lags for root in self._stands[name].lag}:
            stamps = [(name, self._stamp(name, root)) for name in inputs]
            saw = [(name, stamp) for name, stamp in stamps if stamp is not None]
            one, stamp = saw[0]
            if root not in self._seen or stamp != self._seen[root].fingerprint:
                lag[root] = stamp
            found += [Disagreement(root, one, other) for other, theirs in saw if theirs != stamp][:1]
        return _Stand(keys, lag), found

    def _stamp(self, name: str, root: str) -> str | None:
        stand = self._stands[name]
        if root in stand.lag:
            return stand.lag[root]
        return self._seen[root].fingerprint if root in self._seen and stand.keys & self._key(root) else None

    def _key(self, root: str) -> int:
        """The bit of a root; tables that have left the mesh get one when a record names them."""
        if root not in self._bit:
            self._bit[root] = 1 << len(self._names)
            self._names.append(root)
        return self._bit[root]

    def _each(self, keys: int) -> Iterator[str]:
        while keys:
            low = keys & -keys
            yield self._names[low.bit_length() - 1]
            keys ^= low

    def _joints(self, mesh: Mesh) -> frozenset[str]:
        """Tables that two inputs of one table descend from, themselves included: the only ones worth comparing."""
        reach: dict[str, int] = {}
        shared = 0
        for name, table in mesh.tables.items():
            above = 0
            for read in table.inputs:
                if read in reach and (table.domain, read) not in self._waived:
                    shared |= above & reach[read]
                    above |= reach[read]
            reach[name] = self._bit[name] if name in self._roots else above | self._bit[name]
        return frozenset(self._each(shared))
