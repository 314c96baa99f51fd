"""The hand-written schemas of a contract, as tests with names.

This is where team code of `checks.py` is imported: when Dagster loads the domain, and when its tests run.
"""

import traceback
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mesh_assets import modules
from mesh_assets.contract import Attached, Contract, Kind, Severity, Test
from mesh_assets.errors import ConfigError, Place, Problem
from mesh_assets.reading.testwords import slug
from mesh_assets.schemas import TABLES

# Pandera and polars are imported where a schema is loaded: every process that loads the mesh would pay for them.
if TYPE_CHECKING:
    from mesh_assets.schemas.asked import Asked

MEND = {
    "M554": "Do it in the code that builds the table, and leave the tests here.",
    "M555": "Write it so that all of pandera's backends mean the same, for example with a group: `(?:a|b)`.",
    "M556": "Compare with a value of the column's own type.",
}


@dataclass(frozen=True, slots=True)
class HandWritten:
    """One test of a hand-written schema."""

    test: Test
    asked: "Asked"


def tests_of(contract: Contract | None) -> tuple[Test, ...]:
    """All tests of a contract: its own, then those of its hand-written schemas.

    Raises:
        ConfigError: A schema cannot be loaded, or asks what a test of a table cannot be.
    """
    if contract is None:
        return ()
    return (*contract.tests, *(each.test for each in hand_written(contract)))


def hand_written(contract: Contract) -> tuple[HandWritten, ...]:
    """The tests that only the hand-written schemas have; what the contract asks as well is its own test.

    Raises:
        ConfigError: As `tests_of`.
    """
    if not contract.schemas:
        return ()
    taken = {test.name.lower() for test in contract.tests}
    known = {(test.kind, test.columns) for test in contract.tests if test.severity is Severity.ERROR}
    found = []
    for schema in contract.schemas:
        problems = list(_unsuited(schema, contract))
        if problems:
            raise ConfigError(problems=problems)
        for each in loaded(schema):
            if (_KIND.get(str(each.word)), each.columns or (each.column,)) in known:
                continue
            test = _test(each, schema.where, taken)
            taken.add(test.name.lower())
            found.append(HandWritten(test, each))
    return tuple(found)


_KIND = {"required": Kind.REQUIRED, "unique": Kind.UNIQUE}


@lru_cache(maxsize=1000)
def loaded(schema: Attached) -> "tuple[Asked, ...]":
    """Everything that a domain's schemas ask of a table.

    Raises:
        ConfigError: The file cannot be imported, what is attached is no schema, or it would change the table.
    """
    from mesh_assets.audit.values import CannotAnswer
    from mesh_assets.schemas.asked import asked, changes, deviations

    found: list[Asked] = []
    problems = []
    for each in _schemas(schema):
        try:
            found += asked(each)
            problems += [_problem("M554", what, schema.where) for what in changes(each)]
            problems += [_problem("M555", what, schema.where) for what in deviations(each)]
        except CannotAnswer as why:
            raise _unloaded(schema, str(why)) from None
    if problems:
        raise ConfigError(problems=problems)
    return tuple(found)


def _test(one: "Asked", where: Place, taken: Collection[str]) -> Test:
    word = str(one.word) if one.check is None else str(one.check.name)
    if word in ("columns", "types"):
        word = f"schema__{word}"
    parts = [*one.columns, *([one.column] if one.column else []), word.replace("<lambda>", "check")]
    name = "__".join(filter(None, (slug(part) for part in parts))) or "check"
    number = 2
    unique = name
    while unique.lower() in taken:
        unique, number = f"{name}_{number}", number + 1
    said = one.check and (one.check.description or one.check.title)
    warning = one.check is not None and one.check.raise_warning
    return Test(
        name=unique,
        kind=Kind.PANDERA,
        columns=one.columns or ((one.column,) if one.column and not one.regex else ()),
        arguments=MappingProxyType({"check": one.title, "written_for": str(one.flavour)}),
        severity=Severity.WARNING if warning else Severity.ERROR,
        description=str(said or f"`{one.title}`, in checks.py"),
        where=where,
    )


def _schemas(schema: Attached) -> list[Any]:
    """The attached objects as schemas, in the order of the file."""
    try:
        module = modules.load_checks(schema.domain, schema.folder, schema.code)
    except (Exception, SystemExit) as error:
        raise _unloaded(schema, f"it raised {_raised(error, schema)}") from error
    short = schema.table.partition(".")[2] if schema.table.startswith(f"{schema.domain}.") else schema.table
    names = {schema.table, schema.table.replace(".", "/", 1), short}
    found = {id(item): item for item in vars(module).values() if names & set(_tables(item))}
    if not found:
        raise _unloaded(schema, f"when it was imported, nothing in it was attached to `{schema.table}`")
    return [_schema(item, schema) for item in found.values()]


def _tables(item: object) -> Sequence[str]:
    # Of the object itself: a model that inherits from an attached one is not attached.
    attributes = getattr(item, "__dict__", {})
    return attributes.get(TABLES, ())


def _schema(item: Any, schema: Attached) -> Any:  # noqa: ANN401 - pandera has one class per library
    try:
        if isinstance(item, type) and hasattr(item, "to_schema"):
            return item.to_schema()
        return item() if callable(item) and not hasattr(item, "columns") else item
    except (Exception, SystemExit) as error:
        raise _unloaded(schema, f"it raised {_raised(error, schema)}") from error


def _raised(error: BaseException, schema: Attached) -> str:
    """What went wrong, with the last line of the team's own file."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame.lineno for frame in frames if frame.filename == str(schema.folder / "checks.py")]
    told = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {told}" + (f" (line {own[-1]})" if own else "")


def _unloaded(schema: Attached, why: str) -> ConfigError:
    mend = "Attach a DataFrameModel, a DataFrameSchema, or a function without parameters that returns one."
    what = f"the schema for `{schema.table.replace('.', '/', 1)}` cannot be loaded: {why}"
    return ConfigError(problems=[Problem("M553", what, schema.where, mend)])


def _unsuited(schema: Attached, contract: Contract) -> Iterator[Problem]:
    """Built-in checks that the reference refuses for the contract's types, as a text among whole numbers."""
    import polars as pl

    from mesh_assets.audit.schema import dtype
    from mesh_assets.audit.values import CannotAnswer, column_type
    from mesh_assets.schemas.frames import count_in

    types = {column.name: column_type(column.type) for column in contract.columns}
    for one in loaded(schema):
        known = types.get(str(one.column))
        held = dtype(known) if known is not None else None
        if not one.built_in or held is None or one.regex:
            continue
        try:
            count_in(one, str(one.column), pl.DataFrame(schema={str(one.column): held}))
        except CannotAnswer as why:
            what = f"`{one.title}` cannot be asked of `{one.column}`, which is {known.name if known else ''}: {why}"
            yield _problem("M556", what, schema.where)


def _problem(code: str, what: str, where: Place) -> Problem:
    return Problem(code, what, where, MEND[code])
