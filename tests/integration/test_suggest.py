"""Suggest, accept, add, edit, try, remove: contracts change as a person would change them."""

import datetime as dt
import json
import random

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from mesh_assets import authoring, testing
from mesh_assets.cli import app
from mesh_assets.errors import ConfigError, UsageError
from mesh_assets.profile import suggest as suggesting
from mesh_assets.profile.screens import SCREENS
from tests.making import Place

TODAY = dt.date(2026, 1, 1)
THEIRS = """
Boolean_Value_Mismatch, Char_Column_Date_Values, Char_Column_Number_Units, Char_Column_Number_Values, Column_Pattern_Mismatch,
Delimited_Data_Embedded, Inconsistent_Casing, Invalid_Zip3_USA, Invalid_Zip_USA, Leading_Spaces, Multiple_Types_Major, Multiple_Types_Minor,
No_Values, Non_Alpha_Name_Address, Non_Alpha_Prefixed_Name, Non_Printing_Chars, Non_Standard_Blanks, Potential_Duplicates, Potential_PII,
Quoted_Values, Recency_One_Year, Recency_Six_Months, Small Divergent Value Ct, Small Missing Value Ct, Small_Numeric_Value_Ct,
Standardized_Value_Matches, Suggested_Type, Table_Pattern_Mismatch, Unexpected Emails, Unexpected US States, Unlikely_Date_Values,
Variant_Coded_Values
""".replace("\n", " ").strip()


@pytest.fixture
def place(tmp_path) -> Place:
    made = Place(tmp_path)
    made.domain("shop", "inputs: [{source: raw/orders.csv}]\noutputs: [{port: orders}]\n")
    made.contract(
        "shop.orders",
        {"order_id": "BIGINT", "email": "VARCHAR", "state": "VARCHAR", "status": "VARCHAR", "code": "VARCHAR", "amount": "DOUBLE",
         "sold_on": "DATE", "shipped_on": "DATE", "nothing": "VARCHAR"},
    )  # fmt: skip
    path = made.root / "domains/shop/contracts/orders.odcs.yaml"
    path.write_text(
        path.read_text().replace(
            "      - name: code\n", "      # a comment of its owner\n      - name: code   # and one more\n"
        )
    )
    dice = random.Random(1)
    rows = ["order_id,email,state,status,code,amount,sold_on,shipped_on,nothing"]
    for i in range(300):
        day = dt.date(2025, 1, 1) + dt.timedelta(days=i // 3)
        state, status = (
            dice.choice(["OH", "NY", "CA", "TX", "WA", "FL", "ME", "VT", "MA"]),
            dice.choice(["open", "paid", "Paid"]),
        )
        rows.append(
            f"{i},u{i}@x.org,{state},{status},A-{1000 + i},{dice.gauss(50, 9):.2f},{day},{day + dt.timedelta(days=2)},"
        )
    made.write("domains/shop/raw/orders.csv", "\n".join(rows) + "\n")
    assert made.statuses() == {"shop/orders": "published"}
    return made


def text(place: Place) -> str:
    return (place.root / "domains/shop/contracts/orders.odcs.yaml").read_text()


def test_from_suggestion_to_a_fault_that_is_held_and_mended(place):
    """What a steward does: suggest, accept, a fault in the raw data is held with its rows, mended, published."""
    env = place.env()
    table = env.mesh.tables["shop.orders"]
    found = suggesting.suggest(env, table, look_back=True, today=TODAY)
    names = {one.name for one in found.proposals}
    assert {"order_id__once", "email__email", "state__us_state", "status__known", "code__form", "sold_on__before_shipped_on",
            "amount__in_range", "volume_as_expected", "sold_on__not_in_future"} <= names  # fmt: skip
    assert not any(name.startswith("nothing__") for name in names)
    assert all(one.why and 0 < one.catches <= 1 and one.tried == 1 for one in found.proposals)
    assert {(one.column, one.screen.name) for one in found.findings} >= {
        ("email", "personal"), ("status", "inconsistent_casing"), ("nothing", "no_values"), ("sold_on", "recency_six_months"),
    }  # fmt: skip
    edit = suggesting.accept(env, table, found.proposals)
    edit.write()
    assert "      # a comment of its owner\n      - name: code   # and one more\n" in text(place)
    assert all(line[0] != "-" or line.startswith("---") for line in edit.diff.splitlines())
    assert "description: When this was suggested, all 300 values are different." in text(place)
    assert (
        suggesting.suggest(place.env(), place.env().mesh.tables["shop.orders"], look_back=False, today=TODAY).proposals
        == ()
    )
    assert {item["status"] for item in place.test()} == {"pass"}

    raw = place.root / "domains/shop/raw/orders.csv"
    good = raw.read_text()
    raw.write_text(good.replace("5,u5@x.org", "5,u5 at x.org").replace("A-1007", "1007-A"))
    assert place.statuses() == {"shop/orders": "held"}
    failed = {item["name"]: item["sample"] for item in place.test() if item["status"] == "fail"}
    assert set(failed) == {"email__email", "code__form"}
    assert [row["code"] for row in failed["code__form"]] == ["1007-A"]
    raw.write_text(good + "300,u300@x.org,OH,open,A-1300,50.00,2025-04-12,2025-04-14,\n")
    assert place.statuses() == {"shop/orders": "published"}


def test_what_all_but_a_few_rows_keep_is_proposed_with_their_share(tmp_path):
    """A name in fifty in small letters, a code in fifty of another form, some rows twice; a list of six codes; and mails."""
    made = Place(tmp_path)
    made.domain("shop", "outputs: [{port: people}, {port: codes}, {port: mails}, {port: regions}]\n")
    people = (
        "select case when i % 50 = 3 then 'ana costa' else ['Ana Costa', 'Rui Sá', 'Bartolomeu'][1 + i % 3] || repeat('n', (i % 7)::int) end as name, "
        "case when i % 50 = 4 then 'none' else 'C-' || (1000 + i % 300) end as code, case when i % 4 = 0 then i end as age "
        "from (from range(400) t(i) union all from range(6) t(i))"
    )
    made.sql("shop.people", people)
    made.contract("shop.people", {"name": "VARCHAR", "code": "VARCHAR", "age": "BIGINT"})
    listed = "from (values ('N', 'North'), ('S', 'South'), ('E', 'East'), ('W', 'West'), ('NE', 'North-East'), ('SW', 'South-West')) v(code, region)"
    made.sql("shop.codes", listed)
    made.contract("shop.codes", {"code": "VARCHAR", "region": "VARCHAR"})
    made.sql(
        "shop.regions", "from (values ('NOR', 1), ('SOU', 2), ('EAS', 3), ('WES', 4), ('ISL', 5)) v(region_id, place)"
    )
    made.contract("shop.regions", {"region_id": "VARCHAR; primaryKey: true", "place": "INTEGER"})
    mails = (
        "select i + 7 as line, ['NOR', 'SOU', 'EAS'][1 + i % 3] as region_id, ['North', 'South', 'East'][1 + i % 3] as region, n as sent, n * (hash(i, 1) % 90)::int // 100 as opened, i % 10 = 0 as bounced, "
        "case when i % 200 = 0 then -5.0 else 5.0 + i % 90 end::double as cost from (select i, (50 + hash(i) % 100)::int as n from range(2000) t(i))"
    )
    made.sql("shop.mails", mails)
    made.contract(
        "shop.mails",
        {
            "line": "BIGINT",
            "region_id": "VARCHAR",
            "region": "VARCHAR",
            "sent": "INTEGER",
            "opened": "INTEGER",
            "bounced": "BOOLEAN",
            "cost": "DOUBLE",
        },
    )
    assert set(made.statuses().values()) == {"published"}
    env = made.env()

    def proposed(name: str) -> dict[str, dict]:
        found = suggesting.suggest(env, env.mesh.tables[name], look_back=True, today=TODAY)
        return {one.name: {**one.rule, "why": one.why} for one in found.proposals}

    of = proposed("shop.people")
    assert (of["code__form"]["unit"], of["code__form"]["severity"]) == ("percent", "warning")
    assert 2 < of["code__form"]["mustBeLessOrEqualTo"] < 7
    assert "but for 2.2 % of the rows" in of["code__form"]["why"]
    assert 2 < of["name__capital"]["mustBeLessOrEqualTo"] < 7
    twice = of["no_row_twice"]["implementation"]
    assert (twice["unit"], 3 < twice["at_most"] < 8) == ("percent", True)
    assert (
        10 < of["age__missing_shift"]["implementation"]["points"] < 12
    )  # of 400 rows of which three quarters have none
    assert "name__writing_shift" in of
    few = proposed("shop.codes")
    assert {
        "code__once",
        "code__given",
        "code__casing",
        "code__trimmed",
        "region__trimmed",
        "region__capital",
        "region__well_encoded",
    } <= set(few)
    assert {few[name]["severity"] for name in ("region__once", "region__not_short", "entries_kept")} == {"warning"}, (
        "an owner may know better"
    )
    assert "code__form" not in few
    regions = proposed("shop.regions")
    assert regions["region_id__form"]["arguments"] == {"pattern": "^[A-Z]{3}$"}
    of = proposed("shop.mails")
    known = {"test": "in_reference", "columns": ["region_id"], "to_table": "shop.regions"}
    assert of["region_id__in_regions"]["implementation"] == known
    named = {"test": "determines", "columns": ["region_id"], "determine": ["region"]}
    assert of["region__by_region_id"]["implementation"] == named
    assert "region__known" not in of, "of what has a key there will be more"
    part = {"test": "compare_columns", "left": "opened", "operator": "<=", "right": "sent"}
    assert of["opened__within_sent"]["implementation"] == part
    assert "sent__within_cost" not in of
    assert "cost__within_sent" not in of
    assert of["bounced__others_share"]["implementation"] == {
        "test": "share_shift",
        "condition": "bounced",
        "points": 3.9,
    }
    assert 0.5 < of["cost__not_negative"]["implementation"]["at_most"] < 2
    assert "but for 0.5 % of the rows" in of["cost__not_negative"]["why"]
    assert "line__once" in of, "it counts the rows"
    suggesting.accept(
        env,
        env.mesh.tables["shop.people"],
        suggesting.suggest(env, env.mesh.tables["shop.people"], look_back=True, today=TODAY).proposals,
    ).write()
    assert {item["status"] for item in made.test("shop/people")} == {"pass"}
    made.sql("shop.people", people.replace("i % 50 = 4", "i % 10 = 4"))
    assert made.statuses("shop/people") == {"shop/people": "published"}, "a rule that is broken already only warns"
    assert [item["status"] for item in made.test("shop/people") if item["name"] == "code__form"] == ["warn"]


def test_what_check_would_refuse_is_not_written(place):
    env, before = place.env(), text(place)
    table = env.mesh.tables["shop.orders"]
    rule = {"id": "x", "type": "custom", "engine": "mesh", "implementation": {"test": "email"}}
    with pytest.raises(ConfigError, match=r"orders.odcs.yaml:\d+:\d+: .*M527"):
        authoring.add(env.mesh, table, [("amount", rule)])
    with pytest.raises(UsageError, match="Did you mean `email`"):
        authoring.add(env.mesh, table, [("emial", rule)])
    with pytest.raises(UsageError, match="no test"):
        authoring.remove(env.mesh, table, "columnz")
    assert text(place) == before


def test_a_file_that_has_changed_meanwhile_is_not_overwritten(place):
    env = place.env()
    rule = {"id": "x", "metric": "rowCount", "mustBeGreaterThan": 0}
    edit = authoring.add(env.mesh, env.mesh.tables["shop.orders"], [("", rule)])
    place.write("domains/shop/contracts/orders.odcs.yaml", text(place) + "# mine\n")
    with pytest.raises(UsageError, match="has changed"):
        edit.write()
    assert text(place).endswith("# mine\n")


def run(place: Place, *words: str):
    return CliRunner().invoke(app, [*words, "--mesh", str(place.root)], env={"MESH_HOME": str(place.root / ".mesh")})


def test_add_edit_try_and_remove_on_the_command_line(place):
    before = text(place)
    tried = run(place, "test", "try", "shop/orders", "us_zip", "--column", "state", "--json")
    assert tried.exit_code == 1
    (item,) = json.loads(tried.stdout)["tests"]
    assert (item["type"], item["failing_rows"]) == ("us_zip", 300)
    added = run(
        place,
        "test",
        "add",
        "shop/orders",
        "us_zip",
        "--column",
        "state",
        "--set",
        "at_most=2",
        "--severity",
        "warning",
    )
    assert added.exit_code == 0, added.output
    (rule,) = next(one for one in yaml.safe_load(text(place))["schema"][0]["properties"] if one["name"] == "state")[
        "quality"
    ]
    assert rule["implementation"] == {"test": "us_zip", "at_most": 2}
    assert (
        run(place, "test", "edit", "shop/orders", "state__us_zip", "--set", "implementation.at_most=300").exit_code == 0
    )
    assert run(place, "test", "try", "shop/orders").exit_code == 0
    assert run(place, "test", "remove", "shop/orders", "state__us_zip", "--dry-run").exit_code == 0
    assert run(place, "test", "remove", "shop/orders", "state__us_zip").exit_code == 0
    assert text(place) == before


def test_the_group_is_a_command_too(place):
    assert json.loads(run(place, "test", "shop/orders", "--json").stdout)["tests"]
    assert json.loads(run(place, "test", "--json").stdout)["tests"]
    group = get_command(app).commands["test"]
    assert {"types", "suggest", "add", "edit", "try", "remove"} <= set(group.commands)
    assert group.plain.name == "test"


def test_all_screens_of_testgen_have_one_of_ours():
    assert {screen.theirs for screen in SCREENS} == {word.strip() for word in THEIRS.split(",")}
    assert len({screen.name for screen in SCREENS}) == len(SCREENS) == 32


def test_nothing_is_tried_on_a_table_that_was_never_published(tmp_path):
    made = Place(tmp_path)
    made.domain("shop", "inputs: [{source: raw/orders.csv}]\noutputs: [{port: orders}]\n")
    made.contract("shop.orders", {"id": "BIGINT"})
    env = made.env()
    with pytest.raises(UsageError, match="never published"):
        list(testing.tried(env, env.mesh.tables["shop.orders"]))
