"""Rules of `type: custom, engine: mesh`: a test of the library with its parameters, checked against what it can be told."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from types import MappingProxyType

from mesh_assets.audit import library
from mesh_assets.audit.library.kinds import Form, Parameter, Scope, TestType
from mesh_assets.audit.values import CannotAnswer, ColumnType
from mesh_assets.contract import Kind, Test
from mesh_assets.errors import Problem, nearest
from mesh_assets.reading.conditions import wrong_with
from mesh_assets.reading.source import Document, Map, Seq, text
from mesh_assets.reading.testwords import METRICS


@dataclass(frozen=True, slots=True)
class Custom:
    """What such a rule says."""

    kind: Kind
    type: str
    columns: tuple[str, ...]
    arguments: Mapping[str, object]
    dimension: str


def _metric(name: str) -> str:
    """What to write for a test that is one of the standard's own; empty when it is none."""
    near = get_close_matches(name.lower(), [str(kind) for kind in METRICS.values()], n=1, cutoff=0.8)
    metric = next((metric for metric, kind in METRICS.items() if near and str(kind) == near[0]), "")
    return (
        f"It is the standard's own: write `metric: {metric}`, without `type`, `engine` and `implementation`."
        if metric
        else ""
    )


class _Wrong(Exception):  # noqa: N818 - never leaves this module
    """Why a value cannot be used, and how to mend it."""

    def __init__(self, what: str, mend: str, code: str = "M523") -> None:
        super().__init__(what)
        self.what, self.mend, self.code = what, mend, code


def read(
    document: Document, rule: Map, column: str, columns: tuple[str, ...], problems: list[Problem]
) -> Custom | None:
    """The rule, or None after telling what is wrong with it.

    Args:
        document: The file.
        rule: The rule in it.
        column: The column that it belongs to; empty for a rule of the table.
        columns: All columns of the contract.
        problems: Takes what is wrong.
    """
    return _Reader(document, rule, column, columns, problems).read()


def unsuited(test: Test, types: Mapping[str, ColumnType]) -> Iterator[Problem]:
    """Why a test of the library makes no sense for its column."""
    if test.kind is not Kind.LIBRARY:
        return
    with suppress(_Later):
        try:
            library.answer(library.Asked(test, types, "this", _later))
        except CannotAnswer as why:
            mend = "Ask it of another column, or choose another test: mesh test types"
            yield Problem("M527", f"`{test.name}` cannot be tested: {why}", test.where, mend)


class _Later(Exception):  # noqa: N818 - never leaves this module
    """Another table is asked for, and there is none yet."""


def _later(_: str) -> tuple[str, Mapping[str, ColumnType]]:
    raise _Later


class _Reader:
    def __init__(
        self, document: Document, rule: Map, column: str, columns: tuple[str, ...], problems: list[Problem]
    ) -> None:
        self.document, self.rule, self.column, self.columns, self.problems = document, rule, column, columns, problems
        self.before = len(problems)

    def read(self) -> Custom | None:
        said = self.rule.get("implementation")
        given = said if isinstance(said, Map) else Map()
        name = said if isinstance(said, str) else text(given, "test")
        if not name:
            mend = "Write `implementation: {test: …}`; `mesh test types` lists them."
            self.tell("M520", "the rule does not say which test it is", mend, self.rule, "implementation")
            return None
        if name not in library.TYPES:
            where = (given, "test") if given else (self.rule, "implementation")
            mend = nearest(name, library.TYPES, otherwise=_metric(name) or "`mesh test types` lists them.")
            self.tell("M520", f"`{name}` is no test of the library", mend, *where)
            return None
        kind = library.TYPES[name]
        self.check_scope(kind, given)
        arguments = self.arguments(kind, given)
        if len(self.problems) > self.before:
            return None
        columns = (self.column,) if kind.scope is Scope.COLUMN else ()
        return Custom(Kind.LIBRARY, name, columns, MappingProxyType(arguments), kind.dimension)

    def check_scope(self, kind: TestType, given: Map) -> None:
        where = (given, "test") if given else (self.rule, "implementation")
        if kind.scope is Scope.COLUMN and not self.column:
            mend = "Move the rule to the `quality:` of that column."
            self.tell("M524", f"`{kind.name}` is asked of a column, and this rule belongs to the table", mend, *where)
        if kind.scope is Scope.TABLE and self.column:
            mend = "Move the rule to the `quality:` of the table, beside `properties:`."
            self.tell("M524", f"`{kind.name}` is asked of the table, and this rule belongs to a column", mend, *where)

    def arguments(self, kind: TestType, given: Map) -> dict[str, object]:
        known = {parameter.name: parameter for parameter in kind.every_parameter}
        found: dict[str, object] = {
            name: parameter.default for name, parameter in known.items() if parameter.default is not None
        }
        for key, value in given.items():
            if key == "test":
                continue
            if key not in known:
                mend = nearest(key, known, otherwise="" if known else "Take it out: it has none.")
                self.tell("M521", f"`{kind.name}` has no parameter `{key}`", mend, given, key)
                continue
            try:
                found[key] = _read(known[key], value, self.columns)
            except _Wrong as wrong:
                self.tell(wrong.code, wrong.what, wrong.mend, given, key)
        for name, parameter in known.items():
            if parameter.needed and name not in given:
                where = (given, "test") if given else (self.rule, "implementation")
                self.tell("M522", f"`{kind.name}` needs `{name}`: {_lower(parameter.help)}", _example(kind), *where)
        return found

    def tell(self, code: str, what: str, mend: str, parent: object, key: str) -> None:
        self.problems.append(self.document.problem(code, what, mend, parent, key))


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")


def _example(kind: TestType) -> str:
    lines = ", ".join(kind.example.splitlines())
    return f"Write `implementation: {{test: {kind.name}{', ' + lines if lines else ''}}}`."


def _read(parameter: Parameter, value: object, columns: tuple[str, ...]) -> object:
    form = parameter.form
    if form in (Form.NUMBER, Form.WHOLE):
        return _number(parameter, value)
    if form in (Form.COLUMN, Form.COLUMNS):
        return _columns(parameter, value, columns)
    if form in (Form.CONDITION, Form.EXPRESSION) and isinstance(value, str) and value.strip():
        return _expression(parameter, value, columns)
    if form is Form.CHOICE and isinstance(value, str):
        return _choice(parameter, value)
    return _plain(parameter, value)


def _plain(parameter: Parameter, value: object) -> object:
    several = isinstance(value, Seq) and bool(value)
    match parameter.form:
        case Form.FLAG if isinstance(value, bool):
            return value
        case Form.VALUE if not isinstance(value, Map | Seq) and value is not None:
            return value
        case Form.VALUES if several and not any(isinstance(one, Map | Seq) for one in value):
            return tuple(value)
        case Form.TABLE if isinstance(value, str) and value.replace("/", ".").count(".") == 1:
            return value.replace("/", ".")
        case Form.DAYS if several:
            return tuple(_day(parameter.name, one) for one in value)
        case Form.TEXT if isinstance(value, str):
            return value
        case Form.TEXT if several and all(isinstance(one, str) for one in value):
            return tuple(value)
    raise _other(parameter, value)


def _other(parameter: Parameter, value: object) -> _Wrong:
    form = parameter.form
    wanted = "a table, as `domain.table`" if form is Form.TABLE else form.value
    return _Wrong(f"`{parameter.name}` must be {wanted}, not {_shown(value)}", parameter.help)


def _choice(parameter: Parameter, value: str) -> str:
    if value in parameter.choices:
        return value
    choices = ", ".join(f"`{one}`" for one in parameter.choices)
    mend = nearest(value, parameter.choices, otherwise=f"It is one of {choices}.")
    raise _Wrong(f"`{parameter.name}` cannot be `{value}`", mend)


def _columns(parameter: Parameter, value: object, columns: tuple[str, ...]) -> str | tuple[str, ...]:
    listed = [value] if isinstance(value, str) else list(value) if isinstance(value, Seq) else []
    if not listed or (parameter.form is Form.COLUMN and not isinstance(value, str)):
        raise _other(parameter, value)
    if twice := [one for one in listed if listed.count(one) > 1]:
        raise _Wrong(f"`{parameter.name}` names `{twice[0]}` twice", "Name each column once.")
    named = tuple(_column(parameter.name, one, columns) for one in listed)
    return named[0] if parameter.form is Form.COLUMN else named


def _expression(parameter: Parameter, value: str, columns: tuple[str, ...]) -> str:
    name, theirs = parameter.name, parameter.name == "to_when"  # of a row of the other table
    aggregates = parameter.form is Form.EXPRESSION and not theirs
    if wrong := wrong_with(value, None if theirs else columns, aggregates=aggregates):
        raise _Wrong(f"`{name}` cannot be used: {wrong[0]}", wrong[1], "M525")
    return value.strip()


def _shown(value: object) -> str:
    return "a mapping" if isinstance(value, Map) else "a list" if isinstance(value, Seq) else f"`{value}`"


def _number(parameter: Parameter, value: object) -> int | float:
    wanted = int if parameter.form is Form.WHOLE else (int, float)
    if isinstance(value, bool) or not isinstance(value, wanted):
        raise _Wrong(f"`{parameter.name}` must be {parameter.form.value}, not {_shown(value)}", parameter.help)
    low, high = parameter.low, parameter.high
    if (low is not None and value < low) or (high is not None and value > high):
        limits = (
            f"from {low:g} to {high:g}"
            if low is not None and high is not None
            else f"at least {low:g}"
            if low is not None
            else f"at most {high:g}"
        )
        raise _Wrong(f"`{parameter.name}` is {value}, and must be {limits}", parameter.help)
    return value


def _column(name: str, value: object, columns: tuple[str, ...]) -> str:
    if value not in columns:
        raise _Wrong(f"`{name}` names `{value}`, which is no column of this contract", nearest(str(value), columns))
    return str(value)


def _day(name: str, value: object) -> str:
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise _Wrong(f"`{name}` holds `{value}`, which is no day", "Write days as 2026-12-25.") from None
