"""A change in words, for a person: what it is, and what it asks of readers and of the contract's version."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from mesh_assets.changes.model import MEANINGS, Change, Effect, Kind

LONGEST = 60
"""Letters of a rule's argument that a sentence shows."""
OPERATORS = {
    "mustBe": "=", "mustNotBe": "≠", "mustBeGreaterThan": ">", "mustBeGreaterOrEqualTo": "≥", "mustBeLessThan": "<",
    "mustBeLessOrEqualTo": "≤", "mustBeBetween": "between", "mustNotBeBetween": "not between",
}  # fmt: skip


def said(change: Change) -> str:  # noqa: C901, PLR0912 - one case per kind
    """What has become of a port, in half a sentence."""
    named = ", ".join(f"`{name}`" for name in change.columns)
    names = named or "one of its columns"
    before, after = change.before, change.after
    from_to = f" from {before} to {after}" if before and after else f" from {before}" if before else f" to {after}"
    match change.kind:
        case Kind.COLUMN_ADDED:
            return f"{names} is new"
        case Kind.REQUIRED_COLUMN_ADDED:
            return f"{names} is new, and always has a value"
        case Kind.COLUMN_REMOVED:
            return f"{names} is gone"
        case Kind.COLUMN_RENAMED:
            return f"{names} is called `{after}` now"
        case Kind.COLUMN_SPLIT | Kind.COLUMN_MERGED:
            return f"{names} became {after}"
        case Kind.COLUMNS_REORDERED:
            return f"the columns come in another order now: {_short(after)}"
        case Kind.TYPE_WIDENED | Kind.TYPE_NARROWED | Kind.TYPE_CHANGED:
            return f"the type of {names} {_how(change)}{from_to}"
        case Kind.NULL_ALLOWED:
            return f"{names} may be null now"
        case Kind.NULL_FORBIDDEN:
            return f"{names} is never null now"
        case Kind.NULL_MEANING_CHANGED:
            return (
                f"null in {names} means {f'`{after}`' if after else 'nothing that is told'} now, no longer `{before}`"
            )
        case Kind.KEY_CHANGED:
            return f"the key is {after or 'given up'} now, no longer {before}"
        case Kind.GRAIN_CHANGED:
            return f"a row is another thing now: {f'`{after}`' if after else 'nobody says which'}, no longer `{before}`"
        case Kind.UNIT_CHANGED:
            return f"{names} is in {after or 'no unit that is told'} now, no longer in {before}"
        case Kind.FORMAT_CHANGED:
            return f"{names} is of the format `{after}` now, no longer `{before}`"
        case Kind.FORMAT_ADDED:
            return f"{names} is always of the format `{after}` now"
        case Kind.FORMAT_REMOVED:
            return f"{names} need not be of the format `{before}` any more"
        case Kind.FORMAT_LOOSENED | Kind.FORMAT_TIGHTENED:
            how = "looser" if change.kind is Kind.FORMAT_LOOSENED else "tighter"
            return f"the format of {names} is {how}: `{after}`, no longer `{before}`"
        case Kind.VALUES_ADDED:
            return f"{names} may be {after} now{'' if before else ', too'}{f', no longer one of {before}' if before else ''}"
        case Kind.VALUES_REMOVED:
            return f"{names} is one of {after} now" if after else f"{names} is never {before} now"
        case Kind.RANGE_WIDENED | Kind.RANGE_NARROWED:
            return f"the limits of {names} {'are wider' if change.kind is Kind.RANGE_WIDENED else 'are narrower'}: {after}, no longer {before}"
        case Kind.RULE_ADDED | Kind.RULE_REMOVED | Kind.RULE_LOOSENED | Kind.RULE_TIGHTENED:
            return _rule(change, named)
        case Kind.PARTITIONING_CHANGED:
            return f"its partitions are {after or 'no longer there'} now{f', no longer {before}' if before else ''}"
        case Kind.SERVICE_LEVEL_CHANGED:
            return _levels(before, after)
    return (
        f"what is said of {named} in words has changed"
        if named
        else "what is said in words has changed, or rules that only warn"
    )


def from_json(told: Mapping[str, Any]) -> Change:
    """A change as reports and the ledger tell it."""
    return Change(
        port=str(told["port"]).replace("/", ".", 1),
        kind=Kind(told["kind"]),
        columns=tuple(told.get("columns") or ()),
        before=told.get("from") or "",
        after=told.get("to") or "",
        name=told.get("rule") or "",
    )


def meant(told: Mapping[str, Any], mode: str, verdicts: Collection[str]) -> str:
    """What a change, as a report tells it, asks of readers and of the contract's version.

    Args:
        mode: `compatibility` of the port; empty where it is not known any more.
        verdicts: Of its readers.
    """
    step, kind = f"a {told['semver']} version step", MEANINGS[Kind(told["kind"])]
    backward = kind.backward is Effect.BREAKING
    if told["effect"] == "compatible":
        promised_nothing = mode == "none" and backward
        return f"refused by nobody (`compatibility: none`); {step}" if promised_nothing else f"compatible; {step}"
    if told["semver"] != "major":
        return f"no reader is hurt by it; {step}"
    if "breaking" in verdicts and backward:
        return f"breaking: {kind.why_backward}; {step}"
    if "unknown" in verdicts and backward:
        return f"perhaps breaking: {kind.why_backward}; {step} where a reader's tests fail"
    told_by = f" (`compatibility: {mode}`)" if mode else ""
    return f"breaking for old rows: {kind.why_forward}{told_by}; {step}"


def _levels(before: str, after: str) -> str:
    """Service levels that are others now."""
    old, new = (dict.fromkeys(filter(None, told.split("; "))) for told in (before, after))
    gone, fresh = (", ".join(one for one in these if one not in others) for these, others in ((old, new), (new, old)))
    if not fresh:
        return f"a service level is given up: {gone}"
    return f"a service level is {fresh} now{f', no longer {gone}' if gone else ''}"


def _how(change: Change) -> str:
    return {Kind.TYPE_WIDENED: "is widened", Kind.TYPE_NARROWED: "is narrowed"}.get(change.kind, "is changed")


def _rule(change: Change, names: str) -> str:
    rule = f"the rule `{change.name}`" + (f" of {names}" if names else "")
    before, after = arguments(change.before), arguments(change.after)
    match change.kind:
        case Kind.RULE_ADDED:
            return f"{rule} is new{f' ({after})' if after else ''}"
        case Kind.RULE_REMOVED:
            return f"{rule} is given up{f' ({before})' if before else ''}"
    how = "looser" if change.kind is Kind.RULE_LOOSENED else "tighter"
    return f"{rule} is {how}: {after}, no longer {before}"


def arguments(told: str) -> str:
    """A rule's arguments, kept as JSON, in words: `< 5 percent`."""
    try:
        found = json.loads(told) if told else {}
    except ValueError:
        return told
    if not isinstance(found, dict):
        return told
    operator, threshold, unit = (found.pop(key, "") for key in ("operator", "threshold", "unit"))
    limit = " and ".join(map(str, threshold)) if isinstance(threshold, list) else str(threshold)
    columns, table = found.pop("to_columns", ()), str(found.pop("to_table", ""))
    named = ", ".join(map(str, columns)) if isinstance(columns, list) else str(columns)
    to = f"to {named} of {table.replace('.', '/', 1)}" if table else ""
    compared = (
        f"{OPERATORS.get(str(operator), operator)} {limit}{f' {unit}' if unit and unit != 'rows' else ''}".strip()
    )
    words = [to, compared]
    words += [
        _short(f"{key.replace('_', ' ')} {value}" if key != "value" else str(value)) for key, value in found.items()
    ]
    return ", ".join(filter(None, words))


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= LONGEST else f"{flat[: LONGEST - 1]}…"
