"""kill -9 at any point of open, promote, revert and close: production is as before or as after, and the command can be repeated.

A child kills itself at the n-th call that our code makes or takes, so that every point between two of our statements can
be met, whatever the machine is doing; a kill by the clock meets the points within DuckDB and git as well.
"""

import json
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
import traceback
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import pytest

from mesh_assets.errors import MeshError
from mesh_assets.kitchen import maintenance
from mesh_assets.kitchen.api import Kitchen, undo
from mesh_assets.kitchen.records import Records
from tests.integration.test_kitchen import git, make, rule
from tests.making import Place

BEFORE, AFTER = 100, 65
PLUS_ONE = "select id, amount + 1 as amount, mail from shop.raw_orders"
CYCLES = int(os.environ.get("MESH_TEST_KILLS", "8"))
"""Of the slow test, for each catalog: each is a kill in every one of the four."""
WATCHED = tuple(
    f"/mesh_assets/{name}" for name in ("kitchen/", "lake/", "store.py", "ledger.py", "environment.py", "synthetic.py")
)
_children = multiprocessing.get_context("forkserver")


@dataclass
class Stage:
    """A mesh, what is done to it, and how it must look then. Goes to the children."""

    root: Path
    lake: dict[str, str] = field(default_factory=dict)
    name: str = "k1"
    query: str = "select id, case when id = 2 then 25 else amount end as amount, mail from shop.raw_orders where id < 4"

    @property
    def place(self) -> Place:
        place = Place(self.root)
        place.settings = place.settings.model_copy(update=self.lake)
        return place

    def make(self) -> None:
        make(self.root, **self.lake)

    def kitchen(self) -> Kitchen:
        return Kitchen.of(self.name, root=self.root, settings=self.place.settings)

    def open(self) -> None:
        Kitchen.open(self.name, root=self.root, settings=self.place.settings)

    def make_up(self) -> None:
        Kitchen.open(self.name, root=self.root, settings=self.place.settings, synthetic="50%")

    def made_up_again(self) -> None:
        """As `opened_again`, of a kitchen of synthetic rows; then it is closed."""
        self.agrees(BEFORE)
        maintenance.close_expired(self.root, self.place.settings, force=True)
        if not (self.root / ".mesh" / "kitchens" / self.name).exists():
            self.is_empty()
            self.make_up()
        kitchen = self.kitchen()
        assert kitchen.synthetic()["not_built"] == {}
        assert kitchen.sql("select count(*) from shop.orders") == [(4,)]
        assert kitchen.sql("select total from finance.revenue") == kitchen.sql("select sum(amount) from shop.orders")
        assert kitchen.test()["ok"]
        self.close()
        self.is_empty()
        self.agrees(BEFORE)

    def test(self) -> None:
        kitchen = self.kitchen()
        rule(kitchen, self.query)
        assert kitchen.test()["ok"]

    def promote(self) -> None:
        assert self.kitchen().promote()["refused"] == []

    def promote_or_not(self) -> None:
        """What came of it, for one who was not there."""
        refused = self.kitchen().promote()["refused"]
        (self.root.parent / f"{self.name}.json").write_text(json.dumps(refused))

    def promote_on_a_full_disk(self) -> None:
        """As far as files may not grow beyond so many bytes."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        failed = 0
        for most in (0, 20_000, 200_000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
            try:
                self.promote()
            except MeshError:
                failed += 1
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            self.agrees(BEFORE, AFTER)
        assert failed

    def revert(self) -> None:
        undo(self.root, self.place.settings, self.name)

    def close(self) -> None:
        self.kitchen().close(force=True)

    def opened_again(self) -> None:
        """What the kill has left is collected, as the hourly job does; then it can be opened."""
        self.agrees(BEFORE)
        maintenance.close_expired(self.root, self.place.settings, force=True)
        if not (self.root / ".mesh" / "kitchens" / "k1").exists():
            self.is_empty()
            self.open()
        self.test()
        self.agrees(BEFORE)

    def promoted_again(self) -> None:
        self.agrees(BEFORE, AFTER)
        self.promote()
        self.agrees(AFTER)
        assert "id < 4" in self.code()
        assert git(self.root, "status", "--porcelain") == ""
        standing = [each for each in Records(self.place.env().ledger).promotions("k1") if each.reverted is None]
        assert len(standing) == 1

    def reverted_again(self) -> None:
        self.agrees(BEFORE, AFTER)
        records = Records(self.place.env().ledger)
        if records.promotions("k1")[0].reverted is None:
            self.revert()
        self.agrees(BEFORE)
        assert "id < 4" not in self.code()
        assert git(self.root, "status", "--porcelain") == ""

    def closed_again(self) -> None:
        self.agrees(BEFORE)
        maintenance.close_expired(self.root, self.place.settings, force=True)
        if (self.root / ".mesh" / "kitchens" / "k1").exists():  # the kill came before anything was done
            self.close()
        self.agrees(BEFORE)
        self.is_empty()

    def code(self) -> str:
        return (self.root / "domains/shop/sql/orders.sql").read_text()

    def agrees(self, *totals: int) -> None:
        """Readers get all of it or nothing of it."""
        lake = self.place.env().lake
        query = "select (from finance.revenue), (select sum(amount)::bigint from shop.orders), (from quiet.one)"
        assert lake.sql(query)[1] in [[(total, total, 1)] for total in totals]

    def is_empty(self) -> None:
        """Nothing is left of the kitchen."""
        env = self.place.env()
        assert Records(env.ledger).all() == ()
        assert not (self.root / ".mesh" / "kitchens").exists()
        assert git(self.root, "worktree", "list").count("\n") == 0
        assert git(self.root, "branch", "--list", "kitchen/*") == ""
        assert git(self.root, "status", "--porcelain") == ""
        if self.lake:
            schemas = env.lake.catalog.rows("SELECT nspname FROM pg_namespace WHERE nspname LIKE '%_fork_%'")
            assert not [name for (name,) in schemas if name.startswith(env.lake.catalog.schema)]


def act(stage: Stage, words: tuple[str, ...], at: int | str, counted: Path) -> None:
    """In a child: do it, and die at the n-th call, or at the call of a function; else say how many calls there were."""
    calls = 0

    def watch(frame: FrameType, what: str, _: object) -> None:
        nonlocal calls
        if what in ("call", "c_call") and any(name in frame.f_code.co_filename for name in WATCHED):
            calls += 1
            if at in (calls, frame.f_code.co_name):
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(watch)
    try:
        for word in words:
            getattr(stage, word)()
    except BaseException:  # noqa: BLE001 - the parent is told by the code, a person by the text
        traceback.print_exc()
        os._exit(1)
    sys.setprofile(None)
    counted.write_text(str(calls))


class Children:
    """Processes that do one thing each; they are forked from one that has imported everything and opened nothing."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self.counted = stage, folder / "counted"

    def do(self, *words: str) -> tuple[int, float]:
        """To the end: how many calls it took, and how many seconds."""
        started = time.monotonic()
        assert self._start(words, 0) == 0, words
        return int(self.counted.read_text()), time.monotonic() - started

    def kill(self, word: str, *, at: int | str = 0, after: float = 0) -> bool:
        """Begin it and kill it, at a call or after so many seconds; whether it was still at it."""
        code = self._start((word,), at, after)
        assert code in (0, -signal.SIGKILL), word
        deadline = time.monotonic() + 30
        while any(str(self.stage.root) in command for command in _commands()) and time.monotonic() < deadline:
            time.sleep(0.05)  # a git, or a copying SQLite, whose parent is gone ends by itself
        return code != 0

    def begin(self, *words: str, at: int | str = 0) -> multiprocessing.Process:
        child = _children.Process(target=act, args=(self.stage, words, at, self.counted))
        child.start()
        return child

    def _start(self, words: tuple[str, ...], at: int | str, after: float = 0) -> int:
        child = self.begin(*words, at=at)
        if after:
            child.join(after)
            child.kill()
        child.join()
        return child.exitcode or 0


def _commands() -> list[str]:
    """Command lines of everything that runs, but of ourselves."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if int(path.parent.name) != os.getpid():
                found.append(path.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def preloaded():
    """The children's parent has imported what they need."""
    _children.set_forkserver_preload(
        ["tests.integration.test_kitchen_killed", "mesh_assets.orchestration.run", "mesh_assets.orchestration.sensors"]
    )


def begun(folder: Path, lake: dict[str, str] | None = None) -> Children:
    children = Children(Stage(folder / "mesh", lake or {}), folder)
    children.do("make")
    return children


def cycle(children: Children, kill: dict[str, tuple[int | str, float]]) -> dict[str, bool]:
    """Open, promote, revert and close, each of them killed once and repeated: which of them the kill has met."""
    met = {}
    for word, again in (
        ("open", "opened_again"),
        ("promote", "promoted_again"),
        ("revert", "reverted_again"),
        ("close", "closed_again"),
    ):
        at, after = kill[word]
        met[word] = children.kill(word, at=at, after=after)
        children.do(again)
    return met


@pytest.mark.usefixtures("preloaded")
def test_killed_once_in_each(tmp_path):
    """A kitchen half made; tables published and the code not merged; the same of a revert; a kitchen half removed."""
    children = begun(tmp_path)
    points = {"open": "keep_base", "promote": "merge", "revert": "merge", "close": "delete"}
    assert all(cycle(children, {word: (name, 0) for word, name in points.items()}).values())


def on(catalog: str, folder: Path, request: pytest.FixtureRequest) -> Children:
    if catalog == "sqlite":
        return begun(folder)
    (folder / "mesh").mkdir()
    lake = {
        "lake_catalog": f"postgres:{request.getfixturevalue('postgres')}",
        "lake_data": str(folder / "data"),
        "lake_schema": f"lake_{uuid.uuid4().hex[:8]}",
    }
    return begun(folder, lake)


@pytest.mark.long
@pytest.mark.usefixtures("preloaded")
@pytest.mark.parametrize("catalog", ["postgres"])  # on SQLite it is another file
def test_one_of_the_same_name_is_another_one(catalog, tmp_path, request):
    """Also to a process that has looked into the first one: a portal, say, while somebody closes it and opens the next."""
    children = on(catalog, tmp_path, request)
    children.stage.query = "select id, amount, 'a' as first, mail from shop.raw_orders where id > 2"
    children.do("open", "test")

    def seen() -> list[tuple]:
        return children.stage.kitchen().sql("from shop.orders order by id")

    assert seen() == [(3, 30, "c@x.org", "a"), (4, 40, None, "a")]
    children.stage.query = "select id, amount, mail, id + 0.5 as second from shop.raw_orders where id > 2"
    children.do("close", "open", "test")
    assert seen() == [(3, 30, "c@x.org", 3.5), (4, 40, None, 4.5)]
    children.do("close")


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("preloaded")
@pytest.mark.parametrize(
    ("catalog", "random_ones"),
    [
        ("sqlite", 1),
        pytest.param("sqlite", CYCLES, marks=pytest.mark.slow),
        pytest.param("postgres", CYCLES, marks=pytest.mark.slow),
    ],
)
def test_killed_while_rows_are_made_up(catalog, random_ones, tmp_path, request):
    """Before the rows, at the first publish, before it is on record as open, and anywhere: it is collected, and opened again."""
    children = on(catalog, tmp_path, request)
    calls, seconds = children.do("make_up")
    children.do("close")
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    points = [("publish", 0), ("excused", 0)]
    points += [
        (chance.randint(1, calls), 0) if n % 2 == 0 else (0, chance.uniform(0.01, seconds)) for n in range(random_ones)
    ]
    sys.stdout.write(f"{seed} {points}\n")
    met = 0
    for at, after in points:
        met += children.kill("make_up", at=at, after=after)
        children.do("made_up_again")
    assert met >= len(points) // 2


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("preloaded")
def test_two_promotes_at_once_and_a_full_disk(tmp_path):
    """One wins, the other is refused, and nothing of it is there; what a full disk stopped is done when there is room."""
    children = begun(tmp_path)
    other = Children(Stage(children.stage.root, name="k2", query=PLUS_ONE), tmp_path)
    children.do("open", "test")
    other.do("open", "test")
    both = [each.begin("promote_or_not") for each in (children, other)]
    for child in both:
        child.join()
        assert child.exitcode == 0
    refused = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("k1", "k2")]
    assert [bool(each) for each in refused] in ([True, False], [False, True])
    (winner, total), (loser, _) = sorted(
        ((children, AFTER), (other, 104)), key=lambda pair: bool(refused[pair[0].stage.name == "k2"])
    )
    winner.stage.agrees(total)
    assert (winner.stage.root / "domains/shop/sql/orders.sql").read_text() == winner.stage.query
    winner.do("revert", "close")
    loser.do("close")
    children.do("open", "test", "promote_on_a_full_disk", "promoted_again", "revert", "close", "is_empty")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("preloaded")
@pytest.mark.parametrize("catalog", ["sqlite", "postgres"])
def test_killed_at_any_point(catalog, tmp_path, request):
    """At random calls and at random moments."""
    children = on(catalog, tmp_path, request)
    whole = {}
    whole["open"] = children.do("open")
    children.do("test")
    for word in ("promote", "revert", "close"):
        whole[word] = children.do(word)
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    met = dict.fromkeys(whole, 0)
    for number in range(CYCLES):
        kill = {}
        for word, (calls, seconds) in whole.items():
            kill[word] = (chance.randint(1, calls), 0) if number % 2 == 0 else (0, chance.uniform(0.01, seconds))
        sys.stdout.write(f"{seed} {number} {kill}\n")
        for word, was in cycle(children, kill).items():
            met[word] += was
    assert all(met.values()), met
