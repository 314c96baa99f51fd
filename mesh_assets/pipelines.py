"""Horizontal pipelines: the closure over domains that delivers a table, how a launch of it stands, where its time went.

Nothing here reads or writes anything.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from mesh_assets import graph
from mesh_assets.domain import Mesh, Pipeline, Toolchain
from mesh_assets.ledger import Attempt
from mesh_assets.order import Standing, Why


class Progress(StrEnum):
    """How a launch stands."""

    RUNNING = "running"
    DELIVERED = "delivered"  # all that it delivers is up to date, and so is all that this is made of
    INCOMPLETE = (
        "incomplete"  # what it delivers is up to date with what there is; something upstream could not be built
    )
    FAILED = "failed"  # something that it delivers could not be built
    CANCELLED = "cancelled"


UNSETTLED = (Standing.DUE, Standing.RUNNING, Standing.WAITS)
STUCK = (Standing.FAILED, Standing.MISSING, Standing.DISAGREES, Standing.PAUSED, Standing.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a launch made of one table. Times are seconds.

    Attributes:
        outcome: Of the attempt: `published`, `unchanged`, `held`, `failed` … ; empty: it was not tried since the launch.
        start: None when it was not tried.
        wait: From the launch until the last of its inputs was there.
        queue: From then until its step began: for a worker, and for the order of operations to look.
        run: Until it was published, or was not.
        waited_for: The input that came last; empty when it waited for none.
    """

    table: str
    outcome: str = ""
    start: datetime | None = None
    end: datetime | None = None
    wait: float = 0.0
    queue: float = 0.0
    run: float = 0.0
    waited_for: str = ""


def scope(mesh: Mesh, pipeline: Pipeline) -> tuple[str, ...]:
    """All tables that a pipeline builds, upstream before downstream."""
    wanted = graph.upstream(graph.graph_of(mesh), pipeline.delivers, include_self=True)
    return tuple(name for name in mesh.tables if name in wanted)


def deadline(pipeline: Pipeline, launched: datetime) -> datetime | None:
    """When a launch must have delivered: the first time after it that the pipeline names; None when it names none.

    A time that a change of clocks leaves out is an hour later on that day, one that is there twice is the first.
    """
    if not pipeline.by:
        return None
    zone = ZoneInfo(pipeline.time_zone)
    hour, minute = map(int, pipeline.by.split(":"))
    local = launched.astimezone(zone)
    day = local.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    found = day if day > local else (day + timedelta(days=1)).replace(fold=0)
    return found.astimezone(launched.tzinfo)


def standing(
    names: Sequence[str], delivers: Iterable[str], why: Mapping[str, Why]
) -> tuple[Progress, str, tuple[str, ...]]:
    """How a launch that goes on stands.

    Args:
        names: All tables that it builds, upstream before downstream.
        delivers: Those without which it has failed.
        why: Where each stands.

    Returns:
        Its progress, a sentence, and the tables that the sentence is about: what is being built, or what could not be,
        upstream first.
    """
    if busy := tuple(name for name in names if why[name].state in UNSETTLED):
        at_work = tuple(name for name in busy if why[name].state is not Standing.WAITS) or busy
        return Progress.RUNNING, f"{_told(at_work[0], why)}{_more(at_work)}", at_work
    behind = tuple(name for name in names if why[name].state is not Standing.CURRENT)
    if not behind:
        return Progress.DELIVERED, "everything is up to date", ()
    progress = Progress.FAILED if set(behind) & set(delivers) else Progress.INCOMPLETE
    return progress, f"{_told(behind[0], why)}{_more(behind)}", behind


def held_back(mesh: Mesh, names: Iterable[str], why: Mapping[str, Why]) -> Mapping[str, str]:
    """Tables that are up to date with what they can have, but get nothing new, to the nearest one above that could not be built."""
    found: dict[str, str] = {}
    for name in names:
        if why[name].state is Standing.CURRENT:
            above = mesh.tables[name].inputs
            stuck = next((one for one in above if one in why and why[one].state in STUCK), None)
            if source := stuck or next((found[one] for one in above if one in found), None):
                found[name] = source
    return found


def timeline(mesh: Mesh, names: Sequence[str], launched: datetime, attempts: Iterable[Attempt]) -> tuple[Step, ...]:
    """Where the time of a launch went, table by table, upstream before downstream.

    Args:
        mesh: The mesh.
        names: All tables that it builds, upstream before downstream.
        launched: When.
        attempts: Since then, in any order; the last one of each table counts.
    """
    last: dict[str, Attempt] = {}
    for attempt in sorted(attempts, key=lambda attempt: attempt.at):
        last[attempt.table] = attempt
    found: dict[str, Step] = {}
    for name in names:
        found[name] = _step(mesh, name, launched, last.get(name), found)
    return tuple(found.values())


def latest(mesh: Mesh, pipeline: Pipeline, by: datetime | None, seconds: Mapping[str, float]) -> Mapping[str, datetime]:
    """When each table must have begun for all that is delivered to be there in time. Empty where no time is named.

    Args:
        mesh: The mesh.
        pipeline: The pipeline.
        by: When it must have delivered.
        seconds: How long each table usually takes; of those that are not named, no time.
    """
    if by is None:
        return {}
    ends, begins = dict.fromkeys(scope(mesh, pipeline), by), {}
    for name in reversed(ends):
        table = mesh.tables[name]
        begins[name] = ends[name] - timedelta(seconds=seconds.get(name, 0.0))
        for item in (*table.inputs, *table.references):
            if item in ends:  # the tables of one dbt project are built together, and each is told the time of all
                together = table.toolchain is mesh.tables[item].toolchain is Toolchain.DBT
                together = together and table.domain == mesh.tables[item].domain
                ends[item] = min(ends[item], ends[name] if together else begins[name])
    return begins


def critical_path(pipeline: Pipeline, steps: Sequence[Step]) -> tuple[str, ...]:
    """The chain of steps that decided when the last table was delivered, in the order in which they ran.

    It begins where a step waited for nothing. Empty when nothing that is delivered was tried.
    """
    known = {step.table: step for step in steps}
    ends = [known[name] for name in pipeline.delivers if name in known and known[name].end]
    if not ends:
        return ()
    way = [max(ends, key=lambda step: (step.end, step.table))]
    while way[-1].waited_for:
        way.append(known[way[-1].waited_for])
    return tuple(step.table for step in reversed(way))


def _step(mesh: Mesh, name: str, launched: datetime, attempt: Attempt | None, before: Mapping[str, Step]) -> Step:
    table = mesh.tables[name]
    needs = [before[item] for item in (*table.inputs, *table.references) if item in before]
    came = [step for step in needs if step.end]
    last = max(came, key=lambda step: (step.end, step.table), default=None)
    if attempt is None:
        return Step(table=name, waited_for=last.table if last else "")
    end = datetime.fromisoformat(attempt.at)
    start = max(launched, end - timedelta(seconds=attempt.record.get("seconds") or 0.0))
    ready = min(start, last.end) if last and last.end else launched
    return Step(
        table=name,
        outcome=attempt.outcome,
        start=start,
        end=end,
        wait=(ready - launched).total_seconds(),
        queue=(start - ready).total_seconds(),
        run=(end - start).total_seconds(),
        waited_for=last.table if last else "",
    )


def _told(name: str, why: Mapping[str, Why]) -> str:
    return f"{name.replace('.', '/', 1)}: {why[name].sentence}"


def _more(names: Sequence[str]) -> str:
    return f", and {len(names) - 1} more" if len(names) > 1 else ""
