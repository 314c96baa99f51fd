select buyer
from orders
