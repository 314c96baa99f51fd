"""The raw files of the shipped mesh are what their generator writes, and their faults are what the contracts find."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest
import yaml

from mesh_assets import raw
from mesh_assets.audit.execute import audit
from mesh_assets.lake import Lake
from mesh_assets.mesh import read_mesh
from tools.rawdata.__main__ import everything, write

ROOT = Path(__file__).parents[2]
DOMAINS = ROOT / "domains"
MESH = read_mesh(ROOT)
SOURCES = [name for name, table in MESH.tables.items() if table.source]


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all raw files, generated anew."""
    folder = tmp_path_factory.mktemp("generated")
    for name, frame in everything().items():
        write(frame, folder / name)
    return folder


def names(folder: Path) -> set[str]:
    """Paths of all raw files below a folder of domains."""
    return {str(path.relative_to(folder)) for path in folder.glob("*/raw/**/*") if path.is_file()}


def test_the_generator_writes_exactly_the_committed_files(generated: Path) -> None:
    assert names(generated) == names(DOMAINS)
    for name in sorted(names(DOMAINS)):
        if name.endswith(".parquet"):  # another release of Polars may write other bytes for the same rows
            assert pl.read_parquet(generated / name).equals(pl.read_parquet(DOMAINS / name)), name
        else:
            assert (generated / name).read_bytes() == (DOMAINS / name).read_bytes(), name


def test_raw_files_are_of_a_believable_size_and_still_small_enough_to_commit() -> None:
    assert sum(map(len, everything().values())) >= 200_000
    assert sum((DOMAINS / name).stat().st_size for name in names(DOMAINS)) <= 6_000_000


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    """An empty lake, for staging."""
    lake = Lake(tmp_path / "home")
    lake.create()
    yield lake
    lake.close()


@pytest.mark.parametrize("name", SOURCES)
def test_the_contract_of_a_source_finds_its_faults_and_no_others(name: str, lake: Lake, tmp_path: Path) -> None:
    table, folder = MESH.tables[name], MESH.domains[name.partition(".")[0]].path
    listed = {
        fault["test"]: (fault["status"], fault["failing_rows"])
        for fault in yaml.safe_load((DOMAINS / "faults.yaml").read_text(encoding="utf-8"))
        if fault["table"] == name.replace(".", "/")
    }
    if table.contract is None:
        assert not listed
        return
    con = duckdb.connect()
    query = raw.query(folder, table.source, table.contract)
    staged = lake.stage(con, name, query, columns=table.contract.columns, folder=tmp_path)
    relation = f"read_parquet({list(staged.files)!r})"
    results = audit(con, relation, table.contract, lost=staged.lost)
    found = {result.test.name: (result.status, result.failing_rows) for result in results if result.status != "pass"}
    assert found == listed
    assert not staged.lost
    assert not staged.missing
    assert not staged.extra
