"""Test a kitchen in system context: rebuild what has changed and what rests on it, in every domain."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mesh_assets.catalog import Json, plain, spelt
from mesh_assets.environment import Environment
from mesh_assets.kitchen import changes, comparing, readers
from mesh_assets.kitchen.place import Site
from mesh_assets.ledger import Attempt, Version
from mesh_assets.store import now

CHOICES = ("all", "direct", "none")


def moment() -> str:
    """When a test ended, in UTC."""
    return now()


def scope(env: Environment, site: Site, downstream: str) -> frozenset[str]:
    """What is to be tested: what has changed, what was built in the kitchen already, and what rests on either."""
    found = changes.against_base(site, env.mesh)
    mine = {name for name in changes.rebuilt(env, site) if name in env.mesh.tables}
    return changes.affected(env.mesh, found.tables | mine, downstream)


def report(env: Environment, site: Site, tables: frozenset[str], rows: Sequence[Json], downstream: str) -> Json:
    """The JSON of `mesh kitchen test`, after everything was built.

    Args:
        env: The kitchen.
        site: Where it is.
        tables: What was to be tested.
        rows: What `mesh run` says of each of them.
        downstream: How far it went.
    """
    built = {row["table"].replace("/", ".", 1): row for row in rows}
    before, after = env.ledger.versions(upto=site.snapshot), env.ledger.versions()
    last = env.ledger.attempts()
    said = readers.verdicts(env, site) if tables else None
    domains = [
        _domain(env, name, [table for table in env.mesh.tables if table in tables], built, before, after, last, said)
        for name in sorted({table.partition(".")[0] for table in tables})
    ]
    domains += [_broken(name, told) for name, told in sorted(env.mesh.broken.items())]
    found = changes.against_base(site, env.mesh)
    return {
        "schema_version": 1,
        "kitchen": site.name,
        "downstream": downstream,
        "changed": sorted(map(spelt, found.tables)),
        "removed": sorted(map(spelt, found.removed)),
        "variables": {name: list(map(spelt, names)) for name, names in found.variables.items()},
        "rebuilt": [spelt(name) for name in env.mesh.tables if built.get(name, {}).get("status") == "published"],
        "domains": domains,
        "changes": list(said.changes) if said else [],
        "differences": comparing.tables(
            env, site, [name for name in env.mesh.tables if name in tables], sampled=3, said=said
        ),
        "ok": all(domain["verdict"] != "fail" for domain in domains),
    }


def _domain(
    env: Environment,
    domain: str,
    tables: Iterable[str],
    built: Mapping[str, Json],
    before: Mapping[str, Version],
    after: Mapping[str, Version],
    last: Mapping[str, Attempt],
    said: readers.Verdicts | None,
) -> Json:
    own = [name for name in tables if name.partition(".")[0] == domain]
    then, now = dict.fromkeys(readers.COUNTS, 0), dict.fromkeys(readers.COUNTS, 0)
    found: list[Json] = []
    rows = []
    for name in own:
        _add(then, before[name].record.get("tests", {}) if name in before else {})
        told, results = readers.results(env, name, after.get(name), last.get(name))
        _add(now, told)
        found += [_finding(name, item) for item in results]
        row = built.get(name, {})
        rows.append(
            {
                "table": spelt(name),
                "status": row.get("status", "unchanged"),
                "message": row.get("message", ""),
                "version": {"before": _number(before.get(name)), "after": _number(after.get(name))},
                "rows": {"before": _rows(before.get(name)), "after": _rows(after.get(name))},
            }
        )
    for judged in readers.of_ports(env, domain, own, before).values():
        _add(then, readers.counted(judged))
    for port, judged in readers.of_ports(env, domain, own, after).items():
        _add(now, readers.counted(judged))
        named = f"{domain}/in/{port.replace('.', '__', 1)}"
        found += [_finding(named, item) for item in judged]
    failing = [item for item in found if item["status"] not in ("pass", "warn")]
    stopped = [row for row in rows if row["status"] in ("held", "failed")]
    verdict = "fail" if stopped or failing or now["fail"] else "warn" if now["warn"] > then["warn"] else "ok"
    return {
        "domain": domain,
        "before": then,
        "after": now,
        "verdict": verdict,
        "tables": rows,
        "results": found,
        "failing": failing,
        "readers": _of_domain(domain, said),
    }


def _of_domain(domain: str, said: readers.Verdicts | None) -> list[Json] | None:
    """What readers of a domain's ports say to their changes; None where that is not known."""
    if said is None:
        return None
    return [row for port, rows in said.readers.items() if port.partition(".")[0] == domain for row in rows]


def _broken(domain: str, problems: Iterable[object]) -> Json:
    none = dict.fromkeys(readers.COUNTS, 0)
    failing = [{"table": domain, "test": "domain_loads", "status": "error", "message": str(each)} for each in problems]
    return {
        "domain": domain,
        "before": none,
        "after": {**none, "fail": 1},
        "verdict": "fail",
        "tables": [],
        "results": failing,
        "failing": failing,
        "readers": None,
    }


def _add(counts: dict[str, int], more: Mapping[str, int]) -> None:
    for name in readers.COUNTS:
        counts[name] += int(more.get(name, 0))


def _finding(table: str, item: Mapping[str, Any]) -> Json:
    return {
        "table": spelt(table),
        "test": str(item["name"]),
        "status": str(item["status"]),
        "message": str(plain(item.get("message") or "")),
    }


def _number(version: Version | None) -> int | None:
    return version.version if version else None


def _rows(version: Version | None) -> int | None:
    return version.record.get("rows") if version else None
