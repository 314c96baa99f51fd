"""Kitchens as teams use them from outside: a fixture in the tests of another repository, and a script that a forge calls."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.test_kitchen import git, make, revenue
from tests.pages import ROOT, fences

BIN = Path(sys.executable).parent
ORDERS = "domains/shop/sql/orders.sql"
CONFTEST = 'pytest_plugins = ["mesh_assets.pytest_plugin"]\n'
TESTS = """
import pytest
from mesh_assets.kitchen.api import Kitchen


def test_the_fixture(mesh_kitchen):
    sql = mesh_kitchen.root / "domains/shop/sql/orders.sql"
    sql.write_text(sql.read_text().replace("amount,", "amount + 1 as amount,"))
    report = mesh_kitchen.test()
    assert report["ok"]
    assert mesh_kitchen.sql("from finance.revenue") == [(104,)]


class TestOptions:
    @pytest.fixture
    def mesh_kitchen_options(self):
        return {"code": False, "variables": {"RATE": "3"}}

    def test_them(self, mesh_kitchen):
        assert not mesh_kitchen.site.has_code
        assert "variable RATE is set" in mesh_kitchen.status()["differences"]


def test_the_class():
    with Kitchen.open("by-hand") as kitchen:
        assert Kitchen.of("by-hand").status()["matches_production"]


def test_that_fails(mesh_kitchen):
    assert mesh_kitchen.sql("from finance.revenue") == [(0,)]
"""


def run(*words: object, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A program as a person starts it, in a folder, with nothing of this test run around it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MESH_", "DAGSTER_", "GIT_", "PYTEST_"))
    }
    environment = {**kept, "PATH": f"{BIN}:{kept['PATH']}", **more}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_a_team_tests_in_a_repository_of_its_own(tmp_path):
    place = make(tmp_path / "mesh")
    team = tmp_path / "team"
    team.mkdir()
    (team / "conftest.py").write_text(CONFTEST)
    (team / "test_orders.py").write_text(TESTS)
    git(team, "init", "-q")
    done = run(BIN / "pytest", "-q", "-p", "no:cacheprovider", folder=team, MESH_DIR=str(place.root))
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    assert "1 failed" in done.stdout
    assert "[(100,)] == [(0,)]" in done.stdout
    assert not (place.root / ".mesh" / "kitchens").exists(), "a test that fails leaves nothing either"
    assert git(place.root, "branch", "--list") == "* main"
    assert revenue(place) == 100
    done = run(BIN / "pytest", "-p", "no:cacheprovider", "-k", "fixture", folder=team)
    assert f"no mesh.yaml in {team} or above" in done.stdout


@pytest.mark.long
def test_the_script_for_pull_requests(tmp_path):
    """The one of the page, with a forge: opened, pushed to, failing, merged as one commit; and one that comes to nothing."""
    (script,) = [
        body for info, body in fences(ROOT / "docs/how-to/kitchens.md") if info == "bash" and "pushed)" in body
    ]
    place = make(tmp_path / "mesh")
    (tmp_path / "pull-request.sh").write_text(script)
    git(tmp_path, "clone", "-q", "--bare", str(place.root), "forge.git")
    git(place.root, "remote", "add", "origin", str(tmp_path / "forge.git"))
    git(place.root, "fetch", "-q", "origin")
    git(place.root, "branch", "-q", "--set-upstream-to", "origin/main")
    git(tmp_path, "clone", "-q", "forge.git", "team")
    team = tmp_path / "team"
    git(team, "config", "user.email", "d@example.org")
    git(team, "config", "user.name", "Dana")

    def push(branch: str, query: str) -> None:
        git(team, "checkout", "-q", branch)
        (team / ORDERS).write_text(query)
        git(team, "commit", "-qam", query[:40])
        git(team, "push", "-q", "origin", branch)

    def forge(word: str, branch: str = "new-rule", number: int = 12, code: int = 0) -> str:
        done = run("bash", tmp_path / "pull-request.sh", word, folder=place.root, NUMBER=str(number), BRANCH=branch)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    git(team, "branch", "-q", "new-rule")
    git(team, "branch", "-q", "no-good")
    push("new-rule", "select id, 1::bigint as amount, mail from shop.raw_orders")
    said = forge("pushed", code=1)
    assert "finance/revenue: total__minimum fail" in said
    assert (place.root / "comment.txt").read_text() == said
    assert "<failure" in (place.root / "kitchen.xml").read_text()
    push("new-rule", "select id, amount + 1 as amount, mail from shop.raw_orders")
    assert "shop/orders: 4 changed" in forge("pushed")
    push("no-good", "select id, amount + 9 as amount, mail from shop.raw_orders")
    forge("pushed", "no-good", 13)
    assert revenue(place) == 100
    git(team, "checkout", "-q", "main")
    git(team, "merge", "-q", "--squash", "new-rule")
    git(team, "commit", "-qm", "A new rule (#12)")
    git(team, "push", "-q", "origin", "main")
    assert "as tested" in forge("merged")
    assert revenue(place) == 104
    assert set(place.statuses().values()) == {"unchanged"}, "what was tested is what is published"
    forge("closed", "no-good", 13)
    assert not (place.root / ".mesh" / "kitchens").exists()
    assert git(place.root, "branch", "--list") == "* main"
    assert git(place.root, "log", "-1", "--format=%s") == "A new rule (#12)"
    assert set(git(place.root, "status", "--porcelain").split("\n")) <= {"?? comment.txt", "?? kitchen.xml"}
