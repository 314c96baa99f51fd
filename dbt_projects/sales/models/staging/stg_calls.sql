-- Calls as they were made: tablets sync twice, clocks are wrong, thumbs slip.
select
    call_id,
    rep_id,
    contact_id,
    call_date,
    channel,
    case
        when upper(product) like 'VELM%' then 'Velmora'
        when upper(product) like 'TENS%' then 'Tensiva'
    end as product,
    case when duration_minutes between 1 and 480 then duration_minutes end as minutes,
    samples_left
from {{ source('sales', 'rep_calls') }}
where call_date <= date '2025-12-31'
qualify row_number() over (partition by call_id order by call_date) = 1
