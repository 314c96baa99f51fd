"""Order of operations, in cases that fit on a page."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from mesh_assets import order
from mesh_assets.contract import Contract
from mesh_assets.domain import Consistency, Domain, InputPort, Mesh, OnFailure, Table, Toolchain
from mesh_assets.order import Attempt, Seen, Standing, State


def table(name: str, *inputs: str, automation: str = "eager", source: bool = False) -> Table:
    return Table(
        name=name,
        toolchain=Toolchain.SOURCE if source else Toolchain.SQL,
        inputs=inputs,
        automation=automation,
        code="code",
    )


def mesh(
    *tables: Table, ports: Mapping[str, tuple[InputPort, ...]] | None = None, broken: tuple[str, ...] = ()
) -> Mesh:
    names = {each.domain for each in tables}
    return Mesh(
        name="test",
        root=Path(),
        domains={name: Domain(name=name, path=Path(), inputs=(ports or {}).get(name, ())) for name in sorted(names)},
        tables={each.name: each for each in tables},
        broken=dict.fromkeys(broken, ()),
    )


SOURCE, LEFT, RIGHT = table("a.source", source=True), table("a.left", "a.source"), table("a.right", "a.source")
DIAMOND = mesh(SOURCE, LEFT, RIGHT, table("b.both", "a.left", "a.right"), table("c.reader", "b.both"))


class Lake:
    """Publishes by hand, and remembers what `due` wants to know."""

    def __init__(self, it: Mesh) -> None:
        self.mesh = it
        self.state = State()

    def files(self, source: str, content: str) -> None:
        self.state = replace(self.state, raw={**self.state.raw, source: content})

    def build(
        self, name: str, content: str = "", *, failed: bool = False, held: Mapping[str, str] | None = None
    ) -> None:
        seen, old = self.state.seen, held or {}
        raw = self.state.raw.get(name, "")
        tried = order.attempt(self.mesh, name, seen, raw=raw, failed=failed, run="run-1")
        self.state = replace(self.state, tried={**self.state.tried, name: tried}, ticked=self.state.ticked - {name})
        if failed:
            return
        version = Seen(
            version=len(seen),
            fingerprint=content,
            inputs={**tried.inputs, **old},
            generation=order.generation(self.mesh, name, seen, content, held=frozenset(old)),
            held=frozenset(old),
        )
        self.state = replace(self.state, seen={**seen, name: version})

    def all(self, **contents: str) -> "Lake":
        for name in self.mesh.tables:
            if self.mesh.tables[name].toolchain is Toolchain.SOURCE:
                self.files(name, "1")
            self.build(name, contents.get(name.replace(".", "_"), f"{name}@1"))
        return self

    def due(self, **how: bool) -> tuple[str, ...]:
        return order.due(self.mesh, self.state, **how).build

    def why(self, name: str) -> order.Why:
        return order.due(self.mesh, self.state).why[name]


@pytest.fixture
def diamond() -> Lake:
    return Lake(DIAMOND).all()


def test_an_empty_lake_is_built_from_the_sources_down() -> None:
    lake = Lake(DIAMOND)
    assert lake.why("a.source").sentence == "its raw files are missing"
    assert lake.why("a.left").sentence == "reads a/source, never published"
    lake.files("a.source", "1")
    assert lake.due() == ("a.source",)
    assert lake.why("b.both").sentence == "waits for a/left"
    lake.build("a.source", "s1")
    assert lake.due() == ("a.left", "a.right")


def test_nothing_is_due_when_nothing_has_changed(diamond: Lake) -> None:
    decision = order.due(diamond.mesh, diamond.state)
    assert decision.build == ()
    assert {why.sentence for why in decision.why.values()} == {"up to date"}


def test_inputs_of_different_generations_are_not_joined_and_the_reader_keeps_its_version(diamond: Lake) -> None:
    diamond.files("a.source", "2")
    diamond.build("a.source", "s2")
    diamond.build("a.left", "l2")
    diamond.build("a.right", failed=True)
    assert diamond.due() == ()
    why = diamond.why("b.both")
    assert (why.state, why.tables, why.root) == (Standing.DISAGREES, ("a.left", "a.right"), "a.source")
    assert why.sentence == "a/left and a/right disagree on a/source"
    assert diamond.why("a.right").sentence == "failed in run-1, and nothing has changed since"
    assert diamond.why("c.reader").state is Standing.CURRENT


def test_an_unchanged_version_stands_for_the_newer_generation_without_being_built(diamond: Lake) -> None:
    middle = mesh(
        SOURCE,
        table("a.coarse", "a.source"),
        table("a.of_coarse", "a.coarse"),
        RIGHT,
        table("b.both", "a.of_coarse", "a.right"),
    )
    lake = Lake(middle).all()
    lake.build("a.source", "s2")
    lake.build("a.coarse", "a.coarse@1")
    lake.build("a.right", "r2")
    assert lake.due() == ("b.both",)
    lake.build("b.both", "b2")
    assert lake.state.seen["b.both"].generation == {"a.source": "s2"}


def test_a_failed_table_is_due_again_only_when_something_changed_or_someone_asks(diamond: Lake) -> None:
    diamond.build("b.both", failed=True)
    assert diamond.due() == ()
    assert diamond.due(retry_failed=True) == ("b.both",)
    diamond.mesh = replace(
        diamond.mesh, tables={**diamond.mesh.tables, "b.both": replace(diamond.mesh.tables["b.both"], code="mended")}
    )
    assert diamond.due() == ("b.both",)
    assert diamond.why("b.both").sentence == "code changed"


def test_a_code_change_upstream_is_not_mixed_with_what_was_made_from_the_old_code() -> None:
    joint = mesh(
        SOURCE,
        table("a.joint", "a.source"),
        table("b.one", "a.joint"),
        table("b.two", "a.joint"),
        table("b.both", "b.one", "b.two"),
    )
    lake = Lake(joint).all()
    lake.build("a.joint", "of new code")
    lake.build("b.one", "of new code")
    lake.build("b.two", failed=True)
    assert lake.why("b.both").sentence == "b/one and b/two disagree on a/joint"


def test_a_changed_contract_of_an_input_port_makes_the_reader_due() -> None:
    def reader(hash_: str) -> Mesh:
        port = InputPort(
            table="a.source", contract=Contract(id="", version="", name="", columns=(), tests=(), hash=hash_)
        )
        return mesh(SOURCE, table("b.reader", "a.source"), ports={"b": (port,)})

    lake = Lake(reader("strict")).all()
    lake.build("b.reader", failed=True)
    assert lake.due() == ()
    lake.mesh = reader("relaxed")
    assert (lake.due(), lake.why("b.reader").sentence) == (("b.reader",), "contract changed")


def test_promises_are_the_contracts_hash_where_no_port_has_a_contract() -> None:
    contract = Contract(id="", version="", name="", columns=(), tests=(), hash="abc")
    it = mesh(SOURCE, replace(LEFT, contract=contract))
    assert order.promises(it, "a.left") == "abc"
    assert order.promises(it, "a.source") == ""


def waiving(port: InputPort) -> Lake:
    lake = Lake(mesh(SOURCE, LEFT, RIGHT, table("b.both", "a.left", "a.right"), ports={"b": (port,)})).all()
    lake.build("a.source", "s2")
    lake.build("a.left", "l2")
    lake.build("a.right", failed=True)
    return lake


def test_an_input_declared_latest_is_not_compared_and_hands_nothing_on() -> None:
    lake = waiving(InputPort(table="a.right", consistency=Consistency.LATEST))
    assert lake.due() == ("b.both",)
    lake.build("b.both", "b2")
    assert lake.state.seen["b.both"].generation == {"a.source": "s2"}


def test_a_held_input_is_not_compared_while_the_version_on_offer_is_the_refused_one() -> None:
    contract = Contract(id="", version="", name="", columns=(), tests=(), hash="abc")
    lake = waiving(InputPort(table="a.right", contract=contract, on_failure=OnFailure.HOLD))
    assert lake.why("b.both").state is Standing.DISAGREES
    lake = waiving(InputPort(table="a.right", contract=contract, on_failure=OnFailure.HOLD))
    lake.build("b.both", "held", held={"a.right": "older"})
    assert lake.due() == ()
    lake.build("a.left", "l3")
    assert lake.due() == ("b.both",)
    assert order.disagreement(lake.mesh, "b.both", lake.state.seen) is not None
    assert order.disagreement(lake.mesh, "b.both", lake.state.seen, held=frozenset({"a.right"})) is None


def test_a_table_of_a_broken_domain_is_waited_for_by_name(diamond: Lake) -> None:
    tables = {name: it for name, it in DIAMOND.tables.items() if name != "b.both"}
    diamond.mesh = replace(DIAMOND, tables=tables, broken={"b": ()})
    diamond.build("a.left", "l2")
    assert diamond.due() == ()
    assert diamond.why("c.reader").sentence == "reads b/both, which could not be loaded"


CRON = "0 6 * * *"
DAILY = mesh(
    table("a.source", source=True, automation=CRON),
    table("a.left", "a.source", automation=CRON),
    table("a.right", "a.source", automation=CRON),
    table("a.both", "a.left", "a.right", automation=CRON),
    table("b.reader", "a.both", "a.source"),
)


def test_a_scheduled_table_waits_for_its_time_but_not_with_its_first_build() -> None:
    lake = Lake(DAILY)
    lake.files("a.source", "1")
    assert lake.due() == ("a.source",)
    lake.all()
    lake.files("a.source", "2")
    assert lake.due() == ()
    assert lake.why("a.source").sentence == f"raw files changed; waits for its schedule {CRON}"


def test_tables_on_one_schedule_follow_each_other_and_keep_one_generation() -> None:
    lake = Lake(DAILY).all()
    lake.files("a.source", "2")
    lake.state = replace(lake.state, ticked=frozenset({"a.source", "a.left", "a.right", "a.both"}))
    assert lake.due() == ("a.source",)
    lake.build("a.source", "s2")
    assert lake.due() == ("a.left", "a.right")
    lake.build("a.left", "l2")
    lake.build("a.right", failed=True)
    assert lake.why("a.both").sentence == "a/left and a/right disagree on a/source"
    assert lake.why("b.reader").sentence == "a/both and a/source disagree on a/source"


def test_a_table_on_another_schedule_begins_a_generation_of_its_own() -> None:
    lake = Lake(
        mesh(SOURCE, table("a.daily", "a.source", automation=CRON), table("b.both", "a.daily", "a.source"))
    ).all()
    lake.build("a.source", "s2")
    assert lake.due() == ("b.both",)
    assert lake.why("a.daily").state is Standing.SCHEDULED


def test_a_tick_is_a_reason_even_when_nothing_changed() -> None:
    lake = Lake(DAILY).all()
    lake.state = replace(lake.state, ticked=frozenset({"a.left"}))
    assert (lake.due(), lake.why("a.left").sentence) == (("a.left",), "schedule")


def test_a_manual_table_is_built_when_asked_for() -> None:
    lake = Lake(mesh(SOURCE, table("a.manual", "a.source", automation="manual")))
    lake.files("a.source", "1")
    lake.build("a.source", "s1")
    assert lake.why("a.manual").sentence == "first build; is built when asked for"
    lake.state = replace(lake.state, ticked=frozenset({"a.manual"}))
    assert lake.due() == ("a.manual",)


def test_only_leaves_the_others_out_and_still_waits_for_them(diamond: Lake) -> None:
    diamond.build("a.source", "s2")
    assert order.due(diamond.mesh, diamond.state, only=frozenset({"a.left"})).build == ("a.left",)
    assert order.due(diamond.mesh, diamond.state, only=frozenset({"b.both"})).build == ()


def test_a_table_in_progress_is_not_started_again_and_is_waited_for(diamond: Lake) -> None:
    diamond.build("a.source", "s2")
    diamond.state = replace(diamond.state, running={"a.left": "run-7"})
    assert diamond.due() == ("a.right",)
    assert diamond.why("a.left").sentence == "running in run-7"
    assert diamond.why("b.both").sentence == "waits for a/left"


def test_a_closure_is_the_start_and_everything_downstream_in_order(diamond: Lake) -> None:
    assert order.closure(DIAMOND, diamond.state, ["a.right", "a.left"]) == ("a.left", "a.right", "b.both", "c.reader")


def test_a_closure_leaves_what_meets_a_table_in_progress_for_the_next_run(diamond: Lake) -> None:
    other = mesh(*DIAMOND.tables.values(), table("d.alone", "a.right"), table("d.apart"))
    running = replace(diamond.state, running={"a.left": "run-7"})
    assert order.closure(other, running, ["a.right", "d.apart"]) == ("d.apart",)


def test_a_closure_leaves_out_what_cannot_be_built() -> None:
    assert order.closure(DIAMOND, State(), ["a.left"]) == ()
    assert order.closure(DIAMOND, State(), ["a.source"]) == tuple(DIAMOND.tables)


def test_a_chain_of_two_thousand_tables_is_no_depth_problem() -> None:
    names = [f"c.t{at:04}" for at in range(2000)]
    chain = mesh(table(names[0], source=True), *(table(name, names[at]) for at, name in enumerate(names[1:])))
    seen, tried = {}, {}
    for name in names:
        tried[name] = Attempt(
            inputs={i: seen[i].fingerprint for i in chain.tables[name].inputs}, code="code", contract="", raw="1"
        )
        seen[name] = Seen(version=1, fingerprint=name, inputs=tried[name].inputs, generation={names[0]: names[0]})
    state = State(seen=seen, tried=tried, raw={names[0]: "1"})
    assert order.due(chain, state).build == ()
    assert order.generation(chain, names[-1], seen, "new") == {names[0]: names[0]}
    assert order.closure(chain, state, names[:1]) == tuple(names)


def test_what_a_record_does_not_tell_agrees_with_nobody() -> None:
    longer = mesh(
        SOURCE,
        table("a.between", "a.source"),
        table("a.left", "a.between"),
        RIGHT,
        table("b.both", "a.left", "a.right"),
    )
    lake = Lake(longer).all()
    silent = replace(lake.state.seen["a.left"], inputs={"a.between": "an older one"}, generation={})
    seen = {**lake.state.seen, "a.left": silent}
    assert order.disagreement(longer, "b.both", seen) == order.Disagreement("a.source", "a.left", "a.right")
