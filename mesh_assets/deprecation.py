"""Ports that are served beside a newer version until their sunset: who still reads them, and whom to warn.

The words are the field's: *deprecated* (RFC 9745) is what nobody should begin to read, its *sunset* (RFC 8594) the last day on
which it is promised to be there, its *successor* (RFC 5829: `successor-version`) what to read instead.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from mesh_assets.domain import Mesh, Table
from mesh_assets.errors import Place, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A domain that still reads a deprecated port; `tables` are those of its tables that do, perhaps none yet."""

    domain: str
    tables: tuple[str, ...]
    where: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Deprecated:
    """A port that nobody should begin to read. `sunset` and `successor` may be empty; the latter is `domain.table`."""

    table: str
    sunset: str
    successor: str
    readers: tuple[Reader, ...]
    where: Place

    def over(self, today: date) -> bool:
        """Whether its sunset has passed."""
        return bool(self.sunset) and self.sunset < today.isoformat()

    def sentence(self, today: date) -> str:
        """In words, for a person."""
        when = f", sunset {'was' if self.over(today) else 'is'} on {self.sunset}" if self.sunset else ""
        instead = f"; read {_spelt(self.successor)} instead" if self.successor else ""
        names = ", ".join(reader.domain for reader in self.readers)
        return f"deprecated{when}{instead}; {f'still read by {names}' if names else 'nobody reads it any more'}"


def deprecated(mesh: Mesh, table: Table) -> Deprecated | None:
    """What is known of a table's end; None for one that is no deprecated port."""
    port = table.port
    if port is None or not port.deprecated:
        return None
    return Deprecated(
        table=table.name,
        sunset=port.sunset,
        successor=f"{table.domain}.{port.successor}" if port.successor else "",
        readers=tuple(_readers(mesh, table)),
        where=port.where,
    )


def all_deprecated(mesh: Mesh) -> tuple[Deprecated, ...]:
    """Every deprecated port, by name."""
    found = (deprecated(mesh, mesh.tables[name]) for name in sorted(mesh.tables))
    return tuple(one for one in found if one is not None)


def succeeds(mesh: Mesh, table: Table) -> str:
    """The port that this one succeeds, as `domain.table`; empty when it is nobody's next version."""
    if table.port is None or table.domain not in mesh.domains:
        return ""
    ports = mesh.domains[table.domain].outputs
    return next((f"{table.domain}.{port.table}" for port in ports if port.successor == table.short), "")


def successors(mesh: Mesh) -> dict[str, str]:
    """What to read instead of each port that has a successor, the last of them where that has one, too: as `domain.table`."""
    found = {
        name: f"{table.domain}.{table.port.successor}"
        for name, table in mesh.tables.items()
        if table.port is not None and table.port.successor
    }
    return {name: _last(name, found) for name in found}


def _last(name: str, successors: Mapping[str, str]) -> str:
    for _ in successors:  # not for ever: what they say may be a circle
        if name not in successors:
            break
        name = successors[name]
    return name


def warnings(mesh: Mesh, today: date, base: Mesh | None = None) -> tuple[Problem, ...]:
    """What a person should know and nothing is stopped for: a mesh must not break because a day has come.

    Args:
        mesh: As it is.
        today: The day by which a sunset is judged.
        base: As it was: readers that have come since are told apart.
    """
    found = [*mesh.warnings, *(problem for one in all_deprecated(mesh) for problem in _warned(one, today, base))]
    return tuple(sorted(found, key=lambda problem: (problem.where, problem.code)))


def to_json(found: Deprecated | None, today: date) -> dict[str, Any] | None:
    """As every `--json` and every page shows it."""
    if found is None:
        return None
    return {
        "port": _spelt(found.table),
        "sunset": found.sunset or None,
        "over": found.over(today),
        "successor": _spelt(found.successor) or None,
        "readers": [
            {"domain": reader.domain, "tables": [_spelt(name) for name in reader.tables]} for reader in found.readers
        ],
        "says": found.sentence(today),
    }


def _warned(found: Deprecated, today: date, base: Mesh | None) -> Iterator[Problem]:
    spelt, over = _spelt(found.table), found.over(today)
    until = f" since {found.sunset}" if over else f" until {found.sunset}" if found.sunset else ""
    instead = f"Read `{found.successor}` instead." if found.successor else "Ask its owner what to read instead."
    for reader in found.readers:
        if base is not None and not _reads(base, reader.domain, found.table):
            what = f"`{reader.domain}` begins to read {spelt}, which is deprecated"
            yield Problem("M420", what, reader.where, instead)
        elif not over:
            what = f"`{reader.domain}` reads {spelt}, which is deprecated{f' and there{until}' if until else ''}"
            yield Problem("M418", what, reader.where, instead)
    if over:
        names = ", ".join(reader.domain for reader in found.readers)
        what = f"the sunset of {spelt} was on {found.sunset}, and it is still read by {names}"
        mend = "Agree with them on a later day, or move them."
        if not names:
            what, mend = (
                f"the sunset of {spelt} was on {found.sunset}, and nobody reads it",
                "Delete it, and its contract.",
            )
        yield Problem("M419", what, found.where, mend)


def _readers(mesh: Mesh, table: Table) -> Iterator[Reader]:
    """Domains that name it as an input, and its own where a table of it does not do without."""
    for name, domain in mesh.domains.items():
        entry = domain.input(table.name)
        own = [other for other in mesh.tables.values() if other.domain == name and _needs(other, table.name)]
        if entry is not None or own:
            where = entry.where if entry else own[0].where
            yield Reader(domain=name, tables=tuple(other.name for other in own), where=where)


def _needs(reader: Table, table: str) -> bool:
    """Whether a table reads another, or its contract refers to it."""
    return table in reader.inputs or table in reader.references


def _reads(mesh: Mesh, domain: str, table: str) -> bool:
    """Whether it did; a domain that is new did not, one that could not be read is not accused."""
    entry = mesh.domains.get(domain)
    if entry is None:
        return domain in mesh.broken
    return entry.input(table) is not None or any(
        other.domain == domain and table in other.inputs for other in mesh.tables.values()
    )


def _spelt(table: str) -> str:
    return table.replace(".", "/", 1)
