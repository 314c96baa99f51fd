"""What the lake takes and gives: a commit, a candidate, a publication."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One publish, as the lake's own commit records it.

    Attributes:
        version: Snapshot id; it names the state of the whole lake.
        time: In UTC.
        info: `{"mesh": 1, "run": …, "pin": …, "tables": {"domain.table": record}}`; a record has `mode`, `rows` too.
    """

    version: int
    time: datetime
    author: str
    message: str
    info: Mapping[str, object]

    @property
    def run(self) -> str:
        """The run that published."""
        return str(self.info.get("run", ""))

    @property
    def pin(self) -> int:
        """The version that it read."""
        pin = self.info.get("pin", 0)
        return pin if isinstance(pin, int) else 0

    @property
    def tables(self) -> Mapping[str, Mapping[str, object]]:
        """What was published, with each table's record."""
        tables = self.info.get("tables")
        return tables if isinstance(tables, dict) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A candidate: Parquet files that no reader sees yet.

    Attributes:
        columns: (name, DuckDB type), in order: the contract's first, then the others.
        lost: Per column, how many values do not fit the contract's type; they are NULL in the files.
        lost_sample: Per such column, up to ten of the rows, with their original values as text.
        missing: The contract's columns that the result does not have; they are not in the files.
        extra: Columns of the result that the contract does not name; they are in the files.
    """

    table: str
    files: tuple[str, ...]
    rows: int
    columns: tuple[tuple[str, str], ...]
    lost: Mapping[str, int] = field(default_factory=dict)
    lost_sample: Mapping[str, tuple[dict[str, str | None], ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


class Mode(StrEnum):
    """How a candidate's rows meet those that are published."""

    REPLACE = "replace"  # they are the table
    APPEND = "append"  # they come on top
    UPSERT = "upsert"  # they replace the rows of the same key
    PARTITION = "partition"  # they replace the rows of a range


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One candidate, and how it is to be published.

    Attributes:
        record: What the commit shall say about this table, as JSON can hold it.
        key: Columns that name a row; for `UPSERT`.
        partition: (column, start, end), start included and end not, as ISO text; for `PARTITION`.
        base: Version that the candidate was computed against; None: against no table. Anything but `REPLACE` is refused
            when the table has moved since.
        anew: For `REPLACE`: as a new table of that name, with the comments and partitions of the old one. DuckLake does that at
            once, while it counts every row of a table that it empties; but it does not list what changed between the two.
        aside: These are rows in quarantine: written by the same commit, and no version of a table that anybody reads.
        leaves: For `APPEND`: what is true of a published row (`b`) that goes, in SQL; empty: none does.
    """

    staged: Staged
    record: Mapping[str, object]
    mode: Mode = Mode.REPLACE
    key: tuple[str, ...] = ()
    partition: tuple[str, str, str] | None = None
    base: int | None = None
    anew: bool = False
    aside: bool = False
    leaves: str = ""
