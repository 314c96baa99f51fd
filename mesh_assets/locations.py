"""One code location per domain: `python_module: mesh_assets.locations, attribute: <domain>` in workspace.yaml.

Asset keys are the same as in `mesh_assets.definitions`: a team can move to a location of its own, and back.
"""


def __getattr__(name: str) -> object:
    """The definitions of the domain of that name."""
    from pathlib import Path

    from mesh_assets.mesh import find_mesh
    from mesh_assets.orchestration.load import build_definitions
    from mesh_assets.settings import Settings

    settings = Settings()
    root = find_mesh(settings.dir or Path.cwd())
    if name.startswith("_") or not (root / "domains" / name).is_dir():
        raise AttributeError(name)
    return build_definitions(root, only=name, settings=settings)
