"""What every side of `bench/peers.py` is asked: twenty tests of one table, and how their cost is told. Standard library only."""

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

COUNTRIES = ["DE", "FR", "IT", "ES", "PL"]
STATES = ["new", "paid", "shipped"]
REQUIRED = ["order_id", "customer_id", "country", "email", "status", "ordered_on"]
RANGES = {"quantity": (1, 100), "price": (0, 1000), "discount": (0, 0.5), "customer_id": (0, 199_999)}
PATTERNS = {"email": r"^[a-z0-9.]+@[a-z0-9-]+\.[a-z]+$", "sku": r"^SKU-[0-9]{5}$"}
LONGEST = 40
FIRST, LAST = "2020-01-01", "2030-12-31"
TESTS = 20
SEEDED = {"email": 1, "quantity": 2, "discount": 3, "status": 4, "customers": 5, "sku": 6, "country": 7, "shipped": 8}
"""By what is wrong, the remainder by 10,000 of the rows in which it is."""


def rows(number: int, *, clean: bool) -> str:
    """SQL of the orders; of 10,000 rows eight are wrong, each in its own way, unless they are clean."""
    at = {name: f"i % 10000 = {-1 if clean else rest}" for name, rest in SEEDED.items()}
    country = f"[{', '.join(map(repr, COUNTRIES))}]"
    state = f"[{', '.join(map(repr, STATES))}]"
    return f"""
SELECT i AS order_id, CASE WHEN {at["customers"]} THEN 150000 ELSE CAST(hash(i) % 100000 AS INTEGER) END AS customer_id,
    CASE WHEN NOT ({at["country"]}) THEN {country}[CAST(1 + hash(i, 1) % 5 AS BIGINT)] END AS country,
    CASE WHEN {at["email"]} THEN 'none' ELSE 'user' || hash(i) % 100000 || '@example.org' END AS email,
    CASE WHEN {at["sku"]} THEN 'SKU' ELSE 'SKU-' || lpad(CAST(hash(i, 2) % 10000 AS VARCHAR), 5, '0') END AS sku,
    CAST(CASE WHEN {at["quantity"]} THEN -1 ELSE 1 + hash(i, 3) % 20 END AS INTEGER) AS quantity,
    CAST(hash(i, 4) % 100000 / 100 AS DOUBLE) AS price,
    CASE WHEN {at["discount"]} THEN 0.9 ELSE hash(i, 5) % 50 / 100.0 END::DOUBLE AS discount,
    DATE '2020-01-01' + CAST(i * 1500 // {number} AS INTEGER) AS ordered_on,
    DATE '2020-01-02' + CAST(i * 1500 // {number} AS INTEGER) - CASE WHEN {at["shipped"]} THEN 9 ELSE 0 END AS shipped_on,
    CASE WHEN {at["status"]} THEN 'lost' ELSE {state}[CAST(1 + hash(i, 6) % 3 AS BIGINT)] END AS status,
    CASE WHEN i % 3 = 0 THEN NULL ELSE repeat('x', CAST(hash(i, 7) % 40 AS INTEGER)) END AS note
FROM range({number}) AS r(i)"""


def measured(work: Callable[[], Mapping[str, int]], *, children: bool = False) -> None:
    """Do the work, and print what it found and cost; with `children` that of the processes it started."""
    who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
    before, wall = resource.getrusage(who), time.perf_counter()
    failing = work()
    after = resource.getrusage(who)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = {name: int(count) for name, count in failing.items() if count}
    told = {"failing": found, "cpu": cpu, "wall": time.perf_counter() - wall, "peak_mb": after.ru_maxrss // 1024}
    print("\n" + json.dumps(told))


def files() -> tuple[Path, Path, Path]:
    """The orders, the customers, and a folder to work in: the script's arguments."""
    orders, customers, folder = map(Path, sys.argv[1:4])
    return orders, customers, folder
