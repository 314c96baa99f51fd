"""Partitions as days, and how far a change of some of them reaches: compared with Dagster's own, and with counting."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mesh_assets.domain import PartitionMapping, Partitions
from mesh_assets.partitions import Partition, aligned, changed_between, hull, reached, starts, whole

EVERY = {
    "daily": dg.DailyPartitionsDefinition,
    "weekly": dg.WeeklyPartitionsDefinition,
    "monthly": dg.MonthlyPartitionsDefinition,
}
DAYS = st.dates(date(2025, 11, 1), date(2026, 6, 1))


def part(start, end):
    """A range of days."""
    return Partition(start=str(start), end=str(end))


def days(one):
    """Every day of a range."""
    first, last = date.fromisoformat(one.start), date.fromisoformat(one.end)
    return {first + timedelta(days=number) for number in range((last - first).days)}


@given(every=st.sampled_from(sorted(EVERY)), start=DAYS, today=DAYS, closed=st.booleans())
def test_they_are_dagsters(every, start, today, closed):
    """The same keys as Dagster's definition has on that day, but for one that is still to come: it has that, when it is first."""
    declared = Partitions(every=every, by="day", start=str(start))
    there = whole(declared, today, closed=closed)
    theirs = EVERY[every](start_date=str(start), end_offset=0 if closed else 1)
    moment = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
    begun = [key for key in theirs.get_partition_keys(current_time=moment) if key <= str(today)]
    assert list(starts(declared, there) if there else ()) == begun


@settings(deadline=None, phases=(Phase.reuse, Phase.generate))
@given(
    reader=st.sampled_from(sorted(EVERY)),
    of=st.sampled_from(sorted(EVERY)),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
    first=st.dates(date(2026, 2, 1), date(2026, 3, 1)),
    length=st.integers(1, 40),
)
def test_a_change_reaches_exactly_what_is_made_from_it(reader, of, before, after, first, length):
    """A reader's partition is reached if and only if one of the input's partitions that it is made from has changed."""
    mine, input_ = (Partitions(every=every, by="day", start="2025-12-07") for every in (reader, of))
    today = date(2026, 5, 31)
    changed = aligned(input_, part(first, first + timedelta(days=length)), today)
    found = aligned(mine, reached(PartitionMapping(before=before, after=after), input_, changed), today)
    windows = lambda declared: list(
        zip(starts(declared, there := whole(declared, today)), [*starts(declared, there)[1:], there.end], strict=True)
    )
    inputs = [days(part(*window)) for window in windows(input_)]
    reached_days, changed_days = days(found), days(changed)
    for window in (days(part(*window)) for window in windows(mine)):
        overlapped = [place for place, one in enumerate(inputs) if one & window]
        if not overlapped:
            continue
        made_from = inputs[max(0, overlapped[0] - before) : overlapped[-1] + after + 1]
        assert bool(window & reached_days) == any(one & changed_days for one in made_from), min(window)


def test_days_are_widened_to_whole_partitions():
    """A Wednesday asks for its week; what is not there yet, or was never, is left out."""
    weekly = Partitions(every="weekly", by="day", start="2026-01-01")
    assert aligned(weekly, part("2026-01-14", "2026-01-15"), date(2026, 2, 1)) == part("2026-01-11", "2026-01-18")
    assert aligned(weekly, part("2025-12-01", "2026-01-05"), date(2026, 2, 1)) == part("2026-01-04", "2026-01-11")
    assert aligned(weekly, part("2026-03-01", "2026-03-02"), date(2026, 2, 1)) is None
    assert whole(weekly, date(2025, 12, 31)) is None


@pytest.mark.parametrize(
    ("versions", "before", "found"),
    [
        ([("b", part("2026-01-02", "2026-01-03"), "a"), ("a", None, "")], "a", 1),
        ([("c", part("2026-01-05", "2026-01-06"), "b"), ("b", part("2026-01-02", "2026-01-03"), "a"), ("a", None, "")], "a", 2),
        ([("b", None, ""), ("a", None, "")], "a", None),
        ([("c", part("2026-01-05", "2026-01-06"), "x"), ("b", part("2026-01-02", "2026-01-03"), "a"), ("a", None, "")], "a", None),
        ([("b", part("2026-01-02", "2026-01-03"), "a")], "a", None),
        ([("a", None, "")], "a", 0),
    ],
    ids=["one day", "two days", "all of it", "a version between was not the one before", "too long ago", "the same"],
)  # fmt: skip
def test_what_has_changed_since_a_version(versions, before, found):
    """Only a chain in which each replaced some days of the one before says so."""
    changed = changed_between(versions, before)
    assert (None if changed is None else len(changed)) == found


def test_the_shortest_range_over_several():
    """For none there is none."""
    assert hull([]) is None
    assert hull([part("2026-01-05", "2026-01-06"), part("2026-01-01", "2026-01-02")]) == part(
        "2026-01-01", "2026-01-06"
    )
