"""Rules of which a failing row goes into quarantine, and the rest is published: `customProperties`, `action`.

A rule says `action: quarantine`; what a column says in its own keys, `action.<key>: quarantine`, as with severities.
"""

from collections.abc import Iterable, Iterator, Sequence

from mesh_assets.audit.library.rows import ROWS
from mesh_assets.contract import ASIDE_COLUMNS, Column, Kind, Severity, Test
from mesh_assets.errors import Problem, nearest
from mesh_assets.reading.source import Document, Map, maps, text
from mesh_assets.reading.testwords import KEY_KIND, OPTIONS, OVERRIDES, unsaid

ACTION = "action"
ACTIONS = ("hold", "quarantine")
KEYS = tuple(f"{ACTION}.{key.removeprefix('severity.')}" for key in OVERRIDES)
KNOWN = frozenset({*KEYS, *(f"{ACTION}.{kind}" for kind in KEY_KIND.values())})
COUNTED = (Kind.NULL_VALUES, Kind.MISSING_VALUES, Kind.INVALID_VALUES)
SINGLE = frozenset({Kind.REQUIRED, *OPTIONS.values(), *COUNTED})
"""Kinds that judge every row by itself."""
OF_ROWS = frozenset(one.name for one in ROWS)
ROW = "Only a test of single rows can set rows aside; leave the rule as it is, and it holds the version."
NONE_MAY_FAIL = (("mustBe", 0), ("mustBeLessOrEqualTo", 0))


def sets_aside(document: Document, owner: Map, problems: list[Problem], key: str = "") -> bool:
    """Whether rows that fail go into quarantine.

    Args:
        document: The file.
        owner: A rule or a relationship; with `key` a column.
        problems: Takes what is wrong.
        key: What the column says, such as `pattern`.
    """
    if "customProperties" not in owner:
        return False
    wanted = {f"{ACTION}.{key}", f"{ACTION}.{KEY_KIND.get(key, key)}"} if key else {ACTION}
    found = [extra for extra in maps(owner, "customProperties") if text(extra, "property") in wanted]
    for extra in found:
        if extra.get("value") not in ACTIONS:
            what = f"the action `{extra.get('value')}` is not known"
            mend = nearest(str(extra.get("value")), ACTIONS, otherwise="It is `hold`, as without it, or `quarantine`.")
            problems.append(document.problem("M530", what, mend, extra, "value"))
    return any(extra.get("value") == "quarantine" for extra in found)


def check_actions(document: Document, prop: Map, problems: list[Problem]) -> None:
    """Tell actions in a column's `customProperties` that are those of nothing."""
    for extra in maps(prop, "customProperties"):
        name = text(extra, "property")
        if name == ACTION or (name.startswith(f"{ACTION}.") and name not in KNOWN):
            what = f"`{name}` is the action of nothing"
            problems.append(document.problem("M530", what, nearest(name, KEYS), extra, "property"))
        elif name in KNOWN and (key := unsaid(prop, name)):
            what = f"`{name}` is the action of nothing: the column has no `{key}`"
            problems.append(document.problem("M530", what, f"Add `{key}`, or take the action out.", extra, "property"))


def refused(tests: Sequence[Test], columns: Iterable[Column]) -> Iterator[Problem]:
    """Why rows cannot be set aside by some of the tests that ask for it."""
    asking = [test for test in tests if test.quarantines]
    for test in asking:
        if why := _refused(test):
            yield Problem("M531", f"`{test.name}` cannot put rows into quarantine: {why[0]}", test.where, why[1])
    for column in columns if asking else ():
        if column.name.casefold() in ASIDE_COLUMNS:
            what = f"`{column.name}` is a column that the quarantine adds of its own"
            yield Problem("M532", what, column.where, "Rename the column, or take the `action` out of the rules.")


def _refused(test: Test) -> tuple[str, str] | None:
    if test.severity is not Severity.ERROR:
        return "it only warns", "Write `severity: error`, or take its `action` out."
    if test.kind in (Kind.UNIQUE, Kind.PRIMARY_KEY, Kind.DUPLICATE_VALUES) or test.type == "duplicate_rows":
        return "which of two equal rows is the wrong one, nobody can tell", ROW
    if test.kind is Kind.REFERENCE:
        if len(test.columns) != 1:
            return "it refers by several columns", "Refer by one column, or take its `action` out."
        return None
    if test.kind is Kind.LIBRARY:
        if test.type not in OF_ROWS:
            return f"`{test.type}` looks at more than one row", ROW
        if test.arguments.get("at_most"):
            return "it lets some rows fail", "Take `at_most` out: no row that fails is published then."
        return None
    if test.kind not in SINGLE:
        return f"`{test.kind}` is asked of the table as a whole", ROW
    demand = (test.arguments.get("operator"), test.arguments.get("threshold"))
    if test.kind in COUNTED and demand not in NONE_MAY_FAIL:
        return "it lets some rows fail, or wants some to", "Write `mustBe: 0`: no row that fails is published then."
    return None
