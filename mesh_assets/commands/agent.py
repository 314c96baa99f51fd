"""`mesh mcp`: the mesh for an agent."""

from typing import Annotated

import typer

from mesh_assets.commands.common import MeshDir, place


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Examples: `mesh mcp --mesh /srv/mesh`, `mesh mcp --kitchen new-codes --read-only`")(mcp)


def mcp(
    mesh: MeshDir = None,
    *,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Offer nothing that writes, whatever mesh.yaml says.")
    ] = False,
) -> None:
    """Serve the mesh to an agent: tools of the Model Context Protocol over stdin and stdout, until the client ends.

    A client starts it. It needs `pip install 'mesh-assets[mcp]'`. What may be written `agent.writes` of mesh.yaml says; without it, nothing.
    """
    from mesh_assets.agent.server import serve

    where = place(mesh)
    serve(where.root, where.settings, read_only=read_only)
