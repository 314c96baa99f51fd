"""One ODCS file to a Contract.

The standard's JSON Schema says what may be written; this module says what it means, and refuses what cannot be tested.
Read are 3.1 and 3.2, and 3.0 with its older words (`rule:` for `metric:`, `team:` as a list).
"""

import hashlib
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from mesh_assets.account.expected import SPANS, UNITS, seconds_of
from mesh_assets.audit.patterns import FORMATS
from mesh_assets.audit.questions import fails
from mesh_assets.audit.values import CannotAnswer
from mesh_assets.audit.values import column_type as typed
from mesh_assets.contract import MASKED, Column, Contract, Kind, ServiceLevel, Test, labels, masks
from mesh_assets.errors import Problem, nearest
from mesh_assets.reading import shape
from mesh_assets.reading.aside import refused
from mesh_assets.reading.columntype import NotAType, column_type
from mesh_assets.reading.custom import unsuited
from mesh_assets.reading.implied import implied_tests, primary_key
from mesh_assets.reading.quality import rules_of_column, rules_of_table, upgrade
from mesh_assets.reading.references import references_of_column, references_of_table
from mesh_assets.reading.source import Document, Map, flag, items, maps, text, texts

VERSIONS = ("v3.0.0", "v3.0.1", "v3.0.2", "v3.1.0", "v3.2.0")
BOUND = "Write a value of the column's own type: a number, a date such as '2026-01-31' in quotes, or a length."
MENDS = {  # kinds of test whose arguments may make no sense, and what to do then
    Kind.MINIMUM: BOUND, Kind.MAXIMUM: BOUND, Kind.EXCLUSIVE_MINIMUM: BOUND, Kind.EXCLUSIVE_MAXIMUM: BOUND,
    Kind.MIN_LENGTH: BOUND, Kind.MAX_LENGTH: BOUND, Kind.MULTIPLE_OF: BOUND,
    Kind.PATTERN: "Correct the pattern; what it cannot say, two rules or a rule of `type: sql` can.",
    Kind.FORMAT: "Use `pattern:` instead.",
    Kind.INVALID_VALUES: "Write values of the column's own type; a pattern must be a plain regular expression.",
    Kind.MISSING_VALUES: "Write values of the column's own type.",
}  # fmt: skip
SERVICE_LEVELS = (  # the standard's own, and `freshness`
    "availability", "endOfLife", "endOfSupport", "errorRate", "frequency", "freshness", "generalAvailability", "latency",
    "retention", "throughput", "timeOfAvailability", "timeToDetect", "timeToNotify", "timeToRepair",
)  # fmt: skip
NEAR = 0.85  # as difflib counts: `restircted` is near to `restricted`, `dataRetention` is not to `retention`


@dataclass(slots=True)
class Reading:
    """A contract file, read: its contract if there is one table in it, and what is wrong."""

    contract: Contract | None = None
    problems: list[Problem] = field(default_factory=list)


def read_contract(document: Document, domain: str, table: str) -> Reading:
    """The contract of one table; what is wrong is in `problems`, and a contract with problems is not to be used.

    Args:
        document: The file.
        domain: Where a reference `table.column` leads.
        table: The table that the file must name; empty when any name will do.
    """
    reading = Reading()
    root = document.root
    version = text(root, "apiVersion")
    if version and version not in VERSIONS:
        mend = nearest(version, VERSIONS, otherwise="Bring it to v3.1.0.")
        reading.problems.append(
            document.problem("M201", f"`apiVersion` {version} is not read here", mend, root, "apiVersion")
        )
        return reading
    upgrade(root)
    reading.problems += shape.standard().problems(document)
    schema = maps(root, "schema")
    if len(schema) != 1:
        what = f"a contract is for one table; this one has {len(schema) or 'none'}"
        reading.problems.append(
            document.problem("M202", what, "Write one file per table, with one entry under `schema:`.", root, "schema")
        )
        return reading
    reading.contract = _contract(document, schema[0], domain, reading.problems)
    names = [name for key in ("name", "physicalName") if (name := text(schema[0], key))]
    if table and names and table not in names:
        what = f"the contract is for `{names[0]}`, and this file is the contract of `{table}`"
        reading.problems.append(
            document.problem("M203", what, f"Write `name: {table}`, or rename the file.", schema[0], "name")
        )
    return reading


def _contract(document: Document, schema: Map, domain: str, problems: list[Problem]) -> Contract:
    root = document.root
    columns = _columns(document, schema, problems)
    names = {text(prop, "name"): column.name for prop, column in columns}
    tests = [
        Test(name="columns", kind=Kind.COLUMNS, dimension="conformity", where=document.place(schema, "properties")),
        Test(name="types", kind=Kind.TYPES, dimension="conformity", where=document.place(schema, "properties")),
    ]
    for prop, column in columns:
        tests += implied_tests(document, prop, column, problems)
        tests += references_of_column(document, prop, column, domain, problems)
        tests += rules_of_column(document, prop, column.name, problems, tuple(names.values()))
    tests += primary_key(document, schema, names)
    for relationship in maps(schema, "relationships"):
        tests += references_of_table(document, schema, relationship, names, domain, problems)
    _check_service_levels(document, root, problems)
    tests += rules_of_table(document, schema, names, problems)
    _unique_names(tests, problems)
    _executable(tests, [column for _, column in columns], problems)
    problems += refused(tests, [column for _, column in columns])
    contract = Contract(
        id=text(root, "id"),
        version=text(root, "version"),
        name=text(root, "name"),
        columns=tuple(column for _, column in columns),
        tests=tuple(tests),
        status=text(root, "status"),
        description=_described(root, schema),
        grain=text(schema, "dataGranularityDescription"),
        service_levels=tuple(_service_level(level) for level in maps(root, "slaProperties")),
        where=document.place(),
    )
    return replace(contract, hash=_hash(contract))


def _columns(document: Document, schema: Map, problems: list[Problem]) -> list[tuple[Map, Column]]:
    columns: list[tuple[Map, Column]] = []
    seen: dict[str, int] = {}
    for index, prop in enumerate(items(schema, "properties")):
        name = text(prop, "physicalName") or text(prop, "name") if isinstance(prop, Map) else ""
        if not name:
            continue
        where = document.place(prop, "name")
        if name.lower() in seen:
            what = f"column `{name}` is here twice: first on line {seen[name.lower()]}"
            problems.append(
                document.problem(
                    "M206",
                    what,
                    "Keep one of them; DuckDB does not tell upper from lower case.",
                    items(schema, "properties"),
                    index,
                )
            )
            continue
        seen[name.lower()] = where.line
        columns.append((prop, _column(document, prop, name, problems)))
    return columns


def _column(document: Document, prop: Map, name: str, problems: list[Problem]) -> Column:
    try:
        kind = column_type(prop)
    except NotAType as refused:
        kind = "VARCHAR"
        key = "physicalType" if "physicalType" in prop else "logicalType" if "logicalType" in prop else "name"
        code = "M204" if refused.held else "M205"
        # A misspelt logical type is told by the standard's schema already.
        if not (key == "logicalType" and prop[key] not in ("array", "object", "map", "vector", "integer", "number")):
            problems.append(document.problem(code, f"column `{name}` {refused.what}", refused.mend, prop, key))
    _check_classification(document, prop, name, problems)
    classification, tags = text(prop, "classification"), texts(prop, "tags")
    return Column(
        name=name,
        type=kind,
        logical_type=text(prop, "logicalType"),
        required=flag(prop, "required"),
        unique=flag(prop, "unique"),
        primary_key=flag(prop, "primaryKey"),
        description=text(prop, "description"),
        unit=_custom(prop, "unit"),
        classification=classification,
        tags=tags,
        masked=masks(classification) or "pii" in {tag.lower() for tag in tags},
        null_meaning=_custom(prop, "nullMeaning"),
        came_from=tuple(name.strip() for name in _custom(prop, "cameFrom").split(",") if name.strip()),
        where=document.place(prop, "name"),
    )


def _check_classification(document: Document, prop: Map, name: str, problems: list[Problem]) -> None:
    """A word that is almost one of those that mask would show every value; any other is the team's own."""
    written = text(prop, "classification")
    if masks(written):
        return
    own = [word for word in labels(written) if not any(known in word for known in MASKED)]
    if near := [close for word in own for close in get_close_matches(word, sorted(MASKED), n=1, cutoff=NEAR)]:
        what = f"the classification `{written}` of column `{name}` masks nothing"
        problems.append(document.problem("M218", what, f"Did you mean `{near[0]}`?", prop, "classification"))


def _check_service_levels(document: Document, root: Map, problems: list[Problem]) -> None:
    """A service level that is almost one promises nothing; any other is the team's own."""
    for level in maps(root, "slaProperties"):
        name, unit = text(level, "property"), text(level, "unit")
        near = get_close_matches(name, SERVICE_LEVELS, n=1, cutoff=NEAR)
        if name not in SERVICE_LEVELS and (near or name.lower() in map(str.lower, SERVICE_LEVELS)):
            what = f"the service level `{name}` is not known"
            problems.append(document.problem("M219", what, nearest(name, SERVICE_LEVELS), level, "property"))
        if name in SPANS and unit and not seconds_of(unit) and get_close_matches(unit.lower(), UNITS, n=1):
            what = f"`{unit}` is no unit of time"
            problems.append(document.problem("M219", what, nearest(unit.lower(), UNITS), level, "unit"))


def _custom(prop: Map, name: str) -> str:
    """A property of ours: the standard keeps them under `customProperties`."""
    found = (text(extra, "value") for extra in maps(prop, "customProperties") if text(extra, "property") == name)
    return next(found, "")


def _described(root: Map, schema: Map) -> str:
    """The table's own description, else the contract's purpose."""
    purpose = root.get("description")
    return text(schema, "description") or (text(purpose, "purpose") if isinstance(purpose, Map) else "")


def _service_level(level: Map) -> ServiceLevel:
    return ServiceLevel(
        property=text(level, "property"),
        value=level.get("value"),
        unit=text(level, "unit"),
        element=text(level, "element"),
    )


def _unique_names(tests: list[Test], problems: list[Problem]) -> None:
    first: dict[str, Test] = {}
    for test in tests:
        known = first.setdefault(test.name.lower(), test)
        if known is not test:
            what = f"two tests are named `{test.name}`: first on line {known.where.line}"
            problems.append(
                Problem(
                    "M211", what, test.where, "Give the rule an `id:` of its own, such as `id: " + test.name + "_2`."
                )
            )


def _executable(tests: list[Test], columns: list[Column], problems: list[Problem]) -> None:
    """What the executor of tests would refuse, it refuses here: on the text, before there is a table."""
    types = {column.name: typed(column.type) for column in columns}
    told = {problem.where for problem in problems}
    for test in tests:
        if test.where in told:
            continue
        problems += unsuited(test, types)
        if test.kind not in MENDS:
            continue
        try:
            fails(test, types)
        except CannotAnswer as why:
            mend = MENDS[test.kind]
            if test.kind is Kind.PATTERN:
                problems.append(Problem("M208", str(why), test.where, mend))
            elif test.kind is Kind.FORMAT:
                mend = nearest(str(test.arguments.get("format")), FORMATS, otherwise=mend)
                problems.append(Problem("M215", str(why), test.where, mend))
            else:
                problems.append(Problem("M217", f"`{test.name}` cannot be tested: {why}", test.where, mend))


def _hash(contract: Contract) -> str:
    columns = [(c.name, c.type, c.required, c.unique, c.primary_key, c.masked) for c in contract.columns]
    tests = [
        (
            str(test.kind),
            test.name,
            test.columns,
            sorted((key, repr(value)) for key, value in test.arguments.items()),
            str(test.severity),
            *((test.type,) if test.type else ()),
            *(("quarantine",) if test.quarantines else ()),
        )
        for test in contract.tests
    ]
    return hashlib.sha256(repr((columns, tests)).encode()).hexdigest()[:16]
