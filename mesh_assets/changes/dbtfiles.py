"""The files of a dbt project that change when a port of it gets a next version, or when it reads another one: texts to texts."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mesh_assets.authoring import dumped, editor
from mesh_assets.changes.shim import ALIAS
from mesh_assets.domain import Mesh, Table
from mesh_assets.errors import ConfigError
from mesh_assets.reading.dbtread import read_models
from mesh_assets.reading.source import read_text

_PLAIN_JINJA = re.compile(r"\{\{-?\s*(?:source|ref|config)\s*\([^(){}]*\)\s*-?\}\}")
CONFIG = "{{ config(materialized='table') }}\n"


def model(sql: str) -> str:
    """A model that is a table wherever it stands in the project."""
    return CONFIG + sql


def over(sql: str, table: str, name: str) -> str:
    """SQL that reads `domain.table` by dbt's `ref`."""
    return sql.replace(f"\nfrom {table}\n", f"\nfrom {{{{ ref('{name}') }}}}\n")


def by_hand(mesh: Mesh, table: Table, new: str) -> str:
    """Why a person has to write the next version of a model; empty where a program can."""
    folder = mesh.root / "dbt_projects" / table.domain
    try:
        models = read_models(folder)
        told = [tree for _, _, tree in _yamls(folder)]
    except ConfigError as error:
        return f"is built by dbt, and its project cannot be read: {error}"
    found = models[table.short]
    if found.materialized == "incremental":
        return "is an incremental model: its earlier rows are in the table alone, and its SQL does not give them again"
    if re.search(r"\balias\s*=", found.text):
        return "is a model with an `alias`: dbt would build both versions under it"
    if new in models:
        return f"cannot be served as `{new}`: a model of that name is there"
    for tree in told:
        if any("versions" in one for one in _entries(tree, "models") if one.get("name") == table.short):
            return "has versions in dbt already (`versions:` in its YAML), which are files of the same names"
        if any(one.get("model") == table.short for one in _entries(tree, "unit_tests")):
            return "has unit tests in dbt, which name what its SQL reads now"
    return ""


def reading(
    folder: Path,
    root: Path,
    port: str,
    successor: str,
    kept: Callable[[Mapping[str, str]], str],
    renamed: Mapping[str, str],
) -> dict[str, tuple[str, str]]:
    """The files of a project as they read the successor of a port, by path in the mesh: before and after.

    Args:
        folder: The project.
        root: Of the mesh.
        port: `domain.table`, as the project reads it now.
        successor: What it is to read.
        kept: SQL in place of the port where these columns are to keep their names, with `{}` for the successor; empty: itself.
        renamed: The successor's names of columns.
    """
    domain, _, short = port.partition(".")
    new = successor.partition(".")[2]
    call = re.compile(rf"(source\s*\(\s*['\"]{re.escape(domain)}['\"]\s*,\s*['\"]){re.escape(short)}(?=['\"]\s*\))")
    files: dict[str, tuple[str, str]] = {}
    for path in sorted([*folder.glob("models/**/*.sql"), *folder.glob("macros/**/*.sql")]):
        shown = path.relative_to(root).as_posix()
        text = read_text(path, shown)
        if call.search(text):
            used = dict(renamed) if path.is_relative_to(folder / "macros") else _used(text, renamed)
            files[shown] = (text, _sql(text, domain, short, call, new, kept(used)))
    for path, text, tree in _yamls(folder):
        if _sources(tree, domain, short, new) | _tests(tree, call, new, renamed):
            files[path.relative_to(root).as_posix()] = (text, dumped(editor(text), tree))
    return files


def _used(text: str, renamed: Mapping[str, str]) -> dict[str, str]:
    """Of these columns, those that a model may take: all where it takes a `*`, or has Jinja that could write one; else those it writes."""
    plain = _PLAIN_JINJA.sub("", text)
    if re.search(r"\*|\{[{%]", plain):
        return dict(renamed)
    words = {word.lower() for word in re.findall(r"\w+", plain)}
    return {name: new for name, new in renamed.items() if not set(re.findall(r"\w+", name.lower())) - words}


def _sql(text: str, domain: str, short: str, call: re.Pattern[str], new: str, named: str) -> str:
    """A model's text; where its columns are qualified by the port's bare name, that stays as an alias."""
    whole = re.compile(
        rf"\{{\{{-?\s*source\s*\(\s*['\"]{re.escape(domain)}['\"]\s*,\s*['\"]{re.escape(short)}['\"]\s*\)\s*-?\}}\}}(?P<alias>{ALIAS})?",
        re.IGNORECASE,
    )
    needs = bool(named) or re.search(rf"(?<![\w.]){re.escape(short)}\.[\w\"*]", text) is not None

    def put(match: re.Match[str]) -> str:
        told = "{{ " + f"source('{domain}', '{new}')" + " }}"
        told = named.replace("{}", told) if named else told
        return told + (match["alias"] or (f" as {short}" if needs else ""))

    return call.sub(rf"\g<1>{new}", whole.sub(put, text))


def _sources(tree: Any, domain: str, short: str, new: str) -> bool:  # noqa: ANN401 - ruamel's
    """Whether the port was declared as a source; now its successor is."""
    moved = False
    for source in _entries(tree, "sources"):
        tables = source.get("tables") or () if source.get("name") == domain else ()
        names = [one.get("name") for one in tables]
        for entry in tables:
            if entry.get("name") == short and new not in names:
                entry["name"] = new
                moved = True
    return moved


def _tests(node: Any, call: re.Pattern[str], new: str, renamed: Mapping[str, str]) -> bool:  # noqa: ANN401 - ruamel's
    """Whether tests referred to the port; now they refer to its successor, and to its names."""
    if isinstance(node, list):
        told = [_tests(one, call, new, renamed) for one in node]
        return any(told)
    if not isinstance(node, Mapping):
        return False
    moved = _tests(list(node.values()), call, new, renamed)
    to = node.get("to")
    if isinstance(to, str) and call.search(to):
        node["to"] = call.sub(rf"\g<1>{new}", to)
        if node.get("field") in renamed:
            node["field"] = renamed[node["field"]]
        return True
    return moved


def _entries(tree: Any, key: str) -> Iterator[Any]:  # noqa: ANN401 - ruamel's
    """The mappings in a list of the document."""
    told = tree.get(key) if isinstance(tree, Mapping) else None
    yield from (one for one in told or () if isinstance(one, Mapping))


def _yamls(folder: Path) -> Iterator[tuple[Path, str, Any]]:
    """The YAML files of the models, with their text."""
    for path in sorted([*folder.glob("models/**/*.yml"), *folder.glob("models/**/*.yaml")]):
        text = read_text(path, path.name)
        yield path, text, editor(text).load(text)
