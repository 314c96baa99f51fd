"""How one type stands to another: does every value of the one have its place in the other?"""

import re
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache

ALIASES = {
    "INT": "INTEGER", "INT4": "INTEGER", "SIGNED": "INTEGER", "INT32": "INTEGER", "INT8": "BIGINT", "LONG": "BIGINT",
    "INT64": "BIGINT", "INT2": "SMALLINT", "SHORT": "SMALLINT", "INT16": "SMALLINT", "INT1": "TINYINT",
    "STRING": "VARCHAR", "TEXT": "VARCHAR", "CHAR": "VARCHAR", "BPCHAR": "VARCHAR", "BOOL": "BOOLEAN",
    "LOGICAL": "BOOLEAN", "FLOAT4": "FLOAT", "REAL": "FLOAT", "FLOAT8": "DOUBLE", "DATETIME": "TIMESTAMP",
    "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE", "BYTEA": "BLOB", "BINARY": "BLOB", "VARBINARY": "BLOB",
}  # fmt: skip
_BITS = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}
RANGES = {name: (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for name, bits in _BITS.items()} | {
    f"U{name}": (0, 2**bits - 1) for name, bits in _BITS.items()
}
_DECIMAL = re.compile(r"(?:DECIMAL|NUMERIC|DEC)(?:\((\d+)(?:,(\d+))?\))?")
_QUOTED = re.compile(r'"([A-Z_][A-Z0-9_]*)"')
_EXACT = {"FLOAT": 2**24, "DOUBLE": 2**53}  # whole numbers up to here are all there


class Width(StrEnum):
    """What a new type is, seen from the old one."""

    SAME = "same"
    WIDENED = "widened"  # every old value has its place in the new type, and means the same
    NARROWED = "narrowed"  # the other way round
    OTHER = "other"


@lru_cache(maxsize=10_000)
def canonical(type_: str) -> str:
    """DuckDB's own name of a type."""
    word = re.sub(r"\s+", " ", type_.strip().upper())
    if word.endswith("[]"):
        return f"{canonical(word[:-2])}[]"
    if found := _DECIMAL.fullmatch(word.replace(" ", "")):
        return f"DECIMAL({found.group(1) or 18},{found.group(2) or (0 if found.group(1) else 3)})"
    bare = re.sub(r"^(VARCHAR|CHAR|BPCHAR|TEXT|STRING) ?\(\d+\)$", r"\1", word)
    return ALIASES.get(bare, bare)


def width(old: str, new: str) -> Width:
    """How `new` stands to `old`."""
    # DuckDB quotes every field that is a word of SQL, a contract those that need it.
    before, after = (_QUOTED.sub(r"\1", canonical(kind)) for kind in (old, new))
    if before == after:
        return Width.SAME
    if _holds(after, before):
        return Width.WIDENED
    return Width.NARROWED if _holds(before, after) else Width.OTHER


def within(kept: str, given: str, low: str, high: str) -> bool:
    """Whether every value of the type `given` between two limits is one of `kept`."""
    kept, given = canonical(kept), canonical(given)
    ends = [Decimal(limit) for limit in (low, high) if re.fullmatch(r"-?\d+(\.\d+)?", limit)]
    if len(ends) < 2 or not (given in RANGES or given.startswith("DECIMAL")):  # noqa: PLR2004 - both ends
        return False
    scale = _decimal(given)[1] if given.startswith("DECIMAL") else 0
    if kept in RANGES:
        return scale == 0 and RANGES[kept][0] <= min(ends) and max(ends) <= RANGES[kept][1]
    if kept.startswith("DECIMAL"):
        p, s = _decimal(kept)
        return scale <= s and max(map(abs, ends)) < 10 ** (p - s)
    return False


def _holds(wide: str, narrow: str) -> bool:
    """Whether every value of `narrow` is a value of `wide`, of the same meaning in SQL."""
    if wide.endswith("[]") and narrow.endswith("[]"):
        return wide == narrow or _holds(wide[:-2], narrow[:-2])
    if narrow in RANGES:
        return _holds_integers(wide, narrow)
    if narrow.startswith("DECIMAL") and wide.startswith("DECIMAL"):
        (p, s), (q, r) = _decimal(wide), _decimal(narrow)
        return s >= r and p - s >= q - r
    return (wide, narrow) == ("DOUBLE", "FLOAT")


def _holds_integers(wide: str, narrow: str) -> bool:
    low, high = RANGES[narrow]
    if wide in RANGES:
        return RANGES[wide][0] <= low and high <= RANGES[wide][1]
    if wide.startswith("DECIMAL"):
        precision, scale = _decimal(wide)
        return 10 ** (precision - scale) > max(high, -low)
    return wide in _EXACT and max(high, -low) <= _EXACT[wide]


def _decimal(type_: str) -> tuple[int, int]:
    precision, _, scale = type_.removeprefix("DECIMAL(").removesuffix(")").partition(",")
    return int(precision), int(scale)
