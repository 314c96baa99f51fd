"""For programs: the same serialisers under `/mesh/api/`, described by OpenAPI; and the standards' own formats."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from mesh_assets import address as names
from mesh_assets.address import QUESTIONS
from mesh_assets.catalog import shapes, standards
from mesh_assets.catalog.shapes import common, overview, questions, work
from mesh_assets.portal import aside, asked, deliveries, pages, refills, sandboxes, telling, trouble
from mesh_assets.portal.site import Site, View

READS: Mapping[str, tuple[str, str, Any]] = {
    "/domains": ("Every domain, the worst first.", "/mesh/", overview.Domains),
    "/tables": ("Every table, by name.", "/mesh/tables", overview.Tables),
    "/status": ("What needs somebody today, and how the day went.", "/mesh/status", overview.Status),
    "/tests": ("Every test that does not pass, by table, the worst first.", "/mesh/tests", overview.NotPassing),
    "/domains/{domain}": (
        "One domain: whose it is, how it stands, what it offers; what is wrong with it, where it could not be loaded.",
        "/mesh/domains/{domain}",
        overview.Domain | overview.Unread,
    ),
    "/domains/{domain}/tests": (
        "What is tested in a domain, with the last results.",
        "/mesh/domains/{domain}/tests",
        overview.TestsOf | overview.Unread,
    ),
    "/domains/{domain}/{question}": (
        "One of the five questions about a domain.",
        "/mesh/domains/{domain}/{question}",
        questions.DomainAnswer | overview.Unread,
    ),
    "/domains/{domain}/{table}/tests": (
        "What is tested of a table.",
        "/mesh/domains/{domain}/{table}/tests",
        overview.TestsOf | overview.Unread,
    ),
    "/domains/{domain}/{table}/{question}": (
        "One of the five questions about a table, or about a version of it: `table@version`.",
        "/mesh/domains/{domain}/{table}/{question}",
        questions.TableAnswer | overview.Unread,
    ),
    "/changes": ("Changes of ports, those that wait for their readers first.", "/mesh/changes", work.Changes),
    "/changes/{change}": (
        "One change: for whom it breaks, who was told, who has answered.",
        "/mesh/changes/{change}",
        work.OneChange,
    ),
    "/incidents": ("Incidents, those that are open first.", "/mesh/incidents", work.Incidents),
    "/incidents/{incident}": (
        "One incident: its cause, who is hit, who was told.",
        "/mesh/incidents/{incident}",
        work.OneIncident,
    ),
    "/access": (
        "Requests for access, those that wait first, with what was said to them.",
        "/mesh/access",
        work.AccessRequests,
    ),
    "/kitchens": ("Which kitchens there are, and what was promoted.", "/mesh/kitchens", work.Kitchens),
    "/kitchens/{kitchen}": (
        "One kitchen: in what it differs from production, what its last test said.",
        "/mesh/kitchens/{kitchen}",
        work.OneKitchen,
    ),
    "/pipelines": ("Pipelines, with how their last launch stands.", "/mesh/pipelines", work.Pipelines),
    "/pipelines/{pipeline}": (
        "One launch of a pipeline, table by table.",
        "/mesh/pipelines/{pipeline}",
        work.OnePipeline,
    ),
    "/quarantine": ("Tables of which rows wait, and what was given up.", "/mesh/quarantine", work.Quarantine),
    "/quarantine/{domain}/{table}": (
        "The waiting rows of a table, the oldest first.",
        "/mesh/quarantine/{domain}/{table}",
        work.QuarantineOf,
    ),
    "/backfills": (
        "The last backfills; with a table and days, what one would build.",
        "/mesh/backfills",
        work.Backfills,
    ),
    "/backfills/{backfill}": (
        "One backfill, with every table that it builds.",
        "/mesh/backfills/{backfill}",
        work.OneBackfill,
    ),
}
"""Paths of the API: what each gives, the page that shows the same, and its shape."""
PAGED = (
    "/domains",
    "/tables",
    "/status",
    "/tests",
    "/domains/{domain}/tests",
    "/changes",
    "/incidents",
    "/pipelines",
    "/quarantine",
    "/access",
)
QUERIES: Mapping[str, Mapping[str, tuple[dict[str, Any], str]]] = {
    "/domains": {
        "q": ({"type": "string"}, "Words that must be in its name, title or purpose."),
        "fold": (
            {"enum": ["0"]},
            "`0`: sub-domains have rows of their own; else they are `parts` of the outermost domain's.",
        ),
    },
    "/tables": {
        "q": ({"type": "string"}, "Words that must be in its name, its meaning or the names of its columns."),
        "ports": ({"enum": ["1"]}, "`1`: output ports alone."),
    },
    "/pipelines/{pipeline}": {"launch": ({"type": "string"}, "The beginning of a launch's id. Default: the last one.")},
    "/quarantine/{domain}/{table}": {"rule": ({"type": "string"}, "Rows that wait for this rule alone.")},
    "/backfills": {
        "table": ({"type": "string"}, "What a backfill of this table would build."),
        "from": ({"type": "string", "format": "date"}, "From this day on,"),
        "to": ({"type": "string", "format": "date"}, "up to this one."),
    },
}
"""What may stand behind the `?`, beside the `page` of what is `PAGED`."""
LIVE: pages.Routes = (
    *(*telling.ROUTES, *deliveries.ROUTES, *refills.PAGES, *asked.ACCESS),
    *(*trouble.PAGES, *sandboxes.PAGES, *aside.PAGES),
)
"""Reading pages beside those of `pages`."""


def routes(site: Site, told: Callable[[Request, Callable[[View], Response]], Response]) -> list[Route]:
    """Of the API.

    Args:
        site: The mesh.
        told: Makes an answer of a request, and of what goes wrong meanwhile.
    """

    def read(request: Request) -> Response:
        from mesh_assets.portal.app import answer_json, path_of

        path = path_of(request).removeprefix("/mesh/api")
        path = "/" if path == "/domains" else path

        def make(view: View) -> Response:
            try:
                page = pages.find(view, f"/mesh{path}", request.query_params, more=LIVE)
            except pages.Moved as moved:
                return RedirectResponse(f"{site.prefix}/mesh/api{moved.path.removeprefix('/mesh')}", 302)
            return answer_json(request, page.data)

        return told(request, make)

    def index(_request: Request) -> Response:
        links = {"openapi": f"{site.prefix}/mesh/api/openapi.json", "domains": f"{site.prefix}/mesh/api/domains"}
        return JSONResponse({"schema_version": 1, **links, "catalogue": f"{site.prefix}/mesh/catalog.jsonld"})

    def described(request: Request) -> Response:
        from mesh_assets.portal.app import answer_json

        return told(request, lambda view: answer_json(request, openapi(view, site.prefix)))

    return [
        Route("/mesh/api/", index),
        Route("/mesh/api", index),
        Route("/mesh/api/openapi.json", described),
        Route("/mesh/api/{path:path}", read),
    ]


def document(view: View, path: str, base: str = "") -> Response | None:
    """A standard's own format, when the path ends in one.

    Args:
        view: The mesh as it stands.
        path: Of the page.
        base: Where the portal was asked, for what must name itself; `MESH_PORTAL_URL` counts more.
    """
    if path == "/mesh/catalog.jsonld":
        made = standards.dcat(view.env, view.standing, view.settings.portal_url or base)
        return JSONResponse(made, media_type="application/ld+json")
    for ending, make in _DOCUMENTS.items():
        if path.startswith("/mesh/domains/") and path.endswith(ending):
            from urllib.parse import unquote

            words = "/".join(map(unquote, path.removeprefix("/mesh/domains/").removesuffix(ending).split("/")))
            text = make(view, names.parse(view.env.mesh, words))
            return Response(text, media_type="application/yaml")
    return None


def openapi(view: View, prefix: str = "") -> dict[str, Any]:
    """OpenAPI 3.1, with the shapes of all answers."""
    given = {path: shape for path, (_, _, shape) in READS.items()} | {"problem": common.Problem}
    schemas, shared = shapes.schemas(given, refer="#/components/schemas/{model}")
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{view.env.mesh.title or view.env.mesh.name}: the mesh", "version": "1"},
        "servers": [{"url": prefix or "/"}],
        "paths": {
            f"/mesh/api{path}": {"get": _operation(path, told, shown, schemas[path], schemas["problem"])}
            for path, (told, shown, _) in READS.items()
        },
        "components": {"schemas": shared},
    }


def _operation(
    path: str, told: str, shown: str, schema: Mapping[str, Any], problem: Mapping[str, Any]
) -> dict[str, Any]:
    queries = dict(QUERIES.get(path, {}))
    if path in PAGED:
        queries["page"] = ({"type": "integer", "minimum": 1}, "Which page of the list.")
    return {
        "summary": told,
        "operationId": "read_" + "_".join(word.strip("{}") for word in path.strip("/").split("/")),
        "parameters": [
            *(_parameter(word[1:-1]) for word in path.split("/") if word.startswith("{")),
            *({"name": n, "in": "query", "schema": s, "description": d} for n, (s, d) in queries.items()),
        ],
        "responses": {
            "200": {
                "description": f"As on the page {shown}.",
                "headers": {"ETag": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": schema}},
            },
            "304": {"description": "As it was: `If-None-Match` named this state."},
            "404": {
                "description": "Nothing of that name; the nearest is offered.",
                "content": {"application/json": {"schema": problem}},
            },
        },
    }


def _parameter(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if name == "question":
        schema["enum"] = list(QUESTIONS)
    return {"name": name, "in": "path", "required": True, "schema": schema}


_DOCUMENTS: Mapping[str, Callable[[View, names.Address], str]] = {
    ".odps.yaml": lambda view, address: standards.odps(view.env.mesh, address.domain),
    ".odcs.yaml": lambda view, address: standards.odcs(view.env.mesh, address.domain, address.table),
}
