"""Two versions of a table, row by row: what was added, removed, changed, joined by key where there is one."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mesh_assets.domain import Table
from mesh_assets.lake.sqltext import quoted

if TYPE_CHECKING:
    import duckdb

SAMPLED = 10
HIDDEN = "•••"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDiff:
    """How two versions of a table differ.

    Attributes:
        key: Columns by which rows were joined; empty: whole rows were compared, and none can be called changed.
        before: Rows; None when there is no such version.
        after: The same.
        columns: Of the changed rows, how many values differ, by column; only columns that have any.
        sample: Some of the rows that differ, in the order of their keys: `{"what", "key", "values": {column: [before, after]}}`.
        added_columns: Name and type.
        retyped: Name, type before, type after.
    """

    key: tuple[str, ...]
    before: int | None
    after: int | None
    added: int = 0
    removed: int = 0
    changed: int = 0
    columns: dict[str, int] = field(default_factory=dict)
    sample: tuple[dict[str, Any], ...] = ()
    added_columns: tuple[tuple[str, str], ...] = ()
    removed_columns: tuple[tuple[str, str], ...] = ()
    retyped: tuple[tuple[str, str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(
            self.added
            or self.removed
            or self.changed
            or self.added_columns
            or self.removed_columns
            or self.retyped
            or (self.before is None) != (self.after is None)
        )


def key_of(table: Table) -> tuple[str, ...]:
    """Columns that name a row: those it is loaded by, else the contract's primary key, else its first unique column."""
    if table.key or table.contract is None:
        return table.key
    if primary := tuple(column.name for column in table.contract.columns if column.primary_key):
        return primary
    return next(((column.name,) for column in table.contract.columns if column.unique and column.required), ())


def compare(
    con: "duckdb.DuckDBPyConnection",
    before: str,
    after: str,
    key: Sequence[str] = (),
    *,
    hidden: frozenset[str] = frozenset(),
    sampled: int = SAMPLED,
) -> RowDiff:
    """The difference of two relations. Joined on hashes of rows, so that memory does not grow with their width.

    Args:
        con: Where both are.
        before: SQL that can stand after `FROM`.
        after: The same.
        key: Columns that name a row; where both do not have them, whole rows are compared.
        hidden: Columns whose values are not shown.
        sampled: How many rows to show.
    """
    old, new = _columns(con, before), _columns(con, after)
    common = [name for name in old if name in new]
    usable = tuple(key) if key and set(key) <= set(common) else ()
    same = RowDiff(
        key=usable,
        before=_count(con, before),
        after=_count(con, after),
        added_columns=tuple((name, kind) for name, kind in new.items() if name not in old),
        removed_columns=tuple((name, kind) for name, kind in old.items() if name not in new),
        retyped=tuple((name, old[name], new[name]) for name in common if old[name] != new[name]),
    )
    if not common:
        return replace(same, added=same.after, removed=same.before)
    if not usable:
        added, removed = _whole_rows(con, before, after, common)
        return replace(same, added=added, removed=removed)
    rest = [name for name in common if name not in usable]
    _differing(con, before, after, usable, rest)
    try:
        found = dict(con.execute("SELECT what, count(*) FROM differing GROUP BY what").fetchall())
        added, removed, changed = (int(found.get(what, 0)) for what in ("added", "removed", "changed"))
        columns = _by_column(con, before, after, usable, rest) if changed else {}
        sample = _sample(con, before, after, usable, rest, hidden, sampled) if found else ()
    finally:
        con.execute("DROP TABLE IF EXISTS differing")
    return replace(same, added=added, removed=removed, changed=changed, columns=columns, sample=sample)


def _columns(con: "duckdb.DuckDBPyConnection", relation: str) -> dict[str, str]:
    return {row[0]: row[1] for row in con.execute(f"DESCRIBE FROM {relation}").fetchall()}


def _count(con: "duckdb.DuckDBPyConnection", relation: str) -> int:
    return int((con.execute(f"SELECT count(*) FROM {relation}").fetchone() or (0,))[0])


def _hash(columns: Sequence[str]) -> str:
    return f"hash({', '.join(map(quoted, columns))})" if columns else "0"


def _hashed(relation: str, key: Sequence[str], rest: Sequence[str]) -> str:
    # A key of several columns, or of text, is joined by its hash: 64 bits, of which two rows of ten million share one
    # once in some hundred thousand comparisons; then one changed row is counted twice.
    return f"(SELECT {_hash(key)} AS k, {_hash(rest)} AS h FROM {relation})"


def _differing(
    con: "duckdb.DuckDBPyConnection", before: str, after: str, key: Sequence[str], rest: Sequence[str]
) -> None:
    """Hashes of the keys whose rows differ, and how, as a table of this connection's own."""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE differing AS SELECT coalesce(o.k, n.k) AS k, "
        "CASE WHEN o.k IS NULL THEN 'added' WHEN n.k IS NULL THEN 'removed' ELSE 'changed' END AS what "
        f"FROM {_hashed(before, key, rest)} AS o FULL JOIN {_hashed(after, key, rest)} AS n ON o.k = n.k "
        "WHERE o.k IS NULL OR n.k IS NULL OR o.h <> n.h"
    )


def _by_column(
    con: "duckdb.DuckDBPyConnection", before: str, after: str, key: Sequence[str], rest: Sequence[str]
) -> dict[str, int]:
    """One column after the other: as narrow a join as can be."""
    found = {}
    for name in rest:
        (count,) = con.execute(
            f"SELECT count(*) FROM {_where(before, key, [name])} AS o JOIN {_where(after, key, [name])} AS n "
            f"ON o.k = n.k WHERE o.{quoted(name)} IS DISTINCT FROM n.{quoted(name)}"
        ).fetchone() or (0,)
        if count:
            found[name] = int(count)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _where(relation: str, key: Sequence[str], columns: Sequence[str], which: str = "what = 'changed'") -> str:
    names = "".join(f", {quoted(name)}" for name in columns)
    return (
        f"(SELECT * FROM (SELECT {_hash(key)} AS k{names} FROM {relation}) SEMI JOIN "
        f"(SELECT k FROM differing WHERE {which}) USING (k))"
    )


def _sample(
    con: "duckdb.DuckDBPyConnection",
    before: str,
    after: str,
    key: Sequence[str],
    rest: Sequence[str],
    hidden: frozenset[str],
    most: int,
) -> tuple[dict[str, Any], ...]:
    columns = [*key, *rest]
    # The same rows each time, and no sort of all that differ.
    which = f"k IN (SELECT k FROM differing ORDER BY what <> 'changed', k LIMIT {most})"
    shown = ", ".join(f"o.{quoted(name)}, n.{quoted(name)}" for name in columns)
    order = ", ".join(f"coalesce(o.{quoted(name)}, n.{quoted(name)})" for name in key)
    rows = con.execute(
        f"SELECT o.k IS NULL, n.k IS NULL, {shown} FROM {_where(before, key, columns, which)} AS o "
        f"FULL JOIN {_where(after, key, columns, which)} AS n ON o.k = n.k ORDER BY {order} LIMIT {most}"
    ).fetchall()
    return tuple(_row(row, columns, len(key), hidden) for row in rows)


def _row(row: Sequence[Any], columns: Sequence[str], keys: int, hidden: frozenset[str]) -> dict[str, Any]:
    is_new, is_gone, *values = row
    pairs = {name: (values[2 * place], values[2 * place + 1]) for place, name in enumerate(columns)}
    what = "added" if is_new else "removed" if is_gone else "changed"
    key = {name: _shown(name, pairs[name][0 if is_gone else 1], hidden) for name in columns[:keys]}
    told = {
        name: [_shown(name, value, hidden) for value in pairs[name]]
        for name in columns[keys:]
        if what == "changed" and pairs[name][0] != pairs[name][1]
    }
    return {"what": what, "key": key, "values": told}


def _shown(name: str, value: object, hidden: frozenset[str]) -> object:
    return HIDDEN if name in hidden and value is not None else value


def _whole_rows(con: "duckdb.DuckDBPyConnection", before: str, after: str, columns: Sequence[str]) -> tuple[int, int]:
    """How many rows came and went: by their hashes, each as often as it is there."""
    found = con.execute(
        "SELECT coalesce(sum(greatest(d, 0)), 0), coalesce(sum(greatest(-d, 0)), 0) FROM (SELECT sum(c) AS d FROM ("
        f"SELECT {_hash(columns)} AS h, 1 AS c FROM {after} UNION ALL "
        f"SELECT {_hash(columns)}, -1 FROM {before}) GROUP BY h)"
    ).fetchone() or (0, 0)
    return int(found[0]), int(found[1])
