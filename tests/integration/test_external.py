"""Tables that others keep: copied when they change, audited as any other, and observed in between."""

import uuid

import dagster as dg
import duckdb
import psycopg
import pytest

from mesh_assets.orchestration import watching
from mesh_assets.orchestration.instance import open_instance
from mesh_assets.orchestration.load import build_definitions
from mesh_assets.settings import with_variables
from tests.making import Place

ROWS = "(values (1, 10::bigint), (2, 20::bigint)) t(id, amount)"


@pytest.fixture
def place(tmp_path):
    """`erp` is kept by somebody else; `finance` adds its invoices up."""
    place = Place(tmp_path / "mesh")
    place.domain(
        "finance", "inputs: [{port: erp.invoices, contract: in_invoices.odcs.yaml}]\noutputs: [{port: total}]\n"
    )
    place.sql("finance.total", "select sum(amount)::bigint as total from erp.invoices")
    place.contract("finance.total", {"total": "BIGINT"})
    place.contract("erp.invoices", {"id": "INTEGER; required: true; unique: true", "amount": "BIGINT"})
    place.contract("finance.invoices", {"amount": "BIGINT; logicalTypeOptions: {maximum: 1000}"}, name="in_invoices")
    return place


def kept_at(place, said):
    place.domain("erp", f"outputs: [{{port: invoices}}]\ntables:\n  invoices: {{toolchain: external, {said}}}\n")


def exported(tmp_path, rows=ROWS, name="2026-01"):
    (tmp_path / "exports").mkdir(exist_ok=True)
    duckdb.sql(f"from {rows}").write_parquet(str(tmp_path / "exports" / f"{name}.parquet"))


def total(place):
    return place.rows("select total from finance.total")[0][0]


def observed(place):
    """What was observed of the external table, newest first."""
    with open_instance(place.root / ".mesh") as instance:
        records = instance.fetch_observations(dg.AssetKey(["erp", "invoices"]), limit=10).records
    return [record.asset_observation.metadata for record in records]


def test_files_that_others_export_are_followed(place, tmp_path):
    exported(tmp_path)
    kept_at(place, f"location: {tmp_path}/exports/*.parquet")
    assert set(place.statuses().values()) == {"published"}
    assert total(place) == 30
    (seen,) = observed(place)
    assert seen["dagster/row_count"].value == 2
    assert [column.name for column in seen["dagster/column_schema"].value.columns] == ["id", "amount"]
    assert place.run()["runs"] == []

    exported(tmp_path, "(values (3, 5::bigint)) t(id, amount)", "2026-02")
    assert place.statuses() == {"erp/invoices": "published", "finance/total": "published"}
    assert total(place) == 35

    exported(tmp_path, "(values (3, 7::bigint)) t(id, amount)", "2026-03")
    told = {row["table"]: row for row in place.run()["tables"]}
    assert told["erp/invoices"]["status"] == "held"
    assert "id__unique" in told["erp/invoices"]["message"]
    assert total(place) == 35

    for file in (tmp_path / "exports").iterdir():
        file.unlink()
    told = {row["table"]: row for row in place.run()["tables"]}
    assert told["erp/invoices"]["status"] == "failed"
    assert "Put the export there, or correct `location:`" in told["erp/invoices"]["message"]
    assert total(place) == 35


def test_a_readers_own_expectations_meet_an_external_table(place, tmp_path):
    exported(tmp_path, "(values (1, 5000::bigint)) t(id, amount)")
    kept_at(place, f"location: {tmp_path}/exports/*.parquet")
    told = {row["table"]: row for row in place.run()["tables"]}
    assert told["erp/invoices"]["status"] == "published"
    assert told["finance/total"]["status"] in ("held", "skipped")


@pytest.mark.long
def test_a_table_of_a_duckdb_file_is_followed(place, tmp_path):
    path = tmp_path / "erp.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute(f"create schema s; create table s.invoices as from {ROWS}; create table other as select 1 as n")
    kept_at(place, f"location: 'duckdb:{path}', relation: s.invoices")
    assert place.statuses() == {"erp/invoices": "published", "finance/total": "published"}
    assert place.run()["runs"] == []
    with duckdb.connect(str(path)) as con:
        con.execute("insert into other values (2)")
    assert set(place.statuses().values()) == {"unchanged"}  # looked at, and found as it was
    with duckdb.connect(str(path)) as con:
        con.execute("update s.invoices set amount = 1 where id = 1")
    assert set(place.statuses().values()) == {"published"}
    assert total(place) == 21
    with duckdb.connect(str(path)) as con:
        con.execute("drop table s.invoices")
    told = {row["table"]: row for row in place.run()["tables"]}["erp/invoices"]
    assert told["status"] == "failed"
    assert "erp.invoices cannot be read where it is kept: Catalog Error" in told["message"]
    assert str(tmp_path) not in told["message"]
    assert total(place) == 21


@pytest.mark.long
def test_a_table_of_a_postgresql_server_is_followed(place, postgres):
    schema = f"erp_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres, autocommit=True) as server, with_variables({"ERP": postgres}):
        server.execute(f"create schema {schema}")
        server.execute(f"create table {schema}.invoices (id int, amount bigint, changed timestamp default now())")
        server.execute(f"insert into {schema}.invoices values (1, 10), (2, 20)")
        kept_at(place, f"location: postgres:$ERP, relation: {schema}.invoices, changed_by: changed, every: 1h")
        told = place.run()["tables"]
        assert {row["status"] for row in told} == {"published"}, told[0]["message"]
        server.execute(f"insert into {schema}.invoices values (3, 5)")
        assert place.run()["runs"] == []  # within the hour nobody asks again
        kept_at(place, f"location: postgres:$ERP, relation: {schema}.invoices")
        env = place.env()
        env.ledger.keep_hashes({"external:erp.invoices": ("0", "before")})
        assert set(place.statuses().values()) == {"published"}
        assert total(place) == 35
        place.env().ledger.keep_hashes({"external:erp.invoices": ("0", "before")})
        broken = postgres.replace("port=", "port=1")
        with with_variables({"ERP": broken}):
            told = {row["table"]: row for row in place.run()["tables"]}["erp/invoices"]
            assert told["status"] == "failed"
            assert "erp.invoices cannot be read where it is kept" in told["message"]
            assert "correct-horse" not in str(told)
        with with_variables({}, without=["ERP"]):
            told = {row["table"]: row for row in place.run()["tables"]}["erp/invoices"]
            assert "needs the environment variable ERP, which is not set" in told["message"]
    assert total(place) == 35


def test_each_tick_observes_what_is_there(place, tmp_path):
    exported(tmp_path)
    kept_at(place, f"location: {tmp_path}/exports/*.parquet")
    definitions = build_definitions(place.root, settings=place.settings)
    sensor = definitions.resolve_sensor_def("mesh__watch")
    with open_instance(place.root / ".mesh") as instance:
        first = sensor(dg.build_sensor_context(instance=instance))
        second = sensor(dg.build_sensor_context(instance=instance, cursor=first.cursor))
        exported(tmp_path, "(values (3, 5::bigint)) t(id, amount)", "2026-02")
        third = sensor(dg.build_sensor_context(instance=instance, cursor=second.cursor))
        (tmp_path / "exports/2026-03.parquet").write_text("no parquet")
        fourth = sensor(dg.build_sensor_context(instance=instance, cursor=third.cursor))
    rows = [one.asset_events[0].metadata["dagster/row_count"].value for one in (first, second, third)]
    assert rows == [2, 2, 3]
    versions = [one.asset_events[0].metadata["mesh/external_version"].value for one in (first, second, third)]
    assert versions[0] == versions[1] != versions[2]
    assert "2026-03.parquet" in fourth.asset_events[0].metadata["mesh/problem"].value


def test_a_mesh_without_external_tables_watches_nothing(place):
    place.domain("erp", "outputs: [{port: invoices}]\n")
    place.sql("erp.invoices", "select 1 as id, 10::bigint as amount")
    definitions = build_definitions(place.root, settings=place.settings)
    assert "mesh__watch" not in {sensor.name for sensor in definitions.sensors}
    assert watching.external_tables(place.env().mesh, ["erp", "finance"]) == []
