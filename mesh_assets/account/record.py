"""What is kept of incidents, and what Dagster was seen to say: in the ledger's database, in tables of its own."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mesh_assets.account.incidents import Incident, Reads
from mesh_assets.account.states import Unheard
from mesh_assets.store import Store, now, spelt

METADATA = sa.MetaData()
_incidents = sa.Table(
    "incidents",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("table", sa.Text, nullable=False, index=True),
    sa.Column("domain", sa.Text, nullable=False),
    sa.Column("opened", sa.Text, nullable=False),
    sa.Column("closed", sa.Text, nullable=False, index=True),
    sa.Column("record", sa.JSON, nullable=False),
)
_observed = sa.Table(
    "observed",
    METADATA,
    sa.Column("table", sa.Text, primary_key=True),
    sa.Column("what", sa.Text, primary_key=True),
    sa.Column("value", sa.JSON, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
)
"""`freshness`: the state that Dagster has found; `gaps`: partitions that it never saw built."""
_heard = sa.Table(
    "heard",
    METADATA,
    sa.Column("domain", sa.Text, primary_key=True),
    sa.Column("since", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
)
"""When the code location of a domain last looked at the mesh, and since when it has done so without a pause; empty: it never has,
and was first missed then."""
TABLES = frozenset({"incidents", "observed", "notices", "heard"})
"""Left empty in a kitchen: what happens there is nobody's incident."""


BEAT = timedelta(minutes=1)
"""How often a code location writes down that it is there."""
SILENCE = timedelta(minutes=5)
"""After which one that has not is taken to be out of reach."""


def open_incidents(store: Store) -> tuple[Incident, ...]:
    """Those that are not closed, oldest first."""
    store.ensure(METADATA)
    with store.reading() as db:
        return _open(db)


def incidents(store: Store, *, limit: int = 200, identity: str = "") -> tuple[Incident, ...]:
    """All of them, or one, newest first."""
    store.ensure(METADATA)
    where = [_incidents.c.id == identity] if identity else []
    query = sa.select(_incidents).where(*where).order_by(_incidents.c.opened.desc(), _incidents.c.id).limit(limit)
    with store.reading() as db:
        return tuple(_incident(row.record) for row in db.execute(query))


def followed(store: Store, follow: Callable[[Iterable[Incident]], Iterable[Incident]]) -> tuple[Incident, ...]:
    """Read the open ones, ask what they are now, and keep that: one process at a time."""
    store.ensure(METADATA)
    with store.writing() as db:
        store.alone(db, "incidents")
        now_ = tuple(follow(_open(db)))
        rows = [
            {
                "id": each.id, "table": each.table, "domain": each.domain, "opened": each.opened, "closed": each.closed,
                "record": asdict(each),
            }
            for each in now_
        ]  # fmt: skip
        if rows:
            store.put(db, _incidents, rows, replace=True)
    return now_


def observe(store: Store, what: str, values: Mapping[str, Any]) -> None:
    """Keep what was seen of tables; what is not among the values is forgotten."""
    store.ensure(METADATA)
    known = observed(store, what)
    if known == dict(values):
        return
    with store.writing() as db:
        gone = sorted(known.keys() - values.keys())
        if gone:
            db.execute(_observed.delete().where(_observed.c.what == what, _observed.c.table.in_(gone)))
        rows = [{"table": t, "what": what, "value": v, "at": now()} for t, v in values.items() if known.get(t) != v]
        if rows:
            store.put(db, _observed, rows, replace=True)


def observed(store: Store, what: str) -> dict[str, Any]:
    """What was last seen, by table."""
    store.ensure(METADATA)
    with store.reading() as db:
        rows = db.execute(sa.select(_observed.c.table, _observed.c.value).where(_observed.c.what == what))
        return {row.table: row.value for row in rows}


def heard(store: Store, domains: Iterable[str], missed: Iterable[str] = ()) -> None:
    """Keep that the code location of these domains looks at the mesh now, by the clock that all hosts share.

    Args:
        store: The ledger's.
        domains: Those of one code location.
        missed: Domains of other locations; of those that were never heard of it is kept since when.
    """
    store.ensure(METADATA)
    with store.reading() as db:
        known = {row.domain: row for row in db.execute(sa.select(_heard))}
        moment = store.moment(db)
    stamp, recently, before = spelt(moment), spelt(moment - BEAT), spelt(moment - SILENCE)
    rows = [
        {
            "domain": name,
            "since": (name in known and known[name].at > before and known[name].since) or stamp,
            "at": stamp,
        }
        for name in sorted(domains)
        if name not in known or known[name].at <= recently or not known[name].since
    ]
    rows += [{"domain": name, "since": "", "at": stamp} for name in sorted(missed) if name not in known]
    if rows:
        with store.writing() as db:
            store.put(db, _heard, rows, replace=True)


def silent(store: Store, moment: datetime | None = None) -> dict[str, Unheard]:
    """Domains whose code location has not looked for a while, or never, although another one has all that time.

    Where nobody looks, no daemon runs, and nobody is out of reach.

    Args:
        store: The ledger's.
        moment: To judge by; default: now, by the clock that all hosts share.
    """
    store.ensure(METADATA)
    with store.reading() as db:
        rows = db.execute(sa.select(_heard)).all()
        before = spelt((moment or store.moment(db)) - SILENCE)
    if not any("" < row.since <= before < row.at for row in rows):
        return {}
    return {row.domain: Unheard(datetime.fromisoformat(row.at), bool(row.since)) for row in rows if row.at <= before}


def _open(db: sa.Connection) -> tuple[Incident, ...]:
    rows = db.execute(sa.select(_incidents).where(_incidents.c.closed == "").order_by(_incidents.c.opened))
    return tuple(_incident(row.record) for row in rows)


def _incident(record: Mapping[str, Any]) -> Incident:
    told: dict[str, Any] = dict(record)
    told["tables"] = tuple(told["tables"])
    told["downstream"] = tuple(Reads(**each) for each in told["downstream"])
    return Incident(**told)
