"""How long a schema change takes to reach the checks of those who read: from its publication to the creation of their run.

    .venv/bin/python bench/latency.py [changes]

A real `mesh dev`: web server, daemon, sensors. A producer's raw file gets a column more, again and again; the daemon builds
the port, and the reader's sensor starts its checks. Claim: at most one tick of the sensor and 2 seconds.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mesh_assets.orchestration.sensors import INTERVAL
from tests.e2e.test_daemon import Dev
from tests.making import Place

CLAIM = INTERVAL + 2.0


def make(root: Path) -> Place:
    """A port that has whatever columns its raw file has, and a domain that reads it."""
    place = Place(root)
    place.domain("base", "outputs: [{port: items}]\ninputs: [{source: raw/items/*.csv, as: raw_items}]\n")
    place.sql("base.items", "select * from base.raw_items")
    place.contract("base.items", {"id": "BIGINT; required: true"})
    place.domain("reader", "inputs: [{port: base.items, contract: in_items.odcs.yaml}]\n")
    place.contract("reader.items", {"id": "BIGINT; required: true"}, name="in_items")
    place.sql("reader.total", "select sum(id)::bigint as total from base.items")
    return place


def items(place: Place, columns: int) -> None:
    """A raw file with so many columns beside the first."""
    names = [f"more_{number}" for number in range(columns)]
    lines = [",".join(["id", *names]), *(",".join([str(row), *("x" for _ in names)]) for row in range(100))]
    place.write("domains/base/raw/items/1.csv", "\n".join(lines) + "\n")


def main(changes: int = 5) -> int:
    """Measure, and print; 1 when the claim does not hold."""
    with tempfile.TemporaryDirectory() as folder:
        place = make(Path(folder))
        items(place, 0)
        dev = Dev(place)
        dev.start()
        try:
            dev.wait("everything is built", lambda: dev.total("reader.total"))
            dev.wait("no run is left", dev.at_rest)
            seconds = [_change(dev, number) for number in range(1, changes + 1)]
        finally:
            dev.stop()
    median = statistics.median(seconds)
    print(f"{changes} changes: {median:.1f} s (median), {max(seconds):.1f} s (longest); claim {CLAIM:.0f} s")
    print("seconds:", " ".join(f"{one:.1f}" for one in seconds))
    return int(max(seconds) > CLAIM)


def _change(dev: Dev, number: int) -> float:
    before = {run.run_id for run in dev.runs(mesh__trigger="schema_change")}
    version = dev.place.version("base.items")
    items(dev.place, number)
    dev.wait("the port has the column", lambda: dev.place.version("base.items") > version)
    published = next(one for one in dev.place.env().lake.commits(after=version) if "base.items" in one.tables).time
    found = lambda: [run for run in dev.runs(mesh__trigger="schema_change") if run.run_id not in before]  # noqa: E731
    run = dev.wait("the reader's checks are started", found)[0]  # ty: ignore
    from mesh_assets.orchestration.instance import open_instance

    with open_instance(dev.place.root / ".mesh") as instance:
        created = instance.get_run_record_by_id(run.run_id).create_timestamp  # ty: ignore
    dev.wait("no run is left", dev.at_rest)
    time.sleep(1)
    return created.timestamp() - published.timestamp()


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
