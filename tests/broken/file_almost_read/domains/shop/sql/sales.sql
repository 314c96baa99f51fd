select * from refunds join returned using (order_id)
