"""Requests for access: who asked for what and why, and what the team that answers for it has said. The mesh has no rights of its own."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from mesh_assets.address import Address, NotFound
from mesh_assets.domain import Team
from mesh_assets.environment import Environment
from mesh_assets.errors import UsageError, nearest
from mesh_assets.store import now

LONGEST = 2_000
"""Characters of a reason."""
KEPT = 1_000
"""Requests that are listed."""


class NotTheirs(UsageError):  # noqa: N818 - an outcome
    """Somebody answers a request that is another team's to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who is at the portal, as its proxy says.

    Attributes:
        name: Empty: the proxy does not say.
        groups: None: it says nobody's.
    """

    name: str
    groups: frozenset[str] | None = None


class Said(StrEnum):
    """How a request stands."""

    WAITS = "waits"
    GRANTED = "granted"
    DECLINED = "declined"


ANSWERS: dict[str, Said] = {"grant": Said.GRANTED, "decline": Said.DECLINED}
"""What is typed or pressed, and how the request stands then."""
METADATA = sa.MetaData()
_requests = sa.Table(
    "access_requests",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("to", sa.Text, nullable=False, index=True),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
)
_answers = sa.Table(
    "access_answers",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("request", sa.Text, nullable=False, index=True),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("word", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was said to a request, by whom and when."""

    answer: str
    who: str
    word: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request.

    Attributes:
        to: `domain`, or `domain/table`.
        answers: The oldest first; the last one counts.
    """

    id: str
    to: str
    who: str
    why: str
    at: str
    answers: tuple[Answer, ...] = ()

    @property
    def state(self) -> Said:
        """How it stands."""
        return Said(self.answers[-1].answer) if self.answers else Said.WAITS

    def as_json(self) -> dict[str, Any]:
        """For pages, the API and commands."""
        said = [{"answer": one.answer, "by": one.who, "word": one.word, "at": one.at} for one in self.answers]
        return {
            "id": self.id, "access_to": self.to, "at": self.at, "by": self.who, "why": self.why,
            "state": str(self.state), "answers": said,
        }  # fmt: skip


def ask(env: Environment, address: Address, *, who: str, why: str) -> Request:
    """Keep a request where the team of the domain sees it.

    Raises:
        UsageError: It says too little.
    """
    who, why = who.strip()[:200], why.strip()[:LONGEST]
    if not who or not why:
        raise UsageError("a request needs a name and a reason\n    Say who you are, and what you want the data for.")
    env.ledger.store.ensure(METADATA)
    made = Request(id=uuid.uuid4().hex[:12], to=str(replace(address, version=None)), who=who, why=why, at=now())
    row = {name: getattr(made, name) for name in ("id", "to", "who", "why", "at")}
    with env.ledger.store.writing() as db:
        db.execute(_requests.insert().values(**row))
    return made


def answer(env: Environment, request: str, word: str, *, who: str, why: str, person: Person | None = None) -> Request:
    """Keep what the team says to a request; its last word counts.

    Args:
        env: The environment.
        request: Its id, or the beginning of it.
        word: `grant` or `decline`.
        who: Who answers.
        why: A word to whom has asked.
        person: Who is at the portal; None: nobody stands between the mesh and whoever types.

    Raises:
        NotFound: There is no such request or answer, or several begin so.
        NotTheirs: It is not for this person to answer.
        UsageError: Nobody says it, or it is declined without a reason.
    """
    if word not in ANSWERS:
        raise NotFound(f"there is no answer `{word}`\n    {nearest(word, ANSWERS)}")
    found = _named(env, request)
    domain = env.mesh.domains.get(found.to.partition("/")[0])
    if person is not None and (said := barred(domain.team if domain else Team(name=""), found, person)):
        raise NotTheirs(said)
    who, why = who.strip()[:200], why.strip()[:LONGEST]
    if not who:
        raise UsageError("an answer needs a name\n    Say who answers: it is kept with the request.")
    if not why and ANSWERS[word] is Said.DECLINED:
        raise UsageError("a request is not declined without a reason\n    Say why: who has asked reads it.")
    made = Answer(answer=str(ANSWERS[word]), who=who, word=why, at=now())
    with env.ledger.store.writing() as db:
        values = {"answer": made.answer, "who": made.who, "word": made.word, "at": made.at}
        db.execute(_answers.insert().values(request=found.id, **values))
    return replace(found, answers=(*found.answers, made))


def barred(team: Team, request: Request, person: Person) -> str:
    """Why it is not for this person to answer, and who does; empty: it is.

    Owner and team are of domain.yaml, groups of the proxy. Where it names no groups, everybody may answer but whoever has asked.
    """
    name = person.name.casefold()
    if name and name == team.owner.casefold():
        return ""
    if person.groups is None:
        own = bool(name) and name == request.who.casefold()
        return f"nobody answers a request of their own\n    {_who_answers(team)}" if own else ""
    if name and team.name.casefold() in {group.casefold() for group in person.groups} - {""}:
        return ""
    who = f"{person.name} is not in the group `{team.name}`" if name else "the proxy does not say who you are"
    return f"access to {request.to} is for its team to answer, and {who}\n    {_who_answers(team)}"


def _who_answers(team: Team) -> str:
    return f"It is for {team.name or 'its team'} to answer{f', that is {team.owner}' if team.owner else ''}."


def requests(env: Environment, *, to: Collection[str] | None = None) -> tuple[Request, ...]:
    """Those that wait first, then the newest; all, or those for what `to` names (`domain`, `domain/table`)."""
    env.ledger.store.ensure(METADATA)
    where = [_requests.c.to.in_(to)] if to is not None else []
    with env.ledger.store.reading() as db:
        rows = db.execute(sa.select(_requests).where(*where).order_by(_requests.c.at.desc()).limit(KEPT)).all()
        said = db.execute(sa.select(_answers).order_by(_answers.c.number)).all()
    answers: dict[str, list[Answer]] = {}
    for row in said:
        answers.setdefault(row.request, []).append(Answer(answer=row.answer, who=row.who, word=row.word, at=row.at))
    found = [Request(**row._asdict(), answers=tuple(answers.get(row.id, ()))) for row in rows]
    return tuple(sorted(found, key=lambda one: one.state is not Said.WAITS))


def _named(env: Environment, start: str) -> Request:
    found = [one for one in requests(env) if start and one.id.startswith(start)]
    if len(found) == 1:
        return found[0]
    if found:
        raise NotFound(f"`{start}` is the beginning of {len(found)} requests\n    Write more of it.")
    raise NotFound(f"there is no request `{start}`\n    `mesh access list` and the page /mesh/access show all of them.")


__all__ = ["ANSWERS", "Answer", "NotTheirs", "Person", "Request", "Said", "answer", "ask", "barred", "requests"]
