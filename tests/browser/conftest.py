"""A real browser, and what is asked of every page in it."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import missing

AXE = Path(__file__).parents[2] / ".venv" / "axe-4.14.1.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OPENED = "document.querySelectorAll('details').forEach(each => each.open = true)"

CUT = """() => {
  const cut = [];
  for (const each of document.querySelectorAll('main *')) {
    const box = each.getBoundingClientRect();
    if (!each.checkVisibility() || !box.width || each.matches('input, textarea, select')) continue;
    const style = getComputedStyle(each), told = each.tagName + ' ' + each.textContent.trim().slice(0, 40);
    const hides = each.scrollWidth > each.clientWidth + 1 && style.overflowX !== 'visible' && style.display !== 'inline';
    if (hides && (style.overflowX === 'hidden' || style.overflowX === 'clip' || each.tabIndex < 0)) cut.push('unreached ' + told);
    const region = each.closest('[tabindex="0"]');
    if (box.right > innerWidth + 1 && !(region && region.getBoundingClientRect().right <= innerWidth + 1)) cut.push('cut ' + told);
    if (each.tagName === 'CAPTION' && box.right > innerWidth + 1) cut.push('caption ' + told);
  }
  return cut.slice(0, 5);
}"""
"""What no narrow window may have: what is wider than its region or the window, and that no keyboard can scroll to."""


def violations(page: Page, paths: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """What axe-core finds on pages, with everything that folds opened: by page and rule, the first places."""
    if not AXE.exists():
        missing("axe-core")
    found = {}
    for path in paths:
        page.goto(path)
        page.evaluate(OPENED)
        page.evaluate(AXE.read_text())
        told = page.evaluate("rules => axe.run({runOnly: rules})", RULES)
        for item in told["violations"]:
            found[path, item["id"]] = [node["html"][:200] for node in item["nodes"]][:3]
    return found


@pytest.fixture(scope="module")
def browser(base) -> Iterator[Browser]:
    """Started when the mesh is built: while Playwright's loop runs in this thread, Dagster could not use one."""
    assert base
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        missing("Chromium")
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser, base):
    """Opens pages; at the end nothing was asked of another host, and the console is empty."""
    contexts, asked, said = [], [], []

    def make(**options) -> Page:
        context = browser.new_context(base_url=base, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    assert all(url.startswith((base, "data:")) for url in asked)
    ours = ("status of 404", "status of 422")  # Chromium writes a line for each such answer
    assert [text for text in said if not any(answer in text for answer in ours)] == []
