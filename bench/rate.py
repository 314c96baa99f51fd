"""What suggested tests catch, and how often they cry wolf: `python bench/rate.py [MESH]`.

On three generated tables of thirty daily loads each, as public data sets look; and on every table of a built mesh, if one is
named. Suggestions are rated twice: what they catch in the last version, and, made halfway, their false alarms on what came after.
"""

import argparse
import sys
import tempfile
import time
import uuid
from dataclasses import replace
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mesh_assets.build import build
from mesh_assets.domain import Load
from mesh_assets.environment import Environment
from mesh_assets.mesh import read_mesh
from mesh_assets.profile.rate import Rating, rate
from mesh_assets.settings import Settings
from tests.making import Place

DAYS = 30
ORDERS = """
SELECT i AS order_id, 'INV-' || (100000 + i) AS invoice, 'buyer' || (hash(i, 1) % 900) || '@example.com' AS email,
       ['PT', 'NO', 'DE', 'FR'][(1 + hash(i, 2) % 10 % 4)::INTEGER] AS country, ['card', 'invoice'][1 + (hash(i, 3) % 5 = 0)::INT] AS paid_by,
       (5 + hash(i, 4) % 9000 / 100)::DECIMAL(10,2) AS net, (1 + hash(i, 5) % 6)::INTEGER AS items,
       DATE '2026-01-01' + (i // 400)::INTEGER AS ordered_on, DATE '2026-01-03' + (i // 400 + hash(i, 6) % 3)::INTEGER AS sent_on
FROM range({from_}, {to}) AS t(i)
"""
TRIPS = """
SELECT 'T' || lpad(i::VARCHAR, 8, '0') AS trip, (1 + hash(i, 1) % 260)::INTEGER AS zone_from, (1 + hash(i, 2) % 260)::INTEGER AS zone_to,
       round(0.5 + hash(i, 3) % 2000 / 100.0, 2) AS miles, round(4 + hash(i, 3) % 2000 / 40.0 + hash(i, 4) % 300 / 100.0, 2) AS fare,
       CASE WHEN hash(i, 5) % 3 > 0 THEN round(hash(i, 6) % 1200 / 100.0, 2) END AS tip, ['Cash', 'Card'][1 + (hash(i, 7) % 3 > 0)::INT] AS payment,
       TIMESTAMP '2026-01-01 00:00:00' + INTERVAL 1 MINUTE * (i * 1440 // {per_day}) AS picked_up, hash(i, 8) % 50 = 0 AS disputed
FROM range({from_}, {to}) AS t(i)
"""
VISITS = """
SELECT (hash(i, 0) % 4000)::INTEGER AS patient, nullif(['Lisboa', 'Porto', 'Évora', 'Vila Real', 'Ponta Delgada', 'Faro'][(1 + hash(i, 1) % 6)::INTEGER], 'Faro') AS city,
       CASE WHEN hash(i, 2) % 50 > 0 THEN ['Ana', 'Rui', 'Marta', 'João', 'Inês', 'Bartolomeu'][(1 + hash(i, 3) % 6)::INTEGER] || ' ' ||
           [upper('Costa'), 'Silva', 'Sá', 'Vasconcelos', 'de Melo'][CASE WHEN hash(i, 4) % 30 = 0 THEN 1 ELSE 2 + (hash(i, 5) % 4)::INTEGER END] END AS name,
       ['A', 'B', 'C', 'D'][1 + (hash(i, 6) % 100 > 60)::INT + (hash(i, 6) % 100 > 85)::INT + (hash(i, 6) % 100 > 96)::INT] || lpad((hash(i, 7) % 90)::VARCHAR, 2, '0') AS code,
       round(20 + sqrt(hash(i, 8) % 10000) * 1.5, 2) AS cost, (hash(i, 9) % 100 < 12) AS urgent,
       DATE '2026-01-01' + ({from_} // 1200)::INTEGER AS visited_on
FROM range({from_}, {to}) AS t(i)
"""
TABLES = {
    "orders": (ORDERS, {"order_id": "BIGINT", "invoice": "VARCHAR", "email": "VARCHAR; tags: [pii]", "country": "VARCHAR",
        "paid_by": "VARCHAR", "net": "DECIMAL(10,2)", "items": "INTEGER", "ordered_on": "DATE", "sent_on": "DATE"}),
    "trips": (TRIPS, {"trip": "VARCHAR", "zone_from": "INTEGER", "zone_to": "INTEGER", "miles": "DOUBLE", "fare": "DOUBLE", "tip": "DOUBLE",
        "payment": "VARCHAR", "picked_up": "TIMESTAMP", "disputed": "BOOLEAN"}),
    "visits": (VISITS, {"patient": "INTEGER", "city": "VARCHAR", "name": "VARCHAR; tags: [pii]", "code": "VARCHAR", "cost": "DOUBLE", "urgent": "BOOLEAN",
        "visited_on": "DATE"}),
}  # fmt: skip
WINDOW = {"orders": (400, 30), "trips": (400, 30), "visits": (1200, 1)}
"""Rows of a day, and days in a version: of visits every version has rows that no version before had."""


def generated(root: Path) -> Environment:
    """The tables, each a window of some days that moves on by a day with each version."""
    place = Place(root)
    place.domain("shop", f"outputs: [{', '.join(f'{{port: {name}}}' for name in TABLES)}]\n")
    for name, (query, columns) in TABLES.items():
        place.sql(f"shop.{name}", query.format(from_=0, to=1, per_day=400))
        place.contract(f"shop.{name}", columns)
    env = place.env()
    for name, (query, _) in TABLES.items():
        table = replace(env.mesh.tables[f"shop.{name}"], load=Load.FULL)
        per_day, days = WINDOW[name]
        for day in range(DAYS):
            swing = per_day // 10 * (day % 7 in (5, 6))  # weekends are busier
            sql = query.format(from_=per_day * day, to=per_day * (day + days) + swing, per_day=per_day)
            build(env, table, lambda _con, _day, sql=sql: sql, run=str(uuid.uuid4()))
    return env


def tables(env: Environment, title: str, *, suggested: bool, missed: bool, most: int = sys.maxsize) -> None:
    """One line per table, and their sum; what is missed, if wanted."""
    env.sync()
    found: list[Rating] = []
    print(f"{title}: {'suggested tests' if suggested else 'tests of the contract'}")
    for name, version in sorted(env.ledger.versions().items()):
        table = env.mesh.tables.get(name)
        if table is None or table.contract is None or not 0 < (version.record.get("rows") or 0) <= most:
            continue
        began = time.process_time()
        one = rate(env, table, seed=1, suggested=suggested, today=date(2026, 11, 1))
        seconds = time.process_time() - began
        found.append(one)
        caught = sum(each.caught for each in one.verdicts)
        print(
            f"  {name:34} {one.rows:8,} rows {len(one.tests):4} tests {caught:4} of {len(one.verdicts):3} caught ({one.caught:4.0%})"
            f"  alarms on {len(one.alarms)} of {len(one.versions)} versions  {seconds:.1f} CPU s",
            flush=True,
        )
        if missed:
            told = [
                f"{each.seeded.fault.name} {each.seeded.column}".strip() for each in one.verdicts if not each.caught
            ]
            print(f"    missed: {', '.join(told)}; alarms: {dict(one.alarms)}", flush=True)
    faults, versions = sum(len(one.verdicts) for one in found), sum(len(one.versions) for one in found)
    caught, alarms = sum(each.caught for one in found for each in one.verdicts), sum(len(one.alarms) for one in found)
    print(f"  all: {caught} of {faults} caught ({caught / faults:.1%}), alarms on {alarms} of {versions} versions")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mesh", nargs="?", type=Path, help="A mesh that is built.")
    parser.add_argument("--own", action="store_true", help="Rate the tests of the contracts instead.")
    parser.add_argument("--most", type=int, default=sys.maxsize, metavar="ROWS", help="Leave larger tables out.")
    parser.add_argument("--missed", action="store_true", help="Name the faults that are missed, and the false alarms.")
    chosen = parser.parse_args()
    if chosen.mesh:
        settings = Settings(home=chosen.mesh / ".mesh", dir=chosen.mesh)
        tables(
            Environment.open(read_mesh(chosen.mesh, tolerant=True), settings),
            str(chosen.mesh),
            suggested=not chosen.own,
            missed=chosen.missed,
            most=chosen.most,
        )
    else:
        with tempfile.TemporaryDirectory() as folder:
            tables(generated(Path(folder)), "generated", suggested=not chosen.own, missed=chosen.missed)
