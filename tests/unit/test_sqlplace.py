"""Where an error of DuckDB's stands in the text that somebody wrote."""

import duckdb
import pytest

from mesh_assets.reading.sqlplace import place_in, words_of

LONG = "select 1 as a_column_with_a_long_name, " * 1 + ", ".join(f"{n} as column_number_{n}" for n in range(40))


def told(text: str, *, wrapped: str = "FROM (\n{}\n)") -> str:
    """What DuckDB says of a text within a query."""
    with duckdb.connect() as con, pytest.raises(duckdb.Error) as caught:
        con.execute("create table t as select 1 as id, 'x' as name")
        con.execute(wrapped.format(text))
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("select nmae from t", (1, 8)),
        ("select id,\n  nmae\nfrom t", (2, 3)),
        ("select id,\n\t nmae\nfrom t", (2, 3)),
        ("select id\nfrom tt", (2, 6)),
        ("-- größer\nselect 'ä' as a, nmae from t", (2, 18)),
        (f"{LONG}, nmae from t", (1, len(LONG) + 3)),
        (f"select nmae, {LONG.removeprefix('select ')} from t", (1, 8)),
        ("select id from t\nunion all\nselect id from t\nunion all\nselect nmae from t", (5, 8)),
        ("select cast(name as integer) as n from t", (1, 8)),
        ("select noo(id) from t", (1, 8)),
        ("select '数据' as a,\tnmae from t", (1, 19)),
    ],
)
def test_the_place_is_the_one_in_the_file(text, place):
    assert place_in(told(text), text, above=1) == place


def test_the_nearest_of_two_equal_lines_is_meant():
    text = "select *\nfrom (select id\nfrom t),\nlateral (select nmae\nfrom t)"
    assert place_in(told(text), text, above=1) == (4, 17)
    same = "select\nnmae,\nnmae\nfrom t"
    assert place_in(told(same), same, above=1) == (2, 1)


@pytest.mark.parametrize(
    "said", ["", "Out of Memory Error: no", "Binder Error: x\n\nLINE 3: select other\n               ^"]
)
def test_what_is_not_in_the_text_has_no_place(said):
    assert place_in(said, "select nmae\nfrom t") is None


def test_its_words_are_what_is_wrong_and_what_there_is_instead():
    said = words_of(told("select nmae from t"))
    assert said.splitlines()[0] == 'Referenced column "nmae" not found in FROM clause'
    assert said.splitlines()[1].startswith("    Candidate bindings: ")
    assert len(said.splitlines()) == 2
