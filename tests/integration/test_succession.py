"""A breaking change is served as the next version beside the old one, until the old one's readers have moved."""

import json
import subprocess
import sys
from datetime import date

import pytest
from typer.testing import CliRunner

from mesh_assets import modules, python
from mesh_assets.build import build
from mesh_assets.catalog import answers, standing
from mesh_assets.changes.moving import moving
from mesh_assets.changes.serve import serving, write
from mesh_assets.cli import app
from mesh_assets.deprecation import all_deprecated
from mesh_assets.errors import ConfigError, UsageError
from mesh_assets.mesh import examine, read_mesh
from mesh_assets.orchestration.load import load
from mesh_assets.orchestration.tables import make_of
from tests.making import Place
from tests.portal_mesh import Client, app_of

SUNSET = date(2099, 3, 31)
COLUMNS = {
    "id": "INTEGER; primaryKey: true; required: true",
    "city": "VARCHAR; required: true",
    "order": "INTEGER",
    "age": "INTEGER",
}
ROWS = """
-- Who they are; the last line is a comment, too.
with raw as (select * from (values (1, 'Bern', 10, 30), (2, 'Basel', null, 40)) as t(id, city, "order", age))
select id, city, "order", age from raw -- done
"""
RULE = """
- id: few_live_in_one_city
  description: The city is in it twice.
  type: sql
  query: |
    select count(city) - count(distinct city)
    from {table}
  mustBe: 0
- id: age_is_plausible
  type: sql
  query: select count(*) from {table} where age > 120
  mustBe: 0
"""


def texts(root):
    """What people wrote in a mesh's folder; bytecode and the lake are not it."""
    return {
        path: path.read_text()
        for path in root.rglob("*.*")
        if path.is_file() and not {".mesh", "__pycache__"} & set(path.parts)
    }


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """Built once; nobody may change it."""
    place = written(tmp_path_factory.mktemp("succession"))
    built(place)
    return place


@pytest.fixture
def place(once, tmp_path):
    """A copy to change."""
    return once.copied(tmp_path / "mesh")


def written(tmp_path):
    """`crm` gives `people`, once in SQL and once in Python; `mail` reads it in SQL, `stats` in SQL and by `*`, `chart` in Python."""
    place = Place(tmp_path)
    outputs = "outputs:\n  - port: people            # whom we know\n    compatibility: full\n  - port: towns             # where they live\n"
    place.domain("crm", outputs)
    place.sql("crm.people", ROWS)
    place.contract("crm.people", COLUMNS, quality=RULE)
    place.write(
        "domains/crm/assets.py",
        """
        import mesh_assets
        import polars as pl


        @mesh_assets.table
        def towns(people: pl.DataFrame) -> pl.DataFrame:
            return people.group_by("city").len("people").sort("city")
        """,
    )
    place.contract("crm.towns", {"city": "VARCHAR; required: true", "people": "BIGINT"})
    place.domain(
        "mail", "inputs:\n  - port: crm.people\n    contract: in_people.odcs.yaml\noutputs: [{port: letters}]\n"
    )
    place.sql(
        "mail.letters",
        "select people.id, 'to ' || people.city as address, city\nfrom crm.people\nwhere people.age > 18",
    )
    reference = "INTEGER; required: true; relationships: [{to: crm.people.id}]"
    place.contract("mail.letters", {"id": reference, "address": "VARCHAR; required: true", "city": "VARCHAR"})
    place.contract("mail.people", {"city": "VARCHAR; required: true"}, name="in_people")
    place.domain("stats", "inputs: [{port: crm.people}, {port: crm.towns}]\noutputs: [{port: mirror}]\n")
    place.sql("stats.mirror", "select p.*, t.people from crm.people as p join crm.towns as t using (city)")
    place.contract("stats.mirror", {"city": "VARCHAR; required: true", "people": "BIGINT"})
    place.domain("chart", "inputs: [{port: crm.people}]\noutputs: [{port: bars}]\n")
    place.write(
        "domains/chart/assets.py",
        """
        import mesh_assets
        import polars as pl


        @mesh_assets.table(inputs=["crm.people"], columns={"crm.people": ["age"]})
        def bars(people: pl.DataFrame) -> pl.DataFrame:
            return people.select(pl.col("age").sum())
        """,
    )
    place.contract("chart.bars", {"age": "BIGINT"})
    return place


def built(place):
    """Build every table, each in a run of its own; what came of each."""
    outcomes = {}
    for name in [name for name in sys.modules if name.startswith(modules.PACKAGE)]:
        del sys.modules[name]  # files are read once in a process
    env = place.env()
    for name, table in env.mesh.tables.items():
        module = modules.load(table.domain, env.mesh.domains[table.domain].path)
        functions = {f"{table.domain}.{item.name}": item for item in python.tables_of(module)} if module else {}
        run = f"{name} {len(env.ledger.attempts())} {env.lake.head()}"
        outcomes[name] = build(
            env, table, make_of(env.mesh, table, functions), run=run, closure=True, retry=True
        ).status
    return outcomes


def served(place, port="crm/people", **asked):
    """Serve the next version, and write it."""
    env = place.env()
    found = serving(env, port, sunset=SUNSET, **asked)
    assert found.fine, [one for one in found.tried if not one.fine]
    write(env, found.plan.files)
    return found


def command(place, *words):
    return CliRunner().invoke(app, [*words, "--mesh", str(place.root)], env={"MESH_HOME": str(place.root / ".mesh")})


def test_the_old_version_is_made_of_the_new_one_and_its_readers_notice_nothing(place):
    before = place.version("crm.people")
    found = served(place, rename=["city=town", "order=rank"], retype=["age:BIGINT"])
    assert (found.rows, found.differ) == (2, 0)
    assert {one.table for one in found.tried} == {
        "crm.people_v2", "crm.people", "crm.towns", "mail.letters", "stats.mirror", "chart.bars",
    }  # fmt: skip
    assert examine(place.root)[1] == ()
    outcomes = built(place)
    assert outcomes.pop("crm.people_v2") == "published"
    assert set(outcomes.values()) == {"unchanged"}
    assert place.version("crm.people") == before
    assert place.rows("select * from crm.people_v2 order by id") == [(1, "Bern", 10, 30), (2, "Basel", None, 40)]
    new, old = (place.env().mesh.tables[f"crm.{name}"].contract for name in ("people_v2", "people"))
    assert [(column.name, column.type) for column in new.columns] == [
        ("id", "INTEGER"), ("town", "VARCHAR"), ("rank", "INTEGER"), ("age", "BIGINT"),
    ]  # fmt: skip
    assert (new.version, new.status, old.version, old.status) == ("2.0.0", "active", "1.0.0", "deprecated")
    assert {test.name for test in new.tests} >= {"few_live_in_one_city", "town__required", "primary_key"}
    assert "# whom we know" in (place.root / "domains/crm/domain.yaml").read_text()


def test_rules_and_columns_that_are_gone_are_left_out_and_told(place):
    """What was nullable and is gone is null in the old version; only who reads it would mind."""
    found = serving(place.env(), "crm/people", sunset=SUNSET, drop=["order"])
    assert "cast(null as INTEGER) as" in found.plan.shim
    assert found.differ == 1  # one of the two had no value before
    assert found.fine
    found = serving(place.env(), "crm/people", sunset=SUNSET, drop=["age"])
    assert found.plan.notes == ("the rule `age_is_plausible` needs `age`, which is gone: people_v2 is without it",)
    assert {one.table for one in found.tried if not one.fine} == set()  # no test of the readers sees that it is null


def test_what_is_said_of_another_type_of_column_is_left_out_and_told(place):
    limits = "INTEGER; logicalTypeOptions: {minimum: 0, format: i32}"
    place.contract("crm.people", COLUMNS | {"order": limits}, quality=RULE)
    found = serving(place.env(), "crm/people", sunset=SUNSET, retype=["order:DOUBLE"])
    assert found.plan.notes == ("`format` of `order` is of the type integer: people_v2 is without it",)
    assert "minimum: 0" in found.plan.files["domains/crm/contracts/people_v2.odcs.yaml"][1]
    found = serving(place.env(), "crm/people", sunset=SUNSET, retype=["order:VARCHAR"])
    assert found.plan.notes == ("`minimum`, `format` of `order` are of the type integer: people_v2 is without them",)
    assert "logicalTypeOptions" not in found.plan.files["domains/crm/contracts/people_v2.odcs.yaml"][1]


def test_code_in_python_keeps_its_rows_under_another_name(place):
    found = served(place, "crm/towns", rename=["people=inhabitants"])
    assert found.plan.rows == "crm.towns_rows"
    assert "def towns_rows(people" in (place.root / "domains/crm/assets.py").read_text()
    outcomes = built(place)
    assert (outcomes.pop("crm.towns_rows"), outcomes.pop("crm.towns_v2")) == ("published", "published")
    assert set(outcomes.values()) == {"unchanged"}
    assert place.rows("select town.inhabitants from crm.towns_v2 as town") == [(1,), (1,)]


def test_what_the_old_version_could_not_be_made_of_is_not_written(place):
    before = texts(place.root)
    with pytest.raises(UsageError, match="`city` is promised in every row, and cannot be had back"):
        serving(place.env(), "crm/people", sunset=SUNSET, drop=["city"])
    # Text that is no number has no way back.
    result = command(place, "change", "serve", "crm/people", "--retype", "city:INTEGER", "--sunset", "2099-03-31")
    assert result.exit_code == 1
    assert "Nothing was written" in result.stderr
    assert "FAIL  crm/people" in result.stdout
    report = json.loads(
        command(
            place,
            "change",
            "serve",
            "crm/people",
            "--rename",
            "city=town",
            "--sunset",
            "2099-03-31",
            "--dry-run",
            "--json",
        ).stdout
    )
    assert (report["fine"], report["written"], report["rows"]) == (True, False, {"compared": 2, "differ": 0})
    assert {item["path"].rpartition("/")[2] for item in report["files"]} == {
        "domain.yaml", "people.sql", "people_v2.sql", "people.odcs.yaml", "people_v2.odcs.yaml",
    }  # fmt: skip
    now = texts(place.root)
    assert now == before


@pytest.mark.parametrize(
    ("port", "asked", "why"),
    [
        ("crm/people", {}, "nothing is to be changed"),
        ("crm/peopel", {"drop": ["age"]}, "there is no table `crm/peopel`"),
        ("crm/people", {"drop": ["aeg"]}, "crm/people has no column `aeg`"),
        ("crm/people", {"retype": ["age:INTEGERS"]}, "`age` has the type `INTEGERS`, which is no type of DuckDB"),
        (
            "crm/people",
            {"retype": ["age:HUGEINT"]},
            "`age` has the type `HUGEINT`, which the lake cannot hold without loss",
        ),
        ("crm/people", {"retype": ["age:DECIMAL(50,2)"]}, "`age` has the type `DECIMAL"),
        ("crm/people", {"retype": ["age"]}, "`age` names no type"),
        ("crm/people", {"rename": ["age"]}, "`age` is no pair of names"),
        ("crm/people", {"rename": ["age=a=b"]}, "`age=a=b` is no pair of names"),
        ("crm/people", {"rename": ["age=City"]}, "crm/people has a column `city` already"),
        ("crm/people", {"rename": ["age=x", "city=X"]}, "crm/people has a column `x` already"),
        ("crm/people", {"rename": ["age=x", "AGE=y"]}, "`age` is given two names"),
        ("crm/people", {"rename": ["age=x"], "drop": ["age"]}, "`age` cannot be dropped and changed at once"),
        ("crm/people", {"drop": ["age"], "successor": "towns"}, "there is a table crm/towns already"),
        ("stats/mirror", {"retype": ["people:BIGINT"]}, "nothing would change"),
    ],
)
def test_wrong_words_are_told(place, port, asked, why):
    with pytest.raises(UsageError, match=why):
        serving(place.env(), port, sunset=SUNSET, **asked)


def test_a_sunset_that_is_over_and_a_port_that_is_not_there_are_told(place):
    over = command(place, "change", "serve", "crm/people", "--drop-column", "age", "--sunset", "2020-01-31")
    assert isinstance(over.exception, UsageError)
    assert "2020-01-31 is over" in str(over.exception)
    with pytest.raises(UsageError, match="Did you mean `crm/people`"):
        moving(place.env(), "mail", "crm/peopel")


def test_what_a_program_should_not_write_is_left_to_a_person(place):
    place.domain("log", "outputs: [{port: lines}]\ntables: {lines: {load: append}}\n")
    place.sql("log.lines", "select 1 as id")
    place.contract("log.lines", {"id": "INTEGER"})
    with pytest.raises(UsageError, match="incremental"):
        serving(place.env(), "log/lines", sunset=SUNSET, rename=["id=key"])
    with pytest.raises(ConfigError, match="What would be written is not right"):
        serving(place.env(), "crm/people", sunset=SUNSET, rename=["age=the age"], successor="In")
    path = place.root / "domains/crm/assets.py"
    path.write_text(path.read_text() + "\n\nagain = towns\n")
    with pytest.raises(UsageError, match="`towns` is used in domains/crm/assets.py elsewhere"):
        serving(place.env(), "crm/towns", sunset=SUNSET, rename=["people=inhabitants"])
    # Without any rows the files can still be written; nobody says that they were tried.
    place.domain("late", "outputs: [{port: rows}]\n")
    place.sql("late.rows", "select 1 as id")
    place.contract("late.rows", {"id": "INTEGER"})
    found = serving(place.env(), "late/rows", sunset=SUNSET, rename=["id=key"])
    assert (found.rows, found.tried, found.fine) == (None, (), True)


def test_a_file_that_changes_meanwhile_is_not_overwritten(place):
    env = place.env()
    found = serving(env, "crm/people", sunset=SUNSET, rename=["city=town"])
    place.sql("crm.people", "select 1 as id, 'Bern' as city, 1 as \"order\", 2 as age")
    with pytest.raises(UsageError, match=r"people\.sql has changed meanwhile"):
        write(env, found.plan.files)
    assert not (place.root / "domains/crm/sql/people_v2.sql").exists()


def test_a_reader_moves_and_is_no_reader_of_the_old_version_any_more(place):
    served(place, rename=["city=town"])
    built(place)
    readers = [one.domain for one in all_deprecated(read_mesh(place.root))[0].readers]
    assert readers == ["chart", "crm", "mail", "stats"]
    code = place.root / "domains/chart/assets.py"
    plain = code.read_text()
    code.write_text(plain.replace("-> pl.DataFrame:\n    return", "-> pl.DataFrame: return"))
    with pytest.raises(
        UsageError, match=r"chart/bars \(domains/chart/assets.py:6:1\) is not in SQL, nor declared plainly"
    ):
        moving(place.env(), "chart", "crm/people")
    code.write_text(plain)
    with pytest.raises(UsageError, match="no successor"):
        moving(place.env(), "stats", "crm/towns")
    result = command(place, "change", "move", "mail", "crm/people", "--json")
    assert result.exit_code == 0, result.exception
    report = json.loads(result.stdout)
    assert (report["renamed"], report["left"]) == ({"city": "town"}, ["chart", "crm", "stats"])
    assert report["tried"] == [
        {"table": "mail/letters", "fine": True, "why": "gives the same 2 rows", "tests": {"pass": 5, "fail": 0}}
    ]
    # `city` is an output, too: its name must stay.
    assert (place.root / "domains/mail/sql/letters.sql").read_text() == (
        "select people.id, 'to ' || people.city as address, city\n"
        "from (select * rename (town as city) from crm.people_v2) as people\nwhere people.age > 18"
    )
    assert examine(place.root)[1] == ()
    assert "to: crm.people_v2.id" in (place.root / "domains/mail/contracts/letters.odcs.yaml").read_text()
    found = moving(place.env(), "stats", "crm/people")  # what its `*` brings along keeps its name, too
    assert (found.fine, [one.why for one in found.tried], found.left) == (
        True,
        ["gives the same 2 rows"],
        ("chart", "crm"),
    )
    found = moving(place.env(), "chart", "crm/people")  # a function in Python is called with what it was called with
    assert (found.fine, [one.why for one in found.tried], found.left) == (
        True,
        ["gives the same 1 row"],
        ("crm", "stats"),
    )
    assert set(built(place).values()) == {"unchanged"}
    listed = json.loads(command(place, "change", "list", "--json").stdout)["deprecated"]
    assert [reader["domain"] for reader in listed[0]["readers"]] == ["chart", "crm", "stats"]


def test_a_deprecated_port_says_so_wherever_it_is_shown(place):
    git = ["git", "-C", str(place.root), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", "domains", "mesh.yaml"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    served(place, rename=["city=town"])
    said = "deprecated, sunset is on 2099-03-31; read crm/people_v2 instead; still read by chart, crm, mail, stats"
    assert f"crm/people is {said}" in " ".join(command(place, "status").stdout.split())
    impact = command(
        place, "impact", "--port", "crm/people", "--drop-column", "age", "--retype", "id:DECIMAL(9,0)"
    ).stdout
    assert f"crm/people is {said}" in impact
    beside = "mesh change serve crm/people --retype 'id:DECIMAL(9,0)' --drop-column age --sunset DATE"
    assert beside in " ".join(impact.split())
    assert f"crm/people is {said}" in command(place, "impact").stdout  # since the last commit; nothing else has changed
    subprocess.run([*git, "add", "domains"], check=True)
    subprocess.run([*git, "commit", "-qm", "two"], check=True)
    assert command(place, "impact").stdout == ""
    checked = command(place, "check", "--json")
    assert checked.exit_code == 0
    assert [problem["code"] for problem in json.loads(checked.stdout)["warnings"]] == ["M418"] * 4
    env = place.env()
    now = standing.stand(env)
    found = answers.answer(env, now, answers.Address(domain="crm", table="people"), "what")
    assert found["deprecated"]["says"] == said
    assert (
        answers.answer(env, now, answers.Address(domain="crm", table="people_v2"), "what")["succeeds"] == "crm/people"
    )
    client = Client(app_of(place))
    page = client.get("/mesh/domains/crm/people/what").text
    assert "its sunset is on 2099-03-31" in page
    assert 'href="/mesh/domains/crm/people_v2' in page
    assert "The next version of" in client.get("/mesh/domains/crm/people_v2/what").text
    specs = {
        spec.key.to_user_string(): spec
        for spec in load(place.root, settings=place.settings).definitions.resolve_all_asset_specs()
    }
    spec = specs["crm/people"]
    assert spec.tags["mesh/lifecycle"] == "deprecated"
    assert (spec.metadata["mesh/sunset"], spec.metadata["mesh/deprecated"]) == ("2099-03-31", True)
    assert spec.metadata["mesh/successor"].value.to_user_string() == "crm/people_v2"
    assert said[1:] in spec.description
    assert said in specs["mail/in/crm__people"].description
    assert "mesh/lifecycle" not in specs["crm/people_v2"].tags
