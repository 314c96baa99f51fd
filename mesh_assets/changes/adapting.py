"""A reader's files as they follow new names of an input's columns, or read its successor instead: in SQL, in dbt and in Python.

`mesh impact` offers them as patches, `mesh change move` writes them.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from mesh_assets.authoring import dumped, editor, with_values
from mesh_assets.changes import dbtfiles
from mesh_assets.changes.binding import Bench, DoesNotBind
from mesh_assets.changes.impact import GONE, TYPES, Moved
from mesh_assets.changes.lineage import Columns, lineage
from mesh_assets.changes.model import Kind
from mesh_assets.changes.pythonfiles import Reading, function_at, reading
from mesh_assets.changes.shim import ALIAS, adapted, gives, quoted
from mesh_assets.changes.succession import word
from mesh_assets.changes.texts import Text, text_of
from mesh_assets.domain import Domain, Mesh, Table, Toolchain
from mesh_assets.errors import ConfigError
from mesh_assets.reading.source import read_text


@dataclass
class Readers:
    """Readers in one state of a mesh, and what has changed for them.

    Attributes:
        columns: By which their code was written.
        now: Those on which it is to stand; of a port that they leave, those of its successor.
        found: The ports whose columns are others now.
        cache: Where lineage is kept.
    """

    mesh: Mesh
    columns: Columns
    now: Columns
    found: Mapping[str, Moved]
    cache: Path | None = None

    @cached_property
    def bench(self) -> Bench:
        """On which SQL is bound, from the first time on."""
        return Bench()

    def close(self) -> None:
        """Let go of it."""
        if "bench" in self.__dict__:
            self.bench.close()

    def patches(self, tables: Iterable[str]) -> dict[str, str]:
        """A diff for each table that can follow new names, by table; in SQL it binds on the new columns."""
        wanted = [Reading(port=port, successor=port, renamed=new) for port in self.found if (new := self._names(port))]
        told: dict[str, str] = {}
        asked: set[str] = set()
        for name in tables if wanted else ():
            table = self.mesh.tables[name]
            mine = [one for one in wanted if one.port in table.inputs]
            if not mine or not self._only_renamed(table, mine):
                continue
            files = self._offered(table, mine, contracts_too=table.domain not in asked)  # once for all of its tables
            if files:
                asked.add(table.domain)
            diffs = [diff(path, *texts) for path, texts in sorted(files.items()) if texts[0] != texts[1]]
            if diffs:
                told[name] = "".join(diffs)
        return told

    def files(
        self, table: Table, wanted: Sequence[Reading], before: Mapping[str, tuple[str, str]] | None = None
    ) -> dict[str, tuple[str, str]] | None:
        """What is changed for one table, text before and after by path in the mesh; None where a person has to write it.

        Args:
            wanted: Of its inputs, what it is to read.
            before: Files that are changed already, for other tables: what is changed here comes on top.
        """
        match table.toolchain:
            case Toolchain.PYTHON:
                return self._python(table, wanted, before or {})
            case Toolchain.SQL:
                return self._sql(table, wanted)
            case Toolchain.DBT:
                return self._dbt(table, wanted)
        return None

    def _offered(self, table: Table, wanted: Sequence[Reading], *, contracts_too: bool) -> dict[str, tuple[str, str]]:
        """What can be offered; nothing where a file is none that can be written again, such as YAML with a key that is there twice."""
        from ruamel.yaml.error import YAMLError

        try:
            files = self.files(table, wanted) or {}
            for one in wanted if files and contracts_too else ():
                files |= contracts(self.mesh, self.mesh.domains[table.domain], one)
        except (ConfigError, OSError, YAMLError):
            return {}
        return files

    def _names(self, port: str) -> dict[str, str]:
        return {one.column: one.after for one in self.found[port].changes if one.kind is Kind.COLUMN_RENAMED}

    def _only_renamed(self, table: Table, wanted: Sequence[Reading]) -> bool:
        """Whether nothing else has become of what a function in Python reads: in SQL, binding tells."""
        if table.toolchain is not Toolchain.PYTHON:
            return True
        read = lineage(self.mesh, table, self.columns, self.cache)
        return not any(
            change.kind in (GONE | TYPES) - {Kind.COLUMN_RENAMED} and read.uses[one.port].reads(column)
            for one in wanted
            for change in self.found[one.port].changes
            for column in change.columns
            if one.port in read.uses
        )

    def _python(
        self, table: Table, wanted: Sequence[Reading], before: Mapping[str, tuple[str, str]]
    ) -> dict[str, tuple[str, str]] | None:
        shown = table.path.relative_to(self.mesh.root).as_posix()
        was = read_text(table.path, shown)
        function = function_at(was, table.where.line)
        after: str | None = before[shown][1] if shown in before else was
        for one in wanted:
            after = reading(after, function, one) if after is not None else None
        return None if after is None else {shown: (was, after)}

    def _sql(self, table: Table, wanted: Sequence[Reading]) -> dict[str, tuple[str, str]] | None:
        text = text_of(self.mesh, table)
        if text is None:
            return None
        read = lineage(self.mesh, table, self.columns, self.cache)
        lines = adapted(self.bench, table, text, read, self.found, self.columns, self.now)
        after, kept = ("".join(lines), False) if lines is not None else (text.source, True)
        if kept and not self._stands(table, text, wanted):
            return None
        for one in wanted:
            after = named(after, one.port, _instead(one, kept=kept))
        return {text.path: (text.source, after)}

    def _dbt(self, table: Table, wanted: Sequence[Reading]) -> dict[str, tuple[str, str]] | None:
        """The models of which it is made; where new names cannot be put in, they end where they come in."""
        text = text_of(self.mesh, table)
        if text is None:
            return None
        if not text.incremental and all(one.port == one.successor for one in wanted):
            read = lineage(self.mesh, table, self.columns, self.cache)
            lines = adapted(self.bench, table, text, read, self.found, self.columns, self.now)
            if lines is not None:
                return {text.path: (text.source, "".join(lines))}
        if not self._stands(table, text, wanted):
            return None
        mine = {text.path, *(part.path for part in text.parts.values())}
        files: dict[str, tuple[str, str]] = {}
        for one in wanted:
            found = project(self.mesh, table.domain, one)
            files |= {path: (was, now) for path, (was, now) in found.items() if path in mine}
        return files

    def _stands(self, table: Table, text: Text, wanted: Sequence[Reading]) -> bool:
        """Whether a table gives the columns that it gave when new names end where they come in."""
        try:
            gave = [name for name, _ in self.bench.bind(text, table, self.columns)]
        except DoesNotBind:
            return False

        def back(sql: str) -> str:
            for one in wanted:
                sql = named(sql, one.port, _instead(replace(one, successor=one.port), kept=True))
            return sql

        parts = {name: replace(part, sql=back(part.sql)) for name, part in text.parts.items()}
        under = replace(text, parts=parts, incremental=back(text.incremental))
        return gives(self.bench, table, under, back(text.sql).splitlines(keepends=True), self.now) == gave


def project(mesh: Mesh, domain: str, wanted: Reading) -> dict[str, tuple[str, str]]:
    """The files of a dbt project that read a port, as they read what is wanted under the names of before."""
    folder = mesh.root / "dbt_projects" / domain
    return dbtfiles.reading(folder, mesh.root, wanted.port, wanted.successor, kept_names, wanted.renamed)


def contracts(mesh: Mesh, domain: Domain, wanted: Reading) -> dict[str, tuple[str, str]]:
    """What a domain asks of a port, and where its own contracts refer to it: the files that change."""
    entry = domain.input(wanted.port)
    asked = entry.contract.where.path if entry and entry.contract else ""
    files = {}
    for path in sorted((domain.path / "contracts").glob("*.odcs.yaml")):
        shown = path.relative_to(mesh.root).as_posix()
        text = read_text(path, shown)
        after = text
        for before, name in wanted.renamed.items():
            after = word(after, f"{wanted.port}.{before}", f"{wanted.successor}.{name}")
        after = re.sub(rf"(to:\s*['\"]?){re.escape(wanted.port)}(?=\.)", rf"\g<1>{wanted.successor}", after)
        if shown == asked:
            after = _asks(after, wanted)
        if after != text:
            files[shown] = (text, after)
    return files


def _asks(text: str, wanted: Reading) -> str:
    """A contract of an input, for what is read instead."""
    old, new = (name.partition(".")[2] for name in (wanted.port, wanted.successor))
    after = with_values(
        text,
        lambda tree: [
            (owner, key, names[owner[key]])
            for owner, names in [
                (tree["schema"][0], {old: new} if old != new else {}),
                *((column, wanted.renamed) for column in tree["schema"][0].get("properties") or ()),
            ]
            for key in ("name", "physicalName")
            if owner.get(key) in names
        ],
    )
    yaml = editor(after)
    tree = yaml.load(after)
    rules = [rule for rule in tree["schema"][0].get("quality") or () if isinstance(rule.get("query"), str)]
    were = [rule["query"] for rule in rules]
    for rule in rules:
        for before, name in wanted.renamed.items():
            rule["query"] = word(rule["query"], before, name)
    return dumped(yaml, tree) if [rule["query"] for rule in rules] != were else after


def kept_names(renamed: Mapping[str, str]) -> str:
    """SQL in which the new names end where they come in, with `{}` for the port; empty where there are none."""
    if not renamed:
        return ""
    back = ", ".join(f"{quoted(name)} as {quoted(before)}" for before, name in renamed.items())
    return f"(select * rename ({back}) from {{}})"


def _instead(wanted: Reading, *, kept: bool) -> str:
    """What stands in place of the port's name."""
    return kept_names(wanted.renamed).replace("{}", wanted.successor) if kept and wanted.renamed else wanted.successor


def named(text: str, port: str, instead: str) -> str:
    """SQL that reads something else than a port; where columns are qualified by the port's bare name, that stays as an alias."""
    if instead == port:
        return text
    short = port.partition(".")[2]
    needs = instead.startswith("(") or re.search(rf"(?<![\w.]){re.escape(short)}\.[\w\"*]", text) is not None
    domain, _, short = map(re.escape, port.partition("."))
    called = re.compile(
        rf"(?<![\w.\"])(?P<one>\"?){domain}(?P=one)\.(?P<two>\"?){short}(?P=two)(?![\w.\"])(?P<alias>{ALIAS})?",
        re.IGNORECASE,
    )
    lines = []
    for line in text.splitlines(keepends=True):
        code, dashes, comment = line.partition("--")
        code = called.sub(lambda match: instead + (match["alias"] or (f" as {short}" if needs else "")), code)
        lines.append(code + dashes + comment)
    return "".join(lines)


def diff(name: str, before: str, after: str) -> str:
    """One file's change as a unified diff, which `git apply` takes."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        f"a/{name}" if before else "/dev/null",
        f"b/{name}",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
