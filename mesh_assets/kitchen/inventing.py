"""Values that stand for nobody: SQL that makes them of chance, and of nothing but the form of real ones.

A form keeps what is no letter and no digit, and says of the rest what it is: `E-100001` is `A-999999`.
"""

from collections.abc import Sequence

from mesh_assets.lake.sqltext import text

CHECKS = {"Luhn": "", "NPI": "80840"}
"""Check digits that are known, with what goes before the digits when they are summed."""
_PARTS = 1_000_003


def form(value: str) -> str:
    """Digits are `9`, capitals `A`, other letters `a`."""
    digits = f"regexp_replace({value}, '[0-9]', '9', 'g')"
    capitals = f"regexp_replace({digits}, '\\p{{Lu}}', 'A', 'g')"
    return f"regexp_replace({capitals}, '[\\p{{Ll}}\\p{{Lt}}\\p{{Lm}}\\p{{Lo}}]', 'a', 'g')"


def likened(value: str) -> str:
    """Letters and digits alone, in small: two systems write one number with dashes and without."""
    return f"lower(regexp_replace({value}::VARCHAR, '[^\\p{{L}}0-9]', '', 'g'))"


def chance(*parts: str) -> str:
    """A whole number of 64 bits, the same for the same parts."""
    return f"hash({', '.join(parts)})"


def share(*parts: str) -> str:
    """A number from 0 up to 1, the same for the same parts."""
    return f"(({chance(*parts)} % {_PARTS}) / {_PARTS}.0)"


def filled(of: str, fixed: str, *parts: str) -> str:
    """A text of a form, its letters and digits drawn by chance.

    Args:
        of: The form.
        fixed: A list with the characters that may stand at each place, where there are few; may be NULL.
        parts: Of the chance.
    """
    drawn = chance("p", *parts)
    one = (
        f"CASE WHEN {fixed}[p] <> '' THEN {fixed}[p][1 + ({drawn} % length({fixed}[p]))::INTEGER] "
        f"WHEN {of}[p] = '9' THEN chr(48 + ({drawn} % 10)::INTEGER) "
        f"WHEN {of}[p] = 'A' THEN chr(65 + ({drawn} % 26)::INTEGER) "
        f"WHEN {of}[p] = 'a' THEN chr(97 + ({drawn} % 26)::INTEGER) ELSE {of}[p] END"
    )
    return f"array_to_string(list_transform(range(1, length({of}) + 1), lambda p: {one}), '')"


def poured(value: str, of: str) -> str:
    """A value written as a form is: with its marks where there are as many letters and digits, else only as large or small."""
    bare = f"regexp_replace({value}, '[^\\p{{L}}0-9]', '', 'g')"
    places = f"regexp_replace({of}, '[^9Aa]', '', 'g')"
    upto = f"length(regexp_replace(substr({of}, 1, p), '[^9Aa]', '', 'g'))"
    one = f"CASE WHEN {of}[p] IN ('9', 'A', 'a') THEN {bare}[{upto}] ELSE {of}[p] END"
    marked = f"array_to_string(list_transform(range(1, length({of}) + 1), lambda p: {one}), '')"
    written = f"CASE WHEN length({bare}) = length({places}) THEN {marked} ELSE {value} END"
    return (
        f"CASE WHEN contains({of}, 'A') AND NOT contains({of}, 'a') THEN upper({written}) "
        f"WHEN contains({of}, 'a') AND NOT contains({of}, 'A') THEN lower({written}) ELSE {written} END"
    )


def check_digit(value: str, before: str) -> str:
    """The last digit that a number must have, by the others."""
    whole = f"({text(before)} || regexp_replace({value}, '[^0-9]', '', 'g'))"
    weighed = f"(TRY_CAST({whole}[p] AS INTEGER) * (1 + (length({whole}) - p) % 2))"
    total = f"list_sum(list_transform(range(1, length({whole})), lambda p: {weighed} // 10 + {weighed} % 10))"
    return f"((10 - {total} % 10) % 10)::INTEGER::VARCHAR"


def checks(value: str, before: str) -> str:
    """Whether a number ends with its check digit."""
    return f"regexp_replace({value}, '[^0-9]', '', 'g')[-1] = {check_digit(value, before)}"


def with_check(value: str, before: str) -> str:
    """The number with the digit at its end that it must have."""
    right = f"left({value}, length({value}) - 1) || {check_digit(value, before)}"
    return f"CASE WHEN {value}[-1] BETWEEN '0' AND '9' THEN {right} ELSE {value} END"


def between(marks: Sequence[float], *parts: str) -> str:
    """A number drawn between equally frequent marks, evenly between two neighbours."""
    listed, steps = f"[{', '.join(f'{mark!r}::DOUBLE' for mark in marks)}]", len(marks) - 1
    drawn = f"{share(*parts)} * {steps}"
    place = f"floor({drawn})::INTEGER"
    low, high = f"{listed}[{place} + 1]", f"{listed}[{place} + 2]"
    return f"({low} + ({drawn} - {place}) * ({high} - {low}))"


def whole_between(low: int, high: int, row: str, rows: int, *parts: str) -> str:
    """Whole numbers from `low` to `high`, every row another one, in the order of the rows."""
    width = f"({high - low + 1}::HUGEINT)"
    return f"({low}::HUGEINT + ({row}::HUGEINT * {width} + ({share(*parts, row)} * {width})::HUGEINT) // {rows})"
