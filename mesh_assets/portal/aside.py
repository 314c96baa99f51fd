"""Pages of rows in quarantine: where some wait and why, the rows themselves; to publish those that pass by now, or give them up."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from mesh_assets import address as names
from mesh_assets import replaying
from mesh_assets.address import NotFound
from mesh_assets.catalog import SCHEMA_VERSION, overview
from mesh_assets.domain import Table
from mesh_assets.errors import UsageError, nearest
from mesh_assets.lake import quarantine as kept
from mesh_assets.portal import jobs
from mesh_assets.portal.pages import Page, Query, Routes, number, route
from mesh_assets.portal.site import View
from mesh_assets.replaying import Chosen

LIST = "/mesh/quarantine"
ACTIONS: Mapping[str, str] = {"replay": "Publish waiting rows", "discard": "Give up waiting rows"}
SHOWN = 50
LONGEST = 500
"""Characters of a reason."""


def waiting(view: View, query: Query) -> Page:
    """Tables of which rows wait, and what was given up, newest first."""
    given_up = [{**one, "table": one["table"].replace(".", "/", 1)} for one in replaying.discards(view.env)]
    shown, page = overview.paged(given_up, number(query), size=SHOWN)
    data = {
        "schema_version": SCHEMA_VERSION,
        "tables": replaying.waiting(view.env, view.env.mesh.tables),
        "given_up": shown,
        "page": page,
    }
    return Page(
        template="quarantines.html",
        title="Rows in quarantine",
        data=data,
        path=LIST,
        section="status",
        crumbs=(("Status", "/mesh/status"),),
    )


def rows(view: View, query: Query, domain: str, table: str) -> Page:
    """The waiting rows of one table, the oldest first; those of one rule, where the query names it."""
    known, found = _table(view, domain, table), _waiting(view, domain, table)
    rule = query.get("rule", "")
    if found and rule and rule not in found["rules"]:
        raise NotFound(f"no row waits for `{rule}`\n    {nearest(rule, found['rules'])}")
    columns, shown, total = ((), [], 0)
    if found:
        columns, shown, total = replaying.shown(view.env, known, _chosen(rule), limit=SHOWN)
    path = _path(domain, table)
    data = {
        "schema_version": SCHEMA_VERSION,
        "table": f"{domain}/{table}",
        "waiting": found or {"rows": 0, "rules": {}},
        "rule": rule,
        "columns": [name for name in columns if name not in (kept.ID, kept.RULES, kept.RUN, kept.AT)],
        "rows": shown,
        "total": total,
        "whole": known.load.value == "full",
        "jobs": [job.as_json() for job in jobs.recent(view.env, 5, about=[path])],
    }
    return Page(
        template="quarantine.html",
        title=f"Rows of {domain}/{table} in quarantine",
        data=data,
        path=path,
        section="status",
        crumbs=(("Status", "/mesh/status"), ("Quarantine", LIST)),
    )


def perform(view: View, domain: str, table: str, action: str, form: Mapping[str, str], *, by: str) -> str:
    """Begin to publish waiting rows, or to give them up; the id of its job.

    Raises:
        NotFound: There is no such table or action.
        UsageError: Nothing waits for the rule of the form, or rows are to be given up without a reason.
    """
    if action not in ACTIONS:
        raise NotFound(f"rows cannot be told to `{action}`\n    {nearest(action, ACTIONS)}")
    _table(view, domain, table)
    found = _waiting(view, domain, table)
    if not found:
        raise UsageError(f"no row of {domain}/{table} waits in quarantine\n    All that wait are on {LIST}.")
    words = ["quarantine", action, f"{domain}/{table}"]
    rule = form.get("rule", "")
    if rule and rule not in found["rules"]:
        raise UsageError(f"no row waits for `{rule}`\n    {nearest(rule, found['rules'])}")
    if rule:
        words.append(f"--rule={rule}")
    if action == "discard":
        reason = " ".join(form.get("reason", "").split())[:LONGEST]
        if not reason:
            raise UsageError("rows are not given up without a reason\n    Say why: it is kept.")
        words.append(f"--reason={reason}" + (f" (by {by})" if by else ""))
        words += [] if rule else ["--all"]
    title = f"{ACTIONS[action]}: {domain}/{table}"
    return jobs.start(view.env, title, words, about=_path(domain, table), by=by)


def _table(view: View, domain: str, table: str) -> Table:
    address = names.parse(view.env.mesh, f"{domain}/{table}")
    return view.env.mesh.tables[f"{address.domain}.{address.table}"]


def _waiting(view: View, domain: str, table: str) -> dict[str, Any]:
    return next(iter(replaying.waiting(view.env, [f"{domain}.{table}"])), {})


def _chosen(rule: str) -> Chosen:
    return Chosen(rules=(rule,) if rule else ())


def _path(domain: str, table: str) -> str:
    return f"{LIST}/{quote(domain, safe='')}/{quote(table, safe='')}"


PAGES: Routes = (route(LIST, waiting), route(f"{LIST}/(?P<domain>[^/]+)/(?P<table>[^/]+)", rows))
