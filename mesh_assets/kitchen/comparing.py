"""What differs between a kitchen and its base: files, contracts, rows, configuration, packages."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict

from mesh_assets.catalog import Json, plain, spelt
from mesh_assets.environment import Environment
from mesh_assets.kitchen import changes, git, readers, rows
from mesh_assets.kitchen.place import Site
from mesh_assets.lake import Features
from mesh_assets.ledger import Version

MEMORY = "1500MB"
"""Of DuckDB, for comparing rows; what does not fit goes to the lake's temporary folder."""


def diff(
    env: Environment, site: Site, tables: Iterable[str] = (), *, tested: Mapping[str, object] | None = None
) -> Json:
    """The JSON of `mesh kitchen diff`.

    Args:
        env: The kitchen.
        site: Where it is.
        tables: Only these; default: all that were built in the kitchen or are gone.
        tested: What is known of its last test.
    """
    found = changes.against_base(site, env.mesh)
    mine = changes.rebuilt(env, site)
    wanted = [name for name in env.mesh.tables if name in (set(tables) or mine)]
    repository = git.repository(site.root) if site.has_code else None
    files = sorted({*repository.between(site.commit, "HEAD"), *repository.changed()}) if repository else []
    said = readers.verdicts(env, site) if found else None
    return {
        "schema_version": 1,
        "kitchen": site.name,
        "base": {"snapshot": site.snapshot, "commit": site.commit},
        "files": files,
        "patch": repository.patch(site.commit) if repository else "",
        "code": list(map(spelt, found.code)),
        "contracts": list(map(spelt, found.contracts)),
        "added": list(map(spelt, found.added)),
        "removed": list(map(spelt, found.removed)),
        "sources": list(map(spelt, found.sources)),
        "variables": sorted(site.variables),
        "features": features(env, site),
        "packages": _packages(site),
        "tests": _summary(tested or {}),
        "changes": list(said.changes) if said else [],
        "readers": [row for rows_ in said.readers.values() for row in rows_] if said else [],
        "tables": compare(env, site, wanted, said=said),
    }


def features(env: Environment, site: Site) -> list[Json]:
    """Tables and views of which something beside the rows differs from the base, and what that is."""
    before = env.lake.features(site.snapshot)
    return [
        {"table": spelt(name), "what": list(each.unlike(before.get(name, Features())))}
        for name, each in changes.features(env, site).items()
    ]


def tables(
    env: Environment, site: Site, names: Iterable[str], *, sampled: int, said: readers.Verdicts | None = None
) -> list[Json]:
    """Tables of which the kitchen has a version of its own, with how they differ from the base."""
    mine = changes.rebuilt(env, site)
    return compare(env, site, [name for name in names if name in mine], sampled=sampled, said=said)


def compare(
    env: Environment,
    site: Site,
    names: Iterable[str],
    *,
    sampled: int = rows.SAMPLED,
    said: readers.Verdicts | None = None,
) -> list[Json]:
    """How tables differ from the base: columns, and rows by key; and for whom that breaks, where it is known."""
    before, after = env.ledger.versions(upto=site.snapshot), env.ledger.versions()
    with env.lake.bounded(MEMORY) as con:
        con.execute("SET preserve_insertion_order = false")
        return [
            {
                "table": spelt(name),
                "version": {"before": _number(before.get(name)), "after": _number(after.get(name))},
                **_told(_compared(env, name, before.get(name), after.get(name), con, sampled)),
                "readers": said.readers.get(name, []) if said else None,
            }
            for name in names
        ]


def _compared(
    env: Environment, name: str, before: Version | None, after: Version | None, con: object, sampled: int
) -> rows.RowDiff:
    table = env.mesh.tables[name]
    key = rows.key_of(table)
    hidden = table.contract.masked if table.contract else frozenset()
    same = before and after and before.record.get("fingerprint") == after.record.get("fingerprint")
    if before is None or after is None or same:
        count = _rows(after)
        return rows.RowDiff(key=key, before=_rows(before), after=count, added=0 if before else count or 0)
    old, new = env.lake.relation(name, before.version), env.lake.relation(name, after.version)
    return rows.compare(con, old, new, key, hidden=hidden, sampled=sampled)  # ty: ignore[invalid-argument-type]


def _told(found: rows.RowDiff) -> Json:
    told = asdict(found)
    shape = {name: [list(item) for item in told.pop(name)] for name in ("added_columns", "removed_columns", "retyped")}
    counts = {name: told.pop(name) for name in ("before", "after", "added", "removed", "changed")}
    return {
        "rows": counts,
        "schema": {"added": shape["added_columns"], "removed": shape["removed_columns"], "retyped": shape["retyped"]},
        "key": list(told["key"]),
        "columns": told["columns"],
        "sample": [plain(item) for item in told["sample"]],
    }


def _packages(site: Site) -> dict[str, list[str | None]]:
    """Versions of Python and of packages that are others now than when the kitchen was opened: then, and now."""
    then, now = changes.began(site), changes.packages()
    return {
        name: [then.get(name), now.get(name)]
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    }


def _summary(tested: Mapping[str, object]) -> Json | None:
    return {name: tested[name] for name in ("at", "ok", "domains") if name in tested} if tested else None


def _number(version: Version | None) -> int | None:
    return version.version if version else None


def _rows(version: Version | None) -> int | None:
    return version.record.get("rows") if version else None
