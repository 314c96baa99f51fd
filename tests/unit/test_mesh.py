"""A folder of domains to one Mesh."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mesh_assets.domain import Load, OnFailure, Partitions, Toolchain
from mesh_assets.errors import ConfigError, UsageError
from mesh_assets.graph import graph_of, order
from mesh_assets.mesh import examine, find_mesh, read_mesh

TINY = Path(__file__).parents[1] / "meshes" / "tiny"
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def tiny(tmp_path):
    """A copy of the tiny mesh, to change."""
    return Path(shutil.copytree(TINY, tmp_path / "tiny"))


def change(root: Path, path: str, old: str, new: str) -> None:
    file = root / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_the_tiny_mesh_is_what_its_files_say():
    mesh = read_mesh(TINY)
    assert (mesh.name, list(mesh.domains), mesh.broken) == ("tiny", ["customers", "marketing"], {})
    assert {name: (table.toolchain, table.inputs) for name, table in mesh.tables.items()} == {
        "customers.crm": (Toolchain.SOURCE, ()),
        "marketing.touches": (Toolchain.SOURCE, ()),
        "customers.physicians": (Toolchain.SQL, ("customers.crm",)),
        "marketing.campaign_reach": (Toolchain.SQL, ("customers.physicians", "marketing.touches")),
    }
    physicians, reach = mesh.tables["customers.physicians"], mesh.tables["marketing.campaign_reach"]
    assert physicians.port is not None
    assert physicians.contract is physicians.port.contract
    assert physicians.path == TINY.resolve() / "domains/customers/sql/physicians.sql"
    assert (physicians.domain, physicians.short, str(physicians.where)) == (
        "customers",
        "physicians",
        "domains/customers/sql/physicians.sql:1:1",
    )
    assert mesh.tables["customers.crm"].source.pattern == "raw/crm/*.csv"
    port = mesh.port("marketing", "customers.physicians")
    assert (port.on_failure, port.contract.id) == (OnFailure.STOP, "marketing-in-physicians")
    assert mesh.port("marketing", "marketing.touches") is None
    assert (reach.automation, reach.load) == ("eager", Load.FULL)


def test_tables_are_in_the_order_of_the_data():
    mesh = read_mesh(TINY)
    names = list(mesh.tables)
    waits = {name: (*table.inputs, *table.references) for name, table in mesh.tables.items()}
    assert all(names.index(source) < names.index(name) for name in names for source in waits[name])
    assert waits["marketing.touches"] == ("customers.physicians",)
    assert set(order(graph_of(mesh))) == set(names)


def test_the_shipped_mesh_has_no_problem():
    mesh, problems = examine(REPOSITORY)
    assert [str(problem) for problem in problems] == []
    assert len(mesh.domains) == 6


def test_options_of_a_table(tiny):
    change(
        tiny,
        "domains/marketing/domain.yaml",
        "outputs:",
        "automation: manual\ntables:\n  touches: {automation: 0 6 * * *}\n"
        "  campaign_reach: {load: append, partitions: {every: daily, by: campaign, start: 2026-01-01}}\noutputs:",
    )
    change(
        tiny,
        "domains/customers/domain.yaml",
        "outputs:",
        "tables:\n  physicians: {load: upsert, key: physician_id}\noutputs:",
    )
    tables = read_mesh(tiny).tables
    reach, physicians = tables["marketing.campaign_reach"], tables["customers.physicians"]
    assert tables["marketing.touches"].automation == "0 6 * * *"
    assert (reach.load, reach.automation) == (Load.APPEND, "manual")
    assert (physicians.load, physicians.key, physicians.automation) == (Load.UPSERT, ("physician_id",), "eager")
    assert reach.partitions == Partitions(every="daily", by="campaign", start="2026-01-01")


def test_partitions_can_be_written_side_by_side(tiny):
    change(
        tiny,
        "domains/marketing/domain.yaml",
        "outputs:",
        "tables:\n  campaign_reach: {partitions: weekly, partition_by: campaign, start: 2026-01-01}\noutputs:",
    )
    assert read_mesh(tiny).tables["marketing.campaign_reach"].partitions == Partitions(
        every="weekly", by="campaign", start="2026-01-01"
    )


def test_the_code_of_a_table_is_what_decides_its_content(tiny):
    before = read_mesh(tiny).tables
    assert {name: table.code for name, table in read_mesh(tiny).tables.items()} == {
        name: table.code for name, table in before.items()
    }
    change(tiny, "domains/customers/sql/physicians.sql", "lower(", "upper(")
    change(tiny, "domains/marketing/domain.yaml", "outputs:", "tables:\n  campaign_reach: {load: append}\noutputs:")
    after = read_mesh(tiny).tables
    assert {name for name in before if before[name].code != after[name].code} == {
        "customers.physicians",
        "marketing.campaign_reach",
    }


def test_a_broken_domain_leaves_the_others_and_their_inputs(tiny):
    change(tiny, "domains/customers/contracts/physicians.odcs.yaml", "required: true", "requird: true")
    mesh = read_mesh(tiny, tolerant=True)
    assert list(mesh.domains) == ["marketing"]
    assert [problem.code for problem in mesh.broken["customers"]] == ["M002"]
    assert mesh.tables["marketing.campaign_reach"].inputs == ("customers.physicians", "marketing.touches")
    assert "customers.physicians" not in mesh.tables
    with pytest.raises(ConfigError):
        read_mesh(tiny)


def test_a_domain_that_cannot_be_read_is_not_held_against_its_readers(tiny):
    (tiny / "domains/customers/domain.yaml").write_text("domain: 'customers\n")
    mesh, problems = examine(tiny)
    assert {problem.where.path for problem in problems} == {"domains/customers/domain.yaml"}
    assert list(mesh.domains) == ["marketing"]


def test_problems_of_all_files_are_told_at_once(tiny):
    change(tiny, "domains/customers/domain.yaml", "purpose", "purpos")
    change(tiny, "domains/marketing/contracts/touches.odcs.yaml", "minimum: 0", "minimum: zero")
    change(tiny, "domains/marketing/sql/campaign_reach.sql", "customers.physicians", "customers.crm")
    _, problems = examine(tiny)
    assert [(problem.code, problem.where.path.rpartition("/")[2]) for problem in problems] == [
        ("M002", "domain.yaml"),
        ("M011", "touches.odcs.yaml"),
        ("M402", "campaign_reach.sql"),
    ]


def test_find_mesh_looks_upwards(tiny, tmp_path):
    assert find_mesh(tiny / "domains" / "marketing" / "sql") == tiny.resolve()
    with pytest.raises(UsageError, match=r"no mesh\.yaml"):
        find_mesh(tmp_path)


def test_a_mesh_can_be_read_through_a_link(tiny, tmp_path):
    (tmp_path / "link").symlink_to(tiny)
    assert len(read_mesh(tmp_path / "link").tables) == 4


def test_the_core_imports_nothing_heavy():
    heavy = ("dagster", "pandas", "pandera", "dbt", "duckdb", "polars", "pyarrow", "jsonschema", "networkx", "pydantic")
    code = (
        "import sys; from pathlib import Path; from mesh_assets.mesh import examine; examine(Path(sys.argv[1])); "
        f"print(*sorted(set({heavy!r}) & {{name.partition('.')[0] for name in sys.modules}}))"
    )
    run = subprocess.run([sys.executable, "-c", code, str(REPOSITORY)], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == ""
