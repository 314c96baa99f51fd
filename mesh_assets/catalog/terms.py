"""The contract that a version was published under, read again from its kept text, and what its tests said of the version."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from mesh_assets.contract import Contract
from mesh_assets.domain import Table
from mesh_assets.environment import Environment, contract_hash
from mesh_assets.ledger import Version
from mesh_assets.reading.odcs import read_contract
from mesh_assets.reading.source import parse


def contract_of(env: Environment, name: str, version: Version | None) -> tuple[Contract | None, bool]:
    """The contract that a table had at a version; and whether it is that one.

    Where none was kept (versions of before, and those of a ledger that was lost) it is the contract of today.
    """
    table = env.mesh.tables[name]
    terms = version.record.get("terms") if version else None
    if not terms or table.contract is None:
        return table.contract, table.contract is None
    text = env.ledger.terms([terms]).get(terms)
    contract = _read(text, table.contract.where.path, table.domain, table.short) if text is not None else None
    return (table.contract, False) if contract is None else (contract, True)


def tested(
    env: Environment, table: Table, version: Version, *, then: bool
) -> tuple[Contract | None, tuple[Mapping[str, Any], ...]]:
    """A contract, and what its tests said of a version.

    Args:
        env: The environment.
        table: Whose version it is.
        version: Which one.
        then: As it was published; else by the contract of today, where that has tested it since.
    """
    if not then and (known := env.ledger.results(table.name, version.version, contract_hash(table))) is not None:
        return table.contract, known
    contract, _ = contract_of(env, table.name, version)
    kept = env.ledger.results(table.name, version.version, contract.hash if contract else "")
    # The code of its checks.py is part of the hash, and not of the text.
    return contract, kept or env.ledger.said(table.name, version.version, version.run, others=True) or ()


@lru_cache(maxsize=512)
def _read(text: str, shown: str, domain: str, table: str) -> Contract | None:
    return read_contract(parse(text, shown), domain, table).contract
