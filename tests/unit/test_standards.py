"""ODPS: nothing is lost on the way to domain.yaml and back, of any product that the standard knows.

The schemas are the standard's (Bitol, Apache-2.0; `make odps` fetches the package that ships them). The documents below are
ours: they are put together as the examples of the standard's repository are (`docs/examples/*.odps.yaml` of 0.9, 1.0 and 1.1), which are in no
package. Those themselves were tried by hand on 27 November 2026, at its commit f3441a7: all five came back as they were.
"""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft201909Validator

from mesh_assets.address import NotFound
from mesh_assets.catalog import standards
from mesh_assets.mesh import read_mesh
from tests.conftest import missing

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / ".venv" / "odps-0.3.2"
DOMAINS = sorted((ROOT / "domains").glob("*/domain.yaml"))

OF_0_9 = """
apiVersion: v0.9.0
kind: DataProduct
name: Readers of the library
id: 5b0a4f6e-0000-4000-8000-000000000001
domain: lending
status: draft
tenant: Town
description: {purpose: Who reads what., limitations: Nobody under 16., usage: Ask the desk.}
tags: [readers]
inputPorts:
- {name: loans, version: 1.0.0, contractId: c-loans-1}
- {name: loans, version: 2.0.0, contractId: c-loans-2}
outputPorts:
- {name: readers, description: Readers, type: tables, version: 1.0.0, contractId: c-readers-1}
- name: readers
  description: Readers
  type: tables
  version: 2.0.0
  contractId: c-readers-2
  sbom: [{type: external, url: "https://library.example/sbom"}]
  inputContracts: [{id: c-loans-1, version: 1.0.0}]
managementPorts:
- {content: dictionary, type: topic, name: words, description: New words}
support:
- {channel: The desk, url: "https://library.example/desk", description: First, tool: slack, scope: interactive}
- {channel: By post, url: "mailto:desk@library.example", tool: email, scope: issues}
team:
- {username: ada@library.example, name: Ada, description: Steward, role: data steward, dateIn: "2023-02-01"}
- {username: bo@library.example, name: Bo, description: Owner, role: owner, dateIn: "2023-01-15"}
productCreatedTs: "2023-01-15T10:30:00Z"
"""
OF_1_1 = """
apiVersion: v1.1.0
kind: DataProduct
id: 5b0a4f6e-0000-4000-8000-000000000002
status: active
name: Readers, whole
version: v2.0.0
description: {purpose: One view, usage: Reports}
inputPorts: [{name: old-loans, version: 1.0.0, contractId: c-1, deprecated: true}]
outputPorts:
- {name: old-export, description: "Read the other", type: file, version: 1.0.0, contractId: c-2, deprecated: true}
- {name: tables, description: Now, type: tables, version: 2.0.0, contractId: c-3}
managementPorts: [{name: admin, content: control, type: rest, deprecated: true, description: Gone soon}]
team: {name: Desk, description: All of them, members: [{username: ada, role: steward}, {username: bo, role: owner}, {name: nobody}]}
customProperties: [{property: shelf, value: null}, {property: floors, value: [1, 2], description: Both}]
"""
LEAST = "{apiVersion: v1.0.0, kind: DataProduct, id: x, status: proposed}"


def written_of(folder: Path) -> dict:
    return yaml.safe_load(folder.read_text(encoding="utf-8"))


def back(made: dict) -> dict:
    """To domain.yaml, through YAML, and back."""
    return standards.product(yaml.safe_load(yaml.safe_dump(standards.of_product(made), sort_keys=False)))


def schema(version: str) -> dict:
    path = SCHEMAS / f"odps-{version}.schema.json"
    if not path.exists():
        missing("the schema of ODPS (`make odps`)")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", [OF_0_9, OF_1_1, LEAST], ids=["0.9", "1.1", "the least"])
def test_a_product_of_somebody_else_survives_the_way_through_domain_yaml(text):
    made = yaml.safe_load(text)
    found = back(made)
    assert found == made
    assert [p.get("version") for p in found.get("outputPorts", ())] == [
        p.get("version") for p in made.get("outputPorts", ())
    ]


def test_what_domain_yaml_has_words_for_is_said_in_them():
    found = standards.of_product(yaml.safe_load(OF_1_1))
    assert found["domain"] == "5b0a4f6e-0000-4000-8000-000000000002"
    assert (found["title"], found["purpose"]) == ("Readers, whole", "One view")
    assert found["team"] == {"name": "Desk", "owner": "bo"}
    assert found["outputs"] == [{"port": "old-export", "deprecated": True}, {"port": "tables"}]
    assert found["odps"]["description"] == {"usage": "Reports"}
    assert standards.of_product(yaml.safe_load(OF_0_9))["team"] == {
        "owner": "bo@library.example",
        "support": "https://library.example/desk",
    }


def test_what_is_changed_in_domain_yaml_afterwards_is_exported():
    written = standards.of_product(yaml.safe_load(OF_1_1))
    written["title"], written["team"]["name"] = "Other", "Shelf"
    written["outputs"] = [{"port": "tables"}, {"port": "fresh"}]
    made = standards.product(written)
    assert (made["name"], made["team"]["name"], made["team"]["description"]) == ("Other", "Shelf", "All of them")
    assert [port["name"] for port in made["outputPorts"]] == ["tables", "fresh"]
    assert made["outputPorts"][0]["contractId"] == "c-3"


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_every_property_that_the_standard_has_survives(version):
    whole = full(schema(version), schema(version), f"v{version}")
    Draft201909Validator(schema(version)).validate(whole)
    assert len(whole) >= 17
    assert back(whole) == whole


VALUES = st.recursive(
    st.text(max_size=4) | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=4), inner, max_size=3),
    max_leaves=6,
)
TEXTS = st.text(max_size=3)
ENTRIES = {
    "customProperties": st.fixed_dictionaries({"property": TEXTS, "value": VALUES | st.none()}),
    "support": st.fixed_dictionaries({}, optional={"url": TEXTS, "channel": TEXTS}),
    "inputPorts": st.fixed_dictionaries({"name": TEXTS}, optional={"version": TEXTS, "deprecated": st.booleans()}),
    "outputPorts": st.fixed_dictionaries(
        {"name": TEXTS}, optional={"version": TEXTS, "deprecated": st.booleans(), "type": TEXTS, "description": TEXTS}
    ),
}
MEMBERS = st.lists(
    st.fixed_dictionaries({}, optional={"username": TEXTS, "role": st.sampled_from(["owner", "x"])}), max_size=3
)
PRODUCTS = st.fixed_dictionaries(
    {"apiVersion": st.sampled_from(["v0.9.0", "v1.0.0", "v1.1.0"]), "kind": st.just("DataProduct"), "id": TEXTS},
    optional={
        **{key: st.lists(entry, max_size=3) for key, entry in ENTRIES.items()},
        **dict.fromkeys(("name", "domain", "status", "tenant"), TEXTS),
        "description": st.fixed_dictionaries({}, optional={"purpose": TEXTS, "usage": TEXTS}),
        "team": MEMBERS | st.fixed_dictionaries({}, optional={"name": TEXTS, "members": MEMBERS, "description": TEXTS}),
    },
)


@given(PRODUCTS)
def test_any_product_survives(made):
    assert standards.product(standards.of_product(made)) == made


@pytest.mark.parametrize("folder", DOMAINS, ids=lambda file: file.parent.name)
def test_a_domain_survives_the_way_through_odps_and_is_what_the_standard_says(folder):
    mesh, name = read_mesh(ROOT), folder.parent.name
    made = yaml.safe_load(standards.odps(mesh, name))
    again = standards.of_product(made)
    assert {key: value for key, value in again.items() if key != "odps"} == written_of(folder)
    assert standards.product(again) == made
    Draft201909Validator(schema("1.1.0")).validate(made)
    known = {contract.id for contract in contracts_of(mesh)}
    assert {port["contractId"] for port in made["inputPorts"] + made["outputPorts"] if "contractId" in port} <= known


def test_every_key_of_domain_yaml_survives():
    written = {
        "domain": "shop", "part_of": "town", "title": "Shop", "purpose": "Sells.",
        "team": {"name": "Desk", "owner": "a@x.example", "support": "https://x.example", "notify": ["chat"]},
        "inputs": [{"port": "a.b", "on_failure": "hold"}, {"source": "raw/*.csv", "as": "raw"}],
        "outputs": [{"port": "orders", "deprecated": True, "sunset": "2030-01-01"}, {"port": "old", "deprecated": True}],
        "tables": {"orders": {"load": "append"}}, "pipelines": {"p": {"delivers": "shop/orders"}},
        "automation": "manual", "executor": "multiprocess", "odps": {"tenant": "Town", "status": None},
    }  # fmt: skip
    made = standards.product(written)
    assert standards.of_product(made) == written
    Draft201909Validator(schema("1.1.0")).validate(made)


def test_what_is_no_data_product_is_refused():
    with pytest.raises(NotFound, match="no data product"):
        standards.of_product({"kind": "DataContract", "apiVersion": "v3.1.0"})


@pytest.mark.parametrize(
    ("text", "name"), [(OF_0_9, ""), (OF_1_1, "readers"), (LEAST, "")], ids=["0.9", "1.1", "the least"]
)
def test_a_product_is_imported_as_a_domain_and_exported_as_it_was(text, name, tmp_path, capsys):
    (tmp_path / "mesh.yaml").write_text("mesh: town\n")
    file = tmp_path / "product.odps.yaml"
    file.write_text(text)
    words = ["import", str(file), *(["--name", name] if name else [])]
    shown, code = mesh_odps(capsys, tmp_path, *words, "--dry-run")
    assert (code, (tmp_path / "domains").exists()) == (0, False)
    told, code = mesh_odps(capsys, tmp_path, *words)
    domain = name or yaml.safe_load(text).get("domain") or "x"
    written = (tmp_path / "domains" / domain / "domain.yaml").read_text()
    assert written == shown.out
    assert yaml.safe_load(written)["domain"] == domain
    assert code == (2 if "ports" in text.lower() else 0)
    assert "[M" in told.out or not code, "what it still needs is said"
    found, code = mesh_odps(capsys, tmp_path, "export", domain)
    assert (yaml.safe_load(found.out), code) == (yaml.safe_load(text), 0)
    again, code = mesh_odps(capsys, tmp_path, *words)
    assert (code, "is there already" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (OF_1_1, "the name of a domain `5b0a4f6e-0000-4000-8000-000000000002` must be of lower-case letters"),
        (
            "{apiVersion: v1.0.0, kind: DataProduct, id: x, outputPorts: [{title: y}]}",
            "Each of `outputPorts` needs `name`",
        ),
        ("{apiVersion: v1.0.0, kind: DataProduct, id: x, team: 5}", "`team` is no mapping"),
        ("{apiVersion: v3.1.0, kind: DataContract, id: x}", "this is no data product of ODPS 1"),
        ("a: [", "product.odps.yaml:1:5: this is no YAML"),
        ("- a", "A product is a mapping"),
        ("{kind: DataProduct}", "`id` is not there"),
    ],
)
def test_what_cannot_be_imported_is_said_and_nothing_is_written(text, says, tmp_path, capsys):
    (tmp_path / "mesh.yaml").write_text("mesh: town\n")
    (tmp_path / "product.odps.yaml").write_text(text)
    told, code = mesh_odps(capsys, tmp_path, "import", str(tmp_path / "product.odps.yaml"))
    assert (code, says in told.err, (tmp_path / "domains").exists()) == (2, True, False), told.err


def mesh_odps(capsys, root, *words):
    """What `mesh odps WORDS` prints, and its exit code."""
    import sys
    from unittest.mock import patch

    from mesh_assets.cli import main

    with patch.object(sys, "argv", ["mesh", "odps", *words, "--mesh", str(root)]), pytest.raises(SystemExit) as stop:
        main()
    return capsys.readouterr(), stop.value.code or 0


def contracts_of(mesh):
    yield from (table.contract for table in mesh.tables.values() if table.contract)
    yield from (port.contract for domain in mesh.domains.values() for port in domain.inputs if port.contract)


def full(node: dict, root: dict, version: str, name: str = "") -> object:
    """A value with everything that a schema knows, two of what there may be several of."""
    if "$ref" in node:
        return full(root["$defs"][node["$ref"].rpartition("/")[2]], root, version, name)
    if "enum" in node:
        return version if name == "apiVersion" else node["enum"][0]
    if node.get("type") == "object" or "properties" in node:
        return {key: full(value, root, version, key) for key, value in node["properties"].items()}
    if node.get("type") == "array":
        one = full(node["items"], root, version, name)
        other = full(node["items"], root, version, name)
        return [one, other | {"name": "other"}] if isinstance(other, dict) and "name" in other else [one, other]
    if node.get("type") == "boolean":
        return True
    formats = {"uri": "https://x.example/a", "date": "2030-01-01", "date-time": "2030-01-01T00:00:00Z"}
    return formats.get(node.get("format", ""), f"some {name}")
