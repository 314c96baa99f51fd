"""The shipped mesh: six domains that a stranger can read, and whose own code does what their READMEs say."""

import importlib.util
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

import pandas as pd
import polars as pl
import pytest
import yaml

from mesh_assets.mesh import examine, read_mesh
from tools.rawdata.world import national_provider_id, physicians

ROOT = Path(__file__).parents[2]
MESH = read_mesh(ROOT)
FAULTS = yaml.safe_load((ROOT / "domains/faults.yaml").read_text(encoding="utf-8"))


def assets_of(domain: str) -> ModuleType:
    """A domain's `assets.py`."""
    spec = importlib.util.spec_from_file_location(f"assets_of_{domain}", ROOT / f"domains/{domain}/assets.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_is_wrong_with_the_mesh_and_it_is_as_large_as_promised() -> None:
    _, problems = examine(ROOT)
    assert problems == ()
    assert len(MESH.domains) == 6
    assert len(MESH.tables) >= 18
    assert sum(len(domain.outputs) for domain in MESH.domains.values()) >= 10
    assert sum(len(table.contract.tests) for table in MESH.tables.values() if table.contract) >= 60


def test_the_template_of_a_new_mesh_has_nothing_wrong_with_it() -> None:
    mesh, problems = examine(ROOT / "mesh_assets/templates/shop")
    assert problems == ()
    assert sorted(mesh.domains) == ["finance", "orders"]


@pytest.mark.parametrize("name", MESH.domains)
def test_a_readme_names_the_owner_every_port_and_every_fault(name: str) -> None:
    domain = MESH.domains[name]
    text = (domain.path / "README.md").read_text(encoding="utf-8")
    for word in (domain.team.name, domain.team.owner, domain.team.support, "```sql"):
        assert word in text
    for port in domain.outputs:
        assert f"`{name}.{port.table}`" in text
    for fault in FAULTS:
        if fault["table"].startswith(f"{name}/"):
            rows = (
                f"{fault['failing_rows']:,}" if fault["failing_rows"] > 1 else "[0-9]+"
            )  # 1: a query's value, not rows
            assert re.search(rf"\| {rows} \| `{fault['test']}` \|", text), fault


def test_every_listed_fault_is_a_test_that_warns() -> None:
    for fault in FAULTS:
        contract = MESH.tables[fault["table"].replace("/", ".")].contract
        (test,) = (test for test in contract.tests if test.name == fault["test"])
        assert (test.severity, fault["status"]) == ("warning", "warn")


@pytest.fixture(scope="module")
def mastered() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Physicians and crosswalk, mastered from the committed exports by the domain's own functions."""
    assets, raw = assets_of("customers"), ROOT / "domains/customers/raw"
    east = pl.read_csv(raw / "crm_east/*.csv", infer_schema=False).with_columns(
        pl.col("updated_at").str.to_datetime("%Y-%m-%d %H:%M:%S"), pl.col("do_not_email") == "true"
    )
    west = pl.read_csv(raw / "crm_west/*.csv", infer_schema=False)
    contacts = assets.crm_contacts(east, west, pl.read_csv(raw / "specialty_codes.csv"))
    crosswalk = assets.physician_crosswalk(contacts)
    return assets.physicians(contacts, crosswalk), crosswalk


def test_mastering_finds_every_physician_exactly_once(mastered: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    truth, (found, _) = physicians(), mastered
    assert len(found) == len(truth)
    known = found.drop_nulls("npi")
    by_npi = {person.npi: person for person in truth}
    assert known["npi"].is_unique().all()
    assert set(known["npi"]) <= set(by_npi)
    wrong = [
        row["npi"]
        for row in known.iter_rows(named=True)
        if (row["last_name"].lower(), row["city"].lower())
        != (by_npi[row["npi"]].last.lower(), by_npi[row["npi"]].city.lower())
        or row["opted_out"] != by_npi[row["npi"]].opted_out
        or row["email"] not in (None, by_npi[row["npi"]].email)
    ]
    assert wrong == []


def test_the_readme_of_customers_tells_how_records_were_matched(mastered: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    text = (ROOT / "domains/customers/README.md").read_text(encoding="utf-8")
    counts = dict(mastered[1]["matched_by"].value_counts().iter_rows())
    told = re.search(r"`npi` ([\d,]+) records, `email` (\d+), `name_zip` (\d+); `none` (\d+)", text)
    assert [int(count.replace(",", "")) for count in told.groups()] == [
        counts[way] for way in ("npi", "email", "name_zip", "none")
    ]


def test_a_wrong_digit_in_an_npi_is_always_noticed() -> None:
    valid_npi = assets_of("customers").valid_npi
    right = [national_provider_id(number) for number in (0, 7, 123_456, 99_999_998)]
    wrong = [
        npi[:place] + str((int(npi[place]) + off) % 10) + npi[place + 1 :]
        for npi in right
        for place in range(10)
        for off in range(1, 10)
    ]
    frame = pl.DataFrame(
        {"npi": right + [f"{npi[:4]}-{npi[4:7]}-{npi[7:]}" for npi in right] + wrong + ["PENDING", None, ""]}
    )
    assert frame.select(valid_npi(pl.col("npi")))["npi"].to_list() == right + right + [None] * (len(wrong) + 3)


def test_values_that_disagree_match_nobody() -> None:
    contacts = pl.DataFrame(
        [
            {
                "source_system": "EAST",
                "source_id": "E-1",
                "npi": "1",
                "first_name": "Jo",
                "last_name": "Roe",
                "zip": "02139",
                "email": "a@x.example",
            },
            {
                "source_system": "EAST",
                "source_id": "E-2",
                "npi": "2",
                "first_name": "Jo",
                "last_name": "Roe",
                "zip": "02139",
                "email": "b@x.example",
            },
            {
                "source_system": "WEST",
                "source_id": "W1",
                "npi": None,
                "first_name": "JO",
                "last_name": "roe",
                "zip": "02139",
                "email": None,
            },
            {
                "source_system": "WEST",
                "source_id": "W2",
                "npi": None,
                "first_name": "J.",
                "last_name": "Roe",
                "zip": None,
                "email": "b@x.example",
            },
        ]
    )
    found = assets_of("customers").physician_crosswalk(contacts)
    assert dict(found.select("source_id", "physician_id").iter_rows()) == {
        "E-1": "P1",
        "E-2": "P2",
        "W1": "X-W1",
        "W2": "P2",
    }


@pytest.mark.parametrize("weeks", [0, 1, 25])
def test_the_launch_chart_is_drawn_from_any_number_of_weeks(weeks: int) -> None:
    report = pd.DataFrame(
        {
            "week_ending": pd.date_range("2025-03-07", periods=weeks, freq="7D"),
            "weeks_since_launch": range(weeks),
            "velmora_trx": [n * n for n in range(weeks)],
            "prescribers_to_date": list(range(weeks)),
        }
    )
    shares = pd.DataFrame({"territory": ["R & D <East>"] * weeks, "velmora_share": [0.1] * weeks})
    files = assets_of("launch_analytics").launch_chart(report, shares)
    bars = [
        len(ET.fromstring(files[name]).findall(".//{http://www.w3.org/2000/svg}rect")) - 1
        for name in ("launch_curve.svg", "territories.svg")
    ]
    assert bars == [weeks, weeks]
