"""Forks: every table at its own version, and the lake that they come from stays as it is."""

import os
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from mesh_assets.contract import Column
from mesh_assets.errors import RunError, UsageError
from mesh_assets.lake import Lake, Mode, Publication


def put(lake: Lake, table: str, query: str, **how: object) -> int:
    with lake.session() as con:
        return lake.publish(con, [Publication(staged=lake.stage(con, table, query), record={}, **how)], run="r", pin=0)


def read(lake: Lake, table: str, version: int | None = None) -> list[tuple]:
    with lake.session() as con:
        return con.execute(f"FROM {lake.relation(table, version or lake.head())} ORDER BY ALL").fetchall()


def files_of(lake: Lake) -> dict[Path, tuple[int, int]]:
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(lake.data.rglob("*")) if path.is_file()
    }


@pytest.fixture
def history(lake: Lake) -> dict[str, list[int]]:
    """Versions of three tables: replaced, appended to with deletes, and made again with other columns."""
    versions: dict[str, list[int]] = {"a.replaced": [], "a.grown": [], "b.reshaped": []}
    for i in range(1, 4):
        versions["a.replaced"].append(
            put(lake, "a.replaced", f"SELECT range * {i} AS i, 'v{i}' AS s FROM range({i * 3})")
        )
        base = versions["a.grown"][-1] if versions["a.grown"] else None
        how = {"mode": Mode.UPSERT, "key": ("i",), "base": base}
        versions["a.grown"].append(put(lake, "a.grown", f"SELECT range AS i, {i} AS n FROM range({i}, {i} + 5)", **how))
        versions["b.reshaped"].append(put(lake, "b.reshaped", f"SELECT {i} AS c{i}, DATE '2024-01-0{i}' AS d"))
    return versions


@pytest.mark.long
def test_each_table_is_as_it_was_at_its_version(lake, history, tmp_path):
    for i, (r, g, s) in enumerate([(0, 0, 0), (2, 0, 1), (1, 2, 0), (0, 1, 2), (2, 2, 2)]):
        chosen = {
            "a.replaced": history["a.replaced"][r],
            "a.grown": history["a.grown"][g],
            "b.reshaped": history["b.reshaped"][s],
        }
        fork = lake.fork(tmp_path / f"fork {i}'s", chosen)
        assert fork.tables() == tuple(sorted(chosen))
        for table, version in chosen.items():
            assert read(fork, table) == read(lake, table, version)
            with fork.session() as mine, lake.session() as theirs:
                assert fork.columns(mine, table, fork.head()) == lake.columns(theirs, table, version)
                counts = [
                    con.execute(f"SELECT count(*) FROM {relation}").fetchone()
                    for con, relation in ((mine, f"mesh.{table}"), (theirs, lake.relation(table, version)))
                ]
                assert counts[0] == counts[1]
        fork.remove()


def test_filters_and_extremes_are_right_after_the_rewind(lake, history, tmp_path):
    fork = lake.fork(tmp_path / "fork", {"a.replaced": history["a.replaced"][0], "a.grown": history["a.grown"][1]})
    for table, version in (("a.replaced", history["a.replaced"][0]), ("a.grown", history["a.grown"][1])):
        for question in ("min(i), max(i), count(*)", "count(*) FILTER (WHERE i >= 4)", "sum(i)"):
            with fork.session() as mine, lake.session() as theirs:
                answer = mine.execute(f"SELECT {question} FROM mesh.{table} WHERE i < 100").fetchall()
                assert (
                    answer
                    == theirs.execute(
                        f"SELECT {question} FROM {lake.relation(table, version)} WHERE i < 100"
                    ).fetchall()
                )
    fork.remove()


def test_a_table_that_is_not_named_does_not_exist(lake, history, tmp_path):
    fork = lake.fork(tmp_path / "fork", {"a.replaced": history["a.replaced"][0]})
    with fork.session() as con, pytest.raises(duckdb.CatalogException):
        con.execute("FROM mesh.b.reshaped")
    with fork.session() as con:
        con.execute("CREATE TABLE mesh.b.reshaped AS SELECT 1 AS own")
        assert con.execute("FROM mesh.b.reshaped").fetchall() == [(1,)]
    fork.remove()


def test_a_version_that_never_was_is_refused(lake, history, tmp_path):
    with pytest.raises(UsageError, match=r"a\.grown has no version 0"):
        lake.fork(tmp_path / "fork", {"a.grown": 0})


def test_a_lake_without_tables_can_be_forked(lake, tmp_path):
    fork = lake.fork(tmp_path / "fork", {})
    assert fork.tables() == ()
    with fork.session() as con:
        con.execute("CREATE SCHEMA mesh.a")
        con.execute("CREATE TABLE mesh.a.t AS SELECT 1 AS i")
    assert read(fork, "a.t") == [(1,)]
    fork.remove()


def test_whatever_is_done_in_a_fork_the_lakes_files_stay(lake, history, tmp_path):
    before, head = files_of(lake), lake.head()
    contents = {table: [read(lake, table, version) for version in versions] for table, versions in history.items()}
    fork = lake.fork(tmp_path / "fork", {table: versions[1] for table, versions in history.items()})
    with fork.session() as con:
        con.execute("DELETE FROM mesh.a.replaced WHERE i = 0")
        con.execute("UPDATE mesh.a.grown SET n = 9")
        con.execute("ALTER TABLE mesh.b.reshaped ADD COLUMN more INTEGER")
        con.execute("CREATE OR REPLACE TABLE mesh.a.replaced AS SELECT 5 AS i")
        for table in history:
            con.execute(f"DROP TABLE mesh.{table}")
        con.execute("CALL ducklake_expire_snapshots('mesh', older_than => now())")
        con.execute("CALL ducklake_cleanup_old_files('mesh', cleanup_all => true)")
        con.execute("CALL ducklake_delete_orphaned_files('mesh', cleanup_all => true)")
    assert fork.tables() == ()
    fork.remove()
    assert (files_of(lake), lake.head()) == (before, head)
    assert {
        table: [read(lake, table, version) for version in versions] for table, versions in history.items()
    } == contents


def test_files_that_somebody_has_removed_are_missed_in_the_lake_and_in_its_forks(lake, tmp_path):
    """Of tables as they are now: a file that only an older version names is no loss to them."""
    versions = {}
    with lake.session() as con:
        for table in ("a.one", "a.two", "b.one"):
            for number in (1, 2):
                staged = lake.stage(con, table, f"SELECT {number} AS i")
                versions[table] = lake.publish(con, [Publication(staged=staged, record={})], run="r", pin=0)
    fork = lake.fork(tmp_path / "fork", versions)
    try:
        assert (lake.lost_now(), fork.lost_now()) == ({}, {})
        with lake.session() as con:
            (now,) = con.execute(
                f"SELECT data_file FROM ducklake_list_files('mesh', 'one', schema => 'a', snapshot_version => {versions['a.one']})"
            ).fetchone()
        for file in (lake.data / "a").rglob("*.parquet"):
            if "two" not in file.parts:
                file.unlink()
        assert lake.lost_now() == fork.lost_now() == {"a.one": (now,)}
    finally:
        fork.remove()


def test_a_fork_that_is_removed_leaves_nothing(lake, history, tmp_path):
    fork = lake.fork(tmp_path / "fork", {"a.replaced": history["a.replaced"][0]})
    with fork.session() as con:
        con.execute("INSERT INTO mesh.a.replaced VALUES (1, 'x')")
    fork.remove()
    assert not (tmp_path / "fork").exists()
    assert not fork.catalog.exists()


def test_only_forks_can_be_removed(lake):
    with pytest.raises(UsageError, match="is not a fork"):
        lake.remove()


def test_what_did_not_change_is_not_harvested(lake, history, tmp_path):
    fork = lake.fork(tmp_path / "fork", {table: versions[1] for table, versions in history.items()})
    with fork.session() as con:
        con.execute("CREATE TABLE mesh.a.other AS SELECT 1 AS i")
        assert [fork.harvest(con, table) for table in history] == [None, None, None]
    fork.remove()


CHANGES = {
    "rows were added": ("INSERT INTO mesh.a.replaced VALUES (100, 'new'), (101, 'new')", Mode.APPEND),
    "rows were deleted": ("DELETE FROM mesh.a.replaced WHERE i = 2", Mode.REPLACE),
    "rows were changed": ("UPDATE mesh.a.replaced SET s = 'changed' WHERE i = 2", Mode.REPLACE),
    "deleted and added": (
        "DELETE FROM mesh.a.replaced WHERE i = 2; INSERT INTO mesh.a.replaced VALUES (100, 'new')",
        Mode.REPLACE,
    ),
    "made again": ("CREATE OR REPLACE TABLE mesh.a.replaced AS SELECT 7::BIGINT AS i, 'again' AS s", Mode.REPLACE),
    "made aside and renamed": (
        "CREATE TABLE mesh.a.replaced__dbt_tmp AS SELECT 7::BIGINT AS i, 'again' AS s; ALTER TABLE mesh.a.replaced RENAME TO replaced__dbt_backup; "
        "ALTER TABLE mesh.a.replaced__dbt_tmp RENAME TO replaced; DROP TABLE mesh.a.replaced__dbt_backup",
        Mode.REPLACE,
    ),
    "emptied": ("DELETE FROM mesh.a.replaced", Mode.REPLACE),
    "made empty": (
        "CREATE OR REPLACE TABLE mesh.a.replaced AS SELECT 7::BIGINT AS i, 'again' AS s WHERE false",
        Mode.REPLACE,
    ),
    "given a column": ("ALTER TABLE mesh.a.replaced ADD COLUMN more DOUBLE", Mode.REPLACE),
    "given another name for a column": (
        "ALTER TABLE mesh.a.replaced RENAME COLUMN s TO t; INSERT INTO mesh.a.replaced VALUES (100, 'new')",
        Mode.REPLACE,
    ),
    "made, then renamed within": (
        "CREATE OR REPLACE TABLE mesh.a.replaced AS SELECT 7::BIGINT AS i, 'again' AS u; ALTER TABLE mesh.a.replaced RENAME COLUMN u TO s",
        Mode.REPLACE,
    ),
    "made, then partly deleted": (
        "CREATE OR REPLACE TABLE mesh.a.replaced AS SELECT range AS i, 'again' AS s FROM range(9); DELETE FROM mesh.a.replaced WHERE i > 3",
        Mode.REPLACE,
    ),
    "added to, then partly deleted": (
        "INSERT INTO mesh.a.replaced VALUES (100, 'new'), (101, 'new'); DELETE FROM mesh.a.replaced WHERE i = 100",
        Mode.REPLACE,
    ),
}


@pytest.mark.long
@pytest.mark.parametrize(("change", "mode"), CHANGES.values(), ids=CHANGES)
def test_a_harvested_table_is_published_as_the_fork_has_it(lake, tmp_path, change, mode):
    put(lake, "a.replaced", "SELECT 1::BIGINT AS i, 'older' AS s")
    base = put(lake, "a.replaced", "SELECT range AS i, 'v' AS s FROM range(5)")
    put(lake, "a.replaced", "SELECT range AS i, 'v' AS s FROM range(5) UNION ALL SELECT 50, 'v'", mode=Mode.REPLACE)
    lake_before = files_of(lake)
    fork = lake.fork(tmp_path / "fork", {"a.replaced": base})
    with fork.session() as con:
        con.execute(change)
        expected = con.execute("FROM mesh.a.replaced ORDER BY ALL").fetchall()
        shape = fork.columns(con, "a.replaced", fork.head())
        staged, found = fork.harvest(con, "a.replaced")
    assert (found, staged.columns) == (mode, shape)
    with lake.session() as con:
        publication = Publication(staged=staged, record={}, mode=found, base=base)
        assert con.execute(f"FROM {lake.candidate(publication)} ORDER BY ALL").fetchall() == expected
    fork.remove()
    for file in staged.files:
        assert Path(file).is_relative_to(lake.folder("a.replaced"))
    assert files_of(lake).items() >= lake_before.items()


def test_harvested_files_are_the_very_files_that_the_fork_wrote(lake, tmp_path):
    base = put(lake, "a.t", "SELECT 1 AS i")
    fork = lake.fork(tmp_path / "fork", {"a.t": base})
    with fork.session() as con:
        con.execute("INSERT INTO mesh.a.t SELECT * FROM range(2, 5)")
        (written,) = fork.data.rglob("*.parquet")
        staged, mode = fork.harvest(con, "a.t", columns=[Column(name="i", type="INTEGER")])
        assert os.path.samefile(staged.files[0], written)
    fork.remove()
    with lake.session() as con:
        version = lake.publish(con, [Publication(staged=staged, record={}, mode=mode, base=base)], run="r", pin=base)
    assert (staged.rows, read(lake, "a.t", version)) == (3, [(1,), (2,), (3,), (4,)])


def test_harvested_rows_are_cast_to_the_contracts_types(lake, tmp_path):
    fork = lake.fork(tmp_path / "fork", {})
    with fork.session() as con:
        con.execute("CREATE SCHEMA mesh.a")
        con.execute("CREATE TABLE mesh.a.t AS SELECT sum(range) AS total, '1.50' AS price FROM range(10)")
        columns = [Column(name="price", type="DECIMAL(10,2)"), Column(name="total", type="BIGINT")]
        staged, mode = fork.harvest(con, "a.t", columns=columns)
    fork.remove()
    assert (mode, staged.columns, staged.lost) == (Mode.REPLACE, (("price", "DECIMAL(10,2)"), ("total", "BIGINT")), {})
    with lake.session() as con:
        lake.publish(con, [Publication(staged=staged, record={})], run="r", pin=0)
    assert str(read(lake, "a.t")) == "[(Decimal('1.50'), 45)]"


def test_digits_that_a_fork_has_lost_are_not_published_in_silence(lake, tmp_path):
    fork = lake.fork(tmp_path / "fork", {})
    with fork.session() as con:
        con.execute("CREATE SCHEMA mesh.a")
        con.execute("CREATE TABLE mesh.a.t AS SELECT sum(x) AS total FROM (VALUES (9007199254740992), (3)) v(x)")
        with pytest.raises(RunError, match=r"column `total` is HUGEINT.*\n.*sum\(x\)::bigint"):
            fork.harvest(con, "a.t")
    fork.remove()


def test_a_fork_of_a_fork_reads_the_files_of_both(lake, tmp_path):
    base = put(lake, "a.t", "SELECT 1 AS i")
    first = lake.fork(tmp_path / "one", {"a.t": base})
    with first.session() as con:
        con.execute("INSERT INTO mesh.a.t VALUES (2)")
    second = first.fork(tmp_path / "two", {"a.t": first.head()})
    assert read(second, "a.t") == [(1,), (2,)]
    with second.session() as con:
        con.execute("DROP TABLE mesh.a.t")
        con.execute("CALL ducklake_expire_snapshots('mesh', older_than => now())")
        con.execute("CALL ducklake_cleanup_old_files('mesh', cleanup_all => true)")
    second.remove()
    assert (read(first, "a.t"), read(lake, "a.t")) == ([(1,), (2,)], [(1,)])
    first.remove()


def test_cleaning_the_lake_leaves_an_open_fork_readable(lake, tmp_path):
    base = put(lake, "a.t", "SELECT 1 AS i")
    fork = lake.fork(tmp_path / "fork", {"a.t": base})
    put(lake, "a.t", "SELECT 2 AS i, 'other' AS s")
    lake.clean(timedelta(0))
    assert read(fork, "a.t") == [(1,)]
    fork.remove()


def test_a_version_of_files_that_ducklake_has_merged_is_taken_row_by_row(lake):
    """The merged file holds the rows of later versions too, and names the version of each in a column of its own."""
    first = put(lake, "a.grown", "SELECT range AS i FROM range(3)")
    second = put(lake, "a.grown", "SELECT range AS i FROM range(3, 5)", mode=Mode.APPEND, base=first)
    put(lake, "a.grown", "SELECT range AS i FROM range(5, 9)", mode=Mode.APPEND, base=second)
    with lake.session() as con:
        con.execute("CALL ducklake_merge_adjacent_files('mesh')")
    put(lake, "a.grown", "SELECT range AS i FROM range(9, 12)", mode=Mode.APPEND, base=lake.head())
    for version, rows in ((second, 5), (lake.head(), 12)):
        with lake.session() as con:
            again = Publication(staged=lake.as_it_was(con, "a.grown", version), record={})
            made = lake.publish(con, [again], run="r", pin=lake.head())
        assert read(lake, "a.grown", made) == [(i,) for i in range(rows)]
