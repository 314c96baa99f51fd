"""Rows in quarantine: in a table beside their own, `<domain>_quarantine.<table>`, which nobody reads as a port.

It is written by the commit that publishes the rest, or by none.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mesh_assets.contract import ASIDE_COLUMNS, QUARANTINE
from mesh_assets.errors import RunError
from mesh_assets.lake.publishing import same_key, within
from mesh_assets.lake.sqltext import in_lake, parquet, quoted, text
from mesh_assets.lake.staging import described, write
from mesh_assets.lake.trouble import explained
from mesh_assets.lake.values import Mode, Publication, Staged

if TYPE_CHECKING:
    import duckdb

    from mesh_assets.lake.lake import Lake

ID, RULES, RUN, AT, PART, ROW = ASIDE_COLUMNS
OWN = (ID, RULES, RUN, AT, PART)


@dataclass(frozen=True, slots=True)
class Split:
    """A candidate without its failing rows, and these.

    Attributes:
        staged: What is left.
        files: The rows that were set aside, with the quarantine's columns.
        rows: How many they are.
        rules: How many of them fail each rule.
        ids: Of rows that were in quarantine before: those that fail still.
    """

    staged: Staged
    files: tuple[str, ...] = ()
    rows: int = 0
    rules: Mapping[str, int] = field(default_factory=dict)
    ids: frozenset[str] = frozenset()


def table_of(table: str) -> str:
    """Where the rows of `domain.table` are kept in quarantine."""
    domain, _, name = table.partition(".")
    return f"{domain}{QUARANTINE}.{name}"


def split(
    lake: "Lake",
    con: "duckdb.DuckDBPyConnection",
    publication: Publication,
    conditions: Mapping[str, str],
    *,
    run: str,
    at: str,
    again: bool = False,
) -> Split | None:
    """The staged rows for which one of the conditions is true, apart from the others. None: there are none, and nothing is written.

    Every condition is asked once of every row, so that no row is in both parts or in neither, whatever the clock says.
    With `again` the rows come from the quarantine and carry its id: those that fail are left where they are, and only told.

    Raises:
        RunError: A column has the name of one that the quarantine adds.
    """
    staged, columns = publication.staged, [name for name, _ in publication.staged.columns]
    taken = [name for name in columns if name.casefold() in ASIDE_COLUMNS and not (again and name == ID)]
    if taken:
        mend = "Give the column another name, or take the `action` out of the contract's rules."
        raise RunError(f"{staged.table}: the quarantine adds a column `{taken[0]}` of its own\n    {mend}")
    range_ = "/".join(publication.partition[1:]) if publication.mode is Mode.PARTITION and publication.partition else ""
    apart = _Apart(lake, con, staged, conditions, [name for name in columns if name != ID], again=again)
    with explained(f"Setting rows of {staged.table} aside"):
        try:
            return apart.split(run, at, range_)
        except BaseException:
            apart.undo()
            raise


class _Apart:
    """One candidate on its way to two: file by file, so that a row is known by its place."""

    def __init__(
        self,
        lake: "Lake",
        con: "duckdb.DuckDBPyConnection",
        staged: Staged,
        conditions: Mapping[str, str],
        columns: list[str],
        *,
        again: bool,
    ) -> None:
        self.lake, self.con, self.staged, self.again = lake, con, staged, again
        self.names = ", ".join(map(quoted, columns))
        fails = [f"CASE WHEN ({condition}) IS TRUE THEN {text(name)} END" for name, condition in conditions.items()]
        self.failed = f"list_filter([{', '.join(fails)}], lambda r: r IS NOT NULL)" if fails else "[]::VARCHAR[]"
        self.failing = " OR ".join(f"(({condition}) IS TRUE)" for condition in conditions.values()) or "FALSE"
        self.made: list[str] = []

    def split(self, run: str, at: str, range_: str) -> Split | None:
        kept, aside, rules, ids = [], [], dict[str, int](), set[str]()
        marks = f"temp.mesh_aside_{uuid.uuid4().hex}"
        try:
            for file in self.staged.files:
                self._mark(marks, file)
                bad = self._counted(marks, rules)
                if not bad and not self.again:
                    kept.append((file, None))
                    continue
                if self.again:
                    ids |= {row[0] for row in self.con.execute(f"SELECT id FROM {marks}").fetchall()}
                else:
                    aside.append(self._aside(marks, file, run, at, range_))
                kept.append((file, self._kept(marks, file)))
        finally:
            self.con.execute(f"DROP TABLE IF EXISTS {marks}")
        if not aside and not self.again:
            return None
        # A file of which nothing went is taken as it is; `undo` leaves it, and so must whoever discards.
        files = tuple(self._link(file) if made is None else made[0] for file, made in kept)
        (rows,) = self.con.execute(f"SELECT count(*) FROM {parquet(files)}").fetchone() or (0,)
        columns = tuple(column for column in self.staged.columns if column[0] != ID)
        extra = tuple(name for name in self.staged.extra if name != ID)
        left = replace(self.staged, files=files, rows=int(rows), columns=columns, extra=extra)
        gone = self.staged.rows - left.rows
        if gone != (len(ids) if self.again else sum(rows for _, rows in aside)):
            raise RunError(f"{self.staged.table}: rows that were set aside do not add up\n    Nothing was published.")
        return Split(left, tuple(name for name, _ in aside), gone, rules, frozenset(ids))

    def undo(self) -> None:
        for file in self.made:
            Path(file).unlink(missing_ok=True)

    def _mark(self, marks: str, file: str) -> None:
        id_ = quoted(ID) if self.again else f"{text(file)} || file_row_number"
        name = marks.removeprefix("temp.")
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT file_row_number AS n, {id_} AS id, {self.failed} AS rules "
            f"FROM {parquet((file,))} WHERE {self.failing}"
        )

    def _counted(self, marks: str, rules: dict[str, int]) -> int:
        for name, count in self.con.execute(
            f"SELECT rule, count(*) FROM (SELECT unnest(rules) AS rule FROM {marks}) GROUP BY 1 ORDER BY 1"
        ).fetchall():
            rules[name] = rules.get(name, 0) + int(count)
        (bad,) = self.con.execute(f"SELECT count(*) FROM {marks}").fetchone() or (0,)
        return int(bad)

    def _aside(self, marks: str, file: str, run: str, at: str, range_: str) -> tuple[str, int]:
        own = (
            f"substr(md5({text(run)} || m.id), 1, 16) AS {quoted(ID)}, m.rules AS {quoted(RULES)}, {text(run)} AS {quoted(RUN)}, "
            f"{text(at)}::TIMESTAMPTZ AS {quoted(AT)}, {text(range_) if range_ else 'NULL::VARCHAR'} AS {quoted(PART)}"
        )
        return self._write(
            f"SELECT f.*, {own} FROM (SELECT {self.names}, file_row_number FROM {parquet((file,))}) AS f "
            f"JOIN {marks} AS m ON m.n = f.file_row_number ORDER BY m.n",
            exclude=ROW,
        )

    def _kept(self, marks: str, file: str) -> tuple[str, int]:
        return self._write(
            f"SELECT {self.names} FROM {parquet((file,))} WHERE file_row_number NOT IN (SELECT n FROM {marks})"
        )

    def _write(self, query: str, *, exclude: str = "") -> tuple[str, int]:
        target = self.lake.folder(self.staged.table) / f"{uuid.uuid4()}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        self.made.append(str(target))
        picked = f"SELECT * EXCLUDE ({exclude}) FROM ({query})" if exclude else query
        return str(target), write(self.con, picked, [kind for _, kind in self.staged.columns], target)

    def _link(self, file: str) -> str:
        target = self.lake.folder(self.staged.table) / f"{uuid.uuid4()}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.hardlink_to(file)
        self.made.append(str(target))
        return str(target)


def waiting(lake: "Lake", table: str) -> tuple[str, int] | None:
    """The rows in quarantine of a table, as a relation, and the version in which they last changed; None: there never were any."""
    name = table_of(table)
    moved = lake.moved(name)
    # At the newest version: that in which it changed may be forgotten by now.
    return None if moved is None else (lake.relation(name, lake.head()), moved)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a quarantine is to become, together with a candidate.

    Attributes:
        publication: What is written of it: rows that come, and which of those that wait go.
        before: The version that it was computed against; None: there was none.
        rows: How many wait then.
    """

    publication: Publication
    before: int | None
    rows: int


def publication(
    lake: "Lake",
    con: "duckdb.DuckDBPyConnection",
    of: Publication,
    whole: Staged,
    aside: Iterable[str],
    *,
    mended: frozenset[str] | None = None,
) -> Waiting | None:
    """The quarantine as it is to be published together with a candidate.

    Rows that wait stay, unless newer ones have come in their place: all of them with a whole load, those of the same key, those
    of the same partition. What stays is not written again.

    Args:
        lake: Where both are.
        con: A session of it.
        of: The candidate, without what was set aside.
        whole: The candidate as it was staged.
        aside: Files of what was set aside.
        mended: Ids of rows that leave the quarantine, and nothing else changes.

    Returns:
        None when it stays as it is: nothing comes and nothing goes, or the same rows come for the same reasons.
    """
    files, before = tuple(aside), waiting(lake, of.staged.table)
    if before is None:
        return _as_new(lake, con, of.staged.table, f"FROM {parquet(files, union_by_name=True)}") if files else None
    stays = _stays(con, of, whole, before[0], mended)
    all_, gone = _counted(con, before[0], f"NOT ({stays})")
    if not files and not gone:
        return None
    new = parquet(files, union_by_name=True)
    if files and gone and _alike(lake, con, f"(FROM {before[0]} AS b WHERE NOT ({stays}))", new):
        return None
    kept = f"SELECT b.* FROM {before[0]} AS b WHERE {stays}"
    if gone == all_ or (files and not _fits(con, before[0], new)):
        query = " UNION ALL BY NAME ".join([*([kept] if gone < all_ else []), *([f"FROM {new}"] if files else [])])
        return _as_new(lake, con, of.staged.table, query, before)
    name = table_of(of.staged.table)
    staged = lake.stage(con, name, f"FROM {new}") if files else _nothing(con, name, before[0])
    leaves = f"NOT ({stays})" if gone else ""
    made = Publication(staged=staged, record={}, mode=Mode.APPEND, base=before[1], aside=True, leaves=leaves)
    return Waiting(made, before[1], all_ - gone + staged.rows)


def without(lake: "Lake", con: "duckdb.DuckDBPyConnection", table: str, ids: frozenset[str]) -> Waiting:
    """The quarantine of a table without some of its rows."""
    before = waiting(lake, table)
    if before is None:
        raise RunError(f"{table} has no rows in quarantine\n    Nothing was changed.")
    leaves = f"NOT ({_not_of(ids)})"
    all_, gone = _counted(con, before[0], leaves)
    staged = _nothing(con, table_of(table), before[0])
    made = Publication(staged=staged, record={}, mode=Mode.APPEND, base=before[1], aside=True, leaves=leaves)
    return Waiting(made, before[1], all_ - gone)


def _as_new(
    lake: "Lake", con: "duckdb.DuckDBPyConnection", table: str, query: str, before: tuple[str, int] | None = None
) -> Waiting:
    """All of it written; without rows it has the columns that it had."""
    name = table_of(table)
    staged = lake.stage(con, name, query) if query else _nothing(con, name, before[0] if before else "")
    return Waiting(Publication(staged=staged, record={}, aside=True), before[1] if before else None, staged.rows)


def _nothing(con: "duckdb.DuckDBPyConnection", name: str, before: str) -> Staged:
    """No rows of a quarantine that is there."""
    return Staged(table=name, files=(), rows=0, columns=described(con, before))


def _counted(con: "duckdb.DuckDBPyConnection", relation: str, leaves: str) -> tuple[int, int]:
    """How many rows there are, and how many of them go."""
    ((all_, gone),) = con.execute(
        f"SELECT (SELECT count(*) FROM {relation}), (SELECT count(*) FROM {relation} AS b WHERE {leaves})"
    ).fetchall()
    return int(all_), int(gone)


def _alike(lake: "Lake", con: "duckdb.DuckDBPyConnection", gone: str, new: str) -> bool:
    """Whether the rows that come are those that go, for the same reasons: only their run and time would change."""
    names = [
        sorted(name for name, _ in described(con, relation) if name not in (ID, RUN, AT)) for relation in (gone, new)
    ]
    if names[0] != names[1]:
        return False
    picked = ", ".join(map(quoted, names[0]))
    one, other = (lake.fingerprint(con, f"(SELECT {picked} FROM {relation})") for relation in (gone, new))
    return one == other


def _fits(con: "duckdb.DuckDBPyConnection", before: str, new: str) -> bool:
    """Whether rows can be added as they are: no column of theirs is there with another type, or another spelling."""
    there = {name.casefold(): (name, type_) for name, type_ in described(con, before)}
    return all(there.get(name.casefold(), (name, type_)) == (name, type_) for name, type_ in described(con, new))


def _not_of(ids: frozenset[str]) -> str:
    listed = ", ".join(map(text, sorted(ids)))
    return f"b.{quoted(ID)} NOT IN ({listed})" if ids else "TRUE"


def _stays(
    con: "duckdb.DuckDBPyConnection", of: Publication, whole: Staged, before: str, mended: frozenset[str] | None
) -> str:
    """What is true of a waiting row (`b`) for which nothing newer has come."""
    if mended is not None:
        return _not_of(mended)
    there = {name for name, _ in described(con, before)}
    match of.mode:
        case Mode.APPEND:
            return "TRUE"
        case Mode.UPSERT if all(name in there for name in of.key):
            keyless = " OR ".join(
                f"b.{quoted(name)} IS NULL" for name in of.key
            )  # nobody can tell what it would replace
            return f"{keyless} OR NOT EXISTS (FROM {parquet(whole.files)} AS f WHERE {same_key(of)})"
        case Mode.PARTITION if of.partition and of.partition[0] in there:
            _, start, end = of.partition
            part = f"b.{quoted(PART)}"
            brought = f"{part} IS NOT NULL AND split_part({part}, '/', 1) >= {text(start)} AND split_part({part}, '/', 2) <= {text(end)}"
            return f"({within(of)}) IS NOT TRUE AND ({brought}) IS NOT TRUE"
    return "FALSE"


def in_lake_of(table: str) -> str:
    """The quarantine of a table, as it is named in the attached lake."""
    return in_lake(table_of(table))
