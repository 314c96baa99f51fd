"""Tests without code, from the portal's pages: what a steward does, and what can go wrong with it."""

import re
import threading
from collections import Counter
from html import unescape

import pytest

from mesh_assets.offered import OFFERS, recognised
from mesh_assets.profile import suggest
from tests.portal_mesh import EVIL, SECRET, Client, app_of, small

TESTS = "/mesh/domains/shop/orders/tests"
JSON = {"accept": "application/json"}


@pytest.fixture
def place(tmp_path):
    made = small(tmp_path)
    contract = made.root / "domains/shop/contracts/orders.odcs.yaml"
    contract.write_text(f"# Kept by hand.\n{contract.read_text()}# The end.\n")
    return made


@pytest.fixture
def client(place):
    return Client(app_of(place))


def text_of(place) -> str:
    return (place.root / "domains/shop/contracts/orders.odcs.yaml").read_text()


def hidden(html: str, name: str) -> str:
    return unescape(re.search(rf'name="{name}" value="([^"]*)"', html).group(1))


def form(client, test: str, of: str, **values: str) -> dict[str, str]:
    """A form as a browser would send it back, with some fields filled in."""
    html = client.get(f"{TESTS}/new?of={of}&test={test}").text
    sent = {name: hidden(html, name) for name in ("of", "test", "was", "revision")}
    return {**sent, "severity": "error", "id": "", "why": "", **values}


def test_a_steward_adds_a_test_sees_it_fail_and_takes_it_back(place, client):
    place.run()
    before = text_of(place)
    page = client.get(f"{TESTS}/new")
    assert page.status_code == 200
    assert "amount" in page.text
    kinds = client.get(f"{TESTS}/new?of=amount").text
    assert "Between two values" in kinds
    assert "E-mail address" not in kinds  # the column holds numbers
    sent = form(client, "range", "amount", p_least="15", p_most="25", why=EVIL)
    tried = client.post(f"{TESTS}/try", sent)
    assert tried.status_code == 200
    assert "2 of 3 rows" in tried.text
    assert "id: amount__range" in unescape(tried.text)
    assert EVIL not in tried.text
    assert SECRET not in tried.text  # of the masked column
    version = place.env().ledger.versions()["shop.orders"].version
    assert f"Tried on version {version}, the newest that is published." in tried.text
    assert "Save, although it fails" in tried.text
    assert "the next version that breaks it is held" in tried.text
    fine = client.post(f"{TESTS}/try", {**sent, "p_least": "5", "p_most": "90"}).text
    assert "Save</button>" in fine
    assert "although" not in fine
    assert text_of(place) == before  # nothing is written by trying

    saved = client.post(f"{TESTS}/save", sent)
    assert saved.status_code == 303
    after = text_of(place)
    assert "{test: range, least: 15, most: 25}" in after
    assert after.startswith("# Kept by hand.")
    assert after.endswith("# The end.\n")
    page = client.get(saved.headers["location"])
    assert "Saved: added amount__range" in page.text
    place.write("domains/shop/raw/orders.csv", f"id,amount,buyer,note\n1,10,{SECRET},a\n")
    assert place.statuses()["shop/orders"] == "held"

    kept = hidden(page.text, "edit")
    assert client.post(f"{TESTS}/undo", {"edit": kept}).status_code == 303
    assert text_of(place) == before
    again = client.post(f"{TESTS}/undo", {"edit": kept})
    assert again.status_code == 409
    assert "taken back already" in again.text


def test_every_test_stands_once_beside_what_can_be_done_with_it(place, client):
    place.run()
    page = client.get(TESTS).text
    names = [test["name"] for test in client.get(f"{TESTS}.json").json()["tables"][0]["tests"]]
    assert [
        name for name in names if page.count(f'<code class="small soft">{name.replace("_", "_<wbr>")}</code>') != 1
    ] == []
    assert page.count("<table>") == 1
    assert [
        word for word in ("what", "where", "when", "with", "how") if f"/mesh/domains/shop/orders/{word}" not in page
    ] == []
    assert 'aria-current="page">Tests</a>' in page
    row = next(part for part in page.split("<tr>") if "some_<wbr>rows</code>" in part)
    assert 'aria-label="Switch off some_rows"' in row
    assert 'aria-label="Change amount__maximum"' in next(
        part for part in page.split("<tr>") if "amount_<wbr>_<wbr>maximum</code>" in part
    )
    client.post(f"{TESTS}/switch", {"name": "some_rows", "on": "0", "revision": hidden(page, "revision")})
    page = client.get(TESTS).text
    assert "switched off" in page.split("<tr>")[-1]
    assert 'aria-label="Switch on some_rows"' in page.split("<tr>")[-1]
    assert "/mesh/domains/shop/what" in client.get("/mesh/domains/shop/tests").text


def test_a_form_speaks_in_words(place, client):
    place.run()
    page = unescape(client.get(f"{TESTS}/new?of=amount&test=range").text)
    assert "The value is below “At least” or above “At most”." in page
    assert "least: 0\nmost: 100" in page  # the example
    assert "Failing rows allowed</label>" in page
    assert "What “Failing rows allowed” counts" in page
    assert "Only rows where (SQL)</label>" in page
    assert "Stops the version, readers keep the last good one</option>" in page
    wrong = unescape(client.post(f"{TESTS}/try", form(client, "range", "amount", p_most="many")).text)
    assert '<a href="#f-most">At most</a>' in re.search(r'role="alert">(.*?)</div>', wrong, re.DOTALL).group(1)


def test_a_rule_is_changed_switched_off_and_on_and_removed(place, client):
    client.post(f"{TESTS}/save", form(client, "range", "amount", p_most="25"))
    html = client.get(f"{TESTS}/change?name=amount__range").text
    assert 'value="25"' in html
    sent = {name: hidden(html, name) for name in ("of", "test", "was", "revision")}
    sent |= {"id": "amount__range", "severity": "warning", "why": "Seldom more.", "p_least": "", "p_most": "30"}
    assert client.post(f"{TESTS}/save", sent).status_code == 303
    assert "{test: range, most: 30}" in text_of(place)
    assert "severity: warning" in text_of(place)
    assert "amount__range" in {test.name for test in place.env().mesh.tables["shop.orders"].contract.tests}

    def press(step: str, **more: str):
        revision = hidden(client.get(TESTS).text, "revision")
        return client.post(f"{TESTS}/{step}", {"name": "amount__range", "revision": revision, **more})

    assert press("switch", on="0").status_code == 303
    assert "property: disabled" in text_of(place)
    assert "amount__range" not in {test.name for test in place.env().mesh.tables["shop.orders"].contract.tests}
    assert "switched off" in client.get(TESTS).text
    assert press("switch", on="1").status_code == 303
    assert "disabled" not in text_of(place)
    assert press("remove").status_code == 303
    assert "amount__range" not in text_of(place)


@pytest.mark.parametrize(
    ("test", "of", "values", "field", "says"),
    [
        ("range", "amount", {"p_least": "many"}, "least", "is no number"),
        ("decimals", "amount", {}, "places", "Say it"),
        ("decimals", "amount", {"p_places": "-1"}, "places", "at least 0"),
        ("decimals", "amount", {"p_places": "1.5"}, "places", "whole number"),
        ("pattern", "note", {"p_pattern": "(?=x)"}, "pattern", "pattern"),
        ("range", "amount", {"p_most": "3", "severity": "fatal"}, "severity", "Choose"),
        ("range", "amount", {"p_most": "3", "id": "some_rows"}, "id", "already"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_beside_its_field(place, client, test, of, values, field, says):
    before = text_of(place)
    answer = client.post(
        f"{TESTS}/save", form(client, test, of, **values), accept="application/json", origin="http://127.0.0.1"
    )
    assert answer.status_code == 422
    said = answer.json()
    assert says in said["errors"].get(field, "") or any(says in one for one in said["problems"])
    assert text_of(place) == before
    html = client.post(f"{TESTS}/save", form(client, test, of, **values))
    assert html.status_code == 422
    assert 'role="alert"' in html.text


def test_a_rule_that_says_nothing_is_refused(place, client):
    answer = client.post(f"{TESTS}/save", form(client, "range", "amount"))
    assert answer.status_code == 422
    assert "`range` needs" in answer.text or "<code>range</code> needs" in answer.text


def test_unknown_names_are_not_found(client):
    assert client.get(f"{TESTS}/new?of=amout").status_code == 404
    assert "amount" in client.get(f"{TESTS}/new?of=amout").text
    assert client.get(f"{TESTS}/new?of=amount&test=rang").status_code == 404
    assert client.get(f"{TESTS}/new?of=amount&test=email").status_code == 404
    assert client.get(f"{TESTS}/change?name=nothing").status_code == 404
    assert client.post(f"{TESTS}/undo", {"edit": "x"}).status_code == 404
    assert client.post("/mesh/domains/shop/nothing/tests/save", {}).status_code == 404


def test_a_form_of_an_older_file_overwrites_nothing(place, client):
    sent = form(client, "range", "amount", p_most="25")
    contract = place.root / "domains/shop/contracts/orders.odcs.yaml"
    contract.write_text(contract.read_text() + "# By hand, in the meantime.\n")
    answer = client.post(f"{TESTS}/save", sent)
    assert answer.status_code == 409
    assert "range" not in text_of(place)
    assert "in the meantime" in text_of(place)


def test_of_fifty_saves_at_once_none_is_lost(place):
    """Each either is in the file, or was told that it is not."""
    app = app_of(place)
    sent = form(Client(app), "range", "amount")
    codes: Counter[int] = Counter()

    def save(number: int) -> None:
        answer = Client(app).post(f"{TESTS}/save", {**sent, "p_most": "99", "id": f"limit_{number}"})
        codes[answer.status_code] += 1

    threads = [threading.Thread(target=save, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(codes.values()) == 50
    assert set(codes) <= {303, 409}
    assert codes[303] == len(re.findall("id: limit_", text_of(place))) == 1


def test_only_pages_of_the_portal_may_write(place, client):
    sent = form(client, "range", "amount", p_most="25")
    assert client.post(f"{TESTS}/save", sent, origin="http://elsewhere.example").status_code == 403
    read_only = Client(app_of(place, read_only=True))
    assert read_only.post(f"{TESTS}/save", sent).status_code == 403
    assert "Add a test" not in read_only.get(TESTS).text
    assert "range" not in text_of(place)


def test_the_data_suggests_and_those_that_are_ticked_are_saved(place, client, monkeypatch):
    rows = "".join(f"{n},{n * 10},{SECRET},{'ab'[n % 2]}\n" for n in range(1, 60))
    place.write("domains/shop/raw/orders.csv", f"id,amount,buyer,note\n{rows}")
    place.run()
    asked = []
    monkeypatch.setattr(suggest, "suggest", lambda *a, made=suggest.suggest, **b: asked.append(1) or made(*a, **b))
    html = client.get(f"{TESTS}/suggest").text
    names = re.findall(r'name="name" value="([^"]+)"', html)
    assert names
    sent = {"name": names[0], "revision": hidden(html, "revision")}
    assert client.post(f"{TESTS}/accept", sent).status_code == 303
    assert names[0] in text_of(place)
    assert len(asked) == 1, "nothing has changed between the page and the form"
    assert client.post(f"{TESTS}/accept", {"revision": hidden(client.get(TESTS).text, "revision")}).status_code == 422

    before, found = text_of(place), client.get(f"{TESTS}/suggest.json").json()["proposals"]
    html = client.get(f"{TESTS}/suggest").text
    assert len(found) > 3
    assert [one["name"] for one in found if not one["promise"]] == []
    assert "mustBe: 0" in [told for one in found for told in one["parameters"]]
    for one in found:
        assert f"{round(one['catches'] * 100)} %" in html
        assert one["consequence"] in html
    one = found[1]["name"]
    seen = client.post(f"{TESTS}/preview", {"name": one, "revision": hidden(html, "revision")})
    assert seen.status_code == 200
    assert re.search(rf"\+ +- id: {one}\n", unescape(seen.text))
    assert re.findall(r'name="name" value="([^"]+)"[^>]* checked', seen.text) == [one]
    assert text_of(place) == before
    every = {"all": "1", "revision": hidden(seen.text, "revision")}
    assert client.post(f"{TESTS}/accept", every).status_code == 303
    assert [one["name"] for one in found if one["name"] not in text_of(place)] == []
    assert "Nothing more" in client.get(f"{TESTS}/suggest").text
    assert len(asked) == 3, "once for each state of the contract"


@pytest.mark.parametrize("offer", OFFERS.values(), ids=lambda offer: offer.name)
def test_every_kind_has_a_form_and_is_found_again(offer):
    import yaml

    values = yaml.safe_load(offer.example) or {} if offer.example else {}
    found = recognised(offer.rule(values))
    assert found is not None
    assert found[0] is offer
    assert {name: found[1][name] for name in values} == values


def test_dagster_is_asked_to_read_the_mesh_again(place):
    asked = threading.Event()
    client = Client(app_of(place, dagster="", reload=asked.set))
    saved = client.post(f"{TESTS}/save", form(client, "range", "amount", p_most="25"))
    assert asked.wait(30)
    assert "Dagster" in client.get(saved.headers["location"]).text
