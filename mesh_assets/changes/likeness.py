"""Which column that is new looks like one that is gone: told from the rows of both versions.

It is asked only where a table lost a column and has another, so that publishing costs nothing more for all others. Both
versions are in the lake: their values are compared themselves, no summary of them has to be kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from mesh_assets.changes.renames import Rename, apart
from mesh_assets.changes.shape import ColumnShape, Shape
from mesh_assets.changes.widths import Width, width
from mesh_assets.environment import Environment
from mesh_assets.lake.sqltext import quoted

if TYPE_CHECKING:
    import duckdb

ROWS = 100_000
"""Rows of the old version that are looked for in the new one, about: those whose key's hash is smallest."""
ENOUGH_ROWS = 10
"""Rows that must be in both versions for them to tell anything."""
ALIKE_BY_KEY = 0.8
"""Least agreement beyond chance (Cohen's kappa) at which a name is offered."""
ALIKE_BY_VALUES = 0.7
"""Least similarity of the values (weighted Jaccard) at which a name is offered."""
SKETCH = 512
"""Values that are compared: those whose hash is smallest, the same ones on both sides."""
TIE = 0.02
"""Less than this between two columns is no difference: their names decide."""
PAIRS = 400
"""Pairs of columns that are compared; a table that lost and won more has been written anew."""


def by_data(
    con: "duckdb.DuckDBPyConnection", port: str, shapes: tuple[Shape, Shape], relations: tuple[str, str]
) -> tuple[Rename, ...]:
    """Renames that the rows tell: old ones against new ones, by key where both have the key, else by the values alone.

    Args:
        con: A session of the lake.
        port: `domain.table`.
        shapes: The old and the new one.
        relations: SQL that can stand after FROM, for the old and the new rows.

    Returns:
        At most one for each column that is gone, in the order of the old columns. A column that is all null, or has one value
        only, looks like nothing.
    """
    old, new = shapes
    gone, fresh = apart(old, new)
    pairs = [(a, b) for a in gone for b in fresh if _comparable(a.type, b.type)]
    if not pairs or len(pairs) > PAIRS:
        return ()
    how, least, scored = "rows", ALIKE_BY_KEY, None
    if old.key and all(new.type_of(name) == old.type_of(name) for name in old.key):
        scored = _by_key(con, old.key, pairs, relations)
    if scored is None:
        how, least, scored = "values", ALIKE_BY_VALUES, _by_values(con, pairs, relations)
    return tuple(_chosen(port, how, {pair: one for pair, one in scored.items() if one[0] >= least}, old))


def by_rows(env: Environment, port: str, shapes: tuple[Shape, Shape], candidate: str) -> tuple[Rename, ...]:
    """The same, of the last version against a candidate that SQL reads; nothing where there is no version."""
    seen = env.seen()
    if port not in seen:
        return ()
    with env.lake.session() as con:
        return by_data(con, port, shapes, (env.lake.relation(port, seen[port].version), candidate))


def _comparable(old: str, new: str) -> bool:
    """Whether a value of the one can be a value of the other: the same type, a wider or narrower one, or text."""
    plain = not {"[", "("} & set((old + new).replace("DECIMAL(", ""))
    return width(old, new) is not Width.OTHER or ("VARCHAR" in (old, new) and plain)


def _by_key(
    con: "duckdb.DuckDBPyConnection",
    key: Sequence[str],
    pairs: Sequence[tuple[ColumnShape, ColumnShape]],
    relations: tuple[str, str],
) -> dict[tuple[str, str], tuple[float, int]] | None:
    """Cohen's kappa of each pair that may be alike, over the rows of the same key; None when too few keys are in both versions.

    Kappa is (observed - expected) / (1 - expected), where `expected` is how often two columns of these values agree by chance
    (J. Cohen, A coefficient of agreement for nominal scales, 1960).
    """
    old, new = relations
    count = int(con.execute(f"SELECT count(*) FROM {old}").fetchall()[0][0])
    spelt = ", ".join(map(quoted, key))
    picked = f"WHERE hash({spelt}) % {max(1, count // ROWS)} = 0"
    columns = [f"{_as(b.type, a, 'o.')} AS o{i}, n.{quoted(b.name)} AS n{i}" for i, (a, b) in enumerate(pairs)]
    joined = f"SELECT {', '.join(columns)} FROM (FROM {old} {picked}) o JOIN (FROM {new} {picked}) n USING ({spelt})"
    con.execute(f"CREATE OR REPLACE TEMP TABLE mesh_renames AS {joined}")
    try:
        observed = ", ".join(f"count(*) FILTER (o{i} IS NOT DISTINCT FROM n{i})" for i in range(len(pairs)))
        rows, *agreeing = con.execute(f"SELECT count(*), {observed} FROM mesh_renames").fetchall()[0]
        if rows < max(ENOUGH_ROWS, min(count, ROWS) // 10):
            return None
        found = {}
        for i, (a, b) in enumerate(pairs):
            share = agreeing[i] / rows
            if share < ALIKE_BY_KEY:  # chance makes it less, never more
                continue
            chance = con.execute(
                f"SELECT coalesce(sum(o.c * n.c), 0) FROM (SELECT o{i} AS v, count(*)::DOUBLE AS c FROM mesh_renames GROUP BY 1) o "
                f"JOIN (SELECT n{i} AS v, count(*)::DOUBLE AS c FROM mesh_renames GROUP BY 1) n ON o.v IS NOT DISTINCT FROM n.v"
            ).fetchall()[0][0] / (rows * rows)
            if chance < 1:
                found[a.name, b.name] = ((share - chance) / (1 - chance), rows)
        return found
    finally:
        con.execute("DROP TABLE IF EXISTS mesh_renames")


def _by_values(
    con: "duckdb.DuckDBPyConnection", pairs: Sequence[tuple[ColumnShape, ColumnShape]], relations: tuple[str, str]
) -> dict[tuple[str, str], tuple[float, int]]:
    """The weighted Jaccard similarity of each pair: of the shares of their values, over those with the smallest hashes.

    Such a sketch takes the same values on both sides, so that it estimates the similarity of the whole (E. Cohen and H. Kaplan,
    Summarizing data using bottom-k sketches, 2007).
    """
    sketches: dict[tuple[int, str, str], dict[int, float]] = {}

    def sketch(side: int, column: ColumnShape, type_: str) -> dict[int, float]:
        at = (side, column.name, type_)
        if at not in sketches:
            value = _as(type_, column)
            rows = con.execute(
                f"SELECT hash({value}) AS h, count(*) / sum(count(*)) OVER () AS share FROM {relations[side]} GROUP BY 1 ORDER BY 1 LIMIT {SKETCH}"
            ).fetchall()
            sketches[at] = {int(key): float(share) for key, share in rows}
        return sketches[at]

    found = {}
    for a, b in pairs:
        was, now = sketch(0, a, b.type), sketch(1, b, b.type)
        both = sorted(was.keys() | now.keys())[:SKETCH]
        if len(both) < 2:  # noqa: PLR2004 - one value: a constant is like every other constant
            continue
        most = sum(max(was.get(key, 0.0), now.get(key, 0.0)) for key in both)
        least = sum(min(was.get(key, 0.0), now.get(key, 0.0)) for key in both)
        found[a.name, b.name] = (least / most if most else 0.0, len(both))
    return found


def _chosen(port: str, how: str, scored: Mapping[tuple[str, str], tuple[float, int]], old: Shape) -> Iterator[Rename]:
    """For each column that is gone the new one that is most like it, each new one once; between equals their names decide."""
    taken: dict[str, tuple[str, tuple[str, ...]]] = {}

    def order(pair: tuple[str, str]) -> tuple[float, float]:
        return (-round(scored[pair][0] / TIE), -SequenceMatcher(None, pair[0].lower(), pair[1].lower()).ratio())

    for before, after in sorted(scored, key=order):
        if before in taken or after in {name for name, _ in taken.values()}:
            continue
        score = scored[before, after][0]
        equal = [b for (a, b), (other, _) in scored.items() if a == before and b != after and abs(other - score) < TIE]
        taken[before] = (after, tuple(equal))
    rivals = {after for after, _ in taken.values()}
    for column in old.columns:
        if column.name in taken:
            after, equal = taken[column.name]
            likeness, compared = scored[column.name, after]
            others = tuple(name for name in equal if name not in rivals)
            yield Rename(
                port=port,
                before=column.name,
                after=after,
                how=how,
                likeness=max(0.0, min(1.0, likeness)),
                compared=compared,
                others=others,
            )


def _as(type_: str, column: ColumnShape, side: str = "") -> str:
    """A column's value in another type, in SQL; null where it has no place there."""
    value = side + quoted(column.name)
    return value if column.type == type_ else f"TRY_CAST({value} AS {type_})"
