"""`mesh test`: execute tests; and, as a group, find, write and rate them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mesh_assets.commands.common import AsJson, MeshDir, Names, environment, note, print_json

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


tests = typer.Typer(cls=TestGroup, rich_markup_mode="markdown", help="Execute tests; find, write and rate them.")


@tests.command(
    PLAIN, epilog="Examples: `mesh test`, `mesh test claims --json`, `mesh test --junit report.xml --fail-on warn`"
)
def execute(
    names: Names = None,
    mesh: MeshDir = None,
    *,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Also write JUnit's XML.")] = None,
    fail_on: Annotated[str, typer.Option("--fail-on", metavar="warn|error", help="What makes exit 1.")] = "error",
    as_json: AsJson = False,
) -> None:
    """Execute the tests of what is published, and of candidates that are held. Exit 1 when one fails.

    To find, write and rate tests: `mesh test types`, `suggest`, `add`, `edit`, `try`, `remove`, `rate`.
    """
    from mesh_assets import catalog, console, testing

    if fail_on not in ("warn", "error"):
        message = f"--fail-on is `warn` or `error`, not `{fail_on}`"
        raise typer.BadParameter(message)
    env, _ = environment(mesh)
    chosen = catalog.named(env.mesh, names or ())
    with console.waiting("testing"):
        items = list(testing.test(env, chosen))
    if as_json:
        print_json(catalog.test_report(items))
    else:
        console.test_table(items)
    if junit:
        console.write_junit(items, junit, fail_on=fail_on)
    raise typer.Exit(1 if any(testing.is_failure(item, fail_on=fail_on) for item in items) else 0)


@tests.command("types", epilog="Examples: `mesh test types`, `mesh test types us_zip`, `mesh test types --json`")
def types(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Default: all of them.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List the kinds of tests of the library, or show one with its parameters. With --json, their JSON Schema too."""
    from mesh_assets.audit import library
    from mesh_assets.audit.library import schema
    from mesh_assets.errors import UsageError, nearest

    if name is not None and name not in library.TYPES:
        raise UsageError(f"there is no test `{name}` in the library\n    {nearest(name, library.TYPES)}")
    chosen = [library.TYPES[name]] if name else list(library.TYPES.values())
    if as_json:
        data = [schema.as_data(kind) for kind in chosen]
        print_json(
            {"schema_version": 1, "types": data, "schema": schema.implementation({one.name: one for one in chosen})}
        )
    elif name is None:
        _table(("test", "of a", "fails, when"), [(one.name, str(one.scope), one.help) for one in chosen])
    else:
        (one,) = chosen
        typer.echo(f"{one.name}: {one.label}\n{one.help}\n")
        _table(
            ("parameter", "is", "help"),
            [(p.name + (" *" if p.needed else ""), p.form.value, p.help) for p in one.every_parameter],
        )
        lines = [
            "type: custom",
            "engine: mesh",
            f"implementation: {{test: {one.name}{''.join(', ' + line for line in one.example.splitlines())}}}",
        ]
        typer.echo("\n- " + "\n  ".join(lines))
        note("* needed")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from mesh_assets import console

    console.rows_table(head, rows)
