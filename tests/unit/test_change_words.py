"""Changes in words: what a person reads of them, and which lines are theirs to change."""

import json

import pytest

from mesh_assets.changes.byhand import by_hand
from mesh_assets.changes.impact import assess, moved
from mesh_assets.changes.model import MODES, Change, Kind
from mesh_assets.changes.shape import shape_of
from mesh_assets.changes.words import arguments, from_json, meant, said
from mesh_assets.mesh import examine
from tests.making import Place

SAID = {
    Kind.TYPE_WIDENED: ("INTEGER", "BIGINT", "the type of `c` is widened from INTEGER to BIGINT"),
    Kind.TYPE_CHANGED: ("INTEGER", "DATE", "the type of `c` is changed from INTEGER to DATE"),
    Kind.NULL_ALLOWED: ("never null", "may be null", "`c` may be null now"),
    Kind.NULL_MEANING_CHANGED: ("unknown", "", "null in `c` means nothing that is told now, no longer `unknown`"),
    Kind.UNIT_CHANGED: ("EUR", "cent", "`c` is in cent now, no longer in EUR"),
    Kind.FORMAT_REMOVED: ("date", "", "`c` need not be of the format `date` any more"),
    Kind.VALUES_ADDED: ("", "d, e", "`c` may be d, e now, too"),
    Kind.VALUES_REMOVED: ("d", "", "`c` is never d now"),
    Kind.RANGE_WIDENED: ("to 10", "any", "the limits of `c` are wider: any, no longer to 10"),
}
MODE = "full"


@pytest.mark.parametrize("kind", SAID)
def test_a_change_is_a_sentence(kind):
    before, after, sentence = SAID[kind]
    assert said(Change(port="d.p", kind=kind, columns=("c",), before=before, after=after)) == sentence


def test_what_is_not_of_one_column_is_told_of_the_table():
    change = lambda kind, before, after, name="": said(
        Change(port="d.p", kind=kind, before=before, after=after, name=name)
    )
    assert change(Kind.KEY_CHANGED, "a", "a, b") == "the key is a, b now, no longer a"
    levels = "frequency=1 d; latency=1 d", "frequency=1 d; latency=3 d"
    assert change(Kind.SERVICE_LEVEL_CHANGED, *levels) == "a service level is latency=3 d now, no longer latency=1 d"
    rule = [json.dumps({"operator": "mustBeBetween", "threshold": ends}) for ends in ([5, 7], [1, 9])]
    assert (
        change(Kind.RULE_LOOSENED, *rule, "some")
        == "the rule `some` is looser: between 1 and 9, no longer between 5 and 7"
    )


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_its_words_in_every_form(kind):
    given_up = kind.endswith(("removed", "_changed")) and kind not in (Kind.TYPE_CHANGED, Kind.COLUMN_REMOVED)
    for columns in ((), ("c",)):
        for before, after in (("a", "b"), *([("a", "")] if given_up else [])):
            told = said(Change(port="d.p", kind=kind, columns=columns, before=before, after=after, name="r"))
            assert told
            assert "  " not in told
            assert not told.endswith((" ", ":", " to", " from"))


def test_a_step_is_never_called_breaking_and_minor():
    told = {"port": "d/p", "kind": "column_removed", "columns": ["c"], "effect": "breaking"}
    assert meant(told | {"semver": "minor"}, MODE, {"compatible"}) == "no reader is hurt by it; a minor version step"
    breaking = "breaking: old SQL may name it; a major version step"
    assert meant(told | {"semver": "major"}, MODE, {"compatible", "breaking"}) == breaking
    open_ = "perhaps breaking: old SQL may name it; a major version step where a reader's tests fail"
    assert meant(told | {"semver": "major"}, MODE, {"unknown"}) == open_
    added = told | {"kind": "required_column_added", "semver": "major"}
    why = "breaking for old rows: old rows have no value for it, and new SQL relies on one (`compatibility: full`); a major version step"
    assert meant(added, MODE, {"compatible"}) == why
    private = told | {"effect": "compatible", "semver": "minor"}
    assert meant(private, "none", set()) == "refused by nobody (`compatibility: none`); a minor version step"
    assert meant(private | {"kind": "column_added"}, "none", set()) == "compatible; a minor version step"
    assert MODE in MODES
    assert from_json(told | {"from": "DATE", "to": None}).before == "DATE"


def test_the_arguments_of_a_rule_are_no_json():
    told = {"operator": "mustBeLessThan", "threshold": 5, "unit": "percent", "valid_values": ["a"] * 50}
    assert arguments(json.dumps(told)).startswith("< 5 percent, valid values ['a', ")
    assert len(arguments(json.dumps(told))) < 100
    assert (arguments(""), arguments("no json"), arguments('{"value": 7}')) == ("", "no json", "7")


def test_lines_that_a_person_has_to_change_are_listed_where_there_is_no_patch(tmp_path):
    """In a function its own lines, in a program its files; not those of readers that the change does not hit."""
    place = Place(tmp_path)
    place.domain("crm", "outputs: [{port: people}]\n")
    place.sql("crm.people", "select 1 as id, 'a' as name, 2 as age")
    place.contract("crm.people", {"id": "INTEGER", "name": "VARCHAR", "age": "INTEGER"})
    programs = "tables:\n  posts: {toolchain: pipes.subprocess, command: [sh, posts.sh], inputs: [crm.people]}\n"
    place.domain("mail", f"inputs: [{{port: crm.people}}]\noutputs: [{{port: letters}}]\n{programs}")
    place.write("domains/mail/posts.sh", "cut -d, -f name # the NAME of each\n")
    place.write(
        "domains/mail/assets.py",
        """
        import mesh_assets

        HEAD = "name"


        @mesh_assets.table(inputs=["crm.people"], columns={"crm.people": ["id", "name"]})
        def letters(people):
            return people[["id", "name"]]


        @mesh_assets.table(inputs=["crm.people"], columns={"crm.people": ["age"]})
        def ages(people):
            name = "not read"
            return people
        """,
    )
    for table in ("letters", "ages", "posts"):
        place.contract(f"mail.{table}", {"id": "INTEGER"})
    mesh, problems = examine(place.root)
    assert [one.code for one in problems] == []
    old = shape_of(mesh.tables["crm.people"])
    place.contract("crm.people", {"id": "INTEGER", "full_name": "VARCHAR; customProperties: [{property: cameFrom, value: name}]", "age": "INTEGER"})  # fmt: skip
    new = shape_of(examine(place.root)[0].tables["crm.people"])
    start = {"crm.people": moved("crm.people", old, new)}
    columns = {"crm.people": tuple((one.name, one.type) for one in old.columns)}
    verdicts = assess(mesh, columns, start)
    found = by_hand(mesh, start, verdicts, ())
    told = {name: [(line.path, line.line, line.becomes) for line in lines] for name, lines in found.items()}
    assert told == {
        "mail.letters": [("domains/mail/assets.py", 6, "full_name"), ("domains/mail/assets.py", 8, "full_name")],
        "mail.posts": [("domains/mail/posts.sh", 1, "full_name")],
    }
    assert by_hand(mesh, start, verdicts, found) == {}
