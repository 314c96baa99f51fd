"""`mesh impact`: what a change does to those who read it, before it is made."""

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any
from xml.sax.saxutils import escape, quoteattr

import typer

from mesh_assets.commands.common import AsJson, MeshDir, environment, note, print_json
from mesh_assets.errors import UsageError
from mesh_assets.numerals import does

if TYPE_CHECKING:
    from mesh_assets.changes.ask import Answered
    from mesh_assets.changes.judge import Reader

FORMATS = ("text", "json", "github", "junit")


def impact(
    mesh: MeshDir = None,
    *,
    base: Annotated[
        str, typer.Option("--base", metavar="REF", help="Compare the files with this git ref. Default: HEAD.")
    ] = "",
    port: Annotated[str, typer.Option("--port", metavar="DOMAIN/TABLE", help="Ask about this table instead.")] = "",
    drop_column: Annotated[
        list[str] | None, typer.Option("--drop-column", metavar="COLUMN", help="With --port.")
    ] = None,
    rename: Annotated[list[str] | None, typer.Option("--rename", metavar="OLD=NEW", help="With --port.")] = None,
    retype: Annotated[list[str] | None, typer.Option("--retype", metavar="COLUMN:TYPE", help="With --port.")] = None,
    run: Annotated[bool, typer.Option("--run", help="Run the readers' own tests on candidate data.")] = False,
    format_: Annotated[
        str, typer.Option("--format", metavar="text|json|github|junit", help="How to tell it.")
    ] = "text",
    as_json: AsJson = False,
) -> None:
    """What a change means for everyone who reads it: who breaks, where, how we know, and what to do next.

    Nothing is published. Exit 1 when it breaks for someone, or when nobody can tell.
    """
    from mesh_assets.changes.ask import told

    shown = "json" if as_json else format_
    if shown not in FORMATS:
        raise UsageError(f"`{shown}` is no format\n    Known here: {', '.join(FORMATS)}.")
    env, _ = environment(mesh)
    answered, report = told(
        env, base=base, port=port, drop=drop_column or (), rename=rename or (), retype=retype or (), run=run
    )
    {"json": print_json, "github": _github, "junit": _junit, "text": lambda told: _text(told, answered)}[shown](report)
    gone = any(report["removed_ports_read_by"].values())
    raise typer.Exit(1 if answered.report.breaks or answered.failed or gone or report["unread"] else 0)


def _text(told: dict[str, Any], answered: "Answered") -> None:
    for port, readers in told["removed_ports_read_by"].items():
        hurt = (
            f"{', '.join(readers)} still {does(len(readers), 'read')} it, see `mesh check`"
            if readers
            else "nobody reads it"
        )
        typer.echo(f"{port}: is there no longer; {hurt}")
    for domain, item in told["unread"].items():
        typer.echo(f"{_unread(domain, item)}\n    {item['path']}:{item['line']}: {item['problem']}")
    if not any(told[key] for key in ("changes", "removed_ports", "unread", "deprecated")):
        note(
            "nothing has changed that a reader could see"
            if told["base"]
            else "nothing would change: it is like that already"
        )
        return
    _changes(told)
    for reader in told["readers"]:
        if not reader["hit"] and not reader["tests"]:
            continue
        typer.echo()
        print_reader(reader)
        if reader["answer"]:
            answer = reader["answer"]
            until = f" until {answer['until']}" if answer["until"] else ""
            typer.echo(f"    {answer['answer']} by {answer['who'] or 'nobody named'}{until}: {answer['why']}")
    if quiet := [reader for reader in told["readers"] if not reader["hit"] and not reader["tests"]]:
        spelt = ", ".join(f"{reader['domain']} ({reader['known']})" for reader in quiet)
        typer.echo(f"\nNot hit: {spelt}")
    owners = {change["port"].partition("/")[0] for change in told["changes"]}
    if own := [table for table in told["order"] if table.partition("/")[0] in owners]:
        typer.echo(f"\nIn its own domain it hits {', '.join(own)}")
    _next(told, answered)


def print_reader(reader: dict[str, Any]) -> None:
    """What a change means for one reader, and where that is seen."""
    tests = reader["tests"]
    ran = f", {tests['pass']} tests passed, {tests['fail']} failed" if tests else ""
    typer.echo(f"{reader['domain']} (reads {reader['port']}): {reader['verdict']} ({reader['known']}{ran})")
    for item in reader["evidence"]:
        typer.echo(f"    {item['path']}:{item['line']}:{item['column']}: {item['why']}")


def _unread(domain: str, item: dict[str, Any]) -> str:
    """What is said of a domain that cannot be loaded any more."""
    readers = ", ".join(item["read_by"])
    hurt = (
        f"what becomes of its ports is not known to {readers}"
        if readers
        else "nobody else reads it, and nothing of it is built"
    )
    return f"{domain}: cannot be loaded as its files are now, see `mesh check`; {hurt}"


def _changes(told: dict[str, Any]) -> None:
    """What has changed, what may be a new name, and what ends."""
    from mesh_assets.changes.words import from_json, meant, said

    for change in told["changes"]:
        verdicts = {reader["verdict"] for reader in told["readers"]}
        mode = next((one["compatibility"] for one in told["versions"] if one["port"] == change["port"]), "")
        typer.echo(f"{change['port']}: {said(from_json(change))}\n    {meant(change, mode, verdicts)}")
    for item in told["renames"]:
        typer.echo(f"{item['port']}: {item['asks']} {item['why']}.\n    {item['mend']}")
    for item in told["deprecated"]:
        typer.echo(f"{item['port']} is {item['says']}")


def _next(told: dict[str, Any], answered: "Answered") -> None:
    """What the version needs, and what can be offered."""
    for version in told["versions"]:
        made = f", makes {version['declared']}" if told["base"] else ""
        typer.echo(
            f"\n{version['port']}: needs a {version['needed']} version step{made} (compatibility: {version['compatibility']})"
        )
    for name, why in told["failed"].items():
        typer.echo(f"\n{name} itself fails: {why}")
    for name, why in told["not_run"].items():
        typer.echo(f"\n{name} was not run: {why}. A kitchen runs it: `mesh kitchen open NAME`.")
    needed = {version["port"]: version["needed"] for version in told["versions"]}
    for name, text in told["shims"].items():
        if needed.get(name) != "major":
            continue  # nobody would need it
        typer.echo(f"\nA shim that keeps {name} alive beside its next version:\n{text}")
    for name, text in told["patches"].items():
        typer.echo(f"\nA patch for {name}:\n{text}")
    for line in by_hand_lines(told["by_hand"]):
        typer.echo(line)
    _to_go_on(told, answered.report.readers)


def _to_go_on(told: dict[str, Any], readers: "Sequence[Reader]") -> None:
    """What to do for those whom it breaks, and how to learn more."""
    hurt = [reader.domain for reader in readers if reader.verdict == "breaking" and not reader.answer]
    if hurt:
        typer.echo(
            f"\nTo go on: change {', '.join(dict.fromkeys(hurt))} in the same commit; or {_beside(told)}; or run it: it is held, "
            "and they are asked (`mesh change list`)."
        )
    elif any(reader.verdict == "breaking" for reader in readers):
        typer.echo("\nThose for whom it breaks have answered: run it, and it is published.")
    if any(reader.verdict == "unknown" and reader.tables and not reader.tests for reader in readers):
        note("unknown: the readers' own tests can tell: --run")


def _beside(told: dict[str, Any]) -> str:
    """How old and new are served side by side: the command, where it can make these changes."""
    ports, flags = {one["port"] for one in told["changes"]}, [word for one in told["changes"] for word in _flag(one)]
    if told["base"] or len(ports) != 1 or len(flags) < 2 * len(told["changes"]):
        return "give the new version a name of its own and keep the old one"
    command = shlex.join(["mesh", "change", "serve", *ports, *flags])
    return f"serve both until a day and let them move one by one (`{command} --sunset DATE`, `mesh change move`)"


def _flag(change: dict[str, Any]) -> tuple[str, ...]:
    match change["kind"]:
        case "column_removed":
            return "--drop-column", change["column"]
        case "column_renamed":
            return "--rename", f"{change['column']}={change['to']}"
        case "type_widened" | "type_narrowed" | "type_changed":
            return "--retype", f"{change['column']}:{change['to']}"
    return ()


def by_hand_lines(found: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """What a person has to look at, table by table."""
    for name, lines in found.items():
        yield f"\nTo be changed by hand, for {name}:"
        for line in lines:
            new = f" (now `{line['becomes']}`)" if line["becomes"] else ""
            yield f"    {line['path']}:{line['line']}: `{line['column']}`{new} in: {line['text']}"


def _github(told: dict[str, Any]) -> None:
    """Annotations of GitHub's workflow commands: one line each."""
    for port, readers in told["removed_ports_read_by"].items():
        if readers:
            names = ", ".join(readers)
            typer.echo(f"::error title={_property(f'{port} is gone')}::{_data(f'{names} cannot do without it')}")
    for domain, item in told["unread"].items():
        place = f"file={_property(item['path'])},line={item['line']},title={_property(f'{domain} cannot be loaded')}"
        typer.echo(f"::error {place}::{_data(item['problem'])}; {_data(_unread(domain, item))}")
    for name, why in told["failed"].items():
        typer.echo(f"::error title={_property(f'{name} itself fails')}::{_data(why)}")
    for reader in told["readers"]:
        if reader["verdict"] == "compatible":
            continue
        level = "error" if reader["verdict"] == "breaking" else "warning"
        for item in reader["evidence"]:
            title = _property(f"{reader['verdict']} for {reader['domain']}")
            place = f"file={_property(item['path'])},line={item['line']},col={item['column']},title={title}"
            typer.echo(f"::{level} {place}::{_data(item['why'])}")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _junit(told: dict[str, Any]) -> None:
    """One case per reader: a breaking one failed, an unknown one is an error. And one for each that cannot be asked, or fails itself."""
    readers = [
        *told["readers"],
        *(
            _case(reader, port, "breaking", f"{port} is there no longer")
            for port, who in told["removed_ports_read_by"].items()
            for reader in who
        ),
        *(
            _case(reader, domain, "unknown", f"{item['path']}:{item['line']}: {item['problem']}")
            for domain, item in told["unread"].items()
            for reader in item["read_by"] or (domain,)
        ),
        *(_case(table, table, "breaking", why) for table, why in told["failed"].items()),
    ]
    counts = {word: sum(reader["verdict"] == word for reader in readers) for word in ("breaking", "unknown")}
    typer.echo('<?xml version="1.0" encoding="UTF-8"?>')
    typer.echo(
        f'<testsuite name="mesh impact" tests="{len(readers)}" failures="{counts["breaking"]}" errors="{counts["unknown"]}">'
    )
    for reader in readers:
        itself = reader["domain"] == reader["port"]
        name = quoteattr(f"{reader['domain']} itself" if itself else f"{reader['domain']} reads {reader['port']}")
        why = reader.get("why") or "\n".join(
            f"{e['path']}:{e['line']}:{e['column']}: {e['why']}" for e in reader["evidence"]
        )
        tag = {"breaking": "failure", "unknown": "error"}.get(reader["verdict"])
        inner = f"<{tag} message={quoteattr(reader['verdict'])}>{escape(why)}</{tag}>" if tag else ""
        typer.echo(f'  <testcase classname="mesh.impact" name={name}>{inner}</testcase>')
    typer.echo("</testsuite>")


def _case(reader: str, port: str, verdict: str, why: str) -> dict[str, Any]:
    return {"domain": reader, "port": port, "verdict": verdict, "why": why, "evidence": []}
