"""One function per rule: a mesh as it is written, to what is wrong with it."""

from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from itertools import pairwise

from mesh_assets.audit.values import column_type
from mesh_assets.contract import QUARANTINE, Test
from mesh_assets.domain import Domain, Load, PartitionMapping, Table, Toolchain
from mesh_assets.errors import Place, Problem, nearest
from mesh_assets.graph import cycles
from mesh_assets.reading.draft import (
    DOMAINS_TAKEN,
    TABLES_TAKEN,
    DomainDraft,
    Draft,
    Options,
    Reference,
    name_fault,
    usable,
)
from mesh_assets.reading.strays import Stray

Rule = Callable[[Draft], Iterator[Problem]]
ENGINES = ("postgres", "spark")
"""Where the rows of a port may stay."""
WATCHED = ("freshness", "frequency", "latency", "timeOfAvailability")
"""Service levels that the account keeps watch over."""


def domains_are_named_as_their_folders(draft: Draft) -> Iterator[Problem]:
    """A domain has the name of its folder, and the name can stand in SQL."""
    folders = {one.name for one in draft.domains}
    for one in draft.domains:
        if fault := name_fault(one.name, DOMAINS_TAKEN):
            better, mend = usable(one.name), fault[1]
            if better and one.domain.name not in ("", better):
                mend = f"Rename it to `{better}`, and write `domain: {better}`."
            yield Problem("M101", f"the folder's name `{one.name}` {fault[0]}", one.domain.where, mend)
        if one.name.endswith(QUARANTINE):
            what = f"`{one.name}` would be where rows of `{one.name.removesuffix(QUARANTINE)}` are kept in quarantine"
            yield Problem("M533", what, one.domain.where, f"Rename the folder, such as `{one.name}_log`.")
        if not fault and one.domain.name not in ("", one.name) and one.domain.name not in folders:
            what = f"the domain is named `{one.domain.name}`, and its folder `{one.name}`"
            yield Problem("M102", what, one.domain.where, f"Write `domain: {one.name}`, or rename the folder.")


def no_two_domains_have_one_name(draft: Draft) -> Iterator[Problem]:
    """A domain's name is its own."""
    first = {one.domain.name: one for one in draft.domains if one.domain.name == one.name}
    for one in _read(draft):
        known = first.setdefault(one.domain.name, one)
        if known is not one and one.domain.name and not name_fault(one.name, DOMAINS_TAKEN):  # first the folder's name
            what = f"two domains are named `{one.domain.name}`: the other is {known.shown}"
            yield Problem("M412", what, one.domain.where, f"Write `domain: {one.name}`.")


def sub_domains_have_a_domain(draft: Draft) -> Iterator[Problem]:
    """A sub-domain is part of a domain that is there, and of none that is a part of it."""
    above = {one.name: one.domain.part_of for one in _read(draft)}
    names = {one.name for one in draft.domains}
    for one in _read(draft):
        outer = one.domain.part_of
        if outer and outer not in names:
            mend = nearest(outer, names - {one.name}, otherwise=f"Make the folder domains/{outer} with a domain.yaml.")
            yield Problem("M113", f"there is no domain `{outer}` for this to be a part of", _part_of(one), mend)
    edges = {name: [outer] if outer in above else [] for name, outer in above.items()}
    for circle in cycles(edges):
        what = f"sub-domains are parts of each other: {' → '.join(circle)}"
        one = next(one for one in draft.domains if one.name == circle[0])
        yield Problem("M113", what, _part_of(one), "Take `part_of` out of one of them.")


def _part_of(one: DomainDraft) -> Place:
    return one.document.place(one.document.root, "part_of") if one.document else one.domain.where


def dbt_projects_have_a_domain(draft: Draft) -> Iterator[Problem]:
    """A dbt project has the name of the domain it builds for."""
    names = {one.name for one in draft.domains}
    for project in draft.projects:
        if project not in names:
            mend = nearest(project, names, otherwise=f"Make the folder domains/{project} with a domain.yaml.")
            yield Problem(
                "M111",
                f"there is no domain `{project}` for this dbt project",
                Place(f"dbt_projects/{project}/dbt_project.yml"),
                mend,
            )


def tables_have_good_names(draft: Draft) -> Iterator[Problem]:
    """A table's name can stand in SQL and is not one of the mesh's own words."""
    for table in _tables(draft):
        if table.short and (fault := name_fault(table.short, TABLES_TAKEN)):
            yield Problem("M411", f"the table's name `{table.short}` {fault[0]}", table.where, fault[1])


def tables_are_built_once(draft: Draft) -> Iterator[Problem]:
    """One piece of code builds a table."""
    first: dict[str, Table] = {}
    for table in _tables(draft):
        known = first.setdefault(table.name, table)
        if known is not table:
            what = f"`{table.name}` is built twice: also at {known.where}"
            yield Problem("M406", what, table.where, "Keep one of them, or rename one.")


def what_looks_like_ours_is_read(draft: Draft) -> Iterator[Problem]:
    """No file is almost named, or almost placed, like one of the mesh, if that can only be a slip."""
    yield from (stray.problem for one in _read(draft) for stray in one.strays if _is_a_slip(stray, one))


def files_that_are_not_read(draft: Draft) -> Iterator[Problem]:
    """Files that look like the mesh's own stand where nobody reads them."""
    yield from (stray.problem for one in _read(draft) for stray in one.strays if not _is_a_slip(stray, one))


def _is_a_slip(stray: Stray, one: DomainDraft) -> bool:
    """Whether a file can only be named or placed so by mistake: no name is so close, or what it would be is missing."""
    if stray.certain or not stray.table:
        return stray.certain
    if not stray.builds:
        return any(port.table == stray.table and port.contract is None for port in one.domain.outputs)
    full = f"{one.name}.{stray.table}"
    spoken = stray.table in one.options or any(port.table == stray.table for port in one.domain.outputs)
    spoken = spoken or any(read.table == full for reads in one.reads.values() for read in reads)
    return spoken and all(table.name != full for table in one.tables)


def inputs_are_read(draft: Draft) -> Iterator[Problem]:
    """What is declared under `inputs:` is read by a table, referred to by a contract, or tested by one of its own."""
    known = {table.name for one in _read(draft) for table in one.tables}
    for one in _read(draft):
        if one.problems or one.strays:
            continue  # what reads it may be what cannot be read
        read = {name for table in one.tables for name in (*table.inputs, *table.references)}
        if not known.issuperset(reads.table for found in one.reads.values() for reads in found):
            continue  # one of the names that nobody knows may mean it
        for port in one.domain.inputs:
            if port.table not in read and port.contract is None:
                mend = "Take it out; or, if it is to be watched and not read, give it a `contract:` that tests it."
                yield Problem("M421", f"no table of `{one.name}` reads `{port.table}`", port.where, mend)


def there_are_domains(draft: Draft) -> Iterator[Problem]:
    """A mesh has domains."""
    if not draft.domains:
        mend = "Make a folder for each in `domains/`, with a domain.yaml that begins with `domain:` and its name."
        yield Problem("M115", "this mesh has no domains", Place("domains"), mend)


def outputs_are_built(draft: Draft) -> Iterator[Problem]:
    """Every output port is a table that some code builds, declared once."""
    for one in _read(draft):
        names = {table.short for table in one.tables}
        seen: dict[str, Place] = {}
        for port in one.domain.outputs:
            if port.table in seen:
                yield Problem(
                    "M406",
                    f"the port `{port.table}` is here twice",
                    port.where,
                    f"Take out this or {seen[port.table]}.",
                )
            elif port.table not in names and not one.strayed(port.table, builds=True):
                mend = nearest(
                    port.table, names, otherwise=f"Write {one.shown}/sql/{port.table}.sql, or take the port out."
                )
                yield Problem("M408", f"nothing builds the port `{port.table}`", port.where, mend)
            seen.setdefault(port.table, port.where)


def successors_are_newer_ports(draft: Draft) -> Iterator[Problem]:
    """The successor of a port is another port of its domain, whose contract has a higher major version."""
    for one in _read(draft):
        contracts = {table.short: table.contract for table in one.tables}
        names = _ports(one.domain)
        for port in one.domain.outputs:
            if not port.successor:
                continue
            if port.successor not in names or port.successor == port.table:
                mend = nearest(port.successor, names - {port.table}, otherwise="Name another port of this domain.")
                what = f"`{port.successor}`, the successor of `{port.table}`, is no other port of `{one.name}`"
                yield Problem("M415", what, port.where, mend)
                continue
            old, new = contracts.get(port.table), contracts.get(port.successor)
            if old and new and old.major is not None and (new.major is None or new.major <= old.major):
                what = f"`{port.successor}` has version {new.version}, and `{port.table}`, which it succeeds, {old.version}"
                mend = f"Write `version: {old.major + 1}.0.0` in {new.where.path}."
                yield Problem("M416", what, port.where, mend)


def outputs_have_a_contract(draft: Draft) -> Iterator[Problem]:
    """Every output port has a contract, so that its readers know what to rely on."""
    for one in _read(draft):
        names = {table.short for table in one.tables}
        for port in one.domain.outputs:
            contract = f"{port.table}.odcs.yaml"
            if port.table not in names or one.strayed(port.table, builds=False):
                continue
            if port.contract is None and contract not in one.contracts:
                mend = f"Write {one.shown}/contracts/{contract}."
                yield Problem("M407", f"the port `{port.table}` has no contract", port.where, mend)


def contracts_are_for_their_table(draft: Draft) -> Iterator[Problem]:
    """A contract names the table that it is for."""
    known = {one.name: one for one in draft.domains}
    for one in _read(draft):
        misspelt = {
            port.contract.where.path for port in one.domain.inputs if port.contract and _meant(draft, known, port.table)
        }
        yield from (problem for problem in one.misnamed if problem.where.path not in misspelt)


def contracts_are_used(draft: Draft) -> Iterator[Problem]:
    """Every contract is that of a table, or asked for by a port."""
    for one in _read(draft):
        names = {table.short for table in one.tables}
        for file in one.unused:
            stem = file.removesuffix(".odcs.yaml")
            if one.strayed(stem, builds=True):
                continue
            mend = nearest(
                stem, names, otherwise="Rename it to `<table>.odcs.yaml`, or name it under `contract:` in domain.yaml."
            )
            yield Problem(
                "M409", f"there is no table `{stem}` for this contract", Place(f"{one.shown}/contracts/{file}"), mend
            )


def pipelines_deliver_tables(draft: Draft) -> Iterator[Problem]:
    """What a pipeline delivers is built by some code; a domain's own delivers the domain's own."""
    tables = draft.tables()
    for one in draft.all_pipelines():
        domain = one.name.rpartition("/")[0]
        known = [name for name in tables if not domain or name.startswith(f"{domain}.")]
        for name in one.delivers:
            if name in known or name.partition(".")[0] in draft.unread:
                continue
            shown = name.replace(".", "/", 1)
            mend = nearest(
                shown,
                [item.replace(".", "/", 1) for item in known],
                otherwise="Name a table as `domain/table`" + (f" of {domain}." if domain else "."),
            )
            yield Problem("M860", f"`{shown}` is no table of {domain or 'the mesh'}", one.where, mend)


def options_are_for_tables(draft: Draft) -> Iterator[Problem]:
    """What domain.yaml says under `tables:` is said of tables that exist."""
    for one in _read(draft):
        names = {table.short for table in one.tables}
        told = {problem.where for problem in one.problems if problem.code == "M801"}
        for name, options in one.options.items():
            if name not in names and options.where not in told and not one.strayed(name, builds=True):
                mend = nearest(name, names, otherwise="Take it out, or write the code that builds it.")
                yield Problem("M107", f"there is no table `{name}` in this domain", options.where, mend)


def incremental_tables_say_how(draft: Draft) -> Iterator[Problem]:
    """A table that is not rebuilt in full has a contract; one that is updated by key has a key, of its own columns."""
    for one in _read(draft):
        for table in one.tables:
            options = one.options.get(table.short)
            if options:
                yield from _incremental(one, table, options)


def _incremental(one: DomainDraft, table: Table, options: Options) -> Iterator[Problem]:
    if options.load is not Load.FULL and table.contract is None:
        mend = f"Write {one.shown}/contracts/{table.short}.odcs.yaml: old and new rows must have the same columns."
        yield Problem("M108", f"`{table.short}` is loaded by {options.load} and has no contract", options.where, mend)
    if options.load is not Load.FULL and table.watched:
        mend = "Leave `load` out, and load a SQL table that reads it by append or upsert."
        yield Problem("M108", f"`{table.short}` is a source, which is loaded whole", options.where, mend)
    if options.load is Load.UPSERT and not options.key:
        yield Problem(
            "M108", f"`{table.short}` is loaded by upsert and has no key", options.where, "Add `key: [column]`."
        )
    if table.contract is None:
        return
    columns = {column.name for column in table.contract.columns}
    for name in options.key:
        if columns and name not in columns:
            what = f"the key `{name}` is no column of the contract of `{table.short}`"
            yield Problem("M109", what, options.key_at, nearest(name, columns))
    if table.partitions and table.partitions.by and columns and table.partitions.by not in columns:
        what = f"the partition column `{table.partitions.by}` is no column of the contract of `{table.short}`"
        yield Problem("M109", what, options.where, nearest(table.partitions.by, columns))


def inputs_name_ports(draft: Draft) -> Iterator[Problem]:
    """Every input port is another domain's output port, named once."""
    known = {one.name: one for one in draft.domains}
    for one in _read(draft):
        seen: set[str] = set()
        for port in one.domain.inputs:
            if port.table in seen:
                yield Problem("M414", f"the input `{port.table}` is here twice", port.where, "Keep one of them.")
                continue
            seen.add(port.table)
            owner, _, short = port.table.partition(".")
            if owner == one.name:
                what = f"`{port.table}` is a table of this domain itself"
                yield Problem("M410", what, port.where, "Take it out: a domain reads its own tables without saying so.")
            elif owner not in draft.unread and short:
                yield from _input(draft, known, owner, port.table, port.where)


def _input(draft: Draft, known: dict[str, DomainDraft], owner: str, table: str, where: Place) -> Iterator[Problem]:
    short = table.partition(".")[2]
    if owner not in known:
        yield Problem("M401", f"there is no domain `{owner}`", where, nearest(owner, [*known, *draft.unread]))
    elif known[owner].readable and short not in _ports(known[owner].domain):
        yield _not_a_port(known[owner], table, where)


def _not_a_port(owner: DomainDraft, table: str, where: Place) -> Problem:
    short, ports = table.partition(".")[2], _ports(owner.domain)
    asked = f"Ask {owner.domain.team.owner or owner.domain.team.name or 'the team'} for it; "
    offered = (
        f"the ports of `{owner.name}` are {', '.join(f'`{name}`' for name in sorted(ports))}."
        if ports
        else "it has no ports yet."
    )
    if short in {table.short for table in owner.tables}:
        return Problem("M402", f"`{table}` is private to its domain", where, asked + offered)
    return Problem(
        "M401", f"`{owner.name}` has no port `{short}`", where, nearest(short, ports, otherwise=asked + offered)
    )


def _meant(draft: Draft, known: dict[str, DomainDraft], table: str) -> str:
    """The port that an input was to name; empty when it names one, or nothing is near."""
    owner, _, short = table.partition(".")
    if owner in draft.unread or not short:
        return ""
    owner = owner if owner in known else _near(owner, known)
    if owner not in known or not known[owner].readable:
        return ""
    ports = _ports(known[owner].domain)
    meant = f"{owner}.{short if short in ports else _near(short, ports)}"
    return "" if meant in (table, f"{owner}.") else meant


def code_reads_what_is_declared(draft: Draft) -> Iterator[Problem]:
    """SQL, Python and dbt read their own domain's tables, and ports that are declared under `inputs:`."""
    known = {one.name: one for one in draft.domains}
    for one in _read(draft):
        declared = {
            name for port in one.domain.inputs for name in (port.table, _meant(draft, known, port.table)) if name
        }
        own = {table.short for table in one.tables}
        for reader, reads in one.reads.items():
            for read in reads:
                owner, _, short = read.table.partition(".")
                if owner == one.name:
                    if short not in own and not one.unclear and not one.strayed(short, builds=True):
                        yield _no_own_table(one, reader, read, own, declared)
                elif read.table not in declared:
                    yield _undeclared(draft, known, read, one)


def _no_own_table(one: DomainDraft, reader: str, read: Reference, own: set[str], declared: set[str]) -> Problem:
    short = read.table.partition(".")[2]
    foreign = [name for name in sorted(declared) if name.partition(".")[2] == short]
    mend = (
        f"Write `{foreign[0]}`."
        if foreign
        else nearest(
            short, own - {reader.partition(".")[2]}, otherwise="Another domain's port is read as `domain.port`."
        )
    )
    return Problem("M404", f"`{one.name}` has no table `{short}`", read.where, mend)


def _undeclared(draft: Draft, known: dict[str, DomainDraft], read: Reference, one: DomainDraft) -> Problem:
    owner = read.table.partition(".")[0]
    if owner not in known:
        if owner in draft.unread:
            return Problem(
                "M403",
                f"`{read.table}` is read and not declared",
                read.where,
                f"Add `- port: {read.table}` to `inputs:` in {one.shown}/domain.yaml.",
            )
        mend = nearest(owner, [*known, *draft.unread])
        return Problem("M401", f"there is no domain `{owner}`", read.where, mend)
    if known[owner].readable and read.table.partition(".")[2] not in _ports(known[owner].domain):
        return _not_a_port(known[owner], read.table, read.where)
    what = f"`{read.table}` is read and not declared"
    return Problem("M403", what, read.where, f"Add `- port: {read.table}` to `inputs:` in {one.shown}/domain.yaml.")


def partition_mappings_map_something(draft: Draft) -> Iterator[Problem]:
    """A partition mapping stands between two tables with partitions, of which one reads the other."""
    known = {table.name: table for table in _tables(draft)}
    for one in _read(draft):
        for port in one.domain.inputs:
            readers = [table for table in one.tables if table.partitions and port.table in table.inputs]
            if port.partition_mapping is not None:
                yield from _maps(known, port.table, readers, port.partition_mapping, f"`{one.name}`")
        for name, options in one.options.items():
            mine = [table for table in one.tables if table.short == name]
            for short, mapping in options.mappings.items() if mine else ():
                readers = [table for table in mine if table.partitions and f"{one.name}.{short}" in table.inputs]
                yield from _maps(known, f"{one.name}.{short}", readers, mapping, f"`{name}`")


def _maps(
    known: dict[str, Table], name: str, readers: list[Table], mapping: PartitionMapping, who: str
) -> Iterator[Problem]:
    if not readers:
        mend = "Take `partition_mapping` out, or name a table that is read by one with `partitions`."
        yield Problem("M112", f"no table of {who} with partitions reads `{name}`", mapping.where, mend)
    elif name in known and known[name].partitions is None:
        mend = "Take `partition_mapping` out: any change of it is a change of all of it."
        yield Problem("M112", f"`{name}` has no partitions that could be mapped", mapping.where, mend)


def nothing_feeds_itself(draft: Draft) -> Iterator[Problem]:
    """No table is made of itself, directly or through others."""
    tables, reads = draft.tables(), draft.reads()
    graph = {name: (*table.inputs, *table.references) for name, table in tables.items()}
    for around in cycles(graph):
        reader, source = around[1], around[0]
        where = next((read.where for read in reads.get(reader, ()) if read.table == source), None)
        if reader == source:
            what, mend = f"`{reader}` reads itself", "Read `this` for the table's own last version."
        else:
            what = f"tables feed each other: {' → '.join(around)}"
            mend = "Take one of these reads out, or split a table in two."
            if any(one not in tables[other].inputs for one, other in pairwise(around)):
                mend = "Take a read out, or the relationship in a contract that makes a table wait for what it feeds."
        yield Problem("M405", what, where or _relationship(tables[reader], source), mend)


def _relationship(table: Table, target: str) -> Place:
    """Where the contract of a table names another."""
    tests = table.contract.tests if table.contract else ()
    return next((test.where for test in tests if test.arguments.get("to_table") == target), table.where)


def relationships_lead_somewhere(draft: Draft) -> Iterator[Problem]:
    """A reference in a contract leads to a table of the same domain or a port of another, and to its columns."""
    known, tables = {one.name: one for one in draft.domains}, draft.tables()
    for one in _read(draft):
        for reading in one.contracts.values():
            for test in reading.contract.tests if reading.contract else ():
                if "to_table" in test.arguments:
                    yield from _reference(draft, known, tables, one, test)


def _reference(
    draft: Draft, known: dict[str, DomainDraft], tables: dict[str, Table], one: DomainDraft, test: Test
) -> Iterator[Problem]:
    name = str(test.arguments["to_table"])
    owner, _, short = name.partition(".")
    if owner in draft.unread:
        return
    if owner not in known:
        yield Problem("M413", f"there is no domain `{owner}`", test.where, nearest(owner, known))
    elif name not in tables:
        mend = nearest(short, [table.short for table in known[owner].tables])
        yield Problem("M413", f"`{owner}` has no table `{short}`", test.where, mend)
    elif owner != one.name and known[owner].readable and short not in _ports(known[owner].domain):
        yield Problem(
            "M413", f"`{name}` is private to its domain", test.where, _not_a_port(known[owner], name, test.where).mend
        )
    elif contract := tables[name].contract:
        columns = {column.name for column in contract.columns}
        targets = test.arguments.get("to_columns")
        for column in targets if isinstance(targets, tuple) else ():
            if columns and column not in columns:
                yield Problem("M413", f"`{name}` has no column `{column}`", test.where, nearest(column, columns))


def readers_set_nothing_aside(draft: Draft) -> Iterator[Problem]:
    """Rows go into quarantine by the contract of their own table, never by that of a reader."""
    for one in _read(draft):
        for port in one.domain.inputs:
            for test in port.contract.tests if port.contract else ():
                if test.quarantines:
                    what = f"`{test.name}` is a reader's test, which cannot put rows of `{port.table}` into quarantine"
                    yield Problem(
                        "M534", what, test.where, "Take its `action` out; `on_failure: hold` keeps the last version."
                    )


def models_set_nothing_aside(draft: Draft) -> Iterator[Problem]:
    """dbt builds its models together: one that reads another has its rows before any of them can be set aside."""
    for table in _tables(draft):
        for test in table.contract.tests if table.contract and table.toolchain is Toolchain.DBT else ():
            if test.quarantines:
                what = f"`{test.name}` cannot put rows into quarantine: dbt builds its models together, and others read them"
                yield Problem(
                    "M531", what, test.where, "Set the rows aside in a table that is not dbt's, or in the model."
                )


def engines_hold_their_tables(draft: Draft) -> Iterator[Problem]:
    """A port with an engine is an external table that is kept there, and nothing that is for the lake is asked of it."""
    for one in _read(draft):
        for table in one.tables:
            if (engine := table.engine) not in ENGINES or table.port is None:
                continue
            kept = table.database.kind if table.database else "spark" if table.source else ""
            if table.toolchain is not Toolchain.EXTERNAL:
                what = f"`{table.short}` is built here, so that its rows are in the lake and not on {engine}"
                yield Problem(
                    "M806", what, table.port.engine_where, "Take `engine` out, or make it `toolchain: external`."
                )
            elif kept not in ("", engine) or (table.source and not table.source.pattern.endswith(".parquet")):
                location = "postgres:$WAREHOUSE" if engine == "postgres" else "/srv/events/*.parquet"
                what = f"`{table.short}` is not kept where {engine} reads it"
                mend = f"Write a `location:` such as `{location}`, or take `engine` out: then it is copied."
                yield Problem("M806", what, table.port.engine_where, mend)


def engines_do_what_is_asked(draft: Draft) -> Iterator[Problem]:
    """Every test of a port that stays on an engine can be executed there, and means the same; nothing else is promised of it."""
    for table in _tables(draft):
        for what, where in _refused(table) if table.engine in ENGINES and table.contract else ():
            yield Problem("M807", what, where, "Take it out, or take `engine` out of the port: then it is copied.")


def _refused(table: Table) -> Iterator[tuple[str, Place]]:
    from mesh_assets.engines.compile import refusal  # sqlglot is slow to import

    contract, engine = table.contract, table.engine
    if contract is None:
        return
    types = {column.name: column_type(column.type) for column in contract.columns}
    for test in contract.tests:
        if why := refusal(test, types, engine):
            yield f"`{test.name}` cannot be executed on {engine}: {why}", test.where
    for schema in contract.schemas:
        yield f"schemas of `{table.short}` are executed in the lake only, not on {engine}", schema.where
    for level in contract.service_levels:
        if level.property in WATCHED:
            yield f"nobody watches whether `{table.short}` keeps its `{level.property}` on {engine}", contract.where
    if table.expected_by:
        yield f"nobody watches whether `{table.short}` keeps its `expected_by` on {engine}", table.where


def what_stays_elsewhere_is_not_read(draft: Draft) -> Iterator[Problem]:
    """Rows of a port that stays on an engine are not in the lake: no code and no test here can read them."""
    engines = {name: table.engine for name, table in draft.tables().items() if table.engine}
    delivered = [(name, one.where) for one in draft.all_pipelines() for name in one.delivers]
    for name, where in (*delivered, *(each for one in _read(draft) for each in _reads(one))):
        if name in engines:
            what = f"`{name}` stays on {engines[name]}: its rows are not in the lake"
            yield Problem("M808", what, where, "Read it there, or take `engine` out of its port: then it is copied.")


def _reads(one: DomainDraft) -> Iterator[tuple[str, Place]]:
    """What a domain's inputs, code and contracts name."""
    yield from ((port.table, port.where) for port in one.domain.inputs)
    for reads in one.reads.values():
        yield from ((each.table, each.where) for each in reads if each.table.startswith(f"{one.name}."))
    for table in one.tables:
        for test in table.contract.tests if table.contract and not table.engine else ():
            if "to_table" in test.arguments:
                yield str(test.arguments["to_table"]), test.where


RULES: tuple[Rule, ...] = (
    domains_are_named_as_their_folders,
    no_two_domains_have_one_name,
    sub_domains_have_a_domain,
    dbt_projects_have_a_domain,
    tables_have_good_names,
    tables_are_built_once,
    what_looks_like_ours_is_read,
    outputs_are_built,
    successors_are_newer_ports,
    outputs_have_a_contract,
    contracts_are_for_their_table,
    contracts_are_used,
    options_are_for_tables,
    pipelines_deliver_tables,
    incremental_tables_say_how,
    inputs_name_ports,
    code_reads_what_is_declared,
    partition_mappings_map_something,
    nothing_feeds_itself,
    relationships_lead_somewhere,
    readers_set_nothing_aside,
    models_set_nothing_aside,
    engines_hold_their_tables,
    engines_do_what_is_asked,
    what_stays_elsewhere_is_not_read,
)

WARNINGS: tuple[Rule, ...] = (
    there_are_domains,
    files_that_are_not_read,
    inputs_are_read,
)
"""Of what works, and may be meant otherwise: nothing fails because of them."""


def _read(draft: Draft) -> Iterator[DomainDraft]:
    return (one for one in draft.domains if one.readable)


def _tables(draft: Draft) -> Iterator[Table]:
    return (table for one in draft.domains for table in one.tables)


def _near(word: str, names: Iterable[str]) -> str:
    """The nearest of the names, as `nearest` would offer it; empty when none is near."""
    return next(iter(get_close_matches(word, sorted(names), n=1)), "")


def _ports(domain: Domain) -> set[str]:
    return {port.table for port in domain.outputs}
