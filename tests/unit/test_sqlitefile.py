"""Connections to SQLite that stay open: they follow the file, not what it was, and leave nothing behind."""

import os
import subprocess
import sys

import pytest
import sqlalchemy as sa

from mesh_assets import sqlitefile

SCRIPT = """
import sys, sqlalchemy as sa
from mesh_assets import sqlitefile
engine = sqlitefile.engine(f"sqlite:///{sys.argv[1]}")
with engine.begin() as db:
    db.execute(sa.text("PRAGMA journal_mode = WAL"))
with engine.begin() as db:
    db.execute(sa.text("create table t (n int)"))
    db.execute(sa.text("insert into t values (7)"))
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.sqlite"


def made(path, value=1):
    engine = sqlitefile.engine(f"sqlite:///{path}")
    with engine.begin() as db:
        db.execute(sa.text("create table if not exists t (n int)"))
        db.execute(sa.text(f"insert into t values ({value})"))
    return engine


def values(engine):
    with engine.begin() as db:
        return list(db.execute(sa.text("select n from t")).scalars())


def opened(engine):
    """How often it connects from now on."""
    found = []
    sa.event.listen(engine, "connect", lambda *_: found.append(1))
    return found


def test_one_connection_serves_one_statement_after_the_other(path):
    engine = made(path)
    connects = opened(engine)
    assert [values(engine) for _ in range(20)] == [[1]] * 20
    assert connects == []
    engine.dispose()


def test_a_file_that_was_replaced_is_read_anew(path, tmp_path):
    engine = made(path)
    other = made(tmp_path / "b.sqlite", 2)
    other.dispose()
    (tmp_path / "b.sqlite").replace(path)
    connects = opened(engine)
    assert values(engine) == [2]
    assert connects == [1]
    engine.dispose()


def test_a_file_that_was_deleted_is_an_empty_database(path):
    engine = made(path)
    path.unlink()
    with pytest.raises(sa.exc.OperationalError, match="no such table"):
        values(engine)
    engine.dispose()


def test_a_forked_child_has_a_connection_of_its_own(path):
    engine = made(path)
    mine = engine.pool
    read, write = os.pipe()
    if os.fork() == 0:
        told = b"own" if engine.pool is not mine and values(engine) == [1] else b"shared"
        os.write(write, told)
        os._exit(0)
    os.wait()
    assert os.read(read, 10) == b"own"
    assert engine.pool is mine
    assert values(engine) == [1]
    engine.dispose()


def test_when_a_process_has_ended_the_log_is_in_the_database(path):
    subprocess.run([sys.executable, "-c", SCRIPT, str(path)], check=True)
    assert sorted(item.name for item in path.parent.iterdir()) == ["a.sqlite"]
    engine = sqlitefile.engine(f"sqlite:///{path}")
    assert values(engine) == [7]
    engine.dispose()


def test_dagsters_storages_do_not_connect_for_every_statement(tmp_path):
    import dagster as dg

    from mesh_assets.orchestration.instance import open_instance

    connects = []

    def connected(*_):
        connects.append(1)

    def used(instance):
        instance.report_runless_asset_event(dg.AssetMaterialization("a"))
        assert instance.get_latest_materialization_event(dg.AssetKey("a")) is not None
        assert instance.get_runs(limit=1) == []

    with open_instance(tmp_path) as instance:
        used(instance)
        sa.event.listen(sa.Engine, "connect", connected)
        try:
            for _ in range(5):
                used(instance)
        finally:
            sa.event.remove(sa.Engine, "connect", connected)
    assert connects == []
