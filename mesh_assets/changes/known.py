"""The columns of every table, read when they are asked for: most questions are about few of ten thousand."""

from collections.abc import Iterator, Mapping
from typing import Any

from mesh_assets.changes.binding import Found, columns_of
from mesh_assets.changes.shape import shape_of
from mesh_assets.domain import Mesh, Table
from mesh_assets.environment import Environment
from mesh_assets.order import promises

FEW = 30
"""Looked up one neighbourhood at a time; whoever asks for more is after the whole mesh."""


def known_columns(env: Environment, mesh: Mesh | None = None, *, upto: int | None = None) -> "KnownColumns":
    """The columns of every table: as its last version has them; before the first one, as its contract says.

    Tables of which neither is there are not in it. What is published after this moment is not seen, nor after version `upto`.
    """
    return KnownColumns(env, mesh or env.mesh, upto)


class KnownColumns(Mapping[str, Found]):
    """(name, type) of every column, by `domain.table`."""

    def __init__(self, env: Environment, mesh: Mesh, upto: int | None = None) -> None:
        self._ledger, self._mesh, self._tables = env.ledger, mesh, mesh.tables
        self._upto = env.ledger.indexed() if upto is None else upto
        self._found: dict[str, Found | None] = {}
        self._built: dict[str, Mapping[str, Any]] = {}
        self._asked = 0
        self._around: dict[str, list[str]] | None = None

    def __getitem__(self, name: str) -> Found:
        if name not in self._tables:
            raise KeyError(name)
        if name not in self._found:
            self._read(name)
        found = self._found[name]
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        self._read_all()
        return (name for name in self._tables if self._found[name] is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def as_built(self, name: str) -> bool:
        """Whether a table was built by the code and the contract that it has in this mesh, on what its inputs hold now.

        Then its columns are those that its code gives, and need not be found by binding it.
        """
        if self.get(name) is None or name not in self._built:
            return False
        table, record = self._tables[name], self._built[name]
        if record.get("code") != table.code or record.get("contract") != promises(self._mesh, name):
            return False
        tried = record.get("tried") or {}
        return all(
            one in self and one in self._built and tried.get(one) == self._built[one].get("fingerprint")
            for one in table.inputs
        )

    def _read(self, name: str) -> None:
        """A table, those that read it, and what they read besides: who asks for the one will ask for the others."""
        self._asked += 1
        if self._asked > FEW:
            self._read_all()
            return
        wanted = {name, *self._tables[name].inputs}
        for reader in self._readers().get(name, ()):
            wanted |= {reader, *self._tables[reader].inputs}
        self._take(sorted(one for one in wanted if one in self._tables and one not in self._found))

    def _readers(self) -> dict[str, list[str]]:
        if self._around is None:
            self._around = {}
            for name, table in self._tables.items():
                for one in table.inputs:
                    self._around.setdefault(one, []).append(name)
        return self._around

    def _read_all(self) -> None:
        self._take([name for name in self._tables if name not in self._found])

    def _take(self, names: list[str]) -> None:
        versions = self._ledger.versions(upto=self._upto, tables=names) if names else {}
        for name in names:
            record: Mapping[str, Any] = versions[name].record if name in versions else {}
            if told := columns_of(record):
                self._built[name] = record
            self._found[name] = told or _promised(self._tables[name])


def _promised(table: Table) -> Found | None:
    if table.contract is None:
        return None
    return tuple((column.name, column.type) for column in shape_of(table).columns)
