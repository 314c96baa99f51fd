"""Time partitions: the days that they hold, and how far a change of some of them reaches.

A partition is daily, weekly (from Sunday) or monthly, as Dagster's are. Nothing here reads or writes anything.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce
from itertools import takewhile

from mesh_assets.domain import PartitionMapping, Partitions

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A half-open range of days of a table's partition column, as ISO dates: one partition, or several in a row."""

    start: str
    end: str

    def covers(self, other: "Partition") -> bool:
        """Whether every day of the other is among its own."""
        return self.start <= other.start and other.end <= self.end

    @property
    def last(self) -> str:
        """Its last day."""
        return str(date.fromisoformat(self.end) - DAY)

    def __str__(self) -> str:
        return f"{self.start} to {self.last}"


def as_variables(declared: Partitions | None, partition: Partition | None) -> str:
    """SQL that sets the variables `partition_start` and `partition_end`; without a partition: to all there can be."""
    first = declared.start if declared else "0001-01-01"
    start, end = (partition.start, partition.end) if partition else (first, "9999-12-31")
    # As literals: the first parameter makes DuckDB import pandas, which takes most of a second.
    days = (date.fromisoformat(start), date.fromisoformat(end))
    return "SET VARIABLE partition_start = DATE '{}'; SET VARIABLE partition_end = DATE '{}'".format(*days)


def whole(declared: Partitions, today: date, *, closed: bool = False) -> Partition | None:
    """Every partition so far.

    Args:
        declared: The table's partitions.
        today: The day to judge by.
        closed: Without the one that is open now.

    Returns:
        None while the first is still to come.
    """
    start = _on_or_after(declared.every, date.fromisoformat(declared.start))
    end = _begin(declared.every, today)
    end = end if closed else _moved(declared.every, end, 1)
    return _range(start, end) if start < end else None


def aligned(declared: Partitions, days: Partition, today: date, *, closed: bool = False) -> Partition | None:
    """The partitions that hold any of these days; None when there are none."""
    there = whole(declared, today, closed=closed)
    if there is None:
        return None
    start = _begin(declared.every, date.fromisoformat(days.start)).isoformat()
    end = _on_or_after(declared.every, date.fromisoformat(days.end)).isoformat()
    start, end = max(start, there.start), min(end, there.end)
    return Partition(start=start, end=end) if start < end else None


def starts(declared: Partitions, days: Partition) -> tuple[str, ...]:
    """The first day of every partition in a range of whole ones: Dagster's keys."""
    day, found = date.fromisoformat(days.start), []
    while (key := day.isoformat()) < days.end:
        found.append(key)
        day = _moved(declared.every, day, 1)
    return tuple(found)


def reached(mapping: PartitionMapping, of: Partitions, days: Partition) -> Partition:
    """The days whose rows a reader makes from these days of an input, by the mapping that it has declared.

    A reader's partition is made from the input's partitions that it overlaps, and from so many before and after these.
    """
    start = _begin(of.every, date.fromisoformat(days.start))
    end = _on_or_after(of.every, date.fromisoformat(days.end))
    return _range(_moved(of.every, start, -mapping.after), _moved(of.every, end, mapping.before))


def joined(one: Partition, other: Partition) -> Partition:
    """The shortest range that covers both."""
    return Partition(start=min(one.start, other.start), end=max(one.end, other.end))


def hull(ranges: Iterable[Partition]) -> Partition | None:
    """The shortest range that covers them all; None for none."""
    found = tuple(ranges)
    return reduce(joined, found) if found else None


def changed_between(versions: Sequence[tuple[str, Partition | None, str]], before: str) -> tuple[Partition, ...] | None:
    """The days in which a table's content differs from what it was.

    Args:
        versions: Newest first: fingerprint, the range that the version replaced (None: all of it), and the fingerprint of
            the version in which it replaced it.
        before: The fingerprint to compare with.

    Returns:
        None when that cannot be told: a version since then replaced everything, or did not follow the one before it.
    """
    since = tuple(takewhile(lambda one: one[0] != before, versions))
    if len(since) == len(versions):
        return None
    for newer, older in zip(since, versions[1:], strict=False):
        if newer[1] is None or newer[2] != older[0]:
            return None
    return tuple(one[1] for one in since if one[1] is not None)


def _range(start: date, end: date) -> Partition:
    return Partition(start=start.isoformat(), end=end.isoformat())


def _begin(every: str, day: date) -> date:
    """The first day of the partition that holds it."""
    if every == "monthly":
        return day.replace(day=1)
    return day - timedelta(days=(day.weekday() + 1) % 7) if every == "weekly" else day


def _on_or_after(every: str, day: date) -> date:
    """The first day of a partition, the next one from there."""
    begun = _begin(every, day)
    return begun if begun == day else _moved(every, begun, 1)


def _moved(every: str, begin: date, by: int) -> date:
    """The first day of the partition that is so many later; earlier ones are negative."""
    if every == "monthly":
        months = begin.year * 12 + begin.month - 1 + by
        return date(months // 12, months % 12 + 1, 1)
    return begin + timedelta(days=by * (7 if every == "weekly" else 1))
