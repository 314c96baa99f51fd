"""DataOps measures of every domain, by week."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from mesh_assets import provenance
from mesh_assets.account.expected import Expectation, due
from mesh_assets.account.look import look
from mesh_assets.catalog.reports import SCHEMA_VERSION, Json
from mesh_assets.domain import Mesh
from mesh_assets.environment import Environment
from mesh_assets.ledger import Version

WEEKS = 12
BEFORE = timedelta(days=35)
"""How far before the first week it is looked for when a table came: one that is expected every month came then."""
MOST = 2_000
"""Versions of a table that are looked at: one an hour, for all weeks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """What is on record of a domain's tables; moments in order.

    Attributes:
        tried: When a build was tried, and whether tests of the table's own have stopped it.
        came: By table, what was expected of it, and when it was published or confirmed.
        refused: When a version was first refused by a reader.
        cycles: When code came into production, and the seconds since its commit.
    """

    tried: list[tuple[datetime, bool]] = field(default_factory=list)
    came: list[tuple[Expectation, Sequence[datetime]]] = field(default_factory=list)
    refused: list[datetime] = field(default_factory=list)
    cycles: list[tuple[datetime, float]] = field(default_factory=list)


def measures(env: Environment, *, now: datetime | None = None, weeks: int = WEEKS) -> Json:
    """The JSON of `mesh history --measures`.

    `on_time`: of what came in the week, and what was overdue at its end, the share that came when it was expected.
    `failed_tests`: share of attempts that tests of the table's own have held. `errors_at_readers`: versions that a reader refused, so
    that the error had left the domain. `cycle`: seconds from the commit of a domain's code to the first version made with it,
    in the middle. `tested_columns`: share of the columns in contracts that a test asks something of, today.
    """
    moment = now or datetime.now(UTC)
    monday = (moment - timedelta(days=moment.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    starts = [monday - timedelta(weeks=back) for back in range(weeks - 1, -1, -1)]
    rows = []
    for domain, past in _pasts(env, starts[0], moment).items():
        own = [name for name, table in env.mesh.tables.items() if table.domain == domain]
        told = [_week(past, start, min(start + timedelta(weeks=1), moment)) for start in starts]
        rows.append({"domain": domain, "tested_columns": _tested_columns(env.mesh, own), "weeks": told})
    return {"schema_version": SCHEMA_VERSION, "domains": rows}


def _pasts(env: Environment, since: datetime, now: datetime) -> Mapping[str, _Past]:
    seen, begin = look(env, now=now), since.isoformat(timespec="microseconds")
    ledger = env.ledger
    arrivals = ledger.arrivals((since - BEFORE).isoformat(timespec="microseconds"))
    past = {name: _Past() for name in env.mesh.domains}
    of = {name: past[table.domain] for name, table in env.mesh.tables.items()}
    for item in ledger.tries(since=begin, limit=1_000_000):
        if item.table in of and item.outcome not in ("skipped", "cancelled", "published"):
            stopped = item.outcome == "held" and bool((item.record.get("tests") or {}).get("fail"))
            of[item.table].tried.append((_moment(item.at), stopped))
    for name, own in of.items():
        versions = ledger.history(name, limit=MOST)
        own.tried.extend((_moment(item.at), False) for item in versions if item.at >= begin)
        own.cycles.extend(_cycles(env.mesh.root, env.mesh.tables[name].domain, versions))
        if (expected := seen.facts[name].expectation) is not None:
            own.came.append((expected, [_moment(at) for at in arrivals.get(name, ())]))
    for table, at in ledger.refusals(begin):
        if table in of:
            of[table].refused.append(_moment(at))
    return past


def _week(past: _Past, low: datetime, high: datetime) -> Json:
    tried = [stopped for at, stopped in past.tried if low <= at < high]
    kept = [each for expected, came in past.came for each in _kept(expected, came, low, high)]
    cycles = sorted(seconds for at, seconds in past.cycles if low <= at < high)
    return {
        "week": low.date().isoformat(),
        "attempts": len(tried),
        "on_time": round(sum(kept) / len(kept), 3) if kept else None,
        "failed_tests": round(sum(tried) / len(tried), 3) if tried else None,
        "errors_at_readers": sum(low <= at < high for at in past.refused),
        "cycle": cycles[len(cycles) // 2] if cycles else None,
    }


def _kept(expected: Expectation, came: Sequence[datetime], low: datetime, high: datetime) -> list[bool]:
    """Of each time that a table came in a week, and of what was overdue at its end, whether it was there when it was expected."""
    found = [not due(expected, before, None, at).late for before, at in pairwise(came) if low <= at < high]
    last = next((at for at in reversed(came) if at < high), None)
    if last is not None and due(expected, last, None, high).late:
        found.append(False)
    return found


def _cycles(root: Path, domain: str, versions: Sequence[Version]) -> list[tuple[datetime, float]]:
    """Of the versions, newest first, those that were made with new code of the domain: when, and how long after its commit."""
    found = []
    for item, before in zip(versions, [*versions[1:], None], strict=True):
        made = item.record.get("made") or {}
        if not made.get("commit") or made.get("changed"):
            continue
        if before is not None and _code(before) == _code(item):
            continue
        if when := provenance.committed(root, made["commit"], domain):
            at = _moment(item.at)
            found.append((at, max((at - _moment(when)).total_seconds(), 0.0)))
    return found


def _code(version: Version) -> tuple[object, object]:
    return version.record.get("code"), version.record.get("contract")


def _tested_columns(mesh: Mesh, own: Sequence[str]) -> float | None:
    columns = tested = 0
    for name in own:
        contract = mesh.tables[name].contract
        if contract is None:
            continue
        asked = {column for test in contract.tests for column in test.columns}
        columns += len(contract.columns)
        tested += sum(column.name in asked for column in contract.columns)
    return round(tested / columns, 3) if columns else None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
