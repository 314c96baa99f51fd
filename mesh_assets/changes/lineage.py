"""Who reads which column of what, where that is written, and how we know it.

SQL and dbt are read with sqlglot, over the real columns of the inputs. A column that only a `*` brings along counts where
somebody uses it, or where it comes out at the end. What cannot be resolved is `assumed`, which is: everything is read.
"""

import hashlib
import json
import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from mesh_assets.changes.byplace import places_taken
from mesh_assets.changes.texts import CTE, Text, text_of
from mesh_assets.domain import Mesh, Table, Toolchain

with warnings.catch_warnings():  # see reading/sqlread.py
    warnings.simplefilter("ignore", DeprecationWarning)
    from sqlglot import exp, parse
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.annotate_types import annotate_types
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import Scope, traverse_scope
    from sqlglot.schema import MappingSchema

logging.getLogger("sqlglot").setLevel(logging.ERROR)

VERSION = 5
"""Of what is kept on disk: a newer resolver begins anew."""
Columns = Mapping[str, tuple[tuple[str, str], ...]]
"""(name, type) of every column, by `domain.table`."""
LEFT_OUT = "left_out"
"""Where a SELECT of the tree keeps what its `*` leaves out."""
Source = tuple[str, str]
"""A table and one of its columns, in small letters."""


class Over(Mapping[str, tuple[tuple[str, str], ...]]):
    """Some tables' columns over those of others, which are not looked up before they are asked for."""

    def __init__(self, new: Columns, under: Columns) -> None:
        self.new, self.under = dict(new), under

    def __getitem__(self, name: str) -> tuple[tuple[str, str], ...]:
        return self.new[name] if name in self.new else self.under[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self.new, *self.under]))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Known(StrEnum):
    """How an edge is known."""

    PROVEN = "proven"  # resolved in the reader's own SQL
    DECLARED = "declared"  # `columns=`, and the reader is given nothing else
    ASSUMED = "assumed"  # nothing is known: it counts as if everything were read


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a column is written. Lines and columns count from 1."""

    path: str
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What one table reads of one input.

    Attributes:
        columns: In small letters, with where each is written first; when `assumed`, nothing is listed and everything counts.
        starred: Columns that a `*` takes along to the end, among `columns`.
        places: How many columns, from the first on, are taken by their place, whatever their names; None: it is not known.
    """

    table: str
    known: Known
    columns: Mapping[str, Spot] = field(default_factory=dict)
    starred: frozenset[str] = frozenset()
    places: int | None = None

    def reads(self, column: str) -> bool:
        """Whether a column is read, or may be."""
        return self.known is Known.ASSUMED or column.lower() in self.columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What one table reads.

    Attributes:
        uses: By input, each of the table's inputs.
        outputs: What each output column is made of, by name in small letters; empty where it is not known.
        copies: Output columns that are an input's column as it is: name to (table, column).
        where: The table's own place, for what has no better one.
        why: Why it is assumed, where it is.
    """

    uses: Mapping[str, Use]
    outputs: Mapping[str, frozenset[Source]] = field(default_factory=dict)
    copies: Mapping[str, Source] = field(default_factory=dict)
    where: Spot = Spot("", 1, 1)
    why: str = ""


class Unresolved(Exception):  # noqa: N818 - never leaves this package
    """SQL whose columns cannot be followed."""


def lineage(mesh: Mesh, table: Table, columns: Columns, cache: Path | None = None) -> Lineage:
    """What a table reads of each input.

    Args:
        columns: Those of its inputs, and its own where it reads itself. An input that is not in it is assumed.
        cache: A folder in which what was found is kept, by a hash of the text and the columns.
    """
    where = Spot(table.where.path, table.where.line, table.where.column)
    if table.toolchain is Toolchain.PYTHON:
        return _python(table, where)
    text = text_of(mesh, table) if not table.watched else None
    if text is None:
        why = "its SQL is known to dbt alone" if table.toolchain is Toolchain.DBT else ""
        return _assumed(table, where, why)
    missing = [name for name in table.inputs if name not in columns]
    if missing:
        return _assumed(table, where, f"the columns of {', '.join(missing)} are not known")
    known = {name: columns[name] for name in (*table.inputs, table.name) if name in columns}
    resolved, places = _kept(cache, text, table, known)
    found = resolved if resolved is not None else _assumed(table, where, "sqlglot cannot follow its SQL")
    return replace(found, uses={name: replace(use, places=places.get(name)) for name, use in found.uses.items()})


def expressions(mesh: Mesh, table: Table, columns: Columns) -> dict[str, str]:
    """What each output column is, in one spelling, by name in small letters; of a union what its first query says.

    A column that is an input's as it is, however many queries lie between, is spelt as that. Empty where there is no SQL, or
    sqlglot cannot follow it.
    """
    text = text_of(mesh, table) if not table.watched else None
    if text is None or any(name not in columns for name in table.inputs):
        return {}
    copies = lineage(mesh, table, columns).copies
    known = {name: columns[name] for name in table.inputs}
    try:
        scopes = traverse_scope(_qualified(parsed(text.sql), known, table))
    except (Unresolved, SqlglotError):
        scopes = []
    found = {}
    first = scopes[-1].expression if scopes else None
    while isinstance(first, exp.SetOperation):
        first = first.left
    for scope in scopes:
        if scope.expression is first:
            for column in scope.columns:  # an alias of a table is a matter of taste
                if isinstance(source := scope.sources.get(column.table), exp.Table):
                    column.set("table", exp.to_identifier(f"{source.db}.{source.name}"))
            items = getattr(first, "selects", ())
            found = {item.alias_or_name.lower(): item.unalias().sql("duckdb") for item in items}
    return found | {name: ".".join(source) for name, source in copies.items()}


def typed(text: Text, table: Table, columns: Columns) -> exp.Expr:
    """The tree of a text, its parts put in as CTEs, every column with its table and every expression with its type where that is known.

    Args:
        columns: Of its inputs, with their types.

    Raises:
        Unresolved: sqlglot cannot follow it.
    """
    tree = parsed(text.sql)
    if not isinstance(tree, exp.Query):
        raise Unresolved("no query")
    inner = [(name, parsed(part.sql)) for name, part in text.parts.items()]
    if inner:
        own = tree.args.get("with_")
        parts = [
            exp.CTE(this=query, alias=exp.TableAlias(this=exp.to_identifier(f"{CTE}{name}"))) for name, query in inner
        ]
        tree.set("with_", exp.With(expressions=[*parts, *(own.expressions if own else ())]))
        for node in tree.find_all(exp.Table):
            if node.db == CTE:
                node.set("db", None)
                if not node.alias:
                    node.set("alias", exp.TableAlias(this=exp.to_identifier(node.name)))
                node.set("this", exp.to_identifier(f"{CTE}{node.name}"))
    tree = _qualified(tree, columns, table)
    try:
        return annotate_types(tree, schema=_schema(columns), dialect="duckdb")
    except (SqlglotError, ValueError, RecursionError, AttributeError, KeyError, TypeError, IndexError) as error:
        raise Unresolved(str(error)) from None


def _schema(columns: Columns, kind: str = "") -> MappingSchema:
    """Tables and their columns, in small letters, each of its type or all of one."""
    schema: dict[str, Any] = {}
    for name, found in columns.items():
        domain, _, short = name.partition(".")
        schema.setdefault(domain.lower(), {})[short.lower()] = {
            column.lower(): kind or type_ for column, type_ in found
        }
    return MappingSchema(schema, dialect="duckdb", normalize=False)


def _python(table: Table, where: Spot) -> Lineage:
    uses = {
        name: Use(table=name, known=Known.DECLARED, columns=_written(table, table.columns[name], where), places=0)
        if name in table.columns
        else Use(table=name, known=Known.ASSUMED)
        for name in table.inputs
    }
    return Lineage(
        uses=uses, where=where, why="" if set(table.columns) >= set(table.inputs) else "it has no `columns=`"
    )


def _written(table: Table, columns: Iterable[str], where: Spot) -> dict[str, Spot]:
    """Where a function's columns are written, from its decorator on; else its own place."""
    try:
        lines = table.path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {column.lower(): where for column in columns}
    found = {}
    for column in columns:
        spots = (
            Spot(where.path, number, hit.start() + 1)
            for number, line in enumerate(lines, 1)
            if number >= where.line and (hit := _word(column).search(line))
        )
        found[column.lower()] = next(spots, where)
    return found


def mentioned(text: Text, table: str) -> Spot:
    """Where a text names a table first."""
    return _nearest(text.path, text.source.splitlines(), table.partition(".")[2], 1)


def _assumed(table: Table, where: Spot, why: str) -> Lineage:
    return Lineage(uses={name: Use(table=name, known=Known.ASSUMED) for name in table.inputs}, where=where, why=why)


# -- kept by content -------------------------------------------------------------------------------------------------------


def _kept(cache: Path | None, text: Text, table: Table, columns: Columns) -> tuple[Lineage | None, Mapping[str, int]]:
    """The lineage, None where it cannot be followed; and what is taken by place of each input, none where it cannot be parsed."""
    told = [VERSION, table.name, list(table.inputs), _told(text), sorted((k, v) for k, v in columns.items())]
    key = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]
    path = cache / key[:2] / f"{key}.json" if cache else None
    if path is not None:
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            return _from_json(kept["lineage"]), dict(kept["places"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # not there, or cut off: found anew
    found, places = None, {}
    try:
        trees, parts = _trees(text)
        names = {column.lower() for one in columns.values() for column, _ in one}
        places = {name: places_taken(trees, parts, table.domain, name, names) for name in table.inputs}
        found = _resolved(text, table, columns, trees, parts)
    except Unresolved:
        pass
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"lineage": _to_json(found), "places": places}), encoding="utf-8")
        except OSError:
            pass  # a home that cannot be written to only costs time
    return found, places


def _trees(text: Text) -> tuple[list[exp.Expr], dict[str, exp.Expr]]:
    """Of the text, and where it has another when it is there already, of that; of its parts by name."""
    trees = [parsed(sql) for sql in (text.sql, text.incremental) if sql]
    return trees, {f"{CTE}.{name}": parsed(part.sql) for name, part in text.parts.items()}


def _told(text: Text) -> list[object]:
    return [text.sql, text.incremental, text.path, [[name, _told(part)] for name, part in text.parts.items()]]


def _to_json(found: Lineage | None) -> dict[str, object] | None:
    if found is None:
        return None
    return {
        "uses": [
            [u.table, u.known, [[c, s.path, s.line, s.column] for c, s in u.columns.items()], sorted(u.starred)]
            for u in found.uses.values()
        ],
        "outputs": [[name, sorted(sources)] for name, sources in found.outputs.items()],
        "copies": [[name, *source] for name, source in found.copies.items()],
        "where": [found.where.path, found.where.line, found.where.column],
    }


def _from_json(told: dict | None) -> Lineage | None:
    if told is None:
        return None
    uses = {
        table: Use(
            table=table,
            known=Known(known),
            columns={c: Spot(path, line, at) for c, path, line, at in columns},
            starred=frozenset(starred),
        )
        for table, known, columns, starred in told["uses"]
    }
    return Lineage(
        uses=uses,
        outputs={name: frozenset((t, c) for t, c in sources) for name, sources in told["outputs"]},
        copies={name: (t, c) for name, t, c in told["copies"]},
        where=Spot(*told["where"]),
    )


# -- resolved --------------------------------------------------------------------------------------------------------------


def _resolved(
    text: Text, table: Table, columns: Columns, trees: Sequence[exp.Expr], trees_of_parts: Mapping[str, exp.Expr]
) -> Lineage:
    """The lineage of a text and its parts.

    Raises:
        Unresolved: sqlglot cannot parse it, or cannot tell whose a column is.
    """
    known = dict(columns)
    parts: dict[str, _Query] = {}
    for name, part in text.parts.items():
        query = _query(part, known, table, trees_of_parts[f"{CTE}.{name}"])
        parts[f"{CTE}.{name}"] = query
        known[f"{CTE}.{name}"] = tuple((column, "VARCHAR") for column in query.outputs)
    whole = _query(text, known, table, trees[0])
    queries = [whole]
    if text.incremental:
        queries.append(_query(_with_sql(text, text.incremental), known, table, trees[1]))
    return Lineage(
        uses=_uses(table, queries, parts),
        outputs={column: _through(sources, parts) for column, sources in whole.outputs.items()},
        copies={column: found for column, source in whole.copies.items() if (found := _copied(source, parts))},
        where=Spot(text.path, 1, 1),
    )


def _uses(table: Table, queries: "list[_Query]", parts: "Mapping[str, _Query]") -> dict[str, Use]:
    """What is read of each input, followed through the parts."""
    found: dict[str, dict[str, Spot]] = {name: {} for name in table.inputs}
    starred: dict[str, set[str]] = {name: set() for name in table.inputs}
    todo = [(source, spot, False) for query in (*queries, *parts.values()) for source, spot in query.explicit.items()]
    todo += [(source, query.star, True) for query in queries for source in sorted(query.starred)]
    seen: set[tuple[Source, bool]] = set()
    while todo:
        source, spot, star = todo.pop(0)
        name, column = source
        if name in parts and (source, star) not in seen:
            seen.add((source, star))
            inner = parts[name]
            made = sorted(inner.outputs.get(column, frozenset()))
            todo += [(each, inner.explicit.get(each, spot), star and each in inner.passed) for each in made]
        elif name in found:
            found[name].setdefault(column, spot)
            if star:
                starred[name].add(column)
    return {
        name: Use(table=name, known=Known.PROVEN, columns=columns, starred=frozenset(starred[name]))
        for name, columns in found.items()
    }


def _with_sql(text: Text, sql: str) -> Text:
    return Text(sql=sql, path=text.path, source=text.source, parts=text.parts)


def _through(sources: Iterable[Source], parts: Mapping[str, "_Query"]) -> frozenset[Source]:
    found: set[Source] = set()
    for name, column in sources:
        if name in parts:
            found |= _through(parts[name].outputs.get(column, frozenset()), parts)
        else:
            found.add((name, column))
    return frozenset(found)


def _copied(source: Source, parts: Mapping[str, "_Query"]) -> Source | None:
    while source[0] in parts:
        inner = parts[source[0]].copies.get(source[1])
        if inner is None:
            return None
        source = inner
    return source


@dataclass(eq=False)
class _Query:
    """One SELECT, resolved.

    Attributes:
        explicit: Columns of tables that somebody has written, or that something written is made of.
        starred: Columns of tables that only a `*` takes to the output.
        passed: The same, and those that are written as they are.
        star: Where the first `*` stands.
    """

    outputs: dict[str, frozenset[Source]] = field(default_factory=dict)
    copies: dict[str, Source] = field(default_factory=dict)
    explicit: dict[Source, Spot] = field(default_factory=dict)
    starred: set[Source] = field(default_factory=set)
    passed: set[Source] = field(default_factory=set)
    star: Spot = Spot("", 1, 1)


def _query(text: Text, columns: Columns, table: Table, tree: exp.Expr) -> _Query:
    pivoted = _pivoted(tree)
    if not pivoted:
        return _Resolver(_qualified(tree, columns, table), text, columns, table).run()
    whole = _Query()
    for (
        source
    ) in pivoted:  # what goes in is read, every column of it; what comes out is made of values, and not followed
        found = _Resolver(_qualified(source, columns, table), text, columns, table).run()
        whole.explicit |= found.explicit
        for sources in found.outputs.values():
            whole.explicit |= {one: found.explicit.get(one, found.star) for one in sources}
    return whole


def parsed(sql: str) -> exp.Expr:
    """The tree of one statement.

    Raises:
        Unresolved: sqlglot cannot parse it, or there are several.
    """
    try:
        (tree,) = [statement for statement in parse(sql, read="duckdb") if statement is not None]
    except (SqlglotError, ValueError, RecursionError) as error:
        raise Unresolved(str(error)) from None
    return tree


def _pivoted(tree: exp.Expr) -> list[exp.Expr]:
    """The queries that DuckDB's PIVOT and UNPIVOT turn, with the CTEs that they may read; none where nothing is turned.

    Raises:
        Unresolved: They are in another form, or tables are read beside them.
    """
    pivots = list(tree.find_all(exp.Pivot))
    found = []
    for pivot in pivots:
        query = pivot.this.this if isinstance(pivot.this, exp.Subquery) else None
        if not isinstance(query, exp.Select) or query.is_star or query.find(exp.Pivot) or pivot.find_ancestor(exp.CTE):
            raise Unresolved("it pivots a whole table, so that a new column would change what comes out")
        query = query.copy()
        if tree.args.get("with_") and not query.args.get("with_"):
            query.set("with_", tree.args["with_"].copy())
        found.append(query)
    if pivots and any(not node.find_ancestor(exp.Pivot, exp.CTE) for node in tree.find_all(exp.Table)):
        raise Unresolved("it reads other tables beside what it pivots")
    return found


def _qualified(tree: exp.Expr, columns: Columns, table: Table) -> exp.Expr:
    try:
        tree = _placed(tree, table, columns)
        return qualify(
            tree,
            schema=_schema(columns, "VARCHAR"),
            dialect="duckdb",
            validate_qualify_columns=False,
            quote_identifiers=False,
            identify=False,
        )
    except (SqlglotError, ValueError, RecursionError, AttributeError, KeyError, TypeError, IndexError) as error:
        raise Unresolved(str(error)) from None


def _placed(tree: exp.Expr, table: Table, columns: Columns) -> exp.Expr:
    """Every real table with its domain, all names in small letters as DuckDB folds them, and a `*` that can be expanded."""
    if any(isinstance(node, exp.Pivot | exp.Columns | exp.PositionalColumn) for node in tree.walk()):
        raise Unresolved("it pivots, or takes columns by a pattern or by their number")
    for node in tree.find_all(exp.Identifier):
        node.set("this", node.this.lower())
    for select in tree.find_all(exp.Select):  # a `*` is expanded to what is left, and forgets what it leaves out
        select.meta[LEFT_OUT] = list(_left_out(select))
    hidden = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    for node in tree.find_all(exp.Table):
        if not isinstance(node.this, exp.Identifier):
            continue
        if not node.db and node.name not in hidden:
            if node.name == "this":
                domain, _, short = table.name.partition(".")
                if not node.alias:
                    node.set("alias", exp.TableAlias(this=exp.to_identifier("this")))
                node.set("this", exp.to_identifier(short))
            else:
                domain = table.domain
            node.set("db", exp.to_identifier(domain))
        if node.db and f"{node.db}.{node.name}" not in {name.lower() for name in columns}:
            raise Unresolved(f"{node.db}.{node.name} is no input")
    _name(tree, columns)
    return tree


def _name(tree: exp.Expr, columns: Columns) -> None:
    """Put a query in the place of every table whose columns are given names."""
    lowered = {name.lower(): [column.lower() for column, _ in found] for name, found in columns.items()}
    for node in list(tree.find_all(exp.Table)):
        alias = node.args.get("alias")
        if node.db and alias is not None and alias.columns:
            node.replace(_named(node, alias, lowered[f"{node.db}.{node.name}"]))


def _named(table: exp.Table, alias: exp.TableAlias, columns: Sequence[str]) -> exp.Subquery:
    """A table of whose columns the first are given names: `t(a, b)` says no more than a query that names them so."""
    names = [name.name for name in alias.columns] + list(columns[len(alias.columns) :])
    items = [
        exp.alias_(exp.column(exp.to_identifier(old)), exp.to_identifier(new))
        if old != new
        else exp.column(exp.to_identifier(old))
        for old, new in zip(columns, names, strict=True)
    ]
    bare = exp.Table(this=table.this.copy(), db=table.args["db"].copy())
    return exp.Subquery(this=exp.Select(expressions=items).from_(bare), alias=exp.TableAlias(this=alias.this.copy()))


def _left_out(select: exp.Select) -> Iterator[exp.Column]:
    """Columns that `* exclude (…)` and `* rename (…)` name, with the table that stands before the `*`: they should be there."""
    for item in select.expressions:
        star = item.this if isinstance(item, exp.Column) else item
        if isinstance(star, exp.Star):
            names = [*(star.args.get("except_") or star.args.get("except") or ())]
            names += [one.this for one in star.args.get("rename") or ()]
            for name in names:
                yield exp.Column(this=name.this if isinstance(name, exp.Column) else name, table=item.args.get("table"))


class _Resolver:
    def __init__(self, tree: exp.Expr, text: Text, columns: Columns, table: Table) -> None:
        self.tree, self.text, self.columns, self.table = tree, text, columns, table
        self.known = {name.lower(): {column.lower() for column, _ in found} for name, found in columns.items()}
        self.names = {name.lower(): name for name in columns}
        self.scopes: list[Scope] = []
        self.lines = text.source.splitlines()
        self.query = _Query()
        self.busy: set[tuple[int, str]] = set()
        self.memo: dict[tuple[int, str], frozenset[Source]] = {}

    def run(self) -> _Query:
        try:
            self.scopes = list(traverse_scope(self.tree))
        except (SqlglotError, RecursionError, ValueError, AttributeError) as error:
            raise Unresolved(str(error)) from None
        if not self.scopes:
            raise Unresolved("no query")
        self.query.star = self._star()
        for scope in self.scopes:
            for column in scope.columns:
                self._column(scope, column)
            for column in scope.expression.meta.get(LEFT_OUT, ()):
                names = [column.table] if column.table else list(scope.sources)
                found = [self._named(scope, name, column) for name in names]
                if not any(found):
                    raise Unresolved(f"`{column.name}` of a `*` is not there")
        self._outputs(self.scopes[-1])
        return self.query

    def _star(self) -> Spot:
        for number, line in enumerate(self.lines, 1):
            at = line.partition("--")[0].find("*")
            if at >= 0:
                return Spot(self.text.path, number, at + 1)
        return Spot(self.text.path, 1, 1)

    def _column(self, scope: Scope, column: exp.Column) -> None:
        """Take a written column to the tables behind it; one that a `*` made is left to whoever uses it."""
        if self._is_starred(scope, column):
            return
        spot = self._spot(column)
        for source in self._sources(scope, column):
            self.query.explicit.setdefault(source, spot)

    def _named(self, scope: Scope, name: str, column: exp.Column) -> bool:
        """Take a column that is left out of a `*` for written, where that source has it; whether it has."""
        try:
            found = self._of(scope.sources.get(name), column.name)
        except Unresolved:
            return False
        for source in found:
            self.query.explicit.setdefault(source, self._spot(column))
        return True

    @staticmethod
    def _is_starred(scope: Scope, column: exp.Column) -> bool:
        """Only a `*` makes a projection that has no place in the text."""
        if "start" in column.this.meta or not isinstance(scope.expression, exp.Select):
            return False
        node: exp.Expr = column
        while isinstance(node.parent, exp.Alias | exp.Coalesce):
            node = node.parent
        if "start" in node.meta or (isinstance(node, exp.Alias) and "start" in (node.args["alias"].meta or {})):
            return False
        return node.parent is scope.expression and node.arg_key == "expressions"

    def _sources(self, scope: Scope, column: exp.Column) -> frozenset[Source]:
        """The columns of tables that a column is made of.

        Raises:
            Unresolved: It cannot be told whose it is.
        """
        if isinstance(column.this, exp.Star):
            raise Unresolved("a * that cannot be expanded")
        name = column.table
        if not name:
            return self._bare(scope, column)
        source = scope.sources.get(name)
        if source is None:
            for other in self.scopes:  # a correlated subquery: the outer query knows it
                if name in other.sources:
                    source = other.sources[name]
                    break
        if source is None:
            raise Unresolved(f"{name}.{column.name}")
        return self._of(source, column.name)

    def _bare(self, scope: Scope, column: exp.Column) -> frozenset[Source]:
        """A name without a table: an alias of the same SELECT, a lambda's parameter; else nobody knows."""
        select = scope.expression
        if isinstance(select, exp.Select) and column.name in {item.alias_or_name for item in select.expressions}:
            return frozenset()  # what the alias stands for is written, and counted, by itself
        parent = column.find_ancestor(exp.Lambda)
        if parent is not None and column.name in {item.name for item in parent.expressions}:
            return frozenset()
        raise Unresolved(column.name)

    def _of(self, source: exp.Table | Scope | object, column: str) -> frozenset[Source]:
        if isinstance(source, exp.Table):
            if not isinstance(source.this, exp.Identifier):
                return frozenset()  # rows made of nothing: range(), unnest()
            table = f"{source.db}.{source.name}"
            if column not in self.known.get(table, ()):
                if not source.db:
                    return frozenset()
                raise Unresolved(f"{table}.{column}")
            return frozenset({(self.names[table], column)})
        if isinstance(source, Scope):
            return self._of_scope(source, column)
        return frozenset()

    def _of_scope(self, scope: Scope, column: str) -> frozenset[Source]:
        key = (id(scope), column)
        if key in self.memo:
            return self.memo[key]
        if key in self.busy:  # a recursive one: what it adds is counted by the others
            return frozenset()
        self.busy.add(key)
        try:
            found: frozenset[Source] = frozenset()
            for inner, item in self._items(scope, column):
                for each in self._columns_in(item):
                    found |= self._sources(inner, each)
        finally:
            self.busy.discard(key)
        self.memo[key] = found
        return found

    def _items(self, scope: Scope, column: str) -> Iterator[tuple[Scope, exp.Expr]]:
        """What a column of a subquery is, in each SELECT of it."""
        if scope.set_operation_scopes:
            index = self._position(scope, column)
            by_name = bool(scope.expression.args.get("by_name"))
            for part in scope.set_operation_scopes:
                names = self._names(part)
                wanted = column if by_name else names[index] if index is not None and index < len(names) else None
                if wanted is not None and wanted in names:
                    yield from self._items(part, wanted)
            return
        select = scope.expression
        if isinstance(select, exp.Subquery):
            select = select.unnest()
        if not isinstance(select, exp.Select):
            return  # UNNEST, VALUES, a table function
        renamed = self._renamed(scope)
        for number, item in enumerate(select.expressions):
            name = renamed[number] if number < len(renamed) else item.alias_or_name
            if isinstance(item, exp.Star):
                raise Unresolved("a * that cannot be expanded")
            if name == column:
                yield scope, item
                return

    def _renamed(self, scope: Scope) -> list[str]:
        parent = scope.expression.parent
        alias = parent.args.get("alias") if isinstance(parent, exp.CTE | exp.Subquery) else None
        return [item.name for item in alias.columns] if isinstance(alias, exp.TableAlias) else []

    def _names(self, scope: Scope) -> list[str]:
        if scope.set_operation_scopes:
            return self._names(scope.set_operation_scopes[0])
        select = scope.expression
        found = [item.alias_or_name for item in getattr(select, "expressions", [])]
        renamed = self._renamed(scope)
        return [*renamed, *found[len(renamed) :]]

    def _position(self, scope: Scope, column: str) -> int | None:
        names = self._renamed(scope) or self._names(scope)
        return names.index(column) if column in names else None

    @staticmethod
    def _columns_in(item: exp.Expr) -> Iterator[exp.Column]:
        """Columns of an expression; those of a subquery in it are counted by themselves."""
        yield from (
            node for node in item.find_all(exp.Column) if node.find_ancestor(exp.Query) is item.find_ancestor(exp.Query)
        )
        for query in item.find_all(exp.Query):
            yield from query.find_all(exp.Column)

    def _outputs(self, scope: Scope) -> None:
        for name in self._names(scope):
            sources: frozenset[Source] = frozenset()
            copies: list[Source | None] = []
            starred = False
            for inner, item in self._items(scope, name):
                for column in self._columns_in(item):
                    found = self._sources(inner, column)
                    sources |= found
                    if self._is_starred(inner, column):
                        starred = True
                        self.query.starred |= found - self.query.explicit.keys()
                bare = item.unalias()
                copies.append(self._copy(inner, bare) if isinstance(bare, exp.Column) else None)
            self.query.outputs[name] = sources
            if copies and copies[0] is not None and all(copy == copies[0] for copy in copies):
                self.query.copies[name] = copies[0]
                if starred:
                    self.query.passed.add(copies[0])

    def _copy(self, scope: Scope, column: exp.Column) -> Source | None:
        """The table's column that a column is, unchanged; None when it is computed on the way."""
        source = scope.sources.get(column.table)
        if isinstance(source, exp.Table):
            found = self._of(source, column.name)
            return next(iter(found), None)
        if isinstance(source, Scope):
            items = list(self._items(source, column.name))
            if len(items) == 1 and isinstance(items[0][1].unalias(), exp.Column):
                inner = items[0][1].unalias()
                return self._copy(items[0][0], inner) if isinstance(inner, exp.Column) else None
        return None

    def _spot(self, column: exp.Column) -> Spot:
        """Where a column is written in its file; in a dbt model the nearest line that has the word."""
        meta = column.this.meta
        line, name = int(meta.get("line") or 1), column.name
        if self.text.sql.rstrip() == self.text.source.rstrip().rstrip(";") and "start" in meta:
            start = int(meta["start"])
            before = self.text.source.rfind("\n", 0, start)
            return Spot(self.text.path, self.text.source.count("\n", 0, start) + 1, start - before)
        return _nearest(self.text.path, self.lines, name, line)


@lru_cache(maxsize=4_000)
def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)


def _nearest(path: str, lines: list[str], name: str, line: int) -> Spot:
    found = [
        (abs(number - line), number, hit.start() + 1)
        for number, text in enumerate(lines, 1)
        if (hit := _word(name).search(text))
    ]
    if not found:
        return Spot(path, min(line, len(lines) or 1), 1)
    _, number, at = min(found)
    return Spot(path, number, at)
