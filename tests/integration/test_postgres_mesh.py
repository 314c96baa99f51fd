"""A whole mesh on PostgreSQL: lake and ledger in one database, the same five steps, no password anywhere."""

import dagster as dg
import pytest

from mesh_assets.orchestration.instance import open_instance
from mesh_assets.settings import Settings
from tests.conftest import PASSWORD
from tests.making import Place


@pytest.mark.long
def test_a_mesh_of_every_toolchain_runs_on_postgresql(tmp_path, postgres):
    """Raw files, SQL, Python, dbt, an input port; held and mended; nothing is written to SQLite but Dagster's own."""
    place = Place(tmp_path)
    place.settings = Settings(
        home=tmp_path / ".mesh", dir=tmp_path, lake_catalog=f"postgres:{postgres}", lake_data=str(tmp_path / "data")
    )
    place.domain("base", "outputs: [{port: items}]\ninputs: [{source: raw/items/*.csv, as: raw_items}]\n")
    place.write("domains/base/raw/items/1.csv", "id,price\n1,10\n2,20\n")
    place.contract("base.raw_items", {"id": "BIGINT", "price": "BIGINT"})
    place.sql("base.items", "select * from base.raw_items")
    place.contract(
        "base.items", {"id": "BIGINT; required: true", "price": "BIGINT; logicalTypeOptions: {maximum: 100}"}
    )
    place.domain("book", "inputs: [{port: base.items, contract: in_items.odcs.yaml, on_failure: hold}]\n")
    place.contract(
        "book.items", {"id": "BIGINT", "price": "BIGINT; logicalTypeOptions: {maximum: 50}"}, name="in_items"
    )
    project = "dbt_projects/book/"
    place.write(
        project + "dbt_project.yml",
        "name: book\nversion: '1.0.0'\nconfig-version: 2\nprofile: book\nmodels: {+materialized: table}\n",
    )
    place.write(project + "macros/s.sql", "{% macro generate_schema_name(c, n) %}{{ target.schema }}{% endmacro %}\n")
    place.write(project + "models/sources.yml", "version: 2\nsources: [{name: base, tables: [{name: items}]}]\n")
    place.write(project + "models/total.sql", "select sum(price)::bigint as total from {{ source('base', 'items') }}")
    place.write(
        "domains/book/assets.py",
        """
        import mesh_assets


        @mesh_assets.table(inputs=["total"])
        def doubled(total):
            return total.project("total * 2 as total")
        """,
    )
    report = place.run()
    assert not [str(row) for row in report["tables"] if row["status"] != "published"]
    assert place.rows("select total from book.doubled") == [(60,)]
    assert place.run()["runs"] == []
    place.write("domains/base/raw/items/1.csv", "id,price\n1,10\n2,500\n")
    assert place.statuses()["base/items"] == "held"
    assert place.rows("select total from book.doubled") == [(60,)]
    place.write("domains/base/raw/items/1.csv", "id,price\n1,10\n2,60\n")
    said = place.statuses()
    assert said["base/items"] == "published"
    assert said["book/total"] == "unchanged", "the reader holds the version that it does not admit"
    assert not (tmp_path / ".mesh" / "ledger.sqlite").exists()
    with open_instance(tmp_path / ".mesh") as instance:
        events = instance.fetch_materializations(dg.AssetKey(["base", "items"]), limit=10).records
        assert len(events) == 2
    written = [path for path in (tmp_path / ".mesh").rglob("*") if path.is_file()]
    assert not [path for path in written if PASSWORD.encode() in path.read_bytes()], (
        "the password was written to a file"
    )
