"""End a kitchen: what would be lost by it, and then nothing of it is left. Knows no Dagster."""

from pathlib import Path

from mesh_assets.catalog import spelt
from mesh_assets.environment import Environment
from mesh_assets.errors import UsageError
from mesh_assets.kitchen import changes, git, opening, place
from mesh_assets.kitchen.place import Site
from mesh_assets.kitchen.records import Records, Row, published
from mesh_assets.mesh import find_mesh, read_mesh
from mesh_assets.numerals import many
from mesh_assets.settings import Settings


def close(root: Path, settings: Settings, name: str, *, force: bool = False, keep_branch: bool = False) -> None:
    """Close a kitchen, also one that a kill has left half made."""
    env = production(root, settings)
    row = Records(env.ledger).get(place.checked(name))
    if row is not None and row.state == "open" and (Path(row.folder) / place.FILE).is_file():
        close_site(env, place.find(env.home, name), settings, force=force, keep_branch=keep_branch)
        return
    if row is not None and row.is_lost and not (force or keep_branch):
        _refuse_lost_commits(env, row)
    opening.close_kitchen(env, name, keep_branch=keep_branch)


def _refuse_lost_commits(env: Environment, row: Row) -> None:
    repository = git.repository(env.mesh.root) if row.made_branch else None
    if repository and repository.has(row.branch) and not repository.holds(f"refs/heads/{row.branch}"):
        raise UsageError(
            f"the folder of kitchen `{row.name}` is gone; its branch {row.branch} holds commits that were never promoted\n"
            f"    Keep the branch (mesh kitchen close {row.name} --keep-branch), or lose them, too, with --force."
        )


def close_site(
    env: Environment, site: Site, settings: Settings, *, force: bool = False, keep_branch: bool = False
) -> None:
    """Leave nothing of a kitchen that is whole.

    Args:
        env: Production.
        site: The kitchen.
        settings: Production's.
        force: Although it holds what was never promoted.
        keep_branch: Keep its git branch.

    Raises:
        UsageError: It holds what was never promoted, and `force` was not said.
    """
    kitchen = opening.environment(site, settings)
    if not force:
        parent = place.find(env.home, site.parent) if site.parent else None
        refuse_half(opening.environment(parent, settings) if parent else env, site, Records(env.ledger))
    if not force and (lost := unpromoted(kitchen, site, Records(env.ledger))):
        raise UsageError(
            f"kitchen `{site.name}` holds what was never promoted: {'; '.join(lost)}\n"
            f"    Promote it (mesh kitchen promote {site.name}), or close it with --force."
        )
    kitchen.lake.close()
    opening.close_kitchen(env, site.name, keep_branch=keep_branch)


def refuse_half(target: Environment, site: Site, records: Records) -> None:
    """Raise when a kill has left a promotion half done.

    Args:
        target: What the kitchen is promoted into.
        site: The kitchen.
        records: Of all kitchens.

    Raises:
        UsageError: It is.
    """
    if done := published(target.lake, records.get(site.name)):
        raise UsageError(
            f"the promotion of kitchen `{site.name}` was cut off: its tables are published as version {done.version}, the rest is "
            f"not done\n    Finish it (mesh kitchen promote {site.name}), or take it back (mesh kitchen revert {site.name})."
        )


def unpromoted(env: Environment, site: Site, records: Records) -> list[str]:
    """What would be lost by closing a kitchen, in words: files, commits, tables."""
    found = []
    standing = records.promotions(site.name)
    repository = git.repository(site.root) if site.has_code else None
    if repository:
        if files := repository.changed():
            found.append(f"{many(len(files), 'changed file')} ({', '.join(files[:3])})")
        theirs = git.repository(place.find(site.production_home, site.parent).root if site.parent else site.production)
        if theirs and not theirs.holds(repository.head()):
            found.append(f"commits of branch {site.branch}")
    promoted = {name for each in standing for name in each.record["tables"] if each.at > site.opened}
    changed = changes.against_base(site, env.mesh)
    masked = changes.left_to_production(env.mesh, site)
    lost = sorted(set(changes.rebuilt(env, site)) - promoted - masked)
    if lost and (changed or not site.has_code):
        found.append(f"{many(len(lost), 'built table')} ({', '.join(map(spelt, lost[:3]))})")
    replayed = {name for each in standing for name in each.record.get("replayed", ()) if each.at > site.opened}
    if beside := sorted(changes.features(env, site).keys() - replayed - masked):
        found.append(f"comments, partitioning or views ({', '.join(map(spelt, beside[:3]))})")
    return found


def production(root: Path | None, settings: Settings) -> Environment:
    """Production as an environment, also when asked in a kitchen's work tree."""
    folder = root or find_mesh(settings.dir or Path.cwd())
    if within := place.around(folder.resolve()):
        folder = within.production
        settings = settings.model_copy(update={"home": within.production_home})
    return Environment.open(read_mesh(folder, tolerant=True), settings)
