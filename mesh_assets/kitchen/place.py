"""Where a kitchen is, as a file in its folder says: enough for any command to work in it."""

import json
import os
import re
import textwrap
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mesh_assets.errors import RunError, UsageError, nearest
from mesh_assets.settings import Settings, set_variables, variable, with_variables

FILE = "kitchen.json"
FOLDER = "kitchens"
LONGEST = 40
_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,38}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where one kitchen is, and with what it began.

    Attributes:
        folder: Everything of it: `home/` and, with code, the work tree `code/`.
        root: Its mesh; production's own folder when it has no code.
        production: Folder of production's mesh, and its home.
        parent: The kitchen that it was opened from; empty: production.
        snapshot: The version of the parent's lake that it began with; its own versions are counted on from there.
        commit: Of the code that it began with; empty without code.
        variables: Environment variables that hold in it, beside those of the session.
        secrets: Production's secrets, to the variables that take their place in it; empty: there is none. No value is kept.
        schema: Of its catalog, on PostgreSQL.
        catalog: Where its catalog is; empty: in the database that production names, in `schema`.
        port: Of its own `mesh dev`.
        opened: When, in UTC.
        masked: `domain.table` to the columns that were masked when it was opened.
        mask_key: With what: kept, for raw files that are loaded in it must be masked alike.
        synthetic: How many rows of a hundred its sources have, all of them made up; 0: production's rows.
        seed: Of which these were made.
    """

    name: str
    folder: Path
    root: Path
    production: Path
    production_home: Path
    parent: str = ""
    snapshot: int = 0
    commit: str = ""
    branch: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    catalog: str = field(default="", repr=False)
    schema: str = ""
    port: int = 3001
    opened: str = ""
    masked: Mapping[str, list[str]] = field(default_factory=dict)
    mask_key: str = field(default="", repr=False)
    synthetic: float = 0.0
    seed: int = 0

    @property
    def home(self) -> Path:
        """Its lake, its ledger, its Dagster."""
        return self.folder / "home"

    @property
    def has_code(self) -> bool:
        """Whether it has a work tree of its own."""
        return bool(self.commit)

    def settings(self, given: Settings) -> Settings:
        """What a command uses instead of the settings it was given."""
        return given.model_copy(
            update={
                "home": self.home,
                "dir": self.root,
                "lake_catalog": self.catalog or given.kitchen_catalog or given.lake_catalog,
                "lake_data": str(self.home / "lake" / "data"),
                "lake_schema": self.schema,
                "kitchen": self.name,
                "author": f"{given.author} (kitchen {self.name})",
            }
        )

    def enter(self) -> None:
        """From here on, this process has the kitchen's variables."""
        set_variables(self._variables(), without=self.secrets)

    def entered(self) -> AbstractContextManager[None]:
        """The same, until the end of the block."""
        return with_variables(self._variables(), without=self.secrets)

    def _variables(self) -> dict[str, str]:
        there = {name: variable(other) for name, other in self.secrets.items() if other}
        if not self.catalog and (own := variable("MESH_KITCHEN_CATALOG")):
            there["MESH_LAKE_CATALOG"] = own  # production's address, with its password, is not there
        return {**{name: value for name, value in there.items() if value is not None}, **self.variables}

    def write(self) -> None:
        """Keep it; readable by its owner only, for a catalog's address may hold a password."""
        told = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}
        new = self.folder / f".{FILE}.{os.getpid()}"
        new.touch(mode=0o600)
        new.write_text(json.dumps({"schema_version": 1, **told}, indent=1), encoding="utf-8")
        new.replace(self.folder / FILE)


def suggested(text: str) -> str:
    """A name that a kitchen can have, as near to the text as may be."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:LONGEST].strip("-") or "tasting"


def checked(name: str) -> str:
    """The name, when it can be one.

    Raises:
        UsageError: It cannot; one that can is offered.
    """
    if _NAME.fullmatch(name):
        return name
    raise UsageError(
        f"`{textwrap.shorten(name, LONGEST + 20, placeholder='…')}` cannot be a kitchen's name\n"
        f"    Take up to {LONGEST} small letters, digits, `-` and `_`, as in `{suggested(name)}`."
    )


def find(home: Path, name: str) -> Site:
    """The kitchen of that name.

    Raises:
        UsageError: There is none; those that there are are named.
    """
    path = home / FOLDER / checked(name) / FILE
    if not path.is_file():
        known = [found.parent.name for found in (home / FOLDER).glob(f"*/{FILE}")]
        raise UsageError(
            f"there is no kitchen `{name}`\n    {nearest(name, known, otherwise=f'Open it: mesh kitchen open {name}')}"
        )
    return read(path)


def around(root: Path) -> Site | None:
    """The kitchen in whose work tree a folder is; None for any other folder."""
    for folder in root.parents:
        if folder.parent.name == FOLDER and (folder / FILE).is_file():
            return read(folder / FILE)
    return None


def read(path: Path) -> Site:
    """What the file of a kitchen says."""
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        told.pop("schema_version")
        for key in ("folder", "root", "production", "production_home"):
            told[key] = Path(told[key])
        return Site(**told)
    except (ValueError, KeyError, TypeError):
        raise RunError(
            f"{path} cannot be read: another version of mesh_assets has written it\n    Use that one, or delete {path.parent}."
        ) from None
