"""Every kind of test beyond those of the standard, as data; `TYPES` by name."""

from mesh_assets.audit.library.groups import GROUPS
from mesh_assets.audit.library.history import HISTORY
from mesh_assets.audit.library.kinds import (
    Answer,
    Asked,
    Compared,
    Form,
    Found,
    Measure,
    Nothing,
    Parameter,
    Past,
    Rows,
    Scope,
    TestType,
    Verdict,
    allowed,
    restricted,
)
from mesh_assets.audit.library.measures import MEASURES
from mesh_assets.audit.library.rows import ROWS
from mesh_assets.audit.values import CannotAnswer
from mesh_assets.contract import Test
from mesh_assets.errors import nearest

TYPES: dict[str, TestType] = {one.name: one for one in (*ROWS, *GROUPS, *MEASURES, *HISTORY)}
"""By name, in the order of the reference."""


ELSEWHERE = {
    "Required": "required", "Unique": "unique", "LOV_Match": "invalid_values", "Min_Val": "minimum", "Min_Date": "minimum",
    "Pattern_Match": "pattern", "CUSTOM": "sql",
}  # fmt: skip
"""Kinds of TestGen's that the standard has a word for."""


def type_of(test: Test) -> TestType:
    """The kind of a test of the library.

    Raises:
        CannotAnswer: There is none of that name.
    """
    if test.type not in TYPES:
        msg = f"`{test.type}` is no kind of test. {nearest(test.type, TYPES)}"
        raise CannotAnswer(msg)
    return TYPES[test.type]


def answer(asked: Asked) -> Answer:
    """How the test is answered on that table.

    Raises:
        CannotAnswer: It makes no sense there.
    """
    kind, names = type_of(asked.test), _names(asked)
    if missing := [name for name in names if name not in asked.types]:
        msg = f"column `{missing[0]}` is missing"
        raise CannotAnswer(msg)
    if kind.scope is Scope.COLUMN and asked.type.family not in kind.families:
        wanted = ", ".join(sorted(family.value for family in kind.families))
        msg = f"`{kind.name}` asks for {wanted}, and `{asked.name}` is {asked.type.name}"
        raise CannotAnswer(msg)
    for parameter in kind.parameters:
        if parameter.form in (Form.COLUMN, Form.COLUMNS):
            for name in asked.named(parameter.name):
                if asked.types[name].family not in parameter.of:
                    msg = f"`{parameter.name}` cannot be `{name}`, which is {asked.types[name].name}"
                    raise CannotAnswer(msg)
    found = kind.answer(asked)
    return Rows(restricted(asked, found.condition)) if isinstance(found, Rows) else found


def _names(asked: Asked) -> list[str]:
    kind = type_of(asked.test)
    named = [
        name for each in kind.parameters if each.form in (Form.COLUMN, Form.COLUMNS) for name in asked.named(each.name)
    ]
    return [*asked.test.columns, *named]


__all__ = [
    "ELSEWHERE", "TYPES", "Answer", "Asked", "Compared", "Form", "Found", "Measure", "Nothing", "Parameter", "Past", "Rows", "Scope", "TestType", "Verdict",
    "allowed", "answer", "restricted", "type_of",
]  # fmt: skip
