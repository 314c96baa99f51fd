"""What the tests of many small tables cost: `python bench/small.py [--tables 1000]`, and the plan of twenty tests of one.

Each table has 200 rows and ten tests; nothing is remembered the first time, everything the second. Seconds of CPU and of wall time.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from audit import DATA, TYPES, contract

from mesh_assets.audit.contents import Knowledge
from mesh_assets.audit.execute import audit, planned
from mesh_assets.audit.result import Status
from mesh_assets.contract import Contract, Kind
from mesh_assets.lake import Lake, Publication
from mesh_assets.store import Store
from mesh_assets.verdicts import Verdicts

ROWS, TESTS, ROUNDS = 200, 10, 20


def timed(what: str, work: Callable[[], object]) -> None:
    """Print what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    print(f"{what:42}{time.process_time() - cpu:8.2f} CPU s{time.perf_counter() - wall:8.2f} s")


def main() -> None:
    """Measure, and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=1000)
    number = parser.parse_args().tables
    whole = contract()
    few = Contract(
        id="s", version="1", name="orders", columns=whole.columns,
        tests=tuple(test for test in whole.tests if test.kind not in (Kind.COLUMNS, Kind.TYPES))[:TESTS],
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        lake, store = Lake(Path(folder)), Store(Path(folder))
        lake.create()
        memory = Verdicts(store)
        data = DATA.replace("$rows", str(ROWS)).replace("i % 10000 = ", "i % 10000 = 10000 + ")
        with lake.session() as con:
            staged = [Publication(staged=lake.stage(con, f"a.t{i}", data), record={}) for i in range(number)]
            version = lake.publish(con, staged, run="r", pin=0)

            def known(name: str, *, remembered: bool = True) -> Knowledge:
                contents = lake.contents(con, (name, version), TYPES)
                return Knowledge(contents=contents, memory=memory if remembered else None)

            def every(*, remembered: bool) -> None:
                for i in range(number):
                    name = f"a.t{i}"
                    knowledge = known(name, remembered=remembered)
                    results = audit(con, lake.relation(name, version), few, known=knowledge)
                    if any(one.status is not Status.PASS for one in results):
                        raise SystemExit([one.message for one in results if one.status is not Status.PASS])

            timed(f"{number:,} tables x {TESTS} tests, without memory", lambda: every(remembered=False))
            timed("the same, hashed and remembered", lambda: every(remembered=True))
            timed("the same again", lambda: every(remembered=True))
            spent = []
            for _ in range(ROUNDS):
                knowledge, began = known("a.t0"), time.process_time()
                planned(con, lake.relation("a.t0", version), whole, known=knowledge)
                spent.append(1000 * (time.process_time() - began))
            print(f"{f'plan of {len(whole.tests)} tests, again':42}{statistics.median(spent):8.1f} CPU ms")
        lake.close()
        store.close()


if __name__ == "__main__":
    main()
