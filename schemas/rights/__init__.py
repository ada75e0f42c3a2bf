"""Who may do what on ClickHouse and Kafka: the rights of each of Weir's processes, and their comparison with what a
server has. ``weir init --rights`` makes one of the other."""
