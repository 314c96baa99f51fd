"""Dagster's own storage for a mesh: made on first use, beside the lake."""

from pathlib import Path

import dagster as dg

CONFIG = """\
# Dagster's instance of this mesh, made by `mesh`; yours to change.
telemetry: {enabled: false}
nux: {enabled: false}                                     # no dialog that asks for an e-mail address
concurrency:
  runs: {max_concurrent_runs: 4}
retention:
  sensor: {purge_after_days: {skipped: 2, failure: 30, success: -1}}
code_servers: {local_startup_timeout: 300}
"""


def folder(home: Path) -> Path:
    """Dagster's home within the mesh's, with a configuration; what is there is left as it is."""
    found = home / "dagster"
    found.mkdir(parents=True, exist_ok=True)
    config = found / "dagster.yaml"
    if not config.exists():
        config.write_text(CONFIG, encoding="utf-8")
    return found


def open_instance(home: Path) -> dg.DagsterInstance:
    """The instance that `mesh run` and `mesh dev` share."""
    return dg.DagsterInstance.from_config(str(folder(home)))
