r"""Regular expressions of pandera's `str_matches` and `str_contains`: those of the reference, for DuckDB.

Polars runs them with Rust's `regex`, in which `\d`, `\w` and `\s` are Unicode; DuckDB's RE2 knows them for ASCII only, and an
older Unicode. So classes are spelt out as the reference has them. What cannot be said exactly is left to the reference.
"""

from functools import cache
from itertools import pairwise

from mesh_assets.audit.patterns import LAST, Engine, Ranges, _Reader, others
from mesh_assets.audit.values import CannotAnswer

_SPACE: Ranges = (
    *((9, 13), (32, 32), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)),
    *((0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)),
)
_NOT_IN_BRACKETS = ("[", "&&", "--", "~~")  # sets of sets, which RE2 has not


@cache
def for_duckdb(pattern: str) -> str | None:
    """The pattern in RE2's words, with the reference's meaning; None where there are none.

    Raises:
        CannotAnswer: The reference itself cannot use it.
    """
    accepted(pattern)
    try:
        said = _Rust(pattern, Engine.DUCKDB).read()
    except CannotAnswer:
        return None
    return said if _compiles(said) else None


@cache
def accepted(pattern: str) -> None:
    """Nothing, when the reference can use the pattern.

    Raises:
        CannotAnswer: It cannot: look-around, a back reference, a bracket that is never closed.
    """
    import polars as pl

    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.PolarsError as error:
        told = str(error).splitlines()
        why = next((line.removeprefix("error: ") for line in told if line.startswith("error: ")), told[0])
        raise CannotAnswer(f"the pattern `{pattern}` cannot be used: {why}") from None


def alternates(pattern: str) -> bool:
    """Whether a `|` stands outside every group and bracket: then a `^` before it anchors the first branch only."""
    depth, inside, skip = 0, False, False
    for char in pattern:
        if skip:
            skip = False
        elif char == "\\":
            skip = True
        elif inside:
            inside = char != "]"
        elif char == "[":
            inside = True
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "|" and depth == 0:
            return True
    return False


class _Rust(_Reader):
    """Rust's words where they differ from those of ECMA-262."""

    def piece(self) -> tuple[str, bool]:
        if self.pattern.startswith(".", self.at):
            self.at += 1
            return r"[^\n]", True
        return super().piece()

    def escape(self) -> tuple[str, bool]:
        if self.pattern[self.at : self.at + 1] in ("b", "B", "p", "P"):
            raise self.refused("RE2 does not mean the same")
        return super().escape()

    def atom(self) -> int | Ranges:
        char = self.pattern[self.at : self.at + 1]
        if char in tuple("dDwWsS"):
            self.at += 1
            ranges = _SPACE if char in "sS" else _class(char.lower())
            return others(ranges) if char.isupper() else ranges
        if char == "0":
            raise self.refused("RE2 does not mean the same")
        return super().atom()

    def member(self, properties: list[str]) -> int | Ranges | None:
        if self.pattern.startswith(_NOT_IN_BRACKETS, self.at):
            raise self.refused("RE2 does not mean the same")
        if self.pattern.startswith(("\\b", "\\p", "\\P"), self.at):
            raise self.refused("RE2 does not mean the same")
        return super().member(properties)


@cache
def _class(letter: str) -> Ranges:
    """A class as the reference has it: every character is asked."""
    import polars as pl

    numbers = [number for number in range(LAST + 1) if not 0xD800 <= number <= 0xDFFF]  # noqa: PLR2004 - surrogates
    found = pl.Series(numbers).filter(pl.Series(map(chr, numbers)).str.contains(rf"^\{letter}$")).to_list()
    starts = [found[0], *(after for before, after in pairwise(found) if after != before + 1)]
    ends = [*(before for before, after in pairwise(found) if after != before + 1), found[-1]]
    return tuple(zip(starts, ends, strict=True))


def _compiles(pattern: str) -> bool:
    import duckdb

    try:
        duckdb.execute("SELECT regexp_matches('', $1)", [pattern])
    except duckdb.Error:
        return False
    return True
