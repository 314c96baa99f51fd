-- Whom to see next: physicians by what they prescribe in the market, what of it is ours, and how often we were there.
with latest as (
    select max(week_ending) as week_ending from claims.weekly_prescriptions
),

volume as (
    select
        r.physician_id,
        sum(r.trx) as market_trx,
        coalesce(sum(r.trx) filter (r.product_id = 'VEL'), 0) as velmora_trx
    from claims.weekly_prescriptions as r
    cross join latest as l
    where r.physician_id is not null
        and r.week_ending > l.week_ending - interval 13 weeks
    group by r.physician_id
),

visits as (
    select c.physician_id, count(*) as calls, max(c.call_date) as last_call_on
    from sales.calls as c
    cross join latest as l
    where c.physician_id is not null
        and c.call_date > l.week_ending - interval 13 weeks
    group by c.physician_id
),

ranked as (
    select
        p.physician_id,
        p.specialty,
        p.city,
        t.territory_id,
        t.territory,
        v.market_trx,
        v.velmora_trx,
        11 - ntile(10) over (order by v.market_trx desc, p.physician_id) as decile,
        coalesce(c.calls, 0) as calls,
        c.last_call_on,
        e.engagement,
        e.may_be_mailed
    from volume as v
    join customers.physicians as p on p.physician_id = v.physician_id
    left join sales.territory_alignment as t on t.physician_id = v.physician_id
    left join visits as c on c.physician_id = v.physician_id
    left join marketing.physician_engagement as e on e.physician_id = v.physician_id
)

select
    physician_id,
    specialty,
    city,
    territory_id,
    territory,
    cast(market_trx as bigint) as market_trx,
    cast(velmora_trx as bigint) as velmora_trx,
    cast(velmora_trx / market_trx as decimal(7, 5)) as velmora_share,
    cast(decile as integer) as decile,
    calls,
    last_call_on,
    engagement,
    may_be_mailed,
    case
        when velmora_trx > 0 and velmora_trx * 5 >= market_trx then 'ADVOCATE'
        when velmora_trx > 0 then 'GROW'
        when decile >= 8 then 'WIN'
        when decile >= 4 then 'NURTURE'
        else 'MAINTAIN'
    end as segment
from ranked
