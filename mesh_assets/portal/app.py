"""The portal as a Starlette application; whoever serves it mounts it at `/mesh`."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import URL
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from mesh_assets import address as names
from mesh_assets.account.access import NotTheirs, Person
from mesh_assets.address import NotFound
from mesh_assets.authoring import Overtaken
from mesh_assets.errors import MeshError, RunError
from mesh_assets.portal import (
    actions,
    api,
    aside,
    asked,
    deliveries,
    jobs,
    pages,
    refills,
    render,
    sandboxes,
    steward,
    telling,
)
from mesh_assets.portal.pages import Moved, Page
from mesh_assets.portal.security import Guard
from mesh_assets.portal.site import Site, View

FOR_EVER = "public, max-age=31536000, immutable"
LIVE = (*steward.PAGES, *asked.PAGES, *api.LIVE)
FILES = {
    render.STYLE: "text/css; charset=utf-8",
    render.SCRIPT: "text/javascript; charset=utf-8",
    render.HTMX: "text/javascript; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class LiveLinks:
    """Links of a server."""

    site: Site
    live: bool = True

    def __call__(self, path: str) -> str:
        """A page of the portal."""
        return f"{self.site.prefix}{path}"

    def static(self, file: str) -> str:
        """With its content in the name, so that browsers keep it."""
        return f"{self.site.prefix}/mesh/static/{file}?v={render.version_of(file)}"

    def dagster(self, path: str) -> str | None:
        """Beside the portal, or at another address; nothing where there is no Dagster."""
        return None if self.site.dagster is None else f"{self.site.dagster}{path}"


def create(site: Site, *, hosts: tuple[str, ...] = ()) -> Guard:
    """The application for a mesh.

    Args:
        site: The mesh.
        hosts: Host names that it answers to; empty: any.
    """
    portal = _Portal(site)
    routes = [
        Route("/", lambda _: RedirectResponse(f"{site.prefix}/mesh/", 307)),
        Route("/mesh", lambda _: RedirectResponse(f"{site.prefix}/mesh/", 308)),
        Route("/mesh/healthz", portal.health),
        Route("/mesh/static/{file}", portal.static),
        *api.routes(site, portal.machine),
        Route("/mesh/jobs/{job}", portal.job),
        Route("/mesh/domains/{domain}/{table}/tests/{step}", portal.write, methods=["POST"]),
        Route("/mesh/domains/{where:path}/{action}", portal.act, methods=["POST"]),
        Route("/mesh/changes/{change}/{word}", portal.answer, methods=["POST"]),
        Route("/mesh/access/{request}/{word}", portal.access, methods=["POST"]),
        Route("/mesh/pipelines/{name:path}/{action}", portal.pipeline, methods=["POST"]),
        Route("/mesh/backfills/launch", portal.backfill, methods=["POST"]),
        Route("/mesh/backfills/{id}/cancel", portal.backfill, methods=["POST"]),
        Route("/mesh/quarantine/{domain}/{table}/{action}", portal.aside, methods=["POST"]),
        Route("/mesh/kitchens/{action}", portal.kitchen, methods=["POST"]),
        Route("/mesh/kitchens/{name}/{action}", portal.kitchen, methods=["POST"]),
        Route("/mesh/{path:path}", portal.page),
    ]
    zipped = Middleware(GZipMiddleware, minimum_size=2_000, compresslevel=5)
    return Guard(Starlette(routes=routes, middleware=[zipped]), hosts=hosts, read_only=site.read_only)


class _Portal:
    """Requests to pages, pages to responses."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.links = LiveLinks(site)
        self.reloading = steward.Reloading(site.reload)

    def page(self, request: Request) -> Response:
        """Any reading page, as HTML or as JSON."""
        path = path_of(request)
        machine = path.endswith(".json")
        path = path.removesuffix(".json")

        def make(view: View) -> Response:
            if document := api.document(view, path, self._base(request)):
                return tagged(request, document)
            try:
                page = pages.find(view, path, request.query_params, more=LIVE)
            except Moved as moved:
                suffix = ".json" if machine else ""
                return RedirectResponse(self.links(moved.path) + suffix, 302)
            if machine or wants_json(request):
                return answer_json(request, page.data)
            return self._html(request, view, page)

        return self._told(request, make, machine=machine)

    def machine(self, request: Request, make: Callable[[View], Response]) -> Response:
        """What a program is answered, also where something went wrong."""
        return self._told(request, make, machine=True)

    def job(self, request: Request) -> Response:
        """How far a piece of work is."""
        machine = request.url.path.endswith(".json")

        def make(view: View) -> Response:
            job = jobs.find(view.env, request.path_params["job"].removesuffix(".json"))
            if job is None:
                raise NotFound("there is no such job\n    All of them are on /mesh/jobs.")
            data = job.as_json()
            if machine or wants_json(request):
                return JSONResponse(data, headers={"cache-control": "no-store"})
            page = Page(
                template="job.html",
                title=job.title,
                data=data,
                path=f"/mesh/jobs/{job.id}",
                section="status",
                crumbs=(("Status", "/mesh/status"), ("Jobs", asked.LIST)),
            )
            return self._html(request, view, page, refresh=job.state == "running")

        return self._told(request, make, machine=machine)

    async def act(self, request: Request) -> Response:
        """Begin something, and lead to its page."""
        form = await _form(request)

        def make(view: View) -> Response:
            where, action = request.path_params["where"], request.path_params["action"]
            return self._begun(request, actions.perform(view, where, action, form, by=self._user(request)))

        return await self._posted(request, make)

    async def kitchen(self, request: Request) -> Response:
        """Begin something with a kitchen; a new one is named in the form."""
        form, words = await _form(request), request.path_params

        def make(view: View) -> Response:
            name = words.get("name", form.get("name", "")).strip()
            return self._begun(request, sandboxes.perform(view, name, words["action"], form, by=self._user(request)))

        return await self._posted(request, make)

    async def answer(self, request: Request) -> Response:
        """Keep what a reading domain says of a change."""
        form, words = await _form(request), request.path_params

        def make(view: View) -> Response:
            to = telling.answer(view, words["change"], words["word"], form, by=self._user(request))
            return RedirectResponse(self.links(to), 303)

        return await self._posted(request, make)

    async def access(self, request: Request) -> Response:
        """Keep what a team says to a request for access."""
        form, words = await _form(request), request.path_params

        def make(view: View) -> Response:
            to = asked.answer(view, words["request"], words["word"], form, person=self._person(request))
            return RedirectResponse(self.links(to), 303)

        return await self._posted(request, make)

    async def pipeline(self, request: Request) -> Response:
        """Launch a pipeline, or cancel its launch."""
        words = request.path_params

        def make(view: View) -> Response:
            to = deliveries.perform(view, words["name"], words["action"], by=self._user(request) or "portal")
            return RedirectResponse(self.links(to), 303)

        return await self._posted(request, make)

    async def backfill(self, request: Request) -> Response:
        """Launch a backfill, or cancel one."""
        form, id_ = await _form(request), request.path_params.get("id")

        def make(view: View) -> Response:
            by = self._user(request) or "portal"
            to = refills.cancel(view, id_, by=by) if id_ else refills.launch(view, form, by=by)
            return RedirectResponse(self.links(to), 303)

        return await self._posted(request, make)

    async def aside(self, request: Request) -> Response:
        """Publish rows that wait in quarantine, or give them up."""
        form, words = await _form(request), request.path_params

        def make(view: View) -> Response:
            by = self._user(request)
            return self._begun(
                request, aside.perform(view, words["domain"], words["table"], words["action"], form, by=by)
            )

        return await self._posted(request, make)

    async def _posted(self, request: Request, make: Callable[[View], Response]) -> Response:
        """What came of a form; the server answers others meanwhile."""
        return await run_in_threadpool(self._told, request, make, machine=False)

    def _begun(self, request: Request, job: str) -> Response:
        to = self.links(f"/mesh/jobs/{job}")
        if wants_json(request):
            return JSONResponse({"schema_version": 1, "job": job}, 202, {"location": to})
        return RedirectResponse(to, 303)

    async def write(self, request: Request) -> Response:
        """One step of a form that changes the tests of a table."""
        sent = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
        words = request.path_params

        def make(view: View) -> Response:
            address = names.parse(view.env.mesh, f"{words['domain']}/{words['table']}")
            by = self._user(request)
            said = steward.perform(view, address, words["step"], sent, by=by, reloading=self.reloading)
            if said.page is None:
                self.site.forget()
                if wants_json(request):
                    return JSONResponse(said.data, 200, {"location": self.links(said.to)})
                return RedirectResponse(self.links(said.to), 303)
            if wants_json(request):
                return JSONResponse(said.page.data, said.status)
            return self._html(request, view, said.page, status=said.status)

        return await self._posted(request, make)

    def health(self, _request: Request) -> Response:
        """Whether the mesh can be read."""
        try:
            view = self.site.view()
        except MeshError as error:
            return JSONResponse({"status": "down", "reason": first(error)}, 503, {"cache-control": "no-store"})
        return JSONResponse(
            {"status": "ok", "schema_version": 1, "mesh": view.env.mesh.name, "snapshot": view.standing.head},
            headers={"cache-control": "no-store"},
        )

    def static(self, request: Request) -> Response:
        """A file of the portal's own."""
        file = request.path_params["file"]
        if file not in FILES:
            return PlainTextResponse("There is no such file.\n", 404)
        return FileResponse(render.STATIC / file, media_type=FILES[file], headers={"cache-control": FOR_EVER})

    def _told(self, request: Request, make: Callable[[View], Response], *, machine: bool) -> Response:
        """What went wrong, as a page or as JSON."""
        view = None
        try:
            view = self.site.view()
            return make(view)
        except NotFound as error:
            return self._problem(request, view, 404, error, machine=machine)
        except Overtaken as error:
            return self._problem(request, view, 409, error, machine=machine)
        except NotTheirs as error:
            return self._problem(request, view, 403, error, machine=machine)
        except jobs.Busy as error:
            return self._problem(request, view, 429, error, machine=machine)
        except RunError as error:
            return self._problem(request, view, 503, error, machine=machine)
        except MeshError as error:
            return self._problem(request, view, 422 if request.method == "POST" else 500, error, machine=machine)

    def _problem(
        self, request: Request, view: View | None, status: int, error: MeshError, *, machine: bool
    ) -> Response:
        what, _, mend = str(error).partition("\n")
        if view is not None:
            what, mend = jobs.without_paths(view.env, what), jobs.without_paths(view.env, mend)
        else:
            what, mend = what.replace(f"{self.site.root}/", ""), mend.replace(f"{self.site.root}/", "")
        data = {"schema_version": 1, "error": what, "mend": mend.strip(), "status": status}
        if machine or wants_json(request):
            return JSONResponse(data, status)
        title = {403: "Not yours to answer", 404: "Not found", 409: "Changed in the meantime", 429: "Busy"}.get(
            status, "It cannot be shown"
        )
        page = Page(template="problem.html", title=title, data=data, path=path_of(request), section="", crumbs=())
        return self._html(request, view, page, status=status)

    def _html(
        self, request: Request, view: View | None, page: Page, *, status: int = 200, refresh: bool = False
    ) -> Response:
        title = (view.env.mesh.title or view.env.mesh.name) if view else "mesh"
        text = render.html(
            page, self.links, mesh_title=title, read_only=self.site.read_only, refresh=refresh, root_dagster=self.links.dagster("/asset-groups"),
            query=dict(request.query_params), reload_state=self.reloading.state, proxied=bool(self.site.settings.user_header), snapshot=view.standing.head if view else None,
        )  # fmt: skip
        return tagged(request, HTMLResponse(text, status))

    def _base(self, request: Request) -> str:
        """The address under which it was asked, as far as to the `/mesh`."""
        return f"{request.url.scheme}://{request.url.netloc}{self.site.prefix}"

    def _user(self, request: Request) -> str:
        """Who asks, as the proxy says; only where a header is configured for it."""
        header = self.site.settings.user_header
        return request.headers.get(header, "")[:200] if header else ""

    def _person(self, request: Request) -> Person:
        """The same, with their groups, where a header is configured for these."""
        header = self.site.settings.groups_header
        said = ",".join(request.headers.getlist(header)) if header else ""
        groups = frozenset(name for group in said.split(",") if (name := group.strip().removeprefix("/")))
        return Person(name=self._user(request), groups=groups if header else None)


async def _form(request: Request) -> dict[str, str]:
    """What a form says, the first value of each field."""
    sent = parse_qs((await request.body()).decode("utf-8", "replace"))
    return {key: values[0] for key, values in sent.items()}


def wants_json(request: Request) -> bool:
    """Whether a program asks: JSON is accepted, and HTML is not."""
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted


def answer_json(request: Request, data: Mapping[str, object]) -> Response:
    """JSON with an ETag."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, default=str)
    return tagged(request, Response(text, media_type="application/json"))


def tagged(request: Request, response: Response) -> Response:
    """With an ETag over the content; nothing is sent again to whom has it."""
    if response.status_code != 200 or request.method not in ("GET", "HEAD"):  # noqa: PLR2004 - OK
        return response
    tag = f'"{hashlib.sha256(bytes(response.body)).hexdigest()[:24]}"'
    headers = {"etag": tag, "cache-control": "no-cache", "vary": "accept"}
    if tag in [known.strip().removeprefix("W/") for known in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return response


def first(error: MeshError) -> str:
    """Its first line."""
    return str(error).split("\n", 1)[0]


def path_of(request: Request) -> str:
    """The address within the portal, still quoted: a `/` within a name is none."""
    raw = request.scope.get("raw_path") or URL(scope=request.scope).path.encode()
    path = raw.decode("latin-1").split("?", 1)[0]
    root = request.scope.get("root_path", "")
    path = path.removeprefix(root) if root else path
    return path if path.startswith("/mesh") else f"/mesh{path}"
