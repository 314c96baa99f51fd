"""Kitchens, end to end on a small mesh: open, change, test, promote, revert, close; and what must never happen to production."""

import hashlib
import os
import re
import shutil
import subprocess
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from mesh_assets import testing
from mesh_assets.errors import RunError, UsageError
from mesh_assets.kitchen import closing, maintenance
from mesh_assets.kitchen.api import Kitchen, listing, revert, undo
from mesh_assets.kitchen.git import Repository
from mesh_assets.kitchen.records import Records
from mesh_assets.kitchen.variables import differing, readers
from mesh_assets.ledger import _pins
from mesh_assets.mesh import read_mesh
from tests.making import Place


def git(root: Path, *words: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True, env=environment)
    return done.stdout.strip()


def committed_and_run(place: Place) -> Place:
    """A mesh in a git repository of its own, everything in it published."""
    git(place.root, "init", "-q", "-b", "main")
    git(place.root, "config", "user.email", "t@example.org")
    git(place.root, "config", "user.name", "Tess")
    git(place.root, "add", "-A")
    git(place.root, "commit", "-qm", "base")
    assert set(place.statuses().values()) == {"published"}
    return place


def make(root: Path, **settings: object) -> Place:
    """Orders, revenue that rests on them in another domain, and a table that nobody touches; committed and run."""
    place = Place(root)
    place.settings = place.settings.model_copy(update=settings)
    place.write(".gitignore", ".mesh/\n__pycache__/\n")
    place.domain("shop", "inputs: [{source: raw/orders/*.csv, as: raw_orders}]\noutputs: [{port: orders}]\n")
    place.write("domains/shop/raw/orders/1.csv", "id,amount,mail\n1,10,a@x.org\n2,20,b@x.org\n3,30,c@x.org\n4,40,\n")
    place.contract(
        "shop.raw_orders", {"id": "BIGINT; required: true", "amount": "BIGINT", "mail": "VARCHAR; tags: [pii]"}
    )
    place.sql("shop.orders", "select id, amount, mail from shop.raw_orders")
    place.contract(
        "shop.orders",
        {"id": "BIGINT; required: true; unique: true", "amount": "BIGINT", "mail": "VARCHAR; tags: [pii]"},
    )
    place.domain("finance", "inputs: [{port: shop.orders}]\noutputs: [{port: revenue}]\n")
    place.sql("finance.revenue", "select sum(amount)::bigint as total from shop.orders")
    place.contract("finance.revenue", {"total": "BIGINT; logicalTypeOptions: {minimum: 50}"})
    place.domain("quiet", "")
    place.sql("quiet.one", "select 1 as n")
    return committed_and_run(place)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """On each kind of catalog."""
    if request.param == "sqlite":
        return make(tmp_path / "mesh")
    conninfo = request.getfixturevalue("postgres")
    (tmp_path / "mesh").mkdir()
    return make(
        tmp_path / "mesh",
        lake_catalog=f"postgres:{conninfo}",
        lake_data=str(tmp_path / "data"),
        lake_schema=f"lake_{uuid.uuid4().hex[:8]}",
    )


@pytest.fixture
def small(tmp_path):
    """For what does not depend on the catalog."""
    return make(tmp_path / "mesh")


def open_(place: Place, name: str = "k1", **words: object) -> Kitchen:
    return Kitchen.open(name, root=place.root, settings=place.settings, **words)


def rule(kitchen: Kitchen, query: str) -> None:
    (kitchen.root / "domains/shop/sql/orders.sql").write_text(query)


def files(place: Place) -> dict[str, tuple[int, int, str]]:
    """Production's data files, their times and contents."""
    data = place.env().lake.data
    return {
        str(path.relative_to(data)): (
            path.stat().st_mtime_ns,
            path.stat().st_size,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(data.rglob("*.parquet"))
    }


def revenue(place: Place) -> int:
    return place.rows("select total from finance.revenue")[0][0]


def test_the_whole_way(place):
    """Open, change, test, compare, promote, revert, close: and then everything is as it was."""
    before, head = files(place), git(place.root, "rev-parse", "HEAD")
    with open_(place) as kitchen:
        assert kitchen.status()["matches_production"]
        rule(
            kitchen,
            "select id, case when id = 2 then 25 else amount end as amount, mail from shop.raw_orders where id < 4",
        )
        terms = kitchen.root / "domains/shop/contracts/orders.odcs.yaml"
        terms.write_text(f"# As agreed in spring.\n{terms.read_text()}")
        told = kitchen.test()
        assert told["ok"]
        assert told["rebuilt"] == ["shop/orders", "finance/revenue"]
        assert [domain["domain"] for domain in told["domains"]] == ["finance", "shop"]
        orders = next(table for table in kitchen.diff("shop.orders")["tables"])
        assert orders["rows"] == {"before": 4, "after": 3, "added": 0, "removed": 1, "changed": 1}
        assert orders["columns"] == {"amount": 1}
        assert {"what": "changed", "key": {"id": 2}, "values": {"amount": [20, 25]}} in orders["sample"]
        assert revenue(place) == 100
        assert files(place) == before
        assert not kitchen.status()["matches_production"]

        tested = {
            hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (kitchen.site.home / "lake" / "data").rglob("*.parquet")
        }
        done = kitchen.promote()
        assert done["refused"] == []
        assert done["rows_recomputed"] == done["rows_rewritten"] == 0
        assert {row["table"] for row in done["promoted"]} == {"shop/orders", "finance/revenue"}
        for row in done["promoted"]:
            assert row["hash_equal"]
            for file in row["files"]:
                path = place.env().lake.folder(row["table"].replace("/", ".")) / file["file"]
                assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]
                assert file["sha256"] in tested
        assert revenue(place) == 65
        assert "id < 4" in (place.root / "domains/shop/sql/orders.sql").read_text()
        assert git(place.root, "status", "--porcelain") == ""
        assert set(place.statuses().values()) == {"unchanged"}, "production need not build anything again"
        named = place.env().ledger.versions()["shop.orders"].record["terms"]
        assert place.env().ledger.terms([named])[named].startswith("# As agreed in spring.")
        commit = place.env().lake.commits()[-1]
        assert commit.info["kitchen"]["name"] == "k1"
        assert commit.info["kitchen"]["commit"] == git(place.root, "rev-parse", "HEAD")
        again = kitchen.promote()
        assert (again["promoted"], again["refused"], again["already"]) == ([], [], True)

        back = kitchen.revert()
        assert {row["table"] for row in back["reverted"]} == {"shop/orders", "finance/revenue"}
        assert revenue(place) == 100
        assert "id < 4" not in (place.root / "domains/shop/sql/orders.sql").read_text()
        assert set(place.statuses().values()) == {"unchanged"}
    assert git(place.root, "diff", "--stat", head, "HEAD") == ""
    assert git(place.root, "worktree", "list").count("\n") == 0
    assert git(place.root, "branch", "--list", "kitchen/*") == ""
    assert not (place.root / ".mesh" / "kitchens").exists()
    assert before.items() <= files(place).items()
    env = place.env()
    assert Records(env.ledger).all() == ()
    if env.lake.catalog.uri.startswith("postgres"):
        schemas = env.lake.catalog.rows("SELECT nspname FROM pg_namespace WHERE nspname LIKE '%_fork_%'")
        assert not [name for (name,) in schemas if name.startswith(env.lake.catalog.schema)]


@pytest.mark.long
def test_comments_partitions_and_views_are_promoted(place):
    """In the promoting commit, also where no row has changed; production builds on such a table, and a revert undoes it."""
    con = place.env().lake.connect()
    con.execute("COMMENT ON TABLE mesh.shop.orders IS 'As it was'")
    con.execute("CREATE VIEW mesh.shop.old AS SELECT id FROM mesh.shop.orders")
    con.close()
    at_first = place.env().lake.features()
    with open_(place) as kitchen:
        assert kitchen.status()["matches_production"]
        rule(kitchen, "select id, amount, mail, id % 2 as odd from shop.raw_orders where id < 4")
        assert kitchen.test()["ok"]
        con = kitchen.environment().lake.connect()
        for statement in (
            "COMMENT ON TABLE mesh.shop.orders IS 'It''s all that was ordered'",
            "COMMENT ON COLUMN mesh.shop.orders.odd IS 'Whether the number is odd'",
            "ALTER TABLE mesh.shop.orders SET PARTITIONED BY (odd, id)",
            "ALTER TABLE mesh.shop.orders SET SORTED BY (amount DESC NULLS FIRST, odd + id ASC)",
            "COMMENT ON TABLE mesh.quiet.one IS 'Nobody has built it'",
            "ALTER TABLE mesh.quiet.one SET SORTED BY (n)",
            "ALTER TABLE mesh.quiet.one SET PARTITIONED BY (n)",
            "CREATE VIEW mesh.shop.z (what) AS SELECT amount FROM mesh.shop.orders WHERE id = 3",
            "CREATE VIEW mesh.finance.a AS SELECT what * 2 AS twice FROM mesh.shop.z",
            "COMMENT ON VIEW mesh.shop.z IS 'A view'",
            "DROP VIEW mesh.shop.old",
        ):
            con.execute(statement)
        con.close()
        wanted = kitchen.environment().lake.features()
        assert "since the last test" in kitchen.promote()["refused"][0]["reason"]
        assert kitchen.test()["ok"]
        told = {row["table"]: row["what"] for row in kitchen.diff()["features"]}
        assert told["shop/orders"] == ["comments", "partitioning", "sort order"]
        assert told["shop/old"] == ["view"]
        head = place.env().lake.head()
        done = kitchen.promote()
        assert done["refused"] == []
        assert done["replayed"] == ["finance/a", "quiet/one", "shop/old", "shop/orders", "shop/z"]
        assert all(row["hash_equal"] for row in done["promoted"])
        assert kitchen.promote()["already"]
        lake = place.env().lake
        assert lake.head() == head + 1, "one commit"
        assert lake.features() == wanted
        assert lake.features()["quiet.one"].order == (("n", "ASC NULLS LAST"),)
        assert [way for _, way in lake.features()["shop.orders"].order] == ["DESC NULLS FIRST", "ASC NULLS LAST"]
        assert lake.features(names=["quiet.one", "shop.z"]) == {name: wanted[name] for name in ("quiet.one", "shop.z")}
        assert lake.features(names=[]) == {}
        con = lake.connect(read_only=True)
        assert con.execute("SELECT twice FROM mesh.finance.a").fetchall() == [(60,)]
        con.close()
        # Production builds on it: all of the table anew, then with another column; what it has stays.
        for query in ("select id, amount, mail, id % 2 as odd from shop.raw_orders", "select * from shop.raw_orders"):
            place.sql("shop.orders", query)
            assert place.statuses("shop")["shop/orders"] == "published"
            assert lake.features()["shop.orders"].comment == "It's all that was ordered"
            assert bool(lake.features()["shop.orders"].order) is ("odd" in query), "it goes with its column"
        assert lake.features()["shop.orders"].partitions == (), "its column is gone"
        git(place.root, "checkout", "-q", "domains")
        kitchen.revert(downstream=True)
        assert place.env().lake.features() == at_first
        assert revenue(place) == 100


@pytest.mark.long
def test_raw_files_of_the_work_tree_are_a_change(small):
    """New, changed and deleted ones: their table is built with all that rests on it, and they come with the code."""
    with open_(small) as kitchen:
        assert kitchen.test()["domains"] == [], "nothing has changed"
        raw = kitchen.root / "domains/shop/raw/orders"
        (raw / "2.csv").write_text("id,amount,mail\n5,50,e@x.org\n")
        told = kitchen.test()
        assert told["changed"] == ["shop/raw_orders"]
        assert told["rebuilt"] == ["shop/raw_orders", "shop/orders", "finance/revenue"]
        assert kitchen.sql("from finance.revenue") == [(150,)]
        assert kitchen.diff()["sources"] == ["shop/raw_orders"]
        (raw / "2.csv").write_text("id,amount,mail\n5,60,e@x.org\n")
        assert "since the last test" in kitchen.promote()["refused"][0]["reason"]
        assert kitchen.test()["ok"]
        assert len(kitchen.promote()["promoted"]) == 3
        assert revenue(small) == 160
        assert set(small.statuses().values()) == {"unchanged"}, "production has the file, too"
        assert kitchen.rebase()["domains"] == []
        (raw / "1.csv").unlink()
        assert kitchen.test()["changed"] == ["shop/raw_orders"]
        assert kitchen.sql("from finance.revenue") == [(60,)]
    small.write(".gitignore", ".mesh/\n__pycache__/\n9.csv\n")
    git(small.root, "commit", "-qam", "ignored")
    with open_(small) as kitchen:
        (kitchen.root / "domains/shop/raw/orders/9.csv").write_text("id,amount,mail\n9,9,\n")
        assert kitchen.test()["ok"]
        (told,) = kitchen.promote()["refused"]
        assert told["table"] == "shop/raw_orders"
        assert "ignored by git" in told["reason"]


@pytest.mark.long
def test_a_comment_alone_is_promoted_and_reverted(small):
    with open_(small) as kitchen:
        con = kitchen.environment().lake.connect()
        con.execute("COMMENT ON TABLE mesh.quiet.one IS 'Just one'")
        con.close()
        assert "comments" in kitchen.unpromoted()[0]
        assert "never tested" in kitchen.promote()["refused"][0]["reason"]
        assert kitchen.test()["ok"]
        done = kitchen.promote()
        assert (done["promoted"], done["replayed"], done["refused"]) == ([], ["quiet/one"], [])
        assert kitchen.unpromoted() == []
        assert small.env().lake.features()["quiet.one"].comment == "Just one"
        assert set(small.statuses().values()) == {"unchanged"}
        kitchen.revert()
        assert small.env().lake.features() == {}


@pytest.mark.long
def test_rows_come_on_top_of_a_table_with_partitions(small):
    """DuckLake itself writes them into its partitions, in production and in a kitchen; promoted, they are all there."""
    small.domain("shop", "outputs: [{port: kept}]\ntables: {kept: {load: upsert, key: [id]}}\n")
    for file in (small.root / "domains/shop").glob("*/*orders.*"):
        file.unlink()
    small.domain("finance", "")
    (small.root / "domains/finance/contracts/revenue.odcs.yaml").unlink()
    small.write("domains/shop/sql/kept.sql", "select 1::bigint as id, 'a' as kind union all select 2, 'b'")
    (small.root / "domains/finance/sql/revenue.sql").unlink()
    small.contract("shop.kept", {"id": "BIGINT; required: true", "kind": "VARCHAR"})
    git(small.root, "add", "-A")
    git(small.root, "commit", "-qm", "kept")
    small.run()
    con = small.env().lake.connect()
    con.execute("ALTER TABLE mesh.shop.kept SET PARTITIONED BY (kind)")
    con.close()
    more = "select 2::bigint as id, 'c' as kind union all select 3, 'd'"
    small.write("domains/shop/sql/kept.sql", more)
    git(small.root, "commit", "-qam", "more")
    assert [row["message"] for row in small.run("shop")["tables"]] == [""]
    assert small.rows("from shop.kept order by id") == [(1, "a"), (2, "c"), (3, "d")]
    with open_(small) as kitchen:
        (kitchen.root / "domains/shop/sql/kept.sql").write_text(more.replace("3", "4"))
        assert kitchen.test()["ok"]
        assert kitchen.promote()["refused"] == []
        assert small.rows("from shop.kept order by id") == [(1, "a"), (2, "c"), (3, "d"), (4, "d")]
        assert small.env().lake.features()["shop.kept"].partitions == (("kind", "identity"),)
        kitchen.revert()
    assert small.rows("from shop.kept order by id") == [(1, "a"), (2, "c"), (3, "d")]


@pytest.mark.long
def test_it_is_said_for_whom_a_change_breaks(small):
    """Of a change of shape or of promises, per reader, with where that is seen; what only its tests could tell, they have told."""
    asked = {
        "id": "BIGINT; required: true; unique: true",
        "amount": "BIGINT; required: true",
        "mail": "VARCHAR; tags: [pii]",
    }
    small.contract("shop.orders", asked)
    domain = small.root / "domains/shop/domain.yaml"
    domain.write_text(domain.read_text().replace("{port: orders}", "{port: orders, compatibility: none}"))
    git(small.root, "commit", "-qam", "anything goes")
    small.run()
    with open_(small) as kitchen:
        mine = Place(kitchen.root)
        rule(kitchen, "select id, mail from shop.raw_orders")
        mine.contract("shop.orders", {name: said for name, said in asked.items() if name != "amount"})
        report = kitchen.test()
        assert not report["ok"]
        assert [(change["kind"], change["column"]) for change in report["changes"]] == [("column_removed", "amount")]
        shop = next(domain for domain in report["domains"] if domain["domain"] == "shop")
        (reader,) = shop["readers"]
        assert (reader["domain"], reader["port"], reader["verdict"]) == ("finance", "shop/orders", "breaking")
        assert reader["evidence"][0]["path"].endswith("domains/finance/sql/revenue.sql")
        diff = kitchen.diff()
        assert diff["readers"] == [reader]
        assert next(row for row in diff["tables"] if row["table"] == "shop/orders")["readers"] == [reader]
        assert diff["packages"] == {}
        # A looser promise: nobody can tell by reading the code; the reader's tests passed in the kitchen.
        rule(kitchen, "select id, amount, mail from shop.raw_orders where id < 4")
        mine.contract("shop.orders", asked | {"amount": "BIGINT"})
        report = kitchen.test()
        assert report["ok"], report
        (reader,) = next(domain for domain in report["domains"] if domain["domain"] == "shop")["readers"]
        assert (reader["verdict"], reader["tests"]["fail"]) == ("compatible", 0), reader
        # Rows alone change nothing of what is promised.
        mine.contract("shop.orders", asked)
        rule(kitchen, "select id, amount + 1 as amount, mail from shop.raw_orders")
        report = kitchen.test()
        assert (report["ok"], report["changes"]) == (True, [])
        assert kitchen.diff()["tests"]["ok"]


@pytest.mark.long
def test_a_dirty_work_tree(small):
    """A kitchen begins with what is committed; a change of one's own is never merged over, and never in the way of other files."""
    mine = small.root / "domains/quiet/sql/one.sql"
    orders = small.root / "domains/shop/sql/orders.sql"
    mine.write_text("select 2 as n")
    with open_(small) as kitchen:
        assert (kitchen.root / "domains/quiet/sql/one.sql").read_text() == "select 1 as n"
        assert (
            "1 file of production is changed and not committed (domains/quiet/sql/one.sql)"
            in kitchen.status()["differences"]
        )
        rule(kitchen, "select id, amount + 1 as amount, mail from shop.raw_orders")
        assert kitchen.test()["changed"] == ["shop/orders"]
        was = orders.read_text()
        orders.write_text("select 0 as id")
        (refused,) = kitchen.promote()["refused"]
        assert refused["reason"] == "production's work tree has changes of its own: domains/shop/sql/orders.sql"
        assert revenue(small) == 100
        orders.write_text(was)
        assert kitchen.promote()["refused"] == []
    assert revenue(small) == 104
    assert git(small.root, "status", "--porcelain") == "M domains/quiet/sql/one.sql"
    assert mine.read_text() == "select 2 as n"


@pytest.mark.long
def test_a_branch_that_only_a_remote_has(small, tmp_path):
    """It is worked on, not a new one of that name; and what a forge has merged as one commit is not lost by closing."""
    git(tmp_path, "clone", "-q", str(small.root), "forge")
    forge = tmp_path / "forge"
    git(forge, "config", "user.email", "r@example.org")
    git(forge, "config", "user.name", "Remo")
    git(forge, "checkout", "-qb", "feature/plus")
    for amount in (1, 2):
        (forge / "domains/shop/sql/orders.sql").write_text(
            f"select id, amount + {amount} as amount, mail from shop.raw_orders"
        )
        git(forge, "commit", "-qam", f"plus {amount}")
    git(small.root, "remote", "add", "origin", str(forge))
    git(small.root, "fetch", "-q", "origin")
    with open_(small, branch="feature/plus") as kitchen:
        assert kitchen.test()["changed"] == ["shop/orders"]
        assert kitchen.promote(pr=True)["refused"] == []
        assert revenue(small) == 108
        assert "commits of branch feature/plus" in kitchen.unpromoted()
        git(forge, "checkout", "-q", "main")
        git(forge, "merge", "-q", "--squash", "feature/plus")
        git(forge, "commit", "-qm", "All of it")
        git(small.root, "pull", "-q", "--ff-only", "origin", "main")
        assert kitchen.unpromoted() == []
        kitchen.close()
    assert git(small.root, "branch", "--list") == "* main"
    assert set(small.statuses().values()) == {"unchanged"}
    git(forge, "checkout", "-q", "feature/plus")
    git(forge, "commit", "-q", "--allow-empty", "-m", "more")
    git(small.root, "remote", "add", "other", str(forge))
    git(small.root, "fetch", "-q", "other")
    with pytest.raises(UsageError, match="several remotes have a branch `feature/plus`"):
        open_(small, branch="feature/plus")
    assert not (small.root / ".mesh" / "kitchens").exists()


@pytest.mark.long
def test_promotion_is_refused_in_words(small):
    """Not tested; changed since; a test fails; production moved; then waived, then rebased."""
    kitchen = open_(small)
    rule(kitchen, "select id, amount + 1 as amount, mail from shop.raw_orders")
    assert "never tested" in kitchen.promote()["refused"][0]["reason"]
    assert kitchen.test(downstream="none")["ok"]
    assert "left out" in kitchen.promote()["refused"][0]["reason"]
    assert kitchen.test()["ok"]
    rule(kitchen, "select id, 1::bigint as amount, mail from shop.raw_orders")
    assert "since the last test" in kitchen.promote()["refused"][0]["reason"]
    told = kitchen.test()
    assert not told["ok"]
    finance = next(domain for domain in told["domains"] if domain["domain"] == "finance")
    assert finance["verdict"] == "fail"
    assert finance["failing"][0]["table"] == "finance/revenue"
    assert "finance" in kitchen.promote()["refused"][0]["reason"]
    rule(kitchen, "select id, amount + 1 as amount, mail from shop.raw_orders")
    assert kitchen.test()["ok"]
    small.write("domains/shop/raw/orders/2.csv", "id,amount,mail\n5,50,e@x.org\n")
    git(small.root, "add", "-A")
    git(small.root, "commit", "-qm", "more orders")
    small.run()
    refused = kitchen.promote()["refused"]
    assert {row["table"] for row in refused} == {"shop/raw_orders", "shop/orders", "finance/revenue", ""}
    assert all("rebase" in row["reason"] for row in refused)
    assert revenue(small) == 150
    assert kitchen.rebase()["ok"]
    assert [row["table"] for row in kitchen.promote()["promoted"]] == ["finance/revenue", "shop/orders"]
    assert revenue(small) == 155
    kitchen.close()


def test_a_failed_test_can_be_waived_and_that_is_kept(small):
    kitchen = open_(small)
    rule(kitchen, "select id, 1::bigint as amount, mail from shop.raw_orders")
    assert not kitchen.test()["ok"]
    done = kitchen.promote(waive="agreed with finance")
    assert [row["table"] for row in done["promoted"]] == ["shop/orders"]
    assert small.env().lake.commits()[-1].info["kitchen"]["waived"] == "agreed with finance"
    assert revenue(small) == 100, "what failed is still held"
    kitchen.close(force=True)


def _verdicts(env, *, cached: bool) -> list[tuple]:
    """What `mesh test` says of every table."""
    items = testing.test(env, env.mesh.tables, cached=cached)
    return [(item["table"], item["name"], item["status"], item["failing_rows"], item["total_rows"]) for item in items]


@pytest.mark.long
def test_verdicts_are_right_in_a_kitchen_and_after_promotion_and_revert(small):
    """The kitchen starts with production's memory, and its files come to production under other names."""

    def agree(env) -> list[tuple]:
        found = _verdicts(env, cached=True)
        assert found == _verdicts(env, cached=True) == _verdicts(env, cached=False)
        return found

    at_first = agree(small.env())
    with open_(small) as kitchen:
        assert agree(kitchen.environment()) == at_first
        rule(kitchen, "select case when id = 3 then null else id end as id, amount, mail from shop.raw_orders")
        assert not kitchen.test()["ok"]
        held = agree(kitchen.environment())
        assert ("shop/orders", "id__required", "fail", 1, 4) in held, held
        assert agree(small.env()) == at_first
        rule(kitchen, "select id, amount, mail from shop.raw_orders where id < 4")
        assert kitchen.test()["ok"]
        in_kitchen = agree(kitchen.environment())
        kitchen.promote()
        assert agree(small.env()) == in_kitchen != at_first
        kitchen.revert()
        assert agree(small.env()) == at_first


@pytest.mark.long
def test_revert_is_refused_when_later_versions_stand_on_it(small):
    kitchen = open_(small)
    rule(kitchen, "select id, amount + 1 as amount, mail from shop.raw_orders")
    kitchen.test()
    kitchen.promote()
    small.sql("finance.revenue", "select sum(amount)::bigint * 2 as total from shop.orders")
    git(small.root, "commit", "-qam", "double")
    small.run()
    env = small.env()
    assert [row["table"] for row in revert(env, Records(env.ledger), "k1")["refused"]] == ["finance/revenue"]
    assert revenue(small) == 208
    back = revert(env, Records(env.ledger), "k1", downstream=True, code=False)
    assert {row["table"] for row in back["reverted"]} == {"shop/orders", "finance/revenue"}
    assert revenue(small) == 100
    kitchen.close(force=True)


@pytest.mark.long
@pytest.mark.parametrize("name", ["a/b", "with space", "x" * 300, "'; drop table kitchens; --", "", "..", "-x", "Ä"])
def test_a_name_that_cannot_be_one(small, name):
    with pytest.raises(UsageError, match="cannot be a kitchen's name"):
        open_(small, name)
    assert not (small.root / ".mesh" / "kitchens").exists()


@pytest.mark.long
def test_bad_input_leaves_nothing(small):
    open_(small).close()
    with open_(small):
        with pytest.raises(UsageError, match="there is a kitchen `k1`"):
            open_(small)
        with pytest.raises(UsageError, match="there is no kitchen `k0`"):
            open_(small, "k2", source="k0")
        with pytest.raises(UsageError, match="is no time to live"):
            open_(small, "k2", ttl="soon")
        assert len(Records(small.env().ledger).all()) == 1
    git(small.root, "checkout", "-q", "--detach")
    with open_(small) as kitchen:
        rule(kitchen, "select id, amount + 1 as amount, mail from shop.raw_orders")
        kitchen.test()
        assert "detached" in kitchen.promote()["refused"][0]["reason"]
        assert [row["table"] for row in kitchen.promote(pr=True)["promoted"]] == ["finance/revenue", "shop/orders"]


def test_without_git_and_with_secrets(tmp_path, monkeypatch):
    place = make(tmp_path / "mesh")
    place.write("mesh.yaml", "mesh: test\nkitchen: {secrets: {CRM_PASSWORD: CRM_TEST, PAY_KEY: ''}}\n")
    for name in ("CRM_PASSWORD", "CRM_TEST", "PAY_KEY"):
        monkeypatch.setenv(name, f"value of {name}")
    (place.root / ".git").rename(tmp_path / "gone")
    with pytest.raises(UsageError, match="--no-code"):
        open_(place)
    with open_(place, code=False, variables={"MESH_TEST_COLOUR": "red"}) as kitchen:
        assert kitchen.root == place.root
        assert kitchen.status()["differences"] == [
            "variable MESH_TEST_COLOUR is set",
            "secret CRM_PASSWORD is that of CRM_TEST",
            "secret PAY_KEY is not there",
        ]
        with kitchen.site.entered():
            assert os.environ["CRM_PASSWORD"] == "value of CRM_TEST"
            assert "PAY_KEY" not in os.environ
        assert os.environ["PAY_KEY"] == "value of PAY_KEY"
        assert "value of" not in (kitchen.site.folder / "kitchen.json").read_text()
    assert "MESH_TEST_COLOUR" not in os.environ


@pytest.mark.long
def test_a_kitchen_of_a_kitchen(small):
    outer = open_(small, "outer")
    rule(outer, "select id, amount + 1 as amount, mail from shop.raw_orders")
    outer.test()
    outer_repository = outer.root
    git(outer_repository, "commit", "-qam", "plus one")
    inner = open_(small, "inner", source="outer")
    assert inner.sql("select total from finance.revenue") == [(104,)]
    rule(inner, "select id, amount + 2 as amount, mail from shop.raw_orders")
    inner.test()
    with pytest.raises(UsageError, match="`inner` was opened from `outer`"):
        outer.close(force=True)
    assert {row["table"] for row in inner.promote()["promoted"]} == {"shop/orders", "finance/revenue"}
    assert outer.sql("select total from finance.revenue") == [(108,)]
    assert revenue(small) == 100
    inner.close()
    outer.test()
    outer.promote()
    outer.close()
    assert revenue(small) == 108


def test_nothing_in_a_kitchen_touches_production(place):
    """Every route that DuckLake, SQL and links offer."""
    before = files(place)
    versions = place.env().lake.head()
    production = place.env().lake.data
    victim = max(production.glob("shop/orders/*.parquet"))
    with open_(place) as kitchen:
        lake = kitchen.environment().lake
        (lake.data / "link").symlink_to(production, target_is_directory=True)
        (lake.data / "file.parquet").symlink_to(victim)
        lake.folder("shop.taken").mkdir(parents=True)
        up = "../" * len(lake.data.parts[1:])
        con = lake.connect()
        for statement in (
            "DELETE FROM mesh.shop.orders WHERE id = 1",
            "UPDATE mesh.shop.orders SET amount = 0",
            "ALTER TABLE mesh.shop.orders ADD COLUMN more INTEGER",
            "DROP TABLE mesh.finance.revenue",
            "CREATE OR REPLACE TABLE mesh.shop.raw_orders AS SELECT 1 AS id",
            # Production's file by its own path, and by one that begins in the kitchen's folder; then it is dropped.
            "CREATE TABLE mesh.shop.taken (id BIGINT, amount BIGINT, mail VARCHAR)",
            f"CALL ducklake_add_data_files('mesh', 'taken', '{victim}', schema => 'shop')",
            f"CALL ducklake_add_data_files('mesh', 'taken', '{lake.data}/{up}{victim}', schema => 'shop')",
            f"CALL ducklake_add_data_files('mesh', 'taken', '{lake.folder('shop.taken')}/{up}../../{victim}', schema => 'shop')",
            "DROP TABLE mesh.shop.taken",
            "DROP SCHEMA mesh.quiet CASCADE",
            "CALL ducklake_merge_adjacent_files('mesh')",
            "CALL ducklake_rewrite_data_files('mesh', delete_threshold => 0)",
            "CALL ducklake_expire_snapshots('mesh', older_than => now() + INTERVAL 1 DAY)",
            "CALL ducklake_cleanup_old_files('mesh', cleanup_all => true)",
            "CALL ducklake_delete_orphaned_files('mesh', cleanup_all => true)",
            "CHECKPOINT mesh",
        ):
            con.execute(statement)
            assert files(place) == before, statement
        con.close()
        lake.clean(maintenance.timedelta(0))
        for query in (
            f"ATTACH '{production.parent / 'catalog.sqlite'}' AS production",
            f"COPY (SELECT 1) TO '{production / 'x.parquet'}'",
            f"SELECT * FROM read_parquet('{production}/**/*.parquet')",
            f"FROM '{production}/shop/orders/*.parquet'",
            "CALL ducklake_cleanup_old_files('mesh', cleanup_all => true)",
            "SELECT * FROM ducklake_delete_orphaned_files('mesh', cleanup_all => true)",
            "DROP TABLE shop.orders",
            "DELETE FROM shop.orders",
        ):
            with pytest.raises(UsageError):
                kitchen.sql(query)
        for query in (
            f"ATTACH '{production.parent / 'catalog.sqlite'}' AS production",
            "CALL ducklake_expire_snapshots('mesh', older_than => now())",
            "select * from ducklake_cleanup_old_files('mesh', cleanup_all => true)",
            f"COPY (SELECT 1) TO '{production / 'x.parquet'}'",
            f"select * from '{victim}'",
        ):
            (kitchen.root / "domains/quiet/sql/one.sql").write_text(query)
            assert list(kitchen.environment().mesh.broken) == ["quiet"], query
        link = kitchen.root / "domains" / "shop" / "raw" / "orders" / "9.csv"
        link.symlink_to(place.root / "domains" / "shop" / "raw" / "orders" / "1.csv")
        kitchen.run()
    assert files(place) == before
    assert place.env().lake.head() == versions
    assert revenue(place) == 100
    assert (place.root / "domains/shop/raw/orders/1.csv").is_file()


@pytest.mark.long
def test_on_postgresql_a_kitchen_has_a_role_without_rights(postgres, tmp_path, monkeypatch):
    """It builds, tests, is promoted and closed; and its role can neither read nor write production, nor remove the guard."""
    import duckdb
    import psycopg
    from psycopg.errors import InsufficientPrivilege

    name, schema = f"kitchen_{uuid.uuid4().hex[:8]}", f"lake_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres, autocommit=True) as con:
        con.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'low'")
    (tmp_path / "mesh").mkdir()
    own = f"{postgres.partition('user=')[0]}user={name} password=low dbname=postgres"
    place = make(
        tmp_path / "mesh",
        lake_catalog=f"postgres:{postgres}",
        lake_data=str(tmp_path / "data"),
        lake_schema=schema,
        kitchen_catalog=f"postgres:{own}",
    )
    monkeypatch.setenv("MESH_KITCHEN_CATALOG", f"postgres:{own}")
    monkeypatch.setenv("MESH_LAKE_CATALOG", f"postgres:{postgres}")
    before = files(place)
    with open_(place) as kitchen:
        with kitchen.site.entered():
            assert postgres not in os.environ["MESH_LAKE_CATALOG"]
        rule(kitchen, "select id, amount + 1 as amount, mail from shop.raw_orders")
        assert kitchen.test()["ok"]
        lake = kitchen.environment().lake
        assert lake.catalog.user == name
        fork = lake.catalog.schema
        for statement in (
            f"SELECT * FROM {schema}.ducklake_data_file",
            f"DELETE FROM {schema}.ducklake_snapshot",
            f"UPDATE {schema}.ducklake_table SET table_name = 'x'",
            f"INSERT INTO {schema}_ledger.attempts SELECT * FROM {schema}_ledger.attempts",
            f"SELECT * FROM {schema}_ledger.kitchens",
            f"DROP SCHEMA {schema} CASCADE",
            f"DROP SCHEMA {fork} CASCADE",
            f"CREATE TABLE {schema}.x (i int)",
            f"DROP TRIGGER mesh_delete_guard ON {fork}.ducklake_files_scheduled_for_deletion",
            f"ALTER TABLE {fork}.ducklake_files_scheduled_for_deletion DISABLE TRIGGER ALL",
            f"TRUNCATE {fork}.ducklake_data_file",
            "SET session_replication_role = replica",
            "SET ROLE mesh",
        ):
            with psycopg.connect(own, autocommit=True) as con, pytest.raises(InsufficientPrivilege):
                con.execute(statement)
        con = lake.connect()
        for statement in (
            f"ATTACH 'ducklake:postgres:{own}' AS production (METADATA_SCHEMA '{schema}', META_SECRET 'mesh_catalog')",
            f"CALL postgres_execute('__ducklake_metadata_mesh', 'DELETE FROM {schema}.ducklake_snapshot')",
            f"CALL postgres_execute('__ducklake_metadata_mesh', 'DROP TRIGGER mesh_delete_guard ON {fork}.ducklake_files_scheduled_for_deletion')",
        ):
            with pytest.raises(duckdb.Error, match="permission denied|must be owner"):
                con.execute(statement)
        con.close()
        assert files(place) == before
        assert [row["table"] for row in kitchen.promote()["promoted"]] == ["finance/revenue", "shop/orders"]
    assert revenue(place) == 104
    with psycopg.connect(postgres, autocommit=True) as con:
        assert con.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", [fork]).fetchone() == (0,)
        con.execute(f"DROP ROLE {name}")  # nothing is left that it has a right to


@pytest.mark.long
def test_classified_columns_are_masked(place):
    """Nothing in the kitchen leads to a real value: no version, no statistic, no file; joins hold, and new raw rows are masked alike."""
    import duckdb

    place.write("mesh.yaml", "mesh: test\nkitchen: {mask: [pii]}\n")
    place.sql("shop.orders", "select id, amount + 0 as amount, mail from shop.raw_orders")
    place.run()
    git(place.root, "commit", "-qam", "mask")
    real = ("a@x.org", "b@x.org", "c@x.org", "e@y.org")
    with open_(place) as kitchen:
        assert kitchen.site.masked == {"shop.raw_orders": ["mail"], "shop.orders": ["mail"]}
        mails = dict(kitchen.sql("select id, mail from shop.orders"))
        assert mails[4] is None
        assert all(re.fullmatch(r"[a-z]@[a-z]\.[a-z]{3}", mails[id_]) and mails[id_] not in real for id_ in (1, 2, 3))
        both = "select count(*), sum(o.amount) from shop.orders o join shop.raw_orders r on o.mail = r.mail"
        assert kitchen.sql(both) == [(3, 60)]
        assert kitchen.sql("select id from shop.orders where mail between 'a@x.org' and 'c@x.org'") == [
            (id_,) for id_ in (1, 2, 3) if "a@x.org" <= mails[id_] <= "c@x.org"
        ]
        assert {"column shop.orders.mail is masked", "column shop.raw_orders.mail is masked"} <= set(
            kitchen.status()["differences"]
        )
        lake = kitchen.environment().lake
        con = lake.connect()
        readable = 0
        for version in range(lake.head() + 1):
            with suppress(duckdb.Error):  # no such version, or one whose files are not there any more
                values = con.execute(f"SELECT mail FROM mesh.shop.orders AT (VERSION => {version})").fetchall()
                assert not {value for (value,) in values} & {*real}
                readable += bool(values)
        assert readable
        con.close()
        raw = kitchen.root / "domains/shop/raw/orders/2.csv"
        raw.write_text("id,amount,mail\n5,50,e@y.org\n6,60,a@x.org\n")
        kitchen.run("shop/raw_orders", downstream=True)
        assert kitchen.test()["ok"]
        mails |= dict(kitchen.sql("select id, mail from shop.orders where id > 4"))
        assert mails[6] == mails[1]
        assert mails[5] not in real
        assert kitchen.sql("select total from finance.revenue") == [(210,)]
        found = [path for path in kitchen.site.home.rglob("*") if path.is_file() and path.suffix != ".lock"]
        assert len(found) > 4
        for path in found:
            held = path.read_bytes()
            assert not [value for value in real if value.encode() in held], path
        before = files(place)
        done = kitchen.promote()
        assert (done["promoted"], done["refused"]) == ([], [])
        assert done["left_to_production"] == ["shop/raw_orders", "shop/orders", "finance/revenue"]
        assert files(place) == before
    assert set(place.statuses("shop/raw_orders", downstream=True).values()) == {"published"}
    assert revenue(place) == 210
    assert place.rows("select mail from shop.orders where id = 5") == [("e@y.org",)]


@pytest.mark.long
def test_maintenance_spares_open_kitchens(place):
    """Production expires and cleans up; a kitchen reads on, with its whole history, and closes; then files go."""
    kitchen = open_(place)
    for amount in (1, 2, 3):
        place.sql("shop.orders", f"select id, amount + {amount} as amount, mail from shop.raw_orders")
        place.run()
    old = len(files(place))
    told = maintenance.maintain(place.env(), keep=maintenance.timedelta(0), grace=maintenance.timedelta(0))
    assert told["expired"] > 0
    assert told["deleted"] == 0
    assert len(files(place)) == old
    assert kitchen.sql("select total from finance.revenue") == [(100,)]
    assert revenue(place) == 112
    assert set(place.statuses().values()) == {"unchanged"}
    kitchen.close(force=True)
    with place.env().ledger.store.writing() as db:
        db.execute(_pins.delete())  # as a day later: what a run has read at is spared until then
    told = maintenance.maintain(place.env(), keep=maintenance.timedelta(0), grace=maintenance.timedelta(0))
    if place.env().lake.catalog.uri.startswith("postgres"):
        assert told["deleted"] > 0
        assert len(files(place)) < old
    assert revenue(place) == 112
    assert set(place.statuses().values()) == {"unchanged"}


def names(place: Place) -> list[str]:
    return [row.name for row in Records(place.env().ledger).all()]


def test_expired_kitchens_are_closed_but_not_what_they_hold(small, monkeypatch):
    """By Dagster's job; asked for by hand with `force` it closes these, too. One that cannot be closed is in the way of no other."""
    import dagster as dg

    from mesh_assets.kitchen import opening
    from mesh_assets.orchestration.kitchens import schedules

    (schedule,) = schedules(small.root, small.settings)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING

    def job(*, force: bool = False) -> dg.ExecuteInProcessResult:
        asked = {"ops": {"close_expired_kitchens": {"config": {"force": True}}}} if force else {}
        return schedule.job.execute_in_process(run_config=asked, raise_on_error=False)

    open_(small, "idle", ttl="0m")
    busy = open_(small, "busy", ttl="0m")
    rule(busy, "select id, amount + 1 as amount, mail from shop.raw_orders")
    open_(small, "young")
    open_(small, "inner", source="young", ttl="0m")
    open_(small, "innermost", source="inner")
    told = maintenance.close_expired(small.root, small.settings)
    assert (told.closed, told.failed) == (("idle",), {})
    assert told.kept == {
        "inner": "innermost was opened from it",
        "busy": "1 changed file (domains/shop/sql/orders.sql)",
    }
    Kitchen.of("innermost", root=small.root, settings=small.settings).close()
    assert job().success
    assert names(small) == ["busy", "young"]
    open_(small, "stuck", ttl="0m")
    remove = opening.remove

    def fails(env, records, row, **words):
        if row.name == "stuck":
            raise RunError("git: its lock is there\n    Try again.")
        remove(env, records, row, **words)

    with monkeypatch.context() as patched:
        patched.setattr(opening, "remove", fails)
        assert not job(force=True).success
    assert names(small) == ["young", "stuck"]
    Records(small.env().ledger).update("stuck", state="open")
    shutil.rmtree(small.root / ".mesh/kitchens/stuck")
    listed = {row["kitchen"]: row["state"] for row in listing(small.root, small.settings)["kitchens"]}
    assert listed == {"young": "open", "stuck": "lost"}
    extra = git(small.root, "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "x")
    git(small.root, "update-ref", "refs/heads/kitchen/stuck", extra)
    assert job().success, "its branch is worth asking"
    assert names(small) == ["young", "stuck"]
    closing.close(small.root, small.settings, "stuck")  # the commit changes no file
    Kitchen.of("young", root=small.root, settings=small.settings).close()
    assert not (small.root / ".mesh" / "kitchens").exists()
    assert git(small.root, "branch", "--list") == "* main"


@pytest.mark.long
def test_a_promotion_whose_code_could_not_be_merged_is_finished_or_taken_back(small, monkeypatch):
    """Its tables are published, and nothing else is done with the kitchen before the code is there, or they are taken back."""
    kitchen = open_(small)
    rule(kitchen, "select id, amount + 1 as amount, mail from shop.raw_orders")
    assert kitchen.test()["ok"]

    def half(function: str, on: type) -> str:
        with monkeypatch.context() as patched:
            patched.setattr(on, function, _raises)
            with pytest.raises(RunError) as error:
                kitchen.promote()
        assert revenue(small) == 104
        return str(error.value)

    told = half("merge", Repository)
    assert told.startswith("the tables are published as version ")
    assert "mesh kitchen revert k1" in told
    for refused in (kitchen.rebase, kitchen.close):
        with pytest.raises(UsageError, match="the promotion of kitchen `k1` was cut off"):
            refused()
    kitchen.revert()
    assert revenue(small) == 100
    assert kitchen.rebase()["ok"]
    half("promoted", Records)  # the code is merged, and nothing on record
    assert "amount + 1" in (small.root / "domains/shop/sql/orders.sql").read_text()
    kitchen.revert()
    assert revenue(small) == 100
    assert "amount + 1" not in (small.root / "domains/shop/sql/orders.sql").read_text()
    assert set(small.statuses().values()) == {"unchanged"}
    assert kitchen.rebase()["ok"]
    half("merge", Repository)
    assert kitchen.promote()["finished_an_earlier_one"]
    assert revenue(small) == 104
    kitchen.close()
    with pytest.raises(UsageError, match="kitchen `k2` has promoted nothing that still stands\n    What these .*: k1"):
        undo(small.root, small.settings, "k2")


def _raises(*_: object, **__: object) -> None:
    raise RunError("somebody was quicker\n    Again.")


@pytest.mark.long
def test_a_production_table_that_was_dropped_or_retyped(small):
    kitchen = open_(small)
    rule(kitchen, "select id, amount + 1 as amount, mail from shop.raw_orders")
    kitchen.test()
    con = small.env().lake.connect()
    con.execute("ALTER TABLE mesh.shop.raw_orders ADD COLUMN extra INTEGER")
    con.execute("DROP TABLE mesh.finance.revenue")
    con.close()
    reasons = {row["table"]: row["reason"] for row in kitchen.promote()["refused"]}
    assert set(reasons) == {"shop/raw_orders", "finance/revenue"}
    assert "dropped" in reasons["finance/revenue"]
    kitchen.close(force=True)


@pytest.mark.long
def test_empty_and_small_tables_and_deleted_rows(small):
    """0 rows, 7 rows, an incremental table with rows that were replaced: promoted with every row."""
    small.domain(
        "shop",
        "inputs: [{source: raw/orders/*.csv, as: raw_orders}]\noutputs: [{port: orders}]\n"
        "tables: {kept: {load: upsert, key: [id]}}\n",
    )
    small.sql("shop.none", "select id from shop.raw_orders where false")
    small.sql("shop.seven", "select unnest(generate_series(1, 7))::bigint as n from shop.raw_orders where id = 1")
    small.sql("shop.kept", "select id, amount from shop.orders where id < 3")
    small.contract("shop.kept", {"id": "BIGINT; required: true", "amount": "BIGINT"})
    git(small.root, "add", "-A")
    git(small.root, "commit", "-qm", "more")
    assert set(small.statuses().values()) == {"published", "unchanged"}
    with open_(small) as kitchen:
        sql = kitchen.root / "domains/shop/sql"
        (sql / "none.sql").write_text("select id from shop.raw_orders where id > 100")
        (sql / "seven.sql").write_text(
            "select unnest(generate_series(1, 7))::bigint * 2 as n from shop.raw_orders where id = 1"
        )
        (sql / "kept.sql").write_text("select id, amount + 1 as amount from shop.orders where id > 1")
        assert kitchen.test()["ok"]
        done = kitchen.promote()
        assert done["refused"] == []
    none = small.env().ledger.attempts(outcomes=("unchanged",), table="shop.none")["shop.none"]
    assert none.record["pin"] == done["version"], "a run that was taken for dead publishes nothing older over it"
    assert small.rows("select count(*) from shop.none") == [(0,)]
    assert small.rows("select count(*), sum(n) from shop.seven") == [(7, 56)]
    assert small.rows("select id, amount from shop.kept order by id") == [(1, 10), (2, 21), (3, 31), (4, 41)]


@pytest.mark.long
def test_what_was_reverted_can_be_promoted_again(small):
    """Git takes a commit that was merged once for known, also when it was undone since: it is committed anew."""
    changed = "select id, amount + 1 as amount, mail from shop.raw_orders"
    with open_(small) as kitchen:
        rule(kitchen, changed)
        # Once by rebasing, for the revert has moved the tables; then again for a change of code alone.
        for _ in range(2):
            assert kitchen.test()["ok"]
            assert kitchen.promote()["refused"] == []
            assert (small.root / "domains/shop/sql/orders.sql").read_text() == changed
            assert revenue(small) == 104
            kitchen.revert()
            assert (small.root / "domains/shop/sql/orders.sql").read_text() != changed
            assert revenue(small) == 100
            assert "mesh kitchen rebase" in kitchen.promote()["refused"][0]["reason"]
            report = kitchen.rebase()
            assert report["changed"] == ["shop/orders"]
            assert report["ok"]
            assert (kitchen.root / "domains/shop/sql/orders.sql").read_text() == changed
        assert kitchen.promote()["refused"] == []
        assert revenue(small) == 104
    with open_(small, "k2") as kitchen:
        rule(kitchen, f"{changed} -- the same")
        assert kitchen.test()["rebuilt"] == []
        for _ in range(2):
            assert kitchen.promote()["refused"] == []
            assert "the same" in (small.root / "domains/shop/sql/orders.sql").read_text()
            assert kitchen.promote()["already"]
            kitchen.revert()
            assert "the same" not in (small.root / "domains/shop/sql/orders.sql").read_text()
    assert git(small.root, "status", "--porcelain") == ""


@pytest.mark.long
def test_a_variable_alone_is_a_change(small, monkeypatch):
    """What names it is built, once, and what rests on it; it is promoted only where production sets it so, too."""
    small.domain("rates", "outputs: [{port: rate}]\n")
    small.write(
        "domains/rates/assets.py",
        "import os\n\nimport polars as pl\n\nimport mesh_assets\n\n\n"
        "@mesh_assets.table\ndef rate() -> pl.DataFrame:\n"
        '    return pl.DataFrame({"rate": [int(os.environ.get("SHOP_RATE", "1"))]})\n',
    )
    small.contract("rates.rate", {"rate": "BIGINT; required: true"})
    small.sql("rates.twice", "select rate * 2 as twice from rates.rate")
    small.sql("quiet.one", "select 1 as n -- whatever SHOP_RATES may be")
    git(small.root, "add", "-A")
    git(small.root, "commit", "-qm", "rates")
    assert small.statuses()["rates/twice"] == "published"
    with open_(small, variables={"SHOP_RATE": "3"}) as kitchen:
        assert kitchen.status()["differences"] == ["variable SHOP_RATE is set"]
        report = kitchen.test()
        assert report["variables"] == {"SHOP_RATE": ["rates/rate"]}
        assert report["changed"] == ["rates/rate"]
        assert report["rebuilt"] == ["rates/rate", "rates/twice"]
        assert kitchen.sql("select twice from rates.twice") == [(6,)]
        version = kitchen.environment().ledger.versions()["rates.rate"].version
        assert kitchen.test()["rebuilt"] == []
        assert kitchen.environment().ledger.versions()["rates.rate"].version == version, "only once"
        (refused,) = kitchen.promote()["refused"]
        assert refused["table"] == "rates/rate"
        assert "the kitchen sets SHOP_RATE" in refused["reason"]
        assert "3" not in refused["reason"]
        # Where production sets it so, it is promoted as tested.
        monkeypatch.setenv("SHOP_RATE", "3")
        done = kitchen.promote()
        assert done["refused"] == []
        assert [row["table"] for row in done["promoted"]] == ["rates/rate", "rates/twice"]
    assert small.rows("select twice from rates.twice") == [(6,)]
    with open_(small, variables={"NOBODY_READS_IT": "1"}) as kitchen:
        report = kitchen.test()
        assert report["variables"] == {"NOBODY_READS_IT": []}
        assert report["domains"] == []


def test_what_names_a_variable(tmp_path):
    """A SQL file stands for its table, Python for what is not SQL, anything else for its domain; a longer name is another one."""
    place = Place(tmp_path / "mesh")
    place.domain("shop", "inputs: [{source: raw/o.csv}] # of SHOP_HOST\noutputs: [{port: a}]\n")
    place.write("domains/shop/raw/o.csv", "id\n1\n")
    place.sql("shop.a", "select id from shop.o -- LIMIT")
    place.sql("shop.b", "select id from shop.a -- LIMITS, MY_LIMIT")
    place.write(
        "domains/shop/assets.py",
        "import polars as pl\n\nimport mesh_assets\n\nRATE = 'SHOP_RATE'\n\n\n"
        "@mesh_assets.table\ndef c(a: pl.DataFrame) -> pl.DataFrame:\n    return a\n",
    )
    place.contract("shop.a", {"id": "BIGINT"})
    mesh = read_mesh(place.root)
    assert readers(mesh, ["LIMIT", "SHOP_RATE", "SHOP_HOST", "NO"]) == {
        "LIMIT": ("shop.a",),
        "NO": (),
        "SHOP_HOST": tuple(mesh.tables),
        "SHOP_RATE": ("shop.c",),
    }
    assert differing({"A": "1", "B": "2"}, {"B": "2"}) == ("A",)
