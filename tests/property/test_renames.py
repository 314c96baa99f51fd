"""Columns under another name are recognised by their rows: on generated tables, whose rows have changed in between as well.

`python -m tests.property.test_renames` prints the table of docs/how-to/change-a-port.md.
"""

import random
from collections import Counter

import duckdb

from mesh_assets.changes.likeness import by_data
from mesh_assets.changes.shape import ColumnShape, Shape

CASES = 60
KINDS = {
    "number": ("BIGINT", "(hash(i, {seed}) % 9000000)::BIGINT"),
    "flag": ("BOOLEAN", "hash(i, {seed}) % 10 < {low}"),
    "code": ("VARCHAR", "['new', 'open', 'shipped', 'returned', 'lost'][(sqrt(hash(i, {seed}) % 25))::INT + 1]"),
    "state": ("VARCHAR", "chr((65 + hash(i, {seed}) % 20)::INT) || chr((65 + hash(i, {seed}) % 7)::INT)"),
    "name": ("VARCHAR", "'n' || (hash(i, {seed}) % 700)"),
    "text": ("VARCHAR", "md5((i + {seed})::VARCHAR)"),
    "amount": ("DECIMAL(10,2)", "((hash(i, {seed}) % 100000) / 100)::DECIMAL(10,2)"),
    "small": ("INTEGER", "(hash(i, {seed}) % 12)::INTEGER"),
    "day": ("DATE", "DATE '2024-01-01' + (hash(i, {seed}) % 700)::INTEGER"),
    "at": ("TIMESTAMP", "TIMESTAMP '2024-01-01' + to_seconds((hash(i, {seed}) % 9000000)::BIGINT)"),
    "seldom": ("VARCHAR", "CASE WHEN hash(i, {seed}) % 20 = 0 THEN 'x' || hash(i, {seed}) % 90 END"),
}
"""Columns of a table as businesses have them, each from a seed of its own."""
WORDS = [
    "city",
    "status",
    "price",
    "owner",
    "zip",
    "level",
    "moment",
    "grade",
    "note",
    "rate",
    "share",
    "kind",
    "place",
    "sum",
]


class Case:
    """A table of which columns were renamed, dropped and added, and whose rows went on changing.

    Attributes:
        true: What was renamed, old to new.
        keyed: The key is there under its own name in both.
    """

    def __init__(self, number: int) -> None:
        self.pick = pick = random.Random(number)
        self.con = duckdb.connect()
        names = pick.sample(WORDS, 9)
        kinds = {name: pick.choice(list(KINDS)) for name in names}
        seeds = {name: pick.randrange(10**6) for name in names}
        renamed, dropped = names[: pick.randint(1, 3)], names[3 : 3 + pick.randint(0, 2)]
        self.true = {name: f"{pick.choice(['the', 'new', 'my'])}_{pick.choice(WORDS)}_{name[::-1]}" for name in renamed}
        self.keyed = pick.random() < 0.6
        rows = pick.choice([200, 3000])
        old = {name: (kinds[name], seeds[name]) for name in names}
        new = {self.true.get(name, name): old[name] for name in names if name not in dropped}
        for fresh in range(pick.randint(0, 3)):
            new[f"fresh_{fresh}"] = (pick.choice(list(KINDS)), pick.randrange(10**6))
        self._write("old", "id", old, f"range({rows})", drift=False)
        # One row in twenty is gone, as many are new, and one value in twenty is another.
        self._write(
            "new", "id" if self.keyed else "number", new, f"range({rows // 20}, {rows + rows // 20})", drift=True
        )
        key = ColumnShape(name="id", type="BIGINT")
        self.shapes = (
            self._shape(old, key),
            self._shape(new, key if self.keyed else ColumnShape(name="number", type="BIGINT")),
        )

    def _write(self, table: str, key: str, columns: dict, rows: str, *, drift: bool) -> None:
        made = [f"i AS {key}"]
        for name, (kind, seed) in columns.items():
            low, value = 1 + seed % 8, KINDS[kind][1]
            told = value.format(seed=seed, low=low)
            if drift:
                told = f"CASE WHEN hash(i, 'drift', {seed}) % 20 = 0 THEN {value.format(seed=seed + 1, low=low)} ELSE {told} END"
            made.append(f'{told} AS "{name}"')
        self.con.execute(f"CREATE TABLE {table} AS SELECT {', '.join(made)} FROM {rows} t(i)")

    @staticmethod
    def _shape(columns: dict, key: ColumnShape) -> Shape:
        found = [ColumnShape(name=name, type=KINDS[kind][0]) for name, (kind, _) in columns.items()]
        return Shape(columns=(key, *found), key=(key.name,))

    def offered(self) -> dict[str, str]:
        found = by_data(self.con, "a.b", self.shapes, ("old", "new"))
        return {one.before: one.after for one in found if one.before != "id"}


def measured(cases: int) -> dict[str, Counter]:
    """How many of the renames are offered, and how many offers are wrong, with and without the key."""
    counts = {"by key": Counter(), "by values": Counter()}
    for number in range(cases):
        case = Case(number)
        offered, at = case.offered(), counts["by key" if case.keyed else "by values"]
        at["renames"] += len(case.true)
        at["recognised"] += sum(offered.get(name) == new for name, new in case.true.items())
        at["wrong"] += sum(case.true.get(name) != new for name, new in offered.items())
        case.con.close()
    return counts


def test_renames_are_recognised_and_hardly_anything_else_is_offered():
    counts = measured(CASES)
    for how, found in counts.items():
        assert found["recognised"] >= 0.9 * found["renames"], (how, found)
        assert found["wrong"] <= 0.03 * found["renames"], (how, found)


if __name__ == "__main__":
    for how, found in measured(600).items():
        print(how, dict(found))  # noqa: T201 - what it is run for
