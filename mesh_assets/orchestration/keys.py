"""Names of the mesh as Dagster's keys, and back."""

from collections.abc import Iterable

import dagster as dg
from dagster._core.definitions.dependency import NodeHandle

from mesh_assets.domain import Mesh, Table

PORTS = "in"
"""Second part of an input port's key: `marketing/in/customers__physicians`."""


def of(table: str) -> dg.AssetKey:
    """The asset of `domain.table`."""
    domain, _, short = table.partition(".")
    return dg.AssetKey([domain, short])


def port(reader: str, table: str) -> dg.AssetKey:
    """The asset of the input port through which `reader` reads `domain.table`."""
    return dg.AssetKey([reader, PORTS, table.replace(".", "__", 1)])


def group(mesh: Mesh, domain: str) -> str:
    """The group of a domain's assets; a sub-domain's begins with the domain's, so that they stand together."""
    return "__".join((*mesh.within(domain), domain))


def is_port(key: dg.AssetKey) -> bool:
    """Whether the asset is an input port."""
    return len(key.path) == 3 and key.path[1] == PORTS  # noqa: PLR2004 - reader, in, table


def table(key: dg.AssetKey) -> str:
    """`domain.table` of an asset; for an input port the table that it reads."""
    return key.path[2].replace("__", ".", 1) if is_port(key) else ".".join(key.path)


def read_by(mesh: Mesh, item: Table) -> list[dg.AssetKey]:
    """What a table's asset comes after: input ports where they have a contract, else the tables themselves."""
    return [*(upstream(mesh, item.domain, name) for name in item.inputs), *(of(name) for name in item.references)]


def upstream(mesh: Mesh, reader: str, table: str) -> dg.AssetKey:
    """The asset through which `reader` gets `table`."""
    entry = mesh.port(reader, table)
    return port(reader, table) if entry and entry.contract else of(table)


def made_by(job: dg.JobDefinition, node: NodeHandle | None) -> list[str]:
    """The tables that a step builds."""
    assets = job.asset_layer.get_assets_def_for_node(node) if node else None
    return sorted(table(key) for key in assets.keys) if assets else []


def selection(mesh: Mesh, tables: Iterable[str]) -> list[dg.AssetKey]:
    """The assets to run for these tables: their own, and the input ports that they read through."""
    wanted = [mesh.tables[name] for name in tables]
    ports = {key for item in wanted for key in read_by(mesh, item) if is_port(key)}
    return [*sorted(ports), *(of(item.name) for item in wanted)]
