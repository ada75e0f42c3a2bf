"""What both HTTP services share: serving, access, keys, parameters, shares of tenants, the page of their API."""
