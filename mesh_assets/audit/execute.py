"""Is this table what its contract says? Every test of the contract, answered by DuckDB.

The meaning is that of the pandera schema (`schema.py`); this is the executor of the plan (`plan.py`): proofs first, then
one statement of pushed-down filters for all tests of single rows, then keys. No test can take another down: what cannot
be executed is a result of its own, which says why and stops the version as a failure does.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

import duckdb

from mesh_assets.audit import library, measured
from mesh_assets.audit.contents import NOTHING_KNOWN, Knowledge
from mesh_assets.audit.guard import TABLE, Guarded, guarded
from mesh_assets.audit.keys import repeats
from mesh_assets.audit.lasting import bases
from mesh_assets.audit.limits import memory_more, time_limit
from mesh_assets.audit.metric import compares, demand, holds, measure, numbers
from mesh_assets.audit.plan import Plan, Rung, Step, plan
from mesh_assets.audit.proofs import contiguous
from mesh_assets.audit.questions import Question, Target, question
from mesh_assets.audit.result import KEPT, Result, Status
from mesh_assets.audit.sample import MASK, columns_shown, plain, shown, shown_at
from mesh_assets.audit.scan import Counted, NotAsKnownError, places_shown, rows_at, scan, shown_rows, types_of
from mesh_assets.audit.values import CannotAnswer, ColumnType, Family, column_type, quoted
from mesh_assets.audit.words import broken, demanded, named
from mesh_assets.audit.words import measured as told
from mesh_assets.contract import Contract, Kind, Severity, Test
from mesh_assets.errors import UsageError, nearest
from mesh_assets.numerals import many

METRICS = (Kind.ROW_COUNT, Kind.NULL_VALUES, Kind.MISSING_VALUES, Kind.INVALID_VALUES, Kind.DUPLICATE_VALUES)
CHEAP = frozenset(
    {
        "PROJECTION",
        "FILTER",
        "SEQ_SCAN",
        "TABLE_SCAN",
        "READ_PARQUET",
        "PARQUET_SCAN",
        "COLUMN_DATA_SCAN",
        "ARROW_SCAN",
        "UNION",
        "DUMMY_SCAN",
        "EMPTY_RESULT",
        "DUCKLAKE_SCAN",
    }
)
"""What a relation may be made of and still be read filter by filter."""
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
    sample: int = KEPT,
    seconds: float = 30.0,
    memory: int = 1_000_000_000,
    past: library.Past | None = None,
    known: Knowledge = NOTHING_KNOWN,
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
        memory: Bytes that it may take; what can go to disk, such as a sort, goes there first.
        past: Earlier versions of the table, for tests that compare with them; default: there are none.
        known: What may be used instead of reading rows. It must be of this very relation; results are the same without it.

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
        memory=memory,
        past=past or library.Nothing(datetime.now(UTC)),
        known=known,
    )
    return once.run(chosen)


def planned(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    contract: Contract,
    *,
    related: Callable[[str], str | None] = lambda _: None,
    known: Knowledge = NOTHING_KNOWN,
) -> Plan:
    """How `audit` would answer each test. No rows are read.

    Raises:
        duckdb.Error: The relation cannot be read.
    """
    once = _Audit(
        con=con,
        relation=relation,
        contract=contract,
        related=related,
        lost={},
        lost_sample={},
        sample=0,
        seconds=0,
        memory=0,
        past=library.Nothing(datetime.now(UTC)),
        known=known,
        dry=True,
    )
    return once.plan(contract.tests)


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
    memory: int
    past: library.Past
    known: Knowledge
    dry: bool = False
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    total: int = 0
    samples: dict[str, str] = field(default_factory=dict)  # by test, what shows its failing rows
    shown: dict[str, tuple[Mapping[str, object], ...]] = field(default_factory=dict)  # by test, the rows themselves
    aside: list[str] = field(default_factory=list)  # temporary tables

    def run(self, tests: Sequence[Test]) -> tuple[Result, ...]:
        try:
            steps = self.plan(tests)
            try:
                counts = self.count(steps)
            except NotAsKnownError:
                self.known = NOTHING_KNOWN
                steps = self.plan(tests)
                counts = self.count(steps)
        except duckdb.InterruptException:  # somebody wants this to end
            raise
        except duckdb.Error as error:
            return tuple(self.unanswered(test, f"the table cannot be read: {self.reason(error)}") for test in tests)
        try:
            return tuple(self.answer(*each) for each in zip(steps.steps, counts, strict=True))
        finally:
            for aside in self.aside:
                self.con.execute(f"DROP TABLE IF EXISTS temp.{aside}")

    def plan(self, tests: Sequence[Test]) -> Plan:
        told = self.known.contents.columns if self.known.contents else ()
        self.types = {name: column_type(type_) for name, type_ in told} or types_of(self.con, self.relation)
        asked = [self.ask(test) for test in tests]
        dear = self.known.contents is None and is_dear(self.con, self.relation)
        return plan(tests, asked, self.relation, self.types, self.known, dear=dear, lasting=self.lasting)

    def lasting(self, conditions: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        return bases(self.con, conditions, self.types)

    def ask(self, test: Test) -> Question | CannotAnswer | None:
        """The test as SQL, or why there is none; None for tests that need no such query."""
        if test.kind in (Kind.COLUMNS, Kind.TYPES):
            return None
        if missing := [column for column in test.columns if column not in self.types]:
            return CannotAnswer(f"column {named(missing)} is missing")
        if test.kind in (Kind.ROW_COUNT, Kind.SQL) or measured.measures(test):
            return None
        try:
            asked = question(test, self.relation, self.types, self.target)
            return self.range_of(test, asked) if test.kind is Kind.REFERENCE and not self.dry else asked
        except CannotAnswer as why:
            return why

    def range_of(self, test: Test, asked: Question) -> Question:
        """A reference to a column that holds every whole number of a range asks for no more than the range."""
        ends = self.ends(test)
        if ends is None:
            return asked
        name = quoted(test.columns[0])
        return replace(asked, condition=f"{name} < {ends[0]} OR {name} > {ends[1]}", target="")

    def ends(self, test: Test) -> tuple[int, int] | None:
        theirs = test.arguments.get("to_columns")
        if not isinstance(theirs, list | tuple) or len(theirs) != 1:
            return None
        target = self.target(str(test.arguments.get("to_table")))
        ours, there = self.types[test.columns[0]], target.types[theirs[0]]
        if ours.family is not Family.INTEGER or there.family is not Family.INTEGER:
            return None
        found = contiguous(self.con, target.sql, theirs[0], there)
        return found if found and ours.low <= found[0] and found[1] <= ours.high else None

    def count(self, planned: Plan) -> list[int | CannotAnswer | None]:
        """What each test counts; None for one that counts nothing."""
        steps = planned.steps
        of_rows = [number for number, step in enumerate(steps) if step.rows and (planned.contents or not step.keys)]
        found = self.scanned(planned, of_rows)
        self.gather(planned, found)
        counts = [self.count_one(planned, number, found.get(number)) for number in range(len(steps))]
        self.keep(planned, {number: each for number, each in found.items() if isinstance(each, Counted)})
        return counts

    def scanned(self, planned: Plan, numbers: Sequence[int]) -> dict[int, Counted | CannotAnswer]:
        """All at once; when one of them is at fault, each on its own."""
        found: dict[int, Counted | CannotAnswer] = {}
        try:
            found.update(scan(self.con, planned, numbers, self.sample))
        except duckdb.InterruptException:
            raise
        except duckdb.Error:
            alone = scan(self.con, planned, (), self.sample)
            self.total = alone[-1].total
            return {number: self.scanned_alone(planned, number) for number in numbers}
        self.total = found[-1].total if isinstance(found[-1], Counted) else 0
        return found

    def scanned_alone(self, planned: Plan, number: int) -> Counted | CannotAnswer:
        try:
            return scan(self.con, planned, [number], self.sample)[number]
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            return CannotAnswer(self.reason(error))

    def count_one(self, planned: Plan, number: int, rows: Counted | CannotAnswer | None) -> int | CannotAnswer | None:
        step = planned.steps[number]
        if step.keys and not isinstance(rows, CannotAnswer):
            try:
                found = repeats(self.con, planned, number, rows, self.known.memory, self.sample)
            except duckdb.InterruptException:
                raise
            except duckdb.Error as error:
                return CannotAnswer(self.reason(error))
            self.samples[step.test.name] = found.rows
            self.aside += [found.aside] if found.aside else []
            return found.total
        if isinstance(rows, Counted):
            if planned.contents and step.rows and rows.total:
                self.samples[step.test.name] = shown_rows(planned.contents, step.rows, rows, self.sample)
            return rows.total
        if rows is not None or step.question is None or step.rung is Rung.NONE:
            return rows
        try:
            return self.one(step.question.count)
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            return CannotAnswer(self.reason(error))

    def gather(self, planned: Plan, found: Mapping[int, Counted | CannotAnswer]) -> None:
        """The failing rows to show, in one statement: each one costs as much as a small table's audit."""
        if planned.contents is None:
            return
        failing = {
            number: one
            for number, one in found.items()
            if isinstance(one, Counted) and one.total and number >= 0 and not planned.steps[number].keys
        }
        placed = places_shown(failing, self.sample)
        asked = {number: question for number in placed if (question := planned.steps[number].question)}
        if not asked:
            return
        query = rows_at(planned.contents, placed.values())
        rows = shown_at(self.con, query, list(asked.values()), self.types, self.contract)
        for number, question in asked.items():
            there = [(path, place) for path, places in placed[number].items() for place in places]
            if all(place in rows for place in there):
                names = columns_shown(question.test, self.types, self.contract)
                self.shown[question.test.name] = tuple({name: rows[place][name] for name in names} for place in there)

    def keep(self, planned: Plan, found: Mapping[int, Counted]) -> None:
        """What was read for the first time, under the key of the file as it is."""
        if self.known.memory is None:
            return
        fresh = {}
        for number, counted in found.items():
            rows = planned.steps[number].rows if number >= 0 else None
            if rows and rows.rule:
                paths = [file.path for _, files in rows.scans for file in files if planned.ids.get(file.path)]
                fresh |= {(rows.rule, planned.ids[path][0]): counted.files[path] for path in paths}
        if fresh:
            self.known.memory.keep(fresh)

    def one(self, sql: str) -> int:
        row = self.con.execute(sql).fetchone()
        return row[0] if row else 0

    def answer(self, step: Step, count: int | CannotAnswer | None) -> Result:
        test, asked = step.test, step.question
        if step.rung is Rung.NONE:
            return self.unanswered(test, step.why)
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
        except (ArithmeticError, ValueError, LookupError, TypeError) as error:  # of these, no statistics can be made
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
        said += [f"{many(self.lost[name], 'value')} of `{name}` cannot be read as {expected[name]}" for name in lost]
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
            with memory_more(self.con, self.memory) as size, time_limit(self.con, self.seconds):
                cursor = self.con.execute(query.sql)
                width, rows = len(cursor.description or ()), cursor.fetchall()
        except duckdb.InterruptException:
            return self.unanswered(test, f"the query took longer than {self.seconds:g} seconds", query.sql)
        except duckdb.OutOfMemoryException:
            return self.unanswered(test, f"the query needs more than {size / 1e9:.2g} GB of memory", query.sql)
        except duckdb.Error as error:
            where = f" (the rule is at {test.where})" if test.where.path else ""
            return self.unanswered(test, f"{self.reason(error).rstrip('.')}{where}", query.sql)
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
            question = replace(asked, rows=self.samples.get(test.name) or asked.rows)
            found = self.shown.get(test.name)
            rows = shown(self.con, question, self.types, self.contract, self.sample) if found is None else found
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
        """DuckDB's first line, and which columns there are. Errors in the data quote values, so they are kept back where a column is masked."""
        if self.contract.masked and not isinstance(
            error,
            duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException | duckdb.OutOfMemoryException,
        ):
            return f"{type(error).__name__} (its words may hold masked values)"
        first, *more = str(error).splitlines()
        candidates = next((line.strip() for line in more if line.startswith("Candidate")), "")
        return f"{first.rstrip('!.')}. {candidates}" if candidates else first

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
            return Target(sql, types_of(self.con, sql))
        except duckdb.Error as error:
            msg = f"`{table}` cannot be read: {self.reason(error)}"
            raise CannotAnswer(msg) from None


def is_dear(con: duckdb.DuckDBPyConnection, relation: str) -> bool:
    """Whether reading the relation costs so much that it is read once for all tests.

    Columns of Parquet files and of DuckDB's own tables are read one by one, and blocks that cannot hold a failing row not
    at all. Rows of a text file, of another database or of a join are computed in full each time.
    """
    try:
        ((_, told),) = con.execute(f"EXPLAIN (FORMAT json) FROM {relation}").fetchall()
        return not _operators(json.loads(told)) <= CHEAP
    except (duckdb.Error, ValueError):  # it will be said when it is read
        return False


def _operators(nodes: list) -> set[str]:
    found = {str(node.get("name", "")).strip() for node in nodes}
    return found.union(*(_operators(node.get("children", [])) for node in nodes))


def _canonical(con: duckdb.DuckDBPyConnection, declared: str) -> str:
    try:
        return str(con.sqltype(declared))
    except duckdb.Error:
        msg = f"`{declared}` is not a type"
        raise CannotAnswer(msg) from None
