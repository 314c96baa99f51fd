"""A profile of a large table looks at a sample, and what tests are made of is exact nevertheless."""

import duckdb
import pytest

from mesh_assets.profile import measure
from mesh_assets.profile.measure import profile

ROWS = 200_000
TABLE = f"""
SELECT i AS id, (i * 7919) % {ROWS} AS shuffled, (i * 7919) % ({ROWS} - 1) AS nearly, DATE '2020-01-01' + (i // 200)::INTEGER AS day, i % 5000 AS some,
    ['a', 'b', 'c'][1 + i % 3] AS code, CASE WHEN i = 77777 THEN 'rare' ELSE 'usual' END AS state,
    CASE i % 1000 WHEN 1 THEN '  ' WHEN 2 THEN '' WHEN 3 THEN chr(12288) WHEN 4 THEN NULL WHEN 5 THEN 'é' ELSE 'word ' || i END AS note,
    CASE i % 1000 WHEN 1 THEN 'nan'::DOUBLE WHEN 2 THEN 'inf' WHEN 3 THEN NULL ELSE i / 4 END AS amount, [i] AS nested
FROM range({ROWS}) AS t(i)
"""


@pytest.mark.parametrize("stored", [True, False])
def test_of_a_large_table_what_tests_are_made_of_is_exact(tmp_path, stored, monkeypatch):
    con = duckdb.connect()
    con.execute(f"COPY ({TABLE}) TO '{tmp_path}/t.parquet'")
    relation = f"read_parquet('{tmp_path}/t.parquet')" if stored else f"(FROM '{tmp_path}/t.parquet')"
    exact = profile(con, relation)
    monkeypatch.setattr(measure, "WHOLE", 100_000)
    found = profile(con, relation)
    assert found.rows == exact.rows == ROWS
    for name, one in found.columns.items():
        whole = exact.columns[name]
        for key in ("nulls", "blanks", "least", "most", "shortest", "longest", "values"):
            assert getattr(one, key) == getattr(whole, key), (name, key)
    distinct = {name: one.distinct for name, one in found.columns.items()}
    assert (distinct["id"], distinct["shuffled"], distinct["nearly"]) == (ROWS, ROWS, ROWS - 1)
    assert (distinct["code"], distinct["state"]) == (3, 2)
    assert dict(found.columns["state"].values) == {"usual": ROWS - 1, "rare": 1}
    assert 2500 < distinct["some"] < 10_000
    assert distinct["day"] < 0.5 * ROWS
    assert found.columns["amount"].mean == pytest.approx(exact.columns["amount"].mean, rel=0.2)
    assert found.columns["note"].sample
    assert con.execute("SELECT count(*) FROM duckdb_tables() WHERE temporary").fetchone() == (0,)
