"""Horizontal pipelines: what belongs to one, when it must have delivered, how it stands and where its time went."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mesh_assets import order, pipelines
from mesh_assets.domain import Domain, Mesh, Pipeline, Table, Toolchain
from mesh_assets.ledger import Attempt
from mesh_assets.order import Seen, Standing, State, Why
from mesh_assets.pipelines import Progress

START = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)
DASHBOARD = Pipeline(name="dashboard", delivers=("c.report",), by="07:00", time_zone="Europe/Zurich")


def table(name: str, *inputs: str, automation: str = "eager") -> Table:
    return Table(name=name, toolchain=Toolchain.SQL, inputs=inputs, automation=automation, code="code")


TABLES = [table("a.raw"), table("b.left", "a.raw"), table("b.right", "a.raw"), table("c.report", "b.left", "b.right"), table("d.other", "a.raw")]  # fmt: skip
MESH = Mesh(
    name="test",
    root=Path(),
    domains={name: Domain(name=name, path=Path()) for name in "abcd"},
    tables={each.name: each for each in TABLES},
    pipelines={"dashboard": DASHBOARD},
)


def why(**states: Standing) -> dict[str, Why]:
    """Where every table stands; what is not named is up to date."""
    told = {name.replace("_", ".", 1): state for name, state in states.items()}
    return {name: Why(state=told.get(name, Standing.CURRENT), sentence=f"is {name}") for name in MESH.tables}


def test_it_is_what_it_delivers_and_all_that_this_is_made_of():
    assert pipelines.scope(MESH, DASHBOARD) == ("a.raw", "b.left", "b.right", "c.report")


@pytest.mark.parametrize(
    ("launched", "by"),
    [
        ("2026-03-02T05:00+00:00", "2026-03-02T06:00+00:00"),
        ("2026-03-02T06:00+00:00", "2026-03-03T06:00+00:00"),  # at the very minute: the next day
        ("2026-03-28T07:00+00:00", "2026-03-29T05:00+00:00"),  # the clocks go forward that night
        ("2026-10-24T06:00+00:00", "2026-10-25T06:00+00:00"),  # and back
    ],
)
def test_the_deadline_is_a_time_of_day_where_its_readers_are(launched, by):
    assert pipelines.deadline(DASHBOARD, datetime.fromisoformat(launched)) == datetime.fromisoformat(by)
    assert pipelines.deadline(replace(DASHBOARD, by=""), START) is None


@pytest.mark.parametrize(
    ("states", "progress", "about"),
    [
        ({}, Progress.DELIVERED, ()),
        ({"d_other": Standing.FAILED}, Progress.DELIVERED, ()),
        ({"b_left": Standing.DUE, "c_report": Standing.WAITS}, Progress.RUNNING, ("b.left",)),
        ({"a_raw": Standing.RUNNING, "b_left": Standing.FAILED}, Progress.RUNNING, ("a.raw",)),
        ({"b_left": Standing.FAILED}, Progress.INCOMPLETE, ("b.left",)),
        ({"a_raw": Standing.PAUSED}, Progress.INCOMPLETE, ("a.raw",)),
        ({"b_left": Standing.FAILED, "c_report": Standing.MISSING}, Progress.FAILED, ("b.left", "c.report")),
    ],
)
def test_how_it_stands(states, progress, about):
    found, sentence, tables = pipelines.standing(pipelines.scope(MESH, DASHBOARD), DASHBOARD.delivers, why(**states))
    assert (found, tables) == (progress, about)
    assert not about or f"is {about[0]}" in sentence


@pytest.mark.parametrize(
    ("states", "found"),
    [
        ({}, {}),
        ({"b_left": Standing.FAILED}, {"c.report": "b.left"}),
        ({"a_raw": Standing.PAUSED}, {"b.left": "a.raw", "b.right": "a.raw", "c.report": "a.raw"}),
        ({"a_raw": Standing.FAILED, "b_right": Standing.MISSING}, {"b.left": "a.raw", "c.report": "b.right"}),
        ({"a_raw": Standing.DUE, "b_left": Standing.WAITS}, {}),
    ],
)
def test_who_gets_nothing_new_because_of_whom(states, found):
    assert pipelines.held_back(MESH, pipelines.scope(MESH, DASHBOARD), why(**states)) == found


def attempt(name: str, end: float, seconds: float, outcome: str = "published") -> Attempt:
    at = (START + timedelta(seconds=end)).isoformat(timespec="microseconds")
    return Attempt(table=name, run="run", outcome=outcome, head=1, at=at, record={"seconds": seconds})


def test_time_is_waiting_queueing_and_running():
    attempts = [
        attempt("a.raw", 12, 10),
        attempt("b.left", 20, 5),
        attempt("b.right", 50, 30),
        attempt("c.report", 61, 1),
    ]
    steps = {step.table: step for step in pipelines.timeline(MESH, pipelines.scope(MESH, DASHBOARD), START, attempts)}
    assert [(step.wait, step.queue, step.run) for step in steps.values()] == [
        (0, 2, 10),
        (12, 3, 5),
        (12, 8, 30),
        (50, 10, 1),
    ]
    assert [step.waited_for for step in steps.values()] == ["", "a.raw", "a.raw", "b.right"]
    assert pipelines.critical_path(DASHBOARD, list(steps.values())) == ("a.raw", "b.right", "c.report")
    assert sum((steps["c.report"].wait, steps["c.report"].queue, steps["c.report"].run)) == 61


def test_when_each_must_have_begun_is_counted_back_from_the_deadline():
    seconds = {"a.raw": 10, "b.left": 5, "b.right": 30, "c.report": 1}
    by = START + timedelta(hours=1)
    found = pipelines.latest(MESH, DASHBOARD, by, seconds)
    assert {name: (by - moment).total_seconds() for name, moment in found.items()} == {
        "a.raw": 41, "b.left": 6, "b.right": 31, "c.report": 1,
    }  # fmt: skip
    assert pipelines.latest(MESH, DASHBOARD, None, seconds) == {}
    # A dbt project is built as a whole: each of its tables took what all of them took.
    project = {name: replace(MESH.tables[name], toolchain=Toolchain.DBT) for name in ("b.left", "b.right")}
    project["b.right"] = replace(project["b.right"], inputs=("a.raw", "b.left"))
    found = pipelines.latest(replace(MESH, tables=MESH.tables | project), DASHBOARD, by, {**seconds, "b.left": 30})
    assert {(by - found[name]).total_seconds() for name in project} == {31}


def test_what_was_up_to_date_is_waited_for_by_nobody():
    steps = pipelines.timeline(
        MESH, pipelines.scope(MESH, DASHBOARD), START, [attempt("b.left", 20, 5), attempt("c.report", 30, 4)]
    )
    assert [(step.table, step.outcome, step.waited_for) for step in steps] == [
        ("a.raw", "", ""), ("b.left", "published", ""), ("b.right", "", ""), ("c.report", "published", "b.left"),
    ]  # fmt: skip
    assert pipelines.critical_path(DASHBOARD, steps) == ("b.left", "c.report")


def test_the_last_attempt_counts_and_an_empty_launch_has_no_path():
    attempts = [attempt("a.raw", 9, 1), attempt("a.raw", 5, 1, "failed")]
    assert pipelines.timeline(MESH, pipelines.scope(MESH, DASHBOARD), START, attempts)[0].outcome == "published"
    assert (
        pipelines.critical_path(DASHBOARD, pipelines.timeline(MESH, pipelines.scope(MESH, DASHBOARD), START, [])) == ()
    )


# -- what launches and pauses do to the order of operations -----------------------------------------------------------------


def built(*names: str, failed: str = "", mesh: Mesh = MESH) -> State:
    """These tables are there, one of them failed."""
    seen, tried = {}, {}
    for name in names:
        tried[name] = order.attempt(mesh, name, seen, failed=name == failed)
        if name != failed:
            seen[name] = Seen(version=1, fingerprint=name, inputs={}, generation={})
    return State(seen=seen, tried=tried)


def test_a_launch_tries_again_what_failed():
    state = built("a.raw", "b.left", "b.right", "c.report", "d.other", failed="c.report")
    assert order.due(MESH, state).build == ()
    assert order.due(MESH, replace(state, retried=frozenset({"c.report", "a.raw"}))).build == ("c.report",)


def test_a_paused_domain_is_not_built_and_its_readers_go_on():
    state = replace(built("a.raw", "b.left", "b.right", "c.report", "d.other"), paused=frozenset({"b"}))
    changed = replace(
        MESH,
        tables={**MESH.tables, "b.left": replace(TABLES[1], code="new"), "c.report": replace(TABLES[3], code="new")},
    )
    decision = order.due(changed, state)
    assert decision.build == ("c.report",)
    assert decision.why["b.left"].state is Standing.PAUSED
    assert decision.why["b.left"].sentence == "code changed; b is paused"
    assert decision.why["b.right"].state is Standing.CURRENT
    assert "b.left" not in order.closure(changed, state, ["b.left", "a.raw"])
    assert order.due(changed, replace(state, ticked=frozenset({"b.left"}))).why["b.left"].state is Standing.PAUSED
