"""A contract's tests and those of its hand-written schemas, executed together."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import duckdb

from mesh_assets.audit.contents import NOTHING_KNOWN, Knowledge
from mesh_assets.audit.execute import audit as audit_own
from mesh_assets.audit.library import Past
from mesh_assets.audit.result import KEPT, Result, Status
from mesh_assets.audit.sample import COLUMNS, MASK, plain
from mesh_assets.contract import Contract, Kind, Severity, Test
from mesh_assets.errors import ConfigError, UsageError, nearest
from mesh_assets.numerals import of_rows
from mesh_assets.schemas.written import HandWritten, hand_written

if TYPE_CHECKING:
    from mesh_assets.schemas.answer import Answer


def audit(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    contract: Contract,
    *,
    related: Callable[[str], str | None] = lambda _: None,
    lost: Mapping[str, int] | None = None,
    lost_sample: Mapping[str, tuple[Mapping[str, object], ...]] | None = None,
    tests: Collection[str] | None = None,
    sample: int = KEPT,
    seconds: float = 30.0,
    past: Past | None = None,
    known: Knowledge = NOTHING_KNOWN,
) -> tuple[Result, ...]:
    """As `audit.execute.audit`, with the contract's hand-written schemas after its own tests.

    Schemas that cannot be loaded are one test, which says so and stops the version: never a silent pass.
    """
    unloaded: tuple[Result, ...] = ()
    try:
        written = hand_written(contract)
    except ConfigError as error:
        written, unloaded = (), (_not_loaded(contract, error),)
    chosen = _chosen(contract, written, tests)
    own = audit_own(
        con,
        relation,
        contract,
        related=related,
        lost=lost,
        lost_sample=lost_sample,
        tests=None if tests is None else [name for name in tests if name in {test.name for test in contract.tests}],
        sample=sample,
        seconds=seconds,
        past=past,
        known=known,
    )
    return (*own, *_execute(con, relation, contract, chosen, sample), *unloaded)


def _chosen(
    contract: Contract, written: Sequence[HandWritten], tests: Collection[str] | None
) -> tuple[HandWritten, ...]:
    known = {test.name for test in contract.tests} | {each.test.name for each in written}
    for name in sorted(set(tests or ()) - known):
        raise UsageError(f"`{name}` is no test of {contract.name}. {nearest(name, known)}")
    return tuple(each for each in written if tests is None or each.test.name in tests)


def _execute(
    con: duckdb.DuckDBPyConnection, relation: str, contract: Contract, chosen: Sequence[HandWritten], sample: int
) -> Iterator[Result]:
    if not chosen:
        return
    from mesh_assets.schemas.answer import Table, answers  # which imports polars

    keys = [column.name for column in contract.columns if column.primary_key]
    try:
        table = Table.of_connection(con, relation)
        ((total,),) = table.rows(f"SELECT count(*) FROM {relation}")
        found = answers(table, [each.asked for each in chosen], limit=sample, show=keys)
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        for each in chosen:
            message = f"{each.test.name} could not be executed: {str(error).splitlines()[0]}"
            yield Result(test=each.test, status=Status.ERROR, message=message)
        return
    for each in chosen:
        yield _result(each, [answer for answer in found if answer.asked is each.asked], contract, total, sample)


def _result(each: HandWritten, answers: Sequence["Answer"], contract: Contract, total: int, sample: int) -> Result:
    test = each.test
    query = ";\n".join(dict.fromkeys(answer.query for answer in answers if answer.query))
    if errors := [answer.error for answer in answers if answer.error]:
        # What a function raises may quote the value that it stumbled over.
        harmless = errors[0].startswith("column `") or not contract.masked
        why = errors[0] if harmless else "the check raised an error (its words may hold masked values)"
        message = f"{test.name} could not be executed: {why.rstrip('.')}."
        return Result(test=test, status=Status.ERROR, total_rows=total, query=query, message=message)
    failing = sum(answer.failing for answer in answers)
    fails = Status.FAIL if test.severity is Severity.ERROR else Status.WARN
    rows = [row for answer in answers if answer.cases is not None for row in answer.cases.iter_rows(named=True)]
    return Result(
        test=test,
        status=fails if failing else Status.PASS,
        failing_rows=failing,
        total_rows=total,
        sample=tuple(_shown(row, contract) for row in rows[:sample]) if failing else (),
        query=query,
        message=f"{_found(each, answers, failing, total)}{_how(answers)}",
    )


def _found(each: HandWritten, answers: Sequence["Answer"], failing: int, total: int) -> str:
    one = each.asked
    if told := "; ".join(answer.told for answer in answers if answer.told):
        return f"{told}."
    if not failing:
        return f"Holds for all {total:,} rows." if total else "Holds: there are no rows."
    of = (
        f" of `{one.column}`"
        if one.column
        else f" of {', '.join(f'`{name}`' for name in one.columns)}" * bool(one.columns)
    )
    if any(answer.whole for answer in answers):
        return f"`{one.title}`{of} does not hold for the table of {total:,} rows."
    return of_rows(failing, total, f"fail `{one.title}`{of}")


def _how(answers: Sequence["Answer"]) -> str:
    """What was not answered in SQL says so: it costs more, and grows with the table."""
    libraries = sorted({answer.how for answer in answers if answer.how != "SQL"})
    if not libraries:
        return ""
    batches = sum(answer.batches for answer in answers)
    frames = f"{batches:,} batches" if batches > 1 else "one frame"
    return f" Executed in Python, by pandera on {' and '.join(libraries)}, in {frames}."


def _shown(row: Mapping[str, object], contract: Contract) -> dict[str, object]:
    """What may be shown of a row: a column that the contract does not name may hold anything, and is left out."""
    named = {column.name for column in contract.columns}
    seen = {name: value for name, value in row.items() if not named or name in named}
    hidden = contract.masked
    return {name: MASK if name in hidden else plain(value) for name, value in list(seen.items())[:COLUMNS]}


def _not_loaded(contract: Contract, error: ConfigError) -> Result:
    where = contract.schemas[0].where
    test = Test(name="checks_load", kind=Kind.PANDERA, where=where, description="checks.py can be loaded.")
    told = "; ".join(f"{problem.where}: {problem.what}" for problem in error.problems)
    return Result(test=test, status=Status.ERROR, message=f"checks_load could not be executed: {told}.")
