"""Rating a table's tests: the faults are those that are named, the same for the same seed, and nothing is written."""

import json
import sys
from datetime import date

import pytest

from mesh_assets.cli import main
from mesh_assets.errors import UsageError
from mesh_assets.profile.faults import FAULTS, Seeder
from mesh_assets.profile.measure import profile
from mesh_assets.profile.rate import Rating, _Asked, rate
from tests.making import Place

TODAY = date(2026, 6, 1)
QUERY = """
    select i as id, 'PACK-' || (1000 + i) as code, ['new', 'paid', 'sent'][1 + i % 3] as status,
           (10 + i % 7)::double as price, date '2026-01-01' + (i % 100)::int as sold_on, i % 2 = 0 as gift
    from range({rows}) t(i)
"""
COLUMNS = {
    "id": "BIGINT; required: true; unique: true",
    "code": "VARCHAR; required: true",
    "status": "VARCHAR; enum: [{value: new}, {value: paid}, {value: sent}]",
    "price": "DOUBLE; logicalTypeOptions: {minimum: 0, maximum: 100}",
    "sold_on": "DATE; required: true",
    "gift": "BOOLEAN",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    """Sales of two versions."""
    place = Place(tmp_path_factory.mktemp("rated"))
    place.domain("shop", "outputs: [{port: sales}]\n")
    place.contract("shop.sales", COLUMNS)
    for rows in (200, 210):
        place.sql("shop.sales", QUERY.format(rows=rows))
        assert place.statuses()["shop/sales"] == "published"
    return place


def rated(place: Place, **words) -> Rating:
    env = place.env()
    return rate(env, env.mesh.tables["shop.sales"], **({"seed": 1, "today": TODAY} | words))


def test_what_is_tested_is_caught_and_what_is_not_is_missed(place):
    env = place.env()
    head, files = env.lake.head(), sorted(env.lake.data.rglob("*"))
    found = rated(place)
    caught = {(each.seeded.fault.name, each.seeded.column): each.by for each in found.verdicts}
    assert caught["null", "id"] == ("id__required", "id__unique")  # ten are missing: they are all the same
    assert caught["repeated_key", "id"] == ("id__unique",)
    assert caught["unknown_code", "status"] == ("status__enum",)
    assert caught["sign", "price"] == ("price__minimum",)
    assert caught["unit", "price"] == ("price__maximum",)
    assert caught["duplicated", ""] == ("id__unique",)
    for missed in (
        ("null", "status"),
        ("truncated", "code"),
        ("nothing", ""),
        ("century", "sold_on"),
        ("late", "sold_on"),
    ):
        assert caught[missed] == ()
    assert 0 < found.stopped == found.caught < 1
    assert (found.versions, dict(found.alarms), found.failing) == (tuple(sorted(found.versions)[::-1]), {}, ())
    assert len(found.versions) == 2
    assert (env.lake.head(), sorted(env.lake.data.rglob("*"))) == (head, files)


@pytest.mark.slow
def test_suggested_tests_catch_more_than_nine_of_ten_without_a_false_alarm(place):
    found = rated(place, suggested=True)
    assert found.caught >= 0.9
    assert found.alarms == {}
    assert "id__unique" not in found.tests


@pytest.mark.long
def test_faults_hit_the_rows_that_they_say_and_the_same_ones_for_a_seed(place):
    env = place.env()
    table, version = env.mesh.tables["shop.sales"], place.version("shop.sales")
    with env.lake.session() as con:
        relation = env.lake.relation("shop.sales", version)

        def seeded(seed: int):
            known = profile(con, relation)
            run = lambda sql: con.execute(sql).fetchone() or ()
            return list(Seeder(run, relation, known, table.contract, seed=seed, share=0.05).all())

        one, again, other = seeded(1), seeded(1), seeded(2)
        assert one == again
        assert {each.fault.name for each in one} == {fault.name for fault in FAULTS} - {"broken_key"}
        types = [row[:2] for row in con.execute(f"DESCRIBE FROM {relation}").fetchall()]
        for each in one:
            assert [row[:2] for row in con.execute(f"DESCRIBE FROM {each.relation}").fetchall()] == types
            (gone,) = con.execute(f"SELECT count(*) FROM (FROM {relation} EXCEPT ALL FROM {each.relation})").fetchone()
            (came,) = con.execute(f"SELECT count(*) FROM (FROM {each.relation} EXCEPT ALL FROM {relation})").fetchone()
            assert each.rows == max(gone, came), each.fault.name
            assert not each.in_place or gone == came
        assert [each.relation for each in one] != [each.relation for each in other]
        # Tests that a fault cannot touch are not asked; asked, they would say the same.
        ask = _Asked(env, table, con, table.contract)
        clean = {result.test.name: result.status for result in ask(relation)}
        for each in [each for each in one if each.column == "price"]:
            found = {result.test.name: result.status for result in ask(each.relation)}
            assert {name for name in clean if found[name] != clean[name]} <= {"price__minimum", "price__maximum"}


def test_the_command_line(place, monkeypatch, capsys):
    assert _mesh(monkeypatch, place, "shop/sales", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema_version"], told["table"], told["rows"], told["seed"]) == (1, "shop/sales", 210, 1)
    assert told["by_fault"]["repeated_key"] == [1, 1]
    assert told["history"] == {"versions": told["history"]["versions"], "false_alarms": [], "false_alarm_rate": 0.0}
    assert _mesh(monkeypatch, place, "shop/sales", "--at-least", "99") == 1
    assert "faults are caught" in capsys.readouterr().out
    env = place.env()
    with pytest.raises(UsageError, match="never published"):
        from dataclasses import replace

        rate(env, replace(env.mesh.tables["shop.sales"], name="shop.other"), seed=1, today=TODAY)


def _mesh(monkeypatch, place: Place, *words: str) -> int:
    monkeypatch.setenv("MESH_DIR", str(place.root))
    monkeypatch.setattr(sys, "argv", ["mesh", "test", "rate", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)
