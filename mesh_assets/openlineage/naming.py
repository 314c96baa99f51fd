"""What OpenLineage calls a table, a file, a job: a namespace, and a name that is unique in it.

After the naming conventions of the specification. They have no line for DuckLake: a table of the mesh is
`ducklake://SERVER/DATABASE/SCHEMA` or `ducklake:///PATH` of the catalog, and `domain.table`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from mesh_assets.domain import Database, Mesh, Table
from mesh_assets.environment import Environment
from mesh_assets.errors import UsageError
from mesh_assets.lake.catalog import database_of, server_of
from mesh_assets.raw import folder_of
from mesh_assets.settings import variable

WILD = "*?["


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The namespaces of one environment.

    Attributes:
        jobs: Of jobs.
        tables: Of the mesh's tables.
        catalog: What keeps the lake's catalog: `sqlite` or `postgres`.
        warehouse: Where the lake's files are, as a URL.
    """

    jobs: str
    tables: str
    catalog: str = ""
    warehouse: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a table is made of that is no table of the mesh.

    Attributes:
        kind: `FILE` or `TABLE`.
        locations: Files of it that were read.
    """

    namespace: str
    name: str
    kind: str
    locations: tuple[str, ...] = ()


def names_of(env: Environment) -> Names:
    """Those of an environment, as mesh.yaml says."""
    said = env.mesh.openlineage
    address = env.lake.catalog.address
    return Names(
        jobs=(said.job_namespace if said else "") or env.mesh.name,
        tables=(said.table_namespace if said else "") or address,
        catalog=env.lake.catalog.uri.partition(":")[0],
        warehouse=f"file://{quote(env.lake.data.as_posix())}",
    )


def origin(mesh: Mesh, table: Table, files: Mapping[str, str]) -> Origin | None:
    """Where a table that begins outside of the mesh comes from; None for every other.

    Args:
        mesh: The mesh.
        table: The table.
        files: Those that it was made of, by their path in the source's folder.
    """
    if table.database is not None:
        return _of_database(table.database)
    if table.source is None or table.domain not in mesh.domains:
        return None
    folder, pattern = folder_of(mesh, table), table.source.pattern
    # One name for what grows by a file a day: the folder in which the pattern begins to be one.
    fixed = Path(pattern).parts
    wild = next((number for number, part in enumerate(fixed) if set(WILD) & set(part)), len(fixed))
    place = folder.joinpath(*fixed[:wild])
    found = tuple((folder / name).as_posix() for name in sorted(files))
    return Origin(namespace="file", name=place.as_posix(), kind="FILE", locations=found)


def _of_database(database: Database) -> Origin:
    address = database.address
    if address.startswith("$"):
        address = variable(address[1:]) or ""
    if database.kind == "duckdb":
        return Origin(namespace=f"duckdb://{quote(address)}", name=database.relation, kind="TABLE")
    relation = database.relation if "." in database.relation else f"public.{database.relation}"
    try:
        namespace, name = f"postgres://{server_of(address)}", f"{database_of(address)}.{relation}"
    except UsageError:
        namespace, name = "postgres", relation
    return Origin(namespace=namespace, name=name, kind="TABLE")
