"""What is in a version: counts, nulls, distinct values, extremes, a histogram. Values of masked columns never leave the lake.

Profiles are kept with the ledger: a version never changes, so each is computed once.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from mesh_assets.audit.sample import MASK, plain
from mesh_assets.contract import Column, Contract, Kind
from mesh_assets.domain import Table
from mesh_assets.environment import Environment, contract_hash

if TYPE_CHECKING:
    import duckdb

_schema = sa.MetaData()
_profiles = sa.Table(
    "profiles",
    _schema,
    sa.Column("table", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("contract", sa.Text, primary_key=True),
    sa.Column("profile", sa.JSON, nullable=False),
)
BARS = 12
TOP = 8
"""Most frequent values of a column with few."""
FEW = 30
"""Distinct values up to which a column of text is drawn."""
SAMPLED = 2_000_000
"""Rows above which extremes and histograms come from a sample of as many."""
DRAWN = 60
"""Columns with a histogram; of wider tables the first."""
EXACT = 500_000
"""Rows up to which distinct values are counted, not estimated."""
FORM = 2
"""Of what is kept: a profile of another form is made again."""
ROWS = 10
"""Of the sample that is shown."""
NUMBERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "FLOAT",
    "DOUBLE",
)
MOMENTS = ("DATE", "TIMESTAMP")


def visible(contract: Contract | None) -> frozenset[str]:
    """Columns whose values may be shown: named by the contract, and not masked by it."""
    return frozenset(column.name for column in contract.columns if not column.masked) if contract else frozenset()


def profile(env: Environment, table: Table, version: int) -> dict[str, Any]:
    """Of one version, by column; from the ledger where it is known."""
    store = env.ledger.store
    store.ensure(_schema)
    key = {"table": table.name, "version": version, "contract": f"{contract_hash(table)}:{FORM}"}
    where = [_profiles.c[name] == value for name, value in key.items()]
    with store.reading() as db:
        found = db.execute(sa.select(_profiles.c.profile).where(*where)).scalar()
    if found is None:
        with env.lake.session() as con:
            found = measure(
                con, env.lake.relation(table.name, version), table.contract, unique=_proven(env, table, version)
            )
        with store.writing() as db:
            store.put(db, _profiles, [{**key, "profile": found}], replace=True)
    return found


def sample(env: Environment, table: Table, version: int, limit: int = ROWS) -> dict[str, Any]:
    """A few rows; what may not be shown is never read."""
    import duckdb

    shown = visible(table.contract)
    with env.lake.session() as con:
        relation = env.lake.relation(table.name, version)
        columns = env.lake.columns(con, table.name, version)
        listed = ", ".join(_shown(name, kind, shown) for name, kind in columns)
        try:
            rows = con.execute(f"SELECT {listed} FROM {relation} AS r LIMIT {limit}").fetchall()
        except duckdb.Error:
            rows = []
    return {"columns": [name for name, _ in columns], "rows": [[plain(value) for value in row] for row in rows]}


def _proven(env: Environment, table: Table, version: int) -> frozenset[str]:
    """Columns of which a test has found every value of this version once, and none missing that must be there."""
    passed = {
        item["name"]
        for item in env.ledger.results(table.name, version, contract_hash(table)) or ()
        if item["status"] == "pass"
    }
    tests = table.contract.tests if table.contract else ()
    return frozenset(
        test.columns[0]
        for test in tests
        if test.name in passed and len(test.columns) == 1 and test.kind in (Kind.UNIQUE, Kind.PRIMARY_KEY)
    )


def measure(
    con: "duckdb.DuckDBPyConnection", relation: str, contract: Contract | None, *, unique: Collection[str] = ()
) -> dict[str, Any]:
    """The profile of a relation.

    Args:
        unique: Columns that are known to hold every value once: what they hold distinct need not be counted.
    """
    summary = con.execute(
        "SELECT column_name, column_type, min, max, approx_unique, count, null_percentage "
        f"FROM (SUMMARIZE FROM {relation})"
    ).fetchall()
    shown = visible(contract)
    known = {column.name: column for column in contract.columns} if contract else {}
    total = int(summary[0][5]) if summary else 0
    present, different = _counted(con, relation, [row[0] for row in summary], distinct=total <= EXACT)
    for name in unique:
        different[name] = present[name]
    about = {name: min(int(estimate or 0), present[name]) for name, _, _, _, estimate, *_ in summary}
    distinct = {**about, **different}
    names = [name for name, kind, *_ in summary if name in shown and _drawable(kind)]
    source = relation if total <= SAMPLED else f"(FROM {relation} USING SAMPLE {SAMPLED} ROWS)"
    pictures = _pictures(con, source, {row[0]: row for row in summary}, distinct, names[:DRAWN])
    columns = {
        name: {
            "type": kind,
            "nulls": total - present[name],
            "distinct": distinct[name],
            "exact": name in different,
            "min": _value(low) if name in shown else _masked(known.get(name), low),
            "max": _value(high) if name in shown else _masked(known.get(name), high),
            "histogram": (drawn := pictures.get(name, [])),
            "not_drawn": "" if drawn else _why_not(kind, distinct[name], shown=name in shown, asked=name in pictures),
        }
        for name, kind, low, high, *_ in summary
    }
    return {"rows": total, "sampled": total > SAMPLED, "columns": columns}


def _counted(
    con: "duckdb.DuckDBPyConnection", relation: str, names: Sequence[str], *, distinct: bool
) -> tuple[dict[str, int], dict[str, int]]:
    """By column how many values there are; and how many different ones, where those are asked for."""
    if not names:
        return {}, {}
    parts = [f"count({_quoted(name)})" for name in names]
    parts += [f"count(DISTINCT {_quoted(name)})" for name in names] if distinct else []
    found = con.execute(f"SELECT {', '.join(parts)} FROM {relation} AS r").fetchall()[0]
    counts = [int(count) for count in found]
    return dict(zip(names, counts, strict=False)), dict(zip(names, counts[len(names) :], strict=False))


def _why_not(kind: str, distinct: int, *, shown: bool, asked: bool) -> str:
    """In a word, why a column has no picture."""
    if not shown:
        return "masked"
    if not distinct:
        return "no values"
    if kind == "VARCHAR" and distinct > FEW:
        return f"more than {FEW} texts"
    if distinct == 1:
        return "one value"
    return "cannot be drawn" if asked else "not drawn"


def _drawable(kind: str) -> bool:
    return kind in NUMBERS or kind.startswith(("DECIMAL", *MOMENTS)) or kind in ("VARCHAR", "BOOLEAN")


def _pictures(
    con: "duckdb.DuckDBPyConnection",
    relation: str,
    summary: Mapping[str, Sequence],
    distinct: Mapping[str, int],
    names: Sequence[str],
) -> dict[str, list[dict[str, Any]]]:
    import duckdb

    found = {}
    for name in names:
        _, kind, low, high, *_ = summary[name]
        try:
            if kind in ("VARCHAR", "BOOLEAN"):
                found[name] = _frequent(con, relation, name) if distinct[name] <= FEW else []
            elif low is not None and low != high:
                found[name] = _bars(con, relation, name, kind)
        except duckdb.Error:  # infinite dates, a NaN: the numbers stand without the picture
            found[name] = []
    return found


def _frequent(con: "duckdb.DuckDBPyConnection", relation: str, name: str) -> list[dict[str, Any]]:
    rows = con.execute(
        f"SELECT CAST({_quoted(name)} AS VARCHAR), count(*) FROM {relation} AS r WHERE {_quoted(name)} IS NOT NULL "
        f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {TOP}"
    ).fetchall()
    return [{"label": plain(value), "count": int(count)} for value, count in rows]


def _bars(con: "duckdb.DuckDBPyConnection", relation: str, name: str, kind: str) -> list[dict[str, Any]]:
    timed = kind.startswith(MOMENTS)
    number = f"epoch({_quoted(name)}::TIMESTAMP)" if timed else f"{_quoted(name)}::DOUBLE"
    rows = con.execute(
        f"WITH v AS (SELECT {number} AS x FROM {relation} AS r WHERE {_quoted(name)} IS NOT NULL), "
        "e AS (SELECT min(x) AS low, max(x) AS high FROM v WHERE isfinite(x)) "
        f"SELECT least({BARS - 1}, floor((x - low) / (high - low) * {BARS}))::INTEGER AS bar, count(*), any_value(low), "
        "any_value(high) FROM v, e WHERE isfinite(x) AND high > low GROUP BY 1 ORDER BY 1"
    ).fetchall()
    if not rows:
        return []
    counts = {int(bar): int(count) for bar, count, *_ in rows}
    low, high = float(rows[0][2]), float(rows[0][3])
    width = (high - low) / BARS
    return [
        {"label": _edges(low + bar * width, low + (bar + 1) * width, timed=timed), "count": counts.get(bar, 0)}
        for bar in range(BARS)
    ]


def _edges(low: float, high: float, *, timed: bool) -> str:
    if timed:
        from datetime import UTC, datetime

        return " to ".join(datetime.fromtimestamp(edge, UTC).date().isoformat() for edge in (low, high))
    return f"{low:.6g} to {high:.6g}"


def _masked(column: Column | None, value: object) -> str | None:
    """Of a masked column that there is a value; of one that no contract names, nothing."""
    return None if value is None or column is None else MASK


def _value(value: object) -> object:
    return plain(str(value)) if value is not None else None


def _shown(name: str, kind: str, shown: frozenset[str]) -> str:
    if name not in shown:
        return f"'{MASK}'"
    if kind.startswith(("DATE", "TIME", "UUID", "INTERVAL", "STRUCT", "MAP", "UNION")) or kind.endswith("]"):
        return f"CAST(r.{_quoted(name)} AS VARCHAR)"
    return f"r.{_quoted(name)}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
