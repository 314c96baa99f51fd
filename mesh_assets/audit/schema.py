"""What a contract means, said in pandera: the named reference is pandera's polars backend.

The executor (`execute.py`) must come to the same verdicts and counts; property tests compare the two. A frame can also be
validated by hand: `schema(contract).validate(frame, lazy=True)`. Tests in SQL have their meaning in SQL and are left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TypedDict

import duckdb
import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData
from pandera.config import ValidationDepth, config_context
from pandera.dtypes import DataType
from pandera.engines.polars_engine import DateTime
from pandera.engines.polars_engine import Engine as PolarsEngine
from pandera.errors import SchemaErrorReason, SchemaErrors

from mesh_assets.audit.metric import demand, holds, measure, numbers
from mesh_assets.audit.patterns import Engine, compiled
from mesh_assets.audit.questions import INTEGER_FORMATS, as_text, length, missing_words, pattern_of_format, values
from mesh_assets.audit.values import HOLDS, INTEGERS, CannotAnswer, ColumnType, Family, bound, column_type, step
from mesh_assets.audit.words import meaning
from mesh_assets.contract import Contract, Kind, Severity, Test


class Options(TypedDict):
    """What all checks are told."""

    name: str
    error: str
    raise_warning: bool


Related = Callable[[str], pl.DataFrame | None]
Types = Mapping[str, ColumnType]
_COMPARE = {">=": pa.Check.ge, "<=": pa.Check.le, ">": pa.Check.gt, "<": pa.Check.lt}
_DTYPES = {
    "TINYINT": pl.Int8, "SMALLINT": pl.Int16, "INTEGER": pl.Int32, "BIGINT": pl.Int64, "HUGEINT": pl.Int128,
    "UTINYINT": pl.UInt8, "USMALLINT": pl.UInt16, "UINTEGER": pl.UInt32, "UBIGINT": pl.UInt64,
    "FLOAT": pl.Float32, "DOUBLE": pl.Float64, "VARCHAR": pl.String, "UUID": pl.String, "BOOLEAN": pl.Boolean,
    "BLOB": pl.Binary, "DATE": pl.Date, "TIME": pl.Time,
    "TIMESTAMP": pl.Datetime("us"), "TIMESTAMP_S": pl.Datetime("us"), "TIMESTAMP_MS": pl.Datetime("us"),
    "TIMESTAMP_NS": pl.Datetime("ns"), "TIMESTAMP WITH TIME ZONE": pl.Datetime("us", "UTC"),
}  # fmt: skip


def schema(contract: Contract, *, related: Related = lambda _: None) -> pa.DataFrameSchema:
    """The contract as a pandera schema; every check bears its test's name, a warning stays a warning.

    Args:
        related: The frame of another table, by `domain.table`; references to a table without one are left out.

    Raises:
        CannotAnswer: A test makes no sense for its column, as a minimum of a boolean.
    """
    types = {column.name: column_type(str(duckdb.sqltype(column.type))) for column in contract.columns}
    by_kind = {kind: [test for test in contract.tests if test.kind is kind] for kind in Kind}
    hard = [test for test in contract.tests if test.severity is Severity.ERROR]
    single = {(test.kind, test.columns[0]): test for test in hard if len(test.columns) == 1}
    checks = [(test, check) for test in contract.tests if (check := _check(test, types, related))]
    # Also those of several columns belong to one: pandera cannot report whole rows that hold numbers above 2^63.
    owned = [(test.columns[0] if test.columns else next(iter(types), None), check) for test, check in checks]
    columns = {
        name: pa.Column(
            _declared(type_) if by_kind[Kind.TYPES] else None,  # ty: ignore[invalid-argument-type] - pandera takes its own
            checks=[check for owner, check in owned if owner == name],
            nullable=(Kind.REQUIRED, name) not in single,
            unique=(Kind.UNIQUE, name) in single,
            required=bool(by_kind[Kind.COLUMNS]),
        )
        for name, type_ in types.items()
    }
    return pa.DataFrameSchema(columns, checks=[check for owner, check in owned if owner is None], name=contract.name)


def failures(contract: Contract, frame: pl.DataFrame, *, related: Related = lambda _: None) -> dict[str, int]:
    """How many rows fail each test, by its name, as pandera reports them; a metric that fails counts 1.

    Severity does not matter here: a warning is a failure like any other.
    """
    contract = replace(contract, tests=tuple(replace(test, severity=Severity.ERROR) for test in contract.tests))
    counts = {test.name: 0 for test in contract.tests}
    try:
        with config_context(validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            schema(contract, related=related).validate(frame, lazy=True)
    except SchemaErrors as errors:
        for error in errors.schema_errors:
            if error.reason_code is SchemaErrorReason.CHECK_ERROR:
                msg = f"the reference cannot execute {error.check}: {error.failure_cases}"
                raise CannotAnswer(msg) from errors
            for name in _names(contract, error):
                counts[name] += error.failure_cases.height if isinstance(error.failure_cases, pl.DataFrame) else 1
    return counts


def dtype(type_: ColumnType) -> pl.DataType | type[pl.DataType] | None:
    """Polars' type of such a column; None for nested and other types, which the reference does not compare."""
    if type_.family is Family.DECIMAL:
        width = len(str(type_.high))
        return pl.Decimal(width, type_.scale)
    return _DTYPES.get(type_.name)


def _declared(type_: ColumnType) -> DataType | None:
    """As pandera compares it: a moment is the same in every time zone."""
    if type_.family is Family.TIMESTAMPTZ:
        return DateTime(time_zone_agnostic=True, time_unit="us")
    found = dtype(type_)
    return None if found is None else PolarsEngine.dtype(found)


def counted(test: Test, types: Types) -> pl.Expr:
    """True for the rows that a metric counts."""
    if test.kind is Kind.NULL_VALUES:
        return pl.any_horizontal(_missing(name, types[name]) for name in test.columns)
    if test.kind is Kind.DUPLICATE_VALUES:
        known = pl.all_horizontal(pl.col(name).is_not_null() for name in test.columns)
        return known & pl.struct(test.columns).is_duplicated()
    (name,) = test.columns
    type_, column = types[name], pl.col(name)
    if test.kind is Kind.MISSING_VALUES:
        listed = _series(missing_words(test, type_), type_)
        return _missing(name, type_) | column.is_in(listed.implode()).fill_null(value=False)
    wrong = pl.lit(value=False)
    if "valid_values" in test.arguments:
        wrong |= ~column.is_in(_series(values(test, "valid_values", type_), type_).implode())
    if "pattern" in test.arguments:
        wrong |= ~column.str.contains(compiled(test.arguments["pattern"], Engine.POLARS))
    return wrong.fill_null(value=False)


_METRICS = (Kind.NULL_VALUES, Kind.MISSING_VALUES, Kind.INVALID_VALUES, Kind.DUPLICATE_VALUES)


def _names(contract: Contract, error: pa.errors.SchemaError) -> list[str]:
    """The tests that an error of pandera's belongs to."""
    if isinstance(error.check, pa.Check):
        return [str(error.check.name)]
    kinds: dict[SchemaErrorReason | None, Kind] = {
        SchemaErrorReason.SERIES_CONTAINS_NULLS: Kind.REQUIRED,
        SchemaErrorReason.SERIES_CONTAINS_DUPLICATES: Kind.UNIQUE,
        SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME: Kind.COLUMNS,
        SchemaErrorReason.WRONG_DATATYPE: Kind.TYPES,
    }
    kind = kinds[error.reason_code]
    return [
        test.name
        for test in contract.tests
        if test.kind is kind and (kind in (Kind.COLUMNS, Kind.TYPES) or test.columns == (error.schema.name,))
    ]


def _check(test: Test, types: Types, related: Related) -> pa.Check | None:
    """The test as a check; None where a property of the column says it, or where it has no meaning in pandera."""
    options = Options(name=test.name, error=meaning(test), raise_warning=test.severity is Severity.WARNING)
    hard = test.severity is Severity.ERROR
    match test.kind:
        case Kind.COLUMNS | Kind.TYPES | Kind.SQL | Kind.LIBRARY | Kind.PANDERA:
            return None
        case Kind.REQUIRED:
            return None if hard else pa.Check(_each(~_missing(test.columns[0], types[test.columns[0]])), **options)
        case Kind.UNIQUE:
            return (
                None
                if hard and len(test.columns) == 1
                else pa.Check(_each(~pl.struct(test.columns).is_duplicated()), **options)
            )
        case Kind.PRIMARY_KEY:
            missing = pl.any_horizontal(_missing(name, types[name]) for name in test.columns)
            return pa.Check(_each(~(missing | pl.struct(test.columns).is_duplicated())), **options)
        case Kind.REFERENCE:
            frame = related(str(test.arguments.get("to_table")))
            return None if frame is None else pa.Check(_in_other(test, frame), **options)
        case Kind.ROW_COUNT:
            return pa.Check(_metric(test, pl.len()), **options)
        case kind if kind in _METRICS:
            return pa.Check(_metric(test, counted(test, types).sum()), **options)
    return _of_column(test, types[test.columns[0]], options)


def _of_column(test: Test, type_: ColumnType, options: Options) -> pa.Check | None:
    match test.kind:
        case kind if kind in HOLDS:
            operator, value = bound(kind, test.arguments.get("value"), type_)
            return _COMPARE[operator](value, **options)
        case Kind.MULTIPLE_OF:
            return pa.Check(_each(_multiple(test.columns[0], type_, test.arguments.get("value"))), **options)
        case Kind.PATTERN:
            as_text(type_)
            return pa.Check(_like(test.columns[0], test.arguments.get("pattern")), **options)
        case Kind.FORMAT if pattern := pattern_of_format(test.arguments.get("format"), type_):
            as_text(type_)
            return pa.Check(_like(test.columns[0], pattern), **options)
        case Kind.FORMAT if type_.family is Family.INTEGER:
            low, high = INTEGER_FORMATS[str(test.arguments["format"])]
            return pa.Check.in_range(max(low, type_.low), min(high, type_.high), **options)
        case Kind.FORMAT:
            return None
    as_text(type_)
    side = "min_value" if test.kind is Kind.MIN_LENGTH else "max_value"
    return pa.Check.str_length(**{side: length(test)}, **options)


def _each(holds_for: pl.Expr) -> Callable[[PolarsData], pl.LazyFrame]:
    return lambda data: data.lazyframe.select(holds_for.alias("holds"))


def _like(name: str, pattern: object) -> Callable[[PolarsData], pl.LazyFrame]:
    """As pandera's `str_contains`, which wants the pattern to be one of Python's too, though polars runs it."""
    return _each(pl.col(name).str.contains(compiled(pattern, Engine.POLARS), literal=False))


def _missing(name: str, type_: ColumnType) -> pl.Expr:
    """Pandera takes NaN for missing."""
    column = pl.col(name)
    return (
        column.is_null() | column.is_nan().fill_null(value=False) if type_.family is Family.FLOAT else column.is_null()
    )


def _multiple(name: str, type_: ColumnType, value: object) -> pl.Expr:
    of, column = step(value, type_), pl.col(name)
    if type_.family is Family.FLOAT:
        quotient = column.cast(pl.Float64) / of
        near, relative = (1e-9, 1e-15) if type_.name == "DOUBLE" else (1e-6, 1e-6)
        off = (quotient - quotient.round()).abs()
        return column.is_finite() & ((off <= near) | (off <= quotient.abs() * relative))
    if type_.family is Family.DECIMAL:
        return column % pl.lit(Decimal(f"{of}e-{type_.scale}")) == 0 if of <= type_.high else column == 0
    if of > INTEGERS["HUGEINT"][1]:
        return column == 0
    return (column if of <= type_.high else column.cast(pl.Int128)) % of == 0


def _series(listed: list, type_: ColumnType) -> pl.Series:
    return pl.Series(listed, dtype=dtype(type_))


def _in_other(test: Test, other: pl.DataFrame) -> Callable[[PolarsData], pl.LazyFrame]:
    """A row with a null in its columns refers to nothing, so it is not wrong."""
    columns, theirs = list(test.columns), test.arguments.get("to_columns")
    if not isinstance(theirs, list | tuple) or len(theirs) != len(columns):
        msg = f"a reference to `{test.arguments.get('to_table')}` needs as many columns there as here"
        raise CannotAnswer(msg)
    there = other.lazy().select(theirs).unique().with_columns(pl.lit(value=True).alias("there"))

    def found(data: PolarsData) -> pl.LazyFrame:
        joined = data.lazyframe.join(there, left_on=columns, right_on=theirs, how="left", maintain_order="left")
        refers = pl.all_horizontal(pl.col(name).is_not_null() for name in columns)
        return joined.select((~refers | pl.col("there").fill_null(value=False)).alias("holds"))

    return found


def _metric(test: Test, count: pl.Expr) -> Callable[[PolarsData], pl.LazyFrame]:
    """One verdict, as a frame of one row: pandera cannot report a plain False beside failing rows."""
    operator, threshold = demand(test)
    than = numbers(operator, threshold)

    def within(data: PolarsData) -> pl.LazyFrame:
        found, total = data.lazyframe.select(count.alias("n"), pl.len().alias("total")).collect().row(0)
        return pl.LazyFrame({"holds": [holds(measure(test, found, total), operator, than)]})

    return within
