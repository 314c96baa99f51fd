"""Where an error of DuckDB's stands in a person's own text, and its words without the quoted line. Pure."""

import re
import unicodedata

_QUOTED = re.compile(r"^[ \t]*(LINE (\d+): )(.*)\n([ \t]*)\^[ \t]*$", re.MULTILINE)
_KIND = re.compile(r"^[A-Z][\w -]* Error: ")
CUT = "..."


def place_in(told: str, text: str, *, above: int = 0) -> tuple[int, int] | None:
    """Line and column, from 1, of what an error is about; None where DuckDB does not say, or it is not in this text.

    Args:
        told: DuckDB's error. It quotes a line, or a part of it, with a caret below the place.
        text: What somebody wrote; the query that failed holds it, perhaps with other lines around.
        above: So many lines stand above the text in that query.
    """
    found = _QUOTED.search(told)
    if found is None:
        return None
    lead, number, shown, spaces = found.groups()
    indented = found.start(1) - found.start()
    caret = len(spaces) - indented - len(lead)
    if shown.startswith(CUT):
        shown, caret = shown.removeprefix(CUT), caret - len(CUT)
    part = shown.removesuffix(CUT).rstrip()
    lines = text.split("\n")
    there = [at for at, line in enumerate(lines, start=1) if part.strip() and part in line]
    if not there or caret < 0:
        return None
    line = min(there, key=lambda at: abs(at - (int(number) - above)))
    return line, lines[line - 1].index(part) + _after(part, caret) + 1


def _after(part: str, width: int) -> int:
    """How many characters take so much room on a terminal, as DuckDB counts it: a tab takes none."""
    taken = 0
    for at, letter in enumerate(part):
        room = 0 if unicodedata.category(letter)[0] in "CM" else 1 + (unicodedata.east_asian_width(letter) in "WF")
        if taken >= width and room:
            return at
        taken += room
    return len(part)


def words_of(told: str) -> str:
    """The error in as few lines as it needs: what is wrong, and below it what there is instead."""
    first, *more = [line.strip() for line in _QUOTED.sub("", told).splitlines() if line.strip()] or [""]
    return "\n    ".join([_KIND.sub("", first).rstrip("!"), *more])
