"""What is to be told of lineage, and to whom it was: nothing is lost, whenever a process is killed or the service is away.

What has happened is found in the ledger, and written down as a row each before anything is sent: a build, the start of a
launch, its end. The events of a row are made when they are sent; how many the service has taken is kept after each. So one
is sent twice only when a process dies between the answer and its note, and then it has the same run and the same content.
Whoever looks next sends: a sensor, or `mesh run` when it has ended. No step of a run waits for it. A service that does not
answer is tried again later and later, for as long as it takes; an event that it refuses is given up at last.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import util
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from mesh_assets.domain import OpenLineage
from mesh_assets.environment import Environment
from mesh_assets.errors import UsageError
from mesh_assets.launches import Launches
from mesh_assets.ledger import Attempt, Version
from mesh_assets.reading.lineage import is_address
from mesh_assets.settings import variable
from mesh_assets.store import Store

if TYPE_CHECKING:
    from openlineage.client.transport.http import HttpTransport


EXTRA = "mesh_assets[openlineage]"
NAME = "openlineage"
"""As a channel of `mesh status`."""
TABLES = frozenset({"openlineage_outbox", "openlineage_service"})
"""Of the database; a kitchen starts without their rows."""
TIMEOUT = 5.0
"""Seconds that the service may take for one event."""
PATIENCE = 15.0
"""Seconds that one round of sending may take; the rest is for the next."""
LEASE = timedelta(minutes=2)
"""How long the outbox belongs to the process that has begun to send."""
LONGEST = 15
"""Minutes between two tries at most, while the service is away: 1, 2, 4, 8, 15, 15 …"""
TRIES = 8
"""After so many an event that the service refuses is given up."""
FIRST = timedelta(days=1)
"""How far back the first look goes, when mesh.yaml names a service for the first time."""
OVERLAP = 200
"""Numbers that are looked at again: on PostgreSQL a later one can be there before an earlier one."""
GRACE = timedelta(minutes=15)
"""After so long a version that no attempt has told of was made without one: by a promotion, or by a step that was killed."""
PAGE = 200
KEPT = timedelta(days=7)
"""How long it is remembered what was sent."""
ASIDE = frozenset({400, 405, 409, 411, 413, 414, 415, 422})
"""Answers that are about one event; every other says that the service is not there for us now."""

Json = dict[str, Any]

_metadata = sa.MetaData()
_outbox = sa.Table(
    "openlineage_outbox",
    _metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("done", sa.Integer, nullable=False),
    sa.Column("due", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("sent", sa.Text, nullable=False, index=True),  # empty: not yet
)
_service = sa.Table(
    "openlineage_service",
    _metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("attempts", sa.BigInteger, nullable=False),
    sa.Column("versions", sa.BigInteger, nullable=False),
    sa.Column("looked", sa.Text, nullable=False),
    sa.Column("claimed", sa.Text, nullable=False),
    sa.Column("due", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("since", sa.Text, nullable=False),
    sa.Column("sent", sa.Text, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that has happened.

    Attributes:
        kind: `attempt`, `version`, `launch.start` or `launch.end`.
        id: Of the attempt its number, of a version `domain.table@n`, of a launch its id.
        done: Events of it that the service has taken.
    """

    kind: str
    id: str
    at: str
    done: int = 0
    tries: int = 0


class AwayError(Exception):
    """The service does not answer, or not us; the words hold nothing secret."""


class RefusedError(Exception):
    """The service refuses one event."""


def need() -> None:
    """Nothing, where the extra is installed.

    Raises:
        UsageError: It is not.
    """
    if not installed():
        raise UsageError(f"events of OpenLineage need the package openlineage-python\n    pip install '{EXTRA}'")


def installed() -> bool:
    """Whether the extra is there."""
    try:
        return util.find_spec("openlineage.client") is not None
    except ModuleNotFoundError:
        return False


# -- what has happened ----------------------------------------------------------------------------------------------------


def happened(env: Environment, since: datetime, *, now: datetime | None = None) -> tuple[Row, ...]:
    """Everything on record since a moment, oldest first."""
    start = _stamp(since)
    found: list[Row] = []
    number = 0
    while part := env.ledger.numbered(after=number, since=start):
        number = part[-1][0]
        found += [Row(kind="attempt", id=str(key), at=attempt.at) for key, attempt in part]
    found += _without_attempt(env, env.ledger.published(since=start, upto=_stamp((now or datetime.now(UTC)) - GRACE)))
    found += _launches(env, start)
    return _in_order(found)


def told(env: Environment, rows: Sequence[Row]) -> Iterator[tuple[Row, list[Json], str]]:
    """The events of each row, in the order of the rows, and why there are none where a record cannot be told.

    Raises:
        UsageError: The extra is not installed.
    """
    need()
    from mesh_assets.openlineage import events, facts
    from mesh_assets.openlineage.naming import names_of

    mesh, names, store = env.mesh, names_of(env), Launches(env.ledger.store)
    for first in range(0, len(rows), PAGE):
        part = rows[first : first + PAGE]
        attempts = {str(number): attempt for number, attempt in _attempts(env, part)}
        began = [row.at for row in part if row.kind.startswith("launch.")]
        began += [_began(attempt) for attempt in attempts.values()]
        launches = {one.id: one for one in store.since(min(began))} if began else {}
        known = facts.Facts(env, launches.values())
        for row in part:
            made: list[Json] = []
            try:
                if row.kind == "attempt" and row.id in attempts:
                    made = events.of_build(mesh, names, known.of_attempt(attempts[row.id]))
                elif row.kind == "version" and (version := _version(env, row)):
                    made = events.of_build(mesh, names, known.of_version(version))
                elif row.kind.startswith("launch.") and row.id in launches:
                    made = events.of_launch(mesh, names, launches[row.id], ended=row.kind == "launch.end")
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                # One odd record must not keep the others back; what it says may be a value, so that its kind must do.
                yield row, [], f"{row.kind} {row.id} cannot be told: {type(error).__name__}"
            else:
                yield row, made, ""


def _attempts(env: Environment, rows: Sequence[Row]) -> Sequence[tuple[int, Attempt]]:
    numbers = [int(row.id) for row in rows if row.kind == "attempt"]
    return env.ledger.numbered(numbers=numbers, limit=PAGE) if numbers else ()


def _began(attempt: Attempt) -> str:
    return _stamp(datetime.fromisoformat(attempt.at) - timedelta(seconds=attempt.record.get("seconds") or 0.0))


def _version(env: Environment, row: Row) -> Version | None:
    table, _, number = row.id.rpartition("@")
    return env.ledger.version(table, int(number))


def _without_attempt(env: Environment, published: Sequence[tuple[str, int, str, str]]) -> list[Row]:
    tried = env.ledger.tried_in({run for _, _, run, _ in published})
    return [
        Row(kind="version", id=f"{table}@{version}", at=at)
        for table, version, run, at in published
        if (run, table) not in tried
    ]


def _launches(env: Environment, start: str) -> list[Row]:
    found = []
    for one in Launches(env.ledger.store).since(start):
        if one.at >= start:
            found.append(Row(kind="launch.start", id=one.id, at=one.at))
        if one.ended:
            found.append(Row(kind="launch.end", id=one.id, at=one.ended))
    return found


def _in_order(rows: Iterable[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: (row.at, row.kind == "launch.end", row.kind, row.id)))


# -- what is to be sent ---------------------------------------------------------------------------------------------------


def collect(env: Environment, now: datetime | None = None, *, since: datetime | None = None) -> int:
    """Write down what has happened since the last look, or again since a moment.

    Returns:
        How many rows are new.
    """
    moment = now or datetime.now(UTC)
    store = env.ledger.store
    store.ensure(_metadata)
    last = _state(store)
    old = env.ledger.published(after=last.versions if last else 0, upto=_stamp(moment - GRACE))
    if since is not None or last is None:
        rows = happened(env, since or moment - FIRST, now=moment)
    else:
        rows = _since_last(env, last, old)
    if since is None:
        rows = _unknown(store, rows)
        if not rows and not old and last is not None:
            return 0
    marks = {
        "attempts": max([last.attempts if last else 0, *(int(r.id) for r in rows if r.kind == "attempt")]),
        "versions": max([last.versions if last else 0, *(version for _, version, _, _ in old)]),
        "looked": _stamp(moment),
    }
    nothing = {"done": 0, "due": "", "tries": 0, "error": "", "sent": ""}
    with store.writing() as db:
        for first in range(0, len(rows), PAGE):
            values = [{"kind": r.kind, "id": r.id, "at": r.at, **nothing} for r in rows[first : first + PAGE]]
            store.put(db, _outbox, values, replace=since is not None)
        fresh = {"claimed": "", "due": "", "tries": 0, "error": "", "since": "", "sent": ""}
        store.put(db, _service, {"name": NAME, **marks, **fresh})
        db.execute(_service.update().where(_service.c.name == NAME).values(**marks))
        db.execute(_outbox.delete().where(_outbox.c.sent != "", _outbox.c.sent < _stamp(moment - KEPT)))
    return len(rows)


def _since_last(env: Environment, last: sa.Row, old: Sequence[tuple[str, int, str, str]]) -> tuple[Row, ...]:
    again = _stamp(datetime.fromisoformat(last.looked) - timedelta(hours=1))
    found: list[Row] = []
    number = max(last.attempts - OVERLAP, 0)
    while part := env.ledger.numbered(after=number):
        number = part[-1][0]
        found += [
            Row(kind="attempt", id=str(key), at=attempt.at)
            for key, attempt in part
            if key > last.attempts or attempt.at >= again
        ]
    found += _without_attempt(env, old)
    found += _launches(env, again)
    return _in_order(found)


def _unknown(store: Store, rows: Sequence[Row]) -> tuple[Row, ...]:
    """Those that were not written down before."""
    ids = [row.id for row in rows]
    known: set[tuple[str, str]] = set()
    with store.reading() as db:
        for first in range(0, len(ids), PAGE):
            query = sa.select(_outbox.c.kind, _outbox.c.id).where(_outbox.c.id.in_(ids[first : first + PAGE]))
            known.update((row.kind, row.id) for row in db.execute(query))
    return tuple(row for row in rows if (row.kind, row.id) not in known)


def _state(store: Store) -> sa.Row | None:
    with store.reading() as db:
        return db.execute(sa.select(_service).where(_service.c.name == NAME)).first()


# -- sending --------------------------------------------------------------------------------------------------------------


def deliver(env: Environment, now: datetime | None = None, *, at_once: bool = False) -> tuple[int, int]:
    """Send what is due to the service of mesh.yaml, if it names one; never more than `PATIENCE` seconds.

    Args:
        env: The environment; a kitchen's is the caller's to leave out.
        now: The moment.
        at_once: Whatever was to be tried later is tried now, and all of it is sent, however long it takes.

    Returns:
        How many events the service has taken, and how many rows could not be sent.
    """
    service = env.mesh.openlineage
    if service is None:
        return 0, 0
    moment, store = now or datetime.now(UTC), env.ledger.store
    collect(env, moment)
    if not _waiting(store, moment, at_once=at_once, limit=1) or not _claimed(store, moment, at_once=at_once):
        return 0, 0
    work = _Round(store, moment)
    try:
        transport = _transport(service)
        while rows := work.next(at_once=at_once):
            for row, made, trouble in told(env, rows):
                if not at_once and monotonic() - work.begun > PATIENCE:
                    _release(store, moment, work.sent)
                    return work.sent, work.failed
                work.send(transport, row, made, trouble)
            if at_once:
                _write(store, claimed=_stamp(datetime.now(UTC) + LEASE))
    except AwayError as error:
        _later(store, moment, str(error), work.sent)
        return work.sent, work.failed + 1
    _release(store, moment, work.sent)
    return work.sent, work.failed


class _Round:
    """One round of sending, and what came of it so far."""

    def __init__(self, store: Store, moment: datetime) -> None:
        self._store, self._moment = store, moment
        self._seen: set[tuple[str, str]] = set()
        self.begun, self.sent, self.failed = monotonic(), 0, 0

    def next(self, *, at_once: bool) -> list[Row]:
        """What to send next, each row once in a round."""
        rows = _waiting(self._store, self._moment, at_once=at_once, limit=PAGE + self.failed)
        return [row for row in rows if (row.kind, row.id) not in self._seen]

    def send(self, transport: "HttpTransport", row: Row, made: Sequence[Json], trouble: str = "") -> None:
        """Give the service the events of a row that it has not taken yet.

        Raises:
            AwayError: It does not answer; what it has taken before is on record.
        """
        self._seen.add((row.kind, row.id))
        if trouble:
            self._refused(row, trouble)
            return
        for number, event in enumerate(made[row.done :], row.done + 1):
            try:
                _emit(transport, event)
            except RefusedError as error:
                self._refused(row, str(error))
                return
            self.sent += 1
            _mark(self._store, row, done=number)
        _mark(self._store, row, sent=_stamp(self._moment), error="")

    def _refused(self, row: Row, why: str) -> None:
        due = _stamp(self._moment + timedelta(minutes=2 ** min(row.tries, TRIES)))
        _mark(self._store, row, tries=row.tries + 1, due=due, error=why)
        self.failed += 1


def _emit(transport: "HttpTransport", event: Json) -> None:
    import requests

    try:
        transport.emit(cast("Any", event))
    except requests.TooManyRedirects:
        raise AwayError("it leads elsewhere: name the address that it leads to") from None
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in ASIDE:
            raise RefusedError(f"it refuses an event: {status}") from None
        raise AwayError(f"it answers with {status}") from None
    except (requests.RequestException, OSError, ValueError) as error:
        raise AwayError(f"it could not be reached: {type(error).__name__}") from None


def _transport(service: OpenLineage) -> "HttpTransport":
    """A connection to the service; its key and, if it is there, its address are read from the environment now.

    Raises:
        AwayError: Something is missing.
    """
    if lacks := _lacks(service):
        raise AwayError(lacks)
    import requests
    from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport, TokenProvider

    key = variable(service.api_key_env) if service.api_key_env else ""
    session = requests.Session()
    session.max_redirects = 0  # a POST that is sent elsewhere arrives there as a GET, and is lost
    session.auth = lambda request: request  # else a line of ~/.netrc would take the place of the key
    return HttpTransport(
        HttpConfig(
            url=f"{_address(service).rstrip('/')}/",  # without it the last part of a path would be left out
            endpoint=service.endpoint.lstrip("/"),
            timeout=TIMEOUT,
            auth=ApiKeyTokenProvider({"apiKey": key}) if key else TokenProvider({}),
            session=session,
            retry={"total": 0, "redirect": None},
        )
    )


def _address(service: OpenLineage) -> str:
    return service.url or variable(service.url_env) or ""


def _lacks(service: OpenLineage) -> str:
    """What is missing here to send anything."""
    missing = [name for name in (service.url_env, service.api_key_env) if name and not variable(name)]
    if missing:
        return f"{missing[0]} is not set"
    if not is_address(_address(service)):
        return f"{service.url_env} holds no address of the web"
    return "" if installed() else f"openlineage-python is not installed: pip install '{EXTRA}'"


def _waiting(store: Store, moment: datetime, *, at_once: bool, limit: int) -> list[Row]:
    c = _outbox.c
    where = [c.sent == ""] if at_once else [c.sent == "", c.due <= _stamp(moment), c.tries < TRIES]
    order = (c.at, sa.case((c.kind == "launch.end", 1), else_=0), c.kind, c.id)
    with store.reading() as db:
        rows = db.execute(sa.select(_outbox).where(*where).order_by(*order).limit(limit))
        return [Row(kind=row.kind, id=row.id, at=row.at, done=row.done, tries=row.tries) for row in rows]


def _claimed(store: Store, moment: datetime, *, at_once: bool) -> bool:
    """Whether this process is the one that sends now: two at once would tell an end before its start."""
    c, stamp = _service.c, _stamp(moment)
    where = [c.name == NAME, c.claimed <= stamp] if at_once else [c.name == NAME, c.claimed <= stamp, c.due <= stamp]
    with store.writing() as db:
        found = db.execute(_service.update().where(*where).values(claimed=_stamp(moment + LEASE)))
        return found.rowcount == 1


def _release(store: Store, moment: datetime, sent: int) -> None:
    told_ = {"sent": _stamp(moment)} if sent else {}
    _write(store, claimed="", due="", tries=0, error="", since="", **told_)


def _later(store: Store, moment: datetime, error: str, sent: int) -> None:
    state = _state(store)
    tries = state.tries if state is not None and not sent else 0
    since = (state.since if state is not None else "") or _stamp(moment)
    wait = timedelta(minutes=min(2**tries, LONGEST))
    told_ = {"sent": _stamp(moment)} if sent else {}
    _write(store, claimed="", due=_stamp(moment + wait), tries=tries + 1, error=error, since=since, **told_)


def _write(store: Store, **values: object) -> None:
    with store.writing() as db:
        db.execute(_service.update().where(_service.c.name == NAME).values(**values))


def _mark(store: Store, row: Row, **values: object) -> None:
    with store.writing() as db:
        db.execute(_outbox.update().where(_outbox.c.kind == row.kind, _outbox.c.id == row.id).values(**values))


def channel(env: Environment) -> list[dict[str, Any]]:
    """The service as one of the channels of `mesh status`; nothing where mesh.yaml names none."""
    service = env.mesh.openlineage
    if service is None:
        return []
    store = env.ledger.store
    store.ensure(_metadata)
    state, c = _state(store), _outbox.c
    with store.reading() as db:
        waiting = db.execute(sa.select(sa.func.count()).where(c.sent == "")).scalar_one()
        up = db.execute(sa.select(sa.func.count()).where(c.sent == "", c.tries >= TRIES)).scalar_one()
        bad = db.execute(sa.select(c.error, c.at).where(c.sent == "", c.error != "").order_by(c.at).limit(1)).first()
    error = _lacks(service) or (state.error if state is not None else "") or (bad.error if bad else "")
    since = (state.since if state is not None else "") or (bad.at if bad else "")
    return [
        {
            "channel": NAME, "type": NAME, "state": "broken" if error else "ok", "error": error,
            "since": since or None, "waiting": waiting, "given_up": up,
            "sent": (state.sent if state is not None else "") or None,
        }
    ]  # fmt: skip


def since_of(text: str, now: datetime | None = None) -> datetime:
    """The moment that `--since` names: an ISO date or time (in UTC without a zone), or `7d`, `12h`, `30m` ago.

    Raises:
        UsageError: It is neither.
    """
    if found := re.fullmatch(r"([0-9]{1,6})([dhm])", text):
        unit = {"d": "days", "h": "hours", "m": "minutes"}[found[2]]
        return (now or datetime.now(UTC)) - timedelta(**{unit: int(found[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"`{text}` is no moment\n    Write a date, 2026-03-01, or how long ago: 7d, 12h.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
