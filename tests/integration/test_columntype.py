"""Types of columns, as DuckDB spells them and as the lake holds them."""

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_assets.changes.widths import Width, width
from mesh_assets.contract import Column
from mesh_assets.lake import Lake, Publication
from mesh_assets.reading.columntype import ALIASES, PLAIN, REFUSED, NotAType, parse_type

NESTED = ("DECIMAL(38,2)", "VARCHAR[]", "MAP(VARCHAR, INTEGER[])", 'STRUCT(a INTEGER, "order" VARCHAR[])')
WIDENED = {"TIMESTAMP_S", "TIMESTAMP_MS"}  # the lake holds them as TIMESTAMP
SIMPLE = st.sampled_from(sorted(ALIASES.keys() - WIDENED)) | st.builds(
    "numeric({}, {})".format, st.integers(20, 38), st.integers(0, 20)
)
FIELDS = st.lists(st.sampled_from(["a", "B", '"c d"', '"say ""x"""', '"from"']), min_size=1, max_size=3, unique=True)
TYPES = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        inner.map("{}[]".format),
        st.tuples(inner, inner).map(lambda pair: f"map({pair[0]}, {pair[1]})"),
        st.tuples(FIELDS, inner).map(lambda both: f"Struct({', '.join(f'{name} {both[1]}' for name in both[0])})"),
    ),
    max_leaves=5,
)


def in_duckdb(type_: str) -> str:
    return duckdb.execute(f"SELECT typeof(NULL::{type_})").fetchone()[0]


@given(TYPES)
@settings(deadline=None)
def test_a_type_is_spelled_as_duckdb_spells_it(type_):
    assert parse_type(type_) == in_duckdb(type_)


def test_a_field_may_have_any_word_of_sql_for_a_name():
    """DuckDB prints more of them in quotes than a contract needs: it is the same type."""
    words = [row[0] for row in duckdb.execute("SELECT keyword_name FROM duckdb_keywords()").fetchall()]
    listed = ", ".join(f'"{word}" INTEGER' for word in words)
    parsed = parse_type(f"STRUCT({listed})")
    assert width(parsed, in_duckdb(parsed)) is Width.SAME


@pytest.mark.parametrize(
    "type_", [*REFUSED, "ENUM('a')", "UNION(a INTEGER)", "HUGEINT[]", "INTEGER[3]", "STRUCT(a BIT)"]
)
def test_what_the_lake_cannot_hold_is_refused(type_):
    with pytest.raises(NotAType) as caught:
        parse_type(type_)
    assert caught.value.held is False


@pytest.mark.parametrize(
    "type_",
    ["", "(", "foo", "varchar(", "decimal(39,1)", "struct()", "int int", "map(int)", "int,", "a" * 99, "(" * 9999],
)
def test_what_is_no_type_is_refused(type_):
    with pytest.raises(NotAType):
        parse_type(type_)


def test_the_lake_holds_every_type_that_we_allow(sqlite_lake: Lake):
    types = (*PLAIN, *NESTED)
    columns = [Column(name=f"c{number}", type=type_) for number, type_ in enumerate(types)]
    nulls = ", ".join(f'NULL::{column.type} AS "{column.name}"' for column in columns)
    with sqlite_lake.session() as con:
        staged = sqlite_lake.stage(con, "shop.wide", f"SELECT {nulls}", columns=columns)
        version = sqlite_lake.publish(con, [Publication(staged=staged, record={})], run="r", pin=0)
        assert [type_ for _, type_ in sqlite_lake.columns(con, "shop.wide", version)] == list(types)
