"""What a table has beside its rows and columns: comments, partitions, an order. And views."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from mesh_assets.lake.sqltext import in_lake, quoted, text
from mesh_assets.lake.staging import described

if TYPE_CHECKING:
    import duckdb

    from mesh_assets.lake.lake import Lake

_CATALOG = "{DUCKLAKE_CATALOG}"
_NO_COMMENT = "Empty again "
"""Before a version of no rows could be made otherwise, the mesh wrote such a comment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Of one table, or of one view.

    Attributes:
        comment: Of all of it.
        columns: Columns that have a comment, with it, in their order.
        partitions: Column and transform (`identity`, `year`, `bucket(4)`, …) of each key, in order.
        order: Expression and direction (`DESC NULLS FIRST`) of each key by which DuckLake sorts what it writes.
        view: The query, when it is a view.
        names: What the view calls its columns, as SQL; empty: as the query does.
    """

    comment: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    partitions: tuple[tuple[str, str], ...] = ()
    order: tuple[tuple[str, str], ...] = ()
    view: str = ""
    names: str = ""

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Self:
        """From what `told` gave, also by way of JSON."""
        words = {name: str(told[name]) for name in ("comment", "view", "names") if name in told}
        pairs = {
            name: tuple((str(a), str(b)) for a, b in told.get(name, ())) for name in ("columns", "partitions", "order")
        }
        return cls(columns=pairs["columns"], partitions=pairs["partitions"], order=pairs["order"], **words)

    @property
    def is_hashed(self) -> bool:
        """Whether rows are put into buckets: DuckLake 1.5.5 finds only those that it has put there itself."""
        return any(transform.startswith("bucket") for _, transform in self.partitions)

    def told(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    def unlike(self, other: "Features") -> tuple[str, ...]:
        """In what it differs from another, in words."""
        found = []
        if (self.view, self.names) != (other.view, other.names):
            found.append("view")
        if (self.comment, self.columns) != (other.comment, other.columns):
            found.append("comments")
        if self.partitions != other.partitions:
            found.append("partitioning")
        if self.order != other.order:
            found.append("sort order")
        return tuple(found)


NONE = Features()


def read(lake: "Lake", version: int | None = None, names: Collection[str] | None = None) -> dict[str, Features]:
    """The features of tables that have any, and of views, by `domain.name`; views as they were made, last.

    Args:
        lake: Where.
        version: At which; default: now.
        names: Of these alone; default: of all.
    """
    rows = (
        [] if names is not None and not names else lake._rows(_asked(lake.catalog.native, version, names), native=True)
    )
    found: dict[str, dict[str, Any]] = {}
    for kind, _, name, a, b, c in rows:
        told = found.setdefault(name, {"columns": [], "partitions": [], "order": []})
        match kind:
            case "comment" if not a.startswith(_NO_COMMENT):
                told["comment"] = a
            case "column":
                told["columns"].append((a, b))
            case "partition":
                told["partitions"].append((a, b))
            case "sort":
                told["order"].append((a, b.replace("_", " ")))
            case "view":
                told |= {"view": a.replace(_CATALOG, "mesh"), "names": b, "comment": c}
    return {name: features for name, told in found.items() if (features := Features.read(told)) != NONE}


def _asked(p: str, version: int | None, names: Collection[str] | None) -> str:
    """One query for everything: kind, place, name, and what it says."""
    at = f"{int(version)}" if version is not None else f"(SELECT max(snapshot_id) FROM {p}ducklake_snapshot)"

    def then(alias: str) -> str:
        return f"{alias}.begin_snapshot <= {at} AND ({alias}.end_snapshot IS NULL OR {alias}.end_snapshot > {at})"

    def those(alias: str, name: str) -> str:
        if names is None:
            return ""
        listed = ", ".join(text(each) for each in sorted(names))
        return f" AND {alias}.schema_name || '.' || {name} IN ({listed})"

    def of_table(kind: str) -> str:
        return f"{p}ducklake_{kind} x JOIN named n ON n.id = x.table_id AND {then('x')}"

    def column(table: str) -> str:
        return (
            f"{p}ducklake_column c ON c.table_id = {table}.table_id AND c.column_id = {table}.column_id AND {then('c')}"
        )

    return (
        f"WITH named AS (SELECT t.table_id AS id, s.schema_name || '.' || t.table_name AS name FROM {p}ducklake_table t "
        f"JOIN {p}ducklake_schema s ON s.schema_id = t.schema_id WHERE {then('t')} AND {then('s')}{those('s', 't.table_name')}) "
        "SELECT 'comment' AS kind, 0 AS place, n.name AS name, x.value AS a, '' AS b, '' AS c "
        f"FROM {p}ducklake_tag x JOIN named n ON n.id = x.object_id AND {then('x')} "
        "WHERE x.key = 'comment' AND x.value IS NOT NULL "
        "UNION ALL SELECT 'column', c.column_order, n.name, c.column_name, x.value, '' "
        f"FROM {of_table('column_tag')} JOIN {column('x')} "
        "WHERE x.key = 'comment' AND x.value IS NOT NULL AND c.parent_column IS NULL "
        "UNION ALL SELECT 'partition', k.partition_key_index, n.name, c.column_name, k.transform, '' "
        f"FROM {of_table('partition_info')} JOIN {p}ducklake_partition_column k ON k.partition_id = x.partition_id "
        f"AND k.table_id = x.table_id JOIN {column('k')} "
        "UNION ALL SELECT 'sort', k.sort_key_index, n.name, k.expression, k.sort_direction || ' ' || k.null_order, '' "
        f"FROM {of_table('sort_info')} JOIN {p}ducklake_sort_expression k ON k.sort_id = x.sort_id AND k.table_id = x.table_id "
        "UNION ALL SELECT 'view', v.view_id, s.schema_name || '.' || v.view_name, v.sql, coalesce(v.column_aliases, ''), "
        f"coalesce((SELECT x.value FROM {p}ducklake_tag x WHERE x.object_id = v.view_id AND x.key = 'comment' "
        f"AND {then('x')}), '') FROM {p}ducklake_view v JOIN {p}ducklake_schema s ON s.schema_id = v.schema_id "
        f"WHERE {then('v')} AND {then('s')}{those('s', 'v.view_name')} ORDER BY 1, 2, 3"
    )


def put(con: "duckdb.DuckDBPyConnection", name: str, before: Features, after: Features) -> bool:
    """Give a table, or a view, other features, in the open transaction; whether anything had to be done.

    What is said of columns that the table does not have is left out, and so are buckets, which nobody may give to a table that
    has rows.
    """
    if before == after:
        return False
    statements = list(_view(name, before, after) if before.view or after.view else _table(con, name, before, after))
    for statement in statements:
        con.execute(statement)
    return bool(statements)


def _view(name: str, before: Features, after: Features) -> Iterator[str]:
    if not after.view:
        yield f"DROP VIEW IF EXISTS {in_lake(name)}"
        return
    is_other = (before.view, before.names) != (after.view, after.names)
    if is_other:
        yield f"CREATE SCHEMA IF NOT EXISTS mesh.{quoted(name.partition('.')[0])}"
        names = f" ({after.names})" if after.names else ""
        yield f"CREATE OR REPLACE VIEW {in_lake(name)}{names} AS {after.view}"
    if after.comment != ("" if is_other else before.comment):
        yield f"COMMENT ON VIEW {in_lake(name)} IS {_said(after.comment)}"


def _table(con: "duckdb.DuckDBPyConnection", name: str, before: Features, after: Features) -> Iterator[str]:
    there = {column for column, _ in described(con, in_lake(name))}
    if before.comment != after.comment:
        yield f"COMMENT ON TABLE {in_lake(name)} IS {_said(after.comment)}"
    was, is_ = dict(before.columns), dict(after.columns)
    for column in sorted((was.keys() | is_.keys()) & there):
        if was.get(column, "") != is_.get(column, ""):
            yield f"COMMENT ON COLUMN {in_lake(name)}.{quoted(column)} IS {_said(is_.get(column, ''))}"
    keys = after.partitions if all(column in there for column, _ in after.partitions) else ()
    if after.is_hashed and keys != before.partitions:
        keys = ()
    if keys != before.partitions:
        told = f"SET PARTITIONED BY ({', '.join(_key(*key) for key in keys)})" if keys else "RESET PARTITIONED BY"
        yield f"ALTER TABLE {in_lake(name)} {told}"
    if after.order != before.order:
        keys = ", ".join(f"{expression} {way}" for expression, way in after.order)
        told = f"SET SORTED BY ({keys})" if keys and _can_sort(con, name, after) else "RESET SORTED BY"
        yield f"ALTER TABLE {in_lake(name)} {told}"


def _can_sort(con: "duckdb.DuckDBPyConnection", name: str, features: Features) -> bool:
    """Whether the table still has the columns that its order is made of."""
    import duckdb

    try:
        described(con, f"(SELECT {', '.join(expression for expression, _ in features.order)} FROM {in_lake(name)})")
    except duckdb.BinderException:
        return False
    return True


def _key(column: str, transform: str) -> str:
    if transform == "identity":
        return quoted(column)
    word, _, number = transform.partition("(")
    return f"{word}({number.rstrip(')')}, {quoted(column)})" if number else f"{word}({quoted(column)})"


def _said(comment: str) -> str:
    return text(comment) if comment else "NULL"
