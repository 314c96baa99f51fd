"""Changes of contracts without code: rules written by hand, what columns say, undo as a list, and saving with git."""

import re
import subprocess
from html import unescape
from pathlib import Path

import pytest

from mesh_assets import authoring, edits, handwritten, testing
from mesh_assets.authoring import Overtaken
from mesh_assets.committing import Wanted
from mesh_assets.errors import ConfigError, MeshError, RunError, UsageError
from mesh_assets.settings import Settings
from tests.portal_mesh import EVIL, Client, app_of, small

TESTS = "/mesh/domains/shop/orders/tests"
FILE = "domains/shop/contracts/orders.odcs.yaml"
QUALITY = """
- id: some_rows
  metric: rowCount
  mustBeGreaterThan: 0
- {id: nulls, metric: rowCount, mustNotBe: 7, description: Seven is bad luck.}  # kept
- {id: query, type: sql, query: "select count(*) from {table} where amount > 10", mustNotBe: 20}
- id: asked
  type: sql
  query: |
    select count(*)
    from {table}
  mustBeBetween: [1, 20]
- {id: told, type: text, description: Ask the shop.}
"""
NOTES = "[{value: a, description: Not sent.}, {value: b, description: Gone.}, {value: c, description: Refused.}]"


@pytest.fixture
def place(tmp_path):
    made = small(tmp_path)
    made.contract(
        "shop.orders",
        {
            "id": "BIGINT; required: true; unique: true",
            "amount": "BIGINT; logicalTypeOptions: {maximum: 1000, minimum: 0}",
            "buyer": "VARCHAR; classification: restricted",
            "note": f"VARCHAR; logicalTypeOptions: {{pattern: '^[a-c]$'}}; enum: {NOTES}",
        },
        quality=QUALITY,
    )
    return made


@pytest.fixture
def client(place):
    return Client(app_of(place))


def text_of(place) -> str:
    return (place.root / FILE).read_text()


def hidden(html: str, name: str) -> str:
    return unescape(re.search(rf'name="{name}" value="([^"]*)"', html).group(1))


def rule_form(client, name: str, **values: str) -> dict[str, str]:
    html = client.get(f"{TESTS}/rule?name={name}").text
    sent = {key: hidden(html, key) for key in ("name", "revision")}
    if found := re.search(r'<option value="(must\w+)" selected', html):
        sent["operator"] = found.group(1)
    sent["severity"] = "error"
    return {**sent, **values}


def table_of(place):
    env = place.env()
    return env, env.mesh.tables["shop.orders"]


# -- rules that have no form of their kind ------------------------------------------------------------------------------


def test_a_metric_written_by_hand_is_changed_and_tried(place, client):
    place.run()
    html = client.get(f"{TESTS}/change?name=nulls").text  # leads to the same form
    assert "not be" in html
    assert f"{FILE}:" in html  # what is counted is changed there
    before = text_of(place)
    sent = rule_form(client, "nulls", operator="mustBeLessThan", value="2", severity="warning", why=EVIL)
    tried = client.post(f"{TESTS}/check", sent)
    assert tried.status_code == 200
    assert 'class="pill warn"' in tried.text
    assert EVIL not in tried.text
    assert text_of(place) == before
    assert client.post(f"{TESTS}/alter", sent).status_code == 303
    line = next(line for line in text_of(place).splitlines() if "id: nulls" in line)
    assert "mustBeLessThan: 2" in line
    assert "mustNotBe" not in line
    assert "severity: warning" in line
    assert line.endswith("# kept")
    (test,) = [one for one in place.env().mesh.tables["shop.orders"].contract.tests if one.name == "nulls"]
    assert (test.arguments["operator"], test.arguments["threshold"], test.description) == ("mustBeLessThan", 2, EVIL)


def test_of_a_query_with_another_demand_the_numbers_are_changed_and_the_query_is_not(place, client):
    sent = rule_form(client, "query", operator="mustNotBeBetween", value="2 and 30")
    assert client.post(f"{TESTS}/alter", sent).status_code == 303
    assert "mustNotBeBetween: [2, 30]" in text_of(place)
    assert "select count(*) from {table} where amount > 10" in text_of(place)


def query_form(place, was: str = "", name: str = "", **values: str) -> dict[str, str]:
    revision = authoring.revision(text_of(place))
    named = {"of": "", "test": "query", "was": was, "id": name or was, "severity": "error", "revision": revision}
    return {**named, **{f"p_{key}": value for key, value in values.items()}}


def test_a_query_is_written_tried_and_saved_without_code_around_it(place, client):
    place.run()
    assert 'name="p_query"' in client.get(f"{TESTS}/new?of=&test=query").text
    sent = query_form(place, name="below", query="select count(*)\r\nfrom {table}\r\nwhere amount < 0", most="3")
    tried = client.post(f"{TESTS}/try", sent)
    assert tried.status_code == 200
    assert 'class="pill pass"' in tried.text
    assert client.post(f"{TESTS}/save", sent).status_code == 303
    assert "query: |\n" in text_of(place)
    tests = {one.name: one for one in place.env().mesh.tables["shop.orders"].contract.tests}
    assert tests["below"].arguments["query"] == "select count(*)\nfrom {table}\nwhere amount < 0\n"


def test_a_query_that_somebody_wrote_keeps_its_lines_when_its_number_is_changed(place, client):
    before = text_of(place)
    html = client.get(f"{TESTS}/change?name=asked").text
    assert "select count(*)\nfrom {table}" in unescape(html)
    sent = query_form(place, "asked", query="select count(*)\r\nfrom {table}", least="1", most="30")
    assert client.post(f"{TESTS}/save", sent).status_code == 303
    assert text_of(place) == before.replace("[1, 20]", "[1, 30]\n        severity: error")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"query": "drop table orders"}, "select"),
        ({"query": "select * from read_csv('/etc/passwd')"}, "read_csv"),
        ({"query": "select 1 from {tabel}"}, "table"),
        ({"query": "select count(*) from {table}", "exactly": "1", "most": "2"}, "only one of"),
        ({"query": "select count(*) from {table}", "least": "9", "most": "2"}, "down to"),
        ({"least": "9"}, "Say it"),
    ],
)
def test_a_query_that_cannot_be_a_test_is_told_beside_the_form(place, client, values, says):
    before = text_of(place)
    answer = client.post(f"{TESTS}/save", query_form(place, name="made", **values))
    assert answer.status_code == 422
    assert says in unescape(answer.text)
    assert text_of(place) == before


def test_the_list_of_a_column_is_changed_tried_and_taken_out(place, client):
    place.run()
    html = client.get(f"{TESTS}/rule?name=note__enum").text
    assert ">a\nb\nc</textarea>" in html
    sent = rule_form(client, "note__enum", value="a\r\nd\r\nc")
    tried = client.post(f"{TESTS}/check", sent)
    assert tried.status_code == 200
    assert client.post(f"{TESTS}/alter", sent).status_code == 303
    assert "{value: a, description: Not sent.}" in text_of(place)
    tests = {one.name: one for one in place.env().mesh.tables["shop.orders"].contract.tests}
    assert tests["note__enum"].arguments["valid_values"] == ("a", "c", "d")
    revision = hidden(client.get(TESTS).text, "revision")
    assert client.post(f"{TESTS}/remove", {"name": "note__enum", "revision": revision}).status_code == 303
    assert "enum" not in text_of(place)


def test_the_list_of_a_column_is_changed_on_the_command_line_too(place):
    env, table = table_of(place)
    edit = handwritten.of_key(env.mesh, table, "note__enum", {"value": ["b"]})
    assert "enum: [{value: b, description: Gone.}]" in edit.after
    with pytest.raises(UsageError, match="is no list"):
        handwritten.of_key(env.mesh, table, "note__enum", {"value": "b"})


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("query", {"value": "2", "operator": "mustBeBetween"}, "two numbers"),
        ("query", {"value": "30 and 2", "operator": "mustBeBetween"}, "down to"),
        ("query", {"value": "a and b", "operator": "mustBeBetween"}, "is no number"),
        ("note__enum", {"value": " "}, "or remove the rule"),
        ("note__enum", {"value": "x" * 20_001}, "too many"),
        ("nulls", {"value": ""}, "one number"),
        ("nulls", {"value": "1", "operator": "mustFly"}, "Choose what is demanded"),
        ("nulls", {"value": "1", "severity": "fatal"}, "Choose what a failure does"),
        ("amount__maximum", {"value": "x"}, "is no number"),
        ("amount__maximum", {"value": ""}, "or remove the rule"),
        ("note__pattern", {"value": "(?=a)"}, "cannot"),
        ("note__pattern", {"value": "^[a-c]$"}, "says that already"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_such_a_form_is_told_and_nothing_is_written(place, client, name, values, says):
    before = text_of(place)
    answer = client.post(f"{TESTS}/alter", rule_form(client, name, **values))
    assert answer.status_code == 422
    assert says in answer.text
    assert text_of(place) == before


def test_what_a_column_says_is_changed_made_a_warning_and_taken_out(place, client):
    html = client.get(TESTS).text
    assert "amount__maximum" in html
    assert client.post(f"{TESTS}/alter", rule_form(client, "amount__maximum", value="500")).status_code == 303
    assert "maximum: 500" in text_of(place)
    sent = rule_form(client, "note__pattern", value="^[a-d]$", severity="warning")
    assert client.post(f"{TESTS}/alter", sent).status_code == 303
    tests = {one.name: one for one in place.env().mesh.tables["shop.orders"].contract.tests}
    assert tests["note__pattern"].severity == "warning"
    assert tests["note__pattern"].arguments["pattern"] == "^[a-d]$"
    revision = hidden(client.get(TESTS).text, "revision")
    assert client.post(f"{TESTS}/remove", {"name": "note__pattern", "revision": revision}).status_code == 303
    assert "severity.pattern" not in text_of(place)
    assert "note__pattern" not in {one.name for one in place.env().mesh.tables["shop.orders"].contract.tests}


def test_a_flag_is_taken_out_and_its_severity_changed(place):
    env, table = table_of(place)
    one = handwritten.find(env.mesh, table, "id__unique")
    handwritten.alter(env.mesh, table, one, severity="warning").write()
    env, table = table_of(place)
    assert {t.name: str(t.severity) for t in table.contract.tests}["id__unique"] == "warning"
    handwritten.take_out(env.mesh, table, "id__required").write()
    env, table = table_of(place)
    names = {t.name for t in table.contract.tests}
    assert "id__unique" in names
    assert "id__required" not in names


def test_for_the_rest_it_is_said_in_which_line_it_stands(place, client):
    env, table = table_of(place)
    (columns, *_) = handwritten.of_columns(env.mesh, table)
    assert re.search(r"orders\.odcs\.yaml:\d+", columns.elsewhere)
    answer = client.get(f"{TESTS}/rule?name=types")
    assert answer.status_code == 404
    assert f"{FILE}:" in answer.text
    with pytest.raises(UsageError, match="severity cannot be changed"):
        handwritten.alter(env.mesh, table, columns, severity="warning")
    with pytest.raises(UsageError, match="remove cannot be changed"):
        handwritten.take_out(env.mesh, table, "types")
    assert client.get(f"{TESTS}/rule?name=nothing").status_code == 404


def test_a_comment_below_what_a_column_says_is_not_lost(place):
    text = text_of(place)
    assert "required: true" in text
    (place.root / FILE).write_text(text.replace("required: true", "required: true\n        # said of the rest", 1))
    env, table = table_of(place)
    with pytest.raises(UsageError, match="a comment stands below"):
        handwritten.take_out(env.mesh, table, "id__required")


def test_a_rule_of_words_has_its_words_changed(place, client):
    assert client.post(f"{TESTS}/alter", rule_form(client, "told", why="Ask money.")).status_code == 303
    assert "description: Ask money." in text_of(place)


# -- undo ---------------------------------------------------------------------------------------------------------------


def add(place, name: str, *, wanted: Wanted | None = None, by: str = "ann") -> edits.Kept:
    env, table = table_of(place)
    edit = authoring.add(env.mesh, table, [("", {"id": name, "metric": "rowCount", "mustBeGreaterThan": 1})])
    return edits.keep(env, table.name, edit, f"added {name}", by=by, wanted=wanted)


def undo(place, edit: str = "", **more) -> edits.Kept:
    env, table = table_of(place)
    return edits.undo(env, table, edit, by="ben", **more)[1]


def test_the_latest_changes_are_a_list_and_go_in_their_order(place, client):
    texts = [text_of(place)]
    for number in range(4):
        add(place, f"rule_{number}")
        texts.append(text_of(place))
    page = client.get(TESTS).text
    assert "Undo this and 3 newer" in page
    assert "+      id: rule_2" in unescape(page) or "id: rule_2" in unescape(page)
    log = client.get(f"{TESTS}.json").json()["writing"]["edits"]
    assert [(one["what"], one["by"], one["newer"], one["can_undo"]) for one in log] == [
        (f"added rule_{number}", "ann", 3 - number, True) for number in (3, 2, 1, 0)
    ]
    assert all(f"id: rule_{number}" in one["diff"] for number, one in zip((3, 2, 1, 0), log, strict=True))
    undo(place)
    assert text_of(place) == texts[3]
    undo(place)
    assert text_of(place) == texts[2]
    undo(place, log[3]["id"])  # the first, and the second with it
    assert text_of(place) == texts[0]
    env, table = table_of(place)
    newest = edits.recent(env, table)[0]
    assert newest.what == "took back: added rule_1; added rule_0"
    assert newest.by == "ben"
    undo(place, newest.id)  # and again
    assert text_of(place) == texts[2]
    undo(place)
    assert text_of(place) == texts[1]


def test_nothing_is_taken_back_below_what_somebody_has_written_by_hand(place, client):
    first = add(place, "one")
    (place.root / FILE).write_text(text_of(place) + "# By hand.\n")
    before = text_of(place)
    with pytest.raises(Overtaken, match="changed by hand since"):
        undo(place, first.id)
    assert "changed by hand since" in client.get(TESTS).text
    assert client.post(f"{TESTS}/undo", {"edit": first.id}).status_code == 409
    assert text_of(place) == before
    add(place, "two")
    undo(place)
    assert text_of(place) == before
    with pytest.raises(Overtaken, match="changed by hand since"):
        undo(place, first.id)
    assert text_of(place) == before


def test_a_change_of_an_older_version_of_the_log_can_be_taken_back(place):
    kept = add(place, "one")
    with place.env().ledger.store.writing() as db:
        db.exec_driver_sql("DELETE FROM portal_edits_more")
    assert undo(place, kept.id).takes_back == (kept.id,)


def test_the_command_lists_takes_back_and_switches(place, capsys, monkeypatch):
    monkeypatch.setenv("MESH_HOME", str(place.root / ".mesh"))
    before = text_of(place)

    def mesh(*words: str) -> str:
        from mesh_assets.cli import app

        app([*words, "--mesh", str(place.root)], standalone_mode=False)
        return capsys.readouterr().out

    assert "property: disabled" in mesh("test", "disable", "shop/orders", "nulls")
    assert "nulls" not in {one.name for one in table_of(place)[1].contract.tests}
    assert "-" in mesh("test", "enable", "shop/orders", "nulls")
    mesh("test", "edit", "shop/orders", "amount__maximum", "--set", "value=7", "--set", "severity=warning")
    assert "maximum: 7" in text_of(place)
    said = mesh("test", "log", "shop/orders")
    assert "changed amount__maximum" in said
    assert '"can_undo": true' in mesh("test", "log", "shop/orders", "--json")
    shown = text_of(place)
    mesh("test", "undo", "shop/orders", "--dry-run")
    assert text_of(place) == shown
    for _ in range(3):
        mesh("test", "undo", "shop/orders")
    assert text_of(place) == before
    with pytest.raises(UsageError, match="no change that could be taken back"):
        mesh("test", "undo", "shop/orders")
    with pytest.raises(UsageError, match="has no `description`"):
        mesh("test", "edit", "shop/orders", "amount__maximum", "--set", "description=x")


# -- git ----------------------------------------------------------------------------------------------------------------


def git(place, *words: str, check: bool = True) -> str:
    done = subprocess.run(["git", "-C", str(place.root), *words], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def repo(place, monkeypatch):
    monkeypatch.setenv("HOME", str(place.root / "nobody"))  # no identity but the repository's own
    place.write(".gitignore", ".mesh/\n")
    git(place, "init", "-q", "-b", "main")
    git(place, "config", "user.name", "Git Itself")
    git(place, "config", "user.email", "git@example.org")
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", "begin")
    return place


def test_the_file_is_committed_and_nothing_else(repo):
    repo.write("domains/shop/README.md", "changed\n")
    repo.write("domains/shop/new.txt", "new\n")
    repo.write("domains/money/README.md", "staged\n")
    git(repo, "add", "domains/money/README.md")
    kept = add(repo, "one", wanted=Wanted())
    assert git(repo, "show", "--name-only", "--format=%an <%ae>|%s", "HEAD").splitlines() == [
        "Git Itself <git@example.org>|shop/orders: added one", "", FILE,
    ]  # fmt: skip
    assert (kept.branch, kept.commit) == ("main", git(repo, "rev-parse", "HEAD"))
    status = git(repo, "status", "--porcelain")
    assert "M domains/shop/README.md" in status
    assert "?? domains/shop/new.txt" in status
    assert "A  domains/money/README.md" in status
    assert FILE not in status
    undo(repo, wanted=Wanted())
    assert git(repo, "log", "-1", "--format=%s") == "shop/orders: took back: added one"


def test_on_a_branch_that_is_not_checked_out_change_after_change(repo):
    head = git(repo, "rev-parse", "HEAD")
    for name in ("one", "two"):
        kept = add(repo, name, wanted=Wanted(branch="mesh/tests"))
        assert kept.branch == "mesh/tests"
        assert git(repo, "show", f"mesh/tests:{FILE}") == text_of(repo).strip()
    assert git(repo, "rev-parse", "HEAD") == head
    assert git(repo, "rev-list", "--count", "main..mesh/tests") == "2"
    assert git(repo, "diff", "--name-only", "main", "mesh/tests") == FILE
    assert git(repo, "worktree", "list").count("\n") == 0
    assert not list((repo.root / ".mesh").glob("commit-*"))
    git(repo, "branch", "other")
    before = text_of(repo)
    with pytest.raises(UsageError, match="differs from what is committed on the branch other"):
        add(repo, "three", wanted=Wanted(branch="other"))
    assert text_of(repo) == before


@pytest.mark.parametrize(
    ("author", "says"),
    [
        ("ann", "ann <>"),
        ("ann@example.org", "ann@example.org <ann@example.org>"),
        ("Ann B <ann@example.org>", "Ann B <ann@example.org>"),
        ("x\n--amend <a> <b>", "x --amend a b <>"),
        ("", "Git Itself <git@example.org>"),
    ],
)  # fmt: skip
def test_the_author_is_who_the_proxy_says(repo, author, says):
    add(repo, "one", wanted=Wanted(author=author))
    assert git(repo, "log", "-1", "--format=%an <%ae>") == says
    assert git(repo, "log", "-1", "--format=%cn") == "Git Itself"


def refused(repo, match: str, *, branch: str = "", error: type[MeshError] = UsageError) -> None:
    """The change is refused, and nothing of it is anywhere."""
    before, commits = text_of(repo), git(repo, "rev-list", "--all", "--count", check=False)
    with pytest.raises(error, match=match) as told:
        add(repo, "one", wanted=Wanted(branch=branch))
    assert "Nothing was saved" in str(told.value)
    assert text_of(repo) == before
    assert git(repo, "rev-list", "--all", "--count", check=False) == commits
    env, table = table_of(repo)
    assert edits.recent(env, table) == ()


def test_without_a_repository_nothing_is_saved(place, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(place.root.parent))
    refused(place, "in no git repository")


def test_without_git_nothing_is_saved(repo, monkeypatch):
    before = text_of(repo)
    monkeypatch.setenv("PATH", str(repo.root / "nothing"))
    with pytest.raises(UsageError, match="git is not installed"):
        add(repo, "one", wanted=Wanted())
    assert text_of(repo) == before


def test_a_detached_head_needs_a_branch_by_name(repo):
    git(repo, "checkout", "-q", "--detach")
    refused(repo, "detached head")
    assert add(repo, "one", wanted=Wanted(branch="mesh/tests")).branch == "mesh/tests"


@pytest.mark.parametrize("branch", ["-D", "a b", "a..b", "@{-1}", "refs/heads/"])
def test_what_is_no_name_of_a_branch_is_refused(repo, branch):
    refused(repo, "cannot be the name of a branch", branch=branch)


def test_a_file_that_git_ignores_or_never_saw_is_refused(repo):
    git(repo, "rm", "-q", "--cached", FILE)
    git(repo, "commit", "-q", "-m", "out")
    refused(repo, "was never committed")
    repo.write(".gitignore", ".mesh/\ncontracts/\n")
    refused(repo, "git ignores")


def test_changes_by_hand_are_not_committed_along(repo):
    (repo.root / FILE).write_text(text_of(repo) + "# By hand.\n")
    refused(repo, "differs from what is committed")
    git(repo, "add", FILE)
    refused(repo, "differs from what is committed")


def test_a_hook_that_refuses_is_quoted_and_the_file_is_as_before(repo):
    hook = repo.root / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'no commits on Fridays' >&2\nexit 1\n")
    hook.chmod(0o755)
    refused(repo, "no commits on Fridays", error=RunError)
    refused(repo, "no commits on Fridays", error=RunError, branch="mesh/tests")
    assert git(repo, "branch", "--list", "mesh/tests") == ""


def test_a_hook_that_rewrites_the_file_and_refuses_is_told(repo):
    hook = repo.root / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho '# formatted' >> {FILE}\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(RunError, match="changed again meanwhile"):
        add(repo, "one", wanted=Wanted())
    assert "# formatted" in text_of(repo)


def test_without_an_identity_nothing_is_saved(repo, monkeypatch):
    git(repo, "config", "user.useConfigOnly", "true")
    git(repo, "config", "--unset", "user.email")
    refused(repo, "does not know who commits")


def test_the_portal_commits_where_it_is_told_to(repo):
    settings = Settings(
        home=repo.root / ".mesh", dir=repo.root, lake_catalog="", lake_data="", user_header="x-user",
        portal_commit=True, portal_branch="mesh/tests",
    )  # fmt: skip
    repo.settings = settings
    client = Client(app_of(repo))
    sent = rule_form(client, "nulls", value="8")
    headers = {"origin": "http://127.0.0.1", "sec_fetch_site": "same-origin", "x_user": "ann@example.org"}
    saved = client.post(f"{TESTS}/alter", sent, **headers)
    assert saved.status_code == 303
    commit = git(repo, "rev-parse", "mesh/tests")
    assert git(repo, "log", "-1", "--format=%ae", "mesh/tests") == "ann@example.org"
    page = client.get(saved.headers["location"]).text
    assert f"committed on <code>mesh/tests</code> as <code>{commit[:10]}</code>" in page
    git(repo, "checkout", "-q", "--force", "--detach")
    git(repo, "branch", "-q", "-D", "mesh/tests")
    git(repo, "config", "user.useConfigOnly", "true")
    git(repo, "config", "--unset", "user.email")
    answer = client.post(f"{TESTS}/alter", rule_form(client, "nulls", value="9"), **headers)
    assert answer.status_code == 422
    assert "does not know who commits" in answer.text
    assert str(repo.root) not in answer.text


def test_a_contract_that_would_not_be_one_is_not_brought_back(place):
    """What was valid once may not be now: it is judged again before it is written."""
    kept = add(place, "one")
    with place.env().ledger.store.writing() as db:
        db.exec_driver_sql("UPDATE portal_edits SET \"before\" = 'nonsense: 1\n'")
    before = text_of(place)
    with pytest.raises(ConfigError):
        undo(place, kept.id)
    assert text_of(place) == before
    assert Path(place.root / FILE).exists()


def test_a_rule_without_an_id_is_found_by_where_it_stands_also_in_a_file_of_one_line(place):
    import json

    import yaml

    contract = yaml.safe_load(text_of(place))
    rules = contract["schema"][0]["quality"]
    for rule in rules:
        rule.pop("id")
    contract["schema"][0]["quality"] = rules[1:3]
    (place.root / FILE).write_text(json.dumps(contract))
    env, table = table_of(place)
    assert [one.name for one in authoring.written(env.mesh, table)] == ["row_count", "sql"]
    authoring.edit(env.mesh, table, "sql", {"mustNotBe": 30}).write()
    env, table = table_of(place)
    assert {one.name: one.rule["mustNotBe"] for one in authoring.written(env.mesh, table)} == {
        "row_count": 7,
        "sql": 30,
    }


BOMB = "select len(list(repeat(range::varchar, 100))) from {table}, range(100000000)"


def test_a_query_that_takes_all_memory_is_ended_and_the_server_stays(place, client, monkeypatch):
    monkeypatch.setattr(testing, "TRY_MEMORY", "100MB")
    place.run()
    answer = client.post(f"{TESTS}/try", query_form(place, name="made", query=BOMB))
    assert answer.status_code == 200
    assert "the query needs more than 0.1 GB of memory" in answer.text
    assert client.get(TESTS).status_code == 200


def test_a_try_that_goes_on_for_too_long_is_ended(place, client, monkeypatch):
    monkeypatch.setattr(testing, "TRY_SECONDS", 0.2)
    place.run()

    def for_ever(_env, _table, con, **_):
        return con.execute("SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b").fetchall()

    monkeypatch.setattr(testing.build, "test", for_ever)
    sent = {"of": "", "test": "condition", "was": "", "id": "made", "severity": "error", "p_condition": "amount > 0"}
    answer = client.post(f"{TESTS}/try", {**sent, "revision": authoring.revision(text_of(place))})
    assert answer.status_code == 200
    assert "took longer than 0.2 seconds" in answer.text
