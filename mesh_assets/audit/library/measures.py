"""Tests of one value of the whole table: against fixed limits, or against another table."""

import math
from collections.abc import Callable, Sequence
from datetime import date
from typing import Unpack

from mesh_assets.audit.library.groups import listed
from mesh_assets.audit.library.kinds import (
    DAYS,
    NUMERIC,
    TEXTS,
    VALUES,
    WHEN,
    Answer,
    Asked,
    Form,
    Measure,
    Options,
    Parameter,
    Past,
    Scope,
    TestType,
    Values,
    Verdict,
    as_number,
    day,
    finite,
    kind,
    shown,
    subject,
)
from mesh_assets.audit.values import CannotAnswer, exact, literal, quoted

AGGREGATES = {
    "mean": "avg({})", "sum": "sum({})", "median": "median({})", "standard deviation": "stddev_samp({})", "minimum": "min({})", "maximum": "max({})",
}  # fmt: skip
LOW = Parameter(name="least", form=Form.NUMBER, help="The smallest value that is fine.")
HIGH = Parameter(name="most", form=Form.NUMBER, help="The greatest value that is fine.")
EPOCH = date(1970, 1, 1)
LONGEST = 100_000
"""Days, weeks or months that are looked at one by one."""


def of(asked: Asked, expressions: str) -> Callable[[str], str]:
    """From a relation to a query of these expressions, over the rows that `when` names."""
    when = asked.given("when")
    where = f" WHERE (\n{when}\n)" if when else ""
    return lambda relation: f"SELECT {expressions} FROM {relation}{where}"


def between(asked: Asked, what: str) -> Callable[[Values, Past], Verdict]:
    """Whether `v` is between `least` and `most`; nothing is not."""
    least, most = as_number(asked.given("least")), as_number(asked.given("most"))
    if least is None and most is None:
        msg = "`least` or `most` must say what is fine"
        raise CannotAnswer(msg)
    if least is not None and most is not None and least > most:
        msg = f"`least` is {shown(least)}, which is more than `most`, {shown(most)}"
        raise CannotAnswer(msg)
    words = " and ".join(
        [
            *([f"at least {shown(least)}"] if least is not None else []),
            *([f"at most {shown(most)}"] if most is not None else []),
        ]
    )

    def judge(values: Values, _: Past) -> Verdict:
        found = as_number(values["v"])
        ok = (
            found is not None
            and not math.isnan(found)
            and (least is None or found >= least)
            and (most is None or found <= most)
        )
        return Verdict(ok, f"{what} is {shown(found)}; it must be {words}.")

    return judge


def _metric(asked: Asked) -> Measure:
    aggregate = str(asked.given("aggregate"))
    return Measure(
        of(asked, f"{AGGREGATES[aggregate].format(finite(asked))} AS v"),
        between(asked, f"The {aggregate} of `{asked.name}`"),
    )


def _quantile(asked: Asked) -> Measure:
    share = float(asked.number("percent")) / 100
    return Measure(
        of(asked, f"quantile_cont({finite(asked)}, {share!r}) AS v"),
        between(asked, f"{shown(share * 100)} % of `{asked.name}` are up to a value that"),
    )


def _distinct(asked: Asked) -> Measure:
    return Measure(
        of(asked, f"count(DISTINCT {asked.column}) AS v"),
        between(asked, f"The number of different values of `{asked.name}`"),
    )


def _distinct_days(asked: Asked) -> Measure:
    return Measure(
        of(asked, f"count(DISTINCT {day(asked)}) AS v"), between(asked, f"The number of days in `{asked.name}`")
    )


def _longest(asked: Asked) -> Measure:
    return Measure(
        of(asked, f"max(length({asked.column})) AS v"),
        between(asked, f"The longest text of `{asked.name}`, in characters,"),
    )


def _fractions(asked: Asked) -> Measure:
    value = finite(asked)
    return Measure(
        of(asked, f"coalesce(sum(abs({value} - trunc({value}))), 0) AS v"),
        between(asked, f"What stands after the point in `{asked.name}`, added up,"),
    )


def _share(asked: Asked) -> Measure:
    condition = f"(\n{asked.given('condition')}\n)"
    return Measure(
        of(asked, f"100.0 * count(*) FILTER (WHERE {condition}) / nullif(count(*), 0) AS v"),
        between(asked, "The percentage of rows"),
    )


def _expression(asked: Asked) -> Measure:
    return Measure(of(asked, f"({asked.given('expression')})::DOUBLE AS v"), between(asked, "The metric"))


def _rows(asked: Asked) -> Measure:
    return Measure(of(asked, "count(*) AS v"), between(asked, "The number of rows"))


def _all_values(asked: Asked) -> Measure:
    wanted = [
        value for one in asked.values("values") if one is not None and (value := exact(one, asked.type)) is not None
    ]
    if not wanted:
        msg = "`values` holds no value of the column's type"
        raise CannotAnswer(msg)
    values = ", ".join(f"(CAST({literal(value, asked.type)} AS {asked.type.name}))" for value in wanted)

    def sql(relation: str) -> str:
        wide = (
            f"(SELECT DISTINCT {asked.column} AS x FROM {_limited(asked, relation)} WHERE {asked.column} IS NOT NULL)"
        )
        given = f"(VALUES {values}) AS g(x)"
        return (
            f"SELECT (SELECT count(*) FROM {wide} AS w WHERE w.x NOT IN (SELECT x FROM {given})) AS other,"
            f" (SELECT count(DISTINCT x) FROM {given} WHERE x NOT IN (SELECT x FROM {wide})) AS absent"
        )

    def judge(values: Values, _: Past) -> Verdict:
        other, absent = values["other"], values["absent"]
        return Verdict(
            not other and not absent,
            f"`{asked.name}` holds {other} values that are not in the list, and lacks {absent} of {len(wanted)}.",
        )

    return Measure(
        sql,
        judge,
        rows=f"SELECT * FROM {subject(asked)} WHERE {asked.column} NOT IN (SELECT x FROM (VALUES {values}) AS g(x))",
    )


def _limited(asked: Asked, relation: str) -> str:
    when = asked.given("when")
    return f"(SELECT * FROM {relation} WHERE (\n{when}\n))" if when else relation


def _every(unit: str) -> Callable[[Asked], Measure]:
    def answer(asked: Asked) -> Measure:
        value = day(asked)
        holidays = ", ".join(f"DATE '{one}'" for one in asked.values("holidays"))
        skipped = f" AND d::DATE NOT IN ({holidays})" if holidays else ""
        skipped += " AND isodow(d) < 6" if asked.given("working_days") else ""

        def sql(relation: str) -> str:
            rows = _limited(asked, relation)
            there = f"(SELECT DISTINCT date_trunc('{unit}', {value})::DATE AS x FROM {rows} WHERE {value} IS NOT NULL)"
            ends = f"(SELECT min(x) AS a, max(x) AS b FROM {there} AS q)"
            every = f"(SELECT d FROM {ends} AS e, generate_series(a::TIMESTAMP, least(b::TIMESTAMP, a::TIMESTAMP + INTERVAL {LONGEST} {unit}), INTERVAL 1 {unit}) AS s(d) WHERE true{skipped})"
            return (
                f"SELECT count(*) FILTER (WHERE d::DATE NOT IN (SELECT x FROM {there} AS t)) AS gone,"
                f" min(d) FILTER (WHERE d::DATE NOT IN (SELECT x FROM {there} AS t))::DATE::VARCHAR AS first, count(*) AS n, (SELECT date_diff('{unit}', a, b) FROM {ends} AS f) AS far FROM {every} AS _e"
            )

        def judge(values: Values, _: Past) -> Verdict:
            gone, n = int(as_number(values["gone"]) or 0), int(as_number(values["n"]) or 0)
            if not n:
                return Verdict(ok=False, message=f"`{asked.name}` holds no day at all.")
            if (as_number(values["far"]) or 0) > LONGEST:
                return Verdict(
                    ok=False,
                    message=f"From the first to the last there are more than {LONGEST:,} {unit}s: one of them cannot be right.",
                )
            most = asked.number("at_most")
            told = f", the first from {values['first']}" if gone else ""
            return Verdict(gone <= most, f"{gone} of {n} {unit}s between the first and the last have no row{told}.")

        return Measure(sql, judge)

    return answer


def _recent(asked: Asked) -> Measure:
    days = asked.number("days")

    def judge(values: Values, past: Past) -> Verdict:
        last = values["v"]
        if last is None:
            return Verdict(ok=False, message=f"`{asked.name}` holds no day at all.")
        age = (past.now.date() - EPOCH).days - int(as_number(values["days"]) or 0)  # Python's days end at the year 9999
        return Verdict(
            age <= days, f"The last day in `{asked.name}` is {last}, {age} days ago; it may be {shown(days)} days ago."
        )

    return Measure(of(asked, f"max({day(asked)})::VARCHAR AS v, max({day(asked)}) - DATE '1970-01-01' AS days"), judge)


def _outliers(sign: int) -> Callable[[Asked], Measure]:
    def answer(asked: Asked) -> Measure:
        value, width, most = finite(asked), float(asked.number("deviations", 2)), asked.number("most", 5)
        side = "above" if sign > 0 else "below"

        def sql(relation: str) -> str:
            rows = _limited(asked, relation)
            limits = f"(SELECT avg({value}) AS _mesh_m, stddev_samp({value}) AS _mesh_s, count({value}) AS _mesh_n FROM {rows})"
            beyond = f"{value} {'>' if sign > 0 else '<'} _mesh_m {'+' if sign > 0 else '-'} {width!r} * _mesh_s"
            return f"SELECT coalesce(100.0 * count(*) FILTER (WHERE {beyond}) / nullif(any_value(_mesh_n), 0), 0) AS v FROM {rows} AS _o, {limits} AS _l"

        def judge(values: Values, _: Past) -> Verdict:
            found = as_number(values["v"]) or 0.0
            return Verdict(
                found <= most,
                f"{shown(found)} % of `{asked.name}` are more than {shown(width)} standard deviations {side} the mean; it may be {shown(most)} %.",
            )

        return Measure(sql, judge)

    return answer


def _aggregate(asked: Asked, relation: str, column: str | None, by: Sequence[str]) -> str:
    aggregate = str(asked.given("aggregate"))
    found = (
        "count(*)"
        if aggregate == "count" or column is None
        else f"{'sum' if aggregate == 'sum' else 'avg'}({quoted(column)}::DOUBLE)"
    )
    names = ", ".join(f"{quoted(theirs)} AS k{number}" for number, theirs in enumerate(by))
    group = ", ".join(map(quoted, by))
    return (
        f"(SELECT {names + ', ' if names else ''}{found} AS v FROM {relation}{' GROUP BY ' + group if group else ''})"
    )


def _balance(asked: Asked) -> Measure:
    by, theirs = asked.named("by"), asked.named("to_by") or asked.named("by")
    table = str(asked.given("to_table"))
    sql, types = asked.related(table)
    ours = asked.named("of")[0] if asked.named("of") else None
    other = str(asked.given("to_of") or ours) if ours else None
    for name in (*theirs, *([other] if other else [])):
        if name not in types:
            msg = f"`{table}` has no column `{name}`"
            raise CannotAnswer(msg)
    if len(by) != len(theirs):
        msg = f"as many columns of `{table}` are needed as of this table"
        raise CannotAnswer(msg)
    if str(asked.given("aggregate")) != "count" and ours is None:
        msg = "`of` must name the column that is added up"
        raise CannotAnswer(msg)
    low, high = float(asked.number("least", 0)), float(asked.number("most", 0))
    unit, floor = asked.given("unit_of_difference"), asked.given("only_below")
    there = _aggregate(asked, f"(SELECT * FROM {sql})", other, theirs)
    same = " AND ".join(f"a.k{i} IS NOT DISTINCT FROM b.k{i}" for i in range(len(by))) or "true"
    diff = "(coalesce(a.v, 0) - coalesce(b.v, 0))"
    off = f"100 * {diff} / nullif(abs(b.v), 0)" if unit == "percent" else diff
    tiny = "1e-9 * greatest(abs(coalesce(a.v, 0)), abs(coalesce(b.v, 0)))"
    limit = "0" if unit == "percent" else tiny
    above = "false" if floor else f"({off}) > {high!r} + {limit}"
    wrong = f"coalesce(({off}) < -({low!r} + {limit}) OR {above}, {diff} <> 0)"

    def joined(relation: str) -> str:
        here = _aggregate(asked, _limited(asked, relation), ours, by)
        return f"(SELECT a.v AS here, b.v AS there, {', '.join(f'coalesce(a.k{i}, b.k{i}) AS {quoted(name)}' for i, name in enumerate(by)) or '1 AS all_rows'}, {wrong} AS wrong FROM {here} AS a FULL JOIN {there} AS b ON {same})"

    def judge(values: Values, _: Past) -> Verdict:
        bad, groups = int(as_number(values["bad"]) or 0), values["n"]
        return Verdict(
            not bad,
            f"{bad} of {groups} {'groups' if by else 'totals'} differ from `{table}` by more than they may.",
            failing=bad,
        )

    return Measure(
        lambda relation: f"SELECT count(*) FILTER (WHERE wrong) AS bad, count(*) AS n FROM {joined(relation)}",
        judge,
        rows=f"SELECT * EXCLUDE (wrong) FROM {joined(asked.relation)} WHERE wrong",
    )


def _same_rows(asked: Asked) -> Measure:
    table = str(asked.given("to_table"))
    sql, types = asked.related(table)
    names = asked.named("columns") or tuple(name for name in asked.types if name in types)
    if missing := [name for name in names if name not in types]:
        msg = f"`{table}` has no column `{missing[0]}`"
        raise CannotAnswer(msg)
    if not names:
        msg = f"`{table}` has no column of this table"
        raise CannotAnswer(msg)
    columns = listed(names)

    def sides(relation: str) -> tuple[str, str]:
        here, there = f"SELECT {columns} FROM {_limited(asked, relation)}", f"SELECT {columns} FROM {sql}"
        return f"(({here}) EXCEPT ALL ({there}))", f"(({there}) EXCEPT ALL ({here}))"

    def judge(values: Values, _: Past) -> Verdict:
        more, less = values["more"], values["less"]
        return Verdict(
            not more and not less,
            f"{more} rows are not in `{table}`, and {less} of its rows are not here.",
            failing=int(as_number(more) or 0) + int(as_number(less) or 0),
        )

    more, _ = sides(asked.relation)
    return Measure(
        lambda relation: "SELECT (SELECT count(*) FROM {}) AS more, (SELECT count(*) FROM {}) AS less".format(
            *sides(relation)
        ),
        judge,
        rows=f"SELECT * FROM {more}",
    )


def _fresh(asked: Asked) -> Measure:
    def judge(values: Values, past: Past) -> Verdict:
        last = values["v"]
        if last is None:
            return Verdict(ok=False, message=f"`{asked.name}` holds no moment at all.")
        hours = (past.now.timestamp() - (as_number(values["seconds"]) or 0)) / 3600
        return Verdict(
            hours <= asked.number("hours"),
            f"The last moment in `{asked.name}` is {last}, {hours:,.1f} hours ago; it may be {shown(asked.number('hours'))}.",
        )

    moment = f"{asked.column} AT TIME ZONE 'UTC'" if "ZONE" in asked.type.name else asked.column
    latest = f"max(CASE WHEN isfinite({asked.column}) THEN ({moment})::TIMESTAMP END)"
    return Measure(of(asked, f"{latest}::VARCHAR AS v, epoch({latest}) AS seconds"), judge)


def measure_type(
    name: str,
    label: str,
    help_: str,
    answer: Callable[[Asked], Answer],
    *parameters: Parameter,
    **options: Unpack[Options],
) -> TestType:
    """A kind of test that measures."""
    defaults: Options = {"dimension": "consistency", "families": VALUES}
    return kind(name, label, help_, answer, *parameters, WHEN, **{**defaults, **options})


_PERIODS = (
    Parameter(name="at_most", form=Form.WHOLE, help="So many may be without a row.", default=0, low=0),
    Parameter(name="holidays", form=Form.DAYS, help="Days that are left out."),
    Parameter(name="working_days", form=Form.FLAG, help="Saturdays and Sundays are left out.", default=False),
)
_OUTLIERS = (
    Parameter(
        name="deviations",
        form=Form.NUMBER,
        help="So many standard deviations from the mean are far.",
        default=2,
        low=0.1,
        high=100,
    ),
    Parameter(name="most", form=Form.NUMBER, help="So many percent may be there.", default=5, low=0, high=100),
)
_OTHER = (Parameter(name="to_table", form=Form.TABLE, help="The other table, as `domain.table`.", needed=True),)

MEASURES = (
    measure_type("metric", "A metric of a column", "The metric is not between its limits.", _metric,
        Parameter(name="aggregate", form=Form.CHOICE, help="Of all values that are there.", needed=True, choices=tuple(AGGREGATES)), LOW, HIGH,
        dimension="accuracy", families=NUMERIC, example="aggregate: mean\nleast: 10\nmost: 20"),
    measure_type("quantile", "A quantile", "The quantile is not between its limits.", _quantile,
        Parameter(name="percent", form=Form.NUMBER, help="Which one; 50 is the median.", needed=True, low=0, high=100), LOW, HIGH,
        dimension="accuracy", families=NUMERIC, example="percent: 99\nmost: 1000"),
    measure_type("distinct_values", "Different values", "There are too few or too many.", _distinct, LOW, HIGH,
        theirs="Distinct_Value_Ct Small_Numeric_Value_Ct", example="least: 50\nmost: 50"),
    measure_type("distinct_days", "Different days", "There are too few or too many.", _distinct_days, LOW, HIGH,
        dimension="timeliness", families=DAYS, theirs="Distinct_Date_Ct", example="least: 300"),
    measure_type("longest_text", "The longest text", "It is too short, as when texts were cut, or too long.", _longest, LOW, HIGH,
        dimension="accuracy", families=TEXTS, theirs="Alpha_Trunc", example="least: 40"),
    measure_type("fractions", "What stands after the point", "Added up they are less than they were, as when decimals were cut.", _fractions, LOW, HIGH,
        dimension="accuracy", families=NUMERIC, theirs="Dec_Trunc", example="least: 1"),
    measure_type("rows", "Number of rows", "There are too few or too many, among those that `when` names.", _rows, LOW, HIGH,
        dimension="completeness", scope=Scope.TABLE, theirs="Row_Ct", example="when: country = 'PT'\nleast: 100"),
    measure_type("share", "Share of rows", "The percentage of rows that satisfy the condition is not between its limits.", _share,
        Parameter(name="condition", form=Form.CONDITION, help="Which rows are counted.", needed=True), LOW, HIGH,
        dimension="accuracy", scope=Scope.TABLE, example="condition: returned\nmost: 5"),
    measure_type("expression", "A metric in SQL", "The metric is not between its limits.", _expression,
        Parameter(name="expression", form=Form.EXPRESSION, help="One number, such as `sum(net) / count(distinct order_id)`.", needed=True), LOW, HIGH,
        dimension="accuracy", scope=Scope.TABLE, example="expression: sum(net) / count(distinct order_id)\nleast: 5\nmost: 50"),
    measure_type("all_values", "All values, and no other", "A value is there that is not in the list, or one of the list is nowhere.", _all_values,
        Parameter(name="values", form=Form.VALUES, help="The values.", needed=True),
        dimension="conformity", theirs="LOV_All", example="values: [open, paid, cancelled]"),
    measure_type("every_day", "Rows on every day", "A day between the first and the last has no row.", _every("day"), *_PERIODS,
        dimension="completeness", families=DAYS, theirs="Daily_Record_Ct", example="working_days: true"),
    measure_type("every_week", "Rows in every week", "A week between the first and the last has no row.", _every("week"), *_PERIODS[:1],
        dimension="completeness", families=DAYS, theirs="Weekly_Rec_Ct"),
    measure_type("every_month", "Rows in every month", "A month between the first and the last has no row.", _every("month"), *_PERIODS[:1],
        dimension="completeness", families=DAYS, theirs="Monthly_Rec_Ct"),
    measure_type("recent", "Recent", "The last day is too long ago.", _recent,
        Parameter(name="days", form=Form.WHOLE, help="So many days ago at most.", needed=True, low=0),
        dimension="timeliness", families=DAYS, theirs="Recency Recency_One_Year Recency_Six_Months", clock=True, example="days: 8"),
    measure_type("fresh", "Fresh", "The last moment is too many hours ago.", _fresh,
        Parameter(name="hours", form=Form.NUMBER, help="So many hours ago at most.", needed=True, low=0),
        dimension="timeliness", families=DAYS, clock=True, example="hours: 26"),
    measure_type("outliers_above", "Outliers above", "Too many values are far above the mean.", _outliers(1), *_OUTLIERS,
        dimension="accuracy", families=NUMERIC, theirs="Outlier_Pct_Above", example="deviations: 3\nmost: 1"),
    measure_type("outliers_below", "Outliers below", "Too many values are far below the mean.", _outliers(-1), *_OUTLIERS,
        dimension="accuracy", families=NUMERIC, theirs="Outlier_Pct_Below", example="deviations: 3\nmost: 1"),
    measure_type("balance", "In balance with another table", "A group's total differs from that of the other table.", _balance,
        Parameter(name="aggregate", form=Form.CHOICE, help="What is compared.", default="sum", choices=("sum", "count", "mean")),
        Parameter(name="of", form=Form.COLUMN, help="What is added up; not needed for `count`.", of=NUMERIC),
        Parameter(name="by", form=Form.COLUMNS, help="One total for each group; default: one for the table.", of=VALUES),
        *_OTHER,
        Parameter(name="to_of", form=Form.TEXT, help="The column there; default: of the same name."),
        Parameter(name="to_by", form=Form.TEXT, help="The groups there; default: of the same names."),
        Parameter(name="least", form=Form.NUMBER, help="So much may it be less.", default=0, low=0),
        Parameter(name="most", form=Form.NUMBER, help="So much may it be more.", default=0, low=0),
        Parameter(name="unit_of_difference", form=Form.CHOICE, help="What `least` and `most` are.", default="units", choices=("units", "percent")),
        Parameter(name="only_below", form=Form.FLAG, help="It may be more by any amount.", default=False),
        scope=Scope.TABLE, theirs="Aggregate_Balance Aggregate_Balance_Percent Aggregate_Balance_Range Aggregate_Minimum",
        example="of: net\nby: [month]\nto_table: shop.ledger\nleast: 1\nmost: 1\nunit_of_difference: percent"),
    measure_type("same_rows", "The same rows as another table", "A row is in one of the two tables only.", _same_rows, *_OTHER,
        Parameter(name="columns", form=Form.COLUMNS, help="What is compared; default: the columns that both have."),
        scope=Scope.TABLE, example="to_table: shop.invoices\ncolumns: [invoice_id, total]"),
)  # fmt: skip
