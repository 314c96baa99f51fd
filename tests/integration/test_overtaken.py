"""A run that was taken for dead comes back late: what a run with a newer pin has found stands, also where that published nothing."""

from dataclasses import dataclass

import pytest

from mesh_assets.build import build
from mesh_assets.errors import RunError, Superseded
from tests.making import Place

BIG = "select max(amount) > 3 as is_big from shop.raw_orders"


@dataclass
class Late:
    """A mesh with a run, `late`, that has read one order of 1 since when an order of 6 has come."""

    place: Place

    def build(self, run: str, query: str = BIG) -> str:
        """The table, by a run of that name; what came of it."""
        env = self.place.env()
        env.sync()
        return build(env, env.mesh.tables["shop.big"], lambda *_: query, run=run).status

    def files(self) -> set[str]:
        """All data files that there are of the table."""
        return {file.name for file in (self.place.root / ".mesh").rglob("*.parquet") if "big" in str(file.parent)}

    def load(self, amount: int) -> None:
        """Another export, published."""
        self.place.write("domains/shop/raw/orders/1.csv", f"id,amount\n1,{amount}\n")
        assert self.place.statuses("shop/raw_orders") == {"shop/raw_orders": "published"}


@pytest.fixture
def late(tmp_path):
    place = Place(tmp_path)
    place.domain("shop", "inputs:\n  - source: raw/orders/*.csv\n    as: raw_orders\n")
    place.contract("shop.raw_orders", {"id": "BIGINT", "amount": "BIGINT"})
    place.sql("shop.big", BIG)
    place.contract("shop.big", {"is_big": "BOOLEAN"})
    one = Late(place)
    one.load(5)
    assert one.build("first") == "published"
    one.load(1)
    env = place.env()
    env.ledger.pin("late", env.lake.head)
    one.load(6)
    return one


def test_it_does_not_publish_over_a_version_that_was_found_right_on_newer_data(late):
    version, files = late.place.version("shop.big"), late.files()
    assert late.build("quick") == "unchanged"
    with pytest.raises(Superseded, match=r"shop/big was tried by a run that read newer data \(pin \d+, ours \d+\)"):
        late.build("late")
    assert (late.place.version("shop.big"), late.place.rows("from shop.big")) == (version, [(True,)])
    assert late.place.statuses() == {"shop/raw_orders": "unchanged", "shop/big": "unchanged"}
    assert late.files() == files, "a candidate is left"


def test_it_does_not_publish_where_newer_data_were_refused(late):
    version = late.place.version("shop.big")
    with pytest.raises(RunError, match="no such thing"):
        late.build("quick", "select error('no such thing') as is_big from shop.raw_orders")
    with pytest.raises(Superseded):
        late.build("late")
    assert late.place.version("shop.big") == version
    assert late.place.env().state().tried["shop.big"].failed


def test_it_does_not_speak_for_newer_data_where_it_finds_nothing_new(late):
    """Else the table would be due once more, for the inputs that the other has tried."""
    late.load(7)
    env = late.place.env()
    env.ledger.pin("late too", env.lake.head)
    late.load(8)
    assert late.build("quick") == "unchanged"
    assert late.build("late too") == "skipped"
    assert late.place.env().state().tried["shop.big"].inputs == {
        "shop.raw_orders": late.place.env().seen()["shop.raw_orders"].fingerprint
    }


def test_without_a_newer_run_it_publishes(late):
    assert late.build("late") == "published"
    assert late.place.rows("from shop.big") == [(False,)]
    assert late.place.statuses() == {"shop/raw_orders": "unchanged", "shop/big": "published"}
    assert late.place.rows("from shop.big") == [(True,)]
