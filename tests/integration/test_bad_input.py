"""Exports as they really come, and what is said of them: nothing bad reaches a reader, nothing good is lost."""

import gzip
import json
import shutil
from collections.abc import Callable

import pyarrow as pa
import pytest

from tests.making import Place

CSV = "domains/shop/raw/orders/1.csv"
GOOD = "id,amount,sold_on\n1,10.50,2026-01-05\n2,20.25,2026-01-06\n3,0.00,2026-01-07\n"
MANY = GOOD + "".join(f"{number},{number}.00,2026-01-08\n" for number in range(4, 60_000))
KEPT = [(3, 1)]  # rows of the last good version, and its first id


@pytest.fixture(scope="module", params=[True, False], ids=["with a contract", "without one"])
def built(request, tmp_path_factory) -> tuple[Place, bool]:
    """A raw table that was loaded once, and a port that reads it. Nobody changes it."""
    place = Place(tmp_path_factory.mktemp("bad"))
    place.domain("shop", "inputs: [{source: raw/orders/*.csv, as: raw_orders}]\noutputs: [{port: orders}]\n")
    place.write(CSV, GOOD)
    if request.param:
        place.contract(
            "shop.raw_orders", {"id": "BIGINT; required: true", "amount": "DECIMAL(10,2)", "sold_on": "DATE"}
        )
    place.sql("shop.orders", "select id, amount from shop.raw_orders")
    place.contract("shop.orders", {"id": "BIGINT; required: true", "amount": "DECIMAL(10,2)"})
    assert set(place.statuses().values()) == {"published"}
    return place, request.param


@pytest.fixture
def place(built, tmp_path) -> Place:
    """A copy of it, to spoil."""
    return built[0].copied(tmp_path / "mesh")


@pytest.fixture
def promised(built) -> bool:
    """Whether the raw table has a contract."""
    return built[1]


def rows_of(report: dict) -> dict[str, dict]:
    """What a run says, by table."""
    return {row["table"]: row for row in report["tables"]}


def zstd(content: bytes) -> bytes:
    """Packed, as `zstd` packs."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as packed:
        packed.write(content)
    return sink.getvalue().to_pybytes()


UNREADABLE = {
    "missing": ({}, "no file matches `raw/{case}/*.csv` in {domain}"),
    "empty": ({"1.csv": ""}, "1.csv is empty, not even a header"),
    "a line with too few fields": ({"1.csv": GOOD + "4,1.00\n5,1.00,2026-01-08\n"}, "1.csv:5: this line has 2 fields, the header 3 fields"),
    "a line with too many fields": ({"1.csv": GOOD + "4,1,00,2026-01-08\n"}, "1.csv:5: this line has 4 fields, the header 3 fields"),
    "such a line far below": ({"1.csv": MANY + "7\n"}, "1.csv:60001: this line has 1 field, the header 3 fields"),
    "cut off in a line": ({"1.csv": MANY[:-15]}, "1.csv:60000: this line has 2 fields, the header 3 fields"),
    "cut off in a quote": ({"1.csv": GOOD + '4,1.00,"2026-01'}, "1.csv:5: a quote is opened and never closed"),
    "lines before the header": ({"1.csv": "Orders of January\n" + GOOD}, "1.csv:2: this line has 3 fields, the header 1 field"),
    "two kinds of line ends": ({"1.csv": GOOD.replace("\n", "\r\n", 2)}, "1.csv has some lines with Windows ends"),
    "another encoding": ({"1.csv": "id,amount,sold_on\n1,1,Zürich\n".encode("latin-1")}, "1.csv is not UTF-8"),
    "no text at all": ({"1.csv": bytes(range(256)) * 20}, "1.csv is not UTF-8"),
    "two separators": ({"1.csv": GOOD, "2.csv": GOOD.replace(",", ";")}, "1.csv is separated by `,`, {folder}/2.csv by `;`"),
    "packing cut off": ({"1.csv.gz": gzip.compress(MANY.encode())[:20_000]}, "1.csv.gz is cut off"),
    "not packed": ({"1.csv.gz": GOOD.encode()}, "1.csv.gz cannot be unpacked"),
    "zstd cut off": ({"1.csv.zst": zstd(MANY.encode())[:20_000]}, "1.csv.zst cannot be unpacked"),
    "zstd damaged": ({"1.csv.zst": zstd(MANY.encode())[:-9_000] + bytes(9_000)}, "1.csv.zst cannot be unpacked"),
    "gzip damaged": ({"1.csv.gz": gzip.compress(MANY.encode())[:-9_000] + bytes(9_000)}, "1.csv.gz is cut off"),
    "no Parquet": ({"1.parquet": b"PAR1"}, "1.parquet"),
    "JSON cut off": ({"1.json": json.dumps([{"id": 1, "amount": 1}] * 99)[:-30].encode()}, "1.json"),
}  # fmt: skip
"""By case: the files of the export, and what is said of them."""
SHORT = {case: f"c{number:02}" for number, case in enumerate(UNREADABLE)}
PROMISED, BARE = "shop", "fair"
"""Domains with and without contracts of their raw tables."""


def exports(place: Place, of: Callable[[str], dict[str, str | bytes]]) -> None:
    """Every export anew, each a source of its own in both domains."""
    for domain in (PROMISED, BARE):
        inputs = ""
        for case, short in SHORT.items():
            folder = place.root / f"domains/{domain}/raw/{short}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for name, content in of(case).items():
                (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
            ending = next(iter(of(case)), "1.csv").removeprefix("1")
            inputs += f"  - {{source: raw/{short}/*{ending}, as: {short}}}\n"
            if domain == PROMISED:
                columns = {"id": "BIGINT; required: true", "amount": "DECIMAL(10,2)", "sold_on": "DATE"}
                place.contract(f"{domain}.{short}", columns)
        place.domain(domain, f"inputs:\n{inputs}")


def contents(place: Place) -> dict[str, tuple[int, float]]:
    """Rows of each table, and their sum."""
    names = [f"{domain}.{short}" for domain in (PROMISED, BARE) for short in SHORT.values()]
    asked = " union all ".join(f"select '{name}', count(*), sum(amount)::double from {name}" for name in names)
    return {name: rest for name, *rest in place.rows(asked)}


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory) -> tuple[Place, dict, dict, dict, dict]:
    """Good exports, then each spoilt in its own way, then good ones again: what the last two runs say, and what readers see."""
    place = Place(tmp_path_factory.mktemp("unreadable"))
    exports(place, lambda _: {"1.csv": GOOD})
    assert set(place.statuses().values()) == {"published"}
    exports(place, lambda case: UNREADABLE[case][0])
    failed, kept = rows_of(place.run()), contents(place)
    exports(place, lambda _: {"1.csv": GOOD + "4,7.00,2026-01-08\n"})
    return place, failed, kept, place.statuses(), contents(place)


@pytest.mark.long
@pytest.mark.parametrize("domain", [PROMISED, BARE], ids=["with a contract", "without one"])
@pytest.mark.parametrize("case", UNREADABLE)
def test_a_file_that_cannot_be_read_is_named_and_readers_keep_what_they_had(spoilt, domain, case):
    """The table fails in words that name the file, and the line; when it is mended, it is loaded again."""
    place, failed, kept, mended, now = spoilt
    short = SHORT[case]
    folder = f"domains/{domain}/raw/{short}"
    expected = UNREADABLE[case][1].replace("{case}", short).replace("{domain}", domain).replace("{folder}", folder)
    assert failed[f"{domain}/{short}"]["status"] == "failed"
    said = failed[f"{domain}/{short}"]["message"]
    assert (expected if "no file" in expected else f"{folder}/{expected}") in said
    assert "\n    " in said, "it says how to mend it"
    assert str(place.root) not in said
    assert kept[f"{domain}.{short}"] == [3, 30.75]
    assert mended[f"{domain}/{short}"] == "published"
    assert now[f"{domain}.{short}"] == [4, 37.75]


def test_a_header_without_rows_is_an_empty_table(place):
    """As some exports are; a rule on the count keeps it from readers."""
    place.write(CSV, "id,amount,sold_on\n")
    place.contract(
        "shop.orders",
        {"id": "BIGINT; required: true", "amount": "DECIMAL(10,2)"},
        quality="- {id: some, metric: rowCount, mustBeGreaterThan: 0}",
    )
    report = rows_of(place.run())
    assert (report["shop/raw_orders"]["status"], report["shop/raw_orders"]["rows"]) == ("published", 0)
    assert report["shop/orders"]["status"] == "held"
    assert place.rows("select count(*), min(id) from shop.orders") == KEPT


def test_a_new_column_is_kept_and_said(place, promised):
    """After the contract's columns; what it holds is nobody's promise."""
    place.write(CSV, "colour,id,amount,sold_on\nred,1,10.50,2026-01-05\n")
    report = rows_of(place.run())
    assert report["shop/raw_orders"]["status"] == "published"
    said = "published with what its contract does not name: `colour`" if promised else ""
    assert report["shop/raw_orders"]["message"] == said
    names = ["id", "amount", "sold_on", "colour"] if promised else ["colour", "id", "amount", "sold_on"]
    assert list(place.env().lake.sql("from shop.raw_orders")[0]) == names
    assert report["shop/orders"]["status"] == "published"


def test_a_column_that_vanished_is_missed(place, promised):
    """By the contract of the raw table; without one by the query that reads it."""
    place.write(CSV, "id,sold_on\n1,2026-01-05\n")
    report = rows_of(place.run())
    if promised:
        assert report["shop/raw_orders"]["status"] == "held"
        assert "columns failed (`amount` is missing" in report["shop/raw_orders"]["message"]
        assert "could not be executed" not in report["shop/raw_orders"]["message"]
    else:
        assert report["shop/raw_orders"]["status"] == "published"
        assert report["shop/orders"]["status"] == "failed"
        said = report["shop/orders"]["message"]
        assert said.startswith('domains/shop/sql/orders.sql:1:12: Referenced column "amount" not found in FROM clause')
        assert "\n    Candidate bindings: " in said
        assert "LINE" not in said
    assert place.rows("select count(*), min(id) from shop.orders") == KEPT


def test_a_column_that_changes_its_type_is_found(place, promised):
    """By the contract of the raw table, or of the first table that promises a type."""
    place.write(CSV, "id,amount,sold_on\nA-1,10.50,2026-01-05\n5,1.00,2026-01-05\n")
    report = rows_of(place.run())
    held = "shop/raw_orders" if promised else "shop/orders"
    assert report[held]["status"] == "held"
    assert "types failed (1 value of `id` cannot be read as BIGINT)" in report[held]["message"]
    assert place.rows("select count(*), min(id) from shop.orders") == KEPT
    item = next(item for item in place.test("shop") if item["name"] == "types" and item["status"] == "fail")
    assert (item["table"], item["failing_rows"]) == (held, 1)


@pytest.mark.parametrize(
    "content",
    [
        'id;note\n1;"a;b"\n2;\n',
        "id\tnote\n1\ta;b\n2\t\n",
        'id,note\r\n1,a;b\r\n2,""\r\n',
        "\ufeffid,note\n1,a;b\n2,\n\n",
    ],
)
def test_what_other_programs_write_is_read(tmp_path, content):
    """Semicolons, tabs, Windows ends, a mark of byte order, an empty last line."""
    place = Place(tmp_path)
    place.domain("shop", "inputs: [{source: raw/notes.csv, as: notes}]\n")
    path = place.write("domains/shop/raw/notes.csv", "")
    path.write_bytes(content.encode())
    place.contract("shop.notes", {"id": "BIGINT; required: true", "note": "VARCHAR"})
    assert place.statuses() == {"shop/notes": "published"}
    assert place.rows("select id, note from shop.notes where note <> '' order by id") == [(1, "a;b")]
    assert place.rows("select count(*) from shop.notes") == [(2,)]


@pytest.mark.parametrize(
    "query",
    [
        "select count(*) from {object}; drop table shop.orders",
        "copy {object} to 'stolen.csv'",
        "attach '/tmp/x.db' as x",
        "select count(*) from read_csv('/etc/passwd')",
        "select count(*) from '/etc/passwd'",
        "insert into {object} values (1)",
        "pragma database_list",
        "set memory_limit = '1MB'",
    ],
)
def test_sql_of_a_rule_that_does_more_than_read_is_refused_at_load(tmp_path, query):
    """With the file and the line; nothing of that domain is run."""
    place = Place(tmp_path)
    place.domain("shop", "outputs: [{port: orders}]\n")
    place.sql("shop.orders", "select 1::bigint as id")
    place.contract(
        "shop.orders", {"id": "BIGINT"}, quality=f"- id: sly\n  type: sql\n  query: {json.dumps(query)}\n  mustBe: 0"
    )
    from mesh_assets.mesh import examine

    _, problems = examine(tmp_path)
    assert [problem.code for problem in problems] == ["M212"], problems
    assert problems[0].where.path == "domains/shop/contracts/orders.odcs.yaml"
    assert not (tmp_path / "stolen.csv").exists()
