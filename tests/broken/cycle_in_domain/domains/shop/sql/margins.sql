select order_id
from sales
