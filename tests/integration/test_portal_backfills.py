"""The portal's pages of backfills: the plan before it is asked for, how one stands, to cancel it."""

from urllib.parse import urlencode

import pytest

from mesh_assets import catalog
from mesh_assets.launches import Backfills
from tests.integration.test_backfills import make
from tests.integration.test_portal import Strict
from tests.making import Place
from tests.portal_mesh import Client, Described, app_of


@pytest.fixture
def place(tmp_path) -> Place:
    """Three domains of which nothing was published."""
    return make(tmp_path)


DAYS = {"table": "claims/by_day", "from": "2026-01-05", "to": "2026-01-06"}
ASKED = urlencode(DAYS)


def test_the_plan_is_shown_before_anything_is_asked_for(place):
    client = Client(app_of(place))
    told = client.get(f"/mesh/backfills.json?{ASKED}").json()
    by_hand = catalog.plan_json(
        place.env(), catalog.plan_named(place.env(), "claims/by_day", "2026-01-05", "2026-01-06")
    )
    assert told["plan"] == by_hand
    said = Described(client)
    assert said.check("/backfills")["plan"] is None
    said.validate("/backfills", told)
    assert told["tables"] == ["claims/by_day", "report/by_week"]
    page = client.get(f"/mesh/backfills?{ASKED}").text
    assert Strict(page).stack == []
    assert "Build them" in page
    assert "all of it" in page, "the total has no partitions"
    assert Backfills(place.env().ledger.store).last() == ()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("table=claims/by_dy&from=2026-01-05", "Did you mean"),
        ("table=claims&from=2026-01-05", "is a domain"),
        ("table=board/figure&from=2026-01-05", "has no partitions"),
        ("table=claims/by_day&from=yesterday", "which is no day"),
        ("table=claims/by_day&from=2026-01-06&to=2026-01-05", "is after the last"),
        ("table=claims/by_day&from=1999-01-01", "has no partition in"),
        ("table=%3Cscript%3E&from=2026-01-05", "&lt;script&gt;"),
    ],
)
def test_what_cannot_be_built_is_told_on_the_page(place, asked, said):
    page = Client(app_of(place)).get(f"/mesh/backfills?{asked}")
    assert page.status_code == 200
    assert said in page.text
    assert "Build them" not in page.text
    assert "<script>" not in page.text


def test_one_is_launched_followed_and_cancelled(place):
    client = Client(app_of(place))
    assert client.post("/mesh/backfills/launch", origin="https://evil.example").status_code == 403
    assert client.post("/mesh/backfills/launch", DAYS | {"from": "never"}).status_code == 422
    assert Backfills(place.env().ledger.store).last() == ()
    begun = client.post("/mesh/backfills/launch", DAYS)
    (made,) = Backfills(place.env().ledger.store).last()
    assert (begun.status_code, begun.headers["location"]) == (303, f"/mesh/backfills/{made.id}")
    page = Client(app_of(place)).get(f"/mesh/backfills/{made.id}").text
    assert Strict(page).stack == []
    assert "Cancel it" in page
    assert Client(app_of(place)).get(f"/mesh/backfills/{made.id[:8]}.json").json()["state"] == "running"
    Described(Client(app_of(place))).check(f"/backfills/{made.id}")
    assert Client(app_of(place)).post(f"/mesh/backfills/{made.id}/cancel").status_code == 303
    for path in ("/backfills", f"/backfills/{made.id}"):
        Described(Client(app_of(place))).check(path)
    assert [one.outcome for one in Backfills(place.env().ledger.store).last()] == ["cancelled"]
    again = Client(app_of(place)).post(f"/mesh/backfills/{made.id}/cancel")
    assert (again.status_code, "has ended" in again.text) == (422, True)
    assert Client(app_of(place)).post("/mesh/backfills/abcdef/cancel").status_code == 404
    listed = Client(app_of(place)).get("/mesh/backfills").text
    assert made.id in listed
    assert "cancelled" in listed


def test_a_portal_that_only_reads_offers_neither(place):
    client = Client(app_of(place, read_only=True))
    assert "Build them" not in client.get(f"/mesh/backfills?{ASKED}").text
    assert client.post("/mesh/backfills/launch", DAYS).status_code == 403
