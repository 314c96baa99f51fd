"""What is running now: Dagster's unfinished runs, as the tables they will build."""

import json
import socket
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


def is_dead(run: dg.DagsterRun) -> bool:
    """Whether a started run's worker is gone for certain. Runs on hosts that cannot be asked are taken to live."""
    from mesh_assets.ledger import process_started

    if tag := run.tags.get(PROCESS):
        host, pid, started = tag.split("|")
        return host == socket.gethostname() and process_started(int(pid)) != started
    if run.status in (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED):
        return False
    if GRPC not in run.tags:
        return False
    return _server_is_gone(json.loads(run.tags[GRPC]))


def _server_is_gone(address: Mapping[str, object]) -> bool:
    """Whether nobody listens any more where the run's code server was. A server that lives ends its dead workers' runs itself."""
    unix = address.get("socket")
    host, port = str(address.get("host") or "localhost"), address.get("port")
    try:
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as probe:
            probe.settimeout(5.0)
            probe.connect(str(unix) if unix else (host, int(str(port))))
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    except OSError:
        return False  # slow, or out of reach: nobody can tell
    return False
