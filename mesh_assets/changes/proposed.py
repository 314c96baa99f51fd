"""A change that is not made yet: the working tree against a git ref, or what a person asks about on the command line."""

import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from mesh_assets.changes.binding import Bench, DoesNotBind, Found, staged
from mesh_assets.changes.impact import Moved, moved, spelt
from mesh_assets.changes.lineage import Columns, Over, expressions
from mesh_assets.changes.model import Step, declared
from mesh_assets.changes.renames import Rename, by_code, possible
from mesh_assets.changes.shape import ColumnShape, Shape, shape_of
from mesh_assets.changes.texts import text_of
from mesh_assets.changes.widths import canonical
from mesh_assets.deprecation import successors
from mesh_assets.domain import Mesh, Table
from mesh_assets.errors import Problem, UsageError, nearest
from mesh_assets.mesh import read_mesh
from mesh_assets.reading.columntype import NotAType, parse_type

NOT_READ = frozenset({"raw", "__pycache__", "target", "logs", "dbt_packages"})
"""Folders of which no file decides what a mesh is."""
NO_GIT = "Without one, ask about a change that is not made yet: `mesh impact --port DOMAIN/TABLE --drop-column COLUMN`."
STOPS = "`git log` in the mesh's folder shows what there is."


@contextmanager
def mesh_at(now: Mesh, ref: str) -> Generator[Mesh]:
    """The mesh as it was at a git ref; its files are there until the end of the block.

    Only domains whose files differ are taken out of git and read: the others are as they have been read, and their folders are
    links to those of the working tree.

    Raises:
        UsageError: There is no git here, no such ref, or no mesh at it.
    """
    root = now.root
    where = Path(_git(root, "rev-parse", "--show-toplevel", why=f"{root} is in no git repository", mend=NO_GIT).strip())
    if ref.startswith("-"):
        raise UsageError(f"`{ref}` is no git ref\n    {STOPS}")
    if ref == "HEAD":
        none_yet = (
            f"the git repository {where} has no commit yet",
            "Commit the mesh as it is: a change is told against that.",
        )
    else:
        none_yet = f"there is no git ref `{ref}`", STOPS
    _git(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", why=none_yet[0], mend=none_yet[1])
    inner = root.resolve().relative_to(where.resolve()).as_posix()
    at = "" if inner == "." else f"{inner}/"
    then = {
        top: _listed(where, "ls-tree", "-z", "--name-only", ref, "--", f"{at}{top}/")
        for top in ("domains", "dbt_projects")
    }
    if not _listed(where, "ls-tree", "-z", "--name-only", ref, "--", f"{at}mesh.yaml"):
        raise UsageError(f"there is no mesh.yaml at `{ref}`\n    {STOPS}")
    differ = _differing(where, at, ref) | set(now.broken)
    known = {draft.name: draft for draft in now.drafts if draft.name not in differ}
    with tempfile.TemporaryDirectory(prefix="mesh-base-") as folder:
        place = Path(folder, "tree", inner)
        place.mkdir(parents=True)
        taken = [f"{at}mesh.yaml"]
        for top, paths in then.items():
            (place / top).mkdir()
            for path in paths:
                name = path.rpartition("/")[2]
                if name in known and (root / top / name).is_dir():
                    (place / top / name).symlink_to(root.resolve() / top / name)
                else:
                    taken.append(path)
        _take(where, ref, taken, Path(folder))
        yield read_mesh(place, tolerant=True, known=known)


def _differing(where: Path, at: str, ref: str) -> set[str]:
    """Domains with a file that is another one than at a ref, or was not there; git knows most without reading them."""
    paths = [f"{at}domains", f"{at}dbt_projects"]
    found = _listed(where, "diff", "-z", "--name-only", "--no-renames", "--no-ext-diff", ref, "--", *paths)
    found += [
        path
        for path in _listed(where, "ls-files", "-z", "--others", "--", *paths)  # what git ignores is read, too
        if not NOT_READ.intersection(path.split("/"))
    ]
    return {path.removeprefix(at).split("/")[1] for path in found if path.removeprefix(at).count("/") > 1}


def _take(where: Path, ref: str, paths: Sequence[str], folder: Path) -> None:
    """Files as they were, below `tree`."""
    pack = folder / "tree.tar"
    _git(where, "archive", "--format=tar", "-o", str(pack), ref, "--", *paths)
    with tarfile.open(pack) as tar:
        # Raw files are data: nothing is read of them here, and they may be large.
        members = [one for one in tar.getmembers() if "/raw/" not in one.name or one.isdir()]
        tar.extractall(folder / "tree", members=members, filter="data")


def _listed(where: Path, *words: str) -> list[str]:
    """What git lists, relative to the repository."""
    return [path for path in _git(where, *words).split("\0") if path]


def _git(root: Path, *words: str, why: str = "", mend: str = STOPS) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)  # noqa: S603, S607 - git, on words of ours
    except FileNotFoundError:
        raise UsageError("git is not installed\n    Install it, or use `--port`.") from None
    if done.returncode:
        raise UsageError(f"{why or done.stderr.strip() or 'git failed'}\n    {mend}")
    return done.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """Changes that are not made yet.

    Attributes:
        columns: Of every table, before them.
        start: What changes.
        gone: Ports that are there no longer, with the domains that still read them.
        unread: Domains that could be loaded and cannot be now, so that nobody knows what their ports become, with who reads these.
        renames: Columns that are gone and, as the code tells, are there under another name.
    """

    columns: Columns
    start: Mapping[str, Moved]
    gone: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unread: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    renames: tuple[Rename, ...] = ()


def between(base: Mesh, now: Mesh, columns: Columns, as_built: Callable[[str], bool] = lambda _name: False) -> Proposed:
    """What the working tree changes: contracts, SQL, dbt models, Python.

    The shapes of SQL and dbt tables are found by binding them, without data. Where a table's own shape changes only because
    one above it does, that is left to the assessment.

    Args:
        base: As it was; its files have to be there for as long as the columns before are asked for.
        now: As it is.
        columns: What the lake knows, by table.
        as_built: Whether that is what a table's code at the base gives; then it is not bound.
    """
    before = _Before(base, now, columns, as_built)
    follow = successors(base) | successors(now)
    start: dict[str, Moved] = {}
    renames: list[Rename] = []
    for name, table in now.tables.items():
        was = base.tables.get(name)
        if was is None or (
            was.code == table.code and was.contract == table.contract and was.partitions == table.partitions
        ):
            continue
        own = _bound(base, was, before, before.bench, None) or before.get(name)
        old = shape_of(was, own or None)
        new = shape_of(table, _bound(now, table, before, before.bench, was))
        found = moved(name, old, new, follow)
        if found.changes:
            start[name] = found
        if possible(found.changes):
            spelt = expressions(base, was, before), expressions(now, table, before)
            renames += by_code(name, old, new, *spelt)
    gone = {
        name: _still_reading(base, now, name)
        for name, was in base.tables.items()
        if was.port and name not in now.tables and was.domain not in now.broken
    }
    told = {reader for readers in gone.values() for reader in readers}
    unread = {name: _readers_of(base, name) for name in now.broken if name in base.domains and name not in told}
    return Proposed(columns=before, start=start, gone=gone, unread=unread, renames=tuple(renames))


def _readers_of(mesh: Mesh, domain: str) -> tuple[str, ...]:
    """Other domains that read any of a domain's ports."""
    found = (one.name for one in mesh.domains.values() if any(i.table.startswith(f"{domain}.") for i in one.inputs))
    return tuple(sorted(set(found) - {domain}))


def _still_reading(base: Mesh, now: Mesh, port: str) -> tuple[str, ...]:
    """Domains that read a port which is gone: without it they cannot be loaded."""
    owner = port.partition(".")[0]
    readers = {domain.name for domain in base.domains.values() if any(one.table == port for one in domain.inputs)}
    return tuple(sorted((readers - {owner}) & set(now.broken)))


class _Before(Mapping[str, Found]):
    """The columns of every table: bound where there is SQL, else as the lake has them, else as the contract says.

    Found when they are asked for. What stands between a table and one that was built just so has to be bound as well.
    """

    def __init__(self, mesh: Mesh, now: Mesh, known: Columns, as_built: Callable[[str], bool]) -> None:
        self.mesh, self.now, self.known, self.as_built = mesh, now, known, as_built
        self.bench = Bench()
        self.found: dict[str, Found | None] = {}
        self.place = {name: number for number, name in enumerate(mesh.tables)}

    def __getitem__(self, name: str) -> Found:
        if name not in self.place:
            raise KeyError(name)
        if name not in self.found:
            for one in self._missing(name):  # upstream first, without recursion: a mesh may be a thousand tables deep
                self.found[one] = self._one(self.mesh.tables[one])
        found = self.found[name]
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.mesh.tables if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def _missing(self, name: str) -> list[str]:
        todo, wanted = [name], {name}
        while todo:
            for one in self.mesh.tables[todo.pop()].inputs:
                if one in self.place and one not in self.found and one not in wanted:
                    wanted.add(one)
                    todo.append(one)
        return sorted(wanted, key=self.place.__getitem__)

    def _one(self, table: Table) -> Found | None:
        known = self.known.get(table.name)
        if known is not None and self.as_built(table.name):
            same = (self.found.get(one) == self.known.get(one) for one in table.inputs)
            if all(same):
                return known
        inputs = {one: told for one in table.inputs if (told := self.found.get(one)) is not None}
        made = _bound(self.mesh, table, inputs, self.bench, None)
        if made is not None:
            return tuple(made)
        promised = (
            {c.name.lower(): (c.name, canonical(c.type)) for c in table.contract.columns} if table.contract else {}
        )
        if known is None or not promised.keys() <= {column.lower() for column, _ in known}:
            return tuple(promised.values()) or None  # the lake has none, or what later code has made
        later = self.now.tables.get(table.name)
        new = {c.name.lower() for c in later.contract.columns} - promised.keys() if later and later.contract else set()
        return tuple((column, kind) for column, kind in known if column.lower() not in new)


def _bound(
    mesh: Mesh, table: Table, columns: Columns, bench: Bench, was: Table | None
) -> Sequence[tuple[str, str]] | None:
    """What a table's SQL gives; for other tables what they gave before, under the contract of now."""
    text = text_of(mesh, table)
    if text is not None and all(name in columns for name in table.inputs):
        try:
            return staged(bench.bind(text, table, columns), table)
        except DoesNotBind:
            return None
    if was is None or table.contract is None:
        return None
    # Python and sources: the contract is what its author says that it gives. What it named and names no longer is gone.
    old = was.contract
    dropped = {c.name.lower() for c in old.columns} - {c.name.lower() for c in table.contract.columns} if old else set()
    kept = [(name, kind) for name, kind in columns.get(table.name, ()) if name.lower() not in dropped]
    names = {name.lower() for name, _ in kept}
    added = [(c.name, canonical(c.type)) for c in table.contract.columns if c.name.lower() not in names]
    return staged([*kept, *added], table)


def asked(
    mesh: Mesh,
    columns: Columns,
    port: str,
    *,
    drop: Sequence[str] = (),
    rename: Sequence[str] = (),
    retype: Sequence[str] = (),
) -> Proposed:
    """What a person asks about.

    Raises:
        UsageError: There is no such table or column, or the words have no form that is known.
    """
    name = port.replace("/", ".", 1)
    if name not in mesh.tables:
        names = [name.replace(".", "/", 1) for name in mesh.tables] if "/" in port else mesh.tables
        raise UsageError(f"there is no table `{port}`\n    {nearest(port, names)}")
    table = mesh.tables[name]
    old = shape_of(table, columns.get(name))
    found = _changed(name, old, drop, rename, retype)
    changed = tuple(new for column in old.columns if (new := found.get(column.name, column)) is not None)
    return Proposed(
        columns=Over({name: tuple((c.name, c.type) for c in old.columns)}, columns),
        start={name: moved(name, old, _without(old, changed))},
    )


def _changed(
    table: str, old: Shape, drop: Sequence[str], rename: Sequence[str], retype: Sequence[str]
) -> dict[str, ColumnShape | None]:
    """The columns that become others, by their names before; None: it would be gone."""
    found: dict[str, ColumnShape | None] = {}
    for word in rename:
        column, after = _renamed(table, old, word)
        if column.name in found:
            raise UsageError(f"`{column.name}` is given two names\n    Write one `--rename` for a column.")
        names = {**old.names, **{new.name.lower(): new for new in found.values() if new}}
        if taken := names.get(after.lower()):
            mend = f"Give `{column.name}` another name."
            raise UsageError(f"{spelt(table)} has a column `{taken.name}` already\n    {mend}")
        found[column.name] = replace(column, name=after, came_from=(column.name,))
    for word in retype:
        column, kind = _retyped(table, old, word)
        found[column.name] = replace(found.get(column.name) or column, type=kind)
    for word in drop:
        column = _column(table, old, word)
        if found.get(column.name):
            raise UsageError(f"`{column.name}` cannot be dropped and changed at once\n    Ask about one of both.")
        found[column.name] = None
    if len(found) == len(old.columns) and not any(found.values()):
        mend = "To end it, delete it: `mesh impact` says who reads it."
        raise UsageError(f"{spelt(table)} would have no column left\n    {mend}")
    return found


def _renamed(table: str, old: Shape, word: str) -> tuple[ColumnShape, str]:
    before, _, after = (part.strip() for part in word.partition("="))
    column = _column(table, old, before)
    if not after or "=" in after:
        raise UsageError(f"`{word}` is no pair of names\n    Write `--rename OLD=NEW`.")
    return column, after


def _retyped(table: str, old: Shape, word: str) -> tuple[ColumnShape, str]:
    before, _, kind = word.partition(":")
    if not kind.strip():
        raise UsageError(f"`{word}` names no type\n    Write `--retype COLUMN:TYPE`.")
    column = _column(table, old, before)
    try:
        return column, canonical(parse_type(kind))
    except NotAType as refused:
        raise UsageError(f"`{column.name}` {refused.what}\n    {refused.mend}") from None


def _column(table: str, shape: Shape, word: str) -> ColumnShape:
    found = shape.names.get(word.strip().lower())
    if found is None:
        mend = nearest(word, [column.name for column in shape.columns])
        raise UsageError(f"{spelt(table)} has no column `{word}`\n    {mend}")
    return found


def _without(old: Shape, columns: tuple[ColumnShape, ...]) -> Shape:
    """Rules go with their columns; the key follows a new name."""
    names = {column.name.lower() for column in columns}
    renamed = {source.lower(): column.name for column in columns for source in column.came_from}
    key = tuple(renamed.get(name.lower(), name) for name in old.key)
    rules = tuple(rule for rule in old.rules if all(name.lower() in names for name in rule.columns))
    return replace(old, columns=columns, key=key, rules=rules)


def steps(base: Mesh, now: Mesh, needed: Mapping[str, Step]) -> list[Problem]:
    """Contracts whose version makes a smaller step than their changes need: M701."""
    found = []
    order = tuple(Step)
    for name, step in needed.items():
        was, table = base.tables.get(name), now.tables.get(name)
        if was is None or table is None or was.contract is None or table.contract is None or table.port is None:
            continue
        made = declared(was.contract.version, table.contract.version)
        if order.index(made) < order.index(step):
            what = f"{spelt(name)} needs a {step} step of its version, and goes from {was.contract.version} to {table.contract.version}"
            mend = f"Write `version: {_next(was.contract.version, step)}`, or take the change back; `mesh impact --base REF` lists it."
            found.append(Problem("M701", what, table.contract.where, mend))
    return found


def _next(version: str, step: Step) -> str:
    numbers = [*(int(part) if part.isdigit() else 0 for part in version.split(".")[:3]), 0, 0, 0]
    major, minor, patch = numbers[:3]
    match step:
        case Step.MAJOR:
            return f"{major + 1}.0.0"
        case Step.MINOR:
            return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"
