"""The type of a column: what a contract says, as DuckDB spells it."""

import re
from difflib import get_close_matches

from mesh_assets.errors import nearest
from mesh_assets.reading.source import Map, child, flag, maps, text

PLAIN = (
    *[
        "BIGINT",
        "BLOB",
        "BOOLEAN",
        "DATE",
        "DOUBLE",
        "FLOAT",
        "INTEGER",
        "INTERVAL",
        "JSON",
        "SMALLINT",
        "TIME",
        "TIMESTAMP",
        "TIMESTAMP_NS",
        "TINYINT",
    ],
    *("TIMESTAMP WITH TIME ZONE", "UBIGINT", "UINTEGER", "USMALLINT", "UTINYINT", "UUID", "VARCHAR"),
)
SPELLINGS = {  # what the lake calls a type, and what else people write for it
    "BIGINT": ("INT8", "INT64", "LONG"),
    "BLOB": ("BYTEA", "BINARY", "VARBINARY"),
    "BOOLEAN": ("BOOL", "LOGICAL"),
    "DECIMAL(18,3)": ("DECIMAL", "NUMERIC", "DEC"),
    "DOUBLE": ("FLOAT8", "DOUBLE PRECISION"),
    "FLOAT": ("FLOAT4", "REAL"),
    "INTEGER": ("INT", "INT4", "INT32", "SIGNED"),
    "SMALLINT": ("INT2", "INT16", "SHORT"),
    "TIMESTAMP": ("DATETIME", "TIMESTAMP_US", "TIMESTAMP_MS", "TIMESTAMP_S", "TIMESTAMP WITHOUT TIME ZONE"),
    "TIMESTAMP WITH TIME ZONE": ("TIMESTAMPTZ",),
    "TINYINT": ("INT1",),
    "UBIGINT": ("UINT64",),
    "UINTEGER": ("UINT32",),
    "USMALLINT": ("UINT16",),
    "UTINYINT": ("UINT8",),
    "VARCHAR": ("TEXT", "STRING", "CHAR", "BPCHAR", "NVARCHAR"),
}
ALIASES = {name: name for name in PLAIN} | {other: name for name, others in SPELLINGS.items() for other in others}
REFUSED = {  # types of DuckDB that Parquet or the lake would change or lose, and what to use
    **dict.fromkeys(("HUGEINT", "UHUGEINT", "INT128", "UINT128", "BIGNUM"), "DECIMAL(38,0)"),
    **dict.fromkeys(("TIMETZ", "TIME WITH TIME ZONE"), "TIME, or TIMESTAMP WITH TIME ZONE"),
    "BIT": "VARCHAR or BLOB",
    "ENUM": "VARCHAR with an `invalidValues` rule",
    "GEOMETRY": "BLOB",
    "UNION": "STRUCT",
}
LOGICAL = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "time": "TIME",
}
FORMATS = {  # of the logical types `integer` and `number`
    "i8": "TINYINT",
    "i16": "SMALLINT",
    "i32": "INTEGER",
    "i64": "BIGINT",
    "i128": "HUGEINT",
    "u8": "UTINYINT",
    "u16": "USMALLINT",
    "u32": "UINTEGER",
    "u64": "UBIGINT",
    "u128": "UHUGEINT",
    "f32": "FLOAT",
    "f64": "DOUBLE",
}
# Words of DuckDB that are no name of a field or column unless they are quoted.
RESERVED = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "anti",
        "any",
        "array",
        "as",
        "asc",
        "asof",
        "asymmetric",
        "at",
        "authorization",
        "binary",
        "both",
        "by",
        "case",
        "cast",
        "check",
        "collate",
        "collation",
        "column",
        "columns",
        "concurrently",
        "constraint",
        "create",
        "cross",
        "default",
        "deferrable",
        "desc",
        "describe",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "generated",
        "glob",
        "group",
        "having",
        "ilike",
        "in",
        "initially",
        "inner",
        "intersect",
        "into",
        "is",
        "isnull",
        "join",
        "lambda",
        "lateral",
        "leading",
        "left",
        "like",
        "limit",
        "map",
        "natural",
        "not",
        "notnull",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "outer",
        "overlaps",
        "pivot",
        "pivot_longer",
        "pivot_wider",
        "placing",
        "positional",
        "primary",
        "qualify",
        "references",
        "returning",
        "right",
        "select",
        "semi",
        "show",
        "similar",
        "some",
        "struct",
        "summarize",
        "symmetric",
        "table",
        "tablesample",
        "then",
        "to",
        "trailing",
        "true",
        "try_cast",
        "union",
        "unique",
        "unpack",
        "unpivot",
        "using",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
    ]
)
ELSEWHERE = frozenset(
    "BIGNUMERIC BYTES DATETIMEOFFSET JSONB NCHAR NTEXT SMALLDATETIME TIMESTAMPLTZ TIMESTAMPNTZ UNSIGNED".split()
)
"""Types of other databases that are near in spelling to one of DuckDB's; without those that hold a digit or a `_`."""
NEAR = 0.8  # as difflib counts
DEEPEST = 20  # levels of STRUCT, MAP and list
TOKEN = re.compile(
    r'\s*(?:(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<quoted>"(?:[^"]|"")+")|(?P<number>[0-9]{1,9})|(?P<sign>[()\[\],]))'
)
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
FIXED = re.compile(r"\[\s*[0-9]+\s*\]")
WIDEST = 38  # digits of a DECIMAL


class NotAType(ValueError):  # noqa: N818 - what it says, not what it is
    """The text is no type that a column of the lake can have; `mend` says what to write instead."""

    def __init__(self, what: str, mend: str, *, held: bool = True) -> None:
        super().__init__(what)
        self.what, self.mend, self.held = what, mend, held


def column_type(column: Map) -> str:
    """DuckDB's name of the type that a column of an ODCS file declares.

    Its `physicalType`, when that is a type of DuckDB; else its `logicalType` with the options that decide a width.

    Raises:
        NotAType: Neither says a type, or the lake cannot hold it.
    """
    physical, logical = text(column, "physicalType"), text(column, "logicalType")
    if physical:
        try:
            return parse_type(physical)
        except NotAType as unknown:
            if not logical or not unknown.held or _misspelt(physical):
                raise
    if not logical:
        raise NotAType("has no type", f"Add `logicalType:`, one of {', '.join(sorted([*LOGICAL, 'array', 'object']))}.")
    return _logical(column, logical)


def _misspelt(written: str) -> bool:
    """Whether a type was to be one of DuckDB's: beside a logical type it can be that of any other database."""
    plain = re.fullmatch(r"([A-Za-z]+)\s*(?:[(\[].*)?", written.strip(), re.DOTALL)
    name = plain[1].upper() if plain else ""
    known = {*ALIASES, "STRUCT", "MAP"}
    if not name or name in known or name in ELSEWHERE or name.endswith("TYPE"):
        return False
    return bool(get_close_matches(name, known, n=1, cutoff=NEAR))


def parse_type(written: str) -> str:
    """A type of DuckDB, spelled as DuckDB spells it: `numeric(10, 2)` is `DECIMAL(10,2)`.

    Raises:
        NotAType: With `held` false for a type of DuckDB that the lake cannot hold.
    """
    name = written.partition("(")[0].strip().upper()
    if name in REFUSED:
        raise NotAType(
            f"has the type `{name}`, which the lake cannot hold without loss", f"Use {REFUSED[name]}.", held=False
        )
    if FIXED.search(written):
        raise NotAType(
            f"has the type `{written}`, a list of fixed length, which the lake cannot hold", "Use `[]`.", held=False
        )
    parsed, rest = _type(_tokens(written), written, 0)
    if rest:
        raise _unknown(written)
    return parsed


def _logical(column: Map, logical: str) -> str:
    options = child(column, "logicalTypeOptions")
    if logical in ("integer", "number") and text(options, "format") in FORMATS:
        return parse_type(FORMATS[text(options, "format")])
    if logical == "timestamp" and flag(options, "timezone"):
        return "TIMESTAMP WITH TIME ZONE"
    if logical == "array":
        item = child(column, "items")
        if not item:
            raise NotAType("is an array of nothing", "Add `items:` with the `logicalType` of its items.")
        return f"{column_type(item)}[]"
    if logical == "object":
        fields = maps(column, "properties")
        if not fields:
            raise NotAType("is an object without properties", "Add `properties:`, or write `physicalType: JSON`.")
        spelled = ", ".join(f"{_field(text(field, 'name'))} {column_type(field)}" for field in fields)
        return f"STRUCT({spelled})"
    if logical in LOGICAL:
        return LOGICAL[logical]
    raise NotAType(
        f"has the logical type `{logical}`, which the lake needs spelled out",
        "Add `physicalType:` with DuckDB's type, such as `FLOAT[]`.",
    )


def _tokens(written: str) -> list[str]:
    tokens, position, end = [], 0, len(written.rstrip())
    while position < end:
        match = TOKEN.match(written, position)
        if not match:
            raise _unknown(written)
        tokens.append(match.group().strip())
        position = match.end()
    return tokens


def _type(tokens: list[str], written: str, depth: int) -> tuple[str, list[str]]:
    words: list[str] = []
    while tokens and tokens[0][0].isalpha() and len(words) < 4:  # noqa: PLR2004 - TIMESTAMP WITH TIME ZONE
        words, tokens = [*words, tokens[0].upper()], tokens[1:]
    name = " ".join(words)
    if not words or depth > DEEPEST:
        raise _unknown(written)
    if name in REFUSED:
        raise NotAType(
            f"has the type `{name}`, which the lake cannot hold without loss", f"Use {REFUSED[name]}.", held=False
        )
    if name in ("STRUCT", "ROW"):
        parsed, tokens = _struct(tokens, written, depth)
    elif name == "MAP":
        parts, tokens = _arguments(tokens, written, depth)
        if len(parts) != 2:  # noqa: PLR2004 - key and value
            raise _unknown(written)
        parsed = f"MAP({', '.join(parts)})"
    elif name in ALIASES:
        parsed, tokens = _sized(ALIASES[name], tokens, written)
    else:
        raise _unknown(written)
    while tokens[:2] == ["[", "]"]:
        parsed, tokens = f"{parsed}[]", tokens[2:]
    return parsed, tokens


def _sized(name: str, tokens: list[str], written: str) -> tuple[str, list[str]]:
    if tokens[:1] != ["("]:
        return name, tokens
    close = tokens.index(")") if ")" in tokens else 0
    sizes = tokens[1:close:2]
    if not close or not all(size.isdigit() for size in sizes) or any(comma != "," for comma in tokens[2:close:2]):
        raise _unknown(written)
    rest = tokens[close + 1 :]
    if name.startswith("DECIMAL") and 1 <= len(sizes) <= 2:  # noqa: PLR2004 - width and scale
        width, scale = int(sizes[0]), int(sizes[1]) if len(sizes) > 1 else 0
        if not 1 <= width <= WIDEST or scale > width:
            raise NotAType(
                f"has the type `{written}`",
                f"A DECIMAL has at most {WIDEST} digits, and no more after the point than in all.",
            )
        return f"DECIMAL({width},{scale})", rest
    if name == "VARCHAR" and len(sizes) == 1:
        return name, rest  # DuckDB ignores the length; `maxLength` tests it
    raise _unknown(written)


def _struct(tokens: list[str], written: str, depth: int) -> tuple[str, list[str]]:
    if tokens[:1] != ["("]:
        raise _unknown(written)
    fields, tokens = [], tokens[1:]
    while True:
        if not tokens or not (tokens[0][0] == '"' or tokens[0][0].isalpha() or tokens[0][0] == "_"):
            raise _unknown(written)
        name = tokens[0][1:-1].replace('""', '"') if tokens[0][0] == '"' else tokens[0]
        kind, tokens = _type(tokens[1:], written, depth + 1)
        fields.append(f"{_field(name)} {kind}")
        if tokens[:1] == [")"]:
            return f"STRUCT({', '.join(fields)})", tokens[1:]
        if tokens[:1] != [","]:
            raise _unknown(written)
        tokens = tokens[1:]


def _arguments(tokens: list[str], written: str, depth: int) -> tuple[list[str], list[str]]:
    if tokens[:1] != ["("]:
        raise _unknown(written)
    parts: list[str] = []
    tokens = tokens[1:]
    while True:
        part, tokens = _type(tokens, written, depth + 1)
        parts.append(part)
        if tokens[:1] == [")"]:
            return parts, tokens[1:]
        if tokens[:1] != [","]:
            raise _unknown(written)
        tokens = tokens[1:]


def _field(name: str) -> str:
    """A field's name as it can stand in a type, bare where that is possible; DuckDB itself quotes more of them."""
    return name if PLAIN_NAME.fullmatch(name) and name.lower() not in RESERVED else '"' + name.replace('"', '""') + '"'


def _unknown(written: str) -> NotAType:
    shown = written if len(written) <= 60 else f"{written[:57]}…"  # noqa: PLR2004 - a line of a terminal
    return NotAType(
        f"has the type `{shown}`, which is no type of DuckDB",
        nearest(
            written.upper(),
            [*PLAIN, "DECIMAL", "STRUCT", "MAP"],
            otherwise="Write one such as VARCHAR, BIGINT, DECIMAL(10,2), DATE or VARCHAR[].",
        ),
    )
