"""Hand-written pandera schemas as tests of a table, and pandera's own `validate` on DuckDB.

`schema_for` is here, because a domain's `checks.py` needs nothing else. Nothing slow is imported.
"""

from collections.abc import Callable
from typing import TypeVar

TABLES = "__mesh_tables__"
"""Attribute of an object that stands for a schema: the tables it is for, as they were written."""

T = TypeVar("T")


def schema_for(table: str) -> Callable[[T], T]:
    """Make a pandera schema part of a table's contract: each of its checks becomes a test, and an asset check.

    Args:
        table: `domain/table` of the own domain, or of a port that it reads: then it is what this reader expects of it.

    Returns:
        A decorator for a `DataFrameModel`, a `DataFrameSchema`, or a function without parameters that returns one.

    Example:
        >>> @mesh_assets.schema_for("marketing/campaign_reach")
        ... class Reach(pa.DataFrameModel): ...
    """

    def attach(schema: T) -> T:
        known = vars(schema).get(TABLES, ())
        setattr(schema, TABLES, (*known, table))
        return schema

    return attach
