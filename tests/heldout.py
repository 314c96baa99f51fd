"""Changes that nobody looked at while the rules were written, each labelled by what happens: the readers are executed.

Eight ports with columns of many kinds, and readers in the idioms of SQL that people write: nested CTEs, QUALIFY, PIVOT, structs and
lists, lateral joins, correlated subqueries, `using`, stars with EXCLUDE, REPLACE and RENAME, dbt and Python.
"""

import random
from collections.abc import Iterator, Mapping

from tests.labelling import Change, Kit

ROLES = {
    "k": ("INTEGER", "i::INTEGER"),
    "g": ("VARCHAR", "['new', 'open', 'done'][i % 3 + 1]"),
    "m": ("DECIMAL(10,2)", "(i * 37 % 900 + 0.25)::DECIMAL(10,2)"),
    "q": ("INTEGER", "(i * 7 % 11)::INTEGER"),
    "d": ("DATE", "date '2025-01-01' + (i % 20)::INTEGER"),
    "n": ("VARCHAR", "'N' || (i % 13)"),
    "s": ("STRUCT(city VARCHAR, zip VARCHAR)", "{'city': 'C' || (i % 4), 'zip': lpad((i % 9)::VARCHAR, 4, '0')}"),
    "l": ("VARCHAR[]", "list_slice(['red', 'blue', 'green'], 1, (i % 3 + 1)::INTEGER)"),
    "f": ("BOOLEAN", "i % 4 < 3"),
    "t": ("VARCHAR", "case when i % 3 > 0 then 'said ' || (i % 5) end"),
    "u": ("BIGINT", "(i * 1009)::BIGINT"),
    "v": ("VARCHAR", "'v' || (i % 6)"),
}
"""Type, and what the rows hold."""
PROMISES = {
    "k": ["required: true", "primaryKey: true"],
    "g": ["required: true", "quality: [{id: known, metric: invalidValues, arguments: {validValues: [new, open, done]}, mustBe: 0}]"],
    "m": ["required: true", "logicalTypeOptions: {minimum: 0, maximum: 1000}", "customProperties: [{property: unit, value: EUR}]"],
    "q": ["required: true", "logicalTypeOptions: {minimum: 0}"],
    "d": ["required: true"],
    "n": ["required: true", "logicalTypeOptions: {pattern: '^[A-Z][0-9]+$'}"],
    "s": [],
    "l": ["required: true"],
    "f": ["required: true"],
    "t": ["customProperties: [{property: nullMeaning, value: nothing was said}]"],
    "u": [],
    "v": ["quality: [{id: mostly_there, metric: nullValues, unit: percent, mustBeLessThan: 10, severity: error}]"],
}  # fmt: skip
PORTS = {
    "sales.orders": "order_id status amount pieces ordered_on customer address tags paid remark batch_no channel",
    "lab.samples": "sample_id phase dose vials taken_on patient site markers frozen note rack_no device",
    "hr.trips": "trip_id stage cost nights departed traveller hotel perks approved reason booking_no agency",
    "stock.lots": "LotId LotState Price Boxes ArrivedOn Supplier Depot Labels Sealed Hint PalletNo Carrier",
    "care.visits": "visit_id state fee minutes visit_day doctor clinic topics remote comment slot_no source",
    "web.clicks": 'click_id kind spend hits "Click Day" visitor place keywords human referrer session_no browser',
    "plant.runs": "run_id result energy units day operator hall alarms automatic text shift_no maker",
    "post.parcels": "id class weight items posted sender target stamps insured instruction route_no office",
}
SQL = {
    "nested ctes": "with base as (select * from {port}), inner_one as (with deep as (select {k} as id, {m} as money, {d} as on_day from base where {q} >= 0) select id, money, on_day from deep), last as (select * from inner_one) select id, on_day, money from last",
    "shadowed cte": "with x as (select {k}, {n} from {port}), y as (with x as (select {k}, {g} as {n} from {port}) select * from x) select x.{k}, x.{n} as a, y.{n} as b from x join y on x.{k} = y.{k}",
    "qualify": "select {k}, {g}, {d} from {port} qualify row_number() over (partition by {g} order by {d} desc, {k}) = 1",
    "named window": "select {k}, sum({q}) over w as running, lag({g}) over w as before_it from {port} window w as (partition by {n} order by {k} rows between 2 preceding and current row)",
    "except": "select {k} from {port} where {f} except select {k} from {port} where {q} = 3",
    "intersect": "select {n} from {port} where {g} = 'new' intersect select {n} from {port} where {g} = 'done'",
    "union by name": "select {k}, {t} from {port} union all by name select {k}, {g} as {t} from {port} where {t} is null",
    "union by position": "select {k}, {n}, {g} from {port} union all select 0, 'N0', 'new'",
    "star union": "select * exclude ({u}, {v}) from {port} where {k} > 3 union all select * exclude ({u}, {v}) from {port} where {k} <= 3",
    "pivot": "select * from (pivot (select {n}, {g}, {m} from {port}) on {g} in ('new', 'open', 'done') using sum({m}) group by {n})",
    "unpivot": "select * from (unpivot (select {k}, {q}::BIGINT as pieces, {m}::BIGINT as value from {port}) on pieces, value into name what value number)",
    "struct": "select {k}, {s}.city as town, {s}['zip'] as code from {port}",
    "list": "select {k}, {l}[1] as first_one, len({l}) as number, list_contains({l}, 'blue') as has_blue from {port}",
    "unnest": "select {k}, unnest({l}) as one from {port} where {f}",
    "comprehension": "select {k}, [upper(x) for x in {l} if x <> 'red'] as loud, list_sort({l})[-1] as last_one from {port}",
    "lateral": "select p.{k}, o.n, o.top from {port} as p, lateral (select count(*) as n, max(i.{q}) as top from {port} as i where i.{g} = p.{g} and i.{k} <= p.{k}) as o",
    "correlated": "select {k}, {m} from {port} as a where {m} > (select avg({m}) from {port} as b where b.{g} = a.{g})",
    "exists": "select a.{k}, a.{n} from {port} as a where exists (select 1 from {port} as b where b.{n} = a.{n} and b.{k} <> a.{k} and b.{f})",
    "anti join": "select p.{k}, p.{v} from {port} as p anti join (select distinct {v} from {port} where {q} > 8) as x using ({v})",
    "using": "with names as (select distinct {g}, upper({g}) as shown from {port}) select {g}, shown, count(*) as n from {port} join names using ({g}) group by all",
    "natural": "with sizes as (select {k}, {q} * 2 as double from {port}) select {k}, double, {d} from {port} natural join sizes",
    "exclude": "select * exclude ({s}, {l}, {u}) from {port}",
    "replace": "select * exclude ({s}, {l}) replace (coalesce({t}, 'nothing') as {t}, {m} / 10 as {m}) from {port}",
    "star rename": "select * exclude ({s}, {l}, {v}) rename ({g} as the_state, {q} as how_many) from {port}",
    "columns regex": "select {k}, columns(c -> c in ('{q_}', '{u_}')) from {port}",
    "alias reuse": "select {k}, {m} * {q} as total, total / 2 as half, half > 100 as large from {port}",
    "from first": "from {port} select {g}, count(*) as n, max({d}) as latest group by all order by all",
    "by position": "select {n}, sum({m}), min({k}) from {port} group by 1 order by 2",
    "filter": "select {d}, count(*) filter (where {f}) as good, count(*) filter ({g} = 'done') as done, sum({q}) as q from {port} group by {d}",
    "rollup": "select {g}, {f}, sum({q}) as q, grouping({g}) as level from {port} group by rollup ({g}, {f})",
    "recursive": "with recursive chain as (select {k}, {q}, 1 as depth from {port} where {k} = 1 union all select p.{k}, p.{q}, depth + 1 from {port} as p join chain as c on p.{k} = c.{k} + 1 where depth < 9) select * from chain",
    "asof": "with marks as (select unnest([date '2024-12-01', date '2025-01-10']) as since, unnest(['early', 'late']) as era) select p.{k}, m.era from {port} as p asof join marks as m on p.{d} >= m.since",
    "code list": "select {k}, case {g} when 'new' then 1 when 'open' then 2 when 'done' then 3 else error('unknown ' || {g}) end as step from {port}",
    "code map": "select {k}, map {{'new': 'N', 'open': 'O', 'done': 'D'}}[{g}] as letter from {port}",
    "parse": "select {k}, cast(substr({n}, 2) as INTEGER) as number, strftime({d}, '%Y-%m') as month from {port}",
    "text": "select {k}, {n} || '/' || {g} as label, coalesce({t}, '-') as said, {t} is null as silent from {port}",
    "distinct on": "select distinct on ({g}) {g}, {k}, {t} from {port} order by {g}, {k}",
    "values join": "select p.{k}, x.rank from {port} as p join (values ('new', 1), ('open', 2), ('done', 3)) as x(code, rank) on p.{g} = x.code",
    "division": "select {k}, 100 / (1000.5 - {m}) as ratio, sqrt({q}) as root from {port}",
    "counted": "select count(*) as n from {port}",
    "keys": "select count(distinct {k}) as n, max({k}) as top from {port}",
    "upper": 'SELECT P.{K}, P."{m_}" * 2 AS "Twice" FROM {port} AS P WHERE P.{F}',
    "in subquery": "select {k}, {d} from {port} where ({g}, {f}) in (select {g}, {f} from {port} group by all having count(*) > 3)",
    "cross apply": "select t.{k}, p.part from {port} as t cross join unnest(t.{l}) as p(part)",
}  # fmt: skip
"""By idiom; `{m}` is a column as it is written, `{m_}` its bare name, `{M}` in capitals."""
HOPS = {
    "two hops": ("select * exclude ({s}, {l}) from {port} where {f}", "select {k}, {g}, {m} from {first}"),
    "hop with computed": ("select {k}, {q} + 1 as more, {t} from {port}", "select avg(more) as mean, count({t}) as said from {first}"),
}  # fmt: skip
DBT = {
    "ephemeral": ("select {k}, {g}, {d}, {m} from {port}", "select {g}, min({d}) as since, sum({m}) as total from {stage} group by 1"),
    "ephemeral star": ("select * from {port} where {q} >= 0", "select {k}, {n}, {v} from {stage}"),
    "macro": ("select * from {port}", "select {k}, {{{{ halved('{m}') }}}} as half, {{{{ halved('{q}') }}}} as few from {stage}"),
    "loop": ("select * from {port}", "select {n}{{% for one in ['new', 'done'] %}}, count(*) filter ({g} = '{{{{ one }}}}') as n_{{{{ one }}}}{{% endfor %}} from {stage} group by {n}"),
}  # fmt: skip
RENDERED = {
    "macro": "select {k}, ({m} / 2) as half, ({q} / 2) as few from {stage}",
    "loop": "select {n}, count(*) filter ({g} = 'new') as n_new, count(*) filter ({g} = 'done') as n_done from {stage} group by {n}",
}  # fmt: skip
"""What dbt makes of the two that are more than names."""
PYTHON = {
    "pandas": ("kgm", "pd.DataFrame", "    return rows.groupby('{g_}', as_index=False).agg(n=('{k_}', 'count'), money=('{m_}', 'sum'))\n"),
    "pandas assert": ("kn", "pd.DataFrame", "    assert rows['{n_}'].str.startswith('N').all()\n    return rows.assign(number=rows['{n_}'].str[1:].astype(int))[['{k_}', 'number']]\n"),
    "polars": ("kqf", "pl.DataFrame", "    return rows.filter(pl.col('{f_}')).select(pl.col('{k_}'), (pl.col('{q_}') * 2).alias('twice'))\n"),
    "polars lookup": ("kg", "pl.DataFrame", "    codes = {{'new': 1, 'open': 2, 'done': 3}}\n    return pl.DataFrame({{'id': rows['{k_}'], 'step': [codes[one] for one in rows['{g_}']]}})\n"),
}  # fmt: skip


# -- changes ---------------------------------------------------------------------------------------------------------------


def changes_of(kit: Kit, port: str, pick: random.Random) -> Iterator[Change]:
    """Changes of a port; of the kinds that could concern every column, some that are drawn."""
    names, old = kit.names_of(port), kit.promised(port)
    bare = {role: name.strip('"') for role, name in names.items()}
    q = lambda role: names[role]

    def change(what: str, columns: Mapping, rows: str, *, same: bool, head: str = "", control: str = "") -> Change:
        return Change(port, what, columns, rows, same, head, control)

    def less(role: str) -> dict:
        return {name: told for name, told in old.items() if name != bare[role]}

    def other(role: str, kind: str = "", more: list[str] | None = None, name: str = "") -> dict:
        told = (kind or old[bare[role]][0], old[bare[role]][1] if more is None else tuple(more))
        return {
            (name or one if one == bare[role] else one): told if one == bare[role] else said
            for one, said in old.items()
        }

    def with_value(role: str, value: str, where: str) -> dict[str, str]:
        """More rows, in which a column has another value; and the same with the value that it had. Their keys are new."""
        key = f"({q('k')} + (select max({q('k')}) from o))::INTEGER as {q('k')}"
        more = "select * from o union all by name select * replace ({}) from o where " + where
        return {"rows": more.format(f"{value} as {q(role)}, {key}"), "control": more.format(key)}

    few = f"{q('k')} % 5 = 0"
    droppable = [role for role in ROLES if role != "k"]
    for role in {*pick.sample(droppable, 5), "u", "v"}:
        yield change(f"drop {role}", less(role), f"select * exclude ({q(role)}) from o", same=True)
    for role in pick.sample(droppable, 3):
        new = f"{bare[role].replace(' ', '_').lower()}_now"
        said = [*PROMISES[role]]
        came = f"{{property: cameFrom, value: '{bare[role]}'}}"
        at = next((number for number, line in enumerate(said) if line.startswith("customProperties")), None)
        if at is None:
            said.append(f"customProperties: [{came}]")
        else:
            said[at] = said[at][:-1] + f", {came}]"
        yield change(
            f"rename {role}",
            other(role, more=said, name=new),
            f"select * rename ({q(role)} as {new}) from o",
            same=True,
        )
    for role in pick.sample(droppable, 2):
        new = f"{bare[role].replace(' ', '_').lower()}_now"
        yield change(
            f"respell {role}", other(role, name=new), f"select * rename ({q(role)} as {new}) from o", same=True
        )
    for name in [
        "extra",
        *pick.sample(["total", "shown", "rank", "n", "era", "double", "since", "first_one", "more", "depth"], 4),
    ]:
        added = {**old, name: ("VARCHAR", ())}
        yield change(f"add {name}", added, f"select *, 'x' as {name} from o", same=True)
    yield change(
        "add required", {**old, "must": ("INTEGER", ("required: true",))}, "select *, 1 as must from o", same=True
    )
    first = {"head": ("VARCHAR", ()), **old}
    yield change("add first", first, "select 'x' as head, * from o", same=True)
    shuffled = dict(pick.sample(list(old.items()), len(old)))
    listed = ", ".join('"' + name + '"' for name in shuffled)
    yield change("reorder", shuffled, f"select {listed} from o", same=True)
    # Types
    for role, kind in pick.sample(
        [("q", "BIGINT"), ("m", "DECIMAL(18,2)"), ("m", "DECIMAL(18,4)"), ("k", "BIGINT"), ("u", "DECIMAL(20,0)"), ("f", "VARCHAR")], 4
    ) + pick.sample(
        [("q", "VARCHAR"), ("m", "DOUBLE"), ("d", "TIMESTAMP"), ("d", "VARCHAR"), ("k", "VARCHAR"), ("q", "SMALLINT"), ("m", "VARCHAR"), ("u", "VARCHAR"), ("f", "INTEGER"), ("u", "INTEGER")], 4
    ):  # fmt: skip
        kept = [line for line in PROMISES[role] if not line.startswith("logicalTypeOptions") or kind != "VARCHAR"]
        yield change(
            f"retype {role} {kind}",
            other(role, kind, kept),
            f"select * replace ({q(role)}::{kind} as {q(role)}) from o",
            same=True,
        )
    s = q("s")
    yield change(
        "struct loses field",
        other("s", "STRUCT(city VARCHAR)"),
        f"select * replace ({{'city': {s}.city}} as {s}) from o",
        same=True,
    )
    yield change("struct gains field", other("s", "STRUCT(city VARCHAR, zip VARCHAR, country VARCHAR)"), f"select * replace ({{'city': {s}.city, 'zip': {s}.zip, 'country': 'CH'}} as {s}) from o", same=True)  # fmt: skip
    yield change(
        "list becomes text",
        other("l", "VARCHAR"),
        f"select * replace (array_to_string({q('l')}, ',') as {q('l')}) from o",
        same=True,
    )
    # What it means
    yield change("unit", other("m", more=[line.replace("EUR", "cent").replace("1000", "100000") for line in PROMISES["m"]]), f"select * replace (({q('m')} * 100)::DECIMAL(10,2) as {q('m')}) from o", same=True)  # fmt: skip
    yield change("null meaning", other("t", more=["customProperties: [{property: nullMeaning, value: nobody asked}]"]), f"select * replace (coalesce({q('t')}, '') as {q('t')}) from o", same=True)  # fmt: skip
    yield change("format", other("n", more=["required: true", "logicalTypeOptions: {pattern: '^[a-z]-[0-9]+$'}"]), f"select * replace ('n-' || substr({q('n')}, 2) as {q('n')}) from o", same=True)  # fmt: skip
    parts = f"select * replace (({q('q')} // 2 + part * ({q('q')} % 2))::INTEGER as {q('q')}, case when part = 0 then {q('m')} else 0 end::DECIMAL(10,2) as {q('m')}), part from o, (values (0), (1)) as x(part)"  # fmt: skip
    two_keys = {**other("k", more=["required: true", "primaryKey: true", "primaryKeyPosition: 1"]), "part": ("INTEGER", ("required: true", "primaryKey: true", "primaryKeyPosition: 2"))}  # fmt: skip
    yield change("grain", two_keys, parts, same=True)
    again = f"select * from o union all select * from o where {few}"
    yield change("key given up", other("k", more=["required: true"]), again, same=False, control="select * from o")
    # What is promised
    yield change("value added", other("g", more=[PROMISES["g"][0], PROMISES["g"][1].replace("done]", "done, lost]")]), **with_value("g", "'lost'", few), same=False)  # fmt: skip
    yield change("value removed", other("g", more=[PROMISES["g"][0], PROMISES["g"][1].replace("open, ", "")]), f"select * from o where {q('g')} <> 'open'", same=False)  # fmt: skip
    yield change("maximum raised", other("m", more=[line.replace("1000", "9000") for line in PROMISES["m"]]), **with_value("m", "8000.5::DECIMAL(10,2)", few), same=False)  # fmt: skip
    yield change(
        "maximum lowered",
        other("m", more=[line.replace("1000", "900") for line in PROMISES["m"]]),
        "select * from o",
        same=False,
    )
    yield change("minimum given up", other("q", more=["required: true"]), **with_value("q", "-5", few), same=False)
    yield change("pattern given up", other("n", more=["required: true"]), **with_value("n", "'?'", few), same=False)
    yield change(
        "pattern added",
        other("v", more=[*PROMISES["v"], "logicalTypeOptions: {pattern: '^v'}"]),
        "select * from o",
        same=False,
    )
    for role in pick.sample("gmqdnlf", 3):
        yield change(f"null allowed {role}", other(role, more=[line for line in PROMISES[role] if line != "required: true"]), **with_value(role, "null", few), same=False)  # fmt: skip
    yield change(
        "null forbidden",
        other("t", more=[*PROMISES["t"], "required: true"]),
        f"select * from o where {q('t')} is not null",
        same=False,
    )
    yield change("rule given up", other("v", more=[]), **with_value("v", "null", f"{q('k')} % 2 = 0"), same=False)
    yield change("rule loosened", other("v", more=[PROMISES["v"][0].replace("10", "60")]), **with_value("v", "null", f"{q('k')} % 2 = 0"), same=False)  # fmt: skip
    yield change(
        "rule tightened", other("v", more=[PROMISES["v"][0].replace("10", "2")]), "select * from o", same=False
    )
    yield change(
        "rule added",
        other("u", more=["quality: [{id: u_there, metric: nullValues, mustBe: 0}]"]),
        "select * from o",
        same=False,
    )
    yield change(
        "described",
        other("v", more=[*PROMISES["v"], "description: Through which it came."]),
        "select * from o",
        same=True,
    )
    yield change(
        "said later", old, "select * from o", same=True, head="slaProperties: [{property: latency, value: 2, unit: d}]"
    )


FIRST = Kit(
    roles=ROLES, promises=PROMISES, ports=PORTS, sql=SQL, hops=HOPS, dbt=DBT, rendered=RENDERED, python=PYTHON, changes=changes_of
)  # fmt: skip
