"""A contract of 20 tests on 12 columns: our executor against pandera on polars, on the same Parquet file, in one run.

    python bench/audit.py [--rows 1000000] [--runs 5]

Both must find the same failing rows, else nothing is printed. CPU is the figure to trust on a busy machine. Pandera is
timed twice: from the file, as we are, and with the frame in memory already.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl

from mesh_assets.audit.execute import audit
from mesh_assets.audit.schema import failures
from mesh_assets.contract import Column, Contract, Kind, Test

TYPES = {
    "order_id": "BIGINT", "customer_id": "INTEGER", "country": "VARCHAR", "email": "VARCHAR", "sku": "VARCHAR", "quantity": "INTEGER",
    "price": "DECIMAL(10,2)", "discount": "DOUBLE", "ordered_on": "DATE", "shipped_at": "TIMESTAMP", "status": "VARCHAR", "note": "VARCHAR",
}  # fmt: skip
DATA = """
SELECT i AS order_id, CAST(hash(i) % 100000 AS INTEGER) AS customer_id, ['DE', 'FR', 'IT', 'ES', 'PL'][CAST(1 + hash(i, 1) % 5 AS BIGINT)] AS country,
    CASE WHEN i % 10000 = 1 THEN 'none' ELSE 'user' || hash(i) % 100000 || '@example.org' END AS email,
    'SKU-' || lpad(CAST(hash(i, 2) % 10000 AS VARCHAR), 5, '0') AS sku, CAST(hash(i, 3) % 20 AS INTEGER) + 1 - 30 * (i % 10000 = 2)::INTEGER AS quantity,
    CAST(hash(i, 4) % 100000 / 100 AS DECIMAL(10, 2)) AS price, CASE WHEN i % 10000 = 3 THEN 'nan'::DOUBLE ELSE hash(i, 5) % 50 / 100.0 END AS discount,
    DATE '2020-01-01' + CAST(i * 1500 // $rows AS INTEGER) AS ordered_on,
    TIMESTAMP '2020-01-02' + INTERVAL (i * 1500 * 86400 // $rows) SECOND AS shipped_at,
    CASE WHEN i % 10000 = 4 THEN 'lost' ELSE ['new', 'paid', 'shipped'][CAST(1 + hash(i, 6) % 3 AS BIGINT)] END AS status,
    CASE WHEN i % 3 = 0 THEN NULL ELSE repeat('x', CAST(hash(i, 7) % 40 AS INTEGER)) END AS note
FROM range($rows) AS r(i)
"""


def contract() -> Contract:
    """Twenty tests, as a team would write them; 0.01 % of the rows break some of them."""
    zero = {"operator": "mustBe", "threshold": 0}
    rules = [
        (Kind.COLUMNS, "", {}), (Kind.TYPES, "", {}), (Kind.PRIMARY_KEY, "order_id", {}), (Kind.MINIMUM, "order_id", {"value": 0}),
        (Kind.REQUIRED, "customer_id", {}), (Kind.MINIMUM, "customer_id", {"value": 0}), (Kind.REQUIRED, "country", {}),
        (Kind.INVALID_VALUES, "country", {"valid_values": ["DE", "FR", "IT", "ES", "PL"], **zero}), (Kind.FORMAT, "email", {"format": "email"}),
        (Kind.PATTERN, "sku", {"pattern": r"^SKU-\d{5}$"}), (Kind.MINIMUM, "quantity", {"value": 1}), (Kind.MAXIMUM, "quantity", {"value": 100}),
        (Kind.MINIMUM, "price", {"value": 0}), (Kind.MULTIPLE_OF, "price", {"value": 0.01}), (Kind.MAXIMUM, "discount", {"value": 0.5}),
        (Kind.MINIMUM, "ordered_on", {"value": "2020-01-01"}), (Kind.REQUIRED, "shipped_at", {}),
        (Kind.INVALID_VALUES, "status", {"valid_values": ["new", "paid", "shipped"], **zero}), (Kind.MAX_LENGTH, "note", {"value": 40}),
        (Kind.NULL_VALUES, "note", {"operator": "mustBeLessThan", "threshold": 40, "unit": "percent"}),
    ]  # fmt: skip
    tests = tuple(
        Test(name=f"{column or 'table'}__{kind}", kind=kind, columns=(column,) if column else (), arguments=arguments)
        for kind, column, arguments in rules
    )
    columns = tuple(Column(name=name, type=type_) for name, type_ in TYPES.items())
    return Contract(id="bench", version="1.0.0", name="orders", columns=columns, tests=tests)


def timed(work: Callable[[], object]) -> tuple[float, float, object]:
    """Wall seconds, CPU seconds, and what came out."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - wall, time.process_time() - cpu, found


def main() -> None:
    """Measure, and print one line of JSON after a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    asked = contract()
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as con:
        path = Path(folder) / "orders.parquet"
        con.execute(f"COPY ({DATA.replace('$rows', str(options.rows))}) TO '{path}' (COMPRESSION zstd)")
        frame = pl.read_parquet(path)
        sides = {
            "ours, from the file": lambda: audit(con, f"read_parquet(['{path}'])", asked),
            "pandera-polars, from the file": lambda: failures(asked, pl.read_parquet(path)),
            "pandera-polars, in memory": lambda: failures(asked, frame),
        }
        figures: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
        for _ in range(options.runs + 1):  # the first run warms up
            for side, work in sides.items():
                wall, cpu, found = timed(work)
                figures[side].append((wall, cpu))
                failing = (
                    {name for name, count in found.items() if count}
                    if isinstance(found, dict)
                    else {r.test.name for r in found if r.status != "pass"}
                )
                if failing != {"email__format", "quantity__minimum", "discount__maximum", "status__invalid_values"}:
                    raise SystemExit(f"{side} found {sorted(failing)}")
    medians = {
        side: [statistics.median(column) for column in zip(*runs[1:], strict=True)] for side, runs in figures.items()
    }
    ours = medians["ours, from the file"]
    print(f"{options.rows:,} rows, {len(TYPES)} columns, {len(asked.tests)} tests; medians of {options.runs} runs")
    print(f"{'':32}{'wall s':>8}{'CPU s':>8}{'x wall':>8}{'x CPU':>8}")
    for side, (wall, cpu) in medians.items():
        print(f"{side:32}{wall:8.3f}{cpu:8.3f}{wall / ours[0]:8.2f}{cpu / ours[1]:8.2f}")
    print(json.dumps({"rows": options.rows, "medians": medians}))


if __name__ == "__main__":
    main()
