"""A domain in the words of the standards: a data product as ODPS 1.1, a contract as ODCS 3.1, the catalogue as DCAT 3."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from mesh_assets import address as names
from mesh_assets.address import Address, NotFound
from mesh_assets.catalog.standing import Standing
from mesh_assets.contract import Contract
from mesh_assets.domain import Domain, Mesh, Table
from mesh_assets.environment import Environment

API = "v1.1.0"
OURS = "mesh."
"""Before what only domain.yaml has a word for, among the standard's custom properties."""
SAID = frozenset({"domain", "title", "purpose", "team", "inputs", "outputs", "odps"})
"""Keys of domain.yaml that the standard has words for; `odps` is what only the standard has words for."""
KEYS: Mapping[str, str] = {
    "customProperties": "property", "members": "username", "support": "url", "inputPorts": "name", "outputPorts": "name",
}  # fmt: skip
"""By what the entries of a list are told apart."""
PORTS = ("inputPorts", "outputPorts")


def odps(mesh: Mesh, domain: str) -> str:
    """A domain as a data product of the Open Data Product Standard, in YAML.

    Of one that could not be loaded it is what its domain.yaml alone says, as long as that is one: a port that has no table yet.

    Raises:
        NotFound: Its domain.yaml cannot be read.
    """
    known = mesh.domains.get(domain)
    path = (known.path if known else mesh.root / "domains" / domain) / "domain.yaml"
    try:
        written = plain(path.read_text(encoding="utf-8"))
        made = product(written, _contracts(mesh, known) if known else {})
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise NotFound(
            f"domain.yaml of `{domain}` cannot be read\n    `mesh check` says what is wrong with it."
        ) from None
    return as_yaml(made)


class _Plain(yaml.SafeLoader):
    """Days and moments stay the text that they are."""


_Plain.yaml_implicit_resolvers = {
    first: [one for one in found if one[0] != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def plain(text: str) -> Any:  # noqa: ANN401 - what a file holds
    """The plain values of YAML."""
    return yaml.load(text, _Plain)  # noqa: S506 - a safe loader, with less in it


def as_yaml(values: Mapping[str, Any]) -> str:
    """As the standard's files, and ours, are written."""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=110)


def product(written: Mapping[str, Any], contracts: Mapping[str, Contract] | None = None) -> dict[str, Any]:
    """domain.yaml's plain values as ODPS's; `of_product` gives them back.

    Args:
        written: domain.yaml. What stands under `odps` is laid over the rest.
        contracts: Of its ports, by the name that the file has for them.
    """
    team = dict(written.get("team") or {})
    name, known = str(written["domain"]), contracts or {}
    made: dict[str, Any] = {"apiVersion": API, "kind": "DataProduct", "id": name, "status": "active", "domain": name}
    if "title" in written:
        made["name"] = written["title"]
    if "purpose" in written:
        made["description"] = {"purpose": written["purpose"]}
    rest = {key: value for key, value in written.items() if key not in SAID}
    if more := {key: value for key, value in team.items() if key not in ("name", "owner", "support")}:
        rest["team"] = more
    ports = {
        "inputPorts": [_input(entry, known) for entry in written.get("inputs") or ()],
        "outputPorts": [_output(entry, known) for entry in written.get("outputs") or ()],
        "customProperties": _custom(rest),
    }
    made |= {**_team(team), **{key: value for key, value in ports.items() if value}}
    return _laid_over(made, written.get("odps") or {})


def of_product(made: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    """ODPS's plain values as domain.yaml's, none left out: what domain.yaml has no word for stands under its `odps`.

    Where the product is no domain of a mesh, the ports are as it names them, and `mesh check` says what they still need.

    Args:
        made: The product.
        name: Of the domain, where it is to be another than the product's own.

    Raises:
        NotFound: It is no data product of a version that is read.
    """
    if made.get("kind") != "DataProduct" or not str(made.get("apiVersion", "")).startswith(("v0.9.", "v1.")):
        raise NotFound("this is no data product of ODPS 1\n    `kind: DataProduct` and `apiVersion: v1.1.0` say so.")
    ours = _ours(made)
    written: dict[str, Any] = {"domain": name or made.get("domain") or made["id"]}
    if "name" in made:
        written["title"] = made["name"]
    if purpose := (made.get("description") or {}).get("purpose"):
        written["purpose"] = purpose
    if team := _team_of(made) | (ours.pop("team", None) or {}):
        written["team"] = team
    for key, theirs in (("inputs", "inputPorts"), ("outputs", "outputPorts")):
        if made.get(theirs):
            written[key] = [_port_of(port, output=key == "outputs") for port in made[theirs]]
    written |= ours
    rest = _left(product(written), made)
    return written | ({"odps": rest} if rest else {})


def _contracts(mesh: Mesh, domain: Domain) -> dict[str, Contract]:
    """The contract of each port, by its name in domain.yaml: of an input its reader's own, else its owner's."""
    tables = mesh.tables
    found = {port.table: port.contract or _of(tables.get(port.table)) for port in domain.inputs}
    found |= {source.pattern: _of(tables.get(f"{domain.name}.{source.table}")) for source in domain.sources}
    found |= {port.table: port.contract for port in domain.outputs}
    return {name: contract for name, contract in found.items() if contract}


def _of(table: Table | None) -> Contract | None:
    return table.contract if table else None


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


def _input(entry: Mapping[str, Any], contracts: Mapping[str, Contract]) -> dict[str, Any]:
    name = str(entry["port"] if "port" in entry else entry["source"])
    return {"name": name, **_contracted(contracts.get(name)), **_kept(entry, entry)}


def _output(entry: Mapping[str, Any], contracts: Mapping[str, Contract]) -> dict[str, Any]:
    contract = contracts.get(str(entry["port"]))
    made: dict[str, Any] = {"name": str(entry["port"]), "type": "tables"}
    if contract and contract.description:
        made["description"] = contract.description
    if entry.get("deprecated") is True:
        made["deprecated"] = True
    said = {key: value for key, value in entry.items() if (key, value) != ("deprecated", True)}
    return {**made, **_contracted(contract), **_kept(said, entry)}


def _contracted(contract: Contract | None) -> dict[str, Any]:
    """Which contract it has; a port without one names none."""
    return {"version": contract.version, "contractId": contract.id} if contract else {}


def _kept(unsaid: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of domain.yaml of which something is unsaid, beside its name."""
    return {"customProperties": _custom({"port": dict(entry)})} if set(unsaid) - {"port"} else {}


def _port_of(port: Mapping[str, Any], *, output: bool) -> dict[str, Any]:
    ending = {"deprecated": True} if output and port.get("deprecated") is True else {}
    return dict(_ours(port).get("port") or {"port": port["name"], **ending})


def _team(team: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if "name" in team:
        made["team"] = {"name": team["name"]}
    if "owner" in team:
        made["team"] = made.get("team", {}) | {"members": [{"username": team["owner"], "role": "owner"}]}
    if "support" in team:
        made["support"] = [{"channel": "support", "url": team["support"]}]
    return made


def _team_of(made: Mapping[str, Any]) -> dict[str, str]:
    """Name, owner and the first channel of support; before 1.0 a team was a list of its members."""
    team = made.get("team") or {}
    members = team if isinstance(team, list) else team.get("members") or ()
    found = {} if isinstance(team, list) or "name" not in team else {"name": team["name"]}
    owners = [item["username"] for item in members if item.get("role") == "owner" and "username" in item]
    if owners:
        found["owner"] = owners[0]
    if made.get("support") and "url" in made["support"][0]:
        found["support"] = made["support"][0]["url"]
    return found


def _custom(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"property": f"{OURS}{key}", "value": value} for key, value in values.items()]


def _ours(made: Mapping[str, Any]) -> dict[str, Any]:
    found = {item["property"]: item["value"] for item in made.get("customProperties") or ()}
    return {key.removeprefix(OURS): value for key, value in found.items() if key.startswith(OURS)}


# -- what only the standard has words for -------------------------------------------------------------------------------


def _laid_over(made: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """As a JSON merge patch (RFC 7396): null takes a key away. Entries of a list in `KEYS` are patched one by one.

    They stand as in the patch, those that it does not name behind them; ports stand as in domain.yaml, and a patch of one
    that is there no more is left out.
    """
    found = dict(made)
    for key, value in patch.items():
        there = found.get(key)
        if value is None:
            found.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(there, Mapping):
            found[key] = _laid_over(there, value)
        elif key in KEYS and isinstance(value, list) and isinstance(there, list):
            patches, bases = _named(value, KEYS[key]), _named(there, KEYS[key])
            order = list(bases) if key in PORTS else [*patches, *(name for name in bases if name not in patches)]
            found[key] = [
                _laid_over(bases[name], patches.get(name, {})) if name in bases else dict(patches[name])
                for name in order
            ]
        else:
            found[key] = value
    return found


def _left(base: Mapping[str, Any], whole: Mapping[str, Any]) -> dict[str, Any]:
    """The patch that makes `whole` of `base`."""
    patch: dict[str, Any] = {}
    for key, value in whole.items():
        there = base.get(key)
        if value == there and key in base:
            continue
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            patch[key] = _left(there, value)
        elif key in KEYS and isinstance(value, list) and isinstance(there, list) and value:
            bases, wanted = _named(there, KEYS[key]), _named(value, KEYS[key])
            patch[key] = [
                {KEYS[key]: name[0], **_left(bases[name], item)} if name in bases else dict(item)
                for name, item in wanted.items()
            ]
        else:
            patch[key] = value
    return patch | {key: None for key in base if key not in whole}


def _named(items: Sequence[Mapping[str, Any]], key: str) -> dict[tuple[str | None, int], Mapping[str, Any]]:
    """Entries by what tells them apart, which may be nothing; several that say the same, by their order."""
    found: dict[tuple[str | None, int], Mapping[str, Any]] = {}
    for item in items:
        name, number = None if item.get(key) is None else str(item[key]), 0
        while (name, number) in found:
            number += 1
        found[name, number] = item
    return found
