"""The first page of the help: every command is where a newcomer would look for it."""

import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mesh_assets.__main__ import main as command
from mesh_assets.cli import PANELS, app
from mesh_assets.commands.common import OUTSIDE


def test_every_command_is_in_a_panel_and_a_newcomer_meets_them_in_order():
    listed = [name for names in PANELS.values() for name in names]
    assert sorted(get_command(app).commands) == sorted(listed)
    said = CliRunner().invoke(app, ["--help"]).output
    titles = [said.index(f" {panel} ") for panel in PANELS]
    assert titles == sorted(titles)
    assert said.index("│ init") < said.index("│ check") < said.index("│ run") < said.index("│ test")
    assert "Begin with mesh init shop" in said


def test_every_command_for_one_environment_takes_a_kitchen():
    """Also `mesh test`, which is a group and a command."""

    def without(command: object, above: str) -> list[str]:
        below = [*getattr(command, "commands", {}).items()]
        found = [each for name, sub in below for each in without(sub, f"{above} {name}")]
        plain = [command.plain] if hasattr(command, "plain") else [] if below else [command]
        return found + [above for one in plain if all(each.name != "kitchen" for each in one.params)]

    commands = get_command(app).commands.items()
    assert [each for name, command in commands if name not in OUTSIDE for each in without(command, name)] == []


def test_ctrl_c_while_it_is_imported_ends_it_in_a_word(monkeypatch, capsys):
    class Importing:
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "mesh_assets.cli", Importing())
    with pytest.raises(SystemExit) as stop:
        command()
    assert (stop.value.code, capsys.readouterr().err) == (130, "stopped\n")
