"""Is this table what its contract says? Every test of the contract, answered by DuckDB.

The meaning is that of the pandera schema (`schema.py`); this is the executor: a pushed-down `count(*)` per test, those
that need one pass and no memory in a single statement, and samples only of what fails. No test can take another down:
what cannot be executed is a result of its own, which says why and stops the version as a failure does.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

import duckdb

from mesh_assets.audit import library, measured
from mesh_assets.audit.guard import TABLE, Guarded, guarded, time_limit
from mesh_assets.audit.metric import compares, demand, holds, measure, numbers
from mesh_assets.audit.questions import Question, Target, question
from mesh_assets.audit.result import Result, Status
from mesh_assets.audit.sample import MASK, plain, shown
from mesh_assets.audit.values import CannotAnswer, ColumnType, column_type
from mesh_assets.audit.words import broken, demanded, named
from mesh_assets.audit.words import measured as told
from mesh_assets.contract import Contract, Kind, Severity, Test
from mesh_assets.errors import UsageError, nearest

METRICS = (Kind.ROW_COUNT, Kind.NULL_VALUES, Kind.MISSING_VALUES, Kind.INVALID_VALUES, Kind.DUPLICATE_VALUES)
STORED_AS = {"TIMESTAMP_S": "TIMESTAMP", "TIMESTAMP_MS": "TIMESTAMP", "BIT": "VARCHAR", "TIME_NS": "VARCHAR"}
"""Types that Parquet has not, and what they are read back as."""


def audit(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    contract: Contract,
    *,
    related: Callable[[str], str | None] = lambda _: None,
    lost: Mapping[str, int] | None = None,
    lost_sample: Mapping[str, tuple[Mapping[str, object], ...]] | None = None,
    tests: Collection[str] | None = None,
    sample: int = 10,
    seconds: float = 30.0,
    past: library.Past | None = None,
) -> tuple[Result, ...]:
    """One result per test, in the contract's order.

    Args:
        con: Outside a transaction: in one, an error of one test would end it for all.
        relation: SQL that can follow FROM, such as a quoted name or `read_parquet([…])`.
        related: SQL of another table, by `domain.table`, at the version to compare with; None: it cannot be read. For a
            reference of a table to itself this must be the candidate's own SQL.
        lost: Values by column that could not be cast to the contract's type; they count in the test of the types.
        lost_sample: Rows in which they were lost, by column.
        tests: Names of the tests to execute; None: all.
        sample: Failing rows to show, at most.
        seconds: How long a `type: sql` rule may take.
        past: Earlier versions of the table, for tests that compare with them; default: there are none.

    Raises:
        UsageError: `tests` names one that the contract has not.
    """
    chosen = _chosen(contract, tests)
    once = _Audit(
        con=con,
        relation=relation,
        contract=contract,
        related=related,
        lost=lost or {},
        lost_sample=lost_sample or {},
        sample=sample,
        seconds=seconds,
        past=past or library.Nothing(datetime.now(UTC)),
    )
    return once.run(chosen)


def _chosen(contract: Contract, tests: Collection[str] | None) -> tuple[Test, ...]:
    known = {test.name for test in contract.tests}
    for name in sorted(set(tests or ()) - known):
        msg = f"`{name}` is no test of {contract.name}. {nearest(name, known)}"
        raise UsageError(msg)
    return tuple(test for test in contract.tests if tests is None or test.name in tests)


@dataclass(kw_only=True)
class _Audit:
    """One table, one contract, one pass."""

    con: duckdb.DuckDBPyConnection
    relation: str
    contract: Contract
    related: Callable[[str], str | None]
    lost: Mapping[str, int]
    lost_sample: Mapping[str, tuple[Mapping[str, object], ...]]
    sample: int
    seconds: float
    past: library.Past
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    total: int = 0

    def run(self, tests: Sequence[Test]) -> tuple[Result, ...]:
        try:
            self.types = _types(self.con, self.relation)
            asked = [self.ask(test) for test in tests]
            counts = self.count(asked)
        except duckdb.InterruptException:  # somebody wants this to end
            raise
        except duckdb.Error as error:
            return tuple(self.unanswered(test, f"the table cannot be read: {self.reason(error)}") for test in tests)
        return tuple(self.answer(*each) for each in zip(tests, asked, counts, strict=True))

    def ask(self, test: Test) -> Question | CannotAnswer | None:
        """The test as SQL, or why there is none; None for tests that need no such query."""
        if test.kind in (Kind.COLUMNS, Kind.TYPES):
            return None
        if missing := [column for column in test.columns if column not in self.types]:
            return CannotAnswer(f"column {named(missing)} is missing")
        if test.kind in (Kind.ROW_COUNT, Kind.SQL) or measured.measures(test):
            return None
        try:
            return question(test, self.relation, self.types, self.target)
        except CannotAnswer as why:
            return why

    def count(self, asked: Sequence[Question | CannotAnswer | None]) -> list[int | CannotAnswer | None]:
        """What each question counts, and the table's rows; the light ones and the rows in one statement."""
        light = {number: each.count for number, each in enumerate(asked) if isinstance(each, Question) and each.light}
        parts = {-1: f"SELECT count(*) FROM {self.relation}", **light}
        try:
            union = " UNION ALL ".join(f"SELECT {number} AS i, ({sql}) AS n" for number, sql in parts.items())
            found: dict[int, int] = dict(self.con.execute(union).fetchall())
        except duckdb.InterruptException:
            raise
        except duckdb.Error:  # one of them is at fault: each is asked on its own
            found = {-1: self.one(parts[-1])}
        self.total = found[-1]
        return [
            found[number] if number in found else self.count_one(each) if isinstance(each, Question) else None
            for number, each in enumerate(asked)
        ]

    def count_one(self, question: Question) -> int | CannotAnswer:
        try:
            return self.one(question.count)
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            return CannotAnswer(self.reason(error))

    def one(self, sql: str) -> int:
        row = self.con.execute(sql).fetchone()
        return row[0] if row else 0

    def answer(self, test: Test, asked: Question | CannotAnswer | None, count: int | CannotAnswer | None) -> Result:
        if isinstance(asked, CannotAnswer):
            return self.unanswered(test, str(asked))
        query = asked.count if asked else ""
        if isinstance(count, CannotAnswer):
            return self.unanswered(test, str(count), query)
        try:
            match test.kind:
                case Kind.COLUMNS:
                    return self.columns(test)
                case Kind.TYPES:
                    return self.declared_types(test)
                case Kind.SQL:
                    return self.sql(test)
                case Kind.LIBRARY:
                    return self.of_library(test, asked, count or 0)
                case kind if kind in METRICS:
                    return self.metric(test, asked, self.total if count is None else count)
        except CannotAnswer as why:
            return self.unanswered(test, str(why), query)
        failing = count or 0
        return self.result(test, not failing, failing, broken(test, failing, self.total), asked)

    def of_library(self, test: Test, asked: Question | None, failing: int) -> Result:
        """A test that counts rows may let some of them pass; one that measures says itself what it found."""
        if asked is not None:
            ok = library.allowed(test, failing, self.total)
            return self.result(test, ok, failing, broken(test, failing, self.total), asked)
        put = library.Asked(test, self.types, self.relation, self.pair)
        try:
            with time_limit(self.con, self.seconds):
                verdict, query, rows = measured.judged(self.con, put, self.past)
        except duckdb.InterruptException:
            return self.unanswered(test, f"it took longer than {self.seconds:g} seconds")
        except duckdb.Error as error:
            return self.unanswered(test, self.reason(error))
        except (ArithmeticError, ValueError) as error:  # numbers that no statistics can be made of
            return self.unanswered(test, f"its numbers cannot be judged: {error}")
        failing = int(not verdict.ok) if verdict.failing is None else verdict.failing
        question = Question(test, query, f"FROM ({rows}) AS _r") if rows else None
        return replace(self.result(test, verdict.ok, failing, verdict.message, question), query=query)

    def pair(self, table: str) -> tuple[str, Mapping[str, ColumnType]]:
        target = self.target(table)
        return target.sql, target.types

    def columns(self, test: Test) -> Result:
        """Names are compared to the letter: readers in Python would not find `ID` under `id`."""
        declared = test.columns or tuple(column.name for column in self.contract.columns)
        missing = [column for column in declared if column not in self.types]
        found = [f"`{column}` is missing. {nearest(column, self.types)}" for column in missing]
        return self.result(
            test, not missing, len(missing), " ".join(found) or f"All {len(declared)} columns are there."
        )

    def declared_types(self, test: Test) -> Result:
        """Columns of another type, and values that were lost when the table was cast to the contract's types."""
        declared = [column for column in self.contract.columns if not test.columns or column.name in test.columns]
        present = [column for column in declared if column.name in self.types]
        expected = {column.name: _canonical(self.con, column.type) for column in present}
        wrong = [name for name, type_ in expected.items() if self.types[name].name not in (type_, STORED_AS.get(type_))]
        lost = [name for name in expected if self.lost.get(name)]
        if len(present) < len(declared) and not wrong and not lost:
            msg = f"column {named(column.name for column in declared if column not in present)} is missing"
            raise CannotAnswer(msg)
        said = [f"`{name}` is {self.types[name].name}, not {expected[name]}" for name in wrong]
        said += [f"{self.lost[name]:,} values of `{name}` cannot be read as {expected[name]}" for name in lost]
        failing = len(wrong) + sum(self.lost[name] for name in lost)
        message = "; ".join(said) + "." if said else "Every column has its type."
        rows = [self.masked(row) for name in lost for row in self.lost_sample.get(name, ())]
        return replace(self.result(test, not failing, failing, message), sample=tuple(rows[: self.sample]))

    def metric(self, test: Test, asked: Question | None, count: int) -> Result:
        """The counted rows are reported whether or not there are too many of them."""
        operator, threshold = demand(test)
        value = measure(test, count, self.total)
        ok = holds(value, operator, numbers(operator, threshold))
        failing = count if asked else int(not ok)
        result = self.result(test, ok, failing, told(test, value, operator, threshold), asked)
        return result if asked else replace(result, query=f"SELECT count(*) FROM {self.relation}")

    def sql(self, test: Test) -> Result:
        """Without an operator the value must be 0: the query counts what is wrong."""
        operator, threshold = demand(test, otherwise=("mustBe", 0))
        column = test.columns[0] if test.columns else None
        try:
            query = guarded(
                self.con, test.arguments.get("query"), self.relation, self.contract.name, column, self.related
            )
        except (duckdb.Error, RecursionError) as error:
            return self.unanswered(test, f"the query cannot be read: {str(error).splitlines()[0]}")
        try:
            with time_limit(self.con, self.seconds):
                cursor = self.con.execute(query.sql)
                width, rows = len(cursor.description or ()), cursor.fetchall()
        except duckdb.InterruptException:
            return self.unanswered(test, f"the query took longer than {self.seconds:g} seconds", query.sql)
        except duckdb.Error as error:
            return self.unanswered(test, self.reason(error), query.sql)
        if len(rows) != 1 or width != 1:
            size = "more than one row" if len(rows) > 1 else f"{len(rows)} rows"
            return self.unanswered(test, f"the query must return one value, not {size} of {width} columns", query.sql)
        value = rows[0][0]
        ok = value is not None and compares(value, operator, threshold)
        answer = "nothing" if value is None else plain(value) if self.harmless(value, query) else MASK
        result = self.result(test, ok, int(not ok), f"The query returned {answer}; it {demanded(operator, threshold)}.")
        return replace(result, query=query.sql)

    def harmless(self, value: object, query: Guarded) -> bool:
        """Whether a query's value can be told: counts always; nothing that a masked value can be read from."""
        masked = {name.lower() for name in self.contract.masked}
        if query.counts or not (masked or query.foreign):
            return True
        whole_rows = {"*", TABLE, self.contract.name.lower()}
        return isinstance(value, bool | int | float | Decimal) and not query.columns & (masked | whole_rows)

    def result(self, test: Test, ok: bool, failing: int, message: str, asked: Question | None = None) -> Result:  # noqa: FBT001
        status = Status.PASS if ok else Status.FAIL if test.severity is Severity.ERROR else Status.WARN
        rows: tuple[Mapping[str, object], ...] = ()
        if asked and not ok and failing:
            rows = shown(self.con, asked, self.types, self.contract, self.sample)
        return Result(
            test=test,
            status=status,
            failing_rows=failing,
            total_rows=self.total,
            sample=rows,
            query=asked.count if asked else "",
            message=message,
        )

    def unanswered(self, test: Test, why: str, query: str = "") -> Result:
        message = f"{test.name} could not be executed: {why.rstrip('.')}."
        return Result(test=test, status=Status.ERROR, total_rows=self.total, query=query, message=message)

    def reason(self, error: duckdb.Error) -> str:
        """DuckDB's first line. Errors in the data quote values, so they are kept back where a column is masked."""
        if self.contract.masked and not isinstance(
            error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException
        ):
            return f"{type(error).__name__} (its words may hold masked values)"
        return str(error).splitlines()[0]

    def masked(self, row: Mapping[str, object]) -> dict[str, object]:
        """What may be shown of a row: a column that the contract does not name may hold anything, and is left out."""
        columns, hidden = {column.name for column in self.contract.columns}, self.contract.masked
        return {name: MASK if name in hidden else plain(value) for name, value in row.items() if name in columns}

    def target(self, table: str) -> Target:
        sql = self.related(table)
        if sql is None:
            msg = f"`{table}` cannot be read here"
            raise CannotAnswer(msg)
        try:
            return Target(sql, _types(self.con, sql))
        except duckdb.Error as error:
            msg = f"`{table}` cannot be read: {self.reason(error)}"
            raise CannotAnswer(msg) from None


def _types(con: duckdb.DuckDBPyConnection, relation: str) -> dict[str, ColumnType]:
    return {row[0]: column_type(row[1]) for row in con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()}


def _canonical(con: duckdb.DuckDBPyConnection, declared: str) -> str:
    try:
        return str(con.sqltype(declared))
    except duckdb.Error:
        msg = f"`{declared}` is not a type"
        raise CannotAnswer(msg) from None
