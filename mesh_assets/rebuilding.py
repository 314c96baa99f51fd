"""`mesh rebuild`: a version made again from what was recorded of it, in a fork, and compared with the published one."""

import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from mesh_assets import provenance, raw
from mesh_assets.address import parse
from mesh_assets.catalog import SCHEMA_VERSION
from mesh_assets.catalog.standing import version_of
from mesh_assets.domain import LakeConfig, Load, Mesh, Table, Toolchain
from mesh_assets.environment import Environment, inherit_parsed
from mesh_assets.errors import MeshError, RunError, UsageError
from mesh_assets.lake import Lake
from mesh_assets.lake.catalog import SqliteCatalog
from mesh_assets.ledger import Ledger, Record, Version
from mesh_assets.mesh import read_mesh
from mesh_assets.settings import Settings


class Verdict(StrEnum):
    """What came of making a version again."""

    EQUAL = "equal"
    DIFFERENT = "different"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """A version, made again.

    Attributes:
        reasons: What is missing, or what is different; where it is equal, what was used.
        packages: Those of another version than recorded: (recorded, now).
    """

    table: str
    version: int
    verdict: Verdict
    published: str
    rebuilt: str = ""
    reasons: tuple[str, ...] = ()
    packages: Mapping[str, tuple[str, str]]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "table": self.table.replace(".", "/", 1),
            "version": self.version,
            "verdict": str(self.verdict),
            "fingerprint": {"published": self.published, "rebuilt": self.rebuilt},
            "reasons": list(self.reasons),
            "packages": {name: list(pair) for name, pair in self.packages.items()},
        }

    def __str__(self) -> str:
        """For a person."""
        spelt = self.table.replace(".", "/", 1)
        lines = [f"{spelt}@{self.version}: {self.verdict}", *(f"    {reason}" for reason in self.reasons)]
        lines += [f"    {name} is {now} here, it was {was}" for name, (was, now) in self.packages.items()]
        return "\n".join(lines)


def rebuild(env: Environment, what: str, settings: Settings) -> Rebuilt:
    """Make a version again, beside the published one; nothing of the mesh is changed.

    Raises:
        UsageError: It names no version.
        NotFound: There is no such table or version.
    """
    env.sync()
    address = parse(env.mesh, what)
    if address.version is None:
        raise UsageError(f"`{what}` names no version\n    Write one after the table: `domain/table@12`.")
    version = version_of(env, address)
    if version is None:
        raise UsageError(f"`{what}` was never published\n    `mesh run {address}` builds it.")
    record = version.record
    found = Rebuilt(
        table=version.table,
        version=version.version,
        verdict=Verdict.IMPOSSIBLE,
        published=record["fingerprint"],
        packages=_packages(record),
    )
    try:
        with _code(env.mesh, version) as (mesh, used), _fork(env, mesh, version) as fork:
            if missing := _missing(fork, version):
                return replace(found, reasons=tuple(missing))
            return _compared(found, _made(fork, mesh.tables[version.table], settings), used)
    except MeshError as error:
        return replace(found, reasons=tuple(line.strip() for line in str(error).splitlines()))


def _packages(record: Record) -> dict[str, tuple[str, str]]:
    was, now = (record.get("made") or {}).get("packages") or {}, dict(provenance.packages())
    return {name: (old, now.get(name, "not here")) for name, old in was.items() if now.get(name) != old}


@contextmanager
def _code(mesh: Mesh, version: Version) -> Generator[tuple[Mesh, str]]:
    """The mesh with the code that built the version: as it is now, else as its commit has it.

    Raises:
        RunError: That code is nowhere.
    """
    record, name = version.record, version.table
    commit = (record.get("made") or {}).get("commit") or ""
    if mesh.tables[name].code == record["code"]:
        yield mesh, "the code as it is now, which is the recorded one"
        return
    if not commit:
        raise RunError(
            "its code has changed since, and no commit was recorded\n    Builds in a git repository record theirs."
        )
    top = _git(mesh.root, "rev-parse", "--show-toplevel").strip()
    with tempfile.TemporaryDirectory(prefix="mesh_rebuild_") as folder:
        tree = Path(folder) / "tree"
        try:
            _git(mesh.root, "worktree", "add", "--detach", str(tree), commit)
            old = read_mesh(tree / mesh.root.relative_to(top), tolerant=True)
            if name not in old.tables or old.tables[name].code != record["code"]:
                raise RunError(
                    f"its code is not that of commit {commit[:12]}: it was built from files that were not committed"
                )
            yield old, f"the code of commit {commit[:12]}"
        finally:
            _git(mesh.root, "worktree", "remove", "--force", str(tree), must=False)


def _git(root: Path, *words: str, must: bool = True) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if must and done.returncode:
        raise RunError(f"git says: {(done.stderr.strip() or 'nothing').splitlines()[-1]}")
    return done.stdout


@contextmanager
def _fork(env: Environment, mesh: Mesh, version: Version) -> Generator[Environment]:
    """An environment of its own in which its inputs are as they were, and nothing else is."""
    table, record = mesh.tables[version.table], version.record
    versions = {name: item["version"] for name, item in record["inputs"].items() if item["version"] is not None}
    past = {name: _before(env, name, version.version) for name in table.references if name not in versions}
    if table.load is not Load.FULL:
        past[table.name] = _before(env, table.name, version.version - 1)
    versions |= {name: number for name, number in past.items() if number is not None}
    if gone := [
        f"{name.replace('.', '/', 1)}@{number}" for name, number in versions.items() if not env.lake.has(number)
    ]:
        raise RunError(f"what it was made of has expired, and its data is gone: {', '.join(gone)}")
    folder = Path(tempfile.mkdtemp(prefix="mesh_rebuild_", dir=env.home))
    lake = None
    try:
        lake = env.lake.fork(folder / "lake", versions)
        home = folder / "home"
        address = _address(lake, mesh.lake)
        ledger = Ledger(home, address if not address.catalog.startswith("sqlite") else None)
        ledger.index(_seed(env, name, number, lake.head()) for name, number in versions.items())
        if table.toolchain is Toolchain.DBT:
            inherit_parsed(env.home, home)
        yield Environment(replace(mesh, lake=address), home, lake, ledger)
        ledger.close()
    finally:
        if lake is not None:
            lake.remove()
        shutil.rmtree(folder, ignore_errors=True)


def _address(lake: Lake, config: LakeConfig) -> LakeConfig:
    """How another opens the fork."""
    if isinstance(lake.catalog, SqliteCatalog):
        return LakeConfig(catalog=f"sqlite:{lake.catalog.path}", data=str(lake.data))
    return replace(config, data=str(lake.data), schema=lake.catalog.schema)


def _before(env: Environment, table: str, limit: int) -> int | None:
    return next((item.version for item in env.ledger.history(table, limit=10_000) if item.version <= limit), None)


def _seed(env: Environment, table: str, version: int, head: int) -> Version:
    """An input's own record, as of the fork: of no generation, for it was admitted when it was read."""
    found = next(item for item in env.ledger.history(table, limit=10_000) if item.version == version)
    record: Record = {**found.record, "generation": {}}
    return Version(table=table, version=head, run=found.run, at=found.at, record=record)


def _missing(fork: Environment, version: Version) -> list[str]:
    """What was there then, and is not now."""
    table, record = fork.mesh.tables[version.table], version.record
    if table.database is not None and fork.raw(table) != record.get("raw"):
        return ["it was copied from a database that has changed since"]
    if table.source is None:
        return []
    folder = raw.folder_of(fork.mesh, table)
    now, fresh = raw.content(folder, table.source, {})
    if now == record.get("raw"):
        return []
    files = raw.hashes(folder, table.source, fresh)
    then = record.get("files") or {}
    said = [
        f"raw file {name} is {'gone' if name not in files else 'another now'}"
        for name, sha in then.items()
        if not files.get(name, "").startswith(sha)  # of a version that is older than whole hashes, its first half
    ]
    said += [f"raw file {name} is new since" for name in files if then and name not in then]
    return said or ["its raw files are not the recorded ones any more"]


def _made(fork: Environment, table: Table, settings: Settings) -> tuple[str, str]:
    """Build it in the fork, by the one path that builds anything: (fingerprint, why there is none)."""
    import dagster as dg

    from mesh_assets.orchestration import keys
    from mesh_assets.orchestration.load import loaded

    at = settings.model_copy(update={"home": fork.home, "lake_catalog": "", "lake_data": ""})
    definitions = loaded(fork.mesh, only=table.domain, settings=at).definitions
    run = str(uuid.uuid4())
    with dg.DagsterInstance.ephemeral() as instance:
        definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            run_id=run,
            asset_selection=keys.selection(fork.mesh, [table.name]),
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    fork.sync()
    tried = {attempt.table: attempt for attempt in fork.ledger.of_run(run)}.get(table.name)
    if tried is None or tried.outcome not in ("published", "unchanged"):
        return "", (tried.record.get("message") or tried.outcome) if tried else "its step did not run"
    return str(tried.record["fingerprint"]), ""


def _compared(found: Rebuilt, made: tuple[str, str], used: str) -> Rebuilt:
    fingerprint, why = made
    if not fingerprint:
        return replace(found, reasons=(f"it could not be built: {why}",))
    if fingerprint == found.published:
        return replace(found, verdict=Verdict.EQUAL, rebuilt=fingerprint, reasons=(f"made of {used}",))
    return replace(
        found, verdict=Verdict.DIFFERENT, rebuilt=fingerprint, reasons=_differences(found.published, fingerprint)
    )


def _differences(published: str, rebuilt: str) -> tuple[str, ...]:
    """What fingerprints tell: rows, content, columns."""
    (rows, content, shape), (rows2, content2, shape2) = published.split("-"), rebuilt.split("-")
    said = [f"{rows2} rows, {rows} were published"] if rows != rows2 else []
    said += ["other columns or types, or another version of DuckDB"] if shape != shape2 else []
    return (*said, *(["other values"] if content != content2 and shape == shape2 and rows == rows2 else []))
