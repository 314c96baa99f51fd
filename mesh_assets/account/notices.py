"""Telling people of incidents: the owner once, every downstream domain once, and all of them when it is over.

What is to be told is written down first (one row per incident, word, domain and channel, so nothing is told twice), then
sent by whoever looks next: a sensor, or `mesh run` when it has ended. No step of a run waits for it. What could not be sent
is tried again later and later, at last given up; a channel that fails is shown by `mesh status`. Addresses and passwords
are read from the environment when something is sent, and are in no record, log or page.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import sqlalchemy as sa

from mesh_assets.account import record
from mesh_assets.account.incidents import Incident
from mesh_assets.domain import Channel, Mesh, Team
from mesh_assets.environment import Environment
from mesh_assets.settings import variable
from mesh_assets.store import Store

TIMEOUT = 5.0
"""Seconds that one endpoint may take."""
PATIENCE = 15.0
"""Seconds that one round of sending may take; the rest is for the next."""
LEASE = timedelta(minutes=2)
"""How long a notice belongs to the process that has begun to send it."""
TRIES = 8
"""After so many a notice is given up: 1, 2, 4 … minutes apart, together two hours."""
NOBODY = ""
"""The channel of a mesh without channels: it is written down who would be told, for the portal and `mesh why`."""

_notices = sa.Table(
    "notices",
    record.METADATA,
    sa.Column("incident", sa.Text, primary_key=True),
    sa.Column("word", sa.Text, primary_key=True),  # opened, reads, closed
    sa.Column("domain", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("due", sa.Text, nullable=False),
    sa.Column("sent", sa.Text, nullable=False),  # empty: not yet
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
)


class NotSentError(Exception):
    """A channel did not take a notice; the words hold nothing secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to tell one domain through one channel."""

    incident: str
    word: str
    domain: str
    channel: str
    body: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """The same each time that it is tried: who gets it twice can tell."""
        return f"{self.incident}.{self.word}.{self.domain}"


def announce(env: Environment, incidents: Iterable[Incident], now: datetime | None = None) -> int:
    """Write down what is to be told of these incidents; what was written down before stays as it is.

    Returns:
        How many notices are new.
    """
    stamp = _stamp(now or datetime.now(UTC))
    found = list(incidents)
    if not found:
        return 0
    store = env.ledger.store
    store.ensure(record.METADATA)
    with store.reading() as db:
        known = {
            (row.incident, row.word, row.domain)
            for row in db.execute(
                sa.select(_notices.c.incident, _notices.c.word, _notices.c.domain).where(
                    _notices.c.incident.in_([each.id for each in found])
                )
            )
        }
    rows = []
    for it in found:
        for word, domain, body in _messages(it, known):
            if (it.id, word, domain) in known:
                continue
            team = env.mesh.domains[domain].team if domain in env.mesh.domains else Team(name=domain)
            rows += [
                {
                    "incident": it.id, "word": word, "domain": domain, "channel": channel, "at": stamp, "due": stamp,
                    "sent": stamp if channel == NOBODY else "", "tries": 0, "error": "",
                    "body": {**body, "to": _address(env.mesh, channel, team)},
                }
                for channel in (team.notify or env.mesh.notify or (NOBODY,))
            ]  # fmt: skip
    if rows:
        with store.writing() as db:
            store.put(db, _notices, rows)
    return len(rows)


def deliver(env: Environment, now: datetime | None = None) -> tuple[int, int]:
    """Send what is due; never more than `PATIENCE` seconds.

    Returns:
        How many were sent, and how many could not be.
    """
    store, begun, moment = env.ledger.store, monotonic(), now or datetime.now(UTC)
    store.ensure(record.METADATA)
    with store.reading() as db:
        where = (_notices.c.sent == "", _notices.c.due <= _stamp(moment), _notices.c.tries < TRIES)
        rows = db.execute(sa.select(_notices).where(*where).order_by(_notices.c.at)).all()
    sent = failed = 0
    down: set[str] = set()
    for row in rows:
        if monotonic() - begun > PATIENCE:
            break
        if row.channel in down or not _claimed(store, row, moment):
            continue
        notice = Notice(incident=row.incident, word=row.word, domain=row.domain, channel=row.channel, body=row.body)
        try:
            _send(env.mesh, notice)
        except NotSentError as error:
            failed += 1
            down.add(row.channel)  # one that hangs or refuses would do the same to the next
            wait = timedelta(minutes=2**row.tries)
            _mark(store, row, due=_stamp(moment + wait), tries=row.tries + 1, error=str(error))
        else:
            sent += 1
            _mark(store, row, sent=_stamp(moment), tries=row.tries + 1, error="")
    return sent, failed


def channels(env: Environment) -> list[dict[str, Any]]:
    """Every channel of the mesh, and whether what was last given to it went out."""
    store = env.ledger.store
    store.ensure(record.METADATA)
    with store.reading() as db:
        rows = db.execute(sa.select(_notices).where(_notices.c.channel != NOBODY).order_by(_notices.c.at)).all()
    found = []
    for name, channel in sorted(env.mesh.channels.items()):
        mine = [row for row in rows if row.channel == name]
        waiting = [row for row in mine if not row.sent]
        failing = [row for row in waiting if row.error]
        lacks = _lacks(channel)
        found.append(
            {
                "channel": name,
                "type": channel.kind,
                "state": "broken" if failing or lacks else "ok",
                "error": failing[-1].error if failing else lacks,
                "since": failing[0].at if failing else None,
                "waiting": len(waiting),
                "given_up": sum(row.tries >= TRIES for row in waiting),
                "sent": max((row.sent for row in mine if row.sent), default=None),
            }
        )
    return found


def told(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Whom each incident was told to: by incident, oldest first."""
    store.ensure(record.METADATA)
    with store.reading() as db:
        rows = db.execute(sa.select(_notices).order_by(_notices.c.at, _notices.c.word, _notices.c.domain)).all()
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row.incident, []).append(
            {
                "domain": row.domain, "word": row.word, "channel": row.channel or None, "at": row.at,
                "sent": row.sent or None, "error": row.error, "says": row.body.get("text", ""),
            }
        )  # fmt: skip
    return found


# -- what is said -------------------------------------------------------------------------------------------------------


def _cause(it: Incident) -> str:
    """What is wrong with which table; the sentence may say the table itself."""
    shown = it.table.replace(".", "/", 1)
    return it.sentence if it.sentence.startswith(f"{shown} ") else f"{shown}: {it.sentence}"


def _messages(it: Incident, known: set[tuple[str, str, str]]) -> list[tuple[str, str, dict[str, Any]]]:
    """Word, domain and body of everything to tell of an incident by now."""
    if it.into:
        return []
    shown = it.table.replace(".", "/", 1)
    if it.closed:
        told_ = [
            domain for incident, word, domain in sorted(known) if incident == it.id and word in ("opened", "reads")
        ]
        text = f"{shown} is mended, and everything downstream has caught up. It was: {it.sentence}."
        return [("closed", domain, _body(it, "closed", f"Over: {shown}", text, [])) for domain in told_]
    domains = sorted({each.domain for each in it.downstream})
    hit = f" Downstream of it: {', '.join(domains)}." if domains else ""
    found = [("opened", it.domain, _body(it, "opened", _cause(it), f"{_cause(it)}.{hit}", []))]
    for domain in domains:
        reads = [each for each in it.downstream if each.domain == domain]
        lines = [
            f"version {each.version} of {each.table.replace('.', '/', 1)}, of {each.since[:16].replace('T', ' ')} UTC"
            if each.version is not None
            else f"nothing of {each.table.replace('.', '/', 1)}: it was never published"
            for each in reads
        ]
        text = f"{_cause(it)}. Until it is mended, {domain} reads {'; '.join(lines)}."
        rows = [
            {"table": each.table.replace(".", "/", 1), "version": each.version, "since": each.since or None}
            for each in reads
        ]
        found.append(("reads", domain, _body(it, "reads", f"{domain} reads older data: {shown}", text, rows)))
    return found


def _body(it: Incident, word: str, subject: str, text: str, reads: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schema_version": 1, "word": word, "incident": it.id, "domain": it.domain, "table": it.table.replace(".", "/", 1),
        "cause": it.sentence, "since": it.opened, "reads": reads, "subject": subject[:150], "text": text,
    }  # fmt: skip


def _address(mesh: Mesh, channel: str, team: Team) -> str:
    """Whom an e-mail goes to; the other channels lead to one place each."""
    found = mesh.channels.get(channel)
    return (found.to or team.owner) if found is not None and found.kind == "email" else ""


# -- sending ------------------------------------------------------------------------------------------------------------


def _claimed(store: Store, row: sa.Row, now: datetime) -> bool:
    """Whether this process is the one that sends it: two that look at once do not both."""
    claim = _notices.update().where(*_same(row), _notices.c.due == row.due, _notices.c.sent == "")
    with store.writing() as db:
        return db.execute(claim.values(due=_stamp(now + LEASE))).rowcount == 1


def _mark(store: Store, row: sa.Row, **values: object) -> None:
    with store.writing() as db:
        db.execute(_notices.update().where(*_same(row)).values(**values))


def _same(row: sa.Row) -> tuple[sa.ColumnElement[bool], ...]:
    c = _notices.c
    return c.incident == row.incident, c.word == row.word, c.domain == row.domain, c.channel == row.channel


def _send(mesh: Mesh, notice: Notice) -> None:
    channel = mesh.channels.get(notice.channel)
    if channel is None:
        raise NotSentError(f"mesh.yaml has no channel `{notice.channel}` any more")
    if lacks := _lacks(channel):
        raise NotSentError(lacks)
    if channel.kind == "email":
        _mail(channel, notice)
    elif channel.token_env:
        _slack(channel, notice)
    else:
        body = dict(notice.body) if channel.kind == "webhook" else {"text": _for_slack(notice)}
        _post(channel, notice, body)


def _lacks(channel: Channel) -> str:
    """The variable that a channel needs and that is not set."""
    needed = [name for name in (channel.url_env, channel.token_env, channel.user_env, channel.password_env) if name]
    missing = [name for name in needed if not variable(name)]
    return f"{missing[0]} is not set" if missing else ""


def _post(channel: Channel, notice: Notice, body: Mapping[str, Any]) -> None:
    from http.client import HTTPConnection, HTTPException, HTTPSConnection
    from urllib.parse import urlsplit

    address = urlsplit(variable(channel.url_env) or "")
    if address.scheme not in ("http", "https") or not address.hostname:
        raise NotSentError(f"{channel.url_env} holds no address of the web")
    kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
    headers = {"Content-Type": "application/json", "User-Agent": "mesh", "Idempotency-Key": notice.identity}
    path = f"{address.path or '/'}{'?' + address.query if address.query else ''}"
    try:
        connection = kind(address.hostname, address.port, timeout=TIMEOUT)
        try:
            connection.request("POST", path, json.dumps(body, ensure_ascii=False).encode(), headers)
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, HTTPException, ValueError) as error:
        raise NotSentError(f"it could not be reached: {_kind(error)}") from None
    if status >= 300:  # noqa: PLR2004 - of HTTP
        raise NotSentError(f"it answers with {status}")


def _for_slack(notice: Notice) -> str:
    return f"*{notice.body['subject']}*\n{notice.body['text']}"


def _slack(channel: Channel, notice: Notice) -> None:
    """By the client that `dagster_slack` gives to assets as well."""
    try:
        from dagster_slack import SlackResource
        from slack_sdk.errors import SlackClientError
    except ImportError:
        raise NotSentError("Slack's client is not installed: pip install 'mesh-assets[slack]'") from None
    client = SlackResource(token=variable(channel.token_env) or "").get_client()
    client.base_url, client.timeout = channel.api or client.base_url, TIMEOUT
    client.retry_handlers = []  # what was not sent is tried again by us
    told = {"event_type": "mesh_incident", "event_payload": {"id": notice.identity, "table": notice.body["table"]}}
    try:
        client.chat_postMessage(channel=channel.to, text=_for_slack(notice), metadata=told)
    except SlackClientError as error:
        answer = getattr(error, "response", None)
        word = answer.get("error") if hasattr(answer, "get") else None
        raise NotSentError(f"Slack refuses it: {word or type(error).__name__}") from None
    except (OSError, ValueError) as error:
        raise NotSentError(f"Slack could not be reached: {_kind(error)}") from None


def _mail(channel: Channel, notice: Notice) -> None:
    import smtplib
    from email.message import EmailMessage
    from email.utils import formatdate

    to = str(notice.body.get("to") or "")
    if "@" not in to:
        raise NotSentError(f"{notice.domain} has no owner with an e-mail address")
    message = EmailMessage()
    message["From"], message["To"], message["Date"] = channel.sender, to, formatdate()
    message["Subject"] = " ".join(str(notice.body["subject"]).split())
    host = channel.sender.rpartition("@")[2].strip("> ") or "mesh"
    message["Message-ID"] = f"<{notice.identity}@{host}>"
    message.set_content(f"{notice.body['text']}\n\nmesh why {notice.body['table']}\nIncident {notice.incident}\n")
    port = channel.port or {"tls": 465, "starttls": 587}.get(channel.tls, 25)
    try:
        kind = smtplib.SMTP_SSL if channel.tls == "tls" else smtplib.SMTP
        with kind(channel.host, port, timeout=TIMEOUT) as server:
            if channel.tls == "starttls":
                server.starttls()
            if channel.user_env:
                server.login(variable(channel.user_env) or "", variable(channel.password_env) or "")
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise NotSentError(f"the mail server did not take it: {_kind(error)}") from None


def _kind(error: Exception) -> str:
    """What kind of error, without its words: they may hold the address."""
    code = getattr(error, "smtp_code", None) or getattr(error, "errno", None)
    return f"{type(error).__name__}{f' {code}' if code else ''}"


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
