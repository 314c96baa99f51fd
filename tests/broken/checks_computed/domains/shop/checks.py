import mesh_assets


@mesh_assets.schema_for("shop/" + "sales")
def sales():
    return None


@mesh_assets.schema_for
def orders():
    return None
