"""A query's result as Parquet files of the contract's types, outside the published tables."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mesh_assets.contract import Column
from mesh_assets.errors import RunError
from mesh_assets.lake.sqltext import as_parquet, in_lake, parquet, quoted, text
from mesh_assets.lake.trouble import explained
from mesh_assets.lake.values import Staged

if TYPE_CHECKING:
    import duckdb
    from duckdb.sqltypes import DuckDBPyType

SAMPLE = 10
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
_WHOLE = frozenset({*_INTEGERS, *(f"U{name}" for name in _INTEGERS), "HUGEINT", "UHUGEINT"})


@dataclass(frozen=True, slots=True)
class Cell:
    """One column on its way from the result to the file. `mine`: its type is our choice, no contract names it."""

    name: str
    source: str
    was: str
    type: str
    mine: bool

    @property
    def safe(self) -> bool:
        """Whether no value can be lost on the way."""
        if self.type in (self.was, "VARCHAR") or self.was == '"NULL"':
            return True
        return self.was in _INTEGERS and self.type in _INTEGERS[_INTEGERS.index(self.was) :]

    @property
    def cast(self) -> str:
        """The column in its new type, NULL where a value does not fit it."""
        return (
            quoted(self.source)
            if self.was == self.type
            else f"CASE WHEN {self.fits} THEN TRY_CAST({quoted(self.source)} AS {self.type}) END"
        )

    @property
    def fits(self) -> str:
        """Whether a value survives: a fraction is not a whole number, a time of day is not a date."""
        value = quoted(self.source)
        fits = f"TRY_CAST({value} AS {self.type}) IS NOT NULL"
        if self.type in _WHOLE and (self.was in ("VARCHAR", "DOUBLE", "FLOAT") or self.was.startswith("DECIMAL")):
            # 64-bit floats hold no fraction where they are inexact.
            return f"({fits} AND coalesce(TRY_CAST({value} AS DOUBLE) = trunc(TRY_CAST({value} AS DOUBLE)), true))"
        if self.type == "DATE" and (self.was == "VARCHAR" or self.was.startswith("TIMESTAMP")):
            return f"({fits} AND coalesce(TRY_CAST({value} AS TIMESTAMP) = TRY_CAST({value} AS DATE)::TIMESTAMP, true))"
        return fits

    @property
    def lost(self) -> str:
        """Whether a value is there and does not fit."""
        return f"({quoted(self.source)} IS NOT NULL AND NOT {self.fits})"


def stage(con: "duckdb.DuckDBPyConnection", table: str, query: str, columns: Sequence[Column], folder: Path) -> Staged:
    """See `Lake.stage`."""
    query = query.strip().rstrip(";")
    result = con.sql(f"FROM (\n{query}\n)")
    _refuse_twins(con, table, query)
    cells = _cells(con, table, dict(zip(result.columns, result.types, strict=True)), columns)
    have = {cell.name for cell in cells}
    file = folder / f"{uuid.uuid4()}.parquet"
    with explained(f"Staging {table}", only_known=True):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            if all(cell.safe for cell in cells):
                rows, lost, samples = _copy(con, cells, f"(\n{query}\n)", file), {}, {}
            else:
                rows, lost, samples = _cast_and_copy(con, table, cells, query, file)
        except BaseException:
            file.unlink(missing_ok=True)
            raise
    return Staged(
        table=table,
        files=(str(file),),
        rows=rows,
        columns=described(con, parquet((str(file),))),
        lost=lost,
        lost_sample=samples,
        missing=tuple(column.name for column in columns if column.name not in have),
        extra=tuple(cell.name for cell in cells if cell.mine),
    )


def is_as_promised(con: "duckdb.DuckDBPyConnection", table: str, columns: Sequence[Column]) -> bool:
    """Whether a table of the attached lake has the contract's columns in their order and types."""
    result = con.sql(f"FROM {in_lake(table)}")
    cells = _cells(con, table, dict(zip(result.columns, result.types, strict=True)), columns)
    return all(cell.was == cell.type for cell in cells) and [cell.name for cell in cells] == list(result.columns)


def described(con: "duckdb.DuckDBPyConnection", relation: str) -> tuple[tuple[str, str], ...]:
    """(name, type) of every column of a relation, in order."""
    result = con.sql(f"FROM {relation}")
    return tuple(zip(result.columns, map(str, result.types), strict=True))


def storable(kind: "DuckDBPyType") -> str:
    """The type in which files keep a value; they have neither `HUGEINT` nor `ENUM`, also not inside another type."""
    if kind.id in ("hugeint", "uhugeint"):
        return "BIGINT"
    if kind.id == "enum":
        return "VARCHAR"
    if kind.id == "sqlnull":
        return "INTEGER"
    if kind.id in ("list", "array"):
        return f"{storable(_children(kind)['child'])}[]"
    if kind.id == "struct":
        fields = (f"{quoted(name)} {storable(child)}" for name, child in _children(kind).items())
        return f"STRUCT({', '.join(fields)})"
    if kind.id == "map":
        return f"MAP({', '.join(map(storable, _children(kind).values()))})"
    return str(kind)


def _children(kind: "DuckDBPyType") -> dict[str, "DuckDBPyType"]:
    # An array's second child is its length.
    return {name: child for name, child in kind.children if isinstance(child, type(kind))}


def _refuse_twins(con: "duckdb.DuckDBPyConnection", table: str, query: str) -> None:
    """As part of a query, DuckDB would rename the second of two columns in silence."""
    import duckdb

    statements = con.extract_statements(query)
    if len(statements) > 1 or statements[0].type != duckdb.StatementType.SELECT:
        return  # a PIVOT over whatever values there are: its names differ
    seen = set()
    for name in con.sql(query).columns:
        if name.casefold() in seen:
            message = f"{table}: the result has two columns named `{name}`.\n    Rename one of them."
            raise RunError(message)
        seen.add(name.casefold())


def _cells(
    con: "duckdb.DuckDBPyConnection", table: str, types: dict[str, "DuckDBPyType"], columns: Sequence[Column]
) -> list[Cell]:
    folded = {name.casefold(): name for name in types}
    cells = []
    for column in columns:
        source = folded.pop(column.name.casefold(), None)
        if source is not None:
            wanted = con.sql(f"SELECT NULL::{column.type} AS x").types[0]
            if any(kind in str(wanted) for kind in ("HUGEINT", "ENUM")):
                message = (
                    f"{table}: column `{column.name}` is to be {column.type}, which no file can hold.\n"
                    "    Use BIGINT, DECIMAL(38,0) or VARCHAR."
                )
                raise RunError(message)
            cells.append(Cell(column.name, source, str(types[source]), str(wanted), mine=False))
    for source in folded.values():
        kept = con.sql(f"SELECT NULL::{storable(types[source])} AS x").types[0]
        cells.append(Cell(source, source, str(types[source]), str(kept), mine=True))
    if not cells:
        message = f"{table}: the result has no columns.\n    Select at least one."
        raise RunError(message)
    return cells


def _copy(con: "duckdb.DuckDBPyConnection", cells: Sequence[Cell], relation: str, file: Path) -> int:
    picked = ", ".join(f"CAST({quoted(cell.source)} AS {cell.type}) AS {quoted(cell.name)}" for cell in cells)
    return write(con, f"SELECT {picked} FROM {relation}", [cell.type for cell in cells], file)


def write(con: "duckdb.DuckDBPyConnection", query: str, types: Iterable[str], file: Path) -> int:
    """Put what a query gives, with columns of these types, into a file; how many rows that are."""
    done = con.execute(f"COPY ({query}) TO {text(str(file))} ({as_parquet(types)})").fetchone()
    return int(done[0]) if done else 0


def _cast_and_copy(
    con: "duckdb.DuckDBPyConnection", table: str, cells: Sequence[Cell], query: str, file: Path
) -> tuple[int, dict[str, int], dict[str, tuple[dict[str, str | None], ...]]]:
    # Computed once: it may be expensive, or not give the same twice.
    temporary = f"temp.mesh_stage_{uuid.uuid4().hex}"
    con.execute(f"CREATE TEMP TABLE {temporary.removeprefix('temp.')} AS FROM (\n{query}\n)")
    try:
        risky = [cell for cell in cells if not cell.safe]
        counts = (
            con.execute(
                f"SELECT {', '.join(f'count(*) FILTER (WHERE {cell.lost})' for cell in risky)} FROM {temporary}"
            ).fetchone()
            or ()
        )
        lost = {cell.name: int(count) for cell, count in zip(risky, counts, strict=True) if count}
        for cell in risky:
            if cell.mine and cell.name in lost:
                message = (
                    f"{table}: {lost[cell.name]} values of column `{cell.name}` ({cell.was}) do not fit {cell.type}, "
                    "and files know no larger integer.\n"
                    "    Cast it to DECIMAL(38,0) or VARCHAR, or give it a type in the contract."
                )
                raise RunError(message)
        picked = ", ".join(f"{cell.cast} AS {quoted(cell.name)}" for cell in cells)
        rows = write(con, f"SELECT {picked} FROM {temporary}", [cell.type for cell in cells], file)
        samples = {cell.name: _sample(con, cells, temporary, cell) for cell in risky if cell.name in lost}
        return rows, lost, samples
    finally:
        con.execute(f"DROP TABLE IF EXISTS {temporary}")


def _sample(
    con: "duckdb.DuckDBPyConnection", cells: Sequence[Cell], temporary: str, bad: Cell
) -> tuple[dict[str, str | None], ...]:
    values = ", ".join(f"CAST({quoted(cell.source)} AS VARCHAR)" for cell in cells)
    rows = con.execute(f"SELECT {values} FROM {temporary} WHERE {bad.lost} LIMIT {SAMPLE}").fetchall()
    return tuple(dict(zip((cell.name for cell in cells), row, strict=True)) for row in rows)
