"""Which readers only hand a column on, and how far other values of it come in those that do more."""

import pytest

from mesh_assets.changes.following import News, Rows, followed, repeated
from mesh_assets.changes.handing import notices, only_hands_on, sees
from mesh_assets.changes.lineage import lineage
from mesh_assets.changes.texts import text_of
from mesh_assets.contract import Contract, Test
from mesh_assets.contract import Kind as Asks
from mesh_assets.domain import Domain, Mesh, Table, Toolchain
from mesh_assets.errors import Place

COLUMNS = {
    "d.x": (("k", "INTEGER"), ("a", "INTEGER"), ("b", "INTEGER")),
    "d.y": (("k", "INTEGER"), ("c", "INTEGER")),
}
HANDS_ON = {
    "plain": "select a from d.x",
    "star": "select * from d.x",
    "renamed, and another filtered": "select a as z from d.x where k > 0",
    "through queries": "with c as (select a, k from d.x) select s.a from (select * from c) as s where s.k > 1",
    "beside a join": "select x.a, y.c from d.x as x left join d.y as y using (k)",
    "union": "select a from d.x union all select a from d.x where b = 1",
    "capitals": "SELECT A FROM d.x",
    "renamed by a star": "select * rename (a as z) from d.x",
    "beside one that a star replaces": "select * replace (b + 1 as b) from d.x",
}
WORKS_ON = {
    "replaced by a star": "select * replace (a + 1 as a) from d.x",
    "renamed by a star, then filtered": "with c as (select * rename (a as z) from d.x) select z from c where z > 0",
    "filter": "select a from d.x where a > 0",
    "sum": "select sum(a) as a from d.x",
    "cast": "select cast(a as tinyint) as a from d.x",
    "order": "select a from d.x order by a",
    "window": "select a, row_number() over (partition by a) as n from d.x",
    "group": "select a, count(*) as n from d.x group by all",
    "distinct": "select distinct a from d.x",
    "union": "select a from d.x union select k from d.x",
    "union under another name": "select z from (select k as z from d.x union all select a from d.x) where z > 1",
    "filtered under a new name": "select z from (select a as z from d.x) where z > 1",
    "twice renamed": "select z from (select y as z from (select a as y from d.x)) where z > 1",
    "renamed by the query's head": "with c(z) as (select a from d.x) select z from c where z > 1",
    "in a condition": "select k from d.x where k in (select a from d.x)",
    "scalar": "select k + (select a from d.x limit 1) as z from d.x",
    "exists": "select k from d.x where exists (select a from d.x)",
    "natural join": "select c from (select a as c, k from d.x) natural join d.y",
    "using": "select c from (select k, a as c from d.x) join d.y using (c)",
    "except": "select a from d.x except select c from d.y",
    "replaced": "select * replace (a + 1 as a) from d.x",
}


NULLS_AND_VALUES = {
    "as text": ("select cast(a as varchar) as a, try_cast(a as tinyint) as b from d.x", Rows.SAME, Rows.SAME),
    "text functions": ("select upper(cast(a as varchar)) || '!' as z from d.x where k > 0", Rows.SAME, Rows.SAME),
    "grouped": ("select a, count(*) as n from d.x group by all", Rows.OTHER, Rows.OTHER),
    "grouped by what a star brings": ("select count(*) as n from (select * from d.x) group by a", Rows.OTHER, Rows.OTHER),
    "distinct": ("select distinct a from d.x", Rows.OTHER, Rows.OTHER),
    "counted": ("select count(distinct a) as n, max(a) as m from d.x", Rows.SAME, Rows.SAME),
    "summed": ("select k, sum(a) as s from d.x group by k", Rows.SAME, Rows.SAME),
    "null or not": ("select k from d.x where a is not null and k > 1", Rows.ONES, Rows.ONES),
    "numbered": ("select k, row_number() over (partition by a order by k) as n from d.x", Rows.SAME, Rows.SAME),
    "the first": ("select k from d.x order by a limit 1", Rows.OTHER, Rows.OTHER),
    "in order": ("select k from d.x order by a", Rows.SAME, Rows.SAME),
    "compared": ("select k from d.x where k > 2 and a = 1", Rows.FEWER, Rows.ONES),
    "compared, and counted": ("select count(*) as n from d.x where a = 1", Rows.OTHER, Rows.OTHER),
    "compared, and not": ("select k from d.x where not a = 1", Rows.ONES, Rows.ONES),
    "compared under another name": ("select k from (select k, upper(cast(a as varchar)) as z from d.x) where z > 'B'", Rows.FEWER, Rows.ONES),
    "by cases": ("select case when a is null then 1 else 2 end as z from d.x", Rows.SAME, Rows.SAME),
    "joined": ("select x.k from d.x as x join d.y as y on x.a = y.c", Rows.FEWER, Rows.ONES),
    "joined, or not": ("select x.k from d.x as x left join d.y as y on x.a = y.c", Rows.OTHER, Rows.OTHER),
    "joined by name": ("select c from (select k, a as c from d.x) join d.y using (c)", Rows.FEWER, Rows.ONES),
    "looked for": ("select k from d.x where k in (select a from d.x)", Rows.ONES, Rows.ONES),
    "is there": ("select k from d.x where exists (select 1 from d.y where y.c = x.a)", Rows.OTHER, Rows.OTHER),
    "a sum of all": ("select k, (select max(a) from d.x) as z from d.x", Rows.SAME, Rows.SAME),
    "cast": ("select a::tinyint as a from d.x", Rows.SAME, None),
    "computed": ("select a + 1 as a from d.x", Rows.SAME, None),
    "computed in floating point": ("select a * 1.5::double as a from d.x", Rows.SAME, Rows.SAME),
    "a function nobody knows": ("select strptime(a::varchar, '%Y') as z from d.x", Rows.SAME, None),
    "text that is compared with a number": ("select k from (select k, cast(a as varchar) as z from d.x) where z > 1", Rows.FEWER, None),
    "an error": ("select case a when 1 then 2 else error('no') end as z from d.x", None, None),
    "a key of a map": ("select map([a], [k]) as z from d.x", None, None),
    "number of rows": ("select k from d.x limit (select max(a) from d.x)", None, None),
    "turned": ("select * from (pivot (select k, a from d.x) on k in (1, 2) using sum(a))", None, None),
}  # fmt: skip
"""What becomes of the rows where `a` may be null, and where it may have other values."""


@pytest.fixture
def asked(tmp_path):
    """Whether a SELECT only hands `d.x.a` on; or what else is asked of its text, lineage and table."""
    mesh = Mesh(name="m", root=tmp_path, domains={"d": Domain(name="d", path=tmp_path)})

    def ask(sql, what=lambda text, read, _table: only_hands_on(text, read, "d.x", "A")):
        path = tmp_path / "t.sql"
        path.write_text(sql)
        table = Table(name="d.t", toolchain=Toolchain.SQL, inputs=("d.x", "d.y"), path=path, where=Place("t.sql"))
        return what(text_of(mesh, table), lineage(mesh, table, COLUMNS), table)

    return ask


@pytest.mark.parametrize("which", HANDS_ON)
def test_a_copy_is_only_handed_on(asked, which):
    assert asked(HANDS_ON[which])


@pytest.mark.parametrize("which", WORKS_ON)
def test_a_comparison_or_computation_is_more(asked, which):
    assert not asked(WORKS_ON[which])


@pytest.mark.parametrize("which", NULLS_AND_VALUES)
def test_other_values_are_followed_as_far_as_they_surely_come(asked, which):
    sql, *wanted = NULLS_AND_VALUES[which]
    found = [
        asked(sql, lambda text, _read, table, news=news: followed(text, table, COLUMNS, "a", news)) for news in News
    ]
    assert found == wanted


def test_a_test_of_the_column_or_of_the_table_sees_it():
    def contract(*tests):
        return Contract(id="c", version="1.0.0", name="t", columns=(), tests=tests)

    assert not sees(None, frozenset({"a"}))
    assert not sees(contract(Test(name="t", kind=Asks.TYPES), Test(name="n", kind=Asks.ROW_COUNT)), frozenset({"a"}))
    assert not sees(contract(Test(name="b", kind=Asks.UNIQUE, columns=("b",))), frozenset({"a"}))
    assert sees(contract(Test(name="a", kind=Asks.UNIQUE, columns=("A",))), frozenset({"a"}))
    assert sees(contract(Test(name="s", kind=Asks.SQL)), frozenset({"a"}))


@pytest.mark.parametrize(
    ("kind", "columns", "seen"),
    [
        (Asks.ROW_COUNT, (), {Rows.FEWER, Rows.ONES, Rows.OTHER}),
        (Asks.MINIMUM, ("b",), {Rows.OTHER}),
        (Asks.TYPES, (), set()),
        (Asks.UNIQUE, ("b",), {Rows.ONES, Rows.OTHER}),
        (Asks.NULL_VALUES, ("b",), {Rows.FEWER, Rows.ONES, Rows.OTHER}),  # a share of the rows
        (Asks.REQUIRED, ("A",), set(Rows)),
        (Asks.SQL, (), {Rows.FEWER, Rows.ONES, Rows.OTHER}),  # its query names no such column
    ],
)
def test_a_test_sees_what_it_looks_at(kind, columns, seen):
    test = Test(name="t", kind=kind, columns=columns)
    assert {rows for rows in Rows if notices(test, frozenset({"a"}), rows)} == seen


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("select k, upper(a::varchar) as z from d.x where b > 1", Rows.ONES),
        ("select k from d.x union all select k from d.x", Rows.ONES),
        ("select k, max(a) as m, count(distinct b) as n from d.x group by k", Rows.SAME),
        ("select distinct k from d.x where k in (select k from d.y)", Rows.SAME),
        ("select max(a) as m from d.x", Rows.SAME),
        ("select k, sum(a) as s from d.x group by k", Rows.OTHER),
        ("select count(*) as n from d.x", Rows.OTHER),
        ("select x.k from d.x as x join d.y as y on x.k = y.k", Rows.OTHER),
        ("select k, row_number() over (order by k) as n from d.x", Rows.OTHER),
        ("select k, (select c from d.y where y.k = x.k) as c from d.x", None),
        ("select k from d.x limit 3", None),
    ],
)
def test_who_takes_every_row_by_itself_does_not_mind_how_often_it_is_there(asked, sql, rows):
    assert asked(sql, lambda text, _read, table: repeated(text, table, COLUMNS)) is rows
