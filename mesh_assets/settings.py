"""Every environment variable that the mesh reads, read once."""

import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """`MESH_HOME`, `MESH_DIR` and the lake's address, for one process.

    Attributes:
        home: Folder of everything the mesh keeps (lake, ledger, Dagster's instance); default `.mesh` beside `mesh.yaml`.
        dir: The mesh to work on; default: the nearest `mesh.yaml` upwards.
        lake_catalog: Overrides `lake.catalog` of `mesh.yaml`.
        lake_data: Overrides `lake.data` of `mesh.yaml`.
        lake_schema: Overrides `lake.schema` of `mesh.yaml`.
        kitchen_catalog: On PostgreSQL, how kitchens connect: production's database, as a role that has no right to production.
        kitchen: Every command works in this kitchen, as with `--kitchen`.
        author: Written into commits of the lake.
        lease_seconds: A running step that has not been heard of for so long is taken for dead (other hosts only).
        portal_url: Where the portal is for everybody, for `mesh url` and in what is exported; default: `http://127.0.0.1:3000`.
        portal_hosts: Host names that the portal answers to, with commas between them; default: this machine's own when it
            listens there, else any.
        portal_listens: Where the web server listens that the portal is in; `mesh dev` sets it.
        portal_prefix: Before `/mesh` in links from Dagster's pages; the web server sets it to its `--path-prefix`.
        portal_commit: What is saved in the portal is committed to git, and nothing else with it.
        portal_branch: On which branch; default: the one that is checked out. It is made when it is not there.
        user_header: Header in which your proxy says who asks; without it nobody has a name in the portal.
        groups_header: Header in which it says their groups, with commas between them; then only the owner of a domain and
            who is in the group of its team's name answer requests for access.
    """

    model_config = SettingsConfigDict(env_prefix="MESH_", frozen=True, extra="ignore")

    home: Path | None = None
    dir: Path | None = None
    lake_catalog: str = ""
    lake_data: str = ""
    lake_schema: str = ""
    kitchen_catalog: str = ""
    kitchen: str = ""
    author: str = "mesh"
    lease_seconds: float = 60.0
    portal_url: str = ""
    portal_hosts: str = ""
    portal_listens: str = ""
    portal_prefix: str = ""
    portal_commit: bool = False
    portal_branch: str = ""
    user_header: str = ""
    groups_header: str = ""


def set_variables(variables: Mapping[str, str], *, without: Iterable[str] = ()) -> None:
    """Set environment variables for this process and those that it starts, and take others away."""
    for name in without:
        os.environ.pop(name, None)
    os.environ.update(variables)


@contextmanager
def with_variables(variables: Mapping[str, str], *, without: Iterable[str] = ()) -> Generator[None]:
    """The same, until the end of the block."""
    names = {*variables, *without}
    before = {name: os.environ[name] for name in names if name in os.environ}
    set_variables(variables, without=without)
    try:
        yield
    finally:
        set_variables(before, without=names - before.keys())


def given(names: Iterable[str]) -> dict[str, str]:
    """Those of these environment variables that are set; a name that ends in `*` stands for all that begin so."""
    wanted = tuple(names)
    fixed, starts = set(wanted), tuple(name[:-1] for name in wanted if name.endswith("*"))
    return {name: value for name, value in os.environ.items() if name in fixed or (starts and name.startswith(starts))}


def variable(name: str) -> str | None:
    """One environment variable that a kitchen's mapping names."""
    return os.environ.get(name)
