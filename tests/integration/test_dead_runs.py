"""Whether a run's worker is gone, as its code server tells: there, gone, another one at the same address, or deaf."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import dagster as dg
import pytest

from mesh_assets.orchestration import progress
from mesh_assets.orchestration.instance import open_instance
from mesh_assets.orchestration.sensors import end_dead_runs
from tests.conftest import free_port
from tests.making import Place

STARTING, STARTED, CANCELING = (
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    place = Place(tmp_path_factory.mktemp("dead"))
    place.domain("shop")
    place.sql("shop.one", "select 1 as n")
    return place


@pytest.fixture
def instance(place) -> Iterator[dg.DagsterInstance]:
    with open_instance(place.root / ".mesh") as instance:
        yield instance


@pytest.fixture(scope="module")
def server(place) -> Iterator[int]:
    """A code server that has just come up where another one was: it has started nothing."""
    port = free_port()
    command = ["-m", "dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(port), "-m", "mesh_assets.definitions"]
    variables = {**os.environ, "MESH_DIR": str(place.root), "MESH_HOME": str(place.root / ".mesh")}
    process = subprocess.Popen(
        [sys.executable, *command], cwd=place.root, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert time.monotonic() < deadline
        time.sleep(0.2)
    yield port
    process.terminate()
    process.wait(30)


def run_of(instance: dg.DagsterInstance, port: int, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    """A run of which Dagster's launcher has kept where its code server is."""
    tags = {progress.GRPC: json.dumps({"host": "localhost", "port": port})}
    return instance.add_run(dg.DagsterRun(job_name="job", status=status, tags=tags))


@pytest.mark.long
def test_a_server_that_came_back_knows_nothing_of_it(instance, server, monkeypatch):
    assert progress.is_dead(instance, run_of(instance, server, STARTED))
    starting = run_of(instance, server, STARTING)
    assert not progress.is_dead(instance, starting), "it may just be on its way to the server"
    monkeypatch.setattr(progress, "HANDED_OVER", -1.0)
    assert progress.is_dead(instance, starting)


def test_where_nobody_listens_nobody_works(instance):
    port = free_port()
    assert progress.is_dead(instance, run_of(instance, port, STARTED))
    assert progress.is_dead(instance, run_of(instance, port, STARTING))
    assert not progress.is_dead(instance, run_of(instance, port, dg.DagsterRunStatus.NOT_STARTED))


def test_a_run_that_was_taken_out_of_the_queue_and_handed_to_nobody_is_ended(place, instance, monkeypatch):
    """The daemon was killed in between: no code server is known to it, and none ever will be."""
    run = instance.add_run(dg.DagsterRun(job_name="job", status=STARTING))
    assert not progress.is_dead(instance, run), "it is taken out just now"
    monkeypatch.setattr(progress, "HANDED_OVER", -1.0)
    others = [
        instance.add_run(dg.DagsterRun(job_name="job", status=status))
        for status in (STARTED, dg.DagsterRunStatus.NOT_STARTED)
    ]
    assert not any(progress.is_dead(instance, other) for other in others)
    with monkeypatch.context() as patch:
        patch.setattr(type(instance), "run_launcher", property(lambda _: object()))
        assert not progress.is_dead(instance, run), "who starts pods keeps no address of a code server"
    suspects, ended = end_dead_runs(instance, place.env(), suspects=[])
    assert (run.run_id in suspects, ended) == (True, [])
    end_dead_runs(instance, place.env(), suspects=suspects)
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE


def test_a_server_that_does_not_answer_is_taken_to_have_it(instance, monkeypatch):
    monkeypatch.setattr(progress, "ANSWER", 1.0)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        assert not progress.is_dead(instance, run_of(instance, deaf.getsockname()[1], STARTED))


def test_what_was_being_cancelled_ends_as_cancelled(place, instance):
    port = free_port()
    run, other = run_of(instance, port, CANCELING), run_of(instance, port, STARTED)
    end_dead_runs(instance, place.env())
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.CANCELED
    assert instance.get_run_by_id(other.run_id).status == dg.DagsterRunStatus.FAILURE
