"""Whole-mesh and whole-domain refreshes, to launch from Dagster's UI."""

import dagster as dg

from mesh_assets import graph
from mesh_assets.domain import Mesh
from mesh_assets.orchestration import keys
from mesh_assets.orchestration.tables import CLOSURE

REFRESH = "refresh_mesh"


def jobs(mesh: Mesh, only: str | None = None) -> list:
    """One job for the mesh, and one per domain with everything downstream; each builds what has changed, at one pin."""
    tags = {CLOSURE: "true"}
    found = []
    unpartitioned = {name: tables for name, tables in members(mesh).items() if tables}
    for name, tables in unpartitioned.items():
        if only and not all(table.partition(".")[0] == only for table in tables):
            continue
        selection = dg.AssetSelection.assets(*keys.selection(mesh, tables))
        found.append(dg.define_asset_job(name, selection, tags=tags, description=_description(name)))
    return found


def members(mesh: Mesh) -> dict[str, tuple[str, ...]]:
    """Which tables each job builds, upstream before downstream."""
    found = {REFRESH: tuple(mesh.tables)}
    edges = graph.graph_of(mesh)
    for domain in mesh.domains:
        own = [name for name, table in mesh.tables.items() if table.domain == domain]
        reached = graph.downstream(edges, own, include_self=True)
        found[f"{domain}_and_downstream"] = tuple(name for name in mesh.tables if name in reached)
    return found


def _description(name: str) -> str:
    what = "every domain" if name == REFRESH else f"{name.removesuffix('_and_downstream')} and everything downstream"
    return f"Build what has changed in {what}, in order, at one snapshot."
