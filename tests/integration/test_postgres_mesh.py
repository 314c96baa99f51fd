"""A whole mesh on PostgreSQL: lake and ledger in one database, the same five steps, no password anywhere."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from mesh_assets import edits
from mesh_assets.account import access, record
from mesh_assets.address import parse
from mesh_assets.orchestration.instance import open_instance
from mesh_assets.settings import Settings
from mesh_assets.store import spelt
from tests.conftest import PASSWORD
from tests.making import Place
from tests.portal_mesh import Client, app_of, small


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


@pytest.mark.long
def test_what_is_asked_answered_saved_and_heard_is_kept_in_postgresql(tmp_path, postgres):
    """Records that the portal and the daemon write; eight at once, by clients of their own; `to`, `by` and `at` are words of SQL."""
    place = small(tmp_path)
    place.settings = Settings(
        home=tmp_path / ".mesh",
        dir=tmp_path,
        lake_catalog=f"postgres:{postgres}",
        lake_data=str(tmp_path / "data"),
        lake_schema="asked",
    )
    client = Client(app_of(place))
    names = [f"reader {number}" for number in range(8)]

    def ask(name: str) -> str:
        env = place.env()
        return access.ask(env, parse(env.mesh, "shop/orders"), who=name, why="to 'count' %s").id

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(ask, names))
        answers = list(
            pool.map(
                lambda id_: access.answer(place.env(), id_, "grant", who="Bo", why="yes").state, [*ids[:4], ids[0]]
            )
        )
    assert answers == [access.Said.GRANTED] * 5
    assert client.post(f"/mesh/access/{ids[0]}/decline", {"who": "Cy", "why": "no"}).status_code == 303
    found = client.get("/mesh/access.json").json()
    assert found["waiting"] == 4
    assert {one["by"] for one in found["requests"]} == set(names)
    (mine,) = [one for one in found["requests"] if one["id"] == ids[0]]
    assert (mine["state"], [one["by"] for one in mine["answers"]]) == ("declined", ["Bo", "Bo", "Cy"])

    asked = client.post("/mesh/domains/shop/access", {"who": "Ed", "why": "all of it"}).headers["location"]
    assert "Asked by Ed: all of it" in client.get(asked).text
    assert [job["title"] for job in client.get("/mesh/jobs.json").json()["jobs"]] == ["Access to shop"]

    form = "/mesh/domains/shop/orders/tests"
    revision = client.get(f"{form}/new.json?of=amount&test=range").json()["revision"]
    rule = {"of": "amount", "test": "range", "p_least": "0", "severity": "error", "revision": revision}
    assert client.post(f"{form}/save", rule).status_code == 303
    assert client.post(f"{form}/save", {**rule, "id": "again"}).status_code == 409
    env = place.env()
    (edit,) = edits.recent(env, env.mesh.tables["shop.orders"])
    assert client.post(f"{form}/undo", {"edit": edit.id}).status_code == 303
    assert "amount__range" not in (tmp_path / "domains/shop/contracts/orders.odcs.yaml").read_text()

    store = place.env().ledger.store
    record.heard(store, ["shop", "money"])
    record.heard(store, ["shop", "money"])
    assert record.silent(store) == {}
    hour = datetime.now(UTC) - timedelta(hours=1)
    with store.writing() as db:
        store.put(db, record._heard, {"domain": "money", "at": spelt(hour), "since": spelt(hour)}, replace=True)
        now = spelt(datetime.now(UTC))
        store.put(db, record._heard, {"domain": "shop", "at": now, "since": spelt(hour)}, replace=True)
    assert {name: (one.since, one.ever) for name, one in record.silent(store).items()} == {"money": (hour, True)}
    assert not (tmp_path / ".mesh" / "ledger.sqlite").exists()
