"""A folder of domains to one Mesh."""

import gc
import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path

from mesh_assets.domain import Channel, LakeConfig, Mesh
from mesh_assets.errors import ConfigError, Place, Problem, UsageError, nearest
from mesh_assets.graph import order
from mesh_assets.reading import shape
from mesh_assets.reading.draft import DomainDraft, Draft
from mesh_assets.reading.folders import read_folders
from mesh_assets.reading.lineage import read as read_openlineage
from mesh_assets.reading.pipelines import read as read_pipelines
from mesh_assets.reading.source import Document, child, load, text, texts
from mesh_assets.reading.strays import instead
from mesh_assets.rules import RULES, WARNINGS

FILE = "mesh.yaml"
ASIDE = ("M860", "M861", "M862", "M880", "M881")
"""Problems of mesh.yaml with which everything else of the mesh can still be loaded."""
NOTHING: Mapping[str, DomainDraft] = {}
NO_MESH = "Go to the folder of a mesh, name it with `--mesh DIR`, or make one: `mesh init DIR`."


def find_mesh(start: Path) -> Path:
    """The folder of the nearest mesh.yaml, from `start` upwards.

    Raises:
        UsageError: There is none.
    """
    here = start.resolve()
    for folder in (here, *here.parents):
        if (folder / FILE).is_file():
            return folder
    what = f"no {FILE} in {here} or above"
    if near := instead(FILE, os.listdir(here)):
        raise UsageError(f"{what}\n    Rename {here / near}: its name must be `{FILE}`.")
    raise UsageError(f"{what}\n    {NO_MESH}")


def read_mesh(root: Path, *, tolerant: bool = False, known: Mapping[str, DomainDraft] = NOTHING) -> Mesh:
    """The mesh in a folder.

    Args:
        root: The folder of mesh.yaml.
        tolerant: Load what can be loaded; domains with problems are in `Mesh.broken`. A table that reads one of theirs
            stays, and so does that name in its `inputs`: the lake may still hold the last version.
        known: Domains that were read already, and whose files are the same here; from `Mesh.drafts`, by their folder's name.

    Raises:
        ConfigError: With every problem of every file; when `tolerant`, only if mesh.yaml itself cannot be read.
    """
    mesh, problems = examine(root, known)
    if mesh is None or (problems and not tolerant):
        raise ConfigError(problems=problems)
    return mesh


def examine(root: Path, known: Mapping[str, DomainDraft] = NOTHING) -> tuple[Mesh | None, tuple[Problem, ...]]:
    """The mesh in a folder as far as it can be loaded, and all problems of all files, in the order of files and lines.

    Args:
        root: The folder of mesh.yaml.
        known: See `read_mesh`.

    Returns:
        None for the mesh when mesh.yaml itself cannot be read.
    """
    with no_collection():
        return _examined(os.path.realpath(root), known)


def _examined(real: str, known: Mapping[str, DomainDraft]) -> tuple[Mesh | None, tuple[Problem, ...]]:
    if not os.path.exists(f"{real}/{FILE}"):
        return None, (Problem("M001", f"there is no {FILE} in this folder", Place(FILE), NO_MESH),)
    try:
        document = load(Path(real, FILE), FILE)
    except ConfigError as error:
        return None, error.problems
    problems = shape.ours("mesh").problems(document)
    draft = _read(real, problems, known)
    draft.pipelines, wrong = read_pipelines(document)
    problems += wrong
    problems += read_openlineage(document)[1]
    problems += _unknown_channels(document, draft)
    problems += _incomplete_channels(document)
    for rule in RULES:
        problems += rule(draft)
    found = ConfigError(problems=dict.fromkeys(problems)).problems
    for one in draft.domains:
        one.document = None  # the text, and a place for every word of it
    if any(problem.where.path == FILE and problem.code not in ASIDE for problem in found):
        return None, found
    return _mesh(document, draft, found), found


def problems_json(problems: Iterable[Problem], warnings: Iterable[Problem] = ()) -> dict[str, object]:
    """What `mesh check --json` prints."""
    return {"schema_version": 1, "problems": _listed(problems), "warnings": _listed(warnings)}


def _listed(problems: Iterable[Problem]) -> list[dict[str, object]]:
    return [
        {
            "code": problem.code,
            "path": problem.where.path,
            "line": problem.where.line,
            "column": problem.where.column,
            "what": problem.what,
            "mend": problem.mend,
        }
        for problem in problems
    ]


@contextmanager
def no_collection() -> Generator[None]:
    """For work that makes hundreds of thousands of small objects and no garbage: looking for it costs a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # count them as old, or the first collection would go through them all
            gc.freeze()
            gc.unfreeze()
        if was_on:
            gc.enable()


def _read(root: str, problems: list[Problem], known: Mapping[str, DomainDraft]) -> Draft:
    names = _folders(root, "domains", problems)
    read = {one.name: one for one in read_folders(root, [name for name in names if name not in known])}
    domains = [known.get(name) or read[name] for name in names]
    for one in domains:
        problems += one.problems
    projects = tuple(
        name
        for name in _folders(root, "dbt_projects", problems)
        if os.path.isfile(f"{root}/dbt_projects/{name}/dbt_project.yml")
    )
    return Draft(Path(root), domains, frozenset(one.name for one in domains if not one.readable), projects)


def _folders(root: str, name: str, problems: list[Problem]) -> list[str]:
    try:
        with os.scandir(f"{root}/{name}") as entries:
            return sorted(
                entry.name for entry in entries if entry.is_dir() and not entry.name.startswith((".", "__pycache__"))
            )
    except NotADirectoryError:
        problems.append(Problem("M001", "this is a file, not a folder", Place(name), f"Make a folder `{name}`."))
    except OSError:
        pass
    return []


def _mesh(document: Document, draft: Draft, problems: Iterable[Problem]) -> Mesh:
    broken = _broken(problems)
    tables = {name: table for name, table in draft.tables().items() if table.domain not in broken}
    sound = sorted((one for one in draft.domains if one.name not in broken and one.readable), key=lambda one: one.name)
    lake = child(document.root, "lake")
    return Mesh(
        name=text(document.root, "mesh"),
        root=draft.root,
        title=text(document.root, "title"),
        repository=text(document.root, "repository"),
        lake=LakeConfig(catalog=text(lake, "catalog"), data=text(lake, "data"), schema=text(lake, "schema", "mesh")),
        domains={one.name: one.domain for one in sound},
        tables={
            name: tables[name]
            for name in order({name: (*table.inputs, *table.references) for name, table in tables.items()})
        },
        broken=broken,
        secrets=dict(child(child(document.root, "kitchen"), "secrets")),
        mask=texts(child(document.root, "kitchen"), "mask"),
        pipelines={
            one.name: one
            for one in draft.all_pipelines()
            if one.name.partition("/")[0] not in broken and all(name in tables for name in one.delivers)
        },
        left_out=tuple(problem for problem in problems if problem.where.path == FILE),
        channels=_channels(document),
        notify=texts(child(document.root, "notifications"), "default"),
        warnings=ConfigError(problems=(found for rule in WARNINGS for found in rule(draft))).problems,
        openlineage=read_openlineage(document)[0],
        drafts=tuple(draft.domains),
    )


def _channels(document: Document) -> dict[str, Channel]:
    """How people can be told of incidents."""
    said = child(child(document.root, "notifications"), "channels")
    texts_ = ("url_env", "host", "sender", "user_env", "password_env", "to", "token_env", "api")
    return {
        name: Channel(
            name=name,
            kind=text(entry, "type"),
            port=number if isinstance(number := entry.get("port"), int) else 0,
            tls=text(entry, "tls", "starttls"),
            **{key: text(entry, key) for key in texts_},
        )
        for name in said
        if (entry := child(said, name))
    }


def _unknown_channels(document: Document, draft: Draft) -> list[Problem]:
    """Teams, and the mesh itself, name channels that mesh.yaml has."""
    told, known = child(document.root, "notifications"), _channels(document)
    where = document.place(told, "default") if "default" in told else document.place()
    named = [(name, where) for name in texts(told, "default")]
    named += [(name, one.domain.team.where) for one in draft.domains for name in one.domain.team.notify]
    mend = "Add it to `notifications: channels:` of mesh.yaml."
    return [
        Problem("M832", f"there is no channel `{name}`", place, nearest(name, known, otherwise=mend))
        for name, place in named
        if name not in known
    ]


def _incomplete_channels(document: Document) -> list[Problem]:
    """A channel of Slack says by what way it is reached, and holds no token itself."""
    said, found = child(child(document.root, "notifications"), "channels"), []
    for name, channel in _channels(document).items():
        entry = child(said, name)
        if channel.kind == "slack" and not channel.url_env and not (channel.token_env and channel.to):
            what = f"channel `{name}` has no address in Slack"
            mend = "Write `url_env:` of an incoming webhook, or `token_env:` of an app's token and `to:` a channel."
            found.append(Problem("M805", what, document.place(entry), mend))
        if channel.token_env.startswith("xox"):
            mend = "Put the token into an environment variable, and name that: `token_env: SLACK_TOKEN`."
            found.append(Problem("M805", "a token stands in this file", document.place(entry, "token_env"), mend))
    return found


def _broken(problems: Iterable[Problem]) -> Mapping[str, tuple[Problem, ...]]:
    """Problems by the domain in whose folder they stand."""
    broken: dict[str, list[Problem]] = {}
    for problem in problems:
        parts = problem.where.path.split("/")
        if len(parts) > 1 and parts[0] in ("domains", "dbt_projects"):
            broken.setdefault(parts[1], []).append(problem)
    return {name: tuple(found) for name, found in sorted(broken.items())}
