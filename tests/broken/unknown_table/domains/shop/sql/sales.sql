select order_id, price
from ordes
