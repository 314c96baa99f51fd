select order_id, price
from orders join margins using (order_id)
