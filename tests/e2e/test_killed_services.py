"""Dagster's own services, killed at any moment or started once too often while domains run: nothing is lost, and nothing is done twice."""

import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest

from mesh_assets import catalog
from mesh_assets.account import record
from mesh_assets.orchestration import instance as storage
from mesh_assets.orchestration.instance import open_instance
from mesh_assets.orchestration.progress import unfinished
from tests.conftest import free_port
from tests.making import Place

log = logging.getLogger(__name__)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(6 * 3600)]
PATIENCE = 400.0
ROWS = 2_000
CHAIN = ("base.raw_items", "base.items", "middle.items", "middle.counted", "last.total")
"""Each reads the one before it, over three domains."""
WORKSPACE = "load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: mesh}}\n"
WORKER = "worker"


@dataclass
class Services:
    """A web server, a daemon and a code location, as a company runs them: each a process of its own, at an address that stays."""

    place: Place
    seconds_ahead: int = 0
    running: dict[str, subprocess.Popen] = field(default_factory=dict)
    commands: dict[str, Sequence[object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        code, web = free_port(), free_port()
        self.place.write("workspace.yaml", WORKSPACE.format(port=code))
        root = self.place.root
        location = [
            "-h",
            "127.0.0.1",
            "-p",
            code,
            "--location-name",
            "mesh",
            "-m",
            "mesh_assets.definitions",
            "-d",
            root,
        ]
        workspace = ["-w", root / "workspace.yaml"]
        self.commands = {
            "code location": ["-m", "dagster", "api", "grpc", *location],
            "daemon": ["-m", "dagster._daemon", "run", *workspace],
            "web server": ["-m", "mesh_assets.portal.webserver", *workspace, "-h", "127.0.0.1", "-p", web],
        }
        self.web = web

    def start(self, service: str, *, name: str = "") -> None:
        """Start one of them; under a name of its own where it is one too many."""
        home = self.place.root / ".mesh"
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("MESH_", "DAGSTER"))}
        variables = {
            **clean,
            "DAGSTER_HOME": str(storage.folder(home)),
            "MESH_DIR": str(self.place.root),
            "MESH_HOME": str(home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
        }
        with (self.place.root / f"{name or service}.log").open("ab") as log:
            self.running[name or service] = subprocess.Popen(
                [sys.executable, *map(str, self.commands[service])],
                cwd=self.place.root, env=variables, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self, service: str) -> None:
        """Kill -9 of the process alone: its children are left to themselves, as the kernel would leave them."""
        process = self.running.pop(service)
        process.kill()
        process.wait()

    def kill_a_worker(self) -> bool:
        """Kill -9 of the process of a run, if there is one."""
        for pid in _workers(self.place.root):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            return True
        return False

    def stop(self) -> None:
        """End all of them, and whatever they had left behind."""
        groups = [process.pid for process in self.running.values()]
        for name in list(self.running):
            self.kill(name)
        for pid in {*groups, *_of_mesh(self.place.root)}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def wait(self, what: str, found: Callable[[], object], patience: float = PATIENCE) -> None:
        """Until it is so."""
        deadline = time.monotonic() + patience
        while not found():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {patience:.0f} s: {what}\n{self.told()}")
            time.sleep(0.5)

    def told(self) -> str:
        """What a person would look at."""
        tails = [f"== {path.name}\n{path.read_text()[-2500:]}" for path in sorted(self.place.root.glob("*.log"))]
        with open_instance(self.place.root / ".mesh") as instance:
            runs = "\n".join(f"{run.run_id} {run.status} {run.tags}" for run in instance.get_runs(limit=6))
        status = "\n".join(map(str, catalog.status(self.place.env())["tables"]))
        return "\n".join([*tails, "== runs", runs, "== status", status])


def processes() -> Iterator[tuple[int, str, str]]:
    """Number, command line and folder of every process that can be looked at."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                yield int(entry.name), words, str((entry / "cwd").readlink())
            except OSError:
                continue


def _of_mesh(root: Path) -> list[int]:
    return [pid for pid, _, folder in processes() if folder == str(root)]


def _workers(root: Path) -> list[int]:
    """Processes of runs: a code server starts them by `multiprocessing`."""
    return [pid for pid, words, folder in processes() if folder == str(root) and "multiprocessing.spawn" in words]


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Three domains in a row, built by sensors alone."""
    place = Place(tmp_path / "mesh")
    place.domain("base", "inputs: [{source: raw/items.csv, as: raw_items}]\noutputs: [{port: items}]\n")
    place.domain("middle", "inputs: [{port: base.items}]\noutputs: [{port: counted}]\n")
    place.domain("last", "inputs: [{port: middle.counted}]\noutputs: [{port: total}]\n")
    for before, table in pairwise(CHAIN):
        place.sql(table, f"select id, state from {before}")
    for table in CHAIN:
        place.contract(table, {"id": "BIGINT; required: true; unique: true", "state": "BIGINT; required: true"})
    export(place, 0)
    with open_instance(place.root / ".mesh"):
        pass  # Dagster's services break each other where all of them make its tables in SQLite at once
    services = Services(place)
    for service in services.commands:
        services.start(service)
    yield services
    services.stop()


def export(place: Place, state: int) -> None:
    """A new export, every row of which says `state`; it appears whole."""
    rows = "".join(f"{number},{state}\n" for number in range(ROWS))
    place.write("domains/base/raw/items.tmp", f"id,state\n{rows}").rename(place.root / "domains/base/raw/items.csv")


def caught_up(place: Place, state: int) -> bool:
    """Whether every table says it, no run is unfinished, and Dagster knows every version."""
    if place.states(ROWS) != dict.fromkeys(CHAIN, state):
        return False
    with open_instance(place.root / ".mesh") as instance:
        return not unfinished(instance) and all(published(place)[name][-1] in told(instance, name) for name in CHAIN)


def published(place: Place) -> dict[str, list[int]]:
    """Every version of each table, by the lake's commits."""
    found: dict[str, list[int]] = {}
    for commit in place.env().lake.commits():
        for name in commit.info["tables"]:
            found.setdefault(name, []).append(commit.version)
    return {name: sorted(versions) for name, versions in found.items()}


def told(instance: dg.DagsterInstance, table: str) -> Counter[int]:
    """How often Dagster was told of each version of a table."""
    records = instance.fetch_materializations(dg.AssetKey(table.split(".")), limit=5_000).records
    return Counter(int(record.asset_materialization.metadata["mesh/version"].value) for record in records)


@pytest.mark.parametrize("kills", [int(os.environ.get("KILLS", "24"))])
def test_after_kills_at_any_moment_all_catches_up(services, kills):
    """Two to six kills after each new export, while three domains run; who was killed is started again at once."""
    place = services.place
    services.wait("everything is built", lambda: caught_up(place, 0))
    chance, state = random.Random(), 0
    done: Counter[str] = Counter()
    while done.total() < kills:
        state += 1
        export(place, state)
        victims = [chance.choice((WORKER, *services.commands)) for _ in range(chance.randint(2, 6))]
        for victim in victims:
            time.sleep(chance.uniform(0, 9))
            done[victim] += _killed(services, victim, chance)
        began = time.monotonic()
        services.wait(f"all says {state}, after {victims}", partial(caught_up, place, state))
        log.info("%d kills; after %s: %.0f s", done.total(), victims, time.monotonic() - began)
        assert_each_once(place, state + 1)
    log.info("%s", dict(done))


def assert_each_once(place: Place, exports: int, *, confirmed: bool = False) -> None:
    """Of every table one version for each export, of which Dagster was told once; more often only where a run too many confirmed it."""
    versions, ledger = published(place), place.env().ledger
    with open_instance(place.root / ".mesh") as instance:
        for name in CHAIN:
            heard = told(instance, name)
            if confirmed:
                heard -= Counter(one.record["version"] for one in ledger.tries(table=name, outcomes=("unchanged",)))
            assert set(heard) == set(versions[name]), f"{name}: Dagster was told of other versions than there are"
            twice = {version: times for version, times in heard.items() if times > 1}
            assert not twice, f"{name}: told, or built, more than once: {twice}"
            assert len(versions[name]) == exports, f"{name}: one version for each export"


def test_two_daemons_started_by_mistake_do_nothing_twice(services):
    """Both look at every sensor and at the queue. One is killed at last, and the other goes on alone."""
    place, state = services.place, 0
    services.start("daemon", name="second daemon")
    services.wait("everything is built", lambda: caught_up(place, 0))
    for state in range(1, 7):
        export(place, state)
        services.wait(f"all says {state}", partial(caught_up, place, state))
    services.kill("daemon")
    export(place, state + 1)
    services.wait("the other goes on", partial(caught_up, place, state + 1))
    assert_each_once(place, state + 2, confirmed=True)
    assert catalog.status(place.env())["incidents"] == []
    assert record.incidents(place.env().ledger.store) == ()
    said = (place.root / "second daemon.log").read_text() + (place.root / "daemon.log").read_text()
    assert "is still sending heartbeats. You likely have multiple daemon processes" in said
    with open_instance(place.root / ".mesh") as instance:
        bad = [run for run in instance.get_runs() if run.status != dg.DagsterRunStatus.SUCCESS]
        assert not bad, f"{bad}\n{services.told()}"


def _killed(services: Services, victim: str, chance: random.Random) -> bool:
    if victim == WORKER:
        deadline = time.monotonic() + 15
        while not (found := services.kill_a_worker()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found
    services.kill(victim)
    time.sleep(chance.choice([0, 0, 2]))
    services.start(victim)
    return True
