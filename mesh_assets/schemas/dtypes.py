"""Does a column of the lake have the type that a pandera schema declares?"""

from typing import Any

import polars as pl

from mesh_assets.audit.values import ColumnType, Family
from mesh_assets.schemas.asked import Flavour


def agrees(dtype: Any, flavour: Flavour, type_: ColumnType, empty: pl.DataFrame) -> bool:  # noqa: ANN401 - pandera's own
    """Whether the types are the same, as the schema's library sees them.

    Polars and ibis have the lake's types. Pandas has not (a whole number with nulls is a float there): of a schema for
    pandas only the family counts, and the width of whole numbers and floats.

    Args:
        empty: A frame of the column alone.
    """
    match flavour:
        case Flavour.POLARS:
            from pandera.api.polars.types import PolarsData
            from pandera.engines.polars_engine import Engine

            name = empty.columns[0]
            return bool(dtype.check(Engine.dtype(empty.dtypes[0]), PolarsData(empty.lazy(), name)))
        case Flavour.IBIS:
            from ibis.backends.sql.datatypes import DuckDBType
            from pandera.engines.ibis_engine import Engine as IbisEngine

            kind = {"TIME_NS": "TIME"}.get(type_.name, type_.name)
            found = DuckDBType.from_string(kind)
            declared = getattr(dtype, "type", None)
            if found.is_timestamp() and declared is not None and declared.is_timestamp() and declared.scale is None:
                found = found.copy(scale=None)  # a moment, however finely it is kept
            return bool(dtype.check(IbisEngine.dtype(found)))
    return _as_pandas(dtype, type_)


def _as_pandas(dtype: Any, type_: ColumnType) -> bool:  # noqa: ANN401
    from pandera import dtypes

    spelt = str(dtype).lower()
    width = "".join(char for char in spelt if char.isdigit())
    match type_.family:
        case Family.INTEGER:
            bits = {"TINYINT": "8", "SMALLINT": "16", "INTEGER": "32", "BIGINT": "64", "HUGEINT": "128"}
            unsigned = type_.name.startswith("U")
            kind = dtypes.is_uint(dtype) if unsigned else dtypes.is_int(dtype) and not dtypes.is_uint(dtype)
            return kind and width in ("", bits[type_.name.removeprefix("U")])
        case Family.FLOAT:
            return dtypes.is_float(dtype) and width in ("", "32" if type_.name == "FLOAT" else "64")
        case Family.DECIMAL:
            return "decimal" in spelt
        case Family.TEXT | Family.UUID:
            return dtypes.is_string(dtype) or spelt in ("object", "category") or dtypes.is_category(dtype)
        case Family.BOOLEAN:
            return dtypes.is_bool(dtype)
        case Family.DATE:
            return spelt in ("date", "date32[day][pyarrow]") or dtypes.is_datetime(dtype)
        case Family.TIMESTAMP | Family.TIMESTAMPTZ:
            return dtypes.is_datetime(dtype)
    return spelt == "object"
