"""What a kind of test is, as data: its label, its parameters with help, and the one function that answers it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import Protocol, TypedDict, Unpack

from mesh_assets.audit.values import NUMBERS, CannotAnswer, ColumnType, Family, quoted
from mesh_assets.contract import Test

Types = Mapping[str, ColumnType]
Values = Mapping[str, object]
"""What a measure found, by name."""
TEXTS = frozenset({Family.TEXT})
NUMERIC = frozenset(NUMBERS)
DAYS = frozenset({Family.DATE, Family.TIMESTAMP, Family.TIMESTAMPTZ})
ORDERED = frozenset({*NUMERIC, *DAYS, Family.TEXT, Family.TIME})
ANY = frozenset(Family)
VALUES = ANY - {Family.OTHER}


class Scope(StrEnum):
    """What a test is asked of; a rule stands in the `quality:` of a column, or of the table."""

    COLUMN = "column"
    TABLE = "table"


class Form(StrEnum):
    """What a parameter must be."""

    NUMBER = "a number"
    WHOLE = "a whole number"
    TEXT = "text"
    FLAG = "true or false"
    VALUE = "a value"
    VALUES = "a list of values"
    COLUMN = "a column"
    COLUMNS = "a list of columns"
    TABLE = "a table"
    CHOICE = "one of the choices"
    CONDITION = "a condition in SQL"
    EXPRESSION = "an expression in SQL"
    QUERY = "a query in SQL"
    DAYS = "a list of dates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One thing that a kind of test can be told.

    Attributes:
        default: What holds when it is not told; None together with `needed=False`: nothing.
        low: Smallest number allowed.
        high: Largest number allowed.
        of: Families of the columns that it may name.
    """

    name: str
    form: Form
    help: str
    needed: bool = False
    default: object = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    of: frozenset[Family] = ANY


@dataclass(frozen=True, slots=True)
class Earlier:
    """A version of the table before the one that is tested."""

    version: int
    at: datetime
    relation: str


class Past(Protocol):
    """What was before: the earlier versions of the table, and the moment to judge by."""

    @property
    def now(self) -> datetime:
        """The moment to judge by, in UTC."""

    def versions(self, limit: int) -> Sequence[Earlier]:
        """The last versions before the one that is tested, oldest first."""

    def values(self, limit: int, sql: Callable[[str], str]) -> Sequence[tuple[Earlier, Values]]:
        """What a measure was on them, oldest first; versions on which it cannot be executed are left out."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A test, put to a table.

    Attributes:
        relation: SQL that can follow FROM.
        related: SQL and columns of another table, by `domain.table`; raises CannotAnswer.
    """

    test: Test
    types: Types
    relation: str
    related: Callable[[str], tuple[str, Types]]

    @property
    def column(self) -> str:
        """The column's name as SQL."""
        return quoted(self.name)

    @property
    def name(self) -> str:
        """The column's name."""
        return self.test.columns[0]

    @property
    def type(self) -> ColumnType:
        """The column's type."""
        return self.types[self.name]

    def given(self, name: str) -> object:
        """A parameter, or None."""
        return self.test.arguments.get(name)

    def number(self, name: str, otherwise: float = 0) -> float:
        """A parameter that is a number."""
        value = self.given(name)
        return value if isinstance(value, int | float) else otherwise

    def named(self, name: str) -> tuple[str, ...]:
        """Columns that a parameter names; empty when it names none."""
        value = self.given(name)
        return tuple(map(str, value)) if isinstance(value, tuple | list) else (str(value),) if value else ()

    def values(self, name: str) -> tuple:
        """A parameter that is a list."""
        value = self.given(name)
        return tuple(value) if isinstance(value, tuple | list) else ()


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that fail, by a condition on the row alone: it is true of them, and of no other."""

    condition: str


@dataclass(frozen=True, slots=True)
class Found:
    """Rows that fail, by a query that looks at others too.

    Attributes:
        query: Selects the failing rows, whole.
    """

    query: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a measure means."""

    ok: bool
    message: str
    failing: int | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """Values of the whole table in one row, and what they mean.

    Attributes:
        sql: From a relation to the query of one row.
        judge: From its values, and what was before, to the verdict.
        rows: Selects what is wrong, to be shown; empty when there is nothing to show.
    """

    sql: Callable[[str], str]
    judge: Callable[[Values, Past], Verdict]
    rows: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """Values of one row, from the table and its version before.

    Attributes:
        sql: From both relations to the query of one row.
        judge: What its values mean.
    """

    sql: Callable[[str, str], str]
    judge: Callable[[Values], Verdict]


Answer = Rows | Found | Measure | Compared


@dataclass(frozen=True, slots=True, kw_only=True)
class TestType:
    """One kind of test.

    Attributes:
        help: What is wrong when it fails, as a sentence.
        families: Columns that it can be asked of.
        theirs: What DataKitchen TestGen calls it.
        clock: It depends on the moment, so that what it said of a file does not hold for ever.
        history: It compares with earlier versions.
        example: Its parameters in an example, as YAML.
    """

    __test__ = False  # pytest: this is not a test

    name: str
    label: str
    help: str
    dimension: str
    scope: Scope
    answer: Callable[[Asked], Answer]
    parameters: tuple[Parameter, ...] = ()
    families: frozenset[Family] = ANY
    theirs: tuple[str, ...] = ()
    clock: bool = False
    history: bool = False
    rowwise: bool = False
    example: str = ""

    @property
    def every_parameter(self) -> tuple[Parameter, ...]:
        """Its own, and those that all tests on rows share."""
        return (*self.parameters, *(COMMON if self.rowwise else ()))


class Options(TypedDict, total=False):
    """What most kinds leave as it is; `theirs` are words in one text."""

    dimension: str
    scope: Scope
    families: frozenset[Family]
    theirs: str
    clock: bool
    history: bool
    rowwise: bool
    example: str


WHEN = Parameter(name="when", form=Form.CONDITION, help="Only rows for which this is true are looked at.")
COMMON = (
    WHEN,
    Parameter(name="at_most", form=Form.NUMBER, help="So many rows may fail.", default=0, low=0),
    Parameter(
        name="unit",
        form=Form.CHOICE,
        help="What `at_most` counts: rows, or percent of all rows.",
        default="rows",
        choices=("rows", "percent"),
    ),
)
"""What every test on rows can be told."""


def kind(
    name: str,
    label: str,
    help_: str,
    answer: Callable[[Asked], Answer],
    *parameters: Parameter,
    **options: Unpack[Options],
) -> TestType:
    """One kind of test."""
    theirs = tuple(options.pop("theirs", "").split())
    settings = {"dimension": "conformity", "scope": Scope.COLUMN, **options}
    return TestType(name=name, label=label, help=help_, answer=answer, parameters=parameters, theirs=theirs, **settings)  # ty: ignore[invalid-argument-type] - as in Options


def allowed(test: Test, failing: int, total: int) -> bool:
    """Whether so many failing rows may be there."""
    most = test.arguments.get("at_most") or 0
    limit = Fraction(str(most))
    share = Fraction(100 * failing, total or 1) if test.arguments.get("unit") == "percent" else Fraction(failing)
    return share <= limit


def restricted(asked: Asked, condition: str) -> str:
    """The condition, of the rows that `when` names."""
    when = asked.given("when")
    return f"(\n{when}\n) AND ({condition})" if when else condition


def subject(asked: Asked) -> str:
    """The relation, of the rows that `when` names."""
    when = asked.given("when")
    return f"(SELECT * FROM {asked.relation} WHERE (\n{when}\n))" if when else asked.relation


def finite(asked: Asked) -> str:
    """A column of numbers as DOUBLE, without NaN and infinity."""
    if asked.type.family is Family.FLOAT:
        return f"(CASE WHEN isfinite({asked.column}) THEN {asked.column}::DOUBLE END)"
    return f"{asked.column}::DOUBLE"


def day(asked: Asked, name: str = "") -> str:
    """A column of dates or moments as DATE; in UTC, and infinity left out."""
    type_, column = asked.types[name or asked.name], quoted(name or asked.name)
    if type_.family not in DAYS:
        msg = f"`{name or asked.name}` is {type_.name}, and not a date or a moment"
        raise CannotAnswer(msg)
    moment = f"{column} AT TIME ZONE 'UTC'" if type_.family is Family.TIMESTAMPTZ else column
    return f"(CASE WHEN isfinite({column}) THEN ({moment})::DATE END)"


def as_number(value: object) -> float | None:
    """A value that a query returned, as a number; None when it is none."""
    try:
        return None if value is None else float(str(value))
    except ValueError:
        return None


def shown(value: float | None) -> str:
    """A number in a sentence."""
    return "nothing" if value is None else f"{value:,.6g}"


@dataclass(frozen=True)
class Nothing:
    """No earlier versions."""

    now: datetime

    def versions(self, limit: int) -> Sequence[Earlier]:  # noqa: ARG002 - there are none
        """None."""
        return ()

    def values(self, limit: int, sql: Callable[[str], str]) -> Sequence[tuple[Earlier, Values]]:  # noqa: ARG002 - there are none
        """None."""
        return ()
