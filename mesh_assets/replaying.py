"""What waits in quarantine: to be looked at, mended and published after all, or given up with a reason."""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from mesh_assets import build, quarantine
from mesh_assets.admission import relations, spelt
from mesh_assets.audit.aside import conditions
from mesh_assets.audit.sample import MASK, plain
from mesh_assets.domain import Load, Table
from mesh_assets.environment import Environment
from mesh_assets.errors import RunError, UsageError, nearest
from mesh_assets.lake import Mode, Publication
from mesh_assets.lake import quarantine as rows
from mesh_assets.lake.sqltext import parquet, quoted, text
from mesh_assets.lake.staging import described
from mesh_assets.step import Outcome, Step, begin, of_a_part
from mesh_assets.store import Store, now

if TYPE_CHECKING:
    import duckdb

PAGE = 20
_schema = sa.MetaData()
_discards = sa.Table(
    "quarantine_discards",
    _schema,
    sa.Column("table", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("rules", sa.JSON, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which of the waiting rows are meant: all, or those with these ids, or that fail one of these rules."""

    ids: Sequence[str] = ()
    rules: Sequence[str] = ()

    @property
    def condition(self) -> str:
        """What is true of such a row, in SQL."""
        said = []
        if self.ids:
            said.append(f"{quoted(rows.ID)} IN ({', '.join(map(text, self.ids))})")
        if self.rules:
            said.append(f"list_has_any({quoted(rows.RULES)}, [{', '.join(map(text, self.rules))}])")
        return " AND ".join(said) or "TRUE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """How waiting rows are mended.

    Attributes:
        changes: By column, an expression in SQL of the row's own columns.
        file: A CSV with the column `_quarantine_id` and those to be changed; an empty field is no value.
    """

    changes: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came of a replay.

    Attributes:
        outcome: None when no row was mended.
        asked: How many rows were tried.
        mended: How many of them are published.
        failing: How many of the others fail each rule.
    """

    outcome: Outcome | None
    asked: int
    mended: int
    failing: Mapping[str, int]


def waiting(env: Environment, names: Iterable[str]) -> list[dict[str, Any]]:
    """How many rows of each table wait, why, and since when; tables with none are left out."""
    wanted, there = set(names), set(env.lake.tables(quarantine=True))
    found = []
    with env.lake.session() as con:
        for name in sorted(wanted):
            if rows.table_of(name) not in there:
                continue
            relation = env.lake.relation(rows.table_of(name), env.lake.head())
            ((count, first, last),) = con.execute(
                f"SELECT count(*), min({_at()}), max({_at()}) FROM {relation}"
            ).fetchall()
            if count:
                rules = con.execute(
                    f"SELECT rule, count(*) FROM (SELECT unnest({quoted(rows.RULES)}) AS rule FROM {relation}) GROUP BY 1 ORDER BY 2 DESC, 1"
                ).fetchall()
                found.append({"table": spelt(name), "rows": count, "rules": dict(rules), "since": first, "last": last})
    return found


def shown(
    env: Environment, table: Table, chosen: Chosen, *, limit: int = PAGE
) -> tuple[tuple[str, ...], list[dict[str, Any]], int]:
    """Waiting rows, as failing rows are shown: masked columns as `•••`, columns that no contract names not at all.

    Returns:
        The names of the columns, the rows, and how many there are in all.
    """
    with env.lake.session() as con:
        relation = _relation(env, table)
        there = [name for name, _ in described(con, relation)]
        contract = table.contract
        named = {column.name for column in contract.columns} if contract else set()
        masked = contract.masked if contract else frozenset()
        columns = [name for name in there if name in named]
        picked = ", ".join(
            [
                f"{quoted(rows.ID)}, array_to_string({quoted(rows.RULES)}, ', ') AS {quoted(rows.RULES)}, {quoted(rows.RUN)}, {_at()}",
                *(f"'{MASK}'" if name in masked else f"CAST({quoted(name)} AS VARCHAR)" for name in columns),
            ]
        )
        where = f"FROM {relation} WHERE {chosen.condition}"
        ((total,),) = con.execute(f"SELECT count(*) {where}").fetchall()
        found = con.execute(f"SELECT {picked} {where} ORDER BY {quoted(rows.AT)}, {quoted(rows.ID)} LIMIT {int(limit)}")
        listed = found.fetchall()
    names = (rows.ID, rows.RULES, rows.RUN, rows.AT, *columns)
    return names, [dict(zip(names, map(plain, row), strict=True)) for row in listed], int(total)


def replay(env: Environment, table: Table, chosen: Chosen, patch: Patch = Patch()) -> Replayed:
    """Publish waiting rows that pass by now, or once they are mended; they leave the quarantine in the same commit.

    They come on top of the table, or in the place of the rows of the same key, and all its tests are asked of the result.

    Raises:
        UsageError: Nothing waits, a column or an expression cannot be used, a file is not as it must be.
        RunError: The lake cannot be used, or another run builds the table.
    """
    run = f"replay {uuid.uuid4()}"
    with env.ledger.lease([table.name], run, wait=build.LEASE_WAIT), env.lake.session() as con:
        step = begin(env, run, con)
        version = next(iter(env.ledger.history(table.name, limit=1)), None)
        if version is None:
            raise UsageError(
                f"{spelt(table.name)} was never published\n    Build it first: mesh run {spelt(table.name)}"
            )
        step = replace(step, replay=version)
        staged = _staged(step, table, chosen, patch, version.version)
        contract = table.contract
        if contract is None:
            asked = {}
        else:
            asked = conditions(con, parquet(staged.staged.files), contract, relations(env, step.seen))
        try:
            ids = {
                row[0]
                for row in con.execute(f"SELECT {quoted(rows.ID)} FROM {parquet(staged.staged.files)}").fetchall()
            }
            made = rows.split(env.lake, con, staged, asked, run=run, at=now(), again=True)
        finally:
            env.lake.discard(staged.staged)
        if made is None:
            raise UsageError(f"no such row of {spelt(table.name)} waits in quarantine\n    {_look(table)}")
        mended = frozenset(ids - made.ids)
        told = Replayed(outcome=None, asked=len(ids), mended=len(mended), failing=made.rules)
        left = replace(staged, staged=made.staged)
        if not mended:
            env.lake.discard(made.staged)
            return told
        aside = quarantine.SetAside(whole=left, mended=mended)
        tried = of_a_part(env.last_tried(table.name))
        (outcome,) = build.conclude(
            step, [build.Candidate(table=table, readings={}, tried=tried, publication=left, aside=aside)]
        )
    return replace(told, outcome=outcome, mended=len(mended) if outcome.status == "published" else 0)


def discard(env: Environment, table: Table, chosen: Chosen, reason: str) -> int:
    """Give waiting rows up; how many. The reason is in the lake's commit, and in the ledger.

    Raises:
        UsageError: There is no reason, or no such row.
        RunError: The lake cannot be used, or another run builds the table.
    """
    if not reason.strip():
        raise UsageError("rows are not given up without a reason\n    Say why: --reason 'sent twice, see ticket 17'")
    run = f"discard {uuid.uuid4()}"
    with env.ledger.lease([table.name], run, wait=build.LEASE_WAIT), env.lake.session() as con:
        relation = _relation(env, table)
        listed = con.execute(
            f"SELECT {quoted(rows.ID)}, {quoted(rows.RULES)} FROM {relation} WHERE {chosen.condition}"
        ).fetchall()
        if not listed:
            raise UsageError(f"no such row of {spelt(table.name)} waits in quarantine\n    {_look(table)}")
        rules = sorted({rule for _, each in listed for rule in each})
        made = rows.without(env.lake, con, table.name, frozenset(id_ for id_, _ in listed))
        told = {"table": table.name, "rows": len(listed), "rules": rules, "reason": reason.strip(), "at": now()}
        env.lake.publish(
            con,
            [made.publication],
            run=run,
            pin=env.lake.head(),
            message=f"Given up: {len(listed)} rows of {spelt(table.name)}",
            about={"discarded": told},
            unmoved={made.publication.staged.table: made.before},
        )
    discards(env)
    return len(listed)


def discards(env: Environment, table: str = "") -> list[dict[str, Any]]:
    """What was given up, and why, newest first. The lake's commits are the record; the ledger is their index."""
    store: Store = env.ledger.store
    store.ensure(_schema)
    with store.reading() as db:
        known = db.execute(sa.select(sa.func.max(_discards.c.version))).scalar() or 0
    fresh = [
        {
            **{key: said[key] for key in ("table", "rows", "rules", "reason", "at")},
            "version": commit.version,
            "author": commit.author,
        }
        for commit in env.lake.commits(after=known)
        if isinstance(said := commit.info.get("discarded"), dict)
    ]
    if fresh:
        with store.writing() as db:
            store.put(db, _discards, fresh)
    query = sa.select(_discards).order_by(_discards.c.version.desc())
    with store.reading() as db:
        return [dict(row._mapping) for row in db.execute(query) if table in ("", row.table)]  # noqa: SLF001 - its public name


def _staged(step: Step, table: Table, chosen: Chosen, patch: Patch, version: int) -> Publication:
    """The waiting rows, mended, as a candidate that still carries their ids."""
    import duckdb

    env, con, relation = step.env, step.con, _relation(step.env, table)
    there = dict(described(con, relation))
    base = dict(env.lake.columns(con, table.name, version))
    own = [name for name in there if name not in rows.OWN]
    source = f"(SELECT {_changed(table, patch, own)} FROM {relation} WHERE {chosen.condition}) AS b"
    of_file = _of_file(con, patch.file, own) if patch.file is not None else {}
    picked = [f"{of_file.get(name, f'b.{quoted(name)}')} AS {quoted(name)}" for name in own]
    picked += [f"NULL::{kind} AS {quoted(name)}" for name, kind in base.items() if name not in there]
    if patch.file is not None:
        source = f"{source} LEFT JOIN temp.mesh_patch AS p ON p.{quoted(rows.ID)} = b.{quoted(rows.ID)}"
    query = f"SELECT {', '.join(picked)}, b.{quoted(rows.ID)} FROM {source}"
    try:
        staged = env.lake.stage(con, table.name, query, columns=table.contract.columns if table.contract else ())
    except duckdb.Error as error:
        told = build.without_values(step, table, str(error).splitlines()[0])
        raise UsageError(f"the rows cannot be mended so: {told}\n    Nothing was changed. {_look(table)}") from None
    if not staged.rows:
        env.lake.discard(staged)
        raise UsageError(f"no such row of {spelt(table.name)} waits in quarantine\n    {_look(table)}")
    if odd := build.does_not_fit(base, staged):
        env.lake.discard(staged)
        raise RunError(f"the rows that wait do not fit {spelt(table.name)}: {odd}\n    Load the table whole, once.")
    by_key = table.load is Load.UPSERT and table.key
    return Publication(
        staged=staged,
        record={},
        mode=Mode.UPSERT if by_key else Mode.APPEND,
        key=table.key if by_key else (),
        base=version,
    )


def _changed(table: Table, patch: Patch, own: Collection[str]) -> str:
    """The columns of a waiting row, some of them as expressions of what they were."""
    from mesh_assets.reading.conditions import wrong_with

    for name, expression in patch.changes.items():
        if name not in own:
            raise UsageError(f"`{name}` is no column of {spelt(table.name)}\n    {nearest(name, own)}")
        if wrong := wrong_with(expression, tuple(own), aggregates=False):
            raise UsageError(f"`{name}={expression}` cannot be used: {wrong[0]}\n    {wrong[1]}")
    told = ", ".join(f"({expression}) AS {quoted(name)}" for name, expression in patch.changes.items())
    return f"* REPLACE ({told})" if told else "*"


def _of_file(con: "duckdb.DuckDBPyConnection", file: Path, own: Collection[str]) -> dict[str, str]:
    import duckdb

    mend = f"Write a CSV with a header: `{rows.ID}`, as `mesh quarantine show` names rows, and the columns to change."
    try:
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE mesh_patch AS FROM read_csv({text(str(file))}, header => true, all_varchar => true)"
        )
    except duckdb.Error as error:
        raise UsageError(f"{file} cannot be read: {str(error).splitlines()[0]}\n    {mend}") from None
    columns = [name for name, _ in described(con, "temp.mesh_patch")]
    if rows.ID not in columns:
        raise UsageError(f"{file} has no column `{rows.ID}`\n    {mend}")
    for name in columns:
        if name != rows.ID and name not in own:
            raise UsageError(f"`{name}` in {file} is no column of the table\n    {nearest(name, own)}")
    twice = con.execute(f"SELECT 1 FROM temp.mesh_patch GROUP BY {quoted(rows.ID)} HAVING count(*) > 1").fetchall()
    if twice:
        raise UsageError(f"{file} names a row twice\n    {mend}")
    id_ = f"p.{quoted(rows.ID)} IS NULL"
    return {
        name: f"CASE WHEN {id_} THEN CAST(b.{quoted(name)} AS VARCHAR) ELSE p.{quoted(name)} END"
        for name in columns
        if name != rows.ID
    }


def _relation(env: Environment, table: Table) -> str:
    name = rows.table_of(table.name)
    if name not in env.lake.tables(quarantine=True):
        raise UsageError(f"no row of {spelt(table.name)} waits in quarantine\n    {_look(table)}")
    return env.lake.relation(name, env.lake.head())


def _look(table: Table) -> str:
    return f"See what does: mesh quarantine list, mesh quarantine show {spelt(table.name)}"


def _at() -> str:
    return f"strftime({quoted(rows.AT)} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%SZ')"
