"""A contract's own SQL, let in only when it reads nothing but the tables it may read.

The connection that audits has the lake attached and can read files, so the query is judged before it runs, on the tree
of DuckDB's own parser: one SELECT, of the audited table and the tables that its contract may refer to, with table
functions that make rows out of nothing. Whatever the tree holds that is not known here is refused.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import duckdb

from mesh_assets.audit.values import CannotAnswer, quoted, text

TABLE = "mesh_table"
TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree"})
FORBIDDEN = frozenset(
    {
        "nextval",
        "currval",
        "setseed",
        "write_log",
        "sleep_ms",
        "getenv",
        "getvariable",
        "current_setting",
        "current_query",
    }
)
_PLACEHOLDER = re.compile(r'"?\$?\{(?:(table|object|schema|model)|column|property|field)\}"?')
_REFERENCES = frozenset(
    {"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EMPTY", "EMPTY_FROM", "EXPRESSION_LIST", "PIVOT"}
)
_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"})
_COUNTS = frozenset({"count", "count_star", "count_if"})


@dataclass(frozen=True, slots=True)
class Guarded:
    """A query that may run.

    Attributes:
        sql: Complete, with the tables that it reads as common table expressions.
        columns: Names of columns it mentions, in lower case; `*` where it takes all.
        counts: Its value is a count, whatever it reads.
        foreign: It reads other tables as well.
    """

    sql: str
    columns: frozenset[str]
    counts: bool
    foreign: bool


def guarded(
    con: duckdb.DuckDBPyConnection,
    query: object,
    relation: str,
    name: str,
    column: str | None,
    related: Callable[[str], str | None],
) -> Guarded:
    """The query of a `type: sql` rule, ready to run.

    `{table}`, `${table}`, `{object}` and `${object}` stand for the table, as its name does; `{column}`, `${column}`,
    `{property}` and `${property}` for the column that the rule belongs to.

    Raises:
        CannotAnswer: It is not one SELECT, or reads what it must not.
    """
    body = _statement(con, _filled(query, column))
    walk = _Walk(name, related)
    tree = _tree(con, body)
    for statement in tree["statements"]:
        walk.node(statement["node"], frozenset())
    if walk.tables or ";" in body:
        body = _one(con, f"SELECT json_deserialize_sql(CAST({text(json.dumps(tree))} AS JSON))")
    # The table's own name last: the SQL of the others may use that name for something else.
    tables = {**dict(walk.tables.values()), TABLE: relation, **({name: relation} if name else {})}
    expressions = ", ".join(
        f"{quoted(alias)} AS NOT MATERIALIZED (SELECT * FROM {sql})" for alias, sql in tables.items()
    )
    return Guarded(
        f"WITH {expressions} SELECT * FROM (\n{body}\n) LIMIT 2",
        frozenset(walk.columns),
        _counts(tree),
        bool(walk.tables),
    )


def _filled(query: object, column: str | None) -> str:
    if not isinstance(query, str) or not query.strip():
        msg = "there is no query"
        raise CannotAnswer(msg)

    def fill(hole: re.Match[str]) -> str:
        if hole.group(1):
            return TABLE
        if column is None:
            msg = f"the query says `{hole.group()}`, and the rule belongs to no column"
            raise CannotAnswer(msg)
        return quoted(column)

    return _PLACEHOLDER.sub(fill, query)


def _statement(con: duckdb.DuckDBPyConnection, query: str) -> str:
    try:
        statements = con.extract_statements(query)
    except duckdb.Error as error:
        msg = f"the query cannot be read: {str(error).splitlines()[0]}"
        raise CannotAnswer(msg) from None
    if len(statements) != 1:
        msg = f"there must be one query, not {len(statements)}"
        raise CannotAnswer(msg)
    if statements[0].type != duckdb.StatementType.SELECT:
        msg = f"the query must be a SELECT, not {statements[0].type.name}"
        raise CannotAnswer(msg)
    return statements[0].query.strip().removesuffix(";")


def _tree(con: duckdb.DuckDBPyConnection, query: str) -> dict:
    tree = json.loads(_one(con, f"SELECT json_serialize_sql({text(query)})"))
    if tree.get("error") or len(tree["statements"]) != 1:
        msg = f"the query must be one plain SELECT ({tree.get('error_message', 'it is not')})"
        raise CannotAnswer(msg)
    return tree


def _one(con: duckdb.DuckDBPyConnection, sql: str) -> str:
    row = con.execute(sql).fetchone()  # without parameters: the first one makes DuckDB import pandas
    return row[0] if row else ""


def _counts(tree: dict) -> bool:
    """Whether the value is made of counts and nothing else, as in `count(a) - count(distinct a)`."""
    outer = tree["statements"][0]["node"].get("select_list", [])
    return len(outer) == 1 and _made_of_counts(outer[0])


def _made_of_counts(part: object) -> bool:
    if isinstance(part, list):
        return all(map(_made_of_counts, part))
    if not isinstance(part, dict) or part.get("function_name") in _COUNTS:
        return True
    if part.get("class") in ("COLUMN_REF", "STAR", "SUBQUERY", "WINDOW", "LAMBDA"):
        return False
    return all(map(_made_of_counts, part.values()))


@dataclass
class _Walk:
    """Every part of the tree, with the names that `WITH` gave at that place. Table references are renamed in place."""

    name: str
    related: Callable[[str], str | None]
    tables: dict[str, tuple[str, str]] = field(default_factory=dict)  # by name, alias and SQL
    columns: set[str] = field(default_factory=set)

    def node(self, part: object, given: frozenset[str]) -> None:
        if isinstance(part, list):
            for item in part:
                self.node(item, given)
        if not isinstance(part, dict):
            return
        given = self.common(part, given)
        self.judge(part, given)
        for key, value in part.items():
            if key in ("from_table", "left", "right") and isinstance(value, dict) and "class" not in value:
                known = _REFERENCES | _NODES
                if value.get("type") not in known:
                    raise self.refused(f"{value.get('type')} is not allowed in it")
            if key != "cte_map":
                self.node(value, given)

    def common(self, part: dict, given: frozenset[str]) -> frozenset[str]:
        """The names that hold within this part: an expression sees those before it, and itself when recursive."""
        for entry in part.get("cte_map", {}).get("map", []):
            name, inner = entry["key"].lower(), entry["value"]["query"]
            recursive = inner.get("node", inner).get("type") == "RECURSIVE_CTE_NODE"
            self.node(inner, given | {name} if recursive else given)
            given |= {name}
        return given

    def judge(self, part: dict, given: frozenset[str]) -> None:
        match part.get("type"):
            case "BASE_TABLE":
                self.table(part, given)
            case "TABLE_FUNCTION" if part["function"].get("function_name", "").lower() not in TABLE_FUNCTIONS:
                raise self.refused(f"it may not call `{part['function'].get('function_name')}`")
            case "SHOW_REF":
                raise self.refused("it must be a SELECT, not DESCRIBE, SHOW or SUMMARIZE")
            case str() as type_ if type_.endswith("_NODE") and type_ not in _NODES:
                raise self.refused(f"{type_} is not allowed in it")
            case "FUNCTION" if part.get("function_name", "").lower() in FORBIDDEN:
                raise self.refused(f"it may not call `{part['function_name']}`")
            case "COLUMN_REF":
                self.columns.update(name.lower() for name in part.get("column_names", []))
            case "STAR":
                self.columns.add("*")

    def table(self, part: dict, given: frozenset[str]) -> None:
        schema, table = part.get("schema_name", ""), part.get("table_name", "")
        if part.get("catalog_name"):
            raise self.refused(f"`{part['catalog_name']}.{schema}.{table}` is outside the mesh")
        if part.get("at_clause"):
            raise self.refused("it may not choose a version: it reads the one that is tested")
        if not schema:
            if table.lower() in given | {TABLE, self.name.lower()}:
                return
            raise self.refused(f"it may read the table as `{{table}}` and others as `domain.table`, not `{table}`")
        full = f"{schema}.{table}"
        if full not in self.tables:
            sql = self.related(full)
            if sql is None:
                raise self.refused(f"`{full}` cannot be read here")
            self.tables[full] = (f"mesh_related_{len(self.tables) + 1}", sql)
        part["alias"] = part.get("alias") or table
        part["schema_name"], part["table_name"] = "", self.tables[full][0]

    def refused(self, why: str) -> CannotAnswer:
        return CannotAnswer(f"the query is refused: {why}")
