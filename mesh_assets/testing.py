"""`mesh test`: the tests of what is published, and of what is held."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from mesh_assets import authoring, build
from mesh_assets.admission import judge
from mesh_assets.audit import plan as plans
from mesh_assets.audit.limits import time_limit
from mesh_assets.audit.result import KEPT, Result, Status
from mesh_assets.audit.values import column_type
from mesh_assets.audit.words import result_json
from mesh_assets.contract import Contract, Kind
from mesh_assets.domain import Table
from mesh_assets.environment import Environment, contract_hash, never_published
from mesh_assets.errors import RunError
from mesh_assets.ledger import Attempt, Version
from mesh_assets.order import Seen
from mesh_assets.store import now

TYPES = "types"
"""Name of the test that counts values which do not fit their column's type."""
TRY_MEMORY, TRY_SECONDS = "1GB", 60.0
"""What a test that is tried may take: others wait for the same process, such as Dagster's web server."""
Item = dict[str, object]
"""One test's result: as `audit.words.result_json`, with `subject`: what was tested, in words."""


def test(
    env: Environment,
    tables: Iterable[str],
    *,
    cached: bool = True,  # noqa: PT028 - no test of pytest's
    rows: int = KEPT,  # noqa: PT028
    unloadable: Mapping[str, str] | None = None,  # noqa: PT028
) -> Iterator[Item]:
    """Execute the tests of these tables, one table after the other.

    With `cached`, statistics of data files and earlier verdicts on the same files stand for reading them.

    A published version is tested as it is. Where a newer candidate is held, the candidate is tested instead: it is what
    its owner has to mend. Tests of a toolchain's own (dbt's) are those of the last build. The input ports through which a
    domain's tables read come last.

    Args:
        env: The environment.
        tables: Whose tests.
        cached: See above.
        rows: Failing rows of a test to show, at most; of input ports those that were kept when they were judged.
        unloadable: Domains whose code does not load, with why: the tests of a table of theirs that was never published
            could not be executed.
    """
    env.sync()
    wanted = [env.mesh.tables[name] for name in env.mesh.tables if name in set(tables)]
    versions, last = env.ledger.versions(), env.ledger.attempts(outcomes=("published", "unchanged", "held", "failed"))
    for table in wanted:
        if table.engine:
            yield from elsewhere(env, table, rows=rows)
            continue
        found = list(_table(env, table, versions.get(table.name), last.get(table.name), cached=cached, rows=rows))
        yield from found or _unloadable(table, (unloadable or {}).get(table.domain, ""))
    yield from _ports(env, wanted)


def tried(
    env: Environment, table: Table, column: str = "", rule: Mapping[str, object] | None = None
) -> tuple[Item, ...]:
    """Tests on the published version, of which nothing is kept: a rule that is not written yet, or the contract's own.

    Raises:
        UsageError: The table was never published, or has no contract.
        ConfigError: The rule is not one.
    """
    if rule is None:
        return _tried(env, table, None)
    contract = authoring.add(env.mesh, table, [(column, rule)]).contract
    return _tried(env, replace(table, contract=contract), {str(rule["id"])})


def tried_as(env: Environment, table: Table, contract: Contract, name: str) -> tuple[Item, ...]:
    """One test as another state of the contract has it, on the published version; nothing is kept.

    Raises:
        UsageError: The table was never published.
    """
    return _tried(env, replace(table, contract=contract), {name})


def _tried(env: Environment, table: Table, names: set[str] | None) -> tuple[Item, ...]:
    env.sync()
    version = env.ledger.versions().get(table.name)
    if version is None:
        raise never_published(table)
    if names is None or table.contract is None:
        with env.lake.session() as con:
            results = build.test(env, table, con, version=version.version)
    else:
        alone = tuple(test for test in table.contract.tests if test.name in names)
        table = replace(table, contract=replace(table.contract, tests=alone))
        results = _bounded(env, table, version.version)
    subject = f"version {version.version}"
    return tuple({**result_json(result, table.name), "subject": subject} for result in results)


def _bounded(env: Environment, table: Table, version: int) -> tuple[Result, ...]:
    """The tests of a version, by a database of its own that cannot take much."""
    import duckdb

    try:
        with env.lake.bounded(TRY_MEMORY) as con, time_limit(con, TRY_SECONDS):
            return build.test(env, table, con, version=version)
    except duckdb.InterruptException:
        mend = "Ask less of it, such as one column at a time, or let `mesh test` execute it once it is saved."
        raise RunError(f"the test took longer than {TRY_SECONDS:g} seconds\n    {mend}") from None
    except duckdb.OutOfMemoryException:
        mend = "Ask less of it: `list` and `string_agg` of a whole table have to be held at once."
        raise RunError(f"the test needs more than {TRY_MEMORY} of memory\n    {mend}") from None


def published(
    env: Environment, table: Table, version: int, run: str, *, cached: bool = True, rows: int = KEPT
) -> tuple[Item, ...]:
    """The tests of one published version, and what they say is kept; not executed twice within one run.

    What only its toolchain can execute (dbt's own tests) is as the last build found it.
    """
    contract = contract_hash(table)
    if (known := env.ledger.results(table.name, version, contract, run=run)) is not None:
        return known
    with env.lake.session() as con:
        results = build.test(env, table, con, version=version, cached=cached, sample=rows)
    kept = env.ledger.results(table.name, version, contract) or ()
    items = _with_toolchains_own([result_json(result, table.name) for result in results], kept)
    env.ledger.keep_results(table.name, version, contract, tuple(map(_some, items)), run)
    return items


def _some(item: Item) -> Item:
    """With as many failing rows as are kept of a test."""
    sample = item["sample"]
    return {**item, "sample": sample[:KEPT]} if isinstance(sample, list) else item


def explain(env: Environment, tables: Iterable[str], *, cached: bool = True) -> list[Item]:
    """How `test` would answer each test of these tables, without executing any."""
    env.sync()
    versions, last = env.ledger.versions(), env.ledger.attempts(outcomes=("published", "unchanged", "held", "failed"))
    items: list[Item] = []
    for table in (env.mesh.tables[name] for name in env.mesh.tables if name in set(tables)):
        if table.engine:
            items += _explained_elsewhere(table)
            continue
        version, attempt = versions.get(table.name), last.get(table.name)
        files = _held(version, attempt)
        if not files and version is None:
            continue
        candidate = build.kept(table.name, files, attempt.record) if files and attempt else None
        with env.lake.session() as con:
            number = version.version if version else None
            plan = build.explain(env, table, con, version=number, candidate=candidate, cached=cached)
        subject = "candidate, held" if candidate else f"version {number}"
        steps = plans.explain(plan) if plan else []
        items += [{"table": table.name.replace(".", "/", 1), "subject": subject, **step} for step in steps]
    return items


def elsewhere(env: Environment, table: Table, *, rows: int = KEPT) -> tuple[Item, ...]:
    """The tests of a port whose rows stay on another engine, executed there; nothing of it is kept here."""
    from mesh_assets.engines.run import audit_elsewhere, unread
    from mesh_assets.engines.there import opened

    contract = table.contract
    if contract is None:
        return ()
    try:
        with opened(env.mesh, table) as there:
            results = audit_elsewhere(
                there.ask, there.relation, contract, table.engine, there.columns, show=there.show, sample=rows
            )
    except RunError as error:
        results = unread(contract, str(error))
    return tuple({**result_json(result, table.name), "subject": f"on {table.engine}"} for result in results)


def _explained_elsewhere(table: Table) -> Iterator[Item]:
    from mesh_assets.engines.compile import refusal

    types = {column.name: column_type(column.type) for column in (table.contract.columns if table.contract else ())}
    for test in table.contract.tests if table.contract else ():
        why = refusal(test, types, table.engine)
        by_names = test.kind in (Kind.COLUMNS, Kind.TYPES)
        rung = plans.Rung.NONE if why else plans.Rung.SCHEMA if by_names else plans.Rung.ENGINE
        how = "names and types of the columns" if by_names else f"a query of {table.engine}"
        step = plans.Step(test=test, rung=rung, how=how, reads=None, why=why)
        yield {"table": table.name.replace(".", "/", 1), "subject": f"on {table.engine}", **plans.explained(step)}


def _unloadable(table: Table, why: str) -> Iterator[Item]:
    """Tests that nothing can be said of, because nothing was ever built."""
    for test in table.contract.tests if table.contract and why else ():
        message = f"{test.name} could not be executed: its domain cannot be loaded: {why}"
        result = Result(test=test, status=Status.ERROR, failing_rows=0, message=message)
        yield {**result_json(result, table.name), "subject": "never published"}


def _table(
    env: Environment, table: Table, version: Version | None, last: Attempt | None, *, cached: bool, rows: int
) -> Iterator[Item]:
    if last is not None and (files := _held(version, last)):
        with env.lake.session() as con:
            candidate = build.kept(table.name, files, last.record)
            results = build.test(env, table, con, candidate=candidate, cached=cached, sample=rows)
        items = [result_json(result, table.name) for result in results]
        subject = f"candidate of run {last.run}, held"
        items = _as_staged(_with_toolchains_own(items, last.record.get("results", ())), last)
    elif version is not None:
        items = published(env, table, version.version, f"mesh test {now()}", cached=cached, rows=rows)
        subject = f"version {version.version}"
    else:
        return
    for item in items:
        yield {**item, "subject": subject}


def _with_toolchains_own(items: Iterable[Item], kept: Iterable[Mapping[str, object]]) -> tuple[Item, ...]:
    found = list(items)
    names = {item["name"] for item in found}
    return (*found, *(dict(item) for item in kept if item["name"] not in names and item["type"] == "sql"))


def _as_staged(items: Iterable[Item], last: Attempt) -> Iterator[Item]:
    """With the test of types as it was when the candidate was staged: its files hold nothing where a value did not fit."""
    found = {item["name"]: item for item in last.record.get("results", ()) if item["name"] == TYPES}
    for item in items:
        yield dict(found.get(item["name"], item))


def _held(version: Version | None, last: Attempt | None) -> list[str]:
    """Files of a candidate that is held, and newer than what is published."""
    if last is None or last.outcome != "held" or (version and version.version > last.head):
        return []
    return [file for file in last.record.get("quarantine", ()) if Path(file).is_file()]


def _ports(env: Environment, tables: Iterable[Table]) -> Iterator[Item]:
    seen: dict[str, Seen] = env.seen()
    read = {(table.domain, name) for table in tables for name in table.inputs}
    for reader, name in sorted(read):
        port = env.mesh.port(reader, name)
        if port is None or port.contract is None or name not in seen:
            continue
        with env.lake.session() as con:
            verdict = judge(env, port, reader, seen[name].version, seen, "mesh test", con)
        spelt = f"{reader}/in/{name.replace('.', '__', 1)}"
        for item in verdict.results:
            yield {**item, "table": spelt, "subject": f"{name.replace('.', '/', 1)} version {verdict.version}"}
