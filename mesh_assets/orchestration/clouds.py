"""Programs that run elsewhere: in a container, on Kubernetes, on Databricks, through Dagster's own Pipes clients.

Their packages are imported when a step runs, and are no dependency of the mesh.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.errors import DagsterPipesExecutionError

from mesh_assets.domain import Program, Toolchain
from mesh_assets.errors import RunError
from mesh_assets.orchestration import tell

if TYPE_CHECKING:
    import duckdb

    from mesh_assets.handover import Handover
    from mesh_assets.partitions import Partition

PACKAGES = {
    Toolchain.DOCKER: "dagster-docker",
    Toolchain.K8S: "dagster-k8s",
    Toolchain.DATABRICKS: "dagster-databricks",
}


def run(
    context: dg.AssetExecutionContext,
    con: "duckdb.DuckDBPyConnection",
    handover: "Handover",
    partition: "Partition | None",
    told: tell.Metadata,
) -> str:
    """Hand the inputs over, run the program where it runs, and read what it has written.

    Raises:
        RunError: Its client is not installed, it has failed, or wrote no table.
    """
    from mesh_assets import programs

    table, who = handover.table, programs.named(handover.table)
    program = table.program
    if program is None:
        raise RunError(f"{table.name} has no program")
    range_ = (partition.start, partition.end) if partition else None
    handover.give(con)
    variables = {**programs.asked_for(table), **programs.mesh_variables(handover, range_)}
    try:
        client = CLIENTS[table.toolchain]()
    except ImportError:
        package = PACKAGES[table.toolchain]
        raise RunError(f"{table.name} needs the package {package}\n    pip install {package}") from None
    try:
        done = client.run(
            context=context.op_execution_context,
            extras=extras(handover, range_),
            **words(table.toolchain, program, handover, variables),
        )
    except DagsterPipesExecutionError as error:
        raise RunError(f"{who} failed; nothing is published: {error}") from None
    told |= taken(done.get_results(), context, who)
    return handover.take(con, who)


def words(toolchain: Toolchain, program: Program, handover: "Handover", variables: Mapping[str, str]) -> dict[str, Any]:
    """What a client's `run` is called with, beside the context and the extras."""
    more: dict[str, Any] = dict(program.client)
    if toolchain is Toolchain.DATABRICKS:
        # On a cluster of its own the variables are the task's; elsewhere the program asks Pipes for its `extras`.
        return {**more, "task": _task(more["task"])}
    found: dict[str, Any] = {"image": program.image, "env": dict(variables), **more}
    if program.command:
        found["command"] = list(program.command)
    if toolchain is Toolchain.DOCKER:
        kwargs = dict(more.get("container_kwargs") or {})
        place = {str(handover.folder): {"bind": handover.there or str(handover.folder), "mode": "rw"}}
        found["container_kwargs"] = {**kwargs, "volumes": {**(kwargs.get("volumes") or {}), **place}}
    return found


def extras(handover: "Handover", partition: tuple[str, str] | None) -> dict[str, object]:
    """What a program can ask Dagster Pipes for."""
    return {
        "table": handover.table.name,
        "inputs": {name: handover.told(path) for name, path in handover.inputs.items()},
        "output": handover.told(handover.output),
        "format": handover.format,
        "partition": list(partition) if partition else None,
    }


def taken(results: Iterable[object], context: dg.AssetExecutionContext, who: str) -> tell.Metadata:
    """What the program has reported of the table; the version is the mesh's own business, and so are its tests.

    Raises:
        RunError: It has reported that a check of its own failed.
    """
    found: tell.Metadata = {}
    for result in results:
        if isinstance(result, dg.MaterializeResult):
            found |= dict(result.metadata or {})
        elif isinstance(result, dg.AssetCheckResult) and not result.passed:
            if result.severity is dg.AssetCheckSeverity.WARN:
                context.log.warning("%s warns: %s", who, result.check_name)
                continue
            raise RunError(f"{who} says that its check {result.check_name} failed; nothing is published")
    return found


def _docker() -> Any:  # noqa: ANN401 - of a package that need not be there
    from dagster_docker import PipesDockerClient  # ty: ignore[import-not-found]

    return PipesDockerClient()


def _k8s() -> Any:  # noqa: ANN401
    from dagster_k8s import PipesK8sClient  # ty: ignore[import-not-found]

    return PipesK8sClient()


def _databricks() -> Any:  # noqa: ANN401
    from dagster_databricks import PipesDatabricksClient  # ty: ignore[import-not-found]
    from databricks.sdk import WorkspaceClient  # ty: ignore[import-not-found]

    return PipesDatabricksClient(WorkspaceClient())  # address and token: DATABRICKS_HOST, DATABRICKS_TOKEN


def _task(said: dict[str, Any]) -> Any:  # noqa: ANN401
    from databricks.sdk.service.jobs import SubmitTask  # ty: ignore[import-not-found]

    return SubmitTask.from_dict(said)


CLIENTS: dict[Toolchain, Callable[[], Any]] = {
    Toolchain.DOCKER: _docker,
    Toolchain.K8S: _k8s,
    Toolchain.DATABRICKS: _databricks,
}
"""Makes the client of each toolchain."""
