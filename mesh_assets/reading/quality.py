"""The rules under `quality:` of an ODCS file, as tests: a metric with an operator, or a query."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from mesh_assets.contract import Kind, Severity, Test
from mesh_assets.errors import Problem, nearest
from mesh_assets.reading import custom
from mesh_assets.reading.aside import sets_aside
from mesh_assets.reading.source import Document, Map, Seq, child, maps, text, texts
from mesh_assets.reading.testwords import DIMENSION, METRICS, severity, slug

OPERATORS = (
    "mustBe", "mustNotBe", "mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan", "mustBeLessOrEqualTo",
    "mustBeBetween", "mustNotBeBetween",
)  # fmt: skip
ARGUMENTS = {  # what each metric can be told, and the name of it in Test.arguments
    Kind.ROW_COUNT: {},
    Kind.NULL_VALUES: {},
    Kind.MISSING_VALUES: {"missingValues": "missing_values"},
    Kind.INVALID_VALUES: {"validValues": "valid_values", "pattern": "pattern"},
    Kind.DUPLICATE_VALUES: {"properties": "properties"},
}
OLD_RULES = {  # ODCS 3.0 had `rule:` and its own words
    "nullCheck": "nullValues", "nullValues": "nullValues", "rowCount": "rowCount", "countCheck": "rowCount",
    "duplicateCount": "duplicateValues", "duplicateCheck": "duplicateValues", "validValues": "invalidValues",
    "invalidCount": "invalidValues", "missingCount": "missingValues",
}  # fmt: skip
ALL = 100  # percent
OFF = "disabled"
RULE_KEYS = frozenset({
    "id", "authoritativeDefinitions", "businessImpact", "customProperties", "description", "dimension", "method",
    "name", "schedule", "scheduler", "severity", "tags", "type", "unit", "metric", "rule", "arguments", "query",
    "engine", "implementation", *OPERATORS,
})  # fmt: skip
HOLE = re.compile(r"\$?\{\s*([A-Za-z_]\w*)\s*\}")  # `{9}` repeats in a regular expression
TABLE_HOLES = frozenset({"table", "object", "schema", "model"})
COLUMN_HOLES = frozenset({"column", "property", "field"})


def upgrade(root: Map) -> None:
    """Brings the older words of ODCS 3.0 in a file to those of 3.1, in place; their positions stay."""
    for table in maps(root, "schema"):
        for owner in (table, *maps(table, "properties")):
            for rule in maps(owner, "quality"):
                _upgrade_rule(rule)


def rules_of_column(
    document: Document, prop: Map, column: str, problems: list[Problem], all_columns: tuple[str, ...] = ()
) -> Iterator[Test]:
    """The tests of a column's rules."""
    for rule in maps(prop, "quality"):
        yield from _Rule(document, rule, problems, column=column, all_columns=all_columns or (column,)).tests()


def rules_of_table(
    document: Document, schema: Map, names: Mapping[str, str], problems: list[Problem]
) -> Iterator[Test]:
    """The tests of a table's rules.

    Args:
        document: The file.
        schema: The table in it.
        names: Each column's name in the contract, and in the lake.
        problems: Takes what is wrong.
    """
    for rule in maps(schema, "quality"):
        yield from _Rule(document, rule, problems, names=names).tests()


def switched_off(rule: Mapping[str, object]) -> bool:
    """Whether a rule is kept but not executed: `customProperties: [{property: disabled, value: true}]`."""
    listed = rule.get("customProperties")
    extras = listed if isinstance(listed, list) else []
    return any(isinstance(one, Mapping) and one.get("property") == OFF and one.get("value") is True for one in extras)


class _Rule:
    """One entry under `quality:`, of a column or of the table."""

    def __init__(
        self,
        document: Document,
        rule: Map,
        problems: list[Problem],
        *,
        column: str = "",
        names: Mapping[str, str] | None = None,
        all_columns: tuple[str, ...] = (),
    ) -> None:
        self.all_columns = all_columns
        self.document, self.rule, self.problems, self.column, self.names = document, rule, problems, column, names or {}
        self.sound = True

    def tests(self) -> Iterator[Test]:
        kind = text(self.rule, "type") or ("sql" if "query" in self.rule else "library")
        if kind == "text" or switched_off(self.rule):
            return
        if kind == "custom":
            yield from self._custom()
            return
        if kind == "sql":
            yield from self._sql()
        elif kind == "library":
            yield from self._metric()

    def _metric(self) -> Iterator[Test]:
        metric = text(self.rule, "metric")
        if not metric and "metric" not in self.rule and RULE_KEYS.issuperset(self.rule):
            mend = f"Add `metric:`, one of {', '.join(METRICS)}; or `type: text` if it is documentation."
            self._wrong("M210", "the rule says nothing that can be tested", mend, next(iter(self.rule), ""))
        if metric not in METRICS:
            return  # the standard's schema has told it
        kind = METRICS[metric]
        columns, arguments = self._columns(kind), self._arguments(kind)
        arguments |= self._threshold(percent_of_rows=True)
        arguments["unit"] = self._unit(kind)
        level = self._severity()
        if self.sound and "operator" in arguments:
            yield self._test(kind, columns, arguments, level, metric)

    def _custom(self) -> Iterator[Test]:
        engine = text(self.rule, "engine")
        if engine != "mesh":
            what = f"rules of the engine `{engine}` are not executed here"
            mend = "Write `engine: mesh` and one of its tests; for documentation only, `type: text`."
            self._wrong("M213", what, mend, "engine" if engine else "type")
            return
        columns = self.all_columns if self.column else tuple(self.names.values())
        level = self._severity()
        read = custom.read(self.document, self.rule, self.column, columns, self.problems)
        if read is not None:
            test = self._test(read.kind, read.columns, dict(read.arguments), level, read.type)
            yield replace(test, type=read.type, dimension=text(self.rule, "dimension") or read.dimension)

    def _sql(self) -> Iterator[Test]:
        query = text(self.rule, "query")
        filled = self._filled(query) if query.strip() else ""
        arguments = {"query": filled, **self._threshold(percent_of_rows=False)}
        level = self._severity()
        if "unit" in self.rule and text(self.rule, "unit") not in ("rows", ""):
            self._wrong(
                "M210", "a query's value has no unit", "Take `unit:` out; compute the percentage in the query.", "unit"
            )
        if isinstance(self.rule.get("query"), str) and not filled:  # else the standard's schema has told it
            mend = "Write one SELECT that returns one value."
            self._wrong("M212", "the query of this rule is empty, so nothing is tested", mend, "query")
        if self.sound and filled and "operator" in arguments:
            yield self._test(Kind.SQL, (self.column,) if self.column else (), arguments, level, "sql")

    def _test(
        self, kind: Kind, columns: tuple[str, ...], arguments: dict[str, object], level: Severity, word: str
    ) -> Test:
        named = text(self.rule, "id") or slug(text(self.rule, "name").lower())
        last = word if kind in (Kind.SQL, Kind.LIBRARY) else str(kind)
        default = "__".join([*(slug(column) for column in columns), last])
        return Test(
            name=slug(named) or default,
            kind=kind,
            columns=columns,
            arguments=MappingProxyType(arguments),
            severity=level,
            dimension=text(self.rule, "dimension") or DIMENSION.get(kind, ""),
            description=text(self.rule, "description"),
            where=self.document.place(self.rule, next(iter(self.rule), "")),
            quarantines=sets_aside(self.document, self.rule, self.problems),
        )

    def _columns(self, kind: Kind) -> tuple[str, ...]:
        if self.column:
            if kind is Kind.ROW_COUNT:
                mend = "Move the rule to the `quality:` of the table, beside `properties:`."
                self._wrong("M210", "`rowCount` counts the rows of the table, not of a column", mend, "metric")
            return (self.column,)
        if kind is Kind.ROW_COUNT:
            return ()
        if kind is not Kind.DUPLICATE_VALUES:
            mend = "Move the rule to the `quality:` of that column."
            self._wrong(
                "M210",
                f"`{text(self.rule, 'metric')}` is asked of a column, and this rule belongs to the table",
                mend,
                "metric",
            )
            return ()
        arguments = child(self.rule, "arguments")
        listed = texts(arguments, "properties")
        if not listed:
            mend = "Add `arguments: {properties: [column, …]}`."
            self._wrong("M210", "`duplicateValues` of a table needs the columns to look at", mend, "metric")
        for name in listed:
            if name not in self.names and name not in self.names.values():
                self.sound = False
                self.problems.append(
                    self.document.problem(
                        "M207",
                        f"`{name}` is no column of this contract",
                        nearest(name, self.names),
                        arguments,
                        "properties",
                    )
                )
        return tuple(self.names.get(name, name) for name in listed)

    def _arguments(self, kind: Kind) -> dict[str, object]:
        given, known = child(self.rule, "arguments"), ARGUMENTS[kind]
        found: dict[str, object] = {}
        for key, value in given.items():
            if key not in known or (key == "properties" and self.column):
                self.sound = False
                what = f"`{text(self.rule, 'metric')}` has no argument `{key}`"
                usual = [name for name in known if not (name == "properties" and self.column)]
                self.problems.append(
                    self.document.problem(
                        "M210", what, nearest(key, usual, otherwise="" if usual else "Take it out."), given, key
                    )
                )
            elif key == "pattern":
                found["pattern"] = value
            elif key != "properties":
                if not isinstance(value, Seq) or any(isinstance(item, Map | Seq) for item in value):
                    self.sound = False
                    what = f"`{key}` must be a list of plain values"
                    self.problems.append(self.document.problem("M210", what, f"Write `{key}: [a, b]`.", given, key))
                else:
                    found[known[key]] = tuple(value)
        if kind is Kind.INVALID_VALUES and not given:
            mend = "Add `arguments: {validValues: [a, b]}` or `arguments: {pattern: '…'}`."
            self._wrong("M210", "`invalidValues` does not say which values are valid", mend, "metric")
        if kind is Kind.MISSING_VALUES and self.sound:
            found.setdefault("missing_values", (None, ""))
        return found

    def _threshold(self, *, percent_of_rows: bool) -> dict[str, object]:
        for operator in OPERATORS:
            if operator not in self.rule:
                continue
            value = self.rule[operator]
            numbers = list(value) if isinstance(value, Seq) else [value]
            if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
                if operator in ("mustBe", "mustNotBe"):  # else the standard's schema has told it
                    self._wrong(
                        "M216", f"`{operator}` must be a number", "Write a number without quotes and units.", operator
                    )
                self.sound = False
                return {}
            if isinstance(value, Seq) and len(numbers) == 2 and numbers[0] > numbers[1]:  # noqa: PLR2004 - a pair
                self._wrong(
                    "M216",
                    f"`{operator}` goes from {numbers[0]} down to {numbers[1]}",
                    "Write the smaller number first.",
                    operator,
                )
            if (
                percent_of_rows
                and self.rule.get("unit") == "percent"
                and not all(0 <= number <= ALL for number in numbers)
            ):
                self._wrong("M216", f"`{operator}` is no percentage", "Write a number from 0 to 100.", operator)
            return {"operator": operator, "threshold": tuple(numbers) if isinstance(value, Seq) else value}
        return {}

    def _unit(self, kind: Kind) -> str:
        unit = text(self.rule, "unit", "rows")
        if unit not in ("rows", "percent"):
            self._wrong(
                "M210",
                f"`unit` cannot be `{unit}`",
                nearest(unit, ("rows", "percent"), otherwise="It is `rows` or `percent`."),
                "unit",
            )
        elif unit == "percent" and kind is Kind.ROW_COUNT:
            self._wrong("M210", "`rowCount` is a number of rows, never a percentage", "Take `unit:` out.", "unit")
        return unit

    def _severity(self) -> Severity:
        return severity(self.document, self.rule, "severity", text(self.rule, "severity", "error"), self.problems)

    def _filled(self, query: str) -> str:
        """The query with every spelling of its table brought to `{table}`, and its column filled in."""
        problems = self.problems

        def fill(hole: re.Match[str]) -> str:
            word = hole.group(1).lower()
            if word in TABLE_HOLES:
                return "{table}"
            if word in COLUMN_HOLES and self.column:
                return '"' + self.column.replace('"', '""') + '"'
            self.sound = False
            mend = nearest(
                word,
                [*TABLE_HOLES, *(COLUMN_HOLES if self.column else ())],
                otherwise="It can be `{table}`, and in a rule of a column `{column}`.",
            )
            problems.append(
                self.document.problem(
                    "M212", f"`{hole.group()}` is nothing that a query can be given", mend, self.rule, "query"
                )
            )
            return hole.group()

        filled = HOLE.sub(fill, query)
        if self.sound:
            from mesh_assets.reading.sqlread import read_rule, read_sql

            for what, mend in read_rule(filled.replace("{table}", "this")):
                self._wrong("M212", what, mend, "query")
            if self.sound and (many := read_sql(filled.replace("{table}", "this")).many):
                mend = "Select one number, such as `select count(*) from {table} where …`."
                self._wrong("M210", f"the query returns {many}, and a rule compares one number", mend, "query")
        return filled

    def _wrong(self, code: str, what: str, mend: str, key: str) -> None:
        self.sound = False
        self.problems.append(self.document.problem(code, what, mend, self.rule, key))


def _upgrade_rule(rule: Map) -> None:
    old = rule.get("rule")
    if "metric" in rule or not isinstance(old, str):
        return
    rule["metric"] = OLD_RULES.get(old, old)
    rule.marks["metric"] = rule.marks["rule"]
    del rule["rule"], rule.marks["rule"]
    if not any(operator in rule for operator in OPERATORS) and old in ("nullCheck", "validValues"):
        rule["mustBe"] = 0
        rule.marks["mustBe"] = rule.marks["metric"]
    if "validValues" in rule:
        arguments = Map()
        arguments["validValues"] = rule.pop("validValues")
        arguments.marks["validValues"] = rule.marks["arguments"] = rule.marks.pop("validValues")
        rule["arguments"] = arguments
