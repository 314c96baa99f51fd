"""What keeps old readers alive beside a new version: SQL from new to old; and SQL of a reader that follows new names."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mesh_assets.changes.binding import Bench, DoesNotBind
from mesh_assets.changes.impact import Moved
from mesh_assets.changes.lineage import Columns, Lineage
from mesh_assets.changes.model import Kind
from mesh_assets.changes.texts import Text
from mesh_assets.domain import Table
from mesh_assets.reading.columntype import RESERVED

ALIAS = (
    r"\s+(?:as\s+)?(?!(?:as|where|join|left|right|inner|outer|full|cross|semi|anti|asof|positional|natural|on|using|group|order|limit|"
    r"offset|union|except|intersect|having|qualify|window|tablesample|select|pivot|unpivot)\b)[a-z_]\w*"
)
"""What a table is called in a query, behind its name."""


def shim(port: str, found: Moved, successor: str) -> str | None:
    """SQL for the old version of a port, over its successor; None where a column cannot be had back.

    Args:
        port: `domain.table`, whose old columns are wanted.
        found: The change.
        successor: The table that has the new ones.
    """
    renamed = {c.column.lower(): c.after for c in found.changes if c.kind is Kind.COLUMN_RENAMED}
    lines = []
    for column in found.old.columns:
        name, spelt = column.name.lower(), quoted(column.name)
        new = found.new.names.get(renamed.get(name, name).lower())
        if new is None:
            if not column.nullable:
                return None  # a value that is gone cannot be made up
            lines.append(f"    cast(null as {column.type}) as {spelt}")
        elif new.type != column.type:
            lines.append(f"    cast({quoted(new.name)} as {column.type}) as {spelt}")
        else:
            lines.append(f"    {quoted(new.name)}" if new.name == column.name else f"    {quoted(new.name)} as {spelt}")
    head = f"-- {port.replace('.', '/', 1)} as its readers know it, kept alive from {successor.replace('.', '/', 1)}.\n"
    return f"{head}select\n" + ",\n".join(lines) + f"\nfrom {successor}\n"


def adapted(
    bench: Bench, table: Table, text: Text, read: Lineage, found: Mapping[str, Moved], before: Columns, now: Columns
) -> list[str] | None:
    """The lines of a reader's SQL that follow the new names, and give what they gave; None where a person has to write them.

    Args:
        before: The columns of its inputs, by which it was written.
        now: Those on which it is to stand.
    """
    try:
        gave = [name for name, _ in bench.bind(text, table, before)]
    except DoesNotBind:
        return None
    for everywhere in (True, False):
        sql, source = (followed(read, one, found, everywhere=everywhere) for one in (text.sql, text.source))
        same = all(
            one == other for one, other in zip(sql.renamed, source.renamed, strict=False)
        )  # nothing that Jinja writes
        if same and gives(bench, table, text, sql.lines, now) == gave:
            return list(source.lines)
    return None


def gives(bench: Bench, table: Table, text: Text, lines: Iterable[str], columns: Columns) -> list[str] | None:
    """The names of the columns that these lines give in place of a text; None where they do not stand."""
    try:
        return [name for name, _ in bench.bind(replace(text, sql="".join(lines).rstrip().rstrip(";")), table, columns)]
    except DoesNotBind:
        return None


@dataclass(frozen=True, slots=True)
class Followed:
    """Lines with new names in them, and how many names were put into each."""

    lines: tuple[str, ...]
    renamed: tuple[int, ...]


def followed(read: Lineage, sql: str, found: Mapping[str, Moved], *, everywhere: bool = True) -> Followed:
    """SQL with the new names in place of the old ones: where they are the inputs' own, not an alias or another table's.

    Args:
        everywhere: On every line; else on the one where the column is read first: further on it may be handed on by its old name.
    """
    lines = [(line, 0) for line in sql.splitlines(keepends=True)]
    for port, moved in found.items():
        use = read.uses.get(port)
        for change in moved.changes:
            if change.kind is not Kind.COLUMN_RENAMED or use is None or not use.reads(change.column):
                continue
            if any(name != port and other.reads(change.column) for name, other in read.uses.items()):
                continue  # another table has a column of that name: which is meant is for a person to say
            spot = use.columns.get(change.column.lower())
            only = spot.line if spot and not everywhere else 0
            lines = [
                _renamed(line, count, change.column, change.after) if only in (0, number) else (line, count)
                for number, (line, count) in enumerate(lines, start=1)
            ]
    return Followed(tuple(line for line, _ in lines), tuple(count for _, count in lines))


def _renamed(line: str, before: int, old: str, new: str) -> tuple[str, int]:
    code, dashes, comment = line.partition("--")
    word = re.compile(rf"(?<![\w.'])((?:\w+\.)?){re.escape(old)}(?![\w'])", re.IGNORECASE)
    alone = re.fullmatch(rf"\s*(?:\w+\.)?{re.escape(old)}\s*,?\s*", code, re.IGNORECASE)
    spelt = quoted(new)
    code, count = word.subn(lambda match: f"{match[1]}{spelt}{f' as {old}' if alone else ''}", code)
    return code + dashes + comment, before + count


def quoted(name: str) -> str:
    """A column's name as it can stand in SQL, bare where that reads better."""
    bare = name.isascii() and name.isidentifier() and name.islower() and name not in RESERVED
    return name if bare else '"' + name.replace('"', '""') + '"'
