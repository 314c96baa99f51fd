"""How texts are written, compared with the version before: a few that are cut or in another case are seen, chance is not."""

from datetime import UTC, datetime

import duckdb
import pytest

from mesh_assets.audit.execute import audit
from mesh_assets.audit.library.kinds import Earlier
from mesh_assets.audit.result import Status
from mesh_assets.contract import Column, Contract, Kind, Test

CON = duckdb.connect()
NOW = datetime(2026, 1, 2, tzinfo=UTC)
NAMES = "(SELECT CASE WHEN hash(i, {seed}) % 20 = 0 THEN NULL ELSE ['Ana', 'Rui Costa', 'MARTA', 'João de Melo'][1 + (hash(i, {seed}, 1) % 4)::INT] END AS x, i FROM range({rows}) t(i))"


class Before:
    """One earlier version."""

    now = NOW

    def __init__(self, relation: str) -> None:
        self.relation = relation

    def versions(self, limit: int) -> list[Earlier]:
        return [Earlier(1, NOW, self.relation)][:limit]


def asked(now: str, before: str, **given: object):
    """The result of the test."""
    test = Test(
        name="t", kind=Kind.LIBRARY, type="writing_shift", columns=("x",), arguments={"points": 2, "percent": 2} | given
    )
    contract = Contract(id="c", version="1", name="t", columns=(Column(name="x", type="VARCHAR"),), tests=(test,))
    return audit(CON, now, contract, past=Before(before))[0]


def spoilt(value: str) -> str:
    """A table in which every twentieth text is another."""
    return f"(SELECT CASE WHEN i % 20 = 7 THEN {value} ELSE x END AS x, i FROM {NAMES.format(seed=1, rows=20_000)})"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("left(x, length(x) // 2)", "characters in the mean"),
        ("lower(x)", "% without a capital"),
        ("upper(x)", "% in capitals only"),
    ],
)
def test_one_of_twenty_is_seen(value, words):
    found = asked(spoilt(value), NAMES.format(seed=2, rows=20_000))
    assert found.status is Status.FAIL
    assert words in found.message


def test_chance_is_let_pass_and_an_empty_table_is_not():
    alarms = sum(
        asked(NAMES.format(seed=seed, rows=300), NAMES.format(seed=seed + 100, rows=300)).status is not Status.PASS
        for seed in range(100)
    )
    assert alarms <= 4, "of a hundred pairs of tables about one"
    some, none = NAMES.format(seed=1, rows=9), NAMES.format(seed=1, rows=0)
    assert [asked(*pair).status for pair in ((none, some), (some, none), (none, none))] == [
        Status.FAIL,
        Status.FAIL,
        Status.PASS,
    ]
