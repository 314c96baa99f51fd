"""The library of tests: complete, answered on awkward data, and of the same mind as polars."""

import datetime as dt
import itertools
import json
import random
import re
import time

import duckdb
import polars as pl
import pytest
import yaml

from mesh_assets.audit import library
from mesh_assets.audit.execute import audit
from mesh_assets.audit.library.kinds import Form, Scope
from mesh_assets.audit.library.lists import COUNTRIES, CURRENCIES, MONTHS, PLACEHOLDERS, US_STATES
from mesh_assets.audit.result import Status
from mesh_assets.audit.values import column_type
from mesh_assets.contract import Column, Contract, Kind, Test
from mesh_assets.reading.custom import unsuited

KINDS = list(library.TYPES.values())
THEIRS = [
    "Alpha_Trunc",
    "Avg_Shift",
    "Constant",
    "Daily_Record_Ct",
    "Dec_Trunc",
    "Distinct_Date_Ct",
    "Distinct_Value_Ct",
    "Email_Format",
    "Future_Date",
    "Future_Date_1Y",
    "Incr_Avg_Shift",
    "LOV_All",
    "LOV_Match",
    "Min_Date",
    "Min_Val",
    "Missing_Pct",
    "Monthly_Rec_Ct",
    "Outlier_Pct_Above",
    "Outlier_Pct_Below",
    "Pattern_Match",
    "Recency",
    "Required",
    "Street_Addr_Pattern",
    "US_State",
    "Unique",
    "Unique_Pct",
    "Valid_Characters",
    "Valid_Month",
    "Valid_US_Zip",
    "Valid_US_Zip3",
    "Variability_Decrease",
    "Variability_Increase",
    "Weekly_Rec_Ct",
    "Dupe_Rows",
    "Freshness_Trend",
    "Metric_Trend",
    "Row_Ct",
    "Row_Ct_Pct",
    "Table_Freshness",
    "Volume_Trend",
    "Schema_Drift",
    "Aggregate_Balance",
    "Aggregate_Balance_Percent",
    "Aggregate_Balance_Range",
    "Aggregate_Minimum",
    "Combo_Match",
    "Distribution_Shift",
    "Timeframe_Combo_Gain",
    "Timeframe_Combo_Match",
    "CUSTOM",
    "Condition_Flag",
]


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'America/New_York'; SET threads = 1")
        yield connection


def contract(test: Test, types: dict[str, str]) -> Contract:
    columns = tuple(Column(name=name, type=kind) for name, kind in types.items())
    return Contract(id="c", version="1.0.0", name="t", columns=columns, tests=(test,))


def arguments(kind: library.TestType, types: dict[str, str]) -> dict[str, object]:
    """Parameters that suit such columns: those of its example, where they are no columns."""
    found = {one.name: one.default for one in kind.every_parameter if one.default is not None}
    found |= yaml.safe_load(kind.example) or {} if kind.example else {}
    for one in kind.parameters:
        if one.form in (Form.COLUMN, Form.COLUMNS) and (one.needed or one.name in found):
            name = next(name for name, word in types.items() if column_type(word).family in one.of)
            found[one.name] = name if one.form is Form.COLUMN else (name,)
        elif one.form is Form.CONDITION and (one.needed or one.name in found):
            found[one.name] = f'"{next(iter(types))}" IS NOT NULL'.replace('""', '"')
        elif one.form is Form.EXPRESSION and (one.needed or one.name in found):
            found[one.name] = "count(*)"
    found.pop("when", None)
    return found


def test_every_kind_says_what_it_is():
    assert len(KINDS) == len({kind.label for kind in KINDS}) >= 80
    assert not {kind.name for kind in KINDS} & {str(kind) for kind in Kind}
    dimensions = {
        "accuracy",
        "completeness",
        "conformity",
        "consistency",
        "coverage",
        "timeliness",
        "uniqueness",
    }  # of ODCS
    for kind in KINDS:
        assert kind.label
        assert kind.help.endswith(".")
        assert kind.dimension in dimensions
        assert all(one.help and one.help[-1] in ".:" for one in kind.every_parameter)
        needed = {one.name for one in kind.parameters if one.needed}
        example = yaml.safe_load(kind.example) or {} if kind.example else {}
        assert needed <= set(example) or (not kind.example and len(needed) == 0), kind.name
        assert set(example) <= {one.name for one in kind.every_parameter}, kind.name


def test_every_test_of_testgen_has_one_of_ours():
    ours = {theirs for kind in KINDS for theirs in kind.theirs} | set(library.ELSEWHERE)
    assert len(THEIRS) == 51
    assert set(THEIRS) <= ours
    assert set(library.ELSEWHERE.values()) <= {str(kind) for kind in Kind}


NAMES = ['we "said" so', "select", "número 名", "_before", "x", "n"]
AWKWARD = {
    "BIGINT": ["NULL", "0", "-1", "9223372036854775807", "9007199254740993"],
    "DOUBLE": ["NULL", "'nan'", "'inf'", "'-inf'", "1e300", "-0.0"],
    "DECIMAL(38,4)": [
        "NULL",
        "'9999999999999999999999999999999999.9999'",
        "0.0001",
        "'-9999999999999999999999999999999999.9999'",
    ],
    "VARCHAR": [
        "NULL",
        "''",
        "' '",
        "'a''b'",
        "'👩‍👩‍👧'",
        "'é'",
        "'e\u0301'",
        "'שלום'",
        "'A'",
        "'a'",
        "repeat('x', 1000000)",
        "'a\nb'",
        "chr(0)",
    ],
    "BOOLEAN": ["NULL", "true", "false"],
    "DATE": ["NULL", "'0001-01-01'", "'1582-10-10'", "'290000-01-01'", "'infinity'", "'2025-02-28'"],
    "TIMESTAMP": ["NULL", "'1500-01-01'", "'infinity'", "'2025-02-28 12:00:00.123456'"],
    "TIMESTAMP WITH TIME ZONE": ["NULL", "'1500-01-01 00:00:00+00'", "'-infinity'", "'2025-02-28 12:00:00+05'"],
    "TIME": ["NULL", "'23:59:59.999999'"],
    "UUID": ["NULL", "'00000000-0000-0000-0000-000000000000'"],
    "BLOB": ["NULL", "'\\x00'"],
    "INTEGER[]": ["NULL", "[]", "[1, NULL]"],
    "STRUCT(a INTEGER, b VARCHAR)": ["NULL", "{'a': 1, 'b': NULL}"],
}
OTHERS = {"i": "BIGINT", "d": "DATE", "s": "VARCHAR", "m": "DOUBLE"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_awkward_tables_are_answered_and_never_in_silence(con, kind):
    """Empty, all null, one row, and every value at once; in columns of difficult names. A refusal says why."""
    names = itertools.cycle(NAMES)
    for type_, values in AWKWARD.items():
        if kind.scope is Scope.TABLE and type_ not in ("DOUBLE", "VARCHAR", "DATE"):
            continue
        name = next(names)
        quoted = '"' + name.replace('"', '""') + '"'
        types = {**OTHERS, name: type_}
        others = ", ".join(
            f"CAST(k AS VARCHAR)::VARCHAR AS {key}"
            if key == "s"
            else f"DATE '2025-01-01' + k::INTEGER AS {key}"
            if key == "d"
            else f"k::{word} AS {key}"
            for key, word in OTHERS.items()
        )
        every = ", ".join(f"(CAST({value} AS {type_}))" for value in values)
        full = f"(SELECT {others}, v AS {quoted} FROM (SELECT row_number() OVER () AS k, x AS v FROM (VALUES {every}) AS r(x)))"
        tables = [full, f"(FROM {full} WHERE false)", f"(FROM {full} WHERE {quoted} IS NULL)", f"(FROM {full} LIMIT 1)"]
        given = arguments(kind, types)
        if name_given := {
            one.name
            for one in kind.parameters
            if one.form in (Form.COLUMN, Form.COLUMNS)
            and one.of >= {column_type(type_).family}
            and one.name in given
            and one.form is Form.COLUMNS
        }:
            given |= dict.fromkeys(name_given, (name,))
        given |= {"to_columns": given["columns"]} if "to_columns" in {one.name for one in kind.parameters} else {}
        test = Test(
            name="t",
            kind=Kind.LIBRARY,
            type=kind.name,
            columns=(name,) if kind.scope is Scope.COLUMN else (),
            arguments=given,
        )
        for relation in tables:
            (result,) = audit(
                con,
                relation,
                contract(test, types),
                related={"a.b": full, "shop.prices": full, "shop.ledger": full, "shop.invoices": full}.get,
            )
            assert result.message
            if result.status is Status.ERROR:
                suits = column_type(type_).family in kind.families
                assert not suits or re.search(
                    r"is no(t a)? |no value of|Could not convert|out of range|Out of Range", result.message
                ), (type_, result.message)


STANDARD = [
    (Kind.REQUIRED, {}, 1), (Kind.UNIQUE, {}, 0), (Kind.PRIMARY_KEY, {}, 1), (Kind.MINIMUM, {"value": 1}, 0), (Kind.MAXIMUM, {"value": 1}, 0),
    (Kind.EXCLUSIVE_MINIMUM, {"value": 1}, 0), (Kind.EXCLUSIVE_MAXIMUM, {"value": 1}, 0), (Kind.MULTIPLE_OF, {"value": 2}, 0),
    (Kind.PATTERN, {"pattern": "^[a-z]+$"}, 0), (Kind.FORMAT, {"format": "email"}, 0), (Kind.MIN_LENGTH, {"value": 1}, 0),
    (Kind.MAX_LENGTH, {"value": 3}, 0), (Kind.NULL_VALUES, {"operator": "mustBe", "threshold": 0}, 1),
    (Kind.MISSING_VALUES, {"operator": "mustBe", "threshold": 0}, 1), (Kind.DUPLICATE_VALUES, {"operator": "mustBe", "threshold": 0}, 0),
    (Kind.INVALID_VALUES, {"valid_values": [], "operator": "mustBe", "threshold": 0}, 0),
    (Kind.REFERENCE, {"to_table": "a.b", "to_columns": ["x"]}, 0),
    (Kind.SQL, {"query": "select count(*) from {table} where {column} is null", "operator": "mustBe", "threshold": 0}, 1),
]  # fmt: skip
"""The standard's own kinds that are asked of a column, with how many fail of one row that holds null."""


@pytest.mark.parametrize(
    ("kind", "given", "of_null"), STANDARD, ids=lambda part: str(part) if isinstance(part, Kind) else ""
)
def test_awkward_tables_are_answered_by_the_standards_kinds(con, kind, given, of_null):
    """Empty: nothing is wrong. Null: as the kind says. All at once: an answer, or why there is none; never silence."""
    for (type_, values), name in zip(AWKWARD.items(), itertools.cycle(NAMES), strict=False):
        quoted = '"' + name.replace('"', '""') + '"'
        every = ", ".join(f"(CAST({value} AS {type_}))" for value in values)
        full = f"(SELECT x AS {quoted} FROM (VALUES {every}) AS r(x))"
        value = (
            "2025-01-01"
            if type_ in ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")
            else "12:00:00"
            if type_ == "TIME"
            else "b"
        )
        numeric = type_ in ("BIGINT", "DOUBLE", "DECIMAL(38,4)")
        bound = {"value": value} if "value" in given and "length" not in kind and not numeric else {}
        test = Test(name="t", kind=kind, columns=(name,), arguments=given | bound)
        none = f"(SELECT NULL::{type_} AS {quoted})"
        found = [
            audit(
                con,
                relation,
                contract(test, {name: type_}),
                related=lambda _, none=none: f"(SELECT * FROM {none} AS r(x))",
            )[0]
            for relation in (f"(FROM {full} WHERE false)", none, full)
        ]
        refused = {result.status is Status.ERROR for result in found}
        assert len(refused) == 1, [result.message for result in found]
        if refused == {True}:
            assert re.search(
                r"asks for|makes no sense|no (?:number|date|order|multiple)|is not a|and the column is|do not compare|cannot|not compared",
                found[0].message,
            ), (type_, found[0].message)
            continue
        empty, null, every_one = found
        assert (empty.status, empty.failing_rows, null.failing_rows) == (Status.PASS, 0, of_null), (type_, null.message)
        assert 0 <= every_one.failing_rows <= every_one.total_rows == len(values)
        assert (every_one.status is Status.PASS) == (not every_one.failing_rows), every_one.message
        if every_one.failing_rows and kind is not Kind.SQL:
            assert json.loads(json.dumps(every_one.sample))


@pytest.mark.parametrize(
    ("name", "column", "given"),
    [
        ("range", "x", {"least": 10, "most": 1}),
        ("range", "d", {"least": "2025-02-01", "most": "2025-01-01"}),
        ("rows_per_group", "", {"columns": ("x",), "least": 10, "most": 1}),
        ("metric", "x", {"aggregate": "mean", "least": 10, "most": 1}),
        ("rows", "", {"least": 10, "most": 1}),
    ],
)
def test_limits_that_nothing_fits_are_refused_when_the_contract_is_read(name, column, given):
    """`mesh check` asks for the answer without a table, and tells what it says with its place (M527)."""
    types = {"x": "BIGINT", "d": "DATE"}
    test = Test(name="t", kind=Kind.LIBRARY, type=name, columns=(column,) if column else (), arguments=given)
    (problem,) = unsuited(test, {one: column_type(word) for one, word in types.items()})
    assert problem.code == "M527"
    assert "fits" in problem.what or "more than `most`" in problem.what


def test_a_pattern_that_would_backtrack_for_ever_is_answered_in_no_time(con):
    """By an automaton: two to the power of a million ways to divide the text are none to it."""
    test = Test(name="t", kind=Kind.PATTERN, columns=("x",), arguments={"pattern": "^(a+)+$"})
    began = time.process_time()
    (result,) = audit(con, "(SELECT repeat('a', 1000000) || 'b' AS x)", contract(test, {"x": "VARCHAR"}))
    assert (result.failing_rows, time.process_time() - began < 10) == (1, True)


def test_a_column_that_is_gone_is_no_pass(con):
    for kind in KINDS:
        columns = ("gone",) if kind.scope is Scope.COLUMN else ()
        given = {
            one.name: ("gone",) if one.form is Form.COLUMNS else "gone"
            for one in kind.parameters
            if one.form in (Form.COLUMN, Form.COLUMNS)
        }
        if not columns and not given:
            continue
        test = Test(name="t", kind=Kind.LIBRARY, type=kind.name, columns=columns, arguments=given)
        (result,) = audit(con, "(SELECT 1 AS x)", contract(test, {"x": "INTEGER"}), related=lambda _: "(SELECT 1 AS x)")
        assert result.status is Status.ERROR
        assert "`gone` is missing" in result.message


# -- the same as polars --------------------------------------------------------------------------------------------------

X, Y = pl.col("x"), pl.col("y")
BLANK = r"^[ \t\r\n\f\v]*$"
TEXTS = [
    None, "", " ", "\t\n", "a", "A", "aB", "é", "É", "名", "ß", " a", "a ", "\u00a0a", "'a'", '"a"', "\"a'", "n/a", "N/A", " tbd ", "unknown",
    "a@b.co", "a@b", "@b.co", "a.b+c@d-e.f.org", "x a@b.co y", "a@-b.co", "OH", "oh", " oh ", "ZZ", "12345", "12345-6789", "123456789", "1234", "123", "12a",
    "5 Main St", "Main St", "5", "221B Baker St.", "jan", "13", "01", "December", "a|b", "a;b", "a\tb", "|", "5 mg", "5mg", "5.5%", "$5", "1,000 kg",
    "1234567893", "1234567890", "4532015112830366", "4532 0151 1283 0366", "79927398713", "79927398710", "0", "00", "{}", "[1,2]", "{a}", "null", "x\u200by", "x\ty",
    "x\x07y", "1", "-", "PT", "pt", "EUR", "eur", "+1 (555) 010-9999", "555", "call me", "9a", "_a", "a1", "a\nb", "NULL",
]  # fmt: skip
NUMBERS = [
    None,
    0.0,
    -0.0,
    1.0,
    1.5,
    1.25,
    90.0,
    90.1,
    -90.1,
    180.0,
    181.0,
    float("nan"),
    float("inf"),
    float("-inf"),
    2.345,
]
DATES = [
    None,
    dt.date(1900, 1, 1),
    dt.date(1970, 1, 1),
    dt.date(9999, 12, 31),
    dt.date(2025, 2, 28),
    dt.date(2025, 3, 1),
    dt.date(2025, 3, 2),
    dt.date(2099, 12, 31),
]


def whole(pattern: str) -> pl.Expr:
    return ~X.str.contains(f"^(?:{pattern})$") & ~X.str.contains(BLANK)


def luhn(text: str | None) -> bool | None:
    """Whether the check digit is wrong, by the book."""
    if text is None or not text.strip(" \t\r\n\f\v"):
        return False
    digits = text.replace(" ", "").replace("-", "")
    if not re.fullmatch("[0-9]{2,40}", digits):
        return True
    total = 0
    for place, digit in enumerate(map(int, reversed(digits))):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 != 0


def npi(text: str | None) -> bool:
    if text is None or not text.strip(" \t\r\n\f\v"):
        return False
    return not re.fullmatch("[12][0-9]{9}", text) or bool(luhn("80840" + text))


STRIPPED = X.str.strip_chars(" \t\r\n")
REFERENCE = {
    "constant": ({"value": "a"}, TEXTS, X != "a"),
    "range": ({"least": -1, "most": 90}, NUMBERS, X.is_nan() | (X < -1) | (X > 90)),
    "email": ({}, TEXTS, whole(r"[A-Za-z0-9._%+'-]+@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}")),
    "us_state": ({}, TEXTS, ~STRIPPED.str.to_uppercase().is_in([*US_STATES, ""])),
    "us_zip": ({}, TEXTS, whole(r"\pN{5}(-?\pN{4})?")),
    "us_zip3": ({}, TEXTS, whole(r"[0-9][0-9][0-9]")),
    "street_address": ({}, TEXTS, whole(r"[0-9]{1,5}[A-Za-z]? .*[A-Za-z].*")),
    "month_name": ({}, TEXTS, ~STRIPPED.str.to_uppercase().is_in([*MONTHS, ""])),
    "country_code": ({}, TEXTS, ~STRIPPED.is_in([*COUNTRIES, ""])),
    "currency_code": ({}, TEXTS, ~STRIPPED.is_in([*CURRENCIES, ""])),
    "phone": ({}, TEXTS, whole(r"\+?[0-9(][0-9 ().\-/]{5,18}[0-9]")),
    "no_control_characters": ({}, TEXTS, X.str.contains(r"[\p{Cc}\x{200B}-\x{200F}\x{FEFF}]")),
    "trimmed": ({}, TEXTS, X.str.strip_chars(" \t\r\n\f\v\u00a0") != X),
    "no_quotes_around": ({}, TEXTS, (X.str.len_chars() > 1) & ((X.str.starts_with("'") & X.str.ends_with("'")) | (X.str.starts_with('"') & X.str.ends_with('"')))),
    "no_placeholders": ({}, TEXTS, STRIPPED.str.to_lowercase().is_in([*PLACEHOLDERS])),
    "no_embedded_lists": ({}, TEXTS, X.str.replace_all(r"[|;\t]", "|").str.strip_chars("|").str.contains("|", literal=True)),
    "casing": ({"casing": "upper"}, TEXTS, X.str.to_uppercase() != X),
    "no_digits": ({}, TEXTS, X.str.contains_any([*"0123456789"])),
    "starts_with_letter": ({}, TEXTS, X.str.head(1).str.contains(r"[^\p{L} \t\r\n]")),
    "no_number_units": ({}, TEXTS, X.str.contains(r"^ *[-+]?\d+([.,]\d+)* *[A-Za-z%$]{1,4} *$")),
    "no_emails": ({}, TEXTS, X.str.contains(r"[A-Za-z0-9._%+'-]@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\.[A-Za-z]{2,}")),
    "luhn": ({}, TEXTS, X.map_elements(luhn, return_dtype=pl.Boolean)),
    "npi": ({}, TEXTS, X.map_elements(npi, return_dtype=pl.Boolean)),
    "json": ({}, [None, "{}", "[1]", "{a}", "1", "null", '{"a": 1', "x"], ~X.is_in(["{}", "[1]", "1", "null"])),
    "not_in_future": ({"days": 0}, DATES, dt.datetime.now(dt.UTC).date() < X),
    "not_older_than": ({"days": 4000}, DATES, dt.datetime.now(dt.UTC).date() - dt.timedelta(days=4000) > X),
    "no_default_dates": ({}, DATES, X.is_in([dt.date(1900, 1, 1), dt.date(1970, 1, 1), dt.date(9999, 12, 31), dt.date(2099, 12, 31)])),
    "working_day": ({}, DATES, X.dt.weekday() >= 6),
    "finite": ({}, NUMBERS, ~X.is_finite()),
    "whole": ({}, NUMBERS, ~X.is_finite() | (X.is_finite() & (X.round() != X))),
    "decimals": ({"places": 2}, NUMBERS, X.is_finite() & (((X * 100) - (X * 100).round()).abs() > 1e-6)),
    "latitude": ({}, NUMBERS, X.is_nan() | (X.abs() > 90) | (X == 0)),
    "longitude": ({}, NUMBERS, X.is_nan() | (X.abs() > 180) | (X == 0)),
    "condition": ({"condition": "x <= y"}, NUMBERS, X > Y),
    "compare_columns": ({"left": "x", "operator": "<", "right": "y"}, NUMBERS, ~(X < Y)),
    "given_together": ({"columns": ("x", "y"), "given": "any"}, NUMBERS, X.is_null() & Y.is_null()),
    "sum_of_columns": ({"total": "x", "parts": ("y",), "within": 0.5}, [None, 1.0, 1.5, 2.0, 3.0], (X - Y.fill_null(0)).abs() > 0.5),
}  # fmt: skip


def test_every_kind_on_rows_has_a_reference():
    assert set(REFERENCE) == {kind.name for kind in library.ROWS}


@pytest.mark.parametrize("name", REFERENCE)
def test_rows_fail_as_polars_says(con, name):
    given, pool, wrong = REFERENCE[name]
    dice = random.Random(7)
    xs = [*pool, *dice.choices(pool, k=60)]
    pair = [(None, None), *((x, dice.choice(pool)) for x in xs)]
    frame = pl.DataFrame({"x": [x for x, _ in pair], "y": [y for _, y in pair], "n": range(len(pair))}, strict=False)
    con.register("frame", frame.to_arrow())
    types = {"x": frame["x"].dtype, "y": frame["y"].dtype}
    words = {pl.String: "VARCHAR", pl.Float64: "DOUBLE", pl.Date: "DATE"}
    columns = {"x": words[types["x"]], "y": words[types["y"]], "n": "BIGINT"}
    kind = library.TYPES[name]
    base = {one.name: one.default for one in kind.every_parameter if one.default is not None}
    test = Test(
        name="t",
        kind=Kind.LIBRARY,
        type=name,
        columns=("x",) if kind.scope is Scope.COLUMN else (),
        arguments=base | given,
    )
    relation = f"(SELECT x::{columns['x']} AS x, y::{columns['y']} AS y, n FROM frame)"
    (result,) = audit(con, relation, contract(test, columns), sample=1000)
    expected = frame.filter(wrong)
    shown = {row["x"] for row in result.sample}
    differ = (
        {repr(x) for x in {repr(x) for x in expected["x"].to_list()} ^ {repr(v) for v in shown}}
        if columns["x"] == "VARCHAR"
        else ""
    )
    assert result.failing_rows == expected.height, differ
    assert 0 < expected.height < frame.height


@pytest.mark.parametrize(
    ("most", "unit", "ok"),
    [(0, "rows", False), (2, "rows", True), (1, "rows", False), (50, "percent", True), (49.9, "percent", False)],
)
def test_a_few_failing_rows_may_be_allowed(con, most, unit, ok):
    test = Test(name="t", kind=Kind.LIBRARY, type="us_state", columns=("x",), arguments={"at_most": most, "unit": unit})
    (result,) = audit(con, "(VALUES ('OH'), ('XX'), ('YY'), (NULL)) AS v(x)", contract(test, {"x": "VARCHAR"}))
    assert (result.status is Status.PASS, result.failing_rows) == (ok, 2)


def test_only_rows_that_when_names_are_looked_at(con):
    test = Test(name="t", kind=Kind.LIBRARY, type="us_state", columns=("x",), arguments={"when": "c = 'US'"})
    table = "(VALUES ('OH', 'US'), ('XX', 'US'), ('YY', 'PT'), ('ZZ', NULL)) AS v(x, c)"
    (result,) = audit(con, table, contract(test, {"x": "VARCHAR", "c": "VARCHAR"}))
    assert result.failing_rows == 1
    assert result.sample == ({"x": "XX", "c": "US"},)


DAYS_OF = "(SELECT DATE '2025-01-01' + i::INTEGER AS d, i AS x, i % 3 AS g, i / 4.0 AS f, 'k' || i % 5 AS s FROM range(40) AS r(i) WHERE i <> 9)"
FIXED = [
    ("duplicate_rows", "", {"columns": ("g",)}, 39), ("duplicate_rows", "", {}, 0),
    ("determines", "", {"columns": ("g",), "determine": ("s",)}, 39), ("determines", "", {"columns": ("x",), "determine": ("s",)}, 0),
    ("rows_per_group", "", {"columns": ("g",), "least": 14}, 39), ("rows_per_group", "", {"columns": ("g",), "most": 12}, 39),
    ("increasing", "x", {"by": ("d",)}, 0), ("increasing", "g", {"by": ("d",)}, 13), ("increasing", "g", {"by": ("d",), "strictly": True}, 13),
    ("max_jump", "x", {"by": ("d",), "most": 1, "unit_of_change": "units"}, 1), ("max_jump", "x", {"by": ("d",), "most": 50}, 1 + 1),
    ("not_stuck", "g", {"by": ("x",), "times": 1}, 0), ("not_stuck", "g", {"by": ("s", "x"), "times": 1}, None),
    ("no_gaps", "x", {}, 1), ("no_gaps", "x", {"within": ("g",)}, 39 - 3),
    ("no_overlaps", "", {"start": "x", "end": "x"}, 0), ("no_overlaps", "", {"start": "x", "end": "g"}, None),
    ("in_reference", "", {"columns": ("x",), "to_table": "a.b", "to_columns": ("g",)}, 36),
    ("in_reference", "", {"columns": ("x",), "to_table": "a.b", "to_columns": ("g",), "present": False}, 3),
    ("no_dropped_values", "", {"columns": ("x",), "date": "d", "days": 5}, 5), ("no_dropped_values", "", {"columns": ("s",), "date": "d", "days": 5}, 0),
    ("same_values", "", {"columns": ("x",), "date": "d", "days": 5}, 10), ("not_late", "", {"happened": "d", "arrived": "d", "days": 0}, 0),
    ("metric", "x", {"aggregate": "maximum", "most": 39}, 0), ("metric", "x", {"aggregate": "maximum", "most": 38}, 1),
    ("metric", "x", {"aggregate": "sum", "least": 771, "most": 771}, 0), ("quantile", "x", {"percent": 50, "least": 20, "most": 20}, 0),
    ("distinct_values", "s", {"least": 5, "most": 5}, 0), ("distinct_values", "s", {"least": 6}, 1), ("distinct_days", "d", {"least": 40}, 1),
    ("longest_text", "s", {"least": 3}, 1), ("fractions", "f", {"least": 15}, 1), ("fractions", "f", {"least": 14.75}, 0),
    ("rows", "", {"when": "g = 0", "least": 13, "most": 13}, 0), ("share", "", {"condition": "g = 0", "least": 33, "most": 34}, 0),
    ("expression", "", {"expression": "sum(x) / count(*)", "most": 19}, 1), ("all_values", "s", {"values": ("k0", "k1", "k2", "k3", "k4")}, 0),
    ("all_values", "s", {"values": ("k0", "k1", "k2", "k3", "k4", "k5")}, 1), ("all_values", "s", {"values": ("k0", "k1", "k2", "k3")}, 1),
    ("every_day", "d", {}, 1), ("every_day", "d", {"at_most": 1}, 0), ("every_day", "d", {"holidays": ("2025-01-10",)}, 0),
    ("every_week", "d", {}, 0), ("every_month", "d", {}, 0), ("recent", "d", {"days": 30}, 1), ("recent", "d", {"days": 100000}, 0),
    ("fresh", "d", {"hours": 1}, 1), ("outliers_above", "x", {"deviations": 2, "most": 0}, 0), ("outliers_above", "x", {"deviations": 1, "most": 5}, 1),
    ("outliers_below", "x", {"deviations": 1, "most": 5}, 1), ("balance", "", {"of": "x", "by": ("g",), "to_table": "a.b"}, 0),
    ("balance", "", {"of": "x", "to_of": "f", "to_table": "a.b"}, 1), ("balance", "", {"of": "x", "to_of": "f", "to_table": "a.b", "only_below": True}, 0),
    ("balance", "", {"of": "f", "to_of": "x", "to_table": "a.b", "only_below": True}, 1),
    ("balance", "", {"of": "f", "to_of": "x", "to_table": "a.b", "unit_of_difference": "percent", "least": 75}, 0),
    ("balance", "", {"of": "f", "to_of": "x", "to_table": "a.b", "unit_of_difference": "percent", "least": 74}, 1),
    ("same_rows", "", {"to_table": "a.b"}, 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "column", "given", "failing"), FIXED)
def test_tables_small_enough_to_count_by_hand(con, name, column, given, failing):
    kind = library.TYPES[name]
    types = {"d": "DATE", "x": "BIGINT", "g": "BIGINT", "f": "DOUBLE", "s": "VARCHAR"}
    base = {one.name: one.default for one in kind.every_parameter if one.default is not None}
    test = Test(name="t", kind=Kind.LIBRARY, type=name, columns=(column,) if column else (), arguments=base | given)
    (result,) = audit(con, DAYS_OF, contract(test, types), related=lambda _: DAYS_OF)
    assert result.status is not Status.ERROR, result.message
    if failing is not None:
        assert result.failing_rows == failing, result.message
        assert (result.status is Status.PASS) == (failing == 0)


@pytest.mark.parametrize(("name", "given", "failing"), [
    ("increasing", {}, 1), ("increasing", {"strictly": True}, 2), ("max_jump", {"most": 1, "unit_of_change": "units"}, 2), ("not_stuck", {"times": 1}, 2),
])  # fmt: skip
def test_rows_of_the_same_day_are_counted_in_whatever_order_they_lie(con, name, given, failing):
    values = [(1, 3), (1, 4), (1, 3), (2, 5), (2, 2)]
    test = Test(name="t", kind=Kind.LIBRARY, type=name, columns=("x",), arguments={"by": ("d",), **given})
    for rows in (values, values[::-1], sorted(values, key=lambda row: -row[1])):
        table = f"(VALUES {', '.join(map(str, rows))}) AS v(d, x)"
        (result,) = audit(con, table, contract(test, {"d": "INTEGER", "x": "INTEGER"}))
        assert result.failing_rows == failing, rows


def test_a_run_of_rows_that_tie_is_one_run(con):
    """In several threads, windows see such rows in another order each."""
    test = Test(name="t", kind=Kind.LIBRARY, type="not_stuck", columns=("x",), arguments={"by": ("d",), "times": 4999})
    for order in ("i", "-i", "hash(i)"):
        table = f"(SELECT i // 100 AS d, 7 AS x FROM range(5000) AS r(i) ORDER BY {order})"
        (result,) = audit(con, table, contract(test, {"d": "INTEGER", "x": "INTEGER"}))
        assert result.failing_rows == 5000, order


def test_every_measure_and_group_is_counted_by_hand_or_has_a_history():
    counted = {name for name, *_ in FIXED}
    assert {kind.name for kind in KINDS if kind.name not in REFERENCE and not kind.history} == counted
