"""How long does `mesh check` take on 1,000 generated domains with a contract each, in a fresh process?

    .venv/bin/python bench/check_1000.py [domains] [rounds]

Prints the median of the rounds; nothing is cached, interpreter start and imports are included. CPU seconds are printed
too, for on a busy machine they are the figure to trust. Claim: at most 3 seconds for 1,000 domains on two cores.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLAIM = 3.0  # seconds
CHECK = (
    "import sys; from pathlib import Path; from mesh_assets.mesh import examine; "
    "mesh, problems = examine(Path(sys.argv[1])); print(len(mesh.tables), len(problems))"
)
COLUMNS = 7

DOMAIN = """\
domain: {name}
title: Domain {number}
purpose: Generated, to measure reading.
team: {{name: team-{number}, owner: team-{number}@pharma.example, support: "https://chat.example/{number}"}}
inputs:
  - source: raw/entries/*.csv
  {port}
outputs:
  - port: result
    compatibility: backward
automation: eager
"""
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {name}-result
name: Result of domain {number}
version: 1.0.0
status: active
description: {{purpose: "One row per entry."}}
schema:
  - name: result
    logicalType: object
    description: One row per entry.
    properties:
      - name: entry_id
        logicalType: integer
        primaryKey: true
        primaryKeyPosition: 1
        required: true
{columns}
    quality:
      - id: has_rows
        metric: rowCount
        mustBeGreaterThan: 0
      - id: no_negative_sum
        type: sql
        query: select count(*) from {{table}} where entry_id < {number}
        mustBe: 0
slaProperties:
  - {{property: freshness, value: 2, unit: d}}
"""
COLUMN = """\
      - name: column_{index}
        logicalType: string
        description: The entry's text number {index}.
        logicalTypeOptions: {{pattern: '^[A-Z]{{2}}{number}-[0-9]+$', maxLength: {index}0}}
        quality:
          - metric: nullValues
            unit: percent
            mustBeLessThan: 5
            severity: warning
"""
SQL = """\
select e.*{more}
from entries as e
{join}
where e.entry_id >= {number}
"""


def write(root: Path, domains: int) -> None:
    """Write a mesh of a chain of domains, each reading the one before it."""
    (root / "mesh.yaml").write_text("mesh: generated\n")
    for number in range(domains):
        columns = "".join(COLUMN.format(index=index, number=number) for index in range(1, COLUMNS)).rstrip("\n")
        name, before = f"domain_{number:04}", f"domain_{number - 1:04}"
        folder = root / "domains" / name
        (folder / "contracts").mkdir(parents=True)
        (folder / "sql").mkdir()
        port = f"- port: {before}.result" if number else ""
        (folder / "domain.yaml").write_text(DOMAIN.format(name=name, number=number, port=port))
        (folder / "contracts" / "result.odcs.yaml").write_text(
            CONTRACT.format(name=name, number=number, columns=columns)
        )
        join = f"left join {before}.result as p on p.entry_id = e.entry_id" if number else ""
        (folder / "sql" / "result.sql").write_text(
            SQL.format(more=", p.column_1 as other" if number else "", join=join, number=number)
        )


def main(domains: int = 1000, rounds: int = 5) -> int:
    """Write the mesh, check it in fresh processes, print what came out; 1 when the claim does not hold."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), domains)
        lines = sum(len(path.read_text().splitlines()) for path in Path(folder).rglob("*.yaml"))
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            out = subprocess.run(
                [sys.executable, "-c", CHECK, folder], check=True, capture_output=True, text=True
            ).stdout
            seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (used.ru_utime + used.ru_stime) / rounds
    print(f"{domains} domains, {lines} lines of YAML: {median:.2f} s (median of {rounds}), {cpu:.2f} CPU s (mean)")
    print("rounds:", " ".join(f"{one:.2f}" for one in seconds))
    print(f"tables and problems: {out.strip()}")
    return int(median > CLAIM * domains / 1000)


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
