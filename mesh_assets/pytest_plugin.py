"""Pytest fixtures for domain teams: `mesh_kitchen`, a kitchen of the mesh, closed at the end; and the options to open it with."""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from mesh_assets.kitchen.api import Kitchen


@pytest.fixture
def mesh_kitchen_options() -> Mapping[str, Any]:
    """What `mesh_kitchen` is opened with, beside its name: arguments of `Kitchen.open`. Override it."""
    return {}


@pytest.fixture
def mesh_kitchen(request: pytest.FixtureRequest, mesh_kitchen_options: Mapping[str, Any]) -> Iterator[Kitchen]:
    """The whole mesh as a sandbox, for one test.

    The mesh is the one that `MESH_DIR` names, else the nearest `mesh.yaml` upwards from the test's folder.
    """
    from mesh_assets.mesh import find_mesh
    from mesh_assets.settings import Settings

    name = f"test-{uuid.uuid4().hex[:12]}"
    options: dict[str, Any] = {
        "root": find_mesh(Settings().dir or request.path.parent),
        "ttl": "1d",
        **mesh_kitchen_options,
    }
    with Kitchen.open(name, **options) as kitchen:
        yield kitchen
