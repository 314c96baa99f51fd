"""Steps with processes of their own: what one says is heard although another is silent."""

import multiprocessing
import time
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.execution.api import create_execution_plan
from dagster._core.executor import child_process_executor

from mesh_assets.orchestration.executing import heed_all_steps, longest_first


@pytest.fixture
def silent() -> Iterator[multiprocessing.Process]:
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    process.start()
    yield process
    process.kill()
    process.join()


def test_a_step_that_says_much_is_heard_beside_a_silent_one(silent):
    heed_all_steps()
    heed_all_steps()
    poll = child_process_executor._poll_for_event
    context = multiprocessing.get_context("spawn")
    says, nothing, closed = context.Queue(), context.Queue(), context.Queue()
    closed.put("left over")
    assert poll(silent, closed) in (None, "left over")
    closed.close()
    for number in range(300):
        says.put(number)
    heard, begun, cpu = [], time.monotonic(), time.process_time()
    while len(heard) < 300:
        assert poll(silent, nothing) is None
        if (found := poll(silent, says)) is not None:
            heard.append(found)
    assert heard == list(range(300))
    assert time.monotonic() - begun < 3.0  # by Dagster's own way 20 ms for each: 6 s
    begun, cpu = time.monotonic(), time.process_time()
    for _ in range(20):
        assert poll(silent, nothing) is None
    assert time.monotonic() - begun > 0.3, "it waits where nobody says anything"
    assert time.process_time() - cpu < 0.1


def test_a_dead_step_is_noticed_at_once_after_all_it_said(silent):
    heed_all_steps()
    poll = child_process_executor._poll_for_event
    queue = multiprocessing.get_context("spawn").Queue()
    queue.put("last words")
    silent.kill()
    silent.join()
    found = [poll(silent, queue)]
    while found[-1] is None:
        found.append(poll(silent, queue))
    assert found[-1] == "last words"
    assert poll(silent, queue) == child_process_executor.PROCESS_DEAD_AND_QUEUE_EMPTY


def test_the_step_with_the_longest_way_behind_it_begins_first():
    def made(name: str, *needs: str, **tags: str) -> dg.AssetsDefinition:
        return dg.asset(name=name, deps=list(needs), op_tags=tags)(lambda: None)

    chain = [made("a_short"), made("z_one"), made("y_two", "z_one"), made("x_three", "y_two"), made("b_wide", "z_one")]
    wanted = made("m_wanted", **{"dagster/priority": "1"})
    job = dg.Definitions(assets=[*chain, wanted]).resolve_implicit_global_asset_job_def()
    plan = create_execution_plan(job)
    steps = sorted(plan.get_steps_to_execute_in_topo_order(), key=longest_first(plan))
    assert [step.key for step in steps][:3] == ["m_wanted", "z_one", "y_two"]
    assert {step.key for step in steps[3:]} == {"x_three", "a_short", "b_wide"}
    alone = create_execution_plan(job, step_keys_to_execute=["x_three", "b_wide"])
    assert len(sorted(alone.get_steps_to_execute_in_topo_order(), key=longest_first(alone))) == 2
