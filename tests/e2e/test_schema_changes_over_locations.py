"""A change of a port's columns, and a change of nothing, under a real daemon with a code location per domain."""

import json
import time
import urllib.request
from collections.abc import Iterable, Iterator

import dagster as dg
import pytest

from mesh_assets.orchestration.instance import open_instance
from mesh_assets.orchestration.looks import FRESH
from tests.e2e.test_daemon import Dev
from tests.making import Place

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]
DOMAINS = ("base", "middle", "last")
WORKSPACE = "load_from:\n" + "".join(
    f"  - python_module: {{module_name: mesh_assets.locations, attribute: {name}, location_name: {name}, "
    'working_directory: "."}\n'
    for name in DOMAINS
)
CHECKED = {"middle": {"middle/in/base__items", "middle/total"}, "last": {"last/in/middle__total", "last/total"}}


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """Each domain reads the port of the one before through a contract of its own; each is a code location."""
    place = Place(tmp_path_factory.mktemp("locations"))
    place.write("workspace.yaml", WORKSPACE)
    place.domain("base", "outputs: [{port: items}]\ninputs: [{source: raw/items/*.csv, as: raw_items}]\n")
    items(place, 10, 20)
    place.sql("base.items", "select id, price from base.raw_items where price < 1000")
    place.contract("base.items", {"id": "BIGINT; required: true", "price": "BIGINT"})
    for name, above, short in (("middle", "base.items", "price"), ("last", "middle.total", "total")):
        place.domain(name, f"inputs: [{{port: {above}, contract: in_it.odcs.yaml}}]\noutputs: [{{port: total}}]\n")
        place.sql(f"{name}.total", f"select sum({short})::bigint as total from {above}")
        place.contract(f"{name}.total", {"total": "BIGINT; required: true"})
        place.contract(f"{name}.{above.partition('.')[2]}", {short: "BIGINT; required: true"}, name="in_it")
    dev = Dev(place)
    dev.start()
    yield dev
    dev.stop()


def items(place: Place, *prices: int) -> None:
    """Write the producer's raw file anew."""
    lines = [f"{number},{price}" for number, price in enumerate(prices, start=1)]
    place.write("domains/base/raw/items/1.csv", "\n".join(["id,price", *lines]) + "\n")


def counted(dev: Dev) -> dict[str, int]:
    """Runs of each domain so far."""
    return {name: len(dev.runs(mesh__domain=name)) for name in DOMAINS}


def of_changes(dev: Dev, domain: str) -> list[dg.DagsterRun]:
    """The runs that a domain's sensor of schema changes has asked for."""
    return dev.runs(mesh__trigger="schema_change", mesh__domain=domain)


def ids(runs: Iterable[dg.DagsterRun]) -> set[str]:
    return {run.run_id for run in runs}


def ticks(dev: Dev, sensor: str, after: float) -> list[dg.DagsterInstance]:
    """What a sensor did from then on, the oldest first."""
    with open_instance(dev.place.root / ".mesh") as instance:
        states = [state for state in instance.all_instigator_state() if state.instigator_name == sensor]
        found = [
            tick
            for state in states
            for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, after=after)
        ]
    return sorted(found, key=lambda tick: tick.timestamp)


def reload(dev: Dev, location: str) -> None:
    """Load a code location again, as the button of Dagster's page does."""
    query = f'mutation {{ reloadRepositoryLocation(repositoryLocationName: "{location}") {{ __typename }} }}'
    request = urllib.request.Request(
        f"http://127.0.0.1:{dev.port}/graphql",
        data=json.dumps({"query": query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        told = json.load(answer)
    assert told["data"]["reloadRepositoryLocation"]["__typename"] == "WorkspaceLocationEntry", told


def test_a_change_asks_for_the_readers_own_checks_and_a_change_of_nothing_for_none(dev: Dev):
    """One daemon for all of it: it takes longer to start than to look."""
    place = dev.place
    dev.wait("everything is built", lambda: dev.total("last.total") == 30)
    dev.wait("no run is left", dev.at_rest)

    # A new row that the port leaves out: the raw table has a new version, the port has not.
    before, versions = counted(dev), {name: place.version(f"{name}.total") for name in ("middle", "last")}
    raw, port = place.version("base.raw_items"), place.version("base.items")
    items(place, 10, 20, 5000)
    dev.wait("the raw table is published", lambda: place.version("base.raw_items") > raw)
    dev.wait("no run is left", dev.at_rest)
    # … and the same once more, asked for by hand: it is confirmed, not published.
    assert place.statuses("base", force=True) == {"base/raw_items": "unchanged", "base/items": "unchanged"}
    assert dev.looked("middle__order")
    assert dev.looked("last__order")
    assert place.version("base.items") == port
    assert {name: place.version(f"{name}.total") for name in versions} == versions
    after = counted(dev)
    assert (after["middle"], after["last"]) == (before["middle"], before["last"]), "a reader ran on unchanged data"

    # A column more: the domains that rest on the port, directly or not, run their own checks, and nobody else's.
    place.sql("base.items", "select id, price, 'x' as note from base.raw_items where price < 1000")
    place.contract("base.items", {"id": "BIGINT; required: true", "price": "BIGINT", "note": "VARCHAR"})
    start, earlier = time.time(), {name: ids(of_changes(dev, name)) for name in DOMAINS}
    newer = lambda name: [run for run in of_changes(dev, name) if run.run_id not in earlier[name]]
    assert place.statuses("base")["base/items"] == "published"
    published = time.time()
    for name, tables in CHECKED.items():
        (run,) = dev.wait(f"the checks of {name}", lambda name=name: newer(name))
        assert not run.asset_selection
        assert {key.asset_key.to_user_string() for key in run.asset_check_selection} == tables
        sensor = f"{name}__schema_changes"
        # A look is on record a moment after the run that it asked for.
        (asked,) = dev.wait(
            f"the look of {name}", lambda sensor=sensor: [tick for tick in ticks(dev, sensor, start) if tick.run_ids]
        )
        looks = ticks(dev, sensor, start)
        # A look may be shared with other sensors for a moment; one that is newer must have seen it.
        missed = [tick for tick in looks if published + 3 * FRESH < tick.timestamp < asked.timestamp]
        assert not missed, f"{name} has looked {len(missed)} times before it saw the change"
    assert not newer("base")
    for name in CHECKED:
        dev.wait(f"those of {name} pass", lambda name=name: newer(name)[0].status.value == "SUCCESS")

    # A code location that is loaded again asks for nothing twice.
    for name in CHECKED:
        reload(dev, name)
    for name in CHECKED:
        assert dev.looked(f"{name}__schema_changes")
        assert len(newer(name)) == 1, "the same change was told twice"


def test_dagster_33656_automation_goes_on_after_a_code_location_is_loaded_again(dev: Dev):
    """dagster-io/dagster#33656: once a location was loaded again with another graph of assets, what follows its inputs never ran again.

    There the condition `eager()` kept what it had seen in a cursor of evaluations, which the new graph left behind, and said nothing for
    days while its parent was built every hour. Here what is due is told by the lake's state, and a sensor of schema changes keeps the
    versions that it has seen: a reader follows every later version of its input, of which it is told once, also when that was published
    while its location was away.
    """
    place = dev.place
    dev.wait("everything is built", lambda: dev.total("last.total") == 30)
    dev.wait("no run is left", dev.at_rest)
    place.sql("middle.more", "select count(*)::bigint as total from base.items")
    reload(dev, "middle")
    dev.wait("the new table is built", lambda: dev.total("middle.more") == 2)
    items(place, 10, 21)  # the parent goes on, in a location that was not loaded again
    dev.wait("the reader follows", lambda: dev.total("last.total") == 31)

    earlier = ids(of_changes(dev, "last"))
    place.sql("middle.total", "select sum(price)::bigint as total, 1 as one from base.items")
    place.contract("middle.total", {"total": "BIGINT; required: true", "one": "INTEGER"})
    assert place.statuses("middle")["middle/total"] == "published"
    for name in ("middle", "last"):
        reload(dev, name)
    newer = lambda: [run for run in of_changes(dev, "last") if run.run_id not in earlier]
    (run,) = dev.wait("the reader's checks run", newer)
    assert {key.asset_key.to_user_string() for key in run.asset_check_selection} == CHECKED["last"]
    assert dev.looked("last__schema_changes")
    items(place, 10, 20)  # and after it
    dev.wait("the reader follows", lambda: dev.total("last.total") == 30)
    assert len(newer()) == 1, "the same change was told twice"

    (place.root / "domains/middle/sql/more.sql").unlink()
    reload(dev, "middle")
