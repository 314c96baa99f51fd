"""What a test promises, in a sentence."""

import pytest

from mesh_assets.audit.words import broken, measured
from mesh_assets.catalog.words import sentence
from mesh_assets.contract import Kind, Test
from mesh_assets.errors import Place
from mesh_assets.numerals import article, many, of_rows


def promise(kind: Kind, *columns: str, type_: str = "", **arguments: object) -> str:
    made = Test(name="t", kind=kind, columns=columns, arguments=arguments, type=type_, where=Place("c.yaml", 1, 1))
    return sentence(made)


@pytest.mark.parametrize(
    ("kind", "arguments", "says"),
    [
        (Kind.REQUIRED, {}, "Every row has its `a`"),
        (Kind.UNIQUE, {}, "No two rows have the same `a`"),
        (Kind.MAXIMUM, {"value": 20}, "No `a` is above 20"),
        (Kind.REFERENCE, {"to_table": "shop.orders"}, "Every `a` is in `shop.orders`"),
        (Kind.INVALID_VALUES, {"valid_values": ("x", "y"), "operator": "mustBe", "threshold": 0},
         "The number of rows whose `a` is none of `x`, `y` must be 0"),
        (Kind.INVALID_VALUES, {"pattern": "^x", "operator": "mustBeLessThan", "threshold": 5, "unit": "percent"},
         "The share of rows whose `a` does not match `^x` must be less than 5 %"),
        (Kind.SQL, {"query": "select 1\n  from {table}", "operator": "mustBe", "threshold": 1},
         "What `select 1 from {table}` returns must be 1"),
    ],
)  # fmt: skip
def test_a_promise_says_what_it_was_told(kind, arguments, says):
    assert promise(kind, "a", **arguments) == says


@pytest.mark.parametrize(
    ("count", "said", "says"),
    [
        (1, "have no `a`", "1 of 20 rows has no `a`."),
        (2, "have no `a`", "2 of 20 rows have no `a`."),
        (1, "share their `a` with another row", "1 of 20 rows shares its `a` with another row."),
        (1, "fail", "1 of 20 rows fails."),
        (1, "are too few or too many", "1 of 20 rows is too few or too many."),
        (2_000, "fail `range`", "2,000 of 20 rows fail `range`."),
    ],
)
def test_one_row_and_several_agree_with_what_they_do(count, said, says):
    assert of_rows(count, 20, said) == says


def test_a_measure_of_one_row_says_row():
    test = Test(name="t", kind=Kind.INVALID_VALUES, columns=("a",), arguments={})
    assert measured(test, 1, "mustBe", 0) == "1 row whose `a` is not valid; it must be 0."
    assert measured(test, 2, "mustBe", 0) == "2 rows whose `a` is not valid; it must be 0."
    assert many(1_000, "row") == "1,000 rows"


def test_a_promise_of_the_library_has_its_label_and_its_limits():
    assert promise(Kind.LIBRARY, "a", type_="range", least=0, most=200) == "`a`: Between two values (least 0, most 200)"
    assert promise(Kind.LIBRARY, type_="rows", least=7) == "Number of rows (least 7)"
    assert promise(Kind.LIBRARY, type_="condition", condition="a > b", at_most=0, unit="rows") == "A condition: `a > b`"
    assert (
        promise(Kind.LIBRARY, type_="condition", condition="a > b", at_most=3)
        == "A condition (condition `a > b`, at most 3)"
    )


def test_a_long_list_is_cut_and_counted():
    said = promise(Kind.INVALID_VALUES, "a", valid_values=tuple(range(40)), operator="mustBe", threshold=0)
    assert "`11` and 28 more must be 0" in said


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.LIBRARY])
def test_every_kind_has_a_promise(kind):
    told = {"value": 1, "pattern": "x", "format": "x", "to_table": "a.b", "query": "select 1"}
    assert promise(kind, "a", **told)


def test_a_name_has_the_article_that_it_is_read_with():
    """Where letters do not tell it, as of `npi`, it stays `a`."""
    an = ("amount", "email", "id", "order_id", "Address", "uninsured", "unpaid", "upper", "ISIN", "onset")
    a = (
        "budget_usd",
        "unit",
        "union_id",
        "user_id",
        "usd",
        "us_state",
        "uuid",
        "url",
        "euro",
        "one",
        "one_time",
        "utc",
        "npi",
        "",
    )
    assert {article(name) for name in an} == {"an"}
    assert {article(name) for name in a} == {"a"}
    test = Test(name="t", kind=Kind.MINIMUM, columns=("amount",), arguments={"value": 0})
    assert broken(test, 1, 20) == "1 of 20 rows has an `amount` below 0."
