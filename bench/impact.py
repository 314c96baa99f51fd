"""What does it cost to know whom a change of one column hits? In a mesh of 10,000 tables, and with the readers' tests run.

    .venv/bin/python bench/impact.py [TABLES] [--rounds 3] [--changes 40] [--run TABLES]

A generated mesh: domains of 20 tables, every second one a dbt project, three inputs each from earlier domains; joins, unions,
windows, subqueries, `select *`; a contract for every port. All of it is published, as the ledger has it: a real lake and
ledger, in a temporary folder. Every change is asked about in a process of its own that has read the mesh's files and nothing
else: with nothing kept from before (cold), and with what was read kept by its content (warm). What reading the files takes
is told apart. `--base` is asked once more in a process that was started for it, from the command line to the answer.

Then a smaller mesh is really built, and `mesh impact --run` asked about its ports: the readers' SQL and tests on candidate rows.

Claims, for 10,000 tables: at most 1 second warm, and 60 cold, in 95 % of changes drawn at random; `--run` at 400 tables:
at most 60 seconds in 95 % of them.
"""

import argparse
import importlib
import json
import math
import multiprocessing
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PER_DOMAIN = 20
PORTS = 4
WARM, COLD, RUN = 1.0, 60.0, 60.0  # seconds
COLUMNS = {
    "id": "INTEGER",
    "day": "DATE",
    "kind": "VARCHAR",
    "amount": "DECIMAL(18,2)",
    "number": "INTEGER",
    "place": "VARCHAR",
    "rate": "DOUBLE",
    "note": "VARCHAR",
}
DOMAIN = """\
domain: {name}
title: Domain {name}
purpose: Generated, to measure what a change costs.
team: {{name: team-{name}, owner: team-{name}@pharma.example}}
{inputs}outputs:
{ports}automation: eager
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
      - {{name: id, logicalType: integer, physicalType: INTEGER, required: true}}
      - {{name: day, logicalType: date, physicalType: DATE}}
      - {{name: kind, logicalType: string}}
      - {{name: amount, logicalType: number, physicalType: "DECIMAL(18,2)", logicalTypeOptions: {{minimum: 0}}}}
      - {{name: number, logicalType: integer, physicalType: INTEGER}}
      - {{name: place, logicalType: string}}
      - {{name: rate, logicalType: number, physicalType: DOUBLE}}
      - {{name: note, logicalType: string}}
    quality:
      - {{id: has_rows, metric: rowCount, mustBeGreaterThan: 0}}
"""
PROJECT = """\
name: {name}
version: "1.0.0"
config-version: 2
profile: {name}
model-paths: [models]
models:
  {name}:
    staging: {{+materialized: ephemeral}}
    tables: {{+materialized: table}}
"""
ROOT = """\
select
    i::INTEGER as id,
    date '2026-01-01' + (i % 300)::INTEGER as day,
    'k' || (i % 7) as kind,
    (i % 1000)::DECIMAL(18,2) as amount,
    (i % 97)::INTEGER as number,
    'p' || (i % 11) as place,
    (i % 13)::DOUBLE as rate,
    'note ' || i as note
from range(200) as made(i)
"""
FORMS = (
    "select * from {a}\nwhere amount >= 0",
    """\
with recent as (
    select * from {a} where day >= date '2020-01-01'
)
select id, day, kind, amount, number, place, rate, note
from recent
qualify row_number() over (partition by id order by day desc) = 1""",
    """\
select
    l.id,
    l.day,
    upper(l.kind) as kind,
    l.amount + coalesce(r.amount, 0) as amount,
    r.number,
    l.place,
    case when r.rate > 1 then r.rate else l.rate end as rate,
    l.note
from {a} as l
left join {b} as r on r.id = l.id and r.day = l.day""",
    """\
select id, day, kind, amount, number, place, rate, note from {a}
union all
select id, day, kind, amount, number, place, rate, note from {b}""",
    """\
select
    id,
    max(day) as day,
    any_value(kind) as kind,
    sum(amount)::DECIMAL(18,2) as amount,
    count(*)::INTEGER as number,
    max(place) as place,
    avg(number) as rate,
    string_agg(distinct kind, ',') as note
from {a}
where id in (select id from {b} where amount is not null)
group by id""",
    """\
select id, day, kind, amount, number, place, rate, kind || ' in ' || place as note
from (select * exclude (note) from {a}) as inner_one
where not exists (select 1 from {b} as other where other.id = inner_one.id and other.day > inner_one.day and other.rate < 0)""",
)


@dataclass(frozen=True)
class Made:
    """A table of the generated mesh."""

    name: str
    reads: tuple[str, ...]
    form: int
    dbt: bool

    @property
    def domain(self) -> str:
        return self.name.partition(".")[0]

    @property
    def short(self) -> str:
        return self.name.partition(".")[2]


def planned(tables: int, *, dbt: bool, seed: int = 7) -> list[Made]:
    """Domains that read two to four ports of earlier ones; within, each table reads one or two that came before it."""
    pick = random.Random(seed)
    found: list[Made] = []
    for number in range(tables // PER_DOMAIN):
        domain = f"d{number:03}"
        foreign = (
            [f"d{pick.randrange(number):03}.t{PER_DOMAIN - 1 - pick.randrange(PORTS):02}" for _ in range(3)]
            if number
            else []
        )
        own: list[str] = []
        for place in range(PER_DOMAIN):
            readable = sorted({*foreign, *own[-6:]})
            if foreign and place < len(foreign):
                reads = (foreign[place], pick.choice(readable))
            else:
                reads = tuple(pick.choice(readable) for _ in range(2)) if readable else ()
            form = pick.randrange(len(FORMS)) if reads else -1
            single = form in (0, 1)
            found.append(
                Made(
                    f"{domain}.t{place:02}",
                    tuple(dict.fromkeys(reads[:1] if single else reads)),
                    form,
                    dbt and number % 2 == 1,
                )
            )
            own.append(found[-1].name)
    return found


def write(root: Path, tables: Sequence[Made]) -> None:
    """The mesh's files."""
    (root / "mesh.yaml").write_text("mesh: generated\n")
    by_domain: dict[str, list[Made]] = {}
    for table in tables:
        by_domain.setdefault(table.domain, []).append(table)
    for domain, own in by_domain.items():
        folder = root / "domains" / domain
        (folder / "contracts").mkdir(parents=True)
        foreign = sorted({name for table in own for name in table.reads if not name.startswith(f"{domain}.")})
        inputs = "".join(["inputs:\n", *(f"  - port: {name}\n" for name in foreign)]) if foreign else ""
        ports = own[-PORTS:]
        listed = "".join(f"  - port: {table.short}\n" for table in ports)
        (folder / "domain.yaml").write_text(DOMAIN.format(name=domain, inputs=inputs, ports=listed))
        for table in ports:
            (folder / f"contracts/{table.short}.odcs.yaml").write_text(
                CONTRACT.format(name=table.name.replace(".", "-"), table=table.short)
            )
        (_write_dbt if own[0].dbt else _write_sql)(root, folder, own, foreign)


def _sql(table: Made, spelt: Callable[[str], str]) -> str:
    if not table.reads:
        return ROOT
    return FORMS[table.form].format(a=spelt(table.reads[0]), b=spelt(table.reads[-1])) + "\n"


def _write_sql(_root: Path, folder: Path, own: Sequence[Made], _foreign: Sequence[str]) -> None:
    (folder / "sql").mkdir()
    for table in own:
        (folder / f"sql/{table.short}.sql").write_text(_sql(table, str))


def _write_dbt(root: Path, folder: Path, own: Sequence[Made], foreign: Sequence[str]) -> None:
    """A staging model for each input, as dbt's own style guide wants it; the tables read those."""
    place = root / "dbt_projects" / folder.name
    for name in ("staging", "tables"):
        (place / "models" / name).mkdir(parents=True)
    (place / "dbt_project.yml").write_text(PROJECT.format(name=folder.name))
    sources: dict[str, list[str]] = {}
    for name in foreign:
        domain, _, short = name.partition(".")
        sources.setdefault(domain, []).append(short)
        text = (
            f"select id, day, kind, amount, number, place, rate, note\nfrom {{{{ source('{domain}', '{short}') }}}}\n"
        )
        (place / f"models/staging/stg_{domain}_{short}.sql").write_text(text)
    told = [{"name": domain, "tables": [{"name": short} for short in shorts]} for domain, shorts in sources.items()]
    (place / "models/sources.yml").write_text(json.dumps({"version": 2, "sources": told}))

    def spelt(name: str) -> str:
        domain, _, short = name.partition(".")
        return f"{{{{ ref('{short if domain == folder.name else f'stg_{domain}_{short}'}') }}}}"

    for table in own:
        (place / f"models/tables/{table.short}.sql").write_text(_sql(table, spelt))


def publish(root: Path) -> None:
    """One real version, so that the lake has one; the ledger's index says the same of all other tables."""
    from mesh_assets.lake import Mode, Publication
    from mesh_assets.ledger import Version

    env = opened(root)
    record = {"fingerprint": "1", "columns": [list(column) for column in COLUMNS.items()], "rows": 200, "inputs": {}}
    first, *others = env.mesh.tables
    with env.lake.session() as con:
        staged = env.lake.stage(con, first, ROOT)
        env.lake.publish(con, [Publication(staged=staged, record=record, mode=Mode.REPLACE)], run="bench", pin=0)
    env.sync()
    env.ledger.index(
        Version(table=name, version=env.lake.head(), run="bench", at="2026-01-01T00:00:00.000000+00:00", record=record)
        for name in others
    )


def opened(root: Path) -> object:
    """The environment."""
    from mesh_assets.environment import Environment
    from mesh_assets.mesh import read_mesh
    from mesh_assets.settings import Settings

    return Environment.open(read_mesh(root), Settings(home=root / ".mesh", dir=root))


# -- measuring ----------------------------------------------------------------------------------------------------------

Question = Mapping[str, object]


def questions(tables: Sequence[Made], changes: int) -> dict[str, list[Question]]:
    """What is asked: of ports drawn at random, and of the one with the most tables behind it."""
    behind = _behind(tables)
    ports = [one.name for one in tables if int(one.short[1:]) >= PER_DOMAIN - PORTS and behind[one.name]]
    pick = random.Random(11)
    most = max(ports, key=lambda name: (behind[name], name))
    return {
        f"{changes} drawn at random": [_asked(pick, pick.choice(ports)) for _ in range(changes)],
        "drop `number`, the port with the most behind it": [{"port": most, "drop": ["number"]}],
        "rename `place`, the same port": [{"port": most, "rename": ["place=site"]}],
        "widen `number`, the same port": [{"port": most, "retype": ["number:BIGINT"]}],
    }


def _asked(pick: random.Random, port: str) -> Question:
    """A column dropped, renamed, widened or of quite another type."""
    name = pick.choice(["kind", "amount", "number", "place", "rate", "note"])
    return pick.choice(
        [
            {"port": port, "drop": [name]},
            {"port": port, "rename": [f"{name}=new_{name}"]},
            {"port": port, "retype": ["number:BIGINT"]},
            {"port": port, "retype": [f"{name}:BLOB"]},
        ]
    )


def _behind(tables: Sequence[Made]) -> Mapping[str, int]:
    """How many tables are behind each."""
    readers: dict[str, list[str]] = {}
    for table in tables:
        for name in table.reads:
            readers.setdefault(name, []).append(table.name)
    reach: dict[str, frozenset[str]] = {}
    for table in reversed(tables):
        after = readers.get(table.name, [])
        reach[table.name] = frozenset(after).union(*(reach[name] for name in after))
    return {name: len(found) for name, found in reach.items()}


def in_a_fork(work: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What comes out of a process that knows what this one has imported and read, and nothing else; with its cost."""
    ours, theirs = multiprocessing.Pipe(duplex=False)

    def run() -> None:
        begun, cpu = time.perf_counter(), time.process_time()
        found = work()
        theirs.send({**found, "cpu": time.process_time() - cpu, "wall": time.perf_counter() - begun})

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join()


def answered(root: Path, mesh: object, question: Question, *, run: bool = False) -> dict[str, float]:
    """One answer, and how many it found to be hit."""
    from mesh_assets.changes.ask import told
    from mesh_assets.environment import Environment
    from mesh_assets.settings import Settings

    env = Environment.open(mesh, Settings(home=root / ".mesh", dir=root))
    _, report = told(env, **question, run=run)
    tests = sum(sum(one["tests"].values()) for one in report["readers"] if one["tests"])
    return {"tables": len(report["order"]), "domains": sum(one["hit"] for one in report["readers"]), "tests": tests}


def forget(root: Path) -> None:
    """What was kept by content is there no longer."""
    shutil.rmtree(root / ".mesh" / "cache", ignore_errors=True)


def imported() -> None:
    """All that an answer needs: what it costs to import is measured by bench/load.py."""
    for name in ("duckdb", "jinja2", "mesh_assets.changes.ask", "mesh_assets.environment", "mesh_assets.mesh"):
        importlib.import_module(name)


def spread(runs: Sequence[Mapping[str, float]], key: str) -> tuple[float, float, float]:
    """The median, what 95 % do not exceed, and the most."""
    values = sorted(run[key] for run in runs)
    return statistics.median(values), values[math.ceil(0.95 * len(values)) - 1], values[-1]


def cells(runs: Sequence[Mapping[str, float]], key: str) -> str:
    """The spread in words; the median alone where one thing was measured more than once."""
    middle, most, all_ = spread(runs, key)
    return f"{middle:.2f}, {most:.2f}, {all_:.2f}"


def columns(tables: int, rounds: int, changes: int) -> bool:
    """Whom a change hits, in a large mesh; whether the claims hold."""
    from mesh_assets.mesh import read_mesh

    with tempfile.TemporaryDirectory() as folder:
        root, made = Path(folder), planned(tables, dbt=True)
        write(root, made)
        publish(root)
        cpu = time.process_time()
        mesh = read_mesh(root)
        reading = time.process_time() - cpu
        print(
            f"{len(made)} tables in {len(made) // PER_DOMAIN} domains, half of them dbt; CPU seconds: median, 95 %, most\n"
        )
        print("| change | tables hit | cold | warm |\n|---|--:|--:|--:|")
        holds = True
        for what, asked in questions(made, changes).items():
            cold, warm = [], []
            for question in asked * (rounds if len(asked) == 1 else 1):
                forget(root)
                cold.append(in_a_fork(lambda one=question: answered(root, mesh, one)))
                warm.append(in_a_fork(lambda one=question: answered(root, mesh, one)))
            hit = [int(number) for number in spread(warm, "tables")]
            print(f"| {what} | {hit[0]} to {hit[2]} | {cells(cold, 'cpu')} | {cells(warm, 'cpu')} |", flush=True)
            if len(asked) > 1:
                holds = spread(cold, "cpu")[1] <= COLD and spread(warm, "cpu")[1] <= WARM
        print(f"\nreading the mesh's files: {reading:.1f} CPU s")
        since_a_ref(root, made)
    return holds


def since_a_ref(root: Path, made: Sequence[Made]) -> None:
    """The same from the command line, against a git ref: two meshes are read, and one table is another."""
    git = ["git", "-C", str(root), "-c", "user.name=bench", "-c", "user.email=bench@example.com"]
    (root / ".gitignore").write_text(".mesh\n")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    behind = _behind(made)
    table = next(
        one
        for one in made[len(made) // 2 :]
        if not one.dbt and behind[one.name] and int(one.short[1:]) >= PER_DOMAIN - PORTS
    )
    path = root / f"domains/{table.domain}/sql/{table.short}.sql"
    path.write_text(f"select * exclude (note) from (\n{path.read_text().rstrip()}\n) as made\n")
    told = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "mesh_assets.cli", "impact", "--mesh", str(root), "--base", "HEAD", "--json"],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        report = json.loads(done.stdout)
        told.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    print(
        f"`mesh impact --base HEAD`, all in all: {told[0]:.1f} CPU s, once more {told[1]:.1f}; "
        f"{len(report['changes'])} changes, {len(report['order'])} tables hit"
    )


def with_tests(tables: int, changes: int) -> bool:
    """`mesh impact --run` in a mesh that is built; whether the claim holds."""
    from mesh_assets.mesh import read_mesh

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, planned(tables, dbt=False))
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "mesh_assets.cli", "run", "--mesh", str(root), "--json"],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
        print(
            f"\n{tables} tables, built in {time.perf_counter() - begun:.0f} s; then half of the domains become dbt projects"
        )
        for name in ("domains", "dbt_projects"):
            shutil.rmtree(root / name, ignore_errors=True)
        made = planned(tables, dbt=True)
        write(root, made)
        mesh = read_mesh(root)
        ((_, asked), *_) = questions(made, changes).items()
        runs = [in_a_fork(lambda one=one: answered(root, mesh, one, run=True)) for one in asked]
        print("| `--run`, changes drawn at random | median | 95 % | most |\n|---|--:|--:|--:|")
        for what, key in (
            ("seconds", "wall"),
            ("CPU seconds", "cpu"),
            ("tables hit", "tables"),
            ("tests run", "tests"),
        ):
            print(f"| {what} | " + " | ".join(f"{value:.1f}" for value in spread(runs, key)) + " |")
        return spread(runs, "wall")[1] <= RUN


def main() -> int:
    """Measure both; 1 when a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", type=int, nargs="?", default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--changes", type=int, default=40)
    parser.add_argument("--run", type=int, default=400, help="tables of the mesh that is really built")
    given = parser.parse_args()
    imported()
    held = [columns(given.tables, given.rounds, given.changes), with_tests(given.run, given.changes)]
    if given.tables >= 10_000:
        print(f"\nclaims {'hold' if all(held) else 'DO NOT HOLD'}")
        return int(not all(held))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
