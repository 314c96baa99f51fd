"""What is said of a version that a reader does not admit: which rules failed, by how much, and what the reader goes on with."""

from collections.abc import Mapping
from typing import Any

from mesh_assets.audit.words import is_failure
from mesh_assets.domain import InputPort, OnFailure, Table
from mesh_assets.environment import Environment
from mesh_assets.ledger import Admission, Version


def sentence(reader: str, verdict: Admission) -> str:
    """Who does not admit which version of what, and by which rules."""
    failing = ", ".join(_finding(item) for item in verdict.results if is_failure(item))
    spelt = verdict.table.replace(".", "/", 1)
    return f"{reader} does not admit version {verdict.version} of {spelt}: {failing}"


def mend(reader: str, port: InputPort) -> str:
    """What can be done where the reader stops."""
    spelt = port.table.replace(".", "/", 1)
    return f"{reader} keeps its own last version. Mend {spelt}, or loosen {port.where.path}."


def of_table(env: Environment, table: Table, versions: Mapping[str, Version]) -> str:
    """Of every input whose version on offer the table's domain has judged and does not admit; empty when there is none."""
    said = []
    for name in table.inputs:
        port, offered = env.mesh.port(table.domain, name), versions.get(name)
        if port is None or port.contract is None or offered is None:
            continue
        verdict = env.ledger.judged(table.domain, name, offered.version, port.contract.hash)
        if verdict is not None and not verdict.admitted:
            said.append(f"{sentence(table.domain, verdict)}{_consequence(env, port, table.domain, verdict)}")
    return "\n".join(said)


def taken(env: Environment, table: Table, version: Version | None) -> str:
    """Of every input whose version the table was made from although its domain does not admit it; empty when there is none."""
    said = []
    for name, item in ((version.record.get("inputs") or {}) if version else {}).items():
        port, read = env.mesh.port(table.domain, name), item["version"]
        if read is None or port is None or port.contract is None or port.on_failure is not OnFailure.WARN:
            continue
        verdict = env.ledger.judged(table.domain, name, read, port.contract.hash)
        if verdict is not None and not verdict.admitted:
            said.append(f"{sentence(table.domain, verdict)}{_consequence(env, port, table.domain, verdict)}")
    return "; ".join(said)


def _consequence(env: Environment, port: InputPort, reader: str, verdict: Admission) -> str:
    if port.on_failure is OnFailure.WARN:
        return "; it is taken all the same"
    if port.on_failure is OnFailure.HOLD:
        earlier = env.ledger.last_admitted(reader, port.table, verdict.version)
        if earlier is not None:
            return f"; {reader} goes on with version {earlier}"
    return f"\n    {mend(reader, port)}"


def _finding(item: Mapping[str, Any]) -> str:
    if item["status"] == "error":
        return str(item.get("message") or f"{item['name']} could not be executed")
    count = f"{item['failing_rows']} of {item['total_rows']} rows"
    return f"{item['name']} failed ({(item.get('message') or count).rstrip('.')})"
