"""A real `mesh dev`: web server, daemon, sensors. The mesh keeps its own order, and mends what was cut off."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from mesh_assets import build, raw
from mesh_assets.orchestration.instance import open_instance
from tests.conftest import free_port
from tests.making import Place

pytestmark = pytest.mark.timeout(2400)
PATIENCE = 500.0
SLOW = """
import os
import time
from pathlib import Path

import mesh_assets

HERE = Path(__file__).parent


@mesh_assets.table(inputs=["base.items"])
def slow(items):
    counted = items.aggregate("count(*) as n, sum(price)::bigint as total")
    if (HERE / "wait").exists():
        (HERE / "pid").write_text(str(os.getpid()))
        while (HERE / "wait").exists():
            time.sleep(0.1)
    return counted
"""


class Dev:
    """A mesh with Dagster running for it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.process: subprocess.Popen | None = None
        self.port = 0

    def start(self) -> None:
        """Start `mesh dev`, as a person does."""
        self.port = free_port()
        command = [Path(sys.executable).with_name("mesh"), "dev", "--mesh", self.place.root, "--port", str(self.port)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("MESH_", "DAGSTER"))}
        with (self.place.root / "dev.log").open("ab") as log:
            self.process = subprocess.Popen(
                list(map(str, command)), stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def stop(self) -> None:
        """End it with everything it started."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process = None

    def wait(self, what: str, found: Callable[[], object]) -> object:
        """What `found` gives as soon as it gives something."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if result := found():
                return result
            assert self.process is None or self.process.poll() is None, (self.place.root / "dev.log").read_text()[
                -3000:
            ]
            time.sleep(0.5)
        tail = (self.place.root / "dev.log").read_text()[-4000:]
        raise AssertionError(f"not within {PATIENCE:.0f} s: {what}\n{tail}")

    def runs(self, **tags: str) -> list[dg.DagsterRun]:
        """Dagster's runs with these tags (`a__b` for `a/b`), newest first."""
        wanted = {name.replace("__", "/"): value for name, value in tags.items()}
        with open_instance(self.place.root / ".mesh") as instance:
            return list(instance.get_runs(filters=dg.RunsFilter(tags=wanted)))

    def looked(self, sensor: str, times: int = 2) -> bool:
        """Wait until a sensor has looked so often from now on."""
        start = time.time()

        def ticks() -> int:
            with open_instance(self.place.root / ".mesh") as instance:
                states = [state for state in instance.all_instigator_state() if state.instigator_name == sensor]
                found = [
                    tick
                    for state in states
                    for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, after=start)
                ]
            return sum(tick.status.value in ("SKIPPED", "SUCCESS") for tick in found)

        return bool(self.wait(f"{sensor} has looked {times} times", lambda: ticks() >= times))

    def total(self, table: str) -> int | None:
        """What a reader of a table sees; None when it was never published."""
        if table not in self.place.env().lake.tables():
            return None
        return self.place.rows(f"select total from {table}")[0][0]

    def at_rest(self) -> bool:
        """Whether no run is unfinished."""
        with open_instance(self.place.root / ".mesh") as instance:
            unfinished = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
            return not instance.get_runs(filters=dg.RunsFilter(statuses=[*unfinished, dg.DagsterRunStatus.NOT_STARTED]))


def columns(place: Place, *more: str) -> None:
    """Promise these columns beside the first two, of the raw table and of the port."""
    extra = dict.fromkeys(more, "VARCHAR")
    place.contract("base.raw_items", {"id": "BIGINT", "price": "BIGINT", **extra})
    place.contract(
        "base.items", {"id": "BIGINT; required: true", "price": "BIGINT; logicalTypeOptions: {maximum: 100}", **extra}
    )


def items(place: Place, *prices: int) -> None:
    """Write the producer's raw file anew, with the columns that its contract promises: tests come in any order."""
    more = "note" in (place.root / "domains/base/contracts/raw_items.odcs.yaml").read_text()
    lines = [f"{number},{price}{',x' if more else ''}" for number, price in enumerate(prices, start=1)]
    place.write("domains/base/raw/items/1.csv", "\n".join(["id,price,note" if more else "id,price", *lines]) + "\n")


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """A producer and a reader, both run by the daemon alone."""
    place = Place(tmp_path_factory.mktemp("daemon"))
    place.domain("base", "outputs: [{port: items}]\ninputs: [{source: raw/items/*.csv, as: raw_items}]\n")
    place.sql("base.items", "select * from base.raw_items")
    columns(place)
    place.domain(
        "reader",
        """
        inputs: [{port: base.items, contract: in_items.odcs.yaml}]
        outputs: [{port: total}]
        tables:
          by_day: {partitions: daily, partition_by: day, start: 2026-01-01}
        """,
    )
    place.sql("reader.by_day", "select date '2026-01-01' as day, sum(price)::bigint as total from base.items")
    place.contract("reader.by_day", {"day": "DATE", "total": "BIGINT"})
    place.contract("reader.items", {"id": "BIGINT", "price": "BIGINT"}, name="in_items")
    place.contract("reader.total", {"total": "BIGINT; required: true"})
    place.sql("reader.total", "select sum(price)::bigint as total from base.items")
    place.write("domains/reader/assets.py", SLOW)
    place.contract("reader.slow", {"n": "BIGINT", "total": "BIGINT"})
    items(place, 10, 20)
    dev = Dev(place)
    dev.start()
    yield dev
    dev.stop()


@pytest.mark.long
def test_the_daemon_keeps_the_mesh_in_order(dev: Dev):
    """From raw files to the last reader; changes follow; failed data stops nobody but its own table."""
    items(dev.place, 10, 20)
    dev.wait("everything is built once", lambda: dev.total("reader.total") == 30 and dev.total("reader.slow") == 30)
    dev.wait("a partitioned table is built over all its partitions", lambda: dev.total("reader.by_day") == 30)
    items(dev.place, 10, 25)
    dev.wait("the reader follows", lambda: dev.total("reader.total") == 35 and dev.total("reader.slow") == 35)
    dev.wait("the partitioned table follows", lambda: dev.total("reader.by_day") == 35)
    dev.wait("no run is left", dev.at_rest)
    before = len(dev.runs(mesh__domain="reader"))
    good, tried = dev.place.version("base.items"), len(dev.runs(mesh__domain="base"))
    items(dev.place, 10, 5000)
    held = lambda: [a for a in dev.place.env().ledger.attempts(outcomes=["held"]).values() if a.table == "base.items"]
    dev.wait("the producer's version is held", held)
    assert dev.looked("reader__order")
    assert dev.looked("base__order")
    assert dev.place.version("base.items") == good
    assert len(dev.runs(mesh__domain="reader")) == before, "a reader ran on data that failed"
    assert len(dev.runs(mesh__domain="base")) == tried + 1, "the failed build is tried again and again"
    items(dev.place, 10, 20)
    dev.wait("mended data is published", lambda: dev.total("reader.total") == 30 and dev.total("reader.slow") == 30)


@pytest.mark.long
def test_a_schema_change_runs_exactly_the_readers_own_checks(dev: Dev):
    """One column more in the producer's port: one run of the reader's checks, once, also over a restart."""
    dev.wait("the mesh is built", lambda: dev.total("reader.total"))
    dev.wait("no run is left", dev.at_rest)
    before = {run.run_id for run in dev.runs(mesh__trigger="schema_change")}
    dev.stop()  # the code location reads its files at start
    columns(dev.place, "note")
    items(dev.place, 10, 20)
    dev.start()
    wait_for = lambda: [run for run in dev.runs(mesh__trigger="schema_change") if run.run_id not in before]
    run = dev.wait("the reader's checks run", wait_for)[0]
    assert run.tags["mesh/domain"] == "reader"
    assert not run.asset_selection
    tables = {key.asset_key.to_user_string() for key in run.asset_check_selection}
    assert tables == {"reader/in/base__items", "reader/total", "reader/slow", "reader/by_day"}
    done = lambda: dev.runs(mesh__trigger="schema_change")[0].status == dg.DagsterRunStatus.SUCCESS
    dev.wait("they pass", done)
    dev.stop()
    dev.start()
    assert dev.looked("reader__schema_changes")
    assert len(wait_for()) == 1, "the same change was told twice"


@pytest.mark.long
def test_an_update_during_a_pinned_run_is_not_lost(dev: Dev):
    """A slow step reads the old version; the new one, published meanwhile, is built afterwards."""
    dev.wait("the mesh is built", lambda: dev.total("reader.slow"))
    dev.wait("no run is left", dev.at_rest)
    folder = dev.place.root / "domains/reader"
    (folder / "pid").unlink(missing_ok=True)
    (folder / "wait").touch()
    items(dev.place, 1, 2)
    dev.wait("the slow step computes", (folder / "pid").exists)
    items(dev.place, 3, 4)
    dev.wait(
        "the producer has published meanwhile", lambda: dev.place.rows("select sum(price) from base.items") == [(7,)]
    )
    (folder / "wait").unlink()
    dev.wait("the slow table follows", lambda: dev.total("reader.slow") == 7)


@pytest.mark.long
def test_a_killed_worker_does_not_stop_its_domain(dev: Dev):
    """Kill -9 in the middle of a step: the run is ended, and the table is built by another one."""
    dev.wait("the mesh is built", lambda: dev.total("reader.slow"))
    dev.wait("no run is left", dev.at_rest)
    folder = dev.place.root / "domains/reader"
    (folder / "pid").unlink(missing_ok=True)
    (folder / "wait").touch()
    items(dev.place, 40, 2)
    dev.wait("the slow step computes", (folder / "pid").exists)
    os.kill(int((folder / "pid").read_text()), signal.SIGKILL)
    (folder / "wait").unlink()
    dev.wait("another run builds it", lambda: dev.total("reader.slow") == 42)
    dev.wait("the dead run is ended", dev.at_rest)


@pytest.mark.long
def test_what_was_published_and_never_told_is_told(dev: Dev):
    """A publish whose process died before Dagster heard of it: the reconciler reports it."""
    dev.wait("the mesh is built", lambda: dev.total("reader.total"))
    dev.wait("no run is left", dev.at_rest)
    env = dev.place.env()
    table = env.mesh.tables["base.raw_items"]
    items(dev.place, 50, 3)
    folder = env.mesh.domains["base"].path
    make = lambda _con, _partition: raw.query(folder, table.source, table.contract)
    outcome = build.build(env, table, make, run=f"died-{uuid.uuid4()}")

    def told() -> bool:
        with open_instance(dev.place.root / ".mesh") as instance:
            event = instance.get_latest_materialization_event(dg.AssetKey(["base", "raw_items"]))
            return event.asset_materialization.metadata["mesh/version"].value >= outcome.version

    dev.wait("Dagster knows the version", told)
    dev.wait("its readers follow", lambda: dev.total("reader.total") == 53)
