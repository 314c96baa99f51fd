"""Pages of horizontal pipelines: which there are, how a launch stands, where its time went; to launch one, or cancel it."""

from mesh_assets import cancelling, catalog
from mesh_assets.address import NotFound
from mesh_assets.catalog import overview
from mesh_assets.domain import Pipeline
from mesh_assets.errors import UsageError, nearest
from mesh_assets.launches import Launches
from mesh_assets.portal.pages import Page, Query, Routes, number, route
from mesh_assets.portal.site import View

LIST = "/mesh/pipelines"
SHOWN = 50
ACTIONS = ("launch", "cancel")


def pipelines(view: View, query: Query) -> Page:
    """All of them, with how their last launch stands."""
    reports = catalog.pipelines_report(view.env, view.standing.why)
    rows, page = overview.paged(reports, number(query), size=SHOWN)
    data = {"schema_version": catalog.SCHEMA_VERSION, "pipelines": rows, "page": page}
    return Page(template="pipelines.html", title="Pipelines", data=data, path=LIST, section="pipelines", crumbs=())


def pipeline(view: View, query: Query, name: str) -> Page:
    """One: a launch of it, table by table, with the path that decided when it was there."""
    try:
        data = catalog.pipeline_report(view.env, _known(view, name), query.get("launch", ""))
    except UsageError as error:
        raise NotFound(str(error)) from None
    return Page(
        template="pipeline.html",
        title=data["title"] or name,
        data={**data, "day": _day(data)},
        path=f"{LIST}/{name}",
        section="pipelines",
        crumbs=(("Pipelines", LIST),),
    )


def perform(view: View, name: str, action: str, *, by: str) -> str:
    """Launch it, or cancel its launch; the path of the page that shows it.

    Raises:
        NotFound: There is no such pipeline, or no such action.
        UsageError: No launch of it goes on.
    """
    known = _known(view, name)
    if action not in ACTIONS:
        raise NotFound(f"a pipeline cannot be told to `{action}`\n    {nearest(action, ACTIONS)}")
    if action == "launch":
        Launches(view.env.ledger.store).start(known.name, by)
        catalog.settle(view.env)
    else:
        cancelling.cancel_pipeline(view.env, known, by=by)
    return f"{LIST}/{name}"


def _known(view: View, name: str) -> Pipeline:
    try:
        return catalog.pipeline_named(view.env, name)
    except UsageError as error:
        raise NotFound(str(error)) from None


def _day(data: catalog.Json) -> catalog.Json:
    """The steps that were tried, as the picture of a day has them."""
    steps = [
        {"table": step["table"], "start": step["start"], "seconds": step["run"], "outcome": step["state"]}
        for step in data["steps"]
        if step["start"]
    ]
    ends = [step["end"] for step in data["steps"] if step["end"]]
    return {"from": data["launch"]["at"], "to": max(ends), "steps": steps} if steps else {"steps": []}


ROUTES: Routes = (route(LIST, pipelines), route(f"{LIST}/(?P<name>[^/]+(?:/[^/]+)?)", pipeline))
