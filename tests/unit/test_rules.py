"""The rules, and what is written about them."""

import re
from pathlib import Path

import pytest

from mesh_assets.errors import PROBLEMS, nearest
from mesh_assets.mesh import examine
from mesh_assets.rules import RULES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "problems.md"
SECTION = re.compile(r"^## (?P<code>M\d{3}) (?P<text>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def test_every_rule_says_what_it_asks():
    said = [(rule.__doc__ or "").splitlines()[0] for rule in RULES]
    assert all(line.endswith(".") for line in said)
    assert len(set(said)) == len(RULES)


def test_every_code_has_its_heading_and_no_heading_is_left_over():
    headings = dict(re.findall(r"^## (M\d{3}) (.+)$", DOCS.read_text(), re.MULTILINE))
    assert headings == PROBLEMS


def test_every_code_that_is_written_in_the_code_is_in_the_list():
    written = {
        code for path in (ROOT / "mesh_assets").rglob("*.py") for code in re.findall(r'"(M\d{3})"', path.read_text())
    }
    assert written == PROBLEMS.keys()


def test_every_code_of_the_documentation_has_all_its_parts():
    sections = re.split(r"^## ", DOCS.read_text(), flags=re.MULTILINE)[1:]
    for section in sections:
        assert "**Why:**" in section, section[:40]
        assert "**Mend:**" in section, section[:40]
        assert "```text" in section, section[:40]


@pytest.mark.parametrize("folder", sorted((ROOT / "tests" / "broken").iterdir()), ids=lambda folder: folder.name)
def test_the_examples_of_the_documentation_are_what_we_say(folder):
    docs = DOCS.read_text()
    says = {part["code"]: re.findall(r"```text\n(.*?)```", part["text"], re.DOTALL) for part in SECTION.finditer(docs)}
    for problem in examine(folder)[1]:
        if f"<!-- {folder.name} -->" in docs:
            assert any(str(problem) in said for said in says[problem.code])


def test_a_sentence_lists_so_many_names_and_says_how_many_more_there_are():
    told = nearest("xyz", [f"table_{number:05}" for number in range(10_000)])
    assert told.startswith("Known here: `table_00000`, `table_00001`, ")
    assert told.endswith("`table_00039` and 9,960 more.")
    assert nearest("xyz", ["b", "a"]) == "Known here: `a`, `b`."
    assert nearest("tabel", ["table", "chair"]) == "Did you mean `table`?"
