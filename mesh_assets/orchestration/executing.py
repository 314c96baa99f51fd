"""Where the steps of a run are executed: all in the run's process, or each in one of its own."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import dagster as dg
from dagster._core.definitions.executor_definition import MULTI_PROC_CONFIG
from dagster._core.events import DagsterEvent
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig

from mesh_assets.domain import Mesh
from mesh_assets.errors import MeshError
from mesh_assets.orchestration.tables import OpenEnvironment

PRELOADED = (
    "dagster",
    "dagster._core.storage.event_log",
    "dagster._core.storage.runs",
    "dagster._core.storage.schedules",
    "alembic.script",
    "mesh_assets.orchestration.load",
    "mesh_assets.build",
    "duckdb",
)
"""What every step needs, and what takes most of its start-up to import."""


def executor(mesh: Mesh, chosen: Sequence[str], open_environment: OpenEnvironment) -> dg.ExecutorDefinition:
    """One process per run, unless a domain of the location asks for one per step."""
    asks = any(mesh.domains[name].executor == "multiprocess" for name in chosen if name in mesh.domains)
    return _step_processes(open_environment) if asks else dg.in_process_executor


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
        return _LakeKeptOpen(own.executor_creation_fn(context), open_environment)  # ty: ignore

    return dg.ExecutorDefinition(
        name=own.name,
        config_schema=own.config_schema,  # ty: ignore
        requirements=dg.multiple_process_executor_requirements(),
        executor_creation_fn=create,
        description=own.description,
    )


class _LakeKeptOpen(dg.Executor):
    """An executor that keeps the lake's catalog open while its steps' processes come and go."""

    def __init__(self, own: dg.Executor, open_environment: OpenEnvironment) -> None:
        self._own, self._open_environment = own, open_environment

    @property
    def retries(self) -> RetryMode:
        return self._own.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        return self._own.step_dependency_config

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        with self._kept_open():
            yield from self._own.execute(plan_context, execution_plan)

    def _kept_open(self) -> AbstractContextManager[None]:
        try:
            return self._open_environment().lake.catalog.kept_open()
        except MeshError:  # the steps will say it, each in its place
            return nullcontext()
