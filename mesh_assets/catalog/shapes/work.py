"""On what people work: changes, incidents, kitchens, pipelines, quarantine, backfills."""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from mesh_assets.catalog.shapes.common import AccessRequest, Day, Deprecated, Moment, Page, Schema, Stopped

Change = TypedDict(
    "Change",
    {
        "id": str, "port": str, "kind": str, "column": str | None, "columns": list[str], "from": Any, "to": Any,
        "rule": str | None, "effect": Literal["compatible", "breaking"], "semver": Literal["none", "patch", "minor", "major"],
    },
)  # fmt: skip


class ChangeRow(TypedDict):
    """What was published, or waits for its readers, in a line."""

    id: str
    port: str
    at: Moment
    version: int | None
    state: Literal["proposed", "taken back", "published", "outside"]
    changes: list[Change]


class Changes(TypedDict):
    """Every change, those that wait for their readers first."""

    schema_version: Schema
    changes: list[ChangeRow]
    deprecated: list[Deprecated]
    page: Page


class Evidence(TypedDict):
    """Where a reader is hit."""

    path: str
    line: int
    column: int
    why: str
    test: str | None


class Said(TypedDict):
    """What a reader has said, among its verdict."""

    answer: Literal["accept", "waive"]
    who: str
    why: str
    until: Day | None


class Answered(Said):
    """The same, by reader; `holds`: it counts today."""

    reader: str
    holds: bool


Verdicts = TypedDict("Verdicts", {"pass": int, "fail": int})


class Failing(TypedDict):
    """A test that would fail."""

    name: str
    failing_rows: int
    message: str
    sample: list[dict[str, Any]]


class Hit(TypedDict):
    """A reader's verdict on a change."""

    domain: str
    port: str
    tables: list[str]
    verdict: str
    hit: bool
    known: str
    evidence: list[Evidence]
    tests: Verdicts | None
    failing: list[Failing]
    answer: Said | None


class Happened(TypedDict):
    """A line of a timeline."""

    at: Moment
    what: str


class ByHand(TypedDict):
    """A line of a reader's code that names a column which is not what it was; `becomes`: its new name, else empty."""

    path: str
    line: int
    column: str
    becomes: str
    text: str


class OneChange(TypedDict):
    """One change: what it is, for whom it breaks, who was told when, who has answered."""

    schema_version: Schema
    id: str
    port: str
    state: Literal["proposed", "taken back", "published"]
    versions: list[int]
    changes: list[Change]
    readers: list[Hit]
    renames: list[dict[str, Any]]
    patches: dict[str, str]
    by_hand: dict[str, list[ByHand]]
    answers: list[Answered]
    timeline: list[Happened]
    waits_for: list[str]


class ReadVersion(TypedDict):
    """What a domain goes on with."""

    table: str
    version: int | None
    since: Moment | None


class Behind(TypedDict):
    """A domain downstream of an incident."""

    domain: str
    reads: ReadVersion


class Incident(TypedDict):
    """What is wrong, or was: its cause, and who is hit."""

    id: str
    domain: str
    table: str
    cause: str
    kind: str
    since: Moment
    mended: Moment | None
    closed: Moment | None
    part_of: str | None
    owner: str
    tables: list[str]
    waiting: list[str]
    downstream: list[Behind]


class Incidents(TypedDict):
    """Those that are open, then those that are over."""

    schema_version: Schema
    open: int
    total: int
    incidents: list[Incident]
    page: Page


class Told(TypedDict):
    """Who was told of an incident."""

    domain: str
    word: str
    channel: str | None
    at: Moment
    sent: Moment | None
    error: str
    says: str


class OneIncident(Incident):
    """One incident, with who was told."""

    schema_version: Schema
    told: list[Told]
    failing: Stopped


KitchenRow = TypedDict(
    "KitchenRow",
    {
        "kitchen": str, "from": str, "state": str, "owner": str, "opened": str, "expires": str, "base": int | None,
        "changes": str, "bytes": int, "branch": str, "tested": bool, "no_test": str, "no_promote": str, "no_close": str,
    },
)  # fmt: skip


class Promotion(TypedDict):
    """What a kitchen was promoted with."""

    kitchen: str
    at: Moment
    version: int
    reverted: int | None
    tables: list[str]


class AccessRequests(TypedDict):
    """Requests for access, those that wait first; `waiting`: how many do."""

    schema_version: Schema
    waiting: int
    requests: list[AccessRequest]
    page: Page


class Kitchens(TypedDict):
    """Which kitchens there are, and what was promoted."""

    schema_version: Schema
    kitchens: list[KitchenRow]
    promotions: list[Promotion]
    default_ttl: str


class Job(TypedDict):
    """A piece of work that a page has asked for."""

    schema_version: Schema
    id: str
    title: str
    command: str
    about: str
    by: str
    at: Moment
    ended: str
    exit_code: int | None
    state: Literal["running", "done", "failed", "cut off"]
    said: str
    output: str


class OneKitchen(KitchenRow):
    """One kitchen: `status` is what `mesh kitchen status --json` prints, `domains` what its last test said."""

    schema_version: Schema
    status: dict[str, Any]
    tested_at: str
    tested_ok: bool | None
    domains: list[dict[str, Any]]
    jobs: list[Job]


class Launch(TypedDict):
    """A launch of a pipeline."""

    id: str
    at: Moment
    by: str
    ended: Moment | None
    outcome: str | None


class PipelineRow(TypedDict):
    """A pipeline, with how its last launch stands."""

    pipeline: str
    title: str
    delivers: list[str]
    by: str
    schedule: str
    state: str
    sentence: str
    launch: Launch | None
    deadline: Moment | None
    late: bool
    seconds: float | None
    behind: list[str]
    cancelled_by: NotRequired[str]


class Pipelines(TypedDict):
    """Every pipeline."""

    schema_version: Schema
    pipelines: list[PipelineRow]
    page: Page


class Stage(TypedDict):
    """A table of a launch: where its time went."""

    table: str
    domain: str
    state: str
    why: str
    version: int | None
    start_by: NotRequired[Moment | None]
    start: Moment | None
    end: Moment | None
    wait: float
    queue: float
    run: float
    waited_for: str | None


class StageBar(TypedDict):
    """One of them in the picture."""

    table: str
    start: Moment
    seconds: float
    outcome: str


Stages = TypedDict("Stages", {"from": NotRequired[Moment], "to": NotRequired[Moment], "steps": list[StageBar]})


class OnePipeline(PipelineRow):
    """One launch, table by table; `critical_path` decided when it was there."""

    schema_version: Schema
    critical_path: list[str]
    steps: list[Stage]
    launches: list[Launch]
    day: Stages


class Waiting(TypedDict):
    """Rows of a table that wait, by rule."""

    table: NotRequired[str]
    rows: int
    rules: dict[str, int]
    since: NotRequired[str | None]
    last: NotRequired[str | None]


class GivenUp(TypedDict):
    """Rows that were given up, and why."""

    table: str
    version: int
    rows: int
    rules: Any
    reason: str
    author: str
    at: str


class Quarantine(TypedDict):
    """Tables of which rows wait, and what was given up."""

    schema_version: Schema
    tables: list[Waiting]
    given_up: list[GivenUp]
    page: Page


class QuarantineOf(TypedDict):
    """The waiting rows of one table, oldest first; masked values are `•••`."""

    schema_version: Schema
    table: str
    waiting: Waiting
    rule: str
    columns: list[str]
    rows: list[dict[str, Any]]
    total: int
    whole: bool
    jobs: list[Job]


Span = TypedDict("Span", {"table": str, "from": Day, "to": Day})
Planned = TypedDict(
    "Planned", {"table": str, "domain": str, "from": Day | None, "to": Day | None, "partitions": int | None}
)


class BackfillRow(Span):
    """A backfill in a line."""

    id: str
    at: Moment
    by: str
    ended: Moment | None
    state: str
    sentence: str
    seconds: float | None
    cancelled_by: NotRequired[str]


class Filled(Planned):
    """A table of a backfill, and how it stands."""

    state: str
    why: str
    seconds: float | None


class Plan(Span):
    """What a backfill would build."""

    schema_version: Schema
    tables: list[Planned]


Asked = TypedDict("Asked", {"table": str, "from": str, "to": str})


class Backfills(TypedDict):
    """The last backfills; and what one would build, where the query names a table and its days."""

    schema_version: Schema
    backfills: list[BackfillRow]
    tables: list[str]
    asked: Asked
    plan: Plan | None
    wrong: str


class OneBackfill(BackfillRow):
    """One backfill, with every table that it builds."""

    schema_version: Schema
    tables: list[Filled]
