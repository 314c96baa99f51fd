"""pandera on ibis and DuckDB, from the Parquet file."""

from datetime import date

import ibis
import pandera.ibis as pa
from common import COUNTRIES, FIRST, LAST, LONGEST, PATTERNS, RANGES, REQUIRED, STATES, files, measured

orders, customers, _ = files()
con = ibis.duckdb.connect()
table, known = con.read_parquet(orders), con.read_parquet(customers)
checks: dict[str, list[pa.Check]] = {name: [pa.Check.in_range(*ends, name="range")] for name, ends in RANGES.items()}
checks |= {name: [pa.Check.str_matches(pattern, name="pattern")] for name, pattern in PATTERNS.items()}
checks["country"] = [pa.Check.isin(COUNTRIES, name="in")]
checks["status"] = [pa.Check.isin(STATES, name="in")]
checks["note"] = [pa.Check.str_length(max_value=LONGEST, name="length")]
checks["ordered_on"] = [pa.Check.in_range(date.fromisoformat(FIRST), date.fromisoformat(LAST), name="range")]
checks["customer_id"].append(pa.Check(lambda data: data.table[data.key].isin(known.id), name="reference"))
schema = pa.DataFrameSchema(
    {
        name: pa.Column(kind, checks.get(name, []), nullable=name not in REQUIRED)
        for name, kind in table.schema().items()
    },
    unique=["order_id"],  # `Column(unique=True)` is not executed here
    checks=[
        pa.Check(lambda data: data.table.shipped_on >= data.table.ordered_on, name="order"),
        pa.Check(lambda data: data.table.count() > 0, name="rows"),
    ],
)


def work() -> dict[str, int]:
    """Every failing row, as pandera lists them."""
    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        cases = cases if hasattr(cases, "groupby") else cases.to_pandas()
        return {
            f"{column}__{check}": count for (column, check), count in cases.groupby(["column", "check"]).size().items()
        }
    return {}


measured(work)
