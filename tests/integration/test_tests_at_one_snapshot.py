"""A test that looks at another table sees it as the run that it is in does, whatever is published meanwhile."""

import pytest

from mesh_assets import build
from tests.making import Place

BALANCE = """
- {id: balances, type: custom, engine: mesh, implementation: {test: balance, of: net, to_table: ledger.postings}}
- {id: known, type: custom, engine: mesh, implementation: {test: in_reference, columns: [id], to_table: ledger.postings, to_columns: [id]}}
"""


@pytest.fixture
def place(tmp_path):
    """`shop.sales` must come to what `ledger.postings` comes to."""
    place = Place(tmp_path / "mesh")
    place.domain("ledger", "outputs: [{port: postings}]\n")
    place.sql("ledger.postings", "select id, 10 * id as net from (values (1), (2)) t(id)")
    place.contract("ledger.postings", {"id": "INTEGER", "net": "INTEGER"})
    place.domain("shop", "inputs: [{port: ledger.postings}]\noutputs: [{port: sales}]\n")
    place.sql("shop.sales", "select id, net from ledger.postings")
    place.contract("shop.sales", {"id": "INTEGER", "net": "INTEGER"}, quality=BALANCE)
    return place


def test_what_is_published_during_a_run_is_not_compared_with(place):
    assert set(place.statuses().values()) == {"published"}
    place.sql("shop.sales", "select id, net from ledger.postings order by id")
    env, told = place.env(), []

    def make(_con, _partition):
        if not told:  # another run publishes what is in no balance with this, and knows none of its ids
            other = place.env()
            postings = other.mesh.tables["ledger.postings"]
            told.append(build.build(other, postings, lambda *_: "select 7 as id, 999 as net", run="meanwhile").status)
        return "select id, net from ledger.postings"

    env.sync()
    outcome = build.build(env, env.mesh.tables["shop.sales"], make, run="pinned before")
    assert told == ["published"]
    assert {result.test.name: str(result.status) for result in outcome.results} == dict.fromkeys(
        ["columns", "types", "balances", "known"], "pass"
    )
    assert place.rows("from ledger.postings") == [(7, 999)]
    found = {item["name"]: item["status"] for item in place.test("shop/sales")}
    assert found["balances"] == "fail"  # what is published by now is not in balance, and is said to be so
    assert found["known"] == "fail"
