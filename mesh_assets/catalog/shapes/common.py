"""What many answers share: a team, a page of a list, where a table stands."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Day = Annotated[str, Field(json_schema_extra={"format": "date"})]
Word = Literal["fail", "late", "warn", "never ran", "pass"]
"""How a table or a domain is, the worst first."""
Severity = Literal["error", "warning", ""]
Schema = Literal[1]
"""Of `schema_version`: keys are added under the same number, a key that changes or goes makes the next."""
Text = dict[str, str]
Cell = str | int | float | bool | None


class Problem(TypedDict):
    """What went wrong, and the way to mend it."""

    schema_version: Schema
    error: str
    mend: str
    status: int


class Team(TypedDict):
    """Who answers for a domain; what is not said is empty."""

    name: str
    owner: str
    support: str


class Access(TypedDict):
    """Whom to ask, and where."""

    team: str
    owner: str
    request: str


class AccessAnswer(TypedDict):
    """What a team has said to a request."""

    answer: Literal["granted", "declined"]
    by: str
    word: str
    at: Moment


class AccessRequest(TypedDict):
    """Who asked for access to a domain or a table, and how it stands: the last answer counts."""

    id: str
    access_to: str
    at: Moment
    by: str
    why: str
    state: Literal["waits", "granted", "declined"]
    answers: list[AccessAnswer]


class Code(TypedDict):
    """Code to copy, pinned to a version."""

    title: str
    language: str
    needs: str
    code: str


class Page(TypedDict):
    """Which page of a list."""

    number: int
    last: int
    size: int


class Freshness(TypedDict):
    """How old a table is, against what its contract promises."""

    promised: str | None
    promised_seconds: int | None
    confirmed: Moment | None
    late: bool
    late_by: str | None


Urls = TypedDict("Urls", {"what": str, "where": str, "when": str, "with": str, "how": str})
Tests = TypedDict("Tests", {"pass": NotRequired[int], "warn": NotRequired[int], "fail": NotRequired[int]})
Tried = TypedDict("Tried", {"pass": int, "warn": int, "fail": int, "not_run": int})
Counts = TypedDict("Counts", {"fail": int, "late": int, "warn": int, "never ran": int, "pass": int})


class Bare(TypedDict):
    """Where a table stands, without its tests."""

    table: str
    domain: str
    name: str
    port: bool
    toolchain: str
    status: Word
    reason: str
    version: int | None
    since: Moment | None
    rows: int | None
    freshness: Freshness
    last: str | None
    state: str
    waiting: str
    read_by: list[str]


class Row(Bare):
    """Where a table stands; its tests are those of what was tried last, published or not."""

    tests: Tried


class Described(Row):
    """The same, with what it means."""

    meaning: str


class Part(TypedDict):
    """A sub-domain in a line."""

    domain: str
    title: str
    status: Word


class InShort(TypedDict):
    """What a list and a page both say of a domain."""

    domain: str
    title: str
    part_of: list[str]
    parts: list[Part]
    purpose: str
    team: Team
    status: Word
    reason: str
    reason_of: str
    tests: Tried
    since: Moment | None
    reads: list[str]
    feeds: list[str]
    sources: list[str]
    made_with: list[str]


class Brief(InShort):
    """A domain in a list."""

    ports: list[str]
    private: int
    trust: int


class Graph(TypedDict):
    """Who reads whom: `edges` are pairs of names. `drawn`: it is small enough for a picture."""

    nodes: list[Part]
    edges: list[list[str]]
    drawn: bool


class Fault(TypedDict):
    """A problem in a file, as `mesh check` says it."""

    code: str
    what: str
    where: str
    mend: str


class Broken(TypedDict):
    """A domain that could not be loaded."""

    domain: str
    problems: list[Fault]


class BrokenRule(TypedDict):
    """A rule that fails, of how many rows, and up to ten of them; of a masked column no value."""

    name: str
    promise: str
    why: str
    consequence: str
    columns: list[str]
    status: Literal["fail", "error", "warn"]
    failing_rows: int
    total_rows: int
    says: str
    sample: list[dict[str, Any]]


class Failing(TypedDict):
    """What fails of a table: of what was published, or of what was stopped."""

    table: str
    at: Moment
    run: str
    outcome: str
    version: int | None
    message: str
    rules: list[BrokenRule]


class Stopped(TypedDict):
    """Tables of which something was stopped, the first few; `more`: how many others."""

    tables: list[Failing]
    more: int


class StillReads(TypedDict):
    """Who still reads what is deprecated."""

    domain: str
    tables: list[str]


class Deprecated(TypedDict):
    """A port that nobody should begin to read."""

    port: str
    sunset: Day | None
    over: bool
    successor: str | None
    readers: list[StillReads]
    says: str
