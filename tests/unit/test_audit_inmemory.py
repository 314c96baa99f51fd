"""Whole numbers that are compared in memory: a proof is given only where none comes twice, and what comes twice is where it is told."""

import threading
from collections import Counter

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mesh_assets.audit import inmemory
from mesh_assets.audit.execute import audit
from mesh_assets.audit.result import Status
from mesh_assets.audit.values import INTEGERS, column_type
from mesh_assets.contract import Kind
from tests.verdict_rules import contract, rule

CON = duckdb.connect()


@pytest.fixture(autouse=True, scope="module")
def small():
    """Passes, slices and batches come to an end within a few rows."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "MANY": 1,
            "LOADED": 1,
            "BATCH": 16,
            "SLICE": 8,
            "DENSE": 64,
            "SORTED": 16,
            "BLOCK": 4,
            "CROWDED": 6,
        }.items():
            patch.setattr(inmemory, name, value)
        yield


@st.composite
def columns(draw):
    name = draw(st.sampled_from([name for name in INTEGERS if "HUGE" not in name]))
    low, high = INTEGERS[name]
    start = draw(st.sampled_from([low, high - 70, 0, max(-5, low)]))
    near = st.integers(start, min(start + draw(st.sampled_from([12, 30, 60])), high))
    values = draw(st.lists(draw(st.sampled_from([near, st.integers(low, high)])), min_size=2, max_size=40))
    values = draw(st.sampled_from([values, list(dict.fromkeys(values))]))
    return name, [*values, *[None] * draw(st.sampled_from([0, 0, 1, 2]))]


@settings(max_examples=200, deadline=None)
@given(columns())
@example(("BIGINT", [-(2**63), 2**63 - 1, 7, 2**63 - 1]))
@example(("UBIGINT", [2**64 - 1, 0, 2**63, None, None]))
@example(("TINYINT", [-128, 127, *range(-20, 20)]))
def test_a_proof_holds_and_what_repeats_is_where_it_is_told(column):
    name, values = column
    known = [value for value in values if value is not None]
    listed = ", ".join("NULL" if value is None else str(value) for value in values)
    CON.execute(f"CREATE OR REPLACE TEMP TABLE t AS SELECT unnest([{listed}]::{name}[]) AS id")
    ends = (min(known), max(known))
    how, within = inmemory.alone(CON, "(SELECT id FROM t)", "id", column_type(name), ends, len(values))
    twice = {value for value, count in Counter(values).items() if count > 1}
    if not twice:
        assert how
    else:
        assert not how
        assert not within or {row[0] for row in CON.execute(f"SELECT id FROM t WHERE {within}").fetchall()} >= twice


@pytest.mark.parametrize("ends", [(1, 20), (0, 19), (5, 9)])
def test_a_number_beyond_the_ends_ends_it(ends):
    keys = "(SELECT (i * 5) % 21 AS id FROM range(21) AS t(i))"
    assert inmemory.alone(CON, keys, "id", column_type("BIGINT"), ends, 21) == ("", "")


@pytest.mark.parametrize(("query", "failing"), [
    ("SELECT (i * 7) % 31 AS id FROM range(31) AS t(i)", 0),
    ("SELECT (i * 7) % 31 AS id FROM range(32) AS t(i)", 2),
    ("SELECT hash(i) AS id FROM range(50) AS t(i)", 0),
    ("SELECT hash(i % 49) AS id FROM range(50) AS t(i)", 2),
    ("SELECT hash(i % 5) AS id FROM range(50) AS t(i)", 50),
])  # fmt: skip
def test_an_audit_tells_the_rows_that_repeat(query, failing):
    con = duckdb.connect()
    con.execute(f"CREATE TABLE t AS {query}")
    (found,) = audit(con, "t", contract(rule(Kind.UNIQUE, "id")))
    assert (found.failing_rows, found.status) == (failing, Status.FAIL if failing else Status.PASS)
    assert len({row["id"] for row in found.sample}) == bool(failing)


def test_it_can_be_interrupted_between_batches():
    con = duckdb.connect()
    numbers = inmemory._Numbers(con, "(SELECT i AS id FROM range(100000000) AS t(i))", "id", signed=True)
    stop = threading.Timer(0.1, con.interrupt)
    stop.start()
    with pytest.raises(duckdb.InterruptException):
        for _ in numbers.batches("true"):
            pass
    stop.join()
