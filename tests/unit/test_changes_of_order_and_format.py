"""SQL that takes columns by their place, and formats of which one lets everything through that another does."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from mesh_assets.changes import model
from mesh_assets.changes.byplace import places_taken
from mesh_assets.changes.formats import includes
from mesh_assets.changes.impact import assess, moved
from mesh_assets.changes.lineage import parsed
from mesh_assets.changes.model import Kind
from mesh_assets.changes.shape import ColumnShape, Shape, shape_of
from mesh_assets.mesh import read_mesh
from tests.making import Place

BY_PLACE = [
    "select x from a.p as t(x, y)",
    "with t(x, y) as (select * from a.p) select x from t",
    "select * from (select * from a.p) as z(a, b)",
    "select * from a.p union all select 1, 'x'",
    "with x as (from a.p), y as (select * from x) select * from y union all select 1, 2",
    "select k from a.q where (k, l) in (select * from a.p)",
    "select md5(row(p.*)::varchar) from a.p as p",
    "select md5(t::varchar) from a.p as t",
    "select * from a.p order by 1 limit 3",
    "select * exclude (z), count(*) from a.p group by 1, 2",
    "select #1 from a.p",
]
BY_NAME = [
    "select x from a.p as t",
    "select k, l from a.p as k",  # a column, though a table is called so
    "with t(x, y) as (select k, l from a.p) select x from t",
    "select * from a.p where k union all select * from a.p where not k",
    "select * from a.p union all by name select * from a.q",
    "select k from a.q where k in (select k from a.p)",
    "select k from a.q where exists (select * from a.p where a.p.k = a.q.k)",
    "select count(*), count(p.*), max(k) from a.p",
    "select p.*, row_number() over () as n from a.p order by 1",
    "with x as (select * from a.q) select * from x union all select 1, 2",
    "select k, v from a.p, (values (1, 2)) as x(v, w)",
    "select k, part from a.p as t cross join unnest(t.l) as p(part)",
    "select columns('x.*') from a.p",
    "select * replace (k + 1 as k) from a.p",
]


def places(sql: str, **parts: str) -> int:
    return places_taken(
        [parsed(sql)], {f"__dbt__.{name}": parsed(part) for name, part in parts.items()}, "me", "a.p", {"k", "l"}
    )


@pytest.mark.parametrize(("sql", "takes"), [*((s, True) for s in BY_PLACE), *((s, False) for s in BY_NAME)])
def test_what_is_taken_by_its_place(sql, takes):
    assert bool(places(sql)) is takes


def test_a_part_of_a_dbt_model_is_followed_and_only_so_many_are_taken_as_are_named():
    stage = "select * from a.p"
    assert places("select * from __dbt__.stage union all select 1, 2", stage=stage)
    assert places("select k from __dbt__.stage", stage=stage) == 0
    assert places("select x from a.p as t(x, y)") == 2


def shape(*names: str, **said: object) -> Shape:
    return Shape(columns=tuple(ColumnShape(name=name, type="VARCHAR", **said) for name in names))


def test_another_order_is_a_change_and_a_column_more_or_less_is_none_of_the_order():
    def kinds(old, new):
        return [change.kind for change in model.changes("a.p", old, new)]

    assert kinds(shape("x", "y", "z"), shape("z", "X", "y")) == [Kind.COLUMNS_REORDERED]
    assert kinds(shape("x", "y"), shape("new", "x", "y")) == [Kind.COLUMN_ADDED]
    assert kinds(shape("x", "y", "z"), shape("x", "z")) == [Kind.COLUMN_REMOVED]
    there = shape("x", "y")
    renamed = replace(there, columns=(replace(there.columns[0], name="n", came_from=("x",)), there.columns[1]))
    assert kinds(there, renamed) == [Kind.COLUMN_RENAMED]
    assert Kind.COLUMNS_REORDERED in kinds(there, replace(renamed, columns=renamed.columns[::-1]))
    ids = {model.event_id("a.p", there, other) for other in (there, shape("y", "x"))}
    assert len(ids) == 2, "two orders are two changes"


FORMATS = [
    ("^[0-9]{6,8}$", "^[0-9]{8}$", Kind.FORMAT_LOOSENED),
    ("^[0-9]{8}$", "^[0-9]{6,8}$", Kind.FORMAT_TIGHTENED),
    (r"^\d+$", "^[0-9]+$", Kind.DESCRIBED),
    ("^.+@.+$", "email", Kind.FORMAT_LOOSENED),
    ("hostname", "ipv4", Kind.FORMAT_LOOSENED),
    ("^[A-Z][0-9]+$", "^[a-z]-[0-9]+$", Kind.FORMAT_CHANGED),
    (r"^a\b", "^a$", Kind.FORMAT_CHANGED),  # a word boundary is not followed: nothing is proven
    ("(?i)^abc$", "^abc$", Kind.FORMAT_CHANGED),
    ("^[0-9]", "2025", Kind.FORMAT_CHANGED),
]


@pytest.mark.parametrize(("new", "old", "kind"), FORMATS)
def test_a_format_that_lets_more_through_is_another_change_than_one_that_asks_for_other_texts(new, old, kind):
    (found,) = model.changes("a.p", shape("x", format=old), shape("x", format=new))
    assert found.kind is kind


PATTERNS = ["^a*$", "^(?:a|bb)+$", "^[^a]{1,2}$", "^a?b?c$", "b", "^b", "c$", "^(?:ab|a)(?:c|bc)?$", "^$", "^.{2}$", "^a{2,3}|b$", "^[a-b]+?c*$"]  # fmt: skip


@pytest.mark.parametrize(("outer", "inner"), [*itertools.product(PATTERNS, PATTERNS)])
def test_the_proof_agrees_with_every_short_text(outer, inner):
    texts = ["".join(letters) for size in range(5) for letters in itertools.product("abcd", repeat=size)]
    there = [one for one in texts if re.search(inner, one)]
    found = includes(outer, inner)
    if found is not None:
        assert found is all(re.search(outer, one) for one in there)


# -- what that means for a reader ------------------------------------------------------------------------------------------

LISTED = "VARCHAR; quality: [{id: known, metric: invalidValues, arguments: {validValues: [x, y]}, mustBe: 0}]"
MORE = LISTED.replace("x, y", "x, y, z")
COLUMNS = {
    "k": "INTEGER; required: true; primaryKey: true",
    "g": LISTED,
    "f": "VARCHAR; logicalTypeOptions: {pattern: '^[0-9]{8}$'}",
    "n": "INTEGER",
}


def verdict(
    root: Path, sql: str, made: dict[str, str], after: dict[str, str], asks: dict[str, str] | None = None
) -> str:
    """What a change of a port's contract means for one reader."""
    place = Place(root)
    place.domain("a", "outputs: [{port: p}]\n")
    place.sql("a.p", "select 1 as k, 'x' as g, '20250101' as f, 2 as n")
    place.contract("a.p", after)
    new = shape_of(read_mesh(place.root).tables["a.p"])
    place.contract("a.p", COLUMNS)
    place.domain(
        "b", f"inputs: [{{port: a.p{', contract: asks.odcs.yaml' if asks else ''}}}]\noutputs: [{{port: made}}]\n"
    )
    place.sql("b.made", sql)
    place.contract("b.made", made)
    if asks:
        place.contract("b.p", asks, name="asks")
    mesh = read_mesh(place.root)
    old = shape_of(mesh.tables["a.p"])
    columns = {name: tuple((c.name, c.type) for c in shape_of(table).columns) for name, table in mesh.tables.items()}
    (found,) = assess(mesh, columns, {"a.p": moved("a.p", old, new)})
    return str(found.verdict)


def without(*names: str) -> dict[str, str]:
    return {name: said for name, said in COLUMNS.items() if name not in names}


K, G = {"k": "INTEGER"}, {"g": LISTED}
NAMED = "select a as k from a.p as t(a, b)"
LOOSER = COLUMNS | {"f": COLUMNS["f"].replace("{8}", "{6,8}")}
NO_KEY = COLUMNS | {"k": "INTEGER; required: true"}
READERS = {
    "a column goes behind those that are named": (NAMED, K, without("f"), None, "compatible"),
    "a column goes before one that is named": (NAMED, K, without("k"), None, "breaking"),
    "a column comes before one that is named": (NAMED, K, {"new": "INTEGER", **COLUMNS}, None, "breaking"),
    "two change places behind": (NAMED, K, dict([*COLUMNS.items()][:2]) | {"n": "INTEGER"} | COLUMNS, None, "compatible"),
    "two change places": (NAMED, K, {"g": LISTED, **COLUMNS}, None, "breaking"),
    "they are named, and so is the column": ("select k from a.p", K, {"g": LISTED, **COLUMNS}, None, "compatible"),
    "two change places, and the SQL cannot be followed": ("select columns('k') from a.p", K, {"g": LISTED, **COLUMNS}, None, "compatible"),
    "a looser format, handed on": ("select k, f from a.p", K | {"f": "VARCHAR"}, LOOSER, None, "compatible"),
    "a looser format, taken apart": ("select k, f::date as f from a.p", K | {"f": "DATE"}, LOOSER, None, "unknown"),
    "a looser format, asked for": ("select k from a.p", K, LOOSER, {"f": COLUMNS["f"]}, "breaking"),
    "another format": ("select k, f || '' as f from a.p", K | {"f": "VARCHAR"}, COLUMNS | {"f": COLUMNS["f"].replace("0-9", "a-z")}, None, "breaking"),
    "a listed value more": ("select k, g from a.p", K | G, COLUMNS | {"g": MORE}, None, "breaking"),
    "a listed value more, that is left out": ("select k, g from a.p where g <> 'z'", K | G, COLUMNS | {"g": MORE}, None, "unknown"),
    "no key any more, which is asked for": ("select distinct g from a.p", {"g": "VARCHAR"}, NO_KEY, {"k": COLUMNS["k"]}, "unknown"),
    "no key any more": ("select distinct g from a.p", {"g": "VARCHAR"}, NO_KEY, None, "compatible"),
}  # fmt: skip


@pytest.mark.parametrize("which", READERS)
def test_what_it_means_for_a_reader(tmp_path, which):
    sql, made, after, asks, said = READERS[which]
    assert verdict(tmp_path, sql, made, after, asks) == said
