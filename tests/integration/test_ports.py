"""Input ports: what a reader expects is the reader's; it refuses, holds or is warned, and nobody else is."""

import dagster as dg
import pytest

from mesh_assets import catalog
from mesh_assets.orchestration.instance import open_instance
from tests.making import Place, launch

READERS = ("holder", "taker", "stopper", "warner")


def make(root):
    """One producer, four readers of its port: three with expectations of their own, one without."""
    place = Place(root)
    place.domain("base", "outputs: [{port: items}]\ninputs: [{source: raw/items/*.csv, as: raw_items}]\n")
    place.write("domains/base/raw/items/1.csv", "id,price\n1,10\n2,20\n")
    place.contract("base.raw_items", {"id": "BIGINT", "price": "BIGINT"})
    place.sql("base.items", "select * from base.raw_items")
    place.contract("base.items", {"id": "BIGINT; required: true", "price": "BIGINT"})
    for reader, said in (("holder", "hold"), ("taker", ""), ("stopper", "stop"), ("warner", "warn")):
        port = f"contract: in_items.odcs.yaml, on_failure: {said}" if said else ""
        place.domain(reader, f"inputs: [{{port: base.items, {port}}}]\noutputs: [{{port: total}}]\n")
        place.sql(f"{reader}.total", "select sum(price)::bigint as total from base.items")
        place.contract(f"{reader}.total", {"total": "BIGINT"})
        if said:
            limits = {"id": "BIGINT", "price": "BIGINT; logicalTypeOptions: {maximum: 100}"}
            place.contract(f"{reader}.items", limits, name="in_items")
    return place


@pytest.fixture
def place(tmp_path):
    """It, as it is written."""
    return make(tmp_path)


@pytest.fixture(scope="module")
def built_once(tmp_path_factory):
    """It, built."""
    place = make(tmp_path_factory.mktemp("built"))
    assert set(place.statuses().values()) == {"published"}
    return place


@pytest.fixture
def built(built_once, tmp_path):
    """A copy of it."""
    return built_once.copied(tmp_path / "mesh")


def totals(place):
    """What each reader's readers see."""
    return {reader: place.rows(f"select total from {reader}.total")[0][0] for reader in READERS}


@pytest.mark.long
def test_one_refuses_and_holds_one_takes_one_stops_one_is_warned(place):
    """All at once, by `mesh run`; a second run has nothing to do."""
    assert set(place.statuses().values()) == {"published"}
    place.write("domains/base/raw/items/1.csv", "id,price\n1,10\n2,500\n")
    report = place.run()
    said = {row["table"]: row["status"] for row in report["tables"]}
    assert said["base/items"] == "published"
    assert said["holder/total"] == "unchanged"
    assert said["taker/total"] == said["warner/total"] == "published"
    told = {row["table"]: row["message"] for row in report["tables"]}
    refused = "does not admit version 8 of base/items: price__maximum failed (1 of 2 rows has a `price` above 100)"
    assert told["holder/total"] == f"holder {refused}; holder goes on with version 2"
    assert told["warner/total"] == f"warner {refused}; it is taken all the same"
    assert told["stopper/total"] == (
        f"stopper {refused}\n    stopper keeps its own last version. Mend base/items, or loosen domains/stopper/domain.yaml."
    )
    assert told["taker/total"] == ""
    (attempt,) = [one for one in place.env().ledger.of_run(report["run_id"]) if one.table == "stopper.total"]
    assert (attempt.outcome, attempt.record["message"]) == ("held", told["stopper/total"])
    assert totals(place) == {"holder": 30, "taker": 510, "stopper": 30, "warner": 510}
    stands = {row["table"]: (row["state"], row["says"]) for row in catalog.status(place.env())["tables"]}
    assert stands["warner/total"] == ("passed with warnings", told["warner/total"])
    assert stands["taker/total"] == ("on time", "up to date")
    again = place.run()
    assert {row["table"]: row["status"] for row in again["tables"]}["stopper/total"] == "held"
    assert {row["table"]: row["message"] for row in again["tables"]} == told, "and it is said as long as it is so"
    assert totals(place)["stopper"] == 30


def test_a_held_input_is_stated_by_the_output(built):
    """The output says which input it holds, and at which version."""
    admitted = built.version("base.items")
    built.write("domains/base/raw/items/1.csv", "id,price\n1,10\n2,500\n")
    built.run()
    built.sql("holder.total", "select sum(price)::bigint + 1 as total from base.items")
    assert built.statuses()["holder/total"] == "published"
    assert totals(built)["holder"] == 31
    with open_instance(built.root / ".mesh") as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["holder", "total"]))
    metadata = event.asset_materialization.metadata
    assert metadata["mesh/held"].value == ["base/items"]
    assert metadata["mesh/inputs"].value == {"base/items": admitted}


@pytest.mark.long
def test_everybody_follows_when_the_producer_mends(built):
    """The next good version is admitted by all."""
    built.write("domains/base/raw/items/1.csv", "id,price\n1,10\n2,500\n")
    built.run()
    built.write("domains/base/raw/items/1.csv", "id,price\n1,10\n2,90\n")
    built.run()
    assert set(totals(built).values()) == {100}


@pytest.mark.long
def test_in_code_locations_of_their_own_and_runs_of_their_own(place):
    """Each domain in its own location; each asset launched by itself: the rule is in the reader's own step."""
    assert launch(place, "base", "base/raw_items")
    assert launch(place, "base", "base/items")
    for reader in READERS:
        assert launch(place, reader, f"{reader}/total")
    first = place.version("base.items")
    place.write("domains/base/raw/items/1.csv", "id,price\n1,10\n2,500\n")
    assert launch(place, "base", "base/raw_items", "base/items")
    assert place.version("base.items") > first
    assert launch(place, "holder", "holder/total")
    assert launch(place, "taker", "taker/total")
    assert not launch(place, "stopper", "stopper/total")
    assert launch(place, "warner", "warner/total")
    assert totals(place) == {"holder": 30, "taker": 510, "stopper": 30, "warner": 510}


def test_the_port_asset_shows_what_was_admitted(built):
    """Stop: not materialised. Hold: materialised, pointing at the last admitted version. Warn: materialised."""
    first = built.version("base.items")
    built.write("domains/base/raw/items/1.csv", "id,price\n1,10\n2,500\n")
    built.run("base")
    second = built.version("base.items")
    worked = {reader: launch(built, reader, f"{reader}/in/base__items") for reader in ("holder", "stopper", "warner")}
    assert worked == {"holder": True, "stopper": False, "warner": True}
    with open_instance(built.root / ".mesh") as instance:
        events = {
            reader: instance.get_latest_materialization_event(dg.AssetKey([reader, "in", "base__items"]))
            for reader in worked
        }
        checks = instance.event_log_storage.get_latest_asset_check_execution_by_key(
            [dg.AssetCheckKey(dg.AssetKey([reader, "in", "base__items"]), "price__maximum") for reader in worked]
        )
    shown = {reader: event.asset_materialization.metadata["mesh/admitted"].value for reader, event in events.items()}
    assert shown == {"holder": first, "stopper": first, "warner": second}
    assert {key.asset_key.path[0]: record.status.value for key, record in checks.items()} == dict.fromkeys(
        worked, "FAILED"
    )


def test_a_first_version_that_is_refused_with_hold_behaves_as_stop(place):
    """There is nothing to hold on to."""
    place.write("domains/base/raw/items/1.csv", "id,price\n1,500\n")
    said = place.statuses()
    assert said["holder/total"] == "held"
    assert said["taker/total"] == "published"


@pytest.mark.long
def test_a_plain_asset_is_held_by_its_own_port(place):
    """An ordinary `@dg.asset` reads through the port as SQL does."""
    place.write(
        "domains/stopper/assets.py",
        """
        import dagster as dg
        import polars as pl


        @dg.asset(ins={"items": dg.AssetIn(key=["base", "items"])})
        def counted(items: pl.DataFrame) -> pl.DataFrame:
            return items.select(pl.len().alias("n"))
        """,
    )
    assert place.statuses()["stopper/counted"] == "published"
    place.write("domains/base/raw/items/1.csv", "id,price\n1,10\n2,500\n3,1\n")
    place.run()
    assert place.rows("select n from stopper.counted") == [(2,)]
    assert place.statuses()["stopper/counted"] == "held"
    assert not launch(place, "stopper", "stopper/counted")
    assert place.rows("select n from stopper.counted") == [(2,)]


@pytest.mark.long
def test_loosened_expectations_admit_the_version(built):
    """The verdict is kept by contract: a new contract judges again."""
    built.write("domains/base/raw/items/1.csv", "id,price\n1,10\n2,500\n")
    built.run()
    built.contract("stopper.items", {"id": "BIGINT", "price": "BIGINT"}, name="in_items")
    assert built.statuses()["stopper/total"] == "published"
    assert totals(built)["stopper"] == 510


@pytest.mark.long
def test_a_version_that_a_tighter_contract_refuses_is_not_what_it_holds_on_to(place):
    """The version admitted under the old contract is the refused one itself: there is no earlier one."""
    place.write("domains/base/raw/items/1.csv", "id,price\n1,10\n2,90\n")
    place.run()
    place.contract(
        "holder.items", {"id": "BIGINT", "price": "BIGINT; logicalTypeOptions: {maximum: 50}"}, name="in_items"
    )
    assert place.statuses()["holder/total"] == "held"
    place.write("domains/base/raw/items/1.csv", "id,price\n1,10\n2,20\n")
    place.run()
    assert totals(place)["holder"] == 30
