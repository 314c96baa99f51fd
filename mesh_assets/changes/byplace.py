"""Whether SQL takes columns by their place: then it may be another column where those of an input come in another order."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from mesh_assets.reading.sqlread import exp

EVERY = 1_000_000
"""More places than a table has columns."""


def places_taken(
    trees: Sequence[exp.Expr], parts: Mapping[str, exp.Expr], domain: str, port: str, columns: Collection[str]
) -> int:
    """How many columns of an input, from its first on, a table's SQL takes by their place; 0 where none.

    By place are: names that are given to the columns of a `*`, a union of a `*` with another query, `in (select * …)`, a whole row as
    a value, the number of a column, and the order of all columns where only the first rows are taken.

    Args:
        trees: Of the table, as they are parsed.
        parts: Those that it reads by name, as `schema.name`.
        columns: Of its inputs, in small letters: such a name is a column, also where a table is called so.
    """
    named = {name.lower(): [tree] for name, tree in parts.items()}
    every = [*trees, *parts.values()]
    for cte in (cte for tree in every for cte in tree.find_all(exp.CTE)):
        named.setdefault(cte.alias.lower(), []).append(cte.this)
    taken = (
        places
        for tree in every
        for node, places in _by_place(tree, columns)
        if _reads(node, named, domain.lower(), port.lower())
    )
    return max(taken, default=0)


def _by_place(tree: exp.Expr, columns: Collection[str]) -> Iterator[tuple[exp.Expr, int]]:
    """Parts of a query in which a place decides which column is meant, and for how many places."""
    for node in tree.walk():
        match node:
            case exp.TableAlias():
                yield from _given_names(node)
            case exp.SetOperation():
                yield from ((side, EVERY) for side in _misaligned(node))
            case exp.In():
                query = node.args.get("query")
                if query is not None and any(map(_is_starred, query.find_all(exp.Select))):
                    yield query, EVERY
            case exp.PositionalColumn():
                yield tree, EVERY
            case exp.Star() | exp.Column() if _is_row(node, columns):
                yield node.find_ancestor(exp.Select) or tree, EVERY
            case exp.Select() if _is_starred(node) and _numbers(node):
                yield node, EVERY


def _given_names(alias: exp.TableAlias) -> Iterator[tuple[exp.Expr, int]]:
    """What the columns of an alias are names for, where that is a table or a `*`."""
    given, count = alias.parent, len(alias.columns)
    if count and isinstance(given, exp.Table) and isinstance(given.this, exp.Identifier):
        yield given, count
    elif count and isinstance(given, exp.CTE | exp.Subquery) and _is_starred(given.this):
        yield given.this, count if _is_one_star(given.this) else EVERY


def _is_one_star(query: exp.Expr) -> bool:
    """Whether a query is a table as it is: then its places are the table's."""
    if not isinstance(query, exp.Select) or query.args.get("joins") or len(query.expressions) > 1:
        return False
    return isinstance(query.expressions[0], exp.Star) and not any(query.expressions[0].args.values())


def _is_starred(query: exp.Expr) -> bool:
    """Whether one of the columns that a query gives is a `*`."""
    if isinstance(query, exp.SetOperation):
        return _is_starred(query.left) or _is_starred(query.right)
    query = query.unnest() if isinstance(query, exp.Subquery) else query
    return isinstance(query, exp.Select) and any(_star(item) is not None for item in query.expressions)


def _star(item: exp.Expr) -> exp.Star | None:
    star = item.this if isinstance(item, exp.Column) else item
    return star if isinstance(star, exp.Star) else None


def _misaligned(union: exp.SetOperation) -> Iterator[exp.Expr]:
    """Sides of a union that give a `*`; none where all of them take the same from the same."""
    sides = [] if union.args.get("by_name") else list(_sides(union))
    if any(_is_starred(side) for side in sides) and len({_taken(side) for side in sides}) > 1:
        yield from (side for side in sides if _is_starred(side))


def _sides(query: exp.Expr) -> Iterator[exp.Expr]:
    query = query.unnest() if isinstance(query, exp.Subquery) else query
    if isinstance(query, exp.SetOperation):
        yield from _sides(query.left)
        yield from _sides(query.right)
    else:
        yield query


def _taken(side: exp.Expr) -> str:
    """What a side gives and of which tables, without what its rows have to be."""
    if not isinstance(side, exp.Select):
        return side.sql("duckdb")
    tables = [side.args.get("from_") or side.args.get("from"), *(side.args.get("joins") or ())]
    return "; ".join(one.sql("duckdb").lower() for one in [*side.expressions, *filter(None, tables)])


def _is_row(node: exp.Expr, columns: Collection[str]) -> bool:
    """Whether a whole row is a value, as in `row(t.*)` and `t::varchar`: not as columns, and not as in `count(*)`."""
    if isinstance(node, exp.Column):
        name = node.name.lower()
        return not node.table and name not in columns and name in _tables(node)
    item = node.parent if isinstance(node.parent, exp.Column) else node
    return not isinstance(item.parent, exp.Query | exp.Count | exp.Columns | exp.Subquery | exp.Pivot | None)


def _tables(column: exp.Column) -> set[str]:
    """Names of the tables beside a column: one that is called so stands for a whole row."""
    select = column.find_ancestor(exp.Select)
    if select is None:
        return set()
    tables = [select.args.get("from_") or select.args.get("from"), *(select.args.get("joins") or ())]
    return {one.this.alias_or_name.lower() for one in tables if one is not None}


def _numbers(select: exp.Select) -> bool:
    """Whether columns are meant by number, or by all of them in turn, where that decides which rows there are."""
    group, order = select.args.get("group"), select.args.get("order")
    by_number = group is not None and any(isinstance(item, exp.Literal) for item in group.expressions)
    cut = select.args.get("limit") or select.args.get("offset")
    ordered = order is not None and any(
        isinstance(item.this, exp.Literal) or item.this.sql("duckdb").upper() == "ALL" for item in order.expressions
    )
    return by_number or bool(cut and ordered)


def _reads(node: exp.Expr, named: Mapping[str, list[exp.Expr]], domain: str, port: str) -> bool:
    """Whether a table is read in a part of a query, or in what that reads by name."""
    todo, seen = [node], set()
    while todo:
        for table in todo.pop().find_all(exp.Table):
            if not isinstance(table.this, exp.Identifier):
                continue
            name = table.name.lower()
            full = f"{table.db.lower()}.{name}" if table.db else f"{domain}.{name}"
            if not table.db and name in named:
                full = name
            if full == port:
                return True
            if full in named and full not in seen:
                seen.add(full)
                todo += named[full]
    return False
