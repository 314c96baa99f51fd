"""What a table was in its earlier versions: measured once, and kept, for a version never changes."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import sqlalchemy as sa

from mesh_assets.audit.library.kinds import Earlier, Values
from mesh_assets.environment import Environment
from mesh_assets.store import now as stamp

if TYPE_CHECKING:
    import duckdb

METADATA = sa.MetaData()
_measures = sa.Table(
    "measures",
    METADATA,
    sa.Column("table", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("fingerprint", sa.Text, primary_key=True),
    sa.Column("query", sa.Text, primary_key=True),
    sa.Column("values", sa.JSON, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
)
"""Values of measures by version; `query` is the hash of the SQL, in which `{}` stands for the table."""


@dataclass(frozen=True)
class Past:
    """See `audit.library.Past`."""

    env: Environment
    table: str
    con: "duckdb.DuckDBPyConnection"
    before: int | None
    now: datetime

    def versions(self, limit: int) -> Sequence[Earlier]:
        """The last versions before the one that is tested, oldest first."""
        known = [
            item
            for item in self.env.ledger.history(self.table, limit=limit + 100)
            if self.before is None or item.version < self.before
        ]
        return tuple(
            Earlier(item.version, datetime.fromisoformat(item.at), self.env.lake.relation(self.table, item.version))
            for item in reversed(known[:limit])
        )

    def values(self, limit: int, sql: Callable[[str], str]) -> Sequence[tuple[Earlier, Values]]:
        """What a measure was on them, oldest first."""
        key = hashlib.sha256(sql("{}").encode()).hexdigest()
        found = [(earlier, self._value(earlier, key, sql)) for earlier in self.versions(limit)]
        return tuple((earlier, values) for earlier, values in found if values is not None)

    def _value(self, earlier: Earlier, key: str, sql: Callable[[str], str]) -> Values | None:
        import duckdb

        store, c = self.env.ledger.store, _measures.c
        store.ensure(METADATA)
        # A lake that was put back may have another version of this number: the fingerprint tells.
        fingerprint = self.env.ledger.fingerprint(self.table, earlier.version)
        query = sa.select(c["values"]).where(
            c.table == self.table, c.version == earlier.version, c.fingerprint == fingerprint, c.query == key
        )
        with store.reading() as db:
            if (known := db.execute(query).scalar()) is not None:
                return known
        try:
            values = _row(self.con, sql(earlier.relation))
        except duckdb.Error:  # it had other columns then, or its files are gone
            return None
        row = {"table": self.table, "version": earlier.version, "fingerprint": fingerprint, "query": key}
        with store.writing() as db:
            store.put(db, _measures, row | {"values": values, "at": stamp()}, replace=True)
        return values


def of(env: Environment, table: str, con: "duckdb.DuckDBPyConnection", *, before: int | None) -> Past:
    """The past of a table before a version; None: before what comes next."""
    return Past(env, table, con, before, datetime.now(UTC))


def _row(con: "duckdb.DuckDBPyConnection", query: str) -> dict[str, object]:
    cursor = con.execute(query)
    names, row = [column[0] for column in cursor.description or ()], cursor.fetchone()
    values = dict(zip(names, row or [None] * len(names), strict=True))
    # JSON has no NaN; as text it is read back as the number it was.
    return json.loads(json.dumps({name: _kept(value) for name, value in values.items()}, default=str))


def _kept(value: object) -> object:
    if isinstance(value, float) and value - value != 0:
        return str(value)
    return str(value) if isinstance(value, Decimal) else value
