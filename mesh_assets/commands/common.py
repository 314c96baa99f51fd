"""What every command of `mesh` shares: which mesh it is for, and how it answers."""

import getpass
import json
import os
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from typer.core import TyperGroup
from typer.main import get_command

from mesh_assets.errors import ConfigError
from mesh_assets.numerals import many
from mesh_assets.settings import Settings

if TYPE_CHECKING:
    from mesh_assets.environment import Environment

MeshDir = Annotated[
    Path | None, typer.Option("--mesh", metavar="DIR", help="The mesh. Default: the nearest mesh.yaml upwards.")
]


def _keep_stdout(context: typer.Context, *, value: bool) -> bool:
    """With `--json`, stdout is for the document alone: what a domain's own code prints, at import or in a step, goes to stderr.

    Also what its libraries write past Python, and what the programs that it starts print.
    """
    if value and not context.resilient_parsing:
        real = sys.stdout is sys.__stdout__  # else somebody within this process reads along, as a test does
        kept = os.fdopen(os.dup(1), "w", encoding="utf-8") if real else sys.stdout
        _document.set(kept)
        context.call_on_close(lambda before=sys.stdout: _give_back(before, kept))
        if real:
            sys.stdout.flush()
            os.dup2(2, 1)
        sys.stdout = sys.stderr
    return value


def _give_back(before: TextIO, kept: TextIO) -> None:
    sys.stdout = before
    _document.set(None)
    if kept is not before:
        kept.flush()
        os.dup2(kept.fileno(), 1)
        kept.close()


_document: ContextVar[TextIO | None] = ContextVar("document", default=None)
AsJson = Annotated[bool, typer.Option("--json", callback=_keep_stdout, help="Print JSON to stdout, and nothing else.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="DOMAIN|TABLE", help="Default: the whole mesh.")]


@dataclass(frozen=True)
class Place:
    """The mesh that a command is for, before it is read."""

    root: Path
    settings: Settings
    port: int = 3000


class Commands(TyperGroup):
    """A group whose every command takes `--kitchen`, also those of the groups within it."""

    def __init__(self, **words: Any) -> None:  # noqa: ANN401 - Typer's own
        super().__init__(**words)
        for name, command in self.commands.items():
            if name not in OUTSIDE:
                _add_kitchen(command)


OUTSIDE = ("init", "kitchen", "maintain", "revert")
"""Commands that are not for one environment, or for production only."""
_chosen: ContextVar[str] = ContextVar("kitchen", default="")
_before: ContextVar[Path | None] = ContextVar("mesh", default=None)


def stand_in(mesh: Path | None) -> Path | None:
    """A mesh that is named before the command stands for one that is not named after it."""
    _before.set(mesh)
    return mesh


def _add_kitchen(command: Any) -> None:  # noqa: ANN401 - Typer's own
    for sub in (*getattr(command, "commands", {}).values(), *filter(None, [getattr(command, "plain", None)])):
        _add_kitchen(sub)
    if not hasattr(command, "commands") and _kitchen_option() not in command.params:  # a group within has added it
        command.params.append(_kitchen_option())


def _choose(name: str | None) -> str | None:
    _chosen.set(name or "")
    return name


@cache
def _kitchen_option() -> Any:  # noqa: ANN401 - Typer's own
    """The option, as Typer makes it of a signature; but no command has to have it in its own."""
    maker = typer.Typer(add_completion=False)

    @maker.command()
    def _template(
        kitchen: Annotated[
            str, typer.Option(metavar="NAME", callback=_choose, help="Work in this kitchen, not in production.")
        ] = "",
    ) -> None: ...

    option = next(each for each in get_command(maker).params if each.name == "kitchen")
    option.expose_value = False
    option.default = None
    return option


def place(mesh: Path | None) -> Place:
    """The folder that `--mesh` names, else `MESH_DIR`, else the nearest one upwards that holds a mesh.yaml.

    With `--kitchen`, `MESH_KITCHEN`, or in a kitchen's work tree: the kitchen's.

    Raises:
        ConfigError: There is no mesh.yaml.
        UsageError: There is no such kitchen.
    """
    from mesh_assets.kitchen.place import around, find

    outside = production(mesh)
    within = around(outside.root)
    name = _chosen.get() or outside.settings.kitchen
    if name and (within is None or within.name != name):
        within = find(within.production_home if within else home(outside), name)
    if within is None:
        return outside
    within.enter()
    return Place(within.root, within.settings(outside.settings), within.port)


def home(where: Place) -> Path:
    """Folder of everything that a mesh keeps."""
    return (where.settings.home or where.root / ".mesh").resolve()


def production(mesh: Path | None) -> Place:
    """As `place`, whatever kitchen is named; in a kitchen's work tree it is still the kitchen's folder.

    Raises:
        ConfigError: There is no mesh.yaml.
    """
    from mesh_assets.mesh import find_mesh

    settings = Settings()
    mesh = mesh or _before.get()
    if mesh is not None and not (mesh / "mesh.yaml").is_file():
        message = (
            f"there is no mesh.yaml in {mesh}\n    Name the folder that holds it, or make a mesh: mesh init {mesh}"
        )
        raise ConfigError(message)
    return Place(mesh.resolve() if mesh else find_mesh(settings.dir or Path.cwd()), settings)


def environment(mesh: Path | None) -> tuple["Environment", Settings]:
    """The environment of a command. Domains that cannot be loaded are left out, with a note."""
    from mesh_assets.environment import Environment
    from mesh_assets.mesh import read_mesh

    where = place(mesh)
    loaded = read_mesh(where.root, tolerant=True)
    for name, problems in loaded.broken.items():
        note(f"domain `{name}` is left out: {many(len(problems), 'problem')}, see `mesh check`")
    return Environment.open(loaded, where.settings), where.settings


def exit_code(report: Mapping, env: "Environment") -> int:
    """Of a run: 3 when a table could not be built, 2 when a domain is left out, 1 when a table is held, else 0."""
    statuses = {row["status"] for row in report["tables"]}
    return 3 if "failed" in statuses else 2 if env.mesh.broken else 1 if "held" in statuses else 0


def print_json(report: object) -> None:
    """Data, to stdout."""
    typer.echo(json.dumps(report, ensure_ascii=False, allow_nan=False), file=_document.get())


def ended_runs(report: Mapping) -> None:
    """Words about the runs that were ended with what was cancelled."""
    for run in report["ended_runs"]:
        what = ", ".join(run["tables"]) or "nothing was left of it"
        said = (
            "is ended" if run["over"] else "was told to end, and has not yet: it does so after what it cannot break off"
        )
        note(f"run {run['run'][:8]} {said} ({what})")


def note(text: str) -> None:
    """Words to a person, to stderr."""
    typer.echo(text, err=True)


def me() -> str:
    """Who types the command; empty where the machine does not say."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
