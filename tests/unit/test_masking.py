"""Masked values: the same for the same, one to one where they are keys, of the same form, and others with another key."""

import duckdb
import pytest

from mesh_assets.contract import Column
from mesh_assets.kitchen.opening import is_named
from mesh_assets.lake.masking import can_mask, masked

KEY = "0123456789abcdef"
PAIRS = "SELECT r.x, m.x FROM ({query}) r POSITIONAL JOIN ({masked}) m"


def pairs(query: str, kind: str, key: str = KEY) -> list[tuple]:
    with duckdb.connect() as con:
        return con.execute(PAIRS.format(query=query, masked=masked(f"({query})", {"x": kind}, key))).fetchall()


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("SELECT (i * 7 - 1500)::INTEGER AS x FROM range(500) r(i)", "INTEGER"),
        ("SELECT i AS x FROM range(500) r(i)", "BIGINT"),
        ("SELECT (i / 10)::DECIMAL(10,2) AS x FROM range(500) r(i)", "DECIMAL(10,2)"),
        ("SELECT lpad(i::VARCHAR, 5, '0') AS x FROM range(500) r(i)", "VARCHAR"),
    ],
)
def test_keys_go_one_to_one_and_keep_their_length(query, kind):
    found = pairs(query, kind)
    assert len({mask for _, mask in found}) == len(found)
    assert all(len(str(value)) == len(str(mask)) or kind.startswith("DEC") for value, mask in found)
    assert sum(value == mask for value, mask in found) < len(found) / 10
    assert pairs(query, kind) == found
    assert pairs(query, kind, "another") != found


def test_texts_keep_their_form():
    found = dict(pairs("SELECT unnest(['Anna.Meier@x-y.org', 'Ünal 7', '', NULL, '+49 30 1']) AS x", "VARCHAR"))
    shape = {value: mask and "".join("A" if c.isupper() else "a" if c.islower() else "9" if c.isdigit() else c for c in mask) for value, mask in found.items()}  # fmt: skip
    assert shape == {
        "Anna.Meier@x-y.org": "Aaaa.Aaaaa@a-a.aaa",
        "Ünal 7": "Aaaa 9",
        "": "",
        None: None,
        "+49 30 1": "+99 99 9",
    }
    assert found["Anna.Meier@x-y.org"] != "Anna.Meier@x-y.org"


@pytest.mark.parametrize("kind", ["DATE", "TIMESTAMP", "DOUBLE", "BOOLEAN", "UUID", "BIGINT", "VARCHAR", "TINYINT"])
def test_nothing_stays_nothing(kind):
    assert can_mask(kind)
    assert pairs(f"SELECT NULL::{kind} AS x", kind) == [(None, None)]


def test_what_has_no_form_cannot_be_masked():
    assert not any(map(can_mask, ("BLOB", "INTEGER[]", "STRUCT(a INTEGER)", "HUGEINT")))


@pytest.mark.parametrize(
    ("classification", "tags", "named"),
    [
        ("strictly confidential", (), True),
        ("Confidential", (), True),
        ("non-confidential", (), False),
        ("internal", ("HR",), True),
        ("internal", ("hr-data",), False),
    ],
)
def test_a_policy_names_a_column_by_a_tag_or_a_word_of_its_classification(classification, tags, named):
    column = Column(name="a", type="VARCHAR", classification=classification, tags=tags)
    assert is_named(column, {"confidential", "hr"}) is named
