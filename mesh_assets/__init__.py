"""A data mesh with DataOps, as a Dagster code location library.

What a domain's Python needs is here: `table`, `artifact` and `schema_for`; and `read`, for those who read its tables.
Nothing slow is imported.
"""

from mesh_assets.python import artifact, table
from mesh_assets.reader import read
from mesh_assets.schemas import schema_for

__all__ = ["artifact", "read", "schema_for", "table"]
