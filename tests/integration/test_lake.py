"""The lake: stage, publish, read, on both catalogs."""

import json
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from mesh_assets.contract import Column
from mesh_assets.errors import RunError, Superseded, UsageError
from mesh_assets.lake import Lake, Mode, Publication


def columns(**types: str) -> tuple[Column, ...]:
    return tuple(Column(name=name, type=kind) for name, kind in types.items())


def put(
    lake: Lake, table: str, query: str, *, run: str = "r", pin: int = 0, record: dict | None = None, **how: object
) -> int:
    with lake.session() as con:
        return lake.publish(
            con, [Publication(staged=lake.stage(con, table, query), record=record or {}, **how)], run=run, pin=pin
        )


def read(lake: Lake, table: str, version: int | None = None) -> list[tuple]:
    with lake.session() as con:
        return con.execute(f"FROM {lake.relation(table, version or lake.head())} ORDER BY ALL").fetchall()


def test_an_empty_lake_has_no_tables_and_no_commits(lake):
    assert (lake.tables(), lake.commits()) == ((), ())


def test_what_was_published_can_be_read_at_its_version_for_ever(lake):
    first = put(lake, "sales.orders", "SELECT 1 AS i")
    second = put(lake, "sales.orders", "SELECT 2 AS i")
    third = put(lake, "sales.orders", "SELECT 3 AS other, 'x' AS column")
    assert (read(lake, "sales.orders", first), read(lake, "sales.orders", second)) == ([(1,)], [(2,)])
    assert read(lake, "sales.orders", third) == [(3, "x")]
    with lake.session() as con:
        assert lake.columns(con, "sales.orders", first) == (("i", "INTEGER"),)
        assert lake.columns(con, "sales.orders", third) == (("other", "INTEGER"), ("column", "VARCHAR"))


def test_a_candidate_is_not_seen_before_it_is_published(lake):
    with lake.session() as con:
        staged = lake.stage(con, "sales.orders", "SELECT 1 AS i")
        assert lake.tables() == ()
        assert Path(staged.files[0]).parent == lake.folder("sales.orders")
        lake.publish(con, [Publication(staged=staged, record={})], run="r", pin=0)
    assert lake.tables() == ("sales.orders",)


def test_a_commit_tells_who_published_what(lake):
    before = datetime.now(UTC) - timedelta(seconds=5)
    with lake.session() as con:
        both = [
            Publication(staged=lake.stage(con, table, query), record={"fingerprint": table, "when": before})
            for table, query in (("a.one", "SELECT 1 AS i"), ("b.it's", "SELECT * FROM range(3)"))
        ]
        version = lake.publish(con, both, run="run-1", pin=7, message="it's a 'test'")
    (commit,) = lake.commits()
    assert (commit.version, commit.author, commit.message) == (version, "mesh", "it's a 'test'")
    assert before < commit.time < datetime.now(UTC) + timedelta(seconds=5)
    assert commit.time.tzinfo is UTC
    assert (commit.info["mesh"], commit.info["run"], commit.info["pin"]) == (1, "run-1", 7)
    assert commit.info["tables"]["b.it's"] == {
        "fingerprint": "b.it's",
        "when": str(before),
        "mode": "replace",
        "rows": 3,
    }
    assert lake.commits(after=version) == ()
    assert lake.head() == version


def test_commits_are_ours_only_and_oldest_first(lake):
    one = put(lake, "a.t", "SELECT 1 AS i")
    with lake.session() as con:
        con.execute("INSERT INTO mesh.a.t VALUES (2)")
        con.execute("BEGIN")
        con.execute("CALL mesh.set_commit_message('x', 'y', extra_info => 'not json')")
        con.execute("INSERT INTO mesh.a.t VALUES (3)")
        con.execute("COMMIT")
    two = put(lake, "a.t", "SELECT 1 AS i")
    assert [commit.version for commit in lake.commits()] == [one, two]


@pytest.mark.parametrize("rows", [0, 1, 7, 2_000])
def test_tables_of_any_size_are_in_files_never_inside_the_catalog(lake, rows):
    version = put(lake, "a.t", f"SELECT range AS i FROM range({rows})")
    assert read(lake, "a.t", version) == [(i,) for i in range(rows)]
    assert lake._rows(f"SELECT count(*) FROM {lake.catalog.prefix}ducklake_inlined_data_tables") == [(0,)]
    assert lake._rows(f"SELECT count(*) FROM {lake.catalog.prefix}ducklake_data_file") == [(1 if rows else 0,)]


def test_a_table_that_becomes_empty_is_empty(lake):
    full = put(lake, "a.t", "SELECT 1 AS i")
    empty = put(lake, "a.t", "SELECT 1 AS i WHERE false")
    assert (read(lake, "a.t", full), read(lake, "a.t", empty)) == ([(1,)], [])


def said(lake: Lake, *statements: str) -> list[tuple]:
    """What somebody does in the lake by hand."""
    con = lake.connect()
    try:
        return [con.execute(statement).fetchall() for statement in statements][-1]
    finally:
        con.close()


def test_comments_and_partitions_outlive_a_publish(lake):
    rows = "SELECT i, i % 2 AS odd FROM range(10) r(i)"
    first = put(lake, "a.t", rows)
    said(
        lake,
        "COMMENT ON TABLE mesh.a.t IS 'All of it'",
        "COMMENT ON COLUMN mesh.a.t.i IS 'Its number'",
        "ALTER TABLE mesh.a.t SET PARTITIONED BY (odd)",
        "ALTER TABLE mesh.a.t SET SORTED BY (i DESC)",
    )
    there = lake.features()
    assert there["a.t"].told() | {"view": ""} == {
        "comment": "All of it",
        "columns": (("i", "Its number"),),
        "partitions": (("odd", "identity"),),
        "order": (("i", "DESC NULLS LAST"),),
        "view": "",
        "names": "",
    }
    appended = put(lake, "a.t", "SELECT 10::BIGINT AS i, 0::BIGINT AS odd", mode=Mode.APPEND, base=first)
    assert said(lake, "SELECT count(*), sum(odd) FROM mesh.a.t") == [(11, 5)]
    put(lake, "a.t", "SELECT i, i % 3 AS odd FROM range(9) r(i)")
    assert said(lake, "SELECT i FROM mesh.a.t WHERE odd = 2 ORDER BY i") == [(2,), (5,), (8,)]
    assert lake.features() == there
    assert len(read(lake, "a.t", first)) == len(read(lake, "a.t", appended)) - 1 == 10
    put(lake, "a.t", "SELECT 1 AS i")
    assert lake.features()["a.t"].told() == {**there["a.t"].told(), "partitions": ()}


def test_rows_in_buckets_are_found(lake):
    """DuckLake 1.5.5 does not find those of files that it has not put there itself."""
    put(lake, "a.t", "SELECT i FROM range(10) r(i)")
    said(lake, "ALTER TABLE mesh.a.t SET PARTITIONED BY (bucket(4, i))")
    version = put(lake, "a.t", "SELECT i * 2 AS i FROM range(10) r(i)")
    assert lake.features()["a.t"].is_hashed
    put(lake, "a.t", "SELECT 19::BIGINT AS i", mode=Mode.APPEND, base=version)
    assert said(lake, "SELECT i FROM mesh.a.t WHERE i = 18 OR i = 19 ORDER BY i") == [(18,), (19,)]
    assert said(lake, "SELECT i FROM mesh.a.t WHERE i = 4") == [(4,)]
    put(lake, "a.t", "SELECT i, 'x' AS more FROM range(10) r(i)")
    assert said(lake, "SELECT more FROM mesh.a.t WHERE i = 4") == [("x",)]


@pytest.mark.parametrize("mode", Mode)
def test_publishing_nothing_over_nothing_is_recorded_too(lake, mode):
    nothing, how = "SELECT 1 AS i WHERE false", {"mode": mode, "key": ("i",), "partition": ("i", "0", "9")}
    base = put(lake, "a.t", nothing)
    second = put(lake, "a.t", nothing, base=base, **how)
    third = put(lake, "a.t", nothing, base=second, **how)
    assert base < second < third == lake.head()
    assert [commit.version for commit in lake.commits()] == [base, second, third]
    assert read(lake, "a.t", put(lake, "a.t", "SELECT 5 AS i", base=third, **how)) == [(5,)]


def test_replacing_keeps_the_table_and_its_history(lake):
    for i in range(3):
        put(lake, "a.t", f"SELECT {i} AS i")
    assert lake._rows(f"SELECT count(DISTINCT table_id) FROM {lake.catalog.prefix}ducklake_table") == [(1,)]
    assert lake._rows(f"SELECT count(*) FROM {lake.catalog.prefix}ducklake_delete_file") == [(0,)]


# Types


def test_whole_numbers_above_2_to_the_53_keep_every_digit(lake):
    with lake.session() as con:
        staged = lake.stage(con, "a.t", "SELECT sum(x) AS total FROM (VALUES (9007199254740992), (1)) v(x)")
        lake.publish(con, [Publication(staged=staged, record={})], run="r", pin=0)
    assert staged.columns == (("total", "BIGINT"),)
    assert read(lake, "a.t") == [(9007199254740993,)]


def test_a_number_too_large_for_a_file_is_refused_by_the_columns_name(sqlite_lake):
    with sqlite_lake.session() as con, pytest.raises(RunError, match="column `total`.*do not fit BIGINT"):
        sqlite_lake.stage(con, "a.t", "SELECT 9223372036854775808::HUGEINT AS total")
    assert not list(sqlite_lake.data.rglob("*.parquet"))


def test_a_contract_that_wants_hugeint_is_told_what_to_want(sqlite_lake):
    with sqlite_lake.session() as con, pytest.raises(RunError, match="Use BIGINT, DECIMAL"):
        sqlite_lake.stage(con, "a.t", "SELECT 1 AS total", columns=columns(total="HUGEINT"))


def test_an_enum_is_kept_as_text_also_inside_other_types(lake):
    query = "SELECT 'a'::ENUM('a', 'b') AS e, ['b']::ENUM('a', 'b')[] AS l, {'x': 1::HUGEINT, 'y z': 'a'::ENUM('a')} AS s, MAP {1: 'a'::ENUM('a')} AS m"
    version = put(lake, "a.t", query)
    assert read(lake, "a.t", version) == [("a", ["b"], {"x": 1, "y z": "a"}, {1: "a"})]
    with lake.session() as con:
        assert dict(lake.columns(con, "a.t", version)) == {
            "e": "VARCHAR", "l": "VARCHAR[]", "s": 'STRUCT(x BIGINT, "y z" VARCHAR)', "m": "MAP(INTEGER, VARCHAR)"
        }  # fmt: skip


STORABLE = {
    "BOOLEAN": "true", "TINYINT": "-1", "SMALLINT": "-1", "INTEGER": "-1", "BIGINT": "-1", "UTINYINT": "1", "USMALLINT": "1",
    "UINTEGER": "1", "UBIGINT": "18446744073709551615", "FLOAT": "1.5", "DOUBLE": "'nan'", "DECIMAL(38,4)": "1.0001", "DECIMAL(4,1)": "-1.1",
    "VARCHAR": "'é𝄞 '' \"'", "BLOB": "'\\x00\\xFF'", "DATE": "'2024-02-29'", "TIMESTAMP": "'2024-02-29 23:59:59.999999'",
    "TIMESTAMP WITH TIME ZONE": "'2024-02-29 23:59:59.999999+00'", "TIME": "'23:59:59.999999'", "UUID": "'00000000-0000-0000-0000-00000000000f'",
    "INTEGER[]": "[1, NULL]", "STRUCT(a INTEGER, b VARCHAR)": "{'a': 1, 'b': NULL}", "MAP(VARCHAR, INTEGER)": "MAP {'a': 1}",
    "INTERVAL": "'1 month 2 days'", "JSON": "'{\"a\": [1]}'",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), STORABLE.items(), ids=STORABLE)
def test_every_type_comes_back_as_it_went_in(sqlite_lake, kind, value):
    query = f"SELECT {value}::{kind} AS x UNION ALL SELECT NULL::{kind}"
    with sqlite_lake.session() as con:
        staged = sqlite_lake.stage(con, "a.t", query, columns=columns(x=kind))
        version = sqlite_lake.publish(con, [Publication(staged=staged, record={})], run="r", pin=0)
        assert staged.columns == sqlite_lake.columns(con, "a.t", version) == (("x", kind),)
        same = con.execute(f"({query}) EXCEPT ALL FROM {sqlite_lake.relation('a.t', version)}").fetchall()
    assert (same, staged.lost) == ([], {})


@pytest.mark.parametrize("value", ["['abc']", "MAP {'aabaababbbcb': 1}", "['a', NULL, 'a']", "{'a': ['abc']}"])
def test_few_rows_with_the_same_list_are_published(sqlite_lake, value):
    """DuckDB 1.5.5 ends with a serialization error when it writes these in Parquet's second version."""
    for rows in (2, 3, 4):
        put(sqlite_lake, "a.t", f"SELECT v.c FROM range({rows}), (SELECT {value} AS c) AS v")
        assert len(read(sqlite_lake, "a.t")) == rows


def test_results_are_cast_to_the_contracts_types_and_order(lake):
    with lake.session() as con:
        staged = lake.stage(
            con,
            "a.t",
            "SELECT 'more' AS extra, '12.50' AS Price, 1.0::DOUBLE AS id, '2024-01-05 00:00:00'::TIMESTAMP AS day",
            columns=columns(id="BIGINT", price="DECIMAL(10,2)", day="DATE", gone="VARCHAR"),
        )
        version = lake.publish(con, [Publication(staged=staged, record={})], run="r", pin=0)
        assert lake.columns(con, "a.t", version) == staged.columns
    assert staged.columns == (("id", "BIGINT"), ("price", "DECIMAL(10,2)"), ("day", "DATE"), ("extra", "VARCHAR"))
    assert (staged.missing, staged.extra, staged.lost) == (("gone",), ("extra",), {})
    assert read(lake, "a.t") == [(1, Decimal("12.50"), datetime(2024, 1, 5).date(), "more")]


@pytest.mark.parametrize(
    ("was", "wanted"),
    [
        ("'abc'", "INTEGER"), ("'1.5'", "INTEGER"), ("1.5", "INTEGER"), ("1.5::DOUBLE", "BIGINT"), ("300", "TINYINT"), ("-1", "UINTEGER"),
        ("'nan'::DOUBLE", "INTEGER"), ("'2024-02-30'", "DATE"), ("TIMESTAMP '2024-01-01 12:00:00'", "DATE"), ("'2024-01-01 12:00:00'", "DATE"),
        ("12345.6", "DECIMAL(4,1)"), ("'maybe'", "BOOLEAN"), ("'x'", "UUID"), ("9007199254740993::HUGEINT * 1024", "BIGINT"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_counted_shown_and_not_changed(sqlite_lake, was, wanted):
    if was.startswith("9007199254740993"):
        was = "9007199254740993::HUGEINT * 1024 * 1024"
    with sqlite_lake.session() as con:
        query = f"SELECT * FROM (VALUES (1, NULL), (2, {was}), (3, {was})) v(id, x)"
        staged = sqlite_lake.stage(con, "a.t", query, columns=columns(id="INTEGER", x=wanted))
        (original,) = con.execute(f"SELECT ({was})::VARCHAR").fetchone()
        rows = con.execute(f"FROM read_parquet('{staged.files[0]}') ORDER BY id").fetchall()
    assert rows == [(1, None), (2, None), (3, None)]
    assert staged.lost == {"x": 2}
    assert staged.lost_sample == {"x": ({"id": "2", "x": original}, {"id": "3", "x": original})}


def test_at_most_ten_rows_are_shown_of_the_values_that_do_not_fit(sqlite_lake):
    with sqlite_lake.session() as con:
        staged = sqlite_lake.stage(con, "a.t", "SELECT 'no' AS x FROM range(500)", columns=columns(x="INTEGER"))
    assert (staged.lost, len(staged.lost_sample["x"])) == ({"x": 500}, 10)


def test_two_columns_of_one_name_are_refused(sqlite_lake):
    with sqlite_lake.session() as con, pytest.raises(RunError, match="two columns named `I`"):
        sqlite_lake.stage(con, "a.t", "SELECT 1 AS i, 2 AS I")


def test_a_mistake_in_the_query_stays_the_authors_own(sqlite_lake):
    with sqlite_lake.session() as con, pytest.raises(duckdb.BinderException, match="nothing"):
        sqlite_lake.stage(con, "a.t", "SELECT nothing FROM range(1)")


def test_a_query_may_end_as_people_end_it(sqlite_lake):
    with sqlite_lake.session() as con:
        assert sqlite_lake.stage(con, "a.t", "SELECT 1 AS i -- one\n ; ").rows == 1


# Fingerprints


def test_a_fingerprint_knows_rows_not_their_order(lake):
    with lake.session() as con:
        sign = lambda query: lake.fingerprint(con, f"({query})")
        rows = sign("SELECT range AS i, range % 3 AS t FROM range(5000)")
        assert rows == sign("SELECT range AS i, range % 3 AS t FROM range(5000) ORDER BY hash(range)")
        others = [
            "SELECT range AS i, range % 3 AS t FROM range(4999)",
            "SELECT range AS i, range % 3 AS u FROM range(5000)",
            "SELECT range::INTEGER AS i, range % 3 AS t FROM range(5000)",
            "SELECT range % 3 AS t, range AS i FROM range(5000)",
            "SELECT CASE range WHEN 7 THEN 8 ELSE range END AS i, range % 3 AS t FROM range(5000)",
        ]
        assert len({rows, *map(sign, others)}) == 6
        assert sign("SELECT NULL AS a, 1 AS b") != sign("SELECT 1 AS a, NULL AS b")
        assert sign("SELECT * FROM (VALUES (1, 2), (3, 4)) v(a, b)") != sign(
            "SELECT * FROM (VALUES (1, 4), (3, 2)) v(a, b)"
        )
        assert sign("SELECT * FROM (VALUES (1), (1), (2), (2)) v(a)") != sign(
            "SELECT * FROM (VALUES (1), (1), (1), (1)) v(a)"
        )


def test_a_candidate_and_its_version_have_one_fingerprint(lake):
    with lake.session() as con:
        staged = lake.stage(
            con, "a.t", 'SELECT range AS r, range::VARCHAR AS "strange \'name", [range] AS l FROM range(999)'
        )
        publication = Publication(staged=staged, record={})
        before = lake.fingerprint(con, lake.candidate(publication))
        version = lake.publish(con, [publication], run="r", pin=0)
        assert before == lake.fingerprint(con, lake.relation("a.t", version))


# Modes


def test_appended_rows_come_on_top(lake):
    base = put(lake, "a.t", "SELECT 1 AS i, 'old' AS s")
    version = put(lake, "a.t", "SELECT 'new' AS s, 2 AS i", mode=Mode.APPEND, base=base)
    assert read(lake, "a.t", version) == [(1, "old"), (2, "new")]
    assert read(lake, "a.t", base) == [(1, "old")]


def test_upserted_rows_replace_those_of_their_key_a_missing_one_too(lake):
    base = put(lake, "a.t", "SELECT * FROM (VALUES (1, 'a', 1), (1, 'b', 2), (NULL, 'c', 3)) v(k, l, x)")
    version = put(
        lake,
        "a.t",
        "SELECT * FROM (VALUES (1, 'b', 20), (NULL, 'c', 30), (4, 'd', 40)) v(k, l, x)",
        mode=Mode.UPSERT,
        key=("k", "l"),
        base=base,
    )
    assert sorted(read(lake, "a.t", version), key=str) == [(1, "a", 1), (1, "b", 20), (4, "d", 40), (None, "c", 30)]


def test_a_partition_replaces_its_range_and_nothing_else(lake):
    days = "SELECT d::DATE AS day, 0 AS x FROM range(DATE '2024-01-01', DATE '2024-01-05', INTERVAL 1 DAY) r(d) UNION ALL SELECT NULL, -1"
    base = put(lake, "a.t", days)
    partition = ("day", "2024-01-02", "2024-01-03")
    version = put(
        lake,
        "a.t",
        "SELECT DATE '2024-01-02' AS day, x FROM (VALUES (1), (2)) v(x)",
        mode=Mode.PARTITION,
        partition=partition,
        base=base,
    )
    assert sorted(x for _, x in read(lake, "a.t", version)) == [-1, 0, 0, 0, 1, 2]


def test_a_partitions_rows_must_be_its_own(sqlite_lake):
    with pytest.raises(RunError, match="1 row is outside the partition, 2024-01-02 <= day < 2024-01-03"):
        put(
            sqlite_lake,
            "a.t",
            "SELECT DATE '2024-01-03' AS day",
            mode=Mode.PARTITION,
            partition=("day", "2024-01-02", "2024-01-03"),
        )


def test_one_key_twice_is_refused(sqlite_lake):
    with pytest.raises(RunError, match="1 keys \\(k\\) come more than once"):
        put(sqlite_lake, "a.t", "SELECT 1 AS k FROM range(2)", mode=Mode.UPSERT, key=("k",))


@pytest.mark.parametrize("mode", [Mode.APPEND, Mode.UPSERT, Mode.PARTITION])
def test_a_candidate_is_what_publishing_it_makes(lake, mode):
    how = {"key": ("i",), "partition": ("i", "3", "6")}
    base = put(lake, "a.t", "SELECT range AS i, 'old' AS s FROM range(5)")
    with lake.session() as con:
        staged = lake.stage(con, "a.t", "SELECT range AS i, 'new' AS s FROM range(3, 6)")
        publication = Publication(staged=staged, record={}, mode=mode, base=base, **how)
        before = lake.fingerprint(con, lake.candidate(publication))
        assert (
            lake.fingerprint(con, lake.relation("a.t", lake.publish(con, [publication], run="r", pin=base))) == before
        )


@pytest.mark.parametrize("mode", [Mode.APPEND, Mode.UPSERT, Mode.PARTITION])
def test_the_first_rows_of_an_incremental_table_make_it(lake, mode):
    version = put(lake, "a.t", "SELECT 4 AS i", mode=mode, key=("i",), partition=("i", "3", "6"))
    assert read(lake, "a.t", version) == [(4,)]


def test_new_rows_may_bring_and_lack_a_column(lake):
    base = put(lake, "a.t", "SELECT 1 AS i, 'old' AS s")
    wider = put(lake, "a.t", "SELECT 2 AS i, 'new' AS s, 5.5::DOUBLE AS more", mode=Mode.APPEND, base=base)
    last = put(lake, "a.t", "SELECT 3 AS i", mode=Mode.APPEND, base=wider)
    assert read(lake, "a.t", last) == [(1, "old", None), (2, "new", 5.5), (3, None, None)]
    assert read(lake, "a.t", base) == [(1, "old")]


def test_new_rows_of_another_type_are_refused_and_nothing_is_published(lake):
    base = put(lake, "a.t", "SELECT 1 AS i")
    with pytest.raises(RunError, match="column `i` is INTEGER in the published rows and VARCHAR in the new ones"):
        put(lake, "a.t", "SELECT 'x' AS i", mode=Mode.APPEND, base=base)
    assert lake.head() == base


# Others got there first


def test_a_run_that_read_older_data_does_not_overwrite_a_newer_result(lake):
    put(lake, "a.t", "SELECT 'new' AS s", run="fast", pin=9)
    head = lake.head()
    with pytest.raises(
        Superseded, match=r"a\.t was published as version \d+ by a run that read newer data \(pin 9, ours 5\)"
    ):
        put(lake, "a.t", "SELECT 'old' AS s", run="slow", pin=5)
    assert (lake.head(), read(lake, "a.t")) == (head, [("new",)])


def test_a_superseded_table_takes_the_others_of_its_publish_with_it(lake):
    put(lake, "a.t", "SELECT 1 AS i", run="fast", pin=9)
    with lake.session() as con:
        both = [Publication(staged=lake.stage(con, table, "SELECT 2 AS i"), record={}) for table in ("a.new", "a.t")]
        with pytest.raises(Superseded):
            lake.publish(con, both, run="slow", pin=5)
    assert lake.tables() == ("a.t",)


def test_a_run_may_publish_a_table_again_whatever_its_pin(lake):
    put(lake, "a.t", "SELECT 1 AS i", run="same", pin=9)
    assert read(lake, "a.t", put(lake, "a.t", "SELECT 2 AS i", run="same", pin=9)) == [(2,)]


@pytest.mark.parametrize("mode", [Mode.APPEND, Mode.UPSERT, Mode.PARTITION])
def test_rows_computed_against_an_older_version_are_refused(lake, mode):
    base = put(lake, "a.t", "SELECT 1 AS i")
    put(lake, "a.t", "SELECT 2 AS i", mode=Mode.APPEND, base=base)
    with pytest.raises(Superseded, match="after the version that this was computed against"):
        put(lake, "a.t", "SELECT 4 AS i", mode=mode, base=base, key=("i",), partition=("i", "3", "6"))
    assert read(lake, "a.t") == [(1,), (2,)]


def test_what_others_did_to_the_table_counts_as_moved_too(lake):
    base = put(lake, "a.t", "SELECT 1 AS i FROM range(3)")
    with lake.session() as con:
        con.execute("DELETE FROM mesh.a.t WHERE rowid = 1")
    with pytest.raises(Superseded):
        put(lake, "a.t", "SELECT 4 AS i", mode=Mode.APPEND, base=base)


def test_a_change_of_another_table_moves_nothing(lake):
    base = put(lake, "a.t", "SELECT 1 AS i")
    put(lake, "a.other", "SELECT 2 AS i")
    assert read(lake, "a.t", put(lake, "a.t", "SELECT 2 AS i", mode=Mode.APPEND, base=base)) == [(1,), (2,)]


def test_of_writers_on_one_base_exactly_one_gets_through(lake):
    base = put(lake, "a.t", "SELECT -1 AS i")
    outcomes: list[str] = []

    def write(i: int) -> None:
        try:
            put(lake, "a.t", f"SELECT {i} AS i", run=f"r{i}", pin=base, mode=Mode.APPEND, base=base)
            outcomes.append("published")
        except Superseded:
            outcomes.append("superseded")

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["published"] + ["superseded"] * 3
    assert len(read(lake, "a.t")) == 2


def test_two_first_writers_of_a_table_leave_one_result(lake):
    barrier = threading.Barrier(4)

    def write(i: int) -> None:
        with lake.session() as con:
            staged = lake.stage(con, "a.t", f"SELECT {i} AS i")
            barrier.wait()
            lake.publish(con, [Publication(staged=staged, record={})], run=f"r{i}", pin=0)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lake.commits()) == 4
    assert len(read(lake, "a.t")) == 1
    assert all(len(read(lake, "a.t", commit.version)) == 1 for commit in lake.commits())


def test_one_table_twice_in_a_publish_is_refused(sqlite_lake):
    with sqlite_lake.session() as con:
        twice = [Publication(staged=sqlite_lake.stage(con, "a.t", "SELECT 1 AS i"), record={}) for _ in range(2)]
        with pytest.raises(UsageError, match="in one publish twice"):
            sqlite_lake.publish(con, twice, run="r", pin=0)


def test_a_file_is_never_published_twice(lake):
    with lake.session() as con:
        staged = lake.stage(con, "a.t", "SELECT 1 AS i")
        base = lake.publish(con, [Publication(staged=staged, record={})], run="r", pin=0)
        with pytest.raises(RunError, match="published already"):
            lake.publish(con, [Publication(staged=staged, record={}, mode=Mode.APPEND, base=base)], run="r", pin=0)
    assert (lake.head(), read(lake, "a.t")) == (base, [(1,)])


# Aside


def test_a_discarded_candidate_leaves_nothing(sqlite_lake):
    with sqlite_lake.session() as con:
        sqlite_lake.discard(sqlite_lake.stage(con, "a.t", "SELECT 1 AS i"))
    assert not list(sqlite_lake.data.rglob("*.parquet"))


def test_quarantine_keeps_the_files_where_no_clean_up_comes(sqlite_lake):
    with sqlite_lake.session() as con:
        folder = sqlite_lake.quarantine(sqlite_lake.stage(con, "a.t", "SELECT 42 AS i"), "run-1")
        assert folder.relative_to(sqlite_lake.home) == Path("quarantine/a/t/run-1")
        assert sqlite_lake.clean(timedelta(0)) == 0
        assert con.execute(f"FROM read_parquet('{folder}/*.parquet')").fetchall() == [(42,)]


def test_cleaning_takes_what_no_version_names_and_only_when_old(lake):
    old = put(lake, "a.t", "SELECT 1 AS i")
    put(lake, "a.t", "SELECT 2 AS i")
    with lake.session() as con:
        orphan = Path(lake.stage(con, "a.t", "SELECT 3 AS i").files[0])
    assert lake.clean(timedelta(hours=1)) == 0
    assert orphan.exists()
    assert lake.clean(timedelta(0)) == 1
    assert (orphan.exists(), read(lake, "a.t", old), read(lake, "a.t")) == (False, [(1,)], [(2,)])


# Connections


def test_sessions_do_not_see_each_others_views_tables_or_python_variables(lake):
    version = put(lake, "a.t", "SELECT 1 AS i")
    secret_frame = [1]  # noqa: F841 (must not be found)
    with lake.session() as one, lake.session() as two:
        lake.show(one, "a.t", version)
        one.execute("CREATE TEMP TABLE mine AS SELECT 1 AS i")
        assert one.execute("FROM a.t").fetchall() == [(1,)]
        for hidden in ("a.t", "mine", "secret_frame"):
            with pytest.raises(duckdb.CatalogException):
                two.execute(f"FROM {hidden}")


def test_a_session_survives_what_its_last_user_did(lake):
    with pytest.raises(duckdb.ConversionException), lake.session() as con:
        con.execute("BEGIN")
        con.execute("SELECT 'x'::INTEGER")
    with lake.session() as con:
        assert con.execute("SELECT 1").fetchall() == [(1,)]
        assert con.execute(
            "SELECT count(*) FROM duckdb_databases() WHERE database_name LIKE 'workspace%'"
        ).fetchall() == [(1,)]


def test_a_version_is_shown_under_any_name(sqlite_lake):
    one, two = put(sqlite_lake, "a.t", "SELECT 1 AS i"), put(sqlite_lake, "a.t", "SELECT 2 AS i")
    with sqlite_lake.session() as con:
        sqlite_lake.show(con, "a.t", two)
        sqlite_lake.show(con, "a.t", one, as_name="before")
        assert con.execute("SELECT t.i, before.i FROM a.t, before").fetchall() == [(2, 1)]


def test_times_mean_utc_wherever_the_process_runs(sqlite_lake, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    con = sqlite_lake.connect()
    assert con.execute("SELECT TIMESTAMPTZ '2024-01-01 23:30:00+00'::DATE::VARCHAR").fetchall() == [("2024-01-01",)]
    con.close()


def test_creating_again_changes_nothing(lake):
    version = put(lake, "a.t", "SELECT 1 AS i")
    lake.create()
    assert (lake.head(), read(lake, "a.t")) == (version, [(1,)])


def test_the_record_is_plain_json(lake):
    put(lake, "a.t", "SELECT 1 AS i", record={"day": datetime(2024, 1, 1).date(), "n": Decimal("1.5"), "umlaut": "ü"})
    assert json.loads(json.dumps(lake.commits()[0].info))["tables"]["a.t"]["umlaut"] == "ü"
