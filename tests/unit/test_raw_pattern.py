"""Which paths a source's pattern means, also of files that are gone."""

import pytest

from mesh_assets import raw
from mesh_assets.domain import Source


@pytest.mark.parametrize(
    ("pattern", "within", "without"),
    [
        ("raw/orders/*.csv", ["raw/orders/1.csv"], ["raw/orders/old/1.csv", "raw/orders/1.csv.gz", "raw/others/1.csv"]),
        ("raw/**/*.csv", ["raw/1.csv", "raw/2025/01/1.csv"], ["other/1.csv", "raw.csv"]),
        ("raw/[!x]?.c[sx]v", ["raw/a1.csv", "raw/a1.cxv"], ["raw/x1.csv", "raw/a1.cyv"]),
        ("a.b/x+y.csv", ["a.b/x+y.csv"], ["a-b/x+y.csv", "a.b/xxy.csv"]),
    ],
)
def test_paths_of_a_pattern(pattern, within, without):
    matches = raw.pattern(Source(pattern=pattern, table="orders")).fullmatch
    assert all(matches(path) for path in within)
    assert not any(matches(path) for path in without)
