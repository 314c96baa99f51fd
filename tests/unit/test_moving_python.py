"""A function in Python that reads a port under its new names: what is written, and what is left to a person."""

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mesh_assets.changes.pythonfiles import Reading, function_at, reading

HEAD = "import mesh_assets\nimport pandas as pd\nimport polars\nimport pyarrow\nfrom polars import LazyFrame\n\n\n"
MOVED = Reading(port="crm.people", successor="crm.people_v2", renamed={"town": "city", "age": "years"})
RENAMED = Reading(port="crm.people", successor="crm.people", renamed={"town": "city"})


def written(decorator: str, signature: str, wanted: Reading = MOVED) -> str | None:
    text = f'{HEAD}@mesh_assets.table({decorator})\ndef mine({signature}):\n    """Ünder way."""\n    return people\n'
    assert function_at(text, 8) == function_at(text, 9) == "mine"
    return reading(text, "mine", wanted)


def lines(text: str | None) -> list[str]:
    assert text is not None
    return [line for line in text.removeprefix(HEAD).splitlines() if "Ünder" not in line]


def test_what_is_declared_follows_and_the_body_is_given_what_it_was_given():
    text = written("inputs=['crm.people'], columns={'crm.people': ['id', 'town']}", "people: pd.DataFrame")
    assert lines(text) == [
        "@mesh_assets.table(inputs=['crm.people_v2'], columns={'crm.people_v2': ['id', 'city']})",
        "def mine(people_v2: pd.DataFrame):",
        '    people = people_v2.rename(columns={"city": "town"})',
        "    return people",
    ]
    text = written('inputs=["crm.people", "crm.towns"], columns={"crm.people": ["id"]}', "people: pd.DataFrame, towns")
    assert lines(text)[1:3] == ["def mine(people_v2: pd.DataFrame, towns):", "    people = people_v2"]
    assert lines(written('inputs=["crm.people"]', "people", RENAMED))[2] == """    people = people.select('* rename ("city" as "town")')"""  # fmt: skip


FRAMES = {
    "pd.DataFrame": lambda: pd.DataFrame({"city": ["Bern"]}),
    "polars.DataFrame": lambda: pl.DataFrame({"city": ["Bern"]}),
    "LazyFrame": lambda: pl.LazyFrame({"city": ["Bern"]}),
    "pyarrow.Table": lambda: pa.table({"city": ["Bern"]}),
    "": lambda: duckdb.sql("select 'Bern' as city"),
}


@pytest.mark.parametrize("annotation", FRAMES)
def test_every_kind_of_frame_knows_the_line_that_is_written(annotation):
    signature = f"people: {annotation}" if annotation else "people"
    line = lines(written('inputs=["crm.people"]', signature, RENAMED))[2]
    scope = {"people": FRAMES[annotation]()}
    exec(line.strip(), scope)
    frame = scope["people"]
    names = frame.collect_schema().names() if annotation == "LazyFrame" else getattr(frame, "column_names", None)
    assert list(names or frame.columns) == ["town"]


@pytest.mark.parametrize(
    ("decorator", "signature"),
    [
        ("inputs=READ", "people"),
        ("inputs=['crm.' 'people']", "people"),
        ("inputs=['crm.people'], columns=READ", "people"),
        ("inputs=['crm.people'], columns={'crm.people': READ}", "people"),
        ("inputs=['crm.people'], columns={'crm.people': ['Town']}", "people"),
        ("inputs=['crm.people'], **READ", "people"),
        ("inputs=['crm.people']", "people: modin.DataFrame"),
        ("inputs=['crm.people']", "people: 'pd.DataFrame'"),
        ("inputs=['crm.people']", "people, people_v2"),
        ("inputs=['crm.people']", "**frames"),
    ],
)
def test_what_is_not_written_out_is_left_to_a_person(decorator, signature):
    assert written(decorator, signature) is None
