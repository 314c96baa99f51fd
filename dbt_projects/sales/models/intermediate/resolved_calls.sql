-- Calls carry the CRM's id of the contact; everyone else speaks of physicians.
select
    c.call_id,
    c.call_date,
    c.rep_id,
    c.contact_id,
    x.physician_id,
    c.channel,
    c.product,
    c.minutes,
    c.samples_left
from {{ ref('stg_calls') }} as c
left join {{ source('customers', 'physician_crosswalk') }} as x on x.source_id = c.contact_id
