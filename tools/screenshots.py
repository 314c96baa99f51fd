"""Pictures for the docs: `python -m tools.screenshots [--into docs/images] [--narrow DIR] [--shipped DIR] [--dagster URL]`.

A small mesh is built in a folder of its own, with something on every page; Chromium takes the pictures, light and dark, of
whole pages. With `--shipped`, a copy of the shipped mesh that was run, the pictures of its first page, of a domain, of its pipeline and of the
form of a test are taken, too; with `--dagster`, where `mesh dev` of that copy listens, those of Dagster's own pages. With `--narrow`, each page 320 pixels wide, too, for whoever looks them through: names in it are long on purpose.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from mesh_assets import authoring, edits
from mesh_assets.changes.record import ChangeRecord
from mesh_assets.kitchen.api import Kitchen
from tests.conftest import free_port
from tests.making import Place
from tests.portal_mesh import app_of, served

LARGEST = 200_000
"""Bytes of one picture."""
LONG = "reimbursed_prescriptions_by_practice_and_week"
PEOPLE = "(select i as physician_id, 'Dr. ' || chr((65 + i % 26)::int) || i as {name}, 'GP' as specialty from range(60) t(i))"


def build(root: Path) -> Place:
    """Rows in quarantine, a rename that waits for an answer, a backfill, two kitchens, and tests that were changed."""
    place = Place(root)
    place.write("mesh.yaml", "mesh: pharma\ntitle: Pharma mesh\n")
    _orders(place)
    _people(place)
    _weeks(place)
    _campaigns(place)
    place.run()
    _campaigns(place, "HCP-98,congress,-1200\nHCP-99,email,-5\nHCP-97,fax,900\n")
    place.run("prescriptions/by_day")
    place.run()
    place.sql("customers.physicians", f"from {PEOPLE.format(name='full_name')}")
    place.contract("customers.physicians", _physicians("full_name"))
    place.run("customers/physicians")
    for name in ("new-prices", "tasting-a-very-long-name-indeed-of-ours"):
        Kitchen.open(name, root=root, settings=place.settings, code=False)
    _changes(place)
    return place


def _orders(place: Place) -> None:
    place.domain(
        "shop", "inputs: [{source: raw/orders.csv}]\noutputs: [{port: sales}]\ntables: {sales: {load: append}}\n"
    )
    rows = ["order_id,customer,country,amount"]
    rows += [f"{n},c{n}@example.com,{'PT' if n % 3 else 'NO'},{n * 10}" for n in range(1, 40)]
    rows += ["41,,PT,10", "42,c42@example.com,no,20", "43,c43@example.com,XX,-5", "44,,NO,70"]
    place.write("domains/shop/raw/orders.csv", "\n".join(rows) + "\n")
    aside = "customProperties: [{property: %s, value: quarantine}]"
    columns = {
        "order_id": "BIGINT; required: true; unique: true; description: Its number in the shop.",
        "customer": f"VARCHAR; required: true; tags: [pii]; description: Whose it is.; {aside % 'action.required'}",
        "country": "VARCHAR; description: Where it goes, in two letters.",
        "amount": f"BIGINT; logicalTypeOptions: {{minimum: 0}}; {aside % 'action.minimum'}",
    }
    quality = """
    - {id: some_orders, metric: rowCount, mustBeGreaterThan: 10, description: A day without orders is a broken export.}
    - {id: not_too_many_large, type: sql, query: "select count(*) from {table} where amount > 300", mustBeBetween: [0, 20], severity: warning}
    """
    place.contract("shop.sales", columns, quality=quality)
    contract = place.root / "domains/shop/contracts/sales.odcs.yaml"
    rule = (
        "        quality:\n          - id: country_known\n            metric: invalidValues\n"
        "            arguments: {validValues: [PT, NO]}\n            mustBe: 0\n"
        "            customProperties: [{property: action, value: quarantine}]\n"
    )
    text = contract.read_text()
    line = "        description: Where it goes, in two letters.\n"
    contract.write_text(text.replace(line, line + rule))
    query = "select order_id::bigint as order_id, customer, country, amount::bigint as amount from shop.orders"
    place.sql("shop.sales", f"{query} where order_id > (select coalesce(max(order_id), 0) from this)")


def _campaigns(place: Place, wrong: str = "") -> None:
    """A table that is held once there are wrong rows."""
    place.domain(
        "campaigns",
        "inputs: [{source: raw/plan.csv, contract: plan.odcs.yaml}]\n",
    )
    place.write(
        "domains/campaigns/raw/plan.csv",
        f"campaign_id,channel,budget\nHCP-01,email,8500\nHCP-02,congress,12000\n{wrong}",
    )
    known = (
        "quality: [{id: channel_known, metric: invalidValues, arguments: {validValues: [email, congress]}, mustBe: 0}]"
    )
    columns = {
        "campaign_id": "VARCHAR; primaryKey: true; required: true",
        "channel": f"VARCHAR; {known}",
        "budget": "BIGINT; logicalTypeOptions: {exclusiveMinimum: 0}",
    }
    place.contract("campaigns.plan", columns)


def _physicians(name: str) -> dict[str, str]:
    return {"physician_id": "BIGINT; primaryKey: true; required: true", name: "VARCHAR", "specialty": "VARCHAR"}


def _people(place: Place) -> None:
    place.domain("customers", "outputs: [{port: physicians}]\n")
    place.sql("customers.physicians", f"from {PEOPLE.format(name='name')}")
    place.contract("customers.physicians", _physicians("name"))
    place.domain("marketing", "inputs: [{port: customers.physicians}]\noutputs: [{port: letters}]\n")
    place.sql("marketing.letters", "select physician_id, 'Dear ' || name as greeting\nfrom customers.physicians")
    place.contract(
        "marketing.letters", {"physician_id": "BIGINT; required: true", "greeting": "VARCHAR; required: true"}
    )


def _weeks(place: Place) -> None:
    daily = "{partitions: daily, partition_by: day, start: 2026-01-01, automation: manual}"
    inputs = "inputs: [{source: raw/events/*.csv, as: events}]\n"
    place.domain("prescriptions", f"{inputs}outputs: [{{port: by_day}}]\ntables:\n  by_day: {daily}\n")
    weekly = f"tables:\n  {LONG}: {{partitions: weekly, partition_by: week, start: 2025-12-28}}\n"
    mapped = "inputs: [{port: prescriptions.by_day, partition_mapping: same}]\n"
    place.domain("launch_analytics", f"{mapped}outputs: [{{port: {LONG}}}]\n{weekly}")
    for day in range(1, 10):
        place.write(f"domains/prescriptions/raw/events/{day}.csv", f"day,n\n2026-01-{day:02},{day * 3}\n")
    place.contract("prescriptions.by_day", {"day": "DATE; required: true", "n": "BIGINT"})
    place.contract(f"launch_analytics.{LONG}", {"week": "DATE", "n": "BIGINT"})
    within = "{0} >= getvariable('partition_start') and {0} < getvariable('partition_end')"
    place.sql(
        "prescriptions.by_day", f"select day, n::bigint as n from prescriptions.events where {within.format('day')}"
    )
    week = "(date_trunc('week', day + 1)::date - 1)"
    query = (
        f"select {week} as week, sum(n)::bigint as n from prescriptions.by_day where {within.format(week)} group by all"
    )
    place.sql(f"launch_analytics.{LONG}", query)


def _changes(place: Place) -> None:
    """Three changes of a contract, the last of them taken back."""
    said = (
        ("", {"id": "fewer_than_a_million", "metric": "rowCount", "mustBeLessThan": 1_000_000}, "ann@example.com"),
        ("amount", {"id": "amount__range", "type": "custom", "engine": "mesh", "implementation": {"test": "range", "most": 400},
                    "severity": "warning"}, "ben@example.com"),
        ("country", {"id": "country__not_null", "metric": "nullValues", "mustBe": 0}, "ann@example.com"),
    )  # fmt: skip
    for column, rule, by in said:
        env = place.env()
        table = env.mesh.tables["shop.sales"]
        edit = authoring.add(env.mesh, table, [(column, rule)])
        edits.keep(env, table.name, edit, f"added {rule['id']}", by=by)
    env = place.env()
    edits.undo(env, env.mesh.tables["shop.sales"], "", by="ben@example.com")


def pages(place: Place) -> dict[str, tuple[str, str]]:
    """By name of the picture: the address, and what of the page is shown; empty: all of it."""
    env = place.env()
    (proposal,) = ChangeRecord(env).proposals()
    asked = "table=prescriptions%2Fby_day&from=2026-01-03&to=2026-01-06"
    tests = "/mesh/domains/shop/sales/tests"
    return {
        "portal_failing": ("/mesh/domains/campaigns", ""),
        "portal_quarantine": ("/mesh/quarantine/shop/sales", ""),
        "portal_change": (f"/mesh/changes/{proposal.id}", ""),
        "portal_backfills": (f"/mesh/backfills?{asked}", ""),
        "portal_kitchens": ("/mesh/kitchens", ""),
        "portal_undo": (tests, "#changes"),
        "portal_rule_form": (f"{tests}/change?name=not_too_many_large", ""),
    }


SHIPPED = {
    "portal_home": ("/mesh/", ""),
    "portal_domain": ("/mesh/domains/customers", ""),
    "portal_pipeline": ("/mesh/pipelines/launch_dashboard", ""),
    "portal_test_form": ("/mesh/domains/marketing/campaigns/tests/new?of=budget_usd&test=range", ""),
}
"""Of the shipped mesh."""
DAGSTERS = {
    "asset_graph": ("/asset-groups", "text=launch_analytics", 720),
    "check": ("/assets/customers/crm_east?view=checks&checkDetail=npi__pattern", "text=failing_sample", 860),
}
"""By name of the picture: the address in Dagster, what is there once it has come, and how high."""
UPPER = {"portal_home": 1100, "portal_pipeline": 1000}
"""Long pages of which the upper part is shown."""
TRIED = {"portal_rule_form": "5", "portal_test_form": "2800000"}
"""Forms that are tried with this for the most that may be."""


def take(browser: Browser, base: str, name: str, page: tuple[str, str], into: Path, *, scheme: str, width: int) -> None:
    """One picture."""
    height = UPPER.get(name, 700)
    context = browser.new_context(base_url=base, color_scheme=scheme, viewport={"width": width, "height": height})  # ty: ignore
    shown = context.new_page()
    shown.goto(page[0], wait_until="networkidle")
    if name in TRIED:
        shown.locator('[name="p_most"]').fill(TRIED[name])
        shown.get_by_role("button", name="Try it on the data").click()
        shown.wait_for_selector("#tried")
    file = into / f"{name}_{scheme}{'' if width > 400 else '_narrow'}.png"
    if page[1]:
        for details in shown.locator(f"{page[1]} details").all()[:1]:
            details.evaluate("one => { one.open = true; }")
        shown.locator(page[1]).screenshot(path=file)
    else:
        shown.screenshot(path=file, full_page=name not in UPPER or width < 400)
    context.close()
    if file.stat().st_size > LARGEST and width > 400:
        sys.exit(f"{file.name} has {file.stat().st_size:,} bytes, more than {LARGEST:,}")


def main() -> None:
    """Build, serve, take all of them."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--into", type=Path, default=Path("docs/images"))
    words.add_argument("--narrow", type=Path)
    words.add_argument("--shipped", type=Path)
    words.add_argument("--dagster")
    given = words.parse_args()
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        sys.exit("There is no Chromium here.")
    with tempfile.TemporaryDirectory() as folder:
        place = build(Path(folder))
        _all(found, place, pages(place), given.into, given.narrow)
        if given.shipped:
            _all(found, Place(given.shipped.resolve()), SHIPPED, given.into, given.narrow)
    if given.dagster:
        _dagsters(found, given.dagster, given.into)


def _dagsters(chromium: str, base: str, into: Path) -> None:
    """Dagster's own pages; they draw themselves for a while after they have come."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, (path, sign, height) in DAGSTERS.items():
            shown = browser.new_page(base_url=base, viewport={"width": 1400, "height": height})
            shown.goto(path, timeout=120_000)
            shown.wait_for_selector(sign, timeout=120_000)
            shown.wait_for_function("() => !document.body.innerText.includes('fetching statuses')", timeout=120_000)
            shown.wait_for_timeout(3_000)
            shown.screenshot(path=into / f"{name}.png")
        browser.close()


def _all(chromium: str, place: Place, wanted: Mapping[str, tuple[str, str]], into: Path, narrow: Path | None) -> None:
    with served(app_of(place, dagster=""), free_port()) as base, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, page in wanted.items():
            for scheme in ("light", "dark"):
                take(browser, base, name, page, into, scheme=scheme, width=1000)
                if narrow or (name, scheme) == ("portal_home", "light"):
                    take(browser, base, name, page, narrow or into, scheme=scheme, width=320)
        browser.close()


if __name__ == "__main__":
    main()
