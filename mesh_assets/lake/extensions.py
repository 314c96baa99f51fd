"""DuckDB's extensions, from their wheels: no network, nothing written to the home folder."""

import importlib.util
import uuid
from functools import cache
from pathlib import Path

from mesh_assets.errors import RunError


@cache
def extension_file(name: str) -> Path:
    """The extension's binary; its wheel's Python is not run."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    for root in (spec.submodule_search_locations if spec else None) or ():
        for file in sorted(Path(root).rglob(f"{name}.duckdb_extension")):
            return file
    package = f"duckdb-extension-{name.replace('_', '-')}"
    message = (
        f"DuckDB's extension `{name}` is not installed.\n    Install the package `{package}` in DuckDB's own version."
    )
    raise RunError(message)


def extension_folder(folder: Path, *names: str) -> Path:
    """A folder for `extension_directory`, for programs that load extensions by name: links to the wheels' files."""
    import duckdb

    con = duckdb.connect()
    platform = con.execute("PRAGMA platform").fetchall()[0][0]
    con.close()
    place = folder / f"v{duckdb.__version__}" / platform
    place.mkdir(parents=True, exist_ok=True)
    for name in names:
        link = place / f"{name}.duckdb_extension"
        if not link.exists():
            fresh = place / f".{name}.{uuid.uuid4().hex}"
            fresh.symlink_to(extension_file(name))
            fresh.replace(link)  # whole at once: several processes may be here
    return folder
