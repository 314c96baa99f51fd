import dagster as dg
import mesh_assets


@mesh_assets.table(inputs=["orders"])
def margins(order):
    return order
