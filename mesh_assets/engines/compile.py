"""A test as one query of another engine, with the verdict and the count that DuckDB comes to.

The condition is the one that DuckDB is asked, translated by sqlglot. Executed in our tests: PostgreSQL and Spark. Trino,
Snowflake and BigQuery are compiled only; their SQL is kept as snapshots. What an engine cannot do the same way is refused.
"""

from collections.abc import Callable, Iterable, Mapping

import sqlglot
from sqlglot import exp

from mesh_assets.audit.questions import as_text, fails, pattern_of_format
from mesh_assets.audit.values import HOLDS, CannotAnswer, ColumnType, Family, quoted
from mesh_assets.contract import Kind, Test
from mesh_assets.engines.patterns import elsewhere

DIALECTS = ("postgres", "spark", "trino", "snowflake", "bigquery")
ROWS = (
    Kind.REQUIRED, *HOLDS, Kind.MULTIPLE_OF, Kind.PATTERN, Kind.FORMAT, Kind.MIN_LENGTH, Kind.MAX_LENGTH,
    Kind.NULL_VALUES, Kind.MISSING_VALUES, Kind.INVALID_VALUES,
)  # fmt: skip
REPEATS = (Kind.UNIQUE, Kind.PRIMARY_KEY, Kind.DUPLICATE_VALUES)
_NO_NAN = ("postgres", "snowflake")
Types = Mapping[str, ColumnType]


def count(test: Test, table: str, types: Types, dialect: str) -> str:
    """A query of one number: the rows that the test counts.

    Args:
        table: As the engine spells it, quoted where it must be.

    Raises:
        CannotAnswer: The test cannot be asked there, or not with the same meaning.
    """
    if dialect not in DIALECTS:
        raise CannotAnswer(f"`{dialect}` is not an engine that tests are compiled for; known: {', '.join(DIALECTS)}")
    if test.kind is Kind.ROW_COUNT:
        return f"SELECT COUNT(*) AS n FROM {table}"
    if missing := [name for name in test.columns if name not in types]:
        raise CannotAnswer(f"column `{missing[0]}` is missing")
    for name in test.columns:
        _same_type(types[name], dialect)
    if test.kind in REPEATS:
        return _repeats(test, table, types, dialect)
    if test.kind not in ROWS:
        raise CannotAnswer(f"tests of kind `{test.kind}` are executed in the lake only, not on {dialect}")
    return f"SELECT COUNT(*) AS n FROM {table} WHERE {_condition(test, types, dialect)}"


def rows(test: Test, table: str, types: Types, dialect: str, columns: Iterable[str], limit: int) -> str:
    """A query of the first rows that the test counts, as `count` is of their number.

    Args:
        columns: What is selected of the table `_r`, as DuckDB spells it.

    Raises:
        CannotAnswer: The test has no such rows, or cannot be asked there.
    """
    if test.kind not in (*ROWS, *REPEATS):
        raise CannotAnswer(f"tests of kind `{test.kind}` count no single rows")
    picked = ", ".join(_translated(column, dialect, None) for column in columns)
    if test.kind in ROWS:
        return f"SELECT {picked} FROM {table} AS _r WHERE {_condition(test, types, dialect)} LIMIT {limit}"
    names = [_name(column, dialect) for column in test.columns]
    listed = ", ".join(names)
    groups = f"SELECT {listed} {_groups(test, table, types, dialect)} ORDER BY {listed} LIMIT {limit}"
    same = " AND ".join(
        _translated(f"_r.{quoted(name)} IS NOT DISTINCT FROM _g.{quoted(name)}", dialect, None) for name in test.columns
    )
    order = ", ".join(f"_r.{name}" for name in names)
    return f"SELECT {picked} FROM {table} AS _r JOIN ({groups}) AS _g ON {same} ORDER BY {order} LIMIT {limit}"


def refusal(test: Test, types: Types, dialect: str) -> str:
    """Why a test cannot be asked there; empty: it can. Names and types of columns are told by the engine itself."""
    if test.kind in (Kind.COLUMNS, Kind.TYPES):
        return ""
    if test.quarantines:
        return "failing rows can be set aside in the lake only"
    try:
        count(test, "t", types, dialect)
    except CannotAnswer as why:
        return str(why)
    return ""


def _condition(test: Test, types: Types, dialect: str) -> str:
    if test.kind in HOLDS and types[test.columns[0]].family is Family.TEXT:
        raise CannotAnswer(f"texts have another order on {dialect}")
    return _translated(fails(test, types), dialect, _pattern(test, types, dialect))


def _repeats(test: Test, table: str, types: Types, dialect: str) -> str:
    groups = f"SELECT COUNT(*) AS n {_groups(test, table, types, dialect)}"
    return f"SELECT COALESCE(SUM(n), 0) AS n FROM ({groups}) AS g"


def _groups(test: Test, table: str, types: Types, dialect: str) -> str:
    """The keys that repeat, or are missing where they must be given; what follows `SELECT …`."""
    names = ", ".join(_name(column, dialect) for column in test.columns)
    if dialect in ("trino", "snowflake", "bigquery") and any(
        types[name].family is Family.FLOAT for name in test.columns
    ):
        raise CannotAnswer(f"NaN is not equal to itself on {dialect}")
    condition, where = "COUNT(*) > 1", ""
    if test.kind is Kind.PRIMARY_KEY:
        required = Test(name=test.name, kind=Kind.REQUIRED, columns=test.columns)
        condition = f"COUNT(*) > 1 OR {_translated(fails(required, types), dialect, None)}"
    elif test.kind is Kind.DUPLICATE_VALUES:
        where = " WHERE " + " AND ".join(f"{_name(column, dialect)} IS NOT NULL" for column in test.columns)
    return f"FROM {table}{where} GROUP BY {names} HAVING {condition}"


def _same_type(type_: ColumnType, dialect: str) -> None:
    if (
        type_.family is Family.OTHER
        or "HUGEINT" in type_.name
        or (type_.family is Family.INTEGER and type_.name[0] == "U")
    ):
        raise CannotAnswer(f"{type_.name} is no type of {dialect}")
    if type_.family is Family.TIME and dialect == "spark":
        raise CannotAnswer("TIME is no type of spark")


def _pattern(test: Test, types: Types, dialect: str) -> str | None:
    if "pattern" in test.arguments:
        return elsewhere(test.arguments["pattern"], dialect)
    if test.kind is Kind.FORMAT and (
        pattern := pattern_of_format(test.arguments.get("format"), types[test.columns[0]])
    ):
        as_text(types[test.columns[0]])
        return elsewhere(pattern, dialect)
    return None


def _translated(condition: str, dialect: str, pattern: str | None) -> str:
    tree = sqlglot.parse_one(condition, read="duckdb")
    rewrite = _rewriter(dialect, pattern)
    return tree.transform(rewrite).sql(dialect=dialect)


def _rewriter(dialect: str, pattern: str | None) -> Callable[[exp.Expression], exp.Expression]:
    def rewrite(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.RegexpLike) and pattern is not None:
            return _matches(node, pattern, dialect)
        if isinstance(node, exp.IsNan) and dialect in _NO_NAN:
            return exp.EQ(this=node.this, expression=_special("NaN"))
        if isinstance(node, exp.Anonymous) and node.name.lower() == "isfinite":
            return _finite(node.expressions[0], dialect)
        return node

    return rewrite


def _matches(node: exp.RegexpLike, pattern: str, dialect: str) -> exp.Expression:
    literal = exp.Literal.string(pattern)
    if dialect == "snowflake":  # its REGEXP_LIKE is about the whole text
        found = exp.Anonymous(this="REGEXP_INSTR", expressions=[node.this, literal])
        return exp.Paren(this=exp.GT(this=found, expression=exp.Literal.number(0)))
    return exp.RegexpLike(this=node.this, expression=literal)


def _finite(column: exp.Expression, dialect: str) -> exp.Expression:
    names = ["NaN", "Infinity", "-Infinity"]
    if dialect == "snowflake":
        names = ["NaN", "inf", "-inf"]
    if dialect in ("trino", "bigquery"):
        nan = exp.Anonymous(this="is_nan", expressions=[column.copy()])
        infinite = exp.Anonymous(this="is_infinite" if dialect == "trino" else "is_inf", expressions=[column.copy()])
        return exp.Paren(this=exp.Not(this=exp.Paren(this=exp.or_(nan, infinite))))
    return exp.Paren(this=exp.Not(this=exp.In(this=column.copy(), expressions=[_special(name) for name in names])))


def _special(name: str) -> exp.Expression:
    return exp.Cast(this=exp.Literal.string(name), to=exp.DataType.build("double"))


def _name(column: str, dialect: str) -> str:
    return sqlglot.parse_one(quoted(column), read="duckdb").sql(dialect=dialect)
