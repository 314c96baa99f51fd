"""Tests that look at a row together with others: duplicates, order, gaps, overlaps, another table."""

from collections.abc import Callable
from typing import Unpack

from mesh_assets.audit.library.kinds import (
    DAYS,
    NUMERIC,
    ORDERED,
    VALUES,
    Asked,
    Form,
    Found,
    Options,
    Parameter,
    Scope,
    TestType,
    day,
    finite,
    kind,
    subject,
)
from mesh_assets.audit.values import NUMBERS, CannotAnswer, Family, quoted

WITHIN = Parameter(
    name="within", form=Form.COLUMNS, help="Each group of rows with the same values here is on its own.", of=VALUES
)
BY = Parameter(
    name="by",
    form=Form.COLUMNS,
    help="What the rows are ordered by; where it is the same, by the value.",
    needed=True,
    of=ORDERED,
)


def listed(names: tuple[str, ...]) -> str:
    """Names as SQL, with commas."""
    return ", ".join(map(quoted, names))


def _over(asked: Asked) -> str:
    """A window in the order of `by`, each group of `within` on its own.

    Rows with the same `by` are in the order of the value: else it would be chance which comes first, and with it the verdict.
    """
    within, by = asked.named("within"), (*asked.named("by"), asked.name)
    return f"({f'PARTITION BY {listed(within)} ' if within else ''}ORDER BY {listed(by)})"


def _selected(asked: Asked, wrong: str, *, columns: str) -> Found:
    """Rows of the table for which a value that a window has found is true."""
    inner = f"SELECT *, {columns} FROM {subject(asked)}"
    return Found(
        f"SELECT * EXCLUDE (_mesh_before, _mesh_wrong) FROM (SELECT *, ({wrong}) AS _mesh_wrong FROM ({inner})) WHERE _mesh_wrong"
    )


def _duplicates(asked: Asked) -> Found:
    left_out = set(asked.named("except"))
    names = asked.named("columns") or tuple(name for name in asked.types if name not in left_out)
    if not names:
        msg = "no columns are left to compare"
        raise CannotAnswer(msg)
    return Found(f"SELECT * FROM {subject(asked)} QUALIFY count(*) OVER (PARTITION BY {listed(names)}) > 1")


def _determines(asked: Asked) -> Found:
    key, by = listed(asked.named("columns")), listed(asked.named("determine"))
    known = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in asked.named("columns"))
    # Through the row's own text, a null is a value like another.
    return Found(
        f"SELECT * FROM {subject(asked)} WHERE {known} QUALIFY min(row({by})) OVER (PARTITION BY {key})"
        f" IS DISTINCT FROM max(row({by})) OVER (PARTITION BY {key})"
    )


def _increasing(asked: Asked) -> Found:
    compared = "<=" if asked.given("strictly") else "<"
    return _selected(
        asked,
        f"{asked.column} {compared} _mesh_before",
        columns=f"lag({asked.column}) OVER {_over(asked)} AS _mesh_before",
    )


def _jump(asked: Asked) -> Found:
    value, most = finite(asked), float(asked.number("most"))
    change = f"abs({value} - _mesh_before)"
    wrong = (
        f"{change} > {most!r}"
        if asked.given("unit_of_change") == "units"
        else f"{change} * 100 > abs(_mesh_before) * {most!r}"
    )
    return _selected(asked, wrong, columns=f"lag({value}) OVER {_over(asked)} AS _mesh_before")


def _stuck(asked: Asked) -> Found:
    times, within = int(asked.number("times")), asked.named("within")
    per_value = f"PARTITION BY {listed((*within, asked.name))} ORDER BY {listed(asked.named('by'))}"
    # How many rows with another value lie before: one number for all of a run. `row_number` would give rows that tie any.
    run = f"rank() OVER {_over(asked)} - rank() OVER ({per_value})"
    counted = f"count(*) OVER (PARTITION BY {listed((*within, asked.name))}, _mesh_run)"
    inner = f"SELECT *, {run} AS _mesh_run FROM {subject(asked)} WHERE {asked.column} IS NOT NULL"
    return Found(f"SELECT * EXCLUDE (_mesh_run) FROM ({inner}) QUALIFY {counted} > {times}")


def _overlaps(asked: Asked) -> Found:
    start, end = (asked.named(name)[0] for name in ("start", "end"))
    if asked.types[start].family is not asked.types[end].family:
        msg = f"`{start}` is {asked.types[start].name} and `{end}` is {asked.types[end].name}: they do not compare"
        raise CannotAnswer(msg)
    within = asked.named("within")
    window = f"({f'PARTITION BY {listed(within)} ' if within else ''}ORDER BY {quoted(start)}, {quoted(end)} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    a, b = quoted(start), quoted(end)
    # An end that is null is open: nothing may start after it.
    inner = f"SELECT *, max({b}) OVER {window} AS _mesh_before, bool_or({b} IS NULL) OVER {window} AS _mesh_open FROM {subject(asked)} WHERE {a} IS NOT NULL"
    sign = "<=" if asked.given("closed") else "<"
    return Found(
        f"SELECT * EXCLUDE (_mesh_before, _mesh_open) FROM ({inner}) WHERE {a} {sign} _mesh_before OR _mesh_open OR {b} < {a}"
    )


def _sequence(asked: Asked) -> Found:
    within = asked.named("within")
    window = f"({f'PARTITION BY {listed(within)} ' if within else ''}ORDER BY {asked.column})"
    inner = f"SELECT *, lag({asked.column}) OVER {window} AS _mesh_before FROM {subject(asked)} WHERE {asked.column} IS NOT NULL"
    return Found(f"SELECT * EXCLUDE (_mesh_before) FROM ({inner}) WHERE {asked.column}::HUGEINT - _mesh_before > 1")


def _group_rows(asked: Asked) -> Found:
    low, high = asked.number("least", 0), asked.given("most")
    if high is not None and low > asked.number("most"):
        msg = f"no group fits: `least` is {low}, and `most` is {high}"
        raise CannotAnswer(msg)
    over = f"count(*) OVER (PARTITION BY {listed(asked.named('columns'))})"
    most = f" OR {over} > {high}" if high is not None else ""
    return Found(f"SELECT * FROM {subject(asked)} QUALIFY {over} < {low}{most}")


def _in_other(asked: Asked) -> Found:
    columns = asked.named("columns")
    theirs = asked.named("to_columns") or columns
    table = str(asked.given("to_table"))
    sql, types = asked.related(table)
    if len(theirs) != len(columns):
        msg = f"as many columns of `{table}` are needed as of this table"
        raise CannotAnswer(msg)
    for ours, other in zip(columns, theirs, strict=True):
        if other not in types:
            msg = f"`{table}` has no column `{other}`"
            raise CannotAnswer(msg)
        a, b = asked.types[ours], types[other]
        if not (a.name == b.name or a.family is b.family or {a.family, b.family} <= set(NUMBERS)):
            msg = f"`{ours}` is {a.name} and `{table}.{other}` is {b.name}: they do not compare"
            raise CannotAnswer(msg)
    same = " AND ".join(f"_a.{quoted(a)} = _b.{quoted(b)}" for a, b in zip(columns, theirs, strict=True))
    known = " AND ".join(f"_a.{quoted(name)} IS NOT NULL" for name in columns)
    where = asked.given("to_when")
    other_rows = f"(SELECT * FROM {sql} WHERE (\n{where}\n))" if where else f"(SELECT * FROM {sql})"
    join = "SEMI" if asked.given("present") is False else "ANTI"
    return Found(
        f"SELECT _a.* FROM (SELECT * FROM {subject(asked)}) AS _a {join} JOIN {other_rows} AS _b ON {same} WHERE {known}"
    )


def _windows(asked: Asked) -> tuple[str, str, str]:
    """The values of the last days, and those of as many days before; with the name of the table's rows."""
    on, days = asked.named("date")[0], int(asked.number("days"))
    when = day(asked, on)
    names = listed(asked.named("columns"))
    rows = subject(asked)
    last = f"(SELECT max({when}) FROM {rows})"
    now = f"SELECT {names} FROM {rows} WHERE {when} > {last} - {days}"
    before = f"SELECT {names} FROM {rows} WHERE {when} <= {last} - {days} AND {when} > {last} - {2 * days}"
    return now, before, names


def _dropped(asked: Asked) -> Found:
    now, before, _ = _windows(asked)
    return Found(f"SELECT * FROM (({before}) EXCEPT ({now}))")


def _same(asked: Asked) -> Found:
    now, before, _ = _windows(asked)
    return Found(f"SELECT * FROM (({before}) EXCEPT ({now})) UNION ALL SELECT * FROM (({now}) EXCEPT ({before}))")


def _late(asked: Asked) -> Found:
    before, after = (day(asked, asked.named(name)[0]) for name in ("happened", "arrived"))
    return Found(f"SELECT * FROM {subject(asked)} WHERE {after} - {before} > {int(asked.number('days'))}")


def _type(
    name: str,
    label: str,
    help_: str,
    answer: Callable[[Asked], Found],
    *parameters: Parameter,
    **options: Unpack[Options],
) -> TestType:
    defaults: Options = {"dimension": "consistency", "scope": Scope.TABLE, "families": VALUES, "rowwise": True}
    return kind(name, label, help_, answer, *parameters, **{**defaults, **options})


_WINDOW = (
    Parameter(name="columns", form=Form.COLUMNS, help="Whose values, together.", needed=True, of=VALUES),
    Parameter(name="date", form=Form.COLUMN, help="When a row belongs to.", needed=True, of=DAYS),
    Parameter(name="days", form=Form.WHOLE, help="Length of the window.", default=7, low=1, high=10_000),
)

GROUPS = (
    _type("duplicate_rows", "No row twice", "Another row has the same values.", _duplicates,
          Parameter(name="columns", form=Form.COLUMNS, help="The columns that are compared; default: all."),
          Parameter(name="except", form=Form.COLUMNS, help="Of all columns, all but these."),
          dimension="uniqueness", theirs="Dupe_Rows Potential_Duplicates", example="except: [loaded_at]"),
    _type("determines", "One value decides another", "Rows with the same values in `columns` differ in `determine`.", _determines,
          Parameter(name="columns", form=Form.COLUMNS, help="What decides.", needed=True, of=VALUES),
          Parameter(name="determine", form=Form.COLUMNS, help="What is decided.", needed=True, of=VALUES),
          example="columns: [zip]\ndetermine: [state]"),
    _type("rows_per_group", "Rows in each group", "The group has too few or too many rows.", _group_rows,
          Parameter(name="columns", form=Form.COLUMNS, help="What makes a group.", needed=True, of=VALUES),
          Parameter(name="least", form=Form.WHOLE, help="So many rows at least.", default=0, low=0),
          Parameter(name="most", form=Form.WHOLE, help="So many rows at most.", low=1),
          dimension="completeness", example="columns: [order_id]\nmost: 50"),
    _type("increasing", "Never decreasing", "The value is below that of the row before.", _increasing, BY, WITHIN,
          Parameter(name="strictly", form=Form.FLAG, help="Nor may it be the same.", default=False),
          scope=Scope.COLUMN, families=ORDERED, example="by: [read_on]\nwithin: [meter_id]"),
    _type("max_jump", "No jumps", "The value has changed by more, from the row before.", _jump, BY, WITHIN,
          Parameter(name="most", form=Form.NUMBER, help="So much at most.", needed=True, low=0),
          Parameter(name="unit_of_change", form=Form.CHOICE, help="Percent of the value before, or units.", default="percent", choices=("percent", "units")),
          dimension="accuracy", scope=Scope.COLUMN, families=NUMERIC, example="by: [week]\nwithin: [territory]\nmost: 300"),
    _type("not_stuck", "Not stuck", "The value is the same for too many rows in a row.", _stuck, BY, WITHIN,
          Parameter(name="times", form=Form.WHOLE, help="So many rows in a row at most.", needed=True, low=1),
          dimension="accuracy", scope=Scope.COLUMN, example="by: [read_at]\nwithin: [sensor]\ntimes: 24"),
    _type("no_overlaps", "No overlaps", "The span overlaps one that starts before it, or ends before it starts.", _overlaps,
          Parameter(name="start", form=Form.COLUMN, help="Where a span starts.", needed=True, of=ORDERED),
          Parameter(name="end", form=Form.COLUMN, help="Where it ends; null: it is open.", needed=True, of=ORDERED),
          WITHIN, Parameter(name="closed", form=Form.FLAG, help="The end belongs to the span.", default=False),
          example="start: valid_from\nend: valid_to\nwithin: [territory]"),
    _type("no_gaps", "Numbers without gaps", "A number is left out before it.", _sequence, WITHIN,
          dimension="completeness", scope=Scope.COLUMN, families=frozenset({Family.INTEGER}), example="within: [order_id]"),
    _type("in_reference", "Known to another table", "No row there has the same values; a row with a null passes.", _in_other,
          Parameter(name="columns", form=Form.COLUMNS, help="Of this table.", needed=True, of=VALUES),
          Parameter(name="to_table", form=Form.TABLE, help="The other table, as `domain.table`.", needed=True),
          Parameter(name="to_columns", form=Form.TEXT, help="Of the other table; default: of the same names."),
          Parameter(name="to_when", form=Form.EXPRESSION, help="Only rows there for which this is true."),
          Parameter(name="present", form=Form.FLAG, help="`false`: they must not be there.", default=True),
          theirs="Combo_Match", example="columns: [sku, country]\nto_table: shop.prices"),
    _type("no_dropped_values", "Nothing dropped out", "A value of the days before is gone from the last days.", _dropped, *_WINDOW,
          dimension="completeness", theirs="Timeframe_Combo_Gain", example="columns: [store]\ndate: sold_on\ndays: 7"),
    _type("same_values", "The same values as before", "A value is in the last days only, or in those before only.", _same, *_WINDOW,
          theirs="Timeframe_Combo_Match", example="columns: [store]\ndate: sold_on\ndays: 28"),
    _type("not_late", "Not late", "The row has arrived too many days after what it tells of.", _late,
          Parameter(name="happened", form=Form.COLUMN, help="When it happened.", needed=True, of=DAYS),
          Parameter(name="arrived", form=Form.COLUMN, help="When it arrived.", needed=True, of=DAYS),
          Parameter(name="days", form=Form.WHOLE, help="So many days at most.", needed=True, low=0),
          dimension="timeliness", example="happened: sold_on\narrived: loaded_at\ndays: 3"),
)  # fmt: skip
