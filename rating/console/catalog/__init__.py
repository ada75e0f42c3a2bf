"""The catalog by clicking: metrics, products, plans, customers, subscriptions; saved by the gateway's own API."""
