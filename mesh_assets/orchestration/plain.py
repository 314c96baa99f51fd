"""A team's ordinary `@dg.asset` functions, given the keys, group and contract of their domain."""

from collections.abc import Iterable
from types import ModuleType

import dagster as dg

from mesh_assets import modules
from mesh_assets.domain import Mesh
from mesh_assets.errors import ConfigError, Problem
from mesh_assets.orchestration import keys
from mesh_assets.orchestration.tables import OpenEnvironment, spec


def assets(mesh: Mesh, domain: str, module: ModuleType, open_environment: OpenEnvironment) -> list[dg.AssetsDefinition]:
    """The module's assets, renamed to `domain/name`; what they read goes through the domain's input ports."""
    found = [item for item in dg.load_assets_from_modules([module]) if isinstance(item, dg.AssetsDefinition)]
    hook = _failure_hook(domain, open_environment)
    return [_placed(mesh, domain, item, hook) for item in found]


def _failure_hook(domain: str, open_environment: OpenEnvironment) -> dg.HookDefinition:
    """Keep that a team's function raised, so that the same code on the same inputs is not tried for ever."""

    @dg.failure_hook(name=f"{domain}__failed")
    def hook(context: dg.HookContext) -> None:
        from mesh_assets.step import failed

        env = open_environment()
        error = context.op_exception
        if error is not None and not isinstance(error, Exception | SystemExit):
            return  # it was interrupted, and is due as before
        step = context._step_execution_context  # noqa: SLF001 - the context does not name the step's assets
        for name in keys.made_by(step.job_def, step.node_handle):
            table = env.mesh.tables[name]
            own = modules.said(error, env.mesh.domains[domain].path, env.mesh.root) if error else ""
            message = own or (f"{type(error).__name__}: {error}" if error else "its step failed")
            failed(env, table, run=context.run_id, message=message)

    return hook


def _placed(mesh: Mesh, domain: str, item: dg.AssetsDefinition, hook: dg.HookDefinition) -> dg.AssetsDefinition:
    own = {key: dg.AssetKey([domain, *key.path]) for key in item.keys if len(key.path) == 1}
    read = {key for some in item.specs for dep in some.deps for key in [dep.asset_key]} - set(item.keys)
    replaced = own | {key: _source(mesh, domain, key) for key in read}
    placed = item.with_attributes(asset_key_replacements=replaced, hook_defs={hook})
    _known(mesh, placed.keys, domain)
    return placed.map_asset_specs(lambda old: _described(mesh, old))


def _source(mesh: Mesh, domain: str, key: dg.AssetKey) -> dg.AssetKey:
    table = f"{domain}.{key.path[0]}" if len(key.path) == 1 else keys.table(key)
    return keys.upstream(mesh, domain, table)


def _described(mesh: Mesh, old: dg.AssetSpec) -> dg.AssetSpec:
    table = mesh.tables[keys.table(old.key)]
    ours = spec(mesh, table)
    first = [keys.of(name) for name in table.references]
    return old.replace_attributes(
        deps=[*old.deps, *first],
        group_name=ours.group_name,
        description="\n\n".join(filter(None, (ours.description, old.description))),
        code_version=ours.code_version,
        owners=ours.owners,
        kinds={*old.kinds, *ours.kinds},
        tags={**ours.tags, **{name: tag for name, tag in old.tags.items() if not name.startswith("dagster/kind/")}},
        metadata={**ours.metadata, **old.metadata},
        freshness_policy=old.freshness_policy or ours.freshness_policy,
    )


def _known(mesh: Mesh, found: Iterable[dg.AssetKey], domain: str) -> None:
    strange = sorted(keys.table(key) for key in found if keys.table(key) not in mesh.tables)
    if strange:
        where = mesh.domains[domain].where
        mend = "Write its decorator as `@dg.asset` in assets.py, with its name as a plain text."
        problems = [
            Problem("M306", f"asset `{name}` cannot be read from the file alone", where, mend) for name in strange
        ]
        raise ConfigError(problems=problems)
