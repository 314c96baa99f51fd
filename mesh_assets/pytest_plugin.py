"""A pytest fixture for domain teams: `mesh_kitchen`, a kitchen of the mesh that the tests are beside, closed at the end."""

import uuid
from collections.abc import Iterator

import pytest

from mesh_assets.kitchen.api import Kitchen


@pytest.fixture
def mesh_kitchen(request: pytest.FixtureRequest) -> Iterator[Kitchen]:
    """The whole mesh as a sandbox, for one test; the mesh is the nearest `mesh.yaml` upwards from the test's folder."""
    from mesh_assets.mesh import find_mesh

    name = f"test-{uuid.uuid4().hex[:12]}"
    with Kitchen.open(name, root=find_mesh(request.path.parent), ttl="1d") as kitchen:
        yield kitchen
