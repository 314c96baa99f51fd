"""An input that nothing reads is a warning, unless it is there to be tested."""

from datetime import date

from mesh_assets.deprecation import warnings
from mesh_assets.mesh import examine
from tests.making import Place


def warned(root, *, inputs, query="select 1 as n", refers=""):
    place = Place(root)
    place.domain("crm", "outputs: [{port: clients}]\n")
    place.sql("crm.clients", "select 1 as n")
    place.contract("crm.clients", {"n": "INTEGER"})
    place.domain("shop", f"inputs:\n  - {{port: crm.clients{inputs}}}\noutputs: [{{port: sales}}]\n")
    place.sql("shop.sales", query)
    place.contract("shop.sales", {"n": f"INTEGER{refers}"})
    place.write(
        "domains/shop/contracts/clients.odcs.yaml", (root / "domains/crm/contracts/clients.odcs.yaml").read_text()
    )
    if not inputs:
        (root / "domains/shop/contracts/clients.odcs.yaml").unlink()
    mesh, problems = examine(root)
    assert problems == ()
    return [str(problem) for problem in warnings(mesh, date(2027, 1, 1))]


def test_an_input_that_no_table_reads_is_a_warning(tmp_path):
    (said,) = warned(tmp_path, inputs="")
    assert said.startswith("domains/shop/domain.yaml:6:6: no table of `shop` reads `crm.clients` [M421]")


def test_one_that_is_read_is_not(tmp_path):
    assert warned(tmp_path, inputs="", query="select n from crm.clients") == []


def test_one_that_a_contract_refers_to_is_not(tmp_path):
    assert warned(tmp_path, inputs="", refers="; relationships: [{to: crm.clients.n}]") == []


def test_one_that_is_only_tested_is_not(tmp_path):
    assert warned(tmp_path, inputs=", contract: clients.odcs.yaml") == []
