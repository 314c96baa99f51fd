"""The portal in a real browser: seen, read aloud, reached by the keyboard, without scripts, and as a steward uses it."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.browser.conftest import CUT, OPENED, violations
from tests.conftest import free_port
from tests.making import Place
from tests.portal_mesh import app_of, served, small

PAGES = (
    "/mesh/", "/mesh/tables", "/mesh/status", "/mesh/jobs", "/mesh/tests", "/mesh/changes", "/mesh/kitchens", "/mesh/backfills", "/mesh/quarantine", "/mesh/domains/shop", "/mesh/domains/shop/tests", "/mesh/domains/shop/none",
    "/mesh/domains/shop/orders/tests", *(f"/mesh/domains/shop/orders/tests/{step}" for step in (
        "new", "new?of=", "new?of=amount", "new?of=amount&test=range", "new?of=&test=unique_together", "suggest", "rule?name=amount__maximum")),
    *(f"/mesh/domains/{what}/{word}" for what in ("shop", "shop/orders") for word in ("what", "where", "when", "with", "how")),
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    made = small(tmp_path_factory.mktemp("browser"))
    made.run()
    return made


@pytest.fixture(scope="module")
def base(place) -> Iterator[str]:
    with served(app_of(place), free_port()) as address:
        yield address


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_page, scheme):
    page = open_page(color_scheme=scheme, viewport={"width": 1200, "height": 900})
    assert violations(page, PAGES) == {}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_a_narrow_window_and_60_kilobytes_on_the_wire(open_page, path):
    page = open_page(viewport={"width": 320, "height": 800})
    page.goto(path, wait_until="networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.evaluate(OPENED)
    assert page.evaluate(CUT) == []
    loaded = "['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))"
    assert 2_000 < page.evaluate(f"{loaded}.reduce((sum, entry) => sum + entry.transferSize, 0)") < 60 * 1024


def test_the_keyboard_reaches_every_link(open_page):
    page = open_page()
    page.goto("/mesh/domains/shop")
    wanted = page.evaluate(
        "[...document.querySelectorAll('a[href], button, summary')].filter(e => e.checkVisibility()).length"
    )
    reached = set()
    for _ in range(wanted + 20):  # regions that scroll are stops, too
        page.keyboard.press("Tab")
        mark = page.evaluate(
            "(() => {const all = [...document.querySelectorAll('a[href], button, summary')]; return all.indexOf(document.activeElement)})()"
        )
        if mark >= 0:
            reached.add(mark)
    assert len(reached) == wanted
    page.goto("/mesh/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"


def test_the_keyboard_scrolls_what_is_wider_than_a_phone(open_page):
    page = open_page(viewport={"width": 320, "height": 800})
    for path in ("/mesh/", "/mesh/domains/shop/what"):
        page.goto(path)
        wide = page.locator(".scroll").filter(visible=True)
        wide = [one for one in wide.all() if one.evaluate("e => e.scrollWidth > e.clientWidth")]
        assert wide
        for region in wide:
            region.focus()
            page.keyboard.press("ArrowRight")
            page.wait_for_function("() => document.activeElement.scrollLeft > 0")


def test_a_reader_finds_the_code_and_it_gives_the_right_rows(open_page, place):
    page = open_page()
    page.goto("/mesh/")
    page.get_by_role("rowheader").get_by_role("link", name="Money").click()
    page.get_by_role("link", name="money/revenue").click()
    page.get_by_role("link", name="Where", exact=True).click()
    code = page.get_by_role("region", name="polars").inner_text()
    environment = {"MESH_HOME": str(place.root / ".mesh"), "PATH": "/usr/bin:/bin", "HOME": str(place.root)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=place.root, env=environment, capture_output=True, text=True, check=True
    )
    assert "60" in done.stdout


@pytest.mark.parametrize("scripts", [True, False])
def test_tests_are_run_from_the_page_and_the_job_is_followed(open_page, scripts):
    page = open_page(java_script_enabled=scripts)
    page.goto("/mesh/domains/shop/orders/when")
    page.get_by_role("button", name="Run its tests").click()
    page.wait_for_url("**/mesh/jobs/*")
    page.wait_for_selector("text=mesh test shop/orders")
    page.wait_for_selector("[role=status]:has-text('done')", timeout=120_000)
    page.get_by_role("link", name="Back").click()
    assert page.url.endswith("/mesh/domains/shop/orders/what")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_steward_tries_a_test_saves_it_and_takes_it_back(open_page, place, scripts):
    contract = place.root / "domains/shop/contracts/orders.odcs.yaml"
    before = contract.read_text()
    page = open_page(java_script_enabled=scripts)
    page.goto("/mesh/domains/shop/orders/tests")
    page.get_by_role("link", name="Add a test").click()
    page.get_by_role("link", name="amount", exact=True).click()
    page.get_by_role("link", name="Between two values").click()
    page.get_by_label("At most", exact=True).fill("many")
    page.get_by_role("button", name="Try it on the data").click()
    page.get_by_role("alert").get_by_role("link", name="At most").click()
    page.get_by_label("At most", exact=True).fill("25")
    page.get_by_label("Why it matters").fill("More is a slip of the pen.")
    page.get_by_role("button", name="Try it on the data").click()
    assert "1 of 3 rows" in page.locator("#tried").inner_text()
    assert contract.read_text() == before
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector("text=Saved: added amount__range")
    assert "More is a slip of the pen." in contract.read_text()
    page.get_by_role("button", name="Undo").click()
    page.wait_for_selector("text=took back: added amount__range")
    assert contract.read_text() == before


def test_hostile_text_runs_nothing(open_page):
    page = open_page()
    page.on("dialog", lambda _: pytest.fail("a script ran"))
    for path in ("/mesh/domains/shop/what", "/mesh/domains/shop/orders/what", "/mesh/domains/shop/tests"):
        page.goto(path)
        assert page.evaluate("document.querySelectorAll('img').length") == 0
