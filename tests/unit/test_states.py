"""When a table is expected, and each of the states that it can be in."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh_assets.account.expected import (
    Expectation,
    Source,
    due,
    expectation,
    learned,
    moment,
    promised,
)
from mesh_assets.account.states import GOOD, Facts, State, Unheard, status_of
from mesh_assets.contract import Contract, ServiceLevel
from mesh_assets.domain import Table, Toolchain
from mesh_assets.order import Standing, Why

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)  # a Wednesday
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def promising(*levels):
    """A contract with these service levels: (property, value, unit)."""
    told = tuple(ServiceLevel(property=what, value=value, unit=unit) for what, value, unit in levels)
    return Contract(id="", version="", name="", columns=(), tests=(), service_levels=told)


def at(day, clock="07:00"):
    """A moment of March 2026, UTC."""
    hour, minute = map(int, clock.split(":"))
    return datetime(2026, 3, 1, hour, minute, tzinfo=UTC) + timedelta(days=day - 1)


@pytest.mark.parametrize(
    ("text", "cron", "zone", "period"),
    [
        ("07:00 Europe/Zurich", "0 7 * * *", "Europe/Zurich", DAY),
        ("Monday 09:00 UTC", "0 9 * * 1", "UTC", 7 * DAY),
        ("Mon 9:30", "30 9 * * 1", "UTC", 7 * DAY),
        ("09:00-08:00", "0 17 * * *", "UTC", DAY),  # the standard's own example
        ("Monday 01:00 +02:00", "0 23 * * 0", "UTC", 7 * DAY),
        ("sunday 23:30-05:00", "30 4 * * 1", "UTC", 7 * DAY),
        ("06:15Z", "15 6 * * *", "UTC", DAY),
    ],
)
def test_times_are_read(text, cron, zone, period):
    found = moment(text)
    assert (found.cron, found.zone, found.period) == (cron, zone, period)


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "12:61", "Someday 09:00", "09:00 Mars/Olympus", "24/7", "09:00 ../etc"]
)
def test_what_is_no_time_is_none(text):
    assert moment(text) is None


def test_the_first_that_says_something_counts():
    contract = promising(("frequency", 1, "w"), ("latency", 4, "d"))
    table = Table(name="a.b", toolchain=Toolchain.SQL, contract=contract, automation="0 6 * * 1", expected_by="07:00")
    assert expectation(table).cron == "0 7 * * *"
    assert promised(contract).within == timedelta(days=11)
    assert promised(promising(("freshness", 3, "h"), ("frequency", 1, "d"))).within == 3 * HOUR
    assert promised(promising(("timeOfAvailability", "Monday 09:00", ""), ("frequency", 1, "w"))).cron == "0 9 * * 1"
    assert promised(promising(("timeOfAvailability", "09:00", ""), ("frequency", 1, "w"))).within == 7 * DAY
    assert promised(promising(("retention", 7, "y"))) is None
    bare = Table(name="a.b", toolchain=Toolchain.SQL, automation="0 6 * * 1")
    assert (expectation(bare).source, expectation(bare).period) == (Source.SCHEDULE, 7 * DAY)
    assert expectation(Table(name="a.b", toolchain=Toolchain.SQL)) is None


def test_a_rhythm_is_learned_with_its_confidence():
    daily = [at(day, f"06:{day * 3:02}") for day in range(1, 15)]
    found = learned(daily)
    assert (found.source, found.period, found.confidence) == (Source.LEARNED, DAY, round(15 / 16, 3))
    assert found.words == "by 06:48 UTC"
    assert not due(found, daily[-1], daily[-2], at(15, "06:40")).late
    assert due(found, daily[-1], daily[-2], at(15, "06:50")).late


def test_a_rhythm_around_midnight_is_one():
    nights = [at(day, clock) for day, clock in zip(range(1, 9), ["23:50", "23:55"] * 4, strict=True)]
    nights += [at(day + 1, "00:05") for day in range(9, 14)]
    found = learned(sorted(nights))
    assert (found.period, found.confidence >= 0.9) == (DAY, True)
    assert not due(found, nights[-1], nights[-2], at(14, "23:59")).late


def test_a_missed_day_costs_confidence_and_weekends_are_a_week():
    missed = learned([at(day) for day in range(1, 15) if day != 5])
    assert (missed.period, missed.confidence) == (DAY, round(14 / 16, 3))
    weekdays = learned([at(day) for day in range(1, 60) if at(day).weekday() < 5])
    assert weekdays.period == 7 * DAY


@pytest.mark.parametrize(
    "arrivals",
    [[], [at(1)], [at(day) for day in range(1, 5)], [at(1, f"08:{minute:02}") for minute in range(0, 60, 4)]],
    ids=["never", "once", "four days", "an afternoon of tries"],
)
def test_from_little_nothing_is_learned(arrivals):
    assert learned(arrivals) is None


def test_an_age_that_was_never_reached_is_learned_where_there_is_no_time():
    arrivals = [at(1) + timedelta(hours=30) * n for n in range(12)]
    found = learned(arrivals)
    assert (found.source, found.within) == (Source.LEARNED, timedelta(hours=45, minutes=15))


def test_a_time_follows_its_zone_through_summer_time():
    found = moment("07:00 Europe/Zurich")
    before, after = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 29, 12, tzinfo=UTC)
    assert due(found, before - 12 * HOUR, None, before).by == datetime(2026, 3, 29, 5, tzinfo=UTC)
    assert due(found, after - 12 * HOUR, None, after).by == datetime(2026, 3, 30, 5, tzinfo=UTC)
    winter = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert due(found, winter - 12 * HOUR, None, winter).by == datetime(2026, 1, 2, 6, tzinfo=UTC)


# -- states: one test that produces each ---------------------------------------------------------------------------------------

DAILY = Expectation(source=Source.PROMISE, words="every 1 day", within=DAY, period=DAY)
BY_NOON = moment("11:00")
CAME = Facts(version=3, since=NOW - 2 * HOUR, confirmed=NOW - 2 * HOUR, outcome="published")


def facts(**what):
    """Of a table that came two hours ago, but for what is said."""
    known = {name: getattr(CAME, name) for name in CAME.__slots__}
    return Facts(**(known | what))


def why(standing, sentence="so it is", **what):
    """What the order says."""
    return Why(state=standing, sentence=sentence, **what)


STATES = {
    State.ON_TIME: (why(Standing.CURRENT), facts(expectation=DAILY)),
    State.WARNINGS: (why(Standing.CURRENT), facts(warned=2)),
    State.RUNNING: (why(Standing.RUNNING, "running in r1"), facts(expectation=DAILY)),
    State.UPCOMING: (why(Standing.SCHEDULED, "code changed; waits for its schedule"), facts()),
    State.LATE_START: (why(Standing.CURRENT), facts(confirmed=NOW - 26 * HOUR, expectation=DAILY)),
    State.LATE_END: (why(Standing.RUNNING), facts(confirmed=NOW - 26 * HOUR, expectation=DAILY)),
    State.MISSING: (why(Standing.MISSING, "its raw files are missing"), facts()),
    State.INCOMPLETE: (why(Standing.CURRENT), facts(gaps=("2026-03-01", "2026-03-02"))),
    State.OUT_OF_SEQUENCE: (why(Standing.DISAGREES, tables=("a.b", "a.c"), root="a.a"), facts()),
    State.INPUT_NOT_READY: (why(Standing.WAITS, tables=("a.b",)), facts()),
    State.HELD: (
        why(Standing.FAILED),
        facts(outcome="held", refused="a.b", message="x does not admit version 4 of a/b"),
    ),
    State.FAILED_TESTS: (why(Standing.FAILED), facts(outcome="held", tests_failed=True, message="amount failed")),
    State.FAILED: (why(Standing.FAILED), facts(outcome="failed", message="division by zero")),
}


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_each_state_is_produced(state):
    said, known = STATES[state]
    assert status_of(said, known, NOW).state is state


@pytest.mark.parametrize(
    ("said", "known", "state", "late"),
    [
        (why(Standing.DUE), facts(), State.UPCOMING, False),
        (why(Standing.DUE), facts(confirmed=NOW - 24 * HOUR + timedelta(minutes=5), duration=HOUR, expectation=DAILY), State.LATE_START, False),
        (why(Standing.CURRENT), facts(confirmed=NOW - 49 * HOUR, expectation=DAILY), State.MISSING, True),
        (why(Standing.CURRENT), facts(confirmed=NOW - timedelta(minutes=30), before=NOW - 30 * HOUR, expectation=BY_NOON), State.LATE_END, False),
        (why(Standing.CURRENT), facts(confirmed=NOW - timedelta(minutes=90), before=NOW - 30 * HOUR, expectation=BY_NOON), State.ON_TIME, False),
        (why(Standing.CURRENT), facts(held_inputs=("a.b",)), State.HELD, False),
        (why(Standing.MISSING, tables=("a.b",)), facts(version=None), State.INPUT_NOT_READY, False),
        (why(Standing.WAITS), facts(confirmed=NOW - 30 * HOUR, expectation=DAILY), State.INPUT_NOT_READY, True),
        (why(Standing.FAILED), facts(outcome="held", message="built together with 3 others, of which one is held"), State.HELD, False),
        (why(Standing.CURRENT), facts(version=None, since=None, confirmed=None, expectation=DAILY), State.ON_TIME, False),
        (why(Standing.DUE), facts(unheard=Unheard(NOW - HOUR)), State.LATE_START, False),
        (why(Standing.RUNNING), facts(unheard=Unheard(NOW - HOUR)), State.RUNNING, False),
    ],
    ids=["due", "will be late", "a period missed", "came late", "came in time", "goes on", "never published", "late and waits", "dbt", "never came", "nobody to begin it", "built by hand"],
)  # fmt: skip
def test_what_goes_before_what(said, known, state, late):
    found = status_of(said, known, NOW)
    assert (found.state, found.late) == (state, late)


def test_good_states_need_nobody():
    assert {str(state) for state in GOOD} == {"on time", "passed with warnings", "running", "upcoming"}


def test_a_learned_expectation_says_so():
    late = facts(confirmed=NOW - 60 * HOUR, expectation=learned([at(day) - 30 * DAY for day in range(1, 20)]))
    assert "learned, confidence 0.95" in status_of(why(Standing.CURRENT), late, NOW).sentence
