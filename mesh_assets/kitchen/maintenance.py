"""Expire, clean up, collect: production's old versions and files, and kitchens whose time has come."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mesh_assets.catalog import Json
from mesh_assets.environment import Environment
from mesh_assets.errors import MeshError, UsageError
from mesh_assets.kitchen import closing, opening, place
from mesh_assets.kitchen.records import Records, Row
from mesh_assets.settings import Settings

KEEP = timedelta(days=30)
GRACE = timedelta(days=2)
"""For files that look like nobody's: candidates of a run that still works look the same."""


def maintain(env: Environment, *, keep: timedelta = KEEP, grace: timedelta = GRACE, dry_run: bool = False) -> Json:
    """Forget old versions, and delete the files that nobody can ask for any more.

    Never touched: the version that readers of a table get, what a reader has admitted last, what an open kitchen was
    forked from, and files that one of them may still name.

    Args:
        env: Production.
        keep: How long a version stays readable after it was made.
        grace: How old a file that no version names must be.
        dry_run: Only say what would be done.
    """
    env.sync()
    records = Records(env.ledger)
    needed = {version.version for version in env.ledger.versions().values()}
    needed |= env.ledger.pinned() | env.ledger.admitted()
    needed |= {each.record["tables"][name]["before"] for each in records.promotions() for name in each.record["tables"]}
    before = datetime.now(UTC) - keep
    old = env.lake.snapshots(before=before, without={version for version in needed if version is not None})
    if not dry_run:
        env.lake.expire(old)
    # Only now: a kitchen that was opened meanwhile is on record before it forks, and what has just been put down for
    # deletion counts as soon as no grace was asked for.
    kitchens = records.all()
    oldest = min((datetime.fromisoformat(row.opened) for row in kitchens), default=None)
    limit = min(filter(None, (oldest, datetime.now(UTC) - grace)))
    if not dry_run:
        deleted = env.lake.clean_up(limit)
        orphans = env.lake.clean(grace) if grace else 0
    else:
        deleted, orphans = 0, 0
    return {
        "schema_version": 1,
        "dry_run": dry_run,
        "expired": len(old),
        "deleted": deleted,
        "orphans": orphans,
        "kitchens": [row.name for row in kitchens],
        "files_since": limit.isoformat(timespec="seconds"),
    }


def duration(words: str) -> timedelta:
    """A length of time, as `12h` or `30d`.

    Raises:
        UsageError: It is none.
    """
    found = opening.seconds(words)
    if found is None:
        raise UsageError(f"`{words}` is no length of time\n    Say it as `12h`, `30d` or `4w`.")
    return timedelta(seconds=found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """What became of kitchens whose time has come, and of what a kill has left half made.

    Attributes:
        kept: With what they hold that was never promoted, or what else keeps them.
        failed: Those that could not be closed, with why.
    """

    closed: tuple[str, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


def close_expired(root: Path, settings: Settings, *, force: bool = False) -> Expired:
    """Close kitchens whose time has come, and what a kill has left half made. One that cannot be closed stops no other.

    Args:
        root: Production's mesh.
        settings: Production's.
        force: Also those that hold what was never promoted.
    """
    env = closing.production(root, settings)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    closed: list[str] = []
    kept, failed = {}, {}
    rows = Records(env.ledger).all()
    for row in reversed(rows):  # a kitchen that was opened from another goes first
        if not row.is_abandoned and not (row.state == "open" and row.expires and row.expires <= now):
            continue
        try:
            if why := _kept(env, settings, row, force=force):
                kept[row.name] = why
                continue
            closing.close(root, settings, row.name, force=True)
            closed.append(row.name)
        except MeshError as error:
            failed[row.name] = str(error)
    return Expired(closed=tuple(closed), kept=kept, failed=failed)


def _kept(env: Environment, settings: Settings, row: Row, *, force: bool) -> str:
    """Why a kitchen whose time has come is not closed; empty when it is."""
    records = Records(env.ledger)
    if children := [other.name for other in records.all() if other.parent == row.name]:
        return f"{children[0]} was opened from it"
    if force or row.is_abandoned:
        return ""
    if row.is_lost:
        return "its folder is gone, and its branch may hold commits"
    site = place.find(env.home, row.name)
    return "; ".join(closing.unpromoted(opening.environment(site, settings), site, records))
