"""A version that has expired: what is on record of it stays, and whoever wants its rows is told."""

from datetime import UTC, datetime, timedelta

import pytest

import mesh_assets
from mesh_assets.errors import UsageError
from mesh_assets.kitchen.api import revert_table
from tests.integration.test_portal import Strict
from tests.making import Place
from tests.portal_mesh import Client, app_of


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    """`shop.orders` in two versions, of which only the second can be read."""
    place = Place(tmp_path_factory.mktemp("expired"))
    place.domain("shop", "outputs: [{port: orders}]\n")
    place.contract("shop.orders", {"id": "BIGINT; required: true"})
    for number in (1, 2):
        place.sql("shop.orders", f"select {number}::bigint as id")
        place.run()
    lake = place.env().lake
    lake.expire(lake.snapshots(before=datetime.now(UTC) + timedelta(days=1)))
    return place


@pytest.fixture
def versions(place) -> tuple[int, int]:
    """The one that is gone, and the one that is there."""
    new, old = (item.version for item in place.env().ledger.history("shop.orders"))
    return old, new


def test_whoever_wants_its_rows_is_told(place, versions):
    old, new = versions
    for ask in (
        lambda: place.rows("from shop.orders", at=old),
        lambda: mesh_assets.read(f"shop/orders@{old}", mesh=place.root),
        lambda: mesh_assets.read("shop.orders", version=old, mesh=place.root),
        lambda: revert_table(place.root, place.settings, "shop/orders", old),
    ):
        with pytest.raises(
            UsageError, match=f"version {old} has expired: its data is gone\n    There are versions from"
        ):
            ask()
    with pytest.raises(UsageError, match=f"there is no version {new + 9} yet\n    The newest is {new}"):
        place.rows("from shop.orders", at=new + 9)
    assert place.rows("from shop.orders") == [(2,)]


def test_its_pages_say_so_and_keep_what_is_on_record(place, versions):
    old, new = versions
    client = Client(app_of(place))
    for question in ("what", "where", "when", "with", "how"):
        page = client.get(f"/mesh/domains/shop/orders@{old}/{question}")
        assert page.status_code == 200, page.text
        assert Strict(page.text).stack == []
        assert f"The data of version {old} has expired" in page.text
        assert "has expired" not in client.get(f"/mesh/domains/shop/orders@{new}/{question}").text
    told = client.get(f"/mesh/domains/shop/orders@{old}/what.json").json()
    assert (told["expired"], told["rows"], told["sample"]["rows"]) == (True, 1, [])
    assert [column["name"] for column in told["columns"]] == ["id"]


def test_a_version_in_the_name_is_the_one_that_is_read(place, versions):
    _, new = versions
    assert mesh_assets.read(f"shop/orders@{new}", mesh=place.root).fetchall() == [(2,)]
    with pytest.raises(UsageError, match=f"is version {new}, and version 1 is asked for"):
        mesh_assets.read(f"shop/orders@{new}", version=1, mesh=place.root)
