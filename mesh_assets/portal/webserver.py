"""The portal within Dagster's own web server: the one adapter, for everything of Dagster's web server that is not public.

`python -m mesh_assets.portal.webserver` is `dagster-webserver` with the portal at `/mesh` and a line in Dagster's menu;
`python -m mesh_assets.portal.webserver dev …` is `dagster dev` with that web server.
"""

import logging
import re
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from dagster_webserver import app as dagster_app
from dagster_webserver.webserver import DagsterWebserver
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mesh_assets.mesh import find_mesh
from mesh_assets.portal.serving import application
from mesh_assets.settings import Settings, set_variables

MODULE = "mesh_assets.portal.webserver"
NAV = """<script nonce="%s">(()=>{try{const add=()=>{try{
const from=document.querySelector('a[href$="/asset-groups"]');if(!from||document.getElementById("mesh-domains"))return;
const row=from.parentElement.cloneNode(true),link=row.querySelector("a");if(!link)return;
link.id="mesh-domains";link.href="%s/mesh/";link.removeAttribute("aria-current");link.classList.remove("active");
const icon=link.querySelector('[role="img"]'),calm=document.querySelector('a[href$="/overview"]:not(.active) [role="img"],a[href$="/jobs"]:not(.active) [role="img"]');
if(icon)icon.setAttribute("aria-label","domains");if(icon&&calm)icon.style.setProperty("--icon-color",calm.style.getPropertyValue("--icon-color"));
link.querySelectorAll("*").forEach(e=>{if(!e.children.length&&e.textContent.trim()==="Lineage")e.textContent="Domains"});
from.parentElement.insertAdjacentElement("beforebegin",row)}catch(e){}};
new MutationObserver(add).observe(document,{subtree:true,childList:true});add()}catch(e){}})()</script></head>"""
log = logging.getLogger("mesh.portal")


class MeshWebserver(DagsterWebserver):
    """Dagster's web server, with the portal before Dagster's own routes: those answer everything."""

    def build_routes(self) -> list[BaseRoute]:
        """The portal's, then Dagster's. Where the portal cannot be made, Dagster's alone."""
        prefix = self._app_path_prefix
        try:
            settings = Settings()
            root = find_mesh(settings.dir or Path.cwd())
            host = settings.portal_listens or "0.0.0.0"  # noqa: S104 - the web server decides where it listens; unknown is any
            portal = application(
                root,
                settings,
                host=host,
                prefix=prefix,
                dagster=prefix,
                read_only=bool(getattr(self._process_context, "read_only", False)),
                reload=self._process_context.reload_workspace,
            )
            mine: list[BaseRoute] = [
                Route(f"{prefix}/mesh", lambda _: RedirectResponse(f"{prefix}/mesh/", 308)),
                Mount(f"{prefix}/mesh", app=_Unmounted(portal, prefix)),
            ]
            if prefix:  # a code server of its own does not know it
                mine.append(
                    Route("/mesh/{path:path}", lambda request: RedirectResponse(f"{prefix}{request.url.path}", 308))
                )
        except Exception:
            log.exception("The portal is left out")
            mine = []
        return [*mine, *super().build_routes()]

    def index_html_endpoint(self, request: Request) -> Response:
        """Dagster's page, with one more line in its menu; as it is, when it is not as expected."""
        page = super().index_html_endpoint(request)
        try:
            return with_domains(page, self._app_path_prefix)
        except Exception:
            log.exception("Dagster's menu is left as it is")
            return page


class _Unmounted:
    """Gives the portal whole paths: it knows itself that it is at `/mesh`."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self.app, self.prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "root_path": self.prefix, "app_root_path": self.prefix}, receive, send)


def with_domains(page: Response, prefix: str) -> Response:
    """A page of Dagster's with "Domains" in its menu, under the page's own nonce; unchanged when it has none."""
    body = bytes(page.body)
    nonce = re.search(rb'nonce="([0-9a-zA-Z+/=_-]{8,})"', body)
    if nonce is None or b"</head>" not in body:
        return page
    text = body.decode().replace("</head>", NAV % (nonce.group(1).decode(), prefix), 1)
    headers = {name: value for name, value in page.headers.items() if name != "content-length"}
    return HTMLResponse(text, page.status_code, headers=headers)


def prefix_of(arguments: Sequence[str]) -> str:
    """The path prefix that Dagster's web server is given, in its arguments or in the environment."""
    from dagster_webserver.cli import cli

    context = cli.make_context(
        "dagster-webserver", list(arguments), auto_envvar_prefix="DAGSTER_WEBSERVER", resilient_parsing=True
    )
    return str(context.params.get("path_prefix") or "")


def main(arguments: Sequence[str]) -> None:
    """Dagster's own command line, for its web server or for all of `dagster dev`."""
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # Dagster copies it to SIGTERM; a shell may have it ignored
    if arguments[:1] == ["dev"]:
        from dagster._cli import dev
        from dagster_shared.utils.warnings import SupersessionWarning

        start = dev.open_ipc_subprocess

        def with_portal(parts: Sequence[str], **kwargs: object) -> object:
            return start([MODULE if part == "dagster_webserver" else part for part in parts], **kwargs)

        dev.open_ipc_subprocess = with_portal  # ty: ignore
        warnings.filterwarnings("ignore", category=SupersessionWarning)  # it is for who types Dagster's own command
        dev.dev_command(args=list(arguments[1:]), prog_name="mesh dev")
        return
    dagster_app.DagsterWebserver = MeshWebserver  # ty: ignore
    from dagster_webserver.cli import main as webserver

    set_variables({"MESH_PORTAL_PREFIX": prefix_of(arguments)})  # for the code servers that are started from here
    sys.argv = ["dagster-webserver", *arguments]
    webserver()


if __name__ == "__main__":
    main(sys.argv[1:])
