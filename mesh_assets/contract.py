"""One ODCS file as a Contract: columns, tests, service levels."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from mesh_assets.errors import Place

NOTHING: Mapping[str, object] = MappingProxyType({})


QUARANTINE = "_quarantine"
"""What the lake's schema of a domain's rows in quarantine ends with."""
ASIDE_COLUMNS = (
    "_quarantine_id",
    "_quarantine_rules",
    "_quarantine_run",
    "_quarantine_at",
    "_quarantine_part",
    "file_row_number",
)
"""Columns that rows in quarantine have beside their own, and one by which rows of a file are told apart."""


class Severity(StrEnum):
    """What a failed test means: `error` stops the version, `warning` lets it pass and says so."""

    ERROR = "error"
    WARNING = "warning"


class Kind(StrEnum):
    """What a test asks of a table. The words are those of ODCS 3.1, in snake case."""

    COLUMNS = "columns"  # every declared column is there
    TYPES = "types"  # every declared column has its type
    REQUIRED = "required"
    UNIQUE = "unique"
    PRIMARY_KEY = "primary_key"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    EXCLUSIVE_MINIMUM = "exclusive_minimum"
    EXCLUSIVE_MAXIMUM = "exclusive_maximum"
    MULTIPLE_OF = "multiple_of"
    PATTERN = "pattern"
    FORMAT = "format"
    MIN_LENGTH = "min_length"
    MAX_LENGTH = "max_length"
    REFERENCE = "reference"  # ODCS `relationships`: every value is a value of another table's column
    ROW_COUNT = "row_count"
    NULL_VALUES = "null_values"
    MISSING_VALUES = "missing_values"
    INVALID_VALUES = "invalid_values"
    DUPLICATE_VALUES = "duplicate_values"
    SQL = "sql"  # one read-only query that returns one value
    LIBRARY = "library"  # `type: custom, engine: mesh`: one of audit/library, named in `Test.type`
    PANDERA = "pandera"  # a check of a hand-written pandera schema, in the domain's `checks.py`


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One named quality rule of a contract; in Dagster an asset check.

    Attributes:
        name: Unique within the contract and stable: the rule's `id`, else its `name`, else made of column and kind.
            Letters, digits and underscores only.
        kind: What is asked.
        columns: The columns it is asked of; empty for a test of the whole table.
        arguments: By kind: `value` (minimum … max_length), `pattern`, `format`; `to_table` (`domain.table`) and
            `to_columns` (reference); `operator`, `threshold`, `unit` (`rows` or `percent`), and `valid_values`,
            `pattern`, `missing_values` (metrics); `query`, `operator`, `threshold` (sql). `operator` is one of
            `mustBe mustNotBe mustBeGreaterThan mustBeGreaterOrEqualTo mustBeLessThan mustBeLessOrEqualTo
            mustBeBetween mustNotBeBetween`; `threshold` is a number, or a pair for the last two.
            Of the library: its parameters by name, and `to_table` where it compares with another table.
        type: Which test of the library, for `Kind.LIBRARY`; else empty.
        severity: `error` stops the version.
        dimension: ODCS quality dimension, or empty.
        description: Why it matters, in the owner's words; may be empty.
        where: The rule in its file.
        quarantines: Rows that fail are put into quarantine, and the rest is published; else they hold the version.
    """

    __test__ = False  # pytest: this is not a test

    name: str
    kind: Kind
    columns: tuple[str, ...] = ()
    arguments: Mapping[str, object] = field(default_factory=lambda: NOTHING)
    severity: Severity = Severity.ERROR
    dimension: str = ""
    description: str = ""
    where: Place = Place("")
    type: str = ""
    quarantines: bool = False

    @property
    def word(self) -> str:
        """What a person calls it: the test of the library, or the kind."""
        return self.type or str(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column that a contract promises.

    Attributes:
        type: DuckDB's name of the type, as in `DECIMAL(10,2)`; what the lake stores.
        masked: Its values are shown to nobody: see `masks`, or tagged `pii`.
        null_meaning: What it says when there is no value: `customProperties`, `nullMeaning`.
        came_from: Columns of an earlier version that it replaces: `customProperties`, `cameFrom`.
    """

    name: str
    type: str
    logical_type: str = ""
    required: bool = False
    unique: bool = False
    primary_key: bool = False
    description: str = ""
    unit: str = ""
    classification: str = ""
    tags: tuple[str, ...] = ()
    masked: bool = False
    null_meaning: str = ""
    came_from: tuple[str, ...] = ()
    where: Place = Place("")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLevel:
    """One ODCS service level, such as a freshness of 2 days."""

    property: str
    value: object
    unit: str = ""
    element: str = ""


MASKED = frozenset({"restricted", "confidential", "secret", "pii"})
"""Words of a classification that keep a column's values from being shown."""
_DENIED = frozenset({"no", "non", "not"})


def labels(classification: str) -> tuple[str, ...]:
    """The words of a classification in small letters, without those that a `not` before them takes back."""
    words = re.findall(r"[^\W_]+", classification.lower())
    return tuple(word for place, word in enumerate(words) if place == 0 or words[place - 1] not in _DENIED)


def masks(classification: str) -> bool:
    """Whether a column of this classification is shown to nobody: `restricted`, and `Strictly confidential (HR)`, too."""
    return any(word in MASKED for word in labels(classification))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """Hand-written pandera schemas for one table, in the `checks.py` of a domain; imported only where they are executed.

    Attributes:
        domain: Whose file it is: the table's own domain, or a reader of it.
        folder: Of that domain.
        table: `domain.table`.
        code: Hash of the domain's Python that the schemas may use.
        where: The first of them in the file.
    """

    domain: str
    folder: Path
    table: str
    code: str
    where: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One ODCS file for one table.

    Attributes:
        grain: What one row is, in words: `dataGranularityDescription`.
        tests: In the order of the file, implied ones (`required`, `unique`, …) before the rules of their column.
        hash: Of what the contract means (columns, tests), not of its spelling: comments and order of keys do not change it.
            The code of attached schemas is part of it.
        schemas: Hand-written pandera schemas that belong to it; their checks are not among `tests` (see `schemas.attached`).
    """

    id: str
    version: str
    name: str
    columns: tuple[Column, ...]
    tests: tuple[Test, ...]
    status: str = ""
    description: str = ""
    grain: str = ""
    service_levels: tuple[ServiceLevel, ...] = ()
    hash: str = ""
    schemas: tuple[Attached, ...] = ()
    where: Place = Place("")

    @property
    def major(self) -> int | None:
        """The first number of its version; None where that is no number."""
        first = self.version.strip().removeprefix("v").partition(".")[0]
        return int(first) if first.isdecimal() else None

    @property
    def masked(self) -> frozenset[str]:
        """Names of the columns whose values are shown to nobody."""
        return frozenset(column.name for column in self.columns if column.masked)
