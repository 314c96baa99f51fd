"""Which rules fail, of what, and the rows that break them: as the audit kept them, masked as the contract says today."""

from collections.abc import Iterable, Mapping
from typing import Any

from mesh_assets.audit.sample import MASK
from mesh_assets.catalog import terms, words
from mesh_assets.catalog.profile import visible
from mesh_assets.catalog.reports import Json, spelt
from mesh_assets.catalog.standing import Standing, counts, stopped
from mesh_assets.contract import Contract
from mesh_assets.domain import Table
from mesh_assets.environment import Environment
from mesh_assets.ledger import Attempt, Version, confirmed
from mesh_assets.numerals import of_rows

SHOWN = 5
"""Tables of which a page shows failing rows."""
_ORDER = ("fail", "error", "warn")


def failing(env: Environment, standing: Standing, table: Table) -> Json | None:
    """Of what was tried last; None: nothing fails or warns."""
    attempt, version = standing.last.get(table.name), standing.versions.get(table.name)
    if attempt is not None and stopped(attempt, version):
        return of_attempt(table, attempt, version)
    if version is None or not _flawed(counts(table, version, attempt)):
        return None
    return of_version(env, table, version, then=not confirmed(attempt, version))


def stops(standing: Standing, tables: Iterable[Table]) -> Json:
    """Of those among these tables of which something was stopped: the first few, and how many there are more."""
    found = [table for table in tables if standing.stopped(table)]
    told = [of_attempt(table, standing.last[table.name], standing.versions.get(table.name)) for table in found[:SHOWN]]
    return {"tables": told, "more": len(found) - len(told)}


def of_attempt(table: Table, attempt: Attempt, version: Version | None) -> Json:
    """Of a candidate that is held, or of a build that failed before its tests: then without rules."""
    return {
        **_subject(table, attempt.at, attempt.run),
        "outcome": attempt.outcome,
        "version": version.version if version else None,
        "message": str(attempt.record.get("message") or attempt.outcome),
        "rules": _rules(table, table.contract, attempt.record.get("results") or ()),
    }


def of_version(env: Environment, table: Table, version: Version, *, then: bool = True) -> Json | None:
    """Of a version as it was published, or as its last confirmation found it; None: all its tests passed."""
    contract, results = terms.tested(env, table, version, then=then)
    rules = _rules(table, contract, results)
    told = {**_subject(table, version.at, version.run), "outcome": "published", "version": version.version}
    return {**told, "message": "", "rules": rules} if rules else None


def _subject(table: Table, at: str, run: str) -> Json:
    return {"table": spelt(table.name), "at": at, "run": run}


def _flawed(tests: Mapping[str, int]) -> bool:
    return bool(tests["warn"] or tests["fail"])


def _rules(table: Table, contract: Contract | None, results: Iterable[Mapping[str, Any]]) -> list[Json]:
    bad = sorted((item for item in results if item["status"] in _ORDER), key=lambda item: _ORDER.index(item["status"]))
    known = {test.name: test for test in (contract.tests if contract else ())}
    shown = visible(table.contract)
    found = []
    for item in bad:
        test = known.get(item["name"])
        count, total = int(item.get("failing_rows") or 0), int(item.get("total_rows") or 0)
        found.append(
            {
                "name": item["name"],
                "promise": words.sentence(test) if test else "",
                "why": test.description if test else "",
                "consequence": words.consequence(item.get("severity") or ""),
                "columns": list(test.columns) if test else [],
                "status": item["status"],
                "failing_rows": count,
                "total_rows": total,
                "says": item.get("message") or of_rows(count, total, "fail"),
                "sample": [
                    {name: value if name in shown else MASK for name, value in row.items()}
                    for row in item.get("sample") or ()
                ],
            }
        )
    return found
