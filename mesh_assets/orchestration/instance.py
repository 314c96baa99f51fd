"""Dagster's own storage for a mesh: made on first use, beside the lake."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import dagster as dg
from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from sqlalchemy import Engine

from mesh_assets import sqlitefile

CONFIG = """\
# Dagster's instance of this mesh, made by `mesh`; yours to change.
telemetry: {enabled: false}
nux: {enabled: false}                                     # no dialog that asks for an e-mail address
concurrency:
  runs: {max_concurrent_runs: 4}
run_queue: {dequeue_interval_seconds: 1}                  # Dagster's own 5 would be most of the wait for a small table
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


def keep_connections() -> None:
    """Let Dagster's storages in SQLite keep their engines and connections, where they make both anew for every statement."""

    @lru_cache(maxsize=64)
    def kept(url: str) -> Engine:
        made = sqlitefile.engine(url)
        made.dispose = lambda close=True: None  # noqa: ARG005 - Dagster ends an engine after each statement
        return made

    for storage in (sqlite_event_log, sqlite_run_storage):
        storage.create_engine = lambda url, **_: kept(url)  # ty: ignore


read_migrations_once()
keep_connections()


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
