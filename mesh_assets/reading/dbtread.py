"""A dbt project to the tables it builds: its models' text is read, dbt is not started.

Read are `ref`, `source` and `config(materialized=…, enabled=…)` with plain text in them, `+materialized` of the folders
in dbt_project.yml and `materialized` in the models' own YAML. Ephemeral models are followed to the tables behind them.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mesh_assets.domain import Toolchain
from mesh_assets.errors import ConfigError, Place, Problem, nearest
from mesh_assets.reading.draft import Found, Reference, digest, leads_out, outside
from mesh_assets.reading.source import Document, Map, child, load, maps, read_text, text, texts

TABLES = frozenset({"table", "incremental"})
NO_YAML = frozenset({"M005", "M006"})
"""What is wrong with a file for dbt as well; it has aliases, and keys twice, which we have not."""
COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
CALL = re.compile(r"(?<![\w.])(ref|source|config)\s*\(")
LITERALS = re.compile(
    r"""\s*(?:'([^']*)'|"([^"]*)")\s*(?:,\s*(?:'([^']*)'|"([^"]*)")\s*)?(?:,\s*(?:v|version)\s*=\s*\w+\s*)?\)"""
)
SETTING = re.compile(r"""(materialized|enabled)\s*=\s*(?:'([^']*)'|"([^"]*)"|(\w+))""")
JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


@dataclass(slots=True)
class DbtRead:
    """The tables of a dbt project, and what is wrong with it."""

    tables: list[Found] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class _Model:
    name: str
    path: Path
    shown: str
    text: str
    materialized: str = ""
    meant: str = ""  # another project's name, below which dbt_project.yml says how it is materialised
    refs: list[tuple[str, Place]] = field(default_factory=list)
    sources: list[Reference] = field(default_factory=list)


def read_dbt(folder: Path, domain: str, shown: str) -> DbtRead:
    """The tables that the dbt project of a domain builds.

    Args:
        folder: The project, with its dbt_project.yml.
        domain: Whose tables they are.
        shown: Its name in messages.
    """
    result = DbtRead()
    try:
        project = load(folder / "dbt_project.yml", f"{shown}/dbt_project.yml")
        common = [
            read_text(path, path.name)
            for path in (folder / "dbt_project.yml", *sorted((folder / "macros").rglob("*.sql")))
        ]
        common += [hashlib.sha256(path.read_bytes()).hexdigest() for path in _beside(folder)]
        models = {model.name: model for model in _models(folder, shown, project, result.problems)}
        result.problems += _no_yaml(folder, shown, texts(project.root, "model-paths") or ("models",))
    except ConfigError as error:
        result.problems += error.problems
        return result
    data = {path.stem for path in folder.glob("seeds/**/*.csv")} | {
        path.stem for path in folder.glob("snapshots/**/*.sql")
    }
    result.problems += _for_another(project, models.values())
    for model in models.values():
        if model.materialized in TABLES:
            result.tables.append(_found(model, models, data, domain, common, result.problems))
        elif model.materialized != "ephemeral" and not model.meant:
            what = f"the model `{model.name}` is a {model.materialized}; the mesh publishes tables"
            mend = "Add `{{ config(materialized='table') }}`, or 'incremental', or 'ephemeral' for a step on the way."
            result.problems.append(Problem("M310", what, Place(model.shown), mend))
    result.problems = list(dict.fromkeys(result.problems))
    return result


def _beside(folder: Path) -> list[Path]:
    """What else of a project decides what its models hold: seeds, snapshots, packages."""
    patterns = ("seeds/**/*.csv", "snapshots/**/*.sql", "packages.yml", "dependencies.yml")
    return sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file())


def read_models(folder: Path) -> dict[str, "_Model"]:
    """Every model of a project by its name: its text without comments, and how it is materialised.

    Raises:
        ConfigError: A file of it cannot be read.
    """
    project = load(folder / "dbt_project.yml", "dbt_project.yml")
    return {model.name: model for model in _models(folder, folder.name, project, [])}


def _models(folder: Path, shown: str, project: Document, problems: list[Problem]) -> Iterator[_Model]:
    roots = texts(project.root, "model-paths") or ("models",)
    named = text(project.root, "name")
    everywhere = child(project.root, "models")
    inline = dict(_in_yaml(folder, roots))
    first: dict[str, str] = {}
    for root in roots:
        for path in sorted((folder / root).rglob("*.sql")):
            inner = path.relative_to(folder)
            if leads_out(str(folder.parents[1]), str(folder), inner.as_posix()):
                problems.append(outside(f"{shown}/{inner.as_posix()}"))
                continue
            body = COMMENT.sub(_blank, read_text(path, f"{shown}/{inner.as_posix()}"))
            model = _Model(path.stem, path, f"{shown}/{inner.as_posix()}", body)
            settings = _read_calls(model, problems)
            if settings.get("enabled", "true").lower() == "false":
                continue
            own, folders = settings.get("materialized") or inline.get(path.stem), inner.parts[1:-1]
            model.materialized = own or _by_folder(everywhere, (named, *folders))
            if model.materialized == "view" and not own:
                others = (name for name in everywhere if name != named and not name.startswith("+"))
                model.meant = next((name for name in others if _by_folder(everywhere, (name, *folders)) != "view"), "")
            if model.name in first:
                what = f"two models are named `{model.name}`: the other is {first[model.name]}"
                problems.append(Problem("M309", what, Place(model.shown), "Rename one of the files."))
            first.setdefault(model.name, model.shown)
            yield model


def _for_another(project: Document, models: Iterable[_Model]) -> Iterator[Problem]:
    """Settings that dbt leaves aside, because they stand below another name than the project's."""
    for name in sorted({model.meant for model in models if model.meant}):
        named = text(project.root, "name")
        what = f"what stands below `{name}` is for another project: this one is `{named}`, and its models are views"
        mend = f"Write `{named}:` here, or `name: {name}` above."
        yield Problem("M310", what, project.place(child(project.root, "models"), name), mend)


def _by_folder(told: Map, folders: tuple[str, ...]) -> str:
    """`+materialized` below `models:` in dbt_project.yml, the deepest folder's; dbt's own default is a view."""
    found = text(told, "+materialized") or text(told, "materialized")
    for name in folders:
        told = child(told, name)
        found = text(told, "+materialized") or text(told, "materialized") or found
    return found or "view"


def _yaml_files(folder: Path, roots: Iterable[str]) -> list[Path]:
    return sorted(path for root in roots for ending in ("*.yml", "*.yaml") for path in (folder / root).rglob(ending))


def _no_yaml(folder: Path, shown: str, roots: Iterable[str]) -> Iterator[Problem]:
    """The project's files that are no YAML for anybody, before dbt takes seconds to say so."""
    for path in _yaml_files(folder, roots):
        try:
            load(path, f"{shown}/{path.relative_to(folder).as_posix()}")
        except ConfigError as error:
            yield from (problem for problem in error.problems if problem.code in NO_YAML)


def _in_yaml(folder: Path, roots: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """`config: materialized` of models in the project's YAML files; what only we do not read is dbt's to judge."""
    for path in _yaml_files(folder, roots):
        try:
            document = load(path, path.name)
        except ConfigError:
            continue
        for entry in maps(document.root, "models"):
            if found := text(child(entry, "config"), "materialized"):
                yield text(entry, "name"), found


def _read_calls(model: _Model, problems: list[Problem]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for jinja in JINJA.finditer(model.text):
        for call in CALL.finditer(jinja.group()):
            start = jinja.start() + call.start()
            where = _place(model, start)
            rest = jinja.group()[call.end() :]
            if call.group(1) == "config":
                settings |= {key: first or second or bare for key, first, second, bare in SETTING.findall(rest)}
                continue
            literals = LITERALS.match(rest)
            if not literals:
                what = f"what `{call.group(1)}(…)` names can only be known by running dbt"
                problems.append(Problem("M306", what, where, "Write the name as text in quotes."))
                continue
            words = [word for word in literals.groups() if word is not None]
            if call.group(1) == "ref":
                model.refs.append((words[-1], where))
            elif len(words) == 2:  # noqa: PLR2004 - source and table
                model.sources.append(Reference(f"{words[0]}.{words[1]}", where))
            else:
                mend = "Write `source('domain', 'table')`."
                problems.append(Problem("M309", "`source` needs the domain and the table", where, mend))
    return settings


def _found(
    model: _Model, models: Mapping[str, _Model], data: set[str], domain: str, common: list[str], problems: list[Problem]
) -> Found:
    reads, texts_read = [], []
    todo, seen = [model], {model.name}
    while todo:
        part = todo.pop()
        texts_read.append(part.text)
        reads += part.sources
        for name, where in part.refs:
            target = models.get(name)
            if target is not None and target.materialized == "ephemeral":
                if name not in seen:
                    seen.add(name)
                    todo.append(target)
            elif target is not None:
                reads.append(Reference(f"{domain}.{name}", where))
            elif name not in data:
                mend = nearest(name, models, otherwise="Another domain's port is read with `source('domain', 'port')`.")
                problems.append(Problem("M309", f"`{name}` is no model of this project", where, mend))
    return Found(
        name=model.name,
        toolchain=Toolchain.DBT,
        where=Place(model.shown),
        path=model.path,
        code=digest([*sorted(texts_read), *common]),
        reads=tuple(dict.fromkeys(reads)),
    )


def _place(model: _Model, start: int) -> Place:
    line = model.text.count("\n", 0, start)
    return Place(model.shown, line + 1, start - (model.text.rfind("\n", 0, start) + 1) + 1)


def _blank(comment: re.Match[str]) -> str:
    """Spaces in place of a comment, so that positions stay."""
    return re.sub(r"[^\n]", " ", comment.group())
