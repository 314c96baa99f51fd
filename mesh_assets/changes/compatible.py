"""Does a port, as it is now, still suit one reader? What the last change of it means for that reader alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from mesh_assets.changes.impact import Evidence, Verdict, assess, moved
from mesh_assets.changes.judge import cache_of, report
from mesh_assets.changes.known import known_columns
from mesh_assets.changes.lineage import Over
from mesh_assets.changes.model import Change
from mesh_assets.changes.record import Answer, ChangeRecord, Event
from mesh_assets.changes.words import said
from mesh_assets.deprecation import successors
from mesh_assets.domain import Table
from mesh_assets.environment import Environment

LISTED = 4
"""Changes that one sentence names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compatible:
    """What one reader has to expect of a port.

    Attributes:
        change: Id of the last change; empty: it has never changed.
        version: Of the port, with which that came.
        built: Every table of the reader that reads it was published on that version or a later one.
        fine: Nothing is left to be done: it is compatible, or was built on it with tests that could see the change, or the
            reader has accepted it.
        why: In words.
    """

    reader: str
    port: str
    fine: bool
    why: str
    verdict: Verdict = Verdict.COMPATIBLE
    change: str = ""
    version: int = 0
    built: bool = True
    changes: tuple[Change, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    answer: Answer | None = None


def compatible(env: Environment, reader: str, port: str, *, today: date) -> Compatible:
    """Judge the changes of a port since a reader was last built on it; when it has caught up, the last one.

    Args:
        reader: A domain that reads it.
        port: As `domain.table`.
        today: The day by which a waiver holds.
    """
    record = ChangeRecord(env)
    record.sync()
    events = record.events(port=port)
    if not events:
        return Compatible(reader=reader, port=port, fine=True, why="it has not changed")
    tables = [table for table in env.mesh.tables.values() if table.domain == reader and port in table.inputs]
    base = _built_on(env, tables, port)
    pending = [event for event in events if base is not None and event.version > base]
    return _judged(
        env, record, reader, port, pending or [events[-1]], built=not pending and base is not None, today=today
    )


def _judged(
    env: Environment,
    record: ChangeRecord,
    reader: str,
    port: str,
    events: Sequence[Event],
    *,
    built: bool,
    today: date,
) -> Compatible:
    last = events[-1]
    old, new = record.before_and_after(events[0], last)
    if old is None or new is None:
        return Compatible(reader=reader, port=port, fine=True, why="it has not changed", version=last.version)
    found = moved(port, old, new, successors(env.mesh))
    # The reader's own tables alone: what others make of the change is theirs to say.
    own = {name: table for name, table in env.mesh.tables.items() if table.domain == reader or name == port}
    mesh = replace(env.mesh, tables=own)
    columns = Over({port: tuple((column.name, column.type) for column in old.columns)}, known_columns(env))
    verdicts = assess(mesh, columns, {port: found}, cache=cache_of(env))
    readers = report(mesh, columns, {port: found}, verdicts=verdicts).readers
    row = next((one for one in readers if one.domain == reader and one.port == port), None)
    verdict = row.verdict if row else Verdict.COMPATIBLE
    answer = _answer(record, events, reader, today)
    silent = any(each.silent for each in verdicts)
    fine = verdict is Verdict.COMPATIBLE or (built and not silent) or (answer is not None and answer.answer == "accept")
    return Compatible(
        reader=reader,
        port=port,
        fine=fine,
        why=_why(verdict, found.changes, answer, built=built, silent=silent),
        verdict=verdict,
        change=last.id,
        version=last.version,
        built=built,
        changes=found.changes,
        evidence=row.evidence if row else (),
        answer=answer,
    )


def _built_on(env: Environment, tables: Sequence[Table], port: str) -> int | None:
    """The oldest version of the port on which one of these tables stands; None when one was never built."""
    found = []
    for table in tables:
        records = [item.record for item in env.ledger.history(table.name, limit=1)]
        done = env.ledger.attempts(outcomes=("published", "unchanged"), table=table.name).get(table.name)
        records += [done.record] if done else []  # confirmed on a newer version of its inputs
        read = [int(record["inputs"][port]["version"]) for record in map(_plain, records) if port in record["inputs"]]
        if not read:
            return None
        found.append(max(read))
    return min(found, default=None)


def _plain(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"inputs": record.get("inputs") or {}}


def _answer(record: ChangeRecord, events: Sequence[Event], reader: str, today: date) -> Answer | None:
    """What the reader has said to the last of these changes, while it holds: it was asked of all of them together."""
    found = record.answers(events[-1].id).get(reader)
    return found if found is not None and found.holds(today) else None


def _why(verdict: Verdict, changes: Sequence[Change], answer: Answer | None, *, built: bool, silent: bool) -> str:
    listed = "; ".join(map(said, changes[:LISTED]))
    if more := len(changes[LISTED:]):
        listed += f"; {more} more"
    if answer:
        until = f" until {answer.until}" if answer.until else ""
        listed += f"; {answer.answer} by {answer.who or 'nobody named'}{until}"
    if verdict is Verdict.COMPATIBLE:
        return f"compatible: {listed}"
    if built and not silent:
        return f"built on it since, and its tests passed: {listed}"
    return f"{verdict}{', and no test sees it' if silent else ''}: {listed}"
