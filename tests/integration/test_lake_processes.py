"""The lake under many processes, and under processes that are killed."""

import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from mesh_assets.domain import LakeConfig
from mesh_assets.lake import Lake, Publication

SCRIPT = Path(__file__).with_name("lake_processes.py")


def start(
    what: str,
    lake: Lake,
    config: LakeConfig,
    *,
    before: Sequence[str] = (),
    env: dict | None = None,
    **arguments: object,
) -> subprocess.Popen:
    lake.home.mkdir(exist_ok=True)
    arguments |= {"home": str(lake.home), "config": dataclasses.asdict(config)}
    return subprocess.Popen(
        [*before, sys.executable, str(SCRIPT), what, json.dumps(arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=env,
        cwd=lake.home,
    )


def answers(process: subprocess.Popen, seconds: float = 500) -> list[dict]:
    out, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.long
@pytest.mark.parametrize("times", [50])
def test_four_processes_publish_and_two_read_and_nobody_fails(lake, lake_config, tmp_path, times):
    done = tmp_path / "done"
    readers = [start("read", lake, lake_config, until=str(done)) for _ in range(2)]
    writers = [start("write", lake, lake_config, name=f"d{i}", times=times) for i in range(4)]
    try:
        published = [answer["version"] for writer in writers for answer in answers(writer)]
    finally:
        done.touch()
        for process in writers:
            process.kill()
    reading = [answer for reader in readers for answer in answers(reader)]
    assert len(published) == len(set(published)) == 4 * times
    assert sorted(published) == [commit.version for commit in lake.commits()]
    assert [answer["changed"] for answer in reading] == [0, 0]
    assert all(answer["reads"] > 5 for answer in reading)


@pytest.mark.long
def test_reading_on_while_others_publish_new_tables_does_not_crash(lake, lake_config):
    (answer,) = answers(start("read_while_others_publish", lake, lake_config))
    assert answer["found"] == [[1]] * 3


def test_readers_go_on_while_a_publish_is_half_done(lake):
    with lake.session() as con:
        old = lake.publish(
            con, [Publication(staged=lake.stage(con, "a.t", "SELECT 1 AS i"), record={})], run="r", pin=0
        )
        file = lake.stage(con, "a.t", "SELECT 2 AS i").files[0]
        with lake.catalog.locked(["a.t"]):
            con.execute("BEGIN")
            con.execute("DELETE FROM mesh.a.t")
            con.execute(f"CALL ducklake_add_data_files('mesh', 't', '{file}', schema => 'a')")
            seen = []
            reader = threading.Thread(
                target=lambda: seen.append((lake.head(), lake.sql("FROM a.t"), len(lake.commits())))
            )
            reader.start()
            reader.join(timeout=60)
            assert seen == [(old, (("i",), [(1,)]), 1)]
            con.execute("ROLLBACK")


@pytest.mark.parametrize("kills", [10, pytest.param(50, marks=pytest.mark.long)])
def test_a_killed_publish_is_seen_whole_or_not_at_all(lake, lake_config, kills):
    (answer,) = answers(start("survive", lake, lake_config, kills=kills, seed=random.randrange(1000)))
    versions = [commit.version for commit in lake.commits()]
    assert set(answer["told"]) <= set(versions)
    assert answer["cut"] >= kills / 5, "the kills came too late to say anything"
    with lake.session() as con:
        for version in range(versions[0], lake.head() + 1):
            one, two = (con.execute(f"FROM {lake.relation(table, version)}").fetchall() for table in ("a.one", "a.two"))
            assert one == two
        both = [Publication(staged=lake.stage(con, table, "SELECT -1 AS n"), record={}) for table in ("a.one", "a.two")]
        assert lake.publish(con, both, run="next", pin=0) == lake.head()


def test_several_processes_may_create_one_lake(tmp_path, lake_config):
    lake = Lake(tmp_path / "home", lake_config)
    processes = [start("create", lake, lake_config) for _ in range(4)]
    assert [answer for process in processes for answer in answers(process)] == [{"head": 0}] * 4
    assert (lake.head(), lake.tables()) == (0, ())
    assert lake._rows(
        f"SELECT value FROM {lake.catalog.prefix}ducklake_metadata WHERE key = 'data_inlining_row_limit'"
    ) == [("0",)]
    lake.close()


def test_a_catalog_that_is_kept_open_is_put_away_by_nobody_else(sqlite_lake):
    """Who closes it last does so alone, and DuckDB's SQLite, without `usleep`, waits for it by whole seconds."""
    log = Path(f"{sqlite_lake.catalog.path}-wal")
    with sqlite_lake.catalog.kept_open():
        for name in "ab":
            answers(start("write", sqlite_lake, LakeConfig(), name=name, times=1))
            assert log.exists()
        assert sqlite_lake.tables() == ("a.t0", "b.t0")
    assert not log.exists()
    assert sqlite_lake.tables() == ("a.t0", "b.t0")
    answers(start("write", sqlite_lake, LakeConfig(), name="c", times=1))
    assert not log.exists()


def test_a_process_that_forks_goes_on_and_so_does_its_child(lake, lake_config):
    (answer,) = answers(start("work_after_fork", lake, lake_config), seconds=60)
    assert answer["status"] == 0
    assert len(lake.commits()) == 2


def test_nothing_is_written_to_the_home_folder_nor_to_the_working_directory(tmp_path):
    home, lake = tmp_path / "person", Lake(tmp_path / "mesh")
    home.mkdir()
    env = {**os.environ, "HOME": str(home)}
    (answer,) = answers(start("work", lake, LakeConfig(), env=env))
    assert answer["rows"] == [[10]]
    assert list(home.iterdir()) == []
    assert [path.name for path in lake.home.iterdir()] == ["lake"]


def test_it_needs_no_network(tmp_path):
    alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*alone, "true"], check=False, stderr=subprocess.DEVNULL).returncode
    ):
        pytest.skip("this machine does not let us take the network away from a process (unshare --net)")
    lake = Lake(tmp_path / "mesh")
    (answer,) = answers(start("work", lake, LakeConfig(), before=alone))
    assert answer["rows"] == [[10]]
