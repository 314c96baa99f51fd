"""Other values of a column, followed through a reader's SQL: where may they come out, and may they make it fail?

The columns keep their types. Null fails nowhere in DuckDB, apart from `error()` and the keys of a map. Of other values that is known for
what is listed here, by types: text is compared with text and a number with a number, and neither is cast on the way. What is not listed may fail.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import lru_cache

from mesh_assets.changes.lineage import Columns, Unresolved, exp, typed
from mesh_assets.changes.texts import Text
from mesh_assets.domain import Table


class News(Enum):
    """What may be in a column now that was not in it before."""

    NULLS = "nulls"
    VALUES = "values"


class Rows(IntEnum):
    """What becomes of the rows."""

    SAME = 0
    FEWER = 1  # some go; those that stay are as they were
    ONES = 2  # some come or go; each of them is made of one row of the input, or of one pair
    OTHER = 3  # what is made of several rows may be something else


def followed(text: Text, table: Table, columns: Columns, column: str, news: News) -> Rows | None:
    """What other values of an input's column do to the rows; None where they may make the SQL fail, or nobody can tell.

    Args:
        columns: Of its inputs, with their types.
        column: In small letters. A column of another input that has the same name is followed, too.
    """
    known = tuple((name, columns[name]) for name in (*table.inputs, table.name) if name in columns)
    key = (text.sql, tuple((name, part.sql) for name, part in text.parts.items()))
    return _followed(_Asked(key, text, table), known, column, news)


@dataclass(frozen=True)
class _Asked:
    """What is asked about; `key` stands for the text."""

    key: tuple
    text: Text
    table: Table

    def __hash__(self) -> int:
        return hash((self.key, self.table.name))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Asked) and (self.key, self.table.name) == (other.key, other.table.name)


@lru_cache(maxsize=2_000)
def _followed(asked: _Asked, known: tuple, column: str, news: News) -> Rows | None:
    try:
        tree = typed(asked.text, asked.table, dict(known))
    except Unresolved:
        return None
    if any(_is_out_of_sight(node) for node in tree.walk()):
        return None
    nodes = list(tree.find_all(exp.Column))
    names = {column}
    while more := {_projected(node) for node in nodes if node.name in names} - names - {""}:
        names |= more
    rows = Rows.SAME
    for node in nodes:
        if node.name in names:
            found = _climbed(node, news)
            if found is None:
                return None
            rows = max(rows, found)
    if rows is Rows.SAME and names & _compared_by_name(tree):
        rows = Rows.OTHER
    return Rows.OTHER if rows is not Rows.SAME and _is_of_many(tree) else rows


def repeated(text: Text, table: Table, columns: Columns) -> Rows | None:
    """What becomes of the rows where those of an input come more than once, or are more or fewer; None where nobody can tell.

    SAME: whatever is made of several rows is so that it does not matter how often each is there.
    """
    known = tuple((name, columns[name]) for name in (*table.inputs, table.name) if name in columns)
    key = (text.sql, tuple((name, part.sql) for name, part in text.parts.items()))
    return _repeated(_Asked(key, text, table), known)


@lru_cache(maxsize=2_000)
def _repeated(asked: _Asked, known: tuple) -> Rows | None:
    try:
        tree = typed(asked.text, asked.table, dict(known))
    except Unresolved:
        return None
    if any(_is_out_of_sight(node) for node in tree.walk()) or tree.find(exp.Limit, exp.Offset, *_TABLES):
        return None
    if any(not _is_one_row(query) for query in _as_values(tree)):
        return None
    if any(_counts(node) for node in tree.walk()):
        return Rows.OTHER
    top = tree if isinstance(tree, exp.Select) else None
    settled = top is not None and (top.args.get("group") or top.args.get("distinct") or _is_one_row(top))
    return Rows.SAME if settled else Rows.ONES


def _as_values(tree: exp.Expr) -> Iterator[exp.Select]:
    """SELECTs that stand where one value is wanted."""
    for query in tree.find_all(exp.Subquery):
        inner = query.unnest()
        if isinstance(inner, exp.Select) and not isinstance(
            query.parent, exp.From | exp.Join | exp.In | exp.Exists | exp.SetOperation | exp.Subquery
        ):
            yield inner


def _counts(node: exp.Expr) -> bool:
    """Whether it matters how often a row is there: it is added up, numbered, or meets every other."""
    if isinstance(node, exp.Join):
        return node.kind not in ("SEMI", "ANTI")
    if isinstance(node, exp.Window):
        return True
    if isinstance(node, exp.AggFunc):
        return not (isinstance(node, _ONCE) or isinstance(node.this, exp.Distinct))
    return isinstance(node, exp.Pivot)


_ONCE = (exp.Min, exp.Max, exp.LogicalAnd, exp.LogicalOr, exp.AnyValue, exp.ArgMin, exp.ArgMax)
"""Aggregates to which it is all the same how often a row is there."""


def _is_of_many(tree: exp.Expr) -> bool:
    """Whether anything is made of several rows, or of a row that is not there."""
    return tree.find(*_OF_MANY) is not None or any(
        join.side or join.kind in ("SEMI", "ANTI") for join in tree.find_all(exp.Join)
    )


_OF_MANY = (
    exp.Group,
    exp.AggFunc,
    exp.Window,
    exp.Distinct,
    exp.Limit,
    exp.Offset,
    exp.SetOperation,
    exp.Exists,
    exp.Lateral,
)
_TABLES = (exp.Unnest, exp.Explode, exp.Lateral)
_TEXT = (
    exp.Upper, exp.Lower, exp.Trim, exp.Length, exp.DPipe, exp.Concat, exp.ConcatWs, exp.Substring, exp.Left, exp.Right, exp.SplitPart,
    exp.StartsWith, exp.Contains, exp.Like, exp.ILike, exp.MD5, exp.StrPosition, exp.Replace, exp.Slice, exp.Bracket,
)  # fmt: skip
_TEXT_AS_SUBJECT = (exp.RegexpLike, exp.RegexpReplace, exp.RegexpExtract)  # what is searched for may be no pattern
_NUMBERS = (
    exp.Round,
    exp.Floor,
    exp.Ceil,
    exp.Abs,
    exp.Sign,
    exp.Neg,
    exp.Avg,
    exp.Sum,
    exp.Median,
    exp.Quantile,
    exp.Stddev,
)
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)
_TIMES = (
    exp.Extract,
    exp.DateTrunc,
    exp.TimestampTrunc,
    exp.DateDiff,
    exp.TimeToStr,
    exp.Year,
    exp.Month,
    exp.Day,
    exp.Hour,
)
_CONDITIONS = (exp.And, exp.Or, exp.Not, exp.LogicalAnd, exp.LogicalOr)
_OF_TYPE = {
    _CONDITIONS: {exp.DType.BOOLEAN},
    _TEXT: exp.DataType.TEXT_TYPES,
    _TEXT_AS_SUBJECT: exp.DataType.TEXT_TYPES,
    _NUMBERS: exp.DataType.NUMERIC_TYPES,
    _TIMES: exp.DataType.TEMPORAL_TYPES,
}
_ANYTHING = (
    exp.Alias, exp.Paren, exp.Ordered, exp.Order, exp.Window, exp.WindowSpec, exp.Filter, exp.Is, exp.Tuple, exp.TryCast, exp.Distinct,
    exp.Count, exp.Min, exp.Max, exp.AnyValue, exp.ArrayAgg, exp.ArgMax, exp.ArgMin, exp.RowNumber, exp.Rank, exp.DenseRank, exp.Ntile,
    exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.IgnoreNulls, exp.Struct, exp.PropertyEQ, exp.Array, exp.Where, exp.Having,
    exp.Qualify, exp.Group, exp.Mode, exp.WithinGroup, exp.CountIf,
)  # fmt: skip
_COMPARING = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Between, exp.In, exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least, exp.Case, exp.If)  # fmt: skip
_REJECTS_NULL = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.Like, exp.ILike, exp.In)
_NO_NULL = frozenset({"error", "map", "map_from_entries"})


def _is_out_of_sight(node: exp.Expr) -> bool:
    """What nobody follows here, or what fails as it was told to."""
    if isinstance(node, exp.Pivot | exp.Columns | exp.Map | exp.ToMap | exp.VarMap | exp.Intersect | exp.Except):
        return True
    if isinstance(node, exp.Anonymous) and node.name.lower() in _NO_NULL:
        return True
    if isinstance(node, exp.TableAlias) and node.columns:
        return not isinstance(node.parent, exp.Values | exp.Unnest)
    if isinstance(node, exp.Union):
        names = [[item.alias_or_name for item in side.selects] for side in (node.left, node.right)]
        return names[0] != names[1]  # a name on the one side is another's on the other
    return type(node).__name__ == "Error"


def _projected(column: exp.Column) -> str:
    """The name that what is made of a column is given, in small letters; empty where it is given none."""
    node: exp.Expr = column
    while node.parent is not None and not isinstance(node.parent, exp.Query):
        node = node.parent
    return node.alias_or_name.lower() if isinstance(node, exp.Alias | exp.Column) else ""


def _compared_by_name(tree: exp.Expr) -> set[str]:
    """Columns that are compared without standing there as a comparison: joined by name, grouped by all, made distinct."""
    found = {name.name for join in tree.find_all(exp.Join) for name in join.args.get("using") or ()}
    for select in tree.find_all(exp.Select):
        group = select.args.get("group")
        if select.args.get("distinct") or (group is not None and (group.args.get("all") or _by_position(group))):
            found |= {item.alias_or_name.lower() for item in select.selects if not item.find(exp.AggFunc)}
    for union in tree.find_all(exp.Union):
        if union.args.get("distinct"):
            found |= {item.alias_or_name.lower() for item in union.selects}
    return found


def _by_position(group: exp.Group) -> bool:
    return any(isinstance(item, exp.Literal) for item in group.expressions)


def _climbed(column: exp.Column, news: News) -> Rows | None:
    """What one mention of a column does to the rows, followed up to the query; None where it may fail."""
    rows, child, walk = Rows.SAME, column, _Walk(compared=_is_of(column, {exp.DType.BOOLEAN}))
    while (node := child.parent) is not None:
        if isinstance(node, exp.Select):
            rows = max(rows, _as_part(node, child))
            above = _above(node)
            if (
                above is None
                or isinstance(above, exp.CTE)
                or isinstance(above.parent, exp.From | exp.Join | exp.Subquery)
            ):
                return rows
            if isinstance(above, exp.Subquery) and rows is not Rows.SAME and not _is_one_row(node):
                return None  # there may be two rows where one is wanted
            # A subquery in an expression: what comes out of it is a value there.
            rows, child, walk = (
                Rows.SAME,
                above if isinstance(above, exp.Subquery | exp.Exists) else node,
                _Walk(alone=False),
            )
            continue
        if isinstance(node, exp.Limit | exp.Offset) or (news is News.VALUES and not _is_safe(node, child)):
            return None
        rows = max(rows, walk.at(node, news))
        child = node
    return rows


@dataclass
class _Walk:
    """On the way up from a column. `alone`: nothing but conjunctions since it was compared."""

    compared: bool = False
    alone: bool = True

    def at(self, node: exp.Expr, news: News) -> Rows:
        if isinstance(node, _REJECTS_NULL) and not node.args.get("query"):
            self.compared = True
        elif not isinstance(node, exp.And | exp.Paren | exp.Where | exp.Join):
            self.alone = False
        if isinstance(node, _TABLES):
            return Rows.OTHER
        if isinstance(node, exp.Where) and isinstance(node.parent, exp.Filter):
            return Rows.SAME
        if not isinstance(node, exp.Where | exp.Having | exp.Qualify | exp.Join | exp.Group):
            return Rows.SAME
        inner = isinstance(node, exp.Join) and not node.side and node.kind in ("", "INNER")
        if not inner and not isinstance(node, exp.Where):
            return Rows.OTHER
        return Rows.FEWER if self.compared and self.alone and news is News.NULLS else Rows.ONES


def _as_part(select: exp.Select, child: exp.Expr) -> Rows:
    """What it does to the rows of a SELECT that it stands in this part of it."""
    if child.arg_key in ("expressions", "joins", "where", "having", "qualify", "group"):
        return Rows.SAME  # or told already
    if child.arg_key == "order" and not (select.args.get("limit") or select.args.get("offset")):
        return Rows.SAME
    return Rows.OTHER


def _above(select: exp.Select) -> exp.Expr | None:
    above = select.parent
    while isinstance(above, exp.SetOperation):
        above = above.parent
    return above


def _is_one_row(select: exp.Select) -> bool:
    """Whether it gives one row, whatever there is: an aggregate of everything."""
    return (
        not select.args.get("group") and all(item.find(exp.AggFunc) for item in select.selects) and bool(select.selects)
    )


def _is_safe(node: exp.Expr, child: exp.Expr) -> bool:
    """Whether a node has an answer for every value of a child of its type."""
    if isinstance(node, (*_ANYTHING, *_TABLES, exp.Exists, exp.Subquery, exp.Join)):
        return True
    if isinstance(node, exp.Cast):
        return _casts(node, child)
    if isinstance(node, _COMPARING):
        if isinstance(node, exp.In) and node.args.get("query") is not None:
            return _are_alike([node.this, *node.args["query"].unnest().selects])
        return _are_alike(_operands(node))
    for nodes, types in _OF_TYPE.items():
        if isinstance(node, nodes):
            return _is_of(child, types) and (nodes is not _TEXT_AS_SUBJECT or child.arg_key == "this")
    if isinstance(node, _ARITHMETIC):  # whole numbers may overflow
        return all(_is_number(one) for one in (node.left, node.right)) and any(
            _is_of(one, {exp.DType.DOUBLE, exp.DType.FLOAT, exp.DType.DECIMAL}) for one in (node.left, node.right)
        )
    return False


def _casts(cast: exp.Cast, child: exp.Expr) -> bool:
    """Whether every value of a child has its place in the type that it is cast to."""
    if cast.to.is_type(*exp.DataType.TEXT_TYPES):
        return True
    if cast.to.is_type("double"):
        return _is_number(child)
    return _family(child) == "time" and cast.to.is_type("date", "timestamp")


def _operands(node: exp.Expr) -> Iterator[exp.Expr]:
    """What is compared with each other."""
    if isinstance(node, exp.Case | exp.If):
        whens = node.args.get("ifs") or [node]
        if node.this is not None and isinstance(node, exp.Case):
            yield node.this
            yield from (when.this for when in whens)
        return  # what comes out is of one type by itself, or is cast where no value matters
    yield from node.iter_expressions()


def _are_alike(nodes: Iterable[exp.Expr]) -> bool:
    """All text, all numbers, or all of one other type; a literal in quotes is whatever it is compared with."""
    families = {_family(node) for node in nodes if not isinstance(node, exp.Null)}
    families.discard("literal")
    return len(families) <= 1 and "" not in families


def _family(node: exp.Expr) -> str:
    if isinstance(node, exp.Literal) and node.is_string:
        return "literal"
    if isinstance(node, exp.Tuple):
        return "/".join(map(_family, node.expressions))
    kind = node.type
    if kind is None:
        return ""
    if kind.this in exp.DataType.TEXT_TYPES:
        return "text"
    if kind.this in exp.DataType.NUMERIC_TYPES:
        return "number"
    if kind.this in exp.DataType.TEMPORAL_TYPES:
        return "time"
    return "" if kind.this in (exp.DType.UNKNOWN, exp.DType.NULL) else str(kind.this)


def _is_of(node: exp.Expr, types: Iterable[object]) -> bool:
    return node.type is not None and node.type.this in types


def _is_number(node: exp.Expr) -> bool:
    return _is_of(node, exp.DataType.NUMERIC_TYPES)
