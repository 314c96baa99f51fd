"""What is answered by statistics and by memory is what the rows say: over random histories of a table in a real lake."""

import os
import random
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from mesh_assets.audit.contents import Contents, DataFile, Knowledge, Layer
from mesh_assets.audit.execute import audit, planned
from mesh_assets.audit.plan import Rung
from mesh_assets.audit.proofs import span
from mesh_assets.audit.sample import MASK
from mesh_assets.audit.values import column_type
from mesh_assets.contract import Kind
from mesh_assets.lake import Mode, Publication
from mesh_assets.lake.files import _footers
from mesh_assets.store import Store
from mesh_assets.verdicts import Verdicts
from tests.verdict_rules import TYPES, contract, library, rows, rule, rules, shows_failing_rows, told

pytestmark = pytest.mark.usefixtures("polars_looks_first")


class Counting(Verdicts):
    """A memory that says what it was asked to keep."""

    def __init__(self, store):
        super().__init__(store)
        self.kept = []

    def keep(self, counts):
        self.kept.append(dict(counts))
        super().keep(counts)


@pytest.fixture
def memory(tmp_path: Path):
    store = Store(tmp_path)
    yield Counting(store)
    store.close()


def publish(lake, con, publication) -> int:
    return lake.publish(con, [publication], run="r", pin=lake.head())


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 16))])
def test_cached_and_full_audits_agree_over_random_histories(lake, memory, seed):
    """Appends, upserts, partitions, deletes by others, whole loads and edited rules; every candidate and every version."""
    chance = random.Random(seed)
    with lake.session() as con:
        staged = lake.stage(con, "a.customers", "SELECT unnest([0, 1, 2, 3, 4, 5, 6]) AS id")
        customers = publish(lake, con, Publication(staged=staged, record={}))
        asked, version, first = chance.sample(rules(chance), 8), None, 0
        for _ in range(4):
            if chance.random() < 0.3:
                asked = chance.sample(rules(chance), 8)
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
            assert lake.contents(con, publication, TYPES) is not None
            agree(lake, con, memory, contract(*asked), publication, customers)
            version = publish(lake, con, publication)
            agree(lake, con, memory, contract(*asked), ("a.t", version), customers)
            if chance.random() < 0.3:
                con.execute(f"DELETE FROM mesh.a.t WHERE id % 3 = {chance.randint(0, 2)}")
                version = lake.head()
                agree(lake, con, memory, contract(*asked), ("a.t", version), customers)


@pytest.mark.long
def test_verdicts_are_right_through_a_fork_a_merge_and_a_revert(sqlite_lake, memory, tmp_path):
    _other_ways(sqlite_lake, memory, tmp_path, 0, ["fork", "merge", "rewrite", "revert"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 10))
def test_verdicts_are_right_through_forks_reverts_and_compaction(lake, memory, tmp_path, seed):
    _other_ways(lake, memory, tmp_path, seed, ["fork", "append", "merge", "fork", "revert", "append", "rewrite"])


def _other_ways(lake, memory, tmp_path, seed: int, steps: list[str]) -> None:
    """One memory for the lake and its forks: which files a version has changes in every way that there is."""
    chance = random.Random(f"forks {seed}")
    asked = contract(*chance.sample(rules(chance), 6), rule(Kind.UNIQUE, "id"), rule(Kind.MAXIMUM, "amount", value=60))
    with lake.session() as con:
        staged = lake.stage(con, "a.customers", "SELECT unnest([0, 1, 2, 3, 4, 5, 6]) AS id")
        customers = publish(lake, con, Publication(staged=staged, record={}))
        version = publish(lake, con, Publication(staged=lake.stage(con, "a.t", rows(chance, 0)), record={}))
        versions = [version]
        for step, what in enumerate(steps, 1):
            if what == "fork":
                version = _through_a_fork(lake, con, memory, asked, tmp_path / f"fork {step}", chance, version)
            elif what == "append":
                staged = lake.stage(con, "a.t", rows(chance, 6 * step))
                version = publish(lake, con, Publication(staged=staged, record={}, mode=Mode.APPEND, base=version))
            elif what == "revert":
                version = publish(
                    lake, con, Publication(staged=lake.as_it_was(con, "a.t", chance.choice(versions)), record={})
                )
            elif what == "merge":
                con.execute("CALL ducklake_merge_adjacent_files('mesh')")
                agree(lake, con, memory, asked, ("a.t", version), customers)  # an old version of files that are merged
            else:
                con.execute("DELETE FROM mesh.a.t WHERE amount > 30")
                con.execute("CALL ducklake_rewrite_data_files('mesh', delete_threshold => 0.1)")
            version = max(version, lake.head())
            versions.append(version)
            agree(lake, con, memory, asked, ("a.t", version), customers)


def _through_a_fork(lake, con, memory, asked, folder, chance, version) -> int:
    """Rows are changed in a fork, by DuckLake itself and by a publish, and what comes out is promoted."""
    customers = lake.head()
    fork = lake.fork(folder, {"a.t": version, "a.customers": customers})
    try:
        with fork.session() as mine:
            agree(fork, mine, memory, asked, ("a.t", fork.head()), fork.head())
            base = fork.head()
            staged = fork.stage(mine, "a.t", rows(chance, chance.randint(0, 40)))
            publish(fork, mine, Publication(staged=staged, record={}, mode=Mode.APPEND, base=base))
            agree(fork, mine, memory, asked, ("a.t", fork.head()), fork.head())
            if chance.random() < 0.5:
                mine.execute("UPDATE mesh.a.t SET amount = amount + 1 WHERE id % 2 = 0")
            agree(fork, mine, memory, asked, ("a.t", fork.head()), fork.head())
            staged, mode = fork.harvest(mine, "a.t", into=lake)
        candidate = Publication(staged=staged, record={}, mode=mode, base=version)
        agree(lake, con, memory, asked, candidate, customers)
        return publish(lake, con, candidate)
    finally:
        fork.remove()


def test_masked_values_have_verdicts_of_their_own(sqlite_lake, memory, tmp_path):
    """What does not fit its type once it is masked is empty: neither the memory nor the statistics of the original say so."""
    lake = sqlite_lake
    asked = contract(rule(Kind.REQUIRED, "id"), rule(Kind.MINIMUM, "id", value=9_223_372_036_854_775_000))
    with lake.session() as con:
        query = f"SELECT * REPLACE (9223372036854775807 - id AS id) FROM ({_many(0)})"
        version = publish(lake, con, Publication(staged=lake.stage(con, "a.t", query), record={}))
        agree(lake, con, memory, asked, ("a.t", version), version)
    fork = lake.fork(tmp_path / "fork")
    fork.mask("a.t", {"id": "BIGINT"}, "k", [version])
    with fork.session() as con:
        agree(fork, con, memory, asked, ("a.t", version), version)
        (required, _) = audit(con, fork.relation("a.t", version), asked)
        assert required.failing_rows  # else this tests nothing
    fork.remove()


def test_a_column_that_was_renamed_is_another_column(sqlite_lake, memory):
    """The same file shows other values under the same name then."""
    lake = sqlite_lake
    asked = contract(rule(Kind.REQUIRED, "code"), rule(Kind.PATTERN, "code", pattern="^c"))
    with lake.session() as con:
        version = publish(lake, con, Publication(staged=lake.stage(con, "a.t", _many(0)), record={}))
        agree(lake, con, memory, asked, ("a.t", version), version)
        con.execute("ALTER TABLE mesh.a.t RENAME COLUMN code TO old_code")
        con.execute("ALTER TABLE mesh.a.t ADD COLUMN code VARCHAR DEFAULT 'd'")
        relation = lake.relation("a.t", lake.head())
        known = Knowledge(contents=lake.contents(con, ("a.t", lake.head()), TYPES), memory=memory)
        assert [one.failing_rows for one in audit(con, relation, asked, known=known)] == [0, 100]


def agree(lake, con, memory, contract, of, customers):
    relation = lake.candidate(of) if isinstance(of, Publication) else lake.relation(*of)
    related = {"a.customers": lake.relation("a.customers", customers)}.get
    full = audit(con, relation, contract, related=related, sample=1000)
    columns = set(TYPES)
    known = Knowledge(
        contents=lake.contents(con, of, columns),
        related=lambda _: lake.contents(con, ("a.customers", customers), ()),
        memory=memory,
    )
    for _ in range(2):  # the second time nearly everything is remembered
        found = audit(con, relation, contract, related=related, known=known)
        assert told(found) == told(full)
        shows_failing_rows(found, full, 10)
        for one in found:
            counts_rows = one.query and one.test.kind not in (Kind.SQL, Kind.ROW_COUNT) and one.status != "pass"
            assert bool(one.sample) or not one.failing_rows or not counts_rows, one


def test_failing_rows_of_several_tests_are_fetched_together_and_masked_columns_are_not(sqlite_lake):
    lake = sqlite_lake
    asked = contract(
        rule(Kind.MAXIMUM, "amount", value=5),
        rule(Kind.PATTERN, "code", pattern="^c1"),
        rule(Kind.MINIMUM, "id", value=150),
    )
    secret = tuple(replace(column, masked=column.name == "code") for column in asked.columns)
    asked = replace(asked, columns=secret)
    with lake.session() as con:
        version = publish(lake, con, Publication(staged=lake.stage(con, "a.t", _many(0)), record={}))
        staged = lake.stage(con, "a.t", _many(100))
        more = Publication(staged=staged, record={}, mode=Mode.APPEND, base=version)
        for of, relation in ((("a.t", version), lake.relation("a.t", version)), (more, lake.candidate(more))):
            said: list[str] = []
            spy = Spy(con, said)
            known = Knowledge(contents=lake.contents(con, of, TYPES))
            found = audit(spy, relation, asked, known=known)
            plain = audit(con, relation, asked)
            assert [one.failing_rows for one in found] == [one.failing_rows for one in plain]
            assert all(one.failing_rows > 10 and len(one.sample) == 10 for one in found)
            fetched = [query for query in said if "file_row_number IN" in query]
            assert len(fetched) == 1
            assert '"code"' not in fetched[0]
            for one in found:
                (column,) = one.test.columns
                wrong = {
                    "amount": lambda value: float(value) > 5,
                    "id": lambda value: value < 150,
                    "code": lambda value: value == MASK,
                }
                assert all(wrong[column](row[column]) and row["code"] == MASK for row in one.sample)


class Spy:
    """A connection that notes what it is asked."""

    def __init__(self, con, said):
        self._con, self._said = con, said

    def execute(self, query, *rest):
        self._said.append(query)
        return self._con.execute(query, *rest)

    def __getattr__(self, name):
        return getattr(self._con, name)


def test_an_append_reads_its_own_file_only_and_a_changed_rule_only_itself(sqlite_lake, memory):
    lake = sqlite_lake
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


def test_failing_rows_are_found_again_by_their_place_and_no_value_is_remembered(sqlite_lake, memory, tmp_path):
    """What is remembered of a row is its number in the file: it goes with the file, and says nothing of a masked value."""
    lake = sqlite_lake
    asked = contract(rule(Kind.PATTERN, "code", pattern="^secret1$"), rule(Kind.MAXIMUM, "amount", value=5))
    asked = replace(asked, columns=tuple(replace(column, masked=column.name == "code") for column in asked.columns))
    with lake.session() as con:
        data = _many(0).replace("'c' || i", "'secret' || i")
        version = publish(lake, con, Publication(staged=lake.stage(con, "a.t", data), record={}))

        def shown(limit: int = 10):
            said: list[str] = []
            relation = lake.relation("a.t", version)
            known = Knowledge(contents=lake.contents(con, ("a.t", version), TYPES), memory=memory)
            found = audit(Spy(con, said), relation, asked, known=known, sample=limit)
            shows_failing_rows(found, audit(con, relation, asked, sample=1000), limit)
            return [query for query in said if "json_serialize_sql" not in query and "a.t" in query.replace('"', "")]

        assert len(shown()) == 2  # what fails, and its rows
        (again,) = shown()
        assert "file_row_number IN" in again
        assert "regexp" not in again
        assert len(shown(20)) == 2  # more than are remembered: each test is asked again, for its rows alone
        con.execute("DELETE FROM mesh.a.t WHERE id < 8")  # and with them some of those rows
        version = lake.head()
        assert len(shown()) == 2
        assert len(shown()) == 1
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.sqlite*"))
    assert b"failing_places" in kept
    assert b"secret" not in kept


def test_statistics_prove_without_reading(sqlite_lake):
    lake = sqlite_lake
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


def test_a_changed_file_is_another_file(sqlite_lake, memory):
    """A verdict belongs to bytes, not to a name."""
    lake = sqlite_lake
    with lake.session() as con:
        staged = lake.stage(con, "a.t", _many(0))
        (path,) = staged.files
        before = memory.identify({path: ""})
        other = lake.stage(con, "a.t", _many(5))
        Path(other.files[0]).replace(path)
        assert memory.identify({path: ""}) != before


@pytest.mark.parametrize("letter", ["x", "é", "€", "😀"])
def test_bounds_of_long_texts_are_bounds(tmp_path, letter):
    """Writers cut them short: what is kept must be no greater than the least, and no less than the greatest."""
    path = str(tmp_path / "long.parquet")
    with duckdb.connect() as con:
        for length in (1, *range(252, 258), 9000):
            texts = sorted(("x" * length + letter + end for end in ("tail", "uuu", "")), key=str.encode)
            con.execute(f"COPY (SELECT unnest($1) AS x) TO '{path}'", [texts])
            (file,) = _footers(con, (path,), frozenset({"x"}))
            low, high = span(file.bounds["x"], column_type("VARCHAR"))
            assert low <= texts[0].encode()
            assert high >= texts[-1].encode()


def test_bytes_that_change_in_place_are_another_file_whatever_their_time_says(memory, tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"one")
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    before = memory.identify({str(path): ""})
    path.write_bytes(b"two")
    os.utime(path, ns=times)
    assert memory.identify({str(path): ""}) != before


@pytest.mark.parametrize("and_one_more", [True, False])
def test_files_that_are_not_what_they_were_taken_for_are_read_in_full(sqlite_lake, and_one_more):
    """Should the paths ever not be those that the lake reads, nothing passes for want of rows."""
    lake = sqlite_lake
    with lake.session() as con:
        version = publish(lake, con, Publication(staged=lake.stage(con, "a.t", _many(0)), record={}))
        staged = lake.stage(con, "a.t", _many(50))
        version = publish(lake, con, Publication(staged=staged, record={}, mode=Mode.APPEND, base=version))
        (layer,) = lake.contents(con, ("a.t", version), ()).layers
        wrong = [DataFile(path=f"/elsewhere{file.path}", rows=file.rows) for file in layer.files]
        more = [DataFile(path="/none", rows=0)] if and_one_more else []
        contents = Contents(table="a.t", layers=(Layer(sql=layer.sql, files=(*wrong, *more)),))
        relation, asked = lake.relation("a.t", version), contract(rule(Kind.PATTERN, "code", pattern="^x"))
        (result,) = audit(con, relation, asked, known=Knowledge(contents=contents))
        assert result.failing_rows == 200


def test_the_same_bytes_twice_repeat_every_key(sqlite_lake, memory):
    """A load that is tried again brings a file that is known already: each of its rows is there twice then."""
    lake = sqlite_lake
    asked = contract(rule(Kind.UNIQUE, "id"), rule(Kind.UNIQUE, "id", "code"), rule(Kind.PRIMARY_KEY, "id"))
    with lake.session() as con:
        version = publish(lake, con, Publication(staged=lake.stage(con, "a.t", _many(0)), record={}))
        for _ in range(2):
            known = Knowledge(contents=lake.contents(con, ("a.t", version), TYPES), memory=memory)
            found = audit(con, lake.relation("a.t", version), asked, known=known)
            assert [one.failing_rows for one in found] == [0, 0, 0]
        again = Publication(staged=lake.stage(con, "a.t", _many(0)), record={}, mode=Mode.APPEND, base=version)
        new = set(memory.identify(dict.fromkeys(again.staged.files, "")).values())
        assert new <= _ids(lake, con, memory, version)  # else this tests nothing
        known = Knowledge(contents=lake.contents(con, again, TYPES), memory=memory)
        assert [step.reads for step in planned(con, lake.candidate(again), asked, known=known).steps[:2]] == [1, 1]
        found = audit(con, lake.candidate(again), asked, known=known)
        assert [one.failing_rows for one in found] == [200, 200, 200]
        version = publish(lake, con, again)
        known = Knowledge(contents=lake.contents(con, ("a.t", version), TYPES), memory=memory)
        found = audit(con, lake.relation("a.t", version), asked, known=known)
        assert [one.failing_rows for one in found] == [200, 200, 200]


def _ids(lake, con, memory, version):
    contents = lake.contents(con, ("a.t", version), ())
    return set(memory.identify({file.path: file.deletes for file in contents.files}).values())


def test_what_reads_the_clock_is_read_again(sqlite_lake, memory):
    lake = sqlite_lake
    asked = contract(
        library("not_in_future", "day"),
        library("not_older_than", "day", days=90_000),
        library("condition", condition="age(day) > INTERVAL 1 DAY"),
        library("condition", condition="amount >= 0", when="day < ago(INTERVAL 1 DAY)"),
        library("condition", condition="amount >= 0", when="code > 'b'"),
    )
    with lake.session() as con:
        version = publish(lake, con, Publication(staged=lake.stage(con, "a.t", _many(0)), record={}))
        known = Knowledge(contents=lake.contents(con, ("a.t", version), TYPES), memory=memory)
        for reads in ([1, 1, 1, 1, 1], [1, 1, 1, 1, 0]):
            assert [s.reads for s in planned(con, lake.relation("a.t", version), asked, known=known).steps] == reads
            audit(con, lake.relation("a.t", version), asked, known=known)


def _many(start: int) -> str:
    return (
        f"SELECT i AS id, DATE '2024-01-01' + (i % 9)::INTEGER AS day, (i % 90)::DECIMAL(10,2) AS amount, 0.5::DOUBLE AS ratio, "
        f"'c' || i AS code, (i % 7)::INTEGER AS customer FROM range({start}, {start + 100}) AS r(i)"
    )
