"""Changes that nobody looked at while the rules were written, each labelled by what happens: the readers are executed.

Eight ports with columns of many kinds, and readers in the idioms of SQL that people write: nested CTEs, QUALIFY, PIVOT, structs and
lists, lateral joins, correlated subqueries, `using`, stars with EXCLUDE, REPLACE and RENAME, dbt and Python. A change comes with the
rows as they are after it: the same facts written otherwise, or more facts that the new contract allows. It breaks a reader where

- the reader's code fails on them, or gives no longer the columns and types that its contract promises;
- a test of its own fails on them that did not fail before: of what it makes, or of what it asks of the port;
- the facts are the same, and what it makes of them is not.

Nothing here looks at how the verdicts are found.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import duckdb
import pandas as pd
import polars as pl

from mesh_assets.audit.execute import audit
from mesh_assets.audit.result import Status
from mesh_assets.changes.impact import moved
from mesh_assets.changes.shape import shape_of
from mesh_assets.contract import Contract
from mesh_assets.mesh import examine
from tests.making import Place

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
MACRO = "{% macro halved(what) %}({{ what }} / 2){% endmacro %}\n"
PYTHON = {
    "pandas": ("kgm", "pd.DataFrame", "    return rows.groupby('{g_}', as_index=False).agg(n=('{k_}', 'count'), money=('{m_}', 'sum'))\n"),
    "pandas assert": ("kn", "pd.DataFrame", "    assert rows['{n_}'].str.startswith('N').all()\n    return rows.assign(number=rows['{n_}'].str[1:].astype(int))[['{k_}', 'number']]\n"),
    "polars": ("kqf", "pl.DataFrame", "    return rows.filter(pl.col('{f_}')).select(pl.col('{k_}'), (pl.col('{q_}') * 2).alias('twice'))\n"),
    "polars lookup": ("kg", "pl.DataFrame", "    codes = {{'new': 1, 'open': 2, 'done': 3}}\n    return pl.DataFrame({{'id': rows['{k_}'], 'step': [codes[one] for one in rows['{g_}']]}})\n"),
}  # fmt: skip
IDIOMS = (*SQL, *HOPS, *DBT, *PYTHON)


@dataclass
class Reader:
    """A domain that reads a port, in one idiom; `run` executes it on rows that are in a schema of that port's name."""

    domain: str
    port: str
    idiom: str
    run: Callable[[duckdb.DuckDBPyConnection], str]
    columns: Mapping[str, str] = field(default_factory=dict)
    private: Mapping[str, tuple] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """A change of a port.

    Attributes:
        columns: Its contract's columns and rules after it.
        rows: What it holds after it, over `o`, which is what it held before.
        same: The rows are the same facts.
        control: Else what it could hold without the change, and like it in all other respects; empty: the very same.
    """

    port: str
    what: str
    columns: Mapping[str, tuple[str, tuple[str, ...]]]
    rows: str
    same: bool
    head: str = ""
    control: str = ""


@dataclass(frozen=True)
class Labelled:
    """A change as the verdict sees it, and whom it breaks, with what happened."""

    port: str
    what: str
    moved: object
    breaks: Mapping[str, str]
    readers: Mapping[str, str]


def names_of(port: str) -> dict[str, str]:
    """The column of every role, as it is written."""
    found = re.findall(r'"[^"]+"|\S+', PORTS[port])
    return dict(zip(ROLES, found, strict=True))


def words_of(port: str) -> dict[str, str]:
    names = names_of(port)
    bare = {f"{role}_": name.strip('"') for role, name in names.items()}
    return {**names, **bare, **{role.upper(): name.upper() for role, name in names.items()}}


def contract_text(
    name: str, columns: Mapping[str, tuple[str, tuple[str, ...]]], *, head: str = "", id_: str = ""
) -> str:
    """ODCS: column to its type and more lines."""
    logical = {"VARCHAR": "string", "DATE": "date", "BOOLEAN": "boolean", "TIMESTAMP": "timestamp", "STRUCT": "object"}
    lines = ["apiVersion: v3.1.0", "kind: DataContract", f"id: {id_ or name}", "version: 1.0.0", "status: active"]
    lines += [*head.splitlines(), "schema:", f"  - name: {name}", "    properties:"]
    for column, (kind, more) in columns.items():
        word = kind.partition("(")[0]
        if kind.endswith("[]"):
            said = "array"
        else:
            said = logical.get(word, "number" if word in ("DECIMAL", "DOUBLE") else "integer")
        spelt = column if column.startswith('"') else f"'{column}'"
        lines += [f"      - name: {spelt}", f"        logicalType: {said}", f'        physicalType: "{kind}"']
        lines += [f"        {line}" for line in more]
    return "\n".join(lines) + "\n"


def promised(port: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The columns of a port's contract."""
    return {name.strip('"'): (ROLES[role][0], tuple(PROMISES[role])) for role, name in names_of(port).items()}


def rows_of(port: str) -> str:
    """The SQL of a port."""
    made = ", ".join(f"{ROLES[role][1]} as {name}" for role, name in names_of(port).items())
    return f"select {made} from range(1, 61) as r(i)"


# -- readers ---------------------------------------------------------------------------------------------------------------


def write(place: Place, seed: int = 2024, each: int = 7) -> list[Reader]:
    """Write the mesh: every idiom in turn, so many readers of each port, some that ask something of it."""
    pick = random.Random(seed)
    idioms = [one for _ in range(2) for one in pick.sample(IDIOMS, len(IDIOMS))]
    for domain in {port.partition(".")[0] for port in PORTS}:
        ports = [port.partition(".")[2] for port in PORTS if port.startswith(f"{domain}.")]
        place.domain(domain, "outputs:\n" + "".join(f"  - port: {port}\n" for port in ports))
    readers = []
    for number, port in enumerate(PORTS):
        place.sql(port, rows_of(port))
        short = port.partition(".")[2]
        place.write(
            f"domains/{port.partition('.')[0]}/contracts/{short}.odcs.yaml", contract_text(short, promised(port))
        )
        for place_ in range(each):
            idiom = idioms[(number * each + place_) % len(idioms)]
            readers.append(_reader(place, pick, f"r{number}{place_}", port, idiom))
    return readers


def _reader(place: Place, pick: random.Random, domain: str, port: str, idiom: str) -> Reader:
    words = words_of(port) | {"port": port, "first": f"{domain}.first", "stage": "{{ ref('stage') }}"}
    if idiom in SQL:
        place.sql(f"{domain}.made", SQL[idiom].format(**words))
        reader = Reader(domain, port, idiom, _sql(SQL[idiom].format(**words)))
    elif idiom in HOPS:
        first, last = (text.format(**words) for text in HOPS[idiom])
        place.sql(f"{domain}.first", first)
        place.sql(f"{domain}.made", last)
        reader = Reader(domain, port, idiom, _sql(last, **{f"{domain}.first": first}))
    elif idiom in DBT:
        schema, _, table = port.partition(".")
        read = words | {"port": f"{{{{ source('{schema}', '{table}') }}}}"}
        folder = f"dbt_projects/{domain}"
        place.write(
            f"{folder}/dbt_project.yml",
            f"name: {domain}\nprofile: {domain}\nmodels: {{{domain}: {{+materialized: table}}}}\n",
        )
        place.write(f"{folder}/macros/halved.sql", MACRO)
        place.write(
            f"{folder}/models/stage.sql", "{{ config(materialized='ephemeral') }}\n" + DBT[idiom][0].format(**read)
        )
        place.write(f"{folder}/models/made.sql", DBT[idiom][1].format(**read))
        stage = DBT[idiom][0].format(**words)
        last = RENDERED.get(idiom, DBT[idiom][1]).format(**words | {"stage": f"{domain}_stage"})
        reader = Reader(domain, port, idiom, _sql(f"with {domain}_stage as ({stage}) {last}"))
    else:
        reader = Reader(domain, port, idiom, _python(place, domain, port, idiom))
    con = duckdb.connect(config={"threads": 1})
    show(con, port, rows_of(port))
    made = reader.run(con)
    told = con.execute(f"DESCRIBE FROM {made}").fetchall()
    reader.columns = {str(row[0]): "BIGINT" if row[1] == "HUGEINT" else str(row[1]) for row in told}
    if idiom in HOPS:
        reader.private = {
            f"{domain}.first": tuple(
                (str(row[0]), str(row[1])) for row in con.execute(f"DESCRIBE {domain}.first").fetchall()
            )
        }
    tests = {name: _own_tests(con, pick, made, name, kind) for name, kind in reader.columns.items()}
    place.write(
        f"domains/{domain}/contracts/made.odcs.yaml",
        contract_text(
            "made", {name: (kind, tests[name]) for name, kind in reader.columns.items()}, id_=f"{domain}.made"
        ),
    )
    asks = ""
    if pick.random() < 0.35:
        roles = pick.sample(list(ROLES), 3)
        said = {words[f"{role}_"]: (ROLES[role][0], tuple(PROMISES[role])) for role in roles}
        short = port.partition(".")[2]
        place.write(f"domains/{domain}/contracts/asks.odcs.yaml", contract_text(short, said, id_=f"{domain}.asks"))
        asks = ", contract: asks.odcs.yaml"
    place.domain(domain, f"inputs: [{{port: {port}{asks}}}]\noutputs: [{{port: made}}]\n")
    return reader


def _sql(last: str, **before: str) -> Callable[[duckdb.DuckDBPyConnection], str]:
    def run(con: duckdb.DuckDBPyConnection) -> str:
        for name, text in before.items():
            show(con, name, text)
        con.execute(f"CREATE OR REPLACE TEMP TABLE made AS FROM ({last})")
        return "made"

    return run


def _python(place: Place, domain: str, port: str, idiom: str) -> Callable[[duckdb.DuckDBPyConnection], str]:
    roles, kind, body = PYTHON[idiom]
    words, short = words_of(port), port.partition(".")[2]
    columns = [words[f"{role}_"] for role in roles]
    body = body.format(**words)
    place.write(
        f"domains/{domain}/assets.py",
        f"import mesh_assets\nimport pandas as pd\nimport polars as pl\n\n\n"
        f'@mesh_assets.table(inputs=["{port}"], columns={{"{port}": {columns!r}}})\n'
        f"def made({short}: {kind}) -> {kind}:\n    rows = {short}\n{body}",
    )

    def run(con: duckdb.DuckDBPyConnection) -> str:
        listed = ", ".join(f'"{name}"' for name in columns)
        relation = con.sql(f"SELECT {listed} FROM {port}")
        scope: dict = {"pd": pd, "pl": pl}
        exec(f"def made(rows):\n{body}", scope)
        frame = scope["made"](relation.df() if kind.startswith("pd") else relation.pl())
        con.register("frame", frame)
        con.execute("CREATE OR REPLACE TEMP TABLE made AS FROM frame")
        return "made"

    return run


def _own_tests(con: duckdb.DuckDBPyConnection, pick: random.Random, made: str, name: str, kind: str) -> tuple[str, ...]:
    """Tests of a column that hold as it is; none for most."""
    quoted = '"' + name.replace('"', '""') + '"'
    rows, known, different = con.execute(
        f"SELECT count(*), count({quoted}), count(DISTINCT {quoted}) FROM {made}"
    ).fetchone()
    found = []
    if rows == known and pick.random() < 0.3:
        found.append("required: true")
    if rows == different and pick.random() < 0.3:
        found.append("unique: true")
    if kind == "VARCHAR" and different <= 4 and pick.random() < 0.5:
        values = [
            row[0] for row in con.execute(f"SELECT DISTINCT {quoted} FROM {made} WHERE {quoted} IS NOT NULL").fetchall()
        ]
        found.append(
            f"quality: [{{id: {re.sub('[^a-z]', '_', name.lower())}_known, metric: invalidValues, arguments: {{validValues: {sorted(values)!r}}}, mustBe: 0}}]"
        )
    if kind in ("INTEGER", "BIGINT") and known and pick.random() < 0.3:
        low, high = con.execute(f"SELECT min({quoted}), max({quoted}) FROM {made}").fetchone()
        found.append(f"logicalTypeOptions: {{minimum: {low - 1}, maximum: {high + 1}}}")
    return tuple(found)


# -- changes ---------------------------------------------------------------------------------------------------------------


def changes_of(port: str, pick: random.Random) -> Iterator[Change]:
    """Changes of a port; of the kinds that could concern every column, some that are drawn."""
    names, old = names_of(port), promised(port)
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


def show(con: duckdb.DuckDBPyConnection, name: str, query: str) -> None:
    """A table of that name with these rows."""
    con.execute(f"CREATE SCHEMA IF NOT EXISTS {name.partition('.')[0]}")
    con.execute(f"CREATE OR REPLACE TABLE {name} AS {query}")


# -- what happens ----------------------------------------------------------------------------------------------------------


def labelled(mesh, variants: Place, readers: list[Reader], seed: int = 5) -> Iterator[Labelled]:
    """Every change with its label; `variants` is where the new contracts are written, to be read as contracts are."""
    pick = random.Random(seed)
    found = [change for port in PORTS for change in changes_of(port, pick)]
    variants.domain("w", "")
    for number, change in enumerate(found):
        variants.sql(f"w.v{number}", "select 1 as x")
        text = contract_text(f"v{number}", change.columns, head=change.head, id_=change.port)
        variants.write(f"domains/w/contracts/v{number}.odcs.yaml", text)
    read, problems = examine(variants.root)
    assert problems == (), problems
    before = {reader.domain: _outcome(mesh, reader, rows_of(reader.port), "select * from o") for reader in readers}
    for number, change in enumerate(found):
        mine = [reader for reader in readers if reader.port == change.port]
        breaks = {}
        for reader in mine:
            after = _outcome(mesh, reader, rows_of(change.port), change.rows)
            if change.same:
                beside = before[reader.domain]
            elif change.control:
                beside = _outcome(mesh, reader, rows_of(change.port), change.control)
            else:
                continue  # what is promised now was allowed before: whoever fails on it, fails without the change
            why = _broken(beside, after, same=change.same)
            if why:
                breaks[reader.domain] = why
        shapes = shape_of(mesh.tables[change.port]), shape_of(read.tables[f"w.v{number}"])
        yield Labelled(
            change.port, change.what, moved(change.port, *shapes), breaks, {one.domain: one.idiom for one in mine}
        )


@dataclass(frozen=True)
class _Outcome:
    error: str = ""
    failed: frozenset = frozenset()
    rows: tuple = ()


def _outcome(mesh, reader: Reader, old: str, rows: str) -> _Outcome:
    """What a reader makes of a port's rows: an error, tests that fail, rows as text."""
    with duckdb.connect(config={"threads": 1}) as con:
        show(con, reader.port, f"with o as ({old}) {rows}")
        domain = mesh.domains[reader.domain]
        asks = domain.inputs[0].contract
        failed = _failed(con, reader.port, asks, "asks") if asks else frozenset()
        try:
            made = reader.run(con)
            given = {str(row[0]).lower(): str(row[1]) for row in con.execute(f"DESCRIBE FROM {made}").fetchall()}
            gone = [name for name in reader.columns if name.lower() not in given]
            if gone:
                return _Outcome(error=f"gives no `{gone[0]}`", failed=failed)
            cast = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in reader.columns.items())
            con.execute(f"CREATE OR REPLACE TEMP TABLE cast_ AS SELECT {cast} FROM {made}")
        except Exception as error:  # noqa: BLE001 - whatever a reader's code raises is what is asked
            return _Outcome(error=(str(error).splitlines() or [type(error).__name__])[0], failed=failed)
        contract = mesh.tables[f"{reader.domain}.made"].contract
        failed |= _failed(con, "cast_", contract, "made")
        text = ", ".join(f'CAST("{name}" AS VARCHAR)' for name in reader.columns)
        return _Outcome(failed=failed, rows=tuple(con.execute(f"SELECT {text} FROM cast_ ORDER BY ALL").fetchall()))


def _failed(con: duckdb.DuckDBPyConnection, relation: str, contract: Contract, where: str) -> frozenset:
    results = audit(con, relation, contract)
    return frozenset((where, one.test.name) for one in results if one.status in (Status.FAIL, Status.ERROR))


def _broken(before: _Outcome, after: _Outcome, *, same: bool) -> str:
    """Why a reader is broken; empty where it is not."""
    assert not before.error, before.error
    if after.error:
        return after.error
    if more := after.failed - before.failed:
        return f"fails {sorted(more)}"
    if same and after.rows != before.rows:
        return "gives something else of the same facts"
    return ""
