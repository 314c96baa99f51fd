"""Tests, types and moments in words that a reader understands."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mesh_assets.account.expected import allowed
from mesh_assets.account.expected import spoken as ago
from mesh_assets.audit.words import demanded, named
from mesh_assets.contract import Contract, Kind, ServiceLevel, Severity, Test

_PROMISED = {
    Kind.COLUMNS: "every column of the contract is there",
    Kind.TYPES: "every value has the type that the contract says",
    Kind.REQUIRED: "every row has its {columns}",
    Kind.UNIQUE: "no two rows have the same {columns}",
    Kind.PRIMARY_KEY: "every row has its {columns}, and no two rows the same",
    Kind.MINIMUM: "no {columns} is below {value}",
    Kind.MAXIMUM: "no {columns} is above {value}",
    Kind.EXCLUSIVE_MINIMUM: "every {columns} is above {value}",
    Kind.EXCLUSIVE_MAXIMUM: "every {columns} is below {value}",
    Kind.MULTIPLE_OF: "every {columns} is a multiple of {value}",
    Kind.PATTERN: "every {columns} matches `{pattern}`",
    Kind.FORMAT: "every {columns} has the format `{format}`",
    Kind.MIN_LENGTH: "no {columns} is shorter than {value} characters",
    Kind.MAX_LENGTH: "no {columns} is longer than {value} characters",
    Kind.REFERENCE: "every {columns} is in `{to_table}`",
    Kind.PANDERA: "this check of its pandera schema passes",
}
_COUNTS = {
    Kind.ROW_COUNT: "the number of rows",
    Kind.NULL_VALUES: "the number of rows without {columns}",
    Kind.MISSING_VALUES: "the number of rows whose {columns} is missing",
    Kind.INVALID_VALUES: "the number of rows whose {columns} {wrong}",
    Kind.DUPLICATE_VALUES: "the number of rows that share their {columns} with another",
    Kind.SQL: "what `{query}` returns",
}
_LISTED, _LONGEST = 12, 160
"""Values that are listed in a sentence, and characters of a query in it."""


def sentence(test: Test) -> str:
    """What a test promises, as one sentence with all that it was told."""
    told = {**test.arguments, "columns": named(test.columns)}
    if test.kind is Kind.LIBRARY:
        said = _of_library(test)
    elif test.kind in _COUNTS:
        percent = told.get("unit") == "percent"
        said = _COUNTS[test.kind].format_map({**told, "wrong": _wrong(told), "query": _short(str(told.get("query")))})
        said = said.replace("the number", "the share", 1) if percent else said
        operator = told.get("operator")
        must = demanded(str(operator), told.get("threshold")) if operator else "must be 0"
        said = f"{said} {must}{' %' if percent else ''}"
    else:
        said = _PROMISED[test.kind].format_map(told)
    return said[0].upper() + said[1:]


def _of_library(test: Test) -> str:
    """`amount`: Between two values (least 0, most 200)."""
    from mesh_assets.audit.library import TYPES
    from mesh_assets.audit.library.kinds import COMMON

    known = TYPES.get(test.type)
    usual = {one.name: one.default for one in (*known.parameters, *COMMON)} if known else {}
    given = {name: value for name, value in test.arguments.items() if name not in usual or value != usual[name]}
    label = known.label if known else test.type
    if list(given) == [test.type]:
        label += f": {_value(given[test.type])}"
    elif given:
        told = ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in given.items())
        label += f" ({told})"
    return f"{named(test.columns)}: {label}" if test.columns else label


def _wrong(told: Mapping[str, object]) -> str:
    if values := told.get("valid_values"):
        return f"is none of {_value(values)}"
    return f"does not match `{told['pattern']}`" if "pattern" in told else "is not valid"


def _value(value: object) -> str:
    if isinstance(value, list | tuple | frozenset):
        shown = [f"`{item}`" for item in list(value)[:_LISTED]]
        return ", ".join(shown) + (f" and {len(value) - _LISTED} more" if len(value) > _LISTED else "")
    return f"`{_short(value)}`" if isinstance(value, str) else str(value)


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]} …"


def consequence(severity: Severity | str) -> str:
    """What a failure means, in words."""
    return "stops the version, readers keep the last good one" if severity == Severity.ERROR else "warns only"


def test_json(test: Test) -> dict[str, Any]:
    """A test as it is promised."""
    return {
        "name": test.name,
        "type": str(test.kind),
        "columns": list(test.columns),
        "promise": sentence(test),
        "severity": str(test.severity),
        "consequence": consequence(test.severity),
        "dimension": test.dimension,
        "why": test.description,
    }


def level(item: ServiceLevel) -> dict[str, Any]:
    """A service level, as the contract says it."""
    return {"property": item.property, "value": item.value, "unit": item.unit, "element": item.element}


def freshness(contract: Contract | None, since: str | None, now: datetime) -> dict[str, Any]:
    """How old a table is, against what its contract promises."""
    limit = allowed(contract)
    age = now - datetime.fromisoformat(since) if since else None
    late = bool(limit and age and age > limit)
    return {
        "promised": ago(limit) if limit else None,
        "promised_seconds": int(limit.total_seconds()) if limit else None,
        "confirmed": since,
        "late": late,
        "late_by": ago(age - limit) if late and age and limit else None,
    }


def times(at: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """When something began that ended at that moment, and how many seconds it took; None where nobody has measured it.

    Of a table that was built together with others it is its own part, where its toolchain told it.
    """
    if own := record.get("own"):
        return {"started": own["start"], "seconds": own["seconds"]}
    seconds = record.get("seconds")
    began = None if seconds is None else (datetime.fromisoformat(at) - timedelta(seconds=seconds)).isoformat()
    return {"started": began, "seconds": seconds}


def moment() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


def counted(counts: Mapping[str, int]) -> str:
    """`24 pass, 1 warn`; empty when there are no tests."""
    said = {"pass": "pass", "warn": "warn", "fail": "fail", "not_run": "not run"}
    return ", ".join(f"{counts[word]} {shown}" for word, shown in said.items() if counts.get(word))
