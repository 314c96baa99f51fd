import mesh_assets


@mesh_assets.tabel(inputs=["orders"])
def margins(orders):
    return None
