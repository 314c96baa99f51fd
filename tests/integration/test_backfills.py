"""Backfills over domains: some days of a port again, and exactly what is made from them."""

import json
import random

import dagster as dg
import pytest
from typer.testing import CliRunner

from mesh_assets import build, catalog, running
from mesh_assets.cli import app
from mesh_assets.errors import MeshError, UsageError
from mesh_assets.launches import Backfills
from mesh_assets.orchestration import sensors
from mesh_assets.orchestration.instance import open_instance
from mesh_assets.partitions import Partition
from mesh_assets.step import failed
from tests.integration.test_sensors import tick
from tests.making import Place, Quiet, launch

EVENTS = "day,n\n2026-01-05,{first}\n2026-01-06,{second}\n2026-01-20,{third}\n"
IN_RANGE = "{0} >= getvariable('partition_start') and {0} < getvariable('partition_end')"
WEEK = "date_trunc('week', day + 1)::date - 1"  # from Sunday, as Dagster's


def events(place, first, second, third):
    """The raw file, with a number for each of three days."""
    place.write("domains/claims/raw/events/1.csv", EVENTS.format(first=first, second=second, third=third))


def make(root):
    """Claims by day, built by hand; a report by week in another domain, its total and a table on a schedule in a third."""
    place = Place(root)
    place.domain(
        "claims",
        """
        inputs: [{source: raw/events/*.csv, as: raw_events}]
        outputs: [{port: by_day}]
        tables:
          by_day: {partitions: daily, partition_by: day, start: 2026-01-01, automation: manual}
        """,
    )
    place.domain(
        "report",
        """
        inputs: [{port: claims.by_day, partition_mapping: same}]
        outputs: [{port: by_week}]
        tables:
          by_week: {partitions: weekly, partition_by: week, start: 2025-12-28}
        """,
    )
    place.domain("board", "inputs: [{port: report.by_week}]\nautomation: 0 5 1 1 *\n")
    place.contract("claims.raw_events", {"day": "DATE", "n": "BIGINT"})
    place.contract("claims.by_day", {"day": "DATE; required: true", "n": "BIGINT; logicalTypeOptions: {maximum: 1000}"})
    place.contract("report.by_week", {"week": "DATE", "n": "BIGINT"})
    place.sql("claims.by_day", f"select day, n::bigint as n from claims.raw_events where {IN_RANGE.format('day')}")
    week = f"select {WEEK} as week, sum(n)::bigint as n from claims.by_day"
    place.sql("report.by_week", f"{week} where {IN_RANGE.format(WEEK)} group by all")
    place.sql("report.total", "select sum(n)::bigint as n from report.by_week")
    place.sql("board.figure", "select max(n)::bigint as n from report.by_week")
    events(place, 1, 2, 4)
    return place


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """The mesh, everything built once."""
    place = make(tmp_path_factory.mktemp("backfills"))
    place.run()
    place.run("claims/by_day")
    place.run()
    place.run("board")
    return place


@pytest.fixture
def place(template, tmp_path):
    """A copy of one's own."""
    return template.copied(tmp_path)


def backfill(place, first, last="", table="claims.by_day"):
    """`mesh backfill run --json`."""
    env = place.env()
    plan = catalog.plan(env, env.mesh.tables[table], first, last)
    return running.run_backfill(env, plan, settings=place.settings, progress=Quiet())


def days_built(place, table, since):
    """The ranges that were built of a table since a moment, oldest first."""
    attempts = place.env().ledger.tries(table=table, since=since)
    return [tuple(attempt.record["days"]) for attempt in reversed(attempts)]


def contents(place):
    """Days, weeks, and what is made of them."""
    return {
        "days": [n for (n,) in place.rows("select n from claims.by_day order by day")],
        "weeks": [n for (n,) in place.rows("select n from report.by_week order by week")],
        "total": place.rows("select n from report.total")[0][0],
        "figure": place.rows("select n from board.figure")[0][0],
    }


@pytest.mark.long
def test_a_day_and_what_is_made_from_it(place):
    """One day of a port, one week in the next domain, all of what has no partitions; schedules are not waited for."""
    events(place, 10, 20, 40)
    place.run("claims/raw_events")
    done = backfill(place, "2026-01-06")
    told = done["backfill"]
    assert (told["state"], told["table"], told["from"], told["to"]) == (
        "delivered",
        "claims/by_day",
        "2026-01-06",
        "2026-01-06",
    )
    spans = {one["table"]: (one["from"], one["to"], one["partitions"]) for one in told["tables"]}
    assert spans == {
        "claims/by_day": ("2026-01-06", "2026-01-06", 1),
        "report/by_week": ("2026-01-04", "2026-01-10", 1),
        "report/total": (None, None, None),
        "board/figure": (None, None, None),
    }
    assert {one["state"] for one in told["tables"]} == {"published"}
    assert contents(place) == {"days": [1, 20, 4], "weeks": [21, 4], "total": 25, "figure": 21}
    assert days_built(place, "claims.by_day", told["at"]) == [("2026-01-06", "2026-01-07")]
    assert days_built(place, "report.by_week", told["at"]) == [("2026-01-04", "2026-01-11")]
    assert place.run()["runs"] == [], "what follows is up to date; the port's other days wait until they are asked for"


def test_what_comes_out_the_same_goes_no_further(place):
    """The same content again: nobody downstream is built."""
    done = backfill(place, "2026-01-05", "2026-01-20")["backfill"]
    states = {one["table"]: one["state"] for one in done["tables"]}
    assert states["claims/by_day"] == "unchanged"
    assert not days_built(place, "report.by_week", done["at"])
    assert done["state"] == "delivered"


@pytest.mark.long
def test_without_a_mapping_a_reader_is_built_whole(place):
    """Nobody has said which of its weeks a day is part of: all of them are right."""
    text = (place.root / "domains/report/domain.yaml").read_text()
    (place.root / "domains/report/domain.yaml").write_text(text.replace(", partition_mapping: same", ""))
    place.run()
    events(place, 1, 2, 40)
    place.run("claims/raw_events")
    done = backfill(place, "2026-01-20")["backfill"]
    ((start, end),) = days_built(place, "report.by_week", done["at"])
    assert start == "2025-12-28"
    assert end > "2026-11-01"
    assert contents(place)["weeks"] == [3, 40]


@pytest.mark.long
def test_two_backfills_before_their_reader_looks(place):
    """The reader follows both in one build of the weeks between."""
    events(place, 10, 2, 40)
    place.run("claims/raw_events")
    env = place.env()
    for day in ("2026-01-05", "2026-01-20"):
        plan = catalog.plan(env, env.mesh.tables["claims.by_day"], day, "")
        Backfills(env.ledger.store).start(plan.table, plan.days, "test")
        place.run("claims")
        catalog.settle_backfills(env)
    assert contents(place)["days"] == [10, 2, 40]
    since = place.env().ledger.tries(limit=1)[0].at
    place.run()
    assert contents(place)["weeks"] == [12, 40]
    assert days_built(place, "report.by_week", since)[-1] == ("2026-01-04", "2026-01-25")
    assert [one["state"] for one in catalog.backfills_report(place.env())] == ["delivered", "delivered"]


@pytest.mark.long
def test_a_refused_day_fails_it_and_is_tried_again_by_the_next(place):
    """The day is held, readers keep what they have; mended, the same backfill goes through."""
    events(place, 1, 5000, 4)
    place.run("claims/raw_events")
    done = backfill(place, "2026-01-06")["backfill"]
    assert done["state"] == "failed"
    assert contents(place)["days"] == [1, 2, 4]
    events(place, 1, 50, 4)
    place.run("claims/raw_events")
    assert backfill(place, "2026-01-06")["backfill"]["state"] == "delivered"
    assert contents(place) == {"days": [1, 50, 4], "weeks": [51, 4], "total": 55, "figure": 51}


@pytest.mark.long
def test_in_code_locations_of_their_own(place):
    """Each domain's own sensor asks for its days, in turn; one status over all of them; the reconciler ends it."""
    events(place, 10, 20, 40)
    place.run("claims/raw_events")
    env = place.env()
    plan = catalog.plan(env, env.mesh.tables["claims.by_day"], "2026-01-06", "")
    asked = Backfills(env.ledger.store).start(plan.table, plan.days, "test")
    assert Backfills(env.ledger.store).start(plan.table, plan.days, "another").id == asked.id, "two at once are one"
    assert tick(place, "report__order", only="report")[0] == [], "it waits for the port"
    wanted = {"claims": ("2026-01-06", "2026-01-06"), "report": ("2026-01-04", "2026-01-04")}
    for domain, table in (("claims", "by_day"), ("report", "by_week")):
        (request,) = tick(place, f"{domain}__order", only=domain)[0]
        tags = request.tags
        first, last = tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"]
        assert (first, last) == wanted[domain]
        assert catalog.backfill_report(env, asked)["state"] == "running"
        assert launch(place, domain, f"{domain}/{table}", tags=tags)
        tick(place, f"{domain}__reconciler", only=domain)
    for domain, table in (("report", "total"), ("board", "figure")):
        (request,) = tick(place, f"{domain}__order", only=domain)[0]
        assert {key.to_user_string() for key in request.asset_selection} == {f"{domain}/{table}"}
        assert launch(place, domain, f"{domain}/{table}", tags=request.tags)
    tick(place, "board__reconciler", only="board")
    ended = catalog.backfill_named(place.env(), asked.id)
    assert ended.outcome == "delivered"
    assert contents(place) == {"days": [1, 20, 4], "weeks": [21, 4], "total": 25, "figure": 21}
    assert tick(place, "report__order", only="report")[0] == []


def test_cancelled_it_asks_for_nothing(place):
    """What waits for its own reasons goes on waiting for these."""
    runner, where = CliRunner(), ["--mesh", str(place.root)]
    made = runner.invoke(app, ["backfill", "launch", "claims/by_day", "--from", "2026-01-06", "--json", *where])
    assert json.loads(made.stdout)["state"] == "running"
    assert tick(place, "claims__order")[0]
    told = json.loads(runner.invoke(app, ["backfill", "cancel", "--json", *where]).stdout)
    assert told["state"] == "cancelled"
    assert tick(place, "claims__order")[0] == []
    with pytest.raises(UsageError, match="has ended: cancelled"):
        catalog.cancel_backfill(place.env(), catalog.backfill_named(place.env(), told["id"]))
    shown = runner.invoke(app, ["backfill", "list", *where])
    assert "cancelled" in shown.stdout


@pytest.mark.long
def test_the_next_tries_again_what_was_cancelled_downstream(place):
    """Its own table and the weeks come out the same: the total is built all the same, for its step was ended by somebody."""
    events(place, 1, 20, 4)
    place.run("claims/raw_events")
    env = place.env()
    plan = catalog.plan(env, env.mesh.tables["claims.by_day"], "2026-01-06", "")
    asked = Backfills(env.ledger.store).start(plan.table, plan.days, "test")
    place.run("claims")
    place.run("report/by_week")
    (request,) = tick(place, "report__order")[0]
    ended = dg.DagsterRun(job_name="job", status=dg.DagsterRunStatus.CANCELED, tags=dict(request.tags))
    with open_instance(place.root / ".mesh") as instance:
        instance.add_run(ended)
    total = env.mesh.tables["report.total"]
    failed(place.env(), total, run=ended.run_id, message="cancelled by ann", status="cancelled")
    catalog.cancel_backfill(place.env(), catalog.backfill_named(place.env(), asked.id))
    assert tick(place, "report__order")[0] == []
    again = Backfills(env.ledger.store).start(plan.table, plan.days, "test")
    place.run("claims")
    (request,) = tick(place, "report__order")[0]
    assert [key.to_user_string() for key in request.asset_selection] == ["report/total"]
    done = backfill(place, "2026-01-06")["backfill"]
    assert (done["id"], done["state"]) == (again.id, "delivered")
    assert contents(place)["total"] == 25


@pytest.mark.long
def test_a_held_input_gives_nothing_away(place):
    """A reader that reads on an older version is built whole once it takes a new one: days that it never took are among them."""
    place.domain(
        "report",
        """
        inputs: [{port: claims.by_day, partition_mapping: same, contract: in_by_day.odcs.yaml, on_failure: hold}]
        outputs: [{port: by_week}]
        tables:
          by_week: {partitions: weekly, partition_by: week, start: 2025-12-28}
        """,
    )
    place.contract(
        "report.by_day", {"day": "DATE", "n": "BIGINT; logicalTypeOptions: {maximum: 100}"}, name="in_by_day"
    )
    place.run()
    events(place, 500, 2, 4)
    place.run("claims/raw_events")
    backfill(place, "2026-01-05")
    assert contents(place)["weeks"] == [3, 4], "it holds on to the version before"
    events(place, 50, 2, 40)
    place.run("claims/raw_events")
    for day in ("2026-01-05", "2026-01-20"):
        backfill(place, day)
    assert contents(place)["weeks"] == [52, 40]


@pytest.mark.parametrize(
    ("table", "first", "last", "says"),
    [
        ("report/total", "2026-01-01", "", "report/total has no partitions\n    Build it whole"),
        ("claims/by_dya", "2026-01-01", "", "by_day"),
        ("claims", "2026-01-01", "", "`claims` is a domain"),
        ("claims/by_day", "2026-13-01", "", "--from is `2026-13-01`, which is no day"),
        ("claims/by_day", "2026-01-05", "2026-01-04", "is after the last"),
        (
            "claims/by_day",
            "2025-01-05",
            "2025-01-06",
            "has no partition in 2025-01-05 to 2025-01-06\n    It has those of",
        ),
    ],
)
def test_what_cannot_be_backfilled_is_told(template, table, first, last, says):
    """Each with what to do; nothing is recorded."""
    result = CliRunner().invoke(
        app, ["backfill", "run", table, "--from", first, "--to", last, "--mesh", str(template.root)]
    )
    assert isinstance(result.exception, MeshError)
    assert says in str(result.exception)
    assert not Backfills(template.env().ledger.store).last()


def test_dagster_knows_the_mapping(place):
    """A backfill that a person launches in Dagster takes the same weeks."""
    from mesh_assets.orchestration.load import load

    graph = load(place.root, settings=place.settings).definitions.resolve_asset_graph()
    day, week = (sensors.keys.of(name) for name in ("claims.by_day", "report.by_week"))
    mapping = graph.get_partition_mapping(week, day)
    assert (mapping.start_offset, mapping.end_offset) == (0, 0)


# -- whatever happens, what is built in part is what would be built whole --------------------------------------------------

COUNTS = [2, pytest.param(60, marks=pytest.mark.slow)]


@pytest.mark.long
@pytest.mark.parametrize("histories", COUNTS)
def test_parts_give_what_the_whole_gives(tmp_path, histories):
    """Random days of a random input again and again, random mappings: the reader, built in part, equals it built whole."""
    limited = 0
    for seed in range(histories):
        limited += _history(tmp_path / str(seed), random.Random(seed))
    assert limited >= histories, "hardly anything was built in part"


def _history(root, rng):
    before, after = rng.choice([(0, 0), (1, 0), (0, 1), (2, 1)])
    place = Place(root)
    place.domain(
        "a", "outputs: [{port: days}]\ntables:\n  days: {partitions: daily, partition_by: day, start: 2026-01-04}\n"
    )
    place.domain(
        "b",
        f"""
        inputs: [{{port: a.days, partition_mapping: {{before: {before}, after: {after}}}}}]
        tables:
          weeks: {{partitions: weekly, partition_by: week, start: 2026-01-04}}
        """,
    )
    for table in ("a.days", "b.weeks"):
        place.contract(table, {"day" if table == "a.days" else "week": "DATE", "n": "BIGINT"})
        place.sql(table, "select 1 as n" if table == "a.days" else "select n from a.days")
    env, numbers = place.env(), {}
    weeks = [f"2026-{month:02}-{day:02}" for month, day in ((1, 4), (1, 11), (1, 18), (1, 25))]

    def days(_con, partition):
        rows = [f"(date '{day}', {n})" for day, n in sorted(numbers.items()) if partition.start <= day < partition.end]
        return f"select day, n::bigint as n from (values {', '.join(rows) or '(null::date, 0)'}) v(day, n) where day is not null"

    def weeks_of(con, partition):
        values = ", ".join(f"(date '{week}')" for week in weeks)
        return f"""
            select week, (select coalesce(sum(n), 0)::bigint from a.days
                where day >= week - {before} and day < week + 7 + {after}) as n
            from (values {values}) v(week) where week >= date '{partition.start}' and week < date '{partition.end}'"""

    limited = 0
    for step in range(7):
        state = env.state()
        for day in rng.sample([f"2026-01-{day:02}" for day in range(4, 32)], rng.randint(1, 3)):
            numbers[day] = rng.randint(1, 9)
            part = Partition(start=day, end=f"2026-01-{int(day[-2:]) + 1:02}" if day < "2026-01-31" else "2026-02-01")
            whole = step == 0 or rng.random() < 0.1
            wanted = Partition(start="2026-01-04", end="2027-12-31") if whole else part
            build.build(env, env.mesh.tables["a.days"], days, run=f"a{step}{day}", partition=wanted)
        if step and rng.random() < 0.3:
            continue  # the reader does not look every time
        state = env.state()
        part = state.parts.get("b.weeks")
        limited += part is not None
        wanted = part or Partition(start="2026-01-04", end="2027-12-31")
        build.build(env, env.mesh.tables["b.weeks"], weeks_of, run=f"b{step}", partition=wanted)
        assert env.state().parts.get("b.weeks") is None, "it is up to date"
        found = dict(place.rows("select week::varchar, n from b.weeks"))
        with env.lake.session() as con:
            env.lake.show(con, "a.days", env.ledger.versions()["a.days"].version)
            whole_table = Partition(start="2026-01-04", end="2027-12-31")
            truth = {str(week): n for week, n in con.execute(weeks_of(con, whole_table)).fetchall()}
        assert found == truth, f"step {step}, part {part}"
    return limited
