"""The next version beside the old one, whatever builds the port: real runs, the readers move one by one, the sunset is listed."""

import json
import shutil

import pytest

from mesh_assets.changes.moving import moving
from mesh_assets.changes.serve import serving, write
from mesh_assets.errors import UsageError
from mesh_assets.mesh import examine
from tests.integration.test_succession import SUNSET, command
from tests.making import Place

PROJECT = """
name: NAME
version: "1.0.0"
config-version: 2
profile: NAME
models: {NAME: {staging: {+materialized: ephemeral}, ports: {+materialized: table}}}
"""
COLUMNS = {"id": "BIGINT; required: true", "town": "VARCHAR; required: true", "age": "INTEGER"}
ROWS = "select * from (values (1, 'Bern', 30), (2, 'Basel', 40)) as t(id, town, age)"


def served(place, port, **asked):
    """Serve the next version, and write it."""
    env = place.env()
    found = serving(env, port, sunset=SUNSET, **asked)
    assert found.fine, [one for one in found.tried if not one.fine]
    write(env, found.plan.files)
    assert examine(place.root)[1] == ()
    return found


def moved(place, reader, port):
    """Move a reader, and write it; who is left."""
    env = place.env()
    found = moving(env, reader, port)
    assert found.fine, [one for one in found.tried if not one.fine]
    write(env, found.files)
    assert examine(place.root)[1] == ()
    return found.left


def listed(place):
    """The deprecated ports, as `mesh change list` has them: who still reads which, and until when."""
    told = json.loads(command(place, "change", "list", "--json").stdout)["deprecated"]
    return {item["port"]: (item["sunset"], [reader["domain"] for reader in item["readers"]]) for item in told}


def readers(place, port, *names):
    """Domains that read a port in SQL."""
    short = port.partition(".")[2]
    for name in names:
        place.domain(name, f"inputs: [{{port: {port}}}]\noutputs: [{{port: mine}}]\n")
        place.sql(f"{name}.mine", f"select {short}.id, {short}.town from {port}")
        place.contract(f"{name}.mine", {"id": "BIGINT; required: true", "town": "VARCHAR; required: true"})


def beside(place, port, own=(), **asked):
    """Serve, run, move both readers with a run after each; nobody is built anew by it. `own`: the producer, where it reads it too."""
    before = place.version(port)
    spelt = port.replace(".", "/", 1)
    found = served(place, spelt, **asked)
    told = place.statuses()
    assert told.pop(f"{spelt}_v2") == "published"
    told.pop(f"{spelt}_rows", None)
    assert set(told.values()) == {"unchanged"}
    assert place.version(port) == before
    assert listed(place)[spelt] == ("2099-03-31", [*own, "mail", "stats"])
    assert moved(place, "mail", spelt) == (*own, "stats")
    assert set(place.statuses().values()) == {"unchanged"}
    assert listed(place)[spelt] == ("2099-03-31", [*own, "stats"])
    assert moved(place, "stats", spelt) == tuple(own)
    assert set(place.statuses().values()) == {"unchanged"}
    assert listed(place)[spelt] == ("2099-03-31", [*own])
    return found


@pytest.mark.long
def test_a_port_of_dbt_is_served_by_two_models_and_its_readers_move(tmp_path):
    """Models of the project that refer to the old one go on to read it; a reader in dbt is moved as one in SQL is."""
    place = Place(tmp_path)
    place.domain("crm", "outputs: [{port: people}, {port: towns}]\n")
    place.write("dbt_projects/crm/dbt_project.yml", PROJECT.replace("NAME", "crm"))
    place.write("dbt_projects/crm/models/staging/raw_people.sql", ROWS)
    model = "{{ config(tags=['daily']) }}\nwith raw as (select * from {{ ref('raw_people') }})\nselect id::bigint as id, town, age from raw -- all\n"
    place.write("dbt_projects/crm/models/ports/people.sql", model)
    place.write(
        "dbt_projects/crm/models/ports/towns.sql", "select town, count(*) as n from {{ ref('people') }} group by 1"
    )
    place.write(
        "dbt_projects/crm/models/schema.yml",
        "version: 2\nmodels:\n  - name: people\n    columns:\n      - {name: id, data_tests: [unique]}\n",
    )
    place.contract("crm.people", COLUMNS)
    place.contract("crm.towns", {"town": "VARCHAR", "n": "BIGINT"})
    readers(place, "crm.people", "stats")
    place.domain("mail", "inputs: [{port: crm.people}]\noutputs: [{port: letters}]\n")
    place.write("dbt_projects/mail/dbt_project.yml", PROJECT.replace("NAME", "mail"))
    place.write(
        "dbt_projects/mail/models/staging/grown.sql",
        "select people.* from {{ source('crm', 'people') }} where people.age > 18",
    )
    place.write("dbt_projects/mail/models/ports/letters.sql", "select id, town from {{ ref('grown') }}")
    place.write(
        "dbt_projects/mail/models/schema.yml",
        """
        version: 2
        # whom we read
        sources: [{name: crm, tables: [{name: people}]}]
        models:
          - name: letters
            columns:
              - name: town
                data_tests:
                  - relationships: {arguments: {to: "source('crm', 'people')", field: town}}
        """,
    )
    place.contract("mail.letters", {"id": "BIGINT", "town": "VARCHAR"})
    assert set(place.statuses().values()) == {"published"}
    found = beside(place, "crm.people", own=("crm",), rename=["town=city"])
    assert "source('crm', 'people_v2')" in (place.root / "dbt_projects/mail/models/staging/grown.sql").read_text()
    assert (found.rows, found.differ) == (2, 0)
    assert place.rows("select id, city from crm.people_v2 order by id") == [(1, "Bern"), (2, "Basel")]
    told = (place.root / "dbt_projects/mail/models/schema.yml").read_text()
    assert "name: people_v2" in told
    assert "field: city" in told
    assert "# whom we read" in told


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("models/ports/people.sql", "{{ config(materialized='incremental') }} select 1::bigint as id", "incremental model"),
        ("models/ports/people.sql", "{{ config(alias='folk') }} select 1::bigint as id", "`alias`"),
        ("models/ports/people_v2.sql", "{{ config(materialized='ephemeral') }} select 1 as id", "a model of that name"),
        ("models/a.yml", "models: [{name: people, latest_version: 1, versions: [{v: 1}]}]\n", "versions in dbt"),
        ("models/a.yml", "unit_tests: [{name: u, model: people, given: [], expect: {rows: []}}]\n", "unit tests"),
    ],
)  # fmt: skip
def test_models_that_a_person_has_to_write_are_told(tmp_path, path, text, why):
    place = Place(tmp_path)
    place.domain("crm", "outputs: [{port: people}]\n")
    place.write("dbt_projects/crm/dbt_project.yml", PROJECT.replace("NAME", "crm"))
    place.write("dbt_projects/crm/models/ports/people.sql", "select 1::bigint as id")
    place.contract("crm.people", {"id": "BIGINT"})
    place.write(f"dbt_projects/crm/{path}", text)
    with pytest.raises(UsageError, match=why):
        serving(place.env(), "crm/people", sunset=SUNSET, rename=["id=key"])


PARTS = "partitions: daily, partition_by: day, start: 2026-01-01"


def partitioned(place, mapping=""):
    """A port with a partition for each day, of raw files."""
    place.domain(
        "crm",
        "inputs: [{source: raw/people/*.csv, as: raw_people}]\noutputs: [{port: people}]\n"
        f"tables:\n  raw_people: {{{PARTS}}}\n  people: {{{PARTS}{mapping}}}\n"
        if mapping
        else "inputs: [{source: raw/people/*.csv, as: raw_people}]\noutputs: [{port: people}]\n"
        f"tables:\n  people: {{{PARTS}}}\n",
    )
    place.write("domains/crm/raw/people/1.csv", "day,id,town,age\n2026-01-01,1,Bern,30\n2026-01-02,2,Basel,40\n")
    place.contract("crm.raw_people", {"day": "DATE", **COLUMNS})
    place.sql(
        "crm.people",
        "select * from crm.raw_people\nwhere day >= getvariable('partition_start') and day < getvariable('partition_end')",
    )
    place.contract("crm.people", {"day": "DATE; required: true", **COLUMNS})
    readers(place, "crm.people", "mail", "stats")


@pytest.mark.long
def test_a_port_with_partitions_is_served_part_by_part(tmp_path):
    """Also by another name of the column that says which part; a part that changes goes through both versions."""
    place = Place(tmp_path)
    partitioned(place)
    assert set(place.statuses().values()) == {"published"}
    found = beside(place, "crm.people", rename=["day=seen_on", "town=city"], retype=["age:BIGINT"])
    assert (found.rows, found.differ) == (2, 0)
    old, new = (place.env().mesh.tables[f"crm.{name}"] for name in ("people", "people_v2"))
    assert (old.partitions.by, new.partitions.by, old.mappings["crm.people_v2"].before) == ("day", "seen_on", 0)
    place.write("domains/crm/raw/people/2.csv", "day,id,town,age\n2026-01-03,3,Chur,50\n")
    assert set(place.statuses().values()) == {"published"}
    assert place.rows("select day::varchar, town from crm.people where id = 3") == [("2026-01-03", "Chur")]
    assert place.rows("select seen_on::varchar, city, age from crm.people_v2 where id = 3") == [
        ("2026-01-03", "Chur", 50)
    ]


@pytest.mark.long
def test_parts_that_are_published_and_could_not_be_made_again_are_not_lost(tmp_path):
    """The new version begins without a past: where its inputs hold one part no longer, nothing is written."""
    place = Place(tmp_path)
    partitioned(place)
    place.run()
    place.write("domains/crm/raw/people/1.csv", "day,id,town,age\n2026-01-02,2,Basel,40\n")
    place.run("crm/raw_people")
    found = serving(place.env(), "crm/people", sunset=SUNSET, rename=["town=city"])
    assert not found.fine
    assert found.tried[0].why.startswith("its SQL does not give the rows of 2026-01-01 again, which are published")
    with pytest.raises(UsageError, match="`day` says which part a row belongs to"):
        serving(place.env(), "crm/people", sunset=SUNSET, drop=["day"])


@pytest.mark.long
@pytest.mark.skipif(shutil.which("sh") is None, reason="the program of this test is one for sh")
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_port_of_a_program_keeps_its_rows_under_another_name(tmp_path, kind):
    """The program is run under its new name before that is written."""
    place = Place(tmp_path)
    place.domain(
        "crm",
        "outputs: [{port: people}]\n"
        "tables:\n  # what the other system says\n"
        f"  people: {{toolchain: pipes.subprocess, command: [sh, make.sh], format: {kind}, expected_by: '09:00 UTC'}}\n",
    )
    rows = {
        "csv": "id,town,age\\n1,007,30\\n2,Basel,\\n",
        "jsonl": '{"id": 1, "town": "007", "age": 30}\\n{"id": 2, "town": "Basel"}\\n',
    }
    place.write("domains/crm/make.sh", f"printf '{rows[kind]}' > \"$MESH_OUTPUT\"\n")
    place.contract("crm.people", COLUMNS)
    readers(place, "crm.people", "mail", "stats")
    assert set(place.statuses().values()) == {"published"}
    found = beside(place, "crm.people", rename=["town=city"])
    assert found.plan.rows == "crm.people_rows"
    assert (found.rows, found.differ) == (2, 0)
    assert place.rows("select city, age from crm.people_v2 order by id") == [("007", 30), ("Basel", None)]
    told = (place.root / "domains/crm/domain.yaml").read_text()
    assert "people_rows: {toolchain: pipes.subprocess" in told
    assert "people: {expected_by: '09:00 UTC'}" in told


@pytest.mark.long
def test_a_program_that_asks_for_its_name_is_found_out(tmp_path):
    """It is told another name, and does something else then."""
    place = Place(tmp_path)
    place.domain(
        "crm",
        "outputs: [{port: people}]\ntables: {people: {toolchain: pipes.subprocess, command: [sh, make.sh], format: csv}}\n",
    )
    place.write("domains/crm/make.sh", 'test "$MESH_TABLE" = crm.people && printf "id\\n1\\n" > "$MESH_OUTPUT"\n')
    place.contract("crm.people", {"id": "BIGINT"})
    assert set(place.statuses().values()) == {"published"}
    found = serving(place.env(), "crm/people", sunset=SUNSET, rename=["id=key"])
    assert not found.fine
    assert found.tried[0].table == "crm.people_rows"
    assert "`sh make.sh` ended with exit code 1" in found.tried[0].why


@pytest.mark.long
def test_a_source_that_is_a_port_becomes_a_private_table(tmp_path):
    """What another system gives is as it is; the port's next version is made of it, and the old one of that."""
    place = Place(tmp_path)
    place.domain("crm", "inputs: [{source: raw/people.csv}]   # every night\noutputs: [{port: people}]\n")
    place.write("domains/crm/raw/people.csv", "id,town,age\n1,007,30\n2,Basel,40\n")
    place.contract("crm.people", COLUMNS)
    readers(place, "crm.people", "mail", "stats")
    assert set(place.statuses().values()) == {"published"}
    found = beside(place, "crm.people", rename=["town=city"], retype=["age:BIGINT"])
    assert found.plan.rows == "crm.people_rows"
    assert place.rows("select city, age from crm.people_v2 order by id") == [("007", 30), ("Basel", 40)]
    assert "# every night" in (place.root / "domains/crm/domain.yaml").read_text()
