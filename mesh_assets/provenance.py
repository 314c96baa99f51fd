"""What a version was made with: the commit of the code, the packages. Kept in its record, so that it can be made again."""

import platform
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from mesh_assets.domain import Mesh, Table

PACKAGES = ("mesh-assets", "duckdb", "dagster", "dbt-core", "dbt-duckdb", "polars", "pandas", "pyarrow")


def of(mesh: Mesh, table: Table) -> dict[str, Any]:
    """Commit and packages that build a table now.

    Returns:
        `commit`: empty without git. `changed`: the domain's files are not as that commit has them. `packages`: by name.
        `configuration`: how the table is loaded and started.
    """
    head = commit(mesh.root)
    return {
        "commit": head,
        "changed": bool(head) and changed(mesh.root, table.domain),
        "packages": dict(packages()),
        "configuration": configuration(mesh, table),
    }


def configuration(mesh: Mesh, table: Table) -> dict[str, Any]:
    """How a table is loaded and started, as its domain says."""
    parts = table.partitions
    return {
        "load": str(table.load),
        "key": list(table.key),
        "partitions": f"{parts.every} by {parts.by}, from {parts.start}" if parts else "",
        "automation": table.automation,
        "executor": mesh.domains[table.domain].executor,
    }


@cache
def commit(root: Path) -> str:
    """The commit that is checked out in a folder, empty when there is none; asked once per process."""
    return _git(root, "rev-parse", "HEAD").strip()


@cache
def committed(root: Path, commit: str, domain: str) -> str:
    """When a domain's files became what they are at a commit, ISO; empty when that is not known here."""
    return _git(root, "log", "-1", "--format=%cI", commit, "--", *_folders(domain)).strip()


@cache
def changed(root: Path, domain: str) -> bool:
    """Whether a domain's files are not as the commit has them; asked once per process."""
    return bool(_git(root, "status", "--porcelain", "--", *_folders(domain)).strip())


def _folders(domain: str) -> tuple[str, str]:
    return f"domains/{domain}", f"dbt_projects/{domain}"


@cache
def packages() -> tuple[tuple[str, str], ...]:
    """Python, and the packages that decide what a table holds, with their versions."""
    return tuple(versions(PACKAGES).items())


def versions(names: Iterable[str]) -> dict[str, str]:
    """Versions of Python and of those of these packages that are installed."""
    found = {name: version for name in names if (version := _version(name))}
    return {"python": platform.python_version(), **found}


@cache
def _version(name: str) -> str:
    """Of a package, as it was when this process first asked; empty: it is not installed."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    return ""


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            ["git", "-C", str(root), *words],  # noqa: S607 - the person's own git
            capture_output=True, text=True, check=False, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
