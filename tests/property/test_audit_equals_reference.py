"""The executor comes to the verdicts and counts of the reference, pandera on polars: random tables, random tests."""

import datetime as dt
import math
import tempfile
import uuid
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from mesh_assets.audit.execute import METRICS, audit
from mesh_assets.audit.patterns import Engine, compiled
from mesh_assets.audit.result import Status
from mesh_assets.audit.schema import counted, dtype, failures
from mesh_assets.audit.values import HOLDS, INTEGERS, NUMBERS, Family, column_type, quoted, text
from mesh_assets.contract import Column, Contract, Kind, Test

CON = duckdb.connect()
SORTS = (  # as often as they have tests of their own
    ["VARCHAR"],
    ["VARCHAR"],
    ["DOUBLE", "DOUBLE", "FLOAT"],
    ["DECIMAL(4,1)", "DECIMAL(18,3)", "DECIMAL(38,0)", "DECIMAL(38,10)"],
    [name for name in INTEGERS if "HUGE" not in name],  # 128 bits have no type in Arrow
    ["BOOLEAN", "DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIME"],
)
NAMES = ["id", "Ärger", "select", 'a "quoted" one', "two words", "it's", "🙂", "N"]
CHARACTERS = st.sampled_from([*"ab19 _.@", "\n", "\0", "\u00a0", "\v", "é", "٣", "🙂", "\u0301", "'", "\\", "A"])
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=3),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    st.sampled_from(["", "a@b.org", "2024-02-29", "10.0.0.1", "::1", "https://a.b/c", str(uuid.UUID(int=7))]),
)
MOMENTS = st.one_of(
    st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2040, 1, 1)),
    st.sampled_from(
        [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, 12), dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)]
    ),
)
FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 0.1, 0.3, 0.7, 1.5, 1e300, 2.0**53, math.nan, math.nan, math.inf, -math.inf]),
    st.integers(-9, 9).map(lambda tenths: tenths / 10),
    st.floats(),
)
EDGES = [0, 1, -1, 2**53, 2**53 + 1, 127, 128, -128, 255, 2**31, 2**63 - 1, -(2**63), 2**64 - 1, 2**64, 10**38]
ATOMS = [
    *[r"\s", r"\S", r"[\s\d]", r"[^\s]", ".", r"\d", r"\D", r"\w", r"\W", r"[\w.-]", "[^a-z0-9]", "[a-z]"],
    *["a", "(?:ab|1)", "@", "é", r"\u00e9", r"\.", r"\p{L}", r"[\]\[&~-]", r"\b", r"\B"],
]


@st.composite
def patterns(draw):
    parts = draw(
        st.lists(
            st.tuples(st.sampled_from(ATOMS), st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}", "+?"])),
            min_size=1,
            max_size=3,
        )
    )
    body = draw(st.sampled_from(["{}", "^{}", "{}$", "^{}$", "^(?:{})$", "(?i){}", r"\b{}", "a|{}", "({})|^$"]))
    return body.replace("{}", "".join(atom + times * (atom not in (r"\b", r"\B")) for atom, times in parts))


def values_of(name):
    type_ = column_type(name)
    match type_.family:
        case Family.INTEGER:
            edges = [edge for edge in EDGES if type_.low <= edge <= type_.high]
            return st.one_of(
                st.integers(max(-9, type_.low), 9), st.sampled_from(edges), st.integers(type_.low, type_.high)
            )
        case Family.DECIMAL:
            units = st.one_of(
                st.integers(-200, 200), st.integers(type_.low, type_.high), st.sampled_from([type_.low, type_.high])
            )
            return units.map(lambda number: Decimal(f"{number}e-{type_.scale}"))
        case Family.FLOAT:
            return FLOATS if name == "DOUBLE" else FLOATS.map(lambda number: pl.Series([number], dtype=pl.Float32)[0])
        case Family.TEXT:
            return TEXTS
        case Family.BOOLEAN:
            return st.booleans()
        case Family.DATE:
            return MOMENTS.map(dt.datetime.date)
        case Family.TIME:
            return MOMENTS.map(dt.datetime.time)
        case Family.TIMESTAMPTZ:
            return MOMENTS.map(lambda moment: moment.replace(tzinfo=dt.UTC))
    return MOMENTS


def bounds_of(name, present):
    """What a contract may compare with: values that are there, near misses, and numbers of other kinds."""
    family = column_type(name).family
    near = [st.sampled_from(present)] if present else []
    if family in NUMBERS:
        others = st.one_of(st.sampled_from([*EDGES, 0.1, 0.3, 10.5, -0.5, 1e20, "7.25"]), st.floats(allow_nan=False))
        return st.one_of(*near, *near, st.integers(-9, 9), others)
    if family in (Family.DATE, Family.TIMESTAMP, Family.TIMESTAMPTZ):
        return st.one_of(
            *near,
            MOMENTS.map(dt.datetime.isoformat),
            st.sampled_from(["2024-01-01", "2024-01-01T12:00:00Z", "2024-01-01T00:00:00+02:00"]),
        )
    return st.one_of(*near, values_of(name))


@st.composite
def rules_of(draw, number, types, data):
    """One test that makes sense for its column."""
    name = draw(st.sampled_from(sorted(types)))
    type_, present = types[name], [value for value in data[name] if value is not None]
    family = column_type(type_).family
    kinds = [[Kind.REQUIRED, Kind.UNIQUE, Kind.PRIMARY_KEY, Kind.REFERENCE]]
    kinds += [[Kind.ROW_COUNT, Kind.NULL_VALUES, Kind.DUPLICATE_VALUES, Kind.MISSING_VALUES, Kind.INVALID_VALUES]]
    kinds += [[*HOLDS]] if family is not Family.BOOLEAN else []
    kinds += [[Kind.MULTIPLE_OF]] if family in NUMBERS else []
    kinds += [[Kind.FORMAT]] if family is Family.INTEGER else []
    kinds += (
        [[Kind.PATTERN], [Kind.PATTERN, Kind.FORMAT, Kind.MIN_LENGTH, Kind.MAX_LENGTH]] if family is Family.TEXT else []
    )
    kind = draw(st.sampled_from(draw(st.sampled_from(kinds))))
    columns, arguments = (name,), {}
    if kind in (Kind.UNIQUE, Kind.PRIMARY_KEY, Kind.DUPLICATE_VALUES, Kind.NULL_VALUES, Kind.REFERENCE):
        columns = tuple(draw(st.permutations(sorted(types)))[: draw(st.integers(1, 2))])
    listed = st.lists(
        st.one_of(st.none(), values_of(type_), *([st.sampled_from(present)] if present else [])), max_size=3
    )
    match kind:
        case Kind.MINIMUM | Kind.MAXIMUM | Kind.EXCLUSIVE_MINIMUM | Kind.EXCLUSIVE_MAXIMUM:
            arguments = {"value": draw(bounds_of(type_, [one for one in present if one == one]))}  # noqa: PLR0124 - no NaN
        case Kind.MULTIPLE_OF:
            arguments = {"value": draw(st.sampled_from([1, 3, 0.5, 0.1, 0.1, 0.75, 2**62, 10**30, 128]))}
        case Kind.PATTERN:
            arguments = {"pattern": draw(patterns())}
        case Kind.FORMAT:
            formats = ["uuid", "email", "uri", "date", "date-time", "ipv4", "ipv6", "hostname", "byte", "yyyy-MM-dd"]
            arguments = {
                "format": draw(
                    st.sampled_from(formats if family is Family.TEXT else ["i8", "u8", "i32", "u64", "i128"])
                )
            }
        case Kind.MIN_LENGTH | Kind.MAX_LENGTH:
            arguments = {"value": draw(st.integers(0, 6))}
        case Kind.REFERENCE:
            arguments = {"to_table": "other.table", "to_columns": list(columns)}
        case Kind.MISSING_VALUES if draw(st.booleans()):
            arguments = {"missing_values": draw(listed)}
        case Kind.INVALID_VALUES:
            arguments = {"valid_values": draw(listed)}
            if family is Family.TEXT and draw(st.booleans()):
                arguments["pattern"] = draw(patterns())
    if kind in METRICS:
        arguments |= draw(demands(kind))
    return Test(name=f"t{number}", kind=kind, columns=() if kind is Kind.ROW_COUNT else columns, arguments=arguments)


@st.composite
def demands(draw, kind):
    operator = draw(
        st.sampled_from(
            ["mustBe", "mustNotBe", "mustBeGreaterThan", "mustBeLessOrEqualTo", "mustBeBetween", "mustNotBeBetween"]
        )
    )
    unit = draw(st.sampled_from(["rows", "percent"] if kind is not Kind.ROW_COUNT else ["rows"]))
    threshold = draw(st.sampled_from([0, 1, 2, 4, 25, 33.3, 50, 100]))
    return {
        "operator": operator,
        "threshold": [threshold, threshold + 1] if "Between" in operator else threshold,
        "unit": unit,
    }


@st.composite
def cases(draw):
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True))
    types = {name: draw(st.sampled_from(draw(st.sampled_from(SORTS)))) for name in names}
    rows = draw(st.integers(0, 6))
    data = {
        name: draw(st.lists(st.one_of(values_of(type_), st.none()), min_size=rows, max_size=rows))
        for name, type_ in types.items()
    }
    for name in types:  # equal values are rare by chance
        if rows and draw(st.booleans()):
            data[name][-1] = data[name][0]
    asked = tuple(draw(rules_of(number, types, data)) for number in range(draw(st.integers(1, 5))))
    frame = pl.DataFrame(data, schema={name: dtype(column_type(type_)) for name, type_ in types.items()}, strict=True)
    columns = tuple(Column(name=name, type=type_) for name, type_ in types.items())
    implied = (Test(name="columns", kind=Kind.COLUMNS), Test(name="types", kind=Kind.TYPES))
    return Contract(id="c", version="1", name="t", columns=columns, tests=(*implied, *asked)), frame


@settings(max_examples=200, deadline=None)
@given(st.lists(patterns(), min_size=4, max_size=8), st.lists(TEXTS, min_size=5, max_size=12))
def test_patterns_find_the_same_in_both_engines(asked, texts):
    CON.register("texts", pl.DataFrame({"x": texts}).to_arrow())
    listed = ", ".join(f"regexp_matches(x, {text(compiled(pattern, Engine.DUCKDB))})" for pattern in asked)
    ours = CON.execute(f"SELECT {listed} FROM texts").fetchall()
    theirs = pl.DataFrame({"x": texts}).select(
        pl.col("x").str.contains(compiled(pattern, Engine.POLARS)).alias(str(number))
        for number, pattern in enumerate(asked)
    )
    assert ours == theirs.rows(), (asked, texts)


@pytest.mark.timeout(1800)  # half a minute of work; on a machine that others load, more than the usual ten minutes
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases(), split=st.integers(0, 6), form=st.sampled_from(["arrow", "table", "parquet", "parquet of polars"]))
def test_verdicts_and_counts_equal_the_reference(case, split, form):
    contract, frame = case
    other = frame.slice(split)
    expected = failures(contract, frame, related=lambda _: other)
    with tempfile.TemporaryDirectory() as folder:
        here, there = (
            _stored(name, each, form, Path(folder)) for name, each in {"here": frame, "there": other}.items()
        )
        results = audit(CON, here, contract, related={"other.table": there}.get)
    types = {column.name: column_type(column.type) for column in contract.columns}
    for result in results:
        test, failing = result.test, expected[result.test.name]
        event(f"{test.kind} {result.status}")
        told = f"{test} {result.message}\n{result.query}\n{form} {frame.to_dicts()}"
        assert result.status is (Status.FAIL if failing else Status.PASS), told
        if test.kind in METRICS and test.kind is not Kind.ROW_COUNT:
            failing = frame.select(counted(test, types).sum()).item()
        assert result.failing_rows == failing, told
        assert result.total_rows == frame.height
        if failing and result.query and result.status is not Status.PASS:
            assert 1 <= len(result.sample) <= min(10, failing) or test.kind is Kind.ROW_COUNT, told


@pytest.mark.slow
def test_the_same_in_ten_thousand_cases():
    forms = st.sampled_from(["arrow", "table", "parquet", "parquet of polars"])
    inner = test_verdicts_and_counts_equal_the_reference.hypothesis.inner_test
    every = given(case=cases(), split=st.integers(0, 6), form=forms)(inner)
    settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))(every)()


def _stored(name, frame, form, folder):
    """SQL of the frame, stored in one of the ways that the lake or a reader may have it."""
    CON.register(name, frame.to_arrow())
    # Arrow's times of day are in nanoseconds, the lake's in microseconds.
    times = [
        f"CAST({quoted(column)} AS TIME) AS {quoted(column)}"
        for column, type_ in frame.schema.items()
        if type_ == pl.Time
    ]
    cast = f"(SELECT * REPLACE ({', '.join(times)}) FROM {{}})" if times else "{}"
    path = folder / f"{name}{uuid.uuid4()}.parquet"
    match form:
        case "arrow":
            return cast.format(name)
        case "table":
            CON.execute(f"CREATE OR REPLACE TABLE {name}_table AS FROM {cast.format(name)}")
            return f"{name}_table"
        case "parquet":
            CON.execute(f"COPY (FROM {cast.format(name)}) TO '{path}'")
            return f"read_parquet(['{path}'])"
    frame.write_parquet(path)  # by another writer: its statistics leave NaN out
    return cast.format(f"read_parquet(['{path}'])")
