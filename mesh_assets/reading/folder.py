"""One domain's folder to its draft: domain.yaml, contracts, and whatever builds tables."""

import os
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from mesh_assets.contract import Attached, Contract
from mesh_assets.domain import Domain, Load, PartitionMapping, Table, Toolchain
from mesh_assets.errors import ConfigError, Place, Problem, nearest
from mesh_assets.reading.domainfile import SAYS, DomainText, entries, read_domain
from mesh_assets.reading.draft import DomainDraft, Found, Options, Reference, digest, leads_out, outside
from mesh_assets.reading.odcs import Reading, read_contract
from mesh_assets.reading.source import Map, load, read_text
from mesh_assets.reading.strays import CONTRACT, instead, strays

CHECKS = "checks.py"


def read_folder(root: str, name: str) -> DomainDraft:
    """The draft of the domain in `domains/<name>`.

    Args:
        root: The mesh's folder, as a real path.
        name: The folder's name.
    """
    shown = f"domains/{name}"
    folder = Path(root, "domains", name)
    bare = Domain(name="", path=folder, where=Place(f"{shown}/domain.yaml"))
    draft = DomainDraft(name, folder, shown, bare)
    try:
        if leads_out(root, root, f"{shown}/domain.yaml"):
            draft.problems.append(outside(f"{shown}/domain.yaml"))
            return draft
        if not (draft.folder / "domain.yaml").exists():
            draft.problems.append(_no_domain_yaml(name, shown, os.listdir(folder)))
            return draft
        draft.document = load(draft.folder / "domain.yaml", f"{shown}/domain.yaml")
    except ConfigError as error:
        draft.problems += error.problems
        return draft
    reader = _Folder(draft, root)
    text = read_domain(draft.document, draft.folder, reader.contract)
    draft.domain, draft.readable = text.domain, True
    draft.problems += text.problems
    draft.unclear = bool(text.problems)
    draft.options = {table: options for table, (options, _, _) in text.options.items()}
    reader.tables(text)
    reader.checks()
    reader.leftover_contracts()
    draft.strays = strays(reader.start, shown, reader.listed, reader.asked)
    return draft


class _Folder:
    def __init__(self, draft: DomainDraft, root: str) -> None:
        self.draft, self.root = draft, root
        self.asked: set[str] = set()
        self.start = os.path.realpath(draft.folder)
        self.listed = {"": sorted(os.listdir(self.start))}
        self.files = self._files("contracts", CONTRACT)

    def contract(self, file: str, table: str, asker: Map | None) -> Contract | None:
        """The contract in a file of `contracts/`, or the table's own when none is named; None without one."""
        wanted = file or f"{table}{CONTRACT}"
        self.asked.add(wanted)
        if wanted not in self.files:
            if file and asker is not None:
                self._missing(file, asker)
            return None
        if wanted not in self.draft.contracts:
            self.draft.contracts[wanted] = self._read(wanted, table)
        return self.draft.contracts[wanted].contract

    def tables(self, text: DomainText) -> None:
        """Every table that the folder builds, with its options, its contract and its port."""
        domain = text.domain
        ports = {port.table: port for port in domain.outputs}
        found = [*self._sources(domain), *self._sql(), *self._python(), *self._dbt(), *self._programs()]
        sources = {source.table: source for source in domain.sources}
        for item in found:
            options, partitions, automation = text.options.get(item.name, (None, None, ""))
            port = ports.get(item.name)
            source = sources.get(item.name) if item.toolchain is Toolchain.SOURCE else item.source
            declared = next((one.contract for one in (source, port) if one and one.contract), None)
            contract = declared or self.contract("", item.name, None)
            full = f"{self.draft.name}.{item.name}"
            reads = [read for read in item.reads if read.table != f"{self.draft.name}.this"]
            self.draft.reads.setdefault(full, []).extend(reads)
            load_, key = (options.load, options.key) if options else (Load.FULL, ())
            inputs = tuple(sorted({read.table for read in reads}))
            mappings = self._mappings(domain, options, inputs) if partitions else {}
            self.draft.tables.append(
                Table(
                    name=full,
                    toolchain=item.toolchain,
                    inputs=inputs,
                    contract=contract,
                    source=source,
                    load=load_,
                    key=key,
                    partitions=partitions,
                    mappings=mappings,
                    automation=automation or domain.automation,
                    expected_by=options.expected_by if options else "",
                    artifact=item.artifact,
                    port=port,
                    code=digest([item.code, str(load_), *key, repr(partitions), *map(repr, mappings.items())]),
                    columns=item.columns,
                    program=item.program,
                    database=item.database,
                    path=item.path,
                    where=item.where,
                )
            )

    def _mappings(
        self, domain: Domain, options: Options | None, inputs: tuple[str, ...]
    ) -> dict[str, PartitionMapping]:
        """From which partitions of its inputs a table's are made, where that is declared."""
        ports = {port.table: port.partition_mapping for port in domain.inputs}
        own = {f"{domain.name}.{name}": mapping for name, mapping in options.mappings.items()} if options else {}
        return {name: mapping for name in inputs if (mapping := own.get(name) or ports.get(name))}

    def checks(self) -> None:
        """Hand-written pandera schemas go to the contracts they belong to: the table's own, or that of an input port."""
        if not self._there(CHECKS) or not self._inside(CHECKS):
            return
        from mesh_assets.reading.checksread import read_checks

        result = read_checks(self.draft.folder, self.draft.shown, self.draft.name)
        self.draft.problems += result.problems
        first: dict[str, Place] = {}
        for schema in result.schemas:
            first.setdefault(schema.table, schema.where)
        ours = {table.name for table in self.draft.tables}
        inputs = {port.table for port in self.draft.domain.inputs}
        for name, where in first.items():
            if name not in ours | inputs:
                self.draft.problems.append(_no_table_to_check(name, self.draft.name, ours, inputs, where))
        attached = {
            name: Attached(domain=self.draft.name, folder=self.draft.folder, table=name, code=result.code, where=where)
            for name, where in first.items()
        }
        self.draft.tables = [
            replace(table, contract=_with_schema(table.contract, attached[table.name]))
            if table.name in attached
            else table
            for table in self.draft.tables
        ]
        ports = tuple(
            replace(port, contract=_with_schema(port.contract, attached[port.table]))
            if port.table in attached
            else port
            for port in self.draft.domain.inputs
        )
        self.draft.domain = replace(self.draft.domain, inputs=ports)

    def leftover_contracts(self) -> None:
        """Contracts that nobody asked for are read too: all that is wrong is told at once."""
        for file in self.files:
            if file not in self.asked:
                self.draft.unused.append(file)
                self.draft.contracts[file] = self._read(file, "")

    def _read(self, file: str, table: str) -> Reading:
        shown = f"{self.draft.shown}/contracts/{file}"
        try:
            document = load(self.draft.folder / "contracts" / file, shown)
        except ConfigError as error:
            reading = Reading(problems=list(error.problems))
        else:
            reading = read_contract(document, self.draft.name, table)
        self.draft.misnamed += [problem for problem in reading.problems if problem.code == "M203"]
        self.draft.problems += [problem for problem in reading.problems if problem.code != "M203"]
        return reading

    def _missing(self, file: str, asker: Map) -> None:
        document = self.draft.document
        if document is None:
            return
        if "/" in file or "\\" in file:
            mend = f"Put the file into {self.draft.shown}/contracts, and write its name alone."
            problem = document.problem(
                "M016", f"the contract `{file}` is not in the domain's `contracts`", mend, asker, "contract"
            )
        elif not file.endswith(CONTRACT):
            problem = document.problem(
                "M103", f"`{file}` is no contract: its name must end in `{CONTRACT}`", "Rename it.", asker, "contract"
            )
        else:
            mend = nearest(file, self.files, otherwise=f"Write {self.draft.shown}/contracts/{file}.")
            problem = document.problem("M103", f"there is no contract `{file}`", mend, asker, "contract")
        self.draft.problems.append(problem)

    def _sources(self, domain: Domain) -> list[Found]:
        for source in domain.sources:
            self._check_source(source.pattern, source.where)
        return [
            Found(
                name=source.table,
                toolchain=Toolchain.SOURCE,
                where=source.where,
                path=self.draft.folder,
                code=digest([source.pattern]),
            )
            for source in domain.sources
        ]

    def _check_source(self, pattern: str, where: Place) -> None:
        fixed = pattern.split("*", 1)[0].split("?", 1)[0].rpartition("/")[0]
        spelt_outside = ".." in pattern or pattern.startswith("/")  # told already
        if not spelt_outside and leads_out(self.root, self.start, fixed):
            what = f"the source `{pattern}` leads out of the mesh through a link"
            self.draft.problems.append(Problem("M016", what, where, "Copy the files into the domain's folder."))
        elif not spelt_outside and fixed == pattern.rpartition("/")[0]:  # what is deeper, the run tells
            self._check_links(fixed, pattern.rpartition("/")[2])

    def _check_links(self, folder: str, pattern: str) -> None:
        """No raw file is a link to somewhere else: it would not be loaded."""
        try:
            with os.scandir(f"{self.start}/{folder}") as entries:
                links = sorted(entry.name for entry in entries if entry.is_symlink())
        except OSError:
            return
        for name in links:
            path = f"{folder}/{name}" if folder else name
            if fnmatchcase(name, pattern) and leads_out(self.start, self.start, path):
                what = "this file leads out of the domain's folder through a link"
                place = Place(f"{self.draft.shown}/{path}")
                self.draft.problems.append(Problem("M016", what, place, "Copy the file there."))

    def _sql(self) -> list[Found]:
        files = self._files("sql", ".sql")
        if not files:
            return []
        from mesh_assets.reading.sqlread import THIS, read_sql

        found = []
        for file in files:
            path, shown = self.draft.folder / "sql" / file, f"{self.draft.shown}/sql/{file}"
            try:
                text = read_text(path, shown)
            except ConfigError as error:
                self.draft.problems += error.problems
                continue
            result = read_sql(text)
            self.draft.problems += [
                Problem(fault.code, fault.what, Place(shown, fault.line, fault.column), fault.mend)
                for fault in result.faults
            ]
            reads = [
                Reference(f"{read.schema or self.draft.name}.{read.table}", Place(shown, read.line, read.column))
                for read in result.reads
                if read.schema or read.table != THIS
            ]
            found.append(
                Found(
                    name=file[:-4],
                    toolchain=Toolchain.SQL,
                    where=Place(shown),
                    path=path,
                    code=digest([text]),
                    reads=tuple(reads),
                )
            )
        return found

    def _python(self) -> list[Found]:
        if not self._there("assets.py") or not self._inside("assets.py"):
            return []
        from mesh_assets.reading.pyread import read_python

        result = read_python(self.draft.folder, self.draft.shown)
        self.draft.problems += result.problems
        return result.tables

    def _dbt(self) -> list[Found]:
        shown = f"dbt_projects/{self.draft.name}"
        folder = Path(self.root, shown)
        if not os.path.isfile(f"{self.root}/{shown}/dbt_project.yml"):
            if os.path.isfile(f"{self.root}/{shown}/dbt_project.yaml"):
                what, mend = "dbt does not read this file", f"Rename it to {shown}/dbt_project.yml."
                self.draft.problems.append(Problem("M114", what, Place(f"{shown}/dbt_project.yaml"), mend))
            return []
        from mesh_assets.reading.dbtread import read_dbt

        if leads_out(self.root, self.root, f"{shown}/dbt_project.yml"):
            self.draft.problems.append(outside(f"{shown}/dbt_project.yml"))
            return []
        result = read_dbt(folder, self.draft.name, shown)
        self.draft.problems += result.problems
        return result.tables

    def _programs(self) -> list[Found]:
        document = self.draft.document
        if document is None or not any(SAYS & entry.keys() for entry in entries(document)):
            return []
        from mesh_assets.reading.programs import read_programs

        tables, problems = read_programs(document, self.root, self.start, self.draft.name)
        self.draft.problems += problems
        return tables

    def _files(self, folder: str, ending: str) -> list[str]:
        """Names of a folder's files of a kind, sorted; a link that leads out of the mesh is a problem."""
        if folder not in self.listed[""]:
            return []
        try:
            with os.scandir(f"{self.start}/{folder}") as entries:
                names = sorted((entry.name, entry.is_symlink()) for entry in entries)
        except OSError:
            return []
        self.listed[folder] = [name for name, _ in names]
        found = [(name, linked) for name, linked in names if name.endswith(ending)]
        if found and not self._inside(folder):
            return []
        refused = {name for name, linked in found if linked and not self._inside(f"{folder}/{name}")}
        self.draft.contracts.update((name, Reading()) for name in refused if ending == CONTRACT)
        return [name for name, _ in found if name not in refused]

    def _there(self, name: str) -> bool:
        return name in self.listed[""] and os.path.isfile(f"{self.start}/{name}")

    def _inside(self, path: str) -> bool:
        out = leads_out(self.root, self.start, path)
        if out:
            self.draft.problems.append(outside(f"{self.draft.shown}/{path}"))
        return not out


def _with_schema(contract: Contract | None, schema: Attached) -> Contract:
    """A table without a contract gets one that says nothing else."""
    domain, _, short = schema.table.partition(".")
    bare = Contract(id=f"{domain}.{short}", version="", name=short, columns=(), tests=(), where=schema.where)
    own = contract or bare
    return replace(own, schemas=(*own.schemas, schema), hash=digest([own.hash, schema.code]))


def _no_table_to_check(name: str, domain: str, ours: set[str], inputs: set[str], where: Place) -> Problem:
    owner, _, short = name.partition(".")
    if owner == domain:
        what, known = f"`{domain}` has no table `{short}`", {table.partition(".")[2] for table in ours}
        return Problem("M552", what, where, nearest(short, known))
    mend = f"Declare it in domain.yaml: `inputs: [{{port: {name}}}]`; or attach the schema to a table of your own."
    return Problem("M552", f"`{name}` is no input of this domain", where, nearest(name, inputs, otherwise=mend))


def _no_domain_yaml(name: str, shown: str, names: list[str]) -> Problem:
    mend = f"Write it, beginning with `domain: {name}`; or move the folder out of domains/."
    if near := instead("domain.yaml", names):
        mend = f"Rename {shown}/{near}: its name must be `domain.yaml`."
    return Problem("M001", "this folder has no domain.yaml", Place(f"{shown}/domain.yaml"), mend)
