"""The files of a port's next major version, and of the shim that keeps the one before it alive: texts to texts."""

import ast
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import date
from typing import Any

from mesh_assets.authoring import dumped, editor
from mesh_assets.changes import dbtfiles
from mesh_assets.changes.impact import Moved
from mesh_assets.changes.shim import quoted, shim
from mesh_assets.domain import Load, Mesh, Table, Toolchain
from mesh_assets.errors import UsageError
from mesh_assets.reading.programs import KEYS as BUILT_BY
from mesh_assets.reading.source import read_text

ELSEWHERE = (Toolchain.DOCKER, Toolchain.K8S, Toolchain.DATABRICKS)
IN_QUERIES = (Toolchain.SQL, Toolchain.DBT)
"""Toolchains whose code can stand inside a query; the result of others gets a name of its own."""
PAGE = "`mesh impact --port {port} …` prints the shim; docs/how-to/change-a-port.md says how the rest is done by hand."
LOGICAL = {
    "VARCHAR": "string",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIME": "time",
    "DECIMAL": "number",
    "DOUBLE": "number",
    "FLOAT": "number",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """A port and its next version.

    Attributes:
        port, successor: As `domain.table`.
        rows: A private table that holds what the port's code gives, where that code is no SQL; empty: it is in the successor's.
        version: Of the successor's contract.
        columns: The successor's, in their order: SQL over the rows before, and the name.
        shim: SQL of the port over its successor.
        files: Every file that changes, by path in the mesh: its text before (empty: new) and after (empty: gone).
        notes: What a person has to look at.
    """

    port: str
    successor: str
    rows: str
    version: str
    sunset: str
    columns: tuple[tuple[str, str], ...]
    shim: str
    files: Mapping[str, tuple[str, str]]
    notes: tuple[str, ...] = ()


def succession(mesh: Mesh, found: Moved, port: str, successor: str, sunset: date) -> Succession:
    """What is written to serve a changed port under a name of its own, beside the old one.

    Args:
        mesh: As it is.
        found: The change: the port's shape, and that of its next version.
        port: As `domain.table`.
        successor: Bare name; empty: the port's, with its major version.
        sunset: The last day of the old one.

    Raises:
        UsageError: It cannot be written by a program.
    """
    table = mesh.tables[port]
    major = _major(table)
    new = successor or f"{re.sub(r'_v[0-9]+$', '', table.short)}_v{major}"
    rows = "" if table.toolchain in IN_QUERIES else f"{table.short}_rows"
    for name in filter(None, (new, rows)):
        if f"{table.domain}.{name}" in mesh.tables:
            raise UsageError(f"there is a table {table.domain}/{name} already\n    Choose another name: `--as NAME`.")
    if table.toolchain is Toolchain.DBT and (why := dbtfiles.by_hand(mesh, table, new)):
        raise UsageError(f"{table.name.replace('.', '/', 1)} {why}\n    {PAGE.format(port=port.replace('.', '/', 1))}")
    if table.partitions and table.partitions.by.lower() not in {name.lower() for name in _kept(found)}:
        what = f"`{table.partitions.by}` says which part a row belongs to: without it the old version could not be made"
        raise UsageError(f"{what}\n    Keep it in the new version until the sunset.")
    columns = _columns(found)
    old = shim(port, found, f"{table.domain}.{new}")
    if old is None:
        gone = [c.name for c in found.old.columns if not c.nullable and c.name not in _kept(found)]
        mend = "Keep it in the new version until the sunset; its readers can be told to leave it alone."
        raise UsageError(
            f"`{gone[0]}` is promised in every row, and cannot be had back from a version without it\n    {mend}"
        )
    return _Writer(mesh, table, found, new, rows, f"{major}.0.0", sunset).written(columns, old)


def _major(table: Table) -> int:
    """The next major version; refused where a program should not write it."""
    spelt = table.name.replace(".", "/", 1)
    if table.port is None:
        raise UsageError(f"{spelt} is no output port: nobody else reads it\n    Change it as it is.")
    if table.port.deprecated:
        raise UsageError(f"{spelt} is deprecated already\n    Make the next version of its successor.")
    if table.contract is None or table.contract.major is None:
        raise UsageError(f"{spelt} has no contract with a version\n    Write `version: 1.0.0` first.")
    if why := _by_hand(table):
        raise UsageError(f"{spelt} {why}\n    {PAGE.format(port=spelt)}")
    return table.contract.major + 1


def _by_hand(table: Table) -> str:
    """Why a person has to write the next version; empty where a program can."""
    if table.artifact:
        return "is an artefact: a file has no columns of which the old one could be made"
    if table.partitions and table.toolchain is not Toolchain.SQL:
        return "has partitions and is not in SQL: whether its code still gives every part that is published cannot be tried here"
    if table.load is not Load.FULL:
        return f"is incremental (`load: {table.load}`): its earlier rows are in the table alone, and its code does not give them again"
    if table.toolchain in ELSEWHERE:
        return "is built by a program that runs elsewhere: whether it runs under another name cannot be tried here"
    return ""


def _columns(found: Moved) -> tuple[tuple[str, str], ...]:
    """SQL over the old columns, and the name, for each of the new ones."""
    made = []
    for column in found.new.columns:
        before = next(
            (found.old.names[one.lower()] for one in column.came_from if one.lower() in found.old.names), None
        )
        before = before or found.old.names[column.name.lower()]
        name = quoted(before.name)
        made.append((name if before.type == column.type else f"cast({name} as {column.type})", column.name))
    return tuple(made)


def _kept(found: Moved) -> frozenset[str]:
    renamed = {source for column in found.new.columns for source in column.came_from}
    return frozenset(c.name for c in found.old.columns if c.name in renamed or c.name.lower() in found.new.names)


@dataclass
class _Writer:
    mesh: Mesh
    table: Table
    found: Moved
    new: str
    rows: str
    version: str
    sunset: date

    def __post_init__(self) -> None:
        self.domain = f"domains/{self.mesh.domains[self.table.domain].path.name}"
        self.files: dict[str, tuple[str, str]] = {}
        self.notes: list[str] = []
        self.renamed = {source: column.name for column in self.found.new.columns for source in column.came_from}
        self.dropped = [c.name for c in self.found.old.columns if c.name not in _kept(self.found)]

    def written(self, columns: Sequence[tuple[str, str]], old: str) -> Succession:
        domain, short = self.table.domain, self.table.short
        self._code(columns, old)
        self._contracts()
        self._domain_yaml()
        if self.table.contract and self.table.contract.schemas:
            self.notes.append(f"the schemas of {self.domain}/checks.py stay with {short}: write those of {self.new}")
        return Succession(
            port=self.table.name,
            successor=f"{domain}.{self.new}",
            rows=f"{domain}.{self.rows}" if self.rows else "",
            version=self.version,
            sunset=self.sunset.isoformat(),
            columns=tuple(columns),
            shim=old,
            files=self.files,
            notes=tuple(self.notes),
        )

    # -- code ----------------------------------------------------------------------------------------------------------

    def _code(self, columns: Sequence[tuple[str, str]], old: str) -> None:
        domain, short = self.table.domain, self.table.short
        listed = ",\n".join(
            f"    {sql}" if sql == quoted(name) else f"    {sql} as {quoted(name)}" for sql, name in columns
        )
        head = f"-- Version {self.version.partition('.')[0]} of {domain}/{short}, which is served from here until {self.sunset}.\n"
        shown = self.table.path.relative_to(self.mesh.root).as_posix()
        if self.rows:
            if self.table.toolchain is Toolchain.PYTHON:
                text = read_text(self.table.path, shown)
                after = _renamed_function(text, short, self.rows)
                if after is None:
                    raise UsageError(f"`{short}` is used in {shown} elsewhere, or named in another way\n    {PAGE}")
                self.files[shown] = (text, after)
            self.files[f"{self.domain}/sql/{self.new}.sql"] = (
                "",
                f"{head}select\n{listed}\nfrom {domain}.{self.rows}\n",
            )
            self.files[f"{self.domain}/sql/{short}.sql"] = ("", old)
            return
        text = read_text(self.table.path, shown)
        made = f"{head}select\n{listed}\nfrom (\n{text.rstrip().rstrip(';').rstrip()}\n) as made\n"
        if self.table.toolchain is Toolchain.DBT:
            made, old = dbtfiles.model(made), dbtfiles.model(dbtfiles.over(old, f"{domain}.{self.new}", self.new))
            self.notes.append(f"dbt's own tests and descriptions of {short} stay with it: write those of {self.new}")
        elif self.table.partitions:
            old += self._part(self.table.partitions.by)
        self.files[shown.removesuffix(f"{short}.sql") + f"{self.new}.sql"] = ("", made)
        self.files[shown] = (text, old)

    def _part(self, by: str) -> str:
        """The range of the old version that is asked for, in the words of the new one."""
        before = self.found.old.names[by.lower()]
        after = self.found.new.names[self.renamed.get(before.name, before.name).lower()]
        name = quoted(after.name)
        day = name if after.type == before.type else f"cast({name} as {before.type})"
        return f"where {day} >= getvariable('partition_start')\n    and {day} < getvariable('partition_end')\n"

    # -- contracts -----------------------------------------------------------------------------------------------------

    def _contracts(self) -> None:
        contract = self.table.contract
        if contract is None:
            return
        shown = contract.where.path
        text = read_text(self.mesh.root / shown, shown)
        yaml = editor(text)
        tree = yaml.load(text)
        short = self.table.short
        tree["id"] = f"{tree['id']}_v{self.version.partition('.')[0]}"
        tree["version"] = self.version
        if "name" in tree:
            tree["name"] = f"{tree['name']}, version {self.version.partition('.')[0]}"
        schema = tree["schema"][0]
        for key in ("name", "physicalName"):
            if schema.get(key) == short:
                schema[key] = self.new
        schema["properties"] = self._properties(schema["properties"])
        for key in ("quality", "relationships"):
            if key in schema:
                self._rules(schema, key)
        for level in tree.get("slaProperties") or ():
            if isinstance(level.get("element"), str):
                level["element"] = self._worded(re.sub(rf"^{short}\b", self.new, level["element"]))
        self.files[f"{self.domain}/contracts/{self.new}.odcs.yaml"] = ("", dumped(yaml, tree))
        old = yaml.load(text)
        old["status"] = "deprecated"
        self.files[shown] = (text, dumped(yaml, old))
        if self.rows and self.table.toolchain is not Toolchain.PYTHON:
            self._rows_contract(yaml, yaml.load(text))

    def _rows_contract(self, yaml: Any, tree: Any) -> None:  # noqa: ANN401 - ruamel's
        """The types in which files are read; what is promised is promised by the versions that are made of them."""
        tree["id"] = f"{tree['id']}_rows"
        for key in ("name", "slaProperties", "description"):
            tree.pop(key, None)
        schema = tree["schema"][0]
        for key in ("name", "physicalName"):
            if schema.get(key) == self.table.short:
                schema[key] = self.rows
        kept = ("name", "physicalName", "logicalType", "physicalType", "customProperties")
        schema["properties"] = [{key: column[key] for key in kept if key in column} for column in schema["properties"]]
        for key in ("quality", "relationships"):
            schema.pop(key, None)
        self.files[f"{self.domain}/contracts/{self.rows}.odcs.yaml"] = ("", dumped(yaml, tree))

    def _properties(self, properties: Any) -> Any:  # noqa: ANN401 - ruamel's
        low = {name.lower() for name in self.dropped}
        renamed = {before.lower(): after for before, after in self.renamed.items()}
        for place in reversed(range(len(properties))):
            column = properties[place]
            name = str(column.get("physicalName") or column["name"])
            if name.lower() in low:
                del properties[place]
                continue
            if name.lower() in renamed:
                column["name"] = renamed[name.lower()]
                if "physicalName" in column:
                    column["physicalName"] = renamed[name.lower()]
            shape = self.found.new.names[str(column.get("physicalName") or column["name"]).lower()]
            before = self.found.old.names[name.lower()]
            if shape.type != before.type:
                column["physicalType"] = shape.type
                bare = re.sub(r"\(.*", "", shape.type)
                logical = (
                    "timestamp"
                    if bare.startswith("TIMESTAMP")
                    else LOGICAL.get(bare, "integer" if "INT" in bare else "")
                )
                if logical:
                    self._options_of(column, str(column.get("logicalType", "")), logical)
                    column["logicalType"] = logical
        return properties

    def _options_of(self, column: Any, before: str, after: str) -> None:  # noqa: ANN401 - ruamel's
        """Options of one logical type are none of another's; numbers have the same."""
        options = column.get("logicalTypeOptions")
        if not options or before == after:
            return
        left = [key for key in options if key == "format" or {before, after} != {"integer", "number"}]
        for key in left:
            del options[key]
        if not options:
            del column["logicalTypeOptions"]
        if left:
            named = ", ".join(f"`{key}`" for key in left)
            are, them = ("is", "it") if len(left) == 1 else ("are", "them")
            self.notes.append(f"{named} of `{column['name']}` {are} of the type {before}: {self.new} is without {them}")

    def _rules(self, schema: Any, key: str) -> None:  # noqa: ANN401 - ruamel's
        """Rules of the table follow the new names; those that need a column that is gone are left out."""
        rules = schema[key]
        for place in reversed(range(len(rules))):
            gone = [name for name in self.dropped if _mentions(rules[place], name)]
            if gone:
                name = rules[place].get("id") or rules[place].get("name") or f"number {place + 1}"
                self.notes.append(f"the rule `{name}` needs `{gone[0]}`, which is gone: {self.new} is without it")
                del rules[place]
            else:
                rules[place] = self._followed(rules[place])
        if not rules:
            del schema[key]

    def _followed(self, node: Any) -> Any:  # noqa: ANN401 - ruamel's
        if isinstance(node, Mapping):
            for key, value in node.items():
                if key not in ("id", "name", "description", "type", "engine", "metric"):
                    node[key] = self._followed(value)
            return node
        if isinstance(node, list):
            for place, value in enumerate(node):
                node[place] = self._followed(value)
            return node
        return self._worded(node) if isinstance(node, str) else node

    def _worded(self, text: str) -> str:
        for before, name in self.renamed.items():
            text = word(text, before, name)
        return text

    # -- domain.yaml ---------------------------------------------------------------------------------------------------

    def _domain_yaml(self) -> None:
        shown = f"{self.domain}/domain.yaml"
        text = read_text(self.mesh.root / shown, shown)
        yaml = editor(text)
        tree = yaml.load(text)
        outputs = tree["outputs"]
        place = next(place for place, entry in enumerate(outputs) if entry.get("port") == self.table.short)
        entry = outputs[place]
        from ruamel.yaml.comments import CommentedMap

        made = CommentedMap({"port": self.new})
        if "compatibility" in entry:
            made["compatibility"] = entry["compatibility"]
        if getattr(entry, "fa", None) is not None and entry.fa.flow_style():
            made.fa.set_flow_style()
        entry["successor"] = self.new
        entry["sunset"] = self.sunset
        outputs.insert(place, made)  # before the old one: a comment that follows it belongs to what comes next
        if self.table.toolchain is Toolchain.SOURCE:
            self._source(tree)
        self._options(tree)
        self.files[shown] = (text, dumped(yaml, tree))

    def _source(self, tree: Any) -> None:  # noqa: ANN401 - ruamel's
        """The files become the private table."""
        pattern = self.table.source.pattern if self.table.source else ""
        entry = next(one for one in tree["inputs"] if one.get("source") == pattern)
        if "contract" in entry:
            mend = "Let the contract be the port's, `contracts/<table>.odcs.yaml`, or write the files by hand."
            raise UsageError(f"the source `{pattern}` names a contract of its own\n    {mend}")
        entry["as"] = self.rows

    def _options(self, tree: Any) -> None:  # noqa: ANN401 - ruamel's
        """What domain.yaml says of the table goes for its versions, too; what says how it is built, for its rows alone."""
        said = (tree.get("tables") or {}).get(self.table.short)
        if said is None:
            return
        tables, old, new = tree["tables"], said, deepcopy(said)
        if self.rows:
            how = BUILT_BY.get(self.table.toolchain, frozenset()) | {"toolchain"}
            tables.insert(list(tables).index(self.table.short), self.rows, deepcopy(said))
            for one in (old, new):
                for key in how.intersection(one):
                    del one[key]
        if self.table.partitions:
            for owner, key in ((new, "partition_by"), (new.get("partitions"), "by")):
                if isinstance(owner, Mapping) and key in owner:
                    owner[key] = self.renamed.get(self.table.partitions.by, owner[key])
            old["partition_mapping"] = {self.new: "same"}
        tables[self.new] = new
        for name in (self.table.short, self.new):
            if not tables[name]:
                del tables[name]


def word(text: str, before: str, after: str) -> str:
    """Text with one word for another; a block of YAML stays one."""
    made = re.sub(rf"(?<![\w'.]){re.escape(before)}(?![\w'])", after, text)
    return type(text)(made) if made != text else text


def _mentions(node: Any, name: str) -> bool:  # noqa: ANN401 - ruamel's
    if isinstance(node, Mapping):
        return any(_mentions(value, name) for key, value in node.items() if key != "description")
    if isinstance(node, list):
        return any(_mentions(value, name) for value in node)
    return isinstance(node, str) and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", node, re.IGNORECASE) is not None


def _renamed_function(text: str, old: str, new: str) -> str | None:
    """Python with a table's function under another name; None where that is not one word in one place."""
    tree = ast.parse(text)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    found = [node for node in functions if node.name == old and node.decorator_list]
    if len(found) != 1 or any(_keywords(one) & {"name", "key"} for one in found[0].decorator_list):
        return None
    taken = [node for node in functions if old in {arg.arg for arg in (*node.args.args, *node.args.kwonlyargs)}]
    shadowed = {id(inner) for node in taken for inner in ast.walk(node)}
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in shadowed)
    if any(node.id == old and isinstance(node.ctx, ast.Load) for node in names):
        return None  # something calls it
    lines = text.splitlines(keepends=True)
    at = found[0].lineno - 1
    lines[at] = re.sub(rf"(\bdef\s+){re.escape(old)}\b", rf"\g<1>{new}", lines[at], count=1)
    return "".join(lines)


def _keywords(decorator: ast.expr) -> set[str | None]:
    return {word.arg for word in decorator.keywords} if isinstance(decorator, ast.Call) else set()
