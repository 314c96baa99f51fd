"""Contracts' regular expressions mean what ECMA-262 says, in both engines."""

import duckdb
import polars as pl
import pytest

from mesh_assets.audit.patterns import FORMATS, Engine, compiled, whole
from mesh_assets.audit.values import CannotAnswer, text


def both(pattern: str, value: str) -> bool:
    """Whether it is found in the value, by both engines alike."""
    sql = f"SELECT regexp_matches({text(value)}, {text(compiled(pattern, Engine.DUCKDB))})"
    with duckdb.connect() as con:
        ours = con.execute(sql).fetchone()[0]
    theirs = pl.Series([value]).str.contains(compiled(pattern, Engine.POLARS))[0]
    assert ours == theirs, (pattern, value, ours, theirs)
    return ours


@pytest.mark.parametrize(
    ("pattern", "found", "not_found"),
    [
        ("b", ["abc"], ["ac"]),  # searched for, not anchored
        ("a|b", ["xb", "ax"], ["x"]),
        ("^a|b$", ["ax", "xb"], ["xa", "bx"]),
        ("^(?:a|b)$", ["a", "b"], ["ax", "xb", "a\n"]),
        (r"^\d+$", ["09"], ["٣", "", "a"]),
        (r"^\D$", ["٣", "a"], ["1"]),
        (r"^\w+$", ["a_Z9"], ["é", "-"]),
        (r"^\W$", ["é", "-", " "], ["a"]),
        (r"^\s$", [" ", "\t", "\n", "\v", "\u00a0", "\u2003", "\ufeff"], ["a", "\u200b"]),
        (r"^\S$", ["a", "\u200b"], ["\u00a0"]),
        (r"^[\s\d]$", ["1", "\u00a0"], ["x"]),
        (r"^[^\s\d]$", ["x"], ["1", "\u00a0"]),
        ("^.$", ["a", "é", "🙂", "\t"], ["\n", "\r", "\u2028", "ab"]),
        (r"\bab\b", ["x ab y", "é" + "ab"], ["xab"]),  # é is no letter of a word in ECMA-262
        (r"a\Bb", ["ab"], ["a b"]),
        (
            r"\B",
            ["\u00a0", "ab", "1\u00a0\u00a01"],
            ["1\u00a01", "1é1", "1🙂1", "a"],
        ),  # not between the bytes of a character
        (r"^\B|x\B$|\By*", ["", "\u00a0", "xx", "🙂"], ["1🙂1", "x"]),
        (r"^\u00e9\x41\u{1F642}$", ["éA🙂"], ["eA🙂"]),
        (r"^[\u0041-\u0043]$", ["B"], ["D"]),
        (r"^[a\-z]$", ["-", "a", "z"], ["b"]),
        (r"^[a-]$", ["-", "a"], ["b"]),
        (r"^[\]\[]$", ["[", "]"], ["a"]),
        (r"^[&&~~-]$", ["&", "~", "-"], ["a"]),  # Rust has sets here, ECMA-262 has not
        (r"^[[:alpha:]]$", ["a]", ":]", "[]"], ["b]x"]),  # nor POSIX classes
        (r"^\/\.\-\<$", ["/.-<"], ["/x-<"]),
        (r"^\t\n\v\f\r\0$", ["\t\n\v\f\r\0"], [""]),
        (r"^\p{L}+$", ["é中"], ["1"]),
        (r"^[\p{L}\d]+$", ["é1"], ["-"]),
        ("(?i)^ab$", ["AB", "ab"], ["abc"]),
        ("^(?i:a)b$", ["Ab"], ["AB"]),
        (r"(?<year>\d{4})-(?P<month>\d\d)", ["2024-01"], ["20-01"]),
        ("^a{2,3}?$", ["aa", "aaa"], ["a", "aaaa"]),
        ("x{,2}", ["x{,2}"], ["xx"]),  # no repeat in ECMA-262
        ("a{", ["a{"], ["a"]),
        ("^$", [""], ["a", "\n"]),
        ("", ["", "a"], []),
        ("^é$", ["é"], ["e", "e\u0301"]),
        ("it's", ["it's"], ["its"]),
    ],
)
def test_pattern_means_what_ecma_says(pattern, found, not_found):
    assert [value for value in found if not both(pattern, value)] == []
    assert [value for value in not_found if both(pattern, value)] == []


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(?=a)", "look-around"),
        ("(?!a)", "look-around"),
        ("(?<=a)b", "look-around"),
        ("(?<!a)b", "look-around"),
        ("(?m)^a", "flags"),
        (r"(a)\1", "back references"),
        (r"(?<n>a)\k<n>", "back references"),
        ("(a", "never closed"),
        ("a)", "closes nothing"),
        ("[a", "never closed"),
        ("[]", "empty"),
        ("*a", "nothing to repeat"),
        ("a**", "nothing to repeat"),
        ("a*+", "nothing to repeat"),
        ("^*", "nothing to repeat"),
        ("a{2,1}", "in order"),
        ("a{1,1001}", "at most 1000"),
        (r"\A", "means nothing"),
        (r"\q", "means nothing"),
        ("\\", "means nothing"),
        (r"[z-a]", "ends before it begins"),
        (r"[a-\d]", "ends before it begins"),
        (r"\u{110000}", "no character"),
        (r"\ud800", "no character"),
        (r"\p{", "property"),
        (r"\012", "octal"),
        (5, "not a regular expression"),
        (None, "not a regular expression"),
    ],
)
def test_pattern_that_no_engine_can_run_alike_is_refused_with_the_reason(pattern, why):
    with pytest.raises(CannotAnswer, match=why):
        compiled(pattern, Engine.DUCKDB)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000"], ["123e4567e89b12d3a456426614174000", ""]),
        ("email", ["a@b.org", "a.b+c@x-y.example", "a@localhost"], ["a", "@b.org", "a@", "a b@c.org", "a@b..org", "a@-b.org", "a@b.org\n"]),
        ("uri", ["https://a.b/c?d=e#f", "urn:isbn:1", "mailto:a@b.org"], ["a.b/c", "//a", "http:", "http://a b"]),
        ("hostname", ["a", "a.b-c.org", "1.org"], ["-a.org", "a..b", "a_b", "", "a.org.", "x" * 64]),
        ("ipv4", ["0.0.0.0", "255.255.255.255"], ["256.0.0.1", "1.2.3", "01.2.3.4", "1.2.3.4.5"]),
        ("ipv6", ["::", "::1", "1::", "2001:db8::ff00:42:8329", "1:2:3:4:5:6:7:8", "::ffff:10.0.0.1", "64:ff9b::1.2.3.4"], [":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "1::2::3", "10.0.0.1"]),
        ("date", ["2024-02-29", "2023-02-29"], ["2024-13-01", "2024-1-1", "20240101", "2024-00-10"]),
        ("time", ["12:30:00Z", "23:59:60.5+01:00"], ["12:30", "24:00:00Z", "12:30:00"]),
        ("date-time", ["2024-01-01T12:30:00Z", "2024-01-01t12:30:00.123+02:00"], ["2024-01-01", "2024-01-01T12:30:00"]),
        ("byte", ["", "YQ==", "YWI=", "YWJj"], ["YQ", "YQ=", "Y!=="]),
        ("yyyy-MM-dd", ["2024-02-29"], ["2024-2-29", "x2024-02-29"]),
        ("dd/MM/yyyy HH:mm:ss.SSS", ["29/02/2024 23:59:59.123"], ["29/02/2024 24:00:00.000", "29/02/2024 23:59:59"]),
        ("yyyy-MM-dd'T'HH:mmXXX", ["2024-01-01T10:00Z", "2024-01-01T10:00+02:00"], ["2024-01-01 10:00Z"]),
        ("d MMM yyyy h a", ["1 Jan 2024 9 AM"], ["01 Jan 2024 9 AM", "1 JAN 2024 9 AM"]),
    ],
)  # fmt: skip
def test_format_is_the_whole_text(name, good, bad):
    assert [value for value in good if not both(whole(name), value)] == []
    assert [value for value in bad if both(whole(name), value)] == []


@pytest.mark.parametrize("name", ["password", "binary", "phone", "", "QQ yyyy"])
def test_format_that_cannot_be_tested_is_named(name):
    with pytest.raises(CannotAnswer, match="cannot be tested|can be tested"):
        whole(name)


def test_every_format_has_examples_above():
    assert set(FORMATS) <= {case[0] for case in test_format_is_the_whole_text.pytestmark[0].args[1]}
