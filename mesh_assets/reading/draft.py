"""A mesh as its teams wrote it: read, not yet judged. What the rules look at."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mesh_assets.domain import Database, Domain, Load, PartitionMapping, Pipeline, Program, Source, Table, Toolchain
from mesh_assets.errors import Place, Problem
from mesh_assets.reading.columntype import RESERVED
from mesh_assets.reading.odcs import Reading
from mesh_assets.reading.source import Document
from mesh_assets.reading.strays import Stray

NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
DOMAINS_TAKEN = frozenset({"main", "information_schema", "temp", "mesh", "system", "pg_catalog"})
SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "æ": "ae", "ø": "oe", "å": "aa", "ß": "ss"})
TABLES_TAKEN = frozenset({"this", "in"})


@dataclass(frozen=True, slots=True)
class Reference:
    """A table that is read, as `domain.table`, and where that is written."""

    table: str
    where: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Code that builds a table; `name` is bare."""

    name: str
    toolchain: Toolchain
    where: Place
    path: Path
    code: str
    reads: tuple[Reference, ...] = ()
    artifact: bool = False
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    program: Program | None = None
    source: Source | None = None
    database: Database | None = None


@dataclass(slots=True)
class Options:
    """What `tables:` of a domain.yaml says of one table, and where."""

    load: Load
    key: tuple[str, ...]
    where: Place
    key_at: Place
    expected_by: str = ""
    mappings: Mapping[str, PartitionMapping] = field(default_factory=dict)  # by the bare name of a table of the domain


@dataclass(slots=True)
class DomainDraft:
    """One domain's folder.

    Attributes:
        name: Of the folder.
        domain: Bare when its domain.yaml could not be read.
        readable: Whether it could.
        tables: In the order in which they were found; a name may be there twice.
        reads: By `domain.table`, what each reads, in the order of its text.
        options: By bare name.
        contracts: By file name in `contracts/`; read once each.
        misnamed: Contracts that name another table than the one that they are for, told unless it is that one's name that is wrong.
        unused: Contract files that no table and no port asks for.
        strays: What looks like a part of the domain and is not read.
        unclear: domain.yaml has problems, so that what seems to be missing may only be misspelt.
    """

    name: str
    folder: Path
    shown: str
    domain: Domain
    document: Document | None = None
    readable: bool = False
    tables: list[Table] = field(default_factory=list)
    reads: dict[str, list[Reference]] = field(default_factory=dict)
    options: dict[str, Options] = field(default_factory=dict)
    contracts: dict[str, Reading] = field(default_factory=dict)
    misnamed: list[Problem] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    strays: list[Stray] = field(default_factory=list)
    unclear: bool = False
    problems: list[Problem] = field(default_factory=list)

    def strayed(self, table: str, *, builds: bool) -> bool:
        """Whether what would build a table, or be its contract, is there and is not read."""
        return any(stray.table == table and stray.builds == builds for stray in self.strays)


@dataclass(slots=True)
class Draft:
    """All domains of a folder.

    Attributes:
        unread: Domains whose domain.yaml could not be read: nothing is known of their ports.
        projects: Folders in `dbt_projects/`.
        pipelines: Of mesh.yaml.
    """

    root: Path
    domains: list[DomainDraft] = field(default_factory=list)
    unread: frozenset[str] = frozenset()
    projects: tuple[str, ...] = ()
    pipelines: tuple[Pipeline, ...] = ()

    def all_pipelines(self) -> tuple[Pipeline, ...]:
        """The mesh's own, then those of its domains."""
        return (*self.pipelines, *(one for draft in self.domains for one in draft.domain.pipelines))

    def tables(self) -> dict[str, Table]:
        """Every table, by `domain.table`."""
        return {table.name: table for draft in self.domains for table in draft.tables}

    def reads(self) -> dict[str, list[Reference]]:
        """What every table reads, by `domain.table`."""
        return {name: reads for draft in self.domains for name, reads in draft.reads.items()}


def name_fault(name: str, taken: frozenset[str]) -> tuple[str, str] | None:
    """Why a domain or a table cannot have a name, and what to do; None when it can."""
    if name.startswith("__"):
        return "starts with `__`, which is kept for the mesh", "Choose a name that starts with a letter."
    if name in taken or name in RESERVED:
        return "is a word of SQL or of the mesh", f"Choose another name, such as `{name}_1`."
    if not NAME.fullmatch(name):
        better = usable(name)
        mend = f"Rename it to `{better}`." if better else "Choose another."
        return "must be of lower-case letters, digits and `_`, a letter first", mend
    return None


def usable(name: str) -> str:
    """The nearest name that a domain or a table can have; empty when there is none, or when it is the name itself."""
    spelt = unicodedata.normalize("NFKD", name.lower().translate(SPELT_OUT)).encode("ascii", "ignore").decode()
    better = re.sub(r"[^a-z0-9_]+", "_", spelt).strip("_")
    return better if better != name and NAME.fullmatch(better) else ""


def digest(parts: Iterable[str]) -> str:
    """A short hash of texts, in their order."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.encode(errors="surrogatepass")
        whole.update(f"{len(content)}:".encode())
        whole.update(content)
    return whole.hexdigest()[:16]


def outside(shown: str) -> Problem:
    """What is said of a file that is a link to somewhere else."""
    mend = "Copy what it leads to into the mesh."
    return Problem("M016", "this is a link that leads out of the mesh", Place(shown), mend)


def leads_out(root: str, start: str, path: str) -> bool:
    """Whether a path leaves the mesh through a link.

    Args:
        root: The mesh's folder, as a real path.
        start: A folder in it, as a real path.
        path: Relative to `start`, without `..`.
    """
    at = start
    for part in path.split("/"):
        at = f"{at}/{part}"
        if os.path.islink(at):
            real = os.path.realpath(f"{start}/{path}")
            return real != root and not real.startswith(f"{root}/")
    return False
