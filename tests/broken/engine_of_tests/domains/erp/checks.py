import pandera.polars as pa

import mesh_assets


@mesh_assets.schema_for("erp/invoices")
class Invoices(pa.DataFrameModel):
    id: int = pa.Field(ge=0)
