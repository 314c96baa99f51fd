"""Tests that judge how old a version is, by moments that are given: no clock and no machine's speed takes part."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from mesh_assets.audit import library
from mesh_assets.audit.library.kinds import Asked, Earlier, Measure, Verdict
from mesh_assets.contract import Kind, Test

START = datetime(2026, 1, 5, 6, tzinfo=UTC)


@dataclass(frozen=True)
class Days:
    """A table with versions on these days, looked at on another day."""

    days: Sequence[float]
    today: float

    @property
    def now(self) -> datetime:
        return START + timedelta(days=self.today)

    def versions(self, limit: int) -> Sequence[Earlier]:
        found = [Earlier(number, START + timedelta(days=day), "t") for number, day in enumerate(self.days, start=1)]
        return found[-limit:]

    def values(self, limit: int, sql: object) -> Sequence[tuple[Earlier, dict[str, object]]]:
        raise AssertionError(f"{limit} {sql}: nothing is measured to know how old a version is")


def judged(kind: str, past: Days, **arguments: object) -> Verdict:
    """The verdict of a library test of time."""
    test = Test(name="t", kind=Kind.LIBRARY, type=kind, arguments=arguments)
    found = library.answer(Asked(test, {}, "t", lambda _: ("", {})))
    assert isinstance(found, Measure)
    return found.judge({"v": 1}, past)


@pytest.mark.parametrize(("today", "ok"), [(5, True), (5.2, True), (3.5, True), (7, False), (60, False)])
def test_a_daily_table_is_late_after_a_day(today: float, ok: bool):
    past = Days([0, 1.05, 2, 2.95, 4.02], today)
    verdict = judged("freshness_trend", past)
    assert verdict.ok is ok, verdict.message
    assert "is expected" in verdict.message
    assert f"{(today - 4.02) * 24:,.1f} hours old" in verdict.message


def test_without_enough_versions_it_is_learning():
    assert judged("freshness_trend", Days([], 9)).ok
    verdict = judged("freshness_trend", Days([0, 1, 2, 3], 300))
    assert verdict.ok
    assert "learning: 3 of 4 steps" in verdict.message


@pytest.mark.parametrize(("today", "ok"), [(4.0, True), (5.0, True), (5.1, False)])
def test_changed_within_counts_from_the_last_version(today: float, ok: bool):
    verdict = judged("changed_within", Days([0, 4], today), hours=24)
    assert verdict.ok is ok
    assert "it may be 24" in verdict.message


def test_changed_within_passes_before_there_is_a_version():
    assert judged("changed_within", Days([], 9), hours=1).ok
