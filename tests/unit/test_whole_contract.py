"""A contract that says all that the Open Data Contract Standard has words for: nothing of it is lost, read, exported or changed.

The contract is ours, written key by key after the standard's schema; the last test says which keys are not in it. The examples
of the standard's own repository (`docs/examples`) have one to 68 tables, and most of them no table of a mesh.
"""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft201909Validator

from mesh_assets import authoring
from mesh_assets.catalog import standards
from mesh_assets.mesh import read_mesh
from tests.making import Place

SCHEMA = json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8"))
FILE = "domains/shop/contracts/orders.odcs.yaml"
WHOLE = """\
# What the desk promises of its loans.
apiVersion: v3.2.0
kind: DataContract
id: loans-1
name: Loans
version: 2.1.0
status: active
tenant: Town
domain: shop
dataProduct: Readers of the library
contractCreatedTs: "2024-05-06T07:08:09Z"
tags: [loans, 'two words']
description:
  usage: Count, do not name.   # people are in it
  purpose: Who has which book.
  limitations: Nobody under 16.
  authoritativeDefinitions: DEFINED
  customProperties: OWN
context:
  instructions: Ask the desk before you count.
  verifiedStatements:
  - {id: said-1, question: "How many loans are there?", answer: As many as rows., tags: [count], authoritativeDefinitions: DEFINED, customProperties: OWN}
  constraints: [{id: bound-1, constraint: No names in answers.}]
authoritativeDefinitions: DEFINED
customProperties: OWN
servers:
- id: s-1
  server: desk
  type: postgresql
  host: db.library.example
  port: 5432
  database: desk
  schema: public
  description: At the desk
  environment: prod
  roles: [{role: reader}]
  customProperties: OWN
schema:
- id: orders-1
  name: orders
  physicalName: orders
  physicalType: table
  logicalType: object
  businessName: Loans
  description: A loan a row.
  deprecated: false
  synonyms: [{id: syn-1, synonym: Rentals, description: In the old system, locale: en-GB, source: glossary, status: active, customProperties: OWN}]
  authoritativeDefinitions: DEFINED
  tags: [table]
  customProperties: OWN
  context: {instructions: One row a loan.}
  dataGranularityDescription: One loan.
  relationships:
  - {id: rel-1, type: foreignKey, from: [orders.id], to: [buyers.id], customProperties: OWN}
  properties:
  - id: id-1
    name: id
    primaryKey: true
    primaryKeyPosition: 1
    logicalType: integer
    physicalType: BIGINT
    physicalName: id
    logicalTypeOptions: {minimum: 0}
    required: true
    unique: true
    semanticType: dimension
    classification: internal
    encryptedName: id_x
    partitioned: true
    partitionKeyPosition: 1
    transformSourceObjects: [desk.loans]
    transformLogic: select id
    transformDescription: As it is.
    criticalDataElement: true
    examples: [1, 2]
  - name: kind
    logicalType: string
    physicalType: VARCHAR
    enum:
    - {id: e-1, value: book, label: Book, description: On paper, customProperties: OWN, authoritativeDefinitions: DEFINED, tags: [paper]}
    - {id: e-2, value: film, label: Film}
    quality:
    - {id: kinds, metric: invalidValues, arguments: {validValues: [book, film]}, mustBe: 0}
  - name: place
    logicalType: object
    physicalType: STRUCT(town VARCHAR)
    properties: [{name: town, logicalType: string, physicalType: VARCHAR}]
  - name: marks
    logicalType: array
    physicalType: VARCHAR[]
    items: {logicalType: string, physicalType: VARCHAR}
  - name: shelves
    logicalType: map
    physicalType: MAP(VARCHAR, BIGINT)
    map:
      key: {logicalType: string, physicalType: VARCHAR}
      value: {logicalType: integer, physicalType: BIGINT}
  quality:
  # Enough of them, every day.
  - id: enough
    name: enough
    type: library
    metric: rowCount
    mustBeBetween: [1, 1000000]
    unit: rows
    description: There are loans.
    dimension: completeness
    method: reconciliation
    severity: error
    businessImpact: operational
    schedule: "0 20 * * *"
    scheduler: cron
    tags: [daily]
    authoritativeDefinitions: DEFINED
    customProperties: OWN
  - {id: no_ghosts, type: sql, query: "select count(*) from {table} where id is null", mustBe: 0}
  - {id: never_seven, metric: rowCount, mustNotBe: 7}
  - {id: some, metric: rowCount, mustBeGreaterThan: 0}
  - {id: one, metric: rowCount, mustBeGreaterOrEqualTo: 1}
  - {id: few, metric: rowCount, mustBeLessThan: 1000000}
  - {id: fewer, metric: rowCount, mustBeLessOrEqualTo: 1000000}
  - {id: odd, metric: rowCount, mustNotBeBetween: [5, 6]}
  - {id: ours, type: custom, engine: mesh, implementation: {test: condition, condition: id > 0}}
  - {id: in_words, type: text, description: Nobody lends twice.}
  - {id: by_rule, type: library, metric: rowCount, rule: rowCount, mustBeGreaterThan: 0}
support:
- {id: sup-1, channel: The desk, url: "https://library.example/desk", description: First, tool: slack, scope: interactive, invitationUrl: "https://library.example/join", customProperties: OWN}
price: {id: p-1, priceAmount: 0.5, priceCurrency: EUR, priceUnit: loan}
team:
  id: t-1
  name: Desk
  description: All of them
  tags: [desk]
  customProperties: OWN
  authoritativeDefinitions: DEFINED
  members:
  - {id: m-1, username: ada, name: Ada, description: Steward, role: steward, dateIn: "2023-01-02", dateOut: "2024-01-02", replacedByUsername: bo, tags: [x], customProperties: OWN, authoritativeDefinitions: DEFINED}
roles:
- {id: r-1, role: reader, description: May count, access: read, firstLevelApprovers: Desk, secondLevelApprovers: Town, customProperties: OWN}
slaDefaultElement: orders.id
slaProperties:
- {id: sla-1, property: frequency, value: 1, valueExt: 2, unit: d, element: orders.id, driver: operational, description: Every day, scheduler: cron, schedule: "0 20 * * *", customProperties: OWN, authoritativeDefinitions: DEFINED}
""".replace(
    "DEFINED", '[{id: def-1, url: "https://library.example/terms", type: businessDefinition, description: The terms}]'
).replace(
    "OWN",
    "[{id: own-1, property: shelf, value: [1, two, {three: 3.5, four: null}], description: Any value, vendor: library}]",
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.domain("shop", "outputs: [{port: orders}]\n")
    made.write(FILE, WHOLE)
    made.sql(
        "shop.orders",
        "select 1::bigint as id, 'book' as kind, {'town': 'a'} as place, ['a'] as marks, map {'a': 1} as shelves",
    )
    made.sql("shop.buyers", "select 1::bigint as id")
    return made


def test_it_is_read_and_exported_as_it_was_written(place):
    mesh = read_mesh(place.root)
    contract = mesh.tables["shop.orders"].contract
    assert (contract.id, contract.version, contract.name) == ("loans-1", "2.1.0", "Loans")
    assert standards.odcs(mesh, "shop", "orders") == WHOLE


def test_a_rule_that_comes_and_goes_leaves_no_trace(place):
    """Comments, order, anchors, quotes and what the mesh has no use for stay."""
    mesh = read_mesh(place.root)
    rule = {"id": "more", "metric": "rowCount", "mustBeGreaterThan": 2}
    edit = authoring.add(mesh, mesh.tables["shop.orders"], [("", rule)])
    edit.write()
    grown = yaml.safe_load((place.root / FILE).read_text())
    assert grown["schema"][0]["quality"].pop() == rule
    assert grown == yaml.safe_load(WHOLE)
    mesh = read_mesh(place.root)
    authoring.remove(mesh, mesh.tables["shop.orders"], "more").write()
    assert (place.root / FILE).read_text() == WHOLE


def test_every_key_of_the_standard_is_in_it():
    Draft201909Validator(SCHEMA).validate(yaml.safe_load(WHOLE))
    parts = {
        name: part for name, part in SCHEMA["$defs"].items() if name != "ServerSource"
    }  # what a server of each kind has
    known = {*_named(SCHEMA), *(name for part in parts.values() for name in _named(part))}
    said = set(_keys(yaml.safe_load(WHOLE)))
    assert known - said == set()


def _named(part: object) -> Iterator[str]:
    """Properties that a schema names, also within conditions and alternatives."""
    if not isinstance(part, dict):
        return
    yield from part.get("properties", {})
    for word in ("allOf", "anyOf", "oneOf"):
        for one in part.get(word, ()):
            yield from _named(one)
    for word in ("if", "then", "else"):
        yield from _named(part.get(word))


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for one in value.values():
            yield from _keys(one)
    elif isinstance(value, list):
        for one in value:
            yield from _keys(one)
