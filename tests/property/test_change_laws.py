"""Laws of the model of change."""

import json
import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_assets.changes import model
from mesh_assets.changes.model import INVERSE, MEANINGS, MODES, Effect, Kind, changes, declared, effect, event_id
from mesh_assets.changes.shape import ColumnShape, Rule, Shape, from_json, to_json
from mesh_assets.changes.widths import Width, width

settings.register_profile("laws", deadline=None, max_examples=60)
LAW = settings.get_profile("laws")
NAMES = [
    *("INTEGER", "BIGINT", "SMALLINT", "UINTEGER", "DOUBLE", "FLOAT", "VARCHAR", "DATE", "TIMESTAMP", "BOOLEAN"),
    *("DECIMAL(10,2)", "DECIMAL(18,2)", "DECIMAL(18,4)", "INTEGER[]", "BIGINT[]"),
]
TYPES = st.sampled_from(NAMES)
WORDS = ["", "a", "b", "EUR", "days"]


def column(pick, name):
    bound = [None, *((str(limit), out) for limit in (-3, 0, 7, 10) for out in (True, False))]
    return ColumnShape(
        name=name,
        type=pick.choice(NAMES),
        nullable=pick.random() < 0.5,
        unit=pick.choice(WORDS),
        null_meaning=pick.choice(WORDS),
        allowed=pick.choice([None, ("x",), ("x", "y"), ("y", "z")]),
        minimum=pick.choice(bound),
        maximum=pick.choice(bound),
        format=pick.choice(WORDS),
        description=pick.choice(WORDS),
        promised=pick.random() < 0.5,
    )


def shape_from(seed):
    """A shape made of one number: hypothesis would take too long to draw every part of it."""
    pick = random.Random(seed)
    names = pick.sample(["a", "b", "c", "Select", "ä b"], pick.randint(1, 4))
    rules = {
        name: Rule(
            name=name,
            kind="row_count",
            arguments=json.dumps({"operator": "mustBeGreaterThan", "threshold": pick.randint(0, 3), "unit": "rows"}),
        )
        for name in pick.sample(["r", "s"], pick.randint(0, 2))
    }
    return Shape(
        columns=tuple(column(pick, name) for name in names),
        key=tuple(pick.sample(names, pick.randint(0, 1))),
        grain=pick.choice(WORDS),
        partitions=pick.choice(WORDS),
        rules=tuple(rules.values()),
        service_levels=pick.choice([(), ("latency=1",)]),
        description=pick.choice(WORDS),
    )


def shapes():
    return st.integers(0, 2**32).map(shape_from)


@LAW
@given(shapes())
def test_a_change_from_a_to_a_is_empty(shape):
    assert changes("d.t", shape, shape) == ()
    turned = changes("d.t", shape, replace(shape, columns=tuple(reversed(shape.columns))))
    assert [change.kind for change in turned] == [Kind.COLUMNS_REORDERED] * (len(shape.columns) > 1)


@LAW
@given(shapes())
def test_a_shape_comes_back_from_the_ledger_as_it_was(shape):
    assert from_json(json.loads(json.dumps(to_json(shape)))) == shape
    assert from_json(to_json(shape)).hash == shape.hash


@LAW
@given(shapes(), TYPES)
def test_adding_an_optional_column_is_never_breaking(shape, kind):
    more = replace(shape, columns=(*shape.columns, ColumnShape(name="new", type=kind)))
    found = changes("d.t", shape, more)
    assert [change.kind for change in found] == [Kind.COLUMN_ADDED]
    assert all(change.effect(mode) is Effect.COMPATIBLE for change in found for mode in MODES)


@LAW
@given(shapes(), shapes())
def test_whatever_differs_is_a_change_and_nothing_else_is(one, other):
    assert bool(changes("d.t", one, other)) == (one.hash != other.hash)
    assert (event_id("d.t", one, other) == event_id("d.t", other, one)) == (one.hash == other.hash)


@LAW
@given(shapes(), shapes())
def test_every_difference_of_a_column_that_stays_is_taken_back_by_its_inverse(one, other):
    said = (Kind.UNIT_CHANGED, Kind.NULL_MEANING_CHANGED)  # said for the first time, it is only described
    found = changes("d.t", one, other)
    there = {(c.kind, c.columns) for c in found if c.kind in INVERSE and c.kind not in said and c.columns}
    back = {(c.kind, c.columns) for c in changes("d.t", other, one)}
    turned = {**INVERSE, **{value: key for key, value in INVERSE.items()}}
    assert {(turned[kind], columns) for kind, columns in there} <= back


def test_full_is_backward_and_forward():
    for kind in Kind:
        both = {effect(kind, "backward"), effect(kind, "forward")}
        assert effect(kind, "full") is (Effect.BREAKING if Effect.BREAKING in both else Effect.COMPATIBLE)
        assert effect(kind, "none") is Effect.COMPATIBLE
        for mode in ("backward", "forward", "full"):
            assert effect(kind, f"{mode}_transitive") is effect(kind, mode)


def test_forward_is_backward_of_the_change_taken_back():
    for kind, other in INVERSE.items():
        assert MEANINGS[kind].forward is MEANINGS[other].backward, kind
        assert MEANINGS[kind].backward is MEANINGS[other].forward, kind


@LAW
@given(st.lists(shapes(), min_size=1, max_size=4), shapes())
def test_transitive_modes_hold_against_every_served_version(served, new):
    every = set(model.against("d.t", served, new, "full_transitive"))
    assert every == {change for old in served for change in changes("d.t", old, new)}
    assert set(model.against("d.t", served, new, "full")) == set(changes("d.t", served[-1], new))


@LAW
@given(TYPES, TYPES)
def test_widening_and_narrowing_are_one_thing_from_two_sides(one, other):
    turned = {Width.WIDENED: Width.NARROWED, Width.NARROWED: Width.WIDENED}
    assert width(other, one) is turned.get(width(one, other), width(one, other))


def test_widening_keeps_every_value():
    import duckdb

    con = duckdb.connect()
    limits = {"INTEGER": 2**31 - 1, "SMALLINT": 2**15 - 1, "UINTEGER": 2**32 - 1, "BIGINT": 2**63 - 1}
    for narrow, most in limits.items():
        for wide in (*limits, "DOUBLE", "FLOAT", "DECIMAL(18,0)", "DECIMAL(38,0)", "DECIMAL(18,4)"):
            if width(narrow, wide) is Width.WIDENED:
                query = f"SELECT {most}::{narrow}::{wide}::HUGEINT, {most - 1}::{narrow}::{wide}::HUGEINT"
                assert con.execute(query).fetchone() == (most, most - 1), (narrow, wide)


def test_a_version_step_is_what_it_is():
    assert [declared("1.2.3", new) for new in ("1.2.4", "1.3.0", "2.0.0", "1.2.3", "1.0.0", "x")] == [
        "patch", "minor", "major", "none", "none", "none",
    ]  # fmt: skip
