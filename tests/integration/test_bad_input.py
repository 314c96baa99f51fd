"""Exports as they really come, and what is said of them: nothing bad reaches a reader, nothing good is lost."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

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


def pattern(place: Place, ending: str) -> Path:
    """Read files of another ending from now on; the CSV file stays, and is not read."""
    domain = place.root / "domains/shop/domain.yaml"
    domain.write_text(domain.read_text().replace("*.csv", f"*{ending}"))
    return place.root / f"domains/shop/raw/orders/1{ending}"


def text(content: str) -> Callable[[Place], None]:
    """The export has this text."""
    return lambda place: place.write(CSV, content) and None


def raw(content: bytes, ending: str = ".csv") -> Callable[[Place], None]:
    """The export has these bytes."""

    def spoil(place: Place) -> None:
        (pattern(place, ending) if ending != ".csv" else place.root / CSV).write_bytes(content)

    return spoil


def second(content: str) -> Callable[[Place], None]:
    """A second file comes beside the first."""
    return lambda place: place.write(CSV.replace("1.csv", "2.csv"), content) and None


def zstd(content: bytes) -> bytes:
    """Packed, as `zstd` packs."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as packed:
        packed.write(content)
    return sink.getvalue().to_pybytes()


UNREADABLE = {
    "missing": (lambda place: (place.root / CSV).unlink(), "no file matches `raw/orders/*.csv` in shop"),
    "empty": (text(""), f"{CSV} is empty, not even a header"),
    "a line with too few fields": (text(GOOD + "4,1.00\n5,1.00,2026-01-08\n"), f"{CSV}:5: this line has 2 fields, the header 3 fields"),
    "a line with too many fields": (text(GOOD + "4,1,00,2026-01-08\n"), f"{CSV}:5: this line has 4 fields, the header 3 fields"),
    "such a line far below": (text(MANY + "7\n"), f"{CSV}:60001: this line has 1 field, the header 3 fields"),
    "cut off in a line": (text(MANY[:-15]), f"{CSV}:60000: this line has 2 fields, the header 3 fields"),
    "cut off in a quote": (text(GOOD + '4,1.00,"2026-01'), f"{CSV}:5: a quote is opened and never closed"),
    "lines before the header": (text("Orders of January\n" + GOOD), f"{CSV}:2: this line has 3 fields, the header 1 field"),
    "two kinds of line ends": (text(GOOD.replace("\n", "\r\n", 2)), f"{CSV} has some lines with Windows ends"),
    "another encoding": (raw("id,amount,sold_on\n1,1,Zürich\n".encode("latin-1")), f"{CSV} is not UTF-8"),
    "no text at all": (raw(bytes(range(256)) * 20), f"{CSV} is not UTF-8"),
    "two separators": (second(GOOD.replace(",", ";")), "1.csv is separated by `,`, domains/shop/raw/orders/2.csv by `;`"),
    "packing cut off": (raw(gzip.compress(MANY.encode())[:20_000], ".csv.gz"), "1.csv.gz is cut off"),
    "not packed": (raw(GOOD.encode(), ".csv.gz"), "1.csv.gz cannot be unpacked"),
    "zstd cut off": (raw(zstd(MANY.encode())[:20_000], ".csv.zst"), "1.csv.zst cannot be unpacked"),
    "zstd damaged": (raw(zstd(MANY.encode())[:-9_000] + bytes(9_000), ".csv.zst"), "1.csv.zst cannot be unpacked"),
    "gzip damaged": (raw(gzip.compress(MANY.encode())[:-9_000] + bytes(9_000), ".csv.gz"), "1.csv.gz is cut off"),
    "no Parquet": (raw(b"PAR1", ".parquet"), "domains/shop/raw/orders/1.parquet"),
    "JSON cut off": (raw(json.dumps([{"id": 1, "amount": 1}] * 99)[:-30].encode(), ".json"), "domains/shop/raw/orders/1.json"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_file_that_cannot_be_read_is_named_and_readers_keep_what_they_had(place, case):
    """The table fails in words that name the file, and the line; when it is mended, it is loaded again."""
    spoil, expected = UNREADABLE[case]
    domain = (place.root / "domains/shop/domain.yaml").read_text()
    spoil(place)
    failed = rows_of(place.run())
    assert failed["shop/raw_orders"]["status"] == "failed"
    said = failed["shop/raw_orders"]["message"]
    assert expected in said
    assert "\n    " in said, "it says how to mend it"
    assert str(place.root) not in said
    assert failed["shop/orders"]["status"] == "unchanged"
    assert place.rows("select count(*), min(id) from shop.orders") == KEPT

    shutil.rmtree(place.root / "domains/shop/raw/orders")
    (place.root / "domains/shop/domain.yaml").write_text(domain)
    place.write(CSV, GOOD + "4,7.00,2026-01-08\n")
    assert set(place.statuses().values()) == {"published"}
    assert place.rows("select count(*), sum(amount)::double from shop.orders") == [(4, 37.75)]


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
        assert said.startswith('domains/shop/sql/orders.sql: Binder Error: Referenced column "amount" not found')
    assert place.rows("select count(*), min(id) from shop.orders") == KEPT


def test_a_column_that_changes_its_type_is_found(place, promised):
    """By the contract of the raw table, or of the first table that promises a type."""
    place.write(CSV, "id,amount,sold_on\nA-1,10.50,2026-01-05\n5,1.00,2026-01-05\n")
    report = rows_of(place.run())
    held = "shop/raw_orders" if promised else "shop/orders"
    assert report[held]["status"] == "held"
    assert "types failed (1 values of `id` cannot be read as BIGINT.)" in report[held]["message"]
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
