"""A launch that Dagster's daemon builds is cancelled while its steps run: in a run's own process, in a process per step, in a program."""

from collections.abc import Iterator

import dagster as dg
import pytest

from mesh_assets import catalog
from mesh_assets.cancelling import cancel_pipeline
from mesh_assets.launches import Launches
from mesh_assets.ledger import process_started
from mesh_assets.order import Standing, due
from tests.e2e.test_daemon import Dev
from tests.making import Place

pytestmark = pytest.mark.timeout(1200)
YAML = "mesh: test\npipelines:\n  report: {delivers: [alone/slow, steps/slow, told/slow]}\n"
WORKSPACE = "load_from:\n" + "".join(
    f"  - python_module: {{module_name: mesh_assets.locations, attribute: {name}, location_name: {name}, "
    'working_directory: "."}\n'
    for name in ("base", "alone", "steps", "told")
)
FUNCTION = """
import os
import time
from pathlib import Path

import mesh_assets

HERE = Path(__file__).parent


@mesh_assets.table(inputs=["base.items"])
def slow(items):
    (HERE / "pid").write_text(str(os.getpid()))
    while (HERE / "wait").exists():
        time.sleep(0.1)
    return items
"""
PROGRAM = """
import os, shutil, time
from pathlib import Path

Path("pid").write_text(str(os.getpid()))
while Path("wait").exists():
    time.sleep(0.1)
shutil.copy(next(Path(os.environ["MESH_INPUTS"]).glob("*.parquet")), os.environ["MESH_OUTPUT"])
"""
SLOW = ("alone", "steps", "told")


@pytest.fixture
def dev(tmp_path) -> Iterator[Dev]:
    """A producer, and three code locations with a slow table each: of a function, of one in a step process, of a program."""
    place = Place(tmp_path)
    place.write("mesh.yaml", YAML)
    place.write("workspace.yaml", WORKSPACE)
    place.domain("base", "inputs: [{source: raw/items.csv}]\noutputs: [{port: items}]\n")
    place.write("domains/base/raw/items.csv", "id,price\n1,10\n")
    place.contract("base.items", {"id": "BIGINT", "price": "BIGINT"})
    place.domain("alone", "inputs: [{port: base.items}]\n")
    place.domain("steps", "inputs: [{port: base.items}]\nexecutor: multiprocess\n")
    told = "tables:\n  slow: {toolchain: pipes.subprocess, command: [python, slow.py], inputs: [base.items]}\n"
    place.domain("told", "inputs: [{port: base.items}]\nexecutor: multiprocess\n" + told)
    for name in ("alone", "steps"):
        place.write(f"domains/{name}/assets.py", FUNCTION)
    place.write("domains/told/slow.py", PROGRAM)
    for name in SLOW:
        (place.root / "domains" / name / "wait").touch()
    dev = Dev(place)
    dev.start()
    yield dev
    dev.stop()


@pytest.mark.slow
def test_every_kind_of_worker_is_ended_and_nothing_begins_again(dev: Dev):
    place = dev.place
    dev.wait("the three slow steps run", lambda: all((place.root / "domains" / name / "pid").exists() for name in SLOW))
    pids = [int((place.root / "domains" / name / "pid").read_text()) for name in SLOW]
    env = place.env()
    Launches(env.ledger.store).start("report", "schedule")
    told = cancel_pipeline(env, env.mesh.pipelines["report"], by="ann")
    assert (told["state"], told["sentence"], told["launch"]["by"]) == ("cancelled", "cancelled by ann", "schedule")
    assert sorted((run["tables"], run["over"]) for run in told["ended_runs"]) == [([f"{n}/slow"], True) for n in SLOW]
    assert [run.status for run in dev.runs(mesh__domain="told")] == [dg.DagsterRunStatus.CANCELED]
    # A run's process says that it was cancelled, and has its own things to put away after that.
    dev.wait("every worker has ended", lambda: not any(process_started(pid) for pid in pids))
    for name in SLOW:
        assert dev.looked(f"{name}__order")
    assert dev.looked("base__account", 1)
    decided = due(env.mesh, env.state())
    assert decided.build == ()
    assert {decided.why[f"{name}.slow"].state for name in SLOW} == {Standing.CANCELLED}
    assert set(env.lake.tables()) == {"base.items"}
    assert catalog.status(env)["incidents"] == []
    assert all(len(dev.runs(mesh__domain=name)) == 1 for name in SLOW), "what was cancelled began again"
    for name in SLOW:
        (place.root / "domains" / name / "wait").unlink()
    Launches(env.ledger.store).start("report", "ann")
    dev.wait("a new launch builds them", lambda: {f"{name}.slow" for name in SLOW} <= set(place.env().lake.tables()))
    dev.wait("and ends", lambda: not Launches(place.env().ledger.store).going_on())
