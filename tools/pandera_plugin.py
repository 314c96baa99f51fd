"""A plugin of pytest: whatever pandera's tests validate is validated by our backend, as a relation of DuckDB."""

import duckdb
import ibis
import pandera.ibis
import pandera.polars

from mesh_assets.schemas.backend import validate

ORIGINAL = {kind: kind.validate for kind in (pandera.polars.DataFrameSchema, pandera.ibis.DataFrameSchema)}
INSIDE: list[bool] = []  # our backend asks pandera itself where SQL cannot answer


def _validated(schema, frame, *args, lazy=False, **kwargs):  # noqa: ANN001, ANN002, ANN003, ANN202 - pandera's signature
    if INSIDE:
        return ORIGINAL[type(schema)](schema, frame, *args, lazy=lazy, **kwargs)
    con = duckdb.connect()
    con.register("frame", _rows(frame) if isinstance(frame, ibis.Table) else frame.lazy().collect().to_arrow())
    INSIDE.append(True)
    try:
        validate(schema, con.sql("FROM frame"), lazy=lazy)
    finally:
        INSIDE.pop()
    return frame


def _rows(frame: ibis.Table) -> object:
    """The rows of a table in memory, in a form that DuckDB reads: Arrow, except for durations, which ibis cannot hand over."""
    if any(kind.is_interval() for kind in frame.schema().types):
        return frame.op().data.to_frame()
    return frame.to_pyarrow()


for kind in ORIGINAL:
    kind.validate = _validated
