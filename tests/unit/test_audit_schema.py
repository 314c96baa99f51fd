"""The contract as a pandera schema, for those who validate a frame by hand."""

import datetime as dt
import warnings
from decimal import Decimal

import pandera.polars as pa
import polars as pl
import pytest
from pandera.errors import SchemaErrors, SchemaWarning

from mesh_assets.audit.schema import failures, schema
from mesh_assets.audit.values import CannotAnswer
from mesh_assets.contract import Column, Contract, Kind, Severity, Test

FRAME = pl.DataFrame(
    {"id": [1, 1, 3], "mail": ["a@b.org", None, "x"], "price": [Decimal("1.50"), Decimal("-1.00"), None]}
)


def contract(*tests: Test) -> Contract:
    types = {"id": "BIGINT", "mail": "VARCHAR", "price": "DECIMAL(38,2)"}
    return Contract(
        id="c", version="1", name="orders", columns=tuple(Column(name=n, type=t) for n, t in types.items()), tests=tests
    )


def rule(name: str, kind: Kind, *columns: str, severity: Severity = Severity.ERROR, **arguments: object) -> Test:
    return Test(name=name, kind=kind, columns=columns, arguments=arguments, severity=severity)


ALL = (
    rule("columns", Kind.COLUMNS),
    rule("types", Kind.TYPES),
    rule("id__key", Kind.PRIMARY_KEY, "id"),
    rule("id__unique", Kind.UNIQUE, "id"),
    rule("mail__required", Kind.REQUIRED, "mail"),
    rule("mail__format", Kind.FORMAT, "mail", format="email"),
    rule("price__minimum", Kind.MINIMUM, "price", value=0),
    rule("rows", Kind.ROW_COUNT, operator="mustBeGreaterThan", threshold=5),
    rule("customer", Kind.REFERENCE, "id", to_table="customers.people", to_columns=["id"]),
    rule("query", Kind.SQL, query="SELECT 1"),
)


def test_every_failure_bears_the_name_of_its_test():
    with pytest.raises(SchemaErrors) as caught:
        schema(contract(*ALL)).validate(FRAME, lazy=True)
    named = {str(getattr(error.check, "name", error.check)) for error in caught.value.schema_errors}
    assert named == {"id__key", "mail__format", "price__minimum", "rows", "not_nullable", "field_uniqueness"}
    assert "have a `price` below 0" in str(caught.value)


def test_failing_rows_are_counted_by_test():
    people = pl.DataFrame({"id": [1, 2]})
    assert failures(contract(*ALL), FRAME, related={"customers.people": people}.get) == {
        "columns": 0, "types": 0, "id__key": 2, "id__unique": 2, "mail__required": 1, "mail__format": 1,
        "price__minimum": 1, "rows": 1, "customer": 1, "query": 0,
    }  # fmt: skip


def test_good_frame_comes_back():
    good = FRAME.head(1)
    assert schema(contract(*(test for test in ALL if test.name != "rows"))).validate(good, lazy=True).equals(good)


def test_missing_column_and_other_type_are_found():
    counts = failures(
        contract(rule("columns", Kind.COLUMNS), rule("types", Kind.TYPES)),
        FRAME.select(pl.col("id").cast(pl.Int32), "price"),
    )
    assert counts == {"columns": 1, "types": 1}


def test_warning_warns_and_lets_the_frame_pass():
    kinds = [
        rule("w1", Kind.REQUIRED, "mail", severity=Severity.WARNING),
        rule("w2", Kind.UNIQUE, "id", severity=Severity.WARNING),
    ]
    kinds += [rule("w3", Kind.MINIMUM, "price", severity=Severity.WARNING, value=0)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        schema(contract(*kinds)).validate(FRAME, lazy=True)
    assert [warning.category for warning in caught if warning.category is SchemaWarning] == [SchemaWarning] * 3
    assert failures(contract(*kinds), FRAME) == {"w1": 1, "w2": 2, "w3": 1}


def test_test_that_makes_no_sense_is_refused_when_the_schema_is_made():
    with pytest.raises(CannotAnswer, match="it asks for text, and the column is BIGINT"):
        schema(contract(rule("p", Kind.PATTERN, "id", pattern="a")))


def test_every_type_of_the_lake_has_its_type_in_polars():
    frame = pl.DataFrame(
        {
            "i": pl.Series([1], dtype=pl.UInt8), "f": pl.Series([1.0], dtype=pl.Float32), "b": [True], "d": [dt.date(2024, 1, 1)],
            "t": [dt.datetime(2024, 1, 1)], "z": [dt.datetime(2024, 1, 1, tzinfo=dt.UTC)], "m": [dt.time(1)], "l": [[1]], "u": ["x"],
        }
    )  # fmt: skip
    types = {
        "i": "UTINYINT",
        "f": "REAL",
        "b": "BOOL",
        "d": "DATE",
        "t": "DATETIME",
        "z": "TIMESTAMPTZ",
        "m": "TIME",
        "l": "BIGINT[]",
        "u": "UUID",
    }
    columns = tuple(Column(name=name, type=type_) for name, type_ in types.items())
    made = schema(Contract(id="c", version="1", name="t", columns=columns, tests=(rule("types", Kind.TYPES),)))
    assert isinstance(made, pa.DataFrameSchema)
    assert made.validate(frame, lazy=True).equals(frame)
    with pytest.raises(SchemaErrors):
        made.validate(frame.with_columns(pl.col("z").dt.cast_time_unit("ns")), lazy=True)
