"""In a mesh: what a verdict rests on beside the table's own files changes, and the verdict with it."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from mesh_assets import console, testing
from mesh_assets.audit.sample import MASK
from mesh_assets.environment import contract_hash
from tests.making import Place

QUALITY = """
- {id: known, type: custom, engine: mesh, implementation: {test: in_reference, columns: [customer], to_table: shop.customers, to_columns: [id]}}
- {id: asked, type: sql, mustBe: 0, query: "select count(*) from {table} o anti join shop.customers c on o.customer = c.id"}
- {id: kept, type: custom, engine: mesh, implementation: rows_kept}
- {id: past, type: custom, engine: mesh, implementation: {test: condition, condition: "age(day) > interval 1 day"}}
- {id: positive, type: custom, engine: mesh, implementation: {test: condition, condition: "customer > 0"}}
"""
CHECKS = """
import mesh_assets
import pandera.polars as pa


@mesh_assets.schema_for("shop/orders")
class Orders(pa.DataFrameModel):
    id: int = pa.Field(ge={least}, raise_warning=True)
"""
REFERS = "BIGINT; relationships: [{to: shop.customers.id}]"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.domain("shop", "", **{"checks.py": CHECKS.format(least=1)})
    place.sql("shop.customers", "select unnest([1, 2, 3])::bigint as id")
    place.contract("shop.customers", {"id": "BIGINT; unique: true"})
    orders = "select * from (values (1, 1, date '2024-01-01'), (2, 3, date '2024-01-02')) as t(id, customer, day)"
    place.sql("shop.orders", orders)
    place.contract("shop.orders", {"id": "BIGINT; unique: true", "customer": REFERS, "day": "DATE"}, quality=QUALITY)
    assert set(place.statuses().values()) == {"published"}
    return place


def verdicts(place: Place) -> dict[str, tuple[str, int]]:
    """What `mesh test shop/orders` says, the same with and without what is known."""
    env = place.env()
    said = [
        {
            item["name"]: (item["status"], item["failing_rows"])
            for item in testing.test(env, ["shop.orders"], cached=known)
        }
        for known in (True, True, False)
    ]
    assert said[0] == said[1] == said[2]
    return said[0]


@pytest.mark.long
def test_verdicts_follow_other_tables_rules_and_hand_written_code(place):
    at_first = verdicts(place)
    assert set(at_first.values()) == {("pass", 0)}
    reads = {step["name"]: step["reads_files"] for step in testing.explain(place.env(), ["shop.orders"])}
    assert reads["positive"] == reads["id__unique"] == 0
    # What measures, compares with other tables or versions, is free SQL, or reads the clock, is never remembered.
    assert [reads[name] for name in ("known", "asked", "kept", "past")] == [1, 1, 1, 1]

    place.sql("shop.customers", "select unnest([1, 2, 4])::bigint as id")
    assert place.statuses("shop.customers")["shop/customers"] == "published"
    found = verdicts(place)
    wrong = {name for name in found if found[name] != at_first[name]}
    assert {"known", "asked"} < wrong, found
    assert len(wrong) == 3, found  # and the reference of the column
    assert {found[name] for name in wrong} == {("fail", 1)}

    place.sql("shop.customers", "select unnest([1, 2, 3, 4])::bigint as id")
    assert place.statuses("shop.customers")["shop/customers"] == "published"
    assert verdicts(place) == at_first

    place.write("domains/shop/checks.py", CHECKS.format(least=2))
    found = verdicts(place)
    assert [found[name] for name in found if found[name] != at_first.get(name)] == [("warn", 1)]


def test_as_many_failing_rows_as_asked_for_are_shown_and_ten_are_kept(place, tmp_path, capsys):
    """Of every way in which rows are found; masked; also of a candidate that is held. A report for other systems has them too."""
    place.write("domains/shop/checks.py", CHECKS.format(least=300))
    orders = "select i as id, i % 120 as customer, 'm' || i || '@x.org' as mail, date '2024-01-01' as day from range(-250, 0) t(i)"
    place.sql("shop.orders", orders)
    columns = {
        "id": "BIGINT; logicalTypeOptions: {minimum: 0}",
        "customer": "BIGINT; unique: true",
        "mail": "VARCHAR; tags: [pii]",
    }
    quality = """
- {id: referred, type: custom, engine: mesh, severity: warning, implementation: {test: in_reference, columns: [customer], to_table: shop.customers, to_columns: [id]}}
- {id: plain, type: custom, engine: mesh, implementation: {test: condition, condition: "mail not like '%@%'"}, severity: warning}
"""
    place.contract("shop.orders", columns, quality=quality)
    assert place.statuses("shop.orders")["shop/orders"] == "held"
    env = place.env()

    def shown(table: str, **options: int) -> dict[str, list[dict]]:
        return {
            item["name"]: item["sample"] for item in testing.test(env, [table], **options) if item["status"] != "pass"
        }

    few, many, none = shown("shop.orders"), shown("shop.orders", rows=100), shown("shop.orders", rows=0)
    assert (
        set(few)
        == set(many)
        == set(none)
        == {"id__minimum", "customer__unique", "referred", "plain", "id__greater_than_or_equal_to"}
    )
    assert {len(rows) for rows in few.values()} == {10}
    assert {len(rows) for rows in many.values()} == {100}
    assert {len(rows) for rows in none.values()} == {0}
    assert {row["mail"] for rows in many.values() for row in rows if "mail" in row} == {MASK}
    kept = env.ledger.attempts()["shop.orders"].record["results"]
    assert {len(item["sample"]) for item in kept if item["status"] != "pass"} == {10}

    items = list(testing.test(env, ["shop.orders"], rows=100))
    for rows, lines in ((None, 6), (100, 500), (0, 0)):
        console.test_table(items, rows)
        assert capsys.readouterr().out.count("id -") == lines
    console.write_junit(items, tmp_path / "report.xml", fail_on="error")
    (suite,) = ET.parse(tmp_path / "report.xml").getroot()
    told = {case.get("name"): "".join(case.itertext()) for case in suite}
    assert {told[name].count("id -") for name in many} == {100}
    assert MASK in told["plain"]
    assert "@x.org" not in "".join(told.values())

    gentle = {"id": "BIGINT", "customer": "BIGINT", "mail": "VARCHAR; tags: [pii]"}
    place.contract("shop.orders", gentle, quality=quality)
    assert place.statuses("shop.orders")["shop/orders"] == "published"
    env = place.env()
    assert {len(rows) for rows in shown("shop.orders", rows=100).values()} == {100}
    version = env.ledger.versions()["shop.orders"].version
    kept = env.ledger.results("shop.orders", version, contract_hash(env.mesh.tables["shop.orders"]))
    assert {len(item["sample"]) for item in kept if item["status"] != "pass"} == {10}
