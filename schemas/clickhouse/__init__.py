"""ClickHouse access: clients and a pool of them, the meaning of errors, damaged parts."""
