"""Tests without code: choose one, try it on the data, save it into the contract, take it back.

What is written is written by `authoring`; what is offered is in `offered`. The command line uses the same.
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mesh_assets import address as names
from mesh_assets import authoring, edits, handwritten, testing
from mesh_assets.address import Address, NotFound
from mesh_assets.authoring import Edit, Overtaken, contract_of
from mesh_assets.catalog import overview, words
from mesh_assets.catalog.reports import SCHEMA_VERSION, Json
from mesh_assets.committing import Wanted
from mesh_assets.contract import Column, Contract
from mesh_assets.domain import Table
from mesh_assets.errors import ConfigError, MeshError, UsageError, nearest
from mesh_assets.offered import OFFERS, Offer, chosen, column_of, recognised
from mesh_assets.portal import byhand, forms, pages
from mesh_assets.portal.forms import Sent
from mesh_assets.portal.pages import Page, Query, Routes, route
from mesh_assets.portal.site import View
from mesh_assets.reading.testwords import slug

if TYPE_CHECKING:
    from mesh_assets.profile.suggest import Suggestion

STEPS = ("try", "save", "check", "alter", "remove", "switch", "undo", "preview", "accept")
_KIND = frozenset(
    {"id", "name", "type", "engine", "metric", "implementation", "arguments", "severity", "description", "dimension"}
)
LONGEST = 2_000
"""Characters of a reason."""
SHOWN = 50
"""Tests on one page: a table may have hundreds."""


@dataclass(frozen=True, slots=True)
class Said:
    """What came of a form: a page, or where to go on."""

    status: int = 200
    page: Page | None = None
    to: str = ""
    data: Json | None = None


class Reloading:
    """Makes Dagster read the mesh again after a change; one at a time, and never while a page waits."""

    def __init__(self, reload: Callable[[], None] | None) -> None:
        self._reload = reload
        self._lock = threading.Lock()
        self._asked = self._done = 0
        self.state = "none" if reload is None else "done"
        """`none` (there is no Dagster here), `running`, `done` or `failed`."""

    def ask(self) -> None:
        """Read again, in the background."""
        if self._reload is None:
            return
        with self._lock:
            self._asked += 1
            if self.state == "running":
                return
            self.state = "running"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._done == self._asked:
                    return
                wanted = self._asked
            try:
                if self._reload is not None:
                    self._reload()
                said = "done"
            except Exception:  # noqa: BLE001 - whatever Dagster raises: the page says it, the server goes on
                said = "failed"
            with self._lock:
                self._done = wanted
                self.state = said if self._done == self._asked else "running"


# -- pages --------------------------------------------------------------------------------------------------------------


def tests(view: View, query: Query, domain: str, table: str) -> Page:
    """What is tested of a table, and where that can be changed."""
    page = pages.table_tests(view, query, domain, table)
    if domain in view.env.mesh.broken:
        return page
    item = view.env.mesh.tables[f"{domain}.{table}"]
    if item.contract is None:
        return page
    writing = rules(view, item)
    every = _rows(page.data["tables"][0]["tests"], writing)
    shown, at = overview.paged(every, pages.number(query), size=SHOWN)
    saved = next((one for one in writing["edits"] if one["id"] == query.get("saved")), None)
    more = {"rows": shown, "total": len(every), "page": at, "saved": saved}
    return replace(page, data={**page.data, "writing": {**writing, **more}})


def _rows(tests: Sequence[Json], writing: Json) -> list[Json]:
    """Every test with what can be changed of it here; rules that are switched off come last."""
    written = {one["name"]: {**one, "switch": True, "remove": not one["off"]} for one in writing["rules"]}
    said = {
        one["name"]: {**one, "form": "rule" if one["form"] else "", "switch": False, "off": False}
        for one in writing["said"]
    }
    nothing = {"form": "", "switch": False, "remove": False, "off": False}
    rows = [{**test, "rule": written.get(test["name"]) or said.get(test["name"]) or nothing} for test in tests]
    known = {test["name"] for test in tests}
    rest = {"status": "", "history": [], "columns": []}
    for one in (*written.values(), *said.values()):
        if one["name"] not in known:
            row = {"name": one["name"], "promise": one["label"], "severity": one["severity"], "why": one.get("why", "")}
            rows.append({**rest, **row, "rule": one})
    return rows


def rules(view: View, table: Table) -> Json:
    """For the page of a table's tests: its rules, what its columns say, and what was changed from here."""
    listed = []
    for one in authoring.written(view.env.mesh, table):
        kind, hand = recognised(one.rule), handwritten.of_rule(one)
        label = kind[0].label if kind else hand.label if hand else ""
        form = "change" if kind else "rule" if hand else ""
        listed.append(
            {"name": one.name, "column": one.column, "off": one.off, "label": label, "form": form,
             "severity": str(one.rule.get("severity") or "error"), "why": str(one.rule.get("description") or ""),
             "where": f"{one.where.path}:{one.where.line}"}
        )  # fmt: skip
    log = edits.recent(view.env, table)
    return {
        "rules": listed,
        "said": byhand.listed(view, table),
        "edits": [one.as_json() for one in log],
        "revision": _revision(view, table),
    }


def new(view: View, query: Query, domain: str, table: str) -> Page:
    """A new test: first of what, then which, then its form."""
    address, item, contract = _table(view, domain, table)
    subject = query.get("of")
    if subject is None:
        columns = [{"name": one.name, "type": one.type, "meaning": one.description} for one in contract.columns]
        return _page(view, address, "test_new.html", "a new test", {"columns": columns, "kinds": None, "of": ""})
    column = _column(contract, subject, address)
    kind = query.get("test", "")
    if not kind:
        kinds = [
            {"name": one.name, "label": one.label, "fails": one.help, "dimension": one.dimension}
            for one in chosen(OFFERS.values(), column)
        ]
        return _page(view, address, "test_new.html", "a new test", {"columns": [], "kinds": kinds, "of": subject})
    offer = _offer(kind)
    if not offer.fits(column):
        raise NotFound(f"`{kind}` cannot be asked of {subject or 'the table'}\n    Choose another one.")
    return _form(view, address, item, offer, subject, {}, given={"severity": "error"})


def change(view: View, query: Query, domain: str, table: str) -> Page:
    """A rule that is there, in its form."""
    address, item, _ = _table(view, domain, table)
    one = _written(view, item, query.get("name", ""))
    kind = recognised(one.rule)
    if kind is None:
        return byhand.page(view, address, byhand.find(view, item, one.name), _revision(view, item))
    offer, values = kind
    given = {
        "id": one.name,
        "was": one.name,
        "severity": str(one.rule.get("severity") or "error"),
        "why": str(one.rule.get("description") or ""),
    }
    return _form(view, address, item, offer, one.column, values, given=given)


def rule(view: View, query: Query, domain: str, table: str) -> Page:
    """A rule that has no form of its kind, or what a column says: what of it can be changed."""
    address, item, _ = _table(view, domain, table)
    return byhand.page(view, address, byhand.find(view, item, query.get("name", "")), _revision(view, item))


def suggestions(view: View, query: Query, domain: str, table: str) -> Page:
    """Tests that the data itself suggests, each tried on it."""
    address, item, _ = _table(view, domain, table)
    return _suggested(view, address, item, _found(view, item, look_back=query.get("history") == "1"))


def _found(view: View, table: Table, *, look_back: bool = False) -> "Suggestion":
    from mesh_assets.profile import suggest

    today = datetime.now(UTC).date()
    key = ("suggested", table.name, look_back, today)
    if key not in view.kept:
        view.kept[key] = suggest.suggest(view.env, table, look_back=look_back, today=today)
    return view.kept[key]


def _suggested(
    view: View, address: Address, table: Table, found: "Suggestion", taken: Collection[str] = (), diff: str = ""
) -> Page:
    """The page of suggestions.

    Args:
        taken: Names of those that are ticked.
        diff: The change of the file that those would be.
    """
    from mesh_assets.profile import suggest

    tests = suggest.accept(view.env, table, found.proposals).contract.tests if found.proposals else ()
    promises = {test.name: words.sentence(test) for test in tests}
    proposals = [
        {
            "name": one.name,
            "column": one.column,
            "why": one.why,
            "catches": one.catches,
            "held_on": one.tried,
            "label": kind[0].label if (kind := recognised(dict(one.rule))) else "A rule",
            "promise": promises.get(one.name, ""),
            "parameters": _parameters(one.rule),
            "consequence": words.consequence(str(one.rule.get("severity") or "error")),
            "rule": dict(one.rule),
            "taken": one.name in taken,
        }
        for one in found.proposals
    ]
    odd = [{"column": one.column, "label": one.screen.label, "what": one.what} for one in found.findings]
    data = {"version": found.version, "rows": found.profile.rows, "proposals": proposals, "findings": odd, "diff": diff}
    return _page(view, address, "test_suggest.html", "suggested tests", {**data, "revision": _revision(view, table)})


def _parameters(rule: Mapping[str, Any]) -> list[str]:
    """What a rule is told, each as `name: value`; without its name, its kind, and what a failure does."""
    told = {key: value for key, value in rule.items() if key not in _KIND}
    told |= {key: value for key, value in (rule.get("implementation") or {}).items() if key != "test"}
    told |= dict(rule.get("arguments") or {})
    return [f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}" for key, value in told.items()]


# -- what forms do ------------------------------------------------------------------------------------------------------


def perform(view: View, address: Address, step: str, sent: Sent, *, by: str, reloading: Reloading) -> Said:
    """One step of a form.

    Raises:
        NotFound: There is no such step, table, rule or change.
        Overtaken: The file has changed since the form was made.
        UsageError: The form says too little.
    """
    item = view.env.mesh.tables[address.name]
    if step in ("try", "save"):
        return _judge(view, address, item, sent, save=step == "save", by=by, reloading=reloading)
    if step == "undo":
        return _undo(view, address, item, _one(sent, "edit"), by=by, reloading=reloading)
    if step == "check":
        return _alter(view, address, item, sent, save=False, by=by, reloading=reloading)
    _same(view, item, sent)
    if step == "alter":
        return _alter(view, address, item, sent, save=True, by=by, reloading=reloading)
    if step in ("preview", "accept"):
        return _accept(view, address, item, sent, save=step == "accept", by=by, reloading=reloading)
    name = _one(sent, "name")
    if step == "remove":
        edit, what = handwritten.take_out(view.env.mesh, item, name), f"removed {name}"
    elif step == "switch":
        on = _one(sent, "on") == "1"
        edit = authoring.switch(view.env.mesh, item, name, on=on)
        what = f"switched {name} {'on' if on else 'off'}"
    else:
        raise NotFound(f"there is no step `{step}`\n    {nearest(step, STEPS)}")
    return _write(view, address, item, edit, what, by=by, reloading=reloading)


def _judge(
    view: View, address: Address, table: Table, sent: Sent, *, save: bool, by: str, reloading: Reloading
) -> Said:
    contract = contract_of(table)
    subject, offer = _one(sent, "of"), _offer(_one(sent, "test"))
    column = _column(contract, subject, address)
    read = forms.read(offer, sent, column)
    given = {name: _one(sent, name)[:LONGEST].strip() for name in ("id", "was", "severity", "why", "revision")}
    errors = dict(read.errors)
    if given["severity"] not in forms.SEVERITIES:
        errors["severity"] = "Choose what a failure does."
    name = slug(given["id"]) or "__".join(part for part in (slug(subject), offer.name) if part)
    taken = {test.name for test in contract.tests} - {given["was"]}
    if name in taken:
        errors["id"] = f"There is a test `{name}` already: give this one another name."
    shown = forms.as_texts(offer, sent)
    if errors:
        page = _form(view, address, table, offer, subject, shown, given=given, errors=errors)
        return Said(422, page)
    rule = {"id": name, **offer.rule(read.values), "severity": given["severity"]}
    rule |= {"description": given["why"]} if given["why"] else {}
    try:
        edit = _edit(view, table, subject, given["was"], rule)
    except ConfigError as error:
        placed, rest = forms.placed(error.problems, offer)
        page = _form(view, address, table, offer, subject, shown, given=given, errors=placed, problems=rest)
        return Said(422, page)
    if not save:
        result = _tried(view, table, subject, {**rule, "id": f"{name}__tried"})
        made = {"result": result, "diff": edit.diff}
        return Said(200, _form(view, address, table, offer, subject, shown, given=given, made=made))
    if given["revision"] != edit.revision:
        raise Overtaken(
            f"{edit.shown} has changed since this form was opened\n    Nothing was written. Look at the tests again, and repeat your change."
        )
    what = f"{'changed' if given['was'] else 'added'} {name}"
    return _write(view, address, table, edit, what, by=by, reloading=reloading)


def _edit(view: View, table: Table, subject: str, was: str, rule: Mapping[str, Any]) -> Edit:
    if not was:
        return authoring.add(view.env.mesh, table, [(subject, rule)])
    return authoring.revise(view.env.mesh, table, was, rule)


def _tried(view: View, table: Table, column: str, rule: Mapping[str, Any]) -> Json:
    """What the test says of the published version; nothing is kept."""
    return byhand.told(lambda: testing.tried(view.env, table, column, rule))


def _accept(
    view: View, address: Address, table: Table, sent: Sent, *, save: bool, by: str, reloading: Reloading
) -> Said:
    from mesh_assets.profile import suggest

    found, wanted = _found(view, table), set(sent.get("name", ()))
    taken = [one for one in found.proposals if one.name in wanted or _one(sent, "all") == "1"]
    if not taken:
        raise UsageError("no test is chosen\n    Tick those that you want.")
    edit = suggest.accept(view.env, table, taken)
    if not save:
        return Said(200, _suggested(view, address, table, found, {one.name for one in taken}, edit.diff))
    what = f"added {', '.join(one.name for one in taken)}"
    return _write(view, address, table, edit, what, by=by, reloading=reloading)


def _alter(
    view: View, address: Address, table: Table, sent: Sent, *, save: bool, by: str, reloading: Reloading
) -> Said:
    one, revision = byhand.find(view, table, _one(sent, "name")), _one(sent, "revision")
    edit, errors, problems = byhand.edited(view, table, one, sent)
    if edit is None:
        return Said(422, byhand.page(view, address, one, revision, sent=sent, errors=errors, problems=problems))
    if save:
        return _write(view, address, table, edit, f"changed {one.name}", by=by, reloading=reloading)
    made = {"result": byhand.tried(view, table, one.name, edit), "diff": edit.diff}
    return Said(200, byhand.page(view, address, one, revision, sent=sent, made=made))


def _undo(view: View, address: Address, table: Table, edit: str, *, by: str, reloading: Reloading) -> Said:
    if not edit:
        raise NotFound("there is no such change\n    The last ones are on the page of the table's tests.")
    change, kept = edits.undo(view.env, table, edit, by=by, wanted=_wanted(view, by))
    return _kept(address, change, kept, reloading)


def _write(view: View, address: Address, table: Table, edit: Edit, what: str, *, by: str, reloading: Reloading) -> Said:
    kept = edits.keep(view.env, table.name, edit, what, by=by, wanted=_wanted(view, by))
    return _kept(address, edit, kept, reloading)


def _kept(address: Address, edit: Edit, kept: edits.Kept | None, reloading: Reloading) -> Said:
    assert kept is not None  # noqa: S101 - it was written
    reloading.ask()
    data = {
        "schema_version": SCHEMA_VERSION, "saved": kept.id, "what": kept.what, "file": edit.shown, "diff": edit.diff,
        "branch": kept.branch, "commit": kept.commit,
    }  # fmt: skip
    return Said(303, to=f"{names.path(address)}/tests?saved={kept.id}", data=data)


def _wanted(view: View, by: str) -> Wanted | None:
    """How a change is committed, where the portal is told to."""
    settings = view.settings
    return Wanted(branch=settings.portal_branch, author=by) if settings.portal_commit else None


PAGES: Routes = tuple(
    route(rf"/mesh/domains/(?P<domain>[^/]+)/(?P<table>[^/]+)/tests{ending}", make)
    for ending, make in (("", tests), ("/new", new), ("/change", change), ("/rule", rule), ("/suggest", suggestions))
)
"""For `pages.find`, before its own; not among the files of an export."""

# -- parts --------------------------------------------------------------------------------------------------------------


def _form(
    view: View,
    address: Address,
    table: Table,
    offer: Offer,
    subject: str,
    shown: Mapping[str, Any],
    *,
    given: Mapping[str, str],
    errors: Mapping[str, str] | None = None,
    problems: list[str] | None = None,
    made: Json | None = None,
) -> Page:
    found = errors or {}
    fields = forms.fields(offer, contract_of(table), view.env.mesh, shown, found)
    data = {
        "of": subject,
        "test": offer.name,
        "label": offer.label,
        "fails": forms.spoken(offer.help, offer),
        "example": offer.example,
        "labels": {one.name: one.label for one in fields},
        "fields": [{name: getattr(one, name) for name in one.__slots__} for one in fields],
        "errors": dict(found),
        "problems": problems or [],
        "severities": dict(forms.SEVERITIES),
        "id": given.get("id", ""),
        "was": given.get("was", ""),
        "severity": given.get("severity", ""),
        "why": given.get("why", ""),
        "revision": given.get("revision") or _revision(view, table),
        "result": None,
        "diff": "",
        **(made or {}),
    }
    title = f"change {given['was']}" if given.get("was") else "a new test"
    return _page(view, address, "test_form.html", title, data)


def _page(view: View, address: Address, template: str, title: str, data: Json) -> Page:
    domain = view.env.mesh.domains[address.domain].title or address.domain
    crumbs = (
        ("Domains", "/mesh/"),
        (domain, names.path(address.domain)),
        (f"{address.table}: tests", f"{names.path(address)}/tests"),
    )
    return Page(
        template=template,
        title=f"{address.table}: {title}",
        data={"schema_version": SCHEMA_VERSION, "table": str(address), **data},
        path=f"{names.path(address)}/tests",
        crumbs=crumbs,
    )


def _table(view: View, domain: str, table: str) -> tuple[Address, Table, Contract]:
    address = names.parse(view.env.mesh, f"{domain}/{table}")
    item = view.env.mesh.tables[address.name]
    return address, item, contract_of(item)


def _column(contract: Contract, name: str, address: Address) -> Column | None:
    if not name:
        return None
    column = column_of(contract, name)
    if column is None:
        raise NotFound(f"{address} has no column `{name}`\n    {nearest(name, [one.name for one in contract.columns])}")
    return column


def _offer(name: str) -> Offer:
    if name not in OFFERS:
        raise NotFound(f"there is no kind of test `{name}`\n    {nearest(name, OFFERS)}")
    return OFFERS[name]


def _written(view: View, table: Table, name: str) -> authoring.Written:
    found = authoring.written(view.env.mesh, table)
    for one in found:
        if one.name == name:
            return one
    raise NotFound(f"there is no rule `{name}`\n    {nearest(name, [one.name for one in found])}")


def _revision(view: View, table: Table) -> str:
    from mesh_assets.reading.source import read_text

    shown = contract_of(table).where.path
    try:
        return authoring.revision(read_text(view.env.mesh.root / shown, shown))
    except MeshError:
        return ""


def _same(view: View, table: Table, sent: Sent) -> None:
    """Refuse a form that was made of another state of the file."""
    if _one(sent, "revision") != _revision(view, table):
        raise Overtaken(
            f"{contract_of(table).where.path} has changed since this page was opened\n    Nothing was written. Look again, and repeat it."
        )


def _one(sent: Sent, name: str) -> str:
    values = sent.get(name) or ("",)
    return values[0]
