"""What SQL gives, and whether it still stands, without data: DuckDB binds it against empty tables, in about a millisecond."""

import re
from collections.abc import Mapping, Sequence

from mesh_assets.changes.lineage import Columns
from mesh_assets.changes.texts import CTE, Text
from mesh_assets.changes.widths import canonical
from mesh_assets.domain import Table

Found = tuple[tuple[str, str], ...]
_LINE = re.compile(r"LINE (\d+):")
_THIS = re.compile(r"\bthis\b", re.IGNORECASE)
_KIND = re.compile(r"^\w+ Error: ")  # DuckDB's own word for what went wrong


class DoesNotBind(Exception):  # noqa: N818 - an outcome
    """SQL that cannot stand on these columns. `line` counts from 1, in the SQL's own text."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.line = line


class Bench:
    """Empty tables on which SQL is bound. Not for many threads at once."""

    def __init__(self) -> None:
        import duckdb

        self._con = duckdb.connect(":memory:", config={"enable_external_access": "false"})
        self._made: dict[str, Found] = {}
        self._schemas: set[str] = set()
        self._this: Found = ()
        self._bound: dict[tuple, Found | DoesNotBind] = {}

    def close(self) -> None:
        """Let go of the database."""
        self._con.close()

    def bind(self, text: Text, table: Table, columns: Columns) -> Found:
        """The columns that a text gives over these inputs, before they are cast to a contract.

        Raises:
            DoesNotBind: It cannot stand on them.
        """
        known = tuple((name, columns.get(name)) for name in (*table.inputs, table.name))
        key = (text.sql, tuple((name, part.sql) for name, part in text.parts.items()), table.domain, known)
        found = self._bound.get(key)
        if found is None:
            try:
                found = self._described(text, table, {name: told for name, told in known if told is not None})
            except DoesNotBind as error:
                found = error
            self._bound[key] = found
        if isinstance(found, DoesNotBind):
            raise DoesNotBind(str(found), found.line)
        return found

    def _described(self, text: Text, table: Table, columns: Columns) -> Found:
        import duckdb

        for name, found in columns.items():
            self._lay(name, found)
        if _THIS.search(text.sql):
            self._lay_this(table, columns.get(table.name, ()))
        self._schema(CTE)
        self._con.execute(f'USE "memory"."{self._schema(table.domain)}"')
        try:
            for name, part in text.parts.items():
                self._con.execute(f'CREATE OR REPLACE VIEW "{CTE}"."{name}" AS {part.sql}')
            told = self._con.execute(f"DESCRIBE {text.sql}").fetchall()
        except duckdb.Error as error:
            raise _unbound(error) from None
        finally:
            self._con.execute('USE "memory"."main"')
        return tuple((str(row[0]), canonical(str(row[1]))) for row in told)

    def _lay_this(self, table: Table, columns: Found) -> None:
        """The table itself, as it is there already, for one that adds to itself."""
        if self._this:
            self._con.execute("DROP VIEW this")
        if columns:
            self._con.execute(f"CREATE VIEW this AS FROM {_dotted(table.name)}")
        self._this = columns

    def _schema(self, domain: str) -> str:
        if domain not in self._schemas:
            self._con.execute(f'CREATE SCHEMA IF NOT EXISTS "{domain}"')
            self._schemas.add(domain)
        return domain

    def _lay(self, name: str, columns: Found) -> None:
        if self._made.get(name) == columns:
            return
        self._schema(name.partition(".")[0])
        listed = ", ".join(f'"{column.replace(chr(34), chr(34) * 2)}" {kind}' for column, kind in columns)
        self._con.execute(f"CREATE OR REPLACE TABLE {_dotted(name)} ({listed or 'nothing INTEGER'})")
        self._made[name] = columns


def staged(bound: Sequence[Sequence[str]], table: Table) -> Found:
    """The columns as they are published: the contract's first, in its types; then the others, as they are."""
    contract = table.contract
    if contract is None:
        return tuple((name, kind) for name, kind in bound)
    names = {name.lower(): name for name, _ in bound}
    promised = [(names[c.name.lower()], canonical(c.type)) for c in contract.columns if c.name.lower() in names]
    known = {c.name.lower() for c in contract.columns}
    return (*promised, *((name, kind) for name, kind in bound if name.lower() not in known))


def columns_of(record: Mapping[str, object]) -> Found:
    """The columns that a version's record tells of."""
    told = record.get("columns")
    return tuple((str(name), canonical(str(kind))) for name, kind in told) if isinstance(told, list) else ()


def _unbound(error: Exception) -> DoesNotBind:
    told = str(error).strip()
    found = _LINE.search(told)
    return DoesNotBind(_KIND.sub("", told.splitlines()[0]), int(found.group(1)) if found else 1)


def _dotted(name: str) -> str:
    domain, _, short = name.partition(".")
    return f'"{domain}"."{short}"'
