"""Domains within domains: named, run, tested, paused and shown together; tables keep their names."""

import dagster as dg
import pytest

from mesh_assets import catalog, console, order
from mesh_assets.catalog import account
from mesh_assets.errors import UsageError
from mesh_assets.launches import Launches
from mesh_assets.mesh import read_mesh
from mesh_assets.orchestration.load import build_definitions
from tests.integration.test_portal import Strict
from tests.making import Place
from tests.portal_mesh import Client, app_of


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Place:
    """`pharma` with a sub-domain `launch`, of which `reports` is one; `money` is by itself. All of it built."""
    place = Place(tmp_path_factory.mktemp("sub"))
    place.domain("pharma", "outputs: [{port: drugs}]\n")
    place.domain("launch", "part_of: pharma\ninputs: [{port: pharma.drugs}]\n")
    place.domain("reports", "part_of: launch\ninputs: [{port: pharma.drugs}]\n")
    place.domain("money")
    place.contract("pharma.drugs", {"id": "BIGINT; required: true"})
    place.sql("pharma.drugs", "select 1::bigint as id")
    place.sql("launch.plan", "select id from pharma.drugs")
    place.sql("reports.count", "select count(*) as n from pharma.drugs")
    place.sql("money.cents", "select 100 as n")
    assert set(place.statuses().values()) == {"published"}
    return place


@pytest.fixture
def place(template, tmp_path) -> Place:
    """A copy of one's own."""
    return template.copied(tmp_path / "mesh")


def test_the_outer_name_stands_for_all_of_it(place):
    mesh = read_mesh(place.root)
    assert (mesh.within("reports"), mesh.within("pharma")) == (("pharma", "launch"), ())
    assert mesh.parts("pharma") == ("launch", "reports")
    assert catalog.named(mesh, ["pharma"]) == {"pharma.drugs", "launch.plan", "reports.count"}
    assert catalog.named(mesh, ["launch"]) == {"launch.plan", "reports.count"}
    assert catalog.named(mesh, ["reports/count"]) == {"reports.count"}
    for word in ("pharma.launch", "pharma/launch"):
        assert catalog.named(mesh, [word]) == {"launch.plan", "reports.count"}
        assert catalog.domain_named(place.env(), word) == "launch"
    for word in ("launch.reports", "pharma/launch/reports", "pharma.launch.reports"):
        assert catalog.named(mesh, [word]) == {"reports.count"}
    for word in ("pharma.reports", "money.launch", "launch/plan/reports", "pharma.launch.plan", "."):
        with pytest.raises(UsageError, match="there is no domain or table"):
            catalog.named(mesh, [word])
        with pytest.raises(UsageError, match="there is no domain"):
            catalog.domain_named(place.env(), word)
    assert {row["table"] for row in place.test("pharma")} == {"pharma/drugs"}, "of these, it alone has a contract"
    with pytest.raises(UsageError, match="pharma"):
        catalog.named(mesh, ["farma"])


def test_a_paused_domain_pauses_its_sub_domains(place):
    env = place.env()
    Launches(env.ledger.store).pause("launch", "me", "moving")
    place.sql("pharma.drugs", "select 2::bigint as id")
    done = place.statuses()
    assert [done[name] for name in ("pharma/drugs", "launch/plan", "reports/count")] == [
        "published",
        "skipped",
        "skipped",
    ]
    env = place.env()
    why = order.due(env.mesh, env.state()).why
    assert {name for name, one in why.items() if one.state is order.Standing.PAUSED} == {"launch.plan", "reports.count"}
    told = catalog.resume_domain(env, "reports")
    assert (told["was_paused"], told["paused_with"]) == (False, "launch")
    assert catalog.resume_domain(env, "launch")["paused_with"] is None
    assert place.statuses()["reports/count"] == "unchanged"
    assert place.rows("from launch.plan") == [(2,)]


def test_the_status_has_them_together_each_below_its_own(place, capsys):
    report = account.status(place.env())
    ways = {row["table"]: row["part_of"] for row in report["tables"]}
    assert ways["reports/count"] == ["pharma", "launch"]
    console.status_table({**report, "tables": sorted(report["tables"], key=lambda row: row["table"], reverse=True)})
    lines = [line.rstrip()[:20].rstrip() for line in capsys.readouterr().out.splitlines()]
    shown = [line.lstrip(" ") for line in lines if "/" in line]
    assert shown == ["pharma/drugs", "launch/plan", "reports/count", "money/cents"]
    indents = [len(line) - len(line.lstrip(" ")) for line in lines if "/" in line]
    assert [one - indents[0] for one in indents] == [0, 2, 4, 0]


def test_groups_in_dagster_stand_together(place):
    loaded = build_definitions(place.root, settings=place.settings)
    graph = loaded.resolve_asset_graph()
    groups = {key.to_user_string(): graph.get(key).group_name for key in graph.get_all_asset_keys()}
    assert groups == {
        "pharma/drugs": "pharma",
        "launch/plan": "pharma__launch",
        "reports/count": "pharma__launch__reports",
        "money/cents": "money",
    }
    sensors = {sensor.name: sensor for sensor in loaded.sensors or ()}
    chosen = sensors["reports__order"].asset_selection
    assert chosen.resolve(graph) == {dg.AssetKey(["reports", "count"])}


def test_they_are_folded_in_the_portal(place):
    client = Client(app_of(place))
    told = client.get("/mesh/api/domains").json()
    assert {row["domain"] for row in told["domains"]} == {"pharma", "money"}
    (pharma,) = (row for row in told["domains"] if row["domain"] == "pharma")
    assert [part["domain"] for part in pharma["parts"]] == ["launch", "reports"]
    flat = client.get("/mesh/api/domains?fold=0").json()["domains"]
    assert {row["domain"]: row["part_of"] for row in flat} == {
        "pharma": [],
        "money": [],
        "launch": ["pharma"],
        "reports": ["pharma", "launch"],
    }
    home = client.get("/mesh/").text
    assert Strict(home).stack == []
    assert "2 sub-domains" in home
    assert "Reports" in client.get("/mesh/?q=reports").text
    page = client.get("/mesh/domains/reports").text
    assert Strict(page).stack == []
    assert page.index("/mesh/domains/pharma") < page.index("/mesh/domains/launch") < page.index("<h1>"), "where it is"
    assert "Its sub-domains" in client.get("/mesh/domains/pharma").text
