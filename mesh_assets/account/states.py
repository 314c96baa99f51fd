"""In what state a table is, for people: one word, one sentence, since when. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from mesh_assets.account.expected import Due, Expectation, Source, due, spoken
from mesh_assets.numerals import does
from mesh_assets.order import Standing, Why


class State(StrEnum):
    """The states that a table can be in."""

    ON_TIME = "on time"
    WARNINGS = "passed with warnings"
    RUNNING = "running"
    UPCOMING = "upcoming"  # it will be built: its turn, or its time, has not come
    LATE_START = "late start"  # it should have begun by now
    LATE_END = "late end"  # it runs past its time, or came after it
    MISSING = "missing"  # its files are not there, or it was left out for a whole period
    INCOMPLETE = "incomplete"  # partitions of it were never built
    OUT_OF_SEQUENCE = "out of sequence"  # its inputs are of different generations
    INPUT_NOT_READY = "input not ready"
    HELD = "held"  # an input was refused; readers, or the table itself, go on with an older version
    FAILED_TESTS = "failed tests"
    FAILED = "failed"  # its code did not give a table


GOOD = frozenset({State.ON_TIME, State.WARNINGS, State.RUNNING, State.UPCOMING})
"""States that need nobody."""


HINDERED = frozenset({Standing.DUE, Standing.WAITS, Standing.MISSING, Standing.DISAGREES, Standing.SCHEDULED})
"""What a table can be while its domain's code does not load, and would not be for long if it did."""


@dataclass(frozen=True, slots=True)
class Unheard:
    """A code location of which nothing is heard: since when, and whether it ever was; else since when it is missed."""

    since: datetime
    ever: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of one table, beside what `order` decides.

    Attributes:
        confirmed: When its current version was last published or confirmed.
        before: When it came before that.
        warned: Tests of its version that warn.
        held_inputs: Inputs that its version was made from at an older version, because its domain refused the newer one.
        outcome: Of the last attempt: as `status` of `mesh run`; empty: it was never tried.
        tried_at: When that was.
        message: What it said.
        tests_failed: Whether tests of its own stopped the candidate.
        refused: The input whose version on offer its domain does not admit, when that keeps it from being built.
        duration: How long it usually takes.
        gaps: Partitions that are over and were never built.
        lost: Data files of its version that somebody has removed: nobody can read it.
        unloadable: Why its domain's code does not load; empty where that is not known of it.
        admitted_all_the_same: What its domain's own tests say of an input that it reads although they fail, as `on_failure: warn` has it.
        unheard: Nothing is heard of the code location that builds it, although others are at work.
    """

    version: int | None = None
    since: datetime | None = None
    confirmed: datetime | None = None
    before: datetime | None = None
    warned: int = 0
    held_inputs: tuple[str, ...] = ()
    outcome: str = ""
    tried_at: datetime | None = None
    message: str = ""
    tests_failed: bool = False
    refused: str = ""
    duration: timedelta = timedelta()
    gaps: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    unloadable: str = ""
    admitted_all_the_same: str = ""
    unheard: Unheard | None = None
    expectation: Expectation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of one table.

    Attributes:
        since: Since when it is in that state, as far as that is known; else since when its version is there.
        due: By when it is expected; None: nothing is expected.
        late: Its time is over, whatever the state says.
    """

    state: State
    sentence: str
    since: datetime | None = None
    due: datetime | None = None
    late: bool = False


def status_of(why: Why, facts: Facts, now: datetime) -> Status:
    """The state of a table.

    What is wrong comes before what is late, and what is late before what is fine: of a table whose tests failed it is
    no news that it is late.
    """
    if why.state is Standing.ELSEWHERE:
        return Status(state=State.ON_TIME, sentence=why.sentence, since=None, due=None, late=False)
    expected = facts.expectation
    time = due(expected, facts.confirmed, facts.before, now) if expected else Due(by=None)
    for told in (_stopped(why, facts), _late(why, facts, time, now), _under_way(why, facts), _done(facts, time)):
        if told is not None:
            state, sentence, since = told
            return Status(state=state, sentence=sentence, since=since or facts.since, due=time.by, late=time.late)
    return Status(state=State.ON_TIME, sentence="up to date", since=facts.since, due=time.by)


Told = tuple[State, str, datetime | None] | None


def _stopped(why: Why, facts: Facts) -> Told:
    """What keeps it from being built."""
    if facts.lost:
        return State.FAILED, unreadable(facts.version, facts.lost), None
    if facts.unloadable and why.state in HINDERED:
        return State.FAILED, f"its domain cannot be loaded: {facts.unloadable}", None
    if why.state is Standing.FAILED:
        return _failed(why, facts)
    if why.state is Standing.MISSING:
        return State.INPUT_NOT_READY if why.tables else State.MISSING, why.sentence, None
    if why.state is Standing.DISAGREES:
        return State.OUT_OF_SEQUENCE, why.sentence, None
    if why.state is Standing.WAITS:
        return State.INPUT_NOT_READY, why.sentence, None
    return None


def unreadable(version: int | None, lost: Sequence[str]) -> str:
    """What is said of a table of whose version somebody has removed data files."""
    what = (
        f"{len(lost)} data files of version {version} are" if len(lost) > 1 else f"a data file of version {version} is"
    )
    return f"{what} lost, so that nobody can read it: {lost[0].rpartition('/')[2]}; `mesh run --force` builds it again"


def _failed(why: Why, facts: Facts) -> Told:
    said, state = facts.message or why.sentence, State.FAILED
    if facts.refused:
        name = facts.refused.replace(".", "/", 1)
        state = State.HELD
        said = said if "does not admit" in said else f"its domain does not admit {name} as it is"
    elif facts.outcome == "held":
        state = State.FAILED_TESTS if facts.tests_failed else State.HELD
    return state, said, facts.tried_at


def _late(why: Why, facts: Facts, time: Due, now: datetime) -> Told:
    """What is past its time, or will be."""
    expected = facts.expectation
    if why.state is Standing.DUE and facts.unheard is not None:
        heard = f"has not been heard of since {facts.unheard.since:%Y-%m-%d %H:%M} UTC"
        said = f"{why.sentence}; its code location {heard if facts.unheard.ever else 'was never heard of'}"
        return State.LATE_START, said, facts.unheard.since
    if expected is None or time.by is None:
        return None
    if time.late and why.state is Standing.RUNNING:
        return State.LATE_END, f"{why.sentence}; it was expected {_words(expected)}", time.by
    if time.late:
        state = State.MISSING if time.missed else State.LATE_START
        rest = "left out for a whole period" if time.missed else "not begun"
        return state, f"late by {spoken(now - time.by)}: expected {_words(expected)}, and {rest}", time.by
    if why.state is Standing.DUE and facts.confirmed is not None and now > time.by - facts.duration:
        said = f"it takes {spoken(facts.duration)}, is expected {_words(expected)}, and has not begun"
        return State.LATE_START, said, None
    return None


def _under_way(why: Why, facts: Facts) -> Told:
    """What runs, or will."""
    if why.state is Standing.RUNNING:
        return State.RUNNING, why.sentence, None
    if why.state in (Standing.DUE, Standing.SCHEDULED, Standing.PAUSED, Standing.CANCELLED):
        return State.UPCOMING, why.sentence, None
    if facts.held_inputs:
        names = ", ".join(name.replace(".", "/", 1) for name in facts.held_inputs)
        return State.HELD, f"goes on with an older version of {names}, whose newer one it does not admit", None
    return None


def _done(facts: Facts, time: Due) -> Told:
    """How what is there came about."""
    if facts.gaps:
        return State.INCOMPLETE, f"{len(facts.gaps)} of its partitions were never built: {_some(facts.gaps)}", None
    if time.came_late and facts.confirmed:
        said = f"came {facts.confirmed:%H:%M} UTC, and was expected {_words(facts.expectation)}"
        return State.LATE_END, said, facts.confirmed
    if facts.warned or facts.admitted_all_the_same:
        own = f"{facts.warned} of its tests {does(facts.warned, 'warn')}" if facts.warned else ""
        return State.WARNINGS, "; ".join(filter(None, (own, facts.admitted_all_the_same))), None
    return None


def _words(expected: Expectation | None) -> str:
    if expected is None:
        return ""
    if expected.source is Source.LEARNED:
        return f"{expected.words} (learned, confidence {expected.confidence:.2f})"
    return expected.words


def _some(names: tuple[str, ...], limit: int = 3) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
