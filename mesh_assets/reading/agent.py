"""`agent:` of mesh.yaml: what an agent may do beside reading, and which columns it sees."""

from dataclasses import dataclass
from pathlib import Path

from mesh_assets.errors import ConfigError
from mesh_assets.reading.shape import ours
from mesh_assets.reading.source import child, load, text, texts

FILE = "mesh.yaml"
SHOWN, ALL = "shown", "all"


@dataclass(frozen=True, slots=True)
class Agent:
    """What an agent may do.

    Attributes:
        writes: Names of the tools that change something and are offered all the same.
        columns: What its SQL can read: `shown`, the columns whose values the portal shows, or `all`.
    """

    writes: tuple[str, ...] = ()
    columns: str = SHOWN


def read(root: Path) -> Agent:
    """As the file says now. Where the file has a mistake, wherever it is, nothing is allowed."""
    try:
        document = load(root / FILE, FILE)
    except ConfigError:
        return Agent()
    if ours("mesh").problems(document):
        return Agent()
    said = child(document.root, "agent")
    return Agent(writes=texts(said, "writes"), columns=text(said, "columns", SHOWN))
