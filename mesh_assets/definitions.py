"""The code location of a whole mesh: `python_module: mesh_assets.definitions` in workspace.yaml.

The mesh is the one that `MESH_DIR` names, else the nearest `mesh.yaml` upwards from where Dagster was started.
"""

from pathlib import Path

import dagster as dg

from mesh_assets.mesh import find_mesh
from mesh_assets.orchestration.load import build_definitions
from mesh_assets.settings import Settings

_settings = Settings()
defs: dg.Definitions = build_definitions(find_mesh(_settings.dir or Path.cwd()), settings=_settings)
