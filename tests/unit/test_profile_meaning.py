"""What columns mean, by names and values."""

import pytest

from mesh_assets.audit.values import column_type
from mesh_assets.profile.meaning import Meaning, known_by, meaning
from mesh_assets.profile.measure import Figures


@pytest.mark.parametrize(("name", "times", "meant"), [
    ("delivered", {0: 3000, 1: 2000, 2: 800, 3: 100, 4: 9}, Meaning.COUNT),
    ("visits", {1: 900, 2: 500, 3: 120}, Meaning.COUNT),
    ("items", {1: 2000, 2: 1990, 3: 2010, 4: 1995}, Meaning.CATEGORY),  # it ends all at once: a scale
    ("is_open", {0: 900, 1: 100}, Meaning.CATEGORY),
    ("code_of_reason", {0: 900, 1: 300, 7: 10}, Meaning.CATEGORY),  # not all of the numbers between
    ("priority", {1: 900, 2: 300, 3: 10}, Meaning.CATEGORY),  # its name says so
    ("year", {2024: 900, 2025: 300, 2026: 10}, Meaning.CATEGORY),
])  # fmt: skip
def test_counts_that_thin_out_are_no_list(name, times, meant):
    rows = sum(times.values())
    values = tuple(sorted(times.items(), key=lambda one: -one[1]))
    column = Figures(name=name, type=column_type("BIGINT"), rows=rows, nulls=0, distinct=len(times), values=values)
    assert meaning(column) is meant


@pytest.mark.parametrize(("name", "beside", "key"), [
    ("campaign", ["campaign_id", "specialty"], "campaign_id"), ("campaign_name", ["day", "campaign_id"], "campaign_id"),
    ("specialty_name", ["specialty"], "specialty"), ("campaign_id", ["campaign"], ""), ("status", ["order_id"], ""), ("name", ["id"], ""), ("context", ["con_id"], ""), ("status", ["status_code"], ""),
])  # fmt: skip
def test_what_a_key_beside_it_names(name, beside, key):
    assert known_by(name, [name, *beside]) == key
