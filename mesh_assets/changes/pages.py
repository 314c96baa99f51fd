"""Changes as plain data for pages and commands: what they are, for whom they break, who was told when."""

from datetime import UTC, datetime
from typing import Any

from mesh_assets import deprecation
from mesh_assets.changes.judge import SCHEMA_VERSION, change_json, needed
from mesh_assets.changes.model import Change
from mesh_assets.changes.record import ChangeRecord
from mesh_assets.environment import Environment
from mesh_assets.errors import UsageError, nearest

Json = dict[str, Any]


def listed(env: Environment, record: ChangeRecord) -> Json:
    """Every change, those that wait for an answer first, newest first."""
    events = record.events()
    published = {event.id for event in events}
    asked, past = {one.id for one in record.proposals()}, record.taken_back()
    rows = [
        {
            "id": p.id,
            "port": _spelt(p.port),
            "at": p.at,
            "version": None,
            "state": "taken back" if p.id in past else "proposed",
            "changes": p.report["changes"],
        }
        for p in record.proposals()
        if p.id not in published
    ]
    rows += [
        {
            "id": event.id,
            "port": _spelt(event.port),
            "at": event.at,
            "version": event.version,
            "state": event.moment if event.moment == "outside" else "published",
            "changes": [_change(env, change, asked=event.id in asked) for change in event.changes],
        }
        for event in reversed(events)
    ]
    rows.sort(key=_at, reverse=True)
    rows.sort(key=lambda row: row["state"] != "proposed")
    today = datetime.now(UTC).date()
    ending = [deprecation.to_json(one, today) for one in deprecation.all_deprecated(env.mesh)]
    return {"schema_version": SCHEMA_VERSION, "changes": rows, "deprecated": ending}


def named(record: ChangeRecord, start: str) -> str:
    """The id of the one change that begins so.

    Raises:
        UsageError: There is none, or there are several.
    """
    known = {one.id for one in (*record.proposals(), *record.events())}
    found = sorted(name for name in known if start and name.startswith(start))
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"`{start}` is the beginning of {len(found)} changes\n    Write more of it.")
    raise UsageError(f"there is no change `{start}`\n    {nearest(start, known)}")


def shown(env: Environment, record: ChangeRecord, id_: str) -> Json:
    """One change, with the verdicts of its proposal, the answers, and a timeline."""
    events = [event for event in record.events() if event.id == id_]
    proposal = next((one for one in record.proposals() if one.id == id_), None)
    answers = record.answers(id_)
    today = datetime.now(UTC).date()
    timeline = [{"at": e.at, "what": f"published as version {e.version}"} for e in events]
    if proposal is not None:
        timeline.append({"at": proposal.at, "what": "refused, and proposed to its readers"})
    timeline += [{"at": t["at"], "what": f"{t['reader']} was told: {t['how']}"} for t in record.told(id_)]
    timeline += [
        {"at": a.at, "what": f"{a.reader} said: {a.answer}{f' until {a.until}' if a.until else ''}. {a.why}"}
        for a in answers.values()
    ]
    changes = (
        [_change(env, change, asked=proposal is not None) for change in events[-1].changes]
        if events
        else proposal.report["changes"]
        if proposal
        else []
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "id": id_,
        "port": _spelt(events[-1].port if events else proposal.port if proposal else ""),
        "state": "published" if events else "taken back" if id_ in record.taken_back() else "proposed",
        "versions": [event.version for event in events],
        "changes": changes,
        "readers": list(proposal.report["readers"]) if proposal else [],
        "renames": list(proposal.report.get("renames", ())) if proposal else [],
        "patches": dict(proposal.report.get("patches", {})) if proposal else {},
        "by_hand": dict(proposal.report.get("by_hand", {})) if proposal else {},
        "answers": [
            {
                "reader": a.reader,
                "answer": a.answer,
                "who": a.who,
                "why": a.why,
                "until": a.until or None,
                "holds": a.holds(today),
            }
            for a in answers.values()
        ],
        "timeline": sorted(timeline, key=_at),
    }


def _at(entry: Json) -> str:
    return entry["at"]


def _change(env: Environment, change: Change, *, asked: bool) -> Json:
    """A change that was published: where nobody had to be asked, it hit nobody."""
    table = env.mesh.tables.get(change.port)
    mode = table.port.compatibility if table and table.port else "backward"
    step = change.step(mode) if asked else needed([change], mode, ())
    return change_json(change) | {"effect": str(change.effect(mode)), "semver": str(step)}


def _spelt(table: str) -> str:
    return table.replace(".", "/", 1)
