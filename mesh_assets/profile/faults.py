"""Faults that data has in practice, as data: each makes of a table, in SQL, the same table with something wrong in it.

Nothing is copied and nothing is written. Which rows are hit is decided by a hash of the row and a seed: the same today and
tomorrow, and on any machine.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mesh_assets.audit.values import NUMBERS, Family, quoted, text
from mesh_assets.contract import Contract, Kind
from mesh_assets.profile.meaning import Meaning, meaning
from mesh_assets.profile.measure import Figures, Profile
from mesh_assets.profile.screens import DAYS

PAIRS = 3
"""So many pairs of columns are swapped."""
MEASURES = frozenset({Meaning.MEASURE, Meaning.COUNT})
FEW = frozenset({Meaning.CATEGORY, Meaning.FLAG, Meaning.STATE})
WORDS = frozenset({Family.TEXT})
ANY = frozenset(Family) - {Family.OTHER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong.

    Attributes:
        help: As a sentence.
        families: Columns that it happens to; empty: to the table.
        of: What the column must be for; empty: whatever it is for.
        value: The wrong value as SQL, of the column as SQL and what is known of it; None: it cannot happen to this one.
        share: Of the rows; None: as asked for.
    """

    name: str
    help: str
    families: frozenset[Family] = frozenset()
    of: frozenset[Meaning] = frozenset()
    value: Callable[[str, Figures], str | None] = lambda _column, _known: None
    share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """A fault in a certain table.

    Attributes:
        column: Whose values are wrong; two, separated by a comma, that are swapped; empty: it is one of the table.
        rows: How many rows are wrong, missing or too many.
        relation: The table with it, as SQL that can follow FROM.
        in_place: Its rows are the same, but for values of that column.
    """

    fault: Fault
    column: str
    rows: int
    relation: str
    in_place: bool = False


def _scaled(column: str, known: Figures) -> str:
    return f"TRY_CAST({column} * 1000 AS {known.type.name})"


def _moved(days: int) -> Callable[[str, Figures], str]:
    return lambda column, known: f"TRY_CAST({column} + INTERVAL ({days}) DAY AS {known.type.name})"


def _shifted(column: str, known: Figures) -> str | None:
    if not known.deviation:
        return None
    by = max(1, round(2 * known.deviation)) if known.type.family is Family.INTEGER else round(2 * known.deviation, 6)
    return f"TRY_CAST({column} + {by} AS {known.type.name})"


def _most_frequent(column: str, known: Figures) -> str | None:
    if len(known.values) < 2:  # noqa: PLR2004 - two to choose from
        return None
    return f"CASE WHEN {column} IS NOT NULL THEN CAST({text(str(known.values[0][0]))} AS {known.type.name}) END"


def _no_code(column: str, known: Figures) -> str | None:
    if not known.values:
        return None
    if known.type.family is Family.TEXT:
        return f"CASE WHEN {column} IS NOT NULL THEN 'Q?7' END"
    return f"CASE WHEN {column} IS NOT NULL THEN TRY_CAST({known.most} + 1 AS {known.type.name}) END"


OF_COLUMNS = (
    Fault(name="null", help="Values are missing.", families=ANY, value=lambda _column, known: f"NULL::{known.type.name}"),
    Fault(name="empty", help="Texts are empty.", families=WORDS, value=lambda column, _: f"CASE WHEN {column} IS NOT NULL THEN '' END"),
    Fault(name="truncated", help="Texts are cut to half their length.", families=WORDS, value=lambda column, _: f"left({column}, length({column})::BIGINT // 2)"),
    Fault(name="case", help="Upper case has become lower case, or the other way round.", families=WORDS,
          value=lambda column, _: f"CASE WHEN {column} = lower({column}) THEN upper({column}) ELSE lower({column}) END"),
    Fault(name="spaces", help="Texts begin with a space.", families=WORDS, value=lambda column, _: f"' ' || {column}"),
    Fault(name="encoding", help="A letter has become two, as if UTF-8 were read as Latin-1.", families=WORDS,
          value=lambda column, _: rf"regexp_replace({column}, '\pL', 'Ã©')"),
    Fault(name="unknown_code", help="A value that is none of the known few.", families=WORDS | {Family.INTEGER}, of=FEW, value=_no_code),
    Fault(name="unit", help="Numbers are in another unit: a thousand times as large.", families=frozenset(NUMBERS), of=MEASURES, value=_scaled),
    Fault(name="sign", help="Numbers have the other sign.", families=frozenset(NUMBERS), of=MEASURES, value=lambda column, known: f"TRY_CAST(-({column}) AS {known.type.name})"),
    Fault(name="century", help="Days are a century late.", families=frozenset(DAYS), value=_moved(36_525)),
    Fault(name="default_date", help="Days are what programs write for none, 1900-01-01.", families=frozenset(DAYS),
          value=lambda column, known: f"CASE WHEN {column} IS NOT NULL THEN CAST('1900-01-01' AS {known.type.name}) END"),
    Fault(name="stale", help="Every day is a year back: an old delivery again.", families=frozenset(DAYS), value=_moved(-365), share=1.0),
    Fault(name="shifted", help="All numbers are higher, by twice their standard deviation.", families=frozenset(NUMBERS), of=MEASURES, value=_shifted, share=1.0),
    Fault(name="collapsed", help="Half of all rows have the most frequent value.", families=WORDS | {Family.INTEGER, Family.BOOLEAN}, of=FEW, value=_most_frequent, share=0.5),
)  # fmt: skip
SAME_KEY = Fault(name="repeated_key", help="A key is that of another row.")
BROKEN_KEY = Fault(name="broken_key", help="A reference leads nowhere.")
SWAPPED = Fault(name="swapped", help="Two columns have changed places.")
DUPLICATED = Fault(name="duplicated", help="Rows are there twice.")
DOUBLED = Fault(name="doubled", help="Every row is there twice: a delivery was loaded again.", share=1.0)
CUT_OFF = Fault(name="cut_off", help="Most rows are missing: the delivery broke off.", share=0.6)
LATE = Fault(name="late", help="The rows of the last days are not there yet, a quarter of all.", share=0.25)
NOTHING = Fault(name="nothing", help="There are no rows.", share=1.0)
FAULTS = (*OF_COLUMNS, SAME_KEY, BROKEN_KEY, SWAPPED, DUPLICATED, DOUBLED, CUT_OFF, LATE, NOTHING)


class Seeder:
    """A table, and every fault that can happen to it."""

    def __init__(
        self,
        one: Callable[[str], Sequence[object]],
        relation: str,
        known: Profile,
        contract: Contract,
        *,
        seed: int,
        share: float,
    ) -> None:
        """Of a table.

        Args:
            one: Executes a query of one row.
            relation: The table.
            known: Its profile.
            contract: Says which columns are keys; columns that it does not name are left alone.
            seed: Which rows are hit.
            share: Of the rows that can be hit, where the fault does not say.
        """
        self.one, self.relation, self.known, self.contract, self.share = one, relation, known, contract, share
        names = ", ".join(quoted(name) for name in known.columns)
        self.chance = f"hash({names}, {seed})"
        declared = {column.name for column in contract.columns}
        self.columns = [figures for name, figures in known.columns.items() if name in declared and figures.given]

    def all(self) -> Iterator[Seeded]:
        """In the order of the list, column by column."""
        if not self.known.rows:
            return
        for fault in OF_COLUMNS:
            for figures in self.columns:
                if figures.type.family in fault.families and (not fault.of or meaning(figures) in fault.of):
                    new = fault.value(quoted(figures.name), figures)
                    yield from self._values(fault, figures.name, {figures.name: new} if new else {})
        yield from self._keys()
        yield from self._swapped()
        yield from self._rows()

    def _values(self, fault: Fault, column: str, new: Mapping[str, str]) -> Iterator[Seeded]:
        """Rows in which a value would not change are not hit; a fault that changes nothing has not happened."""
        if not new:
            return
        effect = " OR ".join(f"({value}) IS DISTINCT FROM {quoted(name)}" for name, value in new.items())
        hit, rows = self._hit(effect, fault.share)
        if rows:
            told = ", ".join(
                f"CASE WHEN {hit} THEN {value} ELSE {quoted(name)} END AS {quoted(name)}" for name, value in new.items()
            )
            made = f"(SELECT * REPLACE ({told}) FROM {self.relation})"
            yield Seeded(fault=fault, column=column, rows=rows, relation=made, in_place=True)

    def _hit(self, effect: str, share: float | None) -> tuple[str, int]:
        """What is true of the rows that are hit, and how many they are: a share of those that can be, one at least."""
        part = self.share if share is None else share
        least, count = self.one(
            f"SELECT max(h), count(*) FROM (SELECT h, row_number() OVER (ORDER BY h) AS n, count(*) OVER () AS all_ FROM "
            f"(SELECT {self.chance} AS h FROM {self.relation} WHERE {effect})) WHERE n <= greatest(1, floor(all_ * {part}))"
        )
        return f"({effect}) AND {self.chance} <= {least}::UBIGINT", int(str(count))

    def _keys(self) -> Iterator[Seeded]:
        unique = {
            test.columns[0]
            for test in self.contract.tests
            if test.kind in (Kind.UNIQUE, Kind.PRIMARY_KEY, Kind.DUPLICATE_VALUES) and len(test.columns) == 1
        }
        for figures in self.columns:
            name = quoted(figures.name)
            if figures.name in unique and figures.distinct == figures.given > 1:
                other = f"(SELECT min({name}) FROM {self.relation})"
                yield from self._values(SAME_KEY, figures.name, {figures.name: other})
        refers = {
            test.columns[0] for test in self.contract.tests if test.kind is Kind.REFERENCE and len(test.columns) == 1
        }
        for figures in self.columns:
            name, kind = quoted(figures.name), figures.type
            if figures.name in refers and kind.family in WORDS | {Family.INTEGER}:
                new = f"'¿' || {name}" if kind.family is Family.TEXT else f"TRY_CAST(-{name} - 1 AS {kind.name})"
                yield from self._values(BROKEN_KEY, figures.name, {figures.name: new})

    def _swapped(self) -> Iterator[Seeded]:
        made = 0
        for first, second in zip(self.columns, self.columns[1:], strict=False):
            if first.type.name == second.type.name and made < PAIRS:
                new = {first.name: quoted(second.name), second.name: quoted(first.name)}
                found = list(self._values(SWAPPED, f"{first.name}, {second.name}", new))
                made += len(found)
                yield from found

    def _rows(self) -> Iterator[Seeded]:
        rows, relation = self.known.rows, self.relation
        hit, count = self._hit("TRUE", None)
        again = f"(FROM {relation} UNION ALL SELECT * FROM {relation} WHERE {hit})"
        yield Seeded(fault=DUPLICATED, column="", rows=count, relation=again)
        yield Seeded(fault=DOUBLED, column="", rows=rows, relation=f"(FROM {relation} UNION ALL FROM {relation})")
        if rows > 1:
            hit, count = self._hit("TRUE", CUT_OFF.share)
            yield Seeded(fault=CUT_OFF, column="", rows=count, relation=f"(SELECT * FROM {relation} WHERE NOT ({hit}))")
        for figures in [one for one in self.columns if one.type.family in DAYS][:1]:
            name = quoted(figures.name)
            ((last,), (count,)) = (
                self.one(f"SELECT quantile_disc({name}, 0.75)::VARCHAR FROM {relation}"),
                self.one(
                    f"SELECT count(*) FROM {relation} WHERE {name} > (SELECT quantile_disc({name}, 0.75) FROM {relation})"
                ),
            )
            if int(str(count)):
                kept = f"({name} > CAST({text(str(last))} AS {figures.type.name})) IS NOT TRUE"
                found = f"(SELECT * FROM {relation} WHERE {kept})"
                yield Seeded(fault=LATE, column=figures.name, rows=int(str(count)), relation=found)
        yield Seeded(fault=NOTHING, column="", rows=rows, relation=f"(SELECT * FROM {relation} WHERE FALSE)")
