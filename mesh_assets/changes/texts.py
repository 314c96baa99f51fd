"""The SQL that builds a table: a file's own text, or a dbt model with its `ref` and `source` put in.

dbt itself is not started. Jinja that only dbt could render (packages, `run_query`, `var` without a default) leaves a table
without a known text: then nobody claims to know what it reads.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mesh_assets.domain import Mesh, Table, Toolchain
from mesh_assets.errors import ConfigError
from mesh_assets.reading.dbtread import read_models

CTE = "__dbt__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One SELECT.

    Attributes:
        sql: As DuckDB reads it; in a dbt model with as many lines as its file has.
        path: Of the file, relative to the mesh.
        source: The file's own text, in which people look things up.
        incremental: As it is when the table is there already, where that is another text.
        parts: SELECTs that it reads by name and that are no tables of the mesh: dbt's ephemeral models, inner ones first.
    """

    sql: str
    path: str
    source: str
    parts: Mapping[str, "Text"]
    incremental: str = ""


def text_of(mesh: Mesh, table: Table) -> Text | None:
    """The SQL of a table; None where it is Python, a source, or dbt that only dbt can render."""
    if table.toolchain is Toolchain.SQL:
        try:
            told = table.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        return Text(sql=told.rstrip().rstrip(";"), path=_shown(mesh, table.path), source=told, parts={})
    if table.toolchain is Toolchain.DBT:
        return _dbt(mesh, table)
    return None


def _shown(mesh: Mesh, path: Path) -> str:
    return path.relative_to(mesh.root).as_posix() if path.is_relative_to(mesh.root) else str(path)


def _dbt(mesh: Mesh, table: Table) -> Text | None:
    folder = mesh.root / "dbt_projects" / table.domain
    try:
        texts = _project(str(folder), table.domain, str(mesh.root), _stamp(folder))
    except (ConfigError, OSError):
        return None
    return texts.get(table.short)


def _stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Tells the state of a project's files from every other."""
    found = []
    for path in sorted([*folder.glob("*.yml"), *folder.glob("models/**/*.*"), *folder.glob("macros/**/*.sql")]):
        told = path.stat()
        found.append((str(path), told.st_mtime_ns, told.st_size))
    return tuple(found)


@lru_cache(maxsize=600)
def _project(
    folder: str,
    domain: str,
    root: str,
    stamp: tuple,  # noqa: ARG001 - only tells one state of the folder from another
) -> Mapping[str, Text | None]:
    """Every model of a project that can be rendered, ephemeral ones as parts of those that read them."""
    place = Path(folder)
    models = read_models(place)
    macros = [path.read_text(encoding="utf-8") for path in sorted((place / "macros").rglob("*.sql"))]
    done: dict[str, Text | None] = {}

    def text(name: str, inside: tuple[str, ...] = ()) -> Text | None:
        if name in done:
            return done[name]
        model = models.get(name)
        if model is None or name in inside:
            return None
        used: list[str] = []

        def ref(*words: str, **_versions: object) -> str:
            short = words[-1]
            if short in models and models[short].materialized == "ephemeral":
                used.append(short)
                return f'"{CTE}"."{short}"'
            return f'"{domain}"."{short}"'

        this = f'"{domain}"."{name}"'
        sql = _rendered(model.text, macros, ref, this)
        more = _rendered(model.text, macros, ref, this, incremental=True) if "is_incremental" in model.text else ""
        parts: dict[str, Text] = {}
        for short in dict.fromkeys(used):
            part = text(short, (*inside, name))
            if part is None:
                sql = None
                break
            parts |= {**part.parts, short: part}
        if more is None:
            sql = None
        shown = model.path.relative_to(root).as_posix() if model.path.is_relative_to(root) else str(model.path)
        source = model.path.read_text(encoding="utf-8")
        done[name] = (
            None
            if sql is None
            else Text(sql=_bare(sql), path=shown, source=source, parts=parts, incremental=_bare(more or ""))
        )
        return done[name]

    return {name: text(name) for name in models}


def _bare(sql: str) -> str:
    return sql.rstrip().rstrip(";")


def _rendered(
    body: str,
    macros: list[str],
    ref,  # noqa: ANN001 - a closure
    this: str,
    *,
    incremental: bool = False,
) -> str | None:
    """A model's text with its Jinja put in; None where only dbt could."""
    import jinja2
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.do"])
    # As many lines as in the file: what is set over several lines is set on one.
    flat = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", lambda found: _on_its_lines(found.group()), body, flags=re.DOTALL)

    def var(name: str, default: object = None) -> object:
        if default is None:
            raise jinja2.UndefinedError(name)
        return default

    known = {
        "ref": ref,
        "source": lambda domain, table: f'"{domain}"."{table}"',
        "config": lambda *_, **__: "",
        "is_incremental": lambda: incremental,
        "this": this,
        "var": var,
        "execute": True,
    }
    failures = (jinja2.TemplateError, TypeError, ValueError, AttributeError, ArithmeticError, LookupError)
    for text in macros:
        # What dbt alone can read (its own tags, packages) is left out: a model that needs it cannot be rendered either.
        with suppress(*failures):
            module = environment.from_string(text).make_module(known)
            known |= {name: value for name, value in vars(module).items() if not name.startswith("_")}
    try:
        return environment.from_string(flat).render(known)
    except failures:
        return None


def _on_its_lines(code: str) -> str:
    lines = code.count("\n")
    return code.replace("\n", " ") + "\n" * lines if lines else code
