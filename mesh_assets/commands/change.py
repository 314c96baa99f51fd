"""`mesh change`: changes that were published, and those that wait for their readers."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh_assets.commands.common import AsJson, MeshDir, environment, me, note, print_json
from mesh_assets.errors import UsageError

if TYPE_CHECKING:
    from mesh_assets.changes.record import ChangeRecord
    from mesh_assets.environment import Environment

app = typer.Typer(help="Changes: what was published, what is proposed, and what its readers say.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(metavar="ID", help="As `mesh change list` shows it; its beginning is enough.")]
As = Annotated[str, typer.Option("--as", metavar="DOMAIN", help="The reading domain that answers.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Kept with the answer.")]


@app.command("list", epilog="Example: `mesh change list --json`")
def list_(mesh: MeshDir = None, *, as_json: AsJson = False) -> None:
    """Changes that wait for their readers, then those that were published or taken back, newest first."""
    from mesh_assets.changes.pages import listed
    from mesh_assets.changes.words import from_json, said

    env, record = _open(mesh)
    report = listed(env, record)
    if as_json:
        print_json(report)
        return
    for item in report["changes"]:
        kinds = "; ".join(said(from_json(change)) for change in item["changes"][:4])
        more = f" and {len(item['changes']) - 4} more" if len(item["changes"]) > 4 else ""  # noqa: PLR2004 - a line
        version = f"version {item['version']}" if item["version"] else ""
        typer.echo(f"{item['id']}  {item['at'][:16]}  {item['state']:10}  {item['port']}  {version}  {kinds}{more}")
    for item in report["deprecated"]:
        typer.echo(f"{item['port']} is {item['says']}")
    if not report["changes"]:
        note("nothing has changed")


@app.command(epilog="Example: `mesh change show 1f0c2a9b`")
def show(id_: Id, mesh: MeshDir = None, *, as_json: AsJson = False) -> None:
    """One change: what it is, what it means for whom, who was told when, who has said what."""
    from mesh_assets.changes.pages import named, shown
    from mesh_assets.changes.words import from_json, meant, said
    from mesh_assets.commands.impact import by_hand_lines

    env, record = _open(mesh)
    report = shown(env, record, named(record, id_))
    if as_json:
        print_json(report)
        return
    typer.echo(f"{report['id']}  {report['port']}  {report['state']}")
    for change in report["changes"]:
        verdicts = {reader["verdict"] for reader in report["readers"]}
        typer.echo(f"    {said(from_json(change))}\n        {meant(change, '', verdicts)}")
    for item in report["renames"]:
        typer.echo(f"{item['asks']} {item['why']}.\n    {item['mend']}")
    for reader in report["readers"]:
        typer.echo(f"{reader['domain']}: {reader['verdict']} ({reader['known']})")
        for item in reader["evidence"]:
            typer.echo(f"    {item['path']}:{item['line']}:{item['column']}: {item['why']}")
    for name, text in report["patches"].items():
        typer.echo(f"\nA patch for {name}:\n{text}")
    for line in by_hand_lines(report["by_hand"]):
        typer.echo(line)
    for entry in report["timeline"]:
        typer.echo(f"{entry['at'][:19]}  {entry['what']}")


@app.command(epilog="Example: `mesh change accept 1f0c2a9b --as marketing --why 'we do not use it'`")
def accept(id_: Id, as_: As, why: Why = "", mesh: MeshDir = None) -> None:
    """Say that a change may come, for one reading domain."""
    _answer(mesh, id_, as_, "accept", why, "")


@app.command(epilog="Example: `mesh change waive 1f0c2a9b --as marketing --until 2030-01-31 --why 'rebuilt by then'`")
def waive(
    id_: Id,
    as_: As,
    until: Annotated[str, typer.Option("--until", metavar="DATE", help="The last day on which it holds.")],
    why: Why,
    mesh: MeshDir = None,
) -> None:
    """Let a change come although it hurts, until a day. It is shown wherever the verdict is."""
    _answer(mesh, id_, as_, "waive", why, until)


@app.command(
    epilog="Examples: `mesh change serve customers/physicians --rename city=practice_city --sunset 2027-03-31 --dry-run`, "
    "`mesh change serve sales/calls --drop-column notes --retype minutes:BIGINT --sunset 2027-06-30`"
)
def serve(
    port: Annotated[str, typer.Argument(metavar="DOMAIN/PORT", help="The output port that changes.")],
    sunset: Annotated[str, typer.Option("--sunset", metavar="DATE", help="The last day of the version before.")],
    mesh: MeshDir = None,
    *,
    drop_column: Annotated[
        list[str] | None, typer.Option("--drop-column", metavar="COLUMN", help="May be repeated.")
    ] = None,
    rename: Annotated[list[str] | None, typer.Option("--rename", metavar="OLD=NEW", help="May be repeated.")] = None,
    retype: Annotated[
        list[str] | None, typer.Option("--retype", metavar="COLUMN:TYPE", help="May be repeated.")
    ] = None,
    as_: Annotated[str, typer.Option("--as", metavar="NAME", help="Of the new port. Default: PORT_v2 and so on.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Try it and show the change, and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Serve a breaking change as the next version, beside the one that its readers know, until a day.

    Written are the new port with its contract, and a shim: SQL that makes the old port of the new one. Before that both, and
    everyone who reads the old one, are tried on the published rows. Exit 1 when that fails: then nothing is written.
    """
    from mesh_assets.changes.serve import serving, to_json, write

    day = _day(sunset)
    if day < datetime.now(UTC).date():
        raise UsageError(f"{day} is over\n    Write a day that is still to come.")
    env, _ = environment(mesh)
    found = serving(
        env, port, sunset=day, drop=drop_column or (), rename=rename or (), retype=retype or (), successor=as_
    )
    if found.fine and not dry_run:
        write(env, found.plan.files)
    report = to_json(found, written=found.fine and not dry_run)
    if as_json:
        print_json(report)
    else:
        _served(report)
    raise typer.Exit(0 if found.fine else 1)


def _served(report: dict[str, Any]) -> None:
    _tried(report)
    if report["rows"] is None:
        note(f"{report['port']} was never published: nothing could be tried on data")
    for text in report["notes"]:
        note(f"to do: {text}")
    if not report["fine"]:
        note("Nothing was written: the version before could not be kept alive like this.")
    elif report["written"]:
        domain = report["port"].partition("/")[0]
        note(
            f"Written: {report['successor']} {report['version']}, and {report['port']} beside it until {report['sunset']}. "
            f"Next: mesh check, mesh run {domain}, and a commit."
        )


@app.command(epilog="Example: `mesh change move launch_analytics customers/physicians --dry-run`")
def move(
    reader: Annotated[str, typer.Argument(metavar="DOMAIN", help="The reading domain.")],
    port: Annotated[str, typer.Argument(metavar="DOMAIN/PORT", help="The deprecated port that it reads.")],
    mesh: MeshDir = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Try it and show the change, and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let a domain read the successor of a deprecated port instead of it.

    Changed are its `inputs`, its SQL with the new names, and its contracts that refer to the port; before that its tables are
    built and tested on the published successor. Exit 1 when that fails: then nothing is written. Python and dbt are changed
    by hand: exit 2 says where.
    """
    from mesh_assets.changes.moving import moving, to_json
    from mesh_assets.changes.serve import write

    env, _ = environment(mesh)
    found = moving(env, reader, port)
    if found.fine and not dry_run:
        write(env, found.files)
    report = to_json(found, written=found.fine and not dry_run)
    if as_json:
        print_json(report)
    else:
        _tried(report)
        left = f"still read by {', '.join(report['left'])}" if report["left"] else "read by nobody any more"
        then = "then " if not report["written"] else ""
        note(f"{report['port']} is {then}{left}" if found.fine else "Nothing was written.")
    raise typer.Exit(0 if found.fine else 1)


def _tried(report: dict[str, Any]) -> None:
    """The change, and what came of trying it."""
    for item in report["files"]:
        typer.echo(item["diff"])
    for item in report["tried"]:
        tests = item["tests"]
        ran = f" ({tests['pass']} tests passed, {tests['fail']} failed)" if tests["pass"] or tests["fail"] else ""
        typer.echo(f"{'pass' if item['fine'] else 'FAIL'}  {item['table']}: {item['why']}{ran}")


@app.command(epilog="Example: `mesh change rebuild`")
def rebuild(mesh: MeshDir = None) -> None:
    """Read every commit of the lake again, where the ledger was lost. Answers that are in the ledger stay."""
    _, record = _open(mesh)
    note(f"{record.rebuild()} changes found in the lake's history")


def _open(mesh: Any) -> "tuple[Environment, ChangeRecord]":  # noqa: ANN401 - as Typer gives it
    from mesh_assets.changes.record import ChangeRecord

    env, _ = environment(mesh)
    env.sync()
    record = ChangeRecord(env)
    record.sync()
    return env, record


def _answer(mesh: Any, id_: str, reader: str, word: str, why: str, until: str) -> None:  # noqa: ANN401 - as Typer gives it
    from mesh_assets.changes.answering import answer
    from mesh_assets.changes.pages import named

    env, record = _open(mesh)
    whole, today = named(record, id_), datetime.now(UTC).date()
    left = answer(env, record, whole, reader=reader, word=word, who=me(), why=why, until=until, today=today)
    port = next((one.port for one in (*record.proposals(), *record.events()) if one.id == whole), "")
    spelt, told = port.replace(".", "/", 1), f"{word} until {until}" if until else word
    if any(one.id == whole for one in record.events()):
        note(f"{reader}: {told}. It is published already.")
    elif left:
        note(f"{reader}: {told}. {spelt} waits for {', '.join(left)}.")
    else:
        note(f"{reader}: {told}. Nobody else has to be asked. Next: mesh run {spelt}")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"`{text}` is no date\n    Write it as 2030-01-31.") from None
