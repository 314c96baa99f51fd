"""The first page of the help: every command is where a newcomer would look for it."""

from typer.main import get_command
from typer.testing import CliRunner

from mesh_assets.cli import PANELS, app


def test_every_command_is_in_a_panel_and_a_newcomer_meets_them_in_order():
    listed = [name for names in PANELS.values() for name in names]
    assert sorted(get_command(app).commands) == sorted(listed)
    said = CliRunner().invoke(app, ["--help"]).output
    titles = [said.index(f" {panel} ") for panel in PANELS]
    assert titles == sorted(titles)
    assert said.index("│ init") < said.index("│ check") < said.index("│ run") < said.index("│ test")
    assert "Begin with mesh init shop" in said
