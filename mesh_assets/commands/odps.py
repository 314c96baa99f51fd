"""`mesh odps`: domains as data products of the Open Data Product Standard, and the other way."""

from pathlib import Path
from typing import Annotated

import typer

from mesh_assets.commands.common import Commands, MeshDir, note, place
from mesh_assets.numerals import many

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Domains as data products of the Open Data Product Standard (ODPS 1), and the other way. Nothing is lost on either.",
)


@app.command(epilog="Example: `mesh odps export customers > customers.odps.yaml`")
def export(
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="Its name.")],
    mesh: MeshDir = None,
) -> None:
    """Print a domain as a data product, as `/mesh/domains/DOMAIN.odps.yaml` does."""
    from mesh_assets import address
    from mesh_assets.catalog import standards
    from mesh_assets.errors import UsageError
    from mesh_assets.mesh import read_mesh

    found = read_mesh(place(mesh).root, tolerant=True)
    if domain in found.broken:
        typer.echo(standards.odps(found, domain), nl=False)
        return
    known = address.parse(found, domain)
    if known.table:
        raise UsageError(f"`{domain}` is a table\n    A data product is a whole domain: {known.domain}.")
    typer.echo(standards.odps(found, known.domain), nl=False)


@app.command("import", epilog="Example: `mesh odps import library.odps.yaml --name lending`")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A data product: ODPS 0.9 or 1, in YAML.")],
    mesh: MeshDir = None,
    *,
    name: Annotated[
        str,
        typer.Option("--name", metavar="DOMAIN", help="Of the new domain. Default: the product's domain, or its id."),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print domain.yaml, and write nothing.")] = False,
) -> None:
    """Make a domain of a data product: its domain.yaml, and what `mesh check` says it still needs.

    What only the standard has words for stands under `odps`, so that an export gives the same product again. Exit 2 while something is missing.
    """
    from mesh_assets.catalog import products, standards
    from mesh_assets.mesh import examine

    root = place(mesh).root
    written = products.domain_of(products.read(file), name)
    if dry_run:
        typer.echo(standards.as_yaml(written), nl=False)
        return
    path = products.adopt(root, written).relative_to(root)
    note(f"{path} is written")
    _, problems = examine(root)
    own = [problem for problem in problems if problem.where.path.startswith(f"{path.parent.as_posix()}/")]
    for problem in own:
        typer.echo(problem)
    if own:
        note(f"it still needs something: {many(len(own), 'problem')}")
        raise typer.Exit(2)
