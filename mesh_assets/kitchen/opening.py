"""Open and close kitchens: a fork of the lake, a copy of the ledger, a work tree, and nothing that outlives them."""

import getpass
import json
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mesh_assets import launches
from mesh_assets.account import record as account
from mesh_assets.catalog import spelt
from mesh_assets.contract import Column, labels
from mesh_assets.domain import LakeConfig, Mesh
from mesh_assets.environment import MASKS, Environment, inherit_parsed
from mesh_assets.errors import MeshError, RunError, UsageError
from mesh_assets.kitchen import changes, git, place
from mesh_assets.kitchen.place import FOLDER, Site
from mesh_assets.kitchen.records import TABLES, Records, Row
from mesh_assets.lake import Lake, quarantine
from mesh_assets.lake.catalog import PostgresCatalog, SqliteCatalog, open_catalog
from mesh_assets.lake.masking import can_mask
from mesh_assets.mesh import read_mesh
from mesh_assets.openlineage import outbox
from mesh_assets.settings import Settings
from mesh_assets.store import now

PRODUCTION = "production"
Fill = Callable[[Environment, "Site"], "Site"]
"""Fills the sources of a kitchen without data, and builds the rest; given what it was opened from, gives the kitchen as it is then."""
_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
FIRST_PORT = 3001


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What `mesh kitchen open` has made."""

    site: Site
    seconds: float
    extra_bytes: int


def open_kitchen(
    env: Environment,
    name: str,
    *,
    settings: Settings,
    source: str = PRODUCTION,
    branch: str = "",
    ttl: str = "7d",
    variables: Mapping[str, str] | None = None,
    code: bool = True,
    synthetic: str = "",
    seed: int = 0,
    fill: Fill | None = None,
) -> Opened:
    """Make a kitchen.

    Args:
        env: Production.
        name: Of the kitchen; a name of its branch and its folder, too.
        settings: Production's.
        source: `production`, or the kitchen that it is forked from.
        branch: Of git; made when it is not there. Default: `kitchen/NAME`.
        ttl: After how long it may be closed by itself, as `12h`, `7d`; `never`.
        variables: Environment variables that hold in the kitchen.
        code: Whether it has a work tree of its own.
        synthetic: Its sources get so many made-up rows of a hundred, as `1%`, and nothing else is copied; empty: all data.
        seed: Of these rows.
        fill: What makes them.

    Raises:
        UsageError: A name that cannot be one or is in use, no such parent, no git, a column that cannot be masked.
        RunError: It could not be made; nothing is left of it.
    """
    started = time.monotonic()
    place.checked(name)
    expires, percent = _expiry(ttl), _percent(synthetic)
    parent = place.find(env.home, source) if source != PRODUCTION else None
    repository, commit = _code(parent.root if parent else env.mesh.root) if code else (None, "")
    branch = (branch or f"kitchen/{name}") if repository else ""
    folder = env.home / FOLDER / name
    if parent and parent.synthetic:
        raise UsageError(
            f"kitchen `{parent.name}` holds synthetic rows: no other is opened from it\n"
            f"    Open one from production: mesh kitchen open {name} --synthetic {parent.synthetic:g}%"
        )
    masked = {} if percent else parent.masked if parent else _to_mask(env.mesh)
    records = Records(env.ledger)
    if (left := records.get(name)) and left.is_abandoned:
        remove(env, records, replace_state(records, left))  # what a kill, or a server that went away, has left of it
    row = Row(
        name=name,
        state="opening",
        folder=str(folder),
        parent=parent.name if parent else "",
        owner=_owner(),
        expires=expires,
        branch=branch,
        made_branch=bool(repository) and not repository.has(branch) if repository else False,
    )
    records.claim(row)
    site = Site(
        name=name,
        folder=folder,
        root=folder / "code" / repository.prefix if repository else (parent.root if parent else env.mesh.root),
        production=env.mesh.root,
        production_home=env.home,
        parent=row.parent,
        commit=commit,
        branch=branch,
        variables={**(parent.variables if parent else {}), **(variables or {})},
        secrets={**(parent.secrets if parent else {}), **env.mesh.secrets},
        masked=masked,
        mask_key=parent.mask_key if parent else secrets.token_hex(16),
        port=_port(records, env.home),
        synthetic=percent,
        seed=seed,
    )
    try:
        _refuse_leftovers(folder)
        _refuse_other_database(env, settings)
        site = _made(env, site, repository, parent, settings, fill)
    except BaseException:
        with suppress(MeshError, OSError):
            remove(env, records, replace_state(records, row))
        raise
    records.update(name, state="open", holder="")
    return Opened(site=site, seconds=round(time.monotonic() - started, 3), extra_bytes=size(site.home))


def close_kitchen(env: Environment, name: str, *, keep_branch: bool = False) -> None:
    """Leave nothing of a kitchen: no branch, no work tree, no folder, no schema, no record.

    Raises:
        UsageError: There is none, or another one was opened from it.
    """
    records = Records(env.ledger)
    row = records.get(place.checked(name))
    if row is None:
        place.find(env.home, name)  # says which there are
        raise UsageError(f"kitchen `{name}` is not on record\n    Delete its folder: {env.home / FOLDER / name}")
    if children := [other.name for other in records.all() if other.parent == name]:
        raise UsageError(f"kitchen `{children[0]}` was opened from `{name}`\n    Close it first.")
    if row.state != "open" and not row.is_abandoned:
        raise UsageError(f"kitchen `{name}` is {row.state} right now, by {row.holder.split('|')[1]}\n    Wait for it.")
    remove(env, records, replace_state(records, row), keep_branch=keep_branch)


def replace_state(records: Records, row: Row) -> Row:
    """It is being closed, whoever had begun that."""
    records.closing(row.name)
    return replace(row, state="closing")


def remove(env: Environment, records: Records, row: Row, *, keep_branch: bool = False) -> None:
    """Take everything away, as far as it was made; may be done again after a kill."""
    folder = Path(row.folder)
    catalog = env.lake.catalog.forked(_lake(folder))
    if isinstance(catalog, PostgresCatalog):
        env.ledger.store.remove_copy(LakeConfig(schema=catalog.schema))
    catalog.remove()
    if row.branch and (repository := git.repository(env.mesh.root)):
        repository.close(folder / "code")
        if row.made_branch and not keep_branch:
            repository.delete(row.branch)
    if folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise RunError(f"{folder} cannot be deleted: {error.strerror}\n    Close it again.") from None
    with suppress(OSError):
        folder.parent.rmdir()  # the last one leaves no folder of kitchens either
    records.forget(row.name)


def refork(
    production: Environment, parent: Environment, site: Site, settings: Settings, fill: Fill | None = None
) -> Site:
    """Begin again from what the parent is now: its data, and its commits merged into the kitchen's branch.

    Raises:
        RunError: Its code conflicts with the kitchen's; nothing was changed.
    """
    mine = git.repository(site.root) if site.has_code else None
    theirs = git.repository(parent.mesh.root) if mine else None
    commit = ""
    if mine and theirs:
        mine.commit(f"Kitchen {site.name}")
        renew(Records(production.ledger), site, mine, theirs)
        commit = theirs.head()
        if why := mine.refuses(commit):
            raise RunError(f"{why}\n    Merge it in {site.root} by hand, then rebase again.")
        mine.merge(commit, f"Kitchen {site.name}: rebased")
    environment(site, settings).lake.close()
    catalog = parent.lake.catalog.forked(_lake(site.folder))
    if isinstance(catalog, PostgresCatalog):
        production.ledger.store.remove_copy(LakeConfig(schema=catalog.schema))
    catalog.remove()
    shutil.rmtree(site.home)
    site.home.mkdir()
    done = _forked(parent, replace(site, commit=commit), settings)
    changes.keep_base(done, parent.mesh)
    done.write()
    if done.synthetic and fill:
        done = fill(parent, done)
    Records(production.ledger).update(site.name, tested={})
    return done


def renew(records: Records, site: Site, mine: git.Repository, theirs: git.Repository) -> None:
    """Where the kitchen's commits were promoted and reverted: commit them anew, for git would not bring the same ones in twice."""
    for promotion in records.promotions(site.name):
        tested = promotion.record["commit"].get("tested")
        if promotion.reverted is not None and promotion.at > site.opened and tested and site.commit:
            if mine.is_ancestor(tested, "HEAD") and theirs.is_ancestor(tested, "HEAD"):
                # With the old one's name: the same words within the same second would be the very same commit again.
                mine.as_one(site.commit, f"Kitchen {site.name}, again after {tested[:12]} was taken back")
            return


def environment(site: Site, settings: Settings) -> Environment:
    """The kitchen as an environment: its mesh, its lake, its ledger."""
    return Environment.open(read_mesh(site.root, tolerant=True), site.settings(settings))


def size(folder: Path) -> int:
    """Bytes of the files of a folder; what is linked from elsewhere counts, too."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _made(
    env: Environment,
    site: Site,
    repository: git.Repository | None,
    parent: Site | None,
    settings: Settings,
    fill: Fill | None,
) -> Site:
    source = environment(parent, settings) if parent else env
    start = repository.start(site.branch) if repository else ""
    if repository and start and not repository.is_ancestor(site.commit, start):
        raise UsageError(
            f"branch `{site.branch}` lacks commits that its parent has\n    Merge them into it first, or rebase it."
        )
    site.home.mkdir(parents=True)
    trouble: list[BaseException] = []
    tree = threading.Thread(target=_work_tree, args=(site, repository, trouble))
    tree.start()  # git and the lake have nothing to do with each other
    try:
        done = _forked(source, site, settings)
    finally:
        tree.join()
    if trouble:
        raise trouble[0]
    # What is not committed in the parent's work tree is not in this one; then its files are no measure.
    differs = repository is not None and bool(repository.changed()) and not start
    changes.keep_base(done, read_mesh(done.root, tolerant=True) if differs else source.mesh)
    done.write()
    return fill(source, done) if site.synthetic and fill else done


def _forked(source: Environment, site: Site, settings: Settings) -> Site:
    """The lake and the ledger, as they are now."""
    # The ledger first: what it does not know yet it finds in the lake's commits; the other way round would be a lie.
    source.sync()
    catalog = source.lake.catalog.forked(_lake(site.folder))
    schema = catalog.schema if isinstance(catalog, PostgresCatalog) else ""
    without = {"leases", *TABLES, *launches.TABLES, *account.TABLES, *outbox.TABLES}
    source.ledger.store.copy(site.home, LakeConfig(schema=schema), without=None if site.synthetic else without)
    fork = source.lake.fork(_lake(site.folder), {} if site.synthetic else None)
    if site.masked:
        _mask(source, site, fork)
    snapshot = fork.head()
    fork.close()
    if isinstance(catalog, PostgresCatalog) and (role := _role(settings)):
        catalog.allow(role)
        source.ledger.store.allow(LakeConfig(schema=schema), role)
    inherit_parsed(source.home, site.home)
    where = f"sqlite:{catalog.path}" if isinstance(catalog, SqliteCatalog) else ""
    return replace(site, snapshot=snapshot, schema=schema, catalog=where, opened=now())


def _to_mask(mesh: Mesh) -> dict[str, list[str]]:
    """Columns that the mesh's policy masks, by table.

    Raises:
        UsageError: One of them is of a type that cannot be masked.
    """
    words = {word.casefold() for word in mesh.mask}
    found: dict[str, list[str]] = {}
    for name, table in mesh.tables.items():
        for column in table.contract.columns if table.contract and words else ():
            if not is_named(column, words):
                continue
            if not can_mask(column.type):
                raise UsageError(
                    f"column `{column.name}` of {spelt(name)} is {column.type}, which cannot be masked\n"
                    "    Take its tag from `kitchen.mask` in mesh.yaml, or give the column another type."
                )
            found.setdefault(name, []).append(column.name)
    return found


def is_named(column: Column, words: Container[str]) -> bool:
    """Whether a policy's words, in small letters, name a column: one of its tags, its classification, or a word of that."""
    own = (*column.tags, column.classification, *labels(column.classification))
    return any(word.casefold() in words for word in own)


def _mask(source: Environment, site: Site, fork: Lake) -> None:
    told = site.home / MASKS
    told.touch(mode=0o600)
    told.write_text(json.dumps({"key": site.mask_key, "columns": dict(site.masked)}), encoding="utf-8")
    if site.parent:
        return  # what it was opened from is masked already
    readable = {fork.head(), *source.ledger.admitted()}
    there = {*fork.tables(), *fork.tables(quarantine=True)}
    for name, columns in sorted(site.masked.items()):
        contract = source.mesh.tables[name].contract if name in source.mesh.tables else None
        for held in (name, quarantine.table_of(name)):
            if contract and held in there:
                types = {column.name: column.type for column in contract.columns if column.name in columns}
                fork.mask(held, types, site.mask_key, readable)


def _work_tree(site: Site, repository: git.Repository | None, trouble: list[BaseException]) -> None:
    try:
        if repository:
            repository.open(site.folder / "code", site.branch, site.commit)
    except BaseException as error:  # noqa: BLE001 - it is raised where the thread is joined
        trouble.append(error)


def _lake(folder: Path) -> Path:
    return folder / "home" / "lake"


def _code(root: Path) -> tuple[git.Repository, str]:
    repository = git.repository(root)
    if repository is None:
        raise UsageError(f"{root} is in no git repository\n    Open the kitchen with --no-code, or `git init` first.")
    return repository, repository.head()


def _refuse_leftovers(folder: Path) -> None:
    if folder.exists():
        raise UsageError(f"{folder} is there already, and is no kitchen on record\n    Move it away, or delete it.")


def _role(settings: Settings) -> str:
    """The role that kitchens connect as; empty: production's."""
    if not settings.kitchen_catalog:
        return ""
    catalog = open_catalog(settings.kitchen_catalog, Path(), "")
    if isinstance(catalog, PostgresCatalog) and catalog.user:
        return catalog.user
    raise UsageError(
        "`MESH_KITCHEN_CATALOG` names no role\n    Write `postgres:host=… dbname=… user=… password=…`, as for the lake."
    )


def _refuse_other_database(env: Environment, settings: Settings) -> None:
    if _role(settings) and isinstance(env.lake.catalog, PostgresCatalog):
        own = open_catalog(settings.kitchen_catalog, Path(), "")
        if isinstance(own, PostgresCatalog) and own.database() != env.lake.catalog.database():
            raise UsageError(
                "`MESH_KITCHEN_CATALOG` is another database than the lake's\n    A kitchen is a schema of the same one."
            )


def _expiry(ttl: str) -> str:
    if ttl == "never":
        return ""
    after = seconds(ttl)
    if after is None:
        raise UsageError(f"`{ttl}` is no time to live\n    Say it as `12h`, `7d`, `2w` or `never`.")
    return (datetime.now(UTC) + timedelta(seconds=after)).isoformat(timespec="seconds")


def seconds(words: str) -> int | None:
    """How many seconds `12h`, `7d` and the like are; None for anything else."""
    found = re.fullmatch(r"(\d{1,4})([mhdw])", words)
    return int(found[1]) * _UNITS[found[2]] if found else None


def _percent(told: str) -> float:
    if not told:
        return 0.0
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?) ?%", told.strip())
    if found and 0 < float(found[1]) <= 100:  # noqa: PLR2004 - per cent
        return float(found[1])
    raise UsageError(f"`{told}` is no share of rows\n    Say it as `1%` or `0.5%`: more than 0 and up to 100.")


def _owner() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user on this machine: a container, for one
        return str(os.getuid())


def _port(records: Records, home: Path) -> int:
    """The first port that no other kitchen's `mesh dev` has."""
    taken = set()
    for row in records.all():
        with suppress(OSError, ValueError, UsageError):
            taken.add(place.find(home, row.name).port)
    return next(port for port in range(FIRST_PORT, FIRST_PORT + 10_000) if port not in taken)
