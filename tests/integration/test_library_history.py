"""Tests that look back: what earlier versions were comes from the lake, measured once."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from mesh_assets import history
from mesh_assets.audit.library.forecast import Point, forecast
from tests.making import Place

RULES = """
- {id: volume, type: custom, engine: mesh, implementation: volume_trend}
- {id: within, type: custom, engine: mesh, implementation: {test: rows_within, percent: 20}, severity: warning}
- {id: kept, type: custom, engine: mesh, implementation: rows_kept, severity: warning}
- {id: metric, type: custom, engine: mesh, implementation: {test: metric_trend, expression: sum(amount) / count(*)}, severity: warning}
- {id: columns_stay, type: custom, engine: mesh, implementation: schema_unchanged}
- {id: changed, type: custom, engine: mesh, implementation: {test: changed_within, hours: 1}}
- {id: share, type: custom, engine: mesh, implementation: {test: share_shift, condition: state is null, points: 10}, severity: warning}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Five good versions of a table of about 100 rows."""
    made = Place(tmp_path_factory.mktemp("history"))
    made.domain("shop", "inputs: [{source: raw/orders.csv}]\noutputs: [{port: orders}]\n")
    made.contract(
        "shop.orders",
        {
            "id": "BIGINT",
            "amount": "DOUBLE; quality: [{id: mean, type: custom, engine: mesh, implementation: mean_shift, severity: warning},"
            " {id: drift, type: custom, engine: mesh, implementation: {test: distribution_shift, method: ks}, severity: warning},"
            " {id: psi, type: custom, engine: mesh, implementation: {test: distribution_shift, method: psi}, severity: warning},"
            " {id: spread, type: custom, engine: mesh, implementation: spread_increase, severity: warning},"
            " {id: new, type: custom, engine: mesh, implementation: new_rows_shift, severity: warning}]",
            "state": "VARCHAR; quality: [{id: gaps, type: custom, engine: mesh, implementation: missing_shift, severity: warning},"
            " {id: states, type: custom, engine: mesh, implementation: distribution_shift, severity: warning}]",
        },
        quality=RULES,
    )
    for number in range(5):
        write(made, rows=100 + number, seed=number)
        assert made.statuses() == {"shop/orders": "published"}
    return made


def write(place: Place, *, rows: int, seed: int, scale: float = 1.0, blank: float = 0.0, state: str = "") -> None:
    dice = random.Random(seed)
    lines = [
        f"{i},{dice.gauss(50, 5) * scale:.3f},{'' if dice.random() < blank else state or dice.choice(['OH', 'NY', 'CA'])}"
        for i in range(rows)
    ]
    place.write("domains/shop/raw/orders.csv", "id,amount,state\n" + "\n".join(lines) + "\n")


def by_name(place: Place) -> dict[str, dict]:
    return {item["name"]: item for item in place.test()}


def test_good_versions_pass_and_say_what_is_expected(place):
    told = by_name(place)
    assert [item["message"] for item in told.values() if item["status"] != "pass"] == []
    assert "is expected" in told["volume"]["message"]
    assert "1 % false alarms" in told["volume"]["message"]
    assert told["volume"]["type"] == "volume_trend"
    share = "Rows that satisfy the condition are 0 %, they were 0 %; they may move by 10 points."
    assert told["share"]["message"] == share


@pytest.mark.long
def test_what_is_unlike_before_fails_and_is_held(place):
    good = place.version("shop.orders")
    write(place, rows=40, seed=9, scale=3, blank=0.5, state="OH")
    assert place.statuses() == {"shop/orders": "held"}
    told = by_name(place)
    failed = {name for name, item in told.items() if item["status"] != "pass"}
    assert failed == {"volume", "within", "kept", "metric", "mean", "drift", "psi", "spread", "gaps", "states", "share"}
    assert told["volume"]["status"] == "fail"
    assert place.version("shop.orders") == good
    write(place, rows=104, seed=4)  # as it was, for the other tests
    assert place.statuses() == {"shop/orders": "unchanged"}


def test_the_first_version_says_that_there_is_nothing_to_compare_with(tmp_path):
    made = Place(tmp_path)
    made.domain("shop", "inputs: [{source: raw/orders.csv}]\noutputs: [{port: orders}]\n")
    made.contract("shop.orders", {"id": "BIGINT"}, quality=RULES.split("- {id: metric", maxsplit=1)[0])
    made.write("domains/shop/raw/orders.csv", "id\n1\n")
    assert made.statuses() == {"shop/orders": "published"}
    told = by_name(made)
    assert "learning: 0 of 4" in told["volume"]["message"]
    assert "no earlier version" in told["within"]["message"]


@pytest.mark.long
def test_a_version_is_measured_once(place, monkeypatch):
    """The second time nothing but the version that is tested is read."""
    by_name(place)
    asked = []
    real = history._row
    monkeypatch.setattr(history, "_row", lambda con, query: asked.append(query) or real(con, query))
    by_name(place)
    assert asked == []


# -- forecasts -----------------------------------------------------------------------------------------------------------

START = datetime(2025, 1, 6, tzinfo=UTC)


def series(length: int, seed: int, *, trend: float = 0, weekend: float = 1, noise: float = 1) -> list[Point]:
    dice = random.Random(seed)
    days = [START + timedelta(days=number) for number in range(length)]
    return [
        Point(day, (100 + trend * number + dice.gauss(0, noise)) * (weekend if day.weekday() > 4 else 1))
        for number, day in enumerate(days)
    ]


def test_false_alarms_are_as_rare_as_said():
    """Of good series at most about as many fail as the forecast says; tried on 300, with 5 %."""
    alarms = 0
    for seed in range(300):
        *known, last = series(15, seed)
        told = forecast(known, last.at, 0.05, frozenset())
        alarms += not told.low <= last.value <= told.high
    assert alarms <= 30


def test_a_loss_of_a_tenth_is_seen():
    *known, last = series(15, 1)
    told = forecast(known, last.at, 0.01, frozenset())
    assert last.value * 0.9 < told.low
    assert last.value * 1.1 > told.high


def test_growth_is_no_alarm():
    *known, last = series(15, 1, trend=20)
    told = forecast(known, last.at, 0.01, frozenset())
    assert told.low <= last.value <= told.high
    assert last.value * 0.9 < told.low


def test_weekends_and_holidays_count_where_there_is_enough():
    pytest.importorskip("statsmodels")
    known = series(48, 3, weekend=0.3)
    sunday = START + timedelta(days=48)
    assert sunday.weekday() == 6
    told = forecast(known, sunday, 0.01, frozenset())
    assert told.low <= 30 <= told.high
    assert told.high < 60, "a weekday's value on a Sunday is an alarm"
    assert "calendar" in told.words


def test_a_series_that_never_moved_may_move_a_little():
    known = [Point(START + timedelta(days=day), 1000.0) for day in range(30)]
    told = forecast(known, START + timedelta(days=30), 0.01, frozenset())
    assert told.low <= 1001 <= told.high
    assert not told.low <= 1100 <= told.high
