"""`mesh url`, `mesh portal`, `mesh rebuild`, `mesh export-site`: what readers of the mesh need."""

from pathlib import Path
from typing import Annotated

import typer

from mesh_assets.commands.common import AsJson, MeshDir, environment, note, place, print_json


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Examples: `mesh url customers`, `mesh url customers/physicians@12 where`")(url)
    app.command(epilog="Example: `mesh portal --port 3080`")(portal)
    app.command(epilog="Example: `mesh rebuild customers/physicians@12 --json`")(rebuild)
    app.command("export-site", epilog="Example: `mesh export-site public`")(export_site)


def url(
    what: Annotated[str, typer.Argument(metavar="DOMAIN[/TABLE[@VERSION]]", help="What it is about.")],
    question: Annotated[
        str | None, typer.Argument(metavar="what|where|when|with|how", help="One of the five. Default: all.")
    ] = None,
    mesh: MeshDir = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Print the addresses of a domain, a table or one version of it in the portal. A version that never was is an error."""
    from mesh_assets import address
    from mesh_assets.catalog import SCHEMA_VERSION
    from mesh_assets.errors import UsageError, nearest
    from mesh_assets.mesh import read_mesh

    where = place(mesh)
    found = address.parse(read_mesh(where.root, tolerant=True), what, unread=True)
    if found.version is not None:
        from mesh_assets.catalog.standing import version_of

        env, _ = environment(mesh)
        env.sync()
        version_of(env, found)
    if question is not None and question not in address.QUESTIONS:
        raise UsageError(f"`{question}` is none of the five questions\n    {nearest(question, address.QUESTIONS)}")
    base = where.settings.portal_url or "http://127.0.0.1:3000"
    urls = address.urls(found, base, [question] if question else address.QUESTIONS)
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, "address": str(found), "urls": urls})
        return
    for line in urls.values():
        typer.echo(line)


def portal(
    mesh: MeshDir = None,
    *,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="To listen at.")] = 3080,
    host: Annotated[str, typer.Option("--host", help="Address to listen at.")] = "127.0.0.1",
    dagster: Annotated[
        str | None, typer.Option("--dagster", metavar="URL", help="Where Dagster's own pages are, for links to them.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Nothing can be started or changed from it.")] = False,
) -> None:
    """Serve the portal alone, without Dagster. `mesh dev` has it on Dagster's own port, under `/mesh`."""
    from mesh_assets.listening import listen
    from mesh_assets.portal.serving import serve

    where = place(mesh)
    listen(host, port).close()  # before an address is told that is another's
    note(f"The portal: http://{host}:{port}/mesh/  (Ctrl-C ends it)")
    server = dagster.rstrip("/") if dagster else None
    serve(where.root, where.settings, host=host, port=port, read_only=read_only, dagster=server)


def rebuild(
    what: Annotated[str, typer.Argument(metavar="TABLE@VERSION", help="As `mesh status` spells the table.")],
    mesh: MeshDir = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make a version again from its recorded code and inputs, beside the published one, and compare the content.

    Exit 0 when it is equal, 1 when it is not, 3 when something that it was made of is gone.
    """
    from mesh_assets.rebuilding import Verdict, rebuild

    env, settings = environment(mesh)
    found = rebuild(env, what, settings)
    if as_json:
        print_json(found.as_json())
    else:
        typer.echo(found)
    raise typer.Exit({Verdict.EQUAL: 0, Verdict.DIFFERENT: 1, Verdict.IMPOSSIBLE: 3}[found.verdict])


def export_site(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, or one that an export has written.")],
    mesh: MeshDir = None,
    *,
    dagster: Annotated[
        str, typer.Option("--dagster", metavar="URL", help="A Dagster that its readers can reach, for links to it.")
    ] = "",
) -> None:
    """Write all reading pages of the portal to files that work from disk and from any web server."""
    from mesh_assets.portal.export import export
    from mesh_assets.portal.site import Site

    where = place(mesh)
    written = export(Site(where.root, where.settings).view(), folder, dagster=dagster)
    note(f"{written.pages} pages are in {folder}: open {folder / 'index.html'}")
