"""The portal without a browser: the same for people and programs, nothing that must not be there, and what may be sent."""

import hashlib
import json
import re
import shutil
import time
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from mesh_assets.address import QUESTIONS
from mesh_assets.catalog import overview, trust
from mesh_assets.catalog.standing import stand
from mesh_assets.orchestration import tell
from mesh_assets.portal import render
from mesh_assets.portal.export import export
from mesh_assets.portal.site import Site
from tests.making import Place
from tests.portal_mesh import EVIL, SECRET, Client, Described, app_of, small

ADDRESSES = ("shop", "money", "shop/orders", "shop/raw_orders", "money/revenue")
READING = (
    "/mesh/", "/mesh/tables", "/mesh/status", "/mesh/tests", "/mesh/domains/shop", "/mesh/domains/shop/tests", "/mesh/domains/shop/orders/tests",
    *(f"/mesh/domains/{address}/{question}" for address in ADDRESSES for question in QUESTIONS),
)  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Place:
    """Built once; nobody may change it."""
    place = small(tmp_path_factory.mktemp("portal"))
    assert set(place.statuses().values()) == {"published"}
    return place


@pytest.fixture
def place(built, tmp_path) -> Place:
    """A copy to change."""
    return built.copied(tmp_path / "mesh")


@pytest.fixture(scope="module")
def client(built) -> Client:
    return Client(app_of(built))


class Strict(HTMLParser):
    """Collects links and texts, and that every element that was opened is closed."""

    EMPTY = ("meta", "link", "input", "br", "img", "hr", "wbr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links, self.stack, self.tags, self.attributes = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.links += [value for name, value in attrs if name in ("href", "src", "action")]
        if tag not in self.EMPTY:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("href", "src")]


@pytest.mark.parametrize("path", READING)
def test_a_page_is_sound_and_says_the_same_to_programs(client, built, path):
    page = client.get(path, accept="text/html")
    assert page.status_code == 200, page.text
    read = Strict(page.text)
    assert read.stack == []
    assert len(page.content) < 60 * 1024
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    name = "/mesh/api/domains" if path == "/mesh/" else f"{path}.json"
    machine = client.get(name)
    assert machine.headers["content-type"] == "application/json"
    assert machine.json()["schema_version"] == 1
    assert client.get(path, accept="application/json").json() == machine.json()
    if "question" in machine.json():
        assert machine.json()["question"] == path.rsplit("/", 1)[1]


@pytest.mark.parametrize("path", READING)
def test_nothing_is_on_a_page_that_must_not_be(client, built, path):
    for answer in (client.get(path), client.get(path, accept="application/json")):
        assert SECRET not in answer.text
        assert str(built.root) not in answer.text
        assert str(built.root.parent) not in answer.text
    html = client.get(path).text
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    read = Strict(html)
    assert not [name for name in read.attributes if name.startswith("on") or name == "style"]
    assert read.tags.count("script") <= 2
    assert all(link.startswith(("/mesh/", "#", "mailto:", "data:,")) for link in read.links)


@pytest.mark.long
def test_every_link_of_the_portal_leads_somewhere(client):
    todo, seen = ["/mesh/"], set()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = client.get(path)
        assert answer.status_code in (200, 302), path
        if answer.headers["content-type"].startswith("text/html"):
            found = [link for link in Strict(answer.text).links if link.startswith("/mesh/")]
            actions = re.findall(r'action="([^"]+)"', answer.text)
            todo += [link for link in found if link not in actions or link in ("/mesh/", "/mesh/tables")]
    assert len(seen) > 60


def test_hostile_text_is_shown_as_it_is_written(client):
    html = client.get("/mesh/domains/shop/orders/what").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "49" not in re.sub(r"\s|[^{}0-9]", "", EVIL)
    assert "{{7*7}}" in html


@pytest.mark.parametrize(
    ("path", "mend"),
    [
        ("/mesh/domains/shp", "Did you mean `shop`?"),
        ("/mesh/domains/shop/ordes/what", "Did you mean `orders`?"),
        ("/mesh/domains/shop/orders@999/what", "Its versions near that: "),
        ("/mesh/domains/shop/orders@x/what", "Write a number after the table"),
        ("/mesh/nothing/here", "The domains are at /mesh/."),
        ("/mesh/domains/shop/<script>/what", "Known here"),
    ],
)
def test_what_is_not_there_is_said_with_what_is_near(client, path, mend):
    page, machine = client.get(path, accept="text/html"), client.get(path, accept="application/json")
    assert page.status_code == machine.status_code == 404
    assert machine.json()["mend"].startswith(mend)
    assert "<script>" not in page.text.replace("<script src", "")


def test_when_says_when_it_began_and_what_each_test_said_of_each_version(place):
    place.contract(
        "shop.orders",
        {"id": "BIGINT", "amount": "BIGINT", "buyer": "VARCHAR", "note": "VARCHAR"},
        quality="- {id: few_rows, metric: rowCount, mustBeLessThan: 3, severity: warning}",
    )
    place.run()
    client = Client(app_of(place))
    found = client.get("/mesh/domains/shop/orders/when.json").json()
    version = found["versions"][0]
    began, ended = (datetime.fromisoformat(version[key]) for key in ("started", "at"))
    assert (ended - began).total_seconds() == pytest.approx(version["seconds"], abs=0.001)
    assert found["attempts"][0]["started"] < found["attempts"][0]["at"]
    page = client.get("/mesh/domains/shop/orders/when").text
    (said,) = [result["message"] for result in version["results"] if result["name"] == "few_rows"]
    assert page.count(said.replace("`", "")) >= 1 or said.split("`")[0] in page
    assert "What each test said" in page
    assert page.count('class="strip"') == len(found["tests"])
    assert f'<a href="/mesh/domains/shop/orders@{version["version"]}/when">each</a>' in page
    assert version["run"] in page, "without Dagster the id is there in full, with where its log is"
    assert "mesh portal --dagster URL" in page
    linked = Client(app_of(place, dagster="http://dagster.example")).get("/mesh/domains/shop/orders/when").text
    assert f'href="http://dagster.example/runs/{version["run"]}"' in linked
    assert "mesh portal --dagster URL" not in linked


def test_the_root_leads_to_the_portal(client):
    assert client.get("/").headers["location"] == "/mesh/"


def test_the_addresses_of_a_version_that_never_was_are_not_printed(built):
    from typer.testing import CliRunner

    from mesh_assets.address import NotFound
    from mesh_assets.cli import app

    version = built.version("shop.orders")

    def url(what: str):
        environment = {"MESH_HOME": str(built.root / ".mesh")}
        return CliRunner().invoke(app, ["url", what, "what", "--mesh", str(built.root)], env=environment)

    assert url(f"shop/orders@{version}").stdout.endswith(f"/mesh/domains/shop/orders@{version}/what\n")
    missing = url("shop/orders@99")
    assert isinstance(missing.exception, NotFound)
    assert f"has no version 99\n    Its versions near that: {version}." in str(missing.exception)
    assert missing.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "prefix"),
    [
        (["-h", "127.0.0.1", "--path-prefix", "/dg"], "/dg"),
        (["--path-prefix=/dg", "-m", "mesh_assets.definitions"], "/dg"),
        (["-l", "/dg"], "/dg"),
        (["-p", "3000"], ""),
    ],
)
def test_links_in_dagster_are_under_its_path_prefix(arguments, prefix, monkeypatch, built):
    from mesh_assets.portal.webserver import prefix_of

    assert prefix_of(arguments) == prefix
    tell._portal.cache_clear()
    monkeypatch.setenv("MESH_PORTAL_PREFIX", prefix)
    (told,) = {line for line in tell.questions(built.env().mesh.tables["shop.orders"]) if "What is it" in line}
    tell._portal.cache_clear()
    assert f"({prefix}/mesh/domains/shop/orders/what)" in told


def test_a_table_leads_to_its_first_question(client):
    assert client.get("/mesh/domains/shop/orders").headers["location"] == "/mesh/domains/shop/orders/what"


def test_profile_and_sample_hide_what_is_masked(client):
    found = client.get("/mesh/domains/shop/orders/what.json").json()
    by_name = {column["name"]: column for column in found["columns"]}
    assert by_name["amount"]["profile"]["min"] == "10"
    assert by_name["amount"]["profile"]["max"] == "30"
    assert sum(bar["count"] for bar in by_name["amount"]["profile"]["histogram"]) == 3
    assert by_name["buyer"]["profile"] == {
        "type": "VARCHAR", "nulls": 0, "distinct": 1, "exact": True, "min": "•••", "max": "•••",
        "histogram": [], "not_drawn": "masked",
    }  # fmt: skip
    assert [row[2] for row in found["sample"]["rows"]] == ["•••"] * 3


def test_a_key_has_as_many_distinct_values_as_rows(place, monkeypatch):
    rows = "".join(
        f"{number},{number % 900},b,{'' if number % 2000 == 7 else f'n{number % 40}'}\n" for number in range(6_000)
    )
    place.write("domains/shop/raw/orders.csv", f"id,amount,buyer,note\n{rows}")
    contract = place.root / "domains/shop/contracts/orders.odcs.yaml"
    text = contract.read_text()
    assert text.count("- name: id\n") == 1
    contract.write_text(text.replace("- name: id\n", "- name: id\n        unique: true\n"))
    place.run()
    client = Client(app_of(place))
    page = client.get("/mesh/domains/shop/orders/what")
    columns = {
        column["name"]: column["profile"]
        for column in client.get("/mesh/domains/shop/orders/what.json").json()["columns"]
    }
    counted = {name: (one["distinct"], one["nulls"], one["exact"]) for name, one in columns.items()}
    assert counted == {"id": (6_000, 0, True), "amount": (900, 0, True), "buyer": (1, 0, True), "note": (40, 3, True)}
    assert columns["note"]["not_drawn"] == "more than 30 texts"
    assert ">about " not in page.text
    assert "more than 30 texts" in page.text

    monkeypatch.setattr("mesh_assets.catalog.profile.EXACT", 1_000)
    monkeypatch.setattr("mesh_assets.catalog.profile.FORM", -1)
    columns = {
        column["name"]: column["profile"]
        for column in client.get("/mesh/domains/shop/orders/what.json").json()["columns"]
    }
    assert (columns["id"]["distinct"], columns["id"]["exact"]) == (6_000, True)  # its test has counted them
    assert not columns["amount"]["exact"]
    assert columns["note"]["nulls"] == 3
    assert ">about " in client.get("/mesh/domains/shop/orders/what").text


def test_with_what_names_every_input_and_the_files_with_their_hashes(client, built):
    orders = client.get("/mesh/domains/shop/orders/with.json").json()
    (entry,) = orders["inputs"]
    assert (entry["table"], entry["version"]) == ("shop/raw_orders", built.version("shop.raw_orders"))
    assert entry["urls"]["what"] == f"/mesh/domains/shop/raw_orders@{entry['version']}/what"
    assert [item["column"] for item in orders["lineage_columns"]] == ["id", "amount", "buyer", "note"]
    (file,) = client.get("/mesh/domains/shop/raw_orders/with.json").json()["files"]
    content = (built.root / "domains/shop/raw/orders.csv").read_bytes()
    assert file == {"file": "raw/orders.csv", "sha256": hashlib.sha256(content).hexdigest()}
    (source,) = client.get("/mesh/domains/shop/with.json").json()["sources"]
    assert source["files"] == [file]
    assert f'<code class="small">{file["sha256"]}</code>' in client.get("/mesh/domains/shop/with").text


def test_a_column_is_followed_through_sql_and_dbt_both_ways_and_where_it_ends_is_said(place):
    place.sql("money.revenue", "select sum(Amount)::bigint as Total from shop.orders")
    place.domain("book", "inputs: [{port: shop.orders}]\n")
    place.write(
        "dbt_projects/book/dbt_project.yml",
        'name: book\nversion: "1"\nconfig-version: 2\nprofile: book\nmodels: {book: {+materialized: table}}\n',
    )
    sources = "version: 2\nsources: [{name: shop, tables: [{name: orders}]}]\n"
    place.write("dbt_projects/book/models/sources.yml", sources)
    place.write(
        "dbt_projects/book/models/spent.sql",
        "select id as item, amount * 2 as twice from {{ source('shop', 'orders') }} where note <> ''",
    )
    place.domain(
        "science",
        "inputs: [{port: shop.orders}]\n",
        assets__py="""
        import mesh_assets

        @mesh_assets.table(inputs=["shop.orders"], columns={"shop.orders": ["amount"]})
        def guesses(orders):
            return orders

        @mesh_assets.table(inputs=["shop.orders"])
        def others(orders):
            return orders
        """,
    )
    (place.root / "domains/science/assets__py").rename(place.root / "domains/science/assets.py")
    client = Client(app_of(place))
    spent = client.get("/mesh/domains/book/spent/with.json").json()
    assert spent["followed"]["known"] == "proven"
    orders = client.get("/mesh/domains/shop/orders/with.json").json()
    by_name = {row["column"]: row for row in orders["lineage_columns"]}
    assert by_name["amount"]["from"] == [{"table": "shop/raw_orders", "column": "amount"}]
    assert by_name["amount"]["feeds"] == [
        {"table": "book/spent", "column": "twice"},
        {"table": "money/revenue", "column": "total"},
    ]
    assert by_name["amount"]["used_by"] == [
        {"table": "science/guesses", "known": "declared"},
        {"table": "science/others", "known": "assumed"},
    ]
    only_filtered = [{"table": "book/spent", "known": "proven"}, {"table": "science/others", "known": "assumed"}]
    assert (by_name["note"]["feeds"], by_name["note"]["used_by"]) == ([], only_filtered)
    env = place.env()
    (deps,) = tell.column_lineage(env, env.mesh.tables["book.spent"], [("item", ""), ("twice", "")]).values()
    assert {name: [dep.column_name for dep in made] for name, made in deps.deps_by_column.items()} == {
        "item": ["id"], "twice": ["amount"],
    }  # fmt: skip
    page = client.get("/mesh/domains/science/guesses/with").text
    assert "cannot be followed: a function makes it" in page
    assert "<code>amount</code>, and is given nothing else" in page
    assert client.get("/mesh/domains/science/others/with.json").json()["followed"] == {
        "known": "assumed",
        "why": "a function makes it, and tells nobody which of its columns comes from which",
        "inputs": [{"table": "shop/orders", "known": "assumed", "columns": []}],
        "readers": [],
        "more": 0,
    }
    assert "It begins here" in client.get("/mesh/domains/shop/raw_orders/with").text


def test_a_version_keeps_its_address(place):
    first = place.version("money.revenue")
    place.write("domains/shop/raw/orders.csv", "id,amount,buyer,note\n1,70,x,y\n")
    place.run()
    client = Client(app_of(place))
    old = client.get(f"/mesh/domains/money/revenue@{first}/what.json").json()
    new = client.get("/mesh/domains/money/revenue/what.json").json()
    assert (old["version"], old["newest"], old["pinned"]) == (first, new["version"], True)
    assert (old["sample"]["rows"], new["sample"]["rows"]) == ([[60]], [[70]])
    assert "The newest is" in client.get(f"/mesh/domains/money/revenue@{first}/what").text


def test_a_version_keeps_what_its_contract_said_and_how_it_came_out(place):
    first = place.version("shop.orders")
    path = place.root / "domains/shop/contracts/orders.odcs.yaml"
    place.contract(
        "shop.orders",
        {"id": "BIGINT; description: Of another system.", "amount": "BIGINT; logicalTypeOptions: {maximum: 5}",
         "buyer": "VARCHAR", "note": "VARCHAR; classification: restricted"},
    )  # fmt: skip
    path.write_text(path.read_text().replace("version: 1.0.0", "version: 1.0.1"))
    place.write("domains/shop/raw/orders.csv", f"id,amount,buyer,note\n1,70,{SECRET},y\n")
    place.run()  # above 5: held
    client = Client(app_of(place))
    now = client.get("/mesh/domains/shop/orders/what.json").json()
    then = client.get(f"/mesh/domains/shop/orders@{first}/what.json").json()
    assert (now["status"], then["status"], then["reason"], then["contract_of"]) == ("fail", "pass", "", "version")
    assert (now["contract"]["version"], then["contract"]["version"]) == ("1.0.1", "1.0.0")
    assert "some_rows" in {one["name"] for one in then["promises"]}
    assert "some_rows" not in {one["name"] for one in now["promises"]}
    columns = {one["name"]: one for one in then["columns"]}
    assert columns["id"]["meaning"] == ""
    assert (columns["buyer"]["masked"], columns["note"]["masked"]) == (False, True)  # as the contract of today says
    how = client.get(f"/mesh/domains/shop/orders@{first}/how.json").json()
    assert how["contract"]["version"] == "1.0.0"
    results = client.get(f"/mesh/domains/shop/orders@{first}/when.json").json()["versions"][0]["results"]
    assert "some_rows" in {one["name"] for one in results}


def test_a_warning_of_then_is_shown_with_its_version_and_one_that_is_mended_is_not_shown_any_more(place):
    """The rows are the same: a contract that asks for less confirms the version, and what is shown is what was tried last."""
    path = place.root / "domains/shop/contracts/orders.odcs.yaml"
    before = path.read_text()
    rule = "\n    quality:\n      - {id: many_rows, metric: rowCount, mustBeGreaterThan: 5, severity: warning}\n"
    place.contract("shop.orders", {"id": "BIGINT", "amount": "BIGINT", "buyer": "VARCHAR", "note": "VARCHAR"})
    path.write_text(path.read_text().rstrip() + rule)
    place.write("domains/shop/raw/orders.csv", "id,amount,buyer,note\n1,10,x,y\n")
    assert place.statuses()["shop/orders"] == "published"
    client, warned = Client(app_of(place)), place.version("shop.orders")
    now = client.get("/mesh/domains/shop/orders/what.json").json()
    assert (now["status"], [rule["name"] for rule in now["failing"]["rules"]]) == ("warn", ["many_rows"])
    path.write_text(before)
    assert place.statuses()["shop/orders"] == "unchanged"
    client = Client(app_of(place))
    now = client.get("/mesh/domains/shop/orders/what.json").json()
    assert (now["version"], now["status"], now["failing"]) == (warned, "pass", None)
    place.write("domains/shop/raw/orders.csv", "id,amount,buyer,note\n1,20,x,y\n")
    place.run()
    client = Client(app_of(place))
    for question in ("what", "when"):
        then = client.get(f"/mesh/domains/shop/orders@{warned}/{question}.json").json()
        (rule,) = then["failing"]["rules"]
        assert (then["status"], rule["name"], rule["status"]) == ("warn", "many_rows", "warn")
        assert rule["promise"] == "The number of rows must be greater than 5"
    results = {one["name"]: one["status"] for one in then["versions"][0]["results"]}
    assert results["many_rows"] == "warn"


def test_where_the_contract_of_then_was_not_kept_the_page_says_so(place):
    first = place.version("money.revenue")
    place.write("domains/shop/raw/orders.csv", "id,amount,buyer,note\n1,70,x,y\n")
    place.run()
    with place.env().ledger.store.writing() as db:
        db.exec_driver_sql("DELETE FROM terms")
    client = Client(app_of(place))
    assert "that of then was not kept" in client.get(f"/mesh/domains/money/revenue@{first}/what").text
    assert "that of then was not kept" not in client.get("/mesh/domains/money/revenue/what").text


def test_the_code_to_copy_reads_the_version_that_it_names(built, monkeypatch):
    found = Client(app_of(built)).get("/mesh/domains/money/revenue/where.json").json()
    (polars,) = [item["code"] for item in found["code"] if item["title"] == "polars"]
    monkeypatch.chdir(built.root)
    monkeypatch.setenv("MESH_HOME", str(built.root / ".mesh"))
    names = {}
    exec(polars.replace("print(revenue)", ""), names)
    assert names["revenue"].rows() == [(60,)]


def test_a_domain_that_is_broken_by_hand_shows_its_problems_and_nothing_else_breaks(place):
    client = Client(app_of(place))
    assert client.get("/mesh/domains/money").status_code == 200
    place.write("domains/money/domain.yaml", "domain: money\ninpts: []\n")
    time.sleep(1.1)  # files are looked at once a second
    broken = client.get("/mesh/domains/money")
    assert broken.status_code == 200
    assert "inpts" in broken.text
    assert "M002" in broken.text
    assert client.get("/mesh/domains/shop/orders/what").status_code == 200
    assert client.get("/mesh/").status_code == 200
    assert "could not be loaded" in client.get("/mesh/").text


@pytest.mark.parametrize("broken", ["domain: money\ninpts: []\n", "domain: money\ninputs: [\n", ""])
def test_tables_of_a_domain_that_is_broken_by_hand_say_what_is_wrong_and_can_be_read(place, broken, monkeypatch):
    version = place.version("money.revenue")
    place.write("domains/money/domain.yaml", broken)
    client = Client(app_of(place))
    said = Described(client)
    (place_of, *_) = [one["where"] for one in client.get("/mesh/domains/money.json").json()["problems"]]
    assert place_of.startswith("domains/money/domain.yaml:")
    addresses = ("money", *(f"money/revenue{at}" for at in ("", f"@{version}")))
    for path in [
        f"{one}/{word}" for one in addresses for word in (*QUESTIONS, "tests") if "@" not in one or word != "tests"
    ]:
        page = client.get(f"/mesh/domains/{path}")
        assert page.status_code == 200, path
        assert f"<code>{place_of}</code>" in page.text, path
        assert str(place.root) not in page.text
        Strict(page.text)
        said.check(f"/domains/{path}")
    (still,) = client.get("/mesh/domains/money/revenue/what.json").json()["published"]
    assert (still["table"], still["version"], still["rows"], still["status"]) == ("money/revenue", version, 1, "pass")
    assert still["columns"] == [{"name": "total", "type": "BIGINT"}]
    (polars,) = [item["code"] for item in still["code"] if item["title"] == "polars"]
    monkeypatch.chdir(place.root)
    monkeypatch.setenv("MESH_HOME", str(place.root / ".mesh"))
    names = {}
    exec(polars.replace("print(revenue)", ""), names)
    assert names["revenue"].rows() == [(60,)]
    missed = client.get("/mesh/domains/money/revenu/what")
    assert (missed.status_code, "Did you mean <code>revenue</code>?" in missed.text) == (404, True)
    assert client.get("/mesh/domains/money/revenue@99999/what").status_code == 404


def test_a_mesh_that_cannot_be_read_is_said(place):
    place.write("mesh.yaml", "mesh: [\n")
    client = Client(app_of(place))
    assert client.get("/mesh/healthz").status_code == 503
    page = client.get("/mesh/")
    assert page.status_code == 500
    assert str(place.root) not in page.text


def test_what_failed_and_why_is_on_the_first_page(place):
    place.write("domains/shop/raw/orders.csv", "id,amount,buyer,note\n1,7000,x,y\n")
    place.run()
    client = Client(app_of(place))
    rows = {row["domain"]: row for row in client.get("/mesh/api/domains").json()["domains"]}
    assert next(iter(rows)) == "shop"
    assert rows["shop"]["status"] == "fail"
    assert "amount__maximum failed" in rows["shop"]["reason"]
    assert rows["shop"]["trust"] < rows["money"]["trust"]
    tests = client.get("/mesh/domains/shop/orders/tests.json").json()["tables"][0]["tests"]
    (maximum,) = [test for test in tests if test["name"] == "amount__maximum"]
    assert [item["status"] for item in maximum["history"]] == ["pass", "fail"]
    assert client.get("/mesh/status.json").json()["counts"]["fail"] == 1


def test_trust_is_the_sum_of_its_parts(client):
    made = client.get("/mesh/domains/shop.json").json()["trust"]
    assert made["score"] == round(sum(part["share"] * part["weight"] for part in made["parts"]))
    assert sum(part["weight"] for part in made["parts"]) == 100


def test_what_fails_is_read_where_it_is_seen(place):
    rows = "".join(f"{number},{7000 + number},{SECRET},{'x' if number else EVIL}\n" for number in range(12))
    place.write("domains/shop/raw/orders.csv", f"id,amount,buyer,note\n{rows}99,5,{SECRET},fine\n")
    place.run()
    client = Client(app_of(place))
    (incident,) = client.get("/mesh/incidents.json").json()["incidents"]
    paths = [
        "/mesh/domains/shop", "/mesh/domains/shop/tests", f"/mesh/incidents/{incident['id']}",
        *(f"/mesh/domains/shop/orders/{word}" for word in ("what", "when", "tests")),
    ]  # fmt: skip
    for path in paths:
        page = client.get(path).text
        assert "<code>amount__maximum</code>" in page, path
        assert "12 of 13 rows have a" in page, path
        assert "10 rows that fail amount__maximum" in page, path
        assert "7003" in page, path
        assert "•••" in page, path
        assert SECRET not in page, path
        assert "<img src=x" not in page, path
        Strict(page)
    (rule,) = client.get("/mesh/domains/shop/orders/what.json").json()["failing"]["rules"]
    assert (rule["name"], rule["status"], rule["failing_rows"], rule["total_rows"]) == (
        "amount__maximum",
        "fail",
        12,
        13,
    )
    assert len(rule["sample"]) == 10
    assert {row["buyer"] for row in rule["sample"]} == {"•••"}
    assert rule["sample"][0]["note"] == EVIL
    version = place.env().ledger.versions()["shop.orders"].version
    assert client.get(f"/mesh/domains/shop/orders@{version}/what.json").json()["failing"] is None


def test_of_many_rules_that_fail_the_first_are_shown_and_the_rest_counted(place):
    contract = place.root / "domains/shop/contracts/orders.odcs.yaml"
    rules = "".join(f"      - {{id: many_{n}, metric: rowCount, mustBeGreaterThan: 100}}\n" for n in range(6))
    text = contract.read_text()
    assert text.count("      - id: some_rows\n") == 1
    contract.write_text(text.replace("      - id: some_rows\n", f"{rules}      - id: some_rows\n"))
    place.run()
    client = Client(app_of(place))
    for path, left in (("shop", 3), ("shop/tests", 3), ("shop/orders/what", 1), ("shop/orders/when", 1)):
        assert f'/orders/tests">{left} more, on the page of its tests</a>' in client.get(f"/mesh/domains/{path}").text
    assert "more, on the page" not in client.get("/mesh/domains/shop/orders/tests").text
    assert client.get("/mesh/domains/shop/orders/tests").text.count("<code>many_") >= 6


def test_status_shows_the_history_of_what_fails_and_the_domains_that_are_late(place, monkeypatch):
    place.write("domains/shop/raw/orders.csv", "id,amount,buyer,note\n1,7000,x,y\n")
    place.run()
    client = Client(app_of(place))
    found = client.get("/mesh/status.json").json()
    (row,) = found["attention"]
    assert [[item["status"] for item in test["history"]] for test in row["failing"]] == [["pass", "fail"]]
    assert [(one["domain"], one["fails"], one["late"]) for one in found["domains"]] == [("shop", 1, 0)]
    assert 'aria-label="Last 2 results of amount__maximum"' in client.get("/mesh/status").text
    page = client.get("/mesh/tests")
    assert 'aria-label="Last 2 results of amount__maximum"' in page.text
    assert [one["table"] for one in client.get("/mesh/tests.json").json()["tables"]] == ["shop/orders"]

    env = place.env()
    levels = "slaProperties: [{property: frequency, value: 1, unit: d}]\n"
    for name in ("raw_orders", "orders"):
        contract = place.root / f"domains/shop/contracts/{name}.odcs.yaml"
        contract.write_text(contract.read_text() + levels)
    env = place.env()
    later = overview.status(env, stand(env, datetime.now(UTC) + timedelta(days=4)))
    ((domain),) = later["domains"]
    assert (domain["fails"], domain["late"], domain["latest"], domain["late_by"]) == (1, 1, "shop/orders", "3 days")

    monkeypatch.setattr("mesh_assets.catalog.overview.paged.__defaults__", (1,))
    monkeypatch.setattr("mesh_assets.catalog.overview.PAGE", 1)
    first = overview.status(env, stand(env, datetime.now(UTC) + timedelta(days=4)))
    second = overview.status(env, stand(env, datetime.now(UTC) + timedelta(days=4)), page=2)
    assert first["totals"]["attention"] == first["page"]["last"] == 2
    assert {first["attention"][0]["table"], second["attention"][0]["table"]} == {"shop/orders", "shop/raw_orders"}


def test_a_place_that_was_never_built_says_how_much_more_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr("mesh_assets.catalog.overview.PAGE", 1)
    client = Client(app_of(small(tmp_path)))
    assert "and 2 more: " in client.get("/mesh/status").text


def test_what_is_masked_since_is_masked_in_rows_that_failed_before(place):
    place.write("domains/shop/raw/orders.csv", "id,amount,buyer,note\n1,7000,x,told-in-confidence\n")
    place.run()
    client = Client(app_of(place))
    assert "told-in-confidence" in client.get("/mesh/domains/shop/orders/what").text
    contract = place.root / "domains/shop/contracts/orders.odcs.yaml"
    text = contract.read_text()
    assert text.count("- name: note\n") == 1
    contract.write_text(text.replace("- name: note\n", "- name: note\n        classification: restricted\n"))
    again = Client(app_of(place))
    for path in ("/mesh/domains/shop", "/mesh/domains/shop/orders/what", "/mesh/domains/shop/orders/tests"):
        assert "told-in-confidence" not in again.get(path).text


def test_counts_and_trust_are_of_what_was_tried_last(place):
    client = Client(app_of(place))
    before = client.get("/mesh/domains/shop.json").json()
    own = len(place.env().mesh.tables["shop.orders"].contract.tests)
    assert before["tests"]["fail"] == before["tests"]["not_run"] == 0
    place.write("domains/shop/raw/orders.csv", "id,amount,buyer,note\n1,7000,x,y\n")
    place.run()
    held = client.get("/mesh/domains/shop.json").json()
    assert held["tests"] == {**before["tests"], "pass": before["tests"]["pass"] - 1, "fail": 1}
    assert "1 fail" in client.get("/mesh/domains/shop").text
    (row,) = [row for row in client.get("/mesh/api/domains").json()["domains"] if row["domain"] == "shop"]
    assert (row["tests"], row["reason_of"]) == (held["tests"], "shop/orders")
    total = sum(before["tests"].values())
    assert _share(held) == round((before["tests"]["pass"] - own) / total, 3)
    assert held["trust"]["score"] <= before["trust"]["score"] - 20
    env = place.env()
    tomorrow = stand(env, datetime.now(UTC) + timedelta(days=1))
    days = trust.history(env, tomorrow, "shop", trust.score(env, tomorrow, "shop"))
    assert [day["score"] for day in days] == [held["trust"]["score"]] * 2
    place.sql("shop.orders", "select error('broken')::bigint as id, amount, buyer, note from shop.raw_orders")
    place.run()
    failed = client.get("/mesh/domains/shop.json").json()
    assert failed["tests"] == {**before["tests"], "pass": before["tests"]["pass"] - own, "not_run": own}
    assert f"{own} not run" in client.get("/mesh/domains/shop").text
    assert _share(failed) == _share(held)
    assert "It never got to its tests" in client.get("/mesh/domains/shop/orders/when").text


def _share(page):
    return next(part["share"] for part in page["trust"]["parts"] if part["part"] == "tests")


# -- who may send what ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"accept": "*/*"},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "null"},
    ],
)
def test_only_a_page_of_the_portal_may_start_anything(client, headers):
    assert client.post("/mesh/domains/shop/run", **headers).status_code == 403


def test_a_portal_on_this_machine_answers_to_no_other_name(built):
    assert Client(app_of(built), host="evil.example").get("/mesh/").status_code == 421
    assert Client(app_of(built), host="localhost").get("/mesh/healthz").status_code == 200
    assert Client(app_of(built, host="0.0.0.0"), host="mesh.example").get("/mesh/healthz").status_code == 200


def test_read_only_starts_nothing_and_offers_nothing(built):
    client = Client(app_of(built, read_only=True))
    assert client.post("/mesh/domains/shop/test").status_code == 403
    assert "<button>Build" not in client.get("/mesh/domains/shop").text


def test_a_table_is_tested_from_its_page(place):
    client = Client(app_of(place))
    begun = client.post("/mesh/domains/shop/orders/test")
    assert begun.status_code == 303
    where = begun.headers["location"]
    for _ in range(600):
        job = client.get(f"{where}.json").json()
        if job["state"] != "running":
            break
        time.sleep(0.1)
    assert (job["state"], job["exit_code"], job["command"]) == ("done", 0, "mesh test shop/orders")
    assert "0 fail" in job["output"]
    assert str(place.root) not in job["output"]
    assert "Run its tests: shop/orders" in client.get(where).text


def test_access_is_asked_for_and_kept_with_who_asked(place):
    settings = place.settings.model_copy(update={"user_header": "x-user"})
    place.settings = settings
    client = Client(app_of(place))
    form = {"who": EVIL, "why": "to count"}
    page = client.get(client.post("/mesh/domains/shop/orders/access", form).headers["location"])
    assert "to count" in page.text
    assert "<img src=x" not in page.text
    named = client.post("/mesh/domains/shop/orders/access", {"why": "again"}, origin="http://127.0.0.1", x_user="ada")
    assert "Asked by ada: again" in client.get(named.headers["location"]).text
    assert client.post("/mesh/domains/shop/orders/access", {"who": "me"}).status_code == 422
    assert client.post("/mesh/domains/shop/orders/drop").status_code == 404


def test_a_request_for_access_is_seen_where_its_team_looks(place):
    client = Client(app_of(place))
    form = {"who": "Ann", "why": f"to count\n\nthe orders {EVIL}"}
    asked = client.post("/mesh/domains/shop/orders/access", form).headers["location"]
    client.post("/mesh/domains/shop/access", {"who": "Bo", "why": "for everything"})
    for path, seen, unseen in (
        ("/mesh/domains/shop/orders/where", ("Ann", "Bo"), ()),
        ("/mesh/domains/shop/orders@1/where", ("Ann", "Bo"), ()),
        ("/mesh/domains/shop/where", ("Ann", "Bo"), ()),
        ("/mesh/domains/shop/raw_orders/where", ("Bo",), ("Ann",)),
        ("/mesh/domains/money/revenue/where", (), ("Ann", "Bo")),
    ):
        page = client.get(path.replace("@1", f"@{place.env().ledger.versions()['shop.orders'].version}"))
        assert page.status_code == 200
        assert [name for name in seen if f"<strong>{name}</strong>" not in page.text] == []
        assert [name for name in unseen if name in page.text] == []
        assert "<img src=x" not in page.text
    found = client.get("/mesh/domains/shop/where.json").json()["requests"]
    assert [(one["access_to"], one["by"]) for one in found] == [("shop", "Bo"), ("shop/orders", "Ann")]
    assert (found[1]["why"], found[1]["state"]) == (f"to count\n\nthe orders {EVIL}", "waits")
    for path in ("/mesh/status", "/mesh/jobs"):
        assert f'href="{asked}">Access to shop/orders</a>' in client.get(path).text
    assert [job["title"] for job in client.get("/mesh/jobs.json").json()["jobs"]] == [
        "Access to shop",
        "Access to shop/orders",
    ]
    assert 'action="/mesh/domains/shop/access"' in client.get("/mesh/domains/shop/where").text
    assert (
        'action="/mesh/domains/shop/access"'
        not in Client(app_of(place, read_only=True)).get("/mesh/domains/shop/where").text
    )


def test_a_request_for_access_is_answered_by_its_team_and_the_answer_is_kept(place, capsys, monkeypatch):
    place.settings = place.settings.model_copy(update={"user_header": "x-user"})
    client = Client(app_of(place))
    client.post("/mesh/domains/shop/orders/access", {"who": "Ann", "why": "to count"})
    client.post("/mesh/domains/shop/access", {"who": "Bo", "why": "for everything"})
    said = Described(client)
    assert said.check("/access")["waiting"] == 2
    assert client.get("/mesh/status.json").json()["requests_waiting"] == 2
    one, other = (row["id"] for row in said.check("/domains/shop/orders/where")["requests"])
    for given in ({}, {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}):
        if given:
            assert client.post(f"/mesh/access/{one}/grant", {"who": "Eve", "why": "x"}, **given).status_code == 403
    assert client.post(f"/mesh/access/{one}/decline", {"who": "Cy"}).status_code == 422
    assert client.post(f"/mesh/access/{one}/forbid", {"who": "Cy", "why": "x"}).status_code == 404
    assert client.post("/mesh/access/0123/grant", {"who": "Cy", "why": "x"}).status_code == 404
    assert said.check("/access")["waiting"] == 2
    done = client.post(
        f"/mesh/access/{one}/decline",
        {"who": "ignored", "why": f"too much {EVIL}"},
        origin="http://127.0.0.1",
        x_user="cy",
    )
    assert (done.status_code, done.headers["location"]) == (303, "/mesh/domains/shop/where")
    row = said.check("/domains/shop/where")["requests"][1]
    assert (row["access_to"], row["state"], row["answers"][0]["by"]) == ("shop", "declined", "cy")
    for path in ("/mesh/access", "/mesh/domains/shop/where", "/mesh/status"):
        page = client.get(path).text
        assert "<img src=x" not in page
        assert ("Declined by cy" in page) == (path != "/mesh/status")
        Strict(page)
    assert "<button>Grant" not in Client(app_of(place, read_only=True)).get("/mesh/access").text

    # The command line does the same, and the last word counts.
    monkeypatch.setenv("MESH_HOME", str(place.root / ".mesh"))
    listed = command(capsys, "access", "list", "shop/orders", "--json", "--mesh", str(place.root))
    assert [(row["id"], row["state"]) for row in listed["requests"]] == [(other, "waits")]
    granted = command(
        capsys, "access", "grant", other[:8], "--why", "you are in", "--as", "Cy", "--json", "--mesh", str(place.root)
    )
    assert (granted["state"], granted["answers"][0]["word"]) == ("granted", "you are in")
    command(capsys, "access", "grant", one, "--as", "Di", "--json", "--mesh", str(place.root))
    asked = command(
        capsys, "access", "ask", "money", "--why", "to pay", "--as", "Ed", "--json", "--mesh", str(place.root)
    )
    found = {row["id"]: [one["answer"] for one in row["answers"]] for row in said.check("/access")["requests"]}
    assert found == {asked["id"]: [], other: ["granted"], one: ["declined", "granted"]}


def test_a_request_is_for_the_team_to_answer_where_the_proxy_says_who_asks(place):
    """Without names of groups everybody answers but whoever has asked; with them, the owner and the team's group."""
    file = place.root / "domains/shop/domain.yaml"
    was = "team: {name: shop, owner: shop@example.com}"
    file.write_text(file.read_text().replace(was, "team: {name: Orders, owner: Bo@x.example}"))
    ours = {"origin": "http://127.0.0.1", "accept": "application/json"}

    def grant(client, **headers) -> int:
        (row, *_) = client.get("/mesh/access.json").json()["requests"]
        said = client.post(f"/mesh/access/{row['id']}/grant", {"who": "x", "why": "y"}, **ours, **headers)
        if said.status_code == 403:
            assert "It is for Orders to answer, that is Bo@x.example." in said.json()["mend"]
        return said.status_code

    place.settings = place.settings.model_copy(update={"user_header": "x-user"})
    client = Client(app_of(place))
    page = client.get("/mesh/domains/shop/orders/where").text
    assert ("Ask Orders" in page, 'name="who"' in page) == (True, False), "the proxy says who it is"
    client.post("/mesh/domains/shop/orders/access", {"why": "to count"}, **ours, x_user="ann")
    assert [grant(client, x_user=name) for name in ("Ann", "cy")] == [403, 303]
    place.settings = place.settings.model_copy(update={"groups_header": "x-groups"})
    client = Client(app_of(place))
    others = ({}, {"x_user": "cy"}, {"x_user": "cy", "x_groups": "Ordersx, /sales"}, {"x_groups": "orders"})
    assert [grant(client, **who) for who in others] == [403] * 4
    assert grant(client, x_user="bo@X.example") == 303
    assert grant(client, x_user="di", x_groups="sales, /orders") == 303
    answers = client.get("/mesh/access.json").json()["requests"][0]["answers"]
    assert [one["by"] for one in answers] == ["cy", "bo@X.example", "di"]


def command(capsys, *words: str) -> dict:
    """What `mesh WORDS` prints as JSON."""
    from mesh_assets.cli import app

    capsys.readouterr()
    assert not app(list(words), standalone_mode=False)
    return json.loads(capsys.readouterr().out)


def test_a_lost_job_is_found_again(client):
    told = client.get("/mesh/jobs/none").text
    assert "/mesh/jobs" in told
    assert client.get("/mesh/jobs").status_code == 200


def test_who_asked_is_in_no_exported_file(place, tmp_path):
    Client(app_of(place)).post("/mesh/domains/shop/orders/access", {"who": "Ann-who-asked", "why": "to count"})
    export(Site(place.root, place.settings).view(), tmp_path / "site")
    assert [file for file in (tmp_path / "site").rglob("*.html") if "Ann-who-asked" in file.read_text()] == []


# -- programs -----------------------------------------------------------------------------------------------------------


def test_what_is_unchanged_is_not_sent_again(client):
    first = client.get("/mesh/api/domains/shop/orders/what")
    assert client.get("/mesh/api/domains/shop/orders/what", if_none_match=first.headers["etag"]).status_code == 304
    page = client.get("/mesh/domains/shop/orders/how")
    assert client.get("/mesh/domains/shop/orders/how", if_none_match=page.headers["etag"]).status_code == 304


def test_the_api_is_as_its_openapi_says_for_every_domain_table_version_and_question(client, built):
    """Every key is described, has the described type and is there: schemas are closed for this test."""
    said = Described(client)
    for kind in ("domains", "tables", "status"):
        said.check(f"/{kind}")
    for domain in ("shop", "money"):
        for path in (f"/domains/{domain}", f"/domains/{domain}/tests", *(f"/domains/{domain}/{q}" for q in QUESTIONS)):
            said.check(path)
    for table in ("shop/raw_orders", "shop/orders", "money/revenue"):
        said.check(f"/domains/{table}/tests")
        version = built.version(table.replace("/", "."))
        for question in QUESTIONS:
            said.check(f"/domains/{table}/{question}")
            said.check(f"/domains/{table}@{version}/{question}")
    for kind in ("changes", "incidents", "kitchens", "pipelines", "quarantine", "backfills", "access"):
        said.check(f"/{kind}")
        if kind == "access":
            continue
        said.problem(f"/{kind}/shop/none" if kind == "quarantine" else f"/{kind}/0123abc")
    said.problem("/domains/shp")


def test_a_wrong_type_and_a_missing_or_new_key_are_told_by_the_schemas(client):
    from jsonschema import ValidationError

    said = Described(client)
    data = client.get("/mesh/api/domains/money/revenue/when").json()
    for spoilt in (
        {**data, "versions": [{**data["versions"][0], "seconds": "1.5"}]},
        {**data, "tests": [{**data["tests"][0], "status": None}]},
        {key: value for key, value in data.items() if key != "waiting"},
        {**data, "status": "good"},
        {**data, "unheard": 1},
        {**data, "versions": [{**data["versions"][0], "at": "yesterday"}]},
    ):
        with pytest.raises(ValidationError):
            said.validate("/domains/money/revenue/when", spoilt)


def test_the_api_shows_trouble_as_it_shows_success(place):
    """A held table, an incident, a broken domain, a table that never ran, and a kitchen."""
    from mesh_assets.kitchen.api import Kitchen

    Kitchen.open("tasting", root=place.root, settings=place.settings, code=False)
    place.write("domains/shop/raw/orders.csv", "id,amount,buyer,note\n1,7000,x,y\n")
    place.run()
    place.sql("money.later", "select 1::bigint as one")
    place.domain("torn", "inpts: []\n")
    client = Client(app_of(place))
    said = Described(client)
    assert client.get("/mesh/api/domains/money/later/what").json()["version"] is None
    for path in ("/domains", "/tables", "/status", "/domains/shop", "/domains/torn", "/kitchens", "/kitchens/tasting"):
        said.check(path)
    for question in QUESTIONS:
        for address in ("shop", "shop/orders", "money/later"):
            said.check(f"/domains/{address}/{question}")
    (incident,) = said.check("/incidents")["incidents"]
    said.check(f"/incidents/{incident['id']}")


def test_documents_of_the_standards_have_etags_and_name_themselves_as_they_were_asked_for(built):
    client = Client(app_of(built), host="127.0.0.1:4711")
    for path in ("catalog.jsonld", "domains/shop.odps.yaml", "domains/shop/orders.odcs.yaml"):
        first = client.get(f"/mesh/{path}")
        assert client.get(f"/mesh/{path}", if_none_match=first.headers["etag"]).status_code == 304
    found = client.get("/mesh/catalog.jsonld").json()
    assert found["@id"] == "http://127.0.0.1:4711/mesh/"
    assert found["dcat:dataset"][0]["@id"] == "http://127.0.0.1:4711/mesh/domains/shop/orders/what"
    named = Place(built.root)
    named.settings = built.settings.model_copy(update={"portal_url": "https://mesh.example"})
    assert Client(app_of(named)).get("/mesh/catalog.jsonld").json()["@id"] == "https://mesh.example/mesh/"


def test_the_catalogue_as_dcat_names_every_port(client):
    found = client.get("/mesh/catalog.jsonld").json()
    assert [item["dct:identifier"] for item in found["dcat:dataset"]] == ["shop.orders", "money.revenue"]


def test_a_contract_is_given_as_it_was_written(client, built):
    written = (built.root / "domains/shop/contracts/orders.odcs.yaml").read_text()
    assert client.get("/mesh/domains/shop/orders.odcs.yaml").text == written


# -- files ---------------------------------------------------------------------------------------------------------------


def test_every_link_of_the_exported_site_resolves(built, tmp_path):
    target = tmp_path / "site"
    written = export(Site(built.root, built.settings).view(), target)
    pages = sorted(target.rglob("*.html"))
    assert written.pages == len(pages) > 30
    for page in pages:
        text = page.read_text()
        assert SECRET not in text
        assert str(built.root) not in text
        for link in Strict(text).links:
            parts = urlsplit(link)
            if parts.scheme or link.startswith("#"):
                assert parts.scheme in ("mailto", "data", "")
                continue
            assert (page.parent / unquote(parts.path)).resolve().is_file(), (page, link)
    assert "<form" not in "".join(page.read_text() for page in pages)


def test_an_export_never_writes_over_what_it_did_not_write(built, tmp_path):
    from mesh_assets.errors import UsageError

    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else"):
        export(Site(built.root, built.settings).view(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


# -- what is vendored ------------------------------------------------------------------------------------------------------


def test_htmx_is_the_file_that_its_checksum_names_and_has_its_licence():
    told = (render.STATIC / "htmx-4.0.1.sha256").read_text().strip()
    assert hashlib.sha256((render.STATIC / render.HTMX).read_bytes()).hexdigest() == told
    assert "Zero-Clause BSD" in (render.STATIC / "htmx-4.0.1.LICENSE.txt").read_text()


def test_nothing_that_is_served_names_another_host():
    for file in (render.STYLE, render.SCRIPT):
        assert "://" not in (render.STATIC / file).read_text()
    for template in (Path(render.HERE) / "templates").iterdir():
        assert not re.findall(r"(?:src|href)=\"https?:", template.read_text())


def test_json_of_a_page_is_what_the_command_line_prints(built, capsys):
    from mesh_assets import catalog

    env = built.env()
    states = {row["table"]: row["version"] for row in catalog.status(env)["tables"]}
    shown = Client(app_of(built)).get("/mesh/tables.json").json()
    assert {row["table"]: row["version"] for row in shown["tables"]} == states
    json.dumps(shown)


@pytest.mark.slow
def test_a_table_of_500_columns_and_one_without_rows_have_their_pages(place):
    names = [f"c{number:03}" for number in range(499)] + ['with "quotes" & <b>']
    columns = ['1::BIGINT AS "' + name.replace('"', '""') + '"' for name in names]
    place.sql("shop.wide", f"SELECT {', '.join(columns)}")
    place.sql("shop.nothing", "SELECT 1::BIGINT AS id WHERE false")
    place.contract("shop.nothing", {"id": "BIGINT"})
    said = place.statuses()
    assert said["shop/wide"] == said["shop/nothing"] == "published"
    client = Client(app_of(place))
    for table in ("wide", "nothing"):
        for word in (*QUESTIONS, "tests"):
            page = client.get(f"/mesh/domains/shop/{table}/{word}")
            assert page.status_code == 200, page.text
            assert "<b>" not in page.text
    assert "c498" in client.get("/mesh/domains/shop/wide/what").text
    assert "There are no rows." in client.get("/mesh/domains/shop/nothing/what").text
    assert client.get("/mesh/domains/shop/nothing/tests/new?of=id").status_code == 200
    assert client.get("/mesh/domains/shop/nothing/tests/suggest").status_code == 200


def test_without_dagsters_storage_every_page_can_be_read(place):
    shutil.rmtree(place.root / ".mesh" / "dagster")
    (place.root / ".mesh" / "dagster").write_text("no folder")
    client = Client(app_of(place))
    for path in READING:
        assert client.get(path).status_code == 200, path
