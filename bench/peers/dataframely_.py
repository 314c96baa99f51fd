"""dataframely, from the Parquet file."""

from datetime import date

import dataframely as dy
import polars as pl
from common import COUNTRIES, FIRST, LAST, LONGEST, PATTERNS, RANGES, REQUIRED, STATES, files, measured

orders, customers, _ = files()
known = pl.read_parquet(customers)["id"]


def within(name: str) -> dict[str, object]:
    """Arguments of a column with limits."""
    low, high = RANGES[name]
    return {"min": low, "max": high, "nullable": name not in REQUIRED}


class Orders(dy.Schema):
    """The table."""

    order_id = dy.Int64(nullable=False)
    customer_id = dy.Int32(**within("customer_id"), check={"reference": lambda column: column.is_in(known.implode())})
    country = dy.String(nullable=False, check={"in": lambda column: column.is_in(COUNTRIES)})
    email = dy.String(nullable=False, regex=PATTERNS["email"])
    sku = dy.String(nullable=True, regex=PATTERNS["sku"])
    quantity = dy.Int32(**within("quantity"))
    price = dy.Float64(**within("price"))
    discount = dy.Float64(**within("discount"))
    ordered_on = dy.Date(nullable=False, min=date.fromisoformat(FIRST), max=date.fromisoformat(LAST))
    shipped_on = dy.Date(nullable=True)
    status = dy.String(nullable=False, check={"in": lambda column: column.is_in(STATES)})
    note = dy.String(nullable=True, max_length=LONGEST)

    @dy.rule()
    def order_id__unique(cls) -> pl.Expr:  # noqa: N805 - as it wants it
        """No two rows have the same."""
        return pl.col("order_id").is_unique()

    @dy.rule()
    def shipped_on__order(cls) -> pl.Expr:  # noqa: N805
        """Nothing is shipped before it was ordered."""
        return pl.col("shipped_on") >= pl.col("ordered_on")


def work() -> dict[str, int]:
    """Failing rows by rule."""
    _, failure = Orders.filter(pl.read_parquet(orders), cast=False)
    words = {"nullability": "required", "regex": "pattern", "check": "in", "min": "range", "max": "range"}
    found: dict[str, int] = {}
    for rule, count in failure.counts().items():
        column, _, what = rule.partition("|")
        what = what.rpartition("check__")[2] or what
        name = f"{column}__{words.get(what, what)}" if what else column
        found[name] = found.get(name, 0) + count
    return found


measured(work)
