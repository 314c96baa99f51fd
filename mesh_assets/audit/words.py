"""What a result says: one sentence for a person, and one shape for machines."""

from collections.abc import Iterable, Mapping
from fractions import Fraction

from mesh_assets.audit.metric import OPERATORS
from mesh_assets.audit.result import Result, Status
from mesh_assets.contract import Kind, Test
from mesh_assets.numerals import article, of_rows

_BROKEN = {
    Kind.REQUIRED: "have no {columns}",
    Kind.UNIQUE: "share their {columns} with another row",
    Kind.PRIMARY_KEY: "have no {columns}, or share it with another row",
    Kind.MINIMUM: "have {a} {columns} below {value}",
    Kind.MAXIMUM: "have {a} {columns} above {value}",
    Kind.EXCLUSIVE_MINIMUM: "have {a} {columns} that is not above {value}",
    Kind.EXCLUSIVE_MAXIMUM: "have {a} {columns} that is not below {value}",
    Kind.MULTIPLE_OF: "have {a} {columns} that is no multiple of {value}",
    Kind.PATTERN: "have {a} {columns} that does not match `{pattern}`",
    Kind.FORMAT: "have {a} {columns} that is not of the format `{format}`",
    Kind.MIN_LENGTH: "have {a} {columns} shorter than {value} characters",
    Kind.MAX_LENGTH: "have {a} {columns} longer than {value} characters",
    Kind.REFERENCE: "have {a} {columns} that is not in {to_table}",
}
_COUNTED = {
    Kind.NULL_VALUES: "rows without {columns}",
    Kind.MISSING_VALUES: "rows whose {columns} is missing",
    Kind.INVALID_VALUES: "rows whose {columns} is not valid",
    Kind.DUPLICATE_VALUES: "rows that share their {columns} with another row",
}

_SAID = {"condition": "{condition}", "compare_columns": "{left} {operator} {right}"}
"""Kinds of the library that are best told by what they ask."""
LONGEST = 120
"""Characters of a condition that are told."""


def broken(test: Test, failing: int, total: int) -> str:
    """How many rows break the rule, and how."""
    if not failing:
        return f"Holds for all {total:,} rows." if total else "Holds: there are no rows."
    return of_rows(failing, total, meaning(test))


def meaning(test: Test) -> str:
    """What is wrong with a row that fails the test, after `rows …`; for a metric, what is counted."""
    if test.kind is Kind.LIBRARY:
        if said := _SAID.get(test.type):
            asked = " ".join(said.format_map(test.arguments).split())
            return f"break `{asked if len(asked) <= LONGEST else asked[:LONGEST] + '…'}`"
        return f"fail `{test.type}`" + (f" of {named(test.columns)}" if test.columns else "")
    words = _BROKEN.get(test.kind) or _COUNTED.get(test.kind, "are too few or too many")
    a = article(test.columns[0]) if test.columns else "a"
    return words.format_map({**test.arguments, "columns": named(test.columns), "a": a})


def measured(test: Test, value: Fraction | int, operator: str, threshold: object) -> str:
    """What a metric came to, and what it must be."""
    percent = test.arguments.get("unit") == "percent"
    shown = f"{float(value):.6g} %" if percent else f"{int(value):,}"
    what = _COUNTED.get(test.kind, "rows").format(columns=named(test.columns))
    if value == 1 and not percent:
        what = what.replace("rows", "row", 1).replace(" share their ", " shares its ", 1)
    return f"{shown} {'of ' if percent else ''}{what}; it {demanded(operator, threshold)}{' %' if percent else ''}."


def demanded(operator: str, threshold: object) -> str:
    """`must be at least 5`."""
    values = threshold if isinstance(threshold, list | tuple) else (threshold,)
    return OPERATORS[operator].format(*values)


def named(columns: Iterable[str]) -> str:
    """Column names for a sentence."""
    return ", ".join(f"`{column}`" for column in columns)


def result_json(result: Result, table: str) -> dict[str, object]:
    """One result as `mesh test --json` shows it.

    Args:
        table: `domain.table`; it is spelt `domain/table` outside.
    """
    test = result.test
    return {
        "table": table.replace(".", "/", 1),
        "name": test.name,
        "type": test.word,
        "column": ", ".join(test.columns) or None,
        "severity": str(test.severity),
        "status": str(result.status),
        "failing_rows": result.failing_rows,
        "total_rows": result.total_rows,
        "quarantined_rows": result.quarantined,
        "sample": [dict(row) for row in result.sample],
        "message": result.message,
        "query": result.query,
    }


def is_failure(item: Mapping[str, object], *, fail_on: str = "error") -> bool:
    """Whether such a result counts as failed: also what could not be executed, and with `fail_on="warn"` also warnings."""
    return item["status"] in (Status.FAIL, Status.ERROR, *((Status.WARN,) if fail_on == "warn" else ()))


def rows_json(results: Iterable[Result], table: str) -> list[dict[str, object]]:
    """All results of a table, as `mesh test --json` lists them."""
    return [result_json(result, table) for result in results]
