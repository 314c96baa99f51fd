import dagster as dg
import mesh_assets


@mesh_assets.table(inputs=find_inputs())
def margins(orders):
    return orders
