-- The first week in which a physician prescribed Velmora. Physicians who are in it already stay as they are.
with weeks as (
    select
        physician_id,
        week_ending,
        sum(trx) as trx    -- of all packs: which of several comes first would be nobody's choice
    from claims.weekly_prescriptions
    where product_id = 'VEL'
        and physician_id is not null
    group by physician_id, week_ending
)
select
    physician_id,
    min(week_ending) as first_week,
    cast(arg_min(trx, week_ending) as integer) as first_trx
from weeks
where physician_id not in (select physician_id from this)
group by physician_id
