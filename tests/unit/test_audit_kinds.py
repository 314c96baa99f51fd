"""Every kind of test, on tables small enough to count by hand."""

import json
import re
from collections.abc import Iterator

import duckdb
import pytest

from mesh_assets.audit.execute import audit
from mesh_assets.audit.result import Result, Status
from mesh_assets.audit.words import result_json, rows_json
from mesh_assets.contract import Column, Contract, Kind, Severity, Test
from mesh_assets.errors import UsageError


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'America/New_York'")  # nothing may depend on it
        yield connection


def contract(*tests: Test, **types: str) -> Contract:
    masked = types.pop("masked", "")
    columns = tuple(Column(name=name, type=type_, masked=name == masked) for name, type_ in types.items())
    return Contract(id="c", version="1.0.0", name="t", columns=columns, tests=tests)


def rule(kind: Kind, *columns: str, severity: Severity = Severity.ERROR, **arguments: object) -> Test:
    return Test(name=str(kind), kind=kind, columns=columns, arguments=arguments, severity=severity)


def one(con: duckdb.DuckDBPyConnection, type_: str, values: str, test: Test, **options: object) -> Result:
    """The result of one test on a table of one column `x`."""
    values = re.sub(
        r"\((?!NULL)([^()']+)\)", r"('\1')", values
    )  # all as text, so that each is read by the column's type
    relation = f"(SELECT CAST(x AS {type_}) AS x FROM (VALUES {values}) AS v(x))"
    (result,) = audit(con, relation, contract(test, x=type_), **options)
    return result


@pytest.mark.parametrize(
    ("kind", "arguments", "type_", "values", "failing"),
    [
        (Kind.REQUIRED, {}, "INTEGER", "(1), (NULL), (NULL)", 2),
        (Kind.REQUIRED, {}, "DOUBLE", "(1), (NULL), ('nan')", 2),
        (Kind.REQUIRED, {}, "VARCHAR", "(''), ('nan')", 0),
        (Kind.UNIQUE, {}, "INTEGER", "(1), (1), (2), (3), (3), (3)", 5),
        (Kind.UNIQUE, {}, "INTEGER", "(1), (NULL), (NULL)", 2),
        (Kind.UNIQUE, {}, "DOUBLE", "('nan'), ('nan'), (0.0), ('-0.0'), (1)", 4),
        (Kind.UNIQUE, {}, "VARCHAR", "('a'), ('A'), ('a '), ('é'), ('e\u0301')", 0),
        (Kind.PRIMARY_KEY, {}, "INTEGER", "(1), (1), (2), (NULL)", 3),
        (Kind.MINIMUM, {"value": 2}, "INTEGER", "(1), (2), (3), (NULL)", 1),
        (Kind.EXCLUSIVE_MINIMUM, {"value": 2}, "INTEGER", "(1), (2), (3), (NULL)", 2),
        (Kind.MAXIMUM, {"value": 2}, "INTEGER", "(1), (2), (3), (NULL)", 1),
        (Kind.EXCLUSIVE_MAXIMUM, {"value": 2}, "INTEGER", "(1), (2), (3), (NULL)", 2),
        (Kind.MINIMUM, {"value": 1.5}, "INTEGER", "(1), (2)", 1),
        (Kind.EXCLUSIVE_MINIMUM, {"value": 1.5}, "INTEGER", "(1), (2)", 1),
        (Kind.MAXIMUM, {"value": 1.5}, "INTEGER", "(1), (2)", 1),
        (Kind.EXCLUSIVE_MAXIMUM, {"value": -1.5}, "INTEGER", "(-1), (-2)", 1),
        (Kind.MAXIMUM, {"value": 300}, "TINYINT", "(127), (-128)", 0),
        (Kind.MINIMUM, {"value": 300}, "TINYINT", "(127), (-128), (NULL)", 2),
        (Kind.MINIMUM, {"value": -1}, "UBIGINT", "(0), (18446744073709551615)", 0),
        (Kind.MAXIMUM, {"value": 2**64 - 2}, "UBIGINT", "(0), (18446744073709551615)", 1),
        (Kind.MAXIMUM, {"value": 1e300}, "HUGEINT", "(170141183460469231731687303715884105727)", 0),
        (Kind.MAXIMUM, {"value": 2**127 - 2}, "HUGEINT", "(170141183460469231731687303715884105727)", 1),
        (Kind.MAXIMUM, {"value": float("inf")}, "BIGINT", "(9223372036854775807)", 0),
        (Kind.MINIMUM, {"value": float("inf")}, "BIGINT", "(9223372036854775807)", 1),
        (Kind.MAXIMUM, {"value": 2**53}, "BIGINT", "(9007199254740993), (9007199254740992)", 1),
        (Kind.MAXIMUM, {"value": float(2**53)}, "BIGINT", "(9007199254740993), (9007199254740992)", 1),
        (Kind.MAXIMUM, {"value": 10}, "DOUBLE", "('nan'), ('inf'), ('-inf'), (10), (NULL)", 2),
        (Kind.MINIMUM, {"value": 10}, "DOUBLE", "('nan'), ('inf'), ('-inf'), (10), (NULL)", 1),
        (Kind.MAXIMUM, {"value": 0.1}, "DOUBLE", "(0.1), (0.1000001)", 1),
        (Kind.MAXIMUM, {"value": 0.1}, "FLOAT", "(0.1)", 0),  # the nearest FLOAT to 0.1 is above 0.1
        (Kind.MINIMUM, {"value": 0.1}, "DECIMAL(4,1)", "(0.1), (0)", 1),
        (Kind.MINIMUM, {"value": 0.15}, "DECIMAL(4,1)", "(0.1), (0.2)", 1),
        (Kind.MAXIMUM, {"value": 1e30}, "DECIMAL(4,1)", "(999.9)", 0),
        (Kind.MAXIMUM, {"value": "0.5"}, "DECIMAL(38,0)", "('99999999999999999999999999999999999999'), (0)", 1),
        (
            Kind.MAXIMUM,
            {"value": "2024-01-31"},
            "DATE",
            "('2024-01-31'), ('2024-02-01'), ('infinity'), ('-infinity')",
            2,
        ),
        (Kind.MAXIMUM, {"value": "2024-01-31T12:00:00"}, "DATE", "('2024-01-31'), ('2024-02-01')", 1),
        (Kind.EXCLUSIVE_MAXIMUM, {"value": "2024-01-31T12:00:00"}, "DATE", "('2024-01-31'), ('2024-02-01')", 1),
        (Kind.MINIMUM, {"value": "2024-01-31T12:00:00"}, "DATE", "('2024-01-31'), ('2024-02-01')", 1),
        (
            Kind.MAXIMUM,
            {"value": "2024-01-31"},
            "TIMESTAMP",
            "('2024-01-31 00:00:00'), ('2024-01-31 00:00:00.000001')",
            1,
        ),
        (
            Kind.MAXIMUM,
            {"value": "2024-01-31T01:00:00+01:00"},
            "TIMESTAMP",
            "('2024-01-31'), ('2024-01-31 00:30:00')",
            1,
        ),
        (
            Kind.MAXIMUM,
            {"value": "2024-01-31T00:00:00.5"},
            "TIMESTAMP_S",
            "('2024-01-31 00:00:00'), ('2024-01-31 00:00:01')",
            1,
        ),
        (
            Kind.MAXIMUM,
            {"value": "2024-01-31"},
            "TIMESTAMPTZ",
            "('2024-01-31 01:00:00+01'), ('2024-01-30 23:30:00-01')",
            1,
        ),
        (Kind.MINIMUM, {"value": "08:00:00"}, "TIME", "('07:59:59.999999'), ('08:00:00')", 1),
        (Kind.MINIMUM, {"value": "b"}, "VARCHAR", "('a'), ('b'), ('é'), (NULL)", 1),
        (Kind.MULTIPLE_OF, {"value": 5}, "INTEGER", "(-10), (0), (7), (NULL)", 1),
        (Kind.MULTIPLE_OF, {"value": 0.75}, "INTEGER", "(3), (-6), (1), (2)", 2),
        (Kind.MULTIPLE_OF, {"value": 128}, "TINYINT", "(-128), (0), (127)", 1),
        (Kind.MULTIPLE_OF, {"value": 10**40}, "BIGINT", "(0), (1)", 1),
        (Kind.MULTIPLE_OF, {"value": 0.05}, "DECIMAL(10,2)", "(1.05), (-0.10), (1.01)", 1),
        (Kind.MULTIPLE_OF, {"value": 0.001}, "DECIMAL(10,2)", "(1.05), (1.01)", 0),
        (
            Kind.MULTIPLE_OF,
            {"value": 0.1},
            "DOUBLE",
            "(0.3), (0.7), (123456789.1), (0.35), ('nan'), ('inf'), (NULL)",
            3,
        ),
        (Kind.MULTIPLE_OF, {"value": 0.1}, "FLOAT", "(0.3), (0.7), (0.35)", 1),
        (Kind.PATTERN, {"pattern": "b"}, "VARCHAR", "('abc'), ('ac'), (NULL)", 1),
        (Kind.PATTERN, {"pattern": "it's"}, "VARCHAR", "('it''s'), ('its')", 1),
        (Kind.PATTERN, {"pattern": "^[0-9a-f-]{36}$"}, "UUID", "('123E4567-e89b-12d3-a456-426614174000')", 0),
        (Kind.FORMAT, {"format": "email"}, "VARCHAR", "('a@b.org'), ('a'), ('')", 2),
        (Kind.FORMAT, {"format": "u8"}, "INTEGER", "(-1), (0), (255), (256)", 2),
        (Kind.FORMAT, {"format": "i64"}, "INTEGER", "(-1)", 0),
        (Kind.FORMAT, {"format": "yyyy-MM-dd"}, "DATE", "('2024-01-01')", 0),
        (Kind.MIN_LENGTH, {"value": 2}, "VARCHAR", "(''), ('é'), ('éé'), ('🙂'), (NULL)", 3),
        (Kind.MAX_LENGTH, {"value": 1}, "VARCHAR", "('é'), ('éé'), ('👩‍👧'), (NULL)", 2),
    ],
)
def test_failing_rows_are_counted(con, kind, arguments, type_, values, failing):
    result = one(con, type_, values, rule(kind, "x", **arguments))
    assert (result.failing_rows, result.status) == (failing, Status.FAIL if failing else Status.PASS), result
    assert result.total_rows == values.count("(")
    assert len(result.sample) == failing
    assert con.execute(result.query).fetchone() == (failing,)


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in Kind
        if kind not in (Kind.COLUMNS, Kind.TYPES, Kind.SQL, Kind.ROW_COUNT, Kind.LIBRARY, Kind.PANDERA)
    ],
)
def test_nothing_is_wrong_with_an_empty_table(con, kind):
    con.execute("CREATE TABLE t (x VARCHAR, n INTEGER)")
    arguments = {"value": 1, "pattern": "a", "format": "email", "to_table": "d.t", "to_columns": ["x"]}
    arguments |= {"operator": "mustBeLessThan", "threshold": 1, "unit": "percent", "valid_values": ["a"]}
    numeric = kind in (Kind.MINIMUM, Kind.MAXIMUM, Kind.EXCLUSIVE_MINIMUM, Kind.EXCLUSIVE_MAXIMUM, Kind.MULTIPLE_OF)
    (result,) = audit(
        con,
        "t",
        contract(rule(kind, "n" if numeric else "x", **arguments), x="VARCHAR", n="INTEGER"),
        related={"d.t": "t"}.get,
    )
    assert (result.status, result.failing_rows, result.total_rows, result.fail_rate) == (Status.PASS, 0, 0, 0.0), result


@pytest.mark.parametrize(
    ("kind", "arguments", "type_", "values", "counted"),
    [
        (Kind.NULL_VALUES, {}, "INTEGER", "(1), (NULL), (NULL)", 2),
        (Kind.NULL_VALUES, {}, "DOUBLE", "(1), (NULL), ('nan')", 2),
        (Kind.MISSING_VALUES, {}, "VARCHAR", "('a'), (''), (NULL)", 2),
        (
            Kind.MISSING_VALUES,
            {"missing_values": [None, "N/A", "it's"]},
            "VARCHAR",
            "(''), ('N/A'), ('it''s'), (NULL)",
            3,
        ),
        (Kind.MISSING_VALUES, {"missing_values": [-1]}, "INTEGER", "(-1), (1), (NULL)", 2),
        (Kind.MISSING_VALUES, {"missing_values": []}, "INTEGER", "(-1), (NULL)", 1),
        (Kind.MISSING_VALUES, {"missing_values": ["1900-01-01"]}, "DATE", "('1900-01-01'), ('2024-01-01')", 1),
        (Kind.INVALID_VALUES, {"valid_values": ["a", "b"]}, "VARCHAR", "('a'), ('A'), (''), (NULL)", 2),
        (Kind.INVALID_VALUES, {"valid_values": [1, 2]}, "VARCHAR", "('1'), ('01')", 1),
        (Kind.INVALID_VALUES, {"valid_values": [1, 1.5, 300]}, "TINYINT", "(1), (2), (NULL)", 1),
        (Kind.INVALID_VALUES, {"valid_values": []}, "VARCHAR", "('a'), (NULL)", 1),
        (Kind.INVALID_VALUES, {"valid_values": [0.1]}, "DECIMAL(5,2)", "(0.1), (0.11)", 1),
        (Kind.INVALID_VALUES, {"valid_values": [0.1]}, "DOUBLE", "(0.1), ('nan')", 1),
        (Kind.INVALID_VALUES, {"valid_values": [float("nan")]}, "DOUBLE", "(0.1), ('nan')", 1),
        (Kind.INVALID_VALUES, {"valid_values": [True]}, "BOOLEAN", "(true), (false), (NULL)", 1),
        (Kind.INVALID_VALUES, {"pattern": "^[A-Z]+$"}, "VARCHAR", "('A'), ('a'), (NULL)", 1),
        (Kind.INVALID_VALUES, {"pattern": "^[A-Z]+$", "valid_values": ["A", "a"]}, "VARCHAR", "('A'), ('a'), ('B')", 2),
        (Kind.DUPLICATE_VALUES, {}, "INTEGER", "(1), (1), (2), (NULL), (NULL)", 2),
    ],
)
def test_metric_counts_rows_and_reports_them_whatever_the_verdict(con, kind, arguments, type_, values, counted):
    total = values.count("(")
    for operator, threshold, ok in [("mustBe", counted, True), ("mustBe", counted + 1, False)]:
        result = one(con, type_, values, rule(kind, "x", operator=operator, threshold=threshold, **arguments))
        assert (result.failing_rows, result.total_rows) == (counted, total), result
        assert result.status is (Status.PASS if ok else Status.FAIL)
        assert len(result.sample) == (0 if ok else counted)


@pytest.mark.parametrize(
    ("operator", "threshold", "passes"),
    [
        ("mustBe", 2, True), ("mustBe", 3, False), ("mustBe", 2.0, True),
        ("mustNotBe", 3, True), ("mustNotBe", 2, False),
        ("mustBeGreaterThan", 1, True), ("mustBeGreaterThan", 2, False),
        ("mustBeGreaterOrEqualTo", 2, True), ("mustBeGreaterOrEqualTo", 3, False),
        ("mustBeLessThan", 3, True), ("mustBeLessThan", 2, False),
        ("mustBeLessOrEqualTo", 2, True), ("mustBeLessOrEqualTo", 1, False),
        ("mustBeBetween", [2, 3], True), ("mustBeBetween", (1, 2), True), ("mustBeBetween", [3, 4], False),
        ("mustNotBeBetween", [3, 4], True), ("mustNotBeBetween", [2, 4], False),
    ],
)  # fmt: skip
def test_every_operator(con, operator, threshold, passes):
    values, wanted = "(1), (NULL), (NULL), (4)", Status.PASS if passes else Status.FAIL
    counts = one(con, "INTEGER", values, rule(Kind.NULL_VALUES, "x", operator=operator, threshold=threshold))
    rows = one(con, "INTEGER", "(1), (2)", rule(Kind.ROW_COUNT, operator=operator, threshold=threshold))
    query = one(
        con,
        "INTEGER",
        values,
        rule(Kind.SQL, query="SELECT count(x) FROM {table}", operator=operator, threshold=threshold),
    )
    assert [counts.status, rows.status, query.status] == [wanted] * 3
    assert [counts.failing_rows, rows.failing_rows, query.failing_rows] == [2, int(not passes), int(not passes)]


def test_percent_is_exact_and_of_all_rows(con):
    relation = "(SELECT CASE WHEN i % 3 = 0 THEN i END AS x FROM range(300) AS r(i))"
    third = rule(Kind.NULL_VALUES, "x", operator="mustBeLessThan", threshold=66.66, unit="percent")
    (result,) = audit(con, relation, contract(third, x="BIGINT"))
    assert (result.status, result.failing_rows, result.total_rows) == (Status.FAIL, 200, 300)
    assert result.message == "66.6667 % of rows without `x`; it must be less than 66.66 %."
    ten = one(
        con,
        "INTEGER",
        "(NULL), (1), (2), (3), (4), (5), (6), (7), (8), (9)",
        rule(Kind.NULL_VALUES, "x", operator="mustBe", threshold=10, unit="percent"),
    )
    assert ten.status is Status.PASS


def test_empty_table_fails_a_row_count_that_wants_rows(con):
    con.execute("CREATE TABLE t (x INTEGER)")
    (result,) = audit(con, "t", contract(rule(Kind.ROW_COUNT, operator="mustBeGreaterThan", threshold=0), x="INTEGER"))
    assert (result.status, result.failing_rows, result.message) == (
        Status.FAIL,
        1,
        "0 rows; it must be greater than 0.",
    )


def test_keys_of_several_columns_are_unique_together(con):
    con.execute("CREATE TABLE t AS FROM (VALUES (1, 'a'), (1, 'b'), (1, 'b'), (2, NULL), (3, NULL)) AS v(a, b)")
    tests = (
        rule(Kind.PRIMARY_KEY, "a", "b"),
        rule(Kind.UNIQUE, "a", "b"),
        rule(Kind.DUPLICATE_VALUES, "b", "a", operator="mustBe", threshold=2),
    )
    key, unique, duplicates = audit(con, "t", contract(*tests, a="INTEGER", b="VARCHAR"))
    assert (key.failing_rows, unique.failing_rows, duplicates.failing_rows) == (4, 2, 2)
    assert key.sample == ({"a": 1, "b": "b"}, {"a": 1, "b": "b"}, {"a": 2, "b": None}, {"a": 3, "b": None})


def test_reference_finds_what_is_not_in_the_other_table_and_lets_nulls_be(con):
    con.execute("CREATE TABLE o AS FROM (VALUES (1, 'a'), (2, 'b'), (NULL, 'c')) AS v(id, code)")
    con.execute("CREATE TABLE t AS FROM (VALUES (1, 'a'), (1, 'b'), (3, 'a'), (NULL, 'z')) AS v(oid, c)")
    single = Test(
        name="one", kind=Kind.REFERENCE, columns=("oid",), arguments={"to_table": "d.o", "to_columns": ["id"]}
    )
    pair = Test(
        name="two",
        kind=Kind.REFERENCE,
        columns=("oid", "c"),
        arguments={"to_table": "d.o", "to_columns": ("id", "code")},
    )
    one_, two = audit(con, "t", contract(single, pair, oid="INTEGER", c="VARCHAR"), related={"d.o": "o"}.get)
    assert (one_.failing_rows, one_.sample) == (1, ({"oid": 3, "c": "a"},))
    assert (two.failing_rows, two.sample) == (2, ({"oid": 1, "c": "b"}, {"oid": 3, "c": "a"}))
    assert one_.message == "1 of 4 rows has an `oid` that is not in d.o."


@pytest.mark.parametrize(
    ("related", "to_columns", "why"),
    [
        (lambda _: None, ["id"], "`d.o` cannot be read here"),
        (lambda _: "nowhere", ["id"], "`d.o` cannot be read: Catalog Error"),
        ({"d.o": "o"}.get, ["idd"], "`d.o` has no column `idd`"),
        ({"d.o": "o"}.get, ["code"], "`x` is INTEGER and `d.o.code` is VARCHAR: they do not compare"),
        ({"d.o": "o"}.get, ["id", "code"], "needs as many columns there as here"),
        ({"d.o": "o"}.get, None, "needs as many columns there as here"),
    ],
)
def test_reference_that_cannot_be_followed_is_an_error_that_stops(con, related, to_columns, why):
    con.execute("CREATE TABLE o (id INTEGER, code VARCHAR)")
    result = one(
        con, "INTEGER", "(1)", rule(Kind.REFERENCE, "x", to_table="d.o", to_columns=to_columns), related=related
    )
    assert (result.status, result.stops) == (Status.ERROR, True)
    assert why in result.message


def test_columns_are_compared_to_the_letter_and_the_nearest_is_named(con):
    con.execute('CREATE TABLE t (id INTEGER, "Name" VARCHAR)')
    tests = rule(Kind.COLUMNS), rule(Kind.REQUIRED, "name"), rule(Kind.UNIQUE, "gone"), rule(Kind.REQUIRED, "id")
    columns, other_case, gone, fine = audit(con, "t", contract(*tests, id="INTEGER", name="VARCHAR", gone="DATE"))
    assert (columns.status, columns.failing_rows) == (Status.FAIL, 2)
    assert columns.message.startswith("`name` is missing. Did you mean `Name`? `gone` is missing.")
    assert (other_case.status, other_case.message) == (
        Status.ERROR,
        "required could not be executed: column `name` is missing.",
    )
    assert (gone.status, gone.stops, fine.status) == (Status.ERROR, True, Status.PASS)


def test_types_name_what_is_there_and_what_was_promised(con):
    con.execute("CREATE TABLE t (id BIGINT, d DECIMAL(10,2), s VARCHAR, w TIMESTAMP)")
    right = contract(rule(Kind.TYPES), id="INT8", d="DECIMAL(10, 2)", s="TEXT", w="TIMESTAMP_S")
    wrong = contract(rule(Kind.TYPES), id="INTEGER", d="DECIMAL(12,2)", s="STRING")
    unknown = contract(rule(Kind.TYPES), id="NUMBERISH")
    missing = contract(rule(Kind.TYPES), id="BIGINT", gone="DATE")
    assert audit(con, "t", right)[0].status is Status.PASS
    (result,) = audit(con, "t", wrong)
    assert (result.status, result.failing_rows) == (Status.FAIL, 2)
    assert result.message == "`id` is BIGINT, not INTEGER; `d` is DECIMAL(10,2), not DECIMAL(12,2)."
    assert audit(con, "t", unknown)[0].message == "types could not be executed: `NUMBERISH` is not a type."
    assert audit(con, "t", missing)[0].message == "types could not be executed: column `gone` is missing."


def test_values_lost_at_staging_fail_the_types_with_a_sample(con):
    con.execute("CREATE TABLE t AS SELECT 1 AS id, NULL::DATE AS born, 'x' AS mail")
    rows = tuple({"id": n, "born": "31.02.2024", "mail": "a@b.org", "nobody_knows": "secret"} for n in range(12))
    asked = contract(rule(Kind.TYPES), id="INTEGER", born="DATE", mail="VARCHAR", masked="mail")
    (result,) = audit(con, "t", asked, lost={"born": 12}, lost_sample={"born": rows})
    assert (result.status, result.failing_rows, len(result.sample)) == (Status.FAIL, 12, 10)
    assert result.message == "12 values of `born` cannot be read as DATE."
    assert result.sample[0] == {"id": 0, "born": "31.02.2024", "mail": "•••"}


@pytest.mark.parametrize(
    ("type_", "test", "why"),
    [
        ("BOOLEAN", rule(Kind.MINIMUM, "x", value=1), "values of type BOOLEAN have no order"),
        ("INTEGER[]", rule(Kind.MINIMUM, "x", value=1), "values of type INTEGER[] have no order"),
        ("INTEGER", rule(Kind.MINIMUM, "x", value="much"), "`much` is not a number"),
        ("INTEGER", rule(Kind.MINIMUM, "x", value=True), "`True` is not a number"),
        ("INTEGER", rule(Kind.MINIMUM, "x"), "`None` is not a number"),
        ("DOUBLE", rule(Kind.MINIMUM, "x", value=float("nan")), "nothing compares with NaN"),
        ("INTEGER", rule(Kind.MINIMUM, "x", value=float("nan")), "nothing compares with NaN"),
        ("DATE", rule(Kind.MINIMUM, "x", value="yesterday"), "is not a date or time such as"),
        ("DATE", rule(Kind.MINIMUM, "x", value=2024), "is not a date or time such as"),
        ("TIME", rule(Kind.MINIMUM, "x", value="noon"), "is not a time of day"),
        ("VARCHAR", rule(Kind.MINIMUM, "x", value=1.5), "is no value of a column of type VARCHAR"),
        ("VARCHAR", rule(Kind.MULTIPLE_OF, "x", value=2), "`multipleOf` asks for numbers"),
        ("INTEGER", rule(Kind.MULTIPLE_OF, "x", value=0), "must be a number above 0"),
        ("INTEGER", rule(Kind.PATTERN, "x", pattern="a"), "it asks for text, and the column is INTEGER"),
        ("INTEGER", rule(Kind.FORMAT, "x", format="email"), "it asks for text, and the column is INTEGER"),
        ("INTEGER", rule(Kind.MIN_LENGTH, "x", value=2), "it asks for text, and the column is INTEGER"),
        ("VARCHAR", rule(Kind.MIN_LENGTH, "x", value="2"), "a length must be a whole number"),
        ("VARCHAR", rule(Kind.PATTERN, "x", pattern="(?=a)"), "look-around"),
        ("VARCHAR", rule(Kind.FORMAT, "x", format="password"), "cannot be tested|can be tested"),
        ("INTEGER", rule(Kind.MINIMUM, value=1), "is asked of one column, not 0"),
        (
            "INTEGER",
            rule(Kind.NULL_VALUES, "x", operator="mustBeat", threshold=1),
            "`mustBeat` is not an operator. Did you mean",
        ),
        ("INTEGER", rule(Kind.NULL_VALUES, "x"), "`None` is not an operator"),
        ("INTEGER", rule(Kind.NULL_VALUES, "x", operator="mustBe", threshold="few"), "`few` is not a number"),
        ("INTEGER", rule(Kind.NULL_VALUES, "x", operator="mustBeBetween", threshold=1), "needs 2 numbers"),
        (
            "INTEGER",
            rule(Kind.NULL_VALUES, "x", operator="mustBe", threshold=1, unit="dozen"),
            "unit `dozen` cannot be used",
        ),
        (
            "INTEGER",
            rule(Kind.ROW_COUNT, operator="mustBe", threshold=1, unit="percent"),
            "unit `percent` cannot be used",
        ),
        (
            "INTEGER",
            rule(Kind.INVALID_VALUES, "x", operator="mustBe", threshold=0),
            "needs `validValues` or a `pattern`",
        ),
        (
            "INTEGER",
            rule(Kind.INVALID_VALUES, "x", operator="mustBe", threshold=0, valid_values="a"),
            "must be a list of values",
        ),
        (
            "INTEGER",
            rule(Kind.INVALID_VALUES, "x", operator="mustBe", threshold=0, valid_values=["a"]),
            "`a` is not a number",
        ),
    ],
)
def test_test_that_makes_no_sense_is_an_error_that_says_why_and_stops(con, type_, test, why):
    result = one(con, type_, "(NULL)", test)
    assert (result.status, result.stops, result.failing_rows) == (Status.ERROR, True, 0)
    assert any(part in result.message for part in why.split("|")), result.message
    warned = one(con, type_, "(NULL)", rule(test.kind, *test.columns, severity=Severity.WARNING, **test.arguments))
    assert (warned.status, warned.stops) == (Status.ERROR, False)


def test_every_kind_has_a_meaning(con):
    """A new kind must not pass for lack of an executor."""
    con.execute("CREATE TABLE t (x VARCHAR)")
    for kind in Kind:
        (result,) = audit(con, "t", contract(rule(kind, "x"), x="VARCHAR"))
        if kind is Kind.PANDERA:  # `schemas.attached` executes it (test_hand_written.py); here it must not pass
            assert result.status is Status.ERROR
        else:
            assert "yet" not in result.message


def test_severity_decides_between_fail_and_warn(con):
    for severity, status, stops in [(Severity.ERROR, Status.FAIL, True), (Severity.WARNING, Status.WARN, False)]:
        for kind, arguments in [(Kind.REQUIRED, {}), (Kind.NULL_VALUES, {"operator": "mustBe", "threshold": 0})]:
            result = one(con, "INTEGER", "(NULL)", rule(kind, "x", severity=severity, **arguments))
            assert (result.status, result.stops) == (status, stops)


def test_one_test_that_breaks_at_run_time_takes_no_other_down(con):
    """A view can fail on some rows only when a column is read."""
    con.execute(
        "CREATE VIEW v AS SELECT i AS id, CASE WHEN i = 3 THEN error('boom') ELSE 'a' END AS bad FROM range(5) AS r(i)"
    )
    tests = [
        rule(Kind.MINIMUM, "id", value=1),
        rule(Kind.MAX_LENGTH, "bad", value=1),
        rule(Kind.UNIQUE, "id"),
        rule(Kind.ROW_COUNT, operator="mustBe", threshold=5),
    ]
    minimum, broken, unique, rows = audit(con, "v", contract(*tests, id="BIGINT", bad="VARCHAR"))
    assert (minimum.failing_rows, minimum.total_rows, unique.status, rows.status) == (1, 5, Status.PASS, Status.PASS)
    assert (broken.status, "boom" in broken.message) == (Status.ERROR, True)
    secret = audit(con, "v", contract(*tests, id="BIGINT", bad="VARCHAR", masked="bad"))[1]
    assert (secret.status, "boom" in secret.message) == (Status.ERROR, False)


def test_table_that_cannot_be_read_fails_every_test_with_the_reason(con):
    results = audit(con, "nowhere", contract(rule(Kind.COLUMNS), rule(Kind.REQUIRED, "x"), x="INTEGER"))
    assert [result.status for result in results] == [Status.ERROR] * 2
    assert "the table cannot be read: Catalog Error" in results[1].message


def test_only_the_named_tests_run_in_the_contracts_order(con):
    tests = tuple(Test(name=name, kind=Kind.REQUIRED, columns=("x",)) for name in "abc")
    chosen = audit(con, "(SELECT 1 AS x)", contract(*tests, x="INTEGER"), tests={"c", "a"})
    assert [result.test.name for result in chosen] == ["a", "c"]
    assert audit(con, "(SELECT 1 AS x)", contract(*tests, x="INTEGER"), tests=[]) == ()
    with pytest.raises(UsageError, match="`aa` is no test of t. Did you mean|Known here"):
        audit(con, "(SELECT 1 AS x)", contract(*tests, x="INTEGER"), tests=["aa"])


@pytest.mark.parametrize(
    "name",
    [
        "two words",
        'a "quoted" one',
        "it's",
        "select",
        "Ärger",
        "🙂",
        "a.b",
        "a;b",
        "--",
        "x\\y",
        "{table}",
        "_r",
        "n",
        "i",
    ],
)
def test_any_name_of_a_column_works_in_every_kind(con, name):
    quoted = '"' + name.replace('"', '""') + '"'
    con.execute(f"CREATE TABLE t AS SELECT unnest(['a', 'a', NULL]) AS {quoted}, 1 AS other")
    tests = [
        rule(Kind.COLUMNS), rule(Kind.TYPES), rule(Kind.REQUIRED, name), rule(Kind.UNIQUE, name), rule(Kind.PRIMARY_KEY, name),
        rule(Kind.PATTERN, name, pattern="b"), rule(Kind.MAX_LENGTH, name, value=0), rule(Kind.MINIMUM, name, value="b"),
        rule(Kind.REFERENCE, name, to_table="d.o", to_columns=["x"]),
        rule(Kind.DUPLICATE_VALUES, name, operator="mustBe", threshold=0),
        rule(Kind.SQL, name, query="SELECT count({column}) FROM {table}", operator="mustBe", threshold=3),
    ]  # fmt: skip
    results = audit(
        con, "t", contract(*tests, **{name: "VARCHAR", "other": "INTEGER"}), related={"d.o": "(SELECT 'z' AS x)"}.get
    )
    assert [result.failing_rows for result in results] == [0, 0, 1, 2, 3, 2, 2, 2, 2, 2, 1], [
        result.message for result in results
    ]
    assert all(name in row for result in results[2:10] for row in result.sample)


def test_sample_has_the_key_the_tested_column_and_a_few_more_and_no_masked_value(con):
    listed = ", ".join(f"{n} AS c{n}" for n in range(12))
    con.execute(f"CREATE TABLE t AS SELECT {listed}, i AS key, 'secret' AS mail, NULL AS gone FROM range(40) AS r(i)")
    types = {**{f"c{n}": "INTEGER" for n in range(12)}, "key": "BIGINT", "mail": "VARCHAR", "gone": "INTEGER"}
    key, mail = rule(Kind.PRIMARY_KEY, "key"), rule(Kind.PATTERN, "mail", pattern="@")
    _, gone, secret = audit(con, "t", contract(key, rule(Kind.REQUIRED, "gone"), mail, masked="mail", **types))
    assert len(gone.sample) == len(secret.sample) == 10
    assert list(gone.sample[0]) == ["key", "gone", "c0", "c1", "c2", "c3", "c4", "c5"]
    assert secret.sample[0] == {"key": 0, "mail": "•••", **{f"c{n}": n for n in range(6)}}
    assert "secret" not in repr((secret.message, secret.query, secret.sample))
    assert len(audit(con, "t", contract(mail, **types), sample=3)[0].sample) == 3


def test_sample_holds_what_json_can_hold(con):
    con.execute(
        "CREATE TABLE t AS SELECT NULL AS x, 1.50::DECIMAL(10,2) AS d, 'infinity'::DATE AS forever, TIMESTAMPTZ '2024-01-01 01:00:00+01' AS z,"
        " 'nan'::DOUBLE AS n, repeat('a', 300) AS long, [DATE '2024-01-01'] AS l"
    )
    types = {
        "x": "INTEGER",
        "d": "DECIMAL(10,2)",
        "forever": "DATE",
        "z": "TIMESTAMPTZ",
        "n": "DOUBLE",
        "long": "VARCHAR",
        "l": "DATE[]",
    }
    (result,) = audit(con, "t", contract(rule(Kind.REQUIRED, "x"), **types))
    shown = {
        "x": None,
        "d": "1.50",
        "forever": "infinity",
        "z": "2024-01-01 00:00:00+00",
        "n": "nan",
        "long": "a" * 200 + "…",
        "l": ["2024-01-01"],
    }
    assert result.sample == (shown,)
    blob = audit(
        con,
        "(SELECT NULL AS x, 'ab'::BLOB AS b, {'a': 1} AS s, uuid() AS u, INTERVAL 1 DAY AS i)",
        contract(rule(Kind.REQUIRED, "x"), x="INTEGER", b="BLOB", s="STRUCT(a INTEGER)", u="UUID", i="INTERVAL"),
    )
    assert json.loads(json.dumps(rows_json(blob, "d.t"), allow_nan=False))[0]["sample"][0]["b"] == "2 bytes"


def test_json_of_a_result_is_that_of_mesh_test(con):
    result = one(con, "INTEGER", "(1), (NULL)", rule(Kind.REQUIRED, "x", severity=Severity.WARNING))
    assert result_json(result, "sales.calls") == {
        "table": "sales/calls", "name": "required", "type": "required", "column": "x", "severity": "warning", "status": "warn",
        "failing_rows": 1, "total_rows": 2, "quarantined_rows": 0, "sample": [{"x": None}], "message": "1 of 2 rows has no `x`.", "query": result.query,
    }  # fmt: skip
    assert result_json(one(con, "INTEGER", "(1)", rule(Kind.COLUMNS)), "a.b")["column"] is None
