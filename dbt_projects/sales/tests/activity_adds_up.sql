-- Every call is in exactly one week of one representative.
select a.total, c.total
from (select sum(calls) as total from {{ ref('rep_activity') }}) as a
cross join (select count(*) as total from {{ ref('calls') }}) as c
where a.total <> c.total
