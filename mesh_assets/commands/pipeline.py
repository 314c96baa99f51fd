"""`mesh pipeline`, `mesh pause` and `mesh resume`: chains of steps over domains, and domains that rest for a while."""

from typing import Annotated

import typer

from mesh_assets.commands.common import AsJson, Commands, MeshDir, ended_runs, environment, note, print_json

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Horizontal pipelines: launch one, see where its time goes, cancel it.",
)
Name = Annotated[str, typer.Argument(metavar="PIPELINE", help="As under `pipelines:` in mesh.yaml.")]
Domain = Annotated[str, typer.Argument(metavar="DOMAIN", help="Its name.")]


@app.command("list", epilog="Example: `mesh pipeline list --json`")
def list_(mesh: MeshDir = None, *, as_json: AsJson = False) -> None:
    """Every horizontal pipeline, and how its last launch stands."""
    from mesh_assets import catalog, console

    env, _ = environment(mesh)
    reports = catalog.pipelines_report(env)
    if as_json:
        print_json({"schema_version": catalog.SCHEMA_VERSION, "pipelines": reports})
    else:
        console.pipelines_table(reports)


@app.command(
    epilog="Examples: `mesh pipeline show launch_dashboard`, `mesh pipeline show launch_dashboard --launch 3f2a`"
)
def show(
    name: Name,
    mesh: MeshDir = None,
    *,
    launch: Annotated[str, typer.Option("--launch", metavar="ID", help="Default: the last one.")] = "",
    as_json: AsJson = False,
) -> None:
    """One launch: what ran, what it waited for and how long, and the path that decided when it was there. In seconds."""
    from mesh_assets import catalog, console

    env, _ = environment(mesh)
    report = catalog.pipeline_report(env, catalog.pipeline_named(env, name), launch)
    if as_json:
        print_json(report)
    else:
        console.pipeline_table(report)


@app.command(epilog="Example: `mesh pipeline launch launch_dashboard`")
def launch(name: Name, mesh: MeshDir = None, *, as_json: AsJson = False) -> None:
    """Ask for it; Dagster's daemon builds what it needs, in whatever code locations that is.

    `mesh run --pipeline` builds it here and now instead.
    """
    from mesh_assets import catalog
    from mesh_assets.launches import Launches

    env, _ = environment(mesh)
    pipeline = catalog.pipeline_named(env, name)
    made = Launches(env.ledger.store).start(pipeline.name, env.lake.author)
    catalog.settle(env)
    report = catalog.pipeline_report(env, pipeline, made.id)
    if as_json:
        print_json(report)
    else:
        note(f"launch {made.id[:8]} of {pipeline.name}: {report['state']}; mesh pipeline show {pipeline.name}")


@app.command(epilog="Example: `mesh pipeline cancel launch_dashboard`")
def cancel(name: Name, mesh: MeshDir = None, *, as_json: AsJson = False) -> None:
    """Ask no longer for what it needs, and end the runs that are at work for it. What was published stays."""
    from mesh_assets import cancelling, catalog

    env, _ = environment(mesh)
    report = cancelling.cancel_pipeline(env, catalog.pipeline_named(env, name))
    if as_json:
        print_json(report)
    else:
        note(f"launch {report['launch']['id'][:8]} of {name} is cancelled; what was published stays")
        ended_runs(report)


def pause(
    domain: Domain,
    mesh: MeshDir = None,
    *,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Shown to everybody who waits.")] = "",
    as_json: AsJson = False,
) -> None:
    """Build nothing of a domain until `mesh resume`. Its tables keep their last version, and so do those who read them."""
    from mesh_assets import catalog
    from mesh_assets.launches import Launches

    env, _ = environment(mesh)
    done = Launches(env.ledger.store).pause(catalog.domain_named(env, domain), env.lake.author, why)
    if as_json:
        print_json({"schema_version": catalog.SCHEMA_VERSION, **catalog.pause_report(done)})
    else:
        note(f"{domain} is paused since {done.at[:16]}; go on: mesh resume {domain}")


def resume(domain: Domain, mesh: MeshDir = None, *, as_json: AsJson = False) -> None:
    """Build a paused domain again: what has become due meanwhile is built once."""
    from mesh_assets import catalog

    env, _ = environment(mesh)
    done = catalog.resume_domain(env, catalog.domain_named(env, domain))
    if as_json:
        print_json(done)
    elif outer := done["paused_with"]:
        note(f"{domain} is paused with {outer}: mesh resume {outer}")
    else:
        note(f"{domain} is built again" if done["was_paused"] else f"{domain} was not paused")
