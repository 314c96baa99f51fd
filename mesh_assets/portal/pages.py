"""Every reading page: its address, and the plain data on it. The HTML, the JSON and the static export are made of the same."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from mesh_assets import address as names
from mesh_assets.account import record
from mesh_assets.address import QUESTIONS, Address, NotFound
from mesh_assets.catalog import answers, failing, overview, trust
from mesh_assets.catalog.reports import SCHEMA_VERSION, Json, spelt
from mesh_assets.domain import Table
from mesh_assets.portal.site import View

Query = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page before it is drawn.

    Attributes:
        data: What the JSON is, and all that the template shows.
        section: The line of the menu that it belongs to.
        crumbs: (label, path) of what is above it.
        path: Its own address, without ending or query.
    """

    template: str
    title: str
    data: Json
    path: str
    section: str = "domains"
    crumbs: tuple[tuple[str, str], ...] = field(default=(("Domains", "/mesh/"),))
    context: Mapping[str, Any] = field(default_factory=dict)


TABLES = 5
"""Tables on a domain's page of tests."""
Routes = tuple[tuple[re.Pattern[str], Callable[..., Page]], ...]


class Moved(Exception):  # noqa: N818 - what it is
    """The page is at another address."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(path)


def find(view: View, path: str, query: Query | None = None, *, more: Routes = ()) -> Page:
    """The page at an address.

    Args:
        more: Pages that are looked for first.

    Raises:
        NotFound: There is none, with what is near.
        Moved: It is elsewhere.
    """
    for pattern, make in (*more, *ROUTES):
        if found := pattern.fullmatch(path):
            words = {key: unquote(value) for key, value in found.groupdict().items() if value is not None}
            return make(view, query or {}, **words)
    raise NotFound(f"there is no page {path}\n    The domains are at /mesh/.")


def route(address: str, make: Callable[..., Page]) -> tuple[re.Pattern[str], Callable[..., Page]]:
    """An entry of `Routes`: a pattern of addresses, whose named groups are what `make` is given."""
    return re.compile(address), make


def home(view: View, query: Query) -> Page:
    """All domains."""
    data = overview.domains(
        view.env, view.standing, search=query.get("q", ""), page=number(query), fold=query.get("fold") != "0"
    )
    data["incidents"] = [
        {"id": each.id, "domain": each.domain, "table": spelt(each.table), "cause": each.sentence, "since": each.opened}
        for each in record.open_incidents(view.env.ledger.store)
    ]
    return Page(template="home.html", title="Domains", data=data, path="/mesh/", crumbs=())


def tables(view: View, query: Query) -> Page:
    """All tables."""
    ports = query.get("ports") == "1"
    data = overview.tables(view.env, view.standing, search=query.get("q", ""), page=number(query), ports=ports)
    return Page(template="tables.html", title="Tables", data=data, path="/mesh/tables", section="tables", crumbs=())


def failing_tests(view: View, query: Query) -> Page:
    """Every test of the mesh that does not pass."""
    data = overview.tests(view.env, view.standing, page=number(query))
    crumbs = (("Status", "/mesh/status"),)
    return Page(
        template="tests_all.html",
        title="Tests that do not pass",
        data=data,
        path="/mesh/tests",
        section="status",
        crumbs=crumbs,
    )


def status(view: View, query: Query) -> Page:
    """What needs somebody, and the day."""
    data = overview.status(view.env, view.standing, page=number(query))
    return Page(template="status.html", title="Status", data=data, path="/mesh/status", section="status", crumbs=())


def domain(view: View, _query: Query, domain: str) -> Page:
    """A domain: the five questions on one page; what is wrong, where it could not be loaded."""
    mesh = view.env.mesh
    if domain in mesh.broken:
        return _unread(view, domain)
    address = names.parse(mesh, domain)
    made = trust.score(view.env, view.standing, domain)
    data = {
        "schema_version": SCHEMA_VERSION,
        **answers.summary(view.env, view.standing, domain),
        "urls": names.urls(address),
        "trust": made,
        "failing": failing.stops(view.standing, view.standing.own.get(domain, ())),
        "trust_history": trust.history(view.env, view.standing, domain, made),
        "access": answers.access(mesh.domains[domain]),
        "neighbours": _neighbours(view, domain),
        "standards": {"odps": f"{names.path(address)}.odps.yaml"},
    }
    above = [
        (mesh.domains[name].title or name, names.path(name)) for name in mesh.within(domain) if name in mesh.domains
    ]
    crumbs = (("Domains", "/mesh/"), *above)
    return Page(template="domain.html", title=str(data["title"]), data=data, path=names.path(address), crumbs=crumbs)


def question(view: View, _query: Query, domain: str, question: str) -> Page:
    """One of the five, of a domain."""
    if domain in view.env.mesh.broken:
        return _unread(view, domain)
    address = _address(view, domain)
    data = answers.answer(view.env, view.standing, address, question)
    return Page(
        template=f"domain_{question}.html",
        title=f"{data['title']}: {question}",
        data=data,
        path=names.path(address, question),
        crumbs=(("Domains", "/mesh/"), (data["domain_title"], names.path(domain))),
    )


def table(view: View, _query: Query, domain: str, table: str) -> Page:
    """A table's page is its first question."""
    if domain in view.env.mesh.broken:
        return _unread(view, domain, table)
    raise Moved(names.path(_address(view, f"{domain}/{table}"), "what"))


def table_question(view: View, _query: Query, domain: str, table: str, question: str) -> Page:
    """One of the five, of a table or of one version of it."""
    if domain in view.env.mesh.broken:
        return _unread(view, domain, table)
    address = _address(view, f"{domain}/{table}")
    data = answers.answer(view.env, view.standing, address, question)
    return Page(
        template=f"table_{question}.html",
        title=f"{data['name']}: {question}",
        data=data,
        path=names.path(address, question),
        crumbs=(("Domains", "/mesh/"), (data["domain_title"], names.path(domain))),
    )


def tests(view: View, query: Query, domain: str) -> Page:
    """What is tested in a domain, table by table."""
    if domain in view.env.mesh.broken:
        return _unread(view, domain)
    address = _address(view, domain)
    shown, page = overview.paged(view.standing.own.get(domain, ()), number(query), size=TABLES)
    return _tests(view, address, view.env.mesh.domains[domain].title or domain, shown, page)


def table_tests(view: View, _query: Query, domain: str, table: str) -> Page:
    """What is tested of one table."""
    if domain in view.env.mesh.broken:
        return _unread(view, domain, table)
    address = _address(view, f"{domain}/{table}")
    shown, page = overview.paged([view.env.mesh.tables[address.name]], 1, size=1)
    return _tests(view, address, table, shown, page)


def _tests(view: View, address: Address, name: str, tables: Sequence[Table], page: Json) -> Page:
    domain = address.domain
    data = {
        "schema_version": SCHEMA_VERSION,
        "domain": domain,
        "urls": names.urls(address),
        "page": page,
        "tables": [
            {
                **view.standing.of(table),
                "tests": answers.results_over_time(view.env, table),
                "failing": failing.failing(view.env, view.standing, table),
            }
            for table in tables
        ],
    }
    crumbs = (("Domains", "/mesh/"), (view.env.mesh.domains[domain].title or domain, names.path(domain)))
    path = f"{names.path(address)}/tests"
    return Page(template="tests.html", title=f"{name}: tests", data=data, path=path, crumbs=crumbs)


def _unread(view: View, domain: str, table: str = "") -> Page:
    """What is wrong with a domain that could not be loaded, and what readers still have of it, or of one table."""
    data = answers.unread(view.env, view.standing, domain, table)
    address = f"{domain}/{table}" if table else domain
    crumbs = (("Domains", "/mesh/"), *(((domain, names.path(domain)),) if table else ()))
    return Page(
        template="broken.html",
        title=table or domain,
        data=data,
        path=names.path(address),
        crumbs=crumbs,
        context={"alone": bool(table)},
    )


def _address(view: View, text: str) -> Address:
    return names.parse(view.env.mesh, text)


def _neighbours(view: View, domain: str) -> Json:
    """Those who feed it and those it feeds."""
    mesh = view.env.mesh
    whole = overview.graph_of_domains(mesh, {})
    edges = [edge for edge in whole["edges"] if domain in edge]
    near = sorted({name for edge in edges for name in edge} | {domain})
    nodes = []
    for name in near:
        stands = answers.summary(view.env, view.standing, name)
        nodes.append({"domain": name, "title": stands["title"], "status": stands["status"]})
    return {"nodes": nodes, "edges": edges, "drawn": len(nodes) <= overview.GRAPH}


def number(query: Query) -> int:
    """Which page of a list is asked for; the first, when that is no number."""
    text = query.get("page", "1")
    return int(text) if text.isdigit() and len(text) < 6 else 1  # noqa: PLR2004 - digits of a page


_DOMAIN = r"(?P<domain>[^/]+)"
_TABLE = r"(?P<table>[^/]+)"
_QUESTION = rf"(?P<question>{'|'.join(QUESTIONS)})"
ROUTES: Routes = tuple(
    route(f"/mesh{pattern}", make)
    for pattern, make in (
        (r"/", home),
        (r"/tables", tables),
        (r"/status", status),
        (r"/tests", failing_tests),
        (rf"/domains/{_DOMAIN}", domain),
        (rf"/domains/{_DOMAIN}/{_QUESTION}", question),
        (rf"/domains/{_DOMAIN}/tests", tests),
        (rf"/domains/{_DOMAIN}/{_TABLE}/{_QUESTION}", table_question),
        (rf"/domains/{_DOMAIN}/{_TABLE}/tests", table_tests),
        (rf"/domains/{_DOMAIN}/{_TABLE}", table),
    )
)
