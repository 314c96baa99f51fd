"""The contract that a version was published under: its text is kept once, and read again for the version's pages."""

from functools import lru_cache

from mesh_assets.contract import Contract
from mesh_assets.environment import Environment
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


@lru_cache(maxsize=512)
def _read(text: str, shown: str, domain: str, table: str) -> Contract | None:
    return read_contract(parse(text, shown), domain, table).contract
