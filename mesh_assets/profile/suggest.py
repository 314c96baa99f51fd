"""Tests that a table's own data suggests, each tried on it before it is shown, with why and what it would catch."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from mesh_assets import authoring, history
from mesh_assets.admission import relations
from mesh_assets.audit.execute import audit
from mesh_assets.audit.library.lists import US_STATES
from mesh_assets.audit.result import Status
from mesh_assets.audit.values import NUMBERS, Family
from mesh_assets.contract import Contract, Kind, Test
from mesh_assets.domain import Table
from mesh_assets.environment import Environment, never_published
from mesh_assets.errors import ConfigError, UsageError
from mesh_assets.profile.meaning import Meaning, meaning, shape
from mesh_assets.profile.measure import Figures, Profile, profile
from mesh_assets.profile.screens import DAYS, Finding, findings
from mesh_assets.reading.testwords import slug

if TYPE_CHECKING:
    import duckdb

ENOUGH = 20
"""Rows from which on a regularity is no accident."""
MANY = 5_000
"""Rows from which on a share does not move by two points of percent by chance."""
MOJIBAKE = r"[ÃÂâ][\x{80}-\x{BF}€]|\x{FFFD}"
"""What letters beyond ASCII look like when UTF-8 was read as something else."""
LOOK_BACK = 10
"""Earlier versions on which a proposal is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One test that is not there yet.

    Attributes:
        name: Its `id`.
        rule: As it would stand under `quality:`.
        why: What in the data speaks for it.
        catches: Expected share of the faults of its column (or table) that it would catch, from 0 to 1.
        tried: On how many versions it held.
    """

    name: str
    column: str
    rule: Mapping[str, Any]
    why: str
    catches: float
    tried: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """What was found about a table."""

    table: str
    version: int
    profile: Profile
    proposals: tuple[Proposal, ...]
    findings: tuple[Finding, ...]


def suggest(env: Environment, table: Table, *, look_back: bool, today: date, at: int | None = None) -> Suggestion:
    """Profile the published version, and propose tests that hold on it.

    Args:
        env: Where it is published.
        table: One with a contract.
        look_back: A proposal must have held on up to ten earlier versions too.
        today: The day to judge dates by.
        at: An earlier version to profile, as if it were the newest.

    Raises:
        UsageError: It has no contract, or was never published.
    """
    env.sync()
    versions = env.ledger.versions()
    if table.contract is None:
        raise UsageError(f"{table.name.replace('.', '/')} has no contract\n    Write one with its columns first.")
    if table.name not in versions:
        raise never_published(table)
    version = versions[table.name].version if at is None else at
    with env.lake.session() as con:
        relation = env.lake.relation(table.name, version)
        found = profile(con, relation)
        wanted = [one for one in _proposals(found, table.contract, today) if not _known(one, table.contract)]
        kept = _tried(env, table, con, wanted, version, look_back=look_back)
    ranked = sorted(kept, key=lambda one: (-one.catches, one.name))
    odd = tuple(findings(found, today))
    return Suggestion(table=table.name, version=version, profile=found, proposals=tuple(ranked), findings=odd)


def accept(env: Environment, table: Table, proposals: Sequence[Proposal]) -> authoring.Edit:
    """The contract with these proposals in it, judged and not yet written."""
    return authoring.add(env.mesh, table, [(one.column, one.rule) for one in proposals])


def _tried(
    env: Environment,
    table: Table,
    con: "duckdb.DuckDBPyConnection",
    wanted: Sequence[Proposal],
    version: int,
    *,
    look_back: bool,
) -> list[Proposal]:
    """Those that a contract can hold, and that have held."""
    sound = _sound(env, table, wanted)
    if not sound:
        return []
    contract = authoring.add(env.mesh, table, [(one.column, one.rule) for one in sound]).contract
    names = {one.name for one in sound}
    earlier = history.of(env, table.name, con, before=version).versions(LOOK_BACK) if look_back else ()
    others = relations(env, env.seen())
    held = dict.fromkeys(names, 0)
    broken: set[str] = set()
    subjects = [(version, env.lake.relation(table.name, version)), *((one.version, one.relation) for one in earlier)]
    for number, relation in subjects:
        past = history.of(env, table.name, con, before=number)
        for result in audit(con, relation, contract, related=others, tests=names, sample=0, past=past):
            if result.status is not Status.PASS:
                broken.add(result.test.name)
            held[result.test.name] += 1
    return [replace(one, tried=held[one.name]) for one in sound if one.name not in broken]


def _sound(env: Environment, table: Table, wanted: Sequence[Proposal]) -> list[Proposal]:
    """Without those that the contract would refuse, such as of a name that is taken."""
    try:
        authoring.add(env.mesh, table, [(one.column, one.rule) for one in wanted])
    except ConfigError:
        pass
    else:
        return list(wanted)
    sound = []
    for one in wanted:
        try:
            authoring.add(env.mesh, table, [(each.column, each.rule) for each in (*sound, one)])
        except ConfigError:
            continue
        sound.append(one)
    return sound


_SAME = {
    "nullValues": {Kind.REQUIRED, Kind.NULL_VALUES, Kind.PRIMARY_KEY},
    "duplicateValues": {Kind.UNIQUE, Kind.DUPLICATE_VALUES, Kind.PRIMARY_KEY},
    "missingValues": {Kind.REQUIRED, Kind.NULL_VALUES, Kind.MISSING_VALUES, Kind.PRIMARY_KEY},
    "invalidValues": {Kind.INVALID_VALUES, Kind.PATTERN, Kind.FORMAT, Kind.REFERENCE},
    "rowCount": {Kind.ROW_COUNT},
}
_LIKE = {"email": {Kind.FORMAT}, "us_zip": {Kind.PATTERN}, "us_state": {Kind.PATTERN, Kind.INVALID_VALUES}}


def _known(one: Proposal, contract: Contract) -> bool:
    """Whether a test of the contract asks that already."""
    return any(_same(one, test) for test in contract.tests)


def _same(one: Proposal, test: Test) -> bool:
    if test.name == one.name:
        return True
    columns = (one.column,) if one.column else ()
    if metric := one.rule.get("metric"):
        return test.columns == columns and test.kind in _SAME[str(metric)]
    word = str(one.rule.get("implementation", {}).get("test"))
    return test.columns == columns and (test.type == word or test.kind in _LIKE.get(word, ()))


def _proposals(found: Profile, contract: Contract, today: date) -> Iterator[Proposal]:
    if not found.rows:
        return
    masked = contract.masked
    declared = {column.name for column in contract.columns}
    columns = [one for one in found.columns.values() if one.name in declared]
    for one in columns:
        yield from _of_column(one, today, masked=one.name in masked)
    yield from _of_pairs(columns)
    yield from _of_table(found, columns)


def _of_column(one: Figures, today: date, *, masked: bool) -> Iterator[Proposal]:
    if not one.given:
        return
    meant = meaning(one)
    if one.nulls == 0:
        # Of texts, the empty one is missing, too.
        metric = "missingValues" if one.type.family is Family.TEXT and not one.blanks else "nullValues"
        yield _metric(one, "given", metric, {"mustBe": 0}, f"none of {one.rows:,} rows is without it", 0.9)
    elif one.rows >= ENOUGH:
        points = 2 if one.rows >= MANY else 5
        yield _library(
            one, "missing_shift", {"points": points}, f"{100 * one.nulls / one.rows:.3g} % are missing", 0.5, "warning"
        )
    if one.given >= ENOUGH and one.distinct == one.given and meant in (Meaning.ID, Meaning.EMAIL):
        yield _metric(one, "once", "duplicateValues", {"mustBe": 0}, f"all {one.given:,} values are different", 0.9)
    if one.type.family is Family.TEXT:
        yield from _of_text(one, meant, masked=masked)
    elif one.type.family in NUMBERS:
        yield from _of_number(one, meant)
    elif one.type.family is Family.BOOLEAN and one.given >= ENOUGH:
        yield _steady(one)
    elif one.type.family in DAYS:
        yield from _of_day(one, today)


def _of_text(one: Figures, meant: Meaning, *, masked: bool) -> Iterator[Proposal]:
    if one.given < ENOUGH:
        return
    special = {Meaning.EMAIL: "email", Meaning.ZIP: "us_zip", Meaning.STATE: "us_state", Meaning.PHONE: "phone"}
    if meant in special and (
        meant is not Meaning.STATE or {str(text).strip().upper() for text in one.sample} <= US_STATES
    ):
        yield _library(one, special[meant], {}, f"it is of the kind `{meant}` by its name and values", 0.6)
    elif meant is Meaning.CATEGORY and not masked:
        values = sorted(str(value) for value, _ in one.values)
        yield _metric(
            one,
            "known",
            "invalidValues",
            {"arguments": {"validValues": values}, "mustBe": 0},
            f"it has {len(values)} values, each about {one.given // len(values):,} times",
            0.8,
        )
        yield _steady(one)
    elif pattern := shape(one.sample):
        yield _metric(
            one,
            "form",
            "invalidValues",
            {"arguments": {"pattern": pattern}, "mustBe": 0},
            f"all are of the form {pattern}",
            0.7,
        )
    yield from _of_writing(one)
    if meant is Meaning.STATE:
        yield _steady(one)
    if one.blanks == 0:
        if one.nulls:
            demand = {"arguments": {"pattern": r"\S"}, "mustBe": 0}
            yield _metric(one, "not_blank", "invalidValues", demand, "no text is empty", 0.3)
        yield _library(one, "trimmed", {}, "no value has spaces around it", 0.3, "warning")
        yield _library(one, "no_placeholders", {}, "no value is a word for nothing", 0.3, "warning")
    yield _library(one, "texts_kept", {"percent": 30}, f"the longest has {one.longest} characters", 0.3, "warning")
    yield _library(one, "no_control_characters", {}, "all characters can be printed", 0.2, "warning")


def _of_writing(one: Figures) -> Iterator[Proposal]:
    """How the letters of a text are written, where all are written in one way."""
    lettered = [text for text in one.sample if text.lower() != text.upper()]
    if len(lettered) >= ENOUGH:
        if all(text == text.upper() for text in lettered):
            yield _library(one, "casing", {"casing": "upper"}, "all letters are upper case", 0.4)
        elif all(text == text.lower() for text in lettered):
            yield _library(one, "casing", {"casing": "lower"}, "all letters are lower case", 0.4, "warning")
        elif all(text[0].isupper() for text in lettered):
            demand = {"arguments": {"pattern": r"^\P{Ll}"}, "mustBe": 0, "severity": "warning"}
            yield _metric(one, "capital", "invalidValues", demand, "no text begins with a small letter", 0.3)
        broken = f"not regexp_matches({_quoted(one.name)}, '{MOJIBAKE}')"
        test = {"test": "condition", "condition": broken}
        name = f"{slug(one.name)}__well_encoded"
        rule = {"id": name, "type": "custom", "engine": "mesh", "implementation": test}
        yield Proposal(name=name, column="", rule=rule, why="no letter is torn in two by a wrong encoding", catches=0.3)


def _of_number(one: Figures, meant: Meaning) -> Iterator[Proposal]:
    if one.given < ENOUGH or one.least is None or one.most is None:
        return
    least, most = float(one.least), float(one.most)
    if meant in (Meaning.MEASURE, Meaning.COUNT):
        condition = _limits(least, most, one.type.family is Family.INTEGER)
        test = {
            "type": "custom",
            "engine": "mesh",
            "implementation": {"test": "condition", "condition": condition.format(_quoted(one.name))},
        }
        name = f"{slug(one.name)}__in_range"
        yield Proposal(
            name=name,
            column="",
            rule={"id": name, **test},
            why=f"its values are from {one.least} to {one.most}",
            catches=0.7,
        )
        yield _library(one, "mean_shift", {"most": 0.5, "versions": 5}, "its mean has been steady", 0.6, "warning")
        yield _steady(one)
    elif meant is Meaning.CATEGORY:
        values = sorted(int(str(value)) for value, _ in one.values)
        yield _metric(
            one,
            "known",
            "invalidValues",
            {"arguments": {"validValues": values}, "mustBe": 0},
            f"it has {len(values)} values",
            0.8,
        )
    if one.type.family is Family.FLOAT:
        yield _library(one, "finite", {}, "none is NaN or infinite", 0.2)


def _steady(one: Figures) -> Proposal:
    test = {"method": "psi", "most": 0.1}
    return _library(one, "distribution_shift", test, "its values come in a steady mix", 0.5, "warning")


def _limits(least: float, most: float, whole: bool) -> str:  # noqa: FBT001 - of the column
    """With room: twice the span, but never below zero where nothing was."""
    room = (most - least) or abs(most) or 1
    low = 0 if least >= 0 else least - room
    high = most + room
    digits = max(0, 2 - math.floor(math.log10(abs(high)))) if high else 0
    low, high = (math.floor(low), math.ceil(high)) if whole else (round(low, digits), round(high, digits))
    return f"{{0}} between {low} and {high}"


def _quoted(name: str) -> str:
    return name if name.isidentifier() and name.islower() else '"' + name.replace('"', '""') + '"'


def _of_day(one: Figures, today: date) -> Iterator[Proposal]:
    if one.most and one.most[:10] <= today.isoformat():
        yield _library(one, "not_in_future", {}, f"the last is {one.most[:10]}", 0.4)
    yield _library(one, "no_default_dates", {}, "none is a date that programs write for nothing", 0.3)
    if one.given >= ENOUGH:
        yield _library(
            one, "distribution_shift", {"method": "ks", "most": 0.2}, "its days move on slowly", 0.3, "warning"
        )


def _of_pairs(columns: Sequence[Figures]) -> Iterator[Proposal]:
    """Two days or moments of one row, in the order of their columns."""
    days = [one for one in columns if one.type.family in DAYS and one.given >= ENOUGH][:6]
    for place, first in enumerate(days):
        for second in days[place + 1 :]:
            name = f"{slug(first.name)}__before_{slug(second.name)}"
            test = {"test": "compare_columns", "left": first.name, "operator": "<=", "right": second.name}
            rule = {"id": name, "type": "custom", "engine": "mesh", "implementation": test}
            yield Proposal(
                name=name, column="", rule=rule, why=f"{first.name} is never after {second.name}", catches=0.5
            )


def _of_table(found: Profile, columns: Sequence[Figures]) -> Iterator[Proposal]:
    yield _of_all("volume_as_expected", {"test": "volume_trend"}, f"there are {found.rows:,} rows", 0.8, "warning")
    yield _of_all("rows_within_half", {"test": "rows_within", "percent": 50}, f"there are {found.rows:,} rows", 0.7)
    unique = any(one.distinct == one.given == found.rows for one in columns)
    if not unique and found.rows >= ENOUGH:
        yield _of_all("no_row_twice", {"test": "duplicate_rows"}, "no row is there twice", 0.7)


def _of_all(name: str, test: Mapping[str, Any], why: str, catches: float, severity: str = "error") -> Proposal:
    rule = {"id": name, "type": "custom", "engine": "mesh", "implementation": dict(test), "severity": severity}
    return Proposal(name=name, column="", rule=rule, why=why, catches=catches)


def _metric(one: Figures, suffix: str, metric: str, demand: Mapping[str, Any], why: str, catches: float) -> Proposal:
    name = f"{slug(one.name)}__{suffix}"
    return Proposal(name=name, column=one.name, rule={"id": name, "metric": metric, **demand}, why=why, catches=catches)


def _library(
    one: Figures, test: str, given: Mapping[str, Any], why: str, catches: float, severity: str = "error"
) -> Proposal:
    name = f"{slug(one.name)}__{test}"
    rule = {
        "id": name,
        "type": "custom",
        "engine": "mesh",
        "implementation": {"test": test, **given},
        "severity": severity,
    }
    return Proposal(name=name, column=one.name, rule=rule, why=why, catches=catches)
