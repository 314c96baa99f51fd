"""The meshes that the pages show run, and publish everything."""

import shutil

import pytest

from mesh_assets.starting import TEMPLATE
from tests.making import Place
from tests.pages import with_examples, write

# Their mesh.yaml names a database server, and a folder that is not there.
NOT_RUN = {"production.md", "files.md"}
PAGES = [
    pytest.param(page, id=page.stem, marks=pytest.mark.slow if "dbt" in page.stem else ())
    for page in with_examples()
    if page.name not in NOT_RUN
]


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES)
def test_the_mesh_of_a_page_runs(page, tmp_path):
    if page.name == "tutorial.md":  # its domain joins the mesh of `mesh init`
        shutil.copytree(TEMPLATE, tmp_path, dirs_exist_ok=True)
    write(page, tmp_path)
    report = Place(tmp_path).run()
    away = {f"{table.domain}/{table.short}" for table in Place(tmp_path).env().mesh.tables.values() if table.engine}
    assert {row["table"] for row in report["tables"] if row["status"] != "published"} == away
