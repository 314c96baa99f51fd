"""SQL of a contract: what it may read, what it must return, how long it may take, and what is told of it."""

import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from mesh_assets.audit.execute import audit
from mesh_assets.audit.limits import memory_more, time_limit
from mesh_assets.audit.result import Result, Status
from mesh_assets.contract import Column, Contract, Kind, Test

python_variable = pa.table({"z": [1]})  # DuckDB would find it by its name


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A table to test, tables of other domains, and much that must stay out of reach."""
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT i AS a, 'm' || i AS mail, i * 10 AS pay FROM range(3) AS r(i)")
        connection.execute("CREATE SCHEMA dom; CREATE TABLE dom.o AS SELECT 1 AS id, 'x@y.org' AS mail")
        connection.execute(
            "CREATE SCHEMA hidden; CREATE TABLE hidden.p AS SELECT 987654 AS s; CREATE TABLE secret AS SELECT 987654 AS s"
        )
        connection.execute("CREATE SEQUENCE numbers; CREATE MACRO peek() AS TABLE FROM secret")
        connection.execute(f"COPY secret TO '{tmp_path / 'secret.parquet'}'")
        yield connection


def run(
    con: duckdb.DuckDBPyConnection,
    query: object,
    *,
    column: str = "",
    masked: str = "",
    seconds: float = 30.0,
    **demand: object,
) -> Result:
    columns = tuple(Column(name=name, type="VARCHAR", masked=name == masked) for name in ("a", "mail", "pay"))
    test = Test(name="q", kind=Kind.SQL, columns=(column,) if column else (), arguments={"query": query, **demand})
    contract = Contract(id="c", version="1", name="t", columns=columns, tests=(test,))
    (result,) = audit(con, "t", contract, related={"dom.o": "dom.o", "dom.same": "t"}.get, seconds=seconds)
    return result


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("SELECT count(*) FROM {table}", 3),
        ("select count(*) from ${table}", 3),
        ("select count(*) from {object}", 3),
        ('select count(*) from "${object}"', 3),
        ("select count(*) from t", 3),
        ("select count(*) from T where t.a > 0", 2),
        ("select count({column}) from {table} where ${column} > 0 and {property} < 9 and ${property} = {table}.a", 2),
        ("from {table} select count(*)", 3),
        ("select count(*) from {table}; -- and no more", 3),
        ("with x as (select * from {table}), y as (from x where a > 1) select count(*) from y", 1),
        ("with recursive r as (select 1 as x union all select x + 1 from r where x < 5) select max(x) from r", 5),
        ("select count(*) from {table} a join {table} b using (a)", 3),
        ("select sum(x) from (values (1), (2)) as v(x)", 3),
        ("select count(*) from range(5)", 5),
        ("select count(*) from (select unnest([1, 2]))", 2),
        ("select count(*) from dom.o", 1),
        ("select count(*) from {table} join dom.o on o.id = a", 1),
        ("select count(*) from {table} anti join dom.o as other on other.id = a", 2),
        ("select (select count(*) from dom.same) - count(*) from t", 0),
        ("select count(*) from {table} where a in (select id from dom.o)", 1),
        ("select max(n) from (select a, row_number() over (order by a) as n from {table})", 3),
        ("select '{' || 'table' || '}' = '{' || 'table' || '}'", True),
    ],
)
def test_query_reads_the_table_and_those_that_the_contract_may_refer_to(con, query, value):
    result = run(con, query, column="a", operator="mustBe", threshold=value)
    assert (result.status, result.failing_rows) == (Status.PASS, 0), result
    assert con.execute(result.query).fetchall() == [(value,)]


@pytest.mark.parametrize(
    "query",
    [
        "select count(*) from secret", "select count(*) from main.secret", "select count(*) from memory.main.secret",
        "select count(*) from hidden.p", "select count(*) from python_variable", "select count(*) from peek()",
        "select count(*) from '{file}'", "select count(*) from read_parquet('{file}')", "select count(*) from parquet_scan('{file}')",
        "select count(*) from read_csv('/etc/passwd')", "select count(*) from read_text('/etc/passwd')", "select count(*) from glob('/*')",
        "select count(*) from parquet_metadata('{file}')", "select count(*) from sqlite_scan('{file}', 'x')",
        "select count(*) from duckdb_settings()", "select count(*) from duckdb_secrets()", "select count(*) from pragma_database_list()",
        "select count(*) from information_schema.tables", "select count(*) from pg_catalog.pg_class", "select count(*) from sqlite_master",
        "select count(*) from query('from secret')", "select count(*) from query_table('secret')",
        "from json_execute_serialized_sql(json_serialize_sql('from secret'))",
        "select exists (from secret)", "select a in (select s from secret) from {table}", "select 1 order by (select s from secret)",
        "select 1 limit (select s from secret)", "select count(*) filter (where a in (select s from secret)) from {table}",
        "select sum(a) over (order by (select s from secret)) from {table}", "select list_transform([1], x -> (select max(s) from secret))",
        "select count(*) from {table} semi join secret on true", "select count(*) from {table}, lateral (from secret)",
        "select 1 union all from secret", "values ((select s from secret))", "select case when true then (select s from secret) end",
        "with secret as (select * from secret) select count(*) from secret", "with a as (from b), b as (select 1) from a",
        "select (with \"{file}\" as (select 1) select 1) + count(*) from '{file}'",
        "with x as (with secret as (select 1) from secret) select count(*) from secret, x",
        "select count(*) from {table} at (version => 1)", "select count(*) from dom.o at (version => 1)",
        "select nextval('numbers')", "select current_setting('home_directory')", "select getenv('HOME')", "select write_log('x')", "select setseed(0.5)",
        "describe t", "summarize t", "show tables", "select count(*) from (describe secret)", "pragma database_list", "explain select 1",
        "pivot t on a", "call duckdb_settings()", "insert into t values (1, 'x', 1)", "insert into t values (1, 'x', 1) returning a",
        "update t set a = 1", "delete from t", "truncate t", "drop table t", "create table n as select 1", "alter table t drop a",
        "merge into t using t as s on true when matched then delete", "copy t to '{file}.csv'", "export database '{file}.d'",
        "attach '{file}.db' as x", "detach memory", "use main", "set threads = 1", "reset threads", "install httpfs", "load httpfs",
        "begin", "commit", "checkpoint", "vacuum", "prepare p as select 1", "execute p", "select 1; drop table t", "select 1; select 2",
        "select", "selec 1", "select count(*) from {nothing}", "", "   ", None, 5, ";",
    ],
)  # fmt: skip
def test_query_that_reads_or_does_anything_else_is_refused_before_it_runs(con, query, tmp_path):
    before = sorted(path.name for path in tmp_path.iterdir())
    tables = con.execute("SELECT table_name, estimated_size FROM duckdb_tables() ORDER BY 1").fetchall()
    filled = query.replace("{file}", str(tmp_path / "secret.parquet")) if isinstance(query, str) else query
    result = run(con, filled)
    assert (result.status, result.stops, result.query) == (Status.ERROR, True, ""), result
    assert "987654" not in result.message
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert con.execute("SELECT table_name, estimated_size FROM duckdb_tables() ORDER BY 1").fetchall() == tables


@pytest.mark.parametrize(
    ("query", "why"),
    [
        (
            "select count(*) from {table} where {column} is null",
            "the query says `{column}`, and the rule belongs to no column",
        ),
        ("select a from {table}", "must return one value, not more than one row of 1 columns"),
        ("select a, a from {table} limit 1", "must return one value, not 1 rows of 2 columns"),
        ("select a from {table} where false", "must return one value, not 0 rows of 1 columns"),
        ("select nothing from {table}", 'Binder Error: Referenced column "nothing" not found'),
        ("select max(mail)::integer from {table}", "Could not convert string 'm2' to INT32"),
    ],
)
def test_query_without_one_value_is_an_error_that_says_why(con, query, why):
    result = run(con, query)
    assert (result.status, result.stops) == (Status.ERROR, True)
    assert why in result.message


@pytest.mark.parametrize(
    ("query", "demand", "status"),
    [
        ("select count(*) from {table} where a > 5", {}, Status.PASS),  # no operator: it counts what is wrong
        ("select count(*) from {table}", {}, Status.FAIL),
        ("select max(a) from {table} where false", {}, Status.FAIL),  # null is no value
        ("select max(a) from {table} where false", {"operator": "mustNotBe", "threshold": 1}, Status.FAIL),
        ("select bool_and(a >= 0) from {table}", {"operator": "mustBe", "threshold": True}, Status.PASS),
        ("select bool_and(a > 0) from {table}", {"operator": "mustBe", "threshold": True}, Status.FAIL),
        ("select 1", {"operator": "mustBe", "threshold": True}, Status.FAIL),
        ("select max(mail) from {table}", {"operator": "mustBe", "threshold": "m2"}, Status.PASS),
        ("select max(mail) from {table}", {"operator": "mustBeLessThan", "threshold": 5}, Status.ERROR),
        ("select avg(pay) from {table}", {"operator": "mustBeBetween", "threshold": [9.5, 10]}, Status.PASS),
        ("select 0.1::decimal(3, 2)", {"operator": "mustBe", "threshold": 0.1}, Status.PASS),
        ("select 9007199254740993", {"operator": "mustBeLessOrEqualTo", "threshold": 2**53}, Status.FAIL),
        ("select 'nan'::double", {"operator": "mustBeLessThan", "threshold": 5}, Status.ERROR),
        ("select date '2024-01-01'", {"operator": "mustBe", "threshold": "2024-01-01"}, Status.PASS),
        ("select 1", {"operator": "mustbe", "threshold": 1}, Status.ERROR),
    ],
)
def test_value_is_compared_exactly(con, query, demand, status):
    assert run(con, query, **demand).status is status


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("select count(mail) - count(distinct mail) + 5 from {table}", "5"),
        ("select count(*) from (select * from {table})", "3"),
        ("select count_if(mail = 'm1') from {table}", "1"),
        ("select sum(pay) from {table}", "30"),
        ("select max(mail) from {table}", "•••"),
        ("select max(m) from (select mail as m from {table})", "•••"),
        ("select max(t)::varchar from {table} as t", "•••"),
        ("select max(length(mail)) from {table}", "•••"),
        ("select count(*) + max(length(mail)) from {table}", "•••"),
        ("select max(columns('mail')) from {table}", "•••"),
        ("select max(m) from (select * from {table}) as x(a, m, p)", "•••"),
        ("select max(mail) from dom.o", "•••"),  # another table's columns may be masked there
    ],
)
def test_value_that_a_masked_one_can_be_read_from_is_not_told(con, query, told):
    result = run(con, query, masked="mail")
    assert (result.status, result.message) == (Status.FAIL, f"The query returned {told}; it must be 0.")


def test_error_in_masked_data_is_told_without_its_words(con):
    result = run(con, "select max(mail)::integer from {table}", masked="mail")
    assert (result.status, "m2" in repr(result)) == (Status.ERROR, False)


def test_query_is_stopped_when_its_time_is_over_and_the_connection_goes_on(con):
    started = time.monotonic()
    result = run(con, "select count(*) from range(1000000000) a, range(1000000000) b", seconds=0.3)
    assert time.monotonic() - started < 10
    assert (result.status, result.stops) == (Status.ERROR, True)
    assert result.message == "q could not be executed: the query took longer than 0.3 seconds."
    assert con.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    "query",
    [  # each would take 10 GB, of which nothing can go to disk
        "select len(list(a.i)) from range(1300000000) a(i)",
        "select length(string_agg(md5(a.i::varchar), '')) from range(300000000) a(i)",
    ],
)
def test_query_that_takes_too_much_memory_is_stopped_and_the_other_tests_are_answered(con, query):
    con.execute("SET memory_limit = '2GB'")
    before = con.execute("SELECT current_setting('memory_limit')").fetchone()
    asked = {"a": query, "b": "select count(*) from {table} where a > 1"}
    tests = tuple(Test(name=name, kind=Kind.SQL, arguments={"query": sql}) for name, sql in asked.items())
    given = Test(name="c", kind=Kind.REQUIRED, columns=("a",))
    columns = tuple(Column(name=name, type="VARCHAR") for name in ("a", "mail", "pay"))
    contract = Contract(id="c", version="1", name="t", columns=columns, tests=(*tests, given))
    dear, other, required = audit(con, "t", contract, memory=100_000_000)
    assert (dear.status, dear.stops) == (Status.ERROR, True)
    assert dear.message == "a could not be executed: the query needs more than 0.1 GB of memory."
    assert (other.status, other.message) == (Status.FAIL, "The query returned 1; it must be 0.")
    assert required.status is Status.PASS
    assert con.execute("SELECT current_setting('memory_limit')").fetchone() == before


def test_query_may_take_its_memory_beside_what_is_in_use_and_no_more_than_the_database(con):
    con.execute("CREATE TEMP TABLE held AS SELECT hash(i) AS h FROM range(3000000) AS r(i)")  # 24 MB
    sort = "select count(*) from (select h from (select hash(i) as h from range(1000000) r(i)) order by h limit 900000)"
    assert run(con, sort, operator="mustBe", threshold=900000).status is Status.PASS
    with memory_more(con, 50_000_000):
        ((within,),) = con.execute("SELECT current_setting('memory_limit')").fetchall()
        assert 70 < float(within.removesuffix(" MiB")) < 110, within
    con.execute("SET memory_limit = '60MB'")
    with memory_more(con, 10_000_000_000):
        assert con.execute("SELECT current_setting('memory_limit')").fetchone() == ("57.2 MiB",)


def test_time_limit_never_hits_the_query_after(con):
    for _ in range(200):
        with time_limit(con, 0.001):
            time.sleep(0.001)
        assert con.execute("SELECT count(*) FROM range(1000)").fetchone() == (1000,)
