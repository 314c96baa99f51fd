"""The documentation says what the code does: every command, setting, test and key, and every example is well written."""

import json
import re
import shutil
import textwrap

import pytest
import yaml
from typer.main import get_command

from mesh_assets.cli import app
from mesh_assets.contract import Kind
from mesh_assets.mesh import examine, read_mesh
from mesh_assets.settings import Settings
from mesh_assets.starting import TEMPLATE
from tests.pages import LINK, ROOT, examples, fences, pages, with_examples, write
from tools.generate_reference import FOLDER, leaves
from tools.generate_reference import pages as generated

DOCS = ROOT / "docs"
PAGES = pages()
ADRS = sorted((DOCS / "adr").glob("[0-9]*.md"))
COMMANDS = dict(leaves(get_command(app)))


def name(page):
    """A page as pytest shows it."""
    return str(page.relative_to(ROOT))


def headings(text):
    """The headings of a page, code left out, as the anchors that a link can name."""
    told = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"^#+ (.+)$", told, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found]


def schema(which):
    """One of our own JSON Schemas."""
    return json.loads((ROOT / "mesh_assets" / "reading" / "schemas" / f"{which}.schema.json").read_text())


def keys(part):
    """Every key that a schema knows."""
    for key, inner in part.get("properties", {}).items():
        yield key
        yield from keys(inner)
    for inner in [*part.get("$defs", {}).values(), *part.get("allOf", []), *([part["then"]] if "then" in part else [])]:
        yield from keys(inner)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page):
    for link in LINK.findall(page.read_text()):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        if anchor:
            assert anchor in headings(target.read_text()), f"{link} names no heading"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_of_data_are_what_they_say(page):
    for info, body in fences(page):
        language = info.split()[0] if info else ""
        if language == "yaml":
            yaml.safe_load(body)
        elif language == "json":
            json.loads(body)
        elif language == "python":
            compile(textwrap.dedent(body), name(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_that_are_shown_exist(page):
    """Every `mesh …` in a block for the shell, with every option."""
    lines = [line for info, body in fences(page) if info == "bash" for line in body.splitlines()]
    for words in re.findall(r"(?:^|&& |\.venv/bin/)mesh ((?:[^#\n&]|&(?!&))*)", "\n".join(lines), re.MULTILINE):
        command, *rest = re.sub(r"\"[^\"]*\"", "QUOTED", words).split()
        if rest and f"{command} {rest[0]}" in COMMANDS:
            command = f"{command} {rest.pop(0)}"
        assert command in COMMANDS, f"mesh {words}"
        known = {option for parameter in COMMANDS[command].params for option in parameter.opts}
        assert {word for word in rest if word.startswith("-")} <= known, f"mesh {words}"


def test_pages_made_from_the_code_are_current():
    for file, text in generated().items():
        assert (FOLDER / file).read_text() == text, f"{file} is old: python -m tools.generate_reference"


def test_every_command_is_documented():
    text = (DOCS / "reference" / "cli.md").read_text()
    assert re.findall(r"^## mesh ([\w -]+)$", text, re.MULTILINE) == list(COMMANDS)
    for command in COMMANDS.values():
        assert all(option in text for parameter in command.params for option in parameter.opts if option[0] == "-")


def test_every_setting_is_documented():
    text = (DOCS / "reference" / "settings.md").read_text()
    assert re.findall(r"^\| `(MESH_\w+)`", text, re.MULTILINE) == [
        f"MESH_{key.upper()}" for key in Settings.model_fields
    ]


def test_every_kind_of_test_is_documented():
    text = (DOCS / "reference" / "tests.md").read_text()
    table = text.partition("## Names")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [str(kind) for kind in Kind]


@pytest.mark.parametrize("which", ["domain", "mesh"])
def test_every_key_is_documented(which):
    text = (DOCS / "reference" / "files.md").read_text()
    section = text.partition(f"## {which}.yaml")[2].partition("\n## ")[0]
    named = {word for code in re.findall(r"`([^`]+)`", section) for word in re.findall(r"\w+", code)}
    assert not set(keys(schema(which))) - named


@pytest.mark.parametrize("page", with_examples(), ids=name)
def test_examples_of_a_page_are_a_mesh_without_problems(page, tmp_path):
    if page.name == "tutorial.md":  # its domain joins the mesh of `mesh init`
        shutil.copytree(TEMPLATE, tmp_path, dirs_exist_ok=True)
    write(page, tmp_path)
    _, problems = examine(tmp_path)
    assert [str(problem) for problem in problems] == []


def test_the_how_to_on_tests_shows_every_kind(tmp_path):
    write(DOCS / "how-to" / "contracts-and-tests.md", tmp_path)
    shown = {test.kind for test in read_mesh(tmp_path).tables["shop.orders"].contract.tests}
    assert shown == set(Kind) - {Kind.PANDERA}  # that one has a how-to of its own


def test_the_readme_is_short_and_its_numbers_are_true():
    text = (ROOT / "README.md").read_text()
    assert text.count("\n") < 150
    mesh = read_mesh(ROOT)
    ports = [table for table in mesh.tables.values() if table.port]
    assert f"{len(mesh.tables)} tables, {len(ports)} output ports" in text
    for domain in mesh.domains:
        assert f"`{domain}` (" in text


def test_the_readme_maps_every_page():
    linked = {(ROOT / link).resolve() for link in LINK.findall((ROOT / "README.md").read_text()) if ":" not in link}
    kinds = ("how-to", "reference", "explanation")
    missing = [page for page in PAGES if page.parent.name in kinds and page not in linked]
    assert not missing


@pytest.mark.parametrize("page", ADRS, ids=name)
def test_every_decision_has_its_context_and_its_cost(page):
    text = page.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "What it costs"]
    assert text.startswith(f"# {int(page.name[:4])}. ")
    assert f"({page.name})" in (DOCS / "adr" / "README.md").read_text()


def test_decisions_are_numbered_without_a_gap():
    assert [int(page.name[:4]) for page in ADRS] == list(range(1, len(ADRS) + 1))


def test_what_the_tutorial_lets_check_say_is_what_it_says(tmp_path):
    """Before its contract is written, the tutorial's port has none."""
    page = DOCS / "tutorial.md"
    shutil.copytree(TEMPLATE, tmp_path, dirs_exist_ok=True)
    write(page, tmp_path, upto="### Promise something")
    _, (problem,) = examine(tmp_path)
    assert str(problem) in page.read_text()


def test_no_example_is_left_without_a_domain():
    """A page that names files shows whole domains, or files of the mesh itself."""
    for page in PAGES:
        for path in examples(page):
            assert path.startswith(("domains/", "dbt_projects/")) or path in ("mesh.yaml", "workspace.yaml")
