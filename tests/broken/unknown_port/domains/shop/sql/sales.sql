select order_id, price
from orders join crm.client using (order_id)
