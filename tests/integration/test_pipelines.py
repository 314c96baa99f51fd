"""Launches of horizontal pipelines over several domains: by command, by Dagster's job and sensors, on both kinds of ledger."""

import threading

import pytest

from mesh_assets import catalog, step
from mesh_assets.catalog import account
from mesh_assets.errors import UsageError
from mesh_assets.launches import Launches
from mesh_assets.ledger import Ledger
from mesh_assets.orchestration.instance import open_instance
from mesh_assets.orchestration.load import load
from mesh_assets.order import due
from mesh_assets.running import run_pipeline
from tests.integration.test_sensors import selected, tick
from tests.making import Place, Quiet, launch

YAML = """
mesh: test
pipelines:
  report: {delivers: desk/report, by: "07:00 Europe/Zurich", schedule: "0 6 * * *"}
"""


@pytest.fixture
def place(tmp_path) -> Place:
    """A source that is read on Sundays, a manual table in another domain, and a report of both; and what is none of it."""
    place = Place(tmp_path)
    place.write("mesh.yaml", YAML)
    place.domain("base", "inputs: [{source: raw/items.csv}]\noutputs: [{port: items}]\nautomation: '0 2 * * 0'\n")
    place.contract("base.items", {"id": "BIGINT", "price": "BIGINT; logicalTypeOptions: {maximum: 100}"})
    items(place, 10)
    place.domain("prices", "inputs: [{port: base.items}]\noutputs: [{port: total}]\nautomation: manual\n")
    place.sql("prices.total", "select sum(price)::bigint as total from base.items")
    place.contract("prices.total", {"total": "BIGINT"})
    place.domain("desk", "inputs: [{port: prices.total}, {port: base.items}]\n")
    place.sql("desk.report", "select total, (select count(*) from base.items) as n from prices.total")
    place.domain("aside", "inputs: [{port: base.items}]\n")
    place.sql("aside.other", "select count(*) as n from base.items")
    return place


def items(place: Place, *prices: int) -> None:
    """Write the raw file anew."""
    lines = [f"{number},{price}" for number, price in enumerate(prices)]
    place.write("domains/base/raw/items.csv", "\n".join(["id,price", *lines]) + "\n")


def run(place: Place) -> dict:
    """`mesh run --pipeline report --json`."""
    return run_pipeline(place.env(), "report", settings=place.settings, progress=Quiet())


def shown(place: Place) -> dict:
    """`mesh pipeline show report --json`."""
    env = place.env()
    return catalog.pipeline_report(env, env.mesh.pipelines["report"])


def test_a_launch_builds_over_domains_what_else_waits_for_its_time_or_a_person(place):
    report = run(place)
    assert {row["table"]: row["status"] for row in report["tables"]} == {
        "base/items": "published", "prices/total": "published", "desk/report": "published",
    }  # fmt: skip
    told = report["pipeline"]
    assert (told["state"], told["launch"]["outcome"], told["late"]) == ("delivered", "delivered", False)
    assert told["critical_path"] == ["base/items", "prices/total", "desk/report"]
    assert [step["state"] for step in told["steps"]] == ["published"] * 3
    assert all(step["run"] > 0 and step["queue"] >= 0 for step in told["steps"])
    assert (
        place.env().lake.tables() == {"base.items", "prices.total", "desk.report"}
        or "aside.other" not in place.env().lake.tables()
    )
    items(place, 10, 20)
    assert set(place.statuses("desk").values()) == {"unchanged"}  # neither Sunday nor asked for
    assert run(place)["pipeline"]["state"] == "delivered"
    assert place.rows("select total, n from desk.report") == [(30, 2)]
    assert [one["outcome"] for one in shown(place)["launches"]] == ["delivered", "delivered"]


def test_a_failed_launch_says_why_and_is_resumed_without_what_had_succeeded(place):
    run(place)
    items(place, 10, 2000)
    report = run(place)
    told = report["pipeline"]
    assert told["state"] == "incomplete"
    assert told["behind"] == ["base/items"]
    assert "failed" in told["sentence"]
    assert {row["table"]: row["status"] for row in report["tables"]}["base/items"] == "held"
    assert {step["table"]: (step["state"], step["why"]) for step in told["steps"][1:]} == dict.fromkeys(
        ("prices/total", "desk/report"), ("unchanged", "as before: base/items is held")
    )
    assert place.rows("select total, n from desk.report") == [(10, 1)]
    items(place, 10, 20)
    again = run(place)["pipeline"]
    assert again["state"] == "delivered"
    assert place.rows("select total, n from desk.report") == [(30, 2)]
    versions = {step["table"]: step["version"] for step in again["steps"]}
    assert {step["table"]: step["version"] for step in run(place)["pipeline"]["steps"]} == versions


def test_what_cannot_be_built_fails_it(place):
    place.sql(
        "desk.report", "select total / (select count(*) from base.items) as x, error('no') as y from prices.total"
    )
    told = run(place)["pipeline"]
    assert (told["state"], told["behind"]) == ("failed", ["desk/report"])
    place.sql("desk.report", "select total from prices.total")
    again = run(place)["pipeline"]
    assert again["state"] == "delivered"
    states = {step["table"]: step["state"] for step in again["steps"]}
    assert states == {"base/items": "unchanged", "prices/total": "unchanged", "desk/report": "published"}


def test_a_paused_domain_holds_a_launch_up_and_nobody_else(place):
    run(place)
    Launches(place.env().ledger.store).pause("prices", "ann", "moving")
    items(place, 1, 2)
    assert run(place)["pipeline"]["sentence"].endswith("prices is paused")
    assert place.rows("select total, n from desk.report") == [(10, 2)]  # a manual table begins a generation of its own
    assert catalog.status(place.env())["paused"][0]["why"] == "moving"
    assert Launches(place.env().ledger.store).resume("prices")
    assert run(place)["pipeline"]["state"] == "delivered"
    assert place.rows("select total, n from desk.report") == [(3, 2)]


def test_the_daemon_carries_a_launch_from_location_to_location(place):
    """The job only asks; each domain's sensor builds its part in its own code location; the last sensor ends the launch."""
    definitions = load(place.root, only="desk", settings=place.settings).definitions
    job = definitions.get_repository_def().get_job("launch__report")
    schedule = definitions.get_repository_def().get_schedule_def("launch__report")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 6 * * *", "Europe/Zurich")
    assert not load(place.root, only="base", settings=place.settings).definitions.get_repository_def().schedule_defs
    with open_instance(place.root / ".mesh") as instance:
        assert job.execute_in_process(instance=instance).success
    assert shown(place)["state"] == "running"
    for domain, table in (("base", "base/items"), ("prices", "prices/total"), ("desk", "desk/report")):
        assert tick(place, "desk__pipelines", only="desk")[0] == []
        assert shown(place)["state"] == "running"
        (request,) = tick(place, f"{domain}__order", only=domain)[0]
        assert table in selected(request)
        assert launch(place, domain, *sorted(selected(request)))
    tick(place, "desk__pipelines", only="desk")
    told = shown(place)
    assert (told["state"], told["launch"]["by"]) == ("delivered", "Dagster")
    assert Launches(place.env().ledger.store).going_on() == ()
    assert tick(place, "prices__order", only="prices")[0] == []


def test_a_launch_that_is_cancelled_asks_for_nothing_more(place):
    env = place.env()
    Launches(env.ledger.store).start("report", "ann")
    told = catalog.cancel(env, env.mesh.pipelines["report"])
    assert (told["state"], told["launch"]["outcome"]) == ("cancelled", "cancelled")
    with pytest.raises(UsageError, match="no launch of report goes on"):
        catalog.cancel(env, env.mesh.pipelines["report"])
    assert place.statuses()["prices/total"] == "skipped"


def test_a_new_launch_tries_again_what_was_cancelled(place):
    """By the daemon, too: an eager table, of which nothing has changed since."""
    env = place.env()
    place.run("base/items", "prices/total")
    step.failed(env, env.mesh.tables["desk.report"], run="ended", message="cancelled by ann", status="cancelled")
    assert due(env.mesh, env.state()).why["desk.report"].sentence == "cancelled by ann, and nothing has changed since"
    assert tick(place, "desk__order", only="desk")[0] == []
    Launches(env.ledger.store).start("report", "ann")
    for domain, table in (("base", "base/items"), ("prices", "prices/total"), ("desk", "desk/report")):
        (request,) = tick(place, f"{domain}__order", only=domain)[0]
        assert request.tags["mesh/closure"] == "retry"
        assert launch(place, domain, table, tags=request.tags)
    assert shown(place)["behind"] == []
    assert place.rows("select total, n from desk.report") == [(10, 1)]


def test_a_pipeline_that_is_no_longer_declared_ends(place):
    Launches(place.env().ledger.store).start("report", "ann")
    place.write("mesh.yaml", "mesh: test\n")
    assert [one.pipeline for one in catalog.settle(place.env())] == ["report"]
    assert place.env().state().ticked == frozenset()


def test_launches_at_the_same_time_are_one(tmp_path, lake_config):
    """Ten threads, on SQLite and on PostgreSQL."""
    ledger = Ledger(tmp_path, lake_config)
    barrier, found = threading.Barrier(10), []

    def ask() -> None:
        barrier.wait()
        found.append(Launches(ledger.store).start("report", "somebody").id)

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 10
    assert len(set(found)) == 1
    launches = Launches(ledger.store)
    assert launches.end(found[0], "delivered", {"state": "delivered"})
    assert not launches.end(found[0], "failed", {})
    assert launches.start("report", "later").id != found[0]
    assert [one.outcome for one in launches.of("report")] == ["", "delivered"]
    launches.pause("sales", "ann", "a")
    assert launches.pause("sales", "bob", "b").by == "ann"
    assert list(launches.paused()) == ["sales"]
    ledger.close()


def test_a_schedule_of_a_kitchen_launches_nothing(place):
    kitchen = place.settings.model_copy(update={"kitchen": "mine"})
    assert not load(place.root, settings=kitchen).definitions.get_repository_def().schedule_defs
    names = {job.name for job in load(place.root, settings=kitchen).definitions.get_repository_def().get_all_jobs()}
    assert "launch__report" in names


def test_names_that_differ_in_punctuation_only_are_several_jobs(place):
    one = "{delivers: desk/report, schedule: '0 6 * * *'}"
    names = ("desk_a", "desk-a", "desk a", "desk__a", "täglich", "t_glich")
    place.write("mesh.yaml", "mesh: test\npipelines:\n" + "".join(f"  {name}: {one}\n" for name in names))
    file = place.root / "domains/desk/domain.yaml"
    file.write_text(file.read_text() + "pipelines: {a: {delivers: report}}\n")
    repository = load(place.root, settings=place.settings).definitions.get_repository_def()
    jobs = {job.name for job in repository.get_all_jobs() if job.name.startswith("launch__")}
    assert len(jobs) == 7
    assert {"launch__desk_a", "launch__desk__a", "launch__t_glich"} < jobs
    assert sum(each.name in jobs for each in repository.schedule_defs) == 6


def test_its_history_tells_how_launches_went(place):
    """Newest first: cancelled, incomplete, delivered; of those that ended the shares, and the seconds of the critical path."""
    run(place)
    items(place, 10, 5000)
    run(place)
    Launches(place.env().ledger.store).start("report", "test")
    env = place.env()
    catalog.cancel(env, env.mesh.pipelines["report"])
    told = account.history(place.env(), "report")
    assert [row["outcome"] for row in told["launches"]] == ["cancelled", "incomplete", "delivered"]
    assert told["measures"]["launches"] == 2
    assert (told["measures"]["delivered"], told["measures"]["on_time"]) == (0.5, 0.5)
    first = told["launches"][-1]
    assert first["critical_path"] == ["base/items", "prices/total", "desk/report"]
    assert 0 < first["run"] <= first["seconds"] == told["measures"]["median_seconds"]
    assert first["queue"] >= 0
    assert "base/items" in told["launches"][1]["sentence"]
    with pytest.raises(UsageError, match="Did you mean `report`"):
        account.history(place.env(), "raport")
