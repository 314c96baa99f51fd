with weeks as (
    select week_ending, product_id, sum(trx) as trx, sum(nrx) as nrx
    from {{ ref('weekly_prescriptions') }}
    group by all
)

select
    w.week_ending,
    w.product_id,
    p.brand,
    p.is_own,
    cast(w.trx as bigint) as trx,
    cast(w.nrx as bigint) as nrx,
    cast(w.trx / sum(w.trx) over (partition by w.week_ending) as decimal(7, 5)) as share
from weeks as w
join {{ source('products', 'products') }} as p on p.product_id = w.product_id
