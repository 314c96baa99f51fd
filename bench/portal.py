"""How long a page of the portal takes: `python bench/portal.py [DOMAINS] [TABLES PER DOMAIN] [TIMES]`.

Every page is asked for again and again of one application, within this process; what is said is CPU time. The first look at
a mesh, which reads all of its files, is on a line of its own.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from mesh_assets.environment import Environment
from mesh_assets.ledger import Version
from mesh_assets.mesh import read_mesh
from mesh_assets.portal import pages, render
from mesh_assets.portal.app import LiveLinks
from mesh_assets.portal.site import Site
from mesh_assets.settings import Settings
from mesh_assets.store import now

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {table}
version: 1.0.0
status: active
schema:
  - name: {table}
    properties:
      - {{name: id, logicalType: integer, physicalType: BIGINT, required: true, description: An id}}
      - {{name: amount, logicalType: integer, physicalType: BIGINT, description: An amount}}
slaProperties:
  - {{property: frequency, value: 1, unit: d}}
"""


def main(domains: int, tables: int, times: int) -> None:
    """Print one line per page."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, domains, tables)
        settings = Settings(home=root / ".mesh", dir=root, lake_catalog="", lake_data="")
        record(root, settings)
        site = Site(root, settings, dagster="")
        began = time.process_time()
        site.view()
        print(f"{domains} domains, {domains * tables} tables; first look {1000 * (time.process_time() - began):.0f} ms")
        asked = [
            "/mesh/",
            "/mesh/?page=2",
            "/mesh/tables",
            "/mesh/status",
            "/mesh/domains/d0",
            "/mesh/domains/d0/tests",
        ]
        asked += [f"/mesh/domains/d0/t1/{word}" for word in ("where", "when", "with", "how")]
        print("| page | median ms | p95 ms |\n|---|---|---|")
        for path in asked:
            taken = sorted(measured(site, path) for _ in range(times))
            print(f"| {path} | {statistics.median(taken):.0f} | {taken[int(0.95 * (len(taken) - 1))]:.0f} |")


def measured(site: Site, path: str) -> float:
    """CPU milliseconds of one page, from the look at the mesh to the text."""
    began = time.process_time()
    view = site.view()
    bare, _, query = path.partition("?page=")
    page = pages.find(view, bare, {"page": query} if query else {})
    render.html(
        page, LiveLinks(site), mesh_title="bench", read_only=False, refresh=False, root_dagster="", query={}, snapshot=1
    )
    return 1000 * (time.process_time() - began)


def write(root: Path, domains: int, tables: int) -> None:
    """A chain of domains, each reading the one before."""
    (root / "mesh.yaml").write_text("mesh: bench\n")
    for number in range(domains):
        home = root / "domains" / f"d{number}"
        (home / "sql").mkdir(parents=True)
        (home / "contracts").mkdir()
        inputs = f"inputs: [{{port: d{number - 1}.t0}}]\n" if number else ""
        (home / "domain.yaml").write_text(f"domain: d{number}\nteam: {{name: t}}\n{inputs}outputs: [{{port: t0}}]\n")
        for table in range(tables):
            above = f"d{number}.t{table - 1}" if table else f"d{number - 1}.t0" if number else ""
            query = f"select id, amount from {above}" if above else "select 1::bigint as id, 2::bigint as amount"
            (home / "sql" / f"t{table}.sql").write_text(query)
            (home / "contracts" / f"t{table}.odcs.yaml").write_text(CONTRACT.format(table=f"t{table}"))


def record(root: Path, settings: Settings) -> None:
    """As if every table had been published."""
    mesh = read_mesh(root)
    env = Environment.open(mesh, settings)
    head = env.lake.head()
    made = {"rows": 1, "columns": [["id", "BIGINT"], ["amount", "BIGINT"]], "tests": {"pass": 3, "warn": 0, "fail": 0}}
    env.ledger.index(
        Version(
            table=name, version=head, run="run", at=now(),
            record={**made, "tried": {}, "code": table.code, "contract": "", "inputs": {}, "generation": {}, "fingerprint": "1-1-1", "seconds": 1.0},
        )
        for name, table in mesh.tables.items()
    )  # fmt: skip


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*(given + [100, 20, 20][len(given) :]))
