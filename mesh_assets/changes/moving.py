"""`mesh change move`: a reader of a deprecated port becomes a reader of its successor, tried on data before it is written."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mesh_assets import deprecation
from mesh_assets.authoring import dumped, editor
from mesh_assets.changes import dbtfiles
from mesh_assets.changes.binding import Bench
from mesh_assets.changes.byhand import naming
from mesh_assets.changes.impact import Moved, moved
from mesh_assets.changes.judge import cache_of
from mesh_assets.changes.known import known_columns
from mesh_assets.changes.lineage import Columns, Over, lineage
from mesh_assets.changes.pythonfiles import Reading, function_at, reading
from mesh_assets.changes.rehearse import rehearse
from mesh_assets.changes.serve import Files, Json, Tried, applied, compared, files_json, spelt, told, tried_json
from mesh_assets.changes.shape import ColumnShape, Shape
from mesh_assets.changes.shim import ALIAS, adapted, quoted
from mesh_assets.changes.succession import word
from mesh_assets.changes.texts import text_of
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
    _contracts(env.mesh, domain, ending, renamed, files)
    _code(env, domain, ending, renamed, columns, files)
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
        raise UsageError(f"there is no port `{spelt(name)}`\n    {nearest(name, mesh.tables)}")
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
    yaml = editor(text)
    tree = yaml.load(text)
    for entry in tree.get("inputs") or ():
        if entry.get("port") == ending.table:
            entry["port"] = ending.successor
    files[shown] = (text, dumped(yaml, tree))


def _contracts(
    mesh: Mesh,
    domain: Domain,
    ending: deprecation.Deprecated,
    renamed: Mapping[str, str],
    files: dict[str, tuple[str, str]],
) -> None:
    """What the domain asks of the port, and where its own contracts refer to it."""
    entry = domain.input(ending.table)
    asked = entry.contract.where.path if entry and entry.contract else ""
    old, new = ending.table.partition(".")[2], ending.successor.partition(".")[2]
    for path in sorted((domain.path / "contracts").glob("*.odcs.yaml")):
        shown = path.relative_to(mesh.root).as_posix()
        text = read_text(path, shown)
        after = text
        for before, name in renamed.items():
            after = word(after, f"{ending.table}.{before}", f"{ending.successor}.{name}")
        after = re.sub(rf"(to:\s*['\"]?){re.escape(ending.table)}(?=\.)", rf"\g<1>{ending.successor}", after)
        if shown == asked:
            after = _asks(after, old, new, renamed)
        if after != text:
            files[shown] = (text, after)


def _asks(text: str, old: str, new: str, renamed: Mapping[str, str]) -> str:
    """A contract of an input, for the successor."""
    yaml = editor(text)
    tree = yaml.load(text)
    schema = tree["schema"][0]
    for key in ("name", "physicalName"):
        if schema.get(key) == old:
            schema[key] = new
    for column in schema.get("properties") or ():
        for key in ("name", "physicalName"):
            if column.get(key) in renamed:
                column[key] = renamed[column[key]]
    for rule in schema.get("quality") or ():
        if isinstance(rule.get("query"), str):
            for before, name in renamed.items():
                rule["query"] = word(rule["query"], before, name)
    return dumped(yaml, tree)


def _code(
    env: Environment,
    domain: Domain,
    ending: deprecation.Deprecated,
    renamed: Mapping[str, str],
    columns: Columns,
    files: dict[str, tuple[str, str]],
) -> None:
    """SQL that reads the port, reading its successor."""
    mesh = env.mesh
    tables = [t for t in mesh.tables.values() if t.domain == domain.name and ending.table in t.inputs]
    wanted = Reading(port=ending.table, successor=ending.successor, renamed=renamed)
    by_hand = [table for table in tables if not _written(mesh, table, wanted, files)]
    if by_hand:
        listed = ", ".join(f"{spelt(t.name)} ({t.where})" for t in by_hand)
        mend = f"Read `{ending.successor}` there" + "".join(
            f", `{name}` for `{before}`" for before, name in renamed.items()
        )
        lines = [line for table in by_hand for line in naming(mesh, table, renamed)]
        places = "".join(f"\n    {one.path}:{one.line}: {one.text}" for one in lines)
        raise UsageError(
            f"{listed} {'is' if len(by_hand) == 1 else 'are'} not in SQL, nor declared plainly in Python: a person has to change it\n"
            f"    {mend}.{places}"
        )
    kept = _kept(renamed)
    if any(table.toolchain is Toolchain.DBT for table in tables):
        project = mesh.root / "dbt_projects" / domain.name
        files |= dbtfiles.reading(project, mesh.root, ending.table, ending.successor, kept, renamed)
    found = {ending.table: _difference(columns[ending.table], renamed, ending.table)}
    by_new_name = Over({ending.table: found[ending.table].columns}, columns)
    bench = Bench()
    try:
        for table in tables:
            text = text_of(mesh, table)
            if text is None or table.toolchain is not Toolchain.SQL:
                continue
            read = lineage(mesh, table, columns)
            lines = adapted(bench, table, text, read, found, columns, by_new_name)
            named = ending.successor
            if lines is None:
                lines = text.source.splitlines(keepends=True)
                named = kept.replace("{}", ending.successor) or named
            files[text.path] = (text.source, _named("".join(lines), ending, named))
    finally:
        bench.close()


def _written(mesh: Mesh, table: Table, wanted: Reading, files: dict[str, tuple[str, str]]) -> bool:
    """Whether a program can write it; a function in Python is put into the files."""
    if table.toolchain is not Toolchain.PYTHON:
        return table.toolchain in (Toolchain.SQL, Toolchain.DBT)
    shown = table.path.relative_to(mesh.root).as_posix()
    before = read_text(table.path, shown)
    after = reading(files[shown][1] if shown in files else before, function_at(before, table.where.line), wanted)
    if after is None:
        return False
    files[shown] = (before, after)
    return True


def _kept(renamed: Mapping[str, str]) -> str:
    """SQL in which the new names end where they come in: for what a `*` takes along, and what has to keep its name."""
    if not renamed:
        return ""
    gone = ", ".join(quoted(name) for name in renamed.values())
    back = ", ".join(f"{quoted(name)} as {quoted(before)}" for before, name in renamed.items())
    return f"(select * exclude ({gone}), {back} from {{}})"


def _difference(columns: tuple[tuple[str, str], ...], renamed: Mapping[str, str], port: str) -> Moved:
    old = Shape(columns=tuple(ColumnShape(name=name, type=kind) for name, kind in columns))
    new = tuple(
        replace(column, name=renamed[column.name], came_from=(column.name,)) if column.name in renamed else column
        for column in old.columns
    )
    return moved(port, old, replace(old, columns=new))


def _named(text: str, ending: deprecation.Deprecated, named: str) -> str:
    """SQL that reads the successor; where columns are qualified by the port's bare name, that stays as an alias."""
    short = ending.table.partition(".")[2]
    needs = named.startswith("(") or re.search(rf"(?<![\w.]){re.escape(short)}\.[\w\"*]", text) is not None
    called = re.compile(rf"(?<![\w.]){re.escape(ending.table)}(?![\w.])(?P<alias>{ALIAS})?", re.IGNORECASE)
    lines = []
    for line in text.splitlines(keepends=True):
        code, dashes, comment = line.partition("--")
        code = called.sub(lambda match: named + (match["alias"] or (f" as {short}" if needs else "")), code)
        lines.append(code + dashes + comment)
    return "".join(lines)


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
