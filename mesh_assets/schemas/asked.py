"""A pandera schema, whichever library it was written for, as the list of what it asks."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from mesh_assets.audit.values import CannotAnswer
from mesh_assets.schemas.patterns import accepted, alternates
from mesh_assets.schemas.predicates import BUILT_IN


class Flavour(StrEnum):
    """The library that a schema was written for: its own functions get frames of it."""

    PANDAS = "pandas"
    POLARS = "polars"
    IBIS = "ibis"


class Word(StrEnum):
    """What is asked, beside checks."""

    COLUMNS = "columns"  # they are there; with `strict` no others; with `ordered` in that order
    TYPES = "types"
    REQUIRED = "required"
    UNIQUE = "unique"
    CHECK = "check"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One thing that a schema asks of a table.

    Attributes:
        component: The schema's column, or the schema itself.
        column: Name of the column, or a pattern of names (`regex`); None for the whole table.
        columns: Of a joint uniqueness.
        index: Of the check among those of its component.
    """

    schema: Any
    component: Any
    flavour: Flavour
    word: Word
    column: str | None = None
    regex: bool = False
    columns: tuple[str, ...] = ()
    check: Any = None
    index: int | None = None

    @property
    def built_in(self) -> str:
        """Name of pandera's own check; empty when it is somebody's function."""
        name = getattr(getattr(self.check, "_check_fn", None), "__name__", "")
        return name if name in BUILT_IN and type(self.check).is_builtin_check(name) else ""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the check was given."""
        return self.check._check_kwargs  # noqa: SLF001 - pandera's own backends read it, too

    @property
    def element_wise(self) -> bool:
        """Whether the check sees one value at a time."""
        return bool(self.check is not None and self.check.element_wise)

    @property
    def title(self) -> str:
        """The check, as pandera spells it in its reports."""
        match self.word:
            case Word.CHECK:
                return str(self.check.error or self.check.name)
            case Word.REQUIRED:
                return "not_nullable"
            case Word.UNIQUE:
                return "multiple_fields_uniqueness" if self.columns else "field_uniqueness"
        return str(self.word)


def flavour_of(schema: object) -> Flavour:
    """The library that a schema was written for.

    Raises:
        CannotAnswer: It is none of the three.
    """
    for kind in type(schema).__mro__:
        parts = kind.__module__.split(".")
        if kind.__name__ == "DataFrameSchema" and parts[:2] == ["pandera", "api"] and parts[2] in tuple(Flavour):
            return Flavour(parts[2])
    raise CannotAnswer(f"{type(schema).__name__} is no DataFrameSchema of pandera for pandas, polars or ibis")


def asked(schema: Any) -> tuple[Asked, ...]:  # noqa: ANN401 - pandera has one class per library
    """Everything that the schema asks, first what it says of columns, then of each column, then of the table."""
    flavour = flavour_of(schema)
    components = _components(schema)
    make = partial(Asked, schema=schema, flavour=flavour)
    table = partial(make, component=schema)
    found: list[Asked] = []
    if components or schema.strict or schema.ordered:
        found.append(table(word=Word.COLUMNS))
    if any(component.dtype is not None for component in components) or schema.dtype is not None:
        found.append(table(word=Word.TYPES))
    for component in components:
        of = partial(make, component=component, column=str(component.name), regex=bool(component.regex))
        if not component.nullable:
            found.append(of(word=Word.REQUIRED))
        if component.unique:
            found.append(of(word=Word.UNIQUE))
        found += [of(word=Word.CHECK, check=check, index=index) for index, check in enumerate(component.checks)]
    found += [table(word=Word.UNIQUE, columns=columns) for columns in _joint(schema.unique)]
    found += [table(word=Word.CHECK, check=check, index=index) for index, check in enumerate(schema.checks)]
    return tuple(found)


def changes(schema: Any) -> Iterator[str]:  # noqa: ANN401
    """What the schema would change in a frame: a test of a table cannot."""
    if schema.strict == "filter":
        yield "`strict='filter'` drops columns"
    for name in ("coerce", "add_missing_columns", "drop_invalid_rows"):
        if getattr(schema, name, False):
            yield f"`{name}` changes the table"
    if getattr(schema, "parsers", None):
        yield "a parser changes the table"
    if getattr(schema, "index", None) is not None:
        yield "a table has no index"
    for component in _components(schema):
        if component.coerce:
            yield f"`coerce` of `{component.name}` changes the table"
        if getattr(component, "default", None) is not None:
            yield f"the default of `{component.name}` changes the table"
        if getattr(component, "parsers", None):
            yield f"a parser of `{component.name}` changes the table"


def deviations(schema: Any) -> Iterator[str]:  # noqa: ANN401
    """Checks that would mean something else than where they were written: pandera's own backends disagree on them."""
    flavour = flavour_of(schema)
    for one in asked(schema):
        if one.word is not Word.CHECK or one.built_in not in ("str_matches", "str_contains"):
            continue
        pattern = one.arguments["pattern"]
        pattern = getattr(pattern, "pattern", pattern)
        try:
            accepted(str(pattern))
        except CannotAnswer as why:
            yield f"{one.title} of `{one.column}`: {why}"
            continue
        if one.built_in == "str_matches" and flavour is Flavour.PANDAS and alternates(pattern):
            yield (f"{one.title} of `{one.column}`: pandas anchors every branch of a `|`, the reference only the first")


def bare(check: Any) -> Any:  # noqa: ANN401
    """The check without what only matters for its report."""
    found = copy.copy(check)
    found.raise_warning, found.n_failure_cases = False, None
    return found


def _components(schema: Any) -> list[Any]:  # noqa: ANN401
    found = []
    for name, column in schema.columns.items():
        component = copy.copy(column)
        component.name = name
        found.append(component)
    return found


def _joint(unique: Any) -> list[tuple[str, ...]]:  # noqa: ANN401
    if not unique:
        return []
    return [tuple(unique)] if all(isinstance(name, str) for name in unique) else [tuple(names) for names in unique]
