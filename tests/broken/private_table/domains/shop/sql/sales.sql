select order_id, price
from orders join crm.people using (order_id)
