"""The `mesh` program itself: what it prints, where, and how it ends. Each start costs seconds, so that one test asks much."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.making import Place

MESH = Path(sys.executable).with_name("mesh")
COMMANDS = ("init", "check", "run", "test", "status", "sql", "dev")
HEAVY = ("dagster", "duckdb", "pandas", "polars", "pandera", "dbt", "sqlalchemy", "pyarrow", "ibis", "rich.progress")
TABLES = ["shop/raw_orders", "shop/orders", "finance/revenue"]


@dataclass
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        """All of stdout, as one JSON document."""
        document = json.loads(self.out)
        assert document["schema_version"] == 1
        return document


def mesh(*words: object, where: Path, **variables: str) -> Said:
    """Run `mesh WORDS` in a folder, as a person does; never is there a traceback."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MESH_", "DAGSTER"))}
    environment |= {"COLUMNS": "100", **variables}
    done = subprocess.run(
        [MESH, *map(str, words)], cwd=where, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def make(root: Path) -> Place:
    """A mesh of two domains, with a test that warns, and values that JSON has no word for."""
    place = Place(root)
    place.domain("shop", "inputs: [{source: raw/orders/*.csv, as: raw_orders}]\noutputs: [{port: orders}]\n")
    place.write("domains/shop/raw/orders/1.csv", "id,amount,sold_on\n1,10.50,2026-01-05\n2,20.25,\n3,0.00,2026-01-07\n")
    place.contract("shop.raw_orders", {"id": "BIGINT; required: true", "amount": "DECIMAL(10,2)", "sold_on": "DATE"})
    place.sql("shop.orders", "select id, amount, sold_on from shop.raw_orders")
    place.contract(
        "shop.orders",
        {
            "id": "BIGINT; required: true; unique: true",
            "amount": "DECIMAL(10,2); logicalTypeOptions: {minimum: 0}",
            "sold_on": "DATE",
        },
        quality="- {id: all_dated, type: sql, query: 'select count(*) from {object} where sold_on is null', mustBe: 0, severity: warning}",
    )
    place.domain("finance", "inputs: [{port: shop.orders}]\noutputs: [{port: revenue}]\n")
    place.sql("finance.revenue", "select sum(amount)::decimal(12,2) as total, count(*) as n from shop.orders")
    place.contract("finance.revenue", {"total": "DECIMAL(12,2); required: true", "n": "BIGINT"})
    return place


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Said]:
    """A mesh that was run once, and what the run said. Nobody changes it."""
    place = make(tmp_path_factory.mktemp("cli"))
    return place, mesh("run", "--json", where=place.root)


@pytest.fixture
def copy(ran: tuple[Place, Said], tmp_path: Path) -> Place:
    """A copy of it, to change."""
    return ran[0].copied(tmp_path / "mesh")


def test_run_prints_one_json_document(ran):
    """Every table with what came of it; nothing but JSON on stdout."""
    place, said = ran
    assert said.code == 0
    report = said.json
    assert set(report) == {"schema_version", "run_id", "runs", "snapshot", "tables"}
    assert report["runs"] == [report["run_id"]]
    assert report["snapshot"] == {"inputs": 0, "result": 3}
    assert [row["table"] for row in report["tables"]] == TABLES
    for version, row in enumerate(report["tables"], start=1):
        assert set(row) == {"table", "status", "version", "rows", "seconds", "tests", "message"}
        assert (row["status"], row["version"], row["message"]) == ("published", version, "")
        assert row["seconds"] > 0
    assert [row["rows"] for row in report["tables"]] == [3, 3, 1]
    assert report["tables"][1]["tests"] == {"pass": 5, "warn": 1, "fail": 0}
    assert (place.root / ".mesh").is_dir()


def test_a_second_run_and_the_status(ran):
    """All is as it was, and Dagster is not asked; people get a table that names every table once."""
    place, _ = ran
    again = mesh("run", where=place.root)
    assert (again.code, again.err) == (0, "")
    lines = [line.split() for line in again.out.splitlines()]
    assert [line[:4] for line in lines[1:4]] == [
        [table, "unchanged", str(v), r] for v, (table, r) in enumerate(zip(TABLES, "331", strict=True), start=1)
    ]
    assert lines[4] == ["3", "unchanged;", "the", "mesh", "is", "at", "version", "3"]
    status = mesh("status", "--json", where=place.root).json
    assert set(status) == {
        "schema_version", "snapshot", "tables", "incidents", "pipelines", "channels", "broken", "paused",
        "deprecated",
    }  # fmt: skip
    assert status["deprecated"] == []
    assert (status["incidents"], status["pipelines"], status["channels"]) == ([], [], [])
    assert (status["snapshot"], status["broken"]) == (3, [])
    orders = status["tables"][1]
    assert set(orders) == {
        "table", "domain", "part_of", "port", "state", "says", "standing", "why", "version", "since", "rows", "tests", "last", "message",
        "incident", "expected", "freshness",
    }  # fmt: skip
    assert [orders[key] for key in ("table", "domain", "port", "state", "standing", "version", "rows", "last")] == [
        "shop/orders", "shop", True, "passed with warnings", "current", 2, 3, "published",
    ]  # fmt: skip


@pytest.mark.long
def test_sql_reads_and_nothing_else(ran, tmp_path):
    """Values that JSON has no word for are text; versions can be asked for; writing and files are refused."""
    place, _ = ran
    query = (
        "select id, amount, sold_on, 'nan'::double as odd, '-inf'::float as low, 'ab'::blob as raw, null as nothing, "
        "[1, 2] as list, {'a': date '2026-01-01'} as record, 12345678901234567890::hugeint as big, true as yes "
        "from shop.orders order by id limit 1"
    )
    said = mesh("sql", query, "--json", where=place.root)
    assert said.code == 0
    assert said.json == {
        "schema_version": 1,
        "columns": ["id", "amount", "sold_on", "odd", "low", "raw", "nothing", "list", "record", "big", "yes"],
        "rows": [
            [
                1,
                "10.50",
                "2026-01-05",
                "nan",
                "-inf",
                "<2 bytes>",
                None,
                [1, 2],
                {"a": "2026-01-01"},
                12345678901234567890,
                True,
            ]
        ],
    }
    people = mesh("sql", "from finance.revenue", where=place.root)
    assert (people.code, people.out.split()) == (0, ["total", "n", "30.75", "3", "1", "row"])
    secret = tmp_path / "secret.csv"
    secret.write_text("a\nhidden\n")
    for statement in (
        "select 1; delete from shop.orders",
        f"copy shop.orders to '{tmp_path / 'out.csv'}'",
        "from read_text('/etc/passwd')",
        f"from '{secret}'",
    ):
        refused = mesh("sql", statement, "--json", where=place.root)
        assert (refused.code, refused.out) == (2, ""), statement
        assert "\n    " in refused.err, f"{statement}: says how to mend it"
        assert "hidden" not in refused.err
        assert "root:" not in refused.err
    assert not (tmp_path / "out.csv").exists()
    misspelt = mesh("sql", "from shop.ordes", where=place.root)
    assert (misspelt.code, misspelt.out) == (2, "")
    assert "Did you mean `shop.orders`?" in misspelt.err


def test_tests_as_json_and_junit(ran, tmp_path):
    """Every test by name; a warning is no failure unless it is asked to be."""
    place, _ = ran
    report = tmp_path / "new" / "report.xml"
    said = mesh("test", "--json", "--junit", report, where=place.root)
    assert said.code == 0
    items = said.json["tests"]
    keys = {"table", "name", "type", "column", "severity", "status", "failing_rows", "total_rows", "sample"}
    assert all(keys <= set(item) for item in items)
    warned = [
        (item["table"], item["name"], item["severity"], item["total_rows"])
        for item in items
        if item["status"] == "warn"
    ]
    assert warned == [("shop/orders", "all_dated", "warning", 3)]
    assert {item["status"] for item in items} == {"pass", "warn"}
    suites = ET.parse(report).getroot().findall("testsuite")
    assert [suite.get("name") for suite in suites] == TABLES
    assert sum(int(suite.get("tests")) for suite in suites) == len(items)
    assert sum(int(suite.get("failures")) for suite in suites) == 0

    strict = mesh("test", "shop/orders", "--fail-on", "warn", "--junit", report, where=place.root)
    assert strict.code == 1
    assert strict.out.splitlines()[0] == "shop/orders, version 2"
    assert re.search(r"^ +warn +all_dated +The query returned 1", strict.out, re.MULTILINE)
    (suite,) = ET.parse(report).getroot().findall("testsuite")
    assert (suite.get("failures"), len(suite.findall("testcase/failure"))) == ("1", 1)
    assert mesh("test", "--fail-on", "never", where=place.root).code == 2


@pytest.mark.long
def test_a_held_table_ends_with_1_and_its_tests_name_the_rows(copy):
    """Readers keep their version; the table that failed is named, with the rule and the rows; the others go on."""
    copy.write("domains/shop/raw/orders/2.csv", "id,amount,sold_on\n4,-7.00,2026-01-08\n")
    said = mesh("run", where=copy.root)
    assert said.code == 1
    assert "held shop/orders: readers keep version 2: amount__minimum failed" in said.out
    assert "The failing rows: mesh test shop/orders" in said.out
    failing = mesh("test", "shop", where=copy.root)
    assert failing.code == 1
    assert re.search(r"^ +fail +amount__minimum +1 of 4 rows .*\n.*amount -7\.00.*id 4", failing.out, re.MULTILINE)
    assert mesh("sql", "from finance.revenue", "--json", where=copy.root).json["rows"] == [["30.75", 3]]
    status = mesh("status", where=copy.root)
    assert status.code == 0
    assert "held shop/orders: readers keep version 2" in status.out


@pytest.mark.long
def test_what_is_named_is_run(copy):
    """With what it needs; with what rests on it when that is asked for; and by force although nothing has changed."""
    copy.write("domains/shop/raw/orders/2.csv", "id,amount,sold_on\n4,1.00,2026-01-08\n")
    tables = lambda *words: {
        row["table"]: row["status"] for row in mesh("run", "--json", *words, where=copy.root).json["tables"]
    }
    assert tables("shop") == {"shop/raw_orders": "published", "shop/orders": "published"}
    assert tables("shop.orders", "--downstream") == {"shop/orders": "unchanged", "finance/revenue": "published"}
    forced = mesh("run", "finance/revenue", "--force", "--json", where=copy.root).json
    assert [(row["table"], row["status"]) for row in forced["tables"]] == [("finance/revenue", "unchanged")]
    assert len(forced["runs"]) == 1
    old = mesh("sql", "from finance.revenue", "--at", "3", "--json", where=copy.root)
    assert old.json["rows"] == [["30.75", 3]]
    beyond = mesh("sql", "from finance.revenue", "--at", "999", where=copy.root)
    assert (beyond.code, beyond.out) == (2, "")
    assert "999" in beyond.err


def test_before_the_first_run(tmp_path):
    """Nothing is there yet, and that is said; state is kept where MESH_HOME says."""
    place = make(tmp_path / "mesh")
    home = tmp_path / "elsewhere"
    ask = lambda *words: mesh(*words, where=place.root, MESH_HOME=str(home))
    status = ask("status")
    assert status.code == 0
    assert "waits for shop/raw_orders" in status.out
    assert ask("test", "--json").json == {"schema_version": 1, "tests": [], "broken": []}
    unread = ask("sql", "from shop.orders")
    assert unread.code == 2
    assert unread.err == "shop/orders was never published\n    Build it first: mesh run shop/orders\n"
    assert (home / "ledger.sqlite").is_file()
    assert not (place.root / ".mesh").exists()


@pytest.mark.long
def test_wrong_use_is_told_in_words(ran, tmp_path):
    """Unknown names get the nearest one; there is no mesh where there is none; exit 2."""
    place, _ = ran
    cases: dict[tuple, tuple[str, ...]] = {
        ("run", "shp"): ("there is no domain or table `shp`", "Did you mean `shop`?"),
        ("test", "shop/ordrs"): ("no domain or table `shop/ordrs`", "Did you mean `shop/orders`?"),
        ("check", "--mesh", tmp_path): (f"there is no mesh.yaml in {tmp_path}", f"mesh init {tmp_path}"),
        ("chek",): ("`mesh` has no command `chek`", "Did you mean `check`?"),
        ("sql",): ("`QUERY` is missing", "One SELECT over `domain.table`. `mesh sql --help` shows how it is called."),
        ("run", "--forse"): ("`mesh run` has no option `--forse`", "Did you mean `--force`?"),
        ("sql", "select 1", "--at", "abc"): ("`--at` is a whole number, not `abc`", "`mesh sql --help`"),
        ("dev", "--port", "99999"): ("`--port` is at most 65535, not 99999",),
        ("status", "shop"): ("`mesh status` takes no more words than it has, and there is `shop`",),
        ("test", "--junit"): ("`--junit` needs a value",),
        ("test", "--rows", "101"): ("`--rows` is at most 100, not 101",),
        ("test", "--fail-on", "never"): ("--fail-on is `warn` or `error`, not `never`",),
    }
    for words, expected in cases.items():
        said = mesh(*words, where=place.root)
        assert (said.code, said.out) == (2, ""), words
        for part in expected:
            assert part in said.err, words
    nowhere = mesh("status", where=tmp_path)
    assert (nowhere.code, nowhere.out) == (2, "")
    assert "no mesh.yaml in" in nowhere.err
    assert "mesh init DIR" in nowhere.err
    assert mesh("status", "--mesh", place.root, "--json", where=tmp_path).json["snapshot"] == 3
    assert mesh("--mesh", place.root, "status", "--json", where=tmp_path).json["snapshot"] == 3
    assert mesh("--mesh", tmp_path, "check", "--mesh", place.root, where=tmp_path).code == 0
    said = mesh("--version", where=tmp_path)
    assert (said.code, said.out.split()[0], said.err) == (0, "mesh_assets", "")


@pytest.mark.long
def test_what_is_wrong_with_the_files_is_listed(copy):
    """`mesh check` says all of it and ends with 2; the rest of the mesh runs, and the command says that it was not all."""
    copy.write("domains/finance/sql/revenue.sql", "select sum(amount) as total, 1 as n from shop.ordes")
    copy.write("domains/shop/sql/orders.sql", "select id, amount + 0 as amount, sold_on from shop.raw_orders")
    said = mesh("check", "--json", where=copy.root)
    assert said.code == 2
    (problem,) = said.json["problems"]
    assert set(problem) == {"code", "path", "line", "column", "what", "mend"}
    assert (problem["code"], problem["path"], problem["line"]) == ("M401", "domains/finance/sql/revenue.sql", 1)
    people = mesh("check", where=copy.root)
    where = f"domains/finance/sql/revenue.sql:1:{problem['column']}: "
    assert people.out == f"{where}{problem['what']} [M401]\n    {problem['mend']}\n"
    run = mesh("run", "--json", where=copy.root)
    assert run.code == 2
    assert "domain `finance` is left out" in run.err
    assert {row["table"]: row["status"] for row in run.json["tables"]} == {
        "shop/raw_orders": "unchanged",
        "shop/orders": "unchanged",
    }
    unloaded = mesh("run", "finance", where=copy.root)
    assert unloaded.code == 2
    assert "domain `finance` could not be loaded" in unloaded.err
    copy.write("mesh.yaml", "mehs: test\n")
    for command in ("check", "run", "status"):
        assert mesh(command, where=copy.root).code == 2, command


def test_init_makes_a_mesh_that_runs(tmp_path):
    """Into a new or an empty folder; what is there is never touched."""
    shop = tmp_path / "a" / "shop"
    assert mesh("init", shop, where=tmp_path).code == 0
    assert mesh("run", where=shop).code == 0
    tested = mesh("test", where=shop)
    assert (tested.code, tested.out.splitlines()[-1].endswith("0 fail, 0 error")) == (0, True)
    assert (shop / ".gitignore").read_text() == ".mesh/\n"
    again = mesh("init", shop, where=tmp_path)
    assert again.code == 2
    assert "is not empty" in again.err
    (tmp_path / "empty").mkdir()
    assert mesh("init", "empty", where=tmp_path).code == 0
    assert mesh("check", where=tmp_path / "empty").code == 0
    (tmp_path / "file").write_text("mine")
    assert mesh("init", "file", where=tmp_path).code == 2
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command, tmp_path):
    """Every command says what it does, and shows one use of it."""
    said = mesh(command, "--help", where=tmp_path)
    assert said.code == 0
    assert re.search(rf"Examples?: mesh {command}", said.out)


PRINTS = """
import os
import sys

import dagster as dg
import mesh_assets
import polars as pl

print("at import")


@mesh_assets.table(inputs=[])
def ours():
    print("in a step")
    os.system("echo by a program")
    return pl.DataFrame({"a": [1]})


@mesh_assets.table(inputs=[])
def nobody():
    return {}["nope"]


@dg.asset
def plain() -> pl.DataFrame:
    print("in an asset")
    return pl.DataFrame({"a": [1]})
"""


@pytest.mark.long
def test_what_a_teams_code_prints_is_not_in_the_json(tmp_path):
    """Stdout is the document's alone; and what the code raises is told with its type and its line."""
    place = Place(tmp_path)
    place.domain("shop", "")
    place.write("domains/shop/assets.py", PRINTS)
    said = mesh("run", "--json", where=tmp_path)
    rows = {row["table"]: row for row in said.json["tables"]}
    assert said.code == 3
    assert rows["shop/ours"]["status"] == rows["shop/plain"]["status"] == "published"
    assert rows["shop/nobody"]["message"] == "domains/shop/assets.py:20: KeyError: 'nope'\n    return {}[\"nope\"]"
    assert {"at import", "in a step", "by a program", "in an asset"} <= set(said.err.splitlines())


@pytest.mark.long
def test_a_domain_that_cannot_be_imported_is_reported_once(tmp_path):
    """However many tables it has; the other domains are built, and the line to mend is the first that is read."""
    place = make(tmp_path)
    tables = "".join(f"\n\n@mesh_assets.table(inputs=[])\ndef t{number}(): ...\n" for number in range(3))
    place.write("domains/finance/assets.py", f"import mesh_assets\nimport sys\n\nsys.exit(4)\n{tables}")
    said = mesh("run", where=tmp_path)
    assert said.code == 3
    assert said.out.count("domains/finance/assets.py:4: SystemExit: 4") == 1
    assert "2 published" in said.out
    assert "4 failed" in said.out
    where = "domains/finance/assets.py:4: SystemExit: 4"
    status = mesh("status", where=tmp_path)
    assert status.out.count(f"failed domain finance: it could not be loaded: {where}\n    sys.exit(4)") == 1
    tested = mesh("test", "finance", where=tmp_path)
    assert tested.code == 1
    assert f"domain `finance` cannot be loaded, and nothing new of it is built: {where}" in tested.err
    assert f"total__required could not be executed: its domain cannot be loaded: {where}" in tested.out


def test_junit_into_a_folder_is_wrong_use(ran, tmp_path):
    place, _ = ran
    said = mesh("test", "--junit", tmp_path, where=place.root)
    assert (said.code, said.out) == (2, "")
    assert (
        said.err
        == f"--junit writes a file, and {tmp_path} is a folder\n    Name a file in it: --junit {tmp_path}/tests.xml\n"
    )
    said = mesh("test", "shop/raw_orders", "--junit", place.root / "mesh.yaml" / "tests.xml", where=place.root)
    assert said.code == 2
    assert "mesh.yaml/tests.xml cannot be written" in said.err


def test_check_loads_no_engine(ran):
    """It answers in the time that it takes to read the files."""
    place, _ = ran
    code = f"""
import sys
from mesh_assets.cli import main
sys.argv = ["mesh", "check"]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=place.root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def on_a_terminal(*words: object, where: Path) -> str:
    """What a person sees: the program believes that it writes to a terminal of 80 columns."""
    command = ["script", "-qec", f"stty cols 80; exec {shlex.join(map(str, (MESH, *words)))}", "/dev/null"]
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("COLUMNS", None)
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False, timeout=300)
    return done.stdout


def without_colours(text: str) -> str:
    """The text alone."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_terminal_gets_colours_a_progress_line_and_no_broken_words(copy):
    """Names are whole on 80 columns, wide rows stand one below the other, and a run says how far it is."""
    copy.write("domains/shop/raw/orders/2.csv", "id,amount,sold_on\n4,1.00,2026-01-08\n")
    seen = on_a_terminal("run", where=copy.root)
    assert "\x1b[32mpublished" in seen
    assert "3/3" in seen
    assert "loading the mesh" in seen
    wide = ", ".join(f"repeat('x', 30) as long_name_{n}" for n in range(4))
    seen = without_colours(on_a_terminal("sql", f"select {wide} from finance.revenue", where=copy.root))
    assert [line.split() for line in seen.splitlines()[:2]] == [["row", "1"], ["long_name_0", "x" * 30]]
    status = without_colours(on_a_terminal("status", where=copy.root))
    assert all(any(line.startswith(table) for line in status.splitlines()) for table in TABLES)
    assert max(len(line.rstrip()) for line in status.splitlines()) <= 80


@pytest.mark.parametrize("command", ["dev", "portal"])
def test_an_address_that_is_taken_is_said_before_anything_is_started(tmp_path, command):
    (tmp_path / "mesh.yaml").write_text("mesh: small")
    with socket.create_server(("127.0.0.1", 0)) as other:
        said = mesh(command, "--port", other.getsockname()[1], where=tmp_path)
    assert said.code == 3
    assert "cannot be listened at: Address already in use" in said.err
    assert "http://" not in said.err
    assert not (tmp_path / ".mesh").exists()
    assert mesh(command, "--port", 99999, where=tmp_path).code == 2


@pytest.mark.parametrize("home", ["/proc/nothing", "afile"])
def test_a_home_that_cannot_be_one_is_named(tmp_path, home):
    (tmp_path / "mesh.yaml").write_text("mesh: small")
    (tmp_path / "afile").write_text("")
    said = mesh("status", where=tmp_path, MESH_HOME=home)
    assert said.code == 3
    assert f"{home} cannot be the home of the mesh: " in said.err
    assert "Correct MESH_HOME" in said.err


def test_a_damaged_ledger_is_named_and_that_it_is_made_again(tmp_path):
    (tmp_path / "mesh.yaml").write_text("mesh: small")
    assert mesh("status", where=tmp_path).code == 0
    ledger = tmp_path / ".mesh" / "ledger.sqlite"
    for file in tmp_path.glob(".mesh/ledger.sqlite-*"):
        file.unlink()
    ledger.write_bytes(b"no database " * 1000)
    said = mesh("status", where=tmp_path)
    assert said.code == 3
    assert f"the ledger {ledger} cannot be used: file is not a database" in " ".join(said.err.split())
    ledger.rename(tmp_path / "aside")
    assert mesh("status", where=tmp_path).code == 0
