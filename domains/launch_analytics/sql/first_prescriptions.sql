-- The first week in which a physician prescribed Velmora. Physicians who are in it already stay as they are.
select
    physician_id,
    min(week_ending) as first_week,
    cast(arg_min(trx, week_ending) as integer) as first_trx
from claims.weekly_prescriptions
where product_id = 'VEL'
    and physician_id is not null
    and physician_id not in (select physician_id from this)
group by physician_id
