"""kill -9 at random points of open, promote, revert and close: production is as before or as after, and all is collectable.

Children are forked from a process that has imported everything and opened nothing, so that a kill costs a second and not ten.
"""

import importlib
import os
import random
import shutil
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from mesh_assets.kitchen import maintenance
from mesh_assets.kitchen.api import Kitchen, undo
from mesh_assets.kitchen.records import Records
from tests.integration.test_kitchen import git, make, revenue, rule
from tests.making import Place

KILLS = int(os.environ.get("MESH_TEST_KILLS", "6"))
"""Of each of the four."""

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kitchen")]
BEFORE, AFTER = 100, 65


def child(work: Callable[[], object]) -> int:
    """Do it in a process of its own; its number."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - the parent is told by the code, a person by the text
        traceback.print_exc()
    finally:
        os._exit(code)


def done(work: Callable[[], object]) -> None:
    """Do it in a process of its own, to the end."""
    _, status = os.waitpid(child(work), 0)
    assert status == 0


def seconds(work: Callable[[], object]) -> float:
    started = time.monotonic()
    done(work)
    return time.monotonic() - started


def killed(work: Callable[[], object], after: float) -> bool:
    """Begin it and kill it after so many seconds; whether it was still at it."""
    pid = child(work)
    time.sleep(after)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


class Stage:
    """A mesh that can be put back to how it was."""

    def __init__(self, folder: Path) -> None:
        self.root, self.kept = folder / "mesh", folder / "kept"
        done(lambda: make(self.root))
        self.place = Place(self.root)
        self.keep()

    def keep(self) -> None:
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(self.root, self.kept, symlinks=True)

    def put_back(self) -> None:
        shutil.rmtree(self.root)
        shutil.copytree(self.kept, self.root, symlinks=True)

    def kitchen(self) -> Kitchen:
        return Kitchen.of("k1", root=self.root, settings=self.place.settings)

    def open(self) -> None:
        Kitchen.open("k1", root=self.root, settings=self.place.settings)

    def test(self) -> None:
        kitchen = self.kitchen()
        rule(
            kitchen,
            "select id, case when id = 2 then 25 else amount end as amount, mail from shop.raw_orders where id < 4",
        )
        assert kitchen.test()["ok"]

    def promote(self) -> None:
        assert self.kitchen().promote()["refused"] == []

    def revert(self) -> None:
        undo(self.root, self.place.settings, "k1")

    def close(self) -> None:
        self.kitchen().close(force=True)

    def collect(self) -> None:
        maintenance.close_expired(self.root, self.place.settings, force=True)

    def is_consistent(self) -> None:
        """Readers get all of it or nothing of it."""
        total = revenue(self.place)
        assert total in (BEFORE, AFTER)
        assert self.place.rows("select sum(amount) from shop.orders") == [(total,)]
        assert self.place.rows("select n from quiet.one") == [(1,)]

    def is_empty(self) -> None:
        """Nothing is left of the kitchen."""
        assert Records(self.place.env().ledger).all() == ()
        assert not (self.root / ".mesh" / "kitchens").exists()
        assert git(self.root, "worktree", "list").count("\n") == 0
        assert git(self.root, "branch", "--list", "kitchen/*") == ""
        assert git(self.root, "status", "--porcelain") == ""


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    for name in ("duckdb", "polars", "sqlalchemy.dialects.sqlite", "mesh_assets.orchestration.run"):
        importlib.import_module(name)
    return Stage(tmp_path_factory.mktemp("killed"))


def moments(total: float) -> list[float]:
    chance = random.Random(5)
    return [chance.uniform(0, total) for _ in range(KILLS)]


def test_killed_at_any_moment(stage):
    cut_off = dict.fromkeys(("open", "promote", "revert", "close"), 0)
    for moment in moments(seconds(stage.open)):
        stage.put_back()
        cut_off["open"] += killed(stage.open, moment)
        done(stage.is_consistent)
        done(stage.collect)
        if (stage.root / ".mesh" / "kitchens").exists():  # it had come to its end
            done(stage.close)
        done(stage.is_empty)
    stage.put_back()
    done(stage.open)
    done(stage.test)
    stage.keep()

    for moment in moments(seconds(stage.promote)):
        stage.put_back()
        cut_off["promote"] += killed(stage.promote, moment)
        done(stage.is_consistent)
        done(stage.promote)
        done(lambda: is_at(stage, AFTER))
        assert "id < 4" in (stage.root / "domains/shop/sql/orders.sql").read_text()
    stage.keep()

    for moment in moments(seconds(stage.revert)):
        stage.put_back()
        cut_off["revert"] += killed(stage.revert, moment)
        done(stage.is_consistent)
        if "id < 4" in (stage.root / "domains/shop/sql/orders.sql").read_text():
            done(stage.revert)
        done(lambda: is_at(stage, BEFORE))
        assert "id < 4" not in (stage.root / "domains/shop/sql/orders.sql").read_text()
    stage.put_back()

    for moment in moments(seconds(stage.close)):
        stage.put_back()
        cut_off["close"] += killed(stage.close, moment)
        done(lambda: is_at(stage, AFTER))
        done(stage.collect)
        if (stage.root / ".mesh" / "kitchens").exists():
            done(stage.close)
        done(stage.is_empty)
        done(lambda: is_at(stage, AFTER))
    assert all(cut_off.values()), cut_off


def is_at(stage: Stage, total: int) -> None:
    stage.is_consistent()
    assert revenue(stage.place) == total
