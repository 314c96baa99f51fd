"""A data mesh with DataOps, as a Dagster code location library.

What a domain's Python needs is here: `table` and `artifact`. Nothing slow is imported.
"""

from mesh_assets.python import artifact, table

__all__ = ["artifact", "table"]
