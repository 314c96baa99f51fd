"""What an ODCS file asks of a table, as named tests.

A column says it in its own keys (`required`, `unique`, `primaryKey`, `logicalTypeOptions`, `enum`, `relationships`), a rule under
`quality:` says it as a metric or a query. The severity of a rule is its `severity:`; that of what a column says in its own
keys is `error`, unless the column's `customProperties` hold `severity.<kind>: warning`, such as `severity.pattern`.
"""

import re
from collections.abc import Iterator
from types import MappingProxyType

from mesh_assets.contract import Column, Kind, Severity, Test
from mesh_assets.errors import Problem, nearest
from mesh_assets.source import Document, Map, Seq, child, flag, maps, text, texts

OPERATORS = (
    "mustBe", "mustNotBe", "mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan", "mustBeLessOrEqualTo",
    "mustBeBetween", "mustNotBeBetween",
)  # fmt: skip
METRICS = {
    "rowCount": Kind.ROW_COUNT, "nullValues": Kind.NULL_VALUES, "missingValues": Kind.MISSING_VALUES,
    "invalidValues": Kind.INVALID_VALUES, "duplicateValues": Kind.DUPLICATE_VALUES,
}  # fmt: skip
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
OPTIONS = {
    "minimum": Kind.MINIMUM, "maximum": Kind.MAXIMUM, "exclusiveMinimum": Kind.EXCLUSIVE_MINIMUM,
    "exclusiveMaximum": Kind.EXCLUSIVE_MAXIMUM, "multipleOf": Kind.MULTIPLE_OF, "pattern": Kind.PATTERN,
    "minLength": Kind.MIN_LENGTH, "maxLength": Kind.MAX_LENGTH, "format": Kind.FORMAT,
}  # fmt: skip
SAID_ONLY = frozenset({"password", "binary"})  # formats that say nothing about the text itself
DIMENSION = {
    Kind.REQUIRED: "completeness", Kind.NULL_VALUES: "completeness", Kind.MISSING_VALUES: "completeness",
    Kind.UNIQUE: "uniqueness", Kind.PRIMARY_KEY: "uniqueness", Kind.DUPLICATE_VALUES: "uniqueness",
    Kind.REFERENCE: "consistency",
}  # fmt: skip
RULE_KEYS = frozenset({
    "id", "authoritativeDefinitions", "businessImpact", "customProperties", "description", "dimension", "method", "name",
    "schedule", "scheduler", "severity", "tags", "type", "unit", "metric", "rule", "arguments", "query", "engine",
    "implementation", *OPERATORS,
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


def column_tests(document: Document, prop: Map, column: Column, domain: str, problems: list[Problem]) -> Iterator[Test]:
    """The tests that a column declares, implied ones before the rules."""
    yield from _Implied(document, prop, column, domain, problems).tests()
    for rule in maps(prop, "quality"):
        yield from _Rule(document, rule, problems, column=column.name).tests()


def table_tests(
    document: Document, schema: Map, names: dict[str, str], domain: str, problems: list[Problem]
) -> Iterator[Test]:
    """The tests of the table as a whole: its primary key, its relationships, its rules.

    Args:
        names: Each column's name in the contract, and in the lake.
    """
    key = sorted((item for item in maps(schema, "properties") if flag(item, "primaryKey")), key=_key_position)
    if key:
        columns = tuple(names.get(text(item, "name"), text(item, "name")) for item in key)
        severity = next(
            (level for item in key if (level := _override(document, item, "primaryKey", []))), Severity.ERROR
        )
        yield Test(
            name="primary_key", kind=Kind.PRIMARY_KEY, columns=columns, severity=severity, dimension="uniqueness",
            where=document.place(key[0], "primaryKey"),
        )  # fmt: skip
    for relationship in maps(schema, "relationships"):
        yield from _reference_of_table(document, schema, relationship, names, domain, problems)
    for rule in maps(schema, "quality"):
        yield from _Rule(document, rule, problems, names=names).tests()


def _key_position(prop: Map) -> tuple[bool, int]:
    position = prop.get("primaryKeyPosition")
    return (False, position) if isinstance(position, int) and position > 0 else (True, 0)


class _Implied:
    """What a column says in its own keys."""

    def __init__(self, document: Document, prop: Map, column: Column, domain: str, problems: list[Problem]) -> None:
        self.document, self.prop, self.column, self.domain, self.problems = document, prop, column, domain, problems

    def tests(self) -> Iterator[Test]:
        _check_overrides(self.document, self.prop, self.problems)
        if self.column.required:
            yield self._test("required", Kind.REQUIRED, {})
        if self.column.unique:
            yield self._test("unique", Kind.UNIQUE, {})
        options = child(self.prop, "logicalTypeOptions")
        for key, value in options.items():
            if key in OPTIONS and self._testable(key, value):
                argument = key if key in ("pattern", "format") else "value"
                yield self._test(key, OPTIONS[key], {argument: value}, options)
        if values := tuple(entry.get("value") for entry in maps(self.prop, "enum")):
            arguments = {"valid_values": values, "operator": "mustBe", "threshold": 0, "unit": "rows"}
            yield self._test("enum", Kind.INVALID_VALUES, arguments)
        for index, relationship in enumerate(maps(self.prop, "relationships")):
            yield from self._reference(relationship, "" if index == 0 else f"_{index + 1}")

    def _test(self, key: str, kind: Kind, arguments: dict[str, object], place: Map | None = None) -> Test:
        severity = _override(self.document, self.prop, key, []) or Severity.ERROR
        return Test(
            name=f"{slug(self.column.name)}__{'enum' if key == 'enum' else kind}",
            kind=kind,
            columns=(self.column.name,),
            arguments=MappingProxyType(arguments),
            severity=severity,
            dimension=DIMENSION.get(kind, "conformity"),
            description=self.column.description if kind is Kind.PATTERN else "",
            where=self.document.place(place if place is not None else self.prop, key),
        )

    def _testable(self, key: str, value: object) -> bool:
        if key != "format":
            return value is not None and not isinstance(value, Map | Seq)
        # Of a date a format says how it was written once, of a number how wide it is: the type holds that already.
        return self.column.logical_type in ("", "string") and isinstance(value, str) and value not in SAID_ONLY

    def _reference(self, relationship: Map, suffix: str) -> Iterator[Test]:
        target = relationship.get("to")
        if isinstance(target, Seq) and len(target) == 1:
            target = target[0]
        if not isinstance(target, str) or not (
            found := _target(self.document, relationship, target, self.domain, self.problems)
        ):
            return
        name = text(relationship, "id") or f"{self.column.name}__reference{suffix}"
        severity = (
            _override(self.document, relationship, "reference", self.problems)
            or _override(self.document, self.prop, "reference", [])
            or Severity.ERROR
        )
        yield Test(
            name=slug(name), kind=Kind.REFERENCE, columns=(self.column.name,), severity=severity, dimension="consistency",
            arguments=MappingProxyType({"to_table": found[0], "to_columns": (found[1],)}),
            where=self.document.place(relationship, "to"),
        )  # fmt: skip


class _Rule:
    """One entry under `quality:`, of a column or of the table."""

    def __init__(
        self,
        document: Document,
        rule: Map,
        problems: list[Problem],
        *,
        column: str = "",
        names: dict[str, str] | None = None,
    ) -> None:
        self.document, self.rule, self.problems, self.column, self.names = document, rule, problems, column, names or {}
        self.sound = True

    def tests(self) -> Iterator[Test]:
        kind = text(self.rule, "type") or ("sql" if "query" in self.rule else "library")
        if kind == "text":
            return
        if kind == "custom":
            mend = "Use `metric:` (" + ", ".join(METRICS) + ") or `type: sql`; for documentation only, `type: text`."
            self._wrong("M213", "rules of `type: custom` are not supported yet", mend, "type")
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
        severity = self._severity()
        if self.sound and "operator" in arguments:
            yield self._test(kind, columns, arguments, severity, metric)

    def _sql(self) -> Iterator[Test]:
        query = text(self.rule, "query")
        filled = self._filled(query) if query else ""
        arguments = {"query": filled, **self._threshold(percent_of_rows=False)}
        severity = self._severity()
        if "unit" in self.rule and text(self.rule, "unit") not in ("rows", ""):
            self._wrong(
                "M210", "a query's value has no unit", "Take `unit:` out; compute the percentage in the query.", "unit"
            )
        if self.sound and query and "operator" in arguments:
            yield self._test(Kind.SQL, (self.column,) if self.column else (), arguments, severity, "sql")

    def _test(
        self, kind: Kind, columns: tuple[str, ...], arguments: dict[str, object], severity: Severity, word: str
    ) -> Test:
        named = text(self.rule, "id") or slug(text(self.rule, "name").lower())
        default = "__".join([*(slug(column) for column in columns), str(kind) if word != "sql" else "sql"])
        return Test(
            name=slug(named) or default,
            kind=kind,
            columns=columns,
            arguments=MappingProxyType(arguments),
            severity=severity,
            dimension=text(self.rule, "dimension") or DIMENSION.get(kind, ""),
            description=text(self.rule, "description"),
            where=self.document.place(self.rule, next(iter(self.rule), "")),
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
                and not all(0 <= number <= 100 for number in numbers)
            ):  # noqa: PLR2004
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
        return _severity(self.document, self.rule, "severity", text(self.rule, "severity", "error"), self.problems)

    def _filled(self, query: str) -> str:
        """The query with the standard's several spellings of its holes brought to `{table}`, and its column filled in."""
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
            from mesh_assets.sqlread import read_rule  # noqa: PLC0415 - the parser is slow to load, and few contracts have SQL

            for what, mend in read_rule(filled.replace("{table}", "this")):
                self._wrong("M212", what, mend, "query")
        return filled

    def _wrong(self, code: str, what: str, mend: str, key: str) -> None:
        self.sound = False
        self.problems.append(self.document.problem(code, what, mend, self.rule, key))


def slug(name: str) -> str:
    """A name of letters, digits and single underscores."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")


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


def _reference_of_table(
    document: Document, schema: Map, relationship: Map, names: dict[str, str], domain: str, problems: list[Problem]
) -> Iterator[Test]:
    sources, targets = texts(relationship, "from"), texts(relationship, "to")
    own = {name for key in ("name", "physicalName") if (name := text(schema, key))}
    if not sources or not targets:
        return
    if len(sources) != len(targets):
        what = f"the relationship has {len(sources)} columns in `from` and {len(targets)} in `to`"
        problems.append(
            document.problem(
                "M214", what, "Name as many columns on both sides, in the same order.", relationship, "from"
            )
        )
        return
    columns: list[str] = []
    for source in sources:
        parts = _parts(source)
        if len(parts) > 1 and parts[-2] not in own:
            mend = (
                f"Write `{sorted(own)[0] if own else 'table'}.{parts[-1]}`, and turn the relationship round if need be."
            )
            problems.append(
                document.problem("M214", f"`{source}` is no column of this table", mend, relationship, "from")
            )
            return
        if parts[-1] not in names:
            problems.append(
                document.problem(
                    "M207",
                    f"`{parts[-1]}` is no column of this contract",
                    nearest(parts[-1], names),
                    relationship,
                    "from",
                )
            )
            return
        columns.append(names[parts[-1]])
    found = [_target(document, relationship, target, domain, problems) for target in targets]
    if not all(found):
        return
    tables = {pair[0] for pair in found if pair}
    if len(tables) > 1:
        what = f"the relationship leads to several tables: {', '.join(sorted(tables))}"
        problems.append(document.problem("M214", what, "Name columns of one table in `to`.", relationship, "to"))
        return
    severity = _override(document, relationship, "reference", problems) or Severity.ERROR
    yield Test(
        name=slug(text(relationship, "id")) or f"{'_'.join(map(slug, columns))}__reference",
        kind=Kind.REFERENCE, columns=tuple(columns), severity=severity, dimension="consistency",
        arguments=MappingProxyType({"to_table": tables.pop(), "to_columns": tuple(pair[1] for pair in found if pair)}),
        where=document.place(relationship, "to"),
    )  # fmt: skip


def _target(
    document: Document, relationship: Map, target: str, domain: str, problems: list[Problem]
) -> tuple[str, str] | None:
    parts = _parts(target)
    if len(parts) == 2:  # noqa: PLR2004 - table.column
        return f"{domain}.{parts[0]}", parts[1]
    if len(parts) == 3:  # noqa: PLR2004 - domain.table.column
        return f"{parts[0]}.{parts[1]}", parts[2]
    if not any(problem.where == document.place(relationship, "to") for problem in problems):
        mend = "Write `table.column` for a table of your own domain, `domain.table.column` for another domain's port."
        problems.append(document.problem("M214", f"`{target}` names no column of a table", mend, relationship, "to"))
    return None


def _parts(reference: str) -> list[str]:
    """`table.column`, `domain.table.column` or `/schema/table/properties/column` in its parts."""
    path = reference.strip("/").split("/")
    if len(path) == 4 and path[0] == "schema" and path[2] == "properties":  # noqa: PLR2004 - the standard's long form
        return [path[1], path[3]]
    return [] if "/" in reference or "#" in reference else reference.split(".")


def _override(document: Document, owner: Map, key: str, problems: list[Problem]) -> Severity | None:
    """The severity that `customProperties` give to what is said under a key: `severity.pattern`, `severity.required`, …"""
    wanted = {f"severity.{key}", f"severity.{KEY_KIND.get(key, key)}"} | ({"severity"} if "to" in owner else set())
    for extra in maps(owner, "customProperties"):
        if text(extra, "property") in wanted:
            return _severity(document, extra, "value", str(extra.get("value")), problems)
    return None


def _check_overrides(document: Document, prop: Map, problems: list[Problem]) -> None:
    known = [f"severity.{key}" for key in ("required", "unique", "primaryKey", "enum", "reference", *OPTIONS)]
    spelled = {f"severity.{kind}" for kind in KEY_KIND.values()}
    for extra in maps(prop, "customProperties"):
        name = text(extra, "property")
        if name.startswith("severity.") and name not in known and name not in spelled:
            problems.append(
                document.problem(
                    "M209", f"`{name}` is the severity of nothing", nearest(name, known), extra, "property"
                )
            )
        elif name.startswith("severity."):
            _severity(document, extra, "value", str(extra.get("value")), problems)


def _severity(document: Document, owner: Map, key: str, written: str, problems: list[Problem]) -> Severity:
    if written in tuple(Severity):
        return Severity(written)
    mend = nearest(written, tuple(Severity), otherwise="It is `error`, which stops a version, or `warning`.")
    problems.append(document.problem("M209", f"the severity `{written}` is not known", mend, owner, key))
    return Severity.ERROR


KEY_KIND = {"primaryKey": "primary_key", **{key: str(kind) for key, kind in OPTIONS.items()}}
