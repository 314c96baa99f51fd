"""Candidates become versions: one short transaction, all of them or none."""

import json
import os
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mesh_assets.errors import RunError, Superseded, UsageError
from mesh_assets.lake import features as beside
from mesh_assets.lake.features import Features
from mesh_assets.lake.sqltext import in_lake, parquet, quoted, text
from mesh_assets.lake.staging import described
from mesh_assets.lake.trouble import explained, trouble
from mesh_assets.lake.values import Mode, Publication
from mesh_assets.numerals import does, many

if TYPE_CHECKING:
    import duckdb

    from mesh_assets.lake.lake import Lake

#: A publish that another one got in the way of is tried again so often.
ATTEMPTS = 12
#: … and for so many seconds at most.
PATIENCE = 60.0
_IN_THE_WAY = (
    *("conflict", "database is locked", "concurrent", "primary key", "unique constraint", "retry count"),
    *("could not serialize", "deadlock"),
)


def candidate(publication: Publication, relation: Callable[[str, int], str]) -> str:
    """See `Lake.candidate`."""
    files = parquet(publication.staged.files)
    if publication.mode is Mode.REPLACE or publication.base is None:
        return files
    base = f"{relation(publication.staged.table, publication.base)} AS b"
    match publication.mode:
        case Mode.UPSERT:
            kept = f"SELECT b.* FROM {base} WHERE NOT EXISTS (FROM {files} AS f WHERE {same_key(publication)})"
        case Mode.PARTITION:
            kept = f"FROM {base} WHERE ({within(publication)}) IS NOT TRUE"
        case _:
            kept = f"FROM {base}"
    return f"({kept} UNION ALL BY NAME FROM {files})"


def publish(
    lake: "Lake",
    con: "duckdb.DuckDBPyConnection",
    publications: Sequence[Publication],
    *,
    run: str,
    pin: int,
    message: str,
    about: Mapping[str, object],
    unmoved: Mapping[str, int | None],
    dropped: Sequence[str],
    features: Mapping[str, Features],
    audit: "Callable[[duckdb.DuckDBPyConnection], None] | None",
) -> int:
    """See `Lake.publish`."""
    _check(con, publications)
    tables = sorted({*(publication.staged.table for publication in publications), *dropped})
    info = json.dumps(
        {
            "mesh": 1,
            **about,
            "run": run,
            "pin": pin,
            "commit": uuid.uuid4().hex,
            "tables": {
                p.staged.table: {"rows": p.staged.rows, **p.record, "mode": str(p.mode)}
                for p in publications
                if not p.aside
            },
        },
        default=str,
        ensure_ascii=False,
    )
    doing = f"Publishing {', '.join(tables or sorted(features))}"
    deadline = time.monotonic() + PATIENCE
    for attempt in range(1, ATTEMPTS + 1):
        with explained(doing), lake.catalog.locked(sorted({*tables, *unmoved, *features})):
            _refuse_when_moved(lake, unmoved)
            _refuse_when_overtaken(lake, publications, run, pin)
            _refuse_known_files(lake, publications)
            before, had = lake.head(), beside.read(lake, names={*tables, *features})
            try:
                with lake._publisher(con) as safe:
                    _transact(safe, lake, publications, info, message, dropped, had, features, audit)
            except Exception as error:
                # A connection can break after the commit and before its answer: then it is published.
                if version := _version_of(lake, info, before):
                    return version
                if (
                    attempt == ATTEMPTS
                    or time.monotonic() > deadline
                    or not any(words in str(error).casefold() for words in _IN_THE_WAY)
                ):
                    raise
            else:
                if version := _version_of(lake, info, before):
                    for publication in publications:
                        if had.get(publication.staged.table, beside.NONE).partitions and not _knows(lake, publication):
                            lake.discard(publication.staged)
                    return version
                raise trouble(doing, RuntimeError("the lake took the commit and made no version of it"))
        time.sleep(random.uniform(0, 0.02 * 2 ** min(attempt, 6)))  # noqa: S311 (jitter)
    raise trouble(doing, RuntimeError("others were always faster"))


def _check(con: "duckdb.DuckDBPyConnection", publications: Sequence[Publication]) -> None:
    """What can be known before anybody has to wait for us."""
    for table, count in Counter(publication.staged.table for publication in publications).items():
        if count > 1:
            message = f"{table} is in one publish twice.\n    Publish it once."
            raise UsageError(message)
    for publication in publications:
        with explained(f"Publishing {publication.staged.table}"):
            for file in publication.staged.files:
                _to_disk(Path(file))
            if publication.mode is Mode.UPSERT:
                _refuse_twin_keys(con, publication)
            if publication.mode is Mode.PARTITION:
                _refuse_outsiders(con, publication)


def _refuse_twin_keys(con: "duckdb.DuckDBPyConnection", publication: Publication) -> None:
    table, files = publication.staged.table, parquet(publication.staged.files)
    if not publication.key:
        message = f"{table} is loaded by key and has none.\n    Name its `key` in domain.yaml."
        raise UsageError(message)
    keys = ", ".join(map(quoted, publication.key))
    twice = con.execute(f"SELECT 1 FROM {files} GROUP BY {keys} HAVING count(*) > 1").fetchall()
    if twice:
        message = (
            f"{table}: {len(twice)} keys ({', '.join(publication.key)}) come more than once.\n    Keep one row per key."
        )
        raise RunError(message)


def _refuse_outsiders(con: "duckdb.DuckDBPyConnection", publication: Publication) -> None:
    table, files = publication.staged.table, parquet(publication.staged.files)
    outside = con.execute(f"SELECT count(*) FROM {files} WHERE ({within(publication)}) IS NOT TRUE").fetchall()[0][0]
    if outside and publication.partition:
        column, start, end = publication.partition
        message = (
            f"{table}: {many(outside, 'row')} {does(outside, 'are')} outside the partition, {start} <= {column} < {end}.\n"
            "    Give this partition's rows only."
        )
        raise RunError(message)


def _refuse_when_overtaken(lake: "Lake", publications: Sequence[Publication], run: str, pin: int) -> None:
    for publication in publications:
        table = publication.staged.table
        moved = lake.moved(table)
        if moved is None:
            continue
        last = lake.commit_of(table, moved)
        if last and last.run != run and last.pin > pin:
            message = (
                f"{table} was published as version {last.version} by a run that read newer data "
                f"(pin {last.pin}, ours {pin}).\n    Nothing to do: the newer version stands."
            )
            raise Superseded(message)
        if publication.mode is not Mode.REPLACE and (publication.base is None or moved > publication.base):
            message = (
                f"{table} changed in version {moved}, after the version that this was computed against "
                f"({publication.base}).\n    Run it again: it will build on the new version."
            )
            raise Superseded(message)


def _refuse_when_moved(lake: "Lake", unmoved: Mapping[str, int | None]) -> None:
    for table, since in sorted(unmoved.items()):
        moved = lake.moved(table)
        if moved is None and since is not None:
            raise Superseded(f"{table} was dropped after version {since}.\n    Nothing was published.")
        if moved is not None and (since is None or moved > since):
            was = f"after version {since}" if since is not None else "and was not there before"
            raise Superseded(f"{table} changed in version {moved}, {was}.\n    Nothing was published.")


def _refuse_known_files(lake: "Lake", publications: Sequence[Publication]) -> None:
    # DuckLake would take a file twice, and its rows with it.
    for publication in publications:
        if _knows(lake, publication):
            message = f"{publication.staged.table}: these files are published already.\n    Stage the result again."
            raise RunError(message)


def _knows(lake: "Lake", publication: Publication) -> bool:
    """Whether the lake names any of its files."""
    names = [name for file in publication.staged.files for name in (file, Path(file).name)]
    if not names:
        return False
    known = f"SELECT 1 FROM {lake.catalog.native}ducklake_data_file WHERE path IN ({', '.join(map(text, names))})"
    return bool(lake._rows(known, native=True))


def _transact(
    con: "duckdb.DuckDBPyConnection",
    lake: "Lake",
    publications: Sequence[Publication],
    info: str,
    message: str,
    dropped: Sequence[str],
    had: Mapping[str, Features],
    features: Mapping[str, Features],
    audit: "Callable[[duckdb.DuckDBPyConnection], None] | None",
) -> None:
    con.execute("BEGIN")
    try:
        # As literals: the first parameter makes DuckDB import pandas, which takes a second.
        con.execute(f"CALL mesh.set_commit_message({text(lake.author)}, {text(message)}, extra_info => {text(info)})")
        for publication in publications:
            table = publication.staged.table
            own = had.get(table, beside.NONE)
            if not _register(con, publication, own, features.get(table, own)):
                # Empty as before: without a change, DuckLake would make no version, and the record would be lost.
                said = text(own.comment) if own.comment else "NULL"
                con.execute(f"COMMENT ON TABLE {in_lake(table)} IS {said}")
        published = {publication.staged.table for publication in publications}
        for name, wanted in features.items():  # in their order: a view may read another
            if name not in published:
                beside.put(con, name, had.get(name, beside.NONE), wanted)
        for table in dropped:
            con.execute(f"DROP TABLE IF EXISTS {in_lake(table)}")
        if audit is not None:
            audit(con)
        with lake.catalog.committing():
            con.execute("COMMIT")
    except BaseException:
        with suppress(Exception):  # a failed COMMIT has rolled back already
            con.execute("ROLLBACK")
        raise


def _register(con: "duckdb.DuckDBPyConnection", publication: Publication, had: Features, features: Features) -> bool:
    """Put one candidate into the open transaction, and give the table its features; whether that changes anything."""
    staged = publication.staged
    name, files = in_lake(staged.table), parquet(staged.files)
    domain, _, table = staged.table.partition(".")
    old = _columns(con, staged.table)
    changed = staged.rows > 0
    # DuckLake 1.5.5 takes no file of several partitions into a table that is divided into them, and dies when these are
    # taken from it in the same transaction; a new table can be divided after it was given its files. Not into buckets: it
    # would not find the rows of files that it has not put there itself.
    is_divided = bool(had.partitions) and staged.rows > 0
    inserts = is_divided and (publication.mode is not Mode.REPLACE or had.is_hashed)
    if old is None or (
        publication.mode is Mode.REPLACE
        and (old != staged.columns or ((publication.anew or is_divided) and not inserts))
    ):
        had, inserts = beside.NONE, False
        con.execute(f"CREATE SCHEMA IF NOT EXISTS mesh.{quoted(domain)}")
        columns = ", ".join(f"{quoted(column)} {kind}" for column, kind in staged.columns)
        con.execute(f"CREATE OR REPLACE TABLE {name} ({columns})")
        changed = True
    elif publication.mode is Mode.REPLACE:
        changed |= _delete(con, f"DELETE FROM {name}")
    else:
        changed |= _widen(con, publication, dict(old))
        if publication.mode is Mode.UPSERT:
            changed |= _delete(
                con, f"DELETE FROM {name} AS b WHERE EXISTS (FROM {files} AS f WHERE {same_key(publication)})"
            )
        if publication.mode is Mode.PARTITION:
            changed |= _delete(con, f"DELETE FROM {name} WHERE {within(publication)}")
        if publication.leaves:
            changed |= _delete(con, f"DELETE FROM {name} AS b WHERE {publication.leaves}")
    if inserts:
        con.execute(f"INSERT INTO {name} BY NAME FROM {files}")
    elif staged.rows:
        for file in staged.files:
            con.execute(
                f"CALL ducklake_add_data_files('mesh', {text(table)}, {text(file)}, "
                f"schema => {text(domain)}, allow_missing => true)"
            )
    return beside.put(con, staged.table, had, features) or changed


def _delete(con: "duckdb.DuckDBPyConnection", statement: str) -> bool:
    deleted = con.execute(statement).fetchone()
    return bool(deleted and deleted[0])


def _columns(con: "duckdb.DuckDBPyConnection", table: str) -> tuple[tuple[str, str], ...] | None:
    import duckdb

    try:
        return described(con, in_lake(table))
    except duckdb.CatalogException:
        return None


def _widen(con: "duckdb.DuckDBPyConnection", publication: Publication, old: dict[str, str]) -> bool:
    """Give the table the columns that its new rows bring; whether there are any."""
    table = publication.staged.table
    folded = {name.casefold(): kind for name, kind in old.items()}
    wider = False
    for column, kind in publication.staged.columns:
        was = folded.get(column.casefold())
        if was is None:
            con.execute(f"ALTER TABLE {in_lake(table)} ADD COLUMN {quoted(column)} {kind}")
            wider = True
        elif was != kind:
            message = (
                f"{table}: column `{column}` is {was} in the published rows and {kind} in the new ones.\n"
                "    Load the table whole once."
            )
            raise RunError(message)
    return wider


def same_key(publication: Publication, base: str = "b") -> str:
    """A new row `f` has the key of an old one."""
    return " AND ".join(
        f"f.{quoted(column)} IS NOT DISTINCT FROM {base}.{quoted(column)}" for column in publication.key
    )


def within(publication: Publication) -> str:
    """A row is in the partition that is replaced."""
    if publication.partition is None:
        message = (
            f"{publication.staged.table} is published by partition, and no partition was named.\n"
            "    Name its column, start and end."
        )
        raise UsageError(message)
    column, start, end = publication.partition
    return f"{quoted(column)} >= {text(start)} AND {quoted(column)} < {text(end)}"


def _version_of(lake: "Lake", info: str, before: int) -> int:
    """The version that this very commit became; 0 when it did not."""
    p = lake.catalog.prefix
    rows = lake._rows(
        f"SELECT snapshot_id FROM {p}ducklake_snapshot_changes WHERE snapshot_id > {before} "
        f"AND commit_extra_info = {text(info)}"
    )
    return int(rows[0][0]) if rows else 0


def _to_disk(file: Path) -> None:
    # The catalog must never name a file that a power cut can still take back.
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
