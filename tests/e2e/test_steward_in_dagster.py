"""What a steward does, in a real browser on Dagster's own web server: from a domain that fails to one that is trusted again."""

import shutil
from collections.abc import Generator

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.conftest import missing
from tests.e2e.test_portal_in_dagster import web_server
from tests.making import Place
from tests.portal_mesh import small

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
GOOD = "id,amount,buyer,note\n1,10,a,a\n2,20,b,b\n"
ODD = GOOD + "3,900,c,c\n"
BAD = GOOD + "3,5000,c,c\n"


@pytest.fixture
def place(tmp_path) -> Place:
    made = small(tmp_path)
    made.write("domains/shop/raw/orders.csv", GOOD)
    made.run()
    made.write("domains/shop/raw/orders.csv", BAD)
    made.run()
    return made


@pytest.fixture
def base(place) -> Generator[str]:
    yield from web_server(place)


@pytest.fixture
def page(base) -> Generator[Page]:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        missing("Chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        context = browser.new_context(base_url=base, viewport={"width": 1400, "height": 1000})
        context.set_default_timeout(60_000)
        yield context.new_page()
        browser.close()


def test_from_a_failing_domain_to_a_trusted_one(page, place, in_a_thread):
    # The domain that cannot be trusted today, and why.
    page.goto("/mesh/")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="Shop"))
    assert "fail" in row.inner_text()
    row.get_by_role("link", name="Shop").click()
    assert "amount" in page.locator("main").inner_text()

    # A rule that would have told earlier; tried on the version that readers have, then saved.
    page.goto("/mesh/domains/shop/orders/tests/new?of=amount&test=range")
    page.get_by_label("At most", exact=True).fill("15")
    page.get_by_role("button", name="Try it on the data").click()
    assert "1 of 2 rows" in page.locator("#tried").inner_text()
    page.get_by_label("At most", exact=True).fill("500")
    page.get_by_label("Why it matters").fill("Nobody buys so much.")
    page.get_by_role("button", name="Try it on the data").click()
    assert "Holds for all 2 rows" in page.locator("#tried").inner_text()
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector("text=Saved: added amount__range")

    # Dagster knows it, without a restart.
    page.goto("/assets/shop/orders?view=checks")
    for _ in range(20):
        if page.get_by_text("amount__range").count():
            break
        page.wait_for_timeout(3_000)
        page.reload()
    page.wait_for_selector("text=amount__range")

    # It fails on bad data, which nobody sees; mended data passes.
    place.write("domains/shop/raw/orders.csv", ODD)
    assert in_a_thread(place.statuses)["shop/orders"] == "held"
    page.goto("/mesh/domains/shop/orders/tests")
    told = page.get_by_role("row").filter(has_text="amount__range").first.inner_text()
    assert "fail" in told
    assert "1 of 3 rows" in told
    place.write("domains/shop/raw/orders.csv", GOOD + "3,30,c,c\n")
    assert in_a_thread(place.statuses)["shop/orders"] == "published"
    page.goto("/mesh/domains/shop/orders/tests")
    assert "pass" in page.get_by_role("row").filter(has_text="amount__range").first.inner_text()


@pytest.fixture
def in_a_thread():
    """Calls something in another thread: Dagster cannot run where Playwright's loop does."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        yield lambda call: pool.submit(call).result()
