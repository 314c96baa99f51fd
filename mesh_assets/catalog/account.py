"""The account as plain data: where every table stands and who caused it, why, and how it went over time."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mesh_assets import deprecation
from mesh_assets.account import notices, record
from mesh_assets.account.causes import Kind
from mesh_assets.account.incidents import Incident
from mesh_assets.account.look import Look, first_line, look
from mesh_assets.account.states import GOOD, State
from mesh_assets.catalog.pipelines import pause_report, pipeline_history, pipelines_report
from mesh_assets.catalog.reports import SCHEMA_VERSION, Json, broken_domains, named, spelt
from mesh_assets.catalog.standing import counts
from mesh_assets.catalog.words import times
from mesh_assets.domain import Mesh
from mesh_assets.environment import Environment
from mesh_assets.errors import UsageError, nearest
from mesh_assets.launches import Launches
from mesh_assets.ledger import Attempt, Version
from mesh_assets.openlineage import outbox
from mesh_assets.order import Standing

RULES = {
    Standing.RUNNING: "it is being built",
    Standing.WAITS: "waits while an input is due or running",
    Standing.MISSING: "needs what is not there",
    Standing.DISAGREES: "its inputs must be of one generation",
    Standing.FAILED: "not tried again until something changes",
    Standing.SCHEDULED: "is built on its schedule",
    Standing.PAUSED: "its domain is paused",
    Standing.CANCELLED: "not tried again until somebody asks or something changes",
    Standing.DUE: "is built at the next look",
    Standing.CURRENT: "is built when an input changes",
    Standing.ELSEWHERE: "is tested where it is",
}


def status(env: Environment, *, running: Mapping[str, str] | None = None, now: datetime | None = None) -> Json:
    """Where every table stands now, and what is wrong: the JSON of `mesh status`."""
    seen = look(env, running=running, now=now)
    seen.keep()
    freshness = record.observed(env.ledger.store, "freshness")
    attempts = env.ledger.attempts()
    broken = {**env.mesh.broken, **seen.unloadable}
    return {
        "schema_version": SCHEMA_VERSION,
        "snapshot": env.lake.head(),
        "tables": [_row(seen, name, attempts.get(name), freshness) for name in env.mesh.tables],
        "incidents": [incident(env.mesh, each) for each in seen.incidents],
        "pipelines": pipelines_report(env, seen.why),
        "channels": [*notices.channels(env), *outbox.channel(env)],
        "deprecated": [deprecation.to_json(one, seen.now.date()) for one in deprecation.all_deprecated(env.mesh)],
        "broken": broken_domains(broken),
        "paused": [pause_report(one) for one in Launches(env.ledger.store).paused().values()],
    }


def _row(seen: Look, name: str, attempt: Attempt | None, freshness: Mapping[str, Any]) -> Json:
    table, version, why, stands = seen.mesh.tables[name], seen.versions.get(name), seen.why[name], seen.statuses[name]
    told = version.record if version else {}
    return {
        "table": spelt(name),
        "domain": table.domain,
        "part_of": list(seen.mesh.within(table.domain)),
        "port": table.port is not None,
        "state": str(stands.state),
        "says": stands.sentence,
        "standing": str(why.state),
        "why": why.sentence,
        "version": version.version if version else None,
        "since": version.at if version else None,
        "rows": told.get("rows"),
        "tests": counts(table, version, seen.last.get(name)),
        "last": attempt.outcome if attempt else None,
        "message": (attempt.record.get("message") or "") if attempt else "",
        "incident": _incident_of(seen, name) or None,
        "expected": _expected(seen, name),
        "freshness": freshness.get(name),
    }


def _expected(seen: Look, name: str) -> Json | None:
    expected, stands = seen.facts[name].expectation, seen.statuses[name]
    if expected is None:
        return None
    return {
        "says": expected.words,
        "from": str(expected.source),
        "confidence": expected.confidence,
        "by": stands.due.isoformat() if stands.due else None,
        "late": stands.late,
    }


def incident(mesh: Mesh, it: Incident) -> Json:
    """One incident."""
    team = mesh.domains[it.domain].team if it.domain in mesh.domains else None
    return {
        "id": it.id,
        "domain": it.domain,
        "table": spelt(it.table),
        "cause": it.sentence,
        "kind": it.kind,
        "since": it.opened,
        "mended": it.mended or None,
        "closed": it.closed or None,
        "part_of": it.into or None,
        "owner": team.owner if team else "",
        "tables": [spelt(name) for name in it.tables],
        "waiting": [spelt(name) for name in sorted(it.pending)] if it.mended else [],
        "downstream": [
            {
                "domain": each.domain,
                "reads": {"table": spelt(each.table), "version": each.version, "since": each.since or None},
            }
            for each in it.downstream
        ],
    }


def incidents(env: Environment, *, identity: str = "") -> list[Json]:
    """All on record, newest first, or one; each with whom it was told to."""
    told = notices.told(env.ledger.store)
    return [
        incident(env.mesh, each) | {"told": told.get(each.id, [])}
        for each in record.incidents(env.ledger.store, identity=identity)
    ]


# -- why ----------------------------------------------------------------------------------------------------------------


def why(env: Environment, word: str, *, now: datetime | None = None) -> Json:
    """Why a table is not updated: the JSON of `mesh why`.

    Raises:
        UsageError: There is no such table.
    """
    seen = look(env, now=now)
    seen.keep()
    return why_of(seen, one(env.mesh, word))


def why_of(seen: Look, name: str) -> Json:
    """The same, of a look that was taken already."""
    chain = _chain(seen, name)
    cause = next((each for each in seen.incidents if each.id == _incident_of(seen, name)), None)
    return {
        "schema_version": SCHEMA_VERSION,
        "table": spelt(name),
        "state": str(seen.statuses[name].state),
        "because": [_because(seen, each, cause) for each in chain],
        "incident": cause.id if cause else None,
        "text": _text(seen, name, chain, cause),
    }


def one(mesh: Mesh, word: str) -> str:
    """The one table that a person names.

    Raises:
        UsageError: It names none, or a domain.
    """
    found = named(mesh, [word])
    name = word.replace("/", ".", 1)
    if name not in found:
        known = [spelt(each) for each in sorted(found)]
        raise UsageError(f"`{word}` is a domain\n    Name a table of it: {', '.join(known[:8])}")
    return name


def _chain(seen: Look, name: str) -> list[str]:
    """From the next table upstream to the cause."""
    found, way, at = seen.found, [name], name
    while at not in found.blames and at in found.through and found.through[at] not in way:
        at = found.through[at]
        way.append(at)
    if at in found.blames:
        way += [each for each in found.blames[at].path if each not in way]
    elif len(way) == 1:
        while seen.why.get(at) and seen.why[at].tables and seen.why[at].tables[0] not in way:
            at = seen.why[at].tables[0]
            way.append(at)
    return way[1:]


def _incident_of(seen: Look, name: str) -> str:
    behind = seen.found.behind.get(name)
    if behind is None:
        return ""
    return next((each.id for each in seen.incidents if behind in each.tables), "")


def _because(seen: Look, name: str, cause: Incident | None) -> Json:
    stands = seen.statuses.get(name)
    if stands is None:
        return {
            "table": spelt(name),
            "state": "could not be loaded",
            "rule": "its domain's files must be right",
            "since": None,
        }
    at_cause = cause is not None and name == cause.table
    rule = RULES[seen.why[name].state]
    if seen.facts[name].unloadable and stands.state is State.FAILED:
        rule = "its domain's code must load"
    if at_cause and cause is not None and cause.kind in (Kind.CODE, Kind.FILES, Kind.CONTRACT):
        rule = f"{'its contract' if cause.kind == Kind.CONTRACT else 'its ' + cause.kind} changed"
    elif cause is not None and name in cause.tables and cause.kind == Kind.UNREACHABLE:
        rule = "its code location must be reachable"
    elif stands.late:
        rule = "is expected by a time"
    return {
        "table": spelt(name),
        "state": str(stands.state),
        "rule": rule,
        "since": stands.since.isoformat() if stands.since else None,
    }


def _text(seen: Look, name: str, chain: Sequence[str], cause: Incident | None) -> str:
    facts, stands = seen.facts[name], seen.statuses[name]
    version = f"version {facts.version} of {_when(seen.now, facts.since)}" if facts.version else "no version yet"
    shown = spelt(name)
    if cause is None and stands.state in GOOD and not chain:
        expected = f" It is expected {facts.expectation.words}." if facts.expectation else ""
        return f"{shown} is {stands.state}: {first_line(stands.sentence)}. It has {version}.{expected}"
    sentences = [f"{shown} ({version}): {_plain(seen, name)}."]
    if cause is None:
        sentences += [f"{spelt(each)}: {_plain(seen, each)}." for each in chain if each in seen.statuses]
        return " ".join(sentences)
    # Of several that one location leaves undone, the one on the way is meant.
    root = cause.table if cause.kind != Kind.UNREACHABLE else [name, *chain][-1]
    own_domain = cause.kind == Kind.BROKEN and cause.domain == seen.mesh.tables[name].domain  # it was said just now
    if root != name and cause.tables != (name,) and not own_domain:
        way = [each for each in chain if each != root]
        through = f", by way of {_listed(way)}" if way else ""
        said = cause.sentence if root == cause.table else first_line(seen.statuses[root].sentence)
        sentences.append(f"It gets nothing new because of {spelt(root)}{through}: {said}.")
    elif root != name and not own_domain:
        sentences.append(f"The cause is {spelt(root)}.")
    domain = seen.mesh.tables[name].domain
    reads = [each for each in cause.downstream if each.domain == domain]
    if reads:
        told = [
            f"version {each.version} of {spelt(each.table)}, of {_when(seen.now, _moment(each.since))}"
            if each.version
            else f"nothing of {spelt(each.table)}"
            for each in reads
        ]
        sentences.append(f"Until it is mended, {domain} reads {_listed(told)}.")
    owner = seen.mesh.domains[cause.domain].team if cause.domain in seen.mesh.domains else None
    who = f"{cause.domain} ({owner.owner})" if owner and owner.owner else cause.domain
    told_at = next(
        (
            each["at"]
            for each in notices.told(seen.env.ledger.store).get(cause.id, ())
            if each["domain"] == cause.domain
        ),
        "",
    )
    known = f", and was told {_when(seen.now, _moment(told_at))}" if told_at else ""
    sentences.append(
        f"{who} answers for it{known}; incident {cause.id}, open since {_when(seen.now, _moment(cause.opened))}."
    )
    if cause.mended:
        sentences.append(f"It is mended; {len(cause.pending)} tables are still to catch up.")
    return " ".join(sentences).replace("of  ", "of ")


def _plain(seen: Look, name: str) -> str:
    stands = seen.statuses[name]
    if stands.state in (State.ON_TIME, State.WARNINGS) and name in seen.found.behind:
        return "is as new as its inputs"
    if stands.state in (State.ON_TIME, State.WARNINGS):
        return first_line(stands.sentence)
    return f"{stands.state}, {first_line(stands.sentence)}"


def _listed(words: Iterable[str]) -> str:
    found = [spelt(word) for word in words]
    return ", ".join(found[:-1]) + (" and " if len(found) > 1 else "") + found[-1] if found else ""


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _when(now: datetime, then: datetime | None) -> str:
    """`today 07:00 UTC`, `yesterday`, or the day."""
    if then is None:
        return "an unknown day"
    days = (now.astimezone(UTC).date() - then.astimezone(UTC).date()).days
    clock = then.astimezone(UTC).strftime("%H:%M UTC")
    if days in (0, 1):
        return f"{'yesterday' if days else 'today'} {clock}"
    return then.astimezone(UTC).strftime(f"%Y-%m-%d {clock}")


# -- history ------------------------------------------------------------------------------------------------------------


def history(env: Environment, word: str, *, limit: int = 30) -> Json:
    """What became of a table, of one of its tests, or of a pipeline, over time: the JSON of `mesh history`.

    Args:
        word: `domain/table`, `domain/table/test`, or a pipeline as mesh.yaml or domain.yaml names it; a table goes first.

    Raises:
        UsageError: There is no such table, test or pipeline.
    """
    if word.replace("/", ".", 1) not in env.mesh.tables and word in env.mesh.pipelines:
        return pipeline_history(env, env.mesh.pipelines[word], limit=limit)
    known = {*env.mesh.domains, *env.mesh.broken, *env.mesh.pipelines}
    if "/" not in word and "." not in word and word not in known:
        raise UsageError(f"there is no domain and no pipeline `{word}`\n    {nearest(word, known)}")
    table, _, test = word.replace(".", "/", 1).partition("/")[2].partition("/")
    domain = word.replace(".", "/", 1).partition("/")[0]
    name = one(env.mesh, f"{domain}/{table}" if table else word)
    if test:
        return _test_history(env, name, test, limit)
    look(env).keep()
    tries = env.ledger.tries(table=name, limit=limit)
    versions = env.ledger.history(name, limit=limit)
    recorded = {(item.run, item.record.get("version")) for item in tries if item.outcome == "published"}
    rows = [_try(item) for item in tries]
    rows += [_published(item) for item in versions if (item.run, item.version) not in recorded]
    rows.sort(key=lambda row: row["at"], reverse=True)
    own = [each for each in record.incidents(env.ledger.store) if name == each.table or name in each.tables]
    return {
        "schema_version": SCHEMA_VERSION,
        "table": spelt(name),
        "events": rows[:limit],
        "incidents": [incident(env.mesh, each) for each in own],
    }


def _try(item: Attempt) -> Json:
    told = item.record
    return {
        "at": item.at,
        "outcome": item.outcome,
        "version": told.get("version"),
        "run": item.run,
        "rows": told.get("rows"),
        "seconds": times(item.at, told)["seconds"],
        "tests": told.get("tests") or {},
        "message": first_line(told.get("message") or ""),
    }


def _published(item: Version) -> Json:
    told = item.record
    return {
        "at": item.at,
        "outcome": "published",
        "version": item.version,
        "run": item.run,
        "rows": told.get("rows"),
        "seconds": times(item.at, told)["seconds"],
        "tests": told.get("tests") or {},
        "message": "",
    }


def _test_history(env: Environment, name: str, test: str, limit: int) -> Json:
    from mesh_assets.catalog.answers import results_over_time

    rows = {row["name"]: row for row in results_over_time(env, env.mesh.tables[name], limit)}
    if test not in rows:
        raise UsageError(f"{spelt(name)} has no test `{test}`\n    {nearest(test, rows)}")
    found = rows[test]
    return {
        "schema_version": SCHEMA_VERSION,
        "table": spelt(name),
        "test": test,
        "promise": found["promise"],
        "events": list(reversed(found["history"])),
    }


__all__ = ["history", "incident", "incidents", "one", "status", "why", "why_of"]
