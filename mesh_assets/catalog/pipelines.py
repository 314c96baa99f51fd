"""Horizontal pipelines as plain data: where each stands, its last launches, and where the time of one went."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from statistics import median

from mesh_assets import order, pipelines
from mesh_assets.account.look import said_of
from mesh_assets.catalog.reports import SCHEMA_VERSION, Json, spelt
from mesh_assets.domain import Pipeline
from mesh_assets.environment import Environment
from mesh_assets.errors import UsageError, nearest
from mesh_assets.launches import Launch, Launches, Pause
from mesh_assets.ledger import Attempt, Version
from mesh_assets.pipelines import Progress

MOST = 20_000
"""Attempts of one launch that are looked at."""


def pipeline_named(env: Environment, name: str) -> Pipeline:
    """The pipeline that a person names.

    Raises:
        UsageError: There is none of that name.
    """
    known = env.mesh.pipelines
    if name in known:
        return known[name]
    otherwise = "" if known else "Declare one under `pipelines:` in mesh.yaml."
    raise UsageError(f"there is no pipeline `{name}`\n    {nearest(name, known, otherwise=otherwise)}")


def pipelines_report(env: Environment, why: Mapping[str, order.Why] | None = None) -> list[Json]:
    """Every pipeline with its last launch, without its steps: the `pipelines` of `mesh status --json`."""
    why = order.due(env.mesh, env.state()).why if why is None else why
    launches = Launches(env.ledger.store)
    found = []
    for pipeline in env.mesh.pipelines.values():
        last = next(iter(launches.of(pipeline.name, limit=1)), None)
        told = _report(env, pipeline, last, why)
        found.append({name: value for name, value in told.items() if name not in ("steps", "critical_path")})
    return found


def pipeline_report(env: Environment, pipeline: Pipeline, launch: str = "") -> Json:
    """One pipeline with one launch of it, its steps and its critical path: the JSON of `mesh pipeline show`.

    Args:
        env: The environment.
        pipeline: The pipeline.
        launch: The beginning of a launch's id; empty: the last one.

    Raises:
        UsageError: It has no such launch.
    """
    known = Launches(env.ledger.store).of(pipeline.name, limit=100)
    found = next((one for one in known if one.id.startswith(launch)), None)
    if launch and found is None:
        ids = ", ".join(one.id[:8] for one in known[:5])
        mend = f"Its last ones: {ids}." if ids else f"It was never launched: mesh pipeline launch {pipeline.name}"
        raise UsageError(f"{pipeline.name} has no launch `{launch}`\n    {mend}")
    # Of a launch that has ended everything is on record: the files and the lake need not be looked at.
    why = order.due(env.mesh, env.state()).why if found and not found.ended else {}
    before = [_launch(one) for one in known]
    return {"schema_version": SCHEMA_VERSION, **_report(env, pipeline, found, why), "launches": before}


def pipeline_history(env: Environment, pipeline: Pipeline, *, limit: int = 30) -> Json:
    """How the launches of a pipeline went over time, newest first: the JSON of `mesh history PIPELINE`.

    Of each launch, the seconds of its critical path: waiting is what the rest of `seconds` is. `measures` are of those that
    have ended and were not cancelled; null where there is none.
    """
    settle(env)
    known = Launches(env.ledger.store).of(pipeline.name, limit=limit)
    why = {} if all(one.ended for one in known) else order.due(env.mesh, env.state()).why
    rows = [_gone(_report(env, pipeline, one, why)) for one in known]
    ended = [row for row in rows if row["ended"] and row["outcome"] != Progress.CANCELLED]
    promised = [row for row in ended if row["deadline"]]
    good = [row["seconds"] for row in ended if row["outcome"] == Progress.DELIVERED and row["seconds"] is not None]
    in_time = [row for row in promised if row["outcome"] == Progress.DELIVERED and not row["late"]]
    return {
        "schema_version": SCHEMA_VERSION,
        "pipeline": pipeline.name,
        "launches": rows,
        "measures": {
            "launches": len(ended),
            "delivered": _rate(len([row for row in ended if row["outcome"] == Progress.DELIVERED]), len(ended)),
            "on_time": _rate(len(in_time), len(promised)),
            "median_seconds": round(median(good), 3) if good else None,
        },
    }


def _gone(told: Json) -> Json:
    """One launch as a line of the history."""
    path = [step for step in told["steps"] if step["table"] in told["critical_path"]]
    return {
        **told["launch"],
        "state": told["state"],
        "sentence": told["sentence"],
        **{key: told[key] for key in ("seconds", "deadline", "late", "critical_path")},
        "run": round(sum(step["run"] for step in path), 3),
        "queue": round(sum(step["queue"] for step in path), 3),
    }


def _rate(some: int, all_: int) -> float | None:
    return round(some / all_, 4) if all_ else None


def settle(env: Environment, *, moment: datetime | None = None) -> tuple[Launch, ...]:
    """End the launches of which nothing is left to do, with what came of them on record.

    Returns:
        Those that were ended.
    """
    launches = Launches(env.ledger.store)
    if not (going_on := launches.going_on()):
        return ()
    why = order.due(env.mesh, env.state(moment=moment)).why
    ended = []
    for launch in going_on:
        pipeline = env.mesh.pipelines.get(launch.pipeline)
        if pipeline is None:
            gone = {"sentence": "the pipeline is no longer declared"}
            done = launches.end(launch.id, Progress.FAILED, gone)
        else:
            report = _report(env, pipeline, launch, why, moment=moment)
            done = report["state"] != Progress.RUNNING and launches.end(launch.id, report["state"], report)
        if done:
            ended.append(launch)
    return tuple(ended)


def cancel(env: Environment, pipeline: Pipeline, *, by: str = "", running: Mapping[str, str] | None = None) -> Json:
    """Ask no longer for what a launch needs. The runs that are at work for it are ended by `cancelling`.

    Args:
        env: The environment.
        pipeline: The pipeline.
        by: Who cancels it.
        running: Tables that are being built, and will not be.

    Raises:
        UsageError: No launch of it goes on.
    """
    launches = Launches(env.ledger.store)
    going_on = next((one for one in launches.going_on() if one.pipeline == pipeline.name), None)
    if going_on is None:
        raise UsageError(
            f"no launch of {pipeline.name} goes on\n    `mesh pipeline show {pipeline.name}` has the last."
        )
    who = by or env.lake.author
    why = order.due(env.mesh, env.state(running=running)).why
    told = _report(env, pipeline, going_on, why)
    steps = [end_of(step, who) for step in told["steps"]]
    said = {"state": str(Progress.CANCELLED), "sentence": f"cancelled by {who}", "cancelled_by": who, "steps": steps}
    launches.end(going_on.id, Progress.CANCELLED, told | said)
    return pipeline_report(env, pipeline, going_on.id)


def end_of(step: Json, by: str) -> Json:
    """A step as it is when somebody cancels what it is for: what is being built is not finished."""
    if step["state"] != order.Standing.RUNNING:
        return step
    return {**step, "state": str(Progress.CANCELLED), "why": f"cancelled by {by}"}


def _report(
    env: Environment,
    pipeline: Pipeline,
    launch: Launch | None,
    why: Mapping[str, order.Why],
    *,
    moment: datetime | None = None,
) -> Json:
    about: Json = {
        "pipeline": pipeline.name,
        "title": pipeline.title,
        "delivers": [spelt(name) for name in pipeline.delivers],
        "by": f"{pipeline.by} {pipeline.time_zone}" if pipeline.by else "",
        "schedule": pipeline.schedule,
    }
    nothing = {"deadline": None, "late": False, "seconds": None, "critical_path": [], "steps": [], "behind": []}
    if launch is None:
        return {**about, "state": "never launched", "sentence": "", "launch": None, **nothing}
    if launch.ended:
        return {**about, **nothing, **launch.record, "state": launch.outcome, "launch": _launch(launch)}
    names = pipelines.scope(env.mesh, pipeline)
    attempts = env.ledger.tries(since=launch.at, limit=MOST)
    why = explained(why, attempts)
    progress, sentence, tables = pipelines.standing(names, pipeline.delivers, why)
    steps = pipelines.timeline(env.mesh, names, launch.moment, attempts)
    deadline, now = pipelines.deadline(pipeline, launch.moment), moment or datetime.now(UTC)
    end = max((step.end for step in steps if step.end), default=launch.moment)
    reached = now if progress is Progress.RUNNING else end
    versions = env.ledger.versions()
    usual = {name: float(item.record.get("seconds") or 0.0) for name, item in versions.items()}
    planned = pipelines.latest(env.mesh, pipeline, deadline, usual)
    return {
        **about,
        "state": str(progress),
        "sentence": sentence,
        "launch": _launch(launch),
        "deadline": deadline.isoformat(timespec="seconds") if deadline else None,
        "late": bool(deadline and (reached > deadline or (progress is Progress.FAILED and now > deadline))),
        "seconds": round((reached - launch.moment).total_seconds(), 3),
        "behind": [spelt(name) for name in tables],
        "critical_path": [spelt(name) for name in pipelines.critical_path(pipeline, steps)],
        "steps": _held_back(
            env,
            [_step(env, step, why, versions.get(step.table), planned.get(step.table)) for step in steps],
            names,
            why,
        ),
    }


def domain_named(env: Environment, name: str) -> str:
    """The domain that a person names, also one that could not be loaded.

    Raises:
        UsageError: There is none of that name.
    """
    if found := env.mesh.domain_of(name):
        return found
    raise UsageError(f"there is no domain `{name}`\n    {nearest(name, {*env.mesh.domains, *env.mesh.broken})}")


def resume_domain(env: Environment, name: str) -> Json:
    """Build a paused domain again: the JSON of `mesh resume`. One that is paused with an outer domain stays so."""
    launches = Launches(env.ledger.store)
    was = launches.resume(name)
    paused = launches.paused()
    outer = next((one for one in env.mesh.within(name) if one in paused), None)
    return {"schema_version": SCHEMA_VERSION, "domain": name, "was_paused": was, "paused_with": outer}


def pause_report(pause: Pause) -> Json:
    """A domain that is paused: among the `paused` of `mesh status --json`."""
    return {"domain": pause.domain, "since": pause.at, "by": pause.by, "why": pause.why}


def _launch(launch: Launch) -> Json:
    return {
        "id": launch.id,
        "at": launch.at,
        "by": launch.by,
        "ended": launch.ended or None,
        "outcome": launch.outcome or None,
    }


def explained(why: Mapping[str, order.Why], attempts: Iterable[Attempt]) -> Mapping[str, order.Why]:
    """Where every table stands; those that failed say what came of their last attempt, not only that it failed."""
    said = {
        each.table: f"{each.outcome}, {said_of(each.table, str(each.record['message']))}"
        for each in sorted(attempts, key=lambda attempt: attempt.at)
        if each.record.get("message")
    }
    return {
        name: replace(stands, sentence=said[name]) if stands.state is order.Standing.FAILED and name in said else stands
        for name, stands in why.items()
    }


def step_standing(step: pipelines.Step, stands: order.Why) -> Json:
    """What came of a step, or how its table stands where that is not settled; and why."""
    unsettled = stands.state in pipelines.UNSETTLED
    return {
        "state": str(stands.state) if unsettled or not step.outcome else step.outcome,
        "why": "" if stands.state is order.Standing.CURRENT else stands.sentence,
    }


def _held_back(env: Environment, steps: list[Json], names: Iterable[str], why: Mapping[str, order.Why]) -> list[Json]:
    """The same steps; those that have nothing new say because of which table."""
    states = {step["table"]: step["state"] for step in steps}
    found = {spelt(name): spelt(source) for name, source in pipelines.held_back(env.mesh, names, why).items()}
    for step in steps:
        if step["state"] in (order.Standing.CURRENT, "unchanged") and (source := found.get(step["table"])):
            step["why"] = f"as before: {source} is {states[source]}"
    return steps


def _step(
    env: Environment,
    step: pipelines.Step,
    why: Mapping[str, order.Why],
    version: Version | None,
    planned: datetime | None,
) -> Json:
    return {
        "table": spelt(step.table),
        "domain": env.mesh.tables[step.table].domain,
        **step_standing(step, why[step.table]),
        "version": version.version if version else None,
        "start_by": planned.isoformat(timespec="seconds") if planned else None,
        "start": step.start.isoformat() if step.start else None,
        "end": step.end.isoformat() if step.end else None,
        "wait": round(step.wait, 3),
        "queue": round(step.queue, 3),
        "run": round(step.run, 3),
        "waited_for": spelt(step.waited_for) if step.waited_for else None,
    }
