"""The whole mesh at one moment: what `order` decides, in what state every table is, and who caused what is wrong."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

from mesh_assets import order, refusals
from mesh_assets.account import causes, incidents, loading, record
from mesh_assets.account.causes import Blame, Build, Causes, Kind
from mesh_assets.account.expected import Source, durations, expectation
from mesh_assets.account.incidents import Incident
from mesh_assets.account.states import Facts, Status, Unheard, status_of
from mesh_assets.domain import Mesh
from mesh_assets.environment import Environment
from mesh_assets.ledger import Attempt, Version, confirmed

MEMORY = timedelta(days=90)
"""How far back it is looked for when a table came."""
CERTAIN = 0.9
"""Confidence from which a learned expectation that is missed is an incident, and not only a state."""
_TRIED = ("published", "unchanged", "held", "failed")


@dataclass(frozen=True, kw_only=True)
class Look:
    """One look. Make it with `look`; `keep` writes what it says of incidents."""

    env: Environment
    now: datetime
    state: order.State
    why: Mapping[str, order.Why]
    facts: Mapping[str, Facts]
    statuses: Mapping[str, Status]
    refused: Mapping[str, str]
    versions: Mapping[str, Version]
    last: Mapping[str, Attempt]
    unloadable: Mapping[str, Sequence[str]] = field(default_factory=dict)
    silent: Mapping[str, Unheard] = field(default_factory=dict)
    _builds: dict[str, Sequence[Build]] = field(default_factory=dict)

    @property
    def mesh(self) -> Mesh:
        """The files, as they are."""
        return self.env.mesh

    def causes(self, open_: Iterable[Incident]) -> Causes:
        """Where every trouble comes from; what is blamed already stays blamed where the record leaves it open."""
        counted = [
            name
            for name, facts in self.facts.items()
            if facts.expectation is None
            or facts.expectation.source is not Source.LEARNED
            or facts.expectation.confidence >= CERTAIN
        ]
        return causes.causes(
            self.mesh,
            self.state,
            self.why,
            self.statuses,
            self.builds,
            refused=self.refused,
            expected=counted,
            unloadable=self.unloadable,
            silent=self.silent,
            known=incidents.known(open_),
        )

    @cached_property
    def incidents(self) -> tuple[Incident, ...]:
        """Those that are open now, as they would be kept; nothing is written."""
        return tuple(each for each in self.follow(record.open_incidents(self.env.ledger.store)) if not each.closed)

    @cached_property
    def found(self) -> Causes:
        """As `causes`, with what is on record."""
        return self.causes(record.open_incidents(self.env.ledger.store))

    def follow(self, open_: Iterable[Incident]) -> tuple[Incident, ...]:
        """What has become of incidents."""
        before = tuple(open_)
        stamp = self.now.isoformat(timespec="microseconds")
        found = self.causes(before)
        return incidents.follow(
            self.mesh, self.why, found, before, stamp, say=self.say, reads=self.reads, confirmed=self.confirmed
        )

    def keep(self) -> tuple[Incident, ...]:
        """Write what has become of incidents; nothing is written where nothing is wrong and nothing was."""
        before = record.open_incidents(self.env.ledger.store)
        if not before and not self.causes(before).blames:
            return ()
        if (now := self.follow(before)) == before:
            return now
        return record.followed(self.env.ledger.store, self.follow)

    def builds(self, name: str) -> Sequence[Build]:
        """Good builds of a table, newest first."""
        if name not in self._builds:
            ledger = self.env.ledger
            good = [(item.at, item.record) for item in ledger.history(name, limit=50)]
            good += [(item.at, item.record) for item in ledger.tries(table=name, outcomes=("unchanged",), limit=50)]
            good.sort(key=lambda item: item[0], reverse=True)
            self._builds[name] = [
                Build(
                    fingerprint=str(told.get("fingerprint") or ""),
                    inputs=told.get("tried") or {},
                    code=told.get("code") or "",
                    contract=told.get("contract") or "",
                    raw=told.get("raw") or "",
                )
                for _, told in good
            ]
        return self._builds[name]

    def reads(self, domain: str, port: str) -> tuple[int | None, str]:
        """The version of a port that a domain goes on with, and since when that is there."""
        version = self.versions.get(port)
        own = self.mesh.port(domain, port)
        if version is None:
            return None, ""
        if own is not None and own.contract is not None:
            verdict = self.env.ledger.judged(domain, port, version.version, own.contract.hash)
            if verdict is not None and not verdict.admitted and own.on_failure != "warn":
                earlier = self.env.ledger.last_admitted(domain, port, version.version)
                at = next((v.at for v in self.env.ledger.history(port) if v.version == earlier), "")
                return earlier, at
        return version.version, version.at

    def confirmed(self, name: str) -> str:
        """When a table was last published or confirmed; empty: never."""
        at = self.facts[name].confirmed
        return at.isoformat(timespec="microseconds") if at else ""

    def say(self, blame: Blame) -> str:
        """What went wrong, in words: at the cause, and where it was found out."""
        name, shown = blame.cause, spelt(blame.cause)
        if blame.kind is Kind.BROKEN and blame.domain in self.unloadable:
            return f"the domain {blame.domain} cannot be loaded: {first_line(self.unloadable[blame.domain][0])}"
        if blame.kind is Kind.BROKEN:
            return f"the domain {blame.domain} cannot be loaded, `mesh check` says why"
        if blame.kind is Kind.NO_FILES:
            source = self.mesh.tables[name].source if name in self.mesh.tables else None
            return f"no file matches {source.pattern if source else 'its pattern'}"
        if blame.kind is Kind.LATE:
            return self.statuses[name].sentence if name in self.statuses else "it is late"
        where = blame.path[0] if blame.path else name
        said = first_line(self.statuses[where].sentence) if where in self.statuses else ""
        if where == name:
            what = {Kind.CODE: "its code has changed", Kind.CONTRACT: "its contract has changed"}.get(blame.kind, "")
            return f"{what}, and {said}" if what else said
        what = {
            Kind.CODE: f"new code of {shown}",
            Kind.FILES: f"new files of {shown}",
            Kind.CONTRACT: f"a new contract of {shown}",
        }.get(blame.kind, f"a version of {shown}")
        verb = "are" if blame.kind is Kind.FILES else "is"
        return f"{what} {verb} not what {spelt(where)} can use: {said}"


def look(env: Environment, *, running: Mapping[str, str] | None = None, now: datetime | None = None) -> Look:
    """Look at the mesh.

    Args:
        env: The environment.
        running: Tables that a launched run will build, beside those that a step builds right now.
        now: The moment to judge by.
    """
    moment = now or datetime.now(UTC)
    state = env.state(running=running, moment=moment)
    why = order.due(env.mesh, state).why
    ledger = env.ledger
    versions, last = ledger.versions(), ledger.attempts(outcomes=_TRIED)
    refused = env.refusals(state.seen)
    arrivals = ledger.arrivals((moment - MEMORY).isoformat(timespec="microseconds"))
    gaps, silent = record.observed(ledger.store, "gaps"), record.silent(ledger.store, now)
    unloadable, lost = loading.unloadable(env), env.lake.lost_now()
    facts = {
        name: _facts(
            env.mesh,
            name,
            versions.get(name),
            last.get(name),
            arrivals.get(name, ()),
            refused,
            gaps,
            state.seen.get(name),
            silent.get(env.mesh.tables[name].domain),
        )
        for name in env.mesh.tables
    }
    for name, table in env.mesh.tables.items():
        told = first_line("\n".join(unloadable.get(table.domain, ())))
        taken = refusals.taken(env, table, versions.get(name))
        if told or taken or name in lost:
            facts[name] = replace(
                facts[name], unloadable=told, admitted_all_the_same=taken, lost=tuple(lost.get(name, ()))
            )
    statuses = {name: status_of(why[name], facts[name], moment) for name in env.mesh.tables}
    return Look(
        env=env, now=moment, state=state, why=why, facts=facts, statuses=statuses, refused=refused,
        versions=versions, last=last, unloadable=unloadable, silent=silent,
    )  # fmt: skip


def _facts(
    mesh: Mesh,
    name: str,
    version: Version | None,
    attempt: Attempt | None,
    arrivals: Sequence[str],
    refused: Mapping[str, str],
    gaps: Mapping[str, Sequence[str]],
    seen: order.Seen | None,
    unheard: Unheard | None,
) -> Facts:
    table = mesh.tables[name]
    known = version.record if version else {}
    told = attempt.record if attempt else {}
    came = [datetime.fromisoformat(at) for at in arrivals]
    since = datetime.fromisoformat(version.at) if version else None
    duration = durations([float(known["seconds"])] if known.get("seconds") else [])
    newest = attempt is not None and (version is None or attempt.head >= version.version)
    return Facts(
        version=version.version if version else None,
        since=since,
        confirmed=came[-1] if came else since,
        before=came[-2] if len(came) > 1 else None,
        warned=((told if confirmed(attempt, version) else known).get("tests") or {}).get("warn", 0),
        held_inputs=tuple(sorted(seen.held)) if seen else (),
        outcome=attempt.outcome if attempt and newest else "published" if version else "",
        tried_at=datetime.fromisoformat(attempt.at) if attempt else None,
        message=said_of(name, str(told.get("message") or "")) if newest else "",
        tests_failed=bool((told.get("tests") or {}).get("fail")) and newest,
        refused=refused.get(name, ""),
        duration=duration,
        gaps=tuple(gaps.get(name, ())),
        unheard=unheard,
        expectation=expectation(table, came, duration),
    )


def spelt(table: str) -> str:
    """`domain/table`, as people and Dagster spell it."""
    return table.replace(".", "/", 1)


def first_line(text: str) -> str:
    """As much of a message as one sentence has room for; its end is the sentence's."""
    line = text.strip().splitlines()[0].rstrip(".")[:300] if text.strip() else ""
    return f"{line[:-2]})" if line.endswith(".)") else line


def said_of(table: str, message: str) -> str:
    """What a build said, for a sentence that names the table, and says what its readers have, already."""
    return re.sub(rf"^{re.escape(spelt(table))} is held, [^:]*: ", "", first_line(message))
