"""Take tables of production back to the versions before: the very same files again, in one commit."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mesh_assets.catalog import spelt
from mesh_assets.environment import Environment
from mesh_assets.errors import UsageError
from mesh_assets.kitchen import git
from mesh_assets.kitchen.records import Promotion, Records, as_promotion, published
from mesh_assets.lake import Features, Publication, quarantine
from mesh_assets.ledger import Version

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverted:
    """What was taken back.

    Attributes:
        tables: To the version whose content they have again; None: the table is gone again.
        version: Of the lake; None when nothing was done.
        commit: Of the code.
        later: Tables that were built on it since, and keep it from being reverted.
    """

    tables: Mapping[str, int | None]
    version: int | None = None
    commit: str = ""
    later: tuple[str, ...] = ()


def revert(
    env: Environment,
    records: Records,
    kitchen: str,
    *,
    downstream: bool = False,
    dry_run: bool = False,
    code: bool = True,
) -> Reverted:
    """Undo a kitchen's last promotion.

    Args:
        env: Production.
        records: Its kitchens.
        kitchen: Its name; it may be closed.
        downstream: Take back what was built on it since, too.
        dry_run: Only say what would be done.
        code: Undo the merge of its branch, in a new commit.

    Raises:
        UsageError: It has promoted nothing that still stands.
        RunError: Files or commits are in the way. Production is as it was.
    """
    promotion = _cut_off(env, records, kitchen)
    promotion = promotion or next((each for each in records.promotions(kitchen) if each.reverted is None), None)
    if promotion is None:
        standing = dict.fromkeys(each.kitchen for each in records.promotions() if each.reverted is None)
        told = f"What these have promoted still stands: {', '.join(standing)}." if standing else "Nor has any other."
        raise UsageError(f"kitchen `{kitchen}` has promoted nothing that still stands\n    {told}")
    env.sync()
    targets = {name: item["before"] for name, item in promotion.record["tables"].items()}
    later = _later(env, targets, promotion.version)
    if later and not downstream:
        return Reverted(tables=targets, later=tuple(later))
    targets |= later
    message = f"Revert kitchen {kitchen}"
    commits = promotion.record["commit"]
    repository = git.repository(env.mesh.root) if code and commits.get("after") else None
    # Made before anything is published, for it may be refused; brought in last.
    undone = ""
    if repository and commits["after"] != commits["before"] and repository.is_ancestor(commits["after"], "HEAD"):
        undone = repository.undone(commits["before"], commits["after"], message)
    if dry_run:
        return Reverted(tables=targets)
    done = _commit_of(env, promotion)  # a kill between the lake's commit and git's left this
    features = {name: Features.read(told) for name, told in promotion.record.get("features", {}).items()}
    version = done or put_back(env, targets, run=f"revert {promotion.run}", message=message, features=features)
    commit = repository.merge(undone, message) if repository and undone else ""
    records.promoted(promotion)  # on record already, unless it was cut off
    records.reverted(promotion.run, version)
    records.update(kitchen, promotion={})
    return Reverted(tables=targets, version=version, commit=commit)


def _cut_off(env: Environment, records: Records, kitchen: str) -> Promotion | None:
    """A promotion of which the lake has the commit, and a kill kept the rest from being done."""
    row = records.get(kitchen)
    commit = published(env.lake, row)
    if row is None or commit is None:
        return None
    tested = row.promotion["commit"]["tested"]
    repository = git.repository(env.mesh.root) if tested else None
    is_merged = repository is not None and repository.is_ancestor(tested, "HEAD")
    return as_promotion(kitchen, row.promotion, commit.version, tested if is_merged else "")


def put_back(
    env: Environment,
    targets: Mapping[str, int | None],
    *,
    run: str = "",
    message: str,
    features: Mapping[str, Features] | None = None,
) -> int:
    """Publish versions of before again, in one commit; None: the table goes. Comments, partitioning and views, too.

    Returns:
        The new version.

    Raises:
        UsageError: A version is not there any more.
    """
    if not targets and not features:
        return env.lake.head()
    run = run or f"revert {uuid.uuid4()}"
    back = {name: version for name, version in targets.items() if version is not None}
    gone = [name for name, version in targets.items() if version is None]
    publications: list[Publication] = []
    with env.ledger.lease(sorted({*targets, *(features or {})}), run, wait=30.0), env.lake.session() as con:
        try:
            head = env.lake.head()
            for name, version in sorted(back.items()):
                staged = env.lake.as_it_was(con, name, version)
                names = [Path(file).name for file in staged.files]
                record = {**recorded(env, name, version).record, "files": names, "reverted_to": version}
                publications.append(Publication(staged=staged, record=record, anew=True))
            beside, emptied = _waiting_then(env, con, targets)
            publications += beside
            version = env.lake.publish(
                con,
                publications,
                run=run,
                pin=head,
                message=message,
                about={"revert": dict(targets)},
                unmoved=dict.fromkeys(targets, head),
                dropped=[*gone, *emptied],
                features={name: each for name, each in (features or {}).items() if name not in gone},
            )
        except BaseException:
            if not any(commit.run == run for commit in env.lake.commits(after=head)):
                for publication in publications:
                    env.lake.discard(publication.staged)
            raise
    env.sync()
    return version


def _waiting_then(
    env: Environment, con: "duckdb.DuckDBPyConnection", targets: Mapping[str, int | None]
) -> tuple[list[Publication], list[str]]:
    """The quarantines of tables as they were at versions of before, and those that were not there then."""
    found, gone = [], []
    for name, version in sorted(targets.items()):
        held = quarantine.table_of(name)
        moved = env.lake.moved(held)
        if moved is None or (version is not None and moved <= version):
            continue
        if version is None or held not in env.lake.tables(version, quarantine=True):
            gone.append(held)
        else:
            found.append(Publication(staged=env.lake.as_it_was(con, held, version), record={}, aside=True))
    return found, gone


def recorded(env: Environment, table: str, version: int) -> Version:
    """What was recorded of a version.

    Raises:
        UsageError: The table has no version of that number.
    """
    found = env.ledger.history(table, limit=1000)
    for each in found:
        if each.version == version:
            return each
    known = ", ".join(str(each.version) for each in found[:5]) or "none"
    raise UsageError(f"{spelt(table)} has no version {version}\n    Its last versions: {known}.")


def _commit_of(env: Environment, promotion: Promotion) -> int:
    run = f"revert {promotion.run}"
    return next((commit.version for commit in env.lake.commits(after=promotion.version) if commit.run == run), 0)


def _later(env: Environment, targets: Mapping[str, int | None], promoted: int) -> dict[str, int | None]:
    """Versions published after the promotion that rest on it, and what their tables were before."""
    newest = env.ledger.versions()
    before = env.ledger.versions(upto=promoted - 1)
    found: dict[str, int | None] = {}
    spread = set(targets)
    for name, table in env.mesh.tables.items():
        version = newest.get(name)
        if version is None or version.version <= promoted or str(version.run).startswith("revert "):
            continue
        read = cast("Mapping[str, Mapping[str, int | None]]", version.record.get("inputs", {}))
        rests = name in targets or any(
            item in spread and (told["version"] or 0) >= promoted for item, told in read.items()
        )
        if rests:
            spread.add(name)
            found[name] = before[name].version if name in before else None
        del table
    return found
