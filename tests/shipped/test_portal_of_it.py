"""The shipped mesh in a real browser, on Dagster's own web server: as a steward and as a reader use it, by links alone."""

import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import Page, sync_playwright

from tests.conftest import missing
from tests.e2e.test_portal_in_dagster import web_server
from tests.making import Place
from tests.shipped.test_whole_mesh import ROOT, mesh, mesh_flag, statuses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]
BUDGETS = "domains/marketing/raw/campaigns.csv"


@dataclass
class Shown:
    """The mesh, and a page of its portal in Dagster."""

    root: Path
    page: Page

    def built(self, *, code: int = 0) -> dict[str, str]:
        """Build what has changed; the statuses."""
        return statuses(mesh(self.root, "run", code=code))

    def spoil(self, campaign: str, budget: str) -> None:
        """Give a campaign another budget in the raw file."""
        path = self.root / BUDGETS
        text, changed = re.subn(
            rf"^({campaign},.*,)[^,]*$", rf"\g<1>{budget}", path.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
        assert changed == 1
        path.write_text(text, encoding="utf-8")

    def status_of(self, domain: str) -> str:
        """What the first page says of a domain."""
        self.page.goto("/mesh/")
        row = self.page.get_by_role("row").filter(has=self.page.get_by_role("link", name=domain, exact=True))
        return row.locator(".pill").first.inner_text()


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Generator[Shown]:
    root = tmp_path_factory.mktemp("shown") / "mesh"
    root.mkdir()
    shutil.copy(ROOT / "mesh.yaml", root)
    for name in ("domains", "dbt_projects"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("target", "logs", "__pycache__"))
    assert set(statuses(mesh(root, "run")).values()) == {"published"}
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        missing("Chromium")
    server = web_server(Place(root))
    base = next(server)
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
            context = browser.new_context(base_url=base, viewport={"width": 1400, "height": 1000})
            context.set_default_timeout(90_000)
            yield Shown(root, context.new_page())
            browser.close()
    finally:
        server.close()


def test_a_steward_finds_the_domain_that_fails_reads_why_adds_a_test_and_mends_both(shown: Shown) -> None:
    page = shown.page
    shown.spoil("HCP-02", "-5")
    assert shown.built(code=1)["marketing/campaigns"] == "held"

    # The domain that cannot be trusted today, and why, by links alone.
    page.goto("/mesh/")
    worst = page.locator("main").get_by_role("row").nth(1)
    assert "fail" in worst.inner_text()
    worst.get_by_role("link").first.click()
    assert "Launch marketing" in page.locator("h1").inner_text()
    page.get_by_role("link", name="Tests", exact=True).first.click()
    told = page.get_by_role("row").filter(has_text="budget_usd__exclusive_minimum").first.inner_text()
    assert "fail" in told
    assert "1 of 21 rows" in told

    # A rule that would tell of too much, too; tried on what readers have, saved.
    page.locator('main a[href$="/marketing/campaigns/tests"]').first.click()
    page.get_by_role("link", name="Add a test").click()
    page.get_by_role("link", name="budget_usd", exact=True).click()
    page.locator('a[href$="of=budget_usd&test=range"]').click()
    page.locator('[name="p_most"]').fill("9000")
    page.get_by_role("button", name="Try it on the data").click()
    assert re.search(r"[1-9][0-9]* of 21 rows", page.locator("#tried").inner_text())
    page.locator('[name="p_most"]').fill("5000000")
    page.get_by_role("button", name="Try it on the data").click()
    assert "Holds for all 21 rows" in page.locator("#tried").inner_text()
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector("text=Saved: added budget_usd__range")

    # Dagster has it as a check, without a restart.
    page.get_by_role("link", name="How", exact=True).click()
    page.locator('main a[href$="/assets/marketing/campaigns"]').first.click()
    page.get_by_role("tab", name="Checks").click()
    for _ in range(40):
        if page.get_by_text("budget_usd__range").count():
            break
        page.wait_for_timeout(3_000)
        page.reload()
    page.wait_for_selector("text=budget_usd__range")

    # It fails on bad data, which no reader sees.
    shown.spoil("HCP-02", "9000000")
    assert shown.built(code=1)["marketing/campaigns"] == "held"
    menu = page.locator("#mesh-domains")  # in Dagster's own menu, where the page that is shown is marked, and it is not
    assert (menu.inner_text(), "active" in menu.get_attribute("class")) == ("Domains", False)
    menu.click()
    page.locator("main").get_by_role("row").nth(1).get_by_role("link").first.click()
    page.locator('main a[href$="/marketing/campaigns/tests"]').first.click()
    told = page.get_by_role("row").filter(has_text="budget_usd__range").first.inner_text()
    assert "fail" in told
    assert "1 of 21 rows" in told
    assert mesh(shown.root, "sql", "select max(budget_usd) from marketing.campaigns")["rows"][0][0] < 5_000_000

    # The data is mended: the test passes, and the domain that failed does not any more.
    shown.spoil("HCP-02", "9000.0")
    assert shown.built()["marketing/campaigns"] in ("published", "unchanged")
    page.reload()
    assert "pass" in page.get_by_role("row").filter(has_text="budget_usd__range").first.inner_text()
    assert "fail" not in shown.status_of("Launch marketing")


def test_a_reader_copies_polars_from_where_and_gets_the_rows_of_that_version(shown: Shown, tmp_path: Path) -> None:
    page = shown.page
    page.goto("/assets/launch_analytics/weekly_report?view=overview")
    page.get_by_role("link", name="Where do I get it").first.click()
    page.wait_for_selector("h2")
    assert "/mesh/domains/launch_analytics/weekly_report/where" in page.url
    code = page.locator("pre", has_text="import mesh_assets").filter(has_text=".pl()").first.inner_text()
    version = int(re.search(r"version=(\d+)", code).group(1))
    saved = tmp_path / "rows.parquet"
    script = f"{code}\nweekly_report.write_parquet({str(saved)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=shown.root, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    query = "select columns(*)::varchar from {} order by all"
    wanted = mesh_flag(shown.root, "sql", "--at", str(version), query.format("launch_analytics.weekly_report"))["rows"]
    found = duckdb.sql(query.format(f"'{saved}'")).fetchall()
    assert len(found) == len(wanted) > 20
    assert [list(row) for row in found] == wanted
