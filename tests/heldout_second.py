"""A second set that nobody looked at while the rules were written: other ports, other idioms, other changes, labelled like the first.

Six ports whose key is two columns, with codes as numbers, rates, times, dates as text, lists of structs; readers that count, rank,
join with themselves, take text and dates apart, group by sets, keep the last known value; dbt with lists and variables; pandas and polars.
"""

import random
from collections.abc import Iterator, Mapping

from tests.labelling import Change, Kit

ROLES = {
    "a": ("VARCHAR", "'A' || lpad((i // 3)::VARCHAR, 3, '0')"),
    "b": ("SMALLINT", "(i % 3)::SMALLINT"),
    "w": ("TIMESTAMP", "timestamp '2025-03-01 06:00:00' + to_minutes((i * 97)::INTEGER)"),
    "c": ("INTEGER", "(i % 4 + 1)::INTEGER"),
    "r": ("DOUBLE", "(i * 13 % 100)::DOUBLE / 100"),
    "p": ("DECIMAL(12,3)", "(i * 7 % 50 + 0.125)::DECIMAL(12,3)"),
    "z": ("VARCHAR", "['EUR', 'CHF', 'USD'][i % 3 + 1]"),
    "e": ("VARCHAR", "case when i % 5 > 0 then 'p' || (i % 7) || '@x.org' end"),
    "o": ("BIGINT", "case when i % 4 > 0 then (i % 9)::BIGINT end"),
    "y": ("VARCHAR", "strftime(date '2025-03-01' + (i % 28)::INTEGER, '%Y%m%d')"),
    "x": ("VARCHAR", "'text ' || (i % 8)"),
    "h": ("TINYINT", "(i % 2)::TINYINT"),
    "j": ("STRUCT(code VARCHAR, n INTEGER)[]", "[{'code': 'q' || (i % 3), 'n': (i % 5)::INTEGER}]"),
    "v": ("TIME", "(timestamp '2025-03-01 08:00:00' + to_minutes((i % 100)::INTEGER))::TIME"),
    "g": ("VARCHAR", "case when i % 6 > 0 then ['north', 'south', 'east'][i % 3 + 1] end"),
    "q": ("INTEGER", "(i * 11)::INTEGER"),
}
"""Type, and what the rows hold."""
PROMISES = {
    "a": ["required: true", "primaryKey: true", "primaryKeyPosition: 1"],
    "b": ["required: true", "primaryKey: true", "primaryKeyPosition: 2"],
    "w": ["required: true"],
    "c": ["required: true", "quality: [{id: c_known, metric: invalidValues, arguments: {validValues: [1, 2, 3, 4]}, mustBe: 0}]"],
    "r": ["required: true", "logicalTypeOptions: {minimum: 0, maximum: 1}", "customProperties: [{property: unit, value: ratio}]"],
    "p": ["required: true", "logicalTypeOptions: {exclusiveMinimum: 0}", "customProperties: [{property: unit, value: kg}]"],
    "z": ["required: true", "quality: [{id: z_known, metric: invalidValues, arguments: {validValues: [EUR, CHF, USD]}, mustBe: 0}]"],
    "e": ["logicalTypeOptions: {pattern: '^[^@]+@[^@]+$'}", "customProperties: [{property: nullMeaning, value: has none}]"],
    "o": [],
    "y": ["required: true", "logicalTypeOptions: {pattern: '^[0-9]{8}$'}"],
    "x": ["required: true", "logicalTypeOptions: {maxLength: 20}"],
    "h": ["required: true", "logicalTypeOptions: {minimum: 0, maximum: 1}"],
    "j": [],
    "v": [],
    "g": ["quality: [{id: mostly_placed, metric: nullValues, unit: percent, mustBeLessThan: 30, severity: error}]"],
    "q": ["required: true", "quality: [{id: one_number, metric: duplicateValues, mustBe: 0}]"],
}  # fmt: skip
FOOT = "quality: [{id: enough, metric: rowCount, mustBeGreaterThan: 30}]"
PORTS = {
    "fleet.legs": "vehicle leg started_at road_class load_share cargo currency driver_mail hub day_code note refrigerated stops gate_time area leg_no",
    "bank.postings": "account line booked_at kind_code risk mass ccy contact branch value_day memo reversed parts cutoff zone posting_no",
    "farm.harvests": "Field Pass CutAt Grade Moisture Weight Currency Grower Silo DayText Remark Organic Samples Opening Region Ticket",
    "clinic.doses": "patient dose given_at route adherence grams tariff prescriber ward given_day remark masked lots shift area_code dose_no",
    "shop.returns": '"Order Id" item sent_at reason share kilos money customer_mail store_no day_text words opened bits "Open From" land return_no',
    "energy.readings": "meter channel read_at quality_code factor tonnes unit_currency owner grid day8 info estimated steps slot province reading_no",
}
SQL = {
    "range frame": "select {a}, {b}, sum({p}) over (partition by {z} order by {w} range between interval 1 day preceding and current row) as lately from {port}",
    "grouping sets": "select {z}, {c}, count(*) as n, max({w}) as latest from {port} group by grouping sets (({z}), ({c}), ())",
    "cube": "select {z}, {h}, sum({p}) as kg from {port} group by cube ({z}, {h})",
    "string agg": "select {a}, string_agg({x}, '; ' order by {b}) as texts from {port} group by {a}",
    "list agg": "select {a}, list({c} order by {b}) as codes, list_filter(list({p} order by {b}), lambda one: one > 10) as heavy from {port} group by {a}",
    "arg max": "select {z}, max_by({a}, {q}) as last_one, arg_min({x}, {q}) as first_text from {port} group by {z}",
    "quantiles": "select {g}, quantile_cont({r}, 0.9) as high, median({p})::DOUBLE as mid, count(distinct {c}) as kinds from {port} group by {g}",
    "null safe join": "select l.{a}, l.{b}, r.n from {port} as l join (select {g}, count(*) as n from {port} group by {g}) as r on l.{g} is not distinct from r.{g}",
    "semi join": "select s.{a}, s.{b}, s.{p} from {port} as s semi join (select {z}, {q} from {port} where {r} > 0.9) as big on big.{z} = s.{z}",
    "not in": "select {a}, {b} from {port} where {c} not in (select {c} from {port} where {p} > 49)",
    "full join": "select coalesce(x.{a}, y.{a}) as one, x.kg, y.n from (select {a}, sum({p}) as kg from {port} where {h} = 1 group by 1) as x full join (select {a}, count(*) as n from {port} where {h} = 0 group by 1) as y on x.{a} = y.{a}",
    "calendar": "with days as (select unnest(generate_series(timestamp '2025-03-01', timestamp '2025-03-05', interval 1 day))::DATE as this_day) select this_day, count({a}) as n from days left join {port} on {w}::DATE = this_day group by this_day",
    "ilike": "select {a}, {b}, {x} from {port} where {x} ilike '%EXT 3%' or {e} like 'p1@%'",
    "regexp": "select {a}, {b}, regexp_extract({e}, '@(.*)$', 1) as host, regexp_replace({a}, '[0-9]+', '') as letters from {port}",
    "truncate": "select date_trunc('day', {w}) as day_, count(*) as n, sum({p}) as kg from {port} group by 1",
    "parsed day": "select {a}, {b}, strptime({y}, '%Y%m%d')::DATE as day_ from {port}",
    "tried": "select {a}, {b}, try_cast({y} as INTEGER) as number, coalesce(try_cast({x} as INTEGER), -1) as of_text from {port}",
    "least": "select {a}, {b}, greatest({p}, 5) as at_least, nullif({c}, 4) as code from {port}",
    "distinct": "select distinct {z}, {c} from {port}",
    "count distinct": "select {z}, count(distinct {a}) as n, count({o}) as hubs from {port} group by {z}",
    "scalar subquery": "select {a}, {b}, (select max(i.{w}) from {port} as i where i.{a} = o.{a}) as last_at from {port} as o",
    "top n": "select {a}, {b}, {p} from {port} order by {p} desc, {a}, {b} limit 5",
    "offset": "select {q} from {port} order by {q} limit 10 offset 5",
    "chain": "with one as materialized (select {a}, {b}, {p}, {z} from {port}), two as (select *, {p} * 2 as twice from one), three as not materialized (select {z}, sum(twice) as kg from two group by {z}) select * from three",
    "union": "select {a} as who, {x} as what from {port} union select {a}, {z} from {port}",
    "struct pack": "select {a}, {b}, struct_pack(code := {c}, at_ := {w}) as told from {port}",
    "json": "select {a}, {b}, to_json({{'k': {c}, 't': {x}}})::VARCHAR as told from {port}",
    "table star": "select t.* exclude ({j}, {v}) from {port} as t where t.{h} = 0",
    "star beside": "select t.* exclude ({j}), s.n from {port} as t join (select {z} as one_ccy, count(*) as n from {port} group by 1) as s on s.one_ccy = t.{z}",
    "rounded star": "select t.* exclude ({j}, {v}, {o}) replace (round(t.{r}, 1) as {r}) from {port} as t",
    "inner star": "select * from (select {a}, {b}, {c}, {y} from {port}) as s where s.{c} in (1, 2)",
    "between": "select {a}, {b} from {port} where {w} between timestamp '2025-03-01' and timestamp '2025-03-03' and {r} between 0.1 and 0.9",
    "flags": "select {a}, {b}, {r} > 0.5 as high, {h} = 1 as set_, {o} is null as alone from {port}",
    "bool agg": "select {z}, bool_and({h} = 1) as all_set, bool_or({r} > 0.95) as any_high from {port} group by {z}",
    "ranks": "select {a}, {b}, ntile(4) over (order by {p}, {q}) as quarter, first_value({x}) over (partition by {a} order by {b}) as first_text from {port}",
    "last known": "select {a}, {b}, last_value({o} ignore nulls) over (order by {q} rows between unbounded preceding and current row) as known from {port}",
    "positional alias": "select k1, k2 from {port} as t(k1, k2)",
    "enum": "select {a}, {b}, cast({z} as ENUM('EUR', 'CHF', 'USD'))::VARCHAR as one_ccy from {port}",
    "lookup": "with rates(code, rate) as (values ('EUR', 1.0), ('CHF', 1.1)) select {a}, {b}, {p} * coalesce(rate, 0.9) as worth from {port} left join rates on code = {z}",
    "date part": "select {a}, {b}, extract(hour from {w}) as hour_, dayname({w}) as name_, {w} + interval 2 hour as later from {port}",
    "date diff": "select {a}, datediff('hour', min({w}), max({w})) as hours from {port} group by {a}",
    "list of structs": "select {a}, {b}, {j}[1].code as code_, list_transform({j}, lambda one: one.n) as numbers from {port}",
    "unnested structs": "select {a}, {b}, u.code as code_, u.n as n from (select {a}, {b}, unnest({j}) as u from {port})",
    "in list": "select {a}, {b}, {c} in (1, 3) as odd, {z} <> 'EUR' as abroad from {port}",
    "if": "select {a}, {b}, if({h} = 1, {p}, 0) as set_kg, concat_ws('-', {a}, {b}, {g}) as label from {port}",
    "having": "select {a}, sum({p}) as kg from {port} group by {a} having count(*) = 3 and sum({p}) > 10",
    "pairs": "select l.{a}, l.{b}, r.{b} as other from {port} as l, {port} as r where l.{a} = r.{a} and l.{b} < r.{b}",
    "time": "select {a}, {b}, {v} < time '09:00:00' as early, hour({v}) as hour_ from {port}",
    "multiply": "select {a}, {b}, ({p} * {r})::DECIMAL(12,3) as net, {p} / ({r} + 1) as gross, {c} % 2 as odd from {port}",
    "round": "select {a}, {b}, round({p}, 1) as kg, floor({r} * 10)::INTEGER as tenth, abs({o} - 4) as far from {port}",
    "hash": "select md5({a} || '/' || {b}) as id, {q} from {port}",
    "split": "select {a}, {b}, split_part({e}, '@', 1) as name_, length({x}) as size, {x}[1:4] as start_ from {port}",
    "lag": "select {a}, {b}, epoch({w} - lag({w}) over (order by {q})) as gap from {port}",
    "not exists": "select s.{a}, s.{b} from {port} as s where not exists (from {port} as n where n.{a} = s.{a} and n.{b} = s.{b} + 1)",
    "by expression": "select {y}[1:6] as month_, {z}, sum({p}) as kg from {port} group by 1, 2",
    "rows alone": "select (count(*) > 0) as any_rows, min({w}) as since from {port}",
}  # fmt: skip
HOPS = {
    "private star": ("select * exclude ({j}) from {port} where {h} = 0", "select {z}, min({w}) as first_at, sum({p}) as kg from {first} group by {z}"),
    "private sum": ("select {a}, {b}, {p} * 1000 as small, {e} from {port}", "select {a}, max(small) as most, count({e}) as mails from {first} group by {a}"),
}  # fmt: skip
DBT = {
    "set list": ("select * from {port}", "{{% set kinds = [1, 2, 3] %}}select {a}{{% for k in kinds %}}, sum(case when {c} = {{{{ k }}}} then {p} else 0 end) as kg_{{{{ k }}}}{{% endfor %}} from {stage} group by {a}"),
    "since": ("select {a}, {b}, {w}, {x}, {r} from {port}", "select {a}, {b}, {{{{ halved('{r}') }}}} as half from {stage} where {w} >= '2025-03-01'"),
    "numbered": ("select {a}, {b}, {g}, {q} from {port}", "select *, row_number() over (partition by {g} order by {q}) as place from {stage}"),
    "variable": ("select * exclude ({j}, {v}) from {port}", "select {a}, {b}, {c}, {e} from {stage} where {c} <= {{{{ var('most', 4) }}}}"),
}  # fmt: skip
RENDERED = {
    "set list": "select {a}, sum(case when {c} = 1 then {p} else 0 end) as kg_1, sum(case when {c} = 2 then {p} else 0 end) as kg_2, sum(case when {c} = 3 then {p} else 0 end) as kg_3 from {stage} group by {a}",
    "since": "select {a}, {b}, ({r} / 2) as half from {stage} where {w} >= '2025-03-01'",
    "variable": "select {a}, {b}, {c}, {e} from {stage} where {c} <= 4",
}
PYTHON = {
    "pandas merge": ("azp", "pd.DataFrame", "    totals = rows.groupby('{z_}', as_index=False)['{p_}'].sum().rename(columns={{'{p_}': 'total'}})\n    return rows.merge(totals, on='{z_}')[['{a_}', '{z_}', 'total']]\n"),
    "pandas pivot": ("ach", "pd.DataFrame", "    table = rows.pivot_table(index='{a_}', columns='{h_}', values='{c_}', aggfunc='sum', fill_value=0)\n    return pd.DataFrame({{'who': table.index, 'h0': table[0].values, 'h1': table[1].values}})\n"),
    "polars when": ("abrg", "pl.DataFrame", "    return rows.select(pl.col('{a_}'), pl.col('{b_}'), pl.when(pl.col('{r_}') > 0.5).then(pl.lit('high')).otherwise(pl.lit('low')).alias('level'), pl.col('{g_}').fill_null('none'))\n"),
    "polars group": ("zpq", "pl.DataFrame", "    return rows.group_by('{z_}').agg(pl.col('{p_}').sum().alias('kg'), pl.col('{q_}').max().alias('last_no'))\n"),
    "polars dates": ("aby", "pl.DataFrame", "    return rows.select(pl.col('{a_}'), pl.col('{b_}'), pl.col('{y_}').str.to_date('%Y%m%d').alias('day_'))\n"),
}  # fmt: skip


def changes_of(kit: Kit, port: str, pick: random.Random) -> Iterator[Change]:
    """Changes of a port; of the kinds that could concern every column, some that are drawn."""
    names, old = kit.names_of(port), kit.promised(port)
    bare = {role: name.strip('"') for role, name in names.items()}
    few = "{q} % 5 = 0".format(**names)

    def change(what: str, columns: Mapping, rows: str, **more: object) -> Change:
        told = {"same": True, **more}
        return Change(port, what, columns, rows.format(**names), **{k: v.format(**names) if k == "control" else v for k, v in told.items()})  # fmt: skip

    def other(role: str, *lines: str, kind: str = "", name: str = "") -> dict:
        """The contract with another column, and what is promised of it."""
        told = (kind or old[bare[role]][0], lines)
        return {(name or one if one == bare[role] else one): told if one == bare[role] else said for one, said in old.items()}  # fmt: skip

    def without(*roles: str) -> dict:
        return {name: told for name, told in old.items() if name not in {bare[role] for role in roles}}

    def among(place: int, name: str, kind: str, *lines: str) -> dict:
        items = [*old.items()]
        return dict([*items[:place], (name, (kind, lines)), *items[place:]])

    def with_value(role: str, value: str, where: str = few, **keys: str) -> dict[str, object]:
        """More rows, in which a column has another value; and the same with the value that it had. Their keys are new."""
        new = {"a": "('B' || {a})::VARCHAR", "q": "({q} + (select max({q}) from o))::INTEGER"} | keys
        more = "select * from o union all by name select * replace ({}) from o where " + where
        listed = lambda told: ", ".join(f"{made.format(**names)} as {names[one]}" for one, made in told.items())
        return {"rows": more.format(listed(new | {role: value})), "control": more.format(listed(new)), "same": False}

    for role in {*pick.sample([one for one in ROLES if one not in "ab"], 6), "x", "o"}:
        yield change(f"drop {role}", without(role), f"select * exclude ({names[role]}) from o")
    came = lambda role, *lines: (*[one for one in lines if not one.startswith("customProperties")], f"customProperties: [{{property: cameFrom, value: '{bare[role]}'}}]")  # fmt: skip
    for role in pick.sample("wcrpzeoyxhvgq", 3):
        told = [line for line in PROMISES[role] if not line.startswith("customProperties")]
        unit = [line for line in PROMISES[role] if line.startswith("customProperties")]
        both = unit[0][:-1] + f", {{property: cameFrom, value: '{bare[role]}'}}]" if unit else came(role)[-1]
        yield change(f"rename {role}", other(role, *told, both, name="newly"), f"select * rename ({names[role]} as newly) from o")  # fmt: skip
    role = pick.choice("wcrpzeoyxhvgq")
    yield change(f"respell {role}", other(role, name="newly"), f"select * rename ({names[role]} as newly) from o")
    yield change("rename and retype p", other("p", *came("p", "required: true"), kind="DOUBLE", name="newly"), "select * exclude ({p}), {p}::DOUBLE as newly from o")  # fmt: skip
    yield change("split y", {**without("y"), "y1": ("VARCHAR", came("y")), "y2": ("VARCHAR", came("y"))}, "select * exclude ({y}), {y}[1:4] as y1, {y}[5:] as y2 from o")  # fmt: skip
    both = f"customProperties: [{{property: cameFrom, value: '{bare['x']}, {bare['g']}'}}]"
    yield change("merge x g", {**without("x", "g"), "told": ("VARCHAR", (both,))}, "select * exclude ({x}, {g}), concat_ws(' ', {x}, {g}) as told from o")  # fmt: skip
    for name in ["extra", *pick.sample(["n", "kg", "rate", "code", "u", "label", "half", "total", "known", "small", "odd", "this_day"], 4)]:  # fmt: skip
        yield change(f"add {name}", {**old, name: ("VARCHAR", ())}, f"select *, 'x' as {name} from o")
    yield change("add required", {**old, "must": ("DATE", ("required: true",))}, "select *, date '2025-01-01' as must from o")  # fmt: skip
    first = names["a"]
    yield change(
        "add second", among(1, "newly", "VARCHAR"), f"select {first}, 'x' as newly, * exclude ({first}) from o"
    )
    yield change("add first", among(0, "newly", "INTEGER"), "select 7 as newly, * from o")
    back = list(reversed(old.items()))
    listed = ", ".join(f'"{name}"' for name, _ in back)
    yield change("reorder", dict(back), f"select {listed} from o")
    # Types
    req = ("required: true",)
    wide = [("b", "INTEGER", PROMISES["b"]), ("h", "INTEGER", PROMISES["h"]), ("q", "BIGINT", PROMISES["q"]), ("p", "DECIMAL(18,3)", PROMISES["p"]), ("c", "BIGINT", PROMISES["c"]), ("p", "DECIMAL(20,5)", PROMISES["p"])]  # fmt: skip
    rest = [("w", "DATE", req), ("c", "VARCHAR", req), ("c", "SMALLINT", PROMISES["c"]), ("p", "DOUBLE", PROMISES["p"]), ("r", "DECIMAL(6,2)", PROMISES["r"]), ("h", "BOOLEAN", req), ("y", "INTEGER", req), ("y", "DATE", req), ("o", "VARCHAR", ()), ("o", "INTEGER", ()), ("v", "VARCHAR", ()), ("q", "VARCHAR", req), ("b", "VARCHAR", PROMISES["b"])]  # fmt: skip
    for role, kind, lines in pick.sample(wide, 4) + pick.sample(rest, 6):
        value = (
            f"strptime({names[role]}, '%Y%m%d')::DATE" if (role, kind) == ("y", "DATE") else f"{names[role]}::{kind}"
        )
        yield change(f"retype {role} {kind}", other(role, *lines, kind=kind), f"select * replace ({value} as {names[role]}) from o")  # fmt: skip
    yield change("structs lose field", other("j", kind="STRUCT(code VARCHAR)[]"), "select * replace ([{{'code': one.code}} for one in {j}] as {j}) from o")  # fmt: skip
    yield change("structs gain field", other("j", kind="STRUCT(code VARCHAR, n INTEGER, at VARCHAR)[]"), "select * replace ([{{'code': one.code, 'n': one.n, 'at': 'CH'}} for one in {j}] as {j}) from o")  # fmt: skip
    # What it means
    yield change("unit p", other("p", *PROMISES["p"][:2], PROMISES["p"][2].replace("kg", "g")), "select * replace (({p} * 1000)::DECIMAL(12,3) as {p}) from o")  # fmt: skip
    yield change("unit r", other("r", req[0], "logicalTypeOptions: {minimum: 0, maximum: 100}", "customProperties: [{property: unit, value: percent}]"), "select * replace ({r} * 100 as {r}) from o")  # fmt: skip
    yield change("null meaning", other("e", PROMISES["e"][0], PROMISES["e"][1].replace("has none", "was not asked")), "select * replace (coalesce({e}, 'none@none') as {e}) from o")  # fmt: skip
    yield change("format y", other("y", req[0], "logicalTypeOptions: {pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'}"), "select * replace ({y}[1:4] || '-' || {y}[5:6] || '-' || {y}[7:8] as {y}) from o")  # fmt: skip
    no_key = other("a", *req) | {bare["b"]: (ROLES["b"][0], req)}
    again = f"select * from o union all select * replace (({names['q']} + (select max({names['q']}) from o))::INTEGER as {names['q']}) from o where {few}"
    yield change("key given up", no_key, again, same=False, control="select * from o")
    q_key = {**no_key, bare["q"]: (ROLES["q"][0], ("required: true", "primaryKey: true"))}
    yield change("key other", q_key, again, same=False, control="select * from o")
    three = {**old, "part": ("INTEGER", ("required: true", "primaryKey: true", "primaryKeyPosition: 3"))}
    yield change("grain", three, "select * replace (({p} / 2)::DECIMAL(12,3) as {p}, ({q} * 2 + part)::INTEGER as {q}), part from o, (values (0), (1)) as x(part)")  # fmt: skip
    # What is promised
    yield change("value added c", other("c", req[0], PROMISES["c"][1].replace("4]", "4, 5]")), **with_value("c", "5"))
    yield change("value added z", other("z", req[0], PROMISES["z"][1].replace("USD]", "USD, GBP]")), **with_value("z", "'GBP'"))  # fmt: skip
    yield change("list given up z", other("z", *req), **with_value("z", "'?'"))
    yield change("value removed c", other("c", req[0], PROMISES["c"][1].replace("3, ", "")), "select * from o where {c} <> 3", same=False)  # fmt: skip
    placed = (
        "quality: [{id: g_known, metric: invalidValues, arguments: {validValues: [north, south, east]}, mustBe: 0}, "
    )
    yield change("list added g", other("g", PROMISES["g"][0].replace("quality: [", placed)), "select * from o")
    yield change("maximum raised r", other("r", req[0], "logicalTypeOptions: {minimum: 0, maximum: 2}", PROMISES["r"][2]), **with_value("r", "1.5::DOUBLE"))  # fmt: skip
    yield change("minimum given up r", other("r", req[0], "logicalTypeOptions: {maximum: 1}", PROMISES["r"][2]), **with_value("r", "-1.0::DOUBLE"))  # fmt: skip
    yield change("minimum given up p", other("p", req[0], PROMISES["p"][2]), **with_value("p", "(-2)::DECIMAL(12,3)"))
    yield change("maximum lowered r", other("r", req[0], "logicalTypeOptions: {minimum: 0, maximum: 0.99}", PROMISES["r"][2]), "select * from o")  # fmt: skip
    yield change("minimum lowered h", other("h", req[0], "logicalTypeOptions: {minimum: -1, maximum: 1}"), **with_value("h", "(-1)::TINYINT"))  # fmt: skip
    yield change("pattern given up y", other("y", *req), **with_value("y", "'soon'"))
    yield change("pattern given up e", other("e", PROMISES["e"][1]), **with_value("e", "'nobody'"))
    yield change("pattern loosened y", other("y", req[0], "logicalTypeOptions: {pattern: '^[0-9]{6,8}$'}"), **with_value("y", "'202503'"))  # fmt: skip
    yield change("pattern added g", other("g", *PROMISES["g"], "logicalTypeOptions: {pattern: '^[a-z]+$'}"), "select * from o")  # fmt: skip
    for role in pick.sample("wcrpzyxhq", 4):
        kept = [line for line in PROMISES[role] if line != "required: true"]
        yield change(f"null allowed {role}", other(role, *kept), **with_value(role, "null"))
    yield change(
        "null forbidden e", other("e", *PROMISES["e"], *req), "select * from o where {e} is not null", same=False
    )
    yield change("duplicates allowed q", other("q", *req), **with_value("q", "{q}"))
    half = "{q} % 2 = 0".format(**names)
    yield change("rule given up g", other("g"), **with_value("g", "null", half))
    yield change("rule loosened g", other("g", PROMISES["g"][0].replace("30", "80")), **with_value("g", "null", half))
    yield change("rule tightened g", other("g", PROMISES["g"][0].replace("30", "20")), "select * from o")
    yield change("rule added o", other("o", "quality: [{id: o_there, metric: nullValues, unit: percent, mustBeLessThan: 60}]"), "select * from o")  # fmt: skip
    yield change("length raised x", other("x", req[0], "logicalTypeOptions: {maxLength: 60}"), **with_value("x", "'a text of more than twenty letters'"))  # fmt: skip
    yield change("length lowered x", other("x", req[0], "logicalTypeOptions: {maxLength: 12}"), "select * from o")
    few_rows = {"control": "select * from o limit 35", "foot": FOOT.replace("30", "5"), "same": False}
    yield change("fewer rows allowed", old, "select * from o limit 9", **few_rows)
    yield change("more rows promised", old, "select * from o", foot=FOOT.replace("30", "40"))
    yield change("described x", other("x", *PROMISES["x"], "description: As it was typed."), "select * from o")
    yield change("warning added", other("o", "quality: [{id: o_seldom_null, metric: nullValues, unit: percent, mustBeLessThan: 40, severity: warning}]"), "select * from o")  # fmt: skip
    yield change(
        "promised later", old, "select * from o", head="slaProperties: [{property: latency, value: 9, unit: h}]"
    )


SECOND = Kit(
    roles=ROLES, promises=PROMISES, ports=PORTS, sql=SQL, hops=HOPS, dbt=DBT, rendered=RENDERED, python=PYTHON, changes=changes_of,
    foot=FOOT,
)  # fmt: skip
