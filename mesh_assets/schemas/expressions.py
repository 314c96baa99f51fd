"""Functions of a schema for ibis: their expressions, as DuckDB's SQL of the failing rows. Nothing is executed here."""

import functools
import operator
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.backends.sql.datatypes import DuckDBType
from pandera.api.ibis.types import IbisData

from mesh_assets.audit.values import quoted
from mesh_assets.schemas.answer import Table
from mesh_assets.schemas.asked import Asked

_NAME = "mesh_seen"


def failing_sql(one: Asked, name: str | None, table: Table) -> tuple[str, bool]:
    """SQL of the rows that fail a check; or, with `True`, of 1 where its verdict on the whole is false.

    Raises:
        TypeError: The function gave what is no verdict.
    """
    types: dict[str, Any] = {column: DuckDBType.from_string(type_.name) for column, type_ in table.types.items()}
    everything = ibis.table(types, name=_NAME)
    seen = everything.select(name) if name else everything
    out = functools.partial(one.check._check_fn, **one.arguments)(IbisData(seen, name))  # noqa: SLF001
    if isinstance(out, bool):
        return f"SELECT {0 if out else 1}", True
    if isinstance(out, ir.BooleanScalar):
        # Of no rows `all()` is null, and nothing is wrong with them.
        verdict = ibis.to_sql(ibis.ifelse(out.fill_null(True), 0, 1).name("n"), dialect="duckdb")
        return f"{_with(table)} {verdict}", True
    good = functools.reduce(operator.and_, _columns(out, seen))
    fails = ~good
    if one.check.ignore_na and name:
        fails = fails & seen[name].notnull()
    elif not one.check.ignore_na:
        fails = fails.fill_null(True)
    return f"{_with(table)} {ibis.to_sql(seen.filter(fails), dialect='duckdb')}", False


def _with(table: Table) -> str:
    return f"WITH {quoted(_NAME)} AS (SELECT * FROM {table.name})"


def _columns(out: object, seen: ir.Table) -> list[Any]:
    if isinstance(out, ir.BooleanColumn):
        return [out]
    if isinstance(out, dict):
        return list(out.values())
    if isinstance(out, ir.Table):
        op = out.op()
        if isinstance(op, ops.Project) and op.parent == seen.op():
            return [value.to_expr() for value in op.values.values()]
    raise TypeError(f"a check must give truths of its own table, not {type(out).__name__}")
