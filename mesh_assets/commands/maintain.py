"""`mesh maintain` and `mesh revert`: production's old files, and one table back to a version of before."""

from typing import Annotated

import typer

from mesh_assets.commands.common import AsJson, MeshDir, note, print_json, production


def maintain(
    mesh: MeshDir = None,
    *,
    keep: Annotated[str, typer.Option("--keep", metavar="TIME", help="How long versions stay readable.")] = "30d",
    grace: Annotated[
        str, typer.Option("--grace", metavar="TIME", help="How old a file must be that no version names.")
    ] = "2d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget old versions, and delete files that nobody can ask for; what an open kitchen may read stays."""
    from mesh_assets.kitchen import closing
    from mesh_assets.kitchen.maintenance import duration
    from mesh_assets.kitchen.maintenance import maintain as work

    where = production(mesh)
    env = closing.production(where.root, where.settings)
    report = work(env, keep=duration(keep), grace=duration(grace), dry_run=dry_run)
    if as_json:
        print_json(report)
        return
    would = "would be " if dry_run else ""
    typer.echo(f"{report['expired']} versions {would}forgotten, {report['deleted'] + report['orphans']} files deleted")
    if report["kitchens"]:
        note(f"files are kept for open kitchens ({', '.join(report['kitchens'])}), since {report['files_since']}")


def revert(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="As `domain/table`.")],
    mesh: MeshDir = None,
    *,
    to: Annotated[int, typer.Option("--to", metavar="VERSION", help="The version whose content it gets again.")],
    as_json: AsJson = False,
) -> None:
    """Publish a version of before again: the same files, as the newest version. Code is left as it is."""
    from mesh_assets.kitchen.api import revert_table
    from mesh_assets.kitchen.place import around

    where = production(mesh)
    if around(where.root):
        note("this takes back production's table, not the kitchen's")
    report = revert_table(where.root, where.settings, table, to)
    if as_json:
        print_json(report)
    else:
        note(f"{report['table']} is back at the content of version {to}, as version {report['version']}")
        note("If its code would build something else, the next run builds that: change the code, too.")
