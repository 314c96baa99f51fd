"""`mesh kitchen`: the whole mesh as a sandbox, and one command to production."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mesh_assets.commands.common import AsJson, MeshDir, note, print_json, production
from mesh_assets.errors import RunError, UsageError

if TYPE_CHECKING:
    from mesh_assets.catalog import Json
    from mesh_assets.kitchen.api import Kitchen

NOT_NAMED = "which no file of a domain names: build what reads it with mesh run --kitchen NAME --force TABLE"
app = typer.Typer(help="Sandboxes of the whole mesh: open, test, promote, close.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the kitchen.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@app.command(
    "open", epilog="Examples: `mesh kitchen open tasting`, `mesh kitchen open pr-12 --branch new-rule --ttl 2d`"
)
def open_(
    name: Name,
    mesh: MeshDir = None,
    *,
    source: Annotated[
        str, typer.Option("--from", metavar="production|KITCHEN", help="What it is forked from.")
    ] = "production",
    branch: Annotated[
        str, typer.Option("--branch", metavar="GIT_BRANCH", help="Its branch; without it, `kitchen/NAME`.")
    ] = "",
    ttl: Annotated[
        str, typer.Option("--ttl", metavar="TIME", help="When it may close by itself: 12h, 7d, never.")
    ] = "7d",
    variables: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An environment variable in the kitchen.")
    ] = None,
    no_code: Annotated[
        bool, typer.Option("--no-code", help="Without a work tree: production's files are used.")
    ] = False,
    synthetic: Annotated[
        str,
        typer.Option(
            "--synthetic",
            metavar="PERCENT",
            help="Made-up rows instead of data: 1% of each source's; the rest is built.",
        ),
    ] = "",
    seed: Annotated[int, typer.Option("--seed", help="Of the made-up rows: the same one makes the same rows.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Open a kitchen: all data without a copy, and a git work tree on a branch of its own."""
    from mesh_assets import console
    from mesh_assets.kitchen.api import Kitchen

    where = production(mesh)
    kitchen = Kitchen.open(
        name,
        root=where.root,
        settings=where.settings,
        source=source,
        branch=branch,
        ttl=ttl,
        variables=dict(map(_pair, variables or [])),
        code=not no_code,
        synthetic=synthetic,
        seed=seed,
        progress=console.Progress(quiet=as_json),
    )
    told = kitchen.synthetic()
    made, site = kitchen.opened, kitchen.site
    if made is None:  # never: it was opened just now
        return
    if as_json:
        print_json(
            {
                "schema_version": 1,
                "kitchen": name,
                "base": {"snapshot": site.snapshot, "commit": site.commit},
                "lake": str(site.home / "lake"),
                "dagster_home": str(site.home / "dagster"),
                "worktree": str(site.root) if site.has_code else None,
                "seconds": made.seconds,
                "extra_bytes": made.extra_bytes,
                "synthetic": told,
            }
        )
        return
    if told:
        _print_synthetic(told)
    note(
        f"Kitchen {name} is open, at version {site.snapshot} ({made.seconds:.1f} s, {made.extra_bytes:,} bytes). Next:"
    )
    if site.has_code:
        note(f"    change something in {site.root}   (branch {site.branch})")
    note(f"    mesh kitchen test {name} && mesh kitchen promote {name}")


@app.command("list", epilog="Example: `mesh kitchen list --json`")
def list_(mesh: MeshDir = None, *, as_json: AsJson = False) -> None:
    """Every kitchen: its owner, its age, its base, what it has changed, how large it is."""
    from mesh_assets import console
    from mesh_assets.kitchen.api import listing

    where = production(mesh)
    report = listing(where.root, where.settings)
    if as_json:
        print_json(report)
    else:
        columns = ("kitchen", "from", "state", "owner", "opened", "expires", "base", "changes", "bytes")
        rows = [tuple(row[column] for column in columns) for row in report["kitchens"]]
        console.rows_table(columns, rows, empty="No kitchen is open. Open one: mesh kitchen open NAME")


@app.command(epilog="Examples: `mesh kitchen test tasting`, `mesh kitchen test pr-12 --json --junit kitchen.xml`")
def test(
    name: Name,
    mesh: MeshDir = None,
    *,
    downstream: Annotated[
        str, typer.Option("--downstream", metavar="all|direct|none", help="How far the change is followed.")
    ] = "all",
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Also write JUnit's XML.")] = None,
    as_json: AsJson = False,
) -> None:
    """Rebuild what has changed and all that rests on it, and run the tests of every domain there. Exit 1 when one fails."""
    from mesh_assets import console

    report = _of(name, mesh).test(downstream, progress=console.Progress(quiet=as_json))
    if junit:
        _write_junit(report, junit)
    if as_json:
        print_json(report)
    else:
        _print_test(report)
    raise typer.Exit(0 if report["ok"] else 1)


@app.command(epilog="Examples: `mesh kitchen diff tasting`, `mesh kitchen diff tasting customers/physicians --json`")
def diff(
    name: Name,
    table: Annotated[str, typer.Argument(metavar="[TABLE]", help="Only this one.")] = "",
    mesh: MeshDir = None,
    *,
    as_json: AsJson = False,
) -> None:
    """What differs from the kitchen's base: files, code, contracts, columns, and rows by key."""
    report = _of(name, mesh).diff(*([table] if table else []))
    if as_json:
        print_json(report)
        return
    for word in ("files", "code", "contracts", "sources", "added", "removed", "variables"):
        if report[word]:
            typer.echo(f"{word}: {', '.join(report[word])}")
    for package, (then, now) in report["packages"].items():
        typer.echo(f"{package}: {then or 'not there'} → {now or 'is gone'}")
    for row in report["features"]:
        typer.echo(f"{row['table']}: other {' and '.join(row['what'])}")
    if tests := report["tests"]:
        told = ", ".join(f"{domain['domain']} {domain['verdict']}" for domain in tests["domains"]) or "nothing to test"
        typer.echo(f"tests of {tests['at'][:16]}: {told}")
    _print_readers(report["readers"])
    _print_differences(report["tables"])


@app.command(epilog="Example: `mesh kitchen status tasting --json`")
def status(name: Name, mesh: MeshDir = None, *, as_json: AsJson = False) -> None:
    """In what the kitchen differs from production now. `matches production` is said only when it does."""
    report = _of(name, mesh).status()
    if as_json:
        print_json(report)
        return
    base = report["base"]
    at = f"at version {base['snapshot']} (production is at {base['head']})"
    if report["synthetic"]:
        at = f"synthetic, {report['synthetic']['percent']:g} %"
    typer.echo(
        f"kitchen {name} from {report['parent']}, by {report['owner']}, {at}, opened {report['opened'][:16]} UTC"
    )
    for line in report["differences"]:
        typer.echo(f"differs: {line}")
    if report["matches_production"]:
        typer.echo("matches production")


@app.command(epilog="Examples: `mesh kitchen promote tasting --dry-run`, `mesh kitchen promote pr-12 --pr`")
def promote(
    name: Name,
    mesh: MeshDir = None,
    *,
    waive: Annotated[
        str, typer.Option("--waive", metavar="REASON", help="Promote although tests failed; the reason is kept.")
    ] = "",
    pr: Annotated[bool, typer.Option("--pr", help="Leave the merge of the branch to the forge.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Publish exactly the tested files in production, then merge the code. Exit 1 when it is refused."""
    report = _of(name, mesh).promote(waive=waive, pr=pr, dry_run=dry_run)
    if as_json:
        print_json(report)
    else:
        _print_promotion(report)
        if report["untold"]:
            note(f"Dagster could not be told ({report['untold']}); its reconciler does that when it runs")
    raise typer.Exit(1 if report["refused"] else 0)


@app.command(epilog="Example: `mesh kitchen rebase tasting`")
def rebase(name: Name, mesh: MeshDir = None, *, as_json: AsJson = False) -> None:
    """Fork again from production as it is now, with the kitchen's changes on top, and test. Exit 1 when a test fails."""
    from mesh_assets import console

    with console.waiting("rebasing"):
        report = _of(name, mesh).rebase()
    if as_json:
        print_json(report)
    else:
        note(f"rebased on version {report['rebased_on']['snapshot']}")
        for row in report["moved"]:
            typer.echo(f"{row['table']}: differs otherwise than before the rebase")
        _print_test(report)
    raise typer.Exit(0 if report["ok"] else 1)


@app.command(epilog="Examples: `mesh kitchen revert tasting --dry-run`, `mesh kitchen revert tasting --downstream`")
def revert(
    name: Name,
    mesh: MeshDir = None,
    *,
    downstream: Annotated[
        bool, typer.Option("--downstream", help="Take back what was built on it since, too.")
    ] = False,
    no_code: Annotated[bool, typer.Option("--no-code", help="Leave the code as it is.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Take production back to before the kitchen's last promotion, data and code. Exit 1 when it is refused."""
    from mesh_assets.kitchen.api import undo

    where = production(mesh)
    report = undo(where.root, where.settings, name, downstream=downstream, dry_run=dry_run, code=not no_code)
    if as_json:
        print_json(report)
    else:
        would = "would be" if dry_run else "is"
        for row in report["reverted"]:
            to = f"back at the content of version {row['to']}" if row["to"] is not None else "gone again"
            typer.echo(f"{row['table']} {would} {to}")
        for row in report["refused"]:
            typer.echo(f"refused: {row['table']}: {row['reason']}")
        note(f"{report['seconds']:.1f} s")
    raise typer.Exit(1 if report["refused"] else 0)


@app.command(epilog="Examples: `mesh kitchen close tasting`, `mesh kitchen close tasting --force`")
def close(
    name: Name,
    mesh: MeshDir = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Although it holds what was never promoted.")] = False,
    keep_branch: Annotated[bool, typer.Option("--keep-branch", help="Keep its git branch.")] = False,
    as_json: AsJson = False,
) -> None:
    """Leave nothing of a kitchen: no branch, no work tree, no folder, no schema."""
    from mesh_assets.kitchen.closing import close as end

    where = production(mesh)
    end(where.root, where.settings, name, force=force, keep_branch=keep_branch)
    if as_json:
        print_json({"schema_version": 1, "kitchen": name, "closed": True, "kept_branch": keep_branch})
    else:
        note(f"Kitchen {name} is closed; nothing of it is left{' but its branch' * keep_branch}.")


def _print_synthetic(told: "Json") -> None:
    for row in told["tables"]:
        whole = ": all rows, as reference data" if row["whole"] else ""
        typer.echo(f"{row['table']}: {row['rows']:,} rows for {row['of']:,}{whole}")
    for table, why in told["not_built"].items():
        typer.echo(f"{table} could not be built of them: {why}")
    for key, names in told["not_comparable"].items():
        typer.echo(f"{key.replace('.', '/', 1) if '/in/' not in key else key}: not comparable here: {', '.join(names)}")


def _of(name: str, mesh: Path | None) -> "Kitchen":
    from mesh_assets.kitchen.api import Kitchen

    where = production(mesh)
    return Kitchen.of(name, root=where.root, settings=where.settings)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.replace("_", "a").isalnum() or key[0].isdigit():
        raise UsageError(f"`{text}` is no setting\n    Say it as KEY=VALUE.")
    return key, value


def _print_test(report: "Json") -> None:
    from mesh_assets import console

    for name, tables in report["variables"].items():
        typer.echo(
            f"variable {name} is set, {'which the code of ' if tables else ''}{', '.join(tables) or NOT_NAMED}{' names' * bool(tables)}"
        )
    if not report["domains"]:
        typer.echo("nothing else has changed" if report["variables"] else "nothing has changed, nothing to test")
        return
    columns = ("domain", "tests before", "tests after", "tables rebuilt", "verdict")
    rows = [
        (
            domain["domain"],
            _counts(domain["before"]),
            _counts(domain["after"]),
            sum(table["status"] == "published" for table in domain["tables"]),
            domain["verdict"],
        )
        for domain in report["domains"]
    ]
    console.rows_table(columns, rows)
    for domain in report["domains"]:
        for item in domain["failing"]:
            typer.echo(f"{item['table']}: {item['test']} {item['status']}: {item['message']}")
        for table in domain["tables"]:
            if table["status"] in ("held", "failed", "skipped"):
                typer.echo(f"{table['table']} {table['status']}: {table['message']}")
    _print_readers([reader for domain in report["domains"] for reader in domain["readers"] or ()])
    _print_differences(report["differences"])


def _print_readers(readers: "list[Json]") -> None:
    """For whom what has changed is compatible or breaking; of those that it does not reach, nothing."""
    from mesh_assets.commands.impact import print_reader

    for reader in readers:
        if reader["hit"] or reader["tests"]:
            print_reader(reader)


def _counts(counts: "Json") -> str:
    return ", ".join(f"{counts[word]} {word}" for word in ("pass", "warn", "fail") if counts[word]) or "none"


def _print_differences(tables: "list[Json]") -> None:
    for table in tables:
        counts = table["rows"]
        told = ", ".join(f"{counts[word]:,} {word}" for word in ("added", "removed", "changed") if counts[word])
        typer.echo(f"{table['table']}: {told or 'the same rows'} (of {counts['after']:,} rows)")
        for word in ("added", "removed", "retyped"):
            for column in table["schema"][word]:
                typer.echo(f"    column {word}: {' '.join(column)}")
        for column, count in table["columns"].items():
            typer.echo(f"    {column}: {count:,} values")
        for row in table["sample"]:
            key = ", ".join(f"{name}={value}" for name, value in row["key"].items())
            values = "; ".join(f"{name}: {was} → {now}" for name, (was, now) in row["values"].items())
            typer.echo(f"    {row['what']} {key}{': ' if values else ''}{values}")


def _print_promotion(report: "Json") -> None:
    for row in report["refused"]:
        typer.echo(f"refused: {row['table']}{': ' if row['table'] else ''}{row['reason']}")
    if report["refused"]:
        return
    if report["already"]:
        note(f"all of it was promoted already, as version {report['version']}")
        return
    for row in report["promoted"]:
        where = f"version {row['version']}" if row["version"] else "would be promoted"
        typer.echo(f"{row['table']} {where}, {row['rows']:,} rows")
        for file in row["files"]:
            typer.echo(f"    {file['sha256']} {file['file']} {'as tested' if file['tested'] else 'REWRITTEN'}")
    for name in report["left_to_production"]:
        why = "holds synthetic rows, which are not promoted" if report["synthetic"] else "was made from masked values"
        typer.echo(f"{name} {why}: production builds it, by the promoted code")
    for name in report["replayed"]:
        typer.echo(f"{name}: its comments, partitioning and order, or the view")
    if not report["promoted"] and not report["left_to_production"] and not report["replayed"]:
        note("no table to promote")
    if report["commit"]:
        note(f"code: {report['commit'][:12]}")
    note(f"{report['rows_recomputed']} rows recomputed, {report['seconds']:.1f} s")


def _write_junit(report: "Json", path: Path) -> None:
    from mesh_assets.kitchen.junit import xml

    try:
        path.write_text(xml(report), encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}\n    Name a file that you may write.") from None
