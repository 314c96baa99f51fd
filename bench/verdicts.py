"""What an audit costs when little has changed: full, after an append of 1 %, after one changed rule, and nothing new.

    python bench/verdicts.py [--rows 1000000] [--runs 3] [--clean]

Beside each, touching every value of the table once. Median of CPU seconds; a run is a lake of its own, and everything in it
is of one process. Results with and without statistics and memory must be the same, else nothing is printed.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from audit import DATA, TYPES, contract

from mesh_assets.audit.contents import Knowledge
from mesh_assets.audit.execute import audit
from mesh_assets.contract import Kind
from mesh_assets.lake import Lake, Mode, Publication
from mesh_assets.store import Store
from mesh_assets.verdicts import Verdicts


def timed(work: Callable[[], object]) -> tuple[float, object]:
    """CPU seconds, and what came out."""
    cpu = time.process_time()
    found = work()
    return time.process_time() - cpu, found


def one_run(rows: int, *, clean: bool) -> dict[str, float]:
    """CPU seconds of each way, on a lake of its own."""
    with tempfile.TemporaryDirectory() as folder:
        lake, store = Lake(Path(folder)), Store(Path(folder))
        lake.create()
        memory, asked = Verdicts(store), contract()
        data = DATA.replace("$rows", str(rows))
        data = data.replace("i % 10000 = ", "i % 10000 = 10000 + ") if clean else data
        with lake.session() as con:
            staged = lake.stage(con, "a.orders", data)
            version = lake.publish(con, [Publication(staged=staged, record={})], run="r", pin=0)
            relation = lake.relation("a.orders", version)
            touch = ", ".join(f"sum(strlen({n}))" if t == "VARCHAR" else f"max({n})" for n, t in TYPES.items())
            con.execute(f"SELECT {touch} FROM {relation}").fetchall()
            figures = {
                "touch every value once": timed(lambda: con.execute(f"SELECT {touch} FROM {relation}").fetchall())
            }

            def ours(of: Publication | tuple[str, int], tests: tuple, *, known: bool = True) -> list:
                knowledge = Knowledge(contents=lake.contents(con, of, TYPES), memory=memory) if known else Knowledge()
                sql = lake.candidate(of) if isinstance(of, Publication) else lake.relation(*of)
                results = audit(con, sql, replace(asked, tests=tests), known=knowledge)
                return [(one.test.name, one.status, one.failing_rows) for one in results]

            of = ("a.orders", version)
            figures["without statistics and memory"] = timed(lambda: ours(of, asked.tests, known=False))
            figures["first audit, hashing included"] = timed(lambda: ours(of, asked.tests))
            figures["the same again"] = timed(lambda: ours(of, asked.tests))
            new = f"SELECT * REPLACE (order_id + {rows} AS order_id) FROM ({data.replace(f'range({rows})', f'range({rows // 100})')})"
            more = Publication(staged=lake.stage(con, "a.orders", new), record={}, mode=Mode.APPEND, base=version)
            figures["after an append of 1 %"] = timed(lambda: ours(more, asked.tests))
            tests = tuple(
                replace(test, arguments={"value": 41}) if test.kind is Kind.MAX_LENGTH else test for test in asked.tests
            )
            figures["after one changed rule"] = timed(lambda: ours(of, tests))
            if figures["without statistics and memory"][1] != figures["the same again"][1]:
                raise SystemExit("the results differ")
        lake.close()
        store.close()
    return {name: cpu for name, (cpu, _) in figures.items()}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--clean", action="store_true", help="without the 0.01 %% of bad rows")
    options = parser.parse_args()
    rows = options.rows
    runs = [one_run(rows, clean=options.clean) for _ in range(options.runs)]
    figures = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    full, touched = figures["first audit, hashing included"], figures["touch every value once"]
    print(f"{rows:,} rows, {len(TYPES)} columns, {len(contract().tests)} tests, median of {options.runs}")
    print(f"{'':34}{'CPU s':>8}{'x touch':>9}{'% of first':>12}")
    for name, cpu in figures.items():
        print(f"{name:34}{cpu:8.3f}{cpu / touched:9.2f}{100 * cpu / full:12.1f}")


if __name__ == "__main__":
    main()
