"""The whole mesh at a glance: its domains, its tables, its day."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from mesh_assets.catalog import trust, words
from mesh_assets.catalog.answers import results_over_time, summary
from mesh_assets.catalog.reports import SCHEMA_VERSION, Json, problems_of, spelt
from mesh_assets.catalog.standing import ORDER, Standing, worst
from mesh_assets.domain import Mesh
from mesh_assets.environment import Environment

PAGE = 50
"""Rows of a list on one page."""
TESTED = 20
"""Tables on one page of tests with their histories."""
GRAPH = 60
"""Domains up to which the picture of all of them can be read."""
DAY = timedelta(hours=24)


def domains(env: Environment, standing: Standing, *, search: str = "", page: int = 1, fold: bool = False) -> Json:
    """Every domain: whose it is, and whether it can be trusted today; the worst first.

    Args:
        env: The environment.
        standing: How everything stands.
        search: In a domain's name, title or purpose.
        page: Which page of the list.
        fold: Sub-domains have no rows of their own: they are `parts` of the outermost domain's; a search finds them.
    """
    names = [
        name
        for name in env.mesh.domains
        if _matches(search, name, env.mesh.domains[name].title, env.mesh.domains[name].purpose)
    ]
    rows = [summary(env, standing, name) for name in names]
    stands = {row["domain"]: row["status"] for row in rows} if not search else _stands(env, standing)
    if fold and not search:
        rows = [row for row in rows if not any(outer in env.mesh.domains for outer in row["part_of"])]
    rows.sort(key=lambda row: (_urgency(row), row["domain"]))
    shown, pages = paged(rows, page)
    return {
        "schema_version": SCHEMA_VERSION,
        "mesh": env.mesh.name,
        "title": env.mesh.title or env.mesh.name,
        "snapshot": standing.head,
        "search": search,
        "domains": [{**_brief(row), "trust": trust.score(env, standing, row["domain"])["score"]} for row in shown],
        "total": len(rows),
        "page": pages,
        "broken": broken(env.mesh),
        "graph": graph_of_domains(env.mesh, stands),
    }


def tables(env: Environment, standing: Standing, *, search: str = "", page: int = 1, ports: bool = False) -> Json:
    """Every table, by name."""
    found = [
        table
        for name, table in sorted(env.mesh.tables.items())
        if (table.port or not ports)
        and _matches(
            search,
            name,
            table.contract.description if table.contract else "",
            *(c.name for c in (table.contract.columns if table.contract else ())),
        )
    ]
    shown, pages = paged(found, page)
    return {
        "schema_version": SCHEMA_VERSION,
        "search": search,
        "ports": ports,
        "tables": [{**standing.of(t), "meaning": t.contract.description if t.contract else ""} for t in shown],
        "total": len(found),
        "page": pages,
    }


def day(env: Environment, standing: Standing) -> Json:
    """What was built in the last day, in order: the horizontal pipeline. When nothing was, of the last day with anything."""
    tries = env.ledger.tries(since=(standing.at - DAY).isoformat(), limit=2_000)
    if not tries and (last := env.ledger.tries(limit=1)):
        since = datetime.fromisoformat(last[0].at) - DAY
        tries = env.ledger.tries(since=since.isoformat(), limit=2_000)
    order = {name: place for place, name in enumerate(env.mesh.tables)}
    rows = [
        {**_bar(item), "toolchain": str(env.mesh.tables[item.table].toolchain)}
        for item in tries
        if item.outcome != "skipped" and item.table in order
    ]
    rows.sort(key=lambda row: (order[row["name"]], row["start"]))
    return {
        "from": min((row["start"] for row in rows), default=None),
        "to": max((row["end"] for row in rows), default=None),
        "steps": rows,
    }


def status(env: Environment, standing: Standing, *, page: int = 1) -> Json:
    """What needs somebody today, and how the day went.

    Args:
        env: The environment.
        standing: How everything stands.
        page: Of the tables that need somebody; of those that only warn or never ran the first are here, and how many there are.
    """
    rows = [standing.of(table) for table in env.mesh.tables.values()]
    urgent, warned, never = (
        [row for row in rows if row["status"] in of] for of in (("fail", "late"), ("warn",), ("never ran",))
    )
    attention, pages = paged(urgent, page)
    return {
        "schema_version": SCHEMA_VERSION,
        "snapshot": standing.head,
        "domains": _in_trouble(env, standing),
        "counts": {str(word): sum(row["status"] == str(word) for row in rows) for word in ORDER},
        "attention": [{**row, "failing": _not_passing(env, row["table"])} for row in attention],
        "page": pages,
        "warnings": warned[:PAGE],
        "never": [row["table"] for row in never[:PAGE]],
        "totals": {"attention": len(urgent), "warnings": len(warned), "never": len(never)},
        "running": [
            {"table": spelt(name), "run": run, "log": f"/runs/{run}"}
            for name, run in sorted(env.ledger.building().items())
        ],
        "day": day(env, standing),
        "broken": broken(env.mesh),
    }


def tests(env: Environment, standing: Standing, *, page: int) -> Json:
    """Every test of the mesh that does not pass, table by table, the worst first; each with its history."""
    rows = [standing.of(table) for table in env.mesh.tables.values()]
    flawed = [row for row in rows if row["status"] == "fail" or row["tests"]["fail"] or row["tests"]["warn"]]
    flawed.sort(key=lambda row: (ORDER.index(row["status"]), row["table"]))
    shown, pages = paged(flawed, page, size=TESTED)
    return {
        "schema_version": SCHEMA_VERSION,
        "tables": [{**row, "failing": _not_passing(env, row["table"])} for row in shown],
        "total": len(flawed),
        "page": pages,
    }


def _not_passing(env: Environment, table: str) -> list[Json]:
    found = results_over_time(env, env.mesh.tables[table.replace("/", ".", 1)])
    return [test for test in found if test["status"] not in ("pass", "never ran")]


def _in_trouble(env: Environment, standing: Standing) -> list[Json]:
    """Domains of which a table fails or is late: how many, and by how much the latest."""
    found = []
    for name, domain in env.mesh.domains.items():
        rows = [standing.of(table) for table in standing.own.get(name, ())]
        fails, late = (sum(row["status"] == word for row in rows) for word in ("fail", "late"))
        if fails or late:
            latest = max((row for row in rows if row["freshness"]["late"]), key=_overdue, default=None)
            found.append(
                {
                    "domain": name,
                    "title": domain.title or name,
                    "status": worst([row["status"] for row in rows]),
                    "fails": fails,
                    "late": late,
                    "latest": latest["table"] if latest else None,
                    "late_by": latest["freshness"]["late_by"] if latest else None,
                }
            )
    return found


def _overdue(row: Mapping[str, Any]) -> float:
    """Moments that a table should have been confirmed at, the longest ago first."""
    promised = timedelta(seconds=row["freshness"]["promised_seconds"] or 0)
    return -(datetime.fromisoformat(row["freshness"]["confirmed"]) + promised).timestamp()


def broken(mesh: Mesh) -> list[Json]:
    """Domains that could not be loaded, with what is wrong, as `mesh check` says it."""
    return [{"domain": name, "problems": problems_of(mesh, name)} for name in mesh.broken]


def graph_of_domains(mesh: Mesh, stands: Mapping[str, str]) -> Json:
    """Who reads whom, domain by domain."""
    edges = sorted(
        {
            (port.table.partition(".")[0], name)
            for name, domain in mesh.domains.items()
            for port in domain.inputs
            if port.table.partition(".")[0] in mesh.domains
        }
    )
    nodes = [
        {"domain": name, "title": mesh.domains[name].title or name, "status": stands.get(name, "never ran")}
        for name in mesh.domains
    ]
    return {"nodes": nodes, "edges": [list(edge) for edge in edges], "drawn": len(nodes) <= GRAPH}


def _stands(env: Environment, standing: Standing) -> dict[str, str]:
    return {name: summary(env, standing, name)["status"] for name in env.mesh.domains}


def _urgency(row: Mapping[str, Any]) -> int:
    words = [str(word) for word in ORDER]
    return min(words.index(one["status"]) for one in (row, *row["parts"]))


def _brief(row: Mapping[str, Any]) -> Json:
    kept = (
        "domain",
        "title",
        "part_of",
        "parts",
        "purpose",
        "team",
        "status",
        "reason",
        "reason_of",
        "tests",
        "since",
        "reads",
        "feeds",
        "sources",
        "made_with",
    )
    return {
        **{key: row[key] for key in kept},
        "ports": [port["name"] for port in row["ports"]],
        "private": len(row["private"]),
    }


def _bar(attempt: Any) -> Json:  # noqa: ANN401 - an attempt of the ledger
    found = words.times(attempt.at, attempt.record)
    seconds = float(found["seconds"] or 0)
    start = datetime.fromisoformat(found["started"] or attempt.at)
    return {
        "table": spelt(attempt.table),
        "name": attempt.table,
        "run": attempt.run,
        "log": f"/runs/{attempt.run}",
        "outcome": attempt.outcome,
        "start": start.isoformat(),
        "end": (start + timedelta(seconds=seconds)).isoformat(),
        "seconds": seconds,
    }


def paged(rows: Sequence[Any], page: int, size: int = PAGE) -> tuple[Sequence[Any], Json]:
    """The rows of one page of a list, and which page that is; a page beyond the last is the last."""
    last = max(1, -(-len(rows) // size))
    number = min(max(1, page), last)
    return rows[(number - 1) * size : number * size], {"number": number, "last": last, "size": size}


def _matches(search: str, *texts: str) -> bool:
    wanted = search.casefold().split()
    return all(any(word in text.casefold() for text in texts) for word in wanted)
