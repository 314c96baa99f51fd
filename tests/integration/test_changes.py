"""A change that would hurt a reader is refused before anybody sees it; the reader's own tests are asked first."""

import itertools
import shutil
import subprocess
from dataclasses import replace
from datetime import date

import pytest
from typer.testing import CliRunner

from mesh_assets.build import build
from mesh_assets.changes.ask import ask, told
from mesh_assets.changes.compatible import compatible
from mesh_assets.changes.known import known_columns
from mesh_assets.changes.pages import listed, shown
from mesh_assets.changes.proposed import asked, between, mesh_at, steps
from mesh_assets.changes.record import Answer, ChangeRecord
from mesh_assets.changes.rehearse import rehearse
from mesh_assets.changes.texts import text_of
from mesh_assets.cli import app
from mesh_assets.errors import UsageError
from mesh_assets.mesh import read_mesh
from mesh_assets.orchestration.tables import make_of
from tests.making import Place

COLUMNS = {"id": "INTEGER; required: true", "name": "VARCHAR", "grade": "VARCHAR", "age": "INTEGER"}
ROWS = "(values (1, 'Ada', 'a', 30), (2, 'Bo', 'b', 40)) as t(id, name, grade, age)"


@pytest.fixture
def place(tmp_path):
    """`crm` gives `people`; `mail` reads their names, `stats` their grades by way of a private table."""
    place = Place(tmp_path)
    place.domain("crm", "outputs: [{port: people}]\n")
    place.sql("crm.people", f"select * from {ROWS}")
    place.contract("crm.people", COLUMNS)
    place.domain("mail", "inputs: [{port: crm.people}]\noutputs: [{port: letters}]\n")
    place.sql("mail.letters", "select id, 'Dear ' || name as greeting\nfrom crm.people")
    place.contract("mail.letters", {"id": "INTEGER; required: true", "greeting": "VARCHAR; required: true"})
    place.domain("stats", "inputs: [{port: crm.people}]\noutputs: [{port: grades}]\n")
    place.sql("stats.mirror", "select * from crm.people")
    place.sql("stats.grades", "select grade, count(*) as people from stats.mirror group by grade")
    place.contract("stats.grades", {"grade": "VARCHAR; required: true", "people": "BIGINT"})
    return place


RUNS = itertools.count()


def built(place, *tables, tolerant=False):
    """Build tables one after the other, each in a run of its own: what `mesh run` does, without Dagster."""
    outcomes = {}
    env = place.env(tolerant=tolerant)
    for name in tables or env.mesh.tables:
        table = env.mesh.tables[name]
        run = f"{name} {next(RUNS)}"
        outcomes[name] = build(env, table, make_of(env.mesh, table, {}), run=run, closure=True, retry=True)
    return outcomes


def record(place, *, tolerant=False):
    env = place.env(tolerant=tolerant)
    env.sync()
    found = ChangeRecord(env)
    found.sync()
    return found


def test_a_dropped_column_is_refused_for_whom_it_breaks_and_nobody_else_is_named(place):
    built(place)
    place.sql("crm.people", f"select id, grade, age from {ROWS}")
    place.contract("crm.people", {name: COLUMNS[name] for name in ("id", "grade", "age")})
    outcome = built(place, "crm.people")["crm.people"]
    assert outcome.status == "held"
    assert "it would break mail at domains/mail/sql/letters.sql:1: `name` is gone" in outcome.message
    assert "stats" not in outcome.message
    (proposal,) = record(place).proposals()
    readers = {reader["domain"]: reader for reader in proposal.report["readers"]}
    assert (readers["mail"]["verdict"], readers["mail"]["known"]) == ("breaking", "proven")
    assert readers["stats"]["verdict"] == "compatible"  # its `*` takes the name along, and nobody uses it
    assert place.rows("select count(name) from crm.people") == [(2,)]


def test_what_nobody_reads_may_go_and_what_is_new_may_come(place):
    built(place)
    place.sql("crm.people", f"select id, name, grade, 'x' as extra from {ROWS}")
    place.contract("crm.people", {name: COLUMNS[name] for name in ("id", "name", "grade")})
    assert built(place, "crm.people")["crm.people"].status == "published"
    (event,) = record(place).events(port="crm.people")
    assert {change.kind for change in event.changes} == {"column_removed", "column_added"}


ASSET = """
import dagster as dg
import polars as pl


@dg.asset(ins={"people": dg.AssetIn(["crm", "people"])})
def letters(%s):
    %s
"""
CALLED = {
    "people: pl.DataFrame": "return people.select('id', ('Dear ' + pl.col('name')).alias('greeting'))",
    "people": "return people.select('id', pl.lit('Dear').alias('greeting'))",
    "people: pl.DataFrame, ": "return dg.Output(people.select('id', pl.col('name').alias('greeting')))",
}
ONLY_BY_DAGSTER = {
    "context: dg.AssetExecutionContext, people: pl.DataFrame": "return people",
    "people: pl.LazyFrame": "yield dg.Output(people)",
}


@pytest.mark.parametrize(("given", "body"), [*CALLED.items(), *ONLY_BY_DAGSTER.items()])
def test_a_plain_asset_of_dagsters_is_run_on_candidates(place, given, body):
    """Its own tests decide, as those of a reader in SQL; what only a run can call stays unknown, and is not called broken."""
    (place.root / "domains/mail/sql/letters.sql").unlink()
    place.write("domains/mail/assets.py", ASSET % (given, body))
    built(place, "crm.people")
    answered, report = told(place.env(), port="crm/people", drop=["age"], run=True)
    (mail,) = (one for one in answered.report.readers if one.domain == "mail")
    expected = ("compatible", (4, 0)) if given in CALLED else ("unknown", None)
    assert (str(mail.verdict), mail.tests) == expected, report
    if given in ONLY_BY_DAGSTER:
        assert mail.evidence[-1].why == "its tests could not be run: its code can be run in Dagster only"


def test_a_producer_that_fails_or_cannot_be_run_leaves_its_readers_untried(place):
    """Their tests would pass on the rows of before, and prove nothing."""
    built(place)
    git = ["git", "-C", str(place.root), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    place.sql("crm.people", f"select id, name, grade, cast(age as bigint) as age from {ROWS}")
    at_most = {"age": "BIGINT; logicalTypeOptions: {maximum: 35}"}
    place.contract("crm.people", COLUMNS | at_most)
    answered, report = told(place.env(), run=True)
    assert report["failed"] == {"crm/people": "1 of 2 rows has an `age` above 35."}
    assert [one.tests for one in answered.report.readers] == [None, None]
    (place.root / "domains/crm/sql/people.sql").unlink()
    only_in_a_run = (
        "import dagster as dg\n\n\n@dg.asset\ndef people(context: dg.AssetExecutionContext):\n    return 1\n"
    )
    place.write("domains/crm/assets.py", only_in_a_run)
    answered, report = told(place.env(), run=True)
    why = "its code can be run in Dagster only; its readers were tried on the published rows, under the new columns"
    assert (report["failed"], report["not_run"]) == ({}, {"crm/people": why})
    place.contract("crm.people", COLUMNS | at_most | {"town": "VARCHAR"})
    assert told(place.env(), run=True)[1]["not_run"]["crm/people"].endswith("its readers were not run either")


def test_a_table_behind_a_star_is_hit_two_steps_on(place):
    built(place)
    place.sql("crm.people", f"select id, name, age from {ROWS}")
    place.contract("crm.people", {name: COLUMNS[name] for name in ("id", "name", "age")})
    outcome = built(place, "crm.people")["crm.people"]
    assert outcome.status == "held"
    assert "stats at domains/stats/sql/grades.sql:1" in outcome.message


def test_what_only_values_can_tell_is_told_by_the_readers_own_tests(place):
    """`name` may be null now. With a null in it, a test of `mail` fails; without, nobody is asked."""
    place.contract("crm.people", COLUMNS | {"name": "VARCHAR; required: true"})
    built(place)
    place.contract("crm.people", COLUMNS | {"age": "BIGINT"})
    place.sql("crm.people", "select * from (values (1, 'Ada', 'a', 30), (2, null, 'b', 40)) as t(id, name, grade, age)")
    outcome = built(place, "crm.people")["crm.people"]
    assert outcome.status == "held"
    assert "has no `greeting`" in outcome.message
    (proposal,) = record(place).proposals()
    (mail,) = [reader for reader in proposal.report["readers"] if reader["domain"] == "mail"]
    assert mail["tests"]["fail"] == 1
    assert mail["failing"][0]["name"] == "greeting__required"
    place.sql("crm.people", f"select * from {ROWS}")
    assert built(place, "crm.people")["crm.people"].status in ("published", "unchanged")


def test_a_test_that_fails_already_is_not_counted_and_its_rows_are_handed_on(place):
    built(place, "crm.people")
    place.contract("stats.mirror", {"id": "INTEGER; logicalTypeOptions: {maximum: 1}"})
    env = place.env()
    found = rehearse(env, env.mesh, ["stats.mirror", "stats.grades"], {})
    assert [(one.ran, one.failed) for one in found.values()] == [(True, ()), (True, ())]
    assert found["stats.grades"].passed > 0


def test_what_no_test_sees_is_broken_for_who_uses_it(place):
    place.contract("crm.people", COLUMNS | {"grade": "VARCHAR; customProperties: [{property: unit, value: letters}]"})
    built(place)
    place.contract("crm.people", COLUMNS | {"grade": "VARCHAR; customProperties: [{property: unit, value: points}]"})
    place.sql("crm.people", f"select id, name, grade, age + 0 as age from {ROWS} order by id")
    outcome = built(place, "crm.people")["crm.people"]
    # Only the words of the contract have changed, the rows are the same: it is judged all the same.
    assert outcome.status == "held"
    assert "stats at domains/stats/sql/grades.sql:1" in outcome.message


def test_columns_in_another_order_are_broken_for_who_takes_them_by_their_place(place):
    """Also behind a `*` that hands them on; who names them is not hit, and what came in another order once is no news the next time."""
    place.sql("mail.letters", "select i as id, 'Dear ' || n as greeting\nfrom crm.people as p(i, n)")
    built(place)
    turned = {name: COLUMNS[name] for name in ("id", "grade", "name", "age")}
    place.contract("crm.people", turned)
    outcome = built(place, "crm.people")["crm.people"]
    assert outcome.status == "held"
    assert "mail at domains/mail/sql/letters.sql:2: takes columns by their place" in outcome.message
    assert "stats" not in outcome.message
    place.sql("mail.letters", "select id, 'Dear ' || name as greeting from crm.people")
    place.sql("stats.grades", "select g as grade, count(*) as people from stats.mirror as m(i, n, g) group by g")
    outcome = built(place, "crm.people")["crm.people"]
    assert outcome.status == "held"
    assert "stats at domains/stats/sql/grades.sql:1: takes columns by their place" in outcome.message
    place.sql("stats.grades", "select grade, count(*) as people from stats.mirror group by grade")
    assert built(place, "crm.people")["crm.people"].status == "published"
    place.sql("mail.letters", "select i as id, 'Dear ' || n as greeting from crm.people as p(i, g, n)")
    place.sql("crm.people", f"select * from {ROWS} where id = 1")
    assert built(place, "crm.people")["crm.people"].status == "published"
    # That they came so is an event, once, of which the sensors of those who read it are told; lost, it is found again.
    book = record(place)
    (event,) = book.events(port="crm.people")
    assert [str(change.kind) for change in event.changes] == ["columns_reordered"]
    assert event.old == event.new
    assert book.rebuild() == 1
    assert book.events(port="crm.people") == (event,)
    env, today = place.env(), date(2030, 1, 31)
    mail, stats = (compatible(env, reader, "crm.people", today=today) for reader in ("mail", "stats"))
    assert (str(mail.verdict), mail.change, stats.fine) == ("breaking", event.id, True)
    assert "takes columns by their place" in mail.evidence[0].why
    # And back again: another event, of another id.
    place.contract("crm.people", COLUMNS)
    place.sql("mail.letters", "select id, 'Dear ' || name as greeting from crm.people")
    assert built(place, "crm.people")["crm.people"].status == "published"
    first, second = record(place).events(port="crm.people")
    assert (first, [change.after for change in second.changes]) == (event, ["id, name, grade, age"])
    assert first.id != second.id


def test_what_no_test_sees_stays_a_warning_of_the_reader_until_it_has_answered(place):
    """Its tables are built on it and pass, which proves nothing."""
    place.domain("crm", "outputs: [{port: people, compatibility: none}]\n")
    place.contract("crm.people", COLUMNS | {"grade": "VARCHAR; customProperties: [{property: unit, value: letters}]"})
    built(place)
    env, today = place.env(), date(2030, 1, 31)
    assert compatible(env, "stats", "crm.people", today=today).why == "it has not changed"
    place.contract("crm.people", COLUMNS | {"grade": "VARCHAR; customProperties: [{property: unit, value: points}]"})
    place.sql("crm.people", f"select id, name, grade, age + 1 as age from {ROWS}")
    assert {outcome.status for outcome in built(place).values()} == {"published", "unchanged"}
    env = place.env()
    found = compatible(env, "stats", "crm.people", today=today)
    assert (found.fine, found.built, str(found.verdict)) == (False, True, "breaking")
    assert found.why.startswith("breaking, and no test sees it: `grade` is in points now")
    assert found.evidence[0].path == "domains/stats/sql/grades.sql"
    assert compatible(env, "mail", "crm.people", today=today).fine  # it does not read it
    answer = Answer(id=found.change, reader="stats", answer="waive", who="ann", why="soon", until="2030-01-31")
    ChangeRecord(env).answer(answer)
    waived = compatible(env, "stats", "crm.people", today=today)
    assert (waived.fine, waived.why.endswith("waive by ann until 2030-01-31")) == (False, True)
    assert compatible(env, "stats", "crm.people", today=date(2030, 2, 1)).answer is None
    ChangeRecord(env).answer(replace(answer, answer="accept", until=""))
    assert compatible(env, "stats", "crm.people", today=today).fine


def test_a_waiver_lets_it_come_and_expires(place):
    built(place)
    place.sql("crm.people", f"select id, grade, age from {ROWS}")
    place.contract("crm.people", {name: COLUMNS[name] for name in ("id", "grade", "age")})
    assert built(place, "crm.people")["crm.people"].status == "held"
    book = record(place)
    (proposal,) = book.proposals()
    late = Answer(id=proposal.id, reader="mail", answer="waive", who="x", why="soon", until="2001-01-01")
    book.answer(late)
    assert built(place, "crm.people")["crm.people"].status == "held"
    words = ["change", "waive", proposal.id, "--why", "soon", "--mesh", str(place.root)]

    def waive(reader, until):
        told = [*words, "--as", reader, "--until", until]
        return CliRunner().invoke(app, told, env={"MESH_HOME": str(place.root / ".mesh")})

    assert isinstance(waive("crm", "2999-01-01").exception, UsageError)  # its own: nobody asks it
    assert isinstance(waive("mail", "2001-01-01").exception, UsageError)
    assert "Nobody else has to be asked" in waive("mail", "2999-01-01").output
    assert built(place, "crm.people")["crm.people"].status == "published"
    told = shown(place.env(), record(place), proposal.id)
    assert told["state"] == "published"
    assert [answer["holds"] for answer in told["answers"]] == [True]
    assert any("until 2999-01-01" in entry["what"] for entry in told["timeline"])


def test_a_lost_ledger_is_read_again_from_the_lake(place):
    built(place)
    place.sql("crm.people", f"select *, 1 as extra from {ROWS}")
    assert built(place, "crm.people")["crm.people"].status == "published"
    before = [(e.id, e.version) for e in record(place).events()]
    for file in place.root.glob(".mesh/ledger.sqlite*"):
        file.unlink()
    assert [(e.id, e.version) for e in record(place).events()] == before
    assert len(before) == 1  # the private mirror has `extra` too, and is nobody's port
    assert [row["state"] for row in listed(place.env(), record(place))["changes"]] == ["published"] * len(before)


def test_a_rename_is_offered_with_a_shim_and_a_patch_that_stand(place):
    built(place)
    env = place.env()
    env.sync()
    answered = ask(
        env, asked(env.mesh, known_columns(env), "crm/people", rename=["name=full_name"]), run=True, made=False
    )
    (mail,) = [reader for reader in answered.report.readers if reader.domain == "mail"]
    assert mail.verdict == "breaking"
    assert "full_name as name" in answered.shims["crm.people"]
    assert "+select id, 'Dear ' || full_name as greeting" in answered.patches["mail.letters"]
    # Published, it is refused, and whoever is asked is shown the same patch.
    place.sql("crm.people", f"select id, name as full_name, grade, age from {ROWS}")
    came = "VARCHAR; customProperties: [{property: cameFrom, value: name}]"
    place.contract("crm.people", {"id": COLUMNS["id"], "full_name": came, "grade": "VARCHAR", "age": "INTEGER"})
    assert built(place, "crm.people")["crm.people"].status == "held"
    book = record(place)
    (proposal,) = book.proposals()
    told = shown(place.env(), book, proposal.id)
    assert (told["patches"], told["by_hand"]) == ({"mail/letters": answered.patches["mail.letters"]}, {})


MANY = "(select i as id, 'n' || i as {name}, 'a' as grade, (i % 90)::INTEGER as age from range(40) t(i))"


def test_a_column_that_looks_like_the_one_that_is_gone_is_offered_and_not_assumed(place):
    place.sql("crm.people", f"from {MANY.format(name='name')}")
    place.contract("crm.people", COLUMNS | {"id": "INTEGER; primaryKey: true; required: true"})
    built(place)
    # The contract goes along, and does not say that it is the same column.
    place.sql("crm.people", f"from {MANY.format(name='full_name')}")
    columns = {"id": "INTEGER; primaryKey: true; required: true", "full_name": "VARCHAR"} | {
        name: COLUMNS[name] for name in ("grade", "age")
    }
    place.contract("crm.people", columns)
    outcome = built(place, "crm.people")["crm.people"]
    assert "it would break mail at domains/mail/sql/letters.sql:1: `name` is gone" in outcome.message
    assert "Is `full_name` the former `name`? the values agree in 100% of 40 rows" in outcome.message
    assert "`customProperties: [{property: cameFrom, value: name}]` at `full_name` in domains/crm" in outcome.message
    env = place.env()
    (proposal,) = ChangeRecord(env).proposals()
    (rename,) = shown(env, ChangeRecord(env), proposal.id)["renames"]
    assert (rename["from"], rename["to"], rename["how"]) == ("name", "full_name", "rows")
    assert {change["kind"] for change in proposal.report["changes"]} >= {"column_removed", "column_added"}
    # Said, it is a rename, and nothing is asked.
    columns["full_name"] = "VARCHAR; customProperties: [{property: cameFrom, value: name}]"
    place.contract("crm.people", columns)
    outcome = built(place, "crm.people")["crm.people"]
    assert "`name` is called `full_name` now" in outcome.message
    assert "former" not in outcome.message


def test_a_promised_column_that_is_missing_is_looked_for_among_the_new_ones(place):
    place.sql("crm.people", f"from {MANY.format(name='name')}")
    built(place)
    place.sql("crm.people", f"from {MANY.format(name='nom')}")
    message = built(place, "crm.people")["crm.people"].message
    assert "readers keep version" in message
    assert "Is `nom` the former `name`? 100% of their values are the same" in message


def test_a_new_name_is_told_from_the_code_and_with_the_rows_where_the_code_is_new(place):
    git = ["git", "-C", str(place.root), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    place.sql("crm.raw", f"from {MANY.format(name='name')}")
    place.sql("crm.people", "select id, trim(name) as name, grade, age from crm.raw")
    built(place)
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)

    def renames(query, *, run):
        place.sql("crm.people", query)
        place.contract("crm.people", {"id": COLUMNS["id"], "who": "VARCHAR", "grade": "VARCHAR", "age": "INTEGER"})
        answered, report = told(place.env(), base="HEAD", run=run)
        assert [item["to"] for item in report["renames"]] == [one.after for one in answered.renames]
        return [(one.before, one.after, one.how) for one in answered.renames]

    assert renames("select id, TRIM(r.name) as who, grade, age from crm.raw r", run=False) == [("name", "who", "code")]
    union = "select id, trim(name) as who, grade, age from crm.raw union all select * from crm.raw limit 0"
    assert renames(union, run=False) == [("name", "who", "code")]
    other = "select id, rtrim(ltrim(name)) as who, grade, age from crm.raw"
    assert renames(other, run=False) == []
    assert renames(other, run=True) == [("name", "who", "values")]


def test_the_working_tree_against_a_ref(place):
    git = ["git", "-C", str(place.root), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    with pytest.raises(UsageError, match="no git repository"), mesh_at(place.env().mesh, "HEAD"):
        pass
    subprocess.run([*git, "init", "-q"], check=True)
    with pytest.raises(UsageError, match="has no commit yet"), mesh_at(place.env().mesh, "HEAD"):
        pass
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    with pytest.raises(UsageError, match="no git ref `nope`"), mesh_at(place.env().mesh, "nope"):
        pass
    place.sql("crm.people", f"select id, grade, cast(age as bigint) as years, age from {ROWS}")
    place.contract("crm.people", {name: COLUMNS[name] for name in ("id", "grade", "age")})
    env = place.env()
    with mesh_at(env.mesh, "HEAD") as base:
        proposed = between(base, env.mesh, known_columns(env, base))
        found = ask(env, proposed).report
        problems = steps(base, env.mesh, found.needed)
    assert {(c.kind, c.column) for c in found.changes if c.port == "crm.people"} == {
        ("column_removed", "name"),
        ("column_added", "years"),
    }
    assert {reader.domain: str(reader.verdict) for reader in found.readers} == {
        "mail": "breaking",
        "stats": "compatible",
    }
    assert [problem.code for problem in problems] == ["M701"]
    assert "`version: 2.0.0`" in problems[0].mend
    place.sql("mail.letters", "select id, 'Dear ' || grade as greeting\nfrom crm.people")  # the reader goes along
    env = place.env()
    with mesh_at(env.mesh, "HEAD") as base:
        assert not ask(env, between(base, env.mesh, known_columns(env, base))).report.breaks


@pytest.mark.parametrize("inner", ["", "deep/er"])
def test_the_mesh_at_a_ref_is_the_one_that_was_committed(place, tmp_path, inner):
    """Domains that have not changed are not read again; whatever has, in whatever way, is."""
    root = tmp_path / "repository" / inner
    here = place.copied(root)
    here.write("domains/late/domain.yaml", "domain: late\n")
    for name in ("project", "loose"):
        here.domain(name, "outputs: [{port: rows}]\n")
        here.write(
            f"dbt_projects/{name}/dbt_project.yml", f"name: {name}\nmodels: {{{name}: {{+materialized: table}}}}\n"
        )
        here.write(f"dbt_projects/{name}/models/rows.sql", "select 1 as id")
        here.contract(f"{name}.rows", {"id": "INTEGER"})
    here.write(".gitignore", "domains/mail/sql/ignored.sql\n.mesh\n")
    git = ["git", "-C", str(tmp_path / "repository"), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    before = read_mesh(here.root, tolerant=True)
    here.write("dbt_projects/project/models/rows.sql", "select 2 as id")  # a model alone
    here.write("domains/mail/sql/ignored.sql", "select 1 as id")  # what git ignores, and is read
    here.write("domains/fresh/domain.yaml", "domain: fresh\n")  # a domain that was not there
    shutil.rmtree(here.root / "domains/late")  # one that is gone
    here.write("domains/crm/domain.yaml", "domain: crm\n")  # without its port, `mail` and `stats` cannot be loaded
    now = read_mesh(here.root, tolerant=True)
    assert set(now.broken) == {"mail", "stats"}
    with mesh_at(now, "HEAD") as base:
        assert set(base.domains) == set(before.domains)
        assert {name: (t.code, t.contract, t.inputs) for name, t in base.tables.items()} == {
            name: (t.code, t.contract, t.inputs) for name, t in before.tables.items()
        }
        texts = {name: text_of(base, table).sql for name, table in base.tables.items()}
        assert texts["project.rows"] == "select 1 as id"
        assert texts["loose.rows"] == "select 1 as id"
        assert (base.root / "domains/loose").is_symlink()


def test_a_table_in_python_that_was_never_built_is_held_against_its_old_contract(place):
    """As on a server that checks pull requests: there is no lake, and only the contracts say what a function gives."""
    place.domain("crm", "outputs: [{port: people}]\n")
    (place.root / "domains/crm/sql/people.sql").unlink()
    code = "import mesh_assets\n\n\n@mesh_assets.table()\ndef people():\n    return None\n"
    place.write("domains/crm/assets.py", code)
    git = ["git", "-C", str(place.root), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    place.contract("crm.people", {name: COLUMNS[name] for name in ("id", "grade", "age")})
    env = place.env()
    with mesh_at(env.mesh, "HEAD") as base:
        found = ask(env, between(base, env.mesh, known_columns(env, base))).report
        assert [problem.code for problem in steps(base, env.mesh, found.needed)] == ["M701"]
    assert [(str(c.kind), c.column) for c in found.changes] == [("column_removed", "name")]
    assert {reader.domain: str(reader.verdict) for reader in found.readers} == {
        "mail": "breaking",
        "stats": "compatible",
    }


def test_a_port_that_is_taken_away_names_who_still_reads_it(place):
    """Its readers cannot be loaded without it: they are told, not left out."""
    git = ["git", "-C", str(place.root), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    place.domain("crm", "")
    for path in ("sql/people.sql", "contracts/people.odcs.yaml"):
        (place.root / "domains/crm" / path).unlink()
    place.sql("crm.other", "select 1 as id")
    now = read_mesh(place.root, tolerant=True)
    with mesh_at(now, "HEAD") as base:
        assert between(base, now, {}).gone == {"crm.people": ("mail", "stats")}


@pytest.mark.parametrize("format_", ["text", "json", "github", "junit"])
def test_a_domain_that_cannot_be_loaded_any_more_is_no_good_news(place, format_):
    """What becomes of its ports is not known: that is said, and stops a pull request."""
    git = ["git", "-C", str(place.root), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    place.sql("crm.people", "selec 1")
    words = ["impact", "--format", format_, "--mesh", str(place.root)]
    result = CliRunner().invoke(app, words, env={"MESH_HOME": str(place.root / ".mesh")})
    assert result.exit_code == 1
    assert "domains/crm/sql/people.sql" in result.stdout
    assert "mail" in result.stdout
    assert "stats" in result.stdout
    if format_ == "junit":
        assert 'tests="2" failures="0" errors="2"' in result.stdout
    for reader in ("mail", "stats"):
        shutil.rmtree(place.root / "domains" / reader)
    subprocess.run([*git, "commit", "-qm", "two", "--", "domains/mail", "domains/stats"], check=True)
    result = CliRunner().invoke(app, words, env={"MESH_HOME": str(place.root / ".mesh")})
    assert result.exit_code == 1
    assert "domains/crm/sql/people.sql" in result.stdout  # nobody else reads it: it is told all the same
    if format_ == "junit":
        assert 'tests="1" failures="0" errors="1"' in result.stdout
        assert 'name="crm itself"' in result.stdout
