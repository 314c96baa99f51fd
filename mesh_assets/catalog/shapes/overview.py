"""The lists: domains, tables, the day, what is tested."""

from typing import NotRequired

from typing_extensions import TypedDict

from mesh_assets.catalog.shapes.common import (
    Access,
    AccessRequest,
    Bare,
    Brief,
    Broken,
    Code,
    Counts,
    Day,
    Described,
    Failing,
    Fault,
    Graph,
    InShort,
    Moment,
    Page,
    Row,
    Schema,
    Severity,
    Stopped,
    Tests,
    Urls,
    Word,
)


class Open(TypedDict):
    """An incident that is open, in a line."""

    id: str
    domain: str
    table: str
    cause: str
    since: Moment


class Domains(TypedDict):
    """Every domain, the worst first."""

    schema_version: Schema
    mesh: str
    title: str
    snapshot: int
    search: str
    domains: list[Brief]
    total: int
    page: Page
    broken: list[Broken]
    graph: Graph
    incidents: list[Open]


class Tables(TypedDict):
    """Every table, by name."""

    schema_version: Schema
    search: str
    ports: bool
    tables: list[Described]
    total: int
    page: Page


class Bar(TypedDict):
    """One build in the picture of a day."""

    table: str
    name: str
    toolchain: str
    run: str
    log: str
    outcome: str
    start: Moment
    end: Moment
    seconds: float


DayOf = TypedDict("DayOf", {"from": Moment | None, "to": Moment | None, "steps": list[Bar]})


class Running(TypedDict):
    """A table that is being built."""

    table: str
    run: str
    log: str


class Ran(TypedDict):
    """What a test said once."""

    at: Moment
    subject: str
    status: str
    failing_rows: int | None
    total_rows: int | None
    message: str | None


class Tested(TypedDict):
    """A test with its last results, oldest first."""

    name: str
    promise: str
    why: str
    severity: Severity
    columns: list[str]
    status: str
    history: list[Ran]


class Flawed(Row):
    """A table with those of its tests that do not pass."""

    failing: list[Tested]


class InTrouble(TypedDict):
    """A domain of which a table fails or is late; `latest` is the one that is late by most."""

    domain: str
    title: str
    status: Word
    fails: int
    late: int
    latest: str | None
    late_by: str | None


class Totals(TypedDict):
    """How many tables there are of each sort, shown or not."""

    attention: int
    warnings: int
    never: int


class NotPassing(TypedDict):
    """Every test that does not pass, by table, the worst first."""

    schema_version: Schema
    tables: list[Flawed]
    total: int
    page: Page


class Status(TypedDict):
    """What needs somebody today, and how the day went."""

    schema_version: Schema
    snapshot: int
    counts: Counts
    domains: list[InTrouble]
    attention: list[Flawed]
    page: Page
    warnings: list[Row]
    never: list[str]
    totals: Totals
    running: list[Running]
    day: DayOf
    broken: list[Broken]


class Score(TypedDict):
    """One part of the trust score."""

    part: str
    share: float
    weight: int
    points: float
    means: str


class Trust(TypedDict):
    """Out of 100, with everything that it is made of."""

    score: int
    parts: list[Score]
    formula: str


class Scored(TypedDict):
    """The score at the end of a day."""

    day: Day
    score: int


class Standards(TypedDict):
    """Where the standards' own formats are."""

    odps: str


class Domain(InShort):
    """One domain: whose it is, how it stands, what it offers."""

    schema_version: Schema
    failing: Stopped
    ports: list[Row]
    private: list[Row]
    automation: str
    urls: Urls
    trust: Trust
    trust_history: list[Scored]
    access: Access
    neighbours: Graph
    standards: Standards


class Named(TypedDict):
    """A column."""

    name: str
    type: str


class Still(TypedDict):
    """What readers have of a table of a domain that could not be loaded."""

    table: str
    version: int
    at: Moment
    run: str
    log: str
    rows: int | None
    status: Word
    tests: Tests
    columns: list[Named]
    expired: bool
    code: list[Code]


class Unread(TypedDict):
    """A domain that could not be loaded: what is wrong with it, and what of it, or of the table that was asked for, can be read."""

    schema_version: Schema
    domain: str
    problems: list[Fault]
    published: list[Still]
    requests: NotRequired[list[AccessRequest]]


class TestedTable(Bare):
    """A table with its tests."""

    tests: list[Tested]
    failing: Failing | None


class TestsOf(TypedDict):
    """What is tested of some tables, with the last results."""

    schema_version: Schema
    domain: str
    urls: Urls
    page: Page
    tables: list[TestedTable]
