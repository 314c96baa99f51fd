select
    p.physician_id,
    p.zip[1:3] as zip3,
    t.territory_id,
    t.territory,
    t.region
from {{ source('customers', 'physicians') }} as p
left join {{ source('sales', 'territories') }} as t on t.zip3 = p.zip[1:3]
