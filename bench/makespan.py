"""How long does a mesh take to build, against its critical path, and against the same graph written by hand in Dagster?

    .venv/bin/python bench/makespan.py [runs] [--domains N] [--seconds WORK] [--processes N] [--shipped]

A generated mesh of 20 domains of three tables: a query that computes, a function that waits as if for somebody else, and a port made of
both; domains read up to two others. By hand: the same queries and waits as `@dg.asset` over Parquet files, with no test, contract or
version. Both with Dagster's multiprocess executor and as many processes as cores, in turn, each in a fresh instance, by
`dagster asset materialize`. `--shipped` builds the shipped mesh instead (which nobody wrote by hand), a process per step too.

The bound is the longest way through the graph, each step with its start-up (from when the executor starts its process); or all of
them divided by the processes, where that is more. Claim: at most 1.1 times the bound.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

CLAIM = 1.1
DOMAINS = 20
QUERY = "select g as id, n from (select range % 1000 as g, count(*) as n, sum(sqrt(range)) as s from range({rows}) group by g) order by id"
WAITS = """\
import time

import duckdb

import mesh_assets


@mesh_assets.table(inputs={reads})
def waited({given}):
    time.sleep({seconds})
    return duckdb.sql("select 1::bigint as id").pl()
"""
HAND = """
import time
from pathlib import Path

import dagster as dg
import duckdb

HERE = Path(__file__).parent / "files"
HERE.mkdir(exist_ok=True)
READS = {reads}


def file(domain, table):
    return HERE / f"{{domain}}__{{table}}.parquet"


def keep(domain, table, query):
    duckdb.connect().execute(f"copy ({{query}}) to '{{file(domain, table)}}' (format parquet)")


def made(name):
    needs = [dg.AssetKey([other, "port"]) for other in READS[name]]

    @dg.asset(key=[name, "computed"], deps=needs, group_name=name)
    def computed():
        keep(name, "computed", "{query}")

    @dg.asset(key=[name, "waited"], deps=needs, group_name=name)
    def waited():
        time.sleep({seconds})
        keep(name, "waited", "select 1::bigint as id")

    @dg.asset(key=[name, "port"], deps=[[name, "computed"], [name, "waited"]], group_name=name)
    def port():
        tables = [file(name, "computed"), file(name, "waited")]
        keep(name, "port", "select sum(id)::bigint as id from read_parquet(%r)" % [str(one) for one in tables])

    return [computed, waited, port]


defs = dg.Definitions(
    assets=[asset for name in READS for asset in made(name)], executor=dg.multiprocess_executor.configured({{"max_concurrent": {processes}}})
)
"""


def reads_of(number: int) -> list[str]:
    """Domains that a domain reads: a tree, and every third one another beside it."""
    found = [f"d{(number - 1) // 2:02}"] if number else []
    return found + ([f"d{number // 4:02}"] if number % 3 == 0 and number > 4 else [])


def write(root: Path, domains: int, rows: int, seconds: float) -> None:
    """The mesh."""
    (root / "mesh.yaml").write_text("mesh: generated\n")
    for number in range(domains):
        name, reads = f"d{number:02}", reads_of(number)
        folder = root / "domains" / name
        (folder / "sql").mkdir(parents=True)
        (folder / "contracts").mkdir()
        inputs = "".join(["inputs:\n", *(f"  - port: {one}.port\n" for one in reads)]) if reads else ""
        (folder / "domain.yaml").write_text(
            f"domain: {name}\ntitle: {name}\npurpose: Work.\nteam: {{name: {name}, owner: {name}@example.com}}\n"
            f"executor: multiprocess\n{inputs}outputs: [{{port: port}}]\n"
        )
        after = "".join(f" where exists (from {one}.port)" for one in reads[:1])
        (folder / "sql/computed.sql").write_text(f"select * from ({QUERY.format(rows=rows)}){after}\n")
        (folder / "sql/port.sql").write_text(
            f"select sum(id)::bigint as id from (select id from {name}.computed union all select id from {name}.waited)\n"
        )
        (folder / "assets.py").write_text(
            WAITS.format(reads=[f"{one}.port" for one in reads[:1]], seconds=seconds, given="port" if reads else "")
        )
        (folder / "contracts/port.odcs.yaml").write_text(
            f"apiVersion: v3.1.0\nkind: DataContract\nid: {name}-port\nversion: 1.0.0\nstatus: active\nschema:\n  - name: port\n"
            "    properties:\n      - {name: id, logicalType: integer, physicalType: BIGINT, required: true}\n"
        )


def write_by_hand(root: Path, domains: int, rows: int, seconds: float, processes: int) -> None:
    """The same graph as one module."""
    reads = {f"d{number:02}": reads_of(number) for number in range(domains)}
    text = HAND.format(reads=reads, query=QUERY.format(rows=rows), seconds=seconds, processes=processes)
    (root / "byhand.py").write_text(text)


def run(root: Path, module: str) -> dict[str, float]:
    """Materialise everything in a fresh instance; what its events say."""
    home = Path(tempfile.mkdtemp(dir=root))
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    environment = {**os.environ, "DAGSTER_HOME": str(home), "MESH_HOME": str(home / "mesh"), "MESH_DIR": str(root)}
    command = [str(Path(sys.executable).with_name("dagster")), "asset", "materialize", "--select", "*", "-m", module]
    done = subprocess.run(
        [*command, "-d", str(root)], env=environment, cwd=root, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    told = subprocess.run(
        [sys.executable, __file__, "--events", str(home)], env=environment, check=True, capture_output=True, text=True
    )
    shutil.rmtree(home, ignore_errors=True)
    return json.loads(told.stdout)


def events(home: str) -> None:
    """Of the one run of an instance: its seconds, those of its steps and of their starts, and the bound; printed as JSON."""
    import dagster as dg

    with dg.DagsterInstance.from_config(home) as instance:
        (record,) = instance.get_runs()
        entries = instance.all_logs(record.run_id)
        plan = instance.get_execution_plan_snapshot(record.execution_plan_snapshot_id)
    when: dict[tuple[str, str], float] = {}
    for entry in entries:
        if entry.dagster_event is not None:
            key = (entry.dagster_event.event_type_value, entry.step_key or "")
            when.setdefault(key, entry.timestamp)
    steps = [step.key for step in plan.steps if ("STEP_SUCCESS", step.key) in when]
    needs = {
        step.key: [output.step_key for one in step.inputs for output in one.upstream_output_handles]
        for step in plan.steps
    }
    starts = {
        one: when["STEP_START", one] - when.get(("STEP_WORKER_STARTING", one), when["STEP_START", one]) for one in steps
    }
    works = {one: when["STEP_SUCCESS", one] - when["STEP_START", one] for one in steps}
    print(
        json.dumps(
            {
                "makespan": when["PIPELINE_SUCCESS", ""] - when["PIPELINE_START", ""],
                "critical path": longest(needs, {one: starts[one] + works[one] for one in steps}),
                "all steps": sum(starts.values()) + sum(works.values()),
                "start of a step": statistics.median(starts.values()),
                "a step": statistics.median(works.values()),
                "steps": len(steps),
            }
        )
    )


def longest(needs: Mapping[str, Sequence[str]], takes: Mapping[str, float]) -> float:
    """The longest way through the graph."""
    ends: dict[str, float] = {}

    def end(step: str) -> float:
        if step not in ends:
            ends[step] = takes.get(step, 0.0) + max((end(one) for one in needs[step]), default=0.0)
        return ends[step]

    return max(map(end, needs))


def bound(one: Mapping[str, float], processes: int) -> float:
    """What no order of the steps could be faster than."""
    return max(one["critical path"], one["all steps"] / processes)


def main(runs: int, domains: int, seconds: float, processes: int, *, shipped: bool) -> int:
    """Measure and print; 1 when the claim does not hold."""
    found: dict[str, list[dict[str, float]]] = {"ours": []} if shipped else {"ours": [], "by hand": []}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if shipped:
            here = Path(__file__).parents[1]
            for name in ("domains", "dbt_projects"):
                shutil.copytree(here / name, root / name)
            shutil.copy(here / "mesh.yaml", root)
            one = next((root / "domains").glob("*/domain.yaml"))
            one.write_text(one.read_text() + "\nexecutor: multiprocess\n")
        else:
            write(root, domains, int(40_000_000 * seconds), seconds)
            write_by_hand(root, domains, int(40_000_000 * seconds), seconds, processes)
        for _ in range(runs):
            for side, results in found.items():
                results.append(run(root, "mesh_assets.definitions" if side == "ours" else "byhand"))
    middle = {
        side: {what: statistics.median(one[what] for one in results) for what in results[0]}
        for side, results in found.items()
    }
    print(f"{processes} processes, {int(middle['ours']['steps'])} steps; seconds, median of {runs}\n")
    print("| | " + " | ".join(middle) + " |\n|---|" + "--:|" * len(middle))
    for what in ("makespan", "critical path", "all steps", "start of a step", "a step"):
        print(f"| {what} | " + " | ".join(f"{one[what]:.2f}" for one in middle.values()) + " |")
    over = {
        side: statistics.median(one["makespan"] / bound(one, processes) for one in some) for side, some in found.items()
    }
    print("| **makespan ÷ bound** | " + " | ".join(f"{one:.2f}" for one in over.values()) + " |")
    if not shipped:
        pairs = [ours["makespan"] / hand["makespan"] for ours, hand in zip(*found.values(), strict=True)]
        print(f"\nours ÷ by hand: {statistics.median(pairs):.2f} (median of {runs} pairs)")
    held = over["ours"] <= CLAIM
    print(f"claim {'holds' if held else 'DOES NOT HOLD'}: at most {CLAIM} times the bound")
    return int(not held)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("runs", type=int, nargs="?", default=3)
    arguments.add_argument("--domains", type=int, default=DOMAINS)
    arguments.add_argument("--seconds", type=float, default=1.0)
    arguments.add_argument("--processes", type=int, default=os.cpu_count())
    arguments.add_argument("--shipped", action="store_true")
    arguments.add_argument("--events", default="")
    given = arguments.parse_args()
    if given.events:
        events(given.events)
    else:
        raise SystemExit(main(given.runs, given.domains, given.seconds, given.processes, shipped=given.shipped))
