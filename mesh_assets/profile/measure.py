"""What is in a table: how far every column reaches from all rows, how its values are spread from all or, of many, from some.

What tests are made of is exact: what is missing, the ends, the lists of few values, whether a value comes twice. The rest,
an average or how many different values there are between few and all, is of a sample of a large table.
"""

import math
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mesh_assets.audit.proofs import Keys
from mesh_assets.audit.scan import types_of
from mesh_assets.audit.values import NUMBERS, ColumnType, Family, quoted

if TYPE_CHECKING:
    import duckdb

WHOLE = 250_000
"""Up to so many rows, all of them are the sample."""
PIECE = 12
"""A sample of a lake's table is made of pieces of 2 to the power of 12 rows: what lies between them is not even decoded."""
PIECES = 16
SAMPLE = 20_000
"""Texts of a column that are kept."""
FEW = 40
"""So many different values make a category."""
LISTED = 48
COUNTED = 160
"""Where a sample shows so few different values, they are counted in all rows: rows that lie together are often alike."""
_READ = (Family.TEXT, Family.FLOAT)
"""Their lengths, or what of them is a number, no statistics say; of the others DuckDB reads nothing, when asked apart."""
_DAYS = (Family.DATE, Family.TIMESTAMP, Family.TIMESTAMPTZ)
_COUNTED = (*NUMBERS, *_DAYS, Family.TEXT, Family.BOOLEAN, Family.TIME, Family.UUID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One column.

    Attributes:
        rows: Of the table.
        nulls: Null or NaN.
        blanks: Texts of nothing but spaces.
        distinct: Different values: exact where `values` lists them or it is near `rows`, else about so many.
        least: The smallest value, as text of SQL; None where there is none.
        most: The greatest value, likewise.
        values: All values with how often, where there are few, most frequent first.
        sample: Texts that are not blank, from up to 20,000 rows.
    """

    name: str
    type: ColumnType
    rows: int
    nulls: int
    blanks: int = 0
    distinct: int = 0
    least: str | None = None
    most: str | None = None
    shortest: int | None = None
    longest: int | None = None
    mean: float | None = None
    deviation: float | None = None
    values: tuple[tuple[object, int], ...] = ()
    sample: tuple[str, ...] = ()

    @property
    def given(self) -> int:
        """Rows with a value."""
        return self.rows - self.nulls


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A table's columns, in order."""

    rows: int
    columns: Mapping[str, Figures] = field(default_factory=dict)


def profile(con: "duckdb.DuckDBPyConnection", relation: str) -> Profile:
    """The table's profile.

    Args:
        con: A connection.
        relation: The table, as SQL that can stand after `FROM`; of a table of the lake as `Lake.stored` gives it, so that
            a sample costs little.
    """
    types = types_of(con, relation)
    rows, extent = _figures(
        con, relation, {name: type_ for name, type_ in types.items() if type_.family in _READ}, _extent
    )
    others = {name: type_ for name, type_ in types.items() if type_.family not in _READ}
    extent |= _figures(con, relation, others, _extent)[1]
    with _some(con, relation, rows) as some:
        seen, spread = _figures(con, some, types, _spread)
        found = {
            name: Figures(name=name, type=type_, rows=rows, **{**extent[name], **spread[name]})  # ty: ignore[invalid-argument-type] - by name
            for name, type_ in types.items()
        }
        found = _with_blanks(con, relation, _with_samples(con, some, found))
        if some != relation:
            found = _extrapolated(con, some, seen, found)
    return Profile(rows=rows, columns=_with_values(con, relation, found))


@contextmanager
def _some(con: "duckdb.DuckDBPyConnection", relation: str, rows: int) -> Generator[str]:
    """The table, or where it is large a temporary one of some of its rows."""
    import duckdb

    if rows <= WHOLE:
        yield relation
        return
    aside, held = f"mesh_some_{uuid.uuid4().hex}", 0
    every = rows // (PIECES << PIECE)
    where = f"(file_row_number >> {PIECE}) % {every} = {every // 2}"
    try:
        con.execute(f"CREATE TEMP TABLE {aside} AS SELECT * FROM {relation} WHERE {where}")
        ((held,),) = con.execute(f"SELECT count(*) FROM temp.{aside}").fetchall()
    except duckdb.BinderException:  # no table of the lake
        held = 0
    if held < SAMPLE:  # or one of many small files
        anywhere = f"{relation} USING SAMPLE reservoir({PIECES << PIECE} ROWS) REPEATABLE (7)"
        con.execute(f"CREATE OR REPLACE TEMP TABLE {aside} AS SELECT * FROM {anywhere}")
    try:
        yield f"temp.{aside}"
    finally:
        con.execute(f"DROP TABLE temp.{aside}")


Asked = Mapping[str, str]
"""Aggregates of a column, by the name of the figure."""


def _figures(
    con: "duckdb.DuckDBPyConnection",
    relation: str,
    types: Mapping[str, ColumnType],
    asks: Callable[[str, ColumnType], Asked],
) -> tuple[int, dict[str, dict[str, object]]]:
    """All of them in one statement."""
    asked = [(name, key, sql) for name, type_ in types.items() for key, sql in asks(quoted(name), type_).items()]
    row = con.execute(f"SELECT count(*){''.join(f', {sql}' for _, _, sql in asked)} FROM {relation}").fetchone() or (0,)
    found: dict[str, dict[str, object]] = {name: {} for name in types}
    for (name, key, _), value in zip(asked, row[1:], strict=True):
        found[name][key] = value
    return int(row[0]), found


def _extent(column: str, type_: ColumnType) -> Asked:
    """Much of it is in the files' statistics: then DuckDB reads none of the values."""
    if type_.family is Family.FLOAT:
        value = f"CASE WHEN isfinite({column}) THEN {column} END"
        nulls = f"count(*) FILTER (WHERE {column} IS NULL OR isnan({column}))"
    else:
        value, nulls = column, f"count(*) - count({column})"
    asked = {"nulls": nulls}
    if type_.family is Family.TEXT:
        asked |= {"shortest": f"min(length({column}))", "longest": f"max(length({column}))"}
    elif type_.family in NUMBERS or type_.family in _DAYS:
        asked |= {"least": f"min({value})::VARCHAR", "most": f"max({value})::VARCHAR"}
    return asked


def _spread(column: str, type_: ColumnType) -> Asked:
    asked = {"distinct": f"approx_count_distinct({column})"} if type_.family in _COUNTED else {}
    if type_.family in NUMBERS:
        value = f"CASE WHEN isfinite({column}) THEN {column} END" if type_.family is Family.FLOAT else column
        asked["mean"] = f"avg({value})::DOUBLE"
        # Through DOUBLE the sums of squares of very large numbers still overflow; such columns have no deviation.
        asked["deviation"] = f"stddev_samp(CASE WHEN abs({value}) < 1e150 THEN ({value})::DOUBLE END)"
    return asked


def _with_blanks(con: "duckdb.DuckDBPyConnection", relation: str, found: Mapping[str, Figures]) -> dict[str, Figures]:
    """How many texts are nothing but spaces, of which every one begins below `!` or with a space beyond ASCII."""
    texts = [name for name, one in found.items() if one.type.family is Family.TEXT and one.given]
    if not texts:
        return dict(found)
    counts = " UNION ALL ".join(
        f"SELECT {place}, count(*) FROM {relation} WHERE ({name} < '!' OR {name} >= chr(160)) AND trim({name}) = ''"
        for place, name in enumerate(map(quoted, texts))
    )
    blanks = {texts[place]: count for place, count in con.execute(counts).fetchall()}
    return {name: replace(one, blanks=blanks.get(name, 0)) for name, one in found.items()}


def _with_samples(con: "duckdb.DuckDBPyConnection", some: str, found: Mapping[str, Figures]) -> dict[str, Figures]:
    texts = [name for name, one in found.items() if one.type.family is Family.TEXT and one.given]
    if not texts:
        return dict(found)
    listed = ", ".join(f"substr({quoted(name)}, 1, 200)" for name in texts)
    rows = con.execute(f"SELECT {listed} FROM {some} USING SAMPLE reservoir({SAMPLE} ROWS) REPEATABLE (7)").fetchall()
    samples = {
        name: tuple(str(row[place]) for row in rows if row[place] is not None and row[place].strip())
        for place, name in enumerate(texts)
    }
    return {name: replace(one, sample=samples.get(name, ())) for name, one in found.items()}


def _extrapolated(
    con: "duckdb.DuckDBPyConnection", some: str, seen: int, found: Mapping[str, Figures]
) -> dict[str, Figures]:
    """With about as many different values as the whole table has, of which the sample shows some."""
    listed = [one for one in found.values() if one.type.family in _COUNTED and one.given]
    counts = " UNION ALL ".join(
        f"SELECT {place}, count(*), count(*) FILTER (WHERE n = 1) FROM "
        f"(SELECT count(*) AS n FROM {some} WHERE {name} IS NOT NULL GROUP BY {name})"
        for place, name in enumerate(quoted(one.name) for one in listed)
    )
    made = dict(found)
    for place, different, once in con.execute(counts).fetchall() if counts else ():
        one = listed[place]
        given = seen * one.given / one.rows
        near = different - once + math.sqrt(one.rows / seen) * once  # the estimator of Charikar and others, PODS 2000
        # Where nearly all values differ, the sample has hardly one twice.
        unique = given - different <= 10 + given * given / one.given
        made[one.name] = replace(one, distinct=one.given if unique else min(round(near), int(0.79 * one.given)))
    return made


def _with_values(con: "duckdb.DuckDBPyConnection", relation: str, found: Mapping[str, Figures]) -> dict[str, Figures]:
    """With the values of columns of few, and the exact number of those that are nearly all different."""
    few = [one for one in found.values() if one.given and one.distinct <= COUNTED and one.type.family in _COUNTED]
    many = [one for one in found.values() if one.given and one.distinct >= 0.8 * one.given and one not in few]
    made = {**found, **{one.name: replace(one, distinct=_different(con, relation, one)) for one in many}}
    listed: dict[str, list[tuple[object, int]]] = {one.name: [] for one in few}
    groups = " UNION ALL ".join(
        f"(SELECT {place}, {name}::VARCHAR, n, count(*) OVER () FROM "
        f"(SELECT {name}, count(*) AS n FROM {relation} WHERE {name} IS NOT NULL GROUP BY {name}) "
        f"ORDER BY n DESC, {name}::VARCHAR LIMIT {LISTED + 1})"
        for place, name in enumerate(quoted(one.name) for one in few)
    )
    for place, value, times, distinct in con.execute(groups).fetchall() if groups else ():
        one = few[place]
        listed[one.name].append((value, times))
        values = sorted(listed[one.name], key=lambda item: (-item[1], str(item[0]))) if distinct <= LISTED else []
        made[one.name] = replace(one, distinct=distinct, values=tuple(values))
    return made


def _different(con: "duckdb.DuckDBPyConnection", relation: str, one: Figures) -> int:
    """How many different values there are; that all are is mostly proved for less than counting them costs."""
    keys = Keys(columns=(one.name,), types={one.name: one.type}, known_only=one.nulls > 0)
    whole = one.type.family is Family.INTEGER and one.least is not None and one.most is not None
    ends = (int(str(one.least)), int(str(one.most))) if whole else None
    if keys.search(con, keys.of(relation), ends, one.rows)[0]:
        return one.given
    ((count,),) = con.execute(f"SELECT count(DISTINCT {quoted(one.name)}) FROM {relation}").fetchall()
    return int(count)
