"""External tables: copied into the lake when they have changed, and observed in between."""

import json
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mesh_assets.domain import Mesh, Table, Toolchain
from mesh_assets.errors import RunError
from mesh_assets.orchestration import keys, tables, tell

if TYPE_CHECKING:
    import duckdb

    from mesh_assets.environment import Environment
    from mesh_assets.partitions import Partition

INTERVAL = 60
"""Seconds between two observations."""
Looked = dict[str, Any]
"""What was seen of a table: its `version`, and of that its `columns`, its `rows` and `since` when it is there."""


def asset(mesh: Mesh, table: Table, open_environment: tables.OpenEnvironment) -> dg.AssetsDefinition:
    """A table of a database that somebody else runs, as an asset like any other."""

    @contextmanager
    def made(context: dg.AssetExecutionContext, env: "Environment") -> Generator[tables.Made]:
        from mesh_assets import external, handover

        folders: list[Path] = []

        def make(con: "duckdb.DuckDBPyConnection", _partition: "Partition | None") -> str:
            place = handover.workplace(env.home, table, context.run.run_id)
            folders.append(place.folder)
            if table.database is None:
                raise RunError(f"{table.name} is in no database")
            external.copy(table.name, table.database, place.output)
            return place.take(con, table.name)

        try:
            yield make, {}
        finally:
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)

    return tables.asset(mesh, table, made, open_environment)


def sensors(mesh: Mesh, domains: Sequence[str], open_environment: tables.OpenEnvironment) -> list[dg.SensorDefinition]:
    """One for all external tables of a code location; none without any."""
    watched = external_tables(mesh, domains)
    if not watched:
        return []
    name = "mesh__watch" if len(domains) != 1 else f"{domains[0]}__watch"

    @dg.sensor(
        name=name,
        minimum_interval_seconds=INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Looks at tables that others keep: an observation each time, of what is there and since when.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before: dict[str, Looked] = json.loads(context.cursor or "{}")
        seen, events = look(open_environment(), watched, before)
        return dg.SensorResult(cursor=json.dumps(seen), asset_events=events)

    return [sensor]


def external_tables(mesh: Mesh, domains: Sequence[str]) -> list[Table]:
    """The tables of these domains that others keep, and that are copied."""
    own = [table for table in mesh.tables.values() if table.domain in domains]
    return [table for table in own if table.toolchain is Toolchain.EXTERNAL and not table.engine]


def look(
    env: "Environment", watched: Sequence[Table], before: dict[str, Looked]
) -> tuple[dict[str, Looked], list[dg.AssetObservation]]:
    """Look at tables: what is seen of each, and the observations that tell of it.

    Columns and rows are read again when the version is another one than before.
    """
    seen, events = {}, []
    for table in watched:
        version = env.raw(table)
        last = before.get(table.name, {})
        try:
            found = last if version and last.get("version") == version else _described(env, table, version)
        except RunError as error:
            found = {"version": "", "problem": str(error)}
        seen[table.name] = found
        events.append(_observation(table, found))
    return seen, events


def _described(env: "Environment", table: Table, version: str) -> Looked:
    from mesh_assets import external, raw

    if table.database is not None:
        columns, rows = external.described(table.name, table.database)
        since = datetime.now(UTC).timestamp()
        if table.database.kind == "duckdb":
            since = external.modified(table.database)
    elif table.source is not None:
        folder = raw.folder_of(env.mesh, table)
        with env.lake.session() as con, raw.explained(folder, table.source):
            query = raw.query(folder, table.source, table.contract)
            columns = [(str(row[0]), str(row[1])) for row in con.execute(f"DESCRIBE {query}").fetchall()]
            ((rows,),) = con.execute(f"SELECT count(*) FROM ({query})").fetchall()
        since = max((path.stat().st_mtime for path in raw.files(folder, table.source)), default=0.0)
    else:
        return {"version": version}
    return {"version": version, "columns": [list(pair) for pair in columns], "rows": rows, "since": since}


def _observation(table: Table, found: Looked) -> dg.AssetObservation:
    if "problem" in found:
        return dg.AssetObservation(keys.of(table.name), metadata={"mesh/problem": found["problem"]})
    metadata: tell.Metadata = {"mesh/external_version": found["version"]}
    if "columns" in found:
        metadata |= {
            "dagster/column_schema": tell.table_schema(table.contract, found["columns"]),
            "dagster/row_count": int(found["rows"]),
            "dagster/last_updated_timestamp": dg.MetadataValue.timestamp(float(found["since"])),
        }
    return dg.AssetObservation(keys.of(table.name), metadata=metadata)
