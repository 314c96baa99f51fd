"""What a portal is given that it must live with: hostile names and texts everywhere, files that break while it runs."""

import json
import re
import threading
import time
from collections import Counter
from html import unescape
from urllib.parse import quote

import pytest

from mesh_assets.address import QUESTIONS
from tests.integration.test_portal import Strict
from tests.making import Place
from tests.portal_mesh import EVIL, Client, app_of, small

ODD = "día \"of\" <script>alert('1')</script> & 100 %"
"""Name of a column."""
FILE = '"><img src=x onerror=alert(2)>.csv'
TESTS = "/mesh/domains/evil/rows/tests"


@pytest.fixture(scope="module")
def evil(tmp_path_factory) -> Place:
    """Every text that a team can write is hostile; so are a column's name, a file's name and the values."""
    place = Place(tmp_path_factory.mktemp("evil"))
    text = json.dumps(EVIL)
    place.write("mesh.yaml", f"mesh: evil\ntitle: {text}\n")
    place.write(
        "domains/evil/domain.yaml",
        f"domain: evil\ntitle: {text}\npurpose: {text}\n"
        f"team: {{name: {text}, owner: {text}, support: {text}}}\n"
        "inputs: [{source: raw/*.csv, as: files}]\noutputs: [{port: rows}]\n",
    )
    place.write("domains/evil/README.md", EVIL)
    value = EVIL.replace('"', '""')
    place.write(f"domains/evil/raw/{FILE}", f'id,said\n1,"{value}"\n2,x\n')
    contract = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": EVIL, "name": EVIL, "version": "1.0.0", "status": "active",
        "domain": EVIL, "description": {"purpose": EVIL, "usage": EVIL, "limitations": EVIL}, "tags": [EVIL],
        "team": {"name": EVIL, "members": [{"username": EVIL, "role": EVIL}]},
        "slaProperties": [{"property": EVIL, "value": EVIL, "unit": EVIL}],
        "schema": [{
            "name": "rows", "description": EVIL, "dataGranularityDescription": EVIL,
            "properties": [
                {"name": "id", "physicalType": "BIGINT", "description": EVIL, "required": True},
                {"name": ODD, "physicalType": "VARCHAR", "description": EVIL, "classification": EVIL, "tags": [EVIL],
                 "logicalTypeOptions": {"maxLength": 500},
                 "customProperties": [{"property": "unit", "value": EVIL}, {"property": "nullMeaning", "value": EVIL}]},
            ],
            "quality": [
                {"id": "q", "name": EVIL, "type": "sql", "query": f"select count(*) from {{table}} -- {EVIL.replace('{{7*7}}', '')}",
                 "mustBeLessThan": 9, "description": EVIL, "dimension": "conformity"},
                {"id": "t", "type": "text", "description": EVIL},
            ],
        }],
    }  # fmt: skip
    place.write("domains/evil/contracts/rows.odcs.yaml", json.dumps(contract, ensure_ascii=False))
    name = ODD.replace('"', '""')
    place.sql("evil.rows", f'select id::bigint as id, said as "{name}" from evil.files')
    assert place.statuses()["evil/rows"] == "published"
    return place


def sound(html: str) -> None:
    """What is shown runs nothing, and every element is closed."""
    read = Strict(html)
    assert read.stack == []
    assert "img" not in read.tags
    assert read.tags.count("script") <= 2
    assert not [name for name in read.attributes if name.startswith("on") or name == "style"]
    assert "{{" not in html or "{{7*7}}" in html


def test_no_text_of_any_file_runs_on_any_page(evil):
    client = Client(app_of(evil))
    pages = [
        "/mesh/",
        "/mesh/tables",
        "/mesh/status",
        "/mesh/domains/evil",
        "/mesh/domains/evil/tests",
        TESTS,
        f"{TESTS}/new",
    ]
    pages += [f"/mesh/domains/{what}/{word}" for what in ("evil", "evil/rows", "evil/files") for word in QUESTIONS]
    pages += [f"{TESTS}/rule?name=q", f"{TESTS}/rule?name=t", f"{TESTS}/new?of={quote(ODD)}", f"{TESTS}/suggest"]
    shown = 0
    for path in pages:
        page = client.get(path)
        assert page.status_code == 200, path
        sound(page.text)
        shown += page.text.count("&lt;script&gt;")
    assert shown > 50
    assert FILE in unescape(client.get("/mesh/domains/evil/files/with").text)


def test_a_column_of_any_name_is_tested_from_its_page(evil, tmp_path):
    place = evil.copied(tmp_path / "mesh")
    client = Client(app_of(place))
    html = client.get(f"{TESTS}/new?of={quote(ODD)}&test=not_null").text
    sent = {
        name: unescape(re.search(rf'name="{name}" value="([^"]*)"', html).group(1))
        for name in ("of", "test", "was", "revision")
    }
    assert sent["of"] == ODD
    sent |= {"severity": "error", "id": "", "why": EVIL}
    tried = client.post(f"{TESTS}/try", sent)
    assert (tried.status_code, 'class="pill pass"' in tried.text) == (200, True)
    sound(tried.text)
    saved = client.post(f"{TESTS}/save", sent)
    assert saved.status_code == 303
    page = client.get(saved.headers["location"])
    sound(page.text)
    kept = unescape(re.search(r'name="edit" value="([^"]*)"', page.text).group(1))
    before = (evil.root / "domains/evil/contracts/rows.odcs.yaml").read_text()
    assert client.post(f"{TESTS}/undo", {"edit": kept}).status_code == 303
    assert (place.root / "domains/evil/contracts/rows.odcs.yaml").read_text() == before


@pytest.mark.parametrize("text", ["schema: [\n", "apiVersion: v3.1.0\nschema: 1\n", "\xff\xfe", ""])
def test_a_contract_that_is_broken_by_hand_while_its_form_is_open_stays_as_it_is(tmp_path, text):
    place = small(tmp_path)
    app = app_of(place)
    client, tests = Client(app), "/mesh/domains/shop/orders/tests"
    html = client.get(f"{tests}/new?of=amount&test=range").text
    sent = {
        name: unescape(re.search(rf'name="{name}" value="([^"]*)"', html).group(1))
        for name in ("of", "test", "was", "revision")
    }
    sent |= {"severity": "error", "id": "", "why": "", "p_most": "7"}
    contract = place.root / "domains/shop/contracts/orders.odcs.yaml"
    contract.write_bytes(text.encode("latin-1"))
    for wait in (0, 1.1):  # before the portal has looked at the files again, and after
        time.sleep(wait)
        for step in ("try", "save"):
            answer = client.post(f"{tests}/{step}", sent)
            assert answer.status_code in (404, 409, 422), answer.text
            assert str(place.root) not in answer.text
        assert contract.read_bytes() == text.encode("latin-1")
        assert client.get("/mesh/domains/shop").status_code == 200
        assert client.get("/mesh/domains/money/revenue/what").status_code == 200


def test_dagster_that_cannot_read_the_mesh_again_is_said_and_the_rule_is_saved(tmp_path):
    place = small(tmp_path)
    asked = threading.Event()

    def reload() -> None:
        asked.set()
        raise RuntimeError("the location does not load")

    app = app_of(place, dagster="", reload=reload)
    client, tests = Client(app), "/mesh/domains/shop/orders/tests"
    revision = client.get(f"{tests}.json").json()["writing"]["revision"]
    saved = client.post(f"{tests}/switch", {"name": "some_rows", "revision": revision, "on": "0"})
    assert saved.status_code == 303
    assert asked.wait(30)
    for _ in range(100):
        page = client.get(saved.headers["location"]).text
        if "could not read the mesh again" in page:
            break
        time.sleep(0.05)
    assert "could not read the mesh again" in page
    assert "property: disabled" in (place.root / "domains/shop/contracts/orders.odcs.yaml").read_text()


def test_of_many_undos_at_once_one_is_made(tmp_path):
    place = small(tmp_path)
    contract = place.root / "domains/shop/contracts/orders.odcs.yaml"
    before = contract.read_text()
    app, tests = app_of(place), "/mesh/domains/shop/orders/tests"
    writing = Client(app).get(f"{tests}.json").json()["writing"]
    Client(app).post(f"{tests}/switch", {"name": "some_rows", "revision": writing["revision"], "on": "0"})
    (kept,) = Client(app).get(f"{tests}.json").json()["writing"]["edits"]
    codes: Counter[int] = Counter()

    def press() -> None:
        codes[Client(app).post(f"{tests}/undo", {"edit": kept["id"]}).status_code] += 1

    threads = [threading.Thread(target=press) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == {303: 1, 409: 11}
    assert contract.read_text() == before


def test_a_table_of_500_columns_has_its_page_of_tests(tmp_path):
    place = small(tmp_path)
    place.contract("shop.orders", {f"c{number:03}": "BIGINT; required: true" for number in range(500)})
    client = Client(app_of(place))
    first = client.get("/mesh/domains/shop/orders/tests")
    assert first.status_code == 200
    assert first.text.count("Remove c") == 48  # beside `columns` and `types`
    last = client.get("/mesh/domains/shop/orders/tests?page=11")
    assert "Remove c499__required" in last.text
    assert client.get("/mesh/domains/shop/orders/tests/new").text.count("?of=c") == 500
    assert client.get("/mesh/domains/shop/orders/tests/rule?name=c321__required").status_code == 200
