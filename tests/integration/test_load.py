"""Loading a mesh into Dagster: light, whole where a domain is broken, and the same in one location or in many."""

import json
import os
import subprocess
import sys

import dagster as dg
import pytest

from mesh_assets import catalog, testing
from mesh_assets.catalog import account, standing
from mesh_assets.domain import Partitions
from mesh_assets.mesh import read_mesh
from mesh_assets.orchestration import jobs
from mesh_assets.orchestration.instance import open_instance
from mesh_assets.orchestration.load import load
from tests.making import Place

HEAVY = (
    "dagster_dbt",
    "dbt",
    "duckdb",
    "ibis",
    "numpy",
    "pandas",
    "pandera",
    "polars",
    "psycopg",
    "pyarrow",
    "sqlalchemy",
)
LOADED = """
import json, sys
from mesh_assets import definitions
repository = definitions.defs.get_repository_def()
repository.load_all_definitions()
keys = sorted(key.to_user_string() for key in repository.asset_graph.get_all_asset_keys())
print(json.dumps({"modules": sorted(sys.modules), "keys": keys}))
"""


@pytest.fixture
def place(tmp_path):
    """Two sound domains, of which one reads the other through an input port."""
    place = Place(tmp_path)
    place.domain("shop", "outputs:\n  - port: orders\n")
    place.sql("shop.orders", "select 1::BIGINT as id")
    place.contract("shop.orders", {"id": "BIGINT; required: true"})
    place.domain("finance", "inputs:\n  - port: shop.orders\n    contract: in_orders.odcs.yaml\n")
    place.contract("finance.orders", {"id": "BIGINT"}, name="in_orders")
    place.sql("finance.revenue", "select count(*)::BIGINT as n from shop.orders")
    return place


def resolved(definitions):
    """The repository, with everything in it resolved as Dagster's code server does it."""
    repository = definitions.get_repository_def()
    repository.load_all_definitions()
    return repository


def asset_keys(definitions):
    """Every asset of the definitions, and its checks."""
    graph = resolved(definitions).asset_graph
    return {key.to_user_string() for key in graph.get_all_asset_keys()}, set(graph.asset_check_keys)


def test_nothing_heavy_is_imported(place):
    """A mesh of SQL files loads without any engine: what a step needs is imported when it runs."""
    environment = {**os.environ, "MESH_DIR": str(place.root)}
    done = subprocess.run([sys.executable, "-c", LOADED], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {"shop/orders", "finance/revenue", "finance/in/shop__orders"} == set(told["keys"])
    assert not {name.partition(".")[0] for name in told["modules"]} & set(HEAVY)


@pytest.mark.long
def test_a_chain_of_a_thousand_tables_loads(tmp_path):
    """However Dagster walks through it: by recursion, in the order of a set; and jobs do not grow with the square."""
    place = Place(tmp_path)
    for number in range(100):
        reads = f"inputs:\n  - port: d{number - 1:03}.t9\n" if number else ""
        place.domain(f"d{number:03}", f"{reads}outputs:\n  - port: t9\n")
        place.contract(f"d{number:03}.t9", {"id": "BIGINT; required: true; unique: true"})
        for step in range(10):
            above = f"d{number:03}.t{step - 1}" if step else f"d{number - 1:03}.t9"
            place.sql(
                f"d{number:03}.t{step}", f"select id from {above}" if number or step else "select 1::BIGINT as id"
            )
    loaded = load(tmp_path, settings=place.settings)
    repository = resolved(loaded.definitions)
    assert not loaded.broken
    assert len(repository.asset_graph.get_all_asset_keys()) == 1000
    assert sys.getrecursionlimit() > 2 * 1000
    assert sum(len(job.nodes) for job in repository.get_all_jobs()) < 10_000


BROKEN = {
    "python_syntax": ("assets.py", "import dagster as dg\n\n@dg.asset\ndef sales(:\n", "assets.py"),
    "python_import": (
        "assets.py", "import dagster as dg\nimport no_such_module\n\n@dg.asset\ndef sales():\n    return None\n",
        "domains/broken/assets.py:2: ModuleNotFoundError: No module named 'no_such_module'\n    import no_such_module\n```",
    ),
    "python_of_its_own": (
        "assets.py", "import dagster as dg\nfrom . import lib\n\n@dg.asset\ndef sales():\n    return None\n",
        "domains/broken/assets.py:2: ImportError: cannot import name 'lib'",
    ),
    "python_exits": (
        "assets.py", "import sys\nimport dagster as dg\nsys.exit(3)\n\n@dg.asset\ndef sales():\n    return None\n",
        "domains/broken/assets.py:3: SystemExit: 3\n    sys.exit(3)\n",
    ),
    "python_raises": (
        "assets.py", "import dagster as dg\n\nraise LookupError('no licence')\n\n@dg.asset\ndef sales():\n    return None\n",
        "domains/broken/assets.py:3: LookupError: no licence\n    raise LookupError('no licence')\n```",
    ),
    "yaml": ("domain.yaml", "domain: broken\n  title: [", "domain.yaml"),
    "misspelt": ("domain.yaml", "domain: broken\nowtputs: []\n", "owtputs"),
    "contract": ("contracts/sales.odcs.yaml", "kind: DataContract\nid: [\n", "sales.odcs.yaml"),
    "sql": ("sql/sales.sql", "select from where", "sales.sql"),
}  # fmt: skip


@pytest.mark.parametrize(("file", "content", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_domain_is_one_visible_error(place, file, content, says):
    """It is shown as an asset that says what is wrong; everything else loads as if it were not there."""
    whole, checks = asset_keys(load(place.root, settings=place.settings).definitions)
    place.domain("broken")
    place.write(f"domains/broken/{file}", content)
    loaded = load(place.root, settings=place.settings)
    repository = resolved(loaded.definitions)
    keys, found = asset_keys(loaded.definitions)
    shown = dg.AssetKey(["broken", "problems"])
    assert list(loaded.broken) == ["broken"]
    assert keys - whole == {"broken/problems"}
    assert whole <= keys
    assert found - checks == {dg.AssetCheckKey(shown, "domain_loads")}
    assert says in repository.asset_graph.get(shown).description
    assert "Traceback" not in repository.asset_graph.get(shown).description
    assert {job.name for job in repository.get_all_jobs()} >= {"refresh_mesh", "shop_and_downstream"}
    assert "broken__order" not in {sensor.name for sensor in repository.sensor_defs}


def test_a_module_beside_it_that_cannot_be_read_is_told_with_its_own_line(place):
    """Of a syntax error no frame was begun: its place is in the error itself."""
    place.domain("broken")
    place.write(
        "domains/broken/assets.py", "import dagster as dg\nfrom . import lib\n\n@dg.asset\ndef t():\n    return 1\n"
    )
    place.write("domains/broken/lib.py", "one = 1\ntwo = = 2\n")
    (told,) = load(place.root, settings=place.settings).broken["broken"]
    assert told == "domains/broken/lib.py:2: SyntaxError: invalid syntax\n    two = = 2"


def test_code_that_does_not_load_is_said_by_all_that_tell_how_the_mesh_stands(place):
    """As it was when it was last tried; of other code nothing is known, and once it loads it is built."""
    code = "import mesh_assets\nimport no_such_module\n\n\n@mesh_assets.table(inputs=['shop.orders'])\ndef seen(orders):\n    return orders\n"
    place.write("domains/finance/assets.py", code)
    place.contract("finance.seen", {"id": "BIGINT; required: true"})
    place.domain("board", "inputs: [{port: finance.seen}]\n")
    place.domain(
        "finance",
        "inputs:\n  - port: shop.orders\n    contract: in_orders.odcs.yaml\noutputs: [{port: seen}]\n",
    )
    place.sql("board.figure", "select count(*) as n from finance.seen")
    told = "domains/finance/assets.py:2: ModuleNotFoundError: No module named 'no_such_module'"
    assert place.statuses()["finance/seen"] == "failed"
    status = catalog.status(place.env())
    rows = {row["table"]: row for row in status["tables"]}
    assert status["broken"] == [{"domain": "finance", "problems": [f"{told}\n    import no_such_module"]}]
    assert {rows[name]["state"] for name in ("finance/seen", "finance/revenue")} == {"failed"}
    assert rows["finance/seen"]["says"] == f"its domain cannot be loaded: {told}"
    assert rows["board/figure"]["state"] == "input not ready"
    assert rows["shop/orders"]["state"] == "on time"
    (incident,) = status["incidents"]
    assert (incident["kind"], incident["domain"]) == ("broken", "finance")
    assert incident["cause"] == f"the domain finance cannot be loaded: {told}"
    for table in ("finance/seen", "finance/revenue", "board/figure"):
        assert told in account.why(place.env(), table)["text"], table
    stands = standing.stand(place.env())
    for table in ("finance.seen", "finance.revenue"):
        said = stands.of(stands.mesh.tables[table])
        assert (said["status"], said["reason"]) == ("fail", f"its domain cannot be loaded: {told}")
    assert stands.of(stands.mesh.tables["shop.orders"])["status"] == "pass"
    items = list(testing.test(place.env(), ["finance.seen"], unloadable={"finance": told}))
    own = [item for item in items if item["table"] == "finance/seen"]  # the others are of its input port
    assert {item["status"] for item in own} == {"error"}
    assert told in own[0]["message"]

    place.write("domains/finance/assets.py", code.replace("import no_such_module\n", ""))
    assert catalog.status(place.env())["broken"] == []
    assert set(place.statuses().values()) <= {"published", "unchanged"}
    status = catalog.status(place.env())
    assert (status["broken"], status["incidents"]) == ([], [])


@pytest.mark.parametrize("only", [None, "finance"])
def test_a_location_tells_which_of_its_domains_did_not_load(place, only):
    """Also where nobody has typed `mesh run`, and where the domain is all that the location has."""
    code = "import mesh_assets\nimport no_such_module\n\n\n@mesh_assets.table(inputs=['shop.orders'])\ndef seen(orders):\n    return orders\n"
    place.write("domains/finance/assets.py", code)
    definitions = load(place.root, only=only, settings=place.settings).definitions
    with open_instance(place.root / ".mesh") as instance:
        sensor = definitions.get_repository_def().get_sensor_def(f"{only or 'mesh'}__account")
        sensor(dg.build_sensor_context(instance=instance, definitions=definitions))
    status = catalog.status(place.env())
    assert [each["domain"] for each in status["broken"]] == ["finance"]
    assert [each["kind"] for each in status["incidents"]] == ["broken"]


def test_a_broken_domain_that_others_read_leaves_their_jobs_to_them(place):
    """The jobs hold what could be loaded."""
    place.domain("shop", "outputs:\n  - port: orders\n  - port: sales\n")
    place.contract("shop.sales", {"id": "BIGINT"})
    place.write(
        "domains/shop/assets.py",
        "import dagster as dg\nimport no_such_module\n\n@dg.asset\ndef sales():\n    return 1\n",
    )
    repository = resolved(load(place.root, settings=place.settings).definitions)
    names = {job.name for job in repository.get_all_jobs()}
    assert "shop_and_downstream" not in names
    assert set(repository.get_job("refresh_mesh").asset_layer.selected_asset_keys) == {
        dg.AssetKey(["finance", "revenue"]), dg.AssetKey(["finance", "in", "shop__orders"]),
    }  # fmt: skip


def test_the_error_asset_fails_with_its_message(place):
    """Its check fails, and running it says what is wrong."""
    place.domain("broken")
    place.write(
        "domains/broken/assets.py", "import no_such_module\nimport dagster as dg\n\n@dg.asset\ndef t():\n    return 1\n"
    )
    definitions = load(place.root, settings=place.settings).definitions
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={dg.AssetKey(["broken", "problems"])}
    )
    result = job.execute_in_process(
        raise_on_error=False, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    )
    evaluation = result.get_asset_check_evaluations()[0]
    assert not result.success
    assert not evaluation.passed
    assert "no_such_module" in evaluation.metadata["problems"].value


def test_locations_have_the_same_assets_and_checks(place, monkeypatch):
    """A team can move to a code location of its own, and back: nothing changes its name."""
    from mesh_assets import locations

    monkeypatch.setenv("MESH_DIR", str(place.root))
    whole, checks = asset_keys(load(place.root, settings=place.settings).definitions)
    apart = {name: load(place.root, only=name, settings=place.settings).definitions for name in ("shop", "finance")}
    made = {name: resolved(one).asset_graph.materializable_asset_keys for name, one in apart.items()}
    assert {key.to_user_string() for keys in made.values() for key in keys} == whole
    assert all(key.path[0] == name for name, keys in made.items() for key in keys)
    assert set().union(*(asset_keys(one)[1] for one in apart.values())) == checks
    assert resolved(locations.finance).asset_graph.materializable_asset_keys == made["finance"]
    with pytest.raises(AttributeError):
        _ = locations.nobody


def test_jobs_take_along_what_reads_a_domain(place):
    """The whole mesh, and each domain with everything downstream, input ports included."""
    repository = resolved(load(place.root, settings=place.settings).definitions)
    sizes = {job.name: len(job.asset_layer.selected_asset_keys) for job in repository.get_all_jobs()}
    assert sizes.pop("mesh__close_expired_kitchens") == 0  # it builds nothing
    assert sizes == {"__ASSET_JOB": 3, "refresh_mesh": 3, "shop_and_downstream": 3, "finance_and_downstream": 2}


def test_tables_of_different_partitions_load_side_by_side(place):
    """A Dagster job has one set of partitions; a mesh may have more."""
    place.domain(
        "shop",
        """
        outputs:
          - port: orders
        tables:
          days: {load: full, partitions: {every: daily, by: day, start: 2025-01-01}}
          weeks: {load: full, partitions: {every: weekly, by: day, start: 2025-01-05}}
        """,
    )
    for name in ("days", "weeks"):
        place.sql(f"shop.{name}", "select date '2025-01-05' as day where getvariable('partition_start') is not null")
        place.contract(f"shop.{name}", {"day": "DATE"})
    mesh = read_mesh(place.root)
    repository = resolved(load(place.root, settings=place.settings).definitions)
    assert mesh.tables["shop.weeks"].partitions == Partitions(every="weekly", by="day", start="2025-01-05")
    assert {"shop/days", "shop/weeks"} <= {key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()}
    assert jobs.members(mesh)["shop_and_downstream"] == ("shop.orders", "finance.revenue")


def test_constraints_that_are_shown_are_those_that_hold(place):
    """What is only warned of can be in a published version, so Dagster does not show it as a constraint."""
    warning = "customProperties: [{property: severity.required, value: warning}]"
    place.contract(
        "shop.orders", {"id": "BIGINT; required: true; unique: true", "note": f"VARCHAR; required: true; {warning}"}
    )
    place.sql("shop.orders", "select 1::BIGINT as id, null::varchar as note")
    place.contract("finance.orders", {"id": "BIGINT"}, name="in_orders")
    graph = resolved(load(place.root, settings=place.settings).definitions).asset_graph
    columns = graph.get(dg.AssetKey(["shop", "orders"])).metadata["dagster/column_schema"].columns
    shown = {column.name: (column.constraints.nullable, column.constraints.unique) for column in columns}
    assert shown == {"id": (False, True), "note": (True, False)}


def test_dagster_knows_what_mesh_run_builds_and_how_its_checks_ended(place):
    """Sensors leave alone what a command is building; a Python table's checks count for the version they were run on."""
    place.domain("shop", "outputs:\n  - port: orders\n")
    (place.root / "domains/shop/sql/orders.sql").unlink()
    code = "import dagster as dg\nimport polars as pl\n\n@dg.asset\ndef orders() -> pl.DataFrame:\n    return pl.DataFrame({'id': [1, 2]})\n"
    place.write("domains/shop/assets.py", code)
    report = place.run()
    assert {row["status"] for row in report["tables"]} == {"published"}
    with open_instance(place.root / ".mesh") as instance:
        run = instance.get_run_by_id(report["runs"][0])
        check = dg.AssetCheckKey(dg.AssetKey(["shop", "orders"]), "id__required")
        history = instance.event_log_storage.get_asset_check_execution_history(check, limit=10)
    names = {key.to_user_string() for key in run.asset_selection}
    assert names == {"shop/orders", "finance/revenue", "finance/in/shop__orders"}
    assert [(one.run_id, one.status.value) for one in history] == [(run.run_id, "SUCCEEDED")]
