"""What the profile behind `mesh test suggest` costs: `python bench/suggest.py [--rows 10000000] [--runs 3]`.

Beside it, touching every value of the table once, and DuckDB's SUMMARIZE. The table is in the lake: 12 columns, clean. All
sides in turn, in one process; CPU seconds, the median of the runs, and of their ratios to the touch of the same round.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from audit import DATA, TYPES

from mesh_assets.lake import Lake, Publication
from mesh_assets.profile.measure import profile


def spent(work: Callable[[], object]) -> float:
    """CPU seconds."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        lake.create()
        data = DATA.replace("$rows", str(options.rows)).replace("i % 10000 = ", "i % 10000 = 10000 + ")
        touch = ", ".join(f"sum(strlen({n}))" if t == "VARCHAR" else f"max({n})" for n, t in TYPES.items())
        with lake.session() as con:
            staged = lake.stage(con, "a.orders", data)
            version = lake.publish(con, [Publication(staged=staged, record={})], run="r", pin=0)
            relation, stored = lake.relation("a.orders", version), lake.stored("a.orders", version)
            sides: dict[str, Callable[[], object]] = {
                "touch every value once": lambda: con.execute(f"SELECT {touch} FROM {relation}").fetchall(),
                "the profile": lambda: profile(con, stored),
                "SUMMARIZE": lambda: con.execute(f"SUMMARIZE SELECT * FROM {relation}").fetchall(),
            }
            for work in sides.values():  # the first time, files are not in memory
                work()
            rounds = [{side: spent(work) for side, work in sides.items()} for _ in range(options.runs)]
        lake.close()
    print(f"{options.rows:,} rows, {len(TYPES)} columns, median of {options.runs}\n{'':26}{'CPU s':>8}{'x touch':>9}")
    for side in sides:
        ratio = statistics.median(each[side] / each["touch every value once"] for each in rounds)
        print(f"{side:26}{statistics.median(each[side] for each in rounds):8.2f}{ratio:9.2f}")


if __name__ == "__main__":
    main()
