"""What a pandera schema asks, answered on a table in DuckDB: in SQL where that is exact, else by pandera itself."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import polars as pl

from mesh_assets.audit.values import CannotAnswer, ColumnType, Family, column_type, quoted
from mesh_assets.schemas import frames
from mesh_assets.schemas.asked import Asked, Flavour, Word
from mesh_assets.schemas.predicates import holds, whole

SQL = "SQL"


@dataclass(frozen=True, slots=True)
class Table:
    """What is tested.

    Attributes:
        name: SQL that can follow FROM in what `query` is given.
        types: DuckDB's types by column, in the table's order.
    """

    name: str
    query: Callable[[str], duckdb.DuckDBPyRelation]
    types: Mapping[str, ColumnType]

    @classmethod
    def of_connection(cls, con: duckdb.DuckDBPyConnection, relation: str) -> "Table":
        """A table that a connection can read by that SQL."""
        found = con.sql(f"SELECT * FROM {relation}")
        return cls(relation, con.sql, _types(found))

    @classmethod
    def of_relation(cls, relation: duckdb.DuckDBPyRelation) -> "Table":
        """A relation, on its own connection."""
        name = "mesh_validated"
        return cls(name, lambda sql: relation.query(name, sql), _types(relation))

    def rows(self, sql: str) -> list[tuple]:
        """What a query gives."""
        return self.query(sql).fetchall()

    def frame(self, sql: str) -> pl.DataFrame:
        """What a query of columns that are `listed` gives, as polars."""
        return self.typed(self.query(sql).pl())

    def listed(self, names: Iterable[str], of: str = "") -> str:
        """Columns as SQL, in a form that becomes a frame: polars has durations, and no months."""
        return ", ".join(
            f"epoch_us({of}{quoted(name)}) AS {quoted(name)}" if self.is_interval(name) else f"{of}{quoted(name)}"
            for name in names
        )

    def typed(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with durations in place of their numbers."""
        return frame.with_columns(
            pl.col(name).cast(pl.Duration("us")) for name in frame.columns if self.is_interval(name)
        )

    def is_interval(self, name: str) -> bool:
        """Whether the column holds spans of time."""
        return name in self.types and self.types[name].name == "INTERVAL"


@dataclass(slots=True, kw_only=True)
class Answer:
    """What came out of one thing asked.

    Attributes:
        failing: Rows; of a verdict on the whole column or table 0 or 1.
        cases: The first failing rows, of the columns that were asked for.
        how: `SQL`, or the library whose frames pandera was given.
        batches: Frames that it was given.
        query: The SQL of the count, or of the frames.
        error: Why it could not be executed.
        told: What was found, where a number does not say it.
    """

    asked: Asked
    failing: int = 0
    cases: pl.DataFrame | None = None
    how: str = SQL
    batches: int = 0
    query: str = ""
    error: str = ""
    told: str = ""
    whole: bool = False
    column: str | None = None
    reasons: list[tuple[str, Any, str]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Executed, and nothing was found."""
        return not self.failing and not self.error


def answers(table: Table, wanted: Sequence[Asked], *, limit: int = 10, show: Sequence[str] = ()) -> list[Answer]:
    """One answer for each thing asked and each column that it is asked of; a pattern of names may have none.

    Args:
        limit: Failing rows to fetch, at most.
        show: Columns that help to find a row; what was tested is always among them.
    """
    work = _Work(table, limit, show)
    parts = [part for one in wanted for part in work.parts(one)]
    work.count([part for part in parts if part.sql])
    for part in parts:
        if part.run is not None:
            work.guarded(part)
    for part in parts:
        work.cases(part)
    return [part.answer for part in parts]


@dataclass(slots=True)
class _Part:
    """One question: a condition of failing rows (`sql` counts them), or something to run."""

    answer: Answer
    sql: str = ""
    cases: str = ""
    run: Callable[["_Part"], None] | None = None


@dataclass(slots=True)
class _Work:
    table: Table
    limit: int
    show: Sequence[str]

    def parts(self, one: Asked) -> list[_Part]:
        if one.word is Word.COLUMNS:
            return [_Part(self.columns(one))]
        if one.word is Word.TYPES:
            return [_Part(self.declared_types(one))]
        if one.columns:
            missing = [name for name in one.columns if name not in self.table.types]
            return [self.absent(one, missing)] if missing else [self.unique(one, one.columns)]
        if one.column is None:
            return [self.check(one, None)]
        names = _matching(one, self.table)
        if not names:  # that it should be there is another test
            required = getattr(one.component, "required", True)
            return [self.absent(one, [one.column])] if required else [_Part(Answer(asked=one, column=one.column))]
        return [self.of_column(one, name) for name in names]

    def absent(self, one: Asked, missing: Sequence[str]) -> _Part:
        named = ", ".join(f"`{name}`" for name in missing)
        return _Part(Answer(asked=one, column=one.column, error=f"column {named} is missing"))

    def of_column(self, one: Asked, name: str) -> _Part:
        match one.word:
            case Word.REQUIRED:
                return self.condition(one, name, _missing(name, self.table.types[name]))
            case Word.UNIQUE:
                return self.unique(one, (name,))
        return self.check(one, name)

    def condition(self, one: Asked, name: str | None, fails: str) -> _Part:
        answer = Answer(asked=one, column=name)
        answer.query = f"SELECT count(*) FROM {self.table.name} WHERE {fails}"
        shown = self.shown(name)
        return _Part(answer, answer.query, f"SELECT {shown} FROM {self.table.name} WHERE {fails} LIMIT {self.limit}")

    def unique(self, one: Asked, names: Sequence[str]) -> _Part:
        """Null is a value here, as in pandera. Reported are all rows that share theirs, or one less of each."""
        keys = ", ".join(map(quoted, names))
        extra = bool(one.columns) and one.component.report_duplicates in ("exclude_first", "exclude_last")
        groups = f"SELECT {keys}, count(*) AS n FROM {self.table.name} GROUP BY {keys} HAVING count(*) > 1"
        counted = "sum(n) - count(*)" if extra else "sum(n)"
        answer = Answer(asked=one, column=None if one.columns else names[0])
        answer.query = f"SELECT coalesce({counted}, 0)::BIGINT FROM ({groups})"
        same = " AND ".join(f"_r.{quoted(name)} IS NOT DISTINCT FROM _g.{quoted(name)}" for name in names)
        listed = self.table.listed(dict.fromkeys([*self.present(), *names]), "_r.")
        cases = f"SELECT {listed} FROM {self.table.name} AS _r SEMI JOIN ({groups}) AS _g ON {same} LIMIT {self.limit}"
        return _Part(answer, answer.query, cases)

    def check(self, one: Asked, name: str | None) -> _Part:
        if one.built_in and name is not None and one.check.groupby is None:
            type_ = self.table.types[name]
            try:
                passes = holds(one.built_in, one.arguments, name, type_)
                verdict = whole(one.built_in, one.arguments, name, type_)
            except CannotAnswer as why:
                return _Part(Answer(asked=one, column=name, error=str(why)))
            if passes is not None:
                # A null verdict passes, unless nulls are not to be ignored.
                fails = f"NOT ({passes})" if one.check.ignore_na else f"({passes}) IS NOT TRUE"
                return self.condition(one, name, fails)
            if verdict is not None:
                answer = Answer(asked=one, column=name, whole=True)
                answer.query = f"SELECT CASE WHEN {verdict} THEN 0 ELSE 1 END FROM {self.table.name}"
                return _Part(answer, answer.query)
        if one.flavour is Flavour.IBIS and not one.built_in and not one.element_wise:
            return self.expression(one, name)
        return _Part(Answer(asked=one, column=name), run=self.in_frames)

    def expression(self, one: Asked, name: str | None) -> _Part:
        from mesh_assets.schemas.expressions import failing_sql

        answer = Answer(asked=one, column=name)
        try:
            sql, is_whole = failing_sql(one, name, self.table)
        except Exception as error:  # noqa: BLE001 - a team's own function raises what it likes; its test says so
            answer.error = f"the check raised {type(error).__name__}: {_line(error)}"
            return _Part(answer)
        answer.whole = is_whole
        answer.query = sql if is_whole else f"SELECT count(*) FROM ({sql})"
        return _Part(answer, answer.query, "" if is_whole else f"SELECT * FROM ({sql}) LIMIT {self.limit}")

    def in_frames(self, part: _Part) -> None:
        """By pandera, on frames; only what it can need is fetched."""
        one, name = part.answer.asked, part.answer.column
        sees_all = name is None or one.check.groupby is not None
        sees_all = sees_all or (one.flavour is Flavour.POLARS and not one.built_in and not one.element_wise)
        listed = self.table.listed(self.table.types) if sees_all else self.shown(name)
        select = f"SELECT {listed} FROM {self.table.name}"
        found = frames.count(one, name, self.table.query(select), self.table.typed, self.limit)
        answer = part.answer
        answer.how = "polars" if one.built_in or one.flavour is Flavour.POLARS else "pandas"
        answer.query, answer.batches, answer.whole = select, found.batches, found.whole
        answer.failing = found.failing
        rows = found.rows
        if rows is not None and sees_all:
            wanted = [
                each for each in dict.fromkeys([*self.present(), *([name] if name else [])]) if each in rows.columns
            ]
            rows = rows.select(wanted) if wanted else rows
        answer.cases = rows

    def guarded(self, part: _Part) -> None:
        try:
            if part.run is not None:
                part.run(part)
        except CannotAnswer as why:
            part.answer.error = str(why)
        except duckdb.InterruptException:
            raise
        except Exception as error:  # noqa: BLE001 - a team's own function raises what it likes; its test says so
            part.answer.error = f"the check raised {type(error).__name__}: {_line(error)}"

    def count(self, parts: Sequence[_Part]) -> None:
        """All counts in one statement; when one of them is at fault, each on its own."""
        if not parts:
            return
        union = " UNION ALL ".join(f"SELECT {number} AS i, ({part.sql}) AS n" for number, part in enumerate(parts))
        try:
            for number, found in self.table.rows(union):
                parts[number].answer.failing = found
        except duckdb.InterruptException:
            raise
        except duckdb.Error:
            for part in parts:
                self.count_one(part)

    def count_one(self, part: _Part) -> None:
        try:
            ((part.answer.failing,),) = self.table.rows(part.sql)
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            part.answer.error = _line(error)

    def cases(self, part: _Part) -> None:
        """The failing rows; the count stands without them."""
        if not part.cases or not part.answer.failing or not self.limit:
            return
        try:
            part.answer.cases = self.table.frame(part.cases)
        except (duckdb.Error, pl.exceptions.PolarsError):
            return

    def present(self) -> list[str]:
        return [name for name in self.show if name in self.table.types]

    def shown(self, name: str | None) -> str:
        names = dict.fromkeys([*self.present(), *([name] if name else [])]) or dict.fromkeys(self.table.types)
        return self.table.listed(names)

    def columns(self, one: Asked) -> Answer:
        """Missing ones; with `strict` unknown ones; with `ordered` those out of order."""
        schema, there = one.schema, list(self.table.types)
        answer = Answer(asked=one)
        known: set[str] = set()
        expected: list[str] = []
        for name, column in schema.columns.items():
            names = _names(str(name), there, regex=bool(column.regex))
            known.update(names)
            expected += names
            if not names and column.required:
                reason = "no_regex_column_match" if column.regex else "column_in_dataframe"
                answer.reasons.append(("missing", name, reason))
        if schema.strict is True:
            answer.reasons += [("unknown", name, "column_in_schema") for name in there if name not in known]
        if schema.ordered and not answer.reasons:
            present = [name for name in there if name in known]
            wrong = next((name for name, due in zip(present, expected, strict=False) if name != due), None)
            if wrong is not None:
                answer.reasons.append(("order", wrong, "column_ordered"))
        answer.failing = len(answer.reasons)
        words = {"missing": "is missing", "unknown": "is not in the schema", "order": "is out of order"}
        answer.told = "; ".join(f"`{name}` {words[what]}" for what, name, _ in answer.reasons)
        return answer

    def declared_types(self, one: Asked) -> Answer:
        from mesh_assets.schemas.dtypes import agrees

        answer = Answer(asked=one)
        names = list(self.table.types)
        listed = self.table.listed(names)
        empty = self.table.frame(f"SELECT {listed} FROM {self.table.name} LIMIT 0")
        declared: dict[str, Any] = {}
        if one.schema.dtype is not None:
            declared.update(dict.fromkeys(names, one.schema.dtype))
        for name, column in one.schema.columns.items():
            if column.dtype is not None:
                declared.update(dict.fromkeys(_names(str(name), names, regex=bool(column.regex)), column.dtype))
        for name, dtype in declared.items():
            if not agrees(dtype, one.flavour, self.table.types[name], empty.select(name)):
                answer.reasons.append((name, dtype, self.table.types[name].name))
        answer.failing = len(answer.reasons)
        answer.told = "; ".join(f"`{name}` is {found}, not {dtype}" for name, dtype, found in answer.reasons)
        return answer


def _matching(one: Asked, table: Table) -> list[str]:
    return _names(str(one.column), list(table.types), regex=one.regex)


def _names(name: str, there: Sequence[str], *, regex: bool) -> list[str]:
    if not regex:
        return [name] if name in there else []
    return [column for column in there if re.match(name, column)]


def _types(relation: duckdb.DuckDBPyRelation) -> dict[str, ColumnType]:
    return {name: column_type(str(kind)) for name, kind in zip(relation.columns, relation.types, strict=True)}


def _missing(name: str, type_: ColumnType) -> str:
    column = quoted(name)
    return f"({column} IS NULL OR isnan({column}))" if type_.family is Family.FLOAT else f"{column} IS NULL"


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]
