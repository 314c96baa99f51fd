"""A kitchen of synthetic rows: which tests say nothing there, and what is kept of how it was opened."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mesh_assets.audit.result import Result, Status
from mesh_assets.contract import Kind
from mesh_assets.environment import SYNTHETIC, Environment, contract_hash
from mesh_assets.numerals import of_rows

NOT_COMPARABLE = "not comparable in a synthetic kitchen: "
"""Before the message of a test that failed already when the kitchen was opened, with production's own code."""
_BASE = "base.json"
_STRICT = frozenset({Kind.COLUMNS, Kind.TYPES, Kind.REQUIRED, Kind.UNIQUE, Kind.PRIMARY_KEY})
"""Of a source: rows that fail these were made badly."""


def comparable(env: Environment, table: str, results: Iterable[Result], *, reader: str = "") -> tuple[Result, ...]:
    """The results as they are; in a kitchen of synthetic rows, without those that fail for what the rows are.

    These are the tests that failed when the kitchen was opened, and its tables were built by production's code: of so many rows,
    of a share in a small table. They are warnings there, and say so.

    Args:
        env: Where the tests were executed.
        table: Which one.
        results: What they gave.
        reader: The domain whose input port's tests they are; empty: the table's own.
    """
    if not (env.home / SYNTHETIC).is_dir():
        return tuple(results)
    known = read(env.home)
    excused = None if known is None else frozenset(known["not_comparable"].get(key_of(table, reader), ()))
    is_source = not reader and table in env.mesh.tables and env.mesh.tables[table].watched
    return tuple(_told(result, excused, strict=is_source) for result in results)


def _told(result: Result, excused: frozenset[str] | None, *, strict: bool) -> Result:
    if result.status not in (Status.FAIL, Status.ERROR):
        return result
    is_excused = result.test.name in excused if excused is not None else not (strict and result.test.kind in _STRICT)
    if not is_excused:
        return result
    why = result.message or of_rows(result.failing_rows or 0, result.total_rows or 0, "fail")
    return replace(result, status=Status.WARN, message=f"{NOT_COMPARABLE}{why}")


def excused(env: Environment) -> dict[str, list[str]]:
    """The tests that are not comparable in a kitchen that was just built, by what `key_of` gives."""
    found: dict[str, list[str]] = {}
    versions = env.ledger.versions()
    for name, version in sorted(versions.items()):
        if table := env.mesh.tables.get(name):
            found[key_of(name)] = _named(env.ledger.results(name, version.version, contract_hash(table)) or ())
    for domain in env.mesh.domains.values():
        for port in domain.inputs:
            if port.contract and port.table in versions:
                judged = env.ledger.judged(domain.name, port.table, versions[port.table].version, port.contract.hash)
                found[key_of(port.table, domain.name)] = _named(judged.results if judged else ())
    return {key: names for key, names in found.items() if names}


def _named(results: Iterable[Mapping[str, Any]]) -> list[str]:
    return [str(item["name"]) for item in results if str(item.get("message") or "").startswith(NOT_COMPARABLE)]


def key_of(table: str, reader: str = "") -> str:
    """Under which the tests of a table, or of an input port, are kept."""
    return f"{reader}/in/{table}" if reader else table


def read(home: Path) -> Mapping[str, Any] | None:
    """What is kept of how the kitchen was opened; None while it is being built, and of any other."""
    file = home / SYNTHETIC / _BASE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def write(home: Path, told: Mapping[str, Any]) -> None:
    """Keep it: from here on a test that fails is one that did not before."""
    file = home / SYNTHETIC / _BASE
    new = file.with_suffix(".new")
    new.write_text(json.dumps(told, indent=1), encoding="utf-8")
    new.replace(file)
