-- One row for each order: the shop sometimes exports an order twice, and spells a status in capitals.
select
    order_id,
    lower(customer) as customer,
    ordered_at,
    lower(status) as status,
    amount_eur
from orders.raw_orders
qualify row_number() over (partition by order_id order by ordered_at desc) = 1
