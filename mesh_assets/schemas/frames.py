"""Checks that SQL cannot say, executed by pandera itself on frames: in the open, and in bounded batches where it can be."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl

from mesh_assets.audit.values import CannotAnswer
from mesh_assets.schemas.asked import Asked, Flavour, bare

BATCH = 100_000
"""Rows that an element-wise check sees at a time."""

Typed = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(slots=True)
class Counted:
    """Failing rows, and the first of them.

    Attributes:
        whole: The check said one word of the whole column or table.
    """

    failing: int = 0
    rows: pl.DataFrame | None = None
    batches: int = 0
    whole: bool = False


def count(one: Asked, column: str | None, rows: duckdb.DuckDBPyRelation, typed: Typed, limit: int) -> Counted:
    """The failing rows of one check, by pandera on frames of the schema's own library.

    Built-in checks are those of the reference, polars, whatever the schema was written for.

    Args:
        rows: What they hold beside `column` is for the failing rows that are shown, and for functions that look at it.
        typed: Gives a frame of them its types.

    Raises:
        CannotAnswer: The check raised, or gave what is no verdict.
    """
    polars = one.flavour is Flavour.POLARS or (one.built_in and one.check.groupby is None)
    judge = _polars if polars else _pandas
    # A batch is only as good as the whole where nothing but the value is looked at.
    alone = one.element_wise or bool(one.built_in and one.built_in != "unique_values_eq" and column)
    found = Counted()
    for batch in _batches(rows) if alone else [rows.pl()]:
        frame = typed(batch)
        found.batches += 1
        wrong = judge(one, column, frame)
        if isinstance(wrong, bool):
            found.whole = True
            found.failing += not wrong
            continue
        found.failing += int(wrong.sum())
        if found.rows is None or found.rows.height < limit:
            some = frame.filter(wrong).head(limit - (found.rows.height if found.rows is not None else 0))
            found.rows = some if found.rows is None else found.rows.vstack(some)
    return found


def count_in(one: Asked, column: str, frame: pl.DataFrame) -> int:
    """The failing rows of a built-in check in one frame, by the reference.

    Raises:
        CannotAnswer: The reference cannot ask it of such a column.
    """
    wrong = _polars(one, column, frame)
    return int(not wrong) if isinstance(wrong, bool) else int(wrong.sum())


def _batches(relation: duckdb.DuckDBPyRelation) -> Iterator[pl.DataFrame]:
    """At least one, so that an empty table is judged, too."""
    empty = True
    reader = relation.to_arrow_reader(BATCH)
    for batch in reader:
        if batch.num_rows:
            empty = False
            frame = pl.from_arrow(batch)
            if isinstance(frame, pl.DataFrame):
                yield frame
    if empty:
        made = pl.from_arrow(reader.schema.empty_table())
        if isinstance(made, pl.DataFrame):
            yield made


def _polars(one: Asked, column: str | None, frame: pl.DataFrame) -> bool | pl.Series:
    import pandera.polars as pa

    check = bare(one.check)
    name = column if column is None or not _looks_like_a_pattern(column) else "column"
    seen = frame.rename({column: name}) if column and name and name != column else frame
    if name is not None and one.built_in:
        seen = seen.select(name)
    schema = (
        pa.DataFrameSchema({name: pa.Column(checks=[check], nullable=True)})
        if name
        else pa.DataFrameSchema(checks=[check])
    )
    error = _error(schema, seen)
    if error is None:
        return pl.Series([False]).new_from_index(0, frame.height)
    output = error.check_output
    if not isinstance(output, pl.DataFrame) or output.height != frame.height or error.failure_cases is False:
        return False
    return ~output.to_series(output.width - 1).fill_null(value=True)


def _pandas(one: Asked, column: str | None, frame: pl.DataFrame) -> bool | pl.Series:
    import pandas as pd
    import pandera.pandas as pa

    check, seen = bare(one.check), frame.to_pandas()
    columns = {column: pa.Column(checks=[check], nullable=True)} if column else {}
    error = _error(pa.DataFrameSchema(columns, checks=[] if column else [check]), seen)
    right = pl.Series([False]).new_from_index(0, frame.height)
    if error is None:
        return right
    output = error.check_output
    if isinstance(output, pd.DataFrame):
        output = output.all(axis=1)
    if not isinstance(output, pd.Series):
        return False
    # Nulls that the check ignores are not in its output.
    said = output.reindex(seen.index, fill_value=True).astype("boolean").fillna(value=False)
    return pl.Series((~said).to_numpy(dtype=bool))


def _error(schema: Any, frame: Any) -> Any:  # noqa: ANN401 - pandera has one class per library
    """What pandera says of the schema's only check; None when it passes."""
    from pandera.config import ValidationDepth, config_context
    from pandera.errors import SchemaErrorReason, SchemaErrors

    try:
        with warnings.catch_warnings(), config_context(validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            warnings.simplefilter("ignore")
            schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        (error,) = errors.schema_errors
        if error.reason_code is SchemaErrorReason.CHECK_ERROR:
            told = str(error.failure_cases)
            if not isinstance(error.failure_cases, str):
                told = str(error)
            raise CannotAnswer(f"the check raised {_first_line(told)}") from None
        return error
    return None


def _first_line(text: str) -> str:
    return text.replace("\\n", "\n").splitlines()[0].rstrip('")')[:300] if text else "an error"


def _looks_like_a_pattern(name: str) -> bool:
    """Pandera takes such a column's name for a regular expression."""
    return name.startswith("^") and name.endswith("$")
