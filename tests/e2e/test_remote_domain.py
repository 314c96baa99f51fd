"""A domain on another host, in an environment of its own with other versions: it keeps the mesh's order, and its gates."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from mesh_assets.account import notices, record
from mesh_assets.catalog import account
from mesh_assets.orchestration.instance import open_instance
from mesh_assets.store import spelt
from tests.conftest import free_port, missing
from tests.e2e.test_daemon import Dev
from tests.making import Place

log = logging.getLogger(__name__)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
POLARS, DBT = "1.31.0", "1.10.13"
SCORES = """
import dbt.version
import polars as pl

import mesh_assets


@mesh_assets.table(inputs=["crm.people"])
def scores(people: pl.DataFrame) -> pl.DataFrame:
    return people.with_columns(score=pl.col("age") * 2, polars=pl.lit(pl.__version__), dbt=pl.lit(dbt.version.__version__))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """The Python of the remote domain: as ours, with other versions of polars and dbt before them."""
    folder = tmp_path_factory.mktemp("remote") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    uv = Path(sys.executable).with_name("uv")
    wanted = [f"polars=={POLARS}", f"dbt-core=={DBT}"]
    variables = {**os.environ, "VIRTUAL_ENV": str(folder)}
    if subprocess.run([uv, "pip", "install", "-q", "--no-deps", *wanted], env=variables, check=False).returncode:
        missing(f"{' and '.join(wanted)} from the package registry")
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "zz_rest.pth").write_text(f"import site; site.addsitedir({str(Path(dg.__file__).parents[1])!r})\n")
    return folder / "bin" / "python"


@pytest.fixture
def host() -> Iterator[tuple[list[str], str]]:
    """A network of its own: what to write before a command that runs in it, and its address. Else this host's own."""
    name = f"mesh{uuid.uuid4().hex[:6]}"
    if (
        os.geteuid()
        or shutil.which("ip") is None
        or subprocess.run(["ip", "netns", "add", name], check=False).returncode
    ):
        log.warning("no network of its own: it needs the rights of root, and `ip`")
        yield [], "127.0.0.1"
        return
    try:
        for words in (
            f"link add {name}a type veth peer name {name}b netns {name}",
            f"addr add 10.97.31.1/30 dev {name}a",
            f"link set {name}a up",
            f"-n {name} addr add 10.97.31.2/30 dev {name}b",
            f"-n {name} link set {name}b up",
            f"-n {name} link set lo up",
        ):
            subprocess.run(["ip", *words.split()], check=True)
        yield ["ip", "netns", "exec", name], "10.97.31.2"
    finally:
        subprocess.run(["ip", "link", "del", f"{name}a"], check=False)
        subprocess.run(["ip", "netns", "del", name], check=False)


def make(place: Place, address: str, port: int) -> None:
    """`crm` gives people, `science` scores them far away, `board` counts them."""
    place.domain("crm", "inputs: [{source: raw/exported.csv}]\noutputs: [{port: people}]\n")
    place.contract("crm.exported", {"id": "INTEGER; required: true", "age": "INTEGER"})
    place.sql("crm.people", "select id, age from crm.exported")
    people(place, 30, 40)
    place.contract("crm.people", {"id": "INTEGER; required: true", "age": "INTEGER"})
    place.domain("science", "inputs: [{port: crm.people, contract: in_people.odcs.yaml}]\noutputs: [{port: scores}]\n")
    place.write("domains/science/assets.py", SCORES)
    place.contract("science.people", {"age": "INTEGER; logicalTypeOptions: {maximum: 150}"}, name="in_people")
    place.contract("science.scores", {"id": "INTEGER", "score": "INTEGER", "polars": "VARCHAR", "dbt": "VARCHAR"})
    place.domain("board", "inputs: [{port: science.scores}]\n")
    place.sql(
        "board.summary",
        "select sum(score)::bigint as total, any_value(polars) as polars, any_value(dbt) as dbt from science.scores",
    )
    ours = "python_module: {{module_name: mesh_assets.locations, attribute: {0}, location_name: {0}, working_directory: '.'}}"
    lines = [f"  - {ours.format(name)}\n" for name in ("crm", "board")]
    remote = f"  - grpc_server: {{host: {address}, port: {port}, location_name: science}}\n"
    place.write("workspace.yaml", "load_from:\n" + "".join(lines) + remote)


def people(place: Place, *ages: int) -> None:
    """A new export: what changes is data. Every location has loaded the code of all domains, and would have to be reloaded."""
    rows = "".join(f"{number},{age}\n" for number, age in enumerate(ages))
    place.write("domains/crm/raw/exported.csv", f"id,age\n{rows}")


def reachable(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


@contextmanager
def out_of_reach(inside: list[str], remote: subprocess.Popen) -> Iterator[None]:
    """The cable is pulled, and put back; where there is no network of its own, the server hears nothing."""
    ways = {down: ["ip", "link", "set", f"{inside[-1]}a", down] for down in ("down", "up")} if inside else {}
    if ways:
        subprocess.run(ways["down"], check=True)
    else:
        remote.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        if ways:
            subprocess.run(ways["up"], check=True)
        else:
            remote.send_signal(signal.SIGCONT)


def an_hour_passes(place: Place, away: str) -> None:
    """Nobody waits for it: the record says that this domain was last heard of an hour ago, and the others all that time."""
    store, back = place.env().ledger.store, spelt(datetime.now(UTC) - timedelta(hours=1))
    heard = record.METADATA.tables["heard"]
    with store.writing() as db:
        db.execute(heard.update().values(since=back))
        db.execute(heard.update().where(heard.c.domain == away).values(at=back))


def test_a_remote_domain_takes_part_in_order_and_gates(tmp_path, environment, host):
    inside, address = host
    port = free_port()
    place = Place(tmp_path / "mesh")
    make(place, address, port)
    dev = Dev(place)
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("MESH_", "DAGSTER"))}
    with (place.root / "remote.log").open("ab") as file:
        command = [
            *inside,
            environment,
            "-m",
            "dagster",
            "api",
            "grpc",
            "-h",
            "0.0.0.0",
            "-p",
            str(port),
            "--location-name",
            "science",
        ]
        command += ["-m", "mesh_assets.locations", "-a", "science", "-d", place.root]
        remote = subprocess.Popen(
            list(map(str, command)), cwd=place.root, env=variables, stdout=file, stderr=file, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 300
        while not reachable(address, port):
            assert time.monotonic() < deadline
            assert remote.poll() is None, (place.root / "remote.log").read_text()[-3000:]
            time.sleep(0.5)
        dev.start()
        dev.wait("the board's summary", lambda: dev.total("board.summary") == 140)
        assert place.rows("select polars, dbt from board.summary") == [(POLARS, DBT)]
        assert pl.__version__ != POLARS
        version = place.version("science.scores")
        with open_instance(place.root / ".mesh") as instance:
            event = instance.get_latest_materialization_event(dg.AssetKey(["science", "scores"]))
        assert event.asset_materialization.metadata["mesh/version"].value == version

        # A reader's gate, far away: the version is refused there, and nobody downstream sees it.
        people(place, 30, 999)
        dev.wait("the new people", lambda: place.rows("select max(age) from crm.people") == [(999,)])

        def refused() -> bool:
            env = place.env()
            env.sync()
            seen = env.seen()["crm.people"].version
            verdict = env.ledger.judged(
                "science", "crm.people", seen, env.mesh.port("science", "crm.people").contract.hash
            )
            return verdict is not None and not verdict.admitted

        dev.wait("the gate", refused)
        assert place.version("science.scores") == version
        assert dev.total("board.summary") == 140
        people(place, 30, 41)
        dev.wait("the gate is passed again", lambda: dev.total("board.summary") == 142)
        dev.wait("its incident is over", lambda: not record.open_incidents(place.env().ledger.store))

        # Out of reach for an hour: the others go on, its owner is told once, and so are its readers; then it is back.
        version = place.version("science.scores")
        with out_of_reach(inside, remote):
            for age in (50, 60):
                began = time.monotonic()
                people(place, 30, age)
                dev.wait("crm goes on", lambda age=age: place.rows("select max(age) from crm.people") == [(age,)])
                log.info("crm went on after %.0f s", time.monotonic() - began)
            an_hour_passes(place, "science")
            (incident,) = dev.wait("an incident", lambda: record.open_incidents(place.env().ledger.store))
            assert (incident.domain, incident.kind, incident.tables) == ("science", "unreachable", ("science.scores",))
            assert [(each.domain, each.table, each.version) for each in incident.downstream] == [
                ("board", "science.scores", version)
            ]
            why = account.why(place.env(), "board/summary")["text"]
            assert "because of science/scores: input crm/people changed; its code location has not been heard of" in why
            dev.wait("both are told", lambda: notices.told(place.env().ledger.store).get(incident.id))
        dev.wait("the board's summary of the newest people", lambda: dev.total("board.summary") == 180)
        dev.wait("the incident closes itself", lambda: not record.open_incidents(place.env().ledger.store))
        told = notices.told(place.env().ledger.store)[incident.id]
        assert sorted((each["domain"], each["word"]) for each in told) == [
            ("board", "closed"), ("board", "reads"), ("science", "closed"), ("science", "opened"),
        ]  # fmt: skip
        made = [each.version for each in place.env().ledger.history("science.scores") if each.version > version]
        assert len(made) == 1, "what came meanwhile is built once"
        dev.wait("no run is left", dev.at_rest)
    finally:
        dev.stop()
        remote.terminate()
        try:
            remote.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(remote.pid, 9)
            remote.wait()
