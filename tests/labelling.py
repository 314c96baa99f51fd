"""Meshes with changes that are labelled by what happens: the readers are executed. A `Kit` says of which ports, readers and changes.

A change comes with the rows as they are after it: the same facts written otherwise, or more facts that the new contract allows. It
breaks a reader where

- the reader's code fails on them, or gives no longer the columns and types that its contract promises;
- a test of its own fails on them that did not fail before: of what it makes, or of what it asks of the port;
- the facts are the same, and what it makes of them is not.

Nothing here looks at how the verdicts are found.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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

MACRO = "{% macro halved(what) %}({{ what }} / 2){% endmacro %}\n"


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
        head: More lines of the contract; `foot`: those about its table, where they are others.
    """

    port: str
    what: str
    columns: Mapping[str, tuple[str, tuple[str, ...]]]
    rows: str
    same: bool
    head: str = ""
    control: str = ""
    foot: str = ""


@dataclass(frozen=True)
class Labelled:
    """A change as the verdict sees it, and whom it breaks, with what happened."""

    port: str
    what: str
    moved: object
    breaks: Mapping[str, str]
    readers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Kit:
    """What a set is made of.

    Attributes:
        roles: Columns by one letter: type, and what the rows hold.
        promises: Lines of the contract, by role.
        ports: The names of the columns, in the order of the roles; quoted where they have to be.
        sql: Readers by idiom; `{m}` is a column as it is written, `{m_}` its bare name, `{M}` in capitals.
        hops: A private table, and the one that is made of it.
        dbt: An ephemeral model, and the one that is made of it.
        rendered: What dbt makes of those that are more than names.
        python: The roles that are read, the frame, and the body.
        changes: Those of one port.
        foot: Lines of a port's contract that are about the whole table.
    """

    roles: Mapping[str, tuple[str, str]]
    promises: Mapping[str, Sequence[str]]
    ports: Mapping[str, str]
    sql: Mapping[str, str]
    hops: Mapping[str, tuple[str, str]]
    dbt: Mapping[str, tuple[str, str]]
    rendered: Mapping[str, str]
    python: Mapping[str, tuple[str, str, str]]
    changes: Callable[["Kit", str, random.Random], Iterator[Change]]
    foot: str = ""

    @property
    def idioms(self) -> tuple[str, ...]:
        """Of all readers."""
        return (*self.sql, *self.hops, *self.dbt, *self.python)

    def names_of(self, port: str) -> dict[str, str]:
        """The column of every role, as it is written."""
        found = re.findall(r'"[^"]+"|\S+', self.ports[port])
        return dict(zip(self.roles, found, strict=True))

    def words_of(self, port: str) -> dict[str, str]:
        """What stands for the holes of a reader's text."""
        names = self.names_of(port)
        bare = {f"{role}_": name.strip('"') for role, name in names.items()}
        return {**names, **bare, **{role.upper(): name.upper() for role, name in names.items()}}

    def promised(self, port: str) -> dict[str, tuple[str, tuple[str, ...]]]:
        """The columns of a port's contract."""
        return {
            name.strip('"'): (self.roles[role][0], tuple(self.promises[role]))
            for role, name in self.names_of(port).items()
        }

    def rows_of(self, port: str) -> str:
        """The SQL of a port."""
        made = ", ".join(f"{self.roles[role][1]} as {name}" for role, name in self.names_of(port).items())
        return f"select {made} from range(1, 61) as r(i)"


def contract_text(
    name: str, columns: Mapping[str, tuple[str, tuple[str, ...]]], *, head: str = "", foot: str = "", id_: str = ""
) -> str:
    """ODCS: column to its type and more lines."""
    logical = {
        "VARCHAR": "string",
        "DATE": "date",
        "BOOLEAN": "boolean",
        "TIMESTAMP": "timestamp",
        "TIME": "time",
        "STRUCT": "object",
    }
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
    lines += [f"    {line}" for line in foot.splitlines()]
    return "\n".join(lines) + "\n"


# -- readers ---------------------------------------------------------------------------------------------------------------


def write(kit: Kit, place: Place, seed: int = 2024, each: int = 7) -> list[Reader]:
    """Write the mesh: every idiom in turn, so many readers of each port, some that ask something of it."""
    pick = random.Random(seed)
    idioms = [one for _ in range(2) for one in pick.sample(kit.idioms, len(kit.idioms))]
    for domain in {port.partition(".")[0] for port in kit.ports}:
        ports = [port.partition(".")[2] for port in kit.ports if port.startswith(f"{domain}.")]
        place.domain(domain, "outputs:\n" + "".join(f"  - port: {port}\n" for port in ports))
    readers = []
    for number, port in enumerate(kit.ports):
        place.sql(port, kit.rows_of(port))
        domain, _, short = port.partition(".")
        text = contract_text(short, kit.promised(port), foot=kit.foot)
        place.write(f"domains/{domain}/contracts/{short}.odcs.yaml", text)
        for place_ in range(each):
            idiom = idioms[(number * each + place_) % len(idioms)]
            readers.append(_reader(kit, place, pick, f"r{number}{place_}", port, idiom))
    return readers


def _reader(kit: Kit, place: Place, pick: random.Random, domain: str, port: str, idiom: str) -> Reader:
    words = kit.words_of(port) | {"port": port, "first": f"{domain}.first", "stage": "{{ ref('stage') }}"}
    if idiom in kit.sql:
        place.sql(f"{domain}.made", kit.sql[idiom].format(**words))
        reader = Reader(domain, port, idiom, _sql(kit.sql[idiom].format(**words)))
    elif idiom in kit.hops:
        first, last = (text.format(**words) for text in kit.hops[idiom])
        place.sql(f"{domain}.first", first)
        place.sql(f"{domain}.made", last)
        reader = Reader(domain, port, idiom, _sql(last, **{f"{domain}.first": first}))
    elif idiom in kit.dbt:
        schema, _, table = port.partition(".")
        read = words | {"port": f"{{{{ source('{schema}', '{table}') }}}}"}
        folder = f"dbt_projects/{domain}"
        place.write(
            f"{folder}/dbt_project.yml",
            f"name: {domain}\nprofile: {domain}\nmodels: {{{domain}: {{+materialized: table}}}}\n",
        )
        place.write(f"{folder}/macros/halved.sql", MACRO)
        place.write(
            f"{folder}/models/stage.sql", "{{ config(materialized='ephemeral') }}\n" + kit.dbt[idiom][0].format(**read)
        )
        place.write(f"{folder}/models/made.sql", kit.dbt[idiom][1].format(**read))
        stage = kit.dbt[idiom][0].format(**words)
        last = kit.rendered.get(idiom, kit.dbt[idiom][1]).format(**words | {"stage": f"{domain}_stage"})
        reader = Reader(domain, port, idiom, _sql(f"with {domain}_stage as ({stage}) {last}"))
    else:
        reader = Reader(domain, port, idiom, _python(kit, place, domain, port, idiom))
    con = duckdb.connect(config={"threads": 1})
    show(con, port, kit.rows_of(port))
    made = reader.run(con)
    told = con.execute(f"DESCRIBE FROM {made}").fetchall()
    reader.columns = {str(row[0]): "BIGINT" if row[1] == "HUGEINT" else str(row[1]) for row in told}
    if idiom in kit.hops:
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
        roles = pick.sample(list(kit.roles), 3)
        said = {words[f"{role}_"]: (kit.roles[role][0], tuple(kit.promises[role])) for role in roles}
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


def _python(kit: Kit, place: Place, domain: str, port: str, idiom: str) -> Callable[[duckdb.DuckDBPyConnection], str]:
    roles, kind, body = kit.python[idiom]
    words, short = kit.words_of(port), port.partition(".")[2]
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


def show(con: duckdb.DuckDBPyConnection, name: str, query: str) -> None:
    """A table of that name with these rows."""
    con.execute(f"CREATE SCHEMA IF NOT EXISTS {name.partition('.')[0]}")
    con.execute(f"CREATE OR REPLACE TABLE {name} AS {query}")


# -- what happens ----------------------------------------------------------------------------------------------------------


def labelled(kit: Kit, mesh, variants: Place, readers: list[Reader], seed: int = 5) -> Iterator[Labelled]:
    """Every change with its label; `variants` is where the new contracts are written, to be read as contracts are."""
    pick = random.Random(seed)
    found = [change for port in kit.ports for change in kit.changes(kit, port, pick)]
    variants.domain("w", "")
    for number, change in enumerate(found):
        variants.sql(f"w.v{number}", "select 1 as x")
        text = contract_text(
            f"v{number}", change.columns, head=change.head, foot=change.foot or kit.foot, id_=change.port
        )
        variants.write(f"domains/w/contracts/v{number}.odcs.yaml", text)
    read, problems = examine(variants.root)
    assert problems == (), problems
    before = {reader.domain: _outcome(mesh, reader, kit.rows_of(reader.port), "select * from o") for reader in readers}
    for number, change in enumerate(found):
        mine = [reader for reader in readers if reader.port == change.port]
        breaks = {}
        for reader in mine:
            after = _outcome(mesh, reader, kit.rows_of(change.port), change.rows)
            if change.same:
                beside = before[reader.domain]
            elif change.control:
                beside = _outcome(mesh, reader, kit.rows_of(change.port), change.control)
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
