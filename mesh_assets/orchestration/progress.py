"""What is running now: Dagster's unfinished runs, as the tables they will build."""

import json
import socket
import time
from collections.abc import Mapping

import dagster as dg

from mesh_assets.domain import Mesh
from mesh_assets.orchestration import jobs, keys

UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
GRPC = ".dagster/grpc_info"
"""Run tag of Dagster's own: the code server that started the worker."""
PROCESS = "mesh/process"
"""Run tag of runs that a command executes itself: host, process number and its start."""
ANSWER = 5.0
"""Seconds that a code server is waited for."""
HANDED_OVER = 60.0
"""Seconds after which a run that is starting has reached its code server."""


def unfinished(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs that Dagster believes will still do something."""
    return list(instance.get_runs(filters=dg.RunsFilter(statuses=UNFINISHED)))


def running(instance: dg.DagsterInstance, mesh: Mesh) -> dict[str, str]:
    """Tables that an unfinished run will build: table -> run."""
    found: dict[str, str] = {}
    runs = unfinished(instance)
    whole = jobs.members(mesh) if any(run.asset_selection is None for run in runs) else {}
    for run in runs:
        if run.asset_selection is not None:
            names = [keys.table(key) for key in run.asset_selection if not keys.is_port(key)]
        else:
            names = [] if run.asset_check_selection else list(whole.get(run.job_name, ()))
        found.update(dict.fromkeys(names, run.run_id))
    return found


def process_tag() -> str:
    """Names this process, so that others can tell whether a run that it executes is still alive."""
    import os

    from mesh_assets.ledger import process_started

    return f"{socket.gethostname()}|{os.getpid()}|{process_started(os.getpid())}"


def is_dead(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a started run's worker is gone for certain. Runs on hosts that cannot be asked are taken to live."""
    from mesh_assets.ledger import process_started

    if tag := run.tags.get(PROCESS):
        host, pid, started = tag.split("|")
        return host == socket.gethostname() and process_started(int(pid)) != started
    if run.status in (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED):
        return False
    if GRPC not in run.tags:
        return _was_never_launched(instance, run)
    address = json.loads(run.tags[GRPC])
    if _server_is_gone(address):
        return True
    # A server of a fixed address comes back there after a kill, and knows nothing of what the one before it had started.
    # One that started the worker ends its run itself.
    return _was_handed_over(instance, run) and not _has_worker(run, address)


def _was_never_launched(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the daemon was killed between taking a run out of the queue and keeping which code server is to start it.

    Dagster's own launcher keeps that first; others keep other things, and may take their time.
    """
    from dagster._core.launcher.default_run_launcher import DefaultRunLauncher

    waits = run.status in (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING)
    return waits and isinstance(instance.run_launcher, DefaultRunLauncher) and _is_old(instance, run)


def _server_is_gone(address: Mapping[str, object]) -> bool:
    """Whether nobody listens any more where the run's code server was."""
    unix = address.get("socket")
    host, port = str(address.get("host") or "localhost"), address.get("port")
    try:
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as probe:
            probe.settimeout(ANSWER)
            probe.connect(str(unix) if unix else (host, int(str(port))))
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    except OSError:
        return False  # slow, or out of reach: nobody can tell
    return False


def _was_handed_over(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a code server must know of the run by now: the address is kept a moment before the server is asked to start it."""
    return run.status is not dg.DagsterRunStatus.STARTING or _is_old(instance, run)


def _is_old(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether nothing has become of a run for longer than it takes to hand it over."""
    record = instance.get_run_record_by_id(run.run_id)
    return record is not None and time.time() - record.update_timestamp.timestamp() > HANDED_OVER


def _has_worker(run: dg.DagsterRun, address: Mapping[str, object]) -> bool:
    """Whether the code server at the address has a worker for the run; so it is taken to have while it does not answer."""
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient
    from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
    from dagster._serdes import deserialize_value

    client = DagsterGrpcClient(**{"use_ssl": False, **address})  # ty: ignore
    try:
        answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=int(ANSWER))
        return deserialize_value(answer, CanCancelExecutionResult).can_cancel
    except DagsterUserCodeUnreachableError:
        return True
