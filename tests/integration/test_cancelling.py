"""A launch that is cancelled ends the step that is running for it, whatever builds the table; the lake is as it was."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from mesh_assets import catalog
from mesh_assets.account.look import look
from mesh_assets.orchestration.instance import open_instance
from mesh_assets.order import Standing, due
from tests.making import Place

YAML = "mesh: test\npipelines:\n  report: {delivers: desk/slow}\n"
CODE = "from pathlib import Path\nimport time\n\nHERE = Path(__file__).parent\n"
WAITS = "(HERE / 'began').touch()\n{0}while (HERE / 'wait').exists():\n{0}    time.sleep(0.05)\n"
FUNCTION = "\nimport mesh_assets\n\n\n@mesh_assets.table(inputs=['base.items'])\ndef slow(items):\n    "
ASSET = "\nimport dagster as dg\nimport pandas as pd\n\n\n@dg.asset(ins={'items': dg.AssetIn(['base', 'items'])})\ndef slow(items: pd.DataFrame) -> pd.DataFrame:\n    "
NEVER_ENDS = "select sum(a.range * b.range) as n from range(10000000) a, range(1000000) b, {items}"
PROGRAM = "import os, shutil, time\nfrom pathlib import Path\n\nHERE = Path('.')\n"


@pytest.fixture
def place(tmp_path) -> Place:
    """A source, and a table of it in another domain that is slow as long as somebody wants."""
    place = Place(tmp_path)
    place.write("mesh.yaml", YAML)
    place.domain("base", "inputs: [{source: raw/items.csv}]\noutputs: [{port: items}]\n")
    place.contract("base.items", {"id": "BIGINT", "price": "BIGINT"})
    place.write("domains/base/raw/items.csv", "id,price\n1,10\n")
    desk(place)
    return place


def desk(place: Place, more: str = "") -> None:
    """The slow table's domain."""
    place.domain("desk", f"inputs: [{{port: base.items}}]\n{more}")


def slow(place: Place, kind: str) -> None:
    """Let it be built by a query that never ends, by a function, an ordinary asset or a program that waits, by a dbt model that never ends."""
    folder = place.root / "domains/desk"
    if kind == "sql":
        place.sql("desk.slow", NEVER_ENDS.format(items="base.items"))
        return
    if kind == "dbt":
        dbt(place, NEVER_ENDS, hook=f"copy (select 1) to '{folder}/began' (format csv)")
        return
    (folder / "wait").touch()
    indent = "    "
    if kind == "function":
        place.write("domains/desk/assets.py", CODE + FUNCTION + WAITS.format(indent) + indent + "return items\n")
    elif kind == "asset":
        place.write("domains/desk/assets.py", CODE + ASSET + WAITS.format(indent) + indent + "return items\n")
    else:
        desk(
            place,
            "tables:\n  slow: {toolchain: pipes.subprocess, command: [python, slow.py], inputs: [base.items]}\n",
        )
        copies = "shutil.copy(next(Path(os.environ['MESH_INPUTS']).glob('*.parquet')), os.environ['MESH_OUTPUT'])\n"
        place.write("domains/desk/slow.py", PROGRAM + WAITS.format("") + copies)


def dbt(place: Place, query: str, hook: str = "select 1") -> None:
    """A dbt project whose one model is the slow table; `hook` runs just before it."""
    project = "dbt_projects/desk/"
    place.write(
        project + "dbt_project.yml",
        f"""
        name: desk
        version: "1.0.0"
        config-version: 2
        profile: desk
        models: {{desk: {{+materialized: table, +pre-hook: "{hook}"}}}}
        """,
    )
    place.write(project + "models/sources.yml", "version: 2\nsources: [{name: base, tables: [{name: items}]}]\n")
    place.write(project + "models/slow.sql", query.format(items="{{ source('base', 'items') }}"))


def let_go(place: Place) -> None:
    """It need not wait any more."""
    (place.root / "domains/desk/wait").unlink(missing_ok=True)
    if (place.root / "domains/desk/sql").exists():
        place.sql("desk.slow", "select count(*) as n from base.items")
    if (place.root / "dbt_projects").exists():
        dbt(place, "select count(*) as n from {items}")


def command(place: Place, *words: str) -> list[str]:
    """`mesh WORDS` as a person types it."""
    return [str(Path(sys.executable).with_name("mesh")), *words, "--mesh", str(place.root)]


@contextmanager
def at_work(place: Place) -> Iterator[subprocess.Popen]:
    """`mesh run --pipeline report` in a process of its own, by the time that the slow step runs."""
    process = subprocess.Popen(
        command(place, "run", "--pipeline", "report"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline, env = time.monotonic() + 60, place.env()
        began, sql = place.root / "domains/desk/began", (place.root / "domains/desk/sql").exists()
        while "desk.slow" not in env.ledger.building() if sql else not began.exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.communicate()


def assert_left_as_it_was(place: Place) -> None:
    """Nothing of it is published, staged, leased, running or told to anybody, and nobody begins it again."""
    env = place.env()
    assert set(env.lake.tables()) == {"base.items"}
    assert env.lake.clean(timedelta(0)) == 0, "a staged file is left"
    assert env.ledger.building() == {}
    with open_instance(env.home) as instance:
        (newest, *_) = instance.get_runs()
        assert newest.status == dg.DagsterRunStatus.CANCELED
        assert instance.get_latest_materialization_event(dg.AssetKey(["desk", "slow"])) is None
    decided = due(env.mesh, env.state())
    assert decided.build == ()
    assert decided.why["desk.slow"].state is Standing.CANCELLED
    assert look(env).keep() == ()


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("sql", marks=pytest.mark.long),
        pytest.param("function", marks=pytest.mark.slow),
        pytest.param("asset", marks=pytest.mark.slow),
        pytest.param("program", marks=pytest.mark.slow),
        pytest.param("dbt", marks=pytest.mark.slow),
    ],
)
def test_cancelled_from_elsewhere_the_running_step_ends(place, kind):
    slow(place, kind)
    with at_work(place) as process:
        done = subprocess.run(
            command(place, "pipeline", "cancel", "report", "--json"),
            capture_output=True,
            text=True,
            timeout=200,
            check=True,
        )
        assert process.wait(60) == 130
    told = json.loads(done.stdout)
    env = place.env()
    assert (told["state"], told["cancelled_by"], told["launch"]["outcome"]) == (
        "cancelled",
        env.lake.author,
        "cancelled",
    )
    assert told["launch"]["ended"]
    assert [(run["tables"], run["over"]) for run in told["ended_runs"]] == [(["desk/slow"], True)]
    assert {step["table"]: step["state"] for step in told["steps"]} == {
        "base/items": "published",
        "desk/slow": "cancelled",
    }
    assert_left_as_it_was(place)
    assert env.ledger.tries(table="desk.slow")[0].record["message"] == f"cancelled by {env.lake.author}"
    let_go(place)
    assert place.statuses()["desk/slow"] == "published", "who asks for it again gets it"


def test_interrupted_the_launch_is_cancelled_by_who_pressed_the_keys(place):
    slow(place, "function")
    with at_work(place) as process:
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1].splitlines()
        assert process.returncode == 130
    assert said[-2:] == [
        "published before it was stopped: base/items; `mesh run` goes on from there",
        "stopped; what was published stays",
    ]
    env = place.env()
    told = catalog.pipeline_report(env, env.mesh.pipelines["report"])
    assert (told["state"], told["sentence"]) == ("cancelled", f"cancelled by {env.lake.author}")
    assert_left_as_it_was(place)


@pytest.mark.slow
def test_a_query_that_is_interrupted_has_not_failed(place):
    """DuckDB makes an error of the interrupt: a plain run leaves no trace, and the table is due as before."""
    slow(place, "sql")
    process = subprocess.Popen(command(place, "run"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        env = place.env()
        while "desk.slow" not in env.ledger.building():
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
    assert env.ledger.tries(table="desk.slow") == ()
    assert due(env.mesh, env.state()).build == ("desk.slow",)
