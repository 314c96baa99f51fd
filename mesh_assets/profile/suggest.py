"""Tests that a table's own data suggests, each tried on it before it is shown, with why and what it would catch."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from mesh_assets import authoring, history
from mesh_assets.admission import relations
from mesh_assets.audit.execute import audit
from mesh_assets.audit.library.lists import US_STATES
from mesh_assets.audit.result import Result, Status
from mesh_assets.audit.values import NUMBERS, Family, literal
from mesh_assets.contract import Contract, Kind, Test
from mesh_assets.domain import Table
from mesh_assets.environment import Environment, never_published
from mesh_assets.errors import ConfigError, UsageError
from mesh_assets.graph import graph_of, upstream
from mesh_assets.mesh import Mesh
from mesh_assets.profile.meaning import Meaning, known_by, meaning, shape
from mesh_assets.profile.measure import Figures, Profile, profile
from mesh_assets.profile.screens import DAYS, Finding, findings
from mesh_assets.reading.testwords import slug

if TYPE_CHECKING:
    import duckdb

ENOUGH = 20
"""Rows from which on a regularity is no accident."""
SMALL = 5
"""Rows from which on a list, such as one of codes, is held to what good data keeps anyway."""
LIST = 500
"""Rows up to which a table with a key is a list: of products, of people, of territories."""
SOME = 200
"""Rows from which on a share of them says something."""
NEARLY = 0.95
"""Share of the rows that keep a rule which nearly holds: it is proposed with the share that may break it."""
SURE = 3.5
"""Deviations by which a share of independent rows moves by chance in one of two thousand cases: a table has many columns."""
ROOM = 0.5
"""Points of percent that a share may move, whatever chance says."""
MOJIBAKE = r"[ÃÂâ][\x{80}-\x{BF}€]|\x{FFFD}"
"""What letters beyond ASCII look like when UTF-8 was read as something else."""
PLANNED = re.compile(r"(^|_)(starts?|ends?|until|due|to|next|deadline|expir\w*|plan\w*|valid\w*|launch\w*)(_|$)")
"""Names of days that may be to come."""
DECADE = 3653
SHORT = 3
"""Characters of the shortest text from which on a shorter one says something."""
HARDLY = 8
"""So many rows would break a rule by chance, if none of them meant it: that none does is no accident then."""
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
        lenient: Where a few rows break it, it is proposed all the same, and lets as many pass.
    """

    name: str
    column: str
    rule: Mapping[str, Any]
    why: str
    catches: float
    tried: int = 1
    lenient: bool = False


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
        relation = env.lake.stored(table.name, version)
        found = profile(con, relation)
        wanted = [
            one
            for one in _proposals(found, table.contract, today, _keys(env.mesh, table))
            if not _known(one, table.contract)
        ]
        kept = _tried(env, table, con, wanted, version, look_back=look_back)
    ranked = sorted(kept, key=lambda one: (-one.catches, one.name))
    odd = tuple(findings(found, today))
    return Suggestion(table=table.name, version=version, profile=found, proposals=tuple(ranked), findings=odd)


def accept(env: Environment, table: Table, proposals: Sequence[Proposal]) -> authoring.Edit:
    """The contract with these proposals in it, each with why, judged and not yet written."""
    masked = table.contract.masked if table.contract else frozenset()
    private = tuple(f"{slug(name)}__" for name in masked)  # why may hold the least and the greatest value
    told = [
        (one.column, one.rule if one.name.startswith(private) else _explained(one.rule, one.why)) for one in proposals
    ]
    return authoring.add(env.mesh, table, told)


def _explained(rule: Mapping[str, Any], why: str) -> Mapping[str, Any]:
    return {"id": rule["id"], "description": f"When this was suggested, {why}.", **rule}


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
    others = relations(env, env.seen())
    contract, sound = _nearly(env, table, con, sound, version, others)
    names = {one.name for one in sound}
    earlier = history.of(env, table.name, con, before=version).versions(LOOK_BACK) if look_back else ()
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


def _nearly(
    env: Environment,
    table: Table,
    con: "duckdb.DuckDBPyConnection",
    sound: Sequence[Proposal],
    version: int,
    others: Callable[[str], str | None],
) -> tuple[Contract, Sequence[Proposal]]:
    """The contract with the proposals; those that only a few rows break let as many pass."""

    def added(proposals: Sequence[Proposal]) -> Contract:
        return authoring.add(env.mesh, table, [(one.column, one.rule) for one in proposals]).contract

    contract, asked = added(sound), {one.name for one in sound if one.lenient}
    results = audit(con, env.lake.relation(table.name, version), contract, related=others, tests=asked, sample=0)
    broken = {
        one.test.name: one
        for one in results
        if one.status in (Status.FAIL, Status.WARN)
        and one.total_rows >= SOME
        and one.failing_rows <= (1 - NEARLY) * one.total_rows
    }
    if not broken:
        return contract, sound
    eased = [_eased(one, broken[one.name]) if one.name in broken else one for one in sound]
    return added(eased), eased


def _eased(one: Proposal, found: Result) -> Proposal:
    """A rule that nearly holds, as a warning with the share that may break it: as many as do, what chance adds, and some room."""
    most = _moves(found.fail_rate, found.total_rows, versions=1) + 100 * found.fail_rate
    most = math.ceil(10 * most) / 10
    rule = dict(one.rule)
    if "metric" in rule:
        del rule["mustBe"]
        rule |= {"mustBeLessOrEqualTo": most, "unit": "percent"}
    else:
        rule["implementation"] = {**rule["implementation"], "at_most": most, "unit": "percent"}
    rule["severity"] = "warning"
    why = f"{one.why}, but for {100 * found.fail_rate:.2g} % of the rows"
    return replace(one, rule=rule, why=why, catches=round(0.8 * one.catches, 2))


def _moves(share: float, rows: int, *, versions: int) -> float:
    """Points of percent by which a share moves by chance, with room: as measured once, or from version to version."""
    return ROOM + 100 * SURE * math.sqrt(versions * share * (1 - share) / rows)


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


def _keys(mesh: Mesh, table: Table) -> Mapping[str, tuple[tuple[str, str], ...]]:
    """By the name of a column that would refer to it, each key of a table that this one is made of; of a source, of other sources beside it."""
    graph = graph_of(mesh)
    near = upstream(graph, [table.name])
    if not near:
        near = frozenset(name for name in mesh.tables if not graph[name] and mesh.tables[name].domain == table.domain)
    found: dict[str, list[tuple[str, str]]] = {}
    for name in sorted(near - {table.name}, key=lambda name: (name not in graph[table.name], name)):
        contract = mesh.tables[name].contract
        keys = [column.name for column in contract.columns if column.primary_key] if contract else []
        if len(keys) == 1:
            (key,), short = keys, name.rpartition(".")[2]
            spelt = (key,) if "_" in key else (f"{short}_{key}", f"{short.removesuffix('s')}_{key}")
            for column in spelt:
                found.setdefault(column, []).append((name, key))
    return {column: tuple(keys) for column, keys in found.items()}


def _known(one: Proposal, contract: Contract) -> bool:
    """Whether a test of the contract asks that already."""
    return any(_same(one, test) for test in contract.tests)


def _same(one: Proposal, test: Test) -> bool:
    if test.name == one.name:
        return True
    columns = (one.column,) if one.column else ()
    if one.rule.get("implementation", {}).get("test") == "in_reference":
        columns = tuple(one.rule["implementation"]["columns"])
        return test.columns == columns and (test.kind is Kind.REFERENCE or test.type == "in_reference")
    if metric := one.rule.get("metric"):
        return test.columns == columns and test.kind in _SAME[str(metric)]
    word = str(one.rule.get("implementation", {}).get("test"))
    return test.columns == columns and (test.type == word or test.kind in _LIKE.get(word, ()))


def _proposals(
    found: Profile, contract: Contract, today: date, keys: Mapping[str, Sequence[tuple[str, str]]]
) -> Iterator[Proposal]:
    if not found.rows:
        return
    masked = contract.masked
    declared = {column.name for column in contract.columns}
    columns = [one for one in found.columns.values() if one.name in declared]
    for one in columns:
        key = known_by(one.name, [each.name for each in columns])
        yield from _of_column(one, today, masked=one.name in masked, first=one is columns[0], grows=bool(key))
        yield from _of_reference(one, keys.get(one.name, ()))
        if key and one.type.family is Family.TEXT and one.given >= SMALL:
            test = {"test": "determines", "columns": [key], "determine": [one.name]}
            yield _of_all(f"{slug(one.name)}__by_{slug(key)}", test, f"each {key} has one {one.name}", 0.6, "warning")
    yield from _of_name(columns, masked)
    yield from _of_pairs(columns)
    yield from _of_neighbours(columns)
    yield from _of_table(found, columns)


def _of_column(one: Figures, today: date, *, masked: bool, first: bool, grows: bool) -> Iterator[Proposal]:
    if not one.given:
        return
    meant = meaning(one)
    # Of texts, the empty one is missing, too.
    metric = "missingValues" if one.type.family is Family.TEXT and not one.blanks else "nullValues"
    if one.nulls == 0:
        yield _metric(one, "given", metric, {"mustBe": 0}, f"none of {one.rows:,} rows is without it", 0.9)
    elif one.rows >= SOME and one.given >= NEARLY * one.rows:
        yield _metric(one, "given", metric, {"mustBe": 0}, "all rows have it", 0.9, lenient=True)
    elif one.rows >= ENOUGH:
        share = (one.nulls + one.blanks) / one.rows
        points = math.ceil(10 * _moves(share, one.rows, versions=2)) / 10
        why = f"{100 * share:.3g} % are missing; by chance it moves by less than {points:g} points"
        yield _library(one, "missing_shift", {"points": points}, why, 0.5, "warning")
    key = one.given >= ENOUGH and (meant in (Meaning.ID, Meaning.EMAIL) or _counts(one))
    if one.distinct == one.given and (key or (first and SMALL <= one.given == one.rows)):
        yield _metric(one, "once", "duplicateValues", {"mustBe": 0}, f"all {one.given:,} values are different", 0.9)
    if one.type.family is Family.TEXT:
        yield from _of_text(one, meant, masked=masked, grows=grows)
    elif one.type.family in NUMBERS:
        yield from _of_number(one, meant)
    elif one.type.family is Family.BOOLEAN and one.given >= ENOUGH:
        yield _steady(one)
        yield from _of_rare(one)
    elif one.type.family in DAYS:
        yield from _of_day(one, today)


def _counts(one: Figures) -> bool:
    """Whether it counts the rows: every whole number from the first to the last, once."""
    whole = one.type.family is Family.INTEGER and one.least is not None and one.most is not None
    return whole and one.distinct == one.rows == int(str(one.most)) - int(str(one.least)) + 1


def _of_rare(one: Figures) -> Iterator[Proposal]:
    """Where most rows have one value: the share of the others, if there are enough rows to see that a third of them is gone."""
    if len(one.values) < 2:  # noqa: PLR2004 - one, and another
        return
    value, times = one.values[0]
    rare = (one.given - times) / one.rows
    points = math.ceil(10 * max(_moves(rare, one.rows, versions=2), 100 * rare / 3)) / 10
    if rare <= 0.5 and points < 50 * rare:  # noqa: PLR2004 - half of them; and less than half of what they are
        name, column = f"{slug(one.name)}__others_share", _quoted(one.name)
        is_true = str(value).lower() == "true"
        condition = (
            f"{column} <> {literal(int(str(value)) if one.type.family is Family.INTEGER else str(value), one.type)}"
        )
        if one.type.family is Family.BOOLEAN:
            condition = f"not {column}" if is_true else column
        why = f"{100 * rare:.3g} % are not {value}; that moves by less than {points:g} points"
        test = {"test": "share_shift", "condition": condition, "points": points}
        yield _of_all(name, test, why, 0.4, "warning")


def _of_reference(one: Figures, keys: Sequence[tuple[str, str]]) -> Iterator[Proposal]:
    """A column that is named as a key of another table holds values of it."""
    if one.given < SMALL:
        return
    for table, key in keys[:2]:
        name = f"{slug(one.name)}__in_{slug(table.rpartition('.')[2])}"
        test = {"test": "in_reference", "columns": [one.name], "to_table": table}
        test |= {"to_columns": [key]} if key != one.name else {}
        yield _of_all(
            name, test, f"it is named as the key of {table.replace('.', '/', 1)}, which knows all", 0.6, "warning"
        )


def _of_name(columns: Sequence[Figures], masked: frozenset[str]) -> Iterator[Proposal]:
    """In a list, the text beside the key is what things are called."""
    if len(columns) < 2:  # noqa: PLR2004 - a key and a name
        return
    key, one = columns[:2]
    names = one.type.family is Family.TEXT and meaning(one) is not Meaning.NAME and one.name not in masked
    if names and SMALL <= one.rows <= LIST and key.distinct == one.distinct == one.given == one.rows:
        why = f"it stands beside the key, and all {one.given:,} are different"
        yield _metric(one, "once", "duplicateValues", {"mustBe": 0, "severity": "warning"}, why, 0.4)


def _of_text(one: Figures, meant: Meaning, *, masked: bool, grows: bool) -> Iterator[Proposal]:
    if one.given < SMALL:
        return
    if one.given >= ENOUGH:
        yield from _of_values(one, meant, masked=masked, grows=grows)
        yield _library(one, "texts_kept", {"percent": 30}, f"the longest has {one.longest} characters", 0.3, "warning")
    else:
        yield from _of_length(one, meant, "warning")
    yield from _of_writing(one)
    if one.blanks == 0:
        if one.nulls:
            demand = {"arguments": {"pattern": r"\S"}, "mustBe": 0}
            yield _metric(one, "not_blank", "invalidValues", demand, "no text is empty", 0.3)
        yield _library(one, "trimmed", {}, "no value has spaces around it", 0.3, "warning", lenient=True)
        yield _library(one, "no_placeholders", {}, "no value is a word for nothing", 0.3, "warning", lenient=True)
    yield _library(one, "no_control_characters", {}, "all characters can be printed", 0.2, "warning")


def _of_values(one: Figures, meant: Meaning, *, masked: bool, grows: bool) -> Iterator[Proposal]:
    """What texts are, where there are enough of them to say so; names of things with a key beside them will be more."""
    special = {Meaning.EMAIL: "email", Meaning.ZIP: "us_zip", Meaning.STATE: "us_state", Meaning.PHONE: "phone"}
    if meant in special and (
        meant is not Meaning.STATE or {str(text).strip().upper() for text in one.sample} <= US_STATES
    ):
        why = f"it is of the kind `{meant}` by its name and values"
        yield _library(one, special[meant], {}, why, 0.6, lenient=True)
    elif meant is Meaning.CATEGORY and not masked:
        values = sorted(str(value) for value, _ in one.values)
        demand = {"arguments": {"validValues": values}, "mustBe": 0}
        why = f"it has {len(values)} values, each about {one.given // len(values):,} times"
        if not grows:
            yield _metric(one, "known", "invalidValues", demand, why, 0.8)
        yield _steady(one)
    elif pattern := shape(one.sample, least=NEARLY if one.rows >= SOME else 1):
        demand = {"arguments": {"pattern": pattern}, "mustBe": 0}
        yield _metric(one, "form", "invalidValues", demand, f"all are of the form {pattern}", 0.7, lenient=True)
    else:
        yield from _of_length(one, meant)
    if meant in (Meaning.STATE, Meaning.CATEGORY) and not masked:
        yield from _of_rare(one)
    if meant is Meaning.STATE:
        yield _steady(one)


def _of_length(one: Figures, meant: Meaning, severity: str = "error") -> Iterator[Proposal]:
    """Codes of so many letters; else no text is much shorter than the shortest."""
    if not one.shortest or one.shortest < SHORT:
        return
    letters = next(
        (range_ for range_ in ("A-Z", "a-z") if all(re.fullmatch(f"[{range_}]+", text) for text in one.sample)), ""
    )
    if letters and meant in (Meaning.ID, Meaning.CODE) and one.shortest == one.longest:
        demand = {"arguments": {"pattern": f"^[{letters}]{{{one.shortest}}}$"}, "mustBe": 0, "severity": severity}
        yield _metric(one, "form", "invalidValues", demand, f"all have {one.shortest} letters", 0.6, lenient=True)
        return
    least = one.shortest - one.shortest // 4
    why = f"the shortest has {one.shortest} characters"
    yield _condition(one, "not_short", f"length({_quoted(one.name)}) >= {least}", why, 0.3, severity)


def _of_writing(one: Figures) -> Iterator[Proposal]:
    """How the letters of a text are written, where (nearly) all are written in one way."""
    lettered = [text for text in one.sample if text.lower() != text.upper()]
    least = NEARLY * len(lettered) if one.rows >= SOME else len(lettered)
    if len(lettered) >= SMALL:
        if sum(text == text.upper() for text in lettered) >= least:
            yield _library(one, "casing", {"casing": "upper"}, "all letters are upper case", 0.4, lenient=True)
        elif sum(text == text.lower() for text in lettered) >= least:
            yield _library(
                one, "casing", {"casing": "lower"}, "all letters are lower case", 0.4, "warning", lenient=True
            )
        elif sum(text[0].isupper() for text in lettered) >= least:
            demand = {"arguments": {"pattern": r"^\P{Ll}"}, "mustBe": 0, "severity": "warning"}
            why = "no text begins with a small letter"
            yield _metric(one, "capital", "invalidValues", demand, why, 0.3, lenient=True)
        elif sum(text[0].islower() for text in lettered) >= least:
            demand = {"arguments": {"pattern": r"^\P{Lu}"}, "mustBe": 0, "severity": "warning"}
            why = "no text begins with a capital letter"
            yield _metric(one, "no_capital", "invalidValues", demand, why, 0.3, lenient=True)
        broken = f"not regexp_matches({_quoted(one.name)}, '{MOJIBAKE}')"
        yield _condition(one, "well_encoded", broken, "no letter is torn in two by a wrong encoding", 0.3)
    if one.given >= SOME:
        why = "length and case of its texts are steady"
        yield _library(one, "writing_shift", {"points": 2, "percent": 2}, why, 0.3, "warning")


def _condition(
    one: Figures, suffix: str, condition: str, why: str, catches: float, severity: str = "error"
) -> Proposal:
    """What is true of every row, in SQL; it stands at the table."""
    test = {"test": "condition", "condition": condition}
    return replace(_of_all(f"{slug(one.name)}__{suffix}", test, why, catches, severity), lenient=True)


def _of_number(one: Figures, meant: Meaning) -> Iterator[Proposal]:
    if one.given < ENOUGH or one.least is None or one.most is None:
        return
    least, most = float(one.least), float(one.most)
    if meant in (Meaning.MEASURE, Meaning.COUNT):
        condition = _limits(least, most, one.type.family is Family.INTEGER).format(_quoted(one.name))
        yield _condition(one, "in_range", condition, f"its values are from {one.least} to {one.most}", 0.7)
        if least < 0 < most and one.rows >= SOME:  # is that a fault of a few, which others then hide among?
            yield _condition(one, "not_negative", f"{_quoted(one.name)} >= 0", "none is negative", 0.4)
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
        yield _steady(one)
        yield from _of_rare(one)
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
    past = bool(one.most) and str(one.most)[:10] <= today.isoformat()
    if past or one.rows >= SOME:
        planned = {"days": DECADE} if PLANNED.search(one.name.lower()) else {}  # an end may well be to come
        why = f"the last is {str(one.most)[:10]}" if past else "none is to come"
        yield _library(one, "not_in_future", planned, why, 0.4, lenient=True)
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


def _of_neighbours(columns: Sequence[Figures]) -> Iterator[Proposal]:
    """Two numbers side by side of which one is part of the other, such as mails that were opened and mails that were sent.

    It must hold in every row, and by chance it would not: were the two independent, some rows would break it.
    """
    counted = [one for one in columns if meaning(one) in (Meaning.MEASURE, Meaning.COUNT, Meaning.CATEGORY)]
    of_numbers = {one.name for one in counted if one.type.family in NUMBERS and one.given >= ENOUGH and one.deviation}
    for pair in pairwise(columns):
        if not {one.name for one in pair} <= of_numbers or pair[0].type.family is not pair[1].type.family:
            continue
        small, large = sorted(pair, key=lambda one: one.mean or 0)
        spread = math.hypot(small.deviation or 0, large.deviation or 0)
        by_chance = round(
            min(one.given for one in pair) * NormalDist(0, spread).cdf((small.mean or 0) - (large.mean or 0))
        )
        if by_chance >= HARDLY:
            name = f"{slug(small.name)}__within_{slug(large.name)}"
            test = {"test": "compare_columns", "left": small.name, "operator": "<=", "right": large.name}
            why = f"{small.name} is never above {large.name}; by chance it would be in about {by_chance:,} rows"
            yield _of_all(name, test, why, 0.4)


def _of_table(found: Profile, columns: Sequence[Figures]) -> Iterator[Proposal]:
    yield _of_all("volume_as_expected", {"test": "volume_trend"}, f"there are {found.rows:,} rows", 0.8, "warning")
    yield _of_all("rows_within_half", {"test": "rows_within", "percent": 50}, f"there are {found.rows:,} rows", 0.7)
    if SMALL <= found.rows <= LIST and columns and columns[0].distinct == found.rows:
        why = f"it is a list of {found.rows}, each with a key of its own; few of them go at once"
        yield _of_all("entries_kept", {"test": "rows_kept", "percent": 20}, why, 0.4, "warning")
    unique = any(one.distinct == one.given == found.rows for one in columns)
    if not unique and found.rows >= ENOUGH:
        once = _of_all("no_row_twice", {"test": "duplicate_rows"}, "no row is there twice", 0.7)
        yield replace(once, lenient=True)


def _of_all(name: str, test: Mapping[str, Any], why: str, catches: float, severity: str = "error") -> Proposal:
    rule = {"id": name, "type": "custom", "engine": "mesh", "implementation": dict(test), "severity": severity}
    return Proposal(name=name, column="", rule=rule, why=why, catches=catches)


def _metric(
    one: Figures,
    suffix: str,
    metric: str,
    demand: Mapping[str, Any],
    why: str,
    catches: float,
    *,
    lenient: bool = False,
) -> Proposal:
    name = f"{slug(one.name)}__{suffix}"
    rule = {"id": name, "metric": metric, **demand}
    return Proposal(name=name, column=one.name, rule=rule, why=why, catches=catches, lenient=lenient)


def _library(
    one: Figures,
    test: str,
    given: Mapping[str, Any],
    why: str,
    catches: float,
    severity: str = "error",
    *,
    lenient: bool = False,
) -> Proposal:
    name = f"{slug(one.name)}__{test}"
    rule = {
        "id": name,
        "type": "custom",
        "engine": "mesh",
        "implementation": {"test": test, **given},
        "severity": severity,
    }
    return Proposal(name=name, column=one.name, rule=rule, why=why, catches=catches, lenient=lenient)
