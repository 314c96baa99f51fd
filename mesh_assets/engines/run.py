"""A contract's row-level tests, executed by another engine on its own table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import duckdb

from mesh_assets.audit.metric import demand, holds, measure, numbers
from mesh_assets.audit.result import KEPT, Result, Status
from mesh_assets.audit.sample import columns_shown, plain, selected
from mesh_assets.audit.values import CannotAnswer, ColumnType, column_type
from mesh_assets.audit.words import broken, measured
from mesh_assets.contract import Contract, Kind, Severity, Test
from mesh_assets.engines.compile import count, rows
from mesh_assets.errors import nearest

METRICS = (Kind.ROW_COUNT, Kind.NULL_VALUES, Kind.MISSING_VALUES, Kind.INVALID_VALUES, Kind.DUPLICATE_VALUES)
Ask = Callable[[str], int]
"""The one number of a query, from the engine; raises what the engine raises."""
Show = Callable[[str], Sequence[Sequence[object]]]
"""The rows of a query, likewise."""


def audit_elsewhere(
    ask: Ask,
    table: str,
    contract: Contract,
    dialect: str,
    columns: Mapping[str, str] | None = None,
    *,
    show: Show | None = None,
    sample: int = KEPT,
) -> tuple[Result, ...]:
    """One result per test, in the contract's order; what cannot be asked there is an error that says so, never a pass.

    Args:
        ask: Runs a query of the engine.
        table: As the engine spells it.
        dialect: One of `engines.compile.DIALECTS`.
        columns: Those that are there, with their types in DuckDB's words; None: the contract's are believed, and tests
            of names and types not executed.
        show: Runs a query of some failing rows; None: they are only counted.
        sample: Failing rows to show, at most.
    """
    declared = {column.name: str(duckdb.sqltype(column.type)) for column in contract.columns}
    types = {name: column_type(type_) for name, type_ in (declared if columns is None else columns).items()}
    try:
        total = ask(f"SELECT COUNT(*) AS n FROM {table}")
    except Exception as error:  # noqa: BLE001 - every engine has errors of its own
        return unread(contract, f"the table cannot be read: {_line(error, contract)}")
    structure = {} if columns is None else _structure(declared, columns)
    found = [
        _told(test, structure[test.kind], total)
        if test.kind in structure
        else _one(ask, test, table, types, dialect, total, contract)
        for test in contract.tests
    ]
    return tuple(
        replace(one, sample=_shown(show, one.test, table, types, dialect, contract, sample))
        if show and one.failing_rows and one.status in (Status.FAIL, Status.WARN)
        else one
        for one in found
    )


def unread(contract: Contract, why: str) -> tuple[Result, ...]:
    """Every test as one that could not be executed."""
    return tuple(_unanswered(test, why, "", 0) for test in contract.tests)


def _structure(declared: Mapping[str, str], columns: Mapping[str, str]) -> dict[Kind, list[str]]:
    """What is wrong with names and types; nothing is cast there, so that a type is the contract's own or another one."""
    missing = [f"`{name}` is missing. {nearest(name, columns)}" for name in declared if name not in columns]
    wrong = [
        f"`{name}` is {columns[name]}, not {type_}"
        for name, type_ in declared.items()
        if columns.get(name, type_) != type_
    ]
    return {Kind.COLUMNS: missing, Kind.TYPES: wrong}


def _shown(
    show: Show,
    test: Test,
    table: str,
    types: Mapping[str, ColumnType],
    dialect: str,
    contract: Contract,
    sample: int,
) -> tuple[Mapping[str, object], ...]:
    """Some of the failing rows; none when they cannot be fetched, for the count stands without them."""
    names = columns_shown(test, types, contract)
    try:
        found = show(
            rows(test, table, types, dialect, [selected(name, types[name], contract) for name in names], sample)
        )
    except Exception:  # noqa: BLE001 - every engine has errors of its own
        return ()
    return tuple({name: plain(value) for name, value in zip(names, row, strict=True)} for row in found)


def _told(test: Test, wrong: Sequence[str], total: int) -> Result:
    good = "Every column is there." if test.kind is Kind.COLUMNS else "Every column has its type."
    message = f"{'; '.join(each.rstrip('.') for each in wrong)}." if wrong else good
    return _result(test, not wrong, len(wrong), total, "", message)


def _one(ask: Ask, test: Test, table: str, types: dict, dialect: str, total: int, contract: Contract) -> Result:
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
        return _unanswered(test, _line(error, contract), query, total)
    return _result(test, ok, failing, total, query, message)


def _result(test: Test, ok: bool, failing: int, total: int, query: str, message: str) -> Result:  # noqa: FBT001
    status = Status.PASS if ok else Status.FAIL if test.severity is Severity.ERROR else Status.WARN
    return Result(test=test, status=status, failing_rows=failing, total_rows=total, query=query, message=message)


def _unanswered(test: Test, why: str, query: str, total: int) -> Result:
    message = f"{test.name} could not be executed: {why.rstrip('.')}."
    return Result(test=test, status=Status.ERROR, total_rows=total, query=query, message=message)


def _line(error: Exception, contract: Contract) -> str:
    """The engine's first line; errors in the data quote values, so they are kept back where a column is masked."""
    if contract.masked:
        return f"{type(error).__name__} (its words may hold masked values)"
    return (str(error).splitlines() or [type(error).__name__])[0]
