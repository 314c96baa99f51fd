"""By when a table is expected: its contract says so, its domain.yaml, its schedule; or when it came before tells.

Pure: what came when, and the moment to judge by, are arguments.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from mesh_assets.contract import Contract, ServiceLevel
from mesh_assets.domain import Table
from mesh_assets.numerals import many

DAY, WEEK = timedelta(days=1), timedelta(weeks=1)
GRACE = timedelta(minutes=15)
"""How long after its scheduled time a table may begin before that is late."""
FEWEST = 5
"""Periods, or gaps, from which something can be learned."""
SURE = 0.8
"""Confidence from which a learned expectation is one."""
ROUND = timedelta(minutes=15)
"""What a learned time is rounded up to."""
_SLOWEST = timedelta(hours=1)
"""Tables that come more often than this are not learned by their gaps: a person's afternoon of tries is no rhythm."""
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MOMENT = re.compile(
    r"(?:(?P<day>[A-Za-z]+)\s+)?(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::00)?"
    r"\s*(?P<zone>Z|UTC|[+-]\d{2}:?\d{2}|[A-Za-z]+(?:/[A-Za-z_+\-]+)+)?"
)
UNITS = {"d": 86400, "day": 86400, "h": 3600, "hr": 3600, "hour": 3600, "m": 60, "min": 60, "minute": 60, "y": 31557600,
         "yr": 31557600, "year": 31557600, "mo": 2629800, "month": 2629800, "w": 604800, "wk": 604800, "week": 604800,
         "s": 1, "sec": 1, "second": 1, "ms": 0.001}  # fmt: skip
"""Seconds of each unit of a service level; a plural is one, too."""
SPANS = ("freshness", "frequency", "latency")
"""Service levels by which a table is expected, as spans of time."""


class Source(StrEnum):
    """Where an expectation comes from."""

    PROMISE = "promise"  # the contract's service levels, or `expected_by`
    SCHEDULE = "schedule"  # the table's own cron expression
    LEARNED = "learned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """When a table should have come again: so long after it last came, or by a time of the day or the week.

    Attributes:
        within: How old it may get; None where there is a time.
        cron: The time, as a cron expression in `zone`; empty where there is an age.
        lower: A version that came no longer before the time than this will do.
        grace: What is added to the time.
        period: Between two times; of an age, the age.
        confidence: Share of what was seen that kept it, with one good and one bad more; 1 where nobody had to guess.
    """

    source: Source
    words: str
    period: timedelta
    within: timedelta | None = None
    cron: str = ""
    zone: str = "UTC"
    lower: timedelta = DAY
    grace: timedelta = timedelta()
    confidence: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """By when, and whether that is over.

    Attributes:
        by: The moment that counts: the one that was missed, else the next.
        late: Nothing has come by then.
        came_late: It has come, after the last moment.
        missed: The moment after that is over as well.
    """

    by: datetime | None
    late: bool = False
    came_late: bool = False
    missed: bool = False


def expectation(
    table: Table, arrivals: Sequence[datetime] = (), duration: timedelta = timedelta()
) -> Expectation | None:
    """What is expected of a table, by the first that says something: promise, schedule, what was learned.

    Args:
        table: With its contract.
        arrivals: When it was published or confirmed, oldest first.
        duration: How long it usually takes; a scheduled table may take three times as long.
    """
    if table.engine:  # it is never published here
        return None
    return promised(table.contract, table.expected_by) or scheduled(table, duration) or learned(arrivals)


def promised(contract: Contract | None, expected_by: str = "") -> Expectation | None:
    """What domain.yaml says (`expected_by`), else the contract: `timeOfAvailability`, else `allowed`."""
    if written := moment(expected_by):
        return written
    levels = contract.service_levels if contract else ()
    often = next((_duration(each) for each in levels if each.property == "frequency"), None)
    for level in levels:
        found = moment(str(level.value)) if level.property == "timeOfAvailability" else None
        if found and (often is None or often <= found.period):
            return found  # a weekly table whose weekday is not told is expected by its age
    limit = allowed(contract)
    if limit is None:
        return None
    return Expectation(source=Source.PROMISE, words=f"every {spoken(limit)}", within=limit, period=limit)


def scheduled(table: Table, duration: timedelta = timedelta()) -> Expectation | None:
    """A table with a schedule is expected soon after its time."""
    if table.automation in ("eager", "manual"):
        return None
    from croniter import croniter

    times = croniter(table.automation, datetime(2026, 1, 1, tzinfo=UTC))
    first, second = times.get_next(datetime), times.get_next(datetime)
    grace = GRACE + 3 * duration
    return Expectation(
        source=Source.SCHEDULE, words=f"after its schedule {table.automation}", cron=table.automation,
        grace=grace, lower=grace, period=second - first,
    )  # fmt: skip


def allowed(contract: Contract | None) -> timedelta | None:
    """How old a table may be before it is late; None when nothing is promised.

    `freshness` when the contract says it, else how often it comes (`frequency`) and how long that may take (`latency`).
    """
    found = {item.property: _duration(item) for item in (contract.service_levels if contract else ())}
    if found.get("freshness"):
        return found["freshness"]
    parts = [span for word in ("frequency", "latency") if (span := found.get(word))]
    return sum(parts, timedelta()) if parts else None


@lru_cache(1024)
def moment(text: str) -> Expectation | None:
    """`07:00 Europe/Zurich`, `Monday 09:00 UTC`, `09:00-08:00`: a time of every day or week; None for anything else."""
    found = _MOMENT.fullmatch(text.strip())
    if not found:
        return None
    day = (found["day"] or "").lower()
    at, zone = int(found["hour"]) * 60 + int(found["minute"]), found["zone"] or "UTC"
    weekday = next((place for place, name in enumerate(_DAYS) if day and name.startswith(day) and len(day) > 2), None)  # noqa: PLR2004 - `Mon`
    if (day and weekday is None) or at >= 24 * 60 or int(found["minute"]) > 59:  # noqa: PLR2004 - minutes
        return None
    if zone[0] in "+-":
        shift = int(zone[1:3]) * 60 + int(zone[-2:])
        at += -shift if zone[0] == "+" else shift
        weekday = None if weekday is None else (weekday + at // (24 * 60)) % 7
        at, zone = at % (24 * 60), "UTC"
    elif zone == "Z":
        zone = "UTC"
    elif not _is_zone(zone):
        return None
    every = DAY if weekday is None else WEEK
    return Expectation(
        source=Source.PROMISE, words=f"by {text.strip()}", period=every, lower=every, zone=zone,
        cron=f"{at % 60} {at // 60} * * {'*' if weekday is None else weekday}",
    )  # fmt: skip


def learned(arrivals: Sequence[datetime]) -> Expectation | None:
    """What its past lets one expect: a time of the day or of the week that it has kept, else an age that it never had.

    Nothing from fewer than five periods: what was seen so often could be chance.
    """
    if len(arrivals) < FEWEST:
        return None
    for every in (DAY, WEEK):
        if (found := _rhythm(arrivals, every)) and found.confidence >= SURE:
            return found
    return _gaps(arrivals)


def due(expected: Expectation, confirmed: datetime | None, before: datetime | None, now: datetime) -> Due:
    """Where a table stands against its expectation.

    Args:
        expected: What is expected.
        confirmed: When it last came; None: never, then it is not late by an age, nobody has begun to count.
        before: When it came before that.
        now: The moment to judge by.
    """
    if expected.within is not None:
        if confirmed is None:
            return Due(by=None)
        by = confirmed + expected.within
        return Due(by=by, late=now > by, missed=now > by + expected.period)
    last, following = _around(expected.cron, expected.zone, expected.grace, now)
    if confirmed is not None and confirmed > last - expected.lower:
        was_late = confirmed > last and before is not None and before <= last - expected.lower
        return Due(by=following, came_late=was_late)
    if confirmed is None:
        return Due(by=following)
    missed = confirmed <= last - expected.period - expected.lower
    return Due(by=last, late=True, missed=missed)


@lru_cache(1024)  # in one look many tables have the same time
def _around(cron: str, zone: str, grace: timedelta, now: datetime) -> tuple[datetime, datetime]:
    """The last moment and the next one, in UTC."""
    from croniter import croniter

    local = (now - grace).astimezone(ZoneInfo(zone))
    # A moment is over when it is: croniter's `get_prev` leaves out the very moment.
    last = croniter(cron, local + timedelta(seconds=1)).get_prev(datetime)
    following = croniter(cron, local).get_next(datetime)
    return last.astimezone(UTC) + grace, following.astimezone(UTC) + grace


def _rhythm(arrivals: Sequence[datetime], every: timedelta) -> Expectation | None:
    """One time per period by which it has come, counted over all periods between its first and its last arrival."""
    offsets = sorted((at - _monday(at)) % every for at in arrivals)
    following = [*offsets[1:], offsets[0] + every]
    _, begin = max((b - a, b) for a, b in zip(offsets, following, strict=True))  # the night, wherever it is
    begin %= every
    origin = _monday(arrivals[0]) - 2 * WEEK + begin
    first: dict[int, timedelta] = {}
    for at in arrivals:
        number, offset = divmod(at - origin, every)
        first[number] = min(first.get(number, offset), offset)
    count = max(first) - min(first) + 1
    if count < FEWEST:
        return None
    latest = sorted(first.values())[max(0, -(-len(first) * 19 // 20) - 1)]  # 95 of 100
    by = (begin + _rounded(latest)) % every
    kept = sum(offset <= _rounded(latest) for offset in first.values())
    minutes = int(by.total_seconds() // 60)
    day, clock = divmod(minutes, 24 * 60)
    text = f"{clock // 60:02}:{clock % 60:02} UTC"
    weekly = every == WEEK
    return Expectation(
        source=Source.LEARNED, words=f"by {_DAYS[(day + 1) % 7].title()} {text}" if weekly else f"by {text}",
        cron=f"{clock % 60} {clock // 60} * * {(day + 1) % 7 if weekly else '*'}", period=every, lower=every,
        confidence=round((kept + 1) / (count + 2), 3),
    )  # fmt: skip


def _gaps(arrivals: Sequence[datetime]) -> Expectation | None:
    gaps = sorted(b - a for a, b in pairwise(arrivals))
    usual, widest = gaps[len(gaps) // 2], gaps[-1]
    if len(gaps) < FEWEST or usual < _SLOWEST or widest > 4 * usual:
        return None
    limit = _rounded(widest * 3 / 2)
    confidence = round((len(gaps) + 1) / (len(gaps) + 2), 3)
    return Expectation(
        source=Source.LEARNED, words=f"every {spoken(limit)}", within=limit, period=limit, confidence=confidence
    )


def _rounded(span: timedelta) -> timedelta:
    return -(-span // ROUND) * ROUND + (ROUND if span % ROUND == timedelta() else timedelta())


def _monday(at: datetime) -> datetime:
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # no such zone; a name that leads elsewhere
        return False
    return True


def _duration(item: ServiceLevel) -> timedelta | None:
    size = seconds_of(item.unit or "d")
    try:
        return timedelta(seconds=float(str(item.value)) * size) if size else None
    except (ValueError, OverflowError):
        return None


def seconds_of(unit: str) -> float | None:
    """Of a unit of time; None for what is none."""
    return UNITS.get(unit.lower()) or UNITS.get(unit.lower().removesuffix("s"))


def spoken(span: timedelta) -> str:
    """A span of time, in the largest unit that fits: `3 days`, `18 minutes`."""
    seconds = max(0, int(span.total_seconds()))
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            return many(count, unit)
    return many(seconds, "second")


def durations(seconds: Iterable[float]) -> timedelta:
    """How long something usually takes: the middle of what was seen; nothing where nothing was."""
    known = sorted(seconds)
    return timedelta(seconds=known[len(known) // 2]) if known else timedelta()
