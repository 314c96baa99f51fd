"""One mistake per folder, and the words we say about it."""

from pathlib import Path

import pytest

from mesh_assets.errors import PROBLEMS, ConfigError
from mesh_assets.mesh import examine, problems_json, read_mesh

ROOT = Path(__file__).parents[1] / "broken"
BROKEN = sorted(folder for folder in ROOT.iterdir() if folder.is_dir())
# What no folder can show: test_source makes a huge file, dbt is started by its own tests, schemas are imported by
# test_hand_written, M701 needs a history, and what only warns is in test_deprecation and test_strays.
ELSEWHERE = {"M004", "M115", "M311", "M418", "M419", "M420", "M421", "M553", "M554", "M555", "M556", "M701"}


@pytest.mark.parametrize("folder", BROKEN, ids=lambda folder: folder.name)
def test_says_what_is_wrong_and_how_to_mend_it(folder):
    _, problems = examine(folder)
    assert "".join(f"{problem}\n" for problem in problems) == (folder / "says.txt").read_text()


@pytest.mark.parametrize("folder", BROKEN, ids=lambda folder: folder.name)
def test_is_refused_whole_and_loads_the_rest_when_asked(folder):
    with pytest.raises(ConfigError) as caught:
        read_mesh(folder)
    assert caught.value.exit_code == 2
    mesh, problems = examine(folder)
    assert caught.value.problems == problems
    if mesh is not None:
        told = [*mesh.left_out]
        told += [problem for found in read_mesh(folder, tolerant=True).broken.values() for problem in found]
        assert sorted(map(str, told)) == sorted(map(str, problems))
        assert not {table.domain for table in mesh.tables.values()} & set(mesh.broken)


def test_every_code_has_a_folder_that_shows_it():
    shown = {problem.code for folder in BROKEN for problem in examine(folder)[1]}
    assert shown == PROBLEMS.keys() - ELSEWHERE


def test_problems_as_json_hold_what_the_text_holds():
    _, problems = examine(ROOT / "unknown_table")
    assert problems_json(problems) == {
        "schema_version": 1,
        "problems": [
            {
                "code": "M404",
                "path": "domains/shop/sql/sales.sql",
                "line": 2,
                "column": 6,
                "what": "`shop` has no table `ordes`",
                "mend": "Did you mean `orders`?",
            }
        ],
        "warnings": [],
    }
