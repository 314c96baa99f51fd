"""Changes that come at a bad time, or of which little is known: two at once, one during another, a lock, a clock, a reader gone."""

import sqlite3
import subprocess
import threading
from contextlib import closing

import pytest
from typer.testing import CliRunner

from mesh_assets.changes import record as records
from mesh_assets.changes.ask import told
from mesh_assets.changes.pages import listed, shown
from mesh_assets.changes.record import Answer
from mesh_assets.cli import app
from mesh_assets.errors import ConfigError
from tests.integration.test_changes import COLUMNS, ROWS, built, place, record

__all__ = ["place"]
PEOPLE = "crm.people"


def without(place, *names):
    """The producer's next version, without some columns."""
    left = [name for name in COLUMNS if name not in names]
    place.sql(PEOPLE, f"select {', '.join(left)} from {ROWS}")
    place.contract(PEOPLE, {name: COLUMNS[name] for name in left})


def test_a_reader_whose_sql_cannot_be_followed_is_unknown_and_never_compatible(place):
    place.sql("mail.letters", "select id, 'Dear ' || coalesce(columns('^na')) as greeting from crm.people")
    built(place)
    answered, _ = told(place.env(), port=PEOPLE, drop=["age"])
    found = {reader.domain: (str(reader.verdict), str(reader.known)) for reader in answered.report.readers}
    assert found["mail"] == ("unknown", "assumed")
    without(place, "age")
    assert built(place, PEOPLE)[PEOPLE].status == "published"  # its own tests have said that they pass


def test_a_reader_that_cannot_be_loaded_is_unknown_and_never_compatible(place):
    """Nobody knows what it reads of the port: it is asked, as any other, and what breaks no old code needs no answer."""
    built(place)
    place.sql("mail.letters", "select 5! as id, name as greeting from crm.people")  # DuckDB can, sqlglot cannot
    rows = lambda **question: {
        one.domain: (str(one.verdict), one.hit, [found.why for found in one.evidence])
        for one in told(place.env(tolerant=True), port=PEOPLE, **question)[0].report.readers
    }
    why = "its files cannot be read, so nobody can tell: this SQL cannot be read near `!`"
    assert rows(drop=["age"])["mail"] == ("unknown", True, [why])
    assert rows(retype=["age:BIGINT"])["mail"] == ("compatible", False, [])
    path = place.root / "domains/mail/domain.yaml"
    readable = path.read_text()
    path.write_text("domain: [")  # then its last versions say what it reads
    assert rows(drop=["age"])["mail"][0] == "unknown"
    path.write_text(readable)
    without(place, "age")
    held = built(place, PEOPLE, tolerant=True)[PEOPLE]
    assert held.status == "held"
    assert f"it would break mail (perhaps) at domains/mail/sql/letters.sql:1: {why}" in held.message
    home = {"MESH_HOME": str(place.root / ".mesh")}
    asked = ["impact", "--port", PEOPLE, "--drop-column", "grade", "--mesh", str(place.root)]
    result = CliRunner().invoke(app, asked, env=home)
    assert (result.exit_code, "--run" in result.output) == (1, False)  # its tests cannot be run either
    result = CliRunner().invoke(
        app,
        ["change", "accept", record(place, tolerant=True).proposals()[0].id, "--as", "mail", "--mesh", str(place.root)],
        env=home,
    )
    assert result.exit_code == 0
    assert built(place, PEOPLE, tolerant=True)[PEOPLE].status == "published"


@pytest.mark.long
def test_a_reader_that_was_deleted_stops_nobody(place):
    built(place)
    without(place, "name")
    assert built(place, PEOPLE)[PEOPLE].status == "held"
    for path in sorted((place.root / "domains/mail").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (place.root / "domains/mail").rmdir()
    assert built(place, PEOPLE)[PEOPLE].status == "published"
    answered, _ = told(place.env(), port=PEOPLE, drop=["grade"])
    assert {reader.domain for reader in answered.report.readers} == {"stats"}


def test_two_changes_at_once_are_one_proposal_that_names_both_and_their_readers(place):
    built(place)
    without(place, "name", "grade")
    assert built(place, PEOPLE)[PEOPLE].status == "held"
    (proposal,) = record(place).proposals()
    assert {(one["kind"], one["column"]) for one in proposal.report["changes"]} == {
        ("column_removed", "name"),
        ("column_removed", "grade"),
    }
    assert {one["domain"]: one["verdict"] for one in proposal.report["readers"]} == {
        "mail": "breaking",
        "stats": "breaking",
    }


@pytest.mark.long
def test_what_is_accepted_of_one_change_is_not_of_the_next(place):
    """The producer goes on changing while its first change waits for an answer."""
    built(place)
    git = ["git", "-C", str(place.root), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", "domains", "mesh.yaml"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    without(place, "name")
    built(place, PEOPLE)
    (first,) = record(place).proposals()
    record(place).answer(Answer(id=first.id, reader="mail", answer="accept", who="x", why="gone"))
    impact = CliRunner().invoke(
        app, ["impact", "--mesh", str(place.root)], env={"MESH_HOME": str(place.root / ".mesh")}
    )
    assert impact.exit_code == 1
    assert "Those for whom it breaks have answered: run it, and it is published." in impact.stdout
    without(place, "name", "grade")
    held = built(place, PEOPLE)[PEOPLE]
    assert held.status == "held"
    book = record(place)
    rows = listed(place.env(), book)["changes"]
    assert [(row["state"], row["id"] == first.id) for row in rows] == [("proposed", False), ("taken back", True)]
    assert [shown(place.env(), book, row["id"])["state"] for row in rows] == ["proposed", "taken back"]
    without(place, "name")  # back to what was accepted
    assert built(place, PEOPLE)[PEOPLE].status == "published"
    rows = listed(place.env(), record(place))["changes"]
    assert [(row["state"], row["id"] == first.id) for row in rows] == [("published", True), ("taken back", False)]


def test_a_change_that_makes_a_cycle_is_named_and_nothing_hangs(place):
    git = ["git", "-C", str(place.root), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    place.domain("crm", "inputs: [{port: mail.letters}]\noutputs: [{port: people}]\n")
    place.sql(PEOPLE, f"select t.* from {ROWS} join mail.letters using (id)")
    with pytest.raises(ConfigError, match="M405"):
        told(place.env(), base="HEAD")
    words = ["impact", "--base", "HEAD", "--mesh", str(place.root)]
    result = CliRunner().invoke(app, words, env={"MESH_HOME": str(place.root / ".mesh")})
    assert result.exit_code == 1
    assert "tables feed each other: " in result.stdout


def test_the_last_answer_counts_whatever_the_clock_says(place, monkeypatch):
    book = record(place)
    monkeypatch.setattr(records, "now", lambda: "2031-01-01T00:00:00.000000+00:00")
    book.answer(Answer(id="x", reader="mail", answer="accept", who="a", why="yes"))
    monkeypatch.setattr(records, "now", lambda: "2001-01-01T00:00:00.000000+00:00")
    book.answer(Answer(id="x", reader="mail", answer="waive", who="a", why="no", until="2001-02-01"))
    assert book.answers("x")["mail"].answer == "waive"


@pytest.mark.long
def test_a_ledger_that_is_locked_for_a_while_is_waited_for(place):
    built(place)
    place.sql(PEOPLE, f"select *, 1 as extra from {ROWS}")
    with closing(sqlite3.connect(place.root / ".mesh/ledger.sqlite", check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(1.0, other.rollback)
        timer.start()
        assert built(place, PEOPLE)[PEOPLE].status == "published"
        timer.join()
    assert [event.port for event in record(place).events()] == [PEOPLE]
