"""Which tables read an environment variable, as far as the text of their code says it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mesh_assets.domain import Mesh, Toolchain

_CODE = frozenset({".py", ".sql", ".yaml", ".yml", ".ipynb", ".sh", ".r", ".toml"})
_OF_ONE_TABLE = (Toolchain.SQL, Toolchain.DBT)


def readers(mesh: Mesh, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """For every variable the tables that may read it, in the mesh's order.

    A file of SQL that names it stands for its own table, Python for the domain's tables in Python and in other programs, and any
    other file (domain.yaml, a dbt macro) for all tables of its domain. Where no file names it, nothing is known: none.
    """
    wanted = {name: re.compile(rf"(?<!\w){re.escape(name)}(?!\w)") for name in names}
    found: dict[str, set[str]] = {name: set() for name in wanted}
    for domain, file in _files(mesh) if wanted else ():
        text = file.read_text(encoding="utf-8", errors="replace")
        for name, pattern in wanted.items():
            if pattern.search(text):
                found[name].update(_tables(mesh, domain, file))
    return {name: tuple(table for table in mesh.tables if table in found[name]) for name in sorted(found)}


def differing(mine: Mapping[str, str], theirs: Mapping[str, str]) -> tuple[str, ...]:
    """Names of variables that are set, and not alike where this was opened from."""
    return tuple(sorted(name for name, value in mine.items() if theirs.get(name) != value))


def _files(mesh: Mesh) -> Iterator[tuple[str, Path]]:
    for name, domain in mesh.domains.items():
        for folder in (domain.path, mesh.root / "dbt_projects" / name):
            for file in sorted(folder.rglob("*")):
                if file.suffix.lower() in _CODE and file.is_file() and "contracts" not in file.parts:
                    yield name, file


def _tables(mesh: Mesh, domain: str, file: Path) -> Iterator[str]:
    own = [table for table in mesh.tables.values() if table.domain == domain]
    if mine := [table.name for table in own if table.path == file and table.toolchain in _OF_ONE_TABLE]:
        yield from mine
    elif file.suffix == ".py":
        yield from (table.name for table in own if table.toolchain not in (*_OF_ONE_TABLE, Toolchain.SOURCE))
    else:
        yield from (table.name for table in own)
