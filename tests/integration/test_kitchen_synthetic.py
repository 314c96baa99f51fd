"""A kitchen of synthetic rows: keys, links, shares and order hold, nobody is in it, and none of its rows reach production."""

import random
import uuid
from pathlib import Path

import pytest

from mesh_assets import testing
from mesh_assets.errors import UsageError
from mesh_assets.kitchen.api import Kitchen
from mesh_assets.orchestration.run import run
from tests.integration.test_kitchen import committed_and_run, files, git
from tests.making import Place

CITIES = {"Basel": "BS", "Liestal": "BL", "Bern": "BE", "Thun": "BE", "Chur": "GR"}
CUSTOMERS, ORDERS = 1200, 8000


def npi(number: int) -> str:
    """Ten digits with the check digit that they must have."""
    digits = f"1{number:08d}"
    total = 24 + sum(int(d) if i % 2 else sum(map(int, str(2 * int(d)))) for i, d in enumerate(digits))
    return f"{digits}{-total % 10}"


def make(root: Path, **settings: object) -> Place:
    """Customers, their orders in another system's spelling, a table of codes, and what rests on them in another domain."""
    place = Place(root)
    place.settings = place.settings.model_copy(update=settings)
    chance = random.Random(7)
    place.write(".gitignore", ".mesh/\n__pycache__/\n")
    place.domain(
        "shop",
        "inputs:\n  - {source: raw/customers.csv}\n  - {source: raw/orders.csv}\n  - {source: raw/codes.csv}\n"
        "outputs: [{port: sales}]\n",
    )
    lines = ["customer_id,npi,mail,surname,city,canton,born,salary,member"]
    for number in range(CUSTOMERS):
        city = chance.choices([*CITIES], [60, 20, 10, 5, 5])[0]
        mail = f"{chance.choice('abcdefg')}.person{number}@mail{number % 9}.org" if chance.random() < 0.9 else ""
        born = f"19{chance.randint(40, 99)}-0{chance.randint(1, 9)}-1{chance.randint(0, 9)}"
        lines.append(
            f"C-{number:06d},{npi(chance.randint(0, 99999999))},{mail},Name{chance.randint(0, 300)}son,"
            f"{city},{CITIES[city]},{born},{chance.randint(50, 90) * 1000},{chance.random() < 0.3}"
        )
    place.write("domains/shop/raw/customers.csv", "\n".join(lines) + "\n")
    lines = ["order_id,client,code,placed,shipped,amount"]
    for number in range(ORDERS):
        who = min(int(chance.expovariate(1 / 200)), CUSTOMERS - 1) if chance.random() < 0.8 else 900000 + number
        placed = chance.randint(1, 20)
        shipped = f"2025-03-{placed + chance.randint(0, 8):02d}" if chance.random() < 0.95 else ""
        client = f"c{who:06d}"
        lines.append(
            f"{number + 1},{client},{chance.choice('AAAB')},2025-03-{placed:02d},{shipped},{chance.randint(1, 500)}"
        )
    place.write("domains/shop/raw/orders.csv", "\n".join(lines) + "\n")
    place.write("domains/shop/raw/codes.csv", "code,meaning\nA,at the counter\nB,by mail\n")
    place.contract(
        "shop.customers",
        {
            "customer_id": "VARCHAR; required: true; primaryKey: true; logicalTypeOptions: {pattern: '^C-[0-9]{6}$'}",
            "npi": "VARCHAR; required: true",
            "mail": "VARCHAR; tags: [pii]; logicalTypeOptions: {pattern: '^[a-z0-9.]+@[a-z0-9]+\\.[a-z]+$'}",
            "surname": "VARCHAR; required: true; classification: restricted",
            "city": "VARCHAR; required: true",
            "canton": "VARCHAR; required: true",
            "born": "DATE; tags: [pii]",
            "salary": "INTEGER; classification: confidential",
            "member": "BOOLEAN; tags: [pii]",
        },
        quality="      - {id: enough, metric: rowCount, mustBeGreaterThan: 1000}\n",
    )
    place.contract(
        "shop.orders",
        {
            "order_id": "BIGINT; required: true; primaryKey: true",
            "client": "VARCHAR; required: true",
            "code": "VARCHAR; required: true; relationships: [{to: shop.codes.code}]",
            "placed": "DATE; required: true",
            "shipped": "DATE",
            "amount": "INTEGER; required: true; logicalTypeOptions: {minimum: 1, maximum: 500}",
        },
    )
    place.contract("shop.codes", {"code": "VARCHAR; required: true; unique: true", "meaning": "VARCHAR"})
    place.sql(
        "shop.sales",
        "select c.canton, sum(o.amount)::bigint as total, count(*) as orders\nfrom shop.orders o\n"
        "join shop.customers c on lower(replace(c.customer_id, '-', '')) = o.client\ngroup by all",
    )
    place.contract(
        "shop.sales",
        {
            "canton": "VARCHAR; required: true; unique: true",
            "total": "BIGINT; logicalTypeOptions: {minimum: 1}",
            "orders": "BIGINT",
        },
    )
    place.domain("finance", "inputs: [{port: shop.sales, contract: in_sales.odcs.yaml}]\noutputs: [{port: revenue}]\n")
    place.contract(
        "finance.sales", {"canton": "VARCHAR", "orders": "BIGINT; logicalTypeOptions: {minimum: 100}"}, name="in_sales"
    )
    place.sql("finance.revenue", "select sum(total)::bigint as total from shop.sales")
    place.contract("finance.revenue", {"total": "BIGINT; logicalTypeOptions: {minimum: 100000}"})
    return committed_and_run(place)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """On each kind of catalog."""
    if request.param == "sqlite":
        return make(tmp_path / "mesh")
    (tmp_path / "mesh").mkdir()
    return make(
        tmp_path / "mesh",
        lake_catalog=f"postgres:{request.getfixturevalue('postgres')}",
        lake_data=str(tmp_path / "data"),
        lake_schema=f"lake_{uuid.uuid4().hex[:8]}",
    )


@pytest.fixture
def small(tmp_path):
    """For what does not depend on the catalog."""
    return make(tmp_path / "mesh")


def open_(place: Place, name: str = "k1", share: str = "20%", **words: object) -> Kitchen:
    return Kitchen.open(name, root=place.root, settings=place.settings, synthetic=share, **words)


def verdicts_on_customers(kitchen: Kitchen) -> list[dict]:
    """What `mesh test` says of customers there."""
    env = kitchen.environment()
    return testing.published(env, env.mesh.tables["shop.customers"], env.seen()["shop.customers"].version, "again")


def near(one: float, other: float, by: float = 0.06) -> bool:
    return abs(one - other) <= by


@pytest.mark.long
def test_rows_are_like_those_of_production_and_of_nobody(place):
    with open_(place) as kitchen:
        told = {row["table"]: (row["rows"], row["of"], row["whole"]) for row in kitchen.synthetic()["tables"]}
        assert told == {
            "shop/customers": (240, 1200, False),
            "shop/orders": (1600, 8000, False),
            "shop/codes": (2, 2, True),
        }

        def both(query: str) -> tuple:
            return place.rows(query), kitchen.sql(query)

        # Keys are unique, of the form of production's, and, where they are numbers with a check digit, with the right one.
        assert kitchen.sql("select count(distinct customer_id), count(distinct npi) from shop.customers") == [
            (240, 240)
        ]
        assert kitchen.sql("select count(distinct order_id), count(*) from shop.orders") == [(1600, 1600)]
        assert all(npi(int(number[1:9])) == number for (number,) in kitchen.sql("select npi from shop.customers"))
        # Nothing that nobody may see is real, nor is a key in text.
        for column in ("mail", "surname", "customer_id", "npi"):
            real, made = both(f"select distinct {column} from shop.customers where {column} is not null")
            assert made
            assert not set(real) & set(made), column
        # What a contract says of forms holds; so do shares of values and of nulls, and what one column says of another.
        shares = "select avg((mail is null)::int), avg((city = 'Basel')::int), avg(member::int), avg(salary) / 1e5 from shop.customers"
        ((real,), (made,)) = both(shares)
        assert all(map(near, real, made)), (real, made)
        assert {tuple(row) for row in kitchen.sql("select city, canton from shop.customers")} <= {*CITIES.items()}
        # Orders are those of customers, as often as in production, and as unevenly; or of nobody.
        linked = "(select lower(replace(customer_id, '-', '')) from shop.customers)"
        ((real,), (made,)) = both(
            f"select avg((client in {linked})::int), avg((shipped is null)::int), avg((code = 'A')::int) from shop.orders"
        )
        assert all(map(near, real, made)), (real, made)
        top = f"select sum(n) filter (place <= 0.1 * {{0}}) / sum(n) from (select count(*) as n, row_number() over (order by count(*) desc) as place from shop.orders where client in {linked} group by client)"
        ((real,), (made,)) = place.rows(top.format(1200)), kitchen.sql(top.format(240))
        assert near(real[0], made[0], 0.1), (real, made)
        # What comes after, comes after; and the row was in no order of production's.
        assert kitchen.sql("select count(*) from shop.orders where shipped < placed") == [(0,)]
        whole = "select placed, shipped, code, amount, client, order_id from shop.orders"
        real, made = both(whole)
        assert not set(real) & set(made)
        # What is built of them is built by the mesh's own code.
        assert kitchen.sql("select sum(total) from shop.sales") == kitchen.sql("select total from finance.revenue")


@pytest.mark.long
def test_tests_that_hold_facts_of_production_are_told_apart_from_those_that_a_change_breaks(place):
    before, head = files(place), place.env().lake.head()
    with open_(place) as kitchen:
        told = kitchen.synthetic()
        assert told["not_built"] == {}
        assert told["not_comparable"]["shop.customers"] == ["enough"]
        assert told["not_comparable"]["finance/in/shop.sales"] == ["orders__minimum"]
        (found,) = [row for row in verdicts_on_customers(kitchen) if row["name"] == "enough"]
        assert found["status"] == "warn"
        assert found["message"] == "not comparable in a synthetic kitchen: 240 rows; it must be greater than 1000."
        status = kitchen.status()
        assert not status["matches_production"]
        assert status["differences"] == ["its rows are synthetic, 20 % of the sources' (seed 0)"]
        assert kitchen.test()["domains"] == []
        # A change that breaks a test which held is seen, and refused.
        sql = kitchen.root / "domains/shop/sql/sales.sql"
        good = sql.read_text()
        sql.write_text(good.replace("sum(o.amount)", "-sum(o.amount)"))
        report = kitchen.test()
        assert not report["ok"]
        assert {item["test"] for domain in report["domains"] for item in domain["failing"]} == {"total__minimum"}
        assert "tests failed in shop" in kitchen.promote()["refused"][0]["reason"]
        # One that does not brings its code into production, and none of its rows.
        sql.write_text(good.replace("sum(o.amount)", "2 * sum(o.amount)"))
        report = kitchen.test()
        assert report["ok"], report
        assert report["rebuilt"] == ["shop/sales", "finance/revenue"]
        assert all(row["rows"]["before"] == row["rows"]["after"] for row in report["differences"])
        for dry_run in (True, False):
            promoted = kitchen.promote(dry_run=dry_run)
            assert promoted["refused"] == []
            assert promoted["promoted"] == []
            assert promoted["left_to_production"] == ["shop/sales", "finance/revenue"]
        assert files(place) == before
        assert place.env().lake.head() == head
        assert kitchen.unpromoted() == []
    assert "2 * sum" in (place.root / "domains/shop/sql/sales.sql").read_text()
    assert place.statuses()["shop/sales"] == "published"
    assert not (place.env().home / "kitchens").exists()


@pytest.mark.long
def test_the_same_seed_makes_the_same_rows_and_raw_files_are_not_read(small, tmp_path):
    names = ("customers", "orders", "codes")

    def prints(kitchen: Kitchen) -> list[str]:
        seen = kitchen.environment().seen()
        return [seen[f"shop.{name}"].fingerprint for name in names]

    with open_(small, "k1") as one, open_(small, "k2") as same, open_(small, "k3", seed=1) as other:
        assert prints(one) == prints(same)
        assert not set(prints(one)[:2]) & set(prints(other)[:2])
        assert one.site.seed == 0
        assert other.site.seed == 1
        # Whatever happens to files of the work tree, the rows stay.
        before = prints(one)
        raw = one.root / "domains/shop/raw/customers.csv"
        raw.write_text(raw.read_text().splitlines()[0] + "\n")
        assert one.test()["domains"] == []
        with one.site.entered():
            env = one.environment()
            run(
                env,
                frozenset(env.mesh.tables),
                force=frozenset(["shop.customers"]),
                settings=one.site.settings(small.settings),
            )
        assert prints(one) == before
        with pytest.raises(UsageError, match=r"kitchen `k1` holds synthetic rows: no other is opened from it"):
            Kitchen.open("k4", root=small.root, settings=small.settings, source="k1")
        # A source that production does not have is not let in.
        (one.root / "domains/shop/raw/more.csv").write_text("a\n1\n")
        yaml = one.root / "domains/shop/domain.yaml"
        yaml.write_text(yaml.read_text().replace("inputs:\n", "inputs:\n  - {source: raw/more.csv}\n"))
        rows = {row["table"]: row for row in one.run("shop/more")["tables"]}
        assert rows["shop/more"]["status"] == "failed"
        assert "has no synthetic rows: it was no source when this kitchen was opened" in rows["shop/more"]["message"]


@pytest.mark.parametrize("share", ["1", "0%", "-1%", "101%", "x%", "0.5", "1e2%", "%", "1%; drop"])
def test_a_share_that_cannot_be_one(small, share):
    with pytest.raises(UsageError, match=r"is no share of rows\n    Say it as `1%`"):
        open_(small, share=share)
    assert not (small.env().home / "kitchens").exists()
    assert git(small.root, "branch", "--list", "kitchen/*") == ""


def test_rows_that_cannot_be_made_leave_nothing(small):
    """A key of one letter has no other values than production's; a source without rows is built first."""
    small.write("domains/shop/raw/more.csv", "a\n" + "".join(f"{chr(97 + n % 26)}{n // 26:02d}\n" for n in range(600)))
    yaml = small.root / "domains/shop/domain.yaml"
    yaml.write_text(yaml.read_text().replace("inputs:\n", "inputs:\n  - {source: raw/more.csv}\n"))
    with pytest.raises(UsageError, match=r"shop/more was never published: there is nothing to make its rows of"):
        open_(small)
    small.contract(
        "shop.more", {"a": "VARCHAR; required: true; unique: true; logicalTypeOptions: {pattern: '^[a-z][0-9]{2}$'}"}
    )
    assert small.statuses("shop/more")["shop/more"] == "published"
    small.contract("shop.more", {"a": "VARCHAR; required: true; unique: true; classification: restricted"})
    small.write("domains/shop/raw/more.csv", "a\n" + "".join(f"{chr(97 + n % 26)}\n" for n in range(26)))
    assert small.statuses("shop/more")["shop/more"] == "published"
    git(small.root, "add", "-A")
    git(small.root, "commit", "-qm", "more")
    with pytest.raises(
        UsageError, match=r"synthetic rows of shop/more cannot be made: column `a`: of the forms"
    ) as told:
        open_(small)
    assert "Take fewer rows (--synthetic), or see what its contract asks for." in str(told.value)
    assert not (small.env().home / "kitchens").exists()
    assert git(small.root, "branch", "--list", "kitchen/*") == ""
