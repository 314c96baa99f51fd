"""What is known of a table without reading it: its data files, how many rows they have, and between which values.

Data files never change, so what was found in one stays true of it. Whoever knows the storage fills this in.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

VIRTUAL = ("filename", "file_row_number")
"""Columns that every layer has beside its own; a table that has one of that name is read as a whole."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a file's statistics say of one column.

    Attributes:
        nulls: None: they do not say.
        lows: No value is below the least of them, as DuckDB spells values; one for each part of the file. Empty: they do
            not say. They leave NaN out of account.
        highs: No value is above the greatest of them.
    """

    nulls: int | None = None
    lows: tuple[str, ...] = ()
    highs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One immutable file of a table.

    Attributes:
        path: As the virtual column `filename` spells it.
        rows: How many of its rows belong to the table.
        deletes: The file that says which rows do not; empty when all do.
        bounds: By column, of all rows in the file.
    """

    path: str
    rows: int
    deletes: str = ""
    bounds: Mapping[str, Bounds] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Rows of a table that come from one place.

    Attributes:
        sql: What follows `FROM`; it has the virtual columns `filename` and `file_row_number`.
        where: The rows that count, where not all do: those that a candidate does not replace.
        apart: Columns in which no row that counts is equal to a row of another layer.
    """

    sql: str
    files: tuple[DataFile, ...]
    where: str = ""
    apart: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A table as the files that it is made of.

    Attributes:
        table: `domain.table`.
        columns: Its columns in order, each with its type; empty: they are to be asked for.
    """

    table: str
    layers: tuple[Layer, ...]
    columns: tuple[tuple[str, str], ...] = ()

    @property
    def files(self) -> tuple[DataFile, ...]:
        """Of all layers."""
        return tuple(file for layer in self.layers for file in layer.files)

    @property
    def exact(self) -> bool:
        """Whether every row of every file counts, but for deleted ones."""
        return not any(layer.where for layer in self.layers)

    @property
    def rows(self) -> int | None:
        """How many rows it has; None when that takes a query."""
        return sum(file.rows for file in self.files) if self.exact else None


@dataclass(frozen=True, slots=True)
class Found:
    """What was counted in a file under a rule.

    Attributes:
        failing: Rows that count.
        first: The first of them, as numbers within the file; fewer, or none, where they were not asked for.
    """

    failing: int
    first: tuple[int, ...] = ()


class Memory(Protocol):
    """Verdicts on single files, kept by content: what was counted in a file under a rule. No value of a row is kept."""

    def identify(self, files: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
        """Content keys of files, by path, the closest one first; a file that cannot be read has none.

        Args:
            files: Path of a data file to the path of its deletes, or to the empty text.
        """

    def recall(self, rules: frozenset[str], files: frozenset[str]) -> Mapping[tuple[str, str], Found]:
        """What was counted, by (rule, file); both are keys."""

    def keep(self, found: Mapping[tuple[str, str], Found]) -> None:
        """Remember what was counted, by (rule, file)."""

    def recall_set(self, rule: str) -> frozenset[str]:
        """Files that together were proved to keep a rule; so does every part of them."""

    def keep_set(self, rule: str, files: frozenset[str]) -> None:
        """Remember files that together keep a rule, in place of those before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What may be used instead of reading rows.

    Attributes:
        contents: Of the audited table; None: it is read as a whole.
        related: Of another table, by `domain.table`.
        memory: None: nothing is remembered.
    """

    contents: Contents | None = None
    related: Callable[[str], Contents | None] = lambda _: None
    memory: Memory | None = None


NOTHING_KNOWN = Knowledge()
