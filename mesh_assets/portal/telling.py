"""Pages of changes: what was published, what waits for its readers, and their answers."""

from collections.abc import Mapping
from datetime import UTC, datetime

from mesh_assets.address import NotFound
from mesh_assets.catalog import overview
from mesh_assets.changes import answering
from mesh_assets.changes.answering import ANSWERS
from mesh_assets.changes.pages import listed, shown
from mesh_assets.changes.record import ChangeRecord
from mesh_assets.errors import nearest
from mesh_assets.portal.pages import Page, Query, Routes, number, route
from mesh_assets.portal.site import View

LIST = "/mesh/changes"
SHOWN = 50
"""Changes on one page."""
LONGEST = 2_000


def changes(view: View, query: Query) -> Page:
    """Those that wait for their readers, then those that were published, newest first."""
    report = listed(view.env, _record(view))
    rows, page = overview.paged(report["changes"], number(query), size=SHOWN)
    data = {**report, "changes": rows, "page": page}
    return Page(template="changes.html", title="Changes", data=data, path=LIST, section="changes", crumbs=())


def change(view: View, _query: Query, change: str) -> Page:
    """One change: what it is, for whom it breaks and why, who was told when, who has answered."""
    record = _record(view)
    _known(record, change)
    data = shown(view.env, record, change)
    given = {answer["reader"] for answer in data["answers"] if answer["holds"]}
    waits = list(answering.waiting(data["readers"], given))
    return Page(
        template="change.html",
        title=f"{data['port']}: change {change[:8]}",
        data={**data, "waits_for": waits if data["state"] == "proposed" else []},
        path=f"{LIST}/{change}",
        section="changes",
        crumbs=(("Changes", LIST),),
    )


def answer(view: View, change: str, word: str, form: Mapping[str, str], *, by: str) -> str:
    """Keep what a reading domain says of a change; the path of the page that shows it.

    Raises:
        NotFound: There is no such change, or no such answer.
        UsageError: The form says too little.
    """
    if word not in ANSWERS:
        raise NotFound(f"there is no answer `{word}`\n    {nearest(word, ANSWERS)}")
    record = _record(view)
    _known(record, change)
    reader, why, until = (form.get(name, "").strip()[:LONGEST] for name in ("reader", "why", "until"))
    today = datetime.now(UTC).date()
    answering.answer(view.env, record, change, reader=reader, word=word, who=by, why=why, until=until, today=today)
    return f"{LIST}/{change}"


def _record(view: View) -> ChangeRecord:
    record = ChangeRecord(view.env)
    record.sync()
    return record


def _known(record: ChangeRecord, change: str) -> None:
    known = {one.id for one in (*record.proposals(), *record.events())}
    if change not in known:
        raise NotFound(f"there is no change `{change}`\n    All of them are on {LIST}.")


ROUTES: Routes = (route(LIST, changes), route(f"{LIST}/(?P<change>[^/]+)", change))
