import dagster as dg
import mesh_assets


@dg.asset
def sales(orders):
    return orders
