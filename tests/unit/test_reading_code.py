"""SQL, Python and dbt to the tables they build and read, without running any of them."""

import textwrap
from pathlib import Path

import pytest

from mesh_assets.domain import Toolchain
from mesh_assets.reading.dbtread import read_dbt
from mesh_assets.reading.pyread import read_python
from mesh_assets.reading.sqlread import read_rule, read_sql


def reads(sql: str) -> list[str]:
    result = read_sql(sql)
    assert result.faults == ()
    return [".".join(filter(None, (read.schema, read.table))) for read in result.reads]


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("select * from a.b join c using (x)", ["a.b", "c"]),
        ("from t", ["t"]),
        ("from T select x", ["t"]),
        ("select * from this where day = 1", ["this"]),
        ("with a as (select * from b) select * from a", ["b"]),
        ("with b as (select * from b) select * from b", ["b"]),
        ("with a as (select * from x), b as (select * from a join y using (k)) select * from b", ["x", "y"]),
        ("with recursive r as (select 1 as n union all select n + 1 from r) select * from r", []),
        ("select * from x where k in (with z as (select * from k) select * from z)", ["x", "k"]),
        ("select (select max(d) from s.z) as d from range(3)", ["s.z"]),
        ("select * from t, lateral (select * from u where u.x = t.x)", ["t", "u"]),
        ("select * from t, unnest([1, 2]) as n(x)", ["t"]),
        ("select 1 union all (select x from y)", ["y"]),
        ("select * from (values (1)) as v(x)", []),
        ("select * exclude (a) from t qualify row_number() over (partition by b) = 1", ["t"]),
        ("pivot_me as (select 1)", None),
        ("select * from (pivot t on x using sum(y))", ["t"]),
        ("select list_transform(l, x -> x + 1), l[1:3] from t", ["t"]),
        ("select 'a' as \"from x\" -- from y\n/* from z */ from t", ["t"]),
    ],
)
def test_the_tables_that_a_select_reads(sql, tables):
    if tables is None:
        assert [fault.code for fault in read_sql(sql).faults] == ["M301"]
        return
    assert reads(sql) == tables


def test_positions_are_those_of_the_text():
    result = read_sql("select 'é' as x,\n  y\nfrom a.b\njoin c using (y)")
    assert [(read.line, read.column) for read in result.reads] == [(3, 6), (4, 6)]


FILES = """read_csv('a') read_parquet('a') read_json_auto('a') glob('*') 'a.parquet' "a.csv" parquet_metadata('a')
postgres_scan('a','b','c') query('select_1') duckdb_tables() sniff_csv('a') read_text('a') read_blob('a') st_read('a')
iceberg_scan('a')"""
WRITES = """insert into t select 1; update t set x = 1; delete from t; create table x as select 1; drop table t;
copy t to 'x'; attach 'x'; detach x; pragma x; set x = 1; install x; load x; call f(); use x; explain select 1;
describe t; summarize t; values (1); select * into x from t; begin; vacuum; alter table t add column x int"""


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        *((f"select * from {call}", "M303") for call in FILES.split()),
        ("select getenv('HOME')", "M303"),
        ("select * from t where exists (from read_csv('a'))", "M303"),
        ("with a as (from read_csv('x')) from a", "M303"),
        ("select current_setting('x')", "M303"),
        ("from a.b.c", "M304"),
        ("from t at (version => 3)", "M304"),
        *((statement.strip(), "M302") for statement in WRITES.split(";")),
        ("select 1; select 2", "M302"),
        ("select * from (", "M301"),
        ("", "M301"),
        ("-- nothing", "M301"),
        ("select " + "(" * 5000 + "1" + ")" * 5000, "M301"),
    ],
)
def test_what_a_table_must_not_do(sql, code):
    assert code in {fault.code for fault in read_sql(sql).faults}


def test_a_rules_query_reads_tables_only():
    assert list(read_rule("select count(*) from this")) == []
    assert [what for what, _ in read_rule("drop table this")] == [
        "the query of a rule must only read: this is no SELECT but DROP"
    ]


def python(tmp_path: Path, body: str):
    folder = tmp_path / "shop"
    folder.mkdir(exist_ok=True)
    (folder / "assets.py").write_text("import dagster as dg\nimport mesh_assets\n" + textwrap.dedent(body))
    return read_python(folder, "domains/shop")


@pytest.mark.parametrize(
    ("body", "name", "inputs"),
    [
        ("@dg.asset\ndef t(): ...", "t", []),
        ("@dg.asset()\ndef t(context, a, b): ...", "t", ["shop.a", "shop.b"]),
        ("@dg.asset(name='u')\ndef t(a): ...", "u", ["shop.a"]),
        ("@dg.asset(key=['shop', 'u'])\ndef t(): ...", "u", []),
        ("@dg.asset(key=dg.AssetKey(['shop', 'u']))\ndef t(): ...", "u", []),
        ("@dg.asset(key_prefix='shop')\ndef t(a): ...", "t", ["shop.a"]),
        ("@dg.asset(ins={'x': dg.AssetIn(key=['crm', 'c'])})\ndef t(x, y): ...", "t", ["crm.c", "shop.y"]),
        ("@dg.asset(ins={'x': dg.AssetIn(['crm', 'c'])})\ndef t(x): ...", "t", ["crm.c"]),
        ("@dg.asset(ins={'x': dg.AssetIn('crm/c')})\ndef t(x): ...", "t", ["crm.c"]),
        ("@dg.asset(ins={'x': dg.AssetIn(key_prefix='crm')})\ndef t(x): ...", "t", ["crm.x"]),
        ("@dg.asset(ins={'x': dg.AssetIn(key=dg.AssetKey(['crm', 'c']))})\ndef t(x): ...", "t", ["crm.c"]),
        ("@dg.asset(deps=[dg.AssetKey(['crm', 'c']), 'crm/d', 'e'])\ndef t(): ...", "t", ["crm.c", "crm.d", "shop.e"]),
        ("@dg.asset\ndef s(): ...\n@dg.asset(deps=[s])\ndef t(): ...", "t", ["shop.s"]),
        ("DEPS = ['crm/c']\n@dg.asset(deps=DEPS)\ndef t(): ...", "t", ["crm.c"]),
        ("@dg.asset\ndef t(context: dg.AssetExecutionContext, db: dg.ResourceParam[str], a): ...", "t", ["shop.a"]),
        ("class Knobs(dg.Config): ...\n@dg.asset\ndef t(config: Knobs, a): ...", "t", ["shop.a"]),
        ("class Mail(dg.ConfigurableResource): ...\n@dg.asset\ndef t(mail: Mail, a): ...", "t", ["shop.a"]),
        ("@mesh_assets.table\ndef t(a, b): ...", "t", ["shop.a", "shop.b"]),
        ("@mesh_assets.table(inputs=['crm.c', 'd'])\ndef t(c, d): ...", "t", ["crm.c", "shop.d"]),
        ("@mesh_assets.table(inputs=['crm/c'], name='u')\ndef t(c): ...", "u", ["crm.c"]),
        ("@mesh_assets.table(inputs=[])\ndef t(): ...", "t", []),
        ("from mesh_assets import table as tab\n@tab\ndef t(a): ...", "t", ["shop.a"]),
        ("from dagster import asset\n@asset\nasync def t(a): ...", "t", ["shop.a"]),
    ],
)
def test_what_a_function_builds_and_reads(tmp_path, body, name, inputs):
    result = python(tmp_path, body)
    assert result.problems == []
    found = result.tables[-1]
    assert (found.name, found.toolchain, [read.table for read in found.reads]) == (name, Toolchain.PYTHON, inputs)


def test_an_artifact_is_a_table_of_files(tmp_path):
    assert [
        (table.name, table.artifact) for table in python(tmp_path, "@mesh_assets.artifact\ndef chart(a): ...").tables
    ] == [("chart", True)]


def test_what_is_no_table_is_left_alone(tmp_path):
    body = "def asset(f): return f\n@asset\ndef t(): ...\n@other.table\ndef u(): ...\n"
    body += "class C:\n    @dg.asset\n    def m(self): ...\n"
    assert python(tmp_path, body).tables == []


def test_the_file_is_never_run(tmp_path):
    marker = tmp_path / "ran"
    python(tmp_path, f"open({str(marker)!r}, 'w')\nraise SystemExit\n@dg.asset\ndef t(): ...")
    assert not marker.exists()


def test_a_change_in_any_python_file_of_the_domain_changes_the_code(tmp_path):
    before = python(tmp_path, "@dg.asset\ndef t(): ...").tables[0].code
    assert python(tmp_path, "@dg.asset\ndef t(): ...").tables[0].code == before
    (tmp_path / "shop" / "lib").mkdir()
    (tmp_path / "shop" / "lib" / "more.py").write_text("x = 1\n")
    assert python(tmp_path, "@dg.asset\ndef t(): ...").tables[0].code != before


@pytest.mark.parametrize(
    "body", ["\x00", "(" * 10_000, "x = " + "-" * 100_000 + "1", "def f(:", "\ud800".encode("utf-8", "surrogatepass")]
)
def test_python_that_cannot_be_read_is_a_problem(tmp_path, body):
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "assets.py").write_bytes(body if isinstance(body, bytes) else body.encode())
    assert {problem.code for problem in read_python(folder, "domains/shop").problems} <= {"M305", "M005"}
    assert read_python(folder, "domains/shop").problems


PROJECT = """\
name: shop
models:
  shop:
    staging: {+materialized: ephemeral}
    ports:
      +materialized: table
      deep: {+materialized: incremental}
"""


def dbt(tmp_path: Path, models: dict[str, str]):
    (tmp_path / "dbt_project.yml").write_text(PROJECT)
    for name, body in models.items():
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
    return read_dbt(tmp_path, "shop", "dbt_projects/shop")


def test_dbt_models_are_followed_through_ephemeral_ones_to_tables(tmp_path):
    result = dbt(
        tmp_path,
        {
            "staging/stg.sql": "select * from {{ source('crm', 'clients') }}",
            "staging/stg2.sql": "select * from {{ ref('stg') }} join {{ ref('base') }}",
            "ports/base.sql": "select * from {{ source('shop', 'orders') }}",
            "ports/deep/out.sql": "{# {{ ref('nothing') }} #}from {{ ref('shop', 'stg2') }}, {{ ref(\"stg\") }}",
        },
    )
    assert result.problems == []
    assert {table.name: [read.table for read in table.reads] for table in result.tables} == {
        "base": ["shop.orders"],
        "out": ["crm.clients", "shop.base"],
    }
    out = next(table for table in result.tables if table.name == "out")
    assert out.reads[0].where.path == "dbt_projects/shop/models/staging/stg.sql"


@pytest.mark.parametrize(
    ("path", "config", "built"),
    [
        ("ports/t.sql", "", True),
        ("ports/deep/t.sql", "", True),
        ("staging/t.sql", "", False),
        ("staging/t.sql", "{{ config(materialized='table') }}", True),
        ("ports/t.sql", '{{ config(materialized="ephemeral") }}', False),
        ("ports/t.sql", "{{ config(enabled=false) }}", False),
        ("t.sql", "{{ config(tags=['x'],\n   materialized = 'incremental') }}", True),
    ],
)
def test_which_dbt_models_are_tables(tmp_path, path, config, built):
    result = dbt(tmp_path, {path: config + "select 1"})
    assert ([table.name for table in result.tables], result.problems) == (["t"] if built else [], [])


def test_a_models_own_yaml_says_how_it_is_built(tmp_path):
    result = dbt(
        tmp_path, {"t.sql": "select 1", "schema.yml": "models:\n  - name: t\n    config: {materialized: table}\n"}
    )
    assert [table.name for table in result.tables] == ["t"]


def test_the_code_of_a_dbt_table_is_all_that_goes_into_it(tmp_path):
    models = {"staging/stg.sql": "select 1 as x", "ports/a.sql": "from {{ ref('stg') }}", "ports/b.sql": "select 2"}
    before = {table.name: table.code for table in dbt(tmp_path, models).tables}
    after = {table.name: table.code for table in dbt(tmp_path, models | {"staging/stg.sql": "select 2 as x"}).tables}
    assert before["a"] != after["a"]
    assert before["b"] == after["b"]
    (tmp_path / "macros").mkdir()
    (tmp_path / "macros" / "m.sql").write_text("{% macro m() %}{% endmacro %}")
    assert {table.name: table.code for table in dbt(tmp_path, models).tables}["b"] != after["b"]
