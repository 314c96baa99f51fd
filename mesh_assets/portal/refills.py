"""Pages of backfills: which there were, what one would build, how one stands; to launch one, or cancel it."""

from collections.abc import Mapping

from mesh_assets import cancelling, catalog
from mesh_assets.address import NotFound
from mesh_assets.catalog.reports import spelt
from mesh_assets.errors import UsageError
from mesh_assets.launches import Backfills
from mesh_assets.portal.pages import Page, Query, Routes, route
from mesh_assets.portal.site import View

LIST = "/mesh/backfills"


def backfills(view: View, query: Query) -> Page:
    """The last ones; and, for the table and days in the query, what one would build, or why none can be."""
    asked = {word: query.get(word, "").strip() for word in ("table", "from", "to")}
    plan, wrong = None, ""
    if asked["table"] and asked["from"]:
        try:
            plan = catalog.plan_json(view.env, _plan(view, asked))
        except UsageError as error:
            wrong = str(error)
    data = {
        "schema_version": catalog.SCHEMA_VERSION,
        "backfills": catalog.backfills_report(view.env),
        "tables": [spelt(table.name) for table in view.env.mesh.tables.values() if table.partitions],
        "asked": asked,
        "plan": plan,
        "wrong": wrong,
    }
    return Page(
        template="backfills.html",
        title="Backfills",
        data=data,
        path=LIST,
        section="pipelines",
        crumbs=(("Pipelines", "/mesh/pipelines"),),
    )


def backfill(view: View, _query: Query, id_: str) -> Page:
    """One: its status over all domains, and every table that it builds."""
    try:
        data = catalog.backfill_report(view.env, catalog.backfill_named(view.env, id_))
    except UsageError as error:
        raise NotFound(str(error)) from None
    return Page(
        template="backfill.html",
        title=f"Backfill of {data['table']}",
        data=data,
        path=f"{LIST}/{data['id']}",
        section="pipelines",
        crumbs=(("Pipelines", "/mesh/pipelines"), ("Backfills", LIST)),
    )


def launch(view: View, form: Mapping[str, str], *, by: str) -> str:
    """Ask for one; the path of its page.

    Raises:
        UsageError: There is no such table, it has no partitions, or none in these days.
    """
    made = _plan(view, form)
    begun = Backfills(view.env.ledger.store).start(made.table, made.days, by)
    return f"{LIST}/{begun.id}"


def cancel(view: View, id_: str, *, by: str) -> str:
    """Ask no longer for one; the path of its page.

    Raises:
        NotFound: There is none.
        UsageError: It has ended.
    """
    try:
        found = catalog.backfill_named(view.env, id_)
    except UsageError as error:
        raise NotFound(str(error)) from None
    cancelling.cancel_backfill(view.env, found, by=by)
    return f"{LIST}/{found.id}"


def _plan(view: View, asked: Mapping[str, str]) -> catalog.Plan:
    table, first, last = (asked.get(word, "").strip() for word in ("table", "from", "to"))
    return catalog.plan_named(view.env, table, first, last)


PAGES: Routes = (route(LIST, backfills), route(f"{LIST}/(?P<id_>[0-9a-f-]+)", backfill))
