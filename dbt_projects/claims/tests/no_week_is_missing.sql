select week_ending
from (
    select distinct week_ending, lead(week_ending) over (order by week_ending) as next_week
    from (select distinct week_ending from {{ ref('rx_history') }})
)
where next_week <> week_ending + interval 7 days
