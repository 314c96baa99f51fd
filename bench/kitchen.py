"""What a kitchen costs, by size and by number of files, against copying the data; and the difference of two tables.

    python bench/kitchen.py [--large MB] [--files N] [--rows N] [--runs N] [--postgres CONNECTION STRING]
                            [--peers [--sqlmesh PROGRAM]]

Medians of CPU seconds, children included (on PostgreSQL without the server's), wall seconds beside them; every ratio is of one run.

With `--peers` also, each as one command with the start of its program, a new environment of the same ten tables at each size:
`mesh kitchen open`, a copy of the DuckDB file, `dbt clone` on DuckDB, and SQLMesh's `plan`, installed into a virtual environment
of its own.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from mesh_assets.environment import Environment
from mesh_assets.kitchen import rows
from mesh_assets.kitchen.api import Kitchen, Quiet
from mesh_assets.mesh import read_mesh
from mesh_assets.running import run_mesh
from mesh_assets.settings import Settings

TABLES = 10
BYTES_PER_ROW = 10
PEERS = ("mesh kitchen open", "copy the DuckDB file", "dbt clone", "sqlmesh plan")
_MORE_FILES = """
import sqlite3, sys
path, wanted = sys.argv[1], int(sys.argv[2])
db = sqlite3.connect(path)
columns = [row[1] for row in db.execute("PRAGMA table_info(ducklake_data_file)")]
others = [name for name in columns if name not in ("data_file_id", "path")]
top = db.execute("SELECT max(data_file_id) FROM ducklake_data_file").fetchone()[0]
one = db.execute("SELECT min(data_file_id) FROM ducklake_data_file").fetchone()[0]
db.execute(
    f"INSERT INTO ducklake_data_file (data_file_id, path, {', '.join(others)}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
    f"SELECT i + 1 FROM n WHERE i < {wanted}) SELECT {top} + i, 'made-up-' || i || '.parquet', {', '.join(others)} "
    f"FROM n, ducklake_data_file WHERE data_file_id = {one}"
)
names = [row[1] for row in db.execute("PRAGMA table_info(ducklake_file_column_stats)") if row[1] != "data_file_id"]
db.execute(
    f"INSERT INTO ducklake_file_column_stats (data_file_id, {', '.join(names)}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
    f"SELECT i + 1 FROM n WHERE i < {wanted}) SELECT {top} + i, {', '.join(names)} FROM n, ducklake_file_column_stats "
    f"WHERE data_file_id = {one}"
)
db.commit()
"""


STEPS = ("open", "promote", "revert", "close", "copy")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--large", type=int, default=64, help="MB of the larger lake; 1024 is the named size")
    parser.add_argument("--files", type=int, default=2_000, help="of the lake with many; 20000 is the named number")
    parser.add_argument("--rows", type=int, default=200_000, help="of the two tables compared; 10000000 is named")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--postgres", default="", help="a connection string; default: the catalog is SQLite")
    parser.add_argument("--peers", action="store_true", help="also what others take for a new environment")
    parser.add_argument("--sqlmesh", type=Path, help="SQLMesh's program, where it is installed already")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small = mesh(Path(folder, "small"), 1, given.postgres)
        large = mesh(Path(folder, "large"), given.large, given.postgres)
        sizes = {"1 MB": small, f"{given.large} MB": large}
        many = f"{given.files:,} files"
        sizes[many] = mesh(Path(folder, "many"), 1, given.postgres, files=given.files)
        spent: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        extra: dict[str, int] = {}
        for number in range(given.runs):
            for name, (env, used) in sizes.items():
                for step, cost in measured(env, used, f"k{number}", whole=name != many, extra=extra, name=name):
                    spent[name, step].append(cost)
        print(f"{'CPU s (wall s)':>16}" + "".join(f"{step:>16}" for step in STEPS) + f"{'extra bytes':>14}")
        for name in sizes:
            cells = [told(spent[name, step]) for step in STEPS]
            print(f"{name:>16}" + "".join(f"{cell:>16}" for cell in cells) + f"{extra[name]:14,}")
        for step in STEPS:
            one, other = (median(spent[name, step]) for name in list(sizes)[:2])
            print(f"{step}, {given.large} MB : 1 MB = {other / one:.2f}")
        if many in sizes:
            more = median(spent[many, "open"]) - median(spent["1 MB", "open"])
            print(f"open, more per 10,000 files: {more / given.files * 10_000:.3f} CPU s")
        compare(small[0], given.rows)
        if given.peers:
            peers(Path(folder, "peers"), {1: small, given.large: large}, given.runs, given.sqlmesh)


def median(costs: list[tuple[float, float]]) -> float:
    return statistics.median(cpu_ for cpu_, _ in costs)


def told(costs: list[tuple[float, float]]) -> str:
    return f"{median(costs):.3f} ({statistics.median(wall for _, wall in costs):.2f})" if costs else "-"


def measured(
    env: Environment, used: Settings, kitchen_name: str, *, whole: bool, extra: dict[str, int], name: str
) -> Iterator[tuple[str, tuple[float, float]]]:
    """One kitchen from its opening to its end, in which two of ten tables are made anew; and a copy of all data."""
    root = env.mesh.root
    kitchen, *cost = timed(lambda: Kitchen.open(kitchen_name, root=root, settings=used))
    yield "open", tuple(cost)
    extra[name] = kitchen.opened.extra_bytes
    if whole:
        for table in ("t0", "t1"):
            path = kitchen.root / "domains" / "bench" / "sql" / f"{table}.sql"
            path.write_text(path.read_text().replace("i, ", "i + 1 AS i, "))
        assert kitchen.test()["ok"]
        done, *cost = timed(kitchen.promote)
        assert len(done["promoted"]) == 2
        assert done["rows_recomputed"] == done["rows_rewritten"] == 0
        yield "promote", tuple(cost)
        yield "revert", tuple(timed(kitchen.revert)[1:])
    yield "close", tuple(timed(lambda: kitchen.close(force=True))[1:])
    target = root.parent / "copy"
    yield "copy", tuple(timed(lambda: shutil.copytree(env.lake.data, target))[1:])
    shutil.rmtree(target)


def select(number: int, megabytes: int) -> str:
    """What one of the ten tables is made of."""
    count = megabytes * 1_000_000 // BYTES_PER_ROW // TABLES
    return f"SELECT i, (hash(i + {number}) % 1000000007)::DOUBLE / 1000000007 AS x FROM range({count}) AS r(i)\n"


def more_files(conninfo: str, schema: str, wanted: int) -> None:
    """As `_MORE_FILES`, in a catalog on PostgreSQL."""
    import psycopg

    with psycopg.connect(conninfo) as con:
        con.execute(f'SET search_path = "{schema}"')
        (top, one) = con.execute("SELECT max(data_file_id), min(data_file_id) FROM ducklake_data_file").fetchone()
        for table, path in (("ducklake_data_file", "path, "), ("ducklake_file_column_stats", "")):
            names = ", ".join(
                name
                for (name,) in con.execute(
                    "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s",
                    [schema, table],
                )
                if name not in ("data_file_id", "path")
            )
            made_up = "'made-up-' || i || '.parquet', " if path else ""
            con.execute(
                f"INSERT INTO {table} (data_file_id, {path}{names}) SELECT {top} + i, {made_up}{names} "
                f"FROM generate_series(1, {wanted}) AS n(i), {table} WHERE data_file_id = {one}"
            )


def mesh(root: Path, megabytes: int, postgres: str = "", *, files: int = 0) -> tuple[Environment, Settings]:
    """Ten tables, all of them made by `mesh run`."""
    sql = root / "domains" / "bench" / "sql"
    sql.mkdir(parents=True)
    (root / "mesh.yaml").write_text("mesh: bench\n")
    (root / ".gitignore").write_text(".mesh/\n")
    (root / "domains/bench/domain.yaml").write_text(
        "domain: bench\ntitle: Bench\npurpose: Bench.\nteam: {name: bench, owner: bench@example.com}\n"
    )
    for number in range(TABLES):
        (sql / f"t{number}.sql").write_text(select(number, megabytes))
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=b", "-c", "user.email=b@localhost", "commit", "-qm", "b"],
    ):
        subprocess.run(["git", "-C", root, *words], check=True)
    used = Settings(home=root / ".mesh", dir=root)
    if postgres:
        catalog = {"lake_catalog": f"postgres:{postgres}", "lake_schema": f"bench_{uuid.uuid4().hex[:8]}"}
        used = used.model_copy(update={**catalog, "lake_data": str(root / "data")})
    env = Environment.open(read_mesh(root), used)
    rows_ = run_mesh(env, (), settings=used, progress=Quiet())["tables"]
    assert {row["status"] for row in rows_} == {"published"}, rows_
    if files and postgres:
        env.lake.close()
        more_files(postgres, used.lake_schema, files)
    elif files:
        env.lake.close()
        path = root / ".mesh" / "lake" / "catalog.sqlite"
        subprocess.run([sys.executable, "-c", _MORE_FILES, path, str(files)], check=True)
    return env, used


def peers(folder: Path, sizes: dict[int, tuple[Environment, Settings]], runs: int, sqlmesh: Path | None = None) -> None:
    """A new environment of the same ten tables, as each of them makes it."""
    sqlmesh = sqlmesh or with_sqlmesh(folder / "venv")
    spent: dict[tuple[int, str], list[tuple[float, float]]] = defaultdict(list)
    for megabytes, (env, used) in sizes.items():
        root = folder / str(megabytes)
        dbt(root / "dbt", megabytes)
        if sqlmesh:
            made_with_sqlmesh(sqlmesh, root / "sqlmesh", megabytes)
        for number in range(runs):
            plan = [sqlmesh, "plan", f"dev{number}", "--auto-apply", "--no-prompts", "--include-unmodified"]
            for name, (work, *words) in {
                PEERS[0]: (mesh_command, env, used, "open", f"peer{number}"),
                PEERS[1]: (shutil.copy2, root / "dbt" / "lake.duckdb", root / "copy.duckdb"),
                PEERS[2]: (dbt_command, root / "dbt", "clone", "--state", "state", "--target", "dev"),
                PEERS[3]: (said, plan, root / "sqlmesh"),
            }.items():
                if sqlmesh or name != PEERS[3]:
                    spent[megabytes, name].append(timed(partial(work, *words))[1:])
            mesh_command(env, used, "close", f"peer{number}")
    print(f"{'CPU s (wall s)':>22}" + "".join(f"{f'{size} MB':>18}" for size in sizes))
    for name in PEERS:
        print(f"{name:>22}" + "".join(f"{told(spent[size, name]):>18}" for size in sizes))


def mesh_command(env: Environment, used: Settings, word: str, name: str) -> None:
    words = [sys.executable, "-m", "mesh_assets.cli", "kitchen", word, name]
    settings = {"MESH_HOME": str(used.home), "MESH_LAKE_CATALOG": used.lake_catalog, "MESH_LAKE_DATA": used.lake_data}
    said(words, env.mesh.root, {**settings, "MESH_LAKE_SCHEMA": used.lake_schema})


def said(words: list, folder: Path, environment: dict[str, str] | None = None) -> None:
    """Run a program to its end; what it says is shown when it fails."""
    told_ = {name: value for name, value in (environment or {}).items() if value}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **told_})
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words[:4]))} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")


def dbt(folder: Path, megabytes: int) -> None:
    """Ten tables in a DuckDB file, by dbt."""
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: bench\nprofile: bench\nmodels: {bench: {+materialized: table}}\n")
    outputs = "".join(
        f"    {name}: {{type: duckdb, path: lake.duckdb, schema: {name}, threads: 1}}\n" for name in ("prod", "dev")
    )
    (folder / "profiles.yml").write_text(f"bench:\n  target: prod\n  outputs:\n{outputs}")
    for number in range(TABLES):
        (folder / "models" / f"t{number}.sql").write_text(select(number, megabytes))
    dbt_command(folder, "run", "--target-path", "state")


def dbt_command(folder: Path, *words: str) -> None:
    said([Path(sysconfig.get_path("scripts"), "dbt"), *words, "--profiles-dir", "."], folder, {"DO_NOT_TRACK": "1"})


def with_sqlmesh(folder: Path) -> Path | None:
    """SQLMesh's program; None where it cannot be installed."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    done = subprocess.run([folder / "bin/pip", "install", "-q", "sqlmesh"], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"SQLMesh cannot be installed here: {(done.stderr.strip().splitlines() or [''])[-1]}")
        return None
    return folder / "bin/sqlmesh"


def made_with_sqlmesh(program: Path, folder: Path, megabytes: int) -> None:
    """Ten tables in a DuckDB file, by SQLMesh."""
    (folder / "models").mkdir(parents=True)
    (folder / "config.yaml").write_text(
        "gateways: {local: {connection: {type: duckdb, database: lake.duckdb}}}\ndefault_gateway: local\n"
        "model_defaults: {dialect: duckdb, start: '2025-01-01'}\ndisable_anonymized_analytics: true\n"
    )
    for number in range(TABLES):
        head = f"MODEL (name bench.t{number}, kind FULL, columns (i BIGINT, x DOUBLE));\n"
        (folder / "models" / f"t{number}.sql").write_text(head + select(number, megabytes))
    said([program, "plan", "--auto-apply", "--no-prompts"], folder)


def timed(work: Callable) -> tuple:
    """What it gives, CPU seconds of this process and its children, and seconds."""
    before, started = cpu(), time.monotonic()
    result = work()
    return result, cpu() - before, time.monotonic() - started


def cpu() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def compare(env: Environment, count: int) -> None:
    """Rows against rows, by key: one in a hundred changed, as many came and went."""
    con = env.lake.connect(read_only=True)
    con.execute("SET memory_limit = '1500MB'")
    con.execute("SET preserve_insertion_order = false")
    columns = "i, hash(i) % 1000 AS a, 'text ' || i % 977 AS b, i * 1.5 AS c"
    folder = env.lake.data
    con.execute(f"COPY (SELECT {columns} FROM range({count}) t(i)) TO '{folder}/old.parquet'")
    con.execute(
        f"COPY (SELECT i, CASE WHEN i % 100 = 0 THEN 0 ELSE a END AS a, b, c FROM (SELECT {columns} "
        f"FROM range({count // 100}, {count + count // 100}) t(i))) TO '{folder}/new.parquet'"
    )
    old, new = (f"read_parquet('{folder}/{name}.parquet')" for name in ("old", "new"))
    found, used, wall = timed(lambda: rows.compare(con, old, new, ("i",)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"diff of {count:,} rows with {count:,}: {found.added:,} added, {found.removed:,} removed, {found.changed:,} changed; "
        f"{used:.1f} CPU s, {wall:.1f} s, peak {peak:,.0f} MB of the whole process"
    )


if __name__ == "__main__":
    main()
