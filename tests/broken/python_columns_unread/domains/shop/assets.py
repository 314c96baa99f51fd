import mesh_assets
import pandas as pd


@mesh_assets.table(inputs=["sales"], columns={"sale": ["sale_id"]})
def margins(sales: pd.DataFrame) -> pd.DataFrame:
    return sales
