"""Incidents, and who is told of them: in a real lake and ledger, with real servers for mail and for webhooks."""

import http.server
import json
import re
import textwrap
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes

import dagster as dg
import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from mesh_assets import catalog
from mesh_assets.account import notices, record
from mesh_assets.account.incidents import Incident, Reads
from mesh_assets.account.look import look
from mesh_assets.account.states import State
from mesh_assets.address import NotFound
from mesh_assets.catalog import account
from mesh_assets.catalog.measures import measures
from mesh_assets.commands import account as commands
from mesh_assets.errors import UsageError
from mesh_assets.kitchen.place import Site
from mesh_assets.ledger import Ledger
from mesh_assets.orchestration import account as dagsters
from mesh_assets.orchestration.instance import open_instance
from mesh_assets.orchestration.load import load
from mesh_assets.portal import pages
from mesh_assets.portal import trouble as incident_pages
from mesh_assets.portal.export import export
from mesh_assets.portal.site import Site as Portal
from mesh_assets.store import spelt
from tests.conftest import free_port
from tests.making import Place

SECRET = "s3cr3t-token-of-ours"
CHANNELS = """
mesh: test
notifications:
  channels:
    hook: {type: webhook, url_env: TEST_HOOK}
    chat: {type: slack, url_env: TEST_CHAT}
    mail: {type: email, host: 127.0.0.1, port: PORT, tls: none, sender: mesh@example.com}
  default: [hook]
"""


class Hooks(http.server.BaseHTTPRequestHandler):
    """Keeps what is posted; answers as `answer` says, after `pause` seconds."""

    got: list[tuple[str, dict, str]]
    answer = 200
    pause = 0.0

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(self.pause)
        self.got.append((self.path, body, self.headers["Idempotency-Key"]))
        self.send_response(self.answer)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def hooks(monkeypatch):
    """A web server whose address is a secret."""
    kind = type("Own", (Hooks,), {"got": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("TEST_HOOK", f"{base}/hook?token={SECRET}")
    monkeypatch.setenv("TEST_CHAT", f"{base}/chat/{SECRET}")
    yield kind
    server.shutdown()
    thread.join()
    server.server_close()


class Letters(Message):
    """Keeps every mail."""

    def __init__(self):
        super().__init__()
        self.got = []

    def handle_message(self, message):
        """One mail."""
        self.got.append(message_from_bytes(message.as_bytes()))


@pytest.fixture
def letters():
    """A mail server: its port, and what it got."""
    kept = Letters()
    controller = Controller(kept, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield controller.port, kept.got
    controller.stop()


@pytest.fixture
def place(tmp_path):
    """A shop that sells, finance that reads it, and a board that reads finance."""
    place = Place(tmp_path)
    place.domain("shop", "inputs: [{source: raw/sold/*.csv}]\noutputs: [{port: sales}]\n")
    sold(place, 1, 2)
    place.contract("shop.sold", {"amount": "BIGINT; logicalTypeOptions: {minimum: 0}"})
    place.sql("shop.sales", "select amount from shop.sold")
    place.contract("shop.sales", {"amount": "BIGINT"})
    place.domain("finance", "inputs: [{port: shop.sales}]\noutputs: [{port: revenue}]\n")
    place.sql("finance.revenue", "select sum(amount)::bigint as total from shop.sales")
    place.contract("finance.revenue", {"total": "BIGINT"})
    place.domain("board", "inputs: [{port: finance.revenue}]\n")
    place.sql("board.page", "select total from finance.revenue")
    return place


def sold(place, *amounts):
    """Write the shop's raw file anew."""
    place.write("domains/shop/raw/sold/1.csv", "amount\n" + "\n".join(map(str, amounts)) + "\n")


def notify(place, name, *channels):
    """A team chooses its channels."""
    path = place.root / f"domains/{name}/domain.yaml"
    text = path.read_text().replace(
        f"owner: {name}@example.com", f"owner: {name}@example.com, notify: [{', '.join(channels)}]"
    )
    path.write_text(text)


def open_ones(place):
    """The incidents of `mesh status`."""
    return catalog.status(place.env())["incidents"]


def test_one_incident_from_the_first_trouble_until_everything_has_caught_up(place):
    place.run()
    assert open_ones(place) == []
    sold(place, 1, -2)
    place.run()
    (it,) = open_ones(place)
    assert (it["domain"], it["table"], it["kind"], it["tables"]) == ("shop", "shop/sold", "files", ["shop/sold"])
    assert [(row["domain"], row["reads"]["table"], row["reads"]["version"]) for row in it["downstream"]] == [
        ("board", "finance/revenue", 3), ("finance", "shop/sales", 2),
    ]  # fmt: skip
    why = account.why(place.env(), "board/page")
    assert [row["table"] for row in why["because"]] == ["finance/revenue", "shop/sales", "shop/sold"]
    assert why["because"][-1]["state"] == "failed tests"
    assert why["because"][-1]["rule"] == "its files changed"
    assert why["incident"] == it["id"]
    for word in (
        "shop/sold",
        "amount__minimum failed",
        "version 3 of finance/revenue",
        "shop (shop@example.com)",
        it["id"],
    ):
        assert word in why["text"]
    sold(place, 1, -3)  # bad again: still the same one
    place.run()
    assert [each["id"] for each in open_ones(place)] == [it["id"]]
    sold(place, 1, 3)
    place.run()
    assert open_ones(place) == []
    (over,) = account.incidents(place.env())
    assert (over["id"], bool(over["closed"])) == (it["id"], True)
    told = [(row["domain"], row["word"], row["channel"]) for row in over["told"]]
    assert sorted(told) == sorted(
        [("shop", "opened", None), ("board", "reads", None), ("finance", "reads", None)]
        + [(domain, "closed", None) for domain in ("shop", "board", "finance")]
    )

    events = account.history(place.env(), "shop/sold")
    assert [row["outcome"] for row in events["events"]] == ["published", "held", "held", "published"]
    assert [row["id"] for row in events["incidents"]] == [it["id"]]
    said = account.history(place.env(), "shop.sold/amount__minimum")["events"]
    assert [row["status"] for row in said] == ["pass", "fail", "fail", "pass"]
    with pytest.raises(UsageError, match="has no test `amount__minimun`\n    Did you mean `amount__minimum`"):
        account.history(place.env(), "shop/sold/amount__minimun")
    measured = {row["domain"]: row["weeks"][-1] | row for row in measures(place.env())["domains"]}
    assert (measured["shop"]["attempts"], measured["shop"]["failed_tests"]) == (6, round(2 / 6, 3))
    assert (measured["shop"]["tested_columns"], measured["finance"]["tested_columns"]) == (0.5, 0)
    assert [measured[name]["errors_at_readers"] for name in ("shop", "finance", "board")] == [0, 0, 0]


def test_watching_shows_only_what_is_new(place, monkeypatch, capsys):
    looks = iter([None, None, KeyboardInterrupt()])

    def sleep(_seconds):
        if (stop := next(looks)) is not None:
            raise stop

    monkeypatch.setattr(commands.time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        commands.status(place.root, watch=True, as_json=True)
    (line,) = capsys.readouterr().out.splitlines()
    assert {row["state"] for row in json.loads(line)["tables"]} == {"upcoming", "input not ready"}


@pytest.mark.long
def test_the_portal_shows_it_on_the_home_page_the_tables_and_pages_of_its_own(place, tmp_path):
    place.run()
    sold(place, 1, -2)
    place.run()
    (it,) = open_ones(place)
    view = Portal(root=place.root, settings=place.settings).view()
    assert [each["id"] for each in pages.find(view, "/mesh/").data["incidents"]] == [it["id"]]
    listed = pages.find(view, "/mesh/incidents", more=incident_pages.PAGES)
    assert (listed.data["open"], listed.data["incidents"][0]["table"]) == (1, "shop/sold")
    when = pages.find(view, "/mesh/domains/board/page/when").data["why"]
    assert (when["incident"], "version 3 of finance/revenue" in when["text"]) == (it["id"], True)
    assert re.search(r"; incident \w+, open since (today|yesterday) \d\d:\d\d UTC\.", when["text"])
    assert " ago" not in when["text"]
    with pytest.raises(NotFound, match="there is no incident `none`"):
        pages.find(view, "/mesh/incidents/none", more=incident_pages.PAGES)
    export(view, tmp_path / "site")
    page = (tmp_path / f"site/incidents/{it['id']}.html").read_text()
    for word in ("shop/sold", "finance", "amount__minimum", "the mesh has no channel"):
        assert word in page
    assert it["id"] in (tmp_path / "site/index.html").read_text()


def test_a_port_that_passes_its_own_tests_and_breaks_a_reader_is_its_owners(place):
    """The code of shop/sales changed; finance's own test stops finance: shop answers for it."""
    place.contract("finance.revenue", {"total": "BIGINT; logicalTypeOptions: {minimum: 0}"})
    place.run()
    place.sql("shop.sales", "select -amount as amount from shop.sold")
    assert place.statuses()["shop/sales"] == "published"
    (it,) = open_ones(place)
    assert (it["domain"], it["table"], it["kind"], it["tables"]) == ("shop", "shop/sales", "code", ["finance/revenue"])
    assert "new code of shop/sales is not what finance/revenue can use" in it["cause"]
    place.sql("shop.sales", "select amount + 1 as amount from shop.sold")
    place.run()
    assert open_ones(place) == []


@pytest.mark.long
def test_a_refused_version_is_its_owners_and_readers_read_what_they_admitted(place):
    """Finance stops, and treasury goes on with what it had: one incident for both."""
    port = "{port: shop.sales, contract: in_sales.odcs.yaml"
    place.domain("finance", f"inputs: [{port}}}]\noutputs: [{{port: revenue}}]\n")
    place.domain("treasury", f"inputs: [{port}, on_failure: hold}}]\n")
    place.sql("treasury.cash", "select count(*) as sales from shop.sales")
    for reader in ("finance", "treasury"):
        limit = {"amount": "BIGINT; logicalTypeOptions: {maximum: 100}"}
        place.contract(f"{reader}.sales", limit, name="in_sales")
    place.run()
    admitted = place.version("shop.sales")
    sold(place, 1, 500)
    place.run()
    (it,) = open_ones(place)
    assert (it["domain"], it["table"], it["kind"]) == ("shop", "shop/sold", "files")
    reads = [(row["domain"], row["reads"]["table"], row["reads"]["version"]) for row in it["downstream"]]
    assert {("finance", "shop/sales", admitted), ("treasury", "shop/sales", admitted)} <= set(reads)
    states = {row["table"]: row["state"] for row in catalog.status(place.env())["tables"]}
    assert (states["finance/revenue"], states["treasury/cash"], states["shop/sales"]) == ("held", "held", "on time")
    sold(place, 1, 50)
    place.run()
    assert open_ones(place) == []


def test_a_reader_that_asks_for_more_answers_for_that_itself(place):
    place.run()
    place.domain("finance", "inputs: [{port: shop.sales, contract: in_sales.odcs.yaml}]\noutputs: [{port: revenue}]\n")
    place.contract("finance.sales", {"amount": "BIGINT; logicalTypeOptions: {maximum: 1}"}, name="in_sales")
    place.run()
    (it,) = open_ones(place)
    assert (it["domain"], it["table"], it["kind"]) == ("finance", "finance/in/shop__sales", "contract")


def test_a_domain_that_cannot_be_loaded_is_one_incident(place):
    place.run()
    text = (place.root / "domains/shop/domain.yaml").read_text()
    (place.root / "domains/shop/domain.yaml").write_text(text + "tabels: {}\n")
    place.run()
    from mesh_assets.environment import Environment
    from mesh_assets.mesh import read_mesh

    env = Environment.open(read_mesh(place.root, tolerant=True), place.settings)
    (it,) = catalog.status(env)["incidents"]
    assert (it["domain"], it["kind"]) == ("shop", "broken")
    (place.root / "domains/shop/domain.yaml").write_text(text)
    place.run()
    assert open_ones(place) == []


@pytest.mark.long
def test_each_state_comes_about_in_a_real_mesh(tmp_path):
    """One mesh in which one run, and then new data, bring a table into each of them; `tests/unit/test_states.py` has what goes first."""
    place = Place(tmp_path)
    tables = """
    tables:
      prompt: {expected_by: "07:00 UTC"}
      planned: {automation: "0 5 1 1 *"}
      by_day: {partitions: daily, partition_by: day, start: 2026-01-01}
    """
    sources = "inputs: [{source: raw/a.csv, as: a}, {source: raw/absent.csv, as: absent}]\n"
    place.domain("s", sources + "outputs: [{port: b}]\n" + textwrap.dedent(tables))
    place.domain("r", "inputs: [{port: s.b, contract: in_b.odcs.yaml}]\n")
    place.write("domains/s/raw/a.csv", "n\n1\n")
    place.contract("s.a", {"n": "BIGINT"})
    place.contract("s.absent", {"n": "BIGINT"})
    place.sql("s.waits", "select n from s.absent")
    place.sql("s.b", "select n from s.a")
    place.contract("s.b", {"n": "BIGINT"})
    place.contract("r.b", {"n": "BIGINT; logicalTypeOptions: {maximum: 1}"}, name="in_b")
    place.sql("r.refuses", "select n from s.b")
    place.sql("s.fails", "select case when max(n) > 1 then error('too many') end as x from s.a")
    place.sql("s.joined", "select b.n, f.x from s.b b, s.fails f")
    place.sql("s.tested", "select n from s.a")
    place.contract("s.tested", {"n": "BIGINT; logicalTypeOptions: {maximum: 1}"})
    place.sql("s.warned", "select n from s.a")
    warns = "- {type: library, metric: rowCount, mustBeGreaterThan: 5, severity: warning, name: some_rows}"
    place.contract("s.warned", {"n": "BIGINT"}, quality=warns)
    for name in ("prompt", "planned"):
        place.sql(f"s.{name}", "select 1 as n")
    place.sql("s.by_day", "select getvariable('partition_start')::date as day")
    place.contract("s.by_day", {"day": "DATE"})
    place.run()
    place.write("domains/s/raw/a.csv", "n\n1\n2\n")
    place.run()
    place.sql("s.planned", "select 2 as n")
    env = place.env()
    record.observe(env.ledger.store, "gaps", {"s.by_day": ["2026-01-05"]})

    def states(**when):
        return {name: str(status.state) for name, status in look(env, **when).statuses.items()}

    found = states()
    assert found == {
        "s.a": "on time", "s.absent": "missing", "s.waits": "input not ready", "s.b": "on time", "r.refuses": "held",
        "s.fails": "failed", "s.joined": "out of sequence", "s.tested": "failed tests", "s.warned": "passed with warnings",
        "s.prompt": "on time", "s.planned": "upcoming", "s.by_day": "incomplete",
    }  # fmt: skip
    later = look(env).statuses["s.prompt"].due + timedelta(hours=25)  # what came today is here for the first of these
    with env.ledger.lease(["s.prompt", "s.b"], "run"):
        at_work, over_time = states(), states(now=later)
    assert (at_work["s.b"], over_time["s.prompt"], states(now=later)["s.prompt"]) == (
        "running",
        "late end",
        "late start",
    )
    assert {*found.values(), at_work["s.b"], over_time["s.prompt"], states(now=later)["s.prompt"]} == {*map(str, State)}


def heard(place, domain, at, since=""):
    """Let a domain's code location have looked at the mesh then."""
    store = place.env().ledger.store
    with store.writing() as db:
        store.put(db, record._heard, {"domain": domain, "at": spelt(at), "since": spelt(since or at)}, replace=True)


def test_a_domain_whose_code_location_is_out_of_reach_is_one_incident(place):
    """For an hour; the others look all the time. What is due there waits, its owner is told once, and readers what they read."""
    place.sql("finance.cost", "select min(amount) as least from shop.sales")
    place.run()
    now = datetime.now(UTC)
    hour = now - timedelta(hours=1)
    heard(place, "finance", hour)
    heard(place, "shop", now, hour)
    assert open_ones(place) == [], "nothing is due there"
    sold(place, 1, 2, 3)
    place.run("shop")
    (it,) = open_ones(place)
    assert (it["domain"], it["kind"], sorted(it["tables"])) == (
        "finance",
        "unreachable",
        ["finance/cost", "finance/revenue"],
    )
    assert f"its code location has not been heard of since {hour:%Y-%m-%d %H:%M} UTC" in it["cause"]
    assert [(row["domain"], row["reads"]["table"], row["reads"]["version"]) for row in it["downstream"]] == [
        ("board", "finance/revenue", place.version("finance.revenue"))
    ]
    why = account.why(place.env(), "board/page")
    assert why["because"][-1] | {"since": None} == {
        "table": "finance/revenue", "state": "late start", "rule": "its code location must be reachable", "since": None,
    }  # fmt: skip
    assert (
        "because of finance/revenue: input shop/sales changed; its code location has not been heard of" in why["text"]
    )
    # It is back, and looks; what it then builds closes the incident.
    record.heard(place.env().ledger.store, ["finance"])
    (back,) = open_ones(place)
    assert back["id"] == it["id"]
    place.run()
    assert open_ones(place) == []


def test_where_no_daemon_runs_or_all_have_just_begun_nobody_is_out_of_reach(place):
    now = datetime.now(UTC)
    store = place.env().ledger.store
    assert record.silent(store) == {}
    heard(place, "finance", now - timedelta(hours=1))
    heard(place, "shop", now - timedelta(minutes=50), now - timedelta(hours=9))
    assert record.silent(store) == {}, "all have stopped"
    heard(place, "shop", now)
    assert record.silent(store) == {}, "the first of them is back just now"
    heard(place, "shop", now, now - timedelta(minutes=6))
    assert set(record.silent(store)) == {"finance"}
    record.heard(store, ["finance", "board"])
    assert record.silent(store) == {}


def test_a_domain_whose_code_location_never_came_up_is_one_incident_too(place):
    """After as long as of one that went away, so that a domain that has just been added has its time to come up."""
    sold(place, 1, 2)
    place.run("shop")
    now, store = datetime.now(UTC), place.env().ledger.store
    assert record.silent(store) == {}
    heard(place, "shop", now, now - timedelta(hours=9))
    assert open_ones(place) == [], "nobody has missed it yet"
    record.heard(store, ["shop"], ["finance", "board"])
    assert open_ones(place) == [], "it is missed just now"
    later = now + timedelta(minutes=7)
    heard(place, "shop", later, now - timedelta(hours=9))
    (it,) = account.status(place.env(), now=later)["incidents"]
    assert (it["domain"], it["kind"], it["tables"]) == ("finance", "unreachable", ["finance/revenue"])
    assert it["cause"].endswith("; its code location was never heard of")
    why = account.why(place.env(), "board/page", now=later)
    assert why["because"][-1]["rule"] == "its code location must be reachable"
    # It comes up, and is heard at once, however lately it was missed.
    record.heard(store, ["shop"], ["finance", "board"])
    record.heard(store, ["finance"], ["shop", "board"])
    assert {name: it.ever for name, it in record.silent(store, later).items()} == {"finance": True, "board": False}
    place.run()
    assert open_ones(place) == []


def test_lateness_folds_into_the_source_that_did_not_come(place):
    promise = "slaProperties: [{property: frequency, value: 1, unit: d}]\n"
    for name in ("shop/contracts/sold", "finance/contracts/revenue"):
        path = place.root / f"domains/{name}.odcs.yaml"
        path.write_text(path.read_text() + promise)
    place.run()
    env = place.env()
    later = datetime.now(UTC) + timedelta(hours=30)
    report = account.status(env, now=later)
    (it,) = report["incidents"]
    assert (it["table"], it["kind"], it["tables"]) == ("shop/sold", "late", ["shop/sold", "finance/revenue"])
    states = {row["table"]: (row["state"], row["expected"] and row["expected"]["late"]) for row in report["tables"]}
    assert states["finance/revenue"] == ("late start", True)
    assert states["shop/sales"] == ("on time", None)
    assert account.status(env, now=later + timedelta(days=1))["tables"][0]["state"] == "missing"
    assert "late by" in account.why(env, "board/page", now=later)["text"]
    sold(place, 3)
    place.run()
    assert open_ones(place) == []


def test_two_that_look_at_once_open_one_incident_in_each_kind_of_database(tmp_path, lake_config):
    """The record is kept on SQLite and on PostgreSQL; who comes second finds what the first has opened."""
    ledger = Ledger(tmp_path / "home", lake_config)
    made = iter(f"i{number}" for number in range(20))
    fresh = Incident(
        id="", table="shop.sold", domain="shop", kind="files", sentence="bad", opened="2026-01-01", pending={"shop.sold": ""},
        downstream=(Reads(domain="finance", table="shop.sales", version=2),),
    )  # fmt: skip

    def follow(open_):
        return tuple(open_) or (replace(fresh, id=next(made)),)

    record.open_incidents(ledger.store)  # makes the tables
    threads = [threading.Thread(target=record.followed, args=(ledger.store, follow)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (it,) = record.open_incidents(ledger.store)
    assert it == replace(fresh, id=it.id)
    record.followed(ledger.store, lambda open_: [replace(each, closed="2026-01-02") for each in open_])
    assert (record.open_incidents(ledger.store), [each.id for each in record.incidents(ledger.store)]) == ((), [it.id])
    record.observe(ledger.store, "gaps", {"a.b": ["1"], "a.c": ["2"]})
    record.observe(ledger.store, "gaps", {"a.b": ["1", "3"]})
    assert record.observed(ledger.store, "gaps") == {"a.b": ["1", "3"]}
    ledger.close()


# -- notifications -------------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_each_is_told_once_by_the_channels_of_its_team_and_once_that_it_is_over(place, hooks, letters):
    port, mails = letters
    place.write("mesh.yaml", CHANNELS.replace("PORT", str(port)))
    notify(place, "finance", "mail", "chat")
    place.run()
    sold(place, 1, -2)
    for _ in range(3):
        place.run()
    (opened,) = [body for path, body, _ in hooks.got if path.startswith("/hook") and body["word"] == "opened"]
    assert (opened["domain"], opened["table"], "amount__minimum" in opened["text"]) == ("shop", "shop/sold", True)
    (board,) = [body for path, body, _ in hooks.got if body.get("word") == "reads"]
    assert [(row["table"], row["version"]) for row in board["reads"]] == [("finance/revenue", 3)]
    assert len(hooks.got) == 3
    (chat,) = [body for path, body, _ in hooks.got if path == f"/chat/{SECRET}"]
    assert set(chat) == {"text"}
    assert "version 2 of shop/sales" in chat["text"]
    (mail,) = mails
    assert (mail["To"], mail["From"]) == ("finance@example.com", "mesh@example.com")
    assert "version 2 of shop/sales" in mail.get_payload()
    assert len({key for _, _, key in hooks.got}) == 3
    sold(place, 1, 3)
    place.run()
    assert sum(body.get("word") == "closed" for _, body, _ in hooks.got) == 2
    assert [mail["Subject"].startswith("Over") for mail in mails] == [False, True]


def trouble(place, *channels):
    """An incident of the shop's that is announced: finance and the board read older data."""
    port = channels[0] if channels else 25
    place.write("mesh.yaml", CHANNELS.replace("PORT", str(port)))
    env = place.env()
    reads = (
        Reads(domain="finance", table="shop.sales", version=2, since="2026-01-01T06:00:00+00:00"),
        Reads(domain="board", table="finance.revenue", version=None),
    )
    it = Incident(
        id="i1", table="shop.sold", domain="shop", kind="files", sentence="it failed", opened="2026-01-01T06:00:00+00:00",
        tables=("shop.sold",), downstream=reads,
    )  # fmt: skip
    return env, it


def test_a_channel_that_hangs_is_shown_tried_again_and_holds_up_no_other(place, hooks, letters, monkeypatch):
    port, mails = letters
    notify(place, "finance", "mail")
    monkeypatch.setattr(notices, "TIMEOUT", 0.2)
    hooks.pause = 1.0
    env, it = trouble(place, port)
    assert (notices.announce(env, [it]), notices.announce(env, [it])) == (3, 0)
    assert notices.deliver(env) == (1, 1)
    assert len(mails) == 1  # the other channel is not held up
    channels = {row["channel"]: row for row in notices.channels(env)}
    assert (channels["hook"]["state"], channels["hook"]["waiting"]) == ("broken", 2)
    assert "TimeoutError" in channels["hook"]["error"]
    assert (channels["mail"]["state"], channels["mail"]["sent"] is not None) == ("ok", True)
    assert notices.deliver(env) == (0, 1)  # the second of the two was not tried before; the first has to wait
    hooks.pause, hooks.answer = 0.0, 503
    later = datetime.now(UTC) + timedelta(minutes=10)
    assert notices.deliver(env, later) == (0, 1)
    hooks.answer, hooks.got[:] = 200, []
    assert notices.deliver(env, later + timedelta(hours=1)) == (2, 0)
    assert {row["channel"]: row["state"] for row in notices.channels(env)} == dict.fromkeys(
        ("chat", "hook", "mail"), "ok"
    )
    assert notices.deliver(env, later + timedelta(hours=9)) == (0, 0)


def test_a_notice_is_given_up_at_last(place, monkeypatch):
    monkeypatch.setenv("TEST_HOOK", f"http://127.0.0.1:{free_port()}/{SECRET}")
    env, it = trouble(place)
    notices.announce(env, [it])
    moment = datetime.now(UTC)
    for _ in range(30):
        moment += timedelta(hours=3)
        notices.deliver(env, moment)
    row = next(row for row in notices.channels(env) if row["channel"] == "hook")
    assert (row["state"], row["given_up"], row["waiting"]) == ("broken", 3, 3)
    assert "ConnectionRefusedError" in row["error"]


def test_a_variable_that_is_not_set_is_a_broken_channel(place, monkeypatch):
    monkeypatch.delenv("TEST_HOOK", raising=False)
    env, it = trouble(place)
    notices.announce(env, [it])
    assert notices.deliver(env) == (0, 1)
    rows = {row["channel"]: (row["state"], row["error"]) for row in catalog.status(env)["channels"]}
    assert rows["hook"] == ("broken", "TEST_HOOK is not set")


def test_two_that_send_at_once_send_once(place, hooks):
    env, it = trouble(place)
    notices.announce(env, [it])
    threads = [threading.Thread(target=notices.deliver, args=(place.env(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [key for _, _, key in hooks.got]
    assert len(keys) == len(set(keys)) == 3
    assert notices.deliver(env) == (0, 0)


def test_who_was_told_is_told_that_it_is_over_and_who_was_not_is_not(place, hooks):
    env, it = trouble(place)
    notices.announce(env, [replace(it, downstream=it.downstream[:1])])
    notices.announce(env, [replace(it, closed="2026-01-01T08:00:00+00:00")])
    assert sorted((row["domain"], row["word"]) for row in notices.told(env.ledger.store)["i1"]) == [
        ("finance", "closed"), ("finance", "reads"), ("shop", "closed"), ("shop", "opened"),
    ]  # fmt: skip


def test_a_kitchen_tells_nobody(place, hooks):
    env, _ = trouble(place)
    folder = place.root / ".mesh" / "kitchens" / "try"
    (folder / "home").mkdir(parents=True)
    assert not dagsters.is_kitchen(env)
    site = Site(name="try", folder=folder, root=place.root, production=place.root, production_home=place.root / ".mesh")
    site.write()
    assert dagsters.is_kitchen(replace(env, home=folder / "home"))
    assert {table.name for table in record.METADATA.sorted_tables} == record.TABLES


class Slack(Hooks):
    """Stands in for Slack's API: keeps what is posted with which token, and answers with `answer` and `word`."""

    word = ""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.got.append((self.path, body, self.headers["Authorization"]))
        said = json.dumps({"ok": not self.word, **({"error": self.word} if self.word else {})}).encode()
        self.send_response(self.answer)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)


def test_an_app_of_slack_is_told_once_tried_again_and_its_token_is_nowhere(place, monkeypatch):
    kind = type("Own", (Slack,), {"got": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.delenv("TEST_SLACK", raising=False)
    api = f"http://127.0.0.1:{server.server_port}/api/"
    env, it = trouble(place)
    place.write(
        "mesh.yaml",
        f"mesh: test\nnotifications:\n  channels:\n"
        f"    app: {{type: slack, token_env: TEST_SLACK, to: '#data', api: '{api}'}}\n  default: [app]\n",
    )
    env = place.env()
    assert notices.announce(env, [it]) == 3
    moment = datetime.now(UTC)
    assert notices.deliver(env, moment) == (0, 1)
    assert notices.channels(env)[0]["error"] == "TEST_SLACK is not set"
    monkeypatch.setenv("TEST_SLACK", SECRET)
    kind.word = "not_in_channel"
    moment += timedelta(hours=1)
    assert notices.deliver(env, moment) == (0, 1)
    (row,) = notices.channels(env)
    assert (row["state"], row["error"]) == ("broken", "Slack refuses it: not_in_channel")
    kind.word, kind.answer = "ratelimited", 429
    moment += timedelta(hours=1)
    assert notices.deliver(env, moment) == (0, 1)
    kind.word, kind.answer, kind.got[:] = "", 200, []
    moment += timedelta(hours=1)
    assert notices.deliver(env, moment) == (3, 0)
    assert notices.deliver(env, moment + timedelta(hours=9)) == (0, 0)
    assert {(path, body["channel"], token) for path, body, token in kind.got} == {
        ("/api/chat.postMessage", "#data", f"Bearer {SECRET}")
    }
    keys = [body["metadata"]["event_payload"]["id"] for _, body, _ in kind.got]
    assert sorted(keys) == ["i1.opened.shop", "i1.reads.board", "i1.reads.finance"]
    assert any("shop/sales" in body["text"] for _, body, _ in kind.got)
    server.shutdown()
    thread.join()
    server.server_close()
    assert notices.announce(env, [replace(it, closed="2026-01-01T08:00:00+00:00")]) == 3
    assert notices.deliver(env, moment + timedelta(hours=10)) == (0, 1)
    assert notices.channels(env)[0]["error"].startswith("Slack could not be reached")
    assert SECRET not in json.dumps([catalog.status(env), account.incidents(env)])
    assert not [
        path for path in (place.root / ".mesh").rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()
    ]


def test_secrets_are_nowhere_but_in_the_environment(place, hooks, monkeypatch):
    hooks.answer = 500
    env, it = trouble(place)
    notices.announce(env, [it])
    notices.deliver(env)
    monkeypatch.setenv("TEST_HOOK", f"ftp://{SECRET}@nowhere/")
    notices.deliver(env, datetime.now(UTC) + timedelta(hours=1))
    said = json.dumps([catalog.status(env), account.incidents(env), account.why(env, "board/page")])
    assert "holds no address of the web" in said
    assert SECRET not in said
    files = [path for path in (place.root / ".mesh").rglob("*") if path.is_file()]
    assert any(path.name.startswith("ledger") for path in files)
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


# -- Dagster -------------------------------------------------------------------------------------------------------------------


def test_the_sensor_opens_and_closes_incidents_and_tells(place, hooks):
    place.write("mesh.yaml", CHANNELS.replace("PORT", "25"))
    place.run()
    sold(place, 1, -2)
    place.run()
    hooks.got[:] = []
    sold(place, 1, 2)
    definitions = load(place.root, settings=place.settings).definitions
    with open_instance(place.root / ".mesh") as instance:
        sensor = definitions.get_repository_def().get_sensor_def("mesh__account")
        said = sensor(dg.build_sensor_context(instance=instance, definitions=definitions)).skip_message
        assert "1 incidents are open; 0 notices are new" in said
        from mesh_assets.orchestration.run import run

        run(place.env(), frozenset(place.env().mesh.tables), settings=place.settings)
        said = sensor(dg.build_sensor_context(instance=instance, definitions=definitions)).skip_message
    assert said.startswith("0 incidents are open; 0 notices are new")
    assert sorted(body["word"] for _, body, _ in hooks.got) == ["closed"] * 3


def test_freshness_is_dagsters_and_read_back(place):
    promise = "slaProperties: [{property: timeOfAvailability, value: 'Monday 09:00 Europe/Zurich'}]\n"
    path = place.root / "domains/finance/contracts/revenue.odcs.yaml"
    path.write_text(path.read_text() + promise)
    place.run()
    definitions = load(place.root, settings=place.settings).definitions
    node = definitions.resolve_asset_graph().get(dg.AssetKey(["finance", "revenue"]))
    assert (node.freshness_policy.deadline_cron, node.freshness_policy.timezone) == ("0 9 * * 1", "Europe/Zurich")
    assert definitions.resolve_asset_graph().get(dg.AssetKey(["shop", "sold"])).freshness_policy is None
    from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange

    with open_instance(place.root / ".mesh") as instance:
        change = FreshnessStateChange(
            key=node.key, new_state=FreshnessState.FAIL, previous_state=FreshnessState.PASS,
            state_change_timestamp=time.time(),
        )  # fmt: skip
        instance._report_runless_asset_event(change)
        env = place.env()
        dagsters.read_back(instance, env, frozenset(env.mesh.domains))
    rows = {row["table"]: row["freshness"] for row in catalog.status(env)["tables"]}
    assert (rows["finance/revenue"], rows["shop/sold"]) == ("FAIL", None)


def test_partitions_that_were_never_built_are_read_back(place):
    """The first day of a partitioned table moves back: two days were never built."""
    today = datetime.now(UTC).date()
    first, before = (today - timedelta(days=1)).isoformat(), (today - timedelta(days=3)).isoformat()

    def domain(start):
        tables = f"tables: {{per_day: {{partitions: {{every: daily, by: day, start: {start}}}}}}}\n"
        place.domain("days", f"inputs: [{{source: raw/days/*.csv}}]\n{tables}")

    domain(first)
    place.write("domains/days/raw/days/1.csv", f"day\n{first}\n")
    place.contract("days.days", {"day": "DATE"})
    place.sql("days.per_day", "select day from days.days where day >= getvariable('partition_start')")
    place.run("days")
    assert record.observed(place.env().ledger.store, "gaps") == {}
    domain(before)
    env = place.env()
    with open_instance(place.root / ".mesh") as instance:
        dagsters.read_back(instance, env, frozenset(env.mesh.domains))
    missing = [before, (today - timedelta(days=2)).isoformat()]
    assert record.observed(env.ledger.store, "gaps") == {"days.per_day": missing}
    assert look(env).facts["days.per_day"].gaps == tuple(missing)


def test_tables_that_a_later_module_brings_are_made_too(tmp_path):
    """A room's tables may be defined in several modules, and the first may be used before the others are imported."""
    store, room = Ledger(tmp_path).store, sa.MetaData()
    first = sa.Table("first", room, sa.Column("n", sa.Integer))
    store.ensure(room)
    second = sa.Table("second", room, sa.Column("n", sa.Integer))
    store.ensure(room)
    with store.reading() as db:
        assert [db.execute(sa.select(table)).all() for table in (first, second)] == [[], []]
