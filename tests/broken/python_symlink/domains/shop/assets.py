import dagster as dg
import mesh_assets


@dg.asset
def margins(orders):
    return orders
