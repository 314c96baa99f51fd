"""Pandera's own `schema.validate(relation)` for relations of DuckDB.

    >>> from mesh_assets.schemas.backend import install
    >>> install()
    >>> schema.validate(duckdb.sql("FROM 'orders.parquet'"), lazy=True)

So for schemas for polars and ibis. Those for pandas refuse what is no frame of pandas before they ask for a backend:
`validate(schema, relation)` is the same for all three.

The schema means what the reference, pandera on polars, makes of it. Raised are pandera's own `SchemaErrors`; their failure
cases hold the first hundred rows of each check, and the message the whole count. All checks run, always: pandera's own lazy
backends run those of the schema only, and bad data passes.
"""

import warnings
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import duckdb
import polars as pl
from pandera.api.base.error_handler import ErrorHandler, get_error_category
from pandera.backends.base import BaseSchemaBackend
from pandera.config import CONFIG, ValidationDepth
from pandera.errors import (
    FailureCaseMetadata,
    SchemaDefinitionError,
    SchemaError,
    SchemaErrorReason,
    SchemaErrors,
    SchemaWarning,
)

from mesh_assets.schemas.answer import Answer, Table, answers
from mesh_assets.schemas.asked import Word, asked, changes, deviations

CASES = 100
"""Failing rows that each check shows, at most."""

_REASONS = {
    Word.TYPES: SchemaErrorReason.WRONG_DATATYPE,
    Word.REQUIRED: SchemaErrorReason.SERIES_CONTAINS_NULLS,
    Word.CHECK: SchemaErrorReason.DATAFRAME_CHECK,
}
_COLUMN_REASONS = {
    "column_in_dataframe": SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME,
    "no_regex_column_match": SchemaErrorReason.INVALID_COLUMN_NAME,
    "column_in_schema": SchemaErrorReason.COLUMN_NOT_IN_SCHEMA,
    "column_ordered": SchemaErrorReason.COLUMN_NOT_ORDERED,
}


def install() -> None:
    """Let pandera's schemas validate relations of DuckDB. Calling it twice is harmless."""
    import pandera.ibis
    import pandera.pandas
    import pandera.polars

    for library in (pandera.pandas, pandera.polars, pandera.ibis):
        # Its own type as the key: pandera registers its other backends again whenever it likes.
        library.DataFrameSchema.register_backend(duckdb.DuckDBPyRelation, RelationBackend, force=True)


def validate(
    schema: Any,  # noqa: ANN401 - pandera has one class per library
    relation: duckdb.DuckDBPyRelation,
    *,
    head: int | None = None,
    lazy: bool = False,
) -> duckdb.DuckDBPyRelation:
    """As `schema.validate(relation)`, for a schema or a model of any of the three libraries.

    Raises:
        SchemaError: As `RelationBackend.validate`.
    """
    install()
    whole = schema.to_schema() if hasattr(schema, "to_schema") else schema
    return RelationBackend().validate(relation, whole, head=head, lazy=lazy)


class RelationBackend(BaseSchemaBackend):
    """A schema on a relation of DuckDB."""

    def validate(
        self,
        check_obj: duckdb.DuckDBPyRelation,
        schema: Any,  # noqa: ANN401 - pandera has one class per library
        *,
        head: int | None = None,
        tail: int | None = None,
        sample: int | None = None,
        random_state: int | None = None,
        lazy: bool = False,
        inplace: bool = False,
    ) -> duckdb.DuckDBPyRelation:
        """The relation itself, when nothing is wrong with it.

        Raises:
            SchemaError: The first thing that is wrong.
            SchemaErrors: With `lazy`, everything.
            SchemaDefinitionError: The schema would change the table, or means something else than where it was written.
        """
        del random_state, inplace
        if not CONFIG.validation_enabled:
            return check_obj
        if tail is not None or sample is not None:
            raise NotImplementedError(
                "A relation has no last rows and no fixed sample: use `head`, or validate it whole."
            )
        if refused := [*changes(schema), *deviations(schema)]:
            raise SchemaDefinitionError(f"This schema cannot be validated on DuckDB: {'; '.join(refused)}.")
        seen = check_obj if head is None else check_obj.limit(head)
        wanted = asked(schema)
        if CONFIG.validation_depth is ValidationDepth.SCHEMA_ONLY:
            wanted = tuple(one for one in wanted if one.word in (Word.COLUMNS, Word.TYPES))
        handler = ErrorHandler(lazy)
        for answer in answers(Table.of_relation(seen), wanted, limit=CASES):
            # That a column is missing is told once.
            if answer.error.startswith("column ") and answer.asked.column and Word.COLUMNS in {o.word for o in wanted}:
                continue
            for error in _errors(answer, check_obj):
                handler.collect_error(get_error_category(error.reason_code), error.reason_code, error)
        if handler.collected_errors:  # without `lazy` the first was raised
            raise SchemaErrors(schema=schema, schema_errors=handler.schema_errors, data=check_obj)
        return check_obj

    def failure_cases_metadata(self, schema_name: str, schema_errors: list[SchemaError]) -> FailureCaseMetadata:
        """Failure cases as one polars frame, as pandera's polars backend has them; a row has no number here."""
        handler, counts = ErrorHandler(), defaultdict(int)
        handler.collect_errors(schema_errors)
        for error in schema_errors:
            counts[error.reason_code.name if error.reason_code else ""] += 1
        return FailureCaseMetadata(
            failure_cases=pl.concat([_cases(error) for error in schema_errors]),
            message=_plain(handler.summarize(schema_name=schema_name)),
            error_counts=dict(counts),
        )


def _errors(answer: Answer, data: duckdb.DuckDBPyRelation) -> Iterator[SchemaError]:
    one = answer.asked
    if answer.ok:
        return
    of = f"column '{answer.column}'" if answer.column else f"schema '{one.schema.name}'"
    check = one.check if one.check is not None else one.title
    if one.word is Word.COLUMNS:
        for what, name, said in answer.reasons:
            message = f"column '{name}' {'not in dataframe' if what == 'missing' else what}"
            yield SchemaError(one.schema, data, message, str(name), said, reason_code=_COLUMN_REASONS[said])
        return
    if one.word is Word.TYPES:
        for name, dtype, found in answer.reasons:
            message = f"expected column '{name}' to have type {dtype}, got {found}"
            component = one.schema.columns.get(name, one.schema)
            yield SchemaError(component, data, message, found, f"dtype('{dtype}')", reason_code=_REASONS[one.word])
        return
    if answer.error:
        yield SchemaError(
            one.component, data, answer.error, answer.error, check, one.index, reason_code=SchemaErrorReason.CHECK_ERROR
        )
        return
    many = f"{answer.failing:,} rows" if not answer.whole else "the whole"
    message = f"{of} failed {one.title}: {many}"
    if one.check is not None and one.check.raise_warning:
        warnings.warn(message, SchemaWarning, stacklevel=6)
        return
    duplicates = SchemaErrorReason.DUPLICATES if one.columns else SchemaErrorReason.SERIES_CONTAINS_DUPLICATES
    cases: object = False
    if answer.cases is not None and not answer.whole:
        most = getattr(one.check, "n_failure_cases", None)
        cases = answer.cases if most is None else answer.cases.head(most)
    yield SchemaError(
        one.component,
        data,
        message,
        failure_cases=cases,
        check=check,
        check_index=one.index,
        reason_code=duplicates if one.word is Word.UNIQUE else _REASONS[one.word],
        column_name=answer.column,
    )


def _cases(error: SchemaError) -> pl.DataFrame:
    check = error.check
    title = check if isinstance(check, str | None) else str(check.error or check.name)
    cases = error.failure_cases
    if isinstance(cases, pl.DataFrame):
        rows = cases.rows(named=len(cases.columns) > 1)
        shown = [str(row) if isinstance(row, dict) else None if row[0] is None else str(row[0]) for row in rows]
    else:
        shown = [str(cases)]
    return pl.DataFrame(
        {
            "failure_case": pl.Series(shown, dtype=pl.String),
            "schema_context": type(error.schema).__name__,
            "column": error.column_name or error.schema.name,
            "check": title,
            "check_number": pl.Series([error.check_index] * len(shown), dtype=pl.Int32),
            "index": pl.Series([None] * len(shown), dtype=pl.Int32),
        },
        schema_overrides={"column": pl.String, "check": pl.String, "schema_context": pl.String},
    )


def _plain(value: Any) -> Any:  # noqa: ANN401 - a tree of dictionaries
    return {key: _plain(inner) for key, inner in value.items()} if isinstance(value, dict) else value
