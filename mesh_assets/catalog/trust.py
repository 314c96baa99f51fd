"""Can a domain be trusted today? A score out of 100, with everything that it is made of shown."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from mesh_assets.catalog import words
from mesh_assets.catalog.standing import Standing, counts
from mesh_assets.domain import Mesh, Table
from mesh_assets.environment import Environment
from mesh_assets.ledger import Version

WEIGHTS: Mapping[str, int] = {"tests": 40, "freshness": 20, "contract": 15, "docs": 10, "incidents": 10, "readers": 5}
"""What each part counts for; together 100."""
MEANS: Mapping[str, str] = {
    "tests": "share of tests that pass; one that warns counts half; of a table that is held, failed or never ran none passes",
    "freshness": "share of tables that are as fresh as promised; one that promises nothing counts when it was built",
    "contract": "share of output ports with a contract that tests more than columns and types, and promises a service level",
    "docs": "share of: a purpose, an owner, a README, and a meaning for every column of every port",
    "incidents": "1, less a fifth for each time a table was held or failed in the last 30 days",
    "readers": "share of readers' verdicts on its ports that admit the newest version they judged",
}
DAYS = 14
"""Of history."""
WINDOW = timedelta(days=30)
"""In which incidents count."""


def score(env: Environment, standing: Standing, domain: str) -> dict[str, Any]:
    """One domain's: `score`, `parts` (each with its share, its weight and its points), `formula`."""
    own = list(standing.own.get(domain, ()))
    serves = [table.name in standing.versions and not standing.stopped(table) for table in own]
    parts = {
        "tests": _tests([standing.of(table)["tests"] for table in own], serves),
        "freshness": _share(_is_fresh(standing, table) for table in own),
        "contract": _share(_has_contract(table) for table in own if table.port),
        "docs": _docs(env.mesh, domain, own),
        "incidents": _calm(_incidents(standing, own, standing.at - WINDOW)),
        "readers": _share(admitted for table, admitted in standing.verdicts if table.startswith(f"{domain}.")),
    }
    return _made(parts)


def history(env: Environment, standing: Standing, domain: str, today: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The score at the end of each of the last days, today's last: tests, freshness and incidents as they were then; contract, docs and readers as today."""
    own = list(standing.own.get(domain, ()))
    versions = {table.name: env.ledger.history(table.name, limit=500) for table in own}
    bad = _incidents(standing, own, standing.at - WINDOW - timedelta(days=DAYS))
    turns = {table.name: _turns(env, standing, table, versions[table.name]) for table in own}
    parts = {item["part"]: item["share"] for item in today["parts"]}
    found = []
    for back in range(DAYS - 1, 0, -1):
        moment = standing.at - timedelta(days=back)
        until = moment.isoformat()
        then = {name: next((v for v in items if v.at <= until), None) for name, items in versions.items()}
        if not any(then.values()):
            continue
        tests = [counts(table, then[table.name], None) for table in own]
        serves = [_served(turns[table.name], until) for table in own]
        fresh = [not words.freshness(t.contract, v.at if (v := then[t.name]) else None, moment)["late"] for t in own]
        calm = _calm([at for at in bad if (moment - WINDOW).isoformat() < at <= until])
        past = {**parts, "tests": _tests(tests, serves), "freshness": _share(fresh), "incidents": calm}
        found.append({"day": moment.date().isoformat(), "score": _made(past)["score"]})
    return [*found, {"day": standing.at.date().isoformat(), "score": today["score"]}]


def _made(parts: Mapping[str, float]) -> dict[str, Any]:
    rows = [
        {
            "part": name,
            "share": round(parts[name], 3),
            "weight": weight,
            "points": round(parts[name] * weight, 1),
            "means": MEANS[name],
        }
        for name, weight in WEIGHTS.items()
    ]
    return {
        "score": round(sum(parts[name] * weight for name, weight in WEIGHTS.items())),
        "parts": rows,
        "formula": " + ".join(f"{weight} x {name}" for name, weight in WEIGHTS.items()),
    }


def _tests(tests: Sequence[Mapping[str, int]], serves: Sequence[bool]) -> float:
    """Of each table its counts, and whether what was tried last is what readers have."""
    passed = whole = 0.0
    for count, served in zip(tests, serves, strict=True):
        passed += (count["pass"] + count["warn"] / 2) * served
        whole += sum(count.values()) if served else max(1, sum(count.values()))
    return passed / whole if whole else 1.0


def _turns(
    env: Environment, standing: Standing, table: Table, versions: Sequence[Version]
) -> Sequence[tuple[str, bool]]:
    """When something new came of a table (published, or found unchanged) and when it was stopped, in order."""
    stops = [(at, False) for name, at in standing.incidents if name == table.name]
    if not stops:
        return sorted((version.at, True) for version in versions)
    same = env.ledger.tries(table=table.name, since=min(stops)[0], outcomes=("unchanged",), limit=500)
    return sorted([*stops, *((version.at, True) for version in versions), *((item.at, True) for item in same)])


def _served(turns: Sequence[tuple[str, bool]], until: str) -> bool:
    return next((good for at, good in reversed(turns) if at <= until), False)


def _is_fresh(standing: Standing, table: Table) -> bool:
    since = standing.confirmed.get(table.name)
    return since is not None and not words.freshness(table.contract, since, standing.at)["late"]


def _has_contract(table: Table) -> bool:
    contract = table.contract
    return contract is not None and len(contract.tests) > 2 and bool(contract.service_levels)  # noqa: PLR2004 - columns and types


def _docs(mesh: Mesh, name: str, own: Sequence[Table]) -> float:
    domain = mesh.domains[name]
    columns = [column for table in own if table.port and table.contract for column in table.contract.columns]
    said = [bool(domain.purpose), bool(domain.team.owner), (domain.path / "README.md").is_file()]
    return _share([*said, _share(bool(column.description) for column in columns)])


def _incidents(standing: Standing, own: Sequence[Table], since: datetime) -> list[str]:
    names = {table.name for table in own}
    return [at for table, at in standing.incidents if table in names and at >= since.isoformat()]


def _calm(incidents: Sequence[object]) -> float:
    return max(0.0, 1 - len(incidents) / 5)


def _share(found: Any) -> float:  # noqa: ANN401 - truths or shares
    values = [float(item) for item in found]
    return sum(values) / len(values) if values else 1.0
