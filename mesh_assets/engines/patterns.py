"""A contract's regular expressions in the words of other engines; what an engine reads differently is refused."""

import re

from mesh_assets.audit.patterns import Engine, compiled
from mesh_assets.audit.values import CannotAnswer

_TOKEN = re.compile(r"\\x\{([0-9a-f]+)\}|\\.|\(\?i[:)]|\{\d+(?:,\d*)?\}|.", re.DOTALL)
_MOST_REPEATS = {"postgres": 255}


def elsewhere(pattern: object, dialect: str) -> str:
    """The same pattern, for that engine.

    Raises:
        CannotAnswer: It needs what the engine has not, or means differently: case folding, properties, word boundaries.
    """
    said = compiled(pattern, Engine.DUCKDB)
    if dialect in ("bigquery", "duckdb"):  # RE2 as well
        return said
    return "".join(_piece(match, str(pattern), dialect) for match in _TOKEN.finditer(said))


def _piece(match: re.Match[str], pattern: str, dialect: str) -> str:
    piece = match.group()
    if match.group(1):
        char = chr(int(match.group(1), 16))
        if char == "\0":
            raise _refused(pattern, dialect, "NUL cannot stand in its texts")
        return f"\\{char}" if char.isascii() and char.isprintable() and not char.isalnum() and char != " " else char
    if piece in ("\\b", "\\B", "\\p", "\\P"):
        raise _refused(pattern, dialect, f"`{piece}` means something else there")
    if piece.startswith("(?i"):
        raise _refused(pattern, dialect, "it folds letters in another way")
    if piece[0] == "{" and any(int(count) > _MOST_REPEATS.get(dialect, 1000) for count in re.findall(r"\d+", piece)):
        raise _refused(pattern, dialect, f"it repeats at most {_MOST_REPEATS[dialect]} times")
    # Java's `$` also stands before a last line end.
    return r"\z" if piece == "$" and dialect in ("spark", "trino") else piece


def _refused(pattern: str, dialect: str, why: str) -> CannotAnswer:
    return CannotAnswer(f"the pattern `{pattern}` cannot be used on {dialect}: {why}")
