"""A change and the graph to verdicts: for which reader does it break, why, and how do we know?

Tables are followed upstream before downstream. A table stands for its own promise: what its tests hold, its readers get, so
a change goes on beyond a table only by the columns that it gives, and by what none of its tests holds. Where a table breaks,
it keeps its last version, and nobody behind it is hit.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from mesh_assets.changes import model
from mesh_assets.changes.binding import Bench, DoesNotBind, Found, staged
from mesh_assets.changes.following import News, Rows, followed, repeated
from mesh_assets.changes.formats import includes
from mesh_assets.changes.handing import is_looser, news_of, notices, only_hands_on, sees
from mesh_assets.changes.lineage import Columns, Known, Lineage, Over, Source, Spot, lineage, mentioned
from mesh_assets.changes.model import MEANINGS, Change, Effect, Kind, bound_is_wider
from mesh_assets.changes.shape import ColumnShape, Shape, of_contract, shape_of
from mesh_assets.changes.texts import Text, text_of
from mesh_assets.changes.widths import within
from mesh_assets.changes.words import said
from mesh_assets.contract import Contract, Test
from mesh_assets.contract import Kind as Asks
from mesh_assets.domain import Mesh, Table
from mesh_assets.errors import Place

STRUCTURE = frozenset(
    {Kind.COLUMN_REMOVED, Kind.COLUMN_RENAMED, Kind.COLUMN_SPLIT, Kind.COLUMN_MERGED, Kind.COLUMN_ADDED}
    | {Kind.REQUIRED_COLUMN_ADDED}
)
GONE = frozenset({Kind.COLUMN_REMOVED, Kind.COLUMN_RENAMED, Kind.COLUMN_SPLIT, Kind.COLUMN_MERGED})
OF_PLACE = STRUCTURE | {Kind.COLUMNS_REORDERED}
"""Changes after which a column may stand at another place."""
TOLD_BY_SHAPE = GONE | {Kind.COLUMNS_REORDERED}
"""Changes that what comes out of a table tells of by itself."""
TYPES = frozenset({Kind.TYPE_WIDENED, Kind.TYPE_NARROWED, Kind.TYPE_CHANGED})


_MISSES = re.compile(r"\b(left|right|full|asof|positional|rollup|cube|grouping|by\s+name)\b")
"""Words of SQL after which a column may have no value in a row, though its own table has one in all of its rows."""


class Verdict(StrEnum):
    """What a change means for one reader. What is not known is never called compatible."""

    COMPATIBLE = "compatible"
    UNKNOWN = "unknown"
    BREAKING = "breaking"


WORST = (Verdict.COMPATIBLE, Verdict.UNKNOWN, Verdict.BREAKING)
WEAKEST = (Known.PROVEN, Known.DECLARED, Known.ASSUMED)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why, and where that is written.

    Attributes:
        change: The id of the change that it is about.
        test: The reader's test that sees it; empty when none does.
    """

    path: str
    line: int
    column: int
    why: str
    change: str = ""
    test: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A table that has another shape than before."""

    old: Shape
    new: Shape
    changes: tuple[Change, ...]

    @property
    def columns(self) -> Found:
        """As they are now."""
        return tuple((column.name, column.type) for column in self.new.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableVerdict:
    """What the changes mean for one table that reads what has changed.

    Attributes:
        ports: The inputs through which they arrive.
        hit: It reads something that has changed.
        run: Only its own tests, on rows under the new shape, can tell.
        silent: Something has changed that no test sees, so that tests that pass prove nothing.
        moved: Its own change of shape, which its readers see.
    """

    table: str
    domain: str
    ports: tuple[str, ...]
    verdict: Verdict
    known: Known
    evidence: tuple[Evidence, ...] = ()
    hit: bool = False
    run: bool = False
    silent: bool = False
    moved: Moved | None = None


@dataclass(frozen=True, slots=True)
class _Finding:
    verdict: Verdict
    evidence: Evidence | None = None
    silent: bool = False


def moved(port: str, old: Shape, new: Shape, successors: Mapping[str, str] = MappingProxyType({})) -> Moved:
    """The changes between two shapes of a port; `successors` as in `model.changes`."""
    return Moved(old=old, new=new, changes=model.changes(port, old, new, successors))


def assess(
    mesh: Mesh, columns: Columns, start: Mapping[str, Moved], *, cache: Path | None = None, bench: Bench | None = None
) -> tuple[TableVerdict, ...]:
    """The verdict of every table behind the changed ones, upstream before downstream.

    Args:
        mesh: The readers, as they are now.
        columns: Of every table, before the change.
        start: The tables that have changed.
        cache: Where lineage is kept.
        bench: To bind on; default: one of its own.
    """
    own = bench or Bench()
    try:
        return tuple(_Assessment(mesh, columns, dict(start), cache, own).run())
    finally:
        if bench is None:
            own.close()


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of several; compatible when there is none."""
    return max(verdicts, key=WORST.index, default=Verdict.COMPATIBLE)


def weakest(known: Iterable[Known]) -> Known:
    """The weakest way in which something is known."""
    return max(known, key=WEAKEST.index, default=Known.PROVEN)


@dataclass
class _Assessment:
    mesh: Mesh
    columns: Columns
    state: dict[str, Moved]
    cache: Path | None
    bench: Bench
    now: Over = field(init=False)
    adapted: frozenset[str] = frozenset()
    written: set[str] = field(default_factory=set)
    """Tables whose code is that for the columns as they are now."""

    def run(self) -> Iterator[TableVerdict]:
        self.now = Over({name: found.columns for name, found in self.state.items()}, self.columns)
        self.adapted = frozenset(self.state)  # readers whose own shape has changed with it
        self.written = set(self.adapted)
        for name, table in self.mesh.tables.items():
            ports = tuple(one for one in table.inputs if one in self.state and self.state[one].changes)
            if ports:
                found = self._table(table, ports)
                if name in self.adapted:
                    yield replace(found, moved=None)
                    continue
                if found.moved is not None and found.moved.changes:
                    self.state[name] = found.moved
                    self.now.new[name] = found.moved.columns
                yield found

    def _table(self, table: Table, ports: tuple[str, ...]) -> TableVerdict:
        text = text_of(self.mesh, table)
        read = lineage(self.mesh, table, self.now if table.name in self.written else self.columns, self.cache)
        if text is not None and self._is_written_for_it(table, text, read):
            self.written.add(table.name)
            read = lineage(self.mesh, table, self.now, self.cache)
        if text is not None and table.name not in self.written and self._cannot_notice(text, ports, read):
            bound, failed = None, None
        else:
            bound, failed = self._bind(table, text)
        changes = [(port, change) for port in ports for change in self.state[port].changes]
        findings = [found for port, change in changes for found in self._change(table, port, change, read, failed)]
        if failed is not None and not any(found.verdict is Verdict.BREAKING for found in findings):
            findings.append(self._unbound(text, failed, changes[0][1]))
        if failed is None and bound is not None and table.name not in self.written:
            findings += self._outputs(table, bound, changes[0][1], read)
            findings += self._captured(table, text, ports, read)
        verdict = worst(found.verdict for found in findings)
        used = [read.uses[port].known for port in ports if port in read.uses]
        after = None if verdict is Verdict.BREAKING else self._moved(table, bound, ports, read)
        return TableVerdict(
            table=table.name,
            domain=table.domain,
            ports=ports,
            verdict=verdict,
            known=Known.PROVEN if failed is not None else weakest(used),
            evidence=tuple(dict.fromkeys(found.evidence for found in findings if found.evidence)),
            hit=bool(findings),
            run=verdict is Verdict.UNKNOWN,
            silent=any(found.silent for found in findings),
            moved=after,
        )

    def _is_written_for_it(self, table: Table, text: Text, read: Lineage) -> bool:
        """Whether its SQL stands on the new columns, and not on the old ones, or names what is new in them: it has followed already."""
        if table.name in self.written or all(use.known is not Known.ASSUMED for use in read.uses.values()):
            return False
        if any(name not in self.now for name in table.inputs) or not self._binds(table, text, self.now):
            return False
        if not self._binds(table, text, self.columns):
            return True
        # DuckDB lets `* rename (a as b)` pass where there is no `a`: such SQL stands on both.
        return any(
            name in use.columns
            and name not in use.starred
            and name not in {old.lower() for old, _ in self.columns[port]}
            for port, use in lineage(self.mesh, table, self.now, self.cache).uses.items()
            if use.known is Known.PROVEN and port in self.columns
            for name in (column.lower() for column, _ in self.now[port])
        )

    def _binds(self, table: Table, text: Text, columns: Columns) -> bool:
        try:
            self.bench.bind(text, table, columns)
        except DoesNotBind:
            return False
        return True

    def _cannot_notice(self, text: Text, ports: Sequence[str], read: Lineage) -> bool:
        """Whether its SQL surely gives the same columns as before: it need not be bound, which is most of the time."""
        if "natural" in _all_sql(text):  # a column joins there without being written
            return False
        for port in ports:
            use = read.uses.get(port)
            if use is not None and use.starred and any(_is_of_order(change) for change in self.state[port].changes):
                return False  # what comes out comes in another order, too
            was, now = (
                {name.lower(): kind for name, kind in columns.get(port, ())} for columns in (self.columns, self.now)
            )
            if use is None or use.known is not Known.PROVEN or now.keys() - was.keys():
                return False  # a new name may mean another column
            if any(now.get(name) != kind and use.reads(name) for name, kind in was.items()):
                return False
        return True

    def _bind(self, table: Table, text: Text | None) -> tuple[Found | None, DoesNotBind | None]:
        """What the table's SQL gives on the new columns; why it does not bind, where the change is the reason."""
        if text is None or any(name not in self.now for name in table.inputs):
            return None, None
        try:
            return self.bench.bind(text, table, self.now), None
        except DoesNotBind as error:
            if table.name in self.written:
                return None, error
            try:
                self.bench.bind(text, table, self.columns)
            except DoesNotBind:
                return None, None  # it did not stand before either: nothing can be told
            return None, error

    # -- one change, one table ---------------------------------------------------------------------------------------

    def _change(
        self, table: Table, port: str, change: Change, read: Lineage, failed: DoesNotBind | None
    ) -> Iterator[_Finding]:
        yield from self._contradicted(table, port, change, read)
        if MEANINGS[change.kind].backward is Effect.COMPATIBLE and change.kind not in TYPES | STRUCTURE:
            return
        use = read.uses.get(port)
        if use is None:
            return
        of_place = change.kind in OF_PLACE and failed is None
        out_of_place = self._by_place(table, port, change, read) if of_place else None
        if out_of_place is not None:
            yield out_of_place
        elif not _is_of_order(change):
            yield from self._hit(table, port, change, read, failed)

    def _hit(
        self, table: Table, port: str, change: Change, read: Lineage, failed: DoesNotBind | None
    ) -> Iterator[_Finding]:
        """What a change of what a table reads does to it, where every place has the column that it had."""
        use = read.uses[port]
        used = [column for column in change.columns if use.reads(column)]
        if change.columns and not used and change.kind not in (Kind.COLUMN_ADDED, Kind.REQUIRED_COLUMN_ADDED):
            return
        spot = next((use.columns[column.lower()] for column in used if column.lower() in use.columns), read.where)
        if not change.columns and (text := text_of(self.mesh, table)) is not None:
            spot = mentioned(text, port)
        if change.kind in STRUCTURE:
            yield from self._structure(table, port, change, read, spot, failed)
        elif MEANINGS[change.kind].decided == "use":
            yield from self._by_use(table, port, change, read, spot, used, bound=failed is None)
        elif failed is not None and change.kind in TYPES:
            yield _Finding(Verdict.BREAKING, _at(spot, f"does not bind any more: {failed}", change))
        elif change.kind is Kind.TYPE_WIDENED:
            return
        else:
            yield self._by_values(table, port, change, read, spot)

    def _by_use(
        self, table: Table, port: str, change: Change, read: Lineage, spot: Spot, used: Sequence[str], *, bound: bool
    ) -> Iterator[_Finding]:
        """What no test sees hits whoever uses it; what is only handed on is told of what comes out."""
        if _is_given_up(change) and (found := self._by_repetition(table, port, change, read, spot)) is not None:
            yield found
            return
        use = read.uses[port]
        assumed = use.known is Known.ASSUMED
        handed = {column.lower() for column in used} <= use.starred if change.columns else False
        if change.kind is Kind.TYPE_CHANGED and (handed or self._keeps_types(table, port, used, read)):
            return  # it comes out as another type: that is told of what comes out
        if handed and not use.starred.intersection(_promised(table), map(str.lower, used)):
            return  # a `*` hands it on, and nobody has promised it: whoever reads it there is asked
        if change.kind is Kind.TYPE_CHANGED and bound and _compares_alike(change) and not assumed:
            why = f"{_reads(change, assumed=False)}, and {said(change)}; its own tests on such rows decide"
            yield _Finding(Verdict.UNKNOWN, _at(spot, why, change))
            return
        verdict = Verdict.UNKNOWN if assumed else Verdict.BREAKING
        why = f"{_reads(change, assumed=assumed)}, and no test sees it: {said(change)}"
        yield _Finding(verdict, _at(spot, why, change), silent=True)

    def _by_place(self, table: Table, port: str, change: Change, read: Lineage) -> _Finding | None:
        """Other columns at the same places hit who takes them by their place; a reader that declares its columns is given them so."""
        first = _first_shift(self.state[port].old, self.state[port].new)
        if first is None:
            return None
        text, use = text_of(self.mesh, table), read.uses[port]
        if text is not None and use.places is not None and first < use.places:
            why = f"takes columns by their place, and no test sees it: {said(change)}"
            return _Finding(Verdict.BREAKING, _at(mentioned(text, port), why, change), silent=True)
        if use.places is None and _is_of_order(change) and _is_promised_otherwise(self.state[port]):
            why = f"may take columns by their place: {said(change)}; its own tests decide"
            return _Finding(Verdict.UNKNOWN, _at(read.where, why, change))
        return None

    def _by_values(self, table: Table, port: str, change: Change, read: Lineage, spot: Spot) -> _Finding:
        """There may be other values in what it reads: whether that matters."""
        if self._only_hands_on(table, port, change, read):
            why = f"{_reads(change, assumed=False)}: {said(change)}; it hands the values on, and tests none of them"
            return _Finding(Verdict.COMPATIBLE, _at(spot, why, change))
        if (rows := self._cannot_fail(table, port, change, read)) is not None:
            what = "other values may come out" if rows is Rows.SAME else "other rows may come out"
            why = f"{_reads(change, assumed=False)}: {said(change)}; {what}, and neither its SQL nor a test of it can fail by them"
            return _Finding(Verdict.COMPATIBLE, _at(spot, why, change))
        assumed = read.uses[port].known is Known.ASSUMED
        why = f"{_reads(change, assumed=assumed)}: {said(change)}; its own tests on such rows decide"
        return _Finding(Verdict.UNKNOWN, _at(spot, why, change))

    def _by_repetition(self, table: Table, port: str, change: Change, read: Lineage, spot: Spot) -> _Finding | None:
        """Rows of a key may come more than once: whether that matters to who takes every row by itself; None where it does silently."""
        text, use = text_of(self.mesh, table), read.uses.get(port)
        if text is None or text.incremental or use is None or use.known is not Known.PROVEN:
            return None
        rows = repeated(text, table, self.columns)
        if rows is None or rows is Rows.OTHER:
            return None
        contract, entry = table.contract, self.mesh.port(table.domain, port)
        asked = entry.contract if entry else None  # which looks at the rows as they come in
        sees_it = [
            one for one, seen in ((contract, rows), (asked, Rows.ONES))
            if one is not None and (one.schemas or any(notices(test, frozenset(), seen) for test in one.tests))
        ]  # fmt: skip
        if sees_it:
            why = f"{_reads(change, assumed=False)}: {said(change)}; its own tests on such rows decide"
            return _Finding(Verdict.UNKNOWN, _at(spot, why, change))
        why = f"{_reads(change, assumed=False)}: {said(change)}; it takes every row by itself, and promises no key"
        return _Finding(Verdict.COMPATIBLE, _at(spot, why, change))

    def _keeps_types(self, table: Table, port: str, columns: Sequence[str], read: Lineage) -> bool:
        """Whether these columns are only handed on, and the contract says as which types: what comes out is cast to them."""
        wanted = {column.lower() for column in columns}
        made = {name for name, sources in read.outputs.items() if any((port, column) in sources for column in wanted)}
        return made <= _promised(table) and self._copies(table, port, columns, read)

    def _copies(self, table: Table, port: str, columns: Sequence[str], read: Lineage) -> bool:
        """Whether all that is done with these columns is to hand them on as they are."""
        text = text_of(self.mesh, table)
        return bool(columns) and all(only_hands_on(text, read, port, column) for column in columns)

    def _only_hands_on(self, table: Table, port: str, change: Change, read: Lineage) -> bool:
        """Whether no value of the changed columns can make the table fail: its readers are asked, it is not."""
        if not is_looser(change):
            return False
        entry = self.mesh.port(table.domain, port)
        asked = entry.contract if entry else None
        columns = frozenset(column.lower() for column in change.columns)
        made = {name for name, sources in read.outputs.items() if any((port, column) in sources for column in columns)}
        if sees(asked, columns) or sees(table.contract, frozenset(made)):
            return False
        return self._copies(table, port, change.columns, read)

    def _cannot_fail(self, table: Table, port: str, change: Change, read: Lineage) -> Rows | None:
        """What becomes of a table's rows where no such value can stop it: neither in its SQL, nor in a test; None where one may."""
        entry, text = self.mesh.port(table.domain, port), text_of(self.mesh, table)
        columns = frozenset(column.lower() for column in change.columns)
        use = read.uses.get(port)
        if text is None or text.incremental or use is None or use.known is not Known.PROVEN:
            return None
        if change.asks == Asks.ROW_COUNT and change.kind in (Kind.RULE_REMOVED, Kind.RULE_LOOSENED):
            rows = repeated(text, table, self.columns)
            rows = Rows.OTHER if rows is Rows.SAME else rows  # the least of none is null
            asks = entry is not None and entry.contract is not None and bool(entry.contract.tests)
            return None if rows is None or asks or self._tests_see(table, port, change, read, rows) else rows
        if not is_looser(change) or (entry is not None and sees(entry.contract, columns)):
            return None
        news = news_of(change)
        found = [followed(text, table, self.columns, column, news) for column in sorted(columns)]
        if None in found:
            return None
        rows = max((one for one in found if one is not None), default=Rows.SAME)
        return None if self._tests_see(table, port, change, read, rows) else rows

    def _tests_see(self, table: Table, port: str, change: Change, read: Lineage, rows: Rows) -> bool:
        """Whether a test of the table may fail by such values: of what they come out in, or of rows that are others now."""
        contract = table.contract
        if contract is None:
            return False
        columns = frozenset(column.lower() for column in change.columns)
        made = {name for name, sources in read.outputs.items() if any((port, column) in sources for column in columns)}
        if contract.schemas or not read.outputs:
            return True
        if news_of(change) is News.VALUES and not self._fits(
            table, frozenset(made) if rows is not Rows.OTHER else None
        ):
            return True
        promised = of_contract(contract)
        given = {name: self._given(source) for name, source in read.copies.items()}
        may_be_missing = rows is Rows.OTHER and _MISSES.search(_all_sql(text_of(self.mesh, table))) is not None

        def holds(test: Test, column: str) -> bool:
            if may_be_missing and test.kind in (Asks.REQUIRED, Asks.NULL_VALUES):
                return False
            return _is_promised(test, promised.names.get(column.lower()), given.get(column.lower()))

        seeing = [test for test in contract.tests if notices(test, frozenset(made), rows)]
        return not all(test.columns and all(holds(test, column) for column in test.columns) for test in seeing)

    def _fits(self, table: Table, made: frozenset[str] | None) -> bool:
        """Whether what comes out has its place in the types of the contract, whatever it is; `made`: these columns alone."""
        bound = {name.lower(): kind for name, kind in self._bound_before(table)}
        kept = {c.name.lower(): c.type for c in table.contract.columns} if table.contract else {}
        wanted = [name for name in kept if made is None or name in made]
        fine = (model.Width.SAME, model.Width.NARROWED)
        return all(name in bound and model.width(kept[name], bound[name]) in fine for name in wanted)

    def _given(self, source: Source) -> ColumnShape | None:
        """What is promised now of a column that is copied."""
        name, column = source
        moved = self.state.get(name)
        shape = moved.new if moved is not None else shape_of(self.mesh.tables[name])
        return shape.names.get(column)

    def _structure(
        self, table: Table, port: str, change: Change, read: Lineage, spot: Spot, failed: DoesNotBind | None
    ) -> Iterator[_Finding]:
        """Columns that are gone or new: the reader's SQL stands on what is left, or it does not."""
        text, use = text_of(self.mesh, table), read.uses[port]
        assumed, starred = use.known is Known.ASSUMED, use.starred
        if change.kind not in GONE:
            if text is not None and assumed and failed is None:
                yield _Finding(
                    Verdict.UNKNOWN, _at(read.where, f"{read.why}: what the new column does to it is not known", change)
                )
            return
        what = said(change)
        if text is None:
            verdict = Verdict.UNKNOWN if assumed else Verdict.BREAKING
            why = f"{_reads(change, assumed=assumed)}, and {what}"
            yield _Finding(verdict, _at(spot, why, change))
        elif failed is not None:
            if not assumed and not {column.lower() for column in change.columns} <= starred:
                said_already = any(column.lower() in str(failed).lower() for column in change.columns)
                why = f"{what}, and this SQL names it" if said_already else f"{what}: {failed}"
                yield _Finding(Verdict.BREAKING, _at(spot, why, change))
        elif assumed:
            yield _Finding(
                Verdict.UNKNOWN, _at(read.where, f"{read.why}; it binds without what is gone: {what}", change)
            )
        elif not {column.lower() for column in change.columns} <= starred:
            yield _Finding(Verdict.BREAKING, _at(spot, f"{what}, and the name now means another column", change))

    def _unbound(self, text: Text | None, failed: DoesNotBind, change: Change) -> _Finding:
        path = text.path if text else ""
        return _Finding(
            Verdict.BREAKING, Evidence(path, failed.line, 1, f"does not bind any more: {failed}", change.id)
        )

    def _captured(self, table: Table, text: Text | None, ports: Sequence[str], read: Lineage) -> Iterator[_Finding]:
        """A name of the reader's SQL that used to mean one column, and means the new one now."""
        added = {
            (port, change.column.lower()): change
            for port in ports
            for change in self.state[port].changes
            if change.kind in (Kind.COLUMN_ADDED, Kind.REQUIRED_COLUMN_ADDED)
        }
        words = {name for _, name in added}
        if text is None or read.why or not any(name in _all_sql(text) for name in words):
            return
        now = lineage(self.mesh, table, self.now, self.cache)
        for (port, name), change in added.items():
            use = now.uses.get(port)
            if use is None or use.known is Known.ASSUMED:
                yield _Finding(
                    Verdict.UNKNOWN, _at(read.where, f"whether `{name}` now means the new column is not known", change)
                )
            elif name in use.columns and name not in use.starred and name not in read.uses[port].columns:
                spot = use.columns[name]
                yield _Finding(
                    Verdict.BREAKING, _at(spot, f"`{name}` now means the new column of {spelt(port)}", change)
                )

    def _outputs(self, table: Table, bound: Found, change: Change, read: Lineage) -> Iterator[_Finding]:
        """A promised column that is no longer there, or comes wider than its contract can hold."""
        contract = table.contract
        if contract is None:
            return
        before = self._bound_before(table)
        was, now = {name.lower(): kind for name, kind in before}, {name.lower(): kind for name, kind in bound}
        for column in contract.columns:
            name = column.name.lower()
            if name in was and name not in now:
                spot = self._star(read) or _spot(column.where)
                why = f"`{column.name}` comes by a `*` and is gone; {spelt(table.name)} promises it"
                yield _Finding(Verdict.BREAKING, replace(_at(spot, why, change), test="columns"))
            elif (
                name in was
                and was[name] != now[name]
                and model.width(column.type, now[name]) not in (model.Width.SAME, model.Width.NARROWED)
            ):
                if model.width(was[name], now[name]) is model.Width.NARROWED or self._is_within(
                    column.type, name, read
                ):
                    continue
                why = f"`{column.name}` comes as {now[name]} and is kept as {column.type}; its own tests on such rows decide"
                yield _Finding(Verdict.UNKNOWN, replace(_at(_spot(column.where), why, change), test="types"))

    def _is_within(self, kept: str, name: str, read: Lineage) -> bool:
        """Whether a copy has its place in a smaller type, by the limits that are promised of it."""
        given = self._given(read.copies[name]) if name in read.copies else None
        if given is None:
            return False
        if given.allowed:
            return all(within(kept, given.type, value, value) for value in given.allowed)
        if given.minimum is None or given.maximum is None:
            return False
        return within(kept, given.type, given.minimum[0], given.maximum[0])

    def _bound_before(self, table: Table) -> Found:
        text = text_of(self.mesh, table)
        try:
            return self.bench.bind(text, table, self.columns) if text else ()
        except DoesNotBind:
            return ()

    @staticmethod
    def _star(read: Lineage) -> Spot | None:
        return next((use.columns[name] for use in read.uses.values() for name in sorted(use.starred)), None)

    # -- what the reader has asked for -------------------------------------------------------------------------------

    def _contradicted(self, table: Table, port: str, change: Change, read: Lineage) -> Iterator[_Finding]:
        """What a contract of the reader's asks for, and the producer promises no longer: of the input, or of a copy of it."""
        entry = self.mesh.port(table.domain, port)
        if entry is not None and entry.contract is not None:
            yield from self._asked(entry.contract, change, self.state[port].new, change.column)
            yield from self._asked_rule(entry.contract, change)
        if table.contract is None or not change.columns or change.kind in GONE | TYPES:
            return
        for name, source in read.copies.items():
            if source == (port, change.column.lower()):
                found = self._asked(table.contract, change, self.state[port].new, name, of=change.column)
                sure = self._copies(table, port, [change.column], read)
                yield from found if sure else map(_perhaps, found)

    def _asked(self, contract: Contract, change: Change, new: Shape, name: str, of: str = "") -> Iterator[_Finding]:
        asked = of_contract(contract).names.get(name.lower())
        column = next((one for one in contract.columns if one.name.lower() == name.lower()), None)
        if asked is None or column is None:
            return
        given = new.names.get((of or name).lower())
        told = _contradiction(change, asked, given)
        if told:
            test, why = told
            yield _Finding(Verdict.BREAKING, replace(_at(_spot(column.where), why, change), test=test))

    def _asked_rule(self, contract: Contract, change: Change) -> Iterator[_Finding]:
        """The same rule stands in the reader's contract, and the producer's says it no longer."""
        if change.kind not in (Kind.RULE_REMOVED, Kind.RULE_LOOSENED):
            return
        columns = [column.lower() for column in change.columns]
        for rule in of_contract(contract).rules:
            same = rule.kind == change.asks and [column.lower() for column in rule.columns] == columns
            if same and rule.arguments == change.before != change.after:
                why = f"the contract has the rule `{rule.name}` as well, which is promised no longer"
                where = next((one.where for one in contract.columns if one.name.lower() in columns), contract.where)
                yield _Finding(Verdict.BREAKING, replace(_at(_spot(where), why, change), test=rule.name))

    # -- and on ------------------------------------------------------------------------------------------------------

    def _moved(self, table: Table, bound: Found | None, ports: Sequence[str], read: Lineage) -> Moved | None:
        """How the table itself has changed for those who read it."""
        old = shape_of(table, self.columns.get(table.name))
        new = shape_of(table, staged(bound, table)) if bound is not None else old
        changes = [] if bound is None else list(model.changes(table.name, old, new))
        if any(map(_is_of_order, changes)) and _names(bound) == _names(self._bound_before(table)):
            changes = [change for change in changes if not _is_of_order(change)]  # it is no news that they come so
        changes += self._unguarded(table, ports, read)
        return Moved(old=old, new=new, changes=tuple(dict.fromkeys(changes))) if changes else None

    def _unguarded(self, table: Table, ports: Sequence[str], read: Lineage) -> Iterator[Change]:
        """What may be in its rows now, where no contract of its own says what is in that column."""
        for port in ports:
            for change in self.state[port].changes:
                if MEANINGS[change.kind].backward is Effect.BREAKING and change.kind not in TOLD_BY_SHAPE:
                    yield from self._goes_on(table, port, change, read)

    def _goes_on(self, table: Table, port: str, change: Change, read: Lineage) -> Iterator[Change]:
        """A change of an input, as those see it who read the table."""
        told, promised, use = replace(change, port=table.name), _promised(table), read.uses.get(port)
        if use is not None and change.columns and not any(use.reads(column) for column in change.columns):
            return
        if not read.outputs:
            if not promised:
                yield replace(told, columns=())
            return
        if _is_given_up(change):
            if self._repeats(table):
                yield replace(told, columns=())
            return
        if self._cannot_fail(table, port, change, read) not in (None, Rows.SAME):
            yield replace(told, columns=())
        for name, sources in read.outputs.items():
            if name not in promised and any((port, column.lower()) in sources for column in change.columns):
                yield replace(told, columns=(name,))

    def _repeats(self, table: Table) -> bool:
        """Whether rows may come out of a table more than once where they come in so, and no test of its own keeps them apart."""
        text = text_of(self.mesh, table)
        held = {test.kind for test in table.contract.tests} if table.contract else set()
        if text is None or held & {Asks.UNIQUE, Asks.PRIMARY_KEY}:
            return False
        return repeated(text, table, self.columns) is not Rows.SAME


def _perhaps(found: _Finding) -> _Finding:
    """What would break, if the reader's own SQL does not leave such rows out: it does more with the column than to hand it on."""
    evidence = found.evidence
    told = replace(evidence, why=f"{evidence.why}; its own tests on such rows decide") if evidence else None
    return replace(found, verdict=Verdict.UNKNOWN, evidence=told)


def _names(columns: Found | None) -> list[str]:
    return [name for name, _ in columns or ()]


def _first_shift(old: Shape, new: Shape) -> int | None:
    """The first place that has another column now, under whatever name; None where all have the same."""
    were, are = list(old.names), [{name.lower() for name in (one.name, *one.came_from)} for one in new.columns]
    places = (place for place, was in enumerate(were) if place >= len(are) or was not in are[place])
    return next(places, None)


def _is_promised_otherwise(found: Moved) -> bool:
    """Whether a contract lists its columns in another order, and not only what nobody has promised stands elsewhere."""
    before, after = ([name for name, one in shape.names.items() if one.promised] for shape in (found.old, found.new))
    return [name for name in before if name in after] != [name for name in after if name in before]


def _is_of_order(change: Change) -> bool:
    return change.kind is Kind.COLUMNS_REORDERED


def _is_given_up(change: Change) -> bool:
    """Whether a key is promised no longer, and no other is: with another key a row may be another thing."""
    return change.kind is Kind.KEY_CHANGED and not change.after


def _compares_alike(change: Change) -> bool:
    """Whether a number is one still, or a time: it is compared and added up as before, though digits may be lost."""
    families = (r"DECIMAL|DOUBLE|FLOAT|U?(TINY|SMALL|BIG|HUGE)?INT", r"DATE|TIMESTAMP")
    return any(all(re.match(family, one) for one in (change.before, change.after)) for family in families)


def _is_promised(test: Test, asked: ColumnShape | None, given: ColumnShape | None) -> bool:
    """Whether the column that comes in as it is keeps a test by what its own owner promises."""
    if asked is None or given is None or not given.promised:
        return False
    match test.kind:
        case Asks.REQUIRED | Asks.NULL_VALUES:
            return not given.nullable
        case Asks.MINIMUM | Asks.EXCLUSIVE_MINIMUM:
            return given.minimum is not None and not bound_is_wider(asked.minimum, given.minimum, low=True)
        case Asks.MAXIMUM | Asks.EXCLUSIVE_MAXIMUM:
            return given.maximum is not None and not bound_is_wider(asked.maximum, given.maximum, low=False)
        case Asks.INVALID_VALUES:
            return asked.allowed is not None and given.allowed is not None and set(given.allowed) <= set(asked.allowed)
        case Asks.PATTERN | Asks.FORMAT:
            return bool(asked.format) and bool(given.format) and includes(asked.format, given.format) is True
    return False


def _promised(table: Table) -> frozenset[str]:
    return frozenset(column.name.lower() for column in table.contract.columns) if table.contract else frozenset()


def _all_sql(text: Text | None) -> str:
    if text is None:
        return ""
    return " ".join([text.sql, text.incremental, *(_all_sql(part) for part in text.parts.values())]).lower()


def _reads(change: Change, *, assumed: bool) -> str:
    if not change.columns:
        return "reads this table"
    return "may read any column" if assumed else f"reads {', '.join(f'`{name}`' for name in change.columns)}"


def _contradiction(change: Change, asked: ColumnShape, given: ColumnShape | None) -> tuple[str, str] | None:  # noqa: C901 - one case per kind
    """The test of the reader's that the new promise does not meet, and why; None when it is met."""
    name = asked.name
    if change.kind in GONE:
        return "columns", f"the contract asks for `{name}`; {said(change)}"
    if given is None:
        return None
    match change.kind:
        case Kind.TYPE_WIDENED | Kind.TYPE_NARROWED | Kind.TYPE_CHANGED if asked.type != given.type:
            return "types", f"the contract asks for `{name}` as {asked.type}; it is {given.type} now"
        case Kind.NULL_ALLOWED if not asked.nullable:
            return f"{name}__required", f"the contract asks for a value of `{name}`; it may be null now"
        case Kind.VALUES_ADDED if asked.allowed is not None:
            if given.allowed is None or not set(given.allowed) <= set(asked.allowed):
                return "", f"the contract lists the values of `{name}`; {said(change)}"
        case Kind.RANGE_WIDENED:
            if bound_is_wider(asked.minimum, given.minimum, low=True) or bound_is_wider(
                asked.maximum, given.maximum, low=False
            ):
                return "", f"the contract limits `{name}`; {said(change)}"
        case Kind.FORMAT_REMOVED if asked.format and asked.format != given.format:
            return "", f"the contract asks for a format of `{name}`, which nobody promises now"
        case Kind.FORMAT_CHANGED | Kind.FORMAT_LOOSENED if asked.format and not includes(asked.format, given.format):
            return "", f"the contract asks for another format of `{name}`; {said(change)}"
        case Kind.UNIT_CHANGED if asked.unit and asked.unit != given.unit:
            return "", f"the contract takes `{name}` in {asked.unit}; it is in {given.unit or 'no unit'} now"
    return None


def _at(spot: Spot, why: str, change: Change) -> Evidence:
    return Evidence(spot.path, spot.line, spot.column, why, change.id)


def _spot(place: Place) -> Spot:
    return Spot(place.path, place.line, place.column)


def spelt(table: str) -> str:
    """`domain/table`, as people see it."""
    return table.replace(".", "/", 1)
