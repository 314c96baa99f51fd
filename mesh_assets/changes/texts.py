"""The SQL that builds a table: a file's own text, or a dbt model with its `ref` and `source` put in.

dbt itself is not started. Jinja that only dbt could render (packages, `run_query`, `var` without a default) leaves a table
without a known text: then nobody claims to know what it reads.
"""

import re
from collections.abc import Callable, Iterable, Mapping
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
        return _project(str(folder), table.domain, str(mesh.root), _stamp(folder)).text(table.short)
    except (ConfigError, OSError):
        return None


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
) -> "_Project":
    return _Project(Path(folder), domain, Path(root))


class _Project:
    """The models of a dbt project, each rendered when it is asked for; ephemeral ones are parts of those that read them."""

    def __init__(self, folder: Path, domain: str, root: Path) -> None:
        self.domain, self.root = domain, root
        self.models = read_models(folder)
        self.jinja = _Jinja(path.read_text(encoding="utf-8") for path in sorted((folder / "macros").rglob("*.sql")))
        self.done: dict[str, Text | None] = {}

    def text(self, name: str, inside: tuple[str, ...] = ()) -> Text | None:
        """One model's; None where it cannot be rendered."""
        if name not in self.done:
            if name not in self.models or name in inside:
                return None
            self.done[name] = self._text(name, inside)
        return self.done[name]

    def _text(self, name: str, inside: tuple[str, ...]) -> Text | None:
        model = self.models[name]
        used: list[str] = []

        def ref(*words: str, **_versions: object) -> str:
            short = words[-1]
            if short in self.models and self.models[short].materialized == "ephemeral":
                used.append(short)
                return f'"{CTE}"."{short}"'
            return f'"{self.domain}"."{short}"'

        this = f'"{self.domain}"."{name}"'
        sql = self.jinja.rendered(model.text, ref, this)
        more = self.jinja.rendered(model.text, ref, this, incremental=True) if "is_incremental" in model.text else ""
        if sql is None or more is None:
            return None
        parts: dict[str, Text] = {}
        for short in dict.fromkeys(used):
            part = self.text(short, (*inside, name))
            if part is None:
                return None
            parts |= {**part.parts, short: part}
        shown = (
            model.path.relative_to(self.root).as_posix() if model.path.is_relative_to(self.root) else str(model.path)
        )
        source = model.path.read_text(encoding="utf-8")
        return Text(sql=_bare(sql), path=shown, source=source, parts=parts, incremental=_bare(more))


def _bare(sql: str) -> str:
    return sql.rstrip().rstrip(";")


class _Jinja:
    """A model's text with its Jinja put in, by what dbt's own names mean here and the project's macros."""

    FAILURES = (TypeError, ValueError, AttributeError, ArithmeticError, LookupError)

    def __init__(self, macros: Iterable[str]) -> None:
        import jinja2
        from jinja2.sandbox import SandboxedEnvironment

        self.undefined = jinja2.UndefinedError
        self.failures = (jinja2.TemplateError, *self.FAILURES)
        self.environment = SandboxedEnvironment(undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.do"])
        self.macros = []
        for text in macros:
            # What dbt alone can read (its own tags, packages) is left out: a model that needs it cannot be rendered either.
            with suppress(*self.failures):
                self.macros.append(self.environment.from_string(text))

    def rendered(self, body: str, ref: Callable[..., str], this: str, *, incremental: bool = False) -> str | None:
        """The text; None where only dbt could."""
        # As many lines as in the file: what is set over several lines is set on one.
        flat = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", lambda found: _on_its_lines(found.group()), body, flags=re.DOTALL)

        def var(name: str, default: object = None) -> object:
            if default is None:
                raise self.undefined(name)
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
        for macro in self.macros:
            with suppress(*self.failures):
                module = macro.make_module(known)
                known |= {name: value for name, value in vars(module).items() if not name.startswith("_")}
        try:
            return self.environment.from_string(flat).render(known)
        except self.failures:
            return None


def _on_its_lines(code: str) -> str:
    lines = code.count("\n")
    return code.replace("\n", " ") + "\n" * lines if lines else code
