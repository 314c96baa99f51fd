"""Tests against earlier versions of the table: shifts, drift, and forecasts that state their rate of false alarms."""

import json
import math
from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise
from typing import Unpack

from mesh_assets.audit.library.forecast import Point, forecast
from mesh_assets.audit.library.kinds import (
    DAYS,
    NUMERIC,
    VALUES,
    Answer,
    Asked,
    Compared,
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
    shown,
)
from mesh_assets.audit.library.measures import measure_type, of
from mesh_assets.audit.values import CannotAnswer, Family, quoted

FIRST = "There is no earlier version to compare with; this one is where it begins."
SERIES = 60
"""Earlier versions that a forecast looks at."""
BASE = Parameter(name="baseline", form=Form.NUMBER, help="What it is compared with; default: the version before.")
VERSIONS = Parameter(
    name="versions",
    form=Form.WHOLE,
    help="Earlier versions that are the baseline, together.",
    default=1,
    low=1,
    high=SERIES,
)


def _mean_of(past: Past, limit: int, sql: Callable[[str], str], name: str) -> float | None:
    found = [value for _, values in past.values(limit, sql) if (value := as_number(values[name])) is not None]
    return sum(found) / len(found) if found else None


def _moments(asked: Asked, column: str = "") -> Callable[[str], str]:
    value = column or finite(asked)
    return of(asked, f"avg({value}) AS m, coalesce(stddev_samp({value}), 0) AS s, count({value}) AS n")


def _mean_shift(asked: Asked) -> Measure:
    sql, limit, most = _moments(asked), int(asked.number("versions", 1)), asked.number("most", 0.5)

    def judge(values: Values, past: Past) -> Verdict:
        now, spread = as_number(values["m"]), as_number(values["s"]) or 0.0
        base, before = as_number(asked.given("baseline")), _mean_of(past, limit, sql, "s")
        base = _mean_of(past, limit, sql, "m") if base is None else base
        if base is None:
            return Verdict(ok=True, message=FIRST)
        if now is None:
            return Verdict(ok=False, message=f"`{asked.name}` holds no number; the mean was {shown(base)}.")
        pooled = math.sqrt((spread**2 + (before if before is not None else spread) ** 2) / 2)
        effect = abs(now - base) / pooled if pooled else 0.0 if now == base else math.inf
        return Verdict(
            effect <= most,
            f"The mean of `{asked.name}` is {shown(now)}, it was {shown(base)}: {shown(effect)} standard deviations; it may be {shown(most)}.",
        )

    return Measure(sql, judge)


def _new_shift(asked: Asked) -> Measure:
    """The rows that are more than before, as if they stood alone: their mean follows from both sums."""
    value = finite(asked)
    sql, most = (
        of(asked, f"sum({value}) AS t, count({value}) AS n, coalesce(stddev_samp({value}), 0) AS s"),
        asked.number("most", 0.5),
    )

    def judge(values: Values, past: Past) -> Verdict:
        before = past.values(1, sql)
        if not before:
            return Verdict(ok=True, message=FIRST)
        (total, count), (old, known) = (
            (as_number(one["t"]) or 0.0, as_number(one["n"]) or 0.0) for one in (values, before[-1][1])
        )
        new = count - known
        if new <= 0 or not known:
            return Verdict(ok=True, message="There are no more values than in the version before.")
        spread, mean = as_number(before[-1][1]["s"]) or 0.0, (total - old) / new
        effect = abs(mean - old / known) / spread if spread else 0.0 if math.isclose(mean, old / known) else math.inf
        chance = 2.58 / math.sqrt(new)  # what the mean of so few reaches in one of a hundred cases
        told = f"The {new:,.0f} new values of `{asked.name}` have a mean of {shown(mean)}, the others of {shown(old / known)}"
        limit = f"{shown(most)}{f', or {shown(chance)} by chance' if chance > most else ''}"
        return Verdict(effect <= max(most, chance), f"{told}: {shown(effect)} standard deviations; it may be {limit}.")

    return Measure(sql, judge)


def _spread(sign: int) -> Callable[[Asked], Measure]:
    def answer(asked: Asked) -> Measure:
        sql, limit, most = _moments(asked), int(asked.number("versions", 1)), asked.number("percent", 50)

        def judge(values: Values, past: Past) -> Verdict:
            base = as_number(asked.given("baseline"))
            base = _mean_of(past, limit, sql, "s") if base is None else base
            if base is None:
                return Verdict(ok=True, message=FIRST)
            now = as_number(values["s"]) or 0.0
            change = 100 * (now - base) / base if base else 0.0 if now == base else math.inf
            return Verdict(
                sign * change <= most,
                f"The standard deviation of `{asked.name}` is {shown(now)}, it was {shown(base)}: {change:+.4g} %; it may {'rise' if sign > 0 else 'fall'} by {shown(most)} %.",
            )

        return Measure(sql, judge)

    return answer


def _condition_shift(asked: Asked) -> Measure:
    condition = f"(\n{asked.given('condition')}\n)"
    return _share_shift(lambda _: f"count(*) FILTER (WHERE {condition})", "Rows that satisfy the condition")(asked)


def _share_shift(expression: Callable[[Asked], str], what: str) -> Callable[[Asked], Measure]:
    def answer(asked: Asked) -> Measure:
        sql, limit, most = (
            of(asked, f"100.0 * {expression(asked)} / nullif(count(*), 0) AS v"),
            int(asked.number("versions", 1)),
            asked.number("points", 5),
        )

        def judge(values: Values, past: Past) -> Verdict:
            base = as_number(asked.given("baseline"))
            base = _mean_of(past, limit, sql, "v") if base is None else base
            now = as_number(values["v"])
            if base is None:
                return Verdict(ok=True, message=FIRST)
            told = f"{what} in `{asked.name}`" if asked.test.columns else what
            if now is None:
                return Verdict(ok=False, message=f"There are no rows; {told} were {shown(base)} %.")
            return Verdict(
                abs(now - base) <= most,
                f"{told} are {shown(now)} %, they were {shown(base)} %; they may move by {shown(most)} points.",
            )

        return Measure(sql, judge)

    return answer


def _missing(asked: Asked) -> str:
    blank = (
        f" OR trim({asked.column}) = ''"
        if asked.type.family is Family.TEXT
        else f" OR isnan({asked.column})"
        if asked.type.family is Family.FLOAT
        else ""
    )
    return f"count(*) FILTER (WHERE {asked.column} IS NULL{blank})"


def _kept(expression: Callable[[Asked], str], what: str) -> Callable[[Asked], Measure]:
    """A value that must not fall below what it was."""

    def answer(asked: Asked) -> Measure:
        sql, slack = of(asked, f"{expression(asked)} AS v"), asked.number("percent", 0)

        def judge(values: Values, past: Past) -> Verdict:
            base = as_number(asked.given("baseline"))
            base = _mean_of(past, 1, sql, "v") if base is None else base
            if base is None:
                return Verdict(ok=True, message=FIRST)
            now, least = as_number(values["v"]) or 0.0, base * (1 - slack / 100)
            return Verdict(
                now >= least - 1e-9 * abs(least),
                f"{what} is {shown(now)}, it was {shown(base)}; it must be at least {shown(least)}.",
            )

        return Measure(sql, judge)

    return answer


def _rows_within(asked: Asked) -> Measure:
    sql, limit, most = of(asked, "count(*) AS v"), int(asked.number("versions", 1)), asked.number("percent")

    def judge(values: Values, past: Past) -> Verdict:
        base = as_number(asked.given("baseline"))
        base = _mean_of(past, limit, sql, "v") if base is None else base
        if base is None:
            return Verdict(ok=True, message=FIRST)
        now = as_number(values["v"]) or 0.0
        change = 100 * (now - base) / base if base else 0.0 if not now else math.inf
        return Verdict(
            abs(change) <= most,
            f"There are {now:,.0f} rows, there were {base:,.0f}: {change:+.4g} %; it may be {shown(most)} % more or less.",
        )

    return Measure(sql, judge)


def _trend(asked: Asked, expression: str, what: str) -> Measure:
    sql, alarms = of(asked, f"{expression} AS v"), asked.number("false_alarms", 1) / 100
    holidays = frozenset(date.fromisoformat(str(one)) for one in asked.values("holidays"))

    def judge(values: Values, past: Past) -> Verdict:
        now = as_number(values["v"])
        if now is None:
            return Verdict(ok=False, message=f"{what} is nothing.")
        known = [
            Point(earlier.at, value)
            for earlier, found in past.values(SERIES, sql)
            if (value := as_number(found["v"])) is not None
        ]
        told = forecast(known, past.now, alarms, holidays)
        if told is None:
            return Verdict(
                ok=True, message=f"{what} is {shown(now)}. It is learning: {len(known)} of 4 earlier versions."
            )
        return Verdict(told.low <= now <= told.high, f"{what} is {shown(now)}; {told.words}.")

    return Measure(sql, judge)


def _freshness(asked: Asked) -> Measure:
    """The time since the version before, by how long the steps between versions have been."""
    alarms = asked.number("false_alarms", 1) / 100

    def judge(_: Values, past: Past) -> Verdict:
        moments = [earlier.at for earlier in past.versions(SERIES)]
        if not moments:
            return Verdict(ok=True, message=FIRST)
        hours = [(b - a).total_seconds() / 3600 for a, b in pairwise(moments)]
        since = (past.now - moments[-1]).total_seconds() / 3600
        known = [Point(moment, value) for moment, value in zip(moments[1:], hours, strict=False)]
        told = forecast(known, past.now, alarms, frozenset())
        if told is None:
            return Verdict(
                ok=True,
                message=f"The version before is {since:,.1f} hours old. It is learning: {len(known)} of 4 steps between versions.",
            )
        return Verdict(since <= told.high, f"The version before is {since:,.1f} hours old; {told.words}.")

    return Measure(lambda _: "SELECT 1 AS v", judge)


def _changed(asked: Asked) -> Measure:
    hours = asked.number("hours")

    def judge(_: Values, past: Past) -> Verdict:
        versions = past.versions(1)
        if not versions:
            return Verdict(ok=True, message=FIRST)
        since = (past.now - versions[-1].at) / timedelta(hours=1)
        return Verdict(
            since <= hours, f"The version before was published {since:,.1f} hours ago; it may be {shown(hours)}."
        )

    return Measure(lambda _: "SELECT 1 AS v", judge)


def _schema(asked: Asked) -> Compared:
    left_out = set(asked.named("except"))

    def described(relation: str) -> str:
        # A query about columns only: no row is read.
        return f"(SELECT to_json(list([column_name, column_type])) FROM (DESCRIBE SELECT * FROM {relation}))"

    def judge(values: Values) -> Verdict:
        now, before = ({item[0]: item[1] for item in _pairs(values[side])} for side in ("now", "before"))
        told = [
            f"`{name}` is new"
            for name in now
            if name not in before and name not in left_out and not asked.given("more_is_fine")
        ]
        told += [f"`{name}` is gone" for name in before if name not in now and name not in left_out]
        told += [
            f"`{name}` is {now[name]}, it was {before[name]}"
            for name in now
            if name in before and now[name] != before[name] and name not in left_out
        ]
        return Verdict(
            not told,
            "; ".join(told) + "." if told else "The columns are those of the version before.",
            failing=len(told),
        )

    return Compared(lambda now, before: f"SELECT {described(now)} AS now, {described(before)} AS before", judge)


def _pairs(value: object) -> list[list[str]]:
    return json.loads(str(value))


def _shares(asked: Asked) -> Callable[[str, str], str]:
    """Per bin the share of rows now and before: values as they are, numbers by the deciles of what was before."""
    column, number = asked.column, asked.type.family in NUMERIC
    value = finite(asked) if number else f"{column}::VARCHAR"

    def sql(now: str, before: str) -> str:
        a, b = (
            f"(SELECT {value} AS x FROM {_limited(asked, side)} WHERE {column} IS NOT NULL)" for side in (now, before)
        )
        if number:
            # Equal-count bins; ties fall together, so that few values make few bins.
            edges = f"(SELECT list_distinct(quantile_cont(x, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])) AS e FROM {b} AS q)"
            bins = "len(list_filter(e, lambda c: c < x))"
            one, other = (
                f"(SELECT {bins} AS bin FROM {a} AS r, {edges} AS k)",
                f"(SELECT {bins} AS bin FROM {b} AS r, {edges} AS k)",
            )
        else:
            one, other = f"(SELECT x AS bin FROM {a} AS r)", f"(SELECT x AS bin FROM {b} AS r)"
        p = f"(SELECT bin, count(*) / sum(count(*)) OVER () AS v FROM {one} AS u GROUP BY bin)"
        q = f"(SELECT bin, count(*) / sum(count(*)) OVER () AS v FROM {other} AS u GROUP BY bin)"
        both = f"(SELECT coalesce(p.v, 0)::DOUBLE AS p, coalesce(q.v, 0)::DOUBLE AS q FROM {p} AS p FULL JOIN {q} AS q ON p.bin = q.bin)"
        half = "((p + q) / 2)"
        js = f"sum(CASE WHEN p > 0 THEN p * ln(p / {half}) ELSE 0 END + CASE WHEN q > 0 THEN q * ln(q / {half}) ELSE 0 END) / 2 / ln(2)"
        psi = "sum((greatest(p, 1e-4) - greatest(q, 1e-4)) * ln(greatest(p, 1e-4) / greatest(q, 1e-4)))"
        counts = f"(SELECT count(*) FROM {a} AS c) AS n, (SELECT count(*) FROM {b} AS c) AS m"
        return f"SELECT {js} AS js, {psi} AS psi, NULL AS ks, {counts} FROM {both} AS s"

    return sql


def _steps(asked: Asked) -> Callable[[str, str], str]:
    """The greatest distance between the two distributions, added up value by value: Kolmogorov and Smirnov's."""
    value = finite(asked) if asked.type.family in NUMERIC else f"epoch({day(asked)})"

    def sql(now: str, before: str) -> str:
        a, b = (f"SELECT {value} AS x FROM {_limited(asked, side)}" for side in (now, before))
        rows = f"(SELECT x, 1 AS p, 0 AS q FROM ({a}) UNION ALL SELECT x, 0, 1 FROM ({b}))"
        steps = f"(SELECT x, sum(p) AS p, sum(q) AS q FROM {rows} WHERE x IS NOT NULL GROUP BY x)"
        sums = f"(SELECT sum(p) OVER (ORDER BY x) / nullif(sum(p) OVER (), 0) - sum(q) OVER (ORDER BY x) / nullif(sum(q) OVER (), 0) AS d, sum(p) OVER () AS n, sum(q) OVER () AS m FROM {steps} AS s)"
        return f"SELECT NULL AS js, NULL AS psi, max(abs(d)) AS ks, max(n) AS n, max(m) AS m FROM {sums} AS t"

    return sql


WRITINGS = {
    "upper": ("{0} = upper({0}) AND {0} <> lower({0})", "in capitals only"),
    "lower": ("{0} = lower({0}) AND {0} <> upper({0})", "without a capital"),
}
"""Ways in which the letters of a text can be written, each with its words."""
CHANCE = 2.93
"""Deviations that one of three figures reaches by chance in about one of a hundred cases."""


def _writing(asked: Asked) -> Compared:
    """How long texts are and how their letters are written: a few that are cut or in another case move both."""
    points, percent = asked.number("points", 2), asked.number("percent", 2)
    ways = ", ".join(
        f"count(*) FILTER (WHERE {condition.format(asked.column)}) AS {name}"
        for name, (condition, _) in WRITINGS.items()
    )
    figures = f"count({asked.column}) AS n, avg(length({asked.column})) AS mean, coalesce(stddev_samp(length({asked.column})), 0) AS sd, {ways}"

    def sql(now: str, before: str) -> str:
        sides = (
            f"(SELECT to_json(f) FROM (SELECT {figures} FROM {_limited(asked, side)}) AS f)" for side in (now, before)
        )
        return "SELECT {} AS now, {} AS before".format(*sides)

    def judge(values: Values) -> Verdict:
        now, before = (json.loads(str(values[side])) for side in ("now", "before"))
        n, m = now["n"], before["n"]
        if not n or not m:
            return Verdict(n == m, f"`{asked.name}` has {n:,} texts, and the version before {m:,}.")
        error = math.sqrt(1 / n + 1 / m)
        limit = max(percent * before["mean"] / 100, CHANCE * max(now["sd"], before["sd"]) * error)
        moved = [(f"long, {shown(now['mean'])} characters in the mean", now["mean"], before["mean"], limit)]
        for name, (_, words) in WRITINGS.items():
            one, other, both = now[name] / n, before[name] / m, (now[name] + before[name]) / (n + m)
            most = max(points, 100 * CHANCE * math.sqrt(both * (1 - both)) * error)
            moved.append((f"{shown(100 * one)} % {words}", 100 * one, 100 * other, most))
        told = [
            f"{what}; it was {shown(was)}, and may move by {shown(most)}"
            for what, is_, was, most in moved
            if abs(is_ - was) > most
        ]
        good = "Length and case are about those of the version before."
        return Verdict(not told, f"`{asked.name}` is {'; '.join(told)}." if told else good)

    return Compared(sql, judge)


LIMITS = {"js": 0.1, "psi": 0.2, "ks": 0.1}
METHODS = {
    "js": "Jensen and Shannon's divergence",
    "psi": "the population stability index",
    "ks": "Kolmogorov and Smirnov's distance",
}


def _drift(asked: Asked) -> Compared | Measure:
    method = str(asked.given("method"))
    if method == "ks" and asked.type.family not in NUMERIC | DAYS:
        msg = f"`ks` compares numbers and days, and `{asked.name}` is {asked.type.name}; use `js` or `psi`"
        raise CannotAnswer(msg)
    sql, most = _steps(asked) if method == "ks" else _shares(asked), asked.number("most", LIMITS[method])

    def judge(values: Values) -> Verdict:
        found, n, m = as_number(values[method]), as_number(values["n"]) or 0, as_number(values["m"]) or 0
        if not n or not m or found is None:
            return Verdict(n == m, f"`{asked.name}` has {n:,.0f} values, and what it is compared with {m:,.0f}.")
        noise = _noise(method, n, m)
        told = f"{METHODS[method]} of `{asked.name}` is {shown(found)}; it may be {shown(most)}"
        # A small table differs from its like by chance: what one alarm in a hundred is made of is let pass, and said.
        return Verdict(
            found <= max(most, noise),
            f"{told}{f', or {shown(noise)} by chance at {n:,.0f} and {m:,.0f} values' if noise > most else ''}.",
        )

    table = asked.given("to_table")
    if not table:
        return Compared(sql, judge)
    other, types = asked.related(str(table))
    name = str(asked.given("to_column") or asked.name)
    if name not in types:
        msg = f"`{table}` has no column `{name}`"
        raise CannotAnswer(msg)
    renamed = f"(SELECT {quoted(name)} AS {asked.column} FROM {other})"
    return Measure(lambda relation: sql(relation, renamed), lambda values, _: judge(values))


def _noise(method: str, n: float, m: float) -> float:
    """What two samples of one distribution reach in about one of a hundred cases, with ten bins."""
    harmonic = 1 / n + 1 / m
    if method == "ks":
        return 1.63 * math.sqrt(harmonic)
    chi = 21.67  # the 99th percentile of chi square with 9 degrees of freedom
    return chi * harmonic if method == "psi" else chi * harmonic / (8 * math.log(2))


def _limited(asked: Asked, relation: str) -> str:
    when = asked.given("when")
    return f"(SELECT * FROM {relation} WHERE (\n{when}\n))" if when else relation


def _type(
    name: str,
    label: str,
    help_: str,
    answer: Callable[[Asked], Answer],
    *parameters: Parameter,
    **options: Unpack[Options],
) -> TestType:
    options["history"] = True
    return measure_type(name, label, help_, answer, *parameters, **options)


def _most(name: str, default: float, help_: str) -> Parameter:
    return Parameter(name=name, form=Form.NUMBER, help=help_, default=default, low=0)


_FORECAST = (
    Parameter(
        name="false_alarms",
        form=Form.NUMBER,
        help="In how many of a hundred good versions it may fail.",
        default=1,
        low=0.001,
        high=50,
    ),
    Parameter(name="holidays", form=Form.DAYS, help="Days that are unlike others."),
)
_PERCENT = Parameter(
    name="percent", form=Form.NUMBER, help="So many percent less are fine.", default=0, low=0, high=100
)

HISTORY = (
    _type("mean_shift", "The mean has moved", "The mean is too far from what it was.", _mean_shift,
        _most("most", 0.5, "So many standard deviations (Cohen's d)."), BASE, VERSIONS, families=NUMERIC, theirs="Avg_Shift", example="most: 0.3\nversions: 7"),
    _type("new_rows_shift", "The mean of new rows has moved", "The mean of the rows that came is too far from that of the others.", _new_shift,
        _most("most", 0.5, "So many standard deviations (Cohen's d)."), dimension="accuracy", families=NUMERIC, theirs="Incr_Avg_Shift"),
    _type("missing_shift", "More or fewer are missing", "The percentage of values that are missing has moved.",
        _share_shift(_missing, "Missing values"), _most("points", 5, "By so many points of percent."), BASE, VERSIONS,
        dimension="completeness", theirs="Missing_Pct", example="points: 2"),
    _type("share_shift", "A share has moved", "The percentage of rows that satisfy the condition has moved.", _condition_shift,
        Parameter(name="condition", form=Form.CONDITION, help="Which rows are counted.", needed=True),
        _most("points", 5, "By so many points of percent."), BASE, VERSIONS,
        dimension="accuracy", scope=Scope.TABLE, example="condition: returned\npoints: 2"),
    _type("unique_shift", "More or fewer are different", "The percentage of different values has moved.",
        _share_shift(lambda asked: f"count(DISTINCT {asked.column})", "Different values"), _most("points", 5, "By so many points of percent."), BASE, VERSIONS,
        dimension="uniqueness", theirs="Unique_Pct", example="points: 1"),
    _type("spread_increase", "More variable than before", "The standard deviation has risen.", _spread(1),
        _most("percent", 50, "By so many percent."), BASE, VERSIONS, dimension="accuracy", families=NUMERIC, theirs="Variability_Increase"),
    _type("spread_decrease", "Less variable than before", "The standard deviation has fallen.", _spread(-1),
        _most("percent", 50, "By so many percent."), BASE, VERSIONS, dimension="accuracy", families=NUMERIC, theirs="Variability_Decrease"),
    _type("rows_kept", "No rows lost", "There are fewer rows than before.", _kept(lambda _: "count(*)", "The number of rows"), _PERCENT, BASE,
        dimension="completeness", scope=Scope.TABLE, example="percent: 2"),
    _type("values_kept", "No values lost", "There are fewer different values than before.",
        _kept(lambda asked: f"count(DISTINCT {asked.column})", "The number of different values"), _PERCENT, BASE, dimension="completeness"),
    _type("texts_kept", "Texts not cut", "The longest text is shorter than before.",
        _kept(lambda asked: f"max(length({asked.column}))", "The length of the longest text"), _PERCENT, BASE,
        dimension="accuracy", families=frozenset({Family.TEXT})),
    _type("writing_shift", "Texts are written as before", "Length or case of the texts has moved, in the mean of all, by more than chance.", _writing,
        _most("points", 2, "Texts in capitals only, or without any, by so many points of percent."),
        _most("percent", 2, "The mean length, by so many percent."),
        dimension="accuracy", families=frozenset({Family.TEXT}), example="points: 1"),
    _type("fractions_kept", "Decimals not cut", "What stands after the point is less than before, added up.",
        _kept(lambda asked: f"coalesce(sum(abs({finite(asked)} - trunc({finite(asked)}))), 0)", "What stands after the point, added up,"), _PERCENT, BASE,
        dimension="accuracy", families=NUMERIC),
    _type("rows_within", "About as many rows", "There are many more or fewer rows than before.", _rows_within,
        Parameter(name="percent", form=Form.NUMBER, help="So many percent more or less.", needed=True, low=0), BASE, VERSIONS,
        dimension="completeness", scope=Scope.TABLE, theirs="Row_Ct_Pct", example="percent: 20\nversions: 7"),
    _type("volume_trend", "As many rows as expected", "The number of rows is outside of the forecast.",
        lambda asked: _trend(asked, "count(*)", "The number of rows"), *_FORECAST,
        dimension="completeness", scope=Scope.TABLE, theirs="Volume_Trend", example="false_alarms: 0.5"),
    _type("metric_trend", "A metric as expected", "The metric is outside of the forecast.",
        lambda asked: _trend(asked, f"({asked.given('expression')})::DOUBLE", "The metric"),
        Parameter(name="expression", form=Form.EXPRESSION, help="One number, such as `sum(net)`.", needed=True), *_FORECAST,
        dimension="accuracy", scope=Scope.TABLE, theirs="Metric_Trend", example="expression: sum(net)"),
    _type("freshness_trend", "As fresh as expected", "The version before is older than versions have been.", _freshness, _FORECAST[0],
        dimension="timeliness", scope=Scope.TABLE, theirs="Freshness_Trend", clock=True),
    _type("changed_within", "Changed lately", "Nothing new has been published for too long.", _changed,
        Parameter(name="hours", form=Form.NUMBER, help="So many hours ago at most.", needed=True, low=0),
        dimension="timeliness", scope=Scope.TABLE, theirs="Table_Freshness", clock=True, example="hours: 26"),
    _type("schema_unchanged", "The same columns", "A column is new, gone or of another type.", _schema,
        Parameter(name="except", form=Form.TEXT, help="Columns that may change."),
        Parameter(name="more_is_fine", form=Form.FLAG, help="New columns are fine.", default=False),
        dimension="conformity", scope=Scope.TABLE, theirs="Schema_Drift", example="more_is_fine: true"),
    _type("distribution_shift", "The distribution has moved", "The distribution is too far from that of the version before, or of another table.", _drift,
        Parameter(name="method", form=Form.CHOICE, help="Jensen-Shannon, population stability, or Kolmogorov-Smirnov.", default="js", choices=("js", "psi", "ks")),
        Parameter(name="most", form=Form.NUMBER, help="How far it may be; default: 0.1 for js and ks, 0.2 for psi.", low=0),
        Parameter(name="to_table", form=Form.TABLE, help="Compare with this table instead."),
        Parameter(name="to_column", form=Form.TEXT, help="The column there; default: of the same name."),
        families=VALUES, theirs="Distribution_Shift", example="method: psi\nmost: 0.25"),
)  # fmt: skip
