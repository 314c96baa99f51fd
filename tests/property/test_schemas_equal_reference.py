"""A hand-written schema on DuckDB finds what pandera finds on polars: random tables, random built-in checks.

There is no list of allowed differences: what SQL cannot say exactly is left to the reference.
"""

import datetime as dt
import os
import re
import warnings
from decimal import Decimal

import duckdb
import pandera.ibis as pib
import pandera.pandas as ppd
import pandera.polars as ppl
import polars as pl
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from pandera.config import ValidationDepth, config_context
from pandera.errors import SchemaErrorReason, SchemaErrors

from mesh_assets.audit.schema import dtype
from mesh_assets.audit.values import Family, column_type
from mesh_assets.schemas.answer import Table, answers
from mesh_assets.schemas.asked import Word, asked
from tests.property.test_audit_equals_reference import EDGES, FLOATS, MOMENTS, SORTS, TEXTS, _stored, values_of

EXAMPLES = int(os.environ.get("MESH_TEST_EXAMPLES", "300"))
ATOMS = [
    r"\d",
    r"\w",
    r"\s",
    r"\D",
    r"\W",
    r"\S",
    ".",
    "a",
    "é",
    r"[^a\d]",
    r"[\w.-]",
    r"\b",
    r"\p{L}",
    "(?:ab|1)",
    "٣",
    r"\x61",
    "(a)",
]
PATTERNS = st.tuples(
    st.sampled_from(["{}", "^{}", "{}$", "^{}$", "(?i){}", "a|{}", "({})|b$", "(?={})"]),
    st.lists(st.tuples(st.sampled_from(ATOMS), st.sampled_from(["", "*", "+", "?", "{2}"])), min_size=1, max_size=3),
).map(lambda drawn: drawn[0].replace("{}", "".join(atom + times * (atom != r"\b") for atom, times in drawn[1])))
OTHERS = st.one_of(
    st.sampled_from(EDGES), st.booleans(), FLOATS, TEXTS, MOMENTS, MOMENTS.map(dt.datetime.date), st.none(),
    st.integers(-9, 9), st.sampled_from([Decimal("0.5"), Decimal("1e20"), dt.timedelta(1)]),
    MOMENTS.map(lambda moment: moment.replace(tzinfo=dt.timezone(dt.timedelta(hours=2)))),
)  # fmt: skip
COMPARING = ["eq", "ne", "gt", "ge", "lt", "le"]


@st.composite
def checks(draw, type_, present):
    """The name of a built-in check, what it is given, and whether it ignores nulls."""
    family = column_type(type_).family
    near = [st.sampled_from(present)] * 3 if present else []
    value = st.one_of(*near, values_of(type_), values_of(type_), OTHERS)
    names = [COMPARING, ["in_range"], ["isin", "notin"], ["unique_values_eq"]]
    names += [["str_matches", "str_contains", "str_startswith", "str_endswith", "str_length"]] * (
        3 if family is Family.TEXT else 0
    )
    name = draw(st.sampled_from(draw(st.sampled_from(names))))
    match name:
        case "in_range":
            least, most = draw(value), draw(value)
            given_ = {"min_value": least, "max_value": most}
            given_ |= {"include_min": draw(st.booleans()), "include_max": draw(st.booleans())}
        case "isin" | "notin":
            kind = draw(st.sampled_from([list, tuple]))
            listed = st.one_of(*near, values_of(type_), st.none()) if draw(st.integers(0, 4)) else value
            given_ = {
                "allowed_values" if name == "isin" else "forbidden_values": kind(draw(st.lists(listed, max_size=4)))
            }
        case "unique_values_eq":
            given_ = {
                "values": set(present) if draw(st.booleans()) else set(draw(st.lists(values_of(type_), max_size=2)))
            }
        case "str_matches" | "str_contains":
            given_ = {"pattern": draw(PATTERNS)}
        case "str_startswith" | "str_endswith":
            given_ = {"string": draw(TEXTS)}
        case "str_length":
            given_ = draw(
                st.sampled_from(
                    [{"min_value": 1}, {"max_value": 2}, {"min_value": 1, "max_value": 1}, {"exact_value": 2}]
                )
            )
        case _:
            word = "value" if name in ("eq", "ne") else "min_value" if name in ("gt", "ge") else "max_value"
            given_ = {word: draw(value)}
    return name, given_, draw(st.sampled_from([True, True, True, False]))


@st.composite
def tables(draw):
    type_ = draw(st.sampled_from(draw(st.sampled_from(SORTS))))
    rows = draw(st.integers(0, 6))
    values = draw(st.lists(st.one_of(values_of(type_), values_of(type_), st.none()), min_size=rows, max_size=rows))
    if rows and draw(st.booleans()):
        values[-1] = values[0]
    others = draw(st.lists(st.sampled_from([1, 1, 2, None]), min_size=rows, max_size=rows))
    frame = pl.DataFrame(
        {"x": values, "o": others}, schema={"x": dtype(column_type(type_)), "o": pl.Int64}, strict=True
    )
    present = [value for value in values if value is not None]
    return type_, frame, draw(st.lists(checks(type_, present), min_size=1, max_size=5))


def made(library, name, given_, ignore_na):
    """The check; None when pandera refuses to make it, as `ge(None)`."""
    try:
        return getattr(library.Check, name)(**given_, ignore_na=ignore_na)
    except (ValueError, TypeError, re.error):
        return None


def reference(frame, column=None, **of_schema):
    """Failing rows; None when the reference cannot execute it. One at a time: pandera cannot report several together."""
    schema = ppl.DataFrameSchema({"x": column or ppl.Column(nullable=True)}, **of_schema)
    try:
        with warnings.catch_warnings(), config_context(validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            warnings.simplefilter("ignore")
            schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        (error,) = errors.schema_errors
        cases = error.failure_cases
        if error.reason_code is SchemaErrorReason.CHECK_ERROR:
            return None
        return cases.height if isinstance(cases, pl.DataFrame) else 1
    return 0


def compare(case, library, con, relation):
    _, frame, wanted = case
    sound = [each for each in wanted if made(ppl, *each)]
    joint = ["x", "o"]
    schema = library.DataFrameSchema(
        {"x": library.Column(checks=[made(library, *each) for each in sound], unique=True)}, unique=joint
    )
    expected = {
        "not_nullable": reference(frame, ppl.Column()),
        "field_uniqueness": reference(frame, ppl.Column(unique=True, nullable=True)),
        "multiple_fields_uniqueness": reference(frame, unique=joint),
        **{
            index: reference(frame, ppl.Column(checks=[made(ppl, *each)], nullable=True))
            for index, each in enumerate(sound)
        },
    }
    found = answers(Table.of_connection(con, relation), asked(schema))
    for answer in found:
        one = answer.asked
        if one.word is Word.COLUMNS:
            continue
        told = f"{one.title} {case} {answer.query} {answer.how} {answer.error}"
        event(f"{one.title.split('(')[0]} {answer.how if not answer.error else 'refused'}")
        due = expected[one.index if one.word is Word.CHECK else one.title]
        if due is None:
            assert answer.error, told
        else:
            assert not answer.error, told
            assert answer.failing == due, told
            if due and not answer.whole:
                assert answer.cases is not None, told
                assert 1 <= answer.cases.height <= min(10, due), told


SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=EXAMPLES, **SETTINGS)
@given(
    case=tables(), library=st.sampled_from([ppl, ppl, ppd, pib]), form=st.sampled_from(["arrow", "table", "parquet"])
)
@example(("BIGINT", pl.DataFrame({"x": [2**53 + 1], "o": [1]}), [("eq", {"value": 2.0**53}, True)]), ppl, "arrow")
@example(("VARCHAR", pl.DataFrame({"x": ["xb"], "o": [1]}), [("str_matches", {"pattern": "a|b"}, True)]), ppl, "arrow")
@example(
    ("VARCHAR", pl.DataFrame({"x": ["٣", "é"], "o": [1, 1]}), [("str_matches", {"pattern": r"\d"}, True)]), ppd, "arrow"
)
@pytest.mark.long
def test_verdicts_and_counts_equal_the_reference(tmp_path_factory, case, library, form):
    from tests.property.test_audit_equals_reference import CON

    relation = _stored("schema_seen", case[1], form, folder_of(tmp_path_factory))
    compare(case, library, CON, relation)


_FOLDERS = []


def folder_of(factory):
    """One folder for all examples."""
    if not _FOLDERS:
        _FOLDERS.append(factory.mktemp("seen"))
    return _FOLDERS[0]


@pytest.mark.slow
def test_the_same_on_ten_thousand_tables(tmp_path_factory):
    folder = folder_of(tmp_path_factory)

    @settings(max_examples=10_000, **SETTINGS)
    @given(case=tables(), library=st.sampled_from([ppl, ppl, ppd, pib]), form=st.sampled_from(["arrow", "table"]))
    def run(case, library, form):
        con = duckdb.connect()
        con.register("schema_seen", case[1].to_arrow())
        if form == "table":
            con.execute("CREATE TABLE seen AS FROM schema_seen")
        compare(case, library, con, "seen" if form == "table" else "schema_seen")

    assert folder.exists()
    run()
