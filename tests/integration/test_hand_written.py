"""Schemas in `checks.py`: attached, named, executed beside the contract's tests, and refused with their reasons."""

import dagster as dg
import pytest

from mesh_assets.errors import ConfigError
from mesh_assets.mesh import examine, read_mesh
from mesh_assets.orchestration.load import load
from mesh_assets.schemas import written
from tests.making import Place, launch

SALES = "select * from (values (1, 'a', 10.0::double), (2, 'b', -1.0::double), (3, null, null)) as t(id, code, amount)"
HEAD = "import mesh_assets\nimport pandas as pd\nimport pandera.pandas as pa\nimport pandera.polars as ppl\nimport polars as pl\n\n\n"


def shop(tmp_path, checks, contract=True, sql=SALES):
    place = Place(tmp_path)
    place.domain("shop", "", **{"checks.py": HEAD + checks})
    place.sql("shop.sales", sql)
    if contract:
        place.contract(
            "shop.sales", {"id": "INTEGER; primaryKey: true; required: true", "code": "VARCHAR", "amount": "DOUBLE"}
        )
    return place


def results(place):
    place.run()
    return {item["name"]: item for item in place.test("shop.sales") if item["type"] == "pandera"}


MODEL = """
@mesh_assets.schema_for("shop/sales")
class Sales(pa.DataFrameModel):
    id: int = pa.Field(ge=1, unique=True)
    amount: float = pa.Field(ge=0, nullable=True)
    code: str = pa.Field(isin=["a", "b"], nullable=True, raise_warning=True)

    @pa.check("amount", element_wise=True)
    def whole(cls, value):
        return float(value).is_integer()

    @pa.dataframe_check(description="Codes are given.")
    def given(cls, frame: pd.DataFrame) -> pd.Series:
        return frame["code"].notna()
"""


def test_every_check_is_a_test_with_a_name_and_a_failing_one_holds_the_version(tmp_path):
    place = shop(tmp_path, MODEL)
    found = results(place)
    assert {name: (item["status"], item["failing_rows"]) for name, item in found.items()} == {
        "schema__columns": ("pass", 0),
        "schema__types": ("fail", 1),
        "id__greater_than_or_equal_to": ("pass", 0),
        "id__unique": ("pass", 0),
        "amount__greater_than_or_equal_to": ("fail", 1),
        "amount__whole": ("pass", 0),
        "code__isin": ("pass", 0),
        "given": ("fail", 1),
    }
    failed = found["amount__greater_than_or_equal_to"]
    assert failed["sample"] == [{"id": 2, "amount": -1.0}]
    assert "1 of 3 rows fails" in failed["message"]
    assert 'NOT (("amount" >= 0' in failed["query"]
    assert found["given"]["sample"] == [{"id": 3}]
    assert "Executed in Python, by pandera on pandas, in one frame." in found["given"]["message"]
    assert "id__required" not in found  # the contract asks it already
    assert place.statuses() == {"shop/sales": "held"}


def test_a_warning_lets_the_version_pass(tmp_path):
    checks = """
@mesh_assets.schema_for("shop/sales")
def sales():
    known = pa.Check.isin(["a"], raise_warning=True)
    return pa.DataFrameSchema({"code": pa.Column(str, nullable=True, checks=known)})
"""
    place = shop(tmp_path, checks)
    found = results(place)
    assert (found["code__isin"]["status"], found["code__isin"]["failing_rows"]) == ("warn", 1)
    assert place.version("shop.sales")


def test_a_table_without_a_contract_is_tested_and_so_is_a_schema_itself(tmp_path):
    checks = """
SALES = mesh_assets.schema_for("sales")(
    ppl.DataFrameSchema(
        {
            "^a.*$": ppl.Column(checks=ppl.Check.ge(0), nullable=True, regex=True),
            "gone": ppl.Column(checks=ppl.Check.ge(0), required=False),
        },
        unique=["id", "code"],
        checks=ppl.Check(lambda data: data.lazyframe.select(pl.col("id") < 3), name="few"),
    )
)
"""
    found = results(shop(tmp_path, checks, contract=False))
    assert found["few"]["failing_rows"] == 1
    assert "by pandera on polars" in found["few"]["message"]
    assert found["id__code__unique"]["status"] == "pass"
    assert {item["failing_rows"] for name, item in found.items() if "greater" in name} == {0, 1}


def test_a_schema_for_a_port_is_what_its_reader_expects(tmp_path):
    place = Place(tmp_path)
    place.domain("shop", "outputs:\n  - port: sales\n")
    place.sql("shop.sales", SALES)
    place.contract("shop.sales", {"id": "INTEGER", "code": "VARCHAR", "amount": "DOUBLE"})
    checks = (
        HEAD
        + """
@mesh_assets.schema_for("shop/sales")
def sales():
    return ppl.DataFrameSchema({"amount": ppl.Column(checks=ppl.Check.ge(0), nullable=True)})
"""
    )
    place.domain("finance", "inputs:\n  - port: shop.sales\n", **{"checks.py": checks})
    place.sql("finance.total", "select sum(amount) as total from shop.sales")
    assert place.statuses() == {"shop/sales": "published", "finance/total": "held"}
    assert not launch(place, "finance", "finance/in/shop__sales")
    port = read_mesh(tmp_path).domains["finance"].input("shop.sales")
    assert "amount__greater_than_or_equal_to" in {test.name for test in written.tests_of(port.contract)}


def test_dagster_has_a_check_for_each_and_code_is_part_of_the_contract(tmp_path):
    place = shop(tmp_path, MODEL)
    checks = load(tmp_path, settings=place.settings).definitions.resolve_asset_graph().asset_check_keys
    assert dg.AssetCheckKey(dg.AssetKey(["shop", "sales"]), "given") in checks
    before = read_mesh(tmp_path).tables["shop.sales"].contract.hash
    place.write("domains/shop/checks.py", HEAD + MODEL.replace("ge=0", "ge=-5"))
    mesh = read_mesh(tmp_path)
    assert mesh.tables["shop.sales"].contract.hash != before
    assert any(
        "-5" in str(test.arguments["check"])
        for test in written.tests_of(mesh.tables["shop.sales"].contract)
        if test.arguments.get("check")
    )


SCHEMA = """
@mesh_assets.schema_for("shop/sales")
def sales():
    return {}
"""


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("nothing", "M553", "NameError: name 'nothing' is not defined (line 11)"),
        ("42", "M553", "int is no DataFrameSchema of pandera"),
        ("pa.DataFrameSchema({'amount': pa.Column(coerce=True)})", "M554", "`coerce` of `amount` changes the table"),
        ("pa.DataFrameSchema(strict='filter')", "M554", "drops columns"),
        ("pa.DataFrameSchema({'code': pa.Column(checks=pa.Check.str_matches('a|b'))})", "M555", "only the first"),
        ("ppl.DataFrameSchema({'code': ppl.Column(checks=ppl.Check.str_matches('(?=a)'))})", "M555", "look-around"),
        ("pa.DataFrameSchema({'amount': pa.Column(checks=pa.Check.isin(['1']))})", "M556", "which is DOUBLE"),
    ],
)
def test_what_is_wrong_with_a_schema_is_told_and_holds_the_version(tmp_path, body, code, words):
    place = shop(tmp_path, SCHEMA.format(body))
    assert examine(tmp_path)[1] == ()  # nothing is imported
    with pytest.raises(ConfigError) as caught:
        written.tests_of(read_mesh(tmp_path).tables["shop.sales"].contract)
    assert {problem.code for problem in caught.value.problems} == {code}
    assert words in str(caught.value)
    assert str(caught.value).startswith("domains/shop/checks.py:9:2")
    assert "shop" in load(tmp_path, settings=place.settings).broken
    env = place.env()
    with env.lake.session() as con:
        from mesh_assets.schemas.attached import audit

        contract = env.mesh.tables["shop.sales"].contract
        (result,) = [each for each in audit(con, f"({SALES})", contract) if each.test.name == "checks_load"]
    assert result.stops


def test_a_function_that_raises_is_an_error_and_tells_no_masked_value(tmp_path):
    checks = """
@mesh_assets.schema_for("shop/sales")
def sales():
    return pa.DataFrameSchema({"code": pa.Column(nullable=True, checks=pa.Check(lambda s: 1 / 0 if s.size else int(s[0]), name="bad"))})
"""
    place = shop(tmp_path, checks, contract=False)
    place.contract("shop.sales", {"id": "INTEGER", "code": "VARCHAR; classification: restricted", "amount": "DOUBLE"})
    found = results(place)
    assert found["code__bad"]["status"] == "error"
    assert "may hold masked values" in found["code__bad"]["message"]
    assert place.statuses() == {"shop/sales": "held"}


def test_element_wise_functions_see_bounded_batches(tmp_path):
    checks = """
@mesh_assets.schema_for("shop/sales")
def sales():
    return ppl.DataFrameSchema({"id": ppl.Column(checks=ppl.Check(lambda value: value % 100_000 != 7, element_wise=True, name="odd"))})
"""
    sql = "select i as id, '' as code, 1.0 as amount from range(250_000) as t(i)"
    found = results(shop(tmp_path, checks, contract=False, sql=sql))
    assert found["id__odd"]["failing_rows"] == 3
    assert {row["id"] for row in found["id__odd"]["sample"]} == {7, 100_007, 200_007}
    assert "batches" in found["id__odd"]["message"]
