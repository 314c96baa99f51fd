"""How right are others about the same labelled changes? Each of a named version, in a virtual environment of its own.

    .venv/bin/python bench/rivals.py [--into FOLDER]

The set is that of tests/unit/test_change_rightness.py: ports, their readers, changes, and whom each breaks. Every program
is asked by its own functions, with what could be told to it here (docs/reference/benchmarks.md says what was not):

- `datacontract breaking` gets the port's contract before and after. It knows no readers: its verdict counts for all of them.
- dbt-data-contracts gets the contracts, and what every reader declares: the columns that it reads, and what it asks of them.
- SQLMesh's categoriser gets the port's SQL before and after. Changes that are not in the SQL are none for it; what it
  cannot tell it leaves to a person, which counts as stopped.

Stopped means: breaking for somebody, or not known. Right, for a reader: breaking where it is hit, and nothing where it is not.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from mesh_assets.changes.impact import Verdict, worst  # noqa: E402 - from the tree beside
from mesh_assets.changes.shape import ColumnShape, Shape  # noqa: E402
from tests.changing import MADE, Labelled, port_sql  # noqa: E402
from tests.making import Place  # noqa: E402
from tests.unit.test_change_rightness import judge  # noqa: E402

PROGRAMS = {
    "datacontract-cli": ("datacontract-cli==1.2.8",),
    "dbt-data-contracts": ("dbt-data-contracts[server]==0.3.2",),
    "sqlmesh": ("sqlmesh==0.236.4",),
}
"""What is installed of each; their versions are printed with the figures, as they were found."""
LOGICAL = {"VARCHAR": "string", "DATE": "date", "DECIMAL(10,2)": "number", "INTEGER": "integer", "BIGINT": "integer"}

# Each reads cases as JSON and writes, for each, whether it is stopped, and for whom; None: for everybody.
DRIVERS = {
    "datacontract-cli": """
import json, sys, yaml
from datacontract.data_contract import DataContract
from open_data_contract_standard.model import OpenDataContractStandard
def contract(told):
    # Given as an object, for reading each from a file against the standard's schema takes half a second.
    odcs = OpenDataContractStandard.from_string(yaml.safe_dump(told))
    return DataContract(data_contract=odcs, inline_references=False)
found = []
for case in json.load(open(sys.argv[1])):
    found.append([contract(case["old"]).breaking(contract(case["new"])).is_breaking, None])
json.dump(found, open(sys.argv[2], "w"))
""",
    "dbt-data-contracts": """
import json, sys
from dbt_data_contracts.compatibility.engine import CompatibilityEngine
from dbt_data_contracts.domain.consumers import ConsumerExpectation
from dbt_data_contracts.domain.contracts import PublishedContract
found = []
for case in json.load(open(sys.argv[1])):
    old, new = (PublishedContract(**case["columns"][word]) for word in ("old", "new"))
    consumers = [ConsumerExpectation(**each) for each in case["consumers"]]
    result = CompatibilityEngine().compare_contracts(old, new, consumers)
    hurt = sorted({each.consumer for each in result.affected_consumers})
    stopped = bool(hurt) or str(result.classification) in ("MAJOR", "UNKNOWN")
    found.append([stopped, hurt])
json.dump(found, open(sys.argv[2], "w"))
""",
    "sqlmesh": """
import json, sys
from sqlglot import parse_one
from sqlmesh.core.model import load_sql_based_model
from sqlmesh.core.dialect import parse
found = []
def model(sql):
    return load_sql_based_model(parse("MODEL (name m.p, dialect duckdb, kind FULL); " + sql), dialect="duckdb")
for case in json.load(open(sys.argv[1])):
    old, new = model(case["sql"][0]), model(case["sql"][1])
    found.append([old.data_hash != new.data_hash and new.is_breaking_change(old) is not False, None])
json.dump(found, open(sys.argv[2], "w"))
""",
}


def case(label: Labelled, readers: Sequence) -> dict[str, object]:
    """A change as the others are told of it."""
    old, new = label.moved.old, label.moved.new
    consumers = [
        {
            "consumer": reader.domain,
            "product": label.port.partition(".")[0],
            "model": label.port.partition(".")[2],
            "version_range": ">=1.0.0 <2.0.0",
            "expected_columns": {name: _expected(old.names[name.lower()], reader.asks) for name in sorted(reader.uses)},
        }
        for reader in readers
        if reader.port == label.port
    ]
    columns = {word: _published(label.port, shape) for word, shape in (("old", old), ("new", new))}
    contracts = {"old": _odcs(label.port, old), "new": _odcs(label.port, new)}
    return {**contracts, "columns": columns, "consumers": consumers, "sql": [_sql(old), _sql(new)]}


def _quality(column: ColumnShape) -> dict[str, object]:
    limits = {"min_value": column.minimum, "max_value": column.maximum}
    told = {name: float(limit[0]) for name, limit in limits.items() if limit is not None}
    return {**told, **({"allowed_values": list(column.allowed)} if column.allowed is not None else {})}


def _expected(column: ColumnShape, asks: frozenset) -> dict[str, object]:
    quality = {"quality": _quality(column)} if column.name in asks else {}
    return {"name": column.name, "data_type": column.type, **quality}


def _published(port: str, shape: Shape) -> dict[str, object]:
    columns = {
        column.name: {
            "name": column.name,
            "data_type": column.type,
            "nullable": column.nullable,
            "quality": _quality(column),
            "renamed_from": column.came_from[0] if column.came_from else None,
            "meta": {"unit": column.unit, "null_meaning": column.null_meaning},
        }
        for column in shape.columns
    }
    product, _, model = port.partition(".")
    return {"product": product, "model": model, "version": "1.0.0", "columns": columns}


def _odcs(port: str, shape: Shape) -> dict[str, object]:
    """A contract of ODCS 3.1, as a person would write it."""
    properties = []
    for column in shape.columns:
        told: dict[str, object] = {
            "name": column.name,
            "logicalType": LOGICAL.get(column.type, "string"),
            "physicalType": column.type,
        }
        if not column.nullable:
            told["required"] = True
        options = {
            word: float(limit[0])
            for word, limit in (("minimum", column.minimum), ("maximum", column.maximum))
            if limit is not None
        }
        if options and column.type in LOGICAL:  # limits of text are no ODCS
            told["logicalTypeOptions"] = options
        quality = [_rule(rule) for rule in shape.rules if rule.columns == (column.name,)]
        if column.allowed is not None:
            known = {"validValues": list(column.allowed)}
            quality.append({"id": f"{column.name}_known", "metric": "invalidValues", "arguments": known, "mustBe": 0})
        if quality:
            told["quality"] = quality
        properties_ = [("unit", column.unit), ("nullMeaning", column.null_meaning)]
        if extra := [{"property": name, "value": value} for name, value in properties_ if value]:
            told["customProperties"] = extra
        properties.append(told)
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": port,
        "version": "1.0.0",
        "status": "active",
        "schema": [{"name": port.partition(".")[2], "logicalType": "object", "properties": properties}],
    }


def _rule(rule: object) -> dict[str, object]:
    told = json.loads(rule.arguments)
    threshold = {told["operator"]: told["threshold"], "unit": told["unit"]} if "operator" in told else {"mustBe": 0}
    return {"id": rule.name, "metric": "nullValues", **threshold}


def _sql(shape: Shape) -> str:
    """The port's SQL as it gives this shape."""
    made = {name.strip('"'): told for name, told in MADE.items()}
    types = {"BLOB": "cast({}::varchar as blob)"}
    found = {}
    for column in shape.columns:
        told = made.get((column.came_from or (column.name.removesuffix("_2"),))[0], "cast('x' as varchar)")
        told = f"({told}) * 100" if column.unit == "cent" else told
        found[f'"{column.name}"'] = types.get(column.type, "{}").format(told)
    return port_sql(found)


def prepared(folder: Path, name: str) -> Path:
    """The Python of a program's own environment; set up where it is not there.

    Raises:
        subprocess.CalledProcessError: It cannot be installed.
    """
    place = folder / name
    python = place / "bin" / "python"
    if not python.exists():
        uv = shutil.which("uv") or str(ROOT / ".venv/bin/uv")
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(place)], check=True)
        command = [uv, "pip", "install", "-q", "--python", str(python), *PROGRAMS[name]]
        subprocess.run(command, check=True, capture_output=True, text=True)
    return python


def asked(python: Path, name: str, cases: Path) -> list[tuple[bool, list[str] | None]]:
    """What a program says of every case."""
    told = cases.with_name(f"{name}.json")
    done = subprocess.run(
        [str(python), "-c", DRIVERS[name], str(cases), str(told)], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return [(stopped, readers) for stopped, readers in json.loads(told.read_text())]


def version_of(python: Path, name: str) -> str:
    """Of the installed program."""
    told = f"import importlib.metadata as m; print(m.version({name!r}))"
    return subprocess.run([str(python), "-c", told], check=True, capture_output=True, text=True).stdout.strip()


def row(name: str, labels: Sequence[Labelled], said: Sequence[tuple[bool, Mapping[str, bool]]]) -> str:
    """One line of the table."""
    both = list(zip(labels, said, strict=True))
    breaking = [stopped for label, (stopped, _) in both if label.breaks]
    harmless = [stopped for label, (stopped, _) in both if not label.breaks]
    right = [hit is (reader in label.breaks) for label, (_, hits) in both for reader, hit in hits.items()]
    cells = (f"{sum(each)} of {len(each)}, {sum(each) / len(each):.1%}" for each in (breaking, harmless, right))
    return f"| {name} | " + " | ".join(cells) + " |"


def main(into: Path) -> int:
    """Ask them all; print the table."""
    with tempfile.TemporaryDirectory() as folder:
        judged = judge(Place(Path(folder, "mesh")))
        labels = [one.label for one in judged]
        cases = Path(folder, "cases.json")
        cases.write_text(json.dumps([case(one.label, one.label.by) for one in judged]))
        print("| | breaking changes stopped | harmless changes stopped | right, reader by reader |\n|---|--:|--:|--:|")
        ours = [
            (
                worst(one.verdicts.values()) is not Verdict.COMPATIBLE,
                {reader: verdict is not Verdict.COMPATIBLE for reader, verdict in one.verdicts.items()},
            )
            for one in judged
        ]
        print(row("`mesh impact`", labels, ours))
        for name in PROGRAMS:
            try:
                python = prepared(into, name)
                said = asked(python, name, cases)
            except (subprocess.CalledProcessError, RuntimeError, OSError) as error:
                print(f"| {name} | could not be run: {error} | | |")
                continue
            full = [
                (stopped, {reader: stopped if hurt is None else reader in hurt for reader in label.readers})
                for label, (stopped, hurt) in zip(labels, said, strict=True)
            ]
            print(row(f"{name} {version_of(python, name)}", labels, full), flush=True)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, default=ROOT / ".rivals", help="where their environments are")
    raise SystemExit(main(parser.parse_args().into))
