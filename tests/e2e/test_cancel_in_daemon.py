"""A launch that Dagster's daemon builds is cancelled while its steps run: in a run's own process, in a process per step, in a program, in dbt."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from mesh_assets import catalog
from mesh_assets.cancelling import cancel_pipeline
from mesh_assets.launches import Launches
from mesh_assets.ledger import process_started
from mesh_assets.order import Standing, due
from tests.e2e.test_daemon import Dev
from tests.e2e.test_killed_services import processes
from tests.integration.test_cancelling import slow
from tests.making import Place

pytestmark = pytest.mark.timeout(1200)
YAML = """
mesh: test
pipelines:
  report: {delivers: [alone/slow, steps/slow, told/slow]}
  model: {delivers: desk/slow}
"""
WORKSPACE = "load_from:\n" + "".join(
    f"  - python_module: {{module_name: mesh_assets.locations, attribute: {name}, location_name: {name}, "
    'working_directory: "."}\n'
    for name in ("base", "alone", "steps", "told", "desk")
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
    """A producer, and four code locations with a slow table each: of a function, of one in a step process, of a program, of dbt."""
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
    place.domain("desk", "inputs: [{port: base.items}]\n")
    slow(place, "dbt")
    dev = Dev(place)
    dev.start()
    yield dev
    dev.stop()


def models(place: Place) -> list[int]:
    """Processes in which a dbt model of this mesh is built: each call is a fork that works in a folder of its own."""
    found = [(pid, folder) for pid, words, folder in processes() if "dbtprocess" in words]
    return [pid for pid, folder in found if folder.startswith(f"{place.root}/")]


@pytest.mark.slow
def test_every_kind_of_worker_is_ended_and_nothing_begins_again(dev: Dev):
    place = dev.place
    dev.wait("the three slow steps run", lambda: all((place.root / "domains" / name / "pid").exists() for name in SLOW))
    pids = [int((place.root / "domains" / name / "pid").read_text()) for name in SLOW]
    dev.wait("the dbt model runs", (place.root / "domains/desk/began").exists)
    assert models(place)
    env = place.env()
    for pipeline in ("report", "model"):
        Launches(env.ledger.store).start(pipeline, "schedule")
    told = cancel_pipeline(env, env.mesh.pipelines["report"], by="ann")
    assert (told["state"], told["sentence"], told["launch"]["by"]) == ("cancelled", "cancelled by ann", "schedule")
    assert sorted((run["tables"], run["over"]) for run in told["ended_runs"]) == [([f"{n}/slow"], True) for n in SLOW]
    assert [run.status for run in dev.runs(mesh__domain="told")] == [dg.DagsterRunStatus.CANCELED]
    told = cancel_pipeline(env, env.mesh.pipelines["model"], by="ann")
    assert [(run["tables"], run["over"]) for run in told["ended_runs"]] == [(["desk/slow"], True)]
    assert [run.status for run in dev.runs(mesh__domain="desk")] == [dg.DagsterRunStatus.CANCELED]
    dev.wait("dbt works no more", lambda: not models(place))
    # A run's process says that it was cancelled, and has its own things to put away after that.
    dev.wait("every worker has ended", lambda: not any(process_started(pid) for pid in pids))
    for name in (*SLOW, "desk"):
        assert dev.looked(f"{name}__order")
    assert dev.looked("base__account", 1)
    decided = due(env.mesh, env.state())
    assert decided.build == ()
    assert {decided.why[f"{name}.slow"].state for name in (*SLOW, "desk")} == {Standing.CANCELLED}
    assert set(env.lake.tables()) == {"base.items"}
    assert catalog.status(env)["incidents"] == []
    assert all(len(dev.runs(mesh__domain=name)) == 1 for name in (*SLOW, "desk")), "what was cancelled began again"
    assert env.lake.clean(timedelta(0)) == 0, "a staged file is left"
    for name in SLOW:
        (place.root / "domains" / name / "wait").unlink()
    Launches(env.ledger.store).start("report", "ann")
    dev.wait("a new launch builds them", lambda: {f"{name}.slow" for name in SLOW} <= set(place.env().lake.tables()))
    dev.wait("and ends", lambda: not Launches(place.env().ledger.store).going_on())
