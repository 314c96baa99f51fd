select
    c.call_id,
    c.call_date,
    cast(date_trunc('week', c.call_date) + interval 4 days as date) as week_ending,
    c.physician_id,
    c.rep_id,
    r.territory_id,
    c.channel,
    c.product,
    c.minutes,
    c.samples_left
from {{ ref('resolved_calls') }} as c
left join {{ ref('stg_reps') }} as r on r.rep_id = c.rep_id
