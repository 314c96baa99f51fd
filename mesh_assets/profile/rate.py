"""Are a table's tests any good? Which seeded faults they catch, and how often they cry wolf."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from mesh_assets import authoring, history
from mesh_assets.admission import relations, spelt
from mesh_assets.audit.library.kinds import Earlier, Past, Values
from mesh_assets.audit.result import Result, Status
from mesh_assets.contract import Contract, Kind
from mesh_assets.domain import Table
from mesh_assets.environment import Environment, never_published
from mesh_assets.errors import UsageError
from mesh_assets.profile.faults import Seeded, Seeder
from mesh_assets.profile.measure import profile
from mesh_assets.profile.suggest import suggest
from mesh_assets.schemas.attached import audit

if TYPE_CHECKING:
    import duckdb

VERSIONS = 30
"""So many earlier versions are asked for false alarms, at most."""
SHARE = 0.05
AT_HAND = 2_000_000
"""Tables of more rows are read from the lake for each fault."""
STRUCTURE = (Kind.COLUMNS, Kind.TYPES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One seeded fault.

    Attributes:
        by: Tests that passed before and do not any more.
        stops: Whether one of them would hold the version.
    """

    seeded: Seeded
    by: tuple[str, ...]
    stops: bool

    @property
    def caught(self) -> bool:
        """Whether any test has noticed it."""
        return bool(self.by)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """What a table's tests are worth.

    Attributes:
        tests: Those that were asked.
        failing: Those of them that fail on the version as it is, and so can notice nothing.
        versions: Versions that were served, on which they were asked for false alarms; of suggested tests those that came after
            the version from which they were suggested, halfway.
        alarms: By version, the tests that cried wolf.
    """

    table: str
    version: int
    rows: int
    tests: tuple[str, ...]
    failing: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    versions: tuple[int, ...]
    alarms: Mapping[int, tuple[str, ...]]

    @property
    def caught(self) -> float:
        """Share of the faults that were noticed, from 0 to 1."""
        return _share(self.verdicts)

    @property
    def stopped(self) -> float:
        """Share of the faults that would have held the version."""
        return sum(each.stops for each in self.verdicts) / len(self.verdicts) if self.verdicts else 0.0

    @property
    def false_alarms(self) -> float:
        """Share of the served versions on which a test cried wolf."""
        return len(self.alarms) / len(self.versions) if self.versions else 0.0

    def by(self, key: Callable[[Verdict], str]) -> dict[str, tuple[int, int]]:
        """How many were noticed of how many, by fault or by column."""
        found: dict[str, tuple[int, int]] = {}
        for each in self.verdicts:
            caught, all_ = found.get(key(each), (0, 0))
            found[key(each)] = caught + each.caught, all_ + 1
        return found


def rate(
    env: Environment,
    table: Table,
    *,
    seed: int,
    share: float = SHARE,
    suggested: bool = False,
    faults: bool = True,
    today: date,
    told: Callable[[str], None] = lambda _: None,
) -> Rating:
    """Seed faults in the published version, one at a time, and ask the table's tests of each.

    Nothing is written: a faulty table is a query on the version. It is judged as if it came after the version, with all of the
    history before it.

    Args:
        env: Where it is published.
        table: One with a contract.
        seed: Which rows are hit.
        share: Of the rows, where a fault does not have one of its own.
        suggested: Rate what `suggest` proposes, as if the contract had columns and no other test.
        faults: Seed them; else only false alarms are looked for.
        today: The day to judge dates by.
        told: Is given the name of each fault before it is tried.

    Raises:
        UsageError: The table has no contract, no rows, or was never published.
    """
    env.sync()
    version = env.ledger.versions().get(table.name)
    if table.contract is None:
        raise UsageError(f"{spelt(table.name)} has no contract\n    Write one with its columns first.")
    if version is None:
        raise never_published(table)
    contract = _suggested(env, table, table.contract, today) if suggested else table.contract
    with env.lake.session() as con:
        ask = _Asked(env, table, con, contract)
        lake = env.lake.relation(table.name, version.version)
        known = profile(con, env.lake.stored(table.name, version.version))
        relation = _at_hand(con, lake, known.rows)
        if not known.rows:
            raise UsageError(f"{spelt(table.name)} has no rows to seed faults in\n    Rate a table that holds data.")
        clean = {result.test.name: result for result in ask(relation)}
        good = {name for name, result in clean.items() if result.status is Status.PASS}
        seeder = Seeder(
            lambda sql: con.execute(sql).fetchone() or (), relation, known, table.contract, seed=seed, share=share
        )
        verdicts = []
        for seeded in seeder.all() if faults else ():
            told(f"{seeded.fault.name} {seeded.column}".strip())
            verdicts.append(_verdict(seeded, ask(seeded.relation, tests=_touched(seeded, clean)), good))
        served = [item.version for item in env.ledger.history(table.name, limit=VERSIONS)]
        if suggested:  # what they were made from cannot say how they do on what comes after
            half = len(served) // 2
            ask.contract = _suggested(env, table, table.contract, today, at=served[half]) if half else contract
            served = served[:half]
        alarms = {}
        for number in served:
            told(f"version {number}")
            results = ask(env.lake.relation(table.name, number), before=number)
            if wolf := tuple(result.test.name for result in results if result.status is not Status.PASS):
                alarms[number] = wolf
    return Rating(
        table=table.name,
        version=version.version,
        rows=known.rows,
        tests=tuple(clean),
        failing=tuple(name for name in clean if name not in good),
        verdicts=tuple(verdicts),
        versions=tuple(served),
        alarms=alarms,
    )


def _at_hand(con: "duckdb.DuckDBPyConnection", relation: str, rows: int) -> str:
    """The version as the faults are seeded in it: read once, where it has room in memory."""
    if rows > AT_HAND:
        return relation
    con.execute(f"CREATE OR REPLACE TEMP TABLE mesh_rated AS FROM {relation}")
    return "temp.mesh_rated"


def _touched(seeded: Seeded, clean: Mapping[str, Result]) -> set[str]:
    """Tests that a fault can make a difference to: the others see the rows and values that they have passed."""
    wrong = seeded.column.split(", ") if seeded.in_place else []
    if not wrong:
        return set(clean)
    return {
        name
        for name, result in clean.items()
        if not result.test.columns
        or result.test.kind in (Kind.SQL, Kind.PANDERA)
        or any(column in result.test.columns or column in str(result.test.arguments) for column in wrong)
    }


def _suggested(env: Environment, table: Table, contract: Contract, today: date, *, at: int | None = None) -> Contract:
    """The contract with what its data suggests, and nothing else that is asked of it."""
    bare = replace(contract, tests=tuple(test for test in contract.tests if test.kind in STRUCTURE), schemas=())
    taken = {test.name for test in contract.tests}
    proposals = suggest(env, replace(table, contract=bare), look_back=True, today=today, at=at).proposals
    added = [(one.column, one.rule) for one in proposals if one.name not in taken]
    whole = authoring.add(env.mesh, table, added).contract if added else contract
    names = {one.name for one in proposals}
    kept = tuple(test for test in whole.tests if test.name in names or test.kind in STRUCTURE)
    return replace(whole, tests=kept, schemas=())


class _Asked:
    """The table's tests, asked of one relation after the other by the executor that judges every build."""

    def __init__(self, env: Environment, table: Table, con: "duckdb.DuckDBPyConnection", contract: Contract) -> None:
        self.env, self.table, self.con, self.contract = env, table, con, contract
        self.others = relations(env, env.seen())
        self.past = _Once(history.of(env, table.name, con, before=None))

    def __call__(
        self, relation: str, *, before: int | None = None, tests: Collection[str] | None = None
    ) -> tuple[Result, ...]:
        name = self.table.name
        return audit(
            self.con,
            relation,
            self.contract,
            related=lambda other: relation if other == name else self.others(other),
            tests=tests,
            sample=0,
            past=self.past if before is None else history.of(self.env, name, self.con, before=before),
        )


class _Once:
    """A past that is read once, however often it is asked for the same."""

    def __init__(self, past: Past) -> None:
        self.past, self.now = past, past.now
        self.known: dict[tuple[int, str], Any] = {}

    def versions(self, limit: int) -> Sequence[Earlier]:
        return self.known.get((limit, "")) or self.known.setdefault((limit, ""), self.past.versions(limit))

    def values(self, limit: int, sql: Callable[[str], str]) -> Sequence[tuple[Earlier, Values]]:
        key = (limit, sql("{}"))
        if key not in self.known:
            self.known[key] = self.past.values(limit, sql)
        return self.known[key]


def _verdict(seeded: Seeded, results: Sequence[Result], good: Collection[str]) -> Verdict:
    noticed = [result for result in results if result.status is not Status.PASS and result.test.name in good]
    return Verdict(
        seeded=seeded, by=tuple(result.test.name for result in noticed), stops=any(result.stops for result in noticed)
    )


def _share(verdicts: Sequence[Verdict]) -> float:
    return sum(each.caught for each in verdicts) / len(verdicts) if verdicts else 0.0


def as_json(rating: Rating, *, seed: int, share: float, suggested: bool) -> dict[str, Any]:
    """The rating as JSON can hold it."""
    return {
        "schema_version": 1,
        "table": spelt(rating.table),
        "version": rating.version,
        "rows": rating.rows,
        "seed": seed,
        "share": share,
        "suggested": suggested,
        "tests": list(rating.tests),
        "failing_already": list(rating.failing),
        "catch_rate": round(rating.caught, 4),
        "stop_rate": round(rating.stopped, 4),
        "by_fault": {name: list(pair) for name, pair in rating.by(lambda each: each.seeded.fault.name).items()},
        "by_column": {name: list(pair) for name, pair in rating.by(lambda each: each.seeded.column).items()},
        "faults": [
            {
                "fault": each.seeded.fault.name,
                "column": each.seeded.column or None,
                "rows": each.seeded.rows,
                "caught": each.caught,
                "stops": each.stops,
                "by": list(each.by),
            }
            for each in rating.verdicts
        ],
        "history": {
            "versions": list(rating.versions),
            "false_alarms": [{"version": number, "tests": list(names)} for number, names in rating.alarms.items()],
            "false_alarm_rate": round(rating.false_alarms, 4),
        },
    }
