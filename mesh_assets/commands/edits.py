"""`mesh test log`, `undo`, `disable` and `enable`: what was changed of a contract without code, and the way back."""

from typing import TYPE_CHECKING, Annotated

import typer

from mesh_assets.commands.common import AsJson, MeshDir, environment, me, note, print_json
from mesh_assets.commands.tests import OnBranch, Table, ToCommit, Write, committed, finish, one_table, wanted

if TYPE_CHECKING:
    from pathlib import Path

    from mesh_assets.edits import Kept


def log(table: Table, mesh: MeshDir = None, *, as_json: AsJson = False) -> None:
    """List what was changed of a table's contract by the portal and by `mesh test`, the newest first."""
    from mesh_assets import console, edits

    env, _ = environment(mesh)
    found = edits.recent(env, one_table(env, table))
    if as_json:
        print_json({"schema_version": 1, "changes": [one.as_json() for one in found]})
        return
    rows = [(one.id, one.at[:16].replace("T", " "), one.by, one.what, _stands(one)) for one in found]
    console.rows_table(("change", "when (UTC)", "who", "what", "taken back?"), rows)


def undo(
    table: Table,
    change: Annotated[
        str, typer.Argument(metavar="CHANGE", help="As in `mesh test log`; default: the newest that stands.")
    ] = "",
    mesh: MeshDir = None,
    *,
    dry_run: Write = False,
    commit: ToCommit = False,
    branch: OnBranch = "",
    as_json: AsJson = False,
) -> None:
    """Take a change of a contract back, and those that are newer. Exit 2 when the file was changed by hand since."""
    from mesh_assets import edits

    env, _ = environment(mesh)
    edit, kept = edits.undo(
        env, one_table(env, table), change, by=me(), wanted=wanted(commit=commit, branch=branch), dry=dry_run
    )
    if as_json:
        print_json({"schema_version": 1, "file": edit.shown, "diff": edit.diff, "written": not dry_run})
    else:
        typer.echo(edit.diff, nl=False)
    if kept is not None:
        note(f"{kept.what}; {edit.shown} is written{committed(kept)}")


Rule = Annotated[str, typer.Argument(metavar="NAME", help="The rule's name.")]


def disable(
    table: Table,
    name: Rule,
    mesh: MeshDir = None,
    *,
    dry_run: Write = False,
    commit: ToCommit = False,
    branch: OnBranch = "",
    as_json: AsJson = False,
) -> None:
    """Keep a rule in a table's contract without executing it."""
    _switch(table, name, mesh, on=False, dry_run=dry_run, commit=commit, branch=branch, as_json=as_json)


def enable(
    table: Table,
    name: Rule,
    mesh: MeshDir = None,
    *,
    dry_run: Write = False,
    commit: ToCommit = False,
    branch: OnBranch = "",
    as_json: AsJson = False,
) -> None:
    """Execute a rule again that was kept without being executed."""
    _switch(table, name, mesh, on=True, dry_run=dry_run, commit=commit, branch=branch, as_json=as_json)


def _switch(
    table: str, name: str, mesh: "Path | None", *, on: bool, dry_run: bool, commit: bool, branch: str, as_json: bool
) -> None:
    from mesh_assets import authoring

    env, _ = environment(mesh)
    chosen = one_table(env, table)
    edit = authoring.switch(env.mesh, chosen, name, on=on)
    what = f"switched {name} {'on' if on else 'off'}"
    finish(env, chosen, edit, what, dry_run=dry_run, commit=commit, branch=branch, as_json=as_json)


def register(group: typer.Typer) -> None:
    """Put the commands into `mesh test`."""
    group.command("log", epilog="Examples: `mesh test log sales/reps`, `mesh test log sales/reps --json`")(log)
    group.command(
        "undo",
        epilog="Examples: `mesh test undo sales/reps`, `mesh test undo sales/reps 3f2a9c81d0b4 --dry-run`, "
        "`mesh test undo sales/reps --commit`",
    )(undo)
    group.command("disable", epilog="Example: `mesh test disable sales/reps state__us_state`")(disable)
    group.command("enable", epilog="Example: `mesh test enable sales/reps state__us_state`")(enable)


def _stands(one: "Kept") -> str:
    if one.undone:
        return f"taken back {one.undone[:16].replace('T', ' ')}"
    return one.refused or ("can be, with the newer ones" if one.newer else "can be")
