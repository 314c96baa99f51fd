"""What keeps old readers alive beside a new version, and what they would change: SQL from new to old, and a diff."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from mesh_assets.changes.binding import Bench, DoesNotBind
from mesh_assets.changes.impact import Moved
from mesh_assets.changes.lineage import Columns, Lineage, lineage
from mesh_assets.changes.model import Kind
from mesh_assets.changes.texts import Text, text_of
from mesh_assets.domain import Mesh, Table
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


def patches(
    mesh: Mesh,
    columns: Columns,
    found: Mapping[str, Moved],
    tables: Iterable[str],
    now: Columns,
    cache: Path | None = None,
) -> dict[str, str]:
    """A diff for each reader in SQL that can follow a new name, by table; each binds on the new columns."""
    renamed = {port for port, moved in found.items() if any(one.kind is Kind.COLUMN_RENAMED for one in moved.changes)}
    tables = [name for name in tables if renamed.intersection(mesh.tables[name].inputs)]
    if not tables:
        return {}
    told = {}
    bench = Bench()
    try:
        for name in tables:
            table = mesh.tables[name]
            text = text_of(mesh, table)
            if text is None or text.parts or text.incremental:
                continue
            lines = adapted(bench, table, text, lineage(mesh, table, columns, cache), found, columns, now)
            before = text.source.splitlines(keepends=True)
            if lines is not None and lines != before:
                told[name] = "".join(difflib.unified_diff(before, lines, f"a/{text.path}", f"b/{text.path}"))
    finally:
        bench.close()
    return told


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
        lines = followed(read, text, found, everywhere=everywhere)
        if gives(bench, table, text, lines, now) == gave:
            return lines
    return None


def gives(bench: Bench, table: Table, text: Text, lines: Iterable[str], columns: Columns) -> list[str] | None:
    """The names of the columns that these lines give in place of a text; None where they do not stand."""
    try:
        return [name for name, _ in bench.bind(replace(text, sql="".join(lines).rstrip().rstrip(";")), table, columns)]
    except DoesNotBind:
        return None


def followed(read: Lineage, text: Text, found: Mapping[str, Moved], *, everywhere: bool = True) -> list[str]:
    """The text with the new names in place of the old ones: where they are the inputs' own, not an alias or another table's.

    Args:
        everywhere: On every line; else on the one where the column is read first: further on it may be handed on by its old name.
    """
    lines = text.source.splitlines(keepends=True)
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
                _renamed(line, change.column, change.after) if only in (0, number) else line
                for number, line in enumerate(lines, start=1)
            ]
    return lines


def _renamed(line: str, old: str, new: str) -> str:
    code, dashes, comment = line.partition("--")
    word = re.compile(rf"(?<![\w.'])((?:\w+\.)?){re.escape(old)}(?![\w'])", re.IGNORECASE)
    alone = re.fullmatch(rf"\s*(?:\w+\.)?{re.escape(old)}\s*,?\s*", code, re.IGNORECASE)
    return word.sub(rf"\g<1>{new} as {old}" if alone else rf"\g<1>{new}", code) + dashes + comment


def quoted(name: str) -> str:
    """A column's name as it can stand in SQL, bare where that reads better."""
    bare = name.isascii() and name.isidentifier() and name.islower() and name not in RESERVED
    return name if bare else '"' + name.replace('"', '""') + '"'
