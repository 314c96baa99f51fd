select t.campaign, p.specialty, count(distinct p.physician_id) as physicians, sum(t.cost) as cost
from touches as t
join customers.physicians as p using (physician_id)
group by all
