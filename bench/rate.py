"""What suggested tests catch, and how often they cry wolf: `python bench/rate.py [MESH]`.

On three generated tables of thirty daily loads each, as public data sets look; and on every table of a built mesh, if one is
named. Suggestions are rated twice: what they catch in the last version, and, made halfway, their false alarms on what came after.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import duckdb

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
# Written after the last change of the suggestions but before they were rated on them, and never looked at to improve them.
# Shares move from day to day by more than chance, a list grows, parts are parts of a whole, some amounts are negative.
AGENTS = """
SELECT 'A' || (100 + i) AS agent, ['Ana','Rui','Eva','Ben','Kim','Lea','Max','Zoe'][1 + (hash(i, 1) % 8)::INT] || ' ' || chr((65 + i % 26)::INT) || chr((97 + i // 26)::INT) || '.' AS called,
       ['north','south','remote'][1 + (hash(i, 2) % 3)::INT] AS team, DATE '2019-01-07' + (hash(i, 3) % 2200)::INT AS since,
       CASE WHEN hash(i, 4) % 9 = 0 AND hash(i, 5) % 60 < {day} THEN DATE '2026-01-01' + (hash(i, 5) % 60)::INT END AS until
FROM range(60 + {day} // 3) t(i)
"""
TICKETS = """
SELECT 'T-' || (70000 + i) AS ticket, 'A' || (100 + hash(i, 1) % 60) AS agent, TIMESTAMP '2026-01-01 06:00:00' + INTERVAL 1 DAY * d + INTERVAL 1 SECOND * (hash(i, 2) % 50000)::INT AS opened,
       CASE WHEN hash(i, 3) % 100 < 80 + hash(d, 1) % 8 THEN TIMESTAMP '2026-01-01 06:10:00' + INTERVAL 1 DAY * d + INTERVAL 1 SECOND * (50000 + hash(i, 4) % 90000)::INT END AS closed,
       ['low','normal','high','urgent'][CASE WHEN hash(i, 5) % 100 < 30 + hash(d, 2) % 6 THEN 1 WHEN hash(i, 5) % 100 < 88 THEN 2 WHEN hash(i, 5) % 100 < 97 THEN 3 ELSE 4 END] AS priority,
       hash(i, 6) % 1000 < 40 + hash(d, 3) % 25 AS escalated, hash(i, 7) % 1000 < 100 + hash(d, 4) % 40 AS by_phone,
       round(CASE WHEN hash(i, 8) % 150 = 0 THEN -1 ELSE 1 END * (2 + sqrt(hash(i, 9) % 40000)), 2) AS paid_back
FROM (SELECT i, i // 150 AS d FROM range({day} * 150, ({day} + 14) * 150 + 40 * ({day} % 7 IN (5, 6))::INT) r(i)) t
"""
MAILS = """
SELECT c AS campaign, DATE '2026-01-01' + d::INT AS sent_on, s AS sent, (s * (94 + hash(c, d, 2) % 5) // 100)::INT AS delivered, (s * (8 + hash(c, d, 3) % 22 + hash(d, 4) % 6) // 100)::INT AS opened,
       (s * (hash(c, d, 5) % 7) // 100)::INT AS clicked, (CASE WHEN hash(c, d, 6) % 8 = 0 THEN hash(c, d, 7) % 3 ELSE 0 END)::INT AS left
FROM (SELECT 'C' || lpad((hash(x, 8) % 40)::VARCHAR, 2, '0') AS c, d, (300 + hash(x, d, 1) % 900)::INT AS s FROM range(35) a(x), range({day}, {day} + 21) b(d)) t
"""
STOCK = """
SELECT 'SKU' || (1000 + i) AS sku, ['LIS','OPO','FAO'][1 + (hash(i, 1) % 10 > 5)::INT + (hash(i, 1) % 10 > 8)::INT] AS site, (hash(i, 2) % 400 + hash(i, {day}) % 40)::INT AS on_hand,
       ((hash(i, 2) % 400 + hash(i, {day}) % 40) * (hash(i, {day}, 3) % 60) // 100)::INT AS reserved, hash(i, {day}, 4) % 100 < 5 + {day} % 3 AS reorder,
       round(1 + (hash(i, 5) % 9000) / 90.0, 2)::DECIMAL(9,2) AS cost, DATE '2026-01-01' + {day} - (hash(i, {day}, 6) % 30)::INT AS counted_on
FROM range(800 + {day} * 2) t(i)
"""
UNSEEN = {
    "agents": (AGENTS, {"agent": "VARCHAR; primaryKey: true; required: true", "called": "VARCHAR", "team": "VARCHAR", "since": "DATE", "until": "DATE"}),
    "tickets": (TICKETS, {"ticket": "VARCHAR", "agent": "VARCHAR", "opened": "TIMESTAMP", "closed": "TIMESTAMP", "priority": "VARCHAR", "escalated": "BOOLEAN",
        "by_phone": "BOOLEAN", "paid_back": "DOUBLE"}),
    "mails": (MAILS, {"campaign": "VARCHAR", "sent_on": "DATE", "sent": "INTEGER", "delivered": "INTEGER", "opened": "INTEGER", "clicked": "INTEGER", "left": "INTEGER"}),
    "stock": (STOCK, {"sku": "VARCHAR", "site": "VARCHAR", "on_hand": "INTEGER", "reserved": "INTEGER", "reorder": "BOOLEAN", "cost": "DECIMAL(9,2)", "counted_on": "DATE"}),
}  # fmt: skip
WINDOW = {"orders": (400, 30), "trips": (400, 30), "visits": (1200, 1)}
"""Rows of a day, and days in a version: of visits every version has rows that no version before had."""


def generated(root: Path, tables: Mapping[str, tuple[str, Mapping[str, str]]], seed: int) -> Environment:
    """The tables, most of them a window of some days that moves on by a day with each version."""
    place = Place(root)
    place.domain("shop", f"outputs: [{', '.join(f'{{port: {name}}}' for name in tables)}]\n")
    for name, (query, columns) in tables.items():
        place.sql(f"shop.{name}", _of_day(name, query, 0, seed))
        place.contract(f"shop.{name}", columns)
    env = place.env()
    for day in range(DAYS):
        for name, (query, _) in tables.items():
            table, sql = replace(env.mesh.tables[f"shop.{name}"], load=Load.FULL), _of_day(name, query, day, seed)
            build(env, table, lambda _con, _day, sql=sql: sql, run=str(uuid.uuid4()))
    return env


def _of_day(name: str, query: str, day: int, seed: int) -> str:
    per_day, days = WINDOW.get(name, (0, 0))
    swing = per_day // 10 * (day % 7 in (5, 6))  # weekends are busier
    sql = query.format(from_=per_day * day, to=per_day * (day + days) + swing, per_day=per_day, day=day)
    return sql.replace("hash(", f"hash({seed}, ") if seed else sql


# Raw files of the shipped mesh that grow with time, and the day of a row. Some calls are dated a year late: that is one of its faults.
GROWING = {
    "sales/raw/rep_calls/*.csv": "make_date(2025, month(call_date::DATE), day(call_date::DATE))",
    "marketing/raw/email_events/*.parquet": "occurred_at::DATE",
    "marketing/raw/media_spend.csv": "week_ending::DATE",
}
WEEKLY = "claims/raw/weekly/rx_*.parquet"


def by_week(shipped: Path, root: Path, weeks: int) -> Environment:
    """The shipped mesh as it was in the last of its weeks, one run after the other: what is dated later has not arrived yet."""
    domains = root / "domains"
    for folder in ("domains", "dbt_projects"):
        shutil.copytree(shipped / folder, root / folder, ignore=shutil.ignore_patterns("target", "logs"))
    shutil.copy(shipped / "mesh.yaml", root)
    days = sorted(file.stem.removeprefix("rx_") for file in domains.glob(WEEKLY))[-weeks:]
    for day in days:
        for file in (shipped / "domains").glob(WEEKLY):
            there = domains / file.relative_to(shipped / "domains")
            there.unlink(missing_ok=True)
            if file.stem.removeprefix("rx_") <= day:
                shutil.copy2(file, there)
        for pattern, dated in GROWING.items():
            for file in (shipped / "domains").glob(pattern):
                _until(file, domains / file.relative_to(shipped / "domains"), dated, day)
        said = subprocess.run(
            [sys.executable, "-m", "mesh_assets", "run", "--mesh", root], capture_output=True, text=True, check=False
        )
        print(f"  {day}: {said.stdout.splitlines()[-1] if said.stdout else said.stderr}", flush=True)
    return Environment.open(read_mesh(root, tolerant=True), Settings(home=root / ".mesh", dir=root))


def _until(file: Path, there: Path, dated: str, day: str) -> None:
    """The rows of a file up to a day; a file without any has not arrived."""
    read = f"read_csv('{file}', all_varchar = true)" if file.suffix == ".csv" else f"'{file}'"
    with duckdb.connect() as con:
        rows = con.sql(f"FROM {read} WHERE {dated} <= DATE '{day}'")
        there.unlink(missing_ok=True)
        if rows.fetchone():
            con.execute(f"COPY (FROM {read} WHERE {dated} <= DATE '{day}') TO '{there}'")


def tables(env: Environment, title: str, *, suggested: bool, faults: bool, missed: bool, most: int) -> None:
    """One line per table, and their sum; what is missed, if wanted."""
    env.sync()
    found: list[Rating] = []
    print(f"{title}: {'suggested tests' if suggested else 'tests of the contract'}")
    for name, version in sorted(env.ledger.versions().items()):
        table = env.mesh.tables.get(name)
        if table is None or table.contract is None or not 0 < (version.record.get("rows") or 0) <= most:
            continue
        began = time.process_time()
        one = rate(env, table, seed=1, suggested=suggested, faults=faults, today=date(2026, 11, 1))
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
    seeded, versions = sum(len(one.verdicts) for one in found), sum(len(one.versions) for one in found)
    caught, alarms = sum(each.caught for one in found for each in one.verdicts), sum(len(one.alarms) for one in found)
    print(
        f"  all: {caught} of {seeded} caught ({caught / max(1, seeded):.1%}), alarms on {alarms} of {versions} versions"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mesh", nargs="?", type=Path, help="A mesh that is built.")
    parser.add_argument("--own", action="store_true", help="Rate the tests of the contracts instead.")
    parser.add_argument(
        "--weeks", type=int, default=0, help="Build the last weeks of the mesh's raw data one by one, and rate that."
    )
    parser.add_argument("--most", type=int, default=sys.maxsize, metavar="ROWS", help="Leave larger tables out.")
    parser.add_argument(
        "--unseen", action="store_true", help="The tables that nobody looked at to improve suggestions."
    )
    parser.add_argument("--alarms", action="store_true", help="Look for false alarms only.")
    parser.add_argument("--seed", type=int, default=0, help="Other values in the generated tables.")
    parser.add_argument("--missed", action="store_true", help="Name the faults that are missed, and the false alarms.")
    chosen = parser.parse_args()
    rated = partial(tables, suggested=not chosen.own, faults=not chosen.alarms, missed=chosen.missed, most=chosen.most)
    if chosen.mesh and not chosen.weeks:
        settings = Settings(home=chosen.mesh / ".mesh", dir=chosen.mesh)
        rated(Environment.open(read_mesh(chosen.mesh, tolerant=True), settings), str(chosen.mesh))
    else:
        with tempfile.TemporaryDirectory() as folder:
            if chosen.mesh:
                rated(by_week(chosen.mesh, Path(folder), chosen.weeks), f"{chosen.mesh}, {chosen.weeks} weeks")
            else:
                env = generated(Path(folder), UNSEEN if chosen.unseen else TABLES, chosen.seed)
                rated(env, f"{'unseen' if chosen.unseen else 'generated'}, seed {chosen.seed}")
