"""Values put into a document: nothing else of it is spelt otherwise."""

import pytest

from mesh_assets.authoring import editor, with_values

KEPT = {
    "inputs: [{port: a.b}]\noutputs: [port: x]\n": "inputs: [{port: a.c}]\noutputs: [port: x]\n",
    "inputs: [port: a.b]   # why\n": "inputs: [port: a.c]   # why\n",
    "inputs:\n- {port: 'a.b',   contract: x}\n-   port: \"a.b\"\nq: ~": "inputs:\n- {port: 'a.c',   contract: x}\n-   port: \"a.c\"\nq: ~",
    "inputs: [{port: a.b, as: a.b}, {port: a.bb}, { port: a.b }]\n": "inputs: [{port: a.c, as: a.b}, {port: a.bb}, { port: a.c }]\n",
}


def put(text, new):
    return with_values(text, lambda tree: [(one, "port", new) for one in tree["inputs"] if one["port"] == "a.b"])


@pytest.mark.parametrize("text", KEPT)
def test_a_value_is_put_where_the_old_one_stands(text):
    assert put(text, "a.c") == KEPT[text]


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ('inputs: [{port: "a.\\x62"}]\n', "a.c"),  # spelt by an escape
        ("x: &name a.b\ninputs: [{port: *name}]\n", "a.c"),  # said elsewhere
        ("inputs:\n  - port: a.b\n", "a: b # c"),  # would be no text without quotes
        ("inputs:\n  - port: a.b\n", "yes, it is"),
        ("inputs: [{port: a.b}]\n", "a, b"),
    ],
)
def test_what_cannot_be_put_there_is_written_anew(text, new):
    told = put(text, new)
    assert editor(told).load(told)["inputs"][0]["port"] == new
