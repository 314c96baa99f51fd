"""Every environment variable that the mesh reads, read once."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """`MESH_HOME`, `MESH_DIR` and the lake's address, for one process.

    Attributes:
        home: Folder of everything the mesh keeps (lake, ledger, Dagster's instance); default `.mesh` beside `mesh.yaml`.
        dir: The mesh to work on; default: the nearest `mesh.yaml` upwards.
        lake_catalog: Overrides `lake.catalog` of `mesh.yaml`.
        lake_data: Overrides `lake.data` of `mesh.yaml`.
        author: Written into commits of the lake.
        lease_seconds: A running step that has not been heard of for so long is taken for dead (other hosts only).
    """

    model_config = SettingsConfigDict(env_prefix="MESH_", frozen=True, extra="ignore")

    home: Path | None = None
    dir: Path | None = None
    lake_catalog: str = ""
    lake_data: str = ""
    author: str = "mesh"
    lease_seconds: float = 60.0
