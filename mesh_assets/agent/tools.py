"""All tools, and which of them are offered."""

from pathlib import Path

from mesh_assets.agent import reading, writing
from mesh_assets.agent.tool import Tool
from mesh_assets.reading.agent import read

READING = {tool.name: tool for tool in reading.TOOLS}
WRITING = {tool.name: tool for tool in writing.TOOLS}


def offered(root: Path, *, read_only: bool = False) -> dict[str, Tool]:
    """Those that read, and those that mesh.yaml allows."""
    allowed = () if read_only else read(root).writes
    return {**READING, **{name: tool for name, tool in WRITING.items() if name in allowed}}
