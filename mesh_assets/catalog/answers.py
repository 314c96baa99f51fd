"""The five questions, answered as plain data: for a domain, a table of it, or one version of that."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mesh_assets import address as names
from mesh_assets import deprecation, graph, provenance
from mesh_assets.account.look import look
from mesh_assets.address import QUESTIONS, Address, NotFound
from mesh_assets.catalog import columns, failing, profile, terms, words
from mesh_assets.catalog.access import readers_code, whereabouts
from mesh_assets.catalog.reports import SCHEMA_VERSION, Json, problems_of, spelt
from mesh_assets.catalog.standing import Standing, version_of, worst
from mesh_assets.contract import Column, Contract
from mesh_assets.domain import Domain, Mesh, Table, Toolchain
from mesh_assets.environment import Environment
from mesh_assets.errors import UsageError, nearest
from mesh_assets.ledger import Attempt, Record, Version
from mesh_assets.numerals import does, many

LISTED = 50
"""Versions and attempts on one page."""
HALF = 32
"""Digits of half a SHA-256."""


def answer(env: Environment, standing: Standing, address: Address, question: str) -> Json:
    """What one question is answered with.

    Raises:
        NotFound: The address names a version that is not there.
        UsageError: There is no such question.
    """
    if question not in QUESTIONS:
        raise UsageError(f"`{question}` is none of the five questions\n    {nearest(question, QUESTIONS)}")
    head = _head(env, standing, address, question)
    if address.table and question in ("what", "when"):
        head["failing"] = _failing(env, standing, address)
    if address.table and question == "what":
        return {**head, **_what(env, standing, address, readable=not head["expired"])}
    found = OF_TABLE[question] if address.table else OF_DOMAIN[question]
    return {**head, **found(env, standing, address)}


def _failing(env: Environment, standing: Standing, address: Address) -> Json | None:
    """What fails of a table, or of the version that the address names; None: nothing."""
    table = env.mesh.tables[address.name]
    if address.version is None:
        return failing.failing(env, standing, table)
    version = version_of(env, address)
    return failing.of_version(env, table, version) if version else None


def unread(env: Environment, standing: Standing, domain: str, table: str = "") -> Json:
    """A domain that could not be loaded: what is wrong, and what of it, or of one table, was published and can be read.

    Args:
        env: The environment.
        standing: How everything stands.
        domain: Its name.
        table: As in an address: `table` or `table@version`; empty: all.

    Raises:
        NotFound: No such table or version was ever published.
    """
    own = {name: version for name, version in sorted(standing.versions.items()) if name.startswith(f"{domain}.")}
    if table:
        own = {table: _last_of(env, domain, table, own)}
    return {
        "schema_version": SCHEMA_VERSION,
        "domain": domain,
        "problems": problems_of(env.mesh, domain),
        "published": [_published(env, version, alone=bool(table)) for version in own.values()],
    }


def _last_of(env: Environment, domain: str, table: str, own: Mapping[str, Version]) -> Version:
    """The version that an address of a domain names that could not be loaded; without one, the newest."""
    name, _, number = table.partition("@")
    if f"{domain}.{name}" not in own:
        known = [each.partition(".")[2] for each in own]
        what = f"domain `{domain}` could not be loaded, and has published no table `{name}`"
        raise NotFound(f"{what}\n    {nearest(name, known)}")
    if number and not number.isdecimal():
        raise NotFound(f"`{table}` names no version\n    Write a number after the table: `{name}@12`.")
    address = Address(domain=domain, table=name, version=int(number) if number else None)
    return version_of(env, address) or own[f"{domain}.{name}"]


def _published(env: Environment, version: Version, *, alone: bool) -> Json:
    """What readers have of a table of which the files cannot be read; no value of it, for nobody knows what is masked."""
    record, there = version.record, env.lake.has(version.version)
    return {
        "table": spelt(version.table),
        "version": version.version,
        "at": version.at,
        "run": version.run,
        "log": f"/runs/{version.run}",
        "rows": record.get("rows"),
        "status": _came_out(version),
        "tests": record.get("tests") or {},
        "columns": [{"name": name, "type": kind} for name, kind in record.get("columns") or ()],
        "expired": not there,
        "code": readers_code(env, version.table, version.version) if alone and there else [],
    }


def summary(env: Environment, standing: Standing, name: str) -> Json:
    """A domain in a few lines: whose it is, how it stands, what it offers."""
    domain = env.mesh.domains[name]
    tables = [standing.of(table) for table in standing.own.get(name, ())]
    feeds = sorted({reader for row in tables for reader in row["read_by"]} - {name})
    reads = sorted({port.table.partition(".")[0] for port in domain.inputs} - {name})
    late = [row for row in tables if row["status"] == "late"]
    bad = [row for row in tables if row["status"] == "fail"]
    return {
        "domain": name,
        "title": domain.title or name,
        "part_of": env.mesh.within(name),
        "parts": [_part(env.mesh, standing, one) for one in env.mesh.parts(name)],
        "purpose": domain.purpose,
        "team": team(domain),
        "status": worst([row["status"] for row in tables]),
        "reason": (bad or late or [{"reason": _warnings(tables)}])[0]["reason"],
        "reason_of": (bad or late or [{"table": ""}])[0]["table"],
        "tests": {word: sum(row["tests"][word] for row in tables) for word in ("pass", "warn", "fail", "not_run")},
        "since": min((row["freshness"]["confirmed"] for row in tables if row["freshness"]["confirmed"]), default=None),
        "ports": [row for row in tables if row["port"]],
        "private": [row for row in tables if not row["port"]],
        "reads": reads,
        "feeds": feeds,
        "sources": [source.pattern for source in domain.sources],
        "made_with": sorted({row["toolchain"] for row in tables}),
        "automation": domain.automation,
    }


def _part(mesh: Mesh, standing: Standing, name: str) -> Json:
    """A sub-domain in a line."""
    stands = worst([standing.of(table)["status"] for table in standing.own.get(name, ())])
    return {"domain": name, "title": mesh.domains[name].title or name, "status": stands}


def _warnings(tables: Sequence[Mapping[str, Any]]) -> str:
    names = [row["name"] for row in tables if row["tests"].get("warn")]
    count = sum(row["tests"].get("warn", 0) for row in tables)
    if not names:
        return ""
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004 - as above
    return f"{many(count, 'test')} {does(count, 'warn')}: {listed}"


def team(domain: Domain) -> dict[str, str]:
    """Who answers for a domain."""
    return {"name": domain.team.name, "owner": domain.team.owner, "support": domain.team.support}


def _head(env: Environment, standing: Standing, address: Address, question: str) -> Json:
    """What every answer begins with."""
    domain = env.mesh.domains[address.domain]
    head: Json = {
        "schema_version": SCHEMA_VERSION,
        "question": question,
        "asks": QUESTIONS[question],
        "domain": address.domain,
        "domain_title": domain.title or domain.name,
        "team": team(domain),
        "urls": names.urls(address),
    }
    if not address.table:
        found = summary(env, standing, address.domain)
        return head | {"title": found["title"], "status": found["status"], "reason": found["reason"]}
    table = env.mesh.tables[address.name]
    version, newest = version_of(env, address), standing.versions.get(table.name)
    pinned = address.version is not None
    stands = {"status": _came_out(version), "reason": ""} if pinned and version else standing.of(table)
    contract, own = _contract_of(env, address, version)
    return head | {
        "table": spelt(table.name),
        "name": table.short,
        "title": contract.name if contract and contract.name else table.short,
        "port": table.port is not None,
        "kind": _kind(table),
        "version": version.version if version else None,
        "newest": newest.version if newest else None,
        "pinned": pinned,
        "contract_of": "version" if own else "today",
        "expired": bool(version) and not env.lake.has(version.version),
        "status": stands["status"],
        "reason": stands["reason"],
        "deprecated": deprecation.to_json(deprecation.deprecated(env.mesh, table), standing.at.date()),
        "succeeds": spelt(deprecation.succeeds(env.mesh, table)) or None,
    }


def _contract_of(env: Environment, address: Address, version: Version | None) -> tuple[Contract | None, bool]:
    """The contract that an address is about, and whether it is the one that its version was published under."""
    if address.version is None:
        return env.mesh.tables[address.name].contract, True
    return terms.contract_of(env, address.name, version)


def _came_out(version: Version) -> str:
    """How a version was published."""
    tests = version.record.get("tests") or {}
    return next((word for word in ("fail", "warn") if tests.get(word)), "pass")


def _kind(table: Table) -> str:
    if table.port:
        return "output port"
    return "source, private" if table.watched else "private table"


# -- what ---------------------------------------------------------------------------------------------------------------


def _what(env: Environment, standing: Standing, address: Address, *, readable: bool) -> Json:
    table = env.mesh.tables[address.name]
    version = version_of(env, address)
    contract, _ = _contract_of(env, address, version)
    record = version.record if version else {}
    number = version.version if version and readable else None
    measured = (
        {"rows": None, "columns": {}, "sampled": False} if number is None else profile.profile(env, table, number)
    )
    return {
        "purpose": contract.description if contract else "",
        "rows": record.get("rows"),
        "since": version.at if version else None,
        "columns": _columns(table, contract, record.get("columns") or (), measured["columns"]),
        "sampled": measured["sampled"],
        "promises": [words.test_json(test) for test in (contract.tests if contract else ())],
        "service_levels": [words.level(item) for item in (contract.service_levels if contract else ())],
        "contract": _contract(contract),
        "compatibility": table.port.compatibility if table.port else None,
        "readers": _readers(env.mesh, table),
        "sample_query": f"select * from {table.name} limit 10",
        "sample": profile.sample(env, table, number) if number is not None else {"columns": [], "rows": []},
        "freshness": standing.of(table)["freshness"] if address.version is None else None,
    }


def _columns(
    table: Table, contract: Contract | None, built: Sequence[Sequence[str]], measured: Mapping[str, Any]
) -> list[Json]:
    """As they are in the version; those that the contract alone knows come last.

    Masked is what the contract of today masks, whatever that of the version did: that decides what is shown.
    """
    shown = profile.visible(table.contract)
    known = {column.name: column for column in contract.columns} if contract else {}
    kinds = {pair[0]: pair[1] for pair in built} or {name: column.type for name, column in known.items()}
    found = {name: (kind, known.get(name)) for name, kind in kinds.items()}
    found |= {name: (column.type, column) for name, column in known.items() if name not in found}
    rows = [_column(name, kind, column, contract, measured.get(name)) for name, (kind, column) in found.items()]
    return [{**row, "masked": row["name"] not in shown} for row in rows]


def _column(name: str, kind: str, column: Column | None, contract: Contract | None, measured: Mapping | None) -> Json:
    tests = [test for test in (contract.tests if contract else ()) if name in test.columns]
    return {
        "name": name,
        "type": kind,
        "meaning": column.description if column else "",
        "unit": column.unit if column else "",
        "classification": column.classification if column else "",
        "tags": list(column.tags) if column else [],
        "primary_key": column.primary_key if column else False,
        "required": column.required if column else False,
        "unique": column.unique if column else False,
        "named_by_contract": column is not None,
        "tests": [test.name for test in tests],
        "profile": dict(measured) if measured else None,
    }


def _contract(contract: Contract | None) -> Json | None:
    if contract is None:
        return None
    return {"id": contract.id, "version": contract.version, "status": contract.status, "file": contract.where.path}


def _readers(mesh: Mesh, table: Table) -> list[Json]:
    """Who reads it: tables of its own domain, and other domains with what they expect."""
    found = []
    reading: dict[str, list[str]] = {}
    for other in mesh.tables.values():
        if table.name in other.inputs:
            reading.setdefault(other.domain, []).append(other.name)
    for name, domain in mesh.domains.items():
        tables = reading.get(name, [])
        port = domain.input(table.name)
        if tables or port:
            found.append(
                {
                    "domain": name,
                    "own": name == table.domain,
                    "tables": [spelt(other) for other in tables],
                    "expects": [words.test_json(test) for test in port.contract.tests]
                    if port and port.contract
                    else [],
                    "on_failure": str(port.on_failure) if port else None,
                }
            )
    return found


def _domain_what(env: Environment, standing: Standing, address: Address) -> Json:
    found = summary(env, standing, address.domain)
    inputs = env.mesh.domains[address.domain].inputs
    return {
        "purpose": found["purpose"],
        "tests": found["tests"],
        "ports": [{**row, "meaning": _meaning(env.mesh, row)} for row in found["ports"]],
        "private": [{**row, "meaning": _meaning(env.mesh, row)} for row in found["private"]],
        "reads": [spelt(port.table) for port in inputs],
        "feeds": found["feeds"],
        "readme": _readme(env.mesh.domains[address.domain]),
    }


def _meaning(mesh: Mesh, row: Mapping[str, Any]) -> str:
    table = mesh.tables[row["table"].replace("/", ".", 1)]
    return table.contract.description if table.contract else ""


def _readme(domain: Domain) -> str:
    try:
        return (domain.path / "README.md").read_text(encoding="utf-8")[:20_000]
    except (OSError, UnicodeDecodeError):
        return ""


# -- where --------------------------------------------------------------------------------------------------------------


def _where(env: Environment, _standing: Standing, address: Address) -> Json:
    table, version = env.mesh.tables[address.name], version_of(env, address)
    number = version.version if version else None
    return {
        "access": access(env.mesh.domains[address.domain]),
        "readable_by": "every domain that names it as an input" if table.port else f"{address.domain} alone",
        **whereabouts(env, table.name),
        "code": readers_code(env, table.name, number) if number is not None else [],
    }


def access(domain: Domain) -> Json:
    """Whom to ask, and where."""
    owner, support = domain.team.owner, domain.team.support
    request = support or (f"mailto:{owner}" if "@" in owner else "")
    return {"team": domain.team.name, "owner": owner, "request": request}


def _domain_where(env: Environment, _standing: Standing, address: Address) -> Json:
    ports = [table for table in env.mesh.tables.values() if table.domain == address.domain and table.port]
    return {
        "access": access(env.mesh.domains[address.domain]),
        "folder": f"domains/{address.domain}",
        "ports": [{"table": spelt(table.name), **whereabouts(env, table.name)} for table in ports],
    }


# -- when ---------------------------------------------------------------------------------------------------------------


def _when(env: Environment, standing: Standing, address: Address) -> Json:
    table = env.mesh.tables[address.name]
    history = env.ledger.history(table.name, limit=LISTED)
    if address.version is not None:
        chosen = version_of(env, address)
        history = (chosen,) if chosen else ()
    tries = env.ledger.tries(table=table.name, limit=LISTED)
    stands = standing.of(table)
    return {
        "freshness": stands["freshness"],
        "automation": table.automation,
        "waiting": stands["waiting"],
        "why": None if address.version is not None else _why(env, table),
        "versions": [_version(env, table, item, then=address.version is not None) for item in history],
        "attempts": [] if address.version is not None else [_try(item) for item in tries],
        "together": any("own" in item.record for item in (*history, *tries)),
        "tests": results_over_time(env, table),
    }


def _why(env: Environment, table: Table) -> Json | None:
    """Why it gets nothing new, while an incident is open that it lies behind."""
    from mesh_assets.account.record import open_incidents
    from mesh_assets.catalog import account

    if not any(table.name in (each.table, *each.pending) for each in open_incidents(env.ledger.store)):
        return None
    found = account.why_of(look(env), table.name)
    return {"text": found["text"], "incident": found["incident"]} if found["incident"] else None


def _version(env: Environment, table: Table, version: Version, *, then: bool) -> Json:
    contract, results = terms.tested(env, table, version, then=then)
    record, own = version.record, {test.name for test in (contract.tests if contract else ())}
    return {
        "version": version.version,
        **words.times(version.at, record),
        "at": version.at,
        "run": version.run,
        "log": f"/runs/{version.run}",
        "rows": record.get("rows"),
        "status": _came_out(version),
        "tests": record.get("tests") or {},
        "fingerprint": record.get("fingerprint"),
        "results": [
            {key: item.get(key) for key in ("name", "column", "status", "failing_rows", "total_rows", "message")}
            for item in results
            if item["name"] in own or item["status"] != "pass"
        ],
        "urls": names.urls(Address(domain=table.domain, table=table.short, version=version.version)),
    }


def _try(attempt: Attempt) -> Json:
    record = attempt.record
    return {
        **words.times(attempt.at, record),
        "at": attempt.at,
        "outcome": attempt.outcome,
        "run": attempt.run,
        "log": f"/runs/{attempt.run}",
        "rows": record.get("rows"),
        "tests": record.get("tests") or {},
        "message": record.get("message") or "",
        "version": record.get("version"),
    }


def results_over_time(env: Environment, table: Table, limit: int = 30) -> list[Json]:
    """Each test with its last results, oldest first: of published versions, and of candidates that were held."""
    seen: list[tuple[str, str, Sequence[Mapping[str, Any]]]] = [
        (at, f"version {version}", results) for version, at, results in env.ledger.test_history(table.name, limit=limit)
    ]
    held = [item for item in env.ledger.tries(table=table.name, limit=limit) if item.outcome == "held"]
    seen += [(item.at, "held candidate", item.record.get("results") or ()) for item in held]
    found: dict[str, list[Json]] = {test.name: [] for test in (table.contract.tests if table.contract else ())}
    for at, subject, results in sorted(seen, key=lambda item: item[0])[-limit:]:
        for item in results:
            row = {key: item.get(key) for key in ("status", "failing_rows", "total_rows", "message")}
            found.setdefault(str(item["name"]), []).append({"at": at, "subject": subject, **row})
    by_name = {test.name: test for test in (table.contract.tests if table.contract else ())}
    return [
        {
            "name": name,
            "promise": words.sentence(by_name[name]) if name in by_name else "a test of its toolchain's own",
            "why": by_name[name].description if name in by_name else "",
            "severity": str(by_name[name].severity) if name in by_name else "",
            "columns": list(by_name[name].columns) if name in by_name else [],
            "status": history[-1]["status"] if history else "never ran",
            "history": history,
        }
        for name, history in found.items()
    ]


def _domain_when(env: Environment, standing: Standing, address: Address) -> Json:
    own = list(standing.own.get(address.domain, ()))
    rows = [standing.of(table) for table in own]
    tries = [item for table in own for item in env.ledger.tries(table=table.name, limit=10)]
    newest = sorted(tries, key=lambda item: item.at, reverse=True)[:LISTED]
    return {"tables": rows, "attempts": [{"table": spelt(item.table), **_try(item)} for item in newest]}


# -- with what ----------------------------------------------------------------------------------------------------------


def _with(env: Environment, standing: Standing, address: Address) -> Json:
    table, version = env.mesh.tables[address.name], version_of(env, address)
    record = version.record if version else {}
    inputs = record.get("inputs") or {}
    held = set(record.get("held") or ())
    return {
        "snapshot": record.get("pin"),
        "inputs": [
            {
                "table": spelt(name),
                "version": item.get("version"),
                "fingerprint": item.get("fingerprint"),
                "held": name in held,
                "urls": _of(env.mesh, name, item.get("version")),
            }
            for name, item in sorted(inputs.items())
        ],
        "files": _files(record),
        "generation": {spelt(name): mark for name, mark in sorted((record.get("generation") or {}).items())},
        "fingerprint": record.get("fingerprint"),
        "lineage": lineage(standing, [table.name]),
        **columns.told(env, table),
    }


def _files(record: Record) -> list[Json]:
    """Raw files with their SHA-256; versions that are older than whole hashes have its first half, and `…`."""
    found = sorted((record.get("files") or {}).items())
    return [{"file": name, "sha256": f"{sha}…" if len(sha) == HALF else sha} for name, sha in found]


def _of(mesh: Mesh, name: str, version: int | None) -> dict[str, str]:
    """The five of an input; nothing when it is no part of the mesh any more."""
    domain, _, table = name.partition(".")
    if name not in mesh.tables and domain not in mesh.broken:
        return {}
    return names.urls(Address(domain=domain, table=table, version=version))


def lineage(standing: Standing, tables: Sequence[str], hops: int = 1) -> Json:
    """Who feeds these tables and whom they feed, as far as so many steps; and how much more there is."""
    mesh = standing.mesh
    whole = graph.graph_of(mesh)
    readers = graph.readers_of(whole)
    near = set(tables)
    edges: set[tuple[str, str]] = set()
    for turned, up in ((whole, True), (readers, False)):
        front = set(tables)
        for _ in range(hops):
            step = {(other, name) if up else (name, other) for name in front for other in turned.get(name, ())}
            edges |= step
            front = {edge[0 if up else 1] for edge in step}
            near |= front
    everything = graph.upstream(whole, tables) | graph.downstream(whole, tables)
    return {
        "nodes": [_node(standing, name) for name in sorted(near)],
        "edges": [[spelt(one), spelt(other)] for one, other in sorted(edges)],
        "upstream": [spelt(name) for name in sorted(graph.upstream(whole, tables))],
        "downstream": [spelt(name) for name in sorted(graph.downstream(whole, tables))],
        "more": len(everything - near),
    }


def _node(standing: Standing, name: str) -> Json:
    table = standing.mesh.tables.get(name)
    if table is None:
        return {"table": spelt(name), "status": "never ran", "toolchain": "not part of the mesh"}
    return {"table": spelt(name), "status": standing.of(table)["status"], "toolchain": table.toolchain.value}


def _domain_with(env: Environment, standing: Standing, address: Address) -> Json:
    domain = env.mesh.domains[address.domain]
    rows = []
    for port in domain.inputs:
        version = standing.versions.get(port.table)
        rows.append(
            {
                "table": spelt(port.table),
                "version": version.version if version else None,
                "on_failure": str(port.on_failure),
                "consistency": str(port.consistency),
                "expects": [words.test_json(test) for test in (port.contract.tests if port.contract else ())],
                "urls": _of(env.mesh, port.table, version.version if version else None),
            }
        )
    own = [table.name for table in standing.own.get(address.domain, ())]
    files = []
    for source in domain.sources:
        version = standing.versions.get(f"{address.domain}.{source.table}")
        listed = _files(version.record) if version else []
        files.append({"pattern": source.pattern, "table": f"{address.domain}/{source.table}", "files": listed})
    return {"inputs": rows, "sources": files, "lineage": lineage(standing, own)}


# -- how ----------------------------------------------------------------------------------------------------------------


def _how(env: Environment, _standing: Standing, address: Address) -> Json:
    table, version = env.mesh.tables[address.name], version_of(env, address)
    record = version.record if version else {}
    made = record.get("made") or {}
    contract, _ = _contract_of(env, address, version)
    return {
        "steps": steps(env.mesh, table),
        "toolchain": table.toolchain.value,
        "code": {
            "file": _relative(env.mesh, table.path),
            "link": code_link(env.mesh, made.get("commit") or "", _relative(env.mesh, table.path)),
            "text": _code(table),
            "version": record.get("code") or table.code,
            "current": table.code,
            "same": not record or record.get("code") == table.code,
        },
        "commit": made.get("commit") or "",
        "commit_changed": bool(made.get("changed")),
        "packages": made.get("packages") or {},
        "contract": {"version": record.get("contract_version") or "", **(_contract(contract) or {})},
        "configuration": made.get("configuration") or provenance.configuration(env.mesh, table),
        "dagster": f"/assets/{address.domain}/{address.table}",
        "rebuild": f"mesh rebuild {address.domain}/{address.table}@{version.version}" if version else "",
    }


def steps(mesh: Mesh, table: Table) -> list[Json]:
    """What is built before it within its domain, and itself, in order."""
    up = graph.upstream(graph.graph_of(mesh), [table.name], include_self=True)
    own = [name for name in mesh.tables if name in up and mesh.tables[name].domain == table.domain]
    return [_step(mesh, mesh.tables[name]) for name in own]


def _step(mesh: Mesh, table: Table) -> Json:
    return {
        "table": spelt(table.name),
        "toolchain": table.toolchain.value,
        "file": table.source.pattern if table.source else _relative(mesh, table.path),
        "inputs": [spelt(name) for name in table.inputs],
        "code": table.code[:16],
    }


def _code(table: Table) -> str:
    is_sql = table.toolchain in (Toolchain.SQL, Toolchain.DBT) and table.path.suffix == ".sql"
    if is_sql or table.program is not None:
        try:
            return table.path.read_text(encoding="utf-8")[:50_000]
        except (OSError, UnicodeDecodeError):
            return ""
    return ""


def code_link(mesh: Mesh, commit: str, file: str) -> str:
    """Where the code is at its commit, when mesh.yaml says where the repository is; else empty."""
    if not (mesh.repository and commit and file):
        return ""
    return mesh.repository.replace("{commit}", commit).replace("{path}", file)


def _relative(mesh: Mesh, path: Path) -> str:
    """Within the mesh; nothing for what is elsewhere: a path of the machine is nobody's business."""
    if path == Path() or not path.is_relative_to(mesh.root):
        return ""
    return path.relative_to(mesh.root).as_posix()


def _domain_how(env: Environment, standing: Standing, address: Address) -> Json:
    own = list(standing.own.get(address.domain, ()))
    made = next((standing.versions[t.name].record.get("made") for t in own if t.name in standing.versions), None) or {}
    return {
        "steps": [_step(env.mesh, table) for table in own],
        "commit": made.get("commit") or "",
        "link": code_link(env.mesh, made.get("commit") or "", f"domains/{address.domain}"),
        "packages": made.get("packages") or {},
        "automation": env.mesh.domains[address.domain].automation,
        "executor": env.mesh.domains[address.domain].executor,
        "dagster": f"/asset-groups?asset-selection=group%3A%22{address.domain}%22",
    }


Answer = Callable[[Environment, Standing, Address], Json]
OF_TABLE: Mapping[str, Answer] = {"where": _where, "when": _when, "with": _with, "how": _how}
OF_DOMAIN: Mapping[str, Answer] = {
    "what": _domain_what,
    "where": _domain_where,
    "when": _domain_when,
    "with": _domain_with,
    "how": _domain_how,
}
