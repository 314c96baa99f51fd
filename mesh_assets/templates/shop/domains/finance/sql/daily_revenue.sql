select
    cast(ordered_at as date) as day,
    count(*) as orders,
    sum(amount_eur) as revenue_eur
from orders.orders
where status = 'paid'
group by all
