"""What does a code location of generated tables cost, ours against hand-written Dagster? 3 checks each, domains of 10 tables.

    .venv/bin/python bench/load.py [tables] [rounds] [--chain LENGTH] [--alone]

Ours: `domain.yaml`, SQL files and ODCS contracts of four columns and a rule, in a temporary folder, through
`mesh_assets.orchestration.load`. By hand: `@dg.asset` and three blocking `@dg.asset_check` each, on the same inputs. Each in
two sizes: with a job for everything and one per domain with everything downstream (ours: sensors as well), and assets and
checks alone; `--alone` measures only these, and by hand once more with as much said of each asset as ours says (columns, owners, tags);
`--inputs` measures ours with and without the check that every input of a domain has, `schema_compatible_with_…`.
Each side runs in fresh processes, in turn; CPU seconds, for a busy machine changes them less than wall time.

Claim, for 1,000 tables: in both sizes ours costs no more than by hand, from the files to the snapshot that Dagster's code server sends. A chain,
in which each table reads the one before it, has to load as well.
"""

import argparse
import gc
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PER_DOMAIN = 10
TESTS = 3
CLAIMED = 1000  # tables; for a handful of them the imports are what counts
IMPLIED = 2  # a contract's columns are there, and have their types
STEPS = ("import", "read the files", "build", "resolve", "snapshot")
DOMAIN = """\
domain: {name}
title: Domain {number}
purpose: Generated, to measure loading.
team: {{name: team-{number}, owner: team-{number}@pharma.example}}
{inputs}outputs:
  - port: {port}
automation: eager
"""
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {name}
version: 1.0.0
status: active
description: {{purpose: "One row per entry."}}
schema:
  - name: {table}
    logicalType: object
    properties:
      - {{name: id, logicalType: integer, description: Number of the entry.}}
      - {{name: kind, logicalType: string, description: What it is.}}
      - {{name: amount, logicalType: number, physicalType: "DECIMAL(18,2)", description: In US dollars.}}
      - {{name: day, logicalType: date, description: When it was entered.}}
    quality:
"""
QUALITY = "      - {{id: rule_{number}, metric: rowCount, mustBeGreaterThan: {number}, description: Enough rows.}}\n"


def inputs_of(index: int) -> list[int]:
    """Numbers of the tables that a table reads: a tree of domains, each of which is a short chain."""
    number, place = divmod(index, PER_DOMAIN)
    if place:
        return [index - 1]
    return [((number - 1) // 2) * PER_DOMAIN + PER_DOMAIN - 1] if number else []


def chained(index: int) -> list[int]:
    """Each table reads the one before it."""
    return [index - 1] if index else []


def name_of(index: int) -> str:
    """`domain.table`."""
    return f"domain_{index // PER_DOMAIN:04}.table_{index:05}"


# -- ours ---------------------------------------------------------------------------------------------------------------


def write(root: Path, tables: int, reads: object) -> None:
    """Write the mesh: every table with a contract of three rules; the last of a domain is its port."""
    (root / "mesh.yaml").write_text("mesh: generated\n")
    for first in range(0, tables, PER_DOMAIN):
        own = range(first, min(first + PER_DOMAIN, tables))
        name = name_of(first).partition(".")[0]
        folder = root / "domains" / name
        (folder / "contracts").mkdir(parents=True)
        (folder / "sql").mkdir()
        foreign = [name_of(index) for index in reads(first)]
        inputs = "".join(["inputs:\n", *(f"  - port: {port}\n" for port in foreign)]) if foreign else ""
        port = name_of(own[-1]).partition(".")[2]
        (folder / "domain.yaml").write_text(
            DOMAIN.format(name=name, number=first // PER_DOMAIN, inputs=inputs, port=port)
        )
        for index in own:
            _write_table(folder, name_of(index), [name_of(read) for read in reads(index)])


def _write_table(folder: Path, table: str, reads: Sequence[str]) -> None:
    short = table.partition(".")[2]
    query = (
        f"select * from {reads[0]}\n" if reads else "select 1 as id, 'a' as kind, 1.5 as amount, current_date as day\n"
    )
    (folder / "sql" / f"{short}.sql").write_text(query)
    rules = "".join(QUALITY.format(number=number) for number in range(TESTS - IMPLIED))
    text = CONTRACT.format(name=table.replace(".", "-"), table=short) + rules
    (folder / "contracts" / f"{short}.odcs.yaml").write_text(text)


def ours(root: str, _tables: int, _reads: object, *, jobs: bool = True) -> None:
    """The mesh's own way, step by step."""
    watch = Watch()
    from mesh_assets.orchestration import load

    watch.done("import")
    mesh = load.read(Path(root))
    watch.done("read the files")
    definitions = load.loaded(mesh).definitions
    if not jobs:
        definitions = _assets_alone(definitions)
    watch.done("build")
    finish(watch, definitions)


def ours_alone(root: str, tables: int, reads: object) -> None:
    """The same without jobs and sensors."""
    ours(root, tables, reads, jobs=False)


def ours_without_inputs_checks(root: str, tables: int, reads: object) -> None:
    """The same without the check that every input of a domain has."""
    from mesh_assets.orchestration import compatible

    compatible.check_keys = lambda *_: {}
    ours(root, tables, reads)


def _assets_alone(whole: object) -> object:
    import dagster as dg

    return dg.Definitions(assets=whole.assets, asset_checks=whole.asset_checks, resources=whole.resources)


# -- by hand ------------------------------------------------------------------------------------------------------------


def by_hand(_root: str, tables: int, reads: object, *, jobs: bool = False, made: object = None) -> None:
    """What a person would write, in a loop."""
    watch = Watch()
    import dagster as dg

    watch.done("import")
    keys = [dg.AssetKey(name_of(index).split(".")) for index in range(tables)]
    assets, checks = [], []
    for index, key in enumerate(keys):
        assets.append((made or _asset)(dg, key, [keys[read] for read in reads(index)]))
        checks += [_check(dg, key, number) for number in range(TESTS)]
    groups = sorted({key.path[0] for key in keys}) if jobs else []
    refreshes = [
        dg.define_asset_job(f"{group}_and_downstream", dg.AssetSelection.groups(group).downstream()) for group in groups
    ]
    if jobs:
        refreshes.append(dg.define_asset_job("refresh", dg.AssetSelection.all()))
    definitions = dg.Definitions(assets=assets, asset_checks=checks, jobs=refreshes)
    watch.done("build")
    finish(watch, definitions)


def by_hand_in_full(root: str, tables: int, reads: object) -> None:
    """The same, with as much said of each asset as the contract says: what is kept of it is Dagster's."""
    by_hand(root, tables, reads, made=_asset_in_full)


def by_hand_with_jobs(root: str, tables: int, reads: object) -> None:
    """The same, with a job for everything and one per domain with everything downstream."""
    by_hand(root, tables, reads, jobs=True)


def _asset(dg: object, key: object, reads: Sequence[object]) -> object:
    @dg.asset(key=key, deps=reads, group_name=key.path[0], description="One row per entry.", kinds={"sql"})
    def made() -> None: ...

    return made


def _asset_in_full(dg: object, key: object, reads: Sequence[object]) -> object:
    columns = [
        dg.TableColumn(name, kind, description=told)
        for name, kind, told in (
            ("id", "BIGINT", "Number of the entry."),
            ("kind", "VARCHAR", "What it is."),
            ("amount", "DECIMAL(18,2)", "In US dollars."),
            ("day", "DATE", "When it was entered."),
        )
    ]
    name = ".".join(key.path)
    about = {
        "dagster/table_name": name,
        "dagster/column_schema": dg.TableSchema(columns),
        "contract": f"{name} 1.0.0",
        "toolchain": "sql",
    }

    @dg.asset(
        key=key,
        deps=reads,
        group_name=key.path[0],
        description=f"One row per entry.\n\n**Private table** of *Domain*, owned by {key.path[0]}.",
        kinds={"sql", "ducklake"},
        owners=[f"{key.path[0]}@pharma.example"],
        tags={"role": "private"},
        metadata=about,
        code_version=f"{hash(name):x}"[:16],
    )
    def made() -> None: ...

    return made


def _check(dg: object, key: object, number: int) -> object:
    @dg.asset_check(asset=key, name=f"rule_{number}", blocking=True, description="Enough rows.")
    def check() -> object:
        return dg.AssetCheckResult(passed=True)

    return check


# -- measuring ----------------------------------------------------------------------------------------------------------


class Watch:
    """CPU seconds of the steps of one process."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.last = time.process_time()

    def done(self, step: str) -> None:
        """A step ends here."""
        now = time.process_time()
        self.seconds[step] = now - self.last
        self.last = now


def finish(watch: Watch, definitions: object) -> None:
    """What Dagster does with definitions when a code location is loaded; then the figures, as JSON."""
    from dagster._core.remote_representation.external_data import RepositorySnap
    from dagster_shared.serdes import serialize_value

    watch.last = time.process_time()
    repository = definitions.get_repository_def()
    size = len(repository.asset_graph.get_all_asset_keys()), len(repository.asset_graph.asset_check_keys)
    jobs = repository.get_all_jobs()
    watch.done("resolve")
    # As Dagster's code server does it: jobs are told by name, and in full when somebody opens one.
    snap = serialize_value(RepositorySnap.from_def(repository, defer_snapshots=True))
    watch.done("snapshot")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size_of_snapshot = len(snap) / 1e6
    del snap
    gc.collect()
    kept = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
    told = {
        "assets": size[0],
        "checks": size[1],
        "jobs": len(jobs),
        "snapshot_mb": size_of_snapshot,
        "memory_mb": memory,
        "kept_mb": kept,
    }
    print(json.dumps({**watch.seconds, **told}))


SIDES = {
    "ours": ours,
    "by hand": by_hand_with_jobs,
    "ours, assets alone": ours_alone,
    "by hand, assets alone": by_hand,
    "by hand, as much said": by_hand_in_full,
    "ours, without checks of inputs": ours_without_inputs_checks,
}
PAIRS = (("ours", "by hand"), ("ours, assets alone", "by hand, assets alone"))
ALONE = (("ours, assets alone", "by hand, assets alone"), ("ours, assets alone", "by hand, as much said"))
INPUTS = (("ours", "ours, without checks of inputs"),)


def measured(side: str, root: str, tables: int, *, chain: bool = False) -> dict[str, float]:
    """One side in a fresh process; empty when it did not load."""
    command = [
        sys.executable,
        __file__,
        "--side",
        side,
        "--root",
        root,
        str(tables),
        *(["--chain", "1"] if chain else []),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1][:100]}
    return {"read the files": 0.0, **json.loads(done.stdout)}


def main(tables: int, rounds: int, chain: int, *, only: Sequence[tuple[str, str]] = ()) -> int:
    """Write the mesh, measure the sides in turn, print the table; 1 when the claim does not hold."""
    with tempfile.TemporaryDirectory() as root:
        write(Path(root), tables, inputs_of)
        pairs = only or PAIRS
        found = {side: [] for pair in pairs for side in pair}
        for _ in range(rounds):
            for side, runs in found.items():
                runs.append(measured(side, root, tables))
    middle = {side: _median(runs) for side, runs in found.items()}
    sizes = {side: tuple(int(one[what]) for what in ("assets", "checks", "jobs")) for side, one in middle.items()}
    print(f"{tables} tables with {TESTS} checks each; CPU seconds, median of {rounds} fresh processes each\n")
    _print_table(middle, pairs)
    print("\n" + "\n".join(f"{side}: {a} assets, {c} checks, {j} jobs" for side, (a, c, j) in sizes.items()))
    if only:
        return 0
    print("\n" + "\n".join(_chains(chain)))
    if tables < CLAIMED:
        return 0
    held = all(_total(middle[one]) <= _total(middle[other]) for one, other in PAIRS)
    print(f"\nclaim {'holds' if held else 'DOES NOT HOLD'}: ours ≤ by hand, from the files to the snapshot")
    return int(not held)


def _median(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {what: statistics.median(run[what] for run in runs) for what in runs[0]}


def _total(one: dict[str, float]) -> float:
    return sum(one[step] for step in STEPS if step != "import")


def _print_table(middle: dict[str, dict[str, float]], pairs: Sequence[tuple[str, str]]) -> None:
    heads = [head for one, other in pairs for head in (one, other, "ratio")]
    print("| | " + " | ".join(heads) + " |\n|---|" + "--:|" * len(heads))
    for step in (*STEPS, "memory_mb", "kept_mb", "snapshot_mb"):
        _print_row(step.replace("_mb", ", MB"), {side: one[step] for side, one in middle.items()}, pairs)
    _print_row(
        "without reading the files", {side: _total(one) - one["read the files"] for side, one in middle.items()}, pairs
    )
    _print_row("**from the files to the snapshot**", {side: _total(one) for side, one in middle.items()}, pairs)


def _print_row(what: str, values: dict[str, float], pairs: Sequence[tuple[str, str]]) -> None:
    cells = [
        cell
        for one, other in pairs
        for cell in (_figure(values[one]), _figure(values[other]), _ratio(values, one, other))
    ]
    print(f"| {what} | " + " | ".join(cells) + " |")


def _figure(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _ratio(values: dict[str, float], one: str, other: str) -> str:
    return f"{values[one] / values[other]:.2f}" if values[other] else ""


def _chains(length: int) -> list[str]:
    """Whether a chain of so many tables loads. Dagster's order is that of a set, so that it may go well or not: three tries."""
    hand, tries = "by hand, assets alone", 3
    told = []
    with tempfile.TemporaryDirectory() as root:
        write(Path(root), length, chained)
        for side, size in (("ours", length), (hand, length), (hand, length * 2 // 5)):
            runs = [measured(side, root, size, chain=True) for _ in range(tries)]
            good = [run for run in runs if "error" not in run]
            seconds = f", {statistics.median(map(_total, good)):.2f} CPU s" if good else ""
            errors = sorted({str(run["error"]) for run in runs if "error" in run})
            told.append("; ".join([f"{side}: a chain of {size} loads {len(good)} times of {tries}{seconds}", *errors]))
    return told


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("tables", type=int, nargs="?", default=1000)
    arguments.add_argument("rounds", type=int, nargs="?", default=5)
    arguments.add_argument("--chain", type=int, default=1000)
    arguments.add_argument("--alone", action="store_const", const=ALONE, dest="only", default=())
    arguments.add_argument("--inputs", action="store_const", const=INPUTS, dest="only")
    arguments.add_argument("--side", choices=SIDES)
    arguments.add_argument("--root", default="")
    given = arguments.parse_args()
    if given.side:
        SIDES[given.side](given.root, given.tables, chained if given.chain == 1 else inputs_of)
    else:
        raise SystemExit(main(given.tables, given.rounds, given.chain, only=given.only))
