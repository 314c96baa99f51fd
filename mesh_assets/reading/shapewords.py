"""What a schema does not allow, in our words: a fault, and how it is said to the person who wrote the file."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from mesh_assets.errors import nearest
from mesh_assets.reading.source import Map

At = tuple[Mapping[str, object] | list[object] | None, str | int]  # the container of a value, and its key there
TYPES: Mapping[str, str] = {
    "string": "text",
    "boolean": "`true` or `false`",
    "integer": "a whole number",
    "number": "a number",
    "object": "a mapping",
    "array": "a list",
    "null": "empty",
}
# What the standard calls its parts, and what we say to the person who wrote one.
NOUNS: Mapping[str, str] = {
    "SchemaObject": "a table",
    "SchemaProperty": "a column",
    "SchemaBaseProperty": "a column",
    "SchemaItemProperty": "a column's item",
    "DataQuality": "a quality rule",
    "DataQualityLibrary": "a quality rule",
    "DataQualitySql": "a quality rule of `type: sql`",
    "DataQualityCustom": "a quality rule of `type: custom`",
    "DataQualityOperators": "a quality rule",
    "ServiceLevelAgreementProperty": "a service level",
    "TeamMember": "a member of the team",
    "Team": "the team",
    "Role": "a role",
    "Pricing": "the price",
    "SupportItem": "a support channel",
    "CustomProperty": "a custom property",
    "RelationshipBase": "a relationship",
    "RelationshipSchemaLevel": "a relationship of the table",
    "RelationshipPropertyLevel": "a relationship of a column",
    "Server": "a server",
    "ServerSource": "a server",
    "EnumValue": "an allowed value",
    "Synonym": "a synonym",
    "input": "an input",
    "output": "an output port",
    "options": "a table",
    "partitions": "`partitions`",
    "team": "the team",
}
FORMS: Mapping[str, tuple[str, str]] = {  # by the pattern of the schema: what it asks, how to mend
    r"^[A-Za-z0-9_-]+$": ("letters, digits, `_` and `-` only", "Take out spaces and other characters."),
    r"^[A-Za-z_][A-Za-z0-9_\-]*(\.[A-Za-z_][A-Za-z0-9_\-]*)+$": (
        "a name such as `table.column`",
        "Write `table.column`, or `domain.table.column`.",
    ),
    r"^[A-Za-z_][A-Za-z0-9_]*$": ("the name of an environment variable", "Write its name alone, never its value."),
    r'^[^.\s"]+(\.[^.\s"]+)?$': (
        "a table, or a schema and a table",
        "Write `table`, or `schema.table`, without quotes.",
    ),
    r"^/": ("a path from the root", "Write it out, beginning with `/`."),
    r"^[1-9][0-9]*[smh]$": ("a whole number with `s`, `m` or `h`", "Write `90s`, `30m` or `2h`."),
}


@dataclass(slots=True)
class Fault:
    """One difference between a value and its schema.

    Attributes:
        said: What is wrong and how to mend it; put into words only when it is shown, as most faults are those of a
            branch of the schema that was only tried.
        owner: Identity of the mapping that misses a key or has one too many.
        names: The keys that are missing.
    """

    kind: str
    at: At
    said: Callable[[], tuple[str, str]]
    owner: int = 0
    names: frozenset[str] = frozenset()


def told_once(faults: list[Fault]) -> Iterator[tuple[Fault, str, str]]:
    """A misspelt key is one mistake, though the key that was meant is missing too and its neighbours fit nothing."""
    spoken = [(fault, *fault.said()) for fault in faults]
    meant: dict[int, set[str]] = {}
    for fault, _, mend in spoken:
        if fault.kind == "unknown":
            meant.setdefault(fault.owner, set()).update(re.findall(r"^Did you mean `(.+)`", mend))
    told: set[tuple[str, int, str | int]] = set()
    for fault, what, mend in spoken:
        if fault.kind == "missing" and fault.names & meant.get(fault.owner, set()):
            continue
        if fault.kind == "alone" and fault.owner in meant:
            continue
        key = (what, id(fault.at[0]), fault.at[1])
        if key not in told:
            told.add(key)
            yield fault, what, mend


def unknown(owner: dict[str, object], name: str, known: frozenset[str], noun: str) -> Fault:
    """A key that the schema does not have, or not beside these neighbours."""
    place = (owner if isinstance(owner, Map) else None, name)
    if name in known:
        mend = "Take it out, or change the keys beside it that say what kind of thing this is."
        return Fault("alone", place, words(f"`{name}` does not go with the other keys of {noun}", mend), id(owner))
    return Fault("unknown", place, lambda: (f"`{name}` is not a field of {noun}", nearest(name, known)), id(owner))


def words(what: str, mend: str) -> Callable[[], tuple[str, str]]:
    """What is wrong and how to mend it, said later."""
    return lambda: (what, mend)


def other(value: object, at: At, allowed: list[str]) -> tuple[str, str]:
    """What is said of a value that is none of the choices."""
    mend = nearest(str(value), allowed, otherwise=f"It can be {listed(allowed)}.")
    return f"{label(at)} cannot be `{short(value)}`", mend


def described(value: object) -> str:
    """A value, for a sentence."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int | float):
        return f"the number {short(value)}"
    if isinstance(value, str):
        return f"the text `{short(value)}`"
    return {dict: "a mapping", list: "a list"}.get(
        next((kind for kind in (dict, list) if isinstance(value, kind)), object), "empty"
    )


def retype(value: object, names: list[str]) -> str:
    """How to give a value the type it should have."""
    if value is None:
        return "Write a value after the colon, or delete the line."
    if "string" in names and isinstance(value, bool | int | float):
        return "Put it in quotes."
    if "array" in names:
        return "Write each item on a line of its own that starts with `- `, or all of them in `[` and `]`."
    if "object" in names:
        return "Write `key: value` lines below it, indented."
    if names == ["boolean"]:
        return "Write `true` or `false`."
    if isinstance(value, str) and {"number", "integer"} & set(names):
        return "Write the number without quotes and units."
    return f"Write {' or '.join(TYPES[name] for name in names)}."


def label(at: At) -> str:
    """The name of a value, by where it stands."""
    container, key = at
    if isinstance(key, int):
        return f"item {key + 1} of this list"
    return f"`{key}`" if container is not None else "the file"


def listed(names: list[str]) -> str:
    """Names in a row."""
    return ", ".join(f"`{name}`" for name in names)


def short(value: object) -> str:
    """A value in at most 60 characters."""
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004 - a line of a terminal
