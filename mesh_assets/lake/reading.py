"""A person's query on published tables: it can read them and nothing else."""

import json
import re
import threading
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mesh_assets.errors import UsageError, nearest
from mesh_assets.lake.sqltext import text

if TYPE_CHECKING:
    import duckdb

NOT_SHOWN = "Columns that are masked, or that no contract names, are not there."
"""What is said where only some columns are shown."""

#: Table functions that touch nothing but their arguments. Others read files or other databases, or delete files.
HARMLESS = frozenset({"range", "generate_series", "unnest", "repeat", "repeat_row"})
#: Functions that tell something else than their arguments, or only keep others waiting.
OUT_OF_REACH = frozenset(
    {"current_setting", "getvariable", "json_serialize_plan", "write_log", "nextval", "currval", "sleep_ms", "pg_sleep"}
)


def tables_of(query: str, known: Collection[str]) -> tuple[str, ...]:
    """The tables that a query reads, sorted.

    Args:
        query: What somebody typed; it is only parsed.
        known: Tables that it may read, as `domain.table`.

    Raises:
        UsageError: It is not one reading statement, or it reads something else.
    """
    tree, taken = _parsed(query)
    nodes = list(_nodes(tree))
    named = {entry["key"].casefold() for node in nodes if "cte_map" in node for entry in node["cte_map"]["map"]}
    _check_names(named, taken)
    spelled = {table.casefold(): table for table in known}
    found = set()
    for node in nodes:
        match node.get("type"):
            case "TABLE_FUNCTION":
                function = node.get("function", {}).get("function_name", "").casefold()
                if function not in HARMLESS:
                    message = (
                        f"`{function}` is not allowed here.\n    Read published tables, as in `from domain.table`."
                    )
                    raise UsageError(message)
            case "BASE_TABLE":
                name = ".".join(
                    part for part in (node["catalog_name"], node["schema_name"], node["table_name"]) if part
                )
                if name.casefold() in spelled:
                    found.add(spelled[name.casefold()])
                elif name != node["table_name"] or name.casefold() not in named:
                    message = f"There is no published table `{name}`.\n    {nearest(name, known)}"
                    raise UsageError(message)
            case "FUNCTION" if node.get("function_name", "").casefold() in OUT_OF_REACH:
                raise UsageError(f"`{node['function_name']}` is not allowed here.\n    Read published tables.")
            case "SHOW_REF" if node.get("table_name"):
                message = (
                    f"`SHOW {node['table_name']}` is not allowed here.\n    Use DESCRIBE domain.table, or SHOW TABLES."
                )
                raise UsageError(message)
    return tuple(sorted(found))


@contextmanager
def stopped(con: "duckdb.DuckDBPyConnection", seconds: float | None) -> Generator[None]:
    """What runs on the connection inside is interrupted after so long."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, con.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def asks_for_tables(query: str) -> bool:
    """Whether it is `SHOW TABLES`, which DuckDB would answer for one schema only."""
    return query.strip().rstrip(";").casefold().split() in (["show", "tables"], ["show", "all", "tables"])


def _check_names(named: Collection[str], taken: Collection[str]) -> None:
    """What `WITH` names is nothing else anywhere in the query: no file, no view of DuckDB's own.

    Where its name is not in force, DuckDB would look for these.
    """
    for name in sorted(named):
        if name in taken or not re.fullmatch(r"[\w ]+", name):
            raise UsageError(f"`{name}` cannot be a name after WITH.\n    Take another, of letters, digits and `_`.")


def _parsed(query: str) -> tuple[object, frozenset[str]]:
    """The query's tree, and the names of views that DuckDB itself has."""
    import duckdb

    con = duckdb.connect()
    try:
        statements = con.extract_statements(query)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            message = (
                "Only one statement that reads can be given.\n"
                "    Use SELECT, FROM, WITH, DESCRIBE, SUMMARIZE or SHOW TABLES."
            )
            raise UsageError(message)
        (tree,) = con.execute(f"SELECT json_serialize_sql({text(query)})").fetchone() or ("{}",)
        views = con.execute(
            "SELECT lower(view_name) FROM duckdb_views() WHERE internal AND schema_name <> 'information_schema'"
        )
        taken = frozenset(name for (name,) in views.fetchall())
    except duckdb.Error as error:
        message = f"The query cannot be read: {' '.join(str(error).split())}\n    Mend it."
        raise UsageError(message) from None
    finally:
        con.close()
    parsed = json.loads(tree)
    if parsed.get("error", True):
        message = "The query has a form that cannot be checked.\n    Use SELECT, FROM, WITH, DESCRIBE or SUMMARIZE."
        raise UsageError(message)
    return parsed, taken


def _nodes(tree: object) -> Iterator[dict]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)
