"""Patterns that polars looks at first: the same answers as DuckDB's alone."""

from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh_assets.audit import texts
from mesh_assets.audit.contents import Contents, Knowledge, Layer
from mesh_assets.audit.execute import audit
from mesh_assets.audit.plan import plan
from mesh_assets.audit.questions import question
from mesh_assets.audit.scan import types_of
from mesh_assets.audit.values import column_type, text
from mesh_assets.contract import Kind
from mesh_assets.lake.files import _footers
from mesh_assets.lake.sqltext import as_parquet, parquet
from tests.verdict_rules import contract, rule, shows_failing_rows, told

pytestmark = pytest.mark.usefixtures("polars_looks_first")
CON = duckdb.connect()
TYPES = {"code": column_type("VARCHAR")}
PATTERNS = [r"^[a-z]+$", r"^A-\d{2}$", r"\S", r"^.$", r"^(a|b)?$", r"\bx\b", "^[^']*$", r"^\p{L}*$", "é", "^$"]
WORDS = [
    "a",
    "b",
    "ab",
    "A-12",
    "A-1",
    "",
    " ",
    "x",
    "ax x",
    "it's",
    'say "x"',
    "é",
    "e\u0301",
    "😀",
    "שלום",
    "a\nb",
    "\u00a0",
    "z" * 300,
    "nul\0",
]


def files(folder: Path, *parts: str, listed: bool = False) -> tuple[str, Knowledge]:
    """Parquet files of these queries, each text on its own unless they are to be listed once, and what is known of them."""
    written = as_parquet(()) + ("" if listed else ", DICTIONARY_SIZE_LIMIT 1")
    paths = tuple(str(folder / f"{number}.parquet") for number in range(len(parts)))
    for path, query in zip(paths, parts, strict=True):
        CON.execute(f"COPY ({query}) TO {text(path)} ({written})")
    relation = parquet(paths)
    layer = Layer(sql=relation, files=_footers(CON, paths, frozenset()))
    return relation, Knowledge(contents=Contents(table="a.t", layers=(layer,)))


def asked(*patterns: str):
    return contract(*(replace(rule(Kind.PATTERN, "code", pattern=one), name=one) for one in patterns))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.one_of(st.none(), st.sampled_from(WORDS), st.text(max_size=4)), min_size=1), min_size=1, max_size=3),
    st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3, unique=True),
    st.sampled_from([1, 3, 1000]),
)  # fmt: skip
def test_the_same_rows_are_found(tmp_path_factory, values, patterns, listed):
    parts = []
    for number, each in enumerate(values):
        CON.execute(f"CREATE OR REPLACE TEMP TABLE v{number} (i INTEGER, code VARCHAR)")
        CON.executemany(f"INSERT INTO v{number} VALUES (?, ?)", list(enumerate(each)))
        parts.append(f"FROM v{number}")
    relation, known = files(tmp_path_factory.mktemp("t"), *parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "LISTED", listed)
        found = audit(CON, relation, asked(*patterns), known=known, sample=3)
    full = audit(CON, relation, asked(*patterns), sample=1000)
    assert told(found) == told(full)
    shows_failing_rows(found, full, 3)


@pytest.mark.parametrize(("query", "condition"), [
    ("SELECT 'A-' || i AS code FROM range(10, 99) t(i)", "FALSE"),
    ("SELECT CASE i WHEN 11 THEN 'it''s' WHEN 12 THEN NULL ELSE 'A-' || i END AS code FROM range(10, 99) t(i)", """"code" IN ('it''s')"""),
    ("SELECT 'A' || i || chr(0) AS code FROM range(2) t(i)", ""),
    ("SELECT repeat('x', 999) || i AS code FROM range(2) t(i)", f""""code" IN ('{'x' * 999}0', '{'x' * 999}1')"""),
    ("SELECT repeat('x', 1000) || i AS code FROM range(2) t(i)", ""),
    ("SELECT 'x' || i % 2 AS code FROM range(20000) t(i)", """"code" IN ('x0', 'x1')"""),
    ("SELECT 'x' || i % 2 AS code FROM range(20001) t(i)", ""),
    ("SELECT 'x' || i AS code FROM range(1001) t(i)", ""),
    ("SELECT i AS code FROM range(5) t(i)", ""),
    ("SELECT 'A-11' AS kode", ""),
    ("SELECT 'A-11' AS code, INTERVAL 1 DAY AS span", ""),
])  # fmt: skip
def test_few_texts_are_named_and_else_nothing_is_taken_over(tmp_path, query, condition):
    relation, known = files(tmp_path, query)
    step = _step(known, TYPES | types_of(CON, relation))
    rows = step.steps[0].rows
    assert texts.narrowed(CON, step, {0: rows}) == {0: condition or rows.condition}


def test_columns_with_a_dictionary_and_files_that_are_far_or_gone_are_left_to_duckdb(tmp_path):
    query = "SELECT 'A-' || (10 + i % 9) AS code FROM range(1000) t(i)"
    step = _step(files(tmp_path, query, listed=True)[1])
    rows = step.steps[0].rows
    assert texts.narrowed(CON, step, {0: rows})[0] == rows.condition
    step = _step(files(tmp_path, query)[1])
    assert texts.narrowed(CON, step, {0: rows})[0] == "FALSE"
    far = replace(rows, scans=((0, (replace(rows.scans[0][1][0], path="s3://bucket/0.parquet"),)),))
    assert texts.narrowed(CON, step, {0: far})[0] == far.condition
    Path(tmp_path / "0.parquet").rename(tmp_path / "other.parquet")
    assert texts.narrowed(CON, step, {0: rows})[0] == rows.condition
    Path(tmp_path / "0.parquet").write_bytes(b"PAR1 and no more")
    assert texts.narrowed(CON, step, {0: rows})[0] == rows.condition


@pytest.mark.parametrize("pattern", [r"^\p{L}+$", r"^\P{Lu}", r"^\p{Letter}+$", "^(?:(?:a?){1000}){9}[a-p]+$"])
def test_where_the_engines_may_not_mean_the_same_duckdb_alone_is_asked(tmp_path, pattern):
    """They know other versions of Unicode, and other limits: the verdict must not depend on how many rows there are."""
    step = _step(files(tmp_path, "SELECT chr(7305) || i AS code FROM range(9) t(i)")[1], pattern=pattern)
    rows = step.steps[0].rows
    assert texts.narrowed(CON, step, {0: rows})[0] == rows.condition


def _step(known: Knowledge, types=TYPES, pattern: str = r"^A-\d{2}$"):
    return plan(
        (tests := asked(pattern).tests),
        [question(tests[0], "t", TYPES, lambda _: pytest.fail("it refers to nothing"))],
        "t",
        types,
        known,
    )
