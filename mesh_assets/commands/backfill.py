"""`mesh backfill`: some partitions of a table again, and everything downstream that is made from them."""

from typing import Annotated

import typer

from mesh_assets.commands.common import AsJson, Commands, MeshDir, ended_runs, environment, exit_code, note, print_json

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Partitions of a table again, and what is made from them in every domain: see the plan, run it, follow it.",
)
Table = Annotated[str, typer.Argument(metavar="TABLE", help="A table with partitions, as `domain/table`.")]
First = Annotated[str, typer.Option("--from", metavar="DAY", help="A day of the first partition: `2026-01-31`.")]
Last = Annotated[str, typer.Option("--to", metavar="DAY", help="A day of the last one. Default: that of `--from`.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The beginning of its id. Default: the last one.")]


@app.command(epilog="Example: `mesh backfill plan claims/by_day --from 2026-01-05 --to 2026-01-11`")
def plan(table: Table, first: First, last: Last = "", mesh: MeshDir = None, *, as_json: AsJson = False) -> None:
    """What it would build: which partitions of which tables. Nothing is built."""
    from mesh_assets import catalog, console

    env, _ = environment(mesh)
    report = catalog.plan_json(env, catalog.plan_named(env, table, first, last))
    if as_json:
        print_json(report)
    else:
        console.backfill_table(report)


@app.command(epilog="Example: `mesh backfill run claims/by_day --from 2026-01-05 --to 2026-01-11`")
def run(table: Table, first: First, last: Last = "", mesh: MeshDir = None, *, as_json: AsJson = False) -> None:
    """Build them here and now. One that was broken off goes on. Exit codes as of `mesh run`."""
    from mesh_assets import catalog, console, running

    env, settings = environment(mesh)
    made = catalog.plan_named(env, table, first, last)
    report = running.run_backfill(env, made, settings=settings, progress=console.Progress(quiet=as_json))
    if as_json:
        print_json(report)
    else:
        console.run_table(report)
        console.backfill_table(report["backfill"])
    raise typer.Exit(exit_code(report, env))


@app.command(epilog="Example: `mesh backfill launch claims/by_day --from 2026-01-05`")
def launch(table: Table, first: First, last: Last = "", mesh: MeshDir = None, *, as_json: AsJson = False) -> None:
    """Ask for it; Dagster's daemon builds it, in whatever code locations that is."""
    from mesh_assets import catalog
    from mesh_assets.launches import Backfills

    env, _ = environment(mesh)
    wanted = catalog.plan_named(env, table, first, last)
    made = Backfills(env.ledger.store).start(wanted.table, wanted.days, env.lake.author)
    report = catalog.backfill_report(env, made)
    if as_json:
        print_json(report)
    else:
        note(f"backfill {made.id[:8]} of {report['table']}: {report['state']}; mesh backfill show {made.id[:8]}")


@app.command("list", epilog="Example: `mesh backfill list --json`")
def list_(mesh: MeshDir = None, *, as_json: AsJson = False) -> None:
    """The last twenty, newest first."""
    from mesh_assets import catalog, console

    env, _ = environment(mesh)
    catalog.settle_backfills(env)
    reports = catalog.backfills_report(env)
    if as_json:
        print_json({"schema_version": catalog.SCHEMA_VERSION, "backfills": reports})
    else:
        console.backfills_table(reports)


@app.command(epilog="Examples: `mesh backfill show`, `mesh backfill show 3f2a`")
def show(id_: Id = "", mesh: MeshDir = None, *, as_json: AsJson = False) -> None:
    """How one stands: one status over all domains, and a line per table."""
    from mesh_assets import catalog, console

    env, _ = environment(mesh)
    catalog.settle_backfills(env)
    report = catalog.backfill_report(env, catalog.backfill_named(env, id_))
    if as_json:
        print_json(report)
    else:
        console.backfill_table(report)


@app.command(epilog="Example: `mesh backfill cancel 3f2a`")
def cancel(id_: Id = "", mesh: MeshDir = None, *, as_json: AsJson = False) -> None:
    """Ask no longer for it, and end the runs that are at work for it. What was published stays, and its readers follow."""
    from mesh_assets import cancelling, catalog

    env, _ = environment(mesh)
    report = cancelling.cancel_backfill(env, catalog.backfill_named(env, id_))
    if as_json:
        print_json(report)
    else:
        note(f"backfill {report['id'][:8]} of {report['table']} is cancelled; what was published stays")
        ended_runs(report)
