"""A kind of test as a form, and a form as the values of its parameters; everything that is wrong is told beside its field."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from mesh_assets.audit.library.kinds import Form, Parameter
from mesh_assets.audit.values import NUMBERS, Family
from mesh_assets.catalog.words import consequence
from mesh_assets.contract import Column, Contract
from mesh_assets.domain import Mesh
from mesh_assets.errors import Problem
from mesh_assets.offered import Offer, family_of

Sent = Mapping[str, Sequence[str]]
"""A form as a browser sends it."""
PREFIX = "p_"
SEVERITIES = {word: consequence(word).capitalize() for word in ("error", "warning")}
LABELS = {
    "least": "At least",
    "most": "At most",
    "at_most": "Failing rows allowed",
    "unit": "Allowed in",
    "when": "Only rows where (SQL)",
    "query": "Query (SQL)",
    "condition": "Condition (SQL)",
    "expression": "Expression (SQL)",
}
"""Of parameters whose names say too little."""
_LONG = frozenset({Form.CONDITION, Form.EXPRESSION, Form.QUERY})
_LISTS = frozenset({Form.VALUES, Form.DAYS})
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One thing to fill in.

    Attributes:
        control: `line`, `number`, `text`, `list`, `check`, `choice` or `choices`.
        options: (value, label) of a choice.
        value: As text; of `choices` a list of texts.
        step: Of a number: `1` for whole ones.
    """

    name: str
    label: str
    help: str
    control: str
    needed: bool
    options: tuple[tuple[str, str], ...] = ()
    value: str | Sequence[str] = ""
    error: str = ""
    step: str = ""
    placeholder: str = ""


@dataclass(slots=True)
class Read:
    """What a form says."""

    values: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def fields(
    offer: Offer, contract: Contract, mesh: Mesh, shown: Mapping[str, Any], errors: Mapping[str, str]
) -> list[Field]:
    """What a kind of test asks for.

    Args:
        shown: Values by parameter, or texts as they were sent.
        errors: What is wrong, by parameter.
    """
    found = [_field(one, contract, mesh, shown.get(one.name), errors.get(one.name, "")) for one in offer.parameters]
    return [replace(one, help=spoken(one.help, offer), error=spoken(one.error, offer)) for one in found]


def label_of(name: str) -> str:
    """What stands above the field of a parameter."""
    return LABELS.get(name) or f"{name[:1].upper()}{name[1:].replace('_', ' ')}"


def spoken(text: str, offer: Offer) -> str:
    """A text that names parameters as the file does, as it is said beside a form: by the labels of their fields."""
    for one in offer.parameters:
        text = text.replace(f"`{one.name}`", f"“{label_of(one.name)}”")
    return text


def read(offer: Offer, sent: Sent, column: Column | None) -> Read:
    """The values of a form; what cannot be a value is told, and left out."""
    found = Read()
    for one in offer.parameters:
        texts = ["\n".join(text.strip().splitlines()) for text in sent.get(PREFIX + one.name, ()) if text.strip()]
        if one.form is Form.FLAG:
            if texts:
                found.values[one.name] = True
        elif not texts:
            if one.needed:
                found.errors[one.name] = f"Say it: {one.help[:1].lower()}{one.help[1:]}"
        else:
            try:
                value = _value(one, texts, column)
            except ValueError as wrong:
                found.errors[one.name] = str(wrong)
            else:
                if value != one.default:
                    found.values[one.name] = value
    return found


def as_texts(offer: Offer, sent: Sent) -> dict[str, str | list[str]]:
    """What was sent, to be shown again as it was."""
    found: dict[str, str | list[str]] = {}
    for one in offer.parameters:
        given = list(sent.get(PREFIX + one.name, ()))
        found[one.name] = given if one.form is Form.COLUMNS else (given or [""])[0]
    return found


def placed(problems: Iterable[Problem], offer: Offer) -> tuple[dict[str, str], list[str]]:
    """What the contract's reader says of a rule: by the parameter that it speaks of, and the rest."""
    errors: dict[str, str] = {}
    rest: list[str] = []
    for problem in problems:
        said = f"{problem.what[:1].upper()}{problem.what[1:]}. {problem.mend}"
        name = next((one.name for one in offer.parameters if f"`{one.name}`" in problem.what), None)
        if name is None:
            rest.append(said)
        else:
            errors[name] = f"{errors[name]} {said}" if name in errors else said
    return errors, rest


def _field(one: Parameter, contract: Contract, mesh: Mesh, value: object, error: str) -> Field:
    options: tuple[tuple[str, str], ...] = ()
    control, step = "line", ""
    match one.form:
        case Form.NUMBER | Form.WHOLE:
            control, step = "number", "1" if one.form is Form.WHOLE else "any"
        case Form.FLAG:
            control = "check"
        case Form.CHOICE:
            control, options = "choice", tuple((word, word) for word in one.choices)
        case Form.COLUMN | Form.COLUMNS:
            control = "choice" if one.form is Form.COLUMN else "choices"
            fitting = [column.name for column in contract.columns if not column.type or family_of(column) in one.of]
            options = tuple((name, name) for name in fitting)
        case Form.TABLE:
            control = "choice"
            spelt = [name.replace(".", "/", 1) for name in mesh.tables]
            options = tuple((name, name) for name in spelt)
        case form if form in _LONG:
            control = "text"
        case form if form in _LISTS:
            control = "list"
    if control == "choice" and not one.needed:
        options = (("", "–"), *options)
    return Field(
        name=one.name,
        label=label_of(one.name),
        help=one.help + (" One on each line." if control == "list" else ""),
        control=control,
        needed=one.needed,
        options=options,
        value=_shown(one, value),
        error=error,
        step=step,
        placeholder="" if one.default is None else str(one.default),
    )


def _shown(one: Parameter, value: object) -> str | list[str]:
    if one.form is Form.COLUMNS:
        return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)] if value else []
    if value is None:
        return str(one.default) if one.form is Form.CHOICE and one.default is not None else ""
    if isinstance(value, list | tuple):
        return "\n".join(map(str, value))
    return ("true" if value else "") if isinstance(value, bool) else str(value)


def _value(one: Parameter, texts: Sequence[str], column: Column | None) -> object:
    text = texts[0]
    match one.form:
        case Form.NUMBER | Form.WHOLE:
            return _number(text, whole=one.form is Form.WHOLE, low=one.low, high=one.high)
        case Form.COLUMNS:
            return list(texts)
        case Form.VALUES:
            return listed(text, column)
        case Form.VALUE:
            return _scalar(text, column)
        case Form.DAYS:
            return [_day(line.strip()) for line in text.splitlines() if line.strip()]
    return text


def number(text: str) -> int | float:
    """One number.

    Raises:
        ValueError: It is none.
    """
    return _number(text.strip(), whole=False, low=None, high=None)


def listed(text: str, column: Column | None) -> list[object]:
    """Values, one on each line, as the column's type has them.

    Raises:
        ValueError: One of them cannot be in the column.
    """
    return [_scalar(line.strip(), column) for line in text.splitlines() if line.strip()]


def demanded(text: str, *, pair: bool) -> int | float | list[int | float]:
    """A number, or two of them as in `1 and 20`.

    Raises:
        ValueError: It is not so many numbers.
    """
    found = [number(part) for part in re.split(r"\s+and\s+|\s*[,;]\s*|\s+", text.strip()) if part]
    if len(found) != (2 if pair else 1):
        raise ValueError("Write two numbers, such as `1 and 20`." if pair else "Write one number.")
    return found if pair else found[0]


def _number(text: str, *, whole: bool, low: float | None, high: float | None) -> int | float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"“{text}” is no number.")
    value = _plain(text)
    if whole and not isinstance(value, int):
        raise ValueError("It must be a whole number.")
    if (low is not None and value < low) or (high is not None and value > high):
        limits = [f"{word} {limit:g}" for word, limit in (("at least", low), ("at most", high)) if limit is not None]
        raise ValueError(f"It must be {' and '.join(limits)}.")
    return value


def _scalar(text: str, column: Column | None) -> object:
    family = family_of(column) if column else Family.OTHER
    if family in NUMBERS:
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"“{text}” is no number, and the column holds numbers.")
        return _plain(text)
    if family is Family.BOOLEAN:
        if text.lower() not in ("true", "false"):
            raise ValueError("It is `true` or `false`.")
        return text.lower() == "true"
    return text


def _plain(text: str) -> int | float:
    return int(text) if re.fullmatch(r"[-+]?[0-9]{1,38}", text) else float(text)


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError(f"“{text}” is no day. Write days as 2026-12-25.") from None
