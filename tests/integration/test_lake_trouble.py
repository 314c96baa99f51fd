"""When the lake cannot: full disks, missing rights, servers that are gone, places that hold something else."""

import os
import sqlite3
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest

from mesh_assets.domain import LakeConfig
from mesh_assets.errors import RunError, UsageError
from mesh_assets.lake import Lake, Publication, catalog, extension_folder
from mesh_assets.lake.trouble import without_passwords
from tests.conftest import PASSWORD, Server, missing, postgres_programs
from tests.integration.test_lake_processes import answers, start


def put(lake: Lake, table: str, query: str) -> int:
    with lake.session() as con:
        return lake.publish(con, [Publication(staged=lake.stage(con, table, query), record={})], run="r", pin=0)


def set_format(lake: Lake, version: str) -> None:
    lake.close()
    if isinstance(lake.catalog, catalog.SqliteCatalog):
        con = sqlite3.connect(lake.catalog.path)
        con.execute("UPDATE ducklake_metadata SET value = ? WHERE key = 'version'", [version])
        con.commit()
        con.close()
    else:
        with lake.catalog.connect() as con:
            con.execute(f"UPDATE {lake.catalog.prefix}ducklake_metadata SET value = '{version}' WHERE key = 'version'")


def test_a_lake_of_a_newer_version_is_refused_and_not_touched(lake):
    put(lake, "a.t", "SELECT 1 AS i")
    set_format(lake, "2.0")
    for use in (lake.create, lake.connect):
        with pytest.raises(RunError, match=r"format 2\.0; this version of the mesh reads 1\.0\.\n.*Upgrade the mesh"):
            use()
    set_format(lake, "1.0")
    assert lake.sql("FROM a.t") == (("i",), [(1,)])


def test_before_there_is_a_lake_we_say_who_makes_it(tmp_path, lake_config):
    lake = Lake(tmp_path / "home", lake_config)
    for use in (lake.head, lake.commits, lake.tables, lake.connect, lambda: lake.sql("SELECT 1")):
        with pytest.raises(RunError, match=r"There is no lake yet\.\n.*mesh run"):
            use()
    assert not lake.catalog.exists()


def test_somebody_elses_database_is_not_made_a_lake(tmp_path):
    lake = Lake(tmp_path)
    lake.catalog.path.parent.mkdir()
    con = sqlite3.connect(lake.catalog.path)
    con.execute("CREATE TABLE theirs(i)")
    con.close()
    before = lake.catalog.path.read_bytes()
    for use in (lake.create, lake.connect):
        with pytest.raises(RunError, match="holds data that is not a lake"):
            use()
    assert lake.catalog.path.read_bytes() == before


def test_somebody_elses_schema_is_not_made_a_lake(tmp_path, postgres):
    lake = Lake(tmp_path, LakeConfig(catalog=f"postgres:{postgres}", data=str(tmp_path / "data"), schema="theirs"))
    with lake.catalog.connect() as con:
        con.execute("CREATE SCHEMA theirs")
        con.execute("CREATE TABLE theirs.orders(i int)")
    with pytest.raises(RunError, match="schema `theirs` holds data that is not a lake"):
        lake.create()
    lake.catalog.remove()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    lake = Lake(tmp_path)
    lake.catalog.path.parent.mkdir()
    lake.catalog.path.write_text("not a database, but long enough to be taken for one. " * 100)
    with pytest.raises(RunError, match="catalog is damaged"):
        lake.create()


def test_a_lake_that_keeps_its_data_elsewhere_is_refused(tmp_path, postgres):
    config = {"catalog": f"postgres:{postgres}", "schema": "elsewhere"}
    lake = Lake(tmp_path, LakeConfig(data=str(tmp_path / "one"), **config))
    lake.create()
    with pytest.raises(RunError, match=r"keeps its data in .*one/, not in .*two/"):
        Lake(tmp_path, LakeConfig(data=str(tmp_path / "two"), **config)).connect()
    lake.close()
    lake.catalog.remove()


def test_a_mesh_that_was_moved_or_copied_has_a_lake_of_its_own(tmp_path):
    lake = Lake(tmp_path / "old")
    lake.create()
    old = put(lake, "a.t", "SELECT 1 AS i")
    lake.close()
    subprocess.run(["cp", "-r", tmp_path / "old", tmp_path / "new"], check=True)
    copy = Lake(tmp_path / "new")
    put(copy, "a.t", "SELECT 2 AS i")
    assert (copy.sql("FROM a.t")[1], copy.sql("FROM a.t", at=old)[1], lake.sql("FROM a.t")[1]) == (
        [(2,)],
        [(1,)],
        [(1,)],
    )
    assert len(list(lake.data.rglob("*.parquet"))) == 1


@pytest.mark.parametrize(
    "address", ["mysql://host", "sqlite:", "postgres:", "postgres:not a = connection string", "postgres:hoost=x"]
)
def test_an_address_that_is_none_is_refused(tmp_path, address):
    with pytest.raises(UsageError, match=r"lake\.catalog.*\n.*postgres:"):
        Lake(tmp_path, LakeConfig(catalog=address))


def test_object_storage_is_refused_in_words(tmp_path):
    with pytest.raises(UsageError, match="only folders are supported"):
        Lake(tmp_path, LakeConfig(data="s3://key:secret@bucket/lake"))


# Disks


BIG = "SELECT random() AS a, random() AS b, random() AS c FROM range(2_000_000)"


def test_a_file_that_may_not_grow_stops_its_candidate_only(tmp_path):
    lake = Lake(tmp_path / "home")
    lake.create()
    (answer,) = answers(start("fail", lake, LakeConfig(), file_size=1_000_000, query=BIG))
    assert answer["said"].startswith("Staging a.t: ")
    assert "ulimit -f" in answer["said"]
    assert (answer["files"], answer["rows"]) == (1, [[2]])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up its rights and take them back")
def test_a_folder_that_may_not_be_written_stops_its_candidate_only(tmp_path):
    lake = Lake(tmp_path / "home")
    lake.create()
    (answer,) = answers(start("fail", lake, LakeConfig(), as_user=65534, query="SELECT 3 AS i"))
    assert answer["said"].startswith("Staging a.t: ")
    assert answer["said"].endswith("Give this user the right to write there.")
    assert (answer["files"], answer["rows"]) == (1, [[2]])


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=False, stderr=subprocess.DEVNULL
    ).returncode:
        pytest.skip("this user may not mount a small disk; RLIMIT_FSIZE is tested instead")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_stops_a_candidate_and_the_lake_goes_on(small_disk):
    lake = Lake(small_disk)
    lake.create()
    put(lake, "a.t", "SELECT 1 AS i")
    with lake.session() as con, pytest.raises(RunError, match=r"Staging a\.t: .*\n.*disk is full: make room"):
        lake.stage(con, "a.t", BIG)
    assert len(list(lake.data.rglob("*.parquet"))) == 1
    put(lake, "a.t", "SELECT 2 AS i")
    assert lake.sql("FROM a.t")[1] == [(2,)]
    lake.close()


def test_a_disk_that_fills_up_before_the_commit_publishes_nothing(small_disk):
    lake = Lake(small_disk)
    lake.create()
    version = put(lake, "a.one", "SELECT 1 AS i")
    filler = small_disk / "filler"
    with lake.session() as con:
        both = [
            Publication(staged=lake.stage(con, table, "SELECT 2 AS i"), record={"text": "x" * 200_000})
            for table in ("a.one", "a.two")
        ]
        filler.write_bytes(b"")
        with filler.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        with pytest.raises(RunError, match=r"\n.*make room"):
            lake.publish(con, both, run="r", pin=0)
        filler.unlink()
        assert lake.tables() == ("a.one",)
        assert con.execute(f"FROM {lake.relation('a.one', lake.head())}").fetchall() == [(1,)]
        assert lake.publish(con, both, run="r", pin=0) > version
    assert lake.sql("FROM a.one, a.two")[1] == [(2, 2)]
    lake.close()


def test_a_candidate_whose_file_is_gone_publishes_nothing(lake):
    with lake.session() as con:
        both = [Publication(staged=lake.stage(con, table, "SELECT 2 AS i"), record={}) for table in ("a.one", "a.two")]
        Path(both[1].staged.files[0]).unlink()
        with pytest.raises(RunError, match=r"Publishing a\.two: .*\n.*removed by somebody"):
            lake.publish(con, both, run="r", pin=0)
        assert (lake.tables(), lake.commits()) == ((), ())


# Catalogs


def test_a_catalog_that_another_program_holds_is_named(sqlite_lake, monkeypatch):
    monkeypatch.setattr("mesh_assets.lake.publishing.PATIENCE", 1.0)
    version = put(sqlite_lake, "a.t", "SELECT 1 AS i")
    holding = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(sqlite_lake.catalog.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        with pytest.raises(RunError, match=r"Another program holds the catalog"):
            put(sqlite_lake, "a.t", "SELECT 2 AS i")
        assert sqlite_lake.sql("FROM a.t")[1] == [(1,)]
        holder.stdin.close()
    assert put(sqlite_lake, "a.t", "SELECT 2 AS i") == version + 1


def test_a_publisher_that_never_ends_is_named(sqlite_lake, monkeypatch):
    monkeypatch.setattr("mesh_assets.lake.catalog.PATIENCE", 0.2)
    with (
        Lake(sqlite_lake.home).catalog.locked(),
        pytest.raises(RunError, match=f"Process {os.getpid()} has held the lake"),
    ):
        put(sqlite_lake, "a.t", "SELECT 1 AS i")


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux lists the locks of a process")
def test_reading_the_catalog_leaves_the_locks_of_open_queries_alone(sqlite_lake, tmp_path):
    version = put(sqlite_lake, "a.t", "SELECT 1 AS i")
    log = Path(f"{sqlite_lake.catalog.path}-shm")

    def held() -> int:
        lines = Path("/proc/locks").read_text().splitlines()
        return sum(f" {os.getpid()} " in line and f":{log.stat().st_ino} " in line for line in lines)

    with sqlite_lake.session() as con:
        con.execute("BEGIN")
        con.execute(f"FROM {sqlite_lake.relation('a.t', version)}").fetchall()
        before = held()
        assert before
        sqlite_lake.create()
        sqlite_lake.connect().close()
        assert (sqlite_lake.head(), len(sqlite_lake.commits()), sqlite_lake.tables()) == (version, 1, ("a.t",))
        sqlite_lake.fork(tmp_path / "fork", {"a.t": version}).remove()
        sqlite_lake.sql("FROM a.t")
        assert held() >= before


@pytest.fixture
def own_server():
    """A server that may be stopped."""
    programs = postgres_programs()
    if programs is None:
        missing("PostgreSQL")
    server = Server(programs)
    yield server
    server.remove()


def test_a_server_that_goes_and_comes_back(own_server, tmp_path):
    lake = Lake(tmp_path / "home", LakeConfig(catalog=f"postgres:{own_server.conninfo}", data=str(tmp_path / "data")))
    lake.create()
    version = put(lake, "a.t", "SELECT 1 AS i")
    with lake.session() as con:
        staged = lake.stage(con, "a.t", "SELECT 2 AS i")
        own_server.stop()
        for use in (lake.head, lambda: lake.publish(con, [Publication(staged=staged, record={})], run="r", pin=0)):
            with pytest.raises(RunError, match=r"\n.*PostgreSQL server") as caught:
                use()
            assert PASSWORD not in "".join(traceback.format_exception(caught.value))
        own_server.start()
        assert lake.head() == version
        for _ in range(3):  # DuckDB finds out about each of its broken connections only by using it
            try:
                published = lake.publish(con, [Publication(staged=staged, record={})], run="r", pin=0)
                break
            except RunError:
                time.sleep(0.2)
        assert published > version
    assert lake.sql("FROM a.t")[1] == [(2,)]
    lake.close()


def test_no_text_of_ours_holds_the_password(postgres, tmp_path):
    config = LakeConfig(catalog=f"postgres:{postgres}", data=str(tmp_path / "data"), schema="secretive")
    lake = Lake(tmp_path / "home", config)
    lake.create()
    with lake.session() as con:
        texts = [
            repr(lake),
            repr(lake.catalog),
            repr(lake.attachment()),
            *map(repr, con.execute("FROM duckdb_databases()").fetchall()),
        ]
        texts += map(repr, con.execute("FROM duckdb_secrets()").fetchall())
    wrong = Lake(
        tmp_path / "home",
        LakeConfig(catalog=f"postgres:{postgres.replace(PASSWORD, 'wrong-' + PASSWORD)}", data=str(tmp_path / "data")),
    )
    for use in (wrong.create, wrong.head, wrong.connect):
        with pytest.raises(RunError, match="password right") as caught:
            use()
        texts.append("".join(traceback.format_exception(caught.value)))
    assert [text for text in texts if PASSWORD in text] == []
    assert lake.environment() == {"PGPASSWORD": PASSWORD}
    lake.close()
    lake.catalog.remove()


@pytest.mark.parametrize(
    "said",
    ["host=h password=geheim port=1", "password = 'ge\\'heim' x", "PASSWORD=geheim", "postgresql://me:geheim@host/db"],
)
def test_passwords_are_taken_out_of_what_libraries_say(said):
    assert "heim" not in without_passwords(f'Unable to connect to "{said}": no')


def test_other_programs_find_the_extensions_and_the_lake(lake, tmp_path):
    version = put(lake, "a.t", "SELECT 42 AS i")
    folder = extension_folder(tmp_path / "extensions", *lake.catalog.extensions)
    attachment = lake.attachment()
    options = ", ".join(f"{name} '{value}'" for name, value in attachment["options"].items())
    script = (
        "import duckdb; con = duckdb.connect(config={'extension_directory': "
        + repr(str(folder))
        + ", 'autoinstall_known_extensions': 'false'}); "
        f"con.execute({'ATTACH ' + repr(attachment['path']) + ' AS mesh (' + options + ')'!r}); "
        f"print(con.execute('FROM mesh.a.t AT (VERSION => {version})').fetchall())"
    )
    env = {**os.environ, **lake.environment(), "HOME": str(tmp_path / "nobody")}
    told = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True).stdout
    # Without a file of its own, DuckDB takes Python for a person's, and shows a bar for what takes longer than two seconds.
    assert told.splitlines()[-1] == "[(42,)]"
