"""Twenty tests of a table of 10,000,000 rows: ours and every peer, each in an environment of its own, in one run.

    python bench/peers.py [--rows 10000000] [--runs 1] [--clean] [--only ours,dataframely] [--envs FOLDER]

The tests are those of `bench/peers/common.py`: six not-null, one unique, two lists, four ranges, two patterns, a length, days, two
columns, a row count, a reference. Each side says which of them fail and in how many rows; what differs from twenty queries by hand
is printed. Times leave imports out, but for datacontract-cli and dbt, which are commands. Environments are made once, with uv, in a
temporary folder or the one that is named, and need the Python package registry.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from common import SEEDED, TESTS, rows

HERE = Path(__file__).parent / "peers"
OWN = "this project's own environment"
SIDES: Mapping[str, tuple[str, str]] = {
    "touch every value once": ("touch.py", OWN),
    "ours": ("ours.py", OWN),
    "20 queries by hand, DuckDB": ("queries.py", OWN),
    "pandera-polars": ("pandera_polars.py", "pandera[polars]==0.35.0 polars==2.1.0"),
    "pandera-ibis on DuckDB": (
        "pandera_ibis.py",
        "pandera[ibis,pandas]==0.35.0 ibis-framework[duckdb]==12.0.0 duckdb==1.5.5 pandas==3.1.1",
    ),
    "dataframely": ("dataframely_.py", "dataframely==3.1.2 polars==2.1.0"),
    "datacontract-cli": ("datacontract.py", "datacontract-cli[duckdb,parquet]==1.2.8"),
    "dbt tests on dbt-duckdb": ("dbt_.py", "dbt-core==1.11.16 dbt-duckdb==1.11.1 duckdb==1.5.5"),
}
"""By name: its script, and what its environment holds."""


def environment(side: str, envs: Path) -> Path:
    """The Python of a side; its environment is made when it is not there yet."""
    _, packages = SIDES[side]
    if packages == OWN:
        return Path(sys.executable)
    folder = envs / SIDES[side][0].removesuffix(".py")
    python = folder / "bin" / "python"
    done = folder / "packages.txt"
    if not done.exists() or done.read_text() != packages:
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "-q", "--clear", "-p", sys.executable, folder], check=True)
        subprocess.run([uv, "pip", "install", "-q", "-p", python, *packages.split()], check=True)
        done.write_text(packages)
    return python


def asked(side: str, python: Path, data: Path) -> dict:
    """What one side found and what it cost, in a process of its own."""
    quiet = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore", "DO_NOT_TRACK": "1"}
    with tempfile.TemporaryDirectory() as folder:
        command = [python, HERE / SIDES[side][0], data / "orders.parquet", data / "customers.parquet", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)
    if done.returncode:
        raise SystemExit(f"{side} could not be measured:\n{done.stderr[-3000:] or done.stdout[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def table(found: Mapping[str, list[dict]]) -> None:
    """Print the medians, and each side's ratio to ours and to the least that can be done."""

    def middle(side: str, key: str) -> float:
        return statistics.median(one[key] for one in found[side]) if side in found else float("nan")

    ours, least = middle("ours", "cpu"), middle("touch every value once", "cpu")
    print(f"{'':28}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}{'x touch':>9}{'x ours':>8}{'failing':>9}")
    for side, runs in found.items():
        cpu, last = middle(side, "cpu"), runs[-1]
        numbers = (
            f"{cpu:8.2f}{middle(side, 'wall'):8.2f}{middle(side, 'peak_mb'):9.0f}{cpu / least:9.2f}{cpu / ours:8.2f}"
        )
        print(f"{side:28}{numbers}{len(last['failing']):9}")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--clean", action="store_true", help="without the rows that are wrong, 8 of 10,000")
    parser.add_argument("--only", help="sides, by the beginning of their names, with commas")
    parser.add_argument("--envs", type=Path, default=Path(tempfile.gettempdir(), "mesh-assets-peers"))
    options = parser.parse_args()
    chosen = [side for side in SIDES if not options.only or side.startswith(tuple(options.only.split(",")))]
    options.envs.mkdir(parents=True, exist_ok=True)
    pythons = {side: environment(side, options.envs) for side in chosen}
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as con:
        data = Path(folder)
        query = rows(options.rows, clean=options.clean)
        con.execute(f"COPY ({query}) TO '{data / 'orders.parquet'}' (COMPRESSION zstd)")
        con.execute(f"COPY (SELECT i::INTEGER AS id FROM range(100000) AS r(i)) TO '{data / 'customers.parquet'}'")
        found: dict[str, list[dict]] = {side: [] for side in chosen}
        for _ in range(options.runs):
            for side in chosen:
                found[side].append(asked(side, pythons[side], data))
    print(
        f"{options.rows:,} rows, 12 columns, {TESTS} tests, median of {options.runs}; DuckDB {metadata.version('duckdb')}"
    )
    table(found)
    expected = {} if options.clean else dict.fromkeys(SEEDED, options.rows // 10_000)
    for side, runs in found.items():
        counts = runs[-1]["failing"]
        if side != "touch every value once" and sorted(counts.values()) != sorted(expected.values()):
            print(f"{side} counts otherwise: {counts}")


if __name__ == "__main__":
    main()
