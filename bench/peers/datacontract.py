"""datacontract-cli: the twenty tests as an ODCS contract over the Parquet file."""

import json
import re
import subprocess
import sys
from pathlib import Path

from common import COUNTRIES, FIRST, LAST, LONGEST, PATTERNS, RANGES, REQUIRED, STATES, files, measured

orders, customers, folder = files()
KINDS = {
    "order_id": "integer",
    "customer_id": "integer",
    "quantity": "integer",
    "price": "number",
    "discount": "number",
}
KINDS |= {"ordered_on": "date", "shipped_on": "date"}
COLUMNS = ["order_id", "customer_id", "country", "email", "sku", "quantity", "price", "discount", "ordered_on"]
COUNT = re.compile(r" was (\d+)")  # as in `Actual missing_count(country) was 2, expected = 0`
COLUMNS += ["shipped_on", "status", "note"]


def column(name: str) -> dict[str, object]:
    """One column with its tests."""
    one: dict[str, object] = {"name": name, "logicalType": KINDS.get(name, "string"), "required": name in REQUIRED}
    options: dict[str, object] = {}
    if name == "order_id":
        one["unique"] = True
    if name in RANGES:
        options |= dict(zip(("minimum", "maximum"), RANGES[name], strict=True))
    if name in PATTERNS:
        options["pattern"] = PATTERNS[name]
    if name == "note":
        options["maxLength"] = LONGEST
    if options:
        one["logicalTypeOptions"] = options
    allowed = {"country": COUNTRIES, "status": STATES}.get(name)
    if allowed:
        rule = {"type": "library", "metric": "invalidValues", "arguments": {"validValues": allowed}, "mustBe": 0}
        one["quality"] = [rule | {"name": f"{name}__in"}]
    return one


def sql(name: str, query: str) -> dict[str, object]:
    """A test that counts."""
    return {"type": "sql", "name": name, "query": query, "mustBe": 0}


contract = {
    "apiVersion": "v3.1.0", "kind": "DataContract", "id": "orders", "name": "orders", "version": "1.0.0", "status": "active",
    "servers": [{"server": "local", "type": "local", "path": str(orders.parent / "{model}.parquet"), "format": "parquet"}],
    "schema": [
        {"name": "orders", "properties": [column(name) for name in COLUMNS], "quality": [
            sql("ordered_on__range", f"SELECT count(*) FROM orders WHERE ordered_on < DATE '{FIRST}' OR ordered_on > DATE '{LAST}'"),
            sql("shipped_on__order", "SELECT count(*) FROM orders WHERE shipped_on < ordered_on"),
            sql("customer_id__reference", "SELECT count(*) FROM orders WHERE customer_id NOT IN (SELECT id FROM customers)"),
            {"type": "library", "name": "rows", "metric": "rowCount", "mustBeGreaterThan": 0},
        ]},
        {"name": "customers", "properties": [{"name": "id", "logicalType": "integer"}]},
    ],
}  # fmt: skip
written, answer = folder / "orders.odcs.yaml", folder / "answer.json"
written.write_text(json.dumps(contract))  # JSON is YAML


def work() -> dict[str, int]:
    """The command, in a process of its own."""
    program = Path(sys.executable).with_name("datacontract")
    options = ["--output", str(answer), "--output-format", "json"]
    subprocess.run([str(program), "test", str(written), *options], check=False, capture_output=True)
    checks = json.loads(answer.read_text())["checks"]
    failed = [one for one in checks if one["result"] in ("failed", "error")]
    return {f"{number} {one['name']}": int(COUNT.search(one["reason"])[1]) for number, one in enumerate(failed)}


measured(work, children=True)
