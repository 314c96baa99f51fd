"""A contract's row-level tests, executed by another engine on its own table."""

from collections.abc import Callable

import duckdb

from mesh_assets.audit.metric import demand, holds, measure, numbers
from mesh_assets.audit.result import Result, Status
from mesh_assets.audit.values import CannotAnswer, column_type
from mesh_assets.audit.words import broken, measured
from mesh_assets.contract import Contract, Kind, Severity, Test
from mesh_assets.engines.compile import count

METRICS = (Kind.ROW_COUNT, Kind.NULL_VALUES, Kind.MISSING_VALUES, Kind.INVALID_VALUES, Kind.DUPLICATE_VALUES)
Ask = Callable[[str], int]
"""The one number of a query, from the engine; raises what the engine raises."""


def audit_elsewhere(ask: Ask, table: str, contract: Contract, dialect: str) -> tuple[Result, ...]:
    """One result per test, in the contract's order; what cannot be asked there is an error that says so, never a pass.

    Args:
        ask: Runs a query of the engine.
        table: As the engine spells it.
        dialect: One of `engines.compile.DIALECTS`.
    """
    types = {column.name: column_type(str(duckdb.sqltype(column.type))) for column in contract.columns}
    try:
        total = ask(f"SELECT COUNT(*) AS n FROM {table}")
    except Exception as error:  # noqa: BLE001 - every engine has errors of its own
        why = f"the table cannot be read: {_line(error)}"
        return tuple(_unanswered(test, why, "", 0) for test in contract.tests)
    return tuple(_one(ask, test, table, types, dialect, total) for test in contract.tests)


def _one(ask: Ask, test: Test, table: str, types: dict, dialect: str, total: int) -> Result:
    query = ""
    try:
        query = count(test, table, types, dialect)
        found = ask(query)
        if test.kind in METRICS:
            operator, threshold = demand(test)
            value = measure(test, found, total)
            ok = holds(value, operator, numbers(operator, threshold))
            failing = found if test.kind is not Kind.ROW_COUNT else int(not ok)
            message = measured(test, value, operator, threshold)
        else:
            ok, failing, message = not found, found, broken(test, found, total)
    except CannotAnswer as why:
        return _unanswered(test, str(why), query, total)
    except Exception as error:  # noqa: BLE001 - every engine has errors of its own
        return _unanswered(test, _line(error), query, total)
    status = Status.PASS if ok else Status.FAIL if test.severity is Severity.ERROR else Status.WARN
    return Result(test=test, status=status, failing_rows=failing, total_rows=total, query=query, message=message)


def _unanswered(test: Test, why: str, query: str, total: int) -> Result:
    message = f"{test.name} could not be executed: {why.rstrip('.')}."
    return Result(test=test, status=Status.ERROR, total_rows=total, query=query, message=message)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
