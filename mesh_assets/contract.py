"""One ODCS file as a Contract: columns, tests, service levels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from mesh_assets.errors import Place

NOTHING: Mapping[str, object] = MappingProxyType({})


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

    @property
    def word(self) -> str:
        """What a person calls it: the test of the library, or the kind."""
        return self.type or str(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column that a contract promises.

    Attributes:
        type: DuckDB's name of the type, as in `DECIMAL(10,2)`; what the lake stores.
        masked: Its values are shown to nobody: classified `restricted` or `confidential`, or tagged `pii`.
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
    where: Place = Place("")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLevel:
    """One ODCS service level, such as a freshness of 2 days."""

    property: str
    value: object
    unit: str = ""
    element: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One ODCS file for one table.

    Attributes:
        tests: In the order of the file, implied ones (`required`, `unique`, …) before the rules of their column.
        hash: Of what the contract means (columns, tests), not of its spelling: comments and order of keys do not change it.
    """

    id: str
    version: str
    name: str
    columns: tuple[Column, ...]
    tests: tuple[Test, ...]
    status: str = ""
    description: str = ""
    service_levels: tuple[ServiceLevel, ...] = ()
    hash: str = ""
    where: Place = Place("")

    @property
    def masked(self) -> frozenset[str]:
        """Names of the columns whose values are shown to nobody."""
        return frozenset(column.name for column in self.columns if column.masked)
