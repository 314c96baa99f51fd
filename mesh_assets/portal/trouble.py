"""Pages of incidents: what is wrong now and what was, who answers for it, who goes on with what."""

from mesh_assets.address import NotFound
from mesh_assets.catalog import account, overview
from mesh_assets.portal.pages import Page, Query, Routes, number, route
from mesh_assets.portal.site import View

LIST = "/mesh/incidents"
SHOWN = 50


def incidents(view: View, query: Query) -> Page:
    """Those that are open, then those that are over, newest first."""
    rows = sorted(account.incidents(view.env), key=lambda row: row["closed"] is not None)
    shown, page = overview.paged(rows, number(query), size=SHOWN)
    data = {
        "schema_version": 1,
        "open": sum(row["closed"] is None for row in rows),
        "total": len(rows),
        "incidents": [{key: value for key, value in row.items() if key != "told"} for row in shown],
        "page": page,
    }
    return Page(template="incidents.html", title="Incidents", data=data, path=LIST, section="incidents", crumbs=())


def incident(view: View, _query: Query, identity: str) -> Page:
    """One: its cause, the tables in trouble because of it, what others read, who was told."""
    found = account.incidents(view.env, identity=identity)
    if not found:
        raise NotFound(f"there is no incident `{identity}`\n    All of them are on {LIST}.")
    return Page(
        template="incident.html",
        title=f"Incident {identity}",
        data={"schema_version": 1, **found[0]},
        path=f"{LIST}/{identity}",
        section="incidents",
        crumbs=(("Incidents", LIST),),
    )


PAGES: Routes = (route(LIST, incidents), route(f"{LIST}/(?P<identity>[^/]+)", incident))
