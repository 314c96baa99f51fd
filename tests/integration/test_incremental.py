"""Tables that grow: append, upsert by key, and Dagster partitions."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from mesh_assets import catalog
from mesh_assets.orchestration import account
from mesh_assets.orchestration.instance import open_instance
from mesh_assets.orchestration.load import load
from tests.making import Place

COLUMNS = {"day": "DATE; required: true", "id": "BIGINT; required: true", "n": "BIGINT"}


@pytest.fixture
def place(tmp_path):
    """A domain whose raw events come in daily files."""
    place = Place(tmp_path)
    place.domain("log", "inputs: [{source: raw/events/*.csv, as: raw_events}]\n")
    place.write("domains/log/raw/events/1.csv", "day,id,n\n2026-01-01,1,1\n2026-01-02,2,1\n")
    place.contract("log.raw_events", COLUMNS)
    return place


def options(place, text):
    """Give the domain `tables:` options."""
    place.domain("log", "inputs: [{source: raw/events/*.csv, as: raw_events}]\ntables:\n" + text)


def test_append_adds_the_rows_that_are_new(place):
    """`this` is the table's own last version; the first time it is empty."""
    options(place, "  events: {load: append}\n")
    place.sql("log.events", "select * from log.raw_events where id > (select coalesce(max(id), 0) from this)")
    place.contract("log.events", COLUMNS | {"id": "BIGINT; required: true; unique: true"})
    assert place.statuses()["log/events"] == "published"
    first = place.version("log.events")
    place.write("domains/log/raw/events/2.csv", "day,id,n\n2026-01-03,3,5\n")
    assert place.statuses()["log/events"] == "published"
    assert place.rows("select id, n from log.events order by id") == [(1, 1), (2, 1), (3, 5)]
    assert place.rows("select count(*) from log.events", at=first) == [(2,)]
    assert place.statuses()["log/events"] == "unchanged"


def test_the_tests_are_on_the_whole_table_not_on_the_new_rows(place):
    """An appended row that repeats an old key is found."""
    options(place, "  events: {load: append}\n")
    place.sql("log.events", "select * from log.raw_events where n > (select coalesce(max(n), 0) from this)")
    place.contract("log.events", COLUMNS | {"id": "BIGINT; required: true; unique: true"})
    place.run()
    place.write("domains/log/raw/events/2.csv", "day,id,n\n2026-01-03,1,9\n")
    assert place.statuses()["log/events"] == "held"
    assert place.rows("select count(*) from log.events") == [(2,)]


def test_upsert_replaces_rows_by_key(place):
    """A later row of the same key takes its place."""
    options(place, "  latest: {load: upsert, key: [id]}\n")
    place.sql("log.latest", "select * from log.raw_events where n > (select coalesce(max(n), 0) from this)")
    place.contract("log.latest", COLUMNS | {"id": "BIGINT; required: true; unique: true"})
    place.run()
    place.write("domains/log/raw/events/2.csv", "day,id,n\n2026-01-03,1,9\n2026-01-03,3,9\n")
    assert place.statuses()["log/latest"] == "published"
    assert place.rows("select id, n from log.latest order by id") == [(1, 9), (2, 1), (3, 9)]


@pytest.mark.long
def test_a_column_more_is_empty_in_the_old_rows_and_a_changed_one_is_refused(place):
    """No old row is lost; only a person's `--force` loads an incremental table whole."""
    options(place, "  events: {load: append}\n")
    place.sql("log.events", "select id, n from log.raw_events where id > (select coalesce(max(id), 0) from this)")
    place.contract("log.events", {"id": "BIGINT", "n": "BIGINT"})
    place.run()
    place.sql("log.events", "select id, n, day from log.raw_events where id > (select coalesce(max(id), 0) from this)")
    place.contract("log.events", {"id": "BIGINT", "n": "BIGINT", "day": "DATE"})
    place.write("domains/log/raw/events/1.csv", "day,id,n\n2026-01-03,3,1\n")
    assert place.statuses()["log/events"] == "published"
    assert place.rows("select count(*), count(day) from log.events") == [(3, 1)]
    assert place.env().ledger.history("log.events")[0].record["rows"] == 3
    place.sql("log.events", "select id, n::varchar as n, day from log.raw_events")
    place.contract("log.events", {"id": "BIGINT", "n": "VARCHAR", "day": "DATE"})
    report = {row["table"]: row for row in place.run()["tables"]}
    assert report["log/events"]["status"] == "failed"
    assert "column `n` is VARCHAR now, it was BIGINT" in report["log/events"]["message"]
    assert place.rows("select count(*) from log.events") == [(3,)]
    assert place.statuses("log/events", force=True)["log/events"] == "published"
    assert place.rows("select id, n from log.events") == [(3, "1")]


@pytest.mark.long
def test_a_partition_alone_does_not_settle_the_table(place):
    """Its other partitions still wait for the change: the table stays due, and the rest is built."""
    options(place, PARTITIONED)
    place.sql("log.daily", QUERY)
    place.contract("log.daily", COLUMNS)
    place.run()
    place.write("domains/log/raw/events/1.csv", "day,id,n\n2026-01-01,1,7\n2026-01-02,2,7\n")
    place.run("log/raw_events")
    assert partition(place, "2026-01-02").success
    assert place.statuses()["log/daily"] == "published"
    assert place.rows("select n from log.daily order by day") == [(7,), (7,)]


@pytest.mark.long
def test_todays_rows_are_in_the_open_partition(place):
    """A row of today is published, not left out until its day is over."""
    options(place, PARTITIONED)
    today = datetime.now(UTC).date().isoformat()
    place.write("domains/log/raw/events/2.csv", f"day,id,n\n{today},9,9\n")
    place.sql("log.daily", QUERY)
    place.contract("log.daily", COLUMNS)
    assert place.statuses()["log/daily"] == "published"
    assert place.rows("select max(id) from log.daily") == [(9,)]


def test_a_held_increment_is_tested_as_the_whole_table(place):
    """`mesh test` finds what held it, also when the fault is between old and new rows."""
    options(place, "  events: {load: append}\n")
    place.sql("log.events", "select * from log.raw_events where n > (select coalesce(max(n), 0) from this)")
    place.contract("log.events", COLUMNS | {"id": "BIGINT; required: true; unique: true"})
    place.run()
    place.write("domains/log/raw/events/2.csv", "day,id,n\n2026-01-03,1,9\n")
    place.run()
    failing = [item["name"] for item in place.test("log/events") if item["status"] == "fail"]
    assert failing == ["id__unique"]


PARTITIONED = "  daily: {partitions: daily, partition_by: day, start: 2026-01-01}\n"
QUERY = (
    "select * from log.raw_events where day >= getvariable('partition_start') and day < getvariable('partition_end')"
)


def partition(place, key):
    """Materialise one partition, as a person does in Dagster."""
    definitions = load(place.root, settings=place.settings).definitions
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={dg.AssetKey(["log", "daily"])}
    )
    with open_instance(place.root / ".mesh") as instance:
        return job.execute_in_process(instance=instance, partition_key=key, raise_on_error=False)


@pytest.mark.long
def test_a_sql_table_with_daily_partitions(place):
    """`mesh run` builds every partition so far; Dagster builds one, and the others stay."""
    options(place, PARTITIONED)
    place.sql("log.daily", QUERY)
    place.contract("log.daily", COLUMNS)
    assert place.statuses()["log/daily"] == "published"
    assert place.rows("select count(*) from log.daily") == [(2,)]
    place.write("domains/log/raw/events/1.csv", "day,id,n\n2026-01-01,1,7\n2026-01-02,2,7\n")
    place.run("log/raw_events")
    done = partition(place, "2026-01-02")
    assert done.success
    assert place.rows("select day::varchar, n from log.daily order by day") == [("2026-01-01", 1), ("2026-01-02", 7)]
    assert {one.partition for one in done.get_asset_check_evaluations()} == {"2026-01-02"}


@pytest.mark.long
@pytest.mark.parametrize("given_back", ["rows", "rows.pl()"], ids=["relation", "frame"])
def test_a_python_table_with_daily_partitions(place, given_back):
    """The relation that it is given knows the range, as SQL does; without a partition it is all there can be."""
    options(place, PARTITIONED)
    place.contract("log.daily", COLUMNS)
    place.write(
        "domains/log/assets.py",
        f"""
        import mesh_assets


        @mesh_assets.table
        def daily(raw_events):
            rows = raw_events.filter("day >= getvariable('partition_start') and day < getvariable('partition_end')")
            return {given_back}
        """,
    )
    assert place.statuses()["log/daily"] == "published"
    assert place.rows("select count(*) from log.daily") == [(2,)]
    place.write("domains/log/raw/events/1.csv", "day,id,n\n2026-01-01,1,7\n2026-01-02,2,7\n")
    place.run("log/raw_events")
    assert partition(place, "2026-01-02").success
    assert place.rows("select day::varchar, n from log.daily order by day") == [("2026-01-01", 1), ("2026-01-02", 7)]


@pytest.mark.long
def test_a_plain_asset_with_daily_partitions(place):
    """An ordinary `@dg.asset` with Dagster's own partitions definition."""
    options(place, PARTITIONED)
    place.contract("log.daily", COLUMNS)
    place.write(
        "domains/log/assets.py",
        """
        import dagster as dg
        import polars as pl


        @dg.asset(
            partitions_def=dg.DailyPartitionsDefinition(start_date="2026-01-01"),
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def daily(context: dg.AssetExecutionContext, raw_events: pl.DataFrame) -> pl.DataFrame:
            window = context.partition_time_window
            first, last = window.start.date(), window.end.date()
            return raw_events.filter((pl.col("day") >= first) & (pl.col("day") < last))
        """,
    )
    place.run("log/raw_events")
    assert partition(place, "2026-01-02").success
    assert place.rows("select id from log.daily") == [(2,)]
    assert partition(place, "2026-01-01").success
    assert place.rows("select id from log.daily order by id") == [(1,), (2,)]
    assert place.statuses()["log/daily"] == "unchanged", "the whole range is built, in one run"
    assert place.run()["runs"] == []


@pytest.mark.long
@pytest.mark.parametrize("key", [None, "2026-01-02"])
def test_checks_of_a_partitioned_table_run_alone_with_and_without_a_partition(place, key):
    """A change upstream has them run for the whole table; a person may ask for the day that is looked at."""
    options(place, PARTITIONED)
    place.sql("log.daily", QUERY)
    place.contract("log.daily", COLUMNS)
    place.run()
    job = load(place.root, settings=place.settings).definitions.resolve_implicit_global_asset_job_def()
    checks = {
        one for one in job.asset_layer.asset_graph.asset_check_keys if one.asset_key == dg.AssetKey(["log", "daily"])
    }
    with open_instance(place.root / ".mesh") as instance:
        done = job.get_subset(asset_selection=set(), asset_check_selection=checks).execute_in_process(
            instance=instance, partition_key=key, raise_on_error=False
        )
        assert done.success
        assert {(one.passed, one.partition) for one in done.get_asset_check_evaluations()} == {(True, key)}


@pytest.mark.long
def test_other_partitions_build_the_table_whole_and_leave_no_gap(place):
    """A definition that changes is a change of the code: the table is exactly its partitions then, in Dagster as well."""
    place.sql("log.daily", QUERY)
    place.contract("log.daily", COLUMNS)
    found = []
    for said in ("daily, partition_by: day, start: 2026-01-02", "daily, partition_by: day, start: 2026-01-01",
                 "weekly, partition_by: day, start: 2025-12-28", "monthly, partition_by: day, start: 2025-12-01"):  # fmt: skip
        options(place, f"  daily: {{partitions: {said}}}\n")
        place.run()
        env = place.env()
        with open_instance(env.home) as instance:
            account.read_back(instance, env, frozenset(env.mesh.domains))
        (row,) = (row for row in catalog.status(env)["tables"] if row["table"] == "log/daily")
        found.append((place.rows("select count(*) from log.daily")[0][0], row["state"], row["last"]))
    assert found == [
        (1, "on time", "published"),
        (2, "on time", "published"),
        (2, "on time", "unchanged"),
        (2, "on time", "unchanged"),
    ]
    assert place.run()["runs"] == []
