select
    week_ending,
    rep_id,
    any_value(territory_id) as territory_id,
    count(*) as calls,
    count(*) filter (channel = 'F2F') as face_to_face,
    count(distinct physician_id) as physicians_seen,
    cast(sum(samples_left) as bigint) as samples_left
from {{ ref('calls') }}
group by week_ending, rep_id
