select rep_id, territory_id
from {{ source('sales', 'reps') }}
