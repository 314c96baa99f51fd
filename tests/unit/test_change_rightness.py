"""How right the verdicts are: 320 labelled changes in a generated mesh, without data."""

import pytest

from mesh_assets.changes.binding import Bench
from mesh_assets.changes.impact import Verdict, assess, worst
from mesh_assets.changes.shape import shape_of
from mesh_assets.mesh import examine
from tests.changing import labelled, make
from tests.making import Place


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """(label, verdict by reading domain) of every change."""
    place = Place(tmp_path_factory.mktemp("labelled"))
    readers = make(place)
    mesh, problems = examine(place.root)
    assert problems == ()
    columns = {
        name: tuple((c.name, c.type) for c in shape_of(table).columns)
        for name, table in mesh.tables.items()
        if table.contract
    }
    bench, cache, found = Bench(), place.root / "cache", []
    mirrors = [name for name in mesh.tables if ".m_" in name]
    columns |= {name: columns[mesh.tables[name].inputs[0]] for name in mirrors}
    for one in labelled(mesh, readers):
        verdicts = assess(mesh, columns, {one.port: one.moved}, cache=cache, bench=bench)
        found.append((one, {d: worst(v.verdict for v in verdicts if v.domain == d) for d in one.readers}))
    return found


def test_the_set_is_large_and_mixed(judged):
    breaking = sum(bool(one.breaks) for one, _ in judged)
    assert len(judged) == 320
    assert 0.35 * len(judged) < breaking < 0.6 * len(judged)


def test_breaking_changes_are_stopped(judged):
    breaking = [(one, verdicts) for one, verdicts in judged if one.breaks]
    missed = [one.what for one, verdicts in breaking if worst(verdicts.values()) is Verdict.COMPATIBLE]
    assert len(missed) <= 0.02 * len(breaking), missed


def test_harmless_changes_are_let_through(judged):
    """What only rows can tell is left open: for a reader that computes with a column whose promise is looser now."""
    harmless = [(one, worst(verdicts.values())) for one, verdicts in judged if not one.breaks]
    stopped = [(one.port, one.what) for one, verdict in harmless if verdict is Verdict.BREAKING]
    assert len(stopped) <= 0.03 * len(harmless), stopped
    left = [(one.port, one.what) for one, verdict in harmless if verdict is Verdict.UNKNOWN]
    assert len(left) <= 0.06 * len(harmless), left
    assert all(what.startswith("promise") for _, what in left)


def test_the_verdict_of_each_reader_is_right(judged):
    decided = [(one, d, v) for one, verdicts in judged for d, v in verdicts.items() if v is not Verdict.UNKNOWN]
    wrong = [(one.port, one.what, d, str(v)) for one, d, v in decided if (d in one.breaks) != (v is Verdict.BREAKING)]
    assert len(wrong) <= 0.03 * len(decided), wrong
    unknown = sum(v is Verdict.UNKNOWN for _, verdicts in judged for v in verdicts.values())
    assert unknown <= 0.03 * (len(decided) + unknown)
    assert not any(d in one.breaks and v is Verdict.COMPATIBLE for one, d, v in decided)
