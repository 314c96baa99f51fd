"""Opening and closing a kitchen, by size and by number of files, against copying the data; and the difference of two tables.

    python bench/kitchen.py [--large MB] [--files N] [--rows N] [--runs N]

Medians of CPU seconds, children included, with the wall time beside them: both sides of a ratio are from one run.
"""

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mesh_assets.environment import Environment
from mesh_assets.kitchen import rows
from mesh_assets.kitchen.api import Kitchen
from mesh_assets.lake import Publication
from mesh_assets.mesh import read_mesh
from mesh_assets.settings import Settings

TABLES = 10
BYTES_PER_ROW = 8
RECORD = {"inputs": {}, "generation": {}, "fingerprint": "", "rows": 0, "tried": {}, "code": "", "contract": ""}
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--large", type=int, default=64, help="MB of the larger lake; 1024 is the named size")
    parser.add_argument(
        "--files", type=int, default=2_000, help="files of the lake with many; 20000 is the named number"
    )
    parser.add_argument(
        "--rows", type=int, default=200_000, help="of the two tables compared; 10000000 is the named size"
    )
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small = mesh(Path(folder, "small"), 1)
        large = mesh(Path(folder, "large"), given.large)
        many = mesh(Path(folder, "many"), 1, files=given.files)
        sizes = {"1 MB": small, f"{given.large} MB": large, f"{given.files:,} files": many}
        opened: dict[str, list[float]] = {name: [] for name in sizes}
        walls: dict[str, list[float]] = {name: [] for name in sizes}
        closed: dict[str, list[float]] = {name: [] for name in sizes}
        copied: dict[str, list[float]] = {name: [] for name in sizes}
        extra: dict[str, int] = {}
        for number in range(given.runs):
            for name, env in sizes.items():
                kitchen, cpu, wall = timed(lambda env=env, number=number: open_(env, f"k{number}"))
                opened[name].append(cpu)
                walls[name].append(wall)
                extra[name] = kitchen.opened.extra_bytes
                closed[name].append(timed(lambda kitchen=kitchen: kitchen.close(force=True))[1])
                target = Path(folder, "copy")
                copied[name].append(timed(lambda env=env, target=target: copy(env, target))[1])
        print(
            f"{'':>14} {'open CPU s':>11} {'wall s':>8} {'close CPU s':>12} {'copying CPU s':>14} {'extra bytes':>12}"
        )
        for name in sizes:
            print(
                f"{name:>14} {statistics.median(opened[name]):11.3f} {statistics.median(walls[name]):8.3f} "
                f"{statistics.median(closed[name]):12.3f} {statistics.median(copied[name]):14.3f} {extra[name]:12,}"
            )
        one, large_, many_ = (statistics.median(opened[name]) for name in sizes)
        print(f"open, {given.large} MB : 1 MB = {large_ / one:.2f}")
        print(f"open, more per 10,000 files: {(many_ - one) / given.files * 10_000:.3f} CPU s")
        compare(small, given.rows)


def mesh(root: Path, megabytes: int, *, files: int = 0) -> Environment:
    """Ten tables of random numbers, in a mesh without domains."""
    root.mkdir()
    (root / "mesh.yaml").write_text("mesh: bench\n")
    (root / ".gitignore").write_text(".mesh/\n")
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=b", "-c", "user.email=b@localhost", "commit", "-qm", "b"],
    ):
        subprocess.run(["git", "-C", root, *words], check=True)
    env = Environment.open(read_mesh(root), settings(root))
    count = megabytes * 1_000_000 // BYTES_PER_ROW // TABLES
    with env.lake.session() as con:
        for number in range(TABLES):
            table = f"bench.t{number}"
            staged = env.lake.stage(con, table, f"SELECT range AS i, random() AS x FROM range({count})")
            env.lake.publish(con, [Publication(staged=staged, record=RECORD)], run="bench", pin=0)
    if files:
        env.lake.close()
        path = root / ".mesh" / "lake" / "catalog.sqlite"
        subprocess.run([sys.executable, "-c", _MORE_FILES, path, str(files)], check=True)
    return env


def settings(root: Path) -> Settings:
    return Settings(home=root / ".mesh", dir=root)


def open_(env: Environment, name: str) -> Kitchen:
    return Kitchen.open(name, root=env.mesh.root, settings=settings(env.mesh.root))


def copy(env: Environment, target: Path) -> None:
    shutil.copytree(env.lake.data, target)
    shutil.rmtree(target)


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
