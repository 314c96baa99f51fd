"""pandera on polars, from the Parquet file."""

from datetime import date

import pandera.polars as pa
import polars as pl
from common import COUNTRIES, FIRST, LAST, LONGEST, PATTERNS, RANGES, REQUIRED, STATES, files, measured

orders, customers, _ = files()
known = pl.read_parquet(customers)["id"]
checks: dict[str, list[pa.Check]] = {name: [pa.Check.in_range(*ends, name="range")] for name, ends in RANGES.items()}
checks |= {name: [pa.Check.str_matches(pattern, name="pattern")] for name, pattern in PATTERNS.items()}
checks["country"] = [pa.Check.isin(COUNTRIES, name="in")]
checks["status"] = [pa.Check.isin(STATES, name="in")]
checks["note"] = [pa.Check.str_length(max_value=LONGEST, name="length")]
checks["ordered_on"] = [pa.Check.in_range(date.fromisoformat(FIRST), date.fromisoformat(LAST), name="range")]
checks["customer_id"].append(
    pa.Check(lambda data: data.lazyframe.select(pl.col(data.key).is_in(known.implode())), name="reference")
)
schema = pa.DataFrameSchema(
    {
        name: pa.Column(kind, checks.get(name, []), nullable=name not in REQUIRED, unique=name == "order_id")
        for name, kind in pl.read_parquet_schema(orders).items()
    },
    checks=[
        pa.Check(lambda data: data.lazyframe.select(pl.col("shipped_on") >= pl.col("ordered_on")), name="order"),
        pa.Check(lambda data: data.lazyframe.select(pl.len() > 0), name="rows"),
    ],
)


def work() -> dict[str, int]:
    """Every failing row, as pandera lists them."""
    try:
        schema.validate(pl.read_parquet(orders), lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases.group_by("column", "check").len()
        named = {("orders", "order"): "shipped_on__order", (None, "order"): "shipped_on__order"}
        words = {"not_nullable": "required", "field_uniqueness": "unique"}
        return {
            named.get((column, check), f"{column}__{words.get(check, check)}"): count
            for column, check, count in cases.iter_rows()
        }
    return {}


measured(work)
