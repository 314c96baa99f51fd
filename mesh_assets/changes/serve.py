"""`mesh change serve`: a breaking change as the next version beside the old one, tried on data before it is written."""

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from mesh_assets.changes import proposed as proposals
from mesh_assets.changes.adapting import diff
from mesh_assets.changes.ask import candidates_of
from mesh_assets.changes.impact import Verdict, assess
from mesh_assets.changes.judge import SCHEMA_VERSION, cache_of
from mesh_assets.changes.known import known_columns
from mesh_assets.changes.rehearse import Rehearsed, rehearse
from mesh_assets.changes.succession import Succession, succession
from mesh_assets.domain import Mesh, Partitions
from mesh_assets.environment import Environment
from mesh_assets.errors import ConfigError, UsageError
from mesh_assets.mesh import FILE, read_mesh

Json = dict[str, Any]
Files = Mapping[str, tuple[str, str]]
"""Text before (empty: a new file) and after, by path in the mesh."""
READ = (FILE, "domains", "dbt_projects")
RAW = ("raw", "__pycache__", ".*", "target", "logs")
"""What is not needed to read a mesh, and may be large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a table said when it was tried on data.

    Attributes:
        fine: Nothing speaks against it, and something speaks for it.
        why: In words.
    """

    table: str
    fine: bool
    why: str
    passed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A succession, and what came of trying it.

    Attributes:
        rows: Published rows that the old version was made of once more; None: it was never published, nothing was tried.
        differ: Of these, how many it does not give back as they were.
    """

    plan: Succession
    tried: tuple[Tried, ...] = ()
    rows: int | None = None
    differ: int = 0

    @property
    def fine(self) -> bool:
        """Whether it can be offered."""
        return all(one.fine for one in self.tried)


def serving(
    env: Environment,
    port: str,
    *,
    sunset: date,
    drop: Sequence[str] = (),
    rename: Sequence[str] = (),
    retype: Sequence[str] = (),
    successor: str = "",
) -> Serving:
    """The next version of a port beside the one that is served, tried on what is published. Nothing is written.

    Raises:
        UsageError: There is no such port or column, or it cannot be written by a program.
        ConfigError: What would be written is no mesh.
    """
    if not (drop or rename or retype):
        mend = "Example: mesh change serve customers/physicians --rename city=practice_city --sunset 2027-03-31"
        raise UsageError(f"nothing is to be changed: `--drop-column`, `--rename` or `--retype`\n    {mend}")
    env.sync()
    columns = known_columns(env)
    asked = proposals.asked(env.mesh, columns, port, drop=drop, rename=rename, retype=retype)
    ((name, found),) = asked.start.items()
    if not found.changes:
        raise UsageError(
            f"nothing would change: {port} is like that already\n    `mesh impact --port {port}` shows it."
        )
    plan = succession(env.mesh, found, name, successor, sunset)
    with applied(env, plan.files) as after:
        if name not in env.seen():
            return Serving(plan=plan)
        hit = {each.table for each in assess(env.mesh, columns, asked.start, cache=cache_of(env)) if each.hit}
        return _tried(env, after, plan, candidates_of(env, asked.start)[name], hit)


def _ignored(root: Path) -> Callable[[str, list[str]], set[str]]:
    """What need not be copied; a domain's or a project's own folder may have any of these names."""
    tops = {str(root / name) for name in READ}
    some, hidden = shutil.ignore_patterns(*RAW), shutil.ignore_patterns(".*", "__pycache__")
    return lambda folder, names: (hidden if str(folder) in tops else some)(folder, names)


@contextmanager
def applied(env: Environment, files: Files) -> Generator[Mesh]:
    """The mesh as it would be with these files; its code is there until the end of the block. Raw files are left out.

    Raises:
        ConfigError: It would be none.
    """
    root = env.mesh.root
    with tempfile.TemporaryDirectory(prefix=".succession.", dir=env.home) as folder:
        place = Path(folder)
        for name in READ:
            if (root / name).is_dir():
                shutil.copytree(root / name, place / name, symlinks=True, ignore=_ignored(root), copy_function=_linked)
            elif (root / name).is_file():
                _linked(str(root / name), str(place / name))
        for name, (_, after) in files.items():
            (place / name).unlink(missing_ok=True)  # it may be one file with the mesh's own
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(after, encoding="utf-8")
        mesh = read_mesh(place, tolerant=True)
        changed = {name.split("/")[1] for name in files}
        problems = [problem for name in changed & set(mesh.broken) for problem in mesh.broken[name]]
        if problems:
            raise ConfigError("What would be written is not right, so nothing is:\n" + "\n".join(map(str, problems)))
        yield mesh


def write(env: Environment, files: Files) -> None:
    """Put the files into the mesh.

    Raises:
        UsageError: One of them has changed since.
    """
    root = env.mesh.root
    for name, (before, _) in files.items():
        now = (root / name).read_text(encoding="utf-8") if (root / name).exists() else ""
        if now != before:
            raise UsageError(f"{name} has changed meanwhile\n    Nothing was written. Try again.")
    for name, (_, after) in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(after, encoding="utf-8")


def to_json(found: Serving, *, written: bool) -> Json:
    """The JSON of `mesh change serve`."""
    plan = found.plan
    return {
        "schema_version": SCHEMA_VERSION,
        "port": spelt(plan.port),
        "successor": spelt(plan.successor),
        "version": plan.version,
        "sunset": plan.sunset,
        "rows": None if found.rows is None else {"compared": found.rows, "differ": found.differ},
        "tried": tried_json(found.tried),
        "fine": found.fine,
        "shim": plan.shim,
        "files": files_json(plan.files),
        "notes": list(plan.notes),
        "written": written,
    }


def tried_json(tried: Sequence[Tried]) -> list[Json]:
    """What was tried, table by table."""
    return [
        {
            "table": spelt(one.table),
            "fine": one.fine,
            "why": one.why,
            "tests": {"pass": one.passed, "fail": one.failed},
        }
        for one in tried
    ]


def files_json(files: Files) -> list[Json]:
    """What is written, or would be, as a diff of each file, by path."""
    return [{"path": name, "diff": diff(name, *texts)} for name, texts in sorted(files.items())]


def _tried(env: Environment, after: Mesh, plan: Succession, candidate: str, hit: set[str]) -> Serving:
    """The new version's own code and tests; then the old one, made of it, and every table that reads the old one."""
    seen = env.seen()
    published = env.lake.relation(plan.port, seen[plan.port].version)
    new = _new(env, after, plan, candidate)
    counts: dict[str, tuple[int, int]] = {}

    def compare(name: str, relation: str) -> None:
        if name == plan.port:
            counts[name] = compared(env, published, relation)

    readers = [name for name, table in after.tables.items() if plan.port in table.inputs]
    runs = rehearse(env, after, [plan.port, *readers], {plan.successor: candidate}, compare)
    rows, differ = counts.get(plan.port, (0, 0))
    same = (
        f"gives back {rows:,} published rows exactly" if not differ else f"gives {differ:,} of {rows:,} rows otherwise"
    )
    tried = [*new, _own(runs[plan.port], same)]
    for name in readers:
        verdict = Verdict.UNKNOWN if name in hit else Verdict.COMPATIBLE
        tried.append(_reader(runs[name], verdict, alike=plan.port in counts and not differ))
    return Serving(plan=plan, tried=tuple(tried), rows=rows, differ=differ)


def _new(env: Environment, after: Mesh, plan: Succession, candidate: str) -> list[Tried]:
    """The new version; a program that gets another name runs under it, for it is told its name. Other code is the same code."""
    fine = "runs on what is published"
    made: dict[str, tuple[int, int]] = {}

    def look(name: str, relation: str) -> None:
        if name == plan.successor:
            made[name] = compared(env, candidate, relation)

    if plan.rows and after.tables[plan.rows].program is not None:
        both = (plan.rows, plan.successor)
        runs = rehearse(env, after, both, {}, look, new=both)
        rows, differ = made.get(plan.successor, (0, 0))
        if differ and runs[plan.rows].ran and not runs[plan.rows].failed:
            why = f"its program gives {differ:,} of {rows:,} published rows otherwise now: `mesh run {spelt(plan.port)}` first"
            return [Tried(table=plan.successor, fine=False, why=why)]
        return [_own(runs[plan.rows], f"runs under the name {spelt(plan.rows)}"), _own(runs[plan.successor], fine)]
    if (parts := after.tables[plan.successor].partitions) is None:
        given = {plan.rows: env.lake.relation(plan.port, env.seen()[plan.port].version)} if plan.rows else {}
        return [_own(rehearse(env, after, [plan.successor], given, new=(plan.successor,))[plan.successor], fine)]
    lost: list[str] = []

    def parted(_: str, relation: str) -> None:
        lost.extend(_lost(env, parts, candidate, relation))

    run = rehearse(env, after, [plan.successor], {}, parted, new=(plan.successor,))
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        why = f"its SQL does not give the rows of {lost[0]}{more} again, which are published: what it reads holds them no longer"
        return [Tried(table=plan.successor, fine=False, why=why)]
    return [_own(run[plan.successor], fine)]


def _lost(env: Environment, parts: Partitions, candidate: str, made: str) -> list[str]:
    """The first days of partitions that hold rows as published, and none as they would be made."""
    day = f"""CAST("{parts.by.replace('"', '""')}" AS DATE)"""
    begin = {"weekly": f"date_trunc('week', {day} + 1) - INTERVAL 1 DAY", "monthly": f"date_trunc('month', {day})"}
    first, second = (f"SELECT {begin.get(parts.every, day)} FROM {one}" for one in (candidate, made))
    with env.lake.session() as con:
        found = con.execute(
            f"SELECT CAST(d AS DATE)::VARCHAR FROM ({first} EXCEPT {second}) AS t(d) ORDER BY 1"
        ).fetchall()
    return [str(row[0]) for row in found]


def _own(run: Rehearsed, fine: str) -> Tried:
    if not run.ran:
        return Tried(table=run.table, fine=False, why=run.why)
    return told(run, fine)


def _reader(run: Rehearsed, verdict: Verdict, *, alike: bool) -> Tried:
    """A reader stands when it passes; where it cannot be run here, when it gets the same rows, or none that it reads differ."""
    if run.ran:
        return told(run, "runs on the old version as it is made of the new one")
    if alike:
        return Tried(table=run.table, fine=True, why=f"gets the same rows as before ({run.why})")
    if verdict is Verdict.COMPATIBLE:
        return Tried(table=run.table, fine=True, why=f"reads nothing that differs ({run.why})")
    return Tried(table=run.table, fine=False, why=f"may read what differs, and {run.why}")


def told(run: Rehearsed, fine: str) -> Tried:
    """What a table's own tests said; `fine` where none failed."""
    why = "; ".join(str(item.get("message") or item["name"]) for item in run.failed) or fine
    return Tried(table=run.table, fine=not run.failed, why=why, passed=run.passed, failed=len(run.failed))


def compared(env: Environment, published: str, made: str) -> tuple[int, int]:
    """How many rows are published, and how many of them are not among those that were made, or the other way round."""
    with env.lake.session() as con:
        (rows,) = con.execute(f"SELECT count(*) FROM {published}").fetchone() or (0,)
        names = [str(row[0]) for row in con.execute(f"DESCRIBE FROM {published}").fetchall()]
        listed = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
        both = (f"SELECT {listed} FROM {published}", f"SELECT {listed} FROM {made}")
        counts = [
            con.execute(f"SELECT count(*) FROM ({one} EXCEPT ALL {other})").fetchone() or (0,)
            for one, other in (both, both[::-1])
        ]
    return int(rows), max(int(count) for (count,) in counts)


def _linked(source: str, target: str) -> str:
    """A second name of a file: nothing is copied. Where the file system has none, a copy."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
    return target


def spelt(table: str) -> str:
    """A table as a person writes it."""
    return table.replace(".", "/", 1)
