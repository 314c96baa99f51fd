"""Tables of domain.yaml that say which program builds them: `toolchain: pipes.subprocess`."""

import fnmatch
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mesh_assets.domain import Database, Program, Source, Toolchain
from mesh_assets.errors import Problem, nearest
from mesh_assets.reading.domainfile import FORMATS, SAYS, readable
from mesh_assets.reading.draft import Found, Reference, digest, leads_out
from mesh_assets.reading.source import Document, Map, child, items, text, texts

_COMMON = frozenset({"inputs", "files", "env", "format", "timeout"})
_ELSEWHERE = frozenset({"inputs", "files", "env", "format", "exchange", "exchange_there", "client"})
KEYS = {
    Toolchain.SUBPROCESS: _COMMON | {"command"},
    Toolchain.NOTEBOOK: _COMMON | {"notebook"},
    Toolchain.DOCKER: _ELSEWHERE | {"command", "image"},
    Toolchain.K8S: _ELSEWHERE | {"command", "image"},
    Toolchain.DATABRICKS: _ELSEWHERE,
    Toolchain.EXTERNAL: frozenset({"location", "relation", "changed_by", "every"}),
}
"""What each toolchain takes, beside what every table does."""
NEEDS = {
    Toolchain.SUBPROCESS: ("command",),
    Toolchain.NOTEBOOK: ("notebook",),
    Toolchain.DOCKER: ("image",),
    Toolchain.K8S: ("image", "exchange"),
    Toolchain.DATABRICKS: ("client", "exchange"),
    Toolchain.EXTERNAL: ("location",),
}
OWN = SAYS - {"toolchain"}
DATABASES = ("duckdb", "postgres")
SECRET = re.compile(r"password\s*=|://[^/@\s]*:[^/@\s]+@", re.IGNORECASE)
SECONDS = {"s": 1, "m": 60, "h": 3600}
SCRIPT = re.compile(r"[\w./-]+\.(mjs|cjs|js|ts|py|r|sh|bash|jl|rb|pl|php|lua|sql|jar|ipynb)", re.IGNORECASE)
"""A word of a command that is surely meant as a file."""
NOT_CODE = frozenset({"node_modules", "__pycache__", "target", "renv"})
MOST = 1_000
"""Files that one program may consist of."""


def read_programs(document: Document, root: str, start: str, domain: str) -> tuple[list[Found], list[Problem]]:
    """The tables with a toolchain of their own, and what is wrong with what is said of them.

    Args:
        document: domain.yaml.
        root: The mesh's folder, as a real path.
        start: The domain's folder, as a real path.
        domain: Its name.
    """
    found, problems = [], []
    for name, entry in child(document.root, "tables").items():
        if not isinstance(entry, Map) or not SAYS & entry.keys():
            continue
        reader = _Program(document, root, start, domain, entry)
        table = reader.table(name, child(document.root, "tables"))
        problems += reader.problems
        if table is not None:
            found.append(table)
    return found, problems


class _Program:
    def __init__(self, document: Document, root: str, start: str, domain: str, entry: Map) -> None:
        self.document, self.root, self.start, self.domain, self.entry = document, root, start, domain, entry
        self.problems: list[Problem] = []

    def table(self, name: str, tables: Map) -> Found | None:
        """The table as it is found; None when its toolchain is none."""
        written = text(self.entry, "toolchain")
        if "toolchain" not in self.entry:
            key = next(key for key in self.entry if key in OWN)
            mend = "Add `toolchain:`, or take it out."
            self._wrong("M801", f"`{name}` has `{key}`, and no `toolchain`", mend, tables, name)
            return None
        # One that is misspelt is told by the schema.
        toolchain = Toolchain(written) if written in tuple(KEYS) else Toolchain.SUBPROCESS
        self._keys(name, toolchain, tables)
        if toolchain is Toolchain.EXTERNAL:
            return self._external(name, tables)
        command, notebook = texts(self.entry, "command"), text(self.entry, "notebook")
        here = toolchain in (Toolchain.SUBPROCESS, Toolchain.NOTEBOOK)
        code = self._code(([notebook] if notebook else command) if here else [])
        client = json.loads(json.dumps(child(self.entry, "client")))
        image, exchange = text(self.entry, "image"), text(self.entry, "exchange")
        program = Program(
            image=image,
            exchange=Path(exchange) if exchange else None,
            exchange_there=text(self.entry, "exchange_there"),
            client=client,
            command=command,
            notebook=notebook,
            format=text(self.entry, "format", "parquet"),
            env=texts(self.entry, "env"),
            timeout=_seconds(text(self.entry, "timeout")),
        )
        return Found(
            name=name,
            toolchain=toolchain,
            where=self.document.place(tables, name),
            path=Path(self.start, code[0]) if code else Path(self.start, "domain.yaml"),
            code=digest([*command, image, repr(client), program.format, *program.env, *self._contents(code)]),
            reads=tuple(self._reads()),
            program=program,
        )

    def _external(self, name: str, tables: Map) -> Found:
        """A table that somebody else keeps: files anywhere, or a table of a database."""
        location, where = text(self.entry, "location"), self.document.place(tables, name)
        kind, _, address = location.partition(":")
        source, database = None, None
        if kind in DATABASES and address:
            database = self._database(name, kind, address, tables)
        elif location:
            source = self._elsewhere(name, location)
        code = digest([location, text(self.entry, "relation")])
        path = Path(self.start, "domain.yaml")
        return Found(
            name=name,
            toolchain=Toolchain.EXTERNAL,
            where=where,
            path=path,
            code=code,
            source=source,
            database=database,
        )

    def _database(self, name: str, kind: str, address: str, tables: Map) -> Database:
        if "relation" not in self.entry:
            mend = "Add `relation: schema.table`."
            self._wrong("M801", f"`{name}` is in a database, and has no `relation`", mend, tables, name)
        if SECRET.search(address):
            mend = "Put the whole connection string into an environment variable: `location: postgres:$ERP`."
            self._wrong("M803", "a password stands in this file", mend, self.entry, "location")
        if kind == "duckdb" and not address.startswith(("/", "$")):
            address = os.path.normpath(f"{self.start}/{address}")
        return Database(
            kind=kind,
            address=address,
            relation=text(self.entry, "relation"),
            changed_by=text(self.entry, "changed_by"),
            every=_seconds(text(self.entry, "every")) or 60.0,
        )

    def _elsewhere(self, name: str, location: str) -> Source | None:
        for key in ("relation", "changed_by", "every"):
            if key in self.entry:
                self._wrong("M801", f"`{key}` is for a database, not for files", "Take it out.", self.entry, key)
        if re.match(r"\w+:", location) or not readable(location):
            known = ", ".join(FORMATS)
            mend = f"It can be files that end in {known}, `duckdb:PATH` or `postgres:CONNECTION STRING`."
            self._wrong("M804", f"the location `{location}` cannot be read from here", mend, self.entry, "location")
            return None
        path = location if location.startswith("/") else os.path.normpath(f"{self.start}/{location}")
        fixed = re.split(r"[*?\[]", path, maxsplit=1)[0].rpartition("/")[0]
        pattern = path[len(fixed) + 1 :]
        place = self.document.place(self.entry, "location")
        return Source(pattern=pattern, table=name, folder=Path(fixed or "/"), where=place)

    def _keys(self, name: str, toolchain: Toolchain, tables: Map) -> None:
        for key in (key for key in NEEDS[toolchain] if key not in self.entry):
            what, mend = f"`{name}` is of `toolchain: {toolchain}`, and has no `{key}`", f"Add `{key}:`."
            self.problems.append(self.document.problem("M801", what, mend, tables, name))
        if (
            toolchain is Toolchain.DATABRICKS
            and "client" in self.entry
            and not child(child(self.entry, "client"), "task")
        ):
            what, mend = f"`client` of `{name}` has no `task`", "Add the task as Databricks' jobs API writes it."
            self._wrong("M801", what, mend, self.entry, "client")
        for key in self.entry:
            if key in OWN - KEYS[toolchain]:
                self._wrong("M801", f"`{key}` is not for `toolchain: {toolchain}`", "Take it out.", self.entry, key)

    def _reads(self) -> Iterator[Reference]:
        written = items(self.entry, "inputs")
        for index, item in enumerate(written):
            if isinstance(item, str):
                table = item.replace("/", ".", 1)
                yield Reference(
                    table if "." in table else f"{self.domain}.{table}", self.document.place(written, index)
                )

    def _code(self, command: Sequence[str]) -> list[str]:
        """The files whose content decides what the program does, by their paths in the domain's folder.

        Those that the command names, first; and those of `files`, or by default all beside the ones that the command
        names in a folder of their own.
        """
        words = items(self.entry, "command") or self.entry
        named = [word for index, word in enumerate(command) if self._is_file(words, index, word, first=index == 0)]
        there = list(_below(self.start, ""))
        for index, pattern in enumerate(texts(self.entry, "files")):
            if not self._inside(items(self.entry, "files"), index, pattern):
                continue
            matching = [path for path in there if fnmatch.fnmatchcase(path, pattern)]
            if not matching:
                mend = nearest(
                    pattern, there, otherwise="Write paths below the domain's folder, such as `doses/*.mjs`."
                )
                self._wrong("M802", f"no file is named `{pattern}`", mend, items(self.entry, "files"), index)
            named += matching
        if "files" not in self.entry:
            folders = {path.rpartition("/")[0] for path in named} - {""}
            named += [path for path in there if path.startswith(tuple(f"{folder}/" for folder in sorted(folders)))]
        found = list(dict.fromkeys(named))
        if len(found) > MOST:
            what = f"the program consists of {len(found)} files, which would all have to be read every time"
            self._wrong("M802", what, "Name those that matter under `files:`.", self.entry, "command")
        return [path for path in found[:MOST] if not leads_out(self.root, self.start, path)]

    def _is_file(self, words: object, index: int, word: str, *, first: bool) -> bool:
        """Whether a word of the command is a file of the domain; one that leads elsewhere is told."""
        value = word.rpartition("=")[2] if word.startswith("-") else word
        if not self._inside(words, index, value):
            return False
        path = os.path.normpath(value)
        if value and Path(self.start, path).is_file():
            if leads_out(self.root, self.start, path):
                what = f"`{word}` is a link that leads out of the mesh"
                mend = "Copy what it leads to into the domain's folder."
                self._wrong("M016", what, mend, *self._at(words, index))
                return False
            return not word.startswith("-")
        if SCRIPT.fullmatch(value) or (first and "/" in word):
            files = [path for path in _below(self.start, "") if SCRIPT.fullmatch(path)]
            mend = nearest(value, files, otherwise="Write it; paths are relative to the domain's folder.")
            self._wrong("M802", f"there is no file `{value}` in this domain", mend, *self._at(words, index))
        return False

    def _inside(self, words: object, index: int, path: str) -> bool:
        if not path.startswith(("/", "~")) and ".." not in path.split("/") and "\\" not in path:
            return True
        mend = "A program is written as its name, and found as a shell finds it; files are below the domain's folder."
        self._wrong("M016", f"`{path}` leads out of the domain's folder", mend, *self._at(words, index))
        return False

    def _at(self, words: object, index: int) -> tuple[object, str | int]:
        """Where a word of the command stands; that of a notebook is a key of its own."""
        return (self.entry, "notebook") if words is self.entry else (words, index)

    def _contents(self, paths: Sequence[str]) -> Iterator[str]:
        for path in sorted(paths):
            yield path
            try:
                content = Path(self.start, path).read_bytes()
                yield (_cells(content) if path.endswith(".ipynb") else None) or content.decode("latin-1")
            except OSError:
                self._wrong("M802", f"`{path}` cannot be read", "Make it readable.", self.entry, "command")

    def _wrong(self, code: str, what: str, mend: str, owner: object, key: str | int) -> None:
        self.problems.append(self.document.problem(code, what, mend, owner, key))


def _cells(content: bytes) -> str | None:
    """A notebook's code without its results: to execute it is no change; None for what is no notebook."""
    try:
        return json.dumps([cell["source"] for cell in json.loads(content)["cells"] if cell["cell_type"] == "code"])
    except (ValueError, KeyError, TypeError):
        return None


def _seconds(written: str) -> float:
    return float(int(written[:-1]) * SECONDS[written[-1]]) if re.fullmatch(r"[0-9]+[smh]", written) else 0.0


def _below(start: str, folder: str) -> Iterator[str]:
    """Files of a folder, by their paths within `start`, sorted; hidden ones and what was installed are left out."""
    try:
        with os.scandir(f"{start}/{folder}") as listed:
            found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in listed)
    except OSError:
        return
    for name, is_folder in found:
        path = f"{folder}/{name}".lstrip("/")
        if name.startswith(".") or (is_folder and name in NOT_CODE):
            continue
        if is_folder:
            yield from _below(start, path)
        else:
            yield path
