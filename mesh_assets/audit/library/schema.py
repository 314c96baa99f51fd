"""The library as a JSON Schema, for editors and forms, and as plain data, for the command line and the portal."""

from mesh_assets.audit.library.kinds import Form, Parameter, TestType

_FORMS: dict[Form, dict[str, object]] = {
    Form.NUMBER: {"type": "number"},
    Form.WHOLE: {"type": "integer"},
    Form.FLAG: {"type": "boolean"},
    Form.VALUES: {"type": "array", "minItems": 1},
    Form.COLUMNS: {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True}]},
    Form.COLUMN: {"type": "string"},
    Form.TABLE: {"type": "string", "pattern": "^[^./]+[./][^./]+$"},
    Form.CONDITION: {"type": "string", "minLength": 1},
    Form.EXPRESSION: {"type": "string", "minLength": 1},
    Form.DAYS: {"type": "array", "items": {"type": "string", "format": "date"}},
    Form.TEXT: {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    Form.VALUE: {},
}  # fmt: skip


def implementation(kinds: dict[str, TestType]) -> dict[str, object]:
    """The schema of `implementation:` in a rule of `type: custom, engine: mesh`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "oneOf": [{"enum": sorted(name for name, kind in kinds.items() if not any(one.needed for one in kind.parameters))},
                  *(_kind(kind) for kind in kinds.values())],
    }  # fmt: skip


def _kind(kind: TestType) -> dict[str, object]:
    properties = {one.name: _parameter(one) for one in kind.every_parameter}
    return {
        "title": kind.label,
        "description": kind.help,
        "type": "object",
        "properties": {"test": {"const": kind.name}, **properties},
        "required": ["test", *(one.name for one in kind.parameters if one.needed)],
        "additionalProperties": False,
    }


def _parameter(one: Parameter) -> dict[str, object]:
    form = {"enum": list(one.choices)} if one.form is Form.CHOICE else dict(_FORMS[one.form])
    limits = {key: value for key, value in (("minimum", one.low), ("maximum", one.high)) if value is not None}
    return {"description": one.help, **form, **limits, **({"default": one.default} if one.default is not None else {})}


def as_data(kind: TestType) -> dict[str, object]:
    """One kind of test as plain data."""
    return {
        "name": kind.name,
        "label": kind.label,
        "fails": kind.help,
        "dimension": kind.dimension,
        "scope": str(kind.scope),
        "columns": sorted(family.value for family in kind.families) if kind.scope == "column" else [],
        "compares_with_history": kind.history,
        "depends_on_the_clock": kind.clock,
        "testgen": list(kind.theirs),
        "example": kind.example,
        "parameters": [
            {
                "name": one.name,
                "form": str(one.form),
                "help": one.help,
                "needed": one.needed,
                "default": one.default,
                "choices": list(one.choices),
                "least": one.low,
                "most": one.high,
            }
            for one in kind.every_parameter
        ],
    }
