"""`mesh lineage`: what was built of what, as events of OpenLineage, written out or sent."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mesh_assets.commands.common import AsJson, Commands, MeshDir, environment, note, print_json
from mesh_assets.errors import RunError, UsageError

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Lineage for other catalogues: events of OpenLineage, made of the ledger.",
)
Since = Annotated[
    str,
    typer.Option(
        "--since", metavar="MOMENT", help="A date or time (UTC without a zone), or how long ago: `7d`, `12h`."
    ),
]


@app.command(
    epilog="Examples: `mesh lineage export --since 7d > events.ndjson`, `mesh lineage export --file events.ndjson`"
)
def export(
    mesh: MeshDir = None,
    *,
    since: Since = "1d",
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Write there instead of to stdout.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Events of OpenLineage of all that was built and launched, oldest first, one a line. Nothing is sent."""
    from mesh_assets.openlineage import outbox

    env, _ = environment(mesh)
    env.sync()
    rows = outbox.happened(env, outbox.since_of(since))
    made = (event for _, events, trouble in outbox.told(env, rows) for event in _with_note(events, trouble))
    if as_json:
        text = iter([json.dumps({"schema_version": 1, "events": list(made)}, ensure_ascii=False, sort_keys=True)])
    else:
        text = (json.dumps(event, ensure_ascii=False, sort_keys=True) for event in made)
    if file is None:
        for line in text:
            typer.echo(line)
        return
    try:
        with file.open("w", encoding="utf-8") as to:
            to.writelines(f"{line}\n" for line in text)
    except OSError as error:
        raise RunError(f"{file} cannot be written: {error.strerror}\n    Name a file in a folder of yours.") from None


def _with_note(events: list[dict[str, Any]], trouble: str) -> list[dict[str, Any]]:
    """The same; what is left out is said."""
    if trouble:
        note(trouble)
    return events


@app.command(epilog="Examples: `mesh lineage send`, `mesh lineage send --since 2026-03-01`")
def send(
    mesh: MeshDir = None,
    *,
    since: Annotated[
        str, typer.Option("--since", metavar="MOMENT", help="Send again what has happened since, as in `export`.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Send what waits to the service that mesh.yaml names, now. Exit 3 when something could not be sent.

    Nobody needs it: `mesh run` sends when it has ended, and so does Dagster's daemon.
    """
    from mesh_assets.openlineage import outbox
    from mesh_assets.orchestration.account import is_kitchen

    env, _ = environment(mesh)
    if env.mesh.openlineage is None:
        raise UsageError("mesh.yaml names no service of OpenLineage\n    Write `openlineage: {url: https://…}` there.")
    if is_kitchen(env):
        raise UsageError("a kitchen sends nothing\n    `mesh lineage export` writes its events to stdout.")
    outbox.need()
    env.sync()
    if since:
        outbox.collect(env, since=outbox.since_of(since))
    sent, failed = outbox.deliver(env, at_once=True)
    (told,) = outbox.channel(env)
    if as_json:
        print_json({"schema_version": 1, "sent": sent, "failed": failed, "channel": told})
    else:
        note(
            f"{sent} events were sent"
            + (f"; {told['waiting']} wait: {told['error'] or 'another process is sending'}" if told["waiting"] else "")
        )
    if told["waiting"]:
        raise typer.Exit(3)
