"""The kinds of tests that a person without code can choose, as data: those of the standard and those of the library.

A form, its validation and the command line come from the same list; a rule and the values in its form are each made of
the other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from mesh_assets.audit.library import TYPES
from mesh_assets.audit.library.kinds import COMMON, TEXTS, VALUES, Form, Parameter, Scope, TestType
from mesh_assets.audit.values import CannotAnswer, Family, column_type
from mesh_assets.contract import Column, Contract
from mesh_assets.errors import UsageError, nearest

Values = Mapping[str, object]
Rule = dict[str, Any]
OPERATORS = ("mustBe", "mustBeLessOrEqualTo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One kind of test.

    Attributes:
        label: Its name in a list, for people.
        help: What is wrong when it fails, as a sentence.
        families: Columns that it can be asked of; empty for a test of the table.
        rule: From the values of its parameters to what stands under `quality:`.
        values: From a rule to the values of its parameters; None when the rule is of another kind.
    """

    name: str
    label: str
    help: str
    dimension: str
    scope: Scope
    parameters: tuple[Parameter, ...]
    families: frozenset[Family]
    rule: Callable[[Values], Rule]
    values: Callable[[Rule], Values | None]
    example: str = ""

    def written(self, values: Values) -> Rule:
        """What stands under `quality:` for values that somebody has named.

        Raises:
            UsageError: One is not of this kind, or one that is needed is not there; all of them at once.
        """
        known = {one.name: one for one in self.parameters}
        wrong = [f"`{self.name}` has no `{name}`\n    {nearest(name, known)}" for name in values if name not in known]
        wrong += [
            f"`{self.name}` needs `{one.name}`\n    {one.help}"
            for one in self.parameters
            if one.needed and one.name not in values
        ]
        if wrong:
            raise UsageError("\n".join(wrong))
        return self.rule(values)

    def fits(self, column: Column | None) -> bool:
        """Whether it can be asked of the column; of the table, when there is none."""
        if column is None:
            return self.scope is Scope.TABLE
        return self.scope is Scope.COLUMN and (not column.type or family_of(column) in self.families)


def family_of(column: Column) -> Family:
    """What sort of values the column holds."""
    try:
        return column_type(column.type).family
    except CannotAnswer:
        return Family.OTHER


def chosen(offers: Iterable[Offer], column: Column | None) -> list[Offer]:
    """Those that can be asked of a column, or of the table."""
    return [offer for offer in offers if offer.fits(column)]


def recognised(rule: Rule) -> tuple[Offer, Values] | None:
    """The kind of a rule, and its values; None for one that only its file can change, such as a query of one's own."""
    for offer in OFFERS.values():
        values = offer.values(rule)
        if values is not None:
            return offer, values
    return None


def column_of(contract: Contract, name: str) -> Column | None:
    """A column of the contract."""
    return next((column for column in contract.columns if column.name == name), None)


def _at_most(values: Values) -> Rule:
    limit = values.get("at_most") or 0
    if not limit:
        return {"mustBe": 0}
    unit = {"unit": "percent"} if values.get("unit") == "percent" else {}
    return {"mustBeLessOrEqualTo": limit, **unit}


def _metric(name: str, arguments: Mapping[str, str] = MappingProxyType({})) -> tuple[Callable, Callable]:
    """Rule and values of a metric that must be nearly nothing; `arguments`: of ODCS, by parameter."""

    def rule(values: Values) -> Rule:
        given = {theirs: values[ours] for ours, theirs in arguments.items() if ours in values}
        return {"metric": name, **({"arguments": given} if given else {}), **_at_most(values)}

    def values(rule: Rule) -> Values | None:
        operators = [key for key in rule if key.startswith("must")]
        given = rule.get("arguments") or {}
        if rule.get("metric") != name or len(operators) != 1 or operators[0] not in OPERATORS:
            return None
        if (operators[0] == "mustBe" and rule["mustBe"] != 0) or set(given) != set(arguments.values()):
            return None
        found = {ours: given[theirs] for ours, theirs in arguments.items()}
        at_most = rule[operators[0]]
        return {**found, "at_most": at_most, "unit": rule.get("unit") or "rows"}

    return rule, values


def _within(least: object, most: object) -> Rule:
    """The operator of two limits; nothing without one."""
    if least is not None and most is not None:
        return {"mustBeBetween": [least, most]}
    if most is not None:
        return {"mustBeLessOrEqualTo": most}
    return {} if least is None else {"mustBeGreaterOrEqualTo": least}


def _limits(rule: Rule) -> Values | None:
    """The limits of a rule with one operator of `_within`; None when it has others."""
    match {key: value for key, value in rule.items() if key.startswith("must")}:
        case {"mustBeBetween": [least, most], **rest} if not rest:
            return {"least": least, "most": most}
        case {"mustBeLessOrEqualTo": most, **rest} if not rest:
            return {"most": most}
        case {"mustBeGreaterOrEqualTo": least, **rest} if not rest:
            return {"least": least}
    return None


def _row_count(values: Values) -> Rule:
    return {"metric": "rowCount", **(_within(values.get("least"), values.get("most")) or _within(1, None))}


def _row_count_values(rule: Rule) -> Values | None:
    if rule.get("metric") != "rowCount":
        return None
    more_than = rule.get("mustBeGreaterThan")
    if isinstance(more_than, int) and sum(key.startswith("must") for key in rule) == 1:
        return {"least": more_than + 1}
    return _limits(rule)


def _query(values: Values) -> Rule:
    limits = _within(values.get("least"), values.get("most"))
    exactly = values.get("exactly")
    demanded = {} if exactly is None and limits else {"mustBe": exactly or 0}
    return {"type": "sql", "query": values["query"], **demanded, **limits}  # both: the contract's reader says so


def _query_values(rule: Rule) -> Values | None:
    if not isinstance(rule.get("query"), str) or rule.get("type", "sql") != "sql":
        return None
    exactly = rule.get("mustBe")
    alone = exactly is not None and sum(key.startswith("must") for key in rule) == 1
    limits = {"exactly": exactly} if alone else _limits(rule)
    return None if limits is None else {"query": rule["query"].strip(), **limits}


def _of_library(kind: TestType) -> Offer:
    def rule(values: Values) -> Rule:
        return {"type": "custom", "engine": "mesh", "implementation": {"test": kind.name, **values}}

    def values(rule: Rule) -> Values | None:
        said = rule.get("implementation")
        if rule.get("engine") != "mesh" or not said:
            return None
        given = {"test": said} if isinstance(said, str) else dict(said)
        if given.pop("test", None) != kind.name or not set(given) <= {one.name for one in kind.every_parameter}:
            return None
        return given

    return Offer(
        name=kind.name,
        label=kind.label,
        help=kind.help,
        dimension=kind.dimension,
        scope=kind.scope,
        parameters=kind.every_parameter,
        families=kind.families if kind.scope is Scope.COLUMN else frozenset(),
        rule=rule,
        values=values,
        example=kind.example,
    )


def _of_standard(
    name: str,
    label: str,
    help_: str,
    dimension: str,
    made: tuple[Callable, Callable],
    parameters: Sequence[Parameter],
    *,
    families: frozenset[Family] = VALUES,
    example: str = "",
) -> Offer:
    scope = Scope.COLUMN if families else Scope.TABLE
    return Offer(
        name=name, label=label, help=help_, dimension=dimension, scope=scope, parameters=tuple(parameters),
        families=families, rule=made[0], values=made[1], example=example,
    )  # fmt: skip


_LIMITS = tuple(one for one in COMMON if one.name != "when")
_PROPERTIES = _metric("duplicateValues", {"columns": "properties"})
STANDARD = (
    _of_standard("not_null", "Always filled", "The value is missing.", "completeness", _metric("nullValues"), _LIMITS, families=frozenset(Family)),
    _of_standard("unique", "No value twice", "Another row has the same value.", "uniqueness", _metric("duplicateValues"), _LIMITS),
    _of_standard("one_of", "One of a list", "The value is not one of the list.", "conformity", _metric("invalidValues", {"values": "validValues"}),
                 (Parameter(name="values", form=Form.VALUES, help="Every value that is fine.", needed=True), *_LIMITS), example="values: [A, B]"),
    _of_standard("pattern", "Written in a certain way", "The text does not match the regular expression.", "conformity",
                 _metric("invalidValues", {"pattern": "pattern"}),
                 (Parameter(name="pattern", form=Form.TEXT, help="A regular expression that is found in the text; `^` and `$` anchor it.", needed=True), *_LIMITS),
                 families=TEXTS, example="pattern: '^[A-Z]{2}[0-9]+$'"),
    _of_standard("unique_together", "No combination twice", "Another row has the same values in all of these columns.", "uniqueness", _PROPERTIES,
                 (Parameter(name="columns", form=Form.COLUMNS, help="The columns.", needed=True), *_LIMITS), families=frozenset(),
                 example="columns: [customer_id, day]"),
    _of_standard("row_count", "How many rows", "There are too few rows, or too many.", "completeness", (_row_count, _row_count_values),
                 (Parameter(name="least", form=Form.WHOLE, help="So many at least; without a limit, one.", low=0),
                  Parameter(name="most", form=Form.WHOLE, help="So many at most.", low=0)), families=frozenset(), example="least: 1"),
    _of_standard("query", "A query of its own", "The query's value is not what is demanded.", "consistency", (_query, _query_values),
                 (Parameter(name="query", form=Form.QUERY, help="A `select` of one number; `{table}` is the table. It only reads.", needed=True),
                  Parameter(name="exactly", form=Form.NUMBER, help="The number must be this one; without any limit, 0."),
                  Parameter(name="least", form=Form.NUMBER, help="The number must be at least this."),
                  Parameter(name="most", form=Form.NUMBER, help="The number must be at most this.")), families=frozenset(),
                 example="query: select count(*) from {table} where ended < begun"),
)  # fmt: skip
"""What ODCS has a word for."""
OFFERS: Mapping[str, Offer] = MappingProxyType(
    {one.name: one for one in (*STANDARD, *(_of_library(kind) for kind in TYPES.values()))}
)
"""Every kind, by name: the standard's first."""
