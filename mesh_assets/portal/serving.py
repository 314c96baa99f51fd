"""`mesh portal`: the portal alone, on a port of its own."""

import logging
import signal
from collections.abc import Callable, Collection
from pathlib import Path

from mesh_assets.listening import listen
from mesh_assets.portal.app import create
from mesh_assets.portal.security import LOOPBACK, Guard
from mesh_assets.portal.site import Site
from mesh_assets.settings import Settings


def application(
    root: Path,
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    prefix: str = "",
    dagster: str | None = None,
    read_only: bool = False,
    reload: Callable[[], None] | None = None,
) -> Guard:
    """The portal of a mesh, as it is served at this address."""
    site = Site(root, settings, prefix=prefix, dagster=dagster, read_only=read_only, reload=reload)
    return create(site, hosts=tuple(sorted(hosts_of(host, settings))))


def hosts_of(host: str, settings: Settings) -> Collection[str]:
    """Names that the portal answers to: those configured, and this machine's own when it listens nowhere else."""
    named = {name.strip() for name in settings.portal_hosts.split(",") if name.strip()}
    if host in LOOPBACK | {"::1"}:
        return named | LOOPBACK
    return named | {host} if named else frozenset()


def serve(root: Path, settings: Settings, *, host: str, port: int, read_only: bool, dagster: str | None) -> None:
    """Until it is stopped.

    Raises:
        RunError: Somebody else listens there.
    """
    import uvicorn

    app = application(root, settings, host=host, dagster=dagster, read_only=read_only)
    listener = listen(host, port)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent shell may have left it ignored
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", server_header=False, lifespan="off"))
    server.run(sockets=[listener])
