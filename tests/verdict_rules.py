"""Contracts and rows for tests that compare audits: with what is known, and without."""

import random
from collections import Counter

from mesh_assets.contract import Column, Contract, Kind, Test

TYPES = {
    "id": "BIGINT",
    "day": "DATE",
    "amount": "DECIMAL(10,2)",
    "ratio": "DOUBLE",
    "code": "VARCHAR",
    "customer": "INTEGER",
}
ZERO = {"operator": "mustBe", "threshold": 0}
TO = {"to_table": "a.customers", "to_columns": ["id"]}


def contract(*tests: Test) -> Contract:
    """Of the table `t`."""
    columns = tuple(Column(name=name, type=type_) for name, type_ in TYPES.items())
    return Contract(id="c", version="1", name="t", columns=columns, tests=tests)


def rule(kind: Kind, *columns: str, **arguments: object) -> Test:
    """A test of the standard."""
    named = "_".join([*columns, str(kind), *(str(value)[:20] for value in arguments.values())])
    return Test(name=named, kind=kind, columns=columns, arguments=arguments)


def library(type_: str, *columns: str, **arguments: object) -> Test:
    """A test of the library."""
    named = "_".join([*columns, type_, *(str(value)[:30] for value in arguments.values())])
    return Test(name=named, kind=Kind.LIBRARY, type=type_, columns=columns, arguments=arguments)


def rules(chance: random.Random) -> tuple[Test, ...]:
    """One of every way to answer a test, with bounds that change from time to time."""
    return (
        rule(Kind.PRIMARY_KEY, "id"),
        rule(Kind.UNIQUE, "id"),
        rule(Kind.UNIQUE, "day", "code"),
        rule(Kind.UNIQUE, "code"),
        rule(Kind.DUPLICATE_VALUES, "code", **ZERO),
        rule(Kind.DUPLICATE_VALUES, "id", "day", **ZERO),
        rule(Kind.REQUIRED, "day"),
        rule(Kind.NULL_VALUES, "amount", **ZERO),
        rule(Kind.NULL_VALUES, "day", operator="mustBeLessThan", threshold=chance.choice([10, 40]), unit="percent"),
        rule(Kind.REQUIRED, "ratio"),
        rule(Kind.MINIMUM, "id", value=chance.choice([0, 3])),
        rule(Kind.MAXIMUM, "amount", value=chance.choice([50, 90, 1000])),
        rule(Kind.MINIMUM, "ratio", value=0),
        rule(Kind.MAXIMUM, "ratio", value=1),
        rule(Kind.MINIMUM, "day", value=chance.choice(["2024-01-01", "2024-01-03"])),
        rule(Kind.PATTERN, "code", pattern=chance.choice(["^[a-c]", "^[a-d][0-9]*$"])),
        rule(Kind.MISSING_VALUES, "code", **ZERO),
        rule(Kind.MIN_LENGTH, "code", value=1),
        rule(Kind.INVALID_VALUES, "customer", valid_values=[0, 1, 2, 3, 4, 5, 6, 7], **ZERO),
        rule(Kind.ROW_COUNT, operator="mustBeGreaterThan", threshold=3),
        rule(Kind.REFERENCE, "customer", **TO),
        rule(Kind.SQL, query="select count(*) from {table} where ratio > 0.9"),
        library("condition", condition=chance.choice(["amount < 80", "amount < 80 or code = 'b'"])),
        library("condition", condition="customer < 5", when=chance.choice(["code = 'a1'", "amount > 20"])),
        library("condition", condition="customer < 9", at_most=20, unit="percent"),
        library("not_in_future", "day"),
        library("not_older_than", "day", days=36500),
        library("given_together", columns=["day", "code"], given="all or none"),
        library("compare_columns", left="id", operator=">=", right="customer"),
        library("in_reference", columns=["customer"], to_table="a.customers", to_columns=["id"]),
        library("duplicate_rows", columns=["day", "code"]),
        library("increasing", "id", by=["day", "amount"]),
    )


def rows(chance: random.Random, first: int) -> str:
    """Mostly good, sometimes not; ids in order, at random, or some of them taken."""
    good = chance.random() < 0.5
    ids = [first + number for number in range(chance.randint(1, 6))]
    if chance.random() < 0.4:
        ids = [chance.randint(0, first + 5) for _ in ids]
    listed = []
    for id_ in ids:
        day = f"DATE '2024-01-0{chance.randint(1, 9)}'" if good or chance.random() < 0.8 else "NULL"
        ratio = chance.choice(["0.5", "1e0"] if good else ["0.5", "'nan'::DOUBLE", "NULL", "-1"])
        code = chance.choice(["'a1'", "'b'", f"'c{id_}'"] if good else ["'a1'", "''", "NULL", "'zz'"])
        key = id_ if good or chance.random() < 0.9 else "NULL"
        listed.append(
            f"({key}, {day}, {chance.randint(0, 99)}, {ratio}, {code}, {chance.randint(0, 6 if good else 12)})"
        )
    cast = ", ".join(f"CAST({name} AS {type_}) AS {name}" for name, type_ in TYPES.items())
    return f"SELECT {cast} FROM (VALUES {', '.join(listed)}) AS v({', '.join(TYPES)})"


def told(results) -> list:
    """What must be the same, however it was found out."""
    return [
        (result.test.name, result.status, result.failing_rows, result.total_rows, result.message) for result in results
    ]


def shows_failing_rows(found, full, limit: int) -> None:
    """As many rows as there are to show, and each of them one of those that are found by reading everything."""
    for one, other in zip(found, full, strict=True):
        failing = Counter(map(repr, other.sample))
        assert len(one.sample) == min(limit, len(other.sample)), one
        assert Counter(map(repr, one.sample)) <= failing, one
