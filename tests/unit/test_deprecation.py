"""A port that is served beside its next version: who still reads it, and who is warned when."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from mesh_assets.changes.model import changes
from mesh_assets.changes.shape import Rule, Shape
from mesh_assets.changes.words import said as in_words
from mesh_assets.deprecation import all_deprecated, deprecated, succeeds, successors, to_json, warnings
from mesh_assets.mesh import read_mesh
from tests.making import Place

PROBLEMS = Path(__file__).parents[2] / "docs" / "problems.md"
BEFORE, DAY, AFTER = date(2027, 3, 30), date(2027, 3, 31), date(2027, 4, 1)


def written(root, *, mail="crm.clients"):
    """`crm` serves `clients` and its next version; `mail` reads one of them."""
    place = Place(root)
    outputs = "outputs:\n  - port: clients\n    successor: clients_v2\n    sunset: 2027-03-31\n  - port: clients_v2\n"
    place.domain("crm", outputs)
    place.sql("crm.clients_v2", "select 1 as client_id")
    place.contract("crm.clients_v2", {"client_id": "INTEGER"})
    contract = root / "domains/crm/contracts/clients_v2.odcs.yaml"
    contract.write_text(contract.read_text().replace("version: 1.0.0", "version: 2.0.0"))
    place.sql("crm.clients", "select client_id as id from crm.clients_v2")
    place.contract("crm.clients", {"id": "INTEGER"})
    place.domain("mail", f"inputs:\n  - port: {mail}\noutputs: [{{port: letters}}]\n")
    place.sql("mail.letters", f"select count(*) as n from {mail}")
    place.contract("mail.letters", {"n": "BIGINT"})
    return read_mesh(root)


CHAIN = {"a": "b", "b": "c", "c": "", "x": "y", "y": "x"}


@pytest.fixture
def mesh(tmp_path):
    return written(tmp_path)


def said(mesh, today, base=None):
    return [f"warning: {problem}" for problem in warnings(mesh, today, base)]


def test_it_says_until_when_what_to_read_instead_and_who_still_reads_it(mesh):
    (one,) = all_deprecated(mesh)
    assert to_json(one, DAY) == {
        "port": "crm/clients",
        "sunset": "2027-03-31",
        "over": False,
        "successor": "crm/clients_v2",
        "readers": [{"domain": "mail", "tables": ["mail/letters"]}],
        "says": "deprecated, sunset is on 2027-03-31; read crm/clients_v2 instead; still read by mail",
    }
    assert deprecated(mesh, mesh.tables["crm.clients_v2"]) is None
    assert succeeds(mesh, mesh.tables["crm.clients_v2"]) == "crm.clients"
    assert succeeds(mesh, mesh.tables["crm.clients"]) == ""


def test_a_reader_is_warned_until_the_day_and_the_owner_from_the_day_after(mesh):
    """The last day is one on which it is there. The examples of the documentation are these."""
    assert said(mesh, BEFORE) == said(mesh, DAY)
    (reader,), (owner,) = said(mesh, DAY), said(mesh, AFTER)
    assert "[M418]" in reader
    assert "[M419]" in owner
    assert {reader, owner} <= set(_examples())


def test_who_begins_to_read_it_is_told_apart_from_who_did(mesh, tmp_path):
    before = written(tmp_path / "before", mail="crm.clients_v2")
    (found,) = said(mesh, DAY, before)
    assert "[M420]" in found
    assert found in _examples()
    assert "[M418]" in said(mesh, DAY, mesh)[0]


def test_a_reader_that_has_moved_is_no_reader_any_more(tmp_path):
    moved = written(tmp_path, mail="crm.clients_v2")
    assert said(moved, DAY) == []
    (owner,) = said(moved, AFTER)
    assert "nobody reads it" in owner
    (one,) = all_deprecated(moved)
    assert to_json(one, AFTER)["says"] == (
        "deprecated, sunset was on 2027-03-31; read crm/clients_v2 instead; nobody reads it any more"
    )


def _examples():
    return [part.strip() for part in PROBLEMS.read_text().split("```text\n")[1:] for part in [part.partition("```")[0]]]


def test_a_rule_that_refers_to_the_successor_is_the_rule_that_it_was():
    """Else a reader that moves would break its own readers, and need a major step of its version."""
    to = lambda table: Rule(
        name="r",
        kind="reference",
        columns=("id",),
        arguments=json.dumps({"to_columns": ["id"], "to_table": f"crm.{table}"}),
    )
    old, new = (Shape(columns=(), rules=(to(table),), warnings=(to(table),)) for table in ("people", "people_v3"))
    assert [change.kind for change in changes("mail.letters", old, new)] == ["rule_loosened", "described"]
    assert in_words(changes("mail.letters", old, new)[0]) == (
        "the rule `r` of `id` is looser: to id of crm/people_v3, no longer to id of crm/people"
    )
    following = {"crm.people": "crm.people_v3", "crm.people_v2": "crm.people_v3"}
    assert changes("mail.letters", old, new, following) == ()


def test_what_to_read_instead_is_the_last_of_several_successors(mesh):
    ports = {name: replace(mesh.tables["crm.clients"].port, successor=after) for name, after in CHAIN.items()}
    tables = {
        f"crm.{name}": replace(mesh.tables["crm.clients"], name=f"crm.{name}", port=ports[name]) for name in CHAIN
    }
    found = successors(replace(mesh, tables=tables))
    assert {name: found[name] for name in ("crm.a", "crm.b")} == {"crm.a": "crm.c", "crm.b": "crm.c"}
    assert set(found) == {"crm.a", "crm.b", "crm.x", "crm.y"}  # a circle is a mistake of its own, and no endless loop
