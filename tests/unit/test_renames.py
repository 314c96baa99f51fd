"""A column under another name: what the rows and the code say, and where they say nothing."""

import duckdb
import pytest

from mesh_assets.changes.likeness import by_data
from mesh_assets.changes.renames import by_code
from mesh_assets.changes.shape import ColumnShape, Shape


@pytest.fixture
def con():
    with duckdb.connect() as con:
        yield con


def shape(columns, key=()):
    return Shape(columns=tuple(ColumnShape(name=name, type=kind) for name, kind in columns.items()), key=key)


def offered(con, old, new, key=("id",)):
    """(before, after, how, others) of what is offered from one SELECT to another."""
    shapes = []
    for name, query in (("old", old), ("new", new)):
        con.execute(f"CREATE OR REPLACE TABLE {name} AS {query}")
        rows = con.execute(f"DESCRIBE {name}").fetchall()
        columns = {row[0]: row[1] for row in rows}
        shapes.append(shape(columns, tuple(part for part in key if part in columns)))
    found = by_data(con, "a.b", tuple(shapes), ("old", "new"))
    return [(one.before, one.after, one.how, one.others) for one in found]


CITIES = "select i as id, 'c' || (i * 7919 % 40) as {name} from range({rows}) t(i)"


def test_rows_of_one_key_tell_and_their_order_does_not_matter(con):
    new = f"from ({CITIES.format(name='town', rows=300)}) order by id desc"
    assert offered(con, CITIES.format(name="city", rows=300), new) == [("city", "town", "rows", ())]


def test_values_tell_where_the_key_is_gone_too(con):
    new = "select id as number, town from (" + CITIES.format(name="town", rows=300) + ")"
    found = offered(con, CITIES.format(name="city", rows=300), new)
    assert found == [("id", "number", "values", ()), ("city", "town", "values", ())]


def test_a_new_type_does_not_hide_it(con):
    old = "select i as id, i * 3 as points from range(100) t(i)"
    assert offered(con, old, "select i as id, (i * 3)::varchar as score from range(100) t(i)") == [
        ("points", "score", "rows", ())
    ]


@pytest.mark.parametrize("value", ["NULL::VARCHAR", "'same'"])
def test_a_constant_looks_like_nothing(con, value):
    select = "select i as id, {value} as {name} from range(100) t(i)"
    assert offered(con, select.format(value=value, name="a"), select.format(value=value, name="b")) == []


def test_agreement_by_chance_is_none(con):
    # Two flags that are nearly always true agree in 96 % of the rows, and tell nothing.
    old = "select i as id, i % 50 <> 0 as paid from range(1000) t(i)"
    assert offered(con, old, "select i as id, i % 50 <> 7 as active from range(1000) t(i)") == []


def test_between_equals_the_name_decides_and_the_other_is_named(con):
    old = CITIES.format(name="city", rows=300)
    new = f"select id, city as twin, city as home_city from ({old})"
    assert offered(con, old, new) == [("city", "home_city", "rows", ("twin",))]


@pytest.mark.parametrize("rows", [0, 3])
def test_too_few_rows_tell_nothing_by_key(con, rows):
    old = CITIES.format(name="city", rows=rows)
    found = offered(con, old, CITIES.format(name="town", rows=rows))
    assert [one for one in found if one[2] == "rows"] == []


def test_names_with_quotes_and_nested_values(con):
    old = """select i as id, [i, i + 1] as "a""b", {'x': i} as s from range(50) t(i)"""
    new = """select i as id, [i, i + 1] as "c d", {'x': i} as t from range(50) t(i)"""
    assert [one[:2] for one in offered(con, old, new)] == [('a"b', "c d"), ("s", "t")]


def test_a_table_with_other_rows_is_compared_by_its_values(con):
    old = CITIES.format(name="city", rows=400)
    new = "select i + 100000 as id, 'c' || (i * 7919 % 40) as town from range(400) t(i)"
    assert offered(con, old, new) == [("city", "town", "values", ())]


def test_what_the_contract_says_is_not_asked_again(con):
    con.execute("CREATE TABLE old AS " + CITIES.format(name="city", rows=50))
    con.execute("CREATE TABLE new AS " + CITIES.format(name="town", rows=50))
    new = Shape(
        columns=(
            ColumnShape(name="id", type="BIGINT"),
            ColumnShape(name="town", type="VARCHAR", came_from=("city",)),
        ),
        key=("id",),
    )
    assert by_data(con, "a.b", (shape({"id": "BIGINT", "city": "VARCHAR"}, ("id",)), new), ("old", "new")) == ()


def test_the_code_tells_where_one_expression_is_one_column():
    old = shape({"id": "BIGINT", "city": "VARCHAR", "one": "INTEGER", "two": "INTEGER"})
    new = shape({"id": "BIGINT", "town": "VARCHAR", "three": "INTEGER"})
    was = {"city": "crm.people.city", "one": "1", "two": "1"}
    found = by_code("a.b", old, new, was, {"town": "crm.people.city", "three": "1"})
    assert [(one.before, one.after) for one in found] == [("city", "town")]  # `three` may be `one` or `two`
