"""Where the steps of a run are executed: all in the run's process, or each in one of its own."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from multiprocessing import Queue
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from weakref import WeakSet

import dagster as dg
from dagster._core.definitions.executor_definition import IN_PROC_CONFIG, MULTI_PROC_CONFIG
from dagster._core.events import DagsterEvent
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig
from dagster._core.executor import child_process_executor, multiprocess
from dagster._core.storage.tags import PRIORITY_TAG

from mesh_assets.domain import Mesh
from mesh_assets.errors import MeshError
from mesh_assets.orchestration.tables import OpenEnvironment

PRELOADED = (
    "dagster",
    "dagster._core.storage.event_log",
    "dagster._core.storage.runs",
    "dagster._core.storage.schedules",
    "mesh_assets.orchestration.instance",
    "mesh_assets.orchestration.load",
    "mesh_assets.build",
    "duckdb",
)
"""What every step needs, and what takes most of its start-up to import."""


def executor(mesh: Mesh, chosen: Sequence[str], open_environment: OpenEnvironment) -> dg.ExecutorDefinition:
    """One process per run, unless a domain of the location asks for one per step."""
    asks = any(mesh.domains[name].executor == "multiprocess" for name in chosen if name in mesh.domains)
    return _step_processes(open_environment) if asks else _run_process


@dg.executor(name="in_process", config_schema=IN_PROC_CONFIG)
def _run_process(context: dg.InitExecutorContext) -> dg.Executor:
    """Dagster's own executor, in a process whose storages keep their connections from here on."""
    import mesh_assets.orchestration.instance  # noqa: F401 - not before: a code server would pay for it

    return dg.in_process_executor.executor_creation_fn(context)  # ty: ignore


def _step_processes(open_environment: OpenEnvironment) -> dg.ExecutorDefinition:
    """Dagster's own executor with a process per step; each begins with the packages imported, as a fork of one that has them.

    Only packages: what a domain's own code opens when it is imported is not for a fork to share. `start_method` in a run's
    configuration goes before.
    """
    forks = {"start_method": {"forkserver": {"preload_modules": list(PRELOADED)}}}
    own = dg.multiprocess_executor.configured(
        lambda config: {**forks, **config}, config_schema=MULTI_PROC_CONFIG, name="multiprocess"
    )

    def create(context: dg.InitExecutorContext) -> dg.Executor:
        heed_all_steps()
        return _StepProcesses(own.executor_creation_fn(context), open_environment)  # ty: ignore

    return dg.ExecutorDefinition(
        name=own.name,
        config_schema=own.config_schema,  # ty: ignore
        requirements=dg.multiple_process_executor_requirements(),
        executor_creation_fn=create,
        description=own.description,
    )


def heed_all_steps() -> None:
    """Let Dagster's executor wait for whichever step says something next.

    It waits 20 ms for each of them in turn, for one event: a step with ten tests seemed to end a fifth of a second later than it
    did, for as long as the step beside it had nothing to say, and what comes after it began as much later.
    """
    if not (tick := child_process_executor.TICK):
        return
    own, asked = child_process_executor._poll_for_event, WeakSet[Queue]()  # noqa: SLF001 - there is no other way in

    def heard(process: BaseProcess, events: Queue) -> object:
        asked.add(events)
        readers = [one._reader for one in asked if not one._closed]  # noqa: SLF001  # ty: ignore
        wait([*readers, process.sentinel], tick)
        return own(process, events)

    child_process_executor._poll_for_event = heard  # noqa: SLF001  # ty: ignore
    child_process_executor.TICK = 0.0


def longest_first(plan: ExecutionPlan) -> Callable[[ExecutionStep], tuple[int, int]]:
    """What steps that could begin are sorted by: `dagster/priority`, then the one with the most steps in a row behind it."""
    needs = plan.get_executable_step_deps()
    behind = dict.fromkeys(needs, 0)
    for step in reversed(plan.get_steps_to_execute_in_topo_order()):
        for before in needs.get(step.key, ()):
            behind[before] = max(behind.get(before, 0), behind[step.key] + 1)

    def key(step: ExecutionStep) -> tuple[int, int]:
        return -int(step.tags.get(PRIORITY_TAG, 0)), -behind.get(step.key, 0)

    return key


class _StepProcesses(dg.Executor):
    """Dagster's executor; the lake's catalog stays open while processes come and go, and the longest way is gone first."""

    def __init__(self, own: dg.Executor, open_environment: OpenEnvironment) -> None:
        self._own, self._open_environment = own, open_environment

    @property
    def retries(self) -> RetryMode:
        return self._own.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        return self._own.step_dependency_config

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        first = longest_first(execution_plan)
        multiprocess.ActiveExecution = partial(ActiveExecution, sort_key_fn=first)  # ty: ignore
        with self._kept_open():
            yield from self._own.execute(plan_context, execution_plan)

    def _kept_open(self) -> AbstractContextManager[None]:
        try:
            return self._open_environment().lake.catalog.kept_open()
        except MeshError:  # the steps will say it, each in its place
            return nullcontext()
