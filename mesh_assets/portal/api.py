"""For programs: the same serialisers under `/mesh/api/`, described by OpenAPI; and the standards' own formats."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from mesh_assets import address as names
from mesh_assets.address import QUESTIONS, NotFound
from mesh_assets.catalog import standards
from mesh_assets.portal import pages
from mesh_assets.portal.site import Site, View

READS: Mapping[str, tuple[str, str]] = {
    "/domains": ("Every domain, the worst first.", "/mesh/"),
    "/tables": ("Every table, by name.", "/mesh/tables"),
    "/status": ("What needs somebody today, and how the day went.", "/mesh/status"),
    "/domains/{domain}": ("One domain: whose it is, how it stands, what it offers.", "/mesh/domains/{domain}"),
    "/domains/{domain}/tests": ("What is tested in a domain, with the last results.", "/mesh/domains/{domain}/tests"),
    "/domains/{domain}/{question}": ("One of the five questions about a domain.", "/mesh/domains/{domain}/{question}"),
    "/domains/{domain}/{table}/tests": ("What is tested of a table.", "/mesh/domains/{domain}/{table}/tests"),
    "/domains/{domain}/{table}/{question}": (
        "One of the five questions about a table, or about a version of it: `table@version`.",
        "/mesh/domains/{domain}/{table}/{question}",
    ),
}
"""Paths of the API: what each gives, and the page that shows the same."""
LISTS = ("/domains", "/tables")


def routes(site: Site) -> list[Route]:
    """Of the API."""

    def read(request: Request) -> Response:
        from mesh_assets.portal.app import answer_json

        path = request.url.path.split("/mesh/api", 1)[1]
        path = "/" if path == "/domains" else path
        try:
            page = pages.find(site.view(), f"/mesh{path}", request.query_params)
        except pages.Moved as moved:
            return RedirectResponse(f"{site.prefix}/mesh/api{moved.path.removeprefix('/mesh')}", 302)
        except NotFound as error:
            what, _, mend = str(error).partition("\n")
            return JSONResponse({"schema_version": 1, "error": what, "mend": mend.strip(), "status": 404}, 404)
        return answer_json(request, page.data)

    def index(_request: Request) -> Response:
        links = {"openapi": f"{site.prefix}/mesh/api/openapi.json", "domains": f"{site.prefix}/mesh/api/domains"}
        return JSONResponse({"schema_version": 1, **links, "catalogue": f"{site.prefix}/mesh/catalog.jsonld"})

    def described(request: Request) -> Response:
        from mesh_assets.portal.app import answer_json

        return answer_json(request, openapi(site.view(), site.prefix))

    return [
        Route("/mesh/api/", index),
        Route("/mesh/api", index),
        Route("/mesh/api/openapi.json", described),
        Route("/mesh/api/{path:path}", read),
    ]


def document(view: View, path: str) -> Response | None:
    """A standard's own format, when the path ends in one."""
    if path == "/mesh/catalog.jsonld":
        return JSONResponse(standards.dcat(view.env, view.standing), media_type="application/ld+json")
    for ending, make in _DOCUMENTS.items():
        if path.startswith("/mesh/domains/") and path.endswith(ending):
            from urllib.parse import unquote

            words = "/".join(map(unquote, path.removeprefix("/mesh/domains/").removesuffix(ending).split("/")))
            text = make(view, names.parse(view.env.mesh, words))
            return Response(text, media_type="application/yaml")
    return None


def openapi(view: View, prefix: str = "") -> dict[str, Any]:
    """OpenAPI 3.1; the schemas are those of what the serialisers give for this very mesh."""
    paths: dict[str, Any] = {}
    for path, (told, shown) in READS.items():
        names_ = [word[1:-1] for word in path.split("/") if word.startswith("{")]
        parameters = [_parameter(name) for name in names_]
        if path in LISTS:
            parameters += [
                {"name": "q", "in": "query", "schema": {"type": "string"}, "description": "Words that must be in it."},
                {"name": "page", "in": "query", "schema": {"type": "integer", "minimum": 1}},
            ]
        if path == "/domains":
            told_ = "`0`: sub-domains have rows of their own; else they are `parts` of the outermost domain's."
            parameters.append({"name": "fold", "in": "query", "schema": {"enum": ["0"]}, "description": told_})
        paths[f"/mesh/api{path}"] = {
            "get": {
                "summary": told,
                "operationId": "read_" + "_".join(word.strip("{}") for word in path.strip("/").split("/")),
                "parameters": parameters,
                "responses": {
                    "200": {
                        "description": f"As on the page {shown}.",
                        "headers": {"ETag": {"schema": {"type": "string"}}},
                        "content": {"application/json": {"schema": _schema(view, shown)}},
                    },
                    "304": {"description": "As it was: `If-None-Match` named this state."},
                    "404": {
                        "description": "Nothing of that name; the nearest is offered.",
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
                    },
                },
            }
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{view.env.mesh.title or view.env.mesh.name}: the mesh", "version": "1"},
        "servers": [{"url": prefix or "/"}],
        "paths": paths,
        "components": {"schemas": {"Problem": {"type": "object", "required": ["schema_version", "error", "mend", "status"], "properties": {
            "schema_version": {"type": "integer"}, "error": {"type": "string"}, "mend": {"type": "string"}, "status": {"type": "integer"}}}}},
    }  # fmt: skip


def _schema(view: View, shown: str) -> dict[str, Any]:
    """Of what the serialiser gives for the first domain and table; the values' own types are left open: most may be null."""
    domain = next(iter(view.env.mesh.domains), "")
    table = next((table.short for table in view.env.mesh.tables.values() if table.domain == domain), "")
    if "{question}" in shown:
        head = ["schema_version", "question", "asks", "domain", "title", "status", "team", "urls"]
        return {
            "type": "object",
            "required": head,
            "properties": {"schema_version": {"const": 1}, "question": {"enum": list(QUESTIONS)}},
        }
    path = shown.replace("{domain}", domain).replace("{table}", table)
    if not domain or ("{table}" in shown and not table):
        return {"type": "object"}
    data = pages.find(view, path).data
    properties: dict[str, Any] = {
        key: {"type": "array"} if isinstance(item, list) else {} for key, item in data.items()
    }
    return {"type": "object", "required": sorted(data), "properties": {**properties, "schema_version": {"const": 1}}}


def _parameter(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if name == "question":
        schema["enum"] = list(QUESTIONS)
    return {"name": name, "in": "path", "required": True, "schema": schema}


_DOCUMENTS: Mapping[str, Callable[[View, names.Address], str]] = {
    ".odps.yaml": lambda view, address: standards.odps(view.env.mesh, address.domain),
    ".odcs.yaml": lambda view, address: standards.odcs(view.env.mesh, address.domain, address.table),
}
