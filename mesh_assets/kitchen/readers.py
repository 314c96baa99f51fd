"""For whom a kitchen's changes are compatible or breaking: as `mesh impact` says it, with the tests that the kitchen has run."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mesh_assets.audit.words import is_failure
from mesh_assets.catalog import Json
from mesh_assets.changes.ask import ask
from mesh_assets.changes.judge import change_json, reader_json
from mesh_assets.changes.known import known_columns
from mesh_assets.changes.proposed import between, mesh_at
from mesh_assets.changes.rehearse import Rehearsed
from mesh_assets.environment import Environment, contract_hash
from mesh_assets.kitchen.place import Site
from mesh_assets.ledger import Attempt, Version

COUNTS = ("pass", "warn", "fail")
TRIED = ("held", "failed", "unchanged")
"""How a try can end that says something of the table as it would be now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What a kitchen changes of what others can see.

    Attributes:
        changes: As `mesh impact --json` lists them.
        readers: Likewise, by the port through which a change comes to them (`domain.table`).
    """

    changes: tuple[Json, ...]
    readers: Mapping[str, list[Json]]


def verdicts(env: Environment, site: Site) -> Verdicts | None:
    """What has changed since the kitchen was opened, and what each reader says to it.

    None without a work tree: there is no code of before to compare with.
    """
    if not site.has_code:
        return None
    with mesh_at(env.mesh, site.commit) as before:
        known = known_columns(env, before, upto=site.snapshot)
        proposed = between(before, env.mesh, known, known.as_built)
        found = ask(env, proposed, ran=_ran(env, site)).report
    told = defaultdict(list)
    for reader in found.readers:
        told[reader.port].append(reader_json(reader))
    return Verdicts(changes=tuple(change_json(change, found) for change in found.changes), readers=dict(told))


def results(
    env: Environment, name: str, version: Version | None, last: Attempt | None
) -> tuple[Mapping[str, int], Sequence[Mapping[str, Any]]]:
    """Counts and results of the tests as they are now: of a candidate that is held, else of the last version."""
    if is_held(version, last) and last is not None:
        return last.record.get("tests", {}), last.record.get("results", ())
    if version is None:
        return {}, ()
    kept = env.ledger.results(name, version.version, contract_hash(env.mesh.tables[name]))
    return (counted(kept), kept) if kept else (version.record.get("tests", {}), ())


def is_held(version: Version | None, last: Attempt | None) -> bool:
    """Whether a candidate is held that is newer than the version."""
    return last is not None and last.outcome == "held" and (version is None or last.head >= version.version)


def counted(found: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many tests passed, warned and failed; an error is a failure."""
    counts = dict.fromkeys(COUNTS, 0)
    for item in found:
        counts["fail" if item["status"] == "error" else str(item["status"])] += 1
    return counts


def of_ports(
    env: Environment, domain: str, tables: Iterable[str], versions: Mapping[str, Version]
) -> dict[str, list[Mapping[str, Any]]]:
    """What a domain's own contracts say of the versions that these of its tables read, by the table that is read."""
    read = {name for table in tables for name in env.mesh.tables[table].inputs}
    found = {}
    for port in env.mesh.domains[domain].inputs:
        if port.contract and port.table in read:
            version = versions.get(port.table)
            said = env.ledger.judged(domain, port.table, version.version, port.contract.hash) if version else None
            found[port.table] = list(said.results) if said else []
    return found


def _ran(env: Environment, site: Site) -> dict[str, Rehearsed]:
    """What was tried in the kitchen, with the tests that fail now and did not at its base."""
    before, after, last = env.ledger.versions(upto=site.snapshot), env.ledger.versions(), env.ledger.attempts()
    found = {}
    for name, table in env.mesh.tables.items():
        version, tried = after.get(name), last.get(name)
        tried = tried if tried and tried.at > site.opened and tried.outcome in TRIED else None
        if tried is None and (version is None or version.version <= site.snapshot):
            continue
        if tried is not None and tried.outcome == "failed":
            said = {"name": "it_runs", "status": "error", "message": tried.record.get("message", "")}
            found[name] = Rehearsed(table=name, ran=True, failed=(said,))
            continue
        counts, told = results(env, name, version, tried)
        now = [*told, *_joined(of_ports(env, table.domain, [name], after))]
        then = [*results(env, name, before.get(name), None)[1], *_joined(of_ports(env, table.domain, [name], before))]
        known = {str(item["name"]) for item in then if is_failure(item)}
        failed = tuple(item for item in now if is_failure(item) and str(item["name"]) not in known)
        found[name] = Rehearsed(table=name, ran=True, passed=counts.get("pass", 0), failed=failed)
    return found


def _joined(found: Mapping[str, Iterable[Mapping[str, Any]]]) -> Iterable[Mapping[str, Any]]:
    return (item for items in found.values() for item in items)
