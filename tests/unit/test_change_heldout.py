"""How right the verdicts are on changes that were made without looking at the rules: three sets, labelled by execution.

`python -m tests.unit.test_change_heldout [first|second|third] [--wrong]` prints the figures of docs/reference/benchmarks.md, and what is wrong.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mesh_assets.changes.binding import Bench
from mesh_assets.changes.impact import Verdict, assess, worst
from mesh_assets.changes.shape import shape_of
from mesh_assets.mesh import examine
from tests.heldout import FIRST
from tests.heldout_second import SECOND
from tests.heldout_third import THIRD
from tests.labelling import Kit, Labelled, labelled, write
from tests.making import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
SETS = {"first": ((FIRST, 7),), "second": ((SECOND, 10),), "third": tuple((kit, 8) for kit in THIRD)}
"""Worlds, each with the number of readers of each port."""


@dataclass(frozen=True)
class Judged:
    """A labelled change, and by reading domain the verdict without rows, and what it is once the reader's tests were run.

    The tests are run as the label was found: a verdict that they decide is right by that, one that no test sees stays as it is.
    """

    label: Labelled
    verdicts: dict[str, Verdict]
    run: dict[str, Verdict]

    def stopped(self, *, run: bool = False) -> bool:
        return any(one is not Verdict.COMPATIBLE for one in (self.run if run else self.verdicts).values())


def judge(name: str, folder: Path) -> list[Judged]:
    """Every change of a set, judged."""
    found = []
    for number, (kit, each) in enumerate(SETS[name]):
        place, variants = (Place(folder / f"{word}_{number}") for word in ("heldout", "variants"))
        found += _judged(kit, each, place, variants)
    return found


def _judged(kit: Kit, each: int, place: Place, variants: Place) -> Iterator[Judged]:
    readers = write(kit, place, each=each)
    mesh, problems = examine(place.root)
    assert problems == ()
    columns = {n: tuple((c.name, c.type) for c in shape_of(t).columns) for n, t in mesh.tables.items() if t.contract}
    for reader in readers:
        columns |= reader.private
    bench = Bench()
    for one in labelled(kit, mesh, variants, readers):
        tables = assess(mesh, columns, {one.port: one.moved}, cache=place.root / "cache", bench=bench)
        by = {domain: [table for table in tables if table.domain == domain] for domain in one.readers}
        run = {domain: worst(_run(each, domain in one.breaks) for each in mine) for domain, mine in by.items()}
        yield Judged(one, {domain: worst(each.verdict for each in mine) for domain, mine in by.items()}, run)
    bench.close()


def _run(found, breaks: bool) -> Verdict:
    if found.verdict is Verdict.UNKNOWN and not found.silent:
        return Verdict.BREAKING if breaks else Verdict.COMPATIBLE
    return found.verdict


@pytest.fixture(scope="module", params=SETS)
def judged(request, tmp_path_factory):
    name = request.param
    return name, judge(name, tmp_path_factory.mktemp(name))


def test_the_set_is_large_and_half_of_it_is_harmless(judged):
    name, found = judged
    breaking = sum(bool(one.label.breaks) for one in found)
    assert len(found) == {"first": 416, "second": 440, "third": 224}[name]
    assert 0.4 * len(found) < breaking < 0.6 * len(found)


def test_breaking_changes_are_stopped(judged):
    _, found = judged
    missed = [(one.label.port, one.label.what) for one in found if one.label.breaks and not one.stopped()]
    assert missed == []


def test_no_reader_that_breaks_is_called_compatible(judged):
    """Also not where another reader stops the change."""
    _, found = judged
    missed = [
        (one.label.port, one.label.what, one.label.readers[domain], one.label.breaks[domain])
        for one in found
        for domain in one.label.breaks
        if one.verdicts[domain] is Verdict.COMPATIBLE
    ]
    assert missed == []


FLOORS = {
    ("first", False): (0.23, 0.91),
    ("first", True): (0.03, 0.97),
    ("second", False): (0.26, 0.91),
    ("second", True): (0.05, 0.97),
    ("third", False): (0.13, 0.93),
    ("third", True): (0.06, 0.97),
}
"""At most so many harmless changes stopped, at least so many verdicts right: without rows, and with the readers' tests run."""


@pytest.mark.parametrize("run", [False, True])
def test_the_figures_of_the_documentation_hold(judged, run):
    """Without rows a looser promise is left open, which stops a change; the readers' tests decide it."""
    name, found = judged
    stopped, right = FLOORS[name, run]
    told, words = figures(found), ", its tests run" if run else ""
    number, harmless = told[f"harmless changes stopped{words}"]
    assert number <= stopped * harmless
    number, verdicts = told[f"verdicts that are right{words}"]
    assert number >= right * verdicts


def figures(found: list[Judged]) -> dict[str, tuple[int, int]]:
    """What is right, of how many: without rows, and with the readers' tests run."""
    told = {}
    for run in (False, True):
        words = ", its tests run" if run else ""
        breaking, harmless = ([one for one in found if bool(one.label.breaks) is hurts] for hurts in (True, False))
        pairs = [
            (domain in one.label.breaks, (one.run if run else one.verdicts)[domain])
            for one in found
            for domain in one.label.readers
        ]
        right = sum(verdict is (Verdict.BREAKING if hurt else Verdict.COMPATIBLE) for hurt, verdict in pairs)
        told[f"breaking changes stopped{words}"] = (sum(one.stopped(run=run) for one in breaking), len(breaking))
        told[f"harmless changes stopped{words}"] = (sum(one.stopped(run=run) for one in harmless), len(harmless))
        told[f"verdicts that are right{words}"] = (right, len(pairs))
        told[f"broken readers called compatible{words}"] = (
            sum(hurt and verdict is Verdict.COMPATIBLE for hurt, verdict in pairs),
            sum(hurt for hurt, _ in pairs),
        )
        told[f"unharmed readers called breaking{words}"] = (
            sum(not hurt and verdict is Verdict.BREAKING for hurt, verdict in pairs),
            sum(not hurt for hurt, _ in pairs),
        )
    return told


def wrong(found: list[Judged]) -> Counter:
    """What is not right, with the idioms: (kind of change, what is said, with tests run, what is so, reader)."""
    return Counter(
        (
            one.label.what.split()[0],
            str(verdict),
            str(one.run[domain]),
            domain in one.label.breaks,
            one.label.readers[domain],
        )
        for one in found
        for domain, verdict in one.verdicts.items()
        if verdict is not (Verdict.BREAKING if domain in one.label.breaks else Verdict.COMPATIBLE)
    )


if __name__ == "__main__":
    for which in [word for word in sys.argv[1:] if word in SETS] or SETS:
        with tempfile.TemporaryDirectory() as folder:
            all_ = judge(which, Path(folder))
        for what, (number, of) in figures(all_).items():
            print(f"{which}: {what}: {number} of {of}, {number / of:.1%}")  # noqa: T201 - what it is run for
        for told, number in wrong(all_).most_common() if "--wrong" in sys.argv else ():
            print(number, *told)  # noqa: T201 - as above
