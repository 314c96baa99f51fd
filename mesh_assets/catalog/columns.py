"""What each column of a table is made of, what is made of it, and how that is known."""

from collections.abc import Sequence
from typing import Any

from mesh_assets.catalog.reports import spelt
from mesh_assets.changes.judge import cache_of
from mesh_assets.changes.known import known_columns
from mesh_assets.changes.lineage import Known, Lineage, Source, lineage
from mesh_assets.domain import Table, Toolchain
from mesh_assets.environment import Environment

Json = dict[str, Any]
Rows = list[Json]
MOST = 200
"""Readers that are followed: a page that asks about more would keep people waiting."""


class Followed:
    """The columns of an environment's tables, followed through their code; every table is read once, and kept by content."""

    def __init__(self, env: Environment) -> None:
        """As the code is now, over the columns of the last versions."""
        self.env, self.known = env, known_columns(env)
        self._found: dict[str, Lineage] = {}
        self._names: dict[str, dict[str, str]] = {}

    def of(self, table: Table) -> Lineage:
        """What a table reads."""
        if table.name not in self._found:
            self._found[table.name] = lineage(self.env.mesh, table, self.known, cache_of(self.env))
        return self._found[table.name]

    def made_of(self, table: Table) -> dict[str, list[Source]]:
        """By output column, in small letters: (table, column) of all that it is made of, as their owners spell them.

        Empty where the code cannot be followed.
        """
        return {
            column: [(name, self.spelt(name, source)) for name, source in sorted(sources)]
            for column, sources in self.of(table).outputs.items()
        }

    def spelt(self, table: str, column: str) -> str:
        """A column as its table has it; lineage knows small letters alone."""
        if table not in self._names:
            self._names[table] = {name.lower(): name for name, _ in self.known.get(table, ())}
        return self._names[table].get(column.lower(), column)


def told(env: Environment, table: Table) -> Json:
    """The lineage of a table's columns, for a page and for programs.

    Returns:
        `lineage_columns`: per column what it is made `from`, the columns that it `feeds`, and tables that `use` it and make no
        column of it: to join, to filter, or nobody knows for what. `followed`: how that is known of its `inputs` and of its
        `readers`, and why it is not; `more`: readers that were not looked at.
    """
    found = Followed(env)
    made, names = found.made_of(table), [name for name, _ in found.known.get(table.name, ())]
    readers = [other for _, other in sorted(env.mesh.tables.items()) if table.name in other.inputs]
    feeds, used = _downstream(found, table, readers[:MOST])
    return {
        "lineage_columns": [
            {
                "column": column,
                "from": [{"table": spelt(name), "column": source} for name, source in made.get(column.lower(), ())],
                "feeds": feeds.get(column.lower(), []),
                "used_by": used.get(column.lower(), []),
            }
            for column in names or list(made)
        ],
        "followed": {
            **_standing(found, table),
            "inputs": [
                {
                    "table": spelt(use.table),
                    "known": str(use.known),
                    "columns": [found.spelt(use.table, column) for column in sorted(use.columns)],
                }
                for _, use in sorted(found.of(table).uses.items())
            ],
            "readers": [{"table": spelt(other.name), **_standing(found, other)} for other in readers[:MOST]],
            "more": max(0, len(readers) - MOST),
        },
    }


def _downstream(found: Followed, table: Table, readers: Sequence[Table]) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """By column, in small letters: columns that are made of it, and tables that read it without such a column."""
    feeds: dict[str, Rows] = {}
    used: dict[str, Rows] = {}
    for reader in readers:
        here: dict[str, Rows] = {}
        for column, sources in found.of(reader).outputs.items():
            row = {"table": spelt(reader.name), "column": found.spelt(reader.name, column)}
            for name, source in sources:
                if name == table.name:
                    here.setdefault(source, []).append(row)
        for source, rows in here.items():
            feeds.setdefault(source, []).extend(rows)
        use = found.of(reader).uses.get(table.name)
        every = {name.lower() for name, _ in found.known.get(table.name, ())}
        for column in sorted(every if use and use.known is Known.ASSUMED else use.columns if use else ()):
            if use and column not in here:
                used.setdefault(column, []).append({"table": spelt(reader.name), "known": str(use.known)})
    return feeds, used


def _standing(found: Followed, table: Table) -> Json:
    """How a table's columns are known, and why they are not.

    `source`, where it begins outside of the mesh; else the weakest of what is known of its inputs.
    """
    if table.watched:
        return {"known": "source", "why": ""}
    known = {use.known for use in found.of(table).uses.values()}
    weakest = next((word for word in (Known.ASSUMED, Known.DECLARED) if word in known), Known.PROVEN)
    return {"known": str(weakest), "why": _why(table, found.of(table))}


def _why(table: Table, own: Lineage) -> str:
    """Why its columns cannot be followed; empty where they are."""
    if own.outputs:
        return ""
    if table.toolchain is Toolchain.PYTHON:
        return "a function makes it, and tells nobody which of its columns comes from which"
    if table.toolchain not in (Toolchain.SQL, Toolchain.DBT):
        return "a program makes it, and tells nobody which of its columns comes from which"
    return own.why or "its SQL names no columns"
