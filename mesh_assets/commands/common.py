"""What every command of `mesh` shares: which mesh it is for, and how it answers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mesh_assets.errors import ConfigError
from mesh_assets.settings import Settings

if TYPE_CHECKING:
    from mesh_assets.environment import Environment

MeshDir = Annotated[
    Path | None, typer.Option("--mesh", metavar="DIR", help="The mesh. Default: the nearest mesh.yaml upwards.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="DOMAIN|TABLE", help="Default: the whole mesh.")]


@dataclass(frozen=True)
class Place:
    """The mesh that a command is for, before it is read."""

    root: Path
    settings: Settings


def place(mesh: Path | None) -> Place:
    """The folder that `--mesh` names, else `MESH_DIR`, else the nearest one upwards that holds a mesh.yaml.

    Raises:
        ConfigError: There is no mesh.yaml.
    """
    from mesh_assets.mesh import find_mesh

    settings = Settings()
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
        note(f"domain `{name}` is left out: {len(problems)} problems, see `mesh check`")
    return Environment.open(loaded, where.settings), where.settings


def print_json(report: object) -> None:
    """Data, to stdout."""
    typer.echo(json.dumps(report, ensure_ascii=False, allow_nan=False))


def note(text: str) -> None:
    """Words to a person, to stderr."""
    typer.echo(text, err=True)
