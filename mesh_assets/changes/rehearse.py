"""A reader's own code and tests, run on a producer's candidate before anybody can see it. Nothing is published."""

import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mesh_assets import modules, programs, python
from mesh_assets.audit.execute import audit
from mesh_assets.audit.result import Result
from mesh_assets.audit.words import is_failure, result_json
from mesh_assets.changes.texts import CTE, text_of
from mesh_assets.domain import Mesh, OnFailure, Table, Toolchain
from mesh_assets.environment import Environment
from mesh_assets.handover import Handover
from mesh_assets.lake import Publication
from mesh_assets.partitions import as_variables

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What a reader's tests said.

    Attributes:
        ran: Its code could be run here; else `why` says why not.
        failed: Tests that failed now and do not fail on what is published.
    """

    table: str
    ran: bool
    passed: int = 0
    failed: tuple[Mapping[str, Any], ...] = ()
    why: str = ""


def rehearse(
    env: Environment,
    mesh: Mesh,
    tables: Sequence[str],
    candidates: Mapping[str, str],
    look: Callable[[str, str], None] | None = None,
    *,
    new: Collection[str] = (),
    instead: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Rehearsed]:
    """Run these tables on candidates, upstream before downstream; what one gives, the next reads.

    Args:
        mesh: The readers' code.
        tables: In the order in which they are built.
        candidates: SQL that can stand after FROM, by table; what is not among them is read as it is published.
        look: Given each table that could be built, and SQL that reads what it gives, while that is there.
        new: Tables of these that are other ones than before: whatever fails in them fails now, and what reads one that could not be made
            is not run, for its rows would be those of before.
        instead: What is read of one of these whose code cannot be run here, as in `candidates`.
    """
    with tempfile.TemporaryDirectory(prefix=".rehearsal.", dir=env.home) as folder:
        stage, beside = _Stage(env, mesh, Path(folder, "now")), _Stage(env, mesh, Path(folder, "before"))
        now, found = dict(candidates), {}
        lost: dict[str, str] = {}
        for name in tables:
            table = mesh.tables[name]
            if without := next((lost[one] for one in table.inputs if one in lost), ""):
                lost[name] = without
                found[name] = Rehearsed(table=name, ran=False, why=without)
                continue
            tried = stage.run(table, now)
            if tried.failing and name not in new:
                # What fails on the published rows as well does not fail for this change.
                before = {str(item["name"]) for item in beside.run(table, {}).failing}
                tried = replace(tried, failing=tuple(i for i in tried.failing if str(i["name"]) not in before))
            if tried.relation and look is not None:
                look(name, tried.relation)
            found[name] = Rehearsed(table=name, ran=tried.ran, passed=tried.passed, failed=tried.failing, why=tried.why)
            if tried.relation and not tried.failing:
                now[name] = tried.relation
            elif name in instead and not tried.ran:
                now[name] = instead[name]
            elif name in new:
                lost[name] = f"{name.replace('.', '/', 1)} {'fails' if tried.ran else 'cannot be run here'}"
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    ran: bool
    passed: int = 0
    failing: tuple[Mapping[str, Any], ...] = ()
    relation: str = ""
    why: str = ""


@dataclass
class _Stage:
    env: Environment
    mesh: Mesh
    folder: Path

    def run(self, table: Table, candidates: Mapping[str, str]) -> _Tried:
        seen = self.env.seen()
        missing = [name for name in table.inputs if name not in candidates and name not in seen]
        if missing:
            return _Tried(ran=False, why=f"{', '.join(missing)} was never published")
        try:
            make = self._make(table)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the domain's own module raises at import
            return _Tried(ran=False, why=f"its code cannot be imported here: {error}")
        if make is None:
            return _Tried(ran=False, why="its code can be run in Dagster only")

        def relation(name: str) -> str | None:
            if name in candidates:
                return candidates[name]
            return self.env.lake.relation(name, seen[name].version) if name in seen else None

        with self.env.lake.session() as con:
            results = self._ports(con, table, candidates, relation)
            if any(is_failure(item) for item in results):
                return _summed(results)
            for name in (*table.inputs, *table.references):
                if sql := relation(name):
                    _show(con, name, sql)
            _show_this(con, table, relation(table.name))
            return self._built(con, table, make, results, relation)

    def _built(
        self,
        con: "duckdb.DuckDBPyConnection",
        table: Table,
        make: Callable[["duckdb.DuckDBPyConnection"], str],
        results: list[Mapping[str, Any]],
        relation: Callable[[str], str | None],
    ) -> _Tried:
        contract = table.contract
        place = self.folder / table.name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        try:
            staged = self.env.lake.stage(
                con, table.name, make(con), columns=contract.columns if contract else (), folder=place
            )
        except Exception as error:  # noqa: BLE001 - a reader's code raises what it likes: that is what is asked
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            failing = {"name": "it_runs", "status": "error", "failing_rows": 0, "message": said, "sample": []}
            return _summed([*results, failing])
        candidate = self.env.lake.candidate(Publication(staged=staged, record={}))
        found: Sequence[Result] = ()
        if contract is not None:
            found = audit(
                con,
                candidate,
                contract,
                related=lambda name: candidate if name == table.name else relation(name),
                lost=staged.lost,
                lost_sample=staged.lost_sample,
            )
        return replace(_summed([*results, *(result_json(one, table.name) for one in found)]), relation=candidate)

    def _ports(
        self,
        con: "duckdb.DuckDBPyConnection",
        table: Table,
        candidates: Mapping[str, str],
        relation: Callable[[str], str | None],
    ) -> list[Mapping[str, Any]]:
        """What the domain's own contracts say of the candidates that it reads."""
        found: list[Mapping[str, Any]] = []
        for name in table.inputs:
            port = self.mesh.port(table.domain, name)
            if name not in candidates or port is None or port.contract is None or port.on_failure is OnFailure.WARN:
                continue
            results = audit(con, candidates[name], port.contract, related=relation)
            spelt = f"{table.domain}/in/{name.replace('.', '__', 1)}"
            found += [{**result_json(one, name), "table": spelt} for one in results]
        return found

    def _make(self, table: Table) -> Callable[["duckdb.DuckDBPyConnection"], str] | None:
        if table.toolchain is Toolchain.PYTHON:
            module = modules.load(table.domain, self.mesh.domains[table.domain].path)
            item = python.function_of(module, table.short, table.inputs) if module else None
            if item is None:
                return None

            def called(con: "duckdb.DuckDBPyConnection") -> str:
                con.execute(as_variables(table.partitions, None))
                return python.call(item, con, table.domain)

            return called
        if table.program is not None:
            handover, folder = Handover(self.folder / "steps" / table.name, table), self.mesh.domains[table.domain].path
            return lambda con: programs.build(con, handover, folder)
        text = text_of(self.mesh, table)
        if text is None:
            return None

        def sql(con: "duckdb.DuckDBPyConnection") -> str:
            con.execute(as_variables(table.partitions, None))
            if text.parts:
                con.execute(f'CREATE SCHEMA IF NOT EXISTS "{CTE}"')
            for name, part in text.parts.items():
                con.execute(f'CREATE OR REPLACE VIEW "{CTE}"."{name}" AS {part.sql}')
            return text.sql

        return sql


def _show(con: "duckdb.DuckDBPyConnection", name: str, relation: str) -> None:
    domain, _, short = name.partition(".")
    con.execute(f'CREATE SCHEMA IF NOT EXISTS "{domain}"')
    con.execute(f'CREATE OR REPLACE VIEW "{domain}"."{short}" AS FROM {relation}')


def _show_this(con: "duckdb.DuckDBPyConnection", table: Table, relation: str | None) -> None:
    """A table that adds to itself is rehearsed as if for the first time: over no rows of its own."""
    con.execute("DROP VIEW IF EXISTS this")
    if relation is not None:
        con.execute(f"CREATE VIEW this AS FROM {relation} LIMIT 0")
    elif table.contract and table.contract.columns:
        empty = ", ".join(f'NULL::{column.type} AS "{column.name}"' for column in table.contract.columns)
        con.execute(f"CREATE VIEW this AS SELECT {empty} WHERE false")


def _summed(results: Sequence[Mapping[str, Any]]) -> _Tried:
    failing = tuple(item for item in results if is_failure(item))
    return _Tried(ran=True, passed=len(results) - len(failing), failing=failing)
