"""A port whose rows stay on another engine: tested there, never copied, and nothing here reads it."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import dagster as dg
import duckdb
import psycopg
import pytest
from typer.testing import CliRunner

from mesh_assets import order, testing
from mesh_assets.cli import app
from mesh_assets.engines.there import opened
from mesh_assets.orchestration.instance import open_instance
from mesh_assets.orchestration.load import build_definitions
from mesh_assets.settings import with_variables
from tests.making import Place

COLUMNS = {
    "id": "BIGINT; required: true; unique: true",
    "amount": "DECIMAL(10,2); logicalTypeOptions: {minimum: 0}",
    "code": "VARCHAR; logicalTypeOptions: {pattern: '^E-[0-9]{3}$'}",
    "at": "TIMESTAMP WITH TIME ZONE",
}
GOOD = ["id__required", "id__unique", "amount__minimum", "code__pattern", "columns", "types"]


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path / "mesh")
    place.contract("erp.invoices", COLUMNS)
    return place


@pytest.fixture
def server(place, postgres):
    """A table of 1,000 rows, of which 3 have a bad code and 2 share an id."""
    schema = f"erp_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres, autocommit=True) as con, with_variables({"ERP": postgres}):
        con.execute(f"create schema {schema}")
        con.execute(
            f"create table {schema}.invoices (id bigint, amount numeric(10,2), code varchar(20), at timestamptz default now())"
        )
        con.execute(
            f"insert into {schema}.invoices select case when n = 7 then 8 else n end, n / 7.0, "
            f"case when n > 997 then 'none' else 'E-' || lpad((n % 1000)::text, 3, '0') end from generate_series(1, 1000) n"
        )
        place.domain(
            "erp",
            "outputs: [{port: invoices, engine: postgres}]\ntables:\n"
            f"  invoices: {{toolchain: external, location: postgres:$ERP, relation: {schema}.invoices}}\n",
        )
        yield con, schema


def told(place):
    return {item["name"]: item for item in place.test("erp/invoices")}


def test_its_tests_are_executed_where_it_is_and_nothing_is_copied(place, server):
    con, schema = server
    place.domain("shop", "outputs: [{port: sales}]\n")
    place.sql("shop.sales", "select 1 as id")
    place.contract("shop.sales", {"id": "INTEGER"})
    assert place.statuses("shop/sales") == {"shop/sales": "published"}
    assert place.run()["runs"] == []
    found = told(place)
    assert sorted(found) == sorted(GOOD)
    assert {
        name: (item["status"], item["failing_rows"]) for name, item in found.items() if item["status"] != "pass"
    } == {
        "code__pattern": ("fail", 3),
        "id__unique": ("fail", 2),
    }
    assert all(item["total_rows"] == 1000 and item["subject"] == "on postgres" for item in found.values())
    twice = sorted((row["id"], row["amount"], row["code"]) for row in found["id__unique"]["sample"])
    assert twice == [(8, "1.00", "E-007"), (8, "1.14", "E-008")]
    assert {row["id"] for row in found["code__pattern"]["sample"]} == {998, 999, 1000}
    assert {row["code"] for row in found["code__pattern"]["sample"]} == {"none"}
    place.contract("erp.invoices", COLUMNS | {"code": COLUMNS["code"] + "; tags: [pii]"})
    assert {row["code"] for row in told(place)["code__pattern"]["sample"]} == {"•••"}
    env = place.env()
    assert "erp.invoices" not in env.ledger.versions()
    why = order.due(env.mesh, env.state()).why["erp.invoices"]
    assert why.sentence == "stays on postgres; `mesh test` tests it there"
    con.execute(f"delete from {schema}.invoices where code = 'none' or id = 8")
    assert {item["status"] for item in told(place).values()} == {"pass"}


def test_the_plan_says_so_without_asking_the_engine(place, server):
    with with_variables({}, without=["ERP"]):
        plan = {item["name"]: item for item in testing.explain(place.env(), ["erp.invoices"])}
        said = CliRunner().invoke(app, ["test", "--mesh", str(place.root), "--explain", "erp/invoices", "--json"])
    assert {name: plan[name]["rung"] for name in GOOD} == {
        **dict.fromkeys(GOOD[:4], "engine"),
        **dict.fromkeys(GOOD[4:], "schema"),
    }
    assert [item["how"] for item in json.loads(said.stdout)["tests"] if item["rung"] == "engine"] == [
        "a query of postgres"
    ] * 4


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        (
            "alter table {t} drop column code",
            {"columns": "`code` is missing", "code__pattern": "column `code` is missing"},
        ),
        ("alter table {t} alter column id type integer", {"types": "`id` is INTEGER, not BIGINT"}),
        (
            "alter table {t} alter column amount type numeric",
            {"types": "`amount` is numeric", "amount__minimum": "numeric"},
        ),
        (
            "alter table {t} alter column at type timestamp",
            {"types": "`at` is TIMESTAMP, not TIMESTAMP WITH TIME ZONE"},
        ),
        ("drop table {t}", dict.fromkeys(GOOD, "cannot be read where it stays")),
    ],
)
def test_what_has_changed_there_is_said_and_never_passes(place, server, change, failing):
    con, schema = server
    con.execute(f"delete from {schema}.invoices where code = 'none' or id = 8")
    con.execute(change.format(t=f"{schema}.invoices"))
    found = told(place)
    assert {name for name, item in found.items() if item["status"] != "pass"} == set(failing)
    for name, words in failing.items():
        assert words in found[name]["message"], found[name]


def test_an_engine_that_is_away_fails_every_test_and_tells_no_password(place, server, postgres):
    with with_variables({"ERP": postgres.replace("port=", "port=1")}):
        found = told(place)
    assert {item["status"] for item in found.values()} == {"error"}
    assert "erp.invoices cannot be read where it stays" in found["columns"]["message"]
    assert "correct-horse" not in json.dumps(found)
    with with_variables({}, without=["ERP"]):
        assert "needs the environment variable ERP, which is not set" in told(place)["types"]["message"]


def test_one_test_that_stumbles_leaves_the_others_standing(place, server, postgres):
    """Who may not see a column learns of the others what there is to learn."""
    con, schema = server
    role = f"reader_{schema}"
    con.execute(f"create role {role}; grant usage on schema {schema} to {role}")
    con.execute(f"grant select (id, amount, at) on {schema}.invoices to {role}")
    with with_variables({"ERP": f"{postgres} options='-c role={role}'"}):
        found = told(place)
    assert found["code__pattern"]["status"] == "error"
    assert "permission denied" in found["code__pattern"]["message"]
    assert found["id__unique"]["failing_rows"] == 2
    assert {found[name]["status"] for name in ("amount__minimum", "columns", "types")} == {"pass"}


def test_nothing_is_written_there(place, server):
    env = place.env()
    with (
        opened(env.mesh, env.mesh.tables["erp.invoices"]) as there,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        there.ask(f"delete from {there.relation} returning 1")


@pytest.mark.long
def test_dagster_shows_the_port_and_executes_its_checks(place, server):
    definitions = build_definitions(place.root, settings=place.settings)
    key = dg.AssetKey(["erp", "invoices"])
    graph = definitions.resolve_asset_graph()
    assert not graph.get(key).is_executable
    checks = [check for check in graph.asset_check_keys if check.asset_key == key]
    assert sorted(check.name for check in checks) == sorted(GOOD)
    assert "mesh__watch" not in {sensor.name for sensor in definitions.sensors}
    job = definitions.resolve_implicit_global_asset_job_def()
    with open_instance(place.root / ".mesh") as instance:
        result = job.get_subset(asset_check_selection=set(checks), asset_selection=set()).execute_in_process(
            instance=instance, raise_on_error=False
        )
        found = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert {name for name, one in found.items() if not one.passed} == {"code__pattern", "id__unique"}
    assert found["code__pattern"].metadata


SPARK = """
import json, sys
from mesh_assets import testing
from tests.making import Place
from pathlib import Path
print("TOLD " + json.dumps(list(Place(Path(sys.argv[1])).test("erp/invoices")), default=str))
"""


@pytest.mark.slow
def test_a_port_on_spark_is_tested_there(place, tmp_path):
    """Parquet in two files, in local mode. `MESH_TEST_SPARK` names a Python with pyspark; it needs Java."""
    python = os.environ.get("MESH_TEST_SPARK")
    if not python or not shutil.which("java"):
        pytest.skip(
            "no Spark here: MESH_TEST_SPARK names a Python with pyspark, and Java is Debian's openjdk-17-jre-headless"
        )
    where = [python, "-c", "import pyspark, pathlib; print(pathlib.Path(pyspark.__file__).parents[1])"]
    spark = subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / "rows").mkdir()
    for number in (0, 500):
        duckdb.sql(
            f"SET TimeZone = 'UTC'; COPY (SELECT CASE WHEN n = 7 THEN 8 ELSE n END::BIGINT AS id, (n / 7)::DECIMAL(10,2) AS amount, "
            f"CASE WHEN n > 996 THEN 'none' ELSE 'E-' || lpad((n % 1000)::VARCHAR, 3, '0') END AS code, now() AS at "
            f"FROM range({number}, {number + 500}) r(n)) TO '{tmp_path}/rows/{number}.parquet'"
        )
    place.domain(
        "erp",
        "outputs: [{port: invoices, engine: spark}]\ntables:\n"
        f"  invoices: {{toolchain: external, location: {tmp_path}/rows/*.parquet}}\n",
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), spark])
    done = subprocess.run(
        [sys.executable, "-c", SPARK, str(place.root)],
        capture_output=True, text=True, timeout=500, check=False, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    line = next((line for line in done.stdout.splitlines() if line.startswith("TOLD ")), None)
    assert line, done.stderr[-2000:]
    found = {item["name"]: item for item in json.loads(line.removeprefix("TOLD "))}
    assert {
        name: (item["status"], item["failing_rows"]) for name, item in found.items() if item["status"] != "pass"
    } == {
        "code__pattern": ("fail", 3),
        "id__unique": ("fail", 2),
    }, found
    assert sorted(found) == sorted(GOOD)
    assert {item["total_rows"] for item in found.values()} == {1000}
    assert {row["id"] for row in found["code__pattern"]["sample"]} == {997, 998, 999}
    assert sorted(row["amount"] for row in found["id__unique"]["sample"]) == ["1.00", "1.14"]
    assert all(row["at"].endswith("+00") for row in found["id__unique"]["sample"])


def test_without_pyspark_it_says_what_is_missing(place, tmp_path):
    place.domain(
        "erp",
        "outputs: [{port: invoices, engine: spark}]\ntables:\n"
        f"  invoices: {{toolchain: external, location: {tmp_path}/rows/*.parquet}}\n",
    )
    assert {item["status"] for item in told(place).values()} == {"error"}
    assert "pip install 'mesh_assets[spark]'" in told(place)["types"]["message"]
