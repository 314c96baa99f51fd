"""`mesh change move`: a reader of a deprecated port becomes a reader of its successor, tried on data before it is written."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from mesh_assets import deprecation
from mesh_assets.authoring import with_values
from mesh_assets.changes.adapting import Readers, contracts, project
from mesh_assets.changes.byhand import naming
from mesh_assets.changes.impact import Moved, moved
from mesh_assets.changes.judge import cache_of
from mesh_assets.changes.known import known_columns
from mesh_assets.changes.lineage import Columns, Over, lineage
from mesh_assets.changes.pythonfiles import Reading
from mesh_assets.changes.rehearse import rehearse
from mesh_assets.changes.serve import Files, Json, Tried, applied, compared, files_json, spelt, told, tried_json
from mesh_assets.changes.shape import ColumnShape, Shape
from mesh_assets.domain import Domain, Mesh, Table, Toolchain
from mesh_assets.environment import Environment
from mesh_assets.errors import UsageError, nearest
from mesh_assets.numerals import many
from mesh_assets.reading.source import read_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A domain that reads the successor of a port instead of it; `left` are domains that still read the port then."""

    domain: str
    port: str
    successor: str
    renamed: Mapping[str, str]
    files: Files
    tried: tuple[Tried, ...]
    left: tuple[str, ...]

    @property
    def fine(self) -> bool:
        """Whether it can be offered."""
        return all(one.fine for one in self.tried)


def moving(env: Environment, reader: str, port: str) -> Move:
    """A reader's files as they read the successor of a port, tried on what is published. Nothing is written.

    Raises:
        UsageError: There is no such reader or port, or a person has to write it.
        ConfigError: What would be written is no mesh.
    """
    env.sync()
    name = port.replace("/", ".", 1)
    ending, domain = _asked(env.mesh, reader, name)
    columns = known_columns(env)
    renamed = _renamed(env, ending.table, ending.successor, columns)
    if ending.successor not in env.seen():
        raise UsageError(f"{spelt(ending.successor)} was never published\n    mesh run {spelt(ending.successor)}")
    files: dict[str, tuple[str, str]] = {}
    _domain_yaml(env.mesh, domain, ending, files)
    wanted = Reading(port=ending.table, successor=ending.successor, renamed=renamed)
    files |= contracts(env.mesh, domain, wanted)
    _code(env, domain, wanted, columns, files)
    with applied(env, files) as after:
        mine = [table for table in after.tables.values() if table.domain == reader]
        if still := next((table for table in mine if name in table.inputs), None):
            mend = f"Read `{ending.successor}` there."
            raise UsageError(f"{spelt(still.name)} ({still.where}) would still read {spelt(name)}\n    {mend}")
        tables = [table.name for table in mine if ending.successor in table.inputs]
        tried = _tried(env, after, tables)
        left = tuple(one.domain for one in (deprecation.deprecated(after, after.tables[name]) or ending).readers)
    return Move(
        domain=reader,
        port=ending.table,
        successor=ending.successor,
        renamed=renamed,
        files=files,
        tried=tried,
        left=left,
    )


def to_json(found: Move, *, written: bool) -> Json:
    """The JSON of `mesh change move`."""
    return {
        "schema_version": 1,
        "domain": found.domain,
        "port": spelt(found.port),
        "successor": spelt(found.successor),
        "renamed": dict(found.renamed),
        "tried": tried_json(found.tried),
        "fine": found.fine,
        "left": list(found.left),
        "files": files_json(found.files),
        "written": written,
    }


def _asked(mesh: Mesh, reader: str, name: str) -> tuple[deprecation.Deprecated, Domain]:
    if name not in mesh.tables:
        raise UsageError(f"there is no port `{spelt(name)}`\n    {nearest(spelt(name), map(spelt, mesh.tables))}")
    ending = deprecation.deprecated(mesh, mesh.tables[name])
    if ending is None or not ending.successor:
        raise UsageError(f"{spelt(name)} has no successor\n    `mesh change serve {spelt(name)} …` makes one.")
    known = [one.domain for one in ending.readers]
    if reader not in known:
        raise UsageError(f"`{reader}` does not read {spelt(name)}\n    {nearest(reader, known)}")
    if reader == name.partition(".")[0]:
        raise UsageError(f"`{reader}` is its own domain\n    Change its tables yourself.")
    return ending, mesh.domains[reader]


def _renamed(env: Environment, port: str, successor: str, columns: Columns) -> dict[str, str]:
    """The successor's names for the port's columns, where they are others: as the shim has them."""
    made = lineage(env.mesh, env.mesh.tables[port], columns, cache_of(env))
    names = {name.lower(): name for name, _ in columns.get(successor, ())}
    own = {name.lower(): name for name, _ in columns.get(port, ())}
    return {
        own.get(name, name): names[source]
        for name, (table, source) in made.copies.items()
        if table == successor and source in names and source != name.lower()
    }


# -- files -----------------------------------------------------------------------------------------------------------------


def _domain_yaml(mesh: Mesh, domain: Domain, ending: deprecation.Deprecated, files: dict[str, tuple[str, str]]) -> None:
    shown = f"domains/{domain.path.name}/domain.yaml"
    text = read_text(mesh.root / shown, shown)

    def reads(tree: Any) -> list[tuple[Any, str, str]]:  # noqa: ANN401 - ruamel's
        entries = [entry for entry in tree.get("inputs") or () if entry.get("port") == ending.table]
        return [(entry, "port", ending.successor) for entry in entries]

    files[shown] = (text, with_values(text, reads))


def _code(
    env: Environment,
    domain: Domain,
    wanted: Reading,
    columns: Columns,
    files: dict[str, tuple[str, str]],
) -> None:
    """Code that reads the port, reading its successor."""
    mesh = env.mesh
    tables = [t for t in mesh.tables.values() if t.domain == domain.name and wanted.port in t.inputs]
    found = {wanted.port: _difference(columns[wanted.port], wanted.renamed, wanted.port)}
    now = Over({wanted.port: found[wanted.port].columns}, columns)
    by_hand = []
    with closing(Readers(mesh=mesh, columns=columns, now=now, found=found)) as readers:
        for table in tables:
            if table.toolchain is Toolchain.DBT:
                continue  # one project makes all of them
            if (made := readers.files(table, [wanted], files)) is None:
                by_hand.append(table)
            else:
                files |= made
    if any(table.toolchain is Toolchain.DBT for table in tables):
        files |= project(mesh, domain.name, wanted)
    if by_hand:
        raise UsageError(_for_a_person(mesh, by_hand, wanted))


def _for_a_person(mesh: Mesh, tables: list[Table], wanted: Reading) -> str:
    listed = ", ".join(f"{spelt(t.name)} ({t.where})" for t in tables)
    mend = f"Read `{wanted.successor}` there"
    mend += "".join(f", `{name}` for `{before}`" for before, name in wanted.renamed.items())
    places = "".join(
        f"\n    {one.path}:{one.line}: {one.text}" for table in tables for one in naming(mesh, table, wanted.renamed)
    )
    is_ = "is" if len(tables) == 1 else "are"
    return f"{listed} {is_} not in SQL, nor declared plainly in Python: a person has to change it\n    {mend}.{places}"


def _difference(columns: tuple[tuple[str, str], ...], renamed: Mapping[str, str], port: str) -> Moved:
    old = Shape(columns=tuple(ColumnShape(name=name, type=kind) for name, kind in columns))
    new = tuple(
        replace(column, name=renamed[column.name], came_from=(column.name,)) if column.name in renamed else column
        for column in old.columns
    )
    return moved(port, old, replace(old, columns=new))


# -- on data ---------------------------------------------------------------------------------------------------------------


def _tried(env: Environment, after: Mesh, tables: list[str]) -> tuple[Tried, ...]:
    """Its tables on the successor as it is published; what they give, beside what they gave."""
    seen = env.seen()
    alike: dict[str, str] = {}

    def look(name: str, relation: str) -> None:
        if name in seen:
            rows, differ = compared(env, env.lake.relation(name, seen[name].version), relation)
            alike[name] = (
                f"gives the same {many(rows, 'row')}"
                if not differ
                else f"gives {many(differ, 'row')} otherwise than the {rows:,} published"
            )

    runs = rehearse(env, after, tables, {}, look)
    return tuple(
        told(runs[name], alike.get(name, "runs on the successor"))
        if runs[name].ran
        else Tried(table=name, fine=False, why=runs[name].why)
        for name in tables
    )
