"""`mesh init` and `mesh dev`: a new mesh, and Dagster for one."""

import os
import shutil
import sys
from pathlib import Path

from mesh_assets.errors import RunError, UsageError
from mesh_assets.settings import Settings

TEMPLATE = Path(__file__).parent / "templates" / "shop"


def start(folder: Path) -> None:
    """Write a small mesh that runs into a new or empty folder.

    Raises:
        UsageError: Something is there already; nothing is written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty\n    Name a new folder; nothing there was changed.")
    try:
        shutil.copytree(TEMPLATE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / ".gitignore").write_text(".mesh/\n", encoding="utf-8")
    except OSError as error:
        raise RunError(
            f"{folder} cannot be written: {error.strerror}\n    Name a folder that you may write to."
        ) from None


def _lake(settings: Settings) -> dict[str, str]:
    """A kitchen's lake: in the environment, so that every process of Dagster's uses it."""
    if not settings.kitchen:
        return {}
    return {
        "MESH_KITCHEN": settings.kitchen,
        "MESH_LAKE_CATALOG": settings.lake_catalog,
        "MESH_LAKE_DATA": settings.lake_data,
        "MESH_LAKE_SCHEMA": settings.lake_schema,
        "MESH_AUTHOR": settings.author,
    }


def serve(root: Path, settings: Settings, *, host: str, port: int) -> None:
    """Become `dagster dev` for the mesh in `root`, with the portal in its web server; does not return.

    Dagster's storage is in the mesh's home, unless DAGSTER_HOME names another.
    """
    from mesh_assets.orchestration.instance import folder

    home = (settings.home or root / ".mesh").resolve()
    workspace = root / "workspace.yaml"
    where = ["-w", str(workspace)] if workspace.is_file() else ["-m", "mesh_assets.definitions", "-d", str(root)]
    environment = {
        **os.environ,
        # A kitchen has an instance of its own, whatever production's is.
        "DAGSTER_HOME": (not settings.kitchen and os.environ.get("DAGSTER_HOME")) or str(folder(home)),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "MESH_DIR": str(root),
        "MESH_HOME": str(home),
        "MESH_PORTAL_LISTENS": host,
        **_lake(settings),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "mesh_assets.portal.webserver", "dev", *where, "-h", host, "-p", str(port)]
    os.chdir(root)
    os.execve(sys.executable, command, environment)  # noqa: S606 - our own interpreter; signals reach Dagster itself
