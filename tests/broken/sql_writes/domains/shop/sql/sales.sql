insert into sales select * from orders
