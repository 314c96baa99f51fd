select order_id, price
from sales_raw
