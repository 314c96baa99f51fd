"""What the lake's own steps cost: `python bench/publish.py [POSTGRES CONNECTION STRING]`. Milliseconds, median and 95th percentile.

The peer of a publish is what DuckLake alone takes to replace the same table (`CREATE OR REPLACE TABLE … AS`), without an audit
trail, refusal of overtaken runs or a lock against other processes.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mesh_assets.domain import LakeConfig
from mesh_assets.lake import Lake, Publication

if TYPE_CHECKING:
    import duckdb

ROUNDS = 60
CROWD = 1_000
QUERY = "SELECT range AS id, range % 7 AS kind, 'name ' || range AS name FROM range(500)"


def timed(what: str, action: Callable[[], object], rounds: int = ROUNDS) -> None:
    """Print the cost of an action: wall and CPU time."""
    action()
    walls, spent = [], time.process_time()
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        walls.append((time.perf_counter() - started) * 1000)
    spent = (time.process_time() - spent) * 1000 / rounds
    print(
        f"  {what:46} p50 {statistics.median(walls):7.1f}  p95 {statistics.quantiles(walls, n=20)[-1]:7.1f}  cpu {spent:7.1f}"
    )


def crowd(con: "duckdb.DuckDBPyConnection") -> None:
    """Give the lake many tables with comments, as a mesh has."""
    con.execute("BEGIN")
    con.execute("CREATE SCHEMA IF NOT EXISTS mesh.crowd")
    for number in range(CROWD):
        con.execute(f"CREATE TABLE mesh.crowd.t{number} (id BIGINT, kind BIGINT, name VARCHAR)")
        con.execute(f"COMMENT ON TABLE mesh.crowd.t{number} IS 'table {number}'")
        con.execute(f"COMMENT ON COLUMN mesh.crowd.t{number}.name IS 'what it is called'")
    con.execute("COMMIT")


def measure(name: str, lake: Lake) -> None:
    """Print what each step costs on one kind of catalog."""
    print(name)
    lake.create()
    with lake.session() as con:
        con.execute(f"CREATE TEMP TABLE rows AS {QUERY}")

        def publish(tables: int) -> int:
            staged = [
                Publication(staged=lake.stage(con, f"a.t{i}", "FROM rows"), record={"fingerprint": "x" * 40})
                for i in range(tables)
            ]
            return lake.publish(con, staged, run="bench", pin=0)

        timed("stage 500 rows", lambda: lake.stage(con, "a.staged", "FROM rows"))
        timed("stage + publish one table", lambda: publish(1))
        timed("stage + publish five tables in one commit", lambda: publish(5), 20)
        con.execute("CREATE TABLE mesh.a.plain AS FROM rows")
        timed(
            "peer: CREATE OR REPLACE TABLE AS, DuckLake alone",
            lambda: con.execute("CREATE OR REPLACE TABLE mesh.a.plain AS FROM rows"),
        )
        version = lake.head()
        timed("fingerprint 500 rows", lambda: lake.fingerprint(con, lake.relation("a.t0", version)))
        crowd(con)
        timed(f"stage + publish one table of {CROWD:,}", lambda: publish(1))
    timed("what that one has beside its rows", lambda: lake.features(names=["a.t0"]))
    timed(f"peer: what all {CROWD:,} have", lake.features)
    timed("head()", lake.head)
    timed(f"commits(), all {len(lake.commits())}", lake.commits, 20)
    timed("commits(), none new", lambda: lake.commits(after=version))
    timed("connect(), a database of its own", lambda: lake.connect().close(), 10)

    def session() -> None:
        with lake.session() as con:
            con.execute("SELECT 1")

    timed("session(), a workspace of its own", session)
    count = iter(range(1000))
    timed(
        "fork of 5 tables + remove",
        lambda: lake.fork(lake.home / f"fork{next(count)}", {f"a.t{i}": version for i in range(5)}).remove(),
        10,
    )
    lake.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        measure("SQLite catalog", Lake(Path(folder) / "sqlite"))
        if len(sys.argv) > 1:
            config = LakeConfig(catalog=f"postgres:{sys.argv[1]}", data=f"{folder}/data", schema=f"bench_{os.getpid()}")
            lake = Lake(Path(folder) / "postgres", config)
            measure("PostgreSQL catalog", lake)
            lake.catalog.remove()
