"""No two rows with the same key: proved by what is known, by disjoint ranges, by order, by numbers in memory; else compared.

Uniqueness is of the whole table, so it is not remembered file by file. Files that together were once proved to repeat no
key are remembered as a set: of what is added to them, only the new files are judged, and compared with those old ones
whose range meets theirs.
"""

import uuid
from dataclasses import dataclass

import duckdb

from mesh_assets.audit.contents import Bounds, Contents, DataFile, Layer, Memory
from mesh_assets.audit.plan import Plan, apart_rule, proved_of
from mesh_assets.audit.proofs import Keys, lean, span
from mesh_assets.audit.questions import missing as is_missing
from mesh_assets.audit.scan import Counted, among
from mesh_assets.audit.values import Family, quoted
from mesh_assets.contract import Kind


@dataclass(frozen=True, slots=True)
class Repeats:
    """What a test of keys counts, and what shows it.

    Attributes:
        rows: As `Question.rows`; empty: the question's own.
        how: The proof, when there is one.
        aside: A temporary table that `rows` reads; drop it in the end.
    """

    total: int
    rows: str = ""
    how: str = ""
    aside: str = ""


COUNT, SUM = '"mesh · rows"', '"mesh · all rows"'
"""Columns beside those of the keys."""


def repeats(
    con: duckdb.DuckDBPyConnection,
    plan: Plan,
    number: int,
    missing: Counted | None,
    memory: Memory | None,
    limit: int,
) -> Repeats:
    """Rows that share their key with another one, or have none where they must.

    Args:
        con: Outside a transaction.
        plan: Of which the step is.
        number: Of the step.
        missing: Rows without a key, where they are counted too and it is known how many.
        memory: None: nothing is remembered.
        limit: Rows to show.
    """
    step = plan.steps[number]
    keys, contents = step.keys, plan.contents
    if keys is None or step.question is None:
        raise TypeError(step)
    primary = step.test.kind is Kind.PRIMARY_KEY
    without = " OR ".join(is_missing(column, keys.types[column]) for column in keys.columns) if primary else ""
    rule = apart_rule(keys, contents.table) if contents and memory else ""
    how, within = _prove(con, plan, keys, rule, memory)
    if how and not (missing.total if missing else primary and _any(con, plan.relation, without)):
        return Repeats(0, how=how)
    if how:  # nothing repeats, but some keys are not there
        within = "FALSE"
    if within and without:
        within = f"{within} OR {without}"
    rows = sum(file.rows for file in contents.files) if contents else None
    with lean(con, rows):
        found = _compared(con, plan, keys, within, limit, without=without)
    if not found.total:
        _keep(plan, rule, memory)
    return found


def _keep(plan: Plan, rule: str, memory: Memory | None) -> None:
    """Its files together repeat no key."""
    contents = plan.contents
    if memory and contents and contents.exact and all(plan.ids.get(file.path) for file in contents.files):
        memory.keep_set(rule, frozenset(plan.ids[file.path][0] for file in contents.files))


def _compared(
    con: duckdb.DuckDBPyConnection, plan: Plan, keys: Keys, within: str, limit: int, *, without: str
) -> Repeats:
    """All keys against each other, or those within a condition that all repeated ones fulfil.

    The first of them are put aside, so that their rows can be shown without doing it again.
    """
    names = ", ".join(map(quoted, keys.columns))
    having = "count(*) > 1" + (f" OR {without}" if without else "")
    source = keys.of(f"(FROM {plan.relation})", within)
    groups = f"SELECT {names}, count(*) AS {COUNT} FROM {source} GROUP BY {names} HAVING {having}"
    aside = f"mesh_repeats_{uuid.uuid4().hex}"
    con.execute(
        f"CREATE TEMP TABLE {aside} AS SELECT *, CAST(sum({COUNT}) OVER () AS BIGINT) AS {SUM} FROM ({groups}) "
        f"ORDER BY {names} LIMIT {max(limit, 1)}"
    )
    row = con.execute(f"SELECT any_value({SUM}) FROM temp.{aside}").fetchone()
    total = int(row[0] or 0) if row else 0
    same = " AND ".join(f"_r.{quoted(column)} IS NOT DISTINCT FROM _g.{quoted(column)}" for column in keys.columns)
    where = f" WHERE {within}" if within else ""
    shown = f"FROM (SELECT * FROM {plan.relation}{where}) AS _r SEMI JOIN temp.{aside} AS _g ON {same} "
    return Repeats(
        total, shown + f"ORDER BY {', '.join(f'_r.{quoted(column)}' for column in keys.columns)}", aside=aside
    )


def _any(con: duckdb.DuckDBPyConnection, relation: str, condition: str) -> bool:
    return con.execute(f"SELECT 1 FROM {relation} WHERE {condition} LIMIT 1").fetchone() is not None


def _prove(con: duckdb.DuckDBPyConnection, plan: Plan, keys: Keys, rule: str, memory: Memory | None) -> tuple[str, str]:
    """How it is proved that no key repeats (empty: it is not), and a condition that all repeated ones fulfil, if known."""
    contents = plan.contents
    if contents is None:
        ends, rows = _ends(con, plan.relation, keys)
        return keys.search(con, keys.of(plan.relation), ends, rows)
    known = _known(plan, rule, memory)
    fresh = [file for file in contents.files if file.path not in known and file.rows]
    if not fresh:
        return ("remembered", "") if known else ("there are no rows", "")
    if known:
        how = _added(con, contents, keys, known, fresh)
    else:
        how, within = _alone(con, contents, keys, fresh)
        if not how:
            return "", within if contents.exact else ""
    if how:
        _keep(plan, rule, memory)
    return how, ""


def _known(plan: Plan, rule: str, memory: Memory | None) -> frozenset[str]:
    """Paths of files that together are known to repeat no key, also with fewer rows."""
    if memory is None or plan.contents is None:
        return frozenset()
    return proved_of(plan.contents.files, plan.ids, memory.recall_set(rule))


def _added(
    con: duckdb.DuckDBPyConnection, contents: Contents, keys: Keys, known: frozenset[str], fresh: list[DataFile]
) -> str:
    how, _ = _alone(con, contents, keys, fresh)
    if not how:
        with lean(con, sum(file.rows for file in fresh)):
            if _repeat(con, keys, _source(contents, keys, fresh)):
                return ""
    old = [
        file
        for layer in contents.layers
        for file in layer.files
        if file.path in known
        and not keys.apart(file, fresh)
        and not (layer.apart and set(layer.apart) <= set(keys.columns) and not _in(layer, fresh))
    ]
    if not old:
        return "remembered, and nothing that is new meets it"
    if keys.meet(con, _source(contents, keys, old), _source(contents, keys, fresh)):
        return ""
    return "remembered, and nothing that is new is equal to it"


def _alone(con: duckdb.DuckDBPyConnection, contents: Contents, keys: Keys, files: list[DataFile]) -> tuple[str, str]:
    source = _source(contents, keys, files)
    rows = sum(file.rows for file in files)
    if rows < 2:  # noqa: PLR2004 - one row is not equal to another
        return "there is one row", ""
    ends = None
    if len(keys.columns) == 1:
        spans = [span(file.bounds.get(keys.columns[0], Bounds()), keys.types[keys.columns[0]]) for file in files]
        if all(spans):
            ends = (min(each[0] for each in spans if each), max(each[1] for each in spans if each))
    return keys.search(con, source, ends, rows)


def _source(contents: Contents, keys: Keys, files: list[DataFile]) -> str:
    """The keys of these files, as a relation."""
    wanted = {file.path for file in files}
    parts = []
    for layer in contents.layers:
        held = [file.path for file in layer.files if file.path in wanted]
        if held:
            which = "" if len(held) == len(layer.files) else among(held)
            parts.append(keys.of(layer.sql, " AND ".join(f"({part})" for part in (which, layer.where) if part)))
    return parts[0] if len(parts) == 1 else f"({' UNION ALL '.join(f'FROM {part}' for part in parts)})"


def _repeat(con: duckdb.DuckDBPyConnection, keys: Keys, source: str) -> bool:
    names = ", ".join(map(quoted, keys.columns))
    return con.execute(f"SELECT 1 FROM {source} GROUP BY {names} HAVING count(*) > 1 LIMIT 1").fetchone() is not None


def _in(layer: Layer, files: list[DataFile]) -> bool:
    held = {file.path for file in layer.files}
    return any(file.path in held for file in files)


def _ends(con: duckdb.DuckDBPyConnection, relation: str, keys: Keys) -> tuple[tuple | None, int | None]:
    """Least and greatest key, and how many rows there are; where asking costs little."""
    if len(keys.columns) != 1 or keys.types[keys.columns[0]].family is not Family.INTEGER:
        return None, None
    name = quoted(keys.columns[0])
    low, high, rows = con.execute(f"SELECT min({name}), max({name}), count(*) FROM {relation}").fetchone() or (
        None,
        None,
        0,
    )
    return (None if low is None else (low, high)), rows
