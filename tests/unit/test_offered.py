"""What the kinds of tests are told by name: nothing is passed over in silence."""

import pytest

from mesh_assets.errors import UsageError
from mesh_assets.offered import OFFERS, recognised


@pytest.mark.parametrize(
    ("kind", "values", "says"),
    [
        ("row_count", {"leest": 3}, "Did you mean `least`"),
        ("pattern", {}, "needs `pattern`"),
        ("query", {"exactly": 3, "mode": 1}, "has no `mode`[^§]*needs `query`"),
        ("us_state", {"at_mos": 3}, "Did you mean `at_most`"),
    ],
)
def test_what_a_kind_does_not_know_or_lacks_is_said_all_at_once(kind, values, says):
    with pytest.raises(UsageError, match=says):
        OFFERS[kind].written(values)


@pytest.mark.parametrize(
    "values",
    [{}, {"exactly": 4}, {"exactly": 2.5}, {"least": 1}, {"most": 7}, {"least": 1, "most": 7}],
)
def test_a_query_and_its_form_are_made_of_each_other(values):
    told = {"query": "select count(*) from {table}", **values}
    offer, found = recognised(OFFERS["query"].written(told))
    assert offer.name == "query"
    assert found == ({"exactly": 0} | told if not values else told)


def test_a_query_of_another_engine_or_demand_has_no_such_form():
    query = {"query": "select 1"}
    assert recognised({**query, "mustNotBe": 3}) is None
    assert recognised({**query, "mustBe": 1, "type": "custom", "engine": "soda"}) is None
