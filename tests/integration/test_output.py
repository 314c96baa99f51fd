"""What a step prints: in Dagster's log at once and whatever happens, and shown where it was going, without a process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.making import Place

STEP = """\
import os, sys, time
from pathlib import Path

from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from mesh_assets.orchestration import output
from mesh_assets.orchestration.load import load

load(Path(sys.argv[1]))
if sys.argv[3] == "stuck":
    output.PATIENCE = 0.2
print("before", flush=True)
with LocalComputeLogManager(sys.argv[2]).capture_logs(["run", "step"]):
    print("printed", flush=True)
    os.system("echo by a program; echo gone wrong >&2")
    children = [one for task in Path("/proc/self/task").iterdir() for one in (task / "children").read_text().split()]
    print(f"{len(children)} children", flush=True)
    if sys.argv[3] == "killed":
        time.sleep(60)
    print("x" * 1_000_000)
print("after")
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory) -> Path:
    place = Place(tmp_path_factory.mktemp("prints"))
    place.domain("shop")
    place.sql("shop.one", "select 1 as n")
    return place.root


def step(mesh: Path, logs: Path, how: str = "") -> subprocess.Popen:
    environment = {**os.environ, "MESH_HOME": str(mesh / ".mesh")}
    words = [sys.executable, "-c", STEP, str(mesh), str(logs), how]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_what_is_printed_is_kept_and_shown_to_the_last_line_without_a_process(mesh, tmp_path):
    said, wrong = (process := step(mesh, tmp_path)).communicate(timeout=60)
    expected = "printed\nby a program\n0 children\n" + "x" * 1_000_000 + "\n"
    assert process.returncode == 0, wrong
    assert said == f"before\n{expected}after\n"
    assert wrong == "gone wrong\n"
    assert (tmp_path / "run/step.out").read_text() == expected
    assert (tmp_path / "run/step.err").read_text() == "gone wrong\n"


def test_a_killed_steps_words_were_shown_and_are_in_the_log(mesh, tmp_path):
    process = step(mesh, tmp_path, "killed")
    shown = [process.stdout.readline() for _ in range(4)]
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert shown == ["before\n", "printed\n", "by a program\n", "0 children\n"]
    assert (tmp_path / "run/step.out").read_text() == "printed\nby a program\n0 children\n"


@pytest.mark.parametrize("how", ["gone", "stuck"])
def test_a_reader_that_takes_nothing_holds_no_step_up(mesh, tmp_path, how):
    with step(mesh, tmp_path, how) as process:
        assert process.stdout.readline() == "before\n"
        if how == "gone":
            process.stdout.close()
        deadline = time.monotonic() + 60
        while not (tmp_path / "run/step.complete").exists():
            assert process.poll() in (None, 120)  # Python's own, of whoever prints to nobody
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
    assert (tmp_path / "run/step.out").read_text().endswith("x\n")
