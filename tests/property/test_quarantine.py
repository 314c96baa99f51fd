"""Laws of the quarantine, over random rows, rules and ways to load: no row is lost, none comes twice, none that fails is read."""

import uuid
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh_assets import replaying
from mesh_assets.build import build
from mesh_assets.contract import Kind, Severity, Test
from mesh_assets.domain import Load
from mesh_assets.replaying import Chosen
from tests.making import Place

ROW = st.tuples(st.sampled_from([None, "a", "b", "C", ""]), st.sampled_from([None, -2, 0, 1, 7]))
WITHOUT = {"operator": "mustBe", "threshold": 0, "unit": "rows"}
RULES = (
    (Kind.REQUIRED, "name", {}, ""),
    (Kind.INVALID_VALUES, "name", {"valid_values": ("a", "C"), **WITHOUT}, ""),
    (Kind.MAX_LENGTH, "name", {"value": 0}, ""),
    (Kind.PATTERN, "name", {"pattern": "^[a-z]*$"}, ""),
    (Kind.MINIMUM, "n", {"value": 0}, ""),
    (Kind.NULL_VALUES, "n", WITHOUT, ""),
    (Kind.LIBRARY, "", {"condition": "n < 5 or name = 'b'", "at_most": 0, "unit": "rows"}, "condition"),
)


def fails(rule, name, n) -> bool:
    """The reference, in Python."""
    kind, _, arguments, type_ = rule
    match kind:
        case Kind.REQUIRED:
            return name is None
        case Kind.INVALID_VALUES:
            return name is not None and name not in arguments["valid_values"]
        case Kind.MAX_LENGTH:
            return name is not None and len(name) > 0
        case Kind.PATTERN:
            return name == "C"
        case Kind.MINIMUM:
            return n is not None and n < 0
        case Kind.NULL_VALUES:
            return n is None
    assert type_ == "condition"
    return n is not None and n >= 5 and name is not None and name != "b"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """One lake for all histories: each begins with a whole load."""
    place = Place(tmp_path_factory.mktemp("quarantine"))
    place.domain("shop", "outputs: [{port: orders}]\ntables:\n  orders: {load: append}\n")
    place.sql("shop.orders", "select 1::bigint as id, 'a' as name, 1::bigint as n")
    place.contract("shop.orders", {"id": "BIGINT; required: true", "name": "VARCHAR", "n": "BIGINT"})
    env = place.env()
    return env, env.mesh.tables["shop.orders"]


def query(rows) -> str:
    told = [
        f"({id_}, {repr(name) if name is not None else 'NULL'}, {'NULL' if n is None else n})" for id_, name, n in rows
    ]
    listed = ", ".join(["(0, NULL::VARCHAR, NULL::BIGINT)", *told])
    return f"SELECT * FROM (VALUES {listed}) AS t(id, name, n) WHERE id > 0"


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    loads=st.lists(st.lists(ROW, max_size=6), min_size=1, max_size=2),
    rules=st.sets(st.sampled_from(range(len(RULES))), min_size=1, max_size=3),
)
def test_published_and_quarantined_are_what_was_staged(world, loads, rules):
    env, table = world
    chosen = [RULES[number] for number in sorted(rules)]
    tests = tuple(
        Test(name=f"r{number}", kind=kind, columns=(column,) if column else (), arguments=arguments, type=type_,
             severity=Severity.ERROR, quarantines=True)
        for number, (kind, column, arguments, type_) in enumerate(chosen)
    )  # fmt: skip
    strict = replace(table, contract=replace(table.contract, tests=(*table.contract.tests, *tests)))
    numbers, good, bad = iter(range(1, 100)), Counter(), Counter()
    for place, load in enumerate(loads):
        rows = [(next(numbers), name, n) for name, n in load]
        passing = [row for row in rows if not any(fails(rule, *row[1:]) for rule in chosen)]
        done = build(
            env,
            replace(strict, load=Load.APPEND),
            lambda _con, _day, rows=tuple(rows): query(rows),
            run=str(uuid.uuid4()),
            full=not place,
        )
        if not place and rows and not passing:
            assert done.status == "held"  # a whole load of which nothing would be left
            return
        good.update(passing)
        bad.update(set(rows) - set(passing))
        if done.status == "published" and done.quarantined:
            told = done.quarantined
            assert (told["staged"], told["published"], told["rows"]) == (
                len(rows),
                len(passing),
                len(rows) - len(passing),
            )
            assert told["published"] + told["rows"] == told["staged"]
            assert told["waiting"] == len(bad)
        assert published(env) == good
        assert waiting(env, table) == bad
    if bad:
        done = replaying.replay(env, table, Chosen())  # its rules are gone
        assert done.mended == len(bad)
        assert published(env) == good + bad
        assert waiting(env, table) == Counter()


def published(env) -> Counter:
    return Counter(env.lake.sql("select id, name, n from shop.orders")[1])


def waiting(env, table) -> Counter:
    if not env.lake.tables(quarantine=True):
        return Counter()
    with env.lake.session() as con:
        return Counter(con.execute("SELECT id, name, n FROM mesh.shop_quarantine.orders").fetchall())
