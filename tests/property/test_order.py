"""The order of operations keeps its promises in random worlds, and the worlds are good enough to catch one that does not."""

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import pytest

from mesh_assets import generations, order
from mesh_assets.domain import Consistency, Mesh, Table
from mesh_assets.generations import Generations, Seen
from mesh_assets.order import Attempt, Decision, Standing, State
from tests import order_simulator
from tests.order_simulator import Broken, Rules, simulate, simulate_restless

CHUNK = 25
Mutant = Callable[[pytest.MonkeyPatch], Rules]


@pytest.mark.parametrize("chunk", range(20))
def test_random_histories_keep_every_promise(chunk: int) -> None:
    stats = sum((simulate(seed) for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK)), start=order_simulator.Counter())
    happened = {
        "built",
        "failed",
        "unchanged",
        "killed",
        "held",
        "code",
        "closures",
        "left behind",
        "disagrees at the pin",
    }
    assert happened <= stats.keys(), "the histories of these seeds are too tame to show anything"


@pytest.mark.long
@pytest.mark.parametrize("chunk", range(20))
def test_where_sources_never_rest_each_closure_run_builds_all_of_its_tables(chunk: int) -> None:
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        assert simulate_restless(seed)["built"] > 0


@pytest.mark.parametrize("chunk", [*range(4), *(pytest.param(n, marks=pytest.mark.slow) for n in range(4, 60))])
def test_domains_that_are_paused_and_pipelines_that_are_launched_keep_every_promise(chunk: int) -> None:
    seeds = range(20_000 + chunk * CHUNK, 20_000 + (chunk + 1) * CHUNK)
    stats = sum((simulate(seed, worlds=order_simulator.LAUNCHED) for seed in seeds), start=order_simulator.Counter())
    assert {"pauses", "launches", "failed", "killed", "held"} <= stats.keys()


@pytest.mark.parametrize("chunk", [0, 1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 60))])
def test_kitchens_that_promote_meanwhile_keep_every_promise(chunk: int) -> None:
    seeds = range(40_000 + chunk * CHUNK, 40_000 + (chunk + 1) * CHUNK)
    stats = sum((simulate(seed, worlds=order_simulator.KITCHENS) for seed in seeds), start=order_simulator.Counter())
    assert {"promoted", "promotions refused", "failed", "killed", "held"} <= stats.keys()


@pytest.mark.parametrize("chunk", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 2_000))])
def test_twenty_domains_keep_every_promise(chunk: int) -> None:
    """All chunks: 10,000 histories of 180 moments and three rests, with failures, retries, kills, restarts, launches and promotions.

    Of a table whose inputs have moved, and with nothing upstream under way or in trouble, half are due within a moment.
    """
    seeds = range(60_000 + chunk * 5, 60_000 + (chunk + 1) * 5)
    stats = sum((simulate(seed, worlds=[order_simulator.COMPANY]) for seed in seeds), start=order_simulator.Counter())
    assert {"built", "failed", "killed", "restarts", "promoted"} <= stats.keys()
    assert statistics.median(order_simulator.delays(stats)) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(120))
def test_three_thousand_random_histories_keep_every_promise(chunk: int) -> None:
    for seed in range(10_000 + chunk * CHUNK, 10_000 + (chunk + 1) * CHUNK):
        simulate(seed)
        simulate_restless(seed)


def test_where_sources_never_rest_runs_of_single_tables_starve_readers_and_closure_runs_do_not() -> None:
    starved = [seed for seed in range(20) if order_simulator.starves(seed, closures=False)]
    assert len(starved) > 10, "closures have nothing to show here"
    assert not [seed for seed in starved if order_simulator.starves(seed, closures=True)]


# -- mutants: each breaks one rule, and must be caught ---------------------------------------------------------------------------


def no_agreement_check(_: pytest.MonkeyPatch) -> Rules:
    return Rules(due=_due_also(Standing.DISAGREES), disagreement=lambda *_args, **_held: None)


def unchanged_versions_stand_for_what_they_were_built_from(_: pytest.MonkeyPatch) -> Rules:
    def forget(seen: Mapping[str, Seen]) -> dict[str, Seen]:
        return {name: replace(each, inputs=dict.fromkeys(each.inputs, "?")) for name, each in seen.items()}

    return Rules(
        due=lambda mesh, state: order.due(mesh, replace(state, seen=forget(state.seen))),
        disagreement=lambda mesh, table, seen, **held: order.disagreement(mesh, table, forget(seen), **held),
        generation=lambda mesh, table, seen, new, **held: order.generation(mesh, table, forget(seen), new, **held),
    )


def failures_are_not_recorded(_: pytest.MonkeyPatch) -> Rules:
    def attempt(mesh: Mesh, table: str, seen: Mapping[str, Seen], *, failed: bool, **what: str) -> Attempt | None:
        return None if failed else order.attempt(mesh, table, seen, failed=failed, **what)

    return Rules(attempt=attempt)


def inputs_are_recorded_at_publish(_: pytest.MonkeyPatch) -> Rules:
    return Rules(recorded=lambda _pin, now: now)


def code_changes_are_ignored(_: pytest.MonkeyPatch) -> Rules:
    return _tried_with(lambda mesh, name: {"code": mesh.tables[name].code})


def contract_changes_are_ignored(_: pytest.MonkeyPatch) -> Rules:
    return _tried_with(lambda mesh, name: {"contract": order.promises(mesh, name)})


def failures_are_retried_for_ever(_: pytest.MonkeyPatch) -> Rules:
    return Rules(
        due=lambda mesh, state: order.due(mesh, state, retry_failed=True),
        reason_to_build=lambda mesh, table, state: order.reason_to_build(mesh, table, state, retry_failed=True),
    )


def nothing_is_waited_for(_: pytest.MonkeyPatch) -> Rules:
    return Rules(due=_due_also(Standing.WAITS))


def schedules_are_ignored(_: pytest.MonkeyPatch) -> Rules:
    return Rules(due=_due_also(Standing.SCHEDULED))


def waivers_are_ignored(_: pytest.MonkeyPatch) -> Rules:
    def strict(mesh: Mesh) -> Mesh:
        domains = {
            name: replace(domain, inputs=tuple(replace(port, consistency=Consistency.STRICT) for port in domain.inputs))
            for name, domain in mesh.domains.items()
        }
        return replace(mesh, domains=domains)

    return Rules(
        due=lambda mesh, state: order.due(strict(mesh), state),
        disagreement=lambda mesh, table, seen, **held: order.disagreement(strict(mesh), table, seen, **held),
        generation=lambda mesh, table, seen, new, **held: order.generation(strict(mesh), table, seen, new, **held),
    )


def held_inputs_are_compared(_: pytest.MonkeyPatch) -> Rules:
    return Rules(disagreement=lambda mesh, table, seen, held: order.disagreement(mesh, table, seen))


def what_was_once_held_counts_as_held_for_ever(patch: pytest.MonkeyPatch) -> Rules:
    def held(_mesh: Mesh, table: Table, state: State) -> frozenset[str]:
        return state.seen[table.name].held if table.name in state.seen else frozenset()

    patch.setattr(order, "_still_held", held)
    return Rules()


def only_roots_are_compared(patch: pytest.MonkeyPatch) -> Rules:
    patch.setattr(Generations, "_joints", lambda _self: frozenset())
    return Rules()


def every_scheduled_table_begins_a_generation(patch: pytest.MonkeyPatch) -> Rules:
    patch.setattr(generations, "hands_on", lambda _mesh, _name, reader: reader.automation == "eager")
    return Rules()


def scheduled_tables_carry_the_generation_of_eager_ones(patch: pytest.MonkeyPatch) -> Rules:
    patch.setattr(generations, "hands_on", lambda _mesh, _name, _reader: True)
    return Rules()


def what_a_record_does_not_tell_is_taken_for_current(patch: pytest.MonkeyPatch) -> Rules:
    recorded = Generations._recorded
    patch.setattr(Generations, "_recorded", lambda self, table, _read, own: recorded(self, table, [], own))
    return Rules()


def raw_files_are_ignored(_: pytest.MonkeyPatch) -> Rules:
    return _tried_with(lambda _mesh, _name: {}, raw=True)


ANY, WAIVING, CHANGING = range(300), range(1, 1200, 4), range(2, 1200, 4)  # seeds; order_simulator.WORLDS by turns
MUTANTS: dict[Mutant, range] = {
    no_agreement_check: ANY,
    unchanged_versions_stand_for_what_they_were_built_from: ANY,
    failures_are_not_recorded: ANY,
    inputs_are_recorded_at_publish: ANY,
    code_changes_are_ignored: ANY,
    contract_changes_are_ignored: ANY,
    raw_files_are_ignored: ANY,
    failures_are_retried_for_ever: ANY,
    nothing_is_waited_for: ANY,
    schedules_are_ignored: ANY,
    waivers_are_ignored: ANY,
    held_inputs_are_compared: WAIVING,
    what_was_once_held_counts_as_held_for_ever: WAIVING,
    only_roots_are_compared: CHANGING,
    every_scheduled_table_begins_a_generation: ANY,
    scheduled_tables_carry_the_generation_of_eager_ones: ANY,
    what_a_record_does_not_tell_is_taken_for_current: CHANGING,
}
FIRST = {
    unchanged_versions_stand_for_what_they_were_built_from: 28,
    waivers_are_ignored: 17,
    held_inputs_are_compared: 877,
    what_was_once_held_counts_as_held_for_ever: 317,
    only_roots_are_compared: 182,
    what_a_record_does_not_tell_is_taken_for_current: 650,
}
"""The first history that has shown a rare one: it is tried first, and the others when it does not show it any more."""


def test_a_kitchen_that_does_not_look_whether_production_has_moved_is_caught() -> None:
    careless = Rules(moved=lambda _base, _now: False)
    assert _caught(careless, lambda seed, rules: simulate(seed, rules, order_simulator.KITCHENS), range(40_000, 40_100))


@pytest.mark.parametrize(("mutant", "seeds"), MUTANTS.items(), ids=[mutant.__name__ for mutant in MUTANTS])
def test_a_broken_rule_is_caught(mutant: Mutant, seeds: range, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = mutant(monkeypatch)
    begin = [FIRST[mutant]] if mutant in FIRST else []
    assert _caught(rules, simulate, [*begin, *seeds]), f"{len(seeds)} histories have not shown it"


def only_the_start(mesh: Mesh, state: State, start: Iterable[str]) -> tuple[str, ...]:
    wanted = set(start) - state.running.keys()
    return tuple(name for name in mesh.tables if name in wanted)


def closures_miss_each_other(mesh: Mesh, state: State, start: Iterable[str]) -> tuple[str, ...]:
    taken = order.closure(mesh, replace(state, running={}), start)
    return tuple(name for name in taken if name not in state.running)


def only_eager_tables_follow(mesh: Mesh, state: State, start: Iterable[str]) -> tuple[str, ...]:
    return order.closure(mesh, replace(state, ticked=frozenset()), start)


@pytest.mark.parametrize(
    "closure", [closures_miss_each_other, only_the_start, only_eager_tables_follow], ids=lambda each: each.__name__
)
def test_a_broken_closure_is_caught(closure: Callable[..., tuple[str, ...]]) -> None:
    rules = Rules(closure=closure)
    assert _caught(rules, simulate_restless, range(20)) or order_simulator.starves(0, rules)


def _caught(rules: Rules, world: Callable[..., object], seeds: Iterable[int]) -> bool:
    for seed in seeds:
        try:
            world(seed, rules)
        except Broken:
            return True
    return False


def _due_also(standing: Standing) -> Callable[..., Decision]:
    """`due`, when tables of this standing that have a reason are built too."""

    def due(mesh: Mesh, state: State) -> Decision:
        decision = order.due(mesh, state)
        build = tuple(
            name
            for name, why in decision.why.items()
            if name in decision.build
            or (
                why.state is standing
                and state.seen.keys() >= set(mesh.tables[name].inputs)
                and (state.raw.get(name) or mesh.tables[name].toolchain != "source")
                and order.reason_to_build(mesh, name, state)
            )
        )
        return replace(decision, build=build)

    return due


def _tried_with(what: Callable[[Mesh, str], dict[str, str]], *, raw: bool = False) -> Rules:
    """Rules for which the last attempt looks as if it had had this."""

    def tried(mesh: Mesh, state: State) -> State:
        now = {
            name: replace(last, **what(mesh, name), **({"raw": state.raw.get(name, "")} if raw else {}))
            for name, last in state.tried.items()
        }
        return replace(state, tried=now)

    return Rules(
        due=lambda mesh, state: order.due(mesh, tried(mesh, state)),
        reason_to_build=lambda mesh, table, state: order.reason_to_build(mesh, table, tried(mesh, state)),
    )
