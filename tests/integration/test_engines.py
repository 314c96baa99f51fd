"""The row-level tests of a contract on other engines: executed on PostgreSQL and Spark, compiled for the others."""

import json
import math
import os
import shutil
import subprocess
from pathlib import Path

import duckdb
import psycopg
import pytest

from mesh_assets.audit.execute import audit
from mesh_assets.audit.result import Status
from mesh_assets.audit.values import CannotAnswer, column_type
from mesh_assets.contract import Column, Contract, Kind, Severity, Test
from mesh_assets.engines.compile import DIALECTS, count
from mesh_assets.engines.run import audit_elsewhere

FOLDER = Path(__file__).parent / "compiled"
TYPES = {
    "id": "BIGINT", "code": "VARCHAR", "price": "DECIMAL(10,2)", "weight": "DOUBLE", "day": "DATE",
    "at": "TIMESTAMP", "seen": "TIMESTAMP WITH TIME ZONE", "ok": "BOOLEAN", "it's": "VARCHAR",
}  # fmt: skip
ROWS = [
    (1, "E-001", "1.50", 0.3, "2024-01-01", "2024-01-01 12:00:00", "2024-01-01 12:00:00+00", True, "a"),
    (2, "E-00", "-1.00", math.nan, "2024-02-29", "2024-01-01 12:00:00.000001", "2024-01-01 00:00:00+02", False, "🙂"),
    (2, "e-002\n", "0.75", math.inf, None, None, None, None, ""),
    (None, None, None, None, "0001-01-01", "1500-03-01 00:00:00", "9999-12-31 00:00:00+00", True, None),
    (
        2**53 + 1,
        "E-٣٣٣",
        "99999999.99",
        -0.0,
        "9999-12-31",
        "2024-01-01 11:59:59.999999",
        "2024-01-01 12:00:00+00",
        None,
        "é",
    ),
    (4, "", "0.00", -math.inf, "2024-01-01", "2024-06-01 00:00:00", "2024-06-01 00:00:00+00", False, "e\u0301"),
    (5, "x\u00a0E-005", "3.00", 0.30000000000000004, "2023-12-31", "2024-01-02 00:00:00", None, True, 'it\'s \\ "q"'),
]


def rule(kind, *columns, severity=Severity.ERROR, **arguments):
    name = "__".join([*(column.replace("'", "") for column in columns), str(kind), *map(str, arguments.values())])
    return Test(name=name, kind=kind, columns=columns, arguments=arguments, severity=severity)


NONE = {"operator": "mustBe", "threshold": 0}
TESTS = (
    *(rule(Kind.REQUIRED, column) for column in TYPES),
    *(
        rule(kind, "id", value=value)
        for kind in (Kind.MINIMUM, Kind.MAXIMUM, Kind.EXCLUSIVE_MAXIMUM)
        for value in (2, 2**53 + 1, 1.5)
    ),
    *(
        rule(kind, "price", value=value)
        for kind in (Kind.MINIMUM, Kind.EXCLUSIVE_MINIMUM)
        for value in (0, 0.75, 0.333)
    ),
    *(
        rule(kind, "weight", value=value)
        for kind in (Kind.MINIMUM, Kind.MAXIMUM, Kind.EXCLUSIVE_MINIMUM)
        for value in (0, 0.3)
    ),
    rule(Kind.MINIMUM, "day", value="2024-01-01"),
    rule(Kind.MAXIMUM, "day", value="2024-01-01T12:00:00Z"),
    rule(Kind.MINIMUM, "at", value="2024-01-01T12:00:00"),
    rule(Kind.EXCLUSIVE_MAXIMUM, "seen", value="2024-01-01T12:00:00Z"),
    *(rule(Kind.MULTIPLE_OF, column, value=value) for column in ("id", "price", "weight") for value in (0.1, 0.75, 2)),
    *(
        rule(Kind.PATTERN, "code", pattern=pattern)
        for pattern in (r"^E-\d{3}$", r"\s", "^.*$", "a|E", "[^a-z]", r"[\w.-]+$", "é|٣")
    ),
    *(rule(Kind.FORMAT, "it's", format=form) for form in ("email", "date", "ipv4")),
    *(rule(kind, "it's", value=value) for kind in (Kind.MIN_LENGTH, Kind.MAX_LENGTH) for value in (0, 1, 2)),
    rule(Kind.UNIQUE, "id"),
    rule(Kind.UNIQUE, "id", "ok"),
    rule(Kind.UNIQUE, "weight"),
    rule(Kind.PRIMARY_KEY, "id", severity=Severity.WARNING),
    rule(Kind.PRIMARY_KEY, "weight", "ok"),
    rule(Kind.ROW_COUNT, operator="mustBeBetween", threshold=(1, 6)),
    rule(Kind.NULL_VALUES, "price", operator="mustBeLessThan", threshold=20, unit="percent"),
    rule(Kind.DUPLICATE_VALUES, "id", **NONE),
    rule(Kind.MISSING_VALUES, "code", missing_values=("", "E-00"), **NONE),
    rule(Kind.INVALID_VALUES, "it's", valid_values=("a", 'it\'s \\ "q"', "é"), **NONE),
    rule(Kind.INVALID_VALUES, "weight", valid_values=(0.3, 0), **NONE),
    rule(Kind.INVALID_VALUES, "code", pattern="^E", **NONE),
)
ELSEWHERE = (
    rule(Kind.REFERENCE, "id", to_table="a.b", to_columns=["id"]),
    rule(Kind.SQL, query="select 0"),
    rule(Kind.TYPES),
)
REFUSED = (
    rule(Kind.PATTERN, "code", pattern=r"\bE"),
    rule(Kind.PATTERN, "code", pattern="(?i)e"),
    rule(Kind.MINIMUM, "code", value="E"),
)


def contract(*tests):
    columns = tuple(Column(name=name, type=kind) for name, kind in TYPES.items())
    return Contract(id="c", version="1", name="t", columns=columns, tests=tests)


def in_duckdb(con):
    listed = ", ".join(f'"{name}" {kind}' for name, kind in TYPES.items())
    con.execute(f"CREATE TABLE t ({listed})")
    con.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(TYPES))})", ROWS)
    return con


def same(ours, theirs):
    for here, there in zip(ours, theirs, strict=True):
        told = f"{here.test.name}: {here.message} / {there.message}\n{there.query}"
        assert (here.status, here.failing_rows, here.total_rows) == (
            there.status,
            there.failing_rows,
            there.total_rows,
        ), told
        assert here.status is not Status.ERROR, told


@pytest.fixture
def table(postgres):
    spelt = {"DOUBLE": "DOUBLE PRECISION", "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}
    with psycopg.connect(postgres) as con:
        con.execute("DROP TABLE IF EXISTS mesh_t")
        con.execute(
            f"CREATE TABLE mesh_t ({', '.join(f'{chr(34)}{name}{chr(34)} {spelt.get(kind, kind)}' for name, kind in TYPES.items())})"
        )
        con.cursor().executemany(f"INSERT INTO mesh_t VALUES ({', '.join(['%s'] * len(TYPES))})", ROWS)
        yield lambda sql: con.execute(sql.encode()).fetchall()


def one_of(show):
    """The one number of a query."""
    return lambda sql: int(show(sql)[0][0])


def test_postgres_comes_to_the_same_verdicts_counts_and_rows(table):
    ours = audit(in_duckdb(duckdb.connect()), "t", contract(*TESTS))
    table("SELECT set_config('timezone', 'UTC', true)")
    theirs = audit_elsewhere(one_of(table), "mesh_t", contract(*TESTS), "postgres", show=table)
    same(ours, theirs)
    for here, there in zip(ours, theirs, strict=True):
        if here.failing_rows <= 10:
            assert sorted(map(str, here.sample)) == sorted(map(str, there.sample)), there.test.name
    assert {result.status for result in ours} == {Status.PASS, Status.FAIL, Status.WARN}


def test_what_an_engine_cannot_do_is_an_error_that_says_so(table):
    for result in audit_elsewhere(one_of(table), "mesh_t", contract(*ELSEWHERE, *REFUSED), "postgres"):
        assert result.status is Status.ERROR
        assert "postgres" in result.message
        assert result.stops
    (gone,) = audit_elsewhere(one_of(table), "mesh_t", contract(rule(Kind.REQUIRED, "gone")), "postgres")
    assert "`gone` is missing" in gone.message
    unread = audit_elsewhere(one_of(table), "nowhere", contract(*TESTS[:2]), "postgres")
    assert all("cannot be read" in result.message and result.stops for result in unread)
    with pytest.raises(CannotAnswer, match="known: postgres, spark"):
        count(TESTS[0], "t", {}, "oracle")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_compiled_sql_is_what_was_reviewed(dialect):
    """`MESH_TEST_WRITE=1` writes the files anew."""
    types = {name: column_type(kind) for name, kind in TYPES.items()}
    lines = []
    for test in (*TESTS, *ELSEWHERE, *REFUSED):
        try:
            said = count(test, "t", types, dialect)
        except CannotAnswer as why:
            said = f"refused: {why}"
        lines.append(f"-- {test.name.encode('unicode_escape').decode()}\n{said.encode('unicode_escape').decode()}\n")
    path = FOLDER / f"{dialect}.sql"
    if os.environ.get("MESH_TEST_WRITE"):
        path.write_text("".join(lines))
    assert path.read_text() == "".join(lines)


SPARK = """
import json, sys
from pyspark.sql import SparkSession
spark = (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC")
    .config("spark.sql.shuffle.partitions", "1").getOrCreate())
spark.read.parquet(sys.argv[1]).createOrReplaceTempView("t")
def ask(sql):
    try:
        return int(spark.sql(sql).collect()[0][0])
    except Exception as error:
        return str(error)
print("ANSWERS " + json.dumps({sql: ask(sql) for sql in json.load(sys.stdin)}))
"""


@pytest.mark.slow
def test_spark_comes_to_the_same_verdicts_and_counts(tmp_path):
    """On Parquet, in local mode. `MESH_TEST_SPARK` names a Python with pyspark; it needs Java (`openjdk-17-jre-headless`)."""
    python = os.environ.get("MESH_TEST_SPARK")
    if not python or not shutil.which("java"):
        pytest.skip(
            "no Spark here: MESH_TEST_SPARK names a Python with pyspark, and Java is Debian's openjdk-17-jre-headless"
        )
    con = in_duckdb(duckdb.connect())
    con.execute("SET TimeZone = 'UTC'")
    con.execute(f"COPY t TO '{tmp_path}/t.parquet'")
    asked = []
    audit_elsewhere(lambda sql: asked.append(sql) or 0, "t", contract(*TESTS), "spark")
    done = subprocess.run(
        [python, "-c", SPARK, f"{tmp_path}/t.parquet"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    told = next((line for line in done.stdout.splitlines() if line.startswith("ANSWERS ")), None)
    assert told, done.stderr[-2000:]
    answers = json.loads(told.removeprefix("ANSWERS "))
    assert not {sql: answer for sql, answer in answers.items() if isinstance(answer, str)}
    same(audit(con, "t", contract(*TESTS)), audit_elsewhere(answers.__getitem__, "t", contract(*TESTS), "spark"))
