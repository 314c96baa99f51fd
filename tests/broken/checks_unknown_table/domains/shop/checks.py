from mesh_assets import schema_for

PORT = "crm/clients"


@schema_for("shop/sale")
@schema_for(PORT)
def sales():
    return None
