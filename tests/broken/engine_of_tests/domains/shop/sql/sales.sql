select * from erp.invoices
