"""`mesh mcp`, as an agent's client has it: a process of its own, asked over its stdin and stdout."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from anyio.from_thread import start_blocking_portal
from mcp import ClientSession, StdioServerParameters, stdio_client
from mcp.types import Implementation

from mesh_assets.agent import server, tools
from mesh_assets.cli import main
from mesh_assets.errors import RunError
from mesh_assets.settings import Settings
from tests.making import Place
from tests.portal_mesh import SECRET, Client, app_of, small

MESH = ["-m", "mesh_assets.cli", "mcp"]


class Agent:
    """A client, its answers as data."""

    def __init__(self, portal, session) -> None:
        self.portal, self.session = portal, session

    def tools(self):
        """What is offered, by name."""
        return {tool.name: tool for tool in self.portal.call(self.session.list_tools).tools}

    def result(self, name, /, **told):
        """What comes back."""
        return self.portal.call(self.session.call_tool, name, told)

    def ask(self, name, /, **told):
        """The answer."""
        found = self.result(name, **told)
        assert not found.is_error, found.content[0].text
        assert json.loads(found.content[0].text) == found.structured_content
        return found.structured_content

    def error(self, name, /, **told):
        """What is said instead of an answer."""
        found = self.result(name, **told)
        assert found.is_error, found.content[0].text[:300]
        assert found.structured_content is None
        return found.content[0].text


@contextmanager
def served(place: Place, *options: str) -> Iterator[Agent]:
    """A session with a server for a mesh."""
    parameters = StdioServerParameters(
        command=sys.executable,
        args=[*MESH, "--mesh", str(place.root), *options],
        env={"MESH_HOME": str(place.root / ".mesh")},
    )
    with (
        start_blocking_portal() as portal,
        (place.root / "stderr").open("w") as stderr,
        portal.wrap_async_context_manager(stdio_client(parameters, errlog=stderr)) as streams,
    ):
        session = ClientSession(*streams, client_info=Implementation(name="robot", version="1"))
        with portal.wrap_async_context_manager(session):
            portal.call(session.initialize)
            yield Agent(portal, session)
    assert "Traceback" not in (place.root / "stderr").read_text()


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Place:
    """Built once; nobody may change it."""
    place = small(tmp_path_factory.mktemp("agent"))
    assert set(place.statuses().values()) == {"published"}
    return place


@pytest.fixture(scope="module")
def agent(built) -> Iterator[Agent]:
    """An agent that may do what it may by default."""
    with served(built) as one:
        yield one


@pytest.fixture(scope="module")
def trusted(built, tmp_path_factory) -> Iterator[tuple[Place, Agent]]:
    """An agent that may do everything, in a mesh of its own."""
    place = built.copied(tmp_path_factory.mktemp("trusted"))
    place.write("mesh.yaml", "mesh: test\nagent: {writes: [run, test, pause], columns: all}\n")
    with served(place) as one:
        yield place, one


def test_by_default_it_can_only_read(agent):
    offered = agent.tools()
    assert list(offered) == list(tools.READING)
    for tool in offered.values():
        assert (tool.annotations.read_only_hint, tool.annotations.destructive_hint) == (True, False)
        assert tool.input_schema["additionalProperties"] is False
        assert tool.description
    assert "Begin with `domains`" in agent.session.initialize_result.instructions


@pytest.mark.parametrize("name", tools.WRITING)
def test_what_writes_is_off_and_says_how_people_allow_it(agent, built, name):
    assert agent.error(name, names=["shop"]) == (
        f"`{name}` is off here\n    People allow it in mesh.yaml: `agent: {{writes: [{name}]}}`."
    )
    assert built.env().ledger.attempts(outcomes=("unchanged", "held")) == {}


QUESTIONS = {
    "/mesh/api/domains": ("domains", {}),
    "/mesh/api/tables?q=orders": ("tables", {"search": "orders"}),
    "/mesh/api/domains/shop": ("domain", {"domain": "shop"}),
    "/mesh/api/domains/shop/what": ("describe", {"name": "shop", "question": "what"}),
    "/mesh/api/domains/shop/orders/what": ("describe", {"name": "shop/orders", "question": "what"}),
    "/mesh/api/domains/shop/orders/where": ("describe", {"name": "shop.orders", "question": "where"}),
    "/mesh/api/domains/shop/orders/when": ("describe", {"name": "shop/orders", "question": "when"}),
    "/mesh/api/domains/money/revenue/with": ("describe", {"name": "money/revenue", "question": "with"}),
    "/mesh/api/domains/money/revenue/how": ("describe", {"name": "money/revenue", "question": "how"}),
    "/mesh/api/domains/shop/tests": ("tests", {"name": "shop"}),
    "/mesh/api/domains/shop/orders/tests": ("tests", {"name": "shop/orders"}),
}


def test_it_is_told_what_the_portal_tells_programs(agent, built):
    portal = Client(app_of(built))
    for path, (name, told) in QUESTIONS.items():
        assert without_clocks(agent.ask(name, **told)) == without_clocks(portal.get(path).json()), path


def test_it_is_told_what_the_command_line_prints(agent, built, monkeypatch, capsys):
    def mesh(*words):
        monkeypatch.setattr(sys, "argv", ["mesh", *words, "--json", "--mesh", str(built.root)])
        with pytest.raises(SystemExit):
            main()
        return without_clocks(json.loads(capsys.readouterr().out))

    monkeypatch.setenv("MESH_HOME", str(built.root / ".mesh"))
    drop = mesh("impact", "--port", "shop/orders", "--drop-column", "amount")
    assert drop["readers"][0]["verdict"] == "breaking"
    assert without_clocks(agent.ask("impact", port="shop/orders", drop=["amount"])) == drop
    assert without_clocks(agent.ask("status")) == mesh("status")
    assert without_clocks(agent.ask("why", table="money/revenue")) == mesh("why", "money/revenue")


def test_history_changes_incidents_and_jobs_are_there(agent):
    assert [event["outcome"] for event in agent.ask("history", name="shop/orders")["events"]] == ["published"]
    assert [event["status"] for event in agent.ask("history", name="shop/orders/some_rows")["events"]] == ["pass"]
    assert agent.ask("changes") == {"schema_version": 1, "changes": [], "deprecated": [], "total": 0}
    assert agent.ask("incidents", closed=True) == {"schema_version": 1, "incidents": [], "total": 0}
    assert agent.ask("jobs") == {"schema_version": 1, "jobs": []}
    assert [row["table"] for row in agent.ask("status", names=["shop"])["tables"]] == ["shop/raw_orders", "shop/orders"]
    assert agent.ask("status", trouble=True)["tables"] == []


def without_clocks(told):
    """Without what changes with the time of day, and what a process of its own is."""
    if isinstance(told, dict):
        return {
            key: without_clocks(item) for key, item in told.items() if key not in ("age", "minutes", "hours", "seconds")
        }
    return [without_clocks(item) for item in told] if isinstance(told, list) else told


# -- SQL ----------------------------------------------------------------------------------------------------------------


def test_sql_reads_up_to_a_limit(agent):
    found = agent.ask("sql", query="select id, amount from shop.orders order by id", limit=2)
    assert found == {"schema_version": 1, "columns": ["id", "amount"], "rows": [[1, 10], [2, 20]], "more": True}
    assert agent.ask("sql", query="from money.revenue")["rows"] == [[60]]
    everything = agent.ask("sql", query="from range(10000000)")
    assert (len(everything["rows"]), everything["more"]) == (100, True)
    assert ["shop.orders"] in agent.ask("sql", query="show tables")["rows"]


def test_a_masked_column_is_not_there(agent):
    assert agent.ask("sql", query="from shop.orders")["columns"] == ["id", "amount", "note"]
    said = agent.error("sql", query="select buyer from shop.orders")
    assert '"buyer" not found' in said
    assert said.endswith("Columns that are masked, or that no contract names, are not there.")
    for query in ("summarize shop.orders", "describe shop.raw_orders", "select orders from shop.orders", "select columns(*) from shop.orders",
                  "select * from shop.orders where note = 'a' union all by name from shop.raw_orders"):  # fmt: skip
        assert SECRET not in json.dumps(agent.ask("sql", query=query))
        assert "buyer" not in json.dumps(agent.ask("sql", query=query))


REFUSED = [
    "FROM '{file}'", "SELECT * FROM read_text('/etc/passwd')", "FROM read_parquet('{data}/**/*.parquet')", "ATTACH '{file}' AS x",
    "COPY (SELECT 1) TO '{data}/x.csv'", "DELETE FROM mesh.shop.orders", "CREATE TABLE x(i int)", "SELECT 1; SELECT 2", "FROM mesh.shop.orders",
    'WITH "mesh.shop.orders" AS (SELECT 1) SELECT buyer FROM mesh.shop.orders', "WITH duckdb_databases AS (FROM duckdb_databases) FROM duckdb_databases",
    "SELECT current_setting('temp_directory')", "SELECT getenv('HOME')", "SET enable_external_access = true",
]  # fmt: skip


def test_sql_can_do_nothing_else(agent, built):
    """Every way out is in test_lake_sql; the guard is the same."""
    env = built.env()
    before, outside = env.lake.head(), built.write("outside.csv", f"a\n{SECRET}\n")
    for query in REFUSED:
        said = agent.error("sql", query=query.format(file=outside, data=env.lake.data))
        assert "\n    " in said
        assert SECRET not in said
    assert env.lake.head() == before


def test_what_is_masked_is_in_no_answer(agent):
    told = [
        *QUESTIONS.values(),
        ("history", {"name": "shop/orders"}),
        ("status", {}),
        ("why", {"table": "shop/orders"}),
    ]
    told += [
        ("describe", {"name": "shop/raw_orders", "question": question})
        for question in ("what", "where", "when", "with", "how")
    ]
    for name, words in told:
        assert SECRET not in agent.result(name, **words).content[0].text, (name, words)


# -- bad input ----------------------------------------------------------------------------------------------------------

WRONG = [
    ("why", {"table": "shop/ordres"}, "there is no domain or table `shop/ordres`\n    Did you mean `shop/orders`?"),
    ("describe", {"name": "shop/ordres", "question": "what"}, "domain `shop` has no table `ordres`\n    Did you mean `orders`?"),
    ("describe", {"name": "shop/orders@999", "question": "what"}, "999"),
    ("describe", {"name": "shop", "question": "whta"}, "`whta` is no `question`\n    Did you mean `what`?"),
    ("describe", {"nmae": "shop"}, "`describe` is not told `nmae`\n    Did you mean `name`?\n`describe` needs `name`"),
    ("domain", {"domain": "../../etc/passwd"}, "there is no domain"),
    ("domain", {"domain": 7}, "`domain` is a text\n    Its name."),
    ("status", {"names": "shop"}, "`names` is a list of texts"),
    ("sql", {"query": "from shop.ordres"}, "There is no published table `shop.ordres`.\n    Did you mean `shop.orders`?"),
    ("sql", {"query": "from shop.orders", "limit": 100_000}, "`limit` is a number from 1 to 1000"),
    ("sql", {"query": "from shop.orders", "limit": True}, "`limit` is a whole number"),
    ("sql", {"query": "x" * 30_000}, "`query` is too long"),
    ("sql", {}, "`sql` needs `query`"),
    ("history", {"name": "shop/orders/some_row"}, "Did you mean `some_rows`?"),
    ("changes", {"id": "zz"}, "there is no change `zz`"),
    ("incidents", {"id": "zz"}, "there is no incident `zz`"),
    ("jobs", {"id": "zz"}, "there is no job `zz`"),
    ("impact", {"port": "shop/orders"}, "a question is"),
    ("impact", {"port": "shop/orders", "drop": ["ammount"]}, "Did you mean `amount`?"),
    ("impact", {"base": "--output=/tmp/x"}, "git"),
    ("staus", {}, "there is no tool `staus`\n    Did you mean `status`?"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "told", "says"), WRONG, ids=[f"{name}-{number}" for number, (name, *_) in enumerate(WRONG)]
)
def test_what_is_wrong_is_told_with_its_mend(agent, name, told, says):
    said = agent.error(name, **told)
    assert says in said
    assert "\n    " in said
    assert "Traceback" not in said


# -- what writes --------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_what_mesh_yaml_allows_is_offered_and_says_that_it_writes(trusted):
    _, agent = trusted
    offered = agent.tools()
    assert list(offered) == [*tools.READING, *tools.WRITING]
    hints = {name: offered[name].annotations for name in tools.WRITING}
    assert {name: each.read_only_hint for name, each in hints.items()} == dict.fromkeys(tools.WRITING, False)
    assert {name: each.destructive_hint for name, each in hints.items()} == {"run": True, "test": False, "pause": True}


def test_it_builds_and_tests_by_the_way_of_everybody(trusted):
    place, agent = trusted
    assert agent.ask("sql", query="select distinct buyer from shop.orders")["rows"] == [[SECRET]]  # columns: all
    place.sql("money.revenue", "select max(amount)::bigint as total, 1::bigint as extra from shop.orders")
    job = agent.ask("run", names=["money"])
    assert (job["command"], job["by"]) == ("mesh run money", "agent robot")
    assert agent.ask("jobs", id=job["id"], wait=50)["state"] == "done"
    assert agent.ask("sql", query="from money.revenue")["rows"] == [[30, 1]]
    (change,) = agent.ask("changes")["changes"]
    assert (change["port"], change["changes"][0]["kind"]) == ("money/revenue", "column_added")
    assert agent.ask("changes", id=change["id"][:6])["id"] == change["id"]
    assert len(agent.ask("history", name="money/revenue")["events"]) == 2
    job = agent.ask("test", names=["shop/orders"])
    assert agent.ask("jobs", id=job["id"], wait=50)["state"] == "done"
    assert "there is no domain or table `mony`" in agent.error("run", names=["mony"])
    assert "there is no domain or table `--force`" in agent.error("run", names=["--force"])
    assert "`names` is empty" in agent.error("run", names=[])


def test_it_pauses_a_domain_and_goes_on(trusted):
    _, agent = trusted
    assert agent.ask("pause", domain="shop", why="we look at it")["by"] == "agent robot"
    assert [each["domain"] for each in agent.ask("status")["paused"]] == ["shop"]
    assert agent.ask("pause", domain="shop", paused=False)["was_paused"] is True
    assert agent.ask("status")["paused"] == []
    assert "Did you mean `shop`?" in agent.error("pause", domain="shpo")


def test_what_is_wrong_with_the_mesh_is_an_incident(trusted):
    place, agent = trusted
    file = place.root / "domains/shop/raw/orders.csv"
    text = file.read_text()
    file.unlink()
    (found,) = agent.ask("incidents")["incidents"]
    assert (found["domain"], found["table"], found["owner"]) == ("shop", "shop/raw_orders", "shop@example.com")
    assert agent.ask("incidents", id=found["id"])["incidents"] == [found]
    assert [row["table"] for row in agent.ask("status", trouble=True)["tables"]] == ["shop/raw_orders"]
    assert "its raw files are missing" in agent.ask("why", table="shop/raw_orders")["text"]
    file.write_text(text)
    assert agent.ask("incidents")["incidents"] == []
    assert found["id"] in [each["id"] for each in agent.ask("incidents", closed=True)["incidents"]]


def test_every_answer_is_of_the_files_as_they_are(trusted):
    place, agent = trusted
    assert agent.ask("domain", domain="shop")["title"] == "Shop"
    text = (place.root / "domains/shop/domain.yaml").read_text()
    place.write("domains/shop/domain.yaml", text.replace("title: Shop", "title: The shop"))
    assert agent.ask("domain", domain="shop")["title"] == "The shop"
    place.write("domains/shop/domain.yaml", text + "wrong: key\n")
    assert agent.ask("domains")["broken"][0]["problems"][0]["code"] == "M002"
    assert "could not be loaded" in agent.error("why", table="shop/orders")
    place.write("domains/shop/domain.yaml", text)
    allowed = (place.root / "mesh.yaml").read_text()
    place.write("mesh.yaml", "mesh: test\nagent: {writes: [everything]}\n")
    assert "`everything`" in agent.error("domains")
    assert list(agent.tools()) == list(tools.READING)
    place.write("mesh.yaml", "mesh: test\n")
    assert "is off here" in agent.error("run", names=["shop"])
    assert agent.ask("sql", query="from shop.orders")["columns"] == ["id", "amount", "note"]
    place.write("mesh.yaml", allowed)
    assert "run" in agent.tools()


# -- the process --------------------------------------------------------------------------------------------------------


LOUD = """
import os, sys
from mesh_assets import catalog
from mesh_assets.cli import main

def loud(*told, **options):
    print("a line of some code")
    os.write(1, b"past Python\\n")
    os.system("echo a line of a child; cat")
    return query(*told, **options)

query, catalog.query = catalog.query, loud
try:
    main()
finally:
    print("LOADED", sorted({"dagster", "dbt", "pandas", "pandera", "polars", "ibis"} & set(sys.modules)), file=sys.stderr)
"""
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "robot", "version": "1"}}


class Wire:
    """A server, line by line: whatever it writes to its stdout must be the protocol's."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.answers: dict[int | None, dict] = {}
        self.asked = 0
        self.ask("initialize", **HELLO)
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def send(self, line):
        """One line, of JSON or not."""
        self.process.stdin.write((line if isinstance(line, str) else json.dumps(line)) + "\n")
        self.process.stdin.flush()

    def __enter__(self):
        """It is started already."""
        return self

    def __exit__(self, *_):
        """Whatever became of the test, nothing of it is left."""
        self.process.kill()
        with self.process:
            pass

    def ask(self, method, /, **told):
        """The result of a request."""
        self.asked += 1
        self.send({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": told})
        while self.asked not in self.answers:
            answer = json.loads(self.process.stdout.readline())
            assert answer["jsonrpc"] == "2.0"
            self.answers[answer.get("id")] = answer
        return self.answers[self.asked]["result"]

    def call(self, tool, /, **told):
        """What a tool answers."""
        found = self.ask("tools/call", name=tool, arguments=told)
        assert not found.get("isError"), found
        return found["structuredContent"]

    def close(self):
        """The client ends, and so does the server, which has said nothing more; what it wrote to its stderr."""
        self.process.stdin.close()
        assert self.process.stdout.read() == ""
        assert self.process.wait(60) == 0
        return self.process.stderr.read()


def test_stdout_is_the_protocols_whoever_prints_and_no_engine_is_loaded(built):
    """A client that writes lines, one of which is none; code within the server that prints, also from a child that reads its stdin."""
    with Wire("-c", LOUD, "mcp", "--mesh", str(built.root), "--read-only") as wire:
        wire.send("no JSON at all")
        assert wire.call("domains")["mesh"] == "test"
        assert len(wire.call("sql", query="from shop.orders")["rows"]) == 3
        assert wire.call("domains")["mesh"] == "test", "its stdin is the protocol's, too"
        said = wire.close()
    assert "LOADED []" in said
    assert {"a line of some code", "past Python", "a line of a child"} <= set(said.splitlines())
    assert wire.answers[1]["result"]["serverInfo"]["name"] == "mesh"


@pytest.mark.long
def test_what_a_domains_code_prints_is_in_its_job_and_not_in_the_protocol(built, tmp_path):
    place = built.copied(tmp_path / "mesh")
    place.write("mesh.yaml", "mesh: test\nagent: {writes: [run]}\n")
    place.write(
        "domains/money/assets.py",
        """
        import mesh_assets

        print("money is imported")


        @mesh_assets.table(inputs=["shop.orders"])
        def loud(orders):
            print("loud is built")
            return orders.aggregate("count(*) as n")
        """,
    )
    with Wire(*MESH, "--mesh", str(place.root)) as wire:
        assert wire.call("describe", name="money/loud", question="how")["table"] == "money/loud"
        job = wire.call("run", names=["money/loud"])["id"]
        while (told := wire.call("jobs", id=job, wait=50))["state"] == "running":
            pass
        assert told["state"] == "done", told
        assert "loud is built" in json.dumps(told)
        assert wire.call("tables", search="loud")["tables"][0]["table"] == "money/loud"
        wire.close()


def test_without_the_library_it_says_what_to_install(built, monkeypatch):
    monkeypatch.setattr(server, "find_spec", lambda _: None)
    with pytest.raises(RunError, match=r"pip install 'mesh-assets\[mcp\]'") as told:
        server.serve(built.root, Settings())
    assert told.value.exit_code == 3
