"""Whole-mesh and whole-domain refreshes, to launch from Dagster's UI."""

from collections.abc import Collection, Sequence

import dagster as dg

from mesh_assets import graph
from mesh_assets.domain import Mesh
from mesh_assets.orchestration import keys
from mesh_assets.orchestration.tables import CLOSURE

REFRESH = "refresh_mesh"
DOWNSTREAM = "_and_downstream"
MOST = 20_000
"""Tables in all jobs of single domains together. Dagster resolves every job in full when a code location loads, which takes
about a millisecond a table; in a deep mesh they would be hundreds of thousands."""


def jobs(mesh: Mesh, working: Collection[str], only: str | None = None) -> list:
    """One job for the mesh, and one per domain with everything downstream; each builds what has changed, at one pin.

    Args:
        mesh: The whole mesh.
        working: Domains that could be loaded.
        only: The code location's one domain. A run stays within one location: what is read elsewhere has no job here.
    """
    found = []
    for name, tables in members(mesh).items():
        if only and any(mesh.tables[table].domain != only for table in tables):
            continue
        present = [table for table in tables if mesh.tables[table].domain in working and not mesh.tables[table].engine]
        if present and (name == REFRESH or name.removesuffix(DOWNSTREAM) in working):
            chosen = dg.AssetSelection.assets(*keys.selection(mesh, present))
            found.append(dg.define_asset_job(name, chosen, tags={CLOSURE: "retry"}, description=_description(name)))
    return found


def members(mesh: Mesh) -> dict[str, tuple[str, ...]]:
    """Which tables each job builds, upstream before downstream; a mesh too deep for one job per domain has the first alone."""
    found = {REFRESH: tuple(mesh.tables)}
    # Everything upstream in the graph turned round is everything downstream; it is turned once, not once per domain.
    readers = graph.readers_of(graph.graph_of(mesh))
    for domain, own in by_domain(mesh).items():
        reached = graph.upstream(readers, own, include_self=True)
        found[f"{domain}{DOWNSTREAM}"] = tuple(name for name in mesh.tables if name in reached)
    if sum(map(len, found.values())) - len(mesh.tables) > MOST:
        found = {REFRESH: found[REFRESH]}
    return {name: _of_one_partitioning(mesh, tables) for name, tables in found.items()}


def by_domain(mesh: Mesh) -> dict[str, list[str]]:
    """Names of the tables of each domain."""
    found: dict[str, list[str]] = {domain: [] for domain in mesh.domains}
    for name, table in mesh.tables.items():
        found.setdefault(table.domain, []).append(name)
    return found


def _of_one_partitioning(mesh: Mesh, tables: Sequence[str]) -> tuple[str, ...]:
    """A job has one set of partitions: where its tables differ in theirs, those that have any are left to their sensors."""
    declared = [mesh.tables[name].partitions for name in tables]
    if len({(one.every, one.start) for one in declared if one}) <= 1:
        return tuple(tables)
    return tuple(name for name, one in zip(tables, declared, strict=True) if one is None)


def _description(name: str) -> str:
    what = "every domain" if name == REFRESH else f"{name.removesuffix(DOWNSTREAM)} and everything downstream"
    return f"Build what has changed in {what}, in order, at one snapshot."
