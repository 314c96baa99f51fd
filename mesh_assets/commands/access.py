"""`mesh access`: who has asked for a domain's data, and what its team says."""

from typing import TYPE_CHECKING, Annotated

import typer

from mesh_assets.commands.common import AsJson, Commands, MeshDir, Names, environment, me, note, print_json

if TYPE_CHECKING:
    from mesh_assets.account.access import Request

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Requests for access: ask, see who has asked, answer. The mesh has no rights of its own: an answer is a word, kept.",
)
Id = Annotated[str, typer.Argument(metavar="ID", help="As `mesh access list` shows it; its beginning is enough.")]
Who = Annotated[str, typer.Option("--as", metavar="NAME", help="Who says it. Default: who types.")]


@app.command("list", epilog="Examples: `mesh access list`, `mesh access list customers --json`")
def list_(
    names: Names = None,
    mesh: MeshDir = None,
    *,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that nobody has answered.")] = False,
    as_json: AsJson = False,
) -> None:
    """Requests, those that wait first: for the whole mesh, or for domains (with their tables) and tables."""
    from mesh_assets.account import access
    from mesh_assets.catalog import SCHEMA_VERSION

    env, _ = environment(mesh)
    asked = tuple(name.replace(".", "/", 1) for name in names or ())
    found = [
        one.as_json()
        for one in access.requests(env)
        if (not asked or any(one.to == name or one.to.startswith(f"{name}/") for name in asked))
        and (not waiting or one.state is access.Said.WAITS)
    ]
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, "requests": found})
        return
    for one in found:
        typer.echo(
            f"{one['id']}  {one['at'][:16]}  {one['state']:8}  {one['access_to']}  {one['by']}: {_line(one['why'])}"
        )
        for said in one["answers"]:
            typer.echo(f"    {said['at'][:16]}  {said['answer']} by {said['by']}  {_line(said['word'])}".rstrip())
    if not found:
        note("nobody waits for an answer" if waiting else "nobody has asked")


@app.command(epilog='Example: `mesh access ask customers/physicians --why "to count visits"`')
def ask(
    what: Annotated[str, typer.Argument(metavar="DOMAIN[/TABLE]", help="What it is about.")],
    mesh: MeshDir = None,
    *,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="What you want the data for.")],
    who: Who = "",
    as_json: AsJson = False,
) -> None:
    """Ask a domain's team for access. It is shown on the page *Where*, and by `mesh access list`."""
    from mesh_assets import address
    from mesh_assets.account import access

    env, _ = environment(mesh)
    _told(access.ask(env, address.parse(env.mesh, what), who=who or me(), why=why), as_json=as_json)


@app.command(epilog='Example: `mesh access grant 3f2a --why "you are in the group readers"`')
def grant(
    request: Id,
    mesh: MeshDir = None,
    *,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="A word to whom has asked.")] = "",
    who: Who = "",
    as_json: AsJson = False,
) -> None:
    """Say yes to a request. The last answer counts."""
    from mesh_assets.account import access

    env, _ = environment(mesh)
    _told(access.answer(env, request, "grant", who=who or me(), why=why), as_json=as_json)


@app.command(epilog='Example: `mesh access decline 3f2a --why "only within the house"`')
def decline(
    request: Id,
    mesh: MeshDir = None,
    *,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why: who has asked reads it.")],
    who: Who = "",
    as_json: AsJson = False,
) -> None:
    """Say no to a request, and why. The last answer counts."""
    from mesh_assets.account import access

    env, _ = environment(mesh)
    _told(access.answer(env, request, "decline", who=who or me(), why=why), as_json=as_json)


def _told(request: "Request", *, as_json: bool) -> None:
    from mesh_assets.catalog import SCHEMA_VERSION

    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, **request.as_json()})
        return
    typer.echo(request.id)
    note(f"access of {request.who} to {request.to}: {request.state}")


def _line(text: str) -> str:
    return " ".join(text.split())
