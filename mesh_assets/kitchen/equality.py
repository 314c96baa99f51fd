"""The equality statement: in what a kitchen differs from production now."""

from collections.abc import Sequence
from datetime import UTC, datetime

from mesh_assets.catalog import Json, spelt
from mesh_assets.environment import Environment
from mesh_assets.kitchen import changes, git
from mesh_assets.kitchen.place import Site
from mesh_assets.kitchen.records import Row
from mesh_assets.lake import Features
from mesh_assets.numerals import many


def status(parent: Environment, kitchen: Environment, site: Site, row: Row | None) -> Json:
    """The JSON of `mesh kitchen status`.

    Args:
        parent: Production, or the kitchen that this one was opened from.
        kitchen: The kitchen.
        site: Where it is.
        row: What is on record of it.
    """
    parent.sync()
    kitchen.sync()
    theirs, mine = parent.ledger.versions(), kitchen.ledger.versions()
    # Versions of a kitchen of synthetic rows are none of production's: no two of them are compared.
    moved = [] if site.synthetic else sorted(name for name in theirs if theirs[name].version > site.snapshot)
    own = [] if site.synthetic else sorted(name for name in mine if mine[name].version > site.snapshot)
    different = [
        name
        for name in own
        if name not in theirs or theirs[name].record.get("fingerprint") != mine[name].record.get("fingerprint")
    ]
    code = changes.changes(changes.hashes(parent.mesh), kitchen.mesh)
    began, now = changes.began(site), changes.packages()
    lake = {"format": kitchen.lake.format(), "catalog": kitchen.lake.catalog.uri.partition(":")[0]}
    theirs_lake = {"format": parent.lake.format(), "catalog": parent.lake.catalog.uri.partition(":")[0]}
    differences = [
        *(
            [f"its rows are synthetic, {site.synthetic:g} % of the sources' (seed {site.seed})"]
            if site.synthetic
            else []
        ),
        *(f"production has published {spelt(name)} since (version {theirs[name].version})" for name in moved),
        *(f"{spelt(name)} holds other rows" for name in different if name not in moved),
        *([] if site.synthetic else _beside(parent, kitchen)),
        *(f"{spelt(name)} has other code" for name in code.code),
        *(f"{spelt(name)} has another contract" for name in code.contracts),
        *(f"{spelt(name)} is new" for name in code.added),
        *(f"{spelt(name)} is gone" for name in code.removed),
        *(f"domain {name} cannot be loaded" for name in sorted(kitchen.mesh.broken)),
        *(f"variable {name} is set" for name in sorted(site.variables)),
        *(
            f"secret {name} is {f'that of {other}' if other else 'not there'}"
            for name, other in sorted(site.secrets.items())
        ),
        *(f"column {table}.{column} is masked" for table, names in sorted(site.masked.items()) for column in names),
        *(
            f"{name} {now.get(name, 'is gone')}, at opening {began.get(name, 'not there')}"
            for name in _other(began, now)
        ),
        *(f"the lake's {name} is {lake[name]}, production's {theirs_lake[name]}" for name in _other(theirs_lake, lake)),
        *_work_trees(parent, site),
    ]
    age = datetime.now(UTC) - datetime.fromisoformat(site.opened)
    return {
        "schema_version": 1,
        "kitchen": site.name,
        "parent": site.parent or "production",
        "matches_production": not differences,
        "differences": differences,
        "base": {"snapshot": site.snapshot, "commit": site.commit, "head": parent.lake.head()},
        "age_seconds": int(age.total_seconds()),
        "opened": site.opened,
        "expires": row.expires if row else "",
        "owner": row.owner if row else "",
        "branch": site.branch,
        "synthetic": {"percent": site.synthetic, "seed": site.seed} if site.synthetic else None,
        "variables": sorted(site.variables),
        "secrets": dict(site.secrets),
        "masked": {spelt(table): list(names) for table, names in sorted(site.masked.items())},
        "packages": now,
        "lake": lake,
        "tested": bool(row and row.tested and row.tested.get("state") == changes.state(kitchen, site)),
        "test_ok": bool(row and row.tested and row.tested.get("ok")),
    }


def _beside(parent: Environment, kitchen: Environment) -> list[str]:
    theirs, mine = parent.lake.features(), kitchen.lake.features()
    return [
        f"{spelt(name)} has other {' and '.join(told)}" if told != ("view",) else f"{spelt(name)} is another view"
        for name in sorted(theirs.keys() | mine.keys())
        if (told := mine.get(name, Features()).unlike(theirs.get(name, Features())))
    ]


def _other(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _work_trees(parent: Environment, site: Site) -> list[str]:
    """Files that decide nothing by their hash of a table, such as mesh.yaml and lock files; and what is not committed."""
    mine = git.repository(site.root) if site.has_code else None
    theirs = git.repository(parent.mesh.root) if mine else None
    if mine is None or theirs is None:
        return []
    found = []
    if theirs.head() != mine.head() and (files := mine.between(mine.head(), theirs.head())):
        found.append(
            f"{_files(files, 'committed ')} {'differs' if len(files) == 1 else 'differ'} ({', '.join(files[:3])})"
        )
    if files := mine.changed():
        found.append(
            f"{_files(files)} of the kitchen {'is' if len(files) == 1 else 'are'} changed and not committed ({', '.join(files[:3])})"
        )
    if files := theirs.changed():
        found.append(
            f"{_files(files)} of production {'is' if len(files) == 1 else 'are'} changed and not committed ({', '.join(files[:3])})"
        )
    return found


def _files(files: Sequence[str], which: str = "") -> str:
    return many(len(files), f"{which}file")
