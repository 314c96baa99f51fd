"""One published table for a program: `mesh_assets.read("customers.physicians")`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def read(
    table: str, *, version: int | None = None, mesh: str | os.PathLike[str] | None = None
) -> "duckdb.DuckDBPyRelation":
    """A published table as a DuckDB relation: `.pl()` makes a polars frame of it, `.df()` a pandas one, `.arrow()` Arrow.

    Args:
        table: `domain.table`, or `domain/table@12`.
        version: Of that table or of the mesh; default: the one in the name, else the newest.
        mesh: The mesh's folder; default: `MESH_DIR`, else the nearest mesh.yaml upwards.

    Raises:
        UsageError: There is no such table, or no such version (any more), or the two name different ones.
    """
    from mesh_assets.address import parse
    from mesh_assets.environment import Environment
    from mesh_assets.errors import UsageError
    from mesh_assets.mesh import find_mesh, read_mesh
    from mesh_assets.settings import Settings

    settings = Settings()
    root = Path(mesh) if mesh is not None else find_mesh(settings.dir or Path.cwd())
    found = read_mesh(root, tolerant=True)
    address = parse(found, table, unread=True)
    name, named = address.name, address.version
    if named is not None and version not in (None, named):
        raise UsageError(f"`{table}` is version {named}, and version {version} is asked for\n    Say it once.")
    lake = Environment.open(found, settings).lake
    version = named if version is None else version
    at = lake.head() if version is None else version
    lake.check_has(at)
    if name not in lake.tables(at):
        raise UsageError(f"{name} has no version {at}\n    `mesh status` says which there are.")
    return lake.connect(read_only=True).sql(f"FROM {lake.relation(name, at)}")
