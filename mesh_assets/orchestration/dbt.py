"""A dbt project as assets: built in a short-lived fork of the lake, audited, published in one commit."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import dagster as dg

from mesh_assets import build
from mesh_assets.audit.result import Result, Status
from mesh_assets.build import Candidate
from mesh_assets.contract import Kind, Severity, Test
from mesh_assets.domain import Mesh, Table
from mesh_assets.environment import Environment
from mesh_assets.errors import RunError
from mesh_assets.lake import Lake, Mode, Publication, Staged
from mesh_assets.orchestration import dbtwords, keys, tell
from mesh_assets.orchestration.dbtproject import DbtProject, DbtResult, DbtTest
from mesh_assets.orchestration.tables import (
    CLOSURE,
    OpenEnvironment,
    check_results,
    is_forced,
    spec,
    test_published,
    told_failures,
)
from mesh_assets.schemas.written import tests_of
from mesh_assets.step import Outcome, Step, begin, kept_if_it_fails, prepare

STATUS = {"pass": Status.PASS, "warn": Status.WARN, "fail": Status.FAIL}


def asset(
    mesh: Mesh, domain: str, models: Sequence[Table], open_environment: OpenEnvironment, home: Path
) -> dg.AssetsDefinition:
    """All tables of a dbt project as one op that can be subset; dbt's tests are checks beside the contract's.

    Raises:
        ConfigError: dbt cannot read the project.
    """
    project = DbtProject(mesh.root / "dbt_projects" / domain, home / "dbt" / domain)
    tests = named_tests(project.tests(), models)
    contracts = [found for table in models for found in tell.check_specs(keys.of(table.name), table.contract)]

    @dg.multi_asset(
        name=f"{domain}__dbt",
        specs=[spec(mesh, table) for table in models],
        check_specs=[*contracts, *(_check_spec(domain, name, test) for name, test in tests.items())],
        can_subset=True,
    )
    def op(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        with told_failures():
            yield from _run(context, open_environment(), models, project, tests)

    return op


def named_tests(tests: Sequence[DbtTest], models: Sequence[Table]) -> dict[tuple[str, str], DbtTest]:
    """Dbt's tests by model and check name; one that is named as a contract's test is called `dbt_…`."""
    by_model = {table.short: table for table in models}
    found = {}
    for test in tests:
        table = by_model.get(test.model)
        if table is None:
            continue
        taken = {item.name for item in tests_of(table.contract)}
        found[test.model, f"dbt_{test.name}" if test.name in taken else test.name] = test
    return found


def _check_spec(domain: str, name: tuple[str, str], test: DbtTest) -> dg.AssetCheckSpec:
    blocking = test.severity == "error"
    key = dg.AssetKey([domain, name[0]])
    return dg.AssetCheckSpec(
        name[1], asset=key, description=test.description or "A test of the dbt project.", blocking=blocking
    )


def _run(
    context: dg.AssetExecutionContext,
    env: Environment,
    models: Sequence[Table],
    project: DbtProject,
    tests: Mapping[tuple[str, str], DbtTest],
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    op = context.op_execution_context
    wanted = set(op.selected_asset_check_keys)
    chosen = [table for table in models if keys.of(table.name) in op.selected_asset_keys]
    if not chosen:
        for table in models:
            names = {key.name for key in wanted if key.asset_key == keys.of(table.name)}
            if names:
                yield from test_published(env, table, names, context.run.run_id)
        return
    outcomes = build_project(
        env,
        chosen,
        project,
        tests,
        run=context.run.run_id,
        closure=CLOSURE in context.run.tags,
        retry=context.run.tags.get(CLOSURE) == "retry",
        full=any(is_forced(context.run, table.name) for table in chosen),
    )
    yield from _tell(context, env, chosen, outcomes, wanted)


def _tell(
    context: dg.AssetExecutionContext,
    env: Environment,
    chosen: Sequence[Table],
    outcomes: Mapping[str, Outcome],
    wanted: set[dg.AssetCheckKey],
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    for table in chosen:
        names = {key.name for key in wanted if key.asset_key == keys.of(table.name)}
        yield from check_results(env, table, outcomes[table.name], names)
    for table in chosen:
        outcome = outcomes[table.name]
        if outcome.status in ("published", "unchanged"):
            yield dg.MaterializeResult(
                asset_key=keys.of(table.name),
                data_version=dg.DataVersion(outcome.fingerprint),
                metadata=tell.outcome_metadata(table, outcome, env.lake.folder(table.name).as_uri())
                | tell.column_lineage(env, table, outcome.columns),
            )
        elif outcome.status == "skipped":
            context.log.warning("%s: %s", table.name, outcome.message)
    if held := [outcome for outcome in outcomes.values() if outcome.status == "held"]:
        raise dg.Failure("\n".join(outcome.message for outcome in held), allow_retries=False)


def build_project(
    env: Environment,
    chosen: Sequence[Table],
    project: DbtProject,
    tests: Mapping[tuple[str, str], DbtTest],
    *,
    run: str,
    closure: bool = False,
    retry: bool = False,
    full: bool = False,
) -> dict[str, Outcome]:
    """Build the chosen models in a fork, and publish them together if all their tests allow.

    Raises:
        RunError: dbt could not build them; nothing was published.
    """
    names = [table.name for table in chosen]
    with env.ledger.lease(names, run, wait=build.LEASE_WAIT), env.lake.session() as con:
        step = begin(env, run, con, closure=closure, retry=retry, full=full)
        outcomes, prepared = _prepare(step, chosen)
        if prepared:
            outcomes |= _build(step, project, tests, prepared)
    return {name: outcomes[name] for name in names}


def _prepare(step: Step, chosen: Sequence[Table]) -> tuple[dict[str, Outcome], dict[str, Candidate]]:
    """What is left to build, upstream first; a model whose own upstream is not ready is not ready either."""
    outcomes: dict[str, Outcome] = {}
    prepared: dict[str, Candidate] = {}
    for table in chosen:
        together = frozenset(prepared) & frozenset(table.inputs)
        ready = prepare(step, table, together=together)
        if isinstance(ready, Outcome):
            outcomes[table.name] = ready
        else:
            readings, tried = ready
            prepared[table.name] = Candidate(table=table, readings=readings, tried=tried)
    return outcomes, prepared


def _build(
    step: Step, project: DbtProject, tests: Mapping[tuple[str, str], DbtTest], prepared: Mapping[str, Candidate]
) -> dict[str, Outcome]:
    folder = step.env.home / "forks" / f"{step.run}-{project.folder.name}"
    shutil.rmtree(folder, ignore_errors=True)
    fork = step.env.lake.fork(folder, _versions(step, prepared))
    try:
        with kept_if_it_fails(step, [(each.table, each.tried) for each in prepared.values()]):
            said = project.build(fork, [each.table.short for each in prepared.values()], folder / "target")
            _refuse_broken(said, project)
            own = {
                key.rpartition(".")[2]: item.own for key, item in said.items() if key.startswith(("model.", "seed."))
            }
            staged = [
                replace(each, own=own.get(each.table.short, {}))
                for each in _harvest(step, fork, prepared, _results(said, tests))
            ]
            return {outcome.table: outcome for outcome in build.conclude(step, staged)}
    finally:
        fork.remove()


def _versions(step: Step, prepared: Mapping[str, Candidate]) -> dict[str, int]:
    """What the fork holds: declared inputs as they were admitted, and the models' own last versions."""
    read = {item.table: item.version for each in prepared.values() for item in each.readings.values()}
    own = {name: step.seen[name].version for name in prepared if name in step.seen and not step.full}
    return {name: version for name, version in {**read, **own}.items() if version is not None}


def _refuse_broken(said: Mapping[str, DbtResult], project: DbtProject) -> None:
    broken = [item for item in said.values() if item.status == "error" and item.id.startswith(("model.", "seed."))]
    if broken:
        told = [dbtwords.at_fault(project.folder, item.message) for item in broken]
        lines = "\n".join(f"{where}: {words}" for where, words in told)
        raise RunError(f"{lines}\n    Nothing of {project.folder.name} is published.")


def _harvest(
    step: Step, fork: Lake, prepared: Mapping[str, Candidate], results: Mapping[str, tuple[Result, ...]]
) -> list[Candidate]:
    """The fork's new files as candidates; a model that dbt skipped, or left as it was, has none."""
    found = []
    with fork.session() as con:
        present = set(fork.tables())
        for name, each in prepared.items():
            columns = each.table.contract.columns if each.table.contract else ()
            made = fork.harvest(con, name, columns=columns) if name in present else None
            base = step.seen[name].version if name in step.seen else None
            publication = _publication(*made, base) if made else None
            found.append(replace(each, publication=publication, results=results.get(each.table.short, ())))
    return found


def _publication(staged: Staged, mode: Mode, base: int | None) -> Publication:
    return Publication(staged=staged, record={}, mode=mode, base=base)


def _results(said: Mapping[str, DbtResult], tests: Mapping[tuple[str, str], DbtTest]) -> dict[str, tuple[Result, ...]]:
    found: dict[str, list[Result]] = {}
    for (model, name), test in tests.items():
        item = said.get(test.id)
        if item is None or item.status == "skipped":
            continue
        severity = Severity.ERROR if test.severity == "error" else Severity.WARNING
        columns = (test.column,) if test.column else ()
        mine = Test(name=name, kind=Kind.SQL, columns=columns, severity=severity, description=test.description)
        status = STATUS.get(item.status, Status.ERROR)
        found.setdefault(model, []).append(
            Result(test=mine, status=status, failing_rows=item.failures, query=item.sql, message=item.message)
        )
    return {model: tuple(results) for model, results in found.items()}
