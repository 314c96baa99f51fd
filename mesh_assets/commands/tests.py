"""`mesh test`: execute tests; and, as a group, find and write them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mesh_assets.commands.common import AsJson, MeshDir, Names, environment, me, note, print_json
from mesh_assets.errors import UsageError, nearest

PLAIN = "test"


class TestGroup(TyperGroup):
    """A group that is a command, too: without one of its own words first, it is `mesh test [TABLE]`.

    A table that is named as a command is spelt `domain/table`.
    """

    __test__ = False  # pytest: this is not a test

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - Typer's own
        super().__init__(**settings)
        self.plain = self.commands.pop(PLAIN)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:  # noqa: ANN401 - Typer's own
        """The context of the plain command, unless a word of the group comes first."""
        if args and args[0] in self.commands:
            return super().make_context(info_name, args, parent, **extra)
        return self.plain.make_context(info_name, args, parent, **extra)


tests = typer.Typer(cls=TestGroup, rich_markup_mode="markdown", help="Execute tests; find and write them.")


@tests.command(
    PLAIN,
    epilog="Examples: `mesh test`, `mesh test claims --json`, `mesh test --junit report.xml --fail-on warn`, "
    "`mesh test claims --rows 100`, `mesh test claims --explain`, `mesh test --no-cache`",
)
def execute(
    names: Names = None,
    mesh: MeshDir = None,
    *,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Also write JUnit's XML.")] = None,
    fail_on: Annotated[str, typer.Option("--fail-on", metavar="warn|error", help="What makes exit 1.")] = "error",
    explain: Annotated[
        bool, typer.Option("--explain", help="Say how each test would be answered; execute none.")
    ] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Read every row: no statistics, no earlier verdicts.")
    ] = False,
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows",
            metavar="N",
            min=0,
            max=100,
            help="Failing rows of a test to show. Default: 3, in files and JSON 10.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Execute the tests of what is published, and of candidates that are held. Exit 1 when one fails.

    To find and write tests: `mesh test types`, `suggest`, `add`, `edit`, `try`, `remove`.
    """
    from mesh_assets import catalog, console, testing
    from mesh_assets.account import loading
    from mesh_assets.account.look import first_line
    from mesh_assets.audit.result import KEPT
    from mesh_assets.audit.words import is_failure

    if fail_on not in ("warn", "error"):
        message = f"--fail-on is `warn` or `error`, not `{fail_on}`"
        raise typer.BadParameter(message)
    if junit and junit.is_dir():
        message = (
            f"--junit writes a file, and {junit} is a folder\n    Name a file in it: --junit {junit / 'tests.xml'}"
        )
        raise UsageError(message)
    env, _ = environment(mesh)
    chosen = catalog.named(env.mesh, names or ())
    if explain:
        steps = testing.explain(env, chosen, cached=not no_cache)
        print_json(catalog.test_report(steps)) if as_json else console.plan_table(steps)
        raise typer.Exit
    concerned = {name.partition(".")[0] for name in chosen}
    unloadable = {name: told for name, told in loading.unloadable(env).items() if name in concerned}
    why = {name: first_line(told[0]) for name, told in unloadable.items()}
    with console.waiting("testing"):
        items = list(
            testing.test(env, chosen, cached=not no_cache, unloadable=why, rows=KEPT if rows is None else rows)
        )
    if as_json:
        print_json(catalog.test_report(items, {**env.mesh.broken, **unloadable}))
    else:
        console.test_table(items, rows)
    for name, told in unloadable.items():
        note(f"domain `{name}` cannot be loaded, and nothing new of it is built: {told[0]}")
    if junit:
        console.write_junit(items, junit, fail_on=fail_on)
    failed = any(is_failure(item, fail_on=fail_on) for item in items)
    raise typer.Exit(1 if failed else 3 if unloadable else 0)


@tests.command("types", epilog="Examples: `mesh test types`, `mesh test types us_zip`, `mesh test types --json`")
def types(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Default: all of them.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List the kinds of tests of the standard and of the library, or show one with its parameters. With --json, their JSON Schema too."""
    from mesh_assets.audit import library
    from mesh_assets.audit.library import schema
    from mesh_assets.offered import OFFERS

    chosen = [_offer(name)] if name else list(OFFERS.values())
    if as_json:
        kinds = [library.TYPES[one.name] for one in chosen if one.name in library.TYPES]
        standard = [one for one in chosen if one.name not in library.TYPES]
        print_json(
            {
                "schema_version": 1,
                "types": [schema.as_data(kind) for kind in kinds],
                "standard": [
                    {"name": one.name, "label": one.label, "fails": one.help, "scope": str(one.scope)}
                    for one in standard
                ],
                "schema": schema.implementation({kind.name: kind for kind in kinds}),
            }
        )
    elif name is None:
        _table(("test", "of a", "fails, when"), [(one.name, str(one.scope), one.help) for one in chosen])
    else:
        (one,) = chosen
        typer.echo(f"{one.name}: {one.label}\n{one.help}\n")
        _table(
            ("parameter", "is", "help"),
            [(p.name + (" *" if p.needed else ""), p.form.value, p.help) for p in one.parameters],
        )
        typer.echo(f"\n{_example(one)}", nl=False)
        if any(p.needed for p in one.parameters):
            note("* needed")


def _offer(name: str) -> Any:  # noqa: ANN401 - the library is slow to import
    from mesh_assets.offered import OFFERS

    if name not in OFFERS:
        raise UsageError(f"there is no test `{name}` in the library\n    {nearest(name, OFFERS)}")
    return OFFERS[name]


def _example(offer: Any) -> str:  # noqa: ANN401 - an Offer
    """Its example, as it would stand in a contract."""
    import yaml

    values = yaml.safe_load(offer.example) or {} if offer.example else {}
    return yaml.safe_dump([offer.rule(values)], sort_keys=False, default_flow_style=None, width=4096)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from mesh_assets import console

    console.rows_table(head, rows)


Table = Annotated[str, typer.Argument(metavar="TABLE", help="As `domain/table`.")]
ToCommit = Annotated[bool, typer.Option("--commit", help="Commit the contract's file to git, and nothing else.")]
OnBranch = Annotated[
    str,
    typer.Option("--branch", metavar="NAME", help="Commit on this branch, which is made when it is not there."),
]
Write = Annotated[bool, typer.Option("--dry-run", help="Show the change, and write nothing.")]


@tests.command(
    "suggest", epilog="Examples: `mesh test suggest sales/reps`, `mesh test suggest sales/reps --history --accept 3`"
)
def suggest(
    table: Table,
    mesh: MeshDir = None,
    *,
    history: Annotated[bool, typer.Option("--history", help="Only what held on earlier versions, too.")] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept",
            metavar="NAME|N|all",
            help="Write it into the contract: by name, or the first N. Again for more.",
        ),
    ] = None,
    dry_run: Write = False,
    commit: ToCommit = False,
    branch: OnBranch = "",
    as_json: AsJson = False,
) -> None:
    """Profile a table, say what is odd in it, and propose tests, the most promising first.

    Each was tried on the published version, with --history on up to ten before it.
    """
    from datetime import UTC, datetime

    from mesh_assets import console
    from mesh_assets.profile import suggest as suggesting

    env, _ = environment(mesh)
    chosen = one_table(env, table)
    with console.waiting("looking"):
        found = suggesting.suggest(env, chosen, look_back=history, today=datetime.now(UTC).date())
    taken = _taken(found.proposals, accept or [])
    edit = suggesting.accept(env, chosen, taken) if taken else None
    if as_json:
        print_json(_suggestion(found, edit.diff if edit else ""))
    elif edit is None:
        _table(("column", "looks odd", ""), [(one.column, one.screen.label, one.what) for one in found.findings])
        rows = [
            (one.name, str(one.rule.get("severity", "error")), _share(one.catches), str(one.tried), one.why)
            for one in found.proposals
        ]
        _table(("test", "severity", "catches", "held on", "why"), rows)
    else:
        typer.echo(edit.diff, nl=False)
    if edit is not None and not dry_run:
        kept = keep(env, chosen, edit, f"added {', '.join(one.name for one in taken)}", commit=commit, branch=branch)
        said = "1 test is" if len(taken) == 1 else f"{len(taken)} tests are"
        note(f"{said} in {edit.shown}{kept}; now try: mesh test try {chosen.domain}/{chosen.short}")


@tests.command(
    "rate",
    epilog="Examples: `mesh test rate sales/reps`, `mesh test rate sales/reps --suggested --json`, "
    "`mesh test rate sales/reps --seed 7 --at-least 90`",
)
def rate(
    table: Table,
    mesh: MeshDir = None,
    *,
    suggested: Annotated[
        bool,
        typer.Option("--suggested", help="Rate what `mesh test suggest` proposes, in place of the contract's tests."),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Decides which rows are hit.")] = 1,
    share: Annotated[
        float,
        typer.Option("--share", metavar="PERCENT", min=0, max=100, help="How many rows a fault hits, one at least."),
    ] = 5,
    at_least: Annotated[
        float,
        typer.Option("--at-least", metavar="PERCENT", min=0, max=100, help="Exit 1 when fewer faults are caught."),
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Seed faults in a table, one at a time, and say which of them its tests catch; and their false alarms so far.

    The faults are in queries over the published version. Nothing is written.
    """
    from datetime import UTC, datetime

    from mesh_assets import console
    from mesh_assets.profile import rate as rating

    env, _ = environment(mesh)
    chosen = one_table(env, table)
    with console.waiting("seeding faults"):
        found = rating.rate(
            env, chosen, seed=seed, share=share / 100, suggested=suggested, today=datetime.now(UTC).date()
        )
    if as_json:
        print_json(rating.as_json(found, seed=seed, share=share / 100, suggested=suggested))
    else:
        _rated(found)
    raise typer.Exit(1 if 100 * found.caught < at_least else 0)


def _rated(found: Any) -> None:  # noqa: ANN401 - a Rating
    rows = []
    for name, (caught, all_) in found.by(lambda each: each.seeded.fault.name).items():
        missed = [
            each.seeded.column or "the table"
            for each in found.verdicts
            if each.seeded.fault.name == name and not each.caught
        ]
        words = next(each.seeded.fault.help for each in found.verdicts if each.seeded.fault.name == name)
        rows.append((name, words, f"{caught} of {all_}", "; ".join(missed)))
    _table(("fault", "what is wrong", "caught", "missed in"), rows)
    columns = found.by(lambda each: each.seeded.column or "the table")
    _table(
        ("column", "caught"),
        [(name, f"{caught} of {all_}") for name, (caught, all_) in columns.items() if ", " not in name],
    )
    typer.echo(
        f"{_share(found.caught)} of {len(found.verdicts)} faults are caught, {_share(found.stopped)} hold the version, by {len(found.tests)} tests"
    )
    typer.echo(f"false alarms on {len(found.alarms)} of {len(found.versions)} versions that were served")
    if found.failing:
        note(f"{len(found.failing)} tests fail already and can notice nothing: {', '.join(found.failing)}")
    for number, names in found.alarms.items():
        note(f"version {number}: {', '.join(names)}")


@tests.command(
    "add",
    epilog="Examples: `mesh test add sales/reps us_state --column state --set at_most=2 --severity warning`, "
    "`mesh test add sales/reps row_count --set least=10 --branch mesh/tests`",
)
def add(
    table: Table,
    test: Annotated[str, typer.Argument(metavar="TEST", help="One of `mesh test types`.")],
    mesh: MeshDir = None,
    *,
    column: Annotated[str, typer.Option("--column", metavar="NAME", help="For a test of a column.")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A parameter, as YAML. Again for more.")
    ] = None,
    name: Annotated[str, typer.Option("--id", metavar="NAME", help="Default: made of column and test.")] = "",
    severity: Annotated[
        str, typer.Option("--severity", metavar="error|warning", help="What a failure means.")
    ] = "error",
    dry_run: Write = False,
    commit: ToCommit = False,
    branch: OnBranch = "",
    as_json: AsJson = False,
) -> None:
    """Add a test of the library to a table's contract. Exit 2 when it cannot be told so."""
    from mesh_assets import authoring

    env, _ = environment(mesh)
    chosen = one_table(env, table)
    rule: dict[str, Any] = {"id": name or "__".join(part for part in (column, test) if part)}
    rule |= {**_offer(test).written(_settings(set_ or [])), "severity": severity}
    edit = authoring.add(env.mesh, chosen, [(column, rule)])
    finish(env, chosen, edit, f"added {rule['id']}", dry_run=dry_run, commit=commit, branch=branch, as_json=as_json)


@tests.command(
    "edit",
    epilog="Examples: `mesh test edit sales/reps state__us_state --set severity=error`, "
    "`mesh test edit sales/reps state__pattern --set value='^[A-Z]{2}$' --set severity=warning --commit`",
)
def edit(
    table: Table,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The test's name.")],
    mesh: MeshDir = None,
    *,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of the rule, as YAML; empty: take it out."),
    ] = None,
    dry_run: Write = False,
    commit: ToCommit = False,
    branch: OnBranch = "",
    as_json: AsJson = False,
) -> None:
    """Change a rule of a table's contract: a key of it, or a parameter as `implementation.KEY=VALUE`.

    Of what a column says in its own keys, such as `required` or `pattern`: `value` and `severity`.
    """
    from mesh_assets import authoring, handwritten

    env, _ = environment(mesh)
    chosen, changes = one_table(env, table), _settings(set_ or [])
    edit = handwritten.of_key(env.mesh, chosen, name, changes) or authoring.edit(env.mesh, chosen, name, changes)
    finish(env, chosen, edit, f"changed {name}", dry_run=dry_run, commit=commit, branch=branch, as_json=as_json)


@tests.command("remove", epilog="Example: `mesh test remove sales/reps state__us_state`")
def remove(
    table: Table,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The test's name.")],
    mesh: MeshDir = None,
    *,
    dry_run: Write = False,
    commit: ToCommit = False,
    branch: OnBranch = "",
    as_json: AsJson = False,
) -> None:
    """Take a rule out of a table's contract, or what a column says in its own keys."""
    from mesh_assets import handwritten

    env, _ = environment(mesh)
    chosen = one_table(env, table)
    edit = handwritten.take_out(env.mesh, chosen, name)
    finish(env, chosen, edit, f"removed {name}", dry_run=dry_run, commit=commit, branch=branch, as_json=as_json)


@tests.command("try", epilog="Examples: `mesh test try sales/reps`, `mesh test try sales/reps us_state --column state`")
def try_(
    table: Table,
    test: Annotated[
        str | None,
        typer.Argument(
            metavar="TEST", help="A test of the library that is not written yet; default: the contract's own."
        ),
    ] = None,
    mesh: MeshDir = None,
    *,
    column: Annotated[str, typer.Option("--column", metavar="NAME", help="For a test of a column.")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A parameter, as YAML. Again for more.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Execute tests on the published version without keeping what they say. Exit 1 when one fails."""
    from mesh_assets import catalog, console, testing
    from mesh_assets.audit.words import is_failure

    env, _ = environment(mesh)
    chosen = one_table(env, table)
    rule = {"id": "tried", **_offer(test).written(_settings(set_ or []))} if test else None
    items = list(testing.tried(env, chosen, column, rule))
    if as_json:
        print_json(catalog.test_report(items))
    else:
        console.test_table(items)
    raise typer.Exit(1 if any(is_failure(item) for item in items) else 0)


def one_table(env: Any, word: str) -> Any:  # noqa: ANN401 - the environment is slow to import
    """The table that a word names, and no other."""
    from mesh_assets import catalog

    names = sorted(catalog.named(env.mesh, [word]))
    if len(names) != 1:
        raise UsageError(f"`{word}` is a domain of {len(names)} tables\n    Name one of them, as `domain/table`.")
    return env.mesh.tables[names[0]]


def _settings(words: Sequence[str]) -> dict[str, Any]:
    """`key=value` as data: the value is YAML."""
    from mesh_assets.reading.source import parse

    found: dict[str, Any] = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key:
            raise UsageError(
                f"`--set {word}` is no KEY=VALUE\n    Write `--set at_most=2`, or `--set columns='[a, b]'`."
            )
        found[key] = parse(f"value: {value}\n", f"--set {key}").root["value"]
    return found


def _taken(proposals: Sequence[Any], words: Sequence[str]) -> list[Any]:
    by_name = {one.name: one for one in proposals}
    taken: dict[str, Any] = {}
    for word in words:
        if word == "all":
            taken |= by_name
        elif word.isdigit():
            taken |= {one.name: one for one in proposals[: int(word)]}
        elif word in by_name:
            taken[word] = by_name[word]
        else:
            raise UsageError(f"`{word}` is not proposed\n    {nearest(word, by_name)}")
    return list(taken.values())


def _share(share: float) -> str:
    return f"{100 * share:.0f} %"


def _suggestion(found: Any, diff: str) -> dict[str, object]:  # noqa: ANN401 - as suggested
    return {
        "schema_version": 1,
        "table": found.table.replace(".", "/", 1),
        "version": found.version,
        "rows": found.profile.rows,
        "proposals": [
            {
                "name": one.name,
                "column": one.column or None,
                "rule": dict(one.rule),
                "why": one.why,
                "catches": one.catches,
                "held_on": one.tried,
            }
            for one in found.proposals
        ],
        "findings": [
            {
                "column": one.column,
                "screen": one.screen.name,
                "label": one.screen.label,
                "likelihood": one.screen.likelihood,
                "what": one.what,
            }
            for one in found.findings
        ],
        "diff": diff,
    }


def finish(
    env: Any,  # noqa: ANN401 - slow to import, as the next two
    table: Any,  # noqa: ANN401
    edit: Any,  # noqa: ANN401
    what: str,
    *,
    dry_run: bool,
    commit: bool,
    branch: str,
    as_json: bool,
) -> None:
    """Show a change of a contract and, unless it is only to be shown, write it and remember it."""
    said = "" if dry_run else keep(env, table, edit, what, commit=commit, branch=branch)
    if as_json:
        print_json({"schema_version": 1, "file": edit.shown, "diff": edit.diff, "written": not dry_run})
    else:
        typer.echo(edit.diff, nl=False)
    if not dry_run:
        note(f"{edit.shown} is written{said}; `mesh run` tests the next version by it")


def keep(env: Any, table: Any, edit: Any, what: str, *, commit: bool, branch: str) -> str:  # noqa: ANN401 - as of `finish`
    """Write a change and remember it; with what was committed, in words."""
    from mesh_assets import edits

    kept = edits.keep(env, table.name, edit, what, by=me(), wanted=wanted(commit=commit, branch=branch))
    return committed(kept)


def wanted(*, commit: bool, branch: str) -> Any:  # noqa: ANN401 - how it is to be committed
    """What the options `--commit` and `--branch` ask for: the second says the first."""
    from mesh_assets.committing import Wanted

    return Wanted(branch=branch) if commit or branch else None


def committed(kept: Any) -> str:  # noqa: ANN401 - a change that is kept
    """What was committed, in words; empty when nothing was."""
    return f" and committed on {kept.branch} as {kept.commit[:10]}" if kept.commit else ""
