select order_id, buyer, price, day
from orders
