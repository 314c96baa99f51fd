r"""Regular expressions of contracts: ECMA-262 (what ODCS and JSON Schema mean), for the engines that run them.

A pattern is searched for anywhere in the text; `^` and `$` anchor it. `\d`, `\w` and `\b` are ASCII, `\s` is Unicode
white space and `.` is anything but a line end, as in ECMA-262, whatever an engine makes of them: classes are spelt out.
Look-around and back references are refused: neither engine has them, and they are what makes a pattern exponential.
"""

import re
from enum import StrEnum
from functools import lru_cache

from mesh_assets.audit.values import CannotAnswer


class Engine(StrEnum):
    """What runs the pattern; they differ in the spelling of an ASCII word boundary."""

    DUCKDB = "duckdb"  # RE2
    POLARS = "polars"  # Rust's regex


Ranges = tuple[tuple[int, int], ...]

LAST = 0x10FFFF
_DIGIT: Ranges = ((48, 57),)
_WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Ranges = (
    *((9, 13), (32, 32), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)),
    *((0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
)
_LINE_ENDS: Ranges = ((10, 10), (13, 13), (0x2028, 0x2029))


def others(ranges: Ranges) -> Ranges:
    """All characters but these."""
    starts = [0, *(high + 1 for _, high in ranges)]
    ends = [*(low - 1 for low, _ in ranges), LAST]
    return tuple((low, high) for low, high in zip(starts, ends, strict=True) if low <= high)


_CLASSES = {
    "d": _DIGIT, "D": others(_DIGIT), "w": _WORD, "W": others(_WORD), "s": _SPACE, "S": others(_SPACE),
}  # fmt: skip
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}
_ANY = f"[\\x{{0}}-\\x{{{LAST:x}}}]"
_QUANTIFIER = re.compile(r"(?:[*+?]|\{(\d+)(?:,(\d*))?\})\??")
_MOST_REPEATS = 1000  # RE2's limit

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_H16 = r"[0-9A-Fa-f]{1,4}"
_DATE = r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_IPV4 = rf"(?:{_OCTET}\.){{3}}{_OCTET}"
_IPV6 = "|".join(
    [
        rf"(?:{_H16}:){{7}}{_H16}",
        *(rf"(?:{_H16}:){{1,{n}}}(?::{_H16}){{1,{7 - n}}}" for n in range(1, 7)),
        rf"(?:{_H16}:){{1,7}}:",
        rf":(?::{_H16}){{1,7}}",
        "::",
        rf"(?:{_H16}:){{6}}{_IPV4}",
        rf"::(?:{_H16}:){{0,5}}{_IPV4}",
        *(rf"(?:{_H16}:){{1,{n}}}(?::{_H16}){{0,{5 - n}}}:{_IPV4}" for n in range(1, 6)),
    ]
)
FORMATS = {
    "uuid": r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "email": rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})*",  # as a browser's <input type=email>
    "uri": r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+",
    "hostname": rf"{_LABEL}(?:\.{_LABEL})*",
    "ipv4": _IPV4,
    "ipv6": _IPV6,
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}[Tt ]{_TIME}",
    "byte": r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?",
}
"""What the whole text must be, by name of the format. For `date`, days that a month does not have are not looked for."""

_JDK = {
    "yyyy": r"[0-9]{4}", "uuuu": r"[0-9]{4}", "yy": r"[0-9]{2}", "uu": r"[0-9]{2}", "MM": r"(?:0[1-9]|1[0-2])",
    "M": r"(?:[1-9]|1[0-2])", "dd": r"(?:0[1-9]|[12][0-9]|3[01])", "d": r"(?:[1-9]|[12][0-9]|3[01])",
    "MMM": r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)", "EEE": r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)",
    "HH": r"(?:[01][0-9]|2[0-3])", "H": r"(?:1?[0-9]|2[0-3])", "hh": r"(?:0[1-9]|1[0-2])", "h": r"(?:[1-9]|1[0-2])",
    "mm": r"[0-5][0-9]", "ss": r"[0-5][0-9]", "a": r"(?:AM|PM)",
    "XXX": r"(?:Z|[+-][0-9]{2}:[0-9]{2})", "XX": r"(?:Z|[+-][0-9]{4})", "X": r"(?:Z|[+-][0-9]{2}(?:[0-9]{2})?)", "Z": r"[+-][0-9]{4}",
}  # fmt: skip


def whole(name: str) -> str:
    """The pattern of a format: one of `FORMATS`, or a date format of the JDK such as `yyyy-MM-dd HH:mm:ss`.

    Raises:
        CannotAnswer: The format is not known, or says nothing about the text (`password`, `binary`).
    """
    body = FORMATS.get(name) or _jdk(name)
    if not body:
        msg = f"format `{name}` is not one that can be tested; known: {', '.join(FORMATS)}, and dates as in yyyy-MM-dd"
        raise CannotAnswer(msg)
    return f"^(?:{body})$"


def compiled(pattern: object, engine: Engine) -> str:
    """The same pattern, as the engine must be given it.

    Raises:
        CannotAnswer: It is no regular expression of ECMA-262, or needs what no safe engine has.
    """
    if not isinstance(pattern, str):
        msg = f"`{pattern}` is not a regular expression"
        raise CannotAnswer(msg)
    return _compiled(pattern, engine)


@lru_cache(maxsize=10_000)
def _compiled(pattern: str, engine: Engine) -> str:
    return _Reader(pattern, engine).read()


class _Reader:
    """One pass over a pattern. Whatever is not plainly understood is refused, never passed through."""

    def __init__(self, pattern: str, engine: Engine) -> None:
        self.pattern, self.engine, self.at, self.depth = pattern, engine, 0, 0
        self.inside_words = False  # whether `\\B` is in it

    def read(self) -> str:
        out: list[str] = []
        repeatable = False
        while self.at < len(self.pattern):
            if match := _QUANTIFIER.match(self.pattern, self.at):
                if not repeatable:
                    raise self.refused("nothing to repeat")
                counts = [int(count) for count in match.groups() if count]
                if any(count > _MOST_REPEATS for count in counts) or counts != sorted(counts):
                    raise self.refused(f"repeats must be in order and at most {_MOST_REPEATS}")
                self.at = match.end()
                out.append(match.group())
                repeatable = False
                continue
            piece, repeatable = self.piece()
            out.append(piece)
        if self.depth:
            raise self.refused("a `(` is never closed")
        whole = "".join(out)
        if (
            self.inside_words and self.engine is Engine.DUCKDB
        ):  # RE2 begins also between the bytes of a character, and finds `\\B` there
            return f"^{_ANY}*?(?:{whole})"
        return whole

    def piece(self) -> tuple[str, bool]:
        """The next piece, and whether it can be repeated."""
        match char := self.take():
            case "(":
                self.depth += 1
                return self.group(), False
            case ")":
                self.depth -= 1
                if self.depth < 0:
                    raise self.refused("a `)` closes nothing")
                return char, True
            case "|" | "^" | "$":
                return char, False
            case ".":
                return _spelt(_LINE_ENDS, negated=True), True
            case "[":
                return self.bracket(), True
            case "\\":
                return self.escape()
        return _char(ord(char)), True

    def group(self) -> str:
        if not self.pattern.startswith("?", self.at):
            return "(?:"
        if match := re.compile(r"\?(?::|P?<[A-Za-z_]\w*>)").match(self.pattern, self.at):
            self.at = match.end()
            return "(?:"
        if match := re.compile(r"\?i([:)])").match(self.pattern, self.at):
            self.at = match.end()
            self.depth -= match.group(1) == ")"
            return f"(?i{match.group(1)}"
        raise self.refused("look-around and flags other than `(?i)` cannot be used")

    def escape(self) -> tuple[str, bool]:
        char = self.pattern[self.at : self.at + 1]
        if char in ("b", "B"):
            self.at += 1
            self.inside_words |= char == "B"
            return (f"\\{char}" if self.engine is Engine.DUCKDB else f"(?-u:\\{char})"), False
        if char and char in "pP":
            return self.property(), True
        atom = self.atom()
        return (_spelt(atom) if isinstance(atom, tuple) else _char(atom)), True

    def atom(self) -> int | Ranges:
        """After a backslash: a character, or a class of them."""
        char = self.take()
        if char in _CLASSES:
            return _CLASSES[char]
        if char == "0" and self.pattern[self.at : self.at + 1].isdigit():
            raise self.refused("octal numbers cannot be used")
        if char in _CONTROLS:
            return _CONTROLS[char]
        digits = {"x": r"([0-9A-Fa-f]{2})", "u": r"([0-9A-Fa-f]{4})|\{([0-9A-Fa-f]{1,6})\}"}.get(char)
        if digits and (match := re.compile(digits).match(self.pattern, self.at)):
            self.at = match.end()
            number = int(match.group(1) or match.group(2), 16)
            if number > LAST or 0xD800 <= number <= 0xDFFF:  # noqa: PLR2004 - the surrogates, which are no characters
                raise self.refused("that number is no character")
            return number
        if char.isdigit() or char == "k":
            raise self.refused("back references cannot be used")
        if not char or char.isalpha():
            raise self.refused(f"`\\{char}` means nothing")
        return ord(char)

    def property(self) -> str:
        match = re.compile(r"[pP]\{[A-Za-z_]+\}").match(self.pattern, self.at)
        if not match:
            raise self.refused("a property is written as in `\\p{L}`")
        self.at = match.end()
        return f"\\{match.group()}"

    def bracket(self) -> str:
        negated = self.pattern.startswith("^", self.at)
        self.at += negated
        items: list[tuple[int, int]] = []
        properties: list[str] = []
        while not self.pattern.startswith("]", self.at):
            low = self.member(properties)
            if low is None:
                continue
            if isinstance(low, tuple):
                items.extend(low)
                continue
            high: int | Ranges | None = low
            if self.pattern.startswith("-", self.at) and not self.pattern.startswith("-]", self.at):
                self.at += 1
                high = self.member(properties)
                if not isinstance(high, int) or high < low:
                    raise self.refused("a range in `[…]` ends before it begins")
            items.append((low, high))
        self.at += 1
        if not items and not properties:
            raise self.refused("`[]` is empty")
        return _spelt(tuple(items), negated=negated, properties="".join(properties))

    def member(self, properties: list[str]) -> int | Ranges | None:
        char = self.take()
        if not char:
            raise self.refused("a `[` is never closed")
        if char != "\\":
            return ord(char)
        following = self.pattern[self.at : self.at + 1]
        if following == "b":
            self.at += 1
            return 8
        if following and following in "pP":
            properties.append(self.property())
            return None
        return self.atom()

    def take(self) -> str:
        self.at += 1
        return self.pattern[self.at - 1 : self.at]

    def refused(self, why: str) -> CannotAnswer:
        return CannotAnswer(
            f"the pattern `{self.pattern}` cannot be used: {why} (at character {min(self.at, len(self.pattern))})"
        )


def _char(number: int) -> str:
    char = chr(number)
    if char.isalnum() or char in " _-/:;,@%='\"<>!~#&`":
        return char
    return f"\\{char}" if 32 < number < 127 else f"\\x{{{number:x}}}"  # noqa: PLR2004 - printable ASCII


def _spelt(ranges: Ranges, *, negated: bool = False, properties: str = "") -> str:
    """A class in the spelling that both engines read alike: nothing in it but letters, digits and numbers."""
    ends = [
        _end(low) if low == high else f"{_end(low)}-{_end(high)}"
        for low, high in ranges
    ]  # fmt: skip
    return f"[{'^' if negated else ''}{''.join(ends)}{properties}]"


def _end(number: int) -> str:
    return chr(number) if chr(number).isascii() and chr(number).isalnum() else f"\\x{{{number:x}}}"


def _jdk(name: str) -> str:
    """A date format of the JDK as a pattern; empty when it is none."""
    out: list[str] = []
    found = False
    for token in re.finditer(r"'[^']*'|([A-Za-z])\1*|.", name):
        word = token.group()
        if word[0] == "S" and set(word) == {"S"}:
            out.append(f"[0-9]{{{len(word)}}}")
        elif word in _JDK:
            out.append(_JDK[word])
            found = True
        elif word[0].isalpha():
            return ""
        else:
            out.append(re.escape(word.strip("'") or "'"))
    return "".join(out) if found else ""
