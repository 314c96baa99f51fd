select order_id, price
from orders
