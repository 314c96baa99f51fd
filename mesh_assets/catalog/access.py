"""Where a table is and how it is read: addresses without secrets, and code to copy."""

from pathlib import Path
from typing import Any

from mesh_assets.environment import Environment
from mesh_assets.lake.catalog import SqliteCatalog


def whereabouts(env: Environment, table: str) -> dict[str, Any]:
    """Name, URI and how to connect. No password, and no path outside the mesh."""
    domain, _, name = table.partition(".")
    return {
        "table_name": table,
        "uri": f"ducklake:{env.mesh.name}/{domain}/{name}",
        "files": f"{_shown(env, env.lake.data)}/{domain}/{name}/",
        "connect": connect_string(env),
        "secret": ""
        if isinstance(env.lake.catalog, SqliteCatalog)
        else "The password comes from PGPASSWORD, or your .pgpass.",
    }


def connect_string(env: Environment) -> str:
    """How DuckDB attaches the lake, without the password; a local path is relative to the mesh's folder."""
    catalog = env.lake.catalog
    if isinstance(catalog, SqliteCatalog):
        return f"ducklake:sqlite:{_shown(env, catalog.path)}"
    return f"ducklake:{catalog.uri}"


def readers_code(env: Environment, table: str, version: int) -> list[dict[str, str]]:
    """Copy and paste, pinned to a version: each with its `title`, `language`, `code`, and what it `needs`."""
    bare = table.partition(".")[2]
    catalog = env.lake.catalog
    schema = "" if isinstance(catalog, SqliteCatalog) else f", METADATA_SCHEMA '{catalog.schema}'"
    here = "mesh_assets, started in the mesh's folder"
    read = f'mesh_assets.read("{table}", version={version})'
    return [
        {
            "title": "Shell",
            "language": "bash",
            "needs": here,
            "code": f'mesh sql --at {version} "from {table} limit 10"',
        },
        {
            "title": "polars",
            "language": "python",
            "needs": here,
            "code": f"import mesh_assets\n\n{bare} = {read}.pl()\nprint({bare})",
        },
        {
            "title": "pandas",
            "language": "python",
            "needs": here,
            "code": f"import mesh_assets\n\n{bare} = {read}.df()\nprint({bare})",
        },
        {
            "title": "DuckDB",
            "language": "sql",
            "needs": "DuckDB alone, 1.5 or newer; started in the mesh's folder",
            "code": f"INSTALL ducklake;\nATTACH '{connect_string(env)}' AS mesh (READ_ONLY{schema});\n"
            f"FROM mesh.{table} AT (VERSION => {version}) LIMIT 10;",
        },
    ]


def _shown(env: Environment, path: Path) -> str:
    """A path within the mesh; one that is elsewhere is named by its last part alone."""
    return path.relative_to(env.mesh.root).as_posix() if path.is_relative_to(env.mesh.root) else f"…/{path.name}"
