"""What a reader gets: the version of every input that it admits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh_assets import history, refusals, synthetic
from mesh_assets.audit.words import result_json
from mesh_assets.domain import InputPort, OnFailure
from mesh_assets.environment import Environment
from mesh_assets.errors import RunError
from mesh_assets.ledger import Admission
from mesh_assets.order import Seen
from mesh_assets.schemas.attached import audit

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One input as a step reads it.

    Attributes:
        version: What is read; None for a table that the same step builds.
        newest: What the pin offers.
    """

    table: str
    version: int | None
    fingerprint: str
    newest: int | None

    @property
    def held(self) -> bool:
        """Whether the reader stays with an older version than the one on offer."""
        return self.version != self.newest


class NotAdmittedError(RunError):
    """The reader does not admit an input's version, and has nothing to go on with."""

    exit_code = 1


def read(
    env: Environment, reader: str, table: str, seen: Mapping[str, Seen], run: str, con: "duckdb.DuckDBPyConnection"
) -> Reading:
    """The version of one input that a reader gets in this run; its own admission rule decides.

    Raises:
        RunError: The input was never published.
        NotAdmittedError: `on_failure: stop`, or `hold` without an earlier version to hold on to.
    """
    newest = seen.get(table)
    if newest is None:
        raise RunError(f"{spelt(table)} was never published\n    Build it first: mesh run {spelt(table)}")
    port = env.mesh.port(reader, table)
    chosen, fingerprint = newest.version, newest.fingerprint
    if port is not None and port.contract is not None:
        chosen = choose(env, port, reader, judge(env, port, reader, newest.version, seen, run, con))
    if chosen != newest.version:
        fingerprint = env.ledger.fingerprint(table, chosen)
    return Reading(table=table, version=chosen, fingerprint=fingerprint, newest=newest.version)


def judge(
    env: Environment,
    port: InputPort,
    reader: str,
    version: int,
    seen: Mapping[str, Seen],
    run: str,
    con: "duckdb.DuckDBPyConnection",
) -> Admission:
    """The reader's verdict on a version of an input: its own contract, executed once per version.

    Idempotent, keyed by (reader, port, version, contract): the port's asset and the reader's own step may both ask.
    """
    contract = port.contract
    if contract is None:
        return Admission(reader=reader, table=port.table, version=version, contract="", admitted=True, run=run)
    if known := env.ledger.judged(reader, port.table, version, contract.hash):
        return known
    known = env.known(
        con, (port.table, version), contract, lambda name: (name, seen[name].version) if name in seen else None
    )
    found = audit(
        con,
        env.lake.relation(port.table, version),
        contract,
        related=relations(env, seen),
        past=history.of(env, port.table, con, before=version),
        known=known,
    )
    results = synthetic.comparable(env, port.table, found, reader=reader)
    verdict = Admission(
        reader=reader,
        table=port.table,
        version=version,
        contract=contract.hash,
        admitted=not any(result.stops for result in results),
        results=[result_json(result, port.table) for result in results],
        run=run,
    )
    env.ledger.judge(verdict)
    return verdict


def choose(env: Environment, port: InputPort, reader: str, verdict: Admission) -> int:
    """The version that the reader goes on with.

    Raises:
        NotAdmittedError: It stops, or has never admitted a version that it could hold on to.
    """
    if verdict.admitted or port.on_failure is OnFailure.WARN:
        return verdict.version
    said = refusals.sentence(reader, verdict)
    if port.on_failure is OnFailure.STOP:
        raise NotAdmittedError(f"{said}\n    {refusals.mend(reader, port)}")
    earlier = env.ledger.last_admitted(reader, port.table, verdict.version)
    if earlier is None:
        mend = f"There is no earlier version to hold on to. Mend {spelt(port.table)}."
        raise NotAdmittedError(f"{said}\n    {mend}")
    return earlier


def relations(
    env: Environment, seen: Mapping[str, Seen], readings: Mapping[str, Reading] | None = None
) -> Callable[[str], str | None]:
    """SQL for other tables that a test refers to, at the versions of this step."""

    def relation(name: str) -> str | None:
        reading = (readings or {}).get(name)
        if reading is not None and reading.version is not None:
            return env.lake.relation(name, reading.version)
        return env.lake.relation(name, seen[name].version) if name in seen else None

    return relation


def spelt(table: str) -> str:
    """`domain/table`, as people and Dagster spell it."""
    return table.replace(".", "/", 1)
