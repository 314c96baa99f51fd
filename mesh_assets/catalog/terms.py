"""The contract that a version was published under: its text is kept once, and read again for the version's pages."""

from dataclasses import replace
from functools import lru_cache

from mesh_assets.contract import Contract
from mesh_assets.domain import Table
from mesh_assets.environment import Environment
from mesh_assets.ledger import Version
from mesh_assets.reading.odcs import read_contract
from mesh_assets.reading.source import parse


def table_of(env: Environment, name: str, version: Version | None) -> tuple[Table, bool]:
    """The table with the contract that it had at a version; and whether it is that one.

    Where none was kept (versions of before, and those of a ledger that was lost) it has the contract of today.
    """
    table = env.mesh.tables[name]
    terms = version.record.get("terms") if version else None
    if not terms or table.contract is None:
        return table, table.contract is None
    text = env.ledger.terms([terms]).get(terms)
    contract = _read(text, table.contract.where.path, table.domain, table.short) if text is not None else None
    return (table, False) if contract is None else (replace(table, contract=contract), True)


@lru_cache(maxsize=512)
def _read(text: str, shown: str, domain: str, table: str) -> Contract | None:
    return read_contract(parse(text, shown), domain, table).contract
