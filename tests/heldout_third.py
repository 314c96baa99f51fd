"""A third set that nobody looked at while the rules were written: worlds that are drawn, not written.

Ports are drawn of families of columns, with names, promises and rows; readers are grown, query by query, from a grammar of steps
(filter, compute, rename, aggregate, number, join with themselves, union, `*`, names by place, first rows …), each on what the one
before gives; changes are drawn for random columns, some two at once. Labelled like the others, by executing the readers.
"""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import duckdb

from tests.labelling import Change, Kit

NAMES = re.findall(
    r'"[^"]+"|\S+',
    "id ref serial status amount Total weight count level ratio share region zone note comment label tag opened closed day moment state "
    '"Unit Price" "Order" "Group" "Booked On" CostCentre IsActive rank_no unit value kind source target limit_value part member grade score',
)
TABLES = ["north.entries", "south.items", "east.events", "west.cases", "upper.moves", "lower.stocks"]
FAMILIES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "count": ("INTEGER", "(i * {p} % {m})::INTEGER", ("required: true", "logicalTypeOptions: {{minimum: 0, maximum: {m}}}")),
    "small": ("SMALLINT", "(i % {m})::SMALLINT", ("required: true", "logicalTypeOptions: {{minimum: 0}}")),
    "large": ("BIGINT", "case when i % 7 > 0 then (i * {p} * 101)::BIGINT end", ()),
    "money": ("DECIMAL(10,2)", "(i * {p} % 700 + 0.5)::DECIMAL(10,2)", ("required: true", "logicalTypeOptions: {{minimum: 0, maximum: 900}}", "customProperties: [{{property: unit, value: CHF}}]")),
    "ratio": ("DOUBLE", "(i * {p} % 100)::DOUBLE / 100", ("required: true", "logicalTypeOptions: {{minimum: 0, maximum: 1}}")),
    "code": ("VARCHAR", "['low', 'mid', 'top', 'end'][i % 4 + 1]", ("required: true", "quality: [{{id: {r}_known, metric: invalidValues, arguments: {{validValues: [low, mid, top, end]}}, mustBe: 0}}]")),
    "label": ("VARCHAR", "'AB-' || lpad((i * {p} % 89)::VARCHAR, 3, '0')", ("required: true", "logicalTypeOptions: {{pattern: '^[A-Z]{{2}}-[0-9]{{3}}$'}}")),
    "day": ("DATE", "date '2025-01-01' + (i * {p} % 60)::INTEGER", ("required: true",)),
    "moment": ("TIMESTAMP", "timestamp '2025-01-01 07:00:00' + to_minutes((i * {p} * 7)::INTEGER)", ("required: true",)),
    "flag": ("BOOLEAN", "i % {p} < 2", ("required: true",)),
    "note": ("VARCHAR", "case when i % 5 > 1 then 'note ' || (i % 9) end", ("customProperties: [{{property: nullMeaning, value: none was made}}]",)),
    "loose": ("VARCHAR", "case when i % 9 > 0 then 'x' || (i % 11) end", ("quality: [{{id: {r}_mostly, metric: nullValues, unit: percent, mustBeLessThan: 25, severity: error}}]",)),
}  # fmt: skip
"""Type, what the rows hold, what is promised."""
WHERE = {
    "count": ["{x} > 2", "{x} <> 4", "{x} between 1 and 9"], "small": ["{x} = 1", "{x} in (0, 2)"], "large": ["{x} > 500", "{x} is not null"],
    "money": ["{x} >= 100", "{x} < 650.5"], "ratio": ["{x} < 0.75", "not {x} > 0.9"], "code": ["{x} = 'mid'", "{x} <> 'end'", "{x} in ('low', 'top')"],
    "label": ["{x} like 'AB-0%'", "{x} > 'AB-01'"], "day": ["{x} >= date '2025-01-10'", "year({x}) = 2025"], "moment": ["{x} > timestamp '2025-01-01 09:00:00'"],
    "flag": ["{x}", "not {x}"], "note": ["{x} is not null", "{x} <> 'note 3'"], "loose": ["{x} is not null", "coalesce({x}, '') <> 'x1'"], "text": ["{x} <> 'zz'"],
}  # fmt: skip
MADE = {
    "count": [("{x} * 3", "count"), ("{x} // 2", "count"), ("100 / (1 + {x})", "ratio"), ("{x}::VARCHAR || '!'", "text")],
    "small": [("{x} + 1", "count"), ("case {x} when 0 then 'none' when 1 then 'one' else 'more' end", "text")],
    "large": [("coalesce({x}, 0)", "count"), ("{x} % 10", "count")],
    "money": [("round({x}, 0)", "money"), ("{x} / 3", "ratio"), ("({x} * 1.08)::DECIMAL(12,2)", "money")],
    "ratio": [("1 - {x}", "ratio"), ("floor({x} * 10)::INTEGER", "count"), ("sqrt({x})", "ratio")],
    "code": [("upper({x})", "text"), ("case {x} when 'low' then 1 when 'mid' then 2 when 'top' then 3 when 'end' then 4 else error('unknown ' || {x}) end", "count"), ("case when {x} = 'end' then 'closed' else 'going' end", "text"), ("map {{'low': 1, 'mid': 2, 'top': 3, 'end': 4}}[{x}]", "count")],
    "label": [("substr({x}, 4)::INTEGER", "count"), ("split_part({x}, '-', 1)", "text"), ("length({x})", "count")],
    "day": [("strftime({x}, '%Y-%m')", "text"), ("{x} + 7", "day"), ("date_diff('day', date '2025-01-01', {x})", "count"), ("month({x})", "count")],
    "moment": [("{x}::DATE", "day"), ("hour({x})", "count"), ("date_trunc('hour', {x})", "moment")],
    "flag": [("{x}::INTEGER", "count"), ("case when {x} then 'yes' else 'no' end", "text")],
    "note": [("coalesce({x}, 'nothing')", "text"), ("{x} is null", "flag"), ("length({x})", "count")],
    "loose": [("coalesce(upper({x}), '?')", "text"), ("{x} || '.'", "text")],
    "text": [("lower({x})", "text"), ("length({x})", "count")],
}  # fmt: skip
SUMS = {
    "count": ["sum({x})", "max({x})", "avg({x})"], "small": ["min({x})", "count(distinct {x})"], "large": ["max({x})", "count({x})"], "money": ["sum({x})", "avg({x})"],
    "ratio": ["max({x})", "median({x})"], "code": ["count(distinct {x})", "max({x})"], "label": ["min({x})", "string_agg({x}, ',' order by {x})"], "day": ["max({x})"],
    "moment": ["min({x})"], "flag": ["bool_or({x})", "count(*) filter ({x})"], "note": ["count({x})", "max({x})"], "loose": ["count({x})"], "text": ["count(distinct {x})"],
}  # fmt: skip
GROUPS = ("code", "small", "flag", "day", "text")
ALIASES = [
    "n",
    "half",
    "shown",
    "kg",
    "sum_of",
    "first_one",
    "share_of",
    "a_text",
    "since",
    "more",
    "at_all",
    "result",
    "tot",
    "pos",
    "mark",
]
Cols = list[tuple[str, str]]
"""How a column is written, and of which family it is."""


@dataclass
class _Growing:
    """A reader that grows: what stands already, and what its last query gives."""

    pick: random.Random
    port: str = "{port}"
    before: list[str] = field(default_factory=list)
    name: str = "{port}"
    cols: Cols = field(default_factory=list)
    key: str = "{a}"
    aliases: list[str] = field(default_factory=list)

    def alias(self) -> str:
        return self.aliases.pop()

    def draw(self, number: int, *families: str) -> Cols:
        found = [one for one in self.cols if not families or one[1] in families]
        return self.pick.sample(found, min(number, len(found)))

    def listed(self, cols: Cols) -> str:
        return ", ".join(dict.fromkeys([*([self.key] if self.key else []), *(name for name, _ in cols)]))

    def where(self) -> str:
        column, family = self.pick.choice([one for one in self.cols if one[1] in WHERE])
        return self.pick.choice(WHERE[family]).replace("{x}", column)

    def step(self, last: str, cols: Cols, key: str | None) -> None:
        """What was last is put into a query with a name, and another one stands on it."""
        name = f"s{len(self.before)}"
        self.before.append(f"{name} as ({last})")
        self.name, self.cols, self.key = name, cols, key or ""

    def text(self) -> str:
        return f"with {', '.join(self.before[:-1])} {self.last}" if len(self.before) > 1 else self.last

    @property
    def last(self) -> str:
        return self.before[-1].partition(" as (")[2][:-1]


def _some(it: _Growing) -> None:
    kept = it.draw(it.pick.randint(2, 4))
    it.step(f"select {it.listed(kept)} from {it.name} where {it.where()}", kept, it.key)


def _all(it: _Growing) -> None:
    it.step(f"select * from {it.name} where {it.where()}", it.cols, it.key)


def _leave_out(it: _Growing) -> None:
    (gone,) = it.draw(1)
    if gone[0] != it.key and len(it.cols) > 2:
        it.step(f"select * exclude ({gone[0]}) from {it.name}", [one for one in it.cols if one != gone], it.key)


def _compute(it: _Growing) -> None:
    ((column, family),) = it.draw(1, *MADE)
    made, gives = it.pick.choice(MADE[family])
    alias, made = it.alias(), made.replace("{x}", column)
    if it.pick.random() < 0.5:
        it.step(f"select *, {made} as {alias} from {it.name}", [*it.cols, (alias, gives)], it.key)
    else:
        kept = it.draw(2)
        it.step(f"select {it.listed(kept)}, {made} as {alias} from {it.name}", [*kept, (alias, gives)], it.key)


def _rename(it: _Growing) -> None:
    kept = it.draw(3)
    new = [(it.alias() if it.pick.random() < 0.6 else name, name, family) for name, family in kept if name != it.key]
    said = ", ".join(f"{name} as {alias}" if alias != name else name for alias, name, _ in new)
    head = f"{it.key}, " if it.key else ""
    if said:
        it.step(f"select {head}{said} from {it.name}", [(alias, family) for alias, _, family in new], it.key)


def _aggregate(it: _Growing) -> None:
    by = it.draw(it.pick.randint(1, 2), *GROUPS)
    of = [one for one in it.draw(2, *SUMS) if one not in by]
    if not by:
        return
    made = [(it.pick.choice(SUMS[family]).replace("{x}", column), it.alias()) for column, family in of]
    items = ", ".join([*(name for name, _ in by), "count(*) as rows_", *(f"{sql} as {alias}" for sql, alias in made)])
    names = ", ".join(name for name, _ in by)
    group = it.pick.choice([names, ", ".join(str(place) for place in range(1, len(by) + 1)), "all"])
    having = it.pick.choice(["", " having count(*) > 2"])
    it.step(f"select {items} from {it.name} group by {group}{having}", [*by, ("rows_", "count")], "")


def _window(it: _Growing) -> None:
    by, of = it.draw(1, *GROUPS), it.draw(1, "count", "money", "small", "large")
    if not it.key or not by or not of:
        return
    alias, over = it.alias(), f"over (partition by {by[0][0]} order by {it.key})"
    made = it.pick.choice([f"sum({of[0][0]}) {over}", f"row_number() {over}", f"lag({of[0][0]}) {over}"])
    kept = list(dict.fromkeys([*by, *of]))
    if it.pick.random() < 0.4:
        last = f"select {it.listed(kept)} from {it.name} qualify row_number() {over} <= 2"
        it.step(last, kept, it.key)
    else:
        it.step(f"select {it.listed(kept)}, {made} as {alias} from {it.name}", kept, it.key)


def _join(it: _Growing) -> None:
    by, kept = it.draw(1, *GROUPS), it.draw(2)
    if not by or not it.key:
        return
    on, alias = by[0][0], it.alias()
    sizes = f"(select {on}, count(*) as {alias} from {it.name} group by {on})"
    cols = [one for one in kept if one[0] not in (it.key, on)]
    side = it.pick.choice(["join", "left join"])
    if it.pick.random() < 0.5:
        items = ", ".join([f"l.{it.key}", *(f"l.{name}" for name, _ in cols), f"r.{alias}"])
        last = f"select {items} from {it.name} as l {side} {sizes} as r on l.{on} = r.{on}"
    else:
        items = ", ".join([it.key, on, *(name for name, _ in cols), alias])
        last, cols = f"select {items} from {it.name} {side} {sizes} as r using ({on})", [*cols, by[0]]
    it.step(last, [*cols, (alias, "count")], it.key)


def _union(it: _Growing) -> None:
    kept = it.draw(it.pick.randint(2, 3))
    if it.pick.random() < 0.5:
        same = f"select {it.listed(kept)} from {it.name}"
        it.step(f"{same} where {it.where()} union all {same} where {it.where()}", kept, "")
    elif it.pick.random() < 0.5:
        it.step(f"select * from {it.name} where {it.where()} union all select * from {it.name}", it.cols, "")
    else:
        it.step(f"select * from {it.name} union all select * from (select * from {it.name} limit 0)", it.cols, it.key)


def _by_place(it: _Growing) -> None:
    if it.before and it.pick.random() < 0.5:
        return
    count = it.pick.randint(2, min(4, len(it.cols)))
    names = [it.alias() for _ in range(count)]
    if it.name == "{port}":
        cols = [(alias, family) for alias, (_, family) in zip(names, it.cols, strict=False)]
        it.step(f"select {', '.join(names)} from {it.name} as t({', '.join(names)})", cols, "")


def _few(it: _Growing) -> None:
    by = it.draw(1, *GROUPS)
    if by:
        often = f"(select {by[0][0]} from {it.name} group by {by[0][0]} having count(*) > 9)"
        kept = it.draw(3)
        it.step(f"select {it.listed(kept)} from {it.name} where {by[0][0]} in {often}", kept, it.key)


def _above(it: _Growing) -> None:
    of = it.draw(1, "count", "money", "ratio", "large")
    if of:
        kept = it.draw(2)
        mean = f"(select avg({of[0][0]}) from {it.name})"
        it.step(f"select {it.listed(kept)} from {it.name} where {of[0][0]} > {mean}", kept, it.key)


def _first(it: _Growing) -> None:
    if it.key:
        kept = it.draw(3)
        it.step(f"select {it.listed(kept)} from {it.name} order by {it.key} desc limit 15", kept, it.key)


def _distinct(it: _Growing) -> None:
    kept = it.draw(2, *GROUPS)
    if kept:
        it.step(f"select distinct {', '.join(name for name, _ in kept)} from {it.name}", kept, "")


STEPS = (_some, _some, _all, _all, _leave_out, _compute, _compute, _compute, _rename, _rename, _aggregate, _aggregate, _window, _join, _union, _by_place, _few, _above, _first, _distinct)  # fmt: skip


def _grown(pick: random.Random, families: Mapping[str, str], rows: str, names: Mapping[str, str]) -> str:
    """A reader's SQL that stands on the rows; what does not stand is thrown away."""
    while True:
        cols = [(f"{{{role}}}", family) for role, family in families.items()]
        it = _Growing(pick, cols=cols, aliases=pick.sample(ALIASES, len(ALIASES)))
        for step in pick.sample(STEPS, pick.randint(2, 5)):
            if it.cols:
                step(it)
        if not it.before:
            continue
        text = it.text()
        with duckdb.connect(config={"threads": 1}) as con:
            con.execute(f"create schema w; create table w.p as {rows.format(**names)}")
            try:
                con.execute(f"create table made as {text.format(port='w.p', **names)}")
            except duckdb.Error:
                continue
            told = con.execute("select count(*) from made").fetchone()
        if told and told[0]:
            return text


PYTHON = {
    "pandas sort": ("{key}{num}", "pd.DataFrame", "    kept = rows[rows['{num_}'] > 1].sort_values('{key_}')\n    return kept.assign(next_no=kept['{num_}'] + 1)[['{key_}', 'next_no']]\n"),
    "pandas count": ("{grp}{num}", "pd.DataFrame", "    table = rows.groupby('{grp_}')['{num_}'].agg(['min', 'max']).reset_index()\n    table.columns = ['what', 'low', 'high']\n    return table\n"),
    "polars with": ("{key}{grp}{num}", "pl.DataFrame", "    return rows.with_columns((pl.col('{num_}') * 10).alias('ten')).select(pl.col('{key_}'), pl.col('{grp_}').alias('what'), 'ten')\n"),
}  # fmt: skip


def world(seed: int) -> Kit:
    """A world by its number."""
    pick = random.Random(seed)
    drawn = [*pick.sample(list(FAMILIES), 9), *pick.choices(list(FAMILIES), k=pick.randint(0, 2))]
    drawn += [one for one in ("count", "code") if one not in drawn]
    pick.shuffle(drawn)
    families = {"a": "key"} | {chr(ord("b") + number): family for number, family in enumerate(drawn)}
    roles, promises = {"a": ("INTEGER", "i::INTEGER")}, {"a": ("required: true", "primaryKey: true")}
    for role, family in families.items():
        if family == "key":
            continue
        kind, made, said = FAMILIES[family]
        words = {"p": pick.choice([3, 5, 7, 11]), "m": pick.choice([8, 13, 20]), "r": f"rule_{role}"}
        roles[role] = (kind, made.format(**words))
        promises[role] = tuple(line.format(**words) for line in said)
    ports = {name: " ".join(pick.sample(NAMES, len(roles))) for name in pick.sample(TABLES, 2)}
    names = {role: f"c_{role}" for role in roles}
    rows = (
        "select "
        + ", ".join(f"{made} as {{{role}}}" for role, (_, made) in roles.items())
        + " from range(1, 71) as r(i)"
    )
    others = {role: family for role, family in families.items() if family != "key"}
    grow = partial(_grown, pick, others, rows, names)
    number, group = (next(role for role, family in others.items() if family == one) for one in ("count", "code"))
    holes = {"key": "a", "num": number, "grp": group} | {f"{one}_": f"{{{role}_}}" for one, role in (("key", "a"), ("num", number), ("grp", group))}  # fmt: skip
    inner = "select * from {port} where " + pick.choice(WHERE[others[number]]).replace("{x}", f"{{{number}}}")
    return Kit(
        roles=roles,
        promises=promises,
        ports=ports,
        sql={f"grown {place}": grow() for place in range(11)},
        hops={
            "grown hop": (
                inner,
                f"select {{{group}}}, count(*) as n, sum({{{number}}}) as total from {{first}} group by all",
            )
        },
        dbt={"grown model": (inner, f"select {{a}}, {{{group}}}, {{{number}}} from {{stage}}")},
        rendered={},
        python={
            name: (told.format(**holes), kind, body.format(**holes)) for name, (told, kind, body) in PYTHON.items()
        },
        changes=partial(_changes_of, families),
    )


# -- changes ---------------------------------------------------------------------------------------------------------------

OTHER_TYPES = {
    "count": ["BIGINT", "DECIMAL(12,0)", "VARCHAR", "SMALLINT", "DOUBLE"], "small": ["INTEGER", "VARCHAR"], "large": ["VARCHAR", "INTEGER", "DOUBLE"],
    "money": ["DECIMAL(16,2)", "DECIMAL(16,4)", "DOUBLE", "VARCHAR", "DECIMAL(6,2)"], "ratio": ["DECIMAL(8,4)", "VARCHAR"], "day": ["TIMESTAMP", "VARCHAR"],
    "moment": ["DATE", "VARCHAR"], "flag": ["INTEGER", "VARCHAR"],
}  # fmt: skip
NEW_VALUES = {
    "count": "'-1'",
    "small": "'-2'",
    "money": "'950.25'",
    "ratio": "'1.25'",
    "code": "'far'",
    "label": "'AB-12'",
}
LOOSER = {
    "count": ("minimum: 0, ", ""), "small": ("minimum: 0", "minimum: -5"), "money": ("maximum: 900", "maximum: 2000"), "ratio": ("maximum: 1", "maximum: 2"),
    "code": ("end]", "end, far]"), "label": ("[0-9]{3}", "[0-9]{2,3}"),
}  # fmt: skip
TIGHTER = {
    "count": ("minimum: 0", "minimum: 1"),
    "money": ("maximum: 900", "maximum: 750"),
    "ratio": ("maximum: 1", "maximum: 0.995"),
    "label": ("[A-Z]{2}", "(?:AB|CD)"),
}
Told = dict[str, tuple[str, tuple[str, ...]]]


def _changes_of(families: Mapping[str, str], kit: Kit, port: str, pick: random.Random) -> Iterator[Change]:  # noqa: PLR0912 - one paragraph per kind of change
    """36 changes of a port: of each kind some, for columns that are drawn."""
    names, old = kit.names_of(port), kit.promised(port)
    bare = {role: name.strip('"') for role, name in names.items()}
    others = [role for role in families if role != "a"]
    of = lambda *wanted: [role for role in others if families[role] in wanted]

    def other(told: Told, role: str, kind: str = "", said: tuple[str, ...] | None = None, name: str = "") -> Told:
        before = told[bare[role]]
        new = (kind or before[0], before[1] if said is None else said)
        return {(name or one if one == bare[role] else one): new if one == bare[role] else more for one, more in told.items()}  # fmt: skip

    def structural(told: Told, rows: str, role: str) -> tuple[str, Told, str]:
        """A change of the columns themselves, on top of others; the facts stay the same."""
        kind = pick.choice(["drop", "drop", "rename", "respell", "retype", "retype", "add", "insert"])
        if kind == "drop":
            left = {name: more for name, more in told.items() if name != bare[role]}
            return f"drop {families[role]}", left, f"select * exclude ({names[role]}) from ({rows})"
        if kind in ("rename", "respell"):
            new = f"new_{role}"
            came = f"{{property: cameFrom, value: '{bare[role]}'}}"
            said = [*told[bare[role]][1]]
            at = next((n for n, line in enumerate(said) if line.startswith("customProperties")), None)
            if at is None:
                said.append(f"customProperties: [{came}]")
            else:
                said[at] = said[at][:-1] + f", {came}]"
            named = other(told, role, said=tuple(said) if kind == "rename" else None, name=new)
            return f"{kind} {families[role]}", named, f"select * rename ({names[role]} as {new}) from ({rows})"
        if kind == "retype" and families[role] in OTHER_TYPES:
            new = pick.choice(OTHER_TYPES[families[role]])
            said = tuple(
                line for line in told[bare[role]][1] if not line.startswith("logicalTypeOptions") or new != "VARCHAR"
            )
            typed = other(told, role, kind=new, said=said)
            return f"retype {families[role]} {new}", typed, f"select * replace ({names[role]}::{new} as {names[role]}) from ({rows})"  # fmt: skip
        new = pick.choice(["extra", *ALIASES, "rows_", "s0"])
        if new in told:
            new = f"{new}_more"
        if kind == "insert":
            items = list(told.items())
            at = pick.randint(0, 2)
            more = dict([*items[:at], (new, ("VARCHAR", ())), *items[at:]])
            head = "".join(f'"{name}", ' for name, _ in items[:at])
            tail = ", ".join(f'"{name}"' for name, _ in items[at:])
            return "insert", more, f"select {head}'x' as {new}, {tail} from ({rows})"
        kind = pick.choice(["VARCHAR", "INTEGER"])
        value = "'x'" if kind == "VARCHAR" else "7"
        return "add", {**told, new: (kind, ())}, f"select *, {value} as {new} from ({rows})"

    def with_value(role: str, value: str) -> dict[str, str]:
        """More rows, in which a column has another value; and the same with the value that it had. Their keys are new."""
        key = f"({names['a']} + 1000)::INTEGER as {names['a']}"
        more = f"select * from o union all by name select * replace ({{}}) from o where {names['a']} % 4 = 0"
        kind = old[bare[role]][0]
        return {"rows": more.format(f"({value})::{kind} as {names[role]}, {key}"), "control": more.format(key)}

    base = "select * from o"
    for _ in range(11):
        what, told, rows = structural(old, base, pick.choice(others))
        yield Change(port, what, told, rows, same=True)
    for _ in range(4):  # two at once
        one, two = pick.sample(others, 2)
        first, told, rows = structural(old, base, one)
        second, told, rows = structural(told, rows, two)
        yield Change(port, f"both: {first}, {second}", told, rows, same=True)
    for _ in range(3):
        shuffled = pick.sample(list(old.items()), len(old))
        if pick.random() < 0.5:  # two have changed places
            shuffled = list(old.items())
            one, two = pick.sample(range(len(shuffled)), 2)
            shuffled[one], shuffled[two] = shuffled[two], shuffled[one]
        listed = ", ".join(f'"{name}"' for name, _ in shuffled)
        yield Change(port, "reorder", dict(shuffled), f"select {listed} from o", same=True)
    for role in pick.sample(of(*LOOSER), min(4, len(of(*LOOSER)))):
        before, after = LOOSER[families[role]]
        said = tuple(line.replace(before, after) for line in old[bare[role]][1])
        yield Change(port, f"looser {families[role]}", other(old, role, said=said), same=False, **with_value(role, NEW_VALUES[families[role]]))  # fmt: skip
    for role in pick.sample(of(*LOOSER), min(2, len(of(*LOOSER)))):
        said = old[bare[role]][1][:1]
        yield Change(port, f"given up {families[role]}", other(old, role, said=said), same=False, **with_value(role, NEW_VALUES[families[role]]))  # fmt: skip
    for role in pick.sample(of(*TIGHTER), min(2, len(of(*TIGHTER)))):
        before, after = TIGHTER[families[role]]
        said = tuple(line.replace(before, after) for line in old[bare[role]][1])
        kept = f"select * from o where {names[role]} >= 1" if families[role] == "count" else base
        yield Change(port, f"tighter {families[role]}", other(old, role, said=said), kept, same=False)
    always = [role for role in others if old[bare[role]][1][:1] == ("required: true",)]
    for role in pick.sample(always, 4):
        yield Change(port, f"null allowed {families[role]}", other(old, role, said=old[bare[role]][1][1:]), same=False, **with_value(role, "null"))  # fmt: skip
    for role in pick.sample(of("note", "large", "loose"), min(1, len(of("note", "large", "loose")))):
        yield Change(port, f"null forbidden {families[role]}", other(old, role, said=(*old[bare[role]][1], "required: true")), f"select * from o where {names[role]} is not null", same=False)  # fmt: skip
    for role in of("loose")[:1]:
        half = f"select * replace (case when {names['a']} % 2 = 0 then null else {names[role]} end as {names[role]}) from o"
        yield Change(
            port,
            "rule loosened",
            other(old, role, said=(old[bare[role]][1][0].replace("25", "70"),)),
            half,
            same=False,
            control=base,
        )
    for role in of("money")[:1]:
        said = tuple(line.replace("CHF", "EUR") for line in old[bare[role]][1])
        yield Change(port, "unit", other(old, role, said=said), f"select * replace (({names[role]} * 0.9)::DECIMAL(10,2) as {names[role]}) from o", same=True)  # fmt: skip
    for role in of("label")[:1]:
        said = ("required: true", "logicalTypeOptions: {pattern: '^[a-z]{2}/[0-9]{3}$'}")
        yield Change(port, "format", other(old, role, said=said), f"select * replace (replace(lower({names[role]}), '-', '/') as {names[role]}) from o", same=True)  # fmt: skip
    for role in of("note")[:1]:
        yield Change(port, "null meaning", other(old, role, said=(old[bare[role]][1][0].replace("none was made", "not asked"),)), f"select * replace (coalesce({names[role]}, 'none') as {names[role]}) from o", same=True)  # fmt: skip
    again = f"select * from o union all select * from o where {names['a']} % 4 = 0"
    yield Change(port, "key given up", other(old, "a", said=("required: true",)), again, same=False, control=base)
    role = pick.choice(others)
    yield Change(port, "described", other(old, role, said=(*old[bare[role]][1], "description: As it is kept.")), base, same=True)  # fmt: skip
    yield Change(port, "promised later", old, base, same=True, head="slaProperties: [{property: latency, value: 3, unit: d}]")  # fmt: skip


WORLDS = (401, 402, 403)
THIRD = tuple(world(seed) for seed in WORLDS)
