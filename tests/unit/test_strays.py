"""Files that look like a part of a domain and are not read: what stands there on purpose stops nothing."""

from datetime import date

import pytest

from mesh_assets.deprecation import warnings
from mesh_assets.errors import UsageError
from mesh_assets.mesh import examine, find_mesh
from tests.making import Place


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    place.domain("shop", "outputs: [{port: sales}]\n")
    place.sql("shop.sales", "select 1 as n")
    place.contract("shop.sales", {"n": "INTEGER"})
    return place


def warned(root):
    mesh, problems = examine(root)
    assert problems == ()
    return {
        problem.where.path.removeprefix("domains/shop/"): problem.mend for problem in warnings(mesh, date(2027, 1, 1))
    }


@pytest.mark.parametrize(
    ("file", "meant"),
    [
        ("sql/old/sums.sql", "sql/sums.sql"),
        ("scratch.sql", "sql/scratch.sql"),
        ("contracts/sums.yaml", "contracts/sums.odcs.yaml"),
        ("contract/sums.odcs.yaml", "contracts/sums.odcs.yaml"),
        ("asset.py", "assets.py"),
    ],
)
def test_what_may_stand_there_on_purpose_is_a_warning(place, file, meant):
    if file.startswith("contract/"):
        place.domain("shop", "")
        place.write("domains/shop/sql/sales.sql", "select 1 as n")
        (place.root / "domains/shop/contracts/sales.odcs.yaml").unlink()
        (place.root / "domains/shop/contracts").rmdir()
    place.write(f"domains/shop/{file}", "x = 1")
    assert warned(place.root) == {
        file: f"Move it to domains/shop/{meant}; or out of the domain's folder, if it is not to be read."
    }


def test_what_is_something_else_is_nothing_to_warn_of(place):
    for file in (
        "README.md",
        "tests.py",
        "prices.py",
        "raw/sales.sql",
        "notes.yaml",
        "sql/README.md",
        "contracts/README.md",
    ):
        place.write(f"domains/shop/{file}", "x = 1")
    assert warned(place.root) == {}


def test_beside_what_is_read_a_name_that_is_near_is_another_file(place):
    place.write("domains/shop/assets.py", "import asset")
    place.write("domains/shop/asset.py", "x = 1")
    assert warned(place.root) == {}


def test_a_mesh_without_domains_says_so(tmp_path):
    (tmp_path / "mesh.yaml").write_text("mesh: nothing")
    assert list(warned(tmp_path)) == ["domains"]


def test_a_mesh_yml_is_named_where_there_is_no_mesh_yaml(tmp_path):
    (tmp_path / "mesh.yml").write_text("mesh: shop")
    with pytest.raises(UsageError, match=r"Rename .*mesh\.yml: its name must be `mesh\.yaml`"):
        find_mesh(tmp_path)
