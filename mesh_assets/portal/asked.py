"""What was asked from pages: the list of jobs, and on the page Where who has asked for access. A server alone has it."""

from dataclasses import replace

from mesh_assets import address as names
from mesh_assets.address import Address
from mesh_assets.catalog import overview
from mesh_assets.catalog.reports import SCHEMA_VERSION, Json
from mesh_assets.portal import actions, jobs, pages
from mesh_assets.portal.pages import Page, Query, Routes, number, route
from mesh_assets.portal.site import View

LIST = "/mesh/jobs"
KEPT = 1_000
"""Jobs that are listed."""
NEWEST = 10
"""Jobs on the page of the status."""


def status(view: View, query: Query) -> Page:
    """What needs somebody, the day, and what was asked last."""
    page = pages.status(view, query)
    newest = [job.as_json() for job in jobs.recent(view.env, NEWEST)]
    return replace(page, data={**page.data, "jobs": newest})


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


def of_domain(view: View, query: Query, domain: str) -> Page:
    """Where a domain is, and who has asked for it or for one of its tables."""
    page = pages.question(view, query, domain, "where")
    own = [Address(domain=domain, table=table.short) for table in view.standing.own.get(domain, ())]
    return _with_requests(view, page, [Address(domain=domain), *own])


def of_table(view: View, query: Query, domain: str, table: str) -> Page:
    """Where a table is, and who has asked for it or for its whole domain."""
    page = pages.table_question(view, query, domain, table, "where")
    address = names.parse(view.env.mesh, f"{domain}/{table}")
    return _with_requests(view, page, [replace(address, version=None), Address(domain=domain)])


def _with_requests(view: View, page: Page, of: list[Address]) -> Page:
    about = [names.path(address, "where") for address in of]
    found = [_request(job) for job in jobs.recent(view.env, KEPT, about=about)]
    return replace(page, data={**page.data, "requests": found})


def _request(job: jobs.Job) -> Json:
    what = job.title.removeprefix(actions.ACCESS)
    return {"job": job.id, "at": job.at, "by": job.by, "access_to": what, "says": actions.asked(job.output)}


_DOMAIN = r"/mesh/domains/(?P<domain>[^/]+)"
PAGES: Routes = (
    route("/mesh/status", status),
    route(LIST, listed),
    route(rf"{_DOMAIN}/where", of_domain),
    route(rf"{_DOMAIN}/(?P<table>[^/]+)/where", of_table),
)
