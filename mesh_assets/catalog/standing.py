"""Where every table and every domain stands, in five words: pass, warn, fail, late, never ran."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from mesh_assets import order
from mesh_assets.account import loading
from mesh_assets.account.look import first_line
from mesh_assets.account.states import HINDERED, unreadable
from mesh_assets.address import Address, NotFound
from mesh_assets.catalog import words
from mesh_assets.domain import Mesh, Table
from mesh_assets.environment import Environment
from mesh_assets.ledger import Attempt, Version, confirmed
from mesh_assets.numerals import does, many


class Word(StrEnum):
    """How a table is, the worst first. The only five there are."""

    FAIL = "fail"
    LATE = "late"
    WARN = "warn"
    NEVER = "never ran"
    PASS = "pass"  # noqa: S105 - no password


ORDER = tuple(Word)
LATELY = timedelta(days=45)
"""How far back incidents are read: the trust score of two weeks ago looks back 30 days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Everything that a page needs of all tables at once: read together, so that one page is one state.

    Attributes:
        confirmed: When each table was last published or confirmed.
        incidents: (table, when) of everything that was held or failed lately.
        verdicts: (table, admitted) of every reader's last verdict on an input.
        own: The tables of each domain.
        unloadable: Domains whose code did not load when it was last tried, with what is wrong.
        lost: Tables of whose version somebody has removed data files, with these.
    """

    mesh: Mesh
    head: int
    versions: Mapping[str, Version]
    last: Mapping[str, Attempt]
    confirmed: Mapping[str, str]
    why: Mapping[str, order.Why]
    at: datetime
    readers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    incidents: Sequence[tuple[str, str]] = ()
    verdicts: Sequence[tuple[str, bool]] = ()
    own: Mapping[str, Sequence[Table]] = field(default_factory=dict)
    unloadable: Mapping[str, str] = field(default_factory=dict)
    lost: Mapping[str, Sequence[str]] = field(default_factory=dict)
    _rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def of(self, table: Table) -> dict[str, Any]:
        """One table: its word, and why, in a sentence."""
        found = self._rows.get(table.name)
        if found is None:
            found = self._rows[table.name] = self._of(table)
        return dict(found)

    def stopped(self, table: Table) -> bool:
        """Whether the newest that was tried of it is held, or failed: what readers have is older."""
        return stopped(self.last.get(table.name), self.versions.get(table.name))

    def _of(self, table: Table) -> dict[str, Any]:
        version, attempt = self.versions.get(table.name), self.last.get(table.name)
        record = version.record if version else {}
        tests = counts(table, version, attempt)
        fresh = words.freshness(table.contract, self.confirmed.get(table.name), self.at)
        why = self.why.get(table.name)
        word, reason = _word(attempt, version, tests, fresh)
        told = self.unloadable.get(table.domain)
        if told and why is not None and why.state in HINDERED:
            word, reason = Word.FAIL, f"its domain cannot be loaded: {told}"
        if version is not None and table.name in self.lost:
            word, reason = Word.FAIL, unreadable(version.version, self.lost[table.name])
        return {
            "table": table.name.replace(".", "/", 1),
            "domain": table.domain,
            "name": table.short,
            "port": table.port is not None,
            "toolchain": table.toolchain.value,
            "status": str(word),
            "reason": reason,
            "version": version.version if version else None,
            "since": version.at if version else None,
            "rows": record.get("rows"),
            "tests": tests,
            "freshness": fresh,
            "last": attempt.outcome if attempt else None,
            "state": str(why.state) if why else "",
            "waiting": why.sentence if why else "",
            "read_by": list(self.readers.get(table.name, ())),
        }


def stand(env: Environment, now: datetime | None = None) -> Standing:
    """The whole mesh as it stands now."""
    state = env.state()
    ledger = env.ledger
    versions = ledger.versions()
    confirmed = {name: version.at for name, version in versions.items()}
    for name, attempt in ledger.attempts(outcomes=("published", "unchanged")).items():
        confirmed[name] = max(attempt.at, confirmed.get(name, ""))
    moment = now or words.moment()
    bad = ledger.tries(since=(moment - LATELY).isoformat(), outcomes=("held", "failed"), limit=5_000)
    own: dict[str, list[Table]] = {name: [] for name in env.mesh.domains}
    for table in env.mesh.tables.values():
        own.setdefault(table.domain, []).append(table)
    readers: dict[str, list[str]] = {}
    for name, domain in env.mesh.domains.items():
        for port in domain.inputs:
            readers.setdefault(port.table, []).append(name)
    return Standing(
        mesh=env.mesh,
        head=env.lake.head(),
        versions=versions,
        last=ledger.attempts(outcomes=("published", "unchanged", "held", "failed")),
        confirmed=confirmed,
        why=order.due(env.mesh, state).why,
        at=moment,
        readers={name: sorted(found) for name, found in readers.items()},
        incidents=tuple((item.table, item.at) for item in bad),
        own=own,
        unloadable={name: first_line("\n".join(told)) for name, told in loading.unloadable(env).items()},
        lost=env.lake.lost_now(),
        verdicts=tuple((item.table, item.admitted) for item, _ in ledger.admissions()),
    )


def stopped(attempt: Attempt | None, version: Version | None) -> bool:
    """Whether an attempt, the last, was held or failed, and is newer than what is published."""
    if attempt is None or attempt.outcome not in ("held", "failed"):
        return False
    return version is None or version.version <= attempt.head


def counts(table: Table, version: Version | None, attempt: Attempt | None) -> dict[str, int]:
    """How many tests passed, warned and failed of what was tried last, published or not; and how many it never got to."""
    last = attempt is not None and (stopped(attempt, version) or confirmed(attempt, version))
    newest = (attempt.record if attempt and last else version.record if version else {}).get("tests")
    found = {word: int((newest or {}).get(word, 0)) for word in ("pass", "warn", "fail")}
    asked = len(table.contract.tests) if table.contract else 0
    published = version is not None and not stopped(attempt, version)
    return found | {"not_run": 0 if published or any(found.values()) else asked}


def _word(
    attempt: Attempt | None, version: Version | None, tests: Mapping[str, int], fresh: Mapping[str, Any]
) -> tuple[Word, str]:
    if attempt is not None and stopped(attempt, version):
        return Word.FAIL, str(attempt.record.get("message") or attempt.outcome)
    if version is None:
        return Word.NEVER, "never published"
    if tests.get("fail"):
        return Word.FAIL, f"{tests['fail']} of its tests failed"
    if fresh["late"]:
        return Word.LATE, f"late by {fresh['late_by']}: {fresh['promised']} are promised"
    if tests.get("warn"):
        return Word.WARN, f"{tests['warn']} of {many(sum(tests.values()), 'test')} {does(tests['warn'], 'warn')}"
    count = sum(tests.values())
    return (
        Word.PASS,
        f"{many(count, 'test')} {does(count, 'pass')}" if count else "published; it has no tests",
    )


def worst(found: Sequence[str]) -> str:
    """The word for several tables together; without any, they never ran."""
    return next((str(word) for word in ORDER if str(word) in found), str(Word.NEVER))


def version_of(env: Environment, address: Address) -> Version | None:
    """The record of the version that an address names; without one, of the newest; None: never published.

    Raises:
        NotFound: It names a version that the table never had, or that is gone; those around it are offered.
    """
    if address.version is None:
        history = env.ledger.history(address.name, limit=1)
        return history[0] if history else None
    history = env.ledger.history(address.name, limit=10_000)
    found = next((item for item in history if item.version == address.version), None)
    if found is None:
        near = sorted((item.version for item in history), key=lambda known: abs(known - (address.version or 0)))[:3]
        known = f"Its versions near that: {', '.join(map(str, sorted(near)))}." if near else "It was never published."
        raise NotFound(f"{address.domain}/{address.table} has no version {address.version}\n    {known}")
    return found
