"""What is in a table: every column's figures from one statement, and its texts from a sample."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mesh_assets.audit.scan import types_of
from mesh_assets.audit.values import NUMBERS, ColumnType, Family, quoted

if TYPE_CHECKING:
    import duckdb

SAMPLE = 20_000
FEW = 40
"""So many different values are listed."""
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
    """The table's profile: one pass for figures, one over a sample for texts, one for columns of few values."""
    types = types_of(con, relation)
    rows, figures = _figures(con, relation, types)
    found = {
        name: Figures(name=name, type=type_, rows=rows, **figures[name])  # ty: ignore[invalid-argument-type] - by name
        for name, type_ in types.items()
    }
    return Profile(rows=rows, columns=_with_values(con, relation, _with_samples(con, relation, found)))


def _figures(
    con: "duckdb.DuckDBPyConnection", relation: str, types: Mapping[str, ColumnType]
) -> tuple[int, dict[str, dict[str, object]]]:
    asked = [(name, key, sql) for name, type_ in types.items() for key, sql in _asked(quoted(name), type_).items()]
    row = con.execute(f"SELECT count(*){''.join(f', {sql}' for _, _, sql in asked)} FROM {relation}").fetchone() or (0,)
    found: dict[str, dict[str, object]] = {name: {} for name in types}
    for (name, key, _), value in zip(asked, row[1:], strict=True):
        found[name][key] = value
    return int(row[0]), found


def _asked(column: str, type_: ColumnType) -> dict[str, str]:
    missing = f"{column} IS NULL OR isnan({column})" if type_.family is Family.FLOAT else f"{column} IS NULL"
    asked = {"nulls": f"count(*) FILTER (WHERE {missing})"}
    if type_.family not in _COUNTED:
        return asked
    asked["distinct"] = f"approx_count_distinct({column})"
    if type_.family is Family.TEXT:
        asked["blanks"] = f"count(*) FILTER (WHERE trim({column}) = '')"
        asked |= {"shortest": f"min(length({column}))", "longest": f"max(length({column}))"}
    elif type_.family in NUMBERS:
        value = f"CASE WHEN isfinite({column}) THEN {column} END" if type_.family is Family.FLOAT else column
        # Through DOUBLE the sums of squares of very large numbers still overflow; such columns have no deviation.
        asked |= {"least": f"min({value})::VARCHAR", "most": f"max({value})::VARCHAR", "mean": f"avg({value})::DOUBLE"}
        asked["deviation"] = f"stddev_samp(CASE WHEN abs({value}) < 1e150 THEN ({value})::DOUBLE END)"
    elif type_.family in _DAYS:
        asked |= {"least": f"min({column})::VARCHAR", "most": f"max({column})::VARCHAR"}
    return asked


def _with_samples(con: "duckdb.DuckDBPyConnection", relation: str, found: Mapping[str, Figures]) -> dict[str, Figures]:
    from dataclasses import replace

    texts = [name for name, one in found.items() if one.type.family is Family.TEXT and one.given]
    if not texts:
        return dict(found)
    listed = ", ".join(f"substr({quoted(name)}, 1, 200)" for name in texts)
    rows = con.execute(
        f"SELECT {listed} FROM {relation} USING SAMPLE reservoir({SAMPLE} ROWS) REPEATABLE (7)"
    ).fetchall()
    samples = {
        name: tuple(str(row[place]) for row in rows if row[place] is not None and row[place].strip())
        for place, name in enumerate(texts)
    }
    return {name: replace(one, sample=samples.get(name, ())) for name, one in found.items()}


def _with_values(con: "duckdb.DuckDBPyConnection", relation: str, found: Mapping[str, Figures]) -> dict[str, Figures]:
    """With the values of columns of few, and the exact number of those that are nearly all different."""
    from dataclasses import replace

    few = [one for one in found.values() if one.given and one.distinct <= FEW * 1.2 and one.type.family in _COUNTED]
    many = [one for one in found.values() if one.given and one.distinct >= 0.8 * one.given and one not in few]
    made = dict(found)
    parts = [f"map_entries(histogram({quoted(one.name)}::VARCHAR))" for one in few]
    parts += [f"count(DISTINCT {quoted(one.name)})" for one in many]
    if not parts:
        return made
    row = con.execute(f"SELECT {', '.join(parts)} FROM {relation}").fetchone() or ()
    for one, value in zip([*few, *many], row, strict=True):
        if one in few:
            listed = sorted(
                ((item["key"], item["value"]) for item in value or ()), key=lambda item: (-item[1], str(item[0]))
            )
            made[one.name] = replace(one, distinct=len(listed), values=tuple(listed[: FEW + 10]))
        else:
            made[one.name] = replace(one, distinct=int(value))
    return made
