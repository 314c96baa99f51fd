"""What was asked from pages: the list of jobs; who has asked for access, and what the team has said. A server alone has it."""

from collections.abc import Mapping
from dataclasses import replace

from mesh_assets import address as names
from mesh_assets.account import access
from mesh_assets.catalog import overview
from mesh_assets.catalog.reports import SCHEMA_VERSION
from mesh_assets.portal import jobs, pages
from mesh_assets.portal.pages import Page, Query, Routes, number, route
from mesh_assets.portal.site import View

LIST = "/mesh/jobs"
REQUESTS = "/mesh/access"
KEPT = 1_000
"""Jobs that are listed."""
NEWEST = 10
"""Jobs on the page of the status."""


def status(view: View, query: Query) -> Page:
    """What needs somebody, the day, and what was asked last."""
    page = pages.status(view, query)
    newest = [job.as_json() for job in jobs.recent(view.env, NEWEST)]
    waits = [one.as_json() for one in access.requests(view.env) if one.state is access.Said.WAITS]
    return replace(page, data={**page.data, "jobs": newest, "requests": waits[:NEWEST], "requests_waiting": len(waits)})


def listed(view: View, query: Query) -> Page:
    """All jobs, newest first."""
    shown, page = overview.paged(jobs.recent(view.env, KEPT), number(query))
    return Page(
        template="jobs.html",
        title="Jobs",
        data={"schema_version": SCHEMA_VERSION, "jobs": [job.as_json() for job in shown], "page": page},
        path=LIST,
        section="status",
        crumbs=(("Status", "/mesh/status"),),
    )


def requests(view: View, query: Query) -> Page:
    """All requests for access, those that wait first."""
    found = access.requests(view.env)
    shown, page = overview.paged(found, number(query))
    waits = sum(one.state is access.Said.WAITS for one in found)
    data = {
        "schema_version": SCHEMA_VERSION,
        "waiting": waits,
        "requests": [one.as_json() for one in shown],
        "page": page,
    }
    crumbs = (("Status", "/mesh/status"),)
    return Page(
        template="access.html", title="Requests for access", data=data, path=REQUESTS, section="status", crumbs=crumbs
    )


def answer(view: View, request: str, word: str, form: Mapping[str, str], *, person: access.Person) -> str:
    """Keep what a team says to a request; the path of the page that shows it.

    Raises:
        NotFound: There is no such request, or no such answer.
        NotTheirs: It is another team's to answer.
        UsageError: The form says too little.
    """
    said = access.answer(
        view.env, request, word, who=person.name or form.get("who", ""), why=form.get("why", ""), person=person
    )
    return names.path(said.to, "where")


def of_domain(view: View, query: Query, domain: str) -> Page:
    """Where a domain is, and who has asked for it or for one of its tables."""
    page = pages.question(view, query, domain, "where")
    own = [f"{domain}/{table.short}" for table in view.standing.own.get(domain, ())]
    return _with_requests(view, page, [domain, *own])


def of_table(view: View, query: Query, domain: str, table: str) -> Page:
    """Where a table is, and who has asked for it or for its whole domain."""
    page = pages.table_question(view, query, domain, table, "where")
    return _with_requests(view, page, [f"{domain}/{table.partition('@')[0]}", domain])


def _with_requests(view: View, page: Page, to: list[str]) -> Page:
    found = access.requests(view.env, to=to)
    return replace(page, data={**page.data, "requests": [one.as_json() for one in found]})


_DOMAIN = r"/mesh/domains/(?P<domain>[^/]+)"
PAGES: Routes = (route("/mesh/status", status), route(LIST, listed))
ACCESS: Routes = (
    route(REQUESTS, requests),
    route(rf"{_DOMAIN}/where", of_domain),
    route(rf"{_DOMAIN}/(?P<table>[^/]+)/where", of_table),
)
"""The API has these, too."""
