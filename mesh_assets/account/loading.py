"""Domains whose own code does not load: known since it was last tried, for to find out is to run it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from mesh_assets.account import record
from mesh_assets.domain import Mesh
from mesh_assets.environment import Environment

WHAT = "loading"


def keep(env: Environment, broken: Mapping[str, Sequence[str]], domains: Iterable[str]) -> None:
    """Keep what came of loading these domains; of others it stays as it was.

    Args:
        env: The environment.
        broken: Those that did not load, with what is wrong.
        domains: All that were tried.
    """
    store, tried = env.ledger.store, frozenset(domains)
    others = {name: told for name, told in record.observed(store, WHAT).items() if name not in tried}
    found = {
        name: {"code": _code(env.mesh, name), "problems": list(told)}
        for name, told in broken.items()
        if name in env.mesh.domains
    }
    record.observe(store, WHAT, {**others, **found})


def unloadable(env: Environment) -> dict[str, tuple[str, ...]]:
    """Domains that did not load when it was last tried, with what is wrong; once their code is another, nothing is known."""
    return {
        name: tuple(told["problems"])
        for name, told in sorted(record.observed(env.ledger.store, WHAT).items())
        if name in env.mesh.domains and told["code"] == _code(env.mesh, name)
    }


def _code(mesh: Mesh, domain: str) -> str:
    parts = sorted(f"{table.name} {table.code}" for table in mesh.tables.values() if table.domain == domain)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
