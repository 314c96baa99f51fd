select
    h.week_ending,
    h.npi,
    p.physician_id,
    h.ndc,
    k.product_id,
    cast(sum(h.trx) as integer) as trx,
    cast(sum(h.nrx) as integer) as nrx
from {{ ref('rx_history') }} as h
join {{ ref('stg_packs') }} as k on k.ndc = h.ndc
left join {{ ref('stg_prescribers') }} as p on p.npi = h.npi
group by all
