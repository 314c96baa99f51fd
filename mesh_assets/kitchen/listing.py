"""Which kitchens there are and what became of each, as a reader sees them. Nothing is changed by looking."""

from collections.abc import Callable
from pathlib import Path

from mesh_assets.catalog import Json, spelt
from mesh_assets.environment import Environment
from mesh_assets.kitchen import closing, opening, place
from mesh_assets.kitchen.place import Site
from mesh_assets.kitchen.records import Promotion, Records

Opener = Callable[[Site], Environment]
"""Gives a kitchen's mesh, lake and ledger as they are now."""


def listing(env: Environment, opener: Opener, only: str = "") -> Json:
    """The JSON of `mesh kitchen list`.

    Args:
        env: Production.
        opener: How the kitchens are looked into.
        only: Look into the one of this name; empty: into all.
    """
    records = Records(env.ledger)
    rows = []
    for row in records.all():
        if only not in ("", row.name):
            continue
        told: Json = {
            "kitchen": row.name,
            "from": row.parent or opening.PRODUCTION,
            "state": row.standing,
            "owner": row.owner,
            "opened": row.opened[:16],
            "expires": row.expires[:16] or "never",
            "base": None,
            "changes": "",
            "bytes": opening.size(Path(row.folder) / "home"),
            "branch": row.branch,
            "tested": bool(row.tested),
        }
        if row.standing == "open":
            site = place.find(env.home, row.name)
            told |= {"base": site.snapshot, "changes": "; ".join(closing.unpromoted(opener(site), site, records))}
        rows.append(told)
    return {"schema_version": 1, "kitchens": rows, "promotions": [_promotion(each) for each in records.promotions()]}


def _promotion(each: Promotion) -> Json:
    return {
        "kitchen": each.kitchen,
        "at": each.at,
        "version": each.version,
        "reverted": each.reverted,
        "tables": sorted(map(spelt, each.record["tables"])),
    }
