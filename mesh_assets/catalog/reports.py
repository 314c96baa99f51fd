"""Mesh, lake and ledger as plain data for people and programs: the one serialiser of command line, portal and API."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from mesh_assets import graph, order, refusals
from mesh_assets.catalog.words import times
from mesh_assets.domain import Mesh, Table, Toolchain
from mesh_assets.environment import Environment, never_published
from mesh_assets.errors import UsageError, nearest
from mesh_assets.ledger import Attempt, Version

SCHEMA_VERSION = 1
LISTED = 12
"""Names of tables that are listed to somebody who has named none of them; more are no help."""
Json = dict[str, Any]


def spelt(table: str) -> str:
    """`domain/table`, as people and Dagster spell it."""
    return table.replace(".", "/", 1)


def problems_of(mesh: Mesh, domain: str) -> list[Json]:
    """What is wrong with a domain that could not be loaded; its domain.yaml first, for much of the rest follows from it."""
    found = sorted(mesh.broken[domain], key=lambda problem: not problem.where.path.endswith("/domain.yaml"))
    return [{"code": each.code, "what": each.what, "where": str(each.where), "mend": each.mend} for each in found]


def named(mesh: Mesh, words: Sequence[str]) -> frozenset[str]:
    """The tables that a person names: `domain`, `outer/domain`, `domain/table`, also with dots; all of them when nothing is named.

    A domain stands for its sub-domains too.

    Raises:
        UsageError: Nothing of that name is here; the nearest is offered.
    """
    if not words:
        return frozenset(mesh.tables)
    found: set[str] = set()
    for word in words:
        name = word.replace("/", ".", 1)
        domain = "" if name in mesh.tables else mesh.domain_of(word)
        domains = {domain, *mesh.parts(domain)}
        own = {table for table in mesh.tables if table == name or table.partition(".")[0] in domains}
        if not own:
            domain = name.partition(".")[0]
            if domain in mesh.broken and domain not in mesh.domains:
                raise UsageError(f"domain `{domain}` could not be loaded\n    `mesh check` says what is wrong with it.")
            known = {*mesh.domains, *map(spelt, mesh.tables)}
            otherwise = "`mesh status` lists them all." if len(known) > LISTED else ""
            raise UsageError(f"there is no domain or table `{word}`\n    {nearest(word, known, otherwise=otherwise)}")
        found |= own
    return frozenset(found)


def with_downstream(mesh: Mesh, tables: Iterable[str]) -> frozenset[str]:
    """These tables, and everything that rests on them."""
    return graph.downstream(graph.graph_of(mesh), tables, include_self=True)


def with_upstream(mesh: Mesh, tables: Iterable[str]) -> frozenset[str]:
    """These tables, and everything that they rest on, as far as it is part of the mesh."""
    return frozenset(
        name for name in graph.upstream(graph.graph_of(mesh), tables, include_self=True) if name in mesh.tables
    )


def run_report(
    env: Environment,
    runs: Sequence[str],
    scope: Iterable[str],
    broken: Mapping[str, str],
    failed: Mapping[str, str] | None = None,
    running: Mapping[str, str] | None = None,
) -> Json:
    """What came of every table of `scope`: the JSON of `mesh run`.

    Args:
        env: The environment, after the runs.
        runs: Their ids.
        scope: Tables to speak of.
        broken: Domains that could not be loaded, with why.
        failed: Tables whose step failed without a record, with why.
        running: Tables that another run has taken on, to its id.
    """
    last: dict[str, Attempt] = {}
    for run in runs:
        last |= {attempt.table: attempt for attempt in env.ledger.of_run(run)}
    state = env.state(running=running)
    why = order.due(env.mesh, state).why
    wanted = set(scope)
    versions = env.ledger.versions()
    unrecorded = {**_of_domains(env.mesh, broken), **(failed or {})}
    lost = env.lake.lost_now()
    rows = []
    for name, table in env.mesh.tables.items():
        if name in wanted:
            row = _row(table, last.get(name), versions.get(name), why[name], unrecorded)
            is_lost = name in lost and row["status"] != "failed"
            rows.append(_lost(row, lost[name]) if is_lost else _with_refusals(env, versions, row, name))
    inputs = env.pin(runs[0]) if runs else env.lake.head()
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": runs[0] if runs else "",
        "runs": list(runs),
        "snapshot": {"inputs": inputs, "result": env.lake.head()},
        "tables": rows,
    }


def _with_refusals(env: Environment, versions: Mapping[str, Version], row: Json, name: str) -> Json:
    """With what the table's domain does not admit, and goes on without; a step that stopped has said it itself."""
    said = refusals.of_table(env, env.mesh.tables[name], versions)
    if not said or "does not admit" in row["message"] or row["status"] in ("failed", "skipped"):
        return row
    own = row["message"] if row["status"] == "published" else ""  # that nothing has changed is what its status says
    return row | {"message": "\n".join(filter(None, (own, said)))}


def _lost(row: Json, files: Sequence[str]) -> Json:
    """Of a table that nobody can read, whatever else there is to say of it."""
    what = f"{len(files)} data files of version {row['version']} are" if len(files) > 1 else "a data file of it is"
    said = f"{what} lost, so that nobody can read it: {files[0]}"
    mend = f"Put it back, or build the table again: mesh run {row['table']} --force"
    return row | {"status": "failed", "message": f"{said}\n    {mend}"}


def _of_domains(mesh: Mesh, broken: Mapping[str, str]) -> dict[str, str]:
    return {name: broken[table.domain] for name, table in mesh.tables.items() if table.domain in broken}


def _row(
    table: Table, attempt: Attempt | None, version: Version | None, why: order.Why, failed: Mapping[str, str]
) -> Json:
    name = table.name
    record = version.record if version else {}
    row: Json = {
        "table": spelt(name),
        "status": "unchanged",
        "version": version.version if version else None,
        "rows": record.get("rows"),
        "seconds": 0.0,
        "tests": record.get("tests") or {"pass": 0, "warn": 0, "fail": 0},
        "message": "",
    }
    if attempt is not None:
        told = attempt.record
        row |= {
            "status": attempt.outcome,
            "seconds": times(attempt.at, told)["seconds"] or 0.0,
            "message": told.get("message") or "",
        }
        row |= {"rows": told.get("rows", row["rows"]), "tests": told.get("tests") or row["tests"]}
    elif name in failed:
        row |= {"status": "failed", "message": failed[name]}
    elif table.source and why.state is order.Standing.MISSING:
        key = "source" if table.toolchain is Toolchain.SOURCE else "location"
        mend = f"Put the export there, or correct `{key}:` at {table.source.where}."
        row |= {
            "status": "failed",
            "message": f"no file matches `{table.source.pattern}` in {table.domain}\n    {mend}",
        }
    elif table.database and why.state is order.Standing.MISSING:
        from mesh_assets import external

        row |= {"status": "failed", "message": external.trouble(table.name, table.database) or why.sentence}
    elif why.state is order.Standing.FAILED:
        row |= {"status": "held", "message": why.sentence}
    elif why.state is order.Standing.RUNNING:
        said = f"another run is building it: {why.sentence.rpartition(' ')[2][:8]}\n    Watch it: mesh status --watch"
        row |= {"status": "skipped", "message": said}
    elif why.state is not order.Standing.CURRENT or version is None:
        row |= {"status": "skipped", "message": why.sentence}
    return row


def test_report(
    items: Sequence[Mapping[str, object]],
    broken: Mapping[str, Sequence[object]] | None = None,  # noqa: PT028 - no test of pytest's
) -> Json:
    """The JSON of `mesh test`.

    Args:
        items: Results.
        broken: Domains that cannot be loaded, with what is wrong.
    """
    report: Json = {"schema_version": SCHEMA_VERSION, "tests": [dict(item) for item in items]}
    return report if broken is None else report | {"broken": broken_domains(broken)}


def broken_domains(broken: Mapping[str, Sequence[object]]) -> list[Json]:
    """Domains that cannot be loaded, by name, with what is wrong."""
    return [{"domain": name, "problems": list(map(str, told))} for name, told in sorted(broken.items())]


def query(
    env: Environment,
    sql: str,
    *,
    at: int | None = None,
    shown: Mapping[str, Collection[str]] | None = None,
    limit: int | None = None,
    seconds: float | None = None,
) -> tuple[Sequence[str], Sequence[tuple]]:
    """As `Lake.sql`; of a table that the mesh knows and the lake does not yet, it is said how to get it.

    Raises:
        UsageError: The query is wrong, or wants more than to read published tables.
    """
    try:
        return env.lake.sql(sql, at=at, shown=shown, limit=limit, seconds=seconds)
    except UsageError:
        published = env.lake.tables()
        missing = [table for name, table in env.mesh.tables.items() if name in sql.lower() and name not in published]
        if not missing:
            raise
        raise never_published(*missing) from None


def query_report(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Json:
    """The JSON of `mesh sql`: plain values; dates, decimals and the like as text."""
    return {
        "schema_version": SCHEMA_VERSION,
        "columns": list(columns),
        "rows": [[plain(value) for value in row] for row in rows],
    }


def plain(value: object) -> object:
    """A value that JSON can hold; what it cannot is spelt out. NaN and infinity are text: JSON has neither."""
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>"
    return str(value)
