"""A fork: a catalog of its own over the same files, each table as it was at its own version."""

import shutil
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mesh_assets.contract import Column
from mesh_assets.errors import RunError, UsageError
from mesh_assets.lake import staging
from mesh_assets.lake.catalog import Catalog
from mesh_assets.lake.sqltext import in_lake, parquet, quoted, text
from mesh_assets.lake.trouble import explained
from mesh_assets.lake.values import Mode, Staged

if TYPE_CHECKING:
    import duckdb

    from mesh_assets.lake.lake import Lake

#: Tables of DuckLake's catalog that hold rows of one table of the lake, with the versions between which they count.
_VERSIONED = ("table", "column", "data_file", "delete_file", "partition_info", "sort_info", "column_tag")
#: The same without versions.
_PLAIN = (
    "table_stats",
    "table_column_stats",
    "file_column_stats",
    "file_variant_stats",
    "file_partition_value",
    "partition_column",
    "sort_expression",
    "schema_versions",
    "column_mapping",
    "inlined_data_tables",
)


def fork(catalog: Catalog, folder: Path, data: Path, new_data: Path, tables: Mapping[int, int]) -> Catalog:
    """Copy a catalog, keeping tables (by id) as they were at a version each.

    The statements are the same for SQLite and PostgreSQL.
    """
    return catalog.fork(folder, [*_rewound(tables), *_moved_in(catalog, data, new_data)])


def fork_whole(catalog: Catalog, folder: Path, data: Path, new_data: Path) -> Catalog:
    """Copy a catalog as it is, with its whole history."""
    return catalog.fork(folder, _moved_in(catalog, data, new_data))


def _moved_in(catalog: Catalog, data: Path, new_data: Path) -> list[str]:
    """The data folder is its own, what it inherited is named by its full path, and nothing inherited is ever deleted."""
    return [
        "DELETE FROM ducklake_files_scheduled_for_deletion",
        *(_absolute(f"ducklake_{name}", f"{data}/") for name in ("data_file", "delete_file")),
        f"UPDATE ducklake_metadata SET value = {text(f'{new_data}/')} WHERE key = 'data_path' AND scope IS NULL",
        *catalog.guard(f"{new_data}/"),
    ]


def _rewound(tables: Mapping[int, int]) -> list[str]:
    kept = ", ".join(map(str, sorted(tables))) or "-1"  # no table has that id
    statements = [
        *(f"DELETE FROM ducklake_{name} WHERE table_id NOT IN ({kept})" for name in (*_VERSIONED, *_PLAIN)),
        *(f"DELETE FROM ducklake_{name}" for name in ("view", "macro", "macro_impl", "macro_parameters")),
    ]
    for table, version in sorted(tables.items()):
        for name in _VERSIONED:
            mine = f"ducklake_{name} {{}} table_id = {table}"
            statements += [
                f"DELETE FROM {mine.format('WHERE')} AND (begin_snapshot > {version} OR end_snapshot <= {version})",
                f"UPDATE {mine.format('SET end_snapshot = NULL WHERE')} AND end_snapshot > {version}",
            ]
        statements.append(
            f"DELETE FROM ducklake_schema_versions WHERE table_id = {table} AND begin_snapshot > {version}"
        )
    statements += [
        # Of what is left, the schemas and one snapshot: ids go on from there, so that none is used twice.
        "DELETE FROM ducklake_schema WHERE end_snapshot IS NOT NULL "
        "AND schema_id NOT IN (SELECT schema_id FROM ducklake_table)",
        "UPDATE ducklake_schema SET end_snapshot = NULL",
        "DELETE FROM ducklake_tag WHERE end_snapshot IS NOT NULL",
        *(
            f"DELETE FROM ducklake_{name} WHERE snapshot_id < (SELECT max(snapshot_id) FROM ducklake_snapshot)"
            for name in ("snapshot_changes", "snapshot")
        ),
        "UPDATE ducklake_snapshot_changes SET author = NULL, commit_message = NULL, commit_extra_info = NULL",
        *(
            f"DELETE FROM ducklake_{name} WHERE data_file_id NOT IN (SELECT data_file_id FROM ducklake_data_file)"
            for name in ("file_column_stats", "file_variant_stats", "file_partition_value")
        ),
        # The tables' statistics stay: they count every row that ever was, and while those are more than now, DuckLake
        # does not take their extremes for exact. Made to fit, `max(x)` would be answered with a later version's value.
    ]
    return statements


def _absolute(files: str, data: str) -> str:
    """Name inherited files by their full path: the fork's own data folder is elsewhere."""
    domain = f"(CASE WHEN s.path_is_relative THEN {text(data)} ELSE '' END) || s.path"
    folder = f"(CASE WHEN t.path_is_relative THEN {domain} ELSE '' END) || t.path"
    return (
        f"UPDATE {files} SET path = (SELECT {folder} FROM ducklake_table t "
        "JOIN ducklake_schema s ON s.schema_id = t.schema_id "
        # A table that was renamed has several rows; it keeps its folder.
        f"WHERE t.table_id = {files}.table_id ORDER BY t.begin_snapshot DESC, s.begin_snapshot DESC LIMIT 1) || path, "
        "path_is_relative = (1 = 0) WHERE path_is_relative"
    )


def table_ids(lake: "Lake", versions: Mapping[str, int], *, by_file: bool = True) -> dict[int, int]:
    """Versions by the id that the table of that name had at that version.

    Args:
        lake: Where.
        versions: By table.
        by_file: They are taken file by file: not where DuckLake has merged their files with later ones.

    Raises:
        UsageError: A table has no such version.
        RunError: Its files hold later rows as well.
    """
    ids: dict[int, int] = {}
    p = lake.catalog.prefix
    for table, version in versions.items():
        domain, _, name = table.partition(".")
        at = " AND ".join(
            f"{a}.begin_snapshot <= {version} AND ({a}.end_snapshot IS NULL OR {a}.end_snapshot > {version})"
            for a in "ts"
        )
        rows = lake._rows(
            f"SELECT t.table_id FROM {p}ducklake_table t JOIN {p}ducklake_schema s ON s.schema_id = t.schema_id "
            f"WHERE s.schema_name = {text(domain)} AND t.table_name = {text(name)} AND {at}"
        )
        if not rows:
            message = f"{table} has no version {version}.\n    It was published later, or never."
            raise UsageError(message)
        table_id = int(rows[0][0])
        if by_file and lake._rows(
            f"SELECT 1 FROM {p}ducklake_data_file WHERE table_id = {table_id} AND begin_snapshot <= {version} "
            f"AND partial_max > {version}"
        ):
            message = f"{table}: files of version {version} were merged with later ones.\n    Take a newer version."
            raise RunError(message)
        ids[table_id] = version
    return ids


def harvest(
    fork: "Lake",
    parent: "Lake",
    con: "duckdb.DuckDBPyConnection",
    table: str,
    columns: Sequence[Column],
    base: int | None = None,
) -> tuple[Staged, Mode] | None:
    """See `Lake.harvest`."""
    p, rows = fork.catalog.prefix, fork._rows
    if base is None:
        base = int(rows(f"SELECT min(snapshot_id) FROM {p}ducklake_snapshot")[0][0])
    (table_id,) = table_ids(fork, {table: fork.head()})
    files = rows(
        f"SELECT path, path_is_relative, begin_snapshot, end_snapshot FROM {p}ducklake_data_file "
        f"WHERE table_id = {table_id}"
    )
    deletes = rows(
        f"SELECT 1 FROM {p}ducklake_delete_file WHERE table_id = {table_id} AND end_snapshot IS NULL "
        f"AND begin_snapshot > {base}"
    )
    reshaped = rows(
        f"SELECT 1 FROM {p}ducklake_column WHERE table_id = {table_id} "
        f"AND (begin_snapshot > {base} OR end_snapshot > {base}) UNION ALL SELECT 1 FROM {p}ducklake_partition_info "
        f"WHERE table_id = {table_id} AND (begin_snapshot > {base} OR end_snapshot > {base})"
    )
    made = rows(f"SELECT min(begin_snapshot) FROM {p}ducklake_table WHERE table_id = {table_id}")[0][0] > base
    folder = _folder(fork, table_id)
    new = tuple(str(folder / path) for path, _, begin, end in files if begin > base and end is None)
    kept = any(begin <= base and end is None for _, _, begin, end in files)
    gone = any(begin <= base and end is not None and end > base for _, _, begin, end in files)
    if not (made or new or gone or deletes or reshaped):
        return None
    _refuse_inexact(con, table)
    if made or gone or deletes or reshaped:
        whole = made or not kept
        staged = _linked(parent, con, table, new, columns) if new and whole and not deletes else None
        return staged or parent.stage(con, table, f"FROM {in_lake(table)}", columns=columns), Mode.REPLACE
    staged = _linked(parent, con, table, new, columns)
    return staged or parent.stage(con, table, f"FROM {parquet(new)}", columns=columns), Mode.APPEND


def as_it_was(lake: "Lake", con: "duckdb.DuckDBPyConnection", table: str, version: int) -> Staged:
    """See `Lake.as_it_was`."""
    p = lake.catalog.prefix
    (table_id,) = table_ids(lake, {table: version}, by_file=False)
    at = f"table_id = {table_id} AND begin_snapshot <= {version} AND (end_snapshot IS NULL OR end_snapshot > {version})"
    files = lake._rows(f"SELECT path, path_is_relative FROM {p}ducklake_data_file WHERE {at} ORDER BY 1")
    deletes = lake._rows(f"SELECT 1 FROM {p}ducklake_delete_file WHERE {at} LIMIT 1")
    relation = lake.relation(table, version)
    columns = staging.described(con, relation)
    if deletes or not files:
        return lake.stage(con, table, relation)
    domain, name = lake._rows(
        f"SELECT s.path, t.path FROM {p}ducklake_table t JOIN {p}ducklake_schema s ON s.schema_id = t.schema_id "
        f"WHERE t.table_id = {table_id} ORDER BY t.begin_snapshot DESC LIMIT 1"
    )[0]
    named = tuple(str(lake.data / domain / name / path) if relative else path for path, relative in files)
    if _form(con, named) != columns:
        return lake.stage(
            con, table, relation
        )  # some are older than a column of this version, or DuckLake has merged them
    folder = lake.folder(table)
    with explained(f"Staging {table}"):
        links = tuple(str(_link(Path(file), folder / f"{uuid.uuid4()}.parquet")) for file in named)
    (rows,) = con.execute(f"SELECT count(*) FROM {parquet(links)}").fetchone() or (0,)
    return Staged(table=table, files=links, rows=int(rows), columns=columns)


def _folder(fork: "Lake", table_id: int) -> Path:
    # A table keeps the folder of the name under which it was made; dbt makes `x__dbt_tmp` and renames it.
    p = fork.catalog.prefix
    domain, name = fork._rows(
        f"SELECT s.path, t.path FROM {p}ducklake_table t JOIN {p}ducklake_schema s ON s.schema_id = t.schema_id "
        f"WHERE t.table_id = {table_id} AND t.end_snapshot IS NULL"
    )[0]
    return fork.data / domain / name


def _form(con: "duckdb.DuckDBPyConnection", files: tuple[str, ...]) -> tuple[tuple[str, str], ...] | None:
    """The columns of files that all have the same; None when they do not.

    Files that DuckLake has merged have one more, with the version of each row: rows of later versions are among theirs.
    """
    first, all_ = staging.described(con, parquet(files)), staging.described(con, parquet(files, union_by_name=True))
    return first if first == all_ else None


def _linked(
    parent: "Lake", con: "duckdb.DuckDBPyConnection", table: str, files: tuple[str, ...], columns: Sequence[Column]
) -> Staged | None:
    """The very same files under the parent's folder; None when they are not of the table's and the contract's form."""
    form = _form(con, files)
    if (
        form is None
        or form != staging.described(con, in_lake(table))
        or not staging.is_as_promised(con, table, columns)
    ):
        return None
    folder = parent.folder(table)
    with explained(f"Staging {table}"):
        folder.mkdir(parents=True, exist_ok=True)
        links = tuple(str(_link(Path(file), folder / f"{uuid.uuid4()}.parquet")) for file in files)
    (rows,) = con.execute(f"SELECT count(*) FROM {parquet(links)}").fetchone() or (0,)
    names, promised = {name for name, _ in form}, {column.name for column in columns}
    return Staged(
        table=table,
        files=links,
        rows=int(rows),
        columns=form,
        missing=tuple(column.name for column in columns if column.name not in names),
        extra=tuple(name for name, _ in form if name not in promised),
    )


def _link(source: Path, target: Path) -> Path:
    try:
        target.hardlink_to(source)
    except OSError:  # another device, or a file system without links
        shutil.copy2(source, target)
    with suppress(OSError):  # somebody else's file; whoever writes into one of the two would write into both
        target.chmod(0o444)
    return target


def _refuse_inexact(con: "duckdb.DuckDBPyConnection", table: str) -> None:
    """DuckLake itself writes HUGEINT as floating point: whole numbers above 2^53 have lost digits already."""
    for name, kind in staging.described(con, in_lake(table)):
        if "HUGEINT" not in kind:
            continue
        exact = kind in ("HUGEINT", "UHUGEINT")
        if exact:
            largest = f"SELECT coalesce(max(abs({quoted(name)}::DOUBLE)), 0) <= 9007199254740992 FROM {in_lake(table)}"
            exact = (con.execute(largest).fetchone() or (False,))[0]
        if not exact:
            message = (
                f"{table}: column `{name}` is {kind}, which is kept as floating point, and its digits are lost.\n"
                "    Cast it, as in `sum(x)::bigint`."
            )
            raise RunError(message)
