"""What the sensors decide, tick by tick, without a daemon; in one code location and in several."""

import json
import os

import dagster as dg
import pytest

from mesh_assets import order
from mesh_assets.changes import record as records
from mesh_assets.changes.record import ChangeRecord
from mesh_assets.orchestration import sensors
from mesh_assets.orchestration.instance import open_instance
from mesh_assets.orchestration.load import load
from mesh_assets.orchestration.looks import Looks
from tests.making import Place, launch


@pytest.fixture
def place(tmp_path):
    """Base → middle → last, each its own domain, each reading through a port with a contract."""
    place = Place(tmp_path)
    place.domain("base", "outputs: [{port: items}]\ninputs: [{source: raw/items/*.csv, as: raw_items}]\n")
    items(place, 1, 2)
    place.sql("base.items", "select * from base.raw_items")
    place.contract("base.items", {"id": "BIGINT"})
    for name, source in (("middle", "base.items"), ("last", "middle.items")):
        place.domain(name, f"inputs: [{{port: {source}, contract: in_items.odcs.yaml}}]\noutputs: [{{port: items}}]\n")
        place.sql(f"{name}.items", f"select id from {source}")
        place.contract(f"{name}.items", {"id": "BIGINT"})
        place.contract(f"{name}.items", {"id": "BIGINT"}, name="in_items")
    return place


def items(place, *ids, more=""):
    """Write the raw file anew."""
    rows = "\n".join(f"{number}{',x' if more else ''}" for number in ids)
    place.write("domains/base/raw/items/1.csv", f"id{more}\n{rows}\n")


def tick(place, name, cursor=None, *, only=None):
    """One look of a sensor: (runs that it asks for, its new cursor)."""
    definitions = load(place.root, only=only, settings=place.settings).definitions
    with open_instance(place.root / ".mesh") as instance:
        context = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=definitions)
        result = definitions.get_repository_def().get_sensor_def(name)(context)
    if isinstance(result, dg.SkipReason):
        return [], context.cursor
    return list(result.run_requests or []), result.cursor


def selected(request):
    """Assets of a run request, as text."""
    return {key.to_user_string() for key in request.asset_selection}


def test_a_domain_builds_what_is_due_and_its_own_that_follows(place):
    """The producer's source and table go into one run; a reader waits until there is something to read."""
    requests, _ = tick(place, "base__order")
    assert [selected(request) for request in requests] == [{"base/raw_items", "base/items"}]
    assert tick(place, "middle__order")[0] == []
    place.run("base")
    assert [selected(request) for request in tick(place, "middle__order")[0]] == [
        {"middle/items", "middle/in/base__items"}
    ]
    assert tick(place, "last__order")[0] == []
    assert tick(place, "base__order")[0] == []


def test_in_locations_of_their_own_it_is_the_same(place):
    """Each domain in its own code location, each launched from there."""
    assert launch(place, "base", "base/raw_items", "base/items")
    requests, _ = tick(place, "middle__order", only="middle")
    assert [selected(request) for request in requests] == [{"middle/items", "middle/in/base__items"}]
    assert launch(place, "middle", "middle/in/base__items", "middle/items")
    requests, _ = tick(place, "last__order", only="last")
    assert [selected(request) for request in requests] == [{"last/items", "last/in/middle__items"}]


def test_an_unchanged_republish_cascades_nowhere(place):
    """Same content: nobody downstream is due."""
    place.run()
    place.run("base", force=True)
    assert tick(place, "middle__order")[0] == tick(place, "last__order")[0] == []


def test_a_running_table_is_not_asked_for_again(place):
    """Dagster's unfinished runs count as running."""
    requests, _ = tick(place, "base__order")
    definitions = load(place.root, settings=place.settings).definitions
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(requests[0].asset_selection)
    )
    with open_instance(place.root / ".mesh") as instance:
        instance.create_run_for_job(
            job, asset_selection=frozenset(requests[0].asset_selection), status=dg.DagsterRunStatus.STARTING
        )
    assert tick(place, "base__order")[0] == []


def widen(place):
    """One column more in the producer's port."""
    items(place, 1, 2, more=",note")
    place.contract("base.items", {"id": "BIGINT", "note": "VARCHAR"})
    ran = place.run("base")
    assert {row["table"]: row["status"] for row in ran["tables"]} == {
        "base/raw_items": "published",
        "base/items": "published",
    }, ran


@pytest.mark.parametrize("only", [None, "last"])
def test_a_schema_change_asks_for_the_readers_own_checks_once_also_transitively(place, only):
    """The second reader rests on the port through the first: its own checks run, once; a restart changes nothing."""
    place.run()
    _, cursor = tick(place, "last__schema_changes", only=only)
    widen(place)
    requests, cursor = tick(place, "last__schema_changes", cursor, only=only)
    assert len(requests) == 1
    assert not requests[0].asset_selection
    asked = {key.asset_key.to_user_string() for key in requests[0].asset_check_keys}
    assert asked == {"last/in/middle__items", "last/items"}
    assert tick(place, "last__schema_changes", cursor, only=only)[0] == []
    other = "base" if only else None
    assert tick(place, "middle__schema_changes", cursor, only=other and "middle")[0] == []


@pytest.mark.long
def test_ten_thousand_events_that_arrived_while_nothing_ran_are_one_run(place):
    place.run()
    _, cursor = tick(place, "middle__schema_changes")
    env = place.env()
    record, head = ChangeRecord(env), env.lake.head()
    change = {"kind": "column_added", "columns": ["note"], "before": "", "after": "VARCHAR", "name": ""}
    told = {"port": "base.items", "moment": "publishing", "old": "", "new": "", "at": "2026-01-01", "changes": [change]}
    with env.ledger.store.writing() as db:
        rows = [{**told, "id": f"{number:016}", "version": head + number} for number in range(1, 10_001)]
        env.ledger.store.put(db, records._events, rows)
    (request,), after = tick(place, "middle__schema_changes", cursor)
    assert {key.asset_key.to_user_string() for key in request.asset_check_keys} >= {"middle/items"}
    assert json.loads(after)["after"] == head + 10_000
    assert tick(place, "middle__schema_changes", after)[0] == []
    assert len(record.told()) == 10_000


def test_the_checks_that_it_asks_for_run_without_building_anything(place):
    """A check-only run: results are there, nothing is materialised."""
    place.run()
    _, cursor = tick(place, "middle__schema_changes")
    widen(place)
    (request,), _ = tick(place, "middle__schema_changes", cursor)
    definitions = load(place.root, settings=place.settings).definitions
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(), asset_check_selection=set(request.asset_check_keys)
    )
    with open_instance(place.root / ".mesh") as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        found = [event.event_type_value for event in result.all_events]
    assert result.success
    checks = {each.check_name: each for each in result.get_asset_check_evaluations()}
    suits = checks["schema_compatible_with_base__items"]
    assert suits.asset_key.to_user_string() == "middle/in/base__items"
    assert (suits.passed, suits.description) == (True, "compatible: `note` is new")
    assert found.count("ASSET_CHECK_EVALUATION") == len(request.asset_check_keys)
    assert "ASSET_MATERIALIZATION" not in found


def asked_for(place, name, cursor, *, only=None):
    """What the checks of inputs say that a schema sensor asks for, by name."""
    (request,), cursor = tick(place, name, cursor, only=only)
    definitions = load(place.root, only=only, settings=place.settings).definitions
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(), asset_check_selection=set(request.asset_check_keys)
    )
    with open_instance(place.root / ".mesh") as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    found = {each.check_name: each for each in result.get_asset_check_evaluations()}
    return {name: each for name, each in found.items() if name.startswith("schema_compatible_with_")}, cursor


def test_a_change_that_breaks_the_readers_code_warns_with_the_line_until_it_is_built_again(place):
    """`compatibility: none` lets the owner do it. The reader without a contract for the port has the check at its own table."""
    place.domain("plain", "inputs: [{port: base.items}]\noutputs: [{port: sums}]\n")
    place.sql("plain.sums", "select\n  sum(id) as total\nfrom base.items")
    place.contract("plain.sums", {"total": "DECIMAL(38,0)"})
    text = (place.root / "domains/base/domain.yaml").read_text()
    (place.root / "domains/base/domain.yaml").write_text(
        text.replace("port: items", "port: items, compatibility: none")
    )
    place.run()
    _, cursor = tick(place, "plain__schema_changes")
    place.sql("base.items", "select id as number from base.raw_items")
    place.contract("base.items", {"number": "BIGINT; customProperties: [{property: cameFrom, value: id}]"})
    place.run("base")
    found, cursor = asked_for(place, "plain__schema_changes", cursor)
    check = found["schema_compatible_with_base__items"]
    assert check.asset_key.to_user_string() == "plain/sums"
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "breaking: `id` is called `number` now"
    (row,) = check.metadata["evidence"].records
    assert row.data["where"] == "domains/plain/sql/sums.sql:2:7"
    assert check.metadata["built_on_it"].value is False
    # Built again on the new name, it is nobody's concern any more; an ordinary run says so, too.
    place.sql("plain.sums", "select sum(number) as total from base.items")
    place.run("plain")
    with open_instance(place.root / ".mesh") as instance:
        record = instance.event_log_storage.get_asset_check_execution_history(check.asset_check_key, limit=1)[0]
    assert record.event.dagster_event.event_specific_data.passed


def test_who_has_waited_too_long_gets_one_run_of_everything_due(place, monkeypatch):
    """Where sources never rest, runs of single domains can miss each other; one run at one pin cannot."""
    requests, cursor = tick(place, "mesh__closure")
    assert requests == []
    assert set(json.loads(cursor)) == {"base.items", "middle.items", "last.items"}
    monkeypatch.setattr(sensors, "PATIENCE", -1.0)
    requests, _ = tick(place, "mesh__closure", cursor)
    assert {name for request in requests for name in selected(request)} >= {
        "base/raw_items",
        "base/items",
        "middle/items",
        "last/items",
    }


def test_waiting_is_counted_from_when_it_began():
    """What no longer waits is forgotten."""
    waits = order.Why(state=order.Standing.WAITS, sentence="")
    current = order.Why(state=order.Standing.CURRENT, sentence="")
    decision = order.Decision(build=(), why={"a.a": waits, "b.b": waits, "c.c": current})
    assert sensors.waiting_since({"a.a": 5.0, "c.c": 1.0}, decision, 9.0) == {"a.a": 5.0, "b.b": 9.0}


def test_a_version_that_was_never_told_is_reported_by_the_reconciler(place):
    """Once; and with what a materialisation says."""
    place.run()
    with open_instance(place.root / ".mesh") as instance:
        env = place.env()
        key = dg.AssetKey(["base", "items"])
        instance.wipe_assets([key])
        version = {"base.items": place.version("base.items")}
        # Not at the first look: who has published it may be about to say so.
        assert sensors.reconcile(instance, env, env.mesh, ["base"], suspects={}) == (version, {})
        assert sensors.reconcile(instance, env, env.mesh, ["base"], suspects={"base.items": 1}) == (version, {})
        assert instance.get_latest_materialization_event(key) is None
        assert sensors.reconcile(instance, env, env.mesh, ["base"], suspects=version) == ({}, version)
        event = instance.get_latest_materialization_event(key).asset_materialization
        assert event.metadata["dagster/row_count"].value == 2
        assert event.metadata["mesh/reconciled"].value is True
        assert sensors.reconcile(instance, env, env.mesh, ["base"]) == ({}, {})


def test_a_location_that_was_loaded_before_an_edit_does_not_run_in_circles(place):
    """What it would ask for was built by a run that read the new files: it says that it must be loaded again."""
    stale = load(place.root, settings=place.settings).definitions
    place.run()
    place.sql("base.items", "select id + 0 as id from base.raw_items")
    place.run()

    def look():
        with open_instance(place.root / ".mesh") as instance:
            context = dg.build_sensor_context(instance=instance, definitions=stale)
            return stale.get_repository_def().get_sensor_def("base__order")(context)

    (request,) = look().run_requests
    assert launch(place, "base", "base/items", tags=request.tags)
    answer = look()
    assert isinstance(answer, dg.SkipReason)
    assert "reload this code location" in answer.skip_message


def test_a_raw_file_that_cannot_be_read_fails_its_own_table_only(place):
    """The state of the mesh is still known; the table's own build tells."""
    if os.geteuid() == 0:
        place.write("domains/base/raw/items/2.csv", "id\n7\n").unlink()
        (place.root / "domains/base/raw/items/2.csv").symlink_to(place.root / "domains/base/gone.csv")
    else:
        place.write("domains/base/raw/items/2.csv", "id\n7\n").chmod(0)
    assert place.env().state().raw["base.raw_items"]


def test_the_same_files_again_are_built_again(place):
    """From one content to another, and back, twice: going back to what was built before is a change as any other."""
    for ids in ((1, 2), (3,), (1, 2), (3,), (1, 2)):
        items(place, *ids)
        (request,) = tick(place, "base__order")[0]
        assert launch(place, "base", "base/raw_items", "base/items", tags=request.tags)
        assert tick(place, "base__order")[0] == []
        assert place.rows("select count(*) from base.items") == [(len(ids),)]


def test_runs_that_end_without_a_result_are_asked_for_ever_more_rarely(place):
    """A worker that dies before it can say anything is tried again at once, then after a growing pause."""
    (request,) = tick(place, "base__order")[0]
    definitions = load(place.root, settings=place.settings).definitions
    chosen = frozenset(request.asset_selection)
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(chosen))
    asked = []
    for _ in range(4):
        asked.append(len(tick(place, "base__order")[0]))
        with open_instance(place.root / ".mesh") as instance:
            instance.create_run_for_job(
                job, asset_selection=chosen, status=dg.DagsterRunStatus.FAILURE, tags=dict(request.tags)
            )
    assert asked == [1, 1, 0, 0]


def test_sensors_that_ask_at_about_the_same_time_share_a_look(place):
    """One look serves them all for a second; but what a sensor has asked for itself is in its next look."""
    env, opened, moment = place.env(), [], [0.0]
    looks = Looks(env.mesh, lambda: opened.append(moment[0]) or env, clock=lambda: moment[0])
    with open_instance(place.root / ".mesh") as instance:
        first = looks.at(instance, "base")
        assert looks.at(instance, "middle") is first
        assert first.decision.build == ("base.raw_items",)
        assert looks.at(instance, "base") is not first, "its own second look is a new one"
        moment[0] = 10.0
        assert looks.at(instance, "last") is not first
    assert opened == [0.0, 0.0, 10.0]
