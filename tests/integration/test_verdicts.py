"""What is answered by statistics and by memory is what the rows say: over random histories of a table in a real lake."""

import random
from pathlib import Path

import pytest

from mesh_assets.audit.contents import Knowledge
from mesh_assets.audit.execute import audit, planned
from mesh_assets.audit.plan import Rung
from mesh_assets.contract import Column, Contract, Kind, Test
from mesh_assets.lake import Lake, Mode, Publication
from mesh_assets.store import Store
from mesh_assets.verdicts import Verdicts

TYPES = {
    "id": "BIGINT",
    "day": "DATE",
    "amount": "DECIMAL(10,2)",
    "ratio": "DOUBLE",
    "code": "VARCHAR",
    "customer": "INTEGER",
}


class Counting(Verdicts):
    """A memory that says what it was asked to keep."""

    def __init__(self, store):
        super().__init__(store)
        self.kept = []

    def keep(self, counts):
        self.kept.append(dict(counts))
        super().keep(counts)


@pytest.fixture
def lake(tmp_path: Path):
    lake = Lake(tmp_path)
    lake.create()
    yield lake
    lake.close()


@pytest.fixture
def memory(tmp_path: Path):
    store = Store(tmp_path)
    yield Counting(store)
    store.close()


def contract(*tests: Test) -> Contract:
    columns = tuple(Column(name=name, type=type_) for name, type_ in TYPES.items())
    return Contract(id="c", version="1", name="t", columns=columns, tests=tests)


def rule(kind: Kind, *columns: str, **arguments: object) -> Test:
    named = "_".join([*columns, str(kind), *(str(value)[:20] for value in arguments.values())])
    return Test(name=named, kind=kind, columns=columns, arguments=arguments)


def rules(chance: random.Random) -> tuple[Test, ...]:
    zero = {"operator": "mustBe", "threshold": 0}
    to = {"to_table": "a.customers", "to_columns": ["id"]}
    return (
        rule(Kind.PRIMARY_KEY, "id"),
        rule(Kind.UNIQUE, "id"),
        rule(Kind.UNIQUE, "day", "code"),
        rule(Kind.DUPLICATE_VALUES, "code", **zero),
        rule(Kind.REQUIRED, "day"),
        rule(Kind.NULL_VALUES, "amount", **zero),
        rule(Kind.REQUIRED, "ratio"),
        rule(Kind.MINIMUM, "id", value=chance.choice([0, 3])),
        rule(Kind.MAXIMUM, "amount", value=chance.choice([50, 90, 1000])),
        rule(Kind.MINIMUM, "ratio", value=0),
        rule(Kind.MAXIMUM, "ratio", value=1),
        rule(Kind.MINIMUM, "day", value=chance.choice(["2024-01-01", "2024-01-03"])),
        rule(Kind.PATTERN, "code", pattern=chance.choice(["^[a-c]", "^[a-d][0-9]*$"])),
        rule(Kind.MISSING_VALUES, "code", **zero),
        rule(Kind.MIN_LENGTH, "code", value=1),
        rule(Kind.INVALID_VALUES, "customer", valid_values=[0, 1, 2, 3, 4, 5, 6, 7], **zero),
        rule(Kind.ROW_COUNT, operator="mustBeGreaterThan", threshold=3),
        rule(Kind.REFERENCE, "customer", **to),
        rule(Kind.SQL, query="select count(*) from {table} where ratio > 0.9"),
    )


def rows(chance: random.Random, first: int) -> str:
    """Mostly good, sometimes not; ids in order, at random, or some of them taken."""
    good = chance.random() < 0.5
    ids = [first + number for number in range(chance.randint(1, 6))]
    if chance.random() < 0.4:
        ids = [chance.randint(0, first + 5) for _ in ids]
    listed = []
    for id_ in ids:
        day = f"DATE '2024-01-0{chance.randint(1, 9)}'" if good or chance.random() < 0.8 else "NULL"
        ratio = chance.choice(["0.5", "1e0"] if good else ["0.5", "'nan'::DOUBLE", "NULL", "-1"])
        code = chance.choice(["'a1'", "'b'", f"'c{id_}'"] if good else ["'a1'", "''", "NULL", "'zz'"])
        key = id_ if good or chance.random() < 0.9 else "NULL"
        listed.append(
            f"({key}, {day}, {chance.randint(0, 99)}, {ratio}, {code}, {chance.randint(0, 6 if good else 12)})"
        )
    cast = ", ".join(f"CAST({name} AS {type_}) AS {name}" for name, type_ in TYPES.items())
    return f"SELECT {cast} FROM (VALUES {', '.join(listed)}) AS v({', '.join(TYPES)})"


def told(results) -> list:
    return [
        (result.test.name, result.status, result.failing_rows, result.total_rows, result.message) for result in results
    ]


def publish(lake, con, publication) -> int:
    return lake.publish(con, [publication], run="r", pin=lake.head())


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12))])
def test_cached_and_full_audits_agree_over_random_histories(lake, memory, seed):
    """Appends, upserts, partitions, deletes by others, whole loads and edited rules; every candidate and every version."""
    chance = random.Random(seed)
    with lake.session() as con:
        staged = lake.stage(con, "a.customers", "SELECT unnest([0, 1, 2, 3, 4, 5, 6]) AS id")
        customers = publish(lake, con, Publication(staged=staged, record={}))
        asked, version, first = rules(chance), None, 0
        for _ in range(4):
            if chance.random() < 0.3:
                asked = rules(chance)
            if chance.random() < 0.15:
                values = [number for number in range(8) if number != 3 or chance.random() < 0.5]
                staged = lake.stage(con, "a.customers", f"SELECT unnest({values}) AS id")
                customers = publish(lake, con, Publication(staged=staged, record={}))
            query = rows(chance, first)
            first += 6
            mode = (
                chance.choice([Mode.APPEND, Mode.APPEND, Mode.UPSERT, Mode.PARTITION, Mode.REPLACE])
                if version
                else Mode.REPLACE
            )
            partition = ("day", "2024-01-04", "2024-01-06") if mode is Mode.PARTITION else None
            if partition:
                query = f"SELECT * REPLACE (DATE '2024-01-05' AS day) FROM ({query})"
            if mode is Mode.UPSERT:
                query = f"SELECT * FROM ({query}) QUALIFY row_number() OVER (PARTITION BY id) = 1"
            publication = Publication(
                staged=lake.stage(con, "a.t", query),
                record={},
                mode=mode,
                key=("id",),
                partition=partition,
                base=version,
            )
            agree(lake, con, memory, contract(*asked), publication, customers)
            version = publish(lake, con, publication)
            agree(lake, con, memory, contract(*asked), ("a.t", version), customers)
            if chance.random() < 0.3:
                con.execute(f"DELETE FROM mesh.a.t WHERE id % 3 = {chance.randint(0, 2)}")
                version = lake.head()
                agree(lake, con, memory, contract(*asked), ("a.t", version), customers)


def agree(lake, con, memory, contract, of, customers):
    relation = lake.candidate(of) if isinstance(of, Publication) else lake.relation(*of)
    related = {"a.customers": lake.relation("a.customers", customers)}.get
    full = audit(con, relation, contract, related=related)
    columns = set(TYPES)
    known = Knowledge(
        contents=lake.contents(con, of, columns),
        related=lambda _: lake.contents(con, ("a.customers", customers), ()),
        memory=memory,
    )
    assert known.contents is not None, of
    statistics_only = audit(con, relation, contract, related=related, known=Knowledge(contents=known.contents))
    assert told(statistics_only) == told(full)
    for _ in range(2):  # the second time nearly everything is remembered
        found = audit(con, relation, contract, related=related, known=known)
        assert told(found) == told(full)
        for one in found:
            assert len(one.sample) <= 10
            assert (
                bool(one.sample)
                or not one.failing_rows
                or not one.query
                or one.test.kind in (Kind.SQL, Kind.ROW_COUNT)
                or one.status == "pass"
            ), one


def test_an_append_reads_its_own_file_only_and_a_changed_rule_only_itself(lake, memory):
    with lake.session() as con:
        version = publish(lake, con, Publication(staged=lake.stage(con, "a.t", _many(0)), record={}))
        for start in (100, 200):
            staged = lake.stage(con, "a.t", _many(start))
            version = publish(lake, con, Publication(staged=staged, record={}, mode=Mode.APPEND, base=version))
        asked = (
            rule(Kind.PATTERN, "code", pattern="^c"),
            rule(Kind.MAX_LENGTH, "code", value=9),
            rule(Kind.UNIQUE, "id"),
        )

        def reads(of, *tests):
            known = Knowledge(contents=lake.contents(con, of, TYPES), memory=memory)
            relation = lake.candidate(of) if isinstance(of, Publication) else lake.relation(*of)
            told = [step.reads for step in planned(con, relation, contract(*tests), known=known).steps]
            audit(con, relation, contract(*tests), known=known)
            return told

        assert reads(("a.t", version), *asked)[:2] == [3, 3]
        memory.kept.clear()
        assert reads(("a.t", version), *asked)[:2] == [0, 0]
        assert memory.kept == []
        staged = lake.stage(con, "a.t", _many(300))
        candidate = Publication(staged=staged, record={}, mode=Mode.APPEND, base=version)
        assert reads(candidate, *asked)[:2] == [1, 1]
        changed = (rule(Kind.PATTERN, "code", pattern="^c[0-9]"), *asked[1:])
        assert reads(candidate, *changed)[:2] == [4, 0]


def test_statistics_prove_without_reading(lake):
    with lake.session() as con:
        version = publish(lake, con, Publication(staged=lake.stage(con, "a.t", _many(0)), record={}))
        asked = (
            rule(Kind.REQUIRED, "id"),
            rule(Kind.MINIMUM, "amount", value=0),
            rule(Kind.MAXIMUM, "day", value="2024-12-31"),
            rule(Kind.MULTIPLE_OF, "amount", value=0.01),
            rule(Kind.ROW_COUNT, operator="mustBe", threshold=100),
        )
        known = Knowledge(contents=lake.contents(con, ("a.t", version), TYPES))
        steps = planned(con, lake.relation("a.t", version), contract(*asked), known=known).steps
        assert [(step.rung, step.reads) for step in steps] == [(Rung.STATISTICS, 0)] * 5


def test_a_changed_file_is_another_file(lake, memory, tmp_path):
    """A verdict belongs to bytes, not to a name."""
    with lake.session() as con:
        staged = lake.stage(con, "a.t", _many(0))
        (path,) = staged.files
        before = memory.identify({path: ""})
        other = lake.stage(con, "a.t", _many(5))
        Path(other.files[0]).replace(path)
        assert memory.identify({path: ""}) != before


def test_files_that_are_not_what_they_were_taken_for_are_read_in_full(lake, memory):
    """Should the paths ever not be those that the lake reads, nothing passes for want of rows."""
    with lake.session() as con:
        version = publish(lake, con, Publication(staged=lake.stage(con, "a.t", _many(0)), record={}))
        staged = lake.stage(con, "a.t", _many(50))
        version = publish(lake, con, Publication(staged=staged, record={}, mode=Mode.APPEND, base=version))
        contents = lake.contents(con, ("a.t", version), ())
        layer = contents.layers[0]
        wrong = [type(file)(path=f"/elsewhere{file.path}", rows=file.rows) for file in layer.files]
        contents = type(contents)(
            table="a.t", layers=(type(layer)(sql=layer.sql, files=(*wrong, type(wrong[0])(path="/none", rows=0))),)
        )
        relation, asked = lake.relation("a.t", version), contract(rule(Kind.PATTERN, "code", pattern="^x"))
        (result,) = audit(con, relation, asked, known=Knowledge(contents=contents))
        assert result.failing_rows == 200


def _many(start: int) -> str:
    return (
        f"SELECT i AS id, DATE '2024-01-01' + (i % 9)::INTEGER AS day, (i % 90)::DECIMAL(10,2) AS amount, 0.5::DOUBLE AS ratio, "
        f"'c' || i AS code, (i % 7)::INTEGER AS customer FROM range({start}, {start + 100}) AS r(i)"
    )
