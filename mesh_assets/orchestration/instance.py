"""Dagster's own storage for a mesh: made on first use, beside the lake."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from alembic.config import Config
from alembic.script import ScriptDirectory

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


def read_migrations_once() -> None:
    """Keep Dagster's migration scripts in memory: 89 files that it executes anew for each storage that it opens.

    That is five times in a run, a quarter of the processor time of a small one. The scripts are those of an installed package and
    do not change while a process lives.
    """
    read, known = ScriptDirectory.from_config, {}

    def remembered(config: Config) -> ScriptDirectory:
        location = config.get_main_option("script_location")
        if location not in known:
            known[location] = read(config)
        return known[location]

    ScriptDirectory.from_config = remembered  # ty: ignore


read_migrations_once()


def open_instance(home: Path) -> dg.DagsterInstance:
    """The instance that `mesh run` and `mesh dev` share."""
    where = folder(home)
    with _alone(where):
        instance = dg.DagsterInstance.from_config(str(where))
        # Storages make their tables when they are first asked for, and two processes that do so at once break each other.
        _ = instance.run_storage, instance.event_log_storage, instance.schedule_storage
    return instance


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """The only process that opens the instance just now; a killed one lets go at once."""
    with (folder / "opening.lock").open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
