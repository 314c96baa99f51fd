"""One sensor per domain keeps its order, one tells it of schema changes; one per location mends what was cut off."""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING

import dagster as dg

from mesh_assets import graph, order
from mesh_assets.domain import Mesh
from mesh_assets.orchestration import account, compatible, jobs, keys, progress, tell
from mesh_assets.orchestration.looks import Looks
from mesh_assets.orchestration.tables import CLOSURE, OpenEnvironment
from mesh_assets.partitions import starts, whole

if TYPE_CHECKING:
    from mesh_assets.changes.record import Event
    from mesh_assets.environment import Environment
    from mesh_assets.ledger import Version

INTERVAL = 5
"""Seconds between two looks at the lake."""
BASIS = "mesh/basis"
"""Run tag: a digest of what made the tables due."""
WORDS = ("described", "service_level_changed")
"""Kinds of change that no check can see."""
PATIENCE = 600.0
"""Seconds that a table may wait for its inputs before everything due is built in one run."""


def sensors(
    mesh: Mesh,
    domains: Iterable[str],
    open_environment: OpenEnvironment,
    *,
    unloadable: Mapping[str, Sequence[str]] | None = None,
) -> list[dg.SensorDefinition]:
    """Everything that runs by itself in one code location.

    Args:
        mesh: The mesh.
        domains: Those of this location that work.
        open_environment: Opens it.
        unloadable: Those of this location whose code does not load, with what is wrong.
    """
    chosen, found = sorted(domains), []
    edges = graph.graph_of(mesh)
    tables = jobs.by_domain(mesh)
    looks = Looks(mesh, open_environment)
    for domain in chosen:
        if not tables[domain]:
            continue
        found.append(_order(mesh, domain, open_environment, looks))
        if watched := foreign_upstream(mesh, domain, graph.upstream(edges, tables[domain])):
            found.append(_schema_changes(mesh, domain, watched, open_environment, looks))
    scope = [*chosen, *sorted(unloadable or {})]
    name = "mesh__account" if len(scope) != 1 else f"{scope[0]}__account"
    if found or unloadable:
        found.append(account.sensor(chosen, open_environment, name, unloadable=unloadable or {}))
    if not any(tables[domain] for domain in chosen):
        return found
    return [*found, _closure(mesh, chosen, looks), _reconciler(mesh, chosen, open_environment)]


def _order(mesh: Mesh, domain: str, open_environment: OpenEnvironment, looks: Looks) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{domain}__order",
        # Not `target`: that would make one more job per sensor, and Dagster resolves every job when it loads.
        asset_selection=dg.AssetSelection.groups(keys.group(mesh, domain)),
        minimum_interval_seconds=INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Builds what is due in {domain}: by the state of lake and ledger, not by events.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        look = looks.at(context.instance, domain)
        state = look.state
        tables = together(mesh, domain, look.decision.build, state)
        if not tables:
            return dg.SkipReason("nothing is due")
        sign = basis(mesh, tables, state)
        if why_not := _in_circles(context.instance, open_environment(), sign, tables, state):
            return dg.SkipReason(why_not)
        requests = [_request(mesh, domain, group, state, sign) for group in split(mesh, tables)]
        return dg.SensorResult(run_requests=requests)

    return sensor


def basis(mesh: Mesh, tables: Sequence[str], state: order.State) -> str:
    """A digest of everything that makes these tables due; the same digest again would build the same again."""
    parts = [
        [
            name,
            mesh.tables[name].code,
            order.promises(mesh, name),
            state.raw.get(name, ""),
            [state.seen[item].fingerprint for item in mesh.tables[name].inputs if item in state.seen],
            name in state.ticked,
            state.asked_parts.get(name, ""),
        ]
        for name in tables
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def _in_circles(
    instance: dg.DagsterInstance, env: "Environment", sign: str, tables: Sequence[str], state: order.State
) -> str:
    """Why asking once more would lead nowhere; empty when it may not.

    The last thing that happened to these tables was a run on this very basis: the run read other files than this location
    has loaded. Or runs on it end, one after the other, before they record anything: each is then waited for twice as long.
    """
    if any(env.mesh.tables[name].automation != "eager" for name in tables):
        return ""  # the clock, or a person, asks for the same again
    records = instance.get_run_records(filters=dg.RunsFilter(tags={BASIS: sign}), limit=12)
    runs = {record.dagster_run.run_id for record in records}
    # What somebody asks for once more is tried once for that, also on the same basis.
    if (
        runs
        and state.retried.isdisjoint(tables)
        and all(name in state.tried and state.tried[name].run in runs for name in tables)
    ):
        said = f"{', '.join(tables)} was built on this basis, and is due again"
        return f"{said}: the mesh's files have changed, reload this code location"
    # The same basis can come again, when content goes back to what it was: only runs that said nothing count.
    silent = list(takewhile(lambda record: not env.ledger.of_run(record.dagster_run.run_id), records))
    pause = min(10.0 * 2 ** len(silent), 3600.0) if len(silent) > 1 else 0.0
    if pause and time.time() - silent[0].update_timestamp.timestamp() < pause:
        return f"{len(silent)} runs on this basis ended without a result; the next one starts after {pause:.0f} s"
    return ""


def together(mesh: Mesh, domain: str, due: Sequence[str], state: order.State) -> tuple[str, ...]:
    """What one run of a domain takes along: its due tables, and own eager tables that wait for nothing but these.

    What lies behind tables of other domains, that are due or running, is left to a later run.
    """
    chosen = {name for name in due if mesh.tables[name].domain == domain}
    if not chosen:
        return ()
    edges = graph.graph_of(mesh)
    elsewhere = (set(due) - chosen) | set(state.running)
    foreign = {name for name in graph.downstream(edges, chosen) if mesh.tables[name].domain != domain}
    left = graph.downstream(edges, elsewhere | foreign, include_self=True)
    behind = {name for name in graph.downstream(edges, chosen) if mesh.tables[name].automation == "eager"}
    taken = chosen | {name for name in behind - left if mesh.tables[name].domain == domain}
    return tuple(name for name in mesh.tables if name in taken)


def split(mesh: Mesh, tables: Sequence[str]) -> list[tuple[str, ...]]:
    """The runs that build these tables: those with partitions go into runs of their own, for a run has one set of them.

    What comes after a table with partitions is left to a later look: which of its own are to be built is known only then.
    """
    parted = [name for name in tables if mesh.tables[name].partitions]
    edges = graph.graph_of(mesh) if parted else {}
    later = {after for name in parted for after in graph.downstream(edges, [name])}
    now = [name for name in tables if name not in later]
    plain = tuple(name for name in now if mesh.tables[name].partitions is None)
    return [group for group in (plain, *((name,) for name in now if name not in plain)) if group]


def _request(mesh: Mesh, domain: str, tables: Sequence[str], state: order.State, sign: str = "") -> dg.RunRequest:
    marked = {BASIS: sign} if sign else {}
    # What a launch asks for once more is built although nothing has changed since it failed, or was cancelled.
    again = not state.retried.isdisjoint(tables)
    return dg.RunRequest(
        asset_selection=keys.selection(mesh, tables),
        tags={
            "mesh/domain": domain,
            "mesh/trigger": "order",
            CLOSURE: "retry" if again else "true",
            **marked,
            **range_tags(mesh, tables, state),
        },
    )


def range_tags(mesh: Mesh, tables: Sequence[str], state: order.State) -> dict[str, str]:
    """Tags that make one run cover what is to be built of the partitioned table among `tables`: some days, or all so far."""
    table = next((mesh.tables[name] for name in tables if mesh.tables[name].partitions), None)
    if table is None or table.partitions is None:
        return {}
    today = datetime.now(UTC).date()
    days = state.parts.get(table.name) or whole(table.partitions, today, closed=table.closed_partitions)
    keys_ = starts(table.partitions, days) if days else ()
    if not keys_:  # the first partition is still to come
        return {}
    return {"dagster/asset_partition_range_start": keys_[0], "dagster/asset_partition_range_end": keys_[-1]}


def _closure(mesh: Mesh, domains: Sequence[str], looks: Looks) -> dg.SensorDefinition:
    """Where sources never rest, runs of single domains can miss each other for ever; one run at one pin cannot."""
    name = "mesh__closure" if len(domains) != 1 else f"{domains[0]}__closure"

    @dg.sensor(
        name=name,
        asset_selection=dg.AssetSelection.groups(*(keys.group(mesh, name) for name in domains)),
        minimum_interval_seconds=INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Builds everything that is due in one run, when a table has waited too long for its inputs to agree.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        moment = time.time()
        look = looks.at(context.instance, name)
        state, decision = look.state, look.decision
        since = waiting_since(json.loads(context.cursor or "{}"), decision, moment)
        late = sorted(name for name, start in since.items() if moment - start > PATIENCE)
        if not late:
            return dg.SensorResult(cursor=json.dumps(since), skip_reason=dg.SkipReason("nobody has waited too long"))
        tables = [name for name in order.closure(mesh, state, decision.build) if mesh.tables[name].domain in domains]
        if not tables:
            return dg.SensorResult(cursor=json.dumps(since), skip_reason=dg.SkipReason("nothing can be built"))
        told = {name: start for name, start in since.items() if name not in late}
        requests = [_request(mesh, "mesh", group, state) for group in split(mesh, tables)]
        return dg.SensorResult(cursor=json.dumps(told), run_requests=requests)

    return sensor


def waiting_since(before: Mapping[str, float], decision: order.Decision, moment: float) -> dict[str, float]:
    """Tables that wait for their inputs, or whose inputs disagree, with when that began."""
    stands = (order.Standing.WAITS, order.Standing.DISAGREES)
    return {name: before.get(name, moment) for name, why in decision.why.items() if why.state in stands}


# -- schema changes -------------------------------------------------------------------------------------------------------


def foreign_upstream(mesh: Mesh, domain: str, upstream: Iterable[str]) -> tuple[str, ...]:
    """Every output port of another domain among what this domain's tables rest on, directly or not."""
    above = [mesh.tables[name] for name in upstream if name in mesh.tables]
    return tuple(sorted(table.name for table in above if table.domain != domain and table.port is not None))


def concerning(events: Iterable["Event"], watched: Iterable[str], after: int) -> tuple["Event", ...]:
    """Events on watched ports since a version that a reader's checks could see: words alone are none."""
    ports = frozenset(watched)
    return tuple(
        event
        for event in events
        if event.port in ports and event.version > after and any(change.kind not in WORDS for change in event.changes)
    )


def checks_behind(mesh: Mesh, domain: str, changed: Iterable[str]) -> list[dg.AssetCheckKey]:
    """A domain's own checks that a change of these tables concerns.

    Those of its input ports and of its tables behind them; and, for what it reads directly, whether it still suits its code.
    """
    changed = tuple(changed)
    behind = graph.downstream(graph.graph_of(mesh), changed, include_self=True)
    tables = [name for name, table in mesh.tables.items() if table.domain == domain and name in behind]
    found = []
    for entry in mesh.domains[domain].inputs:
        if entry.contract and entry.table in behind:
            port = keys.port(domain, entry.table)
            found += [spec.key for spec in tell.check_specs(port, entry.contract)]
    for name in tables:
        found += [spec.key for spec in tell.check_specs(keys.of(name), mesh.tables[name].contract)]
    own = [table for table in mesh.tables.values() if table.domain == domain]
    suits = compatible.check_keys(mesh.domains[domain], own)
    return [*found, *(suits[name] for name in changed if name in suits)]


def _schema_changes(
    mesh: Mesh, domain: str, watched: Sequence[str], open_environment: OpenEnvironment, looks: Looks
) -> dg.SensorDefinition:
    name = f"{domain}__schema_changes"

    @dg.sensor(
        name=name,
        asset_selection=dg.AssetSelection.groups(keys.group(mesh, domain)),
        minimum_interval_seconds=INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Runs the checks of {domain} when a table that it rests on has a new schema.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        from mesh_assets.changes.record import ChangeRecord

        looks.at(context.instance, name)
        env = open_environment()
        record = ChangeRecord(env)
        # The cursor is kept with the tick: what was asked for in one is told in the next, and nothing is asked for twice.
        before = json.loads(context.cursor or "{}")
        after = int(before.get("after") or record.told_until(domain))
        events = record.events(after=int(before.get("told") or 0))
        record.tell(
            [event for event in events if event.port in watched and event.version <= after], domain, "its checks ran"
        )
        pending = concerning(events, watched, after)
        newest = max([after, *(event.version for event in events)])
        cursor = json.dumps({"after": newest, "told": after})
        if not pending:
            return dg.SensorResult(cursor=cursor, skip_reason=dg.SkipReason("no upstream schema has changed"))
        changed = sorted({event.port for event in pending})
        versions = env.ledger.versions()
        published = {table.name for table in mesh.tables.values() if table.name in versions}
        wanted = [key for key in checks_behind(mesh, domain, changed) if keys.table(key.asset_key) in published]
        if not wanted:
            return dg.SensorResult(cursor=cursor, skip_reason=dg.SkipReason("no upstream schema has changed"))
        spelt = ", ".join(sorted(f"{event.port}@{event.version}" for event in pending))
        request = dg.RunRequest(
            run_key=f"{domain}:{hashlib.sha256(spelt.encode()).hexdigest()[:24]}",
            asset_selection=[],
            asset_check_keys=wanted,
            tags={"mesh/domain": domain, "mesh/trigger": "schema_change", "mesh/changed": spelt[:240]},
        )
        return dg.SensorResult(cursor=cursor, run_requests=[request])

    return sensor


# -- what was cut off -----------------------------------------------------------------------------------------------------


def _reconciler(mesh: Mesh, domains: Sequence[str], open_environment: OpenEnvironment) -> dg.SensorDefinition:
    name = "mesh__reconciler" if len(domains) != 1 else f"{domains[0]}__reconciler"

    @dg.sensor(
        name=name,
        minimum_interval_seconds=INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ends runs whose worker is gone and backfills that are done, reports what was published but never told.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from mesh_assets import catalog

        env = open_environment()
        # A worker is called gone at the second look: at the first it may just be leaving. So is what it has not told.
        kept = json.loads(context.cursor or "{}")
        before = kept if isinstance(kept, dict) else {}  # earlier versions kept a list
        dead, ended = end_dead_runs(context.instance, env, suspects=before.get("dead", ()))
        late, told = reconcile(context.instance, env, mesh, domains, suspects=before.get("late", {}))
        context.update_cursor(json.dumps({"dead": dead, "late": late}))
        filled = catalog.settle_backfills(env)
        more = f", {len(filled)} backfills ended" if filled else ""
        return dg.SkipReason(f"{len(ended)} runs ended, {len(told)} versions told{more}")

    return sensor


def end_dead_runs(
    instance: dg.DagsterInstance, env: "Environment", *, suspects: Sequence[str] | None = None
) -> tuple[list[str], list[str]]:
    """End runs whose worker is gone, so that their tables are due again. A run that holds a lease has a worker.

    Args:
        instance: Dagster's.
        env: The environment, whose ledger holds the leases.
        suspects: Only runs that were found dead before are ended; default: all that are dead now.

    Returns:
        Runs that are dead but not ended yet, and those that were ended.
    """
    at_work = set(env.ledger.building().values())
    dead = [
        run for run in progress.unfinished(instance) if run.run_id not in at_work and progress.is_dead(instance, run)
    ]
    ended = [run for run in dead if suspects is None or run.run_id in suspects]
    for run in ended:
        message = "The worker of this run is gone. What it had published stays; the rest is due again."
        if run.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message)
        else:
            instance.report_run_failed(run, message)
    return [run.run_id for run in dead if run not in ended], [run.run_id for run in ended]


def reconcile(
    instance: dg.DagsterInstance,
    env: "Environment",
    mesh: Mesh,
    domains: Iterable[str],
    *,
    suspects: Mapping[str, int] | None = None,
) -> tuple[dict[str, int], dict[str, int]]:
    """Report versions that were published but never told to Dagster: a kill between the two left them out.

    Versions of runs that are still at work are left to them. A run that Dagster takes to have ended may be at work all the
    same: a worker whose code server was killed, or one of two that two daemons have started for it.

    Args:
        instance: Dagster's.
        env: The environment.
        mesh: As it is loaded.
        domains: Whose tables.
        suspects: Only these versions of tables, which were found so before, are reported; default: all.

    Returns:
        Versions that are not told and not reported yet, and those that were reported, each by table.
    """
    env.sync()
    alive = {run.run_id for run in progress.unfinished(instance)}
    wanted = set(domains)
    versions = {
        name: version
        for name, version in env.ledger.versions().items()
        if name in mesh.tables and mesh.tables[name].domain in wanted and version.run not in alive
    }
    records = instance.get_asset_records([keys.of(name) for name in sorted(versions)])
    told = {
        keys.table(record.asset_entry.asset_key): _told_version(record.asset_entry.last_materialization)
        for record in records
    }
    late = {name: item for name, item in sorted(versions.items()) if told.get(name, 0) < item.version}
    due = {name: item for name, item in late.items() if suspects is None or suspects.get(name) == item.version}
    for name, item in due.items():
        instance.report_runless_asset_event(_materialization(env, mesh, name, item))
    left = {name: item.version for name, item in late.items() if name not in due}
    return left, {name: item.version for name, item in due.items()}


def _told_version(event: dg.EventLogEntry | None) -> int:
    told = event.asset_materialization if event else None
    value = told.metadata.get("mesh/version") if told else None
    return int(str(value.value)) if value is not None else 0


def _materialization(env: "Environment", mesh: Mesh, name: str, version: "Version") -> dg.AssetMaterialization:
    from dagster._core.definitions.data_version import DATA_VERSION_TAG

    table = mesh.tables[name]
    record = version.record
    inputs = {item.replace(".", "/", 1): read["version"] for item, read in record["inputs"].items()}
    return dg.AssetMaterialization(
        asset_key=keys.of(name),
        description="Published by a run that could not tell; found by the reconciler.",
        metadata={
            "mesh/version": version.version,
            "mesh/inputs": dg.MetadataValue.json(inputs),
            "mesh/reconciled": True,
            "mesh/run": version.run,
            "dagster/row_count": int(record.get("rows") or 0),
            "dagster/table_name": name,
            "dagster/uri": env.lake.folder(name).as_uri(),
            "dagster/column_schema": tell.table_schema(table.contract, record.get("columns", ())),
        },
        tags={DATA_VERSION_TAG: str(record["fingerprint"])},
    )
