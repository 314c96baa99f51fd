"""What a reading domain says of a change, taken down: from the command line, or from a page."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from mesh_assets.changes.record import Answer, ChangeRecord
from mesh_assets.environment import Environment
from mesh_assets.errors import UsageError, nearest

ANSWERS = ("accept", "waive")


def answer(
    env: Environment,
    record: ChangeRecord,
    id_: str,
    *,
    reader: str,
    word: str,
    who: str,
    why: str,
    until: str,
    today: date,
) -> tuple[str, ...]:
    """Keep an answer; readers that have not said yet that the change may come.

    Args:
        word: One of `ANSWERS`.
        until: The last day of a waiver.

    Raises:
        UsageError: There is no such domain, it is not asked, or the words of a waiver are missing.
    """
    known = {*env.mesh.domains, *env.mesh.broken}
    if reader not in known:
        raise UsageError(f"there is no domain `{reader}`\n    {nearest(reader, known)}")
    proposal = next((one for one in record.proposals() if one.id == id_), None)
    port = proposal.port if proposal else next((one.port for one in record.events() if one.id == id_), "")
    told = list(proposal.report["readers"]) if proposal else []
    asked = {one["domain"] for one in told} | {t.domain for t in env.mesh.tables.values() if port in t.inputs}
    if reader not in asked:
        mend = f"Those that read it: {', '.join(sorted(asked))}." if asked else "Nobody reads it."
        raise UsageError(f"`{reader}` reads nothing of {port.replace('.', '/', 1)}: it is not asked\n    {mend}")
    if word == "waive":
        _check_waiver(until, why, today)
    record.answer(Answer(id=id_, reader=reader, answer=word, who=who, why=why, until=until if word == "waive" else ""))
    return waiting(told, {name for name, one in record.answers(id_).items() if one.holds(today)})


def waiting(readers: list[Mapping[str, Any]], answered: set[str]) -> tuple[str, ...]:
    """Domains whose answer a proposed change waits for: it may hurt them, and they have not said that it may come."""
    return tuple(
        dict.fromkeys(
            one["domain"] for one in readers if one["verdict"] != "compatible" and one["domain"] not in answered
        )
    )


def _check_waiver(until: str, why: str, today: date) -> None:
    try:
        day = date.fromisoformat(until)
    except ValueError:
        raise UsageError(f"`{until}` is no date\n    Write the last day on which it holds, as 2030-01-31.") from None
    if day < today:
        raise UsageError(f"{until} is over\n    Write a day that is still to come.")
    if not why.strip():
        raise UsageError("a waiver needs a reason\n    Say why the change may come although it hurts.")
