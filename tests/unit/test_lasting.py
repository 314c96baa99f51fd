"""What may be remembered of a data file: answers that are the same for the same bytes, for ever."""

import duckdb
import pytest

from mesh_assets.audit.lasting import bases
from mesh_assets.audit.values import column_type

TYPES = {name: column_type(kind) for name, kind in {"Id": "BIGINT", "born": "DATE", "name": "VARCHAR"}.items()}


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        yield con


@pytest.mark.parametrize(
    "condition",
    [
        "id IS NULL",
        '"Id" < 3 OR "Id" > 5',
        "NOT (\nid BETWEEN 1 AND 3\n)",
        "NOT regexp_matches(name, '^now()$')",
        "name NOT IN ('today', 'random()')",
        "lower(trim(name, ' ')) || 'x' = 'ax'",
        "isodow((CASE WHEN isfinite(born) THEN born::DATE END)) > 5",
        "id % 3 <> 0",
    ],
)
def test_what_looks_at_the_rows_values_only_lasts(con, condition):
    assert condition in bases(con, [condition, "now() > born"], TYPES)


@pytest.mark.parametrize(
    "condition",
    [
        "born > now()::DATE",
        "born > current_date",
        "born > today()",
        "age(born) > INTERVAL 18 YEARS",
        "born < ago(INTERVAL 1 DAY)",
        "id > random() * 5",
        "name = uuid()::VARCHAR",
        "name = current_setting('TimeZone')",
        "name = getvariable('x')",
        "id = nextval('s')",
        "id < rowid",
        "file_row_number < 5",
        "filename LIKE '%a%'",
        "id > (SELECT max(id) FROM t)",
        "sum(id) OVER () > 5",
        "id > 5) OR (SELECT true",
        "id >",
        "pg_catalog.age(born) > INTERVAL 1 DAY",
    ],
)
def test_what_reads_the_clock_or_beyond_the_row_does_not(con, condition):
    assert list(bases(con, [condition, "id > 1"], TYPES)) == ["id > 1"]


def test_types_and_the_time_zone_are_part_of_the_key(con):
    condition = "born > '2024-01-01'"
    before = bases(con, [condition], TYPES)
    assert before == {condition: ("UTC", "born DATE")}
    assert bases(con, [condition], {**TYPES, "born": column_type("TIMESTAMP")}) != before
