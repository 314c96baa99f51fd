"""What does the daemon's decision cost in a large mesh, and in one round of all its sensors? CPU seconds.

    .venv/bin/python bench/tick.py [TABLES]

Domains of 10 tables, each with a contract, all published and up to date: a real lake, a real ledger, a real instance of
Dagster, in a temporary folder. Then the sensors of every domain are evaluated one after the other, as the code server does;
what gRPC and the daemon add is not in it.

Claim: the decision for 10,000 tables takes at most 5 seconds.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
from load import PER_DOMAIN, inputs_of, write

from mesh_assets import order
from mesh_assets.environment import Environment
from mesh_assets.lake import Mode, Publication
from mesh_assets.ledger import Version
from mesh_assets.mesh import read_mesh
from mesh_assets.orchestration import sensors
from mesh_assets.orchestration.instance import open_instance
from mesh_assets.settings import Settings

CLAIM = 5.0  # CPU seconds, for 10,000 tables
PUBLISHED = "2026-01-01T00:00:00.000000+00:00"


def publish(env: Environment) -> None:
    """One real version, so that the lake has one; the ledger's index says the same of all other tables."""
    first, *others = env.mesh.tables
    seen: dict[str, order.Seen] = {}
    records = {}
    for name, table in env.mesh.tables.items():
        tried = order.attempt(env.mesh, name, seen)
        inputs = {item: {"version": 1, "fingerprint": print_} for item, print_ in tried.inputs.items()}
        seen[name] = order.Seen(version=1, fingerprint=f"{name}@1", inputs=tried.inputs)
        records[name] = {
            "tried": dict(tried.inputs), "code": tried.code, "contract": tried.contract, "inputs": inputs, "held": [],
            "fingerprint": f"{name}@1", "generation": {}, "rows": 1, "seconds": 0.1, "tests": {"pass": 3, "warn": 0, "fail": 0},
            "columns": [[column.name, column.type] for column in table.contract.columns] if table.contract else [],
            "made": {"commit": "0" * 40, "packages": {"duckdb": "1.5.5", "dagster": "1.13"}}, "files": {},
        }  # fmt: skip
    with env.lake.session() as con:
        staged = env.lake.stage(con, first, "select 1 as id, 'a' as kind, 1.5 as amount, current_date as day")
        env.lake.publish(
            con, [Publication(staged=staged, record=records[first], mode=Mode.REPLACE)], run="bench", pin=0
        )
    env.sync()
    head = env.lake.head()
    env.ledger.index(
        Version(table=name, version=head, run="bench", at=PUBLISHED, record=records[name]) for name in others
    )


def took(run: Callable[[], object]) -> float:
    """CPU seconds."""
    begun = time.process_time()
    run()
    return time.process_time() - begun


def main(tables: int) -> int:
    """Measure; 1 when the claim does not hold."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, tables, inputs_of)
        mesh = read_mesh(root)
        env = Environment.open(mesh, Settings(home=root / ".mesh", dir=root))
        publish(env)
        with open_instance(env.home) as instance:
            return report(env, instance, tables)


def report(env: Environment, instance: dg.DagsterInstance, tables: int) -> int:
    """Print what came out."""
    mesh = env.mesh
    first = took(lambda: order.due(mesh, env.state()))
    looks = [took(lambda: order.due(mesh, env.state())) for _ in range(5)]
    decision = order.due(mesh, env.state())
    every = sensors.sensors(mesh, mesh.domains, lambda: env)
    rounds: dict[str, float] = {}
    sensors.reconcile(instance, env, mesh, mesh.domains)  # once, what no round after the first has to do
    for sensor in every:
        context = dg.build_sensor_context(instance=instance, sensor_name=sensor.name)
        kind = sensor.name.rpartition("__")[2]
        rounds[kind] = rounds.get(kind, 0.0) + took(lambda sensor=sensor, context=context: sensor(context))
    median = statistics.median(looks)
    sys.stdout.write(f"{tables} tables in {tables // PER_DOMAIN} domains; {len(decision.build)} due\n")
    sys.stdout.write(f"a decision: {median:.2f} CPU s (median of 5), the first of a process {first:.2f}\n")
    sys.stdout.write("a round of all sensors, CPU s: ")
    sys.stdout.write(", ".join(f"{kind} {seconds:.1f}" for kind, seconds in sorted(rounds.items())) + "\n")
    return int(first > CLAIM * max(tables, 10_000) / 10_000)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
