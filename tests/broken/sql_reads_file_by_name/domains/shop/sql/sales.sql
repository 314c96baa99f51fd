select order_id, price
from 'raw/orders/1.parquet'
