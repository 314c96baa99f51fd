select order_id, price
from read_csv('raw/orders/*.csv')
