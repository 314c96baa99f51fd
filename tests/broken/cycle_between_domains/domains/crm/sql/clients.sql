select *
from people join shop.sales using (order_id)
