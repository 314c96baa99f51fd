"""`mesh quarantine`: rows that a rule has set aside, looked at, mended and published, or given up."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mesh_assets.commands.common import AsJson, Commands, MeshDir, Names, environment, note, print_json
from mesh_assets.errors import UsageError
from mesh_assets.numerals import many

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Rows that failed a rule with `action: quarantine`: look at them, mend and publish them, or give them up.",
)
Table = Annotated[str, typer.Argument(metavar="TABLE", help="As `domain/table`.")]
Ids = Annotated[
    list[str] | None,
    typer.Option("--row", metavar="ID", help="Only this row, by its `_quarantine_id`. Again for more."),
]
Rules = Annotated[
    list[str] | None, typer.Option("--rule", metavar="NAME", help="Only rows that failed this test. Again for more.")
]


@app.command("list", epilog="Examples: `mesh quarantine list`, `mesh quarantine list sales --json`")
def list_(
    names: Names = None,
    mesh: MeshDir = None,
    *,
    given_up: Annotated[bool, typer.Option("--given-up", help="What was discarded instead, and why.")] = False,
    as_json: AsJson = False,
) -> None:
    """How many rows of each table wait, what they failed, and since when."""
    from mesh_assets import catalog, console, replaying

    env, _ = environment(mesh)
    chosen = catalog.named(env.mesh, names or ())
    if given_up:
        found = [
            one | {"table": one["table"].replace(".", "/", 1)}
            for one in replaying.discards(env)
            if one["table"] in chosen
        ]
        if as_json:
            print_json({"schema_version": 1, "given_up": found})
        else:
            console.rows_table(
                ("table", "rows", "rules", "reason", "by", "at"),
                [
                    (one["table"], one["rows"], ", ".join(one["rules"]), one["reason"], one["author"], one["at"])
                    for one in found
                ],
                empty="No row was given up.",
            )
        return
    waiting = replaying.waiting(env, chosen)
    if as_json:
        print_json({"schema_version": 1, "tables": waiting})
        return
    told = [
        (
            one["table"],
            one["rows"],
            ", ".join(f"{rule} ({count})" for rule, count in one["rules"].items()),
            one["since"],
        )
        for one in waiting
    ]
    console.rows_table(("table", "rows", "rules", "since"), told, empty="No row waits in quarantine.")


@app.command(
    epilog="Examples: `mesh quarantine show sales/orders`, `mesh quarantine show sales/orders --rule state__known --json`"
)
def show(
    table: Table,
    mesh: MeshDir = None,
    *,
    row: Ids = None,
    rule: Rules = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="So many rows at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Rows that wait, the oldest first. Masked columns are `•••`; what no contract names is not shown."""
    from mesh_assets import console, replaying

    env, _ = environment(mesh)
    chosen = _one(env, table)
    names, rows, total = replaying.shown(env, chosen, _chosen(row, rule), limit=limit)
    if as_json:
        print_json({"schema_version": 1, "table": f"{chosen.domain}/{chosen.short}", "total": total, "rows": rows})
        return
    console.rows_table(names, [tuple(one.values()) for one in rows])
    if total > len(rows):
        note(f"{len(rows)} of {total:,} rows; --limit shows more")


@app.command(
    epilog="Examples: `mesh quarantine replay sales/orders`, "
    '`mesh quarantine replay sales/orders --rule state__known --set "state=upper(trim(state))"`, '
    "`mesh quarantine replay sales/orders --csv mended.csv --json`"
)
def replay(
    table: Table,
    mesh: MeshDir = None,
    *,
    row: Ids = None,
    rule: Rules = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="COLUMN=SQL", help="Mend a column: an expression of the row. Again for more."),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Mend rows: `_quarantine_id`, and the columns to change."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Publish rows that pass by now, because their rule has changed or they are mended. All tests are asked of the result.

    Rows that still fail wait on, as they were. Exit 1 when nothing is published.
    """
    from mesh_assets import replaying

    env, _ = environment(mesh)
    chosen = _one(env, table)
    if csv is not None and not csv.is_file():
        raise UsageError(f"there is no file {csv}\n    Name a CSV with a header.")
    patch = replaying.Patch(changes=_changes(set_ or []), file=csv)
    done = replaying.replay(env, chosen, _chosen(row, rule), patch)
    outcome = done.outcome
    if as_json:
        print_json(
            {
                "schema_version": 1,
                "table": f"{chosen.domain}/{chosen.short}",
                "asked": done.asked,
                "published": done.mended,
                "failing": dict(done.failing),
                "version": outcome.version if outcome and done.mended else None,
                "message": outcome.message if outcome else "",
            }
        )
    elif done.mended and outcome:
        typer.echo(f"{done.mended:,} of {done.asked:,} waiting rows published, as version {outcome.version}")
    else:
        typer.echo(outcome.message if outcome else f"none of {done.asked:,} waiting rows passes")
    for name, count in done.failing.items() if not as_json else ():
        note(f"{name} still fails: {count:,}")
    if done.mended and chosen.load.value == "full":
        note("This table is loaded whole: the next build reads its inputs again. Mend them, too.")
    raise typer.Exit(0 if done.mended else 1)


@app.command(
    epilog='Example: `mesh quarantine discard sales/orders --rule state__known --reason "test orders, see ticket 17"`'
)
def discard(
    table: Table,
    mesh: MeshDir = None,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the ledger.")],
    row: Ids = None,
    rule: Rules = None,
    everything: Annotated[bool, typer.Option("--all", help="All rows of the table that wait.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give rows up: they leave the quarantine and are published nowhere. Earlier versions of the lake still hold them."""
    from mesh_assets import replaying

    env, _ = environment(mesh)
    chosen = _one(env, table)
    if not (row or rule or everything):
        raise UsageError("it does not say which rows\n    Name them: --row ID, --rule NAME or --all")
    count = replaying.discard(env, chosen, _chosen(row, rule), reason)
    if as_json:
        print_json({"schema_version": 1, "table": f"{chosen.domain}/{chosen.short}", "rows": count, "reason": reason})
    else:
        note(f"{many(count, 'row')} of {chosen.domain}/{chosen.short} given up")
    if chosen.load.value == "full" and not as_json:
        note("This table is loaded whole: they come again with the next build for as long as its inputs hold them.")


def _one(env: Any, word: str) -> Any:  # noqa: ANN401 - the environment is slow to import
    from mesh_assets import catalog

    names = sorted(catalog.named(env.mesh, [word]))
    if len(names) != 1 or word in env.mesh.domains:
        raise UsageError(f"`{word}` is a domain\n    Name one of its tables, as `domain/table`.")
    return env.mesh.tables[names[0]]


def _chosen(ids: list[str] | None, rules: list[str] | None) -> Any:  # noqa: ANN401 - slow to import
    from mesh_assets.replaying import Chosen

    return Chosen(ids=tuple(ids or ()), rules=tuple(rules or ()))


def _changes(words: list[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, sign, expression = word.partition("=")
        if not sign or not name.strip() or not expression.strip():
            raise UsageError(f'`--set {word}` is no COLUMN=SQL\n    Write `--set "state=upper(state)"`.')
        found[name.strip()] = expression.strip()
    return found
