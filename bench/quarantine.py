"""What a publish costs beside a quarantine: `python bench/quarantine.py [--waiting 1000000]`. CPU milliseconds, the median of 5.

An `append` and an `upsert` table with so many rows in quarantine, and with none: a load of 1,000 rows of which ten fail a rule.
"""

import argparse
import statistics
import sys
import tempfile
import time
import uuid
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mesh_assets.build import build
from mesh_assets.domain import Load
from tests.making import Place

ROUNDS = 5
COLUMNS = {
    "id": "BIGINT; required: true",
    "name": "VARCHAR",
    "price": "BIGINT; logicalTypeOptions: {minimum: 0}; customProperties: [{property: action.minimum, value: quarantine}]",
}


def rows(first: int, count: int, every: int) -> str:
    """Rows of which every so many-th fails."""
    return f"SELECT i AS id, 'name ' || i AS name, CASE WHEN i % {every} = 0 THEN -1 ELSE i END AS price FROM range({first}, {first + count}) t(i)"


def measure(load: Load, waiting: int) -> list[float]:
    """CPU milliseconds of each small load, on a lake of its own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        place.domain("shop", "outputs: [{port: orders}]\n")
        place.sql("shop.orders", rows(0, 1000, 10**9))
        place.contract("shop.orders", COLUMNS)
        env = place.env()
        table = replace(env.mesh.tables["shop.orders"], load=load, key=("id",) if load is Load.UPSERT else ())

        def built(query: str) -> float:
            began = time.process_time()
            done = build(env, table, lambda _con, _day: query, run=str(uuid.uuid4()))
            if done.status != "published":
                raise SystemExit(done)
            return 1000 * (time.process_time() - began)

        built(rows(0, 1000, 10**9))
        if waiting:
            # Half of the rows fail: so many wait, and as many are published.
            built(rows(1_000_000, 2 * waiting, 2))
        return [built(rows(100_000_000 + 1000 * number, 1000, 100)) for number in range(ROUNDS)]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--waiting", type=int, default=1_000_000)
    options = parser.parse_args()
    for load in (Load.APPEND, Load.UPSERT):
        for waiting in (0, options.waiting):
            spent = measure(load, waiting)
            print(f"{load!s:8} {waiting:10,} rows wait: {statistics.median(spent):8.1f} CPU ms")


if __name__ == "__main__":
    main()
