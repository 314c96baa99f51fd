"""dbt's tests on dbt-duckdb, over the Parquet file."""

import json
import subprocess
import sys
from pathlib import Path

from common import COUNTRIES, FIRST, LAST, LONGEST, PATTERNS, RANGES, REQUIRED, STATES, files, measured

orders, customers, folder = files()
SOURCE = "{{ source('raw', 'orders') }}"
wrong = {
    **{f"{name}__range": f"{name} < {low} or {name} > {high}" for name, (low, high) in RANGES.items()},
    **{f"{name}__pattern": f"not regexp_matches({name}, '{pattern}')" for name, pattern in PATTERNS.items()},
    "note__length": f"length(note) > {LONGEST}",
    "ordered_on__range": f"ordered_on < date '{FIRST}' or ordered_on > date '{LAST}'",
    "shipped_on__order": "shipped_on < ordered_on",
}


def column(name: str) -> dict[str, object]:
    """dbt's own tests of one column."""
    tests: list[object] = [{"not_null": {"name": f"{name}__required"}}] if name in REQUIRED else []
    if name == "order_id":
        tests.append({"unique": {"name": "order_id__unique"}})
    if allowed := {"country": COUNTRIES, "status": STATES}.get(name):
        tests.append({"accepted_values": {"name": f"{name}__in", "arguments": {"values": allowed}}})
    if name == "customer_id":
        to = {"to": "source('raw', 'customers')", "field": "id"}
        tests.append({"relationships": {"name": "customer_id__reference", "arguments": to}})
    return {"name": name, "data_tests": tests}


(folder / "tests").mkdir(exist_ok=True)
(folder / "models").mkdir(exist_ok=True)
for name, sql in wrong.items():
    (folder / "tests" / f"{name}.sql").write_text(f"select * from {SOURCE} where {sql}")
(folder / "tests" / "rows.sql").write_text(f"select 1 from {SOURCE} having count(*) = 0")
(folder / "dbt_project.yml").write_text("name: peers\nversion: 1.0.0\nprofile: peers\n")
profile = {"peers": {"target": "dev", "outputs": {"dev": {"type": "duckdb", "path": ":memory:", "threads": 2}}}}
(folder / "profiles.yml").write_text(json.dumps(profile))
tables = [
    {"name": "orders", "meta": {"external_location": str(orders)}, "columns": [column(n) for n in [*REQUIRED]]},
    {"name": "customers", "meta": {"external_location": str(customers)}},
]
sources = {"version": 2, "sources": [{"name": "raw", "tables": tables}]}
(folder / "models" / "sources.yml").write_text(json.dumps(sources))


def work() -> dict[str, int]:
    """The command, in a process of its own."""
    program = Path(sys.executable).with_name("dbt")
    command = [str(program), "--no-send-anonymous-usage-stats", "test", "--project-dir", str(folder)]
    subprocess.run([*command, "--profiles-dir", str(folder)], check=False, capture_output=True, cwd=folder)
    results = json.loads((folder / "target" / "run_results.json").read_text())["results"]
    if errors := [one["message"] for one in results if one["status"] == "error"]:
        raise SystemExit("\n".join(errors))
    return {one["unique_id"].split(".")[2]: one["failures"] or 0 for one in results}


measured(work, children=True)
