"""Rows that fail a rule whose action is `quarantine`: set aside from a candidate, counted, and told of.

Only rows that a build brings are set aside; what is published already and fails holds the version, as without quarantine.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from mesh_assets.admission import spelt
from mesh_assets.audit.aside import conditions
from mesh_assets.audit.result import Result, Status
from mesh_assets.audit.words import meaning
from mesh_assets.contract import Contract
from mesh_assets.domain import Table
from mesh_assets.lake import Mode, Publication, Staged
from mesh_assets.lake import quarantine as rows
from mesh_assets.numerals import agreed
from mesh_assets.step import Step
from mesh_assets.store import now


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """What was taken out of a candidate.

    Attributes:
        whole: The candidate as it was staged.
        files: Rows that go into quarantine.
        rows: How many rows of `whole` are not in the candidate any more.
        rules: How many of them fail each rule.
        first: What the rules had found before, by name.
        mended: Of a replay, whose candidate is `whole` itself: ids of rows that leave the quarantine.
    """

    whole: Publication
    files: tuple[str, ...] = ()
    rows: int = 0
    rules: Mapping[str, int] = field(default_factory=dict)
    first: Mapping[str, Result] = field(default_factory=dict)
    mended: frozenset[str] | None = None


def failing(results: Sequence[Result]) -> dict[str, Result]:
    """Results of rules that have found rows to set aside, by name."""
    return {
        result.test.name: result
        for result in results
        if result.test.quarantines and result.status is Status.FAIL and result.failing_rows
    }


def apart(
    step: Step,
    publication: Publication,
    contract: Contract,
    related: Callable[[str], str | None],
    *,
    before: SetAside | None = None,
    found: Mapping[str, Result] | None = None,
) -> tuple[Publication, SetAside] | None:
    """A candidate without the rows that its contract sets aside, and these. None: all of it stays, and is judged as it is.

    A table that is loaded whole is never emptied by it.

    Args:
        step: Whose.
        publication: The candidate.
        contract: Its.
        related: SQL of other tables, as the audit reads them.
        before: What was set aside before, when something else in the same step was.
        found: What the rules have found.
    """
    lake, staged = step.env.lake, publication.staged
    asked = conditions(step.con, rows.parquet(staged.files), contract, related)
    made = rows.split(lake, step.con, publication, asked, run=step.run, at=now()) if staged.rows else None
    if made is None:
        return None
    if publication.mode is Mode.REPLACE and not made.staged.rows:
        _forget(step, [*made.staged.files, *made.files])
        return None
    old = before or SetAside(whole=publication)
    if before is not None:
        _forget(step, staged.files)
    rules = {name: old.rules.get(name, 0) + made.rules.get(name, 0) for name in {**old.rules, **made.rules}}
    aside = replace(
        old,
        files=(*old.files, *made.files),
        rows=old.rows + made.rows,
        rules=rules,
        first={**(found or {}), **old.first},
    )
    return replace(publication, staged=made.staged), aside


def told(results: Sequence[Result], aside: SetAside | None, table: Table) -> tuple[Result, ...]:
    """Results of what is left, with what was set aside: a rule that only finds such rows warns."""
    if aside is None or aside.mended is not None:
        return tuple(results)
    return tuple(_told(result, aside, table) for result in results)


def _told(result: Result, aside: SetAside, table: Table) -> Result:
    count, first = aside.rules.get(result.test.name, 0), aside.first.get(result.test.name)
    if not count:
        return result
    total = result.total_rows + aside.rows
    where = f"mesh quarantine show {spelt(table.name)}"
    said = f"{count:,} of {total:,} {_words(result, count)}"
    return replace(
        result,
        status=Status.WARN if result.status is Status.PASS else result.status,
        failing_rows=count + (result.failing_rows if result.status is not Status.PASS else 0),
        total_rows=total,
        sample=first.sample if first and result.status is Status.PASS else result.sample,
        message=f"{said} and went into quarantine: {where}"
        if result.status is Status.PASS
        else f"{result.message} {said} and would have gone into quarantine.",
        quarantined=count,
    )


def _words(result: Result, count: int) -> str:
    said = meaning(result.test)
    return said if said.startswith("rows ") else f"rows {agreed(count, said)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a version says of its quarantine, and what is published with it, if that has changed.

    Attributes:
        publication: None: it stays as it is.
        moved: The version in which it last changed; None: there was none.
        record: For the version's record; empty: there is nothing to say.
    """

    publication: Publication | None = None
    moved: int | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


def beside(step: Step, candidate: Publication, aside: SetAside | None) -> Beside:
    """The quarantine as it will be, together with a candidate."""
    lake, whole = step.env.lake, (aside.whole if aside else candidate).staged
    files, mended = (aside.files, aside.mended) if aside else ((), None)
    made = rows.publication(lake, step.con, candidate, whole, files, mended=mended)
    if made is not None:
        waiting: int = made.rows
    else:
        before = rows.waiting(lake, candidate.staged.table)
        (waiting,) = step.con.execute(f"SELECT count(*) FROM {before[0]}").fetchone() or (0,) if before else (0,)
    record = _counts(candidate.staged, whole, aside, waiting) if waiting or made or aside else {}
    return Beside(publication=made.publication, moved=made.before, record=record) if made else Beside(record=record)


def _counts(left: Staged, whole: Staged, aside: SetAside | None, waiting: int) -> dict[str, Any]:
    """`published` and `rows` make `staged`, to the row."""
    if aside and aside.mended is not None:
        return {"replayed": len(aside.mended), "waiting": waiting}
    told = {"staged": whole.rows, "published": left.rows, "rows": aside.rows if aside else 0, "waiting": waiting}
    return {**told, "rules": dict(sorted(aside.rules.items())) if aside else {}}


def forget(step: Step, aside: SetAside | None, *, whole: bool = True) -> None:
    """Delete what a candidate was made of, and what was set aside from it: copies of it are published, or nothing is."""
    if aside is not None:
        _forget(step, [*aside.files, *(aside.whole.staged.files if whole and aside.mended is None else ())])


def _forget(step: Step, files: Sequence[str]) -> None:
    with suppress(OSError):
        step.env.lake.discard(Staged(table="", files=tuple(files), rows=0, columns=()))
