"""The portal's pages of horizontal pipelines: for people, as JSON, and what can be done on them."""

import json
from urllib.parse import unquote, urlsplit

import pytest

from mesh_assets.launches import Launches
from mesh_assets.portal.export import export
from mesh_assets.portal.site import Site
from mesh_assets.running import run_pipeline
from tests.integration.test_portal import Strict
from tests.making import Place, Quiet
from tests.portal_mesh import EVIL, Client, Described, app_of, small


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    """A pipeline over both domains, and one of a domain's own that nobody has launched."""
    place = small(tmp_path_factory.mktemp("pipelines"))
    place.write(
        "mesh.yaml",
        f"mesh: test\npipelines:\n  monthly: {{title: {json.dumps(EVIL)}, delivers: money/revenue, by: '07:00 Europe/Zurich'}}\n",
    )
    text = (place.root / "domains/money/domain.yaml").read_text()
    place.write("domains/money/domain.yaml", text + "pipelines: {own: {delivers: revenue}}\n")
    assert (
        run_pipeline(place.env(), "monthly", settings=place.settings, progress=Quiet())["pipeline"]["state"]
        == "delivered"
    )
    return place


def test_pages_and_json_say_the_same(place):
    client = Client(app_of(place))
    listed = client.get("/mesh/pipelines.json").json()["pipelines"]
    states = {row["pipeline"]: row["state"] for row in listed}
    assert states.keys() == {"monthly", "money/own"}
    assert states["monthly"] == "delivered"
    assert states["money/own"] in ("never launched", "cancelled"), "another test launches and cancels it"
    for path in ("/mesh/pipelines", "/mesh/pipelines/monthly", "/mesh/pipelines/money/own"):
        page = client.get(path)
        assert page.status_code == 200, page.text
        assert Strict(page.text).stack == []
        assert "<script>alert" not in page.text
    told = client.get("/mesh/pipelines/monthly.json").json()
    assert told["critical_path"] == ["shop/raw_orders", "shop/orders", "money/revenue"]
    for path in ("/pipelines", "/pipelines/monthly"):
        assert Described(client).check(path) == client.get(f"/mesh{path}.json").json()
    page = client.get("/mesh/pipelines/monthly").text
    assert page.count("<rect") >= 3, "a bar for each table"
    assert "Where its time went" in page
    assert client.get(f"/mesh/pipelines/monthly?launch={told['launch']['id'][:6]}").status_code == 200
    missing = client.get("/mesh/pipelines/montly")
    assert missing.status_code == 404
    assert "Did you mean <code>monthly</code>?" in missing.text
    assert client.get("/mesh/pipelines/monthly?launch=zzz").status_code == 404


def test_pipelines_are_among_the_files_of_an_export_with_each_launch(place, tmp_path):
    place = place.copied(tmp_path / "mesh")
    run_pipeline(place.env(), "monthly", settings=place.settings, progress=Quiet())
    target = tmp_path / "site"
    export(Site(place.root, place.settings).view(), target)
    launches = Launches(place.env().ledger.store).of("monthly")
    named = ["pipelines", "backfills", "quarantine", "pipelines/monthly", "pipelines/money/own"]
    for name in (*named, *(f"pipelines/monthly.launch-{one.id}" for one in launches)):
        page = target / f"{name}.html"
        text = page.read_text()
        assert "<form" not in text
        for link in Strict(text).links:
            parts = urlsplit(link)
            if not parts.scheme and not link.startswith("#"):
                assert (page.parent / unquote(parts.path)).resolve().is_file(), (page, link)
    assert 'href="pipelines.html"' in (target / "index.html").read_text()
    assert not (target / "kitchens.html").exists()


def test_a_pipeline_is_launched_and_cancelled_from_its_page(place):
    client = Client(app_of(place))
    assert client.post("/mesh/pipelines/money/own/launch", origin="https://evil.example").status_code == 403
    assert Launches(place.env().ledger.store).of("money/own") == ()
    place.sql("money.revenue", "select sum(amount)::bigint + 1 as total from shop.orders")
    begun = Client(app_of(place)).post("/mesh/pipelines/money/own/launch")
    assert (begun.status_code, begun.headers["location"]) == (303, "/mesh/pipelines/money/own")
    page = Client(app_of(place)).get("/mesh/pipelines/money/own").text
    assert "running" in page
    assert "Cancel the launch" in page
    Described(Client(app_of(place))).check("/pipelines")
    cancelled = Client(app_of(place)).post("/mesh/pipelines/money/own/cancel")
    assert cancelled.status_code == 303
    assert [one.outcome for one in Launches(place.env().ledger.store).of("money/own")] == ["cancelled"]
    Described(Client(app_of(place))).check("/pipelines")
    again = Client(app_of(place)).post("/mesh/pipelines/money/own/cancel")
    assert again.status_code == 422
    assert "no launch of money/own goes on" in again.text
    assert Client(app_of(place)).post("/mesh/pipelines/money/own/destroy").status_code == 404
