"""The mesh as the portal sees it: read again when its files change, and when anything was published."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mesh_assets.catalog.standing import Standing, stand
from mesh_assets.environment import Environment
from mesh_assets.errors import MeshError
from mesh_assets.mesh import read_mesh
from mesh_assets.settings import Settings

LOOK = 1.0
"""Seconds between two looks at the files."""
STALE = 30.0
"""Seconds after which everything is looked at again, changed or not: raw files and schedules move without a trace."""
SKIPPED = frozenset({"raw", "target", "logs", "dbt_packages", "__pycache__", "node_modules"})


@dataclass(frozen=True, slots=True)
class View:
    """One state of the mesh: everything on a page comes from one of these.

    Attributes:
        kept: Answers that take seconds, for as long as nothing changes.
    """

    env: Environment
    standing: Standing
    mark: str
    settings: Settings = field(default_factory=Settings)
    kept: dict[object, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Site:
    """A mesh, for as long as the portal runs.

    Attributes:
        root: The folder of mesh.yaml.
        prefix: Before `/mesh` in every address, where Dagster has a path prefix.
        dagster: Address of Dagster's own pages, such as `` beside the portal or `http://host:3000`; None: there are none.
        read_only: Nothing can be changed from here.
        reload: Makes Dagster read the mesh again; None: there is no Dagster here.
    """

    root: Path
    settings: Settings = field(default_factory=Settings)
    prefix: str = ""
    dagster: str | None = None
    read_only: bool = False
    reload: Callable[[], None] | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _looked: float = 0.0
    _stamp: str = ""
    _env: Environment | None = None
    _view: View | None = None
    _at: float = 0.0

    def view(self) -> View:
        """The newest state.

        Raises:
            MeshError: mesh.yaml cannot be read, the lake or the ledger cannot be used.
        """
        with self._lock:
            env = self._environment()
            mark = f"{self._stamp}:{env.ledger.mark()}:{env.lake.head()}"
            if self._view is None or self._view.mark != mark:
                self._view, self._at = View(env, stand(env), mark, self.settings), time.monotonic()
            elif time.monotonic() - self._at > STALE:
                self._at = time.monotonic()
                threading.Thread(target=self._again, args=(env, mark), daemon=True).start()
            return self._view

    def environment(self) -> Environment:
        """The mesh as its files are now, for what needs no standing of all tables.

        Raises:
            MeshError: mesh.yaml cannot be read, the lake or the ledger cannot be used.
        """
        with self._lock:
            return self._environment()

    def _again(self, env: Environment, mark: str) -> None:
        """Look again without keeping anybody waiting; what cannot be read now is told by the next page that needs it."""
        with suppress(MeshError):
            stands = stand(env)
            with self._lock:
                if self._view is not None and self._view.mark == mark:
                    self._view = View(env, stands, mark, self.settings, self._view.kept)

    def forget(self) -> None:
        """Read the files again at the next look."""
        with self._lock:
            self._looked = 0.0

    def _environment(self) -> Environment:
        if self._env is not None and time.monotonic() - self._looked < LOOK:
            return self._env
        stamp = stamp_of(self.root)
        if self._env is None or stamp != self._stamp:
            mesh = read_mesh(self.root, tolerant=True)
            if self._env is None or self._env.mesh.lake != mesh.lake:
                self._env = Environment.open(mesh, self.settings)
            else:
                self._env = Environment(mesh, self._env.home, self._env.lake, self._env.ledger)
            self._stamp = stamp
        self._looked = time.monotonic()
        return self._env


def stamp_of(root: Path) -> str:
    """Changes when a file changes that says something about the mesh; raw data and what dbt writes do not count."""
    newest, count, total = 0, 0, 0
    for status in _files(root):
        newest, count, total = max(newest, status.st_mtime_ns), count + 1, total + status.st_size + status.st_ino
    return f"{newest}-{count}-{total}"


def _files(root: Path) -> Iterator[os.stat_result]:
    todo = [str(root / "domains"), str(root / "dbt_projects")]
    with suppress(OSError):
        yield os.stat(root / "mesh.yaml")  # noqa: PTH116 - thousands of files: os is several times quicker than pathlib
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in SKIPPED and not entry.name.startswith("."):
                            todo.append(entry.path)
                    elif entry.is_file():
                        yield entry.stat()
        except OSError:
            continue
