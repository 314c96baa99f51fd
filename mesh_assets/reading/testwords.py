"""Names, severities and dimensions of tests, as an ODCS file gives them.

The severity of a rule is its `severity:`. That of what a column says in its own keys is `error`, unless its
`customProperties` hold `severity.<key>: warning`, such as `severity.pattern` or `severity.required`.
"""

import re
from functools import lru_cache

from mesh_assets.contract import Kind, Severity
from mesh_assets.errors import Problem, nearest
from mesh_assets.reading.source import Document, Map, child, maps, text

OPTIONS = {
    "minimum": Kind.MINIMUM, "maximum": Kind.MAXIMUM, "exclusiveMinimum": Kind.EXCLUSIVE_MINIMUM,
    "exclusiveMaximum": Kind.EXCLUSIVE_MAXIMUM, "multipleOf": Kind.MULTIPLE_OF, "pattern": Kind.PATTERN,
    "minLength": Kind.MIN_LENGTH, "maxLength": Kind.MAX_LENGTH, "format": Kind.FORMAT,
}  # fmt: skip
METRICS = {
    "rowCount": Kind.ROW_COUNT, "nullValues": Kind.NULL_VALUES, "missingValues": Kind.MISSING_VALUES,
    "invalidValues": Kind.INVALID_VALUES, "duplicateValues": Kind.DUPLICATE_VALUES,
}  # fmt: skip
DIMENSION = {
    Kind.REQUIRED: "completeness", Kind.NULL_VALUES: "completeness", Kind.MISSING_VALUES: "completeness",
    Kind.UNIQUE: "uniqueness", Kind.PRIMARY_KEY: "uniqueness", Kind.DUPLICATE_VALUES: "uniqueness",
    Kind.REFERENCE: "consistency",
}  # fmt: skip
KEY_KIND = {"primaryKey": "primary_key", **{key: str(kind) for key, kind in OPTIONS.items()}}
KEYS = {kind: key for key, kind in KEY_KIND.items()}
OVERRIDES = tuple(f"severity.{key}" for key in ("required", "unique", "primaryKey", "enum", "reference", *OPTIONS))
OVERRIDES_BY_KIND = frozenset(f"severity.{kind}" for kind in KEY_KIND.values())
SEVERITIES = {str(one): one for one in Severity}


@lru_cache(maxsize=20_000)
def slug(name: str) -> str:
    """A name of letters, digits and single underscores."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")


def override(document: Document, owner: Map, key: str, problems: list[Problem]) -> Severity | None:
    """The severity that `customProperties` give to what is said under a key, as in `severity.pattern`."""
    if "customProperties" not in owner:
        return None
    wanted = {f"severity.{key}", f"severity.{KEY_KIND.get(key, key)}"} | ({"severity"} if "to" in owner else set())
    for extra in maps(owner, "customProperties"):
        if text(extra, "property") in wanted:
            return severity(document, extra, "value", str(extra.get("value")), problems)
    return None


def unsaid(prop: Map, kept: str) -> str:
    """The key after a point, as in `severity.pattern`, that a column does not have; empty when it has."""
    key = KEYS.get(word := kept.partition(".")[2], word)
    there = (
        "relationships" in prop
        if key == "reference"
        else key in (child(prop, "logicalTypeOptions") if key in OPTIONS else prop)
    )
    return "" if there else key


def check_overrides(document: Document, prop: Map, problems: list[Problem]) -> None:
    """Tell severities in `customProperties` that are those of nothing."""
    for extra in maps(prop, "customProperties"):
        name = text(extra, "property")
        if name.startswith("severity.") and name not in OVERRIDES and name not in OVERRIDES_BY_KIND:
            problems.append(
                document.problem(
                    "M209", f"`{name}` is the severity of nothing", nearest(name, OVERRIDES), extra, "property"
                )
            )
        elif name.startswith("severity."):
            if key := unsaid(prop, name):
                what = f"`{name}` is the severity of nothing: the column has no `{key}`"
                problems.append(
                    document.problem("M209", what, f"Add `{key}`, or take the severity out.", extra, "property")
                )
            severity(document, extra, "value", str(extra.get("value")), problems)


def severity(document: Document, owner: Map, key: str, written: str, problems: list[Problem]) -> Severity:
    """The severity that is written; `error` after telling that it is none."""
    if known := SEVERITIES.get(written):
        return known
    mend = nearest(written, SEVERITIES, otherwise="It is `error`, which stops a version, or `warning`.")
    problems.append(document.problem("M209", f"the severity `{written}` is not known", mend, owner, key))
    return Severity.ERROR
