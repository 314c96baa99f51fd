"""Pages of the portal on which people work: changes and their answers, kitchens."""

import subprocess
import time

import pytest

from tests.portal_mesh import Client, Described, app_of, small

SAME = {"origin": "http://127.0.0.1"}
JSON = {"accept": "application/json"}


@pytest.fixture
def place(tmp_path):
    return small(tmp_path)


@pytest.fixture
def client(place):
    return Client(app_of(place))


def test_a_change_that_waits_is_shown_and_its_reader_answers(place, client):
    place.run()
    contract = place.root / "domains/shop/contracts/orders.odcs.yaml"
    text = contract.read_text()
    start = text.index("      - name: amount")
    end = text.index("      - name: buyer")
    contract.write_text((text[:start] + text[end:]).replace("version: 1.0.0", "version: 2.0.0"))
    place.sql("shop.orders", "select id, buyer, note from shop.raw_orders")
    assert place.statuses()["shop/orders"] == "held"

    report = client.get("/mesh/changes", **JSON).json()
    (waiting,) = [row for row in report["changes"] if row["state"] == "proposed"]
    assert waiting["port"] == "shop/orders"
    for path in ("/changes", f"/changes/{waiting['id']}", "/incidents"):
        Described(client).check(path)
    page = client.get(f"/mesh/changes/{waiting['id']}")
    assert "waits for the answer of money" in page.text
    assert "domains/money/sql/revenue.sql" in page.text
    assert "<code>amount</code> is gone" in page.text
    assert "breaking: old SQL may name it; a major version step" in page.text

    def say(word: str, **form: str):
        return client.post(f"/mesh/changes/{waiting['id']}/{word}", form)

    assert say("accept", reader="monny").status_code == 422
    assert say("waive", reader="money", until="2001-01-01", why="x").status_code == 422
    assert say("waive", reader="money", until="soon", why="x").status_code == 422
    assert say("waive", reader="money", until="2999-01-01").status_code == 422
    assert say("agree", reader="money").status_code == 404
    answered = say("accept", reader="money", why="<b>not needed</b>")
    assert answered.status_code == 303
    page = client.get(answered.headers["location"])
    assert "waits for the answer" not in page.text
    Described(client).check(f"/changes/{waiting['id']}")
    assert "&lt;b&gt;not needed&lt;/b&gt;" in page.text
    assert client.get("/mesh/changes/nothing").status_code == 404
    assert (
        client.post(f"/mesh/changes/{waiting['id']}/accept", {"reader": "money"}, origin="http://elsewhere").status_code
        == 403
    )


@pytest.mark.long
def test_a_kitchen_is_opened_tested_and_closed_from_its_page(place, client):
    place.run()
    for words in (
        ["init", "-q"],
        ["add", "domains", "mesh.yaml"],
        ["-c", "user.name=T", "-c", "user.email=t@e.example", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *words], cwd=place.root, check=True)
    assert "None is open." in client.get("/mesh/kitchens").text
    follow(client, client.post("/mesh/domains/shop/orders/kitchen", {"name": "tasting"}))
    assert "tasting" in client.get("/mesh/kitchens").text
    page = client.get("/mesh/kitchens/tasting").text
    assert "It was never tested." in page
    assert "Promote: not now, it was never tested" in page
    assert str(place.root) not in page
    follow(client, client.post("/mesh/kitchens/tasting/test", {}))
    page = client.get("/mesh/kitchens/tasting")
    assert "It was never tested." not in page.text
    assert "Test kitchen tasting" in page.text
    assert Described(client).check("/kitchens/tasting")["tested_ok"] is True
    follow(client, client.post("/mesh/kitchens/tasting/close", {}))
    assert "None is open." in client.get("/mesh/kitchens").text


def test_bad_names_and_times_are_told_and_nothing_is_begun(place, client):
    assert client.post("/mesh/kitchens/open", {"name": "--mesh"}).status_code == 422
    assert client.post("/mesh/kitchens/open", {"name": "../x"}).status_code == 422
    assert client.post("/mesh/kitchens/open", {"name": "a", "ttl": "--from"}).status_code == 422
    assert client.post("/mesh/kitchens/a/cook", {}).status_code == 404
    assert client.get("/mesh/kitchens/nothing").status_code == 404
    assert client.post("/mesh/kitchens/open", {"name": "a"}, origin="http://elsewhere").status_code == 403
    read_only = Client(app_of(place, read_only=True))
    assert "Open a kitchen" not in read_only.get("/mesh/kitchens").text


def follow(client: Client, begun) -> None:
    """Wait for a job, and see that it ended well."""
    assert begun.status_code == 303, begun.text
    for _ in range(600):
        job = client.get(begun.headers["location"], **JSON).json()
        if job["state"] != "running":
            assert job["state"] == "done", job["output"]
            return
        time.sleep(0.2)
    pytest.fail(f"still running: {job['output']}")
