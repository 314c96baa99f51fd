"""What the contracts of marketing cannot express: pandera schemas, executed with the contracts' tests."""

import pandas as pd
import pandera.pandas as pa
from pandera.typing.pandas import Series

import mesh_assets

ROUNDING = 1e-6


@mesh_assets.schema_for("marketing/campaign_reach")
class Reach(pa.DataFrameModel):
    """Reach of campaigns."""

    campaign_id: Series[str] = pa.Field(str_startswith="HCP-")
    open_rate: Series[float] = pa.Field(in_range={"min_value": 0, "max_value": 1}, nullable=True)

    @pa.dataframe_check(description="The rate is what it is called: opened_by of physicians_reached.")
    def rate_is_the_quotient(self, reach: pd.DataFrame) -> pd.Series:
        """Whoever changes one of the three columns changes the others."""
        off = reach["open_rate"] * reach["physicians_reached"] - reach["opened_by"]
        return off.abs().fillna(0) < ROUNDING
