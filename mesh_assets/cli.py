"""The `mesh` command: parse, call one function, print. Data goes to stdout, notes to stderr."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from mesh_assets.__main__ import INTERRUPTED
from mesh_assets.commands import (
    access,
    account,
    agent,
    backfill,
    edits,
    kitchen,
    maintain,
    odps,
    pipeline,
    portal,
    wrong,
)
from mesh_assets.commands.change import app as change
from mesh_assets.commands.common import (
    AsJson,
    Commands,
    MeshDir,
    Names,
    environment,
    exit_code,
    note,
    place,
    print_json,
    stand_in,
)
from mesh_assets.commands.impact import impact
from mesh_assets.commands.lineage import app as lineage
from mesh_assets.commands.quarantine import app as quarantine
from mesh_assets.commands.tests import tests
from mesh_assets.errors import MeshError, UsageError
from mesh_assets.numerals import many

WrongWords = cast("type[Exception]", typer.BadParameter.__mro__[1])  # Typer exports one kind of them only
"""What Typer raises for an option or a command that does not exist, and for a value that is none."""

STOPPED = "stopped; what was published stays"
PANELS = {
    "Every day": ("init", "check", "run", "test", "status", "why", "sql", "history", "dev"),
    "Before others are hit": ("impact", "change", "kitchen"),
    "Order": ("pipeline", "backfill", "pause", "resume"),
    "When something went wrong": ("quarantine", "revert", "rebuild", "maintain"),
    "For readers and other programs": ("portal", "url", "access", "odps", "export-site", "lineage", "mcp"),
}
"""The commands in the order in which a newcomer meets them."""


class Panels(Commands):
    """The commands by what they are for."""

    def __init__(self, **words: Any) -> None:  # noqa: ANN401 - Typer's own
        super().__init__(**words)
        panels = {name: panel for panel, names in PANELS.items() for name in names}
        for name, panel in panels.items():
            vars(self.commands[name])["rich_help_panel"] = panel
        self.commands = {name: self.commands[name] for name in [*panels, *(self.commands.keys() - panels)]}


app = typer.Typer(
    name="mesh",
    cls=Panels,
    help="A data mesh with DataOps, on Dagster: run it, test it, read it.",
    epilog="Begin with `mesh init shop`, then `cd shop` and `mesh run`; `mesh dev` shows it in Dagster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(kitchen.app, name="kitchen")
app.command(epilog="Examples: `mesh maintain --dry-run`, `mesh maintain --keep 90d`")(maintain.maintain)
app.command(epilog="Example: `mesh revert customers/physicians --to 12`")(maintain.revert)


edits.register(tests)
app.add_typer(tests, name="test")
app.add_typer(pipeline.app, name="pipeline")
app.add_typer(backfill.app, name="backfill")
app.add_typer(lineage, name="lineage")
app.add_typer(access.app, name="access")
app.add_typer(odps.app, name="odps")
app.add_typer(quarantine, name="quarantine")
app.command(epilog='Example: `mesh pause sales --why "the CRM is being moved"`')(pipeline.pause)
app.command(epilog="Example: `mesh resume sales`")(pipeline.resume)


def _version(*, value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"mesh_assets {version('mesh_assets')}")
        raise typer.Exit


@app.callback()
def before(
    mesh: Annotated[
        Path | None, typer.Option("--mesh", metavar="DIR", help="The mesh, as after the command.", callback=stand_in)
    ] = None,
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Say the version, and end.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """What may stand before every command; `mesh` and `version` are seen to by their callbacks."""


def main() -> None:
    """Run the command; what a person can mend is told in its own words, without a traceback."""
    try:
        code = app(standalone_mode=False)  # an Exit comes back as its code, it is not raised; so does Ctrl-C
        if code == INTERRUPTED:
            note(STOPPED)
        sys.exit(code)
    except MeshError as error:
        note(str(error))
        sys.exit(error.exit_code)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        note(STOPPED)
        sys.exit(INTERRUPTED)
    except WrongWords as error:
        note(wrong.words(error))
        sys.exit(2)


@app.command(epilog="Example: `mesh init shop && cd shop && mesh run`")
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or an empty folder.")],
) -> None:
    """Make a small mesh of two domains that runs, to change into yours."""
    from mesh_assets.starting import start

    start(folder)
    note(f"A mesh of two domains is in {folder}. Next:\n    cd {folder} && mesh run")


@app.command(epilog="Examples: `mesh check --json`, `mesh check --base main`")
def check(
    mesh: MeshDir = None,
    *,
    base: Annotated[
        str, typer.Option("--base", metavar="REF", help="Also hold version steps against this git ref.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Read every file of the mesh and say everything that is wrong with them. Exit 2 when something is; a warning is none."""
    from datetime import UTC, datetime

    from mesh_assets.deprecation import warnings
    from mesh_assets.mesh import examine, problems_json

    where = place(mesh)
    found, problems = examine(where.root)
    today = datetime.now(UTC).date()
    warned = warnings(found, today) if found is not None else ()
    if base and found is not None and not problems:
        from mesh_assets.changes.steps import problems_since

        problems, warned = problems_since(found, where.settings, base, today)
    if as_json:
        print_json(problems_json(problems, warned))
    else:
        for problem in problems:
            typer.echo(problem)
        for warning in warned:
            typer.echo(f"warning: {warning}")
    if problems:
        note(many(len(problems), "problem"))
        raise typer.Exit(2)
    if found is not None:
        note(f"{many(len(found.domains), 'domain')}, {many(len(found.tables), 'table')}, nothing wrong")


@app.command(
    epilog="Examples: `mesh run`, `mesh run customers --downstream`, `mesh run sales/calls --force`, "
    "`mesh run --pipeline launch_dashboard`"
)
def run(
    names: Names = None,
    mesh: MeshDir = None,
    *,
    downstream: Annotated[bool, typer.Option("--downstream", help="And everything that rests on them.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Build what is named although nothing has changed.")] = False,
    pipeline: Annotated[
        str,
        typer.Option(
            "--pipeline", metavar="NAME", help="All that this horizontal pipeline delivers; resumes a launch."
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Build what has changed, upstream before downstream, at one snapshot; test it, and publish what passes.

    What is named is built with what it needs. Exit 1 when a table is held, 2 when a domain is left out because of its
    files, 3 when a table could not be built.
    """
    from mesh_assets import console, running

    if pipeline and (names or downstream or force):
        raise UsageError(
            "--pipeline builds what it delivers and nothing else\n    Leave out names, --downstream and --force."
        )
    env, settings = environment(mesh)
    progress = console.Progress(quiet=as_json)
    chosen = tuple(names or ())
    options: dict[str, Any] = {"settings": settings, "progress": progress}
    try:
        if pipeline:
            report = running.run_pipeline(env, pipeline, **options)
        else:
            report = running.run_mesh(env, chosen, downstream=downstream, force=force, **options)
    except KeyboardInterrupt:
        kept = ", ".join(progress.published()) or "nothing"
        note(f"published before it was stopped: {kept}; `mesh run` goes on from there")
        raise
    if as_json:
        print_json(report)
    else:
        console.run_table(report)
        if pipeline:
            console.pipeline_table(report["pipeline"])
    raise typer.Exit(exit_code(report, env))


account.register(app)


@app.command(epilog='Examples: `mesh sql "from customers.physicians limit 5"`, `mesh sql --at 12 "…"`')
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over `domain.table`.")],
    mesh: MeshDir = None,
    *,
    at: Annotated[int | None, typer.Option("--at", metavar="VERSION", help="As the mesh was at this version.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read published tables with SQL. Nothing can be written."""
    from mesh_assets import catalog, console

    env, _ = environment(mesh)
    columns, rows = catalog.query(env, query, at=at)
    if as_json:
        print_json(catalog.query_report(columns, rows))
    else:
        console.rows_table(columns, rows)


@app.command(epilog="Example: `mesh dev --port 3000`")
def dev(
    mesh: MeshDir = None,
    *,
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65535, help="Of Dagster's web server. Default: 3000; in a kitchen, its own."),
    ] = 0,
    host: Annotated[str, typer.Option("--host", help="Address to listen at.")] = "127.0.0.1",
) -> None:
    """Start Dagster's web server and daemon for the mesh: the asset graph, runs, checks and sensors."""
    from mesh_assets.listening import listen
    from mesh_assets.starting import serve

    where = place(mesh)
    port = port or where.port
    listen(host, port).close()  # Dagster would find out late, and its daemon would go on alone
    note(
        f"Dagster is starting: http://{host}:{port}/asset-groups, the portal: http://{host}:{port}/mesh/  (Ctrl-C ends it)"
    )
    serve(where.root, where.settings, host=host, port=port)


app.command(
    epilog="Examples: `mesh impact --base main`, `mesh impact --port customers/physicians --drop-column zip --run`"
)(impact)
app.add_typer(change, name="change")
portal.register(app)
agent.register(app)


if __name__ == "__main__":
    main()

__all__: Sequence[str] = ["app", "main"]
