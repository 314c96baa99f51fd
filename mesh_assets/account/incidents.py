"""Incidents: one per cause, from the first trouble to the day when all that lay behind it has caught up. Pure.

`follow` is asked over and over with what is known; what it gives is what is kept (`account.record`).
"""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from mesh_assets import graph, order
from mesh_assets.account.causes import Blame, Causes, Kind
from mesh_assets.domain import Mesh
from mesh_assets.order import Standing

SETTLED = (Standing.CURRENT, Standing.SCHEDULED, Standing.ELSEWHERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """What a downstream domain goes on with: the last good version of a port."""

    domain: str
    table: str
    version: int | None
    since: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One cause, and everything that comes of it.

    Attributes:
        table: The cause; `domain` owns it.
        sentence: What went wrong there, in words.
        opened: ISO, UTC, as all moments here.
        mended: Since when nobody is held up by it any more; empty: it still is.
        closed: Empty while it is open.
        tables: Those in trouble because of it.
        downstream: What other domains read meanwhile.
        pending: Tables that have not caught up since it was mended: to the moment since when none of their inputs is among
            them; empty: one still is.
        into: The incident that it turned out to be part of.
    """

    id: str
    table: str
    domain: str
    kind: str
    sentence: str
    opened: str
    mended: str = ""
    closed: str = ""
    tables: tuple[str, ...] = ()
    downstream: tuple[Reads, ...] = ()
    pending: Mapping[str, str] = field(default_factory=dict)
    into: str = ""


def known(open_: Iterable[Incident]) -> dict[str, str]:
    """Tables that open incidents are about, until they have caught up, to what is blamed; as `causes` wants it."""
    incidents = tuple(open_)
    waiting = {table: each.table for each in incidents for table in each.pending}
    return waiting | {table: each.table for each in incidents for table in each.tables}


def follow(
    mesh: Mesh,
    why: Mapping[str, order.Why],
    found: Causes,
    open_: Iterable[Incident],
    now: str,
    *,
    say: Callable[[Blame], str],
    reads: Callable[[str, str], tuple[int | None, str]],
    confirmed: Callable[[str], str],
    name: Callable[[], str] = lambda: uuid.uuid4().hex[:8],
) -> tuple[Incident, ...]:
    """Every incident that is open, or was until now, as it is now.

    Args:
        mesh: As it is loaded.
        why: What `due` said.
        found: Where every trouble comes from.
        open_: Those that were open so far.
        now: The moment, ISO.
        say: What went wrong, in words.
        reads: Of a domain and a port: the version that it reads, and since when that is there.
        confirmed: When a table was last published or confirmed, ISO; empty: never.
        name: Makes an id.
    """
    by_cause: dict[str, list[str]] = {}
    for table, blame in found.blames.items():
        by_cause.setdefault(_key(blame), []).append(table)
    before = {_key_of(incident): incident for incident in open_}
    readers = graph.readers_of(graph.graph_of(mesh))
    done: dict[str, Incident] = {}
    for key, tables in by_cause.items():
        if _catches_up(before.get(key), found, tables):
            continue
        blame = next((found.blames[t] for t in tables if t == found.blames[t].cause), found.blames[tables[0]])
        incident = before.pop(key, None) or _moved(before, by_cause, found, tables)
        behind = graph.upstream(readers, tables)  # the graph is turned round
        ways = {step for table in tables for step in found.blames[table].path}
        fresh = Incident(
            id=incident.id if incident else name(),
            table=blame.cause,
            domain=blame.domain,
            kind=str(blame.kind),
            sentence=say(blame),
            opened=incident.opened if incident else now,
            tables=tuple(tables),
            downstream=_downstream(mesh, blame, {*tables, *behind}, ways, reads),
            pending=dict.fromkeys(
                sorted({*tables, *behind, *(incident.pending if incident else ())} & mesh.tables.keys()), ""
            ),
        )
        done[key] = fresh
    for key, incident in before.items():
        done[f"left {key}"] = _left(mesh, why, found, incident, done, now, confirmed)
    return tuple(done.values())


def _catches_up(incident: Incident | None, found: Causes, tables: Iterable[str]) -> bool:
    """Whether the cause is over, and these are late only because they have not caught up."""
    if incident is None or incident.table in found.behind:
        return False
    return all(found.blames[t].kind is Kind.LATE and t in incident.pending for t in tables)


def _left(
    mesh: Mesh,
    why: Mapping[str, order.Why],
    found: Causes,
    incident: Incident,
    done: Mapping[str, Incident],
    now: str,
    confirmed: Callable[[str], str],
) -> Incident:
    """An incident whose cause is over: being tried again, mended, at its end, or part of another."""
    own = found.blames.get(incident.table)
    if own is not None and (other := done.get(_key(own))):
        return replace(incident, closed=now, into=other.id)
    if incident.kind == Kind.BROKEN and incident.domain in mesh.broken:
        return incident
    late = {table for table, blame in found.blames.items() if _key(blame) == _key_of(incident)}
    # Who is in trouble for another cause is that one's affair, and so is all that lies behind it.
    waiting = [t for t in incident.pending if t in why and (t not in found.behind or found.behind[t] in late)]
    clear = {t: incident.pending[t] or _clear(mesh, t, incident.pending, now) for t in waiting}
    # Where sources never rest a table may never be seen at rest: it has caught up when it came after all its inputs had.
    pending = {
        t: since
        for t, since in clear.items()
        if t in late or (why[t].state not in SETTLED and not (since and confirmed(t) > since))
    }
    at_rest = incident.table not in why or why[incident.table].state in SETTLED
    mended = incident.mended or (now if at_rest else "")
    return replace(incident, mended=mended, pending=pending, tables=tuple(sorted(late)), closed="" if pending else now)


def _clear(mesh: Mesh, table: str, pending: Mapping[str, str], now: str) -> str:
    return "" if any(i in pending for i in mesh.tables[table].inputs) else now


def _moved(
    before: dict[str, Incident], by_cause: Mapping[str, list[str]], found: Causes, tables: Sequence[str]
) -> Incident | None:
    """The incident whose own cause has turned out to come from elsewhere: it moves there, it is not a second one."""
    for table in tables:
        if table in before and table not in by_cause:
            return before.pop(table)
    for key, known in before.items():
        # It was only waited for, and who waited has now told what is really wrong.
        if (
            known.kind == Kind.LATE
            and known.tables
            and known.table not in found.behind
            and {*known.tables} <= {*tables}
        ):
            return before.pop(key)
    return None


def _key(blame: Blame) -> str:
    return _cause(blame.kind, blame.domain, blame.cause)


def _key_of(incident: Incident) -> str:
    return _cause(incident.kind, incident.domain, incident.table)


def _cause(kind: str, domain: str, table: str) -> str:
    """What makes two troubles one incident: the table that they come from, or the domain where that is the cause as a whole."""
    return {Kind.BROKEN: f"{domain}.", Kind.UNREACHABLE: f"{domain} unreachable"}.get(Kind(kind), table)


def _downstream(
    mesh: Mesh,
    blame: Blame,
    hit: AbstractSet[str],
    ways: AbstractSet[str],
    reads: Callable[[str, str], tuple[int | None, str]],
) -> tuple[Reads, ...]:
    """Each port that another domain reads and that gets nothing new, or that is on the way to the cause."""
    ports = hit | ways
    read = {
        (mesh.tables[name].domain, i)
        for name in hit
        if name in mesh.tables and mesh.tables[name].domain != blame.domain
        for i in mesh.tables[name].inputs
        if i in ports and i.partition(".")[0] != mesh.tables[name].domain
    }
    found = []
    for domain, port in sorted(read):
        version, since = reads(domain, port)
        found.append(Reads(domain=domain, table=port, version=version, since=since))
    return tuple(found)
