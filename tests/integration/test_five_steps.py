"""Pin, stage, audit, publish, tell: for every toolchain, in real Dagster runs on a real lake."""

import uuid

import dagster as dg
import pytest

from mesh_assets import catalog
from mesh_assets.catalog import standing
from mesh_assets.errors import RunError
from mesh_assets.orchestration import progress
from mesh_assets.orchestration.instance import open_instance
from tests.making import Place

CSV = "id,amount\n1,10\n2,20\n3,30\n"


def make(root):
    """A shop whose orders come as a raw file."""
    place = Place(root)
    place.domain(
        "shop",
        """
        inputs:
          - source: raw/orders/*.csv
            as: raw_orders
        outputs:
          - port: orders
        """,
        raw__orders__1="",
    )
    (root / "domains/shop/raw__orders__1").unlink()
    place.write("domains/shop/raw/orders/1.csv", CSV)
    place.contract("shop.raw_orders", {"id": "BIGINT; required: true", "amount": "BIGINT"})
    place.sql("shop.orders", "select id, amount from shop.raw_orders")
    place.contract(
        "shop.orders",
        {"id": "BIGINT; required: true; unique: true", "amount": "BIGINT; logicalTypeOptions: {minimum: 0}"},
    )
    return place


@pytest.fixture
def place(tmp_path):
    """It, as it is written."""
    return make(tmp_path)


@pytest.fixture(scope="module")
def built_once(tmp_path_factory):
    """It, built."""
    place = make(tmp_path_factory.mktemp("built"))
    assert set(place.statuses().values()) == {"published"}
    return place


@pytest.fixture
def built(built_once, tmp_path):
    """A copy of it."""
    return built_once.copied(tmp_path / "mesh")


def materialized(place, table):
    """Versions that Dagster has been told of, newest first."""
    with open_instance(place.root / ".mesh") as instance:
        records = instance.fetch_materializations(dg.AssetKey(table.split("/")), limit=100).records
        return [record.asset_materialization.metadata["mesh/version"].value for record in records]


def test_raw_files_become_published_tables(place):
    """A raw file and a SQL file: both published, and Dagster knows both."""
    assert place.statuses() == {"shop/raw_orders": "published", "shop/orders": "published"}
    assert place.rows("select sum(amount) from shop.orders") == [(60,)]
    assert materialized(place, "shop/orders") == [place.version("shop.orders")]


def test_a_second_run_changes_nothing(built):
    """Nothing has changed: nothing is built, and Dagster is not asked."""
    version = built.version("shop.orders")
    report = built.run()
    assert {row["status"] for row in report["tables"]} == {"unchanged"}
    assert report["runs"] == []
    assert built.version("shop.orders") == version


def test_a_new_raw_file_is_loaded_and_its_readers_follow(built):
    """The content of the files decides, not their times."""
    built.write("domains/shop/raw/orders/2.csv", "id,amount\n4,5\n")
    assert set(built.statuses().values()) == {"published"}
    assert built.rows("select count(*) from shop.orders") == [(4,)]


def test_a_raw_file_that_is_a_link_to_elsewhere_is_not_left_out_in_silence(built, tmp_path):
    """Where the files only say by their folder what they are, the run finds it."""
    domain = built.root / "domains/shop/domain.yaml"
    domain.write_text(domain.read_text().replace("source: raw/orders/*.csv", "source: raw/**/*.csv"))
    (tmp_path / "elsewhere.csv").write_text("id,amount\n4,5\n")
    built.run()
    (built.root / "domains/shop/raw/orders/2.csv").symlink_to(tmp_path / "elsewhere.csv")
    told = {one["table"]: one for one in built.run()["tables"]}["shop/raw_orders"]
    assert told["status"] == "failed"
    assert "domains/shop/raw/orders/2.csv leads out of the domain's folder through a link" in told["message"]
    assert built.rows("select count(*) from shop.orders") == [(3,)]


def test_a_table_that_another_run_is_building_is_said_to_be(built):
    """Here it is this process that has taken it on."""
    taken = dg.DagsterRun(
        job_name="other", run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.STARTED,
        asset_selection=frozenset({dg.AssetKey(["shop", "raw_orders"])}), tags={progress.PROCESS: progress.process_tag()},
    )  # fmt: skip
    with open_instance(built.root / ".mesh") as instance:
        instance.add_run(taken)
    built.write("domains/shop/raw/orders/2.csv", "id,amount\n4,5\n")
    built.sql("shop.orders", "select id, amount + 0 as amount from shop.raw_orders")
    told = {one["table"]: one for one in built.run()["tables"]}["shop/raw_orders"]
    assert (told["status"], told["message"].splitlines()[0]) == (
        "skipped",
        f"another run is building it: {taken.run_id[:8]}",
    )


def test_a_file_rewritten_with_the_same_content_is_not_loaded_again(built):
    """Another time of change, the same bytes."""
    built.write("domains/shop/raw/orders/1.csv", CSV)
    assert set(built.statuses().values()) == {"unchanged"}


def test_a_failed_error_rule_holds_the_version(built):
    """Readers keep the last good version; the candidate is quarantine; the message names the rule and the count."""
    good = built.version("shop.orders")
    built.write("domains/shop/raw/orders/1.csv", CSV + "4,-1\n")
    report = {row["table"]: row for row in built.run()["tables"]}
    assert report["shop/raw_orders"]["status"] == "published"
    assert report["shop/orders"]["status"] == "held"
    assert "amount__minimum" in report["shop/orders"]["message"]
    assert built.version("shop.orders") == good
    assert built.rows("select count(*) from shop.orders") == [(3,)]
    assert materialized(built, "shop/orders") == [good]
    failing = [item for item in built.test() if item["status"] == "fail"]
    assert [(item["table"], item["name"], item["failing_rows"]) for item in failing] == [
        ("shop/orders", "amount__minimum", 1)
    ]
    assert failing[0]["sample"][0]["amount"] == -1


def test_mended_data_is_published_and_readers_follow(built):
    """The same file, mended."""
    built.write("domains/shop/raw/orders/1.csv", CSV + "4,-1\n")
    built.run()
    built.write("domains/shop/raw/orders/1.csv", CSV + "4,1\n")
    assert set(built.statuses().values()) == {"published"}
    assert built.rows("select sum(amount) from shop.orders") == [(61,)]


def test_a_value_of_the_wrong_type_is_found_by_the_types_test(place):
    """It is counted, with the row that holds it."""
    place.write("domains/shop/raw/orders/1.csv", CSV + "4,many\n")
    row = next(row for row in place.run()["tables"] if row["table"] == "shop/raw_orders")
    assert row["status"] == "held"
    assert "types" in row["message"]


def test_changed_code_is_built_again(built):
    """Also when nothing else changed."""
    built.sql("shop.orders", "select id, amount * 2 as amount from shop.raw_orders")
    assert built.statuses() == {"shop/raw_orders": "unchanged", "shop/orders": "published"}


def test_changed_code_with_the_same_result_is_confirmed(built):
    """Nothing new: nothing is published, and the next run has nothing to do."""
    version = built.version("shop.orders")
    built.sql("shop.orders", "select id, amount + 0 as amount from shop.raw_orders")
    assert built.statuses()["shop/orders"] == "unchanged"
    assert built.version("shop.orders") == version
    assert built.run()["runs"] == []


def test_a_loosened_contract_releases_what_was_held(place):
    """The contract is part of what a build depends on."""
    place.write("domains/shop/raw/orders/1.csv", CSV + "4,-1\n")
    assert place.statuses()["shop/orders"] == "held"
    place.contract("shop.orders", {"id": "BIGINT; required: true; unique: true", "amount": "BIGINT"})
    assert place.statuses()["shop/orders"] == "published"


FRAMES = {
    "polars": "import polars as pl\n\n\n{decorator}\ndef of_{frame}(raw_orders: pl.DataFrame) -> pl.DataFrame:\n"
    "    return raw_orders.with_columns(pl.col('amount') * 2)\n",
    "pandas": "import pandas as pd\n\n\n{decorator}\ndef of_{frame}(raw_orders: pd.DataFrame) -> pd.DataFrame:\n"
    "    return raw_orders.assign(amount=raw_orders['amount'] * 2)\n",
    "arrow": "import pyarrow as pa\nimport pyarrow.compute as pc\n\n\n{decorator}\ndef of_{frame}(raw_orders: pa.Table) -> pa.Table:\n"
    "    return raw_orders.set_column(1, 'amount', pc.multiply(raw_orders['amount'], 2))\n",
}  # fmt: skip


@pytest.mark.parametrize("decorator", ["import dagster as dg\n@dg.asset", "import mesh_assets\n@mesh_assets.table"])
def test_python_tables_of_every_frame(place, decorator):
    """An ordinary `@dg.asset` and the library's own decorator, a table for each kind of frame."""
    imported, _, word = decorator.partition("\n")
    code = [FRAMES[frame].format(decorator=word, frame=frame) for frame in FRAMES]
    place.write("domains/shop/assets.py", "\n\n".join([imported, *code]))
    names = [f"of_{frame}" for frame in FRAMES]
    for name in names:
        place.contract(
            f"shop.{name}", {"id": "BIGINT; required: true", "amount": "BIGINT; logicalTypeOptions: {maximum: 100}"}
        )
    sums = " union all ".join(f"select sum(amount) from shop.{name}" for name in names)
    said = place.statuses()
    assert {said[f"shop/{name}"] for name in names} == {"published"}
    assert set(place.rows(sums)) == {(120,)}
    place.write("domains/shop/raw/orders/1.csv", CSV + "4,60\n")
    said = place.statuses()
    assert {said[f"shop/{name}"] for name in names} == {"held"}
    assert set(place.rows(sums)) == {(120,)}
    assert [len(materialized(place, f"shop/{name}")) for name in names] == [1] * len(names)


def test_a_duckdb_relation_is_a_table(place):
    """Without an annotation an input comes as a DuckDB relation, and one may be returned."""
    place.write(
        "domains/shop/assets.py",
        """
        import mesh_assets


        @mesh_assets.table(inputs=["shop.orders"])
        def big(orders):
            return orders.filter("amount > 15")
        """,
    )
    assert place.statuses()["shop/big"] == "published"
    assert place.rows("select count(*) from shop.big") == [(2,)]


def test_an_artefact_is_a_table_of_files(place):
    """A chart is versioned and read as any other table."""
    place.write(
        "domains/shop/assets.py",
        """
        import mesh_assets


        @mesh_assets.artifact(inputs=["orders"])
        def chart(orders):
            return f"<svg><text>{orders.aggregate('sum(amount)').fetchone()[0]}</text></svg>"
        """,
    )
    assert place.statuses()["shop/chart"] == "published"
    assert place.rows("select name, media_type, content::varchar from shop.chart") == [
        ("chart.svg", "image/svg+xml", "<svg><text>60</text></svg>")
    ]


@pytest.mark.long
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return None", "returned nothing"),
        ("return 7", "returned int, which is not a table"),
        (
            "raise ValueError('no luck')",
            "domains/shop/assets.py:7: ValueError: no luck\n    raise ValueError('no luck')",
        ),
        ("raise SystemExit(3)", "raise an error instead"),
    ],
)
@pytest.mark.parametrize("decorator", ["dg.asset", "mesh_assets.table"])
def test_a_function_that_gives_no_table_fails_and_says_so(place, body, said, decorator):
    """Nothing is published or materialised; the others go on; it is not tried again by itself."""
    place.write(
        "domains/shop/assets.py",
        f"import dagster as dg\nimport mesh_assets\n\n\n@{decorator}\ndef broken(raw_orders):\n    {body}\n",
    )
    report = {row["table"]: row for row in place.run()["tables"]}
    assert report["shop/broken"]["status"] == "failed"
    assert said in report["shop/broken"]["message"]
    assert report["shop/orders"]["status"] == "published"
    assert materialized(place, "shop/broken") == []


def test_a_step_sees_its_declared_inputs_only(place):
    """What is not declared does not exist at run time either: a SQL text that hides its input finds nothing."""
    place.write(
        "domains/shop/assets.py",
        """
        import mesh_assets


        @mesh_assets.table(inputs=["orders"])
        def sneaky(orders):
            return orders.query("o", "select * from shop.raw_orders")
        """,
    )
    row = next(row for row in place.run()["tables"] if row["table"] == "shop/sneaky")
    assert row["status"] == "failed"
    assert "raw_orders does not exist" in row["message"]


def test_a_reference_to_a_table_that_is_not_read_is_built_first(place):
    """A relationship in a contract orders two tables; a value that is not there is found; a plain asset waits as well."""
    place.sql("shop.a_lines", "select id as line, id as order_id from shop.raw_orders")
    place.contract("shop.a_lines", {"line": "BIGINT", "order_id": "BIGINT; relationships: [{to: shop.orders.id}]"})
    place.write(
        "domains/shop/assets.py",
        """
        import dagster as dg
        import polars as pl


        @dg.asset
        def a_notes(raw_orders: pl.DataFrame) -> pl.DataFrame:
            return raw_orders.select(order_id="id")
        """,
    )
    place.contract("shop.a_notes", {"order_id": "BIGINT; relationships: [{to: shop.orders.id}]"})
    assert set(place.statuses().values()) == {"published"}
    assert place.run()["runs"] == []
    place.sql("shop.orders", "select id, amount from shop.raw_orders where id > 1")
    place.sql("shop.a_lines", "select id as line, id as order_id from shop.raw_orders order by 1")
    assert place.statuses()["shop/a_lines"] == "held"


@pytest.mark.parametrize("changed", [False, True], ids=["the same rows", "other rows"])
def test_a_table_whose_file_is_gone_is_built_again(place, changed):
    """As the error says. What was equal would be confirmed, and DuckLake cannot delete rows that it cannot read."""
    assert place.statuses("shop/orders")["shop/orders"] == "published"
    rows, version = place.rows("from shop.orders order by all"), place.version("shop.orders")
    for file in (place.env().lake.data / "shop" / "orders").glob("*.parquet"):
        file.unlink()
    with pytest.raises(RunError, match="build its table again: mesh run TABLE --force"):
        place.rows("from shop.orders")
    if not changed:
        (row,) = [row for row in place.run("shop/orders")["tables"] if row["table"] == "shop/orders"]
        assert row["status"] == "failed"
        assert row["message"].startswith("a data file of it is lost, so that nobody can read it: /")
        assert row["message"].endswith("or build the table again: mesh run shop/orders --force")
        said = f"a data file of version {version} is lost, so that nobody can read it: "
        (row,) = [row for row in catalog.status(place.env())["tables"] if row["table"] == "shop/orders"]
        assert (row["state"], row["says"].startswith(said)) == ("failed", True)
        stands = standing.stand(place.env())
        found = stands.of(stands.mesh.tables["shop.orders"])
        assert (found["status"], found["reason"].startswith(said)) == ("fail", True)
        assert str(place.root) not in row["says"] + found["reason"]
    if changed:
        text = (place.root / "domains/shop/sql/orders.sql").read_text()
        place.sql("shop.orders", f"from ({text}) limit 1")
    assert place.statuses("shop/orders", force=not changed)["shop/orders"] == "published"
    assert place.version("shop.orders") > version
    assert len(place.rows("from shop.orders")) == (1 if changed else len(rows))
    assert changed or place.rows("from shop.orders order by all") == rows


def test_a_query_that_asks_for_no_column_is_told_with_its_line_and_the_columns(place):
    """Whoever wrote the rule finds it, and what it may have meant."""
    query = "select count(*) from {table} where amuont < 0"
    place.contract(
        "shop.orders", {"id": "BIGINT", "amount": "BIGINT"}, quality=f"- {{type: sql, query: '{query}', mustBe: 0}}"
    )
    row = next(row for row in place.run("shop/orders")["tables"] if row["table"] == "shop/orders")
    assert row["status"] == "held"
    assert '"amuont" not found in FROM clause. Candidate bindings: "amount"' in row["message"]
    assert "(the rule is at domains/shop/contracts/orders.odcs.yaml:" in row["message"]
