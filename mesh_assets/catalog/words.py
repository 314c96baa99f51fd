"""Tests, types and moments in words that a reader understands."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mesh_assets.account.expected import allowed
from mesh_assets.account.expected import spoken as ago
from mesh_assets.audit.words import demanded, meaning, named
from mesh_assets.contract import Contract, Kind, ServiceLevel, Severity, Test

_WHOLE = {
    Kind.COLUMNS: "every column of the contract is there",
    Kind.TYPES: "every value has the type that the contract says",
}
_COUNTS = {
    Kind.ROW_COUNT: "the number of rows",
    Kind.NULL_VALUES: "the number of rows without {columns}",
    Kind.MISSING_VALUES: "the number of rows whose {columns} is missing",
    Kind.INVALID_VALUES: "the number of rows whose {columns} is not valid",
    Kind.DUPLICATE_VALUES: "the number of rows that share their {columns} with another",
    Kind.SQL: "what its query returns",
}


def sentence(test: Test) -> str:
    """What a test promises, as one sentence."""
    if test.kind in _WHOLE:
        said = _WHOLE[test.kind]
    elif test.kind in _COUNTS:
        columns, percent = named(test.columns), test.arguments.get("unit") == "percent"
        said = _COUNTS[test.kind].format(columns=columns)
        said = said.replace("the number", "the share", 1) if percent else said
        operator = test.arguments.get("operator")
        must = demanded(str(operator), test.arguments.get("threshold")) if operator else "must be 0"
        said = f"{said} {must}{' %' if percent else ''}"
    else:
        said = f"no rows {meaning(test)}"
    return said[0].upper() + said[1:]


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


def moment() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


def counted(counts: Mapping[str, int]) -> str:
    """`24 pass, 1 warn`; empty when there are no tests."""
    said = {"pass": "pass", "warn": "warn", "fail": "fail", "not_run": "not run"}
    return ", ".join(f"{counts[word]} {shown}" for word, shown in said.items() if counts.get(word))
