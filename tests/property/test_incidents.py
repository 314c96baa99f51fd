"""Injected failures are told by the right domain's name, once, and their incidents close themselves."""

from collections import Counter

import pytest

from mesh_assets.account import causes, incidents
from tests import incident_simulator
from tests.incident_simulator import KINDS, Outcome, inject, outcomes


def judged(told: list[Outcome]) -> tuple[float, float, float]:
    """Share that names the right domain, incidents per cause, share that closed."""
    right, over = (sum(getattr(each, word) for each in told) / len(told) for word in ("right", "over"))
    return right, sum(len(each.opened) for each in told) / len(told), over


def test_a_failure_is_one_incident_of_the_domain_that_caused_it() -> None:
    told = outcomes(54)
    right, each, over = judged(told)
    assert right >= 0.95
    assert 0.95 <= each <= 1.05
    assert over >= 0.95
    assert Counter(outcome.kind for outcome in told).keys() >= set(KINDS) - {"bad content far"}


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(4))
def test_of_hundreds_of_failures_95_of_100_name_the_right_domain_and_each_is_one_incident(chunk: int) -> None:
    told = outcomes(100, first=1_000 * (chunk + 1))
    right, each, over = judged(told)
    assert right >= 0.95
    assert 0.95 <= each <= 1.05
    assert over >= 0.95


# -- mutants: each forgets one rule, and must be seen ----------------------------------------------------------------------------


def of(*kinds: str, seeds: int = 30) -> list[Outcome]:
    """What comes of failures of some kinds."""
    found = [inject(seed, kind) for seed in range(seeds) for kind in kinds]
    return [each for each in found if each is not None]


def test_without_the_walk_through_versions_the_wrong_domain_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    def itself(search: causes._Search, name: str, *_: object) -> dict:
        return {name: (causes.Kind.FAILED, (name,))}

    monkeypatch.setattr(causes._Search, "_entered", itself)
    assert judged(of("bad content", "refused by a reader", seeds=12))[0] < 0.95


def test_without_looking_upstream_one_lateness_is_many_incidents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causes, "_trouble_above", lambda *_: "")
    assert judged(of("late files", seeds=10))[1] > 1.05


def test_without_waiting_for_all_downstream_incidents_close_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is behind them, and tried again, opens them again."""
    monkeypatch.setattr(incident_simulator, "known", lambda _: {})
    monkeypatch.setattr(incidents, "SETTLED", tuple(incidents.Standing))
    assert judged(of("bad files", "code raises", "refused by a reader", seeds=12))[1] > 1.05
