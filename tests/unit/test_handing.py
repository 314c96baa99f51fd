"""Which readers only hand a column on, so that no value of it can trouble them."""

import pytest

from mesh_assets.changes.handing import Work, only_hands_on, sees, worked
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


NEVER_FAILS = {
    "as text": ("select cast(a as varchar) as a, try_cast(a as tinyint) as b from d.x", Work.VALUES),
    "text functions": ("select upper(cast(a as varchar)) || '!' as z from d.x where k > 0", Work.VALUES),
    "grouped": ("select a, count(*) as n from d.x group by all", Work.ROWS),
    "grouped by what a star brings": ("select count(*) as n from (select * from d.x) group by a", Work.ROWS),
    "distinct": ("select distinct a from d.x", Work.ROWS),
    "counted": ("select count(distinct a) as n, max(a) as m from d.x", Work.ROWS),
    "null or not": ("select k from d.x where a is not null and k > 1", Work.ROWS),
    "numbered": ("select k, row_number() over (partition by a order by k) as n from d.x", Work.ROWS),
    "the first": ("select k from d.x order by a limit 1", Work.ROWS),
}
MAY_FAIL = {
    "compared": "select k from d.x where a = 1",
    "compared under another name": "select k from (select k, upper(cast(a as varchar)) as z from d.x) where z > 'B'",
    "cast": "select a::tinyint as a from d.x",
    "computed": "select a + 1 as a from d.x",
    "summed": "select sum(a) as a from d.x",
    "true or false": "select k from d.x where a",
    "joined": "select x.k from d.x as x join d.y as y on x.a = y.c",
    "joined by name": "select c from (select k, a as c from d.x) join d.y using (c)",
    "looked for": "select k from d.x where k in (select a from d.x)",
    "one value": "select k, (select a from d.x) as z from d.x",
    "by cases": "select case when a is null then 1 else 2 end as z from d.x",
    "a function nobody knows": "select strptime(a::varchar, '%Y') as z from d.x",
}


@pytest.fixture
def asked(tmp_path):
    """Whether a SELECT only hands `d.x.a` on; with `worked`, what it does with it."""
    mesh = Mesh(name="m", root=tmp_path, domains={"d": Domain(name="d", path=tmp_path)})

    def ask(sql, what=only_hands_on):
        path = tmp_path / "t.sql"
        path.write_text(sql)
        table = Table(name="d.t", toolchain=Toolchain.SQL, inputs=("d.x", "d.y"), path=path, where=Place("t.sql"))
        return what(text_of(mesh, table), lineage(mesh, table, COLUMNS), "d.x", "A")

    return ask


@pytest.mark.parametrize("which", HANDS_ON)
def test_a_copy_is_only_handed_on(asked, which):
    assert asked(HANDS_ON[which])


@pytest.mark.parametrize("which", WORKS_ON)
def test_a_comparison_or_computation_is_more(asked, which):
    assert not asked(WORKS_ON[which])


@pytest.mark.parametrize("which", NEVER_FAILS)
def test_what_has_an_answer_for_every_value_cannot_fail(asked, which):
    sql, work = NEVER_FAILS[which]
    assert asked(sql, worked) is work


@pytest.mark.parametrize("which", MAY_FAIL)
def test_what_may_fail_by_a_value_is_not_sure(asked, which):
    assert asked(MAY_FAIL[which], worked) is Work.UNSURE


def test_a_test_of_the_column_or_of_the_table_sees_it():
    def contract(*tests):
        return Contract(id="c", version="1.0.0", name="t", columns=(), tests=tests)

    assert not sees(None, frozenset({"a"}))
    assert not sees(contract(Test(name="t", kind=Asks.TYPES), Test(name="n", kind=Asks.ROW_COUNT)), frozenset({"a"}))
    assert not sees(contract(Test(name="b", kind=Asks.UNIQUE, columns=("b",))), frozenset({"a"}))
    assert sees(contract(Test(name="a", kind=Asks.UNIQUE, columns=("A",))), frozenset({"a"}))
    assert sees(contract(Test(name="s", kind=Asks.SQL)), frozenset({"a"}))
