"""By hand, in DuckDB: a query for each test. What the others find is compared with what these find."""

import duckdb
from common import COUNTRIES, FIRST, LAST, LONGEST, PATTERNS, RANGES, REQUIRED, STATES, files, measured

orders, customers, _ = files()
con = duckdb.connect()
wrong = {
    **{f"{name}__required": f"{name} IS NULL" for name in REQUIRED},
    "country__in": f"country NOT IN ({', '.join(map(repr, COUNTRIES))})",
    "status__in": f"status NOT IN ({', '.join(map(repr, STATES))})",
    **{f"{name}__range": f"{name} < {low} OR {name} > {high}" for name, (low, high) in RANGES.items()},
    **{f"{name}__pattern": f"NOT regexp_matches({name}, '{pattern}')" for name, pattern in PATTERNS.items()},
    "note__length": f"length(note) > {LONGEST}",
    "ordered_on__range": f"ordered_on < DATE '{FIRST}' OR ordered_on > DATE '{LAST}'",
    "shipped_on__order": "shipped_on < ordered_on",
    "customer_id__reference": f"customer_id IS NOT NULL AND customer_id NOT IN (SELECT id FROM '{customers}')",
}


def work() -> dict[str, int]:
    """Twenty queries."""
    found = {
        name: con.execute(f"SELECT count(*) FROM '{orders}' WHERE {sql}").fetchone()[0] for name, sql in wrong.items()
    }
    ids, rows = con.execute(f"SELECT count(DISTINCT order_id), count(*) FROM '{orders}'").fetchone()
    (again,) = con.execute(f"SELECT count(*) FROM '{orders}'").fetchone()
    return {**found, "order_id__unique": rows - ids, "rows": int(again == 0)}


measured(work)
