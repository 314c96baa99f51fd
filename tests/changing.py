"""A mesh of 20 domains and 60 ports with labelled changes: each label is known from how its readers were made.

Readers are made of a list of columns that they use; the label follows from that list alone, not from reading their SQL.
"""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from mesh_assets.changes.impact import moved
from mesh_assets.changes.shape import ColumnShape, shape_of
from tests.making import Place

DOMAINS, PORTS = 20, 3
COLUMNS = {
    "id": "INTEGER; required: true",
    "amount": "DECIMAL(10,2); logicalTypeOptions: {minimum: 0, maximum: 100}; customProperties: [{property: unit, value: EUR}]",
    "code": "VARCHAR; quality: [{id: code_known, metric: invalidValues, arguments: {validValues: [a, b]}, mustBe: 0}]",
    "name": "VARCHAR; required: true",
    '"Order"': "INTEGER",
    "Day": "DATE",
    "spare": "VARCHAR; customProperties: [{property: nullMeaning, value: unknown}]",
    "other": "BIGINT; quality: [{id: other_given, metric: nullValues, unit: percent, mustBeLessThan: 5, severity: error}]",
}  # fmt: skip
MADE = {
    "id": "i::INTEGER",
    "amount": "(i * 37 % 101)::DECIMAL(10,2)",
    "code": "['a', 'b'][i % 2 + 1]",
    "name": "'n' || i",
    '"Order"': "(i % 9)::INTEGER",
    "Day": "date '2025-01-01' + (i % 90)::INTEGER",
    "spare": "case when i % 3 = 0 then 'x' || (i * 7 % 5) end",
    "other": "(i * i % 1009)::BIGINT",
}
"""What every port's SQL makes each column of, over `range`."""
OTHERS = [
    "'z' || (i % 4)",
    "(i % 13)::INTEGER",
    "i % 7 < 3",
    "md5(i::VARCHAR)",
    "date '2031-05-01' - (i % 11)::INTEGER",
]
"""What a column is made of that has nothing to do with these."""
DBT = 4
"""Every so many domains read by a dbt project."""
NAMES = [name.strip('"') for name in COLUMNS]
SQL = {
    "plain": "select {columns} from {port}",
    "upper": "SELECT {upper} FROM {port}",
    "cte": "with c as (select * from {port}) select {columns} from c where id > 0",
    "join": "with n as (select 1 as n) select {dotted} from {port} as p cross join n",
    "union": "select {columns} from {port} union all select {columns} from {port}",
    "window": "select {columns}, row_number() over (partition by id order by id) as place from {port}",
    "subquery": "select {columns} from (select * from {port}) where id in (select id from {port})",
    "computed": "select {computed}, id from {port} where id > 0",
    "counted": "select count(*) as n, {columns} from {port} group by all",
}


@dataclass(frozen=True)
class Reader:
    """A domain that reads a port, and exactly these columns of it; `asks` are those that its own contract speaks of."""

    domain: str
    port: str
    uses: frozenset
    asks: frozenset


@dataclass(frozen=True)
class Labelled:
    """A change, the domains that it breaks, all that read the port, and how they do."""

    port: str
    what: str
    moved: object
    breaks: frozenset
    readers: frozenset
    by: tuple[Reader, ...] = ()


def quoted(name: str) -> str:
    return f'"{name}"' if name == "Order" else name


def make(place: Place, seed: int = 7) -> list[Reader]:
    """Write the mesh; later domains read the ports of earlier ones."""
    pick = random.Random(seed)
    readers = []
    for number in range(DOMAINS):
        domain = f"d{number:02}"
        own = [f"{domain}.p{n}" for n in range(PORTS)]
        earlier = [f"d{n:02}.p{k}" for n in range(number) for k in range(PORTS)]
        read = sorted(pick.sample(earlier, min(len(earlier), 6)))
        inputs = []
        for port in read:
            uses = frozenset([*pick.sample(NAMES[1:], pick.randint(1, 3)), "id"])
            asks = frozenset(pick.sample(sorted(uses), 1)) if pick.random() < 0.4 else frozenset()
            readers.append(Reader(domain, port, uses, asks))
            contract = f"in_{port.replace('.', '_')}"
            line = f"  - port: {port}\n"
            if asks:
                short = port.partition(".")[2]
                columns = {quoted(name): COLUMNS[quoted(name)] for name in NAMES if name in asks}
                place.contract(f"{domain}.{short}", columns, name=contract)
                path = place.root / f"domains/{domain}/contracts/{contract}.odcs.yaml"
                path.write_text(path.read_text().replace(f"name: {contract}", f"name: {short}"))
                line += f"    contract: {contract}.odcs.yaml\n"
            inputs.append(line)
            write_reader(place, pick, domain, port, uses)
        outputs = "".join(f"  - port: {name.partition('.')[2]}\n" for name in own)
        place.domain(domain, ("inputs:\n" + "".join(inputs) if inputs else "") + "outputs:\n" + outputs)
        for name in own:
            place.sql(name, port_sql(MADE))
            place.contract(name, COLUMNS)
    return readers


def port_sql(made: Mapping[str, str], rows: str = "range(200)") -> str:
    """The SQL of a port, with what each column is made of."""
    return f"select {', '.join(f'{made_of} as {name}' for name, made_of in made.items())} from {rows} as t(i)"


def write_reader(place: Place, pick: random.Random, domain: str, port: str, uses: frozenset) -> None:
    """One of: a SELECT of some form; a private `*` with a table behind it; a function with `columns=`."""
    short = port.replace(".", "_")
    names = [quoted(name) for name in NAMES if name in uses]
    form = pick.choice([*SQL, "hops", "python"])
    if int(domain[1:]) % DBT == DBT - 1:
        write_model(place, form, domain, port, names)
    elif form == "python":
        path = place.root / f"domains/{domain}/assets.py"
        head = path.read_text() if path.exists() else "import mesh_assets\nimport pandas as pd\n"
        listed = [name for name in NAMES if name in uses]
        param = port.partition(".")[2]
        place.write(
            f"domains/{domain}/assets.py",
            f'{head}\n\n@mesh_assets.table(inputs=["{port}"], columns={{"{port}": {listed!r}}})\n'
            f"def r_{short}({param}: pd.DataFrame) -> pd.DataFrame:\n    return {param}\n",
        )
    elif form == "hops":
        place.sql(f"{domain}.m_{short}", f"select * from {port}")
        place.sql(f"{domain}.r_{short}", f"select {', '.join(names)} from {domain}.m_{short}")
    else:
        place.sql(f"{domain}.r_{short}", written(form, port, names))


def written(form: str, port: str, names: list[str]) -> str:
    """A SELECT of a form."""
    return SQL[form].format(
        port=port,
        columns=", ".join(names),
        upper=", ".join(name.upper() for name in names),
        dotted=", ".join(f"p.{name}" for name in names),
        computed=", ".join(f"cast({name} as varchar) as t_{number}" for number, name in enumerate(names)),
    )


def write_model(place: Place, form: str, domain: str, port: str, names: list[str]) -> None:
    """The same in dbt: over the source itself, or over an ephemeral model with a `*`."""
    folder, short = f"dbt_projects/{domain}", port.replace(".", "_")
    place.write(f"{folder}/dbt_project.yml", f"name: {domain}\nprofile: {domain}\nmodel-paths: [models]\n")
    schema, _, table = port.partition(".")
    read = f"{{{{ source('{schema}', '{table}') }}}}"
    if form in ("hops", "python"):
        place.write(
            f"{folder}/models/stg_{short}.sql", f"{{{{ config(materialized='ephemeral') }}}}\nselect * from {read}\n"
        )
        form, read = "plain", f"{{{{ ref('stg_{short}') }}}}"
    text = "{{ config(materialized='table') }}\n" + written(form, read, names) + "\n"
    place.write(f"{folder}/models/r_{short}.sql", text)


def labelled(mesh, readers: list[Reader], seed: int = 11) -> Iterator[Labelled]:
    """Eleven changes of each port that has readers. Half of those that could hurt are of a column that somebody uses.

    Each is one of: a column dropped, renamed (said so, and not), replaced, of another type, in another unit; a meaning, a promise
    that readers may have asked for, a rule; and two that never hurt. So a good half of them harms nobody.
    """
    pick = random.Random(seed)
    for name in sorted(name for name, table in mesh.tables.items() if table.port):
        mine = [reader for reader in readers if reader.port == name]
        old = shape_of(mesh.tables[name])
        if not mine:
            continue
        for what in WHAT:
            column, new, hits = change(pick, what, old, mine)
            broken = {r.domain for r in mine if hits(r)}
            yield Labelled(
                name,
                f"{what} {column}",
                moved(name, old, new),
                frozenset(broken),
                frozenset(reader.domain for reader in mine),
                tuple(mine),
            )


WHAT = (
    "drop", "rename", "retype", "unit", "semantics", "promise", "add", "tighten", "respelt", "replaced", "rule"
)  # fmt: skip


def change(pick: random.Random, what: str, old, readers: list[Reader]):
    """A column, the new shape, and whether a reader is hit: by what it was made of."""

    def among(names: list[str], wanted: set[str]) -> str:
        """One of the names; by the toss of a coin one that is wanted, where there is any."""
        known = [name for name in names if name in wanted]
        return pick.choice(known if known and pick.random() < 0.5 else names)

    by_name = {column.name: column for column in old.columns}

    def put(name, new):
        columns = tuple(one for column in old.columns if (one := new if column.name == name else column) is not None)
        return replace(old, columns=columns)

    name = among(NAMES[1:], {name for reader in readers for name in reader.uses})
    used = lambda reader: name in reader.uses
    asked = lambda reader: name in reader.asks
    match what:
        case "drop":
            return name, put(name, None), used
        case "rename":
            return name, put(name, replace(by_name[name], name=f"{name}_2", came_from=(name,))), used
        case "respelt":  # the same, and nobody says so
            return name, put(name, replace(by_name[name], name=f"{name}_2")), used
        case "replaced":
            return name, put(name, ColumnShape(name="fresh", type="VARCHAR", nullable=False)), used
        case "retype":
            return name, put(name, replace(by_name[name], type="BLOB")), used
        case "rule":
            new = replace(
                old, rules=rules(pick, old)
            )  # a rule that is gone, or looser, stands in contracts of some readers
            return "other", new, lambda reader: "other" in reader.asks and not set(new.rules) > set(old.rules)
        case "unit":
            name = "amount"
            return name, put(name, replace(by_name[name], unit="cent")), used
        case "semantics":
            if pick.random() < 0.5:
                name = "spare"
                return name, put(name, replace(by_name[name], null_meaning="not asked")), used
            return "grain", replace(old, key=("id",), description="other words"), lambda _reader: False
        case "promise":  # what readers ask for in their own contracts is promised no longer
            name = among(["name", "code", "amount"], {name for reader in readers for name in reader.asks})
            looser = {
                "name": {"nullable": True},
                "code": {"allowed": ("a", "b", "c")},
                "amount": {"maximum": ("200", False)},
            }[name]
            return name, put(name, replace(by_name[name], **looser)), asked
        case "add":
            extra = ColumnShape(name=pick.choice(["extra", "group", "n"]), type="VARCHAR")
            return extra.name, replace(old, columns=(*old.columns, extra)), lambda _reader: False
    tighter = pick.choice(
        [("amount", {"maximum": ("50", False)}), ("code", {"allowed": ("a",)}), ("spare", {"nullable": False})]
    )
    return tighter[0], put(tighter[0], replace(by_name[tighter[0]], **tighter[1])), lambda _reader: False


def rules(pick: random.Random, old):
    """One of the port's rules gone or looser, or one more."""
    mine = next(rule for rule in old.rules if rule.name == "other_given")
    rest = tuple(rule for rule in old.rules if rule is not mine)
    looser = replace(mine, arguments=mine.arguments.replace("5", "50"))
    more = replace(mine, name="id_given", columns=("id",))
    return pick.choice([rest, (*rest, looser), (*old.rules, more)])


@dataclass(frozen=True)
class Respelt:
    """A column of a port that is gone and one that is new, by the port's SQL before and after.

    Attributes:
        after: The new name, where it is the same column; empty: it is another.
    """

    before: str
    after: str
    new: str
    sql: str


def respelt(times: int, seed: int = 13) -> Iterator[Respelt]:
    """So often: a column under another name, made and filled as before or nearly so; and one replaced."""
    pick = random.Random(seed)
    for _ in range(times):
        name = pick.choice(list(MADE)[1:])
        for same in (True, False):
            made_of = MADE[name] if same else pick.choice(OTHERS)
            rows = pick.choice(["range(200)", "range(5, 206)"])
            if same and pick.random() < 0.4:  # one value in twenty is another now
                other = re.sub(r"\bi\b", "(i + 1)", MADE[name])
                made_of = f"case when i % 20 = 3 then {other} else {made_of} end"
            new = f"new_{pick.randint(1, 9)}"
            made = {new if one == name else one: made_of if one == name else told for one, told in MADE.items()}
            yield Respelt(name.strip('"'), new if same else "", new, port_sql(made, rows))
