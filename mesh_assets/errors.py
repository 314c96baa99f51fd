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


class Superseded(RunError):  # noqa: N818 - an outcome
    """A run with a newer pin has published this table already: nothing was published."""


class TestsFailed(MeshError):  # noqa: N818 - an outcome
    """An `error` test failed: nothing was published, readers keep the last good version."""

    __test__ = False  # pytest: this is not a test
    exit_code = 1


LISTED = 40
"""Names that one sentence lists."""


def nearest(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """`Did you mean …?` with the nearest known name; else `otherwise`, else the list of the known names."""
    names = sorted(set(known))
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    if close := difflib.get_close_matches(word, names, n=1, cutoff=0.6):
        return f"Did you mean `{close[0]}`?"
    if otherwise:
        return otherwise
    return (
        f"Known here: {', '.join(f'`{name}`' for name in names[:LISTED])}{more}."
        if names
        else "Nothing of that kind is known here."
    )


PROBLEMS = {  # every code, and its heading in docs/problems.md
    "M001": "A file cannot be read",
    "M002": "A key that is not known",
    "M003": "An empty file",
    "M004": "A file that is too large",
    "M005": "A file that is not UTF-8",
    "M006": "Text that is not YAML",
    "M007": "A key that is there twice",
    "M008": "A YAML alias or tag",
    "M010": "A key that is missing",
    "M011": "A value of the wrong type",
    "M012": "A value that is none of the choices",
    "M013": "A value of the wrong form",
    "M014": "Keys that do not go together",
    "M016": "A path that leads outside",
    "M101": "A domain whose name cannot be used",
    "M102": "A domain that is not named as its folder",
    "M103": "A contract file that is not there",
    "M104": "An automation that is no schedule",
    "M105": "A source that cannot be loaded",
    "M106": "Partitions that are not complete",
    "M107": "Options for a table that does not exist",
    "M108": "An incremental load that does not say how",
    "M109": "A key that is no column",
    "M110": "A port that is not spelt `domain.port`",
    "M111": "A dbt project without a domain",
    "M112": "A partition mapping that maps nothing",
    "M113": "A part of nothing",
    "M114": "A file that is almost read",
    "M115": "A mesh without domains",
    "M201": "A version of the standard that is not read",
    "M202": "A contract that is not for one table",
    "M203": "A contract that is for another table",
    "M204": "A column without a type that is known",
    "M205": "A type that the lake cannot hold",
    "M206": "A column that is there twice",
    "M207": "A rule that names an unknown column",
    "M208": "A pattern that cannot be used",
    "M209": "A severity that is not known",
    "M210": "A rule that cannot be tested as it is written",
    "M211": "Two tests of one name",
    "M212": "A query that does more than read the table",
    "M213": "A rule of a custom engine",
    "M214": "A relationship that cannot be followed",
    "M215": "A format that cannot be tested",
    "M216": "A threshold that makes no sense",
    "M217": "A test that does not suit its column",
    "M218": "A classification that masks nothing",
    "M219": "A service level that is not known",
    "M301": "SQL that cannot be read",
    "M302": "SQL that is not one SELECT",
    "M303": "SQL that reads files",
    "M304": "SQL that names a database or a version",
    "M305": "Python that cannot be read",
    "M306": "Something that only running the code would tell",
    "M307": "An asset of a kind that is not read",
    "M308": "Parameters that are not the inputs",
    "M309": "A dbt model that cannot be resolved",
    "M310": "A dbt model that is no table",
    "M311": "A dbt project that does not parse",
    "M401": "A port that does not exist",
    "M402": "A table that is private to another domain",
    "M403": "An input that is not declared",
    "M404": "A table that does not exist",
    "M405": "Tables that feed each other",
    "M406": "A table that is there twice",
    "M407": "An output port without a contract",
    "M408": "An output port that nothing builds",
    "M409": "A contract for no table",
    "M410": "A domain that reads itself",
    "M411": "A table whose name cannot be used",
    "M412": "Two domains of one name",
    "M413": "A relationship that leads nowhere",
    "M414": "An input that is there twice",
    "M415": "A successor that is no port",
    "M416": "A successor that is no newer version",
    "M417": "A sunset that is no date",
    "M418": "A deprecated port that is read",
    "M419": "A sunset that has passed",
    "M420": "A new reader of a deprecated port",
    "M421": "An input that nothing reads",
    "M520": "A test that the library does not have",
    "M521": "A parameter that a test does not have",
    "M522": "A parameter that is missing",
    "M523": "A parameter that cannot have that value",
    "M524": "A test in the wrong place",
    "M525": "A condition that cannot be used",
    "M527": "A test of the library that does not suit its column",
    "M530": "An action that is not known",
    "M531": "A rule that cannot put rows into quarantine",
    "M532": "A column that the quarantine adds of its own",
    "M533": "A domain's name that ends with `_quarantine`",
    "M534": "A reader that wants to put another domain's rows into quarantine",
    "M550": "Checks that cannot be read",
    "M551": "A schema that does not say which table it is for",
    "M552": "A schema for a table that is not there",
    "M553": "A schema that cannot be loaded",
    "M554": "A schema that would change the table",
    "M555": "A check that means something else elsewhere",
    "M556": "A check that does not suit its column",
    "M860": "A pipeline that delivers what nothing builds",
    "M861": "A deadline that is no time of day",
    "M862": "A schedule of a pipeline that is none",
    "M701": "A version step that is too small",
    "M702": "Columns of an input that is not read",
    "M831": "A time that cannot be read",
    "M832": "A channel that does not exist",
    "M880": "OpenLineage without an address",
    "M881": "A secret in the address of OpenLineage",
    "M801": "A table whose toolchain is not told what it needs",
    "M802": "A file of a program that is not there",
    "M803": "A password in a file",
    "M805": "A channel of Slack that leads nowhere",
    "M804": "A location that is not read",
    "M806": "An engine that does not hold the table",
    "M807": "What cannot be asked of an engine",
    "M808": "Rows that stay elsewhere are read here",
}
