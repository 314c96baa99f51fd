"""Tools that change something, each by the one way that there is. None is offered unless mesh.yaml names it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mesh_assets import address as names
from mesh_assets.agent.tool import FLAG, TEXTS, Asked, Json, Parameter, Tool, Words
from mesh_assets.errors import UsageError

if TYPE_CHECKING:
    from mesh_assets.environment import Environment

LONGEST = 2_000


def run(asked: Asked, told: Words) -> Json:
    """`mesh run`, as a job."""
    return _begin(asked, "Run", ["run"], told["names"], ["--force"] if told["force"] else [])


def test(asked: Asked, told: Words) -> Json:
    """`mesh test`, as a job."""
    return _begin(asked, "Test", ["test"], told["names"], [])


def pause(asked: Asked, told: Words) -> Json:
    """`mesh pause`, or `mesh resume`."""
    from mesh_assets import catalog
    from mesh_assets.launches import Launches

    env = asked.environment()
    domain, launches = catalog.domain_named(env, told["domain"]), Launches(env.ledger.store)
    if told["paused"]:
        done = launches.pause(domain, asked.by, told["why"][:LONGEST])
        return {"schema_version": catalog.SCHEMA_VERSION, **catalog.pause_report(done)}
    return catalog.resume_domain(env, domain)


def _begin(asked: Asked, title: str, command: Sequence[str], chosen: Sequence[str], options: Sequence[str]) -> Json:
    from mesh_assets import catalog
    from mesh_assets.portal import jobs

    env = asked.environment()
    if not chosen:
        raise UsageError("`names` is empty\n    Name domains or tables.")
    catalog.named(env.mesh, chosen)
    title = f"{title}: {', '.join(chosen)}"
    job = jobs.start(env, title, [*command, *chosen, *options], about=_about(env, chosen), by=asked.by)
    found = jobs.find(env, job)
    return found.as_json() if found else {"schema_version": catalog.SCHEMA_VERSION, "id": job}


def _about(env: "Environment", chosen: Sequence[str]) -> str:
    """The page that lists the job."""
    return names.path(names.parse(env.mesh, chosen[0]), "what") if len(chosen) == 1 else "/mesh/status"


_NAMES = Parameter(
    name="names", kind=TEXTS, needed=True, default=(), help="Domains or tables: `domain`, `domain/table`."
)

TOOLS: tuple[Tool, ...] = (
    Tool(
        name="run",
        title="Build tables",
        help="Build what is due of these, with what they need; test it, and publish what passes. Answers at once with a job; "
        "`jobs` tells what came of it.",
        parameters=(
            _NAMES,
            Parameter(name="force", kind=FLAG, default=False, help="Build what is named although nothing has changed."),
        ),
        answer=run,
        writes=True,
        destructive=True,
        idempotent=False,
        open_world=True,
    ),
    Tool(
        name="test",
        title="Execute tests",
        help="Execute the tests of what is published of these, and keep the results. Answers at once with a job; `jobs` tells "
        "what came of it.",
        parameters=(_NAMES,),
        answer=test,
        writes=True,
        open_world=True,
    ),
    Tool(
        name="pause",
        title="Pause a domain, or go on",
        help="Build nothing of a domain until it goes on; its tables keep their last version. With `paused` false, go on.",
        parameters=(
            Parameter(name="domain", needed=True, help="Its name."),
            Parameter(name="paused", kind=FLAG, default=True, help="False: build it again."),
            Parameter(name="why", help="Shown to everybody who waits."),
        ),
        answer=pause,
        writes=True,
        destructive=True,
    ),
)
