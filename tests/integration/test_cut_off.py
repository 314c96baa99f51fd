"""A disk that is full, a process that is killed, a ledger that is gone, two runs at once: nothing half, nothing lost."""

import os
import random
import re
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from mesh_assets.ledger import Version
from mesh_assets.orchestration.instance import open_instance
from tests.integration.test_cli import MESH, Said, mesh
from tests.making import Place

CHAIN = ("shop.a", "shop.b", "shop.c", "shop.d")
ROWS = 40_000


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A raw table and four in a row behind it; every row of one version says the same."""
    place = Place(tmp_path / "mesh")
    place.domain("shop", "inputs: [{source: raw/items.csv, as: items}]\noutputs: [{port: d}]\n")
    place.contract(
        "shop.items", {"id": "BIGINT; required: true", "state": "BIGINT; required: true", "noise": "VARCHAR"}
    )
    for before, table in zip(("shop.items", *CHAIN), CHAIN, strict=False):
        place.sql(table, f"select id, state, noise from {before}")
        place.contract(
            table, {"id": "BIGINT; required: true; unique: true", "state": "BIGINT; required: true", "noise": "VARCHAR"}
        )
    export(place, 0)
    return place


def export(place: Place, state: int) -> None:
    """A new export: every row says `state`, and is as long as chance makes it."""
    chance = random.Random(state)
    lines = "".join(f"{number},{state},{chance.getrandbits(96):x}\n" for number in range(ROWS))
    place.write("domains/shop/raw/items.csv", "id,state,noise\n" + lines)


def agreed(place: Place) -> dict[str, Version]:
    """The newest versions, which lake, ledger and Dagster all know."""
    env = place.env()
    env.sync()
    versions = env.ledger.versions()
    commits = {(name, commit.version) for commit in env.lake.commits() for name in commit.info["tables"]}
    newest = {name: max(version for other, version in commits if other == name) for name, _ in commits}
    assert {name: item.version for name, item in versions.items()} == newest
    assert env.ledger.building() == {}
    with open_instance(env.home) as instance:
        unfinished = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.QUEUED]
        assert not instance.get_runs(filters=dg.RunsFilter(statuses=unfinished))
        for name, version in versions.items():
            event = instance.get_latest_materialization_event(dg.AssetKey(name.split(".")))
            assert event.asset_materialization.metadata["mesh/version"].value == version.version, name
    return versions


@pytest.mark.long
@pytest.mark.parametrize("times", [2, pytest.param(12, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_at_any_moment_leaves_nothing_half(place, times):
    """Some moment after the first step began; the next run ends the dead one and builds what is left."""
    assert mesh("run", where=place.root).code == 0
    chance = random.Random()
    for state in range(1, times + 1):
        export(place, state)
        process = subprocess.Popen([MESH, "run"], cwd=place.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        env = place.env()
        while not env.ledger.building() and process.poll() is None:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 2.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        seen = place.states(ROWS)
        assert set(seen.values()) <= {state, state - 1}
        assert list(seen[table] for table in ("shop.items", *CHAIN)) == sorted(seen.values(), reverse=True)
        if state % 2:  # every other time the next change comes before anybody has mended the last
            assert mesh("run", where=place.root).code == 0
            assert set(place.states(ROWS).values()) == {state}
            agreed(place)
        else:
            export(place, state)
            assert mesh("run", where=place.root).code == 0
    agreed(place)
    staged = {path.name for path in (place.root / ".mesh/lake/data").rglob("*.parquet")}
    assert staged, "the lake has files"


@pytest.mark.long
def test_two_runs_at_once_build_everything_once(place):
    """Both end well; what one builds the other leaves to it."""
    both = [
        subprocess.Popen(
            [MESH, "run", "--json"], cwd=place.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300) for process in both]
    for process, (out, err) in zip(both, said, strict=True):
        assert "Traceback" not in out + err, err
        assert process.returncode == 0, err
    assert mesh("run", where=place.root).code == 0
    assert set(place.states(ROWS).values()) == {0}
    agreed(place)
    published = [name for commit in place.env().lake.commits() for name in commit.info["tables"]]
    assert sorted(published) == sorted({"shop.items", *CHAIN}), "each table once"


@pytest.mark.long
def test_a_ledger_that_is_gone_is_made_again_from_the_lake(place):
    """Nothing is built or published again, and what comes after goes on."""
    place.run()
    before = agreed(place)
    for path in (place.root / ".mesh").glob("ledger.sqlite*"):
        path.unlink()
    again = mesh("run", "--json", where=place.root)
    assert again.code == 0
    assert {row["status"] for row in again.json["tables"]} == {"unchanged"}
    assert again.json["runs"] == []
    assert agreed(place) == before
    export(place, 1)
    assert set(place.statuses().values()) == {"published"}
    assert set(place.states(ROWS).values()) == {1}


@pytest.mark.long
@pytest.mark.parametrize(
    ("file", "statement", "said"),
    [
        ("lake/catalog.sqlite", "UPDATE ducklake_metadata SET value = '99.0' WHERE key = 'version'", "99.0"),
        ("ledger.sqlite", "UPDATE about SET version = 99", "the ledger is of version 99"),
    ],
    ids=["lake", "ledger"],
)
def test_what_a_newer_version_wrote_is_left_alone(place, file, statement, said):
    """Exit 3, in words that say what to install; the file stays as it is."""
    place.statuses("shop/items")
    path = next(place.root.joinpath(".mesh").rglob(Path(file).name))
    place.env().lake.close()
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute(statement).rowcount == 1
    before = content(path)
    for words in (("run",), ("status", "--json"), ("sql", "from shop.items")):
        refused = mesh(*words, where=place.root)
        assert (refused.code, refused.out) == (3, ""), words
        assert said in refused.err
        assert re.search("Upgrade the mesh|Use the version of mesh_assets that wrote it", refused.err)
    assert content(path) == before


def content(path: Path) -> list[str]:
    """Everything in a SQLite file, whatever its log has taken up meanwhile."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return list(db.iterdump())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a file system is not permitted here; the limit on file sizes is tested in its place")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def recovered(place: Place, failed: Said, state: int, **variables: str) -> None:
    """The run that failed said why, kept what was published, and the next one builds the rest."""
    assert failed.code == 3
    assert re.search("make room|disk not full|ulimit", failed.out + failed.err)
    again = mesh("run", "--json", where=place.root, **variables)
    assert again.code == 0
    assert {row["status"] for row in again.json["tables"]} <= {"published", "unchanged"}
    said = mesh("sql", "select min(state), max(state), count(*) from shop.d", "--json", where=place.root, **variables)
    assert said.json["rows"] == [[state, state, ROWS]]


@pytest.mark.long
@pytest.mark.parametrize(
    "rooms",
    [(100_000, 1_200_000), pytest.param((0, 30_000, 100_000, 400_000, 1_200_000, 3_000_000), marks=pytest.mark.slow)],
)
def test_a_full_disk_is_told_and_nothing_is_lost(place, small_disk, rooms):
    """However much room is left: none for the catalogue, for Dagster's record, for a table in the middle."""
    home = {"MESH_HOME": str(small_disk / "home")}
    assert mesh("run", where=place.root, **home).code == 0
    for state, left in enumerate(rooms, start=1):
        export(place, state)
        room = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        assert room > left
        (small_disk / "filler").write_bytes(bytes(room - left))
        failed = mesh("run", where=place.root, **home)
        (small_disk / "filler").unlink()
        recovered(place, failed, state, **home)


@pytest.mark.long
def test_a_file_that_may_not_grow_is_told_and_nothing_is_lost(place):
    """The limit on file sizes of a process, for one who may not mount."""
    assert mesh("run", where=place.root).code == 0
    export(place, 1)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

    done = subprocess.run([MESH, "run"], cwd=place.root, preexec_fn=limit, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    recovered(place, Said(done.returncode, done.stdout, done.stderr), 1)
