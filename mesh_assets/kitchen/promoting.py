"""Bring what was tested in a kitchen into production: the same files, in one commit of the lake, then the code."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mesh_assets.catalog import Json, spelt
from mesh_assets.environment import Environment
from mesh_assets.errors import RunError, Superseded, UsageError
from mesh_assets.kitchen import changes, git, opening
from mesh_assets.kitchen.place import Site
from mesh_assets.kitchen.records import Records, Row, as_promotion, published
from mesh_assets.lake import Commit, Features, Mode, Publication, quarantine
from mesh_assets.lake.sqltext import in_lake
from mesh_assets.ledger import Attempt, Record, Version
from mesh_assets.settings import variable

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why something is not promoted; `table` is empty where it is about all of it."""

    reason: str
    table: str = ""

    def told(self) -> Json:
        """As JSON."""
        return {"reason": self.reason, "table": spelt(self.table)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a promotion would do.

    Attributes:
        tables: To promote, with the kitchen's versions of them.
        confirmed: Tables that came out unchanged in the kitchen: production need not build them either.
        dropped: Tables that the kitchen's code does not have any more.
        inputs: Everything else that was read: it must not have moved either.
        left: Tables that were made from masked values, or hold synthetic rows: production builds them, by the code that is promoted.
        features: Comments, partitioning and views that the kitchen has made others.
    """

    tables: Mapping[str, Version]
    confirmed: Mapping[str, Attempt]
    dropped: tuple[str, ...]
    inputs: frozenset[str]
    left: tuple[str, ...] = ()
    features: Mapping[str, Features] = field(default_factory=dict)
    refused: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """What became of a promotion.

    Attributes:
        finished: What a kill had left half done was finished.
        already: Nothing was done: all of it was promoted before, and still stands.
        replayed: Names of tables whose comments or partitioning, and of views that, were promoted.
    """

    version: int | None = None
    tables: tuple[Json, ...] = ()
    refused: tuple[Refusal, ...] = ()
    commit: str = ""
    rewritten: int = 0
    left: tuple[str, ...] = ()
    finished: bool = False
    already: bool = False
    replayed: tuple[str, ...] = ()


def plan(env: Environment, kitchen: Environment, site: Site, row: Row, *, waive: str = "", pr: bool = False) -> Plan:
    """What would be promoted, and everything that speaks against it.

    Args:
        env: What is promoted into: production, or the kitchen that this one was opened from.
        kitchen: The kitchen.
        site: Where it is.
        row: What is on record of it.
        waive: Why failed tests do not count, in words that are kept.
        pr: The branch is merged by somebody else.
    """
    env.sync()
    kitchen.sync()
    mine = changes.rebuilt(kitchen, site)
    newest = kitchen.ledger.versions()
    masked = changes.left_to_production(kitchen.mesh, site)
    left = tuple(name for name in kitchen.mesh.tables if name in mine and name in masked)
    tables = {name: newest[name] for name in kitchen.mesh.tables if name in mine and name not in masked}
    found = changes.against_base(site, kitchen.mesh)
    base = env.ledger.versions(upto=site.snapshot)
    dropped = () if site.synthetic else tuple(name for name in found.removed if name in base)
    confirmed = {name: attempt for name, attempt in _confirmed(kitchen, site, tables).items() if name not in masked}
    read = {name for version in (*tables.values(), *confirmed.values()) for name in version.record.get("inputs", {})}
    inputs = frozenset(read - tables.keys() - set(dropped))
    there = {*tables, *env.lake.tables()} - set(left) - set(dropped)
    features = {
        name: each
        for name, each in changes.features(kitchen, site).items()
        if name in there or name not in kitchen.mesh.tables
    }
    refused = [
        *_not_tested(kitchen, site, row, waive, [*tables, *left, *features], found),
        *_moved(env, site, {*tables, *confirmed, *inputs, *dropped}, base),
        *_moved_beside(env, site, features),
        *_otherwise_set(site, found, tables),
        *_not_in_git(kitchen, site, tables),
        *([] if pr else _code(env, site)),
    ]
    return Plan(
        tables=tables,
        confirmed=confirmed,
        dropped=dropped,
        inputs=inputs,
        left=left,
        features=features,
        refused=tuple(refused),
    )


def promote(
    env: Environment,
    kitchen: Environment,
    site: Site,
    records: Records,
    *,
    waive: str = "",
    pr: bool = False,
) -> Promoted:
    """Publish the tested files in production, all of them in one commit; then merge the code.

    What a kill has left half done is finished by the next call.

    Raises:
        RunError: The lake, git or the ledger cannot be used. Production is as it was, or a second call finishes it.
    """
    row = records.get(site.name)
    if row is None:
        raise UsageError(f"kitchen `{site.name}` is not on record\n    Open it again.")
    if commit := published(env.lake, row):
        return _finish(env, site, records, row.promotion, commit, finished=True)
    if done := standing(kitchen, site, records):
        return done
    planned = plan(env, kitchen, site, row, waive=waive, pr=pr)
    if planned.refused:
        return Promoted(refused=planned.refused)
    repository = None if pr or not site.has_code else git.repository(site.root)
    target = git.repository(env.mesh.root) if repository else None
    commit = repository.commit(f"Kitchen {site.name}") if repository else ""
    if repository and target:
        opening.renew(records, site, repository, target)
        commit = repository.head()
        if why := target.refuses(commit):
            return Promoted(refused=(Refusal(reason=why),))
    promotion: dict[str, Any] = {
        "run": f"kitchen {site.name} {uuid.uuid4()}",
        "commit": {"before": target.head() if target else "", "tested": commit, "after": ""},
        "waived": waive,
        "state": changes.state(kitchen, site),
        "left": list(planned.left),
        "tables": _before(env, [*planned.tables, *planned.dropped]),
        "confirmed": {name: dict(attempt.record) for name, attempt in planned.confirmed.items()},
        "features": _features_before(env, planned),
        "replayed": sorted(planned.features),
    }
    records.update(site.name, promotion=promotion)
    try:
        done = _publish(env, kitchen, site, row, planned, promotion)
    except Superseded as error:
        records.update(site.name, promotion={})
        return Promoted(refused=(Refusal(reason=_first_line(error)),))
    if done is None and not planned.confirmed and not commit:
        records.update(site.name, promotion={})
        return Promoted()
    return _finish(env, site, records, promotion, done)


def standing(kitchen: Environment, site: Site, records: Records) -> Promoted | None:
    """The kitchen's last promotion, when it stands and nothing has changed in the kitchen since."""
    last = next(iter(records.promotions(site.name)), None)
    if last is None or last.reverted is not None or last.at < site.opened:
        return None
    if last.record.get("state") != changes.state(kitchen, site):
        return None
    return Promoted(version=last.version, commit=last.record["commit"]["after"], already=True)


def foreseen(planned: Plan) -> tuple[Json, ...]:
    """What a dry run says of each table."""
    return tuple(
        {
            "table": spelt(name),
            "version": None,
            "files": [],
            "rows": version.record.get("rows") or 0,
            "hash_equal": None,
        }
        for name, version in planned.tables.items()
    )


# -- what speaks against it ------------------------------------------------------------------------------------------------


def _not_tested(
    kitchen: Environment, site: Site, row: Row, waive: str, tables: Sequence[str], found: changes.Changes
) -> list[Refusal]:
    if not tables and not found:
        return []
    command = f"mesh kitchen test {site.name}"
    if not row.tested:
        return [Refusal(reason=f"the kitchen was never tested: {command}")]
    refused = []
    if row.tested.get("state") != changes.state(kitchen, site):
        refused.append(Refusal(reason=f"something has changed since the last test: {command}"))
    if row.tested.get("downstream") != "all":
        refused.append(Refusal(reason=f"the tests of domains downstream were left out: {command}"))
    if not row.tested.get("ok") and not waive:
        bad = [domain["domain"] for domain in row.tested.get("domains", ()) if domain["verdict"] == "fail"]
        refused.append(Refusal(reason=f"tests failed in {', '.join(bad)}: mend them, or give a reason with --waive"))
    return refused


def _moved(env: Environment, site: Site, tables: set[str], base: Mapping[str, Version]) -> list[Refusal]:
    mend = f"mesh kitchen rebase {site.name}"
    refused = []
    for name in sorted(tables):
        moved = env.lake.moved(name)
        if moved is None and name in base:
            refused.append(
                Refusal(reason=f"it was dropped in production since the kitchen was opened: {mend}", table=name)
            )
        elif moved is not None and moved > site.snapshot:
            what = f"production published version {moved} after the kitchen's base {site.snapshot}: {mend}"
            refused.append(Refusal(reason=what, table=name))
    return refused


def _otherwise_set(site: Site, found: changes.Changes, tables: Mapping[str, Version]) -> list[Refusal]:
    """Tables that production would make otherwise with its next run, for its variables are others."""
    return [
        Refusal(
            reason=f"the kitchen sets {name}, which its code names, and production does not set it so: set it there, and where "
            "you promote",
            table=table,
        )
        for name, names in found.variables.items()
        if changes.parent_of(site) is not None or variable(name) != site.variables[name]
        for table in names
        if table in tables
    ]


def _moved_beside(env: Environment, site: Site, features: Mapping[str, Features]) -> list[Refusal]:
    before, now = env.lake.features(site.snapshot), env.lake.features()
    buckets = "DuckLake 1.5.5 does not find the rows of a table that was divided into buckets later: take another partitioning"
    return [
        *(
            Refusal(reason=buckets, table=name)
            for name, each in sorted(features.items())
            if each.is_hashed and each.partitions != now.get(name, Features()).partitions
        ),
    ] + [
        Refusal(
            reason=f"{' and '.join(now.get(name, Features()).unlike(before.get(name, Features())))} changed in production "
            f"since the kitchen was opened: mesh kitchen rebase {site.name}",
            table=name,
        )
        for name in sorted(features)
        if now.get(name, Features()) != before.get(name, Features())
    ]


def _not_in_git(kitchen: Environment, site: Site, tables: Mapping[str, Version]) -> list[Refusal]:
    """Raw files that production would not get, so that its next run would undo the promotion."""
    files = {name: told for name, told in changes.sources(kitchen.mesh, site).items() if name in tables}
    repository = git.repository(site.root) if files else None
    ignored = repository.ignored(f"{repository.prefix}domains") if repository else frozenset()
    return [
        Refusal(
            reason=f"its raw file {file} is ignored by git, so production would not have it: add it with -f", table=name
        )
        for name, told in sorted(files.items())
        for file in sorted(ignored & {*told})[:1]
    ]


def _code(env: Environment, site: Site) -> list[Refusal]:
    """What keeps the kitchen's code from being merged; asked before anything is published."""
    mine, theirs = git.repository(site.root), git.repository(env.mesh.root)
    if not site.has_code or mine is None or theirs is None:
        return []
    if why := theirs.refuses(mine.head()):
        return [Refusal(reason=why)]
    if mine.changed():
        if not theirs.branch():
            return [
                Refusal(reason="production's work tree is on no branch (a detached head): check one out, or use --pr")
            ]
        touched = set(mine.changed()) & set(theirs.changed())
        if touched:
            return [Refusal(reason=f"production's work tree has changes of its own: {', '.join(sorted(touched)[:5])}")]
    if not theirs.is_ancestor(site.commit, "HEAD"):
        return [Refusal(reason="production's branch does not contain the commit that the kitchen began with")]
    meanwhile = [file for file in theirs.between(site.commit, "HEAD") if _matters(file, theirs.prefix)]
    is_merged = mine.head() != site.commit and theirs.is_ancestor(mine.head(), "HEAD")
    if meanwhile and not is_merged:
        files = ", ".join(meanwhile[:3])
        return [Refusal(reason=f"production's code has changed since: {files}: mesh kitchen rebase {site.name}")]
    return []


def _matters(file: str, prefix: str) -> bool:
    return file.startswith((f"{prefix}domains/", f"{prefix}dbt_projects/", f"{prefix}mesh.yaml"))


# -- the one commit --------------------------------------------------------------------------------------------------------


def _publish(
    env: Environment, kitchen: Environment, site: Site, row: Row, planned: Plan, promotion: Mapping[str, Any]
) -> Commit | None:
    if not planned.tables and not planned.dropped and not planned.features:
        return None
    run = str(promotion["run"])
    publications: list[Publication] = []
    lease = env.ledger.lease(sorted({*planned.tables, *planned.dropped, *planned.features}), run, wait=30.0)
    try:
        with lease, env.lake.session() as con, kitchen.lake.session() as theirs:
            publications += _publications(env, kitchen, site, planned, theirs)
            touched = {*planned.tables, *planned.confirmed, *planned.dropped, *planned.inputs}
            touched |= {publication.staged.table for publication in publications if publication.aside}
            there = {*env.lake.tables(), *env.lake.tables(quarantine=True)}
            env.lake.publish(
                con,
                publications,
                run=run,
                pin=env.lake.head(),
                message=f"Kitchen {site.name}: {', '.join(map(spelt, sorted({*planned.tables, *planned.features})))}"[
                    :500
                ],
                about={
                    "kitchen": {
                        "name": site.name,
                        "base": site.snapshot,
                        "commit": promotion["commit"]["tested"],
                        "tests": row.tested.get("domains", []),
                        "waived": promotion["waived"],
                    }
                },
                unmoved={name: site.snapshot if name in there else None for name in sorted(touched)},
                dropped=planned.dropped,
                features=planned.features,
                audit=lambda inside: _audit(inside, publications),
            )
    except BaseException:
        # After a commit that was cut off the files may be published: then they are named, and stay.
        if _commit_of(env, site, run) is None:
            for publication in publications:
                env.lake.discard(publication.staged)
        raise
    return _commit_of(env, site, run)


def _publications(
    env: Environment, kitchen: Environment, site: Site, planned: Plan, con: "duckdb.DuckDBPyConnection"
) -> list[Publication]:
    found = []
    texts = kitchen.ledger.terms({version.record.get("terms") or "" for version in planned.tables.values()})
    env.ledger.keep_terms(texts.values())
    for name, version in planned.tables.items():
        found += _beside(env, kitchen, site, con, name)
        made = kitchen.lake.harvest(con, name, into=env.lake, base=site.snapshot)
        if made is None:
            continue
        staged, mode = made
        base = site.snapshot if mode is not Mode.REPLACE else None
        record = _in_production(version.record, site, planned.tables, staged.files)
        told = cast("Mapping[str, object]", record)
        found.append(Publication(staged=staged, record=told, mode=mode, base=base, anew=True))
    return found


def _beside(
    env: Environment, kitchen: Environment, site: Site, con: "duckdb.DuckDBPyConnection", name: str
) -> list[Publication]:
    """The rows that the kitchen has put into quarantine, or taken out of it, where it has changed any."""
    held = quarantine.table_of(name)
    if held not in kitchen.lake.tables(quarantine=True):
        return []
    made = kitchen.lake.harvest(con, held, into=env.lake, base=site.snapshot)
    if made is None:
        return []
    staged, mode = made
    there = kitchen.lake.relation(held, kitchen.lake.head())
    ((waiting,),) = con.execute(f"SELECT count(*) FROM {there}").fetchall()
    base = site.snapshot if mode is not Mode.REPLACE else None
    return [Publication(staged=staged, record={"rows": waiting}, mode=mode, base=base, aside=True)]


def _in_production(record: Record, site: Site, together: Mapping[str, Version], files: Sequence[str]) -> Record:
    """The kitchen's record of a version; inputs that are promoted in the same commit get their number from it."""
    inputs = {
        name: {
            **item,
            "version": None if name in together and (item["version"] or 0) > site.snapshot else item["version"],
        }
        for name, item in record["inputs"].items()
    }
    told = {**record, "inputs": inputs, "files": [Path(file).name for file in files] if record["rows"] else []}
    return cast("Record", told)


def _audit(con: "duckdb.DuckDBPyConnection", publications: Sequence[Publication]) -> None:
    """Asked inside the transaction: is what readers would get what was tested?"""
    for publication in publications:
        table = publication.staged.table
        (rows,) = con.execute(f"SELECT count(*) FROM {in_lake(table)}").fetchone() or (None,)
        if rows != publication.record["rows"]:
            raise RunError(
                f"{table} would have {rows} rows, {publication.record['rows']} were tested\n    Nothing was published."
            )


# -- what comes after ------------------------------------------------------------------------------------------------------


def _finish(
    env: Environment,
    site: Site,
    records: Records,
    promotion: Mapping[str, Any],
    done: Commit | None,
    *,
    finished: bool = False,
) -> Promoted:
    """Merge the code, keep what was promoted. Everything here may be done twice."""
    env.sync()
    version = done.version if done else env.lake.head()
    tested = promotion["commit"]["tested"]
    target = git.repository(env.mesh.root) if tested else None
    commit = _merged(target, tested, site, version) if target else ""
    for name, record in promotion["confirmed"].items():
        env.ledger.attempted(
            Attempt(
                table=name,
                run=str(promotion["run"]),
                outcome="unchanged",
                head=env.lake.head(),
                record=cast("Record", _renumbered(env, record, version)),
            )
        )
    records.promoted(as_promotion(site.name, promotion, version, commit))
    records.update(site.name, promotion={})
    told = [_told(env, site, name, version) for name in sorted(done.tables)] if done else []
    return Promoted(
        version=version,
        tables=tuple(told),
        commit=commit,
        rewritten=sum(row["rows"] for row in told if not row["hash_equal"]),
        left=tuple(promotion.get("left", ())),
        finished=finished,
        replayed=tuple(promotion.get("replayed", ())),
    )


def _merged(target: git.Repository, tested: str, site: Site, version: int) -> str:
    """The tested commit in production's branch. It could be merged before anything was published; somebody may have been quick."""
    try:
        return target.merge(tested, f"Kitchen {site.name}")
    except RunError as error:
        raise RunError(
            f"the tables are published as version {version}, and branch {site.branch} cannot be merged: {_first_line(error)}\n"
            f"    Merge it by hand, then `mesh kitchen promote {site.name}` again; or take the tables back: "
            f"mesh kitchen revert {site.name}"
        ) from None


def _renumbered(env: Environment, record: Mapping[str, Any], pin: int) -> dict[str, Any]:
    """A confirmation, with production's numbers of what it read: what the promotion has published, and what had not moved by then."""
    versions = env.ledger.versions()
    inputs = {
        name: {**item, "version": versions[name].version if name in versions else item["version"]}
        for name, item in record.get("inputs", {}).items()
    }
    return {**record, "inputs": inputs, "pin": pin}


def _told(env: Environment, site: Site, table: str, version: int) -> Json:
    record = next(item for item in env.ledger.history(table) if item.version == version).record
    kitchens = {_file(path): path for path in (site.home / "lake" / "data").rglob("*.parquet")}
    by_hash: set[str] = set()
    files = []
    for name in cast("dict[str, Any]", record).get("files", ()):
        path = env.lake.folder(table) / name
        if not path.is_file():  # DuckLake has written its rows into the table's partitions
            files.append({"file": name, "sha256": "", "tested": False})
            continue
        hash_ = sha256(path)
        if _file(path) not in kitchens and not by_hash:
            by_hash |= {sha256(file) for file in kitchens.values()}
        same = _file(path) in kitchens or hash_ in by_hash
        files.append({"file": name, "sha256": hash_, "tested": same})
    return {
        "table": spelt(table),
        "version": version,
        "files": files,
        "rows": record.get("rows") or 0,
        "hash_equal": all(file["tested"] for file in files),
    }


def _file(path: Path) -> tuple[int, int]:
    """Tells a file from every other; on another disk there is one of the same number."""
    found = path.stat()
    return found.st_dev, found.st_ino


def sha256(path: Path) -> str:
    """Of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _confirmed(kitchen: Environment, site: Site, tables: Mapping[str, Version]) -> dict[str, Attempt]:
    """What was built in the kitchen and came out as it was."""
    versions = kitchen.ledger.versions()
    return {
        name: attempt
        for name, attempt in kitchen.ledger.attempts(outcomes=("unchanged", "held", "failed")).items()
        if attempt.outcome == "unchanged"
        and name in kitchen.mesh.tables
        and name not in tables
        and name in versions
        and attempt.at > site.opened
    }


def _before(env: Environment, tables: Sequence[str]) -> dict[str, int | None]:
    versions = env.ledger.versions()
    there = set(env.lake.tables())
    return {name: versions[name].version if name in versions and name in there else None for name in sorted(tables)}


def _features_before(env: Environment, planned: Plan) -> dict[str, Json]:
    """What a revert puts back: a table that was not there goes with all that it has."""
    there, now = env.lake.tables(), env.lake.features()
    return {
        name: now.get(name, Features()).told()
        for name, each in planned.features.items()
        if name in there or each.view or name in now
    }


def _commit_of(env: Environment, site: Site, run: str) -> Commit | None:
    return next((commit for commit in env.lake.commits(after=site.snapshot) if commit.run == run), None)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
