select order_id, price
from orders
union all from sales
