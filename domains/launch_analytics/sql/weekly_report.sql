with prescriptions as (
    select
        r.week_ending,
        sum(r.trx) as market_trx,
        coalesce(sum(r.trx) filter (r.product_id = 'VEL'), 0) as velmora_trx,
        coalesce(sum(r.nrx) filter (r.product_id = 'VEL'), 0) as velmora_nrx,
        coalesce(sum(r.trx * p.price_usd) filter (r.product_id = 'VEL'), 0) as velmora_gross_usd,
        count(distinct r.physician_id) filter (r.product_id = 'VEL') as velmora_prescribers
    from claims.weekly_prescriptions as r
    left join products.list_prices as p
        on p.ndc = r.ndc
        and r.week_ending between p.valid_from and coalesce(p.valid_to, date '9999-12-31')
    group by r.week_ending
),

news as (
    select first_week as week_ending, count(*) as new_prescribers
    from launch_analytics.first_prescriptions
    group by first_week
),

visits as (
    select week_ending, count(*) filter (product = 'Velmora') as velmora_calls
    from sales.calls
    group by week_ending
),

media as (
    select week_ending, sum(spend_usd) as consumer_spend_usd
    from marketing.consumer_spend
    group by week_ending
)

select
    p.week_ending,
    cast(date_diff('day', date '2025-03-07', p.week_ending) / 7 as integer) as weeks_since_launch,
    cast(p.market_trx as bigint) as market_trx,
    cast(p.velmora_trx as bigint) as velmora_trx,
    cast(p.velmora_nrx as bigint) as velmora_nrx,
    cast(coalesce(s.share, 0) as decimal(7, 5)) as velmora_share,
    p.velmora_prescribers,
    coalesce(n.new_prescribers, 0) as new_prescribers,
    cast(sum(coalesce(n.new_prescribers, 0)) over (order by p.week_ending) as bigint) as prescribers_to_date,
    coalesce(v.velmora_calls, 0) as velmora_calls,
    cast(coalesce(m.consumer_spend_usd, 0) as decimal(14, 2)) as consumer_spend_usd,
    cast(p.velmora_gross_usd as decimal(14, 2)) as velmora_gross_usd
from prescriptions as p
left join claims.market_share as s on s.week_ending = p.week_ending and s.product_id = 'VEL'
left join news as n on n.week_ending = p.week_ending
left join visits as v on v.week_ending = p.week_ending
left join media as m on m.week_ending = p.week_ending
