"""DuckLake: pin, stage, publish, read, history, fork. Nothing else knows it."""

from mesh_assets.lake.extensions import extension_folder
from mesh_assets.lake.features import Features
from mesh_assets.lake.lake import Lake
from mesh_assets.lake.values import Commit, Mode, Publication, Staged

__all__ = ["Commit", "Features", "Lake", "Mode", "Publication", "Staged", "extension_folder"]
