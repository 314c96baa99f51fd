"""What columns say in their own keys, as tests: `required`, `unique`, `primaryKey`, `logicalTypeOptions`, `enum`."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from mesh_assets.contract import Column, Kind, Severity, Test
from mesh_assets.errors import Problem
from mesh_assets.reading.aside import check_actions, sets_aside
from mesh_assets.reading.source import Document, Map, Seq, child, flag, maps, text
from mesh_assets.reading.testwords import DIMENSION, OPTIONS, check_overrides, override, slug

ISO = re.compile(r"\d{4}-\d{2}-\d{2}.*")  # a date, or a moment: in order as texts
BOUNDS = (
    ("minimum", "maximum"), ("minimum", "exclusiveMaximum"), ("exclusiveMinimum", "maximum"),
    ("exclusiveMinimum", "exclusiveMaximum"), ("minLength", "maxLength"),
)  # fmt: skip
SAID_ONLY = frozenset({"password", "binary"})  # formats that say nothing about the text itself


def implied_tests(document: Document, prop: Map, column: Column, problems: list[Problem]) -> Iterator[Test]:
    """The tests of one column, in the order in which people name them: first that it is there at all."""
    check_overrides(document, prop, problems)
    check_actions(document, prop, problems)
    yield from _Implied(document, prop, column, problems).tests()


def primary_key(document: Document, schema: Map, names: Mapping[str, str]) -> Iterator[Test]:
    """One test of all columns of the primary key together, in the order of their positions; none without a key.

    Args:
        document: The file.
        schema: The table in it.
        names: Each column's name in the contract, and in the lake.
    """
    key = sorted((item for item in maps(schema, "properties") if flag(item, "primaryKey")), key=_key_position)
    if key:
        columns = tuple(names.get(text(item, "name"), text(item, "name")) for item in key)
        severity = next(
            (level for item in key if (level := override(document, item, "primaryKey", []))), Severity.ERROR
        )
        yield Test(
            name="primary_key", kind=Kind.PRIMARY_KEY, columns=columns, severity=severity, dimension="uniqueness",
            where=document.place(key[0], "primaryKey"),
            quarantines=any(sets_aside(document, item, [], "primaryKey") for item in key),
        )  # fmt: skip


def _key_position(prop: Map) -> tuple[bool, int]:
    position = prop.get("primaryKeyPosition")
    return (False, position) if isinstance(position, int) and position > 0 else (True, 0)


class _Implied:
    """What a column says in its own keys."""

    def __init__(self, document: Document, prop: Map, column: Column, problems: list[Problem]) -> None:
        self.document, self.prop, self.column, self.problems = document, prop, column, problems

    def tests(self) -> Iterator[Test]:
        if self.column.required:
            yield self._test("required", Kind.REQUIRED, {})
        if self.column.unique:
            yield self._test("unique", Kind.UNIQUE, {})
        options = child(self.prop, "logicalTypeOptions")
        for key, value in options.items():
            if key in OPTIONS and self._testable(key, value):
                argument = key if key in ("pattern", "format") else "value"
                yield self._test(key, OPTIONS[key], {argument: value}, options)
        for low, high in BOUNDS if len(options) > 1 else ():
            self._in_order(options, low, high)
        if values := tuple(entry.get("value") for entry in maps(self.prop, "enum")):
            arguments = {"valid_values": values, "operator": "mustBe", "threshold": 0, "unit": "rows"}
            yield self._test("enum", Kind.INVALID_VALUES, arguments)

    def _in_order(self, options: Map, low: str, high: str) -> None:
        least, most = options.get(low), options.get(high)
        if not _comparable(least, most) or least < most or (least == most and "exclusive" not in low + high):  # ty: ignore
            return
        what = f"no value fits: `{low}` is {least}, and `{high}` is {most}"
        self.problems.append(self.document.problem("M216", what, "Write the smaller one first.", options, low))

    def _test(self, key: str, kind: Kind, arguments: Mapping[str, object], place: Map | None = None) -> Test:
        severity = override(self.document, self.prop, key, []) or Severity.ERROR
        return Test(
            name=f"{slug(self.column.name)}__{'enum' if key == 'enum' else kind}",
            kind=kind,
            columns=(self.column.name,),
            arguments=MappingProxyType(arguments),
            severity=severity,
            dimension=DIMENSION.get(kind, "conformity"),
            description=self.column.description if kind is Kind.PATTERN else "",
            where=self.document.place(place if place is not None else self.prop, key),
            quarantines=sets_aside(self.document, self.prop, self.problems, key),
        )

    def _testable(self, key: str, value: object) -> bool:
        if key != "format":
            return value is not None and not isinstance(value, Map | Seq)
        # Of a date a format says how it was written once, of a number how wide it is: the type holds that already.
        return self.column.logical_type in ("", "string") and isinstance(value, str) and value not in SAID_ONLY


def _comparable(one: object, other: object) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return bool(ISO.fullmatch(one) and ISO.fullmatch(other)) and len(one) == len(other)
    return all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in (one, other))
