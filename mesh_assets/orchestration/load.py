"""A mesh as Dagster definitions: every domain's assets, checks, jobs and sensors."""

import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from mesh_assets import modules, python
from mesh_assets.domain import Mesh, Table, Toolchain
from mesh_assets.errors import MeshError
from mesh_assets.mesh import no_collection, read_mesh
from mesh_assets.orchestration import (
    checks,
    compatible,
    jobs,
    kitchens,
    output,
    pipelines,
    plain,
    ports,
    sensors,
    tables,
    watching,
)
from mesh_assets.orchestration.executing import executor
from mesh_assets.orchestration.io import LakeIO
from mesh_assets.settings import Settings

if TYPE_CHECKING:
    from mesh_assets.environment import Environment


FRAMES = 4
"""Of Python's stack, per table of a chain: the table, its input port, and as much again."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A mesh in Dagster's words.

    Attributes:
        broken: Domains that could not be loaded, with what is wrong; in the definitions each is one asset that says so.
    """

    definitions: dg.Definitions
    broken: Mapping[str, Sequence[str]]


def build_definitions(root: Path, *, only: str | None = None, settings: Settings | None = None) -> dg.Definitions:
    """Everything of the mesh in `root`, or of one of its domains, for one code location."""
    return load(root, only=only, settings=settings).definitions


def load(root: Path, *, only: str | None = None, settings: Settings | None = None) -> Loaded:
    """As `build_definitions`; a domain that cannot be loaded does not keep the others from it.

    Nothing is opened before a step runs.
    """
    return loaded(read(root), only=only, settings=settings)


def read(root: Path) -> Mesh:
    """The mesh in a folder; domains with problems are in `Mesh.broken`."""
    return read_mesh(root, tolerant=True)


def loaded(mesh: Mesh, *, only: str | None = None, settings: Settings | None = None) -> Loaded:
    """As `load`, of a mesh that was read already."""
    # Dagster walks up a job's graph by recursion, from wherever a set happens to begin: a chain may be as long as the mesh.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 1_000 + FRAMES * len(mesh.tables)))
    with no_collection():
        return _loaded(mesh, only, settings)


def _loaded(mesh: Mesh, only: str | None, settings: Settings | None) -> Loaded:
    output.show_without_processes()
    open_environment = _opener(mesh, settings)
    chosen = [name for name in (*mesh.domains, *mesh.broken) if only in (None, name)]
    owned = jobs.by_domain(mesh)
    parts: list[tuple[list[dg.AssetsDefinition | dg.AssetSpec], list[dg.AssetChecksDefinition]]] = []
    broken: dict[str, Sequence[object]] = dict(mesh.broken)
    for name in chosen:
        if name in broken:
            continue
        try:
            parts.append(domain_definitions(mesh, name, owned[name], open_environment, settings))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a domain's own code raises what it likes; it becomes that domain's error
            broken[name] = _told(error, mesh.domains[name].path, mesh.root)
    working = [name for name in chosen if name not in broken]
    shown = [_broken_asset(name, broken[name]) for name in chosen if name in broken]
    unloadable = {name: tuple(map(str, broken[name])) for name in chosen if name in broken and name in mesh.domains}
    definitions = dg.Definitions(
        assets=[*(asset for part in parts for asset in part[0]), *shown],
        asset_checks=[check for part in parts for check in part[1]],
        jobs=[*jobs.jobs(mesh, working, only), *pipelines.jobs(mesh, open_environment, only)],
        sensors=[
            *sensors.sensors(mesh, working, open_environment, unloadable=unloadable),
            *watching.sensors(mesh, working, open_environment),
            *pipelines.sensors(mesh, open_environment, only, sensors.INTERVAL),
        ],
        schedules=[
            *([] if only else kitchens.schedules(mesh.root, settings)),
            *pipelines.schedules(mesh, only, settings),
        ],
        resources={"io_manager": LakeIO(open_environment)},
        executor=executor(mesh, chosen, open_environment),
    )
    return Loaded(definitions, {name: tuple(map(str, told)) for name, told in broken.items()})


def domain_definitions(
    mesh: Mesh,
    domain: str,
    names: Iterable[str],
    open_environment: tables.OpenEnvironment,
    settings: Settings | None = None,
) -> tuple[list[dg.AssetsDefinition | dg.AssetSpec], list[dg.AssetChecksDefinition]]:
    """One domain's assets and its separate checks; `names` are those of its tables.

    Raises:
        Exception: Whatever the domain's own Python raises at import.
    """
    own = [mesh.tables[name] for name in names]
    functions, ordinary, ordinary_tables = _python(mesh, domain, own, open_environment)
    found = [*ports.assets(mesh, mesh.domains[domain], open_environment), *ordinary]
    for table in own:
        if table.toolchain is Toolchain.DBT or table in ordinary_tables:
            continue
        if table.engine:
            found.append(tables.spec(mesh, table))
            continue
        if table.database is not None:
            found.append(watching.asset(mesh, table, open_environment))
            continue
        if table.program is not None:
            from mesh_assets.orchestration import pipes

            found.append(pipes.asset(mesh, table, open_environment))
            continue
        made = tables.always(tables.make_of(mesh, table, functions))
        found.append(tables.asset(mesh, table, made, open_environment))
    if models := [table for table in own if table.toolchain is Toolchain.DBT]:
        from mesh_assets.environment import home_of
        from mesh_assets.orchestration import dbt

        found.append(dbt.asset(mesh, domain, models, open_environment, home_of(mesh, settings)))
    elsewhere = [table for table in own if table.engine]
    reports = checks.reporting(domain, [*ordinary_tables, *elsewhere], open_environment)
    return found, [*reports, *compatible.reporting(mesh.domains[domain], own, open_environment)]


def _python(
    mesh: Mesh, domain: str, own: Sequence[Table], open_environment: tables.OpenEnvironment
) -> tuple[dict[str, python.PythonTable], list[dg.AssetsDefinition], list[Table]]:
    if not any(table.toolchain is Toolchain.PYTHON for table in own):
        return {}, [], []
    module = modules.load(domain, mesh.domains[domain].path)
    if module is None:
        return {}, [], []
    functions = {f"{domain}.{item.name}": item for item in python.tables_of(module)}
    declared = [table for table in own if table.toolchain is Toolchain.PYTHON and table.name not in functions]
    return functions, plain.assets(mesh, domain, module, open_environment) if declared else [], declared


def _opener(mesh: Mesh, settings: Settings | None) -> tables.OpenEnvironment:
    @cache
    def open_environment() -> "Environment":
        from mesh_assets.environment import Environment

        return Environment.open(mesh, settings)

    return open_environment


def _told(error: BaseException, folder: Path, root: Path) -> Sequence[str]:
    if isinstance(error, MeshError):
        return [str(error)]
    return [modules.said(error, folder, root) or "".join(traceback.format_exception(error)).strip()]


def _broken_asset(domain: str, problems: Sequence[object]) -> dg.AssetsDefinition:
    """A domain that could not be loaded, as something to see in the graph."""
    told = "\n".join(map(str, problems))
    shown = re.sub(r"\W", "_", domain, flags=re.ASCII)  # its folder's name may be the very thing that is wrong
    fence = f"This domain could not be loaded.\n\n```\n{told}\n```"

    @dg.multi_asset(
        name=f"{shown}__problems",
        specs=[dg.AssetSpec([shown, "problems"], group_name=shown, description=fence, kinds={"error"}, skippable=True)],
        check_specs=[dg.AssetCheckSpec("domain_loads", asset=[shown, "problems"], description=told[:500])],
        can_subset=True,
    )
    def op() -> Iterator[dg.AssetCheckResult]:
        yield dg.AssetCheckResult(
            check_name="domain_loads", asset_key=[shown, "problems"], passed=False, metadata={"problems": told}
        )
        raise dg.Failure(told, allow_retries=False)

    return op
