"""Which columns a column of a SQL table is made of, read from its text."""

from typing import Any

from mesh_assets.domain import Mesh, Table


def sources(mesh: Mesh, table: Table) -> dict[str, list[tuple[str, str]]]:
    """Per column of the result: (table, column) of everything that it is computed from, sorted.

    Returns:
        Nothing when the text cannot be followed: an input without a contract behind a `*`, for one.
    """
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify

    try:
        text = table.path.read_text(encoding="utf-8")
        schema: dict[str, Any] = {}
        for name in table.inputs:
            other = mesh.tables.get(name)
            if other is None or other.contract is None:
                continue
            domain, _, short = name.partition(".")
            schema.setdefault(domain, {})[short] = {column.name: column.type for column in other.contract.columns}
        query = qualify(
            parse_one(text, dialect="duckdb"), schema=schema, dialect="duckdb", validate_qualify_columns=False
        )
        found = {}
        for column in query.named_selects if isinstance(query, exp.Query) else ():
            tree = lineage(column, query, schema=schema, dialect="duckdb")
            reached = {
                (f"{node.source.db}.{node.source.name}", node.name.rpartition(".")[2].strip('"'))
                for node in tree.walk()
                if isinstance(node.source, exp.Table) and node.source.db
            }
            found[column] = sorted(reached)
    except (SqlglotError, OSError, UnicodeDecodeError, ValueError, KeyError, AttributeError):
        return {}
    return found
