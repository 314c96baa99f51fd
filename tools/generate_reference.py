"""Writes the pages of docs/reference that the code itself can tell: `python -m tools.generate_reference`."""

import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from typer.main import get_command

from mesh_assets.agent.tool import KINDS, Tool
from mesh_assets.agent.tools import READING, WRITING
from mesh_assets.audit.library import ELSEWHERE, TYPES
from mesh_assets.changes.model import MEANINGS, MODES, effect
from mesh_assets.cli import app
from mesh_assets.settings import Settings

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
MADE = "<!-- Made by `python -m tools.generate_reference`. Change the code, then run it again. -->"
ATTRIBUTE = re.compile(r"^ {4}(\w+): (.+?)(?=^ {4}\w+: |\Z)", re.DOTALL | re.MULTILINE)


DECIDED = {
    "binding": "its SQL stands on the new columns, or it does not",
    "values": "its own contracts ask for what is promised no longer, or its own tests fail on rows under the new schema",
    "use": "no test can see it, so using the column is enough",
}


class Parameter(Protocol):
    """What is read of an option or an argument of a command."""

    name: str
    opts: Sequence[str]
    metavar: str | None
    nargs: int
    required: bool
    default: object
    help: str | None


class Command(Protocol):
    """What is read of a command, or of a group of them."""

    help: str
    epilog: str | None
    params: Sequence[Parameter]
    commands: Mapping[str, "Command"]


def main() -> None:
    """Write every generated page."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        sys.stderr.write(f"docs/reference/{name}\n")


def pages() -> dict[str, str]:
    """The generated pages by file name, as they should be."""
    made = {
        "agent-tools.md": _agent(),
        "changes.md": _changes(),
        "cli.md": _cli(),
        "settings.md": _settings(),
        "test-library.md": _library(),
    }
    return {name: "\n".join(lines) for name, lines in made.items()}


def _agent() -> Iterator[str]:
    yield f"{MADE}\n\n# Tools of an agent\n"
    yield "What `mesh mcp` offers. [How an agent is let in](../how-to/let-an-agent-read-the-mesh.md). Each answers with one JSON object, as text and"
    yield "as structured content; what is wrong with a question comes back as the tool's error, with its mend.\n"
    yield "| tool | is for | hints |\n|---|---|---|"
    for tool in (*READING.values(), *WRITING.values()):
        yield f"| [`{tool.name}`](#{tool.name}) | {tool.title} | {_hints(tool)} |"
    yield "\nThose that are not read-only are offered only where `agent.writes` of [mesh.yaml](files.md#meshyaml) names them.\n"
    for tool in (*READING.values(), *WRITING.values()):
        yield f"## {tool.name}\n\n{tool.help}\n"
        if tool.parameters:
            yield "| is told | | |\n|---|---|---|"
            for one in tool.parameters:
                choices = f" {', '.join(f'`{choice}`' for choice in one.choices)}." if one.choices else ""
                default = f" Default: `{str(one.default).lower()}`." if one.schema.get("default") is not None else ""
                yield f"| `{one.name}`{' (needed)' if one.needed else ''} | {KINDS[one.kind]} | {one.help}{choices}{default} |"
            yield ""


def _hints(tool: Tool) -> str:
    if not tool.writes:
        return "read-only"
    told = {"destructive": tool.destructive, "idempotent": tool.idempotent, "open world": tool.open_world}
    return ", ".join(["writes", *(word for word, holds in told.items() if holds)])


def _changes() -> Iterator[str]:
    yield f"{MADE}\n\n# Changes\n"
    yield "Every kind of change, and what it means under each `compatibility` of an output port. The meaning is that of tables."
    yield "**Backward**: rows written under the new schema, read by SQL that was right under the old one."
    yield "**Forward**: rows written under the old schema, read by SQL that is right under the new one.\n"
    yield "`full` is both, `none` asks nothing. The `*_transitive` modes mean the same, against every version of the same major"
    yield "version instead of the last alone. [What is done about it](../how-to/change-a-port.md).\n"
    yield f"| kind | {' | '.join(f'`{mode}`' for mode in MODES[:4])} | backward, because | forward, because | step |"
    yield "|---|---|---|---|---|---|---|---|"
    for kind, meaning in MEANINGS.items():
        effects = " | ".join(str(effect(kind, mode)) for mode in MODES[:4])
        yield f"| `{kind}` | {effects} | {meaning.why_backward} | {meaning.why_forward} | {meaning.step} |"
    yield "\n`step`: of the contract's version, where the change is compatible. A breaking one needs a major step; one that is breaking"
    yield "backward only, and that hits no reader, needs the step of the table.\n"
    yield "How it is known whether a reader that uses the column is hit:\n"
    for word, told in DECIDED.items():
        kinds = ", ".join(f"`{kind}`" for kind, meaning in MEANINGS.items() if meaning.decided == word)
        yield f"- **{word}**: {told}: {kinds}"
    yield ""


def _cli() -> Iterator[str]:
    command = get_command(app)
    yield f"{MADE}\n\n# The `mesh` command\n\n{app.info.help}\n"
    yield "Data goes to stdout, notes and progress to stderr."
    yield "With `--json`, stdout holds [one JSON document](json.md) and nothing else.\n"
    yield "| exit | means |\n|---|---|"
    yield "| 0 | all is well |"
    yield "| 1 | a test of severity `error` failed, or a table is held |"
    yield "| 2 | wrong use, or a file of the mesh says something it must not |"
    yield "| 3 | it could not run: no lake, disk full, code that raised |"
    yield "| 130 | you stopped it; what was published stays |\n"
    yield "`mesh --version` says the version. `--mesh DIR` may stand before the command as well: `mesh --mesh DIR check`.\n"
    for name, sub in leaves(command):
        yield from _command(name, sub.help, sub.epilog, sub.params)


def leaves(command: Command, above: str = "") -> Iterator[tuple[str, Command]]:
    """Every command by its words, as `kitchen open`, groups opened up."""
    for name, sub in command.commands.items():
        words = f"{above} {name}".strip()
        if hasattr(sub, "commands"):
            if hasattr(sub, "plain"):  # a group that is a command, too
                yield words, sub.plain
            yield from leaves(sub, words)
        else:
            yield words, sub


def _command(name: str, told: str, epilog: str | None, parameters: Sequence[Parameter]) -> Iterator[str]:
    words = [parameter for parameter in parameters if not parameter.opts[0].startswith("-")]
    usage = [_usage(word) for word in words]
    yield f"## mesh {name}\n\n```text\n{' '.join(['mesh', name, *usage, '[OPTIONS]'])}\n```\n"
    yield re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc(told)) + "\n"
    yield "| | |\n|---|---|"
    for parameter in parameters:
        yield f"| `{_spelt(parameter)}` | {_told(parameter)} |"
    yield f"| `--help`, `-h` | Show this and exit. |\n\n{epilog}\n"


def _usage(word: Parameter) -> str:
    name = word.metavar or word.name
    return f"[{name}]..." if word.nargs == -1 else name if word.required else f"[{name}]"


def _spelt(parameter: Parameter) -> str:
    if not parameter.opts[0].startswith("-"):
        return (parameter.metavar or parameter.name).replace("|", r"\|")
    value = parameter.metavar or ("" if isinstance(parameter.default, bool) else parameter.name.upper())
    return " ".join(part for part in (parameter.opts[0], value) if part).replace("|", r"\|")


def _told(parameter: Parameter) -> str:
    parts = [parameter.help or ""]
    if parameter.default not in (None, "") and not isinstance(parameter.default, bool):
        parts.append(f"Default: `{parameter.default}`.")
    return " ".join([*parts, *(["Needed."] if parameter.required else [])])


def _settings() -> Iterator[str]:
    yield f"{MADE}\n\n# Environment variables\n"
    yield "Read once, when a command or a code location starts. Everything else is in [files](files.md).\n"
    yield "| variable | means | default |\n|---|---|---|"
    said = dict(ATTRIBUTE.findall(inspect.cleandoc(Settings.__doc__ or "")))
    for name, field in Settings.model_fields.items():
        default = f"`{field.default}`" if field.default not in (None, "") else "–"
        yield f"| `MESH_{name.upper()}` | {' '.join(said[name].split())} | {default} |"
    yield "\nDagster's own variables work as ever."
    yield "`mesh dev` sets `DAGSTER_HOME` to `dagster/` in the mesh's home, unless you have set it.\n"
    yield "A relative path in `MESH_HOME` is relative to where the command is started.\n"


def _library() -> Iterator[str]:
    yield f"{MADE}\n\n# The library of tests\n"
    yield "Tests beyond [those of the standard](tests.md), written under `quality:` of a column or of the table:\n"
    yield "```yaml\n- id: zip_is_one\n  type: custom\n  engine: mesh\n  implementation: {test: us_zip, at_most: 1, unit: percent}\n  severity: warning\n```\n"
    yield f"There are {len(TYPES)}. Null passes where nothing else is said. Tests on rows (*rows* below) also take"
    yield "`when` (a condition: other rows are not looked at), `at_most` and `unit` (`rows` or `percent`: so many may fail)."
    yield "Tests that measure numbers leave NaN and infinity out."
    yield "*Theirs* is the name in DataKitchen TestGen.\n"
    yield "| test | of a | a failure means | theirs |\n|---|---|---|---|"
    for kind in TYPES.values():
        how = ", rows" if kind.rowwise else ", history" if kind.history else ""
        yield f"| [`{kind.name}`](#{kind.name}) | {kind.scope}{how} | {kind.help} | {', '.join(f'`{one}`' for one in kind.theirs) or '–'} |"
    yield (
        "\nOf TestGen's, the standard itself has: " + ", ".join(f"`{a}` (`{b}`)" for a, b in ELSEWHERE.items()) + ".\n"
    )
    for kind in TYPES.values():
        yield f"## {kind.name}\n\n**{kind.label}.** {kind.help} Dimension: {kind.dimension}.\n"
        if kind.parameters:
            yield "| parameter | is | |\n|---|---|---|"
            for one in kind.parameters:
                choices = f" {', '.join(f'`{choice}`' for choice in one.choices)}." if one.choices else ""
                default = f" Default: `{one.default}`." if one.default not in (None, "") else ""
                yield f"| `{one.name}`{' (needed)' if one.needed else ''} | {one.form} | {one.help}{choices}{default} |"
            yield ""
        given = "".join(f", {line}" for line in kind.example.splitlines())
        yield f"```yaml\nimplementation: {{test: {kind.name}{given}}}\n```\n"


if __name__ == "__main__":
    main()
