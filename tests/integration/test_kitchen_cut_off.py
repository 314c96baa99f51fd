"""PostgreSQL goes away in the middle of open, promote and close: a person reads why, and the same command again ends well."""

import os
import sys
import traceback
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import pytest

from mesh_assets.errors import MeshError
from mesh_assets.kitchen import closing
from tests.conftest import PASSWORD, Server, missing, postgres_programs
from tests.integration.test_kitchen_killed import AFTER, BEFORE, WATCHED, Children, Stage, _children, preloaded

__all__ = ["preloaded"]

TOLD = 3


@dataclass
class Away(Stage):
    """The server that it stops is one of its own."""

    server: Server | None = None

    def close(self) -> None:
        """As the command does it, which also closes what is half closed."""
        closing.close(self.root, self.place.settings, self.name, force=True)

    def closed(self) -> None:
        self.agrees(BEFORE)
        self.is_empty()


def act_without(stage: Away, word: str, at: str, said: Path) -> None:
    """In a child: do it, and at the call of a function the server stops; what is raised then is written down."""
    done = False

    def watch(frame: FrameType, what: str, _: object) -> None:
        nonlocal done
        if (
            not done
            and what == "call"
            and frame.f_code.co_name == at
            and any(w in frame.f_code.co_filename for w in WATCHED)
        ):
            done = True
            stage.server.stop()

    sys.setprofile(watch)
    try:
        getattr(stage, word)()
    except MeshError as error:
        sys.setprofile(None)
        said.write_text(str(error), encoding="utf-8")
        os._exit(TOLD)
    except BaseException:  # noqa: BLE001 - the parent is told by the code, a person by the text
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


@pytest.fixture
def server():
    programs = postgres_programs()
    if programs is None:
        missing("PostgreSQL")
    one = Server(programs)
    yield one
    one.remove()


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("preloaded")
@pytest.mark.parametrize(
    ("opening", "promoting", "closing_"),
    [
        pytest.param(("fork",), ("committing",), ("remove_copy",), id="once each"),
        pytest.param(
            ("copy", "fork", "keep_base"),
            ("harvest", "committing", "merge"),
            ("closing", "remove_copy", "forget"),
            marks=pytest.mark.slow,
            id="everywhere",
        ),
    ],
)
def test_the_server_goes_away_in_the_middle(server, tmp_path, opening, promoting, closing_):
    """Before the ledger is copied, before the fork, after it; before the files are taken, at the commit, before the merge, and more."""
    lake = {
        "lake_catalog": f"postgres:{server.conninfo}",
        "lake_data": str(tmp_path / "data"),
        "lake_schema": f"lake_{uuid.uuid4().hex[:8]}",
    }
    (tmp_path / "mesh").mkdir()
    stage = Away(tmp_path / "mesh", lake, server=server)
    children = Children(stage, tmp_path)
    children.do("make")
    said = tmp_path / "said"

    def cut_off(word: str, at: str) -> None:
        child = _children.Process(target=act_without, args=(stage, word, at, said))
        child.start()
        child.join()
        assert child.exitcode == TOLD, (word, at)
        message = said.read_text(encoding="utf-8")
        assert "\n    " in message, (word, at, message)
        assert "server" in message or "database" in message, (word, at, message)
        assert PASSWORD not in message
        server.start()

    for at in opening:
        cut_off("open", at)
        stage.agrees(BEFORE)
        children.do("open")
        if at != opening[-1]:
            children.do("close", "closed")
    children.do("test")
    for at in promoting:
        cut_off("promote", at)
        stage.agrees(BEFORE, AFTER)
        children.do("promoted_again")
        if at != promoting[-1]:
            children.do("revert", "close", "open", "test")
    children.do("revert")
    for at in closing_:
        cut_off("close", at)
        stage.agrees(BEFORE)
        children.do("close", "closed")
        if at != closing_[-1]:
            children.do("open")
