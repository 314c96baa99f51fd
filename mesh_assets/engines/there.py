"""Where the rows of a port stay that the mesh does not copy: a connection for reading alone, and what columns are there."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from mesh_assets import external, raw
from mesh_assets.domain import Database, Mesh, Table
from mesh_assets.errors import RunError
from mesh_assets.lake.trouble import without_passwords

SECONDS = 600
"""How long one query may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class There:
    """A table where it is.

    Attributes:
        ask: Runs a query of one number; raises what the engine raises.
        show: Runs a query of some rows, likewise.
        relation: The table, as the engine spells it.
        columns: Its columns in order, each with its type in DuckDB's words; or in the engine's, where it has no equal.
    """

    ask: Callable[[str], int]
    show: Callable[[str], Sequence[Sequence[object]]]
    relation: str
    columns: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def opened(mesh: Mesh, table: Table) -> Generator[There]:
    """The table where it stays, as one transaction sees it where the engine has any.

    Raises:
        RunError: It cannot be reached.
    """
    if table.database is not None:
        with _postgres(table.name, table.database) as there:
            yield there
    else:
        yield _spark(mesh, table)


@contextmanager
def _postgres(table: str, database: Database) -> Generator[There]:
    import psycopg
    from psycopg import sql

    address = external.address(table, database)
    name = sql.Identifier(*database.relation.split("."))
    try:
        con = psycopg.connect(address, connect_timeout=10)
    except psycopg.Error as error:
        raise _unreachable(table, str(error).replace(address, "postgres")) from None
    with con:
        con.isolation_level, con.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
        try:
            con.execute(sql.SQL("SET LOCAL statement_timeout = '{}s'").format(SECONDS))
            con.execute("SET LOCAL timezone = 'UTC'")
            found = con.execute(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                [name.as_string(con)],
            ).fetchall()
        except psycopg.Error as error:
            raise _unreachable(table, str(error)) from None

        def show(query: str) -> Sequence[Sequence[object]]:
            with con.transaction():  # a savepoint: what one test stumbles over does not end the others
                return con.execute(query.encode()).fetchall()

        yield There(
            ask=lambda query: int(str(show(query)[0][0])),
            show=show,
            relation=name.as_string(con),
            columns={column: _type(told, "postgres") for column, told in found},
        )


def _spark(mesh: Mesh, table: Table) -> There:
    try:
        from pyspark.sql import SparkSession  # ty: ignore[import-not-found] - an extra, in no lock file
    except ImportError:
        mend = "Install it where the mesh runs: pip install 'mesh_assets[spark]'; it needs Java."
        raise RunError(f"{table.name} stays on spark, and there is no pyspark here\n    {mend}") from None
    folder = raw.folder_of(mesh, table)
    paths = [str(path) for path in raw.files(folder, table.source)] if table.source else []
    if not paths:
        raise _unreachable(table.name, f"no file matches {table.source.pattern if table.source else ''}")
    try:
        spark = SparkSession.builder.getOrCreate().newSession()
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        rows = spark.read.option("basePath", str(folder)).parquet(*paths)
        rows.createOrReplaceTempView("mesh_rows")
    except Exception as error:  # noqa: BLE001 - Java's errors have no type of their own here
        raise _unreachable(table.name, str(error)) from None
    return There(
        ask=lambda query: int(spark.sql(query).collect()[0][0]),
        show=lambda query: spark.sql(query).collect(),
        relation="mesh_rows",
        columns={column: _type(told, "spark") for column, told in rows.dtypes},
    )


def _type(told: str, engine: str) -> str:
    """The type as DuckDB spells it; as the engine does, where it has no equal: decimals without digits hold anything."""
    import duckdb
    import sqlglot
    from sqlglot import exp

    if told == "numeric":
        return told
    try:
        return str(duckdb.sqltype(exp.DataType.build(told, dialect=engine).sql(dialect="duckdb")))
    except (duckdb.Error, sqlglot.errors.SqlglotError, ValueError):
        return told


def _unreachable(table: str, told: str) -> RunError:
    line = without_passwords(" ".join(told.split()))[:300]
    return RunError(f"{table} cannot be read where it stays: {line}\n    Is it up, and does the user see the table?")
