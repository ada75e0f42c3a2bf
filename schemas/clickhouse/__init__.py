"""ClickHouse: clients, a pool of them, what its errors mean, parts that it has set aside."""
