"""`mesh sql` reads published tables, and can do nothing else."""

from pathlib import Path

import pytest

from mesh_assets.errors import UsageError
from mesh_assets.lake import Lake, Publication


def put(lake: Lake, table: str, query: str) -> int:
    with lake.session() as con:
        return lake.publish(con, [Publication(staged=lake.stage(con, table, query), record={})], run="r", pin=0)


@pytest.fixture
def filled(lake: Lake) -> Lake:
    put(lake, "sales.orders", "SELECT range AS id, range % 3 AS customer FROM range(6)")
    put(lake, "sales.customers", "SELECT range AS customer, 'n' || range AS name FROM range(3)")
    return lake


ALLOWED = {
    "SELECT max(id) FROM sales.orders": [(5,)],
    "from sales.orders where id = 1;": [(1, 1)],
    "FROM Sales.ORDERS limit 0": [],
    "WITH o AS (FROM sales.orders), p AS (FROM o) SELECT count(*) FROM p": [(6,)],
    "SELECT name, count(*) FROM sales.orders o JOIN sales.customers USING (customer) GROUP BY ALL ORDER BY 1 LIMIT 1": [
        ("n0", 2)
    ],
    "SELECT (SELECT count(*) FROM sales.orders), 1": [(6, 1)],
    "VALUES (1), (2)": [(1,), (2,)],
    "SELECT * FROM range(2)": [(0,), (1,)],
    "SELECT unnest([1, 2])": [(1,), (2,)],
    "SHOW TABLES": [("sales.customers",), ("sales.orders",)],
    "SELECT column_name FROM (DESCRIBE sales.orders)": [("id",), ("customer",)],
    "SELECT max FROM (SUMMARIZE sales.orders) LIMIT 1": [("5",)],
    "PIVOT sales.orders ON customer IN (0) USING sum(id) GROUP BY id LIMIT 0": [],
    "TABLE sales.orders UNION ALL FROM sales.orders LIMIT 0": [],
    "WITH RECURSIVE x(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM x WHERE i < 3) SELECT max(i) FROM x": [(3,)],
}


def test_it_answers_what_only_reads(filled):
    assert {query: filled.sql(query)[1] for query in ALLOWED} == ALLOWED


def test_it_names_the_columns(filled):
    assert filled.sql('SELECT id, id AS "the id" FROM sales.orders LIMIT 0') == (("id", "the id"), [])


def test_it_reads_the_version_that_is_asked_for(filled):
    then = filled.head()
    put(filled, "sales.orders", "SELECT -1 AS other")
    assert filled.sql("FROM sales.orders")[1] == [(-1,)]
    assert filled.sql("SELECT count(id) FROM sales.orders", at=then)[1] == [(6,)]
    assert filled.sql(
        "SELECT count(id), count(name) FROM sales.orders, sales.customers", versions={"sales.orders": then}
    )[1] == [(18, 18)]
    with pytest.raises(UsageError, match=r"no published table `sales\.orders`"):
        filled.sql("FROM sales.orders", at=0)


REFUSED = [
    "", ";", "-- nothing", "SELECT 1; SELECT 2", "INSERT INTO sales.orders VALUES (1, 1)", "WITH x AS (SELECT 1) INSERT INTO mesh.sales.orders FROM x",
    "UPDATE mesh.sales.orders SET id = 1", "DELETE FROM mesh.sales.orders", "DROP TABLE mesh.sales.orders", "CREATE TABLE x(i int)",
    "CREATE OR REPLACE VIEW sales.orders AS SELECT 1", "ATTACH '{file}' AS x", "ATTACH '{data}/x.db' AS x", "DETACH mesh", "USE mesh",
    "COPY (SELECT 1) TO '{file}'", "COPY (SELECT 1) TO '{data}/x.csv'", "EXPORT DATABASE '{data}'", "LOAD json", "INSTALL httpfs",
    "SET enable_external_access = true", "PRAGMA database_list", "CALL mesh.set_option('data_inlining_row_limit', 5)",
    "CALL ducklake_expire_snapshots('mesh', older_than => now())", "EXPLAIN ANALYZE DELETE FROM mesh.sales.orders", "BEGIN", "CHECKPOINT",
    "PREPARE x AS SELECT 1", "SELECT * FROM read_csv('{file}')", "SELECT * FROM read_text('/etc/passwd')", "FROM '/etc/passwd'",
    "FROM '{file}'", "FROM read_parquet('{data}/**/*.parquet')", "FROM glob('/etc/*')", "FROM parquet_metadata('{data}/**/*.parquet')",
    "FROM sqlite_scan('{catalog}', 'ducklake_metadata')", "FROM sqlite_query('__ducklake_metadata_mesh', 'select 1')",
    "FROM postgres_query('__ducklake_metadata_mesh', 'drop schema public')", "FROM __ducklake_metadata_mesh.ducklake_metadata",
    "FROM query('FROM read_text(''/etc/passwd'')')", "FROM query_table('sales.orders')", "FROM ducklake_cleanup_old_files('mesh', cleanup_all => true)",
    "FROM ducklake_delete_orphaned_files('mesh', cleanup_all => true)", "FROM duckdb_secrets()", "FROM duckdb_databases()", "FROM duckdb_settings()",
    "FROM mesh.sales.orders", "FROM mesh.sales.orders AT (VERSION => 1)", "FROM information_schema.tables", "FROM sqlite_master", "FROM pg_catalog.pg_tables",
    "WITH x AS (FROM read_text('/etc/passwd')) FROM x", "SELECT (SELECT content FROM read_text('/etc/passwd'))", "SELECT 1 WHERE EXISTS (FROM glob('/*'))",
    "SELECT 1 ORDER BY (SELECT 1 FROM read_text('/etc/passwd'))", "SELECT 1 LIMIT (SELECT 1 FROM read_text('/etc/passwd'))", "VALUES ((SELECT 1 FROM glob('/*')))",
    "FROM (DESCRIBE FROM read_text('/etc/passwd'))", "SUMMARIZE '/etc/passwd'", "DESCRIBE '/etc/passwd'", "SHOW ALL TABLES FROM mesh", "SHOW DATABASES",
    "FROM sales.orders POSITIONAL JOIN read_text('/etc/passwd')", "PIVOT (FROM read_text('/etc/passwd')) ON 1 IN (1) USING count(*)",
    "FROM range(1) t, LATERAL (FROM read_text('/etc/passwd'))", "FROM pragma_database_list()", "FROM pragma_storage_info('sales.orders')",
    'WITH "mesh.sales.orders" AS (SELECT 1) FROM mesh.sales.orders', 'WITH "information_schema.tables" AS (SELECT 1) FROM information_schema.tables',
    'WITH "__ducklake_metadata_mesh.ducklake_metadata" AS (SELECT 1) FROM __ducklake_metadata_mesh.ducklake_metadata',
    "WITH a AS (WITH sqlite_master AS (SELECT 1) FROM sqlite_master) FROM a, sqlite_master", "WITH duckdb_databases AS (FROM duckdb_databases) FROM duckdb_databases",
    'WITH a AS (WITH "{file}" AS (SELECT 1) FROM "{file}") FROM a, "{file}"', "SELECT current_setting('temp_directory')",
    "SELECT json_serialize_plan('FROM mesh.sales.orders')", "SELECT nothing FROM sales.orders", "FROM sales.odrers", "SELEKT 1", "SELECT 1 FROM sales.orders WHERE 'x'::INTEGER = 1",
]  # fmt: skip


def test_it_refuses_everything_else_and_changes_nothing(filled, tmp_path):
    file = tmp_path / "file.csv"
    file.write_text("a\n1\n")
    words = {"file": file, "data": filled.data, "catalog": getattr(filled.catalog, "path", file)}
    before, head = (
        {path for path in Path(tmp_path).rglob("*") if path.suffix in (".csv", ".db", ".parquet")},
        filled.head(),
    )
    answered = []
    for query in REFUSED:
        try:
            answered.append((query, filled.sql(query.format(**words))))
        except UsageError as error:
            assert "\n    " in str(error)
    assert answered == []
    assert {path for path in Path(tmp_path).rglob("*") if path.suffix in (".csv", ".db", ".parquet")} == before
    assert (filled.head(), filled.sql("SELECT count(*) FROM sales.orders")[1]) == (head, [(6,)])


def test_only_the_columns_that_are_shown_are_there(filled):
    shown = {"sales.customers": {"customer"}}
    assert filled.sql("FROM sales.customers WHERE customer = 1", shown=shown) == (("customer",), [(1,)])
    with pytest.raises(UsageError, match=r'"name" not found(.|\n)*Columns that are masked, or that no contract names'):
        filled.sql("SELECT name FROM sales.customers", shown=shown)
    with pytest.raises(UsageError, match=r"no column of `sales\.orders` may be shown"):
        filled.sql("FROM sales.orders", shown=shown)


def test_it_gives_no_more_rows_than_are_asked_for_and_takes_no_longer(filled):
    assert filled.sql("SELECT id FROM sales.orders ORDER BY id", limit=2)[1] == [(0,), (1,)]
    with pytest.raises(UsageError, match=r"stopped after 0\.2 seconds"):
        filled.sql("SELECT count(*) FROM range(3000000) a, range(3000000) b WHERE a.range + b.range = 1", seconds=0.2)


def test_it_offers_the_nearest_table(filled):
    with pytest.raises(UsageError, match=r"no published table `sales\.odrers`\.\n    Did you mean `sales\.orders`\?"):
        filled.sql("FROM sales.odrers")


def test_should_a_query_get_past_the_reading_of_it_no_other_file_opens(filled, monkeypatch):
    monkeypatch.setattr("mesh_assets.lake.reading.tables_of", lambda *_: ())
    for query in ("FROM read_text('/etc/passwd')", "COPY (SELECT 1) TO '/tmp/x.csv'", "ATTACH '/tmp/x.db'", "SET enable_external_access = true",
                  "DELETE FROM mesh.sales.orders", "SET lock_configuration = false"):  # fmt: skip
        with pytest.raises(UsageError):
            filled.sql(query)
