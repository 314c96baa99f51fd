"""Pages of kitchens: which there are, what they hold, and what can be done with them, each as a job."""

import re
import threading
from collections.abc import Mapping
from typing import Any

from mesh_assets.address import NotFound
from mesh_assets.environment import Environment
from mesh_assets.errors import UsageError, nearest
from mesh_assets.kitchen import closing, place
from mesh_assets.kitchen.equality import status as equality
from mesh_assets.kitchen.listing import listing
from mesh_assets.kitchen.place import checked
from mesh_assets.kitchen.records import Records
from mesh_assets.portal import jobs
from mesh_assets.portal.pages import Page, Query, Routes, route
from mesh_assets.portal.site import Site, View

LIST = "/mesh/kitchens"
_sites: dict[tuple[str, str], Site] = {}
"""Meshes of kitchens that were looked into, by folder and moment of opening."""
_lock = threading.Lock()
ACTIONS: Mapping[str, str] = {
    "open": "Open kitchen", "test": "Test kitchen", "promote": "Promote kitchen", "rebase": "Rebase kitchen",
    "close": "Close kitchen",
}  # fmt: skip


def kitchens(view: View, _query: Query) -> Page:
    """All of them, and what each was promoted with."""
    report = _listing(view)
    rows = [{**row, **_may(row)} for row in report["kitchens"]]
    data = {**report, "kitchens": rows, "default_ttl": "7d"}
    return Page(template="kitchens.html", title="Kitchens", data=data, path=LIST, section="kitchens", crumbs=())


def kitchen(view: View, _query: Query, name: str) -> Page:
    """One: in what it differs from production, what its last test said, what may be done with it."""
    env = _production(view)
    records = Records(env.ledger)
    record = records.get(name)
    row = next(iter(listing(env, lambda site: _opened(site, view), only=name)["kitchens"]), None)
    if record is None or row is None or row["state"] == "lost":
        raise NotFound(f"there is no kitchen `{name}`\n    {nearest(name, [one.name for one in records.all()])}")
    found = place.find(env.home, name)
    parent = _opened(place.find(env.home, found.parent), view) if found.parent else env
    status = equality(parent, _opened(found, view), found, record)
    status["differences"] = [jobs.without_paths(view.env, line) for line in status["differences"]]
    tested = dict(record.tested)
    data = {
        "schema_version": 1,
        **row,
        **_may(row),
        "status": status,
        "tested_at": tested.get("at", ""),
        "tested_ok": tested.get("ok"),
        "domains": tested.get("domains", []),
        "jobs": [job.as_json() for job in jobs.recent(view.env, 10, about=[f"{LIST}/{name}"])],
    }
    return Page(
        template="kitchen.html",
        title=f"Kitchen {name}",
        data=data,
        path=f"{LIST}/{name}",
        section="kitchens",
        crumbs=(("Kitchens", LIST),),
    )


def perform(view: View, name: str, action: str, form: Mapping[str, str], *, by: str) -> str:
    """Begin something with a kitchen; the id of its job.

    Raises:
        NotFound: There is no such action.
        UsageError: That is no name, or no time.
    """
    if action not in ACTIONS:
        raise NotFound(f"there is no action `{action}`\n    {nearest(action, ACTIONS)}")
    checked(name)
    words = ["kitchen", action, name]
    if action == "open":
        ttl = form.get("ttl", "7d").strip() or "7d"
        if not re.fullmatch(r"[0-9]{1,4}[hd]|never", ttl):
            raise UsageError(f"`{ttl}` is no time\n    Write 12h, 7d or never.")
        words += ["--ttl", ttl]
    if action == "promote" and (reason := form.get("waive", "").strip()[:500]):
        words.append(f"--waive={reason}")
    if action == "close" and form.get("force") == "1":
        words.append("--force")
    about = LIST if action in ("open", "close") else f"{LIST}/{name}"
    return jobs.start(view.env, f"{ACTIONS[action]} {name}", words, about=about, by=by)


def _listing(view: View) -> dict[str, Any]:
    """As of `mesh kitchen list`; a kitchen's files are read again only when one of them has changed."""
    env = _production(view)
    report = listing(env, lambda site: _opened(site, view))
    there = {str(place.find(env.home, row["kitchen"]).folder) for row in report["kitchens"] if row["state"] == "open"}
    with _lock:
        for gone in [key for key in _sites if key[0] not in there]:
            _sites.pop(gone)
    return report


def _production(view: View) -> Environment:
    within = place.around(view.env.mesh.root)
    return closing.production(view.env.mesh.root, view.settings) if within else view.env


def _opened(kitchen: place.Site, view: View) -> Environment:
    key = (str(kitchen.folder), kitchen.opened)
    with _lock:
        site = _sites.setdefault(key, Site(kitchen.root, kitchen.settings(view.settings)))
    return site.environment()


def _may(row: Mapping[str, Any]) -> dict[str, str]:
    """Why something may not be done; empty: it may."""
    if row["state"] != "open":
        why = f"it is {row['state']}"
        return {"no_test": why, "no_promote": why, "no_close": "" if row["state"] in ("abandoned", "lost") else why}
    return {
        "no_test": "",
        "no_promote": "" if row["tested"] else "it was never tested: what is promoted is what was tested",
        "no_close": "",
    }


PAGES: Routes = (route(LIST, kitchens), route(f"{LIST}/(?P<name>[^/]+)", kitchen))
