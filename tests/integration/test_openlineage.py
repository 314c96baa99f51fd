"""Events of OpenLineage: of a mesh that was really run, and sent to a server that is down, refuses, or is cut off."""

import copy
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from mesh_assets import catalog
from mesh_assets.commands import lineage as commands
from mesh_assets.domain import Database, LakeConfig
from mesh_assets.environment import Environment
from mesh_assets.errors import UsageError
from mesh_assets.launches import Launches
from mesh_assets.ledger import Attempt, Version
from mesh_assets.mesh import read_mesh
from mesh_assets.openlineage import naming, outbox
from mesh_assets.orchestration import account as dagsters
from mesh_assets.orchestration.instance import open_instance
from mesh_assets.running import run_pipeline
from tests.conftest import PASSWORD, free_port
from tests.making import Place, Quiet
from tests.openlineage_schema import problems, published

KEY = "k3y-of-the-lineage-service"
YAML = """
mesh: test
repository: "https://git.example.com/mesh/blob/{commit}/{path}"
pipelines:
  board: {title: For the board, delivers: finance/revenue}
"""


# -- a mesh that was run ---------------------------------------------------------------------------------------------------


def sold(place, *amounts):
    """Write the shop's raw file anew."""
    place.write("domains/shop/raw/sold/1.csv", "Amount,region\n" + "".join(f"{amount},a\n" for amount in amounts))


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A launch that delivered; then a file that its contract refuses, SQL that fails, and all well again."""
    place = Place(tmp_path_factory.mktemp("ran"))
    place.write("mesh.yaml", YAML)
    elsewhere = place.root / "erp.duckdb"
    with duckdb.connect(str(elsewhere)) as con:
        con.execute("create table rates as select 'a' as region, 2 as rate")
    place.domain(
        "erp",
        f"outputs: [{{port: rates}}]\ntables:\n  rates: {{toolchain: external, location: 'duckdb:{elsewhere}', relation: main.rates}}\n",
    )
    place.contract("erp.rates", {"region": "VARCHAR", "rate": "INTEGER"})
    place.domain("shop", "inputs: [{source: raw/sold/*.csv}]\noutputs: [{port: sales}]\n")
    sold(place, 1, 2)
    place.contract(
        "shop.sold", {"Amount": "BIGINT; logicalTypeOptions: {minimum: 0}", "region": "VARCHAR; required: true"}
    )
    place.sql("shop.sales", "select amount, amount * 2 as twice, region, 1 as one from shop.sold where amount < 100")
    place.contract(
        "shop.sales",
        {"amount": "BIGINT; description: In cents.", "twice": "BIGINT", "region": "VARCHAR", "one": "INTEGER"},
    )
    place.domain("finance", "inputs: [{port: shop.sales}, {port: erp.rates}]\n")
    good = "select sum(s.twice * r.rate)::bigint as total from shop.sales s join erp.rates r using (region)"
    place.sql("finance.revenue", good)
    run_pipeline(place.env(), "board", settings=place.settings, progress=Quiet())
    sold(place, 1, -2)
    assert place.statuses("shop/sold") == {"shop/sold": "held"}
    sold(place, 0, 3)
    place.sql("finance.revenue", f"select error('no') from ({good})")
    assert place.statuses()["finance/revenue"] == "failed"
    place.sql("finance.revenue", good)
    assert place.statuses()["finance/revenue"] == "unchanged"  # the same sum
    return place


def events_of(place, since="1d"):
    """All events of a mesh."""
    env = place.env()
    return [event for _, made, _ in outbox.told(env, outbox.happened(env, outbox.since_of(since))) for event in made]


def the(events, job, state, number=0):
    """One event of a job."""
    return [each for each in events if each["job"]["name"] == job and each["eventType"] == state][number]


def tags(event):
    """The tags of an event's run."""
    return {each["key"]: each["value"] for each in event["run"]["facets"]["tags"]["tags"]}


def test_every_event_is_one_of_the_specification(ran):
    events = events_of(ran)
    assert [told for event in events for told in (*problems(event), *published(event))] == []
    event = the(events, "shop.sales", "COMPLETE")
    mistakes = [
        lambda told: told.update(run={"runId": "7"}),
        lambda told: told.update(eventTime="yesterday"),
        lambda told: told.update(eventType="DONE"),
        lambda told: told["job"].pop("namespace"),
        lambda told: told["job"]["facets"]["sql"].pop("query"),
        lambda told: told["outputs"][0]["facets"]["schema"]["fields"][0].update(name=1),
        lambda told: told["outputs"][0]["facets"]["version"].update(_schemaURL="https://example.com"),
        lambda told: told["outputs"][0]["facets"]["columnLineage"]["fields"]["amount"]["inputFields"][0].pop("field"),
        lambda told: told["inputs"][0].update(inputFacets={"sql": told["job"]["facets"]["sql"]}),
    ]
    for mistake in mistakes:
        wrong = copy.deepcopy(event)
        mistake(wrong)
        assert len(problems(wrong)) == 1


def test_every_run_starts_once_and_ends_once_and_is_the_same_when_asked_again(ran):
    events = events_of(ran)
    by_run = {}
    for event in events:
        by_run.setdefault(event["run"]["runId"], []).append(event)
    for mine in by_run.values():
        assert len(mine) == 2
        assert mine[0]["eventType"] == "START"
        assert mine[1]["eventType"] in ("COMPLETE", "FAIL", "ABORT")
        assert mine[0]["job"]["name"] == mine[1]["job"]["name"]
        assert mine[0]["eventTime"] <= mine[1]["eventTime"]
    assert events_of(ran) == events
    assert ran.root.name in json.dumps(events)  # where the files are
    tried = ran.env().ledger.numbered()
    assert Counter(
        each["job"]["name"]
        for each in events
        if each["eventType"] == "START"
        and "/" not in each["job"]["name"]
        and not each["job"]["name"].endswith(".tests")
    ) == Counter(attempt.table for _, attempt in tried)


def test_a_published_table_says_what_it_is_and_what_it_was_made_of(ran):
    event = the(events_of(ran), "shop.sales", "COMPLETE")
    (output,) = event["outputs"]
    facets = output["facets"]
    assert output["namespace"] == f"ducklake://{ran.root}/.mesh/lake/catalog.sqlite"
    assert [(each["name"], each["type"]) for each in facets["schema"]["fields"]] == [
        ("amount", "BIGINT"), ("twice", "BIGINT"), ("region", "VARCHAR"), ("one", "INTEGER"),
    ]  # fmt: skip
    assert facets["schema"]["fields"][0]["description"] == "In cents."
    first = ran.env().ledger.history("shop.sales")[-1]
    assert facets["version"]["datasetVersion"] == str(first.version)
    assert facets["dataQualityMetrics"]["rowCount"] == output["outputFacets"]["outputStatistics"]["rowCount"] == 2
    assert {each["name"] for each in facets["ownership"]["owners"]} == {"team:shop", "user:shop@example.com"}
    (read,) = event["inputs"]
    assert (read["name"], read["facets"]["version"]["datasetVersion"]) == (
        "shop.sold",
        str(first.record["inputs"]["shop.sold"]["version"]),
    )
    job = event["job"]
    assert (job["namespace"], job["facets"]["sql"]["dialect"]) == ("test", "duckdb")
    assert job["facets"]["sql"]["query"].startswith("select amount, amount * 2")
    assert tags(event)["mesh.outcome"] == "published"


def test_column_lineage_tells_what_is_copied_computed_and_only_looked_at(ran):
    events = events_of(ran)
    told = the(events, "shop.sales", "COMPLETE")["outputs"][0]["facets"]["columnLineage"]

    def sources(fields):
        return [(each["name"], each["field"], each["transformations"][0].get("subtype")) for each in fields]

    assert {name: sources(each["inputFields"]) for name, each in told["fields"].items()} == {
        "amount": [("shop.sold", "Amount", "IDENTITY")],
        "twice": [("shop.sold", "Amount", None)],
        "region": [("shop.sold", "region", "IDENTITY")],
    }
    assert told["dataset"] == []
    told = the(events, "finance.revenue", "COMPLETE")["outputs"][0]["facets"]["columnLineage"]
    assert sources(told["fields"]["total"]["inputFields"]) == [
        ("erp.rates", "rate", None),
        ("shop.sales", "twice", None),
    ]
    assert [(name, field) for name, field, _ in sources(told["dataset"])] == [
        ("erp.rates", "region"),
        ("shop.sales", "region"),
    ]
    assert {each["transformations"][0]["type"] for each in told["dataset"]} == {"INDIRECT"}
    assert "columnLineage" not in the(events, "shop.sold", "COMPLETE")["outputs"][0]["facets"]


def test_what_begins_outside_of_the_mesh_is_named_after_where_it_is(ran):
    events = events_of(ran)
    (files,) = the(events, "shop.sold", "COMPLETE")["inputs"]
    folder = f"{ran.root}/domains/shop/raw/sold"
    assert (files["namespace"], files["name"], files["facets"]["datasetType"]["datasetType"]) == (
        "file",
        folder,
        "FILE",
    )
    assert files["inputFacets"]["subset"]["inputCondition"] == {"type": "location", "locations": [f"{folder}/1.csv"]}
    again = the(events, "shop.sold", "COMPLETE", 1)["inputs"][0]
    assert again["facets"]["version"] != files["facets"]["version"]
    (database,) = the(events, "erp.rates", "COMPLETE")["inputs"]
    assert (database["namespace"], database["name"]) == (f"duckdb://{ran.root}/erp.duckdb", "main.rates")


def test_a_refused_file_fails_its_run_and_says_which_tests_it_failed(ran):
    events = events_of(ran)
    failed, tests = the(events, "shop.sold", "FAIL"), the(events, "shop.sold.tests", "FAIL")
    assert "Amount__minimum failed" in failed["run"]["facets"]["errorMessage"]["message"]
    assert tags(failed)["mesh.outcome"] == "held"
    (output,) = failed["outputs"]
    assert not {"version", "schema", "columnLineage", "dataQualityMetrics"} & output["facets"].keys()
    (read,) = tests["inputs"]
    assert "version" not in read["facets"]  # what was refused never was one
    said = {each["name"]: each for each in read["inputFacets"]["dataQualityAssertions"]["assertions"]}
    minimum = said["Amount__minimum"]
    assert (minimum["success"], minimum["severity"], minimum["column"]) == (False, "error", "Amount")
    assert minimum["params"] == {"failing_rows": 1, "total_rows": 2}
    assert (said["region__required"]["assertion"], said["region__required"]["success"]) == ("not_null", True)
    assert tests["run"]["facets"]["parent"]["run"]["runId"] == failed["run"]["runId"]
    passed = the(events, "shop.sold.tests", "COMPLETE")["inputs"][0]
    assert passed["facets"]["version"]["datasetVersion"] == str(ran.env().ledger.history("shop.sold")[-1].version)
    assert passed["inputFacets"]["dataQualityMetrics"]["rowCount"] == 2
    assert '"-2"' not in json.dumps(events)  # a value of a failing row


def test_code_that_fails_and_a_table_that_came_out_as_it_was(ran):
    events = events_of(ran)
    failed = the(events, "finance.revenue", "FAIL")
    assert failed["run"]["facets"]["errorMessage"]["message"].endswith("no")
    assert "sql" not in failed["job"]["facets"]  # the files say something else by now
    assert [each["name"] for each in failed["inputs"]] == ["erp.rates", "shop.sales"]
    first, again = the(events, "finance.revenue", "COMPLETE"), the(events, "finance.revenue", "COMPLETE", 1)
    assert tags(again)["mesh.outcome"] == "unchanged"
    assert again["outputs"][0]["facets"]["version"] == first["outputs"][0]["facets"]["version"]
    assert again["outputs"][0]["outputFacets"] == {}
    assert again["inputs"] != first["inputs"]


@pytest.mark.long
def test_the_launch_of_a_pipeline_is_the_parent_of_what_was_built_for_it(ran):
    events = events_of(ran)
    (launch,) = Launches(ran.env().ledger.store).of("board")
    start, end = the(events, "pipelines/board", "START"), the(events, "pipelines/board", "COMPLETE")
    assert events[0] == start
    assert {start["run"]["runId"], end["run"]["runId"]} == {launch.id}
    assert tags(end)["mesh.outcome"] == "delivered"
    assert end["job"]["facets"]["documentation"]["description"] == "For the board"
    assert start["eventTime"] <= min(each["eventTime"] for each in events[1:])
    children = [each for each in events if "parent" in each["run"]["facets"]]
    mine = {
        each["job"]["name"] for each in children if each["run"]["facets"]["parent"]["root"]["run"]["runId"] == launch.id
    }
    assert mine == {
        "erp.rates",
        "shop.sold",
        "shop.sales",
        "finance.revenue",
        "erp.rates.tests",
        "shop.sold.tests",
        "shop.sales.tests",
    }
    assert children[0]["run"]["facets"]["parent"]["job"] == {
        "namespace": "test",
        "name": "pipelines/board",
        "facets": {},
    }
    assert "parent" not in the(events, "shop.sold", "FAIL")["run"]["facets"]  # it was built when the launch was over


def test_export_writes_one_event_a_line(ran, tmp_path, capsys):
    commands.export(ran.root, file=tmp_path / "events.ndjson")
    assert capsys.readouterr().out == ""
    lines = (tmp_path / "events.ndjson").read_text().splitlines()
    assert [json.loads(line) for line in lines] == events_of(ran)
    commands.export(ran.root, since="2d", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["schema_version"], told["events"]) == (1, events_of(ran))
    commands.export(ran.root, since=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert capsys.readouterr().out == ""
    with pytest.raises(UsageError, match="`yesterday` is no moment"):
        commands.export(ran.root, since="yesterday")


# -- names -----------------------------------------------------------------------------------------------------------------


def test_a_table_of_a_server_is_named_without_who_signs_in(monkeypatch):
    def named(address, relation="erp.sales"):
        return naming._of_database(Database(kind="postgres", address=address, relation=relation))

    monkeypatch.setenv("TEST_ERP", f"host=erp.example.com dbname=erp user=mesh password={KEY}")
    found = named("$TEST_ERP")
    assert (found.namespace, found.name) == ("postgres://erp.example.com:5432", "erp.erp.sales")
    assert (named(f"postgres://mesh:{KEY}@erp:5433/erp", "sales").name) == "erp.public.sales"
    assert named(f"postgres://mesh:{KEY}@erp:5433/erp").namespace == "postgres://erp:5433"
    assert named("$NOT_SET_HERE").namespace == "postgres://localhost:5432"


# -- sending ---------------------------------------------------------------------------------------------------------------


class Service(http.server.BaseHTTPRequestHandler):
    """Takes events; answers as `answer` says, after `pause` seconds."""

    protocol_version = "HTTP/1.1"
    got: list[dict]
    heard: list[tuple[str, str]]
    answer = staticmethod(lambda _event: 201)
    pause = 0.0

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.heard.append((self.path, self.headers["Authorization"]))
        answer = self.answer(body)
        if answer < 300:
            self.got.append(body)
        time.sleep(self.pause)
        self.send_response(answer)
        if answer in (301, 302):
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


class Running:
    """A server at one port that can be stopped and started again."""

    def __init__(self):
        self.kind = type("Own", (Service,), {"got": [], "heard": []})
        self.port = free_port()
        self.server = None

    def start(self):
        """Listen."""
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), self.kind)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        """Refuse connections."""
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


@pytest.fixture
def service(monkeypatch):
    """A service that is not up yet."""
    running = Running()
    monkeypatch.setenv("TEST_LINEAGE_KEY", KEY)
    yield running
    running.stop()


def opened(folder, config, service):
    """A mesh of one table that sends its lineage."""
    place = Place(folder)
    configured(place, service)
    place.domain("shop")
    place.sql("shop.sales", "select 1 as one")
    where = {"lake_catalog": config.catalog, "lake_data": config.data, "lake_schema": config.schema}
    env = Environment.open(read_mesh(place.root), place.settings.model_copy(update=where))
    yield env
    env.ledger.close()
    env.lake.close()


@pytest.fixture
def env(tmp_path, service):
    """Such a mesh on SQLite."""
    yield from opened(tmp_path, LakeConfig(), service)


@pytest.fixture
def either(tmp_path, lake_config, service):
    """Such a mesh on either kind of ledger."""
    yield from opened(tmp_path, lake_config, service)


def configured(place, service, more=""):
    """Say where lineage goes."""
    place.write(
        "mesh.yaml",
        f"mesh: test\nopenlineage: {{url: 'http://127.0.0.1:{service.port}/lin/', api_key_env: TEST_LINEAGE_KEY{more}}}\n",
    )


def tried(env, number=1, outcome="published"):
    """Attempts, as a step records them."""
    for _ in range(number):
        env.ledger.attempted(
            Attempt(
                table="shop.sales",
                run="r",
                outcome=outcome,
                head=1,
                record={"version": 1, "inputs": {}, "columns": [["one", "INTEGER"]], "rows": 1, "seconds": 0.5},
            )
        )


def states(service):
    """What the service has got, shortened."""
    return [each["eventType"] for each in service.kind.got]


def later(minutes):
    """A moment from now on."""
    return datetime.now(UTC) + timedelta(minutes=minutes)


def test_nothing_is_lost_or_doubled_while_the_service_is_down(either, service):
    tried(either, 2)
    assert outbox.deliver(either) == (0, 1)
    (told,) = catalog.status(either)["channels"]
    assert (told["channel"], told["state"], told["waiting"]) == ("openlineage", "broken", 2)
    assert told["error"] == "it could not be reached: ConnectionError"
    tried(either, 1, "failed")
    service.start()
    assert outbox.deliver(either) == (0, 0)  # not before its time
    for minutes in (1, 60, 24 * 60):  # however long it is away
        service.stop()
        outbox.deliver(either, later(minutes + 20))
    service.start()
    assert outbox.deliver(either, later(3 * 24 * 60)) == (6, 0)
    assert states(service) == ["START", "COMPLETE"] * 2 + ["START", "FAIL"]
    assert len({each["run"]["runId"] for each in service.kind.got}) == 3
    assert outbox.deliver(either, later(3 * 24 * 60 + 1)) == (0, 0)
    (told,) = outbox.channel(either)
    assert (told["state"], told["waiting"], told["error"]) == ("ok", 0, "")
    assert set(service.kind.heard) == {("/lin/api/v1/lineage", f"Bearer {KEY}")}
    text = json.dumps(service.kind.got)
    assert not any(secret in text for secret in (KEY, PASSWORD))
    (namespace,) = {each["outputs"][0]["namespace"] for each in service.kind.got}
    on_server = either.lake.catalog.uri.startswith("postgres")
    place = r"127\.0\.0\.1:\d+/postgres/lake_\w{8}" if on_server else re.escape(f"{either.home}/lake/catalog.sqlite")
    assert re.fullmatch(f"ducklake://{place}", namespace)


def test_what_was_taken_is_not_sent_again_when_the_service_breaks_in_between(env, service):
    tried(env, 3)
    service.kind.answer = staticmethod(lambda _: 503 if len(service.kind.got) == 3 else 201)
    service.start()
    assert outbox.deliver(env) == (3, 1)
    assert outbox.channel(env)[0]["error"] == "it answers with 503"
    service.kind.answer = staticmethod(lambda _: 201)
    assert outbox.deliver(env, later(5)) == (3, 0)
    assert states(service) == ["START", "COMPLETE"] * 3


def test_an_event_that_is_refused_holds_nobody_up_and_is_given_up_at_last(env, service):
    tried(env, 1, "failed")
    tried(env, 1)
    service.kind.answer = staticmethod(lambda event: 422 if event["eventType"] == "FAIL" else 201)
    service.start()
    assert outbox.deliver(env) == (3, 1)
    assert states(service) == ["START", "START", "COMPLETE"]
    for number in range(1, 11):
        outbox.deliver(env, later(300 * number))
    heard = len(service.kind.heard)
    assert heard == 4 + outbox.TRIES - 1
    (told,) = outbox.channel(env)
    assert (told["state"], told["given_up"], told["error"]) == ("broken", 1, "it refuses an event: 422")
    service.kind.answer = staticmethod(lambda _: 201)
    assert outbox.deliver(env, at_once=True) == (1, 0)  # `mesh lineage send`
    assert outbox.channel(env)[0]["state"] == "ok"


def test_a_service_that_leads_elsewhere_is_not_believed(env, service):
    tried(env)
    service.kind.answer = staticmethod(lambda _: 302)
    service.start()
    assert outbox.deliver(env) == (0, 1)
    assert outbox.channel(env)[0]["error"] == "it leads elsewhere: name the address that it leads to"
    assert [path for path, _ in service.kind.heard] == ["/lin/api/v1/lineage"]


def test_the_key_is_ours_whatever_the_home_folder_says(env, service, tmp_path, monkeypatch):
    home = tmp_path / "netrc"
    home.write_text("machine 127.0.0.1 login somebody password else\n")
    home.chmod(0o600)
    monkeypatch.setenv("NETRC", str(home))
    service.start()
    tried(env)
    assert outbox.deliver(env) == (2, 0)
    assert {key for _, key in service.kind.heard} == {f"Bearer {KEY}"}


def test_two_that_send_at_once_do_not_send_the_same(either, service):
    tried(either)
    service.kind.pause = 0.5
    service.start()
    first = threading.Thread(target=outbox.deliver, args=(either,))
    first.start()
    while not service.kind.got:
        time.sleep(0.01)
    assert outbox.deliver(either) == (0, 0)
    first.join()
    assert states(service) == ["START", "COMPLETE"]


def test_an_attempt_that_is_there_late_is_told_too_and_the_past_only_when_asked(either, service):
    service.start()
    tried(either)
    old = (datetime.now(UTC) - timedelta(days=3)).isoformat(timespec="microseconds")
    from mesh_assets.ledger import _attempts

    with either.ledger.store.writing() as db:
        db.execute(_attempts.update().values(at=old))
    tried(either, 2)
    with either.ledger.store.reading() as db:
        numbers = [row.id for row in db.execute(_attempts.select().order_by(_attempts.c.id))]
    with either.ledger.store.writing() as db:  # as on PostgreSQL, where a number is taken before its row is to be seen
        (row,) = db.execute(_attempts.select().where(_attempts.c.id == numbers[1])).all()
        db.execute(_attempts.delete().where(_attempts.c.id == numbers[1]))
    assert outbox.deliver(either) == (2, 0)
    with either.ledger.store.writing() as db:
        db.execute(_attempts.insert().values(**row._asdict()))
    assert outbox.deliver(either) == (2, 0)
    assert outbox.collect(either, since=outbox.since_of("7d")) == 3
    assert outbox.deliver(either) == (6, 0)
    runs = Counter(each["run"]["runId"] for each in service.kind.got)
    assert sorted(runs.values()) == [2, 4, 4]  # the same runs, told again


def test_a_version_that_no_attempt_has_told_of_is_told_later(env, service):
    service.start()
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    record = {"fingerprint": "f", "inputs": {}, "columns": [["one", "INTEGER"]], "rows": 3}
    env.ledger.index([Version(table="shop.sales", version=7, run="promotion", at=at, record=record)])
    assert outbox.deliver(env) == (0, 0)  # its step may still be about to record it
    assert outbox.deliver(env, later(20)) == (2, 0)
    assert outbox.deliver(env, later(40)) == (0, 0)
    _, end = service.kind.got
    assert tags(end)["mesh.outcome"] == "promoted"
    assert end["outputs"][0]["facets"]["version"]["datasetVersion"] == "7"
    assert problems(end) == []


def test_a_skipped_table_and_a_launch_that_was_cancelled_are_aborted(env, service):
    service.start()
    launches = Launches(env.ledger.store)
    launch = launches.start("gone", "ann")
    tried(env, 1, "skipped")
    outbox.deliver(env)
    launches.end(launch.id, "cancelled", {})
    outbox.deliver(env)
    assert [(each["job"]["name"], each["eventType"]) for each in service.kind.got] == [
        ("pipelines/gone", "START"), ("shop.sales", "START"), ("shop.sales", "ABORT"), ("pipelines/gone", "ABORT"),
    ]  # fmt: skip
    assert [told for each in service.kind.got for told in problems(each)] == []


def test_without_the_extra_or_the_key_it_is_said_what_is_missing(env, service, monkeypatch):
    tried(env)
    monkeypatch.delenv("TEST_LINEAGE_KEY")
    assert outbox.deliver(env) == (0, 1)
    assert outbox.channel(env)[0]["error"] == "TEST_LINEAGE_KEY is not set"
    monkeypatch.setenv("TEST_LINEAGE_KEY", KEY)
    monkeypatch.setattr(outbox, "installed", lambda: False)
    assert outbox.deliver(env, later(5)) == (0, 1)
    assert (
        outbox.channel(env)[0]["error"] == "openlineage-python is not installed: pip install 'mesh_assets[openlineage]'"
    )
    with pytest.raises(UsageError, match=r"pip install 'mesh_assets\[openlineage\]'"):
        list(outbox.told(env, outbox.happened(env, outbox.since_of("1d"))))
    monkeypatch.undo()
    monkeypatch.setenv("TEST_LINEAGE_KEY", KEY)
    service.start()
    assert outbox.deliver(env, later(30)) == (2, 0)


def test_what_an_error_quotes_is_left_out_where_values_are_nobodys_business(env, service):
    service.start()
    root = env.mesh.root
    said = "Conversion Error: Could not convert string 'Ann Smith' to INT32"
    record = {"version": None, "message": said, "tried": {}, "seconds": 0.1}
    for restricted in (False, True):
        if restricted:
            Place(root).contract("shop.sales", {"one": "INTEGER; classification: restricted"})
        env.ledger.attempted(Attempt(table="shop.sales", run="r", outcome="failed", head=1, record=record))
        outbox.deliver(replace(env, mesh=read_mesh(root)))
    told = [
        each["run"]["facets"]["errorMessage"]["message"] for each in service.kind.got if each["eventType"] == "FAIL"
    ]
    assert told == [said, said.replace("Ann Smith", "•••")]


def test_a_record_that_cannot_be_told_keeps_no_other_back(env, service):
    env.ledger.attempted(Attempt(table="shop.sales", run="r", outcome="held", head=1, record={"results": [{"odd": 1}]}))
    tried(env)
    service.start()
    assert outbox.deliver(env) == (2, 1)
    assert states(service) == ["START", "COMPLETE"]
    assert outbox.channel(env)[0]["error"] == "attempt 1 cannot be told: KeyError"


def test_a_mesh_without_a_service_keeps_no_outbox(env):
    quiet = replace(env, mesh=replace(env.mesh, openlineage=None))
    tried(quiet)
    assert outbox.deliver(quiet) == (0, 0)
    assert outbox.channel(quiet) == []


def test_mesh_run_sends_and_is_not_held_up_by_a_service_that_is_away(ran, tmp_path, service, capsys):
    place = ran.copied(tmp_path)
    configured(place, service, ", job_namespace: jobs, table_namespace: 'lake://here'")
    sold(place, 5)
    assert place.statuses("shop/sales")["shop/sales"] == "published"
    with pytest.raises(commands.typer.Exit) as stopped:
        commands.send(place.root)
    assert stopped.value.exit_code == 3
    assert "wait: it could not be reached" in capsys.readouterr().err
    service.start()
    commands.send(place.root, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["failed"], told["channel"]["state"]) == (0, "ok")
    got = list(service.kind.got)
    assert told["sent"] == len(got) == len(events_of(place))
    assert {each["job"]["namespace"] for each in got} == {"jobs"}
    assert the(got, "shop.sales", "COMPLETE", -1)["outputs"][0]["namespace"] == "lake://here"
    with open_instance(place.root / ".mesh") as storage:  # as the sensor does
        assert dagsters.told(place.env(), storage).endswith("; 0 events of lineage were sent")
    sold(place, 5, 6)
    place.run("shop/sales")
    new = service.kind.got[len(got) :]
    assert [each["job"]["name"] for each in new if each["eventType"] == "START"] == [
        "shop.sold",
        "shop.sold.tests",
        "shop.sales",
        "shop.sales.tests",
    ]
    kept = b"".join(path.read_bytes() for path in (place.root / ".mesh").glob("ledger.sqlite*"))
    assert KEY.encode() not in kept
    assert KEY not in json.dumps(service.kind.got)


def test_a_process_that_is_killed_while_it_sends_loses_nothing(ran, tmp_path, service):
    place = ran.copied(tmp_path)
    configured(place, service)
    service.kind.pause = 0.05
    service.start()
    words = [sys.executable, "-m", "mesh_assets.cli", "lineage", "send", "--mesh", str(place.root), "--since", "1d"]
    process = subprocess.Popen(
        words, env={**os.environ, "MESH_HOME": str(place.root / ".mesh")}, stderr=subprocess.DEVNULL
    )
    while len(service.kind.got) < 5:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    service.kind.pause = 0.0
    assert outbox.deliver(place.env()) == (0, 0)  # it may still be at work
    outbox.deliver(place.env(), later(3), at_once=True)
    got = [json.dumps(each, sort_keys=True) for each in service.kind.got]
    assert set(got) == {json.dumps(each, sort_keys=True) for each in events_of(place)}
    assert len(got) - len(set(got)) <= 1  # the one whose answer it did not live to note, and with the same content
