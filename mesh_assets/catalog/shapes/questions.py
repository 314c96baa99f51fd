"""The five questions, of a domain and of a table."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from mesh_assets.catalog.shapes.common import (
    Access,
    AccessRequest,
    Code,
    Deprecated,
    Described,
    Failing,
    Freshness,
    Moment,
    Row,
    Schema,
    Severity,
    Team,
    Tests,
    Text,
    Tried,
    Urls,
    Word,
)
from mesh_assets.catalog.shapes.overview import Tested


class Head(TypedDict):
    """What every answer begins with."""

    schema_version: Schema
    asks: str
    domain: str
    domain_title: str
    team: Team
    urls: Urls
    title: str
    status: Word
    reason: str


class TableHead(Head):
    """What every answer about a table begins with. `pinned`: the address names a version."""

    table: str
    name: str
    port: bool
    kind: str
    version: int | None
    newest: int | None
    pinned: bool
    contract_of: Literal["version", "today"]
    expired: bool
    deprecated: Deprecated | None
    succeeds: str | None


class Promise(TypedDict):
    """A test as it is promised."""

    name: str
    type: str
    columns: list[str]
    promise: str
    severity: Severity
    consequence: str
    dimension: str
    why: str


class Level(TypedDict):
    """A service level, as the contract says it."""

    property: str
    value: Any
    unit: str
    element: str


class Contract(TypedDict):
    """Which contract."""

    id: str
    version: str
    status: str
    file: str


class Counted(TypedDict):
    """A bar of a histogram."""

    label: str | None
    count: int


class Profile(TypedDict):
    """What is in a column; of a masked one no value."""

    type: str
    nulls: int
    distinct: int
    exact: bool
    min: str | None
    max: str | None
    histogram: list[Counted]
    not_drawn: str


class Column(TypedDict):
    """A column: what it means, what it promises, what is in it."""

    name: str
    type: str
    meaning: str
    unit: str
    classification: str
    tags: list[str]
    masked: bool
    primary_key: bool
    required: bool
    unique: bool
    named_by_contract: bool
    tests: list[str]
    profile: Profile | None


class Reader(TypedDict):
    """A domain that reads it, with what it expects."""

    domain: str
    own: bool
    tables: list[str]
    expects: list[Promise]
    on_failure: str | None


class Sample(TypedDict):
    """A few rows; masked values are `•••`."""

    columns: list[str]
    rows: list[list[Any]]


class TableWhat(TableHead):
    """What a table is."""

    question: Literal["what"]
    purpose: str
    rows: int | None
    since: Moment | None
    columns: list[Column]
    sampled: bool
    promises: list[Promise]
    service_levels: list[Level]
    contract: Contract | None
    compatibility: str | None
    readers: list[Reader]
    sample_query: str
    sample: Sample
    freshness: Freshness | None
    failing: Failing | None


class DomainWhat(Head):
    """What a domain is."""

    question: Literal["what"]
    purpose: str
    tests: Tried
    ports: list[Described]
    private: list[Described]
    reads: list[str]
    feeds: list[str]
    readme: str


class Place(TypedDict):
    """Where a table is: addresses without secrets."""

    table_name: str
    uri: str
    files: str
    connect: str
    secret: str


class PlaceOf(Place):
    """The same, of a port."""

    table: str


class TableWhere(TableHead, Place):
    """Where a table is got. `requests`: for it or for its whole domain; a server alone has them."""

    question: Literal["where"]
    access: Access
    readable_by: str
    code: list[Code]
    requests: NotRequired[list[AccessRequest]]


class DomainWhere(Head):
    """Where a domain's ports are got. `requests`: for it or for one of its tables; a server alone has them."""

    question: Literal["where"]
    access: Access
    folder: str
    ports: list[PlaceOf]
    requests: NotRequired[list[AccessRequest]]


class Result(TypedDict):
    """What a test said of a version."""

    name: str
    column: str | None
    status: str
    failing_rows: int | None
    total_rows: int | None
    message: str | None


class Version(TypedDict):
    """A published version."""

    version: int
    started: Moment | None
    at: Moment
    run: str
    log: str
    seconds: float | None
    rows: int | None
    status: Word
    tests: Tests
    fingerprint: str | None
    results: list[Result]
    urls: Urls


class Attempt(TypedDict):
    """A time that a table was tried."""

    started: Moment | None
    at: Moment
    outcome: str
    run: str
    log: str
    seconds: float | None
    rows: int | None
    tests: Tests
    message: str
    version: int | None


class AttemptAt(Attempt):
    """The same, of a table of a domain."""

    table: str


class Why(TypedDict):
    """Why nothing new comes."""

    text: str
    incident: str


class TableWhen(TableHead):
    """When a table was made; `together`: its toolchain builds others with it, and tells the part that is its own."""

    question: Literal["when"]
    failing: Failing | None
    freshness: Freshness
    automation: str
    waiting: str
    why: Why | None
    versions: list[Version]
    attempts: list[Attempt]
    together: bool
    tests: list[Tested]


class DomainWhen(Head):
    """When a domain's tables were made."""

    question: Literal["when"]
    tables: list[Row]
    attempts: list[AttemptAt]


class File(TypedDict):
    """A raw file."""

    file: str
    sha256: str


class Input(TypedDict):
    """An input at the version that was read."""

    table: str
    version: int | None
    fingerprint: str | None
    held: bool
    urls: Urls | dict[str, str]


class Node(TypedDict):
    """A table in a picture."""

    table: str
    status: Word
    toolchain: str


class Lineage(TypedDict):
    """Who feeds it and whom it feeds, one step each way; `upstream` and `downstream` are all of it."""

    nodes: list[Node]
    edges: list[list[str]]
    upstream: list[str]
    downstream: list[str]
    more: int


class ColumnOf(TypedDict):
    """A column of a table."""

    table: str
    column: str


class UsedBy(TypedDict):
    """A table that reads a column and makes no column of it, and how that is known."""

    table: str
    known: Literal["proven", "declared", "assumed"]


MadeOf = TypedDict("MadeOf", {"column": str, "from": list[ColumnOf], "feeds": list[ColumnOf], "used_by": list[UsedBy]})


class Reading(TypedDict):
    """What is read of an input; without columns: everything counts."""

    table: str
    known: Literal["proven", "declared", "assumed"]
    columns: list[str]


class Known(TypedDict):
    """How the columns of a table are known, and why they are not."""

    known: Literal["proven", "declared", "assumed", "source"]
    why: str


class KnownOf(Known):
    """The same, of a reader."""

    table: str


class Followed(Known):
    """How lineage of columns is known; `more` readers were not looked at."""

    inputs: list[Reading]
    readers: list[KnownOf]
    more: int


class TableWith(TableHead):
    """With what a table was made."""

    question: Literal["with"]
    snapshot: int | None
    inputs: list[Input]
    files: list[File]
    generation: Text
    fingerprint: str | None
    lineage: Lineage
    lineage_columns: list[MadeOf]
    followed: Followed


class InputPort(TypedDict):
    """What a domain reads of another, and what it expects of it."""

    table: str
    version: int | None
    on_failure: str
    consistency: str
    expects: list[Promise]
    urls: Urls | dict[str, str]


class Source(TypedDict):
    """Raw files of a domain."""

    pattern: str
    table: str
    files: list[File]


class DomainWith(Head):
    """With what a domain's tables are made."""

    question: Literal["with"]
    inputs: list[InputPort]
    sources: list[Source]
    lineage: Lineage


class Step(TypedDict):
    """A table on the way."""

    table: str
    toolchain: str
    file: str
    inputs: list[str]
    code: str


class Written(TypedDict):
    """The code that makes a table."""

    file: str
    link: str
    text: str
    version: str
    current: str
    same: bool


class Contracted(TypedDict):
    """The contract that a version was made under."""

    version: str
    id: NotRequired[str]
    status: NotRequired[str]
    file: NotRequired[str]


class Configuration(TypedDict):
    """How it is loaded and when it runs."""

    load: str
    key: list[str]
    partitions: str
    automation: str
    executor: str


class TableHow(TableHead):
    """How a table was made."""

    question: Literal["how"]
    steps: list[Step]
    toolchain: str
    code: Written
    commit: str
    commit_changed: bool
    packages: Text
    contract: Contracted
    configuration: Configuration
    dagster: str
    rebuild: str


class DomainHow(Head):
    """How a domain's tables are made."""

    question: Literal["how"]
    steps: list[Step]
    commit: str
    link: str
    packages: Text
    automation: str
    executor: str
    dagster: str


TableAnswer = Annotated[
    TableWhat | TableWhere | TableWhen | TableWith | TableHow,
    Field(discriminator="question"),
]
DomainAnswer = Annotated[
    DomainWhat | DomainWhere | DomainWhen | DomainWith | DomainHow,
    Field(discriminator="question"),
]
