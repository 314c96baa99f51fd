"""Pages of incidents: what is wrong now and what was, who answers for it, who goes on with what."""

from mesh_assets.address import NotFound
from mesh_assets.catalog import account, failing, overview
from mesh_assets.catalog.reports import Json
from mesh_assets.domain import Table
from mesh_assets.portal.pages import Page, Query, Routes, number, route
from mesh_assets.portal.site import View

LIST = "/mesh/incidents"
SHOWN = 50
TRIES = 200
"""Attempts of a table among which the one is looked for that an incident is about."""


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
        data={"schema_version": 1, **found[0], "failing": _failing(view, found[0])},
        path=f"{LIST}/{identity}",
        section="incidents",
        crumbs=(("Incidents", LIST),),
    )


def _failing(view: View, found: Json) -> Json:
    """What failed of the tables in trouble, while it was open: the first few, and how many there are more."""
    tables = [view.env.mesh.tables.get(word.replace("/", ".", 1)) for word in found["tables"]]
    told = [_stopped(view, table, found) for table in tables if table is not None]
    stopped = [one for one in told if one is not None]
    return {"tables": stopped[: failing.SHOWN], "more": max(0, len(stopped) - failing.SHOWN)}


def _stopped(view: View, table: Table, found: Json) -> Json | None:
    """The last that was stopped while the incident was open; what had opened it lies just before."""
    end = found["mended"] or found["closed"] or view.standing.at.isoformat()
    tries = view.env.ledger.tries(table=table.name, outcomes=("published", "unchanged", "held", "failed"), limit=TRIES)
    for attempt in (one for one in tries if one.at <= end):
        if attempt.outcome in ("held", "failed"):
            return failing.of_attempt(table, attempt, view.standing.versions.get(table.name))
        if attempt.at < found["since"]:
            return None
    return None


PAGES: Routes = (route(LIST, incidents), route(f"{LIST}/(?P<identity>[^/]+)", incident))
