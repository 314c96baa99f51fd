"""A domain in the words of the standards: a data product as ODPS 1.0, a contract as ODCS 3.1, the catalogue as DCAT 3."""

from collections.abc import Mapping
from typing import Any

import yaml

from mesh_assets import address as names
from mesh_assets.address import Address, NotFound
from mesh_assets.catalog.standing import Standing
from mesh_assets.domain import Domain, Mesh
from mesh_assets.environment import Environment

API = "v1.0.0"
OURS = "mesh."
"""Before what only domain.yaml has a word for, among the standard's custom properties."""


def odps(mesh: Mesh, domain: str) -> str:
    """A domain as a data product of the Open Data Product Standard, in YAML."""
    path = mesh.domains[domain].path / "domain.yaml"
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    return yaml.safe_dump(product(written, mesh.domains[domain]), sort_keys=False, allow_unicode=True, width=110)


def product(written: Mapping[str, Any], domain: Domain | None = None) -> dict[str, Any]:
    """domain.yaml's plain values as ODPS's; `of_product` gives them back.

    Args:
        written: domain.yaml.
        domain: As it was read: it knows the contracts that the file leaves unsaid.
    """
    team = dict(written.get("team") or {})
    rest = {key: written[key] for key in ("tables", "automation", "executor") if key in written}
    name = str(written["domain"])
    made: dict[str, Any] = {"apiVersion": API, "kind": "DataProduct", "id": name, "status": "active", "domain": name}
    if "title" in written:
        made["name"] = written["title"]
    if "purpose" in written:
        made["description"] = {"purpose": written["purpose"]}
    ports = {
        "inputPorts": [_input(entry, domain) for entry in written.get("inputs") or ()],
        "outputPorts": [_output(entry, domain) for entry in written.get("outputs") or ()],
        "customProperties": _custom(rest),
    }
    return {**made, **_team(team), **{key: value for key, value in ports.items() if value}}


def of_product(made: Mapping[str, Any]) -> dict[str, Any]:
    """ODPS's plain values as domain.yaml's.

    Raises:
        NotFound: It is no data product of a version that is read.
    """
    if made.get("kind") != "DataProduct" or not str(made.get("apiVersion", "")).startswith("v1."):
        raise NotFound("this is no data product of ODPS 1\n    `kind: DataProduct` and `apiVersion: v1.0.0` say so.")
    written: dict[str, Any] = {"domain": made.get("domain") or made["id"]}
    if "name" in made:
        written["title"] = made["name"]
    if "description" in made:
        written["purpose"] = made["description"].get("purpose", "")
    if "team" in made:
        written["team"] = {"name": made["team"]["name"]}
        owners = [item["username"] for item in made["team"].get("members", ()) if item.get("role") == "owner"]
        if owners:
            written["team"]["owner"] = owners[0]
        if made.get("support"):
            written["team"]["support"] = made["support"][0]["url"]
    for ours, theirs in (("inputs", "inputPorts"), ("outputs", "outputPorts")):
        if theirs in made:
            written[ours] = [_ours(port).get("port", {"port": port["name"]}) for port in made[theirs]]
    return written | _ours(made)


def odcs(mesh: Mesh, domain: str, table: str) -> str:
    """A table's contract: the file as its owner wrote it, for it is ODCS already.

    Raises:
        NotFound: The table has none.
    """
    item = mesh.tables.get(f"{domain}.{table}")
    if item is None or item.contract is None:
        raise NotFound(f"{domain}/{table} has no contract\n    Write one: domains/{domain}/contracts/{table}.odcs.yaml")
    return (mesh.root / item.contract.where.path).read_text(encoding="utf-8")


def dcat(env: Environment, standing: Standing, base: str) -> dict[str, Any]:
    """The catalogue as DCAT 3 in JSON-LD: a dataset per output port, a publisher per domain.

    Args:
        env: The environment.
        standing: How everything stands.
        base: Where the portal is, up to the `/mesh`; every id begins with it.
    """
    mesh, home = env.mesh, base.rstrip("/")
    return {
        "@context": {
            "dcat": "http://www.w3.org/ns/dcat#",
            "dct": "http://purl.org/dc/terms/",
            "foaf": "http://xmlns.com/foaf/0.1/",
            "vcard": "http://www.w3.org/2006/vcard/ns#",
            "adms": "http://www.w3.org/ns/adms#",
            "xsd": "http://www.w3.org/2001/XMLSchema#",
        },
        "@id": f"{home}/mesh/",
        "@type": "dcat:Catalog",
        "dct:title": mesh.title or mesh.name,
        "dcat:dataset": [
            _dataset(mesh, standing, table.name, home) for table in mesh.tables.values() if table.port is not None
        ],
    }


def _dataset(mesh: Mesh, standing: Standing, name: str, home: str) -> dict[str, Any]:
    table, version = mesh.tables[name], standing.versions.get(name)
    domain = mesh.domains[table.domain]
    address = Address(domain=table.domain, table=table.short)
    urls = names.urls(address, home)
    found: dict[str, Any] = {
        "@id": urls["what"],
        "@type": "dcat:Dataset",
        "dct:identifier": name,
        "dct:title": table.contract.name if table.contract and table.contract.name else table.short,
        "dct:description": table.contract.description if table.contract else "",
        "dct:publisher": {"@type": "foaf:Agent", "foaf:name": domain.team.name or domain.name},
        "dcat:theme": domain.title or domain.name,
        "dcat:landingPage": {"@id": urls["what"]},
        "dcat:distribution": [
            {
                "@type": "dcat:Distribution",
                "dct:title": "DuckLake table",
                "dcat:accessURL": {"@id": urls["where"]},
                "dct:format": "ducklake",
            }
        ],
    }
    if "@" in domain.team.owner:
        found["dcat:contactPoint"] = {"@type": "vcard:Kind", "vcard:hasEmail": {"@id": f"mailto:{domain.team.owner}"}}
    if version is not None:
        found["dct:modified"] = {"@type": "xsd:dateTime", "@value": version.at}
        found["dcat:version"] = str(version.version)
    if table.contract:
        found["dct:conformsTo"] = {"@id": f"{home}{names.path(address)}.odcs.yaml"}
    return found


def _input(entry: Mapping[str, Any], domain: Domain | None) -> dict[str, Any]:
    name = str(entry.get("port") or entry.get("source"))
    port = domain.input(name) if domain and "port" in entry else None
    contract = port.contract if port else None
    return {
        "name": name,
        "version": contract.version if contract else "1",
        "contractId": contract.id if contract else name,
        "customProperties": _custom({"port": dict(entry)}),
    }


def _output(entry: Mapping[str, Any], domain: Domain | None) -> dict[str, Any]:
    name = str(entry["port"])
    contract = next((port.contract for port in domain.outputs if port.table == name), None) if domain else None
    made = {"name": name, "version": contract.version if contract else "1", "type": "table"}
    if contract:
        made |= {"contractId": contract.id}
        if contract.description:
            made["description"] = contract.description
    return {**made, "customProperties": _custom({"port": dict(entry)})}


def _team(team: Mapping[str, Any]) -> dict[str, Any]:
    if not team:
        return {}
    made: dict[str, Any] = {"team": {"name": team["name"]}}
    if "owner" in team:
        made["team"]["members"] = [{"username": team["owner"], "role": "owner"}]
    if "support" in team:
        made["support"] = [{"channel": "support", "url": team["support"]}]
    return made


def _custom(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"property": f"{OURS}{key}", "value": value} for key, value in values.items()]


def _ours(made: Mapping[str, Any]) -> dict[str, Any]:
    found = {item["property"]: item["value"] for item in made.get("customProperties") or ()}
    return {key.removeprefix(OURS): value for key, value in found.items() if key.startswith(OURS)}
