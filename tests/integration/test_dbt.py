"""A dbt project as a domain: built in a fork, audited, published in one commit; its tests are checks."""

import os
import signal
import subprocess
import sys
import threading

import dagster as dg
import pytest

from mesh_assets.address import parse
from mesh_assets.catalog.answers import answer
from mesh_assets.catalog.overview import day
from mesh_assets.catalog.standing import stand
from mesh_assets.errors import RunError
from mesh_assets.orchestration import dbtproject, dbtwords
from mesh_assets.orchestration.instance import open_instance
from mesh_assets.orchestration.load import load
from tests.making import Place

MACRO = "{% macro generate_schema_name(custom, node) %}{{ target.schema }}{% endmacro %}\n"
PROJECT = """
name: ledgerbook
version: "1.0.0"
config-version: 2
profile: ledgerbook
models: {ledgerbook: {staging: {+materialized: ephemeral}, ports: {+materialized: table}}}
"""
HISTORY = """
{{ config(materialized='incremental') }}
select id, amount from {{ ref('stg_items') }}
{% if is_incremental() %} where id > (select coalesce(max(id), 0) from {{ this }}) {% endif %}
"""


@pytest.fixture
def place(tmp_path):
    """A domain of raw files and SQL, and one of dbt that reads its port."""
    place = Place(tmp_path)
    place.domain("base", "outputs: [{port: items}]\ninputs: [{source: raw/items/*.csv, as: raw_items}]\n")
    place.write("domains/base/raw/items/1.csv", "id,amount\n1,10\n2,20\n")
    place.contract("base.raw_items", {"id": "BIGINT", "amount": "BIGINT"})
    place.sql("base.items", "select * from base.raw_items")
    place.contract("base.items", {"id": "BIGINT", "amount": "BIGINT"})
    place.domain("book", "inputs: [{port: base.items}]\noutputs: [{port: totals}]\n")
    place.contract("book.totals", {"n": "BIGINT", "total": "BIGINT; logicalTypeOptions: {maximum: 1000}"})
    project = "dbt_projects/book/"
    place.write(project + "dbt_project.yml", PROJECT)
    place.write(project + "macros/schema.sql", MACRO)
    place.write(project + "models/sources.yml", "version: 2\nsources: [{name: base, tables: [{name: items}]}]\n")
    place.write(project + "models/staging/stg_items.sql", "select * from {{ source('base', 'items') }}")
    place.write(project + "models/ports/history.sql", HISTORY)
    place.write(
        project + "models/ports/totals.sql",
        "select count(*) as n, sum(amount)::bigint as total from {{ ref('history') }}",
    )
    place.write(
        project + "models/schema.yml",
        """
        version: 2
        models:
          - name: history
            columns:
              - name: id
                data_tests: [unique]
              - name: amount
                data_tests:
                  - accepted_values: {arguments: {values: [10, 20, 30]}, config: {severity: warn}}
        """,
    )
    return place


def test_dbt_models_are_published_in_one_commit_and_grow(place):
    """Both models at one version; the incremental one appends only what is new; history is kept."""
    assert set(place.statuses().values()) == {"published"}
    first = place.version("book.history")
    assert place.version("book.totals") == first
    place.write("domains/base/raw/items/2.csv", "id,amount\n3,30\n")
    assert set(place.statuses().values()) == {"published"}
    assert place.rows("select n, total from book.totals") == [(3, 60)]
    assert place.rows("select count(*) from book.history", at=first) == [(2,)]
    assert place.run()["runs"] == []
    assert not list((place.root / ".mesh" / "forks").glob("*"))
    own = {name: place.env().ledger.versions()[f"book.{name}"].record for name in ("history", "totals")}
    assert all(0 < record["own"]["seconds"] < record["seconds"] for record in own.values())
    assert own["history"]["own"]["start"] < own["totals"]["own"]["start"]  # as dbt built them, one after the other
    env = place.env()
    (tried,) = [one for one in day(env, stand(env))["steps"][-1:] if one["table"] == "book/totals"]
    assert tried["seconds"] == own["totals"]["own"]["seconds"]
    together = [
        answer(env, stand(env), parse(env.mesh, name), "when")["together"] for name in ("book/totals", "base/items")
    ]
    assert together == [True, False]


@pytest.mark.long
def test_a_failed_contract_holds_the_whole_project(place):
    """Readers never see half a build."""
    place.run()
    before = place.version("book.history"), place.version("book.totals")
    place.write("domains/base/raw/items/2.csv", "id,amount\n3,5000\n")
    report = {row["table"]: row for row in place.run()["tables"]}
    assert (report["book/totals"]["status"], report["book/history"]["status"]) == ("held", "skipped")
    assert "total__maximum" in report["book/totals"]["message"]
    assert (place.version("book.history"), place.version("book.totals")) == before
    assert place.rows("select n, total from book.totals") == [(2, 30)]


def test_dbt_tests_are_checks_of_the_domains_assets(place):
    """A failed one holds the version as a contract's does, a warning one lets it pass; both are seen in Dagster."""
    place.run()
    place.write("domains/base/raw/items/2.csv", "id,amount\n3,31\n3,31\n")
    report = {row["table"]: row for row in place.run()["tables"]}
    assert report["book/history"]["status"] == "held"
    assert "unique_history_id" in report["book/history"]["message"]
    checks = load(place.root, settings=place.settings).definitions.resolve_asset_graph().asset_check_keys
    names = {key.name for key in checks if key.asset_key == dg.AssetKey(["book", "history"])}
    assert "unique_history_id" in names
    assert any(name.startswith("accepted_values_history_amount") for name in names)
    place.write("domains/base/raw/items/2.csv", "id,amount\n3,31\n")
    assert place.statuses()["book/history"] == "published"
    with open_instance(place.root / ".mesh") as instance:
        key = dg.AssetCheckKey(dg.AssetKey(["book", "history"]), "unique_history_id")
        found = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
    assert found[key].status.value == "SUCCEEDED"


def test_a_model_that_cannot_be_built_fails_and_nothing_is_published(place):
    """Dbt's own words are passed on; other domains are not touched."""
    place.write("dbt_projects/book/models/ports/totals.sql", "select no_such_column as n from {{ ref('history') }}")
    report = {row["table"]: row for row in place.run()["tables"]}
    assert report["book/totals"]["status"] == "failed"
    said = report["book/totals"]["message"]
    assert said.startswith(
        'dbt_projects/book/models/ports/totals.sql:1:8: Referenced column "no_such_column" not found'
    )
    assert str(place.root) not in said
    assert "LINE" not in said
    assert report["base/items"]["status"] == "published"
    assert place.env().lake.tables() == ("base.items", "base.raw_items")


FAULTS = {
    "source": (
        "models/sources.yml", "version: 2\nsources: [{name: base, tables: [{name: more}]}]\n", "models/staging/stg_items.sql:1:34: ",
        "which was not found",
    ),
    "yaml": ("models/more.yml", "version: 2\nmodels: [{name: [}]\n", "models/more.yml:2:18: ", "this is no YAML [M006]"),
}  # fmt: skip


SAID = {
    "jinja": (
        "Compilation Error in model totals (models/ports/totals.sql)\n  unexpected '}'\n    line 3\n      {{ 2 } as total",
        "models/ports/totals.sql:3:1", "unexpected '}'",
    ),
    "macro": (
        "Compilation Error in model totals (models/ports/totals.sql)\n  'amuont' is undefined. This can happen when calling a macro",
        "models/ports/totals.sql:2:5", "'amuont' is undefined. This can happen when calling a macro",
    ),
    "model": (
        "Compilation Error\n  Model 'model.book.totals' (models/ports/totals.sql) depends on a node named 'histry' which was not found",
        "models/ports/totals.sql:3:14", "Model 'model.book.totals' (models/ports/totals.sql) depends on a node named 'histry' which was not found",
    ),
    "source": (
        "Compilation Error\n  Model 'model.book.totals' (models/ports/totals.sql) depends on a source named 'base.histry' which was not found",
        "models/ports/totals.sql:3:14", "Model 'model.book.totals' (models/ports/totals.sql) depends on a source named 'base.histry' which was not found",
    ),
    "sql": (
        'Runtime Error in model totals (models/ports/totals.sql)\n  Binder Error: Referenced column "amuont" not found in FROM clause!\n'
        '  Candidate bindings: "amount"\n  \n  LINE 11:  {{ amuont }}\n               ^\n  compiled code at {folder}/target/totals.sql',
        "models/ports/totals.sql:2:5", 'Referenced column "amuont" not found in FROM clause\n    Candidate bindings: "amount"',
    ),
    "filled": (
        'Runtime Error in model totals (models/ports/totals.sql)\n  Catalog Error: Table with name histry does not exist!\n'
        '  Did you mean "history"?\n  \n  LINE 12: from histry\n               ^',
        "models/ports/totals.sql:3:14", 'Table with name histry does not exist\n    Did you mean "history"?',
    ),
    "schema": ("Parsing Error\n  The schema file at models/more.yml is invalid", "models/more.yml:1:1", "The schema file at models/more.yml is invalid"),
    "nothing": ("Runtime Error\n  It does not work", "dbt_project.yml:1:1", "It does not work"),
    "elsewhere": ("Runtime Error\n  {folder}/models/more.yml, line 2, column 3", "models/more.yml:2:3", "models/more.yml, line 2, column 3"),
    "noise": (
        "Runtime Error\n  It does not work\n/lib/multiprocessing/resource_tracker.py:224: UserWarning: resource_tracker: There appear to be 2\n"
        "  warnings.warn('resource_tracker: There", "dbt_project.yml:1:1", "It does not work",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("told", "where", "words"), SAID.values(), ids=SAID)
def test_what_dbt_says_is_told_at_the_file_that_it_is_about(tmp_path, told, where, words):
    """In the project's own files, and without the folders of this machine."""
    folder = tmp_path / "dbt_projects" / "book"
    (folder / "models/ports").mkdir(parents=True)
    (folder / "models/more.yml").write_text("version: 2\n")
    (folder / "models/ports/totals.sql").write_text("select\n {{ amuont }}\nfrom {{ ref('histry') }}\n")
    place, said = dbtwords.at_fault(folder, told.replace("{folder}", str(folder)))
    assert (str(place), said) == (f"dbt_projects/book/{where}", words)


@pytest.mark.parametrize(("file", "content", "where", "says"), FAULTS.values(), ids=FAULTS)
def test_a_project_that_dbt_cannot_read_breaks_its_domain_only(place, file, content, where, says):
    """It is that domain's error, at the file that is wrong; the rest loads."""
    place.write(f"dbt_projects/book/{file}", content)
    loaded = load(place.root, settings=place.settings)
    assert list(loaded.broken) == ["book"]
    (told,) = loaded.broken["book"]
    assert told.startswith(f"dbt_projects/book/{where}"), told
    assert says in told
    assert str(place.root) not in told
    assert "resource_tracker" not in told


def test_the_manifest_is_parsed_once_per_content(place):
    """Loading again does not parse again; a changed model does."""
    load(place.root, settings=place.settings)
    cache = place.root / ".mesh" / "dbt" / "book"
    kept = [path.name for path in cache.iterdir() if (path / "manifest.json").exists()]
    before = (cache / kept[0] / "manifest.json").stat().st_mtime_ns
    load(place.root, settings=place.settings)
    assert (cache / kept[0] / "manifest.json").stat().st_mtime_ns == before
    place.write("dbt_projects/book/models/ports/totals.sql", "select 1 as n, 2 as total from {{ ref('history') }}")
    load(place.root, settings=place.settings)
    assert [path.name for path in cache.iterdir() if (path / "manifest.json").exists()] != kept


@pytest.mark.long
def test_a_relationship_between_two_models_is_tested_on_what_is_built_together(place):
    """A new key in both at once is no fault; one in the referring model alone is."""
    place.contract("book.history", {"id": "BIGINT; unique: true", "amount": "BIGINT"})
    place.write("dbt_projects/book/models/ports/lines.sql", "select id as item from {{ ref('history') }}")
    place.contract("book.lines", {"item": "BIGINT; relationships: [{to: book.history.id}]"})
    assert set(place.statuses().values()) == {"published"}
    place.write("domains/base/raw/items/2.csv", "id,amount\n3,30\n")
    assert set(place.statuses().values()) == {"published"}
    place.write("dbt_projects/book/models/ports/lines.sql", "select id + 1 as item from {{ ref('history') }}")
    assert place.statuses()["book/lines"] == "held"


@pytest.mark.long
def test_dbts_process_may_end_between_two_builds(place):
    """It is imported once for all calls of a process; killed or gone, the next call starts another one."""
    assert set(place.statuses().values()) == {"published"}
    os.kill(dbtproject.PROCESS._process.pid, signal.SIGKILL)
    dbtproject.PROCESS._process.wait()
    place.write("domains/base/raw/items/2.csv", "id,amount\n3,30\n")
    assert set(place.statuses().values()) == {"published"}


def test_a_process_that_is_just_ending_by_itself_is_followed_by_another(tmp_path):
    """Nobody had asked it for long; it still looks alive, and hears nothing any more."""
    process = dbtproject.DbtProcess()
    for ending in ("pass", "import sys; sys.stdin.close(); import time; time.sleep(1)"):
        process._process = subprocess.Popen(
            [sys.executable, "-c", ending], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        process._owner = os.getpid()
        process._process.poll = lambda: None
        assert process.call(["--version"], dict(os.environ), tmp_path).code == 0
        process.end()


def test_a_call_whose_process_is_killed_is_told_and_can_be_repeated(tmp_path):
    process, before = dbtproject.DbtProcess(), dict(os.environ)
    killer = threading.Timer(0.3, lambda: os.kill(process._process.pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(RunError, match="ended from outside"):
        process.call(["--version"], before, tmp_path)
    said = process.call(["--version"], before, tmp_path)
    process.end()
    assert said.code == 0
    assert "duckdb" in said.text
    assert dict(os.environ) == before
