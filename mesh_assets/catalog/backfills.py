"""Backfills over domains as plain data: what one would build, how one stands, which there were."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from mesh_assets import graph, order, pipelines
from mesh_assets.catalog.pipelines import end_of, explained, step_standing
from mesh_assets.catalog.reports import SCHEMA_VERSION, Json, named, spelt
from mesh_assets.domain import Table
from mesh_assets.environment import Environment
from mesh_assets.errors import UsageError, nearest
from mesh_assets.launches import Backfill, Backfills
from mesh_assets.partitions import Partition, aligned, hull, reached, starts, whole
from mesh_assets.pipelines import Progress

MOST = 20_000
"""Attempts since a backfill was asked for that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a backfill builds.

    Attributes:
        table: Its own table.
        days: The partitions of it that were asked for, as whole ones.
        reach: Every table that it builds, upstream before downstream, its own first, with the days of those that have
            partitions; None: all of the table.
    """

    table: str
    days: Partition
    reach: Mapping[str, Partition | None]


def plan(env: Environment, table: Table, first: str, last: str, *, today: date | None = None) -> Plan:
    """What a backfill of some partitions would build: these, and everything downstream that is made from them.

    Args:
        env: The environment.
        table: The table to begin with.
        first: A day of the first partition, ISO.
        last: A day of the last one; empty: the same as `first`.
        today: The day to judge by; default: now, in UTC.

    Raises:
        UsageError: The table has no partitions, a day is none, or none of its partitions holds one of the days.
    """
    today = today or datetime.now(UTC).date()
    if table.partitions is None:
        mend = f"Build it whole: mesh run {spelt(table.name)} --force"
        raise UsageError(f"{spelt(table.name)} has no partitions\n    {mend}")
    asked = _days(first, last or first)
    days = aligned(table.partitions, asked, today, closed=table.closed_partitions)
    if days is None:
        there = whole(table.partitions, today, closed=table.closed_partitions)
        mend = f"It has those of {there}." if there else f"Its first one begins with {table.partitions.start}."
        raise UsageError(f"{spelt(table.name)} has no partition in {asked}\n    {mend}")
    return Plan(table=table.name, days=days, reach=_reach(env, table.name, days, today))


def plan_named(env: Environment, name: str, first: str, last: str) -> Plan:
    """`plan` for a table as a person names it.

    Raises:
        UsageError: Also when there is no such table, or it is a domain's name.
    """
    if name in env.mesh.domains:
        raise UsageError(f"`{name}` is a domain\n    Name one of its tables: `{name}/TABLE`.")
    (table,) = named(env.mesh, [name])
    return plan(env, env.mesh.tables[table], first, last)


def _days(first: str, last: str) -> Partition:
    found = []
    for word, written in (("--from", first), ("--to", last)):
        try:
            found.append(date.fromisoformat(written))
        except ValueError:
            raise UsageError(
                f"{word} is `{written}`, which is no day\n    Write year, month and day: 2026-01-31"
            ) from None
    if found[0] > found[1]:
        raise UsageError(f"the first day, {first}, is after the last, {last}\n    Write the earlier one with --from.")
    return Partition(start=found[0].isoformat(), end=date.fromordinal(found[1].toordinal() + 1).isoformat())


def _reach(env: Environment, start: str, days: Partition, today: date) -> dict[str, Partition | None]:
    """What is built of every table downstream, if everything that it reads changes there."""
    mesh = env.mesh
    found: dict[str, Partition | None] = {start: days}
    after = graph.downstream(graph.graph_of(mesh), [start])
    for name in mesh.tables:
        table = mesh.tables[name]
        changed = [item for item in table.inputs if item in found]
        if name not in after or not changed:  # one that only its tests compare is not built again
            continue
        reaching = [_reaching(env, table, item, found[item]) for item in changed]
        known = [one for one in reaching if one is not None]
        wanted = hull(known)
        if table.partitions is None or wanted is None or len(known) < len(reaching):
            found[name] = None
        elif (mine := aligned(table.partitions, wanted, today, closed=table.closed_partitions)) is not None:
            found[name] = mine
    return found


def _reaching(env: Environment, table: Table, item: str, days: Partition | None) -> Partition | None:
    mapping, of = table.mappings.get(item), env.mesh.tables[item].partitions
    return reached(mapping, of, days) if mapping and of and days else None


def plan_json(env: Environment, made: Plan) -> Json:
    """The JSON of `mesh backfill plan`."""
    tables = [_part(env, name, days) for name, days in made.reach.items()]
    return {"schema_version": SCHEMA_VERSION, **_about(made.table, made.days), "tables": tables}


def backfill_report(env: Environment, backfill: Backfill, why: Mapping[str, order.Why] | None = None) -> Json:
    """One backfill with its tables: the JSON of `mesh backfill show`."""
    return {"schema_version": SCHEMA_VERSION, **_report(env, backfill, why)}


def backfills_report(env: Environment) -> list[Json]:
    """The last backfills, newest first, without their tables."""
    last = Backfills(env.ledger.store).last()
    # Of one that has ended everything is on record: the files and the lake need not be looked at.
    why = None if all(one.ended for one in last) else order.due(env.mesh, env.state()).why
    found = (_report(env, one, why) for one in last)
    return [{name: value for name, value in one.items() if name != "tables"} for one in found]


def backfill_named(env: Environment, id_: str) -> Backfill:
    """The backfill whose id begins so; empty: the last one.

    Raises:
        UsageError: There is none.
    """
    known = Backfills(env.ledger.store).last(limit=1000)
    found = next((one for one in known if one.id.startswith(id_)), None)
    if found is None:
        mend = nearest(
            id_,
            [one.id[:8] for one in known[:50]],
            otherwise="`mesh backfill list` names them."
            if known
            else "Begin one: mesh backfill run TABLE --from DAY --to DAY",
        )
        raise UsageError(
            f"there is no backfill `{id_}`\n    {mend}" if id_ else f"there was no backfill yet\n    {mend}"
        )
    return found


def settle_backfills(env: Environment, *, moment: datetime | None = None) -> tuple[Backfill, ...]:
    """End the backfills of which nothing is left to do, with what came of them on record.

    Returns:
        Those that were ended.
    """
    backfills = Backfills(env.ledger.store)
    if not (going_on := backfills.going_on()):
        return ()
    why = order.due(env.mesh, env.state(moment=moment)).why
    ended = []
    for backfill in going_on:
        report = _report(env, backfill, why)
        if report["state"] != Progress.RUNNING and backfills.end(backfill.id, report["state"], report):
            ended.append(backfill)
    return tuple(ended)


def cancel_backfill(
    env: Environment, backfill: Backfill, *, by: str = "", running: Mapping[str, str] | None = None
) -> Json:
    """Ask no longer for what a backfill wants. The runs that are at work for it are ended by `cancelling`.

    Args:
        env: The environment.
        backfill: The backfill.
        by: Who cancels it.
        running: Tables that are being built, and will not be.

    Raises:
        UsageError: It has ended.
    """
    if backfill.ended:
        raise UsageError(f"backfill {backfill.id[:8]} has ended: {backfill.outcome}\n    What was published stays.")
    who = by or env.lake.author
    told = _report(env, backfill, order.due(env.mesh, env.state(running=running)).why)
    told |= {
        "state": str(Progress.CANCELLED),
        "sentence": f"cancelled by {who}",
        "cancelled_by": who,
        "tables": [end_of(row, who) for row in told["tables"]],
    }
    Backfills(env.ledger.store).end(backfill.id, Progress.CANCELLED, told)
    return backfill_report(env, backfill_named(env, backfill.id))


def _report(env: Environment, backfill: Backfill, why: Mapping[str, order.Why] | None) -> Json:
    about = {"id": backfill.id, **_about(backfill.table, backfill.days), "at": backfill.at, "by": backfill.by}
    ended = {"ended": backfill.ended or None}
    if backfill.ended:
        return {
            **about,
            "sentence": "",
            "seconds": None,
            "tables": [],
            **backfill.record,
            **ended,
            "state": backfill.outcome,
        }
    table = env.mesh.tables.get(backfill.table)
    if table is None or table.partitions is None:
        gone = f"{spelt(backfill.table)} {'is gone' if table is None else 'has no partitions any more'}"
        return {**about, **ended, "state": str(Progress.FAILED), "sentence": gone, "seconds": None, "tables": []}
    why = order.due(env.mesh, env.state()).why if why is None else why
    reach = _reach(env, backfill.table, backfill.days, datetime.now(UTC).date())
    attempts = env.ledger.tries(since=backfill.at, limit=MOST)
    why = explained(why, attempts)
    progress, sentence = _standing(env, backfill, tuple(reach), why)
    steps = pipelines.timeline(env.mesh, tuple(reach), backfill.moment, attempts)
    end = max((step.end for step in steps if step.end), default=backfill.moment)
    until = datetime.now(UTC) if progress is Progress.RUNNING else end
    return {
        **about,
        **ended,
        "state": str(progress),
        "sentence": sentence,
        "seconds": round((until - backfill.moment).total_seconds(), 3),
        "tables": _steps(env, reach, steps, why),
    }


def _standing(
    env: Environment, backfill: Backfill, names: Sequence[str], why: Mapping[str, order.Why]
) -> tuple[Progress, str]:
    """How one that goes on stands. Its own table is judged by the try of these days: it may wait for others."""
    filled, own = env.filled(backfill), why[backfill.table]
    if filled is None:
        going_on = own.state in pipelines.UNSETTLED
        return Progress.RUNNING if going_on else Progress.FAILED, f"{spelt(backfill.table)}: {own.sentence}"
    progress, sentence, _ = pipelines.standing([name for name in names if name != backfill.table], (), why)
    if filled.outcome in ("held", "failed") and progress is not Progress.RUNNING:
        return Progress.FAILED, filled.record.get("message") or f"{spelt(backfill.table)} {filled.outcome}"
    return progress, sentence


def _about(table: str, days: Partition) -> Json:
    return {"table": spelt(table), "from": days.start, "to": days.last}


def _part(env: Environment, name: str, days: Partition | None) -> Json:
    table = env.mesh.tables[name]
    told = dict.fromkeys(("from", "to", "partitions"))
    if days and table.partitions:
        told = {"from": days.start, "to": days.last, "partitions": len(starts(table.partitions, days))}
    return {"table": spelt(name), "domain": table.domain, **told}


def _steps(
    env: Environment,
    reach: Mapping[str, Partition | None],
    steps: Sequence[pipelines.Step],
    why: Mapping[str, order.Why],
) -> list[Json]:
    return [
        {
            **_part(env, step.table, reach[step.table]),
            **step_standing(step, why[step.table]),
            "seconds": round(step.run, 3) if step.outcome else None,
        }
        for step in steps
    ]
