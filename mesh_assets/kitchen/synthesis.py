"""Synthetic rows for the sources of a mesh: as theirs are, key by key and share by share, and of nobody.

A row is put together of groups of columns, each group from another row of production, drawn by chance: columns that depend on
each other stay together. Keys, and columns whose values are shown to nobody, are invented; and where one table holds the keys
of another, it is given the invented ones.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise, permutations
from math import ceil
from typing import TYPE_CHECKING

from mesh_assets.audit.questions import fails
from mesh_assets.audit.scan import types_of
from mesh_assets.audit.values import NUMBERS, CannotAnswer, ColumnType, Family
from mesh_assets.catalog import Json, spelt
from mesh_assets.contract import Column, Kind, Severity, Test
from mesh_assets.domain import Table
from mesh_assets.environment import Environment, synthetic_file
from mesh_assets.errors import UsageError
from mesh_assets.kitchen import inventing
from mesh_assets.kitchen.opening import is_named
from mesh_assets.kitchen.place import Site
from mesh_assets.lake.sqltext import quoted, text

if TYPE_CHECKING:
    import duckdb

WHOLE = 500
"""A table of up to so many rows is reference data: all its rows are taken, and only what nobody may see is invented."""
READ = 500_000
"""So many rows of a table are looked at, or twice as many as are made."""
FEW = 40
KEY = 0.9
"""A column with so large a share of different values is a key, and its values are invented."""
LINKED = 0.05
"""So large a share of a column's different values among another table's keys are more than chance."""
SHORTEST = 4
ATTEMPTS = 20
_TIMES = (Family.DATE, Family.TIMESTAMP, Family.TIMESTAMPTZ)
_VALUES = frozenset(
    {Kind.PATTERN, Kind.FORMAT, Kind.MIN_LENGTH, Kind.MAX_LENGTH, Kind.INVALID_VALUES, Kind.MISSING_VALUES}
    | {Kind.MINIMUM, Kind.MAXIMUM, Kind.EXCLUSIVE_MINIMUM, Kind.EXCLUSIVE_MAXIMUM, Kind.MULTIPLE_OF}
)
"""Tests that a single value passes or not."""
_KEYS = frozenset({Kind.UNIQUE, Kind.PRIMARY_KEY, Kind.DUPLICATE_VALUES})


@dataclass(slots=True, kw_only=True)
class _Column:
    """One column of production's table, and what is done with it.

    Attributes:
        hidden: No real value may be in it.
        unique: By contract.
        given: Rows with a value, among those that are looked at.
        invented: Its values are made of chance; else they are real ones.
        choices: What the contract allows, where it lists that.
    """

    name: str
    type: ColumnType
    hidden: bool
    required: bool
    unique: bool
    given: int
    distinct: int
    invented: bool = False
    choices: tuple[str, ...] = ()

    @property
    def is_key(self) -> bool:
        """Whether its values tell rows apart."""
        return self.unique or (self.distinct > FEW and self.distinct >= KEY * self.given)


@dataclass(slots=True, kw_only=True)
class _Source:
    """One table of a source.

    Attributes:
        number: In the names of what is made for it.
        relation: Production's version.
        there: Its rows in production.
        read: Of them, how many are looked at.
        wanted: How many are made.
        columns: In order.
        groups: Columns with real values that come from one row.
        links: Columns that hold keys of other tables: to these, the most frequent first.
    """

    number: int
    table: Table
    relation: str
    there: int
    read: int
    wanted: int
    columns: Mapping[str, _Column]
    groups: Sequence[Sequence[str]] = ()
    links: dict[str, list[tuple["_Source", str]]] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether all its rows are taken."""
        return self.there <= WHOLE

    @property
    def base(self) -> str:
        """Production's rows that are looked at, in an order of chance, numbered in `_n`."""
        return f"base_{self.number}"

    def values(self, column: str) -> str:
        """Invented values of a column, by row `i`."""
        return f"values_{self.number}_{list(self.columns).index(column)}"

    def tests(self) -> Iterator[Test]:
        """What must hold, or the table is not published."""
        for test in self.table.contract.tests if self.table.contract else ():
            if test.severity is Severity.ERROR and not test.quarantines and {*test.columns} <= self.columns.keys():
                yield test


def make_up(source: Environment, site: Site) -> list[Json]:
    """Write synthetic rows of every source into a kitchen; the same for the same seed and the same rows in production.

    Returns:
        Each table, with how many rows were made, of how many, and whether it was taken whole.

    Raises:
        UsageError: A source was never published, or rows of it cannot be made: which column, and why.
    """
    source.sync()
    seen = source.seen()
    tables = [table for table in source.mesh.tables.values() if table.watched]
    for table in tables:
        if table.name not in seen:
            raise UsageError(
                f"{spelt(table.name)} was never published: there is nothing to make its rows of\n"
                f"    Build it first: mesh run {spelt(table.name)}"
            )
    if not tables:
        raise UsageError(
            "no domain loads a source, so that there is nothing to make rows of\n    Leave --synthetic out."
        )
    con = source.lake.connect(read_only=True)
    try:
        found = [
            _measured(con, source, site, number, table, source.lake.relation(table.name, seen[table.name].version))
            for number, table in enumerate(tables)
        ]
        for one in found:
            one.groups = _groups(con, one)
        for one in _linked(con, found):
            _make(con, site, one)
    finally:
        con.close()
    return [
        {"table": spelt(one.table.name), "rows": one.wanted, "of": one.there, "whole": one.whole}
        for one in sorted(found, key=lambda one: one.table.name)
    ]


# -- what is there ---------------------------------------------------------------------------------------------------------


def _measured(
    con: "duckdb.DuckDBPyConnection", source: Environment, site: Site, number: int, table: Table, relation: str
) -> _Source:
    types = types_of(con, relation)
    there = _one(con, f"SELECT count(*) FROM {relation}")
    wanted = there if there <= WHOLE else max(1, ceil(there * site.synthetic / 100))
    every = max(1, there // max(READ, 2 * wanted))
    names = ", ".join(f"r.{quoted(name)}" for name in types)
    con.execute(
        f"CREATE TABLE base_{number} AS SELECT * EXCLUDE (_h), row_number() OVER (ORDER BY _h) - 1 AS _n FROM "
        f"(SELECT *, hash({_words(site, table, 'order')}, {names}) AS _h FROM {relation} AS r) WHERE _h % {every} = 0"
    )
    figures = ", ".join(
        f"count({quoted(name)}), {f'count(DISTINCT {quoted(name)})' if type_.family is not Family.OTHER else '0'}"
        for name, type_ in types.items()
    )
    read, *counts = con.execute(f"SELECT count(*), {figures} FROM base_{number}").fetchone() or (0,)
    promised = {column.name: column for column in table.contract.columns} if table.contract else {}
    words = {word.casefold() for word in source.mesh.mask}
    columns = {}
    for (name, type_), given, distinct in zip(types.items(), counts[::2], counts[1::2], strict=True):
        promise = promised.get(name)
        columns[name] = _Column(
            name=name,
            type=type_,
            hidden=promise is not None and (promise.masked or is_named(promise, words)),
            required=promise is not None and promise.required,
            unique=_is_unique(table, promise),
            given=given,
            distinct=distinct,
        )
    made = _Source(
        number=number, table=table, relation=relation, there=there, read=read, wanted=min(wanted, read), columns=columns
    )
    for column in columns.values():
        column.choices = _choices(made, column.name)
        column.invented = column.hidden or (not made.whole and column.is_key and _can_be_invented(column))
        _refuse(made, column)
    return made


def _is_unique(table: Table, promise: Column | None) -> bool:
    if promise is None or table.contract is None:
        return False
    keys = [column.name for column in table.contract.columns if column.primary_key]
    return promise.unique or keys == [promise.name]


def _can_be_invented(column: _Column) -> bool:
    """A number or a day that differs in every row may be a measure: only what a contract calls a key is invented."""
    return column.type.family in (Family.TEXT, Family.UUID) or (column.type.family is Family.INTEGER and column.unique)


def _choices(source: _Source, name: str) -> tuple[str, ...]:
    for test in source.tests():
        listed = test.arguments.get("valid_values")
        if test.kind is Kind.INVALID_VALUES and test.columns == (name,) and isinstance(listed, list | tuple):
            return tuple(map(str, listed))
    return ()


def _refuse(source: _Source, column: _Column) -> None:
    known = (*NUMBERS, *_TIMES, Family.TEXT, Family.BOOLEAN, Family.UUID)
    if column.invented and column.type.family not in known and column.required:
        raise UsageError(
            f"column `{column.name}` of {spelt(source.table.name)} is {column.type.name}, for which no value can be invented\n"
            "    Take its classification away, or let it be empty."
        )


def _groups(con: "duckdb.DuckDBPyConnection", source: _Source) -> list[list[str]]:
    """Columns with real values that must come from one row: parts of a key, of one rule, one that decides another, order."""
    real = [name for name, column in source.columns.items() if not column.invented]
    if source.whole:
        return [real]
    group = {name: name for name in real}
    for names in (*_named_together(source, real), *_dependent(con, source, real)):
        for one, other in pairwise(names):
            old, new = group[other], group[one]
            group.update({name: new for name, of in group.items() if of == old})
    return [[name for name in real if group[name] == of] for of in dict.fromkeys(group.values())]


def _named_together(source: _Source, real: Sequence[str]) -> Iterator[list[str]]:
    """Columns of one test, also where they are only in its query."""
    for test in source.table.contract.tests if source.table.contract else ():
        words = {*re.findall(r"\w+", str(test.arguments.get("query", ""))), *test.columns}
        yield [name for name in real if name in words]


def _dependent(con: "duckdb.DuckDBPyConnection", source: _Source, real: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of which the first decides the second, or is never above it; slips are overlooked."""
    few = [source.columns[name] for name in real if source.columns[name].type.family is not Family.OTHER]
    asked = [
        (a.name, b.name, f"count(DISTINCT ({quoted(a.name)}, {quoted(b.name)})) <= 1.05 * {a.distinct}")
        for a, b in permutations(few, 2)
        if 1 < a.distinct <= a.given / 5 and b.distinct > 1
    ]
    for a, b in permutations(few, 2):
        if a.type.family is b.type.family and a.type.family in (*NUMBERS, *_TIMES) and a.given and b.given:
            one, other = quoted(a.name), quoted(b.name)
            # Two that do not overlap at all are in order whatever row they come from.
            holds = f"count(*) FILTER (WHERE {one} > {other}) * 100 < count(*) AND max({one}) > min({other})"
            asked.append((a.name, b.name, holds))
    if asked:
        row = con.execute(f"SELECT {', '.join(rule for _, _, rule in asked)} FROM {source.base}").fetchone() or ()
        yield from ((a, b) for (a, b, _), holds in zip(asked, row, strict=True) if holds)


def _linked(con: "duckdb.DuckDBPyConnection", sources: Sequence[_Source]) -> list[_Source]:
    """Find which columns hold the invented keys of other tables; the tables in the order in which they can be made."""
    con.execute("CREATE TABLE likened (source INTEGER, name VARCHAR, v VARCHAR)")
    kinds = (Family.TEXT, Family.UUID, Family.INTEGER)
    for source in sources:
        for column in source.columns.values():
            if column.type.family in kinds and column.distinct > 1 and (column.invented or not source.whole):
                value = inventing.likened(quoted(column.name))
                con.execute(
                    f"INSERT INTO likened SELECT DISTINCT {source.number}, {text(column.name)}, {value} "
                    f"FROM {source.relation} WHERE {quoted(column.name)} IS NOT NULL"
                )
    of = {source.number: source for source in sources}
    counted = con.execute("SELECT source, name, count(*) FROM likened GROUP BY ALL").fetchall()
    sizes = {(number, name): count for number, name, count in counted}
    shared = con.execute(
        "SELECT c.source, c.name, k.source, k.name, count(*) AS n FROM likened c JOIN likened k "
        f"ON k.v = c.v AND (k.source, k.name) <> (c.source, c.name) WHERE length(c.v) >= {SHORTEST} GROUP BY ALL ORDER BY n DESC, 1, 2, 3, 4"
    ).fetchall()
    declared = [
        (source, test.columns[0], other, str(columns[0]))
        for source in sources
        for test in (source.table.contract.tests if source.table.contract else ())
        for other in sources
        if test.kind is Kind.REFERENCE and test.arguments.get("to_table") == other.table.name and len(test.columns) == 1
        for columns in [test.arguments.get("to_columns")]
        if isinstance(columns, list | tuple) and columns[0] in other.columns and test.columns[0] in source.columns
    ]
    found = [
        (of[a], name, of[b], key)
        for a, name, b, key, count in shared
        if count >= LINKED * sizes[a, name] and _may_link(of[a], name, of[b], key)
    ]
    wanted = [*declared, *(link for link in found if link not in declared)]
    wanted = [
        link
        for link in wanted
        if link[2].columns[link[3]].invented and (link[2], link[3], link[0], link[1]) not in declared
    ]
    return _in_order(sources, wanted)


def _may_link(child: _Source, name: str, parent: _Source, key: str) -> bool:
    column, other = child.columns[name], parent.columns[key]
    if child is parent or not other.is_key or not other.invented:
        return False
    if other.type.family is Family.INTEGER or column.type.family is Family.INTEGER:
        # Small numbers are among the numbers of any key: it must be called so, too.
        return column.type.family is other.type.family and name in (
            key,
            f"{parent.table.short.removesuffix('s')}_{key}",
        )
    both = column.is_key and column.invented
    return not both or (parent.there, parent.number) < (child.there, child.number)


def _in_order(sources: Sequence[_Source], wanted: Iterable[tuple[_Source, str, _Source, str]]) -> list[_Source]:
    after: dict[int, set[int]] = {source.number: set() for source in sources}
    for child, name, parent, key in wanted:
        if child is not parent:
            tried = {**after, child.number: after[child.number] | {parent.number}}
            try:
                tuple(TopologicalSorter(tried).static_order())
            except CycleError:
                continue
            after = tried
        child.links.setdefault(name, []).append((parent, key))
    for source in sources:
        for name in source.links:
            source.groups = [[other for other in group if other != name] for group in source.groups]
    of = {source.number: source for source in sources}
    return [of[number] for number in TopologicalSorter(after).static_order()]


# -- what is made ----------------------------------------------------------------------------------------------------------


def _make(con: "duckdb.DuckDBPyConnection", site: Site, source: _Source) -> None:
    con.execute(f"CREATE TABLE rows_{source.number} AS SELECT range AS i FROM range({source.wanted})")
    own = [name for name, column in source.columns.items() if column.invented and name not in source.links]
    for name in own:
        _invent(con, site, source, source.columns[name], f"(r.i + {_offset(site, source, name)}) % {source.read}")
    if source.links:
        _link(con, site, source)
    file = synthetic_file(site.home, source.table.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    con.execute(f"COPY ({_assembled(site, source)}) TO {text(str(file))} (FORMAT parquet)")
    source.wanted = _one(con, f"SELECT count(*) FROM read_parquet({text(str(file))})")


def _invent(con: "duckdb.DuckDBPyConnection", site: Site, source: _Source, column: _Column, row: str) -> None:
    name, words = quoted(column.name), _words(site, source.table, column.name)
    joined = f"FROM rows_{source.number} r JOIN {source.base} b ON b._n = {row}"
    if column.type.family is Family.TEXT and not column.choices:
        con.execute(f"CREATE TABLE given AS SELECT r.i, b.{name} AS was, NULL::VARCHAR AS linked {joined}")
        _texts(con, site, source, column)
        return
    if source.read == column.distinct == 0:
        value = "NULL"
    elif column.choices:
        listed = ", ".join(map(text, column.choices))
        value = f"[{listed}][1 + ({inventing.chance('r.i', words)} % {len(column.choices)})::INTEGER]"
    elif column.type.family is Family.UUID:
        value = f"md5({words} || r.i)::UUID"
    elif column.unique and column.type.family is Family.INTEGER and column.given:
        value = _numbers(con, source, column, words)
    elif column.type.family is Family.BOOLEAN:
        value = f"{inventing.share('r.i', words)} < {_one(con, f'SELECT coalesce(avg({name}::INTEGER), 0) FROM {source.base}')}"
    elif column.type.family in (*NUMBERS, *_TIMES) and column.given:
        value = _measure(con, source, column, words)
    else:
        value = "NULL"
    con.execute(
        f"CREATE TABLE {source.values(column.name)} AS SELECT r.i, CASE WHEN b.{name} IS NOT NULL THEN "
        f"CAST({value} AS {column.type.name}) END AS value {joined}"
    )


def _numbers(con: "duckdb.DuckDBPyConnection", source: _Source, column: _Column, words: str) -> str:
    """Whole numbers, each once: of production's range, or above it where a real one may not be met."""
    least, most = con.execute(
        f"SELECT min({quoted(column.name)}), max({quoted(column.name)}) FROM {source.relation}"
    ).fetchone() or (0, 0)
    if column.hidden:
        least, most = most + 1, most + 1 + max(most - least, 2 * source.wanted)
        if most > column.type.high:
            raise _impossible(source, column, f"above its largest value, {column.type.name} has no room")
    return inventing.whole_between(least, most, "r.i", source.wanted, words)


def _measure(con: "duckdb.DuckDBPyConnection", source: _Source, column: _Column, words: str) -> str:
    name, is_time = quoted(column.name), column.type.family in _TIMES
    number = f"epoch({name}::TIMESTAMP)" if is_time else f"{name}::DOUBLE"
    marks = [place / 100 for place in range(1, 100, 7)]
    found = _one(con, f"SELECT quantile_cont({number}, {marks}) FROM {source.base} WHERE isfinite({number})") or [0, 0]
    value = inventing.between([float(mark) for mark in found], "r.i", words)
    return f"make_timestamp(({value} * 1000000)::BIGINT)" if is_time else value


def _texts(con: "duckdb.DuckDBPyConnection", site: Site, source: _Source, column: _Column) -> None:
    """Of `given`: the value linked to, else one of the form of `was`; again where it may not be, until all may be."""
    words, made = _words(site, source.table, column.name), source.values(column.name)
    _fixed(con, source, column)
    # Rows that share a real value share the invented one, which is made of its place among them, not of itself.
    same = "g.i" if column.is_key else f"dense_rank() OVER (ORDER BY {inventing.chance('g.was', words)}, g.was)"
    con.execute(
        f"CREATE TABLE formed AS SELECT g.i, {same} AS n, g.linked, f.form, f.fixed FROM given g LEFT JOIN "
        f"(SELECT DISTINCT was, {inventing.form('was')} AS form FROM given WHERE was IS NOT NULL) w ON w.was = g.was "
        "LEFT JOIN LATERAL (SELECT w.form AS form, (SELECT fixed FROM fixed x WHERE x.form = w.form) AS fixed) f ON true"
    )
    check = _check(con, source, column)
    con.execute(f"CREATE TABLE {made} (i BIGINT, value VARCHAR)")
    con.execute("CREATE TABLE bad AS SELECT i FROM formed")
    for attempt in range(ATTEMPTS):
        new = inventing.filled("form", "fixed", "n", str(attempt), words)
        if check is not None:
            new = f"list_transform([{new}], lambda v: {inventing.with_check('v', check)})[1]"
        value = f"coalesce(linked, {new})" if attempt == 0 else new
        con.execute(f"DELETE FROM {made} WHERE i IN (FROM bad)")
        # A form that no value of chance can fill, as of `Ng, Ann, MD`, is left for that of another row in the end.
        other = 0 if attempt < ATTEMPTS // 4 else attempt
        con.execute(
            f"INSERT INTO {made} SELECT i, CASE WHEN mine IS NOT NULL THEN {value} END FROM (SELECT f.i, f.n, f.linked, "
            "f.form AS mine, coalesce(o.form, f.form) AS form, CASE WHEN o.form IS NULL THEN f.fixed ELSE o.fixed END AS fixed "
            f"FROM formed f LEFT JOIN formed o ON o.i = (f.n + {other}) % {source.wanted} WHERE f.i IN (FROM bad))"
        )
        con.execute(f"CREATE OR REPLACE TABLE bad AS {_bad(source, column, made)}")
        left = _one(con, "SELECT count(*) FROM bad")
        if not left:
            break
    else:
        if _one(con, f"SELECT count(*) FROM ({_bad(source, column, made, only_tests=True)})"):
            raise _impossible(
                source, column, "of the forms that it has there are not enough values that its tests allow"
            )
    for table in ("given", "fixed", "formed", "bad"):
        con.execute(f"DROP TABLE {table}")


def _fixed(con: "duckdb.DuckDBPyConnection", source: _Source, column: _Column) -> None:
    """Characters that stand at a place of a form in all of many values, where there are up to three: `E-1` of `E-100001`."""
    name = quoted(column.name)
    con.execute(
        f"CREATE TABLE fixed AS WITH v AS (SELECT DISTINCT {name} AS v, {inventing.form(name)} AS form FROM {source.base} "
        f"WHERE {name} IS NOT NULL), s AS (SELECT v.* FROM v SEMI JOIN (SELECT form FROM v GROUP BY form HAVING count(*) >= 50) "
        "USING (form)), c AS (SELECT form, p, string_agg(DISTINCT v[p], '' ORDER BY v[p]) AS those "
        "FROM s, LATERAL (SELECT unnest(range(1, length(form) + 1)) AS p) GROUP BY ALL) "
        "SELECT form, list(CASE WHEN length(those) <= 3 THEN those ELSE '' END ORDER BY p) AS fixed FROM c GROUP BY form"
    )


def _check(con: "duckdb.DuckDBPyConnection", source: _Source, column: _Column) -> str | None:
    """What goes before the digits of a number with a check digit; None when most of its values have none."""
    name = quoted(column.name)
    digits = f"length(regexp_replace({name}, '[^0-9]', '', 'g')) >= 8 AND NOT regexp_matches({name}, '\\p{{L}}')"
    if not column.is_key and not column.hidden:
        return None
    for before in inventing.CHECKS.values():
        right = f"count(*) FILTER (WHERE {digits} AND {inventing.checks(name, before)})"
        if _one(con, f"SELECT {right} >= 0.8 * count({name}) AND count({name}) >= 20 FROM {source.base}"):
            return before
    return None


def _bad(source: _Source, column: _Column, made: str, *, only_tests: bool = False) -> str:
    """Rows whose invented value may not be: a test forbids it, or it is somebody's."""
    parts = [f"SELECT i FROM {made} WHERE false"]
    types = {column.name: column.type}
    for test in source.tests():
        if test.kind in _VALUES and test.columns == (column.name,):
            try:
                condition = fails(test, types)
            except CannotAnswer:
                continue
            parts.append(f"SELECT i FROM (SELECT i, value AS {quoted(column.name)} FROM {made}) WHERE {condition}")
    if column.unique or (column.is_key and not only_tests):
        parts.append(
            f"SELECT i FROM {made} WHERE value IS NOT NULL QUALIFY row_number() OVER (PARTITION BY value ORDER BY i) > 1"
        )
    if (column.hidden or column.is_key) and not only_tests:
        parts.append(
            f"SELECT i FROM {made} SEMI JOIN (SELECT {quoted(column.name)} AS value FROM {source.relation}) USING (value)"
        )
    return " UNION ".join(parts)


def _link(con: "duckdb.DuckDBPyConnection", site: Site, source: _Source) -> None:
    """Give columns the keys of other tables' invented rows: as large a share of them, and as unevenly, as in production."""
    n, row = source.number, f"(r.i + {_offset(site, source, 'links')}) % {source.read}"
    keys = [(name, parent, key) for name, links in source.links.items() for parent, key in links]
    columns, joins = [], []
    for place, (name, parent, key) in enumerate(keys):
        columns.append(f"k{place}.v IS NOT NULL AS m{place}")
        joins.append(
            f"LEFT JOIN likened k{place} ON k{place}.source = {parent.number} AND k{place}.name = {text(key)} "
            f"AND k{place}.v = {inventing.likened('b.' + quoted(name))}"
        )
    con.execute(
        f"CREATE TABLE matched AS SELECT r.i, {', '.join(columns)} FROM rows_{n} r JOIN {source.base} b ON b._n = {row} {' '.join(joins)}"
    )
    parents: dict[int, list[int]] = defaultdict(list)
    for place, (_, parent, _) in enumerate(keys):
        parents[parent.number].append(place)
    chosen = []
    for number, places in parents.items():
        any_ = " OR ".join(f"m{place}" for place in places)
        name, parent, key = keys[places[0]]
        words = _words(site, source.table, f"{number}")
        if any(source.columns[keys[place][0]].is_key for place in places):
            among = f"row_number() OVER (PARTITION BY {any_} ORDER BY {inventing.chance('i', words)}) - 1"
            chosen.append(f"CASE WHEN {any_} THEN nullif({among}, -1) END AS a{number}")
        else:
            curve = _unevenness(con, source, name, parent, key)
            step = f"{inventing.share('i', words)} * {len(curve) - 1}"
            listed = f"[{', '.join(f'{point!r}::DOUBLE' for point in curve)}]"
            low, high = f"{listed}[floor({step})::INTEGER + 1]", f"{listed}[floor({step})::INTEGER + 2]"
            at = f"({low} + ({step} - floor({step})) * ({high} - {low}))"
            chosen.append(
                f"CASE WHEN {any_} THEN least({parent.wanted - 1}, floor({at} * {parent.wanted}))::BIGINT END AS a{number}"
            )
    con.execute(f"CREATE TABLE chosen AS SELECT *, {', '.join(chosen)} FROM matched")
    for name in source.links:
        places = [place for place, key in enumerate(keys) if key[0] == name]
        joins = [
            f"LEFT JOIN {keys[place][1].values(keys[place][2])} p{place} ON c.m{place} AND p{place}.i = c.a{keys[place][1].number}"
            for place in places
        ]
        first = f"coalesce({', '.join(f'p{place}.value::VARCHAR' for place in places)})"
        column = source.columns[name]
        con.execute(
            f"CREATE TABLE given AS SELECT c.i, b.{quoted(name)}::VARCHAR AS was, {first} AS linked FROM chosen c "
            f"JOIN {source.base} b ON b._n = (c.i + {_offset(site, source, 'links')}) % {source.read} {' '.join(joins)}"
        )
        if column.type.family is Family.TEXT:
            written = inventing.poured("linked", inventing.form("was"))
            con.execute(f"CREATE OR REPLACE TABLE given AS SELECT i, was, {written} AS linked FROM given")
            _texts(con, site, source, column)
        else:  # a key that is in no other table has nothing to be invented of
            con.execute(
                f"CREATE TABLE {source.values(name)} AS SELECT i, CASE WHEN was IS NOT NULL THEN "
                f"TRY_CAST(linked AS {column.type.name}) END AS value FROM given"
            )
            con.execute("DROP TABLE given")
    con.execute("DROP TABLE matched")
    con.execute("DROP TABLE chosen")


def _unevenness(
    con: "duckdb.DuckDBPyConnection", source: _Source, name: str, parent: _Source, key: str
) -> Sequence[float]:
    """Up to which share of the other table's keys, the most frequent first, each hundredth of the rows reaches."""
    value = inventing.likened(quoted(name))
    known = f"(SELECT v FROM likened WHERE source = {parent.number} AND name = {text(key)})"
    found = con.execute(
        f"WITH n AS (SELECT count(*) AS n, v FROM (SELECT {value} AS v FROM {source.base}) SEMI JOIN {known} USING (v) GROUP BY v), "
        f"c AS (SELECT sum(n) OVER (ORDER BY n DESC, v ROWS UNBOUNDED PRECEDING) / sum(n) OVER () AS upto, "
        f"row_number() OVER (ORDER BY n DESC, v) / (SELECT count(*) FROM {known}) AS place FROM n) "
        "SELECT min(place) FILTER (WHERE upto >= h / 100 - 1e-9) FROM c, range(1, 101) t(h) GROUP BY h ORDER BY h"
    ).fetchall()
    return [0.0, *(float(place) for (place,) in found)] if found else [0.0, 1.0]


def _assembled(site: Site, source: _Source) -> str:
    """All rows: groups of real values, each from rows of its own, and what was invented."""
    joins, of = [], {}
    for place, group in enumerate(source.groups):
        if group:
            at = 0 if source.whole else _offset(site, source, f"group {group[0]}")
            joins.append(f"JOIN {source.base} g{place} ON g{place}._n = (r.i + {at}) % {source.read}")
            of.update({name: f"g{place}.{quoted(name)}" for name in group})
    for place, name in enumerate(name for name in source.columns if name not in of):
        joins.append(f"LEFT JOIN {source.values(name)} v{place} ON v{place}.i = r.i")
        of[name] = f"v{place}.value"
    columns = ", ".join(
        f"CAST({of[name]} AS {column.type.name}) AS {quoted(name)}"
        if name not in _real(source)
        else f"{of[name]} AS {quoted(name)}"
        for name, column in source.columns.items()
    )
    query = f"SELECT r.i AS _i, {columns} FROM rows_{source.number} r {' '.join(joins)}"
    keys = {test.columns for test in source.tests() if test.kind in _KEYS and test.columns}
    for key in sorted(keys):
        names = ", ".join(map(quoted, key))
        full = " OR ".join(f"{quoted(name)} IS NULL" for name in key)
        query = f"SELECT * FROM ({query}) QUALIFY {full} OR row_number() OVER (PARTITION BY {names} ORDER BY _i) = 1"
    return f"SELECT * EXCLUDE (_i) FROM ({query}) ORDER BY _i"


def _real(source: _Source) -> set[str]:
    return {name for group in source.groups for name in group}


def _offset(site: Site, source: _Source, of: str) -> int:
    """From where on rows are drawn: they stand in an order of chance."""
    told = f"{site.seed} {source.table.name} {of}".encode()
    return int.from_bytes(hashlib.sha256(told).digest()[:6]) % max(1, source.read)


def _words(site: Site, table: Table, of: str) -> str:
    return text(f"{site.seed} {table.name} {of}")


def _impossible(source: _Source, column: _Column, why: str) -> UsageError:
    return UsageError(
        f"synthetic rows of {spelt(source.table.name)} cannot be made: column `{column.name}`: {why}\n"
        "    Take fewer rows (--synthetic), or see what its contract asks for."
    )


def _one(con: "duckdb.DuckDBPyConnection", query: str):  # noqa: ANN202 - whatever it asks for
    return (con.execute(query).fetchone() or (None,))[0]
