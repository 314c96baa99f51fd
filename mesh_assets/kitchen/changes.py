"""What a kitchen has changed against its base, by content: code, contracts, configuration, data."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mesh_assets import graph, order, provenance, raw
from mesh_assets.domain import Mesh
from mesh_assets.environment import Environment
from mesh_assets.kitchen import git, place, variables
from mesh_assets.kitchen.place import Site
from mesh_assets.lake import Features

BASE = "base.json"
PACKAGES_FILE = "packages.json"
PACKAGES = ("mesh_assets", "duckdb", "dagster", "dbt-core", "dbt-duckdb", "polars", "pandas", "pandera", "pyarrow")
"""Versions of these are compared; others are told by the lock file, which is compared as a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What differs from the base.

    Attributes:
        code: Tables whose code differs.
        contracts: Tables whose contract, or whose input ports' contracts, differ.
        added: Tables that the base does not have.
        removed: Tables that only the base has.
        sources: Tables of which raw files differ.
        variables: Environment variables that the kitchen sets otherwise, with the tables whose code names them.
    """

    code: tuple[str, ...] = ()
    contracts: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    variables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def tables(self) -> frozenset[str]:
        """Every table that is changed or new."""
        return frozenset((*self.code, *self.contracts, *self.added, *self.sources, *self.by_variables))

    @property
    def by_variables(self) -> frozenset[str]:
        """Tables whose code names a variable that is set otherwise."""
        return frozenset(name for names in self.variables.values() for name in names)

    def __bool__(self) -> bool:
        return bool(self.tables or self.removed)


def hashes(mesh: Mesh) -> dict[str, list[str]]:
    """What decides each table: hash of its code, and of what it and its input ports promise."""
    return {name: [table.code, order.promises(mesh, name)] for name, table in mesh.tables.items()}


def keep_base(site: Site, mesh: Mesh) -> None:
    """Remember with what the kitchen began."""
    (site.folder / BASE).write_text(json.dumps(hashes(mesh)), encoding="utf-8")
    (site.folder / PACKAGES_FILE).write_text(json.dumps(packages()), encoding="utf-8")


def base(site: Site) -> Mapping[str, list[str]]:
    """With what the kitchen began."""
    return json.loads((site.folder / BASE).read_text(encoding="utf-8"))


def began(site: Site) -> dict[str, str]:
    """Versions of Python and of packages when the kitchen was opened."""
    return json.loads((site.folder / PACKAGES_FILE).read_text(encoding="utf-8"))


def against_base(site: Site, mesh: Mesh) -> Changes:
    """What a kitchen has changed since it was opened, raw files in its work tree included."""
    set_ = variables.differing(site.variables, parent.variables if (parent := parent_of(site)) else {})
    return replace(
        changes(base(site), mesh),
        sources=tuple(sorted(sources(mesh, site))),
        variables=variables.readers(mesh, set_),
    )


def parent_of(site: Site) -> Site | None:
    """The kitchen that this one was opened from; None: production."""
    return place.find(site.production_home, site.parent) if site.parent else None


def not_built_since(env: Environment, site: Site, names: Iterable[str]) -> tuple[str, ...]:
    """Those of these tables that were not built in the kitchen since it was opened: all else of them is as it was."""
    tried = {attempt.table for attempt in env.ledger.attempts().values() if attempt.at > site.opened}
    return tuple(
        sorted(name for name in names if name in env.mesh.tables and name not in {*rebuilt(env, site), *tried})
    )


def changes(before: Mapping[str, list[str]], mesh: Mesh) -> Changes:
    """What differs between hashes kept before and a mesh as it is."""
    after = hashes(mesh)
    both = sorted(before.keys() & after.keys())
    return Changes(
        code=tuple(name for name in both if before[name][0] != after[name][0]),
        contracts=tuple(name for name in both if before[name][1] != after[name][1]),
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys() - _broken(mesh, before))),
    )


def _broken(mesh: Mesh, names: Iterable[str]) -> set[str]:
    """Tables of domains that cannot be loaded are not gone."""
    return {name for name in names if name.partition(".")[0] in mesh.broken}


def affected(mesh: Mesh, changed: Iterable[str], downstream: str) -> frozenset[str]:
    """The changed tables, and what rests on them: `all`, `direct` (one step) or `none`."""
    start = frozenset(name for name in changed if name in mesh.tables)
    if downstream == "none":
        return start
    if downstream == "direct":
        readers = graph.readers_of(graph.graph_of(mesh))
        return start.union(*(readers.get(name, ()) for name in start))
    return graph.downstream(graph.graph_of(mesh), start, include_self=True)


def left_to_production(mesh: Mesh, site: Site) -> frozenset[str]:
    """Tables of which no data is promoted, for they are made of masked values or of synthetic rows: production builds them anew."""
    return frozenset(mesh.tables) if site.synthetic else affected(mesh, site.masked, "all")


def rebuilt(env: Environment, site: Site) -> dict[str, int]:
    """Tables that have a version of the kitchen's own, and the newest of it."""
    env.sync()
    return {
        name: version.version
        for name, version in sorted(env.ledger.versions().items())
        if version.version > site.snapshot
    }


def sources(mesh: Mesh, site: Site) -> dict[str, tuple[str, ...]]:
    """Sources of which raw files in the kitchen's work tree differ from the commit that it began with, with these files.

    Files elsewhere are production's as much as the kitchen's.
    """
    repository = git.repository(site.root) if site.has_code else None
    patterns = {
        name: raw.pattern(table.source)
        for name, table in mesh.tables.items()
        if table.source is not None and table.source.folder is None
    }
    if repository is None or not patterns or site.synthetic:  # there no raw file is read
        return {}
    home = f"{repository.prefix}domains/"
    changed = [file.removeprefix(home).partition("/")[::2] for file in repository.unlike(site.commit, home)]
    found = {}
    for name, pattern in patterns.items():
        domain = name.partition(".")[0]
        if told := tuple(f"{home}{domain}/{file}" for of, file in changed if of == domain and pattern.fullmatch(file)):
            found[name] = told
    return found


def features(env: Environment, site: Site) -> dict[str, Features]:
    """Tables whose comments or partitioning differ from the base, and views that do; without a query they are gone.

    What was made in the kitchen's lake by hand and is no table of the mesh is not among them, nor is what is gone with its table,
    nor is anything of a kitchen of synthetic rows.
    """
    if site.synthetic:
        return {}
    before, after = env.lake.features(site.snapshot), env.lake.features()
    there = set(env.lake.tables())
    views = {name for told in (before, after) for name, each in told.items() if each.view}
    names = [*after, *sorted(before.keys() - after.keys())]
    return {
        name: after.get(name, Features())
        for name in names
        if before.get(name) != after.get(name) and (name in views or name in there & env.mesh.tables.keys())
    }


def state(env: Environment, site: Site) -> str:
    """A hash of everything that a test depends on: it is out of date when this is another one."""
    told = {
        "tables": hashes(env.mesh),
        "broken": sorted(env.mesh.broken),
        "versions": rebuilt(env, site),
        "snapshot": site.snapshot,
        "variables": sorted(site.variables.items()),
        **(
            {"raw": {name: env.raw(env.mesh.tables[name]) for name in files}}
            if (files := sources(env.mesh, site))
            else {}
        ),
        **({"features": {name: each.told() for name, each in told.items()}} if (told := features(env, site)) else {}),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


def packages() -> dict[str, str]:
    """Versions of Python and of what computes and tests tables."""
    return provenance.versions(PACKAGES)
