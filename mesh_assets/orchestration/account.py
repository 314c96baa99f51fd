"""What Dagster adds to the account: freshness policies from promises, their state read back, and the sensor that tells people."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from mesh_assets.domain import Table
from mesh_assets.orchestration import keys, progress, tell
from mesh_assets.orchestration.tables import OpenEnvironment, partitions

if TYPE_CHECKING:
    from mesh_assets.environment import Environment

INTERVAL = 15
"""Seconds between two looks at what is wrong."""


def sensor(
    domains: Iterable[str], open_environment: OpenEnvironment, name: str, *, unloadable: Mapping[str, Sequence[str]]
) -> dg.SensorDefinition:
    """Looks at the whole mesh, keeps its incidents, and tells people; several may look at once, and nothing is told twice.

    Args:
        domains: Those of this code location that work.
        open_environment: Opens the environment.
        name: Of the sensor.
        unloadable: Domains of this location whose code does not load, with what is wrong.
    """
    chosen = frozenset(domains)

    @dg.sensor(
        name=name,
        minimum_interval_seconds=INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Opens and closes incidents, and tells those whom they concern.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from mesh_assets.account import loading, record

        env = open_environment()
        own = chosen | unloadable.keys()
        record.heard(env.ledger.store, own, env.mesh.domains.keys() - own)
        loading.keep(env, unloadable, own)
        read_back(context.instance, env, chosen)
        return dg.SkipReason(told(env, context.instance))

    return sensor


def told(env: "Environment", instance: dg.DagsterInstance) -> str:
    """Look, keep, announce and send; in a kitchen only look."""
    from mesh_assets.account import notices
    from mesh_assets.account.look import look
    from mesh_assets.openlineage import outbox

    seen = look(env, running=progress.running(instance, env.mesh))
    found = seen.keep()
    open_ = sum(not each.closed for each in found)
    if is_kitchen(env):
        return f"{open_} incidents are open; a kitchen tells nobody"
    new = notices.announce(env, found, seen.now)
    sent, failed = notices.deliver(env)
    said = f"{open_} incidents are open; {new} notices are new, {sent} were sent, {failed} could not be"
    if env.mesh.openlineage is None:
        return said
    events, _ = outbox.deliver(env)
    return f"{said}; {events} events of lineage were sent"


def read_back(instance: dg.DagsterInstance, env: "Environment", domains: frozenset[str]) -> None:
    """Keep what Dagster has found: the state of its freshness policies, and partitions that it never saw built."""
    from mesh_assets.account import record

    store = env.ledger.store
    own = [table for table in env.mesh.tables.values() if table.domain in domains]
    judged = {keys.of(table.name): table.name for table in own if tell.freshness_policy(table) is not None}
    states = instance.get_freshness_state_records(list(judged)) if judged else {}
    others = {
        name: value
        for name, value in record.observed(store, "freshness").items()
        if name.partition(".")[0] not in domains
    }
    found = {judged[key]: str(state.freshness_state.value) for key, state in states.items()}
    record.observe(store, "freshness", {**others, **found})
    gaps = {
        name: value for name, value in record.observed(store, "gaps").items() if name.partition(".")[0] not in domains
    }
    gaps |= {table.name: missing for table in own if (missing := _gaps(instance, table))}
    record.observe(store, "gaps", gaps)


def _gaps(instance: dg.DagsterInstance, table: Table) -> list[str]:
    """Partitions that are over, and that were never materialised."""
    defined = partitions(table)
    if not isinstance(defined, dg.TimeWindowPartitionsDefinition):
        return []
    built = instance.get_materialized_partitions(keys.of(table.name))
    if not built:  # its first build is still to come, which `order` says
        return []
    now = datetime.now(UTC)
    over = [key for key in defined.get_partition_keys() if defined.time_window_for_partition_key(key).end <= now]
    return [key for key in over if key not in built][:1_000]


def is_kitchen(env: "Environment") -> bool:
    """Whether this is not production: nobody is told of what happens there."""
    from mesh_assets.kitchen.place import around

    return around(env.home) is not None
