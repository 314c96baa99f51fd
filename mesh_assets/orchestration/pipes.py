"""Tables that are built by programs: Dagster Pipes around one run of one program."""

import json
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.pipes.context import PipesMessageHandler
from dagster._core.pipes.utils import PipesFileContextInjector, PipesFileMessageReader
from dagster._utils import tail_file
from dagster_pipes import PipesParams

from mesh_assets.domain import Mesh, Table
from mesh_assets.errors import RunError
from mesh_assets.orchestration import clouds, tables, tell

if TYPE_CHECKING:
    import duckdb

    from mesh_assets.environment import Environment
    from mesh_assets.handover import Handover
    from mesh_assets.partitions import Partition


NOTEBOOKS = 20
"""Executed notebooks that are kept of each table."""


def asset(mesh: Mesh, table: Table, open_environment: tables.OpenEnvironment) -> dg.AssetsDefinition:
    """One table that a program builds, as an asset like any other."""

    @contextmanager
    def made(context: dg.AssetExecutionContext, env: "Environment") -> Generator[tables.Made]:
        from mesh_assets import handover

        told: tell.Metadata = {}
        folders: list[Path] = []

        def make(con: "duckdb.DuckDBPyConnection", partition: "Partition | None") -> str:
            place = handover.workplace(env.home, table, context.run.run_id)
            folders.append(place.folder)
            if table.toolchain in clouds.CLIENTS:
                return clouds.run(context, con, place, partition, told)
            with _kept_notebook(env.home, place, context.run.run_id, told):
                return _run(context, con, place, env.mesh.domains[table.domain].path, partition, told)

        try:
            yield make, told
        finally:
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)

    return tables.asset(mesh, table, made, open_environment)


def _run(
    context: dg.AssetExecutionContext,
    con: "duckdb.DuckDBPyConnection",
    handover: "Handover",
    domain: Path,
    partition: "Partition | None",
    told: tell.Metadata,
) -> str:
    from mesh_assets import programs

    range_ = (partition.start, partition.end) if partition else None
    with dg.open_pipes_session(
        context=context.op_execution_context,  # the other one warns when Dagster itself asks it for the run
        context_injector=PipesFileContextInjector(str(handover.folder / "context.json")),
        message_reader=_Messages(str(handover.folder / "messages.jsonl")),
        extras=clouds.extras(handover, range_),
    ) as session:
        query = programs.build(
            con,
            handover,
            domain,
            tell=context.log.info,
            variables=session.get_bootstrap_env_vars(),
            partition=range_,
        )
    told |= clouds.taken(session.get_results(), context, programs.named(handover.table))
    return query


@contextmanager
def _kept_notebook(home: Path, handover: "Handover", run: str, told: tell.Metadata) -> Generator[None]:
    """Keep a notebook as it was executed: its cells say what became of it, also where it failed."""
    from mesh_assets import programs

    domain, _, short = handover.table.name.partition(".")
    kept = home / "notebooks" / domain / short / f"{run}.ipynb"
    try:
        yield
    except RunError as error:
        if _moved(programs.executed(handover), kept):
            first, _, more = str(error).partition("\n")
            raise RunError(f"{first}\n    Its cells are kept: {kept.relative_to(home.parent)}\n{more}") from None
        raise
    if _moved(programs.executed(handover), kept):
        told["notebook"] = dg.MetadataValue.notebook(kept)


def _moved(notebook: Path, to: Path) -> bool:
    """Put a notebook where it is kept; of each table the newest are."""
    if not notebook.is_file():
        return False
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(notebook, to)
    for old in sorted(to.parent.glob("*.ipynb"), key=lambda path: path.stat().st_mtime)[:-NOTEBOOKS]:
        old.unlink(missing_ok=True)
    return True


class _Messages(PipesFileMessageReader):
    """As Dagster's, for any program: one that says nothing is no reason to warn, one that writes nonsense none to stop."""

    @property
    def expected_writer_count(self) -> int:
        """One; Dagster warns that its own property may change."""
        return 1

    @contextmanager
    def read_messages(self, handler: PipesMessageHandler) -> Generator[PipesParams]:
        """As Dagster's."""
        try:
            with super().read_messages(handler) as params:
                yield params
        finally:
            # Dagster warns of a program that does not open and close its session: a shell script has none.
            handler._opened_count = max(handler._opened_count, 1)  # noqa: SLF001
            handler._closed_count = max(handler._closed_count, 1)  # noqa: SLF001

    def _reader_thread(self, handler: PipesMessageHandler, is_resource_complete: Event) -> None:
        for line in tail_file(self._path, is_resource_complete.is_set):
            try:
                handler.handle_message(json.loads(line))
            except Exception as error:  # noqa: BLE001 - a program writes what it likes
                said = f"not a message of Dagster Pipes: {line.strip()[:200]} ({type(error).__name__})"
                handler._context.log.warning(said)  # noqa: SLF001
