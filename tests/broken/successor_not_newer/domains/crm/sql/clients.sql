select id from crm.clients_v2
