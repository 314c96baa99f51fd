"""New names of a port's columns, and the code of its readers: one patch, whatever the code is written in."""

import subprocess
from contextlib import closing

import pytest

from mesh_assets.changes.adapting import Readers
from mesh_assets.changes.impact import assess
from mesh_assets.changes.lineage import Over
from mesh_assets.changes.proposed import asked, between, mesh_at
from mesh_assets.mesh import examine, read_mesh
from tests.making import Place

PROJECT = """
name: crew
profile: crew
model-paths: [models]
models:
  crew:
    +materialized: table
    staging: {+materialized: ephemeral}
"""
PEOPLE = {"id": "INTEGER", "town": "VARCHAR", "age": "INTEGER"}
RENAME = ["town=the town", "age=years"]


@pytest.fixture
def place(tmp_path):
    """`crm.people` has three columns; everybody reads some of them: `post` in SQL, `crew` in dbt, `desk` in Python."""
    place = Place(tmp_path)
    place.domain("crm", "outputs: [{port: people}]\n")
    place.sql("crm.people", "select 1 as id, 'Bern' as town, 30 as age")
    place.contract("crm.people", PEOPLE)
    reads = "inputs:\n  - port: crm.people\n    contract: in_people.odcs.yaml\n"
    place.domain("post", f"{reads}outputs: [{{port: letters}}]\n")
    place.contract("post.people", {"town": "VARCHAR"}, name="in_people")
    place.contract("post.letters", {"id": "INTEGER"})
    place.sql("post.letters", "select p.id, p.town,\n    p.age > 18 as grown\nfrom crm.people as p")
    place.sql("post.copies", "select * from crm.people")
    place.domain("crew", "inputs: [{port: crm.people}]\noutputs: [{port: members}]\n")
    place.write("dbt_projects/crew/dbt_project.yml", PROJECT)
    place.write(
        "dbt_projects/crew/models/staging/grown.sql", "select id from {{ source('crm', 'people') }} where age > 18"
    )
    place.write("dbt_projects/crew/models/members.sql", "select id from {{ ref('grown') }}")
    place.write("dbt_projects/crew/models/places.sql", "select town || '!' as town from {{ source('crm', 'people') }}")
    place.write(
        "dbt_projects/crew/models/sources.yml", "version: 2\nsources: [{name: crm, tables: [{name: people}]}]\n"
    )
    for table in ("members", "places"):
        place.contract(f"crew.{table}", {"id": "INTEGER"} if table == "members" else {"town": "VARCHAR"})
    place.domain("desk", "inputs: [{port: crm.people}]\noutputs: [{port: notes}]\n")
    place.write("domains/desk/assets.py", ASSETS)
    place.contract("desk.notes", {"town": "VARCHAR"})
    return place


ASSETS = """
import mesh_assets
import polars as pl


@mesh_assets.table(inputs=["crm.people"], columns={"crm.people": ["id", "town"]})
def notes(people: pl.DataFrame) -> pl.DataFrame:
    return people.select("town")
"""


def offered(place, **question):
    mesh, problems = examine(place.root)
    assert list(map(str, problems)) == []
    columns = {"crm.people": tuple(PEOPLE.items())}
    change = asked(mesh, columns, "crm/people", **question)
    return patches(mesh, change)


def patches(mesh, change):
    hit = [one.table for one in assess(mesh, change.columns, change.start) if one.hit]
    now = Over({name: one.columns for name, one in change.start.items()}, change.columns)
    with closing(Readers(mesh=mesh, columns=change.columns, now=now, found=change.start)) as readers:
        return readers.patches(hit)


def changed(diff):
    return [line for line in diff.splitlines() if line[:1] in "+-" and not line.startswith(("+++", "---"))]


def test_a_patch_in_whatever_the_reader_is_written_and_its_contract_of_the_port_with_it(place):
    found = offered(place, rename=RENAME)
    assert set(found) == {"post.copies", "post.letters", "crew.members", "crew.places", "desk.notes"}
    assert changed(found["post.copies"]) == [
        "-      - name: town",
        "+      - name: the town",
        "-select * from crm.people",
        '+select * from (select * rename ("the town" as town, years as age) from crm.people) as people',
    ]
    assert changed(found["post.letters"]) == [
        "-from crm.people as p",
        '+from (select * rename ("the town" as town, years as age) from crm.people) as p',
    ]
    assert changed(found["crew.members"])[1] == (  # of the model that it reads, which uses one of both
        "+select id from (select * rename (years as age) from {{ source('crm', 'people') }}) as people where age > 18"
    )
    assert changed(found["crew.places"])[0] == "-select town || '!' as town from {{ source('crm', 'people') }}"
    assert changed(found["desk.notes"]) == [
        '-@mesh_assets.table(inputs=["crm.people"], columns={"crm.people": ["id", "town"]})',
        '+@mesh_assets.table(inputs=["crm.people"], columns={"crm.people": ["id", "the town"]})',
        '+    people = people.rename({"the town": "town"})',
    ]


def test_new_names_are_put_in_where_they_stay_within_the_readers_code(place):
    place.sql("post.letters", "select p.id,\n    p.town,\n    p.age > 18 as grown\nfrom crm.people as p")
    found = offered(place, rename=["town=select"])
    assert changed(found["post.letters"])[-1] == '+    p."select" as town,'
    where = "select id from {{ source('crm', 'people') }} as p where p.town > 'B'"
    place.write("dbt_projects/crew/models/members.sql", where)
    found = offered(place, rename=["town=city"])
    assert changed(found["crew.members"])[-1] == f"+{where.replace('town', 'city')}"


def test_there_is_no_patch_where_a_column_is_gone_that_is_read_as_well(place):
    assert set(offered(place, rename=["age=years"], drop=["town"])) == {"crew.members"}


def test_there_is_no_patch_of_a_file_that_cannot_be_written_again(place):
    """It is read all the same: what is offered must not stop what is asked."""
    twice = "version: 2\nmodels: [{name: members, columns: [], columns: []}]\n"
    place.write("dbt_projects/crew/models/twice.yml", twice)
    assert set(offered(place, rename=RENAME)) == {"post.copies", "post.letters", "desk.notes"}


def test_a_reader_that_has_followed_in_the_same_change_is_not_hit(place):
    git = ["git", "-C", str(place.root), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    place.sql("crm.people", "select 1 as id, 'Bern' as city, 30 as age")
    came = "VARCHAR; customProperties: [{property: cameFrom, value: town}]"
    place.contract("crm.people", {"id": "INTEGER", "city": came, "age": "INTEGER"})

    def told():
        now = read_mesh(place.root)
        with mesh_at(now, "HEAD") as base:
            change = between(base, now, {})
            verdicts = {one.table: str(one.verdict) for one in assess(now, change.columns, change.start)}
            return verdicts, patches(now, change)

    verdicts, offers = told()
    assert set(verdicts.values()) == {"breaking", "compatible"}
    for text in offers.values():
        subprocess.run([*git, "apply", "-"], input=text, text=True, check=True)
    verdicts, offers = told()
    assert (set(verdicts.values()), offers) == ({"compatible"}, {})
