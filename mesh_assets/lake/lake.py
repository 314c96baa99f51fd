"""The lake: every table of one environment, every version of it. The only place that knows DuckLake."""

import copy
import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mesh_assets.audit.contents import Contents
from mesh_assets.contract import QUARANTINE, Column
from mesh_assets.domain import LakeConfig
from mesh_assets.errors import RunError, UsageError
from mesh_assets.lake import databases, features, files, forks, masking, publishing, reading, staging
from mesh_assets.lake.catalog import FORMAT, METADATA, PostgresCatalog, SqliteCatalog, no_lake, open_catalog
from mesh_assets.lake.features import Features
from mesh_assets.lake.reading import NOT_SHOWN, stopped
from mesh_assets.lake.sqltext import dotted, in_lake, quoted, text
from mesh_assets.lake.trouble import explained, mend_of, trouble, without_passwords
from mesh_assets.lake.values import Commit, Mode, Publication, Staged

if TYPE_CHECKING:
    import duckdb


class Lake:
    """A DuckLake with one schema per domain. Cheap to make; nothing is opened before it is used."""

    def __init__(self, home: Path, config: LakeConfig = LakeConfig(), author: str = "mesh") -> None:  # noqa: B008 (frozen)
        """A lake that `create` has made, or will.

        Args:
            home: The mesh's home; holds the embedded lake.
            config: Where the catalog and the data are; empty: both under `home`.
            author: Written into commits.
        """
        self.home = home.resolve()
        self.author = author
        self.parent: Lake | None = None
        if "://" in config.data:
            message = (
                f"`lake.data` is a URL ({config.data.partition('://')[0]}://…); only folders are supported.\n"
                "    Name a folder that all workers share."
            )
            raise UsageError(message)
        self.catalog = open_catalog(config.catalog, self.home, config.schema)
        self.data = (self.home / config.data).resolve() if config.data else self.home / "lake" / "data"
        self._embedded = not config.catalog

    def __repr__(self) -> str:
        return f"Lake({self.catalog!r})"

    # Opening

    def create(self) -> None:
        """Make the lake where there is none yet. Safe from several processes at once.

        Raises:
            RunError: The place holds something else, a lake of another format, or a lake whose data is elsewhere.
        """
        with explained("Creating the lake"):
            self.data.mkdir(parents=True, exist_ok=True)
        with databases.loaded(self.catalog.extensions) as con, explained("Creating the lake"), self.catalog.locked():
            metadata = self.catalog.metadata(con)
            if metadata is None:
                self.catalog.build(con, self._data_path)
                return
            self._check(metadata)
            self._relocate(con, metadata)
            if metadata.get("data_inlining_row_limit") != "0":
                self.catalog.attach(con, read_only=False)
                con.execute("CALL mesh.set_option('data_inlining_row_limit', 0)")
                con.execute("DETACH mesh")

    def connect(self, *, read_only: bool = False) -> "duckdb.DuckDBPyConnection":
        """A database of its own in memory, with the lake attached as `mesh`. Some 50 ms: `session` is cheaper.

        Raises:
            RunError: There is no lake, or it cannot be opened.
        """
        con = databases.fresh(self.catalog.extensions)
        try:
            with explained("Opening the lake"):
                self._attach(con, read_only=read_only)
        except BaseException:
            con.close()
            raise
        return con

    @contextmanager
    def bounded(self, memory: str) -> Generator["duckdb.DuckDBPyConnection"]:
        """A database of its own that only reads, and takes so much memory, such as `1GB`; what is more goes to disk."""
        con = self.connect(read_only=True)
        try:
            con.execute(f"SET memory_limit = {text(memory)}")
            yield con
        except BaseException:
            con.interrupt()
            raise
        finally:
            con.close()

    def attachment(self) -> dict[str, object]:
        """How another DuckDB attaches this lake as `mesh`: its `path` and `options`; a password is in `environment`."""
        return {"path": f"ducklake:{self.catalog.uri}", "alias": "mesh", "options": dict(self.catalog.options)}

    def environment(self) -> dict[str, str]:
        """Environment variables that such a program needs beside it: the catalog's password, if any."""
        return self.catalog.environment()

    @contextmanager
    def session(self) -> Generator["duckdb.DuckDBPyConnection"]:
        """A connection with an empty workspace of its own, in this process's one database. About a millisecond.

        Views and tables that are made in it are seen by nobody else and are gone afterwards.
        """
        workspace = f"workspace_{uuid.uuid4().hex}"
        with databases.session(self._source) as con:
            try:
                con.execute(f"ATTACH ':memory:' AS {workspace}")
                con.execute(f"USE {workspace}")
                yield con
            except BaseException:
                # After an interrupt of the process its query goes on in other threads, and all that follows would wait for it.
                con.interrupt()
                raise
            finally:
                with suppress(Exception):  # whatever state its user left it in
                    con.rollback()
                with suppress(Exception):
                    con.execute("USE memory")
                    con.execute(f"DETACH {workspace}")

    def close(self) -> None:
        """Let go of this process's database; the next use opens it again."""
        with suppress(RunError, OSError):  # the catalog may be gone
            databases.release(self._source)

    def at_hand(self) -> AbstractContextManager[None]:
        """For work that asks the catalog a hundred times: until the block ends, this thread connects to it once."""
        return self.catalog.at_hand()

    # Reading

    def head(self) -> int:
        """The newest version of the lake."""
        return int(
            self._rows(f"SELECT max(snapshot_id) FROM {self.catalog.native}ducklake_snapshot", native=True)[0][0]
        )

    def has(self, version: int) -> bool:
        """Whether a version of the lake can be read: one that has expired cannot."""
        known = f"SELECT 1 FROM {self.catalog.native}ducklake_snapshot WHERE snapshot_id = {int(version)}"
        return bool(self._rows(known, native=True))

    def check_has(self, version: int) -> None:
        """Raise what a person needs to know of a version that cannot be read.

        Raises:
            UsageError: It has expired, or is still to come.
        """
        if self.has(version):
            return
        query = f"SELECT min(snapshot_id), max(snapshot_id) FROM {self.catalog.native}ducklake_snapshot"
        oldest, newest = map(int, self._rows(query, native=True)[0])
        if version > newest:
            raise UsageError(f"there is no version {version} yet\n    The newest is {newest}.")
        message = f"version {version} has expired: its data is gone\n    There are versions from {oldest} to {newest}; "
        raise UsageError(f"{message}`mesh history TABLE` lists those of a table.")

    def format(self) -> str:
        """DuckLake's format of this lake."""
        return str(self._rows(f"SELECT value FROM {self.catalog.prefix}ducklake_metadata WHERE key = 'version'")[0][0])

    def commits(self, after: int = 0) -> tuple[Commit, ...]:
        """What the mesh has published after a version, oldest first; what others did to the lake is not in it."""
        return self._commits(f"c.snapshot_id > {int(after)}")

    def tables(self, version: int | None = None, *, quarantine: bool = False) -> tuple[str, ...]:
        """Names of the tables that existed at a version (default: now), sorted; or, of what is in quarantine instead."""
        p = self.catalog.prefix
        when = f"{int(version)}" if version is not None else f"(SELECT max(snapshot_id) FROM {p}ducklake_snapshot)"
        rows = self._rows(
            f"SELECT s.schema_name, t.table_name FROM {p}ducklake_table t "
            f"JOIN {p}ducklake_schema s ON s.schema_id = t.schema_id "
            + " AND ".join(
                [
                    "WHERE true",
                    *(
                        f"{a}.begin_snapshot <= {when} AND (({a}.end_snapshot IS NULL) OR ({a}.end_snapshot > {when}))"
                        for a in "ts"
                    ),
                ]
            )
        )
        return tuple(sorted(f"{schema}.{table}" for schema, table in rows if schema.endswith(QUARANTINE) is quarantine))

    def features(self, version: int | None = None, names: Collection[str] | None = None) -> dict[str, Features]:
        """Comments, partitioning and order of tables, and the views, at a version (default: now), by `domain.name`; or of these names."""
        return features.read(self, version, names)

    def relation(self, table: str, version: int) -> str:
        """A version of a table, as SQL that can stand after `FROM`, with an alias too."""
        return f"(FROM {self.stored(table, version)})"

    def stored(self, table: str, version: int) -> str:
        """The same, with the virtual columns `filename` and `file_row_number`, and without an alias."""
        return f"{in_lake(table)} AT (VERSION => {int(version)})"

    def show(
        self,
        con: "duckdb.DuckDBPyConnection",
        table: str,
        version: int,
        *,
        as_name: str | None = None,
        columns: Collection[str] | None = None,
    ) -> None:
        """Make a version of a table readable as `domain.table` (or another name) on this connection.

        Args:
            columns: Those that can be read; default: all.

        Raises:
            UsageError: None of these columns is in that version.
        """
        name, what = as_name or table, ""
        if columns is not None:
            there = [column for column, _ in self.columns(con, table, version) if column in columns]
            if not there:
                raise UsageError(f"no column of `{table}` may be shown\n    {NOT_SHOWN}")
            what = f"SELECT {', '.join(map(quoted, there))} "
        if "." in name:
            con.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(name.partition('.')[0])}")
        target = dotted(name) if "." in name else quoted(name)
        con.execute(f"CREATE OR REPLACE VIEW {target} AS {what}FROM {self.relation(table, version)}")

    def columns(self, con: "duckdb.DuckDBPyConnection", table: str, version: int) -> tuple[tuple[str, str], ...]:
        """(name, type) of every column of a version, in order."""
        return staging.described(con, self.relation(table, version))

    def lost_files(self, con: "duckdb.DuckDBPyConnection", table: str, version: int) -> tuple[str, ...]:
        """Files of a version that somebody has removed, where they are on a disk."""
        return files.lost(con, table, version)

    def lost_now(self) -> Mapping[str, tuple[str, ...]]:
        """Tables of whose last version somebody has removed files, with these, where they are on a disk."""
        return files.lost_now(self)

    def contents(
        self, con: "duckdb.DuckDBPyConnection", of: Publication | tuple[str, int], columns: Iterable[str]
    ) -> Contents | None:
        """The data files of a candidate, or of a version, with what their statistics say of some columns.

        Args:
            con: Outside a transaction.
            of: A candidate, or a table and its version.
            columns: Those whose statistics are wanted.

        Returns:
            None where single files cannot be told apart safely; then the relation says all there is to know.
        """
        if isinstance(of, Publication):
            return files.contents_of_candidate(self, con, of, columns)
        return files.contents(self, con, *of, columns)

    def fingerprint(self, con: "duckdb.DuckDBPyConnection", relation: str) -> str:
        """A text that two relations share when they have the same columns and the same rows, in whatever order.

        DuckDB may hash differently in another version, so its version is part of it.
        """
        import duckdb

        columns = staging.described(con, relation)
        names = ", ".join(f"r.{quoted(name)}" for name, _ in columns)
        ((rows, total),) = con.execute(
            f"SELECT count(*), coalesce(sum(hash({names})::HUGEINT), 0) FROM {relation} AS r"
        ).fetchall()
        shape = hashlib.sha256(json.dumps([duckdb.__version__, columns]).encode()).hexdigest()[:16]
        return f"{rows}-{int(total):x}-{shape}"

    def sql(
        self,
        query: str,
        *,
        at: int | None = None,
        versions: Mapping[str, int] | None = None,
        shown: Mapping[str, Collection[str]] | None = None,
        limit: int | None = None,
        seconds: float | None = None,
    ) -> tuple[tuple[str, ...], list[tuple]]:
        """Answer one reading statement over the published tables, and nothing else: (names of the columns, rows).

        Args:
            query: Tables are named `domain.table`.
            at: The version to read; default: now.
            versions: Versions of single tables; they go before `at`.
            shown: The columns that are there for the query, by table; default: all. What is not shown is never read.
            limit: At most so many rows.
            seconds: After so long the query is stopped.

        Raises:
            UsageError: The query is wrong, wants more than to read published tables, or takes too long; or a version
                cannot be read any more.
        """
        import duckdb

        for wanted in {*(() if at is None else (at,)), *(versions or {}).values()}:
            self.check_has(wanted)
        version = self.head() if at is None else at
        chosen = dict.fromkeys(self.tables(version), version) | dict(versions or {})
        if reading.asks_for_tables(query):
            return ("table",), [(table,) for table in sorted(chosen)]
        tables = reading.tables_of(query, chosen)
        con = self.connect(read_only=True)
        try:
            for table in tables:
                self.show(con, table, chosen[table], columns=None if shown is None else shown.get(table, ()))
            # The second wall, should the first have a hole: no file but the lake's can be opened.
            con.execute(f"SET allowed_directories = [{', '.join(map(text, self._folders(tables)))}]")
            con.execute("SET enable_external_access = false")
            con.execute("SET lock_configuration = true")
            with stopped(con, seconds):
                result = con.execute(query)
                rows = result.fetchall() if limit is None else result.fetchmany(limit)
            return tuple(column[0] for column in result.description or ()), rows
        except duckdb.InterruptException:
            raise UsageError(f"the query was stopped after {seconds:g} seconds\n    Ask for less.") from None
        except duckdb.Error as error:
            if mend_of(str(error)) and isinstance(error, duckdb.IOException):
                raise trouble("Reading the lake", error) from None
            mend = "Mend the query." if shown is None else f"Mend the query. {NOT_SHOWN}"
            raise UsageError(f"{without_passwords(str(error).strip())}\n    {mend}") from None
        finally:
            con.close()

    # Writing

    def stage(
        self,
        con: "duckdb.DuckDBPyConnection",
        table: str,
        query: str,
        *,
        columns: Sequence[Column] = (),
        folder: Path | None = None,
    ) -> Staged:
        """Write a query's result to a file that no reader sees, in the contract's types. Holds no lock.

        Args:
            con: Where the query's tables are.
            table: `domain.table` that it is a candidate for.
            query: One `SELECT`.
            columns: The contract's; columns that it does not name keep their types.
            folder: Default: where the table's published files are, so that publishing moves nothing.

        Raises:
            RunError: The disk is full, a column's type has no place in a file, or two columns share a name.
            duckdb.Error: The query is wrong.
        """
        return staging.stage(con, table, query, columns, folder or self.folder(table))

    def folder(self, table: str) -> Path:
        """Where the files of a table are."""
        domain, _, name = table.partition(".")
        return self.data / domain / name

    def candidate(self, publication: Publication) -> str:
        """The table as it would be once published, as a relation in SQL."""
        return publishing.candidate(publication, self.relation)

    def publish(
        self,
        con: "duckdb.DuckDBPyConnection",
        publications: Sequence[Publication],
        *,
        run: str,
        pin: int,
        message: str = "",
        about: Mapping[str, object] | None = None,
        unmoved: Mapping[str, int | None] | None = None,
        dropped: Sequence[str] = (),
        features: Mapping[str, Features] | None = None,
        audit: "Callable[[duckdb.DuckDBPyConnection], None] | None" = None,
    ) -> int:
        """Publish candidates together: readers see all of them or none.

        Args:
            con: A session of this lake.
            publications: What is published.
            run: Whose work it is.
            pin: The version that it read.
            message: For people, in the commit.
            about: More for the commit's record.
            unmoved: Tables that nobody may have changed since a version; None: that nobody may have made.
            dropped: Tables that go, in the same commit.
            features: Tables and views that get others in the same commit; a view without a query goes. Others keep theirs.
            audit: Asked within the transaction, when everything is registered; what it raises undoes all of it.

        Returns:
            The version under which they can be read.

        Raises:
            Superseded: A run with a newer pin has published one of the tables, or the version that a candidate was
                computed against is not the table's last any more. Nothing was published.
            RunError: It could not be written. Nothing was published.
        """
        return publishing.publish(
            self,
            con,
            publications,
            run=run,
            pin=pin,
            message=message,
            about=about or {},
            unmoved=unmoved or {},
            dropped=dropped,
            features=features or {},
            audit=audit,
        )

    def discard(self, staged: Staged) -> None:
        """Delete a candidate that was never published."""
        for file in staged.files:
            Path(file).unlink(missing_ok=True)

    def quarantine(self, staged: Staged, run: str) -> Path:
        """Put a candidate aside for people to look at, and say where; no clean-up of the lake touches it there."""
        domain, _, name = staged.table.partition(".")
        folder = self.home / "quarantine" / domain / name / run
        with explained(f"Putting {staged.table} into quarantine"):
            folder.mkdir(parents=True, exist_ok=True)
            for file in staged.files:
                shutil.move(file, folder / Path(file).name)
        return folder

    def clean(self, older_than: timedelta) -> int:
        """Delete files that no version names and that nobody has touched for so long; how many there were.

        Candidates that are still to be published look the same: leave them more time than any run takes.
        """
        p, oldest = self.catalog.prefix, datetime.now(UTC) - older_than
        with self.catalog.locked():
            named = {
                Path(path).name
                for kind in ("data_file", "delete_file", "files_scheduled_for_deletion")
                for (path,) in self._rows(f"SELECT path FROM {p}ducklake_{kind}")
            }
            with explained("Cleaning the lake"):
                orphans = [
                    file
                    for file in sorted(self.data.rglob("*.parquet"))
                    if file.name not in named and datetime.fromtimestamp(file.stat().st_mtime, UTC) < oldest
                ]
                for file in orphans:
                    file.unlink()
        return len(orphans)

    def snapshots(self, *, before: datetime, without: Collection[int] = ()) -> tuple[int, ...]:
        """Versions of the lake that were made before a moment, oldest first; never the newest."""
        p, kept = self.catalog.prefix, {*without, self.head()}
        rows = self._rows(f"SELECT snapshot_id, snapshot_time FROM {p}ducklake_snapshot ORDER BY 1")
        when = {int(id_): time if isinstance(time, datetime) else datetime.fromisoformat(time) for id_, time in rows}
        return tuple(id_ for id_, time in when.items() if id_ not in kept and time.astimezone(UTC) < before)

    def expire(self, versions: Sequence[int]) -> None:
        """Forget versions. Files that no other version names are put down for deletion; `clean_up` deletes them."""
        if not versions:
            return
        listed = ", ".join(map(str, versions))
        with self.session() as con, explained("Expiring versions"), self.catalog.locked():
            con.execute(f"CALL ducklake_expire_snapshots('mesh', versions => [{listed}])")

    def clean_up(self, before: datetime) -> int:
        """Delete files that were put down for deletion before a moment; how many there were."""
        moment = before.astimezone(UTC)
        if isinstance(self.catalog, SqliteCatalog):
            # DuckLake 1.5.5 compares as text here, and would take all files of the same day: so the day before, at most.
            moment = moment.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(seconds=1)
        with self.session() as con, explained("Cleaning the lake"), self.catalog.locked():
            rows = con.execute(
                f"CALL ducklake_cleanup_old_files('mesh', older_than => TIMESTAMPTZ {text(moment.isoformat())})"
            ).fetchall()
        return len(rows)

    # Forking

    def fork(self, folder: Path, versions: Mapping[str, int] | None = None) -> "Lake":
        """A lake of its own over the same files: the named tables, each as it was at its version, and no other.

        Without names it is the whole lake, with its history. Costs some 40 ms and no data. Whatever is done in it, this lake's files stay. `remove` it in the end.

        Raises:
            UsageError: A table has no such version.
        """
        folder = folder.resolve()
        with explained("Forking the lake"):
            (folder / "data").mkdir(parents=True, exist_ok=True)
        fork = copy.copy(self)
        fork.home, fork.data, fork.parent, fork._embedded = folder, folder / "data", self, False
        if versions is None:
            fork.catalog = forks.fork_whole(self.catalog, folder, self.data, fork.data)
        else:
            fork.catalog = forks.fork(self.catalog, folder, self.data, fork.data, forks.table_ids(self, versions))
        return fork

    def harvest(
        self,
        con: "duckdb.DuckDBPyConnection",
        table: str,
        *,
        columns: Sequence[Column] = (),
        into: "Lake | None" = None,
        base: int | None = None,
    ) -> tuple[Staged, Mode] | None:
        """What has become of a table in this fork, as a candidate for the lake that it was forked from.

        Files that the fork wrote are taken as they are (linked) where they are of the contract's types; else rewritten.

        Args:
            con: A connection of this fork.
            table: `domain.table`.
            columns: The contract's.
            into: The lake that it was forked from, where this object was not made by `fork`.
            base: The version at which it was forked, where it has kept its history.

        Returns:
            The candidate, and `APPEND` when rows were only added, else `REPLACE`. None when nothing has changed.
        """
        return forks.harvest(self, into or self._of(), con, table, columns, base)

    def as_it_was(self, con: "duckdb.DuckDBPyConnection", table: str, version: int) -> Staged:
        """A version of a table as a candidate again: its very files (linked), unless rows of them were deleted."""
        return forks.as_it_was(self, con, table, version)

    def mask(self, table: str, columns: Mapping[str, str], key: str, versions: Collection[int]) -> None:
        """In a fork: put masked copies of a table's files in the place of those it inherited; nothing leads to these any more.

        Args:
            table: `domain.table`.
            columns: What is masked, with the type of each.
            key: Of this fork and those that belong together: the same value is masked by the same one everywhere.
            versions: Those that can be read; others have no files any more.
        """
        masking.mask_files(self, table, columns, key, versions)

    def remove(self) -> None:
        """Delete this fork: its catalog and its own files."""
        self._of()
        self.close()
        self.catalog.remove()
        with explained("Removing the fork"):
            shutil.rmtree(self.home)

    def _of(self) -> "Lake":
        if self.parent is None:
            message = f"{self!r} is not a fork.\n    Fork it first."
            raise UsageError(message)
        return self.parent

    # Within

    def moved(self, table: str) -> int | None:
        """The last version in which a table's rows or columns changed, by whomever; None: there is no such table.

        A comment does not count, but where the mesh has made a version of as many rows, none, with it.
        """
        p, (domain, _, name) = self.catalog.native, table.partition(".")
        ids = (
            f"SELECT t.table_id FROM {p}ducklake_table t JOIN {p}ducklake_schema s ON s.schema_id = t.schema_id "
            f"WHERE s.schema_name = {text(domain)} AND t.table_name = {text(name)} AND t.end_snapshot IS NULL "
            "AND s.end_snapshot IS NULL"
        )
        changes = " UNION ALL ".join(
            [
                f"SELECT x.begin_snapshot AS v FROM {p}ducklake_tag x JOIN {p}ducklake_snapshot_changes c "
                f"ON c.snapshot_id = x.begin_snapshot AND c.commit_extra_info LIKE {text(f'%{json.dumps(table, ensure_ascii=False)}%')} "
                f"WHERE x.object_id IN ({ids})"
            ]
            + [
                f"SELECT {when}_snapshot FROM {p}ducklake_{kind} WHERE table_id IN ({ids})"
                for kind in ("table", "column", "data_file", "delete_file")
                for when in ("begin", "end")
            ]
        )
        last = self._rows(f"SELECT max(v) FROM ({changes}) AS changes", native=True)[0][0]
        return None if last is None else int(last)

    @contextmanager
    def still(self, table: str, version: int) -> Generator[bool]:
        """Whether nobody has changed a table after a version; nobody does until the block ends."""
        with self.catalog.locked([table]):
            with explained(f"Looking at {table}"):
                moved = self.moved(table)
            yield moved is not None and moved <= version

    def last_commit(self, table: str) -> Commit | None:
        """The newest commit of the mesh that published a table; None when there is none, or no such table any more."""
        moved = self.moved(table)
        return None if moved is None else self.commit_of(table, moved)

    def commit_of(self, table: str, version: int) -> Commit | None:
        """The newest commit of the mesh that published a table, up to the version that `moved` gives."""
        last = self._commits(f"c.snapshot_id = {version}")
        if last and table in last[0].tables:
            return last[0]
        # Somebody else was the last to change it.
        mentioned = self._commits(f"position({text(json.dumps(table, ensure_ascii=False))} IN c.commit_extra_info) > 0")
        return next((commit for commit in reversed(mentioned) if table in commit.tables), None)

    def _commits(self, which: str) -> tuple[Commit, ...]:
        p = self.catalog.prefix
        rows = self._rows(
            "SELECT c.snapshot_id, s.snapshot_time, c.author, c.commit_message, c.commit_extra_info "
            f"FROM {p}ducklake_snapshot_changes c JOIN {p}ducklake_snapshot s ON s.snapshot_id = c.snapshot_id "
            f"WHERE {which} AND c.commit_extra_info IS NOT NULL ORDER BY 1"
        )
        return tuple(commit for row in rows if (commit := _commit(row)))

    def _folders(self, tables: Sequence[str]) -> list[str]:
        """Where the files of these tables are: a fork's inherited ones are elsewhere."""
        p = self.catalog.prefix
        names = ", ".join(text(table) for table in tables) or "''"
        rows = self._rows(
            "SELECT DISTINCT rtrim(f.path, replace(f.path, '/', '')) "
            f"FROM {p}ducklake_data_file f JOIN {p}ducklake_table t ON t.table_id = f.table_id "
            f"JOIN {p}ducklake_schema s ON s.schema_id = t.schema_id "
            f"WHERE NOT f.path_is_relative AND s.schema_name || '.' || t.table_name IN ({names})"
        )
        return [self._data_path, *sorted(folder for (folder,) in rows)]

    @property
    def _data_path(self) -> str:
        return f"{self.data}/"

    @property
    def _source(self) -> databases.Source:
        return databases.Source(self.catalog.identity, self.catalog.extensions, self._open, self.catalog.newest_names)

    def _publisher(self, con: "duckdb.DuckDBPyConnection") -> AbstractContextManager["duckdb.DuckDBPyConnection"]:
        return databases.publisher(self._source, con)

    def _open(self, con: "duckdb.DuckDBPyConnection") -> None:
        with explained("Opening the lake"):
            self._attach(con, read_only=False)

    def _attach(self, con: "duckdb.DuckDBPyConnection", *, read_only: bool) -> None:
        metadata = self.catalog.metadata(con)
        if metadata is None:
            raise no_lake()
        self._check(metadata)
        if metadata["data_path"] != self._data_path:
            with self.catalog.locked():
                self._relocate(con, metadata)
        con.execute(f"SET temp_directory = {text(str(self.home / 'tmp'))}")
        self.catalog.attach(con, read_only=read_only)

    def _check(self, metadata: Mapping[str, str]) -> None:
        if (version := metadata.get("version", "")) != FORMAT:
            message = f"The lake has DuckLake's format {version}; this version of the mesh reads {FORMAT}.\n    "
            message += (
                "Upgrade the mesh: a newer one has written here."
                if version > FORMAT
                else "Open it once with the version that made it."
            )
            raise RunError(message)
        if metadata["data_path"] != self._data_path and not self._embedded:
            message = (
                f"The lake keeps its data in {metadata['data_path']}, not in {self._data_path}.\n"
                "    Say so in `lake.data` of mesh.yaml."
            )
            raise RunError(message)

    def _relocate(self, con: "duckdb.DuckDBPyConnection", metadata: Mapping[str, str]) -> None:
        """A mesh that was moved or copied, with its lake in it, must not write into the old place."""
        if metadata["data_path"] != self._data_path and isinstance(self.catalog, SqliteCatalog):
            self.catalog.relocate(con, self._data_path)

    def _rows(self, sql: str, *, native: bool = False) -> list[tuple]:
        """What a query on DuckLake's metadata gives; `native`: in the catalog's own SQL, which is quicker on SQLite."""
        if isinstance(self.catalog, PostgresCatalog):
            rows = self.catalog.rows(sql)
            if rows is None:
                raise no_lake()
            return rows
        asked = f"FROM sqlite_query({text(METADATA)}, {text(sql)})" if native else sql
        with explained("Reading the lake's catalog"), databases.catalog(self._source) as con:
            return con.execute(asked).fetchall()


def _commit(row: tuple) -> Commit | None:
    version, time, author, message, extra = row
    with suppress(ValueError, TypeError, AttributeError):
        info = json.loads(extra)
        if info.get("mesh") == 1:
            when = time if isinstance(time, datetime) else datetime.fromisoformat(time)
            return Commit(
                version=version, time=when.astimezone(UTC), author=author or "", message=message or "", info=info
            )
    return None
