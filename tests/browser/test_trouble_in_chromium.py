"""Pages of a mesh in trouble, in a real browser: a table is held, an incident and a kitchen are open, a change waits, a domain is broken."""

import json
import subprocess
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from mesh_assets.account import access
from mesh_assets.address import parse
from mesh_assets.kitchen.api import Kitchen
from mesh_assets.running import run_pipeline
from tests.browser.conftest import CUT, OPENED, violations
from tests.conftest import free_port
from tests.making import Place, Quiet
from tests.portal_mesh import app_of, served, small

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    made = small(tmp_path_factory.mktemp("trouble"))
    made.write("mesh.yaml", "mesh: test\npipelines:\n  monthly: {delivers: money/revenue, by: '07:00 Europe/Zurich'}\n")
    made.contract(
        "shop.orders",
        {"id": "BIGINT; required: true", "amount": "BIGINT; logicalTypeOptions: {maximum: 1000}",
         "buyer": "VARCHAR; classification: restricted", "note": "VARCHAR"},
        quality="- {id: by_hand, metric: rowCount, mustNotBe: 7, description: Seven is bad luck.}\n",
    )  # fmt: skip
    made.domain("torn", "outputs: [{port: one}]\n")
    made.contract("torn.one", {"n": "BIGINT"})
    made.sql("torn.one", "select 1::bigint as n")
    made.run("torn")
    run_pipeline(made.env(), "monthly", settings=made.settings, progress=Quiet())
    for words in (("init", "-q"), ("add", "."), ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a")):
        subprocess.run(["git", *words], cwd=made.root, check=True)
    Kitchen.open("tasting", root=made.root, settings=made.settings)
    contract = made.root / "domains/shop/contracts/orders.odcs.yaml"
    text = contract.read_text()
    start, end = text.index("      - name: note"), text.index("    quality:")
    contract.write_text(text[:start] + text[end:])
    made.sql("shop.orders", "select id, amount, buyer from shop.raw_orders")
    made.sql("money.revenue", "select sum(amount)::bigint as total, any_value(note) as note from shop.orders")
    made.run()  # a change that would break a reader
    contract.write_text(text)
    made.sql("shop.orders", "select * from shop.raw_orders")
    made.sql("money.revenue", "select sum(amount)::bigint as total from shop.orders")
    made.write("domains/shop/raw/orders.csv", "id,amount,buyer,note\n1,5000,x,a\n2,20,x,b\n")
    assert made.statuses()["shop/orders"] == "held"
    env = made.env()
    asked = [access.ask(env, parse(env.mesh, to), who="Ann", why="To count.") for to in ("shop/orders", "shop")]
    access.answer(env, asked[0].id, "grant", who="Bo", why="You are in.")
    made.write("domains/torn/domain.yaml", "domain: torn\ninpts: []\n")
    return made


@pytest.fixture(scope="module")
def base(place) -> Iterator[str]:
    with served(app_of(place), free_port()) as address:
        yield address


@pytest.fixture(scope="module")
def paths(base) -> list[str]:
    """Pages of every kind that the sound mesh has none of."""

    def listed(what: str, word: str) -> list[str]:
        with urlopen(f"{base}/mesh/{what}.json") as answer:
            return [f"/mesh/{what}/{row[word]}" for row in json.load(answer)[what]]

    found = [
        *listed("incidents", "id"),
        *listed("changes", "id"),
        *listed("kitchens", "kitchen"),
        *listed("pipelines", "pipeline"),
    ]
    assert {path.split("/")[2] for path in found} == {"incidents", "changes", "kitchens", "pipelines"}
    shop = ("what", "where", "when", "with", "how", "tests")
    return [
        "/mesh/", "/mesh/status", "/mesh/incidents", "/mesh/changes", "/mesh/kitchens", "/mesh/pipelines", *found,
        "/mesh/access", "/mesh/domains/torn", "/mesh/domains/torn/one/what", "/mesh/domains/shop/orders/tests/suggest",
        "/mesh/domains/shop", *(f"/mesh/domains/shop/orders/{word}" for word in shop),
        "/mesh/domains/shop/orders/tests/change?name=by_hand", "/mesh/domains/money/revenue/when", "/mesh/domains/money/revenue@1/what",
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_either(open_page, paths, scheme):
    page = open_page(color_scheme=scheme, viewport={"width": 1200, "height": 900})
    assert violations(page, paths) == {}


@pytest.mark.parametrize("width", [320, 640])  # a phone; a window of 1,280 at 200 %
def test_pages_fit_a_narrow_window_with_everything_opened(open_page, paths, width):
    page = open_page(viewport={"width": width, "height": 800})
    wide = {}
    for path in paths:
        page.goto(path)
        page.evaluate(OPENED)
        if (needed := page.evaluate("document.documentElement.scrollWidth")) > width:
            wide[path] = needed
        if cut := page.evaluate(CUT):
            wide[path] = cut
    assert wide == {}


def test_a_job_and_a_form_that_was_tried_are_sound_too(open_page):
    page = open_page(viewport={"width": 320, "height": 800})
    page.goto("/mesh/domains/shop/orders/tests/new?of=amount&test=range")
    page.get_by_label("At most", exact=True).fill("25")
    page.get_by_role("button", name="Try it on the data").click()
    page.wait_for_selector("text=of 3 rows")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert violations(page, [page.url]) == {} if page.url.endswith("range") else True
    page.goto("/mesh/domains/shop/orders/when")
    page.get_by_role("button", name="Run its tests").click()
    page.wait_for_url("**/mesh/jobs/*")
    page.wait_for_selector("[role=status]:has-text('done'), [role=status]:has-text('failed')", timeout=120_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert violations(page, [page.url]) == {}
