"""Backfills over domains, and Dagster's own freshness, under a real daemon with a code location per domain."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mesh_assets.ledger import process_started
from tests.e2e.test_daemon import Dev
from tests.integration.test_backfills import contents, days_built, events, make
from tests.making import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
DOMAINS = ("claims", "report", "board")
WORKSPACE = "load_from:\n" + "".join(
    f"  - python_module: {{module_name: mesh_assets.locations, attribute: {name}, location_name: {name}, "
    'working_directory: "."}\n'
    for name in DOMAINS
)
TOTAL = """
import os
import time
from pathlib import Path

import mesh_assets

HERE = Path(__file__).parent


@mesh_assets.table(inputs=["report.by_week"])
def total(by_week):
    added = by_week.aggregate("sum(n)::bigint as n")
    if (HERE / "wait").exists():
        (HERE / "pid").write_text(str(os.getpid()))
        while (HERE / "wait").exists():
            time.sleep(0.1)
    return added
"""


@pytest.fixture(scope="module")
def dev(tmp_path_factory) -> Iterator[Dev]:
    """Days in one domain, weeks of them in the next, and their total, which takes as long as a file is there."""
    place = make(tmp_path_factory.mktemp("over"))
    place.write("workspace.yaml", WORKSPACE)
    (place.root / "domains/report/sql/total.sql").unlink()
    place.write("domains/report/assets.py", TOTAL)
    place.contract("report.total", {"n": "BIGINT"})
    contract = place.root / "domains/claims/contracts/raw_events.odcs.yaml"
    contract.write_text(contract.read_text() + "slaProperties: [{property: freshness, value: 1, unit: minutes}]\n")
    for names in ([], ["claims/by_day"], [], ["board"]):  # two of them are built by hand, and once a year
        place.run(*names)
    assert contents(place) == {"days": [1, 2, 4], "weeks": [3, 4], "total": 7, "figure": 4}
    dev = Dev(place)
    dev.start()
    yield dev
    (place.root / "domains/report/wait").unlink(missing_ok=True)
    dev.stop()


def said(place: Place, *words: str) -> dict:
    """What a command prints as JSON, typed by a person beside the running services."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MESH_", "DAGSTER"))}
    command = [Path(sys.executable).with_name("mesh"), *words, "--json", "--mesh", place.root]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, check=False)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def changed(dev: Dev, *numbers: int) -> None:
    """Other numbers for the three days, in the raw table as well."""
    events(dev.place, *numbers)
    dev.wait(
        "the raw table",
        lambda: [n for (n,) in dev.place.rows("select n from claims.raw_events order by day")] == list(numbers),
    )


def test_a_day_is_built_again_over_all_locations(dev):
    """The day, its week in the next domain, and what has no partitions; one status from the first to the last."""
    place = dev.place
    before = place.run()
    assert before["runs"] == []
    changed(dev, 10, 20, 40)
    made = said(place, "backfill", "launch", "claims/by_day", "--from", "2026-01-06")
    dev.wait("it is over", lambda: said(place, "backfill", "show", made["id"])["state"] != "running")
    told = said(place, "backfill", "show", made["id"])
    assert told["state"] == "delivered"
    assert {one["table"]: one["state"] for one in told["tables"]} == {
        "claims/by_day": "published",
        "report/by_week": "published",
        "report/total": "published",
        "board/figure": "published",
    }
    assert days_built(place, "claims.by_day", told["at"]) == [("2026-01-06", "2026-01-07")]
    assert days_built(place, "report.by_week", told["at"]) == [("2026-01-04", "2026-01-11")]
    assert contents(place) == {"days": [1, 20, 4], "weeks": [21, 4], "total": 25, "figure": 21}
    built = {domain: len(dev.runs(mesh__domain=domain, mesh__trigger="order")) for domain in DOMAINS}
    for domain in DOMAINS:
        assert dev.looked(f"{domain}__order")
    assert {domain: len(dev.runs(mesh__domain=domain, mesh__trigger="order")) for domain in DOMAINS} == built


def test_cancelled_while_a_later_domain_works(dev):
    """The step ends, what was published stays, nobody begins it again; another backfill builds the rest."""
    place, folder = dev.place, dev.place.root / "domains/report"
    (folder / "pid").unlink(missing_ok=True)
    (folder / "wait").touch()
    changed(dev, 10, 200, 40)
    before = contents(place)["total"]
    made = said(place, "backfill", "launch", "claims/by_day", "--from", "2026-01-06")
    dev.wait("the total is computed", lambda: (folder / "pid").exists() and (folder / "pid").read_text())
    dev.wait("what does not need it goes on", lambda: contents(place)["figure"] == 201)
    pid = int((folder / "pid").read_text())
    told = said(place, "backfill", "cancel", made["id"])
    assert told["state"] == "cancelled"
    assert [(run["tables"], run["over"]) for run in told["ended_runs"]] == [(["report/total"], True)]
    dev.wait("the worker has ended", lambda: not process_started(pid))
    (folder / "wait").unlink()
    for domain in DOMAINS:
        assert dev.looked(f"{domain}__order", 3)
    now = contents(place)
    assert (now["days"], now["weeks"]) == ([1, 200, 4], [201, 4])
    assert now["total"] == before, "it was begun again"
    assert dev.runs(mesh__domain="report", mesh__trigger="order")[0].status == dg.DagsterRunStatus.CANCELED
    again = said(place, "backfill", "launch", "claims/by_day", "--from", "2026-01-06")
    dev.wait("another is over", lambda: said(place, "backfill", "show", again["id"])["state"] != "running")
    assert said(place, "backfill", "show", again["id"])["state"] == "delivered"
    assert contents(place)["total"] == 205


def test_freshness_is_dagsters_own(dev):
    """A promise of one minute that nobody keeps: Dagster's daemon finds it, and `mesh status` shows what it found."""
    seen = lambda: {row["table"]: row["freshness"] for row in said(dev.place, "status")["tables"]}
    dev.wait("it is stale", lambda: seen()["claims/raw_events"] == "FAIL")
    assert seen()["report/by_week"] is None, "it promises nothing"
    changed(dev, 11, 21, 41)
    dev.wait("it is fresh again", lambda: seen()["claims/raw_events"] == "PASS")
    dev.wait("and stale again", lambda: seen()["claims/raw_events"] == "FAIL")
