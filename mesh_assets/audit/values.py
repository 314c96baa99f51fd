"""A contract's value, read as a value of the column's own type, and as SQL.

Exact where the type is: a bound of 10.5 on whole numbers becomes 11 (or 10, by direction), never a float. For FLOAT and
DOUBLE a bound is the nearest value of the type, as in the reference. Both the reference and the executor compare with
what comes out of here, so they cannot disagree on the bound, only on the comparison.
"""

import datetime as dt
import math
import re
import struct
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction

from mesh_assets.contract import Kind


class CannotAnswer(Exception):  # noqa: N818 - said to the executor, which shows the sentence as the result's message
    """A test that cannot be executed; the message is one sentence for a person."""


class Family(StrEnum):
    """Types that are compared alike."""

    INTEGER = "whole number"
    DECIMAL = "decimal"
    FLOAT = "float"
    TEXT = "text"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamp with time zone"
    TIME = "time"
    UUID = "uuid"
    OTHER = "other"


_SIGNED = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}
INTEGERS = {
    **{name: (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for name, bits in _SIGNED.items()},
    **{f"U{name}": (0, 2**bits - 1) for name, bits in _SIGNED.items()},
}
_FAMILIES = {
    "FLOAT": Family.FLOAT,
    "DOUBLE": Family.FLOAT,
    "VARCHAR": Family.TEXT,
    "BOOLEAN": Family.BOOLEAN,
    "DATE": Family.DATE,
    "TIMESTAMP": Family.TIMESTAMP,
    "TIMESTAMP_S": Family.TIMESTAMP,
    "TIMESTAMP_MS": Family.TIMESTAMP,
    "TIMESTAMP_NS": Family.TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": Family.TIMESTAMPTZ,
    "TIME": Family.TIME,
    "UUID": Family.UUID,
}
NUMBERS = (Family.INTEGER, Family.DECIMAL, Family.FLOAT)
ORDERED = (*NUMBERS, Family.TEXT, Family.DATE, Family.TIMESTAMP, Family.TIMESTAMPTZ, Family.TIME)


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A DuckDB type, by its canonical name.

    Attributes:
        low: Smallest value, in units of 10^-scale; whole numbers and decimals only.
        high: Largest value, likewise.
        scale: Digits after the point; decimals only.
    """

    name: str
    family: Family
    low: int = 0
    high: int = 0
    scale: int = 0


def column_type(name: str) -> ColumnType:
    """The type of that canonical name, as DuckDB's DESCRIBE spells it."""
    if name in INTEGERS:
        return ColumnType(name, Family.INTEGER, *INTEGERS[name])
    if match := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", name):
        width, scale = map(int, match.groups())
        return ColumnType(name, Family.DECIMAL, 1 - 10**width, 10**width - 1, scale)
    return ColumnType(name, _FAMILIES.get(name, Family.OTHER))


HOLDS = {Kind.MINIMUM: ">=", Kind.MAXIMUM: "<=", Kind.EXCLUSIVE_MINIMUM: ">", Kind.EXCLUSIVE_MAXIMUM: "<"}


def bound(kind: Kind, value: object, type_: ColumnType) -> tuple[str, object]:
    """What must hold of every value of the column: an operator, and a value that the column's type can hold.

    Raises:
        CannotAnswer: Values of the type have no order, or the bound is no value of such a type.
    """
    operator = HOLDS[kind]
    match type_.family:
        case Family.INTEGER | Family.DECIMAL:
            operator, units = _on_grid(operator, value, type_)
            return operator, _from_units(units, type_)
        case Family.FLOAT:
            return operator, _float(value, type_)
        case Family.DATE:
            return _on_days(operator, value)
        case family if family in ORDERED:
            return operator, exact(value, type_)
    msg = f"values of type {type_.name} have no order"
    raise CannotAnswer(msg)


def exact(value: object, type_: ColumnType) -> object:
    """The value as one of the column's type; None when the type has no such value, as 1.5 in a column of whole numbers.

    Raises:
        CannotAnswer: The value is of another sort altogether, such as a word in a column of numbers.
    """
    match type_.family:
        case Family.INTEGER | Family.DECIMAL:
            units = number(value)
            units = units * 10**type_.scale if isinstance(units, Fraction) else units
            fits = isinstance(units, Fraction) and units.denominator == 1 and type_.low <= units <= type_.high
            return _from_units(int(units), type_) if fits else None
        case Family.FLOAT:
            return _float(value, type_, nan=True)
        case Family.TEXT | Family.UUID if isinstance(value, str) or type(value) is int:
            return str(value)
        case Family.BOOLEAN if isinstance(value, bool):
            return value
        case Family.DATE:
            moment = _moment(value)
            return None if moment.time() != dt.time() else moment.date()
        case Family.TIMESTAMP:
            return _moment(value).astimezone(dt.UTC).replace(tzinfo=None)
        case Family.TIMESTAMPTZ:
            return _moment(value).astimezone(dt.UTC)
        case Family.TIME:
            return _time(value)
    msg = f"{spelt(value)} is no value of a column of type {type_.name}"
    raise CannotAnswer(msg)


def step(value: object, type_: ColumnType) -> int | float:
    """What every value must be a multiple of, in units of the type's last digit (floats: as it is).

    For whole numbers and decimals this is exact: among them, the multiples of 0.75 are the multiples of 3.

    Raises:
        CannotAnswer: The column holds no numbers, or the value is not above 0.
    """
    if type_.family not in NUMBERS:
        msg = f"`multipleOf` asks for numbers, and the column is {type_.name}"
        raise CannotAnswer(msg)
    wanted = number(value)
    if not isinstance(wanted, Fraction) or wanted <= 0:
        msg = f"`multipleOf` must be a number above 0, not {spelt(value)}"
        raise CannotAnswer(msg)
    return float(wanted) if type_.family is Family.FLOAT else (wanted * 10**type_.scale).numerator


def literal(value: object, type_: ColumnType) -> str:
    """A value of the column's type, as SQL that means exactly that value."""
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return str(value) if abs(value) < 2**63 else f"CAST('{value}' AS {type_.name})"
        case float() if not math.isfinite(value):
            return f"CAST('{value}' AS {type_.name})"
        case float():  # with an exponent DuckDB reads the nearest DOUBLE; without one, a DECIMAL
            number = repr(value) if "e" in repr(value) else f"{value!r}e0"
            return number if type_.name == "DOUBLE" else f"CAST({number} AS {type_.name})"
        case Decimal():
            return f"CAST('{value:f}' AS {type_.name})"
        case dt.datetime() if type_.name in ("TIMESTAMP_S", "TIMESTAMP_MS"):  # they would cut the moment short
            return f"CAST('{value.isoformat()}' AS TIMESTAMP)"
        case dt.datetime() | dt.date() | dt.time():
            return f"CAST('{value.isoformat()}' AS {type_.name})"
    return text(str(value))


def text(value: str) -> str:
    """A text as SQL. NUL cannot stand in a statement, so it is put in by its number."""
    return " || chr(0) || ".join("'" + part.replace("'", "''") + "'" for part in value.split("\0"))


def quoted(name: str) -> str:
    """A name as SQL, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def spelt(value: object) -> str:
    """A contract's value as a person wrote it, for a message."""
    return f"`{value}`"


def _on_grid(operator: str, value: object, type_: ColumnType) -> tuple[str, int]:
    """The bound in whole units; one that the type cannot hold becomes its first or last value, with the same verdicts."""
    wanted = number(value)
    if isinstance(wanted, Fraction):
        wanted *= 10**type_.scale
        units = math.ceil(wanted) if operator in (">=", "<") else math.floor(wanted)
    else:
        if math.isnan(wanted):
            msg = "nothing compares with NaN"
            raise CannotAnswer(msg)
        units = type_.high + 1 if wanted > 0 else type_.low - 1
    if units > type_.high:
        return (">" if operator[0] == ">" else "<="), type_.high
    if units < type_.low:
        return (">=" if operator[0] == ">" else "<"), type_.low
    return operator, units


def _from_units(units: int, type_: ColumnType) -> int | Decimal:
    # Through the digits: arithmetic on Decimal would round to the context's 28 digits.
    return units if type_.family is Family.INTEGER else Decimal(f"{units}e-{type_.scale}")


def _on_days(operator: str, value: object) -> tuple[str, dt.date]:
    """A moment within a day bounds days as that day does: `>=` noon of the 1st is `>` the 1st."""
    moment = _moment(value)
    if moment.time() != dt.time():
        operator = ">" if operator[0] == ">" else "<="
    return operator, moment.date()


def number(value: object) -> Fraction | float:
    """As written: 0.1 is a tenth. Infinities and NaN stay floats."""
    if isinstance(value, float) and not math.isfinite(value):
        return value
    if isinstance(value, int | float | Decimal | str) and not isinstance(value, bool):
        try:
            return Fraction(Decimal(str(value)))
        except (InvalidOperation, ValueError, OverflowError):
            pass
    msg = f"{spelt(value)} is not a number"
    raise CannotAnswer(msg)


def _float(value: object, type_: ColumnType, *, nan: bool = False) -> float:
    near = number(value)
    try:
        near = float(near)
        near = near if type_.name == "DOUBLE" else struct.unpack("f", struct.pack("f", near))[0]
    except OverflowError:
        near = math.inf if near > 0 else -math.inf
    if math.isnan(near) and not nan:
        msg = "nothing compares with NaN"
        raise CannotAnswer(msg)
    return near


def _moment(value: object) -> dt.datetime:
    """With a time zone; one without is in UTC."""
    try:
        if isinstance(value, str):
            value = dt.datetime.fromisoformat(value.strip())
        elif isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            value = dt.datetime.combine(value, dt.time())
    except ValueError:
        pass
    if not isinstance(value, dt.datetime):
        msg = f"{spelt(value)} is not a date or time such as 2026-01-31 or 2026-01-31T12:00:00Z"
        raise CannotAnswer(msg)
    return value if value.tzinfo else value.replace(tzinfo=dt.UTC)


def _time(value: object) -> dt.time:
    with suppress(ValueError):
        value = dt.time.fromisoformat(value.strip()) if isinstance(value, str) else value
    if not isinstance(value, dt.time) or value.tzinfo:
        msg = f"{spelt(value)} is not a time of day such as 12:30:00"
        raise CannotAnswer(msg)
    return value
