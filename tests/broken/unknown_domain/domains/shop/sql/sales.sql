select order_id, price
from orders join cmr.clients using (order_id)
