"""DataOps measures, on a week that can be counted by hand."""

import os
import subprocess
from datetime import UTC, datetime, timedelta

from mesh_assets.account.expected import moment
from mesh_assets.catalog.measures import _cycles, _kept, _Past, _week
from mesh_assets.ledger import Version

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
DAILY = moment("07:00 UTC")


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A time of the week; day 0 is its Monday."""
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute)


def test_a_week_as_a_person_counts_it():
    """Five builds, one of them stopped; on time on Monday and Tuesday, an hour late on Wednesday, on Thursday and since then not at all."""
    came = [at(-1, 6), at(0, 6, 30), at(1, 6, 30), at(2, 8)]
    past = _Past(
        tried=[(at(day, 6), day == 3) for day in range(-1, 5)],
        came=[(DAILY, came)],
        refused=[at(-1, 9), at(2, 9)],
        cycles=[(at(0, 6), 600.0), (at(1, 6), 5400.0), (at(2, 6), 90000.0), (at(8, 6), 1.0)],
    )
    assert _week(past, MONDAY, at(7, 0)) == {
        "week": "2026-01-05", "attempts": 5, "on_time": 0.5, "failed_tests": 0.2, "errors_at_readers": 1, "cycle": 5400.0,
    }  # fmt: skip
    assert _week(_Past(), MONDAY, at(7, 0)) == {
        "week": "2026-01-05", "attempts": 0, "on_time": None, "failed_tests": None, "errors_at_readers": 0, "cycle": None,
    }  # fmt: skip


def test_a_table_that_stays_away_is_late_in_each_week_and_one_that_is_only_confirmed_in_none():
    came = [at(-8, 6), at(-7, 6)]
    for week in (0, 1):
        assert _kept(DAILY, came, at(7 * week, 0), at(7 * week + 7, 0)) == [False]
    confirmed = [at(day, 6) for day in range(-1, 7)]
    assert _kept(DAILY, confirmed, MONDAY, at(7, 0)) == [True] * 7
    assert _kept(DAILY, confirmed, MONDAY, at(2, 6, 30)) == [True] * 3, "the week is not over"
    assert _kept(DAILY, [], MONDAY, at(7, 0)) == [], "it never came: nobody has begun to count"


def test_a_cycle_is_from_the_last_commit_of_the_domain_to_the_first_version_of_its_new_code(tmp_path):
    def commit(domain: str, when: datetime) -> str:
        path = tmp_path / f"domains/{domain}/one.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"select '{when}'")
        stamp = when.isoformat()
        told = {**os.environ, "GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp}
        who = ["-c", "user.name=ann", "-c", "user.email=ann@example.com"]
        for words in (["add", "-A"], [*who, "commit", "-qm", domain]):
            subprocess.run(["git", *words], cwd=tmp_path, env=told, check=True)
        return subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    def version(number: int, when: datetime, code: str, made: str, *, changed: bool = False) -> Version:
        record = {"code": code, "contract": "", "made": {"commit": made, "changed": changed}}
        return Version(table="a.one", version=number, run="r", at=when.isoformat(), record=record)

    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    first, other, second = commit("a", at(0, 8)), commit("b", at(0, 12)), commit("a", at(1, 8))
    versions = [
        version(6, at(3, 8), "c3", second, changed=True),  # files that no commit has
        version(5, at(2, 8), "c2", second),  # the same code, new data
        version(4, at(1, 9), "c2", second),
        version(3, at(0, 13), "c1", other),  # another domain's commit
        version(2, at(0, 11), "c1", other),
        version(1, at(0, 10), "c1", first),
    ]
    assert _cycles(tmp_path, "a", versions) == [(at(1, 9), 3600.0), (at(0, 10), 7200.0)]
    assert _cycles(tmp_path, "a", [version(1, at(0, 14), "c1", other)]) == [(at(0, 14), 6 * 3600.0)]
    assert _cycles(tmp_path, "a", [version(1, at(0, 14), "c1", "")]) == []
