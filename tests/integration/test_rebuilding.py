"""`mesh rebuild`: equal where everything is there, and otherwise what is not."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh_assets.errors import UsageError
from mesh_assets.rebuilding import Verdict, rebuild
from tests.making import Place
from tests.portal_mesh import small


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Place:
    place = small(tmp_path_factory.mktemp("rebuild"))
    place.write(
        "domains/money/assets.py",
        """
        import polars as pl

        import mesh_assets


        @mesh_assets.table(inputs=["shop.orders"])
        def doubled(orders: pl.DataFrame) -> pl.DataFrame:
            return orders.select(pl.col("amount") * 2)
        """,
    )
    place.run()
    return place


@pytest.fixture
def place(built, tmp_path) -> Place:
    return built.copied(tmp_path / "mesh")


@pytest.mark.parametrize("table", ["shop.raw_orders", "shop.orders", "money.revenue", "money.doubled"])
def test_a_version_is_made_again_equal(built, table):
    before = built.env().lake.head()
    found = rebuild(built.env(), f"{table}@{built.version(table)}", built.settings)
    assert (found.verdict, found.published) == (Verdict.EQUAL, found.rebuilt)
    assert built.env().lake.head() == before
    assert not list((built.root / ".mesh").glob("mesh_rebuild_*"))


def test_an_older_version_is_made_of_its_own_inputs(place):
    first = place.version("money.revenue")
    orders = place.version("shop.raw_orders")
    place.write("domains/shop/raw/orders.csv", "id,amount,buyer,note\n1,70,x,y\n")
    place.run()
    assert rebuild(place.env(), f"money.revenue@{first}", place.settings).verdict is Verdict.EQUAL
    gone = rebuild(place.env(), f"shop.raw_orders@{orders}", place.settings)
    assert gone.verdict is Verdict.IMPOSSIBLE
    assert gone.reasons == ("raw file raw/orders.csv is another now",)


def test_an_input_that_has_expired_is_named(place):
    first, orders = place.version("money.revenue"), place.version("shop.orders")
    place.write("domains/shop/raw/orders.csv", "id,amount,buyer,note\n1,70,x,y\n")
    place.run()
    lake = place.env().lake
    lake.expire(lake.snapshots(before=datetime.now(UTC) + timedelta(days=1)))
    found = rebuild(place.env(), f"money.revenue@{first}", place.settings)
    assert found.verdict is Verdict.IMPOSSIBLE
    assert found.reasons == (f"what it was made of has expired, and its data is gone: shop/orders@{orders}",)


def test_code_that_was_never_committed_is_said_to_be_gone(place):
    version = place.version("money.revenue")
    place.sql("money.revenue", "select max(amount)::bigint as total from shop.orders")
    found = rebuild(place.env(), f"money.revenue@{version}", place.settings)
    assert found.verdict is Verdict.IMPOSSIBLE
    assert "no commit was recorded" in str(found)


def test_code_that_has_changed_is_taken_from_its_commit(place):
    import subprocess

    def git(*words: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        subprocess.run(["git", *who, *words], cwd=place.root, check=True, capture_output=True)

    from mesh_assets import provenance

    place.write(".gitignore", ".mesh/\n")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "first")
    provenance.commit.cache_clear()
    provenance.changed.cache_clear()
    place.sql("money.revenue", "select sum(amount)::bigint + 1 as total from shop.orders")
    git("commit", "-qam", "second")
    place.run()
    version = place.version("money.revenue")
    place.sql("money.revenue", "select max(amount)::bigint as total from shop.orders")
    found = rebuild(place.env(), f"money.revenue@{version}", place.settings)
    assert found.verdict is Verdict.EQUAL
    assert found.reasons[0].startswith("made of the code of commit ")


def test_it_wants_a_version(built):
    with pytest.raises(UsageError, match="names no version"):
        rebuild(built.env(), "shop.orders", built.settings)
