"""What is answered by statistics and by memory is what the rows say, over random histories of a table's files.

The files are real and their statistics are read as the lake reads them; there is no catalog, so that a history costs
little. The same over a real lake, with rows deleted in files: `tests/integration/test_verdicts.py`.
"""

import random
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import pytest

from mesh_assets.audit.contents import Contents, Knowledge, Layer
from mesh_assets.audit.execute import audit
from mesh_assets.lake.files import _footers
from mesh_assets.lake.sqltext import parquet
from mesh_assets.store import Store
from mesh_assets.verdicts import Verdicts
from tests.verdict_rules import TYPES, contract, rows, rules, shows_failing_rows, told

pytestmark = pytest.mark.usefixtures("polars_looks_first")


@dataclass
class World:
    """A table as files, one audit after the other."""

    con: duckdb.DuckDBPyConnection
    folder: Path
    memory: Verdicts
    chance: random.Random
    files: int = 0
    pasts: list[tuple[str, ...]] = field(default_factory=list)

    def write(self, query: str) -> str:
        """A new file."""
        self.files += 1
        path = self.folder / f"{self.files}.parquet"
        self.con.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
        return str(path)

    def copied(self, path: str) -> str:
        """The same bytes under another name: a retry, a file that a kitchen made, a version that was put back."""
        self.files += 1
        other = self.folder / f"{self.files}.parquet"
        if self.chance.random() < 0.5:
            other.hardlink_to(path)
        else:
            shutil.copy(path, other)
        return str(other)

    def layer(self, files: tuple[str, ...], where: str = "", apart: tuple[str, ...] = ()) -> Layer:
        """Rows of these files."""
        known = _footers(self.con, files, frozenset(TYPES))
        return Layer(sql=parquet(files), files=known, where=where, apart=apart)

    def agree(self, asked, relation: str, layers: tuple[Layer, ...], customers: str) -> None:
        """Audit with and without what is known; both must say the same."""
        related = {"a.customers": parquet((customers,))}.get
        there = Contents(table="a.customers", layers=(self.layer((customers,)),))
        known = Knowledge(contents=Contents(table="a.t", layers=layers), related=lambda _: there, memory=self.memory)
        full = audit(self.con, relation, asked, related=related, sample=1000)
        for knowledge in (known, self.chance.choice([known, replace(known, memory=None)])):
            limit = self.chance.choice([1, 1, 3])  # more than were remembered, sometimes
            found = audit(self.con, relation, asked, related=related, sample=limit, known=knowledge)
            assert told(found) == told(full)
            shows_failing_rows(found, full, limit)


@pytest.mark.parametrize("seed", [2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(80) if seed != 2)])
def test_cached_and_full_audits_agree_over_random_histories_of_files(tmp_path, seed):
    store = Store(tmp_path)
    try:
        with duckdb.connect() as con:
            con.execute("SET TimeZone = 'UTC'")
            for number in range(3):
                folder = tmp_path / str(number)
                folder.mkdir()
                # One memory for all: verdicts on a table of that name, of another history, must do no harm.
                _history(World(con, folder, Verdicts(store), random.Random(f"{seed} {number}")))
    finally:
        store.close()


def _history(world: World) -> None:
    chance = world.chance
    customers = world.write("SELECT unnest([0, 1, 2, 3, 4, 5, 6]) AS id")
    files: tuple[str, ...] = (world.write(rows(chance, 0)),)
    asked = contract(*chance.sample(rules(chance), 10))
    world.agree(asked, parquet(files), (world.layer(files),), customers)
    for step in range(1, 5):
        if chance.random() < 0.3:
            asked = contract(*chance.sample(rules(chance), 10))
        if chance.random() < 0.2:
            customers = world.write(f"SELECT unnest({[n for n in range(8) if chance.random() < 0.8] or [1]}) AS id")
        query = rows(chance, 6 * step)
        world.pasts.append(files)
        match chance.choice(["append", "append", "again", "upsert", "partition", "replace", "revert", "merge"]):
            case "append":
                new = world.write(query)
                layers = (world.layer(files), world.layer((new,)))
                files = (*files, new)
                world.agree(asked, parquet(files), layers, customers)
            case "again":
                files = (*files, world.copied(chance.choice(files)))
            case "upsert":
                new = world.write(f"SELECT * FROM ({query}) QUALIFY row_number() OVER (PARTITION BY id) = 1")
                where = f"NOT EXISTS (FROM {parquet((new,))} AS f WHERE f.id IS NOT DISTINCT FROM t.id)"
                files = _in_place(world, asked, files, new, where, customers, apart=("id",))
            case "partition":
                new = world.write(f"SELECT * REPLACE (DATE '2024-01-05' AS day) FROM ({query})")
                where = "(day >= '2024-01-04' AND day < '2024-01-06') IS NOT TRUE"
                files = _in_place(world, asked, files, new, where, customers)
            case "replace":
                files = (world.write(query),)
            case "revert":
                files = tuple(world.copied(file) for file in chance.choice(world.pasts))
            case "merge":
                files = (world.write(f"FROM {parquet(files)}"),)
        world.agree(asked, parquet(files), (world.layer(files),), customers)


def _in_place(
    world: World, asked, files: tuple[str, ...], new: str, where: str, customers: str, apart: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """New rows in the place of old ones: first as a candidate over both, then written as one file."""
    base = f"(SELECT *, filename, file_row_number FROM {parquet(files)}) AS t"
    old = replace(world.layer(files, where, apart), sql=base)
    relation = f"(SELECT * EXCLUDE (filename, file_row_number) FROM {base} WHERE {where} UNION ALL BY NAME FROM {parquet((new,))})"
    world.agree(asked, relation, (old, world.layer((new,))), customers)
    return (world.write(f"FROM {relation}"),)
