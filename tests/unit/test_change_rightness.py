"""How right the verdicts are: 440 labelled changes in a generated mesh, without data, and renames with it.

`python -m tests.unit.test_change_rightness` prints the table of docs/how-to/change-a-port.md.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pytest

from mesh_assets.changes.binding import Bench
from mesh_assets.changes.impact import Verdict, assess, worst
from mesh_assets.changes.likeness import by_data
from mesh_assets.changes.lineage import expressions
from mesh_assets.changes.renames import by_code
from mesh_assets.changes.shape import ColumnShape, Shape, shape_of
from mesh_assets.mesh import examine
from tests.changing import MADE, Labelled, labelled, make, port_sql, respelt
from tests.making import Place


@dataclass(frozen=True)
class Judged:
    """A labelled change, and the verdict by reading domain."""

    label: Labelled
    verdicts: dict

    @property
    def worst(self) -> Verdict:
        return worst(self.verdicts.values())


def judge(place: Place) -> list[Judged]:
    """Every change of the set, judged."""
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
        found.append(Judged(one, {d: worst(v.verdict for v in verdicts if v.domain == d) for d in one.readers}))
    return found


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    return judge(Place(tmp_path_factory.mktemp("labelled")))


def test_the_set_is_large_and_mixed(judged):
    breaking = sum(bool(one.label.breaks) for one in judged)
    assert len(judged) == 440
    assert 0.35 * len(judged) < breaking < 0.6 * len(judged)


def test_breaking_changes_are_stopped(judged):
    breaking = [one for one in judged if one.label.breaks]
    missed = [one.label.what for one in breaking if one.worst is Verdict.COMPATIBLE]
    assert len(missed) <= 0.02 * len(breaking), missed


def test_harmless_changes_are_let_through(judged):
    """What only rows can tell is left open, which stops a change as well: a reader in Python of a looser promise."""
    harmless = [one for one in judged if not one.label.breaks]
    stopped = [(one.label.port, one.label.what) for one in harmless if one.worst is not Verdict.COMPATIBLE]
    assert len(stopped) <= 0.03 * len(harmless), stopped
    assert not any(one.worst is Verdict.BREAKING for one in harmless), stopped


def test_the_verdict_of_each_reader_is_right(judged):
    """Not knowing is not right, either; it is only never called compatible where it hurts."""
    verdicts = [(one.label, domain, verdict) for one in judged for domain, verdict in one.verdicts.items()]
    wrong = [
        (label.port, label.what, domain, str(verdict))
        for label, domain, verdict in verdicts
        if verdict is not (Verdict.BREAKING if domain in label.breaks else Verdict.COMPATIBLE)
    ]
    assert len(wrong) <= 0.03 * len(verdicts), wrong
    assert not any(domain in label.breaks and verdict is Verdict.COMPATIBLE for label, domain, verdict in verdicts)


# -- renames ---------------------------------------------------------------------------------------------------------------


def recognised(place: Place, times: int) -> dict[str, int]:
    """How many of the renames that nobody declared are offered, by the code or by the rows; and how many offers are wrong."""
    place.domain("d", "outputs:\n  - port: p\n")
    place.contract("d.p", {"id": "INTEGER; required: true"})
    place.sql("d.p", port_sql(MADE))
    mesh, problems = examine(place.root)
    assert problems == ()
    was, path = mesh.tables["d.p"], place.root / "new.sql"
    counts = {"renames": 0, "offered": 0, "by code": 0, "wrong": 0, "others": 0}
    for one in respelt(times):
        path.write_text(one.sql)
        with duckdb.connect(config={"threads": 1}) as con:
            shapes = [_shape(con, table, sql) for table, sql in (("old", port_sql(MADE)), ("new", one.sql))]
            spelt = expressions(mesh, was, {}), expressions(mesh, replace(was, path=path), {})
            by_its_code = by_code("d.p", *shapes, *spelt)
            found = {
                rename.before: rename.after
                for rename in by_its_code or by_data(con, "d.p", tuple(shapes), ("old", "new"))
            }
        counts["renames" if one.after else "others"] += 1
        counts["offered"] += bool(one.after) and found.get(one.before) == one.after
        counts["by code"] += bool(one.after) and bool(by_its_code)
        counts["wrong"] += any(not one.after or pair != (one.before, one.after) for pair in found.items())
    return counts


def _shape(con: duckdb.DuckDBPyConnection, table: str, sql: str) -> Shape:
    con.execute(f"CREATE TABLE {table} AS {sql}")
    columns = [ColumnShape(name=row[0], type=row[1]) for row in con.execute(f"DESCRIBE {table}").fetchall()]
    return Shape(columns=tuple(columns), key=("id",))


def test_renames_that_nobody_declares_are_recognised(tmp_path):
    counts = recognised(Place(tmp_path), 10)
    assert (counts["renames"], counts["others"]) == (10, 10)
    assert counts["offered"] >= 0.9 * counts["renames"], counts
    assert counts["wrong"] <= 0.03 * counts["renames"], counts


def figures(found: list[Judged]) -> dict[str, tuple[int, int]]:
    """What is right, of how many."""
    breaking, harmless = ([one for one in found if bool(one.label.breaks) is hurts] for hurts in (True, False))
    verdicts = [(domain in one.label.breaks, verdict) for one in found for domain, verdict in one.verdicts.items()]
    return {
        "breaking changes stopped": (sum(one.worst is not Verdict.COMPATIBLE for one in breaking), len(breaking)),
        "harmless changes stopped": (sum(one.worst is not Verdict.COMPATIBLE for one in harmless), len(harmless)),
        "verdicts that are right, reader by reader": (
            sum(verdict is (Verdict.BREAKING if hurt else Verdict.COMPATIBLE) for hurt, verdict in verdicts),
            len(verdicts),
        ),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for what, (number, all_) in figures(judge(Place(Path(folder, "a")))).items():
            print(f"{what}: {number} of {all_}, {number / all_:.1%}")  # noqa: T201 - what it is run for
        print("renames:", recognised(Place(Path(folder, "b")), 100))  # noqa: T201
