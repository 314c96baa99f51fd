"""Between which values the next one of a series will be, with so many false alarms; statsmodels' where there is enough."""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib.util import find_spec
from itertools import pairwise

FEW, MANY = 4, 20
WEEK = 7
Z = statistics.NormalDist()


@dataclass(frozen=True, slots=True)
class Point:
    """A value, and when it was."""

    at: datetime
    value: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """Where the next value is expected, and how that is known."""

    low: float
    high: float
    words: str


def forecast(known: Sequence[Point], moment: datetime, alarms: float, holidays: frozenset[date]) -> Forecast | None:
    """Where the value at `moment` is expected; None while there are fewer than four values.

    Args:
        known: Oldest first.
        moment: Of the value that is forecast.
        alarms: Share of good values that may fall outside.
        holidays: Days that are unlike others.
    """
    if len(known) < FEW:
        return None
    low, high, how = _interval(known, moment, alarms, holidays)
    tried = range(FEW, len(known))
    # Each earlier value, forecast from those before it by the plain rule: one alarm too many is told, not hidden.
    missed = sum(
        not _plain(known[:index], alarms)[0] <= known[index].value <= _plain(known[:index], alarms)[1]
        for index in tried
    )
    tested = f"; of {len(tried)} earlier versions {missed} would have failed" if tried else ""
    return Forecast(
        low, high, f"{low:,.6g} to {high:,.6g} is expected ({how}, {100 * alarms:.4g} % false alarms{tested})"
    )


def _interval(
    known: Sequence[Point], moment: datetime, alarms: float, holidays: frozenset[date]
) -> tuple[float, float, str]:
    low, high, how = _plain(known, alarms)
    if len(known) < MANY or len({point.value for point in known}) == 1:
        return low, high, how
    if find_spec("statsmodels") is None:
        return low, high, f"{how}; with the extra `forecast`, seasons count"
    try:
        return _seasonal(known, moment, alarms, holidays)
    except (ValueError, ArithmeticError) as error:  # numpy.linalg.LinAlgError is a ValueError
        return low, high, f"{how}; no seasonal model fits: {error}"


def _plain(known: Sequence[Point], alarms: float) -> tuple[float, float, str]:
    """Around the mean, or a step on from the last value: whichever told the earlier ones better."""
    values = [point.value for point in known]
    steps = [b - a for a, b in pairwise(values)]
    mean, step = statistics.fmean(values), statistics.fmean(steps)
    by_mean = statistics.fmean(
        abs(value - statistics.fmean(values[:index])) for index, value in enumerate(values) if index
    )
    by_step = statistics.fmean(abs(value - step) for value in steps)
    # A little is always in play, or the first change ever would be an alarm.
    if by_step < by_mean:
        middle, spread, n, how = values[-1] + step, statistics.stdev(steps), len(steps), "a step on"
    else:
        middle, spread, n, how = mean, statistics.stdev(values), len(values), "about the mean"
    spread = max(spread, 0.002 * abs(middle), 1e-9)
    half = _t(1 - alarms / 2, n - 1) * spread * math.sqrt(1 + 1 / n)
    return middle - half, middle + half, f"{how} of {len(values)} versions"


def _t(share: float, freedom: int) -> float:
    """Student's quantile: scipy's if it is there, else by Hill's expansion, which is within 1 % from 2 degrees on."""
    if find_spec("scipy") is not None:
        from scipy.stats import t

        return float(t.ppf(share, freedom))
    if freedom == 1:
        return math.tan(math.pi * (share - 0.5))
    if freedom == 2:  # noqa: PLR2004 - it has a closed form
        return (2 * share - 1) / math.sqrt(2 * share * (1 - share))
    z = Z.inv_cdf(share)
    g = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + sum(part / freedom**power for power, part in enumerate(g, start=1))


def _seasonal(
    known: Sequence[Point], moment: datetime, alarms: float, holidays: frozenset[date]
) -> tuple[float, float, str]:
    """A trend, weekdays and holidays, fitted by statsmodels, which knows how sure it is of the next value.

    Where the steps from one version to the next are told better by the plain rule, as of a random walk, that one stands.
    """
    import numpy as np
    from statsmodels.regression.linear_model import OLS

    values = np.array([point.value for point in known])
    days = [point.at.date() for point in known] + [moment.date()]
    if days[0] == days[-2]:  # a single day has neither trend nor calendar
        return _plain(known, alarms)
    features = [[1.0] * len(days), [(day - days[0]).days / WEEK for day in days]]
    if (days[-1] - days[0]).days >= 3 * WEEK:
        counted = Counter(day.weekday() for day in days[:-1])
        usual = [weekday for weekday, times in sorted(counted.items()) if times >= FEW - 1]
        features += [[float(day.weekday() == weekday) for day in days] for weekday in usual[1:]]
    free = [float(day in holidays) for day in days]
    if sum(free[:-1]) > 1:
        features.append(free)
    table = np.array(features).T
    found = OLS(values, table[:-1]).fit()
    low, high = (float(value) for value in found.get_prediction(table[-1:]).conf_int(obs=True, alpha=alarms)[0])
    plain = _plain(known, alarms)
    if not math.isfinite(high - low) or plain[1] - plain[0] < high - low:
        return plain
    slack = 0.002 * max(abs(low), abs(high))
    return low - slack, high + slack, f"trend and calendar of {len(values)} versions"
