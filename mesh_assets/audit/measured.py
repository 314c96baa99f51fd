"""Tests that measure a table, executed: their values by DuckDB, their meaning by the library."""

from collections.abc import Mapping

import duckdb

from mesh_assets.audit.library import TYPES, Asked, Compared, Measure, Past, Verdict, answer
from mesh_assets.audit.values import CannotAnswer
from mesh_assets.contract import Kind, Test


def measures(test: Test) -> bool:
    """Whether the test measures, and does not count rows."""
    known = TYPES.get(test.type)
    return test.kind is Kind.LIBRARY and known is not None and not known.rowwise


def judged(con: duckdb.DuckDBPyConnection, asked: Asked, past: Past) -> tuple[Verdict, str, str]:
    """What the test found, the query that found it, and a query of what is wrong (empty: there is nothing to show).

    Raises:
        CannotAnswer: It makes no sense for the table.
        duckdb.Error: The query fails.
    """
    found = answer(asked)
    match found:
        case Measure():
            query = found.sql(asked.relation)
            return found.judge(one_row(con, query), past), query, found.rows
        case Compared():
            before = past.versions(1)
            if not before:
                msg = "There is no earlier version to compare with; this one is where it begins."
                return Verdict(ok=True, message=msg), "", ""
            query = found.sql(asked.relation, before[-1].relation)
            return found.judge(one_row(con, query)), query, ""
    msg = f"`{asked.test.type}` measures nothing"
    raise CannotAnswer(msg)


def one_row(con: duckdb.DuckDBPyConnection, query: str) -> Mapping[str, object]:
    """The one row of a query, by name."""
    cursor = con.execute(query)
    names, row = [column[0] for column in cursor.description or ()], cursor.fetchone()
    return dict(zip(names, row or [None] * len(names), strict=True))
