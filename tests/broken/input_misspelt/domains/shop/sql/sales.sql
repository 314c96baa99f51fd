select order_id, price
from orders join crm.clients using (order_id) join crm.visits using (order_id)
