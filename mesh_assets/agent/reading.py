"""Tools that read: each answers with the JSON that the command line and the portal give."""

import time
from urllib.parse import quote

from mesh_assets import address as names
from mesh_assets.address import QUESTIONS
from mesh_assets.agent.tool import FLAG, NUMBER, TEXTS, Asked, Json, Parameter, Tool, Words
from mesh_assets.errors import UsageError, nearest
from mesh_assets.reading.agent import ALL

ROWS, MOST_ROWS = 100, 1_000
SECONDS = 30.0
"""After which a query is stopped."""
WAIT = 50
"""Seconds that a question about a job may wait: clients give up after a minute."""


def domains(asked: Asked, told: Words) -> Json:
    """`/mesh/api/domains`."""
    return _page(asked, "/mesh/", told)


def tables(asked: Asked, told: Words) -> Json:
    """`/mesh/api/tables`."""
    return _page(asked, "/mesh/tables", told)


def domain(asked: Asked, told: Words) -> Json:
    """`/mesh/api/domains/{domain}`."""
    return _page(asked, f"/mesh/domains/{quote(told['domain'], safe='')}", told)


def describe(asked: Asked, told: Words) -> Json:
    """`/mesh/api/domains/{domain}/{question}`, and of a table or a version of it."""
    view = asked.view()
    address = names.parse(view.env.mesh, told["name"])
    return _page(asked, names.path(address, told["question"]), told)


def tests(asked: Asked, told: Words) -> Json:
    """`/mesh/api/domains/{domain}/tests`, and of a table."""
    view = asked.view()
    return _page(asked, f"{names.path(names.parse(view.env.mesh, told['name']))}/tests", told)


def status(asked: Asked, told: Words) -> Json:
    """`mesh status`, of some tables, or of those only with which something is wrong."""
    from mesh_assets import catalog
    from mesh_assets.account.states import GOOD

    env = asked.environment()
    wanted = {catalog.spelt(name) for name in catalog.named(env.mesh, told["names"])}
    report = catalog.status(env)
    rows = [row for row in report["tables"] if row["table"] in wanted]
    return {**report, "tables": [row for row in rows if row["state"] not in GOOD] if told["trouble"] else rows}


def why(asked: Asked, told: Words) -> Json:
    """`mesh why`."""
    from mesh_assets.catalog import account

    return account.why(asked.environment(), told["table"])


def history(asked: Asked, told: Words) -> Json:
    """`mesh history`."""
    from mesh_assets.catalog import account

    return account.history(asked.environment(), told["name"], limit=told["limit"])


def incidents(asked: Asked, told: Words) -> Json:
    """`mesh history --incidents`, those that are open first."""
    from mesh_assets.account.look import look
    from mesh_assets.catalog import account

    env, wanted = asked.environment(), told["id"]
    look(env).keep()
    rows = sorted(account.incidents(env), key=lambda row: row["closed"] is not None)
    if wanted:
        chosen = [row for row in rows if row["id"] == wanted]
        if not chosen:
            raise UsageError(f"there is no incident `{wanted}`\n    {nearest(wanted, [row['id'] for row in rows])}")
    else:
        chosen = [row for row in rows if told["closed"] or row["closed"] is None]
    return {"schema_version": 1, "incidents": chosen[: told["limit"]], "total": len(chosen)}


def changes(asked: Asked, told: Words) -> Json:
    """`mesh change list`, or `mesh change show`."""
    from mesh_assets.changes import pages
    from mesh_assets.changes.record import ChangeRecord

    env = asked.environment()
    env.sync()
    record = ChangeRecord(env)
    record.sync()
    if told["id"]:
        return pages.shown(env, record, pages.named(record, told["id"]))
    report = pages.listed(env, record)
    return {**report, "changes": report["changes"][: told["limit"]], "total": len(report["changes"])}


def impact(asked: Asked, told: Words) -> Json:
    """`mesh impact`, without `--run`."""
    from mesh_assets.changes import ask

    words = {key: told[key] for key in ("base", "port", "drop", "rename", "retype")}
    return ask.told(asked.environment(), **words)[1]


def sql(asked: Asked, told: Words) -> Json:
    """`mesh sql`, with a limit, and without the columns whose values are shown to nobody."""
    from mesh_assets import catalog
    from mesh_assets.catalog.profile import visible

    env, limit = asked.environment(), told["limit"]
    shown = None
    if asked.agent.columns != ALL:
        shown = {name: visible(table.contract) for name, table in env.mesh.tables.items()}
    columns, rows = catalog.query(env, told["query"], at=told["at"], shown=shown, limit=limit + 1, seconds=SECONDS)
    return {**catalog.query_report(columns, rows[:limit]), "more": len(rows) > limit}


def jobs(asked: Asked, told: Words) -> Json:
    """What `run` and `test` have begun, here or in the portal."""
    from mesh_assets.portal import jobs as work

    env = asked.environment()
    if not told["id"]:
        return {"schema_version": 1, "jobs": [job.as_json() for job in work.recent(env, 20)]}
    until = time.monotonic() + told["wait"]
    while True:
        job = work.find(env, told["id"])
        if job is None:
            known = [one.id for one in work.recent(env)]
            raise UsageError(f"there is no job `{told['id']}`\n    {nearest(told['id'], known)}")
        if job.state != "running" or time.monotonic() > until:
            return job.as_json()
        time.sleep(0.3)


def _page(asked: Asked, path: str, told: Words) -> Json:
    """What the portal's page at a path shows."""
    from mesh_assets.portal import api, pages

    query = {"q": told.get("search", ""), "page": str(told.get("page", 1))}
    if told.get("ports"):
        query["ports"] = "1"
    return dict(pages.find(asked.view(), path, query, more=api.LIVE).data)


_SEARCH = Parameter(name="search", help="Words that must all be in its name, title, purpose, meaning or columns.")
_PAGE = Parameter(name="page", kind=NUMBER, default=1, least=1, most=99_999, help="Of a list that has several.")
_ABOUT = Parameter(name="name", needed=True, help="`domain`, `domain/table` or `domain/table@version`.")
_LIMIT = Parameter(name="limit", kind=NUMBER, default=30, least=1, most=1_000, help="The newest so many.")

TOOLS: tuple[Tool, ...] = (
    Tool(
        name="domains",
        title="Domains",
        help="Every domain, the worst first: whose it is, what it offers, how it stands; who reads whom; what is wrong. Begin here.",
        parameters=(_SEARCH, _PAGE),
        answer=domains,
    ),
    Tool(
        name="tables",
        title="Tables",
        help="Tables by name, found by words: what each means, its version, rows, tests, freshness, who reads it.",
        parameters=(
            _SEARCH,
            Parameter(name="ports", kind=FLAG, default=False, help="Output ports only: what other domains may read."),
            _PAGE,
        ),
        answer=tables,
    ),
    Tool(
        name="domain",
        title="One domain",
        help="One domain: its team, purpose, ports and private tables, trust, neighbours; what is wrong, where it cannot be loaded.",
        parameters=(Parameter(name="domain", needed=True, help="Its name."),),
        answer=domain,
    ),
    Tool(
        name="describe",
        title="What, where, when, with what, how",
        help="One of the five questions about a domain, a table or one version. `what`: columns with their meaning, promises, readers, "
        "a sample (masked values as •••). `where`: whom to ask, how to read it. `when`: versions, attempts, freshness. `with`: inputs, "
        "lineage. `how`: code, contract, steps.",
        parameters=(
            _ABOUT,
            Parameter(name="question", needed=True, choices=tuple(QUESTIONS), help="One of the five."),
        ),
        answer=describe,
    ),
    Tool(
        name="tests",
        title="Tests and their results",
        help="What is tested of a domain's tables or of one table, with the results over time.",
        parameters=(Parameter(name="name", needed=True, help="`domain` or `domain/table`."), _PAGE),
        answer=tests,
    ),
    Tool(
        name="status",
        title="Status",
        help="Where every table stands, since when and whether it is on time; open incidents, pipelines, paused domains.",
        parameters=(
            Parameter(name="names", kind=TEXTS, default=(), help="Domains or tables; default: the whole mesh."),
            Parameter(name="trouble", kind=FLAG, default=False, help="Only tables with which something is wrong."),
        ),
        answer=status,
    ),
    Tool(
        name="why",
        title="Why is it not updated?",
        help="Why a table gets nothing new: the chain of causes, and who answers for the first of them.",
        parameters=(Parameter(name="table", needed=True, help="`domain/table`."),),
        answer=why,
    ),
    Tool(
        name="history",
        title="History",
        help="What became of a table, or of one of its tests, over time.",
        parameters=(
            Parameter(name="name", needed=True, help="`domain/table`, or `domain/table/test`."),
            _LIMIT,
        ),
        answer=history,
    ),
    Tool(
        name="incidents",
        title="Incidents",
        help="What is wrong with the mesh: one incident per cause, who answers for it, what others go on with, who was told.",
        parameters=(
            Parameter(name="id", help="One of them."),
            Parameter(name="closed", kind=FLAG, default=False, help="Those that are over, too."),
            _LIMIT,
        ),
        answer=incidents,
    ),
    Tool(
        name="changes",
        title="Changes",
        help="Changes of schemas and contracts: those that wait for their readers, then those that were published. With `id`, one: "
        "for whom it breaks and why, who has answered.",
        parameters=(Parameter(name="id", help="One of them; its beginning is enough."), _LIMIT),
        answer=changes,
    ),
    Tool(
        name="impact",
        title="Impact of a change",
        help="Whom a change would break, where in their code, and how we know; nothing is changed. Either `port` with `drop`, `rename` "
        "or `retype`; or the files as they are now against a git ref (`base`, default HEAD).",
        parameters=(
            Parameter(name="port", help="`domain/table` to ask about."),
            Parameter(name="drop", kind=TEXTS, default=(), help="Columns."),
            Parameter(name="rename", kind=TEXTS, default=(), help="`old=new`."),
            Parameter(name="retype", kind=TEXTS, default=(), help="`column:TYPE`."),
            Parameter(name="base", help="A git ref."),
        ),
        answer=impact,
    ),
    Tool(
        name="sql",
        title="SQL",
        help="One SELECT over published tables (`domain.table`) in DuckDB's dialect, also DESCRIBE, SUMMARIZE and SHOW TABLES. It reads "
        "and does nothing else. Masked columns are not there unless mesh.yaml says so. `more`: there were more rows.",
        parameters=(
            Parameter(name="query", needed=True, help="Such as `from customers.physicians limit 5`."),
            Parameter(name="at", kind=NUMBER, default=None, help="Read the whole mesh as it was at this version."),
            Parameter(name="limit", kind=NUMBER, default=ROWS, least=1, most=MOST_ROWS, help="Rows."),
        ),
        answer=sql,
    ),
    Tool(
        name="jobs",
        title="Jobs",
        help="Work that was begun here or in the portal, newest first; with `id`, one: how far it is, and what it said.",
        parameters=(
            Parameter(name="id", help="As `run` or `test` has answered."),
            Parameter(name="wait", kind=NUMBER, default=0, most=WAIT, help="Seconds to wait for its end."),
        ),
        answer=jobs,
    ),
)
