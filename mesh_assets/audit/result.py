"""What came out of a test."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mesh_assets.contract import Severity, Test

KEPT = 10
"""Failing rows of one test that are kept: in the ledger, and in Dagster."""


class Status(StrEnum):
    """`error`: the test itself could not be executed, which stops a version as a failure does."""

    PASS = "pass"  # noqa: S105 - a word, no secret
    WARN = "warn"
    FAIL = "fail"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One test, executed on one candidate or version.

    Attributes:
        failing_rows: Rows that break the rule; for a rule on the whole table 0 or 1 where rows have no meaning.
        sample: Some of the failing rows, ten where no other number was asked for; masked columns replaced by `•••`; plain values that JSON can hold.
        query: The SQL that finds the failing rows (or the value), as executed.
        quarantined: Rows that were set aside because they break the rule, so that the rest could be published.
        message: One sentence for a person: what was found, or why it could not be executed.
    """

    test: Test
    status: Status
    failing_rows: int = 0
    total_rows: int = 0
    sample: tuple[Mapping[str, object], ...] = ()
    query: str = ""
    message: str = ""
    quarantined: int = 0

    @property
    def fail_rate(self) -> float:
        """Failing rows of all rows; 0 for an empty table."""
        return self.failing_rows / self.total_rows if self.total_rows else 0.0

    @property
    def stops(self) -> bool:
        """Whether the version must not be published."""
        return self.status in (Status.FAIL, Status.ERROR) and self.test.severity is Severity.ERROR
