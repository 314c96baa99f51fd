"""Tables that are built by programs, in whatever language: handed files, audited and published as any other."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import dagster as dg
import pytest

from mesh_assets import programs
from mesh_assets.errors import RunError
from mesh_assets.orchestration.instance import open_instance
from mesh_assets.settings import with_variables
from tests.conftest import missing
from tests.integration.test_kitchen import git, open_
from tests.making import Place

MODULES = Path(__file__).parents[2] / ".venv" / "node_modules"
SHELL = """
set -eu
echo id,total > "$MESH_OUTPUT"
tail -n +2 "$MESH_INPUTS/shop.orders.csv" | awk -F, '{sum[$1] += $2} END {for (id in sum) print id "," sum[id]}' | sort >> "$MESH_OUTPUT"
"""
PYTHON = """
import os
import duckdb
inputs, output = os.environ["MESH_INPUTS"], os.environ["MESH_OUTPUT"]
duckdb.sql(f"select id, sum(amount)::bigint as total from '{inputs}/shop.orders.parquet' group by id").write_parquet(output)
"""
NODE = """
import { readFileSync, writeFileSync } from 'node:fs'

const rows = readFileSync(`${process.env.MESH_INPUTS}/shop.orders.jsonl`, 'utf8').trim().split('\\n').map(JSON.parse)
const totals = {}
for (const { id, amount } of rows) totals[id] = (totals[id] ?? 0) + amount
writeFileSync(process.env.MESH_OUTPUT, Object.entries(totals).map(([id, total]) => JSON.stringify({ id: +id, total })).join('\\n'))
"""
NODE_PARQUET = """
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { parquetWriteFile } from 'hyparquet-writer'
import { context, log, report } from './pipes.mjs'

const { inputs, output } = context.extras
const rows = await parquetReadObjects({ file: await asyncBufferFromFile(inputs['shop.orders']) })
const totals = new Map()
for (const { id, amount } of rows) totals.set(id, (totals.get(id) ?? 0n) + amount)
await parquetWriteFile({
  filename: output,
  columnData: [
    { name: 'id', data: [...totals.keys()], type: 'INT64' },
    { name: 'total', data: [...totals.values()], type: 'INT64' },
  ],
})
log(`${rows.length} orders were added up`)
report({ orders: rows.length })
"""
PIPES = """
import { appendFileSync, readFileSync } from 'node:fs'
import { inflateSync } from 'node:zlib'

const param = (name) => JSON.parse(inflateSync(Buffer.from(process.env[name], 'base64')))
const send = (method, params) =>
  appendFileSync(param('DAGSTER_PIPES_MESSAGES').path, JSON.stringify({ __dagster_pipes_version: '0.1', method, params }) + '\\n')

export const context = JSON.parse(readFileSync(param('DAGSTER_PIPES_CONTEXT').path))
export const log = (message, level = 'INFO') => send('log', { message, level })
export const report = (metadata) => {
  const values = Object.entries(metadata).map(([name, value]) => [name, { raw_value: value, type: '__infer__' }])
  send('report_asset_materialization', { asset_key: context.asset_keys[0], data_version: null, metadata: Object.fromEntries(values) })
}
"""


@pytest.fixture
def place(tmp_path):
    """A shop whose orders are added up by a program."""
    place = Place(tmp_path / "mesh")
    place.domain("shop", "")
    place.write("domains/shop/raw/orders.csv", "id,amount\n1,10\n2,20\n1,5\n")
    place.contract("shop.orders", {"id": "BIGINT; required: true", "amount": "BIGINT"})
    place.contract("shop.totals", {"id": "BIGINT; required: true; unique: true", "total": "BIGINT"})
    return place


def built_by(place, *command, more=""):
    """Say what builds the table."""
    said = f"""
        inputs: [{{source: raw/orders.csv}}]
        outputs: [{{port: totals}}]
        tables:
          totals:
            toolchain: pipes.subprocess
            command: {list(command)}
            inputs: [orders]
    """
    place.domain("shop", textwrap.dedent(said) + textwrap.indent(textwrap.dedent(more), "    "))


def in_python(place, text, more=""):
    place.write("domains/shop/totals/build.py", text)
    built_by(place, "python", "totals/build.py", more=more)


def totals(place):
    return place.rows("select id, total from shop.totals order by id")


def row(place, *, table="shop/totals"):
    return next(row for row in place.run()["tables"] if row["table"] == table)


def logged(place):
    """What the newest run has logged, and the metadata of what it has materialised last."""
    with open_instance(place.root / ".mesh") as instance:
        (run,) = instance.get_runs(limit=1)
        messages = [entry.user_message for entry in instance.all_logs(run.run_id) if not entry.is_dagster_event]
        event = instance.get_latest_materialization_event(dg.AssetKey(["shop", "totals"]))
    return messages, event.asset_materialization.metadata if event else {}


@pytest.fixture(autouse=True, scope="module")
def this_python():
    """Programs in Python are run by the one that runs the tests."""
    with with_variables({"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}):
        yield


def test_a_shell_script_builds_a_table_and_its_silence_is_no_warning(place):
    place.write("domains/shop/totals.sh", SHELL)
    built_by(place, "sh", "totals.sh", more="format: csv")
    assert row(place)["status"] == "published"
    assert totals(place) == [(1, 15), (2, 20)]
    messages, metadata = logged(place)
    assert messages == []
    assert metadata["mesh/version"].value == place.version("shop.totals")
    assert not list((place.root / ".mesh/steps").glob("*/*"))


def test_a_node_script_builds_a_table(place):
    if not shutil.which("node"):
        missing("node")
    place.write("domains/shop/totals/build.mjs", NODE)
    built_by(place, "node", "totals/build.mjs", more="format: jsonl")
    assert row(place)["status"] == "published"
    assert totals(place) == [(1, 15), (2, 20)]


def test_a_node_script_reads_and_writes_parquet_and_speaks_to_dagster(place):
    if not shutil.which("node"):
        missing("node")
    if not MODULES.is_dir():
        missing("hyparquet (`make hyparquet`)")
    (place.root / "node_modules").symlink_to(MODULES)
    place.write("domains/shop/totals/build.mjs", NODE_PARQUET)
    place.write("domains/shop/totals/pipes.mjs", PIPES)
    built_by(place, "node", "totals/build.mjs")
    assert row(place)["status"] == "published"
    assert totals(place) == [(1, 15), (2, 20)]
    messages, metadata = logged(place)
    assert messages == ["3 orders were added up"]
    assert metadata["orders"].value == 3
    assert metadata["dagster/row_count"].value == 2


WRONG = {
    "exits": ("import sys; print('no such warehouse', file=sys.stderr); sys.exit(3)", "ended with exit code 3; nothing is published: no such warehouse"),
    "is_killed": ("import os; os.kill(os.getpid(), 9)", "was killed by SIGKILL; nothing is published"),
    "says_nothing": ("pass", "ended, and wrote no table\n    It must write parquet to the path in the environment variable MESH_OUTPUT"),
    "is_empty": ("import os; open(os.environ['MESH_OUTPUT'], 'w').close()", "cannot be read"),
    "is_text": ("import os; open(os.environ['MESH_OUTPUT'], 'w').write('id,total')", "wrote cannot be read: "),
    "is_cut_off": (
        PYTHON + "b = open(output, 'rb').read()\nopen(output, 'wb').write(b[:4] + bytes(40) + b[44:])\n",
        "cannot be read",
    ),
    "checks_itself": (
        PYTHON
        + "from dagster_pipes import open_dagster_pipes\n"
        "with open_dagster_pipes() as pipes:\n    pipes.report_asset_check('adds_up', passed=False)\n",
        "says that its check adds_up failed; nothing is published",
    ),
    "waits": ("import time; time.sleep(60)", "was ended after 3 s\n    Raise `timeout:`"),
    "unknown": ("nodee", "there is no program `nodee` where the mesh runs\n    Install it there, or correct `command:`"),
    "no_right": ("./unknown.py", "`./unknown.py` cannot be started: Permission denied\n    Is it executable"),
}  # fmt: skip


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """What is said of a table of each mistake; all of them in one run, beside one that is sound."""
    place = Place(tmp_path_factory.mktemp("failed") / "mesh")
    place.domain("shop", "")
    place.write("domains/shop/raw/orders.csv", "id,amount\n1,10\n2,20\n1,5\n")
    said = "inputs: [{source: raw/orders.csv}]\ntables:\n"
    for name, (text, _) in {**WRONG, "sound": (PYTHON, "")}.items():
        command = text if name in ("unknown", "no_right") else f"python, {name}.py"
        place.write(f"domains/shop/{name}.py", text)
        limit = "3s" if name == "waits" else "5m"
        said += f"  {name}: {{toolchain: pipes.subprocess, command: [{command}], inputs: [orders], timeout: {limit}}}\n"
    place.domain("shop", said)
    rows = {row["table"].partition("/")[2]: row for row in place.run()["tables"]}
    assert rows.pop("sound")["status"] == rows.pop("orders")["status"] == "published"
    assert set(place.env().lake.tables()) == {"shop.orders", "shop.sound"}
    assert str(place.root) not in str(rows)
    return rows


@pytest.mark.parametrize("mistake", WRONG)
def test_a_program_that_fails_publishes_nothing_and_says_why(failed, mistake):
    assert failed[mistake]["status"] == "failed"
    assert WRONG[mistake][1] in failed[mistake]["message"]


def test_what_is_held_or_fails_leaves_the_last_version_and_is_mended(place):
    in_python(place, PYTHON)
    row(place)
    good = place.version("shop.totals")
    place.write("domains/shop/totals/build.py", PYTHON.replace("sum(amount)", "amount").replace("group by id", ""))
    told = row(place)
    assert told["status"] == "held"
    assert "id__unique failed" in told["message"]
    place.write("domains/shop/totals/build.py", "raise SystemExit('no')")
    assert row(place)["status"] == "failed"
    assert place.version("shop.totals") == good
    place.write("domains/shop/totals/build.py", PYTHON + "\n")
    assert row(place)["status"] == "unchanged"


def test_nonsense_among_the_messages_stops_nobody(place):
    said = """
        import base64, json, zlib
        said = json.loads(zlib.decompress(base64.b64decode(os.environ["DAGSTER_PIPES_MESSAGES"])))["path"]
        with open(said, "w") as file:
            file.write('no json\\n{"method": "dance", "params": {}}\\n{"method": "log", "params": {"message": "well", "level": "INFO"}}\\n')
    """
    in_python(place, PYTHON + textwrap.dedent(said))
    assert row(place)["status"] == "published"
    messages, _ = logged(place)
    assert [text.partition(":")[0] for text in messages] == ["not a message of Dagster Pipes"] * 2 + ["well"]


def test_it_is_given_the_variables_that_are_named_and_their_values_are_not_told(place, monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "correct-horse")
    monkeypatch.setenv("OTHER_TOKEN", "battery-staple")
    said = "print(os.environ['SHOP_TOKEN'], os.environ.get('OTHER_TOKEN'), os.environ.get('MESH_LAKE_CATALOG'))\n"
    in_python(place, PYTHON + said + "raise SystemExit(os.environ['SHOP_TOKEN'])\n", more="env: [SHOP_TOKEN]")
    told = row(place)
    messages, _ = logged(place)
    assert messages == ["••• None None\n•••"]
    assert told["message"].endswith("•••")
    for file in (place.root / ".mesh").rglob("*"):
        assert not file.is_file() or b"correct-horse" not in file.read_bytes(), file


def test_a_variable_that_is_not_set_is_named(place):
    in_python(place, PYTHON, more="env: [SHOP_TOKEN]")
    assert "shop.totals needs the environment variable SHOP_TOKEN, which is not set" in row(place)["message"]


def test_a_changed_program_makes_its_table_due(place):
    in_python(place, PYTHON)
    place.write("domains/shop/totals/rules.py", "LEAST = 0\n")
    place.write("domains/shop/other/rules.py", "LEAST = 0\n")
    place.run()
    place.write("domains/shop/other/rules.py", "LEAST = 1\n")
    assert place.run()["runs"] == []
    for path, text in {"build.py": PYTHON.replace("sum", "max"), "rules.py": "LEAST = 1\n"}.items():
        before = place.env().mesh.tables["shop.totals"].code
        place.write(f"domains/shop/totals/{path}", text)
        assert place.env().mesh.tables["shop.totals"].code != before
        assert len(place.run()["runs"]) == 1
    assert totals(place) == [(1, 10), (2, 20)]


def test_it_adds_to_its_own_rows_and_is_told_its_partition(place):
    """`this`, and the range, reach it as files and variables."""
    said = """
        old = duckdb.sql(f"select count(*) from '{inputs}/this.parquet'").fetchone()[0]
        print(old, os.environ.get("MESH_PARTITION_START"))
        new = f"select * from (values (date '2026-01-01', 1::bigint), (date '2026-01-02', 2::bigint)) t(day, n)"
        duckdb.sql(f"select * from ({new}) where n > {old}").write_parquet(output)
    """
    place.write("domains/shop/totals/build.py", "import os, duckdb\n" + PYTHON.splitlines()[3] + textwrap.dedent(said))
    place.contract("shop.totals", {"day": "DATE; required: true", "n": "BIGINT; required: true; unique: true"})
    built_by(
        place, "python", "totals/build.py", more="load: append\npartitions: daily\npartition_by: day\nstart: 2026-01-01"
    )
    told = row(place)
    assert told["status"] == "published", told["message"]
    (first, *_), _ = logged(place)
    assert first == "0 2026-01-01"


def test_interrupted_it_ends_with_all_that_it_has_started(tmp_path):
    """As when a run is terminated in Dagster: an interrupt is raised where the step waits."""
    script = tmp_path / "wait.sh"
    script.write_text("sleep 300 &\necho $! > child\nwait\n")
    ended = threading.Event()

    def interrupt():
        while not ended.is_set() and not (tmp_path / "child").exists():
            time.sleep(0.05)
        while not ended.wait(0.5):  # Python drops one that falls into the end of an object
            os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    sender.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            programs.execute(("sh", "wait.sh"), tmp_path, {"PATH": os.environ["PATH"]})
    finally:
        ended.set()
        sender.join()
        signal.signal(signal.SIGINT, before)
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "what it has started is still there"
        time.sleep(0.05)


def test_what_it_leaves_running_keeps_nobody_waiting(tmp_path):
    began = time.monotonic()
    programs.execute(("sh", "-c", "sleep 300 & echo done"), tmp_path, {"PATH": os.environ["PATH"]})
    assert time.monotonic() - began < 60


def test_of_endless_output_the_last_lines_are_kept(tmp_path):
    told = []
    with pytest.raises(RunError) as caught:
        command = ("sh", "-c", "yes 'a line of no interest' | head -100000; echo the end; exit 1")
        programs.execute(command, tmp_path, {"PATH": os.environ["PATH"]}, tell=told.append)
    assert str(caught.value).splitlines()[-1] == "the end"
    assert len(str(caught.value).splitlines()) == programs.LAST + 1
    assert sum(map(len, told)) < programs.MOST + 100


@pytest.mark.slow
def test_a_run_that_is_terminated_publishes_nothing_and_the_table_stays_due(place):
    """`mesh run`, interrupted while the program hangs."""
    in_python(place, "import time\nopen('started', 'w').close()\ntime.sleep(300)\n")
    command = [Path(sys.executable).with_name("mesh"), "run"]
    process = subprocess.Popen(command, cwd=place.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (place.root / "domains/shop/started").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    place.write("domains/shop/totals/build.py", PYTHON)
    assert "shop.totals" not in place.env().seen()
    assert row(place)["status"] == "published"


@pytest.mark.slow
def test_a_kitchen_runs_its_own_program(place):
    place.write(".gitignore", ".mesh/\n")
    in_python(place, PYTHON)
    git(place.root, "init", "-q", "-b", "main")
    git(place.root, "config", "user.email", "t@example.org")
    git(place.root, "config", "user.name", "Tess")
    git(place.root, "add", "-A")
    git(place.root, "commit", "-qm", "base")
    place.run()
    with open_(place) as kitchen:
        script = kitchen.root / "domains/shop/totals/build.py"
        script.write_text(script.read_text().replace("sum(amount)", "max(amount)"))
        told = kitchen.test()
        assert (told["ok"], told["rebuilt"]) == (True, ["shop/totals"])
        assert kitchen.sql("select total from shop.totals order by id") == [(10,), (20,)]
        assert totals(place) == [(1, 15), (2, 20)]
        kitchen.promote()
    assert totals(place) == [(1, 10), (2, 20)]
    assert place.run()["runs"] == []


def test_a_reader_that_is_a_program_is_asked_before_a_change_reaches_it(place):
    """Its own code is run on the candidate, and what it says decides."""
    in_python(place, PYTHON)
    place.domain(
        "finance",
        """
        inputs: [{port: shop.totals}]
        tables:
          sums: {toolchain: pipes.subprocess, command: [python, sums/build.py], inputs: [shop.totals]}
        """,
    )
    script = (
        PYTHON.replace("shop.orders", "shop.totals")
        .replace("amount", "total")
        .replace(" group by id", "")
        .replace("id, ", "")
    )
    place.write("domains/finance/sums/build.py", script)
    assert set(place.statuses().values()) == {"published"}
    assert place.rows("select total from finance.sums") == [(35,)]
    place.write("domains/shop/totals/build.py", PYTHON.replace("as total", "as amount"))
    place.contract("shop.totals", {"id": "BIGINT; required: true; unique: true", "amount": "BIGINT"})
    told = row(place)
    assert told["status"] == "held"
    assert "it would break finance" in told["message"]


def notebook(place, *cells, outputs=()):
    def cell(text):
        return {"cell_type": "code", "execution_count": None, "id": f"c{hash(text) % 10**8}", "metadata": {}, "outputs": list(outputs), "source": text}  # fmt: skip

    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    said = {"cells": [cell(text) for text in cells], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    place.write("domains/shop/totals.ipynb", json.dumps(said))


@pytest.mark.long
def test_a_notebook_builds_a_table_and_is_kept_as_it_was_executed(place):
    pytest.importorskip("papermill")
    place.domain(
        "shop",
        """
        inputs: [{source: raw/orders.csv}]
        outputs: [{port: totals}]
        tables:
          totals: {toolchain: notebook, notebook: totals.ipynb, inputs: [orders]}
        """,
    )
    notebook(place, PYTHON, "print(duckdb.sql(f\"select sum(total) from '{output}'\").fetchone()[0])")
    assert row(place)["status"] == "published"
    assert totals(place) == [(1, 15), (2, 20)]
    _, metadata = logged(place)
    cells = json.loads(Path(metadata["notebook"].value).read_text())["cells"]
    assert cells[-1]["outputs"][0]["text"] == ["35\n"]

    # To execute it in Jupyter changes its results, not its code.
    printed = {"name": "stdout", "output_type": "stream", "text": ["1\n"]}
    code = place.env().mesh.tables["shop.totals"].code
    notebook(
        place, PYTHON, "print(duckdb.sql(f\"select sum(total) from '{output}'\").fetchone()[0])", outputs=[printed]
    )
    assert place.env().mesh.tables["shop.totals"].code == code

    notebook(place, "raise ValueError('no such till')")
    told = row(place)
    assert told["status"] == "failed"
    assert "`totals.ipynb` ended with exit code 1; nothing is published: ValueError: no such till" in told["message"]
    kept = place.root / re.search("Its cells are kept: (.+)", told["message"])[1]
    assert "no such till" in kept.read_text()
