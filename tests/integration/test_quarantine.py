"""Rows that fail a rule with `action: quarantine`, over every way in which a table is loaded; counts are exact."""

import json
import os
import signal
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from mesh_assets import replaying
from mesh_assets.build import build
from mesh_assets.cli import main
from mesh_assets.errors import RunError, UsageError
from mesh_assets.kitchen import reverting
from mesh_assets.mesh import examine
from mesh_assets.partitions import Partition
from mesh_assets.replaying import Chosen, Patch
from mesh_assets.settings import Settings
from mesh_assets.step import Outcome
from tests.integration.test_kitchen import git, open_, rule
from tests.making import Place, launch

EVERY = Chosen()
ASIDE = "customProperties: [{property: action.%s, value: quarantine}]"
COLUMNS = {
    "id": "BIGINT; required: true; unique: true",
    "mail": "VARCHAR; tags: [pii]; required: true; " + ASIDE % "required",
    "price": "BIGINT; logicalTypeOptions: {minimum: 0}; " + ASIDE % "minimum",
}
ROWS = [(1, "a@x.org", 10), (2, None, 20), (3, "c@x.org", -3), (4, None, -4), (5, "e@x.org", 50)]


def sql(rows) -> str:
    """Orders as a query."""
    told = ", ".join(f"({id_}, {repr(mail) if mail else 'NULL'}, {price})" for id_, mail, price in rows)
    return f"SELECT * FROM (VALUES {told}) AS t(id, mail, price)"


class Shop:
    """Orders, loaded in one way or another."""

    def __init__(self, root, load: str = "full", columns=COLUMNS, **words: str) -> None:
        self.place = Place(root)
        options = "" if load == "full" else f"tables:\n  orders: {{{load}}}\n"
        self.place.domain("shop", f"outputs: [{{port: orders}}]\n{options}")
        self.place.sql("shop.orders", sql(ROWS))
        self.expect(columns, **words)

    def expect(self, columns, **words: str) -> None:
        """Write the contract."""
        self.place.contract("shop.orders", columns, **words)
        self.env = self.place.env()
        self.orders = self.env.mesh.tables["shop.orders"]

    def load(self, *rows, partition=None, query: str = "") -> Outcome:
        """Build the table of these rows."""
        query = query or sql(rows)
        return build(self.env, self.orders, lambda _con, _day: query, run=str(uuid.uuid4()), partition=partition)

    @property
    def ids(self) -> tuple[list[int], list[int]]:
        """Of the rows that are published, and of those that wait."""
        names = self.env.lake.tables(quarantine=True)
        waiting = replaying.shown(self.env, self.orders, Chosen(), limit=1000)[1] if names else []
        published = self.env.lake.sql("select id from shop.orders order by 1")[1]
        return [row[0] for row in published], sorted(int(one["id"]) for one in waiting)

    @property
    def waiting_files(self) -> set[str]:
        """Data files of the rows that wait, as the lake lists them; files of deletes are not among them."""
        with self.env.lake.session() as con:
            listed = con.execute(
                "SELECT data_file FROM ducklake_list_files('mesh', 'orders', schema => 'shop_quarantine')"
            ).fetchall()
        return {file for (file,) in listed}

    def rows(self, query: str) -> list[tuple]:
        return self.env.lake.sql(query)[1]

    def replay(self, chosen: Chosen = EVERY, **patch) -> replaying.Replayed:
        return replaying.replay(self.env, self.orders, chosen, Patch(**patch))


def test_failing_rows_wait_and_the_rest_is_published_with_counts_that_reconcile(tmp_path):
    shop = Shop(tmp_path)
    done = shop.load(*ROWS)
    assert (done.status, done.rows, shop.ids) == ("published", 2, ([1, 5], [2, 3, 4]))
    told = {"staged": 5, "published": 2, "rows": 3, "waiting": 3, "rules": {"mail__required": 2, "price__minimum": 2}}
    (version,) = shop.env.ledger.history("shop.orders")
    assert version.record["quarantined"] == done.quarantined == told
    kept = {one["name"]: one for one in shop.env.ledger.results("shop.orders", 1, shop.orders.contract.hash)}
    found = kept["mail__required"]
    assert (found["status"], found["quarantined_rows"], found["total_rows"]) == ("warn", 2, 5)
    assert "went into quarantine" in found["message"]
    assert all(row["mail"] == "•••" for item in kept.values() for row in item["sample"])
    # What is published passes by itself, and nothing is left over of what it was made of.
    assert {item["status"] for item in shop.place.test()} == {"pass"}
    files = {file.name for file in shop.env.lake.data.rglob("*.parquet")}
    assert len(files) == 2
    assert shop.env.lake.clean(timedelta(seconds=-60)) == 0
    # The same again is nothing new; another failing row is, though what readers get is the same.
    assert shop.load(*ROWS).status == "unchanged"
    again = shop.load(*ROWS, (6, None, 60))
    assert (again.status, again.version, again.fingerprint) == ("published", 2, done.fingerprint)
    assert shop.ids == ([1, 5], [2, 3, 4, 6])
    # With a good load nobody waits any more.
    assert shop.load(*ROWS[:1]).quarantined["waiting"] == 0
    assert shop.ids == ([1], [])


def test_what_waits_is_private_and_masked(tmp_path):
    shop = Shop(tmp_path)
    shop.load(*ROWS)
    with pytest.raises(UsageError, match="no published table"):
        shop.rows("select * from shop_quarantine.orders")
    assert shop.rows("show tables") == [("shop.orders",)]
    _, rows, total = replaying.shown(shop.env, shop.orders, Chosen(rules=["price__minimum"]))
    assert total == 2
    assert {row["mail"] for row in rows} == {"•••"}
    assert {row["_quarantine_rules"] for row in rows} == {"price__minimum", "mail__required, price__minimum"}
    shop.place.domain("spy", "inputs: [{port: shop_quarantine.orders}]\n")
    assert "M401" in {problem.code for problem in examine(tmp_path)[1]}


def test_other_tests_are_asked_of_what_is_left_and_hold_all_of_it(tmp_path):
    shop = Shop(tmp_path, quality="- {metric: rowCount, mustBeGreaterThan: 2}")
    held = shop.load(*ROWS)
    assert (held.status, held.quarantined) == ("held", {})
    # The candidate is kept whole, failing rows and all; nothing of it is anywhere else.
    (kept,) = (tmp_path / ".mesh/quarantine").rglob("*.parquet")
    with shop.env.lake.session() as con:
        assert con.execute(f"SELECT count(*) FROM '{kept}'").fetchone() == (5,)
    assert list(shop.env.lake.data.rglob("*.parquet")) == []
    # A load of which nothing would be left is no matter of some rows.
    shop.expect(COLUMNS)
    assert shop.load((1, None, 1), (2, "b@x.org", -1)).status == "held"


def test_append_adds_to_what_waits_and_rows_of_before_hold_the_version(tmp_path):
    shop = Shop(tmp_path, "load: append")
    shop.load(*ROWS)
    written = shop.waiting_files
    shop.load((6, None, 60), (7, "g@x.org", 70))
    assert shop.ids == ([1, 5, 7], [2, 3, 4, 6])
    assert (len(written), len(shop.waiting_files), written < shop.waiting_files) == (1, 2, True)
    told = shop.env.ledger.history("shop.orders")[0].record["quarantined"]
    assert told == {"staged": 2, "published": 1, "rows": 1, "waiting": 4, "rules": {"mail__required": 1}}
    # Published rows that fail a new rule are no rows of this load.
    shop.expect(COLUMNS | {"price": "BIGINT; logicalTypeOptions: {minimum: 20}; " + ASIDE % "minimum"})
    assert shop.load((8, "h@x.org", 80), (9, None, 90)).status == "held"
    assert shop.ids == ([1, 5, 7], [2, 3, 4, 6])


def test_upsert_keeps_the_last_good_row_of_a_key_until_a_newer_one_passes(tmp_path):
    shop = Shop(tmp_path, "load: upsert, key: [id]")
    shop.load(*ROWS)
    written = shop.waiting_files
    shop.load((1, None, 11), (2, "b@x.org", 21))
    assert shop.rows("select id, price from shop.orders order by 1") == [(1, 10), (2, 21), (5, 50)]
    assert shop.ids[1] == [1, 3, 4]
    assert written < shop.waiting_files, "what stays is not written again"
    # Mended, the waiting row takes the place of the one of the same key.
    done = shop.replay(Chosen(rules=["mail__required"]), changes={"mail": "'a2@x.org'"})
    assert (done.asked, done.mended, dict(done.failing)) == (2, 1, {"price__minimum": 1})
    assert shop.rows("select id, mail, price from shop.orders where id = 1") == [(1, "a2@x.org", 11)]
    assert shop.ids[1] == [3, 4]


def test_a_partition_replaces_what_waits_of_it(tmp_path):
    columns = {"id": "BIGINT", "day": "DATE; required: true; " + ASIDE % "required", "price": COLUMNS["price"]}
    shop = Shop(tmp_path, "partitions: {by: day, every: daily, start: 2026-01-01}", columns)
    first, second = "DATE '2026-01-01'", "DATE '2026-01-02'"

    def days(*rows) -> str:
        told = ", ".join(f"({id_}, {day}, {price})" for id_, day, price in rows)
        return f"SELECT * FROM (VALUES {told}) AS t(id, day, price)"

    shop.load(query=days((1, first, -1), (2, second, -2), (3, second, 3), (4, first, 4)))
    assert shop.ids == ([3, 4], [1, 2])
    one = Partition(start="2026-01-01", end="2026-01-02")
    for _ in range(2):  # what has no day is known by the partition that brought it
        done = shop.load(query=days((1, first, 1), (5, first, -5), (6, "NULL", 6)), partition=one)
        assert done.quarantined["rules"] == {"day__required": 1, "price__minimum": 1}
        assert shop.ids == ([1, 3], [2, 5, 6])


def test_replay_after_the_rule_has_changed_and_discard_with_a_reason(tmp_path, monkeypatch, capsys):
    shop = Shop(tmp_path, "load: append")
    shop.load(*ROWS)
    assert shop.replay().outcome is None
    assert shop.ids == ([1, 5], [2, 3, 4])
    shop.expect({**COLUMNS, "mail": "VARCHAR; tags: [pii]"})
    done = shop.replay()
    assert (done.mended, dict(done.failing)) == (1, {"price__minimum": 2})
    assert shop.ids == ([1, 2, 5], [3, 4])
    version = shop.env.ledger.history("shop.orders")[0]
    assert version.record["quarantined"] == {"replayed": 1, "waiting": 2}
    # From a file: a row is named by its id, and what the file does not name stays.
    names = {one["id"]: one["_quarantine_id"] for one in replaying.shown(shop.env, shop.orders, Chosen())[1]}
    mended = tmp_path / "mended.csv"
    mended.write_text(f"_quarantine_id,price\n{names['3']},33\n")
    assert _mesh(monkeypatch, tmp_path, "replay", "shop/orders", "--csv", str(mended), "--json") == 0
    assert json.loads(capsys.readouterr().out)["published"] == 1
    assert shop.rows("select mail, price from shop.orders where id = 3") == [("c@x.org", 33)]
    assert _mesh(monkeypatch, tmp_path, "replay", "shop/orders") == 1
    assert _mesh(monkeypatch, tmp_path, "discard", "shop/orders", "--reason", "why not") == 2
    assert _mesh(monkeypatch, tmp_path, "discard", "shop/orders", "--all", "--reason", "a test order") == 0
    assert shop.ids == ([1, 2, 3, 5], [])
    capsys.readouterr()
    assert _mesh(monkeypatch, tmp_path, "list", "--given-up", "--json") == 0
    (given_up,) = json.loads(capsys.readouterr().out)["given_up"]
    assert (given_up["table"], given_up["rows"], given_up["reason"]) == ("shop/orders", 1, "a test order")
    assert _mesh(monkeypatch, tmp_path, "list", "--json") == 0
    assert json.loads(capsys.readouterr().out)["tables"] == []


def _mesh(monkeypatch, root, *words: str) -> int:
    monkeypatch.setenv("MESH_DIR", str(root))
    monkeypatch.setattr(sys, "argv", ["mesh", "quarantine", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_a_replay_that_other_tests_stop_changes_nothing(tmp_path):
    shop = Shop(tmp_path)
    shop.load(*ROWS)
    before = shop.env.lake.head()
    done = shop.replay(changes={"mail": "'x@x.org'", "price": "1", "id": "1"})
    assert done.outcome is not None
    assert (done.outcome.status, done.mended) == ("held", 0)
    assert "id__unique" in done.outcome.message
    assert (shop.env.lake.head(), shop.ids) == (before, ([1, 5], [2, 3, 4]))
    assert shop.env.ledger.attempts()["shop.orders"].outcome == "published"
    for changes, words in (
        ({"prize": "1"}, "no column"),
        ({"price": "(select 1) + 1"}, "other rows"),
        ({"price": "getenv('HOME')"}, "may not call"),
    ):
        with pytest.raises(UsageError, match=words):
            shop.replay(changes=changes)


def test_dagster_is_told_and_a_reference_sets_aside_what_the_other_table_has_set_aside(tmp_path):
    from dagster import DagsterEventType

    from mesh_assets.orchestration.instance import open_instance

    shop = Shop(tmp_path)
    shop.place.sql(
        "shop.lines", "select id as order_id from range(1, 6) as t(id) where (select count(*) from shop.orders) > 0"
    )
    to = "relationships: [{to: orders.id, customProperties: [{property: action, value: quarantine}]}]"
    shop.place.contract("shop.lines", {"order_id": f"BIGINT; {to}"})
    assert launch(shop.place, "shop", "shop/orders", "shop/lines")
    assert shop.rows("select order_id from shop.lines order by 1") == [(1,), (5,)]
    with open_instance(tmp_path / ".mesh") as instance:
        (run,) = instance.get_runs(limit=1)
        events = [event.dagster_event for event in instance.all_logs(run.run_id) if event.dagster_event]
    checks = [one for one in events if one.event_type is DagsterEventType.ASSET_CHECK_EVALUATION]
    found = {each.event_specific_data.check_name: each.event_specific_data for each in checks}["mail__required"]
    assert (found.passed, found.severity.value, found.metadata["quarantined_rows"].value) == (False, "WARN", 2)
    made = [each for each in events if each.event_type is DagsterEventType.ASSET_MATERIALIZATION]
    told = next(each.asset_key and each.event_specific_data.materialization.metadata for each in made)
    assert (told["mesh/quarantined_rows"].value, told["mesh/quarantine"].value["staged"]) == (3, 5)


def test_a_kitchen_promotes_what_it_put_into_quarantine_and_masks_it(tmp_path):
    shop = Shop(tmp_path)
    shop.place.write("mesh.yaml", "mesh: test\nkitchen: {mask: [pii]}\n")
    shop.place.write(".gitignore", ".mesh/\n__pycache__/\n")
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "config", "user.email", "t@example.org")
    git(tmp_path, "config", "user.name", "Tess")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "base")
    shop.place.run()
    assert shop.ids == ([1, 5], [2, 3, 4])
    with open_(shop.place, code=False) as kitchen, kitchen.environment().lake.session() as con:
        mails = con.execute("SELECT mail FROM mesh.shop_quarantine.orders WHERE mail IS NOT NULL").fetchall()
        assert len(mails) == 1
        assert ("c@x.org",) not in mails
    shop.place.write("mesh.yaml", "mesh: test\n")
    git(tmp_path, "commit", "-qam", "unmasked")
    with open_(shop.place, "k2") as kitchen:
        rule(kitchen, sql(ROWS[:3]))
        assert kitchen.test()["ok"]
        assert shop.ids == ([1, 5], [2, 3, 4])
        env = kitchen.environment()
        chosen = Chosen(rules=["price__minimum"])
        assert replaying.discard(env, env.mesh.tables["shop.orders"], chosen, "a test order") == 1
        assert kitchen.test()["ok"]
        assert kitchen.promote()["refused"] == []
    assert shop.ids == ([1], [2])


def test_columns_may_have_any_name_but_those_that_the_quarantine_adds(tmp_path):
    """Each would lose rows: one was joined on, the other said that the rows had come from the quarantine."""
    columns = {"_n": "BIGINT", "id": "BIGINT", "price": COLUMNS["price"]}
    shop = Shop(tmp_path / "n", columns=columns)
    shop.load(query="select 5 - i as _n, i - 2 as price, i as id from range(6) as t(i)")
    assert shop.ids == ([2, 3, 4, 5], [0, 1])
    assert [one["_n"] for one in replaying.shown(shop.env, shop.orders, Chosen())[1]] in (["4", "5"], ["5", "4"])
    other = Shop(tmp_path / "id", columns={"id": "BIGINT", "price": COLUMNS["price"]})
    with pytest.raises(RunError, match="the quarantine adds a column `_quarantine_id` of its own"):
        other.load(query="select i as id, i - 2 as price, 'x' as _quarantine_id from range(6) as t(i)")
    assert other.env.lake.tables() == ()


def test_a_row_without_key_waits_until_somebody_acts(tmp_path):
    columns = {"id": "BIGINT; required: true; " + ASIDE % "required", "price": "BIGINT"}
    shop = Shop(tmp_path, "load: upsert, key: [id]", columns)
    shop.load(query="select * from (values (1, 1), (null, 2)) as t(id, price)")
    shop.load(query="select * from (values (1, 3), (null, 4)) as t(id, price)")
    prices = [one["price"] for one in replaying.shown(shop.env, shop.orders, Chosen())[1]]
    assert sorted(prices) == ["2", "4"]


def test_a_revert_takes_the_quarantine_back_with_its_table(tmp_path):
    shop = Shop(tmp_path, "load: append")
    first = shop.load(*ROWS).version
    shop.expect({**COLUMNS, "mail": "VARCHAR; tags: [pii]"})
    assert shop.replay().mended == 1
    assert shop.ids == ([1, 2, 5], [3, 4])
    reverting.put_back(shop.env, {"shop.orders": first}, message="back")
    assert shop.ids == ([1, 5], [2, 3, 4])


def test_what_cannot_be_computed_is_told_without_a_masked_value(tmp_path):
    shop = Shop(tmp_path)
    shop.load(*ROWS)
    for changes, words in (({"price": "uper(mail)"}, "uper"), ({"price": "cast(mail as integer)"}, "•••")):
        with pytest.raises(UsageError, match="the rows cannot be mended so") as caught:
            shop.replay(changes=changes)
        assert words in str(caught.value)
        assert "c@x.org" not in str(caught.value)
    assert shop.ids == ([1, 5], [2, 3, 4])


KILLED = """
import os, signal, sys
from pathlib import Path
from mesh_assets.lake import publishing
from tests.integration.test_quarantine import ROWS, Shop

done = publishing._transact
def transact(*words):
    if sys.argv[2] == "before":
        words = (*words[:-1], lambda con: os.kill(os.getpid(), signal.SIGKILL))
    done(*words)
    os.kill(os.getpid(), signal.SIGKILL)
publishing._transact = transact
Shop(Path(sys.argv[1])).load(*ROWS)
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_loses_no_row(tmp_path, when):
    """Within the transaction, or right after its commit: rows are where they were, or all of them where they belong."""
    command = [sys.executable, "-c", KILLED, str(tmp_path), when]
    killed = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    assert killed.returncode == -signal.SIGKILL
    shop = Shop(tmp_path)
    assert (shop.env.lake.tables(), shop.env.lake.tables(quarantine=True)) == (
        (("shop.orders",), ("shop_quarantine.orders",)) if when == "after" else ((), ())
    )
    assert shop.load(*ROWS).status == ("unchanged" if when == "after" else "published")
    assert shop.ids == ([1, 5], [2, 3, 4])


@pytest.mark.parametrize("load", ["full", "load: append", "load: upsert, key: [id]"])
def test_on_a_catalog_in_postgresql_rows_wait_are_replayed_and_given_up(tmp_path, lake_config, load):
    """On both catalogs: counts reconcile after each step, and two lakes in one database do not see each other's."""
    shop = Shop(tmp_path, load)
    shop.place.settings = Settings(
        home=tmp_path / ".mesh",
        dir=tmp_path,
        lake_catalog=lake_config.catalog,
        lake_data=lake_config.data,
        lake_schema=lake_config.schema,
    )
    shop.expect(COLUMNS)
    done = shop.load(*ROWS)
    assert (done.status, done.quarantined["waiting"]) == ("published", 3)
    assert shop.ids == ([1, 5], [2, 3, 4])
    assert shop.replay(Chosen(rules=("price__minimum",)), changes={"price": "abs(price)"}).mended == 1
    assert shop.ids == ([1, 3, 5], [2, 4])
    assert replaying.discard(shop.env, shop.orders, Chosen(rules=("price__minimum",)), "sent twice") == 1
    assert shop.ids == ([1, 3, 5], [2])
    assert [one["rows"] for one in replaying.discards(shop.env)] == [1]
    assert shop.replay(changes={"mail": "'b@x.org'"}).mended == 1
    assert shop.ids == ([1, 2, 3, 5], [])
