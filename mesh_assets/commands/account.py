"""`mesh status`, `mesh why` and `mesh history`: where every table stands, who caused it, how it went over time."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from mesh_assets.commands.common import AsJson, MeshDir, environment, note, print_json
from mesh_assets.errors import UsageError

if TYPE_CHECKING:
    from mesh_assets.catalog import Json


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(epilog="Examples: `mesh status --json`, `mesh status --watch`, `mesh status --watch --every 30`")(
        status
    )
    app.command(epilog="Examples: `mesh why launch_analytics/weekly_report`, `mesh why sales/calls --json`")(why)
    app.command(
        epilog="Examples: `mesh history claims/raw_claims`, `mesh history sales/calls/primary_key`, "
        "`mesh history launch_dashboard`, `mesh history --incidents`, `mesh history --measures --json`"
    )(history)


def status(
    mesh: MeshDir = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", help="Between two looks.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Where every table stands, since when, and whether it is on time; what is wrong with the mesh, and who caused it.

    With `--watch --json`, one line for each look at which something has changed.
    """
    from mesh_assets import console
    from mesh_assets.catalog import account

    env, _ = environment(mesh)
    shown: Json | None = None
    while True:
        report = account.status(env)
        if report != shown and as_json:
            print_json(report)
        elif report != shown:
            if watch:
                console.clear()
            console.status_table(report)
        shown = report
        if not watch:
            return
        time.sleep(max(every, 0.2))
        env, _ = environment(mesh)


def why(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="As `domain/table`.")],
    mesh: MeshDir = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Why a table is not updated: in one paragraph, with the chain of causes and who answers for the first of them."""
    from mesh_assets.catalog import account

    env, _ = environment(mesh)
    report = account.why(env, table)
    if as_json:
        print_json(report)
    else:
        typer.echo(report["text"])


def history(
    what: Annotated[
        str,
        typer.Argument(
            metavar="TABLE|TEST|PIPELINE", help="As `domain/table`, `domain/table/test`, or the name of a pipeline."
        ),
    ] = "",
    mesh: MeshDir = None,
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="The last so many.")] = 30,
    incidents: Annotated[bool, typer.Option("--incidents", help="All incidents, and whom they were told to.")] = False,
    measures: Annotated[bool, typer.Option("--measures", help="Measures of every domain, by week.")] = False,
    as_json: AsJson = False,
) -> None:
    """How it went over time: of a table, a test, a pipeline, of the mesh's incidents, or of its domains by week."""
    from mesh_assets import console
    from mesh_assets.catalog import account
    from mesh_assets.catalog.measures import measures as measures_of

    if (bool(what) + incidents + measures) != 1:
        raise UsageError(
            "name a table, a test or a pipeline, or ask for `--incidents` or `--measures`\n    mesh history DOMAIN/TABLE"
        )
    env, _ = environment(mesh)
    report: Json
    if incidents:
        report = {"schema_version": 1, "incidents": account.incidents(env)[:limit]}
    elif measures:
        report = measures_of(env)
    else:
        report = account.history(env, what, limit=limit)
    if as_json:
        print_json(report)
    elif incidents:
        console.incidents_list(report["incidents"])
    elif measures:
        console.measures_table(report["domains"])
    else:
        console.history_table(report)
    if not as_json and not any(report.get(key) for key in ("incidents", "domains", "events", "launches")):
        note("nothing is on record")
