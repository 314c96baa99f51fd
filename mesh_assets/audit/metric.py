"""A value against what it must be: the operators of ODCS."""

from contextlib import suppress
from fractions import Fraction

from mesh_assets.audit.values import CannotAnswer, number
from mesh_assets.contract import Kind, Test
from mesh_assets.errors import nearest

OPERATORS = {
    "mustBe": "must be {}",
    "mustNotBe": "must not be {}",
    "mustBeGreaterThan": "must be greater than {}",
    "mustBeGreaterOrEqualTo": "must be at least {}",
    "mustBeLessThan": "must be less than {}",
    "mustBeLessOrEqualTo": "must be at most {}",
    "mustBeBetween": "must be between {} and {}",
    "mustNotBeBetween": "must not be between {} and {}",
}
"""In words. Both ends of `between` belong to it."""


def demand(test: Test, otherwise: tuple[str, object] | None = None) -> tuple[str, object]:
    """The operator of a metric or query, and its threshold.

    Raises:
        CannotAnswer: There is none, or none of that name.
    """
    operator = test.arguments.get("operator")
    if operator is None and otherwise:
        return otherwise
    if operator not in OPERATORS:
        msg = f"`{operator}` is not an operator. {nearest(str(operator), OPERATORS)}"
        raise CannotAnswer(msg)
    return str(operator), test.arguments.get("threshold")


def measure(test: Test, count: int, total: int) -> Fraction:
    """What a metric comes to, exactly; nothing of nothing is 0 percent."""
    match test.arguments.get("unit") or "rows":
        case "rows":
            return Fraction(count)
        case "percent" if test.kind is not Kind.ROW_COUNT:
            return Fraction(100 * count, total or 1)
    msg = f"the unit `{test.arguments['unit']}` cannot be used here; it is `rows` or, but for rowCount, `percent`"
    raise CannotAnswer(msg)


def numbers(operator: str, threshold: object) -> tuple[Fraction, ...]:
    """The threshold as one number, or two for `between`.

    Raises:
        CannotAnswer: It is not so many numbers.
    """
    wanted = 2 if operator.endswith("Between") else 1
    listed = threshold if isinstance(threshold, list | tuple) else (threshold,)
    found = tuple(exact for one in listed if isinstance(exact := number(one), Fraction))
    if not len(found) == len(listed) == wanted:
        msg = f"`{operator}` needs {wanted} number{'s' if wanted > 1 else ''}, not `{threshold}`"
        raise CannotAnswer(msg)
    return found


def holds(value: Fraction, operator: str, than: tuple[Fraction, ...]) -> bool:
    """Whether the value is what it must be."""
    match operator:
        case "mustBe":
            return value == than[0]
        case "mustNotBe":
            return value != than[0]
        case "mustBeGreaterThan":
            return value > than[0]
        case "mustBeGreaterOrEqualTo":
            return value >= than[0]
        case "mustBeLessThan":
            return value < than[0]
        case "mustBeLessOrEqualTo":
            return value <= than[0]
    inside = than[0] <= value <= than[1]
    return inside if operator == "mustBeBetween" else not inside


def compares(value: object, operator: str, threshold: object) -> bool:
    """A query's value against the threshold: numbers as numbers; truth and text by being the same or not.

    Raises:
        CannotAnswer: An operator of order, and no number to order.
    """
    if not isinstance(value, bool) and not isinstance(threshold, bool):
        with suppress(CannotAnswer):
            than = numbers(operator, threshold)
            if isinstance(found := number(value), Fraction):
                return holds(found, operator, than)
    if operator not in ("mustBe", "mustNotBe"):
        msg = f"`{operator}` compares numbers, and there is one that is none"
        raise CannotAnswer(msg)
    same = value is threshold if isinstance(threshold, bool) else str(value) == str(threshold)
    return same if operator == "mustBe" else not same
