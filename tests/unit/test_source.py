"""YAML text to plain values with positions."""

import os
import time
from pathlib import Path

import pytest

from mesh_assets.errors import ConfigError, Place
from mesh_assets.reading import source
from mesh_assets.reading.source import Map, Seq


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        source.parse(text, "file.yaml")
    (problem,) = caught.value.problems
    return str(problem)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("true", True), ("False", False), ("'true'", "true"),
        ("12:30", "12:30"), ("2026-01-31", "2026-01-31"), ("1.0", 1.0), ("1.0.0", "1.0.0"), ("-5", -5), ("007", 7),
        ("0x1F", 31), ("0o17", 15), ("1_000", "1_000"), (".inf", ".inf"), ("1e999", "1e999"), ("~", None), ("", None),
        ("null", None), ('"5"', "5"), ("9" * 5000, "9" * 5000), ("٣", "٣"), ("-", None), ("1e3", 1000.0), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text, value):
    if text == "-":
        assert source.parse("a:\n  -", "f").root == {"a": [None]}
        return
    found = source.parse(f"a: {text}", "f").root["a"]
    assert (found, type(found)) == (value, type(value))


def test_every_key_and_item_has_its_position():
    document = source.parse("a: 1\nb:\n  - x\n  - c: 2\n    d: {e: 3}\n", "folder/file.yaml")
    items = document.root["b"]
    assert document.place(document.root, "b") == Place("folder/file.yaml", 2, 1)
    assert document.place(items, 1) == Place("folder/file.yaml", 4, 5)
    assert document.place(items[1], "d") == Place("folder/file.yaml", 5, 5)
    assert document.place(items[1]["d"], "e") == Place("folder/file.yaml", 5, 9)


def test_the_position_of_what_is_not_there_is_that_of_its_mapping():
    document = source.parse("a: 1\nb:\n  c: 2\n", "f")
    assert document.place(document.root["b"], "missing") == Place("f", 3, 3)
    assert document.place() == Place("f", 1, 1)


def test_columns_count_characters_not_bytes():
    document = source.parse("a: {é: 1, b: 2}", "f")
    assert document.place(document.root["a"], "b") == Place("f", 1, 11)


def test_a_key_twice_names_both_lines():
    assert refused("a: 1\nb: 2\na: 3") == (
        "file.yaml:3:1: `a` is here twice: first on line 1 [M007]\n    Keep one of lines 1 and 3."
    )


@pytest.mark.parametrize(
    "text",
    ["a: &a [*a]", "a: &x 1\nb: *x", "a: &a {b: *a}", "<<: *x", "- *x"],
)
def test_aliases_are_refused_where_they_stand(text):
    assert "is a YAML alias [M008]" in refused(text)


def test_a_yaml_bomb_is_refused_at_once():
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
    start = time.monotonic()
    assert "alias" in refused(bomb)
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "a: {b: " + "[" * 100_000])
def test_deep_nesting_is_refused_and_ends_no_process(text):
    assert "levels of nesting [M006]" in refused(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: !!python/object:os.system x", "a YAML tag"),
        ("? [a]\n: b", "a key that is a list or a mapping"),
        ("a: 1\n---\nb: 2", "a second document in the file"),
        ("a: 'x", "a quote that is never closed"),
        ("a: @x", "a character that no value may start with"),
        ("a: *", "takes for an alias"),
        ("a: [1", "never closed"),
        ("\ta: 1", "a tab where YAML wants spaces"),
        ("a: b: c", "a second `:`"),
        ('a: "\\q"', "an escape that YAML does not know"),
        ("a\x00b: 1", "a control character"),
        ("a: \x07", "a control character"),
        ("a: 1\nb\nc: 2", "a line that is no `key: value`"),
        ("- a\n- b", "the file is no mapping"),
        ("", "the file is empty"),
        ("# only\n", "nothing but comments"),
    ],
)
def test_what_is_not_read_is_told_in_our_words(text, says):
    assert says in refused(text)


def test_a_file_without_final_line_end_and_with_a_byte_order_mark_is_read(tmp_path):
    file = tmp_path / "f.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1")
    assert source.load(file, "f").root == {"a": 1}


def problem_of(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        source.load(path, "f.yaml")
    return str(caught.value)


def test_a_file_of_ten_megabytes_is_refused_unread(tmp_path):
    file = tmp_path / "f.yaml"
    file.write_bytes(b"a: " + b"x" * 10_000_000)
    assert problem_of(file) == "f.yaml:1:1: the file is larger than 1 MB [M004]\n    Keep data out of it, or split it."


def test_the_place_where_a_file_stops_being_utf8(tmp_path):
    file = tmp_path / "f.yaml"
    file.write_bytes(b"a: 1\nb: Caf" + b"\xe9\n")
    assert problem_of(file).startswith("f.yaml:2:7: the file is not UTF-8 from here on [M005]")


def test_what_is_no_file_is_told_and_never_waited_for(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "this is not a file [M001]" in problem_of(pipe)
    assert "this is a folder" in problem_of(tmp_path) or "this is not a file" in problem_of(tmp_path)
    assert "this file does not exist [M001]" in problem_of(tmp_path / "missing")


def test_a_legal_file_just_below_the_limit_is_read_in_a_second(tmp_path):
    file = tmp_path / "f.yaml"
    file.write_text("a: [" + "x, " * 330_000 + "x]\n")
    start = time.process_time()
    assert len(source.load(file, "f").root["a"]) == 330_001
    assert time.process_time() - start < 15


def test_readers_give_nothing_for_what_has_another_type():
    root = source.parse("a: 1\nb: [x, {c: d}, 2]\nc: text\nd: {e: true}", "f").root
    assert (source.text(root, "a"), source.text(root, "c")) == ("", "text")
    assert source.maps(root, "b") == [{"c": "d"}]
    assert source.texts(root, "b") == ("x",)
    assert source.texts(root, "c") == ("text",)
    assert source.child(root, "a") == Map()
    assert source.items(root, "c") == Seq()
    assert source.flag(source.child(root, "d"), "e") is True
