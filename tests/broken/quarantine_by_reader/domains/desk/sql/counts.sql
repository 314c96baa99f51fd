select order_id from shop.sales
