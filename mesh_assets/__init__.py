"""A data mesh with DataOps, as a Dagster code location library.

What a domain's Python needs is here: `table`, `artifact` and `schema_for`. Nothing slow is imported.
"""

from mesh_assets.python import artifact, table
from mesh_assets.schemas import schema_for

__all__ = ["artifact", "schema_for", "table"]
