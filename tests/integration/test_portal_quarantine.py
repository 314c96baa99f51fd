"""The portal's pages of rows in quarantine: what waits and why, to publish what passes by now, to give rows up with a reason."""

import time

import pytest

from mesh_assets import replaying
from tests.integration.test_portal import Strict
from tests.integration.test_quarantine import ASIDE, COLUMNS, ROWS, Shop
from tests.portal_mesh import Client, Described, app_of

PAGE = "/mesh/quarantine/shop/orders"


@pytest.fixture
def shop(tmp_path) -> Shop:
    """Two of five rows are published: two have no address, two a price below nothing, one of them both."""
    shop = Shop(tmp_path)
    shop.load(*ROWS)
    return shop


def ended(client: Client, job: str) -> dict:
    """A job, once it has."""
    for _ in range(600):
        if (said := client.get(f"{job}.json").json())["state"] != "running":
            return said
        time.sleep(0.1)
    raise AssertionError(said)


def test_what_waits_is_listed_and_shown_by_rule_without_personal_data(shop):
    client = Client(app_of(shop.place))
    told = client.get("/mesh/quarantine.json").json()
    (row,) = told["tables"]
    assert (row["table"], row["rows"], row["rules"]) == ("shop/orders", 3, {"mail__required": 2, "price__minimum": 2})
    Described(client).check("/quarantine")
    Described(client).check("/quarantine/shop/orders")
    listed = client.get("/mesh/quarantine").text
    assert Strict(listed).stack == []
    assert f'href="{PAGE}"' in listed
    assert "/mesh/quarantine" in client.get("/mesh/status").text
    page = client.get(PAGE).text
    assert Strict(page).stack == []
    assert "3 rows of" in page
    assert "c@x.org" not in page, "an address is personal data"
    some = client.get(f"{PAGE}.json?rule=mail__required").json()
    assert (sorted(one["id"] for one in some["rows"]), some["total"]) == (["2", "4"], 2)
    assert client.get(f"{PAGE}?rule=nope").status_code == 404
    assert client.get("/mesh/quarantine/shop/nope").status_code == 404
    assert Client(app_of(shop.place, read_only=True)).get(PAGE).text.count('<form method="post"') == 0


def test_rows_are_given_up_with_a_reason_and_others_are_published_once_their_rule_has_changed(shop):
    client = Client(app_of(shop.place))
    assert client.post(f"{PAGE}/discard", {"reason": "x"}, origin="https://evil.example").status_code == 403
    assert client.post(f"{PAGE}/discard", {"rule": "mail__required", "reason": "  "}).status_code == 422
    assert client.post(f"{PAGE}/discard", {"rule": "--all", "reason": "x"}).status_code == 422
    assert client.post(f"{PAGE}/burn", {}).status_code == 404
    assert replaying.discards(shop.env) == []
    begun = client.post(f"{PAGE}/discard", {"rule": "mail__required", "reason": "nobody <b>knows</b>\n--rule x"})
    assert begun.status_code == 303
    said = ended(client, begun.headers["location"])
    assert (said["exit_code"], "2 rows of shop/orders given up" in said["output"]) == (0, True), said
    assert shop.ids == ([1, 5], [3])
    (gone,) = replaying.discards(shop.env)
    assert gone["reason"] == "nobody <b>knows</b> --rule x"
    Described(Client(app_of(shop.place))).check("/quarantine")
    listed = Client(app_of(shop.place)).get("/mesh/quarantine").text
    assert "nobody &lt;b&gt;knows&lt;/b&gt;" in listed

    shop.expect(COLUMNS | {"price": "BIGINT; logicalTypeOptions: {minimum: -10}; " + ASIDE % "minimum"})
    client = Client(app_of(shop.place))
    begun = client.post(f"{PAGE}/replay", {"rule": ""})
    said = ended(client, begun.headers["location"])
    assert (said["exit_code"], said["state"]) == (0, "done"), said
    assert shop.ids == ([1, 3, 5], [])
    client = Client(app_of(shop.place))
    Described(client).check("/quarantine/shop/orders")
    assert "No row of" in client.get(PAGE).text
    assert client.post(f"{PAGE}/replay", {}).status_code == 422


def test_where_nothing_was_ever_published_nothing_waits(tmp_path):
    client = Client(app_of(Shop(tmp_path).place))
    assert "No row waits" in client.get("/mesh/quarantine").text
    assert "No row of" in client.get(PAGE).text
