select order_id, price
from lake.shop.orders
