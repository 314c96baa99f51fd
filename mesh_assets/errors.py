"""What can be wrong, as data: where, what, and how to mend it.

MeshError              something a person can mend; carries every problem found, never just the first
├── ConfigError        a file of the mesh says something it must not (exit 2)
├── UsageError         a command or a call was given something that does not exist (exit 2)
├── RunError           the mesh could not run: no lake, disk full, lake of a newer version (exit 3)
│   └── Superseded     a run with a newer pin has published the table already
└── TestsFailed        an `error` test failed: the version was not published (exit 1)
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file of the mesh; lines and columns count from 1."""

    path: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, where it stands, and how to mend it."""

    code: str
    what: str
    where: Place
    mend: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} [{self.code}]\n    {self.mend}"


class MeshError(Exception):
    """Something that a person can mend. `problems` are in the order of the files and lines."""

    exit_code = 2

    def __init__(self, message: str = "", problems: Iterable[Problem] = ()) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.where, problem.code)))
        super().__init__(message or "\n".join(map(str, self.problems)))


class ConfigError(MeshError):
    """A file of the mesh says something it must not."""


class UsageError(MeshError):
    """A command or a call names something that does not exist."""


class RunError(MeshError):
    """The mesh could not run."""

    exit_code = 3


class Superseded(RunError):
    """A run with a newer pin has published this table already: nothing was published."""


class TestsFailed(MeshError):
    """An `error` test failed: nothing was published, readers keep the last good version."""

    __test__ = False  # pytest: this is not a test
    exit_code = 1


def nearest(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """`Did you mean …?` with the nearest known name; else `otherwise`, else the list of the known names."""
    names = sorted(set(known))
    if close := difflib.get_close_matches(word, names, n=1, cutoff=0.6):
        return f"Did you mean `{close[0]}`?"
    if otherwise:
        return otherwise
    return f"Known here: {', '.join(f'`{name}`' for name in names)}." if names else "Nothing of that kind is known here."
