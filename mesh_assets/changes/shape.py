"""What a reader of a port can rely on: its columns as they are, with what the contract promises of them."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mesh_assets.changes.widths import canonical
from mesh_assets.contract import Column, Contract, Kind, Severity, Test
from mesh_assets.domain import Table

Bound = tuple[str, bool]
"""A limit as text, and whether it is excluded itself."""
IN_COLUMNS = frozenset(
    {Kind.COLUMNS, Kind.TYPES, Kind.REQUIRED, Kind.PRIMARY_KEY, Kind.MINIMUM, Kind.MAXIMUM, Kind.EXCLUSIVE_MINIMUM}
    | {Kind.EXCLUSIVE_MAXIMUM, Kind.PATTERN, Kind.FORMAT}
)
"""Tests that a column's own shape holds; all others are rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnShape:
    """One column.

    Attributes:
        nullable: No `error` test keeps null out of it.
        allowed: The values that it may have; None: any.
        minimum, maximum: Limits; None: none.
        format: Of its text: a named format, a pattern, or both.
        came_from: Columns of an earlier version that it has replaced, as its contract says.
        promised: The contract names it.
    """

    name: str
    type: str
    nullable: bool = True
    unit: str = ""
    null_meaning: str = ""
    allowed: tuple[str, ...] | None = None
    minimum: Bound | None = None
    maximum: Bound | None = None
    format: str = ""
    description: str = ""
    came_from: tuple[str, ...] = ()
    promised: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A quality rule that no column's shape holds. `arguments` is JSON."""

    name: str
    kind: str
    columns: tuple[str, ...] = ()
    arguments: str = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One state of a port.

    Attributes:
        rules: Those of severity `error`: a rule that only warns promises nothing.
        warnings: The others.
        version: Of the contract; it is no part of the hash.
    """

    columns: tuple[ColumnShape, ...]
    key: tuple[str, ...] = ()
    grain: str = ""
    partitions: str = ""
    rules: tuple[Rule, ...] = ()
    warnings: tuple[Rule, ...] = ()
    service_levels: tuple[str, ...] = ()
    description: str = ""
    version: str = ""
    names: Mapping[str, ColumnShape] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        # DuckDB folds names; the shape keeps the owner's spelling.
        object.__setattr__(self, "names", {column.name.lower(): column for column in self.columns})

    @property
    def hash(self) -> str:
        """Of everything but the contract's version and the order of the columns."""
        told = to_json(self)
        told["columns"].sort(key=lambda column: column["name"].lower())
        del told["version"]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    def is_like(self, other: "Shape") -> bool:
        """Whether nothing differs but, perhaps, the contract's version."""
        return self.hash == other.hash and [*self.names] == [*other.names]

    def type_of(self, column: str) -> str:
        """The type of a column, however it is spelt; empty when it is not there."""
        found = self.names.get(column.lower())
        return found.type if found else ""


def shape_of(table: Table, columns: Iterable[Sequence[str]] | None = None) -> Shape:
    """What a table promises now.

    Args:
        columns: (name, type) as they are observed; default: the contract's.
    """
    return of_contract(table.contract, columns, partitions=_partitions(table), key=table.key)


def of_contract(
    contract: Contract | None,
    columns: Iterable[Sequence[str]] | None = None,
    *,
    partitions: str = "",
    key: tuple[str, ...] = (),
) -> Shape:
    """The shape of a contract over the observed columns; without a contract, columns that promise nothing but their types."""
    if contract is None:
        return Shape(
            columns=tuple(ColumnShape(name=name, type=canonical(kind)) for name, kind in columns or ()),
            partitions=partitions,
            key=key,
        )
    seen = [(c.name, c.type) for c in contract.columns] if columns is None else [(n, t) for n, t in columns]
    promised = {column.name.lower(): column for column in contract.columns}
    return Shape(
        columns=tuple(_column(name, kind, promised.get(name.lower()), contract.tests) for name, kind in seen),
        key=_key(contract) or key,
        grain=" ".join(contract.grain.split()),
        partitions=partitions,
        rules=_rules(contract.tests, Severity.ERROR),
        warnings=_rules(contract.tests, Severity.WARNING),
        service_levels=tuple(
            sorted(f"{s.property}={s.value} {s.unit} {s.element}".strip() for s in contract.service_levels)
        ),
        description=" ".join(contract.description.split()),
        version=contract.version,
    )


def in_order(shape: Shape, columns: Iterable[Sequence[str]]) -> Shape:
    """The same shape, its columns as these (name, type) stand; a shape is kept once for every order."""
    place = {name.lower(): number for number, (name, _) in enumerate(columns)}
    return replace(shape, columns=tuple(sorted(shape.columns, key=lambda one: place.get(one.name.lower(), len(place)))))


def to_json(shape: Shape) -> dict[str, Any]:
    """As the ledger and the lake's commits keep it."""
    told = {
        name: getattr(shape, name)
        for name in ("key", "grain", "partitions", "service_levels", "description", "version")
    }
    told |= {name: [asdict(item) for item in getattr(shape, name)] for name in ("columns", "rules", "warnings")}
    return json.loads(json.dumps(told))


def from_json(told: Mapping[str, Any]) -> Shape:
    """What `to_json` has written; keys that a newer version may have added are left out."""
    known = set(ColumnShape.__dataclass_fields__)
    columns = []
    for item in told["columns"]:
        given = {key: value for key, value in item.items() if key in known}
        for name in ("allowed", "minimum", "maximum", "came_from"):
            if given.get(name) is not None:
                given[name] = tuple(given[name])
        columns.append(ColumnShape(**given))
    return Shape(
        columns=tuple(columns),
        key=tuple(told.get("key", ())),
        grain=told.get("grain", ""),
        partitions=told.get("partitions", ""),
        rules=_from_rules(told.get("rules", ())),
        warnings=_from_rules(told.get("warnings", ())),
        service_levels=tuple(told.get("service_levels", ())),
        description=told.get("description", ""),
        version=told.get("version", ""),
    )


def plain(value: object) -> str:
    """A limit or an allowed value as text, the same however it was written."""
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value)


def _from_rules(told: Iterable[Mapping[str, Any]]) -> tuple[Rule, ...]:
    return tuple(
        Rule(name=r["name"], kind=r["kind"], columns=tuple(r["columns"]), arguments=r["arguments"]) for r in told
    )


def _partitions(table: Table) -> str:
    found = table.partitions
    return f"{found.every} by {found.by} from {found.start}" if found else ""


def _key(contract: Contract) -> tuple[str, ...]:
    found = next((test.columns for test in contract.tests if test.kind is Kind.PRIMARY_KEY), ())
    return tuple(found) or tuple(column.name for column in contract.columns if column.primary_key)


def _column(name: str, kind: str, known: Column | None, tests: Iterable[Test]) -> ColumnShape:
    if known is None:
        return ColumnShape(name=name, type=canonical(kind))
    mine = [t for t in tests if [c.lower() for c in t.columns] == [name.lower()] and t.severity is Severity.ERROR]
    in_key = any(
        t.kind is Kind.PRIMARY_KEY and t.severity is Severity.ERROR and name.lower() in map(str.lower, t.columns)
        for t in tests
    )
    formats = [
        str(t.arguments.get("format") or t.arguments.get("pattern"))
        for t in mine
        if t.kind in (Kind.FORMAT, Kind.PATTERN)
    ]
    return ColumnShape(
        name=name,
        type=canonical(kind),
        nullable=not in_key and not any(t.kind is Kind.REQUIRED or _never_null(t) for t in mine),
        unit=known.unit,
        null_meaning=known.null_meaning,
        allowed=_allowed(mine),
        minimum=_bound(mine, Kind.MINIMUM, Kind.EXCLUSIVE_MINIMUM),
        maximum=_bound(mine, Kind.MAXIMUM, Kind.EXCLUSIVE_MAXIMUM),
        format=" ".join(sorted(formats)),
        description=" ".join(known.description.split()),
        came_from=known.came_from,
        promised=True,
    )


def _never_null(test: Test) -> bool:
    return test.kind is Kind.NULL_VALUES and _is_zero(test)


def _is_zero(test: Test) -> bool:
    operator, threshold = test.arguments.get("operator"), test.arguments.get("threshold")
    return (operator == "mustBe" and threshold == 0) or (operator == "mustBeLessOrEqualTo" and threshold == 0)


def _lists_values(test: Test) -> bool:
    return test.kind is Kind.INVALID_VALUES and "valid_values" in test.arguments and _is_zero(test)


def _allowed(tests: Iterable[Test]) -> tuple[str, ...] | None:
    found: set[str] | None = None
    for test in tests:
        if _lists_values(test):
            values = test.arguments["valid_values"]
            listed = {plain(value) for value in values} if isinstance(values, list | tuple) else {plain(values)}
            found = listed if found is None else found & listed
    return None if found is None else tuple(sorted(found))


def _bound(tests: Iterable[Test], inclusive: Kind, exclusive: Kind) -> Bound | None:
    for test in tests:
        if test.kind in (inclusive, exclusive):
            return plain(test.arguments.get("value")), test.kind is exclusive
    return None


def _rules(tests: Iterable[Test], severity: Severity) -> tuple[Rule, ...]:
    held = severity is Severity.ERROR
    return tuple(
        sorted(
            (
                Rule(
                    name=t.name,
                    kind=str(t.kind),
                    columns=t.columns,
                    arguments=json.dumps({k: _value(v) for k, v in t.arguments.items()}, sort_keys=True),
                )
                for t in tests
                if t.severity is severity
                and not (held and (t.kind in IN_COLUMNS or _lists_values(t) or _never_null(t)))
            ),
            key=lambda rule: rule.name,
        )
    )


def _value(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_value(item) for item in value]
    return value if isinstance(value, int | float | bool | str) or value is None else str(value)
