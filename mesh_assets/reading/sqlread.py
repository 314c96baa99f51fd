"""Which tables a SQL text reads, and what in it must not be: found by parsing, never by running.

The text of a table and the query of a rule are one read-only SELECT each. The special table `this` is the table's own
last version.
"""

import logging
import re
import threading
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

with warnings.catch_warnings():  # dagster-dbt installs an old tokenizer of sqlglot's, which warns that it is old
    warnings.simplefilter("ignore", DeprecationWarning)
    from sqlglot import exp
    from sqlglot.dialects.duckdb import DuckDB
    from sqlglot.errors import SqlglotError

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of statements that we refuse in our own words

DUCKDB = DuckDB()
OWN = threading.local()  # a thread's tokenizer and parser: to make them anew is a fifth of the time of a short text
WRITES = (exp.DDL, exp.DML, exp.Command, exp.Into)
THIS = "this"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Table functions that make rows of nothing but their arguments.
MAKES_ROWS = frozenset(
    {"range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree", "regexp_matches"}
)
READS_FILES = re.compile(
    r"read_\w+|scan_\w+|\w+_scan|parquet_\w+|sniff_csv|glob|st_read\w*|from_substrait\w*|ducklake_\w+|load_\w+"
)
READS_ELSEWHERE = frozenset(
    [
        "query",
        "query_table",
        "getenv",
        "current_setting",
        "which_secret",
        "duckdb_secrets",
        "nextval",
        "currval",
        "http_get",
        "http_post",
        "write_log",
        "add_parquet_key",
        "checkpoint",
        "force_checkpoint",
    ]
)
ONE_SELECT = "Write one SELECT; the mesh makes the table of its result."
DECLARE = "Name the files as a `source:` in domain.yaml, and read the table that it becomes."


@dataclass(frozen=True, slots=True)
class Read:
    """A table that a SQL text reads, as it is written there; line and column count from 1."""

    schema: str
    table: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that a SQL text must not say."""

    code: str
    what: str
    mend: str
    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class SqlRead:
    """What a SQL text reads, in the order of the text, and what is wrong with it.

    Attributes:
        many: What it plainly returns in place of one number; empty when it may return one.
    """

    reads: tuple[Read, ...] = ()
    faults: tuple[Fault, ...] = ()
    many: str = ""


@lru_cache(maxsize=20_000)
def read_sql(text: str) -> SqlRead:
    """The tables that one SELECT reads, common table expressions left out; `this` is among them where it is read."""
    statement, faults = _statement(text)
    if statement is None:
        return SqlRead(faults=faults)
    nodes = list(statement.walk(bfs=False))
    found = list(_forbidden(nodes, text))
    reads: list[Read] = []
    for table in _tables(statement, frozenset()) if any(isinstance(node, exp.With) for node in nodes) else nodes:
        if not isinstance(table, exp.Table):
            continue
        line, column = _position(table, text)
        fault = _table_fault(table, line, column)
        if fault:
            found.append(fault)
        elif isinstance(table.this, exp.Identifier):
            reads.append(Read(table.db.lower(), table.name.lower(), line, column))
    return SqlRead(tuple(reads), tuple(dict.fromkeys(found)), _many(statement))


def read_rule(query: str) -> Iterator[tuple[str, str]]:
    """What is wrong with the query of a quality rule; nothing for one SELECT that reads tables only."""
    for fault in read_sql(query).faults:
        if fault.code == "M302":
            yield f"the query of a rule must only read: {fault.what}", "Write one SELECT that returns one value."
        elif fault.code == "M303":
            yield (
                f"the query of a rule reads tables only: {fault.what}",
                "Read `{table}`, which is the table that is tested.",
            )
        else:
            yield f"the query cannot be used: {fault.what}", fault.mend


def _many(statement: exp.Expr) -> str:
    """Why the result of a query is plainly not one number; empty when it may be."""
    if not isinstance(statement, exp.Select):
        return ""
    wanted = statement.expressions
    if len(wanted) > 1:
        return f"{len(wanted)} columns"
    value = wanted[0].unalias() if wanted else None
    if isinstance(value, exp.Star):
        clause = statement.args.get("from_") or statement.args.get("from")
        read = clause.this if clause is not None else None
        return "all columns" if isinstance(read, exp.Table) and read.name.lower() == THIS else ""
    return "a text" if isinstance(value, exp.Literal) and value.is_string else ""


def _statement(text: str) -> tuple[exp.Expr | None, tuple[Fault, ...]]:
    try:
        statements = [statement for statement in _parsed(text) if statement is not None]
    except SqlglotError as error:
        return None, (_unreadable(error, text),)
    except RecursionError:
        return None, (Fault("M301", "this SQL is nested too deeply to be read", "Split it into tables of their own."),)
    if not statements:
        return None, (Fault("M301", "there is no SQL here", ONE_SELECT),)
    if len(statements) > 1:
        return None, (Fault("M302", f"there are {len(statements)} statements here", ONE_SELECT),)
    if not isinstance(statements[0], exp.Query) or isinstance(statements[0], exp.Table):
        word = (
            text.split(None, 1)[0].upper()
            if not isinstance(statements[0], exp.Command)
            else str(statements[0].this).upper()
        )
        return None, (Fault("M302", f"this is no SELECT but {_short(word)}", ONE_SELECT),)
    return statements[0], ()


def _parsed(text: str) -> list[exp.Expr | None]:
    if not hasattr(OWN, "parser"):
        OWN.tokenizer, OWN.parser = DUCKDB.tokenizer(), DUCKDB.parser()
    return OWN.parser.parse(OWN.tokenizer.tokenize(text), text)


def _unreadable(error: SqlglotError, text: str) -> Fault:
    details = getattr(error, "errors", None) or [{}]
    line, word = details[0].get("line") or 1, details[0].get("highlight") or ""
    start = details[0].get("start_context") or ""
    column = len(start) - (start.rfind("\n") + 1) + 1
    if "\n" not in start and line <= text.count("\n") + 1:
        column = max(1, text.splitlines()[line - 1].find(word) + 1) if word and text.splitlines() else 1
    what = f"this SQL cannot be read near `{_short(word)}`" if word else "this SQL cannot be read"
    return Fault(
        "M301", what, "Look for a missing comma, parenthesis, quote or keyword at or before this place.", line, column
    )


def _forbidden(nodes: Iterable[exp.Expr], text: str) -> Iterator[Fault]:
    for node in nodes:
        if isinstance(node, WRITES) and not isinstance(node, exp.Query):
            yield Fault("M302", f"{type(node).__name__.upper()} writes", ONE_SELECT, *_position(node, text))
        elif isinstance(node, exp.Func) and (name := _function(node)) and not isinstance(node.parent, exp.Table):
            if READS_FILES.fullmatch(name):
                yield Fault("M303", f"`{name}` reads files", DECLARE, *_position(node, text))
            elif name in READS_ELSEWHERE:
                yield Fault(
                    "M303",
                    f"`{name}` reaches outside the tables of the mesh",
                    "Read the tables only.",
                    *_position(node, text),
                )


def _function(node: exp.Func) -> str:
    if isinstance(node, exp.Anonymous):
        return str(node.this).lower()
    return node.sql_name().lower() if isinstance(node, exp.ReadCSV | exp.ReadParquet) else ""


def _table_fault(table: exp.Table, line: int, column: int) -> Fault | None:
    if isinstance(table.this, exp.Func):
        name = _function(table.this) or table.this.sql_name().lower()
        if name in MAKES_ROWS or isinstance(table.this, exp.GenerateSeries | exp.Unnest | exp.Explode):
            return None
        what = "reads files" if READS_FILES.fullmatch(name) else "is no function that a table may be made of"
        return Fault("M303", f"`{name}` {what}", DECLARE, line, column)
    if not NAME.fullmatch(table.name):
        return Fault("M303", f"`{_short(table.name)}` is read as a file", DECLARE, line, column)
    if table.catalog:
        mend = f"Write `{table.db}.{table.name}`."
        return Fault("M304", f"`{table.catalog}.{table.db}.{table.name}` names a database", mend, line, column)
    if table.args.get("when"):
        return Fault(
            "M304",
            "a version of a table is named here",
            "Take out the AT clause: the run decides which version is read.",
            line,
            column,
        )
    return None


def _tables(node: exp.Expr, hidden: frozenset[str]) -> Iterator[exp.Table]:
    """The real tables below a node. A common table expression hides a table of its name from where it is defined on."""
    clause = node.args.get("with_") or node.args.get("with")
    if clause is not None:
        recursive = bool(clause.args.get("recursive"))
        for one in clause.expressions:
            name = one.alias.lower()
            yield from _tables(one.this, hidden | {name} if recursive else hidden)
            hidden |= {name}
    if isinstance(node, exp.Table) and not (
        isinstance(node.this, exp.Identifier) and not node.db and node.name.lower() in hidden
    ):
        yield node
    for key, value in node.args.items():
        if key in ("with_", "with"):
            continue
        for part in value if isinstance(value, list) else (value,):
            if isinstance(part, exp.Expr):
                yield from _tables(part, hidden)


def _position(node: exp.Expr, text: str) -> tuple[int, int]:
    """Line and column of the first word of a node that has a position; 1, 1 when none has."""
    starts = [meta["start"] for part in node.find_all(exp.Identifier, exp.Func) if "start" in (meta := part.meta)]
    if not starts:
        return 1, 1
    start = min(starts)
    return text.count("\n", 0, start) + 1, start - (text.rfind("\n", 0, start) + 1) + 1


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004 - a line of a terminal
