"""What a person has to change in a reader: every line of its code that names a column which is not what it was."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mesh_assets.changes.impact import GONE, TYPES, Moved, TableVerdict, Verdict
from mesh_assets.changes.model import Change, Kind
from mesh_assets.changes.texts import text_of
from mesh_assets.domain import Mesh, Table, Toolchain

WRITTEN = 2_000_000
"""Bytes; a file that is larger is not code that somebody has written."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line to look at. `becomes`: the column's new name; empty where it has none."""

    path: str
    line: int
    column: str
    becomes: str
    text: str


def by_hand(
    mesh: Mesh, start: Mapping[str, Moved], verdicts: Iterable[TableVerdict], patched: Iterable[str]
) -> dict[str, tuple[Line, ...]]:
    """Lines by table, for readers that break or may break and for which there is no patch, in the order of the verdicts."""
    found, done = {}, frozenset(patched)
    for each in verdicts:
        table = mesh.tables[each.table]
        if each.verdict is Verdict.COMPATIBLE or each.table in done or each.table in start:
            continue
        changes = [change for port in each.ports if port in start for change in start[port].changes]
        wanted = {
            name.lower(): (name, _new_name(one)) for one in changes for name in one.columns if one.kind in GONE | TYPES
        }
        if lines := tuple(_lines(mesh, table, wanted)):
            found[each.table] = lines
    return found


def to_json(found: Mapping[str, tuple[Line, ...]]) -> dict[str, list[dict[str, Any]]]:
    """As reports tell it, by `domain/table`."""
    return {name.replace(".", "/", 1): [asdict(line) for line in lines] for name, lines in found.items()}


def naming(mesh: Mesh, table: Table, renamed: Mapping[str, str]) -> tuple[Line, ...]:
    """Lines of a table's code that name columns which have new names."""
    return tuple(_lines(mesh, table, {name.lower(): (name, new) for name, new in renamed.items()}))


def _new_name(change: Change) -> str:
    return change.after if change.kind is Kind.COLUMN_RENAMED else ""


def _lines(mesh: Mesh, table: Table, wanted: Mapping[str, tuple[str, str]]) -> Iterator[Line]:
    for path, first, last in _places(mesh, table):
        try:
            if path.stat().st_size > WRITTEN:
                continue
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        shown = path.relative_to(mesh.root).as_posix() if path.is_relative_to(mesh.root) else str(path)
        for number, line in enumerate(lines, 1):
            if not first <= number <= last:
                continue
            for column, becomes in wanted.values():
                if re.search(rf"(?<!\w){re.escape(column)}(?!\w)", line, re.IGNORECASE):
                    yield Line(shown, number, column, becomes, line.strip())


def _places(mesh: Mesh, table: Table) -> Iterator[tuple[Path, int, int]]:
    """Files that a table is made of, each from its first to its last line."""
    everything = (1, 10**9)
    if table.toolchain is Toolchain.PYTHON:
        yield table.path, *_function(table.path, table.where.line)
    elif table.program is not None:
        folder = mesh.domains[table.domain].path
        words = [*table.program.command, table.program.notebook]
        yield from ((folder / word, *everything) for word in words if word and (folder / word).is_file())
    elif text := text_of(mesh, table):
        for part in (text, *text.parts.values()):
            yield mesh.root / part.path, *everything
    elif table.toolchain is Toolchain.DBT:
        yield table.path, *everything


def _function(path: Path, line: int) -> tuple[int, int]:
    """The lines of the function whose decorator or `def` stands there; the whole file where none does."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, SyntaxError, ValueError):
        return 1, 10**9
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            last = node.end_lineno or node.lineno
            if first <= line <= last:
                return first, last
    return 1, 10**9
