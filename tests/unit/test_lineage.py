"""Who reads which column: what sqlglot resolves is held against what DuckDB binds."""

from pathlib import Path

import pytest

from mesh_assets.changes.binding import Bench, DoesNotBind
from mesh_assets.changes.lineage import Known, Unresolved, _resolved, _trees, lineage
from mesh_assets.changes.texts import Text, text_of
from mesh_assets.domain import Domain, Mesh, Table, Toolchain
from mesh_assets.errors import Place

COLUMNS = {
    "d.x": (("k", "INTEGER"), ("a", "INTEGER"), ("Order", "INTEGER"), ("unused", "INTEGER")),
    "d.y": (("k", "INTEGER"), ("b", "INTEGER"), ("at", "DATE"), ("idle", "VARCHAR")),
}
QUERIES = {
    "plain": "select a from d.x",
    "star": "select * from d.x",
    "star of one": "select x.*, y.b from d.x join d.y using (k)",
    "star that nobody uses": "select a from (select * from d.x)",
    "cte": "with c as (select * from d.x) select c.a from c where c.k > 1",
    "cte of a cte": "with c as (select * from d.x), e as (select k, a from c) select k from e",
    "renamed cte": "with c(p, q) as (select k, a from d.x) select q from c",
    "join": "select x.a, y.b from d.x as x left join d.y as y on y.k = x.k",
    "using": "select a from d.x join d.y using (k)",
    "filter": "select count(*) filter (a > 1) from d.x",
    "window": 'select sum(a) over (partition by k order by "Order") from d.x',
    "qualify": "select a from d.x qualify row_number() over (partition by k order by a) = 1",
    "union": "select a from d.x union all select b from d.y",
    "union by name": "select k, a from d.x union all by name select k, b from d.y",
    "exists": "select a from d.x where exists (select 1 from d.y where y.k = x.k)",
    "in": "select a from d.x where k in (select b from d.y)",
    "scalar": "select a, (select max(b) from d.y) as m from d.x",
    "correlated": "select a, (select max(b) from d.y where y.k = x.k) as m from d.x",
    "group by all": "select k, sum(a) as s from d.x group by all",
    "order by": "select a from d.x order by k",
    "exclude": "select * exclude (unused) from d.x",
    "exclude of one": "select x.* exclude (a), b from d.x join d.y using (k)",
    "exclude further in": "with c as (select * from d.x) select * exclude (unused) from c",
    "replace": "select * replace (a + 1 as a) from d.x",
    "rename": "select r.z from (select * rename (a as z) from d.x) as r",
    "alias used again": "select a + 1 as c, c * 2 as e from d.x",
    "case": "select CASE WHEN K > 1 THEN A END AS z FROM D.X",
    "quoted": 'select "Order" from d.x',
    "from first": "from d.x select a",
    "lambda": "select list_transform([a], e -> e + 1) as l from d.x",
    "lateral": "select x.a, t.b from d.x, lateral (select b from d.y where y.k = x.k) as t",
    "values": "select a from d.x join (values (1)) as v(n) on v.n = x.k",
    "recursive": "with recursive r as (select k from d.x union all select k + 1 from r where k < 3) select k from r",
    "distinct on": "select distinct on (k) a from d.x",
    "having": "select k from d.x group by k having sum(a) > 1",
}  # fmt: skip
ASSUMED = {
    "pivot": "pivot d.x on k using sum(a)",
    "pattern": "select columns('a.*') from d.x",
    "positional": "select #1 from d.x",
    "rename of nothing": "select * rename (nothing as z) from d.x",
}


@pytest.fixture
def reader(tmp_path):
    def table(sql):
        path = tmp_path / "t.sql"
        path.write_text(sql)
        return Table(name="d.t", toolchain=Toolchain.SQL, inputs=("d.x", "d.y"), path=path, where=Place("t.sql"))

    return Mesh(name="m", root=tmp_path, domains={"d": Domain(name="d", path=tmp_path)}), table


def is_needed(bench, text, table, name, column):
    """Whether the SQL fails, or gives something else, without the column."""
    less = {**COLUMNS, name: tuple(c for c in COLUMNS[name] if c[0] != column)}
    whole = bench.bind(text, table, COLUMNS)
    try:
        return bench.bind(text, table, less) != whole
    except DoesNotBind:
        return True


@pytest.mark.parametrize("which", QUERIES)
def test_what_is_read_is_exactly_what_it_cannot_stand_without(reader, which):
    mesh, table = reader
    one = table(QUERIES[which])
    found = lineage(mesh, one, COLUMNS)
    bench = Bench()
    text = text_of(mesh, one)
    for name, columns in COLUMNS.items():
        assert found.uses[name].known is Known.PROVEN, found.why
        needed = {column.lower() for column, _ in columns if is_needed(bench, text, one, name, column)}
        assert set(found.uses[name].columns) == needed


def test_a_name_that_would_mean_another_column_is_read(reader):
    """Without `d.y.k` it still binds: `k` is then that of `d.x`, and every row is found."""
    mesh, table = reader
    found = lineage(mesh, table("select a from d.x where k in (select k from d.y)"), COLUMNS)
    assert set(found.uses["d.y"].columns) == {"k"}


@pytest.mark.parametrize("which", ASSUMED)
def test_what_cannot_be_followed_is_assumed_to_read_everything(reader, which):
    mesh, table = reader
    found = lineage(mesh, table(ASSUMED[which]), COLUMNS)
    assert found.uses["d.x"].known is Known.ASSUMED
    assert found.uses["d.x"].reads("whatever")


def test_places_are_those_of_the_file_and_it_is_kept_by_content(reader, tmp_path):
    mesh, table = reader
    one = table("-- first\nselect\n    x.a,\n    y.b\nfrom d.x\njoin d.y using (k)\n")
    first = lineage(mesh, one, COLUMNS, tmp_path / "cache")
    assert [(s.line, s.column) for s in (first.uses["d.x"].columns["a"], first.uses["d.y"].columns["b"])] == [
        (3, 7),
        (4, 7),
    ]
    assert len(list((tmp_path / "cache").rglob("*.json"))) == 1
    assert lineage(mesh, one, COLUMNS, tmp_path / "cache") == first
    assert first.outputs == {"a": frozenset({("d.x", "a")}), "b": frozenset({("d.y", "b")})}


def test_a_dbt_model_is_read_through_its_ephemeral_ones():
    from mesh_assets.mesh import read_mesh

    mesh = read_mesh(Path(__file__).parents[2])
    table = mesh.tables["claims.weekly_prescriptions"]
    text = text_of(mesh, table)
    assert isinstance(text, Text)
    columns = {name: tuple((c.name, c.type) for c in mesh.tables[name].contract.columns) for name in table.inputs}
    use = lineage(mesh, table, columns).uses["customers.physicians"]
    assert set(use.columns) == {"npi", "physician_id"}
    assert use.columns["npi"].path == "dbt_projects/claims/models/staging/stg_prescribers.sql"


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("select * from (pivot (select k, a, b from d.x) on k in ('p') using sum(a) group by b)", {"a", "b", "k"}),
        ("select * from (unpivot (select k, a from d.x where b > 0) on a into name what value n)", {"a", "b", "k"}),
        ("with p as (select k, a from d.x) select k from (pivot p on k using sum(a))", None),
        ("select * from (pivot (select * from d.x) on k using sum(a))", None),
        ("select * from (pivot (select k, a from d.x) on k using sum(a)) cross join d.x", None),
    ],
)
def test_what_is_turned_is_read_whole_where_its_columns_are_named(sql, reads):
    """Of a whole table nobody knows: a new column would change what comes out."""
    text = Text(sql=sql, path="x.sql", source=sql, parts={})
    table = Table(name="e.t", toolchain=Toolchain.SQL, inputs=("d.x",), where=Place("x.sql"))
    columns = {"d.x": tuple((name, "VARCHAR") for name in ("k", "a", "b", "c"))}
    if reads is None:
        with pytest.raises(Unresolved):
            _resolved(text, table, columns, *_trees(text))
    else:
        found = _resolved(text, table, columns, *_trees(text))
        assert set(found.uses["d.x"].columns) == reads
        assert not found.uses["d.x"].starred
        assert found.outputs == {}
