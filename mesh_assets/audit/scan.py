"""Tests of single rows, executed: one statement, a pushed-down filter for each test, failing rows from the same pass."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from mesh_assets.audit.contents import VIRTUAL, Contents, DataFile, Found
from mesh_assets.audit.plan import Plan, Rows, Rung, Step, layers_of
from mesh_assets.audit.texts import narrowed
from mesh_assets.audit.values import ColumnType, column_type, text


class NotAsKnownError(Exception):
    """The files are not what they were taken for: everything is read instead."""


@dataclass(slots=True)
class Counted:
    """What was found of one test.

    Attributes:
        total: Rows that it counts.
        files: By path, whether or not its rows count for the table: this is what is remembered.
        places: Some of the rows, as numbers within a file.
    """

    total: int = 0
    files: dict[str, Found] = field(default_factory=dict)
    places: dict[str, list[int]] = field(default_factory=dict)


def scan(con: duckdb.DuckDBPyConnection, plan: Plan, numbers: Iterable[int], places: int) -> dict[int, Counted]:
    """What the steps of these numbers count, and under -1 the table's rows.

    Args:
        con: Outside a transaction.
        plan: Of which the steps are.
        numbers: Of steps that ask something of single rows.
        places: So many failing rows are remembered for each test.

    Raises:
        NotAsKnownError: A file holds more or fewer rows than it should.
    """
    asked = {number: rows for number in numbers if (rows := plan.steps[number].rows)}
    if plan.contents is None:
        return _whole(con, plan, asked)
    return _by_files(con, plan.contents, asked, narrowed(con, plan, asked), places)


def _whole(con: duckdb.DuckDBPyConnection, plan: Plan, asked: Mapping[int, Rows]) -> dict[int, Counted]:
    shared = [number for number in asked if plan.steps[number].rung is Rung.SHARED]
    found: dict[int, int] = {}
    if shared:
        counts = ", ".join(f"count(*) FILTER (WHERE {asked[number].condition})" for number in shared)
        row = con.execute(f"SELECT count(*), {counts} FROM {plan.relation}").fetchone() or ()
        found = dict(zip((-1, *shared), row, strict=True))
    parts = {} if shared else {-1: f"SELECT count(*) FROM {plan.relation}"}
    parts |= {number: _count(plan.steps[number]) for number in asked if number not in found}
    if parts:
        union = " UNION ALL ".join(f"SELECT {number} AS i, ({sql}) AS n" for number, sql in parts.items())
        found |= dict(con.execute(union).fetchall())
    return {number: Counted(total=count) for number, count in found.items()}


def _count(step: Step) -> str:
    return step.question.count if step.question and not step.keys else ""


def _by_files(
    con: duckdb.DuckDBPyConnection,
    contents: Contents,
    asked: Mapping[int, Rows],
    conditions: Mapping[int, str],
    places: int,
) -> dict[int, Counted]:
    """As `scan`. `conditions` are what to ask of the files that are read, which may be less than what is asked of any file."""
    found = {number: Counted(files=dict(rows.known)) for number, rows in asked.items()}
    branches, expected, there = [], {}, {file.path for file in contents.files}
    for number, rows in asked.items():
        for layer, files in rows.scans:
            which = _which(contents, layer, files)
            branches.append(_branch(number, contents.layers[layer].sql, which, conditions[number], places))
            if which:
                expected[layer, which] = sum(file.rows for file in files)
    checks = list(expected)
    for number, (layer, which) in enumerate(checks):
        sql = f"SELECT {-2 - number} AS i, '' AS f, count(*) AS n, NULL::BIGINT[] AS p FROM {contents.layers[layer].sql} WHERE {which}"
        branches.append(sql)
    for number, file, count, where in con.execute(" UNION ALL ".join(branches)).fetchall() if branches else ():
        if number < -1:
            if count != expected[checks[-2 - number]]:
                raise NotAsKnownError
        elif file not in there:
            raise NotAsKnownError
        else:
            found[number].files[file] = Found(count, tuple(where or ()))
    _fill(asked, found)
    _settle(con, contents, asked, found, places)
    found[-1] = Counted(total=_total(con, contents))
    return found


def _fill(asked: Mapping[int, Rows], found: Mapping[int, Counted]) -> None:
    """A file without a row that is counted gives no group."""
    for number, rows in asked.items():
        for _, files in rows.scans:
            for file in files:
                found[number].files.setdefault(file.path, Found(0))


def _which(contents: Contents, layer: int, files: Sequence[DataFile]) -> str:
    """The files to read, as a condition; empty when they are all of the layer's."""
    return "" if len(files) == len(contents.layers[layer].files) else among(file.path for file in files)


def among(paths: Iterable[str]) -> str:
    """Rows of these files only."""
    return f"filename IN ({', '.join(map(text, paths))})"


def _branch(number: int, sql: str, which: str, condition: str, places: int) -> str:
    where = f"{which} AND ({condition})" if which else condition
    return (
        f"SELECT {number} AS i, filename AS f, count(*) AS n, min(file_row_number, {places}) AS p "
        f"FROM {sql} WHERE {where} GROUP BY filename"
    )


def _settle(
    con: duckdb.DuckDBPyConnection,
    contents: Contents,
    asked: Mapping[int, Rows],
    found: Mapping[int, Counted],
    places: int,
) -> None:
    """Totals. In a layer of which not all rows count, no row that is wrong means that none of those that count is."""
    branches = []
    for number, counted in found.items():
        wrong = [path for path, one in counted.files.items() if one.failing]
        for layer, paths in layers_of(contents, wrong):
            if not layer.where:
                counted.total += sum(counted.files[path].failing for path in paths)
                counted.places |= {
                    path: list(first) for path in paths if (first := _first(counted.files[path], places))
                }
                continue
            where = f"({layer.where}) AND ({asked[number].condition})"
            branches.append(_branch(number, layer.sql, among(paths), where, places))
    for number, file, count, where in con.execute(" UNION ALL ".join(branches)).fetchall() if branches else ():
        found[number].total += count
        found[number].places[file] = where or []


def _first(found: Found, places: int) -> tuple[int, ...]:
    """The first rows, if they are as many as are asked for; they may have been remembered when fewer were."""
    return found.first if len(found.first) >= min(places, found.failing) else ()


def _total(con: duckdb.DuckDBPyConnection, contents: Contents) -> int:
    known = sum(file.rows for layer in contents.layers if not layer.where for file in layer.files)
    for layer in contents.layers:
        if layer.where:
            row = con.execute(f"SELECT count(*) FROM {layer.sql} WHERE {layer.where}").fetchone()
            known += row[0] if row else 0
    return known


def shown_rows(contents: Contents, rows: Rows, counted: Counted, limit: int) -> str:
    """What follows `SELECT …` to show some of the counted rows; the table is called `_r`."""
    places, left = _shown_places(counted, limit)
    parts = [f"SELECT * {part}" for part in _at(contents, places)]
    if left:
        wrong = [path for path, one in counted.files.items() if one.failing and not counted.places.get(path)]
        parts += [
            f"SELECT * FROM {layer.sql} WHERE {among(paths)} AND ({rows.condition})"
            + (f" AND ({layer.where})" if layer.where else "")
            for layer, paths in layers_of(contents, wrong)
        ]
    return f"FROM ({' UNION ALL BY NAME '.join(parts)}) AS _r"


def places_shown(counted: Mapping[int, Counted], limit: int) -> dict[int, dict[str, list[int]]]:
    """Where the rows to show are, by test and path; a test of which one of them has no known place is left out."""
    found = {number: _shown_places(one, limit) for number, one in counted.items()}
    return {number: there for number, (there, left) in found.items() if there and not left}


def rows_at(contents: Contents, placed: Iterable[Mapping[str, Iterable[int]]]) -> str:
    """What follows `SELECT …` to read the rows at all of these places; the table is called `_r`."""
    every: dict[str, set[int]] = defaultdict(set)
    for there in placed:
        for path, numbers in there.items():
            every[path].update(numbers)
    listed = ", ".join(VIRTUAL)
    return f"FROM ({' UNION ALL BY NAME '.join(f'SELECT *, {listed} {part}' for part in _at(contents, every))}) AS _r"


def _shown_places(counted: Counted, limit: int) -> tuple[dict[str, list[int]], int]:
    """The first places that are known, by path; and how many more rows are to be shown."""
    places, left = {}, min(limit, counted.total)
    for path, numbers in sorted(counted.places.items()):
        if chosen := numbers[:left]:
            places[path] = chosen
            left -= len(chosen)
    return places, left


def _at(contents: Contents, places: Mapping[str, Iterable[int]]) -> list[str]:
    """What follows `SELECT …` to read the rows at these places."""
    return [
        f"FROM {layer.sql} WHERE {_placed(path, places[path])}"
        for layer, paths in layers_of(contents, places)
        for path in paths
    ]


def _placed(path: str, numbers: Iterable[int]) -> str:
    return f"(filename = {text(path)} AND file_row_number IN ({', '.join(map(str, sorted(numbers)))}))"


def types_of(con: duckdb.DuckDBPyConnection, relation: str) -> dict[str, ColumnType]:
    """The columns of a relation, in order, with their types."""
    return {row[0]: column_type(row[1]) for row in con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()}
