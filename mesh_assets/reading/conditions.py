"""A condition or an expression of a rule, judged before it gets into a query: it looks at the table's own columns only."""

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from mesh_assets.errors import nearest

FORBIDDEN = frozenset(
    """
    nextval currval setseed write_log sleep_ms getenv getvariable current_setting current_query current_user current_database
    current_schema current_schemas session_user user version random uuid gen_random_uuid gen_random_uuid_v7 uuidv4 uuidv7
    now today current_date current_time current_timestamp localtime localtimestamp transaction_timestamp get_current_time
    get_current_timestamp current_localtime current_localtimestamp txid_current query query_table error pg_typeof in_search_path
    """.split()  # noqa: SIM905 - reads best as text
)
"""They reach beyond the row, or are different each time."""
_CHANGING = (
    exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime, exp.CurrentDatetime, exp.CurrentUser, exp.Rand, exp.Uuid,
)  # fmt: skip
_REFUSED = (exp.Query, exp.Command, exp.DDL, exp.DML, exp.Placeholder, exp.Parameter, exp.SessionParameter, exp.Star)


def wrong_with(text: str, columns: tuple[str, ...] | None, *, aggregates: bool) -> tuple[str, str] | None:
    """What is wrong with it and how to mend it; None when it can be used.

    Args:
        text: One condition or expression in DuckDB's SQL.
        columns: Those that it may name; None: any.
        aggregates: It is of the whole table, such as `sum(net)`; else of one row.
    """
    try:
        tree = parse_one(f"(\n{text}\n)", read="duckdb")
    except (SqlglotError, RecursionError) as error:
        first = str(error).splitlines()[0].split(". Line")[0] if str(error) else "it is nested too deeply"
        told = "it is not complete" if "<class" in first else f"it cannot be read ({first})"
        return told, "Write one expression in SQL, such as `net <= gross`."
    if not isinstance(tree, exp.Paren) or "--" in text or "/*" in text:
        return "it is more than one expression", "Write one expression, without comments."
    for node in tree.walk():
        if found := _wrong_node(node, columns, aggregates=aggregates):
            return found
    return None


def _wrong_node(node: exp.Expr, columns: tuple[str, ...] | None, *, aggregates: bool) -> tuple[str, str] | None:
    plain = "Name columns of this table, and functions of their values."
    if isinstance(node, _REFUSED) and not (isinstance(node, exp.Star) and isinstance(node.parent, exp.Count)):
        return "it reads other rows or tables", "Use a rule of `type: sql` for that."
    if isinstance(node, exp.Window):
        return "it looks at other rows", "Use a rule of `type: sql` for that."
    if isinstance(node, _CHANGING) or _reaches_out(_function(node)):
        return f"it may not call `{_function(node) or node.key}`", plain
    if isinstance(node, exp.AggFunc) and not aggregates:
        return f"it is of one row, and `{_function(node)}` is of many", "Use the test `expression` for that."
    if isinstance(node, exp.Column):
        return _wrong_column(node, columns)
    return None


def _reaches_out(function: str) -> bool:
    return (
        function in FORBIDDEN or function.startswith(("read_", "duckdb_", "pragma_", "parquet_")) or function == "glob"
    )


def _wrong_column(node: exp.Column, columns: tuple[str, ...] | None) -> tuple[str, str] | None:
    if node.name.lower() in FORBIDDEN and not node.this.quoted and (columns is None or node.name not in columns):
        return f"it may not call `{node.name}`", "Name columns of this table, and functions of their values."
    first = node.parts[0].name  # of a struct's field, the column comes first
    if columns is None or first.lower() in {name.lower() for name in columns} or _is_lambda(node, first):
        return None
    return f"`{first}` is no column of this contract", nearest(first, columns)


def _is_lambda(node: exp.Expr, name: str) -> bool:
    above = node.find_ancestor(exp.Lambda)
    while above is not None:
        if name in {one.name for one in above.expressions}:
            return True
        above = above.find_ancestor(exp.Lambda)
    return False


def _function(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return str(node.name).lower()
    return node.sql_name().lower() if isinstance(node, exp.Func) else ""
