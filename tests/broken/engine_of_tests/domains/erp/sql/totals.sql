select count(*) as n from erp.invoices
