"""What a proof of uniqueness costs: `python bench/keys.py [--rows 100000000]`. CPU seconds and peak memory, each in a process of its own.

Keys that are stored in order, whole numbers of a range in any order, and any numbers at all, of which nothing is proved but by
comparing them. Clean, without memory of earlier audits; the file is written before, and that is not counted.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from mesh_assets.audit.contents import Knowledge
from mesh_assets.audit.execute import audit
from mesh_assets.audit.result import Status
from mesh_assets.contract import Column, Contract, Kind, Test
from mesh_assets.lake import Lake, Publication

SHAPES = {
    "in order": "SELECT i AS id FROM range({rows}) t(i)",
    # 2654435761 has no factor in common with a power of ten: every number of the range comes once.
    "a range, in no order": "SELECT (i * 2654435761) % {rows} AS id FROM range({rows}) t(i)",
    "any numbers": "SELECT (hash(i) >> 1)::BIGINT AS id FROM range({rows}) t(i)",
}


def prepared(folder: Path, shape: str, rows: int) -> None:
    """A lake with one table of keys."""
    lake = Lake(folder)
    lake.create()
    with lake.session() as con:
        lake.publish(
            con,
            [Publication(staged=lake.stage(con, "a.t", SHAPES[shape].format(rows=rows)), record={})],
            run="r",
            pin=0,
        )
    lake.close()


def asked(folder: Path) -> None:
    """Print what one audit took, and the most memory that the process had."""
    lake = Lake(folder)
    version = lake.head()
    test = Test(name="unique", kind=Kind.UNIQUE, columns=("id",))
    contract = Contract(id="k", version="1", name="t", columns=(Column(name="id", type="BIGINT"),), tests=(test,))
    with lake.session() as con:
        con.execute("SELECT count(*) FROM range(10)").fetchall()
        began = time.process_time()
        known = Knowledge(contents=lake.contents(con, ("a.t", version), ("id",)))
        (found,) = audit(con, lake.relation("a.t", version), contract, sample=0, known=known)
        spent = time.process_time() - began
    if found.status is not Status.PASS:
        raise SystemExit(found.message)
    print(f"{spent:.2f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--asked", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.asked:
        asked(options.asked)
        return
    print(f"{options.rows:,} keys, DuckDB {duckdb.__version__}\n{'':24}{'CPU s':>8}{'peak MB':>9}")
    for shape in SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            prepared(Path(folder), shape, options.rows)
            done = subprocess.run(
                [sys.executable, __file__, "--asked", folder], capture_output=True, text=True, check=True
            )
        spent, peak = done.stdout.split()
        print(f"{shape:24}{spent:>8}{peak:>9}")


if __name__ == "__main__":
    main()
